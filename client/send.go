// SPDX-License-Identifier: Apache-2.0

// Sending: everything goes through the outbox, which survives restarts.

package client

import (
	"context"
	"crypto/rand"
	"errors"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// Send sends a text to a conversation. When it returns, the message is in the outbox on this device's store: it will be at
// the server exactly once, whatever crashes, or be reported as failed. The client id names it in [OutgoingChanged] events.
//
// Messages to one conversation keep their order, at the cost of a round trip each. With Config.Window above 1, up to that
// many are in flight at once; if the server then refuses one for a while, RATE_LIMITED or UNAVAILABLE, and takes a later
// one, the two change places.
func (c *Client) Send(ctx context.Context, to tidemark.ConversationID, text string) (tidemark.ClientID, error) {
	return c.SendMessage(ctx, to, textMessage(text))
}

// SendTo sends a text to a user, in their direct conversation, which need not exist yet. See [Client.Send].
func (c *Client) SendTo(ctx context.Context, user tidemark.UserID, text string) (tidemark.ClientID, error) {
	return c.SendMessageTo(ctx, user, textMessage(text))
}

func textMessage(text string) *wire.Message { return &wire.Message{Type: "text", Text: text} }

// SendMessage sends any message to a conversation. See [Client.Send].
func (c *Client) SendMessage(ctx context.Context, to tidemark.ConversationID, m *wire.Message) (tidemark.ClientID, error) {
	return c.submit(ctx, to, "", &wire.Body{Body: &wire.Body_Message{Message: m}})
}

// SendMessageTo sends any message to a user. See [Client.SendTo].
func (c *Client) SendMessageTo(ctx context.Context, user tidemark.UserID, m *wire.Message) (tidemark.ClientID, error) {
	return c.submit(ctx, "", user, &wire.Body{Body: &wire.Body_Message{Message: m}})
}

// Edit replaces the content of an own message by a text. It goes through the outbox, as do all of the following.
func (c *Client) Edit(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, text string) (tidemark.ClientID, error) {
	return c.EditMessage(ctx, in, seq, textMessage(text))
}

// EditMessage replaces the content of an own message.
func (c *Client) EditMessage(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, m *wire.Message) (tidemark.ClientID, error) {
	return c.submit(ctx, in, "", &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: uint64(seq), Message: m}}})
}

// Recall takes a message back for everybody.
func (c *Client) Recall(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, reason string) (tidemark.ClientID, error) {
	return c.submit(ctx, in, "", &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: uint64(seq), Reason: reason}}})
}

// React reacts to a message with a key, such as an emoji, or takes the reaction back.
func (c *Client) React(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, key string, remove bool) (tidemark.ClientID, error) {
	return c.submit(ctx, in, "", &wire.Body{Body: &wire.Body_Reaction{Reaction: &wire.Reaction{Seq: uint64(seq), Key: key, Removed: remove}}})
}

// Pin pins a message for all members, or takes the pin back.
func (c *Client) Pin(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, remove bool) (tidemark.ClientID, error) {
	return c.submit(ctx, in, "", &wire.Body{Body: &wire.Body_Pin{Pin: &wire.Pin{Seq: uint64(seq), Removed: remove}}})
}

func (c *Client) submit(ctx context.Context, in tidemark.ConversationID, toUser tidemark.UserID, body *wire.Body) (tidemark.ClientID, error) {
	id := tidemark.ClientID(rand.Text())
	err := c.doWithin(ctx, func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
		return r.Submit(v, nowMs, in, toUser, id, body)
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// Outbox is what was sent and not settled, oldest first: queued, on its way, or failed.
func (c *Client) Outbox() (list []Outgoing) {
	c.peek(func(r *replica.Replica) { list = r.Outbox() })
	return list
}

// Pending are the messages of a conversation's outbox, to be shown below the stored ones.
func (c *Client) Pending(in tidemark.ConversationID) (list []Message) {
	c.peek(func(r *replica.Replica) { list = r.Pending(in) })
	return list
}

// Retry queues a failed submission again.
func (c *Client) Retry(ctx context.Context, id tidemark.ClientID) error {
	return c.doWithin(ctx, func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) { return r.Retry(v, nowMs, id) })
}

// Discard removes a failed submission.
func (c *Client) Discard(ctx context.Context, id tidemark.ClientID) error {
	return c.doWithin(ctx, func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) { return r.Discard(v, nowMs, id) })
}

// WaitSent waits until a submission is stored at the server, and returns its place there; or until it failed, and returns
// the server's *tidemark.Error. It knows what is in the outbox and the last answers of this run only.
func (c *Client) WaitSent(ctx context.Context, id tidemark.ClientID) (Message, error) {
	for {
		c.mu.Lock()
		o, known := c.settled[id]
		if known && (o.State == Stored || !c.inOutbox(id, Queued, Sent)) {
			c.mu.Unlock()
			if o.State == Failed {
				return Message{}, o.Failure
			}
			return c.sentMessage(o), nil
		}
		if c.replica != nil && !known { // answered in an earlier run: nothing more will be told of it
			if in, seq, answered := c.replica.Answered(id); answered {
				c.mu.Unlock()
				return c.sentMessage(OutgoingChanged{Conversation: in, ClientID: id, State: Stored, Seq: seq}), nil
			}
		}
		if !c.inOutbox(id, Queued, Sent, Failed) {
			c.mu.Unlock()
			return Message{}, errors.Join(replica.ErrNotInOutbox, c.failure)
		}
		waiter := make(chan struct{})
		c.sends[id] = append(c.sends[id], waiter)
		c.mu.Unlock()
		select {
		case <-waiter:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

// inOutbox reports whether a submission waits in one of the states. The caller holds mu.
func (c *Client) inOutbox(id tidemark.ClientID, states ...MessageState) bool {
	if c.replica == nil {
		return false
	}
	state := c.replica.OutgoingState(id)
	for _, s := range states {
		if s == state {
			return true
		}
	}
	return false
}

// sentMessage is the stored message of an answer; as far as known if its event is not stored here yet.
func (c *Client) sentMessage(o OutgoingChanged) Message {
	m := Message{Conversation: o.Conversation, Seq: o.Seq, ClientID: o.ClientID, Sender: c.User(), State: Stored}
	if list, err := c.Messages(o.Conversation, o.Seq, o.Seq); err == nil && len(list) == 1 && o.Seq > 0 {
		return list[0]
	}
	return m
}
