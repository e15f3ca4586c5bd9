// SPDX-License-Identifier: Apache-2.0

// Package record is what is stored: the state of a partition as plain structs, with no rules and no I/O.
//
// Inside a partition, users and conversations have small ordinals so that keys are short. Every record that changes on
// its own carries the [tidemark.Position] of its last change: what a device must hear is what has a position past its
// cursor. The binary encoding is in package store.
package record

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
)

// User is a partition-local ordinal of a user: from 1 in the order in which the partition met them.
type User uint32

// Conversation is a partition-local ordinal of a conversation: from 1 in the order of creation.
type Conversation uint32

// Kind of a conversation; values of tidemark.v1.Kind.
type Kind uint8

// The kinds.
const (
	Direct  Kind = 1
	Group   Kind = 2
	Channel Kind = 3
	Room    Kind = 4
)

// Role of a member; values of tidemark.v1.Role. Greater may more.
type Role uint8

// The roles.
const (
	MemberRole Role = 1
	AdminRole  Role = 2
	OwnerRole  Role = 3
)

// String is the role's name, for messages to people.
func (r Role) String() string {
	switch r {
	case MemberRole:
		return "member"
	case AdminRole:
		return "admin"
	case OwnerRole:
		return "owner"
	}
	return "none"
}

// BodyKind is the field number of the Body oneof: the kind byte of the chain.
type BodyKind uint8

// The kinds of bodies.
const (
	MessageBody  BodyKind = 1
	EditBody     BodyKind = 2
	RecallBody   BodyKind = 3
	ReactionBody BodyKind = 4
	PinBody      BodyKind = 5
	MembersBody  BodyKind = 6
	InfoBody     BodyKind = 7
	ErasedBody   BodyKind = 8
)

// Partition is the state of the partition itself: written with every commit.
type Partition struct {
	Position      tidemark.Position // of the last commit
	LastID        tidemark.EventID  // greatest id given so far
	Users         User              // ordinals given so far
	Conversations Conversation      // ordinals given so far
}

// Info is a conversation's public data: changes seldom.
type Info struct {
	Ordinal         Conversation
	ID              tidemark.ConversationID
	Kind            Kind
	Title, Avatar   string
	Custom          map[string]string
	Announcement    string
	Settings        Settings
	Attributes      []Attribute // of a room, ascending by key
	CreatedMs       uint64
	DissolvedSeq    tidemark.Seq      // the event that dissolved it; 0: not dissolved
	Staff           []User            // admins and owners, ascending
	Pins            []tidemark.Seq    // pinned messages, in the order of pinning
	Requests        uint32            // users who have asked to join and wait for an answer
	InfoPosition    tidemark.Position // last change of what members see of this record
	MembersPosition tidemark.Position // last change of the member list
}

// Settings of a conversation, the same for all members. A role that is 0 is the default of the conversation's kind.
type Settings struct {
	Join             uint8 // tidemark.v1.JoinPolicy
	HistoryFromStart bool
	Post             Role // the lowest that may post
	Invite           Role
	Edit             Role
	Pin              Role
	MentionAll       Role
	MuteAll          bool
	SlowModeMs       uint32 // between two messages of one member; 0: none
	MembersMax       uint32 // 0: the server's
	Retention        Retention
}

// Retention of a conversation's messages.
type Retention struct {
	Mode     uint8 // tidemark.v1.RetentionMode
	MaxAgeMs uint64
	MaxCount uint64
}

// Attribute is one of a room's keys and values.
type Attribute struct {
	Key, Value string
	Owner      User
	AutoDelete bool // it goes when its owner has left the room
}

// Head is where a conversation's log stands: changes with every event.
type Head struct {
	Seq         tidemark.Seq      // of the last event; events are 1..Seq
	Counted     uint64            // counted events among them
	Recalled    uint64            // counted events past Floor that were recalled or erased since
	Position    tidemark.Position // of the commit of the last event
	TimeMs      uint64            // of the last event; never falls
	Digest      tidemark.Digest   // chain value at Seq
	Floor       tidemark.Seq      // nothing at or below is kept
	FloorDigest tidemark.Digest   // chain value at Floor
	Members     uint32            // how many
	MentionAll  tidemark.Seq      // no entry for everybody in the mention index lies past it

	FloorCounted uint64 // counted ordinal at Floor
	TrimMs       uint64 // when the conversation's TrimTimer is due, ms; 0: there is none
}

// Member is one user's record in one conversation. It outlives leaving (LeftSeq > 0).
type Member struct {
	Role         Role
	JoinedSeq    tidemark.Seq      // the event that added the user; after leaving and coming back, the latest
	VisibleFrom  tidemark.Seq      // first seq the user may see
	LeftSeq      tidemark.Seq      // the event that removed the user; 0 while a member
	ReadSeq      tidemark.Seq      // read mark; never falls
	ReadCounted  uint64            // counted ordinal at ReadSeq; while ReadSeq is below the floor at most that
	Own          OwnSeqs           // own messages past ReadSeq that do not count as unread
	MentionSeq   tidemark.Seq      // no entry for the user in the mention index lies past it
	Position     tidemark.Position // last change of this record
	Pinned       bool
	Muted        bool
	Hidden       bool // until an event past HiddenSeq
	HiddenSeq    tidemark.Seq
	MarkedUnread bool
	Alias        string

	SilencedUntilMs uint64            // may not post before
	LastPostMs      uint64            // time of the last message, where the conversation has slow mode
	ListPosition    tidemark.Position // of the last joining or leaving
	PrivatePosition tidemark.Position // last change of the Private record; 0: there is none
	ClearedSeq      tidemark.Seq      // the user has deleted the history up to here for itself: VisibleFrom lies past it
	GrantedFrom     tidemark.Seq      // where ClearedSeq is not 0: see Granted

	// Of a direct conversation only.
	Contact         ContactState
	Blocked         bool              // has blocked the peer
	Remark          string            // for the peer
	RequestText     string            // with which the peer has asked, or this user, while Contact is Requested or Asked
	ContactPosition tidemark.Position // last change of the four fields above; 0: never
}

// ContactState is how a user stands to the peer of a direct conversation; values of tidemark.v1.ContactState.
type ContactState uint8

// The states of a contact.
const (
	NoContact ContactState = 0
	Requested ContactState = 1 // this user has asked
	Asked     ContactState = 2 // the peer has asked
	InContact ContactState = 3
)

// Active reports whether the user is a member now.
func (m *Member) Active() bool { return m != nil && m.JoinedSeq > 0 && m.LeftSeq == 0 }

// Granted is the first seq that membership lets the user see, whatever the user has cleared for itself since: what
// others may be told of the user's view of the conversation follows from it, and not from VisibleFrom.
func (m *Member) Granted() tidemark.Seq {
	if m.ClearedSeq > 0 {
		return m.GrantedFrom
	}
	return m.VisibleFrom
}

// HasContact reports whether the user has something to do with the peer: a contact, a request, a block or a remark.
func (m *Member) HasContact() bool {
	return m.Contact != NoContact || m.Blocked || m.Remark != ""
}

// HiddenAt reports whether the member hides the conversation while its last event is head.
func (m *Member) HiddenAt(head tidemark.Seq) bool { return m.Hidden && head <= m.HiddenSeq }

// Event is one entry of a conversation's log, as stored.
type Event struct {
	Seq       tidemark.Seq
	ID        tidemark.EventID
	TimeMs    uint64
	Sender    User // the sender's ordinal; SenderID is resolved by the store
	SenderID  tidemark.UserID
	ClientID  tidemark.ClientID
	Counted   uint64 // ordinal among counted events up to and including this one
	IsCounted bool   // whether this event itself counts
	Kind      BodyKind
	Salt      [8]byte
	Body      []byte            // serialised tidemark.v1.Body exactly as hashed; nil when erased
	BodyHash  tidemark.Digest   // SHA-256(salt ‖ body); stored only when erased, always set when read
	Erased    bool              // salt and body are gone
	Position  tidemark.Position // of its commit
	Digest    tidemark.Digest   // chain value at Seq
}

// Current is the current form of an event that others changed: what history pages show. The edits of a recalled or
// erased message carry its content too, so each of them has a Current of its own with the same RecallSeq and EraseSeq:
// whoever serves an event looks at that event's Current alone.
type Current struct {
	EditSeq   tidemark.Seq   // the last edit; 0 none
	Edits     []tidemark.Seq // all edits, ascending; the last is EditSeq
	Edited    []byte         // serialised Body{message} of the last edit; nil once recalled or erased
	RecallSeq tidemark.Seq   // 0 not recalled; else the body must not be served any more
	EraseSeq  tidemark.Seq   // 0 not erased
	IsLost    bool           // a message, or edit, that came back without its content, or with that of an edit missing: a recall or an erasure follows, if it came back, too
	PinSeq    tidemark.Seq   // 0 not pinned
	Reactions []Reaction     // ascending by key; none once recalled or erased

	ThreadCount uint32       // answers in the thread that has this event as root, without those recalled or erased
	ThreadSeq   tidemark.Seq // the last answer that was ever written
}

// IsWithheld reports whether the event shows nothing any more: it neither counts as unread nor is any body served. nil is
// the form of an event that nothing has changed.
func (c *Current) IsWithheld() bool {
	return c != nil && (c.RecallSeq > 0 || c.EraseSeq > 0 || c.IsLost)
}

// Reaction is how many reacted to an event with one key. Who they are is in [ReactionIndex].
type Reaction struct {
	Key   string
	Count uint32
	Users []User // ascending: the ReactionUsersMax least ordinals among them, or all
}

// ReactionUsersMax is how many users a [Reaction] names: what is written with each reaction must not grow with their
// number.
const ReactionUsersMax = 20

// Hour is one row of the hour index.
type Hour struct {
	Hour   uint32 // hours since the Unix epoch
	First  tidemark.Seq
	Count  uint32
	Digest tidemark.Digest // chain value at the last event of the hour
}

// Profile of a user, in the user's home partition.
type Profile struct {
	ID       tidemark.UserID
	Nickname string
	Avatar   string
	Custom   map[string]string
	// Position of the last change of each field; the profile's own is the greatest.
	NicknamePosition, AvatarPosition, CustomPosition tidemark.Position
	// DeletedPosition is when the account was deleted: there is no such user any more. 0: it was not.
	DeletedPosition tidemark.Position
}

// Position of the profile's last change.
func (p *Profile) Position() tidemark.Position {
	return max(p.NicknamePosition, p.AvatarPosition, p.CustomPosition, p.DeletedPosition)
}

// Account is what a user has chosen, and which of its tokens hold, in the user's home partition. A user without a record
// has chosen nothing.
type Account struct {
	User         tidemark.UserID
	HidePresence bool
	HideTyping   bool
	ContactsOnly bool            // only contacts may write to the user
	TokensFromMs uint64          // tokens issued before are refused; 0: none are
	Revoked      []RevokedDevice // ascending by device
	DeletedMs    uint64          // the account was deleted; 0: it was not
}

// RevokedDevice says that a device's tokens issued before a time are refused.
type RevokedDevice struct {
	Device tidemark.DeviceID
	FromMs uint64
}

// Private is what a user keeps in a conversation for its own devices.
type Private struct {
	Draft        string
	DraftReplyTo tidemark.Seq
	DraftMs      uint64         // when it was saved; 0: there is no draft
	Deleted      []tidemark.Seq // messages that the user has deleted for itself, ascending
}

// Deletes reports whether the user has deleted the message at seq for itself. A user without a record has deleted none.
func (p *Private) Deletes(seq tidemark.Seq) bool {
	if p == nil || len(p.Deleted) == 0 {
		return false
	}
	_, deleted := slices.BinarySearch(p.Deleted, seq)
	return deleted
}

// Scheduled is a message that waits for its time, or could not be submitted when it came. For a direct conversation that
// does not exist yet it is kept under conversation 0, and its client id has the peer's id and a zero byte before it.
type Scheduled struct {
	DueMs     uint64
	CreatedMs uint64
	Body      []byte // serialised Body{message}
	Reason    string // why it could not be submitted, with Message for people; empty: it waits
	Message   string
}

// JoinRequest is a user's wish to join a conversation.
type JoinRequest struct {
	TimeMs uint64
	Text   string
}

// IndexKind is which index an [Index] entry belongs to.
type IndexKind uint8

// The indexes whose entries are keys without values.
const (
	// ThreadIndex: Conversation, Root, Seq: an answer in a thread.
	ThreadIndex IndexKind = 1
	// ContactIndex: User, Position, Conversation: a user's contacts in the order of their last change.
	ContactIndex IndexKind = 2
	// ProfileIndex: Position, ID: users at home here in the order of their profile's last change.
	ProfileIndex IndexKind = 3
	// TimerIndex: DueMs, Timer, Conversation, User, ID: what is to be done at a time.
	TimerIndex IndexKind = 4
	// ReactionIndex: Conversation, Seq, ID, User: a user's reaction to the event at Seq, with the key ID. An entry that is
	// taken out and has no ID stands for all entries of the event.
	ReactionIndex IndexKind = 5
	// NamedIndex: User, Conversation: where a user is named without having it in its list of conversations: the user asks
	// to join, or is a member of a room.
	NamedIndex IndexKind = 6
)

// Timer is what is to be done when an entry of [TimerIndex] is due.
type Timer uint8

// The timers.
const (
	// SubmitTimer submits the scheduled message of Conversation, User and ID (a client id).
	SubmitTimer Timer = 1
	// TrimTimer removes what Conversation no longer keeps.
	TrimTimer Timer = 2
)

// Index is an entry of an index that is all key. Fields that its kind does not name are zero.
type Index struct {
	Kind         IndexKind
	Timer        Timer
	Conversation Conversation
	User         User
	Root, Seq    tidemark.Seq
	Position     tidemark.Position
	DueMs        uint64
	ID           string
}

// Device of a user, in the user's home partition.
type Device struct {
	ID          tidemark.DeviceID
	Platform    string
	Client      string
	FirstSeenMs uint64
	LastSeenMs  uint64
}

// ConversationSeq names one event of a partition.
type ConversationSeq struct {
	Conversation Conversation
	Seq          tidemark.Seq
}
