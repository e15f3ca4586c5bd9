// SPDX-License-Identifier: Apache-2.0

// Functions and files that are too long are listed in oversized.txt, which may only get shorter: what is not listed must
// keep the limit, what is listed must not grow, and what has become smaller must be lowered or struck out.
//
//	go test ./internal/tree -run TestSizes -update     writes the list anew; read the difference before you commit it

package tree

import (
	"flag"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	functionLinesMax = 70
	fileLinesMax     = 600
	oversizedList    = "oversized.txt"
)

var update = flag.Bool("update", false, "write "+oversizedList+" anew")

func TestSizes(t *testing.T) {
	tree := readTree(t)
	found := oversized(tree)
	if *update {
		writeOversized(t, found)
		return
	}
	allowed := readOversized(t)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		switch lines, limit := found[name], allowed[name]; {
		case limit == 0:
			t.Errorf("%s has %d lines; the limit is %d for a function and %d for a file: divide it", name, lines, functionLinesMax, fileLinesMax)
		case lines > limit:
			t.Errorf("%s has grown to %d lines from %d: it may only get shorter", name, lines, limit)
		case lines < limit:
			t.Errorf("%s has shrunk to %d lines from %d: lower its line in internal/tree/%s", name, lines, limit, oversizedList)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if found[name] == 0 {
			t.Errorf("%s is within the limits or gone: strike it out of internal/tree/%s", name, oversizedList)
		}
	}
}

// oversized returns the lines of each function and file over its limit.
func oversized(tree *source) map[string]int {
	found := map[string]int{}
	for _, f := range tree.files {
		if f.generated {
			continue
		}
		if f.lines > fileLinesMax {
			found[f.path] = f.lines
		}
		for _, decl := range f.ast.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := tree.fset.Position(function.End()).Line - tree.fset.Position(function.Pos()).Line + 1
			if lines > functionLinesMax {
				found[f.path+" "+functionName(function)] = lines
			}
		}
	}
	return found
}

// functionName is "Name" or "Type.Name".
func functionName(function *ast.FuncDecl) string {
	if function.Recv == nil || len(function.Recv.List) == 0 {
		return function.Name.Name
	}
	return receiverName(function.Recv.List[0].Type) + "." + function.Name.Name
}

func receiverName(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.StarExpr:
		return receiverName(e.X)
	case *ast.IndexExpr:
		return receiverName(e.X)
	case *ast.IndexListExpr:
		return receiverName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

func readOversized(t *testing.T) map[string]int {
	t.Helper()
	content, err := os.ReadFile(oversizedList)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]int{}
	for _, line := range strings.Split(string(content), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var lines int
		number, name, _ := strings.Cut(line, " ")
		if _, err := fmt.Sscan(number, &lines); err != nil || name == "" {
			t.Fatalf("%s: %q is not \"LINES FILE [FUNCTION]\"", oversizedList, line)
		}
		allowed[name] = lines
	}
	return allowed
}

func writeOversized(t *testing.T, found map[string]int) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# Functions over %d lines and files over %d. This list may only get shorter.\n", functionLinesMax, fileLinesMax)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(&b, "%d %s\n", found[name], name)
	}
	if err := os.WriteFile(oversizedList, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
