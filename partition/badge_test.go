// SPDX-License-Identifier: Apache-2.0

// What counting costs, and counts above a floor.

package partition

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// A badge reads nothing from the store once the marks are in memory, but the index entries of unread mentions.
func TestBadgeReadsMarksFromMemory(t *testing.T) {
	const conversations = 200
	w := newWorld(t, nil)
	w.users("alice", "bob")
	for i := range conversations {
		id := tidemark.ConversationID(fmt.Sprint("g", i))
		w.group(id, "alice", "bob")
		w.do(w.text("alice", id, "hello"))
	}
	want := Badge{Unread: conversations, Conversations: conversations}
	reads := func() uint64 {
		t.Helper()
		before := w.db.Metrics().RowsRead
		if got, err := w.set.Badge("bob"); err != nil || got != want {
			t.Fatalf("%+v (%v), want %+v", got, err, want)
		}
		return w.db.Metrics().RowsRead - before
	}
	reads()
	if rows := reads(); rows != 0 {
		t.Errorf("%d rows are read with all marks in memory", rows)
	}
	for i := range 3 {
		m := w.text("alice", tidemark.ConversationID(fmt.Sprint("g", i)), "bob!")
		m.Message = &wire.Message{Text: "bob!", Mentions: []string{"bob"}}
		w.do(m)
		want.Unread++
		want.Mentions++
	}
	if rows := reads(); rows != 3 {
		t.Errorf("%d rows are read for 3 unread mentions", rows)
	}
	w.close()
	w.open(nil)
	if rows := reads(); rows > 4*conversations+100 {
		t.Errorf("%d rows are read for %d conversations after a start", rows, conversations)
	}
}

func TestUnreadAboveTheFloor(t *testing.T) {
	recalls := []tidemark.Seq{3, 6, 9}
	head := record.Head{Seq: 10, Counted: 9, Recalled: 3} // event 1 does not count, the others do
	for _, x := range []struct{ read, floor, unread uint64 }{
		{1, 0, 6}, {3, 0, 5}, {6, 0, 3}, {10, 0, 0}, {1, 3, 5}, {6, 3, 3}, {3, 6, 3}, {1, 10, 0}, {8, 10, 0}, {1, 8, 1},
	} {
		h := head
		h.Floor, h.FloorCounted = tidemark.Seq(x.floor), max(x.floor, 1)-1
		m := record.Member{JoinedSeq: 1, ReadSeq: tidemark.Seq(x.read), ReadCounted: x.read - 1}
		if got := unread(&h, &m, recalls); got != x.unread {
			t.Errorf("read up to %d, kept from %d: %d unread, want %d", x.read, x.floor+1, got, x.unread)
		}
	}
}
