// SPDX-License-Identifier: Apache-2.0

// The encoding of events, by far the most of what is stored: about 60 bytes and the client id and body.

package store

import (
	"encoding/binary"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
)

// The first byte of an event: its kind in the low four bits, and flags.
const (
	eventKindMask = 0x0f
	eventCounted  = 0x10
	eventErased   = 0x20
	eventWholeID  = 0x40 // the id is not one of this partition and is written whole
	eventPacked   = 0x80 // the client id is of base32 digits only, and written with 5 bits each
)

// An event id is 42 bits of time, 8 bits of partition, 14 bits of counter; see [tidemark.EventID].
const (
	idCounterBits = 14
	idCounterMask = 1<<idCounterBits - 1
	idShiftTime   = 8 + idCounterBits
)

// appendEvent encodes an event of a partition. What the key says (seq) and what can be told from the rest (the body's
// hash, the sender's name) is left out; the time is written as its distance from the id's time. Compressible fields
// come first, salt and digest last.
func appendEvent(dst []byte, partition uint8, e *record.Event) []byte {
	whole, packed := e.ID.Partition() != uint32(partition), canPack(e.ClientID)
	dst = append(dst, byte(e.Kind)&eventKindMask|flag(e.IsCounted, eventCounted)|flag(e.Erased, eventErased)|
		flag(whole, eventWholeID)|flag(packed, eventPacked))
	if whole {
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.ID))
	} else {
		dst = binary.AppendUvarint(dst, uint64(e.ID>>idShiftTime))
		dst = binary.AppendUvarint(dst, uint64(e.ID&idCounterMask))
	}
	dst = binary.AppendVarint(dst, int64(e.TimeMs-e.ID.TimeMs()))
	dst = binary.AppendUvarint(dst, uint64(e.Sender))
	dst = binary.AppendUvarint(dst, uint64(e.Position))
	dst = binary.AppendUvarint(dst, uint64(e.Seq)-e.Counted)
	if packed {
		dst = appendPacked(dst, e.ClientID)
	} else {
		dst = appendString(dst, e.ClientID)
	}
	if e.Erased {
		dst = append(dst, e.BodyHash[:]...)
	} else {
		dst = append(dst, e.Body...)
		dst = append(dst, e.Salt[:]...)
	}
	return append(dst, e.Digest[:]...)
}

// decodeEvent decodes an event; the caller sets SenderID. The result shares nothing with b.
func decodeEvent(b []byte, partition uint8, seq tidemark.Seq) (*record.Event, error) {
	d := decoder{b: b}
	flags := d.byte()
	e := &record.Event{
		Seq: seq, Kind: record.BodyKind(flags & eventKindMask),
		IsCounted: flags&eventCounted != 0, Erased: flags&eventErased != 0,
	}
	if flags&eventWholeID != 0 {
		e.ID = tidemark.EventID(d.fixed(8))
	} else {
		ms := d.upTo(1<<(64-idShiftTime) - 1)
		e.ID = tidemark.EventID(ms<<idShiftTime | uint64(partition)<<idCounterBits | d.upTo(idCounterMask))
	}
	e.TimeMs = e.ID.TimeMs() + uint64(d.varint())
	e.Sender = record.User(d.upTo(1<<32 - 1))
	e.Position = d.position()
	e.Counted = uint64(seq) - d.uvarint()
	if flags&eventPacked != 0 {
		e.ClientID = d.packed()
	} else {
		e.ClientID = tidemark.ClientID(d.string())
	}
	if e.Erased {
		e.BodyHash = d.digest()
	} else {
		e.Body = append([]byte{}, d.take(len(d.b)-len(e.Salt)-len(e.Digest))...)
		copy(e.Salt[:], d.take(len(e.Salt)))
		e.BodyHash = chain.BodyHash(e.Salt, e.Body)
	}
	e.Digest = d.digest()
	return e, d.end()
}

// The digits of base32. The Go SDK's client ids are 26 of them by chance: as text they would take 8 bytes more of every
// message on disk, because compression finds nothing in them and does worse on the text around them.
const (
	base32Digits    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	base32DigitBits = 5
)

// base32Values are the digits' values; 255: it is none.
var base32Values = func() (values [256]byte) {
	for i := range values {
		values[i] = 255
	}
	for v, digit := range []byte(base32Digits) {
		values[digit] = byte(v)
	}
	return values
}()

func packedBytes(digits int) int { return (digits*base32DigitBits + 7) / 8 }

// canPack reports whether a client id is of base32 digits only.
func canPack(id tidemark.ClientID) bool {
	for i := range len(id) {
		if base32Values[id[i]] == 255 {
			return false
		}
	}
	return id != "" && len(id) <= tidemark.IDBytesMax
}

// appendPacked writes the number of digits, and then their values from the highest bit on.
func appendPacked(dst []byte, id tidemark.ClientID) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(id)))
	bits, n := uint(0), 0
	for i := range len(id) {
		bits, n = bits<<base32DigitBits|uint(base32Values[id[i]]), n+base32DigitBits
		if n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	if n > 0 {
		dst = append(dst, byte(bits<<(8-n)))
	}
	return dst
}

// packed takes what appendPacked has written.
func (d *decoder) packed() tidemark.ClientID {
	digits := int(d.upTo(tidemark.IDBytesMax))
	packed := d.take(packedBytes(digits))
	if len(packed) == 0 {
		d.fail(errShort)
		return ""
	}
	var id [tidemark.IDBytesMax]byte
	bits, n := uint(0), 0
	for i := range digits {
		if n < base32DigitBits {
			bits, packed = bits<<8|uint(packed[0]), packed[1:]
			n += 8
		}
		n -= base32DigitBits
		id[i] = base32Digits[bits>>n&31]
	}
	if bits&(1<<n-1) != 0 {
		d.fail(errTrailing)
		return ""
	}
	return tidemark.ClientID(id[:digits])
}

// appendCommit encodes the events of one commit as runs of neighbours: conversation, first seq, how many.
func appendCommit(dst []byte, events []record.ConversationSeq) []byte {
	for i := 0; i < len(events); {
		n := 1
		for i+n < len(events) && events[i+n].Conversation == events[i].Conversation &&
			events[i+n].Seq == events[i].Seq+tidemark.Seq(n) {
			n++
		}
		dst = binary.AppendUvarint(dst, uint64(events[i].Conversation))
		dst = binary.AppendUvarint(dst, uint64(events[i].Seq))
		dst = binary.AppendUvarint(dst, uint64(n))
		i += n
	}
	return dst
}

// commitEventsMax bounds what one commit row may claim to hold, so that a damaged one cannot ask for all memory: here for
// 16 MiB. A batch has far fewer events: it ends after 4 MiB.
const commitEventsMax = 1 << 20

func decodeCommit(b []byte) ([]record.ConversationSeq, error) {
	d := decoder{b: b}
	var events []record.ConversationSeq
	for len(d.b) > 0 {
		c := record.Conversation(d.upTo(1<<32 - 1))
		first := tidemark.Seq(d.upTo(uint64(SeqMax)))
		n := d.upTo(uint64(commitEventsMax - len(events)))
		if d.err == nil && n == 0 {
			d.fail(errNumber)
		}
		for i := range n {
			events = append(events, record.ConversationSeq{Conversation: c, Seq: first + tidemark.Seq(i)})
		}
	}
	return events, d.end()
}
