// SPDX-License-Identifier: Apache-2.0

// Users, their lists of conversations, profiles, devices and cursors; and the maps between ids and ordinals.

package verify

import (
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// all takes all rows of a kind, those that can be decoded.
func all[T any](c *checker, kind store.Kind, decode func(*reader) (T, error), fn func(store.Key, T)) error {
	rows, err := c.read(kind)
	if err != nil {
		return err
	}
	defer rows.Close()
	for n := 0; rows.ready; n++ {
		if n%progressEvery == 0 && c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		key := rows.Key()
		v, ok, err := take(rows, func() (T, error) { return decode(rows) })
		if ok {
			fn(key, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkUsers checks that ordinals are dense and that they and the ids name each other.
func (c *checker) checkUsers() error {
	next := record.User(1)
	err := all(c, store.UserIDRow, func(r *reader) (tidemark.UserID, error) { return r.UserID() }, func(k store.Key, id tidemark.UserID) {
		c.counts.Users++
		for ; next < k.User; next++ {
			c.damaged(0, fmt.Sprintf("id of user ordinal %d", next), "none", "a row")
		}
		next = k.User + 1
		if !id.Valid() {
			c.damaged(0, fmt.Sprintf("id of user ordinal %d", k.User), fmt.Sprintf("%q", id), "a user id")
		}
		u, found, err := c.p.User(id)
		if err == nil && (!found || u != k.User) {
			c.damaged(0, fmt.Sprintf("ordinal of user %q", id), orNone(tidemark.Seq(u), nil), k.User)
		}
	})
	if err != nil {
		return err
	}
	equal(c, 0, "users counted by the partition state", uint64(c.state.Users), uint64(next-1))
	return all(c, store.UserOrdinalRow, func(r *reader) (uint32, error) { return r.Ordinal() }, func(k store.Key, u uint32) {
		if id, err := c.p.UserID(record.User(u)); err != nil || string(id) != k.ID {
			c.damaged(0, fmt.Sprintf("id of user ordinal %d", u), fmt.Sprintf("%q", id), fmt.Sprintf("%q", k.ID))
		}
	})
}

// checkConversationIDs checks that every id names the conversation that has it, and every conversation is named.
func (c *checker) checkConversationIDs() error {
	named := uint64(0)
	err := all(c, store.ConversationRow, func(r *reader) (uint32, error) { return r.Ordinal() }, func(k store.Key, ordinal uint32) {
		info, err := c.p.Info(record.Conversation(ordinal))
		if err == nil && (info == nil || string(info.ID) != k.ID) {
			found := "no conversation"
			if info != nil {
				found = fmt.Sprintf("conversation %q", info.ID)
			}
			c.damaged(0, fmt.Sprintf("ordinal %d of conversation id %q", ordinal, k.ID), found, fmt.Sprintf("conversation %q", k.ID))
			return
		}
		named++
	})
	if err != nil || named == c.counts.Conversations {
		return err
	}
	return all(c, store.InfoRow, func(r *reader) (*record.Info, error) { return r.Info() }, func(k store.Key, info *record.Info) {
		if named, err := c.p.Conversation(info.ID); err == nil && (named == nil || named.Ordinal != info.Ordinal) {
			c.at = info.ID
			c.damaged(0, "ordinal of the conversation id", "none, or another's", info.Ordinal)
			c.at = ""
		}
	})
}

// checkLists compares users' lists of conversations with the member records.
func (c *checker) checkLists() error {
	defer func() { c.at = "" }()
	err := all(c, store.ListRow, func(r *reader) (tidemark.Position, error) { return r.Position() }, func(k store.Key, position tidemark.Position) {
		c.counts.ListRows++
		if info, err := c.p.Info(k.Conversation); err == nil && info != nil && info.Kind == record.Room {
			c.at = info.ID
			c.damaged(0, fmt.Sprintf("list row of user ordinal %d", k.User), "one", "none: a room is in nobody's list")
			return
		}
		m, err := c.p.Member(k.Conversation, k.User)
		what := fmt.Sprintf("list row of user ordinal %d", k.User)
		c.at = c.idOf(k.Conversation)
		switch {
		case err != nil: // noted with the members
		case m == nil:
			c.damaged(0, what, "one", "none: the user never was a member")
		case position > m.Position || position == 0:
			c.damaged(0, "position of the "+what, position, fmt.Sprintf("1 to that of the member record, %d", m.Position))
		case position < m.Position && !c.trimmed(k.Conversation) && !c.committed(m.Position, func(events []record.ConversationSeq) bool {
			return slices.ContainsFunc(events, func(e record.ConversationSeq) bool { return e.Conversation == k.Conversation })
		}):
			c.damaged(0, "position of the "+what, position, fmt.Sprintf("%d: no event of that commit marks the conversation as changed", m.Position))
		}
	})
	if err != nil || c.counts.ListRows+c.unlisted == c.counts.Members {
		return err
	}
	return all(c, store.MemberRow, func(r *reader) (*record.Member, error) { return r.Member() }, func(k store.Key, m *record.Member) {
		if info, err := c.p.Info(k.Conversation); err == nil && info != nil && info.Kind == record.Room {
			return
		}
		listed := false
		err := c.p.ConversationsOf(k.User, func(at record.Conversation, _ tidemark.Position) bool {
			listed = listed || at == k.Conversation
			return !listed
		})
		if err == nil && !listed {
			c.at = c.idOf(k.Conversation)
			c.damaged(0, fmt.Sprintf("list row of user ordinal %d", k.User), "none", "one, as for every member record")
		}
	})
}

func (c *checker) idOf(ordinal record.Conversation) tidemark.ConversationID {
	info, err := c.p.Info(ordinal)
	if err != nil || info == nil {
		return tidemark.ConversationID(fmt.Sprintf("?%d", ordinal))
	}
	return info.ID
}

// checkProfiles checks where profiles live and that no change of them lies past the last commit.
func (c *checker) checkProfiles() error {
	return all(c, store.ProfileRow, func(r *reader) (*record.Profile, error) { return r.Profile() }, func(_ store.Key, p *record.Profile) {
		c.counts.Profiles++
		what := fmt.Sprintf(" of the profile of user %q", p.ID)
		equal(c, 0, "partition"+what, c.number, tidemark.PartitionOfUser(p.ID, c.partitions))
		c.atMost(0, "position"+what, uint64(p.Position()), uint64(c.state.Position))
		c.atLeast(0, "position"+what, uint64(p.Position()), 1)
		c.checkTombstone(p)
		entered := false
		from := record.Index{Kind: record.ProfileIndex, Position: p.Position(), ID: string(p.ID)}
		if err := c.p.Index(from, false, func(i record.Index) bool { entered = i == from; return false }); err == nil && !entered {
			c.damaged(0, "entry in the index of changed profiles"+what, "none", fmt.Sprintf("one at position %d", p.Position()))
		}
	})
}

// checkProfileIndex checks that every entry is that of a profile's last change.
func (c *checker) checkProfileIndex() error {
	none := func(*reader) (struct{}, error) { return struct{}{}, nil }
	return all(c, store.ProfileIndexRow, none, func(k store.Key, _ struct{}) {
		c.counts.ProfileEntries++
		p, err := c.p.Profile(tidemark.UserID(k.ID))
		what := fmt.Sprintf("entry in the index of changed profiles of user %q", k.ID)
		switch {
		case err != nil: // noted with the profiles
		case p == nil:
			c.damaged(0, what, "one", "none: the user has no profile here")
		case p.Position() != k.Position:
			c.damaged(0, what, fmt.Sprintf("one at position %d", k.Position), fmt.Sprintf("none but that of the last change, %d", p.Position()))
		}
	})
}

// checkDevices checks that devices belong to users of this partition.
func (c *checker) checkDevices() error {
	return all(c, store.DeviceRow, func(r *reader) (*record.Device, error) { return r.Device() }, func(k store.Key, d *record.Device) {
		c.counts.Devices++
		p, err := c.p.Profile(tidemark.UserID(k.ID))
		if err == nil && p == nil {
			c.damaged(0, fmt.Sprintf("device %q of user %q", k.Device, k.ID), "one", "none: the user has no profile here")
		} else if err == nil && p.DeletedPosition > 0 {
			c.damaged(0, fmt.Sprintf("device %q of user %q", k.Device, k.ID), "one", "none: the user was deleted")
		}
		c.atLeast(0, fmt.Sprintf("last time of device %q of user %q", k.Device, k.ID), d.LastSeenMs, d.FirstSeenMs)
	})
}

// checkCursors checks that no device claims to have more than there is.
func (c *checker) checkCursors() error {
	return all(c, store.CursorRow, func(r *reader) (tidemark.Position, error) { return r.Position() }, func(k store.Key, position tidemark.Position) {
		c.counts.Cursors++
		what := fmt.Sprintf("cursor of device %q of user ordinal %d", k.Device, k.User)
		c.atMost(0, what, uint64(position), uint64(c.state.Position))
		c.atMost(0, "user of the "+what, uint64(k.User), uint64(c.state.Users))
	})
}
