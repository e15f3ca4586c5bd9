// SPDX-License-Identifier: Apache-2.0

// What the terminal client needs of the SDK. [client.Client] has all of it; tests have a device without a server.

package chat

import (
	"context"
	"iter"
	"time"

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
	Resend(ctx context.Context, lost client.Message) error
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
	governor
	rooms
	people
	archive
}

// governor is what the owner and admins of a group do.
type governor interface {
	AskToJoin(ctx context.Context, in tidemark.ConversationID, text string) (asked bool, err error)
	JoinRequests(ctx context.Context, in tidemark.ConversationID) ([]*wire.JoinAsked, error)
	AnswerJoin(ctx context.Context, in tidemark.ConversationID, accept bool, users ...tidemark.UserID) error
	SetRole(ctx context.Context, in tidemark.ConversationID, role wire.Role, users ...tidemark.UserID) error
	Mute(ctx context.Context, in tidemark.ConversationID, d time.Duration, users ...tidemark.UserID) error
	MuteAll(ctx context.Context, in tidemark.ConversationID, muted bool) error
	Transfer(ctx context.Context, in tidemark.ConversationID, to tidemark.UserID) error
	Dissolve(ctx context.Context, in tidemark.ConversationID) error
	Settings(ctx context.Context, r *wire.SettingsRequest) error
}

// rooms are those that the user is in.
type rooms interface {
	EnterRoom(ctx context.Context, id tidemark.ConversationID) (*client.Room, error)
	LeaveRoom(ctx context.Context, id tidemark.ConversationID) error
	Room(id tidemark.ConversationID) (room *client.Room, in bool) // answers at once
	SetAttributes(ctx context.Context, room tidemark.ConversationID, set map[string]string, autoDelete bool) ([]*wire.Attribute, error)
}

// people is how the user stands to others, and to its own devices.
type people interface {
	Contacts() []*wire.Contact
	RequestContact(ctx context.Context, user tidemark.UserID, text string) (*wire.Contact, error)
	AnswerContact(ctx context.Context, user tidemark.UserID, accept bool) (*wire.Contact, error)
	RemoveContact(ctx context.Context, user tidemark.UserID) error
	Block(ctx context.Context, user tidemark.UserID, blocked bool) error
	Remark(ctx context.Context, user tidemark.UserID, remark string) error
	Presence(ctx context.Context, users ...tidemark.UserID) ([]*wire.Presence, error)
	Options(ctx context.Context, r *wire.OptionsRequest) (*wire.UserOptions, error)
	Devices(ctx context.Context) ([]*wire.Device, error)
	Kick(ctx context.Context, device tidemark.DeviceID, revoke bool) error
}

// archive is what can be done with messages besides sending.
type archive interface {
	Forward(ctx context.Context, from tidemark.ConversationID, seq tidemark.Seq, to tidemark.ConversationID) (tidemark.ClientID, error)
	Thread(ctx context.Context, in tidemark.ConversationID, root, after tidemark.Seq, limit int) ([]*wire.Event, bool, error)
	Receipts(ctx context.Context, r *wire.ReceiptsRequest) (*wire.ReceiptsResponse, error)
	Reactions(ctx context.Context, r *wire.ReactionsRequest) (*wire.ReactionsResponse, error)
	Mentions(ctx context.Context, r *wire.MentionsRequest) (*wire.MentionsResponse, error)
	Pins(ctx context.Context, in tidemark.ConversationID) ([]*wire.Event, error)
	Delete(ctx context.Context, in tidemark.ConversationID, seqs ...tidemark.Seq) error
	Clear(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq) error
	Draft(ctx context.Context, in tidemark.ConversationID, text string, replyTo tidemark.Seq) error
	Schedule(ctx context.Context, in tidemark.ConversationID, m *wire.Message, at time.Time, id tidemark.ClientID) (*wire.ScheduledMessage, error)
	Unschedule(ctx context.Context, in tidemark.ConversationID, id tidemark.ClientID) error
	Scheduled(ctx context.Context, in tidemark.ConversationID) ([]*wire.ScheduledMessage, error)
}

var _ Device = (*client.Client)(nil)
