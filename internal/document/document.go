// SPDX-License-Identifier: Apache-2.0

// Package document reads and rewrites the part of a text file that stands between two marker lines: tables and charts that a
// command or a test makes, in documents that people write.
package document

import (
	"fmt"
	"os"
	"strings"
)

// Between is what stands between the lines begin and end of the file at path, the line breaks of begin left out. It fails
// where the file cannot be read, or one of the lines is missing.
func Between(path, begin, end string) (string, error) {
	_, text, _, err := cut(path, begin, end)
	return text, err
}

// Replace puts text between the lines begin and end of the file at path, in place of what is there. Text ends with a line
// break. Nothing is written where it fails: see [Between].
func Replace(path, begin, end, text string) error {
	before, _, after, err := cut(path, begin, end)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(before+begin+"\n"+text+end+after), 0o644)
}

func cut(path, begin, end string) (before, text, after string, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", "", "", err
	}
	before, rest, found := strings.Cut(string(content), begin+"\n")
	text, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", "", "", fmt.Errorf("%s has no lines %s and %s", path, begin, end)
	}
	return before, text, after, nil
}
