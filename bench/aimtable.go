// SPDX-License-Identifier: Apache-2.0

// The table of aims: each with what several runs have measured, and how far they differ.

package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/tidemark-im/tidemark/internal/document"
)

// The markers between which a document's table of aims stands.
const (
	aimsBegin = "<!-- aims:begin -->"
	aimsEnd   = "<!-- aims:end -->"
)

// aimRow is one aim over all runs.
type aimRow struct {
	Verdict // of the first run; its Value, Met and Beside are not used
	values  []float64
	besides []float64
	met     int // runs that met it
}

// rowsOf gathers what results say of each aim, in the order of the aims' numbers.
func rowsOf(results []Result) []*aimRow {
	var rows []*aimRow
	for i := range results {
		for _, v := range results[i].Aims {
			at := slices.IndexFunc(rows, func(r *aimRow) bool { return r.ID == v.ID && r.Work == v.Work && r.Figure == v.Figure })
			if at < 0 {
				at, rows = len(rows), append(rows, &aimRow{Verdict: v})
			}
			row := rows[at]
			row.values = append(row.values, v.Value)
			if v.Beside > 0 {
				row.besides = append(row.besides, v.Beside)
			}
			if v.Met {
				row.met++
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b *aimRow) int { return cmp.Compare(order(a.ID), order(b.ID)) })
	return rows
}

// order is the number of an aim; those without one come last.
func order(id string) int {
	if n, err := strconv.Atoi(strings.TrimPrefix(id, "P")); err == nil {
		return n
	}
	return 1000
}

var aimTitles = []string{"aim", "work", "figure", "wanted", "median", "min – max", "runs", "by the machine", "met"}

func (r *aimRow) cells() []string {
	beside := ""
	if len(r.besides) > 0 {
		beside = decimals(middle(r.besides)) + map[bool]string{true: " × echo", false: " × fdatasync"}[r.AtLeast]
	}
	return []string{
		r.ID, r.Work, r.Figure, r.limit(), number(middle(r.values)), number(slices.Min(r.values)) + " – " + number(slices.Max(r.values)),
		strconv.Itoa(len(r.values)), beside, r.verdict(),
	}
}

// isMet reports whether the median meets the aim.
func (r *aimRow) isMet() bool {
	if r.AtLeast {
		return middle(r.values) >= r.Aim
	}
	return middle(r.values) <= r.Aim
}

// verdict is about the median; where runs disagree with it, it tells how many met the aim.
func (r *aimRow) verdict() string {
	said := map[bool]string{true: "yes", false: "NO"}[r.isMet()]
	if r.met != 0 && r.met != len(r.values) {
		said += fmt.Sprintf(" (%d of %d)", r.met, len(r.values))
	}
	return said
}

// middle is the median; of an even number the mean of the two in the middle.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// number is decimals, with 0 for 0.
func number(v float64) string { return cmp.Or(decimals(v), "0") }

// MissedByMedian are the aims that the medians of all runs miss, for people; empty: none.
func MissedByMedian(results []Result) []string {
	var missed []string
	for _, row := range rowsOf(results) {
		if !row.isMet() {
			missed = append(missed, fmt.Sprintf("%s: %s: %s %s, aim %s", row.ID, row.Work, number(middle(row.values)), row.Figure, row.limit()))
		}
	}
	return missed
}

// WriteAims writes the table of aims for people.
func WriteAims(w io.Writer, results []Result) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(aimTitles, "\t"))
	for _, row := range rowsOf(results) {
		fmt.Fprintln(table, strings.Join(row.cells(), "\t"))
	}
	return table.Flush()
}

// UpdateAims replaces what stands between the markers for aims of the document at path by their table; head is a sentence above it.
func UpdateAims(path, head string, results []Result) error {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(aimTitles)
	line(slices.Repeat([]string{"---"}, len(aimTitles)))
	for _, row := range rowsOf(results) {
		line(row.cells())
	}
	if err := document.Replace(path, aimsBegin, aimsEnd, head+"\n\n"+b.String()); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}
