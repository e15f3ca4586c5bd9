// SPDX-License-Identifier: Apache-2.0

// What becomes of a store whose disk fails.
//
// After a failed write or sync nobody knows what the disk holds, and a later sync that succeeds says nothing about
// what was lost before (the kernel may have dropped it). So the first failure stops all writing until the directory is
// opened again, which reads what is really there. Pebble would end the process instead: it panics or exits where its
// log or manifest cannot be written, with its locks held. It is therefore kept from seeing such errors:
//
//   - its log goes on into nothing, so that nobody who waits for it is stuck, and [DB.Commit] reports the failure;
//   - so does its manifest;
//   - whatever else wants to write (a flush, a compaction) waits until Close, and comes to nothing then;
//   - nothing is removed, so that the directory stays as it was at the failure.
//
// Reads go on: they need memory and the tables that are there.

package store

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// failure remembers the first failure and holds what waits because of it. Safe for concurrent use.
type failure struct {
	log *slog.Logger

	mu      sync.Mutex
	first   error
	opening bool
	openErr error         // the first error while opening
	failed  chan struct{} // closed at the first failure
	ended   chan struct{} // closed when the store is being closed
	isEnded bool
}

func newFailure(log *slog.Logger) *failure {
	return &failure{log: log, opening: true, failed: make(chan struct{}), ended: make(chan struct{})}
}

// opened ends the time in which errors are returned by Open rather than remembered.
func (f *failure) opened() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opening = false
}

// closing releases everything that waits.
func (f *failure) closing() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isEnded {
		f.isEnded = true
		close(f.ended)
	}
}

// fail records err if it is the first and returns the first.
func (f *failure) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first = err
		close(f.failed)
		f.log.Error("writing has stopped until a restart", "err", err)
	}
	return f.first
}

// err is the first failure, or nil.
func (f *failure) err() error {
	select {
	case <-f.failed:
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.first
	default:
		return nil
	}
}

// passes reports whether an error of the file system goes to Pebble as it is: while it opens, it returns them.
func (f *failure) passes(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opening && f.openErr == nil {
		f.openErr = err
	}
	return f.opening
}

// whileOpening is the first error of the file system while opening, or nil.
func (f *failure) whileOpening() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.openErr
}

// wait holds a writer back after a failure until the store is being closed, and returns the failure.
func (f *failure) wait() error {
	<-f.ended
	time.Sleep(time.Millisecond) // Pebble tries again at once until its own Close gets hold of it
	return f.err()
}

// background is told of errors of flushes and compactions. Pebble tries again at once and for ever, so what is not
// our own doing stops the store.
func (f *failure) background(err error) {
	f.log.Warn("work in the background failed", "err", readable(err))
	if !f.passes(err) && !errors.Is(err, pebble.ErrCancelledCompaction) {
		_ = f.fail(readable(err))
	}
}

// fatalMayReturn reports whether Pebble is anyway on its way out, so that its fatal error needs no more.
func (f *failure) fatalMayReturn() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opening || f.isEnded || f.first != nil
}

// readable gives an error of Pebble a text of one line: to one about damage Pebble joins another that says nothing.
func readable(err error) error {
	if err == nil || !strings.Contains(err.Error(), detailCarrier) {
		return err
	}
	return &damagedFile{err}
}

const detailCarrier = "<corruption detail carrier>"

// damagedFile is an error of Pebble with a text of one line.
type damagedFile struct{ err error }

// Error implements the error interface.
func (e *damagedFile) Error() string {
	text := strings.ReplaceAll(e.err.Error(), "\n"+detailCarrier, "")
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}

// Unwrap lets errors.Is find what Pebble said.
func (e *damagedFile) Unwrap() error { return e.err }
