// SPDX-License-Identifier: Apache-2.0

// Deltas: what changed in conversations; and signals, which are not stored.

package replica

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

func (s *step) delta(d *wire.Delta) {
	conn := &s.r.conn
	for _, p := range d.GetProfiles() {
		s.profile(p)
	}
	stale := map[uint32]bool{} // partitions of which this frame tells what is known already
	for partition, position := range d.GetCheckpoints() {
		stale[partition] = tidemark.Position(position) <= s.r.meta.cursor.Positions[partition]
	}
	for _, cd := range d.GetConversations() {
		id := tidemark.ConversationID(cd.GetId())
		if _, _, direct := id.Peers(); !id.Valid() && !direct {
			continue
		}
		if !s.roomDelta(cd, len(d.Checkpoints) > 0) {
			s.conversation(id, cd, stale[cd.Partition], d.Live)
		}
	}
	if len(d.Checkpoints) == 0 {
		return
	}
	for _, p := range sortedKeys(d.Checkpoints) {
		s.checkpoint(p, tidemark.Position(d.Checkpoints[p]))
		s.lookForGaps(p)
	}
	if conn.ackFrames++; conn.ackFrames >= ackAfterFrames {
		s.ack()
	}
}

// profile stores a profile that is new or changed.
func (s *step) profile(p *wire.Profile) {
	id := tidemark.UserID(p.GetId())
	if !id.Valid() {
		return
	}
	if len(p.Versions) > 0 { // of contracts; what is shown is the same without
		p = proto.CloneOf(p)
		p.Versions = nil
	}
	data := marshalSorted(p)
	old, err := s.view.Get(profileKey(id))
	if err != nil {
		s.fail(err)
	}
	if !bytes.Equal(old, data) {
		s.write(profileKey(id), data)
		s.note(ProfileChanged{User: id})
	}
}

// conversation takes in what changed in one conversation.
func (s *step) conversation(id tidemark.ConversationID, d *wire.ConversationDelta, stale, isLive bool) {
	conn := &s.r.conn
	if d.Removed {
		if c := s.r.conversations[id]; c != nil && !c.Removed && !stale {
			s.removed(id)
		}
		return
	}
	c := s.edit(id)
	// All there is to tell follows. What the user kept in a missing one was lost with the membership, unless the server says otherwise.
	first := conn.full && !conn.seen[id] || c.Missing
	if conn.full {
		conn.seen[id] = true
	}
	c.Partition = d.Partition
	if c.Removed && !stale {
		c.Removed, c.Missing = false, false
		if head := tidemark.Seq(d.HeadSeq); head < c.HeadSeq { // it began anew at a server that was restored
			c.HeadSeq = head
			if head < c.Tail() {
				s.doubt(c, 0)
			}
		}
	}
	_, wasAhead := c.Ahead()
	compared, doubted := c.HeadSeq, c.Doubt.Open // what is stored up to there is known to be the server's, or doubted
	if conn.full {
		compared = 0
	}
	if touched := conn.touched[d.Partition]; touched == nil {
		conn.touched[d.Partition] = map[tidemark.ConversationID]bool{id: true}
	} else {
		touched[id] = true
	}
	s.summary(c, d, stale, isLive, first)
	s.list(c)
	// What is stored past what was compared may be of a history that a restore has lost: then these events say nothing of it.
	unproved := c.overtakes(compared)
	apart := unproved && !c.joins(d)
	if s.checkHead(c) == taken && !c.Doubt.Open && !apart {
		s.deltaEvents(c, d, isLive)
	}
	if s.tellAhead(c, wasAhead); wasAhead && !c.Doubt.Open {
		s.readAgain(c)
	}
	if unproved && (doubted || !c.Doubt.Open && (apart || len(c.Segments) > 1 || c.Tail() < c.DigestSeq || c.DigestSeq == 0)) {
		s.doubt(c, 0)
		s.r.tasks.of(id).latest = true // what it told is fetched once that is settled
	}
	s.hideDeleted(c)
	s.tellRead(c)
}

// joins reports whether the events of a delta touch all that is stored, so that they and it prove each other; without events,
// whether the digest of the head does.
func (c *Conversation) joins(d *wire.ConversationDelta) bool {
	n := len(d.Events)
	if n == 0 {
		return c.DigestSeq == c.HeadSeq
	}
	return len(c.Segments) == 1 && d.PrevSeq <= uint64(c.Tail()) && d.Events[n-1].GetSeq()+1 >= uint64(c.Segments[0].From)
}

// summary takes over what a delta says about a conversation as a whole, unless something newer is known. Of the log, a
// page or an answer may have told more than a delta that comes after it; of the rest, deltas alone tell, and once.
func (s *step) summary(c *Conversation, d *wire.ConversationDelta, stale, isLive, first bool) {
	conn := &s.r.conn
	head := tidemark.Seq(d.HeadSeq)
	behind := !conn.full && head < c.HeadSeq
	if head > seqMax || !conn.full && stale || behind && isLive != (conn.phase == live) {
		return
	}
	if d.Info != nil {
		c.Info = d.Info
	}
	if d.Self != nil {
		s.self(c, d.Self, first, head)
	}
	if floor := tidemark.Seq(max(d.FloorSeq, 1)); (floor > c.Floor+1 || first) && floor <= head+1 {
		c.Floor = floor - 1 // lower than before, if the server was restored
	}
	if behind {
		if head >= c.told.head { // a page told of a later head, but nothing of these
			s.count(c, d, max(c.told.lastTimeMs, d.LastTimeMs))
		}
		return
	}
	c.HeadSeq = head // below what is stored here, if the server was restored from an older copy
	if digest, ok := toDigest(d.HeadDigest); ok {
		c.HeadDigest, c.DigestSeq = digest, head
		c.keepSeal(head, d.HeadDigest, d.HeadSeal)
	} else if c.DigestSeq > head {
		c.DigestSeq = 0
	}
	s.count(c, d, d.LastTimeMs)
}

// self takes over the user's own record. What it keeps for its own devices comes only when it changed, or first in a full
// synchronisation. head is the server's.
func (s *step) self(c *Conversation, self *wire.Self, first bool, head tidemark.Seq) {
	old := c.Self
	if first && self.ReadSeq < old.GetReadSeq() { // the server was restored: what was read stays read
		c.PendingRead = max(c.PendingRead, min(tidemark.Seq(old.GetReadSeq()), c.Last()))
	}
	more := self.VisibleFrom < old.GetVisibleFrom()
	if more {
		c.Floor = 0 // it was the user's own: what pages say from now on counts
	}
	if self.Private == nil && old.GetPrivate() != nil && !first {
		self = proto.CloneOf(self)
		self.Private = old.Private
	}
	c.Self = self
	// Who comes again keeps what it had; but nobody sees less than from its joining on without having cleared.
	if self.VisibleFrom > old.GetVisibleFrom() && (self.JoinedSeq == old.GetJoinedSeq() || self.VisibleFrom > self.JoinedSeq) {
		s.clear(c, tidemark.Seq(self.VisibleFrom))
	}
	if more || !subset(old.GetPrivate().GetDeleted(), self.GetPrivate().GetDeleted()) {
		s.unhide(c, head)
	}
}

// subset reports whether all of one ascending list are in another.
func subset(part, whole []uint64) bool {
	for _, v := range part {
		if _, found := slices.BinarySearch(whole, v); !found {
			return false
		}
	}
	return true
}

// unhide drops what says nothing although the user may see more than before: messages that the server no longer knows as
// deleted, because it was restored, and edits of messages that can be seen again. They are fetched again. What lies past the
// server's head goes on to prove the chain, and has its content again when somebody gives that back.
func (s *step) unhide(c *Conversation, head tidemark.Seq) {
	for _, seg := range slices.Clone(c.Segments) {
		for seq := seg.From; seq <= seg.To; seq++ {
			n := s.entry(c.ID, seq)
			switch {
			case n == nil:
				return
			case !n.hidden || c.hides(seq):
			case seq <= head:
				s.punch(c, n)
			default:
				n = n.clone()
				n.hidden, n.asOf = false, seq // what later events do to it went with its content
				s.save(c.ID, n)
				c.doubtForm(seq)
			}
		}
	}
}

// clear drops what the user has cleared: the stored events before a seq.
func (s *step) clear(c *Conversation, before tidemark.Seq) {
	c.Floor = max(c.Floor, before-1)
	s.dropBefore(c, before)
}

// dropBefore drops the stored events before a seq, with what later ones say of them.
func (s *step) dropBefore(c *Conversation, before tidemark.Seq) {
	for len(c.Segments) > 0 && c.Segments[0].From < before {
		if !s.dropOldest(c) {
			return
		}
	}
	c.unsure = slices.DeleteFunc(c.unsure, func(seq tidemark.Seq) bool { return seq < before })
	s.hideEdits(c, before)
}

// hideEdits takes the content away from the stored edits of messages before a seq: it says what those said.
func (s *step) hideEdits(c *Conversation, before tidemark.Seq) {
	for _, seg := range c.Segments {
		for seq := seg.From; seq <= seg.To; seq++ {
			n := s.entry(c.ID, seq)
			if n == nil {
				return
			}
			if target, _, ok := n.target(); ok && target < before && n.kind == KindEdit && !n.hidden {
				n = n.clone()
				n.dropContent()
				n.hidden = true
				s.save(c.ID, n)
			}
		}
	}
}

// hideDeleted hides what the user has deleted for itself, once it is sure that what is stored are the messages that were
// meant: the user's own among those that a restored server has lost are still to be told to the app.
func (s *step) hideDeleted(c *Conversation) {
	if c.Doubt.Open {
		return
	}
	for _, seq := range c.Self.GetPrivate().GetDeleted() {
		s.hide(c, tidemark.Seq(seq))
	}
}

// hide takes the content of a stored message away that the user has deleted for itself; the chain keeps its hash.
func (s *step) hide(c *Conversation, seq tidemark.Seq) {
	if !c.holds(seq) {
		return
	}
	n := s.entry(c.ID, seq)
	if n == nil || n.hidden {
		return
	}
	n = n.clone()
	n.hide()
	s.dropEdits(c, n)
	s.save(c.ID, n)
}

// deltaEvents takes in the events of a delta.
func (s *step) deltaEvents(c *Conversation, d *wire.ConversationDelta, isLive bool) {
	if len(d.Events) == 0 {
		s.absorbAnswered(c)
		return
	}
	in := run{prev: tidemark.Seq(d.PrevSeq), prevDigest: d.PrevDigest, events: make([]*entry, 0, len(d.Events))}
	for _, ev := range d.Events {
		n, err := entryOf(ev, tidemark.Seq(ev.GetSeq()), s.r.meta.user)
		if err != nil {
			return // a gap, to be fetched
		}
		in.events = append(in.events, n)
	}
	tail := c.Tail()
	if s.absorb(c, in) == contradict {
		return
	}
	s.absorbAnswered(c)
	for _, n := range in.events {
		if n.kind == KindMessage && n.seq > tail && n.digest != (tidemark.Digest{}) && c.holds(n.seq) {
			s.note(Arrived{Message: n.message(c.ID, s.r.meta.user), Live: isLive})
		}
	}
}

// removed marks a conversation as one that the user is not in any more. What is stored stays.
func (s *step) removed(id tidemark.ConversationID) {
	c := s.edit(id)
	c.Removed, c.Unread, c.Mentions, c.PendingRead, c.Doubt = true, 0, 0, 0, Doubt{}
	s.r.tasks.forget(id)
	for _, seq := range s.r.outbox.answeredSeqs(id) {
		s.forget(s.r.outbox.answered(id, seq)) // stored at the server; what stands before it will not come any more
	}
	s.list(c)
}

// tellRead keeps the counts right while the server has not confirmed a read mark set here.
func (s *step) tellRead(c *Conversation) {
	c.PendingRead = min(c.PendingRead, c.Last()) // what was read may be gone: the server was restored
	if !c.moves(c.PendingRead) {
		c.PendingRead = 0
	}
	if c.PendingRead > 0 && c.PendingRead >= c.Last() {
		c.Unread, c.Mentions = 0, 0
	}
}

func (s *step) signal(f *wire.Signal) {
	switch g := f.GetSignal().(type) {
	case *wire.Signal_Typing:
		s.note(TypingChanged{tidemark.ConversationID(g.Typing.GetConversation()), tidemark.UserID(g.Typing.GetUser()), g.Typing.GetTyping()})
	case *wire.Signal_Presence:
		s.note(PresenceChanged{tidemark.UserID(g.Presence.GetUser()), g.Presence.GetOnline(), g.Presence.GetLastSeenMs()})
	case *wire.Signal_Transient:
		t := g.Transient
		s.note(TransientMessage{tidemark.ConversationID(t.GetConversation()), tidemark.UserID(t.GetSender()),
			tidemark.ClientID(t.GetClientId()), t.GetTimeMs(), t.GetMessage()})
	case *wire.Signal_Profile:
		if id := tidemark.UserID(g.Profile.GetUser()); id.Valid() {
			s.note(ProfileOutdated{User: id})
		}
	case *wire.Signal_Receipt:
		q := g.Receipt
		if q.GetUser() == "" {
			s.receiptCounts(q)
			return
		}
		s.receipt(tidemark.ConversationID(q.GetConversation()), tidemark.UserID(q.GetUser()),
			tidemark.Seq(q.GetDeliveredSeq()), tidemark.Seq(q.GetReadSeq()))
	}
}

// receiptCounts takes in how many have an own message, of a conversation too large to name them.
func (s *step) receiptCounts(q *wire.ReceiptSignal) {
	c := s.r.conversations[tidemark.ConversationID(q.GetConversation())]
	if c == nil {
		return
	}
	seq := min(tidemark.Seq(q.GetSeq()), c.HeadSeq)
	n := ReceiptChanged{Conversation: c.ID, Seq: seq, DeliveredCount: q.GetDeliveredCount(), ReadCount: q.GetReadCount()}
	if n.DeliveredCount > 0 {
		n.Delivered = seq
	}
	if n.ReadCount > 0 {
		n.Read = seq
	}
	if n.Delivered > c.Delivered || n.Read > c.Read {
		c = s.edit(c.ID)
		c.Delivered, c.Read = max(c.Delivered, n.Delivered, n.Read), max(c.Read, n.Read)
	}
	s.note(n)
}

// receipt moves the marks of others. Who has read has received.
func (s *step) receipt(in tidemark.ConversationID, user tidemark.UserID, delivered, read tidemark.Seq) {
	c := s.r.conversations[in]
	if c == nil || user == s.r.meta.user {
		return
	}
	delivered = max(delivered, read)
	if delivered > c.Delivered || read > c.Read {
		c = s.edit(in)
		c.Delivered, c.Read = max(c.Delivered, delivered), max(c.Read, read)
	}
	s.note(ReceiptChanged{Conversation: in, User: user, Delivered: delivered, Read: read})
}

// Receipts takes in marks of other members that were learnt elsewhere, from the API's list of members.
func (r *Replica) Receipts(view View, nowMs uint64, in tidemark.ConversationID, members []*wire.Member) (Output, error) {
	s := r.begin(view, nowMs)
	for _, m := range members {
		if m.GetReadSeq() > 0 || m.GetDeliveredSeq() > 0 {
			s.receipt(in, tidemark.UserID(m.User), tidemark.Seq(m.DeliveredSeq), tidemark.Seq(m.ReadSeq))
		}
	}
	return s.end()
}

// Refreshed takes in the profiles of the last page of a contract, and notes the versions that hold from now on.
func (r *Replica) Refreshed(view View, nowMs uint64, versions *wire.ContactsContract, profiles ...*wire.Profile) (Output, error) {
	s := r.begin(view, nowMs)
	for _, p := range profiles {
		s.profile(p)
	}
	s.write(contactsKey, marshal(versions))
	return s.end()
}

// ContactsVersions are the versions of the contacts contract up to which profiles were brought here; empty at first.
func ContactsVersions(view View) (*wire.ContactsContract, error) {
	versions := &wire.ContactsContract{}
	data, err := view.Get(contactsKey)
	if err != nil {
		return nil, err
	}
	return versions, versions.UnmarshalVT(data)
}

// Profiles takes in profiles that were learnt elsewhere, from the API.
func (r *Replica) Profiles(view View, nowMs uint64, profiles ...*wire.Profile) (Output, error) {
	s := r.begin(view, nowMs)
	for _, p := range profiles {
		s.profile(p)
	}
	return s.end()
}
