// SPDX-License-Identifier: Apache-2.0

// The soak against the real binary: short runs of fixed seeds in every test run, half an hour of a random one by `make soak`.

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A device that is a process, and the process of a run, are this test's program.
func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(DeviceVariable) != "":
		err = Device(context.Background(), os.Stdin, os.Stdout)
	case os.Getenv(RunVariable) != "":
		err = errors.Join(Inside(context.Background(), os.Stdin, os.Stdout), goleak.Find())
	default:
		goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
			if place := binaries; place != nil {
				if err := place.Remove(); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}
			os.Exit(code)
		}))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// What decides the form of TestSoak; `make soak` sets them.
const (
	forVariable     = "TIDEMARK_SOAK"         // how long things break: "30m"; unset: the short form
	seedVariable    = "TIDEMARK_SOAK_SEED"    // repeat this run
	programVariable = "TIDEMARK_SOAK_PROGRAM" // this binary, as it is; unset: one is built, with a clock that can be set
	spoilVariable   = "TIDEMARK_SOAK_SPOIL"   // "off": no network changes what others write
)

// shortForm is how long things break in each run of every test run.
const shortForm = 25 * time.Second

// shortSeeds are the runs of every test run: always the same, so that what fails in one place can be repeated in another. Their
// plans for the server have, together and within [shortForm], everything that can be done to it.
var shortSeeds = []uint64{145, 193, 216}

func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than a minute")
	}
	lasts, seeds := shortForm, shortSeeds
	repeat := seedVariable + "=%d go test -count=1 -v -run '^TestSoak$' ./soak"
	if given := os.Getenv(seedVariable); given != "" {
		seed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		seeds = []uint64{seed}
	}
	if long := os.Getenv(forVariable); long != "" {
		var err error
		if lasts, err = time.ParseDuration(long); err != nil {
			t.Fatalf("%s: %v", forVariable, err)
		}
		if os.Getenv(seedVariable) == "" {
			seeds = []uint64{rand.Uint64() >> 32}
		}
		repeat = "make soak FOR=" + long + " SEED=%d"
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			config := newConfig(t, seed)
			config.For, config.Spoil = lasts, os.Getenv(spoilVariable) != "off"
			fmt.Printf("seed %d, everything in %s\n", seed, config.Dir)
			report, err := Boxed(t.Context(), config.Device, config)
			if report != nil && (err != nil || testing.Verbose()) {
				report.Print(os.Stdout)
			}
			if err != nil {
				t.Fatalf("%v\n\nrepeat with: "+repeat, err, seed)
			}
			if report.Acknowledged == 0 || len(report.Faults) == 0 {
				t.Errorf("nothing was held to anything: %+v", report)
			}
		})
	}
}

// newConfig makes the place of a run, which is kept when the test fails, and the server's binary.
func newConfig(t *testing.T, seed uint64) Config {
	t.Helper()
	place, err := NewPlace(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end := place.Remove
		if t.Failed() {
			end = place.Keep
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	config := Config{Dir: place.Dir, Seed: seed, Device: []string{os.Args[0]}, Progress: os.Stdout}
	if config.Program = os.Getenv(programVariable); config.Program == "" {
		config.Stepped = true
		if config.Program, err = built(); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// binaries is where built has put its program, once it was called.
var binaries *Place

// built builds the server once for all tests.
var built = sync.OnceValues(func() (string, error) {
	place, err := NewPlace(os.TempDir())
	if err != nil {
		return "", err
	}
	binaries = place
	program := filepath.Join(place.Dir, "tidemark")
	return program, Build(context.Background(), "..", place.Dir, program)
})
