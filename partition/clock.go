// SPDX-License-Identifier: Apache-2.0

// A bounded map whose reads need no more than a read lock.

package partition

import "sync/atomic"

// clock is a map that evicts by second chance: a look-up marks the entry with one atomic store, so that many readers
// share a read lock; put needs the write lock. The bound is a sum of costs.
type clock[K comparable, V any] struct {
	max     int // bound of the sum of costs
	cost    int // cost <= max after every put, except for one entry that is larger than max by itself
	entries map[K]*slot[K, V]
	ring    []*slot[K, V]
	hand    int
	evicted func(V) // nil: nobody wants to know
}

type slot[K comparable, V any] struct {
	key   K
	value V
	cost  int
	index int // ring[index] is this slot
	used  atomic.Bool
}

func newClock[K comparable, V any](max int) clock[K, V] {
	return clock[K, V]{max: max, entries: make(map[K]*slot[K, V])}
}

// get needs at least the read lock.
func (c *clock[K, V]) get(k K) (v V, ok bool) {
	s := c.entries[k]
	if s == nil {
		return v, false
	}
	if !s.used.Load() {
		s.used.Store(true)
	}
	return s.value, true
}

// peek is get that does not keep the entry from being evicted.
func (c *clock[K, V]) peek(k K) (v V, ok bool) {
	if s := c.entries[k]; s != nil {
		return s.value, true
	}
	return v, false
}

// put needs the write lock. An entry that is there is replaced.
func (c *clock[K, V]) put(k K, v V, cost int) {
	if s := c.entries[k]; s != nil {
		c.cost += cost - s.cost
		s.value, s.cost = v, cost
		c.shrink(s)
		return
	}
	s := &slot[K, V]{key: k, value: v, cost: cost, index: len(c.ring)}
	c.entries[k] = s
	c.ring = append(c.ring, s)
	c.cost += cost
	c.shrink(s)
}

// shrink evicts until the bound holds again, sparing keep.
func (c *clock[K, V]) shrink(keep *slot[K, V]) {
	for c.cost > c.max && len(c.ring) > 1 {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		s := c.ring[c.hand]
		if s == keep || s.used.Swap(false) {
			c.hand++
			continue
		}
		c.remove(s)
		if c.evicted != nil {
			c.evicted(s.value)
		}
	}
}

func (c *clock[K, V]) remove(s *slot[K, V]) {
	last := c.ring[len(c.ring)-1]
	c.ring[s.index], last.index = last, s.index
	c.ring[len(c.ring)-1] = nil
	c.ring = c.ring[:len(c.ring)-1]
	c.cost -= s.cost
	delete(c.entries, s.key)
}

// generations is a bounded map for small values that are cheap to read again: without a word of overhead for an entry.
// When the young half is full, the old one is dropped, and the young becomes the old.
type generations[K comparable, V any] struct {
	max        int // len(young) + len(old) <= max
	young, old map[K]V
}

func newGenerations[K comparable, V any](max int) generations[K, V] {
	return generations[K, V]{max: max, young: make(map[K]V)}
}

// get needs at least the read lock.
func (g *generations[K, V]) get(k K) (V, bool) {
	if v, ok := g.young[k]; ok {
		return v, true
	}
	v, ok := g.old[k]
	return v, ok
}

// put needs the write lock.
func (g *generations[K, V]) put(k K, v V) {
	if len(g.young) >= max(g.max/2, 1) {
		g.old, g.young = g.young, make(map[K]V)
	}
	g.young[k] = v
}

// drop needs the write lock.
func (g *generations[K, V]) drop(k K) {
	delete(g.young, k)
	delete(g.old, k)
}
