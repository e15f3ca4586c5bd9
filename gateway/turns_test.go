// SPDX-License-Identifier: Apache-2.0

// Turns: who connects waits for its turn, who is connected does not.

package gateway

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

// TestTurns: connections are opened a few at a time, and all of them get their turn.
func TestTurns(t *testing.T) {
	w := newWorld(t, nil, openFake)
	var running, most, done atomic.Int32
	var all sync.WaitGroup
	for range 10 * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			w.sockets.inTurn(func() {
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Millisecond)
				running.Add(-1)
				done.Add(1)
			})
		})
	}
	all.Wait()
	if n := int(done.Load()); n != 10*runtime.GOMAXPROCS(0) {
		t.Errorf("%d had their turn", n)
	}
	if n := int(most.Load()); n > runtime.GOMAXPROCS(0) {
		t.Errorf("%d at once, with %d processors", n, runtime.GOMAXPROCS(0))
	}
}

// TestLiveNeedsNoTurn: while all turns are taken, a hello waits, and a live connection is answered.
func TestLiveNeedsNoTurn(t *testing.T) {
	w := newWorld(t, nil, openFake)
	live := w.connect(wire.JSON, "alice", "phone")
	live.ping(1)
	live.wantPong(1)
	eventually(t, "it is live", func() bool { return !w.sockets.list(nil)[0].syncing.Load() })
	for range cap(w.sockets.turns) {
		w.sockets.turns <- struct{}{}
	}
	late := w.dial(wire.JSON, nil)
	late.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: &wire.Hello{Token: w.token("bob", ""), DeviceId: "phone"}}})
	eventually(t, "a hello waits", func() bool {
		list := w.sockets.list(nil)
		return len(list) == 2 && list[1].handling.Load()
	})
	for i := range uint64(20) {
		live.ping(2 + i)
		live.wantPong(2 + i)
	}
	if w.sockets.list(nil)[1].stream() != nil {
		t.Error("a hello did not wait for its turn")
	}
	for range cap(w.sockets.turns) {
		<-w.sockets.turns
	}
	if late.frame().GetWelcome() == nil || late.frame().GetSynced() == nil {
		t.Error("the hello that waited was not answered")
	}
}
