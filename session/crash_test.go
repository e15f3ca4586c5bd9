// SPDX-License-Identifier: Apache-2.0

// Crashes: at every operation on the disk, and half-way through a commit.

package session

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/store/faultfs"
	"github.com/tidemark-im/tidemark/wire"
)

// stored is what had been acknowledged before a crash.
type stored struct {
	acked map[uint64]string // texts by event id
	seqs  map[uint64]uint64 // event ids by seq
}

// A1 and S2: after a crash at any moment, nothing acknowledged is lost, and no seq names another event than the one that
// was acknowledged under it.
func TestA1NumberIsNeverReusedCrashAtEveryWrite(t *testing.T) {
	tc := &testWorld{TB: t, now: 1_700_000_000_000, format: wire.Proto}
	had := stored{map[uint64]string{}, map[uint64]uint64{}}
	crashes, fs := faultfs.NewCrashes(1, func() stored { return stored{maps.Clone(had.acked), maps.Clone(had.seqs)} })
	tc.fs = fs
	tc.start()
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	crashes.Watch(true)
	for round := range 12 {
		for i := range 1 + round%4 {
			phone.submit("team", fmt.Sprint("m", round, ".", i))
		}
		tc.step()
		phone.drain()
		crashes.Do(func() {
			for seq, e := range phone.logs["team"].events {
				if seq > 1 {
					had.acked[e.Id], had.seqs[seq] = phone.logs["team"].texts[seq], e.Id
				}
			}
		})
	}
	crashes.Watch(false)
	tc.must(tc.db.Close())
	taken := crashes.Taken()
	if len(taken) < 20 {
		t.Fatalf("there were only %d moments to crash at", len(taken))
	}
	for _, c := range taken {
		after := &testWorld{TB: t, fs: c.FS, now: 1_700_000_000_000 - 5000, format: wire.Proto} // and the clock has stepped back
		after.start()
		desk := after.device("bob", "desk")
		desk.tail, desk.gapless = 500, true
		desk.connect().drain()
		l := desk.logs["team"]
		for seq, id := range c.Note.seqs {
			if e := l.events[seq]; e == nil || e.Id != id || l.texts[seq] != c.Note.acked[id] {
				t.Fatalf("after a crash at %v seq %d is %v, acknowledged was event %d, %q", c.Op, seq, e, id, c.Note.acked[id])
			}
		}
		before := l.head
		after.post("alice", "team", "after the crash")
		desk.drain()
		if e := l.events[before+1]; e == nil || c.Note.acked[e.Id] != "" {
			t.Fatalf("after a crash at %v the next event is %v", c.Op, e)
		}
		desk.disconnect()
		after.must(after.db.Close())
	}
	t.Logf("%d crashes", len(taken))
}

// halfway is a journal whose commit reaches the store and fails all the same, when it is told to.
type halfway struct {
	journal.Journal
	fail func() error
}

func (h *halfway) Commit(b *store.Batch) error {
	err := h.Journal.Commit(b)
	if h.fail != nil {
		if failed := h.fail(); failed != nil {
			return failed
		}
	}
	return err
}

// S2: what a failed commit has left in the store is never served; nothing more is written; reading and syncing go on.
func TestA2StoredBeforeDeliveredNothingOfAFailedCommit(t *testing.T) {
	t.Run("from memory", func(t *testing.T) { testFailedCommit(t, partition.CacheLimits{}) })
	t.Run("from the store", func(t *testing.T) { testFailedCommit(t, nothingCached) })
}

// nothingCached makes nearly every read go to the store.
var nothingCached = partition.CacheLimits{
	Conversations: 1, Members: 1, ListRows: 1, Users: 1, Strangers: 1, Profiles: 1, Devices: 1, HeadPages: 1, TailBytes: 1, TailEvents: 1,
}

func testFailedCommit(t *testing.T, cache partition.CacheLimits) {
	tc := newTest(t)
	tc.must(tc.db.Close())
	broken := &halfway{}
	tc.config = func(cfg *partition.Config) {
		cfg.Cache = cache
		broken.Journal = cfg.Journal
		cfg.Journal = broken
	}
	tc.start()
	tc.users("alice", "bob", "carol")
	tc.group("team", "alice", "bob")
	tc.post("alice", "team", "one")
	phone, desk := tc.device("alice", "phone").connect(), tc.device("bob", "desk").connect()
	phone.drain()
	desk.drain()

	same := tidemark.ConversationID("same") // of the same partition; what is asked of it clears a small cache
	for tc.set.Of(same) != tc.set.Of("team") {
		same += "-"
	}
	tc.group(same, "alice", "bob", "carol")
	phone.drain()
	desk.drain()
	broken.fail = func() error { return errors.New("the disk has gone") }
	request := phone.submitAs("team", "c-1", "two")
	phone.submitAs("team", "c-1", "two") // in the same batch: its answer must wait for the same commit
	tc.must(tc.set.Submit(t.Context(), &core.AddMembers{
		Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"carol"},
	}, nil))
	tc.must(tc.set.Submit(t.Context(), &core.Read{User: "bob", Conversation: "team", Seq: 3}, nil))
	tc.step()
	phone.drain()
	if len(phone.frames) != 2 {
		t.Fatalf("two submissions are answered by %v", phone.frames)
	}
	for i, f := range phone.frames {
		if e := f.GetError(); e.GetReason() != wire.Reason_UNAVAILABLE || e.GetRequest() != request+uint64(i) {
			t.Fatalf("a submission that was not stored is answered by %v", f)
		}
	}
	desk.wantIdle("nothing has happened")
	if tc.set.Health() == nil {
		t.Error("the set says that all is well")
	}
	broken.fail = nil
	phone.submit("team", "three")
	tc.step()
	phone.drain()
	if e := phone.frames[0].GetError(); e.GetReason() != wire.Reason_UNAVAILABLE {
		t.Errorf("after a failure a submission is answered by %v", phone.frames[0])
	}

	for _, d := range []*device{tc.device("bob", "new"), desk} {
		forgetCached(tc, same)
		d.connect().drain()
		d.want("what was committed", "team", "one")
		if l := d.logs["team"]; l.head != 2 || l.unread != 1 || l.info.MemberCount != 2 {
			t.Errorf("%s: head %d, %d unread, %d members", d.name, l.head, l.unread, l.info.MemberCount)
		}
	}
	p := tc.set.Of("team")
	forgetCached(tc, same)
	carol := tc.device("carol", "tablet").connect()
	carol.drain()
	if carol.logs["team"] != nil {
		t.Errorf("carol is shown a conversation that she was not added to: %v", carol.logs)
	}
	if m, err := p.Member(1, "carol"); err != nil || m != nil {
		t.Errorf("carol's member record is %v, %v", m, err)
	}
	if rows, err := p.Members(1, 0, 10); err != nil || len(rows) != 2 {
		t.Errorf("the members are %v, %v", rows, err)
	}
	if seq, err := p.ByClientID(1, "alice", "c-1"); err != nil || seq != 0 {
		t.Errorf("the client id of a message that was not stored leads to %d, %v", seq, err)
	}
	if events, err := p.Events(1, 1, 99, 99, 0, false); err != nil || len(events) != 2 {
		t.Errorf("the events are %v, %v", events, err)
	}
	if hours, err := p.Hours(1, 0, 99); err != nil || len(hours) != 1 || hours[0].Count != 2 {
		t.Errorf("the hours are %v, %v", hours, err)
	}
}

// forgetCached makes a cache of one place hold something else.
func forgetCached(tc *testWorld, other tidemark.ConversationID) {
	tc.Helper()
	for _, user := range []tidemark.UserID{"carol", "bob", "alice"} {
		_, err := Summary(tc.set, user, other)
		tc.must(err)
	}
}

// Where the disk is nearly full, commits are refused; when there is room again, writing goes on by itself.
func TestLowSpaceEndsByItself(t *testing.T) {
	tc := newTest(t)
	tc.must(tc.db.Close())
	full := &refusing{}
	tc.config = func(cfg *partition.Config) {
		full.Journal = cfg.Journal
		cfg.Journal = full
	}
	tc.start()
	tc.users("alice")
	tc.group("team", "alice")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	full.low = true
	phone.submitAs("team", "c-1", "hello")
	tc.step()
	phone.drain()
	if e := phone.frames[0].GetError(); e.GetReason() != wire.Reason_UNAVAILABLE {
		t.Fatalf("without room a submission is answered by %v", phone.frames[0])
	}
	full.low = false
	phone.submitAs("team", "c-1", "hello")
	tc.step()
	phone.drain()
	if s := phone.frames[0].GetSubmitted(); s.GetSeq() != 2 || s.GetDuplicate() {
		t.Fatalf("with room again a submission is answered by %v", phone.frames[0])
	}
}

type refusing struct {
	journal.Journal
	low bool
}

func (r *refusing) Commit(b *store.Batch) error {
	if r.low {
		return fmt.Errorf("test: %w", store.ErrLowSpace)
	}
	return r.Journal.Commit(b)
}
