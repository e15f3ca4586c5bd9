// SPDX-License-Identifier: Apache-2.0

// What it costs to wake writers, without the kernel's part.

package gateway

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

// sink is a socket that takes everything.
type sink struct {
	net.Conn
	writes *atomic.Int64
}

func (s sink) Write(p []byte) (int, error) { s.writes.Add(1); return len(p), nil }
func (s sink) Close() error                { return nil }

// one is a session that has one frame for each wake.
type one struct {
	event *wire.ServerFrame
	due   atomic.Int32
}

func (s *one) Open(context.Context, *wire.Hello) error         { return nil }
func (s *one) Handle(context.Context, *wire.ClientFrame) error { return nil }
func (s *one) Done() bool                                      { return false }
func (s *one) Bye(wire.ByeReason, uint32, string)              {}
func (s *one) Close()                                          {}
func (s *one) Next(dst []byte) ([]byte, bool) {
	if s.due.Load() == 0 {
		return dst, false
	}
	s.due.Store(0)
	dst, _ = wire.AppendServerFrame(dst, wire.Proto, s.event)
	return dst, true
}

func BenchmarkWake(b *testing.B) {
	a, _ := testAuth(b, nil)
	w, err := NewWebSocket(Config{Auth: a})
	if err != nil {
		b.Fatal(err)
	}
	event := &wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Live: true, Checkpoints: map[uint32]uint64{3: 4},
		Conversations: []*wire.ConversationDelta{{Id: "team", HeadSeq: 42, Events: []*wire.Event{{Seq: 42, Id: 99, Sender: "alice", Body: make([]byte, 150)}}}}}}}
	var writes atomic.Int64
	conns := make([]*conn, 1000)
	sessions := make([]*one, len(conns))
	for i := range conns {
		conns[i] = newConn(w, sink{writes: &writes}, wire.Proto, netip.Addr{}, nil)
		sessions[i] = &one{event: event}
		s := stream(sessions[i])
		conns[i].session.Store(&s)
	}
	b.ReportAllocs()
	for b.Loop() {
		writes.Store(0)
		for i, c := range conns {
			sessions[i].due.Store(1)
			c.wake()
		}
		for writes.Load() < int64(len(conns)) {
			time.Sleep(10 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(conns)), "ns/wake")
}
