// SPDX-License-Identifier: Apache-2.0

// An ordered end leaves nothing that only the log has.

package server_test

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOrderedEndWritesTheLogOut(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice", "bob")
	n.group("team", "alice", "bob")
	n.say("alice", "team", "one", "one")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	for _, log := range logs {
		if err := os.Remove(log); err != nil {
			t.Fatal(err)
		}
	}
	n = start(t, dir, nil)
	if seq := n.say("alice", "team", "two", "two"); seq != "3" {
		t.Errorf("without the log the next seq is %s", seq)
	}
}
