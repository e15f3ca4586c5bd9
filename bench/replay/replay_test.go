// SPDX-License-Identifier: Apache-2.0

// The replay against the real binary: a short one with made-up lines in every test run, and a long one, with IRC logs if
// there are any, by `make replay`.

package replay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"text/tabwriter"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What decides the form of TestReplayUnderFire; `make replay` sets them.
const (
	formVariable = "TIDEMARK_REPLAY"      // "full": the long form
	logsVariable = "TIDEMARK_REPLAY_IRC"  // a directory of IRC logs
	seedVariable = "TIDEMARK_REPLAY_SEED" // repeat this run
)

func TestReplayUnderFire(t *testing.T) {
	full := os.Getenv(formVariable) == "full"
	config := Config{Program: build(t), Dir: t.TempDir(), Seed: seed(t, full)}
	repeat := fmt.Sprintf("%s=%d go test -count=1 -run '^TestReplayUnderFire$' ./bench/replay", seedVariable, config.Seed)
	lines, limit := 1500, 3*time.Minute
	config.Kills = 4
	if full {
		lines, limit, config.Kills, config.Progress = 20_000, 25*time.Minute, 15, os.Stdout
		repeat = fmt.Sprintf("make replay SEED=%d IRC=%s", config.Seed, os.Getenv(logsVariable))
	}
	config.Script = script(t, config.Seed, lines)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	report, err := Run(ctx, config)
	if err != nil {
		t.Fatalf("%v\n\nrepeat with: %s", err, repeat)
	}
	if len(report.Kills) < config.Kills {
		t.Errorf("the server was killed %d times, want %d", len(report.Kills), config.Kills)
	}
	if full {
		print(report, config)
	}
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tidemark")
	command := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "../../cmd/tidemark")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, output)
	}
	return program
}

// seed is the given one; in the long form, where none is given, another each time.
func seed(t *testing.T, full bool) uint64 {
	t.Helper()
	given := os.Getenv(seedVariable)
	switch {
	case given == "" && full:
		return rand.Uint64() >> 32
	case given == "":
		return 1
	}
	seed, err := strconv.ParseUint(given, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	return seed
}

func script(t *testing.T, seed uint64, lines int) Script {
	t.Helper()
	logs := os.Getenv(logsVariable)
	if logs == "" {
		return MadeUp(seed, lines)
	}
	s, err := FromIRC([]string{logs}, lines)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// print shows the report as a table.
func print(report *Report, config Config) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer table.Flush()
	fmt.Fprintln(table, "kill\tafter\tacknowledged\tdown for")
	for i, kill := range report.Kills {
		fmt.Fprintf(table, "%d\t%s\t%d\t%s\n", i+1, kill.At.Round(time.Millisecond), kill.Acknowledged, kill.Down.Round(time.Millisecond))
	}
	fmt.Fprintf(table, "\nlines\t%d in %d conversations, and %d of visitors\n", report.Lines, len(config.Script.Conversations), report.Visits)
	fmt.Fprintf(table, "fire\t%s\n", report.Fire.Round(time.Millisecond))
	fmt.Fprintf(table, "until all devices agreed\t%s\n", report.Quiet.Round(time.Millisecond))
	fmt.Fprintf(table, "tidemark verify\t%s\n", report.Verified)
	fmt.Fprintf(table, "seed\t%d\n", config.Seed)
}

func TestTheSeedDecidesTheScript(t *testing.T) {
	if a, b := MadeUp(7, 100), MadeUp(7, 100); !reflect.DeepEqual(a, b) {
		t.Error("the same seed gives two scripts")
	}
	if a, b := MadeUp(7, 100), MadeUp(8, 100); reflect.DeepEqual(a, b) {
		t.Error("two seeds give the same script")
	}
}

func TestScriptFromLogs(t *testing.T) {
	dir := t.TempDir()
	for day, offset := range []int{0, 1} {
		text := "=== somebody [n=x@host.example]  has joined #chan\n"
		for nick := range 25 { // nick 0 says 1 line, nick 24 says 25
			for line := range nick + 1 {
				text += fmt.Sprintf("[10:%02d] <nick%d> line %d of day %d\n", line, nick, line, day+offset)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("2005-01-%02d.txt", day+1)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := FromIRC([]string{dir}, 400)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Authors) != authorsWanted || s.Authors[0] != "nick24" || len(s.Conversations) != 2 || len(s.Lines) != 400 {
		t.Fatalf("%d authors beginning with %v, conversations %v, %d lines", len(s.Authors), s.Authors[:1], s.Conversations, len(s.Lines))
	}
	if first := s.Lines[0]; s.Authors[first.Author] != "nick5" || first.Text != "line 0 of day 0" || s.Conversations[first.Conversation] != "irc-2005-01-01" {
		t.Errorf("the first line is %+v: the five who say least should be left out", first)
	}
}

// The checks must find what they are for.
func TestChecksFindWhatIsWrong(t *testing.T) {
	good := func() (*run, map[string]*conversationLog) {
		log := &conversationLog{head: 3}
		for i, text := range []string{"one", "two"} {
			log.messages = append(log.messages, message(uint64(i+2), "ann", fmt.Sprintf("id%d", i), text))
		}
		r := &run{sent: map[string][]sent{"ann/first": {
			{conversation: "c", clientID: "id0", text: "one", seq: 2}, {conversation: "c", clientID: "id1", text: "two", seq: 3},
		}}}
		return r, map[string]*conversationLog{"c": log}
	}
	for want, spoil := range map[string]func(*run, *conversationLog){
		"":     func(*run, *conversationLog) {},
		"LOST": func(_ *run, log *conversationLog) { log.messages = log.messages[:1] },
		"DOUBLED": func(_ *run, log *conversationLog) {
			log.messages = append(log.messages, message(4, "ann", "id1", "two"))
		},
		"INVENTED": func(_ *run, log *conversationLog) {
			log.messages = append(log.messages, message(4, "bob", "id1", "two"))
		},
		"CHANGED": func(_ *run, log *conversationLog) { log.messages[1] = message(3, "ann", "id1", "too") },
		"MOVED":   func(r *run, _ *conversationLog) { r.sent["ann/first"][1].seq = 4 },
		"DISORDER": func(r *run, log *conversationLog) {
			lines := r.sent["ann/first"]
			lines[0], lines[1] = lines[1], lines[0]
		},
	} {
		r, truth := good()
		spoil(r, truth["c"])
		err := r.checkLogs(truth)
		if (err == nil) != (want == "") || err != nil && !containsWord(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
