// SPDX-License-Identifier: Apache-2.0

// Timers against what waits for them, and what must be gone with events that are no longer kept.

package verify

import (
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// aboveFloor notes a row about an event that is no longer kept.
func (v *conversation) aboveFloor(seq tidemark.Seq, what string) {
	if seq <= v.head.Floor {
		v.damaged(seq, what, "a row", fmt.Sprintf("none: nothing up to event %d is kept", v.head.Floor))
	}
}

// trimmed reports whether events of a conversation are no longer kept.
func (c *checker) trimmed(ordinal record.Conversation) bool {
	head, err := c.p.Head(ordinal)
	return err == nil && head != nil && head.Floor > 0
}

// checkTimers wants a timer for each scheduled message that waits and each conversation that says it has one, and none
// beside them.
func (c *checker) checkTimers() error {
	waiting := uint64(0)
	err := all(c, store.ScheduledRow, func(r *reader) (*record.Scheduled, error) { return r.Scheduled() }, func(k store.Key, s *record.Scheduled) {
		c.atMost(0, fmt.Sprintf("user of the scheduled message %q", k.ID), uint64(k.User), uint64(c.state.Users))
		if s.Reason != "" {
			return
		}
		waiting++
		i := record.Index{Kind: record.TimerIndex, Timer: record.SubmitTimer, DueMs: s.DueMs, Conversation: k.Conversation, User: k.User, ID: k.ID}
		if !c.hasTimer(i) {
			c.damaged(0, fmt.Sprintf("timer of the scheduled message %q of user ordinal %d", k.ID, k.User), "none", "one")
		}
	})
	if err != nil {
		return err
	}
	err = all(c, store.HeadRow, func(r *reader) (*record.Head, error) { return r.Head() }, func(k store.Key, h *record.Head) {
		if h.TrimMs == 0 {
			return
		}
		waiting++
		if !c.hasTimer(record.Index{Kind: record.TimerIndex, Timer: record.TrimTimer, DueMs: h.TrimMs, Conversation: k.Conversation}) {
			c.at = c.idOf(k.Conversation)
			c.damaged(0, "timer of the conversation", "none", fmt.Sprintf("one that is due at %d", h.TrimMs))
			c.at = ""
		}
	})
	if err != nil {
		return err
	}
	timers := uint64(0)
	err = all(c, store.TimerRow, func(*reader) (struct{}, error) { return struct{}{}, nil }, func(store.Key, struct{}) { timers++ })
	if err == nil {
		c.atMost(0, "timers", timers, waiting)
	}
	return err
}

func (c *checker) hasTimer(want record.Index) (there bool) {
	_ = c.p.Index(want, false, func(i record.Index) bool {
		there = i == want
		return false
	})
	return there
}
