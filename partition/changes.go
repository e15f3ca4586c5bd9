// SPDX-License-Identifier: Apache-2.0

// Committed reads of what changed since a position: entries of the indexes that are ordered by position, and the events
// about members. What is committed is answered exactly, whatever the batch in flight, or a commit that has failed
// half-way, has done to the rows in the store: a change that these reads miss would be missed for ever.

package partition

import (
	"cmp"
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// ProfilesChanged are the entries of the index of changed profiles from one on (Position, ID) with a position up to and
// including to, at most limit, ascending: the users at home here whose profile changed then for the last time. The
// caller goes on behind the last with its ID and a byte 0. to must be published.
func (p *Partition) ProfilesChanged(from record.Index, to tidemark.Position, limit int) ([]record.Index, error) {
	from.Kind = record.ProfileIndex
	return p.changedIndex(from, to, limit)
}

// ContactsChanged are the entries of a user's contacts from one on (User, Position, Conversation) with a position up to
// and including to, at most limit, ascending. to must be published.
func (p *Partition) ContactsChanged(from record.Index, to tidemark.Position, limit int) ([]record.Index, error) {
	from.Kind = record.ContactIndex
	return p.changedIndex(from, to, limit)
}

// changedIndex reads entries of an index that is ordered by position. What the batch in flight adds lies past every
// published position; what it takes out is put back.
func (p *Partition) changedIndex(from record.Index, to tidemark.Position, limit int) ([]record.Index, error) {
	var entries []record.Index
	p.stats.misses.Add(1)
	err := p.db.Index(from, false, func(i record.Index) bool {
		if i.Position > to {
			return false
		}
		entries = append(entries, i)
		return len(entries) < limit
	})
	if err != nil {
		return nil, fmt.Errorf("partition: index %d: %w", from.Kind, err)
	}
	last := record.Index{Position: to + 1}
	if len(entries) == limit {
		last = entries[limit-1]
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.mem.flight == nil {
		return entries, nil
	}
	for i := range p.mem.flight.indexes.rows {
		r := &p.mem.flight.indexes.rows[i]
		if !r.base || r.key.Kind != from.Kind || r.key.User != from.User || byPosition(r.key, from) < 0 || byPosition(r.key, last) >= 0 {
			continue
		}
		if at, found := slices.BinarySearchFunc(entries, r.key, byPosition); !found {
			entries = slices.Insert(entries, at, r.key)
		}
	}
	return entries[:min(len(entries), limit)], nil
}

// byPosition is the order of the rows of an index that is ordered by position.
func byPosition(a, b record.Index) int {
	return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Conversation, b.Conversation), cmp.Compare(a.ID, b.ID))
}

// MembershipsMax counts the events after < seq <= to that are about members, and stops counting at most.
func (p *Partition) MembershipsMax(c record.Conversation, after, to tidemark.Seq, most int) (n int, err error) {
	p.stats.misses.Add(1)
	n, err = readWhole(p, c, func(db *store.Partition) (n int, err error) {
		err = db.Memberships(c, after, func(seq tidemark.Seq) bool {
			if seq <= to {
				n++
			}
			return seq < to && n < most
		})
		return n, err
	})
	if err != nil {
		return 0, fmt.Errorf("partition: events about members of %d: %w", c, err)
	}
	return n, nil
}

// MembershipEvents are the events after < seq <= to that are about members, ascending, at most limit and, after the
// first, at most bytesMax of bodies. to must be committed. kept is false if something past after is no longer kept: then
// the events do not tell everything.
func (p *Partition) MembershipEvents(
	c record.Conversation, after, to tidemark.Seq, limit, bytesMax int,
) (events []*record.Event, kept bool, err error) {
	p.stats.misses.Add(1)
	seqs, err := readWhole(p, c, func(db *store.Partition) (seqs []tidemark.Seq, err error) {
		err = db.Memberships(c, after, func(seq tidemark.Seq) bool {
			if seq <= to {
				seqs = append(seqs, seq)
			}
			return seq < to && len(seqs) < limit
		})
		return seqs, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("partition: events about members of %d: %w", c, err)
	}
	bytes := 0
	for _, seq := range seqs {
		e, err := p.event(c, seq)
		if err != nil {
			return nil, false, err
		}
		if e == nil {
			return nil, false, nil
		}
		if bytes += len(e.Body); bytes > bytesMax && len(events) > 0 {
			break
		}
		events = append(events, e)
	}
	kept, err = p.keptSince(c, after) // last: what was removed meanwhile is seen
	return events, kept, err
}

// keptSince reports whether every event past a seq is kept.
func (p *Partition) keptSince(c record.Conversation, after tidemark.Seq) (bool, error) {
	h, err := p.head(c)
	return err == nil && h != nil && h.Floor <= after, err
}
