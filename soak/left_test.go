// SPDX-License-Identifier: Apache-2.0

// Nothing goes on when a test run is ended in the middle: no server, no device, no run.

package soak

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SIGQUIT ends a program as a panic does, and as `go test -timeout` does.
func TestNothingIsLeftOfATestThatIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs servers")
	}
	program := newConfig(t, 1).Program
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGQUIT, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			mark := fmt.Sprintf("TIDEMARK_SOAK_MARK=%d of %d", signal, os.Getpid())
			test := exec.Command(os.Args[0], "-test.run", "^TestSoak$")
			test.Env = append(os.Environ(), mark, "TMPDIR="+t.TempDir(), forVariable+"=1h", seedVariable+"=1", programVariable+"="+program)
			test.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err := test.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = test.Process.Kill() }()
			running := func() []string { return withMark(t, mark) }
			until(t, "the test, the run, the server, and a device of each user", running, func(found []string) bool {
				return len(found) >= 3+5 && slices.ContainsFunc(found, func(p string) bool { return strings.Contains(p, " serve ") })
			})
			if err := test.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = test.Wait() // it was killed
			until(t, "nothing", running, func(found []string) bool { return len(found) == 0 })
		})
	}
}

// until looks at what runs until it is what is wanted. It gives up after so long that no machine can be the reason.
func until(t *testing.T, want string, running func() []string, is func([]string) bool) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		found := running()
		if is(found) {
			return
		}
		if time.Since(begin) > 5*time.Minute {
			t.Fatalf("these run: %q; wanted: %s", found, want)
		}
	}
}

// withMark are the commands of the processes whose environment has mark, which all inherit from the first.
func withMark(t *testing.T, mark string) (commands []string) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range found {
		environment, err := os.ReadFile(filepath.Join(process, "environ"))
		if err != nil || !bytes.Contains(append(environment, 0), []byte(mark+"\x00")) {
			continue // gone, or somebody else's
		}
		command, _ := os.ReadFile(filepath.Join(process, "cmdline")) // of what has just ended it is empty
		commands = append(commands, strings.ReplaceAll(strings.TrimRight(string(command), "\x00"), "\x00", " "))
	}
	return commands
}
