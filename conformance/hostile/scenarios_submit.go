// SPDX-License-Identifier: Apache-2.0

// Scenarios about sending: answers that do not come, come twice, or are wrong; refusals.

package hostile

import (
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

const sendsOnce = "sends it again with the same client id; shows it once"

var submissions = []scenario{
	{name: "cut-after-taking", group: "submit", server: "stores a message and breaks the connection before the answer, twice", client: sendsOnce,
		play: sending(func(s *stage) {
			n := 0
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				if n++; n > 2 {
					return false
				}
				ss.take(f)
				ss.cut()
				return true
			}
		})},
	{name: "cut-before-taking", group: "submit", server: "breaks the connection when a message comes, without storing it, twice", client: sendsOnce,
		play: sending(func(s *stage) {
			n := 0
			s.hooks.submit = func(ss *session, _ *wire.Submit) bool {
				if n++; n > 2 {
					return false
				}
				ss.cut()
				return true
			}
		})},
	{name: "answered-twice", group: "submit", server: "answers each message twice, the second time as a duplicate", client: "shows each once",
		play: sending(func(s *stage) {
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				ss.submit(f)
				if h, e, _ := ss.take(f); h != nil {
					ss.answer(f, h, e, true)
				}
				return true
			}
		})},
	{name: "answered-late", group: "submit", server: "answers messages after two seconds, and tells other events meanwhile", client: "waits; shows each once, in its place",
		play: sending(func(s *stage) {
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				h, e, duplicate := ss.take(f)
				if h == nil {
					return false
				}
				ss.answers[f.ClientId] = true
				time.AfterFunc(2*time.Second, func() {
					s.mu.Lock()
					defer s.mu.Unlock()
					ss.answer(f, h, e, duplicate)
				})
				return true
			}
		})},
	{name: "never-answered", group: "submit", limit: 3 * time.Minute, server: "stores a message and never answers, while everything else goes on", client: "gives the connection up within two minutes; " + sendsOnce,
		play: func(s *stage) {
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				if ss.number > 1 {
					return false
				}
				ss.take(f)
				ss.answers[f.ClientId] = true
				return true
			}
			s.send("team", "own1")
			if !s.synced(1) || !s.stored("team", "own1") {
				return
			}
			s.wait(func() bool {
				o := s.dev(0).sentIDs[s.dev(0).byText["own1"]]
				return o != nil && o.times > 1 || len(s.dev(0).connects) > 1
			})
			s.synced(2)
			s.tell("team", "bob", "after")
		}},
	{name: "event-before-answer", group: "submit", server: "tells the own event by a delta before it answers", client: "shows it once",
		play: sending(func(s *stage) {
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				h, e, duplicate := ss.take(f)
				if h == nil {
					return false
				}
				ss.round()
				ss.answer(f, h, e, duplicate)
				return true
			}
		})},
	{name: "event-instead-of-answer", group: "submit", server: "tells the own event by a delta, and never answers", client: "takes the event for the answer, sends nothing again",
		play: sending(func(s *stage) {
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				ss.take(f)
				ss.round()
				return true
			}
		})},
	{name: "other-seq-on-retry", group: "submit", server: "breaks the connection after storing, and answers the second time with another seq, id and digest", client: "ends with the log as it is: the message once, in its place",
		play: sending(func(s *stage) {
			n := 0
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				n++
				h, e, _ := ss.take(f)
				switch {
				case h == nil || n > 2:
					return false
				case n == 1:
					ss.cut()
				default:
					wrong := submitted(f.Request, h, e, true)
					wrong.Seq, wrong.Id, wrong.Digest = e.Seq+3, e.Id+7, lie(wrong.Digest)
					ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: wrong}})
				}
				return true
			}
		})},
	{name: "stale-answer", group: "submit", server: "answers a message by the answer of an earlier one first, then by its own", client: "loses and doubles nothing",
		play: sending(func(s *stage) {
			var last *wire.Submitted
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				h, e, duplicate := ss.take(f)
				if h == nil {
					return false
				}
				if last != nil {
					ss.device.sentIDs[f.ClientId].refused = true // who sees through it may send it again
					last.Request = f.Request
					ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: last}})
				}
				ss.answer(f, h, e, duplicate)
				last = submitted(f.Request, h, e, duplicate)
				return true
			}
		})},
	{name: "answer-of-nothing", group: "submit", server: "answers a message by the answer of an earlier one, and does not store it; told again, it does", client: "sees by the chain that the answer is not of its message, and sends it again",
		play: func(s *stage) {
			s.send("team", "own1")
			if !s.synced(1) || !s.stored("team", "own1") {
				return
			}
			h := s.history("team")
			first := h.find("alice", s.dev(0).byText["own1"])
			lied := false
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				if lied {
					return false
				}
				lied = true
				ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: submitted(f.Request, h, first, true)}})
				return true
			}
			s.send("team", "own2")
			if !s.wait(func() bool { return lied }) {
				return
			}
			s.tell("team", "bob", "between")
			s.pause(500 * time.Millisecond)
			s.again()
			s.stored("team", "own2")
			s.tell("team", "bob", "after")
		}},
	{name: "stray-answers", group: "submit", server: "sends answers, errors and pages with request numbers that nobody has asked with", client: "passes them over",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			h := s.history("team")
			for _, n := range []uint64{0, 77, 1 << 40} {
				if ss := s.dev(0).session; ss != nil {
					ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: submitted(n, h, &h.events[2], true)}},
						wire.ErrorFrame(n, tidemark.Refuse(tidemark.NotAllowed, "nobody has asked")),
						&wire.ServerFrame{Frame: &wire.ServerFrame_Fetched{Fetched: &wire.Fetched{Request: n, Conversation: "team"}}},
						&wire.ServerFrame{Frame: &wire.ServerFrame_Pong{Pong: &wire.Pong{Request: n}}})
				}
			}
			s.usual()
		}},
	refusals("rate-limited", "refuses messages with RATE_LIMITED and retryAfterMs 1500, twice", tidemark.RateLimited, 1500),
	refusals("unavailable", "refuses messages with UNAVAILABLE and retryAfterMs 1000, twice", tidemark.Unavailable, 1000),
	{name: "refused-for-good", group: "submit", server: "refuses one message with NOT_ALLOWED", client: "shows it as failed, sends the others",
		play: func(s *stage) {
			s.expect.failed = []string{"own2"}
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				if f.GetMessage().GetText() != "own2" {
					return false
				}
				ss.refuse(f, wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.NotAllowed, "the scenario wants it")))
				return true
			}
			s.send("team", "own1", "own2", "own3")
			s.synced(1)
			s.stored("team", "own1", "own3")
			s.again()
		}},
	{name: "sent-offline", group: "submit", server: "is not there (breaks each connection) when messages are written, and then all right", client: "sends what was written meanwhile, in order",
		play: func(s *stage) {
			s.expect.order = true
			s.hooks.hello = upTo(2, func(ss *session) bool { ss.cut(); return true })
			s.send("team", "own1", "own2", "own3", "own4")
			s.synced(1)
			s.stored("team", "own1", "own2", "own3", "own4")
		}},
}

// sending is a story with own messages and a fault in how they are taken; in the end the server is right.
func sending(fault func(*stage)) func(*stage) {
	return func(s *stage) {
		fault(s)
		s.send("team", "own1", "own2", "own3")
		if !s.synced(1) || !s.stored("team", "own1") {
			return
		}
		s.tell("team", "bob", "between")
		s.stored("team", "own1", "own2", "own3")
		s.pause(300 * time.Millisecond)
		s.hooks.submit = nil
		s.wait(func() bool { return s.dev(0).session != nil && s.dev(0).session.opened })
		s.pause(2500 * time.Millisecond)
		s.tell("team", "bob", "after1")
		s.again()
		s.tell("team", "bob", "after2")
	}
}

// refusals refuses the first messages for a while.
func refusals(name, server string, reason tidemark.Reason, retryAfterMs uint32) scenario {
	return scenario{name: name, group: "submit", server: server, client: "waits as long as the server says, then sends them again with the same client ids",
		play: func(s *stage) {
			n := 0
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				if n++; n > 2 {
					return false
				}
				ss.refuse(f, wire.ErrorFrame(f.Request, &tidemark.Error{Reason: reason, Message: "the scenario wants it", RetryAfterMs: retryAfterMs}))
				return true
			}
			s.send("team", "own1", "own2")
			if s.synced(1) && s.stored("team", "own1", "own2") {
				s.tell("team", "bob", "after")
			}
		}}
}
