// SPDX-License-Identifier: Apache-2.0

// Rooms in random worlds.

package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// Random worlds: people come and go, write with random priorities, are taken out, and read slowly. Every device checks
// order, chain and gaps of all it is given; groups go on as always; what is missing in rooms was left out by the rules and
// is counted.
func TestRandomRooms(t *testing.T) {
	var low, normal uint64
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newRoomWorld(t, seed)
			for range 1500 {
				w.step()
			}
			l, n := w.check()
			low, normal = low+l, normal+n
		})
	}
	if low == 0 || normal == 0 {
		t.Errorf("%d low and %d normal were left out: the worlds do not test it", low, normal)
	}
}

// roomWorld is one random world.
type roomWorld struct {
	*testWorld
	rnd     *rand.Rand
	rooms   []string
	devices []*device
	entered []*inRoom // ever
}

func newRoomWorld(t *testing.T, seed uint64) *roomWorld {
	w := &roomWorld{testWorld: newTest(t), rnd: rand.New(rand.NewPCG(seed, 1)), rooms: []string{"lobby", "bar"}}
	users := []tidemark.UserID{"olga", "ann", "bob", "carl", "dora"}
	w.users(users...)
	for _, id := range w.rooms {
		w.room(tidemark.ConversationID(id), &wire.Settings{Retention: &wire.Retention{Mode: wire.RetentionMode_FOR_EVER}})
	}
	w.group("team", users...)
	for i, user := range append(slices.Clone(users), "ann", "bob") {
		d := w.device(user, tidemark.DeviceID(fmt.Sprint("d", i))).connect()
		d.tail, d.gapless = 500, true
		d.drain()
		w.devices = append(w.devices, d)
	}
	return w
}

func (w *roomWorld) step() {
	d, id := w.devices[w.rnd.IntN(len(w.devices))], w.rooms[w.rnd.IntN(len(w.rooms))]
	room, priority, r := tidemark.ConversationID(id), wire.Priority(w.rnd.IntN(3)), d.rooms[id]
	in := r != nil && r.begin > 0 && !r.ended
	switch n := w.rnd.IntN(100); {
	case n < 5 && r == nil:
		d.sendEnter(id)
		w.entered = append(w.entered, d.rooms[id])
	case n < 6 && in:
		d.leave(id)
	case n < 8:
		d.drain()
		if r != nil && r.ended {
			delete(d.rooms, id)
		}
	case n < 9:
		d.drain() // what was left out is counted when the receiver is given what comes after
		d.connect()
	case n < 60:
		w.say(room, "app", priority)
	case n < 80 && in:
		d.submitRoom(id, "user", priority)
		if w.rnd.IntN(3) > 0 {
			w.testWorld.step()
		}
	case n < 84:
		d.submit("team", fmt.Sprint(n))
	case n < 85 && in:
		w.do(&core.RemoveMembers{Actor: core.Actor{App: true}, Conversation: room, Members: []tidemark.UserID{d.user}})
	case n < 86 && in:
		set := map[string]string{"k": fmt.Sprint(w.rnd.IntN(5))}
		w.do(&core.SetAttributes{Actor: core.Actor{App: true}, Conversation: room, Set: set})
	default:
		w.testWorld.step()
		for range w.rnd.IntN(4) {
			if d.s.Done() || !d.next() {
				break
			}
		}
	}
}

// check lets everybody read to the end and answers how many messages were left out, of low and of normal priority.
func (w *roomWorld) check() (low, normal uint64) {
	w.Helper()
	w.testWorld.step()
	for _, d := range w.devices {
		d.drain()
		d.checkGaps("the end")
		for id, r := range d.rooms {
			if s, err := w.set.See("", tidemark.ConversationID(id)); err != nil || !r.ended && r.have != uint64(s.Head.Seq) {
				w.Fatalf("%s is at %d of %s, the head is %d, %v", d.name, r.have, id, s.Head.Seq, err)
			}
		}
	}
	for _, id := range w.rooms {
		messages := w.priorities(tidemark.ConversationID(id))
		for _, r := range w.entered {
			for _, seq := range r.leftOut {
				p, message := messages[seq]
				switch {
				case r.id != id:
				case !message || p == highPriority:
					w.Fatalf("event %d of %s is left out for %s, and never may be", seq, id, r.d.name)
				case p == lowPriority:
					low++
				default:
					normal++
				}
			}
		}
	}
	if l, n := w.shed(); l != low || n != normal {
		w.Fatalf("counted as left out are %d low and %d normal, the devices miss %d and %d", l, n, low, normal)
	}
	return low, normal
}

// priorities are those of a room's messages, by seq.
func (tc *testWorld) priorities(id tidemark.ConversationID) map[uint64]wire.Priority {
	tc.Helper()
	sight, err := tc.set.See("", id)
	tc.must(err)
	events, err := sight.Partition.Events(sight.Info.Ordinal, 1, sight.Head.Seq, 1<<20, 0, false)
	tc.must(err)
	found := make(map[uint64]wire.Priority)
	for _, e := range events {
		body := &wire.Body{}
		tc.must(body.UnmarshalVT(e.Body))
		if m := body.GetMessage(); m != nil {
			found[uint64(e.Seq)] = m.Priority
		}
	}
	return found
}
