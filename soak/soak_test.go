// SPDX-License-Identifier: Apache-2.0

// The soak against the real binary: two minutes in every test run, half an hour by `make soak`.

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

// shortForm is how long things break in every test run.
const shortForm = 95 * time.Second

func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes two minutes")
	}
	config := newConfig(t, seed(t))
	config.For, config.Spoil = shortForm, os.Getenv(spoilVariable) != "off"
	repeat := fmt.Sprintf("%s=%d go test -count=1 -v -run '^TestSoak$' ./soak", seedVariable, config.Seed)
	if long := os.Getenv(forVariable); long != "" {
		var err error
		if config.For, err = time.ParseDuration(long); err != nil {
			t.Fatalf("%s: %v", forVariable, err)
		}
		repeat = fmt.Sprintf("make soak FOR=%s SEED=%d", long, config.Seed)
	}
	fmt.Printf("seed %d, everything in %s\n", config.Seed, config.Dir)
	ctx, cancel := context.WithTimeout(t.Context(), config.For+10*time.Minute)
	defer cancel()
	report, err := Boxed(ctx, config.Device, config)
	if report != nil && (err != nil || testing.Verbose()) {
		report.Print(os.Stdout)
	}
	if err != nil {
		t.Fatalf("%v\n\nrepeat with: %s", err, repeat)
	}
	if report.Acknowledged == 0 || report.Starts < 2 {
		t.Errorf("nothing was held to anything: %+v", report)
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
