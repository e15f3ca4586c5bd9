// SPDX-License-Identifier: Apache-2.0

// What a batch leaves over, what is on its way to the store, and who hears what.

package partition

import (
	"fmt"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// listener keeps the signals that it gets.
type listener struct{ heard []*wire.Signal }

func (l *listener) Wake(uint32, record.Conversation, tidemark.Position) bool { return false }
func (l *listener) Ready(uint32)                                             {}
func (l *listener) Signal(s *wire.Signal)                                    { l.heard = append(l.heard, s) }

// A batch of large messages ends early. What it leaves over, acknowledgements included, is more than a batch may have,
// and is carried out all the same, in order.
func TestMoreIsLeftOverThanABatchTakes(t *testing.T) {
	const batch = 80
	w := newWorld(t, func(c *Config) { c.BatchMax = batch })
	w.users("alice")
	w.group("team", "alice")
	large, answered := strings.Repeat("x", 60<<10), 0
	for i := range 3 * batch {
		w.must(w.set.Submit(t.Context(), w.text("alice", "team", large), func(r core.Reply) {
			if r.Err != nil || r.Seq != tidemark.Seq(i+2) {
				t.Errorf("message %d is answered %+v", i, r)
			}
			answered++
		}))
	}
	p := w.set.Of("team")
	for i := range 3 * batch {
		w.set.Ack("alice", tidemark.DeviceID(fmt.Sprint("d", i)), p.Number(), p.Published())
	}
	w.step()
	w.now += ackDelayMs
	w.step()
	if answered != 3*batch {
		t.Errorf("%d messages are answered, want %d", answered, 3*batch)
	}
	if cursors, err := p.Cursors("alice"); err != nil || len(cursors) != 3*batch || len(p.acks.waiting) != 0 {
		t.Errorf("%d cursors (%v), %d not saved; want %d", len(cursors), err, len(p.acks.waiting), 3*batch)
	}
}

// S10: what a device has acknowledged does not fall while it is being saved.
func TestCursorDoesNotFallWhileItIsSaved(t *testing.T) {
	j := &moment{}
	w := newWorld(t, func(c *Config) { j.Journal, c.Journal = c.Journal, j })
	w.users("alice")
	w.group("team", "alice")
	p := w.set.Of("team")
	at := p.Published()
	w.set.Ack("alice", "phone", p.Number(), at)
	looks := 0
	j.before = func() {
		looks++
		cursors, err := p.Cursors("alice")
		if err != nil || len(cursors) != 1 || cursors[0].Position != at {
			t.Errorf("while it is saved: %v (%v), want %d", cursors, err, at)
		}
	}
	w.do(w.text("alice", "team", "hello"))
	if looks == 0 {
		t.Fatal("nobody looked")
	}
	j.before = nil
	if cursors, err := p.Cursors("alice"); err != nil || len(cursors) != 1 || cursors[0].Position != at {
		t.Errorf("saved: %v (%v)", cursors, err)
	}
}

// S5: who is no longer a member does not hear who reads on.
func TestNoReceiptAfterRemoval(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob")
	w.group("team", "alice", "bob")
	ear := &listener{}
	w.must(w.set.Subscribe("bob", ear))
	defer w.set.Unsubscribe("bob", ear)
	w.must(w.set.Subscribe("alice", &listener{}))
	w.do(w.text("bob", "team", "one"))
	w.do(w.text("bob", "team", "two"))
	w.do(&core.Read{User: "alice", Conversation: "team", Seq: 2})
	p := w.set.Of("team")
	w.set.Ack("alice", "phone", p.Number(), p.Published())
	if n := len(ear.heard); n != 2 {
		t.Fatalf("a member hears %v, want that it was read and delivered", ear.heard)
	}
	w.do(&core.RemoveMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"bob"}})
	w.do(&core.Read{User: "alice", Conversation: "team", Seq: 3})
	w.set.Ack("alice", "tablet", p.Number(), p.Published())
	if n := len(ear.heard); n != 2 {
		t.Errorf("after the removal: %v", ear.heard[2:])
	}
}
