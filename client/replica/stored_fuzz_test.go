// SPDX-License-Identifier: Apache-2.0

// What a device has stored may be damaged: an error, never a panic, and never memory out of proportion.

package replica

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// stored fails if a record that could be read says something else after it was written and read again.
func stored[T any](t *testing.T, data []byte, decode func([]byte) (T, error), encode func(T) []byte) {
	t.Helper()
	var v T
	var err error
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v, err = decode(data)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<10+1024*uint64(len(data)) {
		t.Fatalf("%d bytes take %d", len(data), took)
	}
	if err != nil {
		return
	}
	first := encode(v)
	again, err := decode(first)
	if err != nil {
		t.Fatalf("%+v was written as %x, which is damaged: %v", v, first, err)
	}
	if second := encode(again); !bytes.Equal(first, second) {
		t.Fatalf("%+v is written as %x, and then as %x", v, first, second)
	}
}

// FuzzStored reads each kind of record from any bytes.
func FuzzStored(f *testing.F) {
	m := meta{user: "alice", number: 3, cursor: tidemark.Cursor{Epoch: 1, Positions: map[uint32]tidemark.Position{0: 9, 200: 1 << 40}}}
	f.Add(m.encode())
	c := Conversation{ID: "team", HeadSeq: 9, Segments: []Segment{{From: 1, To: 9}}, unsure: []tidemark.Seq{4}, Info: &wire.ConversationInfo{Title: "t"}}
	f.Add(c.encode())
	o := Outgoing{ClientID: "c", Conversation: "team", Body: []byte{1}, State: Failed, Failure: tidemark.Refuse(tidemark.TooMany, "slow")}
	f.Add(o.encode())
	e := entry{
		id: 7, sender: "bob", body: []byte{1, 2}, reactions: []tally{{key: "+1", count: 2, in: []tidemark.UserID{"a"}}},
		ops: []op{{seq: 3, user: "bob", key: "+1"}},
	}
	f.Add(e.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		stored(t, data, decodeMeta, func(m meta) []byte { return m.encode() })
		stored(t, data, func(b []byte) (*Outgoing, error) { return decodeOutgoing(1, b) }, func(o *Outgoing) []byte { return o.encode() })
		stored(t, data, func(b []byte) (*entry, error) { return decodeEntry(1, b) }, func(n *entry) []byte { return n.encode() })
		if c, err := decodeConversation("team", data); err == nil {
			again, err := decodeConversation("team", c.encode())
			if err != nil || !reflect.DeepEqual(again.Segments, c.Segments) || again.HeadSeq != c.HeadSeq || !reflect.DeepEqual(again.unsure, c.unsure) {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
		}
		if seq, ok := seqOfKey(data); ok && !bytes.HasSuffix(entryKey("team", seq), data[len(data)-8:]) {
			t.Fatalf("%x is of seq %d", data, seq)
		}
	})
}
