// SPDX-License-Identifier: Apache-2.0

// tidemark bench sync: a device with many conversations comes back after a few of them changed. What it costs must
// follow from what changed, not from what the user has.

package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

// SyncConfig describes [Sync]. Zero values mean the defaults.
type SyncConfig struct {
	Conversations []int // of the user, one measurement each: 100, 1,000, 5,000
	Changed       int   // since the device's cursor: 10
	Repeats       int   // reconnects measured for each: 500
	Payload       int   // bytes of text of each message: 100
}

// Sync measures reconnects: for each number of conversations once with some changed and once with none.
func Sync(ctx context.Context, target *Target, config SyncConfig, output Output) ([]Result, error) {
	if len(config.Conversations) == 0 {
		config.Conversations = []int{100, 1000, 5000}
	}
	config.Changed = orDefault(config.Changed, 10)
	config.Repeats = orDefault(config.Repeats, 500)
	config.Payload = orDefault(config.Payload, 100)
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	var results []Result
	for i, n := range config.Conversations {
		u, err := newReturning(ctx, a, config, i, n, output)
		if err != nil {
			return results, err
		}
		for _, changed := range []int{0, min(config.Changed, n)} {
			if err := u.change(ctx, changed); err != nil {
				return results, err
			}
			result, err := u.measure(ctx, target, config.Repeats, output)
			result.Machine = machine
			results = append(results, result)
			if err != nil {
				return results, err
			}
		}
	}
	return results, nil
}

// returning is a user whose device comes back again and again with the same cursor.
type returning struct {
	app           *App
	config        SyncConfig
	user, friend  Member
	device        string
	source        string // address to connect from; "": any
	conversations []string
	cursor        *wire.Cursor
	changed       map[string]string // conversation -> client id of the message that is new
}

func newReturning(ctx context.Context, a *App, config SyncConfig, run, conversations int, output Output) (*returning, error) {
	output.say("sync: making a user with %s conversations", grouped(float64(conversations)))
	members, err := a.makeUsers(ctx, fmt.Sprintf("r%d-", run), 2)
	if err != nil {
		return nil, err
	}
	u := &returning{app: a, config: config, user: members[0], friend: members[1], device: "returning", conversations: make([]string, conversations)}
	err = forEach(ctx, conversations, func(ctx context.Context, i int) error {
		u.conversations[i] = a.id(fmt.Sprintf("c%d-", run), i)
		if err := a.MakeGroup(ctx, u.conversations[i], u.user.User, u.friend.User); err != nil {
			return err
		}
		return u.say(ctx, u.conversations[i], "first")
	})
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, u.dialConfig())
	if err != nil {
		return nil, err
	}
	defer c.close()
	u.cursor, err = c.awaitSynced(ignore{})
	return u, err
}

func (u *returning) dialConfig() dialConfig {
	return dialConfig{address: u.app.address, source: u.source, token: u.user.Token, device: u.device, cursor: u.cursor}
}

func (u *returning) say(ctx context.Context, conversation, clientID string) error {
	return u.app.say(ctx, u.friend.User, conversation, clientID, strings.Repeat("x", u.config.Payload))
}

// change makes some conversations, spread over all, newer than the cursor.
func (u *returning) change(ctx context.Context, n int) error {
	u.changed = map[string]string{}
	for i := range n {
		conversation := u.conversations[i*len(u.conversations)/n]
		if err := u.say(ctx, conversation, "new"); err != nil {
			return err
		}
		u.changed[conversation] = "new"
	}
	return nil
}

// measure reconnects many times, each from connecting to synced.
func (u *returning) measure(ctx context.Context, target *Target, repeats int, output Output) (Result, error) {
	output.say("sync: %s conversations, %d changed: %d reconnects", grouped(float64(len(u.conversations))), len(u.changed), repeats)
	result := Result{
		Name: "sync", What: fmt.Sprintf("%d changed of %s conversations", len(u.changed), grouped(float64(len(u.conversations)))),
		Conversations: len(u.conversations), Changed: len(u.changed), Operations: uint64(repeats), PayloadBytes: u.config.Payload,
	}
	times := newLatencies()
	var in, out uint64
	var measured span
	warmUp := max(1, repeats/10)
	var blocks uint64
	for i := range warmUp + repeats {
		if i == warmUp {
			var err error
			if blocks, err = blocksRead(ctx, target); err != nil {
				return result, err
			}
			measured.before, _ = target.Usage()
		}
		if err := ctx.Err(); err != nil {
			return result, context.Cause(ctx)
		}
		begin := time.Now()
		c, err := u.reconnect(ctx)
		if err != nil {
			return result, err
		}
		if i >= warmUp {
			times.record(time.Since(begin))
			in += c.bytesIn
			out += c.bytesOut
		}
		c.close()
	}
	measured.after, _ = target.Usage()
	read, err := blocksRead(ctx, target)
	if err != nil {
		return result, err
	}
	read -= blocks
	result.BlocksRead = &read
	result.latency(times)
	result.usage(target, measured.before, measured.after, uint64(repeats))
	result.PerSecond = float64(repeats) / measured.duration().Seconds()
	result.DurationMs = milliseconds(measured.duration())
	result.ReceivedBytesPerOp, result.SentBytesPerOp = float64(in)/float64(repeats), float64(out)/float64(repeats)
	result.Checked = true
	return result, nil
}

// reconnect connects with the cursor and checks that exactly what changed comes, once.
func (u *returning) reconnect(ctx context.Context) (*conn, error) {
	c, err := dial(ctx, u.dialConfig())
	if err != nil {
		return nil, fmt.Errorf("bench: reconnect: %w", err)
	}
	_ = c.net.SetDeadline(time.Now().Add(drainMax))
	got := received{}
	if _, err := c.awaitSynced(got); err != nil {
		c.close()
		return nil, err
	}
	for conversation, clientID := range u.changed {
		if got[conversation] != clientID {
			c.close()
			return nil, fmt.Errorf("bench: WRONG ANSWER: conversation %s: got %q, want %q", conversation, got[conversation], clientID)
		}
	}
	if len(got) != len(u.changed) {
		c.close()
		return nil, fmt.Errorf("bench: WRONG ANSWER: %d conversations came, %d had changed", len(got), len(u.changed))
	}
	return c, nil
}

// received collects the client ids of the events of each conversation.
type received map[string]string

// event implements deliveries.
func (r received) event(conversation []byte, _ uint64, clientID []byte) {
	if had := r[string(conversation)]; had != "" {
		clientID = append([]byte(had+" "), clientID...)
	}
	r[string(conversation)] = string(clientID)
}

// checkpoint implements deliveries.
func (received) checkpoint(uint32, uint64) {}
