// SPDX-License-Identifier: Apache-2.0

// tidemark bench idle: many connections that do nothing, and what the server holds for each. One machine has some 28,000
// ports for connections between two addresses, so connections come from several loopback addresses.

package bench

import (
	"context"
	"fmt"
	"time"
)

// IdleConfig describes [Idle]. Zero values mean the defaults.
type IdleConfig struct {
	Connections int           // 1,000
	Settle      time.Duration // after connecting, before memory is read: 10 s
	Hold        time.Duration // idle processor time is measured over this: 10 s
}

// connectionsPerSource is how many connections come from one loopback address.
const connectionsPerSource = 10_000

// sourceOf is the address from which connection i comes.
func sourceOf(i int) string { return fmt.Sprintf("127.0.0.%d", 2+i/connectionsPerSource) }

// Idle measures what an idle connection costs. The server's memory is read before the first connection, when the users
// are made, and after all connections have settled.
func Idle(ctx context.Context, target *Target, config IdleConfig, output Output) ([]Result, error) {
	config.Connections = orDefault(config.Connections, 1000)
	config.Settle = orDefault(config.Settle, 10*time.Second)
	config.Hold = orDefault(config.Hold, 10*time.Second)
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	output.say("idle: making %d users", config.Connections)
	users, err := a.makeUsers(ctx, "i", config.Connections)
	if err != nil {
		return nil, err
	}
	a.Close()
	if err := pause(ctx, config.Settle/2); err != nil {
		return nil, err
	}
	before, known := target.Usage()

	output.say("idle: connecting")
	conns, times, err := connectAll(ctx, a, users)
	defer closeAll(conns)
	if err != nil {
		return nil, err
	}
	connected, _ := target.Usage()
	output.say("idle: settling for %s, then idle for %s", config.Settle, config.Hold)
	if err := rest(ctx, conns, config.Settle); err != nil {
		return nil, err
	}
	settled, _ := target.Usage()
	if err := rest(ctx, conns, config.Hold); err != nil {
		return nil, err
	}
	held, _ := target.Usage()

	n := len(conns)
	result := Result{
		Name: "idle", What: grouped(float64(n)) + " idle connections", Operations: uint64(n), Connections: n,
		DurationMs: milliseconds(connected.At.Sub(before.At)), PerSecond: float64(n) / connected.At.Sub(before.At).Seconds(), Machine: machine,
	}
	result.latency(times)
	result.LoadCPUPercent = 100 * (connected.LoadCPU - before.LoadCPU).Seconds() / connected.At.Sub(before.At).Seconds()
	if known {
		result.ServerCPUUsPerOp = float64((connected.CPU - before.CPU).Microseconds()) / float64(n)
		result.ServerCPUPercent = 100 * (held.CPU - settled.CPU).Seconds() / held.At.Sub(settled.At).Seconds()
		result.ServerRSSBytes = held.RSSBytes
		result.RSSPerConnection = (float64(held.RSSBytes) - float64(before.RSSBytes)) / float64(n)
	}
	output.say("idle: asking every connection whether it is alive")
	if err := pingAll(ctx, conns); err != nil {
		return []Result{result}, err
	}
	result.ConnectionsAnswered, result.Checked = n, true
	return []Result{result}, nil
}

func connectAll(ctx context.Context, a *App, users []Member) ([]*conn, latencies, error) {
	conns := make([]*conn, len(users))
	took := make([]time.Duration, len(users))
	err := forEach(ctx, len(users), func(ctx context.Context, i int) error {
		begin := time.Now()
		c, err := connectSynced(ctx, dialConfig{address: a.address, source: sourceOf(i), token: users[i].Token, device: "bench"})
		if err != nil {
			return fmt.Errorf("bench: connection %d: %w", i+1, err)
		}
		c.rest()
		conns[i], took[i] = c, time.Since(begin)
		return nil
	})
	times := newLatencies()
	for _, d := range took {
		times.record(d)
	}
	return conns, times, err
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		if c != nil {
			c.close()
		}
	}
}

// heartbeat is how often an idle connection says that it is alive; the server asks for once in 30 s.
const heartbeat = 25 * time.Second

// rest waits, with a heartbeat of every connection where it takes that long.
func rest(ctx context.Context, conns []*conn, d time.Duration) error {
	for ; d > heartbeat; d -= heartbeat {
		if err := pause(ctx, heartbeat); err != nil {
			return err
		}
		if err := pingAll(ctx, conns); err != nil {
			return err
		}
	}
	return pause(ctx, d)
}

// pingAll asks every connection for a pong.
func pingAll(ctx context.Context, conns []*conn) error {
	return forEach(ctx, len(conns), func(_ context.Context, i int) error {
		c := conns[i]
		_ = c.net.SetDeadline(time.Now().Add(drainMax))
		c.queuePing(uint64(i + 1))
		if err := c.flush(); err != nil {
			return fmt.Errorf("bench: connection %d is dead: %w", i+1, err)
		}
		for {
			payload, err := c.read()
			if err != nil {
				return fmt.Errorf("bench: connection %d is dead: %w", i+1, err)
			}
			kind, _, err := skimFrame(payload)
			if err != nil {
				return err
			}
			switch kind {
			case framePong:
				c.rest()
				return nil
			case frameDelta, frameSignal:
			default:
				return unexpected(kind, payload)
			}
		}
	})
}
