// SPDX-License-Identifier: Apache-2.0

// tidemark bench: the benchmarks about growth, which start servers as they need them: disk, members, grow, import, cores and
// partitions.

package main

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/bench"
)

// scratch is a directory beside the data, for what a benchmark writes itself. It goes with the run.
func scratch(server bench.ServerConfig) string { return filepath.Dir(server.DataDir) }

type benchDiskCommand struct {
	Messages int    `default:"200000" help:"Messages sent."`
	Payload  []int  `default:"100,0" help:"Bytes of text, put together of what is said in the logs; 0: messages as they are in them. A list measures each."`
	IRC      string `name:"irc" type:"existingdir" placeholder:"DIR" help:"IRC logs whose text is sent. Default: made up."`
}

// Run measures what messages take on disk.
func (c *benchDiskCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Messages < 1 || len(c.Payload) == 0 || slices.Min(c.Payload) < 0 {
		return wrongUsage("bench disk: messages must be above 0, payload 0 or above")
	}
	if err := common.refuseURL("disk"); err != nil {
		return err
	}
	return common.ownSeries(ctx, output, c.Payload, func(n int, server bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
		config := bench.DiskConfig{Messages: c.Messages, Payload: n, IRC: c.IRC, Scratch: scratch(server)}
		return bench.Disk(ctx, server, config, progress)
	})
}

type benchMembersCommand struct {
	Members  []int         `default:"10,1000,100000" help:"Members of the group, all offline but the one who writes. A list measures each."`
	Singles  int           `default:"500" help:"Messages sent one at a time, whose bytes are counted."`
	Window   int           `default:"256" help:"Messages in flight when time is measured."`
	Payload  int           `default:"100" help:"Bytes of text."`
	Duration time.Duration `default:"10s" help:"How long to measure."`
	WarmUp   time.Duration `default:"2s" help:"How long to run before."`
}

// Run measures messages to groups whose members are offline.
func (c *benchMembersCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	most := int(tidemark.DefaultLimits().MembersMax)
	if !above0(c.Members) || slices.Max(c.Members) > most || c.Singles < 1 || c.Window < 1 || c.Window > 256 || c.Payload < 1 || c.Duration <= 0 {
		return wrongUsage("bench members: members must be 1 to %d, window 1 to 256, singles, payload and duration above 0", most)
	}
	if err := common.refuseURL("members"); err != nil {
		return err
	}
	return common.ownSeries(ctx, output, c.Members, func(n int, server bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
		config := bench.MembersConfig{
			Members: n, Singles: c.Singles, Window: c.Window, Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp, Scratch: scratch(server),
		}
		return bench.Members(ctx, server, config, progress)
	})
}

type benchGrowCommand struct {
	From          int           `default:"1000000" help:"Messages stored when it is first measured."`
	To            int           `default:"20000000" help:"Messages stored when it is last measured."`
	Points        int           `default:"5" help:"How often it is measured, evenly spread."`
	Conversations int           `default:"20000" help:"Conversations over which the messages are spread."`
	Connections   int           `default:"64" help:"Connections that send."`
	Window        int           `default:"32" help:"Messages in flight of each."`
	Payload       int           `default:"100" help:"Bytes of text."`
	Duration      time.Duration `default:"10s" help:"How long to measure each time."`
	WarmUp        time.Duration `default:"2s" help:"How long to run before."`
}

// Run measures sends while the data grows.
func (c *benchGrowCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.From < 1 || c.To < c.From || c.Points < 1 || c.Conversations < 1 || c.Conversations > c.From || c.Connections < 1 || c.Window < 1 || c.Window > 256 || c.Payload < 1 || c.Duration <= 0 {
		return wrongUsage("bench grow: from must be above 0 and at most to, conversations 1 to from, points, connections, payload and duration above 0, window 1 to 256")
	}
	if err := common.refuseURL("grow"); err != nil {
		return err
	}
	config := bench.GrowConfig{
		From: c.From, To: c.To, Points: c.Points, Conversations: c.Conversations, Connections: c.Connections, Window: c.Window, Payload: c.Payload,
		Duration: c.Duration, WarmUp: c.WarmUp,
	}
	return common.ownSeries(ctx, output, []int{0}, func(_ int, server bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
		return growOn(ctx, server, config, progress)
	})
}

// growOn runs grow on a server of its own.
func growOn(ctx context.Context, server bench.ServerConfig, config bench.GrowConfig, progress bench.Output) ([]bench.Result, error) {
	config.Scratch = scratch(server)
	return onServer(ctx, server, func(target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Grow(ctx, target, config, progress)
	}, progress)
}

type benchImportCommand struct {
	Lines int    `default:"200000" help:"Lines of the logs that are made up."`
	IRC   string `name:"irc" type:"existingdir" placeholder:"DIR" help:"IRC logs to import, as they are. Default: made up."`
}

// Run measures the import of logs.
func (c *benchImportCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Lines < 1 {
		return wrongUsage("bench import: lines must be above 0")
	}
	if err := common.refuseURL("import"); err != nil {
		return err
	}
	return common.ownSeries(ctx, output, []int{0}, func(_ int, server bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
		return bench.Import(ctx, server, bench.ImportConfig{Lines: c.Lines, IRC: c.IRC, Scratch: scratch(server)}, progress)
	})
}

// scaleFlags are the load of cores and partitions.
type scaleFlags struct {
	Connections int           `default:"64" help:"Connections, each a user who writes to one conversation."`
	Window      int           `default:"32" help:"Messages in flight on a connection."`
	Payload     int           `default:"100" help:"Bytes of text."`
	Duration    time.Duration `default:"10s" help:"How long to measure."`
	WarmUp      time.Duration `default:"2s" help:"How long to run before."`
}

func (f *scaleFlags) config(name string, common *benchCommand) (bench.SendConfig, error) {
	if f.Connections < 1 || f.Window < 1 || f.Window > 256 || f.Payload < 1 || f.Duration <= 0 {
		return bench.SendConfig{}, wrongUsage("bench %s: connections, payload and duration must be above 0, window 1 to 256", name)
	}
	config := bench.SendConfig{Connections: f.Connections, Window: f.Window, Payload: f.Payload, Duration: f.Duration, WarmUp: f.WarmUp}
	return config, common.refuseURL(name)
}

type benchCoresCommand struct {
	Cores []int `default:"1,2" help:"Cores that the server may use (its GOMAXPROCS). A list measures each."`
	scaleFlags
}

// Run measures sends on servers with more and more cores.
func (c *benchCoresCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	config, err := c.config("cores", common)
	if err == nil && !above0(c.Cores) {
		err = wrongUsage("bench cores: cores must be above 0")
	}
	if err != nil {
		return err
	}
	return common.ownSeries(ctx, output, c.Cores, func(n int, server bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
		return bench.Scale(ctx, server, bench.ScaleConfig{Cores: n, Send: config}, progress)
	})
}

type benchPartitionsCommand struct {
	Partitions []int `default:"1,2,4,8,16,32,64" help:"Partitions of the server's data. A list measures each."`
	scaleFlags
}

// Run measures sends on servers with more and more partitions.
func (c *benchPartitionsCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	config, err := c.config("partitions", common)
	if err == nil && (!above0(c.Partitions) || slices.Max(c.Partitions) > tidemark.PartitionsMax) {
		err = wrongUsage("bench partitions: partitions must be 1 to %d", tidemark.PartitionsMax)
	}
	if err != nil {
		return err
	}
	return common.ownSeries(ctx, output, c.Partitions, func(n int, server bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
		return bench.Scale(ctx, server, bench.ScaleConfig{Partitions: n, Send: config}, progress)
	})
}
