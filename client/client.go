// SPDX-License-Identifier: Apache-2.0

// The client: who may touch the replica when, and how a step's output leaves it.

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
)

// Client is one device of one user. All methods are safe for concurrent use; Run may be called once at a time.
type Client struct {
	cfg   Config
	calls calls
	start time.Time // with the monotonic clock: time as the replica sees it never steps back

	queueMu sync.Mutex
	queue   []*action // not taken yet; whoever holds mu next runs them all in one transaction

	mu      sync.Mutex       // owns everything below
	replica *replica.Replica // nil after a failure of the store
	failure error            // why it is nil
	failed  chan struct{}    // closed with the failure
	running bool
	link    *link // the connection; nil: none
	state   ConnectionState
	moved   chan struct{} // closed and replaced when state changes
	pages   map[uint64]chan replica.Done
	page    uint64                                // last key of pages
	sends   map[tidemark.ClientID][]chan struct{} // waiting for an answer
	settled map[tidemark.ClientID]OutgoingChanged // the last answers
	recent  [settledMax]tidemark.ClientID         // their ring
	next    int                                   // of recent
	hub     hub                                   // has a lock of its own

	outdated []tidemark.UserID // whose profiles are to be refreshed; at most outdatedMax
	stale    chan struct{}     // of size 1: something is to be refreshed
}

// settledMax is how many answers to submissions are remembered for [Client.WaitSent].
const settledMax = 1024

// ErrStopped is matched by the errors after which the store's state is not known any more: make a new Client.
var ErrStopped = errors.New("client: the store has failed")

// New opens the device's state from the store, or makes it when the store is empty. It does not connect: that is
// [Client.Run]. The store stays the caller's to close, after Run has returned.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, start: time.Now(), moved: make(chan struct{}), failed: make(chan struct{}), pages: map[uint64]chan replica.Done{},
		sends: map[tidemark.ClientID][]chan struct{}{}, settled: map[tidemark.ClientID]OutgoingChanged{},
		stale: make(chan struct{}, 1),
	}
	c.calls = newCalls(cfg)
	err = cfg.Store.Update(func(tx Tx) error {
		fresh, err := replica.CheckFormat(tx)
		if err == nil && fresh {
			err = tx.Put(replica.FormatKey, []byte(replica.Format))
		}
		if err != nil {
			return err
		}
		c.replica, err = replica.Load(replica.Config{
			Device: cfg.DeviceID, Platform: cfg.Platform, Client: cfg.Name, Tail: uint32(cfg.Tail), Full: uint32(cfg.Full),
			Backfill: cfg.Backfill, Keep: uint64(cfg.Keep), Window: cfg.Window,
		}, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("client: open the store: %w", err)
	}
	return c, nil
}

// nowMs is the time, never stepping back.
func (c *Client) nowMs() uint64 { return uint64(c.start.Add(time.Since(c.start)).UnixMilli()) }

// stepFunc is one step of the replica.
type stepFunc func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error)

// action is a step that waits for its turn.
type action struct {
	step stepFunc
	err  error
	done bool // guarded by Client.mu
}

// do runs a step: its writes are durable, its frames queued and its notes told when it returns. Steps that wait at the
// same time share one transaction.
func (c *Client) do(step stepFunc) error {
	a := &action{step: step}
	c.queueMu.Lock()
	c.queue = append(c.queue, a)
	c.queueMu.Unlock()

	c.mu.Lock()
	defer c.mu.Unlock()
	if !a.done {
		c.runQueued()
	}
	return a.err
}

// runQueued runs all waiting steps in one transaction. The caller holds mu.
func (c *Client) runQueued() {
	c.queueMu.Lock()
	actions := c.queue
	c.queue = nil
	c.queueMu.Unlock()
	for _, a := range actions {
		a.done = true
	}
	if c.replica == nil {
		for _, a := range actions {
			a.err = c.failure
		}
		return
	}
	var outs []replica.Output
	err := c.cfg.Store.Update(func(tx Tx) error {
		for _, a := range actions {
			out, err := a.step(c.replica, tx, c.nowMs())
			if a.err = err; refusal(err) {
				continue
			}
			if err == nil {
				err = apply(tx, out.Writes)
			}
			if err != nil {
				return err
			}
			outs = append(outs, out)
		}
		return nil
	})
	if err != nil {
		c.fail(actions, err)
		return
	}
	for i := range outs {
		c.release(&outs[i])
	}
}

// refusal reports whether a step's error left the replica as it was.
func refusal(err error) bool {
	var refused *tidemark.Error
	return errors.As(err, &refused) || errors.Is(err, replica.ErrNotInOutbox)
}

// apply stores what a step wrote.
func apply(tx Tx, writes []replica.Write) error {
	for _, w := range writes {
		var err error
		if w.Value == nil {
			err = tx.Delete(w.Key)
		} else {
			err = tx.Put(w.Key, w.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fail gives the replica up: it has gone on, the store has not. The caller holds mu.
func (c *Client) fail(actions []*action, err error) {
	c.replica, c.failure = nil, fmt.Errorf("%w: %w", ErrStopped, err)
	for _, a := range actions {
		a.err = c.failure
	}
	if c.link != nil {
		c.link.finish(ending{err: c.failure, told: true, stop: true})
	}
	for key, waiter := range c.pages {
		waiter <- replica.Done{Token: key, Err: c.failure}
		delete(c.pages, key)
	}
	close(c.failed)
	for id, waiters := range c.sends {
		for _, waiter := range waiters {
			close(waiter)
		}
		delete(c.sends, id)
	}
}

// release lets out what a committed step asks for. The caller holds mu.
func (c *Client) release(out *replica.Output) {
	if c.link != nil {
		c.link.release(out)
	}
	if out.Synced {
		c.setState(Synced, nil)
	}
	for _, d := range out.Done {
		if waiter := c.pages[d.Token]; waiter != nil {
			delete(c.pages, d.Token)
			waiter <- d
		}
	}
	for _, n := range out.Notes {
		if o, ok := n.(OutgoingChanged); ok && (o.State == Stored || o.State == Failed) {
			c.answered(o)
		}
	}
	c.noteOutdated(out)
	c.hub.publish(out.Notes)
}

// answered remembers the answer to a submission and wakes who waits for it. The caller holds mu.
func (c *Client) answered(o OutgoingChanged) {
	if _, known := c.settled[o.ClientID]; !known {
		delete(c.settled, c.recent[c.next])
		c.recent[c.next] = o.ClientID
		c.next = (c.next + 1) % settledMax
	}
	c.settled[o.ClientID] = o
	for _, waiter := range c.sends[o.ClientID] {
		close(waiter)
	}
	delete(c.sends, o.ClientID)
}

// setState tells the app how far the connection is. The caller holds mu.
func (c *Client) setState(state ConnectionState, err error) {
	if c.state == state && err == nil {
		return
	}
	c.state = state
	close(c.moved)
	c.moved = make(chan struct{})
	c.hub.publish([]Event{StateChanged{State: state, Err: err}})
}

// State is how far the connection is.
func (c *Client) State() ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// WaitSynced waits until the device is connected and has everything. It errs when ctx ends, the client has stopped, or its
// store has failed.
func (c *Client) WaitSynced(ctx context.Context) error {
	for {
		c.mu.Lock()
		state, moved := c.state, c.moved
		c.mu.Unlock()
		switch state {
		case Synced:
			return nil
		case Stopped:
			if err := c.broken(); err != nil {
				return err
			}
			return errors.New("client: stopped: see the error of Run")
		}
		select {
		case <-moved:
		case <-c.failed:
			return c.broken()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// broken is why the store's state is not known any more; nil while it is.
func (c *Client) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// read runs fn with the replica and the stored state. fn must not keep the replica.
func (c *Client) read(fn func(r *replica.Replica, v View) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.replica == nil {
		return c.failure
	}
	return c.cfg.Store.View(func(v View) error { return fn(c.replica, v) })
}

// User is whose device this is; empty before the first connection ever.
func (c *Client) User() (user tidemark.UserID) {
	c.peek(func(r *replica.Replica) { user = r.User() })
	return user
}

// peek runs fn with the replica, unless the store has failed.
func (c *Client) peek(fn func(r *replica.Replica)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.replica != nil {
		fn(c.replica)
	}
}

// Typing tells the other members that the user types, or stopped; offline it does nothing.
func (c *Client) Typing(in tidemark.ConversationID, typing bool) error {
	return c.do(func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
		return r.Typing(v, nowMs, in, typing)
	})
}

// Watch asks to be told of the presence of these users, in place of those watched before: see [PresenceChanged]. It
// holds over reconnections, not over restarts.
func (c *Client) Watch(users ...tidemark.UserID) error {
	return c.do(func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
		return r.Watch(v, nowMs, users)
	})
}

// MarkRead moves the user's read mark up to a seq, at most to the head; the counts change with it. It works offline.
func (c *Client) MarkRead(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq) error {
	return c.doWithin(ctx, func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
		return r.MarkRead(v, nowMs, in, seq)
	})
}

// doWithin is do, unless ctx has ended already.
func (c *Client) doWithin(ctx context.Context, step stepFunc) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.do(step)
}
