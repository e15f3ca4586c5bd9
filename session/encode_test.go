// SPDX-License-Identifier: Apache-2.0

// The hand-written encoding: the same bytes as the generated one, and without allocating.

package session

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// What is encoded by hand is, byte for byte, what the generated code makes of the same frame.
func TestHandEncodingIsTheGenerated(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob", "carol")
	phone := tc.device("bob", "phone")
	phone.tail = 7
	count := map[string]int{}
	check := func() {
		for {
			data, ok := phone.s.Next(nil)
			if !ok {
				return
			}
			frame := &wire.ServerFrame{}
			tc.must(frame.UnmarshalVT(data))
			want, err := proto.MarshalOptions{Deterministic: true}.Marshal(frame)
			tc.must(err)
			if !bytes.Equal(data, want) {
				t.Errorf("a frame is encoded as\n%x\nthe generated code encodes it as\n%x\n%v", data, want, frame)
			}
			count[fmt.Sprintf("%T", frame.Frame)]++
		}
	}
	for i := range 20 {
		id := tidemark.ConversationID(fmt.Sprint("group-", i))
		tc.group(id, "alice", "bob", "carol")
		for j := range i {
			tc.post("alice", id, string(bytes.Repeat([]byte("x"), j*j*20)))
		}
	}
	phone.connect()
	check()
	for i := range 20 {
		id := tidemark.ConversationID(fmt.Sprint("group-", i))
		tc.post("carol", id, "hello")
		phone.submit(id, "from this session")
		tc.step()
		tc.do(&core.Submit{
			Actor: core.Actor{User: "alice"}, Conversation: id, ClientID: tidemark.ClientID(fmt.Sprint("m", i)),
			Message: &wire.Message{Text: "you", Mentions: []string{"bob"}},
		})
		if i%3 == 0 {
			check()
		}
	}
	tc.do(&core.RemoveMembers{Actor: core.Actor{App: true}, Conversation: "group-3", Members: []tidemark.UserID{"bob"}})
	check()
	if count["*wire.ServerFrame_Delta"] < 8 || count["*wire.ServerFrame_Submitted"] != 20 {
		t.Errorf("only these frames were compared: %v", count)
	}
}

// A live delivery allocates nothing at the session.
func TestDeliveryAllocatesNothing(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("bob", "phone").connect()
	phone.drain()
	buffer := make([]byte, 0, 64<<10)
	for range 10 { // the session's buffers come into being
		tc.post("alice", "team", "hello")
		for _, ok := phone.s.Next(buffer); ok; _, ok = phone.s.Next(buffer) {
			continue
		}
	}
	frames := 0
	total := uint64(0)
	for range 100 {
		tc.post("alice", "team", "hello")
		total += mallocs(func() {
			for _, ok := phone.s.Next(buffer); ok; _, ok = phone.s.Next(buffer) {
				frames++
			}
		})
	}
	if frames != 100 || total > 10 {
		t.Errorf("%d frames took %d allocations, want none", frames, total)
	}
}

func mallocs(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// S13: an idle session is small, everything included that partitions keep for it.
func TestIdleSessionIsSmall(t *testing.T) {
	tc := newTest(t)
	const n = 2000
	var users []tidemark.UserID
	for i := range n {
		users = append(users, tidemark.UserID(fmt.Sprintf("user-%05d", i)))
	}
	tc.users(users...)
	tc.group("everybody", users...)
	tc.post(users[0], "everybody", "hello")
	sessions := make([]*Session, 0, n)
	connect := func(id tidemark.UserID, device tidemark.DeviceID) {
		s := New(Config{User: id, Device: device, Format: wire.Proto, Set: tc.set, Registry: tc.registry, NowMs: tc.clock})
		tc.must(s.Open(t.Context(), &wire.Hello{}))
		for _, ok := s.Next(nil); ok; _, ok = s.Next(nil) {
			continue
		}
		sessions = append(sessions, s)
	}
	for _, id := range users {
		connect(id, "phone") // fills the caches
	}
	for _, s := range sessions {
		s.Close()
	}
	clear(sessions)
	sessions = sessions[:0]
	tc.step()
	before := heap()
	for _, id := range users {
		connect(id, "phone")
	}
	tc.post(users[0], "everybody", "hello")
	for _, s := range sessions {
		for _, ok := s.Next(nil); ok; _, ok = s.Next(nil) {
			continue
		}
	}
	each := int64(heap()-before) / n
	t.Logf("an idle session takes %d bytes", each)
	if each > 1600 {
		t.Errorf("an idle session takes %d bytes", each)
	}
	runtime.KeepAlive(sessions)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
