// SPDX-License-Identifier: Apache-2.0

// What a server allows: every limit in one place, reported to clients in welcome.

package tidemark

import "cmp"

// Limits of a server. The zero value of a field means its default.
type Limits struct {
	BodyBytesMax     uint32 // serialised body of one event, bytes
	FrameBytesMax    uint32 // one WebSocket message or HTTP request, bytes
	PageEventsMax    uint32 // events of one fetched page or one delta of a conversation
	PageBytesMax     uint32 // bytes of one fetched page
	MembersMax       uint32 // members of one conversation
	ConversationsMax uint32 // conversations of one user in one partition's reckoning
	DevicesMax       uint32 // devices of one user
	RoomsMax         uint32 // rooms that one session is in
	RoomReceiversMax uint32 // sessions in one room
	InFlightMax      uint32 // submissions of one session not yet answered
	MentionsMax      uint32 // users mentioned by one message
	ReactionKeysMax  uint32 // distinct reaction keys of one message
	ReactionsMax     uint32 // reactions of one message, all keys together
	EditsMax         uint32 // edits of one message
	CustomBytesMax   uint32 // keys and values of a custom map together, bytes
	TitleBytesMax    uint32 // title, nickname, alias, remark, text of a request, bytes
	EditWindowMs     uint64 // after this a message cannot be edited by its sender, ms
	RecallWindowMs   uint64 // after this a message cannot be recalled by its sender, ms

	ContactRequestsMax uint32 // contact requests of one user that wait for an answer
}

// DefaultLimits are the limits of a server that configures none.
func DefaultLimits() Limits {
	return Limits{
		BodyBytesMax:     64 << 10,
		FrameBytesMax:    1 << 20,
		PageEventsMax:    500,
		PageBytesMax:     1 << 20,
		MembersMax:       1_000_000,
		ConversationsMax: 20_000,
		DevicesMax:       32,
		RoomsMax:         16,
		RoomReceiversMax: 100_000,
		InFlightMax:      256,
		MentionsMax:      100,
		ReactionKeysMax:  100,
		ReactionsMax:     10_000,
		EditsMax:         1_000,
		CustomBytesMax:   8 << 10,
		TitleBytesMax:    512,
		EditWindowMs:     24 * 3600 * 1000,
		RecallWindowMs:   24 * 3600 * 1000,

		ContactRequestsMax: 1_000,
	}
}

// WithDefaults is the limits with every field that is zero set to its default.
func (l Limits) WithDefaults() Limits {
	d := DefaultLimits()
	l.BodyBytesMax = cmp.Or(l.BodyBytesMax, d.BodyBytesMax)
	l.FrameBytesMax = cmp.Or(l.FrameBytesMax, d.FrameBytesMax)
	l.PageEventsMax = cmp.Or(l.PageEventsMax, d.PageEventsMax)
	l.PageBytesMax = cmp.Or(l.PageBytesMax, d.PageBytesMax)
	l.MembersMax = cmp.Or(l.MembersMax, d.MembersMax)
	l.ConversationsMax = cmp.Or(l.ConversationsMax, d.ConversationsMax)
	l.DevicesMax = cmp.Or(l.DevicesMax, d.DevicesMax)
	l.RoomsMax = cmp.Or(l.RoomsMax, d.RoomsMax)
	l.RoomReceiversMax = cmp.Or(l.RoomReceiversMax, d.RoomReceiversMax)
	l.InFlightMax = cmp.Or(l.InFlightMax, d.InFlightMax)
	l.MentionsMax = cmp.Or(l.MentionsMax, d.MentionsMax)
	l.ReactionKeysMax = cmp.Or(l.ReactionKeysMax, d.ReactionKeysMax)
	l.ReactionsMax = cmp.Or(l.ReactionsMax, d.ReactionsMax)
	l.EditsMax = cmp.Or(l.EditsMax, d.EditsMax)
	l.CustomBytesMax = cmp.Or(l.CustomBytesMax, d.CustomBytesMax)
	l.TitleBytesMax = cmp.Or(l.TitleBytesMax, d.TitleBytesMax)
	l.EditWindowMs = cmp.Or(l.EditWindowMs, d.EditWindowMs)
	l.RecallWindowMs = cmp.Or(l.RecallWindowMs, d.RecallWindowMs)
	l.ContactRequestsMax = cmp.Or(l.ContactRequestsMax, d.ContactRequestsMax)
	return l
}
