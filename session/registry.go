// SPDX-License-Identifier: Apache-2.0

// Registry: the sessions of this node by user and device.

package session

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Registry is the sessions of this node, one a device. Session.Open and Close keep it. Its methods are safe for
// concurrent use.
type Registry struct {
	mu       sync.Mutex
	sessions map[tidemark.UserID][]*Session // guarded by mu; of distinct devices
	count    int                            // guarded by mu
	waiting  map[tidemark.UserID][]*Session // guarded by mu; Pulls that wait: they are no sessions, but can be kicked
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	return &Registry{sessions: make(map[tidemark.UserID][]*Session), waiting: make(map[tidemark.UserID][]*Session)}
}

// add puts a session in the place of an older one of the same device, which gets bye REPLACED.
func (r *Registry) add(s *Session) {
	r.mu.Lock()
	var old *Session
	of := r.sessions[s.cfg.User]
	if i := slices.IndexFunc(of, func(o *Session) bool { return o.cfg.Device == s.cfg.Device }); i >= 0 {
		old, of[i] = of[i], s
	} else {
		r.sessions[s.cfg.User] = append(of, s)
		r.count++
	}
	r.mu.Unlock()
	if old != nil && old != s {
		old.Bye(wire.ByeReason_REPLACED, 0, "this device has connected again")
	}
}

// remove answers whether the session was there.
func (r *Registry) remove(s *Session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.sessions[s.cfg.User]
	i := slices.Index(of, s)
	if i < 0 {
		return false
	}
	r.count--
	if len(of) == 1 {
		delete(r.sessions, s.cfg.User)
	} else {
		r.sessions[s.cfg.User] = slices.Delete(of, i, i+1)
	}
	return true
}

// wait adds a Pull that waits.
func (r *Registry) wait(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[s.cfg.User] = append(r.waiting[s.cfg.User], s)
}

func (r *Registry) unwait(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := slices.DeleteFunc(r.waiting[s.cfg.User], func(o *Session) bool { return o == s })
	if r.waiting[s.cfg.User] = of; len(of) == 0 {
		delete(r.waiting, s.cfg.User)
	}
}

// Kick ends the sessions of a device ("": of all the user's devices) with bye KICKED, and the Pulls that wait for them,
// and answers how many. They are taken out at once, so that their end does not bring back the record of a device that is
// being forgotten.
func (r *Registry) Kick(user tidemark.UserID, device tidemark.DeviceID) int {
	return r.end(user, device, wire.ByeReason_KICKED, "this device was signed out")
}

// Replace is Kick with bye REPLACED, of a device whose place another has taken.
func (r *Registry) Replace(user tidemark.UserID, device tidemark.DeviceID) int {
	return r.end(user, device, wire.ByeReason_REPLACED, "another device has taken the place of this one")
}

func (r *Registry) end(user tidemark.UserID, device tidemark.DeviceID, reason wire.ByeReason, message string) int {
	ended := r.of(user, device)
	for _, s := range ended {
		r.remove(s)
		s.Bye(reason, 0, message)
	}
	r.mu.Lock()
	waiting := slices.Clone(r.waiting[user])
	r.mu.Unlock()
	waiting = slices.DeleteFunc(waiting, func(s *Session) bool { return device != "" && s.cfg.Device != device })
	for _, s := range waiting {
		s.Bye(reason, 0, message)
	}
	return len(ended) + len(waiting)
}

// devices are those of a user's sessions.
func (r *Registry) devices(user tidemark.UserID) []tidemark.DeviceID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []tidemark.DeviceID
	for _, s := range r.sessions[user] {
		ids = append(ids, s.cfg.Device)
	}
	return ids
}

// Platforms are those of a user's sessions, each once, in order.
func (r *Registry) Platforms(user tidemark.UserID) []string {
	var platforms []string
	for _, s := range r.of(user, "") {
		if s.cfg.Platform != "" {
			platforms = append(platforms, s.cfg.Platform)
		}
	}
	slices.Sort(platforms)
	return slices.Compact(platforms)
}

// of are the sessions of a device, or with "" of all the user's.
func (r *Registry) of(user tidemark.UserID, device tidemark.DeviceID) []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*Session
	for _, s := range r.sessions[user] {
		if device == "" || s.cfg.Device == device {
			found = append(found, s)
		}
	}
	return found
}

// Online reports whether the device has a session.
func (r *Registry) Online(user tidemark.UserID, device tidemark.DeviceID) bool {
	return len(r.of(user, device)) > 0
}

// Count is how many sessions there are.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// List is a page of the sessions of a user ("": of all), by user and device: those past after, which is the user and the
// device of the last one of the page before with a space between them, or empty.
func (r *Registry) List(user tidemark.UserID, after string, limit int) []*wire.SessionInfo {
	r.mu.Lock()
	var found []*Session
	for id, of := range r.sessions {
		if user == "" || id == user {
			found = append(found, of...)
		}
	}
	r.mu.Unlock()
	afterUser, afterDevice, _ := strings.Cut(after, " ")
	found = slices.DeleteFunc(found, func(s *Session) bool {
		return after != "" && order(s.cfg.User, s.cfg.Device, tidemark.UserID(afterUser), tidemark.DeviceID(afterDevice)) <= 0
	})
	slices.SortFunc(found, func(a, b *Session) int { return order(a.cfg.User, a.cfg.Device, b.cfg.User, b.cfg.Device) })
	infos := make([]*wire.SessionInfo, 0, min(len(found), limit))
	for _, s := range found[:min(len(found), limit)] {
		infos = append(infos, s.Info())
	}
	return infos
}

func order(u tidemark.UserID, d tidemark.DeviceID, u2 tidemark.UserID, d2 tidemark.DeviceID) int {
	return cmp.Or(cmp.Compare(u, u2), cmp.Compare(d, d2))
}

// Drain ends all sessions with bye SHUTDOWN; when they are to come back is spread evenly over spreadMs.
func (r *Registry) Drain(spreadMs uint32, message string) {
	r.mu.Lock()
	all := make([]*Session, 0, r.count)
	for _, of := range r.sessions {
		all = append(all, of...)
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b *Session) int { return order(a.cfg.User, a.cfg.Device, b.cfg.User, b.cfg.Device) })
	for i, s := range all {
		s.Bye(wire.ByeReason_SHUTDOWN, uint32(uint64(spreadMs)*uint64(i)/uint64(len(all))), message)
	}
}
