// SPDX-License-Identifier: Apache-2.0

// Package journal is where the batches of a partition become durable.
package journal

import (
	"errors"

	"github.com/tidemark-im/tidemark/store"
)

// Journal makes batches durable.
type Journal interface {
	// Commit makes the batch durable and visible, all of it or nothing. Once it has failed it keeps failing with
	// [ErrStopped].
	Commit(b *store.Batch) error
}

// ErrStopped is what every commit after a failed one returns.
var ErrStopped = errors.New("journal: stopped after a failure")

// Local commits to the local store's write-ahead log, synced.
type Local struct{ db *store.DB }

// NewLocal makes a journal of the local store.
func NewLocal(db *store.DB) *Local { return &Local{db: db} }

// Commit implements [Journal].
func (l *Local) Commit(b *store.Batch) error { return l.db.Commit(b) }
