// SPDX-License-Identifier: Apache-2.0

// Servers that were restored, and users who see more or less than before: what the device shows is what a new one shows.

package replica_test

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// counted waits until the server has been asked for all numbers that were in doubt.
func counted(d *device) {
	for range 5 {
		d.tick(10_000)
		d.settle()
	}
}

// sameAsNew checks that a device shows what a new device of its user shows.
func sameAsNew(t *testing.T, s *server, d *device) {
	t.Helper()
	fresh := newDevice(t, d.user, "fresh", replica.Config{Backfill: replica.FillAll})
	fresh.connect(s)
	fresh.settle()
	equalList(t, "what is seen", d.texts(team), fresh.texts(team)...)
	equal(t, "a new device shows the same", d.fingerprint(), fresh.fingerprint())
}

// What a user kept for itself in a conversation that a restore has lost is not there in the one that begins anew.
func TestPrivateOfWhatARestoredServerHasLost(t *testing.T) {
	s, alice, bob := world(t)
	backup := s.clone(8)
	talk(s, alice, bob, 5)
	s.delete("alice", team, 3)
	alice.settle()
	alice.disconnect()
	delete(backup.logs, team)
	alice.connect(backup)
	alice.settle()
	backup.create(team, "alice", "bob")
	bob.connect(backup)
	bob.say(team, "again")
	bob.settle()
	alice.settle()
	if private := alice.replica.Conversation(team).Self.Private; private != nil {
		t.Errorf("alice still has %v", private)
	}
}

// A device whose connection breaks in the middle of being told what a restored server has knows on the next one that the
// server was restored.
func TestCutWhileARestoredServerTells(t *testing.T) {
	s, alice, bob := world(t)
	backup := s.clone(8)
	delete(backup.logs, team)
	talk(s, alice, bob, 5)
	alice.disconnect()
	alice.connect(backup)
	alice.upload()
	alice.session.out = alice.session.out[:1] // welcome, and not synced
	alice.download()
	alice.disconnect()
	alice.crash()
	alice.connect(backup)
	alice.settle()
	c := alice.replica.Conversation(team)
	equal(t, "missing", c.Missing, true)
	kept, ahead := c.Ahead()
	equal(t, "kept", fmt.Sprint(kept, ahead), "{1 6} true")
}

// An own message whose first answer was lost, of a conversation of which nothing is stored, is fetched: no checkpoint need
// come after the answer that it was stored before.
func TestAnsweredAgainWithNothingStored(t *testing.T) {
	s, alice, _ := world(t)
	alice.connect(s)
	alice.settle()
	s.clear("alice", team, 1)
	alice.settle()
	alice.say(team, "mine")
	for alice.upload() {
	}
	alice.disconnect() // before the answer
	s.corrupt = func(f *wire.ServerFrame) {
		for _, d := range f.GetDelta().GetConversations() {
			d.PrevDigest = nil // as a server does for a device that has what is before
		}
	}
	alice.connect(s)
	for alice.upload() || alice.download() {
	}
	alice.tick(10_000)
	for alice.upload() || alice.download() {
	}
	equal(t, "outbox", len(alice.replica.Outbox()), 0)
	equalList(t, "alice sees", alice.texts(team), "mine")
}

// The edit of a message that the user could not see says what it says once the user can: after a restore that has lost that
// history was cleared, or when the user is added again.
func TestEditOfWhatCanBeSeenAgain(t *testing.T) {
	s, alice, bob := world(t)
	alice.cfg.Backfill = replica.FillAll
	alice.load()
	talk(s, alice, bob, 2)
	s.clear("alice", team, 2)
	alice.settle()
	bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: &wire.Message{Text: "edited"}}}})
	bob.settle()
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), "m1")
	s.touch(s.logs[team], "alice", func(m *mark) { m.from = 0 })
	alice.settle()
	equalList(t, "alice sees later", alice.texts(team), "edited", "m1")
	for _, m := range alice.messages(team) {
		if m.Kind == replica.KindEdit && (m.Hidden || m.Body == nil) {
			t.Errorf("the edit still says nothing: %+v", m)
		}
	}
	sameAsNew(t, s, alice)
}

// What is stored past the head of a restored server, and follows another event than the server's head, is of a lost history:
// it is dropped and reported.
func TestFollowsAnotherHead(t *testing.T) {
	s, alice, bob := world(t)
	alice.cfg.Backfill = replica.FillAll
	alice.load()
	talk(s, alice, bob, 4) // up to 5
	backup := s.clone(8)
	for i := range 3 {
		bob.say(team, fmt.Sprint("lost ", i))
	}
	bob.settle()
	alice.settle()
	s.clear("alice", team, 7)
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), "lost 2")
	alice.disconnect()
	goOn(backup, 2)
	alice.connect(backup)
	alice.settle()
	counted(alice)
	c := alice.replica.Conversation(team)
	equal(t, "doubt", c.Doubt.Open, false)
	equalList(t, "alice sees later", alice.texts(team), "m0", "m1", "m2", "m3", "on 0", "on 1")
	if report, n := noteOf[replica.HistoryChanged](alice); n != 1 || report.From != 8 || report.To != 8 {
		t.Errorf("%d reports, the last %+v", n, report)
	}
	alice.checkC1(backup)
	sameAsNew(t, backup, alice)
}

// A read mark that lay in what a restore has lost hides nothing of what comes in its place.
func TestUnreadInPlaceOfWhatWasRead(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	backup := s.clone(8)
	bob.say(team, "lost")
	bob.settle()
	alice.settle()
	alice.markRead(team, 4)
	alice.settle()
	alice.disconnect()
	alice.connect(backup)
	alice.settle()
	equal(t, "unread", alice.replica.Conversation(team).Unread, 0)
	backup.position[backup.logs[team].partition]++
	backup.append(team, "bob", "on", text2body("on"))
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), "m0", "m1", "on")
	sameAsNew(t, backup, alice)
}

// An answer that was taken back before the device heard of it, or which it does not store, is not counted in its thread.
func TestAnswersTakenBackUnseen(t *testing.T) {
	answer := &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Text: "answer", Thread: 2}}}
	recall := &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 3}}}
	root := func(d *device) replica.Message {
		for _, m := range d.messages(team) {
			if m.Seq == 2 {
				return m
			}
		}
		return replica.Message{}
	}
	t.Run("an own one", func(t *testing.T) {
		s, alice, _ := world(t)
		tablet := newDevice(t, "alice", "tablet", replica.Config{})
		alice.connect(s)
		alice.say(team, "root")
		alice.settle()
		alice.submit(team, answer)
		for alice.upload() {
		}
		for alice.download() { // the answer to it, and no checkpoint
		}
		equal(t, "answers", root(alice).ThreadCount, 1)
		alice.disconnect()
		tablet.connect(s)
		tablet.submit(team, recall)
		tablet.settle()
		alice.connect(s)
		alice.settle()
		counted(alice)
		equal(t, "answers later", root(alice).ThreadCount, 0)
	})
	t.Run("one in a gap", func(t *testing.T) {
		s, alice, bob := world(t)
		alice.cfg.Tail, alice.cfg.Backfill = 1, replica.FillNone
		alice.load()
		bob.connect(s)
		bob.say(team, "root")
		bob.submit(team, answer)
		for i := range 40 {
			bob.say(team, fmt.Sprint("m", i))
		}
		bob.settle()
		alice.connect(s)
		alice.settle()
		alice.fetch(team, replica.Page{Start: true, Limit: 2})
		alice.settle()
		equal(t, "answers", root(alice).ThreadCount, 1)
		bob.submit(team, recall)
		bob.settle()
		alice.settle()
		counted(alice)
		if c := alice.replica.Conversation(team); c.Unsure() {
			t.Error("numbers are still in doubt")
		}
		equal(t, "answers later", root(alice).ThreadCount, 0)
	})
}

// The numbers of a message that the server keeps no longer are asked for once: it will never tell.
func TestNumbersOfWhatIsNotKept(t *testing.T) {
	s, alice, bob := world(t)
	bob.connect(s)
	bob.say(team, "root")
	bob.submit(team, &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Text: "answer", Thread: 2}}})
	bob.settle()
	alice.connect(s)
	alice.settle()
	bob.submit(team, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 3}}})
	for i := range 20 {
		bob.say(team, fmt.Sprint("m", i))
	}
	bob.settle()
	alice.session.round()
	for alice.download() { // numbers are in doubt
	}
	equal(t, "in doubt", alice.replica.Conversation(team).Unsure(), true)
	s.logs[team].kept = 10
	ask := func() {
		for range 3 {
			alice.tick(10_000)
			for alice.upload() || alice.download() {
			}
		}
	}
	ask()
	equal(t, "in doubt later", alice.replica.Conversation(team).Unsure(), false)
	before := alice.session.fetches
	ask()
	equal(t, "fetches", alice.session.fetches, before)
}

// A page may tell of a later head than the delta that comes after it. The delta's counts hold all the same: no other need
// come, if what is past it are own events that were answered.
func TestCountsOfADeltaAfterAPage(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	equal(t, "unread", alice.replica.Conversation(team).Unread, 3)
	h := s.logs[team]
	s.position[h.partition]++
	e := s.append(team, "alice", "of the tablet", text2body("I have read all"))
	s.touch(h, "alice", func(m *mark) { m.read = tidemark.Seq(e.Seq) })
	alice.submit(team, react(2, "on"))
	for alice.upload() {
	}
	alice.fetch(team, replica.Page{Latest: true, Limit: 1})
	for alice.upload() {
	}
	out := alice.session.out
	equal(t, "the page comes last", out[len(out)-1].GetFetched().GetHeadSeq(), 6)
	alice.session.out = append([]*wire.ServerFrame{out[len(out)-1]}, out[:len(out)-1]...)
	alice.settle()
	equal(t, "head", alice.replica.Conversation(team).HeadSeq, 6)
	equal(t, "unread later", alice.replica.Conversation(team).Unread, 0)
}

// Likewise an own message, answered after a page that tells of a later head: it has moved the read mark.
func TestOwnMessageAnsweredAfterAPage(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	alice.say(team, "mine")
	alice.submit(team, react(2, "on"))
	alice.cfg.Window = 2
	for alice.upload() {
	}
	alice.fetch(team, replica.Page{Latest: true, Limit: 1})
	for alice.upload() {
	}
	out := alice.session.out
	alice.session.out = append([]*wire.ServerFrame{out[len(out)-1]}, out[:len(out)-1]...)
	alice.settle()
	equal(t, "head", alice.replica.Conversation(team).HeadSeq, 6)
	equal(t, "unread", alice.replica.Conversation(team).Unread, 0)
}

// Who was away while its user was added again and another device cleared the history drops all that was cleared, what it has
// of the earlier stay too.
func TestAddedAgainAndCleared(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	h := s.logs[team]
	s.position[h.partition]++
	e := s.append(team, "bob", "", &wire.Body{Body: &wire.Body_Members{Members: &wire.Members{Added: []string{"alice"}}}})
	back := s.summary(team, "alice")
	back.Self.JoinedSeq, back.Self.VisibleFrom, back.Self.ReadSeq = e.Seq, e.Seq+1, e.Seq
	alice.session.cursor[h.partition] = s.position[h.partition]
	alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true, Conversations: []*wire.ConversationDelta{back},
		Checkpoints: map[uint32]uint64{h.partition: s.position[h.partition]}}}})
	equal(t, "stored", len(alice.messages(team)), 0)
}

// What a user has deleted for itself in the history of a restored server is not the message that had the same place in the
// one it has lost: of that the app is told, with what it says.
func TestDeletedInPlaceOfWhatWasLost(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	backup := s.clone(8)
	alice.say(team, "lost")
	alice.settle()
	alice.disconnect()
	goOn(backup, 2)
	backup.delete("alice", team, 4)
	alice.connect(backup)
	alice.settle()
	if report, n := noteOf[replica.HistoryChanged](alice); n != 1 || len(report.Own) != 1 || report.Own[0].Text() != "lost" {
		t.Errorf("%d reports, the last %+v", n, report)
	}
	equalList(t, "alice sees", alice.texts(team), "m0", "m1", "", "on 1")
	sameAsNew(t, backup, alice)
}
