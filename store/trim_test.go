// SPDX-License-Identifier: Apache-2.0

// Indexes are walked inside their leading fields, and what is trimmed is gone and nothing else.

package store

import (
	"path/filepath"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

func TestIndexesAreWalkedInsideTheirFields(t *testing.T) {
	db := open(t, Config{Dir: filepath.Join(t.TempDir(), "data")})
	defer db.Close()
	commit(t, db, 3, testChanges())
	var all []record.Index
	for _, c := range testIndexes() {
		all = append(all, c.Index)
	}
	for name, c := range map[string]struct {
		from record.Index
		want []record.Index
	}{
		"a thread":            {record.Index{Kind: record.ThreadIndex, Conversation: 1, Root: 2}, all[1:3]},
		"a thread from a seq": {record.Index{Kind: record.ThreadIndex, Conversation: 1, Root: 2, Seq: 4}, all[2:3]},
		"no thread":           {record.Index{Kind: record.ThreadIndex, Conversation: 3, Root: 2}, nil},
		"contacts":            {record.Index{Kind: record.ContactIndex, User: 1}, all[5:7]},
		"contacts since":      {record.Index{Kind: record.ContactIndex, User: 1, Position: 2}, all[6:7]},
		"profiles":            {record.Index{Kind: record.ProfileIndex}, all[8:10]},
		"profiles since":      {record.Index{Kind: record.ProfileIndex, Position: 2}, all[9:10]},
		"timers":              {record.Index{Kind: record.TimerIndex}, all[10:13]},
		"timers from a time":  {record.Index{Kind: record.TimerIndex, DueMs: 9}, all[11:13]},
	} {
		for _, descending := range []bool{false, true} {
			var got []record.Index
			err := db.Partition(3).Index(c.from, descending, func(i record.Index) bool {
				got = append(got, i)
				return true
			})
			if descending {
				slices.Reverse(got)
			}
			want(t, name, got, err, c.want)
		}
	}
	n := 0
	err := db.Partition(3).Index(record.Index{Kind: record.TimerIndex}, false, func(record.Index) bool { n++; return n < 2 })
	want(t, "a walk that ends", n, err, 2)
	c := &record.Changes{Partition: record.Partition{Position: 2}}
	for _, i := range testIndexes() {
		i.Removed = true
		c.Indexes = append(c.Indexes, i)
	}
	commit(t, db, 3, c)
	for _, kind := range []record.IndexKind{record.ProfileIndex, record.TimerIndex} {
		err := db.Partition(3).Index(record.Index{Kind: kind}, false, func(i record.Index) bool {
			t.Errorf("removed, and still there: %+v", i)
			return true
		})
		want(t, "after all were removed", 0, err, 0)
	}
}

// TestTrim removes the middle of a log with everything beside it, and in the same batch what came before the trim.
func TestTrim(t *testing.T) {
	db := open(t, Config{Dir: filepath.Join(t.TempDir(), "data")})
	defer db.Close()
	first := &record.Changes{Partition: record.Partition{Position: 1}, Users: []record.UserChange{{Ordinal: 1, ID: "alice"}}}
	for _, c := range []record.Conversation{1, 2} {
		for seq := tidemark.Seq(1); seq <= 5; seq++ {
			e := testEvent(seq, 3)
			e.Kind = record.MembersBody
			first.Events = append(first.Events, record.EventChange{Conversation: c, Event: e})
			first.Currents = append(first.Currents, record.CurrentChange{Conversation: c, Seq: seq, Current: &record.Current{PinSeq: 1}})
			first.Recalls = append(first.Recalls, record.RecallChange{Conversation: c, Seq: seq, Counted: 1})
			first.Indexes = append(first.Indexes, record.IndexChange{Index: record.Index{Kind: record.ThreadIndex, Conversation: c, Root: seq, Seq: 9}})
		}
	}
	commit(t, db, 3, first)
	commit(t, db, 3, &record.Changes{
		Partition: record.Partition{Position: 2},
		Currents:  []record.CurrentChange{{Conversation: 1, Seq: 3, Current: &record.Current{PinSeq: 2}}},
		Commits:   []record.CommitChange{{Position: 1, Events: []record.ConversationSeq{{Conversation: 1, Seq: 4}}}},
		Trims:     []record.TrimChange{{Conversation: 1, From: 1, To: 3}},
	})
	p := db.Partition(3)
	for c, kept := range map[record.Conversation][]tidemark.Seq{1: {4, 5}, 2: {1, 2, 3, 4, 5}} {
		var events, currents, recalls, memberships, roots []tidemark.Seq
		add := func(to *[]tidemark.Seq, seq tidemark.Seq) bool { *to = append(*to, seq); return true }
		err := p.Events(c, 0, SeqMax, false, func(e *record.Event) bool { return add(&events, e.Seq) })
		want(t, "events", events, err, kept)
		err = p.Currents(c, 0, SeqMax, func(s tidemark.Seq, _ *record.Current) bool { return add(&currents, s) })
		want(t, "current forms", currents, err, kept)
		err = p.Recalls(c, 0, func(s tidemark.Seq, _ uint64) bool { return add(&recalls, s) })
		want(t, "recalls", recalls, err, kept)
		err = p.Memberships(c, 0, func(s tidemark.Seq) bool { return add(&memberships, s) })
		want(t, "membership events", memberships, err, kept)
		for root := tidemark.Seq(1); root <= 5; root++ {
			err = p.Index(record.Index{Kind: record.ThreadIndex, Conversation: c, Root: root}, false, func(i record.Index) bool { return add(&roots, i.Root) })
		}
		want(t, "threads", roots, err, kept)
	}
	events, err := p.Commit(1)
	want(t, "the commit", events, err, []record.ConversationSeq{{Conversation: 1, Seq: 4}})
	commit(t, db, 3, &record.Changes{Partition: record.Partition{Position: 3}, Commits: []record.CommitChange{{Position: 1}}})
	events, err = p.Commit(1)
	want(t, "the commit without events", events, err, nil)
}

// TestForgottenClientIDsOfEqualHash takes one seq out of a row that two client ids share.
func TestForgottenClientIDsOfEqualHash(t *testing.T) {
	db := open(t, Config{Dir: filepath.Join(t.TempDir(), "data")})
	defer db.Close()
	commit(t, db, 3, testChanges())
	p, k := db.Partition(3), Key{Kind: ClientIDRow, Conversation: 1, Hash: clientIDHash(1, "cb")}
	share := func(seqs ...byte) { // as if other client ids had the same hash
		t.Helper()
		full := k
		full.Partition = 3
		if err := db.pebble.Set(AppendKey(nil, full), seqs, nil); err != nil {
			t.Fatal(err)
		}
	}
	row := func(what string, seqs ...tidemark.Seq) {
		t.Helper()
		got, err := p.clientIDSeqs(k)
		want(t, what, got, err, seqs)
	}
	forget := func(seqs ...tidemark.Seq) (list []record.ClientIDChange) {
		for _, seq := range seqs {
			list = append(list, record.ClientIDChange{Conversation: 1, User: 1, ClientID: "cb", Seq: seq, Removed: true})
		}
		return list
	}
	share(1, 2, 3)
	commit(t, db, 3, &record.Changes{ClientIDs: forget(2)})
	row("one is forgotten", 1, 3)
	commit(t, db, 3, &record.Changes{ClientIDs: append([]record.ClientIDChange{{Conversation: 1, User: 1, ClientID: "cb", Seq: 7}}, forget(1)...)})
	row("one is forgotten and one is new", 3, 7)
	commit(t, db, 3, &record.Changes{ClientIDs: forget(3, 7)})
	row("all are forgotten")
	commit(t, db, 3, &record.Changes{ClientIDs: forget(3)})
	row("and again")
}
