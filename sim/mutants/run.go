// SPDX-License-Identifier: Apache-2.0

// Running the simulator with a fault built in, until it finds something or has looked long enough.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tidemark-im/tidemark/sim"
)

// worldMax is the time that one world may take, however slow the machine: some faults make the server turn in circles.
const worldMax = 2 * time.Minute

// found is what the simulator has to say of a fault.
type found struct {
	Seeds     uint64 // that were run
	Failed    bool
	Seed      uint64 // at which it failed
	Invariant string // that failed; "panic" where the code itself has seen that something is wrong
	Text      string
}

// hunt builds this program with a fault (nil: as it is) and lets it explore.
func hunt(ctx context.Context, root string, m *mutant, from, seeds uint64) (found, error) {
	dir, err := os.MkdirTemp("", "tidemark-mutant-")
	if err != nil {
		return found{}, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "mutants")
	args := []string{"build", "-o", binary}
	if m != nil {
		overlay, err := m.overlay(root, dir)
		if err != nil {
			return found{}, err
		}
		args = append(args, "-overlay", overlay)
	}
	build := exec.CommandContext(ctx, "go", append(args, "./sim/mutants")...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return found{}, fmt.Errorf("the fault does not compile: %w\n%s", err, out)
	}
	run := exec.CommandContext(ctx, binary, "-explore", "-from", strconv.FormatUint(from, 10), "-seeds", strconv.FormatUint(seeds, 10))
	var out, errs bytes.Buffer
	run.Dir, run.Stdout, run.Stderr = dir, &out, &errs
	err = run.Run()
	var f found
	if jsonErr := json.Unmarshal(out.Bytes(), &f); err != nil || jsonErr != nil {
		return found{}, fmt.Errorf("the simulator did not end well: %w\n%s", errors.Join(err, jsonErr), last(errs.String(), 4096))
	}
	return f, nil
}

// explore simulates worlds until one fails, and writes what was found.
func explore(ctx context.Context, from, seeds uint64, to io.Writer) error {
	var f found
	for ; f.Seeds < seeds && !f.Failed && ctx.Err() == nil; f.Seeds++ {
		seed := from + f.Seeds
		late := time.AfterFunc(worldMax, func() {
			_ = json.NewEncoder(to).Encode(found{f.Seeds + 1, true, seed, "time", "the world does not end"})
			os.Exit(0)
		})
		result := sim.Run(ctx, sim.Config{Seed: seed})
		late.Stop()
		if failure := result.Failure; failure != nil {
			f = found{f.Seeds, true, seed, failure.Invariant, failure.Error()}
		}
	}
	return errors.Join(ctx.Err(), json.NewEncoder(to).Encode(f))
}

// last is the end of a text.
func last(text string, bytes int) string { return text[max(0, len(text)-bytes):] }
