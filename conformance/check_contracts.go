// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 6: contracts.

package conformance

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfContracts = []check{
	{"6.1", "versions that nothing has changed are answered by nothing, and come again as they were", checkNothingChanged},
	{"6.1", "versions hold for who and what they were answered for, and for nobody and nothing else", checkVersionsOfOthers},
	{"6.2", "a version that is absent or damaged is answered by the whole set, with full", checkFull},
	{"6.2", "what changed in conversations since a version: joined, left, a new title", checkGroupsChanged},
	{"6.2", "what changed among users that are named", checkProfilesChanged},
	{"6.3", "pages go on by token and add up to the set, with versions that hold for the first page", checkPages},
	{"6.4", "full comes on every page where it comes first, and pages after it add to it", checkFullPages},
	{"6.5", "a profile comes once, however many sets it is in, with a version for each field", checkProfileOnce},
	{"6.6", "the events about members, applied to the list held, give the list as it is", checkMembershipEvents},
	{"6.7", "a member list that the user may not see has its refusal, and the others are answered", checkRefusedSet},
	{"6.8", "too many sets are refused, and so is the page token of another question", checkTooManySets},
}

// changes asks what changed.
func changes(u *user, request *wire.ChangesRequest) *wire.ChangesResponse {
	return call[*wire.ChangesResponse](u, "SyncService/Changes", request)
}

// heldGroups asks for the conversations since the versions of an answer; nil: for all.
func heldGroups(since *wire.GroupsChanges) *wire.ChangesRequest {
	return &wire.ChangesRequest{Groups: &wire.GroupsContract{ListVersion: since.GetListVersion(), InfoVersion: since.GetInfoVersion()}}
}

// heldMembers asks for a member list since the versions of an answer; nil: for all.
func heldMembers(conversation string, since *wire.GroupMembersChanges) *wire.ChangesRequest {
	return &wire.ChangesRequest{GroupMembers: []*wire.GroupMembersContract{
		{Conversation: conversation, ListVersion: since.GetListVersion(), InfoVersion: since.GetInfoVersion()},
	}}
}

// idsOf are the ids of conversations, in order.
func idsOf(list []*wire.ConversationDelta) []string {
	ids := []string{}
	for _, c := range list {
		ids = append(ids, c.GetId())
	}
	slices.Sort(ids)
	return ids
}

// namesOf are the users of members, in order.
func namesOf(members []*wire.Member) []string {
	names := []string{}
	for _, m := range members {
		names = append(names, m.GetUser())
	}
	slices.Sort(names)
	return names
}

func rename(u *user, nickname string) {
	call[*wire.UpdateUserResponse](u, "UserService/Update", &wire.UpdateUserRequest{Nickname: &nickname})
}

func checkNothingChanged(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	first := changes(bob, heldGroups(nil)).GetGroups()
	p.must(first.GetListVersion() != "" && first.GetInfoVersion() != "", "two versions", "%s", show(first))
	again := changes(bob, heldGroups(first)).GetGroups()
	p.must(!again.GetFull() && len(again.GetJoined())+len(again.GetLeft())+len(again.GetChanged()) == 0, "no change of conversations", "%s", show(again))
	p.say(alice, team, "messages are no change of a set")
	again = changes(bob, heldGroups(again)).GetGroups()
	p.must(!again.GetFull() && len(again.GetJoined())+len(again.GetLeft())+len(again.GetChanged()) == 0, "no change by a message", "%s", show(again))

	members := changes(bob, heldMembers(team, nil)).GetGroupMembers()[0]
	rest := changes(bob, heldMembers(team, members)).GetGroupMembers()[0]
	p.must(!rest.GetFull() && len(rest.GetEvents())+len(rest.GetChanged())+len(rest.GetMembers()) == 0, "no change of members", "%s", show(rest))
}

func checkVersionsOfOthers(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, club := p.group(alice, bob), p.group(alice, bob)
	ofBob := changes(bob, heldGroups(nil)).GetGroups()
	p.must(changes(alice, heldGroups(ofBob)).GetGroups().GetFull(), "full, for the versions of another user", "it is not")
	ofTeam := changes(bob, heldMembers(team, nil)).GetGroupMembers()[0]
	p.must(changes(bob, heldMembers(club, ofTeam)).GetGroupMembers()[0].GetFull(), "full, for the versions of another conversation", "it is not")
	some := changes(bob, &wire.ChangesRequest{Profiles: &wire.ProfilesContract{Users: []string{alice.id}}}).GetProfiles()
	more := changes(bob, &wire.ChangesRequest{Profiles: &wire.ProfilesContract{Users: []string{alice.id, bob.id}, InfoVersion: some.GetInfoVersion()}})
	p.must(more.GetProfiles().GetFull(), "full, for the version of another set of users", "%s", show(more))
}

func checkFull(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	for what, held := range map[string]*wire.GroupsChanges{
		"no versions": nil, "damaged versions": {ListVersion: "x", InfoVersion: "y"}, "one version of two": {ListVersion: changes(bob, heldGroups(nil)).GetGroups().GetListVersion()},
	} {
		got := changes(bob, heldGroups(held)).GetGroups()
		p.must(got.GetFull(), "full, for "+what, "%s", show(got))
		equal(p, "the whole set, for "+what, idsOf(got.GetJoined()), []string{team})
		p.must(got.GetJoined()[0].GetInfo() != nil && got.GetJoined()[0].GetSelf() != nil, "joined with info and self", "%s", show(got))
	}
	got := changes(bob, heldMembers(team, &wire.GroupMembersChanges{ListVersion: "%%%", InfoVersion: "%%%"})).GetGroupMembers()[0]
	p.must(got.GetFull(), "full, for damaged versions of a member list", "%s", show(got))
	whole := []string{alice.id, bob.id}
	slices.Sort(whole)
	equal(p, "the members", namesOf(got.GetMembers()), whole)
	request := &wire.ChangesRequest{Contacts: &wire.ContactsContract{ListVersion: "!"}, Profiles: &wire.ProfilesContract{Users: []string{alice.id}, InfoVersion: "!"}}
	others := changes(bob, request)
	p.must(others.GetContacts().GetFull() && others.GetProfiles().GetFull(), "full for contacts and profiles", "%s", show(others))
}

func checkGroupsChanged(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, club := p.group(alice, bob), p.group(alice, bob)
	held := changes(bob, heldGroups(nil)).GetGroups()
	crew := p.group(alice, bob)
	call[*wire.MembersResponse](bob, "ConversationService/Leave", &wire.LeaveRequest{Conversation: club})
	call[*wire.UpdateResponse](alice, "ConversationService/Update", &wire.UpdateRequest{Conversation: team, Title: proto.String("another")})
	got := changes(bob, heldGroups(held)).GetGroups()
	p.must(!got.GetFull(), "differences", "%s", show(got))
	equal(p, "joined", idsOf(got.GetJoined()), []string{crew})
	equal(p, "left", got.GetLeft(), []string{club})
	equal(p, "changed", idsOf(got.GetChanged()), []string{team})
	equal(p, "the new title", got.GetChanged()[0].GetInfo().GetTitle(), "another")
}

func checkProfilesChanged(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	ask := func(version string) *wire.ChangesResponse {
		return changes(bob, &wire.ChangesRequest{Profiles: &wire.ProfilesContract{Users: []string{alice.id, carol.id, p.kit.prefix + "-nobody"}, InfoVersion: version}})
	}
	first := ask("").GetProfiles()
	equal(p, "users that do not exist", first.GetUnknown(), []string{p.kit.prefix + "-nobody"})
	rename(carol, "Caroline")
	got := ask(first.GetInfoVersion())
	equal(p, "users with a new profile", got.GetProfiles().GetChanged(), []string{carol.id})
	p.must(len(got.GetChangedProfiles()) == 1 && got.GetChangedProfiles()[0].GetNickname() == "Caroline", "carol's new nickname", "%s", show(got))
}

func checkPages(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	var all []string
	for range 5 {
		all = append(all, p.group(alice, bob))
	}
	slices.Sort(all)
	request := heldGroups(nil)
	request.Limit = 2
	var got []string
	var last *wire.GroupsChanges
	for range 20 {
		last = changes(bob, request).GetGroups()
		got = append(got, idsOf(last.GetJoined())...)
		p.must(len(last.GetJoined()) <= 2, "at most two rows in an answer", "%s", show(last))
		if last.GetNextPageToken() == "" {
			break
		}
		if request.Groups.PageToken == "" { // between two pages: it comes with the next question
			call[*wire.UpdateResponse](alice, "ConversationService/Update", &wire.UpdateRequest{Conversation: all[0], Title: proto.String("between pages")})
		}
		request.Groups.PageToken = last.GetNextPageToken()
	}
	slices.Sort(got)
	equal(p, "the conversations on all pages", slices.Compact(got), all)
	next := changes(bob, heldGroups(last)).GetGroups()
	p.must(slices.Contains(idsOf(next.GetChanged()), all[0]), "what changed between the pages, with the next question", "%s", show(next))
}

func checkFullPages(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	others := []*user{bob}
	for i := range 4 {
		others = append(others, p.user(fmt.Sprint("m", i)))
	}
	team := p.group(alice, append(others, alice)...)
	request := heldMembers(team, nil)
	request.Limit = 2
	var got []string
	for range 20 {
		page := changes(bob, request).GetGroupMembers()[0]
		p.must(page.GetFull(), "full on every page", "%s", show(page))
		got = append(got, namesOf(page.GetMembers())...)
		if page.GetNextPageToken() == "" {
			break
		}
		request.GroupMembers[0].PageToken = page.GetNextPageToken()
	}
	slices.Sort(got)
	equal(p, "how many members the pages have together", len(slices.Compact(got)), 6)
}

func checkProfileOnce(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, club := p.group(alice, bob), p.group(alice, bob)
	request := &wire.ChangesRequest{
		GroupMembers: []*wire.GroupMembersContract{{Conversation: team}, {Conversation: club}},
		Profiles:     &wire.ProfilesContract{Users: []string{alice.id}},
	}
	first := changes(bob, request)
	for i, c := range request.GroupMembers {
		c.ListVersion, c.InfoVersion = first.GetGroupMembers()[i].GetListVersion(), first.GetGroupMembers()[i].GetInfoVersion()
	}
	request.Profiles.InfoVersion = first.GetProfiles().GetInfoVersion()
	rename(alice, "Alix")
	got := changes(bob, request)
	for _, m := range got.GetGroupMembers() {
		equal(p, "the members of "+m.GetConversation()+" with a new profile", m.GetChanged(), []string{alice.id})
	}
	p.must(len(got.GetChangedProfiles()) == 1, "one profile for three sets", "%s", show(got))
	profile := got.GetChangedProfiles()[0]
	p.must(profile.GetNickname() == "Alix" && profile.GetVersions()["nickname"] != "", "the new nickname, with a version", "%s", show(profile))
}

func checkMembershipEvents(p *play) {
	alice, bob, carol, dave := p.user("alice"), p.user("bob"), p.user("carol"), p.user("dave")
	expected := map[string]wire.Role{alice.id: wire.Role_OWNER, bob.id: wire.Role_MEMBER, dave.id: wire.Role_ADMIN}
	many := []*user{bob, carol}
	for range 9 { // more than what is to happen, or the whole set would be answered
		u := p.user("other")
		expected[u.id] = wire.Role_MEMBER
		many = append(many, u)
	}
	team := p.group(alice, many...)
	first := changes(bob, heldMembers(team, nil)).GetGroupMembers()[0]
	list := map[string]wire.Role{}
	for _, m := range first.GetMembers() {
		list[m.GetUser()] = m.GetRole()
	}
	call[*wire.MembersResponse](alice, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: []string{dave.id}})
	call[*wire.MembersResponse](carol, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
	p.appointed(team, wire.Role_ADMIN, dave)
	got := changes(bob, heldMembers(team, first)).GetGroupMembers()[0]
	p.must(!got.GetFull(), "events, where fewer happened than there are members", "%s", show(got))
	seq := uint64(0)
	for _, e := range got.GetEvents() {
		p.must(e.GetSeq() >= seq && e.GetSender() != "" && e.GetTimeMs() > 0, "events in the order of the log", "%s", show(got))
		seq = e.GetSeq()
		for _, name := range e.GetAdded() {
			list[name] = wire.Role_MEMBER
		}
		for _, name := range e.GetRemoved() {
			delete(list, name)
		}
		for name, role := range e.GetRoles() {
			list[name] = role
		}
	}
	equal(p, "the members", list, expected)
}

func checkRefusedSet(p *play) {
	alice, bob, eve := p.user("alice"), p.user("bob"), p.user("eve")
	secret, team := p.group(alice, bob), p.group(alice, eve)
	got := changes(eve, &wire.ChangesRequest{GroupMembers: []*wire.GroupMembersContract{{Conversation: secret}, {Conversation: team}}}).GetGroupMembers()
	p.must(len(got) == 2 && got[0].GetError().GetReason() == wire.Reason_NOT_MEMBER && len(got[0].GetMembers()) == 0, "NOT_MEMBER in the error of the first set", "%v", got)
	p.must(got[1].GetError() == nil && len(got[1].GetMembers()) == 2, "the second set", "%s", show(got[1]))
}

func checkTooManySets(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	many := &wire.ChangesRequest{Profiles: &wire.ProfilesContract{}}
	for i := range 1001 {
		many.Profiles.Users = append(many.Profiles.Users, fmt.Sprintf("%s-u%d", p.kit.prefix, i))
	}
	refuse(bob, "SyncService/Changes", many, wire.Reason_TOO_MANY)
	many = &wire.ChangesRequest{}
	for range 101 {
		many.GroupMembers = append(many.GroupMembers, &wire.GroupMembersContract{Conversation: team})
	}
	refuse(bob, "SyncService/Changes", many, wire.Reason_TOO_MANY)

	for range 2 {
		p.group(alice, bob)
	}
	request := heldGroups(nil)
	request.Limit = 1
	token := changes(bob, request).GetGroups().GetNextPageToken()
	p.must(token != "", "a token, where there is more than one row", "there is none")
	other := heldMembers(team, nil)
	other.GroupMembers[0].PageToken = token
	refuse(bob, "SyncService/Changes", other, wire.Reason_BAD_ARGUMENT)
}
