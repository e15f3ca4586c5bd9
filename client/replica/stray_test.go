// SPDX-License-Identifier: Apache-2.0

// Answers that are not of what was asked: of an earlier connection, or of a server that mixes them up.

package replica_test

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// A page of another conversation under the number of a request is no answer: nothing of it is stored, and the true page,
// coming after it, is.
func TestPageOfAnotherConversation(t *testing.T) {
	s, alice, bob := world(t)
	s.create("crew", "alice", "bob")
	bob.connect(s)
	bob.settle()
	for _, text := range []string{"c1", "c2", "c3", "c4"} {
		bob.say("crew", text)
		bob.settle()
	}
	for range 30 {
		bob.say(team, "t")
		bob.settle()
	}
	alice.connect(s)
	for alice.upload() || alice.download() {
	}
	alice.fetch(team, replica.Page{Before: 9, Limit: 3})
	request := alice.toward[len(alice.toward)-1].GetFetch().GetRequest()
	for _, page := range []replica.Page{{Before: 9}, {Before: 5}, {Latest: true}} {
		f := s.fetch("alice", &wire.Fetch{Request: request, Conversation: "crew", From: &wire.Fetch_Before{Before: uint64(page.Before)}})
		alice.receive(f)
	}
	equalList(t, "the device had asked for a page and shows", alice.texts("crew"), "c1", "c2", "c3", "c4")
	for _, text := range alice.texts(team) {
		equal(t, "a message of the team", text, "t")
	}
	alice.settle()
	if _, reports := noteOf[replica.HistoryChanged](alice); reports > 0 {
		t.Fatalf("reported rewritten history %d times, where nothing was rewritten", reports)
	}
	alice.checkC1(s)
	if c := alice.replica.Conversation(team); c.Segments[0].From > 6 {
		t.Fatalf("the true page was not taken: stored are %+v", c.Segments)
	}
}

// An answer that names the seq of another event is not the submission's own: the message is not lost, whether the other event
// is stored already or comes later.
func TestAnswerOfAnotherMessage(t *testing.T) {
	for _, first := range []string{"alice", "bob"} {
		t.Run("the seq of an event of "+first, func(t *testing.T) {
			s, alice, bob := world(t)
			talk(s, alice, bob, 2)
			sender := map[string]*device{"alice": alice, "bob": bob}[first]
			sender.say(team, "one")
			sender.settle()
			if first == "alice" {
				alice.settle() // what bob says is not here yet
			}
			h := s.logs[team]
			stale := answerOf(0, team, h, h.events[len(h.events)-1], true).GetSubmitted()

			alice.say(team, "two")
			stale.Request = alice.toward[len(alice.toward)-1].GetSubmit().GetRequest()
			alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: stale}})
			alice.disconnect()
			alice.connect(s)
			alice.settle()
			alice.tick(2_000)
			alice.settle()
			bob.settle()
			equalList(t, "bob sees", bob.texts(team), "m0", "m1", "one", "two")
			equalList(t, "alice sees", alice.texts(team), "m0", "m1", "one", "two")
			equal(t, "alice's outbox has", len(alice.replica.Outbox()), 0)
			if _, reports := noteOf[replica.HistoryChanged](alice); reports > 0 {
				t.Fatalf("reported rewritten history %d times, where nothing was rewritten", reports)
			}
		})
	}
}

// An answer for another conversation is a stray: the submission waits for its own.
func TestAnswerOfAnotherConversation(t *testing.T) {
	s, alice, bob := world(t)
	s.create("crew", "alice", "bob")
	talk(s, alice, bob, 1)
	id := alice.say(team, "two")
	request := alice.toward[len(alice.toward)-1].GetSubmit().GetRequest()
	h := s.logs["crew"]
	alice.receive(answerOf(request, tidemark.ConversationID("crew"), h, h.events[0], true))
	equal(t, "the submission is", alice.replica.OutgoingState(id), replica.Sent)
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), "m0", "two")
}

// A submission that was stored before its user left, in a conversation that this device never heard of, is settled, and does
// not make it one of the user's.
func TestAnsweredWhereTheUserIsNoMember(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 1)
	id := alice.say("left", "hello")
	for alice.upload() {
	}
	refused := alice.session.out[len(alice.session.out)-1].GetError()
	equal(t, "refused", refused.GetReason(), wire.Reason_NOT_MEMBER)
	alice.session.out = []*wire.ServerFrame{{Frame: &wire.ServerFrame_Submitted{Submitted: &wire.Submitted{
		Request: refused.Request, Conversation: "left", Seq: 2, Id: 1, Partition: s.logs[team].partition, Position: 1, Duplicate: true,
	}}}}
	alice.settle()
	equal(t, "outbox", len(alice.replica.Outbox()), 0)
	equal(t, "conversation", alice.replica.Conversation("left"), nil)
	told, _ := noteOf[replica.OutgoingChanged](alice)
	equal(t, "told", told, replica.OutgoingChanged{Conversation: "left", ClientID: id, State: replica.Stored, Seq: 2})
}

// A submission that the server has already, as a scheduled message which moved no read mark, moves none.
func TestAnsweredAsAScheduledMessage(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	s.position[s.logs[team].partition]++
	s.append(team, "alice", "later", text2body("later"))
	alice.settle()
	alice.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.Submit(v, alice.nowMs, team, "", "later", text2body("later"))
	})
	alice.settle()
	equal(t, "outbox", len(alice.replica.Outbox()), 0)
	equal(t, "read", alice.replica.Conversation(team).Self.ReadSeq, 0)
	equal(t, "unread", alice.replica.Conversation(team).Unread, s.summary(team, "alice").GetUnread())
	sameAsNew(t, s, alice)
}
