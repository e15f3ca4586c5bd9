// SPDX-License-Identifier: Apache-2.0

// What the rules read: the boundary between core and everything that does I/O. What they write is record.Changes.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// View is a partition's state as a command sees it: everything committed, and everything that earlier commands of the
// same batch wrote. Records are shared: the rules must not change what a View returns, they copy first.
//
// Reading can fail below; the implementation remembers the failure, answers "not there", and the partition throws the
// whole batch away, so that rules need no error paths for a broken disk.
type View interface {
	Partition() record.Partition
	User(id tidemark.UserID) (record.User, bool) // ordinal in this partition
	UserID(u record.User) tidemark.UserID
	Conversation(id tidemark.ConversationID) (*record.Info, bool)
	Head(c record.Conversation) *record.Head
	Member(c record.Conversation, u record.User) *record.Member          // nil: never was one
	Event(c record.Conversation, seq tidemark.Seq) (*record.Event, bool) // not at or below the floor
	Current(c record.Conversation, seq tidemark.Seq) *record.Current     // nil: as written
	Reacted(c record.Conversation, seq tidemark.Seq, key string, u record.User) bool
	Reactors(c record.Conversation, seq tidemark.Seq, key string, most int) []record.User // the least ordinals, ascending
	ByClientID(c record.Conversation, u record.User, id tidemark.ClientID) (tidemark.Seq, bool)
	Commit(position tidemark.Position) []record.ConversationSeq // those of its events that are kept
	Hour(c record.Conversation, hour uint32) (record.Hour, bool)
	ConversationsOf(u record.User) int // how many, in this partition
	Profile(id tidemark.UserID) (*record.Profile, bool)
	Device(id tidemark.UserID, device tidemark.DeviceID) (*record.Device, bool)
	Devices(id tidemark.UserID) []*record.Device                      // in no order
	Cursor(u record.User, device tidemark.DeviceID) tidemark.Position // 0: none
	Account(id tidemark.UserID) *record.Account                       // nil: none
	Private(c record.Conversation, u record.User) *record.Private     // nil: none
	Scheduled(c record.Conversation, u record.User, id tidemark.ClientID) *record.Scheduled
	ScheduledBy(c record.Conversation, u record.User) int // how many
	JoinRequest(c record.Conversation, u record.User) *record.JoinRequest
	Entered(c record.Conversation, user tidemark.UserID) bool // a session of the user is in this room now
}
