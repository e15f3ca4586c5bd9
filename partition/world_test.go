// SPDX-License-Identifier: Apache-2.0

// A world for the tests of this package: a store in memory, a clock that is set by hand, partitions stepped from the
// test's own goroutine.

package partition

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type world struct {
	testing.TB
	fs  vfs.FS
	db  *store.DB
	set *Set
	now uint64
	ids int

	other tidemark.ConversationID // see describe
}

// newWorld opens a new store. change may adjust the configuration.
func newWorld(tb testing.TB, change func(*Config)) *world {
	tb.Helper()
	w := &world{TB: tb, fs: vfs.NewMem(), now: 1_700_000_000_000}
	w.open(change)
	tb.Cleanup(func() { w.close() })
	return w
}

func (w *world) open(change func(*Config)) {
	w.Helper()
	db, err := store.Open(store.Config{Dir: "data", FS: w.fs, Partitions: 4, NowMs: w.clock})
	w.must(err)
	cfg := Config{DB: db, Journal: journal.NewLocal(db), NowMs: w.clock, Entropy: rand.NewChaCha8([32]byte{})}
	cfg.QueueMax = 4096 // tests queue as much as they like before they step
	if change != nil {
		change(&cfg)
	}
	set, err := Open(cfg)
	w.must(err)
	w.db, w.set = db, set
}

func (w *world) close() {
	if w.db != nil {
		for _, p := range w.set.partitions {
			p.batch.Close()
			p.end()
		}
		w.must(w.db.Close())
		w.db = nil
	}
}

func (w *world) clock() uint64 { return w.now }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// step carries out everything that is queued.
func (w *world) step() {
	for did := true; did; {
		did = false
		for _, p := range w.set.partitions {
			did = p.Step(w.now) || did
		}
	}
}

// try carries out one command and answers its reply, refused or not.
func (w *world) try(cmd core.Command) core.Reply {
	w.Helper()
	var got *core.Reply
	w.must(w.set.Submit(w.Context(), cmd, func(r core.Reply) { got = &r }))
	w.step()
	if got == nil {
		w.Fatalf("%T was not answered", cmd)
	}
	return *got
}

// do is try that must not be refused.
func (w *world) do(cmd core.Command) core.Reply {
	w.Helper()
	r := w.try(cmd)
	if r.Err != nil {
		w.Fatalf("%T: %v", cmd, r.Err)
	}
	return r
}

func (w *world) users(ids ...tidemark.UserID) {
	w.Helper()
	for _, id := range ids {
		w.do(&core.UpsertUser{User: id, Nickname: string(id)})
	}
}

func (w *world) group(id tidemark.ConversationID, members ...tidemark.UserID) *record.Info {
	w.Helper()
	w.do(&core.Create{Actor: core.Actor{App: true}, Conversation: id, Kind: record.Group, Members: members})
	info, err := w.set.Of(id).Info(id)
	w.must(err)
	return info
}

// text is a command that sends a message with a client id of its own.
func (w *world) text(from tidemark.UserID, to tidemark.ConversationID, text string) *core.Submit {
	w.ids++
	return &core.Submit{
		Actor: core.Actor{User: from}, Conversation: to, ClientID: tidemark.ClientID(fmt.Sprint("c", w.ids)),
		Message: &wire.Message{Type: "text", Text: text},
	}
}
