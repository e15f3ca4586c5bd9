// SPDX-License-Identifier: Apache-2.0

// Roles: who is admin, who owns, who may not speak for a while.
//
// The rules never guess an owner. An owner leaves after having given the conversation to another member, or when nobody
// else is left, or when it is dissolved; only the app's back end can take an owner away and leave none.

package core

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	staffMax     = 200                    // admins and owners of a conversation: each hears of requests to join
	mutesMax     = 1000                   // members that one Mute names
	silenceMsMax = 10 * 365 * 24 * hourMs // the longest that one Mute lasts
	slowMsMax    = 24 * hourMs            // the longest wait of slow mode
)

// enlist keeps the list of admins and owners when a user's role has become this one, or the user has gone (0).
func (t *turn) enlist(u record.User, role record.Role) {
	i, listed := slices.BinarySearch(t.info.Staff, u)
	if is := role > member; is == listed || t.info.Kind == record.Direct {
		return
	}
	info := t.ownInfo()
	if listed {
		info.Staff = slices.Delete(slices.Clone(info.Staff), i, i+1)
	} else {
		info.Staff = slices.Insert(slices.Clone(info.Staff), i, u)
	}
}

// checkStaff refuses more admins and owners than a conversation may have.
func (t *turn) checkStaff(more int) *tidemark.Error {
	if n := len(t.info.Staff) + more; n > staffMax {
		return tidemark.Refuse(tidemark.TooMany, "%s would have %d admins and owners, at most %d are allowed: "+
			"make some of them members first", t.info.ID, n, staffMax)
	}
	return nil
}

// tellStaff changes the records of admins and owners, so that their devices hear how many requests to join there are.
func (t *turn) tellStaff() {
	for _, u := range t.info.Staff {
		if t.memberOf(u).Active() {
			t.ownMember(u, false).Position = t.env.Position
		}
	}
}

// activeMember is a member's ordinal and record; who is none cannot be meant.
func (t *turn) activeMember(id tidemark.UserID) (record.User, *record.Member, *tidemark.Error) {
	if u, met := t.view.User(id); met {
		if m := t.view.Member(t.info.Ordinal, u); m.Active() {
			return u, m, nil
		}
	}
	return 0, nil, tidemark.Refuse(tidemark.NotMember, "%s is not a member of %s: add them first", id, t.info.ID)
}

// handleSetRole gives members a role, with one event; those who have it are passed over.
func (t *turn) handleSetRole(cmd *SetRole) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	action := ToSetRole
	if cmd.Role == owner {
		action = ToMakeOwner
	}
	if err := t.may(action); err != nil {
		return Reply{Err: err}
	}
	if cmd.Role < member || cmd.Role > owner {
		return refuse(tidemark.BadArgument, "role %d cannot be given: give MEMBER, ADMIN, or as the app OWNER", cmd.Role)
	}
	named, err := distinct(cmd.Members)
	if err != nil {
		return Reply{Err: err}
	}
	more, roles := 0, make(map[string]wire.Role, len(named))
	for _, id := range named {
		_, m, err := t.activeMember(id)
		if err == nil && m.Role != cmd.Role {
			err = t.mayTo(action, "change the role of", id, m)
		}
		switch {
		case err != nil:
			return Reply{Err: err}
		case m.Role == cmd.Role:
			continue
		case m.Role == member:
			more++
		}
		roles[string(id)] = wire.Role(cmd.Role)
	}
	if len(roles) == 0 {
		return t.unchanged()
	}
	if err := t.checkStaff(more); err != nil {
		return Reply{Err: err}
	}
	t.expect(len(roles))
	return t.changeMembers(&wire.Members{Roles: roles})
}

// setRole changes a member's role by the event just appended.
func (t *turn) setRole(u record.User, role record.Role) {
	m := t.ownMember(u, false)
	if role > m.Role {
		m.SilencedUntilMs = 0 // whoever trusts a member with more lets it speak
	}
	m.Role, m.Position = role, t.env.Position
	t.enlist(u, role)
}

// handleTransfer makes a member the owner and who owned it an admin, with one event. The app in its own name takes it
// from all owners there are. Doing it again, by whoever has just given it away, changes nothing.
func (t *turn) handleTransfer(cmd *Transfer) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	heirs, err := distinct([]tidemark.UserID{cmd.Member})
	if err != nil {
		return Reply{Err: err}
	}
	heir, m, err := t.activeMember(cmd.Member)
	if err == nil && m.Role == owner && (t.full && len(t.owners(heir)) == 0 || !t.full && t.member.Role < owner) {
		return t.unchanged()
	}
	if refused := t.may(ToTransfer); refused != nil {
		return Reply{Err: refused}
	}
	if err != nil {
		return Reply{Err: err}
	}
	from := []record.User{t.user}
	if t.full {
		from = t.owners(heir)
	} else if heir == t.user {
		return t.unchanged()
	}
	if m.Role == member {
		if err := t.checkStaff(1); err != nil {
			return Reply{Err: err}
		}
	}
	roles := map[string]wire.Role{string(heirs[0]): wire.Role_OWNER}
	for _, u := range from {
		roles[string(t.view.UserID(u))] = wire.Role_ADMIN
	}
	return t.changeMembers(&wire.Members{Roles: roles})
}

// owners are the owners of a conversation but one.
func (t *turn) owners(but record.User) []record.User {
	var list []record.User
	for _, u := range t.info.Staff {
		if m := t.view.Member(t.info.Ordinal, u); u != but && m.Active() && m.Role == owner {
			list = append(list, u)
		}
	}
	return list
}

// handleMute keeps members from posting for a time, or mutes everybody. What is kept of a member's silence is a time in
// its own record, which only that member's devices hear of; muting everybody is a setting, which everybody hears of.
func (t *turn) handleMute(cmd *Mute) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	switch {
	case cmd.All != nil && (len(cmd.Members) > 0 || cmd.ForMs > 0):
		return refuse(tidemark.BadArgument, "mute members for a time, or all until further notice: not both at once")
	case cmd.All != nil:
		settings := t.info.Settings
		settings.MuteAll = *cmd.All
		return t.update(&Update{Settings: WireSettings(settings)})
	case cmd.ForMs > silenceMsMax:
		return refuse(tidemark.BadArgument, "forMs %d is too long: at most %d", cmd.ForMs, uint64(silenceMsMax))
	case len(cmd.Members) > mutesMax:
		return refuse(tidemark.TooMany, "%d members at once are too many: name at most %d", len(cmd.Members), mutesMax)
	}
	if err := t.may(ToMute); err != nil {
		return Reply{Err: err}
	}
	named, err := distinct(cmd.Members)
	if err != nil {
		return Reply{Err: err}
	}
	until := uint64(0)
	if cmd.ForMs > 0 {
		until = t.env.NowMs + cmd.ForMs
	}
	t.expect(len(named))
	for _, id := range named {
		u, m, err := t.mutable(id)
		if err == nil {
			err = t.mayTo(ToMute, "mute", id, m)
		}
		if err != nil {
			return Reply{Err: err}
		}
		if m.SilencedUntilMs != until {
			room := t.info.Kind == record.Room
			if u == 0 && room {
				u = t.ordinal(id)
			}
			m = t.ownMember(u, room)
			m.SilencedUntilMs, m.Position = until, t.env.Position
		}
	}
	reply := t.unchanged()
	reply.UntilMs = until
	if len(t.out.Members) > 0 {
		reply.Position = t.env.Position
	}
	return reply
}
