// SPDX-License-Identifier: Apache-2.0

// The session as a subscriber: what partitions' loops call. Nothing here waits, reads or allocates much.

package session

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Wake implements [partition.Subscriber].
func (s *Session) Wake(partition uint32, c record.Conversation, position tidemark.Position) (ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage == ended {
		return false
	}
	p := &s.parts[partition]
	if !p.unclean {
		p.unclean = true
		if len(s.outbox) == 0 { // nothing before this commit concerns the session
			p.checkpoint = max(p.checkpoint, position-1)
		}
	}
	s.dirty.add(keyOf(partition, c))
	ready = !p.woken
	p.woken = true
	return ready
}

// Ready implements [partition.Subscriber].
func (s *Session) Ready(partition uint32) {
	s.mu.Lock()
	s.parts[partition].woken = false
	s.poke()
}

// Signal implements [partition.Subscriber]. A signal replaces an earlier one about the same; when too many wait, the
// oldest is lost: nothing of this is stored anyway.
func (s *Session) Signal(sig *wire.Signal) {
	s.mu.Lock()
	if s.stage == ended || s.stage == fresh {
		s.mu.Unlock()
		return
	}
	for i, waiting := range s.signals {
		if merged := merge(waiting, sig); merged != nil {
			s.signals[i] = merged
			s.mu.Unlock()
			return
		}
	}
	if len(s.signals) >= signalsMax {
		copy(s.signals, s.signals[1:])
		s.signals = s.signals[:len(s.signals)-1]
	}
	s.signals = append(s.signals, sig)
	s.poke()
}

// merge is one signal that says what two say; nil if they are about different things.
func merge(old, next *wire.Signal) *wire.Signal {
	switch n := next.Signal.(type) {
	case *wire.Signal_Typing:
		if o := old.GetTyping(); o != nil && o.Conversation == n.Typing.Conversation && o.User == n.Typing.User {
			return next
		}
	case *wire.Signal_Presence:
		if o := old.GetPresence(); o != nil && o.User == n.Presence.User {
			return next
		}
	case *wire.Signal_Profile:
		if o := old.GetProfile(); o != nil && o.User == n.Profile.User {
			return next
		}
	case *wire.Signal_Receipt:
		if o := old.GetReceipt(); o != nil && o.Conversation == n.Receipt.Conversation && o.User == n.Receipt.User {
			if o.User == "" {
				return next // counts of the same author's messages: the later tell all
			}
			return &wire.Signal{Signal: &wire.Signal_Receipt{Receipt: &wire.ReceiptSignal{
				Conversation: o.Conversation, User: o.User, ReadSeq: max(o.ReadSeq, n.Receipt.ReadSeq),
				DeliveredSeq: max(o.DeliveredSeq, n.Receipt.DeliveredSeq),
			}}}
		}
	}
	return nil
}

// answer takes the reply to a submission. The partition's loop calls it in the order of the commits.
func (s *Session) answer(partition uint32, request uint64, of submitted, r core.Reply) {
	if r.Err != nil {
		s.put(reply{frame: wire.ErrorFrame(request, r.Err)})
		return
	}
	of.reply = r
	answer := reply{partition: partition, position: r.Position, request: request, submitted: &of}
	if r.Duplicate || r.Transient {
		answer.position = 0 // it stands for no event of its own, and need not keep to their order
		s.put(answer)
		return
	}
	s.mu.Lock()
	if st := s.seatIn(of.conversation); st != nil {
		answer.seat, answer.position = st, 0 // it keeps to the order of the room
	}
	s.mu.Unlock()
	s.put(answer)
}
