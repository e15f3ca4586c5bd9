// SPDX-License-Identifier: Apache-2.0

// Live ways: WebSocket and long poll, beside each other and at the end of the server.

package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// socket is a WebSocket of a user in JSON.
type socket struct {
	t *testing.T
	c *websocket.Conn
}

func (n *node) connect(token, hello string) *socket {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, response, err := websocket.Dial(ctx, n.url+"/v1/connect", &websocket.DialOptions{
		Subprotocols: []string{"tidemark.v1+json"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}, HTTPClient: n.client,
	})
	if err != nil {
		n.t.Fatalf("%v %v", response, err)
	}
	c.SetReadLimit(1 << 20)
	s := &socket{n.t, c}
	s.send(hello)
	return s
}

func (s *socket) send(frame string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.c.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
		s.t.Fatal(err)
	}
}

// until reads frames up to one of this kind.
func (s *socket) until(kind string) map[string]any {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		_, data, err := s.c.Read(ctx)
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", kind, err)
		}
		var frame map[string]map[string]any
		if err := json.Unmarshal(data, &frame); err != nil {
			s.t.Fatalf("%s: %v", data, err)
		}
		if body, is := frame[kind]; is {
			return body
		}
	}
}

func TestWebSocketHearsWhatHTTPSubmits(t *testing.T) {
	n := world(t, nil)
	s := n.connect(n.token("bob"), `{"hello":{"deviceId":"phone","platform":"test","client":"t/1"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	n.say("alice", "team", "c2", "live")
	delta := answer{body: s.until("delta")}
	if delta.at("conversations", "0", "events", "0", "body", "message", "text") != "live" {
		t.Errorf("%v", delta.body)
	}
	s.send(`{"fetch":{"request":"7","conversation":"team","latest":true,"limit":1}}`)
	fetched := answer{body: s.until("fetched")}
	if fetched.at("request") != "7" || fetched.at("events", "0", "seq") != "3" || fetched.at("hasMore") != true {
		t.Errorf("%v", fetched.body)
	}

	sessions := n.ok(n.app("AdminService/Sessions", `{}`))
	if sessions.at("sessions", "0", "user") != "bob" || sessions.at("sessions", "0", "deviceId") != "phone" {
		t.Errorf("%s", sessions.text)
	}
	devices := n.ok(n.as("bob", "UserService/Devices", `{}`))
	if devices.at("devices", "0", "deviceId") != "phone" || devices.at("devices", "0", "online") != true || devices.at("devices", "0", "platform") != "test" {
		t.Errorf("%s", devices.text)
	}
	if kicked := n.ok(n.as("bob", "UserService/Kick", `{"deviceId":"phone"}`)); kicked.at("sessions") != 1.0 {
		t.Errorf("%s", kicked.text)
	}
	if bye := s.until("bye"); bye["reason"] != "KICKED" {
		t.Errorf("%v", bye)
	}
	if devices := n.ok(n.as("bob", "UserService/Devices", `{}`)); devices.at("devices", "0") != nil {
		t.Errorf("the device is remembered: %s", devices.text)
	}
}

func TestShutdownSaysGoodbye(t *testing.T) {
	n := world(t, nil)
	s := n.connect(n.token("bob"), `{"hello":{"deviceId":"phone"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	if bye := s.until("bye"); bye["reason"] != "SHUTDOWN" {
		t.Errorf("%v", bye)
	}
	// The farewell waits for this connection's close: meanwhile the server is alive and not ready.
	if a := n.get("/readyz"); a.status != http.StatusServiceUnavailable || a.text != "draining\n" {
		t.Errorf("while draining: %d %q", a.status, a.text)
	}
	if a := n.get("/healthz"); a.status != 200 {
		t.Errorf("while draining: %d", a.status)
	}
	_ = s.c.CloseNow()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestLongPoll(t *testing.T) {
	n := world(t, nil)
	first := n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"bot"}`))
	cursor, err := json.Marshal(first.at("cursor"))
	if err != nil || first.at("cursor", "epoch") == nil {
		t.Fatalf("%s", first.text)
	}
	n.ok(n.as("bob", "SyncService/Ack", `{"deviceId":"bot","cursor":`+string(cursor)+`}`))
	if again := n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"bot"}`)); again.at("conversations", "0") != nil {
		t.Errorf("after Ack, Pull without a cursor repeats: %s", again.text)
	}

	waiting := make(chan answer, 1)
	go func() { waiting <- n.as("bob", "SyncService/Pull", `{"deviceId":"bot","waitMs":30000}`) }()
	n.untilOnline()
	n.say("alice", "team", "c2", "wake up")
	if a := n.ok(<-waiting); a.at("conversations", "0", "events", "0", "body", "message", "text") != "wake up" {
		t.Errorf("%s", a.text)
	}
	n.refuses(n.as("bob", "SyncService/Pull", `{"deviceId":"bot","waitMs":60001}`), 400, "BAD_ARGUMENT")
}

func TestShutdownAnswersWhoWaits(t *testing.T) {
	n := world(t, nil)
	cursor, _ := json.Marshal(n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"bot"}`)).at("cursor"))
	waiting := make(chan answer, 1)
	go func() {
		waiting <- n.as("bob", "SyncService/Pull", `{"deviceId":"bot","waitMs":60000,"cursor":`+string(cursor)+`}`)
	}()
	n.untilOnline()
	begin := time.Now()
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("shutting down took %v", took)
	}
	n.refuses(<-waiting, 503, "UNAVAILABLE")
}

func TestAckIsChecked(t *testing.T) {
	n := world(t, nil)
	epoch := n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"bot"}`)).at("epoch").(string)
	for _, cursor := range []string{
		`{"epoch":"1"}`,
		`{"epoch":"` + epoch + `","positions":{"0":"99999"}}`,
		`{"epoch":"` + epoch + `","positions":{"999":"1"}}`,
	} {
		n.refuses(n.as("bob", "SyncService/Ack", `{"deviceId":"bot","cursor":`+cursor+`}`), 400, "BAD_ARGUMENT")
	}
	bound := n.ok(n.app("UserService/IssueToken", `{"userId":"bob","deviceId":"phone"}`)).at("token").(string)
	n.refuses(n.post("SyncService/Pull", `{"deviceId":"bot"}`, "Authorization: Bearer "+bound), 401, "BAD_TOKEN")
}

var onlineUsers = regexp.MustCompile(`(?m)^tidemark_online_users\{partition="\d+"\} [1-9]`)

// untilOnline waits until somebody waits for what is new.
func (n *node) untilOnline() {
	n.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if onlineUsers.MatchString(n.get("/metrics").text) {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatal("nobody comes online: " + strings.Join(regexp.MustCompile(`(?m)^tidemark_online.*$`).FindAllString(n.get("/metrics").text, -1), "\n"))
		}
	}
}
