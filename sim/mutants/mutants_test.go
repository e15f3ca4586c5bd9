// SPDX-License-Identifier: Apache-2.0

// The list of faults stays true to the source, and the table to the list. That each is found is shown by `make mutants`.

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func all(t *testing.T) []mutant {
	t.Helper()
	mutants, err := parse(listed)
	if err != nil {
		t.Fatal(err)
	}
	return mutants
}

func TestFaultsAreOfThisSource(t *testing.T) {
	mutants := all(t)
	if len(mutants) < 30 {
		t.Errorf("only %d faults", len(mutants))
	}
	names := map[string]bool{}
	for _, m := range mutants {
		if names[m.name] || m.name == "" || !strings.HasSuffix(m.fault, ".") {
			t.Errorf("fault %q: its name is there twice, or nothing says what is wrong", m.name)
		}
		names[m.name] = true
		files, err := m.files(root)
		if err != nil {
			t.Error(err)
		}
		for name, text := range files {
			if data, err := os.ReadFile(filepath.Join(root, name)); err == nil && string(data) == text {
				t.Errorf("%s changes nothing in %s", m.name, name)
			}
		}
	}
}

func TestAllFaultsAreFound(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "docs/mutants.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for _, m := range all(t) {
		found := false
		for _, line := range lines {
			found = found || strings.HasPrefix(line, "| `"+m.name+"` (") && !strings.Contains(line, "**nothing**")
		}
		if !found {
			t.Errorf("docs/mutants.md does not say that %s is found: run make mutants", m.name)
		}
	}
}

func TestParse(t *testing.T) {
	const text = `# comment
name: one
fault: It is wrong.
file: a.go
 stays
-goes
+comes
...
-goes too

file: b/c.go
+comes first
 stays

name: two
fault: So is this.
file: a.go
-x
`
	got, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []mutant{
		{"one", "It is wrong.", []edit{
			{"a.go", "stays\ngoes\n", "stays\ncomes\n"}, {"a.go", "goes too\n", ""}, {"b/c.go", "stays\n", "comes first\nstays\n"},
		}},
		{"two", "So is this.", []edit{{"a.go", "x\n", ""}}},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i].name != want[i].name || got[i].fault != want[i].fault || len(got[i].edits) != len(want[i].edits) {
			t.Fatalf("fault %d: %+v, want %+v", i, got[i], want[i])
		}
		for j, e := range want[i].edits {
			if got[i].edits[j] != e {
				t.Errorf("edit %d of %d: %q, want %q", j, i, got[i].edits[j], e)
			}
		}
	}
	for _, bad := range []string{"fault: x", "name: a\n-x", "name: a\nfile: b\nwhat"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}

func TestOnlyWhatIsThereOnceIsChanged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte("one\ntwo\none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for old, times := range map[string]int{"one\n": 2, "two\n": 1, "wo\n": 0, "one\ntwo\n": 1} {
		m := mutant{name: "m", edits: []edit{{"a.go", old, "x\n"}}}
		files, err := m.files(dir)
		if (err == nil) != (times == 1) {
			t.Errorf("%q, which is there %d times: %v", old, times, err)
		}
		if err == nil && files["a.go"] != strings.Replace("one\ntwo\none\n", old, "x\n", 1) {
			t.Errorf("%q: %q", old, files["a.go"])
		}
	}
}

func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.md")
	if err := os.WriteFile(path, []byte("before\n"+tableBegin+"\nold\n"+tableEnd+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []row{
		{mutant: mutant{"one", "It is wrong.", []edit{{file: "a.go"}, {file: "a.go"}}}, found: found{Seeds: 3, Failed: true, Invariant: "S1"}},
		{mutant: mutant{"two", "So is this.", []edit{{file: "b.go"}}}, found: found{Seeds: 9}, err: errors.New("x")},
	}
	if err := update(path, rows); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(path)
	for _, want := range []string{"before\n", "| `one` (a.go) | It is wrong. | S1 | 3 |", "| **nothing** | more than 9 |", "\nafter\n"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the file lacks %q:\n%s", want, data)
		}
	}
	if strings.Contains(string(data), "old") {
		t.Error("the old table is still there")
	}
	if got := survivors(rows); len(got) != 1 || got[0] != "two" {
		t.Errorf("survivors %q", got)
	}
}
