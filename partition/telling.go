// SPDX-License-Identifier: Apache-2.0

// Telling authors what became of their messages. In a small conversation the author hears of each reader; in a large one,
// at most once a second, how many have the author's last message: a read mark there costs a note and no more, whoever
// listens.

package partition

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Bounds of telling counts in large conversations.
const (
	countsDelayMs = 1000 // between two signals of counts in one conversation
	countsAtOnce  = 256  // conversations told in one step
	countsWaiting = 4096 // conversations that wait to be told; of more, nobody hears now
	wishesMax     = 64   // conversations that wait for their marks to be brought into memory, on a node
	wishesRest    = 9    // bringing them rests so many times as long as it has worked
)

// moved is how far marks have moved in a conversation. The zero value is nowhere.
type moved struct {
	readFrom, readTo   tidemark.Seq      // read marks, over the events readFrom < seq <= readTo
	ackedFrom, ackedTo tidemark.Position // devices, over the commits ackedFrom < position <= ackedTo
}

// over reports whether a mark moved over an event.
func (m *moved) over(e *LogEntry) bool {
	return m.readFrom < e.Seq && e.Seq <= m.readTo || m.ackedFrom < e.Position && e.Position <= m.ackedTo
}

// and is both moves, and what lies between them.
func (m moved) and(n moved) moved {
	if m.readTo == 0 || n.readTo > 0 && n.readFrom < m.readFrom {
		m.readFrom = n.readFrom
	}
	if m.ackedTo == 0 || n.ackedTo > 0 && n.ackedFrom < m.ackedFrom {
		m.ackedFrom = n.ackedFrom
	}
	m.readTo, m.ackedTo = max(m.readTo, n.readTo), max(m.ackedTo, n.ackedTo)
	return m
}

// telling is the large conversations whose authors are to be told.
type telling struct {
	mu      sync.Mutex
	moves   map[record.Conversation]moved // guarded by mu; at most countsWaiting
	sinceMs uint64                        // guarded by mu; when moves was last empty
}

// note makes a conversation wait to be told, and answers whether it is the first.
func (t *telling) note(c record.Conversation, m moved, nowMs uint64) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.moves == nil {
		t.moves = make(map[record.Conversation]moved)
	}
	first = len(t.moves) == 0
	if first {
		t.sinceMs = nowMs
	}
	before, waits := t.moves[c]
	if waits || len(t.moves) < countsWaiting {
		t.moves[c] = before.and(m)
	}
	return first
}

// due is when some must be told.
func (t *telling) due() (ms uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sinceMs + countsDelayMs, len(t.moves) > 0
}

// take takes some that have waited long enough.
func (t *telling) take(nowMs uint64) map[record.Conversation]moved {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.moves) == 0 || nowMs < t.sinceMs+countsDelayMs {
		return nil
	}
	if len(t.moves) <= countsAtOnce {
		all := t.moves
		t.moves = nil
		return all
	}
	some := make(map[record.Conversation]moved, countsAtOnce)
	for c, m := range t.moves {
		if len(some) == countsAtOnce {
			break
		}
		some[c] = m
		delete(t.moves, c)
	}
	return some
}

// tellReceipts tells the authors of what members have just read. In a small conversation a member's own message says that
// they have read what was before it; that needs no receipt.
func (p *Partition) tellReceipts(nowMs uint64) {
	if p.online.count() == 0 {
		return
	}
	for i := range p.overlay.members.rows {
		r := &p.overlay.members.rows[i]
		old, now := r.base.Member, r.now
		if !r.changed || !now.Active() || old == nil || old.JoinedSeq != now.JoinedSeq || now.ReadSeq <= old.ReadSeq {
			continue
		}
		head, err := p.head(r.key.c)
		if err != nil || head == nil {
			continue
		}
		m := moved{readFrom: old.ReadSeq, readTo: now.ReadSeq}
		if head.Members > receiptMembersMax {
			p.telling.note(r.key.c, m, nowMs)
			continue
		}
		if !now.loud {
			continue
		}
		reader, err := p.UserID(r.key.u)
		if err != nil {
			continue
		}
		p.tellAuthors(r.key.c, reader, &m, &wire.ReceiptSignal{User: string(reader), ReadSeq: uint64(now.ReadSeq)})
	}
}

// tellDelivered tells the authors that a user's device has come from one position to another. It looks at no more than is
// in memory: what is not, nobody has used for a while.
func (p *Partition) tellDelivered(user tidemark.UserID, from, to tidemark.Position, nowMs uint64) {
	if p.online.count() < 2 {
		return
	}
	rows, err := p.Changed(user, from)
	if err != nil {
		return
	}
	m, told := moved{ackedFrom: from, ackedTo: to}, 0
	for _, row := range rows {
		head, tail := p.hotLog(row.Conversation)
		switch {
		case head == nil || head.Position <= from:
		case head.Members > receiptMembersMax:
			if p.telling.note(row.Conversation, m, nowMs) {
				p.queue.poke()
			}
		case told < deliveredAtOnceMax:
			if high := lastAt(head, tail, from, to); high > 0 && p.isMember(row.Conversation, user) {
				told++
				p.tellAuthors(row.Conversation, user, &m, &wire.ReceiptSignal{User: string(user), DeliveredSeq: uint64(high)})
			}
		}
	}
}

// isMember reports whether a user is a member now: of who is not, nothing is told.
func (p *Partition) isMember(c record.Conversation, user tidemark.UserID) bool {
	m, err := p.Member(c, user)
	return err == nil && m.Active()
}

// hotLog is a conversation's head and tail, as far as they are in memory.
func (p *Partition) hotLog(c record.Conversation) (*record.Head, []*LogEntry) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	h, ok := p.mem.hot.get(c)
	if !ok {
		return nil, nil
	}
	tail, _ := p.mem.tails.get(c)
	return h.head, tail
}

// lastAt is the last event with from < position <= to; 0 if there is none, or memory does not tell.
func lastAt(head *record.Head, tail []*LogEntry, from, to tidemark.Position) tidemark.Seq {
	if head.Position <= to {
		return head.Seq
	}
	for _, e := range slices.Backward(tail) {
		if e.Position <= to {
			if e.Position > from {
				return e.Seq
			}
			break
		}
	}
	return 0
}

// tellAuthors sends a receipt to the online authors, as far as they are members, of the events in the tail that a mark
// moved over; in a direct conversation to the peer, unless one of the two has blocked the other.
func (p *Partition) tellAuthors(c record.Conversation, but tidemark.UserID, m *moved, receipt *wire.ReceiptSignal) {
	info, err := p.InfoOf(c)
	if err != nil || info == nil {
		return
	}
	receipt.Conversation = string(info.ID)
	sig := &wire.Signal{Signal: &wire.Signal_Receipt{Receipt: receipt}}
	var told []record.User
	_, tail := p.hotLog(c)
	for _, e := range slices.Backward(tail) {
		if info.Kind == record.Channel && e.Kind != record.MessageBody {
			continue // who joined or reacted does not hear who reads
		}
		if m.over(e) && e.SenderID != but && !slices.Contains(told, e.Sender) {
			told = append(told, e.Sender)
		}
	}
	if peer, ok := info.ID.Peer(but); ok {
		if reader, err := p.Member(c, but); err != nil || reader == nil || reader.Blocked {
			return
		}
		if u, ok, err := p.User(peer); err == nil && ok && len(told) == 0 {
			told = append(told, u)
		}
	}
	for _, u := range told {
		if a := p.listening(c, u, info.Kind); a != nil {
			p.signalTo(a, sig)
		}
	}
}

// listening is an author who is online and to be told; nil if not: an author may have left, or have blocked the peer.
func (p *Partition) listening(c record.Conversation, u record.User, kind record.Kind) *audience {
	p.online.mu.RLock()
	a := p.online.audiences[u]
	p.online.mu.RUnlock()
	if a == nil {
		return nil
	}
	m, err := p.member(c, u)
	if err != nil || !m.Active() || kind == record.Direct && m.Blocked {
		return nil
	}
	return a
}

// tellCounts tells the authors in large conversations how many have their last message, where marks have moved over it.
// The loop calls it; it answers whether there was anything to do.
func (p *Partition) tellCounts(nowMs uint64) (did bool) {
	moves := p.telling.take(nowMs)
	for _, c := range slices.Sorted(maps.Keys(moves)) {
		p.tellCountsOf(c, moves[c])
	}
	return len(moves) > 0
}

func (p *Partition) tellCountsOf(c record.Conversation, m moved) {
	info, err := p.InfoOf(c)
	if err != nil || info == nil {
		return
	}
	_, tail := p.hotLog(c)
	var seen []record.User
	var authors []*audience
	var last []message
	for _, e := range slices.Backward(tail) {
		if e.Kind != record.MessageBody || slices.Contains(seen, e.Sender) {
			continue
		}
		seen = append(seen, e.Sender)
		if !m.over(e) {
			continue
		}
		if a := p.listening(c, e.Sender, info.Kind); a != nil {
			authors, last = append(authors, a), append(last, message{e.Seq, e.Position, e.Sender})
		}
	}
	if len(authors) == 0 {
		return
	}
	counts := make([]ReceiptCounts, len(last))
	p.ordered.mu.RLock()
	r, ready := p.ordered.ready.get(c)
	for i := range last {
		if ready {
			counts[i] = r.counts(last[i])
		}
	}
	p.ordered.mu.RUnlock()
	if !ready {
		p.set.wish(wish{p, c, m})
		return
	}
	for i, a := range authors {
		p.signalTo(a, &wire.Signal{Signal: &wire.Signal_Receipt{Receipt: &wire.ReceiptSignal{
			Conversation: string(info.ID), Seq: uint64(last[i].seq), ReadCount: counts[i].Read, DeliveredCount: counts[i].Delivered,
		}}})
	}
}

// wish is a conversation whose marks are to be brought into memory, and what is then to be told.
type wish struct {
	p *Partition
	c record.Conversation
	m moved
}

// wish asks for it. Where too many wait, nobody is told now; the next mark that moves asks again.
func (s *Set) wish(w wish) {
	select {
	case s.wishes <- w:
	default:
	}
}

// fulfil brings the marks of a conversation into memory and lets its authors be told.
func (s *Set) fulfil(w wish) {
	if err := w.p.withReaders(w.c, func(*readers) {}); err != nil {
		w.p.log.Error("members cannot be read", "conversation", w.c, "err", err)
		return
	}
	if w.p.telling.note(w.c, w.m, s.nowMs()) {
		w.p.queue.poke()
	}
}

// fulfilAll fulfils wishes until the context ends. It rests between them, so that it never takes more than a tenth of a
// processor: conversations that come and go in memory must not take it from those who write.
func (s *Set) fulfilAll(ctx context.Context) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		select {
		case <-ctx.Done():
			return
		case w := <-s.wishes:
			began := time.Now()
			s.fulfil(w)
			rest.Reset(wishesRest * time.Since(began))
		}
	}
}

// Fulfil carries out, for a simulator that calls Step, one thing that Run does beside the partitions' loops: bringing
// into memory what a signal needs. It answers whether there was anything to do.
func (s *Set) Fulfil() (did bool) {
	select {
	case w := <-s.wishes:
		s.fulfil(w)
		return true
	default:
		return false
	}
}
