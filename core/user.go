// SPDX-License-Identifier: Apache-2.0

// Users and their devices, in the user's home partition.

package core

import (
	"maps"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// handleUpsertUser creates a user or replaces the whole profile.
func (t *turn) handleUpsertUser(cmd *UpsertUser) Reply {
	if !cmd.User.Valid() {
		return refuse(tidemark.BadArgument, "user %q is not an id: it takes %s", cmd.User, tidemark.IDAlphabet)
	}
	return t.setProfile(cmd.User, &cmd.Nickname, &cmd.Avatar, withoutEmpty(cmd.Custom), cmd.Custom)
}

// handleUpdateUser changes the fields that are given.
func (t *turn) handleUpdateUser(cmd *UpdateUser) Reply {
	old, exists := t.view.Profile(cmd.User)
	if !exists {
		return refuse(tidemark.UnknownUser, "there is no user %q", cmd.User)
	}
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
	if _, exists := t.view.Profile(cmd.User); !exists {
		return refuse(tidemark.UnknownUser, "there is no user %q", cmd.User)
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
	} else if n := t.view.Devices(cmd.User); n >= int(t.limits.DevicesMax) {
		return refuse(tidemark.TooMany, "%s has %d devices, more are not allowed: forget one first", cmd.User, n)
	}
	device.Platform, device.Client = cmd.Platform, cmd.Client
	device.LastSeenMs = max(device.LastSeenMs, t.env.NowMs)
	t.out.Devices = append(t.out.Devices, record.DeviceChange{User: cmd.User, Device: &device})
	return Reply{Position: t.env.Position, Created: !exists}
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
