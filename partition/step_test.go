// SPDX-License-Identifier: Apache-2.0

// One step of the machine: a batch is one commit, seen whole or not at all.

package partition

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// moment is a journal that lets a test look around between the moment when the store shows a batch and the moment when
// its commit is known.
type moment struct {
	journal.Journal
	before  func() // before the store has the batch
	look    func() error
	commits int
}

func (m *moment) Commit(b *store.Batch) error {
	m.commits++
	if m.before != nil {
		m.before()
	}
	err := m.Journal.Commit(b)
	if m.look != nil {
		return errors.Join(err, m.look())
	}
	return err
}

func TestBatchIsOneCommit(t *testing.T) {
	j := &moment{}
	w := newWorld(t, func(c *Config) { j.Journal, c.Journal = c.Journal, j })
	w.users("alice", "bob")
	info := w.group("team", "alice", "bob")
	p := w.set.Of("team")
	before, commits := p.Published(), j.commits
	var order []tidemark.Seq
	for i := range 5 {
		w.must(w.set.Submit(t.Context(), w.text("alice", "team", fmt.Sprint("m", i)), func(r core.Reply) {
			if p.Published() != before {
				t.Error("an answer came after the position was published")
			}
			order = append(order, r.Seq)
		}))
	}
	again := w.text("bob", "team", "twice")
	var first, second core.Reply
	w.must(w.set.Submit(t.Context(), again, func(r core.Reply) { first = r }))
	w.must(w.set.Submit(t.Context(), again, func(r core.Reply) { second = r }))
	w.must(w.set.Submit(t.Context(), w.text("carol", "team", "not a member"), func(r core.Reply) {
		if r.Err == nil || r.Err.Reason != tidemark.NotMember {
			t.Errorf("who is no member is answered %+v", r)
		}
	}))
	w.step()
	if !slices.Equal(order, []tidemark.Seq{2, 3, 4, 5, 6}) {
		t.Errorf("the answers name seqs %v", order)
	}
	if second.Seq != first.Seq || !second.Duplicate || second.Digest != first.Digest || first.Duplicate {
		t.Errorf("the same client id twice in one batch: %+v and %+v", first, second)
	}
	if p.Published() != before+1 || j.commits != commits+1 {
		t.Errorf("%d positions and %d commits, want one", p.Published()-before, j.commits-commits)
	}
	events, err := w.db.Partition(p.Number()).Head(info.Ordinal)
	w.must(err)
	if events.Seq != 7 || events.Position != before+1 {
		t.Errorf("the stored head is %+v", events)
	}
}

// A batch that writes nothing needs no commit and has no position.
func TestBatchThatWritesNothing(t *testing.T) {
	j := &moment{}
	w := newWorld(t, func(c *Config) { j.Journal, c.Journal = c.Journal, j })
	w.users("alice")
	w.group("team", "alice")
	m := w.text("alice", "team", "hello")
	w.do(m)
	commits, at := j.commits, w.set.Of("team").Published()
	if r := w.do(m); !r.Duplicate {
		t.Errorf("a repeated submission is answered %+v", r)
	}
	if r := w.try(w.text("nobody", "team", "hello")); r.Err == nil {
		t.Errorf("a stranger is answered %+v", r)
	}
	w.do(&core.Read{User: "alice", Conversation: "team", Seq: 1})
	if j.commits != commits || w.set.Of("team").Published() != at {
		t.Errorf("%d commits, position %d, was %d", j.commits-commits, w.set.Of("team").Published(), at)
	}
}

// S2: while a commit is in flight, readers see what was committed before it, in memory or not; then what it wrote.
func TestReadersDoNotSeeACommitInFlight(t *testing.T) {
	for name, cache := range map[string]CacheLimits{"in memory": {}, "in the store": tiny} {
		t.Run(name, func(t *testing.T) {
			j := &moment{}
			w := newWorld(t, func(c *Config) { c.Cache = cache; j.Journal, c.Journal = c.Journal, j })
			w.users("alice", "bob", "carol", "dave")
			info := w.group("team", "alice", "bob")
			for w.other = "other"; w.set.Of(w.other) != w.set.Of("team"); {
				w.other += "-"
			}
			w.group(w.other, "dave")
			for i := range 5 {
				w.do(w.text("alice", "team", fmt.Sprint("m", i)))
			}
			w.do(&core.Read{User: "bob", Conversation: "team", Seq: 1})
			w.do(&core.Submit{Actor: core.Actor{App: true}, Conversation: "team", ClientID: "r0", Recall: &wire.Recall{Seq: 6}})
			title, looks := "new", 0
			state := func() string { return describe(w, info.Ordinal) }
			before := state()
			j.look = func() error {
				if looks++; looks == 1 {
					for range 2 {
						if now := state(); now != before {
							t.Errorf("in flight: %s", differences(before, now))
						}
					}
				}
				return nil
			}
			admin := core.Actor{App: true}
			mention := w.text("alice", "team", "you")
			mention.Message.Mentions = []string{"bob"}
			for _, cmd := range []core.Command{
				mention,
				&core.Submit{Actor: core.Actor{User: "alice"}, Conversation: "team", ClientID: "e1", Edit: &wire.Edit{
					Seq: 2, Message: &wire.Message{Text: "you too", Mentions: []string{"bob"}},
				}},
				&core.Submit{Actor: admin, Conversation: "team", ClientID: "r1", Recall: &wire.Recall{Seq: 5}},
				&core.Erase{Actor: admin, Conversation: "team", Seq: 4},
				&core.Update{Actor: admin, Conversation: "team", Title: &title},
				&core.Read{User: "bob", Conversation: "team", Seq: 2},
				&core.AddMembers{Actor: admin, Conversation: "team", Members: []tidemark.UserID{"carol"}},
				&core.RemoveMembers{Actor: admin, Conversation: "team", Members: []tidemark.UserID{"alice"}},
			} {
				w.must(w.set.Submit(t.Context(), cmd, func(r core.Reply) {
					if r.Err != nil {
						t.Errorf("%T: %v", cmd, r.Err)
					}
				}))
			}
			w.step()
			if looks == 0 {
				t.Fatal("nobody looked")
			}
			after := state()
			if after == before {
				t.Errorf("after the commit all is as before:\n%s", after)
			}
			w.close()
			w.open(func(c *Config) { c.Cache = cache })
			if opened := state(); opened != after {
				t.Errorf("opened again: %s", differences(after, opened))
			}
		})
	}
}

// differences are the lines that two descriptions do not share.
func differences(before, after string) (s string) {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			s += fmt.Sprintf("\n- %q\n+ %q", a[i], b[i])
		}
	}
	return fmt.Sprintf("%s\n%d lines, %d lines", s, len(a), len(b))
}

// tiny makes nearly every read go to the store.
var tiny = CacheLimits{
	Readers: 1, Conversations: 1, Members: 1, ListRows: 1, Users: 1, Strangers: 1, Profiles: 1, Devices: 1, HeadPages: 1, TailBytes: 1, TailEvents: 1,
}

// describe is everything that can be read of a conversation and its three users.
func describe(w *world, c record.Conversation) (s string) {
	p := w.set.Of("team")
	add := func(what string, v any, err error) {
		w.Helper()
		w.must(err)
		if other := w.other; other != "" { // takes the place of what was read in a tiny cache
			info, err := p.Info(other)
			w.must(err)
			_, err = p.Standing(info.Ordinal, 3)
			w.must(err)
		}
		s += fmt.Sprintf("%s: %+v\n", what, v)
	}
	info, err := p.Info("team")
	add("info", *info, err)
	head, err := p.Head(c)
	add("head", head, err)
	events, err := p.Events(c, 1, 100, 100, 0, false)
	add("events", len(events), err)
	for _, e := range events {
		add("event", fmt.Sprint(e.Seq, e.Position, e.Erased, string(e.Body)), nil)
	}
	entries, err := p.Log(c, 1, head.Seq, 100, 1<<20)
	add("log", len(entries), err)
	for _, e := range entries {
		add("entry", string(e.Encoded), nil)
	}
	forms, err := p.Currents(c, 1, 100)
	for seq := range tidemark.Seq(20) {
		one, err := p.Current(c, seq)
		add("current", fmt.Sprintf("%+v %+v", one, forms[seq]), err)
		digest, _ := p.Digest(c, seq)
		add("digest", digest, nil)
	}
	add("currents", len(forms), err)
	rows, err := p.Members(c, 0, 100)
	for _, r := range rows {
		add("member", fmt.Sprintf("%d %s %+v", r.Ordinal, r.User, *r.Member), nil)
	}
	add("members", len(rows), err)
	hours, err := p.Hours(c, 0, 100)
	add("hours", hours, err)
	last, _, err := p.LastHour(c, 1<<31)
	add("last hour", last, err)
	for seq := range tidemark.Seq(10) {
		answers, err := p.thread(c, seq, 1, 100, false, 100)
		add("thread", answers, err)
		reacted, err := p.Reactions(c, seq, ReactionRow{}, false, 100)
		add("reactions", reacted, err)
	}
	n, err := p.MembershipsMax(c, 0, head.Seq, 100)
	add("events about members", n, err)
	about, kept, err := p.MembershipEvents(c, 0, head.Seq, 100, 1<<20)
	add("events about members", fmt.Sprint(len(about), kept), err)
	for _, user := range []tidemark.UserID{"alice", "bob", "carol"} {
		m, err := p.Member(c, user)
		add(string(user), fmt.Sprintf("%+v", m), err)
		u, ok, err := p.User(user)
		add("ordinal", fmt.Sprint(u, ok), err)
		list, err := p.Conversations(user)
		add("list", list, err)
		unread, mentions, err := p.Counts(c, user)
		add("counts", fmt.Sprint(unread, mentions), err)
		seq, err := p.ByClientID(c, user, "r1")
		add("client id", seq, err)
	}
	return s
}

// What cannot be decided because the server fails is not answered by half.
func TestNoEntropyStopsWriting(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice")
	w.group("team", "alice")
	w.close()
	w.open(func(c *Config) { c.Entropy = failing{} })
	if r := w.try(w.text("alice", "team", "hello")); r.Err == nil || r.Err.Reason != tidemark.Unavailable {
		t.Errorf("without entropy a message is answered %+v", r)
	}
	if w.set.Health() == nil {
		t.Error("the set says that all is well")
	}
	if r := w.try(w.text("alice", "team", "hello")); r.Err == nil || r.Err.Reason != tidemark.Unavailable {
		t.Errorf("after that a message is answered %+v", r)
	}
	if _, err := w.set.See("alice", "team"); err != nil {
		t.Errorf("reading does not go on: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no entropy here") }
