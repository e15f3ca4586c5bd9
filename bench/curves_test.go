// SPDX-License-Identifier: Apache-2.0

// Curves: from lines of JSON to charts that any reader of XML can read.

package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestCurvesAreDrawnOfWhatRunsPrint(t *testing.T) {
	var printed bytes.Buffer
	results := []Result{
		{Name: "idle", Connections: 19_000, RSSPerConnection: 5 << 10, Checked: true},
		{Name: "idle", Connections: 1000, RSSPerConnection: 6 << 10, Checked: true},
		{Name: "idle", Connections: 1000, RSSPerConnection: 7 << 10, Checked: true}, // later: it counts
		{Name: "members", Members: 10, WrittenBytesPerOp: 370, ServerCPUUsPerOp: 17, Checked: true},
		{Name: "sync", Conversations: 100, Changed: 10, ServerCPUUsPerOp: 200, Checked: true},
		{Name: "sync", Conversations: 100, Changed: 0, ServerCPUUsPerOp: 190, Checked: true},
		{Name: "sync", Conversations: 1000, Changed: 10, ServerCPUUsPerOp: 210, Checked: true},
		{Name: "trailing", Checked: true}, // of which there is no chart
	}
	if err := WriteJSON(&printed, results); err != nil {
		t.Fatal(err)
	}
	read, err := ReadResults(strings.NewReader(printed.String() + "\n"))
	if err != nil || !reflect.DeepEqual(read, results) {
		t.Fatalf("read %v, %v", read, err)
	}
	dir := filepath.Join(t.TempDir(), "curves")
	files, err := WriteCurves(dir, "measured <here> & now", read)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(file))
		wellFormed(t, file)
	}
	if want := []string{"idle.svg", "sync.svg", "members-bytes.svg", "members-cpu.svg"}; !slices.Equal(names, want) {
		t.Errorf("drawn: %v, want %v", names, want)
	}
	idle, err := os.ReadFile(filepath.Join(dir, "idle.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{">7<", ">5<", ">1000<", ">19k<", "aim: 5 KiB", "less is better", "measured &lt;here&gt; &amp; now", "prefers-color-scheme:dark"} {
		if !strings.Contains(string(idle), text) {
			t.Errorf("idle.svg does not show %q", text)
		}
	}
	if strings.Contains(string(idle), ">6.0<") || strings.Contains(string(idle), "<script") || len(idle) > 8<<10 {
		t.Errorf("idle.svg, of %d bytes, shows what it should not:\n%s", len(idle), idle)
	}
}

func wellFormed(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(bytes.NewReader(content)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
}

func TestCurvesRefuseWhatIsNoGoodResult(t *testing.T) {
	for _, text := range []string{"not JSON", `{"what":"something else"}`, `{"name":3}`} {
		if _, err := ReadResults(strings.NewReader(text)); err == nil {
			t.Errorf("%s is read as a result", text)
		}
	}
	if _, err := WriteCurves(t.TempDir(), "", []Result{{Name: "idle", Connections: 1, RSSPerConnection: 1}}); err == nil {
		t.Error("a result that was not checked is drawn")
	}
}

func TestNumbersAreShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.25: "0.25", 7: "7", 15.25: "15.2", 950: "950", 1500: "1500", 12_500: "12.5k", 999_600: "1M", 20e6: "20M", 1.27e6: "1.27M"} {
		if got := short(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}
