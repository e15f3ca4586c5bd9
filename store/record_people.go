// SPDX-License-Identifier: Apache-2.0

// The encodings of what belongs to people: members, profiles, devices; and of the partition's own state.

package store

import (
	"encoding/binary"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

const (
	memberVersion  = 1
	profileVersion = 1
	deviceVersion  = 1
	stateVersion   = 1
)

const (
	memberPinned = 1 << iota
	memberMuted
	memberHidden
	memberMarkedUnread
	memberFlags = memberPinned | memberMuted | memberHidden | memberMarkedUnread
)

func appendMember(dst []byte, m *record.Member) []byte {
	dst = append(dst, memberVersion, byte(m.Role), flag(m.Pinned, memberPinned)|flag(m.Muted, memberMuted)|
		flag(m.Hidden, memberHidden)|flag(m.MarkedUnread, memberMarkedUnread))
	for _, v := range [...]uint64{
		uint64(m.JoinedSeq), uint64(m.VisibleFrom), uint64(m.LeftSeq), uint64(m.ReadSeq), m.ReadCounted,
		uint64(m.MentionSeq), uint64(m.Position), uint64(m.HiddenSeq),
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	return appendString(dst, m.Alias)
}

func decodeMember(b []byte) (*record.Member, error) {
	d := decoder{b: b}
	d.version(memberVersion)
	m := &record.Member{Role: record.Role(d.byte())}
	flags := d.flags(memberFlags)
	m.Pinned, m.Muted = flags&memberPinned != 0, flags&memberMuted != 0
	m.Hidden, m.MarkedUnread = flags&memberHidden != 0, flags&memberMarkedUnread != 0
	m.JoinedSeq = d.seq()
	m.VisibleFrom = d.seq()
	m.LeftSeq = d.seq()
	m.ReadSeq = d.seq()
	m.ReadCounted = d.uvarint()
	m.MentionSeq = d.seq()
	m.Position = d.position()
	m.HiddenSeq = d.seq()
	m.Alias = d.string()
	return m, d.end()
}

func appendProfile(dst []byte, p *record.Profile) []byte {
	dst = append(dst, profileVersion)
	dst = appendString(dst, p.Nickname)
	dst = appendString(dst, p.Avatar)
	dst = appendMap(dst, p.Custom)
	dst = binary.AppendUvarint(dst, uint64(p.NicknamePosition))
	dst = binary.AppendUvarint(dst, uint64(p.AvatarPosition))
	return binary.AppendUvarint(dst, uint64(p.CustomPosition))
}

func decodeProfile(b []byte, id tidemark.UserID) (*record.Profile, error) {
	d := decoder{b: b}
	d.version(profileVersion)
	p := &record.Profile{ID: id, Nickname: d.string(), Avatar: d.string(), Custom: d.stringMap()}
	p.NicknamePosition = d.position()
	p.AvatarPosition = d.position()
	p.CustomPosition = d.position()
	return p, d.end()
}

func appendDevice(dst []byte, v *record.Device) []byte {
	dst = append(dst, deviceVersion)
	dst = appendString(dst, v.Platform)
	dst = appendString(dst, v.Client)
	dst = binary.AppendUvarint(dst, v.FirstSeenMs)
	return binary.AppendUvarint(dst, v.LastSeenMs)
}

func decodeDevice(b []byte, id tidemark.DeviceID) (*record.Device, error) {
	d := decoder{b: b}
	d.version(deviceVersion)
	v := &record.Device{ID: id, Platform: d.string(), Client: d.string(), FirstSeenMs: d.uvarint(), LastSeenMs: d.uvarint()}
	return v, d.end()
}

func appendState(dst []byte, s record.Partition) []byte {
	dst = append(dst, stateVersion)
	dst = binary.AppendUvarint(dst, uint64(s.Position))
	dst = binary.AppendUvarint(dst, uint64(s.LastID))
	dst = binary.AppendUvarint(dst, uint64(s.Users))
	return binary.AppendUvarint(dst, uint64(s.Conversations))
}

func decodeState(b []byte) (record.Partition, error) {
	d := decoder{b: b}
	d.version(stateVersion)
	s := record.Partition{Position: d.position(), LastID: tidemark.EventID(d.uvarint())}
	s.Users = record.User(d.upTo(1<<32 - 1))
	s.Conversations = record.Conversation(d.upTo(1<<32 - 1))
	return s, d.end()
}

// decodeUvarint decodes a value that is one number not above limit: an ordinal, a position, a counted ordinal.
func decodeUvarint(b []byte, limit uint64) (uint64, error) {
	d := decoder{b: b}
	v := d.upTo(limit)
	return v, d.end()
}

// decodeSeqs decodes the value of a client id's row: one seq, or several where hashes are equal.
func decodeSeqs(b []byte) ([]tidemark.Seq, error) {
	d := decoder{b: b}
	var seqs []tidemark.Seq
	for len(d.b) > 0 {
		seqs = append(seqs, tidemark.Seq(d.upTo(uint64(SeqMax))))
	}
	return seqs, d.end()
}
