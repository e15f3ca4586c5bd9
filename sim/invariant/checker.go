// SPDX-License-Identifier: Apache-2.0

// The checker: what was seen, event by event, and what contradicts it.

package invariant

import (
	"sync"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// violationsMax is how many violations are kept: the first is what matters.
const violationsMax = 100

// Checker is an [Observer] that compares what it sees with what may happen. It may be used by any number of goroutines;
// what happens in one order must be told in that order.
type Checker struct {
	mu          sync.Mutex
	found       []*Violation           // guarded by mu, as all below
	epoch       tidemark.Epoch         // of the server now; 0 before it has started
	connections map[uint64]*connection // by number
	calls       map[uint64]*call       // not yet answered, by number
	called      uint64                 // calls so far
	logs        map[place]*history     // what is known of the logs
}

// place names one log: what a conversation is under an epoch.
type place struct {
	epoch        tidemark.Epoch
	conversation tidemark.ConversationID
}

// history is what was seen of one log, on any way.
type history struct {
	events  map[tidemark.Seq]*seen
	digests map[tidemark.Seq]tidemark.Digest
}

// seen is one event of which anybody was told.
type seen struct {
	link  chain.Link
	by    Who
	acked bool // some sender was told that it is durable
}

// connection is one connection of a device.
type connection struct {
	who     Who
	epoch   tidemark.Epoch // told by welcome; 0 before
	submits map[uint64]*wire.Submit
}

// call is a request of the HTTP API that was not answered yet.
type call struct {
	who     Who
	epoch   tidemark.Epoch // of the server when it was made
	request proto.Message
}

var _ Observer = (*Checker)(nil)

// New is a checker that has seen nothing.
func New() *Checker {
	return &Checker{
		connections: make(map[uint64]*connection), calls: make(map[uint64]*call), logs: make(map[place]*history),
	}
}

// Violation is the first promise that was seen broken; nil: none.
func (c *Checker) Violation() *Violation {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.found) == 0 {
		return nil
	}
	return c.found[0]
}

// Violations are all that were seen, in order, at most the first hundred.
func (c *Checker) Violations() []*Violation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Violation(nil), c.found...)
}

// Report adds a violation that was seen by somebody else; nil is none.
func (c *Checker) Report(v *Violation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report(v)
}

func (c *Checker) report(v *Violation) {
	if v != nil && len(c.found) < violationsMax {
		c.found = append(c.found, v)
	}
}

func (c *Checker) history(epoch tidemark.Epoch, in tidemark.ConversationID) *history {
	h := c.logs[place{epoch, in}]
	if h == nil {
		h = &history{events: make(map[tidemark.Seq]*seen), digests: make(map[tidemark.Seq]tidemark.Digest)}
		c.logs[place{epoch, in}] = h
	}
	return h
}

// Sent implements [Observer].
func (c *Checker) Sent(who Who, number uint64, f *wire.ClientFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.connections[number]
	if conn == nil {
		conn = &connection{who: who, submits: make(map[uint64]*wire.Submit)}
		c.connections[number] = conn
	}
	if m := f.GetSubmit(); m != nil {
		conn.submits[m.Request] = m
	}
}

// Received implements [Observer].
func (c *Checker) Received(who Who, number uint64, f *wire.ServerFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.connections[number]
	if conn == nil {
		return
	}
	switch f := f.Frame.(type) {
	case *wire.ServerFrame_Welcome:
		conn.epoch = tidemark.Epoch(f.Welcome.Epoch)
	case *wire.ServerFrame_Delta:
		for _, d := range f.Delta.Conversations {
			c.delta(who, conn.epoch, d)
		}
	case *wire.ServerFrame_Submitted:
		c.submitted(who, conn.epoch, conn.submits[f.Submitted.Request], f.Submitted)
		delete(conn.submits, f.Submitted.Request)
	case *wire.ServerFrame_Fetched:
		c.fetched(who, conn.epoch, f.Fetched)
	case *wire.ServerFrame_Error:
		delete(conn.submits, f.Error.Request)
	}
}

// Called implements [Observer].
func (c *Checker) Called(who Who, request proto.Message) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.called++
	c.calls[c.called] = &call{who: who, epoch: c.epoch, request: request}
	return c.called
}

// Answered implements [Observer].
func (c *Checker) Answered(number uint64, answer proto.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.calls[number]
	delete(c.calls, number)
	if q == nil || q.epoch != c.epoch {
		return // of which epoch the answer speaks is not known
	}
	switch a := answer.(type) {
	case *wire.Submitted:
		if ask, ok := q.request.(*wire.SubmitRequest); ok {
			c.submitted(q.who, q.epoch, frameOf(ask), a)
		}
	case *wire.Fetched:
		c.fetched(q.who, q.epoch, a)
	case *wire.PullResponse:
		for _, d := range a.Conversations {
			c.delta(q.who, q.epoch, d)
		}
	}
}

// Stored implements [Observer].
func (c *Checker) Stored(Who, tidemark.Cursor) {}

// Happened implements [Observer].
func (c *Checker) Happened(i Incident) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch i.Kind {
	case Started, Restored:
		c.epoch = i.Epoch
	}
}
