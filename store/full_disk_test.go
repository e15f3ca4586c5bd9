// SPDX-License-Identifier: Apache-2.0

//go:build linux

// A real disk that is full: a small tmpfs, where mounting is permitted.

package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
)

// smallDisk is a new file system of some MiB; the test is skipped where it may not be mounted.
func smallDisk(t *testing.T, sizeMiB string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+sizeMiB+"m"); err != nil {
		t.Skipf("mounting is not permitted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// enlarge gives a small disk more room.
func enlarge(t *testing.T, dir, sizeMiB string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size="+sizeMiB+"m"); err != nil {
		t.Fatal(err)
	}
}

// fill commits until one fails.
func fill(t *testing.T, db *DB, from tidemark.Seq) (acknowledged tidemark.Seq, err error) {
	t.Helper()
	acknowledged = from - 1
	for err == nil {
		if acknowledged > from+10_000 {
			t.Fatal("the disk does not fill")
		}
		acknowledged, err = appendEvents(db, acknowledged+1, acknowledged+1, 100_000)
	}
	return acknowledged, err
}

func TestFullDiskStopsAndAllIsThereAfterARestart(t *testing.T) {
	disk := smallDisk(t, "40")
	cfg := Config{Dir: filepath.Join(disk, "data"), Partitions: 1, ReserveBytes: -1}
	db := open(t, cfg)
	acknowledged, err := fill(t, db, 1)
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(db.Failed(), syscall.ENOSPC) {
		t.Fatalf("after %d commits: %v; the store says %v", acknowledged, err, db.Failed())
	}
	checkReadable(t, db, acknowledged)
	if err := db.Flush(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("flush: %v", err)
	}
	closeSoon(t, db)
	enlarge(t, disk, "200")
	db = open(t, cfg)
	defer closeSoon(t, db)
	head := checkEventsTo(t, db, acknowledged)
	if _, err := appendEvents(db, head+1, head+200, 100_000); err != nil {
		t.Fatal(err)
	}
	checkEventsTo(t, db, head+200)
}

// checkReadable fails unless everything acknowledged can be read, also while what was not acknowledged shows.
func checkReadable(t *testing.T, db *DB, acknowledged tidemark.Seq) {
	t.Helper()
	for seq := tidemark.Seq(1); seq <= acknowledged; seq++ {
		if e, err := db.Partition(0).Event(1, seq); err != nil || e == nil {
			t.Fatalf("event %d of %d: %v, %v", seq, acknowledged, e, err)
		}
	}
}

func TestReserveRefusesAndResumes(t *testing.T) {
	disk := smallDisk(t, "120")
	db := open(t, Config{Dir: filepath.Join(disk, "data"), Partitions: 1, ReserveBytes: 30 << 20})
	defer closeSoon(t, db)
	ballast := filepath.Join(disk, "ballast")
	write(t, ballast, string(make([]byte, 60<<20)))
	acknowledged, err := fill(t, db, 1)
	if !errors.Is(err, ErrLowSpace) || db.LowSpace() == nil || db.Failed() != nil {
		t.Fatalf("after %d commits: %v; the store says %v and %v", acknowledged, err, db.LowSpace(), db.Failed())
	}
	checkEventsTo(t, db, acknowledged)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := appendEvents(db, acknowledged+1, acknowledged+5, 1000); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := db.Flush(ctx); err != nil {
		t.Error(err)
	}
	checkEventsTo(t, db, acknowledged+5)
}
