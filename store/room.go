// SPDX-License-Identifier: Apache-2.0

// Back-pressure: commits wait while flushes and compactions are too far behind. Pebble would make them wait inside,
// holding its locks, with no way out when the disk has failed or the store is to be closed; here they can leave.

package store

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

const (
	unflushedMax      = 3  // more than so many tables' bytes in memory hold commits back
	level0SublevelMax = 32 // as many overlapping layers of new tables hold commits back
	neverInPebble     = 1 << 20
)

// room knows whether a commit may go on. Safe for concurrent use.
type room struct {
	unflushedBytesMax uint64
	rotated           atomic.Bool                   // the log was rotated since somebody looked
	moved             atomic.Pointer[chan struct{}] // closed and replaced when a flush or compaction ends
}

func newRoom(memTableBytes uint64) *room {
	r := &room{unflushedBytesMax: unflushedMax * memTableBytes}
	ch := make(chan struct{})
	r.moved.Store(&ch)
	return r
}

// listen adds to a listener what tells about flushes and compactions. Pebble calls it with its locks held.
func (r *room) listen(l *pebble.EventListener) {
	wake := func() {
		ch := make(chan struct{})
		close(*r.moved.Swap(&ch))
	}
	l.WALCreated = func(pebble.WALCreateInfo) { r.rotated.Store(true) }
	l.FlushEnd = func(pebble.FlushInfo) { r.rotated.Store(true); wake() }
	l.CompactionEnd = func(pebble.CompactionInfo) { wake() }
}

// waitForRoom returns when flushes and compactions have caught up, or the store fails, runs out of space or ends.
func (db *DB) waitForRoom() error {
	if !db.room.rotated.Swap(false) {
		return nil // nothing can be full that was not when the last commit looked
	}
	for told := false; ; told = true {
		moved := *db.room.moved.Load()
		if db.fs.held.Load() > 0 { // nobody knows how full it is
			db.room.rotated.Store(true)
			return db.tablesWait()
		}
		m := db.measure()
		if m.MemTable.Size <= db.room.unflushedBytesMax && m.Levels[0].Sublevels < level0SublevelMax {
			if told {
				db.log.Info("commits go on")
			}
			return nil
		}
		db.room.rotated.Store(true) // others look, too
		if db.fs.waiting.Load() > 0 {
			return db.tablesWait()
		}
		if !told {
			db.log.Warn("commits wait for the disk to catch up", "unflushedBytes", m.MemTable.Size, "sublevels", m.Levels[0].Sublevels)
		}
		select {
		case <-moved:
		case <-db.fs.changed:
		case <-db.failure.failed:
			return db.Failed()
		case <-db.failure.ended:
			return fmt.Errorf("store: commit: %w", pebble.ErrClosed)
		}
	}
}

func (db *DB) tablesWait() error {
	return fmt.Errorf("store: %w: tables wait for room on the disk of %s; free some or enlarge the disk", ErrLowSpace, db.dir)
}
