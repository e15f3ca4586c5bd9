// SPDX-License-Identifier: Apache-2.0

// tidemark bench aims: every aim of docs/performance.md, several times, in a given time.

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-im/tidemark/bench"
)

type benchAimsCommand struct {
	Runs   int           `default:"3" help:"How often each is measured: first all once, then all again. 0: not at all, only what --and has."`
	Within time.Duration `default:"15m" help:"It ends in this time: what does not fit any more is left out, and said."`
	Full   bool          `help:"Also fill stores to the sizes of the aims: 10 million messages for P11, 20 million for P13, a million members for P10. That takes ten minutes or more each time."`
	Only   []string      `placeholder:"P1,P7" help:"Only these: P1 to P13, overload, fairness."`
	And    []string      `type:"existingfile" placeholder:"FILE" help:"What runs with --json have printed before: they count, too."`
	IRC    string        `name:"irc" type:"existingdir" placeholder:"DIR" help:"IRC logs for P9 and P12. Default: made up."`
	Strict bool          `help:"Exit with 1 when the median of an aim misses it. A wrong answer always does."`
	Update string        `type:"path" placeholder:"FILE" help:"Also rewrite the tables of this Markdown file between their markers."`
}

// Help tells what the table means.
func (benchAimsCommand) Help() string {
	return "The table tells for each aim the median of all runs, the least and the greatest, and whether the median meets it. Figures are also told " +
		"by the machine's of the same run: rates by the round trips a second of one TCP connection, latencies by one fdatasync."
}

// Run measures every aim until the runs are done or the time is over.
func (c *benchAimsCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if c.Runs < 0 || c.Runs == 0 && len(c.And) == 0 || c.Within <= 0 {
		return wrongUsage("bench aims: runs and within must be above 0; runs may be 0 with --and")
	}
	if err := common.refuseURL("aims"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Within)
	defer cancel()
	f := &forms{ctx: ctx, irc: c.IRC}
	f.aims(c.Full)
	for _, id := range c.Only {
		if !slices.ContainsFunc(f.all, func(form form) bool { return form.row == id }) {
			return wrongUsage("bench aims: there is no %s", id)
		}
	}
	if len(c.Only) > 0 {
		f.all = slices.DeleteFunc(f.all, func(form form) bool { return !slices.Contains(c.Only, form.row) })
	}
	before, err := readAllResults(c.And)
	if err != nil {
		return err
	}
	shown := common.printer(output.Out)
	left, err := c.measure(ctx, common, output, f.all, shown)
	return errors.Join(err, c.tell(common, output, append(before, shown.all...), left))
}

// measure runs all forms, again and again. left tells how many runs there was no time for, by the row's name.
func (c *benchAimsCommand) measure(ctx context.Context, common *benchCommand, output *Output, all []form, shown *printer) (left map[string]int, err error) {
	deadline, _ := ctx.Deadline()
	took, left := make([]time.Duration, len(all)), map[string]int{}
	for run := range c.Runs {
		for i := range all {
			begin, form := time.Now(), &all[i]
			if took[i] > time.Until(deadline) || ctx.Err() != nil {
				left[form.row]++
				continue
			}
			if !common.Quiet {
				fmt.Fprintf(output.Err, "aims: %s, run %d of %d, %s to go\n", form.row, run+1, c.Runs, time.Until(deadline).Round(time.Second))
			}
			results, failed := form.run(ctx, common, output)
			switch {
			case failed != nil && time.Until(deadline) < time.Second: // sockets end with the time, some before the context says so
				left[form.row]++
				continue // what it has found so far is not all
			case failed != nil:
				failed = fmt.Errorf("%s: %w", form.row, failed)
			}
			err = errors.Join(err, shown.add(results, failed))
			took[i] = time.Since(begin)
		}
	}
	return left, err
}

// tell prints the table and rewrites the document.
func (c *benchAimsCommand) tell(common *benchCommand, output *Output, results []bench.Result, left map[string]int) error {
	var unmeasured []string
	for row, n := range left {
		unmeasured = append(unmeasured, fmt.Sprintf("%s (%d)", row, n))
	}
	slices.Sort(unmeasured)
	note := ""
	if len(unmeasured) > 0 {
		note = fmt.Sprintf(" There was no time for these runs: %s.", strings.Join(unmeasured, ", "))
	}
	if !common.JSON {
		if err := bench.WriteAims(output.Out, results); err != nil {
			return err
		}
		fmt.Fprintln(output.Out, note)
	}
	if c.Update != "" {
		taken := fmt.Sprintf("Taken on %s by `tidemark bench aims` with tidemark %s, %s, %d cores shared by server and load.",
			time.Now().UTC().Format(time.DateOnly), buildVersion(), runtime.Version(), runtime.NumCPU())
		err := errors.Join(bench.UpdateAims(c.Update, taken+note, results), bench.UpdateDocument(c.Update, taken, firstOf(results)))
		if err != nil {
			return err
		}
	}
	if missed := bench.MissedByMedian(results); c.Strict && len(missed) > 0 {
		return fmt.Errorf("bench aims: missed:\n  %s", strings.Join(missed, "\n  "))
	}
	return nil
}

// firstOf are the results of the first run of each.
func firstOf(results []bench.Result) []bench.Result {
	var first []bench.Result
	for _, r := range results {
		if !slices.ContainsFunc(first, func(f bench.Result) bool { return f.Name == r.Name && f.What == r.What }) {
			first = append(first, r)
		}
	}
	return first
}

// aims are the runs in which every aim shows, those that say most first. Where it is not full, stores are filled less.
func (f *forms) aims(full bool) {
	const d = 5 * time.Second
	row := func(id string) *forms { f.row = id; return f }
	row("P1").send(bench.SendConfig{Connections: 64, Window: 32, Duration: d})
	row("P2").send(bench.SendConfig{Connections: 256, Window: 1, Duration: d}, bench.SendConfig{Connections: 1, Window: 1, Duration: d})
	row("P3").fanout(bench.FanoutConfig{Members: 1000, Senders: 1, Window: 1, Duration: d}, bench.FanoutConfig{Members: 1000, Senders: 8, Window: 32, Duration: d})
	row("P4").room(bench.RoomConfig{Receivers: 10_000, Rate: 10, Duration: d}, bench.RoomConfig{Receivers: 10_000, SlowPercent: 1, LowPercent: 50, Duration: d})
	row("P5").idle(0, 10_000, 19_000) // memory is given back some seconds after connecting
	row("P6").sync(100, 1000, 5000, 10_000)
	row("P7").storm(10_000)
	row("P8").history(d, 1_000_000)
	row("P9").disk(100_000)
	row("P12").imports(200_000)
	row("overload").overload(bench.OverloadConfig{Duration: d})
	row("fairness").fairness(bench.FairnessConfig{Duration: d})
	if full {
		row("P10").members(d, 10, 1000, 100_000, 1_000_000)
		row("P11").start(10_000_000)
		row("P13").grow(bench.GrowConfig{Points: 2, Duration: d})
		return
	}
	row("P10").members(d, 10, 1000, 10_000)
	row("P11").start(1_000_000)
	row("P13").grow(bench.GrowConfig{From: 500_000, To: 2_000_000, Points: 2, Conversations: 2000, Duration: d})
}
