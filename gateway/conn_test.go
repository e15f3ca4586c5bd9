// SPDX-License-Identifier: Apache-2.0

// The life of connections: how they begin, what bounds them, and how they end.

package gateway

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/wire"
)

var upgradeHeader = http.Header{
	"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
	"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {wire.SubprotocolJSON},
}

// but is the header of a good upgrade with one change.
func but(name, value string) http.Header {
	h := upgradeHeader.Clone()
	h.Del(name)
	if value != "" {
		h.Set(name, value)
	}
	return h
}

func TestTheDoor(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Origins = []string{"https://app.example"} }, openFake)
	cases := []struct {
		name   string
		header http.Header
		status int
		text   string
	}{
		{"a good one", upgradeHeader, 101, ""},
		{"no WebSocket at all", nil, 426, wire.SubprotocolProto},
		{"no subprotocol", but("Sec-WebSocket-Protocol", ""), 400, wire.SubprotocolJSON},
		{"another subprotocol", but("Sec-WebSocket-Protocol", "mqtt"), 400, wire.SubprotocolProto},
		{"another and ours", but("Sec-WebSocket-Protocol", "mqtt, "+wire.SubprotocolProto), 101, ""},
		{"subprotocols that are no list", but("Sec-WebSocket-Protocol", "\"x\", "+wire.SubprotocolProto), 400, ""},
		{"no key", but("Sec-WebSocket-Key", ""), 400, ""},
		{"a short key", but("Sec-WebSocket-Key", "x"), 400, ""},
		{"an old version", but("Sec-WebSocket-Version", "8"), 426, ""},
		{"no version", but("Sec-WebSocket-Version", ""), 400, ""},
		{"no Connection: Upgrade", but("Connection", "keep-alive"), 400, ""},
		{"our own page", but("Origin", w.server.URL), 101, ""},
		{"an allowed page", but("Origin", "https://app.example"), 101, ""},
		{"another page", but("Origin", "https://evil.example"), 403, "evil.example"},
		{"a page without origin", but("Origin", "null"), 403, "null"},
		{"a good token", but("Authorization", "Bearer "+w.token("alice", "")), 101, ""},
		{"a bad token", but("Authorization", "Bearer x"), 401, "BAD_TOKEN"},
		{"the admin key for nobody", but("Authorization", "Bearer "+testAdmin), 400, UserHeader},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, body := w.get("/v1/connect", c.header)
			if status != c.status || !strings.Contains(body, c.text) {
				t.Errorf("got %d %q, want %d with %q", status, body, c.status, c.text)
			}
		})
	}
	refused := 0
	for _, c := range cases {
		if c.status != 101 {
			refused++
		}
	}
	eventually(t, "they are counted", func() bool {
		got := w.sockets.Stats()
		return int(got.Refused) == refused && int(got.Accepted) == len(cases)-refused
	})
}

func TestHelloAndPing(t *testing.T) {
	w := newWorld(t, nil, openFake)
	for _, format := range []wire.Format{wire.Proto, wire.JSON} {
		c := w.connect(format, "alice", "phone")
		c.ping(7)
		c.wantPong(7)
		c.raw(masked(ws.OpPing, true, "are you there"))
		if f, err := c.next(); err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
			t.Errorf("got %v, %v", f, err)
		}
		c.raw(masked(ws.OpPong, true, "unasked"))
		data, _ := wire.AppendClientFrame(nil, format, &wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: 8}}})
		c.raw(join(masked(c.op(), false, string(data[:1])), masked(ws.OpPing, true, "p"), masked(ws.OpContinuation, false, ""), masked(ws.OpContinuation, true, string(data[1:]))))
		if f, err := c.next(); err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "p" {
			t.Errorf("between fragments: got %v, %v", f, err)
		}
		c.wantPong(8)
		c.raw(masked(ws.OpClose, true, "\x03\xe9going"))
		c.wantClose(1001)
	}
}

// TestTokenInTheHeader: hello needs no token then; one that it has counts.
func TestTokenInTheHeader(t *testing.T) {
	w := newWorld(t, nil, openFake)
	for _, header := range []http.Header{
		{"Authorization": {"Bearer " + w.token("alice", "phone")}},
		{"Authorization": {"Bearer " + testAdmin}, UserHeader: {"alice"}},
	} {
		c := w.dial(wire.JSON, header)
		c.text(`{"hello":{"deviceId":"phone"}}`)
		if f := c.frame(); f.GetWelcome().GetUser() != "alice" {
			t.Errorf("got %v", f)
		}
	}
	c := w.dial(wire.JSON, http.Header{"Authorization": {"Bearer " + w.token("alice", "")}})
	c.text(`{"hello":{"deviceId":"phone","token":"` + w.token("bob", "") + `"}}`)
	if f := c.frame(); f.GetWelcome().GetUser() != "bob" {
		t.Errorf("got %v", f)
	}
}

// TestEarlyBytes: a hasty client's first frames come in one piece with its request.
func TestEarlyBytes(t *testing.T) {
	w := newWorld(t, nil, openFake)
	socket, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var request strings.Builder
	request.WriteString("GET /v1/connect HTTP/1.1\r\nHost: x\r\n")
	_ = upgradeHeader.Write(&request)
	request.WriteString("\r\n")
	request.Write(masked(ws.OpText, true, `{"hello":{"deviceId":"phone","token":"`+w.token("alice", "")+`"}}`))
	if _, err := socket.Write([]byte(request.String())); err != nil {
		t.Fatal(err)
	}
	_ = socket.SetReadDeadline(time.Now().Add(patience))
	var answer strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(answer.String(), `{"synced"`); {
		n, err := socket.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, answer.String())
		}
		answer.Write(buf[:n])
	}
}

func TestNoHelloInTime(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.HelloTimeout, c.HeartbeatMs = 50*time.Millisecond, 4 }, openFake) // a heartbeat that nobody was told of yet
	c := w.dial(wire.JSON, nil)
	c.wantBye(wire.ByeReason_PROTOCOL)
	c.wantClose(1008)
	if got := w.sockets.Stats().ProtocolErrors[OutOfOrder]; got != 1 {
		t.Errorf("counted %d", got)
	}
}

func TestHalfOpenIsCut(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.HeartbeatMs = 40 }, openFake)
	silent := w.connect(wire.JSON, "alice", "phone")
	partial := w.connect(wire.JSON, "alice", "tablet")
	partial.raw(masked(ws.OpText, false, "{")) // never completed
	silent.wantEnd()
	partial.wantEnd()
	if got := w.sockets.Stats(); got.HalfOpen != 2 || got.Slow != 0 {
		t.Errorf("counted %+v", got)
	}
	w.settled(0)
}

// TestHeartbeatKeepsAlive: whoever pings in time stays.
func TestHeartbeatKeepsAlive(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.HeartbeatMs = 400 }, openFake)
	c := w.connect(wire.Proto, "alice", "phone")
	for i := range uint64(16) {
		c.ping(i)
		c.wantPong(i)
		time.Sleep(100 * time.Millisecond)
	}
}

// TestSlowClientIsCut: a client that reads nothing costs bounded memory and is cut; its neighbour does not notice.
func TestSlowClientIsCut(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WriteTimeout = 300 * time.Millisecond }, openFake)
	neighbour := w.connect(wire.JSON, "bob", "phone")
	runtime.GC()
	var idle, busy runtime.MemStats
	runtime.ReadMemStats(&idle)
	c := w.connect(wire.JSON, "alice", "phone")
	c.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Watch{Watch: &wire.Watch{}}}) // a flood without end
	eventually(t, "the write blocks", func() bool {
		a := w.sockets.Stats().BytesOut
		time.Sleep(20 * time.Millisecond)
		return a > 100_000 && a == w.sockets.Stats().BytesOut
	})
	runtime.GC()
	runtime.ReadMemStats(&busy)
	if grown := int64(busy.HeapAlloc) - int64(idle.HeapAlloc); grown > 1<<20 {
		t.Errorf("a client that does not read costs %d bytes", grown)
	}
	neighbour.ping(1)
	neighbour.wantPong(1)
	eventually(t, "the slow client is cut", func() bool { return w.sockets.Stats().Slow == 1 })
	w.settled(1)
	neighbour.ping(2)
	neighbour.wantPong(2)
}

// TestPongsPileUpInBounds: a client that pings and does not read is cut.
func TestPongsPileUpInBounds(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WriteTimeout = time.Hour; c.HeartbeatMs = 1 << 30; c.FramesPerSecond = -1 }, openFake)
	c := w.connect(wire.JSON, "alice", "phone")
	ping := []byte(strings.Repeat(string(masked(ws.OpPing, true, strings.Repeat("p", 125))), 1000))
	for range 10_000 {
		_ = c.socket.SetWriteDeadline(time.Now().Add(patience))
		if _, err := c.socket.Write(ping); err != nil {
			break
		}
	}
	eventually(t, "it is cut", func() bool { return w.sockets.Stats().Slow == 1 })
	w.settled(0)
}

func TestTokenExpires(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.HeartbeatMs = 400 }, openFake)
	c := w.connect(wire.JSON, "alice", "phone")
	expired := w.token("bob", "")
	w.clock.advance(time.Hour)
	c.wantBye(wire.ByeReason_TOKEN_EXPIRED)
	c.wantClose(1008)
	late := w.dial(wire.JSON, nil)
	late.text(`{"hello":{"deviceId":"phone","token":"` + expired + `"}}`)
	late.wantError(0, tidemark.BadToken, "expired")
	late.wantBye(wire.ByeReason_TOKEN_EXPIRED)
	late.wantClose(1008)
	if got := w.sockets.Stats(); got.Expired != 1 || got.RefusedHellos != 1 {
		t.Errorf("counted %+v", got)
	}
}

func TestLimitsOfConnections(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ConnectionsPerUserMax, c.ConnectionsPerAddressMax = 2, 4 }, openFake)
	w.connect(wire.JSON, "alice", "one")
	leaver := w.connect(wire.JSON, "alice", "two")
	third := w.dial(wire.JSON, nil)
	third.text(`{"hello":{"deviceId":"three","token":"` + w.token("alice", "") + `"}}`)
	third.wantError(0, tidemark.TooMany, "too many connections")
	third.wantBye(wire.ByeReason_PROTOCOL)
	third.wantClose(1008)
	eventually(t, "the third is gone", func() bool { return w.sockets.Stats().Connections == 2 })
	w.connect(wire.JSON, "bob", "one")
	w.connect(wire.JSON, "bob", "two")
	if status, body := w.get("/v1/connect", upgradeHeader); status != 429 || !strings.Contains(body, "TOO_MANY") {
		t.Errorf("a fifth from one address: %d %q", status, body)
	}
	_ = leaver.socket.Close()
	eventually(t, "one is gone", func() bool { return w.sockets.Stats().Connections == 3 })
	w.connect(wire.JSON, "alice", "two").ping(1)
}

func TestHandshakeRate(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.HandshakesPerSecond = 0.1 }, openFake) // a burst of one
	w.dial(wire.JSON, nil)
	if status, body := w.get("/v1/connect", upgradeHeader); status != 429 || !strings.Contains(body, "RATE_LIMITED") {
		t.Errorf("got %d %q", status, body)
	}
}

// TestFrameRate: too many frames are refused with a hint, the connection goes on, and a flood is not even read.
func TestFrameRate(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.FramesPerSecond = 5 }, openFake)
	c := w.connect(wire.JSON, "alice", "phone")
	for i := range uint64(8) {
		c.ping(i + 1)
	}
	pongs, refused := 0, 0
	for range 8 {
		f := c.frame() // refusals may overtake answers
		switch e := f.GetError(); {
		case f.GetPong() != nil && f.GetPong().Request <= 5:
			pongs++
		case e.GetReason() == wire.Reason_RATE_LIMITED && e.Request > 5 && e.RetryAfterMs > 0 && e.RetryAfterMs <= 1000:
			refused++
		default:
			t.Fatalf("got %v", f)
		}
	}
	if pongs != 5 || refused != 3 {
		t.Errorf("%d answers and %d refusals", pongs, refused)
	}
	neighbour := w.connect(wire.JSON, "bob", "phone")
	neighbour.ping(1)
	neighbour.wantPong(1)
	eventually(t, "it recovers", func() bool {
		time.Sleep(250 * time.Millisecond)
		c.ping(9)
		return c.frame().GetPong() != nil
	})
}

func TestFloodIsNotRead(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.FramesPerSecond = 20 }, openFake)
	c := w.connect(wire.JSON, "alice", "phone")
	c.raw([]byte(strings.Repeat(string(masked(ws.OpPong, true, "")), 50_000))) // no answers asked for
	time.Sleep(300 * time.Millisecond)
	if in := w.sockets.Stats().FramesIn; in > readBytes/6+300 { // one read before the flood is noticed
		t.Errorf("%d frames of a flood were read", in)
	}
	eventually(t, "it is ended", func() bool { return w.sockets.Stats().ProtocolErrors[Misuse] == 1 })
	_ = c.socket.Close() // although much of the flood has not been read
	w.settled(0)
}

// TestFloodEndsUnderALargeLimit: each pause earns a thousand frames, more than one read has, and yet the flood goes on.
func TestFloodEndsUnderALargeLimit(t *testing.T) {
	w := newWorld(t, nil, openFake)
	c := w.connect(wire.JSON, "alice", "phone")
	pongs := []byte(strings.Repeat(string(masked(ws.OpPong, true, strings.Repeat("x", 100))), 1000)) // no answers asked for
	_ = c.socket.SetWriteDeadline(time.Now().Add(patience))
	for w.sockets.Stats().ProtocolErrors[Misuse] == 0 {
		if _, err := c.socket.Write(pongs); err != nil {
			break
		}
	}
	eventually(t, "it is ended", func() bool { return w.sockets.Stats().ProtocolErrors[Misuse] == 1 })
	_ = c.socket.Close()
	w.settled(0)
}

func TestMisuseEndsTheConnection(t *testing.T) {
	w := newWorld(t, nil, openFake)
	c := w.connect(wire.JSON, "alice", "phone")
	c.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Ack{Ack: &wire.Ack{}}})
	if bye := c.wantBye(wire.ByeReason_PROTOCOL); !strings.Contains(bye.Message, "no such partition") {
		t.Errorf("got %v", bye)
	}
	c.wantClose(1008)
}

// TestSessionEndsItself: a bye from elsewhere (kicked, replaced) is the last frame, and closes.
func TestSessionEndsItself(t *testing.T) {
	var s *fake
	w := newWorld(t, nil, func(c session.Config) stream { s = &fake{cfg: c}; return s })
	c := w.connect(wire.Proto, "alice", "phone")
	s.Bye(wire.ByeReason_KICKED, 0, "")
	c.wantBye(wire.ByeReason_KICKED)
	c.wantClose(1008)
	w.settled(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		t.Error("the session is left open")
	}
}

// TestClientThatDoesNotPart: after our close frame a client has only so long for its own.
func TestClientThatDoesNotPart(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Linger = 50 * time.Millisecond }, openFake)
	c := w.connect(wire.JSON, "alice", "phone")
	c.text(`{}`)
	w.settled(0)
	c.wantBye(wire.ByeReason_PROTOCOL) // nothing of it is lost although the client went on sending
}

// TestShutdown: everybody hears when to come back, at different times, and Run leaves nothing behind.
func TestShutdown(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.SpreadMs = 10_000; c.Grace = patience }, openFake)
	var clients []*client
	for i := range 20 {
		clients = append(clients, w.connect(wire.JSON, "alice", string(rune('a'+i))))
	}
	fresh := w.dial(wire.JSON, nil) // has not said hello
	w.stop()
	seen := map[uint32]bool{}
	var all sync.WaitGroup
	for _, c := range append(clients, fresh) {
		bye := c.wantBye(wire.ByeReason_SHUTDOWN)
		if bye.RetryAfterMs > 10_000 {
			t.Errorf("come back after %d ms", bye.RetryAfterMs)
		}
		seen[bye.RetryAfterMs] = true
		all.Go(func() { c.wantClose(1001) })
	}
	all.Wait()
	<-w.stopped
	if len(seen) < 10 {
		t.Errorf("only %d different times for %d clients", len(seen), len(clients))
	}
	if status, body := w.get("/v1/connect", upgradeHeader); status != 503 || !strings.Contains(body, "UNAVAILABLE") {
		t.Errorf("afterwards: %d %q", status, body)
	}
	w.server.Close()
	w.settled(0)
}

// TestShutdownCuts: whoever does not go is cut when the time is over.
func TestShutdownCuts(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Grace, c.Linger = 100*time.Millisecond, time.Hour }, openFake)
	stubborn := w.connect(wire.JSON, "alice", "phone")
	w.stop()
	<-w.stopped
	stubborn.wantBye(wire.ByeReason_SHUTDOWN)
}

// TestOneWriteForManyFrames: frames that are there together leave together.
func TestOneWriteForManyFrames(t *testing.T) {
	var s *fake
	w := newWorld(t, nil, func(c session.Config) stream { s = &fake{cfg: c}; return s })
	c := w.connect(wire.Proto, "alice", "phone")
	before := w.sockets.Stats()
	pong := &wire.ServerFrame{Frame: &wire.ServerFrame_Pong{Pong: &wire.Pong{}}}
	frames := make([]*wire.ServerFrame, 100)
	for i := range frames {
		frames[i] = pong
	}
	s.push(frames...)
	for range frames {
		c.wantPong(0)
	}
	eventually(t, "it is counted", func() bool { return w.sockets.Stats().Writes > before.Writes })
	if n := w.sockets.Stats().Writes - before.Writes; n != 1 {
		t.Errorf("%d writes", n)
	}
}

// TestHandlingIsNotSilence: a client whose frame waits in a full queue is not taken for half-open.
func TestHandlingIsNotSilence(t *testing.T) {
	block := make(chan struct{})
	w := newWorld(t, func(c *Config) { c.HeartbeatMs = 20 }, func(c session.Config) stream { return &fake{cfg: c, block: block} })
	c := w.connect(wire.JSON, "alice", "phone")
	c.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Typing{Typing: &wire.Typing{}}})
	time.Sleep(300 * time.Millisecond)
	if got := w.sockets.Stats().HalfOpen; got != 0 {
		t.Errorf("it was cut")
	}
	close(block)
	c.ping(1)
	c.wantPong(1)
}

// TestTLS: a connection that is no plain socket works the same, also after its reader was renewed.
func TestTLS(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.StackIdle = 10 * time.Millisecond }, openFake)
	server := httptest.NewTLSServer(w.sockets)
	defer server.Close()
	d := ws.Dialer{Protocols: []string{wire.SubprotocolJSON}, TLSConfig: server.Client().Transport.(*http.Transport).TLSClientConfig}
	socket, buffered, _, err := d.Dial(t.Context(), "wss"+strings.TrimPrefix(server.URL, "https"))
	if err != nil {
		t.Fatal(err)
	}
	if buffered != nil {
		t.Fatal("the server spoke first")
	}
	defer socket.Close()
	c := &client{t: t, socket: socket, reader: bufio.NewReader(socket), format: wire.JSON}
	c.text(`{"hello":{"deviceId":"phone","token":"` + w.token("alice", "") + `"}}`)
	if c.frame().GetWelcome() == nil || c.frame().GetSynced() == nil {
		t.Fatal("no welcome")
	}
	for i := range uint64(3) {
		eventually(t, "the reader is renewed", func() bool { return w.sockets.list(nil)[0].small.Load() })
		c.ping(i)
		c.wantPong(i)
	}
	c.text(`{"ping":{"request":"9","padding":"` + strings.Repeat("x", 500_000) + `"}}`)
	c.wantPong(9)
	w.stop()
	c.wantBye(wire.ByeReason_SHUTDOWN)
	c.wantClose(1001)
}

// TestRenewedReader: the reader of a plain socket is renewed while frames come, and none is lost.
func TestRenewedReader(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.StackIdle = time.Millisecond }, openFake)
	c := w.connect(wire.Proto, "alice", "phone")
	for i := range uint64(200) {
		c.ping(i)
		c.wantPong(i)
		if i%20 == 0 {
			eventually(t, "the reader is renewed", func() bool { return w.sockets.list(nil)[0].small.Load() })
		}
	}
}

func TestStorm(t *testing.T) {
	var s storm
	begin := time.Unix(1_000_000, 0)
	for _, step := range []struct {
		accepted uint64
		after    time.Duration
		over     bool
	}{
		{900, 0, false}, {900, time.Hour, false}, // too few
		{1500, 2 * time.Hour, false}, {1500, 2*time.Hour + stormCalm, false}, {1600, 2*time.Hour + stormCalm, false},
		{1600, 2*time.Hour + 2*stormCalm, false}, {1600, 2*time.Hour + 2*stormCalm + time.Second, true},
		{1600, 3 * time.Hour, false}, {2599, 4 * time.Hour, false}, {2599, 5 * time.Hour, false},
		{2600, 6 * time.Hour, false}, {2600, 7 * time.Hour, true},
	} {
		if got := s.over(step.accepted, begin.Add(step.after), time.Second); got != step.over {
			t.Errorf("%+v: %v", step, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	w := &WebSocket{cfg: Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:9", "", "192.0.2.1"},
		{"192.0.2.1:9", "198.51.100.1", "192.0.2.1"}, // no proxy of ours: anybody can write a header
		{"10.0.0.1:9", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:9", "203.0.113.7, 198.51.100.1,10.0.0.2", "198.51.100.1"}, // what the client wrote itself does not count
		{"10.0.0.1:9", "198.51.100.1, nonsense", "10.0.0.1"},
		{"10.0.0.1:9", "", "10.0.0.1"},
		{"[fd00::1]:9", "2001:db8::5", "2001:db8::5"},
		{"[::ffff:10.0.0.1]:9", "198.51.100.1", "198.51.100.1"},
		{"[fe80::1%eth0]:9", "", "fe80::1"},
		{"@", "198.51.100.1", "invalid IP"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := w.addressOf(r).String(); got != c.want {
			t.Errorf("%s through %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
	if callerOf(netip.MustParseAddr("2001:db8::5")) != callerOf(netip.MustParseAddr("2001:db8::6")) ||
		callerOf(netip.MustParseAddr("192.0.2.1")) == callerOf(netip.MustParseAddr("192.0.2.2")) {
		t.Error("an IPv6 customer has a /64, an IPv4 customer one address")
	}
}
