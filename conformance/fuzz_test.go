// SPDX-License-Identifier: Apache-2.0

// Hostile bytes: a server of somebody else may send anything to the kit.

package conformance

import (
	"bufio"
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// sent is a connection on which a server has sent bytes and closed it.
type sent struct {
	net.Conn
	*bytes.Reader
}

func (s sent) Read(p []byte) (int, error)     { return s.Reader.Read(p) }
func (sent) Write(p []byte) (int, error)      { return len(p), nil }
func (sent) SetReadDeadline(time.Time) error  { return nil }
func (sent) SetWriteDeadline(time.Time) error { return nil }

// FuzzReceive: the messages have no more bytes than came, an ending comes in the end, and can be told.
func FuzzReceive(f *testing.F) {
	frame := func(h ws.Header, payload string) []byte {
		var b bytes.Buffer
		if err := ws.WriteHeader(&b, h); err != nil {
			f.Fatal(err)
		}
		return append(b.Bytes(), payload...)
	}
	whole := frame(ws.Header{Fin: true, OpCode: ws.OpBinary, Length: 2}, "ab")
	f.Add(bytes.Join([][]byte{
		frame(ws.Header{OpCode: ws.OpText, Length: 2}, "ab"), frame(ws.Header{Fin: true, OpCode: ws.OpPing, Length: 1}, "p"),
		frame(ws.Header{Fin: true, OpCode: ws.OpContinuation, Length: 1}, "c"), whole, ws.CompiledCloseNormalClosure,
	}, nil))
	f.Add(append(whole, frame(ws.Header{Fin: true, OpCode: ws.OpBinary, Length: 1<<63 - 1}, "")...))
	f.Add(bytes.Repeat(frame(ws.Header{OpCode: ws.OpContinuation, Length: messageBytesMax}, ""), 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		conn := sent{Reader: bytes.NewReader(data)}
		s := &socket{Conn: conn, reader: bufio.NewReader(conn)}
		bytes := 0
		for {
			payload, op, end := s.receive(time.Time{})
			if end != nil {
				if end.code == 0 && end.cause == nil || end.String() == "" {
					t.Fatalf("%+v tells nothing", end)
				}
				return
			}
			if bytes += len(payload) + 2; bytes > len(data) || op.IsControl() && op != ws.OpPong {
				t.Fatalf("%d bytes of %d, the last of a frame of kind %d", bytes, len(data), op)
			}
		}
	})
}
