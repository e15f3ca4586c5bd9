// SPDX-License-Identifier: Apache-2.0

// ConversationService: the life of a group: joining and leaving, roles, silence, requests to join, and its end.

package api

import (
	"context"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Sizes of pages of requests to join.
const requestsNormal, requestsPageMax = 100, 1000

// Join adds the caller, or asks for the caller to be let in.
func (s *conversationService) Join(ctx context.Context, request *wire.JoinRequest) (*wire.MembersResponse, error) {
	return s.changeMembers(ctx, &core.Join{
		Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation()), Text: request.GetText(),
	})
}

// Leave removes the caller, or takes the caller's request to join back.
func (s *conversationService) Leave(ctx context.Context, request *wire.LeaveRequest) (*wire.MembersResponse, error) {
	return s.changeMembers(ctx, &core.Leave{Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation())})
}

// SetRole gives members a role.
func (s *conversationService) SetRole(ctx context.Context, request *wire.SetRoleRequest) (*wire.MembersResponse, error) {
	role, err := roleOf(request.GetRole())
	if err != nil {
		return nil, err
	}
	return s.changeMembers(ctx, &core.SetRole{
		Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation()),
		Members: userIDs(request.GetMembers()), Role: role,
	})
}

// roleOf is a role as the rules know it; not given is 0.
func roleOf(asked wire.Role) (record.Role, error) {
	if _, known := wire.Role_name[int32(asked)]; !known {
		return 0, tidemark.Refuse(tidemark.BadArgument, "role %d is none; use MEMBER, ADMIN or OWNER", asked)
	}
	return record.Role(asked), nil
}

// Transfer gives a conversation to another member.
func (s *conversationService) Transfer(ctx context.Context, request *wire.TransferRequest) (*wire.MembersResponse, error) {
	return s.changeMembers(ctx, &core.Transfer{
		Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation()),
		Member: tidemark.UserID(request.GetMember()),
	})
}

// Mute keeps members from posting, or lets them post again.
func (s *conversationService) Mute(ctx context.Context, request *wire.MuteRequest) (*wire.MuteResponse, error) {
	reply, err := s.do(ctx, &core.Mute{
		Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation()),
		Members: userIDs(request.GetMembers()), ForMs: request.GetForMs(), All: request.All,
	})
	if err != nil {
		return nil, err
	}
	return &wire.MuteResponse{UntilMs: reply.UntilMs}, nil
}

// Dissolve ends a conversation.
func (s *conversationService) Dissolve(ctx context.Context, request *wire.DissolveRequest) (*wire.DissolveResponse, error) {
	reply, err := s.do(ctx, &core.Dissolve{Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation())})
	if err != nil {
		return nil, err
	}
	return &wire.DissolveResponse{HeadSeq: uint64(reply.Seq)}, nil
}

// JoinRequests pages through those who ask to join, in the order in which the partition met them.
func (s *conversationService) JoinRequests(ctx context.Context, request *wire.JoinRequestsRequest) (*wire.JoinRequestsResponse, error) {
	numbers, err := readToken(requestsToken, request.GetPageToken(), 1)
	if err != nil {
		return nil, err
	}
	user := caller(ctx).User
	sight, err := s.config.Set.See(user, tidemark.ConversationID(request.GetConversation()))
	if err != nil {
		return nil, err
	}
	if err := core.May(sight.Info, core.AskerOf(user, sight.Member), core.ToAnswerJoin, s.config.NowMs()); err != nil {
		return nil, err
	}
	size := pageSize(request.GetPageSize(), requestsNormal, requestsPageMax)
	rows, err := sight.Partition.JoinRequests(sight.Info.Ordinal, record.User(numbers[0]), size)
	if err != nil {
		return nil, err
	}
	answer := &wire.JoinRequestsResponse{}
	for _, row := range rows {
		answer.Requests = append(answer.Requests, &wire.JoinAsked{User: string(row.User), Text: row.Request.Text, TimeMs: row.Request.TimeMs})
	}
	if len(rows) == size {
		answer.NextPageToken = pageToken(requestsToken, uint64(rows[size-1].Ordinal))
	}
	return answer, nil
}

// AnswerJoin lets users in who have asked to join, or turns them away.
func (s *conversationService) AnswerJoin(ctx context.Context, request *wire.AnswerJoinRequest) (*wire.MembersResponse, error) {
	if request.GetAccept() {
		if err := s.checkUsers(userIDs(request.GetUsers())...); err != nil { // an account may have been deleted since it asked
			return nil, err
		}
	}
	return s.changeMembers(ctx, &core.AnswerJoin{
		Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation()),
		Users: userIDs(request.GetUsers()), Accept: request.GetAccept(),
	})
}
