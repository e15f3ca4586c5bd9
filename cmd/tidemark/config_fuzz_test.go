// SPDX-License-Identifier: Apache-2.0

// A configuration file may hold anything.

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzConfig: a file is refused with its name, or gives values to flags of serve only, each with the line where it stands.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"listen: 127.0.0.1:8080\ndata: ./data\n", "listen: [a, b]\n", "a:\n  - b: c\n", "&a listen: *a\n", "--- \n...\n---\n# x\n",
		"listen: |\n  x\n", "? listen\n: !!str 1\n", "listen: 'x", "\xff\xfe", "- - - -", "{listen: {}}", "listen:\n", ": :\n", "<<: *x\n", "[] : 1\n",
	} {
		f.Add([]byte(text))
	}
	parser, _, err := newParser(context.Background(), &Output{Out: io.Discard, Err: io.Discard})
	if err != nil {
		f.Fatal(err)
	}
	allowed := fileKeys(parser.Model)
	path := filepath.Join(f.TempDir(), "tidemark.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := readConfigFile(path, parser.Model)
		if err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Fatalf("refused without saying which file: %v", err)
			}
			return
		}
		lines := strings.Count(strings.ReplaceAll(string(data), "\r", "\n"), "\n") + 1
		for key, value := range file.values {
			if !slices.Contains(allowed, key) || value.line < 1 || value.line > lines {
				t.Fatalf("%q is taken from line %d of %d", key, value.line, lines)
			}
		}
	})
}
