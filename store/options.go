// SPDX-License-Identifier: Apache-2.0

// How Pebble is set up.

package store

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

const (
	openFilesMax      = 512 // connections need the rest of the process's files
	filterBitsPerKey  = 10
	blockBytes        = 16 << 10
	lowestBlockBytes  = 32 << 10 // of the lowest level, which holds most and is compressed best: 2 % less disk than with 16 KiB
	indexBlockBytes   = 128 << 10
	level0Compact     = 2
	levelBaseBytes    = 64 << 20
	compactionsAtOnce = 2

	// memTablesInCache are the tables in memory that Pebble takes off the size of its cache: the one that is written to, and
	// one that is flushed or kept for use again.
	memTablesInCache = 2
)

// pebbleOptions are the options of the database below db.
func (cfg Config) pebbleOptions(db *DB, fresh bool) *pebble.Options {
	o := &pebble.Options{
		FS:                          db.fs,
		FormatMajorVersion:          pebble.FormatNewest,
		ReadOnly:                    cfg.ReadOnly,
		ErrorIfExists:               fresh,
		ErrorIfNotExists:            !fresh,
		CacheSize:                   cfg.CacheBytes + memTablesInCache*int64(cfg.memTableBytes),
		MaxOpenFiles:                openFilesMax,
		MemTableSize:                cfg.memTableBytes,
		MemTableStopWritesThreshold: neverInPebble, // see room.go
		L0CompactionThreshold:       level0Compact,
		L0StopWritesThreshold:       neverInPebble,
		LBaseMaxBytes:               levelBaseBytes,
		CompactionConcurrencyRange:  func() (int, int) { return 1, compactionsAtOnce },
		Logger:                      pebbleLogger{log: cfg.Log, failure: db.failure},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { db.failure.background(err) },
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				_ = db.failure.fail(fmt.Errorf("store: %w: keep a copy of the directory, and restore it from a backup: %w", ErrDamaged, readable(i.Details)))
			},
		},
	}
	db.room.listen(o.EventListener)
	o.Experimental.CompactionScheduler = &compactions{failure: db.failure}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBitsPerKey)
		o.Levels[i].BlockSize = blockBytes
		o.Levels[i].IndexBlockSize = indexBlockBytes
	}
	o.Levels[len(o.Levels)-1].BlockSize = lowestBlockBytes
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionGood })
	return o
}

// pebbleLogger passes Pebble's own words on. It makes of a fatal error a stop of all writing.
type pebbleLogger struct {
	log     *slog.Logger
	failure *failure
}

func (l pebbleLogger) Infof(format string, args ...any) {
	l.log.Debug("pebble", "text", fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Warn("pebble", "text", fmt.Sprintf(format, args...))
}

// Fatalf must not return where Pebble's state is in doubt. What a disk can do wrong does not come here (stopFS sees to
// it) but while opening, where Pebble goes on to return the error, and while closing a store that has failed.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("store: pebble: "+format, args...)
	if l.failure.fatalMayReturn() {
		l.log.Error("pebble", "text", fmt.Sprintf(format, args...))
		return
	}
	panic(err)
}
