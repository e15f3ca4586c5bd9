// SPDX-License-Identifier: Apache-2.0

// Messages: who may post, what a message may carry, and the index of mentions.

package core

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// typeBytesMax bounds the name of a message's type.
const typeBytesMax = 64

// submitMessage appends a message. A NORMAL one counts; a SILENT one does not count and mentions nobody; a TRANSIENT
// one is only checked, and its reply tells the caller to deliver it without storing it.
func (t *turn) submitMessage(id tidemark.ClientID, m *wire.Message, forward *Verdict) Reply {
	if err := t.mayPost(m); err != nil {
		return Reply{Err: err}
	}
	if err := t.checkMessage(m); err != nil {
		return Reply{Err: err}
	}
	if err := t.checkRoot(tidemark.Seq(m.Thread)); err != nil {
		return Reply{Err: err}
	}
	if err := checkForward(m, forward); err != nil {
		return Reply{Err: err}
	}
	if m.Class == wire.MessageClass_TRANSIENT {
		return Reply{Transient: true, TimeMs: max(t.env.NowMs, t.head.TimeMs)}
	}
	normal := m.Class == wire.MessageClass_NORMAL
	e := t.write(id, record.MessageBody, marshalMessage(m), normal)
	t.notePost(t.env.NowMs)
	t.messageTakesEffect(e, m)
	return answer(e)
}

// mayPost refuses who may not post a message. One that is not stored is no post as slow mode counts them.
func (t *turn) mayPost(m *wire.Message) *tidemark.Error {
	err := t.may(ToPost)
	if err != nil && err.Reason == tidemark.RateLimited && m.Class == wire.MessageClass_TRANSIENT {
		err = nil
	}
	if err == nil && m.MentionAll {
		err = t.may(ToMentionAll)
	}
	return err
}

// notePost keeps the time of a member's message where slow mode counts from it.
func (t *turn) notePost(atMs uint64) {
	if t.info.Settings.SlowModeMs == 0 || t.member == nil || t.member.Role > member {
		return
	}
	m := t.ownMember(t.user, true)
	m.LastPostMs, m.Position = atMs, t.env.Position
}

// checkMessage holds the limits of a message, new or as an edit.
func (t *turn) checkMessage(m *wire.Message) *tidemark.Error {
	if size := messageBytes(m.SizeVT()); size > int(t.limits.BodyBytesMax) {
		return tidemark.Refuse(tidemark.TooLarge, "the message's body has %d bytes, at most %d are allowed",
			size, t.limits.BodyBytesMax)
	}
	if len(m.Text) == 0 && len(m.Data) == 0 && len(m.Type) == 0 {
		return tidemark.Refuse(tidemark.BadArgument, "the message is empty: give it a type, a text or data")
	}
	if err := checkText("type", m.Type, typeBytesMax); err != nil {
		return err
	}
	if err := checkText("text", m.Text, t.limits.BodyBytesMax); err != nil {
		return err
	}
	if _, known := wire.MessageClass_name[int32(m.Class)]; !known {
		return tidemark.Refuse(tidemark.BadArgument, "class %d is not a message class", m.Class)
	}
	if _, known := wire.Priority_name[int32(m.Priority)]; !known {
		return tidemark.Refuse(tidemark.BadArgument, "priority %d is not a priority", m.Priority)
	}
	if len(m.Mentions) > int(t.limits.MentionsMax) {
		return tidemark.Refuse(tidemark.TooMany, "the message mentions %d users, at most %d are allowed; mention all?",
			len(m.Mentions), t.limits.MentionsMax)
	}
	for _, user := range m.Mentions {
		if !tidemark.UserID(user).Valid() {
			return tidemark.Refuse(tidemark.BadArgument, "mention %q is not a user id: it takes %s",
				user, tidemark.IDAlphabet)
		}
	}
	return t.checkReply(tidemark.Seq(m.ReplyTo))
}

// mention indexes whom a message at seq mentions: members who can see it, but not its sender. A room has no such index.
func (t *turn) mention(m *wire.Message, seq tidemark.Seq, sender tidemark.UserID) {
	if t.info.Kind == record.Room {
		return
	}
	if m.MentionAll {
		t.out.Mentions = append(t.out.Mentions, record.MentionChange{Conversation: t.info.Ordinal, Seq: seq})
		head := t.ownHead()
		head.MentionAll = max(head.MentionAll, seq)
	}
	for i, id := range m.Mentions {
		if id == string(sender) || slices.Contains(m.Mentions[:i], id) {
			continue
		}
		u, met := t.lookup(tidemark.UserID(id))
		if !met {
			continue
		}
		member := t.memberOf(u)
		if !member.Active() || member.Granted() > seq {
			continue
		}
		t.out.Mentions = append(t.out.Mentions, record.MentionChange{Conversation: t.info.Ordinal, User: u, Seq: seq})
		if member.MentionSeq < seq {
			t.ownMember(u, true).MentionSeq = seq
		}
	}
}

// unmention takes the mentions of a message at seq out of the index.
func (t *turn) unmention(m *wire.Message, seq tidemark.Seq) {
	if t.info.Kind == record.Room {
		return
	}
	if m.MentionAll {
		t.out.Mentions = append(t.out.Mentions, record.MentionChange{
			Conversation: t.info.Ordinal, Seq: seq, Removed: true,
		})
	}
	for i, id := range m.Mentions {
		u, met := t.lookup(tidemark.UserID(id))
		if !met || slices.Contains(m.Mentions[:i], id) {
			continue
		}
		t.out.Mentions = append(t.out.Mentions, record.MentionChange{
			Conversation: t.info.Ordinal, User: u, Seq: seq, Removed: true,
		})
	}
}
