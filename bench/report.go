// SPDX-License-Identifier: Apache-2.0

// Rewriting the tables and charts of a document between its markers, so that its figures are always those of one run.

package bench

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tidemark-im/tidemark/internal/document"
)

// The markers between which a document's table stands, and its charts.
const (
	markerBegin = "<!-- bench:begin -->"
	markerEnd   = "<!-- bench:end -->"
	chartsBegin = "<!-- curves:begin -->"
	chartsEnd   = "<!-- curves:end -->"
)

// UpdateDocument replaces what stands between the markers of the document at path by the results; head is a sentence
// above the table that says when and where they were taken.
func UpdateDocument(path, head string, results []Result) error {
	if err := document.Replace(path, markerBegin, markerEnd, head+"\n\n"+markdown(results)); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// UpdateCharts replaces what stands between the markers for charts of the document at path by links to the SVG files, which were drawn
// of these results; head is a sentence above them.
func UpdateCharts(path, head string, files []string) error {
	var b strings.Builder
	b.WriteString(head + "\n\n")
	for _, file := range files {
		link, err := filepath.Rel(filepath.Dir(path), file)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		title := ""
		for _, c := range curves {
			if c.file+".svg" == filepath.Base(file) {
				title = c.title
			}
		}
		fmt.Fprintf(&b, "![%s](%s)\n\n", title, filepath.ToSlash(link))
	}
	if err := document.Replace(path, chartsBegin, chartsEnd, strings.TrimSuffix(b.String(), "\n")); err != nil {
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
