// SPDX-License-Identifier: Apache-2.0

// What encoding and decoding the frames of a chat costs, in both formats.

package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tidemark-im/tidemark/wire"
)

// liveDelta is what one member of a group hears of one message of 100 bytes.
func liveDelta() *wire.ServerFrame {
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Type: "text", Text: strings.Repeat("x", 100)}}})
	unread := uint64(1)
	return &wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{
		Live: true, Checkpoints: map[uint32]uint64{3: 1093},
		Conversations: []*wire.ConversationDelta{{
			Id: "team", Partition: 3, HeadSeq: 42, HeadDigest: bytes.Repeat([]byte{7}, 32), Unread: &unread, LastTimeMs: 1795341600123, PrevSeq: 41,
			Events: []*wire.Event{{
				Seq: 42, Id: 7312849104, TimeMs: 1795341600123, Sender: "alice", ClientId: "laptop-1234", Counted: 40, Salt: []byte("saltsalt"), Body: body,
			}},
		}},
	}}}
}

func submitFrame() *wire.ClientFrame {
	return &wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
		Request: 99, ClientId: "laptop-1234", Conversation: "team",
		Action: &wire.Submit_Message{Message: &wire.Message{Type: "text", Text: strings.Repeat("x", 100)}},
	}}}
}

var formats = []struct {
	name   string
	format wire.Format
}{{"proto", wire.Proto}, {"json", wire.JSON}}

func BenchmarkAppendServerFrame(b *testing.B) {
	for _, f := range formats {
		b.Run(f.name, func(b *testing.B) {
			frame := liveDelta()
			var buffer []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if buffer, err = wire.AppendServerFrame(buffer[:0], f.format, frame); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(buffer)))
		})
	}
}

func BenchmarkDecodeClientFrame(b *testing.B) {
	for _, f := range formats {
		b.Run(f.name, func(b *testing.B) {
			data, err := wire.AppendClientFrame(nil, f.format, submitFrame())
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.DecodeClientFrame(f.format, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
