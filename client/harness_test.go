// SPDX-License-Identifier: Apache-2.0

// What the end-to-end tests share: a real server in a temporary directory, its users, and devices that run.

package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/server"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const team = tidemark.ConversationID("team")

// node is a running server, with the app's back end at hand.
type node struct {
	t             testing.TB
	url           string
	http          *http.Client
	users         wireconnect.UserServiceClient
	conversations wireconnect.ConversationServiceClient
	admin         wireconnect.AdminServiceClient
	stop          func()
}

// serve runs a server on the data in dir until the test ends or stop is called.
func serve(t testing.TB, dir string) *node { return serveFor(t, dir, 0) }

// serveFor is serve by a server that takes lost events back for a time.
func serveFor(t testing.TB, dir string, takeBack time.Duration) *node {
	t.Helper()
	s, err := server.New(server.Config{
		DataDir: dir, Listen: "127.0.0.1:0", CacheBytes: 8 << 20, Spread: time.Millisecond, CallsPerSecond: -1, TakeBack: takeBack,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	key, err := os.ReadFile(filepath.Join(dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	n := &node{t: t, url: s.URL(), http: &http.Client{Transport: withKey{transport, strings.TrimSpace(string(key))}}}
	n.users = wireconnect.NewUserServiceClient(n.http, n.url)
	n.conversations = wireconnect.NewConversationServiceClient(n.http, n.url)
	n.admin = wireconnect.NewAdminServiceClient(n.http, n.url)
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server: %v", err)
		}
		transport.CloseIdleConnections()
	})
	t.Cleanup(n.stop)
	return n
}

// withKey adds the admin key to requests.
type withKey struct {
	next http.RoundTripper
	key  string
}

func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+k.key)
	return k.next.RoundTrip(r)
}

// people makes users, and a conversation of all of them.
func (n *node) people(names ...string) {
	n.t.Helper()
	for _, name := range names {
		if _, err := n.users.Upsert(context.Background(), &wire.UpsertUserRequest{User: &wire.Profile{Id: name, Nickname: name}}); err != nil {
			n.t.Fatal(err)
		}
	}
	_, err := n.conversations.Create(context.Background(), &wire.CreateRequest{Id: string(team), Title: "Team", Members: names})
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) token(user string) string {
	n.t.Helper()
	r, err := n.users.IssueToken(context.Background(), &wire.IssueTokenRequest{UserId: user})
	if err != nil {
		n.t.Fatal(err)
	}
	return r.Token
}

// gadget is a device of a user that runs.
type gadget struct {
	*client.Client
	t     testing.TB
	ctx   context.Context
	stop  func() // ends Run and waits for it
	cable *cable

	running bool
	done    chan error
}

// device runs a device until the test ends or stop is called.
func (n *node) device(user string, cfg client.Config) *gadget {
	n.t.Helper()
	g := n.bare(user, cfg)
	g.run()
	return g
}

// listening is a device whose reports of changed history are heard from the beginning.
func (n *node) listening(user string, store client.Store, reports chan<- client.HistoryChanged) *gadget {
	n.t.Helper()
	g := n.bare(user, client.Config{Store: store})
	events := g.Events(g.ctx)
	go func() {
		for e := range events {
			if e, ok := e.(client.HistoryChanged); ok {
				reports <- e
			}
		}
	}()
	g.run()
	return g
}

// bare is a device that does not run yet.
func (n *node) bare(user string, cfg client.Config) *gadget {
	n.t.Helper()
	line := &cable{}
	transport := &http.Transport{DialContext: line.dial}
	cfg.URL, cfg.Token, cfg.HTTPClient = n.url, client.StaticToken(n.token(user)), &http.Client{Transport: transport}
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 20*time.Millisecond
	if cfg.Store == nil {
		cfg.Store = client.NewMemory()
	}
	if cfg.DeviceID == "" {
		cfg.DeviceID = tidemark.DeviceID(user + "-device")
	}
	c, err := client.New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	g := &gadget{Client: c, t: n.t, ctx: ctx, cable: line, done: make(chan error, 1)}
	g.stop = sync.OnceFunc(func() {
		cancel()
		if g.running {
			if err := <-g.done; err != nil && !errors.Is(err, client.ErrReplaced) {
				n.t.Errorf("%s: Run: %v", user, err)
			}
		}
		transport.CloseIdleConnections()
	})
	n.t.Cleanup(g.stop)
	return g
}

func (g *gadget) run() {
	g.running = true
	go func() { g.done <- g.Run(g.ctx) }()
}

// cable is what a device's connections go through: it can be cut, and can swallow what the server says.
type cable struct {
	mu    sync.Mutex
	conns []net.Conn
	deaf  bool
	to    string        // where connections go instead; empty: where they want to
	stuck chan struct{} // nothing is read until it is closed; nil: nothing waits
}

// redirect makes further connections go to another address, and breaks those there are.
func (c *cable) redirect(address string) {
	c.mu.Lock()
	c.to = address
	c.mu.Unlock()
	c.cut()
}

// stall keeps what the server says on its way, or lets it come.
func (c *cable) stall(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on {
		c.stuck = make(chan struct{})
	} else {
		close(c.stuck)
		c.stuck = nil
	}
}

func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	if c.to != "" {
		address = c.to
	}
	c.mu.Unlock()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return &wired{Conn: conn, cable: c}, nil
}

// wired is a connection through a cable.
type wired struct {
	net.Conn
	cable *cable
}

func (w *wired) Read(p []byte) (int, error) {
	for {
		n, err := w.Conn.Read(p)
		w.cable.mu.Lock()
		deaf, stuck := w.cable.deaf, w.cable.stuck
		w.cable.mu.Unlock()
		if stuck != nil {
			<-stuck
		}
		if err != nil || !deaf {
			return n, err
		}
	}
}

// cut breaks all connections.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns, c.deaf = nil, false
}

// deafen swallows what the server says until the cable is cut.
func (c *cable) deafen() { c.mu.Lock(); c.deaf = true; c.mu.Unlock() }

func (g *gadget) synced() *gadget {
	g.t.Helper()
	if err := g.WaitSynced(g.ctx); err != nil {
		g.t.Fatalf("not synced: %v", err)
	}
	return g
}

// say sends a text to the team and waits until it is stored.
func (g *gadget) say(text string) tidemark.Seq {
	g.t.Helper()
	id, err := g.Send(g.ctx, team, text)
	if err != nil {
		g.t.Fatal(err)
	}
	m, err := g.WaitSent(g.ctx, id)
	if err != nil {
		g.t.Fatal(err)
	}
	return m.Seq
}

// texts are the texts of the team's stored messages.
func (g *gadget) texts() (list []string) {
	g.t.Helper()
	stored, err := g.Messages(team, 1, 1<<62)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, m := range stored {
		if m.Content != nil {
			list = append(list, m.Text())
		}
	}
	return list
}

// until waits for a condition, looking at each event.
func (g *gadget) until(what string, ok func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			conversation, _ := g.Conversation(team)
			g.t.Fatalf("%s: waited in vain; %d texts, %+v", what, len(g.texts()), conversation)
		}
	}
}

// untilHead waits until everything up to a seq is stored.
func (g *gadget) untilHead(seq tidemark.Seq) {
	g.t.Helper()
	g.until(fmt.Sprint("everything up to ", seq), func() bool {
		c, ok := g.Conversation(team)
		return ok && c.Tail() >= seq && len(c.Gaps()) == 0
	})
}

// same checks that devices have the same history.
func same(t *testing.T, devices ...*gadget) {
	t.Helper()
	for _, d := range devices[1:] {
		seq, digest, _ := devices[0].Digest(team)
		otherSeq, other, _ := d.Digest(team)
		if seq != otherSeq || digest != other {
			t.Errorf("one device is at %d %v, another at %d %v", seq, digest, otherSeq, other)
		}
	}
}

// once checks that each of the texts is there once, in this order.
func once(t *testing.T, got, want []string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Fatalf("the messages are %d: %.300q\nwant %d: %.300q", len(got), got, len(want), want)
	}
}

// demo is a server for the examples, with alice, bob and their group.
func demo() (url, alice, bob string, stop func()) {
	t := &exampleTB{}
	dir, err := os.MkdirTemp("", "tidemark-demo-")
	if err != nil {
		t.Fatal(err)
	}
	n := serve(t, dir)
	n.people("alice", "bob")
	return n.url, n.token("alice"), n.token("bob"), func() { n.stop(); _ = os.RemoveAll(dir) }
}

// run runs clients; what it returns ends them.
func run(ctx context.Context, cancel func(), clients ...*client.Client) (stop func()) {
	var running sync.WaitGroup
	for _, c := range clients {
		running.Go(func() {
			if err := c.Run(ctx); err != nil {
				panic(err)
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

// exampleTB lets examples use the tests' harness.
type exampleTB struct{ testing.TB }

func (*exampleTB) Helper()                   {}
func (*exampleTB) Cleanup(func())            {}
func (*exampleTB) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (*exampleTB) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
