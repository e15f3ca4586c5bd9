// SPDX-License-Identifier: Apache-2.0

// Scenarios about the end of connections: byes, refusals, silence; and what a client does then.

package hostile

import (
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

var endings = []scenario{
	farewells("bye-shutdown", "says bye SHUTDOWN with retryAfterMs 2000, twice", "comes back, not before", wire.ByeReason_SHUTDOWN, 2*time.Second),
	farewells("bye-slow", "says bye SLOW, twice", "comes back", wire.ByeReason_SLOW, 0),
	farewells("bye-protocol", "says bye PROTOCOL with retryAfterMs 1000, twice", "comes back, not before", wire.ByeReason_PROTOCOL, time.Second),
	farewells("bye-newer", "says bye with a reason that only newer servers know, with retryAfterMs 1000, twice", "comes back, not before", 42, time.Second),
	{name: "bye-token-expired", group: "endings", server: "says bye TOKEN_EXPIRED, and takes that token no more", client: "asks for a new token, comes back with it",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "a")
			s.dev(0).session.bye(wire.ByeReason_TOKEN_EXPIRED, 0)
			s.synced(2)
			s.tell("team", "bob", "b")
		}},
	forGood("bye-kicked", "says bye KICKED", wire.ByeReason_KICKED),
	forGood("bye-replaced", "says bye REPLACED", wire.ByeReason_REPLACED),
	{name: "hello-refused", group: "endings", server: "answers hello by an error UNAVAILABLE with retryAfterMs 1500 and bye, twice", client: "comes back, not before",
		play: func(s *stage) {
			s.hooks.hello = upTo(2, func(ss *session) bool {
				ss.send(wire.ErrorFrame(0, &tidemark.Error{Reason: tidemark.Unavailable, Message: "the scenario wants it", RetryAfterMs: 1500}))
				ss.bye(wire.ByeReason_PROTOCOL, 0)
				ss.device.notBefore = time.Now().Add(1500 * time.Millisecond)
				return true
			})
			s.send("team", "own1")
			s.synced(1)
			s.stored("team", "own1")
			s.tell("team", "bob", "a")
		}},
	{name: "cut-at-once", group: "endings", limit: 2 * time.Minute, server: "breaks every connection as soon as hello has come, for ten seconds", client: "comes back with growing pauses: at most 30 times",
		play: func(s *stage) {
			open := false
			s.hooks.hello = func(ss *session) bool {
				if !open {
					ss.cut()
				}
				return !open
			}
			s.wait(func() bool { return len(s.dev(0).connects) > 0 })
			s.pause(10 * time.Second)
			s.atMost(30)
			open = true
			s.synced(1)
			s.tell("team", "bob", "a")
		}},
	{name: "cut-when-synced", group: "endings", limit: 2 * time.Minute, server: "breaks every connection as soon as it is synchronised, for ten seconds", client: "comes back with pauses: at most 80 times",
		play: func(s *stage) {
			open := false
			s.hooks.hello = func(ss *session) bool {
				if open {
					return false
				}
				ss.greet()
				ss.cut()
				return true
			}
			s.wait(func() bool { return len(s.dev(0).connects) > 0 })
			s.pause(10 * time.Second)
			s.atMost(80)
			open = true
			s.wait(func() bool { return s.dev(0).session != nil && s.dev(0).session.opened })
			s.tell("team", "bob", "a")
		}},
	{name: "cut-mid-frame", group: "endings", server: "breaks the first connections in the middle of a delta with a checkpoint", client: "acknowledges nothing that did not come whole",
		play: func(s *stage) {
			s.hooks.hello = upTo(3, func(ss *session) bool {
				ss.welcome(nil)
				opcode, data := ss.encode(deltaFrame(false, positions(ss.device.world.position), ss.deltas(tailEvents)...))
				whole := frameBytes(true, opcode, data)
				ss.bytes(whole[:len(whole)*ss.number/4])
				ss.cut()
				return true
			})
			s.synced(1)
			s.tell("team", "bob", "a")
		}},
	{name: "half-open", group: "endings", limit: 3 * time.Minute, server: "falls silent on a live connection with a heartbeat of one second: no frame, no pong, no end", client: "gives it up within half a minute, comes back",
		play: func(s *stage) {
			s.hooks.hello = func(ss *session) bool {
				ss.welcome(func(w *wire.Welcome) { w.HeartbeatMs = 1000 })
				ss.changes()
				ss.synced()
				return true
			}
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "a")
			s.dev(0).session.silent = true
			s.say("team", "bob", "unheard")
			s.send("team", "own1")
			s.within(40*time.Second, func() bool { return len(s.dev(0).connects) > 1 }, "stayed on a connection that was silent")
			s.synced(2)
			s.tell("team", "bob", "b")
			s.stored("team", "own1")
			s.tell("team", "bob", "c")
		}},
	{name: "removed", group: "endings", server: "says that the user is no longer a member, and sends events of that conversation all the same", client: "does not crash; goes on with the other conversations",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			h := s.history("news")
			h.gone["alice"] = true
			if ss := s.dev(0).session; ss != nil {
				removed := &wire.ConversationDelta{Id: "news", Partition: h.partition, Removed: true}
				ss.send(deltaFrame(true, nil, removed))
				s.tell("news", "bob", "behind the back")
				ss.send(deltaFrame(true, nil, removed))
			}
			s.usualTeam()
		}},
	{name: "read-marks", group: "endings", server: "asks the app to read, between live events and broken connections", client: "reads no further than the last event",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			for _, text := range []string{"a", "b", "c"} {
				s.tell("team", "bob", text)
				s.task(0, "read", "team", "")
				s.again()
			}
			h := s.history("team")
			if s.reported() {
				s.wait(func() bool { return h.read["alice"] >= h.head()-1 })
			}
		}},
}

// usualTeam is an ordinary end in one conversation.
func (s *stage) usualTeam() {
	s.send("team", "own1")
	s.stored("team", "own1")
	s.tell("team", "bob", "rest1")
}

// atMost checks how often the first device has connected.
func (s *stage) atMost(n int) {
	if got := len(s.dev(0).connects); !s.over && got > n {
		s.dev(0).violation("connected %d times in ten seconds, where %d is much", got, n)
	}
}

// farewells is a scenario with a bye after which a client comes back.
func farewells(name, server, client string, reason wire.ByeReason, retryAfter time.Duration) scenario {
	return scenario{name: name, group: "endings", server: server, client: client, play: func(s *stage) {
		for n := range 2 {
			if !s.synced(n + 1) {
				return
			}
			s.tell("team", "bob", "before"+string(rune('1'+n)))
			s.dev(0).session.bye(reason, retryAfter)
			s.say("team", "bob", "away"+string(rune('1'+n)))
		}
		s.synced(3)
		s.tell("team", "bob", "after")
	}}
}

// forGood is a scenario with a bye after which a client must not come back by itself.
func forGood(name, server string, reason wire.ByeReason) scenario {
	return scenario{name: name, group: "endings", server: server, client: "does not come back by itself, says so, shows what it had", play: func(s *stage) {
		if !s.synced(1) {
			return
		}
		s.tell("team", "bob", "a")
		s.expect.stopped = true
		s.dev(0).session.bye(reason, 0)
		s.pause(4 * time.Second)
	}}
}
