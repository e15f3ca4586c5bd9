// SPDX-License-Identifier: Apache-2.0

// tidemark import irc into the directory of a stopped server, again and again.

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/irc"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// importLogs writes two small logs over three days and returns their directory.
func importLogs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"2004-12-05.txt": "[23:10] <ann> is the tide in?\n[23:59] <bob> not before six\n=== ann is now known as ann_\n" +
			"[00:01] <ann_> good night\n[00:02]  * bob watches\n=== bob [~bob@host.example]  has left #harbour [\"\"]\nwhat is this\n",
		"2004-12-07.txt": "=== bob [~bob@host.example]  has joined #harbour\n[09:00] <ann> still no tide\n[09:30] <bob> it comes\n[17:45] <ann> it came\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// command runs the command line in this process.
func command(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), args, &Output{Out: &stdout, Err: &stderr})
	return status, stdout.String(), stderr.String()
}

func TestImportIntoADirectoryTwice(t *testing.T) {
	logs, data := importLogs(t), filepath.Join(t.TempDir(), "data")
	odd := filepath.Join(t.TempDir(), "odd")
	status, out, errOut := command(t, "import", "irc", "--data", data, "-c", "#harbour", "--odd", odd, logs)
	if status != exitDone || errOut != "" {
		t.Fatalf("status %d: %s%s", status, out, errOut)
	}
	for _, want := range []string{"11 of 11 lines from 2 files", "appended 12, already there 0", "messages     6", "actions      1",
		"joins        1", "leaves       1", "nick changes 1", "odd lines    1", "users        2; 2 joins", `2004-12-05.txt:7: "what is this"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the summary lacks %q:\n%s", want, out)
		}
	}
	if text, err := os.ReadFile(odd); err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("--odd has %q, err %v", text, err)
	}
	var head tidemark.Seq
	look(t, data, "#harbour", func(d *directoryTarget, c record.Conversation) {
		h, err := d.set.Of("#harbour").Head(c)
		if err != nil {
			t.Fatal(err)
		}
		head = h.Seq
		if profile, err := d.set.OfUser("ann").Profile("ann"); err != nil || profile == nil || profile.Nickname != "ann" {
			t.Errorf("profile %+v, err %v", profile, err)
		}
	})
	if head != 13 { // the 12 entries and the making of the group
		t.Errorf("head %d", head)
	}
	status, out, _ = command(t, "import", "irc", "--data", data, "-c", "#harbour", logs)
	if status != exitDone || !strings.Contains(out, "appended 0, already there 12") {
		t.Errorf("again: status %d\n%s", status, out)
	}
	look(t, data, "#harbour", func(d *directoryTarget, c record.Conversation) {
		if h, err := d.set.Of("#harbour").Head(c); err != nil || h.Seq != head {
			t.Errorf("head %d after importing again, err %v", h.Seq, err)
		}
		checkHours(t, d, c, logs)
		checkDays(t, d, logs)
	})
}

// look opens a data directory and lets check look into it.
func look(t *testing.T, data string, id tidemark.ConversationID, check func(*directoryTarget, record.Conversation)) {
	t.Helper()
	err := withDirectory(t.Context(), data, func(d *directoryTarget) error {
		info, err := d.set.Of(id).Info(id)
		if err != nil {
			return err
		}
		d.conversation = id
		check(d, info.Ordinal)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkHours compares the hour index with one counted from the files: an entry is one event, and the group's own first
// event has the time of the first line.
func checkHours(t *testing.T, d *directoryTarget, c record.Conversation, paths ...string) {
	t.Helper()
	want, first := map[uint32]uint32{}, uint32(0)
	eachEntry(t, paths, func(timeMs uint64) {
		hour := uint32(timeMs / 3_600_000)
		if first == 0 {
			first = hour
			want[hour]++
		}
		want[hour]++
	})
	rows, err := d.set.Of(d.conversation).Hours(c, 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(want) {
		t.Errorf("%d hours in the index, %d in the files", len(rows), len(want))
	}
	next := tidemark.Seq(1)
	for _, row := range rows {
		if row.Count != want[row.Hour] || row.First != next {
			t.Errorf("hour %s: %d events from %d, in the files %d from %d", time.Unix(int64(row.Hour)*3600, 0).UTC(), row.Count, row.First, want[row.Hour], next)
		}
		next += tidemark.Seq(row.Count)
	}
}

// eachEntry calls fn with the time of every entry that the logs make.
func eachEntry(t *testing.T, paths []string, fn func(timeMs uint64)) {
	t.Helper()
	logs, err := irc.Open(paths)
	if err != nil {
		t.Fatal(err)
	}
	plan := irc.NewPlan(irc.Naming{})
	for _, log := range logs {
		lines, err := log.Read()
		if err != nil {
			t.Fatal(err)
		}
		plan.Begin(log)
		for _, line := range lines {
			for _, entry := range plan.Add(line, nil) {
				fn(entry.TimeMs)
			}
		}
	}
}

// checkDays fetches at the midnight of every log's date: the first event there is of that day, or of the first one after
// that has any.
func checkDays(t *testing.T, d *directoryTarget, paths ...string) {
	t.Helper()
	logs, err := irc.Open(paths)
	if err != nil {
		t.Fatal(err)
	}
	var times []uint64
	eachEntry(t, paths, func(timeMs uint64) { times = append(times, timeMs) })
	for _, log := range logs {
		at, want := uint64(log.Date.UnixMilli()), uint64(0)
		for _, timeMs := range times {
			if timeMs >= at {
				want = timeMs
				break
			}
		}
		page, err := d.set.Fetch("", &wire.Fetch{Conversation: string(d.conversation), From: &wire.Fetch_At{At: at}, Limit: 1})
		if err != nil || len(page.Events) != 1 || page.Events[0].TimeMs != want {
			t.Errorf("fetch at %s: %v, err %v, want an event of %s", log.Name(), page.GetEvents(), err, clock(want))
		}
	}
}

func TestImportIsToldWrongThings(t *testing.T) {
	for want, args := range map[string][]string{
		"--conversation is":        {"-c", "a b", importLogs(t)},
		"no such file":             {"-c", "#a", "nowhere.txt"},
		"must have a date":         {"-c", "#a", filepath.Join("..", "..", "go.mod")},
		"no admin key":             {"-c", "#a", "--url", "http://127.0.0.1:1", "--data", t.TempDir(), importLogs(t)},
		"must be like http":        {"-c", "#a", "--url", "x", "--admin-key", "k", importLogs(t)},
		"at most 16 characters":    {"-c", "#a", "--data", t.TempDir(), "--user-prefix", "a b", importLogs(t)},
		"missing flags":            {importLogs(t)},
		"expected \"<files> ...\"": {"-c", "#a"},
	} {
		status, _, errOut := command(t, append([]string{"import", "irc"}, args...)...)
		if status == exitDone || !strings.Contains(errOut, want) || strings.Contains(errOut, "What was imported") {
			t.Errorf("%v: status %d: %s, want %q, and not that anything was imported", args, status, errOut, want)
		}
	}
}

// Whoever removes the logs after an import that succeeded must not lose what an interrupted one left out.
func TestInterruptedImportDoesNotSucceed(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"import", "irc", "--data", filepath.Join(t.TempDir(), "data"), "-c", "#harbour", importLogs(t)}, &Output{Out: &stdout, Err: &stderr})
	if status != exitInterrupted || !strings.Contains(stderr.String(), "run the same command again") || !strings.Contains(stdout.String(), "appended 0") {
		t.Errorf("status %d: %s%s", status, stdout.String(), stderr.String())
	}
}

// The real logs, where somebody has them: TIDEMARK_IRC_LOGS names their directory.
func TestImportOfRealLogs(t *testing.T) {
	dir := os.Getenv("TIDEMARK_IRC_LOGS")
	if dir == "" {
		t.Skip("TIDEMARK_IRC_LOGS is not set")
	}
	data := filepath.Join(t.TempDir(), "data")
	status, out, errOut := command(t, "import", "irc", "--data", data, "-c", "#ubuntu", dir)
	t.Log(out)
	if status != exitDone || !strings.Contains(out, "220463 of 220463 lines from 153 files") {
		t.Fatalf("status %d: %s", status, errOut)
	}
	look(t, data, "#ubuntu", func(d *directoryTarget, c record.Conversation) {
		checkHours(t, d, c, dir)
		checkDays(t, d, dir)
	})
}
