// SPDX-License-Identifier: Apache-2.0

// Crashes between the parts of a commit: there is nothing between them.

package partition

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store/faultfs"
)

// A1: the counter and the message are one write. Whatever a crash at any operation of the disk leaves, the head counts
// exactly the events that are there, each event's client id is remembered, and none lies past the head.
func TestA1CrashBetweenCounterAndMessage(t *testing.T) {
	crashes, fs := faultfs.NewCrashes[struct{}](2, nil)
	w := &world{TB: t, fs: fs, now: 1_700_000_000_000}
	w.open(nil)
	w.users("alice", "bob")
	w.group("team", "alice", "bob")
	crashes.Watch(true)
	for i := range 40 {
		for range 1 + i%3 {
			w.must(w.set.Submit(t.Context(), w.text("alice", "team", fmt.Sprint(i)), nil))
		}
		w.step()
	}
	crashes.Watch(false)
	w.close()
	taken := crashes.Taken()
	if len(taken) < 40 {
		t.Fatalf("there were only %d moments to crash at", len(taken))
	}
	heads := map[tidemark.Seq]bool{}
	for _, crash := range taken {
		after := &world{TB: t, fs: crash.FS, now: w.now}
		after.open(nil)
		heads[after.whole("team")] = true
		after.close()
	}
	if len(heads) < 10 {
		t.Errorf("the crashes left only %d different heads", len(heads))
	}
}

// whole fails unless the head of a conversation counts exactly what is stored, and answers it.
func (w *world) whole(id tidemark.ConversationID) tidemark.Seq {
	w.Helper()
	p := w.set.Of(id)
	info, err := p.Info(id)
	w.must(err)
	head, err := p.Head(info.Ordinal)
	w.must(err)
	seq, counted := tidemark.Seq(0), uint64(0)
	err = p.db.Events(info.Ordinal, 1, head.Seq+100, false, func(e *record.Event) bool {
		seq++
		if e.IsCounted {
			counted++
		}
		if e.Seq != seq || e.Counted != counted {
			w.Errorf("event %d, counted %d, stands where event %d, counted %d, should", e.Seq, e.Counted, seq, counted)
		}
		if e.ClientID != "" {
			found, err := p.db.ByClientID(info.Ordinal, e.Sender, e.ClientID)
			if w.must(err); found != e.Seq {
				w.Errorf("the client id of event %d is remembered as of event %d", e.Seq, found)
			}
		}
		return true
	})
	w.must(err)
	if seq != head.Seq || counted != head.Counted {
		w.Errorf("the head says %d events, %d counted; there are %d, %d", head.Seq, head.Counted, seq, counted)
	}
	return head.Seq
}
