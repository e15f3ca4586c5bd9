// SPDX-License-Identifier: Apache-2.0

// Damages of contacts, each found and named.

package verify_test

import (
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// inContact changes a user's record in a conversation.
func inContact(
	id tidemark.ConversationID, user tidemark.UserID, change func(m *record.Member, index func(record.Index, bool)),
) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		rewrite(t, dir, tidemark.PartitionOfConversation(id, partitions), func(p *store.Partition, c *record.Changes) {
			info, _ := p.Conversation(id)
			u, _, _ := p.User(user)
			m, err := p.Member(info.Ordinal, u)
			if err != nil || m == nil {
				t.Fatalf("%s in %s: %v, %v", user, id, m, err)
			}
			change(m, func(i record.Index, removed bool) {
				i.Kind, i.User, i.Conversation = record.ContactIndex, u, info.Ordinal
				c.Indexes = append(c.Indexes, record.IndexChange{Index: i, Removed: removed})
			})
			c.Members = append(c.Members, record.MemberChange{Conversation: info.Ordinal, User: u, Member: m, Quiet: true})
		})
	}
}

func TestEachDamageOfContactsIsFound(t *testing.T) {
	whole := makeDir(t)
	team := newWorld(t, t.TempDir()+"/other")
	defer team.close()
	for _, d := range []struct {
		name string
		do   func(t *testing.T, dir string)
		says string
	}{
		{"a contact is one-sided", inContact("alice~bob", "bob", func(m *record.Member, _ func(record.Index, bool)) {
			m.Contact = record.NoContact
		}), "contact with member alice, as bob has it: found 0, expected 3"},
		{"both have asked", inContact("alice~carol", "alice", func(m *record.Member, _ func(record.Index, bool)) {
			m.Contact = record.Requested
		}), "contact with member alice, as carol has it: found 1, expected 2"},
		{"a request says something else", inContact("alice~carol", "alice", func(m *record.Member, _ func(record.Index, bool)) {
			m.RequestText = "no"
		}), "text of the request of member alice: found no, expected please"},
		{"a request outlasts its answer", inContact("alice~bob", "alice", func(m *record.Member, _ func(record.Index, bool)) {
			m.RequestText = "hi"
		}), "text of the request of member alice: found hi, expected "},
		{"a contact has no such state", inContact("alice~bob", "alice", func(m *record.Member, _ func(record.Index, bool)) {
			m.Contact = 9
		}), "contact of member alice: found 9, expected a state of contact"},
		{"a block has no position", inContact("alice~bob", "alice", func(m *record.Member, index func(record.Index, bool)) {
			index(record.Index{Position: m.ContactPosition}, true)
			m.ContactPosition = 0
		}), "position of the contact of member alice: found 0"},
		{"a contact is of the future", inContact("alice~bob", "alice", func(m *record.Member, index func(record.Index, bool)) {
			index(record.Index{Position: m.ContactPosition}, true)
			m.ContactPosition = m.Position + 1
			index(record.Index{Position: m.ContactPosition}, false)
		}), "position of the contact of member alice: found"},
		{"a group has a contact", inContact(team.team, "alice", func(m *record.Member, _ func(record.Index, bool)) {
			m.Blocked = true
		}), "contact of member alice: found one, expected none: it is no direct conversation"},
		{"an entry is missing", inContact("alice~dave", "dave", func(m *record.Member, index func(record.Index, bool)) {
			index(record.Index{Position: m.ContactPosition}, true)
		}), "found none, expected one: the contact changed then"},
		{"an entry is invented", inContact("alice~bob", "alice", func(m *record.Member, index func(record.Index, bool)) {
			index(record.Index{Position: 1}, false)
		}), "at position 1: found one, expected none: the contact did not change then"},
	} {
		t.Run(d.name, func(t *testing.T) {
			dir := copyDir(t, whole)
			d.do(t, dir)
			report := run(t, dir)
			if report.OK() {
				t.Fatal("not found")
			}
			if first := report.Damages[0].String(); !strings.Contains(first, d.says) {
				t.Errorf("found %s\nwant %q", first, d.says)
			}
		})
	}
}
