// SPDX-License-Identifier: Apache-2.0

// What has happened: a hash over all of it, and on demand a story for people.

package sim

import (
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// trace is a hash over everything that happens, in order: of two runs with the same hash, the same has happened.
type trace struct{ sum uint64 }

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// add mixes something that has happened in.
func (t *trace) add(what string, a, b uint64) {
	if t.sum == 0 {
		t.sum = fnvOffset
	}
	for i := range len(what) {
		t.sum = (t.sum ^ uint64(what[i])) * fnvPrime
	}
	for _, v := range [...]uint64{a, b} {
		for range 8 {
			t.sum = (t.sum ^ v&0xff) * fnvPrime
			v >>= 8
		}
	}
}

// about says whom a line of the story concerns; empty: everybody.
type about struct {
	conversation tidemark.ConversationID
	user         tidemark.UserID
	device       tidemark.DeviceID
}

// line is one line of the story.
type line struct {
	atMs  uint64
	about about
	text  string
}

// say adds a line to the story, if it is told.
func (w *world) say(a about, format string, args ...any) {
	if w.telling {
		w.story = append(w.story, line{w.nowMs, a, fmt.Sprintf(format, args...)})
	}
}

// tellFrame says what a frame of the server tells a device.
func (w *world) tellFrame(d *device, f *wire.ServerFrame) {
	if !w.telling {
		return
	}
	switch f := f.Frame.(type) {
	case *wire.ServerFrame_Welcome:
		w.say(d.about(), "hears welcome%s", reset(f.Welcome))
	case *wire.ServerFrame_Delta:
		for _, c := range f.Delta.Conversations {
			a := d.about()
			a.conversation = tidemark.ConversationID(c.Id)
			w.say(a, "hears of %s: head %d, prev %d, events %s, unread %d%s", c.Id, c.HeadSeq, c.PrevSeq, span(c.Events), c.GetUnread(), removed(c))
		}
		if len(f.Delta.Checkpoints) > 0 {
			w.say(d.about(), "hears checkpoints %v", f.Delta.Checkpoints)
		}
	case *wire.ServerFrame_Synced:
		w.say(d.about(), "is synced up to %v", f.Synced.Cursor.GetPositions())
	case *wire.ServerFrame_Submitted:
		a := d.about()
		a.conversation = tidemark.ConversationID(f.Submitted.Conversation)
		w.say(a, "hears that its request %d is stored as %d of %s, position %d, duplicate %v", f.Submitted.Request, f.Submitted.Seq, f.Submitted.Conversation, f.Submitted.Position, f.Submitted.Duplicate)
	case *wire.ServerFrame_Fetched:
		a := d.about()
		a.conversation = tidemark.ConversationID(f.Fetched.Conversation)
		w.say(a, "gets a page of %s: events %s, head %d", f.Fetched.Conversation, span(f.Fetched.Events), f.Fetched.HeadSeq)
	case *wire.ServerFrame_Error:
		w.say(d.about(), "hears that its request %d is refused: %s", f.Error.Request, f.Error.Message)
	case *wire.ServerFrame_Bye:
		w.say(d.about(), "hears bye %v", f.Bye.Reason)
	}
}

func reset(f *wire.Welcome) string {
	if f.Reset_ == nil {
		return ""
	}
	return " with reset " + f.Reset_.Reason.String()
}

func removed(c *wire.ConversationDelta) string {
	if c.Removed {
		return ", removed"
	}
	return ""
}

func span(events []*wire.Event) string {
	if len(events) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d to %d", events[0].Seq, events[len(events)-1].Seq)
}
