// SPDX-License-Identifier: Apache-2.0

// Taking in events: chained to what is stored, compared with the server's digests, then stored with all that they change.

package replica

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
)

// verdict is what came of a run of events.
type verdict uint8

const (
	taken      verdict = iota // stored, as far as the run had no hole
	unusable                  // makes no sense, or nothing to chain it to: ask for it again
	contradict                // disagrees with what is stored, or with a digest of the server: a doubt is open
)

// run is a run of events that the server gave, ascending, and what it says the chain was before them. Own events may be
// missing in it: the connection that sent them gets their answer instead. A run without events stands for one own event.
type run struct {
	prev       tidemark.Seq // the seq before the first
	prevDigest []byte       // of 32 bytes; other lengths: not told
	events     []*entry
}

// digestAt is the chain value at a seq, if it is known: stored, or the boundary of what is stored.
func (s *step) digestAt(c *Conversation, seq tidemark.Seq) (tidemark.Digest, bool) {
	if seq == 0 {
		return chain.Start(c.ID), true
	}
	i, found := c.segmentOf(seq)
	switch {
	case found && c.Segments[i].To == seq:
		return c.Segments[i].Last, true
	case found:
		if n := s.entry(c.ID, seq); n != nil {
			return n.digest, true
		}
	case i < len(c.Segments) && c.Segments[i].From == seq+1:
		return c.Segments[i].Prev, true
	}
	return tidemark.Digest{}, false
}

// absorb takes in a run. Nothing of it is stored unless all of it agrees with what is known.
func (s *step) absorb(c *Conversation, in run) verdict {
	digest, known := s.digestAt(c, in.prev)
	if given, ok := toDigest(in.prevDigest); ok {
		if known && given != digest {
			return s.doubt(c, in.prev)
		}
		digest, known = given, true
	}
	if !known {
		return unusable
	}
	w := walk{step: s, c: c, seg: Segment{From: in.prev + 1, To: in.prev, Prev: digest, Last: digest}}
	if len(in.events) == 0 {
		w.local()
	}
	for _, n := range in.events {
		if n.seq <= w.seg.To {
			return unusable // not ascending
		}
		for w.verdict == taken && w.seg.To+1 < n.seq && w.local() {
		}
		if w.verdict == taken && w.seg.To+1 == n.seq {
			w.next(n)
		}
		if w.verdict != taken {
			return w.verdict
		}
		if w.seg.To != n.seq {
			break // a hole: what follows cannot be chained
		}
	}
	return w.store()
}

// walk goes along the chain, event by event.
type walk struct {
	*step
	c       *Conversation
	seg     Segment // walked so far; empty when To < From
	fresh   []*entry
	merged  []*entry // stored before, with what the server says of them now
	verdict verdict
}

// next walks over an event that the server gave.
func (w *walk) next(n *entry) {
	digest := chain.Next(w.seg.Last, n.link())
	if w.c.holds(n.seq) {
		stored := w.entry(w.c.ID, n.seq)
		if stored == nil || stored.digest != digest {
			w.verdict = w.doubt(w.c, n.seq)
			return
		}
		stored = stored.clone()
		empty := stored.body == nil
		stored.merge(n)
		if target, _, ok := stored.target(); ok && empty && stored.kind == KindEdit {
			w.c.doubtForm(target) // whose form may have later events in it, and this one not
		}
		n = stored
		w.merged = append(w.merged, n)
	} else {
		n.digest = digest
		w.fresh = append(w.fresh, n)
	}
	w.advance(n.seq, digest)
}

// local walks over an event that the server left out: one that is stored already, or an own one that it answered.
func (w *walk) local() bool {
	seq := w.seg.To + 1
	if w.c.holds(seq) {
		stored := w.entry(w.c.ID, seq)
		if stored == nil || chain.Next(w.seg.Last, stored.link()) != stored.digest {
			w.verdict = w.doubt(w.c, seq)
			return false
		}
		w.advance(seq, stored.digest)
		return w.verdict == taken
	}
	o := w.r.outbox.answered(w.c.ID, seq)
	if o == nil {
		return false
	}
	n := o.entry(w.r.meta.user)
	if n.digest = chain.Next(w.seg.Last, n.link()); n.digest != o.answer.digest {
		return false // not what the server stored, or not where: the event itself will tell
	}
	w.fresh = append(w.fresh, n)
	w.advance(seq, n.digest)
	return w.verdict == taken
}

func (w *walk) advance(seq tidemark.Seq, digest tidemark.Digest) {
	w.seg.To, w.seg.Last = seq, digest
	if seq == w.c.DigestSeq && digest != w.c.HeadDigest {
		w.verdict = w.doubt(w.c, 0)
	}
}

// store keeps what was walked, if it also agrees with what is stored above it.
func (w *walk) store() verdict {
	if w.seg.To < w.seg.From {
		return taken
	}
	if i, found := w.c.segmentOf(w.seg.To + 1); found && !w.c.holds(w.seg.To) && w.c.Segments[i].Prev != w.seg.Last {
		return w.doubt(w.c, 0)
	}
	w.c.insert(w.seg)
	for _, n := range w.fresh {
		if w.c.hides(n.seq) {
			n.hide()
		}
		w.save(w.c.ID, n)
	}
	for _, n := range w.merged {
		w.save(w.c.ID, n)
	}
	w.applyOps(w.c, slices.Concat(w.fresh, w.merged))
	for _, n := range w.fresh {
		if o := w.settle(w.c.ID, n); o != nil {
			w.ownRead(w.c, o, n.seq)
		}
	}
	w.trim(w.c)
	return w.checkHead(w.c)
}

// absorbAnswered takes in the own events that the server answered, as far as the chain has come to them.
func (s *step) absorbAnswered(c *Conversation) {
	for _, seq := range s.r.outbox.answeredSeqs(c.ID) {
		if seq <= c.bottom() { // cleared, or no longer kept: it has no place here
			s.forget(s.r.outbox.answered(c.ID, seq))
			continue
		}
		if _, known := s.digestAt(c, seq-1); !known || c.Doubt.Open {
			continue
		}
		if !c.holds(seq) {
			s.absorb(c, run{prev: seq - 1})
		}
		if target, _, ok := s.targetOf(c.ID, seq); ok && target < tidemark.Seq(c.Self.GetVisibleFrom()) {
			s.hideEdits(c, tidemark.Seq(c.Self.GetVisibleFrom())) // what it edits was cleared meanwhile
		}
		if o := s.r.outbox.answered(c.ID, seq); o != nil && !s.belied(c, o) {
			s.disbelieve(o) // something else is stored there, or was sent: the event itself will tell
		}
	}
}

// targetOf is what the stored event of a seq does to which message; false: nothing, or it is not stored.
func (s *step) targetOf(in tidemark.ConversationID, seq tidemark.Seq) (target tidemark.Seq, o op, ok bool) {
	if c := s.r.conversations[in]; c == nil || !c.holds(seq) {
		return 0, op{}, false
	}
	if n := s.entry(in, seq); n != nil {
		return n.target()
	}
	return 0, op{}, false
}

// checkHead compares what is stored with what the server says of its head.
func (s *step) checkHead(c *Conversation) verdict {
	if c.DigestSeq > 0 && !c.Doubt.Open {
		if digest, known := s.digestAt(c, c.DigestSeq); known && digest != c.HeadDigest {
			return s.doubt(c, c.DigestSeq)
		}
	}
	return taken
}

// applyOps brings the forms of messages up to date after entries were stored: what the entries do to others, and what
// stored events do to them.
func (s *step) applyOps(c *Conversation, entries []*entry) {
	targets := map[tidemark.Seq]bool{}
	lowest := tidemark.Seq(0) // events above it may not be in the form of some entry
	for _, n := range entries {
		if seq, o, ok := n.target(); ok {
			s.applyOp(c, seq, o, targets)
		}
		if n.kind == KindMessage && (lowest == 0 || n.asOf < lowest) {
			lowest = n.asOf
		}
	}
	if lowest > 0 {
		s.applyStored(c, lowest, entries, targets)
	}
	for _, n := range entries {
		if n.kind == KindMessage && n.withheld() {
			targets[n.seq] = true
		}
	}
	for _, seq := range sortedKeys(targets) {
		n := s.entry(c.ID, seq).clone()
		if i, found := c.segmentOf(n.asOf + 1); found && !n.fold(c.Segments[i].To, s.r.meta.user) {
			c.doubtForm(seq)
		}
		if n.withheld() {
			s.dropEdits(c, n)
		}
		s.save(c.ID, n)
	}
}

// applyStored applies the stored events above a seq to the given entries.
func (s *step) applyStored(c *Conversation, above tidemark.Seq, entries []*entry, targets map[tidemark.Seq]bool) {
	if above >= c.Tail() {
		return
	}
	fresh := make(map[tidemark.Seq]bool, len(entries))
	for _, n := range entries {
		fresh[n.seq] = true
	}
	for _, seg := range c.Segments {
		for at := max(seg.From, above+1); at <= seg.To; at++ {
			if fresh[at] {
				continue // applied as one of the entries
			}
			n := s.entry(c.ID, at)
			if n == nil {
				return
			}
			if seq, o, ok := n.target(); ok && fresh[seq] {
				s.applyOp(c, seq, o, targets)
			}
		}
	}
}

// applyOp puts an op on its target, if that is stored.
func (s *step) applyOp(c *Conversation, target tidemark.Seq, o op, targets map[tidemark.Seq]bool) {
	if !c.holds(target) {
		if o.kind == KindRecall || o.kind == KindErased { // its edits may be here
			form := entry{seq: target}
			form.apply(o, s.r.meta.user)
			s.dropEdits(c, &form)
			s.doubtThreads(c, target, o.seq)
		}
		return
	}
	n := s.entry(c.ID, target)
	if n == nil {
		return
	}
	if o.kind == KindRecall || o.kind == KindErased {
		switch root := n.answers(); {
		case root > 0 && c.holds(root):
			c.doubtForm(root) // one answer less, unless it was taken back before
		case n.withheld():
			s.doubtThreads(c, target, o.seq)
		}
	}
	n = n.clone()
	if o.kind == KindRecall || o.kind == KindErased {
		n.hidden = n.hidden && c.hides(target) // else it came without content because of this
	}
	if n.add(o) || o.kind == KindEdit && n.withheld() {
		put(&s.entries, place{c.ID, target}, n)
		targets[target] = true
	}
}

// doubtThreads doubts the numbers of answers in which a message may be counted that was then taken back: in which thread it
// was, nobody can tell here.
func (s *step) doubtThreads(c *Conversation, answer, recall tidemark.Seq) {
	for _, seg := range c.Segments {
		for seq := seg.From; seq <= seg.To && seq < answer; seq++ {
			n := s.entry(c.ID, seq)
			if n == nil {
				return
			}
			counted := n.asOf >= answer && n.asOf < recall && n.threads.count > 0
			if counted || slices.ContainsFunc(n.ops, func(o op) bool { return o.kind == KindMessage && o.seq == answer }) {
				c.doubtForm(seq)
			}
		}
	}
}

// dropEdits forgets the contents that stored edits gave to a message which was taken back: they came between the two.
func (s *step) dropEdits(c *Conversation, of *entry) {
	shown := of.message(c.ID, s.r.meta.user)
	end := firstOf(shown.RecallSeq, shown.EraseSeq)
	if of.hidden {
		end = c.Tail() + 1
	}
	for _, seg := range c.Segments {
		for seq := max(seg.From, of.seq+1); seq <= seg.To && seq < end; seq++ {
			n := s.entry(c.ID, seq)
			if n == nil {
				return
			}
			target, _, ok := n.target()
			if ok && target == of.seq && n.kind == KindEdit {
				n = n.clone()
				n.dropContent()
				n.recallSeq, n.eraseSeq, n.hidden = shown.RecallSeq, shown.EraseSeq, of.hidden
				s.save(c.ID, n)
			}
		}
	}
}

// trim drops the oldest events beyond what is to be kept, some at a time.
func (s *step) trim(c *Conversation) {
	keep := s.r.cfg.Keep
	if stored := c.count(); keep == 0 || stored <= keep+keep/4 {
		return
	}
	for excess := c.count() - keep; excess > 0; excess-- {
		if !s.dropOldest(c) {
			return
		}
	}
	if len(c.Segments) > 0 {
		c.unsure = slices.DeleteFunc(c.unsure, func(seq tidemark.Seq) bool { return seq < c.Segments[0].From })
	}
}

// dropOldest drops the oldest stored event, of which there must be one; false: it cannot be read.
func (s *step) dropOldest(c *Conversation) bool {
	seg := &c.Segments[0]
	n := s.entry(c.ID, seg.From)
	if n == nil {
		return false
	}
	s.r.tasks.astray(c.ID)
	put(&s.entries, place{c.ID, seg.From}, (*entry)(nil))
	seg.From, seg.Prev = seg.From+1, n.digest
	if seg.From > seg.To {
		c.Segments = c.Segments[1:]
	}
	return true
}

// toDigest is the digest in a field; ok is false when the field holds none.
func toDigest(field []byte) (d tidemark.Digest, ok bool) {
	return d, copy(d[:], field) == len(d) && len(field) == len(d)
}
