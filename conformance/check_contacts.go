// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 5, "Contacts".

package conformance

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfContacts = []check{
	{"5.40", "a request makes one side REQUESTED and the other ASKED, on all devices; crossing requests make contacts", checkRequest},
	{"5.40", "asking again replaces the text, which is bounded as a title is", checkAskAgain},
	{"5.41", "an answer makes contacts or none; Remove ends a contact for both; repeated they change nothing", checkAnswer},
	{"5.42", "what is asked begins a direct conversation, hidden until the first message, with nothing unread", checkRequestIsHidden},
	{"5.43", "Block and Remark change one side and write nothing for the other", checkOneSided},
	{"5.44", "who is blocked is refused with BLOCKED, who has blocked with NOT_ALLOWED; contacts and history outlast it", checkBlocked},
	{"5.45", "nothing transient passes a block, and nobody makes whoever has blocked them a member", checkSilentBlock},
	{"5.46", "to who wants contacts only, only contacts and the app write", checkContactsOnly},
	{"5.47", "List pages through contacts, requests, blocks and remarks, and filters", checkListContacts},
	{"5.48", "nobody is a contact of their own, of system, or of a user who does not exist", checkNoContact},
}

// asks asks a user to become a contact.
func asks(u, other *user, text string) *wire.Contact {
	return call[*wire.ContactResponse](u, "ContactService/Request", &wire.ContactRequest{User: other.id, Text: text}).GetContact()
}

// answersRequest answers a request.
func answersRequest(u, other *user, accept bool) *wire.Contact {
	return call[*wire.ContactResponse](u, "ContactService/Answer", &wire.AnswerContactRequest{User: other.id, Accept: accept}).GetContact()
}

// removes ends a contact, or takes a request back.
func removes(u, other *user) *wire.Contact {
	return call[*wire.ContactResponse](u, "ContactService/Remove", &wire.RemoveContactRequest{User: other.id}).GetContact()
}

// blocks keeps a user from writing to another.
func blocks(u, other *user) *wire.Contact {
	return call[*wire.ContactResponse](u, "ContactService/Block", &wire.BlockRequest{User: other.id}).GetContact()
}

// unblocks ends a block.
func unblocks(u, other *user) *wire.Contact {
	return call[*wire.ContactResponse](u, "ContactService/Unblock", &wire.BlockRequest{User: other.id}).GetContact()
}

// befriends makes two users contacts.
func befriends(p *play, a, b *user) {
	asks(a, b, "")
	equal(p, "the state after an answer", answersRequest(b, a, true).GetState(), wire.ContactState_CONTACT)
}

// contacts are the rows of all pages.
func contacts(u *user, request *wire.ListContactsRequest) (rows []*wire.Contact) {
	for range 100 {
		page := call[*wire.ListContactsResponse](u, "ContactService/List", request)
		rows = append(rows, page.GetContacts()...)
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return rows
		}
	}
	u.play.fail("a last page of contacts", "none among 100")
	return nil
}

// contactOf is how a user stands to another; empty where that is not listed.
func contactOf(u, other *user) *wire.Contact {
	for _, c := range contacts(u, &wire.ListContactsRequest{}) {
		if c.GetUser() == other.id {
			return c
		}
	}
	return &wire.Contact{}
}

// stands fails the check unless two users stand to each other so.
func stands(p *play, when string, a, b *user, ofA, ofB wire.ContactState) {
	equal(p, "how alice and bob stand to each other "+when, []wire.ContactState{contactOf(a, b).GetState(), contactOf(b, a).GetState()}, []wire.ContactState{ofA, ofB})
}

func checkRequest(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	direct := directID(alice, bob)
	own, other := p.connect(alice, "phone"), p.connect(bob, "phone")
	got := asks(alice, bob, "we met on the ferry")
	equal(p, "the answer", got, &wire.Contact{User: bob.id, State: wire.ContactState_REQUESTED, RequestText: "we met on the ferry", Conversation: direct})
	for d, state := range map[*device]wire.ContactState{own: wire.ContactState_REQUESTED, other: wire.ContactState_ASKED} {
		d.reads(fmt.Sprintf("self with %v and the text", state), func() bool {
			self := d.conversation(direct).self
			return self.GetContact() == state && self.GetRequestText() == "we met on the ferry"
		})
	}
	stands(p, "after a request", alice, bob, wire.ContactState_REQUESTED, wire.ContactState_ASKED)
	asks(carol, bob, "")
	equal(p, "the state where the other has asked already", asks(bob, carol, "").GetState(), wire.ContactState_CONTACT)
	equal(p, "the state of who had asked first", contactOf(carol, bob).GetState(), wire.ContactState_CONTACT)
}

func checkAskAgain(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	asks(alice, bob, "first")
	asks(alice, bob, "second")
	equal(p, "the text that bob sees", contactOf(bob, alice).GetRequestText(), "second")
	stands(p, "after asking twice", alice, bob, wire.ContactState_REQUESTED, wire.ContactState_ASKED)
	_, r := tryAny(alice, "ContactService/Request", &wire.ContactRequest{User: bob.id, Text: strings.Repeat("x", 64<<10)})
	p.must(r != nil && r.code == "invalid_argument", "a refusal of a text of 64 KiB", "%v", r)
}

func checkAnswer(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	refuse(bob, "ContactService/Answer", &wire.AnswerContactRequest{User: alice.id, Accept: true}, wire.Reason_NOT_ALLOWED)
	asks(alice, bob, "")
	refuse(alice, "ContactService/Answer", &wire.AnswerContactRequest{User: bob.id, Accept: true}, wire.Reason_NOT_ALLOWED) // she has asked
	answersRequest(bob, alice, false)
	stands(p, "after a rejection", alice, bob, wire.ContactState_NO_CONTACT, wire.ContactState_NO_CONTACT)
	_, _ = tryAny(bob, "ContactService/Answer", &wire.AnswerContactRequest{User: alice.id})
	stands(p, "after another", alice, bob, wire.ContactState_NO_CONTACT, wire.ContactState_NO_CONTACT)
	asks(alice, bob, "")
	for range 2 {
		removes(alice, bob)
		stands(p, "after the request was taken back", alice, bob, wire.ContactState_NO_CONTACT, wire.ContactState_NO_CONTACT)
	}
	asks(alice, bob, "")
	for range 2 {
		answersRequest(bob, alice, true)
		stands(p, "after it was accepted", alice, bob, wire.ContactState_CONTACT, wire.ContactState_CONTACT)
	}
	for range 2 {
		removes(bob, alice)
		stands(p, "after a removal", alice, bob, wire.ContactState_NO_CONTACT, wire.ContactState_NO_CONTACT)
	}
}

func checkRequestIsHidden(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	direct := directID(alice, bob)
	befriends(p, alice, bob)
	for _, u := range []*user{alice, bob} {
		now := stand(u, direct)
		p.must(now.GetSelf().GetHidden() && now.GetUnread() == 0, "a conversation that is hidden, with nothing unread", "%s", show(now))
	}
	p.does(alice, to(bob, textMessage("hello")))
	for _, u := range []*user{alice, bob} {
		p.must(!mine(u, direct).GetHidden(), "it is shown from the first message on", "%s", show(mine(u, direct)))
	}
	equal(p, "unread", stand(bob, direct).GetUnread(), 1)
}

func checkOneSided(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	phone, other := p.connect(alice, "phone"), p.connect(bob, "phone")
	call[*wire.ContactResponse](alice, "ContactService/Remark", &wire.RemarkRequest{User: bob.id, Remark: "from the ferry"})
	direct := directID(alice, bob)
	blocks(alice, bob)
	phone.reads("self with blocked and the remark", func() bool {
		self := phone.conversation(direct).self
		return self.GetBlocked() && self.GetRemark() == "from the ferry"
	})
	members := call[*wire.ListMembersResponse](alice, "ConversationService/ListMembers", &wire.ListMembersRequest{Conversation: direct}).GetMembers()
	equal(p, "the members of the conversation that it begins", namesOf(members), []string{alice.id})
	refuse(bob, "ConversationService/Get", &wire.GetRequest{Conversation: direct}, wire.Reason_UNKNOWN_CONVERSATION)
	other.silence("anything of it", func(f *wire.ServerFrame) bool { return len(f.GetDelta().GetConversations()) > 0 })
	unblocks(alice, bob)
	said := p.does(alice, to(bob, textMessage("hello")))
	other.hasSeq(direct, said.GetSeq())
	s := other.conversation(direct).self
	p.must(s != nil && !s.GetBlocked() && s.GetRemark() == "" && s.GetVisibleFrom() <= said.GetSeq(), "bob is a member from then on, with a side of his own", "%s", show(s))
}

func checkBlocked(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	direct := directID(alice, bob)
	befriends(p, alice, bob)
	of := map[*user]uint64{alice: p.does(alice, to(bob, textMessage("from alice"))).GetSeq(), bob: p.does(bob, to(alice, textMessage("from bob"))).GetSeq()}
	spare := p.does(bob, to(alice, textMessage("to be erased"))).GetSeq()
	blocks(bob, alice)
	for u, reason := range map[*user]wire.Reason{alice: wire.Reason_BLOCKED, bob: wire.Reason_NOT_ALLOWED} {
		for _, request := range []*wire.SubmitRequest{
			writing(direct, textMessage("x")), editing(direct, of[u], textMessage("x")), reacting(direct, of[u], "+"), pinning(direct, of[u]),
		} {
			p.cannot(u, request, reason)
		}
	}
	stands(p, "while one has blocked the other", alice, bob, wire.ContactState_CONTACT, wire.ContactState_CONTACT)
	p.must(!mine(alice, direct).GetBlocked() && !contactOf(alice, bob).GetBlocked(), "who is blocked is not told", "%s", show(mine(alice, direct)))
	p.must(contactOf(bob, alice).GetBlocked(), "who has blocked sees it", "%s", show(contactOf(bob, alice)))
	equal(p, "what was written before", textOf(one(p, alice, direct, of[bob])), "from bob")
	recall(p, alice, direct, of[alice])
	withReason := recalling(direct, of[bob])
	withReason.GetRecall().Reason = "a word in it"
	_, r := tryAny(bob, "MessageService/Submit", &wire.SubmitRequest{Conversation: direct, ClientId: p.id("m"), Action: withReason.Action})
	p.must(r != nil, "a refusal of a recall with a reason", "success")
	erase(bob, direct, spare)
	p.does(p.app(), writing(direct, textMessage("from the app")))
	removes(alice, bob)
	refuse(alice, "ContactService/Request", &wire.ContactRequest{User: bob.id}, wire.Reason_BLOCKED)
	refuse(bob, "ContactService/Request", &wire.ContactRequest{User: alice.id}, wire.Reason_NOT_ALLOWED)
	unblocks(bob, alice)
	p.does(alice, to(bob, textMessage("again")))
}

func checkSilentBlock(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	direct := directID(alice, bob)
	said := p.does(alice, to(bob, textMessage("x")))
	phone, other := p.connect(alice, "phone"), p.connect(bob, "phone")
	blocks(bob, alice)
	wave := &wire.Message{Type: "text", Text: "wave", Class: wire.MessageClass_TRANSIENT}
	_, r := tryAny(alice, "MessageService/Submit", &wire.SubmitRequest{ToUser: bob.id, ClientId: p.id("m"), Action: &wire.SubmitRequest_Message{Message: wave}})
	p.must(r.isReason(wire.Reason_BLOCKED), "BLOCKED for a transient message to who has blocked its sender", "%v", r)
	other.acknowledges(said)
	for _, d := range []*device{phone, other} {
		d.types(direct, true)
		d.read(direct, said.GetSeq())
	}
	phone.watch(bob.id)
	phone.present(bob, false)
	other.watch(alice.id)
	other.present(alice, false)
	for _, d := range []*device{phone, other} {
		d.silence("a signal from across the block", func(f *wire.ServerFrame) bool {
			return f.GetSignal().GetTyping() != nil || f.GetSignal().GetTransient() != nil || isReceipt(f)
		})
	}
	club := p.group(alice)
	refuse(alice, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: club, Members: []string{bob.id}}, wire.Reason_BLOCKED)
	p.added(club, bob)
	phone.types(club, true)
	other.until("that alice types in a group, where both are members like others", isTyping(club, alice))
}

func checkContactsOnly(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	request := to(bob, textMessage("before"))
	first := p.does(carol, request)
	call[*wire.OptionsResponse](bob, "UserService/Options", &wire.OptionsRequest{ContactsOnly: proto.Bool(true)})
	p.cannot(alice, to(bob, textMessage("x")), wire.Reason_NOT_CONTACT)
	p.cannot(carol, to(bob, textMessage("x")), wire.Reason_NOT_CONTACT)
	again := p.does(carol, request)
	p.must(again.GetDuplicate() && again.GetSeq() == first.GetSeq(), "a repeated clientId gets its first answer", "%s", show(again))
	p.does(p.app(), writing(directID(bob, carol), textMessage("from the app")))
	befriends(p, alice, bob)
	p.does(alice, to(bob, textMessage("as a contact")))
	p.say(alice, p.group(alice, bob), "groups are free of it")
}

func checkListContacts(p *play) {
	alice := p.user("alice")
	named := map[string]*user{}
	for _, name := range []string{"contact", "requested", "asked", "blocked", "remarked", "nothing"} {
		named[name] = p.user(name)
	}
	befriends(p, alice, named["contact"])
	asks(alice, named["requested"], "")
	asks(named["asked"], alice, "")
	blocks(alice, named["blocked"])
	call[*wire.ContactResponse](alice, "ContactService/Remark", &wire.RemarkRequest{User: named["remarked"].id, Remark: "r"})
	p.does(alice, to(named["nothing"], textMessage("only a message")))
	lists := func(what string, request *wire.ListContactsRequest, names ...string) {
		var got, expected []string
		for _, c := range contacts(alice, request) {
			got = append(got, c.GetUser())
		}
		for _, name := range names {
			expected = append(expected, named[name].id)
		}
		slices.Sort(got)
		slices.Sort(expected)
		p.must(slices.Equal(got, expected), fmt.Sprintf("%s: %v", what, names), "%v", got)
	}
	lists("all", &wire.ListContactsRequest{PageSize: 2}, "contact", "requested", "asked", "blocked", "remarked")
	lists("contacts", &wire.ListContactsRequest{States: []wire.ContactState{wire.ContactState_CONTACT}}, "contact")
	lists("requests", &wire.ListContactsRequest{States: []wire.ContactState{wire.ContactState_REQUESTED, wire.ContactState_ASKED}, PageSize: 1}, "requested", "asked")
	lists("blocked users", &wire.ListContactsRequest{Blocked: true}, "blocked")
}

func checkNoContact(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	refuse(alice, "ContactService/Request", &wire.ContactRequest{User: alice.id}, wire.Reason_BAD_ARGUMENT)
	refuse(alice, "ContactService/Request", &wire.ContactRequest{User: "system"}, wire.Reason_BAD_ARGUMENT)
	refuse(alice, "ContactService/Block", &wire.BlockRequest{User: "system"}, wire.Reason_BAD_ARGUMENT)
	refuse(alice, "ContactService/Request", &wire.ContactRequest{User: p.id("nobody")}, wire.Reason_UNKNOWN_USER)
	befriends(p, alice, bob)
	blocks(alice, bob)
	call[*wire.DeleteUserResponse](p.app(), "UserService/Delete", &wire.DeleteUserRequest{UserId: bob.id})
	removes(alice, bob)
	p.must(!unblocks(alice, bob).GetBlocked(), "what was begun with a deleted user can be ended", "it is still blocked")
}
