// SPDX-License-Identifier: Apache-2.0

// The course of a run: make the world, let it break, let it be calm, check.

package soak

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/sim/invariant"
)

// Config of a run. Program, Device, Dir and For are required.
type Config struct {
	Program  string        // path of the tidemark binary
	Stepped  bool          // it was built by [Build]: its clock can be set
	Device   []string      // command of a process that calls [Device]
	Dir      string        // directory for the server's data, the devices' files and the log of what happened
	Seed     uint64        // decides what is said and what breaks when
	For      time.Duration // how long things break
	Patience int           // rounds of questions in which nothing moves, after which devices that do not agree never will; 0: 100, and 200 for each minute of For, up to 5
	Users    int           // 0: 5
	Pace     time.Duration // a device does something so often, on average; 0: 150 ms
	Spoil    bool          // the network of one device, which is not encrypted, changes what others write
	Progress io.Writer     `json:"-"` // nil: silent

	mounts bool // it may mount: nobody else sees it
	lies   lies // of tests, which show that the checks can fail
}

// lies are what becomes of a server's promises in tests of the checks. The zero value changes nothing.
type lies struct {
	// connection is put between the server and whoever listens to a device's WebSocket connection; nil: nothing is.
	connection func(who invariant.Who, body io.ReadWriteCloser) io.ReadWriteCloser
	// ended is called between an end of the server and its next start, with the directory of its data; nil: nothing is.
	ended func(data string) error
	// calm is called when nothing breaks any more; nil: nothing is.
	calm func(ctx context.Context, a *app) error
}

// run is one run.
type run struct {
	Config
	begin   time.Time
	users   []string
	groups  []string
	checker *invariant.Checker
	ledger  *ledger
	journal *journal // what happened, in a file
	server  *server
	app     *app
	keepers []*keeper
	counts  Counts
	taps    atomic.Uint64
	appNet  *Proxy

	// What was found in the calm.
	calm                            time.Duration
	conversations, events, messages int
	spoiled                         int // texts shown other than written, where the network spoils them
	verified                        string

	mu     sync.Mutex
	faults map[string]int // how often each was made
}

// names of users.
var names = []string{"ann", "bob", "cyd", "dee", "eve", "fay", "gus", "hal"}

// Run does a run. An error means that a promise was broken, or that the run could not be done; the report is there in
// both cases, as far as it came.
func Run(ctx context.Context, config Config) (*Report, error) {
	if config.Patience == 0 {
		config.Patience = patienceFew + int(min(config.For, pauseMax)/roundPause)
	}
	if config.Users == 0 {
		config.Users = 5
	}
	if config.Users > len(names) {
		return nil, fmt.Errorf("soak: at most %d users", len(names))
	}
	r := &run{Config: config, begin: time.Now(), checker: invariant.New(), ledger: newLedger(), faults: map[string]int{}}
	for i := range config.Users {
		r.users = append(r.users, names[i])
	}
	r.groups = []string{"harbour", "pier", "reef"}
	journal, err := openJournal(filepath.Join(config.Dir, "what-happened.jsonl"), r.begin)
	if err != nil {
		return nil, err
	}
	r.journal = journal
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	err = r.do(ctx, group)
	cancel()
	if stopped := group.Wait(); err == nil || errors.Is(err, context.Canceled) {
		err = errors.Join(err, stopped)
	}
	if r.server != nil {
		r.server.end(err != nil)
	}
	report := r.report()
	return report, errors.Join(r.explain(err), journal.close())
}

func (r *run) pace() time.Duration {
	if r.Pace > 0 {
		return r.Pace
	}
	return 150 * time.Millisecond
}

// do is the run itself. What it starts belongs to group and ends with ctx.
func (r *run) do(ctx context.Context, group *errgroup.Group) error {
	if err := r.prepare(ctx, group); err != nil {
		return err
	}
	calm, worked := make(chan struct{}), make(chan struct{})
	breaking, during := errgroup.WithContext(ctx) // the first that finds something ends all
	until := time.Now().Add(r.For)
	breaking.Go(func() error { return r.breakServer(during, until) })
	breaking.Go(func() error { return r.breakNetworks(during, until) })
	breaking.Go(func() error { return r.breakDevices(during, ctx, until) })
	group.Go(func() error { defer close(worked); r.work(ctx, calm); return nil })
	group.Go(func() error { r.progress(ctx, calm); return nil })
	err := breaking.Wait()
	close(calm)
	if err != nil {
		return err
	}
	<-worked // a call that is under way may still write
	return r.settle(ctx)
}

// prepare starts the server, the networks and the devices.
func (r *run) prepare(ctx context.Context, group *errgroup.Group) error {
	var err error
	if r.server, err = newServer(r); err != nil {
		return err
	}
	if err := r.server.start(ctx); err != nil {
		return err
	}
	var url string
	if r.appNet, url, err = r.network(ctx, group, invariant.Who{}, nil, 0); err != nil {
		return err
	}
	r.app = newApp(url, r.server.key)
	tokens := map[string]string{}
	for _, user := range r.users {
		if tokens[user], err = r.app.make(ctx, user); err != nil {
			return err
		}
	}
	for _, id := range r.groups {
		if err := r.app.group(ctx, id, r.users); err != nil {
			return err
		}
	}
	certificate, err := newCertificate()
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(r.Seed, 2))
	for i, user := range r.users {
		for j, device := range []string{"phone", "laptop", "tablet"}[:2+i%2] {
			k := &keeper{group: group, hear: r.hear, observer: r.checker, checks: true, config: DeviceConfig{
				Token: tokens[user], User: user, Device: device, Seed: random.Uint64(), Pace: r.pace(), Groups: r.groups,
				Sleepy: random.IntN(6) == 0,
			}}
			for _, peer := range r.users {
				if peer != user {
					k.config.Peers = append(k.config.Peers, peer)
				}
			}
			if j == 0 {
				k.program, k.config.Store = r.Device, filepath.Join(r.Dir, user+"-"+device+".db")
			}
			secure := (i+j)%2 == 0
			var front *tls.Config
			if secure {
				k.config.Roots, front = certificate.roots, certificate.config
			}
			if k.proxy, k.config.URL, err = r.network(ctx, group, invariant.Who{User: tidemark.UserID(user), Device: tidemark.DeviceID(device)}, front, random.Uint64()); err != nil {
				return err
			}
			// Without encryption only the chain finds what was changed on the way: one device shows that it does.
			k.checks = !(r.Spoil && i == len(r.users)-1 && !secure)
			r.keepers = append(r.keepers, k)
			if err := k.start(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// network makes a way from a device to the server: a proxy that breaks, the end of encryption where there is any, and a tap at
// the server's door.
func (r *run) network(ctx context.Context, group *errgroup.Group, who invariant.Who, secure *tls.Config, seed uint64) (*Proxy, string, error) {
	door, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("soak: %w", err)
	}
	tap := &http.Server{Handler: newTap(who, r.checker, &r.taps, r.server.dial, r.lies.connection), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	group.Go(func() error {
		if err := tap.Serve(door); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("soak: tap: %w", err)
		}
		return nil
	})
	group.Go(func() error { <-ctx.Done(); return tap.Close() })
	scheme, target := "http", door.Addr().String()
	if secure != nil {
		scheme = "https"
		front, err := NewProxy(ctx, dialTo(target), secure, seed, &Counts{})
		if err != nil {
			return nil, "", err
		}
		group.Go(func() error { return front.Run(ctx) })
		target = front.Address()
	}
	proxy, err := NewProxy(ctx, dialTo(target), nil, seed, &r.counts)
	if err != nil {
		return nil, "", err
	}
	group.Go(func() error { return proxy.Run(ctx) })
	return proxy, scheme + "://" + proxy.Address(), nil
}

// hear takes in what a device tells.
func (r *run) hear(k *keeper, t Told) {
	user, device := k.config.User, k.config.Device
	switch t.Kind {
	case Arrives:
		r.ledger.arrived(user, t, !k.checks)
	case Rewritten:
		r.ledger.rewritten(user, device, t, !k.checks)
	case Opens:
		r.checker.Stored(k.who(), *t.Cursor)
	case Stops:
		r.fault("device gave up: " + t.Text)
	default:
		r.ledger.hear(user, device, t)
	}
	r.journal.write(k.name(), t)
}

// fault counts what was broken, and notes it.
func (r *run) fault(what string) {
	r.mu.Lock()
	r.faults[what]++
	r.mu.Unlock()
	r.journal.write("world", what)
}

// progress says now and then how it goes.
func (r *run) progress(ctx context.Context, calm <-chan struct{}) {
	ticker := time.NewTicker(20 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l := r.ledger
			l.mu.Lock()
			text := fmt.Sprintf("%d tries, %d acknowledged, %d refused, %d shown", l.Tried, l.Acked, l.Refused, l.Arrived)
			l.mu.Unlock()
			r.mu.Lock()
			kinds := 0
			for _, n := range r.faults {
				kinds += n
			}
			r.mu.Unlock()
			r.say("%6s  %s, %d faults, %d connections", time.Since(r.begin).Round(time.Second), text, kinds, r.counts.Connections.Load())
		case <-calm:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) say(format string, args ...any) {
	if r.Progress != nil {
		fmt.Fprintf(r.Progress, format+"\n", args...)
	}
}

// broken is the first promise that was seen broken, by the checkers or by the users.
func (r *run) broken() error {
	if v := r.checker.Violation(); v != nil {
		return v
	}
	if list := r.ledger.violations(); len(list) > 0 {
		return list[0]
	}
	return nil
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
