// SPDX-License-Identifier: Apache-2.0

// What waits for a user (counts over all conversations, messages that mention the user), and who has read what.

package api

import (
	"context"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const mentionsNormal, mentionsMax = 50, 500

// Badge answers the caller's counts over all conversations.
func (s *conversationService) Badge(ctx context.Context, _ *wire.BadgeRequest) (*wire.BadgeResponse, error) {
	badge, err := s.config.Set.Badge(caller(ctx).User)
	if err != nil {
		return nil, err
	}
	return &wire.BadgeResponse{Unread: badge.Unread, Mentions: badge.Mentions, Conversations: badge.Conversations}, nil
}

// Mentions pages through the messages that mention the caller.
func (s *messageService) Mentions(ctx context.Context, request *wire.MentionsRequest) (*wire.MentionsResponse, error) {
	numbers, err := readToken(mentionsToken, request.GetPageToken(), 4)
	if err != nil {
		return nil, err
	}
	var after *partition.Place
	if request.GetPageToken() != "" {
		after = &partition.Place{
			TimeMs: numbers[0], Partition: uint32(numbers[1]), Conversation: record.Conversation(numbers[2]), Seq: tidemark.Seq(numbers[3]),
		}
	}
	page, err := s.config.Set.Mentions(caller(ctx).User, tidemark.ConversationID(request.GetConversation()), request.GetUnread(),
		after, pageSize(request.GetPageSize(), mentionsNormal, mentionsMax))
	if err != nil {
		return nil, err
	}
	answer := &wire.MentionsResponse{}
	for _, m := range page.Mentions {
		answer.Mentions = append(answer.Mentions, &wire.Mention{Conversation: string(m.Conversation), Event: m.Event})
	}
	if at := page.Next; at != nil {
		answer.NextPageToken = pageToken(mentionsToken, at.TimeMs, uint64(at.Partition), uint64(at.Conversation), uint64(at.Seq))
	}
	return answer, nil
}

const receiptsNormal, receiptsMax = 100, 1000

// Receipts answers how many have received and read a message, and pages through those who have, or have not.
func (s *messageService) Receipts(ctx context.Context, request *wire.ReceiptsRequest) (*wire.ReceiptsResponse, error) {
	mark := request.GetMark()
	if _, known := wire.Mark_name[int32(mark)]; !known {
		return nil, tidemark.Refuse(tidemark.BadArgument, "mark %d is none; use READ or DELIVERED", mark)
	}
	numbers, err := readToken(receiptsToken, request.GetPageToken(), 4)
	if err != nil {
		return nil, err
	}
	ask := partition.ReceiptsAsk{
		Received: mark == wire.Mark_DELIVERED, Missing: request.GetMissing(),
		Limit: pageSize(request.GetPageSize(), receiptsNormal, receiptsMax),
	}
	which := uint64(0) // names of another list go on elsewhere
	if ask.Received {
		which |= 1
	}
	if ask.Missing {
		which |= 2
	}
	if request.GetPageToken() != "" {
		if numbers[0] != request.GetSeq() || numbers[1] != which {
			return nil, badToken(request.GetPageToken())
		}
		ask.After = &partition.ReceiptPlace{High: numbers[2], Low: numbers[3]}
	}
	conversation, seq := tidemark.ConversationID(request.GetConversation()), tidemark.Seq(request.GetSeq())
	receipts, err := s.config.Set.Receipts(caller(ctx).User, conversation, seq, ask)
	if err != nil {
		return nil, err
	}
	answer := &wire.ReceiptsResponse{
		Seq: request.GetSeq(), Members: receipts.Members, Delivered: receipts.Delivered, Read: receipts.Read,
	}
	for _, user := range receipts.Users {
		answer.Users = append(answer.Users, string(user))
	}
	if at := receipts.Next; at != nil {
		answer.NextPageToken = pageToken(receiptsToken, request.GetSeq(), which, at.High, at.Low)
	}
	return answer, nil
}
