// SPDX-License-Identifier: Apache-2.0

// Which compactions may start: as many as Pebble thinks right, and none after a failure, since a compaction that
// fails is started again at once.

package store

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// compactions implements pebble.CompactionScheduler for one database, without a goroutine of its own: what has to wait
// is started when a running compaction ends.
type compactions struct {
	failure  *failure
	granting sync.Mutex // held while a compaction that waited is started; taken before mu and Pebble's own locks

	mu      sync.Mutex             // Pebble holds its own locks when it takes this one
	db      pebble.DBForCompaction // nil: not registered
	running int
}

// Register implements pebble.CompactionScheduler.
func (c *compactions) Register(_ int, db pebble.DBForCompaction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.db = db
}

// Unregister implements pebble.CompactionScheduler.
func (c *compactions) Unregister() {
	c.mu.Lock()
	c.db = nil
	c.mu.Unlock()
	c.granting.Lock() // until nobody asks the database any more
	defer c.granting.Unlock()
}

// TrySchedule implements pebble.CompactionScheduler. Once it has said no, Pebble waits to be told (Done does).
func (c *compactions) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	return c.reserve(), c
}

// reserve takes a place for one more compaction, if there is one.
func (c *compactions) reserve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db == nil || c.failure.err() != nil || c.running >= c.db.GetAllowedWithoutPermission() {
		return false
	}
	c.running++
	return true
}

// release gives a place back and returns the database that may want it.
func (c *compactions) release() pebble.DBForCompaction {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	return c.db
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler. If something waits, something runs, and Done
// will see the new number.
func (c *compactions) UpdateGetAllowedWithoutPermission() {}

// Started implements pebble.CompactionGrantHandle.
func (c *compactions) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (c *compactions) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (c *compactions) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle: it starts what waits for the place.
func (c *compactions) Done() {
	c.granting.Lock()
	defer c.granting.Unlock()
	for db := c.release(); db != nil; db = c.release() {
		for {
			if waiting, _ := db.GetWaitingCompaction(); !waiting || !c.reserve() {
				return
			}
			if !db.Schedule(c) {
				break // it changed its mind: give the place back, and ask again who came in between
			}
		}
	}
}
