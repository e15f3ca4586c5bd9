// SPDX-License-Identifier: Apache-2.0

// The encodings of a conversation's own records: info, head, hours, and the current forms of its events.

package store

import (
	"encoding/binary"
	"math"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// The leading bytes of the records whose encoding may grow.
const (
	infoVersion    = 2
	headVersion    = 2
	currentVersion = 3
)

const (
	infoHistoryFromStart = 1 << iota
	infoMuteAll
	infoFlags = infoHistoryFromStart | infoMuteAll
)

func appendInfo(dst []byte, i *record.Info) []byte {
	s := &i.Settings
	dst = append(dst, infoVersion, byte(i.Kind), s.Join,
		flag(s.HistoryFromStart, infoHistoryFromStart)|flag(s.MuteAll, infoMuteAll),
		byte(s.Post), byte(s.Invite), byte(s.Edit), byte(s.Pin), byte(s.MentionAll), s.Retention.Mode)
	for _, v := range [...]uint64{
		uint64(s.SlowModeMs), uint64(s.MembersMax), s.Retention.MaxAgeMs, s.Retention.MaxCount,
		uint64(i.DissolvedSeq), uint64(i.Requests),
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendString(dst, i.ID)
	dst = appendString(dst, i.Title)
	dst = appendString(dst, i.Avatar)
	dst = appendString(dst, i.Announcement)
	dst = appendMap(dst, i.Custom)
	dst = binary.AppendUvarint(dst, uint64(len(i.Attributes)))
	for _, a := range i.Attributes {
		dst = appendString(appendString(dst, a.Key), a.Value)
		dst = append(binary.AppendUvarint(dst, uint64(a.Owner)), flag(a.AutoDelete, 1))
	}
	dst = appendNumbers(dst, i.Staff)
	dst = appendNumbers(dst, i.Pins)
	dst = binary.AppendUvarint(dst, i.CreatedMs)
	dst = binary.AppendUvarint(dst, uint64(i.InfoPosition))
	return binary.AppendUvarint(dst, uint64(i.MembersPosition))
}

func decodeInfo(b []byte, c record.Conversation) (*record.Info, error) {
	d := decoder{b: b}
	d.version(infoVersion)
	i := &record.Info{Ordinal: c, Kind: record.Kind(d.byte())}
	s := &i.Settings
	s.Join = d.byte()
	flags := d.flags(infoFlags)
	s.HistoryFromStart, s.MuteAll = flags&infoHistoryFromStart != 0, flags&infoMuteAll != 0
	for _, role := range [...]*record.Role{&s.Post, &s.Invite, &s.Edit, &s.Pin, &s.MentionAll} {
		*role = record.Role(d.byte())
	}
	s.Retention.Mode = d.byte()
	s.SlowModeMs = uint32(d.upTo(1<<32 - 1))
	s.MembersMax = uint32(d.upTo(1<<32 - 1))
	s.Retention.MaxAgeMs = d.uvarint()
	s.Retention.MaxCount = d.uvarint()
	i.DissolvedSeq = d.seq()
	i.Requests = uint32(d.upTo(1<<32 - 1))
	i.ID = tidemark.ConversationID(d.string())
	i.Title = d.string()
	i.Avatar = d.string()
	i.Announcement = d.string()
	i.Custom = d.stringMap()
	if n := d.count(); n > 0 {
		i.Attributes = make([]record.Attribute, n)
	}
	for j := range i.Attributes {
		a := &i.Attributes[j]
		a.Key, a.Value, a.Owner = d.string(), d.string(), record.User(d.upTo(1<<32-1))
		a.AutoDelete = d.flags(1) != 0
	}
	i.Staff = decodeNumbers[record.User](&d, 1<<32-1)
	i.Pins = decodeNumbers[tidemark.Seq](&d, uint64(SeqMax))
	i.CreatedMs = d.uvarint()
	i.InfoPosition = d.position()
	i.MembersPosition = d.position()
	return i, d.end()
}

const (
	headHasFloor = 1 << iota
	headHasTrim
	headFlags = 1<<iota - 1
)

func appendHead(dst []byte, h *record.Head) []byte {
	hasFloor := h.Floor != 0 || h.FloorDigest != tidemark.Digest{}
	dst = append(dst, headVersion, flag(hasFloor, headHasFloor)|flag(h.TrimMs != 0, headHasTrim))
	dst = binary.AppendUvarint(dst, uint64(h.Seq))
	dst = binary.AppendUvarint(dst, h.Counted)
	dst = binary.AppendUvarint(dst, h.Recalled)
	dst = binary.AppendUvarint(dst, uint64(h.Position))
	dst = binary.AppendUvarint(dst, h.TimeMs)
	dst = binary.AppendUvarint(dst, uint64(h.Members))
	dst = binary.AppendUvarint(dst, uint64(h.MentionAll))
	if hasFloor {
		dst = binary.AppendUvarint(dst, uint64(h.Floor))
		dst = binary.AppendUvarint(dst, h.FloorCounted)
		dst = append(dst, h.FloorDigest[:]...)
	}
	if h.TrimMs != 0 {
		dst = binary.AppendUvarint(dst, h.TrimMs)
	}
	return append(dst, h.Digest[:]...)
}

func decodeHead(b []byte) (*record.Head, error) {
	d := decoder{b: b}
	d.version(headVersion)
	flags := d.flags(headFlags)
	h := &record.Head{Seq: d.seq(), Counted: d.uvarint(), Recalled: d.uvarint(), Position: d.position(), TimeMs: d.uvarint()}
	h.Members = uint32(d.upTo(1<<32 - 1))
	h.MentionAll = d.seq()
	if flags&headHasFloor != 0 {
		h.Floor = d.seq()
		h.FloorCounted = d.uvarint()
		h.FloorDigest = d.digest()
	}
	if flags&headHasTrim != 0 {
		h.TrimMs = d.uvarint()
	}
	h.Digest = d.digest()
	return h, d.end()
}

func appendHour(dst []byte, h record.Hour) []byte {
	dst = binary.AppendUvarint(dst, uint64(h.First))
	dst = binary.AppendUvarint(dst, uint64(h.Count))
	return append(dst, h.Digest[:]...)
}

func decodeHour(b []byte, hour uint32) (record.Hour, error) {
	d := decoder{b: b}
	h := record.Hour{Hour: hour, First: d.seq(), Count: uint32(d.upTo(1<<32 - 1)), Digest: d.digest()}
	return h, d.end()
}

func appendCurrent(dst []byte, c *record.Current) []byte {
	dst = append(dst, currentVersion)
	dst = binary.AppendUvarint(dst, uint64(c.EditSeq))
	dst = appendAscending(dst, c.Edits)
	dst = appendString(dst, c.Edited)
	dst = binary.AppendUvarint(dst, uint64(c.RecallSeq))
	dst = binary.AppendUvarint(dst, uint64(c.EraseSeq))
	dst = binary.AppendUvarint(dst, uint64(c.PinSeq))
	dst = binary.AppendUvarint(dst, uint64(c.ThreadCount))
	dst = binary.AppendUvarint(dst, uint64(c.ThreadSeq))
	dst = binary.AppendUvarint(dst, uint64(len(c.Reactions)))
	for _, r := range c.Reactions {
		dst = appendString(dst, r.Key)
		dst = binary.AppendUvarint(dst, uint64(r.Count))
		dst = appendAscending(dst, r.Users)
	}
	if c.IsLost {
		dst = append(dst, currentLost)
	}
	return dst
}

// currentLost is a flag of a current form. The byte of flags is there only where one is set.
const currentLost = 1

func decodeCurrent(b []byte) (*record.Current, error) {
	d := decoder{b: b}
	d.version(currentVersion)
	c := &record.Current{EditSeq: d.seq()}
	c.Edits = decodeAscending[tidemark.Seq](&d, math.MaxUint64)
	if edited := d.bytes(); len(edited) > 0 {
		c.Edited = append([]byte{}, edited...)
	}
	c.RecallSeq = d.seq()
	c.EraseSeq = d.seq()
	c.PinSeq = d.seq()
	c.ThreadCount = uint32(d.upTo(1<<32 - 1))
	c.ThreadSeq = d.seq()
	if n := d.count(); n > 0 {
		c.Reactions = make([]record.Reaction, n)
	}
	for i := range c.Reactions {
		r := &c.Reactions[i]
		r.Key = d.string()
		r.Count = uint32(d.upTo(1<<32 - 1))
		r.Users = decodeAscending[record.User](&d, math.MaxUint32)
	}
	if d.err == nil && len(d.b) > 0 {
		c.IsLost = d.byte() == currentLost
		if !c.IsLost {
			d.fail(errFlag)
		}
	}
	return c, d.end()
}
