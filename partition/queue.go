// SPDX-License-Identifier: Apache-2.0

// The bounded queue in front of a partition's loop.

package partition

import (
	"context"
	"slices"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
)

// request is a command and where its reply goes.
type request struct {
	cmd   core.Command
	done  func(core.Reply) // nil: nobody waits
	timer bool             // of a timer that is due
}

// queue holds commands in the order of their arrival. Whoever finds it full waits for its turn: back-pressure, never a drop, and nobody
// is overtaken by one who is busier.
type queue struct {
	some chan struct{} // capacity 1: tells the shell that there is something to do

	mu      sync.Mutex
	items   []request // guarded by mu; len(items) <= max
	max     int       // immutable
	closed  bool      // guarded by mu
	waiting []*waiter // guarded by mu; empty while there is room
}

// waiter is a command that found the queue full.
type waiter struct {
	request
	settled chan struct{} // closed when it was queued, or will never be
	err     error         // read after settled is closed
}

func newQueue(max int) *queue { return &queue{max: max, some: make(chan struct{}, 1)} }

var errClosed = tidemark.Refuse(tidemark.Unavailable, "the server is shutting down: connect again and retry")

// put waits for room. It returns the context's error, or a *tidemark.Error once the queue is closed.
func (q *queue) put(ctx context.Context, r request) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return errClosed
	}
	if len(q.items) < q.max {
		q.items = append(q.items, r)
		first := len(q.items) == 1
		q.mu.Unlock()
		if first {
			q.poke()
		}
		return nil
	}
	w := &waiter{request: r, settled: make(chan struct{})}
	q.waiting = append(q.waiting, w)
	q.mu.Unlock()
	select {
	case <-w.settled:
		return w.err
	case <-ctx.Done():
		return q.giveUp(w, ctx.Err())
	}
}

// giveUp is the end of a wait whose context has ended; it answers err, unless the command was queued before.
func (q *queue) giveUp(w *waiter, err error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiting, w)
	if at < 0 {
		return w.err
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	return err
}

// offer is put that does not wait; false: there was no room.
func (q *queue) offer(r request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.items) >= q.max {
		return false
	}
	q.items = append(q.items, r)
	q.poke()
	return true
}

// poke wakes the shell.
func (q *queue) poke() {
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// take moves at most max items to the end of dst.
func (q *queue) take(dst []request, max int) []request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(max, len(q.items))
	dst = append(dst, q.items[:n]...)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	q.letIn()
	if len(q.items) > 0 {
		q.poke()
	}
	return dst
}

// letIn queues those who wait, as far as there is room. It needs the lock.
func (q *queue) letIn() {
	n := min(q.max-len(q.items), len(q.waiting))
	for _, w := range q.waiting[:n] {
		q.items = append(q.items, w.request)
		close(w.settled)
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
}

// Full reports whether Submit would wait for room now.
func (p *Partition) Full() bool { return p.queue.len() >= p.queue.max }

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// close refuses everything from now on.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, w := range q.waiting {
		w.err = errClosed
		close(w.settled)
	}
	q.waiting = nil
}
