// SPDX-License-Identifier: Apache-2.0

// Compactions keep up: what had to wait is started.

package store

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
)

// waitingDB is a database for which some compactions wait.
type waitingDB struct {
	allowed, waiting, scheduled int
	refuse                      int // so many times Schedule declines
}

func (d *waitingDB) GetAllowedWithoutPermission() int { return d.allowed }
func (d *waitingDB) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	return d.waiting > 0, pebble.WaitingCompaction{}
}

func (d *waitingDB) Schedule(pebble.CompactionGrantHandle) bool {
	if d.refuse > 0 {
		d.refuse--
		return false
	}
	d.waiting--
	d.scheduled++
	return true
}

func TestWhatWaitedIsStarted(t *testing.T) {
	db := &waitingDB{allowed: 1}
	c := &compactions{failure: newFailure(discard())}
	c.Register(1, db)
	if ok, _ := c.TrySchedule(); !ok {
		t.Fatal("the first may not run")
	}
	if ok, _ := c.TrySchedule(); ok {
		t.Fatal("the second may run, only one is allowed")
	}
	db.waiting, db.allowed, db.refuse = 3, 2, 1
	c.Done()
	if db.scheduled != 2 || c.running != 2 {
		t.Errorf("%d of 3 that waited were started, %d run, 2 are allowed", db.scheduled, c.running)
	}
	c.Done()
	c.Done()
	c.Done()
	if db.scheduled != 3 || c.running != 0 {
		t.Errorf("%d of 3 that waited were started, %d run", db.scheduled, c.running)
	}
	_ = c.failure.fail(context.Canceled)
	if ok, _ := c.TrySchedule(); ok {
		t.Error("one may run after a failure")
	}
	c.Unregister()
}

// TestCompactionsKeepUp writes while tables are flushed and compacted, and then wants everything in one level.
func TestCompactionsKeepUp(t *testing.T) {
	db := open(t, Config{Dir: "data", FS: vfs.NewMem(), Partitions: 1})
	defer closeSoon(t, db)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for seq := tidemark.Seq(0); seq < 300; seq += 3 {
		if _, err := appendEvents(db, seq+1, seq+3, 2_000); err != nil {
			t.Fatal(err)
		}
		if err := db.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	if m := db.pebble.Metrics(); m.Levels[0].TablesCount != 0 || m.Levels[6].TablesCount == 0 {
		t.Errorf("after a compaction there are %d tables at the top and %d at the bottom", m.Levels[0].TablesCount, m.Levels[6].TablesCount)
	}
	checkEventsTo(t, db, 300)
}
