// SPDX-License-Identifier: Apache-2.0

// New epochs: a directory that has less than it had goes on under another number, and never without one.

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidemark-im/tidemark/store/faultfs"
)

// A copy of an older time goes on under another epoch, and all that it holds is there.
func TestNewEpochOfAnOlderCopy(t *testing.T) {
	mem := vfs.NewCrashableMem()
	db := open(t, Config{Dir: "data", FS: mem})
	if _, err := appendEvents(db, 1, 10, 100); err != nil {
		t.Fatal(err)
	}
	older := mem.CrashClone(vfs.CrashCloneCfg{})
	if _, err := appendEvents(db, 11, 20, 100); err != nil {
		t.Fatal(err)
	}
	closeSoon(t, db)
	meta, err := NewEpoch(Config{Dir: "data", FS: older})
	if err != nil || meta.Epoch == db.Epoch() || meta.Epoch == 0 || meta.Partitions != db.Meta().Partitions || meta.CreatedMs != db.Meta().CreatedMs {
		t.Fatalf("%+v, %v; before it was %+v", meta, err, db.Meta())
	}
	again := open(t, Config{Dir: "data", FS: older})
	defer closeSoon(t, again)
	if again.Epoch() != meta.Epoch {
		t.Errorf("the epoch is %d, want %d", again.Epoch(), meta.Epoch)
	}
	if head := checkEventsTo(t, again, 10); head != 10 {
		t.Errorf("the head is %d, want 10", head)
	}
	if _, err := appendEvents(again, 11, 12, 10); err != nil {
		t.Error(err)
	}
}

// Crashes: at each moment of it the directory has the old epoch or the new, and opens.
func TestNewEpochIsAtomic(t *testing.T) {
	crashes, disk := faultfs.NewCrashes[struct{}](1, nil)
	db := open(t, Config{Dir: "data", FS: disk})
	if _, err := appendEvents(db, 1, 3, 100); err != nil {
		t.Fatal(err)
	}
	closeSoon(t, db)
	crashes.Watch(true)
	meta, err := NewEpoch(Config{Dir: "data", FS: disk})
	crashes.Watch(false)
	if err != nil {
		t.Fatal(err)
	}
	if len(crashes.Taken()) < 4 {
		t.Fatalf("only %d crashes", len(crashes.Taken()))
	}
	for _, crash := range crashes.Taken() {
		again := open(t, Config{Dir: "data", FS: crash.FS, MustExist: true})
		if e := again.Epoch(); e != db.Epoch() && e != meta.Epoch {
			t.Errorf("%v: the epoch is %d, neither %d nor %d", crash.Op, e, db.Epoch(), meta.Epoch)
		}
		checkEventsTo(t, again, 3)
		closeSoon(t, again)
	}
}

func TestNewEpochIsRefused(t *testing.T) {
	dir := full(t, 1)
	db := open(t, Config{Dir: dir})
	if _, err := NewEpoch(Config{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("of a directory in use: %v", err)
	}
	closeSoon(t, db)
	empty := t.TempDir()
	if _, err := NewEpoch(Config{Dir: empty}); err == nil || !strings.Contains(err.Error(), "no Tidemark data") {
		t.Errorf("of an empty directory: %v", err)
	}
}

// What Open refuses because commits are lost goes on by AcceptLoss, which says how many, and keeps the files.
func TestAcceptLoss(t *testing.T) {
	const last = 100
	dir := full(t, last)
	log := newestLog(t, dir)
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(log, int64(len(content)/2)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "--accept-loss") {
		t.Fatalf("it is not refused with what to do: %v", err)
	}
	before, err := readMeta(vfs.Default, dir)
	if err != nil {
		t.Fatal(err)
	}
	keep := dir + ".kept"
	loss, err := AcceptLoss(Config{Dir: dir}, keep)
	if err != nil {
		t.Fatal(err)
	}
	have := loss.Have[0]
	if have == 0 || have >= last || loss.Reached[0] != last || loss.Commits() != uint64(last-have) || loss.Old != before.Epoch || loss.New == before.Epoch {
		t.Errorf("the loss is %+v, %d commits", loss, loss.Commits())
	}
	db := open(t, Config{Dir: dir})
	if head := checkEventsTo(t, db, 1); uint64(head) != uint64(have) {
		t.Errorf("the head is %d, want %d", head, have)
	}
	if db.Epoch() != loss.New {
		t.Errorf("the epoch is %d, want %d", db.Epoch(), loss.New)
	}
	closeSoon(t, db)
	if kept, err := os.ReadFile(filepath.Join(keep, pebbleName, filepath.Base(log))); err != nil || len(kept) != len(content)/2 {
		t.Errorf("the log that was kept has %d bytes, want %d: %v", len(kept), len(content)/2, err)
	}
	if _, err := Open(Config{Dir: keep}); !errors.Is(err, ErrDamaged) {
		t.Errorf("what was kept is served: %v", err)
	}
	if info, err := os.Stat(keep); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("what was kept has the mode %v, %v", info.Mode(), err)
	}
}

// Where the database cannot be opened, and where the copy cannot be made, nothing is changed.
func TestAcceptLossChangesNothingItCannotFinish(t *testing.T) {
	dir := full(t, 10)
	before, err := os.ReadFile(filepath.Join(dir, metaName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := AcceptLoss(Config{Dir: dir}, t.TempDir()); !errors.Is(err, os.ErrExist) {
		t.Errorf("into a directory that is there: %v", err)
	}
	manifests, _ := filepath.Glob(filepath.Join(dir, pebbleName, "MANIFEST-*"))
	for _, manifest := range manifests {
		if err := os.Truncate(manifest, 3); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := AcceptLoss(Config{Dir: dir}, ""); !errors.Is(err, ErrDamaged) {
		t.Errorf("without a manifest: %v", err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, metaName)); string(after) != string(before) {
		t.Errorf("%s was changed: %s", metaName, after)
	}
}
