// SPDX-License-Identifier: Apache-2.0

// Hostile bytes, where devices read them: bodies, which the chain hashes, and the frames of a server.

package wire

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
)

// FuzzBody: a body that could be read is written in one way, and that way stays.
func FuzzBody(f *testing.F) {
	for _, b := range bodies() {
		f.Add(MarshalBody(b))
	}
	f.Add([]byte{0x0a, 0x02, 0x0a, 0x05})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &Body{}
		if b.UnmarshalVT(data) != nil {
			return
		}
		if _, err := proto.Marshal(b); err != nil {
			return // text that is not UTF-8, which is refused before a body is written
		}
		first := MarshalBody(b)
		again := &Body{}
		if err := again.UnmarshalVT(first); err != nil || !proto.Equal(b, again) {
			t.Fatalf("%v came back as %v, %v", b, again, err)
		}
		if second := MarshalBody(again); !bytes.Equal(first, second) || BodyKind(again) != BodyKind(b) {
			t.Fatalf("%v is written as %x and as %x", b, first, second)
		}
		if len(first) > 2*len(data) {
			t.Fatalf("%d bytes became %d", len(data), len(first))
		}
	})
}

// FuzzServerFrameJSON: what a client reads of a server in JSON is the same after it was written and read again.
func FuzzServerFrameJSON(f *testing.F) {
	for _, frame := range []*ServerFrame{
		{Frame: &ServerFrame_Welcome{Welcome: &Welcome{SessionId: "s", User: "alice", Partitions: 4, Reset_: &Reset{Reason: ResetReason_EPOCH}}}},
		{Frame: &ServerFrame_Synced{Synced: &Synced{Cursor: &Cursor{Epoch: 9, Positions: map[uint32]uint64{1: 2}}}}},
		{Frame: &ServerFrame_Fetched{Fetched: &Fetched{Request: 3, Conversation: "c", Events: []*Event{{Seq: 1, Id: 7, Body: MarshalBody(bodies()[0])}}}}},
		{Frame: &ServerFrame_Bye{Bye: &Bye{Reason: ByeReason_KICKED, Message: "go"}}},
	} {
		data, err := AppendServerFrame(nil, JSON, frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"delta":{"conversations":[{"events":[{"seq":"18446744073709551615"}]}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := DecodeServerFrame(JSON, data)
		if err != nil {
			return
		}
		first, err := AppendServerFrame(nil, JSON, frame)
		if err != nil {
			return // no server writes this: an event whose bytes are no body
		}
		again, err := DecodeServerFrame(JSON, first)
		if err != nil {
			t.Fatalf("%q was written, and cannot be read: %v", first, err)
		}
		second, err := AppendServerFrame(nil, JSON, again)
		if err != nil {
			t.Fatalf("%q was read, and cannot be written: %v", first, err)
		}
		third, err := DecodeServerFrame(JSON, second)
		if err != nil || !proto.Equal(again, third) {
			t.Fatalf("%v came back as %v from %q, %v", again, third, second, err)
		}
	})
}
