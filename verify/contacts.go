// SPDX-License-Identifier: Apache-2.0

// Contacts: the two member records of a direct conversation against each other, and the index of contacts against all.

package verify

import (
	"fmt"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// mirrored is each state of a contact as the peer has it.
var mirrored = [...]record.ContactState{
	record.NoContact: record.NoContact, record.Requested: record.Asked, record.Asked: record.Requested,
	record.InContact: record.InContact,
}

// checkContacts compares the contact states of the members, which agree in a direct conversation and are nothing elsewhere.
func (v *conversation) checkContacts() error {
	for _, u := range slices.Sorted(maps.Keys(v.stored)) {
		m, what := v.stored[u], " of member "+v.name(u)
		v.atMost(0, "position of the contact"+what, uint64(m.ContactPosition), uint64(m.Position))
		if m.ContactPosition > 0 {
			add(&v.contacts, contactEntry(u, m, v.info.Ordinal))
		}
		id, err := v.p.UserID(u)
		peer, direct := v.info.ID.Peer(id)
		has := m.Contact != record.NoContact || m.Blocked || m.Remark != "" || m.RequestText != ""
		switch {
		case err != nil: // noted with the users
		case (has || m.ContactPosition > 0) && !direct:
			v.damaged(0, "contact"+what, "one", "none: it is no direct conversation")
		case has && m.ContactPosition == 0:
			v.damaged(0, "position of the contact"+what, 0, "that of its last change")
		case direct:
			v.checkContact(m, peer, what)
		}
	}
	return nil
}

// checkContact compares one side of a contact with the other. A peer without a record has nothing to say.
func (v *conversation) checkContact(m *record.Member, peer tidemark.UserID, what string) {
	if int(m.Contact) >= len(mirrored) {
		v.damaged(0, "contact"+what, m.Contact, "a state of contact")
		return
	}
	var theirs record.Member
	if u, met, err := v.p.User(peer); err == nil && met && v.stored[u] != nil {
		theirs = *v.stored[u]
	}
	equal(v.checker, 0, fmt.Sprintf("contact with%s, as %s has it", what[len(" of"):], peer), theirs.Contact, mirrored[m.Contact])
	text := ""
	if m.Contact == record.Requested || m.Contact == record.Asked {
		text = theirs.RequestText
	}
	equal(v.checker, 0, "text of the request"+what, m.RequestText, text)
}

func contactEntry(u record.User, m *record.Member, c record.Conversation) record.Index {
	return record.Index{Kind: record.ContactIndex, User: u, Position: m.ContactPosition, Conversation: c}
}

// checkContactIndex compares the rows of the index of contacts with the member records.
func (c *checker) checkContactIndex() error {
	defer func() { c.at = "" }()
	var stored sum
	none := func(*reader) (struct{}, error) { return struct{}{}, nil }
	err := all(c, store.ContactRow, none, func(k store.Key, _ struct{}) {
		c.counts.Contacts++
		add(&stored, k.Index())
	})
	if err != nil || stored == c.contacts {
		return err
	}
	err = all(c, store.ContactRow, none, func(k store.Key, _ struct{}) {
		m, err := c.p.Member(k.Conversation, k.User)
		if err == nil && (m == nil || m.ContactPosition != k.Position) {
			c.at = c.idOf(k.Conversation)
			c.damaged(0, fmt.Sprintf("contact entry of user ordinal %d at position %d", k.User, k.Position), "one",
				"none: the contact did not change then")
		}
	})
	if err != nil {
		return err
	}
	return all(c, store.MemberRow, func(r *reader) (*record.Member, error) { return r.Member() }, func(k store.Key, m *record.Member) {
		if m.ContactPosition == 0 {
			return
		}
		want, there := contactEntry(k.User, m, k.Conversation), false
		err := c.p.Index(want, false, func(i record.Index) bool { there = i == want; return false })
		if err == nil && !there {
			c.at = c.idOf(k.Conversation)
			c.damaged(0, fmt.Sprintf("contact entry of user ordinal %d at position %d", k.User, m.ContactPosition), "none",
				"one: the contact changed then")
		}
	})
}
