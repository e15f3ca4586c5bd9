// SPDX-License-Identifier: Apache-2.0

// From records to what goes over the wire.

package partition

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// WireEvent is the log form of an event, as sessions get it: as it was written, but once it is recalled or erased
// without its body. cur may be nil. Memory is shared with the records.
func WireEvent(e *record.Event, cur *record.Current) *wire.Event {
	w := &wire.Event{
		Seq: uint64(e.Seq), Id: uint64(e.ID), TimeMs: e.TimeMs, Sender: string(e.SenderID), ClientId: string(e.ClientID),
		Counted: e.Counted, Kind: uint32(e.Kind), Salt: e.Salt[:], Body: e.Body, BodyHash: e.BodyHash[:],
	}
	if e.Erased || cur.IsWithheld() {
		withholdBody(w, cur)
		w.Hidden = w.Recalled == 0 && w.Erased == 0 // an edit of a message that is no longer kept, or a message that came back so
	} else {
		w.BodyHash, w.Kind = nil, 0 // both follow from salt and body
	}
	return w
}

// withholdBody leaves of a body what the chain needs. The hash and the kind are set if they are not.
func withholdBody(w *wire.Event, cur *record.Current) {
	if w.BodyHash == nil {
		hash := chain.BodyHash([8]byte(w.Salt), w.Body)
		num, _, _ := protowire.ConsumeTag(w.Body)
		w.BodyHash, w.Kind = hash[:], uint32(num)
	}
	w.Salt, w.Body = nil, nil
	if cur != nil {
		w.Recalled, w.Erased = uint64(cur.RecallSeq), uint64(cur.EraseSeq)
	}
}

// wireCurrent is the current form of an event without what depends on who asks: see [Sight.Show]. cur may be nil.
func wireCurrent(e *record.Event, cur *record.Current) *wire.Event {
	w := WireEvent(e, cur)
	if cur == nil {
		return w
	}
	w.Recalled, w.Erased, w.Pinned = uint64(cur.RecallSeq), uint64(cur.EraseSeq), uint64(cur.PinSeq)
	w.ThreadCount, w.ThreadSeq = cur.ThreadCount, uint64(cur.ThreadSeq)
	if w.BodyHash == nil && cur.EditSeq > 0 && cur.Edited != nil {
		w.Body, w.Salt, w.Edited = cur.Edited, nil, uint64(cur.EditSeq)
		w.BodyHash, w.Kind = e.BodyHash[:], uint32(e.Kind)
	}
	return w
}

// WireInfo is a conversation's public data as its members see it; of a room with the number of users who are in it in place
// of that of members, and without the attributes that are to go with an owner who has gone.
func (p *Partition) WireInfo(info *record.Info, members uint32) *wire.ConversationInfo {
	w := &wire.ConversationInfo{
		Kind: wire.Kind(info.Kind), Title: info.Title, Avatar: info.Avatar, Custom: info.Custom,
		Settings:    core.WireSettings(info.Settings),
		MemberCount: members, CreatedMs: info.CreatedMs,
		InfoVersion:    strconv.FormatUint(uint64(info.InfoPosition), 10),
		MembersVersion: strconv.FormatUint(uint64(info.MembersPosition), 10),
		Announcement:   info.Announcement, DissolvedSeq: uint64(info.DissolvedSeq),
	}
	w.Pinned = wireSeqs(info.Pins)
	if info.Kind == record.Room {
		w.MemberCount = uint32(p.InRoom(info.Ordinal))
	}
	for _, a := range info.Attributes {
		if p.gone(info.Ordinal, a) {
			continue
		}
		owner, err := p.UserID(a.Owner)
		if err != nil {
			p.log.Error("the owner of an attribute cannot be read", "conversation", info.ID, "err", err)
		}
		w.Attributes = append(w.Attributes, &wire.Attribute{
			Key: a.Key, Value: a.Value, Owner: string(owner), AutoDelete: a.AutoDelete,
		})
	}
	return w
}

func wireSeqs(seqs []tidemark.Seq) []uint64 {
	var list []uint64
	for _, seq := range seqs {
		list = append(list, uint64(seq))
	}
	return list
}

// WirePrivate is what a user keeps in a conversation, for its own devices; f may be nil.
func WirePrivate(f *record.Private) *wire.Private {
	w := &wire.Private{}
	if f == nil {
		return w
	}
	w.Deleted = wireSeqs(f.Deleted)
	if f.DraftMs > 0 {
		w.Draft = &wire.Draft{Text: f.Draft, ReplyTo: uint64(f.DraftReplyTo), TimeMs: f.DraftMs}
	}
	return w
}

// WireSelf is a member's own record as the member sees it, while the last event of the conversation is head.
func WireSelf(info *record.Info, m *record.Member, head tidemark.Seq) *wire.Self {
	w := &wire.Self{
		Role: wire.Role(m.Role), JoinedSeq: uint64(m.JoinedSeq), ReadSeq: uint64(m.ReadSeq), Pinned: m.Pinned,
		Muted: m.Muted, Hidden: m.HiddenAt(head), Alias: m.Alias, MarkedUnread: m.MarkedUnread, VisibleFrom: uint64(m.VisibleFrom),
		Contact: wire.ContactState(m.Contact), Remark: m.Remark, Blocked: m.Blocked, RequestText: m.RequestText,
		SilencedUntilMs: m.SilencedUntilMs,
	}
	if m.Role >= record.AdminRole && info.DissolvedSeq == 0 {
		w.Requests = info.Requests
	}
	return w
}

// WireProfile is a profile without its versions. That of a deleted user is empty and says so.
func WireProfile(p *record.Profile) *wire.Profile {
	return &wire.Profile{
		Id: string(p.ID), Nickname: p.Nickname, Avatar: p.Avatar, Custom: p.Custom, Deleted: p.DeletedPosition > 0,
	}
}
