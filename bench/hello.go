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
		default:
			return nil, unexpected(kind, payload)
		}
	}
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
