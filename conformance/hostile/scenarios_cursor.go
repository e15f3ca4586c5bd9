// SPDX-License-Identifier: Apache-2.0

// Scenarios about cursors: resets, epochs, positions that fall, synchronisation that does not end.

package hostile

import (
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

var cursors = []scenario{
	reset("reset-epoch", "answers the second hello by a reset EPOCH, with the same log", wire.ResetReason_EPOCH),
	reset("reset-future", "answers the second hello by a reset FUTURE, with the same log", wire.ResetReason_FUTURE),
	reset("reset-unknown-device", "answers the second hello by a reset UNKNOWN_DEVICE, with the same log", wire.ResetReason_UNKNOWN_DEVICE),
	reset("reset-newer", "answers the second hello by a reset with a reason that only newer servers know", 9),
	{name: "acknowledged", group: "cursor", server: "does everything right, and breaks the connection after the client has had time to acknowledge", client: "comes back with what it had acknowledged, or more",
		play: func(s *stage) {
			for _, text := range []string{"a", "b"} {
				if !s.wait(func() bool { return s.dev(0).session != nil && s.dev(0).session.opened }) {
					return
				}
				s.tell("team", "bob", text)
				s.pause(1500 * time.Millisecond)
				s.again()
			}
		}},
	{name: "epoch-unsaid", group: "cursor", server: "has another epoch at the second connection, and says no word of reset", client: "takes it for a reset: keeps what agrees",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.rewrite(func(w *world) { w.epoch++ })
			s.hooks.hello = func(ss *session) bool {
				ss.welcome(func(w *wire.Welcome) { w.Reset_ = nil })
				ss.cursor = [partitions]uint64{}
				ss.changes()
				ss.synced()
				return true
			}
			s.again()
			s.tell("team", "bob", "later")
		}},
	{name: "positions-fall", group: "cursor", server: "gives lower positions in checkpoints and synced than before", client: "acknowledges no lower position, keeps its cursor",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "a")
			for _, ss := range s.sessions() {
				for p := range uint32(partitions) {
					ss.send(deltaFrame(true, map[uint32]uint64{p: 1}))
				}
				ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Synced{Synced: &wire.Synced{Cursor: &wire.Cursor{Epoch: ss.device.world.epoch, Positions: map[uint32]uint64{0: 1, 1: 1}}}}})
			}
			s.pause(1500 * time.Millisecond)
			s.tell("team", "bob", "b")
			s.again()
			s.tell("team", "bob", "c")
		}},
	{name: "synced-of-another-epoch", group: "cursor", server: "ends the first synchronisations with a cursor of another epoch", client: "does not take it for its own; connects again with pauses",
		play: func(s *stage) {
			s.hooks.hello = upTo(2, func(ss *session) bool {
				ss.welcome(nil)
				ss.changes()
				ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Synced{Synced: &wire.Synced{Cursor: &wire.Cursor{Epoch: 99, Positions: map[uint32]uint64{0: 500, 1: 500}}}}})
				ss.send(deltaFrame(true, nil))
				s.later(ss, 500*time.Millisecond)
				return true
			})
			s.synced(1)
			s.tell("team", "bob", "a")
		}},
	{name: "sync-breaks", group: "cursor", server: "breaks the first connections in the middle of the synchronisation", client: "acknowledges nothing that it was not given, goes on",
		play: func(s *stage) {
			s.hooks.hello = upTo(3, func(ss *session) bool {
				ss.welcome(nil)
				ds := ss.deltas(tailEvents)
				if len(ds) > 0 {
					ss.send(deltaFrame(false, nil, ds[ss.number%len(ds)]))
				}
				ss.cut()
				return true
			})
			s.send("team", "own1")
			s.synced(1)
			s.tell("team", "bob", "a")
			s.stored("team", "own1")
			s.tell("news", "bob", "b")
		}},
	{name: "sync-stops", group: "cursor", limit: 2 * time.Minute, server: "falls silent in the middle of the first synchronisation, with a heartbeat of one second", client: "gives the connection up within half a minute, and connects again",
		play: func(s *stage) {
			s.hooks.hello = upTo(1, func(ss *session) bool {
				ss.welcome(func(w *wire.Welcome) { w.HeartbeatMs = 1000 })
				ss.send(deltaFrame(false, nil, ss.deltas(tailEvents)[0]))
				ss.silent = true
				return true
			})
			s.within(40*time.Second, func() bool { return len(s.dev(0).connects) > 1 }, "stayed on a connection that was silent in the middle of the synchronisation")
			s.synced(1)
			s.tell("team", "bob", "a")
		}},
	{name: "lost-tail", group: "cursor", server: "comes back from an older copy: another epoch, the last events lost", client: "keeps what is proven; what was lost it shows whole as before or drops with a report",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "kept", "lost1", "lost2")
			s.pause(300 * time.Millisecond)
			s.expect.either = true
			s.rewrite(func(w *world) { w.restore("team", 2) })
			s.again()
			s.pause(time.Second)
			s.tell("news", "bob", "after")
		}},
	takingBack("take-back", "comes back from an older copy, and takes back what it has lost", "keeps what it had and gives it back, proven by the seal that it gives", func(int) error { return nil }),
	takingBack("take-back-refused", "comes back from an older copy, says that it takes back what it has lost, and refuses it each time", "offers what it had, keeps it or drops it with a report; does not offer it in a loop",
		func(n int) error {
			if n%2 == 1 {
				return failed(tidemark.Unavailable, "the scenario wants it")
			}
			return failed(tidemark.NotAllowed, "the scenario wants it")
		}),
	{name: "restored-and-on", group: "cursor", server: "comes back from an older copy, and gives the lost seqs to other events", client: "reports rewritten history, shows the new one",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "kept", "lost1", "lost2")
			s.pause(300 * time.Millisecond)
			s.expect.rewritten = []string{"team"}
			s.rewrite(func(w *world) {
				w.restore("team", 2)
				w.say("team", "carol", "instead1")
				w.say("team", "carol", "instead2")
				w.say("team", "carol", "instead3")
			})
			s.again()
			s.tell("team", "bob", "after")
		}},
	{name: "restart", group: "cursor", server: "does everything right, while the app is closed and opened anew", client: "comes back with what it had stored: its cursor, its events, its outbox",
		play: func(s *stage) {
			s.hooks.submit = func(ss *session, f *wire.Submit) bool { return ss.number == 1 } // not taken
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "a")
			s.send("team", "own1")
			if !s.reported() {
				return
			}
			s.pause(1500 * time.Millisecond)
			before := len(s.dev(0).connects)
			s.task(0, "restart", "", "")
			s.wait(func() bool {
				return len(s.dev(0).connects) > before && s.dev(0).session != nil && s.dev(0).session.opened
			})
			s.tell("team", "bob", "b")
			s.stored("team", "own1")
			s.tell("team", "bob", "c")
		}},
}

// takingBack is a scenario in which the server has lost the end of a conversation and says that it takes it back.
func takingBack(name, server, client string, answer func(n int) error) scenario {
	return scenario{name: name, group: "cursor", server: server, client: client, play: func(s *stage) {
		s.hooks.hello = func(ss *session) bool {
			ss.welcome(func(w *wire.Welcome) { w.TakeBack = ss.number > 1 })
			ss.changes()
			ss.synced()
			return true
		}
		s.hooks.give = func(d *device) error { return answer(d.gives) }
		if !s.synced(1) {
			return
		}
		s.tell("team", "bob", "kept", "lost1")
		s.tell("team", "bob", "lost2")
		s.pause(300 * time.Millisecond)
		s.expect.either = true
		s.rewrite(func(w *world) { w.restore("team", 2) })
		s.again()
		s.pause(5 * time.Second)
		switch n := s.dev(0).gives; {
		case n == 0:
			s.dev(0).violation("offered nothing of what was lost, though welcome said that it is taken back")
		case n > 10:
			s.dev(0).violation("offered what was lost %d times in five seconds", n)
		}
		s.tell("news", "bob", "after")
	}}
}

// restore loses the last events of a conversation, as a server does that comes back from an older copy.
func (w *world) restore(id string, lost int) {
	w.epoch++
	h := w.logs[id]
	h.cut(h.head() - uint64(lost))
	w.position = [partitions]uint64{}
	for _, h := range w.logs {
		w.position[h.partition] = max(w.position[h.partition], h.events[len(h.events)-1].position)
	}
}

// reset is a scenario in which the second hello is answered by a reset.
func reset(name, server string, reason wire.ResetReason) scenario {
	return scenario{name: name, group: "cursor", server: server, client: "compares, keeps all, reports nothing; sends its outbox once",
		play: func(s *stage) {
			s.hooks.hello = func(ss *session) bool {
				if ss.number != 2 {
					return false
				}
				ss.welcome(func(w *wire.Welcome) { w.Reset_ = &wire.Reset{Reason: reason} })
				ss.changes()
				ss.synced()
				return true
			}
			s.usual()
		}}
}

// later breaks a connection after a while, whether or not the client has done so.
func (s *stage) later(ss *session, d time.Duration) {
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		ss.cut()
	})
}

// within waits, at most so long: then it is a violation of the first device.
func (s *stage) within(d time.Duration, holds func() bool, violation string) {
	end := time.Now().Add(d)
	timer := time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.poke()
	})
	defer timer.Stop()
	s.wait(func() bool { return holds() || time.Now().After(end) })
	if !s.over && !holds() {
		s.dev(0).violation("%s", violation)
	}
}
