// SPDX-License-Identifier: Apache-2.0

// What the kept part of a log says by itself, where older events are no longer kept: each of its statements holds until
// a later one, whatever was said before.

package verify

import (
	"fmt"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// above is what kept events have said of the conversation and of its members, last.
type above struct {
	title, avatar, announcement *string
	settings                    *record.Settings
	dissolved                   tidemark.Seq
	info, members               tidemark.Position
	people                      map[string]*standing
}

// standing is what kept events have said of a user; 0: nothing.
type standing struct {
	role         record.Role
	joined, left tidemark.Seq
}

// event takes the next kept event.
func (a *above) event(e *record.Event, body *wire.Body) {
	switch body := body.GetBody().(type) {
	case *wire.Body_Info:
		a.info = e.Position
		a.data(body.Info)
		if body.Info.GetDissolved() {
			a.dissolved = e.Seq
		}
	case *wire.Body_Members:
		a.members = e.Position
		a.list(e.Seq, body.Members)
	}
}

func (a *above) data(info *wire.Info) {
	for _, said := range []struct {
		value *string
		last  **string
	}{{info.Title, &a.title}, {info.Avatar, &a.avatar}, {info.Announcement, &a.announcement}} {
		if said.value != nil {
			*said.last = said.value
		}
	}
	if info.Settings != nil {
		settings := core.SettingsOf(info.Settings)
		a.settings = &settings
	}
}

func (a *above) list(seq tidemark.Seq, list *wire.Members) {
	if a.people == nil {
		a.people = make(map[string]*standing)
	}
	of := func(name string) *standing {
		if a.people[name] == nil {
			a.people[name] = new(standing)
		}
		return a.people[name]
	}
	for _, name := range list.Added {
		*of(name) = standing{role: record.MemberRole, joined: seq}
	}
	for _, name := range list.Removed {
		of(name).left = seq
	}
	for name, role := range list.Roles {
		of(name).role = record.Role(role)
	}
}

// checkAbove compares the records with what the kept events say.
func (v *conversation) checkAbove() error {
	if v.replay != nil || !v.infoKnown {
		return nil
	}
	a, info := &v.above, v.info
	for _, said := range []struct {
		what  string
		value *string
		found string
	}{{"title", a.title, info.Title}, {"avatar", a.avatar, info.Avatar}, {"announcement", a.announcement, info.Announcement}} {
		if said.value != nil {
			equal(v.checker, 0, said.what, said.found, *said.value)
		}
	}
	if a.settings != nil {
		equal(v.checker, 0, "settings", info.Settings, *a.settings)
	}
	if a.dissolved > 0 || info.DissolvedSeq > v.head.Floor {
		equal(v.checker, 0, "seq of the dissolution", info.DissolvedSeq, a.dissolved)
	}
	v.atLeast(0, "position of the last change of the data", uint64(info.InfoPosition), uint64(a.info))
	if a.members > 0 {
		equal(v.checker, 0, "position of the last change of the members", info.MembersPosition, a.members)
	}
	if info.Kind == record.Room {
		return nil // who was only in it is named, too
	}
	for _, name := range slices.Sorted(maps.Keys(a.people)) {
		u, _, err := v.p.User(tidemark.UserID(name))
		m, said, what := v.stored[u], a.people[name], " of member "+name
		switch {
		case err != nil || m == nil:
			v.damaged(0, "record"+what, fmt.Sprint("none ", err), "one: kept events name the user")
			continue
		case said.role > 0:
			equal(v.checker, 0, "role"+what, m.Role, said.role)
		}
		if said.joined > 0 {
			equal(v.checker, 0, "joined seq"+what, m.JoinedSeq, said.joined)
		}
		equal(v.checker, 0, "left seq"+what, max(m.LeftSeq, v.head.Floor), max(said.left, v.head.Floor))
	}
	return nil
}
