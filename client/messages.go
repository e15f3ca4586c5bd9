// SPDX-License-Identifier: Apache-2.0

// What can be done with messages besides sending: threads, receipts, mentions, pins, deleting for oneself, sending later. By
// the HTTP API, but for what is sent itself (Reply, Answer, Forward): that goes through the outbox.

package client

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Reply sends a text that refers to a message. See [Client.Send].
func (c *Client) Reply(ctx context.Context, in tidemark.ConversationID, to tidemark.Seq, text string) (tidemark.ClientID, error) {
	m := textMessage(text)
	m.ReplyTo = uint64(to)
	return c.SendMessage(ctx, in, m)
}

// Answer sends a text into the thread that begins at a message. See [Client.Send].
func (c *Client) Answer(ctx context.Context, in tidemark.ConversationID, root tidemark.Seq, text string) (tidemark.ClientID, error) {
	m := textMessage(text)
	m.Thread = uint64(root)
	return c.SendMessage(ctx, in, m)
}

// Forward sends the content of a stored message to another conversation, with where it comes from; the server checks that.
// It refuses with UNKNOWN_EVENT when there is nothing of it here to forward.
func (c *Client) Forward(ctx context.Context, from tidemark.ConversationID, seq tidemark.Seq, to tidemark.ConversationID) (tidemark.ClientID, error) {
	list, err := c.Messages(from, seq, seq)
	if err != nil {
		return "", err
	}
	if len(list) == 0 || list[0].Content == nil {
		return "", tidemark.Refuse(tidemark.UnknownEvent, "event %d of %s is no message that can be forwarded: read it first", seq, from)
	}
	content := proto.CloneOf(list[0].Content)
	return c.SendMessage(ctx, to, &wire.Message{
		Type: content.Type, Text: content.Text, Data: content.Data,
		Forwarded: &wire.Forwarded{
			Conversation: string(from), Seq: uint64(seq), Sender: string(list[0].Sender), TimeMs: list[0].TimeMs,
		},
	})
}

// Thread is a page of the answers in a thread, oldest first: those after a seq. more says that there are further ones.
func (c *Client) Thread(ctx context.Context, in tidemark.ConversationID, root, after tidemark.Seq, limit int) (events []*wire.Event, more bool, err error) {
	answer, err := c.calls.messages.Fetch(ctx, &wire.FetchRequest{
		Conversation: string(in), Thread: uint64(root), From: &wire.FetchRequest_After{After: uint64(after)}, Limit: uint32(max(limit, 0)),
	})
	return answer.GetEvents(), answer.GetHasMore(), refused(err)
}

// Receipts says how many members have a message, and names a page of them: r.Conversation and r.Seq say which.
func (c *Client) Receipts(ctx context.Context, r *wire.ReceiptsRequest) (*wire.ReceiptsResponse, error) {
	answer, err := c.calls.messages.Receipts(ctx, r)
	return answer, refused(err)
}

// Mentions is a page of the messages that mention the user, newest first, in one or all conversations.
func (c *Client) Mentions(ctx context.Context, r *wire.MentionsRequest) (*wire.MentionsResponse, error) {
	answer, err := c.calls.messages.Mentions(ctx, r)
	return answer, refused(err)
}

// Reactions is a page of who reacted to a message.
func (c *Client) Reactions(ctx context.Context, r *wire.ReactionsRequest) (*wire.ReactionsResponse, error) {
	answer, err := c.calls.messages.Reactions(ctx, r)
	return answer, refused(err)
}

// Pins are the pinned messages of a conversation, the last pinned first.
func (c *Client) Pins(ctx context.Context, in tidemark.ConversationID) ([]*wire.Event, error) {
	answer, err := c.calls.messages.Pins(ctx, &wire.PinsRequest{Conversation: string(in)})
	return answer.GetEvents(), refused(err)
}

// Delete deletes messages for the user alone, on all its devices; others keep them. At most 1,000 at once and 10,000 of a
// conversation (TOO_MANY); [Client.Clear] has no limit. This device drops their content when it hears of it by synchronisation.
func (c *Client) Delete(ctx context.Context, in tidemark.ConversationID, seqs ...tidemark.Seq) error {
	r := &wire.DeleteRequest{Conversation: string(in)}
	for _, seq := range seqs {
		r.Seqs = append(r.Seqs, uint64(seq))
	}
	_, err := c.calls.messages.Delete(ctx, r)
	return refused(err)
}

// Clear deletes the history up to a seq (0: all) for the user alone, on all its devices.
func (c *Client) Clear(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq) error {
	_, err := c.calls.messages.Clear(ctx, &wire.ClearRequest{Conversation: string(in), Seq: uint64(seq)})
	return refused(err)
}

// Draft keeps what the user has begun to write, for all its devices; an empty text: nothing any more.
func (c *Client) Draft(ctx context.Context, in tidemark.ConversationID, text string, replyTo tidemark.Seq) error {
	return c.Settings(ctx, &wire.SettingsRequest{Conversation: string(in), Draft: &wire.Draft{Text: text, ReplyTo: uint64(replyTo)}})
}

// Schedule gives the server a message to submit at a time, once, whether or not this device is there then. The client id
// names it: [Client.Unschedule] takes it back, and scheduling again under the same one changes it.
func (c *Client) Schedule(
	ctx context.Context, in tidemark.ConversationID, m *wire.Message, at time.Time, id tidemark.ClientID,
) (*wire.ScheduledMessage, error) {
	answer, err := c.calls.messages.Schedule(ctx, &wire.ScheduleRequest{
		ClientId: string(id), Conversation: string(in), Message: m, AtMs: uint64(max(at.UnixMilli(), 0)),
	})
	return answer.GetScheduled(), refused(err)
}

// Unschedule takes a scheduled message back.
func (c *Client) Unschedule(ctx context.Context, in tidemark.ConversationID, id tidemark.ClientID) error {
	_, err := c.calls.messages.Unschedule(ctx, &wire.UnscheduleRequest{Conversation: string(in), ClientId: string(id)})
	return refused(err)
}

// Scheduled are the user's messages that wait for their time, or could not be submitted, in one or all (empty)
// conversations. One request for each page of 100.
func (c *Client) Scheduled(ctx context.Context, in tidemark.ConversationID) (list []*wire.ScheduledMessage, err error) {
	for token := ""; ; {
		page, err := c.calls.messages.Scheduled(ctx, &wire.ScheduledRequest{Conversation: string(in), PageToken: token})
		if err != nil {
			return nil, refused(err)
		}
		list = append(list, page.Scheduled...)
		if token = page.NextPageToken; token == "" {
			return list, nil
		}
	}
}
