// SPDX-License-Identifier: Apache-2.0

// Receipts while everything moves: marks are brought into memory again and again while members read, join, leave and
// acknowledge, and agree with the records whenever it is quiet.

package partition

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
)

func TestA2ReceiptsAtAnySizeWhileEverythingMoves(t *testing.T) {
	const members, messages = 300, 40
	w := newWorld(t, func(c *Config) { c.Cache.Readers = 1 }) // one conversation drives out the other
	users := make([]tidemark.UserID, members)
	for i := range users {
		users[i] = tidemark.UserID(fmt.Sprint("u", i))
	}
	w.users(users...)
	ids := []tidemark.ConversationID{"crowd", "crowd-"}
	for w.set.Of(ids[1]) != w.set.Of(ids[0]) {
		ids[1] += "-"
	}
	for _, id := range ids {
		w.group(id, users...)
		for i := range messages {
			w.do(w.text(users[i], id, "m"))
		}
	}
	p := w.set.Of(ids[0])
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.set.Run(ctx) }()
	for round := range 5 {
		var movers, askers sync.WaitGroup
		quiet := make(chan struct{})
		for n := range 2 {
			movers.Go(func() { w.moveMarks(p, ids, users, rand.New(rand.NewPCG(uint64(round), uint64(n)))) })
			askers.Go(func() {
				for i := n; ; i++ {
					select {
					case <-quiet:
						return
					default:
					}
					if _, err := w.set.Receipts("", ids[i%2], messages/2, ReceiptsAsk{Limit: 10}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		movers.Wait()
		close(quiet)
		askers.Wait()
		for _, id := range []tidemark.ConversationID{ids[1], ids[0]} { // the last asked is in memory, and goes on from there
			w.compareReceipts(p, id, messages/2)
		}
	}
	stop()
	w.must(<-ended)
}

// moveMarks runs commands and acknowledgements at random.
func (w *world) moveMarks(p *Partition, ids []tidemark.ConversationID, users []tidemark.UserID, random *rand.Rand) {
	for range 200 {
		u, id := users[1+random.IntN(len(users)-1)], ids[random.IntN(2)]
		var cmd core.Command
		switch random.IntN(6) {
		case 0:
			cmd = &core.RemoveMembers{Actor: core.Actor{App: true}, Conversation: id, Members: []tidemark.UserID{u}}
		case 1:
			cmd = &core.AddMembers{Actor: core.Actor{App: true}, Conversation: id, Members: []tidemark.UserID{u}}
		case 2, 3:
			w.set.Ack(u, "phone", p.Number(), tidemark.Position(random.IntN(int(p.Published()))))
			continue
		default:
			cmd = &core.Read{User: u, Conversation: id, Seq: tidemark.Seq(2 + random.IntN(40))}
		}
		_, _ = w.set.Do(w.Context(), cmd) // who is not a member is refused
	}
}

// compareReceipts counts from the records of all members and the cursors of all their devices.
func (w *world) compareReceipts(p *Partition, id tidemark.ConversationID, seq tidemark.Seq) {
	w.Helper()
	info, err := p.Info(id)
	w.must(err)
	e, err := p.event(info.Ordinal, seq)
	w.must(err)
	rows, err := p.Members(info.Ordinal, 0, 1<<20)
	w.must(err)
	var want ReceiptCounts
	for _, row := range rows {
		if row.Member.JoinedSeq > seq || row.User == e.SenderID {
			continue
		}
		want.Members++
		read := row.Member.ReadSeq >= seq
		if read {
			want.Read++
		}
		cursors, err := p.Cursors(row.User)
		w.must(err)
		if read || len(cursors) > 0 && cursors[0].Position >= e.Position {
			want.Delivered++
		}
	}
	got, err := w.set.Receipts("", id, seq, ReceiptsAsk{})
	w.must(err)
	if got.ReceiptCounts != want {
		w.Errorf("%s %d has %+v, the records say %+v", id, seq, got.ReceiptCounts, want)
	}
}

func TestTally(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var counted tally
	var list []tidemark.Seq
	for i := range 5000 {
		switch {
		case len(list) > 0 && random.IntN(5) < 2:
			at := random.IntN(len(list))
			counted.remove(list[at])
			list[at] = list[len(list)-1]
			list = list[:len(list)-1]
		case random.IntN(20) == 0: // seldom, something older
			list = append(list, tidemark.Seq(1+random.IntN(i+1)))
			counted.add(list[len(list)-1])
		default:
			list = append(list, tidemark.Seq(i+1))
			counted.add(tidemark.Seq(i + 1))
		}
		seq, want := tidemark.Seq(random.IntN(i+2)), 0
		for _, s := range list {
			if s <= seq {
				want++
			}
		}
		if got := counted.upTo(seq); got != want {
			t.Fatalf("step %d: %d are not above %d, want %d", i, got, seq, want)
		}
	}
	for _, seq := range list {
		counted.remove(seq)
	}
	if len(counted.seqs) > 64 {
		t.Errorf("%d seqs are kept for nothing", len(counted.seqs))
	}
}

// Marks keep the order of position, seq and user, up to the greatest.
func TestMarksKeepTheirOrder(t *testing.T) {
	var last mark
	for _, position := range []tidemark.Position{0, 1, 1<<32 + 5, 1<<48 - 1} {
		for _, seq := range []tidemark.Seq{0, 1, 1<<24 - 1, 1 << 24, 1<<24 + 1, 1<<39 + 7, everything} {
			for _, u := range []record.User{1, 2, 1<<32 - 1} {
				m := newMark(position, seq, u)
				if !last.less(m) || m.less(last) || m.user() != u {
					t.Fatalf("%d, %d, %d: %x after %x", position, seq, u, m, last)
				}
				last = m
			}
		}
	}
}
