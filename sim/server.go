// SPDX-License-Identifier: Apache-2.0

// One server process: a store on the disk, partitions that are stepped, the sessions of its connections.

package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/store"
)

// dataDir is the data directory on the simulated disk.
const dataDir = "data"

// server is one process. A crash or a stop ends it for good: the next one is another server on what the disk has.
type server struct {
	w        *world
	disk     *disk
	db       *store.DB
	set      *partition.Set
	registry *session.Registry
	entropy  *rand.ChaCha8
	up       bool
	stepping bool                // a partition is in the middle of a step
	durable  []tidemark.Position // by partition: of the last commit that succeeded
	stepAt   []uint64            // by partition: when it is stepped next; 0: not planned
	conns    []*conn             // that it knows
	endings  []*partition.Ending // of accounts
	backUp   int                 // the moment of the next commit at which a backup is made; 0: none is
}

// start opens a server on a disk. An error that the disk's own trouble explains is no failure of the world.
func (w *world) start(mem *vfs.MemFS) (*server, error) {
	w.processes++
	s := &server{w: w, disk: &disk{mem: mem}}
	var key [32]byte
	for i := range key {
		key[i] = byte(w.chance.entropy.Uint32())
	}
	s.entropy = rand.NewChaCha8(key)
	db, err := store.Open(store.Config{
		Dir: dataDir, FS: s.disk.fs(), Partitions: w.profile.Partitions, CacheBytes: 1 << 20, NowMs: w.serverMs, Entropy: s.entropy,
	})
	if err != nil {
		return nil, fmt.Errorf("the server does not open its data: %w", err)
	}
	s.db = db
	s.set, err = partition.Open(partition.Config{
		DB: db, Journal: unhurried{journal.NewLocal(db), s}, NowMs: w.serverMs, Entropy: s.entropy, Limits: w.profile.Limits,
		QueueMax: w.profile.QueueMax, BatchMax: w.profile.BatchMax, Cache: w.profile.Cache,
		SealKey: w.sealKey(mem), TakeBackUntilMs: w.takeBackUntil(),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server does not begin: %w", err), db.Close())
	}
	s.registry, s.up = session.NewRegistry(), true
	s.stepAt, s.durable = make([]uint64, s.set.Partitions()), make([]tidemark.Position, s.set.Partitions())
	return s, nil
}

// serverMs is the server's clock.
func (w *world) serverMs() uint64 { return uint64(int64(w.nowMs) + w.serverSkewMs) }

// wake lets the sessions that have something be asked for it.
func (s *server) wake() {
	for _, c := range s.conns {
		c.drainSoon()
	}
}

// poke lets the partitions be stepped soon: something may be queued. Sessions that have something are asked for it.
func (s *server) poke() {
	s.wake()
	for n := range s.stepAt {
		s.stepBy(uint32(n), s.w.nowMs+s.w.delay(s.w.profile.StepMs))
	}
}

// stepBy plans a step of a partition, unless there is an earlier one.
func (s *server) stepBy(n uint32, atMs uint64) {
	if at := s.stepAt[n]; at != 0 && at <= atMs {
		return
	}
	s.stepAt[n] = atMs
	s.w.at(atMs, func() {
		if s.up && s.stepAt[n] == atMs {
			s.stepAt[n] = 0
			s.step(n)
		}
	})
}

// step is one batch of a partition.
func (s *server) step(n uint32) {
	w, p := s.w, s.set.At(n)
	before := p.Published()
	s.stepping = true
	did := p.Step(w.serverMs())
	s.stepping = false
	if left := s.disk.left(); left != nil {
		w.trace.add("torn", uint64(n), uint64(before))
		w.crash(left, "in the middle of a commit")
		return
	}
	if after := p.Published(); after != before {
		w.checkCommits(n)
		w.checkAnew()
		w.counts.Commits++
		w.trace.add("commit", uint64(n), uint64(after))
		w.say(about{}, "partition %d commits position %d", n, after)
	}
	w.checkWakes()
	s.wake()
	switch {
	case did:
		s.stepBy(n, w.nowMs+w.delay(w.profile.StepMs))
	default:
		if due, ok := p.Due(); ok {
			s.stepBy(n, w.nowMs+max(1, due-min(due, w.serverMs())))
		}
	}
}

// look does what Run of a set does beside its loops, again and again.
func (s *server) look() {
	if !s.up {
		return
	}
	for s.set.Fulfil() {
		continue
	}
	s.set.StepWatches(s.w.serverMs())
	s.conns = slices.DeleteFunc(s.conns, func(c *conn) bool { return c.over })
	s.poke() // the clock may have jumped past something that is due
	s.w.after(500+s.w.delay(500), s.look)
}

// submit queues a command; false: there was no room, or it was refused at once, which done is told.
func (s *server) submit(cmd core.Command, done func(core.Reply)) {
	if !s.set.Offer(cmd, s.answered(done)) {
		done(core.Reply{Err: tidemark.Refuse(tidemark.Unavailable, "the queue is full")})
	}
	s.poke()
}

// close ends the process's hold of memory. What it still writes goes where nobody reads.
func (s *server) close() {
	s.up = false
	for _, c := range s.conns {
		c.serverGone()
	}
	for _, e := range s.endings {
		e.Close()
	}
	s.conns, s.endings = nil, nil
	_ = s.db.Close() // of a disk that is thrown away, or has failed
}

// crash ends the server at once, with what is left of the disk.
func (w *world) crash(left *vfs.MemFS, how string) {
	s := w.server
	w.server = nil
	w.counts.Crashes++
	w.trace.add("crash", w.nowMs, 0)
	w.say(about{}, "the server crashes %s", how)
	w.observer.Happened(invariant.Incident{Kind: invariant.Crashed})
	s.close()
	w.disk = left
	w.after(w.chance.faults.Uint64N(w.profile.DownMs)+1, w.restart)
}

// stop ends the server in an orderly way: everybody is told, what is queued is done.
func (w *world) stop() {
	s := w.server
	w.counts.Stops++
	w.say(about{}, "the server stops in an orderly way")
	s.registry.Drain(1000, "the server shuts down")
	for did := true; did && s.disk.left() == nil; {
		did = false
		for n := range s.set.Partitions() {
			did = s.set.At(n).Step(w.serverMs()+2000) || did
			if s.disk.left() == nil {
				w.checkCommits(n)
			}
		}
	}
	for _, c := range s.conns {
		c.flush()
	}
	w.server = nil
	if left := s.disk.left(); left != nil {
		w.disk = left
	}
	w.observer.Happened(invariant.Incident{Kind: invariant.Crashed})
	s.close()
	w.after(w.chance.faults.Uint64N(w.profile.DownMs)+1, w.restart)
}

// restart starts a server on the disk, if none runs.
func (w *world) restart() {
	if w.server != nil {
		return
	}
	s, err := w.start(w.disk)
	if err != nil {
		w.fail(&invariant.Violation{Invariant: "S2", Text: err.Error()})
		return
	}
	w.server, w.epoch = s, s.set.Epoch()
	w.trace.add("start", w.nowMs, uint64(s.set.Epoch()))
	w.say(about{}, "a server starts, epoch %d", s.set.Epoch())
	w.observer.Happened(invariant.Incident{Kind: invariant.Started, Epoch: s.set.Epoch()})
	w.forgetLost()
	w.checkStart()
	w.checkAnew()
	s.look()
}
