// SPDX-License-Identifier: Apache-2.0

// Scenarios about what a frame may hold: a newer server, numbers that make no sense, bytes that are no frame.

package hostile

import (
	"bytes"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/tidemark-im/tidemark/wire"
)

const connectsAgain = "does not crash; passes it over or connects again with pauses, and has all in the end"

var frames = []scenario{
	{name: "unknown-frames", group: "frames", server: "sends frames and signals of kinds that only newer servers know", client: "passes them over, without breaking the connection",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			if ss := s.dev(0).session; ss != nil {
				for range 5 {
					ss.unknown()
				}
			}
			s.tell("team", "bob", "a")
			s.pause(time.Second)
			if len(s.dev(0).connects) > 1 {
				s.dev(0).violation("broke the connection over a frame of an unknown kind")
			}
			s.usualRest()
		}},
	{name: "unknown-fields", group: "frames", server: "adds unknown fields to every message, at every depth", client: "passes them over",
		play: func(s *stage) {
			s.hooks.out = func(_ *session, f *wire.ServerFrame) []*wire.ServerFrame {
				return []*wire.ServerFrame{edited(f, func(f *wire.ServerFrame) { addUnknown(f.ProtoReflect()) })}
			}
			s.hooks.encoded = func(ss *session, data []byte) []byte {
				if ss.format != wire.JSON {
					return data
				}
				return bytes.Replace(data, []byte("{"), []byte(`{"ofTheFuture":{"a":[1]},`), 1)
			}
			s.usual()
		}},
	{name: "unknown-values", group: "frames", server: "uses values of enums that only newer servers know: roles, kinds, contact states, reasons", client: "passes them over",
		play: func(s *stage) {
			s.hooks.out = func(_ *session, f *wire.ServerFrame) []*wire.ServerFrame {
				return []*wire.ServerFrame{edited(f, func(f *wire.ServerFrame) {
					for _, d := range deltasOf(f) {
						d.Info.Kind, d.Self.Role, d.Self.Contact = 77, 88, 99
						d.Info.Settings = &wire.Settings{Join: 55, Post: 66}
					}
				})}
			}
			n := 0
			s.hooks.submit = func(ss *session, f *wire.Submit) bool {
				if n++; n > 1 {
					return false
				}
				ss.refuse(f, &wire.ServerFrame{Frame: &wire.ServerFrame_Error{Error: &wire.Error{Request: f.Request, Code: "unavailable", Reason: wire.Reason_UNAVAILABLE, Message: "later", RetryAfterMs: 500}}})
				return true
			}
			s.usual()
		}},
	{name: "unknown-bodies", group: "frames", server: "has events in its logs of a kind that only newer servers know", client: "chains them, shows the messages around them",
		play: func(s *stage) {
			newer := func() {
				for _, w := range s.distinctWorlds() {
					w.appendRaw(w.logs["team"], "bob", "newer", "", 99, []byte{0x98, 0x06, 0x01}, 0)
				}
			}
			newer()
			s.tell("team", "bob", "a")
			if !s.synced(1) {
				return
			}
			newer()
			s.tell("team", "bob", "b")
			newer()
			s.usualRest()
		}},
	{name: "huge-frame", group: "frames", server: "sends a page of twenty messages of 200 KiB in one frame of four megabytes", client: "takes it",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			big := strings.Repeat("large ", 200<<10/6)
			for i := range 20 {
				s.say("team", "bob", string(rune('a'+i))+big)
			}
			s.deliver()
			s.usualRest()
		}},
	broken("malformed", "sends bytes that are no frame", func(ss *session) {
		opcode, _ := ss.encode(nil)
		ss.bytes(frameBytes(true, opcode, []byte("\x0a\xff\xff\xff\xff\x0fgarbage")))
	}),
	broken("truncated", "breaks the connection in the middle of a frame", func(ss *session) {
		opcode, data := ss.encode(deltaFrame(true, nil, ss.device.world.summary(ss.device.world.logs["team"], "alice")))
		whole := frameBytes(true, opcode, data)
		ss.bytes(whole[:len(whole)/2])
		ss.cut()
	}),
	broken("wrong-opcode", "sends text where binary is spoken, or the reverse", func(ss *session) {
		opcode, data := ss.encode(&wire.ServerFrame{Frame: &wire.ServerFrame_Pong{Pong: &wire.Pong{}}})
		ss.bytes(frameBytes(true, 3-opcode, data))
	}),
	broken("reserved-opcode", "sends a WebSocket frame with a reserved opcode and reserved bits", func(ss *session) {
		ss.bytes(append([]byte{0x80 | 0x70 | 0x0B, 3}, "abc"...))
	}),
	broken("empty-message", "sends messages without content", func(ss *session) {
		opcode, _ := ss.encode(nil)
		ss.bytes(frameBytes(true, opcode, nil))
	}),
	broken("endless-frame", "announces a frame of an exabyte, and breaks the connection after a second", func(ss *session) {
		opcode, _ := ss.encode(nil)
		ss.bytes(append([]byte{0x80 | opcode, 127, 0x0F, 0, 0, 0, 0, 0, 0, 0}, "begin"...))
		time.AfterFunc(time.Second, func() {
			ss.run.mu.Lock()
			defer ss.run.mu.Unlock()
			ss.cut()
		})
	}),
	broken("wrong-utf8", "sends names and titles that are not UTF-8", func(ss *session) {
		if ss.format == wire.JSON {
			ss.bytes(frameBytes(true, 1, []byte("{\"delta\":{\"profiles\":[{\"id\":\"bob\",\"nickname\":\"\xff\xfe\"}]}}")))
			return
		}
		d := ss.device.world.summary(ss.device.world.logs["team"], "alice")
		d.Info.Title, d.Id = "\xff\xfe", "te\xffam"
		ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true, Conversations: []*wire.ConversationDelta{d},
			Profiles: []*wire.Profile{{Id: "bob", Nickname: "\xff\xfe"}, {Id: "b\xffb"}}}}})
	}),
	broken("absurd-numbers", "sends seqs, positions, partitions and times that cannot be", func(ss *session) {
		h := ss.device.world.logs["team"]
		for _, seq := range []uint64{math.MaxUint64, 1 << 63, 1<<62 + 1} {
			d := ss.device.world.summary(h, "alice")
			d.Partition, d.LastTimeMs, d.FloorSeq = math.MaxUint32, math.MaxUint64, seq
			d.PrevSeq, d.HeadSeq = seq-1, seq
			ev := proto.CloneOf(h.events[3].Event)
			ev.Seq = seq
			d.Events = []*wire.Event{ev}
			ss.plain(deltaFrame(true, nil, d))
		}
		d := &wire.ConversationDelta{Id: "news", Events: []*wire.Event{nil, {}, {Seq: 3}}}
		if ss.format == wire.JSON {
			d.Events = []*wire.Event{{}, {Seq: 3}}
		}
		ss.plain(deltaFrame(true, map[uint32]uint64{math.MaxUint32: 1, 70_000: 5}, d))
	}),
	{name: "fragments", group: "frames", server: "sends frames in many fragments, with WebSocket pings between them", client: "takes them as whole, answers the pings",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			if ss := s.dev(0).session; ss != nil {
				s.say("team", "bob", "a", "b")
				d := ss.deltas(100)
				ss.cursor = ss.device.world.position
				checkpoint := deltaFrame(true, positions(ss.cursor), d...)
				ss.device.told(checkpoint)
				opcode, data := ss.encode(checkpoint)
				for i := 0; i < len(data); i += 7 {
					part := data[i:min(i+7, len(data))]
					ss.bytes(frameBytes(i+7 >= len(data), opcode, part))
					ss.bytes(frameBytes(true, 9, []byte("ping")))
					opcode = 0
				}
			}
			s.pause(500 * time.Millisecond)
			if len(s.dev(0).connects) > 1 {
				s.dev(0).violation("broke the connection over fragments or pings of the WebSocket")
			}
			s.usualRest()
		}},
	{name: "signal-flood", group: "frames", server: "sends twenty thousand signals at once", client: "stays responsive",
		play: func(s *stage) {
			if !s.synced(1) {
				return
			}
			if ss := s.dev(0).session; ss != nil {
				for i := range 20_000 {
					ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Signal{Signal: &wire.Signal{Signal: &wire.Signal_Typing{Typing: &wire.TypingSignal{Conversation: "team", User: "bob", Typing: i%2 == 0}}}}})
				}
			}
			s.usualRest()
		}},
	heartbeat("heartbeat-none", "says a heartbeat of 0", 0),
	heartbeat("heartbeat-short", "says a heartbeat of 1 ms", 1),
	heartbeat("heartbeat-long", "says a heartbeat of 49 days", math.MaxUint32),
	{name: "clock-far-off", group: "frames", server: "has a clock far in the future, and events of 1970 and of the year 9999", client: "shows all, in the order of seq",
		play: func(s *stage) {
			s.hooks.hello = func(ss *session) bool {
				ss.welcome(func(w *wire.Welcome) { w.ServerTimeMs = 253_402_300_799_000 })
				ss.changes()
				ss.synced()
				return true
			}
			s.hooks.ping = func(ss *session, f *wire.Ping) bool {
				ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Pong{Pong: &wire.Pong{Request: f.Request, ServerTimeMs: 1}}})
				return true
			}
			for i, at := range []uint64{253_402_300_799_000, 1, 1_767_225_700_000} {
				text := "at" + string(rune('0'+i))
				for _, w := range s.distinctWorlds() {
					w.appendRaw(w.logs["team"], "bob", text, text, 1, wire.MarshalBody(textBody(text)), at)
				}
			}
			s.usual()
		}},
	{name: "no-welcome", group: "frames", server: "begins with a delta, or with synced, instead of welcome", client: "does not take it; connects again with pauses",
		play: func(s *stage) {
			s.hooks.hello = upTo(4, func(ss *session) bool {
				if ss.number%2 == 1 {
					ss.plain(deltaFrame(false, nil, ss.deltas(tailEvents)...))
				}
				ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Synced{Synced: &wire.Synced{Cursor: &wire.Cursor{Epoch: ss.device.world.epoch, Positions: positions(ss.device.world.position)}}}})
				s.later(ss, 300*time.Millisecond)
				return true
			})
			s.send("team", "own1")
			s.synced(1)
			s.stored("team", "own1")
			s.tell("team", "bob", "a")
		}},
	broken("welcome-twice", "sends a second welcome, of another user and epoch, on a connection", func(ss *session) {
		ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: &wire.Welcome{User: "mallory", Epoch: 666, DeviceId: "x"}}})
	}),
}

// usualRest is an ordinary end after a fault.
func (s *stage) usualRest() {
	s.send("team", "own1")
	s.wait(func() bool { return s.dev(0).session != nil && s.dev(0).session.opened })
	s.tell("news", "bob", "rest1")
	s.stored("team", "own1")
	s.again()
	s.tell("team", "bob", "rest2")
}

// broken is a scenario in which the first two connections get something that is no frame.
func broken(name, server string, bad func(*session)) scenario {
	return scenario{name: name, group: "frames", server: server, client: connectsAgain,
		play: func(s *stage) {
			for n := range 2 {
				if !s.synced(n + 1) {
					return
				}
				s.tell("team", "bob", "before"+string(rune('1'+n)))
				if ss := s.dev(0).session; ss != nil {
					bad(ss)
				}
				s.pause(1200 * time.Millisecond)
				s.tell("news", "bob", "behind"+string(rune('1'+n)))
				if ss := s.dev(0).session; ss != nil && ss.number == n+1 {
					ss.cut()
				}
			}
			s.usualRest()
		}}
}

// heartbeat is a scenario with a strange heartbeat.
func heartbeat(name, server string, ms uint32) scenario {
	return scenario{name: name, group: "frames", server: server, client: "pings at a sane rate, or not at all; shows the log",
		play: func(s *stage) {
			s.hooks.hello = func(ss *session) bool {
				ss.welcome(func(w *wire.Welcome) { w.HeartbeatMs = ms })
				ss.changes()
				ss.synced()
				return true
			}
			s.usual()
			s.pause(3 * time.Second)
			s.tell("team", "bob", "end")
		}}
}

// unknown sends a frame and a signal of unknown kinds.
func (ss *session) unknown() {
	if ss.format == wire.JSON {
		ss.bytes(frameBytes(true, 1, []byte(`{"hologram":{"request":"1","x":[1,2]}}`)))
		ss.bytes(frameBytes(true, 1, []byte(`{"signal":{"telepathy":{"user":"bob"}}}`)))
		return
	}
	ss.bytes(frameBytes(true, 2, []byte{0xEA, 0x04, 3, 1, 2, 3})) // field 77
	ss.bytes(frameBytes(true, 2, []byte{0x32, 3, 0xEA, 0x04, 0})) // signal with field 77
}

// addUnknown adds an unknown field to a message and all messages in it.
func addUnknown(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsMap() || field.Message() == nil:
		case field.IsList():
			for i := range v.List().Len() {
				addUnknown(v.List().Get(i).Message())
			}
		default:
			addUnknown(v.Message())
		}
		return true
	})
	m.SetUnknown([]byte{0xC2, 0x3E, 2, 'h', 'i'}) // field 1000
}
