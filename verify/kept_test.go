// SPDX-License-Identifier: Apache-2.0

// Threads, reactions, pins and private records: whole ones are whole, and each damage is named.

package verify_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// makeKept is a directory with a team that has threads, reactions, pins and members who keep something. In it, alice has
// ordinal 2, bob 3 and carol 4.
func makeKept(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	w := newWorld(t, dir)
	team, app := w.team, core.Actor{App: true}
	w.in(team, &core.Create{Actor: app, Conversation: team, Owner: "alice", Members: []tidemark.UserID{"bob", "carol"}}) // 1
	w.text(team, "alice", "lunch?")                                                                                      // 2
	answer := func(user tidemark.UserID, text string) tidemark.Seq {
		return w.say(team, user, core.Submit{Message: &wire.Message{Text: text, Thread: 2}})
	}
	answer("bob", "yes")                                                                                   // 3
	answer("carol", "no")                                                                                  // 4
	answer("bob", "where?")                                                                                // 5
	w.say(team, "bob", core.Submit{Edit: &wire.Edit{Seq: 3, Message: &wire.Message{Text: "yes, please"}}}) // 6
	w.say(team, "carol", core.Submit{Recall: &wire.Recall{Seq: 4}})                                        // 7
	w.in(team, &core.Erase{Actor: app, Conversation: team, Seq: 5})                                        // 8
	w.say(team, "alice", core.Submit{Pin: &wire.Pin{Seq: 3}})                                              // 9
	w.say(team, "alice", core.Submit{Pin: &wire.Pin{Seq: 2}})                                              // 10
	w.say(team, "bob", core.Submit{Reaction: &wire.Reaction{Seq: 2, Key: "+1"}})                           // 11
	w.say(team, "carol", core.Submit{Reaction: &wire.Reaction{Seq: 2, Key: "+1"}})                         // 12
	w.text(team, "bob", "forget it")                                                                       // 13
	w.say(team, "alice", core.Submit{Reaction: &wire.Reaction{Seq: 13, Key: "?"}})                         // 14
	w.say(team, "alice", core.Submit{Pin: &wire.Pin{Seq: 13}})                                             // 15
	w.say(team, "bob", core.Submit{Recall: &wire.Recall{Seq: 13}})                                         // 16
	w.in(team, &core.Delete{User: "carol", Conversation: team, Seqs: []tidemark.Seq{3, 4}})
	w.in(team, &core.Settings{User: "bob", Conversation: team, Draft: &wire.Draft{Text: "well", ReplyTo: 3}})
	w.in(team, &core.Clear{User: "alice", Conversation: team, Seq: 12})
	for i := range 25 { // more than are named
		user := tidemark.UserID(fmt.Sprintf("u%d", i))
		w.in(team, &core.AddMembers{Actor: app, Conversation: team, Members: []tidemark.UserID{user}})
	}
	last := w.text(team, "alice", "all of you") // 42
	for i := range 25 {
		w.say(team, tidemark.UserID(fmt.Sprintf("u%d", i)), core.Submit{Reaction: &wire.Reaction{Seq: uint64(last), Key: "here"}})
	}
	w.close()
	return dir
}

// inPrivate changes what carol keeps for herself.
func inPrivate(change func(f *record.Private)) func(*testing.T, string) {
	return byRecord(func(p *store.Partition, c *record.Changes) {
		u, _, _ := p.User("carol")
		f, _ := p.Private(1, u)
		change(f)
		c.Privates = append(c.Privates, record.PrivateChange{Conversation: 1, User: u, Private: f})
	})
}

// inIndex adds an entry to an index of the team, or takes it out.
func inIndex(removed bool, i record.Index) func(*testing.T, string) {
	i.Conversation = 1
	return byRecord(func(p *store.Partition, c *record.Changes) {
		if i.Kind == record.ReactionIndex {
			i.User, _, _ = p.User("bob")
		}
		c.Indexes = append(c.Indexes, record.IndexChange{Index: i, Removed: removed})
	})
}

func TestDamageOfWhatIsKeptIsFound(t *testing.T) {
	whole := makeKept(t)
	if report := run(t, whole); !report.OK() || report.Counts.Answers != 3 || report.Counts.Reactions != 27 || report.Counts.Privates != 2 {
		t.Fatalf("%s %+v", report, report.Counts)
	}
	thread := func(root, seq tidemark.Seq) record.Index {
		return record.Index{Kind: record.ThreadIndex, Root: root, Seq: seq}
	}
	plus := record.Index{Kind: record.ReactionIndex, Seq: 2, ID: "+1"}
	for _, d := range []struct {
		name string
		do   func(*testing.T, string)
		says string
	}{
		{"an answer is missing", inIndex(true, thread(2, 3)), "event 3: thread of the message: found none, expected 2"},
		{"an answer is invented", inIndex(false, thread(2, 13)), "event 13: thread of the message: found 2, expected none"},
		{"an answer is in two threads", inIndex(false, thread(1, 3)), "event 3: thread of the message: found 2, expected 1 alone"},
		{"an event is an answer", inIndex(false, thread(2, 9)), "event 9: thread of the message: found 2, expected none"},
		{"an erased answer is lost", inIndex(true, thread(2, 5)), ""}, // it has no content that could tell
		{"answers are counted wrong", inCurrent(2, func(f *record.Current) { f.ThreadCount = 2 }), "2 answers (last 5)"},
		{"the last answer is another", inCurrent(2, func(f *record.Current) { f.ThreadSeq = 4 }), "1 answers (last 4)"},
		{"an edit leaves the thread", inCurrent(3, func(f *record.Current) { f.Edited = f.Edited[:len(f.Edited)-2] }), "event 3: current form"},
		{"a reaction is missing", inIndex(true, plus), `event 2: reaction "+1" of bob: found none`},
		{"a reaction is invented", inIndex(false, record.Index{Kind: record.ReactionIndex, Seq: 2, ID: "-1"}), `event 2: reaction "-1" of bob: found in the index`},
		{"a reaction outlives a recall", inIndex(false, record.Index{Kind: record.ReactionIndex, Seq: 13, ID: "?"}), `event 13: reaction "?" of bob`},
		{"reactions are counted wrong", inCurrent(2, func(f *record.Current) { f.Reactions[0].Count++ }), "reactions [{+1 3 ["},
		{"too many users are named", inCurrent(42, func(f *record.Current) {
			f.Reactions[0].Users = append(f.Reactions[0].Users, 99)
		}), "event 42: current form"},
		{"a pin is missing", inInfo(func(i *record.Info) { i.Pins = i.Pins[:1] }), "pinned messages: found [3], expected [3 2]"},
		{"pins are in another order", inInfo(func(i *record.Info) { i.Pins = []tidemark.Seq{2, 3} }), "pinned messages: found [2 3], expected [3 2]"},
		{"a recalled message is pinned", inInfo(func(i *record.Info) { i.Pins = append(i.Pins, 13) }), "pinned messages: found [3 2 13]"},
		{"a private record is missing", byHand(func(h hand) {
			h.delete(h.find(store.PrivateRow, func(k store.Key, _ []byte) bool { return true }))
		}), "private record of member bob: found none"},
		{"a private record is nobody's", byRecord(func(_ *store.Partition, c *record.Changes) {
			c.Privates = append(c.Privates, record.PrivateChange{Conversation: 1, User: 9, Private: &record.Private{}})
		}), "found one, expected none: the member record knows of none"},
		{"a private record is of no conversation", byRecord(func(_ *store.Partition, c *record.Changes) {
			c.Privates = append(c.Privates, record.PrivateChange{Conversation: 7, User: 9, Private: &record.Private{}})
		}), "private record of conversation ordinal 7"},
		{"a deleted message is of the future", inPrivate(func(f *record.Private) { f.Deleted[1] = 500 }), "found 500 after 3"},
		{"deleted messages are not in order", inPrivate(func(f *record.Private) { f.Deleted[0] = 4 }), "found 4 after 4"},
		{"a draft has no time", inPrivate(func(f *record.Private) { f.Draft = "x" }), "draft of member carol: found 1 bytes, saved at 0"},
		{"a draft replies to the future", inPrivate(func(f *record.Private) { f.DraftReplyTo = 500 }), "that the draft replies to of member carol: found 500"},
		{"a member has cleared what it has not read", inMember(func(m *record.Member) {
			m.GrantedFrom, m.ClearedSeq, m.VisibleFrom = 1, 30, 31
		}), "last event that was cleared of member carol: found 30"},
		{"a member sees what it has cleared", inMember(func(m *record.Member) { m.GrantedFrom, m.ClearedSeq = 1, 4 }), "first visible seq of member carol: found 1, expected 5"},
	} {
		t.Run(d.name, func(t *testing.T) {
			dir := copyDir(t, whole)
			d.do(t, dir)
			report := run(t, dir)
			if d.says == "" {
				if report.OK() {
					t.Error("the count of the thread should tell")
				}
				return
			}
			if !strings.Contains(report.String(), d.says) {
				t.Errorf("not found: %q in\n%s", d.says, report)
			}
		})
	}
}
