// SPDX-License-Identifier: Apache-2.0

// The reserve of free disk: commits are refused before the disk is full, because a disk that is full in the middle of
// a write stops everything until a restart, while a refusal ends by itself when there is room again.

package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrLowSpace is wrapped by the refusal of a commit while too little disk is free.
var ErrLowSpace = errors.New("low disk space")

const (
	defaultReserveBytes   = 256 << 20
	reserveOfSmallDisk    = 20 // a default reserve is at most this part of the disk
	resumeHeadroomPercent = 10 // so much above the reserve must be free to go on after a refusal
)

// spaceWatch says whether there is room to write. Safe for concurrent use.
type spaceWatch struct {
	fs      vfs.FS
	dir     string
	reserve int64
	log     *slog.Logger
	low     atomic.Bool
}

func newSpaceWatch(fs vfs.FS, dir string, reserve int64, log *slog.Logger) *spaceWatch {
	return &spaceWatch{fs: fs, dir: dir, reserve: reserve, log: log}
}

// free is how many bytes of the disk we may still use.
func (w *spaceWatch) free() (uint64, error) {
	usage, err := w.fs.GetDiskUsage(w.dir)
	return usage.AvailBytes, err
}

// reserveOf is what must stay free of a disk, bytes.
func (w *spaceWatch) reserveOf(usage vfs.DiskUsage) uint64 {
	if w.reserve == 0 {
		return min(defaultReserveBytes, usage.TotalBytes/reserveOfSmallDisk)
	}
	return uint64(max(w.reserve, 0))
}

// check is nil while there is room. A file system that cannot tell has room.
func (w *spaceWatch) check() error {
	if w.reserve < 0 {
		return nil
	}
	usage, err := w.fs.GetDiskUsage(w.dir)
	if err != nil {
		return nil
	}
	reserve := w.reserveOf(usage)
	need := reserve
	if w.low.Load() {
		need += reserve / 100 * resumeHeadroomPercent
	}
	if usage.AvailBytes >= need {
		if w.low.Swap(false) {
			w.log.Info("disk space is back: writing goes on", "freeBytes", usage.AvailBytes)
		}
		return nil
	}
	if !w.low.Swap(true) {
		w.log.Error("low disk space: nothing is written until there is room", "freeBytes", usage.AvailBytes, "reserveBytes", reserve)
	}
	return fmt.Errorf("store: %w: %d MiB free at %s, %d MiB are needed to go on; free some or enlarge the disk",
		ErrLowSpace, usage.AvailBytes>>20, w.dir, (reserve+reserve/100*resumeHeadroomPercent)>>20)
}
