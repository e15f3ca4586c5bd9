// SPDX-License-Identifier: Apache-2.0

// tidemark bench grow: how fast messages are sent while the data grows. Between the points at which it is measured, history is
// imported into thousands of conversations; the senders write to the same conversations at every point.

package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

// GrowConfig describes [Grow]. Zero values mean the defaults.
type GrowConfig struct {
	From          int           // messages stored at the first point: 1,000,000
	To            int           // messages stored at the last: 20,000,000
	Points        int           // at which it is measured, evenly spread: 5
	Conversations int           // over which the imported ones are spread: 20,000
	Connections   int           // that send: 64
	Window        int           // messages in flight of each: 32
	Payload       int           // bytes of text, cut from made-up IRC text: 100
	Duration      time.Duration // measured at each point: 10 s
	WarmUp        time.Duration // before: 2 s
	Scratch       string        // directory for made-up logs; required
}

func (c GrowConfig) withDefaults() GrowConfig {
	c.From = orDefault(c.From, 1_000_000)
	c.To = max(orDefault(c.To, 20_000_000), c.From)
	c.Points = orDefault(c.Points, 5)
	c.Conversations = min(orDefault(c.Conversations, 20_000), c.From)
	c.Connections = orDefault(c.Connections, 64)
	c.Window = orDefault(c.Window, 32)
	c.Payload = orDefault(c.Payload, 100)
	c.Duration = orDefault(c.Duration, 10*time.Second)
	c.WarmUp = orDefault(c.WarmUp, 2*time.Second)
	return c
}

const growTextLines = 100_000 // of made-up logs: their texts are said again and again, in other conversations

// Grow measures sends at each point: one result each.
func Grow(ctx context.Context, target *Target, config GrowConfig, output Output) ([]Result, error) {
	config = config.withDefaults()
	logs, err := OpenIRC("", config.Scratch, growTextLines)
	if err != nil {
		return nil, err
	}
	texts, err := TextsOf(logs, config.Payload, growTextLines)
	if err != nil {
		return nil, err
	}
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	g := &growing{app: a, target: target, config: config, texts: texts, machine: machine, output: output, random: rand.New(rand.NewPCG(1, 3))}
	if err := g.begin(ctx); err != nil {
		return nil, err
	}
	defer closeSenders(g.senders)
	var results []Result
	for point := range config.Points {
		goal := config.From
		if config.Points > 1 {
			goal += (config.To - config.From) * point / (config.Points - 1)
		}
		result, err := g.point(ctx, goal)
		if err != nil {
			return results, err
		}
		result.Kept = 1
		if len(results) > 0 {
			result.Kept = result.PerSecond / results[0].PerSecond
		}
		results = append(results, result)
	}
	if err := g.check(ctx); err != nil {
		return results, err
	}
	for i := range results {
		results[i].Checked = true
	}
	return results, nil
}

// growing is one run.
type growing struct {
	app     *App
	target  *Target
	config  GrowConfig
	texts   []string
	machine Machine
	output  Output
	random  *rand.Rand

	writer   Member   // of what is imported
	filled   []string // conversations that are filled by imports
	lengths  []int    // messages in each
	imported int
	senders  []*sender
}

func (g *growing) begin(ctx context.Context) error {
	users, err := g.app.makeUsers(ctx, "g", 1)
	if err != nil {
		return err
	}
	g.writer = users[0]
	g.output.say("grow: making %s conversations", grouped(float64(g.config.Conversations)))
	g.filled, g.lengths = make([]string, g.config.Conversations), make([]int, g.config.Conversations)
	err = forEach(ctx, len(g.filled), func(ctx context.Context, i int) error {
		g.filled[i] = g.app.id("grown", i)
		return g.app.MakeGroup(ctx, g.filled[i], g.writer.User)
	})
	if err != nil {
		return err
	}
	g.senders, err = connectSenders(ctx, g.app, SendConfig{Connections: g.config.Connections, Window: g.config.Window}.withDefaults(), g.output)
	for i, s := range g.senders {
		s.texts, s.named = rotated(g.texts, i*1000), randomIDs(uint64(i))
	}
	return err
}

// stored is how many messages there are.
func (g *growing) stored() int {
	total := g.imported
	for _, s := range g.senders {
		total += int(s.answered)
	}
	return total
}

// fillTo imports until so many messages are stored, into conversations in random order: a few hundred at a time into each.
func (g *growing) fillTo(ctx context.Context, goal int) error {
	for missing := goal - g.stored(); missing > 0; missing = goal - g.stored() {
		each := min(max(missing/len(g.filled)+1, 1), importBatch/4)
		picked := g.random.Perm(len(g.filled))[:min(len(g.filled), (missing+each-1)/each)]
		last := time.Now()
		for len(picked) > 0 { // in parts, for the sake of progress
			n := min(len(picked), 8*setupParallel)
			part := picked[:n]
			err := forEach(ctx, n, func(ctx context.Context, i int) error { return g.importMore(ctx, part[i], each) })
			if err != nil {
				return err
			}
			g.imported += n * each
			picked = picked[n:]
			if time.Since(last) > time.Second {
				last = time.Now()
				g.output.say("grow: %s of %s messages stored", grouped(float64(g.stored())), grouped(float64(goal)))
			}
		}
	}
	return nil
}

// importMore adds messages to one of the filled conversations.
func (g *growing) importMore(ctx context.Context, at, n int) error {
	request := &wire.ImportRequest{Conversation: g.filled[at]}
	ids := randomIDs(uint64(1_000_000 + at))
	for range n {
		g.lengths[at]++
		entry := importEntry(g.lengths[at], g.writer.User, g.texts[(at*31+g.lengths[at])%len(g.texts)])
		entry.ClientId = ids(uint64(g.lengths[at]))
		request.Entries = append(request.Entries, entry)
	}
	return g.app.importAll(ctx, request)
}

// point fills up to a number of messages and measures sends.
func (g *growing) point(ctx context.Context, goal int) (Result, error) {
	if err := g.fillTo(ctx, goal); err != nil {
		return Result{}, err
	}
	if err := g.target.settle(ctx); err != nil {
		return Result{}, err
	}
	stored := g.stored()
	var counted uint64
	for _, s := range g.senders { // the connections of the point before are idle for too long by now
		s.close()
		c, err := connectSynced(ctx, dialConfig{address: g.app.address, token: s.member.Token, device: "bench"})
		if err != nil {
			return Result{}, err
		}
		s.conn, s.counted, s.latencies = c, 0, newLatencies()
	}
	g.output.say("grow: sending with %s messages stored", grouped(float64(stored)))
	measured, err := runSenders(ctx, g.target, SendConfig{WarmUp: g.config.WarmUp, Duration: g.config.Duration}, g.output, g.senders, &course{})
	if err != nil {
		return Result{}, err
	}
	for _, s := range g.senders {
		counted += s.counted
	}
	result := Result{
		Name: "grow", What: fmt.Sprintf("%d connections × %d in flight, %s messages stored", len(g.senders), g.config.Window, grouped(float64(stored))),
		Operations: counted, Events: stored, PerSecond: float64(counted) / measured.duration().Seconds(), DurationMs: milliseconds(measured.duration()),
		PayloadBytes: g.config.Payload, Connections: len(g.senders), Window: g.config.Window, Conversations: len(g.filled) + len(g.senders),
		Machine: g.machine, DiskBytes: g.target.disk(),
	}
	result.latency(latenciesOf(g.senders))
	result.usage(g.target, measured.before, measured.after, counted)
	return result, nil
}

// growChecks is how many of the filled conversations are looked at in the end.
const growChecks = 200

// check reads back what was sent, and the ends of some of the filled conversations.
func (g *growing) check(ctx context.Context) error {
	g.output.say("grow: checking")
	err := forEach(ctx, min(growChecks, len(g.filled)), func(ctx context.Context, i int) error {
		at := i * len(g.filled) / min(growChecks, len(g.filled))
		return g.app.mustEndAt(ctx, g.writer.User, g.filled[at], uint64(g.lengths[at]+1))
	})
	if err != nil {
		return err
	}
	return checkSenders(ctx, g.app, g.senders)
}
