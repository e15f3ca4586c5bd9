// SPDX-License-Identifier: Apache-2.0

// Versions and page tokens: opaque for clients, self-contained for servers.

package contract

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	tidemark "github.com/tidemark-im/tidemark"
)

// kind keeps what was handed out for one purpose from being understood for another.
type kind byte

const (
	groupsList   kind = 'g'
	groupsInfo   kind = 'G'
	membersList  kind = 'm'
	membersInfo  kind = 'M'
	contactsList kind = 'c'
	contactsInfo kind = 'C'
	profilesInfo kind = 'P'
	token        kind = 't'
)

// format is the first byte of everything handed out; another number is another layout.
const format = 1

// tag binds what was handed out to what it was for: a user, a conversation, a set of users. It guards against mixing up,
// not against forgery: whoever forges a version deceives nobody but itself.
type tag [4]byte

// tagOf is the tag of some texts in their order.
func tagOf(texts ...string) tag {
	h := sha256.New()
	var size [4]byte
	for _, text := range texts {
		binary.BigEndian.PutUint32(size[:], uint32(len(text)))
		h.Write(size[:])
		h.Write([]byte(text))
	}
	return tag(h.Sum(nil)[:4])
}

// headerBytes come before the numbers: format, kind, tag, epoch.
const headerBytes = 1 + 1 + 4 + 8

// seal packs numbers, and at the end a text, into an opaque string.
func seal(k kind, t tag, epoch tidemark.Epoch, text string, numbers ...uint64) string {
	data := make([]byte, 0, headerBytes+4*len(numbers)+len(text))
	data = append(data, format, byte(k))
	data = append(data, t[:]...)
	data = binary.BigEndian.AppendUint64(data, uint64(epoch))
	for _, n := range numbers {
		data = binary.AppendUvarint(data, n)
	}
	return base64.RawURLEncoding.EncodeToString(append(data, text...))
}

// open unpacks what seal packed, count numbers and the text after them. ok is false for everything else.
func open(k kind, t tag, epoch tidemark.Epoch, s string, count int) (numbers []uint64, text string, ok bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(data) < headerBytes || data[0] != format || data[1] != byte(k) || tag(data[2:6]) != t ||
		binary.BigEndian.Uint64(data[6:14]) != uint64(epoch) {
		return nil, "", false
	}
	data = data[headerBytes:]
	numbers = make([]uint64, count)
	for i := range numbers {
		number, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, "", false
		}
		numbers[i], data = number, data[n:]
	}
	return numbers, string(data), true
}

// vector is a position of every partition.
type vector []tidemark.Position

func (v vector) numbers() []uint64 {
	numbers := make([]uint64, len(v))
	for i, position := range v {
		numbers[i] = uint64(position)
	}
	return numbers
}

// toVector is numbers as positions; ok is false if one of them is past now.
func toVector(numbers []uint64, now vector) (v vector, ok bool) {
	v = make(vector, len(numbers))
	for i, n := range numbers {
		if v[i] = tidemark.Position(n); v[i] > now[i] {
			return nil, false
		}
	}
	return v, true
}

// vectorVersion is the version that stands for everything up to these positions.
func (a *answer) vectorVersion(k kind, t tag, v vector) string {
	return seal(k, t, a.set.Epoch(), "", v.numbers()...)
}

// readVector is the positions that a version stands for; ok is false if it cannot be used.
func (a *answer) readVector(k kind, t tag, version string) (v vector, ok bool) {
	numbers, rest, ok := open(k, t, a.set.Epoch(), version, len(a.now))
	if !ok || rest != "" {
		return nil, false
	}
	return toVector(numbers, a.now)
}

// fieldVersion is the version of one field of a profile that changed last at a position of the user's home partition.
func (a *answer) fieldVersion(home uint32, position tidemark.Position) string {
	var data [8 + 2*binary.MaxVarintLen64]byte
	binary.BigEndian.PutUint64(data[:], uint64(a.set.Epoch()))
	b := binary.AppendUvarint(data[:8], uint64(home))
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint(b, uint64(position)))
}

// place is where the pages of one answer have come to, and what they share.
type place struct {
	upTo      vector       // what the new versions stand for
	upToSeq   tidemark.Seq // of the conversation of a member list
	full      bool
	stage     stage
	partition uint32 // where the stage has come to: in this partition,
	done      uint64 // up to and including this ordinal, seq, index or position,
	part      uint64 // and so much of the next, or with this conversation,
	id        string // or with this user
}

// stage is a part of an answer; see the set it belongs to.
type stage uint8

// pageToken packs a place; t is the tag of the question.
func (a *answer) pageToken(t tag, p *place) string {
	mode := uint64(p.stage) << 1
	if p.full {
		mode |= 1
	}
	numbers := append([]uint64{mode, uint64(p.upToSeq), uint64(p.partition), p.done, p.part}, p.upTo.numbers()...)
	return seal(token, t, a.set.Epoch(), p.id, numbers...)
}

// readToken unpacks a place; it refuses with BAD_ARGUMENT.
func (a *answer) readToken(t tag, s string) (*place, error) {
	const fixed = 5
	numbers, id, ok := open(token, t, a.set.Epoch(), s, fixed+len(a.now))
	if !ok {
		return nil, badToken(s)
	}
	p := &place{
		full: numbers[0]&1 != 0, stage: stage(numbers[0] >> 1), upToSeq: tidemark.Seq(numbers[1]), partition: uint32(numbers[2]),
		done: numbers[3], part: numbers[4], id: id,
	}
	if p.upTo, ok = toVector(numbers[fixed:], a.now); !ok || numbers[0]>>1 > uint64(lastStage) || numbers[2] >= uint64(len(a.now)) {
		return nil, badToken(s)
	}
	return p, nil
}

func badToken(s string) error {
	return tidemark.Refuse(tidemark.BadArgument, "pageToken %.40q is not the nextPageToken of an answer to the same versions: "+
		"ask again without it", s)
}
