// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 4: errors and what each sees.

package conformance

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfErrors = append(checksOfReasons(), []check{
	{"4.1", "an error frame has code, reason and message as well", checkErrorFrame},
	{"4.2", "who is not a member gets NOT_MEMBER for everything in a conversation, also for history from the time of membership", checkNotMember},
	{"4.2", "of others' direct conversations everything is UNKNOWN_CONVERSATION, whether there is one or not", checkOthersDirect},
	{"4.3", "a member sees the events from self.visibleFrom on, on every path", checkVisibleFrom},
	{"4.3", "the edit of a message from before comes with hidden and without its body", checkHiddenEdit},
	{"4.4", "in a channel ListMembers and Trace tell marks to admins and owners only, and everybody their own", checkMarksInChannel},
	{"4.4", "in a direct conversation they do not tell marks to whom the other has blocked", checkMarksAcrossBlock},
	{"4.5", "a taken id is ALREADY_EXISTS, and every user's profile can be read by its id", checkInferred},
}...)

// refusedCall is a call that must be refused.
type refusedCall struct {
	who     who
	method  string
	request proto.Message
}

// provocations make a server refuse, one for each reason that can be brought about from outside. UNAVAILABLE and INTERNAL
// cannot.
var provocations = []struct {
	reason wire.Reason
	code   string
	status int
	retry  bool // retryAfterMs is there
	make   func(*play) refusedCall
}{
	{wire.Reason_BAD_TOKEN, "unauthenticated", 401, false, func(p *play) refusedCall {
		return refusedCall{p.bearer("none"), "UserService/Get", &wire.GetUserRequest{}}
	}},
	{wire.Reason_NOT_ALLOWED, "permission_denied", 403, false, func(p *play) refusedCall {
		alice, bob := p.user("alice"), p.user("bob")
		return refusedCall{bob, "ConversationService/Dissolve", &wire.DissolveRequest{Conversation: p.group(alice, bob)}}
	}},
	{wire.Reason_NOT_MEMBER, "permission_denied", 403, false, func(p *play) refusedCall {
		return refusedCall{p.user("bob"), "MessageService/Submit", textTo(p, p.group(p.user("alice")))}
	}},
	{wire.Reason_BLOCKED, "permission_denied", 403, false, func(p *play) refusedCall {
		alice, bob := p.user("alice"), p.user("bob")
		call[*wire.ContactResponse](bob, "ContactService/Block", &wire.BlockRequest{User: alice.id})
		return refusedCall{alice, "MessageService/Submit", textToUser(p, bob)}
	}},
	{wire.Reason_NOT_CONTACT, "permission_denied", 403, false, func(p *play) refusedCall {
		alice, bob := p.user("alice"), p.user("bob")
		call[*wire.OptionsResponse](bob, "UserService/Options", &wire.OptionsRequest{ContactsOnly: proto.Bool(true)})
		return refusedCall{alice, "MessageService/Submit", textToUser(p, bob)}
	}},
	{wire.Reason_MUTED, "permission_denied", 403, true, func(p *play) refusedCall {
		alice, bob := p.user("alice"), p.user("bob")
		team := p.group(alice, bob)
		call[*wire.MuteResponse](alice, "ConversationService/Mute", &wire.MuteRequest{Conversation: team, Members: []string{bob.id}, ForMs: 600_000})
		return refusedCall{bob, "MessageService/Submit", textTo(p, team)}
	}},
	{wire.Reason_UNKNOWN_USER, "not_found", 404, false, func(p *play) refusedCall {
		return refusedCall{p.user("alice"), "UserService/Get", &wire.GetUserRequest{UserId: p.id("nobody")}}
	}},
	{wire.Reason_UNKNOWN_CONVERSATION, "not_found", 404, false, func(p *play) refusedCall {
		return refusedCall{p.user("alice"), "MessageService/Submit", textTo(p, p.id("nowhere"))}
	}},
	{wire.Reason_UNKNOWN_EVENT, "not_found", 404, false, func(p *play) refusedCall {
		alice := p.user("alice")
		return refusedCall{alice, "MessageService/Submit", &wire.SubmitRequest{Conversation: p.group(alice), ClientId: "c",
			Action: &wire.SubmitRequest_Recall{Recall: &wire.Recall{Seq: 99}}}}
	}},
	{wire.Reason_ALREADY_EXISTS, "already_exists", 409, false, func(p *play) refusedCall {
		alice := p.user("alice")
		return refusedCall{alice, "ConversationService/Create", &wire.CreateRequest{Id: p.group(alice)}}
	}},
	{wire.Reason_TOO_LARGE, "invalid_argument", 400, false, func(p *play) refusedCall {
		alice := p.user("alice")
		request := textTo(p, p.group(alice))
		request.Action = textAction(strings.Repeat("x", int(p.kit.welcome.GetLimits().GetBodyBytesMax())+1))
		return refusedCall{alice, "MessageService/Submit", request}
	}},
	{wire.Reason_BAD_ARGUMENT, "invalid_argument", 400, false, func(p *play) refusedCall {
		alice := p.user("alice")
		return refusedCall{alice, "MessageService/Submit", &wire.SubmitRequest{Conversation: p.group(alice), Action: textAction("without clientId")}}
	}},
	{wire.Reason_TOO_MANY, "resource_exhausted", 429, false, func(p *play) refusedCall {
		return refusedCall{p.user("alice"), "UserService/Presence", &wire.PresenceRequest{Users: make([]string, 1001)}}
	}},
	{wire.Reason_RATE_LIMITED, "resource_exhausted", 429, true, func(p *play) refusedCall {
		alice, bob := p.user("alice"), p.user("bob")
		slow := p.create(&wire.CreateRequest{Owner: alice.id, Settings: &wire.Settings{SlowModeMs: 600_000}}, alice, bob)
		p.say(bob, slow, "the first")
		return refusedCall{bob, "MessageService/Submit", textTo(p, slow)}
	}},
	{wire.Reason_EDIT_WINDOW_OVER, "failed_precondition", 400, false, func(p *play) refusedCall {
		alice := p.user("alice")
		old := p.past(alice, 1, func(int) uint64 { return somePast })
		return refusedCall{alice, "MessageService/Submit", &wire.SubmitRequest{Conversation: old, ClientId: "c",
			Action: &wire.SubmitRequest_Edit{Edit: &wire.Edit{Seq: 2, Message: textMessage("late")}}}}
	}},
	{wire.Reason_READ_ONLY, "failed_precondition", 400, false, func(p *play) refusedCall {
		alice := p.user("alice")
		team := p.group(alice)
		call[*wire.DissolveResponse](alice, "ConversationService/Dissolve", &wire.DissolveRequest{Conversation: team})
		return refusedCall{alice, "MessageService/Submit", textTo(p, team)}
	}},
}

func textTo(p *play, conversation string) *wire.SubmitRequest {
	return &wire.SubmitRequest{Conversation: conversation, ClientId: p.id("m"), Action: textAction("x")}
}

func textToUser(p *play, u *user) *wire.SubmitRequest {
	return &wire.SubmitRequest{ToUser: u.id, ClientId: p.id("m"), Action: textAction("x")}
}

// checksOfReasons are a check for each row of the table of reasons that can be brought about.
func checksOfReasons() (checks []check) {
	for _, row := range provocations {
		retry := ""
		if row.retry {
			retry = ", with retryAfterMs"
		}
		checks = append(checks, check{"4.1", fmt.Sprintf("%v has the code %s and is HTTP %d%s", row.reason, row.code, row.status, retry), func(p *play) {
			c := row.make(p)
			r := refuse(c.who, c.method, c.request, row.reason)
			equal(p, "the code", r.code, row.code)
			equal(p, "the HTTP status", r.status, row.status)
			equal(p, "the code in the details", r.detail.GetCode(), row.code)
			equal(p, "retryAfterMs is there", r.detail.GetRetryAfterMs() > 0, row.retry)
			p.must(startsWithReason(r.message, row.reason) && len(r.message) > len(row.reason.String())+2, "a message for people that begins with the reason", "%q", r.message)
		}})
	}
	return checks
}

func checkErrorFrame(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice)
	for _, d := range []*device{p.connect(bob, "phone"), p.connectIn(wire.JSON, bob, "page")} {
		e := d.refuse(&wire.Submit{Conversation: team, Action: message("x")}, wire.Reason_NOT_MEMBER)
		p.must(e.GetCode() == "permission_denied" && e.GetMessage() != "", "the code permission_denied and a message", "%s", show(e))
	}
}

// everythingIn are calls about a conversation, as a member would make them.
func everythingIn(p *play, conversation string) map[string]proto.Message {
	return map[string]proto.Message{
		"MessageService/Submit":            textTo(p, conversation),
		"MessageService/Fetch":             &wire.FetchRequest{Conversation: conversation, From: &wire.FetchRequest_After{}},
		"MessageService/Hours":             &wire.HoursRequest{Conversation: conversation},
		"MessageService/Read":              &wire.ReadRequest{Conversation: conversation, Seq: 1},
		"MessageService/Receipts":          &wire.ReceiptsRequest{Conversation: conversation, Seq: 2},
		"MessageService/Reactions":         &wire.ReactionsRequest{Conversation: conversation, Seq: 2},
		"MessageService/Pins":              &wire.PinsRequest{Conversation: conversation},
		"MessageService/Delete":            &wire.DeleteRequest{Conversation: conversation, Seqs: []uint64{2}},
		"MessageService/Clear":             &wire.ClearRequest{Conversation: conversation},
		"MessageService/Trace":             &wire.TraceRequest{Conversation: conversation, Seq: 2},
		"SyncService/Verify":               &wire.VerifyRequest{Conversation: conversation, Seq: 1},
		"ConversationService/Get":          &wire.GetRequest{Conversation: conversation},
		"ConversationService/ListMembers":  &wire.ListMembersRequest{Conversation: conversation},
		"ConversationService/Settings":     &wire.SettingsRequest{Conversation: conversation, Muted: proto.Bool(true)},
		"ConversationService/Update":       &wire.UpdateRequest{Conversation: conversation, Title: proto.String("x")},
		"ConversationService/JoinRequests": &wire.JoinRequestsRequest{Conversation: conversation},
	}
}

func checkNotMember(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob)
	p.say(bob, team, "as a member")
	call[*wire.MembersResponse](bob, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
	for method, request := range everythingIn(p, team) {
		refuse(carol, method, request, wire.Reason_NOT_MEMBER)
		refuse(bob, method, request, wire.Reason_NOT_MEMBER)
	}
	d := p.connect(bob, "phone")
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Fetch{Fetch: &wire.Fetch{Request: 91, Conversation: team, From: &wire.Fetch_Latest{Latest: true}}}})
	equal(p, "the reason for a fetch by WebSocket", d.answer(91).GetError().GetReason(), wire.Reason_NOT_MEMBER)
}

func checkOthersDirect(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	call[*wire.Submitted](alice, "MessageService/Submit", textToUser(p, bob))
	there, notThere := directID(alice, bob), directID(bob, p.user("dave"))
	for method, request := range everythingIn(p, there) {
		refuse(carol, method, request, wire.Reason_UNKNOWN_CONVERSATION)
	}
	for method, request := range everythingIn(p, notThere) {
		refuse(carol, method, request, wire.Reason_UNKNOWN_CONVERSATION)
	}
}

// lateMember makes a group with messages before and after bob comes, and answers the seq of his coming.
func lateMember(p *play) (alice, bob *user, team string, joined uint64) {
	alice, bob = p.user("alice"), p.user("bob")
	team = p.group(alice)
	p.sayMany(alice, team, 3)
	joined = call[*wire.MembersResponse](alice, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: []string{bob.id}}).GetHeadSeq()
	p.sayMany(alice, team, 2)
	return alice, bob, team, joined
}

func checkVisibleFrom(p *play) {
	_, bob, team, joined := lateMember(p)
	phone := p.connect(bob, "phone")
	equal(p, "self.visibleFrom", phone.conversation(team).self.GetVisibleFrom(), joined)
	paths := map[string][]*wire.Event{"the sync": phone.beforeSynced()[0].GetEvents()}
	for name, fetch := range map[string]*wire.Fetch{
		"fetch after": {From: &wire.Fetch_After{}}, "fetch before": {From: &wire.Fetch_Before{Before: joined + 1}},
		"fetch at": {From: &wire.Fetch_At{At: 1}}, "fetch latest": {From: &wire.Fetch_Latest{Latest: true}},
	} {
		fetch.Conversation = team
		paths[name] = phone.fetch(fetch).GetEvents()
	}
	paths["Pull"] = call[*wire.PullResponse](bob, "SyncService/Pull", &wire.PullRequest{DeviceId: "puller", Tail: 100}).GetConversations()[0].GetEvents()
	for path, events := range paths {
		p.must(len(events) > 0 && events[0].GetSeq() >= joined, fmt.Sprintf("events from %d on by %s", joined, path), "%v", seqs(events))
	}
	refuse(bob, "MessageService/Receipts", &wire.ReceiptsRequest{Conversation: team, Seq: joined - 1}, wire.Reason_UNKNOWN_EVENT)
}

func checkHiddenEdit(p *play) {
	alice, bob, team, joined := lateMember(p)
	phone := p.connect(bob, "phone")
	s := edit(p, alice, team, joined-1, "secret")
	for path, e := range map[string]*wire.Event{"live": phone.hasSeq(team, s.GetSeq()), "over HTTP": one(p, bob, team, s.GetSeq())} {
		p.must(e.GetHidden() && len(e.GetBody()) == 0 && e.GetBodyJson() == nil && len(e.GetBodyHash()) == 32, "hidden, with bodyHash and without body, "+path, "%s", show(e))
	}
	p.must(!one(p, alice, team, s.GetSeq()).GetHidden(), "who sees the message sees the edit", "it is hidden")
}

// marks are the read marks that somebody is told of, by user id; those of 0 are left out.
func marks(u who, conversation string) map[string]uint64 {
	told := map[string]uint64{}
	for _, m := range call[*wire.ListMembersResponse](u, "ConversationService/ListMembers", &wire.ListMembersRequest{Conversation: conversation}).GetMembers() {
		if mark := max(m.GetReadSeq(), m.GetDeliveredSeq()); mark > 0 {
			told[m.GetUser()] = mark
		}
	}
	return told
}

func checkMarksInChannel(p *play) {
	owner, admin, bob, carol := p.user("owner"), p.user("admin"), p.user("bob"), p.user("carol")
	news := p.create(&wire.CreateRequest{Kind: wire.Kind_CHANNEL, Owner: owner.id}, admin, bob, carol)
	call[*wire.MembersResponse](owner, "ConversationService/SetRole", &wire.SetRoleRequest{Conversation: news, Members: []string{admin.id}, Role: wire.Role_ADMIN})
	s := p.say(owner, news, "x")
	for _, u := range []*user{bob, carol} {
		call[*wire.ReadResponse](u, "MessageService/Read", &wire.ReadRequest{Conversation: news, Seq: s.GetSeq()})
	}
	for _, u := range []*user{owner, admin} {
		told := marks(u, news)
		p.must(told[bob.id] == s.GetSeq() && told[carol.id] == s.GetSeq(), u.nickname+" is told the marks of all", "%v", told)
	}
	told := marks(bob, news)
	p.must(told[bob.id] == s.GetSeq() && told[carol.id] == 0, "bob is told his own mark and not carol's", "%v", told)
	for _, m := range call[*wire.TraceResponse](admin, "MessageService/Trace", &wire.TraceRequest{Conversation: news, Seq: s.GetSeq()}).GetMembers() {
		p.must(m.GetRead() || m.GetUser() == owner.id || m.GetUser() == admin.id, "Trace tells an admin who has read", "%s", show(m))
	}
	if trace, refused := try[*wire.TraceResponse](bob, "MessageService/Trace", &wire.TraceRequest{Conversation: news, Seq: s.GetSeq()}); refused == nil {
		for _, m := range trace.GetMembers() {
			p.must(m.GetUser() == bob.id || !m.GetRead() && len(m.GetDevices()) == 0, "Trace tells bob nothing of others", "%s", show(m))
		}
	}
}

func checkMarksAcrossBlock(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	s := call[*wire.Submitted](alice, "MessageService/Submit", textToUser(p, bob))
	direct := s.GetConversation()
	call[*wire.ReadResponse](bob, "MessageService/Read", &wire.ReadRequest{Conversation: direct, Seq: s.GetSeq()})
	equal(p, "bob's mark as alice is told", marks(alice, direct)[bob.id], s.GetSeq())
	call[*wire.ContactResponse](bob, "ContactService/Block", &wire.BlockRequest{User: alice.id})
	told := marks(alice, direct)
	p.must(told[bob.id] == 0 && told[alice.id] > 0, "alice is told her own mark and no longer bob's, who has blocked her", "%v", told)
	for _, m := range call[*wire.TraceResponse](alice, "MessageService/Trace", &wire.TraceRequest{Conversation: direct, Seq: s.GetSeq()}).GetMembers() {
		p.must(m.GetUser() != bob.id || !m.GetRead() && len(m.GetDevices()) == 0, "Trace tells alice nothing of bob", "%s", show(m))
	}
	equal(p, "bob's mark as the app is told", marks(p.app(), direct)[bob.id], s.GetSeq())
}

func checkInferred(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice)
	refuse(bob, "ConversationService/Create", &wire.CreateRequest{Id: team}, wire.Reason_ALREADY_EXISTS)
	profile := call[*wire.GetUserResponse](bob, "UserService/Get", &wire.GetUserRequest{UserId: alice.id}).GetUser()
	equal(p, "the profile of a user who has nothing to do with the asker", profile.GetNickname(), "alice")
}
