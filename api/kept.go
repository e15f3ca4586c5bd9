// SPDX-License-Identifier: Apache-2.0

// MessageService: who reacted, what is pinned, and what a user deletes for itself.

package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const reactionsNormal, reactionsMax = 100, 1000

// Reactions pages through who reacted to a message that the caller sees.
func (s *messageService) Reactions(ctx context.Context, request *wire.ReactionsRequest) (*wire.ReactionsResponse, error) {
	sight, err := s.config.Set.See(caller(ctx).User, tidemark.ConversationID(request.GetConversation()))
	if err != nil {
		return nil, err
	}
	seq := tidemark.Seq(request.GetSeq())
	event, err := sight.Event(seq)
	if err != nil {
		return nil, err
	}
	if event == nil || event.GetHidden() {
		return nil, tidemark.Refuse(tidemark.UnknownEvent, "%s has no event %d", sight.Info.ID, seq)
	}
	after := partition.ReactionRow{Key: request.GetKey()}
	if token := request.GetPageToken(); token != "" {
		if after, err = readReactionsToken(token, seq, request.GetKey()); err != nil {
			return nil, err
		}
	}
	size := pageSize(request.GetPageSize(), reactionsNormal, reactionsMax)
	rows, err := sight.Partition.Reactions(sight.Info.Ordinal, seq, after, request.GetKey() != "", size+1)
	if err != nil {
		return nil, err
	}
	answer := &wire.ReactionsResponse{}
	if len(rows) > size {
		rows = rows[:size]
		last := rows[size-1]
		answer.NextPageToken = reactionsPageToken(seq, last)
	}
	for _, row := range rows {
		answer.Users = append(answer.Users, &wire.ReactionUser{Key: row.Key, User: string(row.User)})
	}
	return answer, nil
}

// reactionsPageToken says after which row of which event the next page begins.
func reactionsPageToken(seq tidemark.Seq, row partition.ReactionRow) string {
	data := binary.AppendUvarint([]byte{byte(reactionsToken)}, uint64(seq))
	data = binary.AppendUvarint(data, uint64(row.Ordinal))
	return base64.RawURLEncoding.EncodeToString(append(data, row.Key...))
}

// readReactionsToken refuses a token of another event or, if one key was asked for, of another key.
func readReactionsToken(token string, seq tidemark.Seq, key string) (after partition.ReactionRow, err error) {
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) == 0 || data[0] != byte(reactionsToken) {
		return after, badToken(token)
	}
	of, n := binary.Uvarint(data[1:])
	if n <= 0 || of != uint64(seq) {
		return after, badToken(token)
	}
	data = data[1+n:]
	ordinal, n := binary.Uvarint(data)
	if n <= 0 || ordinal >= 1<<32-1 || len(data[n:]) > 255 || key != "" && key != string(data[n:]) {
		return after, badToken(token)
	}
	return partition.ReactionRow{Key: string(data[n:]), Ordinal: record.User(ordinal)}, nil
}

// Pins answers the pinned messages that the caller sees.
func (s *messageService) Pins(ctx context.Context, request *wire.PinsRequest) (*wire.PinsResponse, error) {
	events, err := s.config.Set.Pins(caller(ctx).User, tidemark.ConversationID(request.GetConversation()))
	if err != nil {
		return nil, err
	}
	return &wire.PinsResponse{Events: events}, nil
}

// Delete deletes messages for the caller alone.
func (s *messageService) Delete(ctx context.Context, request *wire.DeleteRequest) (*wire.DeleteResponse, error) {
	command := &core.Delete{User: caller(ctx).User, Conversation: tidemark.ConversationID(request.GetConversation())}
	for _, seq := range request.GetSeqs() {
		command.Seqs = append(command.Seqs, tidemark.Seq(seq))
	}
	reply, err := s.do(ctx, command)
	if err != nil {
		return nil, err
	}
	return &wire.DeleteResponse{Self: ownRecord(reply)}, nil
}

// Clear deletes the history up to a seq for the caller alone.
func (s *messageService) Clear(ctx context.Context, request *wire.ClearRequest) (*wire.ClearResponse, error) {
	reply, err := s.do(ctx, &core.Clear{
		User: caller(ctx).User, Conversation: tidemark.ConversationID(request.GetConversation()), Seq: tidemark.Seq(request.GetSeq()),
	})
	if err != nil {
		return nil, err
	}
	return &wire.ClearResponse{Self: ownRecord(reply)}, nil
}
