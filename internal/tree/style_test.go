// SPDX-License-Identifier: Apache-2.0

// What the code must say and may not say: documentation of everything exported, a sentence at the head of each file, no
// goroutine that nobody owns, no context from nowhere, no names that mean nothing.

package tree

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goAllowed are the files outside of functions called Run or run that may start a goroutine, each with who waits for it.
var goAllowed = map[string]string{
	"bench/server.go":               "wait ends with the child process, for which Kill and Stop wait",
	"chat/plain.go":                 "the reader of standard input ends with the input, or with the process while it is blocked in a terminal",
	"cmd/tidemark/import_target.go": "withDirectory waits for the partitions before it returns",
	"cmd/tidemark/main.go":          "the watcher of signals ends when the program's work does",
	"gateway/drain.go":              "a connection's writer; the last of reader and writer releases the connection, for which Run waits",
	"gateway/read.go":               "a connection's reader goes on in a fresh goroutine, so that an idle one has a small stack; see drain.go",
	"gateway/upgrade.go":            "a connection's reader, apart from net/http's goroutine and its stack; see drain.go",
	"gateway/websocket.go":          "Shutdown waits for it",
	"irc/run.go":                    "lines empties the channel of the maker and waits for its result",
	"store/maintain.go":             "compact waits for it before it returns",
}

// meaningless are words that say nothing about what a package or a type is for.
var meaningless = regexp.MustCompile(`(?i)^(utils?|commons?|shared|misc|helpers?|managers?|base|impl|lib|dto)$|(Manager|Helper|Util|Utils|Impl|DTO|V2)$`)

func TestFilesSayWhatTheyAreFor(t *testing.T) {
	for _, f := range readTree(t).files {
		if f.generated {
			continue
		}
		var before []*ast.CommentGroup
		for _, group := range f.ast.Comments {
			if group.End() < f.ast.Package {
				before = append(before, group)
			}
		}
		switch {
		case len(before) == 0 || !strings.HasPrefix(before[0].List[0].Text, "// SPDX-License-Identifier: Apache-2.0"):
			t.Errorf("%s: the first line must be the SPDX mark of the licence", f.path)
		case len(before) < 2:
			t.Errorf("%s: say above the package clause what the file is for", f.path)
		}
	}
}

func TestPackagesAndExportedNamesAreDocumented(t *testing.T) {
	tree := readTree(t)
	documented := map[string]bool{}
	for _, f := range tree.own() {
		documented[f.dir] = documented[f.dir] || f.ast.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no documentation", roomName(dir))
		}
	}
	for _, f := range tree.own() {
		if f.ast.Name.Name == "main" {
			continue
		}
		for _, decl := range f.ast.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s:%d: exported %s is not documented", f.path, tree.at(name), name.Name)
			}
		}
	}
}

// undocumented are the exported names of a declaration that no comment explains. A comment on a group of constants or
// variables explains all of them.
func undocumented(decl ast.Decl) []*ast.Ident {
	var names []*ast.Ident
	add := func(documented bool, idents ...*ast.Ident) {
		for _, ident := range idents {
			if !documented && ident.IsExported() {
				names = append(names, ident)
			}
		}
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		exported := d.Recv == nil || ast.IsExported(receiverName(d.Recv.List[0].Type))
		add(d.Doc != nil || !exported, d.Name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				add(s.Doc != nil || s.Comment != nil || d.Doc != nil, s.Name)
			case *ast.ValueSpec:
				add(s.Doc != nil || s.Comment != nil || d.Doc != nil, s.Names...)
			}
		}
	}
	return names
}

func TestContextsComeFromTheCaller(t *testing.T) {
	tree := readTree(t)
	for _, f := range tree.own() {
		if f.ast.Name.Name == "main" {
			continue
		}
		ast.Inspect(f.ast, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, ok := selector.X.(*ast.Ident)
			if ok && from.Name == "context" && slices.Contains([]string{"Background", "TODO"}, selector.Sel.Name) {
				t.Errorf("%s:%d: context.%s: only main and tests make a context; take it from the caller", f.path, tree.at(node), selector.Sel.Name)
			}
			return true
		})
	}
}

func TestGoroutinesHaveAnOwner(t *testing.T) {
	tree := readTree(t)
	used := map[string]bool{}
	for _, f := range tree.own() {
		for _, decl := range f.ast.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok || function.Name.Name == "Run" || function.Name.Name == "run" {
				continue
			}
			ast.Inspect(function, func(node ast.Node) bool {
				if statement, ok := node.(*ast.GoStmt); ok {
					used[f.path] = true
					if goAllowed[f.path] == "" {
						t.Errorf("%s:%d: a goroutine is started in %s: start it in a Run(ctx) error that waits for it, or add the file to goAllowed with who waits",
							f.path, tree.at(statement), functionName(function))
					}
				}
				return true
			})
		}
	}
	for path := range goAllowed {
		if !used[path] {
			t.Errorf("goAllowed names %s, which starts no goroutine: strike it out", path)
		}
	}
}

func TestNamesMeanSomething(t *testing.T) {
	tree := readTree(t)
	for _, f := range tree.files {
		if f.generated {
			continue
		}
		if name := strings.TrimSuffix(f.ast.Name.Name, "_test"); meaningless.MatchString(name) {
			t.Errorf("%s: package %s: name it after what it is for", f.path, name)
		}
		ast.Inspect(f.ast, func(node ast.Node) bool {
			if spec, ok := node.(*ast.TypeSpec); ok && meaningless.MatchString(spec.Name.Name) {
				t.Errorf("%s:%d: type %s: name it after what it is", f.path, tree.at(spec), spec.Name.Name)
			}
			return true
		})
	}
}
