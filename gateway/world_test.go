// SPDX-License-Identifier: Apache-2.0

// The world of the connection tests: a server on the loopback, and clients that speak bytes as well as frames.

package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen. Nothing waits for it to pass.
const patience = 20 * time.Second

type world struct {
	t       testing.TB
	sockets *WebSocket
	server  *httptest.Server
	auth    *Auth
	clock   *clock
	stop    func() // ends Run; may be called more than once
	stopped chan struct{}
}

// newWorld serves, with the given changes to the configuration.
func newWorld(t testing.TB, change func(*Config), open func(session.Config) stream) *world {
	t.Helper()
	w := &world{t: t, stopped: make(chan struct{})}
	w.auth, w.clock = testAuth(t, nil)
	cfg := Config{Auth: w.auth, NowMs: w.clock.now}
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.sockets, err = NewWebSocket(cfg); err != nil {
		t.Fatal(err)
	}
	if open != nil {
		w.sockets.open = open
	}
	w.server = httptest.NewUnstartedServer(w.sockets)
	w.server.Config.ReadHeaderTimeout = 300 * time.Millisecond
	w.server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	go func() {
		defer close(w.stopped)
		if err := w.sockets.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		w.stop()
		<-w.stopped
		w.server.Close()
	})
	return w
}

func (w *world) token(user, device string) string {
	w.t.Helper()
	token, _, err := w.auth.Issue(tidemark.UserID(user), tidemark.DeviceID(device), time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// client is one end of a connection, speaking bytes.
type client struct {
	t      testing.TB
	socket net.Conn
	reader *bufio.Reader
	format wire.Format
}

// dial connects and upgrades.
func (w *world) dial(format wire.Format, header http.Header) *client {
	w.t.Helper()
	d := ws.Dialer{Protocols: []string{format.Subprotocol()}, Timeout: patience}
	if header != nil {
		d.Header = ws.HandshakeHeaderHTTP(header)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	socket, buffered, hs, err := d.Dial(ctx, "ws"+strings.TrimPrefix(w.server.URL, "http")+"/v1/connect")
	if err != nil {
		w.t.Fatalf("connect: %v", err)
	}
	if hs.Protocol != format.Subprotocol() || len(hs.Extensions) != 0 {
		w.t.Errorf("negotiated %q, %v", hs.Protocol, hs.Extensions)
	}
	c := &client{t: w.t, socket: socket, reader: buffered, format: format}
	if c.reader == nil {
		c.reader = bufio.NewReader(socket)
	}
	w.t.Cleanup(func() { _ = socket.Close() })
	return c
}

// connect dials and says hello, and reads until synced.
func (w *world) connect(format wire.Format, user, device string) *client {
	w.t.Helper()
	c := w.dial(format, nil)
	c.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: &wire.Hello{Token: w.token(user, ""), DeviceId: device}}})
	if c.frame().GetWelcome() == nil {
		w.t.Fatal("no welcome")
	}
	for c.frame().GetSynced() == nil {
	}
	return c
}

func (c *client) raw(data []byte) {
	_ = c.socket.SetWriteDeadline(time.Now().Add(patience))
	_, _ = c.socket.Write(data) // the server may have closed
}

func (c *client) op() ws.OpCode {
	if c.format == wire.JSON {
		return ws.OpText
	}
	return ws.OpBinary
}

func (c *client) text(message string) { c.raw(masked(c.op(), true, message)) }

func (c *client) send(f *wire.ClientFrame) {
	c.t.Helper()
	data, err := wire.AppendClientFrame(nil, c.format, f)
	if err != nil {
		c.t.Fatal(err)
	}
	c.text(string(data))
}

func (c *client) ping(request uint64) {
	c.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: request}}})
}

// next is the next WebSocket frame.
func (c *client) next() (ws.Frame, error) {
	_ = c.socket.SetReadDeadline(time.Now().Add(patience))
	//lint:ignore SA1019 the frames are our own: nobody sends long ones here
	f, err := ws.ReadFrame(c.reader)
	if err == nil && (f.Header.Masked || f.Header.Rsv != 0 || !f.Header.Fin) {
		c.t.Errorf("the server sent a frame with header %+v", f.Header)
	}
	return f, err
}

// frame is the next ServerFrame; the test fails if something else comes.
func (c *client) frame() *wire.ServerFrame {
	c.t.Helper()
	f, err := c.next()
	if err != nil {
		c.t.Fatalf("waiting for a frame: %v", err)
	}
	return c.decode(f)
}

func (c *client) decode(f ws.Frame) *wire.ServerFrame {
	c.t.Helper()
	if f.Header.OpCode != c.op() {
		c.t.Fatalf("waiting for a message, got opcode %x: %q", byte(f.Header.OpCode), f.Payload)
	}
	m, err := wire.DecodeServerFrame(c.format, f.Payload)
	if err != nil {
		c.t.Fatalf("%v: %q", err, f.Payload)
	}
	return m
}

func (c *client) wantPong(request uint64) {
	c.t.Helper()
	if f := c.frame(); f.GetPong() == nil || f.GetPong().Request != request {
		c.t.Fatalf("want pong %d, got %v", request, f)
	}
}

func (c *client) wantError(request uint64, reason tidemark.Reason, text string) {
	c.t.Helper()
	e := c.frame().GetError()
	if e == nil || e.Request != request || e.Reason != wire.Reason(reason) || !strings.Contains(e.Message, text) {
		c.t.Fatalf("want error %s for request %d with %q, got %v", reason, request, text, e)
	}
}

func (c *client) wantBye(reason wire.ByeReason) *wire.Bye {
	c.t.Helper()
	f := c.frame()
	if f.GetBye() == nil || f.GetBye().Reason != reason {
		c.t.Fatalf("want bye %s, got %v", reason, f)
	}
	return f.GetBye()
}

// wantClose wants a close frame with this code, then the end.
func (c *client) wantClose(code ws.StatusCode) {
	c.t.Helper()
	f, err := c.next()
	if err != nil || f.Header.OpCode != ws.OpClose {
		c.t.Fatalf("want close %d, got %v, %v", code, f, err)
	}
	if got, reason := ws.ParseCloseFrameData(f.Payload); got != code {
		c.t.Fatalf("want close %d, got %d %q", code, got, reason)
	}
	c.wantEnd()
}

// wantEnd wants the end of the connection without another frame.
func (c *client) wantEnd() {
	c.t.Helper()
	f, err := c.next()
	if err == nil {
		c.t.Fatalf("want the end, got a frame %+v %q", f.Header, f.Payload)
	}
	if e, ok := err.(net.Error); ok && e.Timeout() {
		c.t.Fatal("the server does not end the connection")
	}
	_ = c.socket.Close()
}

func newContext() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("does not happen: %s", what)
		}
	}
}

// settled waits until there are so many connections, and no more goroutines of connections than that.
func (w *world) settled(connections int) {
	w.t.Helper()
	eventually(w.t, "connections are released", func() bool { return w.sockets.Stats().Connections == uint64(connections) })
	eventually(w.t, "goroutines end", func() bool { return connGoroutines() <= connections })
}

// connGoroutines counts the goroutines that work for connections.
func connGoroutines() int {
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	return strings.Count(stacks, "created by github.com/tidemark-im/tidemark/gateway.(*WebSocket).ServeHTTP") +
		strings.Count(stacks, "created by github.com/tidemark-im/tidemark/gateway.(*conn)")
}

// fake is a session that answers pings, and floods when it is told to watch users.
type fake struct {
	cfg session.Config

	mu     sync.Mutex
	queue  []*wire.ServerFrame
	flood  int // signals still to send
	bye    *wire.Bye
	done   bool
	closed bool
	block  chan struct{} // Handle waits for it
}

func openFake(c session.Config) stream { return &fake{cfg: c} }

func (s *fake) Open(ctx context.Context, h *wire.Hello) error {
	if s.cfg.User == "ghost" {
		return tidemark.Refuse(tidemark.UnknownUser, "there is no user %q", s.cfg.User)
	}
	s.push(&wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: &wire.Welcome{User: string(s.cfg.User)}}},
		&wire.ServerFrame{Frame: &wire.ServerFrame_Synced{Synced: &wire.Synced{}}})
	return nil
}

func (s *fake) push(frames ...*wire.ServerFrame) {
	s.mu.Lock()
	s.queue = append(s.queue, frames...)
	s.mu.Unlock()
	s.cfg.OnReady()
}

func (s *fake) Handle(ctx context.Context, f *wire.ClientFrame) error {
	switch f := f.Frame.(type) {
	case *wire.ClientFrame_Ping:
		s.push(&wire.ServerFrame{Frame: &wire.ServerFrame_Pong{Pong: &wire.Pong{Request: f.Ping.Request}}})
	case *wire.ClientFrame_Watch:
		s.mu.Lock()
		s.flood = 1 << 30
		s.mu.Unlock()
		s.cfg.OnReady()
	case *wire.ClientFrame_Ack:
		return tidemark.Refuse(tidemark.BadArgument, "there is no such partition")
	case *wire.ClientFrame_Typing:
		<-s.block
	}
	return nil
}

func (s *fake) Next(dst []byte) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var f *wire.ServerFrame
	switch {
	case s.done || s.closed:
		return dst, false
	case len(s.queue) > 0:
		f, s.queue = s.queue[0], s.queue[1:]
	case s.bye != nil:
		f, s.done = &wire.ServerFrame{Frame: &wire.ServerFrame_Bye{Bye: s.bye}}, true
	case s.flood > 0:
		s.flood--
		f = &wire.ServerFrame{Frame: &wire.ServerFrame_Signal{Signal: &wire.Signal{Signal: &wire.Signal_Typing{
			Typing: &wire.TypingSignal{Conversation: strings.Repeat("x", 1000)}}}}}
	default:
		return dst, false
	}
	out, err := wire.AppendServerFrame(dst, s.cfg.Format, f)
	if err != nil {
		panic(err)
	}
	return out, true
}

func (s *fake) Done() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.done }

func (s *fake) Bye(reason wire.ByeReason, retryAfterMs uint32, message string) {
	s.mu.Lock()
	if s.bye == nil {
		s.bye = &wire.Bye{Reason: reason, RetryAfterMs: retryAfterMs, Message: message}
	}
	s.mu.Unlock()
	s.cfg.OnReady()
}

func (s *fake) Close() { s.mu.Lock(); defer s.mu.Unlock(); s.closed = true }

// get asks over plain HTTP.
func (w *world) get(path string, header http.Header) (status int, body string) {
	w.t.Helper()
	r, err := http.NewRequest("GET", w.server.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := w.server.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response.StatusCode, ""
	}
	data, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(data)
}
