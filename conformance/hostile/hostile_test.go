// SPDX-License-Identifier: Apache-2.0

// The scenarios can fail: clients with one fault each are caught, for that fault, and one without passes.

package hostile_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidemark-im/tidemark/conformance/hostile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a hostile server until the test ends.
func serve(t *testing.T) *hostile.Server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := hostile.New(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

func TestFaultsAreCaught(t *testing.T) {
	s := serve(t)
	for _, c := range []struct{ fault, scenario, reason string }{
		{"", "honest", ""},
		{"", "duplicate-frames", ""},
		{"", "cut-after-taking", ""},
		{"", "bye-shutdown", ""},
		{"", "bye-kicked", ""},
		{"", "read-marks", ""},
		{"", "unknown-fields", ""},
		{"early", "acknowledged", "acknowledged what it had not stored"},
		{"ahead", "honest", "where no more than"},
		{"falls", "positions-fall", "acknowledged backwards"},
		{"drops", "honest", "neither shows it nor knows of the gap"},
		{"doubles", "duplicate-frames", "each event once"},
		{"alarms", "honest", "where nothing was rewritten"},
		{"", "rewritten-live", "that are not of one history"},
		{"", "forged-live", "which no history has"},
		{"renames", "cut-after-taking", "must be repeated with its own"},
		{"repeats", "honest", "again on the same connection"},
		{"busy", "cut-at-once", "there is no back-off"},
		{"impatient", "bye-shutdown", "before the server's retryAfterMs had passed"},
		{"returns", "bye-kicked", "after a bye that says not to"},
		{"garbles", "honest", "cannot be decoded"},
		{"foresees", "read-marks", "where the last is"},
		{"gives nothing", "take-back", "offered nothing"},
		{"gives nothing", "take-back-refused", "offered nothing"},
	} {
		t.Run(c.scenario+" "+c.fault, func(t *testing.T) {
			t.Parallel()
			v := drive(t, s, c.scenario, c.fault)
			switch reasons := strings.Join(v.Reasons, "\n"); {
			case c.reason == "" && v.Verdict != hostile.Passed:
				t.Errorf("a client without fault got %s: %s", v.Verdict, reasons)
			case c.reason != "" && v.Verdict != hostile.Failed:
				t.Errorf("%q got %s", c.fault, v.Verdict)
			case !strings.Contains(reasons, c.reason):
				t.Errorf("%q was caught for another reason: %s", c.fault, reasons)
			}
		})
	}
}

// Every scenario has a name of its own, and says what the server does and what a right client does.
func TestScenariosAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, sc := range hostile.Scenarios() {
		if seen[sc.Name] || sc.Group == "" || sc.Server == "" || sc.Client == "" || sc.LimitMs <= 0 || sc.Devices < 1 {
			t.Errorf("%+v: give a name of its own, a group, and what both sides do", sc)
		}
		seen[sc.Name] = true
	}
	if len(seen) < 60 {
		t.Errorf("only %d scenarios", len(seen))
	}
}

// What is asked wrongly is refused with a sentence.
func TestDriverProtocolRefuses(t *testing.T) {
	s := serve(t)
	for path, body := range map[string]string{
		"/hostile/runs":             `{"scenario":"none"}`,
		"/hostile/runs/none/report": `{"tasks":0}`,
		"/hostile/runs/none/token":  `{"deviceId":"phone"}`,
		"/hostile/runs/x/report":    `{"tasks":"seven"}`,
	} {
		a, err := http.Post(s.URL()+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Error string }
		if err := json.NewDecoder(a.Body).Decode(&e); err != nil || e.Error == "" || a.StatusCode/100 != 4 {
			t.Errorf("%s %s: %s %+v %v", path, body, a.Status, e, err)
		}
		a.Body.Close()
	}
}

// So many runs and no more are under way at once; one that is decided makes room.
func TestRunsAreBounded(t *testing.T) {
	s := serve(t)
	begin := func() (status int, run hostile.BeginResponse) {
		a, err := http.Post(s.URL()+"/hostile/runs", "application/json", strings.NewReader(`{"scenario":"honest"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		_ = json.NewDecoder(a.Body).Decode(&run)
		return a.StatusCode, run
	}
	var last hostile.BeginResponse
	for n := range 128 {
		status, run := begin()
		if status != http.StatusOK {
			t.Fatalf("run %d: %d", n, status)
		}
		last = run
	}
	if status, _ := begin(); status != http.StatusTooManyRequests {
		t.Fatalf("one too many: %d", status)
	}
	var v hostile.Verdict
	invented := hostile.Report{Devices: []hostile.DeviceReport{{DeviceID: "phone", Conversations: []hostile.Shown{{ID: "invented", Events: []hostile.ShownEvent{{Seq: 1}}}}}}}
	for range 2 { // asked again it says the same
		if post(t, s.URL()+"/hostile/runs/"+last.Run+"/report", invented, &v); v.Verdict != hostile.Failed || !strings.Contains(v.Reasons[0], "does not exist") {
			t.Fatalf("what does not exist was shown: %+v", v)
		}
	}
	if status, _ := begin(); status != http.StatusOK {
		t.Fatalf("after one was decided: %d", status)
	}
}
