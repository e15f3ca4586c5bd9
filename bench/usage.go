// SPDX-License-Identifier: Apache-2.0

// What the server's process uses, read from /proc, and what its data takes on disk.

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Usage is what a process has used since it started.
type Usage struct {
	At       time.Time
	CPU      time.Duration // user and system, in steps of 10 ms
	RSSBytes uint64        // resident now
	LoadCPU  time.Duration // what this process, which makes the load, has used: user and system
}

// tickOfCPU is the unit of processor times in /proc: the kernel shows 100 a second on every architecture.
const tickOfCPU = 10 * time.Millisecond

// Usage reads what the server's process has used; ok is false where the process is not known.
func (t *Target) Usage() (usage Usage, ok bool) {
	if t.PID == 0 {
		return Usage{At: time.Now(), LoadCPU: ownCPU()}, false
	}
	usage, err := processUsage(t.PID)
	usage.LoadCPU = ownCPU()
	return usage, err == nil
}

// ownCPU is the processor time of this process, user and system.
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func processUsage(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	// The command name, in brackets, may contain anything; after it come the state (field 3) and the numbers.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return Usage{}, fmt.Errorf("bench: /proc/%d/stat has %d fields", pid, len(fields)+2)
	}
	number := func(field int) uint64 { // field as numbered in proc(5)
		n, _ := strconv.ParseUint(string(fields[field-3]), 10, 64)
		return n
	}
	return Usage{
		At:       time.Now(),
		CPU:      time.Duration(number(14)+number(15)) * tickOfCPU,
		RSSBytes: number(24) * uint64(os.Getpagesize()),
	}, nil
}

// diskBytes is what a directory's files take on disk, without room that is only reserved behind their ends: the store
// reserves some 70 MB for each of its logs, which would hide everything else in a short run.
func diskBytes(dir string) uint64 {
	var total uint64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // the store deletes files while we look
				return nil
			}
			return err
		}
		if info, err := entry.Info(); err == nil && entry.Type().IsRegular() {
			total += allocatedBytes(info)
		}
		return nil
	})
	return total
}
