// SPDX-License-Identifier: Apache-2.0

// The settings of a conversation: their limits, their two forms, and whose they are to change.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// checkSettings holds the limits of settings; nil is not given. No value locks an owner out: owners have every role
// that a setting can name, and no mute holds for them.
func (t *turn) checkSettings(s *wire.Settings) *tidemark.Error {
	if s == nil {
		return nil
	}
	if _, known := wire.JoinPolicy_name[int32(s.Join)]; !known {
		return tidemark.Refuse(tidemark.BadArgument, "settings.join %d is not a join policy: give INVITE, OPEN or REQUEST, "+
			"or none for the default", s.Join)
	}
	if err := checkRetention(s.Retention, t.membersNow()); err != nil {
		return err
	}
	for _, given := range [...]struct {
		name string
		role wire.Role
	}{
		{"post", s.Post}, {"invite", s.Invite}, {"edit", s.Edit}, {"pin", s.Pin}, {"mentionAll", s.MentionAll},
	} {
		if _, known := wire.Role_name[int32(given.role)]; !known {
			return tidemark.Refuse(tidemark.BadArgument, "settings.%s %d is not a role: give MEMBER, ADMIN or OWNER, "+
				"or none for the default", given.name, given.role)
		}
	}
	switch {
	case s.SlowModeMs > slowMsMax:
		return tidemark.Refuse(tidemark.BadArgument, "settings.slowModeMs %d is too long: give at most %d, or 0 for none",
			s.SlowModeMs, slowMsMax)
	case s.MembersMax > t.limits.MembersMax:
		return tidemark.Refuse(tidemark.BadArgument, "settings.membersMax %d is above the server's: give at most %d, "+
			"or 0 for the server's", s.MembersMax, t.limits.MembersMax)
	}
	return nil
}

// settingsDiffer says whether two settings differ in the rules of every day, which admins change, and in anything else,
// which is the owner's: who may do what, how many, how long.
func settingsDiffer(a, b record.Settings) (rules, rights bool) {
	of := func(s record.Settings) (rules, rights record.Settings) {
		rules = record.Settings{
			Join: s.Join, HistoryFromStart: s.HistoryFromStart, MuteAll: s.MuteAll, SlowModeMs: s.SlowModeMs,
		}
		s.Join, s.HistoryFromStart, s.MuteAll, s.SlowModeMs = 0, false, false, 0
		return rules, s
	}
	rulesA, rightsA := of(a)
	rulesB, rightsB := of(b)
	return rulesA != rulesB, rightsA != rightsB
}

// SettingsOf is settings as they are stored.
func SettingsOf(s *wire.Settings) record.Settings {
	return record.Settings{
		Join: uint8(s.GetJoin()), HistoryFromStart: s.GetHistoryFromStart(),
		Post: record.Role(s.GetPost()), Invite: record.Role(s.GetInvite()), Edit: record.Role(s.GetEdit()),
		Pin: record.Role(s.GetPin()), MentionAll: record.Role(s.GetMentionAll()), MuteAll: s.GetMuteAll(),
		SlowModeMs: s.GetSlowModeMs(), MembersMax: s.GetMembersMax(),
		Retention: record.Retention{
			Mode: uint8(s.GetRetention().GetMode()), MaxAgeMs: s.GetRetention().GetMaxAgeMs(),
			MaxCount: s.GetRetention().GetMaxCount(),
		},
	}
}

// WireSettings is settings as they go over the wire.
func WireSettings(s record.Settings) *wire.Settings {
	w := &wire.Settings{
		Join: wire.JoinPolicy(s.Join), HistoryFromStart: s.HistoryFromStart, Post: wire.Role(s.Post),
		Invite: wire.Role(s.Invite), Edit: wire.Role(s.Edit), Pin: wire.Role(s.Pin), MentionAll: wire.Role(s.MentionAll),
		MuteAll: s.MuteAll, SlowModeMs: s.SlowModeMs, MembersMax: s.MembersMax,
	}
	if r := s.Retention; r != (record.Retention{}) {
		w.Retention = &wire.Retention{Mode: wire.RetentionMode(r.Mode), MaxAgeMs: r.MaxAgeMs, MaxCount: r.MaxCount}
	}
	return w
}
