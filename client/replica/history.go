// SPDX-License-Identifier: Apache-2.0

// Pages of history: asked for by the app, or to fill gaps.

package replica

import (
	"errors"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Errors of [Done] and of the connection.
var (
	// ErrDisconnected: there is no connection, or it broke before the answer.
	ErrDisconnected = errors.New("not connected to the server")
	// ErrDoubt: the conversation's history is being compared with the server's; ask again a little later.
	ErrDoubt = errors.New("the history is being compared with the server's")
	// ErrOtherUser: the store belongs to another user than the token.
	ErrOtherUser = errors.New("the store belongs to another user")
)

// Fetch asks the server for a page. Its answer is a [Done] with the token, in the output of this or of a later step, once
// its events are stored. Of a room the page is in the [Done], and nothing is stored.
func (r *Replica) Fetch(view View, nowMs, token uint64, in tidemark.ConversationID, page Page) (Output, error) {
	s := r.begin(view, nowMs)
	if r.conn.phase < syncing {
		s.out.Done = append(s.out.Done, Done{Token: token, Err: ErrDisconnected})
		return s.end()
	}
	if r.rooms.left(in) {
		s.out.Done = append(s.out.Done, Done{Token: token, Err: notIn(in)})
		return s.end()
	}
	s.fetch(&request{in: in, purpose: forCaller, token: token, from: page})
	return s.end()
}

// fetch sends a request for a page.
func (s *step) fetch(q *request) {
	s.request(q, func(number uint64) *wire.ClientFrame {
		f := &wire.Fetch{Request: number, Conversation: string(q.in), Limit: uint32(max(0, q.from.Limit))}
		switch p := q.from; {
		case p.AtMs > 0:
			f.From = &wire.Fetch_At{At: p.AtMs}
		case p.HourMs > 0:
			f.From = &wire.Fetch_Hour{Hour: p.HourMs}
		case p.Before > 0:
			f.From = &wire.Fetch_Before{Before: uint64(p.Before)}
		case p.Start || p.After > 0:
			f.From = &wire.Fetch_After{After: uint64(p.After)}
		default:
			f.From = &wire.Fetch_Latest{Latest: true}
		}
		if most := s.r.conn.limits.GetPageEventsMax(); most > 0 && f.Limit > most {
			f.Limit = most
		}
		return &wire.ClientFrame{Frame: &wire.ClientFrame_Fetch{Fetch: f}}
	})
}

// fetched takes in a page.
func (s *step) fetched(f *wire.Fetched) {
	if q := s.r.conn.requests[f.GetRequest()]; q == nil || q.outgoing != nil || q.purpose == forPing || string(q.in) != f.GetConversation() {
		return // a stray: of another connection, or of nothing that was asked
	}
	q := s.answer(f.Request)
	switch {
	case q.purpose == forEnter:
		s.entered(q.room, f)
		return
	case q.purpose == forLeave:
		return
	case q.purpose == forCaller && s.r.rooms.has(q.in):
		s.roomHistory(q, f)
		return
	case q.purpose != forCaller:
		s.r.tasks.release(q.in)
	}
	if c := s.r.conversations[q.in]; c == nil && q.purpose != forCaller || c != nil && c.Removed {
		if q.purpose == forCaller {
			s.out.Done = append(s.out.Done, Done{Token: q.token, Err: tidemark.Refuse(tidemark.NotMember, "not a member of %s any more", q.in)})
		}
		return
	}
	if q.purpose == forProbe {
		s.probed(q, f)
		return
	}
	c := s.edit(q.in)
	s.pageSummary(c, f)
	v := s.pageEvents(c, f)
	if v == taken {
		s.absorbAnswered(c)
	}
	if v == taken {
		c.settleForms(f)
	}
	k := s.r.tasks.of(q.in)
	switch nearer := c.holds(q.gap.To) || c.bottom() >= q.gap.To; {
	case q.purpose == forCaller:
		s.out.Done = append(s.out.Done, pageDone(q, f, v))
	case c.Doubt.Open: // to be settled first
	case v == unusable || q.purpose == forGap && !nearer:
		s.r.tasks.later(q.in, s.nowMs, 0) // not again at once
	default:
		k.failures, k.latest = 0, false
	}
	s.plan(c)
}

// floorOf is the seq at and below which nothing is kept, or visible to the user: just before the page's floorSeq.
func floorOf(f *wire.Fetched) tidemark.Seq { return tidemark.Seq(f.FloorSeq - min(f.FloorSeq, 1)) }

// pageSummary takes over what a page says about the conversation as a whole.
func (s *step) pageSummary(c *Conversation, f *wire.Fetched) {
	if floor := floorOf(f); floor > c.Floor && floor <= tidemark.Seq(f.HeadSeq) {
		c.Floor = floor
	}
	head := tidemark.Seq(f.HeadSeq)
	if head < c.HeadSeq || head > seqMax {
		return
	}
	if head > c.HeadSeq {
		s.headAt(c, head)
		s.list(c)
	}
	if n := len(f.Events); n > 0 && f.Events[n-1].GetSeq() == f.HeadSeq {
		c.lastAt(f.Events[n-1].TimeMs) // no delta need follow: it may be an own event
	}
	if digest, ok := toDigest(f.HeadDigest); ok {
		c.HeadDigest, c.DigestSeq = digest, head
		c.keepSeal(head, f.HeadDigest, f.HeadSeal)
	}
}

// pageEvents takes in the events of a page.
func (s *step) pageEvents(c *Conversation, f *wire.Fetched) verdict {
	if c.Doubt.Open {
		return unusable
	}
	if v := s.checkHead(c); v != taken || len(f.Events) == 0 {
		return v
	}
	in := run{prev: tidemark.Seq(f.Events[0].GetSeq()) - 1, prevDigest: f.PrevDigest}
	for i, ev := range f.Events {
		n, err := entryOf(ev, tidemark.Seq(f.HeadSeq), s.r.meta.user)
		if err != nil || n.seq != in.prev+tidemark.Seq(i)+1 {
			return unusable
		}
		in.events = append(in.events, n)
	}
	return s.absorb(c, in)
}

// unsureMax bounds the messages of a conversation whose reactions wait to be counted again.
const unsureMax = 256

// doubtForm notes that the reactions to a message must be counted by the server.
func (c *Conversation) doubtForm(seq tidemark.Seq) {
	if !slices.Contains(c.unsure, seq) && len(c.unsure) < unsureMax {
		c.unsure = append(c.unsure, seq)
	}
}

// Unsure reports whether the server is still to be asked how many reactions or answers some stored message has: what is shown
// of it may be off by some until then.
func (c *Conversation) Unsure() bool { return c.doubted() > 0 }

// doubted is a message whose numbers are in doubt and that the server can be asked about; 0: none. Of what it keeps no
// longer it says nothing any more, and of what it has lost nothing yet.
func (c *Conversation) doubted() tidemark.Seq {
	for _, seq := range c.unsure {
		if seq > c.bottom() && seq <= c.HeadSeq && c.holds(seq) {
			return seq
		}
	}
	return 0
}

// settleForms notes which messages a page has just told of, and forgets those of which no page will tell.
func (c *Conversation) settleForms(f *wire.Fetched) {
	first, last := tidemark.Seq(0), tidemark.Seq(0)
	if n := len(f.Events); n > 0 && tidemark.Seq(f.HeadSeq) >= c.HeadSeq {
		first, last = tidemark.Seq(f.Events[0].Seq), tidemark.Seq(f.Events[n-1].Seq)
	}
	c.unsure = slices.DeleteFunc(c.unsure, func(seq tidemark.Seq) bool {
		return seq >= first && seq <= last || seq <= c.bottom() || !c.holds(seq)
	})
}

// pageDone is the answer to the caller of a page.
func pageDone(q *request, f *wire.Fetched, v verdict) Done {
	d := Done{Token: q.token, More: f.HasMore}
	if v != taken {
		d.Err = ErrDoubt
	} else if len(f.Events) > 0 {
		d.First = tidemark.Seq(f.Events[0].Seq)
		d.End = d.First + tidemark.Seq(len(f.Events))
	}
	return d
}

// lookForGaps plans what the conversations of a partition need, at a checkpoint of it.
func (s *step) lookForGaps(partition uint32) {
	touched := s.r.conn.touched[partition]
	delete(s.r.conn.touched, partition)
	for _, id := range sortedKeys(touched) {
		s.plan(s.r.conversations[id])
	}
}

// plan makes or drops the task of a conversation.
func (s *step) plan(c *Conversation) {
	c = s.leaveUnsure(c)
	s.leaveOlder(c)
	c = s.r.conversations[c.ID]
	gap, open := s.nextGap(c)
	switch {
	case c.Removed || !open && !c.Doubt.Open && c.doubted() == 0:
		s.r.tasks.forget(c.ID)
	case c.Doubt.Open:
		s.r.tasks.want(c.ID, s.nowMs, s.nowMs)
	case !open:
		s.r.tasks.want(c.ID, s.nowMs+countAgainMs, s.nowMs)
	case gap.To == c.HeadSeq && len(c.Segments) > 0 && s.r.tasks.of(c.ID).failures == 0 && s.recent(c):
		s.r.tasks.want(c.ID, s.nowMs+graceMs, s.nowMs)
	default:
		s.r.tasks.want(c.ID, s.nowMs, s.nowMs)
	}
}

// leaveUnsure drops what is stored below a gap that can never be filled, because the server keeps nothing of it any more:
// what was taken back there by the events of the gap, nobody can tell. See PROTOCOL.md 5.33.
func (s *step) leaveUnsure(c *Conversation) *Conversation {
	gap := c.Floor
	for _, seg := range slices.Backward(c.Segments) {
		if seg.From <= gap && gap <= seg.To {
			gap = seg.From - 1
		}
	}
	if c.Removed || c.Doubt.Open || gap == 0 || gap < tidemark.Seq(c.Self.GetVisibleFrom()) || len(c.Segments) == 0 || c.Segments[0].From > gap {
		return c
	}
	c = s.edit(c.ID)
	s.dropBefore(c, gap+1)
	return c
}

// leaveOlder settles own submissions that lie in the log before what is stored here, where nothing is fetched unless it is
// read: they would wait for it for ever.
func (s *step) leaveOlder(c *Conversation) {
	lowest, some := c.lowest()
	if !some || s.r.cfg.Backfill == FillAll {
		return
	}
	for _, seq := range s.r.outbox.answeredSeqs(c.ID) {
		if o := s.r.outbox.answered(c.ID, seq); seq < lowest {
			s.forget(o)
			s.ownRead(s.edit(c.ID), o, seq)
		}
	}
}

// recent reports whether the connection is just telling of the conversation: its end may be on the way.
func (s *step) recent(c *Conversation) bool { return c.HeadSeq-min(c.HeadSeq, c.Tail()) < 64 }

// nextGap is the gap to fill next, the newest first; ok is false when there is nothing to fill without being asked.
func (s *step) nextGap(c *Conversation) (gap Gap, ok bool) {
	var gaps []Gap
	wanted := s.r.outbox.hasAnswered(c.ID)
	if k := s.r.tasks.byID[c.ID]; k != nil && k.latest {
		wanted = true
	}
	lowest, some := c.lowest()
	switch {
	case c.Removed:
	case s.r.cfg.Backfill == FillAll:
		gaps = c.Gaps()
	case wanted && !some:
		gaps = c.Gaps()
		if n := len(gaps); n > 0 { // one page is enough
			gaps[n-1].From = max(gaps[n-1].From, gaps[n-1].To-min(gaps[n-1].To, 50)+1)
		}
	case (s.r.cfg.Backfill == FillHoles || wanted) && some:
		gaps = c.gapsFrom(max(c.bottom(), lowest-1))
	}
	if len(gaps) == 0 {
		return Gap{}, false
	}
	return gaps[len(gaps)-1], true
}

// pump starts what may be started: submissions, and pages for tasks.
func (s *step) pump() {
	if s.r.conn.phase < syncing || s.out.Fatal != nil || s.out.Hangup != "" {
		return
	}
	s.pumpOutbox()
	t := &s.r.tasks
	if s.r.conn.phase < live {
		return
	}
	s.pumpRooms()
	s.pumpOffers()
	t.due(s.nowMs)
	for t.flying < s.r.cfg.Fetches {
		id, k, ok := t.next()
		if !ok {
			return
		}
		s.start(id, k)
	}
}

// start sends the next page request of a task, if it still needs one.
func (s *step) start(id tidemark.ConversationID, k *task) {
	c := s.r.conversations[id]
	if c == nil {
		s.r.tasks.forget(id)
		return
	}
	if c.Doubt.Open {
		s.compare(s.edit(id), k)
		return
	}
	gap, open := s.nextGap(c)
	if seq := c.doubted(); !open && seq > 0 {
		s.fly(k)
		s.fetch(&request{in: id, purpose: forForm, from: Page{After: seq - 1, Start: true, Limit: 1}})
		return
	}
	if !open {
		s.r.tasks.forget(id)
		return
	}
	q := &request{in: id, purpose: forGap, gap: gap}
	q.from = Page{Before: gap.To + 1, Limit: int(min(uint64(s.r.cfg.PageMax), uint64(gap.To-gap.From+1)))}
	s.fly(k)
	s.fetch(q)
}

func (s *step) fly(k *task) {
	k.flying, k.notBeforeMs = true, 0
	s.r.tasks.flying++
}

// Messages are the stored events From..To of a conversation as an app shows them, ascending, at most limit (0: all).
// What is not stored is left out. With latestFirst the limit keeps the last ones instead of the first.
func Messages(view View, me tidemark.UserID, in tidemark.ConversationID, from, to tidemark.Seq, limit int, latestFirst bool) ([]Message, error) {
	var list []Message
	var failed error
	take := func(key, value []byte) bool {
		seq, ok := seqOfKey(key)
		n, err := decodeEntry(seq, value)
		if err != nil || !ok {
			failed = errors.Join(err, failed)
			return false
		}
		list = append(list, n.message(in, me))
		return limit == 0 || len(list) < limit
	}
	walk := view.Ascend
	if latestFirst {
		walk = view.Descend
	}
	end := append(entryKey(in, to), 0) // just after
	if err := walk(entryKey(in, max(from, 1)), end, take); err != nil || failed != nil {
		return nil, errors.Join(err, failed)
	}
	if latestFirst {
		slices.Reverse(list)
	}
	return list, nil
}

// Profile is a stored profile, or nil.
func Profile(view View, id tidemark.UserID) (*wire.Profile, error) {
	data, err := view.Get(profileKey(id))
	if err != nil || data == nil {
		return nil, err
	}
	p := &wire.Profile{}
	return p, p.UnmarshalVT(data)
}
