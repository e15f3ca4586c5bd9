// SPDX-License-Identifier: Apache-2.0

// Sessions beside each other: replaced, kicked, counted, and what they tell each other's users.

package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

func TestRegistry(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	first := tc.device("alice", "phone").connect()
	first.drain()
	second := tc.device("alice", "phone").connect()
	first.drain()
	if first.bye.GetReason() != wire.ByeReason_REPLACED || !first.s.Done() {
		t.Errorf("the older session of a device gets %v", first.bye)
	}
	first.disconnect()
	if !tc.registry.Online("alice", "phone") || tc.registry.Count() != 1 {
		t.Error("the newer session has left with the older one")
	}
	laptop, desk := tc.device("alice", "laptop").connect(), tc.device("bob", "desk").connect()
	var page []string
	after := ""
	for {
		infos := tc.registry.List("", after, 2)
		for _, i := range infos {
			after = i.User + " " + i.DeviceId
			page = append(page, after)
		}
		if len(infos) < 2 {
			break
		}
	}
	if got := fmt.Sprint(page); got != "[alice laptop alice phone bob desk]" {
		t.Errorf("the sessions are %v", got)
	}
	if n := tc.registry.Kick("alice", "laptop"); n != 1 {
		t.Errorf("%d sessions were kicked, want 1", n)
	}
	laptop.drain()
	if laptop.bye.GetReason() != wire.ByeReason_KICKED {
		t.Errorf("who is kicked gets %v", laptop.bye)
	}
	laptop.disconnect()
	tc.registry.Drain(1000, "restart")
	for _, d := range []*device{second, desk} {
		d.drain()
		if d.bye.GetReason() != wire.ByeReason_SHUTDOWN {
			t.Errorf("at shutdown %s gets %v", d.name, d.bye)
		}
		d.wantIdle("a bye is the last frame")
		d.disconnect()
	}
	if second.bye.RetryAfterMs == desk.bye.RetryAfterMs {
		t.Error("all are asked to come back at once")
	}
	if tc.registry.Count() != 0 {
		t.Errorf("%d sessions are left", tc.registry.Count())
	}
}

// Receipts: the author hears who has read, merged; the peer of a direct conversation hears what was delivered.
func TestReceipts(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob", "carol")
	tc.group("team", "alice", "bob", "carol")
	phone := tc.device("alice", "phone").connect()
	desk, tablet := tc.device("bob", "desk").connect(), tc.device("carol", "tablet").connect()
	phone.drain()
	for i := range 5 {
		phone.send("team", fmt.Sprint("m", i))
	}
	desk.drain()
	tablet.drain()
	for seq := uint64(2); seq <= 6; seq++ {
		desk.read("team", seq)
	}
	desk.drain()
	phone.drain()
	if len(phone.frames) != 1 || phone.frames[0].GetSignal().GetReceipt().GetReadSeq() != 6 {
		t.Errorf("bob has read, the author is told %v", phone.frames)
	}
	tablet.wantIdle("who is no author is not told who has read")
	desk.ack()
	phone.drain()
	if len(phone.frames) != 1 || phone.frames[0].GetSignal().GetReceipt().GetDeliveredSeq() != 6 {
		t.Errorf("bob's device has all, the author is told %v", phone.frames)
	}
	desk.ack()
	phone.wantIdle("the same acknowledgement again tells nothing")
}

func TestPresence(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	watch := func(users ...string) {
		phone.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Watch{Watch: &wire.Watch{Users: users}}})
	}
	online := func() string {
		phone.drain()
		s := ""
		for _, f := range phone.frames {
			s += fmt.Sprint(f.GetSignal().GetPresence().GetOnline(), " ")
		}
		return s
	}
	watch("bob")
	if got := online(); got != "false " {
		t.Errorf("bob is away, told: %s", got)
	}
	desk := tc.device("bob", "desk").connect()
	other := tc.device("bob", "other").connect()
	if got := online(); got != "true " {
		t.Errorf("bob has come, told: %s", got)
	}
	desk.disconnect()
	phone.wantIdle("bob has another device")
	other.disconnect()
	phone.wantIdle("bob may come back at once")
	tc.now += 1000
	tc.step()
	if got := online(); got != "false " {
		t.Errorf("bob has gone, told: %s", got)
	}
	watch()
	desk.connect()
	phone.wantIdle("nobody is watched any more")
	watch("nobody")
	phone.drain()
	if phone.frames[0].GetError().GetReason() != wire.Reason_UNKNOWN_USER {
		t.Errorf("watching nobody is answered by %v", phone.frames)
	}
	desk.disconnect()
}

func TestHelloComesOnce(t *testing.T) {
	tc := newTest(t)
	tc.users("alice")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	if err := phone.s.Handle(t.Context(), &wire.ClientFrame{Frame: &wire.ClientFrame_Hello{}}); err == nil {
		t.Error("a second hello is taken")
	}
}

func TestPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tc := newTest(t)
		tc.users("alice", "bob")
		tc.group("team", "alice", "bob")
		tc.post("alice", "team", "one")
		cfg := Config{User: "bob", Device: "bot", Set: tc.set, NowMs: tc.clock}
		pull := func(req *wire.PullRequest) *wire.PullResponse {
			t.Helper()
			answer, err := Pull(t.Context(), cfg, req)
			tc.must(err)
			tc.step()
			return answer
		}
		first := pull(&wire.PullRequest{})
		if len(first.Conversations) != 1 || len(first.Conversations[0].Events) != 2 || first.Cursor == nil || first.Epoch == 0 {
			t.Fatalf("a new device pulls %v", first)
		}
		if again := pull(&wire.PullRequest{Cursor: first.Cursor}); len(again.Conversations) != 0 || again.Cursor == nil {
			t.Errorf("nothing is new, but it pulls %v", again)
		}
		for n, position := range first.Cursor.Positions {
			tc.set.Ack("bob", "bot", n, tidemark.Position(position))
		}
		tc.post("alice", "team", "two")
		if next := pull(&wire.PullRequest{}); len(next.Conversations) != 1 || len(next.Conversations[0].Events) != 1 {
			t.Errorf("from the acknowledged cursor it pulls %v", next)
		}
		latest := pull(&wire.PullRequest{Cursor: first.Cursor})
		answers := make(chan *wire.PullResponse)
		go func() {
			answer, err := Pull(t.Context(), cfg, &wire.PullRequest{Cursor: latest.Cursor, WaitMs: 10_000})
			tc.must(err)
			answers <- answer
		}()
		synctest.Wait()
		tc.post("alice", "team", "three")
		if a := <-answers; len(a.Conversations) != 1 || len(a.Conversations[0].Events) != 1 || a.Conversations[0].Events[0].Seq != 4 {
			t.Errorf("who waits is given %v", a)
		} else if a.Cursor.Positions[a.Conversations[0].Partition] <= latest.Cursor.Positions[a.Conversations[0].Partition] {
			t.Errorf("the cursor stays at %v", a.Cursor)
		}
		start := time.Now()
		if a := pull(&wire.PullRequest{Cursor: pull(&wire.PullRequest{Cursor: first.Cursor}).Cursor, WaitMs: 5000}); len(a.Conversations) != 0 {
			t.Errorf("nothing is new, but it pulls %v", a)
		}
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("waited %v, want 5 s", waited)
		}
	})
}
