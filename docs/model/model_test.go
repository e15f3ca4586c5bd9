// SPDX-License-Identifier: Apache-2.0

// The model of the dirty set and the checkpoints: it names the code as it is, and spin finds it right.

package model

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestModelNamesTheCode holds the table of docs/model/README.md to the model and to the code.
func TestModelNamesTheCode(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile("session.pml")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	inCode := regexp.MustCompile(`^([a-z]+/[a-z]+\.go) (\w+)$`)
	functions := 0
	for line := range strings.SplitSeq(string(readme), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		for _, name := range quoted.FindAllStringSubmatch(cells[1], -1) {
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name[1]) + `\b`).Match(model) {
				t.Errorf("the model has no %q", name[1])
			}
		}
		for _, name := range quoted.FindAllStringSubmatch(cells[2], -1) {
			match := inCode.FindStringSubmatch(name[1])
			if match == nil {
				continue
			}
			functions++
			code, err := os.ReadFile("../../" + match[1])
			if err != nil || !regexp.MustCompile(`(?m)^func (\([^)]+\) )?`+match[2]+`\(`).Match(code) {
				t.Errorf("%s has no function %s: %v", match[1], match[2], err)
			}
		}
	}
	if functions < 30 {
		t.Errorf("the table names %d functions", functions)
	}
	variants, err := os.ReadFile("variants.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, macro := range regexp.MustCompile(`(?m)^[A-Z_]+`).FindAllString(string(variants), -1) {
		if !regexp.MustCompile(`(?m)^#(if|ifdef|ifndef|elif)\b.*\b` + macro + `\b`).Match(model) {
			t.Errorf("the model does not know the variant %s", macro)
		}
	}
}

// TestModel runs spin over the model and over each of its variants, with one commit fewer than `make model`.
func TestModel(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: `make model` installs it", tool)
		}
	}
	cmd := exec.CommandContext(t.Context(), "../../tools/model.sh")
	cmd.Env = append(os.Environ(), "COMMITS=2")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("tools/model.sh: %v", err)
	}
}
