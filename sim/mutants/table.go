// SPDX-License-Identifier: Apache-2.0

// docs/mutants.md: the table of what was found how fast.

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-im/tidemark/internal/document"
)

// The table stands between these lines; what is around it stays.
const (
	tableBegin = "<!-- table: written by make mutants -->"
	tableEnd   = "<!-- end of the table -->"
)

// row is a fault and what became of it.
type row struct {
	mutant
	found
	err error
}

// table is the Markdown of the rows.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| fault | what is wrong | found by | seeds needed |\n|---|---|---|---|\n")
	for _, r := range rows {
		by, seeds := r.Invariant, fmt.Sprint(r.Seeds)
		if !r.Failed {
			by, seeds = "**nothing**", "more than "+seeds
		}
		files := []string{}
		for _, e := range r.edits {
			if !slices.Contains(files, e.file) {
				files = append(files, e.file)
			}
		}
		fmt.Fprintf(&b, "| `%s` (%s) | %s | %s | %s |\n", r.name, strings.Join(files, ", "), r.fault, by, seeds)
	}
	return b.String()
}

// update puts the table into a file.
func update(path string, rows []row) error {
	return document.Replace(path, tableBegin, tableEnd, "\n"+table(rows)+"\n")
}
