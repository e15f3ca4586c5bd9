// SPDX-License-Identifier: Apache-2.0

// Copies are taken and restored in every way that there is, or nothing of it is tested.

package sim

import (
	"strings"
	"testing"
)

func TestCopiesAreTakenAndRestoredInEveryWay(t *testing.T) {
	ways := map[string]int{
		"a backup in the next commit": 0, "the files in the next commit": 0, "a snapshot in the next commit": 0, "a backup: [": 0,
		"copy: the files": 0, "copy: a snapshot": 0, "in the middle of a commit a backup is made: [": 0, "in the middle of a commit a copy was taken": 0,
		"restore: the files, as they are": 0, "restore: the files, whose loss is accepted": 0,
		"restore: a copy of the files up to": 0, "restore: a backup up to": 0,
	}
	for seed := range uint64(40) {
		w := newWorld(t.Context(), Config{Seed: 1000 + seed, Profile: "restores", Story: true})
		w.live(w.plan(), nil)
		for _, l := range w.story {
			for way := range ways {
				if strings.Contains(l.text, way) {
					ways[way]++
				}
			}
		}
		w.end()
	}
	for way, times := range ways {
		if times == 0 {
			t.Errorf("in no world: %s", way)
		}
	}
}
