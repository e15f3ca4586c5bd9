// SPDX-License-Identifier: Apache-2.0

// The sticky failure of a store.

package store

import (
	"log/slog"
	"sync"
)

// failure remembers the first failure of the disk and releases, at Close, what waits because of it. Safe for
// concurrent use.
type failure struct {
	log *slog.Logger

	mu      sync.Mutex
	first   error
	opening bool
	ending  bool
}

func newFailure(log *slog.Logger) *failure { return &failure{log: log, opening: true} }

func (f *failure) opened() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opening = false
}

func (f *failure) closing() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ending = true
}

// fail records err if it is the first and returns the first.
func (f *failure) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first = err
		f.log.Error("writing has stopped until a restart", "err", err)
	}
	return f.first
}

func (f *failure) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}

func (f *failure) background(err error) { f.log.Warn("work in the background failed", "err", err) }

func (f *failure) fatalMayReturn(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opening || f.ending || f.first != nil
}
