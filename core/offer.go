// SPDX-License-Identifier: Apache-2.0

// What somebody offers to give back, held to the log that the server has: where it goes on, whether it agrees, and what
// of it can be taken. Whether the server itself has written it is for the seal to say.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Offer is a stretch of a log that may be given back, once the server's seal over Last and Digest was checked.
type Offer struct {
	Last   tidemark.Seq    // of the last event offered
	Digest tidemark.Digest // the chain's value there
	Give   []*GiveBack     // the events past the head that can be taken now, ascending: as far as there is content
}

// ReadOffer walks along the events of an offer, from what the server has to the last. at is the chain's value in the
// server's log at a seq from the floor to the head; head is that of a conversation it knows, or has the chain's start
// alone. The events follow each other, and begin at or below the head's successor; those that are there already are
// only compared.
//
// From the first event on that lacks its content, the events only lead to the one that is sealed. A message may lack it
// that was recalled or erased by a later event of the offer; an edit of such a message likewise.
//
// Refused: with BAD_ARGUMENT what makes no sense, UNKNOWN_EVENT what begins past the head, ALREADY_EXISTS where the
// server has other events. Other errors are those of at.
func ReadOffer(id tidemark.ConversationID, head *record.Head, at func(tidemark.Seq) (tidemark.Digest, error), events []*wire.Event) (*Offer, error) {
	for len(events) > 0 && tidemark.Seq(events[0].GetSeq()) <= head.Floor {
		events = events[1:] // no longer kept here
	}
	if len(events) == 0 {
		return nil, tidemark.Refuse(tidemark.BadArgument, "no event past %d is offered, the first that is kept", head.Floor)
	}
	first := tidemark.Seq(events[0].GetSeq())
	if first > head.Seq+1 {
		return nil, tidemark.Refuse(tidemark.UnknownEvent, "%s ends at %d here: begin with event %d, not %d", id, head.Seq, head.Seq+1, first)
	}
	digest, err := at(first - 1)
	if err != nil {
		return nil, err
	}
	o := &Offer{Last: tidemark.Seq(events[len(events)-1].GetSeq())}
	taken := whatTakesBack(events)
	for i, ev := range events {
		link, body, refused := Content(ev)
		if refused != nil {
			return nil, refused
		}
		if link.Seq != first+tidemark.Seq(i) {
			return nil, tidemark.Refuse(tidemark.BadArgument, "event %d is offered after event %d: give them without a gap", link.Seq, first+tidemark.Seq(i)-1)
		}
		digest = chain.Next(digest, link)
		if link.Seq == min(head.Seq, o.Last) {
			if own, err := at(link.Seq); err != nil || own != digest {
				return nil, differs(id, link.Seq, err)
			}
		}
		if link.Seq > head.Seq+tidemark.Seq(len(o.Give)) {
			if give := giveable(id, ev, link, body, taken); give != nil && link.Seq == head.Seq+tidemark.Seq(len(o.Give))+1 {
				give.Digest = digest
				o.Give = append(o.Give, give)
			}
		}
	}
	o.Digest = digest
	return o, nil
}

func differs(id tidemark.ConversationID, seq tidemark.Seq, err error) error {
	if err != nil {
		return err
	}
	return tidemark.Refuse(tidemark.AlreadyExists, "%s has other events here: what is offered differs at %d or before", id, seq)
}

// giveable is the command that takes an event; nil if it lacks content that it should have.
func giveable(id tidemark.ConversationID, ev *wire.Event, link chain.Link, body *wire.Body, taken map[tidemark.Seq]tidemark.Seq) *GiveBack {
	give := &GiveBack{Conversation: id, Event: ev}
	if body != nil {
		return give
	}
	target := taken[tidemark.Seq(max(ev.Recalled, ev.Erased))]
	switch {
	case record.BodyKind(link.Kind) == record.MessageBody && target == link.Seq:
		return give
	case record.BodyKind(link.Kind) == record.EditBody && target > 0 && target < link.Seq:
		give.EditOf = target
		return give
	}
	return nil
}

// whatTakesBack are the recalls and erasures among events, with the messages that they take back.
func whatTakesBack(events []*wire.Event) map[tidemark.Seq]tidemark.Seq {
	taken := make(map[tidemark.Seq]tidemark.Seq)
	for _, ev := range events {
		var body wire.Body
		if len(ev.GetBody()) == 0 || body.UnmarshalVT(ev.Body) != nil {
			continue
		}
		switch b := body.Body.(type) {
		case *wire.Body_Recall:
			taken[tidemark.Seq(ev.Seq)] = tidemark.Seq(b.Recall.GetSeq())
		case *wire.Body_Erased:
			taken[tidemark.Seq(ev.Seq)] = tidemark.Seq(b.Erased.GetSeq())
		}
	}
	return taken
}

// Names are the users whom the event names as its sender, or makes members.
func (g *GiveBack) Names() []tidemark.UserID {
	names := []tidemark.UserID{tidemark.UserID(g.Event.Sender)}
	for _, id := range g.Added() {
		names = append(names, tidemark.UserID(id))
	}
	return names
}

// Added are the users whom the event makes members.
func (g *GiveBack) Added() []string {
	var body wire.Body
	if record.BodyKind(bodyKind(g.Event)) != record.MembersBody || body.UnmarshalVT(g.Event.Body) != nil {
		return nil
	}
	return body.GetMembers().GetAdded()
}

// bodyKind is the kind of an event with a body, without decoding it: the field number of its oneof.
func bodyKind(ev *wire.Event) uint8 {
	if len(ev.Body) == 0 {
		return 0
	}
	return ev.Body[0] >> 3
}
