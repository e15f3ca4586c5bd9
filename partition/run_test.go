// SPDX-License-Identifier: Apache-2.0

// The shell around the machine: queues that are full, cursors that are saved late, and the end.

package partition

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
)

func TestRunEndsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.NowMs = func() uint64 { return uint64(time.Now().UnixMilli()) } })
		w.users("alice")
		w.group("team", "alice")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.set.Run(ctx) }()
		r, err := w.set.Do(t.Context(), w.text("alice", "team", "hello"))
		w.must(err)
		if r.Seq != 2 {
			t.Errorf("answered %+v", r)
		}
		answered := 0
		for i := range 100 {
			w.must(w.set.Submit(t.Context(), w.text("alice", "team", fmt.Sprint("m", i)), func(r core.Reply) {
				if r.Err == nil {
					answered++
				}
			}))
		}
		stop()
		w.must(<-ended)
		if answered != 100 {
			t.Errorf("%d of 100 queued commands were carried out", answered)
		}
		_, err = w.set.Do(t.Context(), w.text("alice", "team", "too late"))
		var refused *tidemark.Error
		if !errors.As(err, &refused) || refused.Reason != tidemark.Unavailable {
			t.Errorf("after the end a command is answered %v", err)
		}
	})
}

// A full queue makes the caller wait, and nothing is lost.
func TestFullQueueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.QueueMax = 4 })
		w.users("alice")
		w.group("team", "alice")
		answered := 0
		go func() {
			for i := range 10 {
				w.must(w.set.Submit(t.Context(), w.text("alice", "team", fmt.Sprint("m", i)), func(core.Reply) { answered++ }))
			}
		}()
		synctest.Wait()
		if n := w.set.Of("team").Stats().Queued; n != 4 {
			t.Errorf("%d commands are queued, want 4", n)
		}
		if w.set.Offer(w.text("alice", "team", "no room"), nil) {
			t.Error("an offer was taken where there is no room")
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := w.set.Submit(ctx, w.text("alice", "team", "no patience"), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting ends with %v", err)
		}
		for range 4 {
			w.step()
			synctest.Wait()
		}
		if answered != 10 {
			t.Errorf("%d of 10 were answered", answered)
		}
	})
}

func TestAcksAreSavedLazily(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob")
	w.group("team", "alice", "bob")
	for i := range 5 {
		w.do(w.text("alice", "team", fmt.Sprint("m", i)))
	}
	p := w.set.Of("team")
	saved := func() tidemark.Position {
		u, _, err := p.User("bob")
		w.must(err)
		position, err := p.db.Cursor(u, "phone")
		w.must(err)
		return position
	}
	for position := range tidemark.Position(5) {
		w.set.Ack("bob", "phone", p.Number(), position)
	}
	w.set.Ack("bob", "phone", p.Number(), 2)
	if c, err := p.Cursors("bob"); err != nil || len(c) != 1 || c[0] != (DeviceCursor{"phone", 4}) {
		t.Errorf("the cursors are %v, %v", c, err)
	}
	w.step()
	if saved() != 0 {
		t.Error("an acknowledgement was saved at once")
	}
	at, due := p.Due()
	if !due || at != w.now+ackDelayMs {
		t.Errorf("saving is due at %d, %v; now is %d", at, due, w.now)
	}
	w.now = at
	w.step()
	if saved() != 4 {
		t.Errorf("after a second %d is saved, want 4", saved())
	}
	if _, due := p.Due(); due {
		t.Error("something is still due")
	}
	w.set.Ack("bob", "phone", p.Number(), 3)
	if _, due := p.Due(); due {
		t.Error("a lower position is to be saved")
	}
	w.set.Ack("bob", "phone", p.Number(), 1_000_000)
	if c, _ := p.Cursors("bob"); c[0].Position != p.Published() {
		t.Errorf("what was not published is acknowledged: %v", c)
	}
	w.do(w.text("alice", "team", "a batch to join"))
	if saved() < 5 {
		t.Error("an acknowledgement did not join the batch")
	}
	w.set.Ack("carol", "phone", p.Number(), 3)
	w.set.Ack("bob", "phone", 99, 3)
	if _, due := p.Due(); due {
		t.Error("nonsense is to be saved")
	}
}
