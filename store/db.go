// SPDX-License-Identifier: Apache-2.0

// DB: an open data directory. Commits are synced; a write that fails stops all writing (failure.go, stopfs.go).

package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
)

// DB is an open data directory. Its methods are safe for concurrent use; Close comes after all others have returned.
type DB struct {
	meta       Meta
	dir        string
	given      vfs.FS // as configured; nil: the disk
	log        *slog.Logger
	readOnly   bool
	fs         *stopFS
	failure    *failure
	space      *spaceWatch
	room       *room
	reached    *reached
	reclaim    *reclaim
	pebble     *pebble.DB
	figures    atomic.Pointer[pebble.Metrics] // as last taken
	partitions []*Partition
	lock       io.Closer
	copying    sync.Mutex // held while a backup is made; before everything else
}

// Meta says what the directory is.
func (db *DB) Meta() Meta { return db.meta }

// Partition reads partition n, which must be less than Meta().Partitions.
func (db *DB) Partition(n uint32) *Partition {
	db.checkPartition(n)
	return db.partitions[n]
}

func (db *DB) checkPartition(n uint32) {
	if n >= db.meta.Partitions {
		panic(fmt.Sprintf("store: partition %d of %d", n, db.meta.Partitions))
	}
}

// ErrReadOnly is returned by commits to a store that was opened read-only.
var ErrReadOnly = errors.New("opened read-only")

// Commit makes a batch durable and visible, all of it or nothing. When it returns nil, the batch survives any crash.
//
// With [ErrLowSpace] nothing was written and a later commit may succeed. Any other error is final: see [DB.Failed];
// whether the batch was stored shows after the store was opened again.
func (db *DB) Commit(b *Batch) error {
	if err := db.writable(); err != nil {
		return err
	}
	if err := db.space.check(); err != nil {
		return err
	}
	position, moved := b.state.Position, b.stateSet
	if err := b.seal(); err != nil {
		return db.failure.fail(err)
	}
	if b.pb.Empty() {
		return nil
	}
	if err := db.waitForRoom(); err != nil {
		return err
	}
	// Apply and wait are apart because a failed sync is then an error here, and not Pebble's to end the process over.
	if err := db.pebble.ApplyNoSyncWait(b.pb, pebble.Sync); err != nil {
		return db.failure.fail(fmt.Errorf("store: commit: %w", err))
	}
	if err := b.pb.SyncWait(); err != nil {
		return db.failure.fail(fmt.Errorf("store: commit: %w", err))
	}
	if err := db.Failed(); err != nil { // set before the sync returned, if the write or the sync behind it failed
		return err
	}
	if moved {
		db.reached.committed(b.partition, position)
	}
	if len(b.trims) > 0 {
		db.reclaim.trimmed(b)
	}
	return nil
}

// Failed is nil, or why nothing is written any more: the first write, sync or check of the disk that failed. It stays
// until the directory is opened again; what was committed can still be read.
func (db *DB) Failed() error { return db.failure.err() }

// LowSpace is nil, or says how little disk is free, while commits are refused for it. It looks at the disk.
func (db *DB) LowSpace() error { return db.space.check() }

// Epoch of the data directory.
func (db *DB) Epoch() tidemark.Epoch { return db.meta.Epoch }

// Close ends all work and releases the directory. No read may be running; a backup that is being made comes to nothing.
func (db *DB) Close() error {
	db.fs.leaving.Store(true)
	db.copying.Lock()
	defer db.copying.Unlock()
	if db.writable() == nil {
		db.reached.close()
	}
	db.failure.closing()
	err := db.pebble.Close()
	if db.Failed() != nil {
		err = nil // it was reported, and what Pebble could not finish is done when it is opened again
	}
	if err = errors.Join(err, db.lock.Close()); err != nil {
		return fmt.Errorf("store: close %s: %w", db.dir, err)
	}
	return nil
}

// Metrics are figures of a store's work since it was opened.
type Metrics struct {
	DiskBytes         uint64 // of tables and logs
	WALBytes          uint64 // of them in the write-ahead log
	MemTableBytes     uint64
	CacheBytes        int64
	CacheHits         int64
	CacheMisses       int64
	Tables            int64
	OpenTables        int64
	ReadAmplification int
	Compactions       int64
	RowsRead          uint64 // by partitions, one by one or in ranges; looking for one that is not there counts
	FreeBytes         uint64 // of the disk, for us; 0: not known
}

// measure takes Pebble's figures. While the manifest waits for room on the disk, and Pebble's figures for the manifest,
// the last ones must do.
func (db *DB) measure() *pebble.Metrics {
	if last := db.figures.Load(); last != nil && db.fs.held.Load() > 0 {
		return last
	}
	m := db.pebble.Metrics()
	db.figures.Store(m)
	return m
}

// Metrics takes the figures; it costs some microseconds.
func (db *DB) Metrics() Metrics {
	m := db.measure()
	total := m.Total()
	out := Metrics{
		DiskBytes: m.DiskSpaceUsage(), WALBytes: m.WAL.PhysicalSize, MemTableBytes: m.MemTable.Size,
		CacheBytes: m.BlockCache.Size, CacheHits: m.BlockCache.Hits, CacheMisses: m.BlockCache.Misses,
		Tables: total.TablesCount, OpenTables: m.TableIters, ReadAmplification: m.ReadAmp(), Compactions: m.Compact.Count,
	}
	for _, p := range db.partitions {
		out.RowsRead += p.rowsRead.Load()
	}
	if free, err := db.space.free(); err == nil {
		out.FreeBytes = free
	}
	return out
}
