// SPDX-License-Identifier: Apache-2.0

// What becomes of each line, held against files of expected entries.

package irc

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

var update = flag.Bool("update", false, "write what the tests get as what they want")

// The entries of two days of a small harbour, line by line.
func TestPlanOfTwoDays(t *testing.T) {
	var got strings.Builder
	plan := NewPlan(Naming{})
	for _, log := range testLogs(t) {
		lines, err := log.Read()
		if err != nil {
			t.Fatal(err)
		}
		plan.Begin(log)
		for _, line := range lines {
			entries := plan.Add(line, nil)
			if len(entries) == 0 {
				fmt.Fprintf(&got, "%-24s odd      %q\n", log.Name()+" line "+fmt.Sprint(line.Number), line.Text)
			}
			for _, e := range entries {
				fmt.Fprintf(&got, "%-24s %s %-10s %s\n", e.ClientId, time.UnixMilli(int64(e.TimeMs)).UTC().Format("02 15:04"), e.User, what(e))
			}
		}
	}
	fmt.Fprintln(&got)
	for _, user := range plan.Users() {
		fmt.Fprintf(&got, "%s is %q\n", user.ID, user.Nickname)
	}
	fmt.Fprintf(&got, "%d users joined because they did something\n", plan.Joined())
	for kind, n := range plan.Counts() {
		fmt.Fprintf(&got, "%d %v\n", n, Kind(kind))
	}
	golden(t, "plan.golden", got.String())
}

func what(e *wire.ImportEntry) string {
	switch m := e.GetMessage(); {
	case m != nil:
		return fmt.Sprintf("%s %q%s", m.Type, m.Text, map[bool]string{true: " silent"}[m.Class == wire.MessageClass_SILENT])
	case e.GetJoin():
		return "joins"
	case e.GetLeave():
		return "leaves"
	}
	return "?"
}

// validEntry reports whether a server can take the entry.
func validEntry(e *wire.ImportEntry) bool {
	m := e.GetMessage()
	return tidemark.ClientID(e.ClientId).Valid() && tidemark.UserID(e.User).Valid() && e.User != string(tidemark.SystemUser) &&
		(e.GetJoin() || e.GetLeave() || m != nil && m.Type != "" && utf8.ValidString(m.Text))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got:\n%s", path, got)
	}
}

func testLogs(t testing.TB) Logs {
	t.Helper()
	logs, err := Open([]string{filepath.Join("testdata", "2004-12-05.txt"), filepath.Join("testdata", "2004-12-06.txt")})
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

// A nick taken from a user who gave it up belongs to whoever took it, for the rest of the log and no longer.
func TestNicksChangeHands(t *testing.T) {
	log := "=== ann is now known as bea\n=== cid is now known as ann\n[10:00] <ann> x\n[10:00] <bea> y\n=== ann is now known as cid\n[10:01] <ann> z\n"
	plan := NewPlan(Naming{Prefix: "irc:"})
	var got []string
	for _, d := range []int{5, 6} {
		plan.Begin(Log{Date: day(2004, 12, d)})
		for _, line := range ParseLog([]byte(log)[map[int]int{5: 0, 6: len(log) - len("[10:01] <ann> z\n")}[d]:], day(2004, 12, d)) {
			for _, e := range plan.Add(line, nil) {
				if m := e.GetMessage(); m != nil && m.Type == "text" {
					got = append(got, e.User+" "+m.Text)
				}
			}
		}
	}
	if s, want := strings.Join(got, ", "), "irc:cid x, irc:ann y, irc:ann z, irc:ann z"; s != want {
		t.Errorf("\n got %s\nwant %s", s, want)
	}
}
