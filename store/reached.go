// SPDX-License-Identifier: Apache-2.0

// REACHED, the file that says how far each partition had come. The log of the database cannot tell a write that a crash
// cut off from one that was acknowledged and damaged later: it reads up to there and takes it for the end, and then
// removes the rest. A position that was reached and is not there any more shows that acknowledged commits are lost.

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
)

const (
	reachedName     = "REACHED"
	reachedTempName = "REACHED.tmp"
	reachedEveryMs  = 1000 // between two writes of it while commits go on
)

// reachedFile is what stands in REACHED. Sum is over the rest: what a power cut left of the file is not believed.
type reachedFile struct {
	Epoch     tidemark.Epoch      `json:"epoch,string"`
	Positions []tidemark.Position `json:"positions"` // by partition
	Sum       uint32              `json:"sum"`
}

func (f *reachedFile) sum() uint32 {
	return crc32.Checksum(fmt.Append(nil, f.Epoch, f.Positions), crc32.MakeTable(crc32.Castagnoli))
}

// reached keeps the file behind what is durable, by a second at most while commits go on. Not being able to write it
// stops nothing: it then knows less. Safe for concurrent use.
type reached struct {
	fs    vfs.FS
	dir   string
	epoch tidemark.Epoch
	nowMs func() uint64
	log   *slog.Logger

	found     []tidemark.Position // what the file said when it was opened; empty: nothing
	positions []atomic.Uint64     // durable, by partition

	saving  sync.Mutex
	savedMs uint64 // guarded by saving; 0: not yet
	failed  bool   // guarded by saving; told already
}

// newReached reads the file, if there is one for this epoch and number of partitions.
func newReached(cfg Config, m Meta) *reached {
	r := &reached{
		fs: cfg.fs(), dir: cfg.Dir, epoch: m.Epoch, nowMs: cfg.NowMs, log: cfg.Log, positions: make([]atomic.Uint64, m.Partitions),
	}
	b, err := readFile(r.fs, r.fs.PathJoin(r.dir, reachedName))
	if oserror.IsNotExist(err) {
		return r
	}
	var f reachedFile
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err == nil && f.Sum != f.sum() {
		err = errors.New("its sum does not agree")
	}
	if err != nil {
		r.log.Warn("it is not known how far the data had come", "file", reachedName, "err", err)
		return r
	}
	if f.Epoch == m.Epoch && len(f.Positions) == int(m.Partitions) {
		r.found = f.Positions
	}
	return r
}

// at is how far a partition had come when the file was written; 0: not known.
func (r *reached) at(partition uint32) tidemark.Position {
	if int(partition) >= len(r.found) {
		return 0
	}
	return r.found[partition]
}

// committed is told of a position that is durable, of a partition whose positions rise.
func (r *reached) committed(partition uint8, p tidemark.Position) {
	r.positions[partition].Store(uint64(p))
	if !r.saving.TryLock() {
		return
	}
	defer r.saving.Unlock()
	if now := r.nowMs(); r.savedMs == 0 || now < r.savedMs || now-r.savedMs >= reachedEveryMs {
		r.savedMs = max(now, 1)
		r.save(false)
	}
}

// close writes the file for the last time.
func (r *reached) close() {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.save(true)
}

// save replaces the file. Without a sync a power cut may leave an older one, or none that is believed.
func (r *reached) save(sync bool) {
	f := reachedFile{Epoch: r.epoch, Positions: make([]tidemark.Position, len(r.positions))}
	for n := range r.positions {
		f.Positions[n] = tidemark.Position(r.positions[n].Load())
	}
	f.Sum = f.sum()
	b, err := json.Marshal(f)
	if err == nil {
		err = replaceFile(r.fs, r.dir, reachedTempName, reachedName, append(b, '\n'), sync)
	}
	if err != nil && !r.failed {
		r.failed = true
		r.log.Warn("how far the data have come could not be noted", "file", reachedName, "err", err)
	}
}

// Reached is the position up to which partition n is known to have had every commit when the directory was opened; 0:
// not known. Opened for writing, it has them; opened read-only, one that has less than that is damaged.
func (db *DB) Reached(n uint32) tidemark.Position {
	db.checkPartition(n)
	return db.reached.at(n)
}

// checkReached refuses a directory that has lost commits, and otherwise begins with the positions it has.
func (db *DB) checkReached() error {
	for n, p := range db.partitions {
		state, err := p.State()
		if err != nil {
			return err
		}
		if reached := db.reached.at(uint32(n)); state.Position < reached {
			return fmt.Errorf("%w: partition %d ends at position %d, and commits up to %d were acknowledged: a file of the "+
				"database (%s) is damaged, missing or older than the rest; nothing was removed: keep a copy of the directory, "+
				"and restore it from a backup, or go on without those commits by tidemark restore --accept-loss", ErrDamaged, n, state.Position, reached, pebbleName)
		}
		db.reached.positions[n].Store(uint64(state.Position))
	}
	return nil
}
