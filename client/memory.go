// SPDX-License-Identifier: Apache-2.0

// The store in memory: a persistent (path-copying) treap, so that a snapshot is one pointer.

package client

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/tidemark-im/tidemark/client/replica"
)

// Memory is a [Store] in memory: for tests, bots and apps that begin anew at each start. Views are snapshots and wait for
// nobody. Use [NewMemory].
type Memory struct {
	writer sync.Mutex // held by the running update
	root   atomic.Pointer[node]
	closed atomic.Bool
}

var errClosed = errors.New("client: the store is closed")

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{} }

// Clone is a store of its own with what was committed to this one: a device as it would be found after a crash.
func (m *Memory) Clone() *Memory {
	c := NewMemory()
	c.root.Store(m.root.Load())
	return c
}

// Update implements [Store].
func (m *Memory) Update(fn func(Tx) error) error {
	m.writer.Lock()
	defer m.writer.Unlock()
	if m.closed.Load() {
		return errClosed
	}
	tx := &memoryTx{root: m.root.Load(), owner: new(owner)}
	if err := fn(tx); err != nil {
		return err
	}
	m.root.Store(tx.root)
	return nil
}

// View implements [Store].
func (m *Memory) View(fn func(replica.View) error) error {
	if m.closed.Load() {
		return errClosed
	}
	return fn(&memoryTx{root: m.root.Load()})
}

// Close implements [Store].
func (m *Memory) Close() error { m.closed.Store(true); return nil }

// owner marks the nodes that an update made itself and may change in place: nobody else has seen them.
type owner struct{ _ byte }

// node of the treap: a search tree by key, a heap by priority, which is a hash of the key, so that the shape depends on
// the keys alone.
type node struct {
	key, value  []byte
	priority    uint32
	left, right *node
	owner       *owner
}

type memoryTx struct {
	root  *node
	owner *owner
}

// Get implements [replica.View].
func (t *memoryTx) Get(key []byte) ([]byte, error) {
	for n := t.root; n != nil; {
		switch c := bytes.Compare(key, n.key); {
		case c == 0:
			return n.value, nil
		case c < 0:
			n = n.left
		default:
			n = n.right
		}
	}
	return nil, nil
}

// Ascend implements [replica.View].
func (t *memoryTx) Ascend(from, to []byte, fn func(key, value []byte) bool) error {
	t.root.ascend(from, to, fn)
	return nil
}

// Descend implements [replica.View].
func (t *memoryTx) Descend(from, to []byte, fn func(key, value []byte) bool) error {
	t.root.descend(from, to, fn)
	return nil
}

// Put implements [Tx].
func (t *memoryTx) Put(key, value []byte) error {
	t.root = t.put(t.root, bytes.Clone(key), append(make([]byte, 0, len(value)), value...))
	return nil
}

// Delete implements [Tx].
func (t *memoryTx) Delete(key []byte) error {
	if v, _ := t.Get(key); v != nil {
		t.root = t.remove(t.root, key)
	}
	return nil
}

func (n *node) ascend(from, to []byte, fn func(key, value []byte) bool) bool {
	if n == nil {
		return true
	}
	above, below := bytes.Compare(n.key, from) >= 0, bytes.Compare(n.key, to) < 0
	if above && !n.left.ascend(from, to, fn) {
		return false
	}
	if above && below && !fn(n.key, n.value) {
		return false
	}
	return !below || n.right.ascend(from, to, fn)
}

func (n *node) descend(from, to []byte, fn func(key, value []byte) bool) bool {
	if n == nil {
		return true
	}
	above, below := bytes.Compare(n.key, from) >= 0, bytes.Compare(n.key, to) < 0
	if below && !n.right.descend(from, to, fn) {
		return false
	}
	if above && below && !fn(n.key, n.value) {
		return false
	}
	return !above || n.left.descend(from, to, fn)
}

// own is n, or a copy of it, that this update may change.
func (t *memoryTx) own(n *node) *node {
	if n.owner == t.owner {
		return n
	}
	c := *n
	c.owner = t.owner
	return &c
}

func (t *memoryTx) put(n *node, key, value []byte) *node {
	if n == nil {
		return &node{key: key, value: value, priority: priorityOf(key), owner: t.owner}
	}
	n = t.own(n)
	switch c := bytes.Compare(key, n.key); {
	case c == 0:
		n.value = value
	case c < 0:
		n.left = t.put(n.left, key, value)
		if l := n.left; l.priority > n.priority { // rotate right
			n.left, l.right = l.right, n
			return l
		}
	default:
		n.right = t.put(n.right, key, value)
		if r := n.right; r.priority > n.priority { // rotate left
			n.right, r.left = r.left, n
			return r
		}
	}
	return n
}

// remove takes out a key that is there.
func (t *memoryTx) remove(n *node, key []byte) *node {
	c := bytes.Compare(key, n.key)
	if c == 0 {
		return t.merge(n.left, n.right)
	}
	n = t.own(n)
	if c < 0 {
		n.left = t.remove(n.left, key)
	} else {
		n.right = t.remove(n.right, key)
	}
	return n
}

// merge joins two treaps, all keys of a below those of b.
func (t *memoryTx) merge(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		a = t.own(a)
		a.right = t.merge(a.right, b)
		return a
	}
	b = t.own(b)
	b.left = t.merge(a, b.left)
	return b
}

// priorityOf is FNV-1a of the key, finished so that keys that differ in their last byte only are far apart.
func priorityOf(key []byte) uint32 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return uint32(h >> 32)
}
