// SPDX-License-Identifier: Apache-2.0

// What is stored beside a log, against what its replay says.

package verify

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// checkMembers compares the member records with those whom the log names, and their marks with the log.
func (v *conversation) checkMembers() error {
	for _, u := range v.byRead {
		if v.stored[u].ReadSeq <= v.last.Seq {
			continue // of a log of which nothing is kept
		}
		v.damaged(0, "read mark of member "+v.name(u), v.stored[u].ReadSeq, fmt.Sprintf("at most the last event, %d", v.last.Seq))
	}
	for _, u := range slices.Sorted(maps.Keys(v.stored)) {
		m, what := v.stored[u], " of member "+v.name(u)
		v.atMost(0, "position"+what, uint64(m.Position), uint64(v.state.Position))
		v.atLeast(0, "position"+what, uint64(m.Position), 1)
		v.atMost(0, "last mention"+what, uint64(m.MentionSeq), uint64(v.last.Seq))
		v.atMost(0, "hidden mark"+what, uint64(m.HiddenSeq), uint64(v.last.Seq))
		v.atLeast(0, "read mark"+what, uint64(m.ReadSeq), uint64(m.JoinedSeq))
		v.checkOwn(m, what)
		if v.replay != nil {
			v.checkMember(m, v.replay.members[u], what)
		}
	}
	if v.replay == nil { // the log does not tell any more who was there when it began
		active := uint32(0)
		for _, m := range v.stored {
			if m.Active() {
				active++
			}
		}
		equal(v.checker, 0, "members of the head", v.head.Members, active)
		return nil
	}
	equal(v.checker, 0, "members of the head", v.head.Members, v.replay.active)
	for _, u := range slices.Sorted(maps.Keys(v.replay.members)) {
		if v.stored[u] == nil {
			v.damaged(v.replay.members[u].joined, "record of member "+v.name(u), "none", "one: the event added the user")
		}
	}
	return nil
}

// checkOwn wants the messages of a member's own that are not unread past its mark, ascending, and in the log.
func (v *conversation) checkOwn(m *record.Member, what string) {
	last := m.ReadSeq
	for i := range m.Own.Len() {
		seq := m.Own.At(i)
		v.atLeast(seq, "own message past the read mark"+what, uint64(seq), uint64(last+1))
		last = seq
	}
	if m.Own != "" {
		v.atMost(last, "own message past the read mark"+what, uint64(last), uint64(v.last.Seq))
	}
}

func (v *conversation) checkMember(m *record.Member, log *member, what string) {
	if log == nil && v.replay.info.Kind == record.Room &&
		*m == (record.Member{SilencedUntilMs: m.SilencedUntilMs, LastPostMs: m.LastPostMs, Position: m.Position}) {
		return // of a guest: when the user may post again, and has posted last
	}
	if log == nil {
		v.damaged(m.JoinedSeq, "record"+what, "one", "none: no event added the user")
		return
	}
	equal(v.checker, log.joined, "role"+what, m.Role, log.role)
	equal(v.checker, log.joined, "joined seq"+what, m.JoinedSeq, log.joined)
	equal(v.checker, log.joined, "first seq granted"+what, m.Granted(), log.visible)
	equal(v.checker, log.joined, "first visible seq"+what, m.VisibleFrom, max(log.visible, m.ClearedSeq+1))
	equal(v.checker, log.joined, "left seq"+what, m.LeftSeq, log.left)
	equal(v.checker, log.joined, "position of the last joining or leaving"+what, m.ListPosition, log.listed)
	equal(v.checker, log.joined, "own messages past the read mark"+what, m.Own.Len(), log.own)
	if log.left == 0 && v.replay.info.Kind != record.Room {
		v.atLeast(log.joined, "read mark"+what, uint64(m.ReadSeq), uint64(log.wrote))
	}
}

// checkInfo compares the public data.
func (v *conversation) checkInfo() error {
	if v.replay == nil || !v.infoKnown {
		return nil
	}
	found, expected := v.info, &v.replay.info
	equal(v.checker, 0, "kind", found.Kind, expected.Kind)
	equal(v.checker, 0, "title", found.Title, expected.Title)
	equal(v.checker, 0, "avatar", found.Avatar, expected.Avatar)
	f, e := found.Settings, expected.Settings
	equal(v.checker, 0, "join policy", f.Join, e.Join)
	equal(v.checker, 0, "history from the start", f.HistoryFromStart, e.HistoryFromStart)
	f.Join, f.HistoryFromStart = e.Join, e.HistoryFromStart
	equal(v.checker, 0, "settings", f, e)
	equal(v.checker, 0, "announcement", found.Announcement, expected.Announcement)
	equal(v.checker, 0, "seq of the dissolution", found.DissolvedSeq, expected.DissolvedSeq)
	equal(v.checker, 0, "time of creation", found.CreatedMs, expected.CreatedMs)
	equal(v.checker, 0, "position of the last change of the data", found.InfoPosition, expected.InfoPosition)
	equal(v.checker, 0, "position of the last change of the members", found.MembersPosition, expected.MembersPosition)
	if !slices.Equal(found.Pins, expected.Pins) {
		v.damaged(0, "pinned messages", found.Pins, expected.Pins)
	}
	if !maps.Equal(found.Custom, expected.Custom) {
		v.damaged(0, "custom data", found.Custom, expected.Custom)
	}
	if !slices.Equal(found.Attributes, expected.Attributes) {
		v.damaged(0, "attributes", found.Attributes, expected.Attributes)
	}
	return nil
}

// checkCurrents compares the current forms, and finds content that is gone without an erasure.
func (v *conversation) checkCurrents() error {
	none := new(record.Current)
	v.reactionCounts = make(map[reaction]int64)
	compare := func(seq tidemark.Seq, stored *record.Current) {
		expected := cmp.Or(v.replay.currents[seq], none)
		if found, want := describeCurrent(stored), describeCurrent(expected); found != want || !bytes.Equal(stored.Edited, expected.Edited) {
			v.damaged(seq, "current form", found, want)
		}
		delete(v.replay.currents, seq)
	}
	err := each(v.currents, v.info.Ordinal, v.currents.Current, func(k store.Key, stored *record.Current) {
		v.counts.CurrentForms++
		v.aboveFloor(k.Seq, "current form")
		for _, r := range stored.Reactions {
			v.reactionCounts[reaction{k.Seq, r.Key, 0}] += int64(r.Count)
		}
		if v.replay != nil {
			compare(k.Seq, stored)
		}
	})
	if err != nil || v.replay == nil {
		return err
	}
	for _, seq := range slices.Sorted(maps.Keys(v.replay.currents)) {
		compare(seq, none)
	}
	for _, seq := range slices.Sorted(maps.Keys(v.replay.blank)) {
		if v.replay.blank[seq] {
			v.damaged(seq, "content", "gone", "there: no event has taken it back")
		}
	}
	return nil
}

func describeCurrent(c *record.Current) string {
	return fmt.Sprintf("edits %d (last %d, showing %d bytes), recalled by %d, erased by %d, lost %t, pinned by %d, %d answers (last %d), reactions %v",
		c.Edits, c.EditSeq, len(c.Edited), c.RecallSeq, c.EraseSeq, c.IsLost, c.PinSeq, c.ThreadCount, c.ThreadSeq, c.Reactions)
}

// mentioned is an entry of the mention index.
type mentioned struct {
	user record.User
	seq  tidemark.Seq
}

// checkMentions compares the mention index, and the bounds that members and the head keep of it.
func (v *conversation) checkMentions() error {
	expected := make(map[mentioned]bool)
	if v.replay != nil {
		for seq, users := range v.replay.mentions {
			for _, u := range users {
				expected[mentioned{u, seq}] = true
			}
		}
	}
	none := func() (struct{}, error) { return struct{}{}, nil }
	err := each(v.mentions, v.info.Ordinal, none, func(k store.Key, _ struct{}) {
		v.counts.Mentions++
		v.aboveFloor(k.Seq, "mention of "+v.everybodyOr(k.User))
		if entry := (mentioned{k.User, k.Seq}); v.replay != nil && !expected[entry] {
			v.damaged(k.Seq, "mention of "+v.everybodyOr(k.User), "in the index", "none")
		} else {
			delete(expected, entry)
		}
		bound := v.head.MentionAll
		if m := v.stored[k.User]; k.User != 0 && m != nil {
			bound = m.MentionSeq
		}
		v.atLeast(k.Seq, "bound of the mentions of "+v.everybodyOr(k.User), uint64(bound), uint64(k.Seq))
	})
	if err != nil {
		return err
	}
	for _, entry := range slices.SortedFunc(maps.Keys(expected), func(a, b mentioned) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.user, b.user))
	}) {
		v.damaged(entry.seq, "mention of "+v.everybodyOr(entry.user), "none", "in the index")
	}
	return nil
}

func (v *conversation) everybodyOr(u record.User) string {
	if u == 0 {
		return "everybody"
	}
	return v.name(u)
}

// checkMemberships compares the rows of the events that are about members with the log.
func (v *conversation) checkMemberships() error {
	rest := v.about
	none := func() (struct{}, error) { return struct{}{}, nil }
	err := each(v.memberships, v.info.Ordinal, none, func(k store.Key, _ struct{}) {
		v.counts.MembershipEvents++
		for len(rest) > 0 && rest[0] < k.Seq {
			v.damaged(rest[0], "row of the event about members", "none", "one")
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0] == k.Seq {
			rest = rest[1:]
		} else {
			v.damaged(k.Seq, "row of an event about members", "one", "none: the event is of another kind, or not there")
		}
	})
	for _, seq := range rest {
		v.damaged(seq, "row of the event about members", "none", "one")
	}
	return err
}

// checkRecalls compares the events that no longer count.
func (v *conversation) checkRecalls() error {
	recalled, rows := 0, uint64(0)
	if v.replay != nil {
		recalled = len(v.replay.recalls)
	}
	err := each(v.recalls, v.info.Ordinal, v.recalls.Counted, func(k store.Key, counted uint64) {
		v.counts.Recalls++
		v.aboveFloor(k.Seq, "recall")
		rows++
		if v.replay == nil {
			return
		}
		if expected, there := v.replay.recalls[k.Seq]; !there {
			v.damaged(k.Seq, "recall", "in the index", "none")
		} else {
			equal(v.checker, k.Seq, "counted ordinal of the recall", counted, expected)
			delete(v.replay.recalls, k.Seq)
		}
	})
	if err == nil && v.replay == nil {
		equal(v.checker, 0, "recalled events of the head", v.head.Recalled, rows)
	}
	if err != nil || v.replay == nil {
		return err
	}
	for _, seq := range slices.Sorted(maps.Keys(v.replay.recalls)) {
		v.damaged(seq, "recall", "none", "in the index")
	}
	equal(v.checker, 0, "recalled events of the head", v.head.Recalled, uint64(recalled))
	return nil
}
