// SPDX-License-Identifier: Apache-2.0

// Scheduled messages with what is found out in other partitions at their time, and many of them at once.

package partition

import (
	"fmt"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// awaits is what a user's scheduled messages are: conversation, client id and, of those that failed, the reason.
func (w *world) awaits(user tidemark.UserID) (list []string) {
	w.Helper()
	page, more, err := w.set.ScheduledOf(user, "", nil, 100)
	w.must(err)
	if more {
		w.Error("there are more")
	}
	for _, m := range page {
		list = append(list, fmt.Sprint(m.In, " ", m.ID, " ", m.Scheduled.Reason))
	}
	return list
}

func (w *world) equal(what string, got, want any) {
	w.Helper()
	if g, x := fmt.Sprint(got), fmt.Sprint(want); g != x {
		w.Errorf("%s: %s, want %s", what, g, x)
	}
}

// What is known of the recipient, the sender and a forwarded message in other partitions is asked again at the time of a
// message, not only when it is scheduled.
func TestOtherPartitionsAreAskedAtItsTime(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob", "carol", "dave", "eve")
	w.group("team", "alice", "bob", "eve")
	source := tidemark.ConversationID("source")
	for w.set.Of(source) == w.set.Of("team") {
		source += "-"
	}
	w.group(source, "alice", "bob")
	told := w.do(w.text("bob", source, "for all")) // 2
	at := w.now + anHour
	later := func(from tidemark.UserID, to tidemark.ConversationID, id tidemark.ClientID) *core.Schedule {
		cmd := w.schedule(from, to, "for all", at)
		cmd.Submit.ClientID = id
		return cmd
	}
	forward := func(id tidemark.ClientID) *core.Schedule {
		cmd := later("alice", "team", id)
		cmd.Submit.Message.Forwarded = &wire.Forwarded{Conversation: string(source), Seq: 2, Sender: "bob", TimeMs: told.TimeMs}
		return cmd
	}
	w.do(forward("forwarded"))
	w.do(later("alice", tidemark.Direct("alice", "carol"), "contacts only"))
	w.do(later("alice", tidemark.Direct("alice", "dave"), "to nobody"))
	w.do(later("eve", "team", "of nobody"))
	w.do(later("eve", tidemark.Direct("alice", "eve"), "of nobody"))
	w.do(later("bob", tidemark.Direct("bob", "carol"), "of a contact"))
	w.equal("before its time", len(w.awaits("eve")), 2)

	only := true
	w.do(&core.Contact{User: "bob", Peer: "carol", Action: core.AskContact})
	w.do(&core.Contact{User: "carol", Peer: "bob", Action: core.AcceptContact})
	w.do(&core.SetOptions{User: "carol", ContactsOnly: &only})
	w.do(&core.Submit{Actor: core.Actor{User: "bob"}, Conversation: source, ClientID: "recall", Recall: &wire.Recall{Seq: 2}})
	w.do(&core.DeleteUser{User: "dave"})
	w.do(&core.DeleteUser{User: "eve"})
	if r := w.try(forward("too late")); r.Err == nil || r.Err.Reason != tidemark.UnknownEvent {
		t.Errorf("a recalled message can be forwarded later: %v", r.Err)
	}
	w.now = at - 1
	w.step()
	w.equal("in the team before their time", w.texts("team"), "[]")
	w.now = at
	w.step()
	w.equal("in the team", w.texts("team"), "[]")
	w.equal("to carol from alice", w.texts("alice~carol"), "[]")
	w.equal("to carol from a contact", w.texts("bob~carol"), "[for all]")
	w.equal("what failed", len(w.awaits("alice")), 3)
	for _, want := range []string{"alice~carol contacts only NOT_CONTACT", "alice~dave to nobody UNKNOWN_USER", "team forwarded UNKNOWN_EVENT"} {
		if !slices.Contains(w.awaits("alice"), want) {
			t.Errorf("%q is not among %q", want, w.awaits("alice"))
		}
	}
	w.equal("what waits of who is gone", w.awaits("eve"), "[]")
}

// Timers that are due all at once are done in batches that live commands share: a live message waits for no more than the
// batch it comes in, however many timers are due.
func TestManyTimersDoNotHoldUpLiveMessages(t *testing.T) {
	const groups, writers = 10, 10
	w := newWorld(t, nil)
	var members []tidemark.UserID
	for i := range writers {
		members = append(members, tidemark.UserID(fmt.Sprint("u", i)))
	}
	w.users(members...)
	p, at := w.set.At(0), w.now+anHour
	var ids []tidemark.ConversationID
	for i := 0; len(ids) < groups; i++ {
		if id := tidemark.ConversationID(fmt.Sprint("g", i)); w.set.Of(id) == p {
			w.group(id, members...)
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		for _, user := range members {
			for i := range core.ScheduledMax {
				w.must(w.set.Submit(t.Context(), w.schedule(user, id, "later", at+uint64(i)), func(r core.Reply) {
					if r.Err != nil {
						t.Error(r.Err)
					}
				}))
			}
			w.step()
		}
	}
	w.now = at + 1000
	const all = groups * writers * core.ScheduledMax
	before, steps := p.Stats().Events, 0
	for left := uint64(all); left > 0; steps++ {
		answered, done := false, p.Stats().Events
		w.must(w.set.Submit(t.Context(), w.text("u0", ids[steps%groups], "now"), func(r core.Reply) { answered = r.Err == nil }))
		p.Step(w.now)
		done = p.Stats().Events - done
		if want := min(left, timersAtOnce) + 1; !answered || done != want {
			t.Fatalf("step %d wrote %d events, want %d; the live message was answered: %v", steps, done, want, answered)
		}
		left -= done - 1
	}
	w.equal("events", p.Stats().Events-before, all+steps)
	if want := (all + timersAtOnce - 1) / timersAtOnce; steps != want {
		t.Errorf("%d timers took %d steps, want %d", all, steps, want)
	}
	if _, due := p.Due(); due {
		t.Error("something is still due")
	}
}

// Pages of what waits, over all partitions and conversations: each once, whatever is submitted, scheduled or taken back
// between them.
func TestPagesOfWhatWaits(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob")
	want := make(map[string]bool)
	for i := range 40 {
		id := tidemark.ConversationID(fmt.Sprint("g", i))
		w.group(id, "alice", "bob")
		for j := range 1 + i%3 {
			cmd := w.schedule("alice", id, "later", w.now+anHour)
			if i%4 == 0 && j == 0 {
				cmd.AtMs = w.now + 1
			} else {
				want[fmt.Sprint(id, cmd.Submit.ClientID)] = true
			}
			w.do(cmd)
		}
		peer := tidemark.UserID(fmt.Sprint("p", i))
		w.users(peer)
		cmd := w.schedule("alice", tidemark.Direct("alice", peer), "later", w.now+anHour)
		want[fmt.Sprint(cmd.Submit.Conversation, cmd.Submit.ClientID)] = true
		w.do(cmd)
	}
	w.now += 10
	got, pages := make(map[string]int), 0
	for after := (*ScheduledPlace)(nil); ; pages++ {
		page, more, err := w.set.ScheduledOf("alice", "", after, 7)
		w.must(err)
		for _, m := range page {
			got[fmt.Sprint(m.In, m.ID)]++
			after = &m.ScheduledPlace
		}
		if !more {
			break
		}
		if len(page) != 7 {
			t.Errorf("a page that is not the last has %d", len(page))
		}
		switch pages {
		case 2:
			w.step() // submits those that are due
		case 4: // what has been shown goes, and others come
			w.do(&core.Unschedule{Actor: core.Actor{User: "alice"}, Conversation: page[0].In, ClientID: page[0].ID})
			w.do(w.text("p3", tidemark.Direct("alice", "p3"), "hello"))
		}
	}
	for line := range want {
		if got[line] != 1 {
			t.Errorf("%s was listed %d times", line, got[line])
		}
	}
	if pages < 8 {
		t.Errorf("in %d pages", pages)
	}
}
