// SPDX-License-Identifier: Apache-2.0

// The network between a device and the server: a TCP proxy that does to what passes what networks do.

package soak

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Weather is what a network does. The zero value passes everything at once.
type Weather struct {
	Delay          time.Duration // every piece waits up to this long, and at least half of it
	BytesPerSecond int           // in each direction; 0: no limit
	HoldUp         bool          // nothing passes towards the server; connections stay open
	HoldDown       bool          // nothing passes towards the device; connections stay open
	Refuse         bool          // a new connection is closed at once
	FlipEvery      int           // on average one byte in so many is changed, in both directions; 0: none
	Spoil          []byte        // towards the device, the byte after each of these is changed; nil: none
	CutAfter       int           // a connection is cut after about so many bytes, in the middle of what passes; 0: never
}

// Proxy passes connections on to a target. Its methods may be called from any goroutine.
type Proxy struct {
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error)
	counts   *Counts

	mu      sync.Mutex
	weather Weather
	changed chan struct{} // closed and replaced when the weather changes
	links   map[*link]struct{}
	random  *rand.Rand
}

// Counts are what proxies did, together.
type Counts struct {
	Connections, Refused, Cut, Flipped, Spoiled, Bytes atomic.Int64
}

// link is one connection through the proxy.
type link struct {
	device, server net.Conn
	closed         chan struct{} // closed with the link
	once           sync.Once
}

// NewProxy listens on a free port of 127.0.0.1. dial connects to the target. With secure, devices speak TLS to the
// proxy. Nothing is accepted before [Proxy.Run].
func NewProxy(ctx context.Context, dial func(ctx context.Context) (net.Conn, error), secure *tls.Config, seed uint64, counts *Counts) (*Proxy, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("soak: proxy: %w", err)
	}
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	return &Proxy{
		listener: listener, dial: dial, counts: counts, changed: make(chan struct{}), links: map[*link]struct{}{},
		random: rand.New(rand.NewPCG(seed, 1)),
	}, nil
}

// dialTo connects to a fixed address.
func dialTo(address string) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) }
}

// Address is host:port where the proxy listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Set changes the weather, of open connections too.
func (p *Proxy) Set(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut ends all open connections, in the middle of whatever they carry. What was held back is lost.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		p.counts.Cut.Add(1)
		l.close()
	}
}

// Run accepts connections until ctx ends, then ends them all and returns nil.
func (p *Proxy) Run(ctx context.Context) error {
	var links sync.WaitGroup
	defer links.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	links.Go(func() {
		<-ctx.Done()
		_ = p.listener.Close()
		p.Cut()
	})
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("soak: proxy: %w", err)
		}
		links.Go(func() { p.serve(ctx, conn) })
	}
}

// serve carries one connection from beginning to end.
func (p *Proxy) serve(ctx context.Context, device net.Conn) {
	p.counts.Connections.Add(1)
	weather, _ := p.now()
	if weather.Refuse {
		p.counts.Refused.Add(1)
		abort(device)
		return
	}
	server, err := p.dial(ctx)
	if err != nil {
		p.counts.Refused.Add(1)
		abort(device)
		return
	}
	l := &link{device: device, server: server, closed: make(chan struct{})}
	p.mu.Lock()
	p.links[l] = struct{}{}
	gone := ctx.Err() != nil
	p.mu.Unlock()
	if gone { // it may have been made after all were cut
		l.close()
	}
	var ways sync.WaitGroup
	ways.Go(func() { p.carry(l, device, server, true) })
	ways.Go(func() { p.carry(l, server, device, false) })
	ways.Wait()
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		abort(l.device)
		abort(l.server)
	})
}

// abort closes a connection without waiting for what was not sent yet: the other side is told by a reset, where that is
// possible.
func abort(conn net.Conn) {
	raw := conn
	if secure, ok := conn.(*tls.Conn); ok {
		raw = secure.NetConn() // no word of goodbye
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

// now is the weather, and what is closed when it changes.
func (p *Proxy) now() (Weather, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.weather, p.changed
}

// chunkBytes is how much is carried at a time.
const chunkBytes = 8 << 10

// carry passes on what comes from one side, until that side ends or the link is closed.
func (p *Proxy) carry(l *link, from, to net.Conn, up bool) {
	buf := make([]byte, chunkBytes)
	carried := 0
	for {
		n, err := from.Read(buf)
		if n > 0 {
			whole := p.treat(l, buf[:n], up, &carried)
			if _, failed := to.Write(buf[:whole]); failed != nil {
				err = failed
			}
			p.counts.Bytes.Add(int64(whole))
			if whole < n {
				p.counts.Cut.Add(1)
				l.close()
				return
			}
		}
		switch half, ok := to.(interface{ CloseWrite() error }); {
		case err == nil:
		case errors.Is(err, io.EOF) && ok:
			_ = half.CloseWrite()
			return
		default:
			l.close()
			return
		}
	}
}

// treat does to a piece what the weather demands, and says how much of it is to pass: less than all means that the
// connection ends there.
func (p *Proxy) treat(l *link, piece []byte, up bool, carried *int) int {
	weather, changed := p.now()
	for ; up && weather.HoldUp || !up && weather.HoldDown; weather, changed = p.now() {
		select {
		case <-changed:
		case <-l.closed:
			return 0
		}
	}
	p.mu.Lock()
	wait := time.Duration(0)
	if weather.Delay > 0 {
		wait = weather.Delay/2 + time.Duration(p.random.Int64N(int64(weather.Delay/2)+1))
	}
	if weather.FlipEvery > 0 {
		for at := p.random.IntN(2 * weather.FlipEvery); at < len(piece); at += 1 + p.random.IntN(2*weather.FlipEvery) {
			piece[at] ^= byte(1 + p.random.IntN(255))
			p.counts.Flipped.Add(1)
		}
	}
	whole := len(piece)
	*carried += len(piece)
	if weather.CutAfter > 0 && *carried > weather.CutAfter/2 && p.random.IntN(weather.CutAfter) < len(piece) {
		whole = p.random.IntN(len(piece))
	}
	p.mu.Unlock()
	if weather.Spoil != nil && !up {
		p.spoil(piece, weather.Spoil)
	}
	if weather.BytesPerSecond > 0 {
		wait += time.Duration(len(piece)) * time.Second / time.Duration(weather.BytesPerSecond)
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.closed:
			return 0
		}
	}
	return whole
}

// spoil changes the byte after each mark: to another that text may hold, so that only the chain can tell.
func (p *Proxy) spoil(piece, mark []byte) {
	for at := 0; ; {
		found := bytes.Index(piece[at:], mark)
		if found < 0 {
			return
		}
		at += found + len(mark)
		if at >= len(piece) {
			return
		}
		piece[at] = 'a' + (piece[at]-'a'+1)%26
		if piece[at] < 'a' || piece[at] > 'z' {
			piece[at] = 'x'
		}
		p.counts.Spoiled.Add(1)
	}
}
