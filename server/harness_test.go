// SPDX-License-Identifier: Apache-2.0

// What the tests of a whole server share: one server in a temporary directory, and calls as curl would make them.

package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-im/tidemark/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a running server and somebody who calls it.
type node struct {
	t      *testing.T
	server *server.Server
	dir    string
	url    string
	key    string       // the admin key
	out    *buffer      // what it printed
	err    *buffer      // what it told the operator
	stop   func() error // ends the server and answers what Run returned; may be called more than once
	client *http.Client
}

// start runs a server on a free port until the test ends or stop is called.
func start(t *testing.T, dir string, change func(*server.Config)) *node {
	t.Helper()
	out, told := &buffer{}, &buffer{}
	config := server.Config{DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Out: out, Err: told, Spread: time.Millisecond, CacheBytes: 8 << 20}
	if change != nil {
		change(&config)
	}
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	n := &node{t: t, server: s, dir: dir, url: s.URL(), out: out, err: told, client: &http.Client{Transport: &http.Transport{}}}
	n.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		n.client.CloseIdleConnections()
		if err := n.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	key, err := os.ReadFile(filepath.Join(dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	n.key = strings.TrimSpace(string(key))
	return n
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

// untilPrinted waits until the server has said that it is ready.
func (n *node) untilPrinted() {
	n.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); n.out.String() == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatal("it prints nothing")
		}
	}
}

// answer is an HTTP answer read as JSON.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// reason is the reason in the answer's error detail; "" for success.
func (a answer) reason() string {
	details, _ := a.body["details"].([]any)
	if len(details) == 0 {
		return ""
	}
	debug, _ := details[0].(map[string]any)["debug"].(map[string]any)
	reason, _ := debug["reason"].(string)
	return reason
}

// at walks into the answer: names of members, and indices as decimal numbers.
func (a answer) at(path ...string) any {
	var here any = a.body
	for _, step := range path {
		switch node := here.(type) {
		case map[string]any:
			here = node[step]
		case []any:
			i := 0
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(node) {
				return nil
			}
			here = node[i]
		default:
			return nil
		}
	}
	return here
}

// post sends a JSON body to a method with these headers ("Name: value").
func (n *node) post(method, body string, headers ...string) answer {
	n.t.Helper()
	request, err := http.NewRequest(http.MethodPost, n.url+"/tidemark.v1."+method, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	return n.send(request)
}

func (n *node) send(request *http.Request) answer {
	n.t.Helper()
	response, err := n.client.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body) // not everything is JSON
	return a
}

// get reads a page.
func (n *node) get(path string) answer {
	n.t.Helper()
	request, err := http.NewRequest(http.MethodGet, n.url+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return n.send(request)
}

// app calls with the admin key.
func (n *node) app(method, body string) answer {
	n.t.Helper()
	return n.post(method, body, "Authorization: Bearer "+n.key)
}

// as calls with the admin key for a user.
func (n *node) as(user, method, body string) answer {
	n.t.Helper()
	return n.post(method, body, "Authorization: Bearer "+n.key, "Tidemark-User: "+user)
}

// ok fails the test unless the call succeeded.
func (n *node) ok(a answer) answer {
	n.t.Helper()
	if a.status != http.StatusOK {
		n.t.Fatalf("status %d: %s", a.status, a.text)
	}
	return a
}

// refuses fails the test unless the call was refused so.
func (n *node) refuses(a answer, status int, reason string) {
	n.t.Helper()
	if a.status != status || a.reason() != reason {
		n.t.Errorf("status %d, reason %q, want %d %s: %s", a.status, a.reason(), status, reason, a.text)
	}
	if message, _ := a.body["message"].(string); reason != "" && !strings.HasPrefix(message, reason+": ") {
		n.t.Errorf("the message does not begin with the reason: %s", a.text)
	}
}

// users creates users.
func (n *node) users(ids ...string) {
	n.t.Helper()
	for _, id := range ids {
		n.ok(n.app("UserService/Upsert", `{"user":{"id":"`+id+`","nickname":"`+strings.ToUpper(id[:1])+id[1:]+`"}}`))
	}
}

// token makes a token for a user.
func (n *node) token(user string) string {
	n.t.Helper()
	return n.ok(n.app("UserService/IssueToken", `{"userId":"`+user+`"}`)).at("token").(string)
}

// group creates a group.
func (n *node) group(id string, members ...string) {
	n.t.Helper()
	n.ok(n.app("ConversationService/Create", `{"id":"`+id+`","kind":"GROUP","title":"T","members":["`+strings.Join(members, `","`)+`"]}`))
}

// say writes a message and answers its seq.
func (n *node) say(user, conversation, clientID, text string) string {
	n.t.Helper()
	a := n.ok(n.as(user, "MessageService/Submit", `{"conversation":"`+conversation+`","clientId":"`+clientID+`","message":{"type":"text","text":"`+text+`"}}`))
	return a.at("seq").(string)
}
