// SPDX-License-Identifier: Apache-2.0

// A check that cannot fail proves nothing: each kind of damage must be found.

package coretest

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// lived is a partition with one of everything that can be derived.
func lived(t *testing.T) *Memory {
	t.Helper()
	m := New()
	env := core.Env{NowMs: 1_772_000_000_000}
	submit := func(user tidemark.UserID, id tidemark.ClientID, cmd core.Submit) {
		cmd.Actor, cmd.Conversation, cmd.ClientID = core.Actor{User: user}, "team", id
		if reply, _ := m.Do(&cmd, env); reply.Err != nil {
			t.Fatal(reply.Err)
		}
	}
	name := "Alice"
	m.Do(&core.UpsertUser{User: "alice"}, env)
	m.Do(&core.UpdateUser{User: "alice", Nickname: &name}, env)
	m.Do(&core.Create{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"alice", "bob"}}, env)
	submit("alice", "c1", core.Submit{Message: &wire.Message{Text: "one", Mentions: []string{"bob"}}})
	submit("alice", "c2", core.Submit{Message: &wire.Message{Text: "two"}})
	submit("bob", "c3", core.Submit{Reaction: &wire.Reaction{Seq: 2, Key: "+1"}})
	submit("alice", "c4", core.Submit{Recall: &wire.Recall{Seq: 3}})
	if reply, _ := m.Do(&core.Erase{Actor: core.Actor{App: true}, Conversation: "team", Seq: 3}, env); reply.Err != nil {
		t.Fatal(reply.Err)
	}
	return m
}

func TestCheckFindsDamage(t *testing.T) {
	if err := lived(t).Check(); err != nil {
		t.Fatalf("nothing is damaged: %v", err)
	}
	bob := memberKey{1, 2}
	for name, damage := range map[string]func(m *Memory){
		"digest":          func(m *Memory) { m.events[eventKey{1, 2}].Digest[0]++ },
		"body":            func(m *Memory) { m.events[eventKey{1, 2}].Body[4]++ },
		"body remains":    func(m *Memory) { m.events[eventKey{1, 3}].Body = []byte("two") },
		"time falls":      func(m *Memory) { m.events[eventKey{1, 4}].TimeMs-- },
		"id repeats":      func(m *Memory) { m.events[eventKey{1, 4}].ID = m.events[eventKey{1, 3}].ID },
		"event missing":   func(m *Memory) { delete(m.events, eventKey{1, 6}) },
		"counted":         func(m *Memory) { m.heads[1].Counted++ },
		"recalled":        func(m *Memory) { m.heads[1].Recalled-- },
		"members":         func(m *Memory) { m.heads[1].Members++ },
		"recall missing":  func(m *Memory) { delete(m.recalls, eventKey{1, 3}) },
		"read past head":  func(m *Memory) { m.members[bob].ReadSeq = 7 },
		"read counted":    func(m *Memory) { m.members[bob].ReadCounted-- },
		"role":            func(m *Memory) { m.members[bob].Role = record.OwnerRole },
		"list row":        func(m *Memory) { delete(m.lists, bob) },
		"list position":   func(m *Memory) { m.members[bob].ListPosition-- },
		"profile changed": func(m *Memory) { m.profiles["alice"].NicknamePosition++ },
		"profile entry":   func(m *Memory) { m.indexes[record.Index{Kind: record.ProfileIndex, Position: 1, ID: "alice"}] = true },
		"title":           func(m *Memory) { m.conversations["team"].Title = "Team" },
		"hour":            func(m *Memory) { m.hours[hourKey{1, 492222}] = record.Hour{Hour: 492222, First: 1, Count: 5} },
		"mention":         func(m *Memory) { m.mentions[mentionKey{1, 2, 3}] = true },
		"reaction":        func(m *Memory) { m.currents[eventKey{1, 2}].Reactions = nil },
		"client id":       func(m *Memory) { m.clientIDs[clientKey{1, 2, "c9"}] = 2 },
	} {
		m := lived(t)
		damage(m)
		if err := m.Check(); err == nil {
			t.Errorf("%s: the damage is not found", name)
		}
	}
}

// acquainted is a partition with contacts.
func acquainted(t *testing.T) *Memory {
	t.Helper()
	m := lived(t)
	for _, cmd := range []core.Contact{
		{User: "alice", Peer: "bob", Action: core.AskContact, Text: "hi"},
		{User: "bob", Peer: "alice", Action: core.RemarkPeer, Text: "Al"},
		{User: "alice", Peer: "carol", Action: core.BlockPeer},
	} {
		if reply, _ := m.Do(&cmd, core.Env{NowMs: 1_772_000_000_000}); reply.Err != nil {
			t.Fatal(reply.Err)
		}
	}
	return m
}

func TestCheckFindsDamagedContacts(t *testing.T) {
	if err := acquainted(t).Check(); err != nil {
		t.Fatalf("nothing is damaged: %v", err)
	}
	alice, bob := memberKey{2, 1}, memberKey{2, 2}
	for name, damage := range map[string]func(m *Memory){
		"one side":        func(m *Memory) { m.members[bob].Contact = record.InContact },
		"text":            func(m *Memory) { m.members[bob].RequestText = "ho" },
		"text of nothing": func(m *Memory) { m.members[alice].Contact, m.members[bob].Contact = 0, 0 },
		"position":        func(m *Memory) { m.members[alice].ContactPosition-- },
		"no position":     func(m *Memory) { m.members[memberKey{3, 1}].ContactPosition = 0 },
		"future":          func(m *Memory) { m.members[alice].ContactPosition += 9 },
		"in a group":      func(m *Memory) { m.members[memberKey{1, 1}].Blocked = true },
		"entry missing": func(m *Memory) {
			delete(m.indexes, record.Index{Kind: record.ContactIndex, User: 2, Conversation: 2, Position: m.members[bob].ContactPosition})
		},
		"entry invented": func(m *Memory) {
			m.indexes[record.Index{Kind: record.ContactIndex, User: 2, Conversation: 3, Position: 2}] = true
		},
	} {
		m := acquainted(t)
		damage(m)
		if err := m.Check(); err == nil {
			t.Errorf("%s: the damage is not found", name)
		}
	}
}

// peopled is a partition with an account and one that has ended.
func peopled(t *testing.T) *Memory {
	t.Helper()
	m, env, yes := New(), core.Env{NowMs: 1_772_000_000_000}, true
	for _, cmd := range []core.Command{
		&core.UpsertUser{User: "alice", Nickname: "Alice"}, &core.UpsertUser{User: "gone", Nickname: "Gone"},
		&core.SeeDevice{User: "alice", Device: "phone"}, &core.SeeDevice{User: "gone", Device: "phone"},
		&core.SetOptions{User: "alice", HideTyping: &yes}, &core.RevokeTokens{User: "alice", Device: "phone"},
		&core.RevokeTokens{User: "alice", Device: "desk"}, &core.DeleteUser{User: "gone"},
	} {
		if reply, _ := m.Do(cmd, env); reply.Err != nil {
			t.Fatal(reply.Err)
		}
	}
	return m
}

func TestCheckFindsDamagedAccounts(t *testing.T) {
	if err := peopled(t).Check(); err != nil {
		t.Fatalf("nothing is damaged: %v", err)
	}
	for name, damage := range map[string]func(m *Memory){
		"of nobody":        func(m *Memory) { m.accounts["bob"] = &record.Account{User: "bob"} },
		"of another":       func(m *Memory) { m.accounts["alice"].User = "bob" },
		"order":            func(m *Memory) { a := m.accounts["alice"]; a.Revoked[0], a.Revoked[1] = a.Revoked[1], a.Revoked[0] },
		"twice":            func(m *Memory) { a := m.accounts["alice"]; a.Revoked[1] = a.Revoked[0] },
		"superfluous":      func(m *Memory) { m.accounts["alice"].TokensFromMs = 1_772_000_000_001 },
		"not deleted":      func(m *Memory) { m.accounts["gone"].DeletedMs = 0 },
		"no account":       func(m *Memory) { delete(m.accounts, "gone") },
		"tokens":           func(m *Memory) { m.accounts["gone"].TokensFromMs = 0 },
		"chosen":           func(m *Memory) { m.accounts["gone"].HidePresence = true },
		"name":             func(m *Memory) { m.profiles["gone"].Nickname = "Gone" },
		"device":           func(m *Memory) { m.devices[deviceKey{"gone", "phone"}] = &record.Device{ID: "phone"} },
		"device of nobody": func(m *Memory) { m.devices[deviceKey{"bob", "phone"}] = &record.Device{ID: "phone"} },
		"too many devices": func(m *Memory) { m.accounts["alice"].Revoked = make([]record.RevokedDevice, core.RevokedMax+1) },
	} {
		m := peopled(t)
		damage(m)
		if err := m.Check(); err == nil {
			t.Errorf("%s: the damage is not found", name)
		}
	}
}
