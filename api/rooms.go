// SPDX-License-Identifier: Apache-2.0

// Rooms over HTTP: their attributes, and who is in one.

package api

import (
	"context"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// SetAttributes sets and removes attributes of a room.
func (s *conversationService) SetAttributes(ctx context.Context, request *wire.SetAttributesRequest) (*wire.SetAttributesResponse, error) {
	id := tidemark.ConversationID(request.GetConversation())
	_, err := s.do(ctx, &core.SetAttributes{
		Actor: actorOf(caller(ctx)), Conversation: id, Set: request.GetSet(), AutoDelete: request.GetAutoDelete(),
	})
	if err != nil {
		return nil, err
	}
	info, err := s.infoOf(id)
	if err != nil {
		return nil, err
	}
	return &wire.SetAttributesResponse{Attributes: info.GetAttributes()}, nil
}

// listInRoom is a page of those who are in a room, by user id.
func listInRoom(sight *partition.Sight, request *wire.ListMembersRequest) (*wire.ListMembersResponse, error) {
	after, err := readTextToken(inRoomToken, request.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(request.GetPageSize(), membersNormal, membersMax)
	users := sight.Partition.UsersInRoom(sight.Info.Ordinal, tidemark.UserID(after), size)
	answer := &wire.ListMembersResponse{}
	for _, user := range users {
		m, err := sight.Partition.RoomMember(sight.Info.Ordinal, user)
		if err != nil {
			return nil, err
		}
		if m == nil {
			m = &record.Member{Role: record.MemberRole} // has just left
		}
		answer.Members = append(answer.Members, &wire.Member{
			User: string(user), Role: wire.Role(m.Role), JoinedSeq: uint64(m.JoinedSeq), SilencedUntilMs: m.SilencedUntilMs,
		})
	}
	if len(users) == size {
		answer.NextPageToken = textToken(inRoomToken, string(users[size-1]))
	}
	return answer, nil
}
