// SPDX-License-Identifier: Apache-2.0

// Faults: read from mutants.txt and made in a copy of the source.

package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed mutants.txt
var listed string

// mutant is one fault.
type mutant struct {
	name, fault string
	edits       []edit
}

// edit is one place of a fault: the lines before and after.
type edit struct {
	file     string // relative to the root of the repository, with slashes
	old, new string // whole lines
}

// parse reads a list of faults. Errors name the line.
func parse(text string) (mutants []mutant, err error) {
	var at *mutant
	file, begins := "", true // whether the next line of source begins a place
	for n, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" || line[0] == '#':
		case key == "name":
			mutants = append(mutants, mutant{name: value})
			at, file = &mutants[len(mutants)-1], ""
		case at == nil:
			return nil, fmt.Errorf("line %d: a fault begins with its name", n+1)
		case key == "fault":
			at.fault = value
		case key == "file":
			file, begins = value, true
		case line == "...":
			begins = true
		case !strings.ContainsRune(" -+", rune(line[0])) || file == "":
			return nil, fmt.Errorf("line %d: neither a line of source, after a file:, nor a field", n+1)
		default:
			if begins {
				at.edits = append(at.edits, edit{file: file})
			}
			begins = false
			place := &at.edits[len(at.edits)-1]
			if line[0] != '+' {
				place.old += line[1:] + "\n"
			}
			if line[0] != '-' {
				place.new += line[1:] + "\n"
			}
		}
	}
	return mutants, nil
}

// files are the contents, with the fault, of the files that it changes, by their path relative to root. It is an error
// when the lines of an edit are not in the file exactly once.
func (m *mutant) files(root string) (map[string]string, error) {
	changed := map[string]string{}
	for _, e := range m.edits {
		text, there := changed[e.file]
		if !there {
			data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file)))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			text = string(data)
		}
		if n := strings.Count("\n"+text, "\n"+e.old); n != 1 {
			return nil, fmt.Errorf("%s: these lines are in %s %d times, not once: say in mutants.txt how they read now\n%s",
				m.name, e.file, n, e.old)
		}
		changed[e.file] = strings.TrimPrefix(strings.Replace("\n"+text, "\n"+e.old, "\n"+e.new, 1), "\n")
	}
	return changed, nil
}

// overlay writes the changed files into a directory, and beside them the file that `go build -overlay` takes, whose path
// it answers.
func (m *mutant) overlay(root, dir string) (string, error) {
	files, err := m.files(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range files {
		copied := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(name))] = copied
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, data, 0o600)
}
