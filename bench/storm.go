// SPDX-License-Identifier: Apache-2.0

// tidemark bench storm: thousands of devices come back at the same moment, as after a restart or a lost network, each with
// a few of its conversations changed, while others go on writing.

package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/wire"
)

// StormConfig describes [Storm]. Zero values mean the defaults.
type StormConfig struct {
	Devices       int     // each of a user of its own: 2,000
	Conversations int     // of each user: 200
	Changed       int     // of them since the devices' cursors: 10
	Payload       int     // bytes of text: 100
	Rate          float64 // messages a second that others write meanwhile: 500
}

func (c StormConfig) withDefaults() StormConfig {
	c.Devices = orDefault(c.Devices, 2000)
	c.Conversations = orDefault(c.Conversations, 200)
	c.Changed = min(orDefault(c.Changed, 10), c.Conversations)
	c.Payload = orDefault(c.Payload, 100)
	c.Rate = orDefault(c.Rate, 500)
	return c
}

const (
	stormWriters  = 8 // connections that write meanwhile
	stormLead     = time.Second
	stormFollowUp = 2 * time.Second
)

// Storm measures how long it takes until every device is synced, and what the others' messages wait meanwhile: two results.
func Storm(ctx context.Context, target *Target, config StormConfig, output Output) ([]Result, error) {
	config = config.withDefaults()
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	s := &storm{app: a, config: config}
	if err := s.prepare(ctx, output); err != nil {
		return nil, err
	}
	writing := SendConfig{Connections: stormWriters, Rate: config.Rate, Payload: config.Payload}.withDefaults()
	senders, err := connectSenders(ctx, a, writing, output)
	if err != nil {
		return nil, err
	}
	defer closeSenders(senders)
	storm, live, err := s.blow(ctx, target, writing, senders, output)
	if err != nil {
		return nil, err
	}
	storm.Machine, live.Machine = machine, machine
	if err := checkSenders(ctx, a, senders); err != nil {
		return []Result{storm, live}, err
	}
	live.Checked = true
	return []Result{storm, live}, nil
}

// storm is one run.
type storm struct {
	app     *App
	config  StormConfig
	users   []Member
	groups  []string
	cursors []*wire.Cursor
	changed map[string]string
}

// prepare makes users who share all groups, lets each device sync once, and then changes some groups.
func (s *storm) prepare(ctx context.Context, output Output) (err error) {
	output.say("storm: making %s users in %d groups", grouped(float64(s.config.Devices)), s.config.Conversations)
	if s.users, err = s.app.makeUsers(ctx, "d", s.config.Devices); err != nil {
		return err
	}
	ids := make([]string, len(s.users))
	for i, u := range s.users {
		ids[i] = u.User
	}
	s.groups = make([]string, s.config.Conversations)
	err = forEach(ctx, len(s.groups), func(ctx context.Context, i int) error {
		s.groups[i] = s.app.id("storm", i)
		return s.app.makeLargeGroup(ctx, s.groups[i], ids)
	})
	if err != nil {
		return err
	}
	output.say("storm: first sync of every device")
	s.cursors = make([]*wire.Cursor, len(s.users))
	err = forEach(ctx, len(s.users), func(ctx context.Context, i int) error {
		c, err := dial(ctx, dialConfig{address: s.app.address, token: s.users[i].Token, device: "storm", full: 1, tail: 1})
		if err != nil {
			return fmt.Errorf("bench: connect: %w", err)
		}
		defer c.close()
		_ = c.net.SetDeadline(time.Now().Add(drainMax))
		s.cursors[i], err = c.awaitSynced(ignore{})
		return err
	})
	if err != nil {
		return err
	}
	s.changed = map[string]string{}
	for i := range s.config.Changed {
		group := s.groups[i*len(s.groups)/s.config.Changed]
		if err := s.app.say(ctx, s.users[0].User, group, "new", "news"); err != nil {
			return err
		}
		s.changed[group] = "new"
	}
	return nil
}

// blow lets all devices return at once while the senders write.
func (s *storm) blow(ctx context.Context, target *Target, writing SendConfig, senders []*sender, output Output) (storm, live Result, err error) {
	course := &course{}
	group, ctx := errgroup.WithContext(ctx)
	for i, writer := range senders {
		writer.course = course
		_ = writer.net.SetDeadline(time.Now().Add(3 * drainMax))
		writer.schedule = newOpenSchedule(writing, i)
		group.Go(func() error { return writer.sendOnTime(ctx) })
		group.Go(writer.hear)
	}
	var measured span
	times := newLatencies()
	group.Go(func() error {
		defer course.phase.Store(int32(stopping))
		if err := pause(ctx, stormLead); err != nil {
			return err
		}
		output.say("storm: %s devices return at once", grouped(float64(len(s.users))))
		measured.before, _ = target.Usage()
		course.phase.Store(int32(measuring))
		took, err := s.returnAll(ctx, measured.before.At)
		if err != nil {
			return err
		}
		measured.after, _ = target.Usage()
		for _, d := range took {
			times.record(d)
		}
		return pause(ctx, stormFollowUp)
	})
	if err := group.Wait(); err != nil {
		return storm, live, err
	}
	n := uint64(len(s.users))
	storm = Result{
		Name: "storm", Operations: n, Connections: len(s.users), Devices: len(s.users), Conversations: s.config.Conversations, Changed: s.config.Changed, Checked: true,
		What:      fmt.Sprintf("%s devices at once, %d changed of %d conversations each", grouped(float64(n)), s.config.Changed, s.config.Conversations),
		PerSecond: float64(n) / measured.duration().Seconds(), DurationMs: milliseconds(measured.duration()),
	}
	storm.latency(times)
	storm.usage(target, measured.before, measured.after, n)
	all := newLatencies()
	live = Result{Name: "storm", What: fmt.Sprintf("messages of others while %s return, at %s/s", grouped(float64(n)), grouped(writing.Rate)), RateSet: writing.Rate, Connections: len(senders), Devices: len(s.users)}
	for _, writer := range senders {
		all.Merge(writer.latencies.Histogram)
		live.Operations += writer.counted
	}
	live.latency(all)
	live.DurationMs = milliseconds(measured.duration() + stormFollowUp)
	live.PerSecond = float64(live.Operations) / (live.DurationMs / 1000)
	return storm, live, nil
}

// returnAll connects every device at once and answers how long each took from begin to synced.
func (s *storm) returnAll(ctx context.Context, begin time.Time) ([]time.Duration, error) {
	took := make([]time.Duration, len(s.users))
	conns := make([]*conn, len(s.users))
	defer closeAll(conns)
	group, ctx := errgroup.WithContext(ctx)
	for i := range s.users {
		group.Go(func() error {
			u := &returning{app: s.app, user: s.users[i], device: "storm", cursor: s.cursors[i], changed: s.changed, source: sourceOf(i)}
			c, err := u.reconnect(ctx)
			took[i], conns[i] = time.Since(begin), c
			return err
		})
	}
	return took, group.Wait()
}
