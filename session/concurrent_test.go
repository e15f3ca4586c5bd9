// SPDX-License-Identifier: Apache-2.0

// The same under the loops themselves, with many goroutines: for the race detector, and for order under load.

package session

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

func TestManyAtOnce(t *testing.T) {
	tc := newTest(t)
	const people, each = 8, 144 // each sends to three groups, over four connections
	var users []tidemark.UserID
	for i := range people {
		users = append(users, tidemark.UserID(fmt.Sprint("user", i)))
	}
	tc.users(users...)
	groups := []tidemark.ConversationID{"a", "b", "c"}
	for _, id := range groups {
		tc.group(id, users...)
	}
	ctx, stop := context.WithCancel(t.Context())
	var loops, clients sync.WaitGroup
	loops.Go(func() { tc.must(tc.set.Run(ctx)) })
	devices := make([]*device, people)
	for i, user := range users {
		d := tc.device(user, "phone")
		d.tail, d.gapless = 500, true
		devices[i] = d
		clients.Go(func() {
			for range 4 { // four connections, one after the other
				runClient(d, groups, each/4)
			}
		})
	}
	listener := tc.device("user0", "listener") // connected all the time, and reads only when it is told to
	listener.tail, listener.gapless = 500, true
	clients.Go(func() { listen(listener, groups, people*each/len(groups)+1) })
	clients.Go(func() {
		for i := range 100 {
			group := groups[i%3]
			_, err := tc.set.Do(ctx, &core.Read{User: users[i%people], Conversation: group, Seq: 1})
			tc.must(err)
			_, err = Summary(tc.set, users[i%people], group)
			tc.must(err)
			tc.registry.List("", "", 100)
		}
	})
	clients.Wait()
	defer loops.Wait()
	defer stop()
	for _, d := range devices {
		d.hello()
		d.drain()
		for _, id := range groups {
			if n := len(d.logs[string(id)].events); n != people*each/len(groups)+1 {
				t.Errorf("%s has %d events of %s", d.user, n, id)
			}
		}
		d.disconnect()
	}
}

// listen reads until every group has so many events.
func listen(d *device, groups []tidemark.ConversationID, events int) {
	ready := d.open()
	deadline := time.After(30 * time.Second)
	for {
		d.drain()
		missing := 0
		for _, id := range groups {
			if l := d.logs[string(id)]; l == nil || len(l.events) < events {
				missing++
			}
		}
		if missing == 0 {
			d.disconnect()
			return
		}
		select {
		case <-ready:
		case <-deadline:
			d.tc.Errorf("the listener misses events of %d groups, and is not told of any", missing)
			return
		}
	}
}

// open says hello, and answers what tells that there is something to read.
func (d *device) open() (ready chan struct{}) {
	ready = make(chan struct{}, 1)
	d.s = New(Config{
		User: d.user, Device: d.name, Format: wire.Proto, Set: d.tc.set, Registry: d.tc.registry, NowMs: d.tc.clock,
		OnReady: func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		},
	})
	d.synced, d.seen, d.pending = false, map[string]bool{}, map[uint64]*wire.Submit{}
	if d.cursor == nil {
		d.forget()
	}
	d.tc.must(d.s.Open(d.tc.Context(), &wire.Hello{Cursor: d.cursor, Tail: d.tail}))
	return ready
}

// runClient connects, sends its share, and reads until all of it is answered.
func runClient(d *device, groups []tidemark.ConversationID, share int) {
	ready := d.open()
	d.drain()
	for i := range share {
		id := fmt.Sprint(d.user, "-", d.request)
		d.submitAs(groups[i%len(groups)], id, id)
		for d.next() {
			continue
		}
	}
	deadline := time.After(20 * time.Second)
	for len(d.pending) > 0 || d.cursor == nil {
		select {
		case <-ready:
		case <-deadline:
			d.tc.Errorf("%s waits for %d answers", d.user, len(d.pending))
			return
		}
		for d.next() {
			continue
		}
	}
	d.ack()
	d.disconnect()
}
