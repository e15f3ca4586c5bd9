// SPDX-License-Identifier: Apache-2.0

// The soak against the real binary: two minutes in every test run, half an hour by `make soak`.

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-im/tidemark/sim/invariant"
)

// A device that is a process is this test's program.
func TestMain(m *testing.M) {
	if os.Getenv(DeviceVariable) != "" {
		if err := Device(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// What decides the form of TestSoak; `make soak` sets them.
const (
	forVariable     = "TIDEMARK_SOAK"         // how long things break: "30m"; unset: the short form
	seedVariable    = "TIDEMARK_SOAK_SEED"    // repeat this run
	programVariable = "TIDEMARK_SOAK_PROGRAM" // this binary, as it is; unset: one is built, in the long form with a clock that can be set
	spoilVariable   = "TIDEMARK_SOAK_SPOIL"   // "on": the network of one device, which is not encrypted, changes what others write
	stepsVariable   = "TIDEMARK_SOAK_STEPS"   // "off": no steps of the clock in the long form, whose binary takes minutes to build the first time
)

func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes two minutes")
	}
	config := Config{Seed: seed(t), For: 75 * time.Second, Device: []string{os.Args[0]}, Progress: os.Stdout, Spoil: os.Getenv(spoilVariable) == "on"}
	repeat := fmt.Sprintf("%s=%d go test -count=1 -v -run '^TestSoak$' ./soak", seedVariable, config.Seed)
	if long := os.Getenv(forVariable); long != "" {
		var err error
		if config.For, err = time.ParseDuration(long); err != nil {
			t.Fatalf("%s: %v", forVariable, err)
		}
		config.Stepped = os.Getenv(stepsVariable) != "off" && os.Getenv(programVariable) == ""
		repeat = fmt.Sprintf("make soak FOR=%s SEED=%d", long, config.Seed)
	}
	var err error
	if config.Dir, err = os.MkdirTemp("", "tidemark-soak-"); err != nil {
		t.Fatal(err)
	}
	if config.Program = os.Getenv(programVariable); config.Program == "" {
		config.Program = filepath.Join(t.TempDir(), "tidemark")
		build(t, config)
	}
	fmt.Printf("seed %d, everything in %s\n", config.Seed, config.Dir)
	ctx, cancel := context.WithTimeout(t.Context(), config.For+10*time.Minute)
	defer cancel()
	report, err := Run(ctx, config)
	if report != nil && (err != nil || testing.Verbose()) {
		report.Print(os.Stdout)
	}
	if err != nil {
		var v *invariant.Violation
		if errors.As(err, &v) {
			t.Errorf("broken promise %s", v.Invariant)
		}
		t.Fatalf("%v\n\nrepeat with: %s", err, repeat)
	}
	if err := os.RemoveAll(config.Dir); err != nil {
		t.Error(err)
	}
	if report.Acknowledged == 0 || report.Starts < 2 {
		t.Errorf("nothing was held to anything: %+v", report)
	}
}

func build(t *testing.T, config Config) {
	t.Helper()
	if config.Stepped {
		if err := Build(t.Context(), "..", t.TempDir(), config.Program); err != nil {
			t.Fatal(err)
		}
		return
	}
	command := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", config.Program, "../cmd/tidemark")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, output)
	}
}

func seed(t *testing.T) uint64 {
	t.Helper()
	given := os.Getenv(seedVariable)
	if given == "" {
		return rand.Uint64() >> 32
	}
	seed, err := strconv.ParseUint(given, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	return seed
}
