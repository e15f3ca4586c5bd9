// SPDX-License-Identifier: Apache-2.0

// What a run tells at its end, and what it keeps for whoever must find out what went wrong.

package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/tidemark-im/tidemark/sim/invariant"
)

// Report is what happened in a run.
type Report struct {
	Seed          uint64
	Took, Calm    time.Duration // all of it; until all devices agreed once nothing broke any more
	Faults        map[string]int
	Starts        int // of the server
	Verifies      int // times that tidemark verify found nothing wrong
	Verified      string
	Skipped       []string // faults that could not be made here, with why
	Conversations int
	Events        int // in all logs
	Messages      int // of them, messages and edits of users that were not recalled
	Tried         int
	Acknowledged  int
	Refused       int
	Shown         int
	Spoiled       int // texts that were shown other than written, by the device whose network spoils them
	Mended        int // times that such a device corrected its history
	Connections   int64
	Cut           int64
	Flipped       int64 // bytes
}

func (r *run) report() *Report {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.ledger
	report := &Report{
		Seed: r.Seed, Took: time.Since(r.begin), Calm: r.calm, Faults: r.faults, Verified: r.verified, Conversations: r.conversations, Events: r.events,
		Messages: r.messages, Tried: l.Tried, Acknowledged: l.Acked, Refused: l.Refused, Shown: l.Arrived, Spoiled: r.spoiled, Mended: l.Mended,
		Connections: r.counts.Connections.Load(), Cut: r.counts.Cut.Load(), Flipped: r.counts.Flipped.Load() + r.counts.Spoiled.Load(),
	}
	if r.server != nil {
		report.Starts, report.Verifies = r.server.started, r.server.checks
		if r.server.why != "" {
			report.Skipped = append(report.Skipped, "full disk: "+r.server.why)
		}
	}
	if !r.Stepped {
		report.Skipped = append(report.Skipped, "steps of the server's clock: the binary was not built for them")
	}
	return report
}

// Print writes the report as a table.
func (r *Report) Print(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer table.Flush()
	fmt.Fprintln(table, "what broke\thow often")
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(table, "%.100s\t%d\n", kind, r.Faults[kind])
	}
	for _, skipped := range r.Skipped {
		fmt.Fprintf(table, "skipped: %s\t\n", skipped)
	}
	fmt.Fprintf(table, "\nseed\t%d\n", r.Seed)
	fmt.Fprintf(table, "took\t%s, of it %s until all devices agreed in the calm\n", r.Took.Round(time.Second), r.Calm.Round(time.Millisecond))
	fmt.Fprintf(table, "tried, acknowledged, refused\t%d, %d, %d\n", r.Tried, r.Acknowledged, r.Refused)
	fmt.Fprintf(table, "in the logs\t%d events in %d conversations, %d of them with a user's words\n", r.Events, r.Conversations, r.Messages)
	fmt.Fprintf(table, "shown by devices\t%d, of them %d spoiled on the way; histories mended %d times\n", r.Shown, r.Spoiled, r.Mended)
	fmt.Fprintf(table, "connections\t%d, of them %d cut; %d bytes changed\n", r.Connections, r.Cut, r.Flipped)
	fmt.Fprintf(table, "server starts\t%d\n", r.Starts)
	fmt.Fprintf(table, "tidemark verify\t%d times; at the end: %s\n", r.Verifies, r.Verified)
}

// journal keeps everything that happened in a file, a line of JSON each.
type journal struct {
	mu     sync.Mutex
	begin  time.Time
	failed error    // the last that went wrong
	file   *os.File // written line by line: a run that ends badly leaves all of them
}

// entry is a line of it.
type entry struct {
	Ms   int64 // since the run began
	Who  string
	What any
}

func openJournal(path string, begin time.Time) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	return &journal{begin: begin, file: file}, nil
}

func (j *journal) write(who string, what any) {
	line, err := json.Marshal(entry{time.Since(j.begin).Milliseconds(), who, what})
	if err != nil {
		return // only of types that JSON does not know
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		j.failed = err
	}
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.failed, j.file.Close())
}

// explain adds to a failure what is known of it: the last that was told of the conversation or the user, and where
// everything is kept.
func (r *run) explain(failure error) error {
	if failure == nil {
		return nil
	}
	text := &strings.Builder{}
	var v *invariant.Violation
	if errors.As(failure, &v) {
		fmt.Fprintf(text, "\n\nthe last that happened about it:\n%s", r.journal.last(v))
	}
	fmt.Fprintf(text, "\n\nkept in %s: what-happened.jsonl, server.log, the server's data and the devices' files", r.Dir)
	return fmt.Errorf("%w%s", failure, text)
}

// lastLines is how many lines of the journal are shown of what a violation is about.
const lastLines = 25

// last are the last lines that are about a violation.
func (j *journal) last(v *invariant.Violation) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text, err := os.ReadFile(j.file.Name())
	if err != nil {
		return ""
	}
	about := string(v.Conversation)
	if about == "" {
		about = string(v.User)
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"Who":"world"`) || strings.Contains(line, about) {
			found = append(found, fmt.Sprintf("  %.300s", strings.TrimSpace(line)))
		}
	}
	return strings.Join(found[max(0, len(found)-lastLines):], "\n")
}
