// SPDX-License-Identifier: Apache-2.0

// docs/conformance-sdk.md tells what is: its table is written from the scenarios, its examples are run.

package hostile_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-im/tidemark/conformance/hostile"
)

var update = flag.Bool("update", false, "write the table of scenarios in docs/conformance-sdk.md anew")

const document, tableBegin, tableEnd = "../../docs/conformance-sdk.md", "<!-- scenarios -->\n", "<!-- /scenarios -->\n"

func TestDocumentHasTheScenarios(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("the document has no place for the table")
	}
	var b strings.Builder
	b.WriteString("| scenario | the server | a right client | limit |\n|---|---|---|---|\n")
	for _, sc := range hostile.Scenarios() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %d |\n", sc.Name, sc.Server, sc.Client, sc.LimitMs/1000)
	}
	want := before + tableBegin + b.String() + tableEnd + after
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(data) {
		t.Errorf("%s is not what the scenarios are: go test ./conformance/hostile -run TestDocument -update", document)
	}
}

func TestDocumentsExamplesWork(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl here")
	}
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(data), "```sh\n")
	script, _, _ = strings.Cut(script, "```\n")
	if strings.Count(script, "curl ") < 6 {
		t.Fatalf("the examples are not where they were: %q", script)
	}
	s := serve(t)
	c := exec.Command("bash", "-eu", "-c", script)
	c.Dir, c.Env = t.TempDir(), []string{"URL=" + s.URL(), "PATH=" + filepath.Dir(curl) + ":" + os.Getenv("PATH")}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, part := range []string{`"name": "honest"`, `"deviceId": "phone"`, `"token": "ey`, `"headSeq":"6"`, `"verdict": "pending"`, `"do": "send"`, `"verdict": "fail"`,
		"which no history has", "fail  honest", "0 of 1 passed"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("the examples print no %s:\n%s", part, out)
		}
	}
}
