// SPDX-License-Identifier: Apache-2.0

// Connections and devices: cursors that only rise (S7), what was told up to them (S8), sizes (S13).

package invariant

import (
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// liveRunMax is how many live events of a conversation come with one digest at most (PROTOCOL 2.10).
const liveRunMax = 64

// connection is one connection of a device.
type connection struct {
	who      Who
	hello    *wire.Hello
	epoch    tidemark.Epoch // told by welcome; 0 before
	limits   *wire.Limits
	cursor   cursor                  // checkpoints told, from that of hello on
	pending  map[uint64]*wire.Submit // by request
	fetches  map[uint64]int64        // by request: when
	order    map[uint64]int          // by request: the how many-th submission
	answered map[tidemark.ConversationID][]ordered
	reads    map[tidemark.ConversationID]tidemark.Seq // own read marks told
}

// ordered is one submission of a connection that became an event.
type ordered struct {
	order int
	seq   tidemark.Seq
}

// device is what is known of a device over its connections.
type device struct {
	cursor  tidemark.Cursor // that it has stored
	reset   bool            // the server has said that its cursor cannot be used
	wiped   bool
	told    map[place]tidemark.Seq // greatest head or event told, or that it is no member any more
	covered map[place]int          // acknowledged events looked at
}

func (c *Checker) device(who Who) *device {
	d := c.devices[who]
	if d == nil {
		d = &device{told: make(map[place]tidemark.Seq), covered: make(map[place]int)}
		c.devices[who] = d
	}
	return d
}

// Sent implements [Observer].
func (c *Checker) Sent(who Who, number uint64, f *wire.ClientFrame) {
	c.begin()
	defer c.mu.Unlock()
	conn := c.connections[number]
	if conn == nil {
		conn = &connection{
			who: who, cursor: cursor{}, pending: make(map[uint64]*wire.Submit), fetches: make(map[uint64]int64), order: make(map[uint64]int),
			answered: make(map[tidemark.ConversationID][]ordered), reads: make(map[tidemark.ConversationID]tidemark.Seq),
		}
		c.connections[number] = conn
	}
	switch m := f.Frame.(type) {
	case *wire.ClientFrame_Hello:
		conn.hello = m.Hello
	case *wire.ClientFrame_Submit:
		conn.pending[m.Submit.Request], conn.order[m.Submit.Request] = m.Submit, len(conn.order)
		c.submits(who, m.Submit)
	case *wire.ClientFrame_Fetch:
		conn.fetches[m.Fetch.Request] = c.now
	}
}

// Received implements [Observer].
func (c *Checker) Received(who Who, number uint64, f *wire.ServerFrame) {
	c.begin()
	defer c.mu.Unlock()
	conn := c.connections[number]
	if conn == nil {
		return
	}
	if most := conn.limits.GetFrameBytesMax(); most > 0 && f.SizeVT() > int(most) {
		c.report(about("S13", who, "", 0, "a frame of %d bytes, at most %d were promised", f.SizeVT(), most))
	}
	from := source{who: who, epoch: conn.epoch, at: c.now, on: conn}
	switch f := f.Frame.(type) {
	case *wire.ServerFrame_Welcome:
		c.welcome(conn, f.Welcome)
	case *wire.ServerFrame_Delta:
		c.deltas(from, f.Delta)
	case *wire.ServerFrame_Synced:
		positions := cursor{}
		for partition, position := range f.Synced.GetCursor().GetPositions() {
			positions[partition] = tidemark.Position(position)
		}
		c.checkpoints(from, positions)
	case *wire.ServerFrame_Submitted:
		m := conn.pending[f.Submitted.Request]
		delete(conn.pending, f.Submitted.Request)
		c.inOrder(conn, f.Submitted.Request, m, f.Submitted)
		c.submitted(from, m, f.Submitted)
		if !f.Submitted.Duplicate {
			c.device(who).tell(place{from.epoch, tidemark.ConversationID(f.Submitted.Conversation)}, f.Submitted.Seq)
		}
	case *wire.ServerFrame_Fetched:
		from.at = conn.fetches[f.Fetched.Request]
		delete(conn.fetches, f.Fetched.Request)
		if most := conn.limits.GetPageEventsMax(); most > 0 && len(f.Fetched.Events) > int(most) {
			c.report(about("S13", who, tidemark.ConversationID(f.Fetched.Conversation), 0, "a page of %d events, at most %d were promised", len(f.Fetched.Events), most))
		}
		if from.at > 0 {
			c.fetched(from, f.Fetched)
		}
	case *wire.ServerFrame_Error:
		if m := conn.pending[f.Error.Request]; m != nil && f.Error.Reason != wire.Reason_UNAVAILABLE && f.Error.Reason != wire.Reason_RATE_LIMITED {
			c.submits(who, m).refused = true
		}
		delete(conn.pending, f.Error.Request)
		delete(conn.fetches, f.Error.Request)
	}
}

// welcome begins what a connection tells: a cursor of another epoch must be refused (S7, S9), and one that was told under
// this epoch must not (S2: what is published is durable).
func (c *Checker) welcome(conn *connection, w *wire.Welcome) {
	conn.epoch, conn.limits = tidemark.Epoch(w.Epoch), w.Limits
	had := conn.hello.GetCursor()
	d := c.device(conn.who)
	switch {
	case w.Reset_ != nil:
		d.reset = true
		known := c.positions[conn.epoch]
		if w.Reset_.Reason == wire.ResetReason_FUTURE && had.GetEpoch() == w.Epoch && known.covers(had.GetPositions()) {
			c.report(about("S2", conn.who, "", 0, "the cursor %v was told under epoch %d, and is in the server's future now: something was served that was not durable",
				had.GetPositions(), w.Epoch))
		}
	case len(had.GetPositions()) > 0 && had.GetEpoch() != w.Epoch:
		c.report(about("S9", conn.who, "", 0, "a cursor of epoch %d is used under epoch %d", had.GetEpoch(), w.Epoch))
	default:
		for partition, position := range had.GetPositions() {
			conn.cursor[partition] = tidemark.Position(position)
		}
	}
}

// covers reports whether all positions are at or below those of the cursor.
func (c cursor) covers(positions map[uint32]uint64) bool {
	for partition, position := range positions {
		if tidemark.Position(position) > c[partition] {
			return false
		}
	}
	return true
}

// deltas takes in one delta frame.
func (c *Checker) deltas(from source, f *wire.Delta) {
	once := make(map[string]bool)
	for _, d := range f.Conversations {
		in := tidemark.ConversationID(d.Id)
		if once[d.Id] {
			c.report(about("S8", from.who, in, 0, "a conversation is in one delta twice"))
		}
		once[d.Id] = true
		if f.Live && len(d.Events) > liveRunMax {
			c.report(about("S13", from.who, in, 0, "%d live events with one digest, at most %d were promised", len(d.Events), liveRunMax))
		}
		c.delta(from, d)
		at := place{from.epoch, in}
		c.device(from.who).tell(at, d.HeadSeq)
		if d.Removed {
			c.device(from.who).told[at] = seqMax
		} else if c.device(from.who).told[at] == seqMax {
			c.device(from.who).told[at] = tidemark.Seq(d.HeadSeq)
		}
	}
	positions := cursor{}
	for partition, position := range f.Checkpoints {
		positions[partition] = tidemark.Position(position)
	}
	c.checkpoints(from, positions)
}

// seqMax stands for all that there will be.
const seqMax = tidemark.Seq(1<<64 - 1)

func (d *device) tell(at place, head uint64) { d.told[at] = max(d.told[at], tidemark.Seq(head)) }

// checkpoints takes in how far a device has been told all: never less than before (S7), and then it must know of every event
// at or below whose position somebody was told (S8).
func (c *Checker) checkpoints(from source, positions cursor) {
	d, told := c.device(from.who), c.positions[from.epoch]
	if told == nil {
		told = cursor{}
		c.positions[from.epoch] = told
	}
	for _, partition := range slices.Sorted(maps.Keys(positions)) {
		position := positions[partition]
		if before := from.on.cursor[partition]; position < before {
			c.report(about("S7", from.who, "", 0, "the checkpoint of partition %d falls from %d to %d", partition, before, position))
		}
		from.on.cursor[partition], told[partition] = position, max(told[partition], position)
		c.covered(from, d, partition, position)
	}
}

// covered looks at the acknowledged events of a partition up to a position. Who was a member at the time is judged once the
// log is known.
func (c *Checker) covered(from source, d *device, partition uint32, position tidemark.Position) {
	for at, h := range c.logs {
		if at.epoch != from.epoch {
			continue
		}
		list := h.acked[partition]
		for i := d.covered[at]; i < len(list); i++ {
			if list[i].position > position {
				break
			}
			d.covered[at] = i + 1
			if list[i].seq > d.told[at] {
				h.untold = append(h.untold, about("S8", from.who, at.conversation, list[i].seq,
					"everything up to position %d of partition %d was said to be delivered, and the event at %d was not; told up to %d",
					position, partition, list[i].position, d.told[at]))
			}
		}
	}
}

// Stored implements [Observer]: what a device has stored never falls, unless the server has said that it must.
func (c *Checker) Stored(who Who, stored tidemark.Cursor) {
	c.begin()
	defer c.mu.Unlock()
	d := c.device(who)
	for partition, before := range d.cursor.Positions {
		if d.cursor.Epoch == stored.Epoch && stored.Positions[partition] < before && !d.reset {
			c.report(about("S7", who, "", 0, "the stored position of partition %d falls from %d to %d", partition, before, stored.Positions[partition]))
		}
	}
	d.cursor, d.reset = tidemark.Cursor{Epoch: stored.Epoch, Positions: maps.Clone(stored.Positions)}, false
}
