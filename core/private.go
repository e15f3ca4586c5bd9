// SPDX-License-Identifier: Apache-2.0

// What a member keeps in a conversation for its own devices: a draft, and which messages it has deleted for itself. All of
// it is one record, of which every change reaches the member's devices with the member's own record.

package core

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	draftBytesMax  = 8 << 10 // of a draft's text
	deletedMax     = 10_000  // messages that a member has deleted for itself in one conversation, above what it has cleared
	deletedNowMax  = 1_000   // of them, in one command
	deletedTooMany = "%s has deleted %d messages of %s for itself, at most %d are kept apart: clear the history instead"
)

// Delete deletes messages for one member alone: others keep them.
type Delete struct {
	User         tidemark.UserID
	Conversation tidemark.ConversationID
	Seqs         []tidemark.Seq
}

// Clear deletes the history of a conversation for one member alone, up to a seq.
type Clear struct {
	User         tidemark.UserID
	Conversation tidemark.ConversationID
	Seq          tidemark.Seq // up to and including; 0: the head
}

func (*Delete) command() {}
func (*Clear) command()  {}

// handleDelete remembers messages as deleted. Those that are already, or lie in what was cleared, are passed over.
func (t *turn) handleDelete(cmd *Delete) Reply {
	if err := t.enter(Actor{User: cmd.User}, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToRead); err != nil {
		return Reply{Err: err}
	}
	switch n := len(cmd.Seqs); {
	case n == 0:
		return refuse(tidemark.BadArgument, "no messages to delete are named: name 1 to %d", deletedNowMax)
	case n > deletedNowMax:
		return refuse(tidemark.TooMany, "%d messages to delete: name at most %d at once", n, deletedNowMax)
	}
	now := t.private()
	for _, seq := range cmd.Seqs {
		if seq == 0 || seq > t.head.Seq {
			return refuse(tidemark.UnknownEvent, "%s has no event %d", t.info.ID, seq)
		}
		if seq < t.member.VisibleFrom || seq <= t.head.Floor {
			continue
		}
		if e, kept := t.view.Event(t.info.Ordinal, seq); kept && e.Kind != record.MessageBody {
			return refuse(tidemark.UnknownEvent, "event %d of %s is not a message", seq, t.info.ID)
		}
		if i, there := slices.BinarySearch(now.Deleted, seq); !there {
			now.Deleted = slices.Insert(now.Deleted, i, seq)
		}
	}
	if len(now.Deleted) > deletedMax {
		return refuse(tidemark.TooMany, deletedTooMany, t.writer, len(now.Deleted), t.info.ID, deletedMax)
	}
	t.setPrivate(now)
	return t.ownPrivate()
}

// handleClear moves the first visible event, which never falls, past a seq; the read mark follows.
func (t *turn) handleClear(cmd *Clear) Reply {
	if err := t.enter(Actor{User: cmd.User}, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToRead); err != nil {
		return Reply{Err: err}
	}
	seq := cmd.Seq
	switch {
	case seq > t.head.Seq:
		return refuse(tidemark.BadArgument, "%s ends at %d: nothing up to %d can be cleared", t.info.ID, t.head.Seq, seq)
	case seq == 0:
		seq = t.head.Seq
	}
	if seq < t.member.VisibleFrom {
		return t.ownPrivate()
	}
	if seq > t.member.ReadSeq {
		counted, kept := t.countedAt(seq)
		if !kept {
			return refuse(tidemark.UnknownEvent, "event %d of %s is no longer kept: clear up to a later one", seq, t.info.ID)
		}
		m := t.ownMember(t.user, false)
		t.moveMark(m, seq, counted)
	}
	m := t.ownMember(t.user, false)
	m.GrantedFrom = m.Granted()
	m.ClearedSeq, m.VisibleFrom = seq, seq+1
	m.Position = t.env.Position
	if m.PrivatePosition > 0 {
		t.member = m // what lies before is forgotten
		t.setPrivate(t.private())
	}
	return t.ownPrivate()
}

// setDraft replaces the draft: an empty one is none.
func (t *turn) setDraft(draft *wire.Draft) *tidemark.Error {
	if err := checkText("draft", draft.GetText(), draftBytesMax); err != nil {
		return err
	}
	if seq := tidemark.Seq(draft.GetReplyTo()); seq > t.head.Seq {
		return tidemark.Refuse(tidemark.UnknownEvent, "the draft replies to event %d, but %s ends at %d",
			seq, t.info.ID, t.head.Seq)
	}
	now := t.private()
	now.Draft, now.DraftReplyTo, now.DraftMs = draft.GetText(), tidemark.Seq(draft.GetReplyTo()), t.env.NowMs
	if now.Draft == "" {
		now.DraftReplyTo, now.DraftMs = 0, 0
	}
	t.setPrivate(now)
	return nil
}

// private is the asking member's private record, to be changed, without what the member will never see again. What lies
// before a later joining stays deleted: another joining may show what was before it.
func (t *turn) private() *record.Private {
	now := new(record.Private)
	if was := t.view.Private(t.info.Ordinal, t.user); was != nil {
		*now = *was
		first, _ := slices.BinarySearch(was.Deleted, max(t.member.ClearedSeq, t.head.Floor)+1)
		now.Deleted = slices.Clone(was.Deleted[first:])
	}
	return now
}

// setPrivate replaces the asking member's private record, and tells the member's devices, if it says anything new.
func (t *turn) setPrivate(now *record.Private) {
	if was := t.privateNow(); now.Draft == was.Draft && now.DraftReplyTo == was.DraftReplyTo &&
		slices.Equal(now.Deleted, was.Deleted) {
		return
	}
	m := t.ownMember(t.user, false)
	m.PrivatePosition, m.Position = t.env.Position, t.env.Position
	t.out.Privates = append(t.out.Privates, record.PrivateChange{
		Conversation: t.info.Ordinal, User: t.user, Private: now,
	})
}

// privateNow is the asking member's private record as this command has left it. It must not be changed.
func (t *turn) privateNow() *record.Private {
	if n := len(t.out.Privates); n > 0 {
		return t.out.Privates[n-1].Private
	}
	if was := t.view.Private(t.info.Ordinal, t.user); was != nil {
		return was
	}
	return new(record.Private)
}

// ownPrivate is the reply that shows a member's own record with what it keeps for itself.
func (t *turn) ownPrivate() Reply {
	reply := t.own(t.memberOf(t.user))
	reply.Private = t.privateNow()
	return reply
}
