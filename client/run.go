// SPDX-License-Identifier: Apache-2.0

// Staying connected: one connection after the other, with pauses between them.

package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// tokenTries is how often in a row a token may be refused before the client stops.
const tokenTries = 3

// Run keeps the device connected until ctx ends, then returns nil. It returns an error when connecting again would not
// help: [ErrKicked], [ErrReplaced], a refusal (*tidemark.Error) such as BAD_TOKEN three times in a row, a store that
// belongs to another user, or one that failed ([ErrStopped]). Between connections it waits: at least as long as the
// server asks, otherwise a random time that grows with each failure.
func (c *Client) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return errors.New("client: Run is running already")
	}
	c.running = true
	c.mu.Unlock()
	err := c.connections(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	if ctx.Err() != nil {
		c.setState(Offline, nil)
		return nil
	}
	c.setState(Stopped, err)
	return err
}

func (c *Client) connections(ctx context.Context) error {
	failures, tokens := 0, 0
	for {
		if err := c.broken(); err != nil {
			return err
		}
		c.mu.Lock()
		c.setState(Connecting, nil)
		c.mu.Unlock()
		end := c.connection(ctx)
		if ctx.Err() != nil {
			return nil
		}
		c.cfg.Logger.Info("connection ended", "device", string(c.cfg.DeviceID), "err", end.err)
		if end.synced {
			failures, tokens = 0, 0
		}
		if end.token {
			tokens++
		}
		if end.stop || tokens >= tokenTries {
			return end.err
		}
		c.mu.Lock()
		c.setState(Offline, end.err)
		c.mu.Unlock()
		if !c.sleep(ctx, c.pause(end, failures)) {
			return nil
		}
		failures++
	}
}

// pause is how long to wait before the next connection: full jitter under a doubling bound, on top of what the server
// asked for.
func (c *Client) pause(end ending, failures int) time.Duration {
	bound := c.cfg.BackoffMax
	if failures < 20 {
		bound = min(bound, c.cfg.BackoffMin<<failures)
	}
	if end.token && failures == 0 {
		bound = 0 // a new token, at once
	}
	return end.retryAfter + time.Duration(rand.Int64N(int64(bound)+1))
}

// sleep waits, or until the store fails; false: ctx ended first.
func (c *Client) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.failed:
		return true
	case <-ctx.Done():
		return false
	}
}
