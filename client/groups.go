// SPDX-License-Identifier: Apache-2.0

// Groups, channels and rooms: roles, requests to join, muting, ending. By the HTTP API; what changes comes to all devices by
// synchronisation.

package client

import (
	"context"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// AskToJoin is [Client.Join] with a text for those who answer. asked says that the user is not in yet: an admin decides.
func (c *Client) AskToJoin(ctx context.Context, in tidemark.ConversationID, text string) (asked bool, err error) {
	answer, err := c.calls.conversations.Join(ctx, &wire.JoinRequest{Conversation: string(in), Text: text})
	return answer.GetRequested(), refused(err)
}

// JoinRequests are the users who have asked to join and wait: for admins and the owner. One request for each page of 100.
func (c *Client) JoinRequests(ctx context.Context, in tidemark.ConversationID) (list []*wire.JoinAsked, err error) {
	for token := ""; ; {
		page, err := c.calls.conversations.JoinRequests(ctx, &wire.JoinRequestsRequest{Conversation: string(in), PageToken: token})
		if err != nil {
			return nil, refused(err)
		}
		list = append(list, page.Requests...)
		if token = page.NextPageToken; token == "" {
			return list, nil
		}
	}
}

// AnswerJoin lets users in who have asked to join, or refuses them.
func (c *Client) AnswerJoin(ctx context.Context, in tidemark.ConversationID, accept bool, users ...tidemark.UserID) error {
	_, err := c.calls.conversations.AnswerJoin(ctx, &wire.AnswerJoinRequest{Conversation: string(in), Users: names(users), Accept: accept})
	return refused(err)
}

// SetRole makes members admins, or members again. For the owner.
func (c *Client) SetRole(ctx context.Context, in tidemark.ConversationID, role wire.Role, users ...tidemark.UserID) error {
	_, err := c.calls.conversations.SetRole(ctx, &wire.SetRoleRequest{Conversation: string(in), Members: names(users), Role: role})
	return refused(err)
}

// Transfer gives the conversation to another member; the user becomes an admin.
func (c *Client) Transfer(ctx context.Context, in tidemark.ConversationID, to tidemark.UserID) error {
	_, err := c.calls.conversations.Transfer(ctx, &wire.TransferRequest{Conversation: string(in), Member: string(to)})
	return refused(err)
}

// Dissolve ends a conversation: nobody writes there any more; what was written stays readable. For the owner.
func (c *Client) Dissolve(ctx context.Context, in tidemark.ConversationID) error {
	_, err := c.calls.conversations.Dissolve(ctx, &wire.DissolveRequest{Conversation: string(in)})
	return refused(err)
}

// Mute keeps members from posting for a time, in steps of a millisecond; 0 lets them post again.
func (c *Client) Mute(ctx context.Context, in tidemark.ConversationID, d time.Duration, users ...tidemark.UserID) error {
	_, err := c.calls.conversations.Mute(ctx, &wire.MuteRequest{Conversation: string(in), Members: names(users), ForMs: uint64(max(d, 0).Milliseconds())})
	return refused(err)
}

// MuteAll keeps everybody of role MEMBER from posting, or lets them post again.
func (c *Client) MuteAll(ctx context.Context, in tidemark.ConversationID, muted bool) error {
	_, err := c.calls.conversations.Mute(ctx, &wire.MuteRequest{Conversation: string(in), All: &muted})
	return refused(err)
}

// SetAttributes sets keys of a room; an empty value removes one. With autoDelete they go when the user has left the room.
// The answer is all attributes.
func (c *Client) SetAttributes(ctx context.Context, room tidemark.ConversationID, set map[string]string, autoDelete bool) ([]*wire.Attribute, error) {
	answer, err := c.calls.conversations.SetAttributes(ctx, &wire.SetAttributesRequest{Conversation: string(room), Set: set, AutoDelete: autoDelete})
	return answer.GetAttributes(), refused(err)
}

// Badge is the number for the app's icon: unread messages and mentions over all conversations, as the server counts.
func (c *Client) Badge(ctx context.Context) (*wire.BadgeResponse, error) {
	answer, err := c.calls.conversations.Badge(ctx, &wire.BadgeRequest{})
	return answer, refused(err)
}
