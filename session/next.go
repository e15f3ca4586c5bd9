// SPDX-License-Identifier: Apache-2.0

// Next: which frame leaves next. The order of submitted and delta frames is decided here and in the cut of the rounds.

package session

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Next appends the next encoded ServerFrame, one WebSocket message, to dst. It answers false, and dst as it was, when
// there is nothing to send now; OnReady is called when there may be again.
func (s *Session) Next(dst []byte) ([]byte, bool) {
	start := len(dst)
	for {
		var given bool
		if s.cfg.Format == wire.JSON {
			dst, given = s.nextJSON(dst)
		} else {
			dst, given = s.next(dst)
		}
		switch {
		case !given:
			return dst[:start], false
		case len(dst) > start:
			s.bytesOut.Add(uint64(len(dst) - start))
			return dst, true
		}
		// What was to be done left no frame behind.
	}
}

// nextJSON gives the same frames in JSON: made as protobuf, then turned.
func (s *Session) nextJSON(dst []byte) ([]byte, bool) {
	binary, given := s.next(nil)
	if len(binary) == 0 {
		return dst, given
	}
	frame := &wire.ServerFrame{}
	if err := frame.UnmarshalVT(binary); err != nil {
		panic("session: a frame of our own does not decode: " + err.Error())
	}
	return s.appendFrame(dst, wire.JSON, frame), true
}

// deed is what Next does.
type deed uint8

const (
	doNothing deed = iota
	doBye
	doWelcome
	doRound
	doRoom
	doReply
	doSignal
	doCheckpoint
)

// next does one deed; false: there is none. The deed may leave no frame.
func (s *Session) next(dst []byte) (_ []byte, given bool) {
	s.mu.Lock()
	what, c := s.choose()
	s.mu.Unlock()
	switch what {
	case doBye:
		return s.appendFrame(dst, wire.Proto, &wire.ServerFrame{Frame: &wire.ServerFrame_Bye{Bye: s.bye}}), true
	case doWelcome:
		frame := &wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: s.welcome}}
		s.welcome = nil
		return s.appendFrame(dst, wire.Proto, frame), true
	case doRound:
		return s.appendRound(dst), true
	case doRoom:
		return s.appendRoom(dst, c.seat, c.upTo), true
	case doReply:
		return s.appendReply(dst, &c.answer), true
	case doSignal:
		return s.appendFrame(dst, wire.Proto, &wire.ServerFrame{Frame: &wire.ServerFrame_Signal{Signal: c.signal}}), true
	case doCheckpoint:
		return s.appendBareCheckpoint(dst), true
	}
	return dst, false
}

// choice is what a deed is about.
type choice struct {
	answer reply
	signal *wire.Signal
	seat   *seat        // whose room has something for the device
	upTo   tidemark.Seq // up to which event
}

// choose needs the lock.
func (s *Session) choose() (what deed, c choice) {
	switch {
	case s.stage == ended || s.stage == fresh:
		return doNothing, c
	case s.bye != nil && len(s.outbox) > 0 && s.outbox[0].unasked:
		c.answer = s.pop()
		return doReply, c
	case s.bye != nil:
		s.stage = ended
		return doBye, c
	case s.welcome != nil:
		return doWelcome, c
	case s.meeting && s.round.given(): // met will poke
		s.ready = false
		return doNothing, c
	case s.round.running():
		return doRound, c
	case s.owed >= repliesOwed && len(s.own) == 0: // others' events of the same commits have been given
		return doCheckpoint, c
	case s.inARow < repliesInARow && s.mayLeave():
		c.answer = s.pop()
		return doReply, c
	case len(s.signals) > 0 && s.inARow < 2*repliesInARow:
		s.inARow++
		c.signal = s.signals[0]
		copy(s.signals, s.signals[1:])
		s.signals[len(s.signals)-1] = nil
		s.signals = s.signals[:len(s.signals)-1]
		return doSignal, c
	}
	s.inARow = 0
	c.seat, c.upTo = s.dueSeat()
	switch {
	case c.seat != nil && s.rooms.turn:
		s.rooms.turn = false
		return doRoom, c
	case s.plan():
		if s.rooms != nil {
			s.rooms.turn = true
		}
		return doRound, c
	case c.seat != nil:
		return doRoom, c
	case s.mayLeave():
		c.answer = s.pop()
		return doReply, c
	case len(s.signals) > 0:
		return s.choose()
	}
	s.ready = false
	return doNothing, c
}

// mayLeave reports whether the first answer may leave: everything before its commit was given. It needs the lock.
func (s *Session) mayLeave() bool {
	if len(s.outbox) == 0 {
		return false
	}
	r := &s.outbox[0]
	if r.seat != nil {
		return r.seat.mayAnswer(r.submitted.reply.Seq)
	}
	p := &s.parts[r.partition]
	return r.position <= p.checkpoint+1 || !p.unclean
}

// pop takes the first answer. It needs the lock.
func (s *Session) pop() reply {
	r := s.outbox[0]
	copy(s.outbox, s.outbox[1:])
	s.outbox[len(s.outbox)-1] = reply{}
	s.outbox = s.outbox[:len(s.outbox)-1]
	if !r.unasked {
		s.inFlight--
		s.free()
	}
	if p := &s.parts[r.partition]; r.position > 0 && !p.unclean {
		p.checkpoint = max(p.checkpoint, r.position-1)
	}
	s.inARow++
	return r
}

// appendReply writes an answer.
func (s *Session) appendReply(dst []byte, r *reply) []byte {
	switch {
	case r.submitted != nil:
		if r.seat != nil {
			r.seat.place.Own(r.submitted.reply.Seq, r.submitted.message)
		}
		s.remember(r)
		return s.appendSubmitted(dst, r)
	case r.fetch != nil:
		page, err := s.cfg.Set.Fetch(s.cfg.User, r.fetch)
		if err != nil {
			return s.appendFrame(dst, wire.Proto, wire.ErrorFrame(r.request, s.refusal("fetch", err)))
		}
		return s.appendFrame(dst, wire.Proto, &wire.ServerFrame{Frame: &wire.ServerFrame_Fetched{Fetched: page}})
	case r.enter != nil:
		return s.appendEntered(dst, r)
	case r.pong:
		s.owed = max(s.owed, repliesOwed)
		pong := &wire.Pong{Request: r.request, ServerTimeMs: s.cfg.NowMs()}
		return s.appendFrame(dst, wire.Proto, &wire.ServerFrame{Frame: &wire.ServerFrame_Pong{Pong: pong}})
	}
	return s.appendFrame(dst, wire.Proto, r.frame)
}

// remember keeps in mind that the device has an event by its answer, until the round that covers it. A repeated
// submission does not count: the device may have asked for another body than was stored.
func (s *Session) remember(r *reply) {
	if r.position == 0 {
		return
	}
	s.owed++
	s.parts[r.partition].owing = true
	s.own = append(s.own, ownEvent{r.partition, r.submitted.conversation, r.submitted.reply.Seq, r.position, r.submitted.recall})
}

// refusal is what the client is told of an error: a refusal as it is, a fault of the server without its inside.
func (s *Session) refusal(what string, err error) *tidemark.Error {
	if refused, ok := err.(*tidemark.Error); ok {
		return refused
	}
	s.cfg.Log.Error("the store cannot be read", "session", s.ID(), "user", s.cfg.User, "for", what, "err", err)
	return tidemark.Refuse(tidemark.Internal, "%s failed at the server; retry later", what)
}

// appendBareCheckpoint tells how far the partitions are covered that answers came from, if that was not told.
func (s *Session) appendBareCheckpoint(dst []byte) []byte {
	s.owed = 0
	var news []uint32
	s.mu.Lock()
	for n := range s.cfg.Set.Partitions() {
		p := &s.parts[n]
		if !p.owing {
			continue
		}
		p.owing = false
		if !p.unclean && len(s.outbox) == 0 {
			p.checkpoint = max(p.checkpoint, s.cfg.Set.At(n).Published())
		}
		if p.checkpoint > p.told {
			p.told = p.checkpoint
			news = append(news, n)
		}
	}
	s.mu.Unlock()
	if len(news) == 0 {
		return dst
	}
	dst, frame := openField(dst, frameDelta)
	for _, n := range news {
		dst = appendPosition(dst, deltaCheckpoints, n, s.parts[n].told)
	}
	dst = appendBool(dst, deltaLive, true)
	return closeField(dst, frame)
}

// appendFrame writes a frame that is not on the hot path.
func (s *Session) appendFrame(dst []byte, format wire.Format, frame *wire.ServerFrame) []byte {
	out, err := wire.AppendServerFrame(dst, format, frame)
	if err != nil {
		s.cfg.Log.Error("a frame cannot be encoded", "session", s.ID(), "err", err)
		s.Bye(wire.ByeReason_PROTOCOL, 0, "a frame could not be encoded")
		return dst
	}
	return out
}
