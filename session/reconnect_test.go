// SPDX-License-Identifier: Apache-2.0

// Coming back: with a key, without one, with one that cannot be.

package session

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

func texts(from, to int) (all []string) {
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint("m", i))
	}
	return all
}

// A1: a device that reconnects with key n gets n+1..head, then live events, no gap and no double between the two, also
// while others keep sending.
func TestA1ReconnectWithKey(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("bob", "phone")
	phone.tail, phone.gapless = 500, true
	phone.connect().drain()
	for i := 1; i <= 10; i++ {
		tc.post("alice", "team", fmt.Sprint("m", i))
	}
	phone.drain()
	phone.want("live", "team", texts(1, 10)...)
	phone.disconnect()
	for i := 11; i <= 200; i++ {
		tc.post("alice", "team", fmt.Sprint("m", i))
	}
	phone.hello()
	for i := 201; i <= 300; i++ {
		tc.post("alice", "team", fmt.Sprint("m", i))
		if i%7 == 0 {
			phone.next()
		}
	}
	phone.drain()
	phone.want("the rest, then live", "team", texts(1, 300)...)
	phone.wantIdle("all is read")
}

// A known device hears only what it lacks: nothing, when nothing happened.
func TestReconnectCostsWhatChanged(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	for i := range 50 {
		tc.group(tidemark.ConversationID(fmt.Sprint("g", i)), "alice", "bob")
	}
	phone := tc.device("bob", "phone").connect()
	phone.drain()
	if n := len(phone.logs); n != 50 {
		t.Fatalf("a new device has %d conversations, want 50", n)
	}
	phone.connect().drain()
	if len(phone.frames) != 2 {
		t.Fatalf("nothing has changed, but the device is told %v", phone.frames)
	}
	tc.post("alice", "g7", "news")
	phone.connect().drain()
	if len(phone.frames) != 3 || len(phone.frames[1].GetDelta().Conversations) != 1 {
		t.Fatalf("one conversation has changed, but the device is told %v", phone.frames)
	}
	if c := phone.frames[1].GetDelta().Conversations[0]; c.Info != nil || c.Self != nil || len(c.Events) != 1 {
		t.Errorf("a message is new, but the device is told %v", c)
	}
}

// A1: a device without a key gets the last events of its most recent conversations, most recent first, and summaries of
// the others.
func TestA1KeylessReaderGetsATail(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	for _, id := range []tidemark.ConversationID{"old", "middle", "latest"} {
		tc.now += 1000
		tc.group(id, "alice", "bob")
		for i := 1; i <= 30; i++ {
			tc.post("alice", id, fmt.Sprint("m", i))
		}
	}
	phone := tc.device("bob", "phone")
	phone.tail, phone.full = 5, 2
	phone.connect().drain()
	var order []string
	for _, f := range phone.frames {
		for _, c := range f.GetDelta().GetConversations() {
			order = append(order, c.Id)
			if c.Info == nil || c.Self == nil || c.GetUnread() != 30 || len(c.HeadDigest) != 32 {
				t.Errorf("of %s a new device is told %v", c.Id, c)
			}
		}
	}
	if got := fmt.Sprint(order); got != "[latest middle old]" {
		t.Errorf("the conversations come as %v", got)
	}
	phone.want("the last five", "latest", texts(26, 30)...)
	phone.want("the last five", "middle", texts(26, 30)...)
	phone.want("a summary", "old")
	phone.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Fetch{Fetch: &wire.Fetch{
		Request: 9, Conversation: "old", From: &wire.Fetch_Before{Before: 32}, Limit: 50,
	}}})
	phone.drain()
	if page := phone.frames[0].GetFetched(); page.GetRequest() != 9 || len(page.GetEvents()) != 31 {
		t.Errorf("the rest is fetched as %v", page)
	}
}

// A1: a key that cannot be is answered by a reset that says why, and by everything as to a new device.
func TestA1SameSequenceOrResetSaysWhy(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	tc.post("alice", "team", "hello")
	epoch := uint64(tc.set.Epoch())
	n := tc.set.Of("team").Number()
	for _, c := range []struct {
		name   string
		cursor *wire.Cursor
		forget bool
		want   wire.ResetReason
	}{
		{"from another incarnation", &wire.Cursor{Epoch: epoch + 1}, false, wire.ResetReason_EPOCH},
		{"from the future", &wire.Cursor{Epoch: epoch, Positions: map[uint32]uint64{n: 1000}}, false, wire.ResetReason_FUTURE},
		{"of no partition", &wire.Cursor{Epoch: epoch, Positions: map[uint32]uint64{77: 1}}, false, wire.ResetReason_FUTURE},
		{"of a forgotten device", &wire.Cursor{Epoch: epoch, Positions: map[uint32]uint64{n: 1}}, true, wire.ResetReason_UNKNOWN_DEVICE},
	} {
		t.Run(c.name, func(t *testing.T) {
			phone := tc.device("bob", "phone").connect()
			phone.drain()
			phone.disconnect()
			if c.forget {
				tc.do(&core.ForgetDevice{User: "bob", Device: "phone"})
			}
			phone.cursor = c.cursor
			phone.connect().drain()
			if got := phone.welcome.GetReset_().GetReason(); got != c.want {
				t.Fatalf("the reset is %v, want %v", got, c.want)
			}
			phone.want("everything as to a new device", "team", "hello")
			phone.disconnect()
		})
	}
}

// S4 and A3: an answer that was lost on the way is given again, and the message is there once.
func TestResendAfterALostAnswer(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	phone.submitAs("team", "c-1", "hello")
	tc.step()
	phone.disconnect() // submitted was not read

	tc.post("bob", "team", "in between")
	phone.connect().drain()
	phone.want("the event itself has come", "team", "hello", "in between")
	phone.submitAs("team", "c-1", "hello")
	tc.step()
	phone.drain()
	if s := phone.frames[0].GetSubmitted(); !s.GetDuplicate() || s.GetSeq() != 2 {
		t.Fatalf("the second answer is %v, want the first again", phone.frames[0])
	}
	phone.wantIdle("nothing was stored")
	if head, _ := tc.set.Of("team").Head(1); head.Seq != 3 {
		t.Errorf("the head is %d, want 3", head.Seq)
	}
}

// A3: sends, reads and settings of one device reach the user's others, whichever is connected when.
func TestThreeDevicesOfOneUser(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	var devices []*device
	for _, name := range []tidemark.DeviceID{"phone", "laptop", "tablet"} {
		d := tc.device("alice", name).connect()
		d.drain()
		devices = append(devices, d)
	}
	devices[2].disconnect()
	devices[0].send("team", "one")
	devices[1].send("team", "two")
	tc.post("bob", "team", "three")
	devices[0].read("team", 4)
	muted := true
	tc.do(&core.Settings{User: "alice", Conversation: "team", Muted: &muted})
	devices[2].connect()
	for _, d := range devices {
		d.drain()
		d.want("all the same", "team", "one", "two", "three")
		if l := d.logs["team"]; l.unread != 0 || l.self.ReadSeq != 4 || !l.self.Muted {
			t.Errorf("%s has %d unread, read mark %d, muted %v", d.name, l.unread, l.self.ReadSeq, l.self.Muted)
		}
		d.wantIdle("all is read")
	}
}

func TestLeavingAndComingBack(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	online, offline := tc.device("bob", "online").connect(), tc.device("bob", "offline").connect()
	online.drain()
	offline.drain()
	offline.disconnect()
	tc.post("alice", "team", "before")
	app := core.Actor{App: true}
	tc.do(&core.RemoveMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{"bob"}})
	tc.post("alice", "team", "without bob")
	online.drain()
	if online.logs["team"] != nil {
		t.Errorf("bob was removed, but the device keeps %v", online.logs["team"])
	}
	offline.connect().drain()
	if offline.logs["team"] != nil {
		t.Errorf("bob was removed, but the device that was away keeps %v", offline.logs["team"])
	}
	online.wantIdle("who has left hears nothing")
	offline.connect().drain()
	if len(offline.frames) != 2 {
		t.Errorf("a conversation left long ago is told of again: %v", offline.frames)
	}

	tc.do(&core.AddMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{"bob"}})
	tc.post("alice", "team", "welcome back")
	for _, d := range []*device{online, offline, tc.device("bob", "new").connect()} {
		d.drain()
		d.want("what came after joining", "team", "welcome back")
		if l := d.logs["team"]; l.info == nil || l.self == nil || l.unread != 1 {
			t.Errorf("%s: info %v, self %v, %d unread", d.name, l.info, l.self, l.unread)
		}
	}
}

// TestCleanAfterSynced: a commit whose wake comes between registering and reading what is published is given by the first
// round, and nothing of it is left dirty.
func TestCleanAfterSynced(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("alice", "phone")
	phone.admit = func() error {
		tc.must(tc.set.Subscribe("alice", phone.s)) // as Open is about to
		tc.post("bob", "team", "in the midst of it")
		tc.set.Unsubscribe("alice", phone.s)
		return nil
	}
	phone.connect().drain()
	phone.want("the first round gives it", "team", "in the midst of it")
	if behind := phone.s.Info().Behind; behind != 0 {
		t.Errorf("after synced %d conversations are dirty, and the device has everything", behind)
	}
	phone.admit = nil
	tc.post("bob", "team", "and on")
	phone.drain()
	phone.want("and it goes on", "team", "in the midst of it", "and on")
}
