// SPDX-License-Identifier: Apache-2.0

// A directory with a room in it is whole: its attributes, its admins, and whom it keeps from posting. What a room cannot
// have is damage.

package verify_test

import (
	"path/filepath"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// roomDir is a directory with a room, which is conversation 1 of partition 0: alice owns it, bob is its admin, carol was
// in it, has a key there and must not post, and dave was in it and has posted.
func roomDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "data")
	w := newWorld(t, dir)
	alice, hall := core.Actor{User: "alice"}, w.group(0, "hall")
	w.in(hall, &core.Create{Actor: alice, Conversation: hall, Kind: record.Room, Settings: &wire.Settings{SlowModeMs: 1000}})
	w.in(hall, &core.AddMembers{Actor: alice, Conversation: hall, Members: []tidemark.UserID{"bob"}})
	w.in(hall, &core.SetRole{Actor: alice, Conversation: hall, Members: []tidemark.UserID{"bob"}, Role: record.AdminRole})
	info, _ := w.memory[0].Conversation(hall)
	enter := func(user tidemark.UserID, in bool) { w.memory[0].SetEntered(info.Ordinal, user, in) }
	for _, user := range []tidemark.UserID{"carol", "dave", "zoe"} {
		enter(user, true)
	}
	w.in(hall, &core.SetAttributes{Actor: alice, Conversation: hall, Set: map[string]string{"topic": "tides", "old": "gone"}})
	w.in(hall, &core.SetAttributes{Actor: core.Actor{User: "carol"}, Conversation: hall, Set: map[string]string{"seat": "3"}, AutoDelete: true})
	w.in(hall, &core.SetAttributes{Actor: alice, Conversation: hall, Set: map[string]string{"old": ""}})
	w.text(hall, "dave", "hello")
	w.in(hall, &core.Mute{Actor: alice, Conversation: hall, Members: []tidemark.UserID{"carol"}, ForMs: 60_000})
	w.in(hall, &core.RemoveMembers{Actor: alice, Conversation: hall, Members: []tidemark.UserID{"zoe"}})
	for _, user := range []tidemark.UserID{"carol", "dave", "zoe"} {
		enter(user, false)
	}
	w.text(hall, "bob", "good night")
	if err := w.memory[0].Check(); err != nil {
		t.Fatal(err)
	}
	w.close()
	return dir
}

func TestRoomIsWhole(t *testing.T) {
	whole := roomDir(t)
	if report := run(t, whole); !report.OK() || report.Counts.ListRows != 0 || report.Counts.Members != 4 {
		t.Fatal(report)
	}
	attributes := func(change func(a []record.Attribute) []record.Attribute) func(*testing.T, string) {
		return inInfo(func(i *record.Info) {
			if len(i.Attributes) != 2 {
				t.Errorf("the room has %+v", i.Attributes)
			}
			i.Attributes = change(i.Attributes)
		})
	}
	member := func(id tidemark.UserID, change func(m *record.Member)) func(*testing.T, string) {
		return byRecord(func(p *store.Partition, c *record.Changes) {
			u, _, _ := p.User(id)
			m, _ := p.Member(1, u)
			if m == nil {
				m = &record.Member{Position: 1}
			}
			change(m)
			c.Members = append(c.Members, record.MemberChange{Conversation: 1, User: u, Member: m, Quiet: true})
		})
	}
	for name, d := range map[string]struct {
		do   func(t *testing.T, dir string)
		says string
	}{
		"an attribute is changed":     {attributes(func(a []record.Attribute) []record.Attribute { a[1].Value += "!"; return a }), "attributes: found"},
		"an attribute is lost":        {attributes(func(a []record.Attribute) []record.Attribute { return a[:1] }), "attributes: found"},
		"an attribute is another's":   {attributes(func(a []record.Attribute) []record.Attribute { a[0].Owner = 2; return a }), "attributes: found"},
		"an attribute is nobody's":    {attributes(func(a []record.Attribute) []record.Attribute { a[0].Owner = 99; return a }), "attributes: found"},
		"an attribute stays for ever": {attributes(func(a []record.Attribute) []record.Attribute { a[0].AutoDelete = false; return a }), "attributes: found"},
		"attributes are in no order":  {attributes(func(a []record.Attribute) []record.Attribute { a[0], a[1] = a[1], a[0]; return a }), "attributes: found"},
		"a removed attribute is there": {attributes(func(a []record.Attribute) []record.Attribute {
			return append(a, record.Attribute{Key: "old", Value: "gone", Owner: 1})
		}), "attributes: found"},
		"an owner of an attribute goes": {byHand(func(h hand) { h.delete(store.Key{Kind: store.UserOrdinalRow, ID: "carol"}) }), "carol"},
		"the room is in a list":         {byHand(func(h hand) { h.set(store.Key{Kind: store.ListRow, User: 1, Conversation: 1}, []byte{1}) }), "a room is in nobody's list"},
		"the room is in a guest's list": {byHand(func(h hand) { h.set(store.Key{Kind: store.ListRow, User: 3, Conversation: 1}, []byte{1}) }), "a room is in nobody's list"},
		"a guest is an admin":           {member("carol", func(m *record.Member) { m.Role = record.AdminRole }), "record of member carol: found one, expected none"},
		"a guest has joined":            {member("carol", func(m *record.Member) { m.JoinedSeq, m.VisibleFrom = 1, 1 }), "record of member carol: found one, expected none"},
		"a guest has a read mark":       {member("dave", func(m *record.Member) { m.ReadSeq = 2 }), "member dave"},
		"a guest has an alias":          {member("dave", func(m *record.Member) { m.Alias = "den" }), "record of member dave: found one, expected none"},
		"a guest keeps something":       {member("dave", func(m *record.Member) { m.PrivatePosition = 1 }), "member dave"},
		"who was in it is a member":     {member("dave", func(m *record.Member) { m.Role, m.JoinedSeq, m.VisibleFrom = record.MemberRole, 1, 1 }), "record of member dave: found one, expected none"},
		"an admin is a guest":           {member("bob", func(m *record.Member) { *m = record.Member{Position: m.Position} }), "member bob"},
		"an admin is gone":              {byHand(func(h hand) { h.delete(store.Key{Kind: store.MemberRow, Conversation: 1, User: 2}) }), "record of member bob: found none"},
		"guests are counted":            {inHead(func(h *record.Head) { h.Members++ }), "members of the head"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, whole)
			d.do(t, dir)
			if report := run(t, dir); report.OK() || !strings.Contains(report.String(), d.says) {
				t.Errorf("not found: %s", report)
			}
		})
	}
}
