// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, "Counts and receipts".

package conformance

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfCounts = []check{
	{"2.28", "unread counts what others have written past the mark, without what is silent, recalled or erased", checkUnread},
	{"2.28", "an own message moves the own mark; markedUnread is a flag and changes no count", checkOwnMark},
	{"2.29", "mentions counts unread messages that mention the user by name or everybody, and an edit changes whom", checkMentionCount},
	{"2.29", "of a message to everybody those are mentioned who were members", checkMentionAll},
	{"2.30", "received is what a device has acknowledged or the member has read; what a forgotten device alone had is not", checkDelivered},
	{"2.31", "Receipts counts who are and were members, without the sender, and pages through their names", checkReceipts},
	{"2.31", "in a channel only the sender, admins and owners get names; who has blocked the asker is left out", checkReceiptsOfFew},
	{"2.32", "receipts come to authors, nobody else, and in small conversations name a member and its marks", checkReceiptSignals},
	{"2.32", "in larger conversations a receipt has no user, but counts of the receiver's own last message", checkCountedReceipts},
	{"2.33", "Mentions lists newest first what mentions the user, without what is recalled, erased or deleted", checkMentions},
	{"2.34", "Badge adds up unread of what is neither muted nor hidden, mentions of all, and conversations", checkBadge},
}

// does submits over HTTP; the request gets a client id where it has none.
func (p *play) does(w who, request *wire.SubmitRequest) *wire.Submitted {
	if request.ClientId == "" {
		request.ClientId = p.id("m")
	}
	return call[*wire.Submitted](w, "MessageService/Submit", request)
}

// cannot submits over HTTP what must be refused with this reason.
func (p *play) cannot(w who, request *wire.SubmitRequest, reason wire.Reason) {
	if request.ClientId == "" {
		request.ClientId = p.id("m")
	}
	refuse(w, "MessageService/Submit", request, reason)
}

// The requests of each action.

func writing(conversation string, m *wire.Message) *wire.SubmitRequest {
	return &wire.SubmitRequest{Conversation: conversation, Action: &wire.SubmitRequest_Message{Message: m}}
}

func editing(conversation string, seq uint64, m *wire.Message) *wire.SubmitRequest {
	return &wire.SubmitRequest{Conversation: conversation, Action: &wire.SubmitRequest_Edit{Edit: &wire.Edit{Seq: seq, Message: m}}}
}

func recalling(conversation string, seq uint64) *wire.SubmitRequest {
	return &wire.SubmitRequest{Conversation: conversation, Action: &wire.SubmitRequest_Recall{Recall: &wire.Recall{Seq: seq}}}
}

func reacting(conversation string, seq uint64, key string) *wire.SubmitRequest {
	return &wire.SubmitRequest{Conversation: conversation, Action: &wire.SubmitRequest_Reaction{Reaction: &wire.Reaction{Seq: seq, Key: key}}}
}

func pinning(conversation string, seq uint64) *wire.SubmitRequest {
	return &wire.SubmitRequest{Conversation: conversation, Action: &wire.SubmitRequest_Pin{Pin: &wire.Pin{Seq: seq}}}
}

// to is the direct conversation with a user, for a submission.
func to(u *user, m *wire.Message) *wire.SubmitRequest {
	return &wire.SubmitRequest{ToUser: u.id, Action: &wire.SubmitRequest_Message{Message: m}}
}

// mentioning is a message that mentions users by name.
func mentioning(text string, users ...*user) *wire.Message {
	return &wire.Message{Type: "text", Text: text, Mentions: idsOfUsers(users)}
}

// idsOfUsers are their ids, in the order given.
func idsOfUsers(users []*user) []string {
	var ids []string
	for _, u := range users {
		ids = append(ids, u.id)
	}
	return ids
}

// erase erases a message, as somebody.
func erase(w who, conversation string, seq uint64) *wire.Submitted {
	return call[*wire.Submitted](w, "MessageService/Erase", &wire.EraseRequest{Conversation: conversation, Seq: seq})
}

// reads moves the user's read mark.
func reads(u *user, conversation string, seq uint64) *wire.ReadResponse {
	return call[*wire.ReadResponse](u, "MessageService/Read", &wire.ReadRequest{Conversation: conversation, Seq: seq})
}

// stand is a conversation as it stands for a user, counts included.
func stand(u *user, conversation string) *wire.ConversationDelta {
	return call[*wire.GetResponse](u, "ConversationService/Get", &wire.GetRequest{Conversation: conversation}).GetConversation()
}

// settles changes settings of a user's own.
func settles(u *user, request *wire.SettingsRequest) *wire.Self {
	return call[*wire.SettingsResponse](u, "ConversationService/Settings", request).GetSelf()
}

func checkUnread(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone := p.connect(alice, "phone")
	unread := func(what string, expected uint64) {
		equal(p, "unread after "+what, stand(alice, team).GetUnread(), expected)
		phone.reads(fmt.Sprintf("unread of %d after %s", expected, what), func() bool { return phone.conversation(team).unread == expected })
	}
	last := p.sayMany(bob, team, 4).GetSeq()
	unread("four messages", 4)
	p.does(bob, writing(team, &wire.Message{Type: "text", Text: "hush", Class: wire.MessageClass_SILENT}))
	unread("a silent message", 4)
	p.does(bob, recalling(team, last))
	unread("a recall", 3)
	erase(bob, team, last-1)
	unread("an erasure", 2)
	p.does(bob, editing(team, last-2, textMessage("edited")))
	unread("an edit", 2)
	equal(p, "unread answered by Read", reads(alice, team, last-3).GetUnread(), uint64(1))
	unread("reading one", 1)
}

func checkOwnMark(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	p.sayMany(bob, team, 2)
	own := p.say(alice, team, "own").GetSeq()
	equal(p, "the read mark after an own message", mine(alice, team).GetReadSeq(), own)
	equal(p, "unread after an own message", stand(alice, team).GetUnread(), 0)
	p.say(bob, team, "more")
	settles(alice, &wire.SettingsRequest{Conversation: team, MarkedUnread: proto.Bool(true)})
	now := stand(alice, team)
	p.must(now.GetSelf().GetMarkedUnread() && now.GetUnread() == 1, "markedUnread, and unread 1 as before", "%s", show(now))
	reads(alice, team, now.GetHeadSeq())
	settles(alice, &wire.SettingsRequest{Conversation: team, MarkedUnread: proto.Bool(true)})
	now = stand(alice, team)
	p.must(now.GetSelf().GetMarkedUnread() && now.GetUnread() == 0, "markedUnread, and unread 0 as before", "%s", show(now))
}

func checkMentionCount(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone := p.connect(alice, "phone")
	mentions := func(what string, expected uint64) {
		equal(p, "mentions after "+what, stand(alice, team).GetMentions(), expected)
		phone.reads(fmt.Sprintf("mentions of %d after %s", expected, what), func() bool { return phone.conversation(team).mentions == expected })
	}
	first := p.does(bob, writing(team, mentioning("alice!", alice))).GetSeq()
	p.does(bob, writing(team, mentioning("bob!", bob)))
	mentions("a message that mentions the user, and one that does not", 1)
	second := p.does(bob, writing(team, &wire.Message{Type: "text", Text: "all!", MentionAll: true})).GetSeq()
	mentions("one that mentions everybody", 2)
	p.does(bob, editing(team, first, textMessage("nobody")))
	mentions("an edit that mentions nobody", 1)
	p.does(bob, editing(team, first, mentioning("alice again", alice)))
	mentions("an edit that mentions the user again", 2)
	p.does(bob, recalling(team, second))
	mentions("a recall", 1)
	plain := p.say(bob, team, "plain").GetSeq()
	reads(alice, team, plain)
	mentions("reading", 0)
	p.does(bob, editing(team, plain, mentioning("alice, too late", alice)))
	p.does(bob, writing(team, mentioning("alice once more", alice)))
	mentions("an edit of a message that was read before, and a new one", 1)
}

func checkMentionAll(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob)
	sets(alice, team, &wire.Settings{HistoryFromStart: true})
	p.does(alice, writing(team, &wire.Message{Type: "text", Text: "all!", MentionAll: true}))
	call[*wire.MembersResponse](alice, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: []string{carol.id}})
	equal(p, "mentions of who was a member", stand(bob, team).GetMentions(), 1)
	equal(p, "mentions of who came later", stand(carol, team).GetMentions(), 0)
	list := call[*wire.MentionsResponse](carol, "MessageService/Mentions", &wire.MentionsRequest{Conversation: team})
	equal(p, "what mentions who came later", len(list.GetMentions()), 0)
}

// marksOf are how far a member has come, as another sees it.
func marksOf(p *play, asking, member *user, conversation string) *wire.Member {
	list := call[*wire.ListMembersResponse](asking, "ConversationService/ListMembers", &wire.ListMembersRequest{Conversation: conversation})
	for _, m := range list.GetMembers() {
		if m.GetUser() == member.id {
			return m
		}
	}
	p.fail(member.id+" among the members of "+conversation, "%s", show(list))
	return nil
}

// acknowledges reads until the device has what was submitted, and acknowledges it.
func (d *device) acknowledges(s *wire.Submitted) {
	d.hasSeq(s.GetConversation(), s.GetSeq())
	d.covered(s.GetPartition(), s.GetPosition())
	d.ack(d.cursor)
}

func checkDelivered(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob, carol)
	phone := p.connect(bob, "phone")
	first, second := p.say(alice, team, "one"), p.say(alice, team, "two")
	delivered := func(what string, u *user, expected uint64) {
		p.eventually(fmt.Sprintf("deliveredSeq of %d after %s", expected, what), func() (bool, string) {
			m := marksOf(p, alice, u, team)
			p.must(m.GetReadSeq() <= m.GetDeliveredSeq() && m.GetDeliveredSeq() <= second.GetSeq(), "read ≤ delivered ≤ head", "%s", show(m))
			return m.GetDeliveredSeq() == expected, show(m)
		})
	}
	p.must(marksOf(p, alice, bob, team).GetDeliveredSeq() < first.GetSeq(), "nothing is delivered before it is acknowledged", "%s", show(marksOf(p, alice, bob, team)))
	phone.acknowledges(second)
	delivered("an acknowledgement", bob, second.GetSeq())
	reads(carol, team, first.GetSeq())
	delivered("reading", carol, first.GetSeq())
	reads(bob, team, first.GetSeq())
	call[*wire.KickResponse](p.app(), "UserService/Kick", &wire.KickRequest{UserId: bob.id, DeviceId: "phone"})
	delivered("the device was forgotten: what was read stays", bob, first.GetSeq())
}

// receipts asks for receipts; the names of all pages are in the answer, in their order.
func receipts(p *play, w who, request *wire.ReceiptsRequest) *wire.ReceiptsResponse {
	var first *wire.ReceiptsResponse
	for range 100 {
		page := call[*wire.ReceiptsResponse](w, "MessageService/Receipts", request)
		if first == nil {
			first = page
		} else {
			first.Users = append(first.Users, page.GetUsers()...)
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			slices.Sort(first.Users)
			return first
		}
	}
	p.fail("a last page of receipts", "none among 100")
	return nil
}

func checkReceipts(p *play) {
	alice, bob, carol, dave, eve := p.user("alice"), p.user("bob"), p.user("carol"), p.user("dave"), p.user("eve")
	gone := p.user("gone")
	team := p.group(alice, bob, carol, dave, gone)
	phone := p.connect(carol, "phone")
	said := p.say(alice, team, "who has it?")
	call[*wire.MembersResponse](alice, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: []string{eve.id}})
	call[*wire.MembersResponse](gone, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
	reads(bob, team, said.GetSeq())
	phone.acknowledges(said)
	ask := func(mark wire.Mark, missing bool) *wire.ReceiptsResponse {
		return receipts(p, bob, &wire.ReceiptsRequest{Conversation: team, Seq: said.GetSeq(), Mark: mark, Missing: missing, PageSize: 1})
	}
	p.eventually("two members who have received the message", func() (bool, string) {
		got := ask(wire.Mark_READ, false)
		return got.GetDelivered() == 2, show(got)
	})
	for _, row := range []struct {
		what    string
		mark    wire.Mark
		missing bool
		users   []*user
	}{
		{"who have read it", wire.Mark_READ, false, []*user{bob}}, {"who have not read it", wire.Mark_READ, true, []*user{carol, dave}},
		{"who have received it", wire.Mark_DELIVERED, false, []*user{bob, carol}}, {"who have not received it", wire.Mark_DELIVERED, true, []*user{dave}},
	} {
		got := ask(row.mark, row.missing)
		equal(p, "members, delivered and read of "+row.what, []uint32{got.GetMembers(), got.GetDelivered(), got.GetRead()}, []uint32{3, 2, 1})
		names := idsOfUsers(row.users)
		slices.Sort(names)
		equal(p, "those "+row.what, got.GetUsers(), names)
	}
	refuse(eve, "MessageService/Receipts", &wire.ReceiptsRequest{Conversation: team, Seq: said.GetSeq()}, wire.Reason_UNKNOWN_EVENT) // does not see it
}

func checkReceiptsOfFew(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	news := p.create(&wire.CreateRequest{Kind: wire.Kind_CHANNEL, Owner: alice.id, Settings: &wire.Settings{Post: wire.Role_MEMBER}}, bob, carol)
	said := p.say(bob, news, "who has it?").GetSeq()
	reads(carol, news, said)
	for _, u := range []*user{alice, bob, carol} {
		got := receipts(p, u, &wire.ReceiptsRequest{Conversation: news, Seq: said})
		equal(p, "members and read for "+u.nickname, []uint32{got.GetMembers(), got.GetRead()}, []uint32{2, 1})
		names := []string{carol.id}
		if u == carol {
			names = nil
		}
		p.must(slices.Equal(got.GetUsers(), names), fmt.Sprintf("%s is told the names %v", u.nickname, names), "%v", got.GetUsers())
	}
	direct := p.does(alice, to(bob, textMessage("direct"))).GetSeq()
	reads(bob, directID(alice, bob), direct)
	ask := func() uint32 {
		return receipts(p, alice, &wire.ReceiptsRequest{Conversation: directID(alice, bob), Seq: direct}).GetRead()
	}
	equal(p, "who has read the direct message", ask(), 1)
	call[*wire.ContactResponse](bob, "ContactService/Block", &wire.BlockRequest{User: alice.id})
	equal(p, "who has read it, once bob has blocked the asker", ask(), 0)
}

func isReceipt(f *wire.ServerFrame) bool { return f.GetSignal().GetReceipt() != nil }

func checkReceiptSignals(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob, carol)
	said := p.say(alice, team, "for all")
	author, other, phone := p.connect(alice, "phone"), p.connect(carol, "phone"), p.connect(bob, "phone")
	phone.acknowledges(said)
	author.until("signal receipt with bob's received mark", func(f *wire.ServerFrame) bool {
		return f.GetSignal().GetReceipt().GetDeliveredSeq() == said.GetSeq()
	})
	reads(bob, team, said.GetSeq())
	got := author.until("signal receipt with bob's read mark", func(f *wire.ServerFrame) bool {
		return f.GetSignal().GetReceipt().GetReadSeq() == said.GetSeq()
	}).GetSignal().GetReceipt()
	p.must(got.GetUser() == bob.id && got.GetConversation() == team && got.GetReadCount() == 0, "bob's mark, and no counts", "%s", show(got))
	other.silence("a receipt, as carol has written nothing", isReceipt)

	direct := p.does(alice, to(bob, textMessage("direct"))).GetSeq()
	call[*wire.ContactResponse](bob, "ContactService/Block", &wire.BlockRequest{User: alice.id})
	reads(bob, directID(alice, bob), direct)
	author.silence("a receipt of who has blocked the author", func(f *wire.ServerFrame) bool {
		return f.GetSignal().GetReceipt().GetConversation() == directID(alice, bob)
	})
}

func checkCountedReceipts(p *play) {
	alice := p.user("alice")
	var others []*user
	for i := range 33 {
		others = append(others, p.user(fmt.Sprint("m", i)))
	}
	team := p.group(alice, others...)
	said := p.say(alice, team, "for all").GetSeq()
	author, other := p.connect(alice, "phone"), p.connect(others[0], "phone")
	reads(others[1], team, said)
	reads(others[2], team, said)
	author.until("signal receipt with a count of two who have read", func(f *wire.ServerFrame) bool {
		r := f.GetSignal().GetReceipt()
		p.must(r == nil || r.GetUser() == "" && r.GetConversation() == team && r.GetSeq() == said, "a receipt without user, of the author's last message", "%s", show(r))
		p.must(r == nil || r.GetReadCount() <= r.GetDeliveredCount(), "who has read it has received it", "%s", show(r))
		return r.GetReadCount() == 2
	})
	other.silence("a receipt, as its user has written nothing", isReceipt)
}

func checkMentions(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, club := p.group(alice, bob), p.group(alice, bob)
	var seqs []uint64
	for i := range 6 {
		seqs = append(seqs, p.does(bob, writing(team, mentioning(fmt.Sprint(i), alice))).GetSeq())
		p.pause(aMillisecond)
	}
	p.does(bob, writing(club, mentioning("elsewhere", alice)))
	p.say(bob, team, "mentions nobody")
	p.does(bob, recalling(team, seqs[1]))
	erase(bob, team, seqs[2])
	call[*wire.DeleteResponse](alice, "MessageService/Delete", &wire.DeleteRequest{Conversation: team, Seqs: []uint64{seqs[3]}})
	p.does(bob, editing(team, seqs[4], mentioning("edited", alice)))
	ask := func(request *wire.MentionsRequest) (texts []string) {
		for range 100 {
			page := call[*wire.MentionsResponse](alice, "MessageService/Mentions", request)
			for _, m := range page.GetMentions() {
				texts = append(texts, textOf(m.GetEvent()))
			}
			if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
				return texts
			}
		}
		p.fail("a last page of mentions", "none among 100")
		return nil
	}
	equal(p, "what mentions alice in the team", ask(&wire.MentionsRequest{Conversation: team, PageSize: 2}), []string{"5", "edited", "0"})
	equal(p, "what mentions alice anywhere", ask(&wire.MentionsRequest{PageSize: 1}), []string{"elsewhere", "5", "edited", "0"})
	reads(alice, team, seqs[4])
	equal(p, "what mentions alice in the team past the mark", ask(&wire.MentionsRequest{Conversation: team, Unread: true}), []string{"5"})
}

func checkBadge(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	plain, muted, hidden, marked := p.group(alice, bob), p.group(alice, bob), p.group(alice, bob), p.group(alice, bob)
	badge := func(what string, unread, mentions uint64, conversations uint32) {
		got := call[*wire.BadgeResponse](alice, "ConversationService/Badge", &wire.BadgeRequest{})
		equal(p, "the badge "+what, got, &wire.BadgeResponse{Unread: unread, Mentions: mentions, Conversations: conversations})
	}
	badge("before anything", 0, 0, 0)
	p.sayMany(bob, plain, 2)
	p.does(bob, writing(muted, mentioning("muted", alice)))
	p.does(bob, writing(hidden, mentioning("hidden", alice)))
	badge("of three conversations with four messages", 4, 2, 3)
	settles(alice, &wire.SettingsRequest{Conversation: muted, Muted: proto.Bool(true)})
	badge("with one muted", 3, 2, 3)
	settles(alice, &wire.SettingsRequest{Conversation: hidden, Hidden: proto.Bool(true)})
	got := call[*wire.BadgeResponse](alice, "ConversationService/Badge", &wire.BadgeRequest{})
	p.must(got.GetUnread() == 2 && got.GetMentions() == 2, "unread 2 and mentions 2 with one hidden", "%s", show(got))
	settles(alice, &wire.SettingsRequest{Conversation: marked, MarkedUnread: proto.Bool(true)})
	after := call[*wire.BadgeResponse](alice, "ConversationService/Badge", &wire.BadgeRequest{})
	equal(p, "the badge with one marked unread", after, &wire.BadgeResponse{Unread: 2, Mentions: 2, Conversations: got.GetConversations() + 1})
}
