// SPDX-License-Identifier: Apache-2.0

// Refreshing: profiles that changed while nobody wrote. The server is asked for what is new since a version, never for each
// user in turn.

package client

import (
	"context"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// refreshDelay gathers what becomes outdated at the same time.
const refreshDelay = 250 * time.Millisecond

// outdatedMax bounds the users whose profiles wait to be refreshed by name; of further ones the next message tells.
const outdatedMax = 500

// Refresh brings here the own profile, and those of contacts and of watched users, that changed since they were last brought:
// one request that costs what changed, and further ones where that is more than a page. Run does it by itself after each
// synchronisation and when the server says that a watched profile has changed.
func (c *Client) Refresh(ctx context.Context) error {
	c.mu.Lock()
	outdated := c.outdated
	c.outdated = nil
	c.mu.Unlock()
	err := c.refresh(ctx, outdated)
	if err != nil {
		c.mu.Lock()
		c.outdated = append(c.outdated, outdated[:min(len(outdated), outdatedMax-min(outdatedMax, len(c.outdated)))]...)
		c.mu.Unlock()
	}
	return err
}

func (c *Client) refresh(ctx context.Context, outdated []tidemark.UserID) error {
	var contract *wire.ContactsContract
	var me tidemark.UserID
	if err := c.read(func(r *replica.Replica, v View) (err error) {
		contract, err = replica.ContactsVersions(v)
		me = r.User()
		return err
	}); err != nil {
		return err
	}
	users := names(append(outdated[:len(outdated):len(outdated)], me))
	request := &wire.ChangesRequest{Contacts: contract, Profiles: &wire.ProfilesContract{Users: users}}
	versions := (*wire.ContactsContract)(nil)
	for {
		answer, err := c.calls.sync.Changes(ctx, request)
		if err != nil {
			return refused(err)
		}
		contacts, profiles := answer.GetContacts(), answer.GetProfiles()
		if versions == nil { // those of the first page: what changes meanwhile comes next time
			versions = &wire.ContactsContract{ListVersion: contacts.GetListVersion(), InfoVersion: contacts.GetInfoVersion()}
		}
		more := contacts.GetNextPageToken() != "" || profiles.GetNextPageToken() != ""
		err = c.do(func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
			if more {
				return r.Profiles(v, nowMs, answer.ChangedProfiles...)
			}
			return r.Refreshed(v, nowMs, versions, answer.ChangedProfiles...)
		})
		if err != nil || !more {
			return err
		}
		request = &wire.ChangesRequest{}
		if token := contacts.GetNextPageToken(); token != "" {
			request.Contacts = &wire.ContactsContract{ListVersion: contract.ListVersion, InfoVersion: contract.InfoVersion, PageToken: token}
		}
		if token := profiles.GetNextPageToken(); token != "" {
			request.Profiles = &wire.ProfilesContract{Users: users, PageToken: token}
		}
	}
}

// refresher refreshes whenever something is said to be outdated, until the connection ends.
func (c *Client) refresher(ctx context.Context) {
	for {
		select {
		case <-c.stale:
		case <-ctx.Done():
			return
		}
		if !c.sleep(ctx, refreshDelay) {
			return
		}
		if err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Logger.Debug("profiles were not refreshed", "err", err)
		}
	}
}

// noteOutdated notes what a step's notes say is outdated. The caller holds mu.
func (c *Client) noteOutdated(out *replica.Output) {
	stale := out.Synced
	for _, n := range out.Notes {
		if o, ok := n.(ProfileOutdated); ok {
			stale = true
			if len(c.outdated) < outdatedMax {
				c.outdated = append(c.outdated, o.User)
			}
		}
	}
	if stale {
		poke(c.stale)
	}
}
