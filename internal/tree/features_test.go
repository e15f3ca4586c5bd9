// SPDX-License-Identifier: Apache-2.0

// docs/features.md says which test shows each of the published designs' promises; this holds it to that.

package tree

import (
	"cmp"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// designRows are how many promises each design makes.
var designRows = map[string]int{"A1": 9, "A2": 6, "A3": 8, "A4": 6}

// featureTests are the names of tests that say which promise they show.
var featureTests = regexp.MustCompile(`^Test(A[1-4][A-Z]\w*)$`)

// TestEachPromiseHasATest reads the table | row | what | tests | document |: every test exists and has the row's name in
// its own, every document exists, and every test with such a name stands in the table.
func TestEachPromiseHasATest(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "features.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists := testsOf(readTree(t))
	listed, rows := map[string]bool{}, map[string]int{}
	for line := range strings.SplitSeq(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !regexp.MustCompile(`^ A[1-4] `).MatchString(cells[1]) {
			continue
		}
		name, tests, document := camel(cells[1]), cells[3], strings.TrimSpace(cells[4])
		rows[name[:2]]++
		found := 0
		for _, match := range regexp.MustCompile("`([^ `]+) (Test\\w+)`").FindAllStringSubmatch(tests, -1) {
			found++
			test := match[1] + " " + match[2]
			listed[test] = true
			if !exists[test] {
				t.Errorf("%s: there is no test %s", strings.TrimSpace(cells[1]), test)
			}
			if !strings.Contains(match[2], name) {
				t.Errorf("%s: the name of %s does not say %s", strings.TrimSpace(cells[1]), test, name)
			}
		}
		if found == 0 {
			t.Errorf("%s names no test: `package TestName`", strings.TrimSpace(cells[1]))
		}
		for _, file := range regexp.MustCompile(`\(([^)#]+)[#)]`).FindAllStringSubmatch(document, -1) {
			if _, err := os.Stat(filepath.Join(root, "docs", file[1])); err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(cells[1]), err)
			}
		}
		if document == "" {
			t.Errorf("%s names no document", strings.TrimSpace(cells[1]))
		}
	}
	for design, want := range designRows {
		if rows[design] != want {
			t.Errorf("docs/features.md has %d rows of %s, want %d", rows[design], design, want)
		}
	}
	for test := range exists {
		if _, name, _ := strings.Cut(test, " "); featureTests.MatchString(name) && !listed[test] {
			t.Errorf("%s shows a promise and is not in docs/features.md", test)
		}
	}
}

// camel is a row's name as tests have it: "A1 hour index" is A1HourIndex.
func camel(text string) string {
	var name strings.Builder
	for _, word := range strings.Fields(text) {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

// testsOf are all tests of the repository: "package-directory TestName".
func testsOf(tree *source) map[string]bool {
	found := map[string]bool{}
	for _, f := range tree.files {
		if !f.test {
			continue
		}
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				found[cmp.Or(f.dir, ".")+" "+fn.Name.Name] = true
			}
		}
	}
	return found
}
