// SPDX-License-Identifier: Apache-2.0

// A scheduled message and a crash at every operation on the disk.

package session

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/store/faultfs"
	"github.com/tidemark-im/tidemark/wire"
)

// A scheduled message that was acknowledged is submitted exactly once, wherever the server crashes; and its sender's own
// device hears it.
func TestScheduledMessageAndACrashAtEveryWrite(t *testing.T) {
	const begin = 1_700_000_000_000
	tc := &testWorld{TB: t, now: begin, format: wire.Proto}
	mem := vfs.NewCrashableMem()
	var mu sync.Mutex
	type moment struct {
		op    faultfs.Op
		fs    *vfs.MemFS
		acked bool // the schedule was acknowledged
	}
	var moments []moment
	watching, acked := false, false
	tc.fs = faultfs.New(mem, func(op faultfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if watching {
			clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(op.N*37) % 101, RNG: rand.New(rand.NewPCG(uint64(op.N), 1))})
			moments = append(moments, moment{op, clone, acked})
		}
		return nil
	})
	tc.start()
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	watch := func(on bool) { mu.Lock(); defer mu.Unlock(); watching = on }
	watch(true)
	schedule := &core.Schedule{AtMs: begin + 5000, Submit: &core.Submit{
		Actor: core.Actor{User: "alice"}, Conversation: "team", ClientID: "s1", Message: &wire.Message{Type: "text", Text: "later"},
	}}
	tc.must(tc.set.Submit(t.Context(), schedule, func(r core.Reply) {
		if r.Err != nil {
			t.Error(r.Err)
		}
		mu.Lock()
		defer mu.Unlock()
		acked = true
	}))
	tc.step()
	tc.post("bob", "team", "between")
	tc.now = begin + 5000
	tc.step()
	tc.post("bob", "team", "after")
	watch(false)
	phone.drain()
	if got := phone.logs["team"]; got.texts[3] != "later" {
		t.Errorf("the sender's device has %v", got.texts)
	}
	tc.must(tc.db.Close())
	if len(moments) < 4 {
		t.Fatalf("there were only %d moments to crash at", len(moments))
	}
	for _, m := range moments {
		if times := timesAfter(t, m.fs, begin+6000); times > 1 || m.acked && times != 1 {
			t.Fatalf("after a crash at %v the message is there %d times; acknowledged: %v", m.op, times, m.acked)
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
