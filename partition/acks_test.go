// SPDX-License-Identifier: Apache-2.0

// Acknowledgements that cannot be saved at once.

package partition

import (
	"testing"

	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/store"
)

// An acknowledgement that found no room on the disk is saved when there is some: until then it counts, and afterwards too.
func TestAcknowledgementWaitsForRoom(t *testing.T) {
	j := &moment{}
	w := newWorld(t, func(c *Config) { j.Journal, c.Journal = c.Journal, &lowSpace{c.Journal, j} })
	w.users("ann", "bob")
	w.group("team", "ann", "bob")
	seq := w.do(w.text("ann", "team", "hello")).Seq
	p := w.set.Of("team")
	at := p.Published()
	delivered := func(when string) {
		t.Helper()
		got, err := w.set.Receipts("ann", "team", seq, ReceiptsAsk{})
		w.must(err)
		cursors, err := p.Cursors("bob")
		w.must(err)
		if got.Delivered != 1 || len(cursors) != 1 || cursors[0].Position != at {
			t.Fatalf("%s: %+v, cursors %+v", when, got, cursors)
		}
	}
	w.set.Ack("bob", "phone", p.Number(), at)
	j.look = func() error { return store.ErrLowSpace }
	w.now += ackDelayMs
	w.step()
	delivered("while there is no room")
	if p.Step(w.now) {
		t.Fatal("it is tried again at once")
	}
	j.look = nil
	w.now += ackDelayMs
	w.step()
	delivered("saved")
	w.close()
	w.open(nil)
	p = w.set.Of("team")
	if cursors, err := p.Cursors("bob"); err != nil || len(cursors) != 1 || cursors[0].Position != at {
		t.Fatalf("after a restart: %+v (%v)", cursors, err)
	}
}

// A device that is forgotten while its acknowledgement finds no room stays forgotten.
func TestForgottenWhileItsAcknowledgementWaits(t *testing.T) {
	a := newAcks()
	k := deviceKey{"bob", "phone"}
	a.add(k, 7, 0)
	work := a.take(nil, ackDelayMs, 10)
	a.forget(k.user, k.device)
	a.again(work, ackDelayMs)
	a.settle(work)
	if left := a.allUnsaved(); len(work) != 1 || work[0].cmd.(*core.SaveCursor).Position != 7 || len(left) != 0 {
		t.Fatalf("%+v of %+v", left, work)
	}
}
