// SPDX-License-Identifier: Apache-2.0

// A server whose clock can be set. libfaketime cannot do that to a Go program: the runtime asks the kernel's vDSO itself,
// past every library that could be put before. But every time that the server stores, tells or compares with a stored one comes
// from one place, Now of its configuration. So the binary is built with that one line changed, by go build's -overlay: its wall
// clock is that of the machine plus a number of seconds that stands in a file. What it measures with the monotonic clock goes on
// undisturbed, as it does when somebody sets a machine's clock.

package soak

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// clockVariable names the file with the seconds, 8 bytes, for a server built by [Build].
const clockVariable = "TIDEMARK_SOAK_CLOCK"

// The line of the server's configuration that is changed, and to what.
const (
	systemClock = "c.Now = time.Now\n"
	setClock    = "c.Now = soakClock\n"
)

// clockSource is the file that is put beside it.
const clockSource = `package server

import (
	"encoding/binary"
	"os"
	"time"
)

var soakFile = func() *os.File {
	path := os.Getenv("` + clockVariable + `")
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		panic("the file of the clock: " + err.Error())
	}
	return file
}()

func soakClock() time.Time {
	now := time.Now()
	if soakFile == nil {
		return now
	}
	var ahead [8]byte
	if _, err := soakFile.ReadAt(ahead[:], 0); err != nil {
		panic("the file of the clock: " + err.Error())
	}
	return now.Round(0).Add(time.Duration(int64(binary.NativeEndian.Uint64(ahead[:]))) * time.Second)
}
`

// Build builds cmd/tidemark of the module in dir as program, with a clock that can be set. Whatever it needs beside is put
// into work.
func Build(ctx context.Context, dir, work, program string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	config := filepath.Join(dir, "server", "config.go")
	source, err := os.ReadFile(config)
	if err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	if n := strings.Count(string(source), systemClock); n != 1 {
		return fmt.Errorf("soak: server/config.go takes the system's clock at %d places, not at one: adapt soak/clock.go", n)
	}
	changed, added, overlay := filepath.Join(work, "config.go"), filepath.Join(work, "clock.go"), filepath.Join(work, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{
		config: changed, filepath.Join(dir, "server", "soak_clock.go"): added,
	}})
	if err != nil {
		return err
	}
	for path, text := range map[string]string{
		changed: strings.Replace(string(source), systemClock, setClock, 1), added: clockSource, overlay: string(replace),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("soak: %w", err)
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-overlay", overlay, "-o", program, "./cmd/tidemark")
	build.Dir, build.SysProcAttr = dir, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("soak: build the server: %w\n%s", err, output)
	}
	return nil
}

// clock is the clock of a server, as far as it differs from this machine's.
type clock struct{ path string }

// makeClock makes a clock that is right.
func makeClock(path string) (*clock, error) {
	c := &clock{path}
	return c, c.set(0)
}

// set makes the server's clock differ by so much from now on; it may be called at any time.
func (c *clock) set(ahead time.Duration) error {
	file, err := os.OpenFile(c.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("soak: clock: %w", err)
	}
	defer file.Close()
	_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(ahead/time.Second))), 0)
	return err
}
