// SPDX-License-Identifier: Apache-2.0

// The tables, for terminals and for the document.

package schemes

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/tidemark-im/tidemark/internal/document"
)

// The markers between which the document's tables stand.
const (
	markerBegin = "<!-- schemes:begin -->"
	markerEnd   = "<!-- schemes:end -->"
)

var costTitles = []string{
	"members", "design", "rows to store", "bytes to store", "fsyncs to store", "rows to acknowledge", "bytes to acknowledge",
	"fsyncs to acknowledge", "rows read a pull", "messages a pull", "disk KiB, many absent", "disk KiB, all came", "lost", "again", "out of order",
}

func (c *Cost) cells() []string {
	return []string{
		grouped(c.Members), c.Design, decimal(c.SendRows), decimal(c.SendBytes), decimal(c.SendSyncs), decimal(c.AckRows),
		decimal(c.AckBytes), decimal(c.AckSyncs), decimal(c.PullRows), decimal(c.PullMessages), kib(c.DiskBefore),
		kib(c.DiskAfter), grouped(c.Lost), grouped(c.Again), grouped(c.OutOfOrder),
	}
}

// costRows are the cells of the first table.
func (r *Report) costRows() [][]string {
	rows := [][]string{costTitles}
	for i := range r.Costs {
		rows = append(rows, r.Costs[i].cells())
	}
	return rows
}

// faultRows are the cells of the other two tables: what happened down, designs across.
func faultRows(title string, crashes []Crash) [][]string {
	titles := []string{title}
	for design := range designEnd {
		titles = append(titles, design.String())
	}
	rows := [][]string{titles}
	for i := 0; i < len(crashes); i += int(designEnd) {
		row := []string{crashes[i].Moment}
		for _, c := range crashes[i : i+int(designEnd)] {
			row = append(row, c.text())
		}
		rows = append(rows, row)
	}
	return rows
}

// tables are all three.
func (r *Report) tables() [3][][]string {
	return [3][][]string{r.costRows(), faultRows("a connection", r.Drops), faultRows("a crash when", r.Crashes)}
}

// text is a cell of the other two tables.
func (c *Crash) text() string {
	if !c.Reached {
		return "does not occur"
	}
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{c.Lost, "lost"}, {c.Again, "again"}, {c.OutOfOrder, "out of order"}} {
		if part.n > 0 {
			parts = append(parts, grouped(part.n)+" "+part.what)
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// WriteTable writes the tables for people.
func (r *Report) WriteTable(w io.Writer) error {
	for _, rows := range r.tables() {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range rows {
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
		fmt.Fprintln(table)
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes the report as one line of JSON.
func (r *Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// markdown is the tables for the document.
func (r *Report) markdown() string {
	var b strings.Builder
	c := r.Config
	fmt.Fprintf(&b, "Groups with %d %% online, %d messages of %d bytes of text, acknowledged after every %d, rows for members in "+
		"batches of %d; seed %d.\n\n", c.OnlinePercent, c.Messages, c.Payload, c.AckEvery, c.FanoutRows, c.Seed)
	tables := r.tables()
	markdownTable(&b, tables[0])
	fmt.Fprintf(&b, "\nOne connection at the wrong time, in a group of %s, in the middle of %d messages:\n\n", grouped(c.CrashMembers), c.CrashMessages)
	markdownTable(&b, tables[1])
	fmt.Fprintf(&b, "\nOne crash, in the same group:\n\n")
	markdownTable(&b, tables[2])
	return b.String()
}

func markdownTable(b *strings.Builder, rows [][]string) {
	for i, row := range rows {
		b.WriteString(markdownRow(row))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
}

func markdownRow(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// UpdateDocument replaces what stands between the markers of the document at path by the report's tables.
func (r *Report) UpdateDocument(path string) error {
	if err := document.Replace(path, markerBegin, markerEnd, r.markdown()); err != nil {
		return fmt.Errorf("schemes: %w", err)
	}
	return nil
}

// decimal shows one place behind the point where it says something.
func decimal(f float64) string {
	if f < 100 && f != float64(int(f)) {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return grouped(int(f + 0.5))
}

// kib shows bytes as KiB. Where Pebble divides its tables differs a little from run to run, so more would not be true.
func kib(bytes int) string { return decimal(float64((bytes + 512) >> 10)) }

// grouped puts a comma between groups of three digits.
func grouped(n int) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
