// SPDX-License-Identifier: Apache-2.0

// A whole server from outside: the first calls, starting, being ready, ending, starting again.

package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/goccy/go-yaml"

	"github.com/tidemark-im/tidemark/server"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// The calls of the protocol's section "Services", as they are written there.
func TestTheFirstCalls(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	admin := "Authorization: Bearer " + n.key

	a := n.ok(n.post("UserService/Upsert", `{"user":{"id":"alice","nickname":"Alice"}}`, admin))
	if a.at("user", "nickname") != "Alice" || a.at("created") != true {
		t.Errorf("Upsert: %s", a.text)
	}
	a = n.ok(n.post("UserService/IssueToken", `{"userId":"alice"}`, admin))
	if token, _ := a.at("token").(string); strings.Count(token, ".") != 2 {
		t.Errorf("IssueToken: %s", a.text)
	}
	for _, body := range []string{`{}`, `{"userId":"alice"}`} {
		if a = n.ok(n.as("alice", "UserService/Get", body)); a.at("user", "nickname") != "Alice" {
			t.Errorf("Get %s: %s", body, a.text)
		}
	}
	n.users("bob")
	bob := n.token("bob")
	a = n.ok(n.post("ConversationService/Create", `{"id":"team","kind":"GROUP","title":"Team","members":["alice","bob"]}`, admin))
	if a.at("id") != "team" || a.at("headSeq") != "1" || a.at("info", "title") != "Team" || a.at("info", "memberCount") != 2.0 {
		t.Errorf("Create: %s", a.text)
	}
	a = n.ok(n.post("MessageService/Submit", `{"conversation":"team","clientId":"c1","message":{"type":"text","text":"hello"}}`, admin, "Tidemark-User: alice"))
	if a.at("seq") != "2" {
		t.Errorf("Submit: %s", a.text)
	}
	a = n.ok(n.post("SyncService/Pull", `{"deviceId":"curl","waitMs":10000}`, "Authorization: Bearer "+bob))
	if a.at("conversations", "0", "id") != "team" || a.at("conversations", "0", "unread") != "1" {
		t.Errorf("Pull: %s", a.text)
	}
	if text := a.at("conversations", "0", "events", "1", "body", "message", "text"); text != "hello" {
		t.Errorf("Pull gives %v as the second event's text: %s", text, a.text)
	}
}

func TestStartTellsHowToBegin(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.untilPrinted()
	if line := n.out.String(); line != "listening on "+n.url+"\n" {
		t.Errorf("it prints %q", line)
	}
	if told := n.err.String(); !strings.Contains(told, "$(cat ") || !strings.Contains(told, "admin.key") || !strings.Contains(told, n.url) {
		t.Errorf("the first start does not say how to begin: %q", told)
	}
	if info, err := os.Stat(filepath.Join(dir, "admin.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("admin.key: %v %v", info, err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, dir, nil)
	again.untilPrinted()
	if text := again.err.String(); text != "" {
		t.Errorf("the second start tells it again: %q", text)
	}
	if again.key != n.key {
		t.Error("the second start has another admin key")
	}
}

func TestAdminKeyFromConfig(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.refuses(n.post("AdminService/Stats", `{}`, "Authorization: Bearer 0123456789abcdef"), 401, "BAD_TOKEN")
	dir := t.TempDir()
	config := server.Config{DataDir: dir, Listen: "127.0.0.1:0", Keys: server.Keys{Admin: "short"}}
	if _, err := server.New(config); err == nil {
		t.Error("an admin key of 5 bytes is accepted")
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice", "bob")
	n.group("team", "alice", "bob")
	for _, text := range []string{"one", "two", "three"} {
		n.say("alice", "team", text, text)
	}
	n.ok(n.as("bob", "MessageService/Read", `{"conversation":"team","seq":"3"}`))
	token := n.token("bob")
	before := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"0"}`)).text
	list := n.ok(n.as("bob", "ConversationService/List", `{}`)).text
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}

	n = start(t, dir, nil)
	if after := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"0"}`)).text; after != before {
		t.Errorf("before: %s\nafter:  %s", before, after)
	}
	if after := n.ok(n.as("bob", "ConversationService/List", `{}`)).text; after != list {
		t.Errorf("before: %s\nafter:  %s", list, after)
	}
	n.ok(n.post("ConversationService/List", `{}`, "Authorization: Bearer "+token))
	if seq := n.say("alice", "team", "four", "four"); seq != "5" {
		t.Errorf("the next seq is %s", seq)
	}
	again := n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"one","message":{"type":"text","text":"one"}}`))
	if again.at("duplicate") != true || again.at("seq") != "2" {
		t.Errorf("a message of before the restart, sent again: %s", again.text)
	}
}

func TestNewRefusesWithAdvice(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	address := n.server.Addr().String()
	_, err := server.New(server.Config{DataDir: t.TempDir(), Listen: address})
	if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("port in use: %v", err)
	}
	if _, err := server.New(server.Config{DataDir: dir, Listen: "127.0.0.1:0"}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("data directory in use: %v", err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "holiday.jpg"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(server.Config{DataDir: foreign, Listen: "127.0.0.1:0"}); err == nil {
		t.Error("a directory of something else is accepted")
	}
	if entries, _ := os.ReadDir(foreign); len(entries) != 1 {
		t.Errorf("something was written into a directory of something else: %v", entries)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, filepath.Join(dir, "db", "backups"))
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []server.Config{
		{DataDir: dir, Backups: filepath.Join(dir, "db")}, {DataDir: dir, Backups: relative},
		{}, {DataDir: dir, Listen: "nonsense"}, {DataDir: dir, Listen: "127.0.0.1:99999"}, {DataDir: dir, Partitions: 1000},
		{DataDir: dir, Heartbeat: time.Millisecond}, {DataDir: dir, Drain: time.Hour}, {DataDir: dir, CacheBytes: -1},
	} {
		if _, err := server.New(config); !errors.As(err, new(*server.ConfigError)) {
			t.Errorf("%+v: %v", config, err)
		}
	}
}

func TestPagesForMachines(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.users("alice")
	for path, want := range map[string]string{"/healthz": "alive\n", "/readyz": "serving\n"} {
		if a := n.get(path); a.status != 200 || a.text != want {
			t.Errorf("%s: %d %q", path, a.status, a.text)
		}
	}
	metrics := n.get("/metrics").text
	for _, name := range []string{
		"tidemark_commits_total", "tidemark_batch_bytes_count", "tidemark_queue_length", "tidemark_commit_seconds_bucket", "tidemark_sessions",
		"tidemark_frames_out_total", "tidemark_bytes_out_total", "tidemark_wakes_total", "tidemark_slow_closes_total", "tidemark_commit_failures_total",
		"tidemark_block_cache_hits_total", "tidemark_ready 1", "tidemark_call_seconds_count", "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(metrics, name) {
			t.Errorf("no %s in /metrics", name)
		}
	}
	document := n.get("/openapi.yaml")
	if err := yaml.Unmarshal([]byte(document.text), &map[string]any{}); err != nil || !strings.Contains(document.text, "/tidemark.v1.MessageService/Submit") {
		t.Errorf("/openapi.yaml: %v", err)
	}
	if home := n.get("/"); home.status != 200 || !strings.Contains(home.text, n.url+"/tidemark.v1.") || !strings.Contains(home.header.Get("Content-Type"), "text/html") {
		t.Errorf("/: %d %s", home.status, home.header)
	}
	if a := n.get("/nothing"); a.status != 404 {
		t.Errorf("/nothing: %d", a.status)
	}
}

func TestGRPCOnTheSamePort(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	asApp := connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			request.Header().Set("Authorization", "Bearer "+n.key)
			return next(ctx, request)
		}
	}))
	users := wireconnect.NewUserServiceClient(&http.Client{Transport: transport}, n.url, connect.WithGRPC(), asApp)
	answer, err := users.Upsert(context.Background(), &wire.UpsertUserRequest{User: &wire.Profile{Id: "carol", Nickname: "Carol"}})
	if err != nil || !answer.GetCreated() || answer.GetUser().GetNickname() != "Carol" {
		t.Fatalf("%v %v", answer, err)
	}
	_, err = users.Get(context.Background(), &wire.GetUserRequest{UserId: "nobody"})
	var refusal *connect.Error
	if !errors.As(err, &refusal) || refusal.Code() != connect.CodeNotFound || len(refusal.Details()) != 1 {
		t.Fatalf("%v", err)
	}
	if value, err := refusal.Details()[0].Value(); err != nil || value.(*wire.Error).GetReason() != wire.Reason_UNKNOWN_USER {
		t.Errorf("detail %v %v", value, err)
	}
}

// Without TLS both versions of HTTP are spoken; a connection that says nothing is closed.
func TestSlowHeadersAreCut(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a timeout")
	}
	n := start(t, t.TempDir(), nil)
	connection, err := net.Dial("tcp", n.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := connection.Write([]byte("POST /tidemark.v1.UserService/Get HTTP/1.1\r\nHost: x\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = connection.SetReadDeadline(time.Now().Add(20 * time.Second))
	begin := time.Now()
	if _, err := connection.Read(make([]byte, 1)); err == nil || time.Since(begin) > 15*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}
