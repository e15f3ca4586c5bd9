// SPDX-License-Identifier: Apache-2.0

// What the app is told: every note names what changed, and the app reads the rest.

package replica

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Note is one of the types below; the set is closed.
type Note interface{ note() }

// Arrived is a message that came to the end of a conversation: live, or while catching up. Own messages of other devices
// of the user arrive too. Each arrives once. Of a conversation that went far ahead while the device was away, the last ones
// arrive (Config.Tail); those between are fetched as pages, and [Changed] tells of them, as of those that come while what is
// stored is compared with the server's history: who must see every message reads the store from where it was.
type Arrived struct {
	Message Message
	Live    bool // not part of catching up
}

// Changed says that stored events From..To of a conversation are new or changed: read them again.
type Changed struct {
	Conversation tidemark.ConversationID
	From, To     tidemark.Seq
}

// ConversationChanged says that an entry of the conversation list is new or changed: counts, title, own settings, head.
type ConversationChanged struct {
	Conversation tidemark.ConversationID
	Removed      bool // the user is not a member any more
}

// OutgoingChanged says how far an own submission has come.
type OutgoingChanged struct {
	Conversation tidemark.ConversationID
	ClientID     tidemark.ClientID
	State        State
	Seq          tidemark.Seq    // with Stored and later; 0 for a transient message
	Failure      *tidemark.Error // with Failed
}

// HistoryChanged reports that the server's history of a conversation is not the one stored here: it was rewritten, forked,
// or lost its end (a restore from a backup). Events From..To were dropped here, and what the server has now is fetched in
// their place. What the user has cleared is in none: of that the server says nothing.
type HistoryChanged struct {
	Conversation tidemark.ConversationID
	From, To     tidemark.Seq
	Dropped      []Message // the last of what was dropped, at most DroppedMax
	Own          []Message // the user's own messages among all that was dropped, the last DroppedMax: the server has lost them
	OwnEarlier   uint64    // how many more of them there were before those in Own: these are gone for good
}

// ServerBehind says that the server was restored from an older copy and lacks events From..To of a conversation, which are
// kept here; see [Conversation.Ahead]. They are given back if the server takes them. From and To are 0 when it has them
// again. If it goes on with other events instead, [HistoryChanged] comes, and Own has what the app can send again.
type ServerBehind struct {
	Conversation tidemark.ConversationID
	From, To     tidemark.Seq
}

// DroppedMax bounds the messages that [HistoryChanged] carries.
const DroppedMax = 200

// RoomEvent is the next event of a room that the user is in: everything that happens there comes as one, in order, also what
// the user itself sends on this device.
type RoomEvent struct {
	Room    tidemark.ConversationID
	Message Message
	Gap     tidemark.Seq // how many events the server left out just before it: this device was too slow, or away
}

// RoomMissed stands for room events that came while the app was too slow to hear of each: what is kept of From..To is in
// [Room.Messages].
type RoomMissed struct {
	Room     tidemark.ConversationID
	From, To tidemark.Seq
}

// RoomChanged says that a room's public data changed, or how the user stands to it.
type RoomChanged struct {
	Room   tidemark.ConversationID
	State  RoomState
	Reason *tidemark.Error // with RoomLeft: why, unless the user wanted it
}

// RoomState is how the user stands to a room.
type RoomState uint8

// How the user stands to a room.
const (
	RoomLeft RoomState = iota // out of it
	RoomAway                  // the connection broke: it is entered again by itself
	RoomIn                    // in it
)

// ReceiptChanged says that other members received or read up to the given seqs.
type ReceiptChanged struct {
	Conversation    tidemark.ConversationID
	User            tidemark.UserID
	Delivered, Read tidemark.Seq

	// In large conversations nobody is named: how many have the own message at Seq.
	Seq                       tidemark.Seq
	DeliveredCount, ReadCount uint32
}

// ProfileChanged says that a user's profile is new or changed.
type ProfileChanged struct{ User tidemark.UserID }

// ProfileOutdated says that a watched user's profile has changed at the server: [client.Client.Refresh] brings it here.
type ProfileOutdated struct{ User tidemark.UserID }

// TypingChanged says that a user began or stopped typing.
type TypingChanged struct {
	Conversation tidemark.ConversationID
	User         tidemark.UserID
	Typing       bool
}

// PresenceChanged says whether a watched user is online.
type PresenceChanged struct {
	User       tidemark.UserID
	Online     bool
	LastSeenMs uint64
}

// TransientMessage is a message of class TRANSIENT: never stored anywhere.
type TransientMessage struct {
	Conversation tidemark.ConversationID
	Sender       tidemark.UserID
	ClientID     tidemark.ClientID
	TimeMs       uint64
	Content      *wire.Message
}

// Missed stands for messages that arrived while the app was too slow to hear of each: read From..To from the store.
type Missed struct {
	Conversation tidemark.ConversationID
	From, To     tidemark.Seq
}

// StateChanged says how far the connection is.
type StateChanged struct {
	State ConnectionState
	Err   error // why the last connection ended; nil while it works
}

// ConnectionState is how far the connection is.
type ConnectionState uint8

// The states of the connection, in the order in which they usually come.
const (
	Offline    ConnectionState = iota // not connected; trying again later
	Connecting                        // opening a connection
	CatchingUp                        // connected; hearing what changed meanwhile
	Synced                            // everything up to now is here; the rest comes live
	Stopped                           // stopped for good: see the error of Run
)

// String is the state's name in lower case.
func (s ConnectionState) String() string {
	switch s {
	case Offline:
		return "offline"
	case Connecting:
		return "connecting"
	case CatchingUp:
		return "catching up"
	case Synced:
		return "synced"
	case Stopped:
		return "stopped"
	}
	return "unknown"
}

func (Arrived) note()             {}
func (Changed) note()             {}
func (ConversationChanged) note() {}
func (OutgoingChanged) note()     {}
func (HistoryChanged) note()      {}
func (ServerBehind) note()        {}
func (RoomEvent) note()           {}
func (RoomMissed) note()          {}
func (RoomChanged) note()         {}
func (ReceiptChanged) note()      {}
func (ProfileChanged) note()      {}
func (ProfileOutdated) note()     {}
func (TypingChanged) note()       {}
func (PresenceChanged) note()     {}
func (TransientMessage) note()    {}
func (Missed) note()              {}
func (StateChanged) note()        {}
