// SPDX-License-Identifier: Apache-2.0

// The end of an account over the wire, and an id that begins anew.

package server_test

import (
	"strings"
	"testing"

	"github.com/tidemark-im/tidemark/verify"
)

func TestDeleteUser(t *testing.T) {
	n := world(t, nil)
	token := n.token("bob")
	n.ok(n.as("bob", "ConversationService/Create", `{"id":"bobs","members":["alice"]}`))
	n.ok(n.app("ConversationService/Create", `{"id":"club","settings":{"join":"REQUEST"},"members":["alice"]}`))
	n.ok(n.as("bob", "ConversationService/Join", `{"conversation":"club"}`))
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"hall","kind":"ROOM","members":["bob"]}`))
	n.ok(n.as("alice", "ContactService/Request", `{"user":"bob"}`))
	n.ok(n.as("bob", "ContactService/Answer", `{"user":"alice","accept":true}`))
	n.say("alice", "alice~bob", "d1", "hello bob")
	n.say("bob", "alice~bob", "d2", "hello alice")
	n.ok(n.as("bob", "MessageService/Schedule", `{"conversation":"team","clientId":"later","message":{"text":"later"},"atMs":"`+tomorrow+`"}`))
	s := n.connect(token, `{"hello":{"deviceId":"phone"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	s.send(`{"enter":{"request":"1","conversation":"hall"}}`)
	s.until("fetched")

	deleted := n.ok(n.app("UserService/Delete", `{"userId":"bob"}`))
	if deleted.at("sessions") != 1.0 || deleted.at("conversations") != 5.0 { // team, open, bobs, hall, alice~bob
		t.Errorf("%s", deleted.text)
	}
	if bye := s.until("bye"); bye["reason"] != "KICKED" {
		t.Errorf("%v", bye)
	}
	n.refuses(n.post("UserService/Get", `{}`, bearer(token)), 401, "BAD_TOKEN")
	n.refusesHello(token)
	if a := n.ok(n.app("UserService/Delete", `{"userId":"bob"}`)); a.text != `{}` {
		t.Errorf("again: %s", a.text)
	}
	for _, id := range []string{"team", "open", "bobs", "hall", "alice~bob"} {
		if a := n.ok(n.app("ConversationService/ListMembers", `{"conversation":"`+id+`"}`)); strings.Contains(a.text, `"bob"`) {
			t.Errorf("%s: %s", id, a.text)
		}
	}
	if a := n.ok(n.app("ConversationService/JoinRequests", `{"conversation":"club"}`)); a.text != `{}` {
		t.Errorf("%s", a.text)
	}
	if a := n.ok(n.as("alice", "ContactService/List", `{}`)); strings.Contains(a.text, "CONTACT") {
		t.Errorf("%s", a.text)
	}
	if a := n.ok(n.as("alice", "UserService/Get", `{"userId":"bob"}`)); a.at("user", "deleted") != true {
		t.Errorf("%s", a.text)
	}
	if page := n.ok(n.as("alice", "MessageService/Fetch", `{"conversation":"alice~bob","latest":true}`)); !strings.Contains(page.text, "hello alice") {
		t.Errorf("what bob wrote stays: %s", page.text)
	}
	n.beginsAnew(token)
}

// beginsAnew writes to bob, who was deleted, and then makes another.
func (n *node) beginsAnew(token string) {
	t := n.t
	late := `{"toUser":"bob","clientId":"d3","message":{"text":"are you there?"}}`
	n.refuses(n.as("alice", "MessageService/Submit", late), 404, "UNKNOWN_USER")
	again := n.ok(n.as("alice", "MessageService/Submit", `{"toUser":"bob","clientId":"d1","message":{"text":"hello bob"}}`))
	if again.at("duplicate") != true {
		t.Errorf("a retry gets its first answer: %s", again.text)
	}
	n.refuses(n.as("alice", "ContactService/Request", `{"user":"bob"}`), 404, "UNKNOWN_USER")
	n.refuses(n.app("ConversationService/AddMembers", `{"conversation":"team","members":["bob"]}`), 404, "UNKNOWN_USER")

	// The id begins anew, across a restart: no old token, no old conversation, and alice's goes on.
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, n.dir, nil)
	n.users("bob")
	n.refuses(n.post("UserService/Get", `{}`, bearer(token)), 401, "BAD_TOKEN")
	if a := n.ok(n.as("bob", "ConversationService/List", `{}`)); strings.Contains(a.text, "team") {
		t.Errorf("%s", a.text)
	}
	n.refuses(n.as("bob", "MessageService/Fetch", `{"conversation":"alice~bob","latest":true}`), 404, "UNKNOWN_CONVERSATION")
	n.ok(n.as("alice", "MessageService/Submit", late))
	page := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"alice~bob","latest":true}`))
	if strings.Contains(page.text, "hello") || !strings.Contains(page.text, "are you there?") {
		t.Errorf("the new bob sees %s", page.text)
	}
	dir := n.dir
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	report, err := verify.Run(t.Context(), verify.Config{Dir: dir})
	if err != nil || !report.OK() {
		t.Errorf("verify: %v, %v", report, err)
	}
}
