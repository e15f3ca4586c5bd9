// SPDX-License-Identifier: Apache-2.0

// Who sees what, on every path: what somebody may not see is neither told nor to be found out by asking otherwise.

package server_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// says fails the test if an answer tells any of these, as text or as bytes.
func (n *node) hidesIn(what string, a answer, secrets ...string) {
	n.t.Helper()
	for _, secret := range secrets {
		for shift := range 3 { // wherever the bytes begin, base64 has all but the ends of them
			encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", shift) + secret))
			if strings.Contains(a.text, encoded[4:len(encoded)-4]) {
				n.t.Errorf("%s tells %q: %s", what, secret, a.text)
			}
		}
		if strings.Contains(a.text, secret) {
			n.t.Errorf("%s tells %q: %s", what, secret, a.text)
		}
	}
}

func TestEditsOfWhatOneDoesNotSeeAreNotShown(t *testing.T) {
	n := world(t, nil)
	n.users("carol")
	carol := n.connect(n.token("carol"), `{"hello":{"deviceId":"d","platform":"test"}}`)
	defer carol.c.CloseNow()
	carol.until("synced")
	n.ok(n.as("alice", "ConversationService/AddMembers", `{"conversation":"team","members":["carol"]}`))
	carol.until("delta")
	edit := `{"conversation":"team","clientId":"%s","edit":{"seq":"2","message":{"text":"the password is swordfish"}}}`
	n.ok(n.as("alice", "MessageService/Submit", fmt.Sprintf(edit, "e1")))
	delta := carol.until("delta")
	n.hidesIn("a delta", answer{text: fmt.Sprint(delta)}, "the password is swordfish")
	if e := (answer{body: delta}).at("conversations", "0", "events", "0"); e == nil || e.(map[string]any)["hidden"] != true {
		t.Errorf("the edit is told as %v", e)
	}
	for path, body := range map[string]string{
		"MessageService/Fetch": `{"conversation":"team","after":"0"}`, "SyncService/Pull": `{"deviceId":"new","platform":"test"}`,
	} {
		n.hidesIn(path, n.ok(n.as("carol", path, body)), "the password is swordfish")
	}
	// Who sees the message sees the edit; who clears it does not any more.
	if a := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"3"}`)); a.at("events", "0", "hidden") != nil {
		t.Errorf("%s", a.text)
	}
	n.ok(n.as("bob", "MessageService/Clear", `{"conversation":"team","seq":"2"}`))
	n.ok(n.as("alice", "MessageService/Submit", fmt.Sprintf(edit, "e2")))
	for path, body := range map[string]string{
		"MessageService/Fetch": `{"conversation":"team","after":"0"}`, "SyncService/Pull": `{"deviceId":"new","platform":"test"}`,
	} {
		n.hidesIn(path, n.ok(n.as("bob", path, body)), "the password is swordfish")
	}
}

// privately are calls about a direct conversation, %s.
var privately = map[string]string{
	"SyncService/Verify":                `{"conversation":"%s"}`,
	"MessageService/Fetch":              `{"conversation":"%s"}`,
	"MessageService/Hours":              `{"conversation":"%s"}`,
	"MessageService/Read":               `{"conversation":"%s","seq":"1"}`,
	"MessageService/Mentions":           `{"conversation":"%s"}`,
	"MessageService/Receipts":           `{"conversation":"%s","seq":"2"}`,
	"MessageService/Trace":              `{"conversation":"%s","seq":"2"}`,
	"MessageService/Erase":              `{"conversation":"%s","seq":"2"}`,
	"MessageService/Reactions":          `{"conversation":"%s","seq":"2"}`,
	"MessageService/Pins":               `{"conversation":"%s"}`,
	"MessageService/Delete":             `{"conversation":"%s","seqs":["2"]}`,
	"MessageService/Clear":              `{"conversation":"%s"}`,
	"MessageService/Submit":             `{"conversation":"%s","clientId":"r","reaction":{"seq":"2","key":"+1"}}`,
	"ConversationService/Get":           `{"conversation":"%s"}`,
	"ConversationService/Update":        `{"conversation":"%s","title":"x"}`,
	"ConversationService/AddMembers":    `{"conversation":"%s","members":["mallory"]}`,
	"ConversationService/RemoveMembers": `{"conversation":"%s","members":["alice"]}`,
	"ConversationService/Join":          `{"conversation":"%s"}`,
	"ConversationService/Leave":         `{"conversation":"%s"}`,
	"ConversationService/ListMembers":   `{"conversation":"%s"}`,
	"ConversationService/SetRole":       `{"conversation":"%s","members":["alice"],"role":"ADMIN"}`,
	"ConversationService/Transfer":      `{"conversation":"%s","member":"alice"}`,
	"ConversationService/Mute":          `{"conversation":"%s","all":true}`,
	"ConversationService/Dissolve":      `{"conversation":"%s"}`,
	"ConversationService/JoinRequests":  `{"conversation":"%s"}`,
	"ConversationService/AnswerJoin":    `{"conversation":"%s","users":["alice"]}`,
	"ConversationService/Settings":      `{"conversation":"%s","pinned":true}`,
	"ConversationService/SetAttributes": `{"conversation":"%s","set":{"a":"b"}}`,
	"MessageService/Scheduled":          `{"conversation":"%s"}`,
	"SyncService/Changes":               `{"groupMembers":[{"conversation":"%s"}]}`,
}

// frames are what a connection asks about a direct conversation, %s.
var frames = []string{
	`{"submit":{"request":"1","clientId":"m","conversation":"%s","edit":{"seq":"2","message":{"text":"x"}}}}`,
	`{"submit":{"request":"1","clientId":"m","conversation":"%s","message":{"text":"x","class":"TRANSIENT"}}}`,
	`{"fetch":{"request":"1","conversation":"%s"}}`,
	`{"read":{"conversation":"%s","seq":"1"}}`,
	`{"typing":{"conversation":"%s","typing":true}}`,
	`{"enter":{"request":"1","conversation":"%s"}}`,
}

// whole is an answer without the bytes of its details, which are in it as text, too.
func whole(a answer) string {
	if details, is := a.body["details"].([]any); is && len(details) > 0 {
		delete(details[0].(map[string]any), "value")
	}
	return fmt.Sprint(a.status, a.body)
}

// Whether two users have a conversation is nobody else's business; nor the other's, until it has part in it.
func TestNobodyLearnsOfOthersConversations(t *testing.T) {
	n := world(t, nil)
	n.users("aaron", "zoe")
	n.ok(n.as("alice", "MessageService/Submit", `{"toUser":"bob","clientId":"d1","message":{"text":"hi"}}`))
	n.ok(n.as("alice", "ContactService/Remark", `{"user":"zoe","remark":"that one"}`)) // zoe has no part in it
	for _, try := range []struct{ user, there, none string }{
		{"mallory", "alice~bob", "aaron~alice"}, {"mallory", "alice~zoe", "aaron~zoe"}, {"zoe", "alice~zoe", "aaron~zoe"},
	} {
		same := func(what string, a, b string) {
			t.Helper()
			if b = strings.ReplaceAll(b, try.none, try.there); a != b {
				t.Errorf("%s finds out by %s:\n%s\n%s", try.user, what, a, b)
			}
		}
		for method, body := range privately {
			a, b := n.as(try.user, method, fmt.Sprintf(body, try.there)), n.as(try.user, method, fmt.Sprintf(body, try.none))
			same(method, whole(a), whole(b))
		}
		ask := func(frame string) string {
			s := n.connect(n.token(try.user), `{"hello":{"deviceId":"d","platform":"test"}}`)
			defer s.c.CloseNow()
			s.until("synced")
			s.send(frame)
			return fmt.Sprint(s.until("error"))
		}
		for _, frame := range frames {
			same(frame, ask(fmt.Sprintf(frame, try.there)), ask(fmt.Sprintf(frame, try.none)))
		}
	}
	there := n.as("mallory", "MessageService/Submit", `{"conversation":"alice~bob","clientId":"m","message":{"text":"x"}}`)
	none := n.as("mallory", "MessageService/Submit", `{"conversation":"aaron~bob","clientId":"m","message":{"text":"x"}}`)
	if there.status == 200 || whole(there) != strings.ReplaceAll(whole(none), "aaron", "alice") {
		t.Errorf("%s\n%s", there.text, none.text)
	}
	n.ok(n.as("zoe", "MessageService/Submit", `{"toUser":"alice","clientId":"z","message":{"text":"hello"}}`))
	n.wholeAfterwards()
}

// How far members have come is told by ListMembers and Trace to those whom Receipts would name them.
func TestMarksAreShownToThoseWhoHearOfReaders(t *testing.T) {
	n := world(t, nil)
	n.users("carol")
	marks := func(user, conversation string) (read, delivered []string) {
		t.Helper()
		list := n.ok(n.as(user, "ConversationService/ListMembers", `{"conversation":"`+conversation+`"}`))
		for i := range list.at("members").([]any) {
			read = append(read, fmt.Sprint(list.at("members", fmt.Sprint(i), "user"), " ", list.at("members", fmt.Sprint(i), "readSeq")))
			delivered = append(delivered, fmt.Sprint(list.at("members", fmt.Sprint(i), "user"), " ", list.at("members", fmt.Sprint(i), "deliveredSeq")))
		}
		return read, delivered
	}
	expect := func(user, conversation, want string) {
		t.Helper()
		if read, delivered := marks(user, conversation); fmt.Sprint(read) != want || fmt.Sprint(delivered) != want {
			t.Errorf("in %s %s is shown read %v, delivered %v, want %s", conversation, user, read, delivered, want)
		}
	}
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"news","kind":"CHANNEL","members":["bob","carol"]}`))
	n.say("alice", "news", "n1", "extra")
	n.ok(n.as("bob", "MessageService/Read", `{"conversation":"news","seq":"2"}`))
	expect("alice", "news", "[alice 2 bob 2 carol 1]")
	expect("carol", "news", "[alice <nil> bob <nil> carol 1]")
	n.ok(n.as("bob", "MessageService/Read", `{"conversation":"team","seq":"2"}`))
	expect("alice", "team", "[alice 2 bob 2]")

	n.ok(n.as("alice", "MessageService/Submit", `{"toUser":"bob","clientId":"d1","message":{"text":"hi"}}`))
	n.ok(n.as("bob", "MessageService/Read", `{"conversation":"alice~bob","seq":"2"}`))
	n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"bobs-phone","platform":"test"}`))
	expect("alice", "alice~bob", "[alice 2 bob 2]")
	n.ok(n.as("bob", "ContactService/Block", `{"user":"alice"}`))
	expect("alice", "alice~bob", "[alice 2 bob <nil>]")
	expect("bob", "alice~bob", "[alice 2 bob 2]")
	token := "Authorization: Bearer " + n.token("alice")
	trace := n.ok(n.post("MessageService/Trace", `{"conversation":"alice~bob","seq":"2"}`, token))
	if bob, _ := trace.at("members", "1").(map[string]any); bob["user"] != "bob" || len(bob) != 1 {
		t.Errorf("over a block a trace tells %v", bob)
	}
	if trace = n.ok(n.app("MessageService/Trace", `{"conversation":"alice~bob","seq":"2"}`)); trace.at("members", "1", "read") != true {
		t.Errorf("the app is told %s", trace.text)
	}

	// Who left before somebody saw anything is not in that one's traces.
	n.ok(n.as("alice", "ConversationService/RemoveMembers", `{"conversation":"team","members":["bob"]}`))
	n.ok(n.as("alice", "ConversationService/AddMembers", `{"conversation":"team","members":["carol"]}`))
	seq := n.say("carol", "team", "c1", "hello")
	trace = n.ok(n.as("carol", "MessageService/Trace", `{"conversation":"team","seq":"`+seq+`"}`))
	if trace.at("members", "1", "user") != "carol" {
		t.Errorf("%s", trace.text)
	}
	if trace = n.ok(n.as("alice", "MessageService/Trace", `{"conversation":"team","seq":"`+seq+`"}`)); trace.at("members", "1", "user") != "bob" {
		t.Errorf("%s", trace.text)
	}
}

// What somebody has deleted for itself stays so, however often it leaves and comes back, and whatever it deletes meanwhile.
func TestWhatOneHasDeletedDoesNotComeBack(t *testing.T) {
	n := world(t, nil)
	again := func(history bool) {
		t.Helper()
		n.ok(n.as("alice", "ConversationService/Update", fmt.Sprintf(`{"conversation":"team","settings":{"historyFromStart":%t}}`, history)))
		n.ok(n.as("alice", "ConversationService/RemoveMembers", `{"conversation":"team","members":["bob"]}`))
		n.ok(n.as("alice", "ConversationService/AddMembers", `{"conversation":"team","members":["bob"]}`))
	}
	n.ok(n.as("bob", "MessageService/Delete", `{"conversation":"team","seqs":["2"]}`))
	again(false)
	seq := n.say("alice", "team", "c2", "another")
	n.ok(n.as("bob", "MessageService/Delete", `{"conversation":"team","seqs":["`+seq+`"]}`))
	again(true)
	page := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"0"}`))
	if page.at("events", "0", "seq") != "1" || page.at("events", "1", "hidden") != true {
		t.Errorf("%s", page.text)
	}
	n.wholeAfterwards()
}

// Who may not post does not type either, nor anybody where it has ended.
func TestNobodyTypesWhoMayNotPost(t *testing.T) {
	n := world(t, nil)
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"news","kind":"CHANNEL","members":["bob"]}`))
	hello := `{"hello":{"deviceId":"d","platform":"test"}}`
	alice, bob := n.connect(n.token("alice"), hello), n.connect(n.token("bob"), hello)
	for _, s := range []*socket{alice, bob} {
		defer s.c.CloseNow()
		s.until("synced")
	}
	types := func(conversation string) {
		t.Helper()
		bob.send(`{"typing":{"conversation":"` + conversation + `","typing":true}}`)
		bob.send(`{"ping":{"request":"1"}}`)
		bob.until("pong")
	}
	n.ok(n.as("alice", "ConversationService/Mute", `{"conversation":"team","members":["bob"],"forMs":"60000"}`))
	types("news")
	types("team")
	n.ok(n.as("alice", "ConversationService/Mute", `{"conversation":"team","members":["bob"]}`))
	n.ok(n.as("alice", "ConversationService/Dissolve", `{"conversation":"news"}`))
	types("news")
	types("team")
	if heard := (answer{body: alice.until("signal")}); heard.at("typing", "conversation") != "team" {
		t.Errorf("%v", heard.body)
	}
}

// A block is not to be got round by way of a group.
func TestWhoIsBlockedCannotAddTheBlocker(t *testing.T) {
	n := world(t, nil)
	n.ok(n.as("bob", "ContactService/Block", `{"user":"alice"}`))
	n.ok(n.as("alice", "ConversationService/AddMembers", `{"conversation":"team","members":["bob"]}`)) // is one already
	n.refuses(n.as("alice", "ConversationService/Create", `{"id":"trap","members":["mallory","bob"]}`), 403, "BLOCKED")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"trap","members":["mallory"]}`))
	n.refuses(n.as("alice", "ConversationService/AddMembers", `{"conversation":"trap","members":["bob"]}`), 403, "BLOCKED")
	n.ok(n.app("ConversationService/AddMembers", `{"conversation":"trap","members":["bob"]}`))
	n.ok(n.as("bob", "ConversationService/Leave", `{"conversation":"trap"}`))
	n.ok(n.as("bob", "ContactService/Unblock", `{"user":"alice"}`))
	n.ok(n.as("alice", "ConversationService/AddMembers", `{"conversation":"trap","members":["bob"]}`))
}
