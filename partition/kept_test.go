// SPDX-License-Identifier: Apache-2.0

// What reactions cost, and that nobody sees of threads, reactions, pins and private records what is not durable.

package partition

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// spy is a journal that tells of each commit: how large it is, and of the moment when the store shows it already while
// the partition does not know yet.
type spy struct {
	journal.Journal
	bytes  int
	flying func()
}

func (s *spy) Commit(batch *store.Batch) error {
	err := s.Journal.Commit(batch)
	s.bytes = batch.Len()
	if s.flying != nil {
		s.flying()
	}
	return err
}

func spied(t *testing.T) (*world, *spy) {
	t.Helper()
	s := &spy{}
	w := newWorld(t, func(c *Config) {
		s.Journal = c.Journal
		c.Journal = s
	})
	return w, s
}

func react(user tidemark.UserID, to tidemark.ConversationID, id string, seq uint64, removed bool) *core.Submit {
	return &core.Submit{
		Actor: core.Actor{User: user}, Conversation: to, ClientID: tidemark.ClientID(id),
		Reaction: &wire.Reaction{Seq: seq, Key: "+1", Removed: removed},
	}
}

// The ten-thousandth reaction to a message writes as much as the hundredth, and a recall that takes all of them away about as much.
func TestReactionsCostTheSame(t *testing.T) {
	w, s := spied(t)
	const many = 10_000
	members := make([]tidemark.UserID, many)
	for i := range members {
		members[i] = tidemark.UserID(fmt.Sprintf("u%05d", i))
	}
	info := w.group("team", members...)
	w.do(w.text("u00000", "team", "hello")) // 2
	cost := map[int]int{}
	for i, user := range members {
		w.do(react(user, "team", "r", 2, false))
		cost[i+1] = s.bytes
	}
	if cost[many] > cost[100]+32 {
		t.Errorf("reaction 100 writes %d bytes, reaction %d %d", cost[100], many, cost[many])
	}
	w.do(react("u00003", "team", "no", 2, true)) // one of those named: the next is looked up
	if s.bytes > cost[100]+32 {
		t.Errorf("taking one back writes %d bytes", s.bytes)
	}
	p := w.set.Of("team")
	cur, err := p.Current(info.Ordinal, 2)
	w.must(err)
	if r := cur.Reactions[0]; r.Count != many-1 || len(r.Users) != record.ReactionUsersMax {
		t.Errorf("%d reactions, %d named", r.Count, len(r.Users))
	}
	w.do(&core.Submit{Actor: core.Actor{App: true}, Conversation: "team", ClientID: "recall", Recall: &wire.Recall{Seq: 2}})
	if s.bytes > cost[100]+64 {
		t.Errorf("the recall writes %d bytes", s.bytes)
	}
	if rows, err := p.Reactions(info.Ordinal, 2, ReactionRow{}, false, 10); err != nil || len(rows) > 0 {
		t.Errorf("after the recall %v, %v", rows, err)
	}
	t.Logf("bytes of a commit: reaction 1: %d, 20: %d, 100: %d, %d: %d", cost[1], cost[20], cost[100], many, cost[many])
}

// While a commit is in flight, readers see what was before it; afterwards, all of it.
func TestWhatIsInFlightIsNotSeen(t *testing.T) {
	w, s := spied(t)
	w.users("alice", "bob")
	info := w.group("team", "alice", "bob")
	p, c := w.set.Of("team"), info.Ordinal
	w.do(w.text("alice", "team", "root"))   // 2
	w.do(w.text("alice", "team", "second")) // 3
	look := func() string {
		t.Helper()
		sight, err := w.set.See("bob", "team")
		w.must(err)
		private, err := p.Private(c, sight.Asking)
		w.must(err)
		var deleted []tidemark.Seq
		if private != nil {
			deleted = private.Deleted
		}
		thread, err := w.set.Fetch("bob", &wire.Fetch{Conversation: "team", Thread: 2})
		w.must(err)
		pins, err := w.set.Pins("bob", "team")
		w.must(err)
		mine, err := p.Indexed(record.Index{
			Kind: record.ReactionIndex, Conversation: c, Seq: 2, ID: "+1", User: sight.Asking,
		})
		w.must(err)
		root, err := sight.Event(2)
		w.must(err)
		return fmt.Sprint("deleted ", deleted, ", answers ", len(thread.Events), " of ", root.ThreadCount, ", pins ", len(pins),
			", reacted ", mine, ", counted ", root.Reactions != nil, ", hidden ", root.Hidden)
	}
	before := look()
	for _, cmd := range []core.Command{
		&core.Delete{User: "bob", Conversation: "team", Seqs: []tidemark.Seq{3}},
		&core.Submit{Actor: core.Actor{User: "bob"}, Conversation: "team", ClientID: "a", Message: &wire.Message{Text: "yes", Thread: 2}},
		&core.Submit{Actor: core.Actor{App: true}, Conversation: "team", ClientID: "p", Pin: &wire.Pin{Seq: 3}},
		react("bob", "team", "r", 2, false),
		react("bob", "team", "s", 2, true),
		react("bob", "team", "t", 2, false),
		&core.Delete{User: "bob", Conversation: "team", Seqs: []tidemark.Seq{2}},
		&core.Clear{User: "bob", Conversation: "team", Seq: 1},
	} {
		var inside string
		s.flying = func() { inside = look() }
		w.do(cmd)
		s.flying = nil
		if inside != before {
			t.Errorf("%T in flight:\n%s, before it\n%s", cmd, inside, before)
		}
		before = look()
	}
	want := "deleted [2 3], answers 1 of 1, pins 1, reacted true, counted false, hidden true"
	if before != want {
		t.Errorf("%s, want %s", before, want)
	}
}
