// SPDX-License-Identifier: Apache-2.0

// What a delivery and a reconnect cost the session.

package session

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// BenchmarkDeliver is the drain of one live message by one member of a group of 1,000 that are all online; the message
// itself (its share of the pipeline) and the wakes are in it.
func BenchmarkDeliver(b *testing.B) {
	for _, gathered := range []int{1, 16} {
		b.Run(fmt.Sprint("messages=", gathered), func(b *testing.B) {
			tc := newTest(b)
			users := make([]tidemark.UserID, 1000)
			for i := range users {
				users[i] = tidemark.UserID(fmt.Sprint("user", i))
			}
			tc.users(users...)
			tc.group("team", users...)
			sessions := make([]*Session, len(users))
			buffer := make([]byte, 0, 1<<20)
			for i, u := range users {
				s := New(Config{User: u, Device: "phone", Format: wire.Proto, Set: tc.set, Registry: tc.registry, NowMs: tc.clock})
				tc.must(s.Open(b.Context(), &wire.Hello{}))
				for _, ok := s.Next(buffer); ok; _, ok = s.Next(buffer) {
					continue
				}
				sessions[i] = s
			}
			tc.step()
			deliveries := 0
			b.ReportAllocs()
			b.ResetTimer()
			for deliveries < b.N {
				for i := range gathered {
					tc.sent++
					tc.must(tc.set.Submit(b.Context(), &core.Submit{
						Actor: core.Actor{User: users[i]}, Conversation: "team", ClientID: tidemark.ClientID(fmt.Sprint(tc.sent)),
						Message: &wire.Message{Type: "text", Text: "a message of about a hundred bytes, as people send them to each other all day long, or so it is"},
					}, nil))
				}
				tc.step()
				for _, s := range sessions {
					for _, ok := s.Next(buffer); ok; _, ok = s.Next(buffer) {
						continue
					}
				}
				deliveries += gathered * len(sessions)
			}
			b.StopTimer()
			for _, s := range sessions {
				s.Close()
			}
		})
	}
}

// BenchmarkReconnect is hello to synced of a known device, ten of whose conversations have something new.
func BenchmarkReconnect(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint("conversations=", n), func(b *testing.B) {
			tc := newTest(b)
			tc.users("alice", "bob")
			fill(b, tc, n)
			phone := tc.device("bob", "phone").connect()
			phone.drain()
			for i := range 10 {
				tc.post("alice", tidemark.ConversationID(fmt.Sprint("g", i*n/10)), "news")
			}
			hello := &wire.Hello{Cursor: phone.cursor}
			buffer := make([]byte, 0, 1<<20)
			bytes := 0
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				s := New(Config{
					User: "bob", Device: "phone", Platform: "test", Client: "test/1", Format: wire.Proto, Set: tc.set, NowMs: tc.clock,
				})
				tc.must(s.Open(b.Context(), hello))
				bytes = 0
				for f, ok := s.Next(buffer); ok; f, ok = s.Next(buffer) {
					bytes += len(f)
				}
				s.Close()
			}
			b.ReportMetric(float64(bytes), "bytes")
		})
	}
}

func fill(tb testing.TB, tc *testWorld, n int) {
	tb.Helper()
	for i := range n {
		tc.must(tc.set.Submit(tb.Context(), &core.Create{
			Actor: core.Actor{App: true}, Conversation: tidemark.ConversationID(fmt.Sprint("g", i)), Kind: record.Group,
			Members: []tidemark.UserID{"alice", "bob"},
		}, nil))
		if i%1000 == 999 {
			tc.step()
		}
	}
	tc.step()
}

// P6: a device of 10,000 conversations that comes back reads nothing from disk when everything is warm.
func TestReconnectReadsNothingWhenWarm(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	fill(t, tc, 10_000)
	phone := tc.device("bob", "phone").connect()
	phone.drain()
	misses := func() (n uint64) {
		for p := range tc.set.Partitions() {
			n += tc.set.At(p).Stats().CacheMisses
		}
		return n
	}
	cursor := phone.cursor
	phone.disconnect()
	for i := range 10 {
		tc.post("alice", tidemark.ConversationID(fmt.Sprint("g", i*1000)), "news")
	}
	var before uint64
	for range 2 { // the first time brings in what is read
		before = misses()
		phone.cursor = proto.CloneOf(cursor)
		phone.connect().drain()
		phone.disconnect()
	}
	if n := misses() - before; n != 0 {
		t.Errorf("%d reads went to the store", n)
	}
	if len(phone.frames) < 3 {
		t.Errorf("nothing was new: %v", phone.kinds())
	}
}
