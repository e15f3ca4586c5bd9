// SPDX-License-Identifier: Apache-2.0

// Check: everything derived against brute force.

package coretest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Check reports the first thing in which the state does not agree with its logs: seqs that are not dense, a chain that
// does not verify, a time or id that falls, a counter, mark or index that brute force finds to be otherwise.
func (m *Memory) Check() error {
	ids := make(map[tidemark.EventID]bool)
	for _, info := range m.Conversations() {
		r, err := m.rebuild(info.Ordinal)
		if err != nil {
			return fmt.Errorf("coretest: %s: %w", info.ID, err)
		}
		for _, check := range []func(*record.Info, *rebuilt) error{
			m.checkLog, m.checkHead, m.checkInfo, m.checkMembers, m.checkMarks, m.checkCurrents, m.checkIndexes,
			m.checkContacts, m.checkNamed, m.checkPrivate, m.checkTimers,
		} {
			if err := check(info, r); err != nil {
				return fmt.Errorf("coretest: %s: %w", info.ID, err)
			}
		}
		for _, e := range m.Events(info.Ordinal) {
			if ids[e.ID] {
				return fmt.Errorf("coretest: %s: id %d is given twice", info.ID, e.ID)
			}
			ids[e.ID] = true
		}
	}
	return errors.Join(m.checkPeople(), m.checkProfiles(), m.checkKept(), m.checkScheduled())
}

// checkProfiles compares the index of changed profiles: one entry for each profile, at its last change.
func (m *Memory) checkProfiles() error {
	want := make(map[record.Index]bool)
	for id, p := range m.profiles {
		want[record.Index{Kind: record.ProfileIndex, Position: p.Position(), ID: string(id)}] = true
	}
	got := only(m.indexes, func(i record.Index) bool { return i.Kind == record.ProfileIndex })
	if !maps.Equal(got, want) {
		return fmt.Errorf("coretest: the index of changed profiles is %+v, by brute force %+v", got, want)
	}
	return nil
}

// checkLog verifies the chain, and that a stored event is as it was written, or erased with everything it must lose.
func (m *Memory) checkLog(info *record.Info, r *rebuilt) error {
	digest, last := chain.Start(info.ID), &record.Event{}
	if floor := m.heads[info.Ordinal].Floor; floor > 0 {
		last = m.written[eventKey{info.Ordinal, floor}]
		digest = last.Digest
	}
	for _, e := range m.Events(info.Ordinal) {
		if e.Seq != last.Seq+1 || e.TimeMs < last.TimeMs || e.ID <= last.ID || e.Position < last.Position {
			return fmt.Errorf("event %d after %d: time %d after %d, id %d after %d, position %d after %d",
				e.Seq, last.Seq, e.TimeMs, last.TimeMs, e.ID, last.ID, e.Position, last.Position)
		}
		if e.ID > m.partition.LastID || e.Position > m.partition.Position {
			return fmt.Errorf("event %d: id %d or position %d is past the partition's", e.Seq, e.ID, e.Position)
		}
		if !e.Erased && e.BodyHash != chain.BodyHash(e.Salt, e.Body) {
			return fmt.Errorf("event %d: body hash", e.Seq)
		}
		digest = chain.Next(digest, chain.Link{Seq: e.Seq, ID: e.ID, TimeMs: e.TimeMs, Sender: m.names[e.Sender],
			ClientID: e.ClientID, Kind: uint8(e.Kind), BodyHash: e.BodyHash})
		if e.Digest != digest {
			return fmt.Errorf("event %d: the chain does not verify", e.Seq)
		}
		want := cloneEvent(m.written[eventKey{info.Ordinal, e.Seq}])
		if current := r.currents[e.Seq]; current != nil && current.EraseSeq > 0 || m.editsBelow(want, m.heads[info.Ordinal].Floor) {
			want.Salt, want.Body, want.Erased = [8]byte{}, nil, true
		}
		if !reflect.DeepEqual(e, want) {
			return fmt.Errorf("event %d is stored as %+v, was written (and erased) as %+v", e.Seq, e, want)
		}
		last = e
	}
	return nil
}

// editsBelow reports whether an event, as it was written, edits what is no longer kept.
func (m *Memory) editsBelow(e *record.Event, floor tidemark.Seq) bool {
	var body wire.Body
	return e.Kind == record.EditBody && body.UnmarshalVT(e.Body) == nil && tidemark.Seq(body.GetEdit().GetSeq()) <= floor
}

func (m *Memory) checkHead(info *record.Info, r *rebuilt) error {
	head := m.heads[info.Ordinal]
	last := m.written[eventKey{info.Ordinal, r.seq}]
	want := record.Head{
		Seq: last.Seq, Counted: r.counted, Recalled: uint64(len(r.recalls)), Position: last.Position,
		TimeMs: last.TimeMs, Digest: last.Digest, Members: r.active, TrimMs: head.TrimMs,
	}
	if floor := m.written[eventKey{info.Ordinal, head.Floor}]; floor != nil {
		want.Floor, want.FloorDigest, want.FloorCounted = floor.Seq, floor.Digest, floor.Counted
	}
	want.MentionAll = head.MentionAll // a bound, checked with the mentions
	if *head != want {
		return fmt.Errorf("head is %+v, by brute force %+v", *head, want)
	}
	return nil
}

func (m *Memory) checkInfo(info *record.Info, r *rebuilt) error {
	want := r.info
	want.Ordinal, want.ID = info.Ordinal, info.ID
	if len(want.Custom) == 0 {
		want.Custom = nil
	}
	want.Staff = r.staff()
	for key := range only(m.requests, func(k memberKey) bool { return k.c == info.Ordinal }) {
		want.Requests++
		if m.members[key].Active() {
			return fmt.Errorf("%s asks to join and is a member", m.names[key.u])
		}
	}
	got := *info
	if len(got.Staff) == 0 {
		got.Staff = nil
	}
	if len(got.Pins) == 0 && len(want.Pins) == 0 {
		want.Pins = got.Pins
	}
	if len(want.Attributes) == 0 && len(got.Attributes) == 0 {
		want.Attributes = got.Attributes
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("info is %+v, by brute force %+v", *info, want)
	}
	return nil
}

func (m *Memory) checkMembers(info *record.Info, r *rebuilt) error {
	users := slices.DeleteFunc(m.Members(info.Ordinal), func(u record.User) bool { return m.isGuest(info, u) })
	if n := len(r.members); n != len(users) {
		return fmt.Errorf("%d member records, by brute force %d", len(users), n)
	}
	for _, u := range users {
		key := memberKey{info.Ordinal, u}
		got, want := m.members[key], r.members[u]
		if want != nil && got.Granted() != want.VisibleFrom {
			return fmt.Errorf("member %s may see from %d, by brute force %d", m.names[u], got.Granted(), want.VisibleFrom)
		}
		if want != nil {
			want.VisibleFrom = max(want.VisibleFrom, got.ClearedSeq+1)
		}
		if want == nil || got.Role != want.Role || got.JoinedSeq != want.JoinedSeq ||
			got.VisibleFrom != want.VisibleFrom || got.LeftSeq != want.LeftSeq || got.ListPosition != want.ListPosition {
			return fmt.Errorf("member %s is %+v, by brute force %+v", m.names[u], got, want)
		}
		if info.Kind == record.Room {
			if m.lists[key] != 0 {
				return fmt.Errorf("member %s has the room in its list, at position %d", m.names[u], m.lists[key])
			}
			continue
		}
		if m.lists[key] == 0 || m.lists[key] > got.Position {
			return fmt.Errorf("member %s: list row at position %d, record at %d", m.names[u], m.lists[key], got.Position)
		}
	}
	return nil
}

// checkPrivate holds what members keep for themselves to what it may be; the log does not tell of it.
func (m *Memory) checkPrivate(info *record.Info, r *rebuilt) error {
	head := m.heads[info.Ordinal].Seq
	for _, u := range m.Members(info.Ordinal) {
		key := memberKey{info.Ordinal, u}
		member, private := m.members[key], m.privates[key]
		if (member.PrivatePosition > 0) != (private != nil) || member.PrivatePosition > member.Position {
			return fmt.Errorf("member %s keeps %+v since position %d, its own being %d",
				m.names[u], private, member.PrivatePosition, member.Position)
		}
		if member.ClearedSeq > member.ReadSeq {
			return fmt.Errorf("member %s cleared up to %d and read up to %d", m.names[u], member.ClearedSeq, member.ReadSeq)
		}
		if private == nil {
			continue
		}
		if (private.Draft == "") != (private.DraftMs == 0) || private.DraftReplyTo > head {
			return fmt.Errorf("member %s has the draft %+v", m.names[u], private)
		}
		last := tidemark.Seq(0)
		for _, seq := range private.Deleted {
			e := m.written[eventKey{info.Ordinal, seq}]
			if seq <= last || e == nil || e.Kind != record.MessageBody {
				return fmt.Errorf("member %s has deleted %d after %d, of %d events", m.names[u], seq, last, head)
			}
			last = seq
		}
	}
	for key := range m.privates {
		if key.c == info.Ordinal && r.members[key.u] == nil {
			return fmt.Errorf("%s, who was never a member, keeps something", m.names[key.u])
		}
	}
	return nil
}

// isGuest reports whether a user's record is that of one who was never a member of a room: it says only when the user may
// post again, and has posted last.
func (m *Memory) isGuest(info *record.Info, u record.User) bool {
	key := memberKey{info.Ordinal, u}
	r := m.members[key]
	return info.Kind == record.Room && m.lists[key] == 0 &&
		*r == (record.Member{SilencedUntilMs: r.SilencedUntilMs, LastPostMs: r.LastPostMs, Position: r.Position})
}

// checkMarks holds marks between what they must cover and the head, and the unread count to what can be counted.
func (m *Memory) checkMarks(info *record.Info, r *rebuilt) error {
	floor := m.heads[info.Ordinal].Floor
	for _, u := range m.Members(info.Ordinal) {
		if m.isGuest(info, u) {
			continue
		}
		member := m.members[memberKey{info.Ordinal, u}]
		own, noted := tidemark.Seq(0), 0
		for _, seq := range r.own[u] {
			switch {
			case info.Kind == record.Room: // a room has no read marks but those of becoming a member
			case member.Own.Has(seq) && seq > member.ReadSeq:
				noted++
			case !member.Own.Covers(seq) && seq != member.LeftSeq: // who leaves, leaves the mark where it is
				own = seq
			}
		}
		if noted != member.Own.Len() {
			return fmt.Errorf("member %s read up to %d, has own messages %x past that, of %v", m.names[u], member.ReadSeq, member.Own, r.own[u])
		}
		if member.ReadSeq < member.JoinedSeq || member.ReadSeq > r.seq ||
			member.Active() && member.ReadSeq < own {
			return fmt.Errorf("member %s read up to %d, joined at %d, wrote %d, head %d",
				m.names[u], member.ReadSeq, member.JoinedSeq, own, r.seq)
		}
		counted := m.written[eventKey{info.Ordinal, member.ReadSeq}].Counted
		if member.ReadCounted != counted && (member.ReadSeq >= floor || member.ReadCounted > counted) {
			return fmt.Errorf("member %s read %d counted events, by brute force %d", m.names[u], member.ReadCounted, counted)
		}
		unread := uint64(0)
		for _, e := range m.Events(info.Ordinal) {
			if e.Seq <= member.ReadSeq {
				continue
			}
			current := r.currents[e.Seq]
			if e.IsCounted && !member.Own.Has(e.Seq) && !current.IsWithheld() {
				unread++
			}
		}
		if got := m.Unread(info.Ordinal, u); got != unread {
			return fmt.Errorf("member %s has %d unread, by brute force %d", m.names[u], got, unread)
		}
	}
	return nil
}

func (m *Memory) checkCurrents(info *record.Info, r *rebuilt) error {
	for _, e := range m.Events(info.Ordinal) {
		got, want := m.currents[eventKey{info.Ordinal, e.Seq}], r.currents[e.Seq]
		if got == nil {
			got = new(record.Current)
		}
		if want == nil {
			want = new(record.Current)
		}
		if got.EditSeq != want.EditSeq || !slices.Equal(got.Edits, want.Edits) || !bytes.Equal(got.Edited, want.Edited) ||
			got.RecallSeq != want.RecallSeq || got.EraseSeq != want.EraseSeq || got.IsLost != want.IsLost || got.PinSeq != want.PinSeq ||
			got.ThreadCount != want.ThreadCount || got.ThreadSeq != want.ThreadSeq ||
			!slices.EqualFunc(got.Reactions, want.Reactions, func(a, b record.Reaction) bool {
				return a.Key == b.Key && a.Count == b.Count && slices.Equal(a.Users, b.Users)
			}) {
			return fmt.Errorf("event %d is now %+v, by brute force %+v", e.Seq, got, want)
		}
	}
	return nil
}

// checkTimers compares the timers of the conversation with what waits for them.
func (m *Memory) checkTimers(info *record.Info, _ *rebuilt) error {
	want := make(map[record.Index]bool)
	if due := m.heads[info.Ordinal].TrimMs; due > 0 {
		want[record.Index{Kind: record.TimerIndex, Timer: record.TrimTimer, DueMs: due, Conversation: info.Ordinal}] = true
	}
	got := only(m.indexes, func(i record.Index) bool {
		return i.Kind == record.TimerIndex && i.Timer == record.TrimTimer && i.Conversation == info.Ordinal
	})
	if !maps.Equal(got, want) {
		return fmt.Errorf("timers are %+v, by brute force %+v", got, want)
	}
	return nil
}

// checkNamed compares the index of where users are named with the requests to join, and with the members of a room.
func (m *Memory) checkNamed(info *record.Info, r *rebuilt) error {
	want := make(map[record.Index]bool)
	name := func(u record.User) {
		want[record.Index{Kind: record.NamedIndex, User: u, Conversation: info.Ordinal}] = true
	}
	for key := range only(m.requests, func(k memberKey) bool { return k.c == info.Ordinal }) {
		name(key.u)
	}
	for u, member := range r.members {
		if info.Kind == record.Room && member.Active() {
			name(u)
		}
	}
	got := only(m.indexes, func(i record.Index) bool { return i.Kind == record.NamedIndex && i.Conversation == info.Ordinal })
	if !maps.Equal(got, want) {
		return fmt.Errorf("users are named by %+v, by brute force %+v", got, want)
	}
	return nil
}

// checkScheduled compares the scheduled messages with their timers.
func (m *Memory) checkScheduled() error {
	want := make(map[record.Index]bool)
	for k, s := range m.scheduled {
		if s.Reason == "" {
			want[record.Index{
				Kind: record.TimerIndex, Timer: record.SubmitTimer, DueMs: s.DueMs, Conversation: k.c, User: k.u, ID: string(k.id),
			}] = true
		}
	}
	got := only(m.indexes, func(i record.Index) bool { return i.Kind == record.TimerIndex && i.Timer == record.SubmitTimer })
	if !maps.Equal(got, want) {
		return fmt.Errorf("coretest: timers of scheduled messages are %+v, by brute force %+v", got, want)
	}
	return nil
}

// checkKept finds what is left of events that are no longer kept, and compares the rows of commits with the events.
func (m *Memory) checkKept() error {
	commits := make(map[tidemark.Position]map[record.ConversationSeq]bool)
	for key, e := range m.events {
		if key.seq <= m.heads[key.c].Floor {
			return fmt.Errorf("coretest: event %d of conversation %d is below the floor", key.seq, key.c)
		}
		if commits[e.Position] == nil {
			commits[e.Position] = make(map[record.ConversationSeq]bool)
		}
		commits[e.Position][record.ConversationSeq{Conversation: key.c, Seq: key.seq}] = true
	}
	if len(commits) != len(m.commits) {
		return fmt.Errorf("coretest: %d commits, by brute force %d", len(m.commits), len(commits))
	}
	for position, events := range m.commits {
		if len(events) != len(commits[position]) {
			return fmt.Errorf("coretest: commit %d has %v, by brute force %v", position, events, commits[position])
		}
		for _, e := range events {
			if !commits[position][e] {
				return fmt.Errorf("coretest: commit %d has %v, by brute force %v", position, events, commits[position])
			}
		}
	}
	for key := range m.currents {
		if key.seq <= m.heads[key.c].Floor {
			return fmt.Errorf("coretest: the current form of event %d of conversation %d is below the floor", key.seq, key.c)
		}
	}
	return nil
}

// checkIndexes compares the hour index, mentions, recalls and client ids.
func (m *Memory) checkIndexes(info *record.Info, r *rebuilt) error {
	floor := m.heads[info.Ordinal].Floor
	if hours := keptHours(m.Hours(info.Ordinal), floor); !slices.Equal(hours, keptHours(r.hours, floor)) {
		return fmt.Errorf("hours are %+v, by brute force %+v", hours, r.hours)
	}
	c := info.Ordinal
	mentions := make(map[mentionKey]bool)
	for seq, users := range r.mentions {
		for u := range users {
			mentions[mentionKey{c, u, seq}] = true
			bound := m.heads[c].MentionAll
			if u != 0 {
				bound = m.members[memberKey{c, u}].MentionSeq
			}
			if bound < seq {
				return fmt.Errorf("event %d mentions %q past the bound %d", seq, m.names[u], bound)
			}
		}
	}
	if got := only(m.mentions, func(k mentionKey) bool { return k.c == c }); !maps.Equal(got, mentions) {
		return fmt.Errorf("mentions are %+v, by brute force %+v", got, mentions)
	}
	recalls := make(map[eventKey]uint64)
	for seq, counted := range r.recalls {
		recalls[eventKey{c, seq}] = counted
	}
	if got := only(m.recalls, func(k eventKey) bool { return k.c == c }); !maps.Equal(got, recalls) {
		return fmt.Errorf("recalls are %+v, by brute force %+v", got, recalls)
	}
	entries := only(m.indexes, func(i record.Index) bool {
		return i.Conversation == c && (i.Kind == record.ReactionIndex || i.Kind == record.ThreadIndex)
	})
	if !maps.Equal(entries, r.indexes) {
		return fmt.Errorf("threads and reactions are %+v, by brute force %+v", entries, r.indexes)
	}
	if got := only(m.clientIDs, func(k clientKey) bool { return k.c == c }); !maps.Equal(got, r.clients) {
		return fmt.Errorf("client ids are %+v, by brute force %+v", got, r.clients)
	}
	return nil
}

// keptHours is the hour index without what is below the floor. A row goes with its last event; until then it may say
// that its hour began below the floor, or at it.
func keptHours(rows []record.Hour, floor tidemark.Seq) []record.Hour {
	rows = slices.Clone(rows)
	for i := range rows {
		if h := &rows[i]; h.First <= floor {
			h.First, h.Count = floor+1, h.Count-uint32(floor+1-h.First)
		}
	}
	return rows
}

// only is the part of a map whose keys pass.
func only[K comparable, V any](m map[K]V, pass func(K) bool) map[K]V {
	part := make(map[K]V)
	for k, v := range m {
		if pass(k) {
			part[k] = v
		}
	}
	return part
}
