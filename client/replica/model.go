// SPDX-License-Identifier: Apache-2.0

// What a device keeps and shows: conversations, messages in their current form, outgoing messages and their states.

package replica

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Conversation is one entry of the user's conversation list. Values handed out are never changed afterwards: they may be
// kept and shared, and must not be written to.
type Conversation struct {
	ID        tidemark.ConversationID
	Partition uint32
	Info      *wire.ConversationInfo // nil until the server told
	Self      *wire.Self             // nil until the server told

	HeadSeq    tidemark.Seq    // the last event at the server, as far as known
	HeadDigest tidemark.Digest // what the server says the chain is at DigestSeq
	DigestSeq  tidemark.Seq    // 0: the server has not said
	Unread     uint64          // counted messages past the read mark
	Mentions   uint64          // of them, how many mention the user
	LastTimeMs uint64          // time of the last event

	Segments    []Segment    // what is stored: ascending, disjoint, never adjacent
	Floor       tidemark.Seq // nothing at or below is kept by the server, or visible to the user
	PendingRead tidemark.Seq // read mark set here and not yet confirmed; 0 none
	Delivered   tidemark.Seq // greatest seq that a device of another member has received, as far as told
	Read        tidemark.Seq // greatest seq that another member has read, as far as told
	Removed     bool         // the user is not a member any more
	Doubt       Doubt        // not zero: the stored history contradicts the server's and is being compared
	Missing     bool         // with Removed: a server that was restored knows nothing of it, or not of the user's membership

	told   counts         // the server's own counts: without what it lacks and is kept here, and without PendingRead
	seals  []Seal         // ascending, at most sealsMax: what the server has sealed last
	unsure []tidemark.Seq // stored messages whose reactions must be counted by the server; at most unsureMax
}

// counts are what the server says of a conversation's list entry, and at which head it said so.
type counts struct {
	unread, mentions, lastTimeMs uint64
	head                         tidemark.Seq
}

// Segment is a run of stored events without a hole, whose chain was computed event by event.
type Segment struct {
	From, To tidemark.Seq    // both stored
	Prev     tidemark.Digest // chain value at From-1
	Last     tidemark.Digest // chain value at To
}

// Doubt says that the stored history of a conversation and the server's disagree or may disagree.
type Doubt struct {
	Open  bool
	Known tidemark.Seq // a stored seq at which they are known to disagree; 0: only suspected
}

// Gap is a run of events that exist at the server, are visible to the user, and are not stored here.
type Gap struct {
	From, To tidemark.Seq
}

// Message is an event as an app shows it: its current form, with edits, recalls, reactions and pins applied. An event that
// is not a message (members came or went, a title changed) has Body only.
type Message struct {
	Conversation tidemark.ConversationID
	Seq          tidemark.Seq     // 0 for an own message that the server has not stored yet
	ID           tidemark.EventID // 0 with Seq 0
	TimeMs       uint64           // the server's time; the device's own with Seq 0
	Sender       tidemark.UserID
	ClientID     tidemark.ClientID
	Kind         Kind
	Content      *wire.Message // what to show; nil when recalled or erased, and for other kinds
	Body         *wire.Body    // as written; nil when recalled or erased or, for an edited message, not known
	EditSeq      tidemark.Seq  // the last edit; 0 never edited
	RecallSeq    tidemark.Seq  // the recall; 0 not recalled
	EraseSeq     tidemark.Seq  // the erasure; 0 not erased
	PinSeq       tidemark.Seq  // the pin; 0 not pinned
	Reactions    []Reaction    // by key
	ThreadCount  uint32        // answers in the thread that begins here
	ThreadSeq    tidemark.Seq  // the last of them; 0 none
	Hidden       bool          // the user has deleted it for itself: there is nothing to show
	State        State         // of an own message; zero for others'
	Failure      *tidemark.Error
}

// Text is the message's text; empty when there is none to show.
func (m *Message) Text() string { return m.Content.GetText() }

// Kind is the field number of the Body oneof: what an event is.
type Kind uint8

// The kinds of events.
const (
	KindMessage  Kind = 1
	KindEdit     Kind = 2
	KindRecall   Kind = 3
	KindReaction Kind = 4
	KindPin      Kind = 5
	KindMembers  Kind = 6
	KindInfo     Kind = 7
	KindErased   Kind = 8
)

// Reaction is how many users reacted to a message with one key.
type Reaction struct {
	Key   string
	Count uint32
	Mine  bool
	Users []tidemark.UserID // other users known to be among them
}

// State is how far an own message has come. It only rises, except that a failed one may be queued again.
type State uint8

// The states of an own message.
const (
	Queued    State = iota + 1 // in the outbox, on this device only
	Sent                       // on its way: given to a connection, not answered
	Stored                     // durable at the server
	Delivered                  // received by a device of another member
	Read                       // read by another member
	Failed                     // refused: see the failure; stays in the outbox until retried or discarded
)

// String is the state's name in lower case.
func (s State) String() string {
	switch s {
	case Queued:
		return "queued"
	case Sent:
		return "sent"
	case Stored:
		return "stored"
	case Delivered:
		return "delivered"
	case Read:
		return "read"
	case Failed:
		return "failed"
	}
	return "none"
}

// Outgoing is an own submission that is still in the outbox.
type Outgoing struct {
	ClientID     tidemark.ClientID
	Conversation tidemark.ConversationID
	Body         []byte // the serialised Body: one of message, edit, recall, reaction, pin
	CreatedMs    uint64 // the device's time
	State        State  // Queued, Sent, Stored (answered, its place in the log not yet reached) or Failed
	Failure      *tidemark.Error
	ToUser       tidemark.UserID // set when sent to a user: the direct conversation may not exist yet

	number uint64 // order of sending
	answer answer // with Stored
	room   bool   // to a room: it is not stored, and goes when the room is left
}

// answer is what the server said of a stored submission.
type answer struct {
	seq     tidemark.Seq
	id      tidemark.EventID
	timeMs  uint64
	counted uint64
	salt    [8]byte
	digest  tidemark.Digest
}

// Backfill says which gaps are filled without being asked. Every gap can be filled by reading history.
type Backfill uint8

// The kinds of backfill.
const (
	// FillHoles fills gaps between the oldest event stored and the head. Older history, and conversations of which
	// nothing is stored, wait until they are read. The default.
	FillHoles Backfill = iota
	// FillAll fetches every event that the user may see: for archives and bots.
	FillAll
	// FillNone leaves all gaps until they are read.
	FillNone
)

// Page names a page of history. Exactly one of the fields but Limit is set.
type Page struct {
	After  tidemark.Seq // events with greater seq, the lowest first
	Before tidemark.Seq // events with smaller seq, the highest page
	AtMs   uint64       // from the first event not earlier than this time, ms
	HourMs uint64       // the last events of the hour of this time, or of the latest one before it that is not empty
	Latest bool         // the last events
	Start  bool         // the first events
	Limit  int          // 0: 50; at most the server's page limit
}
