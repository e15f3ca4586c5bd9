// SPDX-License-Identifier: Apache-2.0

// Reading the repository: every Go file parsed once, every text file listed once.

package tree

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/tidemark-im/tidemark"

// sourceFile is one parsed Go file.
type sourceFile struct {
	path      string // from the root, with slashes
	dir       string // its directory: "" is the root package
	ast       *ast.File
	lines     int
	test      bool
	generated bool
}

type source struct {
	fset  *token.FileSet
	files []*sourceFile
	texts []string // every file, Go or not, that may hold text
}

// skipped are directories that are not the repository's own text: tools, what was built, what was stored.
var skipped = map[string]bool{".git": true, "node_modules": true, "data": true, "tidemark-data": true, "dist": true}

var load = sync.OnceValues(func() (*source, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	s := &source{fset: token.NewFileSet()}
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			if skipped[entry.Name()] && rel != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || entry.Name() == ".git" { // .git is a file in a worktree
			return nil
		}
		s.texts = append(s.texts, rel)
		if strings.HasSuffix(rel, ".go") && !strings.Contains(rel, "testdata/") {
			return s.parse(root, rel)
		}
		return nil
	})
	return s, err
})

func (s *source) parse(root, rel string) error {
	parsed, err := parser.ParseFile(s.fset, filepath.Join(root, rel), nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(rel)
	if dir == "." {
		dir = ""
	}
	s.files = append(s.files, &sourceFile{
		path: rel, dir: dir, ast: parsed,
		lines:     s.fset.File(parsed.Pos()).LineCount(),
		test:      strings.HasSuffix(rel, "_test.go"),
		generated: ast.IsGenerated(parsed),
	})
	return nil
}

// own are the files somebody wrote and that end up in a program: neither generated nor tests.
func (s *source) own() []*sourceFile {
	var own []*sourceFile
	for _, f := range s.files {
		if !f.generated && !f.test {
			own = append(own, f)
		}
	}
	return own
}

func (s *source) at(node ast.Node) int { return s.fset.Position(node.Pos()).Line }

func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", os.ErrNotExist
		}
		dir = parent
	}
}

func readTree(t *testing.T) *source {
	t.Helper()
	s, err := load()
	if err != nil {
		t.Fatalf("reading the repository: %v", err)
	}
	if len(s.files) < 10 || len(s.texts) < len(s.files) {
		t.Fatalf("only %d Go files and %d files found: the walk has lost its way", len(s.files), len(s.texts))
	}
	return s
}
