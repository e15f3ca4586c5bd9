// SPDX-License-Identifier: Apache-2.0

// A server whose clock can be set. libfaketime cannot do that to a Go program: the runtime asks the kernel's vDSO itself,
// past every library that could be put before. So the binary is built with one change to package time of the standard library,
// by go build's -overlay: its wall clock is that of the machine plus a number of seconds that stands in a file. The monotonic
// clock goes on undisturbed, as it does when somebody sets a machine's clock.

package soak

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clockVariable names the file with the seconds, 8 bytes, for a server built by [Build].
const clockVariable = "TIDEMARK_SOAK_CLOCK"

// steppedSource is the file that is put beside package time.
const steppedSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var soakStep = func() *int64 {
	path, found := syscall.Getenv("` + clockVariable + `")
	if !found {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("the file of the clock: " + err.Error())
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("the file of the clock: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}()

func stepped(sec int64, nsec int32, mono int64) (int64, int32, int64) {
	return sec + atomic.LoadInt64(soakStep), nsec, mono
}
`

// Build builds cmd/tidemark of the module in dir as program, with a clock that can be set. Whatever it needs beside is put
// into work.
func Build(ctx context.Context, dir, work, program string) error {
	answer, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("soak: go env: %w", err)
	}
	place := filepath.Join(strings.TrimSpace(string(answer)), "src", "time")
	source, err := os.ReadFile(filepath.Join(place, "time.go"))
	if err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	before, after, found := strings.Cut(string(source), "\nfunc Now() Time {\n")
	const asks = "runtimeNow()"
	if !found || !strings.Contains(after, asks) {
		return errors.New("soak: time.Now of this Go is not as expected: adapt soak/clock.go")
	}
	changed := filepath.Join(work, "time.go")
	added := filepath.Join(work, "stepped.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(place, "time.go"): changed, filepath.Join(place, "stepped.go"): added,
	}})
	if err != nil {
		return err
	}
	for path, text := range map[string]string{
		changed: before + "\nfunc Now() Time {\n" + strings.Replace(after, asks, "stepped("+asks+")", 1),
		added:   steppedSource, filepath.Join(work, "overlay.json"): string(overlay),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("soak: %w", err)
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-overlay", filepath.Join(work, "overlay.json"), "-o", program, "./cmd/tidemark")
	build.Dir = dir
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
