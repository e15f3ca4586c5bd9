// SPDX-License-Identifier: Apache-2.0

// The store in a file is a store as storetest understands it, opens again, and refuses what is not its own.

package boltstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/boltstore"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/client/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) client.Store { return open(t, filepath.Join(t.TempDir(), "device")) })
}

func open(t *testing.T, path string) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(path, boltstore.Options{LockMax: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device")
	s := open(t, path)
	if err := s.Update(func(tx client.Tx) error {
		return errors.Join(tx.Put(replica.FormatKey, []byte(replica.Format)), tx.Put([]byte("a"), []byte("1")))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := boltstore.Open(path, boltstore.Options{LockMax: time.Millisecond}); !errors.Is(err, boltstore.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).View(func(v replica.View) error {
		value, err := v.Get([]byte("a"))
		if string(value) != "1" {
			t.Errorf("after reopening: %q", value)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A file that is not ours is refused with a clear error and stays as it was.
func TestRefused(t *testing.T) {
	bolt := func(fill func(tx *bbolt.Tx) error) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := bbolt.Open(path, 0o600, nil)
			if err == nil {
				err = errors.Join(db.Update(fill), db.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"text": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("Once upon a time. ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a Tidemark device store"},
		"another program's": {bolt(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("mail")); return err }), "not a Tidemark device store"},
		"a newer version's": {bolt(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte("tidemark device"))
			if err != nil {
				return err
			}
			return b.Put(replica.FormatKey, []byte("tidemark device 3"))
		}), "use a newer version"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "device")
			c.make(t, path)
			before, _ := os.ReadFile(path)
			s, err := boltstore.Open(path, boltstore.Options{})
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v, want %q and the path", err, c.want)
			}
			if after, _ := os.ReadFile(path); string(before) != string(after) {
				t.Error("the file was changed")
			}
		})
	}
}

// A compacted file holds what the map holds, and no byte of what was deleted; one that is open, missing or foreign stays as
// it is.
func TestCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	if err := boltstore.Compact(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	s, err := boltstore.Open(path, boltstore.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	put := func(value []byte, delete bool) {
		err := s.Update(func(tx client.Tx) (err error) {
			for i := range 1000 {
				key := fmt.Appendf(nil, "%c/%04d", value[0], i)
				if err = errors.Join(err, tx.Delete(key)); !delete {
					err = errors.Join(err, tx.Put(key, value))
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err = s.Update(func(tx client.Tx) error { return tx.Put(replica.FormatKey, []byte(replica.Format)) })
	if err != nil {
		t.Fatal(err)
	}
	put([]byte("kept"), false)
	put([]byte("deleted"), false)
	put([]byte("deleted"), true)
	if err := boltstore.Compact(path); !errors.Is(err, boltstore.ErrLocked) {
		t.Errorf("an open file: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if !bytes.Contains(before, []byte("deleted")) {
		t.Error("nothing is left of what was deleted: Compact is for nothing")
	}
	if err := os.WriteFile(path+".compact", []byte("left behind"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := boltstore.Compact(path); err != nil {
		t.Fatal(err)
	}
	after, _ := os.ReadFile(path)
	if bytes.Contains(after, []byte("deleted")) || bytes.Count(after, []byte("kept")) != 1000 || len(after) >= len(before) {
		t.Errorf("%d bytes became %d", len(before), len(after))
	}
	if s, err = boltstore.Open(path, boltstore.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("foreign "), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := boltstore.Compact(path); !errors.Is(err, boltstore.ErrForeign) {
		t.Errorf("a foreign file: %v", err)
	}
}
