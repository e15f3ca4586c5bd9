// SPDX-License-Identifier: Apache-2.0

// What is trimmed leaves the disk: a real directory, the partitions' own timers, the store's own compactions.

package partition

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// diskSpace is the size of a directory's files, bytes: of all, and without the logs of commits, of which the database keeps
// some for use again until it is closed.
type diskSpace struct{ all, tables int64 }

func measureDisk(dir string) (d diskSpace) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			d.all += info.Size()
			if !strings.HasSuffix(path, ".log") {
				d.tables += info.Size()
			}
		}
		return nil
	})
	return d
}

// real is partitions that run over a store in real files.
type real struct {
	tb      testing.TB
	ctx     context.Context
	db      *store.DB
	set     *Set
	pending sync.WaitGroup
	running sync.WaitGroup
	cancel  context.CancelFunc
}

func runReal(tb testing.TB, dir string) *real {
	tb.Helper()
	db, err := store.Open(store.Config{Dir: dir, Partitions: 4})
	if err != nil {
		tb.Fatal(err)
	}
	set, err := Open(Config{
		DB: db, Journal: journal.NewLocal(db), Entropy: rand.Reader, NowMs: func() uint64 { return uint64(time.Now().UnixMilli()) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	r := &real{tb: tb, db: db, set: set}
	r.ctx, r.cancel = context.WithCancel(tb.Context())
	r.running.Go(func() { _ = set.Run(r.ctx) })
	r.running.Go(func() { db.Run(r.ctx) })
	return r
}

func (r *real) close() {
	r.cancel()
	r.running.Wait()
	if err := r.db.Close(); err != nil {
		r.tb.Error(err)
	}
}

// do queues a command that must not be refused.
func (r *real) do(cmd core.Command) {
	r.pending.Add(1)
	err := r.set.Submit(r.ctx, cmd, func(reply core.Reply) {
		if reply.Err != nil {
			r.tb.Error(reply.Err)
		}
		r.pending.Done()
	})
	if err != nil {
		r.tb.Fatal(err)
	}
}

// trimmed waits until all but the last events of a conversation are trimmed.
func (r *real) trimmed(id tidemark.ConversationID, kept tidemark.Seq) {
	r.tb.Helper()
	for {
		info, err := r.set.Of(id).Info(id)
		if err != nil {
			r.tb.Fatal(err)
		}
		head, err := r.set.Of(id).Head(info.Ordinal)
		if err != nil {
			r.tb.Fatal(err)
		}
		if head.Floor == head.Seq-kept {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// trimOnDisk writes so many messages of 100 bytes into a conversation, keeps the last 1,000 of them, and answers what the
// directory takes before, some time after, and after it was closed; and how long the trims took.
func trimOnDisk(tb testing.TB, messages int) (before, after, closed diskSpace, trimming time.Duration) {
	tb.Helper()
	dir := tb.TempDir()
	r := runReal(tb, dir)
	defer func() {
		r.close()
		closed = reopened(tb, dir)
	}()
	app := core.Actor{App: true}
	r.do(&core.UpsertUser{User: "alice"})
	r.pending.Wait()
	r.do(&core.Create{Actor: app, Conversation: "team", Members: []tidemark.UserID{"alice"}})
	text := strings.Repeat("words and ", 10)
	for i := range messages {
		r.do(&core.Submit{
			Actor: core.Actor{User: "alice"}, Conversation: "team", ClientID: tidemark.ClientID(fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15)),
			Message: &wire.Message{Text: fmt.Sprintf("%.92s%08d", text, i)},
		})
	}
	r.pending.Wait()
	if err := r.db.Flush(r.ctx); err != nil {
		tb.Fatal(err)
	}
	before = measureDisk(dir)
	start := time.Now()
	r.do(&core.Update{Actor: app, Conversation: "team", Settings: &wire.Settings{
		Retention: &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: 1000},
	}})
	r.pending.Wait()
	r.trimmed("team", 1000)
	trimming = time.Since(start)
	after = measureDisk(dir)
	for end := time.Now().Add(30 * time.Second); after.tables > before.tables/20 && time.Now().Before(end); after = measureDisk(dir) {
		time.Sleep(50 * time.Millisecond)
	}
	return before, after, closed, trimming
}

// reopened measures a directory that was opened and closed once more.
func reopened(tb testing.TB, dir string) diskSpace {
	db, err := store.Open(store.Config{Dir: dir})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		tb.Error(err)
	}
	return measureDisk(dir)
}

func TestWhatIsTrimmedLeavesTheDisk(t *testing.T) {
	before, after, closed, _ := trimOnDisk(t, 40_000)
	t.Logf("on disk before the trims %d bytes, %d of them in tables; after them %d and %d; opened again %d and %d",
		before.all, before.tables, after.all, after.tables, closed.all, closed.tables)
	if after.tables > before.tables/8 || closed.all > before.all/8 {
		t.Error("that is too much")
	}
}

func BenchmarkTrimmedSpace(b *testing.B) {
	for b.Loop() {
		before, after, closed, trimming := trimOnDisk(b, 200_000)
		b.ReportMetric(float64(before.all), "bytes-before")
		b.ReportMetric(float64(before.tables), "table-bytes-before")
		b.ReportMetric(float64(after.tables), "table-bytes-after")
		b.ReportMetric(float64(closed.all), "bytes-reopened")
		b.ReportMetric(float64(trimming.Milliseconds())/199, "ms/1000-events-trimmed")
	}
}

// A trim writes for each event the end of its client id and, if the event had a commit of its own, of the commit's row;
// everything else goes in ranges.
func TestCostOfATrim(t *testing.T) {
	for name, alone := range map[string]bool{"each in a commit of its own": true, "many in a commit": false} {
		t.Run(name, func(t *testing.T) {
			trims := &trimCounter{}
			w := newWorld(t, func(c *Config) { trims.Journal, c.Journal = c.Journal, trims })
			w.users("alice", "bob")
			w.group("team", "alice", "bob")
			for i := range 1002 {
				cmd := w.text("alice", "team", "a hundred bytes")
				cmd.ClientID = tidemark.ClientID(fmt.Sprintf("%016x", i))
				w.must(w.set.Submit(t.Context(), cmd, nil))
				if alone {
					w.step()
				}
			}
			w.step()
			trims.rows, trims.bytes, trims.commits = 0, 0, 0
			w.do(&core.Update{Actor: core.Actor{App: true}, Conversation: "team", Settings: &wire.Settings{
				Retention: &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: 1},
			}})
			if floor := w.floor("team"); floor != 1003 {
				t.Fatalf("trimmed up to %d", floor)
			}
			most := 1050
			if alone {
				most += 1000
			}
			t.Logf("1,003 events: %d rows, %d bytes, in %d commits with that of the settings", trims.rows, trims.bytes, trims.commits)
			if trims.rows > most || trims.bytes > 40*1003 {
				t.Errorf("%d rows, %d bytes; at most %d and %d were expected", trims.rows, trims.bytes, most, 40*1003)
			}
		})
	}
}

// trimCounter counts what is committed.
type trimCounter struct {
	journal.Journal
	rows, bytes, commits int
}

func (c *trimCounter) Commit(b *store.Batch) error {
	err := c.Journal.Commit(b)
	c.rows, c.bytes, c.commits = c.rows+b.Rows(), c.bytes+b.Len(), c.commits+1
	return err
}
