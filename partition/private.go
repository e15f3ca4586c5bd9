// SPDX-License-Identifier: Apache-2.0

// Committed reads of what is asked for seldom and not cached: private records, scheduled messages, requests to
// join, and indexes that are all key.

package partition

import (
	"cmp"
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// asBefore is the committed version of a row: the one before the batch in flight, if that touches it. It takes the lock.
func asBefore[K comparable, V any](p *Partition, rows func(*overlay) *table[K, V], k K, read V) V {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if f := p.mem.flight; f != nil {
		return rows(f).before(k, read)
	}
	return read
}

// Private is what a user keeps in a conversation for its own devices; nil if nothing. The record is shared. Who knows the
// member record asks only if its PrivatePosition is not 0.
func (p *Partition) Private(c record.Conversation, u record.User) (*record.Private, error) {
	k := memberKey{c, u}
	p.mu.RLock()
	f, cached := p.mem.privates.get(k)
	since := p.mem.state.Position
	p.mu.RUnlock()
	if cached {
		return f, nil
	}
	p.stats.misses.Add(1)
	f, err := p.db.Private(c, u)
	if err != nil {
		return nil, fmt.Errorf("partition: private record of %d in %d: %w", u, c, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if flight := p.mem.flight; flight != nil {
		f = flight.privates.before(k, f)
	}
	if p.unchanged(since) {
		p.mem.privates.put(k, f, privateCost(f))
	}
	return f, nil
}

// privateCost is what a private record takes in memory, bytes.
func privateCost(f *record.Private) int {
	if f == nil {
		return 64
	}
	return 192 + len(f.Draft) + 8*len(f.Deleted)
}

// Scheduled is a user's scheduled message; nil if there is none. The record is shared.
func (p *Partition) Scheduled(
	c record.Conversation, u record.User, id tidemark.ClientID,
) (*record.Scheduled, error) {
	p.stats.misses.Add(1)
	s, err := p.db.Scheduled(c, u, id)
	if err != nil {
		return nil, fmt.Errorf("partition: scheduled message of %d in %d: %w", u, c, err)
	}
	rows := func(o *overlay) *table[clientKey, *record.Scheduled] { return &o.scheduled }
	return asBefore(p, rows, clientKey{c, u, id}, s), nil
}

// ScheduledRow is a user's scheduled message in a conversation.
type ScheduledRow struct {
	ClientID  tidemark.ClientID
	Scheduled *record.Scheduled
}

// ScheduledBy are the messages that a user has scheduled in a conversation, by client id.
func (p *Partition) ScheduledBy(c record.Conversation, u record.User) ([]ScheduledRow, error) {
	p.stats.misses.Add(1)
	var list []ScheduledRow
	rows := func(o *overlay) *table[clientKey, *record.Scheduled] { return &o.scheduled }
	seen := make(map[tidemark.ClientID]bool)
	err := p.db.ScheduledBy(c, u, func(id tidemark.ClientID, s *record.Scheduled) bool {
		seen[id] = true
		if s = asBefore(p, rows, clientKey{c, u, id}, s); s != nil {
			list = append(list, ScheduledRow{id, s})
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("partition: scheduled messages of %d in %d: %w", u, c, err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if f := p.mem.flight; f != nil { // what the batch in flight takes out
		for i := range f.scheduled.rows {
			r := &f.scheduled.rows[i]
			if r.key.c == c && r.key.u == u && r.base != nil && !seen[r.key.id] {
				list = append(list, ScheduledRow{r.key.id, r.base})
			}
		}
	}
	return list, nil
}

// JoinRequest is a user's wish to join a conversation; nil if there is none. The record is shared.
func (p *Partition) JoinRequest(c record.Conversation, u record.User) (*record.JoinRequest, error) {
	p.stats.misses.Add(1)
	r, err := p.db.JoinRequest(c, u)
	if err != nil {
		return nil, fmt.Errorf("partition: request of %d to join %d: %w", u, c, err)
	}
	rows := func(o *overlay) *table[memberKey, *record.JoinRequest] { return &o.requests }
	return asBefore(p, rows, memberKey{c, u}, r), nil
}

// RequestRow is a user who asks to join a conversation.
type RequestRow struct {
	Ordinal record.User
	User    tidemark.UserID
	Request *record.JoinRequest // shared
}

// JoinRequests is a page of those who ask to join a conversation, by ordinal: those past after, at most limit.
func (p *Partition) JoinRequests(c record.Conversation, after record.User, limit int) ([]RequestRow, error) {
	p.stats.misses.Add(1)
	rows := func(o *overlay) *table[memberKey, *record.JoinRequest] { return &o.requests }
	var list []RequestRow
	seen := make(map[record.User]bool)
	err := p.db.JoinRequests(c, after+1, func(u record.User, r *record.JoinRequest) bool {
		seen[u] = true
		if r = asBefore(p, rows, memberKey{c, u}, r); r != nil {
			list = append(list, RequestRow{Ordinal: u, Request: r})
		}
		return len(list) < limit
	})
	if err != nil {
		return nil, fmt.Errorf("partition: requests to join %d: %w", c, err)
	}
	p.mu.RLock()
	if f := p.mem.flight; f != nil { // what the batch in flight takes out
		for i := range f.requests.rows {
			if r := &f.requests.rows[i]; r.key.c == c && r.key.u > after && r.base != nil && !seen[r.key.u] {
				list = append(list, RequestRow{Ordinal: r.key.u, Request: r.base})
			}
		}
	}
	p.mu.RUnlock()
	slices.SortFunc(list, func(a, b RequestRow) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	list = list[:min(len(list), limit)]
	for i := range list {
		if list[i].User, err = p.UserID(list[i].Ordinal); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Index calls fn for the committed entries of an index from one on, see [store.Partition.Index]. Entries that the batch
// in flight takes out may be missing: whoever needs them is woken by it.
func (p *Partition) Index(from record.Index, descending bool, fn func(record.Index) (more bool)) error {
	p.stats.misses.Add(1)
	err := p.db.Index(from, descending, func(i record.Index) bool {
		if !asBefore(p, func(o *overlay) *table[record.Index, bool] { return &o.indexes }, i, true) {
			return true
		}
		return fn(i)
	})
	if err != nil {
		return fmt.Errorf("partition: index %d: %w", from.Kind, err)
	}
	return nil
}

// Indexed reports whether an entry is committed in its index. One that a recall in flight takes out may be missed.
func (p *Partition) Indexed(i record.Index) (bool, error) {
	p.stats.misses.Add(1)
	there, err := readWhole(p, i.Conversation, func(db *store.Partition) (bool, error) { return db.Indexed(i) })
	if err != nil {
		return false, fmt.Errorf("partition: index %d: %w", i.Kind, err)
	}
	return asBefore(p, func(o *overlay) *table[record.Index, bool] { return &o.indexes }, i, there), nil
}

// thread is the committed answers from..to in the thread of a root, at most limit.
func (p *Partition) thread(
	c record.Conversation, root, from, to tidemark.Seq, descending bool, limit int,
) ([]tidemark.Seq, error) {
	p.stats.misses.Add(1)
	seqs, err := readWhole(p, c, func(db *store.Partition) (seqs []tidemark.Seq, err error) {
		err = db.Thread(c, root, from, to, descending, func(seq tidemark.Seq) bool {
			seqs = append(seqs, seq)
			return len(seqs) < limit
		})
		return seqs, err
	})
	if err != nil {
		return nil, fmt.Errorf("partition: thread of %d in %d: %w", root, c, err)
	}
	return seqs, nil
}

// reactions are the committed reactions to an event from one on, at most limit; User is not filled in.
func (p *Partition) reactions(from record.Index, alone bool, limit int) ([]ReactionRow, error) {
	p.stats.misses.Add(1)
	rows, err := readWhole(p, from.Conversation, func(db *store.Partition) (rows []ReactionRow, err error) {
		err = db.Reactions(from, alone, func(key string, u record.User) bool {
			i := from
			i.ID, i.User = key, u
			if asBefore(p, func(o *overlay) *table[record.Index, bool] { return &o.indexes }, i, true) {
				rows = append(rows, ReactionRow{Key: key, Ordinal: u})
			}
			return len(rows) < limit
		})
		return rows, err
	})
	if err != nil {
		return nil, fmt.Errorf("partition: reactions to %d in %d: %w", from.Seq, from.Conversation, err)
	}
	return rows, nil
}
