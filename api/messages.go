// SPDX-License-Identifier: Apache-2.0

// MessageService: writing into logs and reading them.

package api

import (
	"context"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// messageService implements [wireconnect.MessageServiceHandler].
type messageService struct{ *API }

// Submit appends what the caller writes.
func (s *messageService) Submit(ctx context.Context, request *wire.SubmitRequest) (*wire.Submitted, error) {
	who := caller(ctx)
	conversation, err := s.target(who, request)
	if err != nil {
		return nil, err
	}
	command := &core.Submit{
		Actor: actorOf(who), Conversation: conversation, ClientID: tidemark.ClientID(request.GetClientId()),
		Message: request.GetMessage(), Edit: request.GetEdit(), Recall: request.GetRecall(),
		Reaction: request.GetReaction(), Pin: request.GetPin(), Seen: request.GetSeen(),
	}
	reply, err := s.do(ctx, command)
	if err != nil {
		return nil, err
	}
	return s.submitted(conversation, reply), nil
}

// target is the conversation that a submission names, directly or by the other user.
func (s *messageService) target(who gateway.Identity, request *wire.SubmitRequest) (tidemark.ConversationID, error) {
	conversation, to := tidemark.ConversationID(request.GetConversation()), tidemark.UserID(request.GetToUser())
	self := who.User
	if self == "" {
		self = tidemark.SystemUser
	}
	switch {
	case (conversation == "") == (to == ""):
		return "", tidemark.Refuse(tidemark.BadArgument, "give conversation or toUser, one of them")
	case to == self:
		return "", tidemark.Refuse(tidemark.BadArgument, "toUser is %q, who is writing: a direct conversation has two users", to)
	case to != "" && !to.Valid():
		return "", tidemark.Refuse(tidemark.BadArgument, "toUser %q cannot be a user id: use %s", to, tidemark.IDAlphabet)
	case to != "":
		conversation = tidemark.Direct(self, to)
	}
	return conversation, nil
}

// submitted is the answer to an appended event.
func (a *API) submitted(conversation tidemark.ConversationID, reply core.Reply) *wire.Submitted {
	answer := &wire.Submitted{
		Conversation: string(conversation), Seq: uint64(reply.Seq), Id: uint64(reply.ID), TimeMs: reply.TimeMs,
		Partition: a.config.Set.Of(conversation).Number(), Position: uint64(reply.Position),
		Duplicate: reply.Duplicate, Counted: reply.Counted,
	}
	if !reply.Transient {
		answer.Digest, answer.Salt = reply.Digest[:], reply.Salt[:]
		answer.Seal = a.config.Set.SealBytes(conversation, reply.Seq, reply.Digest)
	}
	return answer
}

// Fetch answers a page of history.
func (s *messageService) Fetch(ctx context.Context, request *wire.FetchRequest) (*wire.Fetched, error) {
	fetch := &wire.Fetch{Conversation: request.GetConversation(), Limit: request.GetLimit(), Thread: request.GetThread()}
	switch from := request.GetFrom().(type) {
	case *wire.FetchRequest_After:
		fetch.From = &wire.Fetch_After{After: from.After}
	case *wire.FetchRequest_Before:
		fetch.From = &wire.Fetch_Before{Before: from.Before}
	case *wire.FetchRequest_At:
		fetch.From = &wire.Fetch_At{At: from.At}
	case *wire.FetchRequest_Hour:
		fetch.From = &wire.Fetch_Hour{Hour: from.Hour}
	case *wire.FetchRequest_Latest:
		fetch.From = &wire.Fetch_Latest{Latest: from.Latest}
	}
	return s.config.Set.Fetch(caller(ctx).User, fetch)
}

const hourMs = 3600 * 1000

// hoursMax is the greatest page of the hour index, and the default.
const hoursMax = 500

// Hours pages through the hour index, cut to what the caller may see.
func (s *messageService) Hours(ctx context.Context, request *wire.HoursRequest) (*wire.HoursResponse, error) {
	sight, err := s.config.Set.See(caller(ctx).User, tidemark.ConversationID(request.GetConversation()))
	if err != nil {
		return nil, err
	}
	answer := &wire.HoursResponse{}
	if sight.Floor >= sight.Head.Seq {
		return answer, nil
	}
	from := uint32(0)
	if after := request.GetAfterMs(); after > 0 {
		from = uint32(min(after/hourMs, 1<<32-2)) + 1
	}
	if sight.Floor > 0 { // the hour of the first event that is visible
		events, err := sight.Partition.Events(sight.Info.Ordinal, sight.Floor+1, sight.Floor+1, 1, 0, false)
		if err != nil {
			return nil, err
		}
		if len(events) == 1 {
			from = max(from, uint32(events[0].TimeMs/hourMs))
		}
	}
	limit := pageSize(request.GetLimit(), hoursMax, hoursMax)
	rows, err := sight.Partition.Hours(sight.Info.Ordinal, from, limit+1)
	if err != nil {
		return nil, err
	}
	if len(rows) > limit {
		rows, answer.HasMore = rows[:limit], true
	}
	for _, row := range rows {
		if hour := visibleHour(row, sight); hour != nil {
			answer.Hours = append(answer.Hours, hour)
		}
	}
	return answer, nil
}

// visibleHour is the part of an hour that may be seen, nil if none.
func visibleHour(row record.Hour, sight *partition.Sight) *wire.Hour {
	first, last := max(row.First, sight.Floor+1), row.First+tidemark.Seq(row.Count)-1
	digest := row.Digest
	if last > sight.Head.Seq { // the row is newer than the head we go by
		last, digest = sight.Head.Seq, sight.Head.Digest
	}
	if first > last {
		return nil
	}
	return &wire.Hour{HourMs: uint64(row.Hour) * hourMs, FirstSeq: uint64(first), Count: uint32(last - first + 1), Digest: digest[:]}
}

// Read moves the caller's read mark.
func (s *messageService) Read(ctx context.Context, request *wire.ReadRequest) (*wire.ReadResponse, error) {
	who := caller(ctx)
	conversation := tidemark.ConversationID(request.GetConversation())
	reply, err := s.do(ctx, &core.Read{User: who.User, Conversation: conversation, Seq: tidemark.Seq(request.GetSeq())})
	if err != nil {
		return nil, err
	}
	p := s.config.Set.Of(conversation)
	info, err := p.Info(conversation)
	if err != nil {
		return nil, err
	}
	unread, mentions, err := p.Counts(info.Ordinal, who.User)
	if err != nil {
		return nil, err
	}
	return &wire.ReadResponse{ReadSeq: uint64(reply.ReadSeq), Unread: unread, Mentions: mentions}, nil
}

// Erase drops salt and body of a message.
func (s *messageService) Erase(ctx context.Context, request *wire.EraseRequest) (*wire.Submitted, error) {
	conversation := tidemark.ConversationID(request.GetConversation())
	reply, err := s.do(ctx, &core.Erase{Actor: actorOf(caller(ctx)), Conversation: conversation, Seq: tidemark.Seq(request.GetSeq())})
	if err != nil {
		return nil, err
	}
	return s.submitted(conversation, reply), nil
}
