// SPDX-License-Identifier: Apache-2.0

// Indexes that are ordered otherwise than the log: client ids and commits. Sums tell whether they agree; only if they
// do not, every entry is looked up to find out where.

package verify

import (
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// checkClientIDs compares the rows of client ids with the events that have one.
func (v *conversation) checkClientIDs() error {
	var stored sum
	var shared [][]tidemark.Seq // rows of several seqs: equal hashes, or a client id that made two events
	err := each(v.clientIDs, v.info.Ordinal, v.clientIDs.Seqs, func(k store.Key, seqs []tidemark.Seq) {
		slices.Sort(seqs)
		seqs = slices.Compact(seqs)
		for _, seq := range seqs {
			v.counts.ClientIDs++
			add(&stored, indexed{k.Hash, seq})
		}
		if len(seqs) > 1 {
			shared = append(shared, seqs)
		}
	})
	if err != nil {
		return err
	}
	for _, seqs := range shared {
		if err := v.checkSharedRow(seqs); err != nil {
			return err
		}
	}
	if stored != v.indexed {
		return v.findClientIDs()
	}
	return nil
}

// checkSharedRow checks that the events of one row have different senders or client ids.
func (v *conversation) checkSharedRow(seqs []tidemark.Seq) error {
	type name struct {
		sender record.User
		id     tidemark.ClientID
	}
	first := make(map[name]tidemark.Seq)
	for _, seq := range seqs {
		e, err := v.p.Event(v.info.Ordinal, seq)
		if err != nil {
			return v.unreadable("event of a client id", err)
		}
		if e == nil {
			continue // found out by the sums
		}
		n := name{e.Sender, e.ClientID}
		if earlier, twice := first[n]; twice {
			v.damaged(seq, "client id "+string(e.ClientID), fmt.Sprintf("that of event %d, too", earlier), "one event for each client id of a sender")
			continue
		}
		first[n] = seq
	}
	return nil
}

// findClientIDs names every difference between the client ids' rows and the events.
func (v *conversation) findClientIDs() error {
	err := v.p.Events(v.info.Ordinal, 1, store.SeqMax, false, func(e *record.Event) bool {
		if e.ClientID == "" {
			return true
		}
		seq, err := v.p.ByClientID(v.info.Ordinal, e.Sender, e.ClientID)
		if err != nil || seq != e.Seq {
			v.damaged(e.Seq, "index of client id "+string(e.ClientID), orNone(seq, err), e.Seq)
		}
		return true
	})
	if err != nil {
		return v.unreadable("events", err)
	}
	rows, err := v.read(store.ClientIDRow)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.ready && rows.Key().Conversation < v.info.Ordinal {
		if err := rows.next(); err != nil {
			return err
		}
	}
	return each(rows, v.info.Ordinal, rows.Seqs, func(k store.Key, seqs []tidemark.Seq) {
		for _, seq := range seqs {
			e, err := v.p.Event(v.info.Ordinal, seq)
			if err != nil || e == nil || e.ClientID == "" || v.p.ClientIDKey(v.info.Ordinal, e.Sender, e.ClientID).Hash != k.Hash {
				v.damaged(seq, fmt.Sprintf("client id row %x", k.Hash), "in the index", "none: no event of this seq has such a client id")
			}
		}
	})
}

func orNone(seq tidemark.Seq, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case seq == 0:
		return "none"
	}
	return fmt.Sprint(seq)
}

// checkCommits compares the rows of commits with the positions of all events.
func (c *checker) checkCommits() error {
	var stored sum
	err := c.eachCommit(func(position tidemark.Position, events []record.ConversationSeq) {
		c.counts.Commits++
		c.atMost(0, "position of a commit", uint64(position), uint64(c.state.Position))
		for _, e := range events {
			add(&stored, placed{position, e})
		}
	})
	if err != nil || stored == c.appended {
		return err
	}
	before := len(c.damages)
	if err := c.findCommits(); err != nil {
		return err
	}
	if len(c.damages) == before && c.undescribed == 0 {
		c.damaged(0, "events of the commits", fmt.Sprintf("%d", stored.n), fmt.Sprintf("%d, each once", c.appended.n))
	}
	return nil
}

func (c *checker) eachCommit(fn func(tidemark.Position, []record.ConversationSeq)) error {
	rows, err := c.read(store.CommitRow)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.ready {
		position := rows.Key().Position
		events, ok, err := take(rows, rows.Commit)
		if ok {
			fn(position, events)
		}
		if err != nil {
			return err
		}
	}
	return c.ctx.Err()
}

// findCommits names every difference between the commits' rows and the events.
func (c *checker) findCommits() error {
	err := c.eachCommit(func(position tidemark.Position, events []record.ConversationSeq) {
		for _, at := range events {
			e, err := c.p.Event(at.Conversation, at.Seq)
			if err != nil || e == nil || e.Position != position {
				found := "no such event"
				if e != nil {
					found = fmt.Sprintf("an event of position %d", e.Position)
				}
				c.damaged(at.Seq, fmt.Sprintf("commit %d, conversation ordinal %d", position, at.Conversation), found, "an event of this commit")
			}
		}
	})
	if err != nil {
		return err
	}
	rows, err := c.read(store.EventRow)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.ready {
		at := record.ConversationSeq{Conversation: rows.Key().Conversation, Seq: rows.Key().Seq}
		e, ok, err := take(rows, rows.Event)
		if ok && !c.committed(e.Position, func(events []record.ConversationSeq) bool { return slices.Contains(events, at) }) {
			c.damaged(at.Seq, fmt.Sprintf("commit %d, conversation ordinal %d", e.Position, at.Conversation), "a row without the event", "the event")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// committed reports whether the row of a commit satisfies ok.
func (c *checker) committed(position tidemark.Position, ok func([]record.ConversationSeq) bool) (is bool) {
	_ = c.p.Commits(position, func(at tidemark.Position, events []record.ConversationSeq) bool {
		is = at == position && ok(events)
		return false
	})
	return is
}
