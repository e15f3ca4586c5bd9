// SPDX-License-Identifier: Apache-2.0

// The log of a conversation as it goes out to sessions: encoded once, the tails of conversations in use kept in memory.

package partition

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"google.golang.org/protobuf/encoding/protowire"
)

// LogEntry is one event in its log form, encoded once and shared by all sessions. It is never changed.
type LogEntry struct {
	Seq      tidemark.Seq
	Position tidemark.Position
	TimeMs   uint64
	Digest   tidemark.Digest
	Sender   record.User
	Kind     record.BodyKind
	SenderID tidemark.UserID
	Edits    tidemark.Seq // the message that the event edits; 0: it is no edit
	// Encoded is the event as an element of ConversationDelta.events: tag, length, and the protobuf of wire.Event.
	Encoded []byte
}

// eventsField is the number of ConversationDelta.events.
const eventsField = 12

// entryCost is what an entry takes in memory besides its encoded bytes.
const entryCost = 128

func newLogEntry(e *record.Event, cur *record.Current) *LogEntry {
	return &LogEntry{
		Seq: e.Seq, Position: e.Position, TimeMs: e.TimeMs, Digest: e.Digest, Sender: e.Sender, Kind: e.Kind,
		SenderID: e.SenderID, Edits: editOf(e), Encoded: encodeEvent(WireEvent(e, cur)),
	}
}

// HiddenFrom reports whether a member does not see what the event says: the member, whose private record is f, has deleted
// it for itself, or does not see the message that it edits.
func (e *LogEntry) HiddenFrom(m *record.Member, f *record.Private) bool {
	return f.Deletes(e.Seq) || hiddenEdit(m, f, e.Edits)
}

// hiddenEdit reports whether a member (nil: the app) does not see the message that an event edits, because the member has
// deleted it, or it lies before what is visible. Then the edit must not tell what the message says. 0 is no edit.
func hiddenEdit(m *record.Member, f *record.Private, edits tidemark.Seq) bool {
	return edits > 0 && (f.Deletes(edits) || m != nil && edits < m.VisibleFrom)
}

// AppendHidden appends Encoded as a user gets it who does not see what the event says: without its body.
func (e *LogEntry) AppendHidden(dst []byte) []byte {
	w := e.decode()
	hide(w)
	return append(dst, encodeEvent(w)...)
}

func (e *LogEntry) decode() *wire.Event {
	payload, _ := protowire.ConsumeBytes(e.Encoded[protowire.SizeTag(eventsField):])
	w := &wire.Event{}
	if err := w.UnmarshalVT(payload); err != nil {
		panic(fmt.Sprintf("partition: encoded event %d does not decode: %v", e.Seq, err))
	}
	return w
}

func encodeEvent(w *wire.Event) []byte {
	size := w.SizeVT()
	b := make([]byte, 0, protowire.SizeTag(eventsField)+protowire.SizeBytes(size))
	b = protowire.AppendTag(b, eventsField, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	start := len(b)
	b = b[:start+size]
	if _, err := w.MarshalToSizedBufferVT(b[start:]); err != nil {
		panic(fmt.Sprintf("partition: event %d did not fit the size it gave: %v", w.Seq, err))
	}
	return b
}

// cut is the part of a tail with from <= seq <= to; ok is false if the tail does not hold all of it.
func cut(tail []*LogEntry, from, to tidemark.Seq) (part []*LogEntry, ok bool) {
	if len(tail) == 0 || from < tail[0].Seq || to > tail[len(tail)-1].Seq {
		return nil, false
	}
	first := tail[0].Seq
	return tail[from-first : to-first+1], true
}

// Log is the log of a conversation from..to, ascending, at most eventsMax entries, of which the first may be beyond
// bytesMax and the others together not. It reads the store where the tail in memory does not reach.
func (p *Partition) Log(c record.Conversation, from, to tidemark.Seq, eventsMax, bytesMax int) ([]*LogEntry, error) {
	if from > to || eventsMax <= 0 {
		return nil, nil
	}
	p.mu.RLock()
	tail, _ := p.mem.tails.get(c)
	p.mu.RUnlock()
	part, ok := cut(tail, from, to)
	if !ok {
		var err error
		if part, err = p.readLog(c, from, to, tail, eventsMax, bytesMax); err != nil {
			return nil, err
		}
	}
	bytes := 0
	for i, e := range part {
		bytes += len(e.Encoded)
		if i >= eventsMax || bytes > bytesMax && i > 0 {
			return part[:i], nil
		}
	}
	return part, nil
}

// readLog reads a part of the log that the tail does not hold. If it is the end of the log, it becomes the tail.
func (p *Partition) readLog(
	c record.Conversation, from, to tidemark.Seq, tail []*LogEntry, eventsMax, bytesMax int,
) ([]*LogEntry, error) {
	since := p.applied()
	head, err := p.head(c)
	if err != nil || head == nil {
		return nil, err
	}
	end := head.Seq // where the part to keep ends
	if len(tail) > 0 {
		end = tail[0].Seq - 1
	}
	if end >= from && int(head.Seq-from) < p.cache.TailEvents {
		low := head.Floor + 1
		if keep := tidemark.Seq(p.cache.TailEvents); head.Seq > keep {
			low = max(low, head.Seq-keep+1)
		}
		part, err := p.encodeLog(c, min(low, from), end, p.cache.TailEvents, p.cache.TailBytes/8)
		if err != nil {
			return nil, err
		}
		if whole := p.keepTail(c, part, tail, end, since); whole != nil {
			if part, ok := cut(whole, from, to); ok {
				return part, nil
			}
		}
	}
	return p.encodeLog(c, from, to, eventsMax, bytesMax)
}

// keepTail puts a part in front of the tail it was read for, and answers the new tail; nil if it does not fit any more.
func (p *Partition) keepTail(
	c record.Conversation, part, tail []*LogEntry, end tidemark.Seq, since tidemark.Position,
) []*LogEntry {
	if len(part) == 0 || part[len(part)-1].Seq != end {
		return nil
	}
	whole := append(slices.Clip(part), tail...)
	p.mu.Lock()
	defer p.mu.Unlock()
	now, _ := p.mem.tails.get(c)
	if p.unchanged(since) && len(now) == len(tail) && (len(tail) == 0 || now[0] == tail[0]) {
		p.mem.tails.put(c, whole, tailCost(whole))
	}
	return whole
}

func tailCost(tail []*LogEntry) int {
	cost := 0
	for _, e := range tail {
		cost += entryCost + len(e.Encoded)
	}
	return cost
}

// encodeLog reads from..to from the store.
func (p *Partition) encodeLog(c record.Conversation, from, to tidemark.Seq, eventsMax, bytesMax int) ([]*LogEntry, error) {
	events, err := p.Events(c, from, to, eventsMax, bytesMax, false)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	forms, err := p.Currents(c, events[0].Seq, events[len(events)-1].Seq)
	if err != nil {
		return nil, err
	}
	entries := make([]*LogEntry, len(events))
	for i, e := range events {
		entries[i] = newLogEntry(e, forms[e.Seq])
	}
	return entries, nil
}

// extendTail adds events that were just applied. The loop calls it before the events are published.
func (p *Partition) extendTail(c record.Conversation, entries []*LogEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tail, _ := p.mem.tails.get(c)
	for len(entries) > 0 && len(tail) > 0 && entries[0].Seq <= tail[len(tail)-1].Seq {
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return
	}
	if len(tail) > 0 && tail[len(tail)-1].Seq+1 != entries[0].Seq {
		tail = nil
	}
	// Elements past the length that a reader holds may be written; elements before it never are.
	if keep := p.cache.TailEvents; len(tail)+len(entries) > 2*keep {
		whole := append(make([]*LogEntry, 0, 2*keep+len(entries)), tail...)
		whole = append(whole, entries...)
		tail = slices.Clone(whole[len(whole)-min(len(whole), keep):])
		tail = slices.Grow(tail, 2*keep-len(tail))
	} else {
		tail = append(tail, entries...)
	}
	p.mem.tails.put(c, tail, tailCost(tail))
}

// withhold takes the body out of an event that was recalled or erased, or (cur is nil) edits what is no longer kept. It
// needs the write lock.
func (s *committed) withhold(c record.Conversation, seq tidemark.Seq, cur *record.Current) {
	tail, _ := s.tails.get(c)
	part, ok := cut(tail, seq, seq)
	if !ok {
		return
	}
	tail = slices.Clone(tail)
	tail[seq-tail[0].Seq] = withheld(part[0], cur)
	s.tails.put(c, tail, tailCost(tail))
}

// withheld is an entry without its body; see [committed.withhold].
func withheld(old *LogEntry, cur *record.Current) *LogEntry {
	w := old.decode()
	withholdBody(w, cur)
	w.Hidden = w.Recalled == 0 && w.Erased == 0
	entry := *old
	entry.Encoded = encodeEvent(w)
	if cur == nil {
		entry.Edits = 0 // nothing tells any more
	}
	return &entry
}

// inTail is an event's entry if it is in memory.
func (p *Partition) inTail(c record.Conversation, seq tidemark.Seq) *LogEntry {
	p.mu.RLock()
	tail, _ := p.mem.tails.get(c)
	p.mu.RUnlock()
	if part, ok := cut(tail, seq, seq); ok {
		return part[0]
	}
	return nil
}

// SeqAt is the last seq of a conversation whose commit is not past a position; 0 or the floor if none is kept. Positions
// rise along the log, so that halving finds it: in the tail in memory, or in the store.
func (p *Partition) SeqAt(c record.Conversation, position tidemark.Position) (tidemark.Seq, error) {
	head, err := p.head(c)
	if err != nil || head == nil {
		return 0, err
	}
	if head.Position <= position {
		return head.Seq, nil
	}
	p.mu.RLock()
	tail, _ := p.mem.tails.get(c)
	p.mu.RUnlock()
	high := head.Seq // its position is past
	if n := len(tail); n > 0 {
		i, _ := slices.BinarySearchFunc(tail, position, func(e *LogEntry, position tidemark.Position) int {
			return cmp.Compare(e.Position, position+1)
		})
		if i > 0 {
			return tail[i-1].Seq, nil
		}
		high = min(high, tail[0].Seq)
	}
	return p.searchSeqAt(c, position, head.Floor, high)
}

// searchSeqAt finds the last seq in low..high-1 that is not past the position, where low is not and high is. It goes
// back from high in growing steps first, because what is looked for is mostly near.
func (p *Partition) searchSeqAt(
	c record.Conversation, position tidemark.Position, low, high tidemark.Seq,
) (tidemark.Seq, error) {
	step := tidemark.Seq(1) // 0: halving
	for high-low > 1 {
		at := low + (high-low)/2
		if step > 0 && high-at > step {
			at = high - step
			step *= 2
		}
		e, err := p.event(c, at)
		if err != nil {
			return 0, err
		}
		if e == nil { // trimmed meanwhile?
			head, err := p.head(c)
			if err != nil || head == nil || head.Floor < at {
				return 0, errors.Join(fmt.Errorf("partition: event %d of %d is missing", at, c), err)
			}
			low, high, step = head.Floor, max(high, head.Floor+1), 0
			continue
		}
		if e.Position <= position {
			low, step = at, 0
		} else {
			high = at
		}
	}
	return low, nil
}
