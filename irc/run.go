// SPDX-License-Identifier: Apache-2.0

// An import: every log through a plan, in batches, to whoever stores them.

package irc

import (
	"context"
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Target is where an import goes: a running server, or the pieces of one over a stopped server's directory.
// Its methods are called by one goroutine, one at a time.
type Target interface {
	// Users makes sure that the users exist and have these nicknames. It writes nothing where they do.
	Users(ctx context.Context, users []User) error
	// Conversation makes sure that the group exists, if it must be made as of sinceMs, and answers the time of its last
	// event: what is older gets later times, because a log goes forward only.
	Conversation(ctx context.Context, sinceMs uint64) (lastMs uint64, err error)
	// Import appends the entries in their order, durably; those whose client ids are there already are skipped.
	Import(ctx context.Context, entries []*wire.ImportEntry) (appended, skipped uint64, err error)
}

// RunConfig says how to import. The zero value of a field means its default.
type RunConfig struct {
	Naming       Naming
	BatchEntries int            // entries of one call of Import; 0: 4,000
	BatchBytes   int            // texts of one call of Import, bytes; 0: 512 KiB
	Progress     func(Progress) // called after each batch; nil: nobody asks
	Odd          func(OddLine)  // called for each odd line, in order, by one goroutine, not that of Progress; nil: nobody asks
}

// Progress is how far an import has come.
type Progress struct {
	Stage      string // "users" or "lines"
	Lines      int    // done
	LinesTotal int
	Appended   uint64
	Skipped    uint64
}

// OddLine is a line that was not imported.
type OddLine struct {
	Path   string
	Number int // of the line, from 1
	Text   string
}

// String is "file:line: text".
func (o OddLine) String() string { return fmt.Sprintf("%s:%d: %q", o.Path, o.Number, o.Text) }

// Summary is what an import did.
type Summary struct {
	Logs        int
	Lines       Counts // of the lines done
	LinesTotal  int    // of all lines
	Users       int
	Joined      int    // users joined because they did something without having been seen to join
	Entries     uint64 // made of the lines done
	Appended    uint64 // entries stored by this run
	Skipped     uint64 // entries that changed nothing: stored before, or joins of members
	Raised      uint64 // of the appended, at most so many: earlier than what the conversation had, so dated later than their lines say
	FirstMs     uint64 // time of the first line done
	LastMs      uint64
	Interrupted bool // the context was cancelled: a further run goes on from here
}

// batch is what goes to a target in one call, and how far the import has come once it is stored.
type batch struct {
	entries []*wire.ImportEntry
	bytes   int
	counts  Counts
	joined  int
}

// Run imports the logs into target. When ctx is cancelled it finishes the batch it is at and returns without an error,
// with Interrupted set; running it again with the same logs stores what is missing and nothing twice.
// Reading of the next lines overlaps storing of the last.
func Run(ctx context.Context, logs Logs, target Target, config RunConfig) (Summary, error) {
	if config.BatchEntries == 0 {
		config.BatchEntries = 4000
	}
	if config.BatchBytes == 0 {
		config.BatchBytes = 512 << 10
	}
	if prefix := config.Naming.Prefix; prefix != "" && (len(prefix) > 16 || !tidemark.UserID(prefix).Valid()) {
		return Summary{}, fmt.Errorf("irc: the prefix %q must be at most 16 characters of A-Z a-z 0-9 . _ @ : + # -", prefix)
	}
	r := run{config: config, target: target, logs: logs}
	err := r.users(ctx)
	if err == nil && ctx.Err() == nil {
		err = r.lines(ctx)
	}
	r.summary.Interrupted = err == nil && ctx.Err() != nil
	return r.summary, err
}

// run is one import under way. summary is owned by the goroutine of Run.
type run struct {
	config  RunConfig
	target  Target
	logs    Logs
	summary Summary
	sinceMs uint64 // time of the first line
	lastMs  uint64 // time of the conversation's last event before this run
}

// users surveys the logs and creates who appears in them.
func (r *run) users(ctx context.Context) error {
	plan, err := Survey(r.logs, r.config.Naming)
	if err != nil {
		return err
	}
	users := plan.Users()
	r.sinceMs = plan.SinceMs()
	r.summary.Logs, r.summary.Users, r.summary.LinesTotal = len(r.logs), len(users), plan.Counts().Total()
	r.progress("users")
	const atOnce = 1000
	for len(users) > 0 && ctx.Err() == nil {
		n := min(atOnce, len(users))
		if err := r.target.Users(context.WithoutCancel(ctx), users[:n]); err != nil {
			return fmt.Errorf("irc: users: %w", err)
		}
		users = users[n:]
	}
	return nil
}

// Survey reads all logs and returns the plan at its end: who appears, and how many lines of each kind there are.
func Survey(logs Logs, naming Naming) (*Plan, error) {
	plan := NewPlan(naming)
	var entries []*wire.ImportEntry
	for _, log := range logs {
		lines, err := log.Read()
		if err != nil {
			return nil, err
		}
		plan.Begin(log)
		for _, line := range lines {
			entries = plan.Add(line, entries[:0])
		}
	}
	return plan, nil
}

// lines stores the entries, batch by batch, while another goroutine makes the next batch.
func (r *run) lines(ctx context.Context) error {
	lastMs, err := r.target.Conversation(context.WithoutCancel(ctx), r.sinceMs)
	if err != nil {
		return fmt.Errorf("irc: conversation: %w", err)
	}
	r.lastMs = lastMs
	making, stop := context.WithCancel(ctx)
	batches, made := make(chan batch, 2), make(chan error, 1)
	go func() {
		made <- r.make(making, batches)
		close(batches)
	}()
	for b := range batches {
		if ctx.Err() != nil {
			break
		}
		if err = r.store(context.WithoutCancel(ctx), b); err != nil {
			break
		}
	}
	stop()
	for range batches { // the maker ends at the cancelled context
	}
	if makeErr := <-made; err == nil && ctx.Err() == nil {
		err = makeErr
	}
	return err
}

// store imports one batch and takes it into the summary.
func (r *run) store(ctx context.Context, b batch) error {
	s := &r.summary
	if len(b.entries) > 0 {
		appended, skipped, err := r.target.Import(ctx, b.entries)
		if err != nil {
			return fmt.Errorf("irc: import: %w", err)
		}
		s.Appended += appended
		s.Skipped += skipped
		s.Entries += uint64(len(b.entries))
		if s.FirstMs == 0 {
			s.FirstMs = b.entries[0].TimeMs
		}
		s.LastMs = b.entries[len(b.entries)-1].TimeMs
		early := slices.IndexFunc(b.entries, func(e *wire.ImportEntry) bool { return e.TimeMs >= r.lastMs })
		if early < 0 {
			early = len(b.entries)
		}
		s.Raised += min(appended, uint64(early))
	}
	s.Lines, s.Joined = b.counts, b.joined
	r.progress("lines")
	return nil
}

func (r *run) progress(stage string) {
	if r.config.Progress != nil {
		r.config.Progress(Progress{Stage: stage, Lines: r.summary.Lines.Total(), LinesTotal: r.summary.LinesTotal,
			Appended: r.summary.Appended, Skipped: r.summary.Skipped})
	}
}

// make turns the logs into batches until they end or ctx does.
func (r *run) make(ctx context.Context, batches chan<- batch) error {
	plan := NewPlan(r.config.Naming)
	b := batch{}
	send := func() error {
		b.counts, b.joined = plan.Counts(), plan.Joined()
		select {
		case batches <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		b = batch{}
		return nil
	}
	for _, log := range r.logs {
		lines, err := log.Read()
		if err != nil {
			return err
		}
		plan.Begin(log)
		for _, line := range lines {
			if line.Kind == Odd && r.config.Odd != nil {
				r.config.Odd(OddLine{log.Path, line.Number, line.Text})
			}
			b.entries = plan.Add(line, b.entries)
			b.bytes += len(line.Text)
			if len(b.entries) >= r.config.BatchEntries || b.bytes >= r.config.BatchBytes {
				if err := send(); err != nil {
					return err
				}
			}
		}
	}
	return send()
}
