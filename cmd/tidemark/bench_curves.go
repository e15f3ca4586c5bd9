// SPDX-License-Identifier: Apache-2.0

// tidemark bench curves: charts of what runs have printed.

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/tidemark-im/tidemark/bench"
)

type benchCurvesCommand struct {
	To     string   `type:"path" default:"docs/curves" placeholder:"DIR" help:"Where the SVG files are written (${default})."`
	Note   string   `placeholder:"TEXT" help:"What stands below each chart. Default: the versions of this binary and of Go, and the number of cores."`
	Update string   `type:"path" placeholder:"FILE" help:"Also rewrite the links to the charts in this Markdown file between its markers."`
	Files  []string `arg:"" type:"existingfile" placeholder:"FILE" help:"What runs with --json have printed. Of two results of the same sizes the later one counts."`
}

// Help adds an example to the command's help.
func (benchCurvesCommand) Help() string {
	return `Writes one SVG file for each aim of which there are results: axes, the aim as a dashed line, light and dark, no script.

Example:

  tidemark bench idle --connections 1000,10000,19000 --json > runs.jsonl
  tidemark bench curves runs.jsonl --to docs/curves`
}

// Run draws the charts. It needs no server and no directory.
func (c *benchCurvesCommand) Run(_ context.Context, common *benchCommand, output *Output) error {
	if common.URL != "" || common.Dir != "" || common.JSON {
		return wrongUsage("bench curves: it measures nothing: leave --url, --dir and --json out")
	}
	results, err := readAllResults(c.Files)
	if err != nil {
		return err
	}
	if c.Note == "" {
		c.Note = fmt.Sprintf("tidemark %s, %s, %d cores shared by server and load", buildVersion(), runtime.Version(), runtime.NumCPU())
	}
	files, err := bench.WriteCurves(c.To, c.Note, results)
	for _, file := range files {
		fmt.Fprintln(output.Out, file)
	}
	if err == nil && len(files) == 0 {
		err = errors.New("bench curves: there is no result of which a chart is drawn")
	}
	if err != nil || c.Update == "" {
		return err
	}
	return bench.UpdateCharts(c.Update, "Drawn by `tidemark bench curves`: "+c.Note+".", files)
}

// readAllResults reads what runs with --json have printed.
func readAllResults(names []string) (results []bench.Result, err error) {
	for _, name := range names {
		read, err := readResults(name)
		if err != nil {
			return nil, err
		}
		results = append(results, read...)
	}
	return results, nil
}

func readResults(name string) (results []bench.Result, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if results, err = bench.ReadResults(file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return results, nil
}
