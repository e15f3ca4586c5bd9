// SPDX-License-Identifier: Apache-2.0

// The names of package replica that an app meets, under the name it imports.

package client

import "github.com/tidemark-im/tidemark/client/replica"

// What an app shows; see package replica.
type (
	Conversation = replica.Conversation
	Message      = replica.Message
	Reaction     = replica.Reaction
	Outgoing     = replica.Outgoing
	Room         = replica.Room
	RoomState    = replica.RoomState
	Page         = replica.Page
	Gap          = replica.Gap
	MessageState = replica.State
	Kind         = replica.Kind
	View         = replica.View
)

// The events of [Client.Events]; see package replica. [StateChanged], [Missed] and [RoomMissed] are the shell's own.
type (
	Event               = replica.Note
	Arrived             = replica.Arrived
	Changed             = replica.Changed
	ConversationChanged = replica.ConversationChanged
	OutgoingChanged     = replica.OutgoingChanged
	HistoryChanged      = replica.HistoryChanged
	ServerBehind        = replica.ServerBehind
	RoomEvent           = replica.RoomEvent
	RoomMissed          = replica.RoomMissed
	RoomChanged         = replica.RoomChanged
	ReceiptChanged      = replica.ReceiptChanged
	ProfileChanged      = replica.ProfileChanged
	ProfileOutdated     = replica.ProfileOutdated
	TypingChanged       = replica.TypingChanged
	PresenceChanged     = replica.PresenceChanged
	TransientMessage    = replica.TransientMessage
	Missed              = replica.Missed
	StateChanged        = replica.StateChanged
)

// How far an own message has come.
const (
	Queued    = replica.Queued
	Sent      = replica.Sent
	Stored    = replica.Stored
	Delivered = replica.Delivered
	Read      = replica.Read
	Failed    = replica.Failed
)

// What an event is.
const (
	KindMessage  = replica.KindMessage
	KindEdit     = replica.KindEdit
	KindRecall   = replica.KindRecall
	KindReaction = replica.KindReaction
	KindPin      = replica.KindPin
	KindMembers  = replica.KindMembers
	KindInfo     = replica.KindInfo
	KindErased   = replica.KindErased
)

// How the user stands to a room.
const (
	RoomLeft = replica.RoomLeft
	RoomAway = replica.RoomAway
	RoomIn   = replica.RoomIn
)

// ErrDisconnected: there is no connection, or it broke before the answer.
var ErrDisconnected = replica.ErrDisconnected

// Which gaps are filled without being asked.
const (
	FillHoles = replica.FillHoles
	FillAll   = replica.FillAll
	FillNone  = replica.FillNone
)

// ConnectionState is how far the connection is.
type ConnectionState = replica.ConnectionState

// The states of the connection.
const (
	Offline    = replica.Offline
	Connecting = replica.Connecting
	CatchingUp = replica.CatchingUp
	Synced     = replica.Synced
	Stopped    = replica.Stopped
)
