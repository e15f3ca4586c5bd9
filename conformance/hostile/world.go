// SPDX-License-Identifier: Apache-2.0

// The truth of a run: logs of conversations, chained as a right server chains them, and what a device is told of them.

package hostile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// partitions is how many the server says that it has.
const partitions = 2

// firstMs is the time of the first event of every world: 2026-01-01.
const firstMs = 1_767_225_600_000

// world is one history of everything. A rewritten or forked history is a clone that goes on differently.
type world struct {
	epoch    uint64
	salt     uint64 // grows, also over clones: salts and ids differ
	position [partitions]uint64
	logs     map[string]*history
}

// history is one conversation.
type history struct {
	id        string
	partition uint32
	members   []string
	events    []event // seq n at n-1
	read      map[string]uint64
	gone      map[string]bool // was a member
}

// event is one entry, in the form of the log.
type event struct {
	*wire.Event
	kind     uint8
	text     string // of a message
	position uint64
	digest   tidemark.Digest
}

func newWorld() *world { return &world{epoch: 7, logs: map[string]*history{}} }

// clone is a copy that may go on differently. Its salts are its own.
func (w *world) clone() *world {
	c := &world{epoch: w.epoch, salt: w.salt + 1_000_000, position: w.position, logs: map[string]*history{}}
	for id, h := range w.logs {
		c.logs[id] = &history{id: id, partition: h.partition, members: slices.Clone(h.members), events: slices.Clone(h.events),
			read: maps.Clone(h.read), gone: maps.Clone(h.gone)}
	}
	return c
}

// create makes a conversation.
func (w *world) create(id string, members ...string) *history {
	h := &history{id: id, partition: tidemark.PartitionOfConversation(tidemark.ConversationID(id), partitions), members: members,
		read: map[string]uint64{}, gone: map[string]bool{}}
	w.logs[id] = h
	created := &wire.Info{Kind: wire.Kind_GROUP, Title: &id}
	w.append(h, "system", "", &wire.Body{Body: &wire.Body_Members{Members: &wire.Members{Added: members, Created: created}}})
	return h
}

// say appends a message.
func (w *world) say(id, sender, text string) *event {
	return w.append(w.logs[id], sender, fmt.Sprintf("x%d", w.salt+1), textBody(text))
}

func textBody(text string) *wire.Body {
	return &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Type: "text", Text: text}}}
}

// append adds an event in a commit of its own.
func (w *world) append(h *history, sender, clientID string, body *wire.Body) *event {
	return w.appendRaw(h, sender, clientID, body.GetMessage().GetText(), wire.BodyKind(body), wire.MarshalBody(body), 0)
}

// appendRaw adds an event with a body of bytes, at a time (0: soon after the one before).
func (w *world) appendRaw(h *history, sender, clientID, text string, kind uint8, body []byte, timeMs uint64) *event {
	w.salt++
	w.position[h.partition]++
	ev := &wire.Event{
		Seq: uint64(len(h.events) + 1), Id: w.salt<<8 | uint64(h.partition), TimeMs: cmp.Or(timeMs, firstMs+1000*w.salt), Sender: sender,
		ClientId: clientID, Body: body, Salt: binary.BigEndian.AppendUint64(nil, w.salt*0x9E3779B97F4A7C15),
	}
	if n := len(h.events); n > 0 {
		ev.Counted = h.events[n-1].Counted
	}
	if kind == 1 {
		ev.Counted++
	}
	e := event{Event: ev, kind: kind, text: text, position: w.position[h.partition]}
	e.digest = chain.Next(h.digest(ev.Seq-1), chain.Link{Seq: tidemark.Seq(ev.Seq), ID: tidemark.EventID(ev.Id), TimeMs: ev.TimeMs,
		Sender: tidemark.UserID(sender), ClientID: tidemark.ClientID(clientID), Kind: kind, BodyHash: chain.BodyHash([8]byte(ev.Salt), body)})
	h.events = append(h.events, e)
	if kind == 1 {
		h.read[sender] = ev.Seq
	}
	return &h.events[len(h.events)-1]
}

// cut drops the events after a seq: what follows will be another history.
func (h *history) cut(seq uint64) { h.events = slices.Clip(h.events[:seq]) }

func (h *history) head() uint64 { return uint64(len(h.events)) }

func (h *history) digest(seq uint64) tidemark.Digest {
	if seq == 0 {
		return chain.Start(tidemark.ConversationID(h.id))
	}
	return h.events[seq-1].digest
}

// seal is the server's mark on a chain value, by which it knows after a restore what it once had.
func seal(id string, seq uint64, digest tidemark.Digest) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "hostile %s %d %x", id, seq, digest))
	return sum[:16]
}

// takeBack appends events that a device gives back, as they were, if the seal proves them; false: it does not.
func (w *world) takeBack(h *history, events []*wire.Event, mark []byte) bool {
	events = slices.DeleteFunc(slices.Clone(events), func(ev *wire.Event) bool { return ev.GetSeq() <= h.head() })
	was := h.head()
	for _, ev := range events {
		if ev.Seq != h.head()+1 || len(ev.Salt) != 8 || len(ev.Body) == 0 {
			h.cut(was)
			return false
		}
		var body wire.Body
		_ = body.UnmarshalVT(ev.Body) // of a newer client: its kind is 0
		e := event{Event: ev, kind: wire.BodyKind(&body), text: body.GetMessage().GetText()}
		e.digest = chain.Next(h.digest(ev.Seq-1), chain.Link{Seq: tidemark.Seq(ev.Seq), ID: tidemark.EventID(ev.Id), TimeMs: ev.TimeMs,
			Sender: tidemark.UserID(ev.Sender), ClientID: tidemark.ClientID(ev.ClientId), Kind: e.kind, BodyHash: chain.BodyHash([8]byte(ev.Salt), ev.Body)})
		h.events = append(h.events, e)
	}
	if !bytes.Equal(mark, seal(h.id, h.head(), h.digest(h.head()))) {
		h.cut(was)
		return false
	}
	for i := was; i < h.head(); i++ {
		w.position[h.partition]++
		h.events[i].position = w.position[h.partition]
	}
	return true
}

// find is the event of a client id; nil: there is none.
func (h *history) find(sender, clientID string) *event {
	for i := range h.events {
		if e := &h.events[i]; e.Sender == sender && e.ClientId == clientID {
			return e
		}
	}
	return nil
}

// of are a user's conversations, the last active first.
func (w *world) of(user string) []*history {
	var list []*history
	for _, h := range w.logs {
		if slices.Contains(h.members, user) {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *history) int {
		return cmp.Or(cmp.Compare(b.events[len(b.events)-1].TimeMs, a.events[len(a.events)-1].TimeMs), cmp.Compare(a.id, b.id))
	})
	return list
}

// summary is what a delta says of a conversation besides its events.
func (w *world) summary(h *history, user string) *wire.ConversationDelta {
	last := &h.events[len(h.events)-1]
	digest, unread, mentions := h.digest(h.head()), uint64(0), uint64(0)
	for i := range h.events {
		if e := &h.events[i]; e.kind == 1 && e.Seq > h.read[user] && e.Sender != user {
			unread++
		}
	}
	return &wire.ConversationDelta{
		Id: h.id, Partition: h.partition, HeadSeq: h.head(), HeadDigest: digest[:], HeadSeal: seal(h.id, h.head(), digest), LastTimeMs: last.TimeMs, Unread: &unread, Mentions: &mentions,
		Info: &wire.ConversationInfo{Kind: wire.Kind_GROUP, Title: h.id, MemberCount: uint32(len(h.members)), CreatedMs: h.events[0].TimeMs, InfoVersion: "1", MembersVersion: "1"},
		Self: &wire.Self{Role: wire.Role_MEMBER, JoinedSeq: 1, VisibleFrom: 1, ReadSeq: h.read[user]},
	}
}

// delta is what changed in a conversation between two positions of its partition: its last events, at most tail, without
// those of which leaveOut says so. nil: nothing did.
func (w *world) delta(h *history, user string, after, upTo uint64, tail int, leaveOut func(*event) bool) *wire.ConversationDelta {
	if h.events[len(h.events)-1].position <= after {
		return nil
	}
	d := w.summary(h, user)
	var events []*wire.Event
	for i := range h.events {
		if e := &h.events[i]; e.position > after && e.position <= upTo && !leaveOut(e) {
			events = append(events, e.Event)
		}
	}
	events = events[max(0, len(events)-tail):]
	if len(events) > 0 {
		d.PrevSeq = events[0].Seq - 1
		prev := h.digest(d.PrevSeq)
		d.PrevDigest, d.Events = prev[:], events
	}
	return d
}

// page answers a request for history. Requests by time get the latest events.
func (w *world) page(h *history, from any, limit uint64) *wire.Fetched {
	head := h.head()
	limit = min(cmp.Or(limit, 50), pageEventsMax)
	digest := h.digest(head)
	f := &wire.Fetched{Conversation: h.id, HeadSeq: head, HeadDigest: digest[:], HeadSeal: seal(h.id, head, digest), FloorSeq: 1}
	low, high := head-min(limit, head)+1, head
	switch p := from.(type) {
	case *wire.Fetch_After:
		low, high = min(p.After, head)+1, min(head, min(p.After, head)+limit)
		f.HasMore = high < head
	case *wire.Fetch_Before:
		high = min(head, max(p.Before, 1)-1)
		low = high - min(limit, high) + 1
		f.HasMore = low > 1
	default:
		f.HasMore = low > 1
	}
	if low <= high {
		prev := h.digest(low - 1)
		f.PrevDigest = prev[:]
		for i := low; i <= high; i++ {
			f.Events = append(f.Events, h.events[i-1].Event)
		}
	}
	return f
}

// submitted is the answer to a submission.
func submitted(request uint64, h *history, e *event, duplicate bool) *wire.Submitted {
	return &wire.Submitted{Request: request, Conversation: h.id, Seq: e.Seq, Id: e.Id, TimeMs: e.TimeMs, Digest: e.digest[:],
		Partition: h.partition, Position: e.position, Duplicate: duplicate, Salt: e.Salt, Counted: e.Counted, Seal: seal(h.id, e.Seq, e.digest)}
}
