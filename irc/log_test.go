// SPDX-License-Identifier: Apache-2.0

// Files of logs: which there are, and when their lines were written.

package irc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTimes(t *testing.T) {
	for _, test := range []struct{ name, lines, want string }{
		{"a quiet day", "[08:00] [08:00] [09:30]", "05 08:00, 05 08:00, 05 09:30"},
		{"over midnight: the first lines are of the day before", "[23:58] [23:59] [00:00] [08:00]", "04 23:58, 04 23:59, 05 00:00, 05 08:00"},
		{"two midnights", "[23:59] [00:01] [23:00] [01:00]", "04 23:59, 05 00:01, 05 23:00, 06 01:00"},
		{"a clock set back", "[08:30] [08:29] [08:31]", "05 08:30, 05 08:30, 05 08:31"},
		{"lines without a time take that of the line before", "- [08:00] - - [09:00] -", "05 08:00, 05 08:00, 05 08:00, 05 08:00, 05 09:00, 05 09:00"},
		{"without a time before midnight", "- [23:59] - [00:01]", "04 23:59, 04 23:59, 04 23:59, 05 00:01"},
		{"no times at all", "- -", "05 00:00, 05 00:00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log strings.Builder
			for _, line := range strings.Fields(test.lines) {
				log.WriteString(map[bool]string{true: "=== a waves\n", false: line + " <a> x\n"}[line == "-"])
			}
			var got []string
			for _, line := range ParseLog([]byte(log.String()), day(2004, 12, 5)) {
				got = append(got, time.UnixMilli(int64(line.TimeMs)).UTC().Format("02 15:04"))
			}
			if s := strings.Join(got, ", "); s != test.want {
				t.Errorf("\n got %s\nwant %s", s, test.want)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"2005-01-02.txt", "#chan-2004-12-31.log", "notes.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logs, err := Open([]string{dir})
	if err != nil || len(logs) != 2 || logs[0].Name() != "2004-12-31" || logs[1].Name() != "2005-01-02" {
		t.Errorf("logs %v, err %v", logs, err)
	}
	for name, paths := range map[string][]string{
		"must have a date": {filepath.Join(dir, "notes.md")},
		"no such file":     {filepath.Join(dir, "2001-01-01.txt")},
		"of the same date": {dir, filepath.Join(dir, "2005-01-02.txt")},
		"no logs given":    {},
	} {
		if _, err := Open(paths); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: err %v, want one with %q", paths, err, name)
		}
	}
}
