// SPDX-License-Identifier: Apache-2.0

// The server of a run, over its deaths.

package soak

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/tidemark-im/tidemark/bench"
	"github.com/tidemark-im/tidemark/sim/invariant"
)

// server is the server of a run. All but dial is for one goroutine.
type server struct {
	run     *run
	process *bench.Server // nil: dead
	key     string
	dir     string
	mounted bool   // dir is a file system of its own, which can be full
	why     string // why it is not
	clock   *clock // nil: it cannot be set
	log     *os.File
	started int
	checks  int // times that verify found nothing wrong

	mu      sync.Mutex
	address string // where it listens; "": it does not
}

// diskBytes is the size of the disk that can be full.
const diskBytes = 1 << 30

// newServer makes a place for the server's data: if it may, a small file system of its own.
func newServer(r *run) (*server, error) {
	s := &server{run: r, dir: filepath.Join(r.Dir, "server")}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // it never fails: crypto/rand ends the program instead
	s.key = hex.EncodeToString(random[:])
	if !r.mounts {
		s.why = "this user may not have a view of mounts of its own"
	} else if err := mountSmall(s.dir, diskBytes); err != nil {
		s.why = err.Error()
	} else {
		s.mounted = true
	}
	if r.Stepped {
		var err error
		if s.clock, err = makeClock(filepath.Join(r.Dir, "clock")); err != nil {
			return nil, errors.Join(err, s.unmount())
		}
	}
	var err error
	if s.log, err = os.OpenFile(filepath.Join(r.Dir, "server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("soak: %w", err), s.unmount())
	}
	return s, nil
}

// mountSmall mounts a file system in memory that has room for so many bytes. It needs the right to mount, see [Boxed].
func mountSmall(dir string, size int) error {
	if err := syscall.Mount("tidemark-soak", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		return fmt.Errorf("mount a small file system: %w", err)
	}
	return nil
}

func (s *server) unmount() error {
	if !s.mounted {
		return nil
	}
	s.mounted = false
	return syscall.Unmount(s.dir, syscall.MNT_DETACH)
}

// dial connects to the server that runs now.
func (s *server) dial(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	address := s.address
	s.mu.Unlock()
	if address == "" {
		return nil, errors.New("soak: the server is down")
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// data is the directory of the server's data.
func (s *server) data() string { return filepath.Join(s.dir, "data") }

// start starts the server.
func (s *server) start(ctx context.Context) error {
	var env []string
	if s.clock != nil {
		env = []string{clockVariable + "=" + s.clock.path}
	}
	process, err := bench.StartServer(ctx, bench.ServerConfig{
		Program: s.run.Program, DataDir: s.data(), AdminKey: s.key, Log: s.log, Env: env, ReadyMax: answerMax,
		Args: []string{"--log-level", "warn", "--partitions", "4", "--heartbeat", "2s", "--drain", "2s", "--spread", "500ms", "--cache-bytes", "8388608"},
	})
	if err != nil {
		return err
	}
	s.process = process
	s.started++
	s.mu.Lock()
	s.address = strings.TrimPrefix(process.URL, "http://")
	s.mu.Unlock()
	return nil
}

// down notes that the server is gone.
func (s *server) down() {
	s.mu.Lock()
	s.address = ""
	s.mu.Unlock()
	s.run.checker.Happened(invariant.Incident{Kind: invariant.Crashed})
	s.process = nil
}

// kill ends it as `kill -9` does.
func (s *server) kill() {
	s.process.Kill()
	s.down()
}

// stop ends it in good order.
func (s *server) stop() error {
	err := s.process.Stop(answerMax)
	s.down()
	return err
}

// end ends it however it stands, and gives up its disk; what is on it is kept beside it where that is wanted.
func (s *server) end(keep bool) {
	if s.process != nil {
		s.kill()
	}
	_ = s.log.Close()
	if keep && s.mounted {
		_ = os.CopyFS(filepath.Join(s.run.Dir, "server-data"), os.DirFS(s.data())) // as far as it goes
	}
	_ = s.unmount() // it goes with the last process that sees it at the latest
}

// verify runs `tidemark verify` on the data of the dead server.
func (s *server) verify(ctx context.Context) (string, error) {
	said, err := bench.Verify(ctx, s.run.Program, s.data())
	if err != nil {
		return "", fmt.Errorf("soak: S12: %w", err)
	}
	s.checks++
	return said, nil
}
