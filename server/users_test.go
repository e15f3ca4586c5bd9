// SPDX-License-Identifier: Apache-2.0

// Accounts over the wire: options, signing out, the end of an account, presence.

package server_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// bearer is the header of a token.
func bearer(token string) string { return "Authorization: Bearer " + token }

// refusesHello fails the test unless a token is refused in a hello.
func (n *node) refusesHello(token string) {
	n.t.Helper()
	c, _, err := websocket.Dial(n.t.Context(), n.url+"/v1/connect", &websocket.DialOptions{
		Subprotocols: []string{"tidemark.v1+json"}, HTTPClient: n.client,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.CloseNow()
	s := &socket{n.t, c}
	s.send(`{"hello":{"deviceId":"phone","token":"` + token + `"}}`)
	if refused := s.until("error"); refused["reason"] != "BAD_TOKEN" {
		n.t.Errorf("hello: %v", refused)
	}
}

func TestOptions(t *testing.T) {
	n := world(t, nil)
	if a := n.ok(n.as("alice", "UserService/Options", `{}`)); a.text != `{"options":{}}` {
		t.Errorf("nothing is chosen: %s", a.text)
	}
	n.ok(n.as("alice", "UserService/Options", `{"hidePresence":true,"contactsOnly":true}`))
	a := n.ok(n.app("UserService/Options", `{"userId":"alice","contactsOnly":false}`))
	if a.at("options", "hidePresence") != true || a.at("options", "contactsOnly") != nil {
		t.Errorf("what is not given stays: %s", a.text)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, n.dir, nil)
	if a := n.ok(n.as("alice", "UserService/Options", `{}`)); a.at("options", "hidePresence") != true {
		t.Errorf("after a restart: %s", a.text)
	}
}

func TestPartitions(t *testing.T) {
	n := world(t, nil)
	all, _ := n.ok(n.app("AdminService/Partitions", `{}`)).at("partitions").([]any)
	events := uint64(0)
	for i, p := range all {
		p := p.(map[string]any)
		if number, _ := p["partition"].(float64); int(number) != i {
			t.Errorf("partition %d is %v", i, p)
		}
		if p["events"] != nil {
			events += number(t, p["events"])
		}
	}
	if len(all) != 8 || events != 3 {
		t.Errorf("%d partitions, %d events", len(all), events)
	}
}

// Signing out everywhere ends sessions and Pulls that wait, and refuses the tokens on every way in; a token issued at
// once counts.
func TestSignOutEverywhere(t *testing.T) {
	n := world(t, nil)
	token, bot := n.token("bob"), n.token("bob")
	cursor, err := json.Marshal(n.ok(n.post("SyncService/Pull", `{"deviceId":"bot"}`, bearer(bot))).at("cursor"))
	if err != nil {
		t.Fatal(err)
	}
	s := n.connect(token, `{"hello":{"deviceId":"phone"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	pulled := make(chan answer, 1)
	go func() {
		pulled <- n.post("SyncService/Pull", `{"deviceId":"bot","waitMs":30000,"cursor":`+string(cursor)+`}`, bearer(bot))
	}()
	time.Sleep(100 * time.Millisecond) // by now it waits

	kicked := n.ok(n.post("UserService/Kick", `{"revoke":true}`, bearer(token)))
	if kicked.at("sessions") != 2.0 {
		t.Errorf("a session and a Pull are ended: %s", kicked.text)
	}
	if bye := s.until("bye"); bye["reason"] != "KICKED" {
		t.Errorf("%v", bye)
	}
	select {
	case a := <-pulled:
		n.refuses(a, 401, "BAD_TOKEN")
	case <-time.After(10 * time.Second):
		t.Fatal("the Pull goes on waiting")
	}
	for _, old := range []string{token, bot} {
		n.refuses(n.post("UserService/Get", `{}`, bearer(old)), 401, "BAD_TOKEN")
		n.refusesHello(old)
	}
	next := n.token("bob")
	n.ok(n.post("UserService/Get", `{}`, bearer(next)))
	again := n.connect(next, `{"hello":{"deviceId":"phone"}}`)
	defer again.c.CloseNow()
	again.until("synced")

	// Restarted, the server remembers it.
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, n.dir, nil)
	n.refuses(n.post("UserService/Get", `{}`, bearer(token)), 401, "BAD_TOKEN")
	n.ok(n.post("UserService/Get", `{}`, bearer(next)))
}

// Signing out one device leaves the others in peace.
func TestSignOutOneDevice(t *testing.T) {
	n := world(t, nil)
	bound := func(device string) string {
		return n.ok(n.app("UserService/IssueToken", `{"userId":"bob","deviceId":"`+device+`"}`)).at("token").(string)
	}
	phone, desk := bound("phone"), bound("desk")
	s, other := n.connect(phone, `{"hello":{"deviceId":"phone"}}`), n.connect(desk, `{"hello":{"deviceId":"desk"}}`)
	defer s.c.CloseNow()
	defer other.c.CloseNow()
	s.until("synced")
	other.until("synced")
	if a := n.ok(n.post("UserService/Kick", `{"deviceId":"phone","revoke":true}`, bearer(desk))); a.at("sessions") != 1.0 {
		t.Errorf("%s", a.text)
	}
	if bye := s.until("bye"); bye["reason"] != "KICKED" {
		t.Errorf("%v", bye)
	}
	n.refuses(n.post("UserService/Get", `{}`, bearer(phone)), 401, "BAD_TOKEN")
	n.ok(n.post("UserService/Get", `{}`, bearer(desk)))
	n.ok(n.post("UserService/Get", `{}`, bearer(bound("phone"))))
	other.send(`{"ping":{"request":"7"}}`)
	other.until("pong")
}

func TestPresenceCall(t *testing.T) {
	n := world(t, nil)
	s := n.connect(n.token("bob"), `{"hello":{"deviceId":"phone","platform":"ios"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"bot","platform":"cli"}`))
	ask := `{"users":["mallory","bob","bob"]}`
	a := n.ok(n.as("alice", "UserService/Presence", ask))
	if a.at("users", "1", "online") != true || a.at("users", "1", "platforms", "0") != "ios" || a.at("users", "0", "online") != nil || a.at("users", "2", "user") != "bob" {
		t.Errorf("%s", a.text)
	}
	if trace := n.ok(n.as("alice", "MessageService/Trace", `{"conversation":"team","seq":"2"}`)); trace.at("members", "1", "devices", "0") == nil {
		t.Errorf("%s", trace.text)
	}

	n.ok(n.as("bob", "UserService/Options", `{"hidePresence":true}`))
	if a := n.ok(n.as("alice", "UserService/Presence", `{"users":["bob"]}`)); a.text != `{"users":[{"user":"bob"}]}` {
		t.Errorf("he hides: %s", a.text)
	}
	for _, a := range []answer{n.as("bob", "UserService/Presence", `{"users":["bob"]}`), n.app("UserService/Presence", `{"users":["bob"]}`)} {
		if n.ok(a).at("users", "0", "online") != true {
			t.Errorf("himself and the app: %s", a.text)
		}
	}
	if trace := n.ok(n.as("alice", "MessageService/Trace", `{"conversation":"team","seq":"2"}`)); trace.at("members", "1", "user") != "bob" || trace.at("members", "1", "devices") != nil {
		t.Errorf("his devices tell when he was there: %s", trace.text)
	}
	if trace := n.ok(n.app("MessageService/Trace", `{"conversation":"team","seq":"2"}`)); trace.at("members", "1", "devices", "0") == nil {
		t.Errorf("the app sees them: %s", trace.text)
	}
	many := strings.Repeat(`"bob",`, 1000) + `"bob"`
	n.refuses(n.as("alice", "UserService/Presence", `{"users":[`+many+`]}`), 429, "TOO_MANY")
}

func TestTheAppForAUserHasThatUsersRights(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.users("alice", "bob", "carol")
	n.group("team", "alice", "bob")
	seq := n.say("alice", "team", "c1", "hello")
	for method, body := range map[string]string{
		"UserService/Options": `{"userId":"bob"}`,
		"UserService/Devices": `{"userId":"bob"}`,
		"UserService/Kick":    `{"userId":"bob"}`,
		"UserService/Update":  `{"userId":"bob","nickname":"Rob"}`,
	} {
		n.refuses(n.as("carol", method, body), 403, "NOT_ALLOWED")
		n.refuses(n.post(method, body, "Authorization: Bearer "+n.token("carol")), 403, "NOT_ALLOWED")
		n.ok(n.app(method, body))
	}
	n.refuses(n.as("bob", "MessageService/Trace", `{"conversation":"team","seq":"`+seq+`"}`), 403, "NOT_ALLOWED")
	n.ok(n.app("MessageService/Trace", `{"conversation":"team","seq":"`+seq+`"}`))
}
