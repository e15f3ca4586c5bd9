// SPDX-License-Identifier: Apache-2.0

// Work that is asked for from outside: writing out what is in memory, and compaction.

package store

import (
	"bytes"
	"context"
	"fmt"
)

// Flush writes what is only in memory and in the log to tables. It is never needed for durability.
func (db *DB) Flush(ctx context.Context) error {
	if err := db.writable(); err != nil {
		return err
	}
	done, err := db.pebble.AsyncFlush()
	if err != nil {
		return fmt.Errorf("store: flush: %w", err)
	}
	select {
	case <-done:
		return db.Failed()
	case <-db.failure.failed:
		return db.Failed()
	case <-ctx.Done():
		return fmt.Errorf("store: flush: %w", context.Cause(ctx))
	}
}

// Compact rewrites all tables into the lowest level, where they take the least room. It may take minutes and twice the
// room on the disk.
func (db *DB) Compact(ctx context.Context) error {
	if err := db.writable(); err != nil {
		return err
	}
	last := bytes.Repeat([]byte{0xff}, 2+idInKeyBytesMax) // past every key
	return db.compact(ctx, []byte{0}, last)
}

// compact rewrites the tables that have keys from one on up to another.
func (db *DB) compact(ctx context.Context, from, to []byte) error {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	defer func() { cancel(nil); <-stop }()
	go func() {
		defer close(stop)
		select {
		case <-db.failure.failed:
			cancel(db.Failed())
		case <-ctx.Done():
		}
	}()
	if err := db.pebble.Compact(ctx, from, to, false); err != nil {
		return fmt.Errorf("store: compact: %w", err)
	}
	return db.Failed()
}

func (db *DB) writable() error {
	if db.readOnly {
		return fmt.Errorf("store: %w", ErrReadOnly)
	}
	return db.Failed()
}
