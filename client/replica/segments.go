// SPDX-License-Identifier: Apache-2.0

// Which events of a conversation are stored: runs without holes, and the gaps between them.

package replica

import (
	"cmp"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
)

// clone is a copy that may be changed. Info and Self are replaced, never changed, and so are shared.
func (c *Conversation) clone() *Conversation {
	d := *c
	d.Segments, d.unsure, d.seals = slices.Clone(c.Segments), slices.Clone(c.unsure), slices.Clone(c.seals)
	return &d
}

// Tail is the last stored seq; 0 when nothing is stored.
func (c *Conversation) Tail() tidemark.Seq {
	if len(c.Segments) == 0 {
		return 0
	}
	return c.Segments[len(c.Segments)-1].To
}

// bottom is the seq below the first event that the server will give this user.
func (c *Conversation) bottom() tidemark.Seq {
	if from := tidemark.Seq(c.Self.GetVisibleFrom()); from > 0 {
		return max(c.Floor, from-1)
	}
	return c.Floor
}

// Gaps are the runs that are visible to the user and not stored, ascending.
func (c *Conversation) Gaps() []Gap {
	if c.Removed {
		return nil
	}
	return c.gapsFrom(c.bottom())
}

// gapsFrom are the gaps above a seq.
func (c *Conversation) gapsFrom(base tidemark.Seq) []Gap {
	var gaps []Gap
	for _, s := range c.Segments {
		if to := min(s.From-1, c.HeadSeq); to > base {
			gaps = append(gaps, Gap{From: base + 1, To: to})
		}
		base = max(base, s.To)
	}
	if c.HeadSeq > base {
		gaps = append(gaps, Gap{From: base + 1, To: c.HeadSeq})
	}
	return gaps
}

// segmentOf is the index of the segment that holds a seq; if none does, where one that holds it would be inserted.
func (c *Conversation) segmentOf(seq tidemark.Seq) (i int, found bool) {
	i, _ = slices.BinarySearchFunc(c.Segments, seq, func(s Segment, seq tidemark.Seq) int { return cmp.Compare(s.To, seq) })
	return i, i < len(c.Segments) && c.Segments[i].From <= seq
}

// holds reports whether the event of a seq is stored.
func (c *Conversation) holds(seq tidemark.Seq) bool {
	_, found := c.segmentOf(seq)
	return found
}

// insert adds a run, which overlaps and touches only segments that agree with it, and joins it with them.
func (c *Conversation) insert(run Segment) {
	lo, _ := slices.BinarySearchFunc(c.Segments, run.From, func(s Segment, from tidemark.Seq) int { return cmp.Compare(s.To+1, from) })
	hi := lo
	for ; hi < len(c.Segments) && c.Segments[hi].From <= run.To+1; hi++ {
		if s := c.Segments[hi]; s.From < run.From {
			run.From, run.Prev = s.From, s.Prev
		}
		if s := c.Segments[hi]; s.To > run.To {
			run.To, run.Last = s.To, s.Last
		}
	}
	c.Segments = slices.Replace(c.Segments, lo, hi, run)
}

// count is how many events are stored.
func (c *Conversation) count() (n uint64) {
	for _, s := range c.Segments {
		n += uint64(s.To - s.From + 1)
	}
	return n
}

// StoredBefore is the part of the page of limit events below a seq that is stored without a gap: From..To, 0..0 if nothing
// is, and whether that is all there is to the page.
func (c *Conversation) StoredBefore(before, limit tidemark.Seq) (from, to tidemark.Seq, whole bool) {
	before = min(before, c.Last()+1)
	lowest := max(before-min(before, limit), c.bottom()+1)
	if before <= c.bottom()+1 {
		return 0, 0, true
	}
	i, found := c.segmentOf(before - 1)
	if !found {
		return 0, 0, false
	}
	from = max(c.Segments[i].From, lowest)
	return from, before - 1, from == lowest
}

// StoredAfter is the part of the page of limit events above a seq that is stored without a gap; see StoredBefore.
func (c *Conversation) StoredAfter(after, limit tidemark.Seq) (from, to tidemark.Seq, whole bool) {
	after = max(after, c.bottom())
	highest := min(after+limit, c.Last())
	if after >= c.Last() {
		return 0, 0, true
	}
	i, found := c.segmentOf(after + 1)
	if !found {
		return 0, 0, false
	}
	to = min(c.Segments[i].To, highest)
	return after + 1, to, to == highest
}

// MoreThan reports whether there is more than From..To in the direction of a page.
func (c *Conversation) MoreThan(from, to tidemark.Seq, page Page) bool {
	if page.After > 0 || page.Start {
		return to > 0 && to < c.Last()
	}
	return from > c.bottom()+1
}
