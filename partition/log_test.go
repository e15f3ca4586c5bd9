// SPDX-License-Identifier: Apache-2.0

// The tail in memory and the log in the store are one log.

package partition

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// Whatever the tail holds, the log is the stored log, and places in it are found as by reading all of it.
func TestLogIsTheStoredLog(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, cache := range []CacheLimits{{}, {TailEvents: 4}, {TailBytes: 2000}, tiny} {
		w := newWorld(t, func(c *Config) { c.Cache = cache })
		w.users("alice", "bob")
		info := w.group("team", "alice", "bob")
		w.must(w.set.Subscribe("bob", &counter{})) // so that there is a tail
		p, c := w.set.Of("team"), info.Ordinal
		for i := range 300 {
			for range 1 + r.IntN(3) {
				w.must(w.set.Submit(t.Context(), w.text("alice", "team", fmt.Sprint(i, strings.Repeat("x", r.IntN(100)))), nil))
			}
			if r.IntN(10) == 0 {
				head, _ := p.Head(c)
				w.must(w.set.Submit(t.Context(), &core.Submit{
					Actor: core.Actor{App: true}, Conversation: "team", ClientID: tidemark.ClientID(fmt.Sprint("recall", i)),
					Recall: &wire.Recall{Seq: 2 + r.Uint64N(uint64(head.Seq))},
				}, nil))
			}
			w.step()
			checkLog(w, r, p, c)
		}
	}
}

func checkLog(w *world, r *rand.Rand, p *Partition, c recordConversation) {
	w.Helper()
	head, err := p.Head(c)
	w.must(err)
	from := 1 + tidemark.Seq(r.Uint64N(uint64(head.Seq)))
	to := from + tidemark.Seq(r.Uint64N(uint64(head.Seq-from)+1))
	if r.IntN(3) == 0 {
		to = head.Seq
	}
	most := 1 + r.IntN(80)
	entries, err := p.Log(c, from, to, most, 1<<20)
	w.must(err)
	want, err := p.Events(c, from, to, most, 0, false)
	w.must(err)
	if len(entries) != len(want) {
		w.Fatalf("the log %d..%d has %d entries, want %d", from, to, len(entries), len(want))
	}
	for i, e := range want {
		form, err := p.Current(c, e.Seq)
		w.must(err)
		if entries[i].Seq != e.Seq || entries[i].Digest != e.Digest || !bytes.Equal(entries[i].Encoded, newLogEntry(e, form).Encoded) {
			w.Fatalf("entry %d of the log %d..%d is %+v, want event %+v in form %+v", i, from, to, entries[i], e, form)
		}
	}
	position := tidemark.Position(r.Uint64N(uint64(head.Position) + 2))
	got, err := p.SeqAt(c, position)
	w.must(err)
	all, err := p.Events(c, 1, head.Seq, 1<<20, 0, false)
	w.must(err)
	var last tidemark.Seq
	for _, e := range all {
		if e.Position <= position {
			last = e.Seq
		}
	}
	if got != last {
		w.Fatalf("at position %d the log stands at %d, want %d", position, got, last)
	}
}

// S13: tails are bounded in bytes, all conversations together.
func TestTailsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Cache.TailBytes = 50_000 })
	w.users("alice", "bob")
	w.must(w.set.Subscribe("bob", &counter{}))
	for i := range 100 {
		id := tidemark.ConversationID(fmt.Sprint("g", i))
		w.group(id, "alice", "bob")
		for j := range 20 {
			w.do(w.text("alice", id, fmt.Sprint(j, strings.Repeat("x", 200))))
		}
	}
	for n := range w.set.Partitions() {
		if s := w.set.At(n).Stats(); s.TailBytes > 50_000 || s.Tails == 0 {
			t.Errorf("partition %d keeps %d tails of %d bytes", n, s.Tails, s.TailBytes)
		}
	}
}
