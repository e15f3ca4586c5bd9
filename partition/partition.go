// SPDX-License-Identifier: Apache-2.0

// Partition: the state of one partition and who owns which part of it.

package partition

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// Partition is one partition. Reads are safe for concurrent use; Step is for one goroutine.
//
// Locks are taken in this order: audience.mu, Set.mu, online.mu, rooms.mu, whatever a Subscriber locks, ordered.mu, mu. The loop calls
// subscribers with online.mu held for reading and never with mu held; a subscriber may read the partition, and must not
// subscribe, under its own lock.
type Partition struct {
	set      *Set
	number   uint32
	db       *store.Partition
	journal  journal.Journal
	log      *slog.Logger
	cache    CacheLimits
	batchMax int

	queue   *queue
	acks    acks
	ordered ordered
	telling telling
	online  online
	rooms   rooms
	stats   counters

	// published <= mem.state.Position: the first moves after the wakes of a commit, the second before.
	published atomic.Uint64
	failure   atomic.Pointer[failure] // set once, by the loop: why writing has stopped

	// Owned by the loop, and reused from batch to batch.
	timers     timers
	work       []request                           // taken from the queue, not yet evaluated; at most 3*batchMax
	replies    []core.Reply                        // of the batch, in the order of its commands
	overlay    *overlay                            // the view of the batch; readers look into it while it is in flight
	command    record.Changes                      // of one command
	changes    record.Changes                      // of the batch
	batch      *store.Batch                        // the same, encoded
	entropy    *bufio.Reader                       // salts
	woken      []Subscriber                        // who must be told that the position is published
	roomsWoken []record.Conversation               // of the batch, in which there is somebody
	fresh      map[record.Conversation][]*LogEntry // encoded events of the batch, of conversations in use
	freshOrder []record.Conversation               // their order

	mu  sync.RWMutex
	mem committed // guarded by mu
}

// failure says why a partition has stopped.
type failure struct{ err error }

func open(s *Set, n uint32, cfg *Config) (*Partition, error) {
	p := &Partition{
		set: s, number: n, db: cfg.DB.Partition(n), journal: cfg.Journal, cache: cfg.Cache,
		log: cfg.Log.With("partition", n), batchMax: cfg.BatchMax,
		queue: newQueue(cfg.QueueMax), acks: newAcks(), ordered: newOrdered(cfg.Cache.Readers), online: newOnline(), fresh: make(map[record.Conversation][]*LogEntry),
		batch: cfg.DB.NewBatch(n), entropy: bufio.NewReaderSize(cfg.Entropy, 1024),
	}
	p.overlay = &overlay{p: p}
	state, err := p.db.State()
	if err != nil {
		return nil, fmt.Errorf("partition: open %d: %w", n, err)
	}
	p.mem = newCommitted(cfg.Cache, state)
	p.published.Store(uint64(state.Position))
	if err := p.loadTimer(); err != nil {
		return nil, fmt.Errorf("partition: open %d: %w", n, err)
	}
	return p, nil
}

// run is the shell around Step.
func (p *Partition) run(ctx context.Context) {
	defer p.batch.Close()
	defer p.end()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		if p.Step(p.set.nowMs()) {
			continue
		}
		due := time.Duration(-1)
		if at, ok := p.Due(); ok {
			due = time.Duration(at-min(at, p.set.nowMs())) * time.Millisecond
			timer.Reset(due)
		}
		select {
		case <-ctx.Done():
		case <-p.queue.some:
		case <-timer.C:
		}
	}
	p.queue.close()
	for p.Step(p.set.nowMs() + ackDelayMs) {
		continue
	}
}

// end gives back what a batch that has failed holds of the store. Nothing may be read after.
func (p *Partition) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.mem.flight; f != nil {
		f.before.release()
		f.before = nil
	}
}

// Due is when Step has something to do though nothing is queued: saving the cursors of devices, telling counts of readers,
// a timer. It is for the goroutine that calls Step.
func (p *Partition) Due() (ms uint64, ok bool) {
	ms, ok = p.acks.due()
	if at, timer := p.timers.due(); timer && (!ok || at < ms) && p.stopped() == nil {
		ms, ok = at, true
	}
	if at, waits := p.telling.due(); waits && (!ok || at < ms) {
		return at, true
	}
	return ms, ok
}

// stopped is nil, or the refusal of everything that would write.
func (p *Partition) stopped() *tidemark.Error {
	f := p.failure.Load()
	if f == nil {
		return nil
	}
	return tidemark.Refuse(tidemark.Unavailable, "partition %d has stopped writing: %v", p.number, f.err)
}
