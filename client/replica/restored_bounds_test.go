// SPDX-License-Identifier: Apache-2.0

// Servers that were restored: what they keep, and what the device has past their end, is not what it was before.

package replica_test

import (
	"fmt"
	"testing"

	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// leave tells a device that its user is no member of the team any more.
func leave(s *server, d *device) {
	d.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true,
		Conversations: []*wire.ConversationDelta{{Id: string(team), Partition: s.logs[team].partition, Removed: true}}}}})
}

// goOn lets bob say something at a server.
func goOn(s *server, n int) {
	for i := range n {
		s.position[s.logs[team].partition]++
		s.append(team, "bob", fmt.Sprint("on", i), text2body(fmt.Sprint("on ", i)))
	}
}

// What was no longer kept before a restore hides nothing of what the restored server keeps.
func TestFloorOfWhatARestoredServerHasLost(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	backup := s.clone(8)
	s.logs[team].kept = 8
	for i := range 6 {
		bob.say(team, fmt.Sprint("lost ", i))
		bob.settle()
	}
	alice.settle()
	equal(t, "floor", alice.replica.Conversation(team).Floor, 7)
	alice.disconnect()
	alice.markRead(team, 10)
	goOn(backup, 3)
	alice.connect(backup)
	alice.settle()
	equal(t, "floor later", alice.replica.Conversation(team).Floor, 0)
	equalList(t, "alice sees", alice.texts(team), "m0", "m1", "m2", "on 0", "on 1", "on 2")
	equal(t, "read mark not confirmed", alice.replica.Conversation(team).PendingRead, 0)
	sameAsNew(t, backup, alice)
}

// An own message is fetched, and shown, although all that is stored lies past the head of a server that was restored.
func TestOwnMessageBelowWhatARestoredServerLacks(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	backup := s.clone(8)
	for i := range 4 {
		bob.say(team, fmt.Sprint("lost ", i))
		bob.settle()
	}
	s.clear("alice", team, 5)
	alice.settle()
	leave(s, alice)
	alice.disconnect()
	alice.connect(backup)
	alice.settle()
	c := alice.replica.Conversation(team)
	equal(t, "stored from", c.Segments[0].From, 6)
	equal(t, "head", c.HeadSeq, 3)
	alice.say(team, "mine")
	alice.settle()
	equal(t, "outbox", len(alice.replica.Outbox()), 0)
	equalList(t, "alice sees", alice.texts(team), "m0", "m1", "mine", "lost 2", "lost 3")
	alice.checkC1(backup)
}

// A submission that a restored server has stored where another event is stored here is settled when the user is no member any
// more: nothing of the log will follow, and it is not sent again and again.
func TestAnsweredInPlaceOfAnotherAndRemoved(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	backup := s.clone(8)
	bob.say(team, "lost")
	bob.settle()
	alice.settle()
	alice.disconnect()
	alice.connect(backup)
	alice.settle()
	alice.say(team, "mine")
	for alice.upload() {
	}
	answer := alice.session.out[len(alice.session.out)-1]
	equal(t, "answered", answer.GetSubmitted().GetSeq(), 4)
	alice.session.out = nil
	leave(backup, alice)
	alice.session.out = append(alice.session.out, answer)
	alice.download()
	equal(t, "outbox", len(alice.replica.Outbox()), 0)
	equal(t, "doubt", alice.replica.Conversation(team).Doubt.Open, false)
}

// A message that the user had deleted for itself, and that a restored server gets back without knowing so, shows what later
// events do to it.
func TestPinOfWhatALostDeletionTookAway(t *testing.T) {
	s, alice, bob := world(t)
	alice.cfg.Backfill = replica.FillAll
	alice.load()
	talk(s, alice, bob, 2)
	backup := s.clone(8)
	bob.say(team, "pinned")
	bob.submit(team, &wire.Body{Body: &wire.Body_Pin{Pin: &wire.Pin{Seq: 4}}})
	bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 4, Message: &wire.Message{Text: "edited"}}}})
	bob.say(team, "last")
	bob.settle()
	alice.settle()
	after := s.clone(8)
	s.delete("alice", team, 4)
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), "m0", "m1", "", "last")
	alice.disconnect()
	alice.connect(backup)
	alice.settle()
	backup.takesBack(team, after) // from another device
	alice.settle()
	counted(alice)
	equalList(t, "alice sees later", alice.texts(team), "m0", "m1", "edited", "last")
	sameAsNew(t, backup, alice)
}

// The edit of a message that the user had deleted for itself is shown although the device has learnt of a later pin before.
func TestEditGivenBackBelowAPin(t *testing.T) {
	s, alice, bob := world(t)
	alice.cfg.Backfill = replica.FillAll
	alice.load()
	talk(s, alice, bob, 2)
	backup := s.clone(8)
	bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: &wire.Message{Text: "edited"}}}})
	bob.settle()
	alice.settle()
	s.delete("alice", team, 2)
	alice.settle()
	bob.submit(team, &wire.Body{Body: &wire.Body_Pin{Pin: &wire.Pin{Seq: 2}}})
	bob.settle()
	alice.settle()
	after := s.clone(9)
	alice.disconnect()
	alice.connect(backup)
	alice.settle()
	backup.takesBack(team, after) // from another device
	alice.settle()
	counted(alice)
	equalList(t, "alice sees later", alice.texts(team), "edited", "m1")
	sameAsNew(t, backup, alice)
}

// A recalled message that is given back without its content, and before its recall, is recalled, and not deleted by the user.
func TestRecalledIsNotDeletedForOneself(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	backup := s.clone(8)
	bob.say(team, "recalled")
	bob.submit(team, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 4}}})
	bob.settle()
	alice.settle()
	alice.disconnect()
	alice.connect(backup)
	alice.settle()
	h := backup.logs[team]
	e := s.logs[team].events[3]
	hash := hashOf(e.Event)
	backup.position[h.partition]++
	e.position = backup.position[h.partition]
	h.events = append(h.events, e)
	backup.corrupt = func(f *wire.ServerFrame) {
		for _, d := range f.GetDelta().GetConversations() {
			for _, ev := range d.Events {
				if ev.Seq == 4 {
					ev.Body, ev.Salt, ev.BodyHash, ev.Kind, ev.Hidden = nil, nil, hash[:], 1, true
				}
			}
		}
	}
	alice.settle()
	for _, m := range alice.messages(team) {
		if m.Seq == 4 && (m.Hidden || m.RecallSeq != 5) {
			t.Errorf("it is shown as %+v", m)
		}
	}
	equal(t, "head", alice.replica.Conversation(team).HeadSeq, 4)
	fresh := newDevice(t, "alice", "tablet", replica.Config{Tail: 20, Full: 100}) // hears of it before its recall
	fresh.connect(backup)
	fresh.settle()
	backup.corrupt = nil
	backup.takesBack(team, s)
	fresh.settle()
	if m := fresh.messages(team)[3]; m.Hidden || m.RecallSeq != 5 {
		t.Errorf("it is shown as %+v", m)
	}
}

// lostOwn are the own messages that a device was told of as lost.
func lostOwn(d *device) (texts []string) {
	for _, n := range d.notes {
		if n, is := n.(replica.HistoryChanged); is {
			for _, m := range n.Own {
				texts = append(texts, m.Text())
			}
		}
	}
	return texts
}

// proved checks that whatever a device holds up to the head that a server told it is the server's, or in doubt.
func proved(s *server, d *device) {
	d.t.Helper()
	c := d.replica.Conversation(team)
	if int(c.HeadSeq)+1 < len(s.logs[team].events) {
		return // it has not heard that the server went on
	}
	for _, seg := range c.Segments {
		if want := s.logs[team].digest(team, uint64(seg.To)); !c.Doubt.Open && seg.To <= c.HeadSeq && seg.Last != want {
			d.t.Fatalf("%s: at %d the chain is %v, the server's %v", d.name, seg.To, seg.Last, want)
		}
	}
}

// goOnWithout lets bob go on at a server, and in the end take back what has a seq.
func goOnWithout(s *server, n int, seq uint64) {
	goOn(s, n)
	s.position[s.logs[team].partition]++
	s.append(team, "bob", "taken back", &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: seq}}})
}

// ahead is alice with an own message that a server which was restored lacks, as the next after its head.
func ahead(t *testing.T) (backup *server, alice *device) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	backup = s.clone(8)
	alice.say(team, "mine")
	alice.settle()
	s.delete("alice", team, 2)
	alice.settle()
	alice.disconnect()
	return backup, alice
}

// losesMine lets alice hear all of a server that has gone on without her message: nothing that is not proved is shown on the
// way, she is told that it is lost, and in the end has what a new device has.
func losesMine(t *testing.T, backup *server, alice *device) {
	t.Helper()
	for alice.upload() || alice.download() {
		proved(backup, alice)
	}
	alice.settle()
	equalList(t, "own messages told of", lostOwn(alice), "mine")
	sameAsNew(t, backup, alice)
}

// What a restored server tells of its own events says nothing of those it has lost: an own message is not emptied by the
// recall of another one that has its seq now.
func TestRecallOfWhatCameInPlaceOfALostMessage(t *testing.T) {
	for _, knew := range []bool{false, true} { // whether the device knew of the restore when the server went on
		backup, alice := ahead(t)
		if knew {
			alice.connect(backup)
			alice.settle()
			equal(t, "is ahead", alice.replica.Conversation(team).Last(), 4)
			alice.disconnect()
		}
		goOnWithout(backup, 30, 4)
		alice.connect(backup)
		losesMine(t, backup, alice)
		equal(t, "deleted", alice.texts(team)[0], "m0")
	}
}

// Nor does a page that shows the server to be past what is kept.
func TestPageOfAServerThatWentOn(t *testing.T) {
	backup, alice := ahead(t)
	alice.connect(backup)
	alice.settle()
	goOnWithout(backup, 3, 4)
	alice.fetch(team, replica.Page{Latest: true, Limit: 1})
	losesMine(t, backup, alice)
}

// A comparison with a server that goes on meanwhile, past what is kept, begins again.
func TestGoesOnWhileItIsCompared(t *testing.T) {
	backup, alice := ahead(t)
	alice.connect(backup)
	alice.upload()
	for alice.download() {
	}
	equal(t, "doubt", alice.replica.Conversation(team).Doubt.Open, true)
	goOn(backup, 1)
	alice.session.round()
	for alice.download() {
	}
	goOn(backup, 1) // the page that is asked for tells of a later head
	losesMine(t, backup, alice)
}

// What was read of what a server had lost is read there once the server has it again, also if that had to be compared.
func TestReadMarkOfWhatIsComparedWhenItComesBack(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	backup := s.clone(8)
	bob.say(team, "lost")
	bob.settle()
	alice.settle()
	s.delete("alice", team, 2)
	alice.settle()
	alice.markRead(team, 4)
	alice.settle()
	alice.disconnect()
	alice.connect(backup)
	alice.upload()
	for alice.download() {
	}
	equal(t, "doubt", alice.replica.Conversation(team).Doubt.Open, true)
	backup.takesBack(team, s)
	alice.settle()
	equal(t, "read mark not confirmed", alice.replica.Conversation(team).PendingRead, 0)
	equal(t, "read", alice.replica.Conversation(team).Self.ReadSeq, 4)
	sameAsNew(t, backup, alice)
}
