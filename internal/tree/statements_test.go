// SPDX-License-Identifier: Apache-2.0

// The statements of PROTOCOL.md are cited by their numbers, so each number is given once; and each is checked by the
// conformance kit, or it is said there why not.

package tree

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// statements are the numbers of PROTOCOL.md's statements as they come.
func statements(t *testing.T) (numbers []string) {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "PROTOCOL.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^\* \*\*\[(\d+\.\d+)\]\*\*`).FindAllStringSubmatch(string(text), -1) {
		numbers = append(numbers, match[1])
	}
	if len(numbers) < 100 {
		t.Fatalf("PROTOCOL.md has only %d statements", len(numbers))
	}
	return numbers
}

func TestStatementsHaveNumbersOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, number := range statements(t) {
		if seen[number] {
			t.Errorf("PROTOCOL.md has two statements [%s]", number)
		}
		seen[number] = true
	}
}

// Whoever adds a statement finds out here, without playing the whole kit. That the lists of the kit agree with each other
// is for its own tests.
func TestTheKitKnowsEveryStatement(t *testing.T) {
	numbers := regexp.MustCompile(`^\s*(\d+\.\d+\s*)+$`) // a check's number, or a list of them
	known := map[string]bool{}
	for _, f := range readTree(t).files {
		if f.dir != "conformance" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			if text := strings.Trim(literal.Value, "`\""); numbers.MatchString(text) {
				for _, number := range strings.Fields(text) {
					known[number] = true
				}
			}
			return true
		})
	}
	for _, n := range statements(t) {
		if !known[n] {
			t.Errorf("package conformance does not know statement [%s]: give it a check there, or say in `unchecked` why it has none", n)
		}
	}
}
