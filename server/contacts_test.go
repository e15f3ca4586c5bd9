// SPDX-License-Identifier: Apache-2.0

// Contacts, as two users with three devices see them.

package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-im/tidemark/server"
	"github.com/tidemark-im/tidemark/verify"
)

// self reads frames up to a delta with the user's own record in a conversation.
func (s *socket) self(conversation string) map[string]any {
	s.t.Helper()
	for {
		delta := answer{body: s.until("delta")}
		for i := range 100 {
			c, there := delta.at("conversations", fmt.Sprint(i)).(map[string]any)
			if !there {
				break
			}
			if self, is := c["self"].(map[string]any); is && c["id"] == conversation {
				return self
			}
		}
	}
}

// has fails the test unless the record has these members with these values; nil is none.
func (s *socket) has(what string, got map[string]any, want map[string]any) {
	s.t.Helper()
	for name, value := range want {
		if got[name] != value {
			s.t.Errorf("%s: %s is %v, want %v in %v", what, name, got[name], value, got)
		}
	}
}

func TestContactsOnThreeDevices(t *testing.T) {
	n := world(t, nil)
	hello := `{"hello":{"deviceId":"%s","platform":"test"}}`
	phone, tablet := n.connect(n.token("alice"), fmt.Sprintf(hello, "phone")), n.connect(n.token("alice"), fmt.Sprintf(hello, "tablet"))
	laptop := n.connect(n.token("bob"), fmt.Sprintf(hello, "laptop"))
	for _, s := range []*socket{phone, tablet, laptop} {
		defer s.c.CloseNow()
		s.until("synced")
	}
	asked := n.ok(n.as("alice", "ContactService/Request", `{"user":"bob","text":"hi, alice here"}`))
	if asked.at("contact", "state") != "REQUESTED" || asked.at("contact", "conversation") != "alice~bob" {
		t.Errorf("%s", asked.text)
	}
	tablet.has("alice's other device", tablet.self("alice~bob"), map[string]any{"contact": "REQUESTED", "hidden": true})
	phone.has("alice's device", phone.self("alice~bob"), map[string]any{"contact": "REQUESTED", "hidden": true})
	laptop.has("bob's device", laptop.self("alice~bob"), map[string]any{"contact": "ASKED", "hidden": true, "requestText": "hi, alice here"})

	n.ok(n.as("bob", "ContactService/Answer", `{"user":"alice","accept":true}`))
	for _, s := range []*socket{phone, tablet, laptop} {
		s.has("accepted", s.self("alice~bob"), map[string]any{"contact": "CONTACT", "hidden": true, "requestText": nil})
	}
	n.ok(n.as("bob", "ContactService/Remark", `{"user":"alice","remark":"Al"}`))
	laptop.has("a name of one's own", laptop.self("alice~bob"), map[string]any{"remark": "Al", "contact": "CONTACT"})

	// A message shows the conversation; over the block there is neither a message nor typing nor a receipt.
	laptop.send(`{"watch":{"users":["alice"]}}`)
	if presence := (answer{body: laptop.until("signal")}); presence.at("presence", "online") != true {
		t.Errorf("presence: %v", presence.body)
	}
	laptop.send(`{"submit":{"request":"1","clientId":"c1","toUser":"alice","message":{"text":"hi"}}}`)
	laptop.until("submitted")
	phone.has("with a message", phone.self("alice~bob"), map[string]any{"contact": "CONTACT", "hidden": nil, "remark": nil})
	tablet.self("alice~bob")
	n.ok(n.as("alice", "ContactService/Block", `{"user":"bob"}`))
	for _, s := range []*socket{phone, tablet} {
		s.has("blocked", s.self("alice~bob"), map[string]any{"blocked": true, "contact": "CONTACT"})
	}
	if presence := (answer{body: laptop.until("signal")}); presence.at("presence", "user") != "alice" || presence.at("presence", "online") == true {
		t.Errorf("presence after the block: %v", presence.body)
	}
	phone.send(`{"typing":{"conversation":"alice~bob","typing":true}}`)
	phone.send(`{"read":{"conversation":"alice~bob","seq":"2"}}`)
	tablet.self("alice~bob") // it was read
	laptop.send(`{"watch":{"users":["alice"]}}`)
	if presence := (answer{body: laptop.until("signal")}); presence.at("presence", "user") != "alice" || presence.at("presence", "online") == true {
		t.Errorf("watched over a block, or typing or a receipt: %v", presence.body)
	}
	laptop.send(`{"submit":{"request":"2","clientId":"c2","toUser":"alice","message":{"text":"hello?"}}}`)
	if refused := laptop.until("error"); refused["reason"] != "BLOCKED" || refused["request"] != "2" {
		t.Errorf("%v", refused)
	}
	n.refuses(n.as("alice", "MessageService/Submit", `{"toUser":"bob","clientId":"c3","message":{"text":"and"}}`), 403, "NOT_ALLOWED")

	n.ok(n.as("alice", "ContactService/Unblock", `{"user":"bob"}`))
	laptop.send(`{"submit":{"request":"3","clientId":"c2","toUser":"alice","message":{"text":"hello?"}}}`)
	laptop.until("submitted")
	n.ok(n.as("bob", "ContactService/Remove", `{"user":"alice"}`))
	for _, s := range []*socket{phone, tablet, laptop} {
		self := s.self("alice~bob")
		for self["contact"] == "CONTACT" { // unblocked, and the message
			self = s.self("alice~bob")
		}
		s.has("ended", self, map[string]any{"contact": nil, "blocked": nil})
	}
	n.wholeAfterwards()
}

// wholeAfterwards ends the server and verifies what it leaves.
func (n *node) wholeAfterwards() {
	n.t.Helper()
	if err := n.stop(); err != nil {
		n.t.Fatal(err)
	}
	report, err := verify.Run(n.t.Context(), verify.Config{Dir: n.dir})
	if err != nil || !report.OK() {
		n.t.Errorf("%v %v", err, report)
	}
}

// A block of a stranger tells the stranger nothing: there is no conversation, until it is lifted and somebody writes.
func TestBlockOfAStranger(t *testing.T) {
	n := world(t, nil)
	s := n.connect(n.token("mallory"), `{"hello":{"deviceId":"d"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	n.ok(n.as("alice", "ContactService/Block", `{"user":"mallory"}`))
	n.refuses(n.as("mallory", "ContactService/Request", `{"user":"alice","text":"?"}`), 403, "BLOCKED")
	n.refuses(n.as("mallory", "MessageService/Submit", `{"toUser":"alice","clientId":"c1","message":{"text":"?"}}`), 403, "BLOCKED")
	if list := n.ok(n.as("mallory", "ContactService/List", `{}`)); list.at("contacts") != nil {
		t.Errorf("mallory's contacts: %s", list.text)
	}
	n.group("club", "mallory", "alice")
	delta := answer{body: s.until("delta")}
	if delta.at("conversations", "0", "id") != "club" || delta.at("conversations", "1") != nil {
		t.Errorf("mallory heard of more than the club: %v", delta.body)
	}
	traced := n.app("MessageService/Trace", `{"conversation":"alice~mallory","clientId":"c1","sender":"mallory"}`)
	if n.refuses(traced, 404, "UNKNOWN_EVENT"); !strings.Contains(traced.text, "alice has blocked the sender") {
		t.Errorf("%s", traced.text)
	}

	n.ok(n.as("alice", "ContactService/Unblock", `{"user":"mallory"}`))
	n.ok(n.as("mallory", "MessageService/Submit", `{"toUser":"alice","clientId":"c1","message":{"text":"?"}}`))
	n.ok(n.as("alice", "ContactService/Block", `{"user":"mallory"}`))
	traced = n.ok(n.app("MessageService/Trace", `{"conversation":"alice~mallory","clientId":"c1","sender":"mallory"}`))
	if !strings.Contains(traced.text, `"blocked the sender, has never connected a device"`) {
		t.Errorf("the app: %s", traced.text)
	}
	if traced = n.ok(n.as("mallory", "MessageService/Trace", `{"conversation":"alice~mallory","clientId":"c1"}`)); strings.Contains(traced.text, "block") {
		t.Errorf("the sender: %s", traced.text)
	}
	n.wholeAfterwards()
}

// contacts are all pages of a list: "user state" of each.
func (n *node) contacts(user, filter string, size int) []string {
	n.t.Helper()
	var all []string
	for token := ""; ; {
		page := n.ok(n.as(user, "ContactService/List", fmt.Sprintf(`{"pageSize":%d,"pageToken":%q%s}`, size, token, filter)))
		list, _ := page.at("contacts").([]any)
		if len(list) > size {
			n.t.Errorf("a page of %d has %d", size, len(list))
		}
		for _, c := range list {
			c := c.(map[string]any)
			line := fmt.Sprint(c["user"], " ", c["state"])
			if c["blocked"] == true {
				line += " blocked"
			}
			all = append(all, line)
		}
		next, _ := page.at("nextPageToken").(string)
		if token = next; token == "" {
			slices.Sort(all)
			return all
		}
	}
}

func TestRequestsAtOnceKeepTheLimit(t *testing.T) {
	n := world(t, func(c *server.Config) { c.Limits.ContactRequestsMax = 4 })
	const peers = 40
	answers := make(chan answer, peers)
	for i := range peers {
		n.users(fmt.Sprint("peer", i))
	}
	for i := range peers {
		go func() { answers <- n.as("alice", "ContactService/Request", fmt.Sprintf(`{"user":"peer%d"}`, i)) }()
	}
	kept := 0
	for range peers {
		if a := <-answers; a.status == 200 {
			kept++
		} else {
			n.refuses(a, 429, "TOO_MANY")
		}
	}
	if kept != 4 {
		t.Errorf("%d requests wait, 4 are allowed", kept)
	}
}

func TestListOfContacts(t *testing.T) {
	n := world(t, func(c *server.Config) { c.Limits.ContactRequestsMax = 4 })
	var want []string
	for i := range 12 {
		peer := fmt.Sprint("peer", 10+i)
		n.users(peer)
		switch i % 4 {
		case 0:
			n.ok(n.as("alice", "ContactService/Request", `{"user":"`+peer+`"}`))
			want = append(want, peer+" REQUESTED")
		case 1:
			n.ok(n.as(peer, "ContactService/Request", `{"user":"alice"}`))
			want = append(want, peer+" ASKED")
		case 2:
			n.ok(n.as("alice", "ContactService/Request", `{"user":"`+peer+`"}`))
			n.ok(n.as(peer, "ContactService/Request", `{"user":"alice"}`))
			want = append(want, peer+" CONTACT")
		case 3:
			n.ok(n.as(peer, "ContactService/Request", `{"user":"alice"}`))
			n.ok(n.as("alice", "ContactService/Answer", `{"user":"`+peer+`"}`))
			if i > 3 {
				n.ok(n.as("alice", "ContactService/Block", `{"user":"`+peer+`"}`))
				want = append(want, peer+" <nil> blocked")
			}
		}
	}
	for _, size := range []int{1, 3, 100} {
		if got := n.contacts("alice", "", size); !slices.Equal(got, want) {
			t.Errorf("pages of %d:\n got %q\nwant %q", size, got, want)
		}
	}
	of := func(end string) (some []string) {
		for _, line := range want {
			if strings.HasSuffix(line, end) {
				some = append(some, line)
			}
		}
		return some
	}
	for filter, end := range map[string]string{
		`,"states":["CONTACT"]`: "CONTACT", `,"states":["REQUESTED"]`: "REQUESTED", `,"blocked":true`: "blocked",
		`,"states":["NO_CONTACT"]`: "blocked", `,"states":["CONTACT"],"blocked":true`: "none",
	} {
		if got := n.contacts("alice", filter, 2); !slices.Equal(got, of(end)) {
			t.Errorf("%s: %q, want %q", filter, got, of(end))
		}
	}
	n.refuses(n.as("alice", "ContactService/List", `{"states":[9]}`), 400, "BAD_ARGUMENT")

	n.ok(n.as("alice", "ContactService/Request", `{"user":"bob"}`))
	n.refuses(n.as("alice", "ContactService/Request", `{"user":"mallory"}`), 429, "TOO_MANY")
	n.ok(n.as("alice", "ContactService/Request", `{"user":"bob","text":"once more"}`)) // it waits already
	n.ok(n.as("alice", "ContactService/Remove", `{"user":"peer10"}`))
	n.ok(n.as("alice", "ContactService/Request", `{"user":"mallory"}`))
	n.wholeAfterwards()
}

func TestOnlyContactsMayWrite(t *testing.T) {
	n := world(t, func(c *server.Config) { c.ContactsOnly = true })
	write := `{"toUser":"bob","clientId":"%s","message":{"text":"hi"}}`
	n.refuses(n.as("alice", "MessageService/Submit", fmt.Sprintf(write, "c1")), 403, "NOT_CONTACT")
	s := n.connect(n.token("alice"), `{"hello":{"deviceId":"d"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	s.send(`{"submit":{"request":"1","clientId":"c1","toUser":"bob","message":{"text":"hi"}}}`)
	if refused := s.until("error"); refused["reason"] != "NOT_CONTACT" {
		t.Errorf("%v", refused)
	}
	n.ok(n.app("MessageService/Submit", `{"conversation":"alice~bob","clientId":"n1","message":{"text":"welcome"}}`))
	n.ok(n.app("MessageService/Submit", `{"toUser":"bob","clientId":"n1","message":{"text":"welcome"}}`))
	n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"g1","message":{"text":"in a group everybody writes"}}`))
	n.ok(n.as("alice", "ContactService/Request", `{"user":"bob"}`))
	n.refuses(n.as("alice", "MessageService/Submit", fmt.Sprintf(write, "c1")), 403, "NOT_CONTACT")
	n.ok(n.as("bob", "ContactService/Answer", `{"user":"alice","accept":true}`))
	first := n.ok(n.as("alice", "MessageService/Submit", fmt.Sprintf(write, "c1")))
	n.ok(n.as("bob", "ContactService/Remove", `{"user":"alice"}`))
	n.refuses(n.as("alice", "MessageService/Submit", fmt.Sprintf(write, "c2")), 403, "NOT_CONTACT")
	again := n.ok(n.as("alice", "MessageService/Submit", fmt.Sprintf(write, "c1")))
	if again.at("duplicate") != true || again.at("seq") != first.at("seq") {
		t.Errorf("a retry gets %s, the first answer was %s", again.text, first.text)
	}
	n.wholeAfterwards()
}
