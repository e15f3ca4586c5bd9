// SPDX-License-Identifier: Apache-2.0

// What a command writes: typed mutations, which a batch encodes and a replica applies without knowing a rule.

package record

import tidemark "github.com/tidemark-im/tidemark"

// Changes is what one command writes: typed mutations, each naming its key. The partition applies them to the view of
// the next command and encodes them into the batch; replicas and restarts apply the same mutations and need no rules.
// A later entry for the same key replaces an earlier one. The partition record is always written.
type Changes struct {
	Partition Partition
	Users     []UserChange // new ordinals
	Infos     []*Info
	Heads     []HeadChange
	Members   []MemberChange
	Events    []EventChange // appended, or rewritten by an erasure
	Currents  []CurrentChange
	ClientIDs []ClientIDChange
	Hours     []HourChange
	Mentions  []MentionChange
	Recalls   []RecallChange
	Profiles  []*Profile
	Devices   []DeviceChange
	Cursors   []CursorChange
	Accounts  []*Account
	Privates  []PrivateChange
	Scheduled []ScheduledChange
	Requests  []RequestChange
	Indexes   []IndexChange
	Trims     []TrimChange
	Commits   []CommitChange
}

// Empty reports whether nothing is written: a command that found nothing to do. Such a command needs no commit.
func (c *Changes) Empty() bool {
	return len(c.Users) == 0 && len(c.Infos) == 0 && len(c.Heads) == 0 && len(c.Members) == 0 && len(c.Events) == 0 &&
		len(c.Currents) == 0 && len(c.ClientIDs) == 0 && len(c.Hours) == 0 && len(c.Mentions) == 0 &&
		len(c.Recalls) == 0 && len(c.Profiles) == 0 && len(c.Devices) == 0 && len(c.Cursors) == 0 &&
		len(c.Accounts) == 0 && len(c.Privates) == 0 && len(c.Scheduled) == 0 && len(c.Requests) == 0 &&
		len(c.Indexes) == 0 && len(c.Trims) == 0 && len(c.Commits) == 0
}

// UserChange gives a user an ordinal in this partition.
type UserChange struct {
	Ordinal User
	ID      tidemark.UserID
}

// HeadChange replaces the head of a conversation.
type HeadChange struct {
	Conversation Conversation
	Head         *Head
}

// MemberChange replaces a member record. The (user, conversation) row of the user's conversation list gets the same
// position, unless Quiet: an event of the same commit already marks the conversation as changed for every member.
type MemberChange struct {
	Conversation Conversation
	User         User
	Member       *Member
	Quiet        bool
}

// EventChange stores an event.
type EventChange struct {
	Conversation Conversation
	Event        *Event
	Rewrite      bool // an erasure: the event was there before
}

// CurrentChange replaces the current form of an event.
type CurrentChange struct {
	Conversation Conversation
	Seq          tidemark.Seq
	Current      *Current
}

// ClientIDChange remembers which event a client id made. Removed forgets it: the event Seq is no longer kept.
type ClientIDChange struct {
	Conversation Conversation
	User         User
	ClientID     tidemark.ClientID
	Seq          tidemark.Seq
	Removed      bool
}

// HourChange replaces a row of the hour index.
type HourChange struct {
	Conversation Conversation
	Hour         Hour
	Removed      bool // no event of it is kept any more
}

// MentionChange adds an entry to the mention index. User 0 is everybody. Removed takes the entry out again (recalled,
// erased, or edited away).
type MentionChange struct {
	Conversation Conversation
	User         User
	Seq          tidemark.Seq
	Removed      bool
}

// RecallChange marks a counted event as one that no longer counts.
type RecallChange struct {
	Conversation Conversation
	Seq          tidemark.Seq
	Counted      uint64 // its ordinal
}

// PrivateChange replaces what a user keeps in a conversation.
type PrivateChange struct {
	Conversation Conversation
	User         User
	Private      *Private
}

// ScheduledChange replaces a scheduled message, or takes it out.
type ScheduledChange struct {
	Conversation Conversation
	User         User
	ClientID     tidemark.ClientID
	Scheduled    *Scheduled // nil when removed
	Removed      bool
}

// RequestChange replaces a user's wish to join, or takes it out.
type RequestChange struct {
	Conversation Conversation
	User         User
	Request      *JoinRequest // nil when removed
	Removed      bool
}

// IndexChange adds an entry to an index, or takes it out.
type IndexChange struct {
	Index   Index
	Removed bool
}

// TrimChange removes the events From..To of a conversation with everything that is kept by their seq: current forms,
// recalls, membership events, reactions, threads rooted there. Client ids, mentions, hours and the rows of commits are removed by
// changes of their own. The events are of earlier commits.
type TrimChange struct {
	Conversation Conversation
	From, To     tidemark.Seq
}

// CommitChange replaces the list of those events of an earlier commit that are still kept; none: its row goes.
type CommitChange struct {
	Position tidemark.Position
	Events   []ConversationSeq
}

// DeviceChange replaces or forgets a device.
type DeviceChange struct {
	User    tidemark.UserID
	Device  *Device
	Removed bool
}

// CursorChange replaces the position a device has acknowledged in this partition. Position 0 forgets it.
type CursorChange struct {
	User     User
	Device   tidemark.DeviceID
	Position tidemark.Position
}

// Reset empties the changes for reuse, keeping their memory.
func (c *Changes) Reset() {
	*c = Changes{
		Users: c.Users[:0], Infos: c.Infos[:0], Heads: c.Heads[:0], Members: c.Members[:0], Events: c.Events[:0],
		Currents: c.Currents[:0], ClientIDs: c.ClientIDs[:0], Hours: c.Hours[:0], Mentions: c.Mentions[:0],
		Recalls: c.Recalls[:0], Profiles: c.Profiles[:0], Devices: c.Devices[:0], Cursors: c.Cursors[:0],
		Accounts: c.Accounts[:0], Privates: c.Privates[:0], Scheduled: c.Scheduled[:0], Requests: c.Requests[:0],
		Indexes: c.Indexes[:0], Trims: c.Trims[:0], Commits: c.Commits[:0],
	}
}
