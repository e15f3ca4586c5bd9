// SPDX-License-Identifier: Apache-2.0

// Rooms over WebSocket and HTTP, and the death of the server while somebody is in one.

package server_test

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-im/tidemark/server"
	"github.com/tidemark-im/tidemark/verify"
)

// enter connects a user, with a device named like the user, and enters a room.
func (n *node) enter(user, room string) (*socket, answer) {
	n.t.Helper()
	s := n.connect(n.token(user), `{"hello":{"deviceId":"`+user+`"}}`)
	n.t.Cleanup(func() { _ = s.c.CloseNow() })
	s.until("synced")
	s.send(`{"enter":{"request":"1","conversation":"` + room + `"}}`)
	fetched := answer{body: s.until("fetched")}
	if fetched.at("request") != "1" {
		n.t.Fatalf("enter is answered by %v", fetched.body)
	}
	return s, fetched
}

// count is how many are in a room, as the app is told.
func (n *node) count(room string) any {
	n.t.Helper()
	return n.ok(n.app("ConversationService/Get", `{"conversation":"`+room+`"}`)).at("conversation", "info", "memberCount")
}

// untilCount waits until so many are in a room: nil is none.
func (n *node) untilCount(room string, want any) {
	n.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); n.count(room) != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatalf("%v are in %s, want %v", n.count(room), room, want)
		}
	}
}

func TestA3ChatRooms(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.users("olga", "ann", "bob")
	n.ok(n.as("olga", "ConversationService/Create", `{"id":"hall","kind":"ROOM","title":"Hall"}`))
	n.refuses(n.as("ann", "MessageService/Submit", `{"conversation":"hall","clientId":"a0","message":{"text":"x"}}`), 403, "NOT_MEMBER")
	n.refuses(n.as("ann", "MessageService/Fetch", `{"conversation":"hall"}`), 403, "NOT_MEMBER")
	n.refuses(n.as("ann", "ConversationService/Join", `{"conversation":"hall"}`), 403, "NOT_ALLOWED")

	ann, page := n.enter("ann", "hall")
	if page.at("events", "0", "body", "members", "created", "kind") != "ROOM" {
		t.Errorf("%v", page.body)
	}
	info := answer{body: ann.until("delta")}
	if info.at("conversations", "0", "info", "memberCount") != 1.0 || info.at("conversations", "0", "self", "role") != "MEMBER" || info.at("live") != true {
		t.Errorf("%v", info.body)
	}
	n.say("ann", "hall", "a1", "over HTTP") // she is in it, on whatever way she writes
	for _, asking := range []answer{n.as("ann", "MessageService/Receipts", `{"conversation":"hall","seq":"2"}`), n.app("MessageService/Receipts", `{"conversation":"hall","seq":"2"}`)} {
		n.refuses(asking, 403, "NOT_ALLOWED")
	}
	if d := (answer{body: ann.until("delta")}); d.at("conversations", "0", "events", "0", "body", "message", "text") != "over HTTP" || d.at("checkpoints") != nil {
		t.Errorf("%v", d.body)
	}
	bob, _ := n.enter("bob", "hall")
	bob.until("delta")
	members := n.ok(n.app("ConversationService/ListMembers", `{"conversation":"hall","pageSize":1}`))
	rest := n.ok(n.as("olga", "ConversationService/ListMembers", `{"conversation":"hall","pageSize":1,"pageToken":"`+members.at("nextPageToken").(string)+`"}`))
	if members.at("members", "0", "user") != "ann" || rest.at("members", "0", "user") != "bob" || n.count("hall") != 2.0 {
		t.Errorf("%s %s", members.text, rest.text)
	}
	if list := n.ok(n.as("olga", "ConversationService/List", `{}`)); list.at("conversations", "0") != nil {
		t.Errorf("the room is in its owner's list: %s", list.text)
	}
	if pull := n.ok(n.as("ann", "SyncService/Pull", `{"deviceId":"bot"}`)); pull.at("conversations", "0") != nil {
		t.Errorf("the room is in a sync: %s", pull.text)
	}

	set := n.ok(n.as("bob", "ConversationService/SetAttributes", `{"conversation":"hall","set":{"seat":"3"},"autoDelete":true}`))
	if set.at("attributes", "0", "owner") != "bob" {
		t.Errorf("%s", set.text)
	}
	n.refuses(n.as("ann", "ConversationService/SetAttributes", `{"conversation":"hall","set":{"seat":"4"}}`), 403, "NOT_ALLOWED")
	if d := (answer{body: ann.until("delta")}); d.at("conversations", "0", "events", "0", "body", "info", "attributes", "0", "value") != "3" {
		t.Errorf("%v", d.body)
	}
	bob.send(`{"leave":{"request":"2","conversation":"hall"}}`)
	if left := bob.until("fetched"); left["request"] != "2" || left["events"] != nil {
		t.Errorf("leave is answered by %v", left)
	}
	if d := (answer{body: ann.until("delta")}); d.at("conversations", "0", "events", "0", "body", "info", "attributes", "0", "key") != "seat" ||
		d.at("conversations", "0", "events", "0", "sender") != "system" {
		t.Errorf("the key of one who has left: %v", d.body)
	}
	n.ok(n.as("olga", "ConversationService/RemoveMembers", `{"conversation":"hall","members":["ann"]}`))
	for removed := false; !removed; {
		removed = (answer{body: ann.until("delta")}).at("conversations", "0", "removed") == true
	}
	n.untilCount("hall", nil)
	if a := n.get("/metrics"); !strings.Contains(a.text, `tidemark_room_shed_total{priority="low"} 0`) {
		t.Error("what is left out is not in the metrics")
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	wholeDir(t, n.dir)
}

// wholeDir fails unless a directory at rest is found whole.
func wholeDir(t *testing.T, dir string) {
	t.Helper()
	report, err := verify.Run(t.Context(), verify.Config{Dir: dir})
	if err != nil || !report.OK() {
		t.Fatalf("%v\n%s", err, report)
	}
}

// What is left out for a receiver that does not read is seen by the metrics; the others get everything.
func TestA3LoadSheddingOfASlowReceiver(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.users("olga", "ann", "bob")
	n.ok(n.as("olga", "ConversationService/Create", `{"id":"hall","kind":"ROOM"}`))
	slow, _ := n.enter("ann", "hall")
	fast, _ := n.enter("bob", "hall")
	slow.c.SetReadLimit(1 << 24)
	text := strings.Repeat("x", 32<<10) // so that what the kernel holds for the connection is soon full
	const messages = 400
	got := make(chan int, 1)
	go func() {
		count := 0
		for count < messages {
			d := answer{body: fast.until("delta")}
			if events, _ := d.at("conversations", "0", "events").([]any); events != nil {
				count += len(events)
			}
			if prev := d.at("conversations", "0", "prevDigest"); prev != nil {
				break // something was left out
			}
		}
		got <- count
	}()
	for i := range messages {
		n.ok(n.app("MessageService/Submit", `{"conversation":"hall","clientId":"m`+string(rune('a'+i/26%26))+string(rune('a'+i%26))+string(rune('a'+i/676))+
			`","message":{"text":"`+text+`","priority":"PRIORITY_LOW"}}`))
	}
	if n := <-got; n != messages {
		t.Errorf("who reads got %d of %d", n, messages)
	}
	slow.until("delta")
	for gap := false; !gap; {
		gap = (answer{body: slow.until("delta")}).at("conversations", "0", "prevDigest") != nil
	}
	if a := n.get("/metrics"); strings.Contains(a.text, `tidemark_room_shed_total{priority="low"} 0`) {
		t.Error("what was left out is not counted")
	}
}

// TestServeUntilKilled is not a test: it is the server of TestA3ChatRoomsKilledServer, in a process of its own.
func TestServeUntilKilled(t *testing.T) {
	dir := os.Getenv("SERVE_UNTIL_KILLED")
	if dir == "" {
		t.Skip("it is run by another test")
	}
	s, err := server.New(server.Config{DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Out: os.Stdout, Err: os.Stderr, CacheBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(s.Run(context.Background()))
}

// victim starts a server in a process of its own.
func victim(t *testing.T, dir string) (n *node, kill func()) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestServeUntilKilled$", "-test.timeout=2m")
	command.Env = append(os.Environ(), "SERVE_UNTIL_KILLED="+dir)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
	t.Cleanup(kill)
	n = &node{t: t, dir: dir, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(n.client.CloseIdleConnections)
	for lines := bufio.NewScanner(out); n.url == "" && lines.Scan(); {
		_, n.url, _ = strings.Cut(lines.Text(), "listening on ")
	}
	key, err := os.ReadFile(filepath.Join(dir, "admin.key"))
	if err != nil || n.url == "" {
		t.Fatalf("it does not serve: %q, %v", n.url, err)
	}
	n.key = strings.TrimSpace(string(key))
	return n, kill
}

func TestA3ChatRoomsKilledServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n, kill := victim(t, dir)
	n.users("olga", "ann", "bob")
	n.ok(n.as("olga", "ConversationService/Create", `{"id":"hall","kind":"ROOM"}`))
	n.enter("ann", "hall")
	n.say("ann", "hall", "a1", "before")
	n.ok(n.as("ann", "ConversationService/SetAttributes", `{"conversation":"hall","set":{"seat":"3"},"autoDelete":true}`))
	n.ok(n.as("ann", "ConversationService/SetAttributes", `{"conversation":"hall","set":{"mood":"fine"}}`))
	kill()
	wholeDir(t, dir)

	n, kill = victim(t, dir)
	got := n.ok(n.app("ConversationService/Get", `{"conversation":"hall"}`))
	if got.at("conversation", "info", "memberCount") != nil || got.at("conversation", "info", "attributes", "0", "key") != "mood" ||
		got.at("conversation", "info", "attributes", "1") != nil || got.at("conversation", "headSeq") != "4" {
		t.Errorf("after the death of the server: %s", got.text)
	}
	n.refuses(n.as("ann", "MessageService/Submit", `{"conversation":"hall","clientId":"a2","message":{"text":"x"}}`), 403, "NOT_MEMBER")
	ann, page := n.enter("ann", "hall")
	if page.at("events", "1", "body", "message", "text") != "before" {
		t.Errorf("%v", page.body)
	}
	for dropped := false; !dropped; {
		d := answer{body: ann.until("delta")}
		dropped = d.at("conversations", "0", "events", "0", "body", "info", "attributes", "0", "key") == "seat"
	}
	kill()
	wholeDir(t, dir)
}
