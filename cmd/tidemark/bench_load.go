// SPDX-License-Identifier: Apache-2.0

// tidemark bench: the benchmarks that put load on one server: send, fanout, room, idle, sync, history, storm and start.

package main

import (
	"context"
	"slices"
	"time"

	"github.com/tidemark-im/tidemark/bench"
)

type benchSendCommand struct {
	Connections []int         `default:"64" help:"Connections, each a user who writes to one conversation. A list measures each."`
	Window      int           `default:"32" help:"Messages in flight on a connection."`
	Rate        float64       `default:"0" help:"Messages a second over all connections, at fixed times whether or not earlier ones were acknowledged. 0: as fast as the window allows."`
	Payload     int           `default:"100" help:"Bytes of text."`
	Duration    time.Duration `default:"10s" help:"How long to measure."`
	WarmUp      time.Duration `default:"2s" help:"How long to run before."`
}

// Run measures sends.
func (c *benchSendCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if !above0(c.Connections) || c.Window < 1 || c.Window > 256 || c.Payload < 1 || c.Rate < 0 || c.Duration <= 0 {
		return wrongUsage("bench send: connections, payload and duration must be above 0, window 1 to 256, rate 0 or above")
	}
	config := bench.SendConfig{Window: c.Window, Rate: c.Rate, Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp}
	return common.series(ctx, output, c.Connections, func(n int, target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		config.Connections = n
		return bench.Send(ctx, target, config, progress)
	})
}

type benchFanoutCommand struct {
	Members  []int         `default:"1000" help:"Members who are online and silent. A list measures each."`
	Senders  int           `default:"1" help:"Members who write."`
	Window   int           `default:"1" help:"Messages in flight of each."`
	Payload  int           `default:"100" help:"Bytes of text."`
	Duration time.Duration `default:"10s" help:"How long to measure."`
	WarmUp   time.Duration `default:"2s" help:"How long to run before."`
}

// Run measures deliveries.
func (c *benchFanoutCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if !above0(c.Members) || c.Senders < 1 || c.Window < 1 || c.Window > 256 || c.Payload < 1 || c.Duration <= 0 {
		return wrongUsage("bench fanout: members, senders, payload and duration must be above 0, window 1 to 256")
	}
	config := bench.FanoutConfig{Senders: c.Senders, Window: c.Window, Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp}
	return common.series(ctx, output, c.Members, func(n int, target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		config.Members = n
		return bench.Fanout(ctx, target, config, progress)
	})
}

type benchRoomCommand struct {
	Receivers []int         `default:"10000" help:"Connections in the room, each a user. A list measures each. The limit of open files must allow them, here and in the server."`
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
	if !above0(c.Receivers) || c.Senders < 1 || c.Senders > 100 || c.Window < 1 || c.Window > 256 || c.Payload < 1 || c.Rate < 0 || c.Duration <= 0 {
		return wrongUsage("bench room: receivers, payload and duration must be above 0, senders 1 to 100, window 1 to 256, rate 0 or above")
	}
	if c.Slow < 0 || c.Slow > 100 || c.Low < 0 || c.Low > 100 {
		return wrongUsage("bench room: slow and low are percentages: 0 to 100")
	}
	config := bench.RoomConfig{
		SlowPercent: c.Slow, Senders: c.Senders, Window: c.Window, Rate: c.Rate, LowPercent: c.Low,
		Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp,
	}
	return common.series(ctx, output, c.Receivers, func(n int, target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		config.Receivers = n
		return bench.Room(ctx, target, config, progress)
	})
}

type benchIdleCommand struct {
	Connections []int         `default:"10000" help:"Connections, each a user. A list measures each. The limit of open files must allow them, here and in the server."`
	Settle      time.Duration `default:"10s" help:"How long to wait before memory is read."`
	Hold        time.Duration `default:"10s" help:"Over how long idle processor time is measured."`
}

// Run measures idle connections.
func (c *benchIdleCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if !above0(c.Connections) || c.Hold <= 0 {
		return wrongUsage("bench idle: connections and hold must be above 0")
	}
	config := bench.IdleConfig{Settle: c.Settle, Hold: c.Hold}
	return common.series(ctx, output, c.Connections, func(n int, target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		config.Connections = n
		return bench.Idle(ctx, target, config, progress)
	})
}

type benchSyncCommand struct {
	Conversations []int `default:"100,1000,5000" help:"Conversations of the user. A list measures each."`
	Changed       int   `default:"10" help:"How many of them have something new."`
	Repeats       int   `default:"500" help:"Reconnects measured."`
	Payload       int   `default:"100" help:"Bytes of text of a message."`
}

// Run measures reconnects.
func (c *benchSyncCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if !above0(c.Conversations) || c.Changed < 1 || c.Repeats < 1 || c.Payload < 1 {
		return wrongUsage("bench sync: conversations, changed, repeats and payload must be above 0")
	}
	config := bench.SyncConfig{Conversations: c.Conversations, Changed: c.Changed, Repeats: c.Repeats, Payload: c.Payload}
	return common.series(ctx, output, []int{0}, func(_ int, target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		return bench.Sync(ctx, target, config, progress)
	})
}

type benchHistoryCommand struct {
	Events      []int         `default:"100000" help:"Events of the conversation. A list measures each."`
	Page        int           `default:"50" help:"Events of a page."`
	Connections int           `default:"16" help:"Connections, each with one request at a time."`
	Payload     int           `default:"100" help:"Bytes of text of a message."`
	Duration    time.Duration `default:"10s" help:"How long to measure."`
	WarmUp      time.Duration `default:"2s" help:"How long to run before."`
}

// Run measures pages of history.
func (c *benchHistoryCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if !above0(c.Events) || c.Page < 1 || c.Page > 500 || slices.Min(c.Events) < c.Page || c.Connections < 1 || c.Connections > 32 || c.Payload < 1 || c.Duration <= 0 {
		return wrongUsage("bench history: page must be 1 to 500, events at least a page, connections 1 to 32, payload and duration above 0")
	}
	config := bench.HistoryConfig{Page: c.Page, Connections: c.Connections, Payload: c.Payload, Duration: c.Duration, WarmUp: c.WarmUp}
	return common.series(ctx, output, c.Events, func(n int, target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		config.Events = n
		return bench.History(ctx, target, config, progress)
	})
}

type benchStormCommand struct {
	Devices       []int   `default:"2000" help:"Devices that come back, each of a user of its own. A list measures each."`
	Conversations int     `default:"200" help:"Conversations of each user."`
	Changed       int     `default:"10" help:"How many of them have something new."`
	Payload       int     `default:"100" help:"Bytes of text of a message."`
	Rate          float64 `default:"500" help:"Messages a second that others write meanwhile."`
}

// Run measures a storm of reconnects.
func (c *benchStormCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if !above0(c.Devices) || c.Conversations < 1 || c.Changed < 1 || c.Payload < 1 || c.Rate <= 0 {
		return wrongUsage("bench storm: devices, conversations, changed, payload and rate must be above 0")
	}
	config := bench.StormConfig{Conversations: c.Conversations, Changed: c.Changed, Payload: c.Payload, Rate: c.Rate}
	return common.series(ctx, output, c.Devices, func(n int, target *bench.Target, progress bench.Output) ([]bench.Result, error) {
		config.Devices = n
		return bench.Storm(ctx, target, config, progress)
	})
}

type benchStartCommand struct {
	Events        []int `default:"200000" help:"Events stored. A list measures each."`
	Conversations int   `default:"2000" help:"Conversations over which they are spread."`
	Payload       int   `default:"100" help:"Bytes of text of a message."`
	Kills         int   `default:"5" help:"How often the server is killed and started."`
}

// Run measures starts after kill -9.
func (c *benchStartCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	switch {
	case common.URL != "":
		return wrongUsage("bench start: it kills its server, so it only works on one of its own: leave --url out")
	case !above0(c.Events) || c.Conversations < 1 || c.Conversations > slices.Min(c.Events) || c.Payload < 1 || c.Kills < 1:
		return wrongUsage("bench start: events, payload and kills must be above 0, conversations 1 to events")
	}
	config := bench.StartConfig{Conversations: c.Conversations, Payload: c.Payload, Kills: c.Kills}
	return common.ownSeries(ctx, output, c.Events, func(n int, server bench.ServerConfig, progress bench.Output) ([]bench.Result, error) {
		config.Events = n
		return bench.Start(ctx, server, config, progress)
	})
}
