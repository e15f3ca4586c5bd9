// SPDX-License-Identifier: Apache-2.0

// The journal of one node: a synced commit of the local store, and a stop after the first failure.

package journal

import (
	"errors"
	"fmt"
	"sync"

	"github.com/tidemark-im/tidemark/store"
)

// Journal makes batches durable.
type Journal interface {
	// Commit makes a batch durable and visible, all of it or nothing. Safe for concurrent use by several partitions.
	//
	// After an error that is [store.ErrLowSpace] nothing was written and a later commit may succeed. After any other
	// error it is not known whether the batch was written, and every commit fails with [ErrStopped] from then on: what
	// is true shows when the store is opened again.
	Commit(b *store.Batch) error
}

// ErrStopped is wrapped by the error of the commit that failed and of every one after it.
var ErrStopped = errors.New("stopped after a failure")

// Local is the journal of a single node.
type Local struct {
	db *store.DB

	mu      sync.Mutex
	stopped error // why, once a commit has failed
}

// NewLocal is a journal over a store.
func NewLocal(db *store.DB) *Local { return &Local{db: db} }

// Commit implements [Journal].
func (l *Local) Commit(b *store.Batch) error {
	if err := l.Stopped(); err != nil {
		return err
	}
	err := l.db.Commit(b)
	if err == nil || errors.Is(err, store.ErrLowSpace) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped == nil {
		l.stopped = fmt.Errorf("journal: %w: %w", ErrStopped, err)
	}
	return l.stopped
}

// Stopped is nil, or why nothing is committed any more.
func (l *Local) Stopped() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}
