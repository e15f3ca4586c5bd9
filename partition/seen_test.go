// SPDX-License-Identifier: Apache-2.0

// Random histories, and on every path each user is shown what brute force says.

package partition

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// witness is a model of one group of alice, who owns it, bob and carol: what happened, kept in the simplest way.
type witness struct {
	*world
	t       *rapid.T
	head    uint64
	texts   map[uint64]string          // what messages say now
	edits   map[uint64]uint64          // edits, to what they edit
	roots   map[uint64]uint64          // answers, to their roots
	gone    map[uint64]bool            // recalled
	reacted map[uint64]map[string]bool // to messages, "key user"
	pinned  []uint64                   // in the order of pinning
	deleted map[string]map[uint64]bool // by users
	cleared map[string]uint64          // by users
}

var seers = []string{"alice", "bob", "carol"}

func TestEveryPathShowsTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &witness{
			world: newWorld(t, nil), t: rt, head: 1, texts: map[uint64]string{}, edits: map[uint64]uint64{}, roots: map[uint64]uint64{},
			gone: map[uint64]bool{}, reacted: map[uint64]map[string]bool{}, deleted: map[string]map[uint64]bool{}, cleared: map[string]uint64{},
		}
		defer s.world.close()
		s.do(&core.Create{
			Actor: core.Actor{App: true}, Conversation: "team", Owner: "alice", Members: []tidemark.UserID{"bob", "carol"},
		})
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			s.happen()
		}
		for _, user := range seers {
			s.compare(user)
		}
	})
}

// submit submits as a user; ok if it was not refused.
func (s *witness) submit(user string, cmd core.Submit) (ok bool) {
	s.ids++
	cmd.Actor, cmd.Conversation, cmd.ClientID = core.Actor{User: tidemark.UserID(user)}, "team", tidemark.ClientID(fmt.Sprint("c", s.ids))
	if ok = s.try(&cmd).Err == nil; ok {
		s.head++
	}
	return ok
}

func (s *witness) happen() {
	user := rapid.SampledFrom(seers).Draw(s.t, "user")
	target := uint64(rapid.IntRange(1, int(s.head)).Draw(s.t, "target"))
	name := fmt.Sprint("text ", s.head+1)
	switch rapid.IntRange(0, 9).Draw(s.t, "what") {
	case 0, 1, 2:
		m := &wire.Message{Type: "text", Text: name}
		if rapid.Bool().Draw(s.t, "answer") {
			m.Thread = target
		}
		if s.submit(user, core.Submit{Message: m}) {
			s.texts[s.head] = name
			if m.Thread > 0 {
				s.roots[s.head] = m.Thread
			}
		}
	case 3:
		if s.submit(user, core.Submit{Edit: &wire.Edit{Seq: target, Message: &wire.Message{Text: name}}}) {
			s.texts[target], s.edits[s.head] = name, target
		}
	case 4:
		if s.submit(user, core.Submit{Recall: &wire.Recall{Seq: target}}) {
			s.gone[target] = true
			delete(s.reacted, target)
			s.pinned = slices.DeleteFunc(s.pinned, func(pin uint64) bool { return pin == target })
		}
	case 5, 6:
		removed := rapid.IntRange(0, 3).Draw(s.t, "removed") == 0
		key := rapid.SampledFrom([]string{"+1", "heart"}).Draw(s.t, "key")
		if s.submit(user, core.Submit{Reaction: &wire.Reaction{Seq: target, Key: key, Removed: removed}}) {
			if s.reacted[target] == nil {
				s.reacted[target] = map[string]bool{}
			}
			s.reacted[target][key+" "+user] = true
			if removed {
				delete(s.reacted[target], key+" "+user)
			}
		}
	case 7:
		if s.submit("alice", core.Submit{Pin: &wire.Pin{Seq: target}}) && !slices.Contains(s.pinned, target) {
			s.pinned = append(s.pinned, target)
		}
	case 8:
		r := s.try(&core.Delete{User: tidemark.UserID(user), Conversation: "team", Seqs: []tidemark.Seq{tidemark.Seq(target)}})
		if r.Err == nil && s.deleted[user] == nil {
			s.deleted[user] = map[uint64]bool{}
		}
		if r.Err == nil {
			s.deleted[user][target] = true
		}
	case 9:
		if rapid.IntRange(0, 2).Draw(s.t, "clear") == 0 {
			s.do(&core.Clear{User: tidemark.UserID(user), Conversation: "team", Seq: tidemark.Seq(target)})
			s.cleared[user] = max(s.cleared[user], target)
		}
	}
}

// hides reports whether what an event says is hidden from a user: it, or what it edits, was deleted by the user or cleared.
func (s *witness) hides(user string, seq uint64) bool {
	edits := s.edits[seq]
	return s.deleted[user][seq] || edits > 0 && (s.deleted[user][edits] || edits <= s.cleared[user])
}

// want is what a user is shown of an event in its current form.
func (s *witness) want(user string, seq uint64) string {
	text, isMessage := s.texts[seq]
	switch {
	case s.hides(user, seq):
		return fmt.Sprint(seq, " hidden")
	case s.gone[seq]:
		return fmt.Sprint(seq, " recalled")
	case s.gone[s.edits[seq]]:
		return fmt.Sprint(seq, " recalled")
	case !isMessage:
		return fmt.Sprint(seq)
	}
	keys := map[string][]string{}
	for _, r := range slices.Sorted(maps.Keys(s.reacted[seq])) {
		var key, who string
		fmt.Sscan(r, &key, &who)
		keys[key] = append(keys[key], who)
	}
	line := fmt.Sprintf("%d %q", seq, text)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		line += fmt.Sprint(" ", key, len(keys[key]), slices.Contains(keys[key], user))
	}
	return line
}

// shown is what an event tells.
func shown(e *wire.Event) string {
	switch {
	case e.Hidden && (e.Body != nil || e.Salt != nil || e.Reactions != nil || len(e.BodyHash) == 0 || e.Kind == 0):
		return fmt.Sprint("hidden and yet ", e)
	case e.Hidden:
		return fmt.Sprint(e.Seq, " hidden")
	case e.Recalled > 0:
		return fmt.Sprint(e.Seq, " recalled")
	}
	var body wire.Body
	if err := body.UnmarshalVT(e.Body); err != nil || body.GetMessage() == nil {
		return fmt.Sprint(e.Seq)
	}
	line := fmt.Sprintf("%d %q", e.Seq, body.GetMessage().Text)
	for _, r := range e.Reactions {
		line += fmt.Sprint(" ", r.Key, r.Count, r.Mine)
	}
	return line
}

func (s *witness) compare(user string) {
	expect := func(path string, events []*wire.Event, want []uint64) {
		var got, lines []string
		for _, e := range events {
			got = append(got, shown(e))
		}
		for _, seq := range want {
			if seq > s.cleared[user] {
				lines = append(lines, s.want(user, seq))
			}
		}
		if !slices.Equal(got, lines) {
			s.t.Fatalf("%s is shown by %s\n%q, want\n%q", user, path, got, lines)
		}
	}
	all := make([]uint64, s.head)
	for i := range all {
		all[i] = uint64(i + 1)
	}
	page, err := s.set.Fetch(tidemark.UserID(user), &wire.Fetch{Conversation: "team", From: &wire.Fetch_After{}, Limit: 500})
	s.must(err)
	expect("Fetch", page.Events, all)
	pins, err := s.set.Pins(tidemark.UserID(user), "team")
	s.must(err)
	slices.Reverse(pins)
	expect("Pins", pins, s.pinned)
	counts := map[uint64]uint32{}
	for _, root := range slices.Compact(slices.Sorted(maps.Values(s.roots))) {
		var answers []uint64
		for _, seq := range slices.Sorted(maps.Keys(s.roots)) {
			if s.roots[seq] == root {
				answers = append(answers, seq)
				if !s.gone[seq] {
					counts[root]++
				}
			}
		}
		if root <= s.cleared[user] {
			continue
		}
		thread, err := s.set.Fetch(tidemark.UserID(user), &wire.Fetch{Conversation: "team", Thread: root, Limit: 500})
		s.must(err)
		expect("a thread", thread.Events, answers)
	}
	for _, e := range page.Events {
		if e.ThreadCount != counts[e.Seq] {
			s.t.Fatalf("the thread of %d counts %d, want %d", e.Seq, e.ThreadCount, counts[e.Seq])
		}
	}
	s.compareLog(user)
}

// compareLog compares what sessions give of the log: the same events are hidden, and nobody else's copy is changed.
func (s *witness) compareLog(user string) {
	sight, err := s.set.See(tidemark.UserID(user), "team")
	s.must(err)
	entries, err := sight.Partition.Log(sight.Info.Ordinal, sight.Floor+1, sight.Head.Seq, 500, 1<<20)
	s.must(err)
	for _, entry := range entries {
		seq := uint64(entry.Seq)
		hidden := s.hides(user, seq)
		if entry.HiddenFrom(sight.Member, sight.Private) != hidden && !s.gone[s.edits[seq]] {
			s.t.Fatalf("event %d is hidden from %s: %t", seq, user, !hidden)
		}
		if entry.decode().Hidden {
			s.t.Fatalf("event %d is hidden in what all share", seq)
		}
	}
}
