// SPDX-License-Identifier: Apache-2.0

// Blocks stay in memory, whatever the tables in memory take.

package store

import (
	"context"
	"testing"
)

// Pebble takes the tables in memory off the size of its cache. Once they have grown, something must be left of it.
func TestBlocksStayInMemoryUnderLoad(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir(), Partitions: 2, CacheBytes: 4 << 20, memTableBytes: 4 << 20})
	defer db.Close()
	const events, eachBytes = 1600, 10_000 // several tables in memory, one after the other
	last, err := appendEvents(db, 1, events, eachBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	const few, attempts = 50, 100
	for range attempts { // blocks of tables that a compaction has just made are read anew
		before := db.Metrics().CacheMisses
		for seq := last - few; seq < last; seq++ {
			if e, err := db.Partition(0).Event(1, seq); err != nil || e == nil {
				t.Fatalf("event %d: %v, %v", seq, e, err)
			}
		}
		if db.Metrics().CacheMisses == before {
			return
		}
	}
	t.Errorf("half a megabyte of events is read from the disk again and again, %d times", attempts)
}
