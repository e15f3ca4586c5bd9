// SPDX-License-Identifier: Apache-2.0

// Random histories of several users, with clients that hold versions of any age, read pages while things change, go back
// to an older copy of what they had, and live through restarts and crashes of the server. Whenever a client has read to
// the end, it must have exactly what is there.

package contract_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

var (
	someUsers  = []tidemark.UserID{"alice", "bob", "carol", "dave", "bob.2", "frank"}
	someGroups = []tidemark.ConversationID{"g1", "g2", "g3", "g4"}
)

// truth is what there is, kept by the test itself from the answers to its commands.
type truth struct {
	members  map[tidemark.ConversationID]map[tidemark.UserID]record.Role
	titles   map[tidemark.ConversationID]string
	profiles map[tidemark.UserID]string
	contacts map[tidemark.UserID]map[tidemark.UserID]*side
}

type side struct {
	state   wire.ContactState
	blocked bool
	remark  string
}

// client is what one client of a user has, by set: "groups", "contacts", "profiles", or a conversation.
type client struct {
	user tidemark.UserID
	sets map[string]*held
	old  []map[string]*held // copies of what it had
}

type history struct {
	*world
	t       *rapid.T
	truth   truth
	clients []*client
	names   int
	done    map[string]int
}

// nothingCached makes nearly every read go to the store.
var nothingCached = partition.CacheLimits{
	Conversations: 1, Members: 1, ListRows: 1, Users: 1, Strangers: 1, Profiles: 1, Devices: 1, HeadPages: 1, TailBytes: 1, TailEvents: 1,
}

func TestA4VersionsOfEverySet(t *testing.T) {
	done := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		cold := rapid.Bool().Draw(t, "cold")
		h := &history{t: t, done: done, truth: truth{
			members: map[tidemark.ConversationID]map[tidemark.UserID]record.Role{}, titles: map[tidemark.ConversationID]string{},
			profiles: map[tidemark.UserID]string{}, contacts: map[tidemark.UserID]map[tidemark.UserID]*side{},
		}}
		h.world = newWorld(t, func(cfg *partition.Config) {
			if cold {
				cfg.Cache = nothingCached
			}
		})
		defer func() { h.close() }()
		for _, user := range someUsers {
			h.users(user)
			h.truth.profiles[user] = profileText(&wire.Profile{Nickname: "nick of " + string(user)})
			h.truth.contacts[user] = map[tidemark.UserID]*side{}
		}
		for _, user := range []tidemark.UserID{"alice", "alice", "bob"} {
			h.clients = append(h.clients, &client{user: user, sets: map[string]*held{}})
		}
		for range rapid.SampledFrom([]int{20, 60, 150}).Draw(t, "steps") {
			h.act()
		}
		for _, c := range h.clients {
			h.check(c)
		}
	})
	for _, kind := range []string{
		"create", "join", "leave", "add", "remove", "role", "set role", "rename group", "rename user", "message", "read", "direct", "contact",
		"restart", "crash", "page", "check", "back", "batch", "full", "difference", "pages",
	} {
		if done[kind] == 0 {
			t.Errorf("there never was: %s", kind)
		}
	}
	t.Log(done)
}

// act does one random thing.
func (h *history) act() {
	user := rapid.SampledFrom(someUsers).Draw(h.t, "user")
	switch kind := rapid.SampledFrom([]string{
		"group", "group", "group", "user", "user", "contact", "contact", "batch", "world", "page", "page", "page", "check", "back",
	}).Draw(h.t, "act"); kind {
	case "group":
		h.inGroup(user, rapid.SampledFrom(someGroups).Draw(h.t, "group"))
		h.step()
	case "user":
		h.renameUser(user)
		h.step()
	case "contact":
		h.contact(user, rapid.SampledFrom(someUsers).Draw(h.t, "peer"))
		h.step()
	case "batch": // one commit of several commands: equal positions
		for range 3 {
			h.renameUser(rapid.SampledFrom(someUsers).Draw(h.t, "user"))
			h.inGroup(user, rapid.SampledFrom(someGroups).Draw(h.t, "group"))
			h.contact(user, rapid.SampledFrom(someUsers).Draw(h.t, "peer"))
		}
		h.step()
		h.done[kind]++
	case "world":
		if seed := rapid.Uint64Range(0, 200).Draw(h.t, "crash"); seed > 100 {
			h.crash(seed)
			h.done["crash"]++
		} else {
			h.restart()
			h.done["restart"]++
		}
	default:
		h.withClient(kind, rapid.SampledFrom(h.clients).Draw(h.t, "client"))
	}
}

// withClient lets a client read one page, read everything and compare, or go back to what it had.
func (h *history) withClient(kind string, c *client) {
	switch kind {
	case "page":
		h.page(c, uint32(rapid.IntRange(1, 4).Draw(h.t, "limit")))
	case "check":
		h.check(c)
	case "back":
		if len(c.old) == 0 {
			return
		}
		before := rapid.SampledFrom(c.old).Draw(h.t, "old")
		c.sets = map[string]*held{}
		for name, set := range before {
			c.sets[name] = set.clone()
		}
	}
	h.done[kind]++
}

func (h *history) renameUser(user tidemark.UserID) {
	h.names++
	nickname, avatar := fmt.Sprintf("name %d", h.names), ""
	cmd := &core.UpsertUser{User: user, Nickname: nickname, Avatar: avatar}
	if rapid.Bool().Draw(h.t, "custom") {
		cmd.Custom = map[string]string{"n": fmt.Sprint(h.names)}
	}
	h.queue(cmd, func(r core.Reply) {
		if r.Err == nil {
			h.truth.profiles[user] = profileText(&wire.Profile{Nickname: nickname, Avatar: avatar, Custom: cmd.Custom})
			h.done["rename user"]++
		}
	})
}

func (h *history) contact(user, peer tidemark.UserID) {
	if user == peer {
		return
	}
	action := core.ContactAction(rapid.IntRange(1, 7).Draw(h.t, "action"))
	cmd := &core.Contact{User: user, Peer: peer, Action: action}
	if action == core.RemarkPeer && rapid.Bool().Draw(h.t, "remark") {
		h.names++
		cmd.Text = fmt.Sprint("remark ", h.names)
	}
	h.queue(cmd, func(r core.Reply) {
		if r.Err != nil {
			return
		}
		own, other := h.side(user, peer), h.side(peer, user)
		both := func(a, b wire.ContactState) { own.state, other.state = a, b }
		switch {
		case action == core.BlockPeer || action == core.UnblockPeer:
			own.blocked = action == core.BlockPeer
		case action == core.RemarkPeer:
			own.remark = cmd.Text
		case action == core.RejectContact || action == core.RemoveContact:
			both(wire.ContactState_NO_CONTACT, wire.ContactState_NO_CONTACT)
		case own.state == wire.ContactState_CONTACT || own.state == wire.ContactState_ASKED:
			both(wire.ContactState_CONTACT, wire.ContactState_CONTACT)
		default:
			both(wire.ContactState_REQUESTED, wire.ContactState_ASKED)
		}
		if r.Member != nil { // a contact begins the direct conversation
			h.meet(user, peer)
		}
		h.done["contact"]++
	})
}

func (h *history) side(user, peer tidemark.UserID) *side {
	if h.truth.contacts[user][peer] == nil {
		h.truth.contacts[user][peer] = &side{}
	}
	return h.truth.contacts[user][peer]
}

// meet takes over who is a member of a direct conversation from the server: when both become members is not this test's.
func (h *history) meet(user, peer tidemark.UserID) {
	id := tidemark.Direct(user, peer)
	p := h.set.Of(id)
	i, err := p.Info(id)
	if err != nil {
		return
	}
	h.truth.members[id] = map[tidemark.UserID]record.Role{}
	for _, u := range []tidemark.UserID{user, peer} {
		if m, err := p.Member(i.Ordinal, u); err == nil && m.Active() {
			h.truth.members[id][u] = m.Role
		}
	}
}

// inGroup does something in a group, as its back end or as a user.
func (h *history) inGroup(user tidemark.UserID, id tidemark.ConversationID) {
	members := h.truth.members[id]
	if members == nil {
		h.create(id)
		return
	}
	other := rapid.SampledFrom(someUsers).Draw(h.t, "other")
	done := func(kind string, fn func()) func(core.Reply) {
		return func(r core.Reply) {
			if r.Err == nil {
				fn()
				h.done[kind]++
			}
		}
	}
	add := func(u tidemark.UserID, role record.Role) func() {
		return func() {
			if members[u] == 0 {
				members[u] = role
			}
		}
	}
	switch rapid.IntRange(0, 9).Draw(h.t, "what") {
	case 0:
		h.queue(&core.Join{Actor: core.Actor{User: user}, Conversation: id}, done("join", add(user, record.MemberRole)))
	case 1:
		h.queue(&core.Leave{Actor: core.Actor{User: user}, Conversation: id}, done("leave", func() { delete(members, user) }))
	case 2:
		h.queue(&core.AddMembers{Actor: app, Conversation: id, Members: []tidemark.UserID{user, other}}, done("add", func() {
			add(user, record.MemberRole)()
			add(other, record.MemberRole)()
		}))
	case 3:
		h.queue(&core.AddMembers{Actor: app, Conversation: id, Members: []tidemark.UserID{user}, Role: record.AdminRole},
			done("role", add(user, record.AdminRole)))
	case 4:
		h.queue(&core.RemoveMembers{Actor: app, Conversation: id, Members: []tidemark.UserID{user, other}}, done("remove", func() {
			delete(members, user)
			delete(members, other)
		}))
	case 5:
		h.names++
		title := fmt.Sprintf("title %d", h.names)
		h.queue(&core.Update{Actor: app, Conversation: id, Title: &title}, done("rename group", func() { h.truth.titles[id] = title }))
	case 6:
		h.queue(h.text(user, id), done("message", func() {}))
	case 7:
		h.queue(&core.Read{User: user, Conversation: id, Seq: 1}, done("read", func() {}))
	case 9:
		role := record.Role(rapid.IntRange(1, 3).Draw(h.t, "role"))
		h.queue(&core.SetRole{Actor: app, Conversation: id, Members: []tidemark.UserID{user}, Role: role}, done("set role", func() {
			members[user] = role
		}))
	case 8:
		if direct := tidemark.Direct(user, other); user != other {
			h.queue(h.text(user, direct), done("direct", func() {
				h.truth.members[direct] = map[tidemark.UserID]record.Role{user: record.MemberRole, other: record.MemberRole}
			}))
		}
	}
}

func (h *history) create(id tidemark.ConversationID) {
	members := rapid.SliceOfNDistinct(rapid.SampledFrom(someUsers), 0, 4, rapid.ID).Draw(h.t, "members")
	cmd := &core.Create{Actor: app, Conversation: id, Kind: record.Group, Members: members, Settings: &wire.Settings{
		Join: wire.JoinPolicy_OPEN, HistoryFromStart: rapid.Bool().Draw(h.t, "history"),
	}}
	h.queue(cmd, nil)
	h.truth.members[id] = map[tidemark.UserID]record.Role{}
	for _, u := range members {
		h.truth.members[id][u] = record.MemberRole
	}
	h.done["create"]++
}

// page asks one question about all sets, and keeps the answer.
func (h *history) page(c *client, limit uint32) (more bool) {
	req := &wire.ChangesRequest{Limit: limit}
	set := func(name string) *held {
		if c.sets[name] == nil {
			c.sets[name] = newHeld()
		}
		return c.sets[name]
	}
	g, k, f := set("groups"), set("contacts"), set("profiles")
	req.Groups = &wire.GroupsContract{ListVersion: g.list, InfoVersion: g.info, PageToken: g.token}
	req.Contacts = &wire.ContactsContract{ListVersion: k.list, InfoVersion: k.info, PageToken: k.token}
	req.Profiles = &wire.ProfilesContract{Users: []string{"dave", "nobody", "bob", "frank"}, InfoVersion: f.info, PageToken: f.token}
	for _, id := range someGroups {
		m := set(string(id))
		req.GroupMembers = append(req.GroupMembers, &wire.GroupMembersContract{
			Conversation: string(id), ListVersion: m.list, InfoVersion: m.info, PageToken: m.token,
		})
	}
	answer := h.ask(c.user, req)
	for name, full := range map[string]bool{"groups": answer.Groups.Full, "contacts": answer.Contacts.Full, "profiles": answer.Profiles.Full} {
		if held := c.sets[name]; full && held.info != "" && held.token == "" {
			h.Fatalf("a version of %s that was handed out cannot be used", name)
		}
	}
	g.groups(h.world, answer.Groups)
	k.contacts(answer, answer.Contacts)
	f.listed(answer, answer.Profiles)
	for i, id := range someGroups {
		switch got := answer.GroupMembers[i]; {
		case got.Error == nil:
			h.wantVisible(c.user, id, got.Events)
			set(string(id)).members(answer, got)
		case h.truth.members[id][c.user] != 0:
			h.Fatalf("%s is a member of %s and is answered %v", c.user, id, got.Error)
		case len(got.Members)+len(got.Events)+len(got.Changed) > 0 || got.ListVersion != "":
			h.Fatalf("%s is no member of %s and is answered %v", c.user, id, got)
		default:
			set(string(id)).token = "" // it may go on when it is a member again, from what it had
			set(string(id)).began = false
		}
	}
	for _, s := range c.sets {
		if s.token != "" {
			more = true
			h.done["pages"]++
		} else if s.full {
			h.done["full"]++
		} else {
			h.done["difference"]++
		}
	}
	if !more && len(c.old) < 8 {
		copies := map[string]*held{}
		for name, s := range c.sets {
			copies[name] = s.clone()
		}
		c.old = append(c.old, copies)
	}
	return more
}

// wantVisible fails if a user is told of events from before those that it may see.
func (h *history) wantVisible(user tidemark.UserID, id tidemark.ConversationID, events []*wire.MembershipEvent) {
	sight, err := h.set.See(user, id)
	h.must(err)
	for _, e := range events {
		if tidemark.Seq(e.Seq) <= sight.Floor {
			h.Fatalf("%s is told of event %d of %s and may see what comes after %d", user, e.Seq, id, sight.Floor)
		}
	}
}

// check reads to the end, once for what was begun and once for what has changed since, and compares.
func (h *history) check(c *client) {
	for range 2 {
		limit := uint32(rapid.IntRange(1, 20).Draw(h.t, "limit"))
		for pages := 0; h.page(c, limit); pages++ {
			if pages > 1000 {
				h.Fatalf("there is no end of pages")
			}
		}
	}
	fresh := &client{user: c.user, sets: map[string]*held{}}
	for h.page(fresh, 7) {
		continue
	}
	for name, set := range fresh.sets {
		if _, group := h.truth.members[tidemark.ConversationID(name)]; group && h.truth.members[tidemark.ConversationID(name)][c.user] == 0 {
			continue // what it had stays as it was
		}
		want, profiles := h.expected(c.user, name)
		for what, have := range map[string]*held{"fresh": set, "kept": c.sets[name]} {
			if dump(have.rows) != dump(want) {
				h.Fatalf("%s %s of %s:\n%swant\n%s", what, name, c.user, dump(have.rows), dump(want))
			}
			if got := only(have.profiles, profiles); dump(got) != dump(profiles) {
				h.Fatalf("%s profiles of %s of %s:\n%swant\n%s", what, name, c.user, dump(got), dump(profiles))
			}
		}
	}
}

// expected is what a client must have of a set, and of which users it must have the profiles.
func (h *history) expected(user tidemark.UserID, name string) (rows, profiles map[string]string) {
	rows, profiles = map[string]string{}, map[string]string{}
	know := func(id tidemark.UserID) { profiles[string(id)] = h.truth.profiles[id] }
	switch name {
	case "groups":
		for id, members := range h.truth.members {
			if members[user] != 0 {
				info := &wire.ConversationInfo{Kind: wire.Kind_GROUP, Title: h.truth.titles[id], MemberCount: uint32(len(members))}
				if _, _, direct := id.Peers(); direct {
					info.Kind = wire.Kind_DIRECT
				}
				rows[string(id)] = infoText(info)
			}
		}
	case "contacts":
		for peer, s := range h.truth.contacts[user] {
			if *s != (side{}) {
				rows[string(peer)] = fmt.Sprintf("%s %v %q", s.state, s.blocked, s.remark)
				know(peer)
			}
		}
	case "profiles":
		know("dave")
		know("bob")
		know("frank")
	default:
		for _, id := range slices.Sorted(maps.Keys(h.truth.members[tidemark.ConversationID(name)])) {
			rows[string(id)] = wire.Role(h.truth.members[tidemark.ConversationID(name)][id]).String()
			know(id)
		}
	}
	return rows, profiles
}
