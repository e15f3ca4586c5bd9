// SPDX-License-Identifier: Apache-2.0

// What the logs of a new directory take of the disk.

//go:build linux

package store

import (
	"path/filepath"
	"syscall"
	"testing"
)

func TestSmallLogsTakeLittleDisk(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir, Partitions: 2})
	if _, err := appendEvents(db, 1, 600, 10_000); err != nil { // past some of the first, small tables in memory
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, pebbleName, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	for _, log := range logs {
		var status syscall.Stat_t
		if err := syscall.Stat(log, &status); err != nil {
			t.Fatal(err)
		}
		if taken := status.Blocks * 512; taken > status.Size+2*logStepBytes {
			t.Errorf("%s holds %d bytes and takes %d", filepath.Base(log), status.Size, taken)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
