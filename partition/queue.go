// SPDX-License-Identifier: Apache-2.0

// The bounded queue in front of a partition's loop.

package partition

import (
	"context"
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

// queue holds commands in the order of their arrival. Whoever finds it full waits: back-pressure, never a drop.
type queue struct {
	some chan struct{} // capacity 1: tells the shell that there is something to do

	mu     sync.Mutex
	items  []request     // guarded by mu; len(items) <= max
	max    int           // immutable
	closed bool          // guarded by mu
	space  chan struct{} // guarded by mu; closed when items were taken; nil while nobody waits
}

func newQueue(max int) *queue { return &queue{max: max, some: make(chan struct{}, 1)} }

var errClosed = tidemark.Refuse(tidemark.Unavailable, "the server is shutting down: connect again and retry")

// put waits for room. It returns the context's error, or a *tidemark.Error once the queue is closed.
func (q *queue) put(ctx context.Context, r request) error {
	for {
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
		if q.space == nil {
			q.space = make(chan struct{})
		}
		space := q.space
		q.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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
	if n > 0 && q.space != nil {
		close(q.space)
		q.space = nil
	}
	if rest > 0 {
		q.poke()
	}
	return dst
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
	if q.space != nil {
		close(q.space)
		q.space = nil
	}
}
