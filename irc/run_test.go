// SPDX-License-Identifier: Apache-2.0

// Imports as a whole: twice, interrupted, and into a target that fails.

package irc

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// memory is a target that keeps what it is given.
type memory struct {
	users   map[tidemark.UserID]string
	entries []*wire.ImportEntry
	ids     map[string]bool
	calls   int
	sinceMs uint64
	before  func(call int) error // before each call of Import
}

func newMemory() *memory {
	return &memory{users: map[tidemark.UserID]string{}, ids: map[string]bool{}}
}

func (m *memory) Users(_ context.Context, users []User) error {
	for _, user := range users {
		m.users[user.ID] = user.Nickname
	}
	return nil
}

func (m *memory) Conversation(_ context.Context, sinceMs uint64) (uint64, error) {
	m.sinceMs = sinceMs
	if len(m.entries) == 0 {
		return 0, nil
	}
	return m.entries[len(m.entries)-1].TimeMs, nil
}

func (m *memory) Import(ctx context.Context, entries []*wire.ImportEntry) (appended, skipped uint64, err error) {
	m.calls++
	if m.before != nil {
		if err := m.before(m.calls); err != nil {
			return 0, 0, err
		}
	}
	if ctx.Err() != nil {
		return 0, 0, ctx.Err()
	}
	for _, e := range entries {
		if _, known := m.users[tidemark.UserID(e.User)]; !known {
			return appended, skipped, tidemark.Refuse(tidemark.UnknownUser, "%s", e.User)
		}
		if m.ids[e.ClientId] {
			skipped++
			continue
		}
		m.ids[e.ClientId] = true
		m.entries = append(m.entries, e)
		appended++
	}
	return appended, skipped, nil
}

func TestRunAndRunAgain(t *testing.T) {
	logs, target := testLogs(t), newMemory()
	var odd []OddLine
	first, err := Run(t.Context(), logs, target, RunConfig{BatchEntries: 3, Odd: func(o OddLine) { odd = append(odd, o) }})
	if err != nil {
		t.Fatal(err)
	}
	if first.Appended != uint64(len(target.entries)) || first.Appended != first.Entries || first.Skipped != 0 || first.Interrupted || first.Raised != 0 {
		t.Errorf("first run: %+v with %d stored", first, len(target.entries))
	}
	if first.Lines.Total() != first.LinesTotal || first.Lines[Odd] != len(odd) || len(odd) == 0 || odd[0].Number != 17 {
		t.Errorf("lines %v of %d, odd %v", first.Lines, first.LinesTotal, odd)
	}
	if target.users["ann"] != "ann" || target.users["bob"] != "system" || target.users["cur+5Br+5Dent"] != "cur[r]ent" {
		t.Errorf("users %v", target.users)
	}
	for i, e := range target.entries {
		if !validEntry(e) || i > 0 && e.TimeMs < target.entries[i-1].TimeMs {
			t.Errorf("entry %d: %v", i, e)
		}
	}
	if target.sinceMs != target.entries[0].TimeMs {
		t.Errorf("the group is made as of %d, and the first line is of %d", target.sinceMs, target.entries[0].TimeMs)
	}
	stored := slices.Clone(target.entries)
	again, err := Run(t.Context(), logs, target, RunConfig{})
	if err != nil || again.Appended != 0 || again.Skipped != first.Entries || !slices.Equal(stored, target.entries) {
		t.Errorf("second run: %+v, err %v", again, err)
	}
}

func TestInterruptedRunGoesOn(t *testing.T) {
	logs, whole := testLogs(t), newMemory()
	if _, err := Run(t.Context(), logs, whole, RunConfig{}); err != nil {
		t.Fatal(err)
	}
	for stopAt := 1; stopAt <= whole.calls+8; stopAt++ {
		target := newMemory()
		ctx, cancel := context.WithCancel(t.Context())
		target.before = func(call int) error {
			if call == stopAt {
				cancel()
			}
			return nil
		}
		summary, err := Run(ctx, logs, target, RunConfig{BatchEntries: 4})
		cancel()
		if err != nil || summary.Interrupted != (target.calls == stopAt) || summary.Appended != uint64(len(target.entries)) {
			t.Fatalf("stopped at %d of %d: %+v, err %v", stopAt, target.calls, summary, err)
		}
		if target.calls > stopAt {
			t.Errorf("stopped at call %d, and there were %d", stopAt, target.calls)
		}
		target.before = nil
		if _, err := Run(t.Context(), logs, target, RunConfig{}); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(target.entries, whole.entries, func(a, b *wire.ImportEntry) bool { return a.ClientId == b.ClientId && a.TimeMs == b.TimeMs }) {
			t.Errorf("stopped at %d and gone on: other entries than in one run", stopAt)
		}
	}
}

func TestRunFailsWithItsTarget(t *testing.T) {
	target, broken := newMemory(), errors.New("the disk is full")
	target.before = func(call int) error {
		if call == 2 {
			return broken
		}
		return nil
	}
	if summary, err := Run(t.Context(), testLogs(t), target, RunConfig{BatchEntries: 4}); !errors.Is(err, broken) || summary.Interrupted {
		t.Errorf("summary %+v, err %v", summary, err)
	}
	if _, err := Run(t.Context(), testLogs(t), newMemory(), RunConfig{Naming: Naming{Prefix: "a b"}}); err == nil {
		t.Error("a prefix that no id can have is taken")
	}
}

func TestOlderLogsAreRaised(t *testing.T) {
	logs, target := testLogs(t), newMemory()
	if _, err := Run(t.Context(), logs[1:], target, RunConfig{}); err != nil {
		t.Fatal(err)
	}
	if summary, err := Run(t.Context(), logs, target, RunConfig{}); err != nil || summary.Raised == 0 {
		t.Errorf("summary %+v, err %v", summary, err)
	}
}

// The real logs, where somebody has them: TIDEMARK_IRC_LOGS names their directory.
func TestRealLogs(t *testing.T) {
	dir := os.Getenv("TIDEMARK_IRC_LOGS")
	if dir == "" {
		t.Skip("TIDEMARK_IRC_LOGS is not set")
	}
	logs, err := Open([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	target := newMemory()
	var odd []OddLine
	summary, err := Run(t.Context(), logs, target, RunConfig{Odd: func(o OddLine) { odd = append(odd, o) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(logs) != 153 || summary.Lines.Total() != 220_463 || summary.LinesTotal != 220_463 || summary.Lines[Odd] != len(odd) {
		t.Errorf("%d logs, %d of %d lines, %d odd", len(logs), summary.Lines.Total(), summary.LinesTotal, len(odd))
	}
	messages := 0
	for i, e := range target.entries {
		if !validEntry(e) || i > 0 && e.TimeMs < target.entries[i-1].TimeMs {
			t.Fatalf("entry %d: %v", i, e)
		}
		if e.GetMessage() != nil {
			messages++
		}
	}
	if want := summary.Lines.Total() - len(odd) - summary.Lines[Join] - summary.Lines[Leave]; messages != want || len(odd) > 10 {
		t.Errorf("%d messages, want %d; %d odd lines", messages, want, len(odd))
	}
	for kind, n := range summary.Lines {
		t.Logf("%d %v", n, Kind(kind))
	}
	t.Logf("%d users, %d joined because they spoke; odd: %v", summary.Users, summary.Joined, odd)
}
