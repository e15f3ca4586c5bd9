// SPDX-License-Identifier: Apache-2.0

// Who asks and where: finding the conversation of a command and the asking user in it. What they may is in rights.go.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// identify sets who asks. Without a user, or as the system, that is the app's back end in its own name, with every right.
// A back end that acts for a user has that user's rights in a conversation, no more: leaving the user out gives it all.
func (t *turn) identify(actor Actor) *tidemark.Error {
	switch {
	case actor.User == "" || actor.User == tidemark.SystemUser:
		if !actor.App {
			return tidemark.Refuse(tidemark.NotAllowed, "only the app's back end acts as the system; name a user")
		}
		t.writer, t.full = tidemark.SystemUser, true
	case !actor.User.Valid():
		return tidemark.Refuse(tidemark.BadArgument, "user %q is not an id: it takes %s", actor.User, tidemark.IDAlphabet)
	default:
		t.writer = actor.User
	}
	return nil
}

// enter sets who asks and where, and refuses those who are no members of the conversation.
func (t *turn) enter(actor Actor, id tidemark.ConversationID) *tidemark.Error {
	if err := t.identify(actor); err != nil {
		return err
	}
	found, err := t.find(id)
	if err != nil {
		return err
	}
	if !found {
		return unknown(id)
	}
	return t.needMember()
}

// unknown refuses where there is no conversation, or nobody may know of it but who is in it.
func unknown(id tidemark.ConversationID) *tidemark.Error {
	return tidemark.Refuse(tidemark.UnknownConversation, "there is no conversation %q", id)
}

// find looks for the conversation and for the asking user in it.
func (t *turn) find(id tidemark.ConversationID) (found bool, err *tidemark.Error) {
	info, found := t.view.Conversation(id)
	if !found {
		if _, _, direct := id.Peers(); !direct && !id.Valid() {
			return false, tidemark.Refuse(tidemark.BadArgument, "conversation %q is not an id: it takes %s, "+
				"or for the direct conversation of a and b \"a~b\" with the two in byte order", id, tidemark.IDAlphabet)
		}
		return false, nil
	}
	t.info, t.head = info, t.view.Head(info.Ordinal)
	user, met := t.view.User(t.writer)
	if info.Kind == record.Room {
		t.user, t.member = user, t.inRoom(t.writer)
		return true, nil
	}
	if met {
		t.user = user
		if m := t.view.Member(info.Ordinal, user); m.Active() {
			t.member = m
		}
	}
	return true, nil
}

// needMember refuses who is no member. Whether two users have a direct conversation is known to its members only.
func (t *turn) needMember() *tidemark.Error {
	switch {
	case t.member != nil || t.full:
	case t.info.Kind == record.Direct:
		return unknown(t.info.ID)
	case t.info.Kind == record.Room:
		return tidemark.Refuse(tidemark.NotMember, "%s is not in %s: a room is entered by a connection", t.writer, t.info.ID)
	default:
		return tidemark.Refuse(tidemark.NotMember, "%s is not a member of %s", t.writer, t.info.ID)
	}
	return nil
}

// lookup is a user's ordinal in this partition, if it has one.
func (t *turn) lookup(id tidemark.UserID) (record.User, bool) {
	if u, ok := t.known[id]; ok {
		return u, true
	}
	return t.view.User(id)
}

// ordinal is a user's ordinal in this partition, given now if the partition has not met the user.
func (t *turn) ordinal(id tidemark.UserID) record.User {
	if u, ok := t.lookup(id); ok {
		return u
	}
	t.partition.Users++
	u := t.partition.Users
	if t.known == nil {
		t.known = make(map[tidemark.UserID]record.User)
	}
	t.known[id] = u
	t.out.Users = append(t.out.Users, record.UserChange{Ordinal: u, ID: id})
	return u
}

// memberOf is a user's record as it stands after what this command has written; nil if there never was one. It must
// not be changed: see ownMember.
func (t *turn) memberOf(u record.User) *record.Member {
	if i := t.written(u); i >= 0 {
		return t.out.Members[i].Member
	}
	return t.view.Member(t.info.Ordinal, u)
}

// ownMember is a user's record, to be changed by this command. It is quiet if nobody asked for a change that is not, and
// in a room, which is in nobody's list.
func (t *turn) ownMember(u record.User, quiet bool) *record.Member {
	quiet = quiet || t.info.Kind == record.Room
	if i := t.written(u); i >= 0 {
		t.out.Members[i].Quiet = t.out.Members[i].Quiet && quiet
		return t.out.Members[i].Member
	}
	m := new(record.Member)
	if old := t.view.Member(t.info.Ordinal, u); old != nil {
		*m = *old
	}
	if t.members != nil {
		t.members[u] = len(t.out.Members)
	}
	t.out.Members = append(t.out.Members, record.MemberChange{
		Conversation: t.info.Ordinal, User: u, Member: m, Quiet: quiet,
	})
	return m
}

// written is where in out a user's record is; -1 if this command has not changed it.
func (t *turn) written(u record.User) int {
	if t.members != nil {
		if i, ok := t.members[u]; ok {
			return i
		}
		return -1
	}
	for i := range t.out.Members {
		if t.out.Members[i].User == u {
			return i
		}
	}
	return -1
}
