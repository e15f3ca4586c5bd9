// SPDX-License-Identifier: Apache-2.0

// What is left of accounts that have ended: no session, no token that counts, no membership, nothing that waits; and of what
// the id was, nothing for whoever gets it next (PROTOCOL 1.8, 5.10, 5.14, 5.16).

package sim

import (
	"fmt"
	"math"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
)

// checkGone looks at a user whose account has just ended.
func (w *world) checkGone(user tidemark.UserID) {
	who := invariant.Who{User: user}
	if from, _, err := w.server.set.TokensFrom(user, ""); err != nil || from != math.MaxUint64 {
		w.broken("S9", who, "", 0, fmt.Sprintf("the user is deleted, and tokens from %d on count (%v)", from, err))
	}
	f, err := w.server.set.OfUser(user).Profile(user)
	if err != nil || f == nil || f.DeletedPosition == 0 || f.Nickname != "" {
		w.broken("S12", who, "", 0, fmt.Sprintf("the user is deleted, and the profile is %+v (%v)", f, err))
	}
	w.checkNothing(user)
}

// checkAnew looks at ids that have begun anew with the commit that was just made.
func (w *world) checkAnew() {
	if !w.profile.Accounts {
		return
	}
	for _, u := range w.users {
		gone := w.gone(u.id)
		if was := w.checks.gone[u.id]; was && !gone {
			w.say(about{user: u.id}, "%s begins anew", u.id)
			w.checkNothing(u.id)
		}
		w.checks.gone[u.id] = gone
	}
}

// checkNothing checks that a user is nothing anywhere: one that was deleted, or whose id has just begun anew.
func (w *world) checkNothing(user tidemark.UserID) {
	who := invariant.Who{User: user}
	for _, id := range w.checks.ids {
		l := w.checks.logs[id]
		if _, member := l.Member(user); member {
			w.broken("S5", who, id, 0, "the account has ended, and the user is still a member")
			return
		}
		if err := w.nothingIn(user, l); err != nil {
			w.broken("S12", who, id, 0, "the account has ended: "+err.Error())
			return
		}
	}
	for n := range w.server.set.Partitions() {
		p := w.server.set.At(n)
		u, met, err := p.User(user)
		if err != nil || !met {
			continue
		}
		waiting, _ := p.ScheduledBy(0, u)
		cursors, _ := p.Cursors(user)
		named := 0
		_ = p.Index(record.Index{Kind: record.NamedIndex, User: u}, false, func(record.Index) bool { named++; return true })
		if len(waiting)+len(cursors)+named > 0 {
			w.broken("S12", who, "", 0, fmt.Sprintf("the account has ended, and in partition %d there are %d scheduled messages, the cursors %v and %d places that name the user", n, len(waiting), cursors, named))
		}
	}
}

// nothingIn says what is left of a user in one conversation.
func (w *world) nothingIn(user tidemark.UserID, l *logged) error {
	p := w.server.set.Of(l.ID)
	info, err := p.Info(l.ID)
	if err != nil {
		return err
	}
	u, met, err := p.User(user)
	if err != nil || !met {
		return err
	}
	m, err := p.Member(info.Ordinal, user)
	if err != nil {
		return err
	}
	request, err := p.JoinRequest(info.Ordinal, u)
	if err != nil {
		return err
	}
	waiting, err := p.ScheduledBy(info.Ordinal, u)
	if err != nil {
		return err
	}
	private, err := p.Private(info.Ordinal, u)
	if err != nil {
		return err
	}
	if m.Active() || m != nil && m.Contact != record.NoContact || request != nil || len(waiting) > 0 || private != nil && private.Draft != "" {
		return fmt.Errorf("the member record is %+v, the request to join %v, %d messages wait, what is private %+v", m, request, len(waiting), private)
	}
	if peer, direct := l.ID.Peer(user); direct {
		theirs, err := p.Member(info.Ordinal, peer)
		if err == nil && theirs != nil && theirs.Contact != record.NoContact {
			err = fmt.Errorf("%s still has the user as a contact", peer)
		}
		return err
	}
	return nil
}

// checkKicked notes that from now on the sessions of a user, or of one device, say nothing but goodbye.
func (w *world) checkKicked(user tidemark.UserID, device tidemark.DeviceID) {
	for _, c := range w.server.conns {
		if c.session != nil && c.d.user == user && (device == "" || c.d.id == device) {
			c.kicked = true
		}
	}
}

// checkAdmitted checks that a session that was ended tells nothing that was written since, and that none begins unless its token
// counted when it could be ended already: what is taken away later ends it.
func (c *conn) checkAdmitted(welcome, tells bool) {
	w := c.d.w
	if c.kicked && tells {
		w.broken("S5", c.d.who(), "", 0, "a device that was signed out is told of conversations")
	}
	if welcome && !c.admitted && !c.kicked {
		w.broken("S5", c.d.who(), "", 0, "a device is made welcome whose token does not count, or was not asked for")
	}
}
