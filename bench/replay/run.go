// SPDX-License-Identifier: Apache-2.0

// The course of a replay: prepare, fire, wait until all is quiet, check.

package replay

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/bench"
)

// Config describes a replay. Program, Dir and Script are required.
type Config struct {
	Program  string        // path of the tidemark binary
	Dir      string        // empty directory for the server's data and the devices' files
	Script   Script        // what is said
	Seed     uint64        // decides when the server is killed and when devices come and go
	Kills    int           // how often the server is killed while lines remain
	Progress io.Writer     // nil: silent
	QuietMax time.Duration // how long all devices may take to agree when everything is said; 0: 2 min
}

// Report is what happened.
type Report struct {
	Lines    int // said by first devices
	Visits   int // times that a device came and went, a line each
	Kills    []Kill
	Fire     time.Duration // from the first line to the last acknowledgement
	Quiet    time.Duration // until every device had everything
	Verified string        // last line of tidemark verify
}

// Kill is one end of the server.
type Kill struct {
	At           time.Duration // since the first line
	Acknowledged int64         // lines acknowledged by then
	Down         time.Duration // until the server listened again
}

// run is one replay.
type run struct {
	Config
	begin        time.Time
	server       *bench.Server // owned by prepare, then by the killer, then by finish
	url          string        // the same for every incarnation
	app          *bench.App
	members      []bench.Member
	devices      []*device
	visitors     []*visitor
	thresholds   map[int64]struct{} // numbers of acknowledgements at which the server dies
	kill         chan struct{}
	acknowledged atomic.Int64
	report       Report

	mu   sync.Mutex
	sent map[string][]sent // device -> what it sent, in order
}

// sent is a line that a device gave to its outbox.
type sent struct {
	conversation string
	clientID     tidemark.ClientID
	text         string
	seq          tidemark.Seq // as acknowledged; 0 where the device was gone before it heard
}

// Run plays the script. An error means that a promise was broken, or that the replay could not be run.
func Run(ctx context.Context, config Config) (*Report, error) {
	if config.QuietMax == 0 {
		config.QuietMax = 2 * time.Minute
	}
	r := &run{Config: config, sent: map[string][]sent{}, kill: make(chan struct{}, config.Kills)}
	r.report.Lines = len(config.Script.Lines)
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	defer func() { r.server.Kill() }()
	defer r.app.Close()
	if err := r.play(ctx); err != nil {
		return nil, fmt.Errorf("%w\n\nthe server's last words:\n%s", err, r.server.Log())
	}
	if err := r.server.Stop(time.Minute); err != nil {
		return nil, err
	}
	if err := r.verify(ctx); err != nil {
		return nil, err
	}
	return &r.report, nil
}

// play runs the devices, the authors and the killer, and checks when all is said.
func (r *run) play(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	defer func() { cancel(); _ = group.Wait() }()
	for _, d := range r.devices {
		group.Go(func() error { return d.run(ctx) })
	}
	fire, fireCtx := errgroup.WithContext(ctx)
	r.begin = time.Now()
	for author := range r.Script.Authors {
		fire.Go(func() error { return r.speak(fireCtx, author) })
	}
	over := make(chan struct{})
	var visiting errgroup.Group
	for _, v := range r.visitors {
		visiting.Go(func() error { return v.comeAndGo(ctx, over) })
	}
	fire.Go(func() error { return r.killer(fireCtx) })
	group.Go(func() error {
		err := fire.Wait()
		close(over)
		if visitErr := visiting.Wait(); err == nil {
			err = visitErr
		}
		if err != nil {
			return err
		}
		r.report.Fire = time.Since(r.begin)
		r.say("all %d lines are acknowledged after %s and %d kills", r.acknowledged.Load(), r.report.Fire.Round(time.Millisecond), len(r.report.Kills))
		err = r.settle(ctx)
		cancel()
		return err
	})
	return group.Wait()
}

// prepare starts the server and makes users, conversations and devices.
func (r *run) prepare(ctx context.Context) error {
	server, err := bench.StartServer(ctx, bench.ServerConfig{Program: r.Program, DataDir: filepath.Join(r.Dir, "server"), Args: []string{"--log-level", "warn"}})
	if err != nil {
		return err
	}
	r.server, r.url = server, server.URL
	if err := r.people(ctx); err != nil {
		server.Kill()
		return err
	}
	r.thresholds = map[int64]struct{}{}
	random := rand.New(rand.NewPCG(r.Seed, 2))
	for len(r.thresholds) < min(r.Kills, len(r.Script.Lines)-1) {
		r.thresholds[1+random.Int64N(int64(len(r.Script.Lines)-1))] = struct{}{}
	}
	return nil
}

// people makes the users and conversations, and the devices with nothing in them.
func (r *run) people(ctx context.Context) (err error) {
	if r.app, err = bench.NewApp(&r.server.Target); err != nil {
		return err
	}
	if r.members, err = r.app.MakeUsers(ctx, r.Script.Authors); err != nil {
		return err
	}
	for _, conversation := range r.Script.Conversations {
		if err := r.app.MakeGroup(ctx, conversation, r.Script.Authors...); err != nil {
			return err
		}
	}
	return r.makeDevices()
}

// killer ends the server each time enough was acknowledged, and starts it again.
func (r *run) killer(ctx context.Context) error {
	random := rand.New(rand.NewPCG(r.Seed, 3))
	for range len(r.thresholds) {
		select {
		case <-r.kill:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := pause(ctx, time.Duration(random.Int64N(int64(20*time.Millisecond)))); err != nil {
			return err
		}
		killed := Kill{At: time.Since(r.begin), Acknowledged: r.acknowledged.Load()}
		r.server.Kill()
		begin := time.Now()
		if err := pause(ctx, time.Duration(random.Int64N(int64(150*time.Millisecond)))); err != nil {
			return err
		}
		if err := r.restart(ctx); err != nil {
			return err
		}
		killed.Down = time.Since(begin)
		r.report.Kills = append(r.report.Kills, killed)
		r.say("kill %d of %d at %s: %d of %d lines acknowledged, listening again after %s", len(r.report.Kills), len(r.thresholds),
			killed.At.Round(time.Millisecond), killed.Acknowledged, r.report.Lines, killed.Down.Round(time.Millisecond))
	}
	return nil
}

// restart starts the server again where it was.
func (r *run) restart(ctx context.Context) error {
	at, err := url.Parse(r.url)
	if err != nil {
		return err
	}
	server, err := bench.StartServer(ctx, bench.ServerConfig{
		Program: r.Program, DataDir: r.server.DataDir, Listen: at.Host, AdminKey: r.server.AdminKey, Args: []string{"--log-level", "warn"},
	})
	if err != nil {
		return fmt.Errorf("replay: after a kill: %w", err)
	}
	r.server = server
	return nil
}

// count notes that one more line was acknowledged, and wakes the killer where that is a moment to die.
func (r *run) count() {
	n := r.acknowledged.Add(1)
	if _, die := r.thresholds[n]; die {
		r.kill <- struct{}{}
	}
}

// verify runs tidemark verify on the stopped server's data.
func (r *run) verify(ctx context.Context) error {
	var err error
	if r.report.Verified, err = bench.Verify(ctx, r.Program, r.server.DataDir); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	r.say("tidemark verify: %s", r.report.Verified)
	return nil
}

func (r *run) say(format string, args ...any) {
	if r.Progress != nil {
		fmt.Fprintf(r.Progress, format+"\n", args...)
	}
}

// pause waits, or returns why it must not go on.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
