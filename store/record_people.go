// SPDX-License-Identifier: Apache-2.0

// The encodings of what belongs to people: members, profiles, devices; and of the partition's own state.

package store

import (
	"encoding/binary"
	"math"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

const (
	memberVersion  = 2
	profileVersion = 2
	deviceVersion  = 1
	stateVersion   = 1

	accountVersion   = 1
	privateVersion   = 1
	scheduledVersion = 1
	requestVersion   = 1
)

const (
	memberPinned = 1 << iota
	memberMuted
	memberHidden
	memberMarkedUnread
	memberBlocked
	memberGoverned // SilencedUntilMs, LastPostMs, PrivatePosition, ClearedSeq, GrantedFrom follow
	memberContact  // the fields of a direct conversation follow
	memberOwn      // Own follows
	memberFlags    = 1<<iota - 1
)

func appendMember(dst []byte, m *record.Member) []byte {
	governed := m.SilencedUntilMs != 0 || m.LastPostMs != 0 || m.PrivatePosition != 0 || m.ClearedSeq != 0 || m.GrantedFrom != 0
	contact := m.Contact != 0 || m.Remark != "" || m.RequestText != "" || m.ContactPosition != 0
	dst = append(dst, memberVersion, byte(m.Role), flag(m.Pinned, memberPinned)|flag(m.Muted, memberMuted)|
		flag(m.Hidden, memberHidden)|flag(m.MarkedUnread, memberMarkedUnread)|flag(m.Blocked, memberBlocked)|
		flag(governed, memberGoverned)|flag(contact, memberContact)|flag(m.Own != "", memberOwn))
	for _, v := range [...]uint64{
		uint64(m.JoinedSeq), uint64(m.VisibleFrom), uint64(m.LeftSeq), uint64(m.ReadSeq), m.ReadCounted,
		uint64(m.MentionSeq), uint64(m.Position), uint64(m.HiddenSeq), uint64(m.ListPosition),
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendString(dst, m.Alias)
	if governed {
		dst = binary.AppendUvarint(dst, m.SilencedUntilMs)
		dst = binary.AppendUvarint(dst, m.LastPostMs)
		dst = binary.AppendUvarint(dst, uint64(m.PrivatePosition))
		dst = binary.AppendUvarint(dst, uint64(m.ClearedSeq))
		dst = binary.AppendUvarint(dst, uint64(m.GrantedFrom))
	}
	if contact {
		dst = append(dst, byte(m.Contact))
		dst = appendString(appendString(dst, m.Remark), m.RequestText)
		dst = binary.AppendUvarint(dst, uint64(m.ContactPosition))
	}
	if m.Own != "" {
		dst = binary.AppendUvarint(dst, uint64(m.Own.Len()))
		last := m.ReadSeq
		for i := range m.Own.Len() {
			dst = binary.AppendUvarint(dst, uint64(m.Own.At(i)-last))
			last = m.Own.At(i)
		}
	}
	return dst
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
	m.ListPosition = d.position()
	m.Alias = d.string()
	m.Blocked = flags&memberBlocked != 0
	if flags&memberGoverned != 0 {
		m.SilencedUntilMs = d.uvarint()
		m.LastPostMs = d.uvarint()
		m.PrivatePosition = d.position()
		m.ClearedSeq = d.seq()
		m.GrantedFrom = d.seq()
	}
	if flags&memberContact != 0 {
		m.Contact = record.ContactState(d.byte())
		m.Remark = d.string()
		m.RequestText = d.string()
		m.ContactPosition = d.position()
	}
	if flags&memberOwn != 0 {
		last := m.ReadSeq
		for n := min(d.uvarint(), record.OwnSeqsMax); n > 0; n-- {
			last += d.seq()
			m.Own = m.Own.With(last)
		}
	}
	return m, d.end()
}

func appendProfile(dst []byte, p *record.Profile) []byte {
	dst = append(dst, profileVersion)
	dst = appendString(dst, p.Nickname)
	dst = appendString(dst, p.Avatar)
	dst = appendMap(dst, p.Custom)
	dst = binary.AppendUvarint(dst, uint64(p.NicknamePosition))
	dst = binary.AppendUvarint(dst, uint64(p.AvatarPosition))
	dst = binary.AppendUvarint(dst, uint64(p.CustomPosition))
	return binary.AppendUvarint(dst, uint64(p.DeletedPosition))
}

func decodeProfile(b []byte, id tidemark.UserID) (*record.Profile, error) {
	d := decoder{b: b}
	d.version(profileVersion)
	p := &record.Profile{ID: id, Nickname: d.string(), Avatar: d.string(), Custom: d.stringMap()}
	p.NicknamePosition = d.position()
	p.AvatarPosition = d.position()
	p.CustomPosition = d.position()
	p.DeletedPosition = d.position()
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

const (
	accountHidePresence = 1 << iota
	accountHideTyping
	accountContactsOnly
	accountFlags = 1<<iota - 1
)

func appendAccount(dst []byte, a *record.Account) []byte {
	dst = append(dst, accountVersion, flag(a.HidePresence, accountHidePresence)|flag(a.HideTyping, accountHideTyping)|
		flag(a.ContactsOnly, accountContactsOnly))
	dst = binary.AppendUvarint(dst, a.TokensFromMs)
	dst = binary.AppendUvarint(dst, a.DeletedMs)
	dst = binary.AppendUvarint(dst, uint64(len(a.Revoked)))
	for _, r := range a.Revoked {
		dst = binary.AppendUvarint(appendString(dst, r.Device), r.FromMs)
	}
	return dst
}

func decodeAccount(b []byte, id tidemark.UserID) (*record.Account, error) {
	d := decoder{b: b}
	d.version(accountVersion)
	flags := d.flags(accountFlags)
	a := &record.Account{
		User: id, HidePresence: flags&accountHidePresence != 0, HideTyping: flags&accountHideTyping != 0,
		ContactsOnly: flags&accountContactsOnly != 0,
	}
	a.TokensFromMs = d.uvarint()
	a.DeletedMs = d.uvarint()
	if n := d.count(); n > 0 {
		a.Revoked = make([]record.RevokedDevice, n)
	}
	for i := range a.Revoked {
		a.Revoked[i] = record.RevokedDevice{Device: tidemark.DeviceID(d.string()), FromMs: d.uvarint()}
	}
	return a, d.end()
}

func appendPrivate(dst []byte, p *record.Private) []byte {
	dst = appendString(append(dst, privateVersion), p.Draft)
	dst = binary.AppendUvarint(dst, uint64(p.DraftReplyTo))
	dst = binary.AppendUvarint(dst, p.DraftMs)
	return appendAscending(dst, p.Deleted)
}

func decodePrivate(b []byte) (*record.Private, error) {
	d := decoder{b: b}
	d.version(privateVersion)
	p := &record.Private{Draft: d.string(), DraftReplyTo: d.seq(), DraftMs: d.uvarint()}
	p.Deleted = decodeAscending[tidemark.Seq](&d, math.MaxUint64)
	return p, d.end()
}

func appendScheduled(dst []byte, s *record.Scheduled) []byte {
	dst = binary.AppendUvarint(append(dst, scheduledVersion), s.DueMs)
	dst = binary.AppendUvarint(dst, s.CreatedMs)
	return appendString(appendString(appendString(dst, s.Body), s.Reason), s.Message)
}

func decodeScheduled(b []byte) (*record.Scheduled, error) {
	d := decoder{b: b}
	d.version(scheduledVersion)
	s := &record.Scheduled{DueMs: d.uvarint(), CreatedMs: d.uvarint()}
	s.Body = append([]byte{}, d.bytes()...)
	s.Reason, s.Message = d.string(), d.string()
	return s, d.end()
}

func appendJoinRequest(dst []byte, r *record.JoinRequest) []byte {
	return appendString(binary.AppendUvarint(append(dst, requestVersion), r.TimeMs), r.Text)
}

func decodeJoinRequest(b []byte) (*record.JoinRequest, error) {
	d := decoder{b: b}
	d.version(requestVersion)
	r := &record.JoinRequest{TimeMs: d.uvarint(), Text: d.string()}
	return r, d.end()
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
