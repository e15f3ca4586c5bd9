// SPDX-License-Identifier: Apache-2.0

// Telling the app what changed, without ever waiting for it.

package client

import (
	"context"
	"iter"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
)

// arrivedMax is how many [Arrived] events wait for a slow consumer before they are joined into [Missed].
const arrivedMax = 1024

// Events are what changes from this call on, until ctx ends or the loop over them is left: range over the result once. Any
// number of calls may be in use; each gets everything.
//
// A slow consumer never holds up the synchronisation. What waits for it is bounded: events that say "look again" (Changed,
// ConversationChanged, StateChanged, typing, presence, receipts, profiles) are joined with one that waits already, and when
// too many messages wait, the new ones of a conversation become one [Missed] that names their range, to be read from the
// store; of room events likewise [RoomMissed]. Of each own submission the last state waits. Events of one conversation keep
// their order.
func (c *Client) Events(ctx context.Context) iter.Seq[Event] {
	s := c.hub.subscribe()
	release := context.AfterFunc(ctx, func() { c.hub.unsubscribe(s) })
	return func(yield func(Event) bool) {
		defer release()
		defer c.hub.unsubscribe(s)
		for {
			if e, ok := s.next(); ok {
				if !yield(e) {
					return
				}
				continue
			}
			select {
			case <-s.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// hub gives every event to every subscriber.
type hub struct {
	mu   sync.Mutex
	subs map[*subscriber]struct{}
}

func (h *hub) subscribe() *subscriber {
	s := &subscriber{wake: make(chan struct{}, 1), waiting: map[any]int{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[*subscriber]struct{}{}
	}
	h.subs[s] = struct{}{}
	return s
}

func (h *hub) unsubscribe(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
}

func (h *hub) publish(events []Event) {
	if len(events) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		s.add(events)
	}
}

// subscriber is a queue of events that joins what can be joined.
type subscriber struct {
	wake    chan struct{}
	mu      sync.Mutex
	queue   []Event
	taken   int         // events taken from the queue since it was begun: index of waiting - taken is the place in queue
	waiting map[any]int // what can be joined: by key, its number
	arrived int         // Arrived in queue
}

// keys of what can be joined.
type (
	changedKey  tidemark.ConversationID
	listKey     tidemark.ConversationID
	missedKey   tidemark.ConversationID
	roomKey     tidemark.ConversationID
	lostKey     tidemark.ConversationID
	profileKey  tidemark.UserID
	presenceKey tidemark.UserID
	stateKey    struct{}
	outgoingKey tidemark.ClientID
	memberKey   struct {
		in     tidemark.ConversationID
		user   tidemark.UserID
		typing bool
	}
)

// keyOf is the key under which an event is joined with an earlier one; nil: it is not.
func keyOf(e Event) any {
	switch e := e.(type) {
	case Changed:
		return changedKey(e.Conversation)
	case ConversationChanged:
		return listKey(e.Conversation)
	case Missed:
		return missedKey(e.Conversation)
	case RoomMissed:
		return lostKey(e.Room)
	case RoomChanged:
		return roomKey(e.Room)
	case ProfileChanged:
		return profileKey(e.User)
	case PresenceChanged:
		return presenceKey(e.User)
	case StateChanged:
		return stateKey{}
	case OutgoingChanged:
		return outgoingKey(e.ClientID)
	case ReceiptChanged:
		return memberKey{e.Conversation, e.User, false}
	case TypingChanged:
		return memberKey{e.Conversation, e.User, true}
	}
	return nil
}

// join is the event that says what both say.
func join(old, e Event) Event {
	switch e := e.(type) {
	case Changed:
		o := old.(Changed)
		return Changed{Conversation: e.Conversation, From: min(o.From, e.From), To: max(o.To, e.To)}
	case Missed:
		o := old.(Missed)
		return Missed{Conversation: e.Conversation, From: min(o.From, e.From), To: max(o.To, e.To)}
	case RoomMissed:
		o := old.(RoomMissed)
		return RoomMissed{Room: e.Room, From: min(o.From, e.From), To: max(o.To, e.To)}
	case ReceiptChanged:
		o := old.(ReceiptChanged)
		e.Delivered, e.Read = max(e.Delivered, o.Delivered), max(e.Read, o.Read)
		return e
	}
	return e
}

func (s *subscriber) add(events []Event) {
	s.mu.Lock()
	for _, e := range events {
		s.addOne(e)
	}
	s.mu.Unlock()
	poke(s.wake)
}

func (s *subscriber) addOne(e Event) {
	switch a := e.(type) {
	case Arrived:
		if _, missed := s.waiting[missedKey(a.Message.Conversation)]; missed || s.arrived >= arrivedMax { // in order
			e = Missed{Conversation: a.Message.Conversation, From: a.Message.Seq, To: a.Message.Seq}
		} else {
			s.arrived++
		}
	case RoomEvent:
		if _, missed := s.waiting[lostKey(a.Room)]; missed || s.arrived >= arrivedMax {
			e = RoomMissed{Room: a.Room, From: a.Message.Seq - a.Gap, To: a.Message.Seq}
		} else {
			s.arrived++
		}
	case TransientMessage:
		if len(s.queue) >= 4*arrivedMax {
			return // these may be lost anywhere
		}
	}
	key := keyOf(e)
	if number, ok := s.waiting[key]; ok && key != nil {
		i := number - s.taken
		s.queue[i] = join(s.queue[i], e)
		return
	}
	if key != nil {
		s.waiting[key] = s.taken + len(s.queue)
	}
	s.queue = append(s.queue, e)
}

// next takes the first event.
func (s *subscriber) next() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil, false
	}
	e := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	s.taken++
	if key := keyOf(e); key != nil {
		delete(s.waiting, key)
	}
	switch e.(type) {
	case Arrived, RoomEvent:
		s.arrived--
	}
	return e, true
}
