// SPDX-License-Identifier: Apache-2.0

// Contacts: the state of direct conversations. The list is on the device and works offline; changes go by the HTTP API and
// come to all devices of both users by synchronisation.

package client

import (
	"cmp"
	"context"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// Contacts are all users to whom the user stands in some relation: contacts, requests of either side, blocked users, those
// with a remark. By user id, from what is stored.
func (c *Client) Contacts() []*wire.Contact {
	var list []*Conversation
	var me tidemark.UserID
	c.peek(func(r *replica.Replica) { list, me = r.Conversations(), r.User() })
	var contacts []*wire.Contact
	for _, conversation := range list {
		peer, direct := conversation.ID.Peer(me)
		s := conversation.Self
		if !direct || conversation.Removed || s.GetContact() == wire.ContactState_NO_CONTACT && !s.GetBlocked() && s.GetRemark() == "" {
			continue
		}
		contacts = append(contacts, &wire.Contact{
			User: string(peer), State: s.GetContact(), Remark: s.GetRemark(), Blocked: s.GetBlocked(),
			RequestText: s.GetRequestText(), Conversation: string(conversation.ID),
		})
	}
	slices.SortFunc(contacts, func(a, b *wire.Contact) int { return cmp.Compare(a.User, b.User) })
	return contacts
}

// RequestContact asks a user to become a contact, with a text. Who has asked already becomes one at once.
func (c *Client) RequestContact(ctx context.Context, user tidemark.UserID, text string) (*wire.Contact, error) {
	answer, err := c.calls.contacts.Request(ctx, &wire.ContactRequest{User: string(user), Text: text})
	return answer.GetContact(), refused(err)
}

// AnswerContact accepts or rejects a request.
func (c *Client) AnswerContact(ctx context.Context, user tidemark.UserID, accept bool) (*wire.Contact, error) {
	answer, err := c.calls.contacts.Answer(ctx, &wire.AnswerContactRequest{User: string(user), Accept: accept})
	return answer.GetContact(), refused(err)
}

// RemoveContact ends a contact for both, or takes a request back.
func (c *Client) RemoveContact(ctx context.Context, user tidemark.UserID) error {
	_, err := c.calls.contacts.Remove(ctx, &wire.RemoveContactRequest{User: string(user)})
	return refused(err)
}

// Block keeps a user from writing to the user, or ends that.
func (c *Client) Block(ctx context.Context, user tidemark.UserID, blocked bool) (err error) {
	if blocked {
		_, err = c.calls.contacts.Block(ctx, &wire.BlockRequest{User: string(user)})
	} else {
		_, err = c.calls.contacts.Unblock(ctx, &wire.BlockRequest{User: string(user)})
	}
	return refused(err)
}

// Remark sets the user's own name for another; empty: none.
func (c *Client) Remark(ctx context.Context, user tidemark.UserID, remark string) error {
	_, err := c.calls.contacts.Remark(ctx, &wire.RemarkRequest{User: string(user), Remark: remark})
	return refused(err)
}

// Presence is whether users are online, and when they were last seen, in the order asked; at most 1,000. [Client.Watch]
// tells of changes.
func (c *Client) Presence(ctx context.Context, users ...tidemark.UserID) ([]*wire.Presence, error) {
	answer, err := c.calls.users.Presence(ctx, &wire.PresenceRequest{Users: names(users)})
	return answer.GetUsers(), refused(err)
}

// Options are what the user has chosen for itself, after the fields of r that are present were changed.
func (c *Client) Options(ctx context.Context, r *wire.OptionsRequest) (*wire.UserOptions, error) {
	answer, err := c.calls.users.Options(ctx, r)
	return answer.GetOptions(), refused(err)
}

// Devices are the user's devices.
func (c *Client) Devices(ctx context.Context) ([]*wire.Device, error) {
	answer, err := c.calls.users.Devices(ctx, &wire.DevicesRequest{})
	return answer.GetDevices(), refused(err)
}

// Kick ends the sessions of a device of the user, or of all when it is empty, this one included, and the server forgets it:
// it would synchronise as a new one. With revoke, tokens that were issued until now are refused as well: that device cannot
// connect with them any more, or, when it is empty, nobody can do anything with them. At most 64 devices are revoked one by
// one (TOO_MANY): then revoke all.
func (c *Client) Kick(ctx context.Context, device tidemark.DeviceID, revoke bool) error {
	_, err := c.calls.users.Kick(ctx, &wire.KickRequest{DeviceId: string(device), Revoke: revoke})
	return refused(err)
}
