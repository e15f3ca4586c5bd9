// SPDX-License-Identifier: Apache-2.0

// Taking in events as they are told on any way: what one place of a log has ever been said to hold.

package invariant

import (
	"cmp"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// delta takes in what somebody was told of a conversation by a delta or a pull.
func (c *Checker) delta(who Who, epoch tidemark.Epoch, d *wire.ConversationDelta) {
	in := tidemark.ConversationID(d.Id)
	c.digest(who, epoch, in, tidemark.Seq(d.HeadSeq), d.HeadDigest)
	c.digest(who, epoch, in, tidemark.Seq(d.PrevSeq), d.PrevDigest)
	c.run(who, epoch, in, d.HeadSeq, d.Events)
}

// fetched takes in a page of history.
func (c *Checker) fetched(who Who, epoch tidemark.Epoch, f *wire.Fetched) {
	in := tidemark.ConversationID(f.Conversation)
	c.digest(who, epoch, in, tidemark.Seq(f.HeadSeq), f.HeadDigest)
	if len(f.Events) > 0 {
		c.digest(who, epoch, in, tidemark.Seq(f.Events[0].Seq-1), f.PrevDigest)
	}
	c.run(who, epoch, in, f.HeadSeq, f.Events)
}

// run takes in events that came together.
func (c *Checker) run(who Who, epoch tidemark.Epoch, in tidemark.ConversationID, head uint64, events []*wire.Event) {
	last := uint64(0)
	for _, e := range events {
		seq := tidemark.Seq(e.Seq)
		if e.Seq <= last {
			c.report(about("S1", who, in, seq, "seq %d comes after seq %d", e.Seq, last))
		}
		if e.Seq > head {
			c.report(about("S1", who, in, seq, "seq %d is past the head %d that comes with it", e.Seq, head))
		}
		last = e.Seq
		if link, ok := LinkOf(e); ok {
			c.event(who, epoch, in, link, false)
		}
	}
}

// submitted takes in the answer to a submission; m is nil when nobody knows of one.
func (c *Checker) submitted(who Who, epoch tidemark.Epoch, m *wire.Submit, a *wire.Submitted) {
	if m == nil || a.Seq == 0 { // of class TRANSIENT
		return
	}
	in := tidemark.ConversationID(a.Conversation)
	c.digest(who, epoch, in, tidemark.Seq(a.Seq), a.Digest)
	if a.Duplicate || len(a.Salt) != 8 {
		return // what was stored is what an earlier submission said
	}
	body, sender := BodyOf(m), cmp.Or(who.User, tidemark.SystemUser)
	c.event(who, epoch, in, chain.Link{
		Seq: tidemark.Seq(a.Seq), ID: tidemark.EventID(a.Id), TimeMs: a.TimeMs, Sender: sender,
		ClientID: tidemark.ClientID(m.ClientId), Kind: wire.BodyKind(body),
		BodyHash: chain.BodyHash([8]byte(a.Salt), wire.MarshalBody(body)),
	}, true)
}

// event takes in one event: S1 an acknowledged header never changes, S2 no (epoch, conversation, seq) names two events.
func (c *Checker) event(who Who, epoch tidemark.Epoch, in tidemark.ConversationID, link chain.Link, acked bool) {
	h := c.history(epoch, in)
	old := h.events[link.Seq]
	switch {
	case old == nil:
		h.events[link.Seq] = &seen{link: link, by: who, acked: acked}
		return
	case old.link == link:
	case old.acked:
		c.report(about("S1", who, in, link.Seq, "event %d differs from what its sender was told: %s, before %s", link.Seq, show(link), show(old.link)))
	case old.link.ID != link.ID:
		c.report(about("S2", who, in, link.Seq, "one place of the log names two events: %s, before (to %s) %s", show(link), old.by, show(old.link)))
	default:
		c.report(about("S1", who, in, link.Seq, "the header has changed: %s, before (to %s) %s", show(link), old.by, show(old.link)))
	}
	old.acked = old.acked || acked
}

// digest takes in a chain value: Y3, nobody is told another history than others were. An empty one was not told.
func (c *Checker) digest(who Who, epoch tidemark.Epoch, in tidemark.ConversationID, seq tidemark.Seq, value []byte) {
	if len(value) != len(tidemark.Digest{}) {
		return
	}
	h, d := c.history(epoch, in), tidemark.Digest(value)
	if old, known := h.digests[seq]; known && old != d {
		c.report(about("Y3", who, in, seq, "the chain is %.8s… at %d; others were told %.8s…", d, seq, old))
	}
	h.digests[seq] = d
}

// LinkOf is what an event, as it goes over the wire, adds to the chain; ok is false when it does not say enough.
func LinkOf(e *wire.Event) (link chain.Link, ok bool) {
	link = chain.Link{
		Seq: tidemark.Seq(e.Seq), ID: tidemark.EventID(e.Id), TimeMs: e.TimeMs, Sender: tidemark.UserID(e.Sender),
		ClientID: tidemark.ClientID(e.ClientId), Kind: uint8(e.Kind),
	}
	switch {
	case len(e.BodyHash) == len(link.BodyHash):
		link.BodyHash = tidemark.Digest(e.BodyHash)
	case len(e.Salt) == 8:
		number, _, n := protowire.ConsumeTag(e.Body)
		if n <= 0 {
			return link, false
		}
		link.Kind, link.BodyHash = uint8(number), chain.BodyHash([8]byte(e.Salt), e.Body)
	default:
		return link, false
	}
	return link, true
}

// BodyOf is the body that a submission asks to append.
func BodyOf(m *wire.Submit) *wire.Body {
	switch a := m.Action.(type) {
	case *wire.Submit_Message:
		return &wire.Body{Body: &wire.Body_Message{Message: a.Message}}
	case *wire.Submit_Edit:
		return &wire.Body{Body: &wire.Body_Edit{Edit: a.Edit}}
	case *wire.Submit_Recall:
		return &wire.Body{Body: &wire.Body_Recall{Recall: a.Recall}}
	case *wire.Submit_Reaction:
		return &wire.Body{Body: &wire.Body_Reaction{Reaction: a.Reaction}}
	case *wire.Submit_Pin:
		return &wire.Body{Body: &wire.Body_Pin{Pin: a.Pin}}
	}
	return &wire.Body{}
}

// frameOf is a submission by HTTP as the frame that asks for the same.
func frameOf(r *wire.SubmitRequest) *wire.Submit {
	m := &wire.Submit{ClientId: r.ClientId, Conversation: r.Conversation, ToUser: r.ToUser}
	switch a := r.Action.(type) {
	case *wire.SubmitRequest_Message:
		m.Action = &wire.Submit_Message{Message: a.Message}
	case *wire.SubmitRequest_Edit:
		m.Action = &wire.Submit_Edit{Edit: a.Edit}
	case *wire.SubmitRequest_Recall:
		m.Action = &wire.Submit_Recall{Recall: a.Recall}
	case *wire.SubmitRequest_Reaction:
		m.Action = &wire.Submit_Reaction{Reaction: a.Reaction}
	case *wire.SubmitRequest_Pin:
		m.Action = &wire.Submit_Pin{Pin: a.Pin}
	}
	return m
}

// show is an event's header for people.
func show(l chain.Link) string {
	return fmt.Sprintf("id %d of %s, client id %q, time %d, kind %d", l.ID, l.Sender, l.ClientID, l.TimeMs, l.Kind)
}
