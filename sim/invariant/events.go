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

// history is what was seen of one log, on any way.
type history struct {
	events  map[tidemark.Seq]*seen
	digests map[tidemark.Seq]tidemark.Digest
	told    map[tidemark.UserID]map[tidemark.Seq]bool // events that each user was told; true: what an edit says, too
	acked   map[uint32][]acked                        // by partition (a conversation has one), in the order of answers
	ops     []operation                               // submissions and fetches that were answered, the last opsMax
	untold  []*Violation                              // of S8, unless the user was not a member then
	redone  []redone                                  // of S4, unless what was sent first is kept no longer
}

// seen is one event of which anybody was told.
type seen struct {
	link  chain.Link
	by    Who
	acked bool        // some sender was told that it is durable
	event *wire.Event // as it was told with its body; nil while it was not
}

// redone is a message that seems to have been appended twice.
type redone struct {
	first tidemark.Seq
	v     *Violation
}

// acked is an event whose sender was told at which position it is.
type acked struct {
	seq      tidemark.Seq
	position tidemark.Position
}

func (c *Checker) history(epoch tidemark.Epoch, in tidemark.ConversationID) *history {
	h := c.logs[place{epoch, in}]
	if h == nil {
		h = &history{
			events: make(map[tidemark.Seq]*seen), digests: make(map[tidemark.Seq]tidemark.Digest),
			told: make(map[tidemark.UserID]map[tidemark.Seq]bool), acked: make(map[uint32][]acked),
		}
		c.logs[place{epoch, in}] = h
	}
	return h
}

// delta takes in what somebody was told of a conversation by a delta or a pull.
func (c *Checker) delta(from source, d *wire.ConversationDelta) {
	in := tidemark.ConversationID(d.Id)
	c.digest(from, in, tidemark.Seq(d.HeadSeq), d.HeadDigest)
	c.digest(from, in, tidemark.Seq(d.PrevSeq), d.PrevDigest)
	c.run(from, in, d.HeadSeq, d.Events)
	if d.Self != nil {
		c.read(from, in, from.who.User, tidemark.Seq(d.Self.ReadSeq))
	}
}

// fetched takes in a page of history.
func (c *Checker) fetched(from source, f *wire.Fetched) {
	in := tidemark.ConversationID(f.Conversation)
	c.digest(from, in, tidemark.Seq(f.HeadSeq), f.HeadDigest)
	if len(f.Events) > 0 {
		c.digest(from, in, tidemark.Seq(f.Events[0].Seq-1), f.PrevDigest)
	}
	c.run(from, in, f.HeadSeq, f.Events)
	if f.HeadSeq > 0 {
		c.history(from.epoch, in).keep(operation{fetch: true, seq: tidemark.Seq(f.HeadSeq), call: from.at, back: c.now})
	}
}

// run takes in events that came together.
func (c *Checker) run(from source, in tidemark.ConversationID, head uint64, events []*wire.Event) {
	h, last := c.history(from.epoch, in), uint64(0)
	if len(events) > 0 && h.told[from.who.User] == nil {
		h.told[from.who.User] = make(map[tidemark.Seq]bool)
	}
	for _, e := range events {
		seq := tidemark.Seq(e.Seq)
		if e.Seq <= last {
			c.report(about("S1", from.who, in, seq, "seq %d comes after seq %d", e.Seq, last))
		}
		if e.Seq > head {
			c.report(about("S1", from.who, in, seq, "seq %d is past the head %d that comes with it", e.Seq, head))
		}
		last = e.Seq
		link, ok := LinkOf(e)
		if ok {
			c.event(from, in, link, false, e)
		}
		h.told[from.who.User][seq] = h.told[from.who.User][seq] || link.Kind == editKind && len(e.BodyHash) == 0
	}
}

// editKind is the kind of an event that says what another says.
const editKind = 2

// submitted takes in the answer to a submission; m is nil when nobody knows of one.
func (c *Checker) submitted(from source, m *wire.Submit, a *wire.Submitted) {
	if m == nil || a.Seq == 0 { // of class TRANSIENT
		return
	}
	in := tidemark.ConversationID(a.Conversation)
	c.digest(from, in, tidemark.Seq(a.Seq), a.Digest)
	c.answer(from, m, a)
	h := c.history(from.epoch, in)
	h.acked[a.Partition] = append(h.acked[a.Partition], acked{tidemark.Seq(a.Seq), tidemark.Position(a.Position)})
	if a.Duplicate || len(a.Salt) != 8 {
		return // what was stored is what an earlier submission said
	}
	body, sender := BodyOf(m), cmp.Or(from.who.User, tidemark.SystemUser)
	c.event(from, in, chain.Link{
		Seq: tidemark.Seq(a.Seq), ID: tidemark.EventID(a.Id), TimeMs: a.TimeMs, Sender: sender,
		ClientID: tidemark.ClientID(m.ClientId), Kind: wire.BodyKind(body),
		BodyHash: chain.BodyHash([8]byte(a.Salt), wire.MarshalBody(body)),
	}, true, nil)
}

// event takes in one event: S1 an acknowledged header never changes, S2 no (epoch, conversation, seq) names two events.
func (c *Checker) event(from source, in tidemark.ConversationID, link chain.Link, acked bool, e *wire.Event) {
	h := c.history(from.epoch, in)
	old := h.events[link.Seq]
	if old == nil {
		old = &seen{link: link, by: from.who}
		h.events[link.Seq] = old
	}
	switch {
	case old.link == link:
	case old.acked:
		c.report(about("S1", from.who, in, link.Seq, "the event differs from what its sender was told: %s, before %s", show(link), show(old.link)))
	case old.link.ID != link.ID:
		c.report(about("S2", from.who, in, link.Seq, "one place of the log names two events: %s, before (to %s) %s", show(link), old.by, show(old.link)))
	default:
		c.report(about("S1", from.who, in, link.Seq, "the header has changed: %s, before (to %s) %s", show(link), old.by, show(old.link)))
	}
	old.acked = old.acked || acked
	if e != nil && len(e.BodyHash) == 0 {
		old.event = e
	}
}

// digest takes in a chain value: Y3, nobody is told another history than others were. An empty one was not told.
func (c *Checker) digest(from source, in tidemark.ConversationID, seq tidemark.Seq, value []byte) {
	if len(value) != len(tidemark.Digest{}) {
		return
	}
	h, d := c.history(from.epoch, in), tidemark.Digest(value)
	if old, known := h.digests[seq]; known && old != d {
		c.report(about("Y3", from.who, in, seq, "the chain is %x… here; others were told %x…", d[:4], old[:4]))
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
	return fmt.Sprintf("id %d of %s, client id %q, time %d, kind %d, body %x…", l.ID, l.Sender, l.ClientID, l.TimeMs, l.Kind, l.BodyHash[:4])
}
