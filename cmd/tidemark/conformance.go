// SPDX-License-Identifier: Apache-2.0

// tidemark conformance: does a server keep PROTOCOL.md?

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/tidemark-im/tidemark/conformance"
)

type conformanceCommand struct {
	URL      string        `arg:"" optional:"" default:"http://127.0.0.1:8080" help:"The server to check (${default})."`
	Data     string        `default:"./tidemark-data" placeholder:"DIR" help:"Its data directory, for the admin key in it (${default})."`
	AdminKey string        `placeholder:"KEY" help:"The admin key. Default: the one in DIR/admin.key."`
	Only     []string      `placeholder:"N,..." help:"Check these statements and sections only, for example 2.4,3."`
	List     bool          `help:"Print the checks and run none."`
	JSON     bool          `name:"json" help:"Print one line of JSON for each check instead of the table."`
	Quiet    bool          `short:"q" help:"Print no progress."`
	Parallel int           `default:"8" placeholder:"N" help:"Checks at once, beside those that wait for time to pass (${default})."`
	Timeout  time.Duration `default:"10s" help:"How long something may take that a server does at once (${default})."`
	Serve    string        `placeholder:"ADDR" help:"Be a hostile server on ADDR, such as 127.0.0.1:8090, for testing client SDKs: see docs/conformance-sdk.md."`
	Drive    bool          `help:"Put the Go SDK through the hostile server at URL."`
	Patience time.Duration `default:"2m" help:"Skip checks that have to wait longer than this (${default})."`
}

// Help adds examples to the command's help.
func (conformanceCommand) Help() string {
	return `Plays the part of devices and of an app's back end, and checks each numbered statement of PROTOCOL.md. It makes users and conversations whose ids begin with "conformance-", and deletes the users at the end. Exit status 1 when a check fails.

Examples:

  tidemark conformance
  tidemark conformance https://chat.example --admin-key "$KEY" --only 2.4,3 --json
  tidemark conformance --list

With --serve it is the other side: a server that misbehaves by scenario, against which client SDKs are tested. --drive puts the Go SDK through all its scenarios, or those of --only.

  tidemark conformance --serve 127.0.0.1:8090
  tidemark conformance --drive http://127.0.0.1:8090`
}

// Run checks the server and prints what came out.
func (c *conformanceCommand) Run(ctx context.Context, output *Output) error {
	switch {
	case c.Serve != "" && c.Drive:
		return wrongUsage("give one of --serve and --drive")
	case c.Serve != "" && (len(c.Only) > 0 || c.List || c.JSON):
		return wrongUsage("--only, --list and --json do not belong to --serve: the list of scenarios is at /hostile/scenarios, the results at /hostile/results")
	case c.Drive && c.List:
		return wrongUsage("--list does not belong to --drive: the list of scenarios is at /hostile/scenarios")
	case c.Serve != "":
		return c.serve(ctx, output)
	case c.Drive:
		return c.drive(ctx, output)
	}
	listed, err := conformance.List(c.Only)
	if err != nil {
		return wrongUsage("--only: %v", err)
	}
	if c.List {
		return c.list(output, listed)
	}
	if c.Parallel < 1 || c.Timeout <= 0 || c.Patience < 0 {
		return wrongUsage("--parallel and --timeout must be above 0, --patience not below")
	}
	flags := serverFlags{URL: c.URL, Data: c.Data, AdminKey: c.AdminKey}
	base, err := flags.base("the URL")
	if err != nil {
		return err
	}
	key, err := flags.key()
	if err != nil {
		return err
	}
	kit, err := conformance.New(ctx, conformance.Config{
		URL: base, AdminKey: key, Only: c.Only, Parallel: c.Parallel, Timeout: c.Timeout, Patience: c.Patience,
	})
	if err != nil {
		return err
	}
	begun, ended := time.Now(), 0
	results := kit.Run(ctx, func(r conformance.Result) {
		if ended++; !c.Quiet {
			fmt.Fprintf(output.Err, "%d/%d  %s %s\n", ended, kit.Count(), r.Statement, r.Outcome)
		}
	})
	write := conformance.WriteTable
	if c.JSON {
		write = conformance.WriteJSON
	}
	if err := write(output.Out, results); err != nil {
		return err
	}
	counts := conformance.Count(results)
	if !c.Quiet {
		fmt.Fprintf(output.Err, "%v, in %v; ids begin with %s\n", counts, time.Since(begun).Round(100*time.Millisecond), kit.Prefix())
	}
	if counts.Failed > 0 {
		return fmt.Errorf("conformance: %d of %d checks failed", counts.Failed, len(results))
	}
	return ctx.Err()
}

// list prints the checks.
func (c *conformanceCommand) list(output *Output, listed []conformance.Listed) error {
	if c.JSON {
		encoder := json.NewEncoder(output.Out)
		for _, l := range listed {
			if err := encoder.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(output.Out, 0, 8, 2, ' ', 0)
	for _, l := range listed {
		fmt.Fprintf(table, "%s\t%s\n", l.Statement, l.What)
	}
	return table.Flush()
}
