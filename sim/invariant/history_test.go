// SPDX-License-Identifier: Apache-2.0

// Histories written by hand: each broken one must be reported under its number, the right one not at all.

package invariant_test

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

var (
	ann   = invariant.Who{User: "ann", Device: "phone"}
	ben   = invariant.Who{User: "ben", Device: "phone"}
	epoch = uint64(7)
)

// world is a checker and what its devices are told.
type world struct {
	*testing.T
	c        *invariant.Checker
	requests uint64
	log      []*wire.Event     // of conversation "team"
	digests  []tidemark.Digest // digests[seq]
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, c: invariant.New(), digests: []tidemark.Digest{chain.Start("team")}}
	w.c.Happened(invariant.Incident{Kind: invariant.Started, Epoch: tidemark.Epoch(epoch)})
	w.connect(1, ann)
	w.connect(2, ben)
	return w
}

func (w *world) connect(number uint64, who invariant.Who) {
	w.c.Sent(who, number, &wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: &wire.Hello{DeviceId: string(who.Device)}}})
	w.c.Received(who, number, &wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: &wire.Welcome{Epoch: epoch, Partitions: 1}}})
}

// wants fails unless the first violation is of this invariant; "" is none.
func (w *world) wants(number string) {
	w.Helper()
	switch v := w.c.Violation(); {
	case v == nil && number != "":
		w.Errorf("nothing was seen, want %s", number)
	case v != nil && v.Invariant != number:
		w.Errorf("%v, want %q", v, number)
	}
}

// write appends an event to the log, as a server would.
func (w *world) write(sender, clientID string, body *wire.Body) *wire.Event {
	seq := uint64(len(w.log) + 1)
	e := &wire.Event{
		Seq: seq, Id: 1000 + seq, TimeMs: 1_700_000_000_000 + seq, Sender: sender, ClientId: clientID,
		Salt: []byte{1, 2, 3, 4, 5, 6, 7, byte(seq)}, Body: wire.MarshalBody(body),
	}
	link, ok := invariant.LinkOf(e)
	if !ok {
		w.Fatal("an event without a link")
	}
	w.log, w.digests = append(w.log, e), append(w.digests, chain.Next(w.digests[seq-1], link))
	return e
}

func text(s string) *wire.Body {
	return &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Type: "text", Text: s}}}
}

// delta tells a device of events, and of the head as it is.
func (w *world) delta(who invariant.Who, number uint64, events ...*wire.Event) {
	d := &wire.ConversationDelta{Id: "team", HeadSeq: uint64(len(w.log)), HeadDigest: w.digests[len(w.log)][:], Events: events}
	if len(events) > 0 {
		d.PrevSeq = events[0].Seq - 1
	}
	w.c.Received(who, number, &wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Conversations: []*wire.ConversationDelta{d}}}})
}

// submit sends a text and answers it with an event of the log.
func (w *world) submit(who invariant.Who, number uint64, clientID, s string) *wire.Event {
	w.requests++
	w.c.Sent(who, number, &wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
		Request: w.requests, ClientId: clientID, Conversation: "team", Action: &wire.Submit_Message{Message: text(s).GetMessage()},
	}}})
	e := w.write(string(who.User), clientID, text(s))
	w.answer(who, number, w.requests, e, false)
	return e
}

func (w *world) answer(who invariant.Who, number, request uint64, e *wire.Event, duplicate bool) {
	w.c.Received(who, number, &wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: &wire.Submitted{
		Request: request, Conversation: "team", Seq: e.Seq, Id: e.Id, TimeMs: e.TimeMs, Salt: e.Salt,
		Digest: w.digests[e.Seq][:], Position: e.Seq, Duplicate: duplicate,
	}}})
}

func TestWhatIsToldAgreesIsNotReported(t *testing.T) {
	w := newWorld(t)
	e := w.submit(ann, 1, "a1", "hello")
	w.delta(ben, 2, e)
	link, _ := invariant.LinkOf(e)
	recalled := &wire.Event{Seq: 1, Id: e.Id, TimeMs: e.TimeMs, Sender: "ann", ClientId: "a1", BodyHash: link.BodyHash[:], Kind: 1, Recalled: 2}
	w.delta(ben, 2, recalled)
	w.wants("")
}

func TestAnAcknowledgedHeaderNeverChanges(t *testing.T) {
	w := newWorld(t)
	e := w.submit(ann, 1, "a1", "hello")
	w.delta(ben, 2, &wire.Event{Seq: e.Seq, Id: e.Id, TimeMs: e.TimeMs + 1, Sender: "ann", ClientId: "a1", Salt: e.Salt, Body: e.Body})
	w.wants("S1")
}

func TestSeqsComeAscending(t *testing.T) {
	w := newWorld(t)
	first, second := w.write("cat", "c1", text("1")), w.write("cat", "c2", text("2"))
	w.delta(ben, 2, second, first)
	w.wants("S1")
}

func TestAPlaceOfTheLogNamesOneEvent(t *testing.T) {
	w := newWorld(t)
	e := w.write("cat", "c1", text("1"))
	w.delta(ann, 1, e)
	w.delta(ben, 2, &wire.Event{Seq: 1, Id: 5, TimeMs: e.TimeMs, Sender: "dan", ClientId: "d1", Salt: e.Salt, Body: e.Body})
	w.wants("S2")
}

func TestAnotherHistoryIsReported(t *testing.T) {
	w := newWorld(t)
	e := w.write("cat", "c1", text("1"))
	w.delta(ann, 1, e)
	w.digests[1][0]++
	w.delta(ben, 2, e)
	w.wants("Y3")
}
