// SPDX-License-Identifier: Apache-2.0

// How records are written in a store: keys, values, and the version of both.

package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Format names what is in a store: the value of [FormatKey]. Its last part is the version.
const Format = "tidemark device 2"

// formatPrefix is the part of Format that no version changes.
const formatPrefix = "tidemark device "

// FormatKey is the key under which a store names its format.
var FormatKey = []byte("format")

// CheckFormat tells whether the store is empty (fresh), and errs when it holds what this version cannot read: data of a
// newer version, or something else's.
func CheckFormat(v View) (fresh bool, err error) {
	value, err := v.Get(FormatKey)
	switch {
	case err != nil:
		return false, fmt.Errorf("replica: read the format: %w", err)
	case string(value) == Format:
		return false, nil
	case value == nil:
		fresh = true
		err = v.Ascend(nil, []byte{0xff}, func(_, _ []byte) bool { fresh = false; return false })
		if err == nil && !fresh {
			err = errors.New("replica: the store holds data of another program: give an empty one")
		}
		return fresh, err
	case len(value) > len(formatPrefix) && string(value[:len(formatPrefix)]) == formatPrefix:
		return false, fmt.Errorf("replica: the store has format %q, this version reads %q: use a newer version of the app", value, Format)
	}
	return false, fmt.Errorf("replica: the store has the unknown format %q, wanted %q", value, Format)
}

// The keys. Conversation ids hold no NUL, so that the events of one never mix with another's.
var (
	metaKey     = []byte("meta")
	contactsKey = []byte("v/contacts") // versions of contracts
)

func conversationKey(id tidemark.ConversationID) []byte { return append([]byte("c/"), id...) }
func profileKey(id tidemark.UserID) []byte              { return append([]byte("p/"), id...) }
func outgoingKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("o/"), number)
}

func entryKey(id tidemark.ConversationID, seq tidemark.Seq) []byte {
	key := make([]byte, 0, len(id)+11)
	key = append(append(append(key, "e/"...), id...), 0)
	return binary.BigEndian.AppendUint64(key, uint64(seq))
}

// seqOfKey is the seq in the key of an event.
func seqOfKey(key []byte) (tidemark.Seq, bool) {
	if len(key) < 8 {
		return 0, false
	}
	return tidemark.Seq(binary.BigEndian.Uint64(key[len(key)-8:])), true
}

// prefixEnd is the first key after all that begin with a prefix whose last byte is not 0xff.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}

// meta is what the device knows about itself.
type meta struct {
	user   tidemark.UserID
	cursor tidemark.Cursor
	number uint64 // of the last outgoing
	// The server's data came to be of another epoch than the cursor was, and nothing has been synchronised since: what it
	// does not tell of may be lost.
	restored bool
}

// encoder appends fields; decoder reads them in the same order. A decoder that runs out remembers it and gives zeros.
type encoder []byte

func (e *encoder) uint(v uint64)            { *e = binary.AppendUvarint(*e, v) }
func (e *encoder) bytes(v []byte)           { e.uint(uint64(len(v))); *e = append(*e, v...) }
func (e *encoder) text(v string)            { e.uint(uint64(len(v))); *e = append(*e, v...) }
func (e *encoder) digest(d tidemark.Digest) { *e = append(*e, d[:]...) }
func (e *encoder) flag(v bool) {
	if v {
		*e = append(*e, 1)
	} else {
		*e = append(*e, 0)
	}
}

type decoder struct {
	data   []byte
	broken bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.broken, d.data = true, nil
		return 0
	}
	d.data = d.data[n:]
	return v
}

// raw is the next n bytes, not copied.
func (d *decoder) raw(n uint64) []byte {
	if n > uint64(len(d.data)) {
		d.broken, d.data = true, nil
		return nil
	}
	v := d.data[:n:n]
	d.data = d.data[n:]
	return v
}

func (d *decoder) text() string { return string(d.raw(d.uint())) }

// bytes is a copy; nil when empty.
func (d *decoder) bytes() []byte {
	v := d.raw(d.uint())
	if len(v) == 0 {
		return nil
	}
	return append([]byte(nil), v...)
}

func (d *decoder) digest() (v tidemark.Digest) { copy(v[:], d.raw(uint64(len(v)))); return v }
func (d *decoder) salt() (v [8]byte)           { copy(v[:], d.raw(uint64(len(v)))); return v }
func (d *decoder) flag() bool {
	v := d.raw(1)
	return len(v) == 1 && v[0] != 0
}

// count is a length that cannot exceed what is left to read.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.data)) {
		d.broken, d.data = true, nil
		return 0
	}
	return int(n)
}

func (e *encoder) users(list []tidemark.UserID) {
	e.uint(uint64(len(list)))
	for _, u := range list {
		e.text(string(u))
	}
}

func (d *decoder) users() (list []tidemark.UserID) {
	for range d.count() {
		list = append(list, tidemark.UserID(d.text()))
	}
	return list
}

func (d *decoder) done(what string) error {
	if d.broken || len(d.data) > 0 {
		return fmt.Errorf("replica: the store holds a damaged %s", what)
	}
	return nil
}

func (m *meta) encode() []byte {
	var e encoder
	e.text(string(m.user))
	e.uint(uint64(m.cursor.Epoch))
	e.uint(m.number)
	e.uint(uint64(len(m.cursor.Positions)))
	for _, p := range sortedKeys(m.cursor.Positions) {
		e.uint(uint64(p))
		e.uint(uint64(m.cursor.Positions[p]))
	}
	if m.restored { // older versions have written nothing here
		e.flag(true)
	}
	return e
}

func decodeMeta(data []byte) (m meta, err error) {
	d := decoder{data: data}
	m.user = tidemark.UserID(d.text())
	m.cursor.Epoch = tidemark.Epoch(d.uint())
	m.number = d.uint()
	m.cursor.Positions = map[uint32]tidemark.Position{}
	for range d.count() {
		p := uint32(d.uint())
		m.cursor.Positions[p] = tidemark.Position(d.uint())
	}
	if len(d.data) > 0 {
		m.restored = d.flag()
	}
	return m, d.done("meta record")
}

func (c *Conversation) encode() []byte {
	var e encoder
	e.uint(uint64(c.Partition))
	e.bytes(marshal(c.Info))
	e.bytes(marshal(c.Self))
	e.uint(uint64(c.HeadSeq))
	e.digest(c.HeadDigest)
	for _, v := range []uint64{uint64(c.DigestSeq), c.Unread, c.Mentions, c.LastTimeMs, uint64(c.Floor), uint64(c.PendingRead),
		uint64(c.Delivered), uint64(c.Read)} {
		e.uint(v)
	}
	e.flag(c.Removed)
	e.flag(c.Doubt.Open)
	e.uint(uint64(c.Doubt.Known))
	e.uint(uint64(len(c.Segments)))
	for _, s := range c.Segments {
		e.uint(uint64(s.From))
		e.uint(uint64(s.To))
		e.digest(s.Prev)
		e.digest(s.Last)
	}
	e.uint(uint64(len(c.unsure)))
	for _, seq := range c.unsure {
		e.uint(uint64(seq))
	}
	if c.Missing || len(c.seals) > 0 || c.told != (counts{}) { // older versions have written nothing from here on
		e.flag(c.Missing)
		e.uint(uint64(len(c.seals)))
		for _, s := range c.seals {
			e.uint(uint64(s.Seq))
			e.digest(s.Digest)
			e = append(e, s.Seal[:]...)
		}
	}
	if c.told != (counts{}) { // likewise
		e.uint(c.told.unread)
		e.uint(c.told.mentions)
		e.uint(c.told.lastTimeMs)
		e.uint(uint64(c.told.head))
	}
	return e
}

func decodeConversation(id tidemark.ConversationID, data []byte) (*Conversation, error) {
	d := decoder{data: data}
	c := &Conversation{ID: id, Partition: uint32(d.uint())}
	if info := d.raw(d.uint()); len(info) > 0 {
		c.Info = &wire.ConversationInfo{}
		d.broken = d.broken || c.Info.UnmarshalVT(info) != nil
	}
	if self := d.raw(d.uint()); len(self) > 0 {
		c.Self = &wire.Self{}
		d.broken = d.broken || c.Self.UnmarshalVT(self) != nil
	}
	c.HeadSeq, c.HeadDigest, c.DigestSeq = tidemark.Seq(d.uint()), d.digest(), tidemark.Seq(d.uint())
	c.Unread, c.Mentions, c.LastTimeMs = d.uint(), d.uint(), d.uint()
	c.Floor, c.PendingRead = tidemark.Seq(d.uint()), tidemark.Seq(d.uint())
	c.Delivered, c.Read = tidemark.Seq(d.uint()), tidemark.Seq(d.uint())
	c.Removed = d.flag()
	c.Doubt = Doubt{Open: d.flag(), Known: tidemark.Seq(d.uint())}
	for range d.count() {
		c.Segments = append(c.Segments, Segment{
			From: tidemark.Seq(d.uint()), To: tidemark.Seq(d.uint()), Prev: d.digest(), Last: d.digest(),
		})
	}
	for range d.count() {
		c.unsure = append(c.unsure, tidemark.Seq(d.uint()))
	}
	if len(d.data) > 0 {
		c.Missing = d.flag()
		for range d.count() {
			s := Seal{Seq: tidemark.Seq(d.uint()), Digest: d.digest()}
			copy(s.Seal[:], d.raw(uint64(len(s.Seal))))
			c.seals = append(c.seals, s)
		}
	}
	if len(d.data) > 0 {
		c.told = counts{unread: d.uint(), mentions: d.uint(), lastTimeMs: d.uint()}
	}
	if len(d.data) > 0 { // likewise
		c.told.head = tidemark.Seq(d.uint())
	}
	return c, d.done("conversation " + string(id))
}

func (o *Outgoing) encode() []byte {
	var e encoder
	e.text(string(o.ClientID))
	e.text(string(o.Conversation))
	e.text(string(o.ToUser))
	e.bytes(o.Body)
	e.uint(o.CreatedMs)
	state := o.State
	if state == Sent {
		state = Queued // what is on its way is known to nobody after a restart
	}
	e.uint(uint64(state))
	e.flag(o.Failure != nil)
	if o.Failure != nil {
		e.uint(uint64(o.Failure.Reason))
		e.text(o.Failure.Message)
	}
	e.uint(uint64(o.answer.seq))
	e.uint(uint64(o.answer.id))
	e.uint(o.answer.timeMs)
	e.uint(o.answer.counted)
	e = append(e, o.answer.salt[:]...)
	e.digest(o.answer.digest)
	return e
}

func decodeOutgoing(number uint64, data []byte) (*Outgoing, error) {
	d := decoder{data: data}
	o := &Outgoing{number: number}
	o.ClientID, o.Conversation = tidemark.ClientID(d.text()), tidemark.ConversationID(d.text())
	o.ToUser, o.Body, o.CreatedMs = tidemark.UserID(d.text()), d.bytes(), d.uint()
	o.State = State(d.uint())
	if d.flag() {
		o.Failure = &tidemark.Error{Reason: tidemark.Reason(d.uint()), Message: d.text()}
	}
	o.answer.seq, o.answer.id = tidemark.Seq(d.uint()), tidemark.EventID(d.uint())
	o.answer.timeMs, o.answer.counted, o.answer.salt, o.answer.digest = d.uint(), d.uint(), d.salt(), d.digest()
	return o, d.done("outgoing message")
}

func (n *entry) encode() []byte {
	e := make(encoder, 0, 160+len(n.body)+len(n.editBody))
	for _, v := range []uint64{uint64(n.id), n.timeMs, n.counted, uint64(n.kind), uint64(n.asOf), uint64(n.editSeq),
		uint64(n.recallSeq), uint64(n.eraseSeq), uint64(n.pinSeq)} {
		e.uint(v)
	}
	e.text(string(n.sender))
	e.text(string(n.clientID))
	e.digest(n.bodyHash)
	e.digest(n.digest)
	e.bytes(n.body)
	if n.body != nil {
		e = append(e, n.salt[:]...)
	}
	e.bytes(n.editBody)
	e.uint(uint64(len(n.reactions)))
	for _, t := range n.reactions {
		e.text(t.key)
		e.uint(uint64(t.count))
		e.flag(t.mine)
		e.users(t.in)
		e.users(t.out)
	}
	e.flag(n.hidden)
	e.uint(uint64(n.root))
	e.uint(uint64(n.threads.count))
	e.uint(uint64(n.threads.last))
	e.uint(uint64(len(n.ops)))
	for _, o := range n.ops {
		e.uint(uint64(o.seq))
		e.uint(uint64(o.kind))
		e.text(string(o.user))
		e.text(o.key)
		e.flag(o.removed)
		e.bytes(o.body)
	}
	return e
}

func decodeEntry(seq tidemark.Seq, data []byte) (*entry, error) {
	d := decoder{data: data}
	n := &entry{seq: seq}
	n.id, n.timeMs, n.counted, n.kind = tidemark.EventID(d.uint()), d.uint(), d.uint(), Kind(d.uint())
	n.asOf, n.editSeq = tidemark.Seq(d.uint()), tidemark.Seq(d.uint())
	n.recallSeq, n.eraseSeq, n.pinSeq = tidemark.Seq(d.uint()), tidemark.Seq(d.uint()), tidemark.Seq(d.uint())
	n.sender, n.clientID = tidemark.UserID(d.text()), tidemark.ClientID(d.text())
	n.bodyHash, n.digest, n.body = d.digest(), d.digest(), d.bytes()
	if n.body != nil {
		n.salt = d.salt()
	}
	n.editBody = d.bytes()
	for range d.count() {
		n.reactions = append(n.reactions, tally{key: d.text(), count: uint32(d.uint()), mine: d.flag(), in: d.users(), out: d.users()})
	}
	n.hidden, n.root, n.threads = d.flag(), tidemark.Seq(d.uint()), thread{count: uint32(d.uint()), last: tidemark.Seq(d.uint())}
	for range d.count() {
		n.ops = append(n.ops, op{seq: tidemark.Seq(d.uint()), kind: Kind(d.uint()), user: tidemark.UserID(d.text()),
			key: d.text(), removed: d.flag(), body: d.bytes()})
	}
	return n, d.done("event")
}

// marshalSorted is the encoding of a message with maps, the same for the same message.
func marshalSorted(m proto.Message) []byte {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil // text that is not UTF-8, of a server that makes no sense
	}
	return data
}

// marshal is the encoding of a message; empty for nil. (A message that is present but empty is read back as nil.)
func marshal(m interface{ MarshalVT() ([]byte, error) }) []byte {
	data, err := m.MarshalVT()
	if err != nil {
		panic(fmt.Sprintf("replica: a received message cannot be encoded: %v", err))
	}
	return data
}
