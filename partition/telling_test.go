// SPDX-License-Identifier: Apache-2.0

// What authors hear of their readers: names in small conversations, counts in large ones, and what that costs.

package partition

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// tick lets a second pass, with what Run does beside the loops.
func (w *world) tick() {
	w.now += countsDelayMs
	w.step()
	for w.set.Fulfil() {
		w.now += countsDelayMs
		w.step()
	}
}

// receipts are the receipt signals that a listener got since it was last asked.
func (l *listener) receipts() (list []*wire.ReceiptSignal) {
	for _, sig := range l.heard {
		if r := sig.GetReceipt(); r != nil {
			list = append(list, r)
		}
	}
	l.heard = nil
	return list
}

func (w *world) listen(user tidemark.UserID) *listener {
	l := &listener{}
	w.must(w.set.Subscribe(user, l))
	return l
}

// A thousand readers of one message are a few signals to its author, and none to others.
func TestAThousandReadersAreAFewSignals(t *testing.T) {
	const readers = 1000
	w := newWorld(t, nil)
	users := []tidemark.UserID{"author", "other"}
	for i := range readers {
		users = append(users, tidemark.UserID(fmt.Sprint("r", i)))
	}
	w.users(users...)
	w.group("crowd", users...)
	author, other, reader := w.listen("author"), w.listen("other"), w.listen("r0")
	w.do(w.text("other", "crowd", "before"))
	w.do(w.text("author", "crowd", "read this"))
	w.tick()
	author.receipts()
	other.receipts()
	signals := w.set.Of("crowd").stats.signals.Load()
	for i := range readers {
		w.do(&core.Read{User: tidemark.UserID(fmt.Sprint("r", i)), Conversation: "crowd", Seq: 3})
		if i == readers/2 {
			w.tick()
		}
	}
	w.tick()
	heard := author.receipts()
	if n := len(heard); n == 0 || n > 3 {
		t.Fatalf("the author hears %d signals: %v", n, heard)
	}
	last := heard[len(heard)-1]
	if last.Seq != 3 || last.ReadCount != readers || last.DeliveredCount != readers || last.User != "" {
		t.Errorf("the last says %v", last)
	}
	if heard := other.receipts(); len(heard) == 0 || heard[0].Seq != 2 {
		t.Errorf("the author of the message before hears %v", heard)
	}
	if heard := reader.receipts(); len(heard) != 0 {
		t.Errorf("who has written nothing hears %v", heard)
	}
	if n := w.set.Of("crowd").stats.signals.Load() - signals; n > 6 {
		t.Errorf("%d signals for %d readers", n, readers)
	}
	w.do(&core.Read{User: "r1", Conversation: "crowd", Seq: 3})
	w.tick()
	if heard := author.receipts(); len(heard) != 0 {
		t.Errorf("a mark that did not move is told: %v", heard)
	}
}

// Acknowledgements are counted likewise, and cost no row of the store.
func TestDeliveriesAreCountedToTheAuthor(t *testing.T) {
	const devices = 100
	w := newWorld(t, nil)
	users := []tidemark.UserID{"author"}
	for i := range devices {
		users = append(users, tidemark.UserID(fmt.Sprint("u", i)))
	}
	w.users(users...)
	w.group("crowd", users...)
	author := w.listen("author")
	w.listen("u0")
	w.do(w.text("author", "crowd", "take this"))
	p := w.set.Of("crowd")
	w.tick()
	author.receipts()
	for i := range devices {
		w.set.Ack(tidemark.UserID(fmt.Sprint("u", i)), "phone", p.Number(), p.Published()-1)
	}
	for i := range devices { // the second time all is in memory
		before := w.db.Metrics().RowsRead
		w.set.Ack(tidemark.UserID(fmt.Sprint("u", i)), "phone", p.Number(), p.Published())
		if rows := w.db.Metrics().RowsRead - before; rows > 0 {
			t.Fatalf("an acknowledgement reads %d rows", rows)
		}
	}
	w.tick()
	heard := author.receipts()
	if len(heard) == 0 || len(heard) > 2 || heard[len(heard)-1].DeliveredCount != devices || heard[len(heard)-1].ReadCount != 0 {
		t.Errorf("the author hears %v", heard)
	}
}

// A device that comes back after long to many conversations costs no search in their logs.
func TestAcknowledgingALongAbsenceReadsNoLog(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob")
	author := w.listen("alice")
	w.listen("bob")
	for i := range 20 {
		id := tidemark.ConversationID(fmt.Sprint("g", i))
		w.group(id, "alice", "bob")
		for range 200 {
			w.must(w.set.Submit(t.Context(), w.text("alice", id, "m"), nil))
		}
		w.step()
	}
	for n := range w.set.Partitions() {
		w.set.Ack("bob", "phone", n, 1)
	}
	author.receipts()
	before := w.db.Metrics().RowsRead
	for n := range w.set.Partitions() {
		w.set.Ack("bob", "phone", n, w.set.At(n).Published())
	}
	if rows := w.db.Metrics().RowsRead - before; rows > 0 {
		t.Errorf("%d rows are read", rows)
	}
	heard := author.receipts()
	if len(heard) != 20 {
		t.Errorf("the author hears %d receipts, want one for each of 20 conversations", len(heard))
	}
	for _, r := range heard {
		if r.DeliveredSeq != 201 || r.User != "bob" {
			t.Errorf("the author hears %v", r)
		}
	}
}

// Who has blocked the other, or is blocked, neither tells nor hears what was read.
func TestNoReceiptsBetweenTheBlocked(t *testing.T) {
	for _, blocker := range []tidemark.UserID{"alice", "bob"} {
		w := newWorld(t, nil)
		w.users("alice", "bob")
		author := w.listen("alice")
		w.listen("bob")
		m := w.text("alice", "alice~bob", "hello")
		w.do(m)
		p := w.set.Of("alice~bob")
		peer, _ := tidemark.ConversationID("alice~bob").Peer(blocker)
		w.do(&core.Contact{User: blocker, Peer: peer, Action: core.BlockPeer})
		author.receipts()
		w.do(&core.Read{User: "bob", Conversation: "alice~bob", Seq: 2})
		w.set.Ack("bob", "phone", p.Number(), p.Published())
		if heard := author.receipts(); len(heard) > 0 {
			t.Errorf("%s has blocked; the author hears %v", blocker, heard)
		}
		r, err := w.set.Receipts("alice", "alice~bob", 2, ReceiptsAsk{Limit: 10})
		if err != nil || (r.Read > 0) != (blocker == "alice") {
			t.Errorf("%s has blocked; the author asks and gets %+v (%v)", blocker, r, err)
		}
	}
}

// Run does by itself what the other tests do by hand: it brings marks into memory and keeps to once a second.
func TestRunTellsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.NowMs = func() uint64 { return uint64(time.Now().UnixMilli()) } })
		users := []tidemark.UserID{"author"}
		for i := range 50 {
			users = append(users, tidemark.UserID(fmt.Sprint("u", i)))
		}
		w.users(users...)
		w.group("crowd", users...)
		author := w.listen("author")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.set.Run(ctx) }()
		do := func(cmd core.Command) {
			_, err := w.set.Do(t.Context(), cmd)
			w.must(err)
		}
		do(w.text("author", "crowd", "hello"))
		for _, u := range users[1:] {
			do(&core.Read{User: u, Conversation: "crowd", Seq: 2})
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		heard := author.receipts()
		if n := len(heard); n < 2 || n > 7 || heard[n-1].ReadCount != 50 {
			t.Errorf("in 5 seconds of reading the author hears %d: %v", n, heard)
		}
		stop()
		w.must(<-ended)
	})
}

// Who reads is told to authors of messages. In a channel nobody else hears who reads; and of whom has left, nobody.
func TestReadersAreNotToldToBystanders(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob", "carol")
	w.do(&core.Create{Actor: core.Actor{User: "alice"}, Conversation: "news", Kind: 3, Members: []tidemark.UserID{"bob", "carol"}})
	alice, bob := w.listen("alice"), w.listen("bob")
	w.do(w.text("alice", "news", "extra"))
	w.do(&core.Submit{
		Actor: core.Actor{User: "bob"}, Conversation: "news", ClientID: "r", Reaction: &wire.Reaction{Seq: 2, Key: "+1"},
	})
	alice.receipts()
	bob.receipts()
	w.do(&core.Read{User: "carol", Conversation: "news", Seq: 3})
	if got := alice.receipts(); len(got) != 1 || got[0].User != "carol" {
		t.Errorf("the author hears %v", got)
	}
	if got := bob.receipts(); len(got) != 0 {
		t.Errorf("who has reacted hears %v", got)
	}

	w.group("team", "alice", "bob", "carol")
	p := w.set.Of("team")
	before := p.Published()
	w.listen("carol")
	w.do(&core.RemoveMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"carol"}})
	w.do(w.text("alice", "team", "between us"))
	alice.receipts()
	w.set.Ack("carol", "phone", p.Number(), before)
	w.set.Ack("carol", "phone", p.Number(), p.Published())
	if got := alice.receipts(); len(got) != 0 {
		t.Errorf("of who has left the author hears %v", got)
	}
}
