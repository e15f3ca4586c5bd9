// SPDX-License-Identifier: Apache-2.0

// Worlds in which every promise must be kept, and the same again from the same seed.

package sim

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// traces are the traces of some worlds, of every profile.
func traces(t *testing.T) string {
	var b strings.Builder
	for seed := range uint64(2 * len(variants)) {
		r := Run(t.Context(), Config{Seed: 100 + seed, Profile: Profiles()[seed%uint64(len(variants))]})
		b.WriteString(strconv.FormatUint(r.Trace, 16) + " " + strconv.FormatUint(r.Counts.Steps, 10) + "\n")
	}
	return b.String()
}

func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	if os.Getenv("TIDEMARK_SIM_TRACES") != "" {
		os.Stdout.WriteString("traces:\n" + traces(t))
		return
	}
	first := traces(t)
	if again := traces(t); again != first {
		t.Fatalf("the same seeds give other traces:\n%s\nand\n%s", first, again)
	}
	other := exec.Command(os.Args[0], "-test.run", "^TestTheSameSeedGivesTheSameTrace$")
	other.Env = append(os.Environ(), "TIDEMARK_SIM_TRACES=1")
	out, err := other.Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, theirs, _ := strings.Cut(string(out), "traces:\n"); !strings.HasPrefix(theirs, first) {
		t.Fatalf("in another process the same seeds give other traces:\n%s\nand\n%s", first, theirs)
	}
}

// Telling the story must not change what happens.
func TestTheStoryChangesNothing(t *testing.T) {
	for seed := range uint64(20) {
		if plain, told := Run(t.Context(), Config{Seed: seed}), Run(t.Context(), Config{Seed: seed, Story: true}); plain.Trace != told.Trace {
			t.Errorf("seed %d: %x, and with its story %x", seed, plain.Trace, told.Trace)
		}
	}
}

func TestRangesOfDecisions(t *testing.T) {
	list, err := ParseRanges("1-4,7,9-10")
	if err != nil || ranges(list) != "1-4,7,9-10" || len(list) != 7 {
		t.Fatalf("%v %v", list, err)
	}
	for _, wrong := range []string{"x", "4-1", "-1", "1-"} {
		if _, err := ParseRanges(wrong); err == nil {
			t.Errorf("%q is read", wrong)
		}
	}
}
