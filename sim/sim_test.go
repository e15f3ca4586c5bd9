// SPDX-License-Identifier: Apache-2.0

// Worlds in which every promise must be kept, and the same again from the same seed.

package sim

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark-im/tidemark/sim/invariant"
)

// worlds is how many worlds of each profile are run; tidemark sim runs as many as there is time for.
const worlds = 40

func TestEveryPromiseIsKept(t *testing.T) {
	for _, profile := range Profiles() {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(worlds) {
				if r := Run(t.Context(), Config{Seed: 1000 + seed, Profile: profile}); r.Failure != nil {
					t.Errorf("seed %d: %s\n%s", r.Seed, r.Failure.Error(), r.Failure.Command)
				}
			}
		})
	}
}

// Whatever breaks a promise must be found, and what it does not need must go.
func TestAFailureIsShrunkAndRepeated(t *testing.T) {
	config := Config{Seed: 5, Profile: "even"}
	config.spoil = func(w *world) {
		for _, a := range w.acked {
			if a.seq > 5 { // as a server that forgets what it has acknowledged would look
				w.fail(&invariant.Violation{Invariant: "Y2", Text: "spoilt"})
			}
		}
	}
	failed := Run(t.Context(), config)
	if failed.Failure == nil {
		t.Fatal("what was spoilt is not found")
	}
	small := Shrink(t.Context(), config, &failed)
	again := Run(t.Context(), small)
	if again.Failure == nil || again.Failure.Invariant != "Y2" || len(again.Failure.History) > len(failed.Failure.History)/4 {
		t.Fatalf("of %d decisions %d are left: %+v", len(failed.Failure.History), len(again.Failure.History), again.Failure)
	}
	if !strings.Contains(again.Failure.Command, "--seed 5 --profile even --without ") {
		t.Errorf("it is repeated by %q", again.Failure.Command)
	}
}

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
