// SPDX-License-Identifier: Apache-2.0

// The boundary between the replica and a store: reading through View, writing by handing out Writes.

package replica

// View is the stored state as a step sees it: everything committed, and the writes of earlier steps of the same
// transaction. Slices it gives are valid until the next write only, and must not be changed.
type View interface {
	// Get returns the value of a key, or nil.
	Get(key []byte) ([]byte, error)
	// Ascend calls fn for each key with from <= key < to, ascending, until fn returns false.
	Ascend(from, to []byte, fn func(key, value []byte) bool) error
	// Descend is Ascend the other way round: the same range, descending.
	Descend(from, to []byte, fn func(key, value []byte) bool) error
}

// Write is one change to a store: a nil value deletes the key.
type Write struct {
	Key, Value []byte
}
