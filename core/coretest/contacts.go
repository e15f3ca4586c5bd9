// SPDX-License-Identifier: Apache-2.0

// Contacts: not in the log, but two records and an index must agree.

package coretest

import (
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// seenFrom is a state of contact as the peer must have it.
var seenFrom = map[record.ContactState]record.ContactState{
	record.NoContact: record.NoContact, record.Requested: record.Asked, record.Asked: record.Requested,
	record.InContact: record.InContact,
}

// checkContacts compares both sides of a contact, and each with its entry in the index.
func (m *Memory) checkContacts(info *record.Info, _ *rebuilt) error {
	entries := only(m.indexes, func(i record.Index) bool { return i.Kind == record.ContactIndex && i.Conversation == info.Ordinal })
	for _, u := range m.Members(info.Ordinal) {
		r := m.members[memberKey{info.Ordinal, u}]
		peer, direct := info.ID.Peer(m.names[u])
		if !direct && (r.Contact != 0 || r.Blocked || r.Remark != "" || r.RequestText != "" || r.ContactPosition != 0) {
			return fmt.Errorf("member %s of no direct conversation has a contact: %+v", m.names[u], r)
		}
		if r.ContactPosition == 0 && (r.Contact != 0 || r.Blocked || r.Remark != "" || r.RequestText != "") ||
			r.ContactPosition > r.Position {
			return fmt.Errorf("member %s: contact changed at position %d: %+v", m.names[u], r.ContactPosition, r)
		}
		var theirs record.Member
		if known := m.members[memberKey{info.Ordinal, m.users[peer]}]; direct && known != nil {
			theirs = *known
		}
		if theirs.Contact != seenFrom[r.Contact] || theirs.RequestText != r.RequestText ||
			r.RequestText != "" && r.Contact != record.Requested && r.Contact != record.Asked {
			return fmt.Errorf("%s is %d (%q) and %s is %d (%q)",
				m.names[u], r.Contact, r.RequestText, peer, theirs.Contact, theirs.RequestText)
		}
		if r.ContactPosition == 0 {
			continue
		}
		entry := record.Index{
			Kind: record.ContactIndex, User: u, Position: r.ContactPosition, Conversation: info.Ordinal,
		}
		if !entries[entry] {
			return fmt.Errorf("member %s: contact changed at position %d, and the index has %v", m.names[u], r.ContactPosition, entries)
		}
		delete(entries, entry)
	}
	if len(entries) > 0 {
		return fmt.Errorf("the index of contacts has more than the members: %v", entries)
	}
	return nil
}

// Contacts are the conversations in a user's index of contacts, in the order of their last change.
func (m *Memory) Contacts(user tidemark.UserID) []tidemark.ConversationID {
	var ids []tidemark.ConversationID
	for position := tidemark.Position(1); position <= m.partition.Position; position++ {
		for _, info := range m.Conversations() {
			i := record.Index{
				Kind: record.ContactIndex, User: m.users[user], Position: position, Conversation: info.Ordinal,
			}
			if m.indexes[i] {
				ids = append(ids, info.ID)
			}
		}
	}
	return ids
}
