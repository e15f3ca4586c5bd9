// SPDX-License-Identifier: Apache-2.0

// A server: opening its parts in order, serving, and closing them in the reverse order.

package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/api"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/store"
)

// phase of a server's life; it only rises.
type phase int32

const (
	starting phase = iota
	serving
	draining
)

// Server is one node: everything between the port and the disk. Make it with [New], then call Run once.
type Server struct {
	config   Config
	phase    atomic.Int32
	started  time.Time
	created  bool // the data directory is new
	db       *store.DB
	set      *partition.Set
	registry *session.Registry
	sockets  *gateway.WebSocket
	backups  backups
	metrics  *metrics
	listener net.Listener
	debug    net.Listener // nil: none
	http     *http.Server
	ending   chan struct{} // closed when draining begins
}

// New opens the data directory and the port. On an error nothing stays open and nothing was changed, except that a new
// data directory may have been made. Close it by Run, or by [Server.Close] if Run is never called.
func New(config Config) (*Server, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	s := &Server{config: config, started: config.Now(), ending: make(chan struct{})}
	listener, err := listen(config.Listen)
	if err != nil {
		return nil, err
	}
	s.listener = listener
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open opens everything behind the port.
func (s *Server) open() (err error) {
	c := &s.config
	if c.DebugListen != "" {
		if s.debug, err = listen(c.DebugListen); err != nil {
			return err
		}
	}
	s.db, err = store.Open(store.Config{
		Dir: c.DataDir, Partitions: c.Partitions, CacheBytes: c.CacheBytes, Log: c.Log, NowMs: c.nowMs, Entropy: c.Entropy,
	})
	if err != nil {
		return err
	}
	auth, err := gateway.NewAuth(gateway.AuthConfig{
		Dir: c.DataDir, AdminKey: c.Keys.Admin, HS256Secret: c.Keys.HS256Secret, PublicKeys: c.Keys.PublicKeys,
		JWKSURL: c.Keys.JWKSURL, Issuer: c.Keys.Issuer, Audience: c.Keys.Audience, NowMs: c.nowMs, Log: c.Log,
		Revoked: func(user tidemark.UserID, device tidemark.DeviceID) (fromMs, anyFromMs uint64, err error) {
			return s.set.TokensFrom(user, device) // there is one by the time that somebody comes with a token
		},
	})
	if err != nil {
		return err
	}
	_, s.created = auth.AdminKey()
	s.metrics = newMetrics(s)
	var commits journal.Journal = journal.NewLocal(s.db)
	if c.wrapJournal != nil {
		commits = c.wrapJournal(commits)
	}
	devices, err := c.Devices.policy(c.Limits.DevicesMax)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.DataDir, "seal.key")); c.TakeBack > 0 && errors.Is(err, fs.ErrNotExist) {
		c.Log.Warn("there is no seal.key in the data directory, without which nothing can be taken back: put the one of the backup there and start again")
	}
	sealKey, err := gateway.SealKey(c.DataDir, c.Log)
	if err != nil {
		return err
	}
	s.set, err = partition.Open(partition.Config{
		DB: s.db, Journal: s.metrics.measured(commits), Limits: c.Limits, NowMs: c.nowMs, Entropy: c.Entropy, Log: c.Log,
		Devices:      devices,
		ContactsOnly: c.ContactsOnly,
		SealKey:      sealKey, TakeBackUntilMs: uint64(c.TakeBack.Milliseconds()), TakeBackNowMs: s.sinceStartMs(),
	})
	if err != nil {
		return err
	}
	s.registry = session.NewRegistry()
	s.sockets, err = gateway.NewWebSocket(gateway.Config{
		Auth: auth, Set: s.set, Registry: s.registry, Limits: c.Limits, HeartbeatMs: uint32(c.Heartbeat.Milliseconds()),
		Grace: c.Drain, SpreadMs: uint32(c.Spread.Milliseconds()), ConnectionsMax: c.ConnectionsMax,
		ConnectionsPerUserMax: c.ConnectionsPerUserMax, ConnectionsPerAddressMax: c.ConnectionsPerAddressMax,
		FramesPerSecond: c.FramesPerSecond, Origins: c.Origins, Proxies: c.Proxies, NowMs: c.nowMs, Log: c.Log,
	})
	if err != nil {
		return err
	}
	return s.route(auth)
}

// route makes the HTTP handler.
func (s *Server) route(auth *gateway.Auth) error {
	openAPI, err := openAPIHandler(s.config.Version)
	if err != nil {
		return err
	}
	calls := api.New(api.Config{
		Set: s.set, Registry: s.registry, Auth: auth, Log: s.config.Log, Proxies: s.config.Proxies,
		Calls: rate(s.config.CallsPerSecond, 200, 2), Failures: rate(s.config.FailuresPerSecond, 5, 10),
		Ending: s.ending, NowMs: s.config.nowMs, Observe: s.metrics.observeCall,
		Version: s.config.Version, StartedMs: uint64(s.started.UnixMilli()),
		State: func() string { state, _ := s.state(); return state }, Disk: s.disk, Checkpoint: s.backup,
	})
	mux := http.NewServeMux()
	for _, service := range api.Services() {
		mux.Handle("/"+service+"/", withOrigins(s.config.Origins, calls))
	}
	mux.Handle("GET /v1/connect", s.sockets)
	mux.HandleFunc("GET /healthz", handleHealth)
	mux.HandleFunc("GET /readyz", s.handleReady)
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.HandleFunc("GET /openapi.yaml", openAPI)
	mux.HandleFunc("/", s.handleHome)
	s.http = newHTTPServer(mux, s.config.Log)
	return nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is how to reach the server from this machine, without a slash at the end.
func (s *Server) URL() string { return urlOf(s.listener.Addr()) }

// state is what the server does, and whether it accepts writes.
func (s *Server) state() (state string, ready bool) {
	switch phase(s.phase.Load()) {
	case starting:
		return "starting", false
	case draining:
		return "draining", false
	}
	if err := s.set.Health(); err != nil {
		return "stopped writing: " + err.Error(), false
	}
	return "serving", true
}

// disk is what the data takes, and what is left, bytes.
func (s *Server) disk() (used, free uint64) {
	m := s.db.Metrics()
	return m.DiskBytes, m.FreeBytes
}

// Run serves until ctx ends, then drains: it tells that it is not ready, says goodbye to connections, lets calls finish,
// and closes everything. It returns an error when a part failed, or when closing did.
func (s *Server) Run(ctx context.Context) error {
	base := context.WithoutCancel(ctx) // what is in flight outlives ctx
	commits, stopCommits := context.WithCancel(base)
	edge, stopEdge := context.WithCancel(base)
	defer stopCommits()
	defer stopEdge()

	failed := make(chan error, 4)
	var below, above sync.WaitGroup
	run := func(group *sync.WaitGroup, part func() error) {
		group.Go(func() {
			if err := part(); err != nil {
				failed <- err
			}
		})
	}
	run(&below, func() error { return s.set.Run(commits) })
	run(&below, func() error { s.db.Run(commits); return nil })
	run(&above, func() error { return s.sockets.Run(edge) })
	run(&below, func() error { return serve(s.http, s.listener) })
	var debug *http.Server
	if s.debug != nil {
		debug = newDebugServer(s.config.Log)
		run(&below, func() error { return serve(debug, s.debug) })
	}
	s.announce()
	defer s.tellTakeBack()()

	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
		s.config.Log.Error("a part of the server failed; shutting down", "err", cause)
	}
	s.phase.Store(int32(draining))
	s.config.Log.Info("draining", "sessions", s.registry.Count())
	close(s.ending)
	stopEdge()
	above.Wait()
	cause = errors.Join(cause, s.finishCalls(base, debug))
	stopCommits()
	below.Wait()
	if cause == nil && len(failed) == 0 {
		s.flush(base)
	}
	err := errors.Join(cause, s.Close())
	s.config.Log.Info("closed")
	return err
}

// flushMax is how long an ordered end may take to write out what is in memory.
const flushMax = 5 * time.Second

// flush writes what is only in the log to tables, whose sums are checked at every read, so that the next start has nothing
// to replay. It is not needed for durability, and does not happen after a failure or where the disk is nearly full.
func (s *Server) flush(ctx context.Context) {
	if s.set.Health() != nil || s.db.LowSpace() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushMax)
	defer cancel()
	if err := s.db.Flush(ctx); err != nil {
		s.config.Log.Warn("the log was not written out to tables; the next start will read it", "err", err)
	}
}

// serve is http.Server.Serve without the error that only says that it was closed.
func serve(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("server: serve %s: %w", listener.Addr(), err)
	}
	return nil
}

// finishCalls stops taking calls and waits for those in flight; those that take longer than Drain are broken off.
func (s *Server) finishCalls(ctx context.Context, debug *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Drain)
	defer cancel()
	if debug != nil {
		_ = debug.Close() // a profile being taken is of no value any more
	}
	if err := s.http.Shutdown(ctx); err != nil {
		s.config.Log.Warn("calls were broken off at shutdown", "err", err)
		return s.http.Close()
	}
	return nil
}

// announce tells that the server is ready, and at the first start how to begin.
func (s *Server) announce() {
	s.phase.CompareAndSwap(int32(starting), int32(serving))
	meta := s.db.Meta()
	s.config.Log.Info("serving", "address", s.listener.Addr().String(), "data", s.config.DataDir, "epoch", uint64(meta.Epoch), "partitions", meta.Partitions)
	if s.created {
		s.tellFirstSteps()
	}
	_, _ = fmt.Fprintf(s.config.Out, "listening on %s\n", s.URL()) // who does not read it need not
}

// sinceStartMs is a clock that begins now and that setting the system's does not move: a machine whose clock is put right
// after the start must neither end taking back at once nor keep others from writing for days.
func (s *Server) sinceStartMs() func() uint64 {
	begun := s.config.Now()
	return func() uint64 { return uint64(max(s.config.Now().Sub(begun), 0).Milliseconds()) }
}

// tellTakeBack tells that lost events are taken back, and when that is over. stop must be called.
func (s *Server) tellTakeBack() (stop func() bool) {
	left := time.Duration(s.set.TakeBackMs()) * time.Millisecond
	if left == 0 {
		return func() bool { return false }
	}
	s.config.Log.Warn("lost events are taken back, nothing else is written", "for", left)
	return time.AfterFunc(left, func() {
		events, conversations := s.set.TakenBack()
		s.config.Log.Info("lost events are taken back no longer", "events", events, "conversations", conversations)
	}).Stop
}

// tellFirstSteps tells how to begin, with the shorter form of the path to the admin key.
func (s *Server) tellFirstSteps() {
	path := filepath.Join(s.config.DataDir, "admin.key")
	if relative, err := filepath.Rel(".", path); err == nil && len(relative) < len(path) {
		path = relative
	}
	_, _ = fmt.Fprintf(s.config.Err, firstSteps, path, s.URL())
}

const firstSteps = `This is the first start. The key of the app's back end is in %[1]s; begin with:
  curl -s %[2]s/tidemark.v1.UserService/Upsert -H "Authorization: Bearer $(cat %[1]s)" \
    -H 'Content-Type: application/json' -d '{"user":{"id":"alice","nickname":"Alice"}}'
More at %[2]s/
`

// Close closes what New opened. Run does it by itself.
func (s *Server) Close() error {
	var errs []error
	for _, listener := range []net.Listener{s.listener, s.debug} {
		if listener == nil {
			continue
		}
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
		s.db = nil
	}
	return errors.Join(errs...)
}
