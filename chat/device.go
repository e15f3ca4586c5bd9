// SPDX-License-Identifier: Apache-2.0

// What the terminal client needs of the SDK. [client.Client] has all of it; tests have a device without a server.

package chat

import (
	"context"
	"iter"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// Device is the part of [client.Client] that a screen shows and uses.
type Device interface {
	reader
	writer
	asker
}

// reader is what is known on this device: it answers at once, also offline.
type reader interface {
	User() tidemark.UserID
	State() client.ConnectionState
	Events(ctx context.Context) iter.Seq[client.Event]
	Conversations() []*client.Conversation
	Conversation(id tidemark.ConversationID) (*client.Conversation, bool)
	Messages(in tidemark.ConversationID, from, to tidemark.Seq) ([]client.Message, error)
	Latest(in tidemark.ConversationID, n int) ([]client.Message, error)
	Outbox() []client.Outgoing
}

// writer is what goes to the outbox: it is kept on this device until the server has it.
type writer interface {
	SendMessage(ctx context.Context, to tidemark.ConversationID, m *wire.Message) (tidemark.ClientID, error)
	SendMessageTo(ctx context.Context, user tidemark.UserID, m *wire.Message) (tidemark.ClientID, error)
	EditMessage(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, m *wire.Message) (tidemark.ClientID, error)
	Recall(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, reason string) (tidemark.ClientID, error)
	React(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, key string, remove bool) (tidemark.ClientID, error)
	Pin(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq, remove bool) (tidemark.ClientID, error)
	Retry(ctx context.Context, id tidemark.ClientID) error
	Discard(ctx context.Context, id tidemark.ClientID) error
	MarkRead(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq) error
	Typing(in tidemark.ConversationID, typing bool) error
}

// asker is what the server is asked for: it may take as long as the network does.
type asker interface {
	History(ctx context.Context, in tidemark.ConversationID, page client.Page) (client.HistoryPage, error)
	Profile(ctx context.Context, id tidemark.UserID) (*wire.Profile, error)
	Members(ctx context.Context, in tidemark.ConversationID) ([]*wire.Member, error)
	CreateConversation(ctx context.Context, r *wire.CreateRequest) (tidemark.ConversationID, error)
	UpdateConversation(ctx context.Context, r *wire.UpdateRequest) error
	AddMembers(ctx context.Context, in tidemark.ConversationID, users ...tidemark.UserID) error
	RemoveMembers(ctx context.Context, in tidemark.ConversationID, users ...tidemark.UserID) error
	Join(ctx context.Context, in tidemark.ConversationID) error
	Leave(ctx context.Context, in tidemark.ConversationID) error
	UpdateProfile(ctx context.Context, r *wire.UpdateUserRequest) error
}

var _ Device = (*client.Client)(nil)
