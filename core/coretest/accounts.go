// SPDX-License-Identifier: Apache-2.0

// What must hold of accounts, profiles and devices, which no log derives.

package coretest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
)

// checkPeople holds accounts to their profiles: whose account has ended has an empty profile that says so, nothing
// chosen, refused tokens and no devices.
func (m *Memory) checkPeople() error {
	for id, a := range m.accounts {
		p := m.profiles[id]
		switch {
		case a.User != id || p == nil:
			return fmt.Errorf("coretest: account of %s: it is of %q, the profile %+v", id, a.User, p)
		case (a.DeletedMs > 0) != (p.DeletedPosition > 0):
			return fmt.Errorf("coretest: account of %s: deleted at %d, the profile at position %d", id, a.DeletedMs, p.DeletedPosition)
		case len(a.Revoked) > core.RevokedMax:
			return fmt.Errorf("coretest: account of %s: %d devices are revoked", id, len(a.Revoked))
		case !slices.IsSortedFunc(a.Revoked, func(x, y record.RevokedDevice) int {
			return cmp.Or(cmp.Compare(x.Device, y.Device), -1) // none twice
		}):
			return fmt.Errorf("coretest: account of %s: revoked devices out of order: %+v", id, a.Revoked)
		case slices.ContainsFunc(a.Revoked, func(r record.RevokedDevice) bool { return r.FromMs <= a.TokensFromMs }):
			return fmt.Errorf("coretest: account of %s: superfluous among %+v, all from %d", id, a.Revoked, a.TokensFromMs)
		case a.DeletedMs > 0 && (a.TokensFromMs == 0 || a.HidePresence || a.HideTyping || a.ContactsOnly || a.Revoked != nil):
			return fmt.Errorf("coretest: account of %s: it has ended and is %+v", id, a)
		}
	}
	for id, p := range m.profiles {
		if p.DeletedPosition == 0 {
			continue
		}
		if a := m.accounts[id]; a == nil || p.Nickname != "" || p.Avatar != "" || p.Custom != nil || p.Position() != p.DeletedPosition {
			return fmt.Errorf("coretest: profile of %s: deleted, and %+v, account %+v", id, p, a)
		}
	}
	for key := range m.devices {
		if p := m.profiles[key.user]; p == nil || p.DeletedPosition > 0 {
			return fmt.Errorf("coretest: device %s of %s: there is no such user", key.device, key.user)
		}
	}
	return nil
}
