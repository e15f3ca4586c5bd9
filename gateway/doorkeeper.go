// SPDX-License-Identifier: Apache-2.0

// How many and how fast: connections and handshakes by address, connections and frames by user.

package gateway

import (
	"net/netip"
	"sync"

	"golang.org/x/time/rate"

	tidemark "github.com/tidemark-im/tidemark"
)

// doorkeeper counts. Safe for concurrent use.
type doorkeeper struct {
	total, perUser          int // limits; negative: none
	perAddress, perLocal    int
	handshakes, localShakes rate.Limit
	frames                  rhythm
	mu                      sync.Mutex
	connections             int
	addresses               map[netip.Addr]*caller // by the address as [callerOf] cuts it
	users                   map[tidemark.UserID]*guest
}

// caller is an address that has connections or has tried to lately.
type caller struct {
	connections int
	handshakes  *rate.Limiter
}

// guest is a user with connections. All of them share the pace.
type guest struct {
	connections int
	frames      pace
}

func newDoorkeeper(c *Config) *doorkeeper {
	d := &doorkeeper{
		total: c.ConnectionsMax, perUser: c.ConnectionsPerUserMax, perAddress: c.ConnectionsPerAddressMax, perLocal: c.ConnectionsPerAddressMax,
		handshakes: rate.Limit(c.HandshakesPerSecond), localShakes: rate.Limit(c.HandshakesPerSecond), frames: rhythmOf(c.FramesPerSecond),
		addresses: map[netip.Addr]*caller{}, users: map[tidemark.UserID]*guest{},
	}
	if d.perAddress == 0 {
		d.perAddress, d.perLocal = 10_000, -1
	}
	if d.handshakes == 0 {
		d.handshakes, d.localShakes = 200, -1
	}
	return d
}

// callerOf is the address that limits count: of IPv6 the /64, which one customer has whole.
func callerOf(a netip.Addr) netip.Addr {
	if a.Is6() {
		if prefix, err := a.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return a
}

// handshake counts an attempt to connect; false when they come too fast.
func (d *doorkeeper) handshake(address netip.Addr) bool {
	limit := d.handshakes
	if address.IsLoopback() {
		limit = d.localShakes
	}
	if limit < 0 {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.caller(address)
	if c.handshakes == nil {
		c.handshakes = rate.NewLimiter(limit, max(int(limit*10), 1))
	}
	return c.handshakes.Allow()
}

// caller finds or makes; d.mu is held.
func (d *doorkeeper) caller(address netip.Addr) *caller {
	key := callerOf(address)
	c := d.addresses[key]
	if c == nil {
		c = &caller{}
		d.addresses[key] = c
	}
	return c
}

// enter counts a connection; false when there are too many. Each true needs a leave.
func (d *doorkeeper) enter(address netip.Addr) bool {
	limit := d.perAddress
	if address.IsLoopback() {
		limit = d.perLocal
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.caller(address)
	if d.total >= 0 && d.connections >= d.total || limit >= 0 && c.connections >= limit {
		return false
	}
	d.connections++
	c.connections++
	return true
}

func (d *doorkeeper) leave(address netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connections--
	key := callerOf(address)
	if c := d.addresses[key]; c != nil {
		if c.connections--; c.connections == 0 && c.handshakes == nil {
			delete(d.addresses, key)
		}
	}
}

// enterUser counts a connection of a user and gives the pace they share; nil when there are too many. All else needs a
// leaveUser.
func (d *doorkeeper) enterUser(user tidemark.UserID) *pace {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.users[user]
	if g == nil {
		g = &guest{}
		d.users[user] = g
	}
	if d.perUser >= 0 && g.connections >= d.perUser {
		return nil
	}
	g.connections++
	return &g.frames
}

func (d *doorkeeper) leaveUser(user tidemark.UserID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.users[user]; g != nil {
		if g.connections--; g.connections == 0 {
			delete(d.users, user)
		}
	}
}

// sweep forgets addresses that have no connection and whose rate has recovered.
func (d *doorkeeper) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, c := range d.addresses {
		if c.connections == 0 && (c.handshakes == nil || c.handshakes.Tokens() >= float64(c.handshakes.Burst())) {
			delete(d.addresses, key)
		}
	}
}
