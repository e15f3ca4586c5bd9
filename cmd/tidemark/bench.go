// SPDX-License-Identifier: Apache-2.0

// tidemark bench: what a server costs. Starts one as another process, or puts load on the one given by --url.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tidemark-im/tidemark/bench"
)

// benchCommand holds the benchmarks and what they have in common.
type benchCommand struct {
	URL      string `name:"url" placeholder:"URL" help:"Server to put load on, as http://HOST:PORT. Default: start one on a temporary directory."`
	AdminKey string `name:"admin-key" help:"Admin key of the server given by --url."`
	Dir      string `type:"path" placeholder:"DIR" help:"Where the temporary data directory is made: on the disk to be measured. Default: the system's."`
	JSON     bool   `name:"json" help:"Print one line of JSON for each result instead of a table."`
	Quiet    bool   `short:"q" help:"Print no progress."`

	Send       benchSendCommand       `cmd:"" help:"Messages sent, made durable and acknowledged."`
	Fanout     benchFanoutCommand     `cmd:"" help:"Deliveries in a large group whose members are all online."`
	Room       benchRoomCommand       `cmd:"" help:"Deliveries in a room with very many in it, and what is left out for those who are behind."`
	Idle       benchIdleCommand       `cmd:"" help:"Memory and processor time of idle connections."`
	Sync       benchSyncCommand       `cmd:"" help:"Reconnects of a device after a few of its conversations changed."`
	History    benchHistoryCommand    `cmd:"" help:"Import of a long conversation, and pages of it from random places."`
	Storm      benchStormCommand      `cmd:"" help:"Many devices that come back at once, while others write."`
	Start      benchStartCommand      `cmd:"" help:"Time until a killed server serves again."`
	Disk       benchDiskCommand       `cmd:"" help:"Bytes on disk of a message, everything included, after compaction."`
	Members    benchMembersCommand    `cmd:"" help:"Messages to groups of any size whose members are all offline."`
	Grow       benchGrowCommand       `cmd:"" help:"Messages sent while the data grows."`
	Import     benchImportCommand     `cmd:"" help:"Import of IRC logs, into a directory and into a running server."`
	Overload   benchOverloadCommand   `cmd:"" help:"More messages than the server can do: what is kept, and what others notice."`
	Fairness   benchFairnessCommand   `cmd:"" help:"What others notice of one busy conversation, and of one busy device."`
	Cores      benchCoresCommand      `cmd:"" help:"Messages sent on servers with more and more cores."`
	Partitions benchPartitionsCommand `cmd:"" help:"Messages sent on servers with more and more partitions."`
	Curves     benchCurvesCommand     `cmd:"" help:"Draw curves from the JSON lines of runs."`
	Schemes    benchSchemesCommand    `cmd:"" help:"What four designs of group messages write, read and lose: counted, in memory, without a server."`
	Aims       benchAimsCommand       `cmd:"" help:"Every aim, several times, in a given time: the median beside what it should be."`
	All        benchAllCommand        `cmd:"" help:"Every benchmark, each on a fresh server: short, or at the sizes of the aims."`
}

// Help adds what is common to all benchmarks.
func (benchCommand) Help() string {
	return "Every benchmark checks its result (each message exactly once, in order) and exits with 1 if it is wrong.\n\n" +
		"Examples:\n\n  tidemark bench send --connections 64 --window 32 --duration 10s --json\n\n" +
		"  tidemark bench overload\n\n" +
		"  tidemark bench aims --runs 3 --within 15m --update docs/performance.md\n\n" +
		"  tidemark bench all --update docs/performance.md\n\n" +
		"  tidemark bench all --full --json > runs.jsonl && tidemark bench curves runs.jsonl"
}

// above0 reports whether there are sizes and all of them are above 0.
func above0(sizes []int) bool { return len(sizes) > 0 && slices.Min(sizes) > 0 }

// benchmark is one run against a server.
type benchmark func(target *bench.Target, progress bench.Output) ([]bench.Result, error)

// ownBenchmark is one run that starts servers itself.
type ownBenchmark func(server bench.ServerConfig, progress bench.Output) ([]bench.Result, error)

// series measures at each of several sizes, each on a fresh server unless one is given.
func (c *benchCommand) series(ctx context.Context, output *Output, sizes []int, measure func(size int, target *bench.Target, progress bench.Output) ([]bench.Result, error)) error {
	shown := c.printer(output.Out)
	for _, size := range sizes {
		err := shown.add(c.run(ctx, output, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
			return measure(size, target, progress)
		}))
		if err != nil {
			return errors.Join(err, shown.end())
		}
	}
	return shown.end()
}

// ownSeries is series for benchmarks that start servers themselves.
func (c *benchCommand) ownSeries(ctx context.Context, output *Output, sizes []int, measure func(size int, server bench.ServerConfig, progress bench.Output) ([]bench.Result, error)) error {
	shown := c.printer(output.Out)
	for _, size := range sizes {
		err := shown.add(c.runOwn(output, func(server bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
			return measure(size, server, progress)
		}))
		if err != nil {
			return errors.Join(err, shown.end())
		}
	}
	return shown.end()
}

// printer prints results: lines of JSON as they come, a table of all at the end.
type printer struct {
	to   io.Writer
	json bool
	all  []bench.Result
}

func (c *benchCommand) printer(to io.Writer) *printer { return &printer{to: to, json: c.JSON} }

// add takes results, and the error with which their benchmark ended: what it found before is shown all the same.
func (p *printer) add(results []bench.Result, err error) error {
	bench.Judge(p.all, results)
	p.all = append(p.all, results...)
	if p.json {
		return errors.Join(err, bench.WriteJSON(p.to, results))
	}
	return err
}

func (p *printer) end() error {
	if p.json || len(p.all) == 0 {
		return nil
	}
	return bench.WriteTable(p.to, p.all)
}

// run runs one benchmark, against a server of its own unless one is given.
func (c *benchCommand) run(ctx context.Context, output *Output, run benchmark) (results []bench.Result, err error) {
	if c.URL != "" {
		if c.AdminKey == "" {
			return nil, wrongUsage("bench: --url needs --admin-key: the benchmark makes users and conversations")
		}
		return run(&bench.Target{URL: c.URL, AdminKey: c.AdminKey}, c.progress(output))
	}
	return c.runOwn(output, func(config bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
		return onServer(ctx, config, run, progress)
	})
}

// onServer runs a benchmark against a server that it starts and ends.
func onServer(ctx context.Context, config bench.ServerConfig, run benchmark, progress bench.Output) (results []bench.Result, err error) {
	server, err := bench.StartServer(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop(30*time.Second)) }()
	return run(&server.Target, progress)
}

// runOwn runs one benchmark with servers of this binary on a temporary directory.
func (c *benchCommand) runOwn(output *Output, run ownBenchmark) (results []bench.Result, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	dir, err := os.MkdirTemp(c.Dir, "tidemark-bench-*")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return run(bench.ServerConfig{Program: program, DataDir: filepath.Join(dir, "data"), Args: []string{"--log-level", "warn"}}, c.progress(output))
}

// refuseURL refuses --url for a benchmark that starts servers as it needs them.
func (c *benchCommand) refuseURL(name string) error {
	if c.URL != "" {
		return wrongUsage("bench %s: it starts servers of its own: leave --url out", name)
	}
	return nil
}

func (c *benchCommand) progress(output *Output) bench.Output {
	if c.Quiet {
		return bench.Output{}
	}
	return bench.Output{Progress: output.Err}
}
