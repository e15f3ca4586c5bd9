// SPDX-License-Identifier: Apache-2.0

// The limits a server may be given: their defaults, and the bounds inside which it works.

package server

import tidemark "github.com/tidemark-im/tidemark"

// limit is one field of [tidemark.Limits] with its bounds.
type limit struct {
	name          string
	value         *uint32
	normal        uint32
	least, utmost uint32
}

// limitsOf lists the fields that count things or bytes.
func limitsOf(l *tidemark.Limits) []limit {
	d := tidemark.DefaultLimits()
	return []limit{
		{"BodyBytesMax", &l.BodyBytesMax, d.BodyBytesMax, 1 << 10, 16 << 20},
		{"FrameBytesMax", &l.FrameBytesMax, d.FrameBytesMax, 4 << 10, 64 << 20},
		{"PageEventsMax", &l.PageEventsMax, d.PageEventsMax, 1, 10_000},
		{"PageBytesMax", &l.PageBytesMax, d.PageBytesMax, 4 << 10, 64 << 20},
		{"MembersMax", &l.MembersMax, d.MembersMax, 2, 10_000_000},
		{"ConversationsMax", &l.ConversationsMax, d.ConversationsMax, 1, 1_000_000},
		{"DevicesMax", &l.DevicesMax, d.DevicesMax, 1, 10_000},
		{"RoomsMax", &l.RoomsMax, d.RoomsMax, 1, 1000},
		{"RoomReceiversMax", &l.RoomReceiversMax, d.RoomReceiversMax, 1, 10_000_000},
		{"InFlightMax", &l.InFlightMax, d.InFlightMax, 1, 10_000},
		{"MentionsMax", &l.MentionsMax, d.MentionsMax, 1, 10_000},
		{"CustomBytesMax", &l.CustomBytesMax, d.CustomBytesMax, 16, 1 << 20},
		{"TitleBytesMax", &l.TitleBytesMax, d.TitleBytesMax, 16, 64 << 10},
		{"ContactRequestsMax", &l.ContactRequestsMax, d.ContactRequestsMax, 1, 20_000},
	}
}

// withDefaults fills in the fields that are zero.
func withDefaults(l tidemark.Limits) tidemark.Limits {
	for _, field := range limitsOf(&l) {
		if *field.value == 0 {
			*field.value = field.normal
		}
	}
	d := tidemark.DefaultLimits()
	if l.EditWindowMs == 0 {
		l.EditWindowMs = d.EditWindowMs
	}
	if l.RecallWindowMs == 0 {
		l.RecallWindowMs = d.RecallWindowMs
	}
	return l
}

// checkLimits refuses values with which the server would not work.
func checkLimits(l tidemark.Limits) error {
	for _, field := range limitsOf(&l) {
		if v := *field.value; v < field.least || v > field.utmost {
			return wrong("Limits."+field.name, "is %d: allowed are %d to %d", v, field.least, field.utmost)
		}
	}
	const roomForFields = 2 << 10 // of a frame, beside the body
	if l.FrameBytesMax < l.BodyBytesMax+roomForFields {
		return wrong("Limits.FrameBytesMax", "is %d: at least the limit of a body (%d) and %d bytes are needed", l.FrameBytesMax, l.BodyBytesMax, roomForFields)
	}
	if l.PageBytesMax < l.BodyBytesMax {
		return wrong("Limits.PageBytesMax", "is %d: at least the limit of a body (%d) is needed", l.PageBytesMax, l.BodyBytesMax)
	}
	return nil
}
