// SPDX-License-Identifier: Apache-2.0

// Joining and leaving on one's own, and the requests of those who may not join without being let in.
//
// A request is no event: who asks is no member yet, and how many ask concerns only those who answer. Their own records
// change with it, so that their devices hear the number.

package core

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// requestsMax bounds the users who wait for an answer in one conversation.
const requestsMax = 1000

// handleJoin adds the asking user to a conversation that is open, or writes down that the user asks to be let in.
func (t *turn) handleJoin(cmd *Join) Reply {
	if err := t.arrive(cmd.Actor, cmd.Conversation, "joins"); err != nil {
		return Reply{Err: err}
	}
	if t.member != nil && t.info.Kind != record.Direct && t.info.Kind != record.Room {
		return t.unchanged()
	}
	if err := t.may(ToJoin); err != nil {
		return Reply{Err: err}
	}
	if joinPolicy(t.info) == wire.JoinPolicy_REQUEST {
		return t.askToJoin(cmd.Text)
	}
	if err := t.canAdmit([]tidemark.UserID{t.writer}); err != nil {
		return Reply{Err: err}
	}
	return t.changeMembers(&wire.Members{Added: []string{string(t.writer)}})
}

// arrive sets who asks and where, for those who may be no members. The system neither joins nor leaves.
func (t *turn) arrive(actor Actor, id tidemark.ConversationID, verb string) *tidemark.Error {
	if err := t.identify(actor); err != nil {
		return err
	}
	if t.full {
		return tidemark.Refuse(tidemark.BadArgument, "the system is nowhere a member: name the user who %s", verb)
	}
	found, err := t.find(id)
	switch {
	case err == nil && !found:
		return unknown(id)
	case err == nil && t.info.Kind == record.Direct:
		return t.needMember()
	}
	return err
}

// askToJoin keeps a request to join. Asking again replaces the text and keeps the time, and with it the place in the queue.
func (t *turn) askToJoin(text string) Reply {
	if err := checkText("text", text, t.limits.TitleBytesMax); err != nil {
		return Reply{Err: err}
	}
	u := t.ordinal(t.writer)
	request := record.JoinRequest{TimeMs: t.env.NowMs, Text: text}
	switch old := t.view.JoinRequest(t.info.Ordinal, u); {
	case old != nil && old.Text == text:
		return Reply{Requested: true}
	case old != nil:
		request.TimeMs = old.TimeMs
	case t.info.Requests >= requestsMax:
		return refuse(tidemark.TooMany, "%d users wait for an answer in %s already: ask again when some of them have got theirs",
			t.info.Requests, t.info.ID)
	default:
		t.ownInfo().Requests++
		t.index(t.named(u), false)
		t.requestsChanged = true
	}
	t.out.Requests = append(t.out.Requests, record.RequestChange{Conversation: t.info.Ordinal, User: u, Request: &request})
	return Reply{Requested: true, Position: t.env.Position}
}

// clearRequest takes a user's request to join away, if there is one.
func (t *turn) clearRequest(u record.User) (was bool) {
	if t.info.Requests == 0 || t.view.JoinRequest(t.info.Ordinal, u) == nil {
		return false
	}
	if slices.ContainsFunc(t.out.Requests, func(c record.RequestChange) bool { return c.User == u }) {
		return false
	}
	t.out.Requests = append(t.out.Requests, record.RequestChange{Conversation: t.info.Ordinal, User: u, Removed: true})
	t.ownInfo().Requests--
	t.index(t.named(u), true)
	t.requestsChanged = true
	return true
}

// handleAnswerJoin lets in or turns away those of the users who have asked to join; the others are passed over. Who is
// let in comes by one event. Who is turned away is told nothing, and may ask again.
func (t *turn) handleAnswerJoin(cmd *AnswerJoin) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToAnswerJoin); err != nil {
		return Reply{Err: err}
	}
	named, err := distinct(cmd.Users)
	if err != nil {
		return Reply{Err: err}
	}
	named = slices.DeleteFunc(named, func(id tidemark.UserID) bool {
		u, met := t.view.User(id)
		return !met || t.view.JoinRequest(t.info.Ordinal, u) == nil
	})
	if len(named) == 0 {
		return t.unchanged()
	}
	if !cmd.Accept {
		for _, id := range named {
			t.clearRequest(t.ordinal(id))
		}
		reply := t.unchanged()
		reply.Position = t.env.Position
		return reply
	}
	if err := t.canAdmit(named); err != nil {
		return Reply{Err: err}
	}
	return t.changeMembers(&wire.Members{Added: texts(named)})
}

// handleLeave removes the asking user, or takes the user's request to join back. Who has left already gets the event
// that removed them once more.
func (t *turn) handleLeave(cmd *Leave) Reply {
	if err := t.arrive(cmd.Actor, cmd.Conversation, "leaves"); err != nil {
		return Reply{Err: err}
	}
	if t.member == nil && t.user != 0 {
		if t.clearRequest(t.user) {
			return Reply{Position: t.env.Position}
		}
		if m := t.view.Member(t.info.Ordinal, t.user); m != nil && m.LeftSeq > 0 {
			return Reply{Seq: m.LeftSeq, Duplicate: true}
		}
	}
	if m := t.memberOf(t.user); t.member == nil && t.info.Kind == record.Room && m.Active() {
		t.member = m // an invitation is given back also by who is not in the room
	}
	if err := t.may(ToLeave); err != nil {
		return Reply{Err: err}
	}
	if t.info.Kind == record.Room && !t.memberOf(t.user).Active() {
		return refuse(tidemark.NotAllowed, "%s was given nothing in the room %s: the connection that is in it leaves it", t.writer, t.info.ID)
	}
	alone := t.head.Members == 1 || t.info.DissolvedSeq > 0
	if t.member.Role == owner && !alone && len(t.owners(t.user)) == 0 {
		return refuse(tidemark.NotAllowed, "%s owns %s: transfer it to another member first, or dissolve it",
			t.writer, t.info.ID)
	}
	return t.changeMembers(&wire.Members{Removed: []string{string(t.writer)}})
}
