// SPDX-License-Identifier: Apache-2.0

// How a conversation stands for one of its members, and the counts that follow from marks.

package partition

import (
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// Standing is a conversation as one user finds it, at some moment not before the published position. Records are shared.
type Standing struct {
	Info     *record.Info      // nil: the conversation does not exist
	Head     *record.Head      // may lie past the published position
	Member   *record.Member    // nil: never was a member
	Loud     tidemark.Position // of the last change of Member that no event tells of; where not known, Member.Position
	Unread   uint64
	Mentions uint64
}

// Standing reads how a conversation stands for the user with an ordinal.
func (p *Partition) Standing(c record.Conversation, u record.User) (Standing, error) {
	s, whole := p.standing(c, u)
	if !whole {
		if err := p.bring(c, u, &s); err != nil {
			return Standing{}, err
		}
	}
	if s.Info == nil || s.Head == nil || !s.Member.Active() {
		return s, nil
	}
	if after := seen(s.Head, s.Member); s.Member.MentionSeq > after || s.Head.MentionAll > after {
		var err error
		s.Mentions, err = p.mentions(c, u, s.Member, after, s.Head.Seq)
		return s, err
	}
	return s, nil
}

// seen is the last event that is not unread for a member: read, not kept, or not visible.
func seen(h *record.Head, m *record.Member) tidemark.Seq {
	return max(m.ReadSeq, h.Floor, max(m.VisibleFrom, 1)-1)
}

// standing answers from memory; whole is false if something is missing there.
func (p *Partition) standing(c record.Conversation, u record.User) (s Standing, whole bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	h, ok := p.mem.hot.get(c)
	if !ok || h.head == nil || h.info == nil {
		return s, false
	}
	m, ok := p.mem.members.get(memberKey{c, u})
	if !ok {
		return s, false
	}
	s = Standing{Info: h.info, Head: h.head, Member: m}
	if m == nil {
		return s, true
	}
	s.Loud = p.mem.loud(c, u, m)
	if h.head.Recalled > 0 && !h.recallsKnown {
		return s, false
	}
	s.Unread = unread(h.head, m, h.recalls)
	return s, true
}

// loud needs the lock.
func (s *committed) loud(c record.Conversation, u record.User, m *record.Member) tidemark.Position {
	if l, ok := s.lists.get(u); ok {
		if i, found := l.find(c); found {
			return l.rows[i].position
		}
	}
	return m.Position
}

// bring reads what is not in memory. The parts may be of different moments; whatever changes in between wakes again.
func (p *Partition) bring(c record.Conversation, u record.User, s *Standing) (err error) {
	if s.Info, err = p.InfoOf(c); err != nil {
		return err
	}
	if s.Member, err = p.member(c, u); err != nil {
		return err
	}
	if s.Head, err = p.head(c); err != nil || s.Head == nil || s.Member == nil {
		return err
	}
	recalls, err := p.recallsOf(c, s.Head)
	if err != nil {
		return err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	s.Loud = p.mem.loud(c, u, s.Member)
	s.Unread = unread(s.Head, s.Member, recalls)
	return nil
}

// unread is counted(head) − counted(read mark or floor, whichever is later) − those recalled in between − the member's own
// in between.
func unread(h *record.Head, m *record.Member, recalls []tidemark.Seq) uint64 {
	counted := max(m.ReadCounted, h.FloorCounted)
	if h.Counted <= counted {
		return 0
	}
	n := h.Counted - counted
	own := m.Own.Past(max(m.ReadSeq, h.Floor))
	gone := recalledAfter(recalls, max(m.ReadSeq, h.Floor)) + uint64(own.Len())
	for i := range own.Len() {
		if _, recalled := slices.BinarySearch(recalls, own.At(i)); recalled {
			gone--
		}
	}
	return n - min(n, gone)
}

// recallsOf are the counted events that no longer count, ascending.
func (p *Partition) recallsOf(c record.Conversation, h *record.Head) ([]tidemark.Seq, error) {
	if h.Recalled == 0 {
		return nil, nil
	}
	p.mu.RLock()
	since := p.mem.state.Position
	if hot, ok := p.mem.hot.get(c); ok && hot.recallsKnown {
		defer p.mu.RUnlock()
		return hot.recalls, nil
	}
	p.mu.RUnlock()
	p.stats.misses.Add(1)
	var recalls []tidemark.Seq
	err := p.db.Recalls(c, 0, func(seq tidemark.Seq, _ uint64) bool {
		recalls = append(recalls, seq)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("partition: recalls of %d: %w", c, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.mem.flight; f != nil {
		recalls = slices.DeleteFunc(recalls, func(seq tidemark.Seq) bool {
			r := f.recalls.find(seqKey{c, seq})
			return r != nil && r.changed
		})
		recalls = append(f.trimmedRecalls(c), recalls...) // the store has them yet, or has them no more
		slices.Sort(recalls)
		recalls = slices.Compact(recalls)
	}
	if p.unchanged(since) {
		hot := p.mem.inUse(c)
		hot.recalls, hot.recallsKnown = recalls, true
		p.mem.weigh(c, hot)
	}
	return recalls, nil
}

// mentions is how many events with after < seq <= to mention a member, by name or as one of everybody, without its own.
func (p *Partition) mentions(c record.Conversation, u record.User, m *record.Member, after, to tidemark.Seq) (uint64, error) {
	var seqs []tidemark.Seq
	p.stats.misses.Add(1)
	for _, of := range [...]record.User{u, 0} {
		err := p.db.Mentions(c, of, after, to, func(seq tidemark.Seq) bool {
			if p.mentionCommitted(mentionKey{c, of, seq}) {
				seqs = append(seqs, seq)
			}
			return true
		})
		if err != nil {
			return 0, fmt.Errorf("partition: mentions in %d: %w", c, err)
		}
	}
	seqs = p.withTakenMentions(seqs, c, u, after, to)
	seqs = slices.DeleteFunc(seqs, m.Own.Has)
	slices.Sort(seqs)
	return uint64(len(slices.Compact(seqs))), nil
}

// mentionCommitted is false for an entry that a commit in flight has added.
func (p *Partition) mentionCommitted(k mentionKey) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.mem.flight == nil {
		return true
	}
	r := p.mem.flight.mentions.find(k)
	return r == nil || r.base
}

// withTakenMentions adds the entries that a commit in flight takes out.
func (p *Partition) withTakenMentions(
	seqs []tidemark.Seq, c record.Conversation, u record.User, after, to tidemark.Seq,
) []tidemark.Seq {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.mem.flight == nil {
		return seqs
	}
	for i := range p.mem.flight.mentions.rows {
		r := &p.mem.flight.mentions.rows[i]
		if k := r.key; r.base && k.c == c && (k.u == u || k.u == 0) && k.seq > after && k.seq <= to {
			seqs = append(seqs, k.seq)
		}
	}
	return seqs
}

// Counts are a member's unread counted messages, and those of them that mention the member. Nobody's for whom it is not
// a conversation.
func (p *Partition) Counts(c record.Conversation, user tidemark.UserID) (unread, mentions uint64, err error) {
	u, ok, err := p.User(user)
	if err != nil || !ok {
		return 0, 0, err
	}
	s, err := p.Standing(c, u)
	if err != nil || !s.Member.Active() {
		return 0, 0, err
	}
	return s.Unread, s.Mentions, nil
}
