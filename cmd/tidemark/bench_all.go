// SPDX-License-Identifier: Apache-2.0

// tidemark bench all: the short form of every benchmark.

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
	Update string `type:"path" placeholder:"FILE" help:"Also rewrite the table of this Markdown file between its markers."`
}

// Run runs the short form of every benchmark.
func (c *benchAllCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	shown := common.printer(output.Out)
	for _, run := range shortForms(ctx) {
		if err := shown.add(common.run(ctx, output, run)); err != nil {
			return errors.Join(err, shown.end())
		}
	}
	for _, run := range shortOwnForms(ctx) {
		if common.URL != "" {
			break
		}
		if err := shown.add(common.runOwn(output, run)); err != nil {
			return errors.Join(err, shown.end())
		}
	}
	if err := shown.end(); err != nil || c.Update == "" {
		return err
	}
	head := fmt.Sprintf("Taken on %s by `tidemark bench all` with tidemark %s, %s, %d cores shared by server and load.",
		time.Now().UTC().Format(time.DateOnly), buildVersion(), runtime.Version(), runtime.NumCPU())
	return bench.UpdateDocument(c.Update, head, shown.all)
}

// shortForms are the benchmarks of `bench all`, some two minutes together.
func shortForms(ctx context.Context) []benchmark {
	var all []benchmark
	send := func(config bench.SendConfig) {
		config.Duration = 5 * time.Second
		all = append(all, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
			return bench.Send(ctx, target, config, progress)
		})
	}
	fanout := func(config bench.FanoutConfig) {
		config.Duration = 5 * time.Second
		all = append(all, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
			return bench.Fanout(ctx, target, config, progress)
		})
	}
	send(bench.SendConfig{Connections: 64, Window: 32})
	send(bench.SendConfig{Connections: 256, Window: 1})
	send(bench.SendConfig{Connections: 1, Window: 1})
	send(bench.SendConfig{Connections: 64, Rate: 10_000})
	fanout(bench.FanoutConfig{Members: 1000, Senders: 1, Window: 1})
	fanout(bench.FanoutConfig{Members: 1000, Senders: 8, Window: 32})
	room := func(config bench.RoomConfig) {
		config.Receivers, config.Duration = 500, 3*time.Second
		all = append(all, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
			return bench.Room(ctx, target, config, progress)
		})
	}
	room(bench.RoomConfig{Rate: 200})
	room(bench.RoomConfig{SlowPercent: 5, LowPercent: 50})
	all = append(all, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Idle(ctx, target, bench.IdleConfig{Connections: 10_000}, progress)
	}, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Sync(ctx, target, bench.SyncConfig{}, progress)
	}, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Storm(ctx, target, bench.StormConfig{}, progress)
	}, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.History(ctx, target, bench.HistoryConfig{Duration: 5 * time.Second}, progress)
	})
	return all
}

// shortOwnForms are those that start servers themselves; they are left out where a server is given.
func shortOwnForms(ctx context.Context) []ownBenchmark {
	return []ownBenchmark{func(server bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
		return bench.Start(ctx, server, bench.StartConfig{}, progress)
	}}
}
