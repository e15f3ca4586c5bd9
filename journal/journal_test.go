// SPDX-License-Identifier: Apache-2.0

// What was committed survives a power cut at any moment, whole; and after a failure nothing is committed.

package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/store/faultfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 2

// put fills a batch with commit n of a partition: three rows that only make sense together, and a growing log.
func put(b *store.Batch, n tidemark.Position) {
	b.Put(&record.Changes{
		Partition: record.Partition{Position: n, LastID: tidemark.EventID(n), Users: 1, Conversations: 1},
		Users:     []record.UserChange{{Ordinal: 1, ID: "alice"}},
		Heads:     []record.HeadChange{{Conversation: 1, Head: &record.Head{Seq: tidemark.Seq(n), Position: n}}},
		Events: []record.EventChange{{Conversation: 1, Event: &record.Event{
			Seq: tidemark.Seq(n), Sender: 1, Kind: record.MessageBody, Body: make([]byte, 3000*n%7919), Position: n,
		}}},
	})
}

// moment is the disk as a power cut would leave it, and what had been acknowledged by then.
type moment struct {
	before       string // the operation that was about to happen
	disk         *vfs.MemFS
	acknowledged [partitions]tidemark.Position
}

// run commits in two partitions at once, with flushes and a compaction, and returns the moments before each operation.
func run(t *testing.T) []moment {
	var mu sync.Mutex
	var moments []moment
	var acknowledged [partitions]tidemark.Position
	rng := rand.New(rand.NewPCG(1, 2))
	mem := vfs.NewCrashableMem()
	fs := faultfs.New(mem, func(op faultfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		percent := []int{0, 50, 100}[len(moments)%3] // how much of what was not synced reaches the disk all the same
		moments = append(moments, moment{
			before:       op.String(),
			acknowledged: acknowledged, // before the clone: what is acknowledged now must be in it
			disk:         mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}),
		})
		return nil
	})
	db, err := store.Open(store.Config{Dir: "data", FS: fs, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	j := NewLocal(db)
	for round := range tidemark.Position(5) {
		var wg sync.WaitGroup
		for p := range uint32(partitions) {
			wg.Go(func() {
				b := db.NewBatch(p)
				defer b.Close()
				for n := round*8 + 1; n <= round*8+8; n++ {
					b.Reset()
					put(b, n)
					if err := j.Commit(b); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					acknowledged[p] = n
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if err := db.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		if round == 3 {
			if err := db.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	moments = append(moments, moment{before: "the end", disk: mem.CrashClone(vfs.CrashCloneCfg{}), acknowledged: acknowledged})
	return moments
}

func TestPowerCutAtAnyMoment(t *testing.T) {
	moments := run(t)
	if len(moments) < 300 {
		t.Fatalf("only %d moments: the workload is too small", len(moments))
	}
	last := moments[len(moments)-1]
	if last.acknowledged != [partitions]tidemark.Position{40, 40} {
		t.Fatalf("acknowledged at the end: %v", last.acknowledged)
	}
	for _, m := range moments {
		if err := m.check(); err != nil {
			t.Errorf("power cut before %s: %v", m.before, err)
		}
	}
}

// check opens the disk of a moment: each partition must be a whole number of commits, at least the acknowledged ones.
func (m moment) check() (err error) {
	db, err := store.Open(store.Config{Dir: "data", FS: m.disk, Partitions: partitions})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for n := range uint32(partitions) {
		p := db.Partition(n)
		state, err := p.State()
		if err != nil {
			return err
		}
		if state.Position < m.acknowledged[n] {
			return fmt.Errorf("partition %d is at %d, %d was acknowledged", n, state.Position, m.acknowledged[n])
		}
		head, err := p.Head(1)
		if err != nil || head == nil && state.Position > 0 || head != nil && head.Position != state.Position {
			return fmt.Errorf("partition %d at %d has the head %+v, %v", n, state.Position, head, err)
		}
		var seqs []tidemark.Seq
		err = p.Events(1, 1, store.SeqMax, false, func(e *record.Event) bool {
			seqs = append(seqs, e.Seq)
			return true
		})
		if err != nil || len(seqs) != int(state.Position) || !slices.IsSorted(seqs) {
			return fmt.Errorf("partition %d at %d has the events %v, %v", n, state.Position, seqs, err)
		}
	}
	b := db.NewBatch(0)
	defer b.Close()
	put(b, 41)
	return NewLocal(db).Commit(b)
}

func TestStopsAfterAFailure(t *testing.T) {
	failing := false
	fs := faultfs.New(vfs.NewMem(), func(op faultfs.Op) error {
		if failing && op.What == "sync" {
			return syscall.EIO
		}
		return nil
	})
	db, err := store.Open(store.Config{Dir: "data", FS: fs, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	j := NewLocal(db)
	commit := func(n tidemark.Position) error {
		b := db.NewBatch(0)
		defer b.Close()
		put(b, n)
		return j.Commit(b)
	}
	if err := errors.Join(commit(1), j.Stopped()); err != nil {
		t.Fatal(err)
	}
	failing = true
	for n := tidemark.Position(2); n < 4; n++ {
		if err := commit(n); !errors.Is(err, ErrStopped) || !errors.Is(err, syscall.EIO) {
			t.Errorf("commit %d with a failing sync: %v", n, err)
		}
	}
	failing = false
	if err := commit(4); !errors.Is(err, ErrStopped) || !errors.Is(j.Stopped(), ErrStopped) {
		t.Errorf("after the failure: %v", err)
	}
}

func TestLowSpaceIsNoStop(t *testing.T) {
	mem := vfs.NewMem()
	db, err := store.Open(store.Config{Dir: "data", FS: mem, Partitions: partitions, ReserveBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	j := NewLocal(db)
	b := db.NewBatch(0)
	defer b.Close()
	put(b, 1)
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10, TotalBytes: 1 << 30})
	if err := j.Commit(b); !errors.Is(err, store.ErrLowSpace) || errors.Is(err, ErrStopped) {
		t.Fatalf("with little space: %v", err)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 20, TotalBytes: 1 << 30})
	if err := j.Commit(b); err != nil { // the same batch
		t.Fatalf("with space again: %v", err)
	}
	if head, err := db.Partition(0).Head(1); err != nil || head == nil || head.Seq != 1 {
		t.Errorf("head %+v, %v", head, err)
	}
}
