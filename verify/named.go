// SPDX-License-Identifier: Apache-2.0

// The index of where users are named without having it in their lists, against requests to join and members of rooms.

package verify

import (
	"fmt"

	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

func namedEntry(u record.User, c record.Conversation) record.Index {
	return record.Index{Kind: record.NamedIndex, User: u, Conversation: c}
}

// noteNamed adds the members of a room to what the index must have.
func (v *conversation) noteNamed() error {
	for u, m := range v.stored {
		if v.info.Kind == record.Room && m.Active() {
			add(&v.named, namedEntry(u, v.info.Ordinal))
		}
	}
	return nil
}

// checkNamed compares the rows of the index with what names users.
func (c *checker) checkNamed() error {
	defer func() { c.at = "" }()
	var stored sum
	none := func(*reader) (struct{}, error) { return struct{}{}, nil }
	err := all(c, store.NamedRow, none, func(k store.Key, _ struct{}) {
		c.counts.Named++
		add(&stored, k.Index())
	})
	if err != nil || stored == c.named {
		return err
	}
	err = all(c, store.NamedRow, none, func(k store.Key, _ struct{}) {
		request, err := c.p.JoinRequest(k.Conversation, k.User)
		m, memberErr := c.p.Member(k.Conversation, k.User)
		info, infoErr := c.p.Info(k.Conversation)
		inRoom := m.Active() && info != nil && info.Kind == record.Room
		if err == nil && memberErr == nil && infoErr == nil && request == nil && !inRoom {
			c.at = c.idOf(k.Conversation)
			c.damaged(0, fmt.Sprintf("named entry of user ordinal %d", k.User), "one", "none: the user neither asks to join nor is a member of a room")
		}
	})
	if err != nil {
		return err
	}
	missing := func(k store.Key, why string) {
		if there, err := c.p.Indexed(namedEntry(k.User, k.Conversation)); err == nil && !there {
			c.at = c.idOf(k.Conversation)
			c.damaged(0, fmt.Sprintf("named entry of user ordinal %d", k.User), "none", "one: the user "+why)
		}
	}
	err = all(c, store.RequestRow, func(r *reader) (*record.JoinRequest, error) { return r.JoinRequest() }, func(k store.Key, _ *record.JoinRequest) {
		missing(k, "asks to join")
	})
	if err != nil {
		return err
	}
	return all(c, store.MemberRow, func(r *reader) (*record.Member, error) { return r.Member() }, func(k store.Key, m *record.Member) {
		if info, err := c.p.Info(k.Conversation); err == nil && info != nil && info.Kind == record.Room && m.Active() {
			missing(k, "is a member of the room")
		}
	})
}
