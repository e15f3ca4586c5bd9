// SPDX-License-Identifier: Apache-2.0

// What a device is given of one conversation in a round.

package session

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
)

// stretch is what one conversation has for the device: the events start..last, and what else changed.
type stretch struct {
	partition.Standing
	p           *partition.Partition
	c           record.Conversation
	start, last tidemark.Seq // start > last: no events
	begins      bool         // this is the first page
	isNew       bool         // to the device, as far as it said
	joins       bool         // the events do not follow what the device has: prevDigest is needed
	info, self  bool         // whether these changed

	private *record.Private // what the user keeps here; nil: nothing
	kept    bool            // whether that changed
}

// appendConversation writes what items[next] has for the device, at most bytesMax of events or one event; more: it goes
// on in the next frame. It may write nothing.
func (s *Session) appendConversation(dst []byte, k key, bytesMax int) (out []byte, more bool, err error) {
	r := s.round
	t := stretch{p: s.cfg.Set.At(k.partition()), c: k.conversation()}
	u, err := s.ordinal(t.p)
	if err != nil || u == 0 {
		return dst, false, err
	}
	if t.Standing, err = t.p.Standing(t.c, u); err != nil || t.Info == nil || t.Head == nil || t.Member == nil {
		return dst, false, err
	}
	from, upTo := r.from[k.partition()], r.upTo[k.partition()]
	t.begins = r.at == 0
	if t.begins && max(t.Head.Position, t.Member.Position, t.Info.InfoPosition, t.Info.MembersPosition) > upTo {
		r.again = append(r.again, k)
	}
	if !t.Member.Active() {
		if p := t.Member.Position; t.begins && p > from && p <= upTo && !r.newDevice {
			dst = s.appendRemoved(dst, k, &t)
		}
		return dst, false, nil
	}
	if !t.begins {
		t.start, t.last = r.at, r.last
		if visible := max(t.Member.VisibleFrom, t.Head.Floor+1); visible > t.start { // since the frame before
			t.start, t.joins = visible, true
		}
	} else if there, err := s.measure(&t, from, upTo); err != nil || !there {
		return dst, false, err
	}
	most := int(s.cfg.Set.Limits().PageEventsMax)
	if !r.initial {
		most = min(most, eventsADigest)
	}
	if t.Member.PrivatePosition > 0 {
		if t.private, err = t.p.Private(t.c, u); err != nil {
			return dst, false, err
		}
	}
	entries, err := t.p.Log(t.c, t.start, t.last, most, bytesMax)
	if err != nil {
		return dst, false, err
	}
	t.joins = t.joins || len(entries) > 0 && entries[0].Seq > t.start // trimmed meanwhile
	entries = s.fit(entries)
	if len(entries) > 0 && entries[len(entries)-1].Seq < t.last {
		more = true
		r.at, r.last = entries[len(entries)-1].Seq+1, t.last
	}
	if r.initial {
		s.spend(entries)
	}
	out, err = s.appendStretch(dst, k, &t, entries)
	return out, more, err
}

// fit is those of the entries with whose senders' profiles the frame does not get too large, and at least the first.
func (s *Session) fit(entries []*partition.LogEntry) []*partition.LogEntry {
	r := s.round
	before := len(r.senders)
	if before+len(entries) <= sendersMax {
		return entries
	}
	defer func() { r.senders = r.senders[:before] }()
	for i, e := range entries {
		if s.name(e.SenderID); len(r.senders) > sendersMax && i > 0 {
			return entries[:i]
		}
	}
	return entries
}

// spend counts the bytes of events where they are bounded.
func (s *Session) spend(entries []*partition.LogEntry) {
	for _, e := range entries {
		s.round.eventsLeft -= len(e.Encoded)
	}
}

// ordinal is the user's ordinal in a partition; 0 if it has not met the user.
func (s *Session) ordinal(p *partition.Partition) (record.User, error) {
	at := &s.parts[p.Number()]
	if at.ordinal == 0 {
		u, _, err := p.User(s.cfg.User)
		if err != nil {
			return 0, err
		}
		at.ordinal = u
	}
	return at.ordinal, nil
}

// measure finds what of the conversation lies past from and up to upTo. there is false if the user was no member then.
func (s *Session) measure(t *stretch, from, upTo tidemark.Position) (there bool, err error) {
	r := s.round
	if t.last, err = t.p.SeqAt(t.c, upTo); err != nil || t.last < t.Member.JoinedSeq {
		return false, err
	}
	visible := max(t.Member.VisibleFrom, t.Head.Floor+1)
	var most tidemark.Seq // first round: of events
	if r.initial && r.next < r.full && (!r.bounded || r.eventsLeft > 0) {
		most = tidemark.Seq(r.tail)
		if low := max(visible, back(t.last, most)); low <= t.last {
			// Brings the tail into memory, where the device's place in the log is found next.
			if _, err := t.p.Log(t.c, low, t.last, int(most), 1); err != nil {
				return false, err
			}
		}
	}
	place := tidemark.Seq(0) // the last event that the cursor covers
	if from > 0 {
		if place, err = t.p.SeqAt(t.c, from); err != nil {
			return false, err
		}
	}
	// At the floor nobody can tell how far back the cursor lies, so that the device is told all but what is not kept.
	t.isNew = from == 0 || t.Member.JoinedSeq > place || place <= t.Head.Floor && t.Head.Floor > 0
	t.start = max(visible, place+1)
	switch {
	case r.initial && t.isNew:
		t.start = max(visible, back(t.last, most))
	case r.initial:
		t.start = max(t.start, back(t.last, most))
	case t.isNew: // joined just now: what came since, and some of what was before if that is visible
		t.start = max(visible, min(place+1, back(t.last, tailDefault)))
	}
	t.joins = t.isNew || t.start > place+1
	t.info = t.isNew || t.Info.InfoPosition > from || t.Info.MembersPosition > from
	unhidden := t.Member.Hidden && place <= t.Member.HiddenSeq && t.Member.HiddenSeq < t.last
	t.kept = t.Member.PrivatePosition > from || t.isNew && t.Member.PrivatePosition > 0
	t.self = t.isNew || t.Loud > from || unhidden || r.initial && t.Member.Position > from
	return true, nil
}

// back is the first of the n events that end with last.
func back(last, n tidemark.Seq) tidemark.Seq { return last - min(last, n) + 1 }

// appendStretch writes one ConversationDelta, or nothing if there is nothing that the device does not know.
func (s *Session) appendStretch(dst []byte, k key, t *stretch, entries []*partition.LogEntry) ([]byte, error) {
	r := s.round
	first := 0
	for first < len(entries) && s.isOwn(k, t, entries[first].Seq) {
		first++
	}
	events := entries[first:]
	if len(events) > 0 && t.begins && t.Member.Position > r.from[k.partition()] {
		t.self = true
	}
	if len(events) == 0 && !t.info && !t.self && !r.initial && !s.hasRecalled(k, t) {
		return dst, nil
	}
	digest, timeMs, err := t.end(entries)
	if err != nil {
		return dst, err
	}
	r.sent.add(k.partition())
	dst, mark := openField(dst, deltaConversations)
	dst = appendText(dst, conversationID, t.Info.ID)
	dst = appendUint(dst, conversationPartition, uint64(k.partition()))
	if t.info {
		dst = appendMessage(dst, conversationInfo, t.p.WireInfo(t.Info, t.Head.Members))
	}
	if t.self {
		self := partition.WireSelf(t.Info, t.Member, t.last)
		if t.kept {
			self.Private = partition.WirePrivate(t.private)
		}
		dst = appendMessage(dst, conversationSelf, self)
	}
	dst = appendUint(dst, conversationHeadSeq, uint64(t.last))
	if digest != (tidemark.Digest{}) {
		dst = appendBytes(dst, conversationHeadDigest, digest[:])
	}
	dst = appendCount(dst, conversationUnread, t.Unread)
	dst = appendCount(dst, conversationMentions, t.Mentions)
	dst = appendUint(dst, conversationLastTimeMs, timeMs)
	if len(events) > 0 {
		dst = appendUint(dst, conversationPrevSeq, uint64(events[0].Seq-1))
		if t.joins {
			prev, err := t.p.Digest(t.c, events[0].Seq-1)
			if err == nil {
				dst = appendBytes(dst, conversationPrevDigest, prev[:])
			} else if !partition.Gone(err) { // trimmed meanwhile: the device will ask
				return dst, err
			}
		}
	}
	for _, e := range events {
		if s.isOwn(k, t, e.Seq) {
			continue
		}
		if e.HiddenFrom(t.Member, t.private) {
			dst = e.AppendHidden(dst)
		} else {
			dst = append(dst, e.Encoded...)
		}
		s.name(e.SenderID)
	}
	if t.Head.Floor > 0 {
		dst = appendUint(dst, conversationFloorSeq, uint64(t.Head.Floor+1))
	}
	if digest != (tidemark.Digest{}) {
		dst = s.appendSeal(dst, conversationHeadSeal, t.Info.ID, t.last, digest)
	}
	s.namePeer(t.Info)
	return closeField(dst, mark), nil
}

// namePeer has the profile of the other user of a direct conversation given.
func (s *Session) namePeer(info *record.Info) {
	if info.Kind != record.Direct {
		return
	}
	if peer, ok := info.ID.Peer(s.cfg.User); ok {
		s.name(peer)
	}
}

// end is the chain value and the time of the stretch's last event; zero if that is no longer kept.
func (t *stretch) end(entries []*partition.LogEntry) (tidemark.Digest, uint64, error) {
	if t.last == t.Head.Seq {
		return t.Head.Digest, t.Head.TimeMs, nil
	}
	if n := len(entries); n > 0 && entries[n-1].Seq == t.last {
		return entries[n-1].Digest, entries[n-1].TimeMs, nil
	}
	last, err := t.p.Log(t.c, t.last, t.last, 1, 1)
	if err != nil || len(last) == 0 {
		return tidemark.Digest{}, 0, err
	}
	return last[0].Digest, last[0].TimeMs, nil
}

// isOwn reports whether the device has the event by the answer to its submission.
func (s *Session) isOwn(k key, t *stretch, seq tidemark.Seq) bool {
	return len(s.own) > 0 && slices.ContainsFunc(s.own, func(e ownEvent) bool {
		return e.seq == seq && e.partition == k.partition() && e.conversation == t.Info.ID
	})
}

// hasRecalled reports whether a recall is among the events that the device has by answers: it may change what is unread, which
// the device cannot know.
func (s *Session) hasRecalled(k key, t *stretch) bool {
	return slices.ContainsFunc(s.own, func(e ownEvent) bool {
		return e.recall && e.seq <= t.last && e.partition == k.partition() && e.conversation == t.Info.ID
	})
}

// appendRemoved tells that the user is no longer a member.
func (s *Session) appendRemoved(dst []byte, k key, t *stretch) []byte {
	s.round.sent.add(k.partition())
	dst, mark := openField(dst, deltaConversations)
	dst = appendText(dst, conversationID, t.Info.ID)
	dst = appendUint(dst, conversationPartition, uint64(k.partition()))
	dst = appendBool(dst, conversationRemoved, true)
	return closeField(dst, mark)
}
