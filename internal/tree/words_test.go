// SPDX-License-Identifier: Apache-2.0

// The repository must build anywhere: no file names the registry it was fetched from, nor a path of one machine.

package tree

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// textBytesMax is the size of the largest file that is searched; larger ones are no text of ours.
const textBytesMax = 4 << 20

// foreign are patterns no text may contain. They are written in pieces so that this file does not contain them.
var foreign = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`registry\.(` + `npmjs|yarnpkg|npmmirror)`), "a lock file must not name the registry it was made with: set omit-lockfile-registry-resolved"},
	{regexp.MustCompile(`"resolved":` + ` "https?:`), "a lock file must not name the registry it was made with: set omit-lockfile-registry-resolved"},
	{regexp.MustCompile(`(proxy\.` + `golang|goproxy\.` + `(io|cn)|sum\.` + `golang|vuln\.` + `go)\.?(org|dev)?\b`), "which proxy is used is a matter of the machine, not of the repository"},
	{regexp.MustCompile(`(pypi\.` + `org|pythonhosted\.` + `org|deb\.` + `debian\.org)`), "which mirror is used is a matter of the machine, not of the repository"},
	{regexp.MustCompile(`(^|[\s"'` + "`" + `=:(\[])/(work|root|tmp|home)(/|["'\s]|$)`), "a path of one machine: use a temporary directory or a relative path"},
}

func TestNoTextNamesAMachine(t *testing.T) {
	tree := readTree(t)
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	searched := 0
	for _, name := range tree.texts {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || info.Size() > textBytesMax {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(content, 0) >= 0 { // binary
			continue
		}
		searched++
		for i, line := range strings.Split(string(content), "\n") {
			for _, f := range foreign {
				if found := f.pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: %s", name, i+1, strings.TrimSpace(found), f.why)
				}
			}
		}
	}
	if searched < 20 {
		t.Errorf("only %d files searched", searched)
	}
}

func TestForeignPatternsFind(t *testing.T) {
	for _, line := range []string{
		`      "resolved":` + ` "https://example.org/x.tgz",`,
		"https://registry." + "npmjs.org/x", "GOPROXY=https://proxy." + "golang.org", "cd /" + "work/main", `"/` + `tmp/x"`, "see /" + "root",
	} {
		found := false
		for _, f := range foreign {
			found = found || f.pattern.MatchString(line)
		}
		if !found {
			t.Errorf("no pattern finds %q", line)
		}
	}
	for _, line := range []string{"https://example.org/work/x", "golang.org/x/vuln/cmd", "a network/root of trust", "t.TempDir()"} {
		for _, f := range foreign {
			if f.pattern.MatchString(line) {
				t.Errorf("%s matches %q", f.pattern, line)
			}
		}
	}
}

// Every direct dependency must have its reason in docs/dependencies.md.
func TestDependenciesAreExplained(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	required := regexp.MustCompile(`(?m)^(?:require )?\s*([a-z][\w./-]+\.[\w./-]+) v\S+$`)
	for _, line := range required.FindAllStringSubmatch(string(mod), -1) {
		if !strings.Contains(string(reasons), "`"+line[1]+"`") {
			t.Errorf("docs/dependencies.md does not say why %s is needed", line[1])
		}
	}
	named := regexp.MustCompile("(?m)^\\| `([^`]+/[^`]+)`")
	found := named.FindAllStringSubmatch(string(reasons), -1)
	for _, line := range found {
		if !strings.Contains(string(mod), line[1]+" ") {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require", line[1])
		}
	}
	if len(found) < 10 {
		t.Errorf("only %d dependencies are explained", len(found))
	}
}
