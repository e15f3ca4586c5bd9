// SPDX-License-Identifier: Apache-2.0

// The checker: what is known of a world, and who takes in what is observed.

package invariant

import (
	"sync"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// violationsMax is how many violations are kept: the first is what matters.
const violationsMax = 100

// Checker is an [Observer] that compares what it sees with what may happen. It may be used by any number of goroutines;
// what happens in one order must be told in that order.
type Checker struct {
	mu          sync.Mutex
	found       []*Violation           // guarded by mu, as all below
	now         int64                  // things observed so far: the order of what is told
	epoch       tidemark.Epoch         // of the server now; 0 before it has started
	connections map[uint64]*connection // by number
	calls       map[uint64]*call       // not yet answered, by number
	called      uint64                 // calls so far
	logs        map[place]*history     // what is known of the logs
	devices     map[Who]*device
	sends       map[send]*sending         // submissions, over all retries
	marks       map[marked]*marks         // read marks
	positions   map[tidemark.Epoch]cursor // the furthest positions that anybody was told
}

// cursor is a position for each partition.
type cursor map[uint32]tidemark.Position

// place names one log: what a conversation is under an epoch.
type place struct {
	epoch        tidemark.Epoch
	conversation tidemark.ConversationID
}

// call is a request of the HTTP API that was not answered yet.
type call struct {
	who     Who
	epoch   tidemark.Epoch // of the server when it was made
	at      int64
	request proto.Message
}

var _ Observer = (*Checker)(nil)

// New is a checker that has seen nothing.
func New() *Checker {
	return &Checker{
		connections: make(map[uint64]*connection), calls: make(map[uint64]*call), logs: make(map[place]*history),
		devices: make(map[Who]*device), sends: make(map[send]*sending), marks: make(map[marked]*marks),
		positions: make(map[tidemark.Epoch]cursor),
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

// begin locks the checker for one observation; the caller unlocks.
func (c *Checker) begin() {
	c.mu.Lock()
	c.now++
}

// Called implements [Observer].
func (c *Checker) Called(who Who, request proto.Message) uint64 {
	c.begin()
	defer c.mu.Unlock()
	c.called++
	c.calls[c.called] = &call{who: who, epoch: c.epoch, at: c.now, request: request}
	if r, ok := request.(*wire.SubmitRequest); ok {
		c.submits(who, frameOf(r))
	}
	return c.called
}

// Answered implements [Observer]. Where the epoch has changed under way, nobody knows of which one the answer speaks.
func (c *Checker) Answered(number uint64, answer proto.Message) {
	c.begin()
	defer c.mu.Unlock()
	q := c.calls[number]
	delete(c.calls, number)
	if q == nil || q.epoch != c.epoch {
		return
	}
	from := source{who: q.who, epoch: q.epoch, at: q.at}
	switch a := answer.(type) {
	case *wire.Submitted:
		if ask, ok := q.request.(*wire.SubmitRequest); ok {
			c.submitted(from, frameOf(ask), a)
		}
	case *wire.Fetched:
		c.fetched(from, a)
	case *wire.PullResponse:
		if tidemark.Epoch(a.Epoch) == q.epoch {
			for _, d := range a.Conversations {
				c.delta(from, d)
			}
		}
	case *wire.ReadResponse:
		if ask, ok := q.request.(*wire.ReadRequest); ok {
			c.read(from, tidemark.ConversationID(ask.Conversation), q.who.User, tidemark.Seq(a.ReadSeq))
		}
	case *wire.ListMembersResponse:
		if ask, ok := q.request.(*wire.ListMembersRequest); ok {
			c.members(from, tidemark.ConversationID(ask.Conversation), a.Members)
		}
	}
}

// Happened implements [Observer].
func (c *Checker) Happened(i Incident) {
	c.begin()
	defer c.mu.Unlock()
	switch i.Kind {
	case Started, Restored:
		c.epoch = i.Epoch
	case DeviceWiped:
		d := c.device(i.Who)
		d.wiped, d.cursor, d.told = true, tidemark.Cursor{}, make(map[place]tidemark.Seq)
	}
}

// source says who told something: whom it was told to, of which epoch it speaks, and since when it was asked for.
type source struct {
	who   Who
	epoch tidemark.Epoch
	at    int64
	on    *connection // nil: an answer of the HTTP API
}
