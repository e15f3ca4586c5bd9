// SPDX-License-Identifier: Apache-2.0

// tidemark bench all: every benchmark, in a short form or at the sizes of the aims.

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tidemark-im/tidemark/bench"
)

type benchAllCommand struct {
	Full   bool   `help:"Measure at the sizes of the aims, of which curves can be drawn: that takes half an hour or more, 20 GB of disk and 20,000 open files."`
	IRC    string `name:"irc" type:"existingdir" placeholder:"DIR" help:"IRC logs for disk and import. Default: made up."`
	Update string `type:"path" placeholder:"FILE" help:"Also rewrite the table of this Markdown file between its markers."`
}

// Run runs every benchmark, each on a fresh server.
func (c *benchAllCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	f := &forms{ctx: ctx, irc: c.IRC}
	if c.Full {
		f.full()
	} else {
		f.short()
	}
	shown := common.printer(output.Out)
	var failed error
	for i := range f.all {
		if common.URL != "" && f.all[i].own != nil {
			continue // a server is given: these start their own
		}
		if err := shown.add(f.all[i].run(ctx, common, output)); err != nil {
			failed = errors.Join(failed, err) // the others say what they say all the same
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err := errors.Join(failed, shown.end()); err != nil || c.Update == "" {
		return err
	}
	head := fmt.Sprintf("Taken on %s by `tidemark bench all` with tidemark %s, %s, %d cores shared by server and load.",
		time.Now().UTC().Format(time.DateOnly), buildVersion(), runtime.Version(), runtime.NumCPU())
	return bench.UpdateDocument(c.Update, head, shown.all)
}

// forms are the runs of `bench all` and `bench aims`.
type forms struct {
	ctx context.Context // of the command whose runs these are
	irc string
	row string // that runs which are added now belong to
	all []form
}

// form is one run: one of any and own is set.
type form struct {
	row string       // which aim it is for; "": none
	any benchmark    // against a server that is given or started for it
	own ownBenchmark // which starts servers itself
}

func (f *form) run(ctx context.Context, common *benchCommand, output *Output) ([]bench.Result, error) {
	if f.own != nil {
		return common.runOwn(output, f.own)
	}
	return common.run(ctx, output, f.any)
}

// short is some five minutes.
func (f *forms) short() {
	const d = 5 * time.Second
	f.send(bench.SendConfig{Connections: 64, Window: 32, Duration: d}, bench.SendConfig{Connections: 256, Window: 1, Duration: d},
		bench.SendConfig{Connections: 1, Window: 1, Duration: d}, bench.SendConfig{Connections: 64, Rate: 10_000, Duration: d})
	f.fanout(bench.FanoutConfig{Members: 1000, Senders: 1, Window: 1, Duration: d}, bench.FanoutConfig{Members: 1000, Senders: 8, Window: 32, Duration: d})
	f.room(bench.RoomConfig{Receivers: 500, Rate: 200, Duration: 3 * time.Second},
		bench.RoomConfig{Receivers: 500, SlowPercent: 5, LowPercent: 50, Duration: 3 * time.Second})
	f.idle(0, 10_000)
	f.sync(100, 1000, 5000)
	f.storm(2000)
	f.history(d, 100_000)
	f.overload(bench.OverloadConfig{Duration: d})
	f.fairness(bench.FairnessConfig{Duration: 3 * time.Second})
	f.start(200_000)
	f.members(3*time.Second, 10, 10_000)
	f.disk(100_000)
	f.imports(100_000)
	f.grow(bench.GrowConfig{From: 100_000, To: 500_000, Points: 2, Conversations: 2000, Duration: 3 * time.Second})
	f.scale(3*time.Second, []int{1, 2}, []int{1, 64})
}

// full is at the sizes of the aims, with smaller ones before, so that each is a curve.
func (f *forms) full() {
	for _, window := range []int{1, 32} {
		for _, connections := range []int{1, 16, 64, 256} {
			f.send(bench.SendConfig{Connections: connections, Window: window})
		}
	}
	f.send(bench.SendConfig{Connections: 64, Rate: 10_000})
	for _, members := range []int{10, 100, 1000, 5000} {
		f.fanout(bench.FanoutConfig{Members: members, Senders: 1, Window: 1}, bench.FanoutConfig{Members: members, Senders: 8, Window: 32})
	}
	for _, receivers := range []int{1000, 5000, 10_000} {
		f.room(bench.RoomConfig{Receivers: receivers, Rate: 10}, bench.RoomConfig{Receivers: receivers, SlowPercent: 1, LowPercent: 50})
	}
	f.idle(0, 1000, 10_000, 19_000)
	f.sync(100, 1000, 5000, 10_000, 20_000)
	f.storm(1000, 5000, 10_000)
	f.history(0, 10_000, 100_000, 1_000_000)
	f.overload(bench.OverloadConfig{})
	f.fairness(bench.FairnessConfig{})
	f.start(200_000, 2_000_000, 10_000_000)
	f.members(0, 10, 1000, 100_000, 1_000_000)
	f.disk(200_000, 1_000_000)
	f.imports(200_000, 1_000_000)
	f.grow(bench.GrowConfig{})
	f.scale(0, []int{1, 2}, []int{1, 2, 4, 8, 16, 32, 64})
}

func (f *forms) any(run benchmark)    { f.all = append(f.all, form{row: f.row, any: run}) }
func (f *forms) own(run ownBenchmark) { f.all = append(f.all, form{row: f.row, own: run}) }

func (f *forms) send(configs ...bench.SendConfig) {
	for _, config := range configs {
		f.any(func(t *bench.Target, p bench.Output) ([]bench.Result, error) { return bench.Send(f.ctx, t, config, p) })
	}
}

func (f *forms) fanout(configs ...bench.FanoutConfig) {
	for _, config := range configs {
		f.any(func(t *bench.Target, p bench.Output) ([]bench.Result, error) {
			return bench.Fanout(f.ctx, t, config, p)
		})
	}
}

func (f *forms) room(configs ...bench.RoomConfig) {
	for _, config := range configs {
		f.any(func(t *bench.Target, p bench.Output) ([]bench.Result, error) { return bench.Room(f.ctx, t, config, p) })
	}
}

func (f *forms) idle(settle time.Duration, connections ...int) {
	for _, n := range connections {
		f.any(func(t *bench.Target, p bench.Output) ([]bench.Result, error) {
			return bench.Idle(f.ctx, t, bench.IdleConfig{Connections: n, Settle: settle, Hold: settle}, p)
		})
	}
}

func (f *forms) sync(conversations ...int) {
	f.any(func(t *bench.Target, p bench.Output) ([]bench.Result, error) {
		return bench.Sync(f.ctx, t, bench.SyncConfig{Conversations: conversations}, p)
	})
}

func (f *forms) storm(devices ...int) {
	for _, n := range devices {
		f.any(func(t *bench.Target, p bench.Output) ([]bench.Result, error) {
			return bench.Storm(f.ctx, t, bench.StormConfig{Devices: n}, p)
		})
	}
}

func (f *forms) history(d time.Duration, events ...int) {
	for _, n := range events {
		f.any(func(t *bench.Target, p bench.Output) ([]bench.Result, error) {
			return bench.History(f.ctx, t, bench.HistoryConfig{Events: n, Duration: d}, p)
		})
	}
}

func (f *forms) overload(config bench.OverloadConfig) {
	f.any(func(t *bench.Target, p bench.Output) ([]bench.Result, error) {
		return bench.Overload(f.ctx, t, config, p)
	})
}

func (f *forms) fairness(config bench.FairnessConfig) {
	f.any(func(t *bench.Target, p bench.Output) ([]bench.Result, error) {
		return bench.Fairness(f.ctx, t, config, p)
	})
}

func (f *forms) start(events ...int) {
	for _, n := range events {
		f.own(func(s bench.ServerConfig, p bench.Output) ([]bench.Result, error) {
			return bench.Start(f.ctx, s, bench.StartConfig{Events: n, Conversations: n / 100}, p)
		})
	}
}

func (f *forms) members(d time.Duration, members ...int) {
	for _, n := range members {
		f.own(func(s bench.ServerConfig, p bench.Output) ([]bench.Result, error) {
			return bench.Members(f.ctx, s, bench.MembersConfig{Members: n, Duration: d, Scratch: scratch(s)}, p)
		})
	}
}

func (f *forms) disk(messages ...int) {
	for _, n := range messages {
		for _, payload := range []int{100, 0} {
			f.own(func(s bench.ServerConfig, p bench.Output) ([]bench.Result, error) {
				return bench.Disk(f.ctx, s, bench.DiskConfig{Messages: n, Payload: payload, IRC: f.irc, Scratch: scratch(s)}, p)
			})
		}
	}
}

func (f *forms) imports(lines ...int) {
	if f.irc != "" {
		lines = lines[:1] // the logs have the lines that they have
	}
	for _, n := range lines {
		f.own(func(s bench.ServerConfig, p bench.Output) ([]bench.Result, error) {
			return bench.Import(f.ctx, s, bench.ImportConfig{Lines: n, IRC: f.irc, Scratch: scratch(s)}, p)
		})
	}
}

func (f *forms) grow(config bench.GrowConfig) {
	f.own(func(s bench.ServerConfig, p bench.Output) ([]bench.Result, error) { return growOn(f.ctx, s, config, p) })
}

func (f *forms) scale(d time.Duration, cores, partitions []int) {
	config := bench.SendConfig{Duration: d}
	for _, n := range cores {
		f.own(func(s bench.ServerConfig, p bench.Output) ([]bench.Result, error) {
			return bench.Scale(f.ctx, s, bench.ScaleConfig{Cores: n, Send: config}, p)
		})
	}
	for _, n := range partitions {
		f.own(func(s bench.ServerConfig, p bench.Output) ([]bench.Result, error) {
			return bench.Scale(f.ctx, s, bench.ScaleConfig{Partitions: n, Send: config}, p)
		})
	}
}
