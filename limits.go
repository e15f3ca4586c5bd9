// SPDX-License-Identifier: Apache-2.0

// What a server allows: every limit in one place, reported to clients in welcome.

package tidemark

// Limits of a server. The zero value of a field means its default.
type Limits struct {
	BodyBytesMax     uint32 // serialised body of one event, bytes
	FrameBytesMax    uint32 // one WebSocket message or HTTP request, bytes
	PageEventsMax    uint32 // events of one fetched page or one delta of a conversation
	PageBytesMax     uint32 // bytes of one fetched page
	MembersMax       uint32 // members of one conversation
	ConversationsMax uint32 // conversations of one user in one partition's reckoning
	DevicesMax       uint32 // devices of one user
	InFlightMax      uint32 // submissions of one session not yet answered
	MentionsMax      uint32 // users mentioned by one message
	CustomBytesMax   uint32 // keys and values of a custom map together, bytes
	TitleBytesMax    uint32 // title, nickname, alias, bytes
	EditWindowMs     uint64 // after this a message cannot be edited by its sender, ms
	RecallWindowMs   uint64 // after this a message cannot be recalled by its sender, ms
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
		InFlightMax:      256,
		MentionsMax:      100,
		CustomBytesMax:   8 << 10,
		TitleBytesMax:    512,
		EditWindowMs:     24 * 3600 * 1000,
		RecallWindowMs:   24 * 3600 * 1000,
	}
}
