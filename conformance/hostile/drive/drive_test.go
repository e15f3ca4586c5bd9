// SPDX-License-Identifier: Apache-2.0

// Our own SDK against the hostile server: it passes every scenario.

package drive_test

import (
	"context"
	"flag"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-im/tidemark/conformance/hostile"
	"github.com/tidemark-im/tidemark/conformance/hostile/drive"
)

var only = flag.String("scenarios", "", "names of scenarios, separated by commas; empty: all")

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
	})
	return s
}

func TestTheGoSDKPasses(t *testing.T) {
	s := serve(t)
	cfg := drive.Config{URL: s.URL(), Parallel: 40}
	if *only != "" {
		cfg.Only = strings.Split(*only, ",")
	} else if testing.Short() {
		cfg.Only = quick()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Minute)
	defer cancel()
	cfg.Result = func(r hostile.Result) {
		if r.Verdict == hostile.Passed {
			t.Logf("%s: passed in %d ms", r.Scenario, r.TookMs)
			return
		}
		t.Errorf("%s: %s after %d ms\n\t%s", r.Scenario, r.Verdict, r.TookMs, strings.Join(r.Reasons, "\n\t"))
	}
	results, err := drive.Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if *only == "" && len(results) < 10 {
		t.Fatalf("only %d scenarios", len(results))
	}
}

// quick are the scenarios that take a usual time: not those in which a client waits for an answer for a minute.
func quick() (names []string) {
	for _, sc := range hostile.Scenarios() {
		if sc.LimitMs <= 60_000 {
			names = append(names, sc.Name)
		}
	}
	return names
}
