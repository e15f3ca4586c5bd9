// SPDX-License-Identifier: Apache-2.0

// Accounts: what users have chosen, and which tokens hold. Every call asks for one, so they are kept in memory, and so
// is that a user has none, which is the rule.

package partition

import (
	"fmt"
	"math"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// Account of a user; nil if the user has chosen nothing and no token is refused. The record is shared. The error is of a
// failing store.
func (s *Set) Account(id tidemark.UserID) (*record.Account, error) { return s.OfUser(id).Account(id) }

// TokensFrom is since when a user's tokens must have been issued, Unix ms, to count for a device ("": for none in
// particular), and to count for any; math.MaxUint64 for a user who was deleted, 0 where nothing was revoked. The error is
// of a failing store.
func (s *Set) TokensFrom(id tidemark.UserID, device tidemark.DeviceID) (fromMs, anyFromMs uint64, err error) {
	a, err := s.Account(id)
	if err != nil || a == nil {
		return 0, 0, err
	}
	if a.DeletedMs > 0 {
		return math.MaxUint64, math.MaxUint64, nil
	}
	fromMs, anyFromMs = a.TokensFromMs, a.TokensFromMs
	for _, r := range a.Revoked {
		anyFromMs = max(anyFromMs, r.FromMs)
		if r.Device == device {
			fromMs = max(fromMs, r.FromMs)
		}
	}
	return fromMs, anyFromMs, nil
}

// Account is a user's account, of a user whose home is this partition; nil if it has none. The record is shared.
func (p *Partition) Account(id tidemark.UserID) (*record.Account, error) {
	p.mu.RLock()
	a, cached := p.mem.accounts.get(id)
	_, none := p.mem.plain.get(id)
	since := p.mem.state.Position
	p.mu.RUnlock()
	if cached || none {
		return a, nil
	}
	p.stats.misses.Add(1)
	a, err := p.db.Account(id)
	if err != nil {
		return nil, fmt.Errorf("partition: account of %s: %w", id, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if flight := p.mem.flight; flight != nil {
		a = flight.accounts.before(id, a)
	}
	switch {
	case !p.unchanged(since):
	case a != nil:
		p.mem.accounts.put(id, a, 1)
	default:
		p.mem.plain.put(id, struct{}{})
	}
	return a, nil
}
