// SPDX-License-Identifier: Apache-2.0

// Edits of messages that are no longer kept, or that a user does not see: their content goes with the message's.

package partition

import (
	"fmt"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// edit is a command that edits a message with a client id of its own.
func (w *world) edit(from tidemark.UserID, to tidemark.ConversationID, seq uint64, text string) *core.Submit {
	cmd := w.text(from, to, "")
	cmd.Message, cmd.Edit = nil, &wire.Edit{Seq: seq, Message: &wire.Message{Text: text}}
	return cmd
}

// logged is what sessions of a user get of an event.
func (w *world) logged(user tidemark.UserID, id tidemark.ConversationID, seq tidemark.Seq) *wire.Event {
	w.Helper()
	sight, err := w.set.See(user, id)
	w.must(err)
	entries, err := sight.Partition.Log(sight.Info.Ordinal, seq, seq, 1, 1<<20)
	w.must(err)
	if len(entries) != 1 {
		w.Fatalf("event %d is not in the log", seq)
	}
	e := entries[0].decode()
	if entries[0].HiddenFrom(sight.Member, sight.Private) {
		hide(e)
	}
	return e
}

// A user who has cleared a message does not get its later edits either; nor does one who joined after it.
func TestEditsOfWhatIsNotSeenAreHidden(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob", "carol")
	w.group("team", "alice", "bob")
	w.do(w.text("alice", "team", "first")) // 2
	w.do(&core.Clear{User: "bob", Conversation: "team", Seq: 2})
	w.do(&core.AddMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"carol"}}) // 3
	w.do(w.edit("alice", "team", 2, "secret"))                                                                      // 4
	for user, hidden := range map[tidemark.UserID]bool{"alice": false, "bob": true, "carol": true} {
		page, err := w.set.Fetch(user, &wire.Fetch{Conversation: "team"})
		w.must(err)
		last := page.Events[len(page.Events)-1]
		for path, e := range map[string]*wire.Event{"a page": last, "the log": w.logged(user, "team", 4)} {
			if e.Seq != 4 || e.Hidden != hidden || (e.Body == nil) != hidden || hidden && len(e.BodyHash) == 0 {
				t.Errorf("%s gets in %s %v", user, path, e)
			}
		}
	}
}

// When a message goes, what its later edits say goes with it: from memory, from every path and from the store.
func TestEditsOfWhatIsTrimmedKeepNoContent(t *testing.T) {
	for name, cache := range map[string]CacheLimits{"in memory": {}, "in the store": tiny} {
		t.Run(name, func(t *testing.T) {
			change := func(c *Config) { c.Cache = cache }
			w := newWorld(t, change)
			w.users("alice", "bob")
			info := w.group("team", "alice", "bob")
			w.keep("team", &wire.Retention{Mode: wire.RetentionMode_BY_AGE, MaxAgeMs: anHour}) // 2
			w.do(w.text("alice", "team", "first"))                                             // 3
			w.do(w.edit("alice", "team", 3, "secret early"))                                   // 4
			w.do(w.text("alice", "team", "second"))                                            // 5
			w.do(w.edit("alice", "team", 5, "secret recalled"))                                // 6
			w.now += anHour / 2
			for _, seq := range []uint64{3, 5} {
				w.do(w.edit("alice", "team", seq, fmt.Sprint("secret late ", seq))) // 7, 8
			}
			w.do(w.text("alice", "team", "kept"))         // 9
			w.do(w.edit("alice", "team", 9, "kept late")) // 10
			recall := w.text("alice", "team", "")
			recall.Message, recall.Recall = nil, &wire.Recall{Seq: 5}
			w.do(recall) // 11
			if body := w.logged("bob", "team", 7).Body; !strings.Contains(string(body), "secret") {
				t.Fatalf("before the trim: %q", body)
			}
			w.now += anHour*6/10 + 1
			w.step()
			if floor := w.floor("team"); floor != 6 {
				t.Fatalf("trimmed up to %d, want 6", floor)
			}
			check := func(when string) {
				t.Helper()
				for seq, says := range map[tidemark.Seq]string{7: "hidden", 8: "recalled", 10: "kept late"} {
					page, err := w.set.Fetch("bob", &wire.Fetch{Conversation: "team", From: &wire.Fetch_After{After: uint64(seq - 1)}, Limit: 1})
					w.must(err)
					for path, e := range map[string]*wire.Event{"a page": page.Events[0], "the log": w.logged("bob", "team", seq)} {
						got := string(e.Body)
						switch {
						case e.Hidden:
							got = "hidden"
						case e.Recalled == 11:
							got = "recalled"
						}
						if !strings.Contains(got, says) || says != "kept late" && (e.Body != nil || e.Salt != nil || len(e.BodyHash) == 0) {
							t.Errorf("%s: %s shows event %d as %v, want %s", when, path, seq, e, says)
						}
					}
					e, err := w.db.Partition(w.set.Of("team").Number()).Event(info.Ordinal, seq)
					w.must(err)
					if strings.Contains(string(e.Body), "secret") {
						t.Errorf("%s: event %d is stored as %q", when, seq, e.Body)
					}
				}
			}
			check("after the trim")
			w.close()
			w.open(change)
			check("after a restart")
		})
	}
}
