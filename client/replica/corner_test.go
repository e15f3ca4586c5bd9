// SPDX-License-Identifier: Apache-2.0

// Corners of the rules: marks, heads and positions that fall, what a newer or a hostile server says, and work that must not
// be done.

package replica_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// An own reaction does not say that what stands before it was read: the mark stays, and can be moved.
func TestReactionMovesNoReadMark(t *testing.T) {
	s, alice, bob := world(t)
	tablet := newDevice(t, "alice", "tablet", replica.Config{})
	talk(s, alice, bob, 3) // seqs 2 to 4
	tablet.connect(s)
	tablet.settle()
	alice.submit(team, react(2, "+1"))
	alice.settle()
	c := alice.replica.Conversation(team)
	equal(t, "head", c.HeadSeq, 5)
	equal(t, "read after a reaction", c.Self.ReadSeq, 0)
	equal(t, "unread after a reaction", c.Unread, 3)
	alice.markRead(team, 4)
	alice.settle()
	tablet.settle()
	equal(t, "the mark at the server", s.logs[team].marks["alice"].read, 4)
	equal(t, "unread", alice.replica.Conversation(team).Unread, 0)
	equal(t, "both devices", alice.fingerprint(), tablet.fingerprint())
	alice.say(team, "answer")
	alice.settle()
	tablet.settle()
	equal(t, "read after a message", alice.replica.Conversation(team).Self.ReadSeq, 6)
	equal(t, "both devices after a message", alice.fingerprint(), tablet.fingerprint())
	silent := &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Text: "x", Class: wire.MessageClass_SILENT}}}
	bob.say(team, "more")
	bob.settle()
	alice.settle()
	alice.submit(team, silent)
	alice.settle()
	tablet.settle()
	equal(t, "read after a silent message", alice.replica.Conversation(team).Self.ReadSeq, 6)
	equal(t, "unread after a silent message", alice.replica.Conversation(team).Unread, 1)
	equal(t, "both devices after a silent message", alice.fingerprint(), tablet.fingerprint())
}

// Others write while the user does, also in the same commit, so that an answer stands above events that come later. That is
// no gap: nothing is fetched.
func TestTwoWayTrafficFetchesNothing(t *testing.T) {
	for _, backfill := range []replica.Backfill{replica.FillHoles, replica.FillAll, replica.FillNone} {
		s, alice, bob := world(t)
		s.create("other", "alice", "bob")
		alice.cfg.Window, alice.cfg.Backfill = 4, backfill
		alice.load()
		talk(s, alice, bob, 1)
		h := s.logs[team]
		for i := range 500 {
			for range 3 {
				alice.say(team, fmt.Sprint("a", i))
			}
			for alice.session != nil && len(alice.toward) > 0 {
				f := alice.toward[0]
				alice.toward = alice.toward[1:]
				if f.GetSubmit() == nil {
					alice.session.receive(f)
					continue
				}
				alice.session.round()
				answer := s.submit("alice", f.GetSubmit(), func() { s.append(team, "bob", fmt.Sprint("g", s.salt), text2body("with it")) })
				alice.session.own[f.GetSubmit().ClientId] = true
				alice.session.send(answer)
			}
			alice.download() // an answer, above an event that is still to come
			alice.tick(uint64(i % 700))
			s.position[h.partition]++
			s.append(team, "bob", fmt.Sprint("b", i), text2body("on his own"))
			if i%3 == 0 {
				alice.session.round()
			}
			for i%2 == 0 && alice.download() {
			}
		}
		for alice.session.round(); alice.upload() || alice.download(); alice.session.round() {
		}
		equal(t, fmt.Sprint("fetches with backfill ", backfill), alice.session.fetches, 0)
		alice.settle()
		equal(t, "fetches afterwards", alice.session.fetches, 0)
		equal(t, "gaps", len(alice.replica.Conversation(team).Gaps()), 0)
		alice.checkC1(s)
	}
}

// The time at which a step is due is never in the past, so that no caller turns in circles.
func TestDeadlineIsAhead(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	alice.disconnect()
	for i := range 60 {
		bob.say(team, fmt.Sprint("more ", i))
	}
	bob.settle()
	alice.connect(s)
	for alice.upload() {
	}
	for alice.download() {
	}
	for alice.upload() { // a page for the gap is asked for
	}
	for _, f := range alice.session.out { // and refused: to be asked for later
		if f.GetFetched() != nil {
			alice.receive(wire.ErrorFrame(f.GetFetched().Request, tidemark.Refuse(tidemark.Unavailable, "busy")))
		}
	}
	equal(t, "the gap is still there", len(alice.replica.Conversation(team).Gaps()), 1)
	alice.disconnect()
	alice.nowMs += 5_000
	alice.connect(s) // hello is sent, nothing is answered yet
	alice.step(func(r *replica.Replica, v replica.View) (replica.Output, error) { return r.Tick(v, alice.nowMs) })
	if at := alice.replica.DeadlineMs(); at <= alice.nowMs {
		t.Fatalf("before welcome: due at %d, now it is %d", at, alice.nowMs)
	}
	alice.upload()
	alice.download() // welcome
	alice.step(func(r *replica.Replica, v replica.View) (replica.Output, error) { return r.Tick(v, alice.nowMs) })
	if at := alice.replica.DeadlineMs(); at <= alice.nowMs {
		t.Fatalf("before synced: due at %d, now it is %d", at, alice.nowMs)
	}
	alice.settle()
	equal(t, "gaps", len(alice.replica.Conversation(team).Gaps()), 0)
}

// A newer server has kinds of events that this version does not know. They are kept, verified and shown as such, and do not
// stand in the way of what follows.
func TestKindOfANewerServer(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 1)
	newer := func() {
		h := s.logs[team]
		s.position[h.partition]++
		e := s.append(team, "bob", fmt.Sprint("n", s.salt), text2body("x"))
		ev := h.events[e.Seq-1].Event
		ev.Body = append(binary.AppendUvarint(nil, 19<<3|2), 3, 8, 1, 0) // field 19, a message
		h.events[e.Seq-1].kind = 19
		h.events[e.Seq-1].digest = chain.Next(h.digest(team, e.Seq-1), chain.Link{Seq: tidemark.Seq(ev.Seq), ID: tidemark.EventID(ev.Id),
			TimeMs: ev.TimeMs, Sender: "bob", ClientID: tidemark.ClientID(ev.ClientId), Kind: 19, BodyHash: hashOf(ev)})
	}
	newer()
	alice.settle()
	bob.say(team, "after")
	bob.settle()
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), "m0", "after")
	equal(t, "fetches", alice.session.fetches, 0)
	equal(t, "kind", alice.messages(team)[2].Kind, 19)
	alice.checkC1(s)
	alice.crash()
	equalList(t, "after a restart", alice.texts(team), "m0", "after")
}

// An event without a body, with a salt and a kind, makes no sense, but does no harm to the store.
func TestEventWithoutBody(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 1)
	ev := &wire.Event{Seq: 3, Id: 1, TimeMs: 1, Sender: "bob", ClientId: "c", Kind: 1, Salt: make([]byte, 8)}
	alice.hostile = true
	alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true,
		Conversations: []*wire.ConversationDelta{{Id: string(team), Partition: s.logs[team].partition, HeadSeq: 3, PrevSeq: 2, Events: []*wire.Event{ev}}}}}})
	alice.messages(team)
	alice.crash()
	alice.messages(team)
	alice.connect(s)
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), "m0")
}

// Outside a full sync a head never falls, and neither does a position.
func TestHeadAndPositionDoNotFall(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 5)
	h := s.logs[team]
	c := alice.replica.Conversation(team)
	old := s.summary(team, "alice")
	early := h.digest(team, 3)
	unread := uint64(77)
	old.HeadSeq, old.HeadDigest, old.Unread, old.LastTimeMs = 3, early[:], &unread, 1
	old.Self.Alias = "new" // of the rest, a delta alone tells
	position := alice.replica.Cursor().Positions[h.partition]
	alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true,
		Conversations: []*wire.ConversationDelta{old}}}})
	d := alice.replica.Conversation(team)
	equal(t, "head", d.HeadSeq, c.HeadSeq)
	equal(t, "digest seq", d.DigestSeq, c.DigestSeq)
	equal(t, "digest", d.HeadDigest, c.HeadDigest)
	equal(t, "unread", d.Unread, c.Unread)
	equal(t, "time", d.LastTimeMs, c.LastTimeMs)
	equal(t, "alias", d.Self.Alias, "new")
	equal(t, "doubt", d.Doubt.Open, false)

	alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true,
		Checkpoints: map[uint32]uint64{h.partition: uint64(position) - 1}}}})
	equal(t, "position after a lower one", alice.replica.Cursor().Positions[h.partition], position)
	alice.crash()
	equal(t, "position after a restart", alice.replica.Cursor().Positions[h.partition], position)
	alice.connect(s)
	alice.settle()
	equal(t, "fetches", alice.session.fetches, 0)
	alice.checkC1(s)
}

// In a full sync it may: the server has lost its end, with or without another epoch.
func TestLowerHeadInAFullSync(t *testing.T) {
	for _, epoch := range []uint64{7, 8} { // 7: the same, so that the cursor is from the future
		s, alice, bob := world(t)
		talk(s, alice, bob, 5)
		backup := s.clone(epoch)
		for _, text := range []string{"lost", "lost too"} {
			bob.say(team, text)
			bob.settle()
		}
		alice.settle()
		alice.disconnect()
		alice.say(team, "queued")
		alice.connect(backup)
		alice.settle()
		report, n := noteOf[replica.HistoryChanged](alice)
		equal(t, "reports", n, 1)
		equal(t, "from", report.From, 7)
		equal(t, "to", report.To, 8)
		equal(t, "head", alice.replica.Conversation(team).HeadSeq, 7)
		if list := strings.Join(alice.texts(team), " "); list != "m0 m1 m2 m3 m4 queued" {
			t.Fatalf("alice sees %s", list)
		}
		alice.checkC1(backup)
	}
}

// Who was removed and comes back sees from then on; what was in between is no gap.
func TestRemovedAndAddedAgain(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	h := s.logs[team]
	alice.say(team, "in time")
	alice.settle()
	live := func(cd *wire.ConversationDelta) {
		alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true,
			Conversations: []*wire.ConversationDelta{cd}, Checkpoints: map[uint32]uint64{h.partition: s.position[h.partition]}}}})
	}
	s.position[h.partition]++
	alice.session.cursor[h.partition] = s.position[h.partition]
	live(&wire.ConversationDelta{Id: string(team), Partition: h.partition, Removed: true})
	equal(t, "removed", alice.replica.Conversation(team).Removed, true)
	for i := range 20 {
		s.position[h.partition]++
		s.append(team, "bob", fmt.Sprint("s", i), text2body("secret"))
	}
	s.position[h.partition]++
	alice.session.cursor[h.partition] = s.position[h.partition]
	e := s.append(team, "bob", "", &wire.Body{Body: &wire.Body_Members{Members: &wire.Members{Added: []string{"alice"}}}})
	back := s.summary(team, "alice")
	prev := h.digest(team, e.Seq-1)
	back.Self.JoinedSeq, back.Self.VisibleFrom, back.Self.ReadSeq = e.Seq, e.Seq, e.Seq
	back.PrevSeq, back.PrevDigest, back.Events = e.Seq-1, prev[:], []*wire.Event{h.logForm(e)}
	live(back)
	alice.tick(5_000)
	alice.tick(5_000)
	for alice.upload() {
	}
	c := alice.replica.Conversation(team)
	equal(t, "removed", c.Removed, false)
	equal(t, "segments", len(c.Segments), 2)
	equal(t, "gaps", len(c.Gaps()), 0)
	equal(t, "fetches", alice.session.fetches, 0)
	from, to, whole := c.StoredBefore(c.HeadSeq+1, 50)
	equal(t, "the page of all that is visible", fmt.Sprint(from, to, whole), fmt.Sprint(e.Seq, e.Seq, true))
	alice.checkC1(s)
}

// A message that no frame has room for is refused here: the server would break the connection over it, each time.
func TestTooLargeForAFrame(t *testing.T) {
	s, alice, bob := world(t)
	alice.say(team, "before")
	huge := alice.say(team, strings.Repeat("x", 2<<20))
	alice.say(team, "after")
	alice.connect(s)
	alice.settle()
	equal(t, "state", alice.replica.OutgoingState(huge), replica.Failed)
	equal(t, "because", alice.replica.Pending(team)[0].Failure.Reason, tidemark.TooLarge)
	equalList(t, "alice sees", alice.texts(team), "before", "after")
	alice.crash()
	equal(t, "state after a restart", alice.replica.OutgoingState(huge), replica.Failed)
	_ = bob
}

// Submissions to a user made before it was known whose device this is keep their place among the others.
func TestOrderOfFirstSubmissions(t *testing.T) {
	s, alice, _ := world(t)
	alice.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.Submit(v, 1, "", "bob", "c1", text2body("one"))
	})
	alice.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.Submit(v, 1, "alice~bob", "", "c2", text2body("two"))
	})
	alice.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.Submit(v, 1, "", "bob", "c3", text2body("three"))
	})
	alice.connect(s)
	alice.settle()
	equalList(t, "alice sees", alice.texts("alice~bob"), "one", "two", "three")
}

// What is kept is bounded also when the reactions to an old message are to be counted again.
func TestDroppedMessageIsNotFetchedForItsReactions(t *testing.T) {
	s, alice, bob := world(t)
	for i := range 30 {
		s.position[s.logs[team].partition]++
		s.append(team, "bob", fmt.Sprint("c", i), text2body("x"))
	}
	s.position[s.logs[team].partition]++
	s.append(team, "carol", "r1", react(25, "+1"))
	alice.cfg.Keep, alice.cfg.Tail = 8, 3
	alice.load()
	alice.connect(s)
	alice.settle()
	alice.fetch(team, replica.Page{Before: 30, Limit: 6})
	alice.settle()
	s.position[s.logs[team].partition]++
	s.append(team, "dave", "r2", react(25, "+1")) // perhaps again: not sure
	alice.session.round()
	alice.download()
	before := alice.session.fetches
	for i := range 20 {
		s.position[s.logs[team].partition]++
		s.append(team, "bob", fmt.Sprint("d", i), text2body("x"))
		alice.session.round()
		alice.download()
	}
	alice.settle()
	equal(t, "fetches for what was dropped", alice.session.fetches, before)
	_ = bob
}

// A conversation that the user marked as unread is read by a mark where it stands already, and by an own message.
func TestMarkedUnread(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	alice.markRead(team, 3)
	alice.settle()
	marked := func() {
		d := s.summary(team, "alice")
		d.Self.MarkedUnread = true
		alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true, Conversations: []*wire.ConversationDelta{d}}}})
		equal(t, "marked unread", alice.replica.Conversation(team).Self.MarkedUnread, true)
	}
	marked()
	alice.say(team, "mine")
	alice.settle()
	equal(t, "marked unread after a message", alice.replica.Conversation(team).Self.MarkedUnread, false)

	marked()
	alice.disconnect()
	alice.markRead(team, 4)
	alice.crash()
	alice.connect(s)
	for alice.upload() || alice.download() {
		for _, f := range alice.toward {
			if f.GetRead().GetSeq() == 4 {
				return
			}
		}
	}
	t.Fatal("the server is not told")
}

// What the user may see can grow: who is added again to a conversation with all its history.
func TestVisibleFromFalls(t *testing.T) {
	s, alice, bob := world(t)
	for _, d := range []*device{alice, bob} {
		d.connect(s)
		d.settle()
	}
	h := s.logs[team]
	for i := range 30 {
		s.position[h.partition]++
		s.append(team, "bob", fmt.Sprint("s", i), text2body("x"))
	}
	give := func(from uint64) {
		d := s.summary(team, "alice")
		d.Self.VisibleFrom = from
		alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true, Conversations: []*wire.ConversationDelta{d}}}})
	}
	give(20)
	alice.fetch(team, replica.Page{Latest: true, Limit: 5})
	alice.upload()
	alice.session.out[0].GetFetched().FloorSeq = 19
	alice.download()
	_, _, whole := alice.replica.Conversation(team).StoredBefore(20, 10)
	equal(t, "nothing is below", whole, true)
	give(1)
	from, to, whole := alice.replica.Conversation(team).StoredBefore(20, 10)
	equal(t, "what is below is asked for", fmt.Sprint(from, to, whole), "0 0 false")
}

// A submission that was answered and cannot be shown, because an event before it is not here, is settled when the user is no
// member any more.
func TestAnsweredAndRemoved(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 1)
	s.position[s.logs[team].partition]++
	s.append(team, "bob", "b", text2body("before"))
	alice.say(team, "after")
	alice.upload()
	alice.session.out = alice.session.out[len(alice.session.out)-1:]
	alice.download()
	equal(t, "outbox", len(alice.replica.Outbox()), 1)
	alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true,
		Conversations: []*wire.ConversationDelta{{Id: string(team), Partition: s.logs[team].partition, Removed: true}}}}})
	equal(t, "outbox afterwards", len(alice.replica.Outbox()), 0)
	alice.crash()
	equal(t, "outbox after a restart", len(alice.replica.Outbox()), 0)
}

// A read mark that the server cannot take for the moment is sent again on the same connection: the refusal names no request.
func TestReadMarkThatWasRefusedForNow(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	alice.markRead(team, 3)
	alice.toward = nil // it never arrives; the server says that nothing can be written now
	alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Error{Error: wire.ErrorOf(0, tidemark.Refuse(tidemark.Unavailable, "no space"))}})
	equal(t, "read mark not confirmed", alice.replica.Conversation(team).PendingRead, 3)
	alice.settle() // time passes
	equal(t, "read mark not confirmed later", alice.replica.Conversation(team).PendingRead, 0)
	equal(t, "read mark", alice.replica.Conversation(team).Self.ReadSeq, 3)
}

// A submission whose answer comes when the user is no member any more is settled by it: nothing of the log will follow.
func TestAnsweredAfterRemoved(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 1)
	s.position[s.logs[team].partition]++
	s.append(team, "bob", "b", text2body("before"))
	alice.say(team, "after")
	alice.upload()
	answer := alice.session.out[len(alice.session.out)-1]
	alice.session.out = nil
	alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true,
		Conversations: []*wire.ConversationDelta{{Id: string(team), Partition: s.logs[team].partition, Removed: true}}}}})
	alice.session.out = append(alice.session.out, answer)
	alice.download()
	equal(t, "outbox", len(alice.replica.Outbox()), 0)
	alice.crash()
	equal(t, "outbox after a restart", len(alice.replica.Outbox()), 0)
}

// What was read at a server that has lost it stays read while it is kept here; then the mark goes back to what there is.
func TestReadOfWhatARestoredServerHasLost(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	backup := s.clone(8)
	bob.say(team, "lost")
	bob.settle()
	alice.settle()
	alice.disconnect()
	alice.markRead(team, alice.replica.Conversation(team).HeadSeq)
	alice.connect(backup)
	alice.settle()
	c := alice.replica.Conversation(team)
	equal(t, "read, and kept here", c.PendingRead, c.Last())
	equal(t, "unread", c.Unread, 0)
	backup.position[backup.logs[team].partition]++
	backup.append(team, "bob", "on", text2body("on"))
	alice.settle()
	c = alice.replica.Conversation(team)
	equal(t, "not past what there is", c.PendingRead <= c.HeadSeq, true)
	equal(t, "the head", c.HeadSeq, 5)
}

// A conversation that a restored server did not have, and that began anew there with fewer events, is what the server has
// now, and not what the device had.
func TestBeginsAnewAtARestoredServer(t *testing.T) {
	s, alice, bob := world(t)
	backup := s.clone(8)
	talk(s, alice, bob, 5)
	alice.disconnect()
	delete(backup.logs, team)
	alice.connect(backup)
	alice.settle()
	equal(t, "removed", alice.replica.Conversation(team).Removed, true)
	backup.create(team, "alice", "bob")
	bob.connect(backup)
	bob.say(team, "again")
	bob.settle()
	alice.settle()
	c := alice.replica.Conversation(team)
	equal(t, "head", c.HeadSeq, 2)
	if list := alice.texts(team); len(list) != 1 || list[0] != "again" {
		t.Errorf("alice sees %v", list)
	}
	alice.checkC1(backup)
}

// An own message that lies before all that is stored here leaves the outbox: it is at the server, and is there when the
// history is read.
func TestAnsweredBeforeWhatIsStored(t *testing.T) {
	s, alice, bob := world(t)
	alice.cfg.Tail, alice.cfg.Backfill = 3, replica.FillHoles
	alice.load()
	alice.connect(s)
	alice.settle()
	s.position[s.logs[team].partition]++
	s.append(team, "bob", "b", text2body("before"))
	alice.say(team, "mine")
	alice.upload()
	alice.session.out = alice.session.out[len(alice.session.out)-1:]
	alice.download() // the answer, and not what is before it
	equal(t, "outbox", len(alice.replica.Outbox()), 1)
	alice.disconnect()
	s.clear("alice", team, 1) // what was stored here goes
	bob.connect(s)
	for i := range 10 {
		bob.say(team, fmt.Sprint("m", i))
		bob.settle()
	}
	alice.connect(s)
	alice.settle()
	equal(t, "outbox", len(alice.replica.Outbox()), 0)
	equal(t, "stored from", alice.replica.Conversation(team).Segments[0].From, 11)
	alice.fetch(team, replica.Page{Start: true})
	alice.settle()
	if list := alice.texts(team); !slices.Contains(list, "mine") {
		t.Errorf("the history has %v", list)
	}
}

// An edit leaves a message in its thread, whoever shows it: what the edit says is completed as the server does.
func TestEditStaysInItsThread(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 1)
	bob.submit(team, &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Text: "answer", Thread: 2}}})
	bob.settle()
	bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 3, Message: &wire.Message{Text: "better"}}}})
	bob.settle()
	alice.settle()
	for _, d := range []*device{alice, bob} {
		m := d.messages(team)[2]
		equal(t, d.name+" shows", m.Text(), "better")
		equal(t, d.name+" shows it in the thread of", m.Content.GetThread(), 2)
	}
}

// A page that comes before the answer to an own message tells of it first: the conversation is as new as the message.
func TestPageBeforeTheAnswer(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 1)
	before := alice.replica.Conversation(team).LastTimeMs
	alice.say(team, "mine")
	alice.upload()
	answer := alice.session.out[len(alice.session.out)-1]
	alice.session.out = nil
	alice.fetch(team, replica.Page{Latest: true})
	for alice.upload() {
	}
	for alice.download() {
	}
	alice.session.out = append(alice.session.out, answer)
	alice.settle()
	c := alice.replica.Conversation(team)
	equal(t, "head", c.HeadSeq, 3)
	if c.LastTimeMs <= before {
		t.Errorf("the last event is of %d, after one of %d", c.LastTimeMs, before)
	}
}
