// SPDX-License-Identifier: Apache-2.0

// Read marks: read ≤ delivered ≤ head, and never falling (S10).

package invariant

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// marked names a user's read mark in a conversation.
type marked struct {
	place
	user tidemark.UserID
}

// marks is how a read mark has moved: each step with when it was first seen.
type marks struct {
	steps []markStep
}

type markStep struct {
	seq tidemark.Seq
	at  int64
}

// before is the greatest mark that was seen before a moment.
func (m *marks) before(at int64) tidemark.Seq {
	for i := len(m.steps) - 1; i >= 0; i-- {
		if m.steps[i].at < at {
			return m.steps[i].seq
		}
	}
	return 0
}

// read takes in a user's read mark. An answer is as new as its question; a frame only follows those before it on its
// connection.
func (c *Checker) read(from source, in tidemark.ConversationID, user tidemark.UserID, seq tidemark.Seq) {
	key := marked{place{from.epoch, in}, user}
	m := c.marks[key]
	if m == nil {
		m = &marks{}
		c.marks[key] = m
	}
	before := m.before(from.at)
	if from.on != nil {
		if before = 0; user == from.who.User {
			before = from.on.reads[in]
			from.on.reads[in] = max(before, seq)
		}
	}
	if seq < before {
		c.report(about("S10", Who{User: user}, in, seq, "the read mark falls from %d to %d, %s is told", before, seq, from.who))
	}
	if last := len(m.steps) - 1; last < 0 || m.steps[last].seq < seq {
		m.steps = append(m.steps, markStep{seq, c.now})
	}
}

// members takes in the marks of members as a list of them tells. Zeros are of members whose marks the asker does not see.
func (c *Checker) members(from source, in tidemark.ConversationID, members []*wire.Member) {
	for _, m := range members {
		user := tidemark.UserID(m.User)
		if m.ReadSeq > m.DeliveredSeq && m.DeliveredSeq > 0 {
			c.report(about("S10", Who{User: user}, in, tidemark.Seq(m.ReadSeq), "read up to %d and received up to %d", m.ReadSeq, m.DeliveredSeq))
		}
		if m.ReadSeq > 0 {
			c.read(from, in, user, tidemark.Seq(m.ReadSeq))
		}
	}
}
