// SPDX-License-Identifier: Apache-2.0

// A table that the disk has changed: what reading it says.

package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidemark-im/tidemark/record"
)

func TestDamageIsToldInOneLine(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir, Partitions: 2})
	if _, err := appendEvents(db, 1, 100, 1000); err != nil {
		t.Fatal(err)
	}
	if err := db.pebble.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, pebbleName, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	for _, table := range tables {
		content, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(content) / 2 { // the blocks; what is at the end is read when it is opened
			content[i] ^= 0xff
		}
		write(t, table, string(content))
	}
	db, err = Open(Config{Dir: dir, ReadOnly: true})
	if err == nil {
		_, err = db.Partition(0).Event(1, 1)
		scanned := db.Partition(0).Events(1, 1, 100, false, func(*record.Event) bool { return true })
		if scanned == nil || strings.Contains(scanned.Error(), "\n") || strings.Contains(scanned.Error(), "carrier") {
			t.Errorf("a scan says %q", scanned)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if err == nil || !pebble.IsCorruptionError(err) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "carrier") {
		t.Errorf("a read says %q", err)
	}
}
