// SPDX-License-Identifier: Apache-2.0

// Servers that forge, rewrite and forget: stories of history that is not what it was.

package replica_test

import (
	"fmt"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// talk makes both devices be up to date with n messages of bob.
func talk(s *server, alice, bob *device, n int) {
	for _, d := range []*device{alice, bob} {
		d.connect(s)
		d.settle()
	}
	for i := range n {
		bob.say(team, fmt.Sprint("m", i))
		bob.settle()
	}
	alice.settle()
}

func react(seq uint64, key string) *wire.Body {
	return &wire.Body{Body: &wire.Body_Reaction{Reaction: &wire.Reaction{Seq: seq, Key: key}}}
}

// An event that was changed on its way contradicts the digest beside it, and is never shown.
func TestForgedEventIsNeverShown(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	forge := true
	s.corrupt = func(f *wire.ServerFrame) {
		for _, d := range f.GetDelta().GetConversations() {
			head := s.logs[team].digest(team, d.HeadSeq)
			d.HeadDigest = head[:]
			for _, ev := range d.Events {
				if forge {
					ev.Body = wire.MarshalBody(text2body("forged"))
				}
			}
		}
	}
	bob.say(team, "true")
	for bob.upload() {
	}
	alice.session.round()
	alice.download()
	equalList(t, "alice sees", alice.texts(team), "m0", "m1", "m2")
	if c := alice.replica.Conversation(team); !c.Doubt.Open || c.HeadSeq != 5 {
		t.Fatalf("alice knows of no contradiction: %+v", c)
	}
	forge = false
	alice.settle()
	equalList(t, "alice sees later", alice.texts(team), "m0", "m1", "m2", "true")
	if _, n := noteOf[replica.HistoryChanged](alice); n > 0 {
		t.Fatal("a forged frame is reported as changed history")
	}
}

// A server that rewrote history without saying so: live, and on a page that the app asks for.
func TestRewrittenHistoryIsReported(t *testing.T) {
	for name, live := range map[string]bool{"live": true, "on a page": false} {
		t.Run(name, func(t *testing.T) {
			s, alice, bob := world(t)
			talk(s, alice, bob, 10)
			h := s.logs[team]
			h.events = h.events[:6]
			for i := range 5 {
				s.append(team, "bob", fmt.Sprint("r", i), text2body(fmt.Sprint("rewritten ", i)))
			}
			if live {
				s.position[h.partition]++
				s.append(team, "bob", "r5", text2body("rewritten 5"))
			} else {
				alice.fetch(team, replica.Page{Before: 9, Limit: 4})
			}
			alice.settle()
			report, n := noteOf[replica.HistoryChanged](alice)
			if n != 1 || report.From != 7 || report.To != 11 || report.Dropped[0].Text() != "m5" {
				t.Fatalf("%d reports, the last %+v", n, report)
			}
			equal(t, "sixth", alice.texts(team)[5], "rewritten 0")
			alice.checkC1(s)
		})
	}
}

// The user clears history while the device looks for the first event that was rewritten: what it has found by then is of events
// that it has no more.
func TestClearedWhileSearching(t *testing.T) {
	for _, cleared := range []tidemark.Seq{5, 20, 35, 41, 43} {
		for steps := range 16 {
			s, alice, bob := world(t)
			alice.cfg.Backfill = replica.FillAll
			alice.load()
			talk(s, alice, bob, 40)
			h := s.logs[team]
			h.events = h.events[:30]
			for i := range 12 {
				s.append(team, "bob", fmt.Sprint("r", i), text2body(fmt.Sprint("rewritten ", i)))
			}
			s.position[h.partition]++
			s.append(team, "bob", "on", text2body("on"))
			alice.session.round()
			for i := range steps {
				if up := i%2 == 1; up {
					alice.upload()
				} else {
					alice.download()
				}
			}
			s.position[h.partition]++
			s.clear("alice", team, cleared)
			alice.session.round()
			alice.settle()
			alice.checkC1(s)
			fresh := newDevice(t, "alice", "fresh", replica.Config{Backfill: replica.FillAll})
			fresh.connect(s)
			fresh.settle()
			equalList(t, fmt.Sprintf("up to %d cleared after %d frames", cleared, steps), alice.texts(team), fresh.texts(team)...)
		}
	}
}

// What lost events did to messages that stay is undone.
func TestLostEventsAreUndone(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 5)
	bob.submit(team, react(2, "kept"))
	bob.settle()
	alice.settle()
	backup := s.clone(8)
	bob.submit(team, react(2, "lost"))
	bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 3, Message: &wire.Message{Text: "lost"}}}})
	bob.submit(team, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 4}}})
	bob.settle()
	alice.settle()
	equalList(t, "before", alice.texts(team), "m0", "lost", "-", "m3", "m4")
	alice.disconnect()
	alice.connect(backup)
	alice.settle()
	equalList(t, "while the server may have it again", alice.texts(team), "m0", "lost", "-", "m3", "m4")
	behind, n := noteOf[replica.ServerBehind](alice)
	kept, ahead := alice.replica.Conversation(team).Ahead()
	if n != 1 || !ahead || kept != (replica.Gap{From: 8, To: 10}) || behind.From != 8 || behind.To != 10 {
		t.Fatalf("ahead with %+v %t, noted %d times: %+v", kept, ahead, n, behind)
	}
	backup.position[backup.logs[team].partition]++
	backup.append(team, "bob", "on", react(2, "on"))
	alice.settle()
	equalList(t, "after", alice.texts(team), "m0", "m1", "m2", "m3", "m4")
	equal(t, "reactions", fmt.Sprint(alice.messages(team)[1].Reactions), "[{kept 1 false [bob]} {on 1 false [bob]}]")
	fresh := newDevice(t, "alice", "fresh", replica.Config{})
	fresh.connect(backup)
	fresh.settle()
	equal(t, "a fresh device", fresh.fingerprint(), alice.fingerprint())
}

// What an answer promised and a restore lost is sent again, under the same client id.
func TestAnsweredAndLostIsSentAgain(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 30)
	backup := s.clone(8)
	tablet := newDevice(t, "alice", "tablet", replica.Config{Full: 1, Tail: 1})
	s.create("other", "alice", "bob")
	tablet.connect(s)
	for tablet.upload() || tablet.download() { // the team comes as a summary
	}
	id := tablet.say(team, "precious")
	tablet.upload()
	tablet.download()
	equal(t, "state", tablet.replica.OutgoingState(id), replica.Stored)
	tablet.crash()
	tablet.connect(backup)
	tablet.settle()
	if texts := tablet.texts(team); !slices.Contains(texts, "precious") {
		t.Fatalf("the restored server never got it; the tablet has %v", texts)
	}
	equal(t, "stored at the restored server", backup.submitted, 1)
}

// A conversation of which a server that lost its history tells nothing is one that the user is not in.
func TestLostConversationIsRemoved(t *testing.T) {
	s, alice, bob := world(t)
	backup := s.clone(8)
	s.create("later", "alice", "bob")
	talk(s, alice, bob, 1)
	equal(t, "before", alice.replica.Conversation("later").Removed, false)
	alice.disconnect()
	alice.connect(backup)
	alice.settle()
	equal(t, "after", alice.replica.Conversation("later").Removed, true)
	equal(t, "the other", alice.replica.Conversation(team).Removed, false)
}

// A page was read before an event that the device hears of first.
func TestPageOvertakenByDelta(t *testing.T) {
	s, alice, bob := world(t)
	bob.connect(s)
	bob.settle()
	for i := range 20 {
		bob.say(team, fmt.Sprint("m", i))
		bob.settle()
	}
	alice.cfg.Tail, alice.cfg.Backfill = 2, replica.FillNone
	alice.load()
	alice.connect(s)
	alice.settle()
	alice.fetch(team, replica.Page{Before: 10, Limit: 5})
	alice.upload()
	bob.submit(team, react(7, "+1"))
	bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 8, Message: &wire.Message{Text: "edited"}}}})
	bob.settle()
	alice.session.round()
	slices.Reverse(alice.session.out)
	alice.settle()
	for _, m := range alice.messages(team) {
		if m.Seq == 7 && fmt.Sprint(m.Reactions) != "[{+1 1 false [bob]}]" || m.Seq == 8 && m.Text() != "edited" {
			t.Errorf("message %d: %q %v", m.Seq, m.Text(), m.Reactions)
		}
	}
}

// After a refusal for a while, a conversation's messages go one at a time.
func TestOneAtATimeAfterRefusal(t *testing.T) {
	s, alice, _ := world(t)
	alice.cfg.Window = 4
	alice.load()
	busy := true
	s.refuse = func(string) *tidemark.Error {
		if busy {
			return tidemark.Refuse(tidemark.Unavailable, "later")
		}
		return nil
	}
	alice.connect(s)
	var want []string
	for i := range 6 {
		want = append(want, fmt.Sprint("m", i))
		alice.say(team, want[i])
	}
	for alice.upload() || alice.download() {
	}
	busy = false
	for range 20 {
		alice.tick(1_500)
		submits := 0
		for _, f := range alice.toward {
			if f.GetSubmit() != nil {
				submits++
			}
		}
		if submits > 1 {
			t.Fatalf("%d submissions are in flight", submits)
		}
		for alice.upload() || alice.download() {
			alice.session.round()
		}
	}
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), want...)
}

// Once the server has gone on, counts and times are the server's again, without those of what it lost;
// a device that was started again in between knows them too.
func TestCountsOfWhatARestoredServerHasLost(t *testing.T) {
	for name, restarts := range map[string]bool{"running": false, "started again": true, "by a message": false} {
		t.Run(name, func(t *testing.T) {
			s, alice, bob := world(t)
			talk(s, alice, bob, 3)
			backup := s.clone(8)
			s.salt += 100 // times are later there
			for i := range 3 {
				bob.say(team, fmt.Sprint("lost ", i))
				bob.settle()
			}
			alice.settle()
			alice.disconnect()
			alice.connect(backup)
			alice.settle()
			c := alice.replica.Conversation(team)
			equal(t, "unread, with what is kept here", c.Unread, 6)
			if restarts {
				alice.crash()
				alice.connect(backup)
				alice.settle()
			}
			if name == "by a message" { // whose answer names the seq of what is lost
				alice.say(team, "on")
			} else {
				alice.submit(team, react(2, "on"))
			}
			alice.settle()
			alice.disconnect()
			fresh := newDevice(t, "alice", "fresh", replica.Config{})
			fresh.connect(backup)
			fresh.settle()
			c, other := alice.replica.Conversation(team), fresh.replica.Conversation(team)
			equal(t, "unread", c.Unread, other.Unread)
			equal(t, "time", c.LastTimeMs, other.LastTimeMs)
			equal(t, "a fresh device", fresh.fingerprint(), alice.fingerprint())
		})
	}
}

// A recall that a restore has lost had taken the content of the message's edit away too: it is fetched again.
func TestEditOfWhatALostRecallTookBack(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 3, Message: &wire.Message{Text: "edited"}}}})
	bob.settle()
	backup := s.clone(8)
	bob.submit(team, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 3}}})
	bob.settle()
	alice.settle()
	equalList(t, "before", alice.texts(team), "m0", "-", "m2")
	alice.disconnect()
	backup.position[backup.logs[team].partition]++
	backup.append(team, "bob", "on", react(2, "on"))
	alice.connect(backup)
	alice.settle()
	equalList(t, "after", alice.texts(team), "m0", "edited", "m2")
	for _, m := range alice.messages(team) {
		if m.Kind == replica.KindEdit && (m.Body == nil || m.RecallSeq > 0) {
			t.Errorf("the edit is still taken back: %+v", m)
		}
	}
}

// A device that has only the end of what a restored server has lost: it follows an event that the server has otherwise now.
func TestWhatFollowsAnotherEventIsLost(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 6)
	backup := s.clone(8)
	for i := range 4 {
		bob.say(team, fmt.Sprint("lost ", i))
		bob.settle()
	}
	tablet := newDevice(t, "alice", "tablet", replica.Config{Tail: 3})
	tablet.connect(s)
	tablet.settle()
	equalList(t, "before", tablet.texts(team), "lost 1", "lost 2", "lost 3")
	tablet.disconnect()
	tablet.connect(backup)
	tablet.settle()
	if kept, ahead := tablet.replica.Conversation(team).Ahead(); !ahead || kept != (replica.Gap{From: 9, To: 11}) {
		t.Fatalf("while the server may have it again %+v is kept, %t", kept, ahead)
	}
	backup.position[backup.logs[team].partition]++
	backup.append(team, "bob", "on", text2body("on"))
	tablet.settle()
	report, n := noteOf[replica.HistoryChanged](tablet)
	if _, ahead := tablet.replica.Conversation(team).Ahead(); n != 1 || report.From != 9 || report.To != 11 || ahead {
		t.Fatalf("%d reports, the last %+v; ahead %t", n, report, ahead)
	}
	equalList(t, "after", tablet.texts(team)[len(tablet.texts(team))-1:], "on")
	tablet.checkC1(backup)
}

// The same where the server's head is known without its digest: the device asks.
func TestWhetherItFollowsIsAsked(t *testing.T) {
	for name, other := range map[string]bool{"another event": true, "the same event": false} {
		t.Run(name, func(t *testing.T) {
			s, alice, bob := world(t)
			talk(s, alice, bob, 6)
			backup := s.clone(8)
			for i := range 4 {
				bob.say(team, fmt.Sprint("lost ", i))
				bob.settle()
			}
			tablet := newDevice(t, "alice", "tablet", replica.Config{Tail: 3, Backfill: replica.FillNone})
			tablet.connect(s)
			tablet.settle()
			tablet.disconnect()
			h := backup.logs[team]
			backup.position[h.partition]++
			if other {
				backup.append(team, "bob", "on", text2body("on"))
			} else {
				h.events = append(h.events, s.logs[team].events[7])
				h.bodies[8] = s.logs[team].bodies[8]
			}
			backup.corrupt = func(f *wire.ServerFrame) {
				for _, d := range f.GetDelta().GetConversations() {
					d.HeadDigest = nil
				}
			}
			tablet.connect(backup)
			tablet.settle()
			_, n := noteOf[replica.HistoryChanged](tablet)
			if _, ahead := tablet.replica.Conversation(team).Ahead(); ahead == other || n > 0 != other {
				t.Fatalf("ahead %t, %d reports: %+v", ahead, n, tablet.replica.Conversation(team).Segments)
			}
			tablet.checkC1(nil)
		})
	}
}

// A conversation of which a restored server knew nothing comes back, while the device is connected: what its user had kept there
// for itself does not, and what was read is told again.
func TestWhatIsKeptForOneselfGoesWithALostConversation(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 3)
	s.delete("alice", team, 3)
	alice.markRead(team, 4)
	alice.settle()
	equal(t, "deleted", len(alice.replica.Conversation(team).Self.GetPrivate().GetDeleted()), 1)
	backup := s.clone(8)
	backup.position = [partitions]uint64{}
	delete(backup.logs, team)
	backup.create("other", "alice", "bob")
	alice.disconnect()
	alice.connect(backup)
	alice.settle()
	equal(t, "missing", alice.replica.Conversation(team).Missing, true)
	h := s.clone(8).logs[team] // others give it back
	backup.position[h.partition] += 10
	h.deleted, h.marks = map[string][]uint64{}, map[string]mark{}
	for _, user := range h.members {
		h.marks[user] = mark{position: backup.position[h.partition], loud: backup.position[h.partition]}
	}
	backup.logs[team] = h
	alice.settle()
	c := alice.replica.Conversation(team)
	if c.Removed || len(c.Self.GetPrivate().GetDeleted()) > 0 {
		t.Errorf("the device has it removed %t, with %v", c.Removed, c.Self)
	}
	equalList(t, "alice sees", alice.texts(team), "m0", "m1", "m2")
	equal(t, "read", h.marks["alice"].read, 4)
}

// The edit of a message that the user had cleared is hidden; a restored server that knows nothing of the clearing shows both
// again, also where it gets the edit back only later.
func TestEditOfWhatALostClearingTookAway(t *testing.T) {
	for name, later := range map[string]bool{"there": false, "given back": true} {
		t.Run(name, func(t *testing.T) {
			s, alice, bob := world(t)
			alice.cfg.Backfill = replica.FillAll
			alice.load()
			talk(s, alice, bob, 3)
			before := s.clone(8)
			bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 3, Message: &wire.Message{Text: "edited"}}}})
			bob.say(team, "last")
			bob.settle()
			after := s.clone(8)
			s.clear("alice", team, 3)
			alice.settle()
			equalList(t, "cleared", alice.texts(team), "m2", "last")
			backup := after
			if later {
				backup = before
			}
			alice.disconnect()
			alice.connect(backup)
			alice.settle()
			if later {
				backup.takesBack(team, after)
				alice.settle()
			}
			fresh := newDevice(t, "alice", "fresh", replica.Config{Backfill: replica.FillAll})
			fresh.connect(backup)
			fresh.settle()
			equalList(t, "after", alice.texts(team), "m0", "edited", "m2", "last")
			equal(t, "a fresh device", fresh.fingerprint(), alice.fingerprint())
		})
	}
}

// Of very many own messages that are lost, the report has the last, and says how many there were before them.
func TestManyOwnMessagesAreLost(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 1)
	backup := s.clone(8)
	for i := range replica.DroppedMax + 7 {
		alice.say(team, fmt.Sprint("mine ", i))
		alice.settle()
	}
	alice.disconnect()
	backup.position[backup.logs[team].partition]++
	backup.append(team, "bob", "on", text2body("on"))
	alice.connect(backup)
	alice.settle()
	report, _ := noteOf[replica.HistoryChanged](alice)
	equal(t, "told", len(report.Own), replica.DroppedMax)
	equal(t, "the first of them", report.Own[0].Text(), "mine 7")
	equal(t, "before them", report.OwnEarlier, 7)
}
