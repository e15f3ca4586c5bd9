// SPDX-License-Identifier: Apache-2.0

// Event ids rise, whatever the clock does.

package tidemark_test

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"pgregory.net/rapid"
)

const ten = 1_772_359_200_000 // 2026-03-01 10:00 UTC, ms

func TestEventIDs(t *testing.T) {
	first := tidemark.EventID(0).Next(ten, 7)
	if first.TimeMs() != ten || first.Partition() != 7 || first != 815_886_080_409_714_688 {
		t.Errorf("the first id is %d: time %d, partition %d", first, first.TimeMs(), first.Partition())
	}
	if next := first.Next(ten, 7); next != first+1 {
		t.Errorf("in the same ms, %d after %d", next, first)
	}
	if back := first.Next(ten-3600_000, 7); back != first+1 {
		t.Errorf("the clock stepped back, %d after %d", back, first)
	}
	if next := first.Next(ten+1, 7); next.TimeMs() != ten+1 || next&(1<<14-1) != 0 {
		t.Errorf("in the next ms, %d after %d", next, first)
	}
	if before := tidemark.EventID(0).Next(0, 7); before == 0 || before.TimeMs() != 1_577_836_800_000 {
		t.Errorf("a clock before 2020 gives %d", before)
	}
}

func TestEventIDsSpillIntoTheNextMillisecond(t *testing.T) {
	id := tidemark.EventID(0).Next(ten, 255)
	for range 1<<14 - 1 {
		id = id.Next(ten, 255)
	}
	if id.TimeMs() != ten {
		t.Fatalf("16,384 ids do not fit one ms: the last is of %d", id.TimeMs())
	}
	if next := id.Next(ten, 255); next.TimeMs() != ten+1 || next.Partition() != 255 || next <= id {
		t.Errorf("the counter is used up: %d after %d", next, id)
	}
}

func TestA3UniqueIDsRise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partition := rapid.Uint32Range(0, tidemark.PartitionsMax-1).Draw(t, "partition")
		var last tidemark.EventID
		for _, now := range rapid.SliceOf(rapid.Uint64Range(0, ten+10)).Draw(t, "clock") {
			id := last.Next(now, partition)
			if id <= last || id.Partition() != partition || id.TimeMs() < now {
				t.Fatalf("at %d: %d after %d, time %d, partition %d", now, id, last, id.TimeMs(), id.Partition())
			}
			last = id
		}
	})
}
