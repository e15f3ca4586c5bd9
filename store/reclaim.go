// SPDX-License-Identifier: Apache-2.0

// Giving the disk back: rows that were trimmed lie in tables until a compaction meets them, and in a part of the log that
// nobody writes any more that may be never. So where many events of a conversation were trimmed, their ranges are
// compacted, in the background and now and then. What a crash forgets of it is left to the database's own compactions.

package store

import (
	"context"
	"sync"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

const (
	reclaimEventsMin  = 2048        // fewer trimmed events of a conversation wait for more
	reclaimEventsMax  = 1 << 16     // with so many, it is not waited for the end of the trimming
	reclaimBytesMin   = 64 << 10    // of tables; a range that takes less is left alone
	reclaimQuiet      = time.Second // without a trim, the trimming has ended
	reclaimRest       = 9           // times as long as it has worked it rests
	reclaimRestMax    = time.Minute
	reclaimWaitingMax = 1024 // conversations that wait; what comes beyond is left to the database
)

// reclaim knows what was trimmed and not compacted since. Safe for concurrent use.
type reclaim struct {
	some chan struct{} // has room for one: there is something large

	mu      sync.Mutex
	waiting map[trimmedLog]*trimmedPart
}

type trimmedLog struct {
	partition    uint8
	conversation record.Conversation
}

// trimmedPart is what was trimmed of a log since it was compacted.
type trimmedPart struct {
	from, to    tidemark.Seq
	first, last tidemark.Position // of the rows of commits that were rewritten or removed
	lastTrim    time.Time
}

func (t *trimmedPart) events() tidemark.Seq { return t.to - t.from + 1 }

func newReclaim() *reclaim {
	return &reclaim{some: make(chan struct{}, 1), waiting: make(map[trimmedLog]*trimmedPart)}
}

// trimmed is told of a committed batch.
func (r *reclaim) trimmed(b *Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range b.trims {
		k := trimmedLog{b.partition, t.Conversation}
		part := r.waiting[k]
		if part == nil {
			if len(r.waiting) == reclaimWaitingMax {
				continue
			}
			part = &trimmedPart{from: t.From, first: b.trimmedFirst}
			r.waiting[k] = part
		}
		part.to, part.lastTrim = t.To, time.Now()
		part.first, part.last = min(part.first, b.trimmedFirst), max(part.last, b.trimmedLast)
		if part.events() >= reclaimEventsMin {
			select {
			case r.some <- struct{}{}:
			default:
			}
		}
	}
}

// Run gives the room of trimmed events back to the disk until ctx ends: one conversation at a time, resting nine times as
// long as it has worked, a minute at most. Commits go on meanwhile. It is not needed for anything else, and must have ended
// before Close.
func (db *DB) Run(ctx context.Context) {
	for ctx.Err() == nil {
		k, part, wait := db.reclaim.next(time.Now())
		if part != nil && db.writable() == nil {
			start := time.Now()
			if err := db.giveBack(ctx, k, part); err != nil && ctx.Err() == nil {
				db.log.Warn("what was trimmed keeps its room on the disk for now", "partition", k.partition, "err", err)
			}
			wait = min(reclaimRest*time.Since(start), reclaimRestMax)
		}
		var after <-chan time.Time // without anything large: never
		some := db.reclaim.some
		if wait > 0 {
			after, some = time.After(wait), nil
		}
		select {
		case <-ctx.Done():
		case <-some:
		case <-after:
		}
	}
}

// next takes what is to be compacted now; otherwise it says how long to wait: 0 says that there is nothing.
func (r *reclaim) next(now time.Time) (k trimmedLog, part *trimmedPart, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, part := range r.waiting {
		if part.events() < reclaimEventsMin {
			continue
		}
		left := part.lastTrim.Add(reclaimQuiet).Sub(now)
		if left <= 0 || part.events() >= reclaimEventsMax {
			delete(r.waiting, k)
			return k, part, 0
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return k, nil, wait
}

// giveBack compacts the rows that a trim removes: those of events and what is by seq, the rows of commits, and the index
// of client ids, of which the trimmed ones lie everywhere among the kept.
func (db *DB) giveBack(ctx context.Context, k trimmedLog, part *trimmedPart) error {
	if err := db.Flush(ctx); err != nil {
		return err
	}
	p, c := db.partitions[k.partition], k.conversation
	for _, kind := range [...]Kind{EventRow, CurrentRow, ReactionRow, ClientIDRow} {
		from, to := p.key(Key{Kind: kind, Conversation: c, Seq: part.from}), p.key(Key{Kind: kind, Conversation: c, Seq: part.to + 1})
		if kind == ClientIDRow {
			to = prefixEnd(from[:6])
		}
		if err := db.giveRangeBack(ctx, from, to); err != nil {
			return err
		}
	}
	from, to := Key{Kind: ThreadRow, Conversation: c, Root: part.from}, Key{Kind: ThreadRow, Conversation: c, Root: part.to + 1}
	if err := db.giveRangeBack(ctx, p.key(from), p.key(to)); err != nil || part.last == 0 {
		return err
	}
	from, to = Key{Kind: CommitRow, Position: part.first}, Key{Kind: CommitRow, Position: part.last + 1}
	return db.giveRangeBack(ctx, p.key(from), p.key(to))
}

func (db *DB) giveRangeBack(ctx context.Context, from, to []byte) error {
	if bytes, err := db.pebble.EstimateDiskUsage(from, to); err != nil || bytes < reclaimBytesMin {
		return err
	}
	return db.compact(ctx, from, to)
}
