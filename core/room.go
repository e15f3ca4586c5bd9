// SPDX-License-Identifier: Apache-2.0

// Rooms: who is in one, and its attributes.
//
// Who is in a room is known to whoever holds the connections ([View.Entered]); nothing of it is written. Member records
// in a room are of those who were given something there: the owner, admins, and whom a room by invitation lets in. They
// are quiet: a room is in nobody's list of conversations, and has no read marks.

package core

import (
	"slices"
	"strings"
	"unicode/utf8"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Bounds of a room's attributes.
const (
	attributesMax      = 64
	attributesBytesMax = 16 << 10 // keys and values together
)

func (t *turn) dispatchToRoom(cmd Command) Reply {
	if cmd, drop := cmd.(*DropAttributes); drop {
		return t.handleDropAttributes(cmd)
	}
	return t.handleSetAttributes(cmd.(*SetAttributes))
}

// inRoom is the record with which a user acts in the turn's room; nil for a user who is not in it and is no admin or
// owner. Who is in it without a record has one made up for the turn: it is never written.
func (t *turn) inRoom(id tidemark.UserID) *record.Member {
	var stored *record.Member
	if u, met := t.lookup(id); met {
		stored = t.memberOf(u)
	}
	switch {
	case stored.Active() && stored.Role >= record.AdminRole:
		return stored
	case !t.view.Entered(t.info.Ordinal, id):
		return nil
	case stored.Active():
		return stored
	}
	return Guest(stored)
}

// Guest is the record with which a user is in a room who is no member of it. What is stored of such a user, or nil, says
// only how long the user may not post, and when the user last has.
func Guest(stored *record.Member) *record.Member {
	guest := &record.Member{Role: record.MemberRole, JoinedSeq: 1, VisibleFrom: 1}
	if stored != nil {
		guest.SilencedUntilMs, guest.LastPostMs = stored.SilencedUntilMs, stored.LastPostMs
	}
	return guest
}

// removable is the record of whoever can be taken out of the conversation: an active member's, and in a room also that
// of a user who is in it; nil for anybody else.
func (t *turn) removable(id tidemark.UserID) (record.User, *record.Member) {
	u, met := t.lookup(id)
	if met {
		if m := t.memberOf(u); m.Active() {
			return u, m
		}
	}
	if t.info.Kind == record.Room {
		return u, t.inRoom(id)
	}
	return 0, nil
}

// mutable is the record of somebody who can be kept from posting: an active member's, and in a room also that of a user who
// is in it, or was kept from posting before.
func (t *turn) mutable(id tidemark.UserID) (record.User, *record.Member, *tidemark.Error) {
	if t.info.Kind == record.Room {
		u, met := t.lookup(id)
		if m := t.inRoom(id); m != nil {
			return u, m, nil
		}
		if met {
			if stored := t.memberOf(u); stored != nil {
				return u, Guest(stored), nil
			}
		}
	}
	return t.activeMember(id)
}

// MayEnter refuses a user whom a room does not let in; m is the user's record there, nil if there is none.
func MayEnter(info *record.Info, user tidemark.UserID, m *record.Member) *tidemark.Error {
	if info.Kind != record.Room {
		return tidemark.Refuse(tidemark.BadArgument, "%s is not a room: only rooms are entered", info.ID)
	}
	if m.Active() || joinPolicy(info) == wire.JoinPolicy_OPEN {
		return nil
	}
	return tidemark.Refuse(tidemark.NotAllowed, "%s is by invitation: an admin can add %s", info.ID, user)
}

// handleSetAttributes sets and removes attributes of a room with one event; if nothing changes, with none. A member sets
// keys that nobody has set and its own; admins, owners and the app all. Keys whose owner has gone are not there any more.
func (t *turn) handleSetAttributes(cmd *SetAttributes) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToSetAttributes); err != nil {
		return Reply{Err: err}
	}
	if err := checkAttributes(cmd.Set); err != nil {
		return Reply{Err: err}
	}
	if cmd.AutoDelete && !t.view.Entered(t.info.Ordinal, t.writer) {
		return refuse(tidemark.BadArgument, "autoDelete: %s is not in %s, so that the keys would go at once", t.writer, t.info.ID)
	}
	next, set := t.withoutGone(nil)
	for _, key := range sortedKeys(cmd.Set) {
		value := cmd.Set[key]
		i, found := findAttribute(next, key)
		if found && t.view.UserID(next[i].Owner) != t.writer && t.may(ToSetOthersAttributes) != nil {
			return refuse(tidemark.NotAllowed, "the key %q belongs to %s", key, t.view.UserID(next[i].Owner))
		}
		switch {
		case !found && value == "":
			continue
		case value == "":
			next = slices.Delete(next, i, i+1)
			set = setAttribute(set, &wire.Attribute{Key: key})
			continue
		}
		a := record.Attribute{Key: key, Value: value, Owner: t.ordinal(t.writer), AutoDelete: cmd.AutoDelete}
		if found && next[i] == a {
			continue
		}
		if found {
			next[i] = a
		} else {
			next = slices.Insert(next, i, a)
		}
		set = setAttribute(set, &wire.Attribute{Key: key, Value: value, Owner: string(t.writer), AutoDelete: cmd.AutoDelete})
	}
	if err := checkAttributesTotal(next); err != nil {
		return Reply{Err: err}
	}
	return t.writeAttributes(set)
}

// handleDropAttributes removes, in the name of the system, the attributes that were to go with their owner, who has
// gone. If there are none, or there is no such room, it does nothing.
func (t *turn) handleDropAttributes(cmd *DropAttributes) Reply {
	t.writer, t.full = tidemark.SystemUser, true
	if found, err := t.find(cmd.Conversation); err != nil || !found {
		return Reply{Err: err}
	}
	_, set := t.withoutGone(cmd.Gone)
	return t.writeAttributes(set)
}

// withoutGone are the room's attributes, to be changed, without those that were to go with an owner who is not in it any
// more, or has been seen to leave; and what tells of these.
func (t *turn) withoutGone(seen []record.Attribute) (next []record.Attribute, gone []*wire.Attribute) {
	for _, a := range t.info.Attributes {
		if a.AutoDelete && (slices.Contains(seen, a) || !t.view.Entered(t.info.Ordinal, t.view.UserID(a.Owner))) {
			gone = append(gone, &wire.Attribute{Key: a.Key})
			continue
		}
		next = append(next, a)
	}
	return next, gone
}

// writeAttributes appends the event that tells of changed attributes.
func (t *turn) writeAttributes(set []*wire.Attribute) Reply {
	if len(set) == 0 {
		return t.unchanged()
	}
	body := &wire.Info{Attributes: set}
	e := t.write("", record.InfoBody, wire.MarshalBody(&wire.Body{Body: &wire.Body_Info{Info: body}}), false)
	t.infoTakesEffect(e, body)
	reply := answer(e)
	reply.Info = t.info
	return reply
}

// setAttribute puts a change in its place, by key; a later one for the same key replaces an earlier one.
func setAttribute(set []*wire.Attribute, a *wire.Attribute) []*wire.Attribute {
	i, found := slices.BinarySearchFunc(set, a.Key, func(b *wire.Attribute, key string) int { return strings.Compare(b.Key, key) })
	if found {
		set[i] = a
		return set
	}
	return slices.Insert(set, i, a)
}

// findAttribute is where a key is among attributes, or belongs.
func findAttribute(attributes []record.Attribute, key string) (int, bool) {
	return slices.BinarySearchFunc(attributes, key, func(a record.Attribute, key string) int { return strings.Compare(a.Key, key) })
}

func checkAttributes(set map[string]string) *tidemark.Error {
	if len(set) == 0 {
		return tidemark.Refuse(tidemark.BadArgument, "no attribute is set or removed: name at least one")
	}
	size := 0
	for _, key := range sortedKeys(set) {
		value := set[key]
		size += len(key) + len(value)
		switch {
		case len(key) == 0 || len(key) > keyBytesMax:
			return tidemark.Refuse(tidemark.BadArgument, "attribute %q: a key takes 1 to %d bytes", key, keyBytesMax)
		case !utf8.ValidString(key) || !utf8.ValidString(value):
			return tidemark.Refuse(tidemark.BadArgument, "attribute %q: a key or value is not valid UTF-8", key)
		}
	}
	if size > attributesBytesMax {
		return tidemark.Refuse(tidemark.TooLarge, "the attributes have %d bytes, at most %d are allowed", size, attributesBytesMax)
	}
	return nil
}

func checkAttributesTotal(attributes []record.Attribute) *tidemark.Error {
	size := 0
	for _, a := range attributes {
		size += len(a.Key) + len(a.Value)
	}
	switch {
	case len(attributes) > attributesMax:
		return tidemark.Refuse(tidemark.TooMany, "the room would have %d attributes, at most %d are allowed",
			len(attributes), attributesMax)
	case size > attributesBytesMax:
		return tidemark.Refuse(tidemark.TooLarge, "the room's attributes would have %d bytes, at most %d are allowed",
			size, attributesBytesMax)
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
