// SPDX-License-Identifier: Apache-2.0

// What history shows of messages that were changed since, and how large a page may be.

package server_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark-im/tidemark/server"
)

func TestHistoryShowsCurrentForms(t *testing.T) {
	n := world(t, nil) // event 2 is alice's "hello"
	submit := func(user, id, action string) answer {
		t.Helper()
		return n.ok(n.as(user, "MessageService/Submit", `{"conversation":"team","clientId":"`+id+`",`+action+`}`))
	}
	event := func(user, seq string) answer {
		t.Helper()
		before := n.ok(n.as(user, "MessageService/Fetch", `{"conversation":"team","after":"0"}`))
		i, err := strconv.Atoi(seq)
		if err != nil || before.at("events", strconv.Itoa(i-1), "seq") != seq {
			t.Fatalf("no event %s: %s", seq, before.text)
		}
		body, _ := before.at("events", strconv.Itoa(i-1)).(map[string]any)
		return answer{body: body}
	}
	hash := event("bob", "2").at("bodyHash")

	submit("alice", "e1", `"edit":{"seq":"2","message":{"text":"hello all"}}`) // 3
	submit("bob", "r1", `"reaction":{"seq":"2","key":"+1"}`)                   // 4
	submit("alice", "r2", `"reaction":{"seq":"2","key":"+1"}`)                 // 5
	submit("alice", "p1", `"pin":{"seq":"2"}`)                                 // 6
	e := event("bob", "2")
	if e.at("body", "message", "text") != "hello all" || e.at("edited") != "3" || e.at("pinned") != "6" {
		t.Errorf("edited and pinned: %v", e.body)
	}
	if e.at("bodyHash") != hash || e.at("kind") != 1.0 {
		t.Errorf("the hash in the chain must stay: %v", e.body)
	}
	if e.at("reactions", "0", "key") != "+1" || e.at("reactions", "0", "count") != 2.0 || e.at("reactions", "0", "mine") != true {
		t.Errorf("reactions: %v", e.body)
	}

	submit("alice", "x1", `"recall":{"seq":"2"}`) // 7
	if e := event("bob", "2"); e.at("body") != nil || e.at("recalled") != "7" || e.at("bodyHash") != hash {
		t.Errorf("recalled: %v", e.body)
	}
	if e := event("bob", "3"); strings.Contains(fmt.Sprint(e.body), "hello all") {
		t.Errorf("the edit of a recalled message still shows it: %v", e.body)
	}

	seq := n.say("alice", "team", "c9", "secret") // 8
	erased := n.ok(n.as("alice", "MessageService/Erase", `{"conversation":"team","seq":"`+seq+`"}`))
	if e := event("bob", seq); e.at("body") != nil || e.at("erased") != erased.at("seq") || e.at("bodyHash") == nil {
		t.Errorf("erased: %v", e.body)
	}
	for _, path := range []string{"MessageService/Fetch", "ConversationService/Get"} {
		if a := n.ok(n.app(path, `{"conversation":"team"}`)); strings.Contains(a.text, "secret") || strings.Contains(a.text, "hello") {
			t.Errorf("%s shows what is gone: %s", path, a.text)
		}
	}
	if a := n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"new"}`)); strings.Contains(a.text, "secret") || strings.Contains(a.text, "hello") {
		t.Errorf("Pull shows what is gone: %s", a.text)
	}
}

func TestPagesHaveASize(t *testing.T) {
	n := world(t, func(c *server.Config) { c.Limits.PageBytesMax, c.Limits.BodyBytesMax = 64<<10, 20<<10 })
	for i := range 12 { // 3 to 14, of 16 KiB each
		n.say("alice", "team", fmt.Sprintf("big%d", i), strings.Repeat("x", 16<<10))
	}
	n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"small","message":{"text":"s"}}`)) // 15
	for _, direction := range []string{"after", "before"} {
		at, seen, pages := uint64(0), 0, 0
		if direction == "before" {
			at = 99
		}
		for more := true; more; pages++ {
			a := n.ok(n.as("bob", "MessageService/Fetch", fmt.Sprintf(`{"conversation":"team","%s":"%d","limit":500}`, direction, at)))
			events := fetched(t, a)
			if len(events) == 0 || len(events) > 5 || len(a.text) > 80<<10 || pages > 15 {
				t.Fatalf("%s %d: page %d has %d events, %d bytes", direction, at, pages, len(events), len(a.text))
			}
			seen += len(events)
			if at = events[len(events)-1].seq; direction == "before" {
				at = events[0].seq
			}
			more = a.at("hasMore") == true
		}
		if seen != 15 || pages < 4 {
			t.Errorf("%s: %d events in %d pages", direction, seen, pages)
		}
	}
	// What was small and was edited to be large counts as it is shown.
	for i := range 8 {
		n.say("alice", "team", fmt.Sprintf("s%d", i), "s")
		n.ok(n.as("alice", "MessageService/Submit", fmt.Sprintf(
			`{"conversation":"team","clientId":"e%d","edit":{"seq":"%d","message":{"text":"%s"}}}`, i, 16+2*i, strings.Repeat("y", 16<<10))))
	}
	if a := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"15","limit":500}`)); len(a.text) > 80<<10 || a.at("hasMore") != true {
		t.Errorf("%d bytes, hasMore %v", len(a.text), a.at("hasMore"))
	}
}
