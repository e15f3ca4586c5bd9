// SPDX-License-Identifier: Apache-2.0

// Command mutants shows that the simulator finds faults: it builds one into the code at a time, out of mutants.txt, and
// simulates worlds (package sim) until an invariant fails. It ends with an error if a fault survives, or if the code as it
// is does not pass. The faults are made by the compiler's overlays, into a program of which this is the source too: no
// code that is built otherwise knows of them.
//
//	go run ./sim/mutants [-only name,…] [-from 1] [-seeds 1000] [-workers 2] [-update docs/mutants.md]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	only := flag.String("only", "", "names of faults, separated by commas; empty: all, after the code as it is")
	from := flag.Uint64("from", 1, "the first seed")
	seeds := flag.Uint64("seeds", 1000, "seeds after which a fault counts as one that survives")
	workers := flag.Int("workers", runtime.NumCPU(), "faults looked for at the same time")
	updated := flag.String("update", "", "file whose table is rewritten")
	exploring := flag.Bool("explore", false, "simulate worlds with what is built in, and write what is found as JSON")
	flag.Parse()
	if *exploring {
		return explore(ctx, *from, *seeds, os.Stdout)
	}
	root, err := rootOf(ctx)
	if err != nil {
		return err
	}
	mutants, err := chosen(*only)
	if err != nil {
		return err
	}
	if *only == "" {
		if f, err := hunt(ctx, root, nil, *from, *seeds); err != nil || f.Failed {
			return fmt.Errorf("the code as it is must pass first: seed %d: %s %w", f.Seed, f.Text, err)
		}
	}
	rows := make([]row, len(mutants))
	var group errgroup.Group
	group.SetLimit(*workers)
	for i, m := range mutants {
		group.Go(func() error {
			begin := time.Now()
			f, err := hunt(ctx, root, &m, *from, *seeds)
			rows[i] = row{m, f, err}
			fmt.Printf("%-40s %s (%.0f s)\n", m.name, verdict(rows[i]), time.Since(begin).Seconds())
			return nil
		})
	}
	_ = group.Wait() // none fails
	if *updated != "" {
		if err := update(*updated, rows); err != nil {
			return err
		}
	}
	if left := survivors(rows); len(left) > 0 {
		return fmt.Errorf("%d of %d faults were not found: %s", len(left), len(rows), strings.Join(left, ", "))
	}
	return ctx.Err()
}

// verdict is what is printed of a fault.
func verdict(r row) string {
	switch {
	case r.err != nil:
		return "could not be tried: " + r.err.Error()
	case !r.Failed:
		return fmt.Sprintf("SURVIVED %d seeds", r.Seeds)
	}
	text, _, _ := strings.Cut(r.Text, "\n")
	return fmt.Sprintf("found after %d seeds: %s", r.Seeds, text)
}

// survivors are the names of the faults that were not found.
func survivors(rows []row) (names []string) {
	for _, r := range rows {
		if !r.Failed {
			names = append(names, r.name)
		}
	}
	return names
}

// chosen are the faults of these names.
func chosen(only string) ([]mutant, error) {
	all, err := parse(listed)
	if err != nil || only == "" {
		return all, err
	}
	var some []mutant
	for _, name := range strings.Split(only, ",") {
		i := slices.IndexFunc(all, func(m mutant) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q in mutants.txt", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}

// rootOf is the root of the repository.
func rootOf(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}
