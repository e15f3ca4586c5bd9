// SPDX-License-Identifier: Apache-2.0

// Damages of accounts, each found and named.

package verify_test

import (
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// accounts gives alice an account, and ends that of gina, who comes back, and of frank, who does not.
func (w *world) accounts() {
	yes := true
	home := func(user tidemark.UserID, cmd core.Command) { w.do(tidemark.PartitionOfUser(user, partitions), cmd) }
	home("alice", &core.SetOptions{User: "alice", HidePresence: &yes})
	home("alice", &core.RevokeTokens{User: "alice", Device: "old"})
	home("alice", &core.RevokeTokens{User: "alice", Device: "older"})
	for _, user := range []tidemark.UserID{"gina", "frank"} {
		home(user, &core.UpsertUser{User: user, Nickname: string(user), Avatar: "a", Custom: map[string]string{"k": "v"}})
		home(user, &core.SeeDevice{User: user, Device: "phone"})
		home(user, &core.DeleteUser{User: user})
	}
	home("gina", &core.UpsertUser{User: "gina", Nickname: "Gina", Anew: true})
	w.departures()
}

// departures ends what frank is in a room and in conversations with alice; a request of carol's to join waits.
func (w *world) departures() {
	hall, left := w.group(1, "hall"), w.group(1, "left")
	w.in(hall, &core.Create{Actor: core.Actor{User: "alice"}, Conversation: hall, Kind: record.Room, Members: []tidemark.UserID{"frank"}})
	w.in(left, &core.Create{Actor: core.Actor{User: "frank"}, Conversation: left, Members: []tidemark.UserID{"alice"}, Settings: &wire.Settings{Join: wire.JoinPolicy_REQUEST}})
	w.in(left, &core.Settings{User: "frank", Conversation: left, Draft: &wire.Draft{Text: "soon"}})
	w.in(left, &core.Join{Actor: core.Actor{User: "carol"}, Conversation: left})
	w.contact("frank", "alice", core.AskContact, "hi")
	w.contact("alice", "frank", core.AcceptContact, "")
	for _, id := range []tidemark.ConversationID{hall, left, "alice~frank"} {
		w.in(id, &core.Depart{User: "frank", Conversation: id})
	}
}

// inNamed changes the index of where users are named, for a user in a conversation.
func inNamed(name string, user tidemark.UserID, removed bool) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		w := newWorld(t, t.TempDir()+"/other")
		id := w.group(1, name)
		w.close()
		rewrite(t, dir, 1, func(p *store.Partition, c *record.Changes) {
			info, _ := p.Conversation(id)
			u, _, _ := p.User(user)
			c.Indexes = append(c.Indexes, record.IndexChange{
				Index: record.Index{Kind: record.NamedIndex, User: u, Conversation: info.Ordinal}, Removed: removed,
			})
		})
	}
}

// inAccount changes an account.
func inAccount(user tidemark.UserID, change func(a *record.Account)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		rewrite(t, dir, tidemark.PartitionOfUser(user, partitions), func(p *store.Partition, c *record.Changes) {
			a, err := p.Account(user)
			if err != nil || a == nil {
				t.Fatalf("account of %s: %v, %v", user, a, err)
			}
			change(a)
			c.Accounts = append(c.Accounts, a)
		})
	}
}

// atHome changes what is in a user's home partition.
func atHome(user tidemark.UserID, change func(p *store.Partition, c *record.Changes)) func(*testing.T, string) {
	return func(t *testing.T, dir string) { rewrite(t, dir, tidemark.PartitionOfUser(user, partitions), change) }
}

func TestEachDamageOfAccountsIsFound(t *testing.T) {
	whole := makeDir(t)
	for _, d := range []struct {
		name string
		do   func(t *testing.T, dir string)
		says string
	}{
		{"an account is nobody's", atHome("nobody", func(_ *store.Partition, c *record.Changes) {
			c.Accounts = append(c.Accounts, &record.Account{User: "nobody"})
		}), `account of user "nobody": found one, expected none`},
		{"an account has ended, its profile has not", inAccount("alice", func(a *record.Account) {
			*a = record.Account{User: "alice", TokensFromMs: 1, DeletedMs: 1}
		}), `end of the account of user "alice": found true, expected false`},
		{"an ended account has chosen something", inAccount("frank", func(a *record.Account) { a.HideTyping = true }),
			`what is left of the account of user "frank"`},
		{"an ended account takes tokens", inAccount("frank", func(a *record.Account) { a.TokensFromMs = 0 }),
			`what is left of the account of user "frank"`},
		{"revoked devices are out of order", inAccount("alice", func(a *record.Account) { a.Revoked[0], a.Revoked[1] = a.Revoked[1], a.Revoked[0] }),
			`revoked devices of the account of user "alice"`},
		{"a device is revoked twice", inAccount("alice", func(a *record.Account) { a.Revoked[1].Device = a.Revoked[0].Device }),
			`revoked devices of the account of user "alice"`},
		{"too many devices are revoked", inAccount("alice", func(a *record.Account) {
			a.Revoked = make([]record.RevokedDevice, core.RevokedMax+1)
		}), `revoked devices of the account of user "alice": found 65`},
		{"a revoked device is superfluous", inAccount("alice", func(a *record.Account) { a.TokensFromMs = a.Revoked[0].FromMs }),
			`time of the revoked device "old" of the account of user "alice"`},
		{"an ended account is missing", byHand(func(h hand) {
			h.delete(store.Key{Partition: uint8(tidemark.PartitionOfUser("frank", partitions)), Kind: store.AccountRow, ID: "frank"})
		}),
			`account of user "frank", who was deleted: found none`},
		{"a deleted user has a name", atHome("frank", func(p *store.Partition, c *record.Changes) {
			f, _ := p.Profile("frank")
			f.Nickname = "Frank"
			c.Profiles = append(c.Profiles, f)
		}), `data of the profile of user "frank", who was deleted`},
		{"a deleted user has a device", atHome("frank", func(_ *store.Partition, c *record.Changes) {
			c.Devices = append(c.Devices, record.DeviceChange{User: "frank", Device: &record.Device{ID: "d"}})
		}), `device "d" of user "frank": found one, expected none: the user was deleted`},
		{"a request is named nowhere", inNamed("left", "carol", true), "found none, expected one: the user asks to join"},
		{"a member of a room is named nowhere", inNamed("hall", "alice", true), "found none, expected one: the user is a member of the room"},
		{"who has left a room is named", inNamed("hall", "frank", false), "found one, expected none: the user neither asks to join"},
		{"a member of a group is named", inNamed("left", "alice", false), "found one, expected none: the user neither asks to join"},
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
