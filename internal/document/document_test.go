// SPDX-License-Identifier: Apache-2.0

// What stands around the markers stays, and a file without them is left alone.

package document

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n<!-- begin -->\nold\n<!-- end -->\nafter\n")
	if text, err := Between(path, "<!-- begin -->", "<!-- end -->"); err != nil || text != "old\n" {
		t.Errorf("between stands %q, %v", text, err)
	}
	if err := Replace(path, "<!-- begin -->", "<!-- end -->", "new\n"); err != nil {
		t.Fatal(err)
	}
	if have, _ := os.ReadFile(path); string(have) != "before\n<!-- begin -->\nnew\n<!-- end -->\nafter\n" {
		t.Errorf("it is %q", have)
	}
	for _, text := range []string{"<!-- begin -->\n", "<!-- end -->\n", "<!-- end -->\n<!-- begin -->\n"} {
		write(text)
		if err := Replace(path, "<!-- begin -->", "<!-- end -->", "new\n"); err == nil {
			t.Errorf("%q is rewritten", text)
		}
		if have, _ := os.ReadFile(path); string(have) != text {
			t.Errorf("%q became %q", text, have)
		}
	}
	if _, err := Between(path+".none", "a", "b"); err == nil {
		t.Error("a file that is not there is read")
	}
}
