// SPDX-License-Identifier: Apache-2.0

// Rooms in the random runs.

package replica_test

import (
	"cmp"
	"fmt"

	"pgregory.net/rapid"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// room makes a device enter or leave the room, or do something there.
func (r *run) room(t *rapid.T) {
	d := r.any(t)
	if d.replica.Room(hall) == nil {
		d.enter(hall)
		return
	}
	if rapid.IntRange(0, 5).Draw(t, "leave") == 0 {
		d.leave(hall)
		return
	}
	d.submit(hall, r.inHall(t))
}

// inHall is something to send to the room.
func (r *run) inHall(t *rapid.T) *wire.Body {
	head := len(r.server.logs[hall].events)
	seq := uint64(rapid.IntRange(max(1, head-8), head).Draw(t, "target"))
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		return &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: seq, Message: &wire.Message{Text: fmt.Sprint("edit ", seq)}}}}
	case 1:
		return &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: seq}}}
	case 2:
		return &wire.Body{Body: &wire.Body_Pin{Pin: &wire.Pin{Seq: seq, Removed: rapid.Bool().Draw(t, "removed")}}}
	}
	return text2body(fmt.Sprint("text ", head))
}

// shout makes those without a device do much in the room at once.
func (r *run) shout(t *rapid.T) {
	for i := range rapid.IntRange(1, 8).Draw(t, "events") {
		if rapid.IntRange(0, 4).Draw(t, "attribute") == 0 {
			r.server.setAttribute(hall, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "value"))
			continue
		}
		r.server.shout(fmt.Sprint(r.server.salt, i))
	}
}

// checkRoom checks at the end what a device has of the room against the log, and what it was told.
func (r *run) checkRoom(d *device) {
	d.nothingStored()
	h := r.server.logs[hall]
	seen := map[string]int{}
	for _, e := range h.events {
		if seen[e.Sender+" "+e.ClientId]++; e.ClientId != "" && seen[e.Sender+" "+e.ClientId] > 1 {
			r.Fatalf("%s is twice in the room", e.ClientId)
		}
	}
	last := tidemark.Seq(0)
	for _, n := range d.notes {
		switch n := n.(type) {
		case replica.RoomChanged:
			if n.State == replica.RoomLeft {
				last = 0
			}
		case replica.HistoryChanged:
			if n.Conversation == hall {
				last = 0
			}
		case replica.RoomEvent:
			if last > 0 && n.Message.Seq != last+n.Gap+1 {
				r.Fatalf("%s: in the room %d came after %d with a gap of %d", d.name, n.Message.Seq, last, n.Gap)
			}
			last = n.Message.Seq
		}
	}
	room := d.replica.Room(hall)
	if room == nil {
		return
	}
	if !room.In || int(room.Head) != len(h.events) {
		r.Fatalf("%s: in the room it is at %d of %d, in: %t", d.name, room.Head, len(h.events), room.In)
	}
	for _, m := range room.Messages {
		want, f := h.bodies[m.Seq].GetMessage(), h.form(m.Seq)
		want = cmp.Or(f.content, want)
		if f.recalled > 0 {
			want = nil
		}
		if e := h.events[m.Seq-1]; e.kind == 1 && (m.Text() != want.GetText() || m.RecallSeq != f.recalled || m.EditSeq != f.edit && f.recalled == 0 || m.PinSeq != f.pin && f.recalled == 0) {
			r.Fatalf("%s: in the room %+v, want %+v %q", d.name, m, f, want.GetText())
		}
	}
	if got, want := fmt.Sprint(room.Info.GetAttributes()), fmt.Sprint(h.attributes()); got != want {
		r.Fatalf("%s: attributes %s, want %s", d.name, got, want)
	}
}
