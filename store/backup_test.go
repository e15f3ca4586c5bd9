// SPDX-License-Identifier: Apache-2.0

// Backups and restoring: whole or not there, whatever happens in the middle.

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/store/faultfs"
)

// restore puts a backup into a new directory and opens that.
func restoreAndOpen(t *testing.T, fs vfs.FS, from, to string) (*DB, *Restored) {
	t.Helper()
	restored, err := Restore(t.Context(), RestoreConfig{From: from, To: to, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, Config{Dir: to, FS: fs, MustExist: true})
	if db.Epoch() != restored.Meta.Epoch || db.Epoch() == restored.Backup.Epoch {
		t.Fatalf("the epoch is %d, the answer says %d, before it was %d", db.Epoch(), restored.Meta.Epoch, restored.Backup.Epoch)
	}
	return db, restored
}

// Backups while commits and flushes go on have at least what was acknowledged before, and are whole.
func TestBackupWhileCommitsGoOn(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: filepath.Join(dir, "data"), Partitions: 2, memTableBytes: 64 << 10})
	if err := os.WriteFile(filepath.Join(dir, "data", "seal.key"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	var acknowledged atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for seq := tidemark.Seq(1); ; seq++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if _, err := appendEvents(db, seq, seq, 2000); err != nil {
				stopped <- err
				return
			}
			acknowledged.Store(uint64(seq))
		}
	}()
	folder := filepath.Join(dir, "backups")
	before := map[string]uint64{}
	for i := range 5 {
		for acknowledged.Load() < uint64(100*i) {
			if _, err := db.Partition(0).State(); err != nil {
				t.Fatal(err)
			}
		}
		name := fmt.Sprint("b", i)
		before[name] = acknowledged.Load()
		b, err := db.Checkpoint(folder, name)
		if err != nil {
			t.Fatal(err)
		}
		if b.Dir != filepath.Join(folder, name) || b.Epoch != db.Epoch() || uint64(b.Positions[0]) < before[name] || b.Bytes() == 0 {
			t.Errorf("%+v, before it %d were acknowledged", b, before[name])
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	closeSoon(t, db)
	for name, least := range before {
		to := filepath.Join(dir, "restored-"+name)
		again, restored := restoreAndOpen(t, nil, filepath.Join(folder, name), to)
		head := checkEventsTo(t, again, tidemark.Seq(least))
		if restored.Plain || tidemark.Position(head) != restored.Backup.Positions[0] {
			t.Errorf("%s: the head is %d: %+v", name, head, restored)
		}
		if _, err := appendEvents(again, head+1, head+3, 10); err != nil {
			t.Error(err)
		}
		closeSoon(t, again)
		info, err := os.Stat(filepath.Join(to, "seal.key"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key: %v %v", info, err)
		}
	}
	if info, err := os.Stat(filepath.Join(folder, "b0")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the backup can be read by others: %v %v", info.Mode(), err)
	}
}

// A crash at any moment of a backup leaves it whole or without its name, and the data as they were.
func TestCrashWhileABackupIsMade(t *testing.T) {
	crashes, disk := faultfs.NewCrashes[struct{}](2, nil)
	db := open(t, Config{Dir: "data", FS: disk, memTableBytes: 64 << 10})
	if _, err := appendEvents(db, 1, 60, 2000); err != nil {
		t.Fatal(err)
	}
	crashes.Watch(true)
	_, err := db.Checkpoint("data/backups", "b")
	crashes.Watch(false)
	if err != nil {
		t.Fatal(err)
	}
	closeSoon(t, db)
	whole := 0
	for _, crash := range crashes.Taken() {
		_, statErr := crash.FS.Stat("data/backups/b")
		if statErr == nil {
			whole++
			again, _ := restoreAndOpen(t, crash.FS, "data/backups/b", "restored")
			checkEventsTo(t, again, 60)
			closeSoon(t, again)
		}
		source := open(t, Config{Dir: "data", FS: crash.FS, MustExist: true})
		checkEventsTo(t, source, 60)
		if _, err := source.Checkpoint("data/backups", "b"); statErr != nil && err != nil || statErr == nil && !errors.Is(err, ErrBackupExists) {
			t.Errorf("%v: another backup: %v", crash.Op, err)
		}
		names, _ := crash.FS.List("data/backups")
		for _, name := range names {
			if strings.HasSuffix(name, unfinishedSuffix) {
				t.Errorf("%v: %s was left", crash.Op, name)
			}
		}
		closeSoon(t, source)
	}
	if n := len(crashes.Taken()); n < 30 || whole == 0 {
		t.Errorf("%d crashes, of which %d left the backup", n, whole)
	}
}

// A disk that fails under a backup spoils the backup and nothing else.
func TestFailureOfABackupStopsNothing(t *testing.T) {
	failed := 0
	for at := int64(1); ; at++ {
		var armed atomic.Bool
		var count, hits atomic.Int64
		disk := faultfs.New(vfs.NewMem(), func(op faultfs.Op) error {
			if armed.Load() && strings.HasPrefix(op.Name, "elsewhere") && count.Add(1) == at {
				hits.Add(1)
				return errors.New("the disk is gone")
			}
			return nil
		})
		db := open(t, Config{Dir: "data", FS: disk})
		if _, err := appendEvents(db, 1, 5, 2000); err != nil {
			t.Fatal(err)
		}
		armed.Store(true)
		_, err := db.Checkpoint("elsewhere", "b")
		armed.Store(false)
		if hits.Load() == 0 {
			if err != nil {
				t.Fatal(err)
			}
			closeSoon(t, db)
			break
		}
		if err != nil {
			failed++
			if _, err := disk.Stat("elsewhere/b"); err == nil { // only the folder could not be synced
				again, _ := restoreAndOpen(t, disk, "elsewhere/b", "restored")
				checkEventsTo(t, again, 5)
				closeSoon(t, again)
			}
		}
		if _, err := appendEvents(db, 6, 7, 10); err != nil {
			t.Fatalf("after a failure of operation %d: %v", at, err)
		}
		closeSoon(t, db)
	}
	if failed < 15 {
		t.Errorf("only %d operations failed", failed)
	}
}

// A crash at any moment of a restore leaves a directory that is refused, or the whole one; a second restore goes on.
func TestCrashWhileARestoreIsMade(t *testing.T) {
	crashes, disk := faultfs.NewCrashes[struct{}](3, nil)
	db := open(t, Config{Dir: "data", FS: disk, Partitions: 2})
	if _, err := appendEvents(db, 1, 20, 2000); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Checkpoint("backups", "b"); err != nil {
		t.Fatal(err)
	}
	old := db.Epoch()
	closeSoon(t, db)
	crashes.Watch(true)
	_, err := Restore(t.Context(), RestoreConfig{From: "backups/b", To: "new", FS: disk})
	crashes.Watch(false)
	if err != nil {
		t.Fatal(err)
	}
	refused, whole := 0, 0
	for _, crash := range crashes.Taken() {
		again, err := Open(Config{Dir: "new", FS: crash.FS, MustExist: true, Log: discard()})
		if err == nil {
			whole++
		} else {
			refused++
			if _, err := Restore(t.Context(), RestoreConfig{From: "backups/b", To: "new", FS: crash.FS}); err != nil {
				t.Fatalf("%v: the second restore: %v", crash.Op, err)
			}
			again = open(t, Config{Dir: "new", FS: crash.FS, MustExist: true})
		}
		if again.Epoch() == old {
			t.Errorf("%v: the epoch is the old one", crash.Op)
		}
		checkEventsTo(t, again, 20)
		closeSoon(t, again)
	}
	if refused < 20 || whole == 0 {
		t.Errorf("%d crashes were refused, %d whole", refused, whole)
	}
}

// An interrupted restore says so, also where a new directory would be made.
func TestInterruptedRestoreIsRefused(t *testing.T) {
	dir := full(t, 3)
	to := t.TempDir()
	stop := errors.New("that is enough")
	if _, err := Restore(t.Context(), RestoreConfig{From: dir, To: to, Check: func(string) error { return stop }}); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	for _, must := range []bool{false, true} {
		if _, err := Open(Config{Dir: to, MustExist: must}); err == nil || !strings.Contains(err.Error(), "run tidemark restore again") {
			t.Errorf("it is opened: %v", err)
		}
	}
	db, restored := restoreAndOpen(t, nil, dir, to)
	checkEventsTo(t, db, 3)
	closeSoon(t, db)
	if !restored.Plain {
		t.Error("a copy of a data directory was taken for a backup")
	}
}

// A restore that is told to stop while it copies stops, and can be begun again.
func TestRestoreStopsWhenTold(t *testing.T) {
	dir, to := full(t, 3), filepath.Join(t.TempDir(), "new")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Restore(ctx, RestoreConfig{From: dir, To: to}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: to}); err == nil || !strings.Contains(err.Error(), "run tidemark restore again") {
		t.Errorf("it is opened: %v", err)
	}
	db, _ := restoreAndOpen(t, nil, dir, to)
	checkEventsTo(t, db, 3)
	closeSoon(t, db)
	folder := t.TempDir()
	if _, err := BackUp(ctx, Config{Dir: dir}, folder, "b"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(folder); err != nil || len(names) > 1 { // its LOCK
		t.Errorf("what was begun is still there: %v %v", names, err)
	}
}

func TestRestoreIsRefused(t *testing.T) {
	parent := t.TempDir()
	db := open(t, Config{Dir: filepath.Join(parent, "data")})
	if _, err := appendEvents(db, 1, 20, 2000); err != nil {
		t.Fatal(err)
	}
	_ = os.WriteFile(filepath.Join(parent, "data", "seal.key"), []byte("the key that sealed all that"), 0o600)
	if err := db.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Checkpoint(parent, "good"); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(parent, "good")
	refuse := func(what, from, to, text string) {
		t.Helper()
		if _, err := Restore(t.Context(), RestoreConfig{From: from, To: to}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := Open(Config{Dir: to, MustExist: true}); err == nil {
			t.Errorf("%s: the target can be opened", what)
		}
	}
	refuse("a directory in use", db.dir, filepath.Join(parent, "t1"), "in use")
	refuse("nothing", filepath.Join(parent, "none"), filepath.Join(parent, "t2"), "no backup")
	used := t.TempDir()
	_ = os.WriteFile(filepath.Join(used, "letter.txt"), nil, 0o600)
	refuse("a target with something in it", good, used, "not empty (letter.txt)")
	damage := func(name string, change func(dir string)) {
		t.Helper()
		dir := filepath.Join(parent, name)
		if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		change(dir)
		refuse(name, dir, filepath.Join(parent, "target-"+name), "damaged")
	}
	table := func(dir string) string {
		tables, err := filepath.Glob(filepath.Join(dir, pebbleName, "*.sst"))
		if err != nil || len(tables) == 0 {
			t.Fatal(tables, err)
		}
		return tables[0]
	}
	damage("a file that is missing", func(dir string) { _ = os.Remove(table(dir)) })
	damage("a file that is too short", func(dir string) { _ = os.Truncate(table(dir), 100) })
	damage("another key", func(dir string) {
		_ = os.WriteFile(filepath.Join(dir, "seal.key"), []byte("another key of the same size"), 0o600)
	})
	damage("another list of files", func(dir string) {
		path := filepath.Join(dir, backupName)
		text, _ := os.ReadFile(path)
		_ = os.WriteFile(path, []byte(strings.Replace(string(text), `"epoch":"`, `"epoch":"1`, 1)), 0o600)
	})
	damage("an older log", func(dir string) {
		logs, _ := filepath.Glob(filepath.Join(dir, pebbleName, "*.log"))
		for _, log := range logs { // of the same size, and with nothing in it
			info, _ := os.Stat(log)
			_ = os.WriteFile(log, make([]byte, info.Size()), 0o600)
		}
		text, _ := os.ReadFile(table(dir))
		_ = os.WriteFile(table(dir), make([]byte, len(text)), 0o600)
	})
	closeSoon(t, db)
	if err := os.WriteFile(filepath.Join(good, metaName), []byte(`{"format":1,"partitions":8,"epoch":"1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse("a backup of an older version", good, filepath.Join(parent, "t3"), "older version of Tidemark")
}

// A backup is read and never served.
func TestBackupIsNoDataDirectory(t *testing.T) {
	dir := full(t, 3)
	folder := t.TempDir()
	b, err := BackUp(t.Context(), Config{Dir: dir}, folder, "b")
	if err != nil || b.Positions[0] != 3 {
		t.Fatal(b, err)
	}
	if _, err := Open(Config{Dir: b.Dir}); err == nil || !strings.Contains(err.Error(), "tidemark restore --from") {
		t.Errorf("it is opened: %v", err)
	}
	if _, err := NewEpoch(Config{Dir: b.Dir}); err == nil {
		t.Error("it gets an epoch")
	}
	if _, err := AcceptLoss(Config{Dir: b.Dir}, ""); err == nil {
		t.Error("it gets an epoch")
	}
	db := open(t, Config{Dir: b.Dir, ReadOnly: true})
	checkEventsTo(t, db, 3)
	closeSoon(t, db)
	if read, err := ReadBackup(nil, b.Dir); err != nil || read.Bytes() != b.Bytes() || read.MadeMs != b.MadeMs {
		t.Errorf("it says %+v, %v; want %+v", read, err, b)
	}
}

func TestBackupNames(t *testing.T) {
	folder := t.TempDir()
	db := open(t, Config{Dir: t.TempDir()})
	defer closeSoon(t, db)
	for _, name := range []string{"", ".", "..", "../b", "a/b", "/b", ".hidden", "-f", "b.unfinished", "LOCK", "a\x00b", "ä", strings.Repeat("x", 65)} {
		if _, err := db.Checkpoint(folder, name); !errors.Is(err, ErrBackupName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	name := BackupName(1_700_000_000_123)
	if name != "20231114T221320.123Z" {
		t.Errorf("the name for a time is %s", name)
	}
	if _, err := db.Checkpoint(folder, name); err != nil {
		t.Error(err)
	}
	if _, err := db.Checkpoint(folder, name); !errors.Is(err, ErrBackupExists) {
		t.Errorf("the same name again: %v", err)
	}
	if _, err := BackUp(t.Context(), Config{Dir: db.dir}, folder, "other"); !errors.Is(err, ErrInUse) {
		t.Errorf("of a directory in use: %v", err)
	}
}

// A backup for which there is no room is refused before anything is written, and the data go on.
func TestBackupNeedsRoom(t *testing.T) {
	disk := &tellingDisk{FS: vfs.NewMem()}
	disk.avail.Store(1 << 40)
	db := open(t, Config{Dir: "data", FS: disk})
	defer closeSoon(t, db)
	if _, err := appendEvents(db, 1, 3, 10); err != nil {
		t.Fatal(err)
	}
	disk.avail.Store(defaultReserveBytes + 100)
	if _, err := db.Checkpoint("backups", "b"); !errors.Is(err, ErrLowSpace) {
		t.Errorf("without room: %v", err)
	}
	disk.avail.Store(1 << 40)
	if _, err := db.Checkpoint("backups", "b"); err != nil {
		t.Error(err)
	}
	disk.avail.Store(100)
	if _, err := Restore(t.Context(), RestoreConfig{From: "backups/b", To: "new", FS: disk}); !errors.Is(err, ErrLowSpace) {
		t.Errorf("a restore without room: %v", err)
	}
	disk.avail.Store(1 << 40)
	again, _ := restoreAndOpen(t, disk, "backups/b", "new")
	closeSoon(t, again)
}

// tellingDisk says how much is free.
type tellingDisk struct {
	vfs.FS
	avail atomic.Uint64
}

func (d *tellingDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.avail.Load(), TotalBytes: 1 << 40}, nil
}
