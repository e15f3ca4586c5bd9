// SPDX-License-Identifier: Apache-2.0

// The log: how an event gets its seq, id, time, salt and digest, and what every append changes besides the log itself
// (the head, the hour index, the memory of client ids, the writer's own read mark).

package core

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const hourMs = 3600 * 1000

// draft is an event to be appended.
type draft struct {
	writer   tidemark.UserID
	user     record.User
	clientID tidemark.ClientID // "" for events that no device has named
	kind     record.BodyKind
	body     []byte
	counted  bool
	timeMs   uint64
}

// append adds an event to the log of the turn's conversation. Its time never falls below that of the event before.
func (t *turn) append(d draft) *record.Event {
	t.partition.LastID = t.partition.LastID.Next(t.env.NowMs, t.env.Partition)
	e := &record.Event{
		Seq:       t.head.Seq + 1,
		ID:        t.partition.LastID,
		TimeMs:    max(t.head.TimeMs, d.timeMs),
		Sender:    d.user,
		SenderID:  d.writer,
		ClientID:  d.clientID,
		IsCounted: d.counted,
		Kind:      d.kind,
		Salt:      t.salt(),
		Body:      d.body,
	}
	e.BodyHash = chain.BodyHash(e.Salt, e.Body)
	t.add(e)
	return e
}

// add puts an event at the end of the log: the head, the memory of client ids and the hour index follow.
func (t *turn) add(e *record.Event) {
	h := t.ownHead()
	h.Seq, h.TimeMs, h.Position = e.Seq, e.TimeMs, t.env.Position
	if e.IsCounted {
		h.Counted++
	}
	e.Counted, e.Position = h.Counted, h.Position
	h.Digest = chain.Next(h.Digest, chain.Link{
		Seq: e.Seq, ID: e.ID, TimeMs: e.TimeMs, Sender: e.SenderID, ClientID: e.ClientID,
		Kind: uint8(e.Kind), BodyHash: e.BodyHash,
	})
	e.Digest = h.Digest
	t.out.Events = append(t.out.Events, record.EventChange{Conversation: t.info.Ordinal, Event: e})
	if e.ClientID != "" {
		t.out.ClientIDs = append(t.out.ClientIDs, record.ClientIDChange{
			Conversation: t.info.Ordinal, User: e.Sender, ClientID: e.ClientID, Seq: e.Seq,
		})
	}
	t.countHour(e)
}

// write appends what the asking user (or the system) has written.
func (t *turn) write(clientID tidemark.ClientID, kind record.BodyKind, body []byte, counted bool) *record.Event {
	if t.user == 0 {
		t.user = t.ordinal(t.writer)
	}
	before := t.head.Seq
	e := t.append(draft{
		writer: t.writer, user: t.user, clientID: clientID, kind: kind, body: body, counted: counted,
		timeMs: t.env.NowMs,
	})
	t.readOwn(counted, before)
	return e
}

// readOwn moves the writer's own read mark over the message just appended, if it counts: nobody's own messages are ever
// unread, and who answers has read. A reaction or an edit says nothing of the kind. A room has no read marks. before is
// the seq before it.
//
// A scheduled message says less: its writer may be asleep. It moves the mark only if that stood at the last event;
// otherwise it is noted as one that is not unread, for as many as [record.OwnSeqs] hold; older ones count again.
func (t *turn) readOwn(counted bool, before tidemark.Seq) {
	switch {
	case t.member == nil || !counted || t.info.Kind == record.Room:
	case t.absent && max(t.memberOf(t.user).ReadSeq, t.head.Floor) < before:
		m := t.ownMember(t.user, true)
		m.Own, m.Position = m.Own.With(t.head.Seq), t.env.Position
	case t.absent:
		m := t.ownMember(t.user, true)
		marked := m.MarkedUnread
		t.readBy(m)
		m.MarkedUnread = marked
	default:
		t.readBy(t.ownMember(t.user, true))
	}
}

// readBy moves a read mark to the head.
func (t *turn) readBy(m *record.Member) {
	t.moveMark(m, t.head.Seq, t.head.Counted)
	m.Position = t.env.Position
}

// moveMark moves a read mark up to a seq, at which so many events were counted.
func (t *turn) moveMark(m *record.Member, seq tidemark.Seq, counted uint64) {
	m.ReadSeq, m.ReadCounted, m.MarkedUnread = seq, counted, false
	m.Own = m.Own.Past(seq)
}

// ownHead is the head as this command changes it.
func (t *turn) ownHead() *record.Head {
	if !t.headOwned {
		head := *t.head
		t.head, t.headOwned = &head, true
	}
	return t.head
}

// countHour counts an event in the hour index: one row for each hour that has events, by the events' own time.
func (t *turn) countHour(e *record.Event) {
	hour := uint32(e.TimeMs / hourMs)
	if t.hour.Count == 0 || t.hour.Hour != hour {
		if t.hour.Count > 0 {
			t.out.Hours = append(t.out.Hours, record.HourChange{Conversation: t.info.Ordinal, Hour: t.hour})
		}
		row, ok := t.view.Hour(t.info.Ordinal, hour)
		if !ok {
			row = record.Hour{Hour: hour, First: e.Seq}
		}
		t.hour = row
	}
	t.hour.Count++
	t.hour.Digest = e.Digest
}

// salt is the salt of the next event. A command that appends one event uses the entropy it was given. One that appends
// more derives each salt from that entropy without showing it, so that who knows one salt cannot compute the next, and
// with it guess a body that was erased.
func (t *turn) salt() (salt [8]byte) {
	if !t.many {
		return t.env.Salt
	}
	t.salts++
	var b [12]byte
	copy(b[:], t.env.Salt[:])
	binary.BigEndian.PutUint32(b[8:], t.salts)
	sum := sha256.Sum256(b[:])
	return [8]byte(sum[:8])
}

// marshalMessage is wire.MarshalBody of a Body{message}, made with one allocation.
func marshalMessage(m *wire.Message) []byte {
	size := m.SizeVT()
	body := make([]byte, 0, messageBytes(size))
	body = append(body, byte(record.MessageBody)<<3|2)
	body = binary.AppendUvarint(body, uint64(size))
	start := len(body)
	body = body[:start+size]
	if _, err := m.MarshalToSizedBufferVT(body[start:]); err != nil {
		panic("core: a message did not fit the size it gave: " + err.Error())
	}
	return body
}

// messageBytes is the size of Body{message} for a message of a size.
func messageBytes(size int) int { return 1 + (bits.Len64(uint64(size)|1)+6)/7 + size }

// answer is the reply that tells of an event.
func answer(e *record.Event) Reply {
	return Reply{
		Seq: e.Seq, ID: e.ID, TimeMs: e.TimeMs, Digest: e.Digest, Salt: e.Salt, Counted: e.Counted, Position: e.Position,
	}
}

// unchanged is the reply of a command that found nothing to do: where the conversation stands.
func (t *turn) unchanged() Reply {
	return Reply{
		Seq: t.head.Seq, TimeMs: t.head.TimeMs, Digest: t.head.Digest, Counted: t.head.Counted,
		Position: t.head.Position, Members: t.head.Members, Info: t.info,
	}
}
