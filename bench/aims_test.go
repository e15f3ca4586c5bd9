// SPDX-License-Identifier: Apache-2.0

// Results are held to the aims: what is missed is told, in the table, in JSON and as an error.

package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestResultsAreHeldToTheAims(t *testing.T) {
	none, some := uint64(0), uint64(3)
	machine := Machine{FdatasyncP50Ms: 0.2, EchoPerSecond: 40_000}
	for name, c := range map[string]struct {
		result Result
		met    []bool
	}{
		"P1 at its sizes":         {Result{Name: "send", Connections: 64, Window: 32, PerSecond: 60_000, P99Ms: 101, ServerCPUUsPerOp: 20}, []bool{true, false, true}},
		"other sizes":             {Result{Name: "send", Connections: 64, Window: 16, PerSecond: 1}, nil},
		"at a fixed rate":         {Result{Name: "send", Connections: 64, Window: 32, RateSet: 10, PerSecond: 10}, nil},
		"one at a time":           {Result{Name: "send", Connections: 1, Window: 1, P50Ms: 0.5}, []bool{false}}, // 2.5 fdatasyncs
		"a small storm":           {Result{Name: "storm", Devices: 2000, MaxMs: 9000}, nil},
		"a storm":                 {Result{Name: "storm", Devices: 10_000, Connections: 10_000, MaxMs: 4900}, []bool{true}},
		"those beside it":         {Result{Name: "storm", Devices: 10_000, RateSet: 500, P99Ms: 501}, []bool{false}},
		"sync, a size":            {Result{Name: "sync", Changed: 10, Conversations: 100, ServerCPUUsPerOp: 301, ReceivedBytesPerOp: 4096, BlocksRead: &none}, []bool{false, true, true}},
		"sync, that reads":        {Result{Name: "sync", Changed: 10, Conversations: 5000, ServerCPUUsPerOp: 301, ReceivedBytesPerOp: 4097, BlocksRead: &some}, []bool{true, false, false}},
		"sync, no size of ours":   {Result{Name: "sync", Changed: 10, Conversations: 101}, nil},
		"growth, the first":       {Result{Name: "grow", Kept: 1}, nil},
		"growth":                  {Result{Name: "grow", Kept: 0.79, Events: 1_999_990}, []bool{false}},
		"a start, exactly so":     {Result{Name: "start", MaxMs: 3000, ServerRSSBytes: 300_000_000}, []bool{true, true}},
		"a room that gets behind": {Result{Name: "room", Members: 10_000, PerSecond: 60_000, RSSBefore: 100, RSSBehind: 126}, []bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			c.result.Machine, c.result.Checked = machine, true
			results := []Result{c.result}
			Judge(nil, results)
			var met []bool
			missed := 0
			for _, v := range results[0].Aims {
				met = append(met, v.Met)
				if !v.Met {
					missed++
				}
			}
			if got, want := mustJSON(t, met), mustJSON(t, c.met); got != want {
				t.Errorf("met: %s, want %s: %+v", got, want, results[0].Aims)
			}
			if err := Missed(results); (err != nil) != (missed > 0) || err != nil && strings.Count(err.Error(), "\n") != missed {
				t.Errorf("%d are missed, and the error is %v", missed, err)
			}
		})
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// TestWhatWasNotCheckedMeetsNothing: a benchmark that failed half way has figures of 0, which would be under every limit.
func TestWhatWasNotCheckedMeetsNothing(t *testing.T) {
	results := []Result{{Name: "history"}, {Name: "overload", Aims: []Verdict{{ID: "overload", Met: true}}}}
	if Judge(nil, results); len(rowsOf(results)) != 0 {
		t.Errorf("judged: %+v", results)
	}
}

// TestGroupsAreComparedWithTheFirst: what is written for a message must not follow from the number of members.
func TestGroupsAreComparedWithTheFirst(t *testing.T) {
	first := []Result{{Name: "members", Members: 10, WrittenBytesPerOp: 400, Checked: true}}
	Judge(nil, first)
	later := []Result{{Name: "members", Members: 1000, WrittenBytesPerOp: 403, Checked: true}, {Name: "members", Members: 100_000, WrittenBytesPerOp: 395, Checked: true}}
	Judge(first, later)
	if len(first[0].Aims) != 1 || len(later[0].Aims) != 2 || !later[0].Aims[1].Met || later[1].Aims[1].Met {
		t.Errorf("%+v, then %+v", first[0].Aims, later)
	}
}

func TestTableOfAims(t *testing.T) {
	machine := Machine{FdatasyncP50Ms: 0.1, EchoPerSecond: 10_000}
	var results []Result
	for _, rate := range []float64{21_000, 19_000, 23_000} {
		results = append(results, Result{Name: "send", What: "256 × 1", Connections: 256, Window: 1, PerSecond: rate, P50Ms: 13, Machine: machine, Checked: true})
	}
	results = append(results, Result{Name: "fairness", Checked: true, Aims: []Verdict{{ID: "fairness", Work: "beside", Figure: "p99 ms", Value: 0, Aim: 50, Met: true}}})
	results = append(results, Result{Name: "send", What: "64 × 32", Connections: 64, Window: 32, PerSecond: 49_999, P99Ms: 1, ServerCPUUsPerOp: 1, Machine: machine, Checked: true})
	Judge(nil, results)
	path := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(path, []byte("before\n"+aimsBegin+"\nold\n"+aimsEnd+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := UpdateAims(path, "Taken now.", results); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(written)
	last := -1
	for _, row := range []string{
		"before\n" + aimsBegin + "\nTaken now.\n\n| aim | work |",
		"| P1 | send: 64 × 32 | messages/s | ≥ 50,000 | 49,999 | 49,999 – 49,999 | 1 | 5.00 × echo | NO |",
		"| P2 | send: 256 × 1 | messages/s | ≥ 20,000 | 21,000 | 19,000 – 23,000 | 3 | 2.10 × echo | yes (2 of 3) |",
		"| P2 | send: 256 × 1 | p50 ms | ≤ 12.0 | 13.0 | 13.0 – 13.0 | 3 | 130 × fdatasync | NO |",
		"| fairness | beside | p99 ms | ≤ 50.0 | 0 | 0 – 0 | 1 |  | yes |",
		aimsEnd + "\nafter\n",
	} {
		at := strings.Index(text, row)
		if at <= last {
			t.Errorf("%q is missing or out of order in\n%s", row, text)
		}
		last = at
	}
	var shown bytes.Buffer
	if err := WriteAims(&shown, results); err != nil || strings.Count(shown.String(), "\n") != 1+6 {
		t.Errorf("%v, shown:\n%s", err, shown.String())
	}
	if missed := MissedByMedian(results); len(missed) != 2 || !strings.HasPrefix(missed[0], "P1: send: 64 × 32: 49,999 messages/s, aim ≥ 50,000") {
		t.Errorf("missed: %q", missed)
	}
}

// TestOverloadIsHeldToWhatIsWanted: the command fails by these.
func TestOverloadIsHeldToWhatIsWanted(t *testing.T) {
	o := &overload{config: OverloadConfig{KeptMin: 0.8}.withDefaults(), target: &Target{}, best: 100, person: &interactive{}, waited: OverloadRecoveryMax}
	var kept, over int
	for _, v := range o.results()[0].Aims {
		if v.Met {
			kept++
		} else {
			over++
		}
	}
	if kept != 0 || over != 2 {
		t.Errorf("%+v", o.results()[0].Aims)
	}
}
