// SPDX-License-Identifier: Apache-2.0

// The names of users, devices, conversations and messages, and what makes them valid.

package tidemark

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// IDBytesMax is the length limit, in bytes, of every id: user, device, conversation, client id.
// A direct conversation's id is two user ids and a separator and may be longer.
const IDBytesMax = 64

// SystemUser is the reserved user that writes the system's own notifications.
const SystemUser UserID = "system"

// UserID names an account. The app chooses it: 1 to 64 bytes of [A-Za-z0-9._@:+#-].
type UserID string

// DeviceID names one installation of a client of a user. Same alphabet as [UserID].
type DeviceID string

// ConversationID names a conversation. Same alphabet as [UserID], or "a~b" for the direct conversation of a and b.
type ConversationID string

// ClientID is chosen by the device for each message it sends, unique per message: 1 to 64 bytes of UTF-8.
type ClientID string

// EventID is unique over all conversations and rises inside a partition, also when the clock steps back.
type EventID uint64

// Seq numbers the events of one conversation densely from 1. 0 is "before the first".
type Seq uint64

// Position numbers the commits of one partition densely from 1. 0 is "before the first".
type Position uint64

// Epoch names the incarnation of a data directory. It changes when history was lost (a restore), never otherwise.
type Epoch uint64

// Digest is the value of a conversation's hash chain after one of its events.
type Digest [32]byte

// Cursor is what a device has: the epoch, and for each partition the position up to which it has everything.
// A partition that is absent is at 0.
type Cursor struct {
	Epoch     Epoch
	Positions map[uint32]Position
}

// Valid reports whether the id may name a user. The reserved [SystemUser] is valid; who may act as it is decided elsewhere.
func (id UserID) Valid() bool { return validID(string(id)) }

// Valid reports whether the id may name a device.
func (id DeviceID) Valid() bool { return validID(string(id)) }

// Valid reports whether the id may name a conversation that is not direct.
func (id ConversationID) Valid() bool { return validID(string(id)) }

// Valid reports whether the id may name a message of a device.
func (id ClientID) Valid() bool {
	return len(id) > 0 && len(id) <= IDBytesMax && utf8.ValidString(string(id))
}

// Direct is the id of the direct conversation of a and b, the same whichever comes first.
func Direct(a, b UserID) ConversationID {
	if b < a {
		a, b = b, a
	}
	return ConversationID(string(a) + "~" + string(b))
}

// Peers returns the two users of a direct conversation's id, in byte order; ok is false for every other id.
func (id ConversationID) Peers() (a, b UserID, ok bool) {
	left, right, found := strings.Cut(string(id), "~")
	if !found || left >= right || !validID(left) || !validID(right) {
		return "", "", false
	}
	return UserID(left), UserID(right), true
}

// Peer returns the other user of a direct conversation; ok is false if the id is not direct or user is not in it.
func (id ConversationID) Peer(user UserID) (peer UserID, ok bool) {
	a, b, ok := id.Peers()
	switch {
	case !ok:
		return "", false
	case a == user:
		return b, true
	case b == user:
		return a, true
	}
	return "", false
}

// IDAlphabet says, for error messages, what an id may be made of.
const IDAlphabet = "1 to 64 bytes of A-Z a-z 0-9 . _ @ : + # -"

func validID(id string) bool {
	if len(id) == 0 || len(id) > IDBytesMax {
		return false
	}
	for i := 0; i < len(id); i++ {
		if !idByte[id[i]] {
			return false
		}
	}
	return true
}

var idByte = func() (ok [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@:+#-") {
		ok[c] = true
	}
	return ok
}()

// String prints a digest in hexadecimal.
func (d Digest) String() string { return fmt.Sprintf("%x", d[:]) }
