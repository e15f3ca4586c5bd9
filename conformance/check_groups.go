// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 7: groups.

package conformance

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfGroups = []check{
	{"7.1", "refusals come in their order: NOT_MEMBER, READ_ONLY, NOT_ALLOWED, MUTED, RATE_LIMITED", checkOrderOfRefusals},
	{"7.1", "a repeated client id gets the first answer, muted or removed though its sender is", checkRetryAfterRefusal},
	{"7.2", "settings are given whole, and those that differ decide which right it takes", checkRightsToSettings},
	{"7.2", "values of settings are checked, and a lower membersMax removes nobody", checkValuesOfSettings},
	{"7.3", "an announcement is told by an event and by info, and an empty one takes it away", checkAnnouncement},
	{"7.4", "slow mode refuses a member's next message and nothing else, with the time to wait", checkSlowMode},
	{"7.5", "silence is told to the silenced member's own devices, and outlasts leaving", checkSilence},
	{"7.5", "Mute with all is the setting muteAll, of which everybody hears", checkMuteAll},
	{"7.6", "a change of roles is one event; who has the role is passed over, who is no member refuses the call", checkSetRole},
	{"7.6", "AddMembers leaves members as they are, and an empty list changes nothing", checkAddAgain},
	{"7.6", "Transfer makes who owned the conversation an admin", checkTransfer},
	{"7.7", "an owner leaves when another owner, nobody else, or nothing to own is left", checkOwnerLeaves},
	{"7.8", "once dissolved nobody writes, the app neither; history, marks, settings, leaving and erasing go on", checkDissolved},
	{"7.9", "a request to join is kept, is no event, keeps its time when asked again, and is taken back by Leave", checkJoinRequest},
	{"7.10", "admins hear how many wait, and an answer lets in by one event or turns away", checkAnswerJoin},
	{"7.11", "calls are repeatable", checkRepeatable},
	{"7.12", "in a channel admins post and anybody joins; new members see what comes after", checkChannel},
}

// mine is the asking user's own record in a conversation.
func mine(u *user, conversation string) *wire.Self {
	return call[*wire.GetResponse](u, "ConversationService/Get", &wire.GetRequest{Conversation: conversation}).GetConversation().GetSelf()
}

// infoOf is a conversation's data as the user is told.
func infoOf(u *user, conversation string) *wire.ConversationInfo {
	return call[*wire.GetResponse](u, "ConversationService/Get", &wire.GetRequest{Conversation: conversation}).GetConversation().GetInfo()
}

// headOf is the last seq of a conversation, as the app sees it.
func (p *play) headOf(conversation string) uint64 {
	return call[*wire.Fetched](p.app(), "MessageService/Fetch", &wire.FetchRequest{Conversation: conversation, From: &wire.FetchRequest_Latest{Latest: true}, Limit: 1}).GetHeadSeq()
}

// eventAt is the event of a seq, as the app sees it.
func (p *play) eventAt(conversation string, seq uint64) *wire.Event {
	page := call[*wire.Fetched](p.app(), "MessageService/Fetch", &wire.FetchRequest{Conversation: conversation, From: &wire.FetchRequest_After{After: seq - 1}, Limit: 1})
	if len(page.GetEvents()) != 1 || page.GetEvents()[0].GetSeq() != seq {
		p.fail("event "+conversation+" to be fetched", "%s", show(page))
	}
	return page.GetEvents()[0]
}

// appointed gives members a role.
func (p *play) appointed(conversation string, role wire.Role, members ...*user) *wire.MembersResponse {
	request := &wire.SetRoleRequest{Conversation: conversation, Role: role}
	for _, u := range members {
		request.Members = append(request.Members, u.id)
	}
	return call[*wire.MembersResponse](p.app(), "ConversationService/SetRole", request)
}

// sets changes settings of a conversation, as somebody, and fails the check when that is refused.
func sets(w who, conversation string, settings *wire.Settings) {
	call[*wire.UpdateResponse](w, "ConversationService/Update", &wire.UpdateRequest{Conversation: conversation, Settings: settings})
}

// attempt is a text message, to be refused.
func (p *play) attempt(conversation string) *wire.SubmitRequest {
	return &wire.SubmitRequest{Conversation: conversation, ClientId: p.id("m"), Action: textAction("not to be stored")}
}

func checkOrderOfRefusals(p *play) {
	alice, bob, eve := p.user("alice"), p.user("bob"), p.user("eve")
	team := p.group(alice, bob)
	sets(alice, team, &wire.Settings{SlowModeMs: 3_600_000})
	p.say(bob, team, "the only one for an hour")
	slow := refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_RATE_LIMITED)
	p.must(slow.detail.GetRetryAfterMs() > 0, "RATE_LIMITED with retryAfterMs", "%v", slow)

	call[*wire.MuteResponse](alice, "ConversationService/Mute", &wire.MuteRequest{Conversation: team, Members: []string{bob.id}, ForMs: 3_600_000})
	muted := refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_MUTED)
	wait := muted.detail.GetRetryAfterMs()
	p.must(wait > 3_000_000 && wait <= 3_600_000, "MUTED with the time until the silence ends", "%v", muted)

	sets(alice, team, &wire.Settings{SlowModeMs: 3_600_000, Post: wire.Role_ADMIN})
	refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_NOT_ALLOWED)
	call[*wire.DissolveResponse](alice, "ConversationService/Dissolve", &wire.DissolveRequest{Conversation: team})
	refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_READ_ONLY)
	refuse(eve, "MessageService/Submit", p.attempt(team), wire.Reason_NOT_MEMBER)
}

func checkRetryAfterRefusal(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	request := &wire.SubmitRequest{Conversation: team, ClientId: p.id("m"), Action: textAction("once")}
	first := call[*wire.Submitted](bob, "MessageService/Submit", request)
	call[*wire.MuteResponse](alice, "ConversationService/Mute", &wire.MuteRequest{Conversation: team, Members: []string{bob.id}, ForMs: 3_600_000})
	again := func(when string) {
		second := call[*wire.Submitted](bob, "MessageService/Submit", request)
		p.must(second.GetDuplicate(), "duplicate, for a repetition "+when, "%s", show(second))
		second.Duplicate = false
		equal(p, "the answer "+when, second, first)
	}
	again("while muted")
	call[*wire.MembersResponse](alice, "ConversationService/RemoveMembers", &wire.RemoveMembersRequest{Conversation: team, Members: []string{bob.id}})
	again("after removal")
}

func checkRightsToSettings(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob, carol)
	p.appointed(team, wire.Role_ADMIN, bob)
	rules := &wire.Settings{SlowModeMs: 1000, HistoryFromStart: true, Join: wire.JoinPolicy_REQUEST}
	sets(bob, team, rules)
	refuse(carol, "ConversationService/Update", &wire.UpdateRequest{Conversation: team, Settings: &wire.Settings{}}, wire.Reason_NOT_ALLOWED)
	more := proto.CloneOf(rules)
	more.Invite = wire.Role_MEMBER
	refuse(bob, "ConversationService/Update", &wire.UpdateRequest{Conversation: team, Settings: more}, wire.Reason_NOT_ALLOWED)
	sets(alice, team, more)
	less := proto.CloneOf(more)
	less.SlowModeMs = 0
	sets(bob, team, less) // whole, and only what an admin may change is other
	got := infoOf(carol, team).GetSettings()
	p.must(got.GetSlowModeMs() == 0 && got.GetInvite() == wire.Role_MEMBER && got.GetHistoryFromStart() && got.GetJoin() == wire.JoinPolicy_REQUEST,
		"the settings that were given last, whole", "%s", show(got))
	sets(alice, team, &wire.Settings{Invite: wire.Role_MEMBER})
	got = infoOf(carol, team).GetSettings()
	p.must(!got.GetHistoryFromStart() && got.GetJoin() != wire.JoinPolicy_REQUEST, "settings that were not given at their defaults", "%s", show(got))
	sets(alice, team, &wire.Settings{})
	refuse(carol, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: []string{p.user("dave").id}}, wire.Reason_NOT_ALLOWED)
}

func checkValuesOfSettings(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob, carol)
	for what, s := range map[string]*wire.Settings{
		"a role that does not exist": {Post: 77}, "slow mode of more than a day": {SlowModeMs: 86_400_001},
		"membersMax above the server's": {MembersMax: p.kit.welcome.GetLimits().GetMembersMax() + 1},
	} {
		_, r := tryAny(alice, "ConversationService/Update", &wire.UpdateRequest{Conversation: team, Settings: s})
		p.must(r != nil && r.code == "invalid_argument", "a refusal of "+what, "%v", r)
	}
	sets(alice, team, &wire.Settings{MembersMax: 2, Post: wire.Role_OWNER, Edit: wire.Role_OWNER, Invite: wire.Role_OWNER})
	equal(p, "the members after membersMax fell to 2", infoOf(alice, team).GetMemberCount(), 3)
	refuse(alice, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: []string{p.user("dave").id}}, wire.Reason_TOO_MANY)
	sets(alice, team, &wire.Settings{}) // no value locks an owner out
}

func checkAnnouncement(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone := p.connect(bob, "phone")
	tell := func(text string) *wire.UpdateResponse {
		return call[*wire.UpdateResponse](alice, "ConversationService/Update", &wire.UpdateRequest{Conversation: team, Announcement: &text})
	}
	done := tell("closed on Monday")
	equal(p, "the announcement answered", done.GetInfo().GetAnnouncement(), "closed on Monday")
	event := bodyOf(phone.hasSeq(team, done.GetHeadSeq())).GetInfo()
	equal(p, "the announcement in the info event", event.GetAnnouncement(), "closed on Monday")
	phone.reads("info with the announcement", func() bool { return phone.conversation(team).info.GetAnnouncement() == "closed on Monday" })
	done = tell("")
	phone.hasSeq(team, done.GetHeadSeq())
	phone.reads("info without an announcement", func() bool { return phone.conversation(team).info.GetAnnouncement() == "" })
	_, r := tryAny(alice, "ConversationService/Update", &wire.UpdateRequest{Conversation: team, Announcement: proto.String(strings.Repeat("x", 8<<10+1))})
	p.must(r != nil && r.code == "invalid_argument", "a refusal of an announcement of more than 8 KiB", "%v", r)
}

func checkSlowMode(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	slow := uint32((p.kit.config.Timeout / 5).Milliseconds()) // longer than the next two calls take
	sets(alice, team, &wire.Settings{SlowModeMs: slow})
	first := p.say(bob, team, "first")
	began := time.Now()
	r := refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_RATE_LIMITED)
	wait := r.detail.GetRetryAfterMs()
	p.must(wait > 0 && wait <= slow, "retryAfterMs of at most slowModeMs", "%d", wait)
	call[*wire.Submitted](bob, "MessageService/Submit", &wire.SubmitRequest{Conversation: team, ClientId: p.id("e"),
		Action: &wire.SubmitRequest_Edit{Edit: &wire.Edit{Seq: first.GetSeq(), Message: textMessage("first, mended")}}})
	call[*wire.Submitted](bob, "MessageService/Submit", &wire.SubmitRequest{Conversation: team, ClientId: p.id("r"),
		Action: &wire.SubmitRequest_Reaction{Reaction: &wire.Reaction{Seq: first.GetSeq(), Key: "+"}}})
	transient := textMessage("only now")
	transient.Class = wire.MessageClass_TRANSIENT
	call[*wire.Submitted](bob, "MessageService/Submit", &wire.SubmitRequest{Conversation: team, ClientId: p.id("t"), Action: &wire.SubmitRequest_Message{Message: transient}})
	p.say(alice, team, "an owner")
	p.say(alice, team, "is free of it")
	p.pause(time.Until(began.Add(time.Duration(wait)*time.Millisecond + 50*time.Millisecond)))
	p.say(bob, team, "second")
}

func checkSilence(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob, carol)
	phone, other := p.connect(bob, "phone"), p.connect(carol, "phone")
	until := call[*wire.MuteResponse](alice, "ConversationService/Mute", &wire.MuteRequest{Conversation: team, Members: []string{bob.id}, ForMs: 3_600_000}).GetUntilMs()
	phone.reads("self with the end of the silence", func() bool { return phone.conversation(team).self.GetSilencedUntilMs() == until && until > 0 })
	refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_MUTED)
	other.hasSeq(team, p.say(alice, team, "after it").GetSeq())
	equal(p, "what carol's own record says of silence", other.conversation(team).self.GetSilencedUntilMs(), 0)

	call[*wire.MembersResponse](bob, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
	call[*wire.MembersResponse](alice, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: []string{bob.id}})
	refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_MUTED)
	p.appointed(team, wire.Role_ADMIN, bob)
	p.say(bob, team, "a higher role ends it")
	call[*wire.MuteResponse](alice, "ConversationService/Mute", &wire.MuteRequest{Conversation: team, Members: []string{bob.id}, ForMs: 60_000})
	refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_MUTED)
	call[*wire.MuteResponse](alice, "ConversationService/Mute", &wire.MuteRequest{Conversation: team, Members: []string{bob.id}})
	p.say(bob, team, "0 ends it, too")
	_, r := tryAny(alice, "ConversationService/Mute", &wire.MuteRequest{Conversation: team, Members: []string{carol.id}, ForMs: 11 * 366 * 86_400_000})
	p.must(r != nil && r.code == "invalid_argument", "a refusal of a silence of eleven years", "%v", r)
}

func checkMuteAll(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob, carol)
	p.appointed(team, wire.Role_ADMIN, carol)
	phone := p.connect(bob, "phone")
	mute := func(all bool) {
		call[*wire.MuteResponse](alice, "ConversationService/Mute", &wire.MuteRequest{Conversation: team, All: &all})
		phone.reads("info with muteAll as it was set", func() bool { return phone.conversation(team).info.GetSettings().GetMuteAll() == all })
	}
	mute(true)
	refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_MUTED)
	p.say(carol, team, "an admin may")
	mute(false)
	p.say(bob, team, "and now everybody")
}

func checkSetRole(p *play) {
	alice, bob, carol, eve := p.user("alice"), p.user("bob"), p.user("carol"), p.user("eve")
	team := p.group(alice, bob, carol)
	refuse(alice, "ConversationService/SetRole", &wire.SetRoleRequest{Conversation: team, Members: []string{bob.id, eve.id}, Role: wire.Role_ADMIN}, wire.Reason_NOT_MEMBER)
	equal(p, "bob's role after the refusal", mine(bob, team).GetRole(), wire.Role_MEMBER)
	before := p.headOf(team)
	done := call[*wire.MembersResponse](alice, "ConversationService/SetRole", &wire.SetRoleRequest{Conversation: team, Members: []string{bob.id, carol.id}, Role: wire.Role_ADMIN})
	equal(p, "the head after one change of two roles", done.GetHeadSeq(), before+1)
	roles := bodyOf(p.eventAt(team, before+1)).GetMembers().GetRoles()
	equal(p, "the roles in the event", roles, map[string]wire.Role{bob.id: wire.Role_ADMIN, carol.id: wire.Role_ADMIN})
	again := call[*wire.MembersResponse](alice, "ConversationService/SetRole", &wire.SetRoleRequest{Conversation: team, Members: []string{bob.id}, Role: wire.Role_ADMIN})
	equal(p, "the head after a role that bob has", again.GetHeadSeq(), before+1)
	refuse(bob, "ConversationService/SetRole", &wire.SetRoleRequest{Conversation: team, Members: []string{carol.id}, Role: wire.Role_MEMBER}, wire.Reason_NOT_ALLOWED)
}

func checkAddAgain(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob)
	p.appointed(team, wire.Role_ADMIN, bob)
	before := p.headOf(team)
	add := func(members ...string) *wire.MembersResponse {
		return call[*wire.MembersResponse](alice, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: members})
	}
	equal(p, "the head after adding who is a member", add(bob.id).GetHeadSeq(), before)
	equal(p, "the head after adding nobody", add().GetHeadSeq(), before)
	equal(p, "bob's role", mine(bob, team).GetRole(), wire.Role_ADMIN)
	equal(p, "the head after adding bob and carol", add(bob.id, carol.id).GetHeadSeq(), before+1)
	equal(p, "who was added", bodyOf(p.eventAt(team, before+1)).GetMembers().GetAdded(), []string{carol.id})
}

func checkTransfer(p *play) {
	alice, bob, eve := p.user("alice"), p.user("bob"), p.user("eve")
	team := p.group(alice, bob)
	refuse(alice, "ConversationService/Transfer", &wire.TransferRequest{Conversation: team, Member: eve.id}, wire.Reason_NOT_MEMBER)
	refuse(bob, "ConversationService/Transfer", &wire.TransferRequest{Conversation: team, Member: bob.id}, wire.Reason_NOT_ALLOWED)
	done := call[*wire.MembersResponse](alice, "ConversationService/Transfer", &wire.TransferRequest{Conversation: team, Member: bob.id})
	equal(p, "the roles in the event", bodyOf(p.eventAt(team, done.GetHeadSeq())).GetMembers().GetRoles(),
		map[string]wire.Role{alice.id: wire.Role_ADMIN, bob.id: wire.Role_OWNER})
	equal(p, "bob's role", mine(bob, team).GetRole(), wire.Role_OWNER)
	equal(p, "alice's role", mine(alice, team).GetRole(), wire.Role_ADMIN)
	again := call[*wire.MembersResponse](alice, "ConversationService/Transfer", &wire.TransferRequest{Conversation: team, Member: bob.id})
	equal(p, "the head after the same again", again.GetHeadSeq(), done.GetHeadSeq())
}

func checkOwnerLeaves(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	refuse(alice, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team}, wire.Reason_NOT_ALLOWED)
	p.appointed(team, wire.Role_OWNER, bob)
	call[*wire.MembersResponse](alice, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
	call[*wire.MembersResponse](bob, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team}) // nobody else is left

	club := p.group(alice, bob)
	call[*wire.DissolveResponse](alice, "ConversationService/Dissolve", &wire.DissolveRequest{Conversation: club})
	call[*wire.MembersResponse](alice, "ConversationService/Leave", &wire.LeaveRequest{Conversation: club})

	crew := p.group(alice, bob)
	call[*wire.MembersResponse](p.app(), "ConversationService/RemoveMembers", &wire.RemoveMembersRequest{Conversation: crew, Members: []string{alice.id}})
	equal(p, "bob's role after the owner was taken away", mine(bob, crew).GetRole(), wire.Role_MEMBER)
}

func checkDissolved(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	said := p.say(bob, team, "before")
	phone := p.connect(bob, "phone")
	end := call[*wire.DissolveResponse](alice, "ConversationService/Dissolve", &wire.DissolveRequest{Conversation: team}).GetHeadSeq()
	p.must(bodyOf(phone.hasSeq(team, end)).GetInfo().GetDissolved(), "an info event with dissolved", "%s", show(p.eventAt(team, end)))
	phone.reads("info.dissolvedSeq", func() bool { return phone.conversation(team).info.GetDissolvedSeq() == end })
	refuse(bob, "MessageService/Submit", p.attempt(team), wire.Reason_READ_ONLY)
	refuse(p.app(), "MessageService/Submit", p.attempt(team), wire.Reason_READ_ONLY)
	refuse(p.app(), "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: []string{p.user("carol").id}}, wire.Reason_READ_ONLY)
	page := call[*wire.Fetched](bob, "MessageService/Fetch", &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_Latest{Latest: true}})
	p.must(len(page.GetEvents()) > 0 && page.GetHeadSeq() == end, "the history", "%s", show(page))
	call[*wire.ReadResponse](bob, "MessageService/Read", &wire.ReadRequest{Conversation: team, Seq: end})
	call[*wire.SettingsResponse](bob, "ConversationService/Settings", &wire.SettingsRequest{Conversation: team, Pinned: proto.Bool(true)})
	call[*wire.Submitted](bob, "MessageService/Erase", &wire.EraseRequest{Conversation: team, Seq: said.GetSeq()})
	call[*wire.MembersResponse](bob, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
}

func checkJoinRequest(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice)
	sets(alice, team, &wire.Settings{Join: wire.JoinPolicy_REQUEST})
	before := p.headOf(team)
	ask := func(text string) {
		answer := call[*wire.MembersResponse](bob, "ConversationService/Join", &wire.JoinRequest{Conversation: team, Text: text})
		p.must(answer.GetRequested(), "requested", "%s", show(answer))
	}
	waiting := func() []*wire.JoinAsked {
		return call[*wire.JoinRequestsResponse](alice, "ConversationService/JoinRequests", &wire.JoinRequestsRequest{Conversation: team}).GetRequests()
	}
	ask("please")
	first := waiting()
	p.must(len(first) == 1 && first[0].GetUser() == bob.id && first[0].GetText() == "please" && first[0].GetTimeMs() > 0, "bob's request", "%v", first)
	ask("I beg you")
	second := waiting()
	p.must(len(second) == 1 && second[0].GetText() == "I beg you" && second[0].GetTimeMs() == first[0].GetTimeMs(), "another text and the same time", "%v", second)
	equal(p, "the head, which requests do not move", p.headOf(team), before)
	refuse(bob, "ConversationService/JoinRequests", &wire.JoinRequestsRequest{Conversation: team}, wire.Reason_NOT_MEMBER)
	call[*wire.MembersResponse](bob, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
	equal(p, "the requests after it was taken back", len(waiting()), 0)
}

func checkAnswerJoin(p *play) {
	alice, bob, carol, dave := p.user("alice"), p.user("bob"), p.user("carol"), p.user("dave")
	team := p.group(alice)
	sets(alice, team, &wire.Settings{Join: wire.JoinPolicy_REQUEST})
	phone := p.connect(alice, "phone")
	for i, u := range []*user{bob, carol, dave} {
		call[*wire.MembersResponse](u, "ConversationService/Join", &wire.JoinRequest{Conversation: team})
		phone.reads("self.requests", func() bool { return phone.conversation(team).self.GetRequests() == uint32(i)+1 })
	}
	before := p.headOf(team)
	answer := func(accept bool, users ...*user) *wire.MembersResponse {
		request := &wire.AnswerJoinRequest{Conversation: team, Accept: accept}
		for _, u := range users {
			request.Users = append(request.Users, u.id)
		}
		return call[*wire.MembersResponse](alice, "ConversationService/AnswerJoin", request)
	}
	done := answer(true, bob, p.user("eve"))
	equal(p, "the head after one was let in", done.GetHeadSeq(), before+1)
	equal(p, "who was added", bodyOf(p.eventAt(team, before+1)).GetMembers().GetAdded(), []string{bob.id})
	equal(p, "the head after one was turned away", answer(false, carol).GetHeadSeq(), before+1)
	phone.reads("self.requests of 1", func() bool { return phone.conversation(team).self.GetRequests() == 1 })
	sets(alice, team, &wire.Settings{Join: wire.JoinPolicy_OPEN})
	call[*wire.MembersResponse](dave, "ConversationService/Join", &wire.JoinRequest{Conversation: team})
	phone.reads("self.requests of 0, as dave has joined", func() bool { return phone.conversation(team).self.GetRequests() == 0 })
}

func checkRepeatable(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	first := call[*wire.MembersResponse](bob, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
	p.say(alice, team, "later")
	second := call[*wire.MembersResponse](bob, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
	equal(p, "the seq that Leave answers again", second.GetHeadSeq(), first.GetHeadSeq())
	equal(p, "the member count that who has left is told", second.GetMemberCount(), 0)
	before := p.headOf(team)
	call[*wire.MembersResponse](alice, "ConversationService/RemoveMembers", &wire.RemoveMembersRequest{Conversation: team, Members: []string{bob.id}})
	equal(p, "the head after removing who has left", p.headOf(team), before)
	request := &wire.DissolveRequest{Conversation: team}
	ended := call[*wire.DissolveResponse](alice, "ConversationService/Dissolve", request)
	again := call[*wire.DissolveResponse](alice, "ConversationService/Dissolve", request)
	equal(p, "the head after dissolving again", again.GetHeadSeq(), ended.GetHeadSeq())
}

func checkChannel(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	news := p.create(&wire.CreateRequest{Kind: wire.Kind_CHANNEL, Owner: alice.id})
	p.say(alice, news, "before")
	call[*wire.MembersResponse](bob, "ConversationService/Join", &wire.JoinRequest{Conversation: news})
	refuse(bob, "MessageService/Submit", p.attempt(news), wire.Reason_NOT_ALLOWED)
	p.say(alice, news, "after")
	texts := func(u *user) (texts []string) {
		page := call[*wire.Fetched](u, "MessageService/Fetch", &wire.FetchRequest{Conversation: news, From: &wire.FetchRequest_After{}})
		for _, e := range page.GetEvents() {
			if text := textOf(e); text != "" {
				texts = append(texts, text)
			}
		}
		return texts
	}
	equal(p, "what bob sees", texts(bob), []string{"after"})
	sets(alice, news, &wire.Settings{Join: wire.JoinPolicy_OPEN, HistoryFromStart: true, Post: wire.Role_MEMBER})
	call[*wire.MembersResponse](carol, "ConversationService/Join", &wire.JoinRequest{Conversation: news})
	equal(p, "what carol sees, with historyFromStart", texts(carol), []string{"before", "after"})
	p.say(bob, news, "members may post where the settings say so")
}
