// SPDX-License-Identifier: Apache-2.0

// Accounts: what a user has chosen, which of its tokens hold, and its end; in the user's home partition.

package core

import (
	"cmp"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// RevokedMax bounds the devices of one account whose tokens are refused, each since a time of its own. Signing out
// everywhere makes all of them superfluous.
const RevokedMax = 64

// handleSetOptions changes what a user has chosen for itself.
func (t *turn) handleSetOptions(cmd *SetOptions) Reply {
	if !t.exists(cmd.User) {
		return unknownUser(cmd.User)
	}
	next := t.account(cmd.User)
	before := [...]bool{next.HidePresence, next.HideTyping, next.ContactsOnly}
	set := func(field, value *bool) {
		if value != nil {
			*field = *value
		}
	}
	set(&next.HidePresence, cmd.HidePresence)
	set(&next.HideTyping, cmd.HideTyping)
	set(&next.ContactsOnly, cmd.ContactsOnly)
	if before == [...]bool{next.HidePresence, next.HideTyping, next.ContactsOnly} {
		return Reply{Account: next}
	}
	t.out.Accounts = append(t.out.Accounts, next)
	return Reply{Account: next, Position: t.env.Position}
}

// handleRevokeTokens refuses the tokens issued so far, those of this millisecond included: of one device, or all.
func (t *turn) handleRevokeTokens(cmd *RevokeTokens) Reply {
	if cmd.Device != "" && !cmd.Device.Valid() {
		return refuse(tidemark.BadArgument, "device %q is not an id: it takes %s", cmd.Device, tidemark.IDAlphabet)
	}
	if !t.exists(cmd.User) {
		return unknownUser(cmd.User)
	}
	next := t.account(cmd.User)
	from := max(t.env.NowMs, next.TokensFromMs) + 1
	if cmd.Device == "" {
		next.TokensFromMs = t.pastTokens(next)
	}
	next.Revoked = slices.DeleteFunc(next.Revoked, func(r record.RevokedDevice) bool {
		return r.FromMs <= next.TokensFromMs
	})
	if cmd.Device != "" {
		i, found := slices.BinarySearchFunc(next.Revoked, cmd.Device, func(r record.RevokedDevice, d tidemark.DeviceID) int {
			return cmp.Compare(r.Device, d)
		})
		switch {
		case found:
			next.Revoked[i].FromMs = max(next.Revoked[i].FromMs+1, from)
		case len(next.Revoked) >= RevokedMax:
			return refuse(tidemark.TooMany, "the tokens of %d devices of %s are revoked one by one, more are not kept: "+
				"revoke those of all devices", RevokedMax, cmd.User)
		default:
			next.Revoked = slices.Insert(next.Revoked, i, record.RevokedDevice{Device: cmd.Device, FromMs: from})
		}
	}
	t.out.Accounts = append(t.out.Accounts, next)
	return Reply{Account: next, Position: t.env.Position}
}

// handleDeleteUser ends an account: the profile becomes an empty one that says so, tokens are refused, devices are
// forgotten. What the user is elsewhere is ended by Depart. An account that has ended stays as it is.
func (t *turn) handleDeleteUser(cmd *DeleteUser) Reply {
	old, known := t.view.Profile(cmd.User)
	if !known {
		return unknownUser(cmd.User)
	}
	if old.DeletedPosition > 0 {
		return Reply{Profile: old, Account: t.view.Account(cmd.User), Position: old.DeletedPosition}
	}
	position := t.env.Position
	next := record.Profile{
		ID: cmd.User, DeletedPosition: position, NicknamePosition: old.NicknamePosition,
		AvatarPosition: old.AvatarPosition, CustomPosition: old.CustomPosition,
	}
	if old.Nickname != "" {
		next.NicknamePosition = position
	}
	if old.Avatar != "" {
		next.AvatarPosition = position
	}
	if len(old.Custom) > 0 {
		next.CustomPosition = position
	}
	account := &record.Account{User: cmd.User, DeletedMs: max(t.env.NowMs, 1), TokensFromMs: t.pastTokens(t.account(cmd.User))}
	t.out.Accounts = append(t.out.Accounts, account)
	t.putProfile(old, &next)
	for _, d := range t.view.Devices(cmd.User) {
		t.out.Devices = append(t.out.Devices, record.DeviceChange{User: cmd.User, Device: d, Removed: true})
	}
	return Reply{Profile: &next, Account: account, Position: position, Created: true}
}

// pastTokens is later than any token that an account has, of whatever device. Who issues a token dates it not before the
// last revocation. So when the clock has stepped back, or the millisecond is the same, there may be tokens with the very
// time of that: each revocation is later than those before.
func (t *turn) pastTokens(a *record.Account) uint64 {
	from := max(t.env.NowMs, a.TokensFromMs)
	for _, r := range a.Revoked {
		from = max(from, r.FromMs)
	}
	return from + 1
}

// account is a copy of a user's account, to be changed; an empty one if there is none.
func (t *turn) account(id tidemark.UserID) *record.Account {
	old := t.view.Account(id)
	if old == nil {
		return &record.Account{User: id}
	}
	next := *old
	next.Revoked = slices.Clone(old.Revoked)
	return &next
}

// exists reports whether there is such a user: at home here, and not deleted.
func (t *turn) exists(id tidemark.UserID) bool {
	p, known := t.view.Profile(id)
	return known && p.DeletedPosition == 0
}

func unknownUser(id tidemark.UserID) Reply {
	return refuse(tidemark.UnknownUser, "there is no user %q", id)
}
