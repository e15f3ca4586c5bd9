// SPDX-License-Identifier: Apache-2.0

// What happens between the steps of a commit, and of a hello: in a real server other goroutines go on meanwhile.

package sim

import (
	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/store"
)

// unhurried is a journal whose commits take their time: before one is written, and before its partition goes on, other
// connections are served.
type unhurried struct {
	journal.Journal
	s *server
}

// Commit implements [journal.Journal].
func (j unhurried) Commit(b *store.Batch) error {
	j.s.meanwhile()
	j.s.backUpIn(1)
	err := j.Journal.Commit(b)
	j.s.collect()
	if n := b.Partition(); err == nil {
		j.s.durable[n] = j.s.set.At(n).Published() + 1
		j.s.backUpIn(2)
	}
	j.s.meanwhile()
	return err
}

// meanwhile serves some connections, one frame each, while a partition is in the middle of a step.
func (s *server) meanwhile() {
	chance := s.w.chance.network
	if chance.IntN(2) == 0 || s.disk.left() != nil {
		return
	}
	for _, c := range append([]*conn(nil), s.conns...) {
		switch chance.IntN(6) {
		case 0:
			c.handle()
		case 1, 2:
			c.drain()
		}
	}
}

// answered is done, as a partition calls it between applying a commit and telling sessions of it: others go on meanwhile.
func (s *server) answered(done func(core.Reply)) func(core.Reply) {
	return func(r core.Reply) {
		if s.disk.left() != nil {
			return // nobody is left to hear it
		}
		if s.w.server == s { // what is answered was applied: the reference follows
			for n, position := range s.durable {
				if position > s.set.At(uint32(n)).Published() {
					s.w.checkCommits(uint32(n))
				}
			}
		}
		s.meanwhile()
		done(r)
	}
}

// admit is asked of a session while it registers: somebody writes meanwhile, unless a partition is in the middle of a step.
func (s *server) admit() error {
	chance := s.w.chance.network
	if s.stepping || chance.IntN(4) > 0 || s.disk.trapped() {
		return nil
	}
	c, _ := s.w.sendCall(chance, s.w.anyone(chance), s.w.anywhere(chance))
	number := s.w.observer.Called(c.who, c.request)
	s.w.carryOut(c, func(r core.Reply, answer proto.Message) {
		s.w.observer.Answered(number, answer)
		c.then(r)
	})
	for n := range s.set.Partitions() {
		if s.step(n); !s.up {
			return tidemark.Refuse(tidemark.Unavailable, "the server has crashed")
		}
	}
	return nil
}
