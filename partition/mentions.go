// SPDX-License-Identifier: Apache-2.0

// Mentions: the messages that mention a user, newest first, from the mention indexes of all conversations at once.

package partition

import (
	"cmp"
	pq "container/heap"
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// mentionsLooked bounds how many entries a page looks at for each that it may answer: a user's own messages to everybody
// and those deleted for the user are passed over. A page that meets more of them is shorter than asked, and goes on.
const mentionsLooked = 8

// Place is where a message stands among all conversations of a user, in the order of time.
type Place struct {
	TimeMs       uint64
	Partition    uint32
	Conversation record.Conversation
	Seq          tidemark.Seq
}

// compare orders newest first; all but the time only makes the order total.
func (a Place) compare(b Place) int {
	return cmp.Or(cmp.Compare(b.TimeMs, a.TimeMs), cmp.Compare(b.Partition, a.Partition),
		cmp.Compare(b.Conversation, a.Conversation), cmp.Compare(b.Seq, a.Seq))
}

// Mention is a message that mentions the user.
type Mention struct {
	Conversation tidemark.ConversationID
	Event        *wire.Event // in its current form
}

// MentionsPage is a page of mentions.
type MentionsPage struct {
	Mentions []Mention
	Next     *Place // where the next page goes on; nil: this is the last
}

// Mentions is a page of at most limit messages that mention a user, newest first: in one conversation, or in all for an
// empty id; with unread only those past the read mark. after is Next of the page before, or nil. What was recalled, erased,
// deleted by the user, written before the user could see it, or is no longer kept is not among them; nor what the user
// wrote to everybody.
//
// A page costs one look-up in memory for each conversation of the user, and reads index and messages of those alone that
// may have something as new as the page: their last event is not older than it.
func (s *Set) Mentions(
	user tidemark.UserID, in tidemark.ConversationID, unread bool, after *Place, limit int,
) (MentionsPage, error) {
	search := mentionSearch{set: s, unread: unread, after: after, limit: limit}
	if in != "" {
		sight, err := s.See(user, in)
		if err != nil {
			return MentionsPage{}, err
		}
		search.add(sight)
		return search.page()
	}
	for _, p := range s.partitions {
		if err := search.addAll(p, user); err != nil {
			return MentionsPage{}, err
		}
	}
	return search.page()
}

// mentionSearch merges the mention indexes of several conversations.
type mentionSearch struct {
	set    *Set
	unread bool
	after  *Place
	limit  int
	heads  mentionHeap
}

// mentionSource is one conversation of a search. Its place is that of its next mention or, until that is known, one that
// does not come after it.
type mentionSource struct {
	sight *Sight
	low   tidemark.Seq // only past it
	place Place
	known bool
	seqs  []tidemark.Seq // the mentions before place that have been looked up, ascending
	event *record.Event  // at place, if known
}

// addAll adds the conversations of a user in a partition.
func (m *mentionSearch) addAll(p *Partition, user tidemark.UserID) error {
	u, met, err := p.User(user)
	if err != nil || !met {
		return err
	}
	joined, err := p.memberOf(u)
	if err != nil {
		return err
	}
	for _, c := range joined {
		standing, _ := p.standing(c, u)
		if standing.Info == nil || standing.Head == nil || standing.Member == nil {
			if err := p.bring(c, u, &standing); err != nil {
				return err
			}
		}
		if standing.Info == nil || standing.Head == nil || !standing.Member.Active() {
			continue
		}
		m.add(&Sight{
			Partition: p, Info: standing.Info, Head: *standing.Head, Member: standing.Member, Asking: u,
			Floor: max(standing.Head.Floor, max(standing.Member.VisibleFrom, 1)-1),
		})
	}
	return nil
}

// add adds a conversation if there can be mentions in it.
func (m *mentionSearch) add(sight *Sight) {
	low := sight.Floor
	if m.unread {
		low = max(low, sight.Member.ReadSeq)
	}
	if sight.Member.MentionSeq <= low && sight.Head.MentionAll <= low {
		return
	}
	place := Place{sight.Head.TimeMs, sight.Partition.number, sight.Info.Ordinal, sight.Head.Seq + 1}
	if m.after != nil && place.compare(*m.after) < 0 {
		place = *m.after
	}
	m.heads = append(m.heads, &mentionSource{sight: sight, low: low, place: place})
}

// page takes mentions from the newest on.
func (m *mentionSearch) page() (MentionsPage, error) {
	var page MentionsPage
	pq.Init(&m.heads)
	for looked := 0; len(m.heads) > 0; {
		source := m.heads[0]
		if source.known {
			if len(page.Mentions) == m.limit || looked == mentionsLooked*m.limit {
				return page, nil
			}
			looked++
			mention, err := source.mention()
			if err != nil {
				return MentionsPage{}, err
			}
			if mention != nil {
				page.Mentions = append(page.Mentions, *mention)
			}
			at := source.place
			page.Next = &at
		}
		more, err := source.next(m.after, m.limit)
		switch {
		case err != nil:
			return MentionsPage{}, err
		case more:
			pq.Fix(&m.heads, 0)
		default:
			pq.Pop(&m.heads)
		}
	}
	page.Next = nil
	return page, nil
}

// next moves the source to its next mention that comes after a place.
func (s *mentionSource) next(after *Place, limit int) (more bool, err error) {
	p, c := s.sight.Partition, s.sight.Info.Ordinal
	if !s.known {
		before, err := s.begin(after)
		if err != nil {
			return false, err
		}
		s.place.Seq = before
	}
	for {
		if len(s.seqs) == 0 {
			if s.seqs, err = p.lastMentions(s.sight, s.low, s.place.Seq-1, limit); err != nil || len(s.seqs) == 0 {
				return false, err
			}
		}
		seq := s.seqs[len(s.seqs)-1]
		s.seqs = s.seqs[:len(s.seqs)-1]
		event, err := p.event(c, seq)
		if err != nil {
			return false, err
		}
		s.place.Seq = seq
		if event == nil {
			continue
		}
		s.place = Place{event.TimeMs, p.number, c, seq}
		if after == nil || s.place.compare(*after) > 0 {
			s.known, s.event = true, event
			return true, nil
		}
	}
}

// begin is the seq before which the mentions after a place are.
func (s *mentionSource) begin(after *Place) (tidemark.Seq, error) {
	head := &s.sight.Head
	switch {
	case after == nil:
		return head.Seq + 1, nil
	case s.sight.Partition.number == after.Partition && s.sight.Info.Ordinal == after.Conversation:
		return max(min(after.Seq, head.Seq+1), 1), nil
	case head.TimeMs <= after.TimeMs:
		return head.Seq + 1, nil
	}
	return s.sight.firstAt(after.TimeMs + 1)
}

// mention is the message at the source's place; nil if the user is not to see it here.
func (s *mentionSource) mention() (*Mention, error) {
	p, c, e := s.sight.Partition, s.sight.Info.Ordinal, s.event
	if e.Erased || e.Sender == s.sight.Asking {
		return nil, nil
	}
	current, err := p.Current(c, e.Seq)
	if err != nil || current.IsWithheld() {
		return nil, err
	}
	if s.sight.Member.PrivatePosition > 0 && s.sight.Private == nil {
		if s.sight.Private, err = p.Private(c, s.sight.Asking); err != nil {
			return nil, err
		}
	}
	if s.sight.Private.Deletes(e.Seq) {
		return nil, nil
	}
	shown, err := s.sight.Show(e, current)
	if err != nil {
		return nil, err
	}
	return &Mention{Conversation: s.sight.Info.ID, Event: shown}, nil
}

// lastMentions are the last mentions of the user with after < seq <= to, ascending: at least so many, if there are. Who was
// not a member when everybody was mentioned was not.
func (p *Partition) lastMentions(sight *Sight, after, to tidemark.Seq, n int) ([]tidemark.Seq, error) {
	var seqs []tidemark.Seq
	p.stats.misses.Add(1)
	low := after
	for _, of := range [...]record.User{sight.Asking, 0} {
		from := after
		if of == 0 {
			from = max(after, sight.Member.JoinedSeq)
		}
		found := 0
		err := p.db.LastMentions(sight.Info.Ordinal, of, from, to, func(seq tidemark.Seq) bool {
			if p.mentionCommitted(mentionKey{sight.Info.Ordinal, of, seq}) {
				seqs = append(seqs, seq)
				found++
			}
			if found == n {
				low = max(low, seq-1) // what the other index has below comes later
			}
			return found < n
		})
		if err != nil {
			return nil, fmt.Errorf("partition: mentions in %d: %w", sight.Info.Ordinal, err)
		}
	}
	slices.Sort(seqs)
	seqs = slices.DeleteFunc(slices.Compact(seqs), func(seq tidemark.Seq) bool { return seq <= low })
	return seqs, nil
}

// mentionHeap has the newest place first.
type mentionHeap []*mentionSource

func (h mentionHeap) Len() int           { return len(h) }
func (h mentionHeap) Less(i, j int) bool { return h[i].place.compare(h[j].place) < 0 }
func (h mentionHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *mentionHeap) Push(x any) { *h = append(*h, x.(*mentionSource)) }

// Pop is for container/heap.
func (h *mentionHeap) Pop() any {
	last := len(*h) - 1
	source := (*h)[last]
	*h = (*h)[:last]
	return source
}
