// SPDX-License-Identifier: Apache-2.0

// What comes of a room while the device is in it: events, what they change in the room's public data, and answers to own
// submissions.

package replica

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// roomDelta takes in what a delta says of a room. false: it is of no room.
func (s *step) roomDelta(d *wire.ConversationDelta, covered bool) bool {
	id := tidemark.ConversationID(d.Id)
	m := s.r.rooms.byID[id]
	switch {
	case m == nil:
		// What still comes of a room that was left. Public data come with whatever is new to a device, and checkpoints
		// with all but rooms.
		return s.r.rooms.known[id] || d.Info.GetKind() == wire.Kind_ROOM ||
			!covered && s.r.conn.phase == live && s.r.conversations[id] == nil && d.Info == nil
	case m.state != inside: // of before
	case d.Removed:
		s.dropRoom(m, tidemark.Refuse(tidemark.NotMember, "taken out of the room %s", id))
	default:
		s.roomInfo(m, d)
		s.roomEvents(m, d)
	}
	return true
}

// roomInfo takes in the public data, which come once after entering, as of the events that are here then.
func (s *step) roomInfo(m *room, d *wire.ConversationDelta) {
	if m.told || d.Info == nil || m.sure && tidemark.Seq(d.HeadSeq) != m.head {
		return
	}
	m.told, m.info = true, proto.CloneOf(d.Info)
	slices.SortStableFunc(m.info.Attributes, byKey)
	if d.Self != nil {
		m.self = d.Self
	}
	if m.was = true; len(m.waiting) > 0 {
		s.answerEntering(m, nil)
	}
	s.note(RoomChanged{Room: m.id, State: RoomIn})
}

func byKey(a, b *wire.Attribute) int { return cmp.Compare(a.GetKey(), b.GetKey()) }

// roomEvents takes in events. They are consecutive; those before them may have been left out.
func (s *step) roomEvents(m *room, d *wire.ConversationDelta) {
	var fresh []*entry
	for _, ev := range d.Events {
		n, err := entryOf(ev, tidemark.Seq(ev.GetSeq()), s.r.meta.user)
		if err != nil || len(fresh) > 0 && n.seq != fresh[len(fresh)-1].seq+1 {
			s.again(m)
			return
		}
		if n.seq > m.head {
			fresh = append(fresh, n)
		}
	}
	if len(fresh) == 0 {
		return
	}
	gap, ok := s.chainRoom(m, fresh, d)
	if !ok {
		s.again(m)
		return
	}
	m.failures = 0
	for _, n := range fresh {
		s.settle(m.id, n)
		s.takeRoomEvent(m, n, gap)
		s.roomChange(m, n)
		gap = 0
	}
	m.sure = true
}

// chainRoom computes the chain of new events of a room and compares it with what the server says. gap is how many events
// were left out before the first; ok is false when the server contradicts itself.
func (s *step) chainRoom(m *room, fresh []*entry, d *wire.ConversationDelta) (gap tidemark.Seq, ok bool) {
	first, last := fresh[0].seq, fresh[len(fresh)-1]
	digest, sure := m.digest, m.sure
	given, told := toDigest(d.PrevDigest)
	told = told && tidemark.Seq(d.PrevSeq)+1 == first
	switch {
	case told && sure && first == m.head+1 && given != digest:
		return 0, false
	case told:
		digest = given
	case sure && first != m.head+1:
		return 0, false // nothing to chain it to
	}
	if sure {
		gap = first - m.head - 1
	}
	for _, n := range fresh {
		digest = chain.Next(digest, n.link())
		n.digest = digest
	}
	head, has := toDigest(d.HeadDigest)
	switch has = has && tidemark.Seq(d.HeadSeq) == last.seq; {
	case !has:
		return gap, sure || told
	case sure || told:
		return gap, head == last.digest
	}
	last.digest = head
	return 0, true
}

// roomChange brings the public data of a room up to date with one of its events.
func (s *step) roomChange(m *room, n *entry) {
	switch b := parseBody(n.body).GetBody().(type) {
	case *wire.Body_Info:
		m.info = changedInfo(m.info, b.Info, n.seq)
	case *wire.Body_Members:
		role, mine := b.Members.GetRoles()[string(s.r.meta.user)]
		if !mine {
			return
		}
		m.self = proto.CloneOf(m.self)
		if m.self == nil {
			m.self = &wire.Self{}
		}
		m.self.Role = role
	case *wire.Body_Pin:
		m.pin(b.Pin.GetSeq(), !b.Pin.GetRemoved())
	case *wire.Body_Recall:
		m.pin(b.Recall.GetSeq(), false)
	case *wire.Body_Erased:
		m.pin(b.Erased.GetSeq(), false)
	default:
		return
	}
	s.note(RoomChanged{Room: m.id, State: RoomIn})
}

// pin keeps the list of pinned messages.
func (m *room) pin(seq uint64, pinned bool) {
	if slices.Contains(m.info.GetPinned(), seq) == pinned {
		return
	}
	m.info = cloned(m.info)
	if pinned {
		m.info.Pinned = append(m.info.Pinned, seq)
	} else {
		m.info.Pinned = slices.DeleteFunc(m.info.Pinned, func(s uint64) bool { return s == seq })
	}
}

func cloned(info *wire.ConversationInfo) *wire.ConversationInfo {
	if info == nil {
		return &wire.ConversationInfo{}
	}
	return proto.CloneOf(info)
}

// changedInfo is the public data after an event that changed it.
func changedInfo(info *wire.ConversationInfo, change *wire.Info, seq tidemark.Seq) *wire.ConversationInfo {
	info = cloned(info)
	for _, f := range []struct {
		to   *string
		from *string
	}{{&info.Title, change.Title}, {&info.Avatar, change.Avatar}, {&info.Announcement, change.Announcement}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if len(change.Custom) > 0 {
		custom := maps.Clone(info.Custom)
		for key, value := range change.Custom {
			if put(&custom, key, value); value == "" {
				delete(custom, key)
			}
		}
		info.Custom = custom
	}
	if change.Settings != nil {
		info.Settings = change.Settings
	}
	if change.Dissolved {
		info.DissolvedSeq = uint64(seq)
	}
	for _, a := range change.Attributes {
		at, found := slices.BinarySearchFunc(info.Attributes, a, byKey)
		switch {
		case found && a.GetValue() == "":
			info.Attributes = slices.Delete(info.Attributes, at, at+1)
		case found:
			info.Attributes[at] = a
		case a.GetValue() != "":
			info.Attributes = slices.Insert(info.Attributes, at, a)
		}
	}
	return info
}

// roomSubmitted takes in the answer to a submission to a room: the event itself does not come.
func (s *step) roomSubmitted(o *Outgoing, f *wire.Submitted) {
	s.forget(o)
	seq := tidemark.Seq(f.Seq)
	s.progress(o, Stored, seq)
	m := s.r.rooms.byID[o.Conversation]
	if m == nil || m.state != inside || seq <= m.head || seq > seqMax { // transient ones have no seq
		return
	}
	digest, ok := toDigest(f.Digest)
	o.answer = answer{seq: seq, id: tidemark.EventID(f.Id), timeMs: f.TimeMs, counted: f.Counted, digest: digest}
	ok = ok && copy(o.answer.salt[:], f.Salt) == len(o.answer.salt)
	n := o.entry(s.r.meta.user)
	n.digest = digest
	gap := tidemark.Seq(0)
	if m.sure {
		gap = seq - m.head - 1
		ok = ok && (gap > 0 || chain.Next(m.digest, n.link()) == digest)
	}
	if !ok { // stored otherwise than sent: the room's last events tell
		s.again(m)
		return
	}
	s.takeRoomEvent(m, n, gap)
	s.roomChange(m, n)
	m.sure = true
}

// roomHistory answers the caller of a page of a room; nothing of it is stored.
func (s *step) roomHistory(q *request, f *wire.Fetched) {
	m := s.r.rooms.byID[q.in]
	if m == nil {
		s.out.Done = append(s.out.Done, Done{Token: q.token, Err: notIn(q.in)})
		return
	}
	d := Done{Token: q.token, More: f.HasMore}
	page, sure := s.roomPage(f)
	for _, n := range page {
		if at := m.entryAt(n.seq); at >= 0 && sure && m.sure && m.entries[at].digest != n.digest {
			d.Err = ErrDoubt
		}
		d.Messages = append(d.Messages, inRoom(n.message(q.in, s.r.meta.user), s.r.meta.user))
	}
	switch {
	case page == nil && len(f.Events) > 0:
		d.Err = ErrDoubt
	case len(page) > 0:
		d.First, d.End = page[0].seq, page[len(page)-1].seq+1
	}
	if d.Err != nil {
		d.Messages = nil
	}
	s.out.Done = append(s.out.Done, d)
}
