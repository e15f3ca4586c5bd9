// SPDX-License-Identifier: Apache-2.0

// Messages for later in the random histories of TestCountsAreExact: each is submitted at its time and once, what cannot be
// is listed, and nobody's message of earlier reads anything.

package partition

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// awaited is a message that waits for its time, or could not be submitted then.
type awaited struct {
	b      *book
	user   tidemark.UserID
	id     tidemark.ClientID
	m      *wire.Message
	atMs   uint64
	failed bool
}

// later queues a command that schedules a message or takes one back.
func (c *counting) later(b *book, u tidemark.UserID) {
	mine := slices.DeleteFunc(slices.Clone(c.awaited), func(a *awaited) bool { return a.b != b || a.user != u })
	a := &awaited{b: b, user: u, id: tidemark.ClientID(fmt.Sprint("later", c.ids))}
	if len(mine) > 0 && rapid.Bool().Draw(c.r, "again") {
		a.id = rapid.SampledFrom(mine).Draw(c.r, "of those").id
		if rapid.Bool().Draw(c.r, "take back") {
			cmd := &core.Unschedule{Actor: core.Actor{User: u}, Conversation: b.id, ClientID: a.id}
			c.submit(b, cmd, func(*told) { c.forget(a) })
			return
		}
	}
	a.m, a.atMs = c.message(), c.now+uint64(rapid.IntRange(1, 100*60_000).Draw(c.r, "ahead"))
	if rapid.Bool().Draw(c.r, "soon") {
		a.atMs = c.now + 2
	}
	submit := &core.Submit{Actor: core.Actor{User: u}, Conversation: b.id, ClientID: a.id, Message: a.m}
	c.submit(b, &core.Schedule{Submit: submit, AtMs: a.atMs}, func(*told) {
		c.forget(a)
		c.awaited = append(c.awaited, a)
	})
}

func (c *counting) forget(a *awaited) {
	c.awaited = slices.DeleteFunc(c.awaited, func(b *awaited) bool { return b.b == a.b && b.user == a.user && b.id == a.id })
}

// step is the world's; then it takes in what was submitted without anybody asking.
func (c *counting) step() {
	c.world.step()
	for _, b := range c.books {
		page, err := c.set.Fetch("", &wire.Fetch{Conversation: string(b.id), From: &wire.Fetch_After{After: uint64(len(b.log))}, Limit: 500})
		c.must(err)
		for _, e := range page.Events {
			c.arrive(b, e)
		}
	}
	for _, a := range c.awaited {
		if a.atMs > c.now {
			continue
		}
		if m := a.b.members[a.user]; m != nil && m.active && !a.failed {
			c.r.Fatalf("%s of %s in %s is due since %d ms and not there", a.id, a.user, a.b.id, c.now-a.atMs)
		}
		a.failed = true
	}
}

// arrive takes in one message that waited.
func (c *counting) arrive(b *book, e *wire.Event) {
	at := slices.IndexFunc(c.awaited, func(a *awaited) bool {
		return a.b == b && string(a.user) == e.Sender && string(a.id) == e.ClientId
	})
	if at < 0 || c.awaited[at].atMs > c.now || c.awaited[at].failed || e.Seq != uint64(len(b.log)+1) {
		c.r.Fatalf("event %d of %s was not to be submitted now: %v", e.Seq, b.id, e)
	}
	a := c.awaited[at]
	c.forget(a)
	info, err := c.set.Of(b.id).Info(b.id)
	c.must(err)
	stored, err := c.set.Of(b.id).event(info.Ordinal, tidemark.Seq(e.Seq))
	c.must(err)
	b.log = append(b.log, told{sender: a.user, message: true, counted: true, position: stored.Position, timeMs: e.TimeMs})
	m, seq := b.members[a.user], tidemark.Seq(e.Seq)
	if m.read == seq-1 {
		m.read = seq
	} else {
		m.own = append(m.own, seq)
	}
	b.mention(&b.log[seq-1], a.m)
}

// checkAwaited compares the lists of what waits, in pages of two.
func (c *counting) checkAwaited(u tidemark.UserID) {
	want := make(map[string]bool)
	for _, a := range c.awaited {
		if a.user == u {
			want[fmt.Sprint(a.b.id, a.id, a.atMs, a.failed)] = true
		}
	}
	n := 0
	for after := (*ScheduledPlace)(nil); ; {
		page, more, err := c.set.ScheduledOf(u, "", after, 2)
		c.must(err)
		for _, m := range page {
			n++
			after = &m.ScheduledPlace
			if line := fmt.Sprint(m.In, m.ID, m.Scheduled.DueMs, m.Scheduled.Reason == tidemark.NotMember.String()); !want[line] {
				c.r.Fatalf("%s has scheduled %s (%s), by brute force %v", u, line, m.Scheduled.Message, want)
			}
		}
		if !more {
			break
		}
	}
	if n != len(want) {
		c.r.Fatalf("%s has scheduled %d messages, by brute force %v", u, n, want)
	}
}
