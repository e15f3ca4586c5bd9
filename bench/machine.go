// SPDX-License-Identifier: Apache-2.0

// Figures of the machine, taken in the same run, so that ratios can be read: a shared disk and two shared cores are not
// the same from one hour to the next.

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Machine is what the machine can do at all.
type Machine struct {
	FdatasyncP50Ms float64 `json:"fdatasyncP50Ms"` // one append of 1 KB made durable
	EchoPerSecond  float64 `json:"echoPerSecond"`  // round trips of 150 bytes over one TCP connection
	EchoP50Ms      float64 `json:"echoP50Ms"`
}

const (
	probeFor        = 700 * time.Millisecond
	probeAppendSize = 1 << 10
	probeEchoSize   = 150
)

// MeasureMachine takes the figures, with files in dir (on the disk that the server uses). It takes about 1.5 s.
func MeasureMachine(ctx context.Context, dir string) (Machine, error) {
	syncs, err := probeFdatasync(ctx, dir)
	if err != nil {
		return Machine{}, fmt.Errorf("bench: measure the disk: %w", err)
	}
	echoes, err := probeEcho(ctx)
	if err != nil {
		return Machine{}, fmt.Errorf("bench: measure TCP: %w", err)
	}
	return Machine{
		FdatasyncP50Ms: milliseconds(median(syncs)),
		EchoPerSecond:  float64(len(echoes)) / probeFor.Seconds(),
		EchoP50Ms:      milliseconds(median(echoes)),
	}, nil
}

func probeFdatasync(ctx context.Context, dir string) ([]time.Duration, error) {
	file, err := os.CreateTemp(dir, "fdatasync-probe-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	record := make([]byte, probeAppendSize)
	return probe(ctx, func() error {
		if _, err := file.Write(record); err != nil {
			return err
		}
		return syscall.Fdatasync(int(file.Fd()))
	})
}

func probeEcho(ctx context.Context) ([]time.Duration, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	var group errgroup.Group
	group.Go(func() error { return echo(listener) })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	out, in := make([]byte, probeEchoSize), make([]byte, probeEchoSize)
	times, err := probe(ctx, func() error {
		if _, err := conn.Write(out); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, in)
		return err
	})
	return times, errors.Join(err, conn.Close(), group.Wait())
}

// echo answers one connection until it is closed.
func echo(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	buffer := make([]byte, probeEchoSize)
	for {
		if _, err := io.ReadFull(conn, buffer); err != nil {
			return nil // closed
		}
		if _, err := conn.Write(buffer); err != nil {
			return nil
		}
	}
}

// probe repeats what for a while and returns how long each took.
func probe(ctx context.Context, what func() error) ([]time.Duration, error) {
	var times []time.Duration
	for begin := time.Now(); time.Since(begin) < probeFor; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at := time.Now()
		if err := what(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(at))
	}
	return times, nil
}

func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[len(times)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// allocatedBytes is what a file takes on disk, up to its end.
func allocatedBytes(info fs.FileInfo) uint64 {
	length := uint64(info.Size())
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(length, uint64(stat.Blocks)*512) // less where it has holes
	}
	return length
}
