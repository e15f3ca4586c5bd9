// SPDX-License-Identifier: Apache-2.0

// What was told against the logs, and what devices have in the end: each broken history is reported under its number.

package invariant_test

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

func members(added, removed []string) *wire.Body {
	return &wire.Body{Body: &wire.Body_Members{Members: &wire.Members{Added: added, Removed: removed}}}
}

// team is the log of the world's conversation as it is.
func (w *world) team() *invariant.Log {
	return &invariant.Log{Conversation: "team", Kind: wire.Kind_GROUP, Events: w.log}
}

func (w *world) check() { w.c.Check([]*invariant.Log{w.team()}) }

func (w *world) received(who invariant.Who, number uint64, d *wire.Delta) {
	w.c.Received(who, number, &wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: d}})
}

func (w *world) checkpoint(who invariant.Who, number, position uint64) {
	w.received(who, number, &wire.Delta{Checkpoints: map[uint32]uint64{0: position}})
}

// begun is a world whose team has two members.
func begun(t *testing.T) *world {
	w := newWorld(t)
	w.write("system", "", members([]string{"ann", "ben"}, nil))
	return w
}

func TestALogThatAgreesIsNotReported(t *testing.T) {
	w := begun(t)
	e := w.submit(ann, 1, "a1", "hello")
	w.delta(ben, 2, w.log...)
	w.checkpoint(ben, 2, 2)
	w.answer(ann, 1, w.again(ann, 1, "a1", "hello"), e, true)
	w.check()
	w.wants("")
}

// again submits once more, and gives the request.
func (w *world) again(who invariant.Who, number uint64, clientID, s string) uint64 {
	w.requests++
	w.c.Sent(who, number, &wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
		Request: w.requests, ClientId: clientID, Conversation: "team", Action: &wire.Submit_Message{Message: text(s).GetMessage()},
	}}})
	return w.requests
}

func TestSeqsAreDense(t *testing.T) {
	w := begun(t)
	w.log[0].Seq = 2
	w.check()
	w.wants("S1")
}

func TestWhatWasToldIsDurable(t *testing.T) {
	w := begun(t)
	w.delta(ben, 2, w.write("cat", "c1", text("1")))
	w.log = w.log[:1]
	w.check()
	w.wants("S2")
}

func TestAPositionThatWasToldIsNeverOfTheFuture(t *testing.T) {
	w := begun(t)
	w.checkpoint(ben, 2, 5)
	w.c.Sent(ben, 3, &wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: &wire.Hello{Cursor: &wire.Cursor{Epoch: epoch, Positions: map[uint32]uint64{0: 5}}}}})
	w.c.Received(ben, 3, &wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: &wire.Welcome{
		Epoch: epoch, Reset_: &wire.Reset{Reason: wire.ResetReason_FUTURE},
	}}})
	w.wants("S2")
}

func TestTwoSendsOfAConnectionKeepTheirOrder(t *testing.T) {
	w := begun(t)
	first, second := w.again(ann, 1, "a1", "1"), w.again(ann, 1, "a2", "2")
	w.answer(ann, 1, second, w.write("ann", "a2", text("2")), false)
	w.answer(ann, 1, first, w.write("ann", "a1", text("1")), false)
	w.wants("S3")
}

func TestAFetchSeesWhatWasAcknowledgedBefore(t *testing.T) {
	for _, stale := range []bool{false, true} {
		w := begun(t)
		w.submit(ann, 1, "a1", "hello")
		w.submit(ann, 1, "a2", "hello")
		call := w.c.Called(invariant.Who{User: "ben"}, &wire.FetchRequest{Conversation: "team"})
		head := uint64(3)
		if stale {
			head = 2
		}
		w.c.Answered(call, &wire.Fetched{Conversation: "team", HeadSeq: head, Events: w.log[:head]})
		w.check()
		w.wants(map[bool]string{true: "S3"}[stale])
	}
}

func TestAClientIDMakesOneEvent(t *testing.T) {
	w := begun(t)
	w.write("ann", "a1", text("hello"))
	w.write("ann", "a1", text("hello"))
	w.check()
	w.wants("S4")
}

func TestAClientIDIsForgottenWithItsMessage(t *testing.T) {
	for floor, number := range map[tidemark.Seq]string{1: "S4", 2: ""} {
		w := begun(t)
		w.write("ann", "a1", text("hello"))
		w.write("ann", "a1", text("hello"))
		log := w.team()
		log.Floors = []tidemark.Seq{0, 0, floor} // 2, which has the client id, was still kept when 3 was written, or not
		w.c.Check([]*invariant.Log{log})
		w.wants(number)
	}
}

func TestARetryGetsTheFirstAnswer(t *testing.T) {
	w := begun(t)
	w.submit(ann, 1, "a1", "hello")
	w.answer(ann, 1, w.again(ann, 1, "a1", "hello"), w.submit(ann, 1, "a2", "other"), true)
	w.check()
	w.wants("S4")
}

// A message that is kept no longer when it is sent again may become another one.
func TestARetryOfWhatIsKeptNoLonger(t *testing.T) {
	for floor, number := range map[tidemark.Seq]string{1: "S4", 2: ""} {
		w := begun(t)
		w.submit(ann, 1, "a1", "hello")
		w.submit(ann, 1, "a1", "hello")
		log := w.team()
		log.Floors = []tidemark.Seq{0, 0, floor}
		w.c.Check([]*invariant.Log{log})
		w.wants(number)
	}
}

func TestNobodyIsToldWhatWasBeforeTheyJoined(t *testing.T) {
	w := begun(t)
	cat := invariant.Who{User: "cat", Device: "phone"}
	w.connect(3, cat)
	w.write("ann", "a1", text("hello"))
	w.write("system", "", members([]string{"cat"}, nil))
	w.delta(cat, 3, w.log[2])
	w.check()
	w.wants("")
	w.delta(cat, 3, w.log[1], w.log[2])
	w.check()
	w.wants("S5")
}

func TestNobodyIsToldWhatComesAfterTheyWereRemoved(t *testing.T) {
	w := begun(t)
	w.write("system", "", members(nil, []string{"ben"}))
	w.delta(ben, 2, w.log...)
	w.check()
	w.wants("")
	w.delta(ben, 2, w.write("ann", "a1", text("hello")))
	w.check()
	w.wants("S5")
}

func TestAnEditDoesNotSayWhatOneMayNotSee(t *testing.T) {
	w := begun(t)
	cat := invariant.Who{User: "cat", Device: "phone"}
	w.connect(3, cat)
	w.write("ann", "a1", text("hello"))
	w.write("system", "", members([]string{"cat"}, nil))
	edit := w.write("ann", "a2", &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: text("secret").GetMessage()}}})
	w.delta(cat, 3, edit)
	w.check()
	w.wants("S5")
}

func TestCursorsOnlyRise(t *testing.T) {
	w := begun(t)
	w.checkpoint(ben, 2, 5)
	w.checkpoint(ben, 2, 4)
	w.wants("S7")

	w = begun(t)
	w.c.Stored(ben, tidemark.Cursor{Epoch: 7, Positions: map[uint32]tidemark.Position{0: 5}})
	w.c.Stored(ben, tidemark.Cursor{Epoch: 7, Positions: map[uint32]tidemark.Position{0: 4}})
	w.wants("S7")
}

func TestACheckpointCoversWhatWasAcknowledged(t *testing.T) {
	w := begun(t)
	w.delta(ben, 2, w.log...)
	w.submit(ann, 1, "a1", "hello")
	w.checkpoint(ben, 2, 2)
	w.check()
	w.wants("S8")
}

func TestACursorOfAnotherEpochIsRefused(t *testing.T) {
	w := begun(t)
	w.c.Sent(ben, 3, &wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: &wire.Hello{Cursor: &wire.Cursor{Epoch: 6, Positions: map[uint32]uint64{0: 5}}}}})
	w.c.Received(ben, 3, &wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: &wire.Welcome{Epoch: epoch}}})
	w.wants("S9")
}

func TestAReadMarkNeverFalls(t *testing.T) {
	w := begun(t)
	for _, seq := range []uint64{1, 1, 0} {
		call := w.c.Called(invariant.Who{User: "ann"}, &wire.ReadRequest{Conversation: "team", Seq: 1})
		w.wants("")
		w.c.Answered(call, &wire.ReadResponse{ReadSeq: seq})
	}
	w.wants("S10")
}

func TestNobodyHasReadWhatIsNotWritten(t *testing.T) {
	w := begun(t)
	call := w.c.Called(invariant.Who{User: "ann"}, &wire.ReadRequest{Conversation: "team", Seq: 2})
	w.c.Answered(call, &wire.ReadResponse{ReadSeq: 2})
	w.check()
	w.wants("S10")
}

func TestNobodyHasReadWhatTheyHaveNotReceived(t *testing.T) {
	w := begun(t)
	call := w.c.Called(invariant.Who{}, &wire.ListMembersRequest{Conversation: "team"})
	w.c.Answered(call, &wire.ListMembersResponse{Members: []*wire.Member{{User: "ann", ReadSeq: 2, DeliveredSeq: 1}}})
	w.wants("S10")
}

func TestFramesHaveALimit(t *testing.T) {
	w := newWorld(t)
	w.c.Received(ann, 1, &wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: &wire.Welcome{Epoch: epoch, Limits: &wire.Limits{FrameBytesMax: 40}}}})
	w.delta(ann, 1, w.write("cat", "c1", text("more than forty bytes, which is all there may be")))
	w.wants("S13")
}

func TestNoAcknowledgedMessageIsLost(t *testing.T) {
	w := begun(t)
	w.submit(ann, 1, "a1", "hello")
	w.log = w.log[:1]
	w.check()
	w.wants("Y2")
}

func TestWhatWasAcknowledgedUnderAnotherEpochMayBeLost(t *testing.T) {
	w := begun(t)
	w.submit(ann, 1, "a1", "hello")
	w.log = w.log[:1]
	w.c.Happened(invariant.Incident{Kind: invariant.Restored, Epoch: 8})
	w.check()
	w.wants("")
}

// state is a device that has the events of the log from one seq on.
func (w *world) state(who invariant.Who, from int) *invariant.State {
	c := &replica.Conversation{
		ID: "team", HeadSeq: tidemark.Seq(len(w.log)), HeadDigest: w.digests[len(w.log)], Unread: 1,
		Segments: []replica.Segment{{From: tidemark.Seq(from), To: tidemark.Seq(len(w.log)), Prev: w.digests[from-1], Last: w.digests[len(w.log)]}},
	}
	s := &invariant.State{Who: who, Conversations: []*replica.Conversation{c}, Messages: map[tidemark.ConversationID][]replica.Message{}}
	for _, e := range w.log[from-1:] {
		s.Messages["team"] = append(s.Messages["team"], replica.Message{
			Conversation: "team", Seq: tidemark.Seq(e.Seq), ID: tidemark.EventID(e.Id), TimeMs: e.TimeMs, Sender: tidemark.UserID(e.Sender), Kind: 1,
		})
	}
	return s
}

func (w *world) converged(states ...*invariant.State) {
	w.c.Converged(states, []*invariant.Log{w.team()})
}

func TestDevices(t *testing.T) {
	tablet := invariant.Who{User: "ann", Device: "tablet"}
	for name, test := range map[string]struct {
		number string
		change func(w *world, phone, tablet *invariant.State)
	}{
		"all agree": {"", func(*world, *invariant.State, *invariant.State) {}},
		"an event is not stored": {"C1", func(_ *world, s, _ *invariant.State) {
			s.Messages["team"] = s.Messages["team"][1:]
		}},
		"a stored event is another": {"C1", func(_ *world, s, _ *invariant.State) { s.Messages["team"][1].ID++ }},
		"the chain is another":      {"C1", func(_ *world, s, _ *invariant.State) { s.Conversations[0].Segments[0].Prev[0]++ }},
		"segments overlap": {"C1", func(_ *world, s, _ *invariant.State) {
			seg := s.Conversations[0].Segments[0]
			s.Conversations[0].Segments = append(s.Conversations[0].Segments, seg)
		}},
		"devices show different counts":  {"C3", func(_ *world, s, _ *invariant.State) { s.Conversations[0].Unread++ }},
		"devices show different forms":   {"C3", func(_ *world, s, _ *invariant.State) { s.Messages["team"][2].EditSeq = 3 }},
		"devices show different numbers": {"C3", func(_ *world, s, _ *invariant.State) { s.Messages["team"][2].ThreadCount = 1 }},
		"devices show different numbers of what is kept no longer": {"", func(_ *world, s, other *invariant.State) {
			s.Conversations[0].Floor, other.Conversations[0].Floor = 3, 3
			s.Messages["team"][2].ThreadCount, s.Messages["team"][2].Reactions = 1, []replica.Reaction{{Key: "+", Count: 1}}
		}},
		"devices show different forms of what is kept no longer": {"C3", func(_ *world, s, other *invariant.State) {
			s.Conversations[0].Floor, other.Conversations[0].Floor = 3, 3
			s.Messages["team"][2].PinSeq = 3
		}},
		"one has another list": {"C3", func(_ *world, s, _ *invariant.State) {
			s.Conversations = append(s.Conversations, &replica.Conversation{ID: "other"})
		}},
		"something is still to be sent": {"C5", func(_ *world, s, _ *invariant.State) {
			s.Outbox = append(s.Outbox, replica.Outgoing{State: replica.Queued})
		}},
		"something sent is nowhere": {"C5", func(w *world, s, _ *invariant.State) { w.again(s.Who, 1, "lost", "hello") }},
		"a gap": {"C6", func(w *world, s, _ *invariant.State) {
			c := s.Conversations[0]
			c.Segments = []replica.Segment{
				{From: 1, To: 1, Prev: w.digests[0], Last: w.digests[1]}, {From: 3, To: 3, Prev: w.digests[2], Last: w.digests[3]},
			}
			s.Messages["team"] = append(s.Messages["team"][:1], s.Messages["team"][2])
		}},
		"the head is not known": {"Y1", func(_ *world, s, _ *invariant.State) { s.Conversations[0].HeadSeq-- }},
		"the conversation is missing": {"Y1", func(_ *world, s, _ *invariant.State) {
			s.Conversations = nil
		}},
		"one that pulls is behind": {"Y4", func(_ *world, s, _ *invariant.State) { s.Conversations[0].HeadSeq, s.Pulls = 2, true }},
	} {
		t.Run(name, func(t *testing.T) {
			w := begun(t)
			w.submit(ann, 1, "a1", "hello")
			w.submit(ann, 1, "a2", "hello")
			first, second := w.state(ann, 1), w.state(tablet, 2)
			test.change(w, first, second)
			w.converged(first, second)
			w.wants(test.number)
		})
	}
}

func TestADeviceShowsNothingThatItsUserMayNotSee(t *testing.T) {
	w := begun(t)
	w.write("ann", "a1", text("hello"))
	w.write("system", "", members([]string{"cat"}, nil))
	w.converged(w.state(invariant.Who{User: "cat", Device: "phone"}, 3))
	w.wants("")
	w.converged(w.state(invariant.Who{User: "cat", Device: "phone"}, 2))
	w.wants("S5")
}

// What a user was told before a restore that has lost the stay in which it could see it: the device keeps that.
func TestADeviceKeepsWhatALostStayShowed(t *testing.T) {
	w := begun(t)
	cat := invariant.Who{User: "cat", Device: "phone"}
	w.connect(3, cat)
	w.write("ann", "a1", text("hello"))
	w.write("system", "", members([]string{"cat"}, nil))
	w.delta(cat, 3, w.log[1], w.log[2])
	w.c.Happened(invariant.Incident{Kind: invariant.Restored, Epoch: 8})
	w.converged(w.state(cat, 2))
	w.wants("")
}

func TestAScheduledMessageMayBeThereBeforeItIsSent(t *testing.T) {
	w := begun(t)
	later := w.write("ann", "later", text("1"))
	w.answer(ann, 1, w.again(ann, 1, "a1", "2"), w.write("ann", "a1", text("2")), false)
	w.answer(ann, 1, w.again(ann, 1, "later", "1"), later, true)
	w.check()
	w.wants("")
}
