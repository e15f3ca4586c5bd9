// SPDX-License-Identifier: Apache-2.0

// Very many conversations in use: memory stays within its bounds, and what is hot is served without the store.

package partition

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// A1: the hot tail is served from memory; 100,000 conversations stay open with bounded memory and files.
func TestA1HotTailOfManyConversations(t *testing.T) {
	const conversations, growthMax, filesMax = 100_000, 12 << 20, 64 // growth: bytes of the second half
	w := onDisk(t)
	w.users("alice", "bob")
	w.must(w.set.Subscribe("bob", &counter{})) // so that there are tails
	filesBefore, half := openFiles(t), uint64(0)
	name := func(i int) tidemark.ConversationID { return tidemark.ConversationID(fmt.Sprint("g", i)) }
	for i := range conversations {
		w.must(w.set.Submit(t.Context(), &core.Create{
			Actor: core.Actor{App: true}, Conversation: name(i), Kind: record.Group, Owner: "alice",
			Members: []tidemark.UserID{"bob"},
		}, nil))
		w.must(w.set.Submit(t.Context(), w.text("alice", name(i), "hello"), nil))
		if i%1000 == 999 {
			w.step()
		}
		if i == conversations/2 {
			half = heap()
		}
	}
	for n := range w.set.Partitions() {
		p := w.set.At(n)
		if s := p.Stats(); s.TailBytes > 2<<20 || s.Tails == 0 {
			t.Errorf("partition %d keeps %d tails of %d bytes", n, s.Tails, s.TailBytes)
		}
	}
	if now := heap(); now > half+growthMax {
		t.Errorf("the second half of %d conversations holds %d MiB, at most %d are allowed", conversations, (now-half)>>20, growthMax>>20)
	}
	if files := openFiles(t) - filesBefore; files > filesMax {
		t.Errorf("%d conversations hold %d files open, at most %d are allowed", conversations, files, filesMax)
	}

	hot := name(conversations - 1)
	p := w.set.Of(hot)
	info, err := p.Info(hot)
	w.must(err)
	_, err = p.Log(info.Ordinal, 1, 2, 10, 1<<20) // in use from here on
	w.must(err)
	misses := p.Stats().CacheMisses
	entries, err := p.Log(info.Ordinal, 1, 2, 10, 1<<20)
	w.must(err)
	if len(entries) != 2 || p.Stats().CacheMisses != misses {
		t.Errorf("the hot tail has %d events, read with %d look-ups in the store, want 2 with none", len(entries), p.Stats().CacheMisses-misses)
	}
	for i := 0; i < conversations; i += 9973 { // the cold ones are all there
		page, err := w.set.Fetch("alice", &wire.Fetch{Conversation: string(name(i)), From: &wire.Fetch_Latest{Latest: true}})
		w.must(err)
		if page.GetHeadSeq() != 2 || len(page.GetEvents()) != 2 {
			t.Errorf("conversation %d has %d events", i, len(page.GetEvents()))
		}
	}
}

// onDisk is a world whose store is in real files and may hold alice in as many conversations as the test needs.
func onDisk(t *testing.T) *world {
	w := &world{TB: t, now: 1_700_000_000_000}
	db, err := store.Open(store.Config{Dir: t.TempDir() + "/data", Partitions: 4, NowMs: w.clock})
	w.must(err)
	set, err := Open(Config{
		DB: db, Journal: journal.NewLocal(db), NowMs: w.clock, Entropy: zeros{},
		Limits: tidemark.Limits{ConversationsMax: 1_000_000},
		Cache:  CacheLimits{Conversations: 2048, Members: 4096, TailBytes: 2 << 20}, // so small that they are full early
	})
	w.must(err)
	w.db, w.set = db, set
	t.Cleanup(w.close)
	return w
}

// zeros is entropy that says nothing.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("open files cannot be counted here: ", err)
	}
	return len(entries)
}
