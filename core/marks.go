// SPDX-License-Identifier: Apache-2.0

// Marks and private settings: what one member changes for nobody but themselves, and how far a device has come.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// handleRead moves a read mark up. A mark that would fall stays, and nothing is written.
func (t *turn) handleRead(cmd *Read) Reply {
	if err := t.enter(Actor{User: cmd.User}, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToRead); err != nil {
		return Reply{Err: err}
	}
	if cmd.Seq > t.head.Seq {
		return refuse(tidemark.BadArgument, "read mark %d is past the last event of %s, %d",
			cmd.Seq, t.info.ID, t.head.Seq)
	}
	m := t.member
	switch {
	case cmd.Seq < m.ReadSeq, cmd.Seq == m.ReadSeq && !m.MarkedUnread:
		return t.own(m)
	case cmd.Seq == m.ReadSeq:
		m = t.ownMember(t.user, false)
	default:
		counted, kept := t.countedAt(cmd.Seq)
		if !kept && cmd.Seq > t.head.Floor {
			return refuse(tidemark.Internal, "event %d of %s is missing", cmd.Seq, t.info.ID)
		}
		m = t.ownMember(t.user, false)
		t.moveMark(m, cmd.Seq, max(m.ReadCounted, counted)) // below the floor the mark is all that is known
	}
	m.MarkedUnread = false
	m.Position = t.env.Position
	return t.own(m)
}

// countedAt is how many counted events there are up to a seq.
func (t *turn) countedAt(seq tidemark.Seq) (counted uint64, kept bool) {
	switch seq {
	case t.head.Seq:
		return t.head.Counted, true
	case t.head.Floor:
		return t.head.FloorCounted, true
	}
	e, kept := t.view.Event(t.info.Ordinal, seq)
	if !kept {
		return 0, false
	}
	return e.Counted, true
}

// own is the reply that shows a member's own record.
func (t *turn) own(m *record.Member) Reply {
	return Reply{Seq: t.head.Seq, Position: m.Position, ReadSeq: m.ReadSeq, Member: m, Info: t.info}
}

// handleSettings changes a member's own settings. Hiding holds until the next event.
func (t *turn) handleSettings(cmd *Settings) Reply {
	if err := t.enter(Actor{User: cmd.User}, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToRead); err != nil {
		return Reply{Err: err}
	}
	next := *t.member
	set := func(field, value *bool) {
		if value != nil {
			*field = *value
		}
	}
	set(&next.Pinned, cmd.Pinned)
	set(&next.Muted, cmd.Muted)
	set(&next.MarkedUnread, cmd.MarkedUnread)
	if cmd.Hidden != nil {
		next.Hidden, next.HiddenSeq = *cmd.Hidden, 0
		if *cmd.Hidden {
			next.HiddenSeq = t.head.Seq
		}
	}
	if cmd.Alias != nil {
		if err := checkText("alias", *cmd.Alias, t.limits.TitleBytesMax); err != nil {
			return Reply{Err: err}
		}
		next.Alias = *cmd.Alias
	}
	if cmd.Draft != nil {
		if err := t.setDraft(cmd.Draft); err != nil {
			return Reply{Err: err}
		}
	}
	m := t.memberOf(t.user)
	if next != *t.member {
		next.PrivatePosition, next.Position = m.PrivatePosition, t.env.Position
		m = t.ownMember(t.user, false)
		*m = next
	}
	if cmd.Draft != nil {
		return t.ownPrivate()
	}
	return t.own(m)
}

// handleSaveCursor stores how far a device has come. It rises only, and stays below the commit that is being built. A
// user whom this partition has not met has no conversation here, and no cursor is needed.
func (t *turn) handleSaveCursor(cmd *SaveCursor) Reply {
	if !cmd.User.Valid() || !cmd.Device.Valid() {
		return refuse(tidemark.BadArgument, "user %q, device %q: an id takes %s", cmd.User, cmd.Device, tidemark.IDAlphabet)
	}
	user, met := t.view.User(cmd.User)
	if !met {
		return Reply{}
	}
	saved := t.view.Cursor(user, cmd.Device)
	next := max(saved, min(cmd.Position, t.env.Position-1))
	if cmd.Forget {
		next = 0
	}
	if next != saved {
		t.out.Cursors = append(t.out.Cursors, record.CursorChange{User: user, Device: cmd.Device, Position: next})
	}
	return Reply{Position: next}
}
