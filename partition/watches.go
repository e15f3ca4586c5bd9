// SPDX-License-Identifier: Apache-2.0

// Watches: who watches whom, and what is to be told when. Many changes of one user within a second are told once.

package partition

import (
	"context"
	"slices"
	"sync"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
)

const (
	// watchEveryMs is how often the watchers of a user are told of its presence at most, and how often of its profile. It
	// is also how long a user must have been away before that is told: who comes back within it was not away.
	watchEveryMs = 1000
	// watchPause is the least time between two looks at what is due.
	watchPause = 100 * time.Millisecond
)

// news is what may have to be told of a user.
type news uint8

const (
	cameOnline     news = iota // told at once, but not too often
	wentOffline                // told after a while, if it is still so
	shownOtherwise             // who may see it has changed: told soon
	profileChanged             // told soon, but not too often
)

// watcher is one who watches one user.
type watcher struct {
	sub  Subscriber
	user tidemark.UserID // who looks
	told Presence
}

// watched is one user whom somebody watches.
type watched struct {
	user tidemark.UserID
	refs int // guarded by watches.mu; watches of it

	toldMs, profileMs uint64 // guarded by watches.mu; when presence and profile were told last

	mu       sync.Mutex // held while its watchers are told; after it come the locks of Set, partitions and subscribers
	watchers []watcher  // guarded by mu
	leftMs   uint64     // guarded by mu; when its last session ended, as far as known; 0: not
}

// due is when what is to be told of a user.
type due struct {
	presenceMs, profileMs uint64 // 0: nothing
	leftMs                uint64
}

// dueNews is what is told now. of is nil where there is nothing.
type dueNews struct {
	of                *watched
	presence, profile bool
	leftMs            uint64
}

// watches is all that is watched. mu is held for moments only.
type watches struct {
	mu    sync.Mutex
	users map[tidemark.UserID]*watched // guarded by mu; refs > 0
	by    map[Subscriber][]*watched    // guarded by mu; none is empty
	due   map[*watched]due             // guarded by mu; of users that are watched
	woken chan struct{}                // capacity 1
}

func newWatches() watches {
	return watches{
		users: make(map[tidemark.UserID]*watched), by: make(map[Subscriber][]*watched), due: make(map[*watched]due),
		woken: make(chan struct{}, 1),
	}
}

// idle reports whether nobody watches anybody.
func (w *watches) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.users) == 0
}

// add notes that a subscriber, who watches nobody, watches users; each once.
func (w *watches) add(sub Subscriber, users []tidemark.UserID) []*watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]*watched, 0, len(users))
	for _, user := range users {
		x := w.users[user]
		if x != nil && slices.Contains(list, x) {
			continue
		}
		if x == nil {
			x = &watched{user: user}
			w.users[user] = x
		}
		x.refs++
		list = append(list, x)
	}
	if len(list) > 0 {
		w.by[sub] = list
	}
	return list
}

// drop ends all that a subscriber watches.
func (w *watches) drop(sub Subscriber) {
	w.mu.Lock()
	list := w.by[sub]
	delete(w.by, sub)
	w.mu.Unlock()
	for _, x := range list {
		x.mu.Lock()
		x.watchers = slices.DeleteFunc(x.watchers, func(v watcher) bool { return v.sub == sub })
		x.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range list {
		if x.refs--; x.refs == 0 {
			delete(w.users, x.user)
			delete(w.due, x)
		}
	}
}

// note notes what may have to be told of a user, and when; false: nobody watches it.
func (w *watches) note(user tidemark.UserID, what news, nowMs uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.users[user]
	if x == nil {
		return false
	}
	d := w.due[x]
	switch what {
	case cameOnline:
		d.presenceMs = max(nowMs, x.toldMs+watchEveryMs)
	case wentOffline:
		d.presenceMs, d.leftMs = nowMs+watchEveryMs, nowMs
	case shownOtherwise:
		d.presenceMs = nowMs
	case profileChanged:
		d.profileMs = max(nowMs, x.profileMs+watchEveryMs)
	}
	w.due[x] = d
	return true
}

// take takes what is due of one user.
func (w *watches) take(user tidemark.UserID, nowMs uint64) dueNews {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.users[user]; x != nil {
		return w.takeOf(x, nowMs)
	}
	return dueNews{}
}

// takeOf needs the lock.
func (w *watches) takeOf(x *watched, nowMs uint64) dueNews {
	d, n := w.due[x], dueNews{}
	if d.presenceMs != 0 && d.presenceMs <= nowMs {
		n.of, n.presence, n.leftMs = x, true, d.leftMs
		x.toldMs, d.presenceMs, d.leftMs = nowMs, 0, 0
	}
	if d.profileMs != 0 && d.profileMs <= nowMs {
		n.of, n.profile = x, true
		x.profileMs, d.profileMs = nowMs, 0
	}
	if w.due[x] = d; d.presenceMs == 0 && d.profileMs == 0 {
		delete(w.due, x)
	}
	return n
}

// takeDue takes all that is due.
func (w *watches) takeDue(nowMs uint64) []dueNews {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []dueNews
	for x := range w.due {
		if n := w.takeOf(x, nowMs); n.of != nil {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b dueNews) int { // so that what is told does not depend on the order of a map
		if a.of.user < b.of.user {
			return -1
		}
		return 1
	})
	return all
}

// next is when something is due next.
func (w *watches) next() (ms uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.due {
		for _, at := range [...]uint64{d.presenceMs, d.profileMs} {
			if at != 0 && (!ok || at < ms) {
				ms, ok = at, true
			}
		}
	}
	return ms, ok
}

// poke lets run look again at what is due.
func (w *watches) poke() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// runWatches tells what is due until the context ends.
func (s *Set) runWatches(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		s.StepWatches(s.nowMs())
		pause := time.Hour
		if next, some := s.watches.next(); some {
			pause = max(watchPause, time.Duration(next-min(next, s.nowMs()))*time.Millisecond)
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.watches.woken:
			timer.Reset(watchPause) // there may be more by then
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}
	}
}
