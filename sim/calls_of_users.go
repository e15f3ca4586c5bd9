// SPDX-License-Identifier: Apache-2.0

// What users do by HTTP with their profiles and contacts.

package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// userCalls are the actions of this file.
var userCalls = map[string]func(w *world, chance *rand.Rand) string{
	"contact": func(w *world, chance *rand.Rand) string {
		u, peer := w.anyone(chance), w.anyone(chance)
		if u == peer {
			return "nobody can"
		}
		action := []core.ContactAction{
			core.AskContact, core.AskContact, core.AcceptContact, core.AcceptContact, core.RejectContact, core.RemoveContact, core.BlockPeer,
			core.UnblockPeer, core.UnblockPeer, core.RemarkPeer,
		}[chance.IntN(10)]
		text := fmt.Sprintf("text %d", chance.IntN(9))
		if action != core.AskContact && action != core.RemarkPeer {
			text = ""
		}
		w.callAs(chance, u, func() core.Command { return &core.Contact{User: u, Peer: peer, Action: action, Text: text} })
		return fmt.Sprintf("%s to %s: action %d", u, peer, action)
	},
	"profile": func(w *world, chance *rand.Rand) string {
		u, name := w.anyone(chance), fmt.Sprintf("name %d", chance.IntN(1000))
		w.callAs(chance, u, func() core.Command { return &core.UpdateUser{User: u, Nickname: &name} })
		return fmt.Sprintf("%s: %s", u, name)
	},
	"options": func(w *world, chance *rand.Rand) string {
		u, on, which := w.anyone(chance), chance.IntN(2) == 0, chance.IntN(3)
		w.callAs(chance, u, func() core.Command {
			c := &core.SetOptions{User: u}
			*[]**bool{&c.HidePresence, &c.HideTyping, &c.ContactsOnly}[which] = &on
			return c
		})
		return string(u)
	},
}

// versions is what a device asks for when it refreshes: what is new of its contacts, and its user's own profile.
func (d *device) versions() (ask *wire.ChangesRequest, err error) {
	ask = &wire.ChangesRequest{Profiles: &wire.ProfilesContract{Users: []string{string(d.user)}}}
	err = d.store.View(func(v replica.View) error {
		ask.Contacts, err = replica.ContactsVersions(v)
		return err
	})
	return ask, err
}

// refreshed takes in the answer.
func (d *device) refreshed(ask *wire.ChangesRequest, answer *wire.ChangesResponse) {
	more := answer.GetContacts().GetNextPageToken() != "" || answer.GetProfiles().GetNextPageToken() != ""
	versions := &wire.ContactsContract{
		ListVersion: answer.GetContacts().GetListVersion(), InfoVersion: answer.GetContacts().GetInfoVersion(),
	}
	_ = d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
		if more {
			return r.Profiles(v, nowMs, answer.ChangedProfiles...)
		}
		return r.Refreshed(v, nowMs, versions, answer.ChangedProfiles...)
	})
	if more {
		d.refreshSoon()
	}
}

// noted takes what the replica tells the app.
func (d *device) noted(n replica.Note) {
	w := d.w
	switch n := n.(type) {
	case replica.OutgoingChanged:
		if n.State == replica.Failed {
			w.say(about{n.Conversation, d.user, d.id}, "%s has failed: %v", n.ClientID, n.Failure)
		}
	case replica.HistoryChanged:
		w.counts.HistoryChanged++
		w.say(about{n.Conversation, d.user, d.id}, "the history of %s is another one: %d to %d are gone", n.Conversation, n.From, n.To)
		d.historyChanged(n)
		if w.counts.Restores == 0 {
			w.fail(&invariant.Violation{
				Invariant: "Y3", Text: "the device reports that history has changed, and it has not", Conversation: n.Conversation,
				User: d.user, Device: d.id, Seq: n.From,
			})
		}
	case replica.ProfileOutdated:
		d.refreshSoon()
	}
}
