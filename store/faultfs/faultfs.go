// SPDX-License-Identifier: Apache-2.0

// Package faultfs is a file system for tests that lets them see, and fail, every operation that changes something.
//
//	fs := faultfs.New(vfs.NewMem(), func(op faultfs.Op) error {
//		if op.What == "sync" { return syscall.EIO }
//		return nil
//	})
//
// It does not decide when to fail, keeps no state but a count, and lets reads through. [Crashes] uses it to take the disk as
// a crash at any operation would leave it.
package faultfs

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Op is an operation that is about to change something.
type Op struct {
	N    int64  // 1 for the first
	What string // create, reuse, open, write, sync, syncdir, preallocate, close, remove, rename, link, mkdir
	Name string // the file's path
}

// String prints an operation for failure messages.
func (op Op) String() string { return fmt.Sprintf("op %d: %s %s", op.N, op.What, op.Name) }

// Hook is told of every operation before it is done, on the goroutine that does it. If it returns an error, that is
// the operation's result, and nothing is done (a close is done all the same).
type Hook func(Op) error

// FS is the file system.
type FS struct {
	vfs.FS
	hook  Hook
	alone func(func()) // runs Lock and Link while no crash is taken; nil: nothing keeps them
	n     atomic.Int64
}

// New wraps a file system.
func New(fs vfs.FS, hook Hook) *FS { return &FS{FS: fs, hook: hook} }

// Ops is how many operations there were.
func (fs *FS) Ops() int64 { return fs.n.Load() }

func (fs *FS) before(what, name string) error {
	return fs.hook(Op{N: fs.n.Add(1), What: what, Name: name})
}

// Unwrap implements vfs.FS.
func (fs *FS) Unwrap() vfs.FS { return fs.FS }

func (fs *FS) opened(what, name string, open func() (vfs.File, error)) (vfs.File, error) {
	if err := fs.before(what, name); err != nil {
		return nil, err
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	return &file{File: f, fs: fs, name: name, sync: "sync"}, nil
}

// Create implements vfs.FS.
func (fs *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.opened("create", name, func() (vfs.File, error) { return fs.FS.Create(name, category) })
}

// ReuseForWrite implements vfs.FS.
func (fs *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.opened("reuse", newname, func() (vfs.File, error) { return fs.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenReadWrite implements vfs.FS.
func (fs *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.opened("open", name, func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, category, opts...) })
}

// OpenDir implements vfs.FS.
func (fs *FS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &file{File: f, fs: fs, name: name, sync: "syncdir"}, nil
}

// Remove implements vfs.FS.
func (fs *FS) Remove(name string) error {
	if err := fs.before("remove", name); err != nil {
		return err
	}
	return fs.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (fs *FS) RemoveAll(name string) error {
	if err := fs.before("remove", name); err != nil {
		return err
	}
	return fs.FS.RemoveAll(name)
}

// Rename implements vfs.FS.
func (fs *FS) Rename(oldname, newname string) error {
	if err := fs.before("rename", newname); err != nil {
		return err
	}
	return fs.FS.Rename(oldname, newname)
}

// Link implements vfs.FS.
func (fs *FS) Link(oldname, newname string) error {
	if err := fs.before("link", newname); err != nil {
		return err
	}
	return fs.apart(func() error { return fs.FS.Link(oldname, newname) })
}

// MkdirAll implements vfs.FS.
func (fs *FS) MkdirAll(dir string, perm os.FileMode) error {
	if err := fs.before("mkdir", dir); err != nil {
		return err
	}
	return fs.FS.MkdirAll(dir, perm)
}

// Lock implements vfs.FS. Taking a lock is not an operation that fails.
func (fs *FS) Lock(name string) (lock io.Closer, err error) {
	err = fs.apart(func() error {
		lock, err = fs.FS.Lock(name)
		return err
	})
	return lock, err
}

func (fs *FS) apart(do func() error) (err error) {
	if fs.alone == nil {
		return do()
	}
	fs.alone(func() { err = do() })
	return err
}

type file struct {
	vfs.File
	fs   *FS
	name string
	sync string // what a sync is called
}

func (f *file) Write(p []byte) (int, error) {
	if err := f.fs.before("write", f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *file) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.fs.before("write", f.name); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, offset)
}

func (f *file) Preallocate(offset, length int64) error {
	if err := f.fs.before("preallocate", f.name); err != nil {
		return err
	}
	return f.File.Preallocate(offset, length)
}

func (f *file) Sync() error {
	if err := f.fs.before(f.sync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *file) SyncData() error {
	if err := f.fs.before(f.sync, f.name); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *file) SyncTo(length int64) (bool, error) {
	if err := f.fs.before(f.sync, f.name); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}

func (f *file) Close() error {
	hookErr := f.fs.before("close", f.name)
	if err := f.File.Close(); err != nil {
		return err
	}
	return hookErr
}
