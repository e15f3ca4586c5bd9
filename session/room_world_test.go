// SPDX-License-Identifier: Apache-2.0

// What the tests of rooms share: a device that is in rooms, and checks all it is given of them.

package session

import (
	"bytes"
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// inRoom is what a device has of a room that it is in. It checks what any client can check.
type inRoom struct {
	d       *device
	id      string
	request uint64 // of enter
	begin   uint64 // the last event that enter was answered with; 0: not answered yet
	have    uint64 // everything up to it came, or was left out
	digest  tidemark.Digest
	texts   []string
	leftOut []uint64 // since begin
	given   []uint64 // since begin
	info    *wire.ConversationInfo
	self    *wire.Self
	ended   bool
}

func (tc *testWorld) room(id tidemark.ConversationID, settings *wire.Settings, members ...tidemark.UserID) {
	tc.Helper()
	if tc.roomIDs == nil {
		tc.roomIDs = make(map[string]bool)
	}
	tc.roomIDs[string(id)] = true
	tc.do(&core.Create{
		Actor: core.Actor{App: true}, Conversation: id, Kind: record.Room, Title: string(id), Owner: "olga", Members: members, Settings: settings,
	})
}

func (d *device) sendEnter(id string) {
	d.tc.Helper()
	d.request++
	d.rooms[id] = &inRoom{d: d, id: id, request: d.request}
	d.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Enter{Enter: &wire.Enter{Request: d.request, Conversation: id}}})
}

// enter enters a room and reads everything.
func (d *device) enter(id string) *inRoom {
	d.tc.Helper()
	d.sendEnter(id)
	d.drain()
	return d.rooms[id]
}

// notEntered forgets a room that the device was not let into.
func (d *device) notEntered(request uint64) {
	for id, r := range d.rooms {
		if r.request == request {
			delete(d.rooms, id)
		}
	}
}

func (d *device) leave(id string) {
	d.tc.Helper()
	delete(d.rooms, id) // what is on its way does not count any more
	d.request++
	d.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Leave{Leave: &wire.LeaveRoom{Request: d.request, Conversation: id}}})
	d.drain()
}

func (d *device) submitRoom(id string, text string, priority wire.Priority) {
	d.tc.Helper()
	d.request++
	m := &wire.Submit{
		Request: d.request, ClientId: fmt.Sprintf("%s-r%d", d.name, d.request), Conversation: id,
		Action: &wire.Submit_Message{Message: &wire.Message{Type: "text", Text: text, Priority: priority}},
	}
	d.pending[d.request] = m
	d.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: m}})
}

func (tc *testWorld) say(id tidemark.ConversationID, text string, priority wire.Priority) core.Reply {
	tc.Helper()
	tc.sent++
	return tc.do(&core.Submit{
		Actor: core.Actor{App: true}, Conversation: id, ClientID: tidemark.ClientID(fmt.Sprintf("say-%d", tc.sent)),
		Message: &wire.Message{Type: "text", Text: text, Priority: priority},
	})
}

func (d *device) storeFetched(f *wire.Fetched) {
	d.tc.Helper()
	d.checkSeal("fetched", f.Conversation, f.HeadSeq, f.HeadDigest, f.HeadSeal)
	r := d.rooms[f.Conversation]
	if r == nil || r.request != f.Request {
		return
	}
	digest := tidemark.Digest{}
	copy(digest[:], f.PrevDigest)
	for i, e := range f.Events {
		if i > 0 && e.Seq != f.Events[i-1].Seq+1 {
			d.tc.Fatalf("%s enters %s and gets %d after %d", d.name, r.id, e.Seq, f.Events[i-1].Seq)
		}
		if d.tc.format == wire.Proto {
			digest = link(digest, e)
		}
		r.have = e.Seq
		r.texts = append(r.texts, textOf(e))
	}
	r.begin, r.digest = r.have, digest
}

// link is the chain value after an event in its current or its log form.
func link(prev tidemark.Digest, e *wire.Event) tidemark.Digest {
	if len(e.BodyHash) == 0 {
		return next(prev, e)
	}
	return chain.Next(prev, chain.Link{
		Seq: tidemark.Seq(e.Seq), ID: tidemark.EventID(e.Id), TimeMs: e.TimeMs, Sender: tidemark.UserID(e.Sender),
		ClientID: tidemark.ClientID(e.ClientId), Kind: uint8(e.Kind), BodyHash: tidemark.Digest(e.BodyHash),
	})
}

func textOf(e *wire.Event) string {
	if len(e.Body) == 0 {
		return e.GetBodyJson().GetMessage().GetText()
	}
	body := &wire.Body{}
	_ = body.UnmarshalVT(e.Body)
	return body.GetMessage().GetText()
}

func (r *inRoom) delta(c *wire.ConversationDelta) {
	t := r.d.tc
	t.Helper()
	if r.begin == 0 {
		t.Fatalf("%s: a delta of %s comes before the answer to enter", r.d.name, r.id)
	}
	if r.ended {
		t.Fatalf("%s: something follows after being taken out of %s", r.d.name, r.id)
	}
	if r.ended = c.Removed; r.ended {
		return
	}
	if c.Info != nil {
		r.info, r.self = c.Info, c.Self
	}
	if c.Unread != nil || c.Mentions != nil {
		t.Fatalf("%s: %s has counts", r.d.name, r.id)
	}
	if len(c.Events) == 0 {
		return
	}
	if c.PrevSeq != c.Events[0].Seq-1 || c.PrevSeq < r.have {
		t.Fatalf("%s: prevSeq %d before event %d of %s; has %d", r.d.name, c.PrevSeq, c.Events[0].Seq, r.id, r.have)
	}
	for seq := r.have + 1; seq <= c.PrevSeq; seq++ {
		r.leftOut = append(r.leftOut, seq)
	}
	if c.PrevSeq > r.have {
		if len(c.PrevDigest) == 0 {
			t.Fatalf("%s: a gap in %s without prevDigest", r.d.name, r.id)
		}
		r.digest = tidemark.Digest(c.PrevDigest)
	}
	r.have = c.PrevSeq
	for _, e := range c.Events {
		r.event(e)
	}
	if c.HeadSeq != r.have || t.format == wire.Proto && !bytes.Equal(c.HeadDigest, r.digest[:]) {
		t.Fatalf("%s: head %d of %s, has %d; or another digest", r.d.name, c.HeadSeq, r.id, r.have)
	}
}

func (r *inRoom) event(e *wire.Event) {
	r.d.tc.Helper()
	if e.Seq != r.have+1 {
		r.d.tc.Fatalf("%s: event %d of %s after %d", r.d.name, e.Seq, r.id, r.have)
	}
	if r.d.tc.format == wire.Proto {
		r.digest = link(r.digest, e)
	}
	r.have = e.Seq
	r.given = append(r.given, e.Seq)
	r.texts = append(r.texts, textOf(e))
}

func (r *inRoom) submitted(f *wire.Submitted, m *wire.Submit) {
	t := r.d.tc
	t.Helper()
	if r.begin == 0 || f.Seq <= r.begin || r.ended {
		return // it was written before, or what was before it is not given any more
	}
	r.event(&wire.Event{
		Seq: f.Seq, Id: f.Id, TimeMs: f.TimeMs, Sender: string(r.d.user), ClientId: m.ClientId, Counted: f.Counted, Salt: f.Salt,
		Body: wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: m.GetMessage()}}),
	})
	if t.format == wire.Proto && !bytes.Equal(f.Digest, r.digest[:]) {
		t.Fatalf("%s: the answer to event %d of %s has another digest", r.d.name, f.Seq, r.id)
	}
}

// want fails unless these are the texts that came, events without text aside.
func (r *inRoom) want(why string, texts ...string) {
	r.d.tc.Helper()
	have := slices.DeleteFunc(slices.Clone(r.texts), func(s string) bool { return s == "" })
	if !slices.Equal(have, texts) {
		r.d.tc.Fatalf("%s: %s has %q of %s, want %q", why, r.d.name, have, r.id, texts)
	}
}

// shed are the messages left out so far, low and normal.
func (tc *testWorld) shed() (low, normal uint64) {
	for n := range tc.set.Partitions() {
		s := tc.set.At(n).Stats()
		low, normal = low+s.ShedLow, normal+s.ShedNormal
	}
	return low, normal
}

func (tc *testWorld) receivers() (n uint64) {
	for i := range tc.set.Partitions() {
		n += tc.set.At(i).Stats().RoomReceivers
	}
	return n
}
