// SPDX-License-Identifier: Apache-2.0

// Members: who is added and removed by others, and what joining and leaving change. Who comes and goes on their own is
// in joining.go, who has which role in roles.go.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// handleAddMembers adds those who are not members yet, with one event; if there are none, with none.
func (t *turn) handleAddMembers(cmd *AddMembers) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	role := max(cmd.Role, record.MemberRole)
	if err := t.mayAdd(role); err != nil {
		return Reply{Err: err}
	}
	named, err := distinct(cmd.Members)
	if err != nil {
		return Reply{Err: err}
	}
	members := named[:0]
	for _, id := range named {
		if u, met := t.view.User(id); !met || !t.view.Member(t.info.Ordinal, u).Active() {
			members = append(members, id)
		}
	}
	if len(members) == 0 {
		return t.unchanged()
	}
	if err := cmd.Unwilling.check(members); err != nil {
		return Reply{Err: err}
	}
	err = t.canAdmit(members)
	if err == nil && role > member {
		err = t.checkStaff(len(members))
	}
	if err != nil {
		return Reply{Err: err}
	}
	body := wire.Members{Added: texts(members)}
	if role != record.MemberRole {
		body.Roles = make(map[string]wire.Role, len(members))
		for _, id := range members {
			body.Roles[string(id)] = wire.Role(role)
		}
	}
	return t.changeMembers(&body)
}

// mayAdd refuses who may not add members with a role: it takes the right to give that role as well.
func (t *turn) mayAdd(role record.Role) *tidemark.Error {
	err := t.may(ToInvite)
	switch {
	case err != nil:
		return err
	case role > owner:
		return tidemark.Refuse(tidemark.BadArgument, "role %d does not exist", role)
	case role == owner:
		return t.may(ToMakeOwner)
	case role == admin:
		return t.may(ToSetRole)
	}
	return nil
}

// handleRemoveMembers removes those who are members, with one event; if there are none, with none.
func (t *turn) handleRemoveMembers(cmd *RemoveMembers) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToRemove); err != nil {
		return Reply{Err: err}
	}
	named, err := distinct(cmd.Members)
	if err != nil {
		return Reply{Err: err}
	}
	members := named[:0]
	for _, id := range named {
		_, m := t.removable(id)
		if m == nil {
			continue
		}
		if err := t.mayTo(ToRemove, "remove", id, m); err != nil {
			return Reply{Err: err}
		}
		members = append(members, id)
	}
	if len(members) == 0 {
		return t.unchanged()
	}
	t.expect(len(members))
	return t.changeMembers(&wire.Members{Removed: texts(members)})
}

// changeMembers appends the event that changes the member list.
func (t *turn) changeMembers(body *wire.Members) Reply {
	if t.user == 0 {
		t.user = t.ordinal(t.writer)
	}
	e, err := t.writeMembers(body, "", t.writer, t.user, t.env.NowMs)
	if err != nil {
		return Reply{Err: err}
	}
	reply := answer(e)
	reply.Members, reply.Info = t.head.Members, t.info
	return reply
}

// writeMembers appends an event about members, which takes effect. Its body may be larger than a message, but must fit a
// frame.
func (t *turn) writeMembers(
	body *wire.Members, clientID tidemark.ClientID, writer tidemark.UserID, user record.User, timeMs uint64,
) (*record.Event, *tidemark.Error) {
	data := wire.MarshalBody(&wire.Body{Body: &wire.Body_Members{Members: body}})
	if bytesMax := max(t.limits.BodyBytesMax, t.limits.FrameBytesMax/2); len(data) > int(bytesMax) {
		return nil, tidemark.Refuse(tidemark.TooLarge, "the list of members takes %d bytes, at most %d fit one event: "+
			"name fewer users, and add the others by further requests", len(data), bytesMax)
	}
	e := t.append(draft{
		writer: writer, user: user, clientID: clientID, kind: record.MembersBody, body: data, timeMs: timeMs,
	})
	t.membersTakeEffect(body)
	return e, nil
}

// canAdmit refuses users who are to join if there is no room for them, and gives them their ordinals.
func (t *turn) canAdmit(members []tidemark.UserID) *tidemark.Error {
	most := t.limits.MembersMax
	if set := t.info.Settings.MembersMax; set > 0 {
		most = min(most, set)
	}
	if total := int(t.head.Members) + len(members); total > int(most) {
		return tidemark.Refuse(tidemark.TooMany, "%s would have %d members, at most %d are allowed", t.info.ID, total, most)
	}
	t.expect(len(members))
	for _, id := range members {
		u := t.ordinal(id)
		if id != tidemark.SystemUser && t.info.Kind != record.Room && t.view.ConversationsOf(u) >= int(t.limits.ConversationsMax) {
			return tidemark.Refuse(tidemark.TooMany, "%s is in %d conversations already, more are not allowed",
				id, t.limits.ConversationsMax)
		}
	}
	return nil
}

// expect prepares for changing so many member records.
func (t *turn) expect(members int) {
	if members > 8 && t.members == nil {
		t.members = make(map[record.User]int, members)
	}
}

// admit makes a user a member by the event just appended. What came before that event is read; it is visible where the
// settings say so. Who comes back begins anew, but for being silenced, since leaving is no way out of that, and for what
// the user has deleted for itself.
func (t *turn) admit(u record.User, role record.Role) *record.Member {
	m := t.ownMember(u, false)
	*m = record.Member{
		Role: role, JoinedSeq: t.head.Seq, VisibleFrom: t.head.Seq, MentionSeq: m.MentionSeq,
		ListPosition:    t.env.Position,
		SilencedUntilMs: m.SilencedUntilMs, LastPostMs: m.LastPostMs,
		PrivatePosition: m.PrivatePosition, ClearedSeq: m.ClearedSeq,
		ContactPosition: m.ContactPosition, // a contact that has ended is in the index
	}
	if t.info.Kind == record.Room {
		t.index(t.named(u), false)
	}
	if t.info.Settings.HistoryFromStart || t.info.Kind == record.Room {
		m.VisibleFrom = 1
	}
	if m.ClearedSeq > 0 {
		m.GrantedFrom, m.VisibleFrom = m.VisibleFrom, max(m.VisibleFrom, m.ClearedSeq+1)
	}
	t.readBy(m)
	t.head.Members++
	t.enlist(u, role)
	t.clearRequest(u)
	return m
}

// dismiss ends a membership by the event just appended. Who was in a room without a record has none.
func (t *turn) dismiss(u record.User) {
	room := t.info.Kind == record.Room
	if room && !t.memberOf(u).Active() {
		return
	}
	m := t.ownMember(u, room)
	if room {
		t.index(t.named(u), true)
	}
	m.LeftSeq = t.head.Seq
	m.Position, m.ListPosition = t.env.Position, t.env.Position
	t.head.Members--
	t.enlist(u, 0)
}

func texts(users []tidemark.UserID) []string {
	list := make([]string, len(users))
	for i, user := range users {
		list[i] = string(user)
	}
	return list
}
