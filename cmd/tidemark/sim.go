// SPDX-License-Identifier: Apache-2.0

// tidemark sim: seeded worlds in which everything breaks, one after the other, until one breaks a promise.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/sim"
)

type simCommand struct {
	Seed      *uint64       `placeholder:"N" help:"Run this seed alone."`
	Seeds     *uint64       `placeholder:"N" help:"How many seeds. Default: 1000."`
	From      *uint64       `placeholder:"N" help:"The first seed. Default: 1."`
	For       time.Duration `placeholder:"TIME" help:"Run seeds for so long instead."`
	Profile   string        `placeholder:"NAME" help:"Run all seeds with this profile: ${simProfiles}. Default: each seed draws one."`
	Without   string        `placeholder:"LIST" help:"With --seed: decisions to leave out, as a failure prints them: 1-4,7,9-12."`
	Story     bool          `help:"Tell what happens. Needs --seed, or is told of the seed that fails."`
	Shrink    bool          `default:"true" negatable:"" help:"Leave out of a failure all that it does not need."`
	KeepGoing bool          `help:"Go on after a failure: print a line for each, and neither shrink nor tell."`
	Jobs      int           `placeholder:"N" help:"How many seeds to run at a time. Default: one for each processor."`
	JSON      bool          `name:"json" help:"Print one line of JSON at the end."`
	Quiet     bool          `short:"q" help:"Print no progress."`
}

// Help says what it is about.
func (simCommand) Help() string {
	return "Runs the server's and the devices' real code in worlds of which a seed decides everything: what users do, what breaks, and " +
		"in which order things happen. The same seed gives the same world. Exits with 1 at the first promise that is broken.\n\n" +
		"Examples:\n\n  tidemark sim --seeds 2000\n\n  tidemark sim --for 10m --profile crashes\n\n  tidemark sim --seed 77 --story"
}

// simOutcome is the line of JSON.
type simOutcome struct {
	Seeds          uint64     `json:"seeds"` // that were run
	SeedsPerMinute float64    `json:"seedsPerMinute"`
	Failed         bool       `json:"failed"`
	Failures       uint64     `json:"failures"`       // one, or with --keep-going all
	Seed           uint64     `json:"seed,omitempty"` // that failed
	Invariant      string     `json:"invariant,omitempty"`
	Text           string     `json:"text,omitempty"`
	Command        string     `json:"command,omitempty"`
	Counts         sim.Counts `json:"counts"`
}

// Run runs the seeds.
func (c *simCommand) Run(ctx context.Context, output *Output) error {
	without, err := sim.ParseRanges(c.Without)
	if err != nil {
		return wrongUsage("sim --without %s: %v", c.Without, err)
	}
	if c.Profile != "" && !sim.HasProfile(c.Profile) {
		return wrongUsage("sim --profile %s: there are %s", c.Profile, strings.Join(sim.Profiles(), ", "))
	}
	first, seeds, err := c.seeds()
	if err != nil {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	begun := time.Now()
	outcome, failed, err := c.worlds(ctx, output, begun, sim.Config{Seed: first, Profile: c.Profile, Without: without}, seeds)
	if err != nil {
		return err
	}
	outcome.SeedsPerMinute = float64(outcome.Seeds) / time.Since(begun).Minutes()
	if failed != nil {
		outcome.Failed, outcome.Seed = true, failed.Seed
		outcome.Invariant, outcome.Text = failed.Failure.Invariant, failed.Failure.Error()
	}
	switch {
	case failed == nil, c.KeepGoing:
	case c.Shrink:
		config := sim.Shrink(ctx, sim.Config{Seed: failed.Seed, Profile: c.Profile, Without: without}, failed)
		config.Story = true
		*failed = sim.Run(ctx, config)
	case c.Story:
		*failed = sim.Run(ctx, sim.Config{Seed: failed.Seed, Profile: c.Profile, Without: without, Story: true})
	}
	if failed != nil && failed.Failure != nil {
		outcome.Command = failed.Failure.Command
	}
	return c.report(output, outcome, failed)
}

// gcPercent lets the heap grow further between two collections than is usual: worlds are small and short, and collecting
// them took a third of the time.
const gcPercent = 400

// seeds says which seeds are run: the first, and how many where no time is given.
func (c *simCommand) seeds() (first, count uint64, err error) {
	first, count = 1, 1000
	if c.From != nil {
		first = *c.From
	}
	if c.Seeds != nil {
		count = *c.Seeds
	}
	switch {
	case c.Seed != nil && (c.Seeds != nil || c.From != nil || c.For != 0):
		return 0, 0, wrongUsage("--seed runs one seed alone: leave --seeds, --from and --for out")
	case c.Seed == nil && c.Without != "":
		return 0, 0, wrongUsage("--without leaves out decisions of one seed: give --seed as well")
	case c.Seeds != nil && c.For != 0:
		return 0, 0, wrongUsage("give --seeds or --for, not both")
	case count == 0 || c.For < 0 || c.Jobs < 0:
		return 0, 0, wrongUsage("--seeds, --for and --jobs must be above 0")
	case c.Seed != nil:
		return *c.Seed, 1, nil
	}
	return first, count, nil
}

// worlds runs so many seeds from that of a world on, or as many as there is time for, several at a time: each world has one
// thread. It stops at the first failure, which is that of the lowest seed, as if they ran one after the other; or with
// --keep-going tells of each.
func (c *simCommand) worlds(ctx context.Context, output *Output, begun time.Time, world sim.Config, seeds uint64) (*simOutcome, *sim.Result, error) {
	var (
		mu      sync.Mutex
		outcome simOutcome
		failed  *sim.Result
		told    = begun
		next    = world.Seed
	)
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		more := c.For > 0 && time.Since(begun) < c.For || c.For == 0 && next-world.Seed < seeds
		if ctx.Err() != nil || !more || failed != nil && !c.KeepGoing {
			return 0, false
		}
		next++
		return next - 1, true
	}
	ran := func(result *sim.Result) {
		mu.Lock()
		defer mu.Unlock()
		outcome.Seeds++
		outcome.Counts.Add(&result.Counts)
		if result.Failure != nil {
			outcome.Failures++
			if failed == nil || result.Seed < failed.Seed {
				failed = result
			}
			if c.KeepGoing && !c.JSON {
				fmt.Fprintf(output.Out, "seed %d, profile %s: %s\n", result.Seed, result.Profile, result.Failure.Error())
			}
		}
		if !c.Quiet && !c.JSON && time.Since(told) > 5*time.Second {
			told = time.Now()
			fmt.Fprintf(output.Err, "%d seeds, %.0f a minute\n", outcome.Seeds, float64(outcome.Seeds)/time.Since(begun).Minutes())
		}
	}
	if c.Jobs <= 0 {
		c.Jobs = runtime.GOMAXPROCS(0)
	}
	var group errgroup.Group
	for range c.Jobs {
		group.Go(func() error {
			for seed, more := take(); more; seed, more = take() {
				result := sim.Run(ctx, sim.Config{Seed: seed, Profile: world.Profile, Without: world.Without})
				ran(&result)
			}
			return nil
		})
	}
	err := group.Wait()
	return &outcome, failed, err
}

// report prints what has come out.
func (c *simCommand) report(output *Output, outcome *simOutcome, failed *sim.Result) error {
	if c.JSON {
		line, err := json.Marshal(outcome)
		if err != nil {
			return err
		}
		fmt.Fprintln(output.Out, string(line))
	} else {
		n := &outcome.Counts
		fmt.Fprintf(output.Out, "%d seeds, %.0f a minute; %s of virtual time\n", outcome.Seeds, outcome.SeedsPerMinute, (time.Duration(n.VirtualMs) * time.Millisecond).Round(time.Second))
		fmt.Fprintf(output.Out, "%d actions, %d calls, %d messages acknowledged, %d commits, %d connections, %d frames up, %d down\n",
			n.Actions, n.Calls, n.Messages, n.Commits, n.Connections, n.FramesUp, n.FramesDown)
		fmt.Fprintf(output.Out, "%d crashes of the server, %d stops, %d restores, %d deaths of devices; faults: %s\n",
			n.Crashes, n.Stops, n.Restores, n.DeviceCrashes, n.FaultsText())
	}
	if failed == nil {
		return nil
	}
	if c.KeepGoing {
		return fmt.Errorf("%d of %d seeds break a promise", outcome.Failures, outcome.Seeds)
	}
	if f := failed.Failure; f != nil && !c.JSON {
		fmt.Fprintf(output.Out, "\n%s\n\nseed %d, profile %s: %d decisions lead to it:\n", f.Error(), failed.Seed, failed.Profile, len(f.History))
		for _, text := range f.History {
			fmt.Fprintln(output.Out, "  "+text)
		}
		if len(f.Story) > 0 {
			fmt.Fprintln(output.Out, "\nWhat has happened to those concerned:")
		}
		for _, text := range f.Story {
			fmt.Fprintln(output.Out, "  "+text)
		}
		fmt.Fprintf(output.Out, "\nIt is repeated by: %s\n", f.Command)
	}
	return fmt.Errorf("seed %d breaks %s", outcome.Seed, outcome.Invariant)
}
