// SPDX-License-Identifier: Apache-2.0

// Scheduled messages: a crash at every operation on the disk, and what devices are told.

package session

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/store/faultfs"
	"github.com/tidemark-im/tidemark/wire"
)

// A scheduled message that was acknowledged is submitted exactly once, wherever the server crashes; and its sender's own
// device hears it.
func TestScheduledMessageAndACrashAtEveryWrite(t *testing.T) {
	const begin = 1_700_000_000_000
	tc := &testWorld{TB: t, now: begin, format: wire.Proto}
	acked := false // the schedule was acknowledged
	crashes, fs := faultfs.NewCrashes(1, func() bool { return acked })
	tc.fs = fs
	tc.start()
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	crashes.Watch(true)
	schedule := &core.Schedule{AtMs: begin + 5000, Submit: &core.Submit{
		Actor: core.Actor{User: "alice"}, Conversation: "team", ClientID: "s1", Message: &wire.Message{Type: "text", Text: "later"},
	}}
	tc.must(tc.set.Submit(t.Context(), schedule, func(r core.Reply) {
		if r.Err != nil {
			t.Error(r.Err)
		}
		crashes.Do(func() { acked = true })
	}))
	tc.step()
	tc.post("bob", "team", "between")
	tc.now = begin + 5000
	tc.step()
	tc.post("bob", "team", "after")
	crashes.Watch(false)
	phone.drain()
	if got := phone.logs["team"]; got.texts[3] != "later" {
		t.Errorf("the sender's device has %v", got.texts)
	}
	tc.must(tc.db.Close())
	moments := crashes.Taken()
	if len(moments) < 4 {
		t.Fatalf("there were only %d moments to crash at", len(moments))
	}
	for _, m := range moments {
		if times := timesAfter(t, m.FS, begin+6000); times > 1 || m.Note && times != 1 {
			t.Fatalf("after a crash at %v the message is there %d times; acknowledged: %v", m.Op, times, m.Note)
		}
	}
	t.Logf("%d crashes", len(moments))
}

// timesAfter is how often the message is in the log once a server has started from a disk.
func timesAfter(t *testing.T, fs *vfs.MemFS, nowMs uint64) (times int) {
	after := &testWorld{TB: t, fs: fs, now: nowMs, format: wire.Proto}
	after.start()
	after.step()
	desk := after.device("bob", "desk")
	desk.tail, desk.gapless = 500, true
	desk.connect().drain()
	for _, text := range desk.logs["team"].texts {
		if text == "later" {
			times++
		}
	}
	desk.disconnect()
	after.must(after.db.Close())
	return times
}

// Every device of the sender hears a scheduled message by its event, with the read mark as it is then: what came meanwhile
// stays unread, and the message is not among it. Only from the last event does it move the mark.
func TestScheduledMessageLeavesTheReadMark(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone, desk := tc.device("alice", "phone").connect(), tc.device("alice", "desk").connect()
	stands := func(when string, head, read, unread uint64) {
		t.Helper()
		for _, d := range []*device{phone, desk} {
			d.drain()
			if l := d.log("team"); l.head != head || l.self.GetReadSeq() != read || l.unread != unread {
				t.Errorf("%s: %s has head %d, read %d, unread %d, want %d, %d, %d", when, d.name, l.head, l.self.GetReadSeq(), l.unread, head, read, unread)
			}
		}
	}
	later := func(id tidemark.ClientID) {
		t.Helper()
		tc.do(&core.Schedule{AtMs: tc.now + 1000, Submit: &core.Submit{
			Actor: core.Actor{User: "alice"}, Conversation: "team", ClientID: id, Message: &wire.Message{Text: string(id), MentionAll: true},
		}})
	}
	later("one")
	tc.post("bob", "team", "meanwhile")
	stands("before its time", 2, 1, 1)
	tc.now += 1000
	tc.step()
	stands("with something unread", 3, 1, 1)
	phone.want("it is there", "team", "meanwhile", "one")
	phone.read("team", 3)
	stands("when all is read", 3, 3, 0)
	later("two")
	tc.now += 1000
	tc.step()
	stands("with nothing unread", 4, 4, 0)
	tc.post("bob", "team", "after")
	stands("after it", 5, 4, 1)
	fresh := tc.device("alice", "tablet").connect()
	fresh.drain()
	if l := fresh.log("team"); l.self.GetReadSeq() != 4 || l.unread != 1 || l.mention != 0 {
		t.Errorf("a new device has read %d, unread %d, of them to the user %d", l.self.GetReadSeq(), l.unread, l.mention)
	}
}
