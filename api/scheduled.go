// SPDX-License-Identifier: Apache-2.0

// Scheduled messages.

package api

import (
	"context"
	"fmt"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const scheduledNormal, scheduledMax = 100, 500

// Schedule keeps a message of the caller until its time.
func (s *messageService) Schedule(ctx context.Context, request *wire.ScheduleRequest) (*wire.ScheduleResponse, error) {
	who := caller(ctx)
	conversation, err := s.target(who, &wire.SubmitRequest{Conversation: request.GetConversation(), ToUser: request.GetToUser()})
	if err != nil {
		return nil, err
	}
	submit := &core.Submit{
		Actor: actorOf(who), Conversation: conversation, ClientID: tidemark.ClientID(request.GetClientId()), Message: request.GetMessage(),
	}
	reply, err := s.do(ctx, &core.Schedule{Submit: submit, AtMs: request.GetAtMs()})
	if err != nil {
		return nil, err
	}
	scheduled, err := wireScheduled(conversation, submit.ClientID, reply.Scheduled)
	return &wire.ScheduleResponse{Scheduled: scheduled}, err
}

// Unschedule takes a message of the caller back.
func (s *messageService) Unschedule(ctx context.Context, request *wire.UnscheduleRequest) (*wire.UnscheduleResponse, error) {
	_, err := s.do(ctx, &core.Unschedule{
		Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation()),
		ClientID: tidemark.ClientID(request.GetClientId()),
	})
	if err != nil {
		return nil, err
	}
	return &wire.UnscheduleResponse{}, nil
}

// Scheduled pages through the caller's messages that wait, or could not be submitted.
func (s *messageService) Scheduled(ctx context.Context, request *wire.ScheduledRequest) (*wire.ScheduledResponse, error) {
	token, err := readTextToken(scheduledToken, request.GetPageToken())
	if err != nil {
		return nil, err
	}
	var after *partition.ScheduledPlace
	if token != "" {
		number, rest, _ := strings.Cut(token, " ")
		ordinal, id, _ := strings.Cut(rest, " ")
		after = &partition.ScheduledPlace{ClientID: tidemark.ClientID(id)}
		if _, err := fmt.Sscan(number+" "+ordinal, &after.Partition, &after.Conversation); err != nil {
			return nil, badToken(request.GetPageToken())
		}
	}
	page, more, err := s.config.Set.ScheduledOf(caller(ctx).User, tidemark.ConversationID(request.GetConversation()), after,
		pageSize(request.GetPageSize(), scheduledNormal, scheduledMax))
	if err != nil {
		return nil, err
	}
	answer := &wire.ScheduledResponse{}
	for _, m := range page {
		scheduled, err := wireScheduled(m.In, m.ID, m.Scheduled)
		if err != nil {
			return nil, err
		}
		answer.Scheduled = append(answer.Scheduled, scheduled)
		if more {
			answer.NextPageToken = textToken(scheduledToken, fmt.Sprint(m.Partition, " ", m.Conversation, " ", m.ClientID))
		}
	}
	return answer, nil
}

// wireScheduled is a scheduled message as it goes over the wire.
func wireScheduled(in tidemark.ConversationID, id tidemark.ClientID, s *record.Scheduled) (*wire.ScheduledMessage, error) {
	var body wire.Body
	if err := body.UnmarshalVT(s.Body); err != nil {
		return nil, fmt.Errorf("api: scheduled message %s of %s: %w", id, in, err)
	}
	m := &wire.ScheduledMessage{
		Conversation: string(in), ClientId: string(id), Message: body.GetMessage(), AtMs: s.DueMs, CreatedMs: s.CreatedMs,
	}
	if s.Reason != "" {
		m.Failed = &wire.Error{Reason: wire.Reason(wire.Reason_value[s.Reason]), Message: s.Message}
		m.Failed.Code = tidemark.Reason(m.Failed.Reason).Info().Code
	}
	return m, nil
}
