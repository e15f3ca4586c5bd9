// SPDX-License-Identifier: Apache-2.0

// Calls of the HTTP API, as far as they are commands: on the way there, or back, they may be lost, and they may be carried
// out twice.

package sim

import (
	"math/rand/v2"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// call is one request and what becomes of it.
type call struct {
	who     invariant.Who
	request proto.Message                                         // as the observer sees it; nil: it is not told of the call
	command func() core.Command                                   // made anew for each time that it is carried out
	read    func(s *server) (proto.Message, error)                // instead of command: what only reads
	long    func(s *server, done func(core.Reply, proto.Message)) // instead of command: what takes several
	answer  func(core.Reply) proto.Message                        // of a command that was not refused
	then    func(core.Reply)                                      // once the caller has the answer; nil: nothing
	tries   int                                                   // times that it is made again where there is no answer
}

// call makes a request. What its fate is, is drawn at once.
func (w *world) call(chance *rand.Rand, c *call) {
	w.counts.Calls++
	var number uint64
	if c.request != nil {
		number = w.observer.Called(c.who, c.request)
	}
	lostThere, lostBack := chance.IntN(100) < w.profile.LostPercent, chance.IntN(100) < w.profile.LostPercent
	if w.calm {
		lostThere, lostBack = false, false
	}
	answered := false
	if !lostThere {
		w.after(w.latency(), func() {
			w.carryOut(c, func(r core.Reply, answer proto.Message) {
				if lostBack || answered {
					return
				}
				w.after(w.latency(), func() {
					answered = true
					if c.request != nil {
						w.observer.Answered(number, answer)
					}
					if c.then != nil {
						c.then(r)
					}
				})
			})
		})
	}
	if !w.calm && chance.IntN(100) < w.profile.TwicePercent { // somebody between has sent it again
		w.after(w.latency()+chance.Uint64N(4_000), func() { w.carryOut(c, func(core.Reply, proto.Message) {}) })
	}
	if c.tries > 0 {
		again := *c
		again.tries--
		w.after(3_000+w.delay(3_000), func() {
			if !answered {
				answered = true
				w.call(chance, &again)
			}
		})
	}
}

// carryOut does at the server what a call asks for; done is not called where the server dies before it is answered.
func (w *world) carryOut(c *call, done func(core.Reply, proto.Message)) {
	s := w.server
	if s == nil {
		done(unavailable())
		return
	}
	if err := s.unknown(c, nil); err != nil {
		done(outcome(core.Reply{}, err))
		return
	}
	if c.long != nil {
		c.long(s, done)
		s.poke()
		return
	}
	if c.read != nil {
		answer, err := c.read(s)
		if err != nil {
			done(outcome(core.Reply{}, err))
			return
		}
		w.checkAnswer(c.who, c.request, answer)
		s.poke()
		done(core.Reply{}, answer)
		return
	}
	cmd := c.command()
	if err := s.unknown(c, cmd); err != nil {
		done(outcome(core.Reply{}, err))
		return
	}
	s.submit(cmd, func(r core.Reply) {
		if w.server != s {
			return
		}
		if r.Err != nil {
			done(r, wire.ErrorOf(0, r.Err))
			return
		}
		var answer proto.Message = &wire.Ack{}
		if c.answer != nil {
			answer = c.answer(r)
		}
		done(r, answer)
	})
}

func unavailable() (core.Reply, proto.Message) {
	err := tidemark.Refuse(tidemark.Unavailable, "nobody listens")
	return core.Reply{Err: err}, wire.ErrorOf(0, err)
}
