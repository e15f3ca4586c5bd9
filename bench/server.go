// SPDX-License-Identifier: Apache-2.0

// The server under test, as another process: started, found ready, stopped or killed, and never left behind.

package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ServerConfig says how to start a server process.
type ServerConfig struct {
	Program  string        // path of the tidemark binary; required
	DataDir  string        // its data directory; required
	Listen   string        // host:port; "": a free port of 127.0.0.1
	AdminKey string        // "": a random one
	Args     []string      // more flags of serve
	Env      []string      // more of its environment, as NAME=value
	Log      io.Writer     // the process's standard error; nil: the last 64 KiB are kept for error messages
	ReadyMax time.Duration // how long it may take to listen; 0: 60 s
}

// Target is a server to put load on.
type Target struct {
	URL      string // http://host:port
	AdminKey string
	DataDir  string // "" where unknown: then disk use is not reported
	PID      int    // 0 where unknown: then processor time and memory are not reported

	machine *Machine // measured by the first benchmark
}

// Server is a server process. Its methods may be called from any goroutine.
type Server struct {
	Target
	command *exec.Cmd
	exited  chan struct{} // closed when the process has ended and was waited for
	err     error         // how it ended; read after exited is closed
	log     *Tail
}

// StartServer starts `tidemark serve` and returns when it listens. The process ends with Stop or Kill, or at the latest with this one.
func StartServer(ctx context.Context, config ServerConfig) (*Server, error) {
	if config.AdminKey == "" {
		config.AdminKey = randomKey()
	}
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	if config.ReadyMax == 0 {
		config.ReadyMax = time.Minute
	}
	s := &Server{exited: make(chan struct{}), log: &Tail{}}
	announced := &announcement{found: make(chan string, 1)}
	args := []string{"serve", "--data", config.DataDir, "--listen", config.Listen, "--frames-per-second=-1"} // few users make all the load
	s.command = exec.Command(config.Program, append(args, config.Args...)...)
	s.command.Env = append(append(os.Environ(), "TIDEMARK_ADMIN_KEY="+config.AdminKey), config.Env...)
	s.command.Stdout, s.command.Stderr = announced, io.Writer(s.log)
	if config.Log != nil {
		s.command.Stderr = io.MultiWriter(s.log, config.Log)
	}
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("bench: start %s: %w", config.Program, err)
	}
	go s.wait()
	timeout := time.NewTimer(config.ReadyMax)
	defer timeout.Stop()
	select {
	case url := <-announced.found:
		s.Target = Target{URL: url, AdminKey: config.AdminKey, DataDir: config.DataDir, PID: s.command.Process.Pid}
		return s, nil
	case <-s.exited:
		return nil, fmt.Errorf("bench: the server ended before it listened: %w\n%s", s.endedWith(), s.log)
	case <-timeout.C:
		s.Kill()
		return nil, fmt.Errorf("bench: the server did not listen within %s\n%s", config.ReadyMax, s.log)
	case <-ctx.Done():
		s.Kill()
		return nil, ctx.Err()
	}
}

// wait reaps the process; it ends when the process does.
func (s *Server) wait() {
	s.err = s.command.Wait()
	close(s.exited)
}

func (s *Server) endedWith() error {
	if s.err == nil {
		return errors.New("exit status 0")
	}
	return s.err
}

// Exited is closed when the process has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Log returns the last of what the process wrote to its standard error.
func (s *Server) Log() string { return s.log.String() }

// Kill ends the process as `kill -9` does, and returns when it is gone.
func (s *Server) Kill() {
	_ = s.command.Process.Kill() // an error means that it is gone already
	<-s.exited
}

// Stop asks the process to end, and kills it where that takes longer than patience. It reports how it ended.
func (s *Server) Stop(patience time.Duration) error {
	_ = s.command.Process.Signal(syscall.SIGTERM) // an error means that it is gone already
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-s.exited:
	case <-timeout.C:
		s.Kill()
		return fmt.Errorf("bench: the server did not stop within %s and was killed\n%s", patience, s.log)
	}
	if s.err != nil {
		return fmt.Errorf("bench: the server stopped with %w\n%s", s.err, s.log)
	}
	return nil
}

// Verify runs `tidemark verify`, which does not outlive this process, on the data of a server that is not running. It returns the last line of what that says; what
// it finds wrong is an error.
func Verify(ctx context.Context, program, dataDir string) (string, error) {
	command := exec.CommandContext(ctx, program, "verify", "--data", dataDir)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tidemark verify: %w\n%s", err, output)
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return lines[len(lines)-1], nil
}

func randomKey() string {
	var key [16]byte
	_, _ = rand.Read(key[:]) // it never fails: crypto/rand ends the program instead
	return hex.EncodeToString(key[:])
}

// announcement looks for the line "listening on URL" in what is written to it, and passes over the rest.
type announcement struct {
	found chan string
	line  []byte
	done  bool
}

// Write implements io.Writer.
func (a *announcement) Write(p []byte) (int, error) {
	if a.done {
		return len(p), nil
	}
	a.line = append(a.line, p...)
	for {
		line, rest, complete := bytes.Cut(a.line, []byte("\n"))
		if !complete {
			return len(p), nil
		}
		a.line = rest
		if _, url, ok := strings.Cut(string(line), "listening on "); ok {
			a.done = true
			a.found <- strings.TrimSpace(url)
			return len(p), nil
		}
	}
}

// tailBytesMax is how much of a process's error output is kept.
const tailBytesMax = 64 << 10

// Tail keeps the last 64 KiB of what is written to it. Its methods may be called from any goroutine.
type Tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write implements io.Writer.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*tailBytesMax {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-tailBytesMax:]...)
	}
	return len(p), nil
}

// String returns what was kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept[max(0, len(t.kept)-tailBytesMax):])
}
