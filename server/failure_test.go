// SPDX-License-Identifier: Apache-2.0

// When the disk fails: nothing is acknowledged any more, everything committed is served, and machines are told.

package server_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/server"
	"github.com/tidemark-im/tidemark/store"
)

// breaking is a journal that can be broken.
type breaking struct {
	journal.Journal
	broken *atomic.Bool
}

func (b breaking) Commit(batch *store.Batch) error {
	if b.broken.Load() {
		return errors.New("the disk does not answer")
	}
	return b.Journal.Commit(batch)
}

func TestAFailingDisk(t *testing.T) {
	var broken atomic.Bool
	n := world(t, func(c *server.Config) {
		c.WrapJournal(func(j journal.Journal) journal.Journal { return breaking{j, &broken} })
	})
	if a := n.get("/readyz"); a.status != 200 {
		t.Fatalf("before: %d %s", a.status, a.text)
	}
	before := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","latest":true}`)).text
	broken.Store(true)
	n.refuses(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"c2","message":{"text":"lost?"}}`), 503, "UNAVAILABLE")
	if a := n.get("/readyz"); a.status != 503 || !strings.HasPrefix(a.text, "stopped writing: ") || !strings.Contains(a.text, "the disk does not answer") {
		t.Errorf("/readyz: %d %q", a.status, a.text)
	}
	if a := n.get("/healthz"); a.status != 200 {
		t.Errorf("/healthz: %d", a.status)
	}
	broken.Store(false) // a disk that comes back is not trusted again
	n.refuses(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"c3","message":{"text":"and now?"}}`), 503, "UNAVAILABLE")
	if after := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","latest":true}`)).text; after != before {
		t.Errorf("what is served has changed\nbefore %s\nafter  %s", before, after)
	}
	n.ok(n.as("bob", "ConversationService/List", `{}`))
	if state := n.ok(n.app("AdminService/Stats", `{}`)).at("state"); !strings.HasPrefix(state.(string), "stopped writing: ") {
		t.Errorf("Stats: %v", state)
	}
	metrics := n.get("/metrics").text
	if !strings.Contains(metrics, "\ntidemark_ready 0\n") || !strings.Contains(metrics, "\ntidemark_commit_failures_total 1\n") {
		t.Error("the figures do not tell")
	}
	dir := n.dir
	if err := n.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	n = start(t, dir, nil)
	if seq := n.say("alice", "team", "c2", "lost?"); seq != "3" {
		t.Errorf("after a restart the refused message gets seq %s", seq)
	}
}
