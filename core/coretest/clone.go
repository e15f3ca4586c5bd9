// SPDX-License-Identifier: Apache-2.0

// Deep copies, so that a test can tell whether an evaluation changed what it was given to read.

package coretest

import (
	"maps"
	"slices"

	"github.com/tidemark-im/tidemark/record"
)

// Clone is a copy that shares nothing with the original. Two states are the same if reflect.DeepEqual says so.
func (m *Memory) Clone() *Memory {
	return &Memory{
		partition:     m.partition,
		users:         maps.Clone(m.users),
		names:         maps.Clone(m.names),
		conversations: cloneAll(m.conversations, cloneInfo),
		heads:         cloneAll(m.heads, func(h *record.Head) *record.Head { h2 := *h; return &h2 }),
		members:       cloneAll(m.members, func(r *record.Member) *record.Member { r2 := *r; return &r2 }),
		lists:         maps.Clone(m.lists),
		events:        cloneAll(m.events, cloneEvent),
		written:       cloneAll(m.written, cloneEvent),
		currents:      cloneAll(m.currents, cloneCurrent),
		clientIDs:     maps.Clone(m.clientIDs),
		hours:         maps.Clone(m.hours),
		mentions:      maps.Clone(m.mentions),
		recalls:       maps.Clone(m.recalls),
		profiles:      cloneAll(m.profiles, cloneProfile),
		devices:       cloneAll(m.devices, func(d *record.Device) *record.Device { d2 := *d; return &d2 }),
		cursors:       maps.Clone(m.cursors),
		accounts:      cloneAll(m.accounts, cloneAccount),
		privates:      cloneAll(m.privates, clonePrivate),
		scheduled:     cloneAll(m.scheduled, func(s *record.Scheduled) *record.Scheduled { s2 := *s; s2.Body = slices.Clone(s.Body); return &s2 }),
		requests:      cloneAll(m.requests, func(r *record.JoinRequest) *record.JoinRequest { r2 := *r; return &r2 }),
		indexes:       maps.Clone(m.indexes),
		commits:       cloneAll(m.commits, slices.Clone[[]record.ConversationSeq]),
		entered:       maps.Clone(m.entered),
	}
}

func cloneAll[K comparable, V any](m map[K]V, clone func(V) V) map[K]V {
	c := make(map[K]V, len(m))
	for k, v := range m {
		c[k] = clone(v)
	}
	return c
}

func cloneInfo(info *record.Info) *record.Info {
	c := *info
	c.Custom = maps.Clone(info.Custom)
	c.Attributes, c.Staff, c.Pins = slices.Clone(info.Attributes), slices.Clone(info.Staff), slices.Clone(info.Pins)
	return &c
}

func cloneEvent(e *record.Event) *record.Event {
	c := *e
	c.Body = slices.Clone(e.Body)
	return &c
}

func cloneCurrent(current *record.Current) *record.Current {
	c := *current
	c.Edits = slices.Clone(current.Edits)
	c.Edited = slices.Clone(current.Edited)
	c.Reactions = slices.Clone(current.Reactions)
	for i := range c.Reactions {
		c.Reactions[i].Users = slices.Clone(c.Reactions[i].Users)
	}
	return &c
}

func cloneAccount(a *record.Account) *record.Account {
	c := *a
	c.Revoked = slices.Clone(a.Revoked)
	return &c
}

func clonePrivate(p *record.Private) *record.Private {
	c := *p
	c.Deleted = slices.Clone(p.Deleted)
	return &c
}

func cloneProfile(p *record.Profile) *record.Profile {
	c := *p
	c.Custom = maps.Clone(p.Custom)
	return &c
}
