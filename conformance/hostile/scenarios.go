// SPDX-License-Identifier: Apache-2.0

// The list of scenarios, and what several of them share.

package hostile

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

// scenarios are all, by group.
var scenarios = slices.Concat(repeats, orders, cursors, histories, submissions, frames, endings)

// usual is an ordinary stretch of life: a first synchronisation, own messages, live ones, some while away.
func (s *stage) usual() {
	s.send("team", "own1", "own2")
	if !s.synced(1) {
		return
	}
	s.tell("team", "bob", "live1", "live2")
	s.tell("news", "bob", "live3")
	if !s.stored("team", "own1", "own2") {
		return
	}
	s.say("team", "carol", "away1", "away2")
	s.say("news", "bob", "away3")
	s.again()
	s.tell("team", "bob", "live4")
	s.send("team", "own3")
	s.stored("team", "own3")
	s.tell("news", "bob", "live5")
}

// ending lets everything be right in the end: connections are made anew, and there is something new in each conversation.
func (s *stage) calm() {
	s.hooks = hooks{}
	s.again()
	s.tell("team", "bob", "calm1")
	s.tell("news", "bob", "calm2")
}

// edited is a copy of a frame with changes.
func edited(f *wire.ServerFrame, change func(*wire.ServerFrame)) *wire.ServerFrame {
	c := proto.CloneOf(f)
	change(c)
	return c
}

// deltasOf are the conversations in a frame.
func deltasOf(f *wire.ServerFrame) []*wire.ConversationDelta { return f.GetDelta().GetConversations() }

// frameBytes is a WebSocket frame of a server.
func frameBytes(final bool, opcode byte, payload []byte) []byte {
	head := opcode
	if final {
		head |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		return append([]byte{head, byte(n)}, payload...)
	case n < 1<<16:
		return append(binary.BigEndian.AppendUint16([]byte{head, 126}, uint16(n)), payload...)
	default:
		return append(binary.BigEndian.AppendUint64([]byte{head, 127}, uint64(n)), payload...)
	}
}

// encode is a frame as the session's client understands it, with the opcode that carries it.
func (ss *session) encode(f *wire.ServerFrame) (opcode byte, data []byte) {
	data, err := wire.AppendServerFrame(nil, ss.format, f)
	if err != nil {
		return 2, nil
	}
	if ss.format == wire.JSON {
		return 1, data
	}
	return 2, data
}
