// SPDX-License-Identifier: Apache-2.0

// What a user changes for itself alone: messages deleted, history cleared; and threads.

package replica_test

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// A message that the user has deleted for itself is gone on all its devices, its content too, and nowhere else.
func TestDeletedForMe(t *testing.T) {
	s, alice, bob := world(t)
	tablet := newDevice(t, "alice", "tablet", replica.Config{})
	for _, d := range []*device{alice, bob, tablet} {
		d.connect(s)
		d.settle()
	}
	for _, text := range []string{"one", "two", "three"} {
		bob.say(team, text)
	}
	bob.settle()
	alice.settle()
	alice.submit(team, &wire.Body{Body: &wire.Body_Reaction{Reaction: &wire.Reaction{Seq: 3, Key: "+1"}}})
	bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 3, Message: &wire.Message{Text: "Two"}}}})
	for _, d := range []*device{bob, alice, tablet} {
		d.settle()
	}
	tablet.disconnect()
	s.delete("alice", team, 3)
	s.delete("alice", team, 2)
	for _, d := range []*device{bob, alice} {
		d.settle()
	}
	bob.markRead(team, 4) // a change of another kind does not bring it back
	bob.settle()
	alice.markRead(team, 4)
	alice.settle()
	tablet.connect(s)
	tablet.settle()
	fresh := newDevice(t, "alice", "watch", replica.Config{Backfill: replica.FillAll})
	fresh.connect(s)
	fresh.settle()
	for _, d := range []*device{alice, tablet, fresh} {
		equalList(t, d.name+" sees", d.texts(team), "", "", "three")
		for _, m := range d.messages(team) {
			if hidden := m.Seq == 2 || m.Seq == 3 || m.Kind == replica.KindEdit; m.Hidden != hidden || hidden && (m.Body != nil || len(m.Reactions) > 0) {
				t.Errorf("%s: message %d: hidden %t, body %v, reactions %v", d.name, m.Seq, m.Hidden, m.Body, m.Reactions)
			}
		}
		equal(t, d.name+" and the phone", d.fingerprint(), alice.fingerprint())
	}
	equalList(t, "bob sees", bob.texts(team), "one", "Two", "three")
	alice.crash()
	equalList(t, "alice sees after a restart", alice.texts(team), "", "", "three")
}

// Cleared history is dropped on every device, and does not come back.
func TestClearedHistory(t *testing.T) {
	s, alice, bob := world(t)
	tablet := newDevice(t, "alice", "tablet", replica.Config{})
	for _, d := range []*device{alice, bob, tablet} {
		d.connect(s)
		d.settle()
	}
	for _, text := range []string{"one", "two", "three"} {
		bob.say(team, text)
	}
	for _, d := range []*device{bob, alice, tablet} {
		d.settle()
	}
	tablet.disconnect()
	s.clear("alice", team, 3)
	alice.settle()
	bob.say(team, "four")
	for _, d := range []*device{bob, alice} {
		d.settle()
	}
	tablet.connect(s)
	tablet.settle()
	fresh := newDevice(t, "alice", "watch", replica.Config{Backfill: replica.FillAll})
	fresh.connect(s)
	fresh.settle()
	for _, d := range []*device{alice, tablet, fresh} {
		equalList(t, d.name+" sees", d.texts(team), "three", "four")
		c := d.replica.Conversation(team)
		equal(t, d.name+" has gaps", len(c.Gaps()), 0)
		equal(t, d.name+" has unread", c.Unread, 2)
		equal(t, d.name+" and the phone", d.fingerprint(), alice.fingerprint())
	}
	equalList(t, "bob sees", bob.texts(team), "one", "two", "three", "four")
}

// The count of answers is the same for who heard each, who came later, and who has seen one taken back.
func TestThreadsAreCounted(t *testing.T) {
	s, alice, bob := world(t)
	alice.connect(s)
	bob.connect(s)
	bob.say(team, "root")
	answer := func(d *device, text string) {
		d.submit(team, &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Text: text, Thread: 2}}})
		bob.settle()
		alice.settle()
	}
	bob.settle()
	alice.settle()
	answer(alice, "one")
	answer(bob, "two")
	answer(bob, "three")
	equal(t, "answers", alice.messages(team)[1].ThreadCount, 3)
	equal(t, "the last", alice.messages(team)[1].ThreadSeq, 5)
	bob.submit(team, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 4}}})
	bob.settle()
	alice.settle()
	for range 5 {
		alice.tick(10_000)
		alice.settle()
	}
	fresh := newDevice(t, "alice", "watch", replica.Config{Backfill: replica.FillAll})
	fresh.connect(s)
	fresh.settle()
	for _, d := range []*device{alice, fresh} {
		root := d.messages(team)[1]
		equal(t, d.name+": answers", root.ThreadCount, 2)
		equal(t, d.name+": the last", root.ThreadSeq, 5)
	}
	equal(t, "both devices", fresh.fingerprint(), alice.fingerprint())
}

// The edits of a message that is not on the device go with it when it is taken back.
func TestRecallOfWhatWasCleared(t *testing.T) {
	s, alice, bob := world(t)
	alice.connect(s)
	bob.connect(s)
	bob.say(team, "hello")
	bob.settle()
	alice.settle()
	s.clear("alice", team, 2)
	alice.settle()
	bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: &wire.Message{Text: "secret"}}}})
	bob.settle()
	alice.settle()
	if edit := alice.messages(team)[0]; edit.Body != nil || !edit.Hidden {
		t.Errorf("the edit of a cleared message shows %v", edit.Body)
	}
	bob.submit(team, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 2}}})
	bob.settle()
	alice.settle()
	if edit := alice.messages(team)[0]; edit.Body != nil {
		t.Errorf("the edit of a recalled message shows %v, recalled by %d", edit.Body, edit.RecallSeq)
	}
}

// An own message whose place lies in what was cleared before its answer came leaves the outbox all the same.
func TestSentAndCleared(t *testing.T) {
	s, alice, _ := world(t)
	alice.connect(s)
	alice.settle()
	alice.say(team, "from the phone")
	for alice.upload() {
	}
	alice.disconnect() // before the answer
	s.clear("alice", team, tidemark.Seq(len(s.logs[team].events)))
	alice.connect(s)
	alice.settle()
	if left := alice.replica.Outbox(); len(left) != 0 {
		t.Errorf("the outbox still holds %+v", left[0])
	}
}

// What an edit says goes with the message it edits when the history is cleared, on devices that have it as on those that
// come later; also one's own edit that is answered only afterwards.
func TestEditOfWhatWasClearedGoesWithIt(t *testing.T) {
	s, alice, bob := world(t)
	alice.connect(s)
	bob.connect(s)
	alice.say(team, "mine")
	alice.settle()
	bob.settle()
	alice.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: &wire.Message{Text: "secret"}}}})
	alice.settle()
	equal(t, "the edit", alice.messages(team)[2].Body.GetEdit().GetMessage().GetText(), "secret")
	s.clear("alice", team, 2)
	alice.settle()
	if edit := alice.messages(team)[0]; edit.Seq != 3 || edit.Body != nil || !edit.Hidden {
		t.Errorf("event %d is an edit of a message that was cleared, and shows %v", edit.Seq, edit.Body)
	}

	alice.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: &wire.Message{Text: "secret"}}}})
	for alice.upload() {
	}
	s.clear("alice", team, 3)
	alice.settle()
	if edit := alice.messages(team)[0]; edit.Seq != 4 || edit.Body != nil || !edit.Hidden {
		t.Errorf("event %d is an own edit of a message that was cleared, and shows %v", edit.Seq, edit.Body)
	}
}
