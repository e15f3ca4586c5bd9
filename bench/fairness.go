// SPDX-License-Identifier: Apache-2.0

// tidemark bench fairness: what others notice of one who is very busy. Some connections send at a modest fixed rate, each to a
// conversation of its own, spread over all partitions: alone, beside one conversation in which as much is written as the
// server takes, and beside one device that sends more than a user may.

package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// FairnessConfig describes [Fairness]. Zero values mean the defaults.
type FairnessConfig struct {
	Connections int           // of the others: 16
	Rate        float64       // messages a second of all of them: 500
	Writers     int           // in the busy conversation: 8
	Window      int           // messages in flight of each of them: 256
	DeviceRate  float64       // messages a second that the busy device means to send: 25,000, above a server's default limit
	Payload     int           // bytes of text: 100
	Duration    time.Duration // measured, each time: 10 s
	WarmUp      time.Duration // before: 2 s

	// What is wanted of the others' p99 beside somebody busy: at most the greater of the two. Every result says whether it is so: [Missed].
	SlowerMax float64       // times what it is alone: 5
	QuickMax  time.Duration // 50 ms
}

func (c FairnessConfig) withDefaults() FairnessConfig {
	c.Connections = orDefault(c.Connections, 16)
	c.Rate = orDefault(c.Rate, 500)
	c.Writers = orDefault(c.Writers, 8)
	c.Window = orDefault(c.Window, 256)
	c.DeviceRate = orDefault(c.DeviceRate, 25_000)
	c.Payload = orDefault(c.Payload, 100)
	c.Duration = orDefault(c.Duration, 10*time.Second)
	c.WarmUp = orDefault(c.WarmUp, 2*time.Second)
	c.SlowerMax = orDefault(c.SlowerMax, 5)
	c.QuickMax = orDefault(c.QuickMax, 50*time.Millisecond)
	return c
}

// Fairness measures the others' messages in the three cases: one result each.
func Fairness(ctx context.Context, target *Target, config FairnessConfig, output Output) ([]Result, error) {
	f := &fairness{target: target, config: config.withDefaults(), output: output}
	var results []Result
	for _, beside := range []struct {
		what string
		busy func(ctx context.Context, a *App) (busy, error)
	}{
		{"alone", func(context.Context, *App) (busy, error) { return nobody{}, nil }},
		{"beside one busy conversation", f.busyConversation},
		{"beside one busy device", f.busyDevice},
	} {
		result, err := f.measure(ctx, beside.what, beside.busy)
		if err != nil {
			return results, err
		}
		if len(results) > 0 {
			limit := max(milliseconds(f.config.QuickMax), f.config.SlowerMax*results[0].P99Ms)
			result.hold("fairness", "fairness: "+result.What, "p99 ms", result.P99Ms, limit, false)
		}
		results = append(results, result)
	}
	return results, nil
}

// busy is who makes more load than others.
type busy interface {
	// run makes load until its time is over; it is called once.
	run(ctx context.Context) error
	// result tells its rate and how many of its messages were refused, after its deliveries were checked.
	result(ctx context.Context) (perSecond float64, refused uint64, err error)
	close()
}

type fairness struct {
	target *Target
	config FairnessConfig
	output Output
}

func (f *fairness) measure(ctx context.Context, what string, make func(ctx context.Context, a *App) (busy, error)) (Result, error) {
	a, machine, err := prepare(ctx, f.target, f.output)
	if err != nil {
		return Result{}, err
	}
	defer a.Close()
	f.output.say("fairness: others %s", what)
	config := SendConfig{Connections: f.config.Connections, Rate: f.config.Rate, Payload: f.config.Payload, Duration: f.config.Duration, WarmUp: f.config.WarmUp}.withDefaults()
	senders, err := connectSenders(ctx, a, config, f.output)
	if err != nil {
		return Result{}, err
	}
	defer closeSenders(senders)
	busy, err := make(ctx, a)
	if err != nil {
		return Result{}, err
	}
	defer busy.close()
	var measured span
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return busy.run(running) })
	group.Go(func() (err error) {
		measured, err = runSenders(running, f.target, config, f.output, senders, &course{})
		return err
	})
	if err := group.Wait(); err != nil {
		return Result{}, err
	}
	result := Result{
		Name: "fairness", What: fmt.Sprintf("others at %s/s, %s", grouped(config.Rate), what), RateSet: config.Rate, Connections: config.Connections,
		PayloadBytes: config.Payload, DurationMs: milliseconds(measured.duration()), Machine: machine, DiskBytes: f.target.disk(),
	}
	for _, s := range senders {
		result.Operations += s.counted
	}
	result.PerSecond = float64(result.Operations) / measured.duration().Seconds()
	result.latency(latenciesOf(senders))
	result.usage(f.target, measured.before, measured.after, 0)
	f.output.say("fairness: checking")
	if result.BesidePerSecond, result.RateLimited, err = busy.result(ctx); err != nil {
		return result, err
	}
	if err := checkSenders(ctx, a, senders); err != nil {
		return result, err
	}
	result.Checked = true
	return result, nil
}

// nobody is who is not busy at all.
type nobody struct{}

func (nobody) run(context.Context) error                       { return nil }
func (nobody) result(context.Context) (float64, uint64, error) { return 0, 0, nil }
func (nobody) close()                                          {}

// busyConversation is a group with several writers, one listener, and as much in flight as they may have.
type busyConversation struct {
	*fanout
	target   *Target
	measured span
}

func (f *fairness) busyConversation(ctx context.Context, a *App) (busy, error) {
	config := FanoutConfig{Members: 1, Senders: f.config.Writers, Window: f.config.Window, Payload: f.config.Payload, Duration: f.config.Duration, WarmUp: f.config.WarmUp}
	group, err := newFanout(ctx, a, config.withDefaults(), Output{})
	if err != nil {
		return nil, err
	}
	return &busyConversation{fanout: group, target: f.target}, nil
}

func (b *busyConversation) run(ctx context.Context) (err error) {
	b.measured, err = b.fanout.run(ctx, b.target, Output{})
	return err
}

// result needs no check of its own: the listener has checked every message, or run would have failed.
func (b *busyConversation) result(context.Context) (float64, uint64, error) {
	return float64(b.listeners[0].counted) / b.measured.duration().Seconds(), 0, nil
}

// busyDevice is one connection that sends more than it may.
type busyDevice struct {
	*pusher
	app      *App
	fairness *fairness
	measured span
}

func (f *fairness) busyDevice(ctx context.Context, a *App) (busy, error) {
	other := *a
	other.run += "-busy"
	senders, err := connectSenders(ctx, &other, SendConfig{Connections: 1, Payload: f.config.Payload}.withDefaults(), Output{})
	if err != nil {
		return nil, err
	}
	return &busyDevice{pusher: newPusher(senders[0], f.config.DeviceRate, &course{}), app: a, fairness: f}, nil
}

func (b *busyDevice) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	config := b.fairness.config
	stop := b.until(ctx, time.Now().Add(config.WarmUp+config.Duration+2*drainMax))
	defer stop()
	b.begin = time.Now()
	group.Go(func() error { return b.push(ctx) })
	group.Go(b.hear)
	group.Go(func() (err error) {
		b.measured, err = b.course.watch(ctx, b.fairness.target, Output{}, "fairness", config.WarmUp, config.Duration)
		return err
	})
	return group.Wait()
}

func (b *busyDevice) result(ctx context.Context) (float64, uint64, error) {
	return float64(b.counted) / b.measured.duration().Seconds(), b.limited, b.check(ctx, b.app)
}
