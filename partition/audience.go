// SPDX-License-Identifier: Apache-2.0

// Who is online: the subscribers of a user, and in each partition the users that have any.

package partition

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Subscriber is told that something is new for its user. Its methods are called by several partitions' loops at once;
// they must not block, and may only take a lock under which nobody subscribes or unsubscribes.
type Subscriber interface {
	// Wake says that the commit at position concerns a conversation. It comes before the position is published. It
	// answers whether Ready must follow.
	Wake(partition uint32, c record.Conversation, position tidemark.Position) (ready bool)
	// Ready comes once the position is published, after a Wake of this partition that asked for it.
	Ready(partition uint32)
	// Signal hands over what is not stored. The signal is shared and must not be changed.
	Signal(s *wire.Signal)
}

// audience is the subscribers of one user on this node.
type audience struct {
	user tidemark.UserID
	mu   sync.Mutex // held while subscribers come and go
	dead bool       // guarded by mu: it has left Set.audiences

	subscribers atomic.Pointer[[]Subscriber] // replaced, never changed in place
	ordinals    []record.User                // by partition; each guarded by that partition's online.mu; 0: not there
}

func (a *audience) all() []Subscriber {
	if l := a.subscribers.Load(); l != nil {
		return *l
	}
	return nil
}

// Subscribe registers for everything that concerns a user, in all partitions. A position that is read as published
// afterwards covers every commit whose wakes have missed the subscriber. The error is of a failing store.
func (s *Set) Subscribe(user tidemark.UserID, sub Subscriber) error {
	for {
		s.mu.Lock()
		a := s.audiences[user]
		if a == nil {
			a = &audience{user: user, ordinals: make([]record.User, len(s.partitions))}
			s.audiences[user] = a
		}
		s.mu.Unlock()
		a.mu.Lock()
		if a.dead {
			a.mu.Unlock()
			continue
		}
		before := a.all()
		subscribers := append(slices.Clip(before), sub)
		a.subscribers.Store(&subscribers)
		err := s.enter(a)
		if err != nil {
			s.withdraw(a, sub)
		}
		a.mu.Unlock()
		if err == nil && len(before) == 0 {
			s.changedPresence(user, cameOnline)
		}
		return err
	}
}

// enter makes an audience known to every partition that has met the user.
func (s *Set) enter(a *audience) error {
	for _, p := range s.partitions {
		u, _, err := p.User(a.user)
		if err != nil {
			return err
		}
		p.online.enter(p.number, a, u)
	}
	return nil
}

// Unsubscribe takes a subscriber out again. Calls to it that have begun may still end afterwards.
func (s *Set) Unsubscribe(user tidemark.UserID, sub Subscriber) {
	s.mu.Lock()
	a := s.audiences[user]
	s.mu.Unlock()
	if a == nil {
		return
	}
	a.mu.Lock()
	had := len(a.all())
	s.withdraw(a, sub)
	left := len(a.all())
	a.mu.Unlock()
	s.watches.drop(sub)
	if had > 0 && left == 0 {
		s.changedPresence(user, wentOffline)
	}
}

// withdraw needs a.mu.
func (s *Set) withdraw(a *audience, sub Subscriber) {
	rest := slices.DeleteFunc(slices.Clone(a.all()), func(other Subscriber) bool { return other == sub })
	a.subscribers.Store(&rest)
	if len(rest) > 0 || a.dead {
		return
	}
	a.dead = true
	for _, p := range s.partitions {
		p.online.leave(p.number, a)
	}
	s.mu.Lock()
	delete(s.audiences, a.user)
	s.mu.Unlock()
}

// Online reports whether the user has a session on this node.
func (s *Set) Online(user tidemark.UserID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.audiences[user] != nil
}

// online is the users of one partition that have subscribers.
//
// The loop holds mu for reading from the first wake of a commit until its position is published. So whoever has held it
// for writing after it became a subscriber will be woken by, or read as published, every commit.
type online struct {
	mu        sync.RWMutex
	ordinals  *roaring.Bitmap           // guarded by mu
	audiences map[record.User]*audience // guarded by mu; the same users
}

func newOnline() online {
	return online{ordinals: roaring.New(), audiences: make(map[record.User]*audience)}
}

// enter waits until no wakes are under way, and registers the audience if the user has an ordinal u > 0.
func (o *online) enter(partition uint32, a *audience, u record.User) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if u == 0 || a.ordinals[partition] != 0 || len(a.all()) == 0 {
		return
	}
	a.ordinals[partition] = u
	o.ordinals.Add(uint32(u))
	o.audiences[u] = a
}

func (o *online) leave(partition uint32, a *audience) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if u := a.ordinals[partition]; u != 0 {
		o.ordinals.Remove(uint32(u))
		delete(o.audiences, u)
		a.ordinals[partition] = 0
	}
}

func (o *online) count() int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return len(o.audiences)
}

// meet registers those users that this batch gave an ordinal and that are online. The loop calls it before the wakes.
func (p *Partition) meet() {
	each(&p.overlay.users, func(id tidemark.UserID, u record.User) {
		p.set.mu.Lock()
		a := p.set.audiences[id]
		p.set.mu.Unlock()
		if a != nil {
			p.online.enter(p.number, a, u)
		}
	})
}
