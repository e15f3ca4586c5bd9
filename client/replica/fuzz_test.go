// SPDX-License-Identifier: Apache-2.0

// A hostile server: whatever it sends, the device neither panics nor breaks what it stores.

package replica_test

import (
	"testing"

	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// FuzzHostileServer feeds arbitrary frames, several in one input, to a device in the midst of its work.
func FuzzHostileServer(f *testing.F) {
	seed := func(frames ...*wire.ServerFrame) {
		var input []byte
		for _, frame := range frames {
			data, err := wire.AppendServerFrame(nil, wire.Proto, frame)
			if err != nil {
				f.Fatal(err)
			}
			input = append(append(input, byte(len(data)>>8), byte(len(data))), data...)
		}
		f.Add(input)
	}
	s := newServer()
	s.create(team, "alice", "bob")
	d := newDevice(f, "alice", "phone", replica.Config{})
	d.connect(s)
	for range 3 {
		d.say(team, "hello")
	}
	d.settle()
	seed(d.heard...)
	for _, frame := range d.heard {
		seed(frame)
	}
	seed(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Conversations: []*wire.ConversationDelta{
		{Id: string(team), HeadSeq: 1 << 63, PrevSeq: 1<<64 - 1, Events: []*wire.Event{{Seq: 1<<64 - 1, BodyHash: make([]byte, 32), Kind: 1}}},
	}}}})
	seed(&wire.ServerFrame{Frame: &wire.ServerFrame_Fetched{Fetched: &wire.Fetched{Request: 1, HeadSeq: 1<<64 - 1, FloorSeq: 1<<64 - 1}}})
	f.Fuzz(func(t *testing.T, input []byte) {
		s := newServer()
		s.create(team, "alice", "bob")
		d := newDevice(t, "alice", "phone", replica.Config{Backfill: replica.FillAll})
		d.hostile = true
		d.connect(s)
		d.say(team, "first")
		d.settle()
		d.say(team, "in flight")
		d.fetch(team, replica.Page{Before: 2})
		for len(input) > 2 {
			n := min(int(input[0])<<8|int(input[1]), len(input)-2)
			frame, err := wire.DecodeServerFrame(wire.Proto, input[2:2+n])
			input = input[2+n:]
			if err != nil {
				continue
			}
			d.receive(frame)
			d.tick(3_000)
		}
		d.checkC1(nil)
		d.crash()
		d.checkC1(nil)
	})
}
