// SPDX-License-Identifier: Apache-2.0

// The results for people and for programs.

package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Counts are how many checks ended how.
type Counts struct {
	OK, Failed, Skipped int
}

// Count counts results.
func Count(results []Result) Counts {
	var n Counts
	for _, r := range results {
		switch r.Outcome {
		case OK:
			n.OK++
		case Failed:
			n.Failed++
		default:
			n.Skipped++
		}
	}
	return n
}

// String is the counts for people.
func (n Counts) String() string {
	return fmt.Sprintf("%d ok, %d FAILED, %d skipped", n.OK, n.Failed, n.Skipped)
}

// WriteTable prints a line for each check, and below those that failed or were skipped what was expected and seen.
func WriteTable(out io.Writer, results []Result) error {
	var text strings.Builder
	for _, r := range results {
		fmt.Fprintf(&text, "%-6s %-8s %s\n", r.Statement, r.Outcome, r.What)
		switch r.Outcome {
		case Failed:
			fmt.Fprintf(&text, "%15s expected: %s\n%15s seen:     %s\n", "", r.Expected, "", r.Seen)
		case Skipped:
			fmt.Fprintf(&text, "%15s because:  %s\n", "", r.Seen)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// WriteJSON prints each result as one line of JSON.
func WriteJSON(out io.Writer, results []Result) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for _, r := range results {
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
	return nil
}
