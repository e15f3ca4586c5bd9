// SPDX-License-Identifier: Apache-2.0

// Accounts, and what is left of those that have ended.

package verify

import (
	"cmp"
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// checkAccounts checks that accounts belong to users of this partition, and that an account has ended if and only if its
// profile says so; then there is nothing in either.
func (c *checker) checkAccounts() error {
	return all(c, store.AccountRow, func(r *reader) (*record.Account, error) { return r.Account() }, func(k store.Key, a *record.Account) {
		c.counts.Accounts++
		what := fmt.Sprintf(" of the account of user %q", k.ID)
		p, err := c.p.Profile(tidemark.UserID(k.ID))
		switch {
		case err != nil: // noted with the profiles
			return
		case p == nil:
			c.damaged(0, fmt.Sprintf("account of user %q", k.ID), "one", "none: the user has no profile here")
			return
		}
		equal(c, 0, "end"+what, a.DeletedMs > 0, p.DeletedPosition > 0)
		c.atMost(0, "revoked devices"+what, uint64(len(a.Revoked)), core.RevokedMax)
		if !slices.IsSortedFunc(a.Revoked, func(x, y record.RevokedDevice) int { return cmp.Or(cmp.Compare(x.Device, y.Device), -1) }) {
			c.damaged(0, "revoked devices"+what, a.Revoked, "each once, in the order of their ids")
		}
		for _, r := range a.Revoked {
			c.atLeast(0, fmt.Sprintf("time of the revoked device %q%s", r.Device, what), r.FromMs, a.TokensFromMs+1)
		}
		if a.DeletedMs > 0 && (a.TokensFromMs == 0 || a.HidePresence || a.HideTyping || a.ContactsOnly || len(a.Revoked) > 0) {
			c.damaged(0, "what is left"+what, fmt.Sprintf("%+v", *a), "tokens that are refused and nothing else: it has ended")
		}
	})
}

// checkTombstone checks the profile of a user who was deleted.
func (c *checker) checkTombstone(p *record.Profile) {
	if p.DeletedPosition == 0 {
		return
	}
	what := fmt.Sprintf(" of the profile of user %q, who was deleted", p.ID)
	if p.Nickname != "" || p.Avatar != "" || len(p.Custom) > 0 {
		c.damaged(0, "data"+what, fmt.Sprintf("%q, %q, %v", p.Nickname, p.Avatar, p.Custom), "none")
	}
	equal(c, 0, "position"+what, p.Position(), p.DeletedPosition)
	if a, err := c.p.Account(p.ID); err == nil && a == nil {
		c.damaged(0, fmt.Sprintf("account of user %q, who was deleted", p.ID), "none", "one that has ended")
	}
}
