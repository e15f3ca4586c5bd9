// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"iter"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Client is one device of one user. All methods are safe for concurrent use; Run may be called once at a time.
type Client struct {
	cfg Config
}

var errTODO = errors.New("client: is being written")

// New opens the device's state from the store. It does not connect: that is [Client.Run].
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg}, nil
}

func (c *Client) Run(ctx context.Context) error                                 { return errTODO }
func (c *Client) State() ConnectionState                                        { return Offline }
func (c *Client) WaitSynced(ctx context.Context) error                          { return errTODO }
func (c *Client) User() tidemark.UserID                                         { return "" }
func (c *Client) Events(ctx context.Context) iter.Seq[Event]                    { return func(func(Event) bool) {} }
func (c *Client) Conversations() []*Conversation                                { return nil }
func (c *Client) Conversation(id tidemark.ConversationID) (*Conversation, bool) { return nil, false }
func (c *Client) Send(ctx context.Context, to tidemark.ConversationID, text string) (tidemark.ClientID, error) {
	return "", errTODO
}
func (c *Client) SendTo(ctx context.Context, user tidemark.UserID, text string) (tidemark.ClientID, error) {
	return "", errTODO
}
func (c *Client) SendMessage(ctx context.Context, to tidemark.ConversationID, m *wire.Message) (tidemark.ClientID, error) {
	return "", errTODO
}
func (c *Client) SendMessageTo(ctx context.Context, user tidemark.UserID, m *wire.Message) (tidemark.ClientID, error) {
	return "", errTODO
}
func (c *Client) Edit(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, text string) (tidemark.ClientID, error) {
	return "", errTODO
}
func (c *Client) EditMessage(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, m *wire.Message) (tidemark.ClientID, error) {
	return "", errTODO
}
func (c *Client) Recall(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, reason string) (tidemark.ClientID, error) {
	return "", errTODO
}
func (c *Client) React(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, key string, remove bool) (tidemark.ClientID, error) {
	return "", errTODO
}
func (c *Client) Pin(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, remove bool) (tidemark.ClientID, error) {
	return "", errTODO
}
func (c *Client) Outbox() []Outgoing { return nil }
func (c *Client) WaitSent(ctx context.Context, id tidemark.ClientID) (Message, error) {
	return Message{}, errTODO
}
func (c *Client) Retry(ctx context.Context, id tidemark.ClientID) error   { return errTODO }
func (c *Client) Discard(ctx context.Context, id tidemark.ClientID) error { return errTODO }
func (c *Client) MarkRead(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq) error {
	return errTODO
}
func (c *Client) Typing(in tidemark.ConversationID, typing bool) error { return errTODO }
func (c *Client) Watch(users ...tidemark.UserID) error                 { return errTODO }
func (c *Client) Messages(in tidemark.ConversationID, from, to tidemark.Seq) ([]Message, error) {
	return nil, errTODO
}
func (c *Client) Latest(in tidemark.ConversationID, n int) ([]Message, error) { return nil, errTODO }
func (c *Client) History(ctx context.Context, in tidemark.ConversationID, page Page) (HistoryPage, error) {
	return HistoryPage{}, errTODO
}
func (c *Client) Digest(in tidemark.ConversationID) (tidemark.Seq, tidemark.Digest, error) {
	return 0, tidemark.Digest{}, errTODO
}
func (c *Client) Profile(ctx context.Context, id tidemark.UserID) (*wire.Profile, error) {
	return nil, errTODO
}
func (c *Client) Members(ctx context.Context, in tidemark.ConversationID) ([]*wire.Member, error) {
	return nil, errTODO
}
func (c *Client) CreateConversation(ctx context.Context, r *wire.CreateRequest) (tidemark.ConversationID, error) {
	return "", errTODO
}
func (c *Client) UpdateConversation(ctx context.Context, r *wire.UpdateRequest) error { return errTODO }
func (c *Client) AddMembers(ctx context.Context, in tidemark.ConversationID, users ...tidemark.UserID) error {
	return errTODO
}
func (c *Client) RemoveMembers(ctx context.Context, in tidemark.ConversationID, users ...tidemark.UserID) error {
	return errTODO
}
func (c *Client) Join(ctx context.Context, in tidemark.ConversationID) error         { return errTODO }
func (c *Client) Leave(ctx context.Context, in tidemark.ConversationID) error        { return errTODO }
func (c *Client) Settings(ctx context.Context, r *wire.SettingsRequest) error        { return errTODO }
func (c *Client) UpdateProfile(ctx context.Context, r *wire.UpdateUserRequest) error { return errTODO }

// HistoryPage is a page of history, ascending.
type HistoryPage struct {
	Messages []Message
	More     bool // there is more in the direction asked
}
