// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, "Messages".

package conformance

import (
	"bytes"
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

var checksOfMessages = []check{
	{"2.14", "submit names a conversation or toUser, and one action; the answer carries its request", checkSubmit},
	{"2.14", "what is answered submitted is there: the same event, by its seq, id, time and digest", checkSubmittedIsThere},
	{"2.15", "a repeated clientId gets the first answer again, with duplicate, on every way, and writes nothing", checkDuplicate},
	{"2.16", "submitted and delta leave in commit order; of one commit the answers come first, then the others by seq", checkCommitOrder},
	{"2.16", "the sending session hears submitted and not its own event, the user's other sessions get it", checkOwnEvents},
	{"2.16", "what a recall changed in its counts the sending session hears by a delta without events", checkRecallsCounts},
	{"2.17", "submits of one connection to one conversation keep their order", checkSubmitOrder},
	{"2.18", "seen with another digest, or past the head, is UNKNOWN_EVENT; with the right one it is accepted", checkSeen},
	{"2.52", "a message may be edited and recalled by its sender, not by others", checkEditAndRecall},
	{"2.52", "after the window an edit and a recall are EDIT_WINDOW_OVER", checkWindows},
	{"2.19", "NORMAL is stored and counted, SILENT is stored and not counted", checkSilent},
	{"2.19", "TRANSIENT reaches online members as a signal and has no seq", checkTransient},
	{"2.20", "the read mark never falls, and past the head it is BAD_ARGUMENT", checkReadMark},
	{"2.20", "the user's other devices hear of the read mark by delta, authors by signal receipt", checkReadIsTold},
}

func message(text string) *wire.Submit_Message {
	return &wire.Submit_Message{Message: textMessage(text)}
}

func checkSubmit(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	for _, d := range []*device{p.connect(alice, "phone"), p.connectIn(wire.JSON, alice, "page")} {
		s := d.submit(&wire.Submit{Conversation: team, Action: message("x")}) // found by its request
		equal(p, "submitted.conversation", s.GetConversation(), team)
		s = d.submit(&wire.Submit{ToUser: bob.id, Action: message("x")})
		equal(p, "submitted.conversation", s.GetConversation(), directID(alice, bob))
		d.refuse(&wire.Submit{Conversation: team}, wire.Reason_BAD_ARGUMENT)
		d.refuse(&wire.Submit{Action: message("x")}, wire.Reason_BAD_ARGUMENT)
		d.refuse(&wire.Submit{Conversation: team, ToUser: bob.id, Action: message("x")}, wire.Reason_BAD_ARGUMENT)
	}
}

func checkSubmittedIsThere(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	phone := p.connect(alice, "phone")
	before := phone.conversation(team).digests[1]
	s := phone.submit(&wire.Submit{Conversation: team, ClientId: "mine", Action: message("x")})
	page := phone.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{After: s.GetSeq() - 1}})
	p.must(len(page.GetEvents()) == 1, "one event after the one before", "%s", show(page))
	e := page.GetEvents()[0]
	equal(p, "seq, id and time of the event", []uint64{e.GetSeq(), e.GetId(), e.GetTimeMs()}, []uint64{s.GetSeq(), s.GetId(), s.GetTimeMs()})
	equal(p, "its sender and clientId", []string{e.GetSender(), e.GetClientId()}, []string{alice.id, "mine"})
	equal(p, "its salt", e.GetSalt(), s.GetSalt())
	digest := linked(before, e)
	equal(p, "submitted.digest", s.GetDigest(), digest[:])
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: textMessage("x")}}) // as it was sent
	equal(p, "the body, as it was sent", e.GetBody(), body)
	link := chain.Link{Seq: tidemark.Seq(s.GetSeq()), ID: tidemark.EventID(s.GetId()), TimeMs: s.GetTimeMs(), Sender: tidemark.UserID(alice.id), ClientID: "mine", Kind: 1,
		BodyHash: chain.BodyHash([8]byte(s.GetSalt()), body)}
	digest = chain.Next(before, link)
	equal(p, "submitted.digest from submitted.salt and the body that was sent", s.GetDigest(), digest[:])
}

func checkDuplicate(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	phone, tablet := p.connect(alice, "phone"), p.connect(alice, "tablet")
	again := func(text string) *wire.Submit {
		return &wire.Submit{Conversation: team, ClientId: "once", Action: message(text)}
	}
	first := phone.submit(again("x"))
	p.must(!first.GetDuplicate(), "the first answer without duplicate", "%s", show(first))
	phone.say(team, "between")
	over := call[*wire.Submitted](alice, "MessageService/Submit", &wire.SubmitRequest{Conversation: team, ClientId: "once", Action: textAction("x")})
	for _, s := range []*wire.Submitted{phone.submit(again("x")), tablet.submit(again("x")), over} {
		p.must(s.GetDuplicate(), "a repeated clientId is answered with duplicate", "%s", show(s))
		p.must(s.GetSeq() == first.GetSeq() && s.GetId() == first.GetId() && s.GetTimeMs() == first.GetTimeMs() && bytes.Equal(s.GetDigest(), first.GetDigest()),
			"the first answer again: "+show(first), "%s", show(s))
	}
	page := tablet.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_Latest{Latest: true}})
	equal(p, "the head after two messages, of which one was repeated", page.GetHeadSeq(), uint64(3))
}

func checkCommitOrder(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	groups := []string{p.group(alice, bob, carol), p.group(alice, bob, carol), p.group(alice, bob, carol), p.group(alice, bob, carol)}
	phone := p.connect(alice, "phone")
	written := p.traffic([]*device{phone, p.connect(bob, "phone"), p.connect(carol, "phone")}, groups, 15)
	type place struct {
		id  string
		seq uint64
	}
	at := map[place]*wire.Submitted{}
	for _, s := range written {
		phone.covered(s.GetPartition(), s.GetPosition())
		at[place{s.GetConversation(), s.GetSeq()}] = s
	}
	type step struct {
		position uint64
		answers  bool
	}
	last := map[uint32]step{}
	came := func(s *wire.Submitted, answer bool, frame int) {
		before := last[s.GetPartition()]
		p.must(s.GetPosition() >= before.position, "submitted and delta in commit order of their partition",
			"frame %d has position %d of partition %d after position %d", frame, s.GetPosition(), s.GetPartition(), before.position)
		p.must(!answer || s.GetPosition() > before.position || before.answers, "of one commit the answers come before the other events",
			"frame %d answers for position %d of partition %d, of which a delta has come", frame, s.GetPosition(), s.GetPartition())
		last[s.GetPartition()] = step{s.GetPosition(), answer}
	}
	for i, f := range phone.frames {
		if s := f.GetSubmitted(); s != nil {
			came(s, true, i+1)
		}
		var inFrame []*wire.Submitted
		for _, c := range f.GetDelta().GetConversations() {
			before := uint64(0)
			for _, e := range c.GetEvents() {
				p.must(e.GetSeq() > before, "events of a delta in order of seq", "%d after %d", e.GetSeq(), before)
				before = e.GetSeq()
				if s := at[place{c.GetId(), e.GetSeq()}]; s != nil {
					inFrame = append(inFrame, s)
				}
			}
		}
		least := map[uint32]uint64{} // a delta may hold several conversations of a partition: its events are one step
		most := map[uint32]*wire.Submitted{}
		for _, s := range inFrame {
			if had, is := least[s.GetPartition()]; !is || s.GetPosition() < had {
				least[s.GetPartition()] = s.GetPosition()
			}
			if had := most[s.GetPartition()]; had == nil || s.GetPosition() > had.GetPosition() {
				most[s.GetPartition()] = s
			}
		}
		for partition, s := range most {
			p.must(least[partition] >= last[partition].position, "deltas in commit order with answers",
				"frame %d has an event of position %d of partition %d after position %d", i+1, least[partition], partition, last[partition].position)
			came(s, false, i+1)
		}
	}
}

func checkOwnEvents(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone, tablet, other := p.connect(alice, "phone"), p.connect(alice, "tablet"), p.connect(bob, "phone")
	s := phone.say(team, "own")
	equal(p, "the text that the user's other session gets", textOf(tablet.hasSeq(team, s.GetSeq())), "own")
	equal(p, "the text that another member gets", textOf(other.hasSeq(team, s.GetSeq())), "own")
	next := other.say(team, "next")
	phone.hasSeq(team, next.GetSeq())
	phone.covered(next.GetPartition(), next.GetPosition())
	p.must(phone.conversation(team).events[s.GetSeq()] == nil, "the sending session does not get its own event", "it came")
}

func checkRecallsCounts(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob) // alice owns it, so she may recall bob's message
	s := p.say(bob, team, "regretted")
	phone := p.connect(alice, "phone")
	equal(p, "unread with one message of another", phone.conversation(team).unread, uint64(1))
	recall := phone.submit(&wire.Submit{Conversation: team, Action: &wire.Submit_Recall{Recall: &wire.Recall{Seq: s.GetSeq(), Reason: "spam"}}})
	phone.reads("a delta with unread 0", func() bool { return phone.conversation(team).unread == 0 })
	p.must(phone.conversation(team).events[recall.GetSeq()] == nil, "it comes without events", "the recall itself came")
}

func checkSubmitOrder(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	phone := p.connect(alice, "phone")
	var requests []uint64
	for i := range 60 {
		requests = append(requests, phone.post(&wire.Submit{Conversation: team, Action: message(fmt.Sprint(i))}))
	}
	for i, request := range requests {
		equal(p, fmt.Sprintf("the seq of the submit at place %d", i+1), phone.answer(request).GetSubmitted().GetSeq(), uint64(i)+2)
	}
}

func checkSeen(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	phone := p.connect(alice, "phone")
	s := phone.say(team, "x")
	with := func(seq uint64, digest []byte) *wire.Submit {
		return &wire.Submit{Conversation: team, Action: message("y"), Seen: &wire.Seen{Seq: seq, Digest: digest}}
	}
	other := append([]byte(nil), s.GetDigest()...)
	other[0] ^= 1
	phone.refuse(with(s.GetSeq(), other), wire.Reason_UNKNOWN_EVENT)
	phone.refuse(with(s.GetSeq()+5, s.GetDigest()), wire.Reason_UNKNOWN_EVENT)
	equal(p, "the seq of the next message: those refused wrote nothing", phone.submit(with(s.GetSeq(), s.GetDigest())).GetSeq(), s.GetSeq()+1)
}

func checkEditAndRecall(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	own, other := p.connect(bob, "phone"), p.connect(alice, "phone")
	edit := func(seq uint64) *wire.Submit {
		return &wire.Submit{Conversation: team, Action: &wire.Submit_Edit{Edit: &wire.Edit{Seq: seq, Message: textMessage("edited")}}}
	}
	recall := func(seq uint64) *wire.Submit {
		return &wire.Submit{Conversation: team, Action: &wire.Submit_Recall{Recall: &wire.Recall{Seq: seq}}}
	}
	bobs, alices := own.say(team, "bob's").GetSeq(), other.say(team, "alice's").GetSeq()
	other.refuse(edit(bobs), wire.Reason_NOT_ALLOWED) // even by the owner
	own.refuse(recall(alices), wire.Reason_NOT_ALLOWED)
	own.submit(edit(bobs))
	equal(p, "the text after the edit", textOf(one(p, bob, team, bobs)), "edited")
	own.submit(recall(bobs))
	p.must(one(p, bob, team, bobs).GetRecalled() > 0, "the message is recalled", "it is not")
}

// one fetches one event over HTTP.
func one(p *play, u *user, conversation string, seq uint64) *wire.Event {
	page := call[*wire.Fetched](u, "MessageService/Fetch", &wire.FetchRequest{Conversation: conversation, From: &wire.FetchRequest_After{After: seq - 1}, Limit: 1})
	if len(page.GetEvents()) != 1 || page.GetEvents()[0].GetSeq() != seq {
		p.fail(fmt.Sprintf("event %d of %s", seq, conversation), "%s", show(page))
	}
	return page.GetEvents()[0]
}

func checkWindows(p *play) {
	alice := p.user("alice")
	old := p.pastBy(p.user("owner"), alice, 1, func(int) uint64 { return somePast }) // an owner may recall later
	phone := p.connect(alice, "phone")
	phone.refuse(&wire.Submit{Conversation: old, Action: &wire.Submit_Edit{Edit: &wire.Edit{Seq: 2, Message: textMessage("late")}}}, wire.Reason_EDIT_WINDOW_OVER)
	phone.refuse(&wire.Submit{Conversation: old, Action: &wire.Submit_Recall{Recall: &wire.Recall{Seq: 2}}}, wire.Reason_EDIT_WINDOW_OVER)
}

func checkSilent(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone, other := p.connect(alice, "phone"), p.connect(bob, "phone")
	for _, class := range []wire.MessageClass{wire.MessageClass_NORMAL, wire.MessageClass_SILENT} {
		m := textMessage("x")
		m.Class = class
		s := phone.submit(&wire.Submit{Conversation: team, Action: &wire.Submit_Message{Message: m}})
		other.hasSeq(team, s.GetSeq())
		equal(p, "the class of the event", bodyOf(other.conversation(team).events[s.GetSeq()]).GetMessage().GetClass(), class)
		equal(p, fmt.Sprintf("unread after a message of class %v", class), other.conversation(team).unread, uint64(1))
		equal(p, "counted", s.GetCounted(), uint64(1))
	}
}

func checkTransient(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone, other := p.connect(alice, "phone"), p.connect(bob, "phone")
	m := textMessage("wave")
	m.Class = wire.MessageClass_TRANSIENT
	s := phone.submit(&wire.Submit{Conversation: team, Action: &wire.Submit_Message{Message: m}})
	equal(p, "the seq of a transient message", s.GetSeq(), uint64(0))
	got := other.until("signal transient", func(f *wire.ServerFrame) bool { return f.GetSignal().GetTransient() != nil }).GetSignal().GetTransient()
	p.must(got.GetConversation() == team && got.GetSender() == alice.id && got.GetMessage().GetText() == "wave", "the message, its conversation and its sender", "%s", show(got))
	page := other.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_Latest{Latest: true}})
	equal(p, "the head after a transient message", page.GetHeadSeq(), uint64(1))
}

func checkReadMark(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	head := p.sayMany(alice, team, 5).GetSeq()
	mark := func(seq uint64) uint64 {
		return call[*wire.ReadResponse](bob, "MessageService/Read", &wire.ReadRequest{Conversation: team, Seq: seq}).GetReadSeq()
	}
	equal(p, "the mark after reading up to 4", mark(4), uint64(4))
	equal(p, "the mark after reading up to 2", mark(2), uint64(4))
	refuse(bob, "MessageService/Read", &wire.ReadRequest{Conversation: team, Seq: head + 1}, wire.Reason_BAD_ARGUMENT)
	equal(p, "the mark after reading up to the head", mark(head), head)
	phone := p.connect(bob, "phone")
	equal(p, "self.readSeq", phone.conversation(team).self.GetReadSeq(), head)
	phone.read(team, head+1)
	f := phone.until("an error", func(f *wire.ServerFrame) bool { return f.GetError() != nil })
	equal(p, "the reason for a mark past the head", f.GetError().GetReason(), wire.Reason_BAD_ARGUMENT)
}

func checkReadIsTold(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	s := p.say(alice, team, "x")
	author, phone, tablet := p.connect(alice, "phone"), p.connect(bob, "phone"), p.connect(bob, "tablet")
	equal(p, "unread before", tablet.conversation(team).unread, uint64(1))
	phone.read(team, s.GetSeq())
	tablet.reads("self with the read mark, and unread 0", func() bool {
		c := tablet.conversation(team)
		return c.self.GetReadSeq() == s.GetSeq() && c.unread == 0
	})
	got := author.until("signal receipt with bob's mark", func(f *wire.ServerFrame) bool {
		r := f.GetSignal().GetReceipt()
		return r != nil && r.GetReadSeq() >= s.GetSeq()
	}).GetSignal().GetReceipt()
	p.must(got.GetConversation() == team && got.GetUser() == bob.id, "a receipt of bob in the group", "%s", show(got))
}
