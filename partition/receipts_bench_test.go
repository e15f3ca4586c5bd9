// SPDX-License-Identifier: Apache-2.0

// What receipts cost in a conversation of a million members.

package partition

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// BenchmarkReceipts asks about messages of a conversation, with members who have read and received all over its log. The
// rows are written as a replica would write them, because a million commands take too long.
func BenchmarkReceipts(b *testing.B) {
	for _, members := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) { benchmarkReceipts(b, members) })
	}
}

func benchmarkReceipts(b *testing.B, members int) {
	const events = 2000
	w := newWorld(b, nil)
	w.users("alice")
	info := w.group("crowd", "alice")
	for i := range events {
		w.must(w.set.Submit(b.Context(), w.text("alice", "crowd", fmt.Sprint(i)), nil))
		if i%100 == 99 {
			w.step()
		}
	}
	p := w.set.Of("crowd")
	crowd(w, p, info.Ordinal, members, events)
	w.close()
	w.open(nil)
	p = w.set.Of("crowd")

	metrics := make(map[string]float64)
	before, started := heap(), time.Now()
	first := func(ask ReceiptsAsk) Receipts {
		r, err := w.set.Receipts("alice", "crowd", events/2, ask)
		w.must(err)
		return r
	}
	r := first(ReceiptsAsk{})
	metrics["build-ms"] = float64(time.Since(started).Milliseconds())
	metrics["B/member"] = float64(heap()-before) / float64(members)
	if r.Members != uint32(members) || r.Read == 0 || r.Read > r.Delivered || r.Delivered >= r.Members {
		b.Fatalf("%+v", r)
	}
	e, err := p.event(info.Ordinal, events/2)
	w.must(err)
	of := message{e.Seq, e.Position, e.Sender}
	measure := func(name string, n int, do func(i int)) {
		started := time.Now()
		for i := range n {
			do(i)
		}
		metrics[name] = float64(time.Since(started).Nanoseconds()) / float64(n)
	}
	measure("count-ns", 10_000, func(int) {
		w.must(p.withReaders(info.Ordinal, func(r *readers) { r.counts(of) }))
	})
	measure("names-100-ns", 1000, func(int) {
		w.must(p.withReaders(info.Ordinal, func(r *readers) { r.names(of, false, true, mark{}, 100) }))
	})
	u, _, err := p.User("u1")
	w.must(err)
	measure("ack-ns", 10_000, func(i int) {
		w.must(p.deliver(u+record.User(i*7%members), tidemark.Position(1000+i)))
	})
	random := rand.New(rand.NewPCG(1, 2))
	measure("read-ns", 10_000, func(i int) {
		k := u + record.User(random.IntN(members-1))
		p.ordered.ready.entries[info.Ordinal].value.set(k, 1, tidemark.Seq(2+random.IntN(events)), 5)
	})
	b.ResetTimer()
	for range b.N {
		first(ReceiptsAsk{Limit: 100})
	}
	for name, value := range metrics { // after ResetTimer, which forgets them
		b.ReportMetric(value, name)
	}
}

// crowd writes the records of members who joined with the first event and have read and received some of the log.
func crowd(w *world, p *Partition, c record.Conversation, members, events int) {
	random := rand.New(rand.NewPCG(3, 4))
	state := p.mem.state
	head, err := p.Head(c)
	w.must(err)
	batch := w.db.NewBatch(p.number)
	defer batch.Close()
	var changes record.Changes
	flush := func() {
		state.Position++
		changes.Partition = state
		batch.Reset()
		batch.Put(&changes)
		w.must(p.journal.Commit(batch))
		changes.Reset()
	}
	for i := range members {
		state.Users++
		seq := tidemark.Seq(1 + random.IntN(events))
		changes.Users = append(changes.Users, record.UserChange{Ordinal: state.Users, ID: tidemark.UserID(fmt.Sprint("u", i+1))})
		changes.Members = append(changes.Members, record.MemberChange{Conversation: c, User: state.Users, Member: &record.Member{
			Role: record.MemberRole, JoinedSeq: 1, VisibleFrom: 1, ReadSeq: seq, ReadCounted: uint64(seq - 1), Position: state.Position + 1,
		}})
		changes.Cursors = append(changes.Cursors, record.CursorChange{
			User: state.Users, Device: "phone", Position: tidemark.Position(1 + random.IntN(int(head.Position))),
		})
		if len(changes.Users) == 10_000 || i == members-1 {
			if i == members-1 {
				head.Members = uint32(members + 1)
				changes.Heads = append(changes.Heads, record.HeadChange{Conversation: c, Head: &head})
			}
			flush()
		}
	}
}
