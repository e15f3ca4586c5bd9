// SPDX-License-Identifier: Apache-2.0

// A round: giving the device what is past its checkpoints in the dirty conversations, and then the new checkpoints. The
// first round, which answers hello, goes through all conversations past the cursor and ends with synced; it is the same
// code.

package session

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/wire"
)

// round is the drain's work in progress. It is owned by the drain, which plans and ends it under the session's lock.
type round struct {
	items []key // conversations, by partition; in the first round by time, latest first
	next  int   // items[:next] are done
	again []key // of the items: those that have something past upTo, and so stay dirty

	from []tidemark.Position // by partition; the checkpoints when the round began
	upTo []tidemark.Position // by partition; from <= upTo <= published

	at   tidemark.Seq // where items[next] goes on; 0: it has not begun
	last tidemark.Seq // where items[next] ends, once it has begun

	sent    partitionSet      // partitions of which something was given in this round
	senders []tidemark.UserID // whose profiles the frame being made needs

	initial    bool   // the round that answers hello
	newDevice  bool   // first round: the device came without a cursor, or it was reset
	tail       uint32 // first round: at most so many events of a conversation
	full       int    // first round: items[full:] come without events
	bounded    bool   // first round: after eventsLeft no events are given
	eventsLeft int    // bytes
}

// running reports whether there is a round. The first one runs until synced was given, also with no items.
func (r *round) running() bool { return r != nil && (r.initial || r.next < len(r.items)) }

// given reports whether of the first round only synced is left.
func (r *round) given() bool { return r != nil && r.initial && r.next >= len(r.items) }

// plan begins a round with what is dirty, and answers whether there is anything to do. It needs the lock.
//
// The position is read as published under the lock under which wakes come in, so that the set holds all there is up to
// it. A round ends before the commit of an answer that is still waiting.
func (s *Session) plan() bool {
	if s.dirty.len() == 0 {
		return false
	}
	if s.round == nil {
		n := s.cfg.Set.Partitions()
		s.round = &round{from: make([]tidemark.Position, n), upTo: make([]tidemark.Position, n)}
	}
	r := s.round
	for n := range s.cfg.Set.Partitions() {
		r.from[n], r.upTo[n] = s.parts[n].checkpoint, s.parts[n].checkpoint
		if s.parts[n].unclean {
			r.upTo[n] = s.cfg.Set.At(n).Published()
		}
	}
	for i := range s.outbox {
		if a := &s.outbox[i]; a.position > r.from[a.partition] {
			r.upTo[a.partition] = min(r.upTo[a.partition], a.position-1)
		}
	}
	waiting := s.dirty.take(r.items)
	r.items, r.next, r.again, r.at, r.sent = waiting[:0], 0, r.again[:0], 0, partitionSet{}
	for _, k := range waiting {
		if n := k.partition(); r.upTo[n] > r.from[n] {
			r.items = append(r.items, k)
		} else {
			s.dirty.add(k) // not published yet, or an answer goes first
		}
	}
	slices.Sort(r.items)
	return len(r.items) > 0
}

// appendRound writes the next frame of the round: a delta of up to frameBytes or a little more; after the last of the
// first round, synced.
func (s *Session) appendRound(dst []byte) []byte {
	r := s.round
	if r.given() {
		return s.appendSynced(dst)
	}
	start := len(dst)
	dst, frame := openField(dst, frameDelta)
	empty := len(dst)
	s.round.senders = s.round.senders[:0]
	for r.next < len(r.items) && len(dst)-start < frameBytes && len(r.senders) < sendersMax {
		k := r.items[r.next]
		var more bool
		var err error
		if dst, more, err = s.appendConversation(dst, k, frameBytes-(len(dst)-start)); err != nil {
			s.giveUp(err)
			return dst[:start]
		}
		if more { // in the next frame: a conversation is in a delta once
			break
		}
		r.at = 0
		r.next++
	}
	if len(dst) > empty {
		dst = s.appendProfiles(dst)
	}
	if !r.initial {
		dst = s.appendCheckpoints(dst)
		if len(dst) > empty {
			dst = appendBool(dst, deltaLive, true)
		}
	}
	if len(dst) == empty {
		return dst[:start]
	}
	return closeField(dst, frame)
}

// appendCheckpoints ends the round in the partitions whose conversations are all done, and tells their checkpoints where
// something was given; otherwise the device is as well off with the old one.
func (s *Session) appendCheckpoints(dst []byte) []byte {
	r := s.round
	going := uint32(len(r.upTo))
	if r.next < len(r.items) {
		going = r.items[r.next].partition()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range going {
		if r.upTo[n] <= r.from[n] {
			continue
		}
		if r.sent.has(n) {
			dst = appendPosition(dst, deltaCheckpoints, n, r.upTo[n])
			s.parts[n].told, s.parts[n].owing = r.upTo[n], false
		}
		s.cover(n)
	}
	if r.next == len(r.items) && cap(r.items) > 4*searchedMax {
		r.items, r.next = nil, 0
	}
	return dst
}

// cover moves the checkpoint of a partition to the end of the round. It needs the lock.
func (s *Session) cover(n uint32) {
	r := s.round
	p := &s.parts[n]
	p.checkpoint = max(p.checkpoint, r.upTo[n])
	r.from[n] = r.upTo[n] // done
	// A conversation leaves the dirty set only when the checkpoint covers its head.
	for _, k := range r.again {
		if k.partition() == n {
			s.dirty.add(k)
		}
	}
	p.unclean = s.dirty.touches(n)
	s.own = slices.DeleteFunc(s.own, func(e ownEvent) bool { return e.partition == n && e.position <= r.upTo[n] })
}

// appendSynced ends the first round.
func (s *Session) appendSynced(dst []byte) []byte {
	dst, frame := openField(dst, frameSynced)
	dst, cursor := openField(dst, syncedCursor)
	dst = appendUint(dst, cursorEpoch, uint64(s.cfg.Set.Epoch()))
	s.mu.Lock()
	for n := range s.cfg.Set.Partitions() {
		told := s.round.upTo[n]
		s.parts[n].told = told
		if told > 0 {
			dst = appendPosition(dst, cursorPositions, n, told)
		}
		s.cover(n)
	}
	s.round, s.stage = nil, live // an idle session is small
	s.mu.Unlock()
	return closeField(closeField(dst, cursor), frame)
}

// giveUp ends the session because the store cannot be read: the device keeps its cursor and tries again.
func (s *Session) giveUp(err error) {
	s.cfg.Log.Error("the store cannot be read", "session", s.ID(), "user", s.cfg.User, "for", "sync", "err", err)
	s.Bye(wire.ByeReason_SHUTDOWN, 5000, "the server cannot read its store now")
}

// appendProfiles writes the profiles, not given before, of the users that the frame names.
func (s *Session) appendProfiles(dst []byte) []byte {
	for _, id := range s.round.senders {
		if s.given.len() >= givenMax {
			s.given = listSet[tidemark.UserID]{}
		}
		s.given.add(id)
		dst = s.appendProfile(dst, id)
	}
	return dst
}

func (s *Session) appendProfile(dst []byte, id tidemark.UserID) []byte {
	f, err := s.cfg.Set.OfUser(id).Profile(id)
	if err != nil {
		s.cfg.Log.Error("the store cannot be read", "session", s.ID(), "for", "profile", "err", err)
	}
	if f != nil {
		dst = appendMessage(dst, deltaProfiles, partition.WireProfile(f))
	}
	return dst
}

// name notes a user whose profile the frame needs.
func (s *Session) name(id tidemark.UserID) {
	if n := len(s.round.senders); n > 0 && s.round.senders[n-1] == id {
		return
	}
	if !s.given.has(id) && !slices.Contains(s.round.senders, id) {
		s.round.senders = append(s.round.senders, id)
	}
}
