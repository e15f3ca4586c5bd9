// SPDX-License-Identifier: Apache-2.0

// tidemark conformance --serve and --drive: a hostile server for client SDKs, and our own SDK against it.

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidemark-im/tidemark/conformance/hostile"
	"github.com/tidemark-im/tidemark/conformance/hostile/drive"
)

// serve is a hostile server until it is interrupted.
func (c *conformanceCommand) serve(ctx context.Context, output *Output) error {
	s, err := hostile.New(ctx, c.Serve)
	if err != nil {
		return err
	}
	fmt.Fprintf(output.Out, "a hostile server for testing SDKs, with %d scenarios: %s/hostile/scenarios\n", len(hostile.Scenarios()), s.URL())
	return s.Run(ctx)
}

// drive puts the Go SDK through the scenarios of a hostile server.
func (c *conformanceCommand) drive(ctx context.Context, output *Output) error {
	base, err := (&serverFlags{URL: c.URL}).base("the URL")
	if err != nil {
		return err
	}
	ended := 0
	results, err := drive.Run(ctx, drive.Config{URL: base, Only: c.Only, Parallel: c.Parallel, Result: func(r hostile.Result) {
		if ended++; !c.Quiet {
			fmt.Fprintf(output.Err, "%d  %s %s\n", ended, r.Scenario, r.Verdict)
		}
	}})
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(output.Out)
		for _, r := range results {
			if err := encoder.Encode(r); err != nil {
				return err
			}
		}
	} else {
		hostile.WriteTable(output.Out, results)
	}
	failed := 0
	for _, r := range results {
		if r.Verdict != hostile.Passed {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("conformance: %d of %d scenarios failed", failed, len(results))
	}
	return nil
}
