// SPDX-License-Identifier: Apache-2.0

// The course of a measurement: warm up, measure, stop; progress while it runs.

package bench

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Output says where a benchmark tells how far it is. The zero value is silent.
type Output struct {
	Progress io.Writer // nil: nowhere
}

func (o Output) say(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

// phase of a measurement.
type phase int32

const (
	warming   phase = iota // load runs, nothing is recorded
	measuring              // what is answered now counts
	stopping               // nothing new is sent; what is in flight is awaited
)

// course is shared by a benchmark's connections and the one who watches the clock.
type course struct {
	phase atomic.Int32
	done  atomic.Uint64 // operations finished so far, for progress
}

func (c *course) now() phase { return phase(c.phase.Load()) }

// span is what was measured: when, and what the server used.
type span struct {
	before, after Usage
}

func (s span) duration() time.Duration { return s.after.At.Sub(s.before.At) }

// watch leads a course through its phases and tells how far it is. It returns early when ctx ends.
func (c *course) watch(ctx context.Context, target *Target, output Output, name string, warmUp, measure time.Duration) (span, error) {
	defer c.phase.Store(int32(stopping))
	output.say("%s: warming up for %s", name, warmUp)
	if err := pause(ctx, warmUp); err != nil {
		return span{}, err
	}
	var s span
	s.before, _ = target.Usage()
	c.phase.Store(int32(measuring))
	deadline := time.Now().Add(measure)
	last := c.done.Load()
	for time.Now().Before(deadline) {
		begin := time.Now()
		if err := pause(ctx, min(time.Second, time.Until(deadline))); err != nil {
			return s, err
		}
		done := c.done.Load()
		output.say("%s: %s/s, %s to go", name, grouped(float64(done-last)/time.Since(begin).Seconds()), max(0, time.Until(deadline)).Round(time.Second))
		last = done
	}
	s.after, _ = target.Usage()
	return s, nil
}

// pause waits, or returns why it must not go on.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// prepare makes the app, and takes the machine's figures at the first benchmark of a target.
func prepare(ctx context.Context, target *Target, output Output) (*App, Machine, error) {
	a, err := NewApp(target)
	if err != nil {
		return nil, Machine{}, err
	}
	if target.machine == nil {
		output.say("measuring the machine")
		machine, err := MeasureMachine(ctx, target.DataDir)
		if err != nil {
			a.Close()
			return nil, Machine{}, err
		}
		target.machine = &machine
	}
	return a, *target.machine, nil
}

// disk is what the data directory takes; 0 where it is unknown.
func (t *Target) disk() uint64 {
	if t.DataDir == "" {
		return 0
	}
	return diskBytes(t.DataDir)
}

const (
	settleMax  = time.Minute
	settleIdle = 0.05 // of a core
)

// settle waits until the server has put in order what a benchmark prepared: that comes several times as fast as messages that are
// sent, and what it leaves to be compacted is not theirs to pay for. It does not wait where the process is not known.
func (t *Target) settle(ctx context.Context) error {
	last, known := t.Usage()
	for end := time.Now().Add(settleMax); known && time.Now().Before(end); {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		now, _ := t.Usage()
		if (now.CPU - last.CPU).Seconds() < settleIdle*now.At.Sub(last.At).Seconds() {
			return nil
		}
		last = now
	}
	return nil
}
