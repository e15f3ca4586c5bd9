// SPDX-License-Identifier: Apache-2.0

// Acknowledged commits that the database has lost: the directory is refused as it is, not served without them.

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
)

// newestLog is the path of the log that was written last.
func newestLog(t *testing.T, dir string) string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, pebbleName, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	return logs[len(logs)-1]
}

// full is a closed directory whose partition 0 has come to position last, all in the log.
func full(t *testing.T, last tidemark.Seq) (dir string) {
	t.Helper()
	dir = t.TempDir()
	db := open(t, Config{Dir: dir, Partitions: 2})
	if _, err := appendEvents(db, 1, last, 1000); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLostCommitsAreRefused(t *testing.T) {
	const last = 100
	for name, damage := range map[string]func(log string, content []byte) error{
		"a byte of the log": func(log string, content []byte) error {
			content[len(content)/2] ^= 0xff
			return os.WriteFile(log, content, 0o600)
		},
		"the end of the log": func(log string, content []byte) error { return os.Truncate(log, int64(len(content)-1000)) },
		"the log":            func(log string, _ []byte) error { return os.Remove(log) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := full(t, last)
			log := newestLog(t, dir)
			content, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(log, content); err != nil {
				t.Fatal(err)
			}
			damaged, _ := os.ReadFile(log)
			for attempt := range 2 { // the first changes nothing that would make the second succeed
				if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "backup") {
					t.Fatalf("attempt %d: %v", attempt, err)
				}
			}
			if kept, _ := os.ReadFile(log); string(kept) != string(damaged) {
				t.Errorf("the log had %d bytes and has %d", len(damaged), len(kept))
			}
			db := open(t, Config{Dir: dir, ReadOnly: true})
			if state, err := db.Partition(0).State(); err != nil || state.Position >= db.Reached(0) || db.Reached(0) != last {
				t.Errorf("position %d of %d, %v", state.Position, db.Reached(0), err)
			}
			closeSoon(t, db)
		})
	}
}

func TestMissingTableSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	if _, err := appendEvents(db, 1, 10, 1000); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, pebbleName, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	if err := os.Remove(tables[0]); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		if _, err := Open(Config{Dir: dir, ReadOnly: readOnly}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("read-only %v: %v", readOnly, err)
		}
	}
}

func TestReachedThatIsTornIsNotBelieved(t *testing.T) {
	dir := full(t, 10)
	path := filepath.Join(dir, reachedName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{"", "{", strings.Replace(string(content), "[10,", "[99,", 1), strings.Replace(string(content), "[10,0]", "[10]", 1)} {
		if torn == string(content) {
			t.Fatalf("no position 10 in %s", content)
		}
		write(t, path, torn)
		db, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatalf("with %q: %v", torn, err)
		}
		if got := db.Reached(0); got != 0 {
			t.Errorf("with %q: reached %d", torn, got)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if again, err := os.ReadFile(path); err != nil || string(again) != string(content) {
			t.Errorf("with %q: it is then %q, %v", torn, again, err)
		}
	}
}

func TestReachedFollowsWhileCommitsGoOn(t *testing.T) {
	now := uint64(1_000_000)
	mem := vfs.NewMem()
	db := open(t, Config{Dir: "data", FS: mem, NowMs: func() uint64 { return now }})
	defer closeSoon(t, db)
	for _, step := range []struct {
		wait uint64
		want tidemark.Position
	}{{0, 1}, {reachedEveryMs - 1, 1}, {1, 3}, {1, 3}, {reachedEveryMs, 5}} {
		now += step.wait
		last, err := db.Partition(0).State()
		if err != nil {
			t.Fatal(err)
		}
		next := tidemark.Seq(last.Position + 1)
		if _, err := appendEvents(db, next, next, 10); err != nil {
			t.Fatal(err)
		}
		if got := newReached(Config{FS: mem, Dir: "data", Log: discard()}, db.Meta()).at(0); got != step.want {
			t.Errorf("after position %d: %d, not %d", next, got, step.want)
		}
	}
}
