// SPDX-License-Identifier: Apache-2.0

// The layout of keys: a partition's number, the kind of the row, then what names the row, in big-endian so that the
// order of keys is the order of numbers.

package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// Kind is the second byte of a key: which sort of row it is.
type Kind uint8

// The kinds of rows. p is the partition's number, c and u are ordinals of 4 bytes, seq has 5 bytes, a position 6.
const (
	StateRow        Kind = 0x01 // p 01                      -> record.Partition
	UserOrdinalRow  Kind = 0x02 // p 02 user id              -> ordinal
	UserIDRow       Kind = 0x03 // p 03 u                    -> user id
	ConversationRow Kind = 0x04 // p 04 conversation id      -> ordinal
	InfoRow         Kind = 0x05 // p 05 c                    -> record.Info
	HeadRow         Kind = 0x06 // p 06 c                    -> record.Head
	EventRow        Kind = 0x07 // p 07 c seq                -> record.Event
	MemberRow       Kind = 0x08 // p 08 c u                  -> record.Member
	ListRow         Kind = 0x09 // p 09 u c                  -> position: the user's list of conversations
	ClientIDRow     Kind = 0x0a // p 0a c hash(6)            -> seqs of the events whose (sender, client id) have this hash
	HourRow         Kind = 0x0b // p 0b c hour(4)            -> record.Hour
	CurrentRow      Kind = 0x0c // p 0c c seq                -> record.Current
	MentionRow      Kind = 0x0d // p 0d c u seq              -> nothing; u 0 is everybody
	RecallRow       Kind = 0x0e // p 0e c seq                -> counted ordinal of the event that no longer counts
	CommitRow       Kind = 0x0f // p 0f position             -> the events of that commit
	ProfileRow      Kind = 0x10 // p 10 user id              -> record.Profile
	DeviceRow       Kind = 0x11 // p 11 user id 00 device id -> record.Device
	CursorRow       Kind = 0x12 // p 12 u device id          -> position
	AccountRow      Kind = 0x13 // p 13 user id              -> record.Account
	PrivateRow      Kind = 0x14 // p 14 c u                  -> record.Private
	ScheduledRow    Kind = 0x15 // p 15 c u client id        -> record.Scheduled
	RequestRow      Kind = 0x16 // p 16 c u                  -> record.JoinRequest
	MembershipRow   Kind = 0x17 // p 17 c seq                -> nothing: the event at seq is about members
	ThreadRow       Kind = 0x18 // p 18 c root(5) seq        -> nothing: record.ThreadIndex
	ContactRow      Kind = 0x19 // p 19 u position(6) c      -> nothing: record.ContactIndex
	ProfileIndexRow Kind = 0x1a // p 1a position(6) user id  -> nothing: record.ProfileIndex
	TimerRow        Kind = 0x1b // p 1b due ms(6) timer(1) c u id -> nothing: record.TimerIndex
	ReactionRow     Kind = 0x1c // p 1c c seq length(1) key u -> nothing: record.ReactionIndex
	NamedRow        Kind = 0x1d // p 1d u c                  -> nothing: record.NamedIndex
)

// SeqMax and PositionMax are the greatest numbers that fit in a key.
const (
	SeqMax      tidemark.Seq      = 1<<40 - 1
	PositionMax tidemark.Position = 1<<48 - 1
)

// clientIDHashBytes of SHA-256 name a client id's row; equal hashes share a row, so it stays exact.
const clientIDHashBytes = 6

// idInKeyBytesMax bounds an id inside a key: a direct conversation's is two ids and a separator.
const idInKeyBytesMax = 2*tidemark.IDBytesMax + 1

// String names the kind for error messages.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %#02x", uint8(k))
}

var kindNames = [...]string{
	StateRow: "partition state", UserOrdinalRow: "user ordinal", UserIDRow: "user id",
	ConversationRow: "conversation ordinal", InfoRow: "info", HeadRow: "head", EventRow: "event", MemberRow: "member",
	ListRow: "list row", ClientIDRow: "client id", HourRow: "hour", CurrentRow: "current form", MentionRow: "mention",
	RecallRow: "recall", CommitRow: "commit", ProfileRow: "profile", DeviceRow: "device", CursorRow: "cursor",
	AccountRow: "account", PrivateRow: "private record", ScheduledRow: "scheduled message", RequestRow: "request to join",
	MembershipRow: "membership event", ThreadRow: "thread entry", ContactRow: "contact entry",
	ProfileIndexRow: "profile entry", TimerRow: "timer", ReactionRow: "reaction",
	NamedRow: "named entry",
}

// Key is a decoded key. Which fields are set depends on the kind.
type Key struct {
	Partition    uint8
	Kind         Kind
	Conversation record.Conversation
	User         record.User
	Seq          tidemark.Seq
	Position     tidemark.Position
	Hour         uint32
	Root         tidemark.Seq
	DueMs        uint64
	Timer        record.Timer
	ID           string // a user's or conversation's id, a client id, or a reaction's key
	Device       tidemark.DeviceID
	Hash         [clientIDHashBytes]byte
}

// ParseKey decodes a key; it fails on everything that [AppendKey] cannot make.
func ParseKey(b []byte) (Key, error) {
	if len(b) < 2 {
		return Key{}, fmt.Errorf("store: key %x is too short", b)
	}
	k := Key{Partition: b[0], Kind: Kind(b[1])}
	d := decoder{b: b[2:]}
	switch k.Kind {
	case StateRow:
	case UserOrdinalRow, ConversationRow, ProfileRow, AccountRow:
		k.ID = d.idInKey()
	case UserIDRow:
		k.User = record.User(d.fixed(4))
	case InfoRow, HeadRow:
		k.Conversation = record.Conversation(d.fixed(4))
	case EventRow, CurrentRow, RecallRow, MembershipRow:
		k.Conversation, k.Seq = record.Conversation(d.fixed(4)), tidemark.Seq(d.fixed(5))
	case MemberRow, PrivateRow, RequestRow:
		k.Conversation, k.User = record.Conversation(d.fixed(4)), record.User(d.fixed(4))
	case ScheduledRow:
		k.Conversation, k.User = record.Conversation(d.fixed(4)), record.User(d.fixed(4))
		k.ID = d.idInKey()
	case ThreadRow:
		k.Conversation, k.Root = record.Conversation(d.fixed(4)), tidemark.Seq(d.fixed(5))
		k.Seq = tidemark.Seq(d.fixed(5))
	case ContactRow:
		k.User, k.Position = record.User(d.fixed(4)), tidemark.Position(d.fixed(6))
		k.Conversation = record.Conversation(d.fixed(4))
	case ProfileIndexRow:
		k.Position, k.ID = tidemark.Position(d.fixed(6)), d.idInKey()
	case TimerRow:
		k.DueMs, k.Timer = d.fixed(6), record.Timer(d.byte())
		k.Conversation, k.User = record.Conversation(d.fixed(4)), record.User(d.fixed(4))
		k.ID = d.idInKey()
	case ReactionRow:
		k.Conversation, k.Seq = record.Conversation(d.fixed(4)), tidemark.Seq(d.fixed(5))
		k.ID = string(d.take(int(d.byte())))
		k.User = record.User(d.fixed(4))
	case ListRow, NamedRow:
		k.User, k.Conversation = record.User(d.fixed(4)), record.Conversation(d.fixed(4))
	case ClientIDRow:
		k.Conversation = record.Conversation(d.fixed(4))
		copy(k.Hash[:], d.take(clientIDHashBytes))
	case HourRow:
		k.Conversation, k.Hour = record.Conversation(d.fixed(4)), uint32(d.fixed(4))
	case MentionRow:
		k.Conversation, k.User = record.Conversation(d.fixed(4)), record.User(d.fixed(4))
		k.Seq = tidemark.Seq(d.fixed(5))
	case CommitRow:
		k.Position = tidemark.Position(d.fixed(6))
	case DeviceRow:
		user, device, found := bytes.Cut(d.rest(), []byte{0})
		if !found {
			d.fail(errors.New("no separator"))
		}
		k.ID, k.Device = string(user), tidemark.DeviceID(device)
	case CursorRow:
		k.User, k.Device = record.User(d.fixed(4)), tidemark.DeviceID(d.idInKey())
	default:
		return Key{}, fmt.Errorf("store: key %x is of no known kind", b)
	}
	if err := d.end(); err != nil {
		return Key{}, fmt.Errorf("store: key %x of a %s: %w", b, k.Kind, err)
	}
	return k, nil
}

// AppendKey encodes a key. Numbers that do not fit ([SeqMax], [PositionMax]) are the caller's to refuse.
func AppendKey(dst []byte, k Key) []byte {
	dst = append(dst, k.Partition, byte(k.Kind))
	switch k.Kind {
	case UserOrdinalRow, ConversationRow, ProfileRow, AccountRow:
		return append(dst, k.ID...)
	case UserIDRow:
		return appendUser(dst, k.User)
	case InfoRow, HeadRow:
		return appendConversation(dst, k.Conversation)
	case EventRow, CurrentRow, RecallRow, MembershipRow:
		return appendSeq(appendConversation(dst, k.Conversation), k.Seq)
	case MemberRow, PrivateRow, RequestRow:
		return appendUser(appendConversation(dst, k.Conversation), k.User)
	case ScheduledRow:
		return append(appendUser(appendConversation(dst, k.Conversation), k.User), k.ID...)
	case ThreadRow:
		return appendSeq(appendSeq(appendConversation(dst, k.Conversation), k.Root), k.Seq)
	case ContactRow:
		return appendConversation(appendFixed6(appendUser(dst, k.User), uint64(k.Position)), k.Conversation)
	case ProfileIndexRow:
		return append(appendFixed6(dst, uint64(k.Position)), k.ID...)
	case TimerRow:
		dst = append(appendFixed6(dst, k.DueMs), byte(k.Timer))
		return append(appendUser(appendConversation(dst, k.Conversation), k.User), k.ID...)
	case ReactionRow:
		dst = append(appendSeq(appendConversation(dst, k.Conversation), k.Seq), byte(len(k.ID)))
		return appendUser(append(dst, k.ID...), k.User)
	case ListRow, NamedRow:
		return appendConversation(appendUser(dst, k.User), k.Conversation)
	case ClientIDRow:
		return append(appendConversation(dst, k.Conversation), k.Hash[:]...)
	case HourRow:
		return binary.BigEndian.AppendUint32(appendConversation(dst, k.Conversation), k.Hour)
	case MentionRow:
		return appendSeq(appendUser(appendConversation(dst, k.Conversation), k.User), k.Seq)
	case CommitRow:
		return appendFixed6(dst, uint64(k.Position))
	case DeviceRow:
		return append(append(append(dst, k.ID...), 0), k.Device...)
	case CursorRow:
		return append(appendUser(dst, k.User), k.Device...)
	}
	return dst
}

func appendUser(dst []byte, u record.User) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(u))
}

func appendConversation(dst []byte, c record.Conversation) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(c))
}

func appendFixed6(dst []byte, v uint64) []byte {
	return append(dst, byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func appendSeq(dst []byte, s tidemark.Seq) []byte {
	return append(dst, byte(s>>32), byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
}

// clientIDHash names the row of a sender's client id in a conversation.
func clientIDHash(u record.User, id tidemark.ClientID) (h [clientIDHashBytes]byte) {
	var buf [4 + tidemark.IDBytesMax]byte
	sum := sha256.Sum256(append(appendUser(buf[:0], u), id...))
	copy(h[:], sum[:])
	return h
}

// indexKey is the key of an index entry.
func indexKey(i record.Index) Key {
	k := Key{
		Conversation: i.Conversation, User: i.User, Root: i.Root, Seq: i.Seq, Position: i.Position, DueMs: i.DueMs,
		Timer: i.Timer, ID: i.ID,
	}
	switch i.Kind {
	case record.ThreadIndex:
		k.Kind = ThreadRow
	case record.ContactIndex:
		k.Kind = ContactRow
	case record.ProfileIndex:
		k.Kind = ProfileIndexRow
	case record.TimerIndex:
		k.Kind = TimerRow
	case record.ReactionIndex:
		k.Kind = ReactionRow
	case record.NamedIndex:
		k.Kind = NamedRow
	}
	return k
}

// Index is the index entry that a key of kind [ThreadRow], [ContactRow], [ProfileIndexRow], [TimerRow], [ReactionRow] or
// [NamedRow] stands for.
func (k Key) Index() record.Index {
	i := record.Index{
		Conversation: k.Conversation, User: k.User, Root: k.Root, Seq: k.Seq, Position: k.Position, DueMs: k.DueMs,
		Timer: k.Timer, ID: k.ID,
	}
	switch k.Kind {
	case ThreadRow:
		i.Kind = record.ThreadIndex
	case ContactRow:
		i.Kind = record.ContactIndex
	case ProfileIndexRow:
		i.Kind = record.ProfileIndex
	case TimerRow:
		i.Kind = record.TimerIndex
	case ReactionRow:
		i.Kind = record.ReactionIndex
	case NamedRow:
		i.Kind = record.NamedIndex
	}
	return i
}

// prefixEnd is the least key that is greater than every key with this prefix; nil if there is none.
func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
