// SPDX-License-Identifier: Apache-2.0

// What leaves the server for a device or a caller, at the moment at which it leaves: nothing that its user may not see (S5),
// nothing that is not published (S2, S6), the right counts (S11).

package sim

import (
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// checkFrame looks at an encoded frame for a device.
func (w *world) checkFrame(who invariant.Who, data []byte) {
	f, err := wire.DecodeServerFrame(wire.Proto, data)
	if err != nil {
		w.broken("S13", who, "", 0, "a frame of the server cannot be decoded: "+err.Error())
		return
	}
	switch f := f.Frame.(type) {
	case *wire.ServerFrame_Delta:
		for _, d := range f.Delta.Conversations {
			w.checkDelta(who, d)
		}
		w.checkPublished(who, f.Delta.Checkpoints)
	case *wire.ServerFrame_Synced:
		w.checkPublished(who, f.Synced.GetCursor().GetPositions())
	case *wire.ServerFrame_Submitted:
		a := f.Submitted
		l := w.checks.logs[tidemark.ConversationID(a.Conversation)]
		if a.Seq > 0 && (l == nil || int(a.Seq) > len(l.Log) || l.Log[a.Seq-1].Event.Id != a.Id) {
			w.broken("S2", who, tidemark.ConversationID(a.Conversation), tidemark.Seq(a.Seq), fmt.Sprintf("event %d is acknowledged before it is published", a.Id))
		}
	case *wire.ServerFrame_Fetched:
		if v := w.view(who, tidemark.ConversationID(f.Fetched.Conversation)); v != nil {
			w.checkEvents(who, v, f.Fetched.Events)
		}
	case *wire.ServerFrame_Signal:
		w.checkReceipt(who, f.Signal.GetReceipt())
	}
}

// checkPublished checks S6: no device is told a position that is not published.
func (w *world) checkPublished(who invariant.Who, positions map[uint32]uint64) {
	for n, position := range positions {
		if at := w.server.set.At(n).Published(); tidemark.Position(position) > at {
			w.broken("S6", who, "", 0, fmt.Sprintf("position %d of partition %d is told, and %d is published", position, n, at))
		}
	}
}

// view is what the reference says of a user in a conversation now.
type view struct {
	*logged
	member  *record.Member
	deleted []tidemark.Seq // by the user, for itself
	from    tidemark.Seq   // the first seq that the user sees
	floor   tidemark.Seq
}

// view is nil where the user is no member, which is reported, and for rooms.
func (w *world) view(who invariant.Who, in tidemark.ConversationID) *view {
	l := w.checks.logs[in]
	if l == nil {
		w.broken("S2", who, in, 0, "somebody is told of a conversation that is not published")
		return nil
	}
	if l.room() {
		return nil
	}
	stay, member := l.Member(who.User)
	if !member {
		w.broken("S5", who, in, 0, fmt.Sprintf("somebody is told of a conversation who is no member: %v", l.Stays[who.User]))
		return nil
	}
	v, err := w.viewOf(who.User, l, stay)
	if err != nil {
		w.broken("S12", who, in, 0, err.Error())
		return nil
	}
	return v
}

// viewOf puts what the log tells of a member and what only the member's record can say together.
func (w *world) viewOf(user tidemark.UserID, l *logged, stay invariant.Stay) (*view, error) {
	p := w.server.set.Of(l.ID)
	info, err := p.Info(l.ID)
	if err != nil || info == nil {
		return nil, fmt.Errorf("the conversation cannot be read: %w", err)
	}
	head, err := p.Head(info.Ordinal)
	if err != nil {
		return nil, err
	}
	m, err := p.Member(info.Ordinal, user)
	if err != nil || m == nil {
		return nil, fmt.Errorf("the record of a member cannot be read: %w", err)
	}
	v := &view{logged: l, member: m, from: max(stay.From, m.ClearedSeq+1), floor: head.Floor}
	if !m.Active() || m.JoinedSeq != stay.Joined || m.VisibleFrom != v.from {
		return nil, fmt.Errorf("the record of a member says joined %d, left %d, visible from %d; the log says joined %d, visible from %d",
			m.JoinedSeq, m.LeftSeq, m.VisibleFrom, stay.Joined, v.from)
	}
	if m.PrivatePosition > 0 {
		u, _, err := p.User(user)
		if err != nil {
			return nil, err
		}
		private, err := p.Private(info.Ordinal, u)
		if err != nil {
			return nil, err
		}
		if private != nil {
			v.deleted = private.Deleted
		}
	}
	return v, nil
}

// checkDelta looks at what a delta or a pull tells of one conversation.
func (w *world) checkDelta(who invariant.Who, d *wire.ConversationDelta) {
	in := tidemark.ConversationID(d.Id)
	if d.Removed {
		if l := w.checks.logs[in]; l != nil {
			if _, member := l.Member(who.User); member {
				w.broken("S5", who, in, 0, "somebody is told to be no member who is one")
			}
		}
		return
	}
	v := w.view(who, in)
	if v == nil {
		return
	}
	if int(d.HeadSeq) > len(v.Log) {
		w.broken("S2", who, in, tidemark.Seq(d.HeadSeq), fmt.Sprintf("the head is told as %d, and %d events are published", d.HeadSeq, len(v.Log)))
		return
	}
	if len(d.HeadDigest) > 0 && tidemark.Digest(d.HeadDigest) != v.digests[d.HeadSeq] {
		w.broken("Y3", who, in, tidemark.Seq(d.HeadSeq), fmt.Sprintf("the chain is told as %x…, it is %.8s…", d.HeadDigest[:4], v.digests[d.HeadSeq]))
	}
	w.checkEvents(who, v, d.Events)
	unread, mentions := v.counts(who.User)
	if d.Unread != nil && (*d.Unread != unread || d.GetMentions() != mentions) {
		w.broken("S11", who, in, 0, fmt.Sprintf("%d unread and %d mentions are told, by brute force %d and %d", *d.Unread, d.GetMentions(), unread, mentions))
	}
	if s := d.Self; s != nil && tidemark.Seq(s.ReadSeq) > tidemark.Seq(len(v.Log)) {
		w.broken("S10", who, in, tidemark.Seq(s.ReadSeq), "the read mark is past the head")
	}
}

// counts are a member's, by brute force.
func (v *view) counts(user tidemark.UserID) (unread, mentions uint64) {
	return v.Counts(user, v.member.ReadSeq, v.floor, own(v.member))
}

// own are a member's own messages past its read mark.
func own(m *record.Member) (list []tidemark.Seq) {
	for i := range m.Own.Len() {
		list = append(list, m.Own.At(i))
	}
	return list
}

// checkEvents looks at events that somebody is told.
func (w *world) checkEvents(who invariant.Who, v *view, events []*wire.Event) {
	for _, e := range events {
		seq := tidemark.Seq(e.Seq)
		if e.Seq == 0 || int(e.Seq) > len(v.Log) {
			w.broken("S2", who, v.ID, seq, "an event is told that is not published")
			return
		}
		if seq < v.from || seq <= v.floor {
			w.broken("S5", who, v.ID, seq, fmt.Sprintf("an event is told to somebody who sees what is from %d on, and nothing up to %d is kept", v.from, v.floor))
			return
		}
		link, _ := invariant.LinkOf(e)
		want, _ := invariant.LinkOf(v.Log[seq-1].Event)
		if link != want {
			w.broken("S1", who, v.ID, seq, fmt.Sprintf("the event is told as %+v, it is %+v", link, want))
			return
		}
		if says, may := len(e.Body) > 0, v.says(seq, true); says && !may {
			w.broken("S5", who, v.ID, seq, "somebody is told the content of a message that was taken back, or that the user does not see")
		} else if has := len(v.Log[seq-1].Event.Body) > 0; has && !says && v.says(seq, false) { // without, it was given back
			w.broken("S5", who, v.ID, seq, "the content of a message is withheld that the user may see")
		}
	}
}

// says reports whether a user may be told what an event says. What is told once, an edit of a message that is kept no
// longer, may be withheld or not.
func (v *view) says(seq tidemark.Seq, may bool) bool {
	if !v.visible(seq) {
		return false
	}
	body := &wire.Body{}
	if body.UnmarshalVT(v.Log[seq-1].Event.Body) != nil || body.GetEdit() == nil {
		return true
	}
	target := tidemark.Seq(body.GetEdit().Seq)
	return target >= v.from && !v.Log[target-1].Gone && !slices.Contains(v.deleted, target) && (may || target > v.floor)
}

// visible reports whether an event is one of which the user sees the content.
func (v *view) visible(seq tidemark.Seq) bool {
	return seq >= v.from && !v.Log[seq-1].Gone && !slices.Contains(v.deleted, seq)
}

// checkReceipt looks at what an author is told of others' marks.
func (w *world) checkReceipt(who invariant.Who, r *wire.ReceiptSignal) {
	l := w.checks.logs[tidemark.ConversationID(r.GetConversation())]
	if r.GetUser() == "" || l == nil {
		return
	}
	if most := max(r.ReadSeq, r.DeliveredSeq); most > uint64(len(l.Log)) { // each tells what has moved; who has read has received
		w.broken("S10", who, l.ID, tidemark.Seq(most), fmt.Sprintf("%s has read up to %d and received up to %d, and the head is %d", r.User, r.ReadSeq, r.DeliveredSeq, len(l.Log)))
	}
}
