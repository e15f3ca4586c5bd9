// SPDX-License-Identifier: Apache-2.0

// tidemark bench: too much for the server (overload), and too much of one of many (fairness).

package main

import (
	"context"
	"time"

	"github.com/tidemark-im/tidemark/bench"
)

type benchOverloadCommand struct {
	Connections int           `default:"64" help:"Connections that send, each a user who writes to one conversation."`
	Window      int           `default:"32" help:"Messages in flight on a connection when the best rate is measured."`
	Times       float64       `default:"2" help:"So many times the best rate is sent then, at fixed times, whatever is answered."`
	Payload     int           `default:"100" help:"Bytes of text."`
	Duration    time.Duration `default:"10s" help:"How long to measure, the best rate and the overload."`
	WarmUp      time.Duration `default:"2s" help:"How long to run before."`
	Kept        float64       `default:"0.8" placeholder:"SHARE" help:"Fail when less of the best rate is kept."`
	Quick       time.Duration `default:"1s" help:"Fail when the p99 of a read mark, a small sync or a message takes longer meanwhile."`
	Recovery    time.Duration `default:"10s" help:"Fail when it takes longer until everything is answered and small work is as quick as before."`
}

// Run measures a server that is given more than it can do.
func (c *benchOverloadCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Connections < 1 || c.Window < 1 || c.Window > 256 || c.Times <= 0 || c.Payload < 1 || c.Duration <= 0 {
		return wrongUsage("bench overload: connections, times, payload and duration must be above 0, window 1 to 256")
	}
	if c.Kept <= 0 || c.Quick <= 0 || c.Recovery <= 0 || c.Recovery > bench.OverloadRecoveryMax {
		return wrongUsage("bench overload: kept and quick must be above 0, recovery above 0 and at most %s", bench.OverloadRecoveryMax)
	}
	config := bench.OverloadConfig{
		Connections: c.Connections, Window: c.Window, Times: c.Times, Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp,
		KeptMin: c.Kept, QuickMax: c.Quick, RecoveryMax: c.Recovery,
	}
	return common.series(ctx, output, []int{0}, func(_ int, target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return orMissed(bench.Overload(ctx, target, config, progress))
	})
}

type benchFairnessCommand struct {
	Connections int           `default:"16" help:"Connections of the others, each a user who writes to one conversation."`
	Rate        float64       `default:"500" help:"Messages a second of all of them, at fixed times."`
	Writers     int           `default:"8" help:"Members who write to the busy conversation."`
	Window      int           `default:"256" help:"Messages in flight of each of them."`
	DeviceRate  float64       `default:"25000" help:"Messages a second that the busy device means to send. A server allows 20,000 frames if nothing else is set."`
	Payload     int           `default:"100" help:"Bytes of text."`
	Duration    time.Duration `default:"10s" help:"How long to measure, each time."`
	WarmUp      time.Duration `default:"2s" help:"How long to run before."`
	Slower      float64       `default:"5" placeholder:"TIMES" help:"Fail when the others' p99 is more than so many times what it is alone, and above --quick."`
	Quick       time.Duration `default:"50ms" help:"A p99 of the others that is never too much."`
}

// Run measures others beside one who is very busy.
func (c *benchFairnessCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Connections < 1 || c.Rate <= 0 || c.Writers < 1 || c.Window < 1 || c.Window > 256 || c.DeviceRate <= 0 || c.Payload < 1 || c.Duration <= 0 {
		return wrongUsage("bench fairness: connections, rates, writers, payload and duration must be above 0, window 1 to 256")
	}
	if c.Slower < 1 || c.Quick <= 0 {
		return wrongUsage("bench fairness: slower must be at least 1, quick above 0")
	}
	config := bench.FairnessConfig{
		Connections: c.Connections, Rate: c.Rate, Writers: c.Writers, Window: c.Window, DeviceRate: c.DeviceRate, Payload: c.Payload,
		Duration: c.Duration, WarmUp: c.WarmUp, SlowerMax: c.Slower, QuickMax: c.Quick,
	}
	return common.series(ctx, output, []int{0}, func(_ int, target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return orMissed(bench.Fairness(ctx, target, config, progress))
	})
}

// orMissed turns what the results miss into the benchmark's failure: one that cannot fail would prove nothing.
func orMissed(results []bench.Result, err error) ([]bench.Result, error) {
	if err != nil {
		return results, err
	}
	return results, bench.Missed(results)
}
