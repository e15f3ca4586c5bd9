// SPDX-License-Identifier: Apache-2.0

// tidemark bench: what a server costs. Starts one as another process, or puts load on the one given by --url.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
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

	Send    benchSendCommand    `cmd:"" help:"Messages sent, made durable and acknowledged."`
	Fanout  benchFanoutCommand  `cmd:"" help:"Deliveries in a large group whose members are all online."`
	Room    benchRoomCommand    `cmd:"" help:"Deliveries in a room with very many in it, and what is left out for those who are behind."`
	Idle    benchIdleCommand    `cmd:"" help:"Memory and processor time of idle connections."`
	Sync    benchSyncCommand    `cmd:"" help:"Reconnects of a device after a few of its conversations changed."`
	History benchHistoryCommand `cmd:"" help:"Import of a long conversation, and pages of it from random places."`
	Storm   benchStormCommand   `cmd:"" help:"Many devices that come back at once, while others write."`
	Start   benchStartCommand   `cmd:"" help:"Time until a killed server serves again."`
	Schemes benchSchemesCommand `cmd:"" help:"What four designs of group messages write, read and lose: counted, in memory, without a server."`
	All     benchAllCommand     `cmd:"" help:"The short form of every benchmark, each on a fresh server."`
}

// Help adds what is common to all benchmarks.
func (benchCommand) Help() string {
	return "Every benchmark checks its result (each message exactly once, in order) and exits with 1 if it is wrong.\n\n" +
		"Examples:\n\n  tidemark bench send --connections 64 --window 32 --duration 10s --json\n\n" +
		"  tidemark bench all --update docs/performance.md"
}

type benchSendCommand struct {
	Connections int           `default:"64" help:"Connections, each a user who writes to one conversation."`
	Window      int           `default:"32" help:"Messages in flight on a connection."`
	Rate        float64       `default:"0" help:"Messages a second over all connections, at fixed times whether or not earlier ones were acknowledged. 0: as fast as the window allows."`
	Payload     int           `default:"100" help:"Bytes of text."`
	Duration    time.Duration `default:"10s" help:"How long to measure."`
	WarmUp      time.Duration `default:"2s" help:"How long to run before."`
}

// Run measures sends.
func (c *benchSendCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Connections < 1 || c.Window < 1 || c.Window > 256 || c.Payload < 1 || c.Rate < 0 || c.Duration <= 0 {
		return wrongUsage("bench send: connections, payload and duration must be above 0, window 1 to 256, rate 0 or above")
	}
	config := bench.SendConfig{Connections: c.Connections, Window: c.Window, Rate: c.Rate, Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp}
	return common.measure(ctx, output, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Send(ctx, target, config, progress)
	})
}

type benchFanoutCommand struct {
	Members  int           `default:"1000" help:"Members who are online and silent."`
	Senders  int           `default:"1" help:"Members who write."`
	Window   int           `default:"1" help:"Messages in flight of each."`
	Payload  int           `default:"100" help:"Bytes of text."`
	Duration time.Duration `default:"10s" help:"How long to measure."`
	WarmUp   time.Duration `default:"2s" help:"How long to run before."`
}

// Run measures deliveries.
func (c *benchFanoutCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Members < 1 || c.Senders < 1 || c.Window < 1 || c.Window > 256 || c.Payload < 1 || c.Duration <= 0 {
		return wrongUsage("bench fanout: members, senders, payload and duration must be above 0, window 1 to 256")
	}
	config := bench.FanoutConfig{Members: c.Members, Senders: c.Senders, Window: c.Window, Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp}
	return common.measure(ctx, output, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Fanout(ctx, target, config, progress)
	})
}

type benchRoomCommand struct {
	Receivers int           `default:"10000" help:"Connections in the room, each a user. The limit of open files must allow them, here and in the server."`
	Slow      int           `default:"0" placeholder:"PERCENT" help:"Percent of them that read little at a time and rest in between."`
	Senders   int           `default:"8" help:"Admins who write, without being in the room."`
	Window    int           `default:"32" help:"Messages in flight of each. With more than 64 of all senders, receivers get behind and most is left out."`
	Rate      float64       `default:"0" help:"Messages a second of all senders, at fixed times whether or not earlier ones were acknowledged. 0: as fast as the window allows."`
	Low       int           `default:"0" placeholder:"PERCENT" help:"Percent of the messages with a low priority, which are left out first. The others have a normal one."`
	Payload   int           `default:"100" help:"Bytes of text."`
	Duration  time.Duration `default:"10s" help:"How long to measure."`
	WarmUp    time.Duration `default:"2s" help:"How long to run before."`
}

// Run measures deliveries in a room.
func (c *benchRoomCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Receivers < 1 || c.Senders < 1 || c.Senders > 100 || c.Window < 1 || c.Window > 256 || c.Payload < 1 || c.Rate < 0 || c.Duration <= 0 {
		return wrongUsage("bench room: receivers, payload and duration must be above 0, senders 1 to 100, window 1 to 256, rate 0 or above")
	}
	if c.Slow < 0 || c.Slow > 100 || c.Low < 0 || c.Low > 100 {
		return wrongUsage("bench room: slow and low are percentages: 0 to 100")
	}
	config := bench.RoomConfig{
		Receivers: c.Receivers, SlowPercent: c.Slow, Senders: c.Senders, Window: c.Window, Rate: c.Rate, LowPercent: c.Low,
		Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp,
	}
	return common.measure(ctx, output, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Room(ctx, target, config, progress)
	})
}

type benchIdleCommand struct {
	Connections int           `default:"10000" help:"Connections, each a user. The limit of open files must allow them, here and in the server."`
	Settle      time.Duration `default:"10s" help:"How long to wait before memory is read."`
	Hold        time.Duration `default:"10s" help:"Over how long idle processor time is measured."`
}

// Run measures idle connections.
func (c *benchIdleCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Connections < 1 || c.Hold <= 0 {
		return wrongUsage("bench idle: connections and hold must be above 0")
	}
	config := bench.IdleConfig{Connections: c.Connections, Settle: c.Settle, Hold: c.Hold}
	return common.measure(ctx, output, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Idle(ctx, target, config, progress)
	})
}

type benchSyncCommand struct {
	Conversations []int `default:"100,1000,5000" help:"Conversations of the user, one measurement each."`
	Changed       int   `default:"10" help:"How many of them have something new."`
	Repeats       int   `default:"500" help:"Reconnects measured."`
	Payload       int   `default:"100" help:"Bytes of text of a message."`
}

// Run measures reconnects.
func (c *benchSyncCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	for _, n := range c.Conversations {
		if n < 1 {
			return wrongUsage("bench sync: conversations must be above 0, not %d", n)
		}
	}
	if c.Changed < 1 || c.Repeats < 1 || c.Payload < 1 {
		return wrongUsage("bench sync: changed, repeats and payload must be above 0")
	}
	config := bench.SyncConfig{Conversations: c.Conversations, Changed: c.Changed, Repeats: c.Repeats, Payload: c.Payload}
	return common.measure(ctx, output, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Sync(ctx, target, config, progress)
	})
}

type benchHistoryCommand struct {
	Events      int           `default:"100000" help:"Events of the conversation."`
	Page        int           `default:"50" help:"Events of a page."`
	Connections int           `default:"16" help:"Connections, each with one request at a time."`
	Payload     int           `default:"100" help:"Bytes of text of a message."`
	Duration    time.Duration `default:"10s" help:"How long to measure."`
	WarmUp      time.Duration `default:"2s" help:"How long to run before."`
}

// Run measures pages of history.
func (c *benchHistoryCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Page < 1 || c.Page > 500 || c.Events < c.Page || c.Connections < 1 || c.Connections > 32 || c.Payload < 1 || c.Duration <= 0 {
		return wrongUsage("bench history: page must be 1 to 500, events at least a page, connections 1 to 32, payload and duration above 0")
	}
	config := bench.HistoryConfig{Events: c.Events, Page: c.Page, Connections: c.Connections, Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp}
	return common.measure(ctx, output, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.History(ctx, target, config, progress)
	})
}

type benchStormCommand struct {
	Devices       int     `default:"2000" help:"Devices that come back, each of a user of its own."`
	Conversations int     `default:"200" help:"Conversations of each user."`
	Changed       int     `default:"10" help:"How many of them have something new."`
	Payload       int     `default:"100" help:"Bytes of text of a message."`
	Rate          float64 `default:"500" help:"Messages a second that others write meanwhile."`
}

// Run measures a storm of reconnects.
func (c *benchStormCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Devices < 1 || c.Conversations < 1 || c.Changed < 1 || c.Payload < 1 || c.Rate <= 0 {
		return wrongUsage("bench storm: devices, conversations, changed, payload and rate must be above 0")
	}
	config := bench.StormConfig{Devices: c.Devices, Conversations: c.Conversations, Changed: c.Changed, Payload: c.Payload, Rate: c.Rate}
	return common.measure(ctx, output, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Storm(ctx, target, config, progress)
	})
}

type benchStartCommand struct {
	Events        int `default:"200000" help:"Events stored."`
	Conversations int `default:"2000" help:"Conversations over which they are spread."`
	Payload       int `default:"100" help:"Bytes of text of a message."`
	Kills         int `default:"5" help:"How often the server is killed and started."`
}

// Run measures starts after kill -9.
func (c *benchStartCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	switch {
	case common.URL != "":
		return wrongUsage("bench start: it kills its server, so it only works on one of its own: leave --url out")
	case c.Events < 1 || c.Conversations < 1 || c.Conversations > c.Events || c.Payload < 1 || c.Kills < 1:
		return wrongUsage("bench start: events, payload and kills must be above 0, conversations 1 to events")
	}
	config := bench.StartConfig{Events: c.Events, Conversations: c.Conversations, Payload: c.Payload, Kills: c.Kills}
	results, err := common.start(ctx, output, config)
	return errors.Join(err, common.print(output.Out, results))
}

type benchAllCommand struct {
	Update string `type:"path" placeholder:"FILE" help:"Also rewrite the table of this Markdown file between its markers."`
}

// Run runs the short form of every benchmark.
func (c *benchAllCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	var all []bench.Result
	for _, run := range shortForms(ctx) {
		results, err := common.run(ctx, output, run)
		all = append(all, results...)
		if err != nil {
			return errors.Join(err, common.print(output.Out, all))
		}
	}
	if common.URL == "" {
		results, err := common.start(ctx, output, bench.StartConfig{})
		all = append(all, results...)
		if err != nil {
			return errors.Join(err, common.print(output.Out, all))
		}
	}
	if err := common.print(output.Out, all); err != nil || c.Update == "" {
		return err
	}
	head := fmt.Sprintf("Taken on %s by `tidemark bench all` with tidemark %s, %s, %d cores shared by server and load.",
		time.Now().UTC().Format(time.DateOnly), buildVersion(), runtime.Version(), runtime.NumCPU())
	return bench.UpdateDocument(c.Update, head, all)
}

// benchmark is one run against a server.
type benchmark func(target *bench.Target, progress bench.Output) ([]bench.Result, error)

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

// measure runs one benchmark and prints what it found, also when it then fails.
func (c *benchCommand) measure(ctx context.Context, output *Output, run benchmark) error {
	results, err := c.run(ctx, output, run)
	return errors.Join(err, c.print(output.Out, results))
}

func (c *benchCommand) print(w io.Writer, results []bench.Result) error {
	switch {
	case len(results) == 0:
		return nil
	case c.JSON:
		return bench.WriteJSON(w, results)
	}
	return bench.WriteTable(w, results)
}

// run runs one benchmark, against a server of its own unless one is given.
func (c *benchCommand) run(ctx context.Context, output *Output, run benchmark) (results []bench.Result, err error) {
	if c.URL != "" {
		if c.AdminKey == "" {
			return nil, wrongUsage("bench: --url needs --admin-key: the benchmark makes users and conversations")
		}
		return run(&bench.Target{URL: c.URL, AdminKey: c.AdminKey}, c.progress(output))
	}
	err = c.inDirectory(func(config bench.ServerConfig) (err error) {
		server, err := bench.StartServer(ctx, config)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Stop(30*time.Second)) }()
		results, err = run(&server.Target, c.progress(output))
		return err
	})
	return results, err
}

// start runs the benchmark that starts servers itself.
func (c *benchCommand) start(ctx context.Context, output *Output, config bench.StartConfig) (results []bench.Result, err error) {
	err = c.inDirectory(func(server bench.ServerConfig) (err error) {
		results, err = bench.Start(ctx, server, config, c.progress(output))
		return err
	})
	return results, err
}

// inDirectory calls do with a server of this binary on a temporary directory.
func (c *benchCommand) inDirectory(do func(bench.ServerConfig) error) (err error) {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	dir, err := os.MkdirTemp(c.Dir, "tidemark-bench-*")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return do(bench.ServerConfig{Program: program, DataDir: dir, Args: []string{"--log-level", "warn"}})
}

func (c *benchCommand) progress(output *Output) bench.Output {
	if c.Quiet {
		return bench.Output{}
	}
	return bench.Output{Progress: output.Err}
}
