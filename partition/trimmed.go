// SPDX-License-Identifier: Apache-2.0

// What a trim that is in flight removes, for readers: until its commit is known to be durable it is all there. The trim
// has read events, current forms and hours, so the batch has them; for the rows that go unread there is a snapshot.

package partition

import (
	"cmp"
	"errors"
	"slices"
	"sync/atomic"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// trimming is up to which seq the batch trims a conversation; 0: it does not.
func (o *overlay) trimming(c record.Conversation) (to tidemark.Seq) {
	for _, t := range o.trims {
		if t.Conversation == c {
			to = max(to, t.To)
		}
	}
	return to
}

// withTrimmed adds the trimmed events from..to to those read from the store, within the same limits.
func (o *overlay) withTrimmed(
	c record.Conversation, events []*record.Event, from, to tidemark.Seq, limit, bytesMax int, descending bool,
) []*record.Event {
	last := o.trimming(c)
	if last < from {
		return events
	}
	have := make(map[tidemark.Seq]bool, len(events))
	for _, e := range events {
		have[e.Seq] = true
	}
	for i := range o.events.rows {
		r := &o.events.rows[i]
		if k := r.key; k.c == c && k.seq >= from && k.seq <= min(to, last) && r.base.Event != nil && !have[k.seq] {
			events = append(events, r.base.Event)
		}
	}
	slices.SortFunc(events, func(a, b *record.Event) int {
		if descending {
			a, b = b, a
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
	bytes := 0
	for i, e := range events {
		bytes += len(e.Body)
		if i >= limit || bytesMax > 0 && bytes > bytesMax && i > 0 {
			return events[:i]
		}
	}
	return events
}

// withTrimmedForms adds the current forms of trimmed events.
func (o *overlay) withTrimmedForms(
	c record.Conversation, forms map[tidemark.Seq]*record.Current, from, to tidemark.Seq,
) map[tidemark.Seq]*record.Current {
	last := o.trimming(c)
	if last < from {
		return forms
	}
	for i := range o.currents.rows {
		r := &o.currents.rows[i]
		if k := r.key; k.c == c && k.seq >= from && k.seq <= min(to, last) && r.base != nil {
			if forms == nil {
				forms = make(map[tidemark.Seq]*record.Current)
			}
			forms[k.seq] = r.base
		}
	}
	return forms
}

// trimmedRecalls are the trimmed events that counted and were recalled, ascending.
func (o *overlay) trimmedRecalls(c record.Conversation) (seqs []tidemark.Seq) {
	last := o.trimming(c)
	for i := range o.currents.rows {
		r := &o.currents.rows[i]
		if r.key.c != c || r.key.seq > last || !r.base.IsWithheld() {
			continue
		}
		if e := o.events.find(seqKey{c, r.key.seq}); e != nil && e.base.Event != nil && e.base.IsCounted {
			seqs = append(seqs, r.key.seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

// hoursGoing are the rows of the hour index that the batch in flight takes out, ascending.
func (p *Partition) hoursGoing(c record.Conversation) (rows []record.Hour) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	flight := p.mem.flight
	if flight == nil || flight.trimming(c) == 0 {
		return nil
	}
	for i := range flight.hours.rows {
		if r := &flight.hours.rows[i]; r.key.c == c && r.base.there && !r.now.there {
			rows = append(rows, r.base.Hour)
		}
	}
	slices.SortFunc(rows, func(a, b record.Hour) int { return cmp.Compare(a.Hour, b.Hour) })
	return rows
}

// lastHourGoing is the last of them that is not later than an hour.
func (p *Partition) lastHourGoing(c record.Conversation, atOrBefore uint32) (record.Hour, bool, error) {
	for _, h := range slices.Backward(p.hoursGoing(c)) {
		if h.Hour <= atOrBefore {
			return h, true, nil
		}
	}
	return record.Hour{}, false, nil
}

// untrimmed is the store as it was before a batch that trims: for the rows that go in ranges, without having been read. The
// last who uses it closes it.
type untrimmed struct {
	*store.Snapshot
	users atomic.Int32
}

func (u *untrimmed) release() {
	if u != nil && u.users.Add(-1) == 0 {
		u.Close()
	}
}

// keepUntrimmed takes the snapshot that readers need while the batch is in flight.
func (p *Partition) keepUntrimmed() {
	if len(p.overlay.trims) > 0 {
		p.overlay.before = &untrimmed{Snapshot: p.set.db.Snapshot(p.number)}
		p.overlay.before.users.Store(1)
	}
}

// land ends the flight of the batch: what is in the store is what is committed, or the partition ends.
func (p *Partition) land() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mem.land()
}

func (s *committed) land() {
	if s.flight != nil {
		s.flight.before.release()
		s.flight.before = nil
	}
	s.flight = nil
}

// untrimmed is the store before the batch in flight, if that trims a conversation; the caller releases it.
func (p *Partition) untrimmed(c record.Conversation) *untrimmed {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f := p.mem.flight
	if f == nil || f.before == nil || f.trimming(c) == 0 {
		return nil
	}
	f.before.users.Add(1)
	return f.before
}

// readWhole reads rows of a conversation that a trim takes out in a range. read may be called twice: a trim may have begun
// while it read.
func readWhole[T any](p *Partition, c record.Conversation, read func(*store.Partition) (T, error)) (T, error) {
	v, err := read(p.db)
	if before := p.untrimmed(c); before != nil {
		defer before.release()
		return read(before.Partition)
	}
	return v, err
}

// Gone reports whether an error says that an event is not kept (UNKNOWN_EVENT).
func Gone(err error) bool {
	refused := (*tidemark.Error)(nil)
	return errors.As(err, &refused) && refused.Reason == tidemark.UnknownEvent
}
