// SPDX-License-Identifier: Apache-2.0

// tidemark bench overload: more than the server can do. First the best rate is measured, then a multiple of it is sent at fixed
// times for a while, whatever is answered. Meanwhile somebody does small things, and the server's memory is watched.
// Latency of the load itself counts from when a message was meant to be sent, so it grows for as long as there is more
// than can be done: what matters is what is kept, what the small things take, and how soon it is over.

package bench

import (
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/errgroup"
)

// OverloadConfig describes [Overload]. Zero values mean the defaults.
type OverloadConfig struct {
	Connections int           // that send: 64
	Window      int           // messages in flight of each, when the best is measured: 32
	Times       float64       // so many times the best is sent: 2
	Payload     int           // bytes of text: 100
	Duration    time.Duration // of the measurement of the best, and of the overload: 10 s
	WarmUp      time.Duration // before each: 2 s

	// What is wanted. Every result says whether it is so: [Missed].
	KeptMin     float64       // of the best rate: 0.8
	QuickMax    time.Duration // p99 of small work meanwhile: 1 s
	RecoveryMax time.Duration // from the end of the load until all is answered and small work as quick as before: 10 s
}

func (c OverloadConfig) withDefaults() OverloadConfig {
	c.Connections = orDefault(c.Connections, 64)
	c.Window = orDefault(c.Window, 32)
	c.Times = orDefault(c.Times, 2)
	c.Payload = orDefault(c.Payload, 100)
	c.Duration = orDefault(c.Duration, 10*time.Second)
	c.WarmUp = orDefault(c.WarmUp, 2*time.Second)
	c.KeptMin = orDefault(c.KeptMin, 0.8)
	c.QuickMax = orDefault(c.QuickMax, time.Second)
	c.RecoveryMax = min(orDefault(c.RecoveryMax, 10*time.Second), OverloadRecoveryMax)
	return c
}

// OverloadRecoveryMax is the longest recovery that [Overload] waits for, after the last answer.
const OverloadRecoveryMax = 20 * time.Second

const (
	calmBefore   = 2 * time.Second // of small work without load, to compare with
	recoveryRuns = 3               // so many in a row of each kind of work must be quick again
	quickAtLeast = 50 * time.Millisecond
	quickFactor  = 3 // quick: within so many times the median of before, or quickAtLeast
	rssEvery     = 100 * time.Millisecond
)

// Overload measures the best rate, then the server under a multiple of it: one result for each of the two, and one for each kind of
// small work meanwhile.
func Overload(ctx context.Context, target *Target, config OverloadConfig, output Output) ([]Result, error) {
	config = config.withDefaults()
	sending := SendConfig{Connections: config.Connections, Window: config.Window, Payload: config.Payload, Duration: config.Duration, WarmUp: config.WarmUp}
	bests, err := Send(ctx, target, sending, output)
	if err != nil {
		return nil, err
	}
	best := bests[0]
	best.Name, best.What = "overload", "the best: "+best.What
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return bests, err
	}
	defer a.Close()
	o := &overload{app: a, target: target, config: config, best: best.PerSecond, output: output}
	if o.person, err = newInteractive(ctx, a, config.Payload, output); err != nil {
		return nil, err
	}
	senders, err := connectSenders(ctx, a, sending.withDefaults(), output)
	if err != nil {
		return nil, err
	}
	defer closeSenders(senders)
	if err := target.settle(ctx); err != nil { // what the best has left to be put in order is not the overload's
		return []Result{best}, err
	}
	if err := o.run(ctx, senders); err != nil {
		return []Result{best}, err
	}
	results := append([]Result{best}, o.results()...)
	for i := range results {
		results[i].Machine = machine
	}
	output.say("overload: checking")
	if err := o.check(ctx); err != nil {
		return results, err
	}
	for i := range results {
		results[i].Checked = true
	}
	return results, nil
}

// overload is one run.
type overload struct {
	app     *App
	target  *Target
	config  OverloadConfig
	best    float64 // messages a second
	output  Output
	person  *interactive
	pushers []*pusher
	course  course

	began     time.Time     // small work, without load
	pushed    time.Time     // the load began
	ended     time.Time     // the load ended: nothing more is sent
	recovered time.Duration // 0: it has not
	waited    time.Duration // for recovery
	measured  span
	rss       struct{ before, most, after uint64 }
}

// rate is messages a second that are meant to be sent.
func (o *overload) rate() float64 { return o.best * o.config.Times }

// run is the calm before, the load, and the recovery, with small work all the time.
func (o *overload) run(ctx context.Context, senders []*sender) error {
	group, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() error { return o.person.run(ctx, done) })
	group.Go(func() error {
		defer close(done)
		o.began = time.Now()
		if err := pause(ctx, calmBefore); err != nil {
			return err
		}
		before, _ := o.target.Usage()
		o.rss.before, o.rss.most = before.RSSBytes, before.RSSBytes
		o.pushed = time.Now()
		if err := o.push(ctx, senders); err != nil {
			return err
		}
		o.output.say("overload: everything is answered %s after its end", time.Since(o.ended).Round(time.Millisecond))
		if err := o.recover(ctx); err != nil {
			return err
		}
		after, _ := o.target.Usage()
		o.rss.after = after.RSSBytes
		return nil
	})
	return group.Wait()
}

// push sends until the time is over and waits until everything is answered.
func (o *overload) push(ctx context.Context, senders []*sender) error {
	group, ctx := errgroup.WithContext(ctx)
	o.output.say("overload: %s messages a second are meant to be sent", grouped(o.rate()))
	for _, s := range senders {
		p := newPusher(s, o.rate()/float64(len(senders)), &o.course)
		o.pushers = append(o.pushers, p)
		stop := p.until(ctx, time.Now().Add(o.config.WarmUp+o.config.Duration+2*drainMax))
		defer stop()
		group.Go(func() error { return p.push(ctx) })
		group.Go(p.hear)
	}
	answered := make(chan struct{})
	group.Go(func() error { return o.watchMemory(ctx, answered) })
	group.Go(func() (err error) {
		defer close(answered)
		o.measured, err = o.course.watch(ctx, o.target, o.output, "overload", o.config.WarmUp, o.config.Duration)
		o.ended = time.Now()
		for _, p := range o.pushers {
			for err == nil && !p.done() {
				err = pause(ctx, 10*time.Millisecond)
			}
		}
		return err
	})
	return group.Wait()
}

// watchMemory samples the server's memory until everything is answered.
func (o *overload) watchMemory(ctx context.Context, answered <-chan struct{}) error {
	for {
		select {
		case <-answered:
			return nil
		default:
		}
		if usage, known := o.target.Usage(); known {
			o.rss.most = max(o.rss.most, usage.RSSBytes)
		}
		if err := pause(ctx, rssEvery); err != nil {
			return err
		}
	}
}

// recover waits until small work is as quick as before, and notes when since the end of the load; 0: not while it waited.
func (o *overload) recover(ctx context.Context) error {
	answered := time.Since(o.ended)
	for end := time.Now().Add(OverloadRecoveryMax); time.Now().Before(end); {
		if at, ok := o.quickSince(); ok {
			o.recovered = max(answered, at.Sub(o.ended))
			return nil
		}
		if err := pause(ctx, interactiveEvery); err != nil {
			return err
		}
	}
	o.waited = time.Since(o.ended)
	o.output.say("overload: %s after its end small work is not as quick as before it", o.waited.Round(time.Second))
	return nil
}

// quickSince answers from when on each kind of work was quick, so many times in a row.
func (o *overload) quickSince() (since time.Time, ok bool) {
	for _, w := range o.person.works {
		before := w.between(o.began, o.pushed)
		quick := max(quickAtLeast, quickFactor*time.Duration(before.ValueAtQuantile(50))*time.Microsecond)
		at, ok := w.quickFrom(o.ended, quick)
		if !ok {
			return since, false
		}
		if at.After(since) {
			since = at
		}
	}
	return since, true
}

// quickFrom answers when, after a moment, work began to be quick.
func (w *work) quickFrom(from time.Time, quick time.Duration) (at time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	run := 0
	for _, t := range w.took {
		switch {
		case t.at.Before(from) || t.took > quick:
			run = 0
		default:
			if run++; run == 1 {
				at = t.at
			}
			if run == recoveryRuns {
				return at, true
			}
		}
	}
	return at, false
}

func (o *overload) results() []Result {
	load := Result{
		Name: "overload", What: fmt.Sprintf("%g times as much: %s/s over %d connections", o.config.Times, grouped(o.rate()), len(o.pushers)),
		RateSet: math.Round(o.rate()), Connections: len(o.pushers), PayloadBytes: o.config.Payload, DurationMs: milliseconds(o.measured.duration()),
		RecoveredMs: milliseconds(o.recovered), RSSBefore: o.rss.before, RSSBehind: o.rss.most, RSSAfter: o.rss.after, DiskBytes: o.target.disk(),
	}
	times := newLatencies()
	for _, p := range o.pushers {
		load.Operations += p.counted
		load.RateLimited += p.limited
		load.HeldBack += p.heldBack(o.ended)
		times.Merge(p.latencies.Histogram)
	}
	load.PerSecond = float64(load.Operations) / o.measured.duration().Seconds()
	load.Kept = load.PerSecond / o.best
	load.latency(times)
	load.usage(o.target, o.measured.before, o.measured.after, load.Operations)
	work := fmt.Sprintf("overload: %g times as much as it can do", o.config.Times)
	load.hold("overload", work, "of the best rate kept", load.Kept, o.config.KeptMin, true)
	load.hold("overload", work, "s until it is over", (o.recovered + o.waited).Seconds(), o.config.RecoveryMax.Seconds(), false)
	results := []Result{load}
	for _, w := range o.person.works {
		for _, phase := range []struct {
			when     string
			from, to time.Time
		}{{"before", o.began, o.pushed}, {"meanwhile", o.measured.before.At, o.ended}} {
			took := w.between(phase.from, phase.to)
			r := Result{
				Name: "overload", What: w.what + " " + phase.when, Operations: uint64(took.TotalCount()), DurationMs: milliseconds(phase.to.Sub(phase.from)),
				PerSecond: float64(took.TotalCount()) / phase.to.Sub(phase.from).Seconds(),
			}
			r.latency(took)
			if !phase.to.Before(o.ended) {
				r.hold("overload", work+": "+w.what, "p99 ms", r.P99Ms, milliseconds(o.config.QuickMax), false)
			}
			results = append(results, r)
		}
	}
	return results
}

// check reads back what was acknowledged.
func (o *overload) check(ctx context.Context) error {
	group, checking := errgroup.WithContext(ctx)
	group.SetLimit(checkParallel)
	for _, p := range o.pushers {
		group.Go(func() error { return p.check(checking, o.app) })
	}
	group.Go(func() error { return o.person.check(checking) })
	return group.Wait()
}
