// SPDX-License-Identifier: Apache-2.0

// Rewriting the tables of a document between its markers, so that its figures are always those of one run.

package bench

import (
	"fmt"
	"os"
	"strings"
)

// The markers between which a document's table stands.
const (
	markerBegin = "<!-- bench:begin -->"
	markerEnd   = "<!-- bench:end -->"
)

// UpdateDocument replaces what stands between the markers of the document at path by the results; head is a sentence
// above the table that says when and where they were taken.
func UpdateDocument(path, head string, results []Result) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	before, rest, found := strings.Cut(string(content), markerBegin)
	_, after, closed := strings.Cut(rest, markerEnd)
	if !found || !closed {
		return fmt.Errorf("bench: %s has no lines %s and %s", path, markerBegin, markerEnd)
	}
	updated := before + markerBegin + "\n" + head + "\n\n" + markdown(results) + markerEnd + after
	if err := os.WriteFile(path, []byte(updated), 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// markdown is the table of results, and the machine's figures of each run, which differ from run to run.
func markdown(results []Result) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	var titles, rules []string
	for _, column := range columns {
		titles, rules = append(titles, column.title), append(rules, "---")
	}
	line(append(titles, "fdatasync p50 ms"))
	line(append(rules, "---"))
	for i := range results {
		line(append(row(&results[i]), decimals(results[i].Machine.FdatasyncP50Ms)))
	}
	return b.String()
}
