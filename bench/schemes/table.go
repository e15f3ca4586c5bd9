// SPDX-License-Identifier: Apache-2.0

// A table of rows over Pebble, set up as package store sets it up, that counts what it does.

package schemes

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tally is what was written: rows put or removed, the bytes of their batches, and batches, each of which is one fsync.
type tally struct{ rows, bytes, syncs uint64 }

func (t *tally) add(rows, bytes int) {
	t.rows += uint64(rows)
	t.bytes += uint64(bytes)
	t.syncs++
}

// table is what the first three designs keep their rows in.
type table struct {
	w    *world
	db   *pebble.DB
	read uint64
}

// quiet says nothing, and ends the process where Pebble must not go on.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Errorf("schemes: pebble: "+format, args...))
}

// options are those of package store, which a test compares.
func options(fs vfs.FS) *pebble.Options {
	o := &pebble.Options{
		FS: fs, FormatMajorVersion: pebble.FormatNewest, CacheSize: 256 << 20, MaxOpenFiles: 512, MemTableSize: 64 << 20,
		MemTableStopWritesThreshold: 1 << 20, L0CompactionThreshold: 2, L0StopWritesThreshold: 1 << 20,
		LBaseMaxBytes: 64 << 20, CompactionConcurrencyRange: func() (int, int) { return 1, 2 }, Logger: quiet{},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].IndexBlockSize = 128 << 10
	}
	o.Levels[len(o.Levels)-1].BlockSize = 32 << 10
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionGood })
	return o
}

func openTable(w *world) (*table, error) {
	db, err := pebble.Open(dataDir, options(w.fs()))
	if err != nil {
		return nil, fmt.Errorf("schemes: open: %w", err)
	}
	return &table{w: w, db: db}, nil
}

// commit makes a batch durable.
func (t *table) commit(b *pebble.Batch) error {
	if b.Empty() {
		return b.Close()
	}
	t.w.meter.add(int(b.Count()), b.Len())
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("schemes: commit: %w", err)
	}
	return b.Close()
}

// inBatches puts n rows, at most FanoutRows in one batch, and calls between after each batch but the last.
func (t *table) inBatches(n int, put func(b *pebble.Batch, i int) error, between func() error) error {
	for from := 0; from < n; from += t.w.cfg.FanoutRows {
		if from > 0 {
			if err := between(); err != nil {
				return err
			}
		}
		b := t.db.NewBatch()
		for i := from; i < min(n, from+t.w.cfg.FanoutRows); i++ {
			if err := put(b, i); err != nil {
				return errors.Join(err, b.Close())
			}
		}
		if err := t.commit(b); err != nil {
			return err
		}
	}
	return nil
}

// scan calls fn for the rows whose keys have a prefix, in their order.
func (t *table) scan(prefix []byte, fn func(key, value []byte) error) (err error) {
	last := bytes.Repeat([]byte{0xff}, 9) // past every id
	it, err := t.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: append(bytes.Clone(prefix), last...)})
	if err != nil {
		return fmt.Errorf("schemes: scan: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		t.read++
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("schemes: scan: %w", err)
		}
		if err := fn(it.Key(), value); err != nil {
			return err
		}
	}
	return it.Error()
}

// get is a copy of a row's value; an error if there is none.
func (t *table) get(key []byte) ([]byte, error) {
	t.read++
	value, closer, err := t.db.Get(key)
	if err != nil {
		return nil, fmt.Errorf("schemes: read %x: %w", key, err)
	}
	return append([]byte{}, value...), closer.Close()
}

// diskBytes is what the rows of a world take once everything is compacted. It looks at a copy of the disk.
func diskBytes(w *world) (bytes int, err error) {
	disk := w.disk.CrashClone(vfs.CrashCloneCfg{}) // has everything: every commit is synced
	dir := dataDir
	if w.design == OneCopyAndMarks {
		dir = disk.PathJoin(dir, storeTables)
	}
	o := options(disk)
	o.ErrorIfNotExists, o.DisableAutomaticCompactions = true, true
	db, err := pebble.Open(dir, o)
	if err != nil {
		return 0, fmt.Errorf("schemes: open: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	first, last := []byte{0}, []byte{0xff}
	for range 2 { // a table that overlaps no other is only moved down; the second time there are rows at both ends
		if err := errors.Join(db.Set(first, nil, nil), db.Set(last, nil, nil), db.Flush()); err != nil {
			return 0, fmt.Errorf("schemes: flush: %w", err)
		}
		if err := db.Compact(w.ctx, first, append(last, 0), false); err != nil {
			return 0, fmt.Errorf("schemes: compact: %w", err)
		}
	}
	total := db.Metrics().Total()
	return int(total.TablesSize), nil
}
