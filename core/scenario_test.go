// SPDX-License-Identifier: Apache-2.0

// Scenarios: text files in testdata that read as stories and are run as tests. A block is a command, its input lines if
// it takes any, a line "----", and the expected output up to an empty line; "#" begins a comment.
//
//	go test ./core -run TestScenarios            # compares
//	go test ./core -run TestScenarios -rewrite   # writes the outputs anew; read the difference before you commit it

package core_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of scenarios anew")

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScenario(t, file) })
	}
}

func runScenario(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	story, out := newStory(), new(strings.Builder)
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			fmt.Fprintln(out, lines[i])
			continue
		}
		first := i
		for i < len(lines) && lines[i] != "----" {
			i++
		}
		if i == len(lines) {
			t.Fatalf("%s:%d: the command is not followed by ----", file, first+1)
		}
		command := lines[first:i]
		begin := i + 1
		for i+1 < len(lines) && lines[i+1] != "" {
			i++
		}
		want := strings.Join(lines[begin:i+1], "\n")
		got := strings.TrimRight(story.tell(command), "\n")
		if got != want && !*rewrite {
			t.Fatalf("%s:%d: %s\ngot:\n%s\n\nwant:\n%s", file, first+1, command[0], got, want)
		}
		if err := story.memory.Check(); err != nil {
			t.Fatalf("%s:%d: after %s: %v", file, first+1, command[0], err)
		}
		fmt.Fprintf(out, "%s\n----\n%s\n", strings.Join(command, "\n"), got)
	}
	if *rewrite && out.String() != string(data) {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
