// SPDX-License-Identifier: Apache-2.0

// What a device has, folded from all that it was given. Every digest that can be checked on the way is.

package conformance

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// held is what a device has of one conversation.
type held struct {
	id         string
	info       *wire.ConversationInfo // the last that came
	self       *wire.Self             // the last that came
	private    *wire.Private          // the last that came
	head       uint64
	headDigest []byte // of the last delta that had one
	unread     uint64 // the last that came
	mentions   uint64 // the last that came
	removed    bool   // the last delta said so
	events     map[uint64]*wire.Event
	digests    map[uint64]tidemark.Digest // the chain, where it could be computed or was told
	deltas     []*wire.ConversationDelta  // all that came
}

// conversation is what the device has of a conversation; empty when nothing has come.
func (d *device) conversation(id string) *held {
	h := d.held[id]
	if h == nil {
		h = &held{id: id, events: map[uint64]*wire.Event{}, digests: map[uint64]tidemark.Digest{0: chain.Start(tidemark.ConversationID(id))}}
		d.held[id] = h
	}
	return h
}

// take folds one frame.
func (d *device) take(frame *wire.ServerFrame) {
	switch f := frame.GetFrame().(type) {
	case *wire.ServerFrame_Welcome:
		d.welcome = f.Welcome
		d.cursor.Epoch = f.Welcome.GetEpoch()
	case *wire.ServerFrame_Delta:
		for _, c := range f.Delta.GetConversations() {
			d.takeConversation(c)
		}
		for partition, position := range f.Delta.GetCheckpoints() {
			d.cursor.Positions[partition] = max(position, d.cursor.Positions[partition])
		}
	case *wire.ServerFrame_Synced:
		d.synced = f.Synced.GetCursor()
		d.cursor.Epoch = d.synced.GetEpoch()
		for partition, position := range d.synced.GetPositions() {
			d.cursor.Positions[partition] = max(position, d.cursor.Positions[partition])
		}
	case *wire.ServerFrame_Submitted:
		h := d.conversation(f.Submitted.GetConversation())
		h.digest(d, f.Submitted.GetSeq(), f.Submitted.GetDigest(), "submitted")
	case *wire.ServerFrame_Fetched:
		h := d.conversation(f.Fetched.GetConversation())
		if len(f.Fetched.GetPrevDigest()) > 0 && len(f.Fetched.GetEvents()) > 0 {
			h.digest(d, f.Fetched.GetEvents()[0].GetSeq()-1, f.Fetched.GetPrevDigest(), "fetched.prevDigest")
			h.takeEvents(d, f.Fetched.GetEvents())
		}
		h.digest(d, f.Fetched.GetHeadSeq(), f.Fetched.GetHeadDigest(), "fetched.headDigest")
	}
}

func (d *device) takeConversation(c *wire.ConversationDelta) {
	h := d.conversation(c.GetId())
	h.deltas = append(h.deltas, c)
	h.removed = c.GetRemoved()
	if c.GetInfo() != nil {
		h.info = c.GetInfo()
	}
	if c.GetSelf() != nil {
		h.self = c.GetSelf()
		if c.GetSelf().GetPrivate() != nil {
			h.private = c.GetSelf().GetPrivate()
		}
	}
	if c.Unread != nil {
		h.unread = c.GetUnread()
	}
	if c.Mentions != nil {
		h.mentions = c.GetMentions()
	}
	h.head = max(h.head, c.GetHeadSeq())
	if len(c.GetPrevDigest()) > 0 {
		h.digest(d, c.GetPrevSeq(), c.GetPrevDigest(), "prevDigest")
	}
	h.takeEvents(d, c.GetEvents())
	if len(c.GetHeadDigest()) > 0 {
		h.headDigest = c.GetHeadDigest()
		h.digest(d, c.GetHeadSeq(), c.GetHeadDigest(), "headDigest")
	}
}

// takeEvents keeps events and goes on with the chain where it is known up to them.
func (h *held) takeEvents(d *device, events []*wire.Event) {
	for _, e := range events {
		h.events[e.GetSeq()] = e
		h.head = max(h.head, e.GetSeq())
		if prev, known := h.digests[e.GetSeq()-1]; known {
			next := linked(prev, e)
			h.digest(d, e.GetSeq(), next[:], "the chain over the event")
		}
	}
}

// digest keeps the chain value at seq, and notes when another one is known there already.
func (h *held) digest(d *device, seq uint64, digest []byte, from string) {
	if len(digest) == 0 {
		return
	}
	known, is := h.digests[seq]
	switch {
	case len(digest) != len(known):
		d.breaks("%s of %s has %d bytes", from, h.id, len(digest))
	case is && !bytes.Equal(known[:], digest):
		d.breaks("%s #%d: %s is %x where the chain so far gives %x", h.id, seq, from, digest, known)
	case !is:
		h.digests[seq] = tidemark.Digest(digest)
	}
}

func (d *device) breaks(format string, args ...any) {
	if d.broken == "" {
		d.broken = fmt.Sprintf(format, args...)
	}
}

// linked is the chain value at an event, given the one before.
func linked(prev tidemark.Digest, e *wire.Event) tidemark.Digest {
	link := chain.Link{Seq: tidemark.Seq(e.GetSeq()), ID: tidemark.EventID(e.GetId()), TimeMs: e.GetTimeMs(),
		Sender: tidemark.UserID(e.GetSender()), ClientID: tidemark.ClientID(e.GetClientId())}
	if len(e.GetBodyHash()) > 0 {
		copy(link.BodyHash[:], e.GetBodyHash())
		link.Kind = uint8(e.GetKind())
	} else {
		hash := sha256.New()
		hash.Write(e.GetSalt())
		hash.Write(e.GetBody())
		hash.Sum(link.BodyHash[:0])
		link.Kind = wire.BodyKind(bodyOf(e))
	}
	return chain.Next(prev, link)
}

// bodyOf is the body of an event in either format; nil when it has none.
func bodyOf(e *wire.Event) *wire.Body {
	if e.GetBodyJson() != nil {
		return e.GetBodyJson()
	}
	if len(e.GetBody()) == 0 {
		return nil
	}
	body := &wire.Body{}
	if body.UnmarshalVT(e.GetBody()) != nil {
		return nil
	}
	return body
}

// textOf is the text of a message; "" of anything else.
func textOf(e *wire.Event) string { return bodyOf(e).GetMessage().GetText() }

// hasSeq reads until the device has been given the event.
func (d *device) hasSeq(conversation string, seq uint64) *wire.Event {
	d.reads(fmt.Sprintf("event %d of %s", seq, conversation), func() bool { return d.conversation(conversation).events[seq] != nil })
	return d.conversation(conversation).events[seq]
}

// reads reads frames until what the device has is as it should be.
func (d *device) reads(what string, ok func() bool) {
	if !ok() {
		d.readOn(d.p.kit.config.Timeout, what, func(*wire.ServerFrame) bool { return ok() })
	}
}

// covered reads until the device's checkpoints cover a position. Behind answers alone a checkpoint may wait for a ping [2.6].
func (d *device) covered(partition uint32, position uint64) {
	if d.cursor.GetPositions()[partition] < position {
		d.ping()
	}
	d.reads(fmt.Sprintf("a checkpoint of partition %d at or past %d", partition, position), func() bool {
		return d.cursor.GetPositions()[partition] >= position
	})
}

// chainHolds fails the check when anything by which the device could verify the chain did not agree.
func (d *device) chainHolds() {
	if d.broken != "" {
		d.p.fail("every digest agrees with the chain of section 3", "%s", d.broken)
	}
}
