// SPDX-License-Identifier: Apache-2.0

// The owner of all WebSocket connections: its configuration, the list of them, the watch over them, and their end.

package gateway

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gobwas/ws"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/wire"
)

// Config of the WebSocket connections. The zero value of every limit means its default; a negative one means none.
type Config struct {
	Auth     *Auth
	Set      *partition.Set
	Registry *session.Registry
	Limits   tidemark.Limits // FrameBytesMax is what the gateway itself holds

	HeartbeatMs  uint32        // told to clients; one that is silent for 2.5 times as long is cut off. 0: 30,000
	HelloTimeout time.Duration // for hello, from the upgrade on. 0: 10 s
	WriteTimeout time.Duration // for up to 64 KiB; a client that does not take them in this time is cut off. 0: 20 s
	Linger       time.Duration // for the client's own close after ours. 0: 2 s
	Grace        time.Duration // for farewells when Run's context is done. 0: 3 s
	StackIdle    time.Duration // after this without a frame, memory of the connection is given back. 0: 2 s
	SpreadMs     uint32        // retryAfterMs of those farewells, spread from 0 to this. 0: 5,000

	ConnectionsMax           int     // of this node. 0: 1,000,000
	ConnectionsPerUserMax    int     // 0: 64
	ConnectionsPerAddressMax int     // an IPv4 address or IPv6 /64. 0: 10,000, and no limit for this machine itself
	HandshakesPerSecond      float64 // of an address; bursts of ten times as many. 0: 200, and no limit for this machine itself
	FramesPerSecond          float64 // of a user on all connections together; bursts of a second's worth. 0: 20,000

	Proxies []netip.Prefix // whose X-Forwarded-For is believed; empty: nobody's
	Origins []string       // allowed beside the server's own, as in the header Origin; "*": every one

	NowMs func() uint64 // nil: the system's clock
	Log   *slog.Logger  // nil: nothing is logged
}

const (
	sendBufferBytes = 256 << 10 // of the kernel, for one connection: what a client that does not read can fill
	// receiveBufferBytes of the kernel, for one connection: what a client that sends more than is done can have waiting
	// here. The kernel would let it grow to megabytes, seconds of work that nobody waits for any more. 64 KiB in flight
	// are 640 kB a second over 100 ms.
	receiveBufferBytes = 64 << 10

	scanMax    = time.Second
	scanMin    = 5 * time.Millisecond
	sweepEvery = 10 * time.Second
	stormMin   = 1000
	stormCalm  = 2 * time.Second
)

func (c *Config) setDefaults() {
	if c.NowMs == nil {
		c.NowMs = func() uint64 { return uint64(time.Now().UnixMilli()) }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	orDefault(&c.Limits.FrameBytesMax, tidemark.DefaultLimits().FrameBytesMax)
	orDefault(&c.HeartbeatMs, 30_000)
	orDefault(&c.HelloTimeout, 10*time.Second)
	orDefault(&c.WriteTimeout, 20*time.Second)
	orDefault(&c.Linger, 2*time.Second)
	orDefault(&c.Grace, 3*time.Second)
	orDefault(&c.SpreadMs, 5000)
	orDefault(&c.StackIdle, 2*time.Second)
	orDefault(&c.ConnectionsMax, 1_000_000)
	orDefault(&c.ConnectionsPerUserMax, 64)
	orDefault(&c.FramesPerSecond, 20_000)
}

func orDefault[T int | uint32 | float64 | time.Duration](value *T, or T) {
	if *value == 0 {
		*value = or
	}
}

// WebSocket is the handler of GET /v1/connect and the owner of its connections. Safe for concurrent use.
type WebSocket struct {
	cfg     Config
	begun   time.Time // the beginning of the monotonic clock
	counts  counters
	doors   *doorkeeper
	open    func(session.Config) stream // session.New, or a test's
	running chan struct{}               // closed when Run has begun
	turns   chan struct{}               // holds one for each connection that is being opened right now
	context context.Context             // of the commands of all connections; set when running

	mu       sync.Mutex
	conns    []*conn        // conn.index is the place
	draining bool           // no new ones
	wait     sync.WaitGroup // one for each of conns
}

// stream is what a connection needs of a session; see package session.
type stream interface {
	Open(ctx context.Context, h *wire.Hello) error
	Handle(ctx context.Context, f *wire.ClientFrame) error
	Next(dst []byte) ([]byte, bool)
	Done() bool
	Bye(reason wire.ByeReason, retryAfterMs uint32, message string)
	Close()
}

// NewWebSocket makes the handler. It serves while [WebSocket.Run] runs.
func NewWebSocket(c Config) (*WebSocket, error) {
	if c.Auth == nil {
		return nil, errors.New("gateway: a WebSocket needs an Auth")
	}
	c.setDefaults()
	return &WebSocket{
		cfg: c, begun: time.Now(), doors: newDoorkeeper(&c), running: make(chan struct{}),
		turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
		open:  func(sc session.Config) stream { return session.New(sc) },
	}, nil
}

// Stats are the counts so far.
func (w *WebSocket) Stats() Stats {
	w.mu.Lock()
	n := len(w.conns)
	w.mu.Unlock()
	return w.counts.snapshot(n)
}

// Run watches over the connections until ctx is done, then says goodbye to them as [WebSocket.Shutdown] does, within
// Config.Grace, and returns when no connection and no goroutine of theirs is left. It may be called once.
func (w *WebSocket) Run(ctx context.Context) error {
	commands, cancel := context.WithCancel(context.WithoutCancel(ctx)) // goodbyes outlive ctx
	defer cancel()
	w.context = commands
	close(w.running)
	var watch sync.WaitGroup
	watch.Go(func() { w.watch(commands) })
	<-ctx.Done()
	farewell, done := context.WithTimeout(commands, w.cfg.Grace)
	defer context.AfterFunc(farewell, cancel)() // nobody may wait for a partition any longer
	err := w.Shutdown(farewell, time.Duration(w.cfg.SpreadMs)*time.Millisecond)
	done()
	cancel()
	watch.Wait()
	if err != nil {
		w.cfg.Log.Warn("connections were cut at shutdown", "err", err)
	}
	return nil
}

// Shutdown refuses new connections, sends bye SHUTDOWN to all, telling each to come back after a random part of spread,
// and waits until they have ended. When ctx is done it cuts the rest off and returns ctx's error.
func (w *WebSocket) Shutdown(ctx context.Context, spread time.Duration) error {
	w.mu.Lock()
	w.draining = true
	w.mu.Unlock()
	for _, c := range w.list(nil) {
		c.end(wire.ByeReason_SHUTDOWN, rand.Uint32N(uint32(max(spread.Milliseconds(), 0))+1), ws.StatusGoingAway, "the server shuts down")
	}
	gone := make(chan struct{})
	go func() { w.wait.Wait(); close(gone) }()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	for _, c := range w.list(nil) {
		c.cut()
	}
	<-gone
	return ctx.Err()
}

// watch looks at all connections now and then. There is no timer per connection.
func (w *WebSocket) watch(ctx context.Context) {
	heartbeat := time.Duration(w.cfg.HeartbeatMs) * time.Millisecond
	shortest := min(w.cfg.HelloTimeout, w.cfg.WriteTimeout, w.cfg.Linger, w.cfg.StackIdle, heartbeat)
	ticker := time.NewTicker(min(max(shortest/4, scanMin), scanMax))
	defer ticker.Stop()
	var conns []*conn
	var storm storm
	for swept := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		conns = w.list(conns[:0])
		monoMs, wallMs := w.monoMs(), w.cfg.NowMs()
		for _, c := range conns {
			c.look(monoMs, wallMs)
		}
		clear(conns)
		if storm.over(w.counts.accepted.Load(), time.Now(), w.cfg.StackIdle) {
			runtime.GC()         // the first collection empties the pools, the next one what was in them
			debug.FreeOSMemory() // handshakes left much garbage, which the collector would keep for minutes
		}
		if time.Since(swept) > sweepEvery {
			w.doors.sweep()
			swept = time.Now()
		}
	}
}

// storm notices that many clients have connected, and that it is over.
type storm struct {
	accepted uint64    // at the last look
	changed  time.Time // when that last rose
	relieved uint64    // accepted when over was last true
}

// over is true once after every stormMin connections or more, when no more have come for a while beyond idle.
func (s *storm) over(accepted uint64, now time.Time, idle time.Duration) bool {
	if accepted != s.accepted {
		s.accepted, s.changed = accepted, now
		return false
	}
	if accepted-s.relieved < stormMin || now.Sub(s.changed) < idle+stormCalm {
		return false
	}
	s.relieved = accepted
	return true
}

// inTurn does work of opening a connection, when it is its turn: when thousands connect at once, as few of them are in work
// as there are processors. The others wait aside, and not before live connections in the queue of what is ready to run.
// The work must not wait for a client.
func (w *WebSocket) inTurn(work func()) {
	w.turns <- struct{}{}
	defer func() { <-w.turns }()
	work()
}

// list appends all connections to dst.
func (w *WebSocket) list(dst []*conn) []*conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(dst, w.conns...)
}

// add lists a connection; false while draining or when there are too many.
func (w *WebSocket) add(c *conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining {
		return false
	}
	c.index = len(w.conns)
	w.conns = append(w.conns, c)
	w.wait.Add(1)
	return true
}

// remove is the last thing that happens to a connection.
func (w *WebSocket) remove(c *conn) {
	w.mu.Lock()
	last := w.conns[len(w.conns)-1]
	w.conns[c.index], last.index = last, c.index
	w.conns[len(w.conns)-1] = nil
	w.conns = w.conns[:len(w.conns)-1]
	w.mu.Unlock()
	w.wait.Done()
}

// monoMs is a clock that does not jump: milliseconds since the start, from 1.
func (w *WebSocket) monoMs() uint64 { return uint64(time.Since(w.begun).Milliseconds()) + 1 }
