// SPDX-License-Identifier: Apache-2.0

// Users and their devices, in the user's home partition.

package core

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// handleUpsertUser creates a user or replaces the whole profile.
func (t *turn) handleUpsertUser(cmd *UpsertUser) Reply {
	if !cmd.User.Valid() {
		return refuse(tidemark.BadArgument, "user %q is not an id: it takes %s", cmd.User, tidemark.IDAlphabet)
	}
	if f, _ := t.view.Profile(cmd.User); f != nil && f.DeletedPosition > 0 && !cmd.Anew {
		return refuse(tidemark.Unavailable, "the account of %q is ending: retry, and the id begins anew", cmd.User)
	}
	return t.setProfile(cmd.User, &cmd.Nickname, &cmd.Avatar, withoutEmpty(cmd.Custom), cmd.Custom)
}

// handleUpdateUser changes the fields that are given.
func (t *turn) handleUpdateUser(cmd *UpdateUser) Reply {
	if !t.exists(cmd.User) {
		return unknownUser(cmd.User)
	}
	old, _ := t.view.Profile(cmd.User)
	return t.setProfile(cmd.User, cmd.Nickname, cmd.Avatar, merged(old.Custom, cmd.Custom), cmd.Custom)
}

// setProfile writes a profile; what is nil stays as it was. A field that really changes gets the position of this
// commit, so that who knows an older one is told of that field alone.
func (t *turn) setProfile(id tidemark.UserID, nickname, avatar *string, custom, given map[string]string) Reply {
	if err := t.checkInfo(nil, avatar, given); err != nil {
		return Reply{Err: err}
	}
	if nickname != nil {
		if err := checkText("nickname", *nickname, t.limits.TitleBytesMax); err != nil {
			return Reply{Err: err}
		}
	}
	if err := t.checkCustom(custom); err != nil {
		return Reply{Err: err}
	}
	old, exists := t.view.Profile(id)
	if exists && old.DeletedPosition > 0 {
		exists = false // the id begins anew, with nothing but the tokens that are refused
		t.out.Accounts = append(t.out.Accounts, &record.Account{User: id, TokensFromMs: t.account(id).TokensFromMs})
	}
	next := record.Profile{ID: id}
	if exists {
		next = *old
	}
	position := t.env.Position
	if nickname != nil && (!exists || *nickname != next.Nickname) {
		next.Nickname, next.NicknamePosition = *nickname, position
	}
	if avatar != nil && (!exists || *avatar != next.Avatar) {
		next.Avatar, next.AvatarPosition = *avatar, position
	}
	if !exists || !maps.Equal(custom, next.Custom) {
		next.Custom, next.CustomPosition = custom, position
	}
	if exists && next.Position() != position {
		return Reply{Profile: old, Position: old.Position()}
	}
	t.putProfile(old, &next)
	return Reply{Profile: &next, Position: position, Created: !exists}
}

// putProfile writes a profile, and moves the user to the end of the index of changed profiles: the one row that tells
// everybody who knows the user, however many they are. old is the profile as it was; nil if there was none.
func (t *turn) putProfile(old, next *record.Profile) {
	t.out.Profiles = append(t.out.Profiles, next)
	if old != nil {
		if old.Position() == next.Position() {
			return
		}
		t.out.Indexes = append(t.out.Indexes, record.IndexChange{Index: profileEntry(old), Removed: true})
	}
	t.out.Indexes = append(t.out.Indexes, record.IndexChange{Index: profileEntry(next)})
}

// profileEntry is where a profile stands in the index of changed profiles.
func profileEntry(p *record.Profile) record.Index {
	return record.Index{Kind: record.ProfileIndex, Position: p.Position(), ID: string(p.ID)}
}

// handleSeeDevice makes or refreshes the record of a device that has come.
func (t *turn) handleSeeDevice(cmd *SeeDevice) Reply {
	if !cmd.Device.Valid() {
		return refuse(tidemark.BadArgument, "device %q is not an id: it takes %s", cmd.Device, tidemark.IDAlphabet)
	}
	if !t.exists(cmd.User) {
		return unknownUser(cmd.User)
	}
	if err := checkText("platform", cmd.Platform, t.limits.TitleBytesMax); err != nil {
		return Reply{Err: err}
	}
	if err := checkText("client", cmd.Client, t.limits.TitleBytesMax); err != nil {
		return Reply{Err: err}
	}
	device := record.Device{ID: cmd.Device, FirstSeenMs: t.env.NowMs}
	old, exists := t.view.Device(cmd.User, cmd.Device)
	if exists {
		device = *old
	} else if cmd.Gone {
		return Reply{} // it was forgotten meanwhile
	}
	var replaced []tidemark.DeviceID
	if !exists || !strings.EqualFold(old.Platform, cmd.Platform) && !cmd.Gone {
		var err *tidemark.Error
		if replaced, err = t.makeRoom(cmd); err != nil {
			return Reply{Err: err}
		}
	}
	device.Platform, device.Client = cmd.Platform, cmd.Client
	device.LastSeenMs = max(device.LastSeenMs, t.env.NowMs)
	t.out.Devices = append(t.out.Devices, record.DeviceChange{User: cmd.User, Device: &device})
	return Reply{Position: t.env.Position, Created: !exists, Replaced: replaced}
}

// makeRoom forgets the devices whose place another takes, or refuses it.
func (t *turn) makeRoom(cmd *SeeDevice) ([]tidemark.DeviceID, *tidemark.Error) {
	others := slices.DeleteFunc(slices.Clone(t.view.Devices(cmd.User)), func(d *record.Device) bool { return d.ID == cmd.Device })
	slices.SortFunc(others, func(a, b *record.Device) int {
		aOnline, bOnline := slices.Contains(cmd.Online, a.ID), slices.Contains(cmd.Online, b.ID)
		switch {
		case aOnline && !bOnline:
			return 1
		case bOnline && !aOnline:
			return -1
		}
		return cmp.Or(cmp.Compare(a.LastSeenMs, b.LastSeenMs), cmp.Compare(a.ID, b.ID))
	})
	ofPlatform := 0
	for _, d := range others {
		if strings.EqualFold(d.Platform, cmd.Platform) {
			ofPlatform++
		}
	}
	surplus := 0 // devices of this platform that have to go
	if cmd.PlatformMax > 0 {
		surplus = max(0, ofPlatform+1-int(cmd.PlatformMax))
	}
	over := max(0, len(others)+1-surplus-int(t.limits.DevicesMax)) // devices of any platform, beside those
	if cmd.Refuse && surplus > 0 {
		return nil, tidemark.Refuse(tidemark.TooMany, "%s has %d devices of platform %q, more are not allowed: forget one first",
			cmd.User, ofPlatform, cmd.Platform)
	}
	if cmd.Refuse && over > 0 {
		return nil, tidemark.Refuse(tidemark.TooMany, "%s has %d devices, more are not allowed: forget one first",
			cmd.User, len(others))
	}
	var replaced []tidemark.DeviceID
	for _, d := range others {
		switch {
		case surplus > 0 && strings.EqualFold(d.Platform, cmd.Platform):
			surplus--
		case over > 0:
			over--
		default:
			continue
		}
		replaced = append(replaced, d.ID)
		t.out.Devices = append(t.out.Devices, record.DeviceChange{User: cmd.User, Device: d, Removed: true})
	}
	return replaced, nil
}

// handleForgetDevice removes the record of a device; one that is not there is forgotten already.
func (t *turn) handleForgetDevice(cmd *ForgetDevice) Reply {
	old, exists := t.view.Device(cmd.User, cmd.Device)
	if !exists {
		return Reply{}
	}
	t.out.Devices = append(t.out.Devices, record.DeviceChange{User: cmd.User, Device: old, Removed: true})
	return Reply{Position: t.env.Position}
}
