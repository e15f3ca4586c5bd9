// SPDX-License-Identifier: Apache-2.0

// Scenarios about history that is not what it was: rewritten, forked, forged, or said to be so.

package hostile

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

const reportsRewritten = "reports rewritten history, never shows the two mixed, ends with the new one"

var histories = []scenario{
	{name: "rewritten-away", group: "history", server: "comes back with other events from seq 4 on, as many as before", client: reportsRewritten,
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.expect.rewritten = []string{"team"}
			s.rewrite(func(w *world) { w.turn("team", 4, "new4", "new5", "new6") })
			s.again()
			s.tell("team", "bob", "after")
		}},
	{name: "rewritten-quietly", group: "history", server: "has other events from seq 4 on, and nothing new: only a later event shows it", client: reportsRewritten,
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.expect.rewritten = []string{"team"}
			s.rewrite(func(w *world) {
				position := w.position
				w.turn("team", 4, "new4", "new5", "new6")
				h := w.logs["team"]
				for i := range h.events[3:] { // as if nothing had happened since
					h.events[3+i].position = position[h.partition]
				}
				w.position = position
			})
			s.again()
			s.tell("team", "bob", "after1")
			s.tell("team", "bob", "after2")
		}},
	{name: "rewritten-live", group: "history", server: "goes on live with events that chain to another history", client: reportsRewritten,
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "a", "b", "c")
			s.pause(200 * time.Millisecond)
			s.expect.rewritten = []string{"team"}
			s.rewrite(func(w *world) { w.turn("team", 7, "x", "y", "z") })
			s.tell("team", "bob", "after1")
			s.tell("team", "bob", "after2", "after3")
		}},
	{name: "rewritten-shorter", group: "history", server: "comes back with fewer and other events", client: reportsRewritten,
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "a", "b", "c", "d")
			s.pause(200 * time.Millisecond)
			s.expect.rewritten = []string{"team"}
			s.rewrite(func(w *world) { w.turn("team", 5, "x") })
			s.again()
			s.tell("news", "bob", "after")
		}},
	{name: "rewritten-deep", group: "history", limit: 90 * time.Second, server: "comes back with another history from seq 40 of 240 on", client: reportsRewritten + "; finds the first difference with few requests",
		play: func(s *stage) {
			s.expect.fetchesMax = 80
			for i := range 10 {
				if i == 0 && !s.synced(1) {
					return
				}
				var texts []string
				for n := range 23 {
					texts = append(texts, fmt.Sprintf("d%d-%d", i, n))
				}
				s.tell("team", "bob", texts...)
			}
			s.pause(500 * time.Millisecond)
			s.expect.rewritten = []string{"team"}
			s.rewrite(func(w *world) {
				var texts []string
				for n := range 205 {
					texts = append(texts, fmt.Sprintf("other%d", n))
				}
				w.turn("team", 40, texts...)
			})
			s.expect.gaps = true
			s.again()
			s.tell("team", "bob", "after")
		}},
	{name: "rewritten-and-back", group: "history", server: "rewrites history, and comes back to the first one later", client: "reports it, ends with the first history",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			first := s.dev(0).world
			s.expect.rewritten = []string{"team"}
			s.rewrite(func(w *world) { w.turn("team", 4, "x4", "x5", "x6", "x7") })
			s.again()
			s.pause(1500 * time.Millisecond)
			s.rewrite(func(w *world) {
				position := w.position
				h := w.logs["team"]
				h.events = append(h.events[:0:0], first.logs["team"].events...)
				w.position = position
			})
			s.again()
			s.tell("team", "bob", "after")
		}},
	{name: "rewritten-own", group: "history", server: "comes back with somebody else's event in the place of an own message that it had answered", client: reportsRewritten,
		play: func(s *stage) {
			s.tell("team", "bob", "a")
			if !s.synced(1) {
				return
			}
			s.send("team", "own1")
			if !s.stored("team", "own1") {
				return
			}
			s.tell("team", "bob", "b")
			s.pause(300 * time.Millisecond)
			s.expect.rewritten = []string{"team"}
			s.rewrite(func(w *world) {
				h := w.logs["team"]
				at := h.find("alice", s.dev(0).byText["own1"]).Seq
				w.turn("team", at, "instead", "b2", "c2")
				w.say("team", "alice", "own1") // so that the judge finds it: the device's app may send it again
			})
			s.again()
			s.tell("team", "bob", "after")
		}},
	{name: "digest-lie", group: "history", server: "tells wrong digests of heads for a while, then right ones; the events are true", client: "drops nothing for a digest that the server does not repeat when asked",
		play: func(s *stage) {
			s.expect.mayReport = true
			if !s.synced(1) {
				return
			}
			s.hooks.out = func(_ *session, f *wire.ServerFrame) []*wire.ServerFrame {
				if f.GetDelta() == nil {
					return []*wire.ServerFrame{f}
				}
				return []*wire.ServerFrame{lyingDigests(f)}
			}
			s.tell("team", "bob", "a")
			s.pause(500 * time.Millisecond)
			s.hooks.out = nil
			s.tell("team", "bob", "b")
			s.tell("news", "bob", "c")
		}},
	{name: "digest-lies", group: "history", limit: 90 * time.Second, server: "tells wrong digests everywhere for ten seconds, other ones each time", client: "asks at a bounded rate, does not crash, has all once the server tells the truth",
		play: func(s *stage) {
			s.expect.mayReport, s.expect.fetchesMax = true, 150
			if !s.synced(1) {
				return
			}
			s.hooks.out = func(_ *session, f *wire.ServerFrame) []*wire.ServerFrame { return []*wire.ServerFrame{lyingDigests(f)} }
			s.tell("team", "bob", "a")
			for i := range 5 {
				s.pause(2 * time.Second)
				s.tell("team", "bob", fmt.Sprint("b", i))
			}
			s.calm()
		}},
	{name: "forged-live", group: "history", server: "sends a live event whose body is not the one of its digest", client: "never shows it; fetches the true one",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.hooks.out = forging(1)
			s.tell("team", "bob", "true1")
			s.pause(time.Second)
			s.hooks.out = nil
			s.tell("team", "bob", "true2")
		}},
	{name: "forged-page", group: "history", server: "sends pages in which one body is not the one of its digest", client: "never shows it; asks again with pauses until it gets the true one",
		play: func(s *stage) {
			s.expect.mayReport, s.expect.fetchesMax = true, 150
			if !s.synced(1) {
				return
			}
			n := 0
			s.hooks.out = func(_ *session, f *wire.ServerFrame) []*wire.ServerFrame {
				if n++; len(f.GetFetched().GetEvents()) == 0 || n > 40 {
					return []*wire.ServerFrame{f}
				}
				return []*wire.ServerFrame{edited(f, func(f *wire.ServerFrame) { forge(f.GetFetched().Events[len(f.GetFetched().Events)/2]) })}
			}
			s.far("team", 60)
			s.again()
			s.pause(4 * time.Second)
			s.calm()
		}},
	{name: "fork", group: "history", devices: 2, server: "tells one history to one device of a user and another to the other; then both the second", client: "each device shows one history whole; the first reports the change in the end",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "both")
			s.rewrite(func(w *world) { w.turn("team", 8, "for-laptop1", "for-laptop2") }, 1)
			s.dev(0).world.say("team", "bob", "for-phone1")
			s.dev(0).world.say("team", "bob", "for-phone2")
			s.dev(0).world.say("team", "bob", "for-phone3")
			s.deliver()
			s.pause(time.Second)
			s.again()
			s.pause(time.Second)
			s.expect.rewritten, s.expect.only = []string{"team"}, s.dev(0)
			s.dev(0).world = s.dev(1).world
			s.again()
			s.tell("team", "bob", "one-again")
			s.pause(500 * time.Millisecond)
			s.tell("team", "bob", "one-again2")
		}},
}

// turn drops the events from a seq on, and appends others.
func (w *world) turn(id string, seq uint64, texts ...string) {
	w.logs[id].cut(seq - 1)
	for _, text := range texts {
		w.say(id, "carol", text)
	}
}

// lie is a digest of nothing: another one each time.
func lie(d []byte) []byte {
	if len(d) == 0 {
		return d
	}
	x := make([]byte, len(d))
	_, _ = rand.Read(x) // it never fails
	return x
}

// lyingDigests is a frame with wrong digests.
func lyingDigests(f *wire.ServerFrame) *wire.ServerFrame {
	return edited(f, func(f *wire.ServerFrame) {
		for _, d := range deltasOf(f) {
			d.HeadDigest = lie(d.HeadDigest)
		}
		if p := f.GetFetched(); p != nil {
			p.HeadDigest, p.PrevDigest = lie(p.HeadDigest), lie(p.PrevDigest)
		}
	})
}

// forge changes what an event says.
func forge(ev *wire.Event) {
	ev.Body = wire.MarshalBody(textBody("forged"))
}

// forging is a hook that forges the last event of the first deltas of "team".
func forging(times int) func(*session, *wire.ServerFrame) []*wire.ServerFrame {
	return func(_ *session, f *wire.ServerFrame) []*wire.ServerFrame {
		return []*wire.ServerFrame{edited(f, func(f *wire.ServerFrame) {
			for _, d := range deltasOf(f) {
				if n := len(d.Events); n > 0 && d.Id == "team" && times > 0 {
					times--
					forge(d.Events[n-1])
				}
			}
		})}
	}
}
