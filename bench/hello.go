// SPDX-License-Identifier: Apache-2.0

// Connecting until the server says synced, and what a connection learned on the way.

package bench

import (
	"context"
	"fmt"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// connectSynced dials and reads until the server says synced, passing over what it sends before.
func connectSynced(ctx context.Context, config dialConfig) (*conn, error) {
	c, err := dial(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("bench: connect: %w", err)
	}
	_ = c.net.SetReadDeadline(time.Now().Add(drainMax))
	if _, err := c.awaitSynced(ignore{}); err != nil {
		c.net.Close()
		return nil, err
	}
	_ = c.net.SetReadDeadline(time.Time{})
	return c, nil
}

// awaitSynced reads up to synced and returns its cursor; events on the way go to `to`.
func (c *conn) awaitSynced(to deliveries) (*wire.Cursor, error) {
	for {
		payload, err := c.read()
		if err != nil {
			return nil, fmt.Errorf("bench: wait for synced: %w", err)
		}
		kind, content, err := skimFrame(payload)
		if err != nil {
			return nil, err
		}
		switch kind {
		case frameWelcome:
			if err := refusedCursor(content); err != nil {
				return nil, err
			}
		case frameDelta:
			if err := skimDelta(content, to); err != nil {
				return nil, err
			}
		case frameSynced:
			synced := &wire.Synced{}
			if err := synced.UnmarshalVT(content); err != nil {
				return nil, fmt.Errorf("bench: synced: %w", err)
			}
			return synced.Cursor, nil
		case frameSignal:
		default:
			return nil, unexpected(kind, payload)
		}
	}
}

// refusedCursor is the error that the server could not use the cursor, if welcome says so.
func refusedCursor(welcome []byte) error {
	var w wire.Welcome
	if err := w.UnmarshalVT(welcome); err != nil {
		return fmt.Errorf("bench: welcome: %w", err)
	}
	if w.Reset_ != nil {
		return fmt.Errorf("bench: WRONG ANSWER: the server has reset a good cursor: %s", w.Reset_.Reason)
	}
	return nil
}

// queuePing queues a ping.
func (c *conn) queuePing(request uint64) {
	c.queue(&wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: request}}})
}

// ignore passes over deliveries.
type ignore struct{}

func (ignore) event([]byte, uint64, []byte) {}
func (ignore) checkpoint(uint32, uint64)    {}

func directOf(a, b string) string {
	return string(tidemark.Direct(tidemark.UserID(a), tidemark.UserID(b)))
}
