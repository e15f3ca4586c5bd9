// SPDX-License-Identifier: Apache-2.0

// Presence: who is online, told to those who watch. What is told is always how it stands at that moment, found out and
// sent under one lock for each watched user: whatever the order in which devices come and go, the last thing told is true.

package partition

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Presence is how a user is to be seen by another.
type Presence struct {
	Online     bool
	LastSeenMs uint64 // while not online; 0: never, or the user does not show it
}

// Presence of a user as another sees it ("": the app, who sees everybody). The error is of a failing store.
func (s *Set) Presence(asking, user tidemark.UserID) (Presence, error) {
	if shown, err := s.ShowsPresence(user, asking); err != nil || !shown {
		return Presence{}, err
	}
	return s.presence(user, 0)
}

// presence is how it stands, whoever asks. leftMs is when the user was last known to leave; 0: not known.
func (s *Set) presence(user tidemark.UserID, leftMs uint64) (Presence, error) {
	if s.Online(user) {
		return Presence{Online: true}, nil
	}
	stands := Presence{LastSeenMs: leftMs}
	devices, err := s.OfUser(user).Devices(user)
	for _, d := range devices {
		stands.LastSeenMs = max(stands.LastSeenMs, d.LastSeenMs)
	}
	return stands, err
}

// ShowsPresence reports whether a user lets another ("": the app) see when it is online: to itself always, to others
// unless it hides it, or a block keeps them apart. The error is of a failing store.
func (s *Set) ShowsPresence(user, to tidemark.UserID) (bool, error) {
	if to == user || to == "" {
		return true, nil
	}
	a, err := s.Account(user)
	if err != nil || a != nil && (a.HidePresence || a.DeletedMs > 0) {
		return false, err
	}
	apart, err := s.Apart(user, to)
	return !apart, err
}

// CheckKnown is CheckUsers, to which a user who was deleted is one.
func (s *Set) CheckKnown(ids ...tidemark.UserID) error {
	for _, id := range ids {
		if id.Valid() {
			if f, err := s.OfUser(id).Profile(id); err != nil || f != nil && f.DeletedPosition > 0 {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := s.CheckUsers(id); err != nil {
			return err
		}
	}
	return nil
}

// Watch asks for the presence of users, and to be told of changes of their profiles, in place of those whom the subscriber
// watched before, and signals at once how it stands. viewer is who sees it. Unsubscribe ends it. It refuses with
// UNKNOWN_USER a user who never was; one who was deleted is never online.
func (s *Set) Watch(viewer tidemark.UserID, sub Subscriber, users []tidemark.UserID) error {
	if err := s.CheckKnown(users...); err != nil {
		return err
	}
	s.watches.drop(sub)
	for _, x := range s.watches.add(sub, users) {
		x.mu.Lock()
		x.watchers = append(x.watchers, watcher{sub: sub, user: viewer})
		s.showTo(x, &x.watchers[len(x.watchers)-1], true)
		x.mu.Unlock()
	}
	return nil
}

// showTo tells a watcher how it stands, if that is another thing than it was told last. It needs x.mu.
func (s *Set) showTo(x *watched, v *watcher, first bool) {
	shown, err := s.ShowsPresence(x.user, v.user)
	stands := Presence{}
	if err == nil && shown {
		stands, err = s.presence(x.user, x.leftMs)
	}
	if err != nil || stands == v.told && !first { // a store that fails tells nothing new
		return
	}
	v.told = stands
	v.sub.Signal(&wire.Signal{Signal: &wire.Signal_Presence{Presence: &wire.PresenceSignal{
		User: string(x.user), Online: stands.Online, LastSeenMs: stands.LastSeenMs,
	}}})
}

// tellChanges tells of what the batch has changed for watchers: profiles, and who may see whom. The loop calls it: it only
// notes what is to be told, and wakes who tells it.
func (p *Partition) tellChanges() {
	if p.set.watches.idle() {
		return
	}
	nowMs, told := p.set.nowMs(), false
	note := func(user tidemark.UserID, what news) { told = p.set.watches.note(user, what, nowMs) || told }
	each(&p.overlay.profiles, func(id tidemark.UserID, _ *record.Profile) { note(id, profileChanged) })
	each(&p.overlay.accounts, func(id tidemark.UserID, _ *record.Account) { note(id, shownOtherwise) })
	for i := range p.overlay.members.rows {
		r := &p.overlay.members.rows[i]
		if !r.changed || r.now.Member == nil || r.now.Blocked == (r.base.Member != nil && r.base.Blocked) {
			continue
		}
		if info, err := p.InfoOf(r.key.c); err == nil && info != nil {
			a, b, _ := info.ID.Peers()
			note(a, shownOtherwise)
			note(b, shownOtherwise)
		}
	}
	if told {
		p.set.watches.poke()
	}
}

// changedPresence tells, or notes to be told soon, that a user may have come or gone.
func (s *Set) changedPresence(user tidemark.UserID, what news) {
	if s.watches.idle() {
		return
	}
	nowMs := s.nowMs()
	if s.watches.note(user, what, nowMs) {
		s.tellWatchers(s.watches.take(user, nowMs))
		s.watches.poke()
	}
}

// StepWatches tells the watchers what is due, and answers whether anything was.
func (s *Set) StepWatches(nowMs uint64) (did bool) {
	due := s.watches.takeDue(nowMs)
	for _, d := range due {
		s.tellWatchers(d)
	}
	return len(due) > 0
}

func (s *Set) tellWatchers(d dueNews) {
	if d.of == nil {
		return
	}
	d.of.mu.Lock()
	defer d.of.mu.Unlock()
	d.of.leftMs = max(d.of.leftMs, d.leftMs)
	sig := &wire.Signal{Signal: &wire.Signal_Profile{Profile: &wire.ProfileSignal{User: string(d.of.user)}}}
	for i := range d.of.watchers {
		v := &d.of.watchers[i]
		if d.presence {
			s.showTo(d.of, v, false)
		}
		if !d.profile {
			continue
		}
		if apart, err := s.Apart(d.of.user, v.user); err == nil && !apart {
			v.sub.Signal(sig)
		}
	}
}
