// SPDX-License-Identifier: Apache-2.0

// Opening and creating a data directory: look first, lock, look again, and only then change anything.

package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/gofrs/flock"

	tidemark "github.com/tidemark-im/tidemark"
)

// DefaultPartitions is how many partitions a new data directory gets where nothing is said.
const DefaultPartitions = 8

// Config says what to open and how. Only Dir is required.
type Config struct {
	Dir          string
	FS           vfs.FS        // nil: the disk
	Partitions   uint32        // 0: what the directory has, [DefaultPartitions] when it is new; at most [tidemark.PartitionsMax]
	CacheBytes   int64         // of blocks of tables, in memory, beside what was written last; 0: 128 MiB
	ReserveBytes int64         // of free disk below which commits are refused; 0: 256 MiB or 5 % of a small disk; negative: none
	ReadOnly     bool          // implies MustExist; commits are refused
	MustExist    bool          // a directory that is not there is an error and is not made
	Log          *slog.Logger  // nil: no logs
	NowMs        func() uint64 // time of creation; nil: the clock
	Entropy      io.Reader     // for the epoch; nil: crypto/rand

	spaceRetry    time.Duration // how often a table that met a full disk is tried again; 0: 250 ms
	memTableBytes uint64        // size of a table in memory; 0: 64 MiB
}

// ErrInUse is returned by Open where another process has the directory open.
var ErrInUse = errors.New("already in use by another process")

// Open opens a data directory, or makes a new one where there is none or an empty one. A directory that belongs to
// something else, to a newer version, or has another number of partitions is refused and left as it is.
func Open(cfg Config) (*DB, error) {
	cfg = cfg.withDefaults()
	if cfg.Partitions > tidemark.PartitionsMax {
		return nil, fmt.Errorf("store: partitions %d: allowed are 1 to %d", cfg.Partitions, tidemark.PartitionsMax)
	}
	found, err := cfg.look()
	if err != nil {
		return nil, err
	}
	if !found.exists {
		if err := makeDir(cfg.fs(), cfg.Dir); err != nil {
			return nil, fmt.Errorf("store: make %s: %w", cfg.Dir, err)
		}
	}
	lock, err := lockDir(cfg)
	if err != nil {
		return nil, err
	}
	db, err := cfg.openLocked()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	db.lock = lock
	return db, nil
}

func (cfg Config) withDefaults() Config {
	cfg.MustExist = cfg.MustExist || cfg.ReadOnly
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = 128 << 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.NowMs == nil {
		cfg.NowMs = func() uint64 { return uint64(time.Now().UnixMilli()) }
	}
	if cfg.spaceRetry == 0 {
		cfg.spaceRetry = 250 * time.Millisecond
	}
	if cfg.memTableBytes == 0 {
		cfg.memTableBytes = 64 << 20
	}
	if cfg.Entropy == nil {
		cfg.Entropy = rand.Reader
	}
	return cfg
}

// look is inspect and what the configuration asks of the directory. It changes nothing.
func (cfg Config) look() (directory, error) {
	found, err := inspect(cfg.fs(), cfg.Dir)
	if err != nil {
		return found, err
	}
	if found.restoring {
		return found, fmt.Errorf("store: open %s: a restore into it was interrupted, and it is not whole: run tidemark restore again", cfg.Dir)
	}
	if found.backup && !cfg.ReadOnly {
		return found, fmt.Errorf("store: open %s: it is a backup, which stays as it is: make a data directory of it by "+
			"tidemark restore --from %s --data DIR", cfg.Dir, cfg.Dir)
	}
	if cfg.MustExist && (found.meta == nil || found.meta.Unfinished) {
		return found, fmt.Errorf("store: open %s: there is no Tidemark data; check the path, or start a server on it once", cfg.Dir)
	}
	if found.meta != nil && cfg.Partitions != 0 && cfg.Partitions != found.meta.Partitions {
		return found, fmt.Errorf("store: open %s: it has %d partitions and %d were asked for; the number is fixed when "+
			"a data directory is made: leave it out, or export the data and import it into a new directory",
			cfg.Dir, found.meta.Partitions, cfg.Partitions)
	}
	return found, nil
}

func (cfg Config) fs() vfs.FS {
	if cfg.FS == nil {
		return vfs.Default
	}
	return cfg.FS
}

// openLocked opens or creates the database; the caller holds the lock.
func (cfg Config) openLocked() (*DB, error) {
	found, err := cfg.look() // again: another process may have made it in between
	if err != nil {
		return nil, err
	}
	fresh := found.meta == nil || found.meta.Unfinished
	meta := found.meta
	if fresh {
		if meta, err = cfg.begin(); err != nil {
			return nil, fmt.Errorf("store: make %s: %w", cfg.Dir, err)
		}
	}
	db := &DB{meta: *meta, dir: cfg.Dir, given: cfg.FS, log: cfg.Log, readOnly: cfg.ReadOnly, failure: newFailure(cfg.Log), room: newRoom(cfg.memTableBytes)}
	db.fs = newStopFS(cfg.fs(), cfg.fs().PathJoin(cfg.Dir, pebbleName), db.failure, cfg.spaceRetry)
	db.space = newSpaceWatch(cfg.fs(), cfg.Dir, cfg.ReserveBytes, cfg.Log)
	db.pebble, err = openPebble(db, cfg.pebbleOptions(db, fresh))
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", cfg.Dir, explain(err))
	}
	if fresh {
		meta.Unfinished = false
		if err := writeMeta(cfg.fs(), cfg.Dir, *meta); err != nil {
			db.failure.closing()
			return nil, errors.Join(fmt.Errorf("store: make %s: %w", cfg.Dir, err), db.pebble.Close())
		}
		db.meta = *meta
	}
	for n := range meta.Partitions {
		db.partitions = append(db.partitions, newPartition(uint8(n), db.pebble))
	}
	db.reached, db.reclaim = newReached(cfg, *meta), newReclaim()
	if !cfg.ReadOnly {
		if err := db.checkReached(); err != nil {
			db.failure.closing()
			return nil, errors.Join(fmt.Errorf("store: open %s: %w", cfg.Dir, err), db.pebble.Close())
		}
	}
	db.failure.opened()
	db.fs.letRemove()
	return db, nil
}

// openPebble opens the database below db. Pebble panics where a directory cannot be synced; here that is an error.
func openPebble(db *DB, options *pebble.Options) (_ *pebble.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			if err = db.failure.whileOpening(); err == nil {
				panic(p)
			}
		}
	}()
	return pebble.Open(db.fs.PathJoin(db.dir, pebbleName), options)
}

// begin marks the directory as ours, with nothing in it yet.
func (cfg Config) begin() (*Meta, error) {
	epoch, err := chooseEpoch(cfg.Entropy)
	if err != nil {
		return nil, err
	}
	meta := &Meta{FormatVersion: FormatVersion, Partitions: cfg.Partitions, CreatedMs: cfg.NowMs(), Unfinished: true, Epoch: epoch}
	if meta.Partitions == 0 {
		meta.Partitions = DefaultPartitions
	}
	if err := writeMeta(cfg.fs(), cfg.Dir, *meta); err != nil {
		return nil, err
	}
	return meta, cfg.fs().RemoveAll(cfg.fs().PathJoin(cfg.Dir, pebbleName)) // of a creation that was interrupted
}

// explain adds to an error of Pebble what to do about it.
func explain(err error) error {
	if errors.Is(err, pebble.ErrDBDoesNotExist) {
		return fmt.Errorf("its database (%s) is missing; restore the directory from a backup: %w", pebbleName, err)
	}
	if pebble.IsCorruptionError(err) || oserror.IsNotExist(err) {
		return fmt.Errorf("%w: a file of its database (%s) is damaged or missing; keep a copy of the directory, and restore "+
			"it from a backup: %w", ErrDamaged, pebbleName, readable(err))
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is full; free some or enlarge it: %w", err)
	}
	return err
}

// makeDir makes the directory so that a crash cannot lose it.
func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(dir))
}

// lockDir keeps other processes out until the returned lock is closed or the process ends.
func lockDir(cfg Config) (io.Closer, error) {
	path := cfg.fs().PathJoin(cfg.Dir, lockName)
	if cfg.FS != nil {
		lock, err := cfg.FS.Lock(path)
		if err != nil {
			return nil, fmt.Errorf("store: open %s: %w (%w)", cfg.Dir, ErrInUse, err)
		}
		return lock, nil
	}
	lock := flock.New(path)
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("store: lock %s: %w", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("store: open %s: %w; stop that one, or name another directory", cfg.Dir, ErrInUse)
	}
	return lock, nil
}
