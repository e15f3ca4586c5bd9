// SPDX-License-Identifier: Apache-2.0

// The statements of PROTOCOL.md are cited by their numbers, so each number is given once.

package tree

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestStatementsHaveNumbersOfTheirOwn(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "PROTOCOL.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^\* \*\*\[(\d+\.\d+)\]\*\*`).FindAllStringSubmatch(string(text), -1) {
		if seen[match[1]] {
			t.Errorf("PROTOCOL.md has two statements [%s]", match[1])
		}
		seen[match[1]] = true
	}
	if len(seen) < 50 {
		t.Errorf("PROTOCOL.md has only %d statements", len(seen))
	}
}
