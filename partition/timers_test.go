// SPDX-License-Identifier: Apache-2.0

// Timers: done when they are due and once, across restarts, failures and steps of the clock; and what they do is seen
// whole or not at all.

package partition

import (
	"errors"
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

const anHour = 3600 * 1000

// keep sets a group's retention.
func (w *world) keep(id tidemark.ConversationID, r *wire.Retention) {
	w.Helper()
	w.do(&core.Update{Actor: core.Actor{App: true}, Conversation: id, Settings: &wire.Settings{Retention: r}})
}

// schedule is a command that schedules a message with a client id of its own.
func (w *world) schedule(from tidemark.UserID, to tidemark.ConversationID, text string, atMs uint64) *core.Schedule {
	return &core.Schedule{Submit: w.text(from, to, text), AtMs: atMs}
}

// floor is up to which seq a conversation is trimmed.
func (w *world) floor(id tidemark.ConversationID) tidemark.Seq {
	w.Helper()
	info, err := w.set.Of(id).Info(id)
	w.must(err)
	h, err := w.set.Of(id).Head(info.Ordinal)
	w.must(err)
	return h.Floor
}

// texts are the messages of a conversation.
func (w *world) texts(id tidemark.ConversationID) (texts []string) {
	w.Helper()
	page, err := w.set.Fetch("", &wire.Fetch{Conversation: string(id), From: &wire.Fetch_After{}, Limit: 500})
	if refused, _ := refusal(err); refused != nil {
		return nil
	}
	w.must(err)
	for _, e := range page.Events {
		var body wire.Body
		w.must(body.UnmarshalVT(e.Body))
		if m := body.GetMessage(); m != nil {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

func TestTimersAreDoneWhenTheyAreDue(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob")
	w.group("team", "alice", "bob")
	p := w.set.Of("team")
	if _, due := p.Due(); due {
		t.Error("something is due in a new partition")
	}
	first := w.now
	w.do(w.schedule("alice", "team", "second", first+2000))
	w.do(w.schedule("alice", "team", "first", first+1000))
	if at, due := p.Due(); !due || at != first+1000 {
		t.Errorf("due at %d, %v", at, due)
	}
	w.now = first + 999
	w.step()
	if got := w.texts("team"); len(got) != 0 {
		t.Errorf("before its time there is %q", got)
	}
	w.now = first - 10*anHour
	w.step()
	w.close()
	w.open(nil)
	p = w.set.Of("team")
	if at, due := p.Due(); !due || at != first+1000 {
		t.Errorf("after a restart due at %d, %v", at, due)
	}
	w.now = first + 1000
	w.step()
	if got := w.texts("team"); fmt.Sprint(got) != "[first]" {
		t.Errorf("at its time there is %q", got)
	}
	w.now = first + 100*anHour
	w.step()
	if got := w.texts("team"); fmt.Sprint(got) != "[first second]" {
		t.Errorf("after a step of the clock there is %q", got)
	}
	if _, due := p.Due(); due {
		t.Error("something is still due")
	}
}

// More timers than one batch takes are done in several.
func TestManyTimersAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	var members []tidemark.UserID
	for i := range 4 {
		members = append(members, tidemark.UserID(fmt.Sprint("u", i)))
	}
	w.users(members...)
	w.group("team", members...)
	for i := range 4 * 90 {
		w.do(w.schedule(members[i%4], "team", "x", w.now+1000))
	}
	w.now += 1000
	p := w.set.Of("team")
	before := p.Published()
	w.step()
	if n := len(w.texts("team")); n != 360 {
		t.Errorf("%d of 360 messages were submitted", n)
	}
	if commits := p.Published() - before; commits != 2 {
		t.Errorf("in %d commits, want 2", commits)
	}
}

// A timer whose batch could not be written is tried again, and not at once.
func TestTimerOfARefusedBatchIsTriedAgain(t *testing.T) {
	j := &moment{}
	w := newWorld(t, func(c *Config) { j.Journal, c.Journal = c.Journal, &lowSpace{c.Journal, j} })
	w.users("alice")
	w.group("team", "alice")
	w.do(w.schedule("alice", "team", "hello", w.now+1000))
	p := w.set.Of("team")
	w.now += 1000
	j.look = func() error { return store.ErrLowSpace }
	if !p.Step(w.now) || p.Step(w.now) {
		t.Error("it is to be tried once")
	}
	if at, due := p.Due(); !due || at != w.now+timersRetryMs {
		t.Errorf("due again at %d, %v; now is %d", at, due, w.now)
	}
	j.look = nil
	w.now -= anHour // the clock steps back: nothing is due
	w.step()
	w.now += anHour + timersRetryMs
	w.step()
	if got := w.texts("team"); fmt.Sprint(got) != "[hello]" {
		t.Errorf("in the end there is %q", got)
	}
	if p.timers.waiting != 0 {
		t.Errorf("%d timers wait in the work", p.timers.waiting)
	}
}

// lowSpace refuses commits for want of room when the moment says so.
type lowSpace struct {
	journal.Journal
	m *moment
}

func (l *lowSpace) Commit(b *store.Batch) error {
	if l.m.look != nil {
		return l.m.look()
	}
	return l.Journal.Commit(b)
}

// trimmedSoon is a group that keeps an hour of messages: recalled, pinned, answered and reacted to.
func (w *world) trimmedSoon() *record.Info {
	w.users("alice", "bob", "carol", "dave")
	info := w.group("team", "alice", "bob")
	for w.other = "other"; w.set.Of(w.other) != w.set.Of("team"); {
		w.other += "-"
	}
	w.group(w.other, "dave")
	w.keep("team", &wire.Retention{Mode: wire.RetentionMode_BY_AGE, MaxAgeMs: anHour})
	mention := w.text("alice", "team", "you")
	mention.Message.Mentions, mention.ClientID = []string{"bob"}, "r1"
	w.do(mention)
	for i := range 4 {
		w.do(w.text("alice", "team", fmt.Sprint("m", i)))
	}
	w.do(&core.Submit{Actor: core.Actor{App: true}, Conversation: "team", ClientID: "r0", Recall: &wire.Recall{Seq: 5}})
	w.do(&core.Submit{Actor: core.Actor{App: true}, Conversation: "team", ClientID: "p0", Pin: &wire.Pin{Seq: 4}})
	w.now += anHour / 2
	w.do(w.text("alice", "team", "later"))
	answer := w.text("alice", "team", "answer")
	answer.Message.Thread = 4
	w.do(answer)
	w.do(react("bob", "team", "k0", 4, false))
	return info
}

// S2: what a trim in flight removes is there for readers until its commit is known; and for ever, if that fails.
func TestReadersDoNotSeeATrimInFlight(t *testing.T) {
	for name, cache := range map[string]CacheLimits{"in memory": {}, "in the store": tiny} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprint(name, fails), func(t *testing.T) {
				j := &moment{}
				w := newWorld(t, func(c *Config) { c.Cache = cache; j.Journal, c.Journal = c.Journal, j })
				info := w.trimmedSoon()
				before, looks := describe(w, info.Ordinal), 0
				same := func(when string) {
					for range 2 {
						if now := describe(w, info.Ordinal); now != before {
							t.Errorf("in flight, %s: %s", when, differences(before, now))
						}
					}
				}
				j.before = func() {
					if looks == 0 {
						same("before the store has it")
					}
				}
				j.look = func() error {
					if looks++; looks == 1 {
						same("when the store has it")
						if fails {
							return errors.New("the disk has gone")
						}
					}
					return nil
				}
				w.now += anHour*6/10 + 1
				w.step()
				if looks == 0 {
					t.Fatal("nobody looked")
				}
				if fails {
					if now := describe(w, info.Ordinal); now != before {
						t.Errorf("after the failure: %s", differences(before, now))
					}
					return
				}
				if floor := w.floor("team"); floor != 9 {
					t.Fatalf("trimmed up to %d, want 9", floor)
				}
				after := describe(w, info.Ordinal)
				w.close()
				w.open(func(c *Config) { c.Cache = cache })
				if opened := describe(w, info.Ordinal); opened != after {
					t.Errorf("opened again: %s", differences(after, opened))
				}
				w.now += anHour
				w.step()
				if floor := w.floor("team"); floor != 12 {
					t.Errorf("after the restart trimmed up to %d, want 12", floor)
				}
			})
		}
	}
}

// Events go once every known device of every member has acknowledged them.
func TestA2RetentionUntilAcknowledged(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob")
	w.group("team", "alice", "bob")
	w.keep("team", &wire.Retention{Mode: wire.RetentionMode_ACKNOWLEDGED})
	p := w.set.Of("team")
	ack := func(user tidemark.UserID, device tidemark.DeviceID) {
		w.set.Ack(user, device, p.Number(), p.Published())
	}
	wait := func(what string, want tidemark.Seq) {
		t.Helper()
		w.now += anHour
		w.step()
		if floor := w.floor("team"); floor != want {
			t.Errorf("%s: trimmed up to %d, want %d", what, floor, want)
		}
	}
	w.do(w.text("alice", "team", "one"))
	wait("without devices", 0)
	w.do(&core.SeeDevice{User: "alice", Device: "phone"})
	ack("alice", "phone")
	wait("bob has no device", 0)
	w.do(&core.SeeDevice{User: "bob", Device: "desk"})
	w.do(&core.SeeDevice{User: "bob", Device: "phone"})
	ack("bob", "desk")
	wait("bob's phone has nothing", 0)
	ack("bob", "phone")
	w.do(w.text("alice", "team", "two"))
	wait("the second message is nowhere", 3)
	w.do(&core.ForgetDevice{User: "bob", Device: "phone"})
	ack("alice", "phone")
	wait("bob's desk has not the second", 3)
	ack("bob", "desk")
	wait("a forgotten device holds nothing back", 4)
	if _, due := p.Due(); due {
		t.Error("with nothing left something is still due")
	}
}

// A trim is bounded: a long log goes piece by piece, and tells nobody.
func TestLongLogGoesPieceByPiece(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice")
	w.group("team", "alice")
	for range 2500 {
		w.must(w.set.Submit(t.Context(), w.text("alice", "team", "x"), nil))
	}
	w.step()
	woken := &counter{}
	w.must(w.set.Subscribe("alice", woken))
	defer w.set.Unsubscribe("alice", woken)
	w.keep("team", &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: 100})
	p, wakes := w.set.Of("team"), w.set.Of("team").Stats().Wakes
	before := p.Published()
	w.step()
	if floor := w.floor("team"); floor != 2402 {
		t.Errorf("trimmed up to %d, want 2402", floor)
	}
	if pieces := p.Published() - before; pieces > 3 {
		t.Errorf("in %d pieces", pieces)
	}
	if more := p.Stats().Wakes - wakes; more != 0 {
		t.Errorf("a trim woke %d times", more)
	}
	n := 0
	w.must(w.db.Partition(p.Number()).Commits(0, func(_ tidemark.Position, events []record.ConversationSeq) bool {
		n += len(events)
		return true
	}))
	if n != 100 {
		t.Errorf("the rows of commits hold %d events, want 100", n)
	}
}
