// SPDX-License-Identifier: Apache-2.0

// A server that was restored from a backup: it has what the backup has, under another epoch, and its devices hear of it.

package server_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/tidemark-im/tidemark/store"
)

func TestRestoredServerResetsItsDevices(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	for _, user := range []string{"alice", "bob"} {
		n.ok(n.app("UserService/Upsert", `{"user":{"id":"`+user+`"}}`))
	}
	n.ok(n.app("ConversationService/Create", `{"id":"team","members":["alice","bob"]}`))
	submit := func(n *node, id string) map[string]any {
		return n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"`+id+`","message":{"text":"hello"}}`)).body
	}
	kept := submit(n, "kept")
	path := n.ok(n.app("AdminService/Checkpoint", `{"name":"b"}`)).at("path").(string)
	lost := submit(n, "lost")
	pulled := n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"phone"}`)).body
	cursor, err := json.Marshal(pulled["cursor"])
	if err != nil {
		t.Fatal(err)
	}
	n.stop()

	to := filepath.Join(t.TempDir(), "restored")
	if _, err := store.Restore(t.Context(), store.RestoreConfig{From: path, To: to}); err != nil {
		t.Fatal(err)
	}
	n = start(t, to, nil)
	answer := n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"phone","cursor":`+string(cursor)+`}`))
	if reason := answer.at("reset", "reason"); reason != "EPOCH" {
		t.Errorf("a cursor from before the restore gets the reset %v, want EPOCH", reason)
	}
	if answer.body["epoch"] == pulled["epoch"] {
		t.Errorf("the epoch is still %v", answer.body["epoch"])
	}
	// The seals that it gave are known again, and the event it has is the one that it acknowledged.
	again := submit(n, "kept")
	if again["digest"] != kept["digest"] || again["seal"] != kept["seal"] || again["duplicate"] != true || kept["seal"] == nil {
		t.Errorf("the event that is in the backup was %v and is %v", kept, again)
	}
	// What was lost can be written again, and is another event.
	if other := submit(n, "lost"); other["seq"] != lost["seq"] || other["digest"] == lost["digest"] {
		t.Errorf("the lost event was %v, written again it is %v", lost, other)
	}
}
