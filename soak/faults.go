// SPDX-License-Identifier: Apache-2.0

// What breaks, and when: the server, the networks and the devices, each in a loop of its own.

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// between is a random time.
func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)))
}

// breakServer breaks the server and mends it again, until the time is over; then it runs and its clock is right.
func (r *run) breakServer(ctx context.Context, until time.Time) error {
	random := rand.New(rand.NewPCG(r.Seed, 10))
	if err := r.started(ctx); err != nil {
		return err
	}
	for time.Now().Before(until) {
		if err := pause(ctx, between(random, 500*time.Millisecond, 6*time.Second)); err != nil {
			return err
		}
		if err := r.breakOnce(ctx, random); err != nil {
			return err
		}
		if err := r.broken(); err != nil {
			return err
		}
	}
	if r.server.clock != nil {
		return r.server.clock.set(0)
	}
	return nil
}

// breakOnce does one thing to the server.
func (r *run) breakOnce(ctx context.Context, random *rand.Rand) error {
	s := r.server
	switch n := random.IntN(100); {
	case n < 45:
		return r.killServer(ctx, random)
	case n < 65:
		r.fault("server: SIGSTOP, then SIGCONT")
		stopped := between(random, 50*time.Millisecond, 7*time.Second)
		if err := syscall.Kill(s.process.PID, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("soak: SIGSTOP: %w", err)
		}
		waited := pause(ctx, stopped)
		return errors.Join(waited, syscall.Kill(s.process.PID, syscall.SIGCONT))
	case n < 77:
		r.fault("server: restart in good order")
		if err := s.stop(); err != nil {
			return err
		}
		return r.startAgain(ctx)
	case n < 90 && s.clock != nil:
		// Minutes and days, back and forth; more often than not it comes back to where it was.
		ahead := []time.Duration{0, 0, -90 * time.Second, time.Hour, -26 * time.Hour, 5 * time.Second, -3 * time.Second}[random.IntN(7)]
		r.fault(fmt.Sprintf("server: clock set to %v from the right time", ahead))
		return s.clock.set(ahead)
	case s.mounted:
		return r.fillDisk(ctx, random)
	}
	return nil
}

// killServer ends the server with SIGKILL; now and then once more while it starts.
func (r *run) killServer(ctx context.Context, random *rand.Rand) error {
	r.fault("server: kill -9")
	r.server.kill()
	if err := pause(ctx, between(random, 0, 400*time.Millisecond)); err != nil {
		return err
	}
	if random.IntN(4) == 0 {
		r.fault("server: tidemark verify after a crash")
		if _, err := r.server.verify(ctx); err != nil {
			return err
		}
	}
	if random.IntN(4) == 0 {
		r.fault("server: kill -9 while it starts")
		starting, cancel := context.WithTimeout(ctx, between(random, time.Millisecond, 150*time.Millisecond))
		err := r.server.start(starting)
		cancel()
		if err == nil {
			r.server.kill()
		} else if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return r.startAgain(ctx)
}

// startAgain starts the server and tells the checkers.
func (r *run) startAgain(ctx context.Context) error {
	if r.lies.ended != nil {
		if err := r.lies.ended(r.server.data()); err != nil {
			return err
		}
	}
	begin := time.Now()
	if err := r.server.start(ctx); err != nil {
		return err
	}
	r.journal.write("world", fmt.Sprintf("the server listens again after %v", time.Since(begin).Round(time.Millisecond)))
	return r.started(ctx)
}

// started asks the server that listens under which epoch it runs, and tells the checkers.
func (r *run) started(ctx context.Context) error {
	direct := newApp(r.server.process.URL, r.server.key)
	defer direct.Close()
	var stats *wire.StatsResponse
	err := persist(ctx, func(ctx context.Context) (err error) {
		stats, err = direct.Admin.Stats(ctx, &wire.StatsRequest{})
		return err
	})
	if err != nil {
		return fmt.Errorf("soak: the server that listens does not answer: %w", err)
	}
	r.checker.Happened(invariant.Incident{Kind: invariant.Started, Epoch: epochOf(stats)})
	return nil
}

// fillDisk takes all room from the server, and gives it back. A server that does not go on by itself is restarted, which must
// be enough.
func (r *run) fillDisk(ctx context.Context, random *rand.Rand) error {
	r.fault("server: disk full, then room again")
	ballast := filepath.Join(r.server.dir, "ballast")
	if err := fill(ballast); err != nil {
		return err
	}
	waited := pause(ctx, between(random, 500*time.Millisecond, 4*time.Second))
	if died := r.ended(); died {
		r.fault("server: ended by itself on a full disk")
	}
	if random.IntN(3) == 0 && r.server.process != nil {
		r.fault("server: kill -9 on a full disk")
		r.server.kill()
	}
	if err := errors.Join(waited, os.Remove(ballast)); err != nil {
		return err
	}
	if r.server.process == nil {
		return r.startAgain(ctx)
	}
	for range 20 {
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
		if r.serving(ctx) {
			r.fault("server: went on by itself when there was room")
			return nil
		}
	}
	r.fault("server: restarted after a full disk")
	if err := r.server.stop(); err != nil {
		return err
	}
	return r.startAgain(ctx)
}

// ended reports whether the server's process is gone, and takes note of it.
func (r *run) ended() bool {
	select {
	case <-r.server.process.Exited():
		r.server.down()
		return true
	default:
		return false
	}
}

// serving reports whether the server writes.
func (r *run) serving(ctx context.Context) bool {
	direct := newApp(r.server.process.URL, r.server.key)
	defer direct.Close()
	stats, err := direct.Admin.Stats(ctx, &wire.StatsRequest{})
	return err == nil && stats.State == "serving"
}

// fill writes a file until there is no room on its disk.
func fill(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	defer file.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := file.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2] // to the last byte
		} else if err != nil {
			return fmt.Errorf("soak: fill the disk: %w", err)
		}
	}
	return nil
}

// breakNetworks changes the weather of one network after the other, until the time is over; then all are good.
func (r *run) breakNetworks(ctx context.Context, until time.Time) error {
	random := rand.New(rand.NewPCG(r.Seed, 11))
	proxies := []*Proxy{r.appNet}
	for _, k := range r.keepers {
		proxies = append(proxies, k.proxy)
	}
	for time.Now().Before(until) {
		if err := pause(ctx, between(random, 100*time.Millisecond, time.Second)); err != nil {
			return err
		}
		n := random.IntN(len(proxies))
		encrypted, spoiled := n > 0 && r.keepers[n-1].config.Roots != "", n > 0 && !r.keepers[n-1].checks
		what, weather := r.weather(random, encrypted, spoiled)
		r.fault("network: " + what)
		if n > 0 {
			r.journal.write("world", "of "+r.keepers[n-1].name())
		}
		proxies[n].Set(weather)
		if random.IntN(3) == 0 {
			r.fault("network: cut")
			proxies[n].Cut()
		}
	}
	for _, p := range proxies {
		p.Set(Weather{})
		p.Cut()
	}
	return nil
}

// weather is what a network does from now on.
func (r *run) weather(random *rand.Rand, encrypted, spoiled bool) (string, Weather) {
	mark := []byte(nil)
	if spoiled {
		mark = []byte(spoilMark)
	}
	switch n := random.IntN(100); {
	case n < 35 && spoiled:
		return "one letter of every text changed", Weather{Spoil: mark}
	case n < 35:
		return "good", Weather{}
	case n < 50:
		return "delays", Weather{Delay: between(random, 5*time.Millisecond, 400*time.Millisecond), Spoil: mark}
	case n < 60:
		return "slow", Weather{BytesPerSecond: 2_000 + random.IntN(100_000), Spoil: mark}
	case n < 70:
		up := random.IntN(3)
		return "half-open", Weather{HoldUp: up != 1, HoldDown: up != 0}
	case n < 77:
		return "no new connections", Weather{Refuse: true}
	case n < 88:
		return "cut again and again", Weather{CutAfter: 200 + random.IntN(20_000)}
	case encrypted:
		return "bytes changed, under encryption", Weather{FlipEvery: 300 + random.IntN(20_000)}
	}
	return "delays", Weather{Delay: between(random, time.Millisecond, 50*time.Millisecond), Spoil: mark}
}

// breakDevices kills devices and brings them back, until the time is over or ctx ends; then all live. What it starts lives
// until life ends.
func (r *run) breakDevices(ctx, life context.Context, until time.Time) error {
	random := rand.New(rand.NewPCG(r.Seed, 12))
	for time.Now().Before(until) {
		if err := pause(ctx, between(random, 200*time.Millisecond, 2*time.Second)); err != nil {
			return err
		}
		k := r.keepers[random.IntN(len(r.keepers))]
		what := "device: closed and opened again"
		switch {
		case k.over.Load():
			what = "device: opened again after it had given up"
			k.crash()
		case random.IntN(3) > 0 && k.program != nil:
			what = "device: kill -9"
			k.crash()
		case random.IntN(3) > 0:
			what = "device: crash, its store in memory kept as it was"
			k.crash()
		default:
			if err := k.stop(); err != nil {
				return err
			}
		}
		r.fault(what)
		r.journal.write("world", "of "+k.name())
		if k.err != nil && k.program == nil {
			return fmt.Errorf("soak: device %s: %w", k.name(), k.err)
		}
		if err := pause(ctx, between(random, 0, time.Second)); err != nil {
			return err
		}
		if err := k.start(life); err != nil {
			return err
		}
	}
	return nil
}
