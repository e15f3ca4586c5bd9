// SPDX-License-Identifier: Apache-2.0

// When the stored history and the server's disagree: the first difference is found by a binary search over digests, what
// follows it is dropped and reported, and fetched again.

package replica

import (
	"slices"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// search compares one segment after the other, from the last to the first: a segment that is not joined to the next says
// nothing about it.
type search struct {
	top     tidemark.Seq // the To of the segment that is being compared
	agree   tidemark.Seq // the greatest seq of it known to agree; From-1: none
	differ  tidemark.Seq // the smallest known to disagree; To+1: none
	kept    []Segment    // what agrees, of segments above, descending
	dropped []Gap        // what does not, descending
	beyond  []Segment    // past the server's head, descending
}

// doubt opens the comparison of a conversation. known is a stored seq at which the two disagree; 0: only a suspicion.
func (s *step) doubt(c *Conversation, known tidemark.Seq) verdict {
	if c.left() {
		return contradict // the server says no more of it
	}
	if !c.holds(known) {
		known = 0
	}
	k := s.r.tasks.of(c.ID)
	k.search = nil // what it found may be of another history
	if c.Doubt.Open {
		c.Doubt.Known = 0
	} else {
		c.Doubt = Doubt{Open: true, Known: known}
		if k.doubts++; k.doubts > 3 && !k.flying { // it comes again and again: not at the server's pace
			k.queued = false
			k.failures = max(k.failures, k.doubts-3)
			s.r.tasks.later(c.ID, s.nowMs, 0)
		}
		s.plan(c)
	}
	return contradict
}

// compare goes on with the comparison: asks for the next digest, or ends it.
func (s *step) compare(c *Conversation, k *task) {
	if k.search == nil {
		k.search = &search{}
		if !s.nextSegment(c, k.search, len(c.Segments)-1) {
			s.compared(c, k)
			return
		}
	}
	q := k.search
	for q.differ-q.agree <= 1 {
		i, _ := c.segmentOf(q.top)
		s.cut(c, q, i)
		if !s.nextSegment(c, q, i-1) {
			s.compared(c, k)
			return
		}
	}
	at := q.agree + (q.differ-q.agree)/2
	if q.differ == q.top+1 {
		at = q.top // nothing speaks against it yet: its end first
	}
	s.fly(k)
	s.fetch(&request{in: c.ID, purpose: forProbe, probe: at, from: Page{After: at, Start: true, Limit: 1}})
}

// nextSegment begins with the segment of an index; false when there is none.
func (s *step) nextSegment(c *Conversation, q *search, i int) bool {
	if i < 0 {
		return false
	}
	seg := c.Segments[i]
	if seg.From > c.HeadSeq+1 || seg.From > c.HeadSeq && c.HeadSeq == 0 { // kept as it is: the server, which was restored, says nothing of it
		q.beyond = append(q.beyond, seg)
		return s.nextSegment(c, q, i-1)
	}
	q.top = min(seg.To, c.HeadSeq)
	q.agree, q.differ = min(seg.From, q.top)-1, q.top+1 // of what begins past the head, the event before it is compared
	if known := c.Doubt.Known; known >= seg.From && known <= seg.To {
		q.differ = known
	}
	if at := c.DigestSeq; at > q.agree && at < q.differ {
		if digest, _ := s.digestAt(c, at); digest == c.HeadDigest {
			q.agree = at
		} else {
			q.differ = at
		}
	}
	return true
}

// probed takes in the digest that was asked for.
func (s *step) probed(r *request, f *wire.Fetched) {
	c, k := s.edit(r.in), s.r.tasks.of(r.in)
	s.pageSummary(c, f)
	q := k.search
	if !c.Doubt.Open || q == nil {
		s.plan(c)
		return
	}
	agrees, answered := s.judge(c, r.probe, f)
	switch {
	case !answered:
		s.r.tasks.later(c.ID, s.nowMs, 0)
		return
	case agrees:
		q.agree = max(q.agree, r.probe)
	default:
		q.differ = min(q.differ, r.probe)
	}
	k.failures = 0
	s.compare(c, k)
}

// judge says whether the server has the stored digest at a seq; answered is false when its page does not tell.
func (s *step) judge(c *Conversation, at tidemark.Seq, f *wire.Fetched) (agrees, answered bool) {
	own, known := s.digestAt(c, at)
	head := tidemark.Seq(f.HeadSeq)
	field := f.PrevDigest
	switch {
	case !known || at > head:
		return false, true
	case at < floorOf(f):
		return true, true // the server has forgotten it: nothing can be said against it
	case at == head:
		field = f.HeadDigest
	case len(f.Events) == 0 || tidemark.Seq(f.Events[0].GetSeq()) != at+1:
		return false, false
	}
	theirs, ok := toDigest(field)
	return theirs == own, ok
}

// cut notes what of a segment stays and what goes.
func (s *step) cut(c *Conversation, q *search, i int) {
	seg := c.Segments[i]
	if seg.From > q.top { // it follows the event that was compared, or another one
		if q.agree == q.top {
			q.beyond = append(q.beyond, seg)
		} else {
			q.dropped = append(q.dropped, Gap{seg.From, seg.To})
		}
		return
	}
	if q.agree == q.top { // past it, if anything, is what the server has lost
		q.kept = append(q.kept, seg)
		return
	}
	if q.agree < seg.To {
		q.dropped = append(q.dropped, Gap{q.agree + 1, seg.To})
	}
	if q.agree >= seg.From {
		seg.To = q.agree
		seg.Last, _ = s.digestAt(c, q.agree)
		q.kept = append(q.kept, seg)
	}
}

// compared ends the comparison: drops what disagrees, reports it, and lets the gap be filled.
func (s *step) compared(c *Conversation, k *task) {
	q := k.search
	k.search, c.Doubt = nil, Doubt{}
	s.list(c)
	if len(q.dropped) > 0 { // nor is what follows of the server's history
		for i, seg := range q.beyond {
			q.dropped = slices.Insert(q.dropped, i, Gap{seg.From, seg.To})
		}
	} else {
		q.kept = append(q.beyond, q.kept...)
	}
	if len(q.dropped) > 0 {
		s.cutOff(c, q)
		s.fallBack(c, q.dropped[0].From-1)
		k.latest = true
	} else {
		s.readAgain(c) // the server may have come further meanwhile
	}
	s.checkHead(c) // the server may have told of more in the meantime
	s.hideDeleted(c)
	s.plan(c)
}

// cutOff removes what disagrees, reports it, and undoes what it did to messages that stay.
func (s *step) cutOff(c *Conversation, q *search) {
	slices.Reverse(q.kept)
	slices.Reverse(q.dropped)
	c.Segments = q.kept
	report := HistoryChanged{Conversation: c.ID, From: q.dropped[0].From, To: q.dropped[len(q.dropped)-1].To}
	for _, g := range q.dropped {
		for seq := g.From; seq <= g.To; seq++ {
			if n := s.entry(c.ID, seq); n != nil {
				report.add(n.message(c.ID, s.r.meta.user), s.r.meta.user)
			}
			put(&s.entries, place{c.ID, seq}, (*entry)(nil))
		}
	}
	s.note(report)
	var again []*entry
	for _, seg := range q.kept {
		for seq := seg.From; seq <= seg.To; seq++ {
			n := s.entry(c.ID, seq)
			if n == nil || !n.touchedBy(q.dropped) {
				continue
			}
			n = n.clone()
			n.asOf, n.editSeq, n.editBody, n.recallSeq, n.eraseSeq, n.pinSeq = seq, 0, nil, 0, 0, 0
			n.reactions, n.ops, n.threads = nil, nil, thread{}
			again = append(again, n)
		}
	}
	s.refresh(c, again)
}

// add adds a dropped event, in the order of seq.
func (h *HistoryChanged) add(m Message, me tidemark.UserID) {
	if h.To-m.Seq < DroppedMax {
		h.Dropped = append(h.Dropped, m)
	}
	if m.Sender == me && m.Content != nil {
		if from := uint64(h.From); m.Content.ReplyTo >= from || m.Content.Thread >= from { // what it refers to is lost as well
			m.Content = proto.CloneOf(m.Content)
			m.Content.ReplyTo, m.Content.Thread = before(m.Content.ReplyTo, from), before(m.Content.Thread, from)
		}
		if h.Own = append(h.Own, m); len(h.Own) > DroppedMax {
			h.Own = h.Own[1:]
			h.OwnEarlier++
		}
	}
}

// before is a seq that is below another; else 0.
func before(seq, below uint64) uint64 {
	if seq < below {
		return seq
	}
	return 0
}

// touchedBy reports whether the form of the entry may reflect events of the gaps.
func (n *entry) touchedBy(gaps []Gap) bool {
	last := n.asOf
	if len(n.ops) > 0 {
		last = n.ops[len(n.ops)-1].seq
	}
	return slices.ContainsFunc(gaps, func(g Gap) bool {
		return last > n.seq && n.seq < g.To && last >= g.From || g.has(n.recallSeq) || g.has(n.eraseSeq) // also of an edit, with its message
	})
}

// has reports whether a seq lies in the gap.
func (g Gap) has(seq tidemark.Seq) bool { return g.From <= seq && seq <= g.To }

// refresh finds the forms of entries anew from the stored events; one whose content is not stored is dropped, to be
// fetched again.
func (s *step) refresh(c *Conversation, again []*entry) {
	whole := again[:0:0]
	for _, n := range again {
		if n.body == nil {
			s.punch(c, n)
			continue
		}
		s.save(c.ID, n)
		whole = append(whole, n)
	}
	s.applyOps(c, whole)
}

// punch drops one stored event, leaving a gap.
func (s *step) punch(c *Conversation, n *entry) {
	i, _ := c.segmentOf(n.seq)
	seg := c.Segments[i]
	before, known := s.digestAt(c, n.seq-1)
	if !known {
		return
	}
	s.r.tasks.astray(c.ID)
	var parts []Segment
	if n.seq > seg.From {
		parts = append(parts, Segment{From: seg.From, To: n.seq - 1, Prev: seg.Prev, Last: before})
	}
	if n.seq < seg.To {
		parts = append(parts, Segment{From: n.seq + 1, To: seg.To, Prev: n.digest, Last: seg.Last})
	}
	c.Segments = slices.Replace(c.Segments, i, i+1, parts...)
	put(&s.entries, place{c.ID, n.seq}, (*entry)(nil))
}
