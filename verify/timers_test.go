// SPDX-License-Identifier: Apache-2.0

// A directory from which much was removed is whole; what is left of it, or waits without a timer, is damage.

package verify_test

import (
	"path/filepath"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// trimmedDir is a world whose team has lost its first 12 events; in its second group no event is kept. A message waits.
func trimmedDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "data")
	w := newWorld(t, dir)
	w.live()
	app := core.Actor{App: true}
	other := w.group(0, "other")
	w.in(other, &core.Create{Actor: app, Conversation: other, Members: []tidemark.UserID{"alice", "bob"}})
	trim := func(id tidemark.ConversationID, acknowledged tidemark.Seq) {
		w.in(id, &core.Update{Actor: app, Conversation: id, Settings: &wire.Settings{Retention: &wire.Retention{Mode: wire.RetentionMode_ACKNOWLEDGED}}})
		info, _ := w.memory[0].Conversation(id)
		head := w.memory[0].Head(info.Ordinal)
		w.in(id, &core.Trim{Conversation: id, Acknowledged: acknowledged, Timer: record.Index{
			Kind: record.TimerIndex, Timer: record.TrimTimer, DueMs: head.TrimMs, Conversation: info.Ordinal,
		}})
	}
	title := "kept title"
	w.in(w.team, &core.Update{Actor: app, Conversation: w.team, Title: &title})
	trim(w.team, 12)
	trim(other, 99)
	w.in(w.team, &core.Schedule{AtMs: w.nowMs + 3600_000, Submit: &core.Submit{
		Actor: core.Actor{User: "alice"}, Conversation: w.team, ClientID: "later", Message: &wire.Message{Text: "later"},
	}})
	w.close()
	return dir
}

func TestTrimmedIsWhole(t *testing.T) {
	whole := trimmedDir(t)
	if report := run(t, whole); !report.OK() {
		t.Fatal(report)
	}
	first := func(h hand, kind store.Kind) store.Key {
		return h.find(kind, func(store.Key, []byte) bool { return true })
	}
	last := func(h hand, kind store.Kind) (k store.Key) {
		h.find(kind, func(found store.Key, _ []byte) bool {
			if found.Conversation == 1 {
				k = found
			}
			return found.Conversation > 1
		})
		return k
	}
	for name, d := range map[string]struct {
		do   func(h hand)
		says string
	}{
		"an event is left":       {func(h hand) { h.set(event(12), h.get(event(13))) }, "event: found"},
		"the floor is another":   {func(h hand) { h.delete(event(13)) }, "found none up to event 14"},
		"a current form is left": {func(h hand) { h.set(store.Key{Kind: store.CurrentRow, Conversation: 1, Seq: 5}, []byte{0}) }, "current form"},
		"a recall is left":       {func(h hand) { h.set(store.Key{Kind: store.RecallRow, Conversation: 1, Seq: 5}, []byte{1}) }, "recall: found a row"},
		"a mention is left":      {func(h hand) { h.set(store.Key{Kind: store.MentionRow, Conversation: 1, User: 2, Seq: 5}, nil) }, "mention of"},
		"a reaction is left": {func(h hand) {
			h.set(store.Key{Kind: store.ReactionRow, Conversation: 1, Seq: 5, ID: "+1", User: 1}, nil)
		}, "reaction +1"},
		"a thread is left":               {func(h hand) { h.set(store.Key{Kind: store.ThreadRow, Conversation: 1, Root: 5, Seq: 14}, nil) }, "thread of the message"},
		"an event about members is left": {func(h hand) { h.set(store.Key{Kind: store.MembershipRow, Conversation: 1, Seq: 1}, nil) }, "about members"},
		"an hour is missing":             {func(h hand) { h.delete(last(h, store.HourRow)) }, "row of hour"},
		"an hour is left": {func(h hand) {
			h.set(store.Key{Kind: store.HourRow, Conversation: 1, Hour: 1}, h.get(last(h, store.HourRow)))
		}, "row of hour"},
		"the title is another": {func(h hand) {
			k := store.Key{Kind: store.InfoRow, Conversation: 1}
			h.set(k, []byte(strings.Replace(string(h.get(k)), "kept title", "lost title", 1)))
		}, "title: found lost title"},
		"a timer is missing": {func(h hand) { h.delete(first(h, store.TimerRow)) }, "timer of the"},
		"a timer is nobody's": {func(h hand) {
			h.set(store.Key{Kind: store.TimerRow, DueMs: 1, Timer: 1, Conversation: 1, User: 1, ID: "x"}, nil)
		}, "timers: found"},
		"what waits is not there": {func(h hand) { h.delete(first(h, store.ScheduledRow)) }, "timers: found"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, whole)
			edit(t, dir, d.do)
			if report := run(t, dir); report.OK() || !strings.Contains(report.String(), d.says) {
				t.Errorf("not found: %s", report)
			}
		})
	}
}

// A scheduled message that did not move its sender's read mark is named in the sender's record.
func TestOwnMessagesPastTheMark(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "data")
	w := newWorld(t, whole)
	w.live()
	w.in(w.team, &core.Schedule{AtMs: w.nowMs + 3600_000, Submit: &core.Submit{
		Actor: core.Actor{User: "alice"}, Conversation: w.team, ClientID: "later", Message: &wire.Message{Text: "later"},
	}})
	w.in(w.team, &core.Submit{
		Actor: core.Actor{User: "bob"}, Conversation: w.team, ClientID: "now", Message: &wire.Message{Text: "now"},
	})
	w.nowMs += 3600_000
	for _, r := range w.memory[0].ScheduledRows() {
		w.in(w.team, w.memory[0].WhenDue(record.Index{
			Kind: record.TimerIndex, Timer: record.SubmitTimer, DueMs: r.Scheduled.DueMs, Conversation: r.Conversation, User: r.User, ID: string(r.ClientID),
		}))
	}
	info, _ := w.memory[0].Conversation(w.team)
	u, _ := w.memory[0].User("alice")
	own := w.memory[0].Member(info.Ordinal, u).Own
	if own.Len() != 1 {
		t.Fatalf("the record names %d messages", own.Len())
	}
	w.close()
	if report := run(t, whole); !report.OK() {
		t.Fatal(report)
	}
	edit(t, whole, func(h hand) { h.flip(store.Key{Kind: store.MemberRow, Conversation: info.Ordinal, User: u}) })
	if report := run(t, whole); report.OK() || !strings.Contains(report.String(), "own message") {
		t.Errorf("not found: %s", report)
	}
}
