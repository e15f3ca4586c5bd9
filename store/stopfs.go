// SPDX-License-Identifier: Apache-2.0

// The file system as Pebble sees it: failures of writes do not come through (failure.go says why).

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// stopFS passes everything on to the file system below it until a write fails. Then the log is written into nothing,
// other writers wait for the end, and nothing is removed or renamed any more. A full disk does not stop the writing of
// tables, which can wait for room in the middle of it, but that of the log.
//
// What Pebble writes outside its own directory is a copy for a backup: that may fail, and nothing stops for it.
type stopFS struct {
	vfs.FS
	dir     string // Pebble's own
	failure *failure
	leaving atomic.Bool // the store is being closed: what writes outside is to end

	copyFailed atomic.Pointer[error] // the first sync of a directory outside that failed

	retry   time.Duration // how often a writer that waits for room tries again
	waiting atomic.Int32  // writers of tables and of the manifest that wait for room
	held    atomic.Int32  // of them, those of the manifest: Pebble holds the lock on its versions meanwhile
	changed chan struct{} // has room for one: something waits that did not

	mu      sync.Mutex
	opening bool                    // guarded by mu; what is to be removed stays until letRemove
	kept    map[string]func() error // guarded by mu; removals that were held back, by name
}

func newStopFS(fs vfs.FS, dir string, f *failure, retry time.Duration) *stopFS {
	return &stopFS{
		FS: fs, dir: dir, failure: f, retry: retry, changed: make(chan struct{}, 1), opening: true, kept: make(map[string]func() error),
	}
}

// Unwrap implements vfs.FS.
func (fs *stopFS) Unwrap() vfs.FS { return fs.FS }

// errLeaving ends a copy because the store is being closed.
var errLeaving = errors.New("the store is being closed")

// outside reports whether a file is none of Pebble's directory; err is not nil where nothing is to be written there any more.
func (fs *stopFS) outside(name string) (bool, error) {
	if name == fs.dir || strings.HasPrefix(name, fs.dir) && os.IsPathSeparator(name[len(fs.dir)]) {
		return false, nil
	}
	if fs.leaving.Load() {
		return true, errLeaving
	}
	return true, nil
}

// isLog reports whether a file is one of the write-ahead log.
func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// isTable reports whether a file is one of the sorted tables.
func isTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// logWrite does a write to the log. After a failure, this or an earlier one, it pretends: the commit that waits for
// it asks for the failure.
func (fs *stopFS) logWrite(what, name string, write func() error) error {
	if fs.failure.err() != nil {
		return nil
	}
	err := write()
	if err == nil || fs.failure.passes(err) {
		return err
	}
	_ = fs.failure.fail(fmt.Errorf("store: %s %s: %w", what, name, err))
	return nil
}

// tableWrite does any other write: it waits while the disk is full. After a failure a table waits for the end and then
// fails, which Pebble can take. The manifest pretends, since Pebble is in disorder after an error there; and at once,
// since Pebble holds the lock on its versions meanwhile, which everybody needs who asks for its metrics. As nothing is
// removed any more, the manifest on the disk goes on naming what is there.
func (fs *stopFS) tableWrite(what, name string, write func() error) error {
	for fs.failure.err() == nil {
		err := write()
		if err == nil || fs.failure.passes(err) {
			return err
		}
		if !errors.Is(err, syscall.ENOSPC) || what == "sync" || !fs.waitForRoom(name) {
			_ = fs.failure.fail(fmt.Errorf("store: %s %s: %w", what, name, err))
		}
	}
	if isTable(name) {
		return fs.failure.wait()
	}
	return nil
}

// waitForRoom waits a moment; it reports false when the store is being closed.
func (fs *stopFS) waitForRoom(name string) bool {
	fs.waiting.Add(1)
	defer fs.waiting.Add(-1)
	if !isTable(name) {
		fs.held.Add(1)
		defer fs.held.Add(-1)
	}
	select {
	case fs.changed <- struct{}{}:
	default:
	}
	select {
	case <-fs.failure.ended:
		return false
	case <-time.After(fs.retry):
		return true
	}
}

// write picks how a file of this name is written.
func (fs *stopFS) write(what, name string, write func() error) error {
	if isLog(name) {
		return fs.logWrite(what, name, write)
	}
	return fs.tableWrite(what, name, write)
}

// Create implements vfs.FS.
func (fs *stopFS) Create(name string, category vfs.DiskWriteCategory) (f vfs.File, err error) {
	if out, err := fs.outside(name); out {
		if err != nil {
			return nil, err
		}
		return fs.FS.Create(name, category)
	}
	return fs.opened("create", name, func() (vfs.File, error) { return fs.FS.Create(name, category) })
}

// ReuseForWrite implements vfs.FS.
func (fs *stopFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.opened("create", newname, func() (vfs.File, error) { return fs.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenReadWrite implements vfs.FS.
func (fs *stopFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.opened("open", name, func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, category, opts...) })
}

func (fs *stopFS) opened(what, name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	fs.written(name)
	err = fs.write(what, name, func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if f == nil {
		f = nullFile{}
	}
	return &stopFile{File: f, fs: fs, name: name}, nil
}

// OpenDir implements vfs.FS. Directories are opened to be synced.
func (fs *stopFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	if out, _ := fs.outside(name); out {
		return &copyDir{File: f, failed: &fs.copyFailed}, nil
	}
	return &stopDir{File: f, fs: fs, name: name}, nil
}

// Remove implements vfs.FS.
func (fs *stopFS) Remove(name string) error {
	return fs.remove(name, func() error { return fs.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (fs *stopFS) RemoveAll(name string) error {
	return fs.remove(name, func() error { return fs.FS.RemoveAll(name) })
}

// remove holds back what is asked for while the directory is opened: it may turn out that what is left has lost
// something that the file has.
func (fs *stopFS) remove(name string, remove func() error) error {
	if out, _ := fs.outside(name); out {
		return remove()
	}
	if fs.failure.err() != nil {
		return nil
	}
	fs.mu.Lock()
	if fs.opening {
		defer fs.mu.Unlock()
		fs.kept[name] = remove
		return nil
	}
	fs.mu.Unlock()
	return remove()
}

// letRemove does the removals that were held back, and holds none back from now on. A file that stays is one too many.
func (fs *stopFS) letRemove() {
	fs.mu.Lock()
	kept := fs.kept
	fs.opening, fs.kept = false, nil
	fs.mu.Unlock()
	for _, remove := range kept {
		_ = remove()
	}
}

// written forgets that a file was to be removed: it is there anew.
func (fs *stopFS) written(name string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.kept, name)
}

// Rename implements vfs.FS.
func (fs *stopFS) Rename(oldname, newname string) error {
	if out, err := fs.outside(newname); out {
		if err != nil {
			return err
		}
		return fs.FS.Rename(oldname, newname)
	}
	fs.written(newname)
	return fs.write("rename", newname, func() error { return fs.FS.Rename(oldname, newname) })
}

// Link implements vfs.FS.
func (fs *stopFS) Link(oldname, newname string) error {
	if out, err := fs.outside(newname); out {
		if err != nil {
			return err
		}
		return fs.FS.Link(oldname, newname)
	}
	fs.written(newname)
	return fs.write("link", newname, func() error { return fs.FS.Link(oldname, newname) })
}

// copyDir is a directory of a copy. Pebble panics where it cannot be synced; here that is remembered.
type copyDir struct {
	vfs.File
	failed *atomic.Pointer[error]
}

// Sync implements vfs.File.
func (d *copyDir) Sync() error {
	if err := d.File.Sync(); err != nil {
		d.failed.CompareAndSwap(nil, &err)
	}
	return nil
}

// stopFile is a file that is written.
type stopFile struct {
	vfs.File
	fs   *stopFS
	name string

	writtenBytes  int64 // of a log, by the one goroutine that writes it
	wantedBytes   int64 // that Pebble would preallocate; 0: none
	reservedBytes int64
}

// Write implements vfs.File. What a full disk took of a table's bytes is not written again.
func (f *stopFile) Write(p []byte) (int, error) {
	f.reserve(int64(len(p)))
	done := 0
	err := f.fs.write("write", f.name, func() error {
		n, err := f.File.Write(p[done:])
		done += n
		return err
	})
	if err != nil {
		return done, err
	}
	return len(p), nil
}

// WriteAt implements vfs.File.
func (f *stopFile) WriteAt(p []byte, offset int64) (int, error) {
	err := f.fs.write("write", f.name, func() error {
		_, err := f.File.WriteAt(p, offset)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// logStepBytes is how much of the disk a log takes ahead of what is written to it.
const logStepBytes = 4 << 20

// reserve takes disk for the next n bytes of a log, in steps: Pebble would take as much as for a full table in memory,
// for each of the small logs of a new directory.
func (f *stopFile) reserve(n int64) {
	f.writtenBytes += n
	if f.wantedBytes == 0 || f.writtenBytes <= f.reservedBytes || f.fs.failure.err() != nil {
		return
	}
	from := f.reservedBytes
	f.reservedBytes = (f.writtenBytes + logStepBytes - 1) / logStepBytes * logStepBytes
	_ = f.File.Preallocate(from, f.reservedBytes-from)
}

// Preallocate implements vfs.File. It only makes later writes faster; without room for it, those decide.
func (f *stopFile) Preallocate(offset, length int64) error {
	if isLog(f.name) {
		f.wantedBytes = offset + length
		return nil
	}
	if f.fs.failure.err() == nil {
		_ = f.File.Preallocate(offset, length)
	}
	return nil
}

// Sync implements vfs.File. A failed sync is never tried again.
func (f *stopFile) Sync() error { return f.fs.write("sync", f.name, f.File.Sync) }

// SyncData implements vfs.File.
func (f *stopFile) SyncData() error { return f.fs.write("sync", f.name, f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *stopFile) SyncTo(length int64) (full bool, err error) {
	err = f.fs.write("sync", f.name, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close implements vfs.File. It always closes.
func (f *stopFile) Close() error {
	err := f.File.Close()
	if err == nil || f.fs.failure.passes(err) {
		return err
	}
	_ = f.fs.failure.fail(fmt.Errorf("store: close %s: %w", f.name, err))
	return nil
}

// stopDir is a directory that is synced. A failure is not told: whoever relies on it writes a file next, and waits.
type stopDir struct {
	vfs.File
	fs   *stopFS
	name string
}

// Sync implements vfs.File.
func (d *stopDir) Sync() error { return d.fs.logWrite("sync", d.name, d.File.Sync) }

// Close implements vfs.File. A directory that was read and synced has nothing to lose by it.
func (d *stopDir) Close() error {
	_ = d.File.Close()
	return nil
}

// nullFile is a file that is not there: it takes everything and keeps nothing.
type nullFile struct{}

func (nullFile) Close() error                           { return nil }
func (nullFile) Read([]byte) (int, error)               { return 0, io.EOF }
func (nullFile) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (nullFile) Write(p []byte) (int, error)            { return len(p), nil }
func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nullFile) Preallocate(int64, int64) error         { return nil }
func (nullFile) Stat() (vfs.FileInfo, error)            { return nullInfo{}, nil }
func (nullFile) Sync() error                            { return nil }
func (nullFile) SyncTo(int64) (bool, error)             { return true, nil }
func (nullFile) SyncData() error                        { return nil }
func (nullFile) Prefetch(int64, int64) error            { return nil }
func (nullFile) Fd() uintptr                            { return vfs.InvalidFd }

// nullInfo describes a nullFile.
type nullInfo struct{}

func (nullInfo) Name() string           { return os.DevNull }
func (nullInfo) Size() int64            { return 0 }
func (nullInfo) Mode() os.FileMode      { return 0o600 }
func (nullInfo) ModTime() time.Time     { return time.Time{} }
func (nullInfo) IsDir() bool            { return false }
func (nullInfo) Sys() any               { return nil }
func (nullInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
