// SPDX-License-Identifier: Apache-2.0

// A new epoch: what a data directory gets that goes on from less than it once had, so that no (epoch, conversation, seq)
// ever names two events.

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	tidemark "github.com/tidemark-im/tidemark"
)

// NewEpoch puts a data directory under a new epoch, whatever it has lost: it is an older copy of what was served, or a
// part of its log is gone. It answers what the directory is from then on. Every device is told to start anew at its next
// sync, and keeps what its chain agrees with. Nothing but the file TIDEMARK is changed, and that atomically: a crash
// leaves the old epoch or the new one.
//
// The directory must be there, whole or not, and no process may have it open; its database is not looked at. Dir and
// Entropy of cfg count, and FS: a simulator that goes back to an older copy of a file system in memory calls it with
// that copy as FS, before Open.
//
//	old := disk.CrashClone(...)           // at some time, as a backup
//	meta, err := store.NewEpoch(store.Config{Dir: "data", FS: old, Entropy: chance})
//	db, err := store.Open(store.Config{Dir: "data", FS: old, ...})
func NewEpoch(cfg Config) (Meta, error) {
	cfg.MustExist = true
	cfg = cfg.withDefaults()
	lock, err := lockDir(cfg)
	if err != nil {
		return Meta{}, err
	}
	meta, err := cfg.newEpochLocked()
	return meta, errors.Join(err, lock.Close())
}

// newEpochLocked is NewEpoch under the lock.
func (cfg Config) newEpochLocked() (Meta, error) {
	found, err := cfg.look()
	if err != nil {
		return Meta{}, err
	}
	meta := *found.meta
	for meta.Epoch == found.meta.Epoch {
		if meta.Epoch, err = chooseEpoch(cfg.Entropy); err != nil {
			return Meta{}, fmt.Errorf("store: new epoch of %s: %w", cfg.Dir, err)
		}
	}
	if err := writeMeta(cfg.fs(), cfg.Dir, meta); err != nil {
		return Meta{}, fmt.Errorf("store: new epoch of %s: %w", cfg.Dir, err)
	}
	return meta, nil
}

// chooseEpoch is a number that is no other's: never 0, and it fits in a signed integer.
func chooseEpoch(entropy io.Reader) (tidemark.Epoch, error) {
	var b [8]byte
	if _, err := io.ReadFull(entropy, b[:]); err != nil {
		return 0, fmt.Errorf("choose an epoch: %w", err)
	}
	return tidemark.Epoch(binary.BigEndian.Uint64(b[:])>>1 | 1), nil
}

// Loss is what a directory has lost of what was acknowledged, by partition.
type Loss struct {
	Old, New tidemark.Epoch
	Have     []tidemark.Position // up to which the commits are there
	Reached  []tidemark.Position // up to which they were acknowledged, as far as that is known; 0: not known
}

// Commits is how many acknowledged commits are known to be lost: those after Have, up to Reached. Of the last second
// before a crash it may not be known.
func (l *Loss) Commits() (n uint64) {
	for p, reached := range l.Reached {
		n += uint64(max(reached, l.Have[p]) - l.Have[p])
	}
	return n
}

// AcceptLoss lets a data directory go on from what it has, under a new epoch: one that Open refuses because acknowledged
// commits are lost, or one that is an older copy as a whole (a snapshot of a disk or of a machine), where no loss can be
// seen. keep names a directory to be made on the same file system, into which the files are put first as they are, "" for
// none: going on removes what could not be read. Nothing is changed where the database cannot be opened at all: then only a
// backup helps.
func AcceptLoss(cfg Config, keep string) (*Loss, error) {
	cfg.MustExist, cfg.Partitions = true, 0
	cfg = cfg.withDefaults()
	if _, err := cfg.look(); err != nil {
		return nil, err
	}
	cfg.ReadOnly = true
	lock, err := lockDir(cfg)
	if err != nil {
		return nil, err
	}
	loss, err := cfg.acceptLocked(keep)
	return loss, errors.Join(err, lock.Close())
}

func (cfg Config) acceptLocked(keep string) (*Loss, error) {
	db, err := cfg.openLocked()
	if err != nil {
		return nil, err
	}
	loss := &Loss{Old: db.meta.Epoch}
	for n, p := range db.partitions {
		state, stateErr := p.State()
		err = errors.Join(err, stateErr)
		loss.Have = append(loss.Have, state.Position)
		loss.Reached = append(loss.Reached, db.Reached(uint32(n)))
	}
	db.failure.closing()
	if err = errors.Join(err, db.pebble.Close()); err != nil {
		return nil, fmt.Errorf("store: accept the loss of %s: %w", cfg.Dir, err)
	}
	if keep != "" {
		if err := cfg.keepCopy(keep); err != nil {
			return nil, fmt.Errorf("store: keep a copy of %s: %w", cfg.Dir, err)
		}
	}
	cfg.ReadOnly = false
	meta, err := cfg.newEpochLocked()
	loss.New = meta.Epoch
	return loss, err
}
