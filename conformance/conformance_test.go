// SPDX-License-Identifier: Apache-2.0

// The kit against the real server, and the list of checks against PROTOCOL.md.

package conformance

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-im/tidemark/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs the real server until the test ends.
func serve(t *testing.T, change func(*server.Config)) (url, key string) {
	t.Helper()
	dir := t.TempDir()
	config := server.Config{DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Spread: time.Millisecond, CacheBytes: 8 << 20,
		Heartbeat: 4 * time.Second}
	if change != nil {
		change(&config)
	}
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}))
	data, err := os.ReadFile(filepath.Join(dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return s.URL(), strings.TrimSpace(string(data))
}

// onlyFromEnvironment narrows what is run while a check is being written: ONLY=2.4,3 go test -run RealServer ./conformance
func onlyFromEnvironment() []string {
	if text := os.Getenv("ONLY"); text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

// takesLong are the checks that TestWhatTakesLong plays, with a server whose clock is fast.
var takesLong = map[string]bool{"with ACKNOWLEDGED events go once every device of every member has them": true}

func TestWhatTakesLong(t *testing.T) {
	begun := time.Now()
	url, key := serve(t, func(c *server.Config) {
		c.Now = func() time.Time { return begun.Add(60 * time.Since(begun)) }
	})
	kit, err := New(t.Context(), Config{URL: url, AdminKey: key, Only: []string{"5.32"}, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range kit.Run(t.Context(), nil) {
		if takesLong[r.What] && r.Outcome != OK {
			t.Errorf("[%s] %s\nexpected %s\nseen     %s", r.Statement, r.What, r.Expected, r.Seen)
		}
	}
}

func TestTheRealServerConforms(t *testing.T) {
	url, key := serve(t, nil)
	kit, err := New(t.Context(), Config{URL: url, AdminKey: key, Only: onlyFromEnvironment(), Timeout: 30 * time.Second, Patience: 100 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range kit.Run(t.Context(), nil) {
		switch {
		case r.Outcome == Failed:
			t.Errorf("[%s] %s\nexpected %s\nseen     %s", r.Statement, r.What, r.Expected, r.Seen)
		case r.Outcome == Skipped && !takesLong[r.What]:
			t.Errorf("[%s] %s\nis skipped: %s", r.Statement, r.What, r.Seen)
		case testing.Verbose():
			t.Logf("%-5s %6d ms  %s", r.Statement, r.TookMs, r.What)
		}
	}
}

// With the usual heartbeat no device pings by itself while a check waits: what comes only after a ping must be asked for.
func TestCheckpointsWithTheUsualHeartbeat(t *testing.T) {
	url, key := serve(t, func(c *server.Config) { c.Heartbeat = 30 * time.Second })
	kit, err := New(t.Context(), Config{URL: url, AdminKey: key, Only: []string{"2.6", "2.9"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range kit.Run(t.Context(), nil) {
		if r.Outcome != OK {
			t.Errorf("[%s] %s\nexpected %s\nseen     %s", r.Statement, r.What, r.Expected, r.Seen)
		}
	}
}

// statements are the numbers in PROTOCOL.md.
func statements(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "PROTOCOL.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^\* \*\*\[(\d+\.\d+)\]\*\*`).FindAllStringSubmatch(string(text), -1) {
		found[match[1]] = true
	}
	if len(found) < 100 {
		t.Fatalf("PROTOCOL.md has only %d statements", len(found))
	}
	return found
}

func TestEveryStatementHasACheck(t *testing.T) {
	numbers, checked := statements(t), map[string]bool{}
	said := map[string]bool{}
	for _, c := range all {
		checked[c.statement] = true
		if !numbers[c.statement] {
			t.Errorf("a check is of statement %q, which PROTOCOL.md does not have: %s", c.statement, c.what)
		}
		if said[c.what] {
			t.Errorf("two checks say that they check: %s", c.what)
		}
		said[c.what] = true
	}
	for statement, why := range unchecked {
		if !numbers[statement] || checked[statement] || why == "" {
			t.Errorf("statement %s is said to be unchecked (%q), but does not exist or has a check", statement, why)
		}
	}
	for statement := range numbers {
		if !checked[statement] && unchecked[statement] == "" {
			t.Errorf("no check is of statement [%s], nor does `unchecked` say why", statement)
		}
	}
	if len(unchecked) > 5 {
		t.Errorf("%d statements are said to be beyond checking: that is too many", len(unchecked))
	}
}
