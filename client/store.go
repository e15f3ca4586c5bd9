// SPDX-License-Identifier: Apache-2.0

// What the SDK asks of a device's storage: an ordered map of bytes with transactions.

package client

import "github.com/tidemark-im/tidemark/client/replica"

// Store keeps what a device has: an ordered map of byte strings with transactions. [Memory] and package boltstore are the
// stores that come with the SDK; package storetest checks any other.
//
// All methods are safe for concurrent use. A store belongs to one device of one user, and to one [Client] at a time.
type Store interface {
	// Update runs fn and makes all its writes durable together, or, if fn or the store fails, none of them. Updates run
	// one after the other. fn must not keep the transaction.
	Update(fn func(Tx) error) error
	// View runs fn on the state after some committed update. It does not wait for an update that is running.
	View(fn func(replica.View) error) error
	// Close gives up what the store holds. It may be called twice.
	Close() error
}

// Tx is what an update sees: everything committed, and its own writes.
type Tx interface {
	replica.View
	// Put stores a copy of value under a copy of key.
	Put(key, value []byte) error
	// Delete removes the key if it is there.
	Delete(key []byte) error
}
