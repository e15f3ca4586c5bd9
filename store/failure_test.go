// SPDX-License-Identifier: Apache-2.0

// A disk that fails: whichever operation it is, nothing acknowledged is lost, the process lives, reads go on.

package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store/faultfs"
)

// appendOne is the commit that appends event seq to conversation 1 of a partition, with a body of some bytes.
func appendOne(seq tidemark.Seq, bodyBytes int) *record.Changes {
	e := testEvent(seq, 0)
	e.Position, e.Body = tidemark.Position(seq), make([]byte, bodyBytes)
	for i := range e.Body {
		e.Body[i] = byte(uint64(i) * uint64(seq) * 2654435761 >> 7) // does not compress
	}
	e.ClientID = tidemark.ClientID(fmt.Sprint(seq))
	return &record.Changes{
		Partition: record.Partition{Position: e.Position, Users: 1, Conversations: 1},
		Users:     []record.UserChange{{Ordinal: 1, ID: "alice"}},
		Heads:     []record.HeadChange{{Conversation: 1, Head: &record.Head{Seq: seq, Position: e.Position}}},
		Events:    []record.EventChange{{Conversation: 1, Event: e}},
	}
}

// appendEvents commits events from..to one by one and returns the last that was acknowledged, and the error of the
// one that was not.
func appendEvents(db *DB, from, to tidemark.Seq, bodyBytes int) (acknowledged tidemark.Seq, err error) {
	b := db.NewBatch(0)
	defer b.Close()
	for seq := from; seq <= to; seq++ {
		b.Reset()
		b.Put(appendOne(seq, bodyBytes))
		if err := db.Commit(b); err != nil {
			return seq - 1, err
		}
	}
	return to, nil
}

// checkEventsTo fails unless conversation 1 has at least the events 1..acknowledged, densely, and its head agrees.
func checkEventsTo(t *testing.T, db *DB, acknowledged tidemark.Seq) (head tidemark.Seq) {
	t.Helper()
	p := db.Partition(0)
	h, err := p.Head(1)
	if err != nil {
		t.Fatal(err)
	}
	if h != nil {
		head = h.Seq
	}
	var last tidemark.Seq
	err = p.Events(1, 1, SeqMax, false, func(e *record.Event) bool {
		if e.Seq != last+1 {
			t.Fatalf("after event %d comes %d", last, e.Seq)
		}
		last = e.Seq
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != head || last < acknowledged {
		t.Fatalf("events to %d were acknowledged, the head is %d and the last event %d", acknowledged, head, last)
	}
	return head
}

// closeSoon fails if Close does not come back.
func closeSoon(t *testing.T, db *DB) {
	t.Helper()
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	select {
	case err := <-closed:
		if err != nil && db.Failed() == nil {
			t.Errorf("close: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Close hangs")
	}
}

// appendWaiting appends like one who comes again while the disk is full.
func appendWaiting(db *DB, from, to tidemark.Seq, bodyBytes int) (acknowledged tidemark.Seq, err error) {
	acknowledged = from - 1
	for range 5000 {
		if acknowledged, err = appendEvents(db, acknowledged+1, to, bodyBytes); !errors.Is(err, ErrLowSpace) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return acknowledged, err
}

// workload opens, appends, flushes, appends, compacts and appends; it returns what was acknowledged and, if it came
// that far, the open store.
func workload(cfg Config) (db *DB, acknowledged tidemark.Seq, err error) {
	db, err = Open(cfg)
	if err != nil {
		return nil, 0, err
	}
	for round := range tidemark.Seq(4) {
		if acknowledged, err = appendWaiting(db, round*5+1, round*5+5, 1000); err != nil {
			return db, acknowledged, err
		}
		if err = db.Flush(context.Background()); err != nil {
			return db, acknowledged, err
		}
	}
	if err = db.Compact(context.Background()); err != nil {
		return db, acknowledged, err
	}
	acknowledged, err = appendWaiting(db, 21, 25, 1000)
	return db, acknowledged, err
}

func TestAnyOperationFails(t *testing.T) {
	for _, fault := range []struct {
		name    string
		err     error
		forever bool
	}{
		{"an error once", syscall.EIO, false},
		{"an error for ever", syscall.EIO, true},
		{"a full disk for a moment", syscall.ENOSPC, false},
	} {
		t.Run(fault.name, func(t *testing.T) {
			for n, last := int64(1), int64(1); n <= last; n++ {
				ops := failAt(t, n, fault.err, fault.forever)
				last = max(last, min(ops, 400))
			}
		})
	}
}

// failAt runs the workload with operation n failing and returns how many operations there were.
func failAt(t *testing.T, n int64, fault error, forever bool) int64 {
	t.Helper()
	mem := vfs.NewCrashableMem()
	var failed atomic.Pointer[faultfs.Op]
	healthy := atomic.Bool{}
	fs := faultfs.New(mem, func(op faultfs.Op) error {
		if !healthy.Load() && (op.N == n || forever && op.N > n) && op.What != "remove" {
			failed.CompareAndSwap(nil, &op)
			return fault
		}
		return nil
	})
	cfg := Config{Dir: "data", FS: fs, Partitions: 1, spaceRetry: time.Millisecond}
	db, acknowledged, err := workload(cfg)
	what := "no operation failed"
	if op := failed.Load(); op != nil {
		what = op.String()
	}
	if err != nil && failed.Load() == nil {
		t.Fatalf("%s, but %v", what, err)
	}
	if db != nil {
		if err != nil {
			checkFailed(t, db, what, acknowledged)
		}
		closeSoon(t, db)
	}
	healthy.Store(true)
	for name, disk := range map[string]vfs.FS{"restart": fs, "power cut": mem.CrashClone(vfs.CrashCloneCfg{})} {
		cfg.FS = disk
		db, err := Open(cfg)
		if err != nil {
			t.Fatalf("%s: after a %s: %v", what, name, err)
		}
		head := checkEventsTo(t, db, acknowledged)
		if _, err := appendEvents(db, head+1, head+1, 10); err != nil {
			t.Fatalf("%s: after a %s: %v", what, name, err)
		}
		closeSoon(t, db)
	}
	return fs.Ops()
}

// checkFailed fails unless the store has stopped writing and still reads.
func checkFailed(t *testing.T, db *DB, what string, acknowledged tidemark.Seq) {
	t.Helper()
	if db.Failed() == nil {
		t.Fatalf("%s: the commit failed, the store did not", what)
	}
	if _, err := appendEvents(db, acknowledged+1, acknowledged+1, 10); !errors.Is(err, db.Failed()) {
		t.Fatalf("%s: a commit after the failure: %v", what, err)
	}
	if e, err := db.Partition(0).Event(1, acknowledged); acknowledged > 0 && (err != nil || e == nil) {
		t.Fatalf("%s: event %d after the failure: %v, %v", what, acknowledged, e, err)
	}
}

// Pebble holds the lock on its versions while it writes its manifest. A manifest that waited for the end would hold up
// everybody who asks for metrics, and with them the commits.
func TestFailedManifestHoldsNobodyUp(t *testing.T) {
	var broken atomic.Bool
	fs := faultfs.New(vfs.NewMem(), func(op faultfs.Op) error {
		if broken.Load() && op.What == "sync" && strings.Contains(op.Name, "MANIFEST") {
			return syscall.EIO
		}
		return nil
	})
	db := open(t, Config{Dir: "data", FS: fs, Partitions: 1})
	if _, err := appendEvents(db, 1, 10, 100); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if err := db.Flush(context.Background()); !errors.Is(err, syscall.EIO) {
		t.Fatalf("flush: %v", err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		db.Metrics()
	}()
	select {
	case <-answered:
	case <-time.After(20 * time.Second):
		t.Fatal("metrics hang")
	}
	checkFailed(t, db, "a failed sync of the manifest", 10)
	closeSoon(t, db)
}

func TestFailedStoreDoesNotSpin(t *testing.T) {
	var broken atomic.Bool
	var ops atomic.Int64
	fs := faultfs.New(vfs.NewMem(), func(op faultfs.Op) error {
		if broken.Load() {
			ops.Add(1)
			return syscall.EIO
		}
		return nil
	})
	db := open(t, Config{Dir: "data", FS: fs, Partitions: 1})
	if _, err := appendEvents(db, 1, 10, 100); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if err := db.Flush(context.Background()); !errors.Is(err, syscall.EIO) {
		t.Fatalf("flush: %v", err)
	}
	before := ops.Load()
	for range 50 {
		if _, err := appendEvents(db, 11, 11, 10_000); !errors.Is(err, syscall.EIO) {
			t.Fatalf("commit: %v", err)
		}
	}
	if n := ops.Load() - before; n > 10 {
		t.Errorf("%d operations were tried after the failure", n)
	}
	checkEventsTo(t, db, 10)
	closeSoon(t, db)
}

func TestTablesWaitForRoom(t *testing.T) {
	var full atomic.Bool
	fs := faultfs.New(vfs.NewMem(), func(op faultfs.Op) error {
		if full.Load() && op.What == "write" && strings.HasSuffix(op.Name, ".sst") {
			return syscall.ENOSPC
		}
		return nil
	})
	db := open(t, Config{Dir: "data", FS: fs, Partitions: 1, spaceRetry: time.Millisecond, memTableBytes: 1 << 20})
	defer closeSoon(t, db)
	full.Store(true)
	var acknowledged tidemark.Seq
	var err error
	for err == nil && acknowledged < 500 { // 20 KB each: more than the tables in memory hold
		acknowledged, err = appendEvents(db, acknowledged+1, acknowledged+1, 20_000)
	}
	if !errors.Is(err, ErrLowSpace) {
		t.Fatalf("%d commits, then %v", acknowledged, err)
	}
	if db.Failed() != nil {
		t.Fatalf("a table that can wait stopped the store: %v", db.Failed())
	}
	full.Store(false)
	deadline := time.Now().Add(20 * time.Second)
	for err != nil && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
		_, err = appendEvents(db, acknowledged+1, acknowledged+1, 10)
	}
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	checkEventsTo(t, db, acknowledged+1)
}

func TestRefusesBelowTheReserve(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 40})
	db := open(t, Config{Dir: "data", FS: mem, Partitions: 1, ReserveBytes: 1000})
	defer closeSoon(t, db)
	for _, step := range []struct {
		free    uint64
		refused bool
	}{{1000, false}, {999, true}, {1000, true}, {1099, true}, {1100, false}, {1000, false}} {
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: step.free, TotalBytes: 1 << 40})
		_, err := appendEvents(db, 1, 1, 10)
		if errors.Is(err, ErrLowSpace) != step.refused || (err == nil) == step.refused {
			t.Errorf("with %d bytes free: %v", step.free, err)
		}
		if (db.LowSpace() != nil) != step.refused {
			t.Errorf("with %d bytes free: LowSpace is %v", step.free, db.LowSpace())
		}
	}
	if db.Failed() != nil {
		t.Error(db.Failed())
	}
}
