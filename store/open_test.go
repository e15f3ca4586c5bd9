// SPDX-License-Identifier: Apache-2.0

// Opening: what is ours, what is refused, and that a refusal changes nothing.

package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listing is the names, modes and contents of everything below dir.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s %d\n", path, info.Mode(), info.ModTime().UnixNano())
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%x\n", content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesAndChangesNothing(t *testing.T) {
	ours := func(t *testing.T, dir string) {
		db := open(t, Config{Dir: dir, Partitions: 4})
		commit(t, db, 3, testChanges())
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		cfg     Config
		says    []string
	}{
		{"a foreign directory", func(t *testing.T, dir string) {
			write(t, dir+"/letters.txt", "dear")
			write(t, dir+"/old/a", "x")
		}, Config{}, []string{"not empty", "letters.txt", "empty or new directory"}},
		{"a file", func(t *testing.T, dir string) { write(t, dir, "x") }, Config{}, []string{"it is a file"}},
		{"a newer version", func(t *testing.T, dir string) {
			ours(t, dir)
			write(t, dir+"/TIDEMARK", `{"format":4,"partitions":4,"epoch":"9","createdMs":1,"new":true}`)
		}, Config{}, []string{"newer version", "format 4", "reads 3"}},
		{"an older version", func(t *testing.T, dir string) {
			ours(t, dir)
			write(t, dir+"/TIDEMARK", `{"format":2,"partitions":4,"epoch":"9","createdMs":1}`)
		}, Config{}, []string{"older version", "format 2", "reads 3"}},
		{"another number of partitions", ours, Config{Partitions: 8}, []string{"4 partitions", "8 were asked", "leave it out"}},
		{"a damaged TIDEMARK", func(t *testing.T, dir string) {
			ours(t, dir)
			write(t, dir+"/TIDEMARK", "{")
		}, Config{}, []string{"TIDEMARK", "damaged", "backup"}},
		{"no partitions", func(t *testing.T, dir string) {
			write(t, dir+"/TIDEMARK", `{"format":3}`)
		}, Config{}, []string{"damaged", "0 partitions"}},
		{"nothing, but it must exist", func(*testing.T, string) {}, Config{MustExist: true}, []string{"no Tidemark data"}},
		{"an empty directory, read-only", func(t *testing.T, dir string) {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}, Config{ReadOnly: true}, []string{"no Tidemark data"}},
		{"too many partitions", func(*testing.T, string) {}, Config{Partitions: 257}, []string{"1 to 256"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			c.cfg.Dir = filepath.Join(parent, "data")
			c.prepare(t, c.cfg.Dir)
			before := listing(t, parent)
			db, err := Open(c.cfg)
			if err == nil {
				t.Fatal("opened", db.Close())
			}
			for _, text := range append(c.says, "data") {
				if !strings.Contains(err.Error(), text) && c.cfg.Partitions <= 256 {
					t.Errorf("%q does not say %q", err, text)
				}
			}
			if after := listing(t, parent); after != before {
				t.Errorf("the directory was changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func TestOpenRefusesMissingDatabase(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, pebbleName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("without its database: %v", err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	mem := vfs.NewMem()
	for name, cfg := range map[string]Config{"disk": {Dir: t.TempDir()}, "memory": {Dir: "data", FS: mem}} {
		t.Run(name, func(t *testing.T) {
			db := open(t, cfg)
			for _, again := range []Config{cfg, {Dir: cfg.Dir, FS: cfg.FS, ReadOnly: true}} {
				if _, err := Open(again); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "already in use by another process") {
					t.Errorf("a second one: %v", err)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = open(t, cfg)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestInterruptedCreationStartsAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/TIDEMARK", `{"format":3,"partitions":4,"epoch":"9","createdMs":1,"unfinished":true}`)
	write(t, dir+"/TIDEMARK.tmp", "{")
	write(t, dir+"/db/half", "x")
	db := open(t, Config{Dir: dir, Partitions: 4})
	defer db.Close()
	if m := db.Meta(); m.Epoch == 9 || m.Unfinished || m.Partitions != 4 {
		t.Errorf("meta is %+v", m)
	}
	if _, err := os.Stat(dir + "/db/half"); !os.IsNotExist(err) {
		t.Errorf("what was left is still there: %v", err)
	}
}

func TestMetaComesFromTheConfig(t *testing.T) {
	cfg := Config{Dir: "d", FS: vfs.NewMem(), Partitions: 3, NowMs: func() uint64 { return 42 },
		Entropy: bytes.NewReader([]byte{0x80, 0, 0, 0, 0, 0, 1, 4})}
	db := open(t, cfg)
	defer db.Close()
	want(t, "meta", db.Meta(), nil, Meta{FormatVersion: 3, Partitions: 3, Epoch: 0x4000000000000083, CreatedMs: 42})
	cfg = Config{Dir: "e", FS: vfs.NewMem(), Entropy: bytes.NewReader(nil)}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "epoch") {
		t.Errorf("without entropy: %v", err)
	}
}

func TestReadOnlyRefusesCommits(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	commit(t, db, 0, testChanges())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, Config{Dir: dir, ReadOnly: true})
	defer db.Close()
	b := db.NewBatch(0)
	defer b.Close()
	b.Put(testChanges())
	for _, err := range []error{db.Commit(b), db.Flush(t.Context()), db.Compact(t.Context())} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("read-only: %v", err)
		}
	}
	if db.Failed() != nil {
		t.Error(db.Failed())
	}
}
