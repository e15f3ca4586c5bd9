// SPDX-License-Identifier: Apache-2.0

// The dirty set: which conversations have something that the device has not been given.

package session

import (
	"slices"

	"github.com/tidemark-im/tidemark/record"
)

// key names a conversation on this node. Keys of one partition are neighbours in order.
type key uint64

func keyOf(partition uint32, c record.Conversation) key { return key(partition)<<32 | key(c) }

func (k key) partition() uint32                 { return uint32(k >> 32) }
func (k key) conversation() record.Conversation { return record.Conversation(k) }

// listSet is a set in the order in which things came. It is small while it has few: a list that is searched; a long one
// gets an index.
type listSet[K comparable] struct {
	list  []K
	index map[K]struct{} // nil while the list is short
}

// searchedMax is up to what length the list is searched.
const searchedMax = 16

func (d *listSet[K]) len() int { return len(d.list) }

func (d *listSet[K]) has(k K) bool {
	if d.index != nil {
		_, there := d.index[k]
		return there
	}
	return slices.Contains(d.list, k)
}

func (d *listSet[K]) add(k K) {
	if d.has(k) {
		return
	}
	d.list = append(d.list, k)
	switch {
	case d.index != nil:
		d.index[k] = struct{}{}
	case len(d.list) > searchedMax:
		d.index = make(map[K]struct{}, 4*searchedMax)
		for _, k := range d.list {
			d.index[k] = struct{}{}
		}
	}
}

// dirtySet is the conversations that have something past the checkpoint.
type dirtySet struct{ listSet[key] }

// take empties the set and answers what was in it; the set goes on with the memory of spare.
func (d *dirtySet) take(spare []key) []key {
	list := d.list
	if cap(spare) > 4*searchedMax {
		spare = nil // a long list was an exception: an idle session is small
	}
	d.list, d.index = spare[:0], nil
	return list
}

// touches reports whether a conversation of the partition is in the set.
func (d *dirtySet) touches(partition uint32) bool {
	for _, k := range d.list {
		if k.partition() == partition {
			return true
		}
	}
	return false
}

// partitionSet is a set of partition numbers.
type partitionSet [4]uint64

func (p *partitionSet) add(n uint32)      { p[n>>6] |= 1 << (n & 63) }
func (p *partitionSet) has(n uint32) bool { return p[n>>6]&(1<<(n&63)) != 0 }
