// SPDX-License-Identifier: Apache-2.0

// One connection: a reader, a writer, and the loop between them and the replica.

package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// Bounds of a connection.
const (
	dialMax       = 20 * time.Second
	writeMax      = 30 * time.Second
	frameBytesMax = 64 << 20 // of one message of the server: far above what any sends
	batchMax      = 256      // frames taken into one transaction
)

// link is one connection.
type link struct {
	mu     sync.Mutex
	out    []*wire.ClientFrame // guarded by mu
	wake   chan struct{}       // of size 1: out has something
	retime chan struct{}       // of size 1: the replica's deadline may have changed
	ended  chan struct{}       // of size 1: final is set
	final  *ending             // guarded by mu: why it ends

	offers chan *wire.GiveBackRequest // of size 1: what is to be given back; the replica has one under way at most
}

// ending is why a connection ended.
type ending struct {
	err        error
	told       bool          // by the server or the store: not only a socket that broke
	stop       bool          // do not connect again
	token      bool          // the token is to blame
	retryAfter time.Duration // the server's wish
	synced     bool          // it had been of use
}

func newLink() *link {
	return &link{wake: make(chan struct{}, 1), retime: make(chan struct{}, 1), ended: make(chan struct{}, 1), offers: make(chan *wire.GiveBackRequest, 1)}
}

// release queues what a step asks of the connection.
func (l *link) release(out *replica.Output) {
	if len(out.Frames) > 0 {
		l.mu.Lock()
		l.out = append(l.out, out.Frames...)
		l.mu.Unlock()
		poke(l.wake)
	}
	if out.GiveBack != nil {
		l.offers <- out.GiveBack
	}
	poke(l.retime)
	switch {
	case out.Fatal != nil:
		l.finish(ending{err: out.Fatal, told: true, stop: true})
	case out.Bye != nil:
		l.finish(byeEnding(out.Bye))
	case out.Refuse != nil:
		l.finish(refusedEnding(out.Refuse))
	case out.Hangup != "":
		l.finish(ending{err: errors.New("client: " + out.Hangup), told: true})
	}
}

// finish ends the connection. What the server said, or the store did, counts more than that the socket broke; otherwise
// the first reason counts.
func (l *link) finish(e ending) {
	l.mu.Lock()
	if l.final == nil || e.told && !l.final.told {
		l.final = &e
	}
	l.mu.Unlock()
	poke(l.ended)
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// take is what is to be written.
func (l *link) take() []*wire.ClientFrame {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.out
	l.out = nil
	return out
}

// connection is one connection from dialling to its end.
func (c *Client) connection(ctx context.Context) ending {
	token, err := c.cfg.Token(ctx)
	if err != nil {
		return ending{err: fmt.Errorf("client: get a token: %w", err)}
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return ending{err: err}
	}
	defer conn.CloseNow()
	l := newLink()
	c.mu.Lock()
	c.link = l
	c.setState(CatchingUp, nil)
	c.mu.Unlock()
	err = c.do(func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
		return r.Connect(v, nowMs, token)
	})
	if err != nil {
		return ending{err: err, stop: true}
	}

	ctx, cancel := context.WithCancel(ctx)
	received := make(chan *wire.ServerFrame, batchMax)
	var children sync.WaitGroup
	children.Go(func() { l.finish(c.reader(ctx, conn, received)) })
	children.Go(func() { l.finish(c.writer(ctx, conn, l)) })
	children.Go(func() { c.refresher(ctx) })
	children.Go(func() { c.giver(ctx, l) })
	end := c.loop(ctx, l, received)
	cancel()
	_ = conn.CloseNow()
	children.Wait()
	return c.detach(end)
}

// detach tells the replica that the connection is over.
func (c *Client) detach(end ending) ending {
	c.mu.Lock()
	end.synced = c.state == Synced
	c.link = nil
	c.mu.Unlock()
	err := c.do(func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) { return r.Disconnect(v, nowMs) })
	if err != nil {
		return ending{err: err, stop: true}
	}
	return end
}

func (c *Client) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialMax)
	defer cancel()
	url := "ws" + strings.TrimPrefix(strings.TrimRight(c.cfg.URL, "/"), "http") + "/v1/connect"
	conn, answer, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: c.calls.http, Subprotocols: []string{wire.SubprotocolProto}, CompressionMode: websocket.CompressionDisabled,
		HTTPHeader: http.Header{"User-Agent": {c.cfg.Name}},
	})
	switch {
	case err != nil && answer != nil && answer.StatusCode != http.StatusSwitchingProtocols:
		return nil, fmt.Errorf("client: connect to %s: the server answered %s", c.cfg.URL, answer.Status)
	case err != nil:
		return nil, fmt.Errorf("client: connect to %s: %w", c.cfg.URL, err)
	case conn.Subprotocol() != wire.SubprotocolProto:
		_ = conn.CloseNow()
		return nil, fmt.Errorf("client: %s does not speak %s", c.cfg.URL, wire.SubprotocolProto)
	}
	conn.SetReadLimit(frameBytesMax)
	return conn, nil
}

// reader decodes what comes, until the connection ends.
func (c *Client) reader(ctx context.Context, conn *websocket.Conn, received chan<- *wire.ServerFrame) ending {
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return ending{err: fmt.Errorf("client: read: %w", err)}
		}
		frame, err := wire.DecodeServerFrame(wire.Proto, data)
		switch {
		case errors.Is(err, wire.ErrUnknownKind):
			continue // of a newer server
		case err != nil:
			return ending{err: fmt.Errorf("client: read: %w", err)}
		}
		select {
		case received <- frame:
		case <-ctx.Done():
			return ending{err: ctx.Err()}
		}
	}
}

// writer writes what is queued, until the connection ends.
func (c *Client) writer(ctx context.Context, conn *websocket.Conn, l *link) ending {
	var buf []byte
	for {
		for _, f := range l.take() {
			data, err := wire.AppendClientFrame(buf[:0], wire.Proto, f)
			if err != nil {
				return ending{err: err}
			}
			buf = data
			writing, cancel := context.WithTimeout(ctx, writeMax)
			err = conn.Write(writing, websocket.MessageBinary, data)
			cancel()
			if err != nil {
				return ending{err: fmt.Errorf("client: write: %w", err)}
			}
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return ending{err: ctx.Err()}
		}
	}
}

// loop gives the replica what comes and what is due, until the connection ends.
func (c *Client) loop(ctx context.Context, l *link, received <-chan *wire.ServerFrame) ending {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(c.untilDeadline())
		var steps []stepFunc
		select {
		case f := <-received:
			steps = c.batch(f, received)
		case <-timer.C:
			steps = []stepFunc{func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) { return r.Tick(v, nowMs) }}
		case <-l.retime:
			continue
		case <-l.ended:
			return c.drain(l, received)
		case <-ctx.Done():
			return ending{err: ctx.Err(), stop: true}
		}
		if err := c.doAll(steps); err != nil {
			return ending{err: err, stop: true}
		}
	}
}

// drain takes in what was received before the connection ended: a bye may be among it.
func (c *Client) drain(l *link, received <-chan *wire.ServerFrame) ending {
	for {
		select {
		case f := <-received:
			if err := c.doAll(c.batch(f, received)); err != nil {
				return ending{err: err, stop: true}
			}
			continue
		default:
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return *l.final
	}
}

// batch makes a step of each frame that has come.
func (c *Client) batch(f *wire.ServerFrame, received <-chan *wire.ServerFrame) []stepFunc {
	var steps []stepFunc
	for {
		frame := f
		steps = append(steps, func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
			return r.Receive(v, nowMs, frame)
		})
		if len(steps) == batchMax {
			return steps
		}
		select {
		case f = <-received:
		default:
			return steps
		}
	}
}

// doAll runs steps in one transaction.
func (c *Client) doAll(steps []stepFunc) error {
	c.queueMu.Lock()
	actions := make([]*action, 0, len(steps))
	for _, step := range steps {
		actions = append(actions, &action{step: step})
	}
	c.queue = append(c.queue, actions...)
	c.queueMu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !actions[len(actions)-1].done {
		c.runQueued()
	}
	return c.failure
}

// untilDeadline is how long the replica need not be asked.
func (c *Client) untilDeadline() time.Duration {
	wait := time.Hour
	c.peek(func(r *replica.Replica) {
		if at, now := r.DeadlineMs(), c.nowMs(); at > 0 {
			wait = time.Duration(max(at, now)-now) * time.Millisecond
		}
	})
	return wait
}

// Errors after which a client does not connect again.
var (
	ErrKicked   = errors.New("client: this device was signed out by its user or by the server")
	ErrReplaced = errors.New("client: another client connected as this device")
)

// retryAfterMax bounds how long a server's word keeps a device away.
const retryAfterMax = time.Hour

// pauseOf is the pause a server asks for.
func pauseOf(ms uint32) time.Duration {
	return min(time.Duration(ms)*time.Millisecond, retryAfterMax)
}

// byeEnding says what a bye means.
func byeEnding(b *wire.Bye) ending {
	e := ending{
		told:       true,
		err:        fmt.Errorf("client: the server said bye: %s %s", b.Reason, b.Message),
		retryAfter: pauseOf(b.RetryAfterMs),
	}
	switch b.Reason {
	case wire.ByeReason_KICKED:
		return ending{err: ErrKicked, told: true, stop: true}
	case wire.ByeReason_REPLACED:
		return ending{err: ErrReplaced, told: true, stop: true}
	case wire.ByeReason_TOKEN_EXPIRED:
		e.token = true
	}
	return e
}

// refusedEnding says what an error instead of welcome means.
func refusedEnding(refusal *tidemark.Error) ending {
	e := ending{
		told: true, err: fmt.Errorf("client: the server refuses: %w", refusal),
		retryAfter: pauseOf(refusal.RetryAfterMs),
	}
	switch refusal.Reason {
	case tidemark.BadToken:
		e.token = true
	case tidemark.UnknownUser, tidemark.NotAllowed, tidemark.BadArgument, tidemark.Blocked:
		e.stop = true
	}
	return e
}
