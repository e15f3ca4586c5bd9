// SPDX-License-Identifier: Apache-2.0

// Restoring a backup into a new data directory, which is not one before it is whole.

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// RestoreConfig says what to restore and where. From and To are required.
type RestoreConfig struct {
	From    string                 // a backup, or a data directory that no process has open; it is only read
	To      string                 // a new or empty directory, or one into which a restore was interrupted
	FS      vfs.FS                 // of both; nil: the disk
	Check   func(dir string) error // looks at the copy before it counts, as at a data directory; nil: nothing more is checked
	Entropy io.Reader              // for the epoch; nil: crypto/rand
}

// Restored says what a restore has made.
type Restored struct {
	Backup *Backup // what was restored; without MadeMs where it was a plain copy of a data directory
	Plain  bool    // it was such a copy
	Meta   Meta    // of the new directory, with its new epoch
}

// Restore copies a backup into a new data directory and puts that under a new epoch. While it works, and after it was
// interrupted at any moment, the directory is refused by [Open]; a second call begins again from nothing. It returns when
// everything is durable, or early when ctx ends. The backup's files are compared with the sizes and checksums it names, and
// the copy is opened and must have all that REACHED says.
func Restore(ctx context.Context, cfg RestoreConfig) (_ *Restored, err error) {
	fail := func(err error) (*Restored, error) {
		return nil, fmt.Errorf("store: restore %s into %s: %w", cfg.From, cfg.To, err)
	}
	r := restoring{RestoreConfig: cfg, fs: Config{FS: cfg.FS}.fs()}
	r.staged = r.fs.PathJoin(cfg.To, restoringName)
	if within(cfg.To, cfg.From) {
		return fail(fmt.Errorf("%s is in %s, of which nothing may be changed: name a directory outside of it", cfg.To, cfg.From))
	}
	if err := r.checkSource(); err != nil {
		return fail(err)
	}
	if err := r.checkTarget(); err != nil {
		return fail(err)
	}
	if err := makeDir(r.fs, cfg.To); err != nil {
		return fail(err)
	}
	lock, err := lockDir(Config{Dir: cfg.To, FS: cfg.FS})
	if err != nil {
		return fail(err)
	}
	err = r.checkTarget() // again: another process may have made something of it in between
	if err == nil {
		err = r.stage(ctx)
	}
	if err == nil {
		err = r.finish()
	}
	if err = errors.Join(err, lock.Close()); err != nil {
		return fail(err)
	}
	return &Restored{Backup: r.backup, Plain: r.plain, Meta: r.meta}, nil
}

// restoring is a restore under way.
type restoring struct {
	RestoreConfig
	fs     vfs.FS
	staged string // the directory in To that becomes To
	backup *Backup
	plain  bool
	meta   Meta
}

// checkSource finds out what is to be restored.
func (r *restoring) checkSource() (err error) {
	found, err := inspect(r.fs, r.From)
	switch {
	case err != nil:
		return err
	case found.restoring || found.meta == nil || found.meta.Unfinished:
		return fmt.Errorf("%s is no backup and holds no whole data directory", r.From)
	}
	if r.backup, err = ReadBackup(r.fs, r.From); err != nil || r.backup != nil {
		return err
	}
	r.plain, r.backup = true, &Backup{Dir: r.From, Epoch: found.meta.Epoch}
	if lock, err := lockDir(Config{Dir: r.From, FS: r.FS}); err == nil { // where no lock can be had, nobody can write either
		defer func() { _ = lock.Close() }()
	} else if errors.Is(err, ErrInUse) {
		return fmt.Errorf("%w: of a running server take a backup first", err)
	}
	r.backup.Files, err = sizesOf(r.fs, r.From)
	return err
}

// within reports whether a path is in a directory, by their names.
func within(path, dir string) bool {
	absolute, err := filepath.Abs(path)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return false
	}
	between, err := filepath.Rel(dir, absolute)
	return err == nil && between != "." && between != ".." && !strings.HasPrefix(between, ".."+string(filepath.Separator))
}

// checkTarget refuses a directory with anything in it that is not an interrupted restore's.
func (r *restoring) checkTarget() error {
	info, err := r.fs.Stat(r.To)
	switch {
	case oserror.IsNotExist(err):
		return nil
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is a file: name a new directory", r.To)
	}
	names, err := r.fs.List(r.To)
	if err != nil {
		return err
	}
	interrupted := false
	var foreign []string
	for _, name := range names {
		switch {
		case name == restoringName:
			interrupted = true
		case name != lockName && name != "lost+found":
			foreign = append(foreign, name)
		}
	}
	if len(foreign) > 0 && !interrupted {
		return fmt.Errorf("%s is not empty (%s): name a new directory, or move what is there away", r.To, someOf(foreign))
	}
	return nil
}

// stage makes the whole directory inside the target.
func (r *restoring) stage(ctx context.Context) error {
	if err := r.clear(); err != nil {
		return err
	}
	if usage, err := r.fs.GetDiskUsage(r.To); err == nil && usage.AvailBytes < r.backup.Bytes() {
		return fmt.Errorf("%w: %d MiB free, %d MiB are needed", ErrLowSpace, usage.AvailBytes>>20, r.backup.Bytes()>>20)
	}
	sums, err := copyData(ctx.Err, r.fs, r.From, r.staged, false)
	if err != nil {
		return err
	}
	for name, want := range r.backup.Sums {
		if sums[name] != want {
			return fmt.Errorf("%w: %s is not what the backup had: its checksum is %08x, not %08x", ErrDamaged, name, sums[name], want)
		}
	}
	positions, err := positionsOf(Config{Dir: r.staged, FS: r.FS})
	if err != nil {
		return err
	}
	if r.plain {
		r.backup.Positions = positions
	}
	for n, want := range r.backup.Positions {
		if n >= len(positions) || positions[n] != want {
			return fmt.Errorf("%w: the copy ends at positions %d, the backup says %d", ErrDamaged, positions, r.backup.Positions)
		}
	}
	if r.Check != nil {
		if err := r.Check(r.staged); err != nil {
			return err
		}
	}
	r.meta, err = NewEpoch(Config{Dir: r.staged, FS: r.FS, Entropy: r.Entropy})
	return err
}

// clear removes what an interrupted restore has left, of which the directory RESTORING is the sign, and goes last.
func (r *restoring) clear() error {
	names, err := r.fs.List(r.To)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == metaName || name == reachedName || name == pebbleName || strings.HasSuffix(name, ".key") {
			if err := r.fs.RemoveAll(r.fs.PathJoin(r.To, name)); err != nil {
				return err
			}
		}
	}
	if err := syncDir(r.fs, r.To); err != nil {
		return err
	}
	if err := r.fs.RemoveAll(r.staged); err != nil {
		return err
	}
	return syncDir(r.fs, r.To)
}

// finish moves what was staged to its place, what makes it a data directory last, and takes the sign away.
func (r *restoring) finish() error {
	names, err := dataFilesAtTop(r.fs, r.staged)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.fs.Rename(r.fs.PathJoin(r.staged, name), r.fs.PathJoin(r.To, name)); err != nil {
			return err
		}
	}
	if err := syncDir(r.fs, r.To); err != nil {
		return err
	}
	if err := r.fs.RemoveAll(r.staged); err != nil {
		return err
	}
	return syncDir(r.fs, r.To)
}

// dataFilesAtTop are what of a data directory is to be moved, TIDEMARK last. How far the old epoch had come goes with it.
func dataFilesAtTop(fs vfs.FS, dir string) ([]string, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	moved := []string{pebbleName}
	for _, name := range names {
		if strings.HasSuffix(name, ".key") {
			moved = append(moved, name)
		}
	}
	return append(moved, metaName), nil
}
