// SPDX-License-Identifier: Apache-2.0

// A run in a process of its own, so that nothing of it can be left behind: it has its own view of what is mounted, and its small
// disk goes when the last process that sees it ends; its processes end with it, however it ends. Only its directory stays after a
// run that was killed: the next one finds it by its name and removes it.

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// RunVariable is set in the environment of a process that is to do a run: its program calls [Inside].
const RunVariable = "TIDEMARK_SOAK_RUN"

// outcome is what the process tells in the end, in a file of the run's directory.
type outcome struct {
	Report *Report
	Error  string // "": none
}

// outcomePath is where.
func outcomePath(dir string) string { return filepath.Join(dir, "outcome.json") }

// Boxed is [Run] in a process of its own. Its command calls [Inside] where [RunVariable] is set.
func Boxed(ctx context.Context, command []string, config Config) (*Report, error) {
	given, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	input, err := os.CreateTemp(config.Dir, "config")
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	defer input.Close()
	if _, err := input.Write(given); err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	process, err := startBoxed(ctx, command, input, config.Progress)
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	ended := process.Wait()
	var found outcome
	text, err := os.ReadFile(outcomePath(config.Dir))
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("soak: the run ended without a word: %w", errors.Join(context.Cause(ctx), ended))
	case found.Error != "":
		return found.Report, errors.New(found.Error)
	}
	return found.Report, ended
}

// startBoxed starts the process with a view of mounts of its own: as root, or as root of a user namespace of its own. Where
// neither is allowed it shares the machine's, and then it mounts nothing.
func startBoxed(ctx context.Context, command []string, input *os.File, output io.Writer) (*exec.Cmd, error) {
	own := syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		own.Cloneflags = syscall.CLONE_NEWUSER
		own.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		own.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	for _, box := range []struct {
		kind       string
		attributes syscall.SysProcAttr
	}{{boxOwn, own}, {boxShared, syscall.SysProcAttr{}}} {
		if _, err := input.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		process := exec.CommandContext(ctx, command[0], command[1:]...)
		process.Env = append(os.Environ(), RunVariable+"="+box.kind)
		process.Stdin, process.Stdout, process.Stderr = input, output, output
		process.SysProcAttr = &box.attributes
		process.SysProcAttr.Pdeathsig = syscall.SIGKILL
		err := process.Start()
		if err == nil {
			return process, nil
		}
		if box.kind == boxShared || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EINVAL) {
			return nil, err
		}
	}
	return nil, errors.ErrUnsupported // not reached: the last one starts or fails
}

// What RunVariable says: whether the process may mount.
const (
	boxOwn    = "own"    // what it mounts nobody else sees
	boxShared = "shared" // it sees what the machine has mounted
)

// Inside does the run whose configuration is read from in. It returns when that is done; how it went, [Boxed] tells.
func Inside(ctx context.Context, in io.Reader, progress io.Writer) error {
	var config Config
	if err := json.NewDecoder(in).Decode(&config); err != nil {
		return fmt.Errorf("soak: configuration of a run: %w", err)
	}
	config.Progress, config.mounts = progress, os.Getenv(RunVariable) == boxOwn
	var found outcome
	report, err := Run(ctx, config)
	if found.Report = report; err != nil {
		found.Error = err.Error()
	}
	text, err := json.Marshal(found)
	if err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	return os.WriteFile(outcomePath(config.Dir), text, 0o600)
}

// The names of directories of runs, and of the file in them that is locked by whoever made it while a run lasts.
const (
	placePattern = "tidemark-soak-"
	placeLock    = "running"
)

// Place is a directory for a run.
type Place struct {
	Dir  string
	lock *os.File
}

// NewPlace makes a directory for a run in parent, and removes those of runs that were killed: nobody holds their locks any
// more. End the place with [Place.Keep] or [Place.Remove].
func NewPlace(parent string) (*Place, error) {
	old, err := filepath.Glob(filepath.Join(parent, placePattern+"*"))
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	for _, dir := range old {
		if err := sweep(dir); err != nil {
			return nil, fmt.Errorf("soak: what an earlier run has left: %w", err)
		}
	}
	dir, err := os.MkdirTemp(parent, placePattern)
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	// Under another name until it is locked, so that nobody takes it for an old one.
	lock, err := os.OpenFile(filepath.Join(dir, "new"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err == nil {
		err = os.Rename(lock.Name(), filepath.Join(dir, placeLock))
	}
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	return &Place{dir, lock}, nil
}

// sweep removes the directory of a run that was killed; others it leaves alone.
func sweep(dir string) error {
	lock, err := os.Open(filepath.Join(dir, placeLock))
	if errors.Is(err, os.ErrNotExist) {
		return nil // kept, or just being made
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil // it runs
		}
		return err
	}
	return os.RemoveAll(dir)
}

// Keep ends the place and leaves everything for whoever wants to look into it.
func (p *Place) Keep() error {
	return errors.Join(os.Remove(filepath.Join(p.Dir, placeLock)), p.lock.Close())
}

// Remove ends the place, with all that is in it.
func (p *Place) Remove() error {
	return errors.Join(os.RemoveAll(p.Dir), p.lock.Close())
}
