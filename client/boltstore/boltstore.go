// SPDX-License-Identifier: Apache-2.0

// Package boltstore keeps a device's state in one file on disk, with bbolt.
//
//	store, err := boltstore.Open(filepath.Join(dir, "alice.tidemark"), boltstore.Options{})
//	...
//	defer store.Close()
//	c, err := client.New(client.Config{Store: store, ...})
//
// Every update is one transaction, on disk when it returns (unless [Options.NoSync]); a process that is killed at any
// moment loses no committed update. The file is locked while it is open. How many events are kept is the client's to say
// (Config.Keep; all by default). The package does not know what the keys and values mean, and does not encrypt them.
//
// What was deleted is in the map no more, but its bytes stay in unused parts of the file until those are used again; the file
// does not become smaller. [Compact] makes it anew without them.
package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
)

// Options of a store. The zero value is right for an app.
type Options struct {
	LockMax time.Duration // how long to wait for another process that has the file open; 0: 2 s
	NoSync  bool          // do not wait for the disk: a power failure may damage the file. For tests and measurements
}

// ErrForeign: the file is not a device's store.
var ErrForeign = errors.New("not a Tidemark device store")

// ErrLocked: another process has the file open.
var ErrLocked = errors.New("another process has the file open")

// bucket holds all keys.
var bucket = []byte("tidemark device")

// Store is an open file. It implements [client.Store].
type Store struct{ db *bbolt.DB }

var _ client.Store = (*Store)(nil)

// Open opens a file, or makes it. A file that is something else ([ErrForeign]), damaged, of a newer version, or open
// elsewhere ([ErrLocked]) is an error, and is not changed.
func Open(path string, options Options) (*Store, error) {
	fresh := false
	if info, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		fresh = true
	}
	if options.LockMax <= 0 {
		options.LockMax = 2 * time.Second
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: options.LockMax, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoSync: options.NoSync,
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("boltstore: open %s: %w", path, ErrLocked)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return nil, fmt.Errorf("boltstore: open %s: %w: %w", path, ErrForeign, err)
	case err != nil:
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	s := &Store{db: db}
	if err := s.check(fresh); err != nil {
		return nil, errors.Join(fmt.Errorf("boltstore: open %s: %w", path, err), db.Close())
	}
	return s, nil
}

// Compact makes a file anew that nobody has open: as small as its contents, and without a byte of what was deleted. It takes
// room for a second file meanwhile, beside the first; a process that is killed leaves the old file or the new one, and
// perhaps path.compact, which the next call overwrites. What the disk itself keeps of the old file is not the package's. Errors
// are those of [Open].
func Compact(path string) error {
	if _, err := os.Stat(path); err != nil { // none is made
		return fmt.Errorf("boltstore: compact: %w", err)
	}
	old, err := Open(path, Options{})
	if err != nil {
		return err
	}
	defer old.Close()
	fresh := path + ".compact"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("boltstore: compact %s: %w", path, err)
	}
	db, err := bbolt.Open(fresh, 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("boltstore: compact %s: %w", path, err)
	}
	err = bbolt.Compact(db, old.db, compactBytes)
	if err = errors.Join(err, db.Sync(), db.Close()); err != nil {
		return errors.Join(fmt.Errorf("boltstore: compact %s: %w", path, err), os.Remove(fresh))
	}
	if err := old.Close(); err != nil { // some systems rename no open file
		return fmt.Errorf("boltstore: compact %s: %w", path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("boltstore: compact %s: %w", path, err)
	}
	return nil
}

// compactBytes is how much of a file is copied in one transaction.
const compactBytes = 1 << 20

// check makes the bucket of a fresh file, and looks whether another one is ours.
func (s *Store) check(fresh bool) error {
	if fresh {
		return s.db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(bucket)
			return err
		})
	}
	unused := false
	err := s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		if b == nil {
			name, _ := tx.Cursor().First()
			if unused = name == nil; unused {
				return nil // a process died while it made the file
			}
			return ErrForeign
		}
		_, err := replica.CheckFormat(&view{b})
		return err
	})
	if err == nil && unused {
		return s.check(true)
	}
	return err
}

// Update implements [client.Store].
func (s *Store) Update(fn func(client.Tx) error) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return fmt.Errorf("boltstore: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	w := &writer{view: view{tx.Bucket(bucket)}}
	if err := fn(w); err != nil {
		return err
	}
	if !w.wrote {
		return nil
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("boltstore: commit: %w", err)
	}
	return nil
}

// View implements [client.Store].
func (s *Store) View(fn func(replica.View) error) error {
	tx, err := s.db.Begin(false)
	if err != nil {
		return fmt.Errorf("boltstore: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	return fn(&view{tx.Bucket(bucket)})
}

// Close implements [client.Store]. It waits for transactions that are running.
func (s *Store) Close() error { return s.db.Close() }

// Path is the file's name.
func (s *Store) Path() string { return s.db.Path() }

type view struct{ b *bbolt.Bucket }

// Get implements [replica.View].
func (v *view) Get(key []byte) ([]byte, error) { return v.b.Get(key), nil }

// Ascend implements [replica.View].
func (v *view) Ascend(from, to []byte, fn func(key, value []byte) bool) error {
	c := v.b.Cursor()
	for k, value := c.Seek(from); k != nil && bytes.Compare(k, to) < 0; k, value = c.Next() {
		if !fn(k, value) {
			return nil
		}
	}
	return nil
}

// Descend implements [replica.View].
func (v *view) Descend(from, to []byte, fn func(key, value []byte) bool) error {
	c := v.b.Cursor()
	k, value := c.Seek(to)
	if k == nil {
		k, value = c.Last()
	}
	for ; k != nil && bytes.Compare(k, from) >= 0; k, value = c.Prev() {
		if bytes.Compare(k, to) < 0 && !fn(k, value) {
			return nil
		}
	}
	return nil
}

type writer struct {
	view
	wrote bool
}

// Put implements [client.Tx].
func (w *writer) Put(key, value []byte) error {
	w.wrote = true
	return w.b.Put(key, append(make([]byte, 0, len(value)), value...))
}

// Delete implements [client.Tx].
func (w *writer) Delete(key []byte) error {
	w.wrote = true
	return w.b.Delete(key)
}
