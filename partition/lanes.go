// SPDX-License-Identifier: Apache-2.0

// What the receivers of a room are given of its log: the ends of it, by what is left out first when a receiver is behind.
// They are kept in memory, so that nothing depends on the disk, and how much is kept does not depend on how many receivers
// there are or how far they are behind.

package partition

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// RoomBehindMax is how many events a receiver of a room may be behind. When it is further behind, messages of low priority
// are left out, the oldest first, then those of normal priority.
const RoomBehindMax = 64

// Bounds of what is kept of events that are never left out. A receiver that is further behind than these cannot go on.
const (
	keptEventsMax = 4096
	keptBytesMax  = 4 << 20
)

// lane is a part of a room's log, by what is left out first: the greater.
type lane uint8

const (
	keptLane   lane = iota // messages of high priority, and all events other than messages: never left out
	normalLane             // messages of normal priority
	lowLane                // messages of low priority
	lanes
)

// laneOf is the lane of an event.
func laneOf(e *record.Event) lane {
	if e.Kind != record.MessageBody || e.Body == nil {
		return keptLane
	}
	return laneOfPriority(priorityIn(e.Body))
}

func laneOfPriority(p wire.Priority) lane {
	switch p {
	case wire.Priority_PRIORITY_HIGH:
		return keptLane
	case wire.Priority_PRIORITY_LOW:
		return lowLane
	}
	return normalLane
}

// priorityField is the number of Message.priority.
const priorityField = 9

// priorityIn reads the priority out of an encoded Body{message} without decoding the rest.
func priorityIn(body []byte) wire.Priority {
	_, _, n := protowire.ConsumeTag(body)
	if n < 0 {
		return wire.Priority_PRIORITY_NORMAL
	}
	message, _ := protowire.ConsumeBytes(body[n:])
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			break
		}
		message = message[n:]
		if number == priorityField && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(message)
			return wire.Priority(v)
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			break
		}
		message = message[n:]
	}
	return wire.Priority_PRIORITY_NORMAL
}

// laneCounts counts events by lane.
type laneCounts [lanes]uint64

// laneEntry is an event in a lane.
type laneEntry struct {
	*LogEntry
	lane   lane
	prev   tidemark.Digest // chain value before it
	before laneCounts      // the events of the room, since it is in use, before this one
}

// extend adds encoded events of a batch to the lanes of their room, if somebody is in it. body gives an event as it was
// stored.
func (r *rooms) extend(c record.Conversation, entries []*LogEntry, event func(tidemark.Seq) *record.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.in[c]
	if in == nil {
		return
	}
	for _, e := range entries {
		if e.Seq <= in.head {
			continue // who came after it was applied has it by the page
		}
		in.add(e, laneOf(event(e.Seq)))
	}
}

func (in *room) add(e *LogEntry, l lane) {
	in.lanes[l] = append(in.lanes[l], laneEntry{e, l, in.digest, in.counts})
	in.head, in.digest = e.Seq, e.Digest
	in.counts[l]++
	if l != keptLane {
		in.lanes[l] = lastOf(in.lanes[l], RoomBehindMax)
		return
	}
	in.bytes += entryCost + len(e.Encoded)
	kept := in.lanes[keptLane]
	for len(kept) > keptEventsMax || in.bytes > keptBytesMax && len(kept) > RoomBehindMax {
		in.bytes -= entryCost + len(kept[0].Encoded)
		in.lost = kept[0].Seq
		kept[0] = laneEntry{}
		kept = kept[1:]
	}
	in.lanes[keptLane] = kept
}

// lastOf is the last n entries of a lane, with memory of its own now and then, so that what is dropped is given back.
func lastOf(entries []laneEntry, n int) []laneEntry {
	if len(entries) < 2*n {
		return entries
	}
	rest := copy(entries, entries[len(entries)-n:])
	clear(entries[rest:])
	return entries[:rest]
}

// withholdInRooms takes the bodies out of events that the batch has recalled or erased, or that edit what it has trimmed.
func (p *Partition) withholdInRooms() {
	each(&p.overlay.currents, func(k seqKey, cur *record.Current) {
		if cur.IsWithheld() {
			p.rooms.withhold(k.c, k.seq, cur)
		}
	})
	p.overlay.blanked(func(k seqKey) { p.rooms.withhold(k.c, k.seq, nil) })
}

func (r *rooms) withhold(c record.Conversation, seq tidemark.Seq, cur *record.Current) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.in[c]
	if in == nil {
		return
	}
	for l := range in.lanes {
		if i, found := slices.BinarySearchFunc(in.lanes[l], seq, bySeq); found {
			in.lanes[l][i].LogEntry = withheld(in.lanes[l][i].LogEntry, cur)
			return
		}
	}
}

func bySeq(e laneEntry, seq tidemark.Seq) int { return cmp.Compare(e.Seq, seq) }

// Mark is up to where everything was taken, or left out for good. For the one who takes.
func (pl *Seat) Mark() tidemark.Seq { return pl.mark }

// Own says that the receiver has the event after the mark, of a message of a priority or (nil) of another kind, by the
// answer to its submission.
func (pl *Seat) Own(seq tidemark.Seq, m *wire.Message) {
	if seq != pl.mark+1 {
		return
	}
	l := keptLane
	if m != nil {
		l = laneOfPriority(m.GetPriority())
	}
	pl.mark = seq
	pl.counts[l]++
}

// Run is a stretch of a room's log for one receiver.
type Run struct {
	Events     []*LogEntry     // consecutive
	LeftOut    bool            // there are events between the mark before and the first of these
	PrevDigest tidemark.Digest // chain value before the first
}

// Take makes run what the receiver is to have next of the events up to a seq: consecutive ones, at most RoomBehindMax, with
// encoded forms of at most bytesMax, or one; none if all were left out. What lies between the old mark and the first of them was left out,
// because the receiver was behind. ok is false for one who is so far behind that events would be missing which are never
// left out: it must begin anew.
func (pl *Seat) Take(run *Run, to tidemark.Seq, bytesMax int) (ok bool) {
	run.Events = run.Events[:0]
	pl.p.rooms.mu.RLock()
	defer pl.p.rooms.mu.RUnlock()
	in := pl.p.rooms.in[pl.c]
	if in == nil || pl.index < 0 || to <= pl.mark {
		return true
	}
	if pl.mark < in.lost {
		return false
	}
	rest, bytes := in.due(pl.mark, to), 0
	for e, there := rest.pop(); there; e, there = rest.pop() {
		bytes += len(e.Encoded)
		if len(run.Events) == 0 {
			pl.countLeftOut(&e)
			run.LeftOut, run.PrevDigest = e.Seq > pl.mark+1, e.prev
		} else if e.Seq != pl.mark+1 || bytes > bytesMax || len(run.Events) == RoomBehindMax {
			return true
		}
		pl.mark, pl.counts = e.Seq, e.before
		pl.counts[e.lane]++
		run.Events = append(run.Events, e.LogEntry)
	}
	if len(run.Events) == 0 { // all of them were left out; they are counted with what is taken next
		pl.mark = to
	}
	return true
}

// countLeftOut counts what lies between the mark and an event.
func (pl *Seat) countLeftOut(e *laneEntry) {
	for l := normalLane; l < lanes; l++ {
		if n := e.before[l] - pl.counts[l]; n > 0 {
			pl.p.stats.leftOut[l].Add(n)
		}
	}
}

// due is what of mark < seq <= to is to be given: all of it if that is not too much, else what is never left out, and the
// last of the others, as many as may be waited for.
func (in *room) due(mark, to tidemark.Seq) (d dueEvents) {
	for l := range in.lanes {
		from, _ := slices.BinarySearchFunc(in.lanes[l], mark+1, bySeq)
		end, _ := slices.BinarySearchFunc(in.lanes[l], to+1, bySeq)
		d[l] = in.lanes[l][from:end]
	}
	if to-mark <= RoomBehindMax {
		return d
	}
	left := RoomBehindMax - min(len(d[keptLane]), RoomBehindMax)
	for _, l := range [...]lane{normalLane, lowLane} {
		d[l] = d[l][len(d[l])-min(len(d[l]), left):]
		left -= len(d[l])
	}
	return d
}

// dueEvents are events to be given, by lane.
type dueEvents [lanes][]laneEntry

// pop takes the one with the lowest seq.
func (d *dueEvents) pop() (e laneEntry, there bool) {
	at := -1
	for l := range d {
		if len(d[l]) > 0 && (at < 0 || d[l][0].Seq < d[at][0].Seq) {
			at = l
		}
	}
	if at < 0 {
		return laneEntry{}, false
	}
	e, d[at] = d[at][0], d[at][1:]
	return e, true
}
