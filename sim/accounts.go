// SPDX-License-Identifier: Apache-2.0

// Accounts: the app deletes users and begins their ids anew, and signs devices out. Tokens are the times at which they were
// issued.

package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// accountCalls are the actions of this file.
var accountCalls = map[string]func(w *world, chance *rand.Rand) string{
	"delete user": func(w *world, chance *rand.Rand) string {
		u := w.users[chance.IntN(len(w.users))]
		u.wanted, u.ended = false, false
		w.call(chance, w.deleteCall(u))
		return string(u.id)
	},
	"new user": func(w *world, chance *rand.Rand) string {
		u := w.users[chance.IntN(len(w.users))]
		for _, other := range w.users { // of who is gone, if anybody is
			if !other.wanted && chance.IntN(2) == 0 {
				u = other
			}
		}
		u.wanted = true
		w.call(chance, w.upsertCall(u))
		return string(u.id)
	},
	"sign out": signOut,
}

// deleteCall deletes a user, for which the app has no more use.
func (w *world) deleteCall(u *person) *call {
	return &call{
		tries: 3, long: func(s *server, done func(core.Reply, proto.Message)) {
			s.end(s.set.BeginDelete(u.id, func() int {
				n := s.registry.Kick(u.id, "")
				w.checkKicked(u.id, "")
				return n
			}), func(e *partition.Ending) {
				_, reply, err := e.Result()
				if err == nil {
					u.ended = !u.wanted
					w.say(about{user: u.id}, "%s is deleted", u.id)
					w.checkGone(u.id)
				}
				done(outcome(reply, err))
			})
		},
	}
}

// upsertCall creates a user, or gives one that is there its profile.
func (w *world) upsertCall(u *person) *call {
	return &call{
		tries: 3, long: func(s *server, done func(core.Reply, proto.Message)) {
			cmd := &core.UpsertUser{User: u.id, Nickname: string(u.id)}
			e, err := s.set.BeginAnew(cmd)
			switch {
			case err != nil:
				done(outcome(core.Reply{}, err))
			case e == nil:
				s.submit(cmd, func(r core.Reply) { done(outcome(r, errorOf(r))) })
			default:
				s.end(e, func(e *partition.Ending) {
					_, reply, err := e.Result()
					done(outcome(reply, err))
				})
			}
		},
	}
}

func errorOf(r core.Reply) error {
	if r.Err == nil {
		return nil
	}
	return r.Err
}

// outcome is an answer, or the refusal.
func outcome(r core.Reply, err error) (core.Reply, proto.Message) {
	if err == nil {
		return r, &wire.Ack{}
	}
	refused, ok := err.(*tidemark.Error)
	if !ok {
		refused = tidemark.Refuse(tidemark.Internal, "%v", err)
	}
	return core.Reply{Err: refused}, wire.ErrorOf(0, refused)
}

// end steps an ending until it is over; over is not called where the server dies before.
func (s *server) end(e *partition.Ending, over func(*partition.Ending)) {
	s.endings = append(s.endings, e)
	var step func()
	step = func() {
		if !s.up || !slices.Contains(s.endings, e) {
			return
		}
		if e.Step() {
			s.endings = slices.DeleteFunc(s.endings, func(other *partition.Ending) bool { return other == e })
			s.poke()
			over(e)
			return
		}
		s.poke()
		s.w.after(1+s.w.delay(s.w.profile.StepMs), step)
	}
	step()
}

// signOut revokes the tokens of a user, of one device or of all, and ends the sessions.
func signOut(w *world, chance *rand.Rand) string {
	u := w.users[chance.IntN(len(w.users))]
	device := tidemark.DeviceID("")
	if chance.IntN(3) > 0 {
		device = u.devices[chance.IntN(len(u.devices))].id
	}
	w.call(chance, &call{
		who: invariant.Who{User: u.id}, tries: 2, long: func(s *server, done func(core.Reply, proto.Message)) {
			s.submit(&core.RevokeTokens{User: u.id, Device: device}, func(r core.Reply) {
				if r.Err == nil && w.server == s {
					s.registry.Kick(u.id, device)
					w.checkKicked(u.id, device)
				}
				done(outcome(r, errorOf(r)))
			})
		},
	})
	return fmt.Sprintf("%s, device %q", u.id, device)
}

// admits refuses a connection with a token that does not count, as the gateway does.
func (c *conn) admits() error {
	from, _, err := c.s.set.TokensFrom(c.d.user, c.d.id)
	switch {
	case err != nil:
		return err
	case c.tokenMs < from:
		return tidemark.Refuse(tidemark.BadToken, "the token was revoked, or the user of it deleted")
	}
	return nil
}

// token brings a device a new token, as the app's back end issues it; false: there is no such user any more, or nobody can
// say.
func (d *device) token() bool {
	w := d.w
	if w.server == nil {
		return false
	}
	from, _, err := w.server.set.TokensFrom(d.user, d.id)
	if err != nil || from == math.MaxUint64 || w.server.set.CheckUsers(d.user) != nil {
		return false
	}
	d.tokenMs = max(w.serverMs(), from)
	return true
}

// refusedToken lets a device sign in again. Where its user is gone the app forgets everything; it comes back when there is
// such a user again.
func (d *device) refusedToken() {
	if d.token() || d.w.server == nil {
		return
	}
	w := d.w
	w.say(d.about(), "is signed out: the user is gone")
	w.observer.Happened(invariant.Incident{Kind: invariant.DeviceWiped, Who: d.who()})
	d.off()
	d.own, d.told, d.signedOut = nil, nil, true
	d.store = client.NewMemory()
	var look func()
	look = func() {
		if d.signedOut && d.token() {
			d.signedOut = false
			d.on()
		}
		if d.signedOut {
			w.after(2_000, look)
		}
	}
	w.after(2_000, look)
}

// unknown refuses a call of who does not exist, or a command that names such a user, as the API does before it queues
// anything.
func (s *server) unknown(c *call, cmd core.Command) error {
	if !s.w.profile.Accounts {
		return nil
	}
	var users []tidemark.UserID
	if c.who.User != "" {
		users = append(users, c.who.User)
	}
	switch cmd := cmd.(type) {
	case *core.Create:
		if users = append(users, cmd.Members...); cmd.Owner != "" {
			users = append(users, cmd.Owner)
		}
	case *core.AddMembers:
		users = append(users, cmd.Members...)
	case *core.AnswerJoin:
		users = append(users, cmd.Users...)
	case *core.Join:
		users = append(users, cmd.Actor.User)
	case *core.Contact:
		users = append(users, cmd.Peer)
	}
	return s.set.CheckUsers(users...)
}

// gone reports whether the app has no more use for a user, and the server has none.
func (w *world) gone(id tidemark.UserID) bool {
	return w.profile.Accounts && w.server != nil && w.server.set.CheckUsers(id) != nil
}

// done reports whether a user is there or gone, as the app wants it.
func (w *world) done(u *person) bool { return w.gone(u.id) != u.wanted && (u.wanted || u.ended) }

// finishAccounts does in the calm what the app's calls have not done: whom it wants are there, and all others are gone.
func (w *world) finishAccounts() {
	if !w.profile.Accounts {
		return
	}
	for _, u := range w.users {
		if w.done(u) || u.asked {
			continue
		}
		u.asked = true
		c := w.deleteCall(u)
		if u.wanted {
			c = w.upsertCall(u)
		}
		c.then = func(core.Reply) { u.asked = false }
		c.tries = 0
		w.call(w.chance.network, c)
	}
}

// unfinished is an account of which something is still to be done, or nil.
func (w *world) unfinished() *invariant.Violation {
	if len(w.server.endings) > 0 {
		return missing("", "an account has not ended yet")
	}
	for _, u := range w.users {
		if !w.done(u) {
			v := missing("", "the app wants the user: %v", u.wanted)
			v.User = u.id
			return v
		}
	}
	return nil
}
