// SPDX-License-Identifier: Apache-2.0

// Departure: what a user who was deleted is in one conversation, ended. What the user wrote stays.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Depart ends what a user is in one conversation, after [DeleteUser] has ended the account: membership, by an event of the
// system, also of an owner without an heir; a request to join; a contact, for both sides; what the user kept for itself; and the
// messages named that wait for their time. What has ended already stays as it is, so that it can be repeated.
// Reply.Seq is the event by which the user has left now, or 0.
type Depart struct {
	User         tidemark.UserID
	Conversation tidemark.ConversationID // ""; none: what waits in direct conversations that do not exist yet
	Scheduled    []tidemark.ClientID     // as they are kept, see [PendingID]; those that are not there are passed over
}

func (*Depart) command() {}

func (t *turn) dispatchToEnd(cmd Command) Reply {
	if cmd, account := cmd.(*DeleteUser); account {
		return t.handleDeleteUser(cmd)
	}
	return t.handleDepart(cmd.(*Depart))
}

// handleDepart asks for no right: the app has deleted the account.
func (t *turn) handleDepart(cmd *Depart) Reply {
	u, met := t.view.User(cmd.User)
	if !met {
		return Reply{}
	}
	t.writer, t.full = tidemark.SystemUser, true
	if cmd.Conversation != "" {
		if found, err := t.find(cmd.Conversation); err != nil || !found {
			return Reply{Err: err}
		}
	}
	for _, id := range cmd.Scheduled {
		k := scheduledKey{user: u, id: id}
		if t.info != nil {
			k.conversation = t.info.Ordinal
		}
		if old := t.view.Scheduled(k.conversation, u, id); old != nil {
			t.unschedule(k, old)
		}
	}
	if t.info == nil {
		return Reply{}
	}
	t.user, t.member = u, nil
	t.clearRequest(u)
	t.endContact(cmd.User)
	seq, err := t.depart(cmd.User, u)
	if err != nil {
		return Reply{Err: err}
	}
	t.empty(u)
	return Reply{Seq: seq, Info: t.info}
}

// depart ends a membership; seq is 0 if there was none. A peer that hides the direct conversation goes on to hide it.
func (t *turn) depart(id tidemark.UserID, u record.User) (seq tidemark.Seq, err *tidemark.Error) {
	if !t.memberOf(u).Active() {
		return 0, nil
	}
	hiding := t.hidingPeer(id)
	body := wire.Members{Removed: texts([]tidemark.UserID{id})}
	e, err := t.writeMembers(&body, "", tidemark.SystemUser, t.ordinal(tidemark.SystemUser), t.env.NowMs)
	if err != nil {
		return 0, err
	}
	if hiding > 0 {
		m := t.ownMember(hiding, false)
		m.HiddenSeq, m.Position = t.head.Seq, t.env.Position
	}
	return e.Seq, nil
}

// hidingPeer is the peer of a direct conversation, if it hides the conversation now; else 0.
func (t *turn) hidingPeer(id tidemark.UserID) record.User {
	peer, direct := t.info.ID.Peer(id)
	if u, met := t.lookup(peer); direct && met {
		if m := t.memberOf(u); m.Active() && m.HiddenAt(t.head.Seq) {
			return u
		}
	}
	return 0
}

// endContact ends a contact or a request for both, and what the user has said of the peer. What the peer has said of the
// user, a block or a remark, is the peer's.
func (t *turn) endContact(id tidemark.UserID) {
	peer, direct := t.info.ID.Peer(id)
	u, _ := t.lookup(id)
	if m := t.memberOf(u); !direct || m == nil {
		return
	}
	mine, theirs := sideOf(t.memberOf(u)), side{}
	if p, met := t.lookup(peer); met {
		theirs = sideOf(t.memberOf(p))
	}
	own, other := mine, theirs
	settle(&own, &other, record.NoContact)
	own.blocked, own.remark = false, ""
	t.stand(id, mine, own)
	t.stand(peer, theirs, other)
}

// empty takes out of the record of a user who has left what was the user's own, and all of the history from the user's
// sight: who has the id one day must find nothing of it. A room keeps no such things.
func (t *turn) empty(u record.User) {
	old := t.memberOf(u)
	if old == nil || old.Active() || t.info.Kind == record.Room {
		return
	}
	next := *old
	next.Pinned, next.Muted, next.Hidden, next.HiddenSeq, next.MarkedUnread, next.Alias = false, false, false, 0, false, ""
	if counted, kept := t.countedAt(old.LeftSeq); kept && old.VisibleFrom <= old.LeftSeq {
		next.GrantedFrom = old.Granted()
		next.ClearedSeq, next.VisibleFrom = old.LeftSeq, old.LeftSeq+1
		if next.ReadSeq < old.LeftSeq {
			t.moveMark(&next, old.LeftSeq, counted)
		}
	}
	if next != *old {
		next.Position = t.env.Position
		*t.ownMember(u, false) = next
	}
	if old.PrivatePosition > 0 {
		t.setPrivate(new(record.Private))
	}
}

// named is the entry of a user in the index of where users are named without having it in their lists.
func (t *turn) named(u record.User) record.Index {
	return record.Index{Kind: record.NamedIndex, User: u, Conversation: t.info.Ordinal}
}
