// SPDX-License-Identifier: Apache-2.0

// Rooms: what a session that is in a room is given of it. A room has a mark of its own in each session and nothing to do
// with checkpoints: what is left out of it, and how far behind it is, holds back nothing else.

package session

import (
	"context"
	"slices"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// roomGivenMax is how many profiles given are remembered by a session that is in a room; when there are more, they may be
// given again. In a room very many may write to very many.
const roomGivenMax = 256

// seat is a session's place in a room. It implements [partition.Receiver].
type seat struct {
	s     *Session
	id    tidemark.ConversationID
	place *partition.Seat // immutable once the seat is listed; its mark is owned by the drain

	head  tidemark.Seq // guarded by s.mu; the last event there is
	ended bool         // guarded by s.mu; the user was taken out: the device must be told
	gone  bool         // guarded by s.mu; not listed any more
	open  bool         // guarded by s.mu; the answer to enter was given: deltas may follow
	tell  bool         // guarded by s.mu; the public data are to be given
}

// Wake implements [partition.Receiver].
func (st *seat) Wake(seq tidemark.Seq) {
	st.s.mu.Lock()
	st.head = max(st.head, seq)
	if !st.open || st.gone || st.s.stage == ended {
		st.s.mu.Unlock()
		return
	}
	st.s.poke()
}

// End implements [partition.Receiver].
func (st *seat) End() {
	st.s.mu.Lock()
	st.ended = true
	st.s.poke()
}

// Signal implements [partition.Receiver].
func (st *seat) Signal(sig *wire.Signal) { st.s.Signal(sig) }

// handleEnter takes a place in a room. Who is in it already begins anew.
func (s *Session) handleEnter(ctx context.Context, f *wire.Enter) {
	if !s.acquire(ctx) {
		return
	}
	st := &seat{s: s, id: tidemark.ConversationID(f.GetConversation())}
	if err := s.sit(st, f.GetRequest()); err != nil {
		s.put(reply{frame: wire.ErrorFrame(f.GetRequest(), s.refusal("enter", err))})
	}
}

// sit lists a seat together with the answer to enter, so that what is answered about its room comes after that.
func (s *Session) sit(st *seat, request uint64) (err error) {
	s.mu.Lock()
	had, most := len(s.seats()), int(s.cfg.Set.Limits().RoomsMax)
	if s.seatIn(st.id) != nil {
		had--
	}
	s.mu.Unlock()
	if had >= most {
		return tidemark.Refuse(tidemark.TooMany, "this connection is in %d rooms, more are not allowed: leave one first", had)
	}
	if st.place, err = s.cfg.Set.Enter(s.cfg.User, st.id, st); err != nil {
		return err
	}
	s.mu.Lock()
	old := s.unlist(st.id)
	st.head = max(st.head, st.place.Mark())
	closed := s.stage == ended
	if !closed {
		if s.rooms == nil {
			s.rooms = &inRooms{}
		}
		s.rooms.seats = append(s.rooms.seats, st)
		s.outbox = append(s.outbox, reply{request: request, enter: st})
	}
	s.poke()
	if old != nil {
		old.place.Leave()
	}
	if closed {
		st.place.Leave()
	}
	return nil
}

// handleLeave gives a place up.
func (s *Session) handleLeave(ctx context.Context, f *wire.LeaveRoom) {
	id := tidemark.ConversationID(f.GetConversation())
	s.mu.Lock()
	st := s.unlist(id)
	s.mu.Unlock()
	if st == nil {
		s.refuse(ctx, f.GetRequest(), tidemark.Refuse(tidemark.NotMember, "this connection is not in a room %q", id))
		return
	}
	st.place.Leave()
	left := &wire.Fetched{Request: f.GetRequest(), Conversation: string(id)}
	s.reply(ctx, reply{frame: &wire.ServerFrame{Frame: &wire.ServerFrame_Fetched{Fetched: left}}})
}

// seats needs the lock.
func (s *Session) seats() []*seat {
	if s.rooms == nil {
		return nil
	}
	return s.rooms.seats
}

// seatIn needs the lock.
func (s *Session) seatIn(id tidemark.ConversationID) *seat {
	for _, st := range s.seats() {
		if st.id == id {
			return st
		}
	}
	return nil
}

// unlist takes the seat in a room out of the list; nil if there is none. It needs the lock.
func (s *Session) unlist(id tidemark.ConversationID) *seat {
	st := s.seatIn(id)
	if st == nil {
		return nil
	}
	st.gone = true
	s.rooms.seats = slices.DeleteFunc(s.rooms.seats, func(other *seat) bool { return other == st })
	if len(s.rooms.seats) == 0 {
		s.rooms = nil
	}
	return st
}

// dueSeat is a seat that has something for the device, and up to which event; nil if there is none. It is for the drain
// and needs the lock. Events before that of an answer that waits go before it.
func (s *Session) dueSeat() (st *seat, upTo tidemark.Seq) {
	seats := s.seats()
	for i, st := range seats {
		if !st.open {
			continue
		}
		upTo = st.head
		for j := range s.outbox {
			if r := &s.outbox[j]; r.seat == st {
				upTo = min(upTo, r.submitted.reply.Seq-1)
				break
			}
		}
		if st.ended || st.tell || upTo > st.place.Mark() {
			if last := len(seats) - 1; i < last { // the others come first next time
				copy(seats[i:], seats[i+1:])
				seats[last] = st
			}
			return st, upTo
		}
	}
	return nil, 0
}

// mayAnswer reports whether everything in the room before the event that an answer tells of was given. It needs the lock.
func (st *seat) mayAnswer(seq tidemark.Seq) bool {
	return st.gone || st.place.Mark()+1 >= seq
}

// appendEntered answers enter: the last events up to the place's mark, after which the deltas go on.
func (s *Session) appendEntered(dst []byte, r *reply) []byte {
	st := r.enter
	page, err := s.cfg.Set.Fetch(s.cfg.User, &wire.Fetch{
		Request: r.request, Conversation: string(st.id), From: &wire.Fetch_Before{Before: uint64(st.place.Mark()) + 1},
	})
	s.mu.Lock()
	st.open, st.tell = true, true
	if err != nil && !st.gone {
		s.unlist(st.id)
	}
	s.mu.Unlock()
	if err != nil {
		st.place.Leave()
		return s.appendFrame(dst, wire.Proto, wire.ErrorFrame(r.request, s.refusal("enter", err)))
	}
	return s.appendFrame(dst, wire.Proto, &wire.ServerFrame{Frame: &wire.ServerFrame_Fetched{Fetched: page}})
}

// appendRoom writes what a seat has for the device, up to an event: that the user was taken out, or the public data, or
// a stretch of the log.
func (s *Session) appendRoom(dst []byte, st *seat, upTo tidemark.Seq) []byte {
	s.mu.Lock()
	ended, tell := st.ended, st.tell
	st.tell = false
	if ended {
		s.unlist(st.id)
	}
	s.mu.Unlock()
	p := st.place.At()
	switch {
	case ended:
		return s.appendRoomDelta(dst, st, func(dst []byte) []byte { return appendBool(dst, conversationRemoved, true) })
	case tell:
		out, err := s.appendRoomInfo(dst, st, p)
		if err != nil {
			s.giveUp(err)
			return dst
		}
		return out
	}
	run := runs.Get().(*partition.Run)
	defer giveBack(run)
	if !st.place.Take(run, upTo, frameBytes) {
		s.Bye(wire.ByeReason_SLOW, 0, "the connection is too slow for a room that it is in")
		return dst
	}
	if len(run.Events) == 0 {
		return dst
	}
	return s.appendRun(dst, st, run)
}

// runs are for the drains to fill: in a large room there would be one to make for each receiver and wake.
var runs = sync.Pool{New: func() any {
	return &partition.Run{Events: make([]*partition.LogEntry, 0, partition.RoomBehindMax)}
}}

// giveBack keeps a run for later, without the events in it.
func giveBack(run *partition.Run) {
	clear(run.Events)
	runs.Put(run)
}

// appendRoomDelta writes a live delta of a room, without checkpoints.
func (s *Session) appendRoomDelta(dst []byte, st *seat, rest func([]byte) []byte) []byte {
	dst, frame := openField(dst, frameDelta)
	dst, mark := openField(dst, deltaConversations)
	dst = appendText(dst, conversationID, st.id)
	dst = appendUint(dst, conversationPartition, uint64(st.place.At().Number()))
	dst = closeField(rest(dst), mark)
	dst = appendBool(dst, deltaLive, true)
	return closeField(dst, frame)
}

// appendRoomInfo writes a room's public data and the user's own record there, as they stand.
func (s *Session) appendRoomInfo(dst []byte, st *seat, p *partition.Partition) ([]byte, error) {
	info, err := p.InfoOf(st.place.Conversation())
	if err != nil || info == nil {
		return dst, err
	}
	member, err := p.RoomMember(info.Ordinal, s.cfg.User)
	if err != nil {
		return dst, err
	}
	head, err := p.Head(info.Ordinal)
	if err != nil {
		return dst, err
	}
	return s.appendRoomDelta(dst, st, func(dst []byte) []byte {
		dst = appendMessage(dst, conversationInfo, p.WireInfo(info, head.Members))
		if member != nil {
			dst = appendMessage(dst, conversationSelf, roomSelf(info, member))
		}
		return appendUint(dst, conversationHeadSeq, uint64(st.place.Mark()))
	}), nil
}

// roomSelf is a member's own record in a room, which has no marks.
func roomSelf(info *record.Info, m *record.Member) *wire.Self {
	self := partition.WireSelf(info, m, 0)
	self.ReadSeq = 0
	return self
}

// appendRun writes a stretch of a room's log. Each delta holds consecutive events, so that prevSeq tells what was left out.
func (s *Session) appendRun(dst []byte, st *seat, run *partition.Run) []byte {
	first, last := run.Events[0], run.Events[len(run.Events)-1]
	dst, frame := openField(dst, frameDelta)
	dst, mark := openField(dst, deltaConversations)
	dst = appendText(dst, conversationID, st.id)
	dst = appendUint(dst, conversationPartition, uint64(st.place.At().Number()))
	dst = appendUint(dst, conversationHeadSeq, uint64(last.Seq))
	dst = appendBytes(dst, conversationHeadDigest, last.Digest[:])
	dst = appendUint(dst, conversationLastTimeMs, last.TimeMs)
	dst = appendUint(dst, conversationPrevSeq, uint64(first.Seq-1))
	if run.LeftOut {
		dst = appendBytes(dst, conversationPrevDigest, run.PrevDigest[:])
	}
	for _, e := range run.Events {
		if e.Edits > 0 && s.hiddenInRoom(st, e) {
			dst = e.AppendHidden(dst)
		} else {
			dst = append(dst, e.Encoded...)
		}
	}
	dst = closeField(dst, mark)
	for i, e := range run.Events {
		if i == 0 || e.SenderID != run.Events[i-1].SenderID {
			dst = s.appendProfileOnce(dst, e.SenderID)
		}
	}
	dst = appendBool(dst, deltaLive, true)
	return closeField(dst, frame)
}

// hiddenInRoom reports whether the user does not see what an edit edits. Where that cannot be found out, it is hidden.
func (s *Session) hiddenInRoom(st *seat, e *partition.LogEntry) bool {
	sight, err := s.cfg.Set.See(s.cfg.User, st.id)
	return err != nil || e.HiddenFrom(sight.Member, sight.Private)
}

// appendProfileOnce writes the profile of a user if it was not given before.
func (s *Session) appendProfileOnce(dst []byte, id tidemark.UserID) []byte {
	if s.given.has(id) {
		return dst
	}
	if s.given.len() >= roomGivenMax {
		s.given = listSet[tidemark.UserID]{}
	}
	s.given.add(id)
	return s.appendProfile(dst, id)
}

// leaveRooms gives up all places. It takes the lock.
func (s *Session) leaveRooms() {
	s.mu.Lock()
	seats := s.seats()
	s.rooms = nil
	for _, st := range seats {
		st.gone = true
	}
	s.mu.Unlock()
	for _, st := range seats {
		st.place.Leave()
	}
}
