// SPDX-License-Identifier: Apache-2.0

// The life of a group over HTTP and WebSocket: three users, from asking to be let in to its end.

package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-im/tidemark/verify"
)

// hears reads deltas up to one in which a conversation has what is meant, and answers that conversation.
func (s *socket) hears(what string, meant func(conversation answer) bool) answer {
	s.t.Helper()
	for range 20 {
		delta := answer{body: s.until("delta")}
		for i := 0; delta.at("conversations", fmt.Sprint(i)) != nil; i++ {
			conversation := answer{body: delta.at("conversations", fmt.Sprint(i)).(map[string]any)}
			if meant(conversation) {
				return conversation
			}
		}
	}
	s.t.Fatalf("twenty deltas, and none with %s", what)
	return answer{}
}

// is reports whether a delta has a value at a place.
func is(value any, path ...string) func(answer) bool {
	return func(conversation answer) bool { return conversation.at(path...) == value }
}

// groupLife is a group and its three users, each with a device that listens.
type groupLife struct {
	*node
	alice, bob, carol *socket
}

func TestTheLifeOfAGroup(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice", "bob", "carol")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"team","title":"Team","members":["bob"],"settings":{"join":"REQUEST"}}`))
	listen := func(user string) *socket {
		s := n.connect(n.token(user), `{"hello":{"deviceId":"phone","platform":"test","client":"t/1"}}`)
		t.Cleanup(func() { _ = s.c.CloseNow() })
		s.until("synced")
		return s
	}
	g := groupLife{n, listen("alice"), listen("bob"), listen("carol")}
	g.letsIn()
	g.keepsOrder()
	g.silences()
	g.ends()
	verifyAfter(n, dir)
}

// letsIn: Carol asks; the owner's devices hear how many wait, and can read what was asked. Bob becomes an admin, hears
// so, and lets Carol in, who hears that.
func (g *groupLife) letsIn() {
	n, t, alice, bob, carol := g.node, g.t, g.alice, g.bob, g.carol
	asked := n.ok(n.as("carol", "ConversationService/Join", `{"conversation":"team","text":"I play too"}`))
	if asked.at("requested") != true || asked.at("headSeq") != nil {
		t.Errorf("asking was answered by %s", asked.text)
	}
	waits := alice.hears("a request to join", is(1.0, "self", "requests"))
	if waits.at("events") != nil || waits.at("info") != nil {
		t.Errorf("a request brought more than itself: %v", waits.body)
	}
	n.refuses(n.as("bob", "ConversationService/JoinRequests", `{"conversation":"team"}`), 403, "NOT_ALLOWED")
	n.refuses(n.as("carol", "MessageService/Fetch", `{"conversation":"team"}`), 403, "NOT_MEMBER")
	list := n.ok(n.as("alice", "ConversationService/JoinRequests", `{"conversation":"team"}`))
	if list.at("requests", "0", "user") != "carol" || list.at("requests", "0", "text") != "I play too" || list.at("requests", "1") != nil {
		t.Errorf("the requests are %s", list.text)
	}
	n.ok(n.as("alice", "ConversationService/SetRole", `{"conversation":"team","members":["bob"],"role":"ADMIN"}`))
	promoted := bob.hears("a new role", is("ADMIN", "self", "role"))
	if promoted.at("self", "requests") != 1.0 || promoted.at("events", "0", "body", "members", "roles", "bob") != "ADMIN" {
		t.Errorf("bob's new role came as %v", promoted.body)
	}
	n.ok(n.as("bob", "ConversationService/AnswerJoin", `{"conversation":"team","users":["carol"],"accept":true}`))
	carol.hears("being let in", is("MEMBER", "self", "role"))
	alice.hears("an empty queue", func(c answer) bool { return c.at("self") != nil && c.at("self", "requests") == nil })
}

// keepsOrder: an announcement reaches everybody as data; slow mode says exactly how long to wait.
func (g *groupLife) keepsOrder() {
	n, t, carol := g.node, g.t, g.carol
	n.ok(n.as("bob", "ConversationService/Update", `{"conversation":"team","announcement":"Tonight at eight"}`))
	announced := carol.hears("the announcement", is("Tonight at eight", "info", "announcement"))
	if announced.at("events", "0", "body", "info", "announcement") != "Tonight at eight" {
		t.Errorf("the announcement is not in the log: %v", announced.body)
	}
	n.ok(n.as("bob", "ConversationService/Update", `{"conversation":"team","settings":{"join":"REQUEST","slowModeMs":60000}}`))
	carol.send(`{"submit":{"request":"1","clientId":"c1","conversation":"team","message":{"text":"hello"}}}`)
	carol.until("submitted")
	carol.send(`{"submit":{"request":"2","clientId":"c2","conversation":"team","message":{"text":"hello?"}}}`)
	slow := answer{body: carol.until("error")}
	if wait, _ := slow.at("retryAfterMs").(float64); slow.at("reason") != "RATE_LIMITED" || wait < 1 || wait > 60_000 {
		t.Errorf("a second message was answered by %v", slow.body)
	}
	limited := n.as("carol", "MessageService/Submit", `{"conversation":"team","clientId":"c2","message":{"text":"hello?"}}`)
	if n.refuses(limited, 429, "RATE_LIMITED"); limited.header.Get("Retry-After") == "" {
		t.Errorf("it does not say when to come back: %s", limited.header)
	}
	n.say("alice", "team", "a1", "patience")
	n.say("alice", "team", "a2", "please")
}

// silences: Carol is silenced, and hears until when; everybody is; nobody is.
func (g *groupLife) silences() {
	n, t, carol := g.node, g.t, g.carol
	until := n.ok(n.as("bob", "ConversationService/Mute", `{"conversation":"team","members":["carol"],"forMs":"3600000"}`)).at("untilMs")
	carol.hears("the silence", is(until, "self", "silencedUntilMs"))
	n.refuses(n.as("carol", "MessageService/Submit", `{"conversation":"team","clientId":"c3","message":{"text":"why?"}}`), 403, "MUTED")
	n.refuses(n.as("bob", "ConversationService/Mute", `{"conversation":"team","members":["alice"],"forMs":"1"}`), 403, "NOT_ALLOWED")
	members := n.ok(n.as("alice", "ConversationService/ListMembers", `{"conversation":"team"}`))
	if !strings.Contains(members.text, fmt.Sprintf(`"silencedUntilMs":"%s"`, until)) {
		t.Errorf("the members are %s", members.text)
	}
	n.ok(n.as("bob", "ConversationService/Mute", `{"conversation":"team","members":["carol"],"forMs":"0"}`))
	carol.hears("the end of it", func(c answer) bool { return c.at("self") != nil && c.at("self", "silencedUntilMs") == nil })
	n.ok(n.as("bob", "ConversationService/Mute", `{"conversation":"team","all":true}`))
	carol.hears("that all are muted", is(true, "info", "settings", "muteAll"))
	n.refuses(n.as("carol", "MessageService/Submit", `{"conversation":"team","clientId":"c4","message":{"text":"why?"}}`), 403, "MUTED")
	n.ok(n.as("bob", "ConversationService/Mute", `{"conversation":"team","all":false}`))
}

// ends: Alice hands the group on, twice, and leaves, twice. Bob dissolves it, twice. Its history stays; nobody writes;
// Carol leaves when she likes.
func (g *groupLife) ends() {
	n, t, alice, bob, carol := g.node, g.t, g.alice, g.bob, g.carol
	n.refuses(n.as("alice", "ConversationService/Leave", `{"conversation":"team"}`), 403, "NOT_ALLOWED")
	given := n.ok(n.as("alice", "ConversationService/Transfer", `{"conversation":"team","member":"bob"}`))
	again := n.ok(n.as("alice", "ConversationService/Transfer", `{"conversation":"team","member":"bob"}`))
	if given.at("headSeq") != again.at("headSeq") {
		t.Errorf("the group was handed on twice: %s, %s", given.text, again.text)
	}
	bob.hears("owning it", is("OWNER", "self", "role"))
	left := n.ok(n.as("alice", "ConversationService/Leave", `{"conversation":"team"}`))
	again = n.ok(n.as("alice", "ConversationService/Leave", `{"conversation":"team"}`))
	if left.at("headSeq") != again.at("headSeq") {
		t.Errorf("alice has left twice: %s, %s", left.text, again.text)
	}
	alice.hears("having left", is(true, "removed"))
	ended := n.ok(n.as("bob", "ConversationService/Dissolve", `{"conversation":"team"}`))
	n.ok(n.as("bob", "ConversationService/Dissolve", `{"conversation":"team"}`))
	carol.hears("the end", is(ended.at("headSeq"), "info", "dissolvedSeq"))
	n.refuses(n.as("bob", "MessageService/Submit", `{"conversation":"team","clientId":"b1","message":{"text":"?"}}`), 400, "READ_ONLY")
	n.refuses(n.app("ConversationService/AddMembers", `{"conversation":"team","members":["alice"]}`), 400, "READ_ONLY")
	history := n.ok(n.as("carol", "MessageService/Fetch", `{"conversation":"team","latest":true}`))
	if !strings.Contains(history.text, "patience") || !strings.Contains(history.text, `"dissolved":true`) {
		t.Errorf("the history is %s", history.text)
	}
	n.ok(n.as("carol", "ConversationService/Leave", `{"conversation":"team"}`))
	carol.hears("having left", is(true, "removed"))
}

// verifyAfter ends the server and wants its directory found whole.
func verifyAfter(n *node, dir string) {
	n.t.Helper()
	if err := n.stop(); err != nil {
		n.t.Fatal(err)
	}
	report, err := verify.Run(n.t.Context(), verify.Config{Dir: dir})
	if err != nil || !report.OK() {
		n.t.Errorf("%v\n%s", err, report)
	}
}

func TestJoinRequestsInPages(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"team","settings":{"join":"REQUEST"}}`))
	want := map[string]bool{}
	for i := range 7 {
		user := fmt.Sprintf("u%d", i)
		n.users(user)
		n.ok(n.as(user, "ConversationService/Join", `{"conversation":"team"}`))
		want[user] = true
	}
	token, pages := "", 0
	for {
		page := n.ok(n.as("alice", "ConversationService/JoinRequests", `{"conversation":"team","pageSize":3,"pageToken":"`+token+`"}`))
		for i := 0; page.at("requests", fmt.Sprint(i)) != nil; i++ {
			user := page.at("requests", fmt.Sprint(i), "user").(string)
			if !want[user] {
				t.Errorf("%s is there twice, or never asked", user)
			}
			delete(want, user)
		}
		pages++
		if token, _ = page.at("nextPageToken").(string); token == "" {
			break
		}
	}
	if len(want) > 0 || pages != 3 {
		t.Errorf("%d pages, without %v", pages, want)
	}
	n.refuses(n.as("alice", "ConversationService/JoinRequests", `{"conversation":"team","pageToken":"x"}`), 400, "BAD_ARGUMENT")
	n.ok(n.as("alice", "ConversationService/AnswerJoin", `{"conversation":"team","users":["u1","u2"]}`))
	n.ok(n.as("u3", "ConversationService/Leave", `{"conversation":"team"}`))
	rest := n.ok(n.app("ConversationService/JoinRequests", `{"conversation":"team"}`))
	if strings.Count(rest.text, `"user"`) != 4 {
		t.Errorf("the rest are %s", rest.text)
	}
	verifyAfter(n, dir)
}
