// SPDX-License-Identifier: Apache-2.0

// One kind of keys that a batch touches, with their committed and their new versions.

package partition

// table remembers for each key that a batch has read or written the version that is committed (base) and the one after
// the commands so far (now), in the order of first touch, so that a batch is encoded the same way every time.
type table[K comparable, V any] struct {
	index map[K]int32
	rows  []row[K, V]
}

type row[K comparable, V any] struct {
	key       K
	base, now V
	changed   bool
}

// find returns nil for a key that was not touched. The row is valid until the next add.
func (t *table[K, V]) find(k K) *row[K, V] {
	if i, ok := t.index[k]; ok {
		return &t.rows[i]
	}
	return nil
}

// before is the version of a key that is committed: read, unless the batch has touched the key.
func (t *table[K, V]) before(k K, read V) V {
	if r := t.find(k); r != nil {
		return r.base
	}
	return read
}

// add touches a key for the first time.
func (t *table[K, V]) add(k K, base V) *row[K, V] {
	if t.index == nil {
		t.index = make(map[K]int32)
	}
	t.index[k] = int32(len(t.rows))
	t.rows = append(t.rows, row[K, V]{key: k, base: base, now: base})
	return &t.rows[len(t.rows)-1]
}

// put gives a key a new version; base is asked for only if the key was not touched before.
func (t *table[K, V]) put(k K, now V, base func(K) V) *row[K, V] {
	r := t.find(k)
	if r == nil {
		r = t.add(k, base(k))
	}
	r.now, r.changed = now, true
	return r
}

// rowsKept is how large a table may stay between batches.
const rowsKept = 4096

func (t *table[K, V]) reset() {
	if cap(t.rows) > rowsKept {
		*t = table[K, V]{}
		return
	}
	clear(t.index)
	clear(t.rows)
	t.rows = t.rows[:0]
}
