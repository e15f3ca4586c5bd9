// SPDX-License-Identifier: Apache-2.0

// Being ahead: a server that was restored from an older copy lacks the end of a conversation that is stored here. It is
// kept, and offered back with the server's own seal, where the server takes it.

package replica

import (
	"cmp"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	sealsMax       = 4         // kept of a conversation: the newest
	offerEventsMax = 40_000    // of one offer; below what servers read
	offerBytesMax  = 512 << 10 // content of one offer, bytes; what comes after only leads to the seal
	offerAgainMs   = 30_000    // an offer that was refused waits at least so long
)

// Seal is the server's word that it had an event with a chain value; see PROTOCOL.md 3.5.
type Seal struct {
	Seq    tidemark.Seq
	Digest tidemark.Digest
	Seal   [16]byte
}

// Last is the seq of the last event that is known: the server's, or one that is kept here past it.
func (c *Conversation) Last() tidemark.Seq { return max(c.HeadSeq, c.Tail()) }

// Ahead are the events kept here that the server does not have, because it was restored from an older copy; ok is false
// where there are none. Those between may be missing here too.
func (c *Conversation) Ahead() (kept Gap, ok bool) {
	if c.Tail() <= c.HeadSeq {
		return Gap{}, false
	}
	i, _ := c.segmentOf(c.HeadSeq + 1)
	return Gap{From: max(c.HeadSeq+1, c.Segments[i].From), To: c.Tail()}, true
}

// overtakes reports whether the server's head is past events that were kept beyond a seq: whether they are those that it has
// there is not known.
func (c *Conversation) overtakes(beyond tidemark.Seq) bool {
	i, _ := c.segmentOf(beyond + 1)
	return i < len(c.Segments) && c.Segments[i].From <= c.HeadSeq
}

// headAt notes that the server's log goes on to a seq. What was kept from before a restore, and lies there, is compared.
func (s *step) headAt(c *Conversation, head tidemark.Seq) {
	was := c.HeadSeq
	c.HeadSeq = head
	if c.overtakes(was) {
		s.doubt(c, 0)
	}
}

// left reports whether the user is no member any more, at a server that knows the conversation.
func (c *Conversation) left() bool { return c.Removed && !c.Missing }

// lowest is the first stored seq that is not past the server's head; ok is false where there is none.
func (c *Conversation) lowest() (seq tidemark.Seq, ok bool) {
	if len(c.Segments) == 0 || c.Segments[0].From > c.HeadSeq {
		return 0, false
	}
	return c.Segments[0].From, true
}

// keepSeal keeps what the server has sealed of a conversation.
func (c *Conversation) keepSeal(seq tidemark.Seq, digest, seal []byte) {
	s := Seal{Seq: seq}
	if seq == 0 || len(seal) != len(s.Seal) || len(digest) != len(s.Digest) {
		return
	}
	copy(s.Digest[:], digest)
	copy(s.Seal[:], seal)
	i, found := slices.BinarySearchFunc(c.seals, seq, func(a Seal, seq tidemark.Seq) int { return cmp.Compare(a.Seq, seq) })
	if found {
		c.seals[i] = s
		return
	}
	c.seals = slices.Insert(c.seals, i, s)
	c.seals = c.seals[len(c.seals)-min(len(c.seals), sealsMax):]
}

// tellAhead notes that the server lacks what is kept here, or has it again.
func (s *step) tellAhead(c *Conversation, was bool) {
	kept, is := c.Ahead()
	switch {
	case is && !was:
		s.note(ServerBehind{Conversation: c.ID, From: kept.From, To: kept.To})
	case was && !is:
		s.note(ServerBehind{Conversation: c.ID})
	}
}

// count takes over the counts that the server tells, and adds what is kept past its head: messages of others that are not
// read.
func (s *step) count(c *Conversation, d *wire.ConversationDelta, lastTimeMs uint64) {
	kept, ahead := c.Ahead()
	c.told = counts{d.GetUnread(), d.GetMentions(), lastTimeMs, tidemark.Seq(d.HeadSeq)}
	c.Unread, c.Mentions, c.LastTimeMs = c.told.unread, c.told.mentions, lastTimeMs
	if !ahead {
		return
	}
	read := max(c.PendingRead, tidemark.Seq(c.Self.GetReadSeq()))
	for seq := max(kept.From, read+1); seq <= kept.To; seq++ {
		if !c.holds(seq) {
			continue
		}
		n := s.entry(c.ID, seq)
		if n == nil {
			return
		}
		c.LastTimeMs = max(c.LastTimeMs, n.timeMs)
		if m := n.message(c.ID, s.r.meta.user); n.sender != s.r.meta.user && m.Content != nil && m.Body.GetMessage().GetClass() == wire.MessageClass_NORMAL {
			c.Unread++
			if m.Content.MentionAll || slices.Contains(m.Content.Mentions, string(s.r.meta.user)) {
				c.Mentions++
			}
		}
	}
}

// lastAt notes the time of the event at the head.
func (c *Conversation) lastAt(timeMs uint64) {
	if _, ahead := c.Ahead(); ahead {
		c.LastTimeMs = max(c.LastTimeMs, timeMs)
	} else {
		c.LastTimeMs = timeMs
	}
	c.told.lastTimeMs = timeMs
}

// fallBack goes back to what the server says once nothing is kept past its head: it has gone on without what follows an
// event. What was read of that is read no more.
func (s *step) fallBack(c *Conversation, after tidemark.Seq) {
	if _, ahead := c.Ahead(); !ahead && c.told != (counts{}) {
		c.Unread, c.Mentions, c.LastTimeMs = c.told.unread, c.told.mentions, c.told.lastTimeMs
	}
	c.PendingRead = min(c.PendingRead, after)
	s.tellRead(c)
	s.readAgain(c)
}

// missing keeps a conversation of which a restored server knows nothing, or of which it does not know the user as a member.
func (s *step) missing(id tidemark.ConversationID) {
	_, was := s.r.conversations[id].Ahead()
	s.removed(id)
	c := s.edit(id)
	c.Missing, c.HeadSeq, c.DigestSeq = true, 0, 0
	s.tellAhead(c, was)
}

// offers is what is being offered to the server.
type offers struct {
	open        bool // the server takes lost events back
	flying      tidemark.ConversationID
	notBeforeMs map[tidemark.ConversationID]uint64 // of offers that were refused
	failures    map[tidemark.ConversationID]uint
}

// pumpOffers asks for the next offer to be made, if there is one: of one conversation at a time.
func (s *step) pumpOffers() {
	o := &s.r.conn.offers
	if !o.open || o.flying != "" || s.r.conn.phase < live {
		return
	}
	maps.DeleteFunc(o.notBeforeMs, func(_ tidemark.ConversationID, due uint64) bool { return due <= s.nowMs })
	for _, id := range sortedKeys(s.r.conversations) {
		c := s.r.conversations[id]
		if _, ahead := c.Ahead(); !ahead || c.Doubt.Open || o.notBeforeMs[id] > 0 {
			continue
		}
		if request := s.offer(c); request != nil {
			o.flying, s.out.GiveBack = id, request
			return
		}
		put(&o.notBeforeMs, id, s.nowMs+offerAgainMs) // nothing here proves it; another device may
	}
}

// offer is what can be given back of a conversation now; nil: nothing.
func (s *step) offer(c *Conversation) *wire.GiveBackRequest {
	for _, seal := range slices.Backward(c.seals) {
		i, found := c.segmentOf(seal.Seq)
		if digest, known := s.digestAt(c, seal.Seq); !found || !known || digest != seal.Digest || seal.Seq <= c.HeadSeq {
			continue
		}
		from := max(c.HeadSeq+1, c.Segments[i].From)
		if from > c.HeadSeq+1 && !c.Missing || seal.Seq-from >= offerEventsMax {
			continue // what comes before is missing here too, or it is too much at once
		}
		if events := s.offered(c, from, seal.Seq); events != nil {
			return &wire.GiveBackRequest{Conversation: string(c.ID), Events: events, Seal: seal.Seal[:]}
		}
	}
	return nil
}

// offered are stored events in log form. Where the content of the first is not known here the server refuses them, and its
// operator hears which event nobody has given yet.
func (s *step) offered(c *Conversation, from, to tidemark.Seq) []*wire.Event {
	var events []*wire.Event
	room := offerBytesMax
	for seq := from; seq <= to; seq++ {
		n := s.entry(c.ID, seq)
		if n == nil {
			return nil
		}
		ev := &wire.Event{
			Seq: uint64(seq), Id: uint64(n.id), TimeMs: n.timeMs, Sender: string(n.sender), ClientId: string(n.clientID), Counted: n.counted,
		}
		room -= len(n.body)
		if n.body != nil && (room > 0 || n.kind == KindRecall || n.kind == KindErased) {
			ev.Salt, ev.Body = slices.Clone(n.salt[:]), n.body
		} else {
			ev.BodyHash, ev.Kind = slices.Clone(n.bodyHash[:]), uint32(n.kind)
			m := n.message(c.ID, s.r.meta.user)
			ev.Recalled, ev.Erased = uint64(m.RecallSeq), uint64(m.EraseSeq)
		}
		events = append(events, ev)
	}
	return events
}

// GaveBack takes in the answer to an offer ([Output.GiveBack]), or why there is none.
func (r *Replica) GaveBack(view View, nowMs uint64, offer *wire.GiveBackRequest, answer *wire.GiveBackResponse, refusal error) (Output, error) {
	s := r.begin(view, nowMs)
	o, id := &r.conn.offers, tidemark.ConversationID(offer.GetConversation())
	if r.conn.phase < live || o.flying != id {
		return s.end() // of an earlier connection
	}
	o.flying = ""
	c := r.conversations[id]
	if c == nil {
		return s.end()
	}
	_, was := c.Ahead()
	head := tidemark.Seq(answer.GetHeadSeq())
	digest, told := toDigest(answer.GetHeadDigest())
	own, known := s.digestAt(c, head)
	switch {
	case refusal == nil && told && known && own == digest && head > c.HeadSeq && !c.Missing:
		c = s.edit(id)
		c.HeadSeq, c.HeadDigest, c.DigestSeq = head, digest, head
		delete(o.failures, id)
		s.list(c)
		s.tellAhead(c, was)
		s.readAgain(c)
	case refusal == nil && c.Missing && answer.GetTaken() > 0:
		delete(o.failures, id) // its delta is on the way, or the next part goes
		put(&o.notBeforeMs, id, nowMs+graceMs)
	default:
		put(&o.notBeforeMs, id, nowMs+max(offerAgainMs, backoffMs(o.failures[id])))
		put(&o.failures, id, o.failures[id]+1)
		if refused, is := refusal.(*tidemark.Error); is && refused.Reason == tidemark.NotAllowed {
			o.open = false
		} else if is && refused.RetryAfterMs > 0 {
			o.notBeforeMs[id] = nowMs + uint64(refused.RetryAfterMs)
		}
	}
	return s.end()
}

// readAgain sends a read mark that lay past what the server had, as far as the server has come by now.
func (s *step) readAgain(c *Conversation) {
	if c.moves(min(c.PendingRead, c.HeadSeq)) && s.r.conn.phase == live {
		s.sendRead(c)
	}
}

// dueMs is when the next offer may be made; 0: none waits.
func (o *offers) dueMs() (at uint64) {
	if !o.open || o.flying != "" {
		return 0
	}
	for _, due := range o.notBeforeMs {
		if at == 0 || due < at {
			at = due
		}
	}
	return at
}
