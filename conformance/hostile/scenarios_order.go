// SPDX-License-Identifier: Apache-2.0

// Scenarios about frames that come twice, again, late, or in another order.

package hostile

import (
	"slices"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

var repeats = []scenario{
	{name: "honest", group: "repeats", server: "does everything right", client: "shows the log, sends its messages once each",
		play: func(s *stage) { s.expect.order = true; s.usual() }},
	{name: "duplicate-frames", group: "repeats", server: "sends every frame but welcome twice", client: "shows each event once",
		play: func(s *stage) {
			s.hooks.out = func(_ *session, f *wire.ServerFrame) []*wire.ServerFrame {
				if f.GetWelcome() != nil {
					return []*wire.ServerFrame{f}
				}
				return []*wire.ServerFrame{f, f}
			}
			s.usual()
		}},
	{name: "replayed-frames", group: "repeats", server: "sends all deltas and answers of the connection again, with their old checkpoints", client: "shows each event once, acknowledges no lower position",
		play: func(s *stage) {
			s.usual()
			for _, ss := range s.sessions() {
				ss.plain(replayable(ss.sent)...)
			}
			s.tell("team", "bob", "after1")
		}},
	{name: "replayed-connection", group: "repeats", server: "sends the deltas, answers and synced of an earlier connection again on a new one", client: "shows each event once, acknowledges no lower position",
		play: func(s *stage) {
			s.send("team", "own1", "own2")
			if !s.synced(1) || !s.stored("team", "own1", "own2") {
				return
			}
			s.tell("team", "bob", "live1")
			if old := s.dev(0).session; old != nil && s.again() {
				s.dev(0).session.plain(replayable(old.sent)...)
				s.tell("team", "bob", "live2")
				s.send("team", "own3")
				s.stored("team", "own3")
			}
			s.tell("team", "bob", "live3")
		}},
}

// replayable are the frames that may be sent again.
func replayable(sent []*wire.ServerFrame) []*wire.ServerFrame {
	return slices.DeleteFunc(slices.Clone(sent), func(f *wire.ServerFrame) bool {
		return f.GetWelcome() != nil || f.GetBye() != nil || f.GetPong() != nil
	})
}

var orders = []scenario{
	{name: "conversations-out-of-order", group: "order", server: "sends the first synchronisation one event a frame, the conversations mixed, the last first", client: "fills what is missing, shows the log",
		play: func(s *stage) {
			s.hooks.hello = upTo(1, func(ss *session) bool {
				ss.welcome(nil)
				var frames []*wire.ServerFrame
				for _, d := range ss.deltas(tailEvents) {
					for i, ev := range d.Events {
						one := ss.device.world.summary(ss.device.world.logs[d.Id], ss.device.user)
						prev := ss.device.world.logs[d.Id].digest(ev.Seq - 1)
						one.PrevSeq, one.PrevDigest, one.Events = ev.Seq-1, prev[:], d.Events[i:i+1]
						frames = append(frames, deltaFrame(false, nil, one))
					}
				}
				slices.Reverse(frames)
				ss.send(frames...)
				ss.synced()
				return true
			})
			s.usual()
		}},
	{name: "live-out-of-order", group: "order", server: "sends live events in the wrong order, the checkpoint last", client: "shows the log in order",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			for range 3 {
				ss := s.dev(0).session
				if ss == nil {
					return
				}
				s.say("team", "bob", "x"+time.Now().Format("150405.000000000"), "y"+time.Now().Format("150405.000000000"), "z"+time.Now().Format("150405.000000000"))
				d := ss.deltas(100)[0]
				ss.cursor = ss.device.world.position
				h := s.history("team")
				for _, i := range []int{2, 0, 1} {
					one := ss.device.world.summary(h, "alice")
					prev := h.digest(d.Events[i].Seq - 1)
					one.PrevSeq, one.PrevDigest, one.Events = d.Events[i].Seq-1, prev[:], d.Events[i:i+1]
					ss.send(deltaFrame(true, nil, one))
				}
				ss.send(deltaFrame(true, positions(ss.cursor)))
				s.pause(50 * time.Millisecond)
			}
		}},
	{name: "pages-out-of-order", group: "order", server: "answers requests for history late, the last first", client: "fills all gaps, with few requests",
		play: func(s *stage) {
			s.expect.fetchesMax = 60
			var held []func()
			s.hooks.fetch = func(ss *session, f *wire.Fetch) bool {
				held = append(held, func() { ss.send(ss.page(f)) })
				return true
			}
			if !s.synced(1) {
				return
			}
			s.far("team", 70)
			s.far("news", 50)
			s.again()
			for range 12 {
				s.pause(250 * time.Millisecond)
				slices.Reverse(held)
				for _, send := range held {
					send()
				}
				held = nil
			}
			s.hooks.fetch = nil
			for _, send := range held {
				send()
			}
		}},
	{name: "late-answers", group: "order", server: "answers the page requests of a broken connection on the next one, where the request numbers mean something else", client: "takes no page for that of another conversation",
		play: func(s *stage) {
			var late []*wire.ServerFrame
			s.hooks.fetch = func(ss *session, f *wire.Fetch) bool {
				if ss.number <= 2 {
					late = append(late, ss.page(f))
				} else {
					ss.send(late...)
					ss.send(wrongConversation(ss, f))
					ss.send(ss.page(f))
				}
				return true
			}
			if !s.synced(1) {
				return
			}
			s.far("team", 60)
			s.far("news", 45)
			s.again()
			s.pause(700 * time.Millisecond)
			s.again()
			s.pause(time.Second)
			s.hooks.fetch = nil
			s.tell("team", "bob", "end1")
			s.tell("news", "bob", "end2")
		}},
	{name: "gap", group: "order", server: "leaves out events of a delta and says so by prevSeq", client: "knows of the gap, or fills it",
		play: func(s *stage) {
			s.expect.gaps = true
			s.hooks.out = live(func(ss *session, d *wire.ConversationDelta) {
				if n := len(d.Events); n > 1 {
					d.Events = d.Events[n-1:]
					prev := ss.device.world.logs[d.Id].digest(d.Events[0].Seq - 1)
					d.PrevSeq, d.PrevDigest = d.Events[0].Seq-1, prev[:]
				}
			})
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "a", "b", "c", "d")
			s.tell("team", "bob", "e", "f")
		}},
	{name: "gap-without-digest", group: "order", server: "leaves out events and tells no prevDigest", client: "knows of the gap, or fills it; shows nothing that it cannot chain",
		play: func(s *stage) {
			s.expect.gaps = true
			s.hooks.out = live(func(_ *session, d *wire.ConversationDelta) {
				if n := len(d.Events); n > 1 {
					d.Events = d.Events[n-1:]
					d.PrevSeq, d.PrevDigest = d.Events[0].Seq-1, nil
				}
			})
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "a", "b", "c", "d")
			s.tell("team", "bob", "e")
		}},
	{name: "hole", group: "order", server: "leaves out an event in the middle of a delta, and says nothing", client: "finds the hole by the chain, fetches what is missing",
		play: func(s *stage) {
			s.expect.gaps = true
			s.hooks.out = live(func(_ *session, d *wire.ConversationDelta) {
				if n := len(d.Events); n > 2 {
					d.Events = slices.Delete(d.Events, n/2, n/2+1)
				}
			})
			if !s.synced(1) {
				return
			}
			s.tell("team", "bob", "a", "b", "c", "d", "e")
			s.pause(time.Second)
			s.tell("team", "bob", "f")
		}},
	{name: "checkpoint-before-data", group: "order", server: "gives a checkpoint before the data that it covers, and breaks the connection between the two", client: "finds the gap with the next event, and fills it",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			s.say("team", "bob", "a", "b")
			if ss := s.dev(0).session; ss != nil {
				ss.send(deltaFrame(true, positions(ss.device.world.position)))
			}
			s.pause(300 * time.Millisecond)
			s.again()
			s.tell("team", "bob", "c")
		}},
}

// live makes a hook that changes what is told of each conversation after synced.
func live(change func(*session, *wire.ConversationDelta)) func(*session, *wire.ServerFrame) []*wire.ServerFrame {
	return func(ss *session, f *wire.ServerFrame) []*wire.ServerFrame {
		return []*wire.ServerFrame{edited(f, func(f *wire.ServerFrame) {
			for _, d := range deltasOf(f) {
				if f.GetDelta().Live {
					change(ss, d)
				}
			}
		})}
	}
}

// far lets a conversation go far ahead.
func (s *stage) far(id string, n int) {
	for i := range n {
		s.say(id, "bob", id+"-far-"+string(rune('A'+i/26))+string(rune('a'+i%26)))
	}
}

// wrongConversation is a page of another conversation under the number of a request.
func wrongConversation(ss *session, f *wire.Fetch) *wire.ServerFrame {
	other := "team"
	if f.Conversation == "team" {
		other = "news"
	}
	page := ss.device.world.page(ss.device.world.logs[other], f.From, uint64(f.Limit))
	page.Request = f.Request
	return &wire.ServerFrame{Frame: &wire.ServerFrame_Fetched{Fetched: page}}
}
