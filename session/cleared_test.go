// SPDX-License-Identifier: Apache-2.0

// What may be seen is asked for each frame: between two frames of a conversation its history may be cleared, or its reader
// removed and added again.

package session

import (
	"maps"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

func TestNothingIsGivenThatWasClearedBetweenFrames(t *testing.T) {
	for name, clear := range map[string]func(*testWorld){
		"cleared": func(tc *testWorld) { tc.do(&core.Clear{User: "bob", Conversation: "team", Seq: 90}) },
		"removed and added again": func(tc *testWorld) {
			tc.do(&core.RemoveMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"bob"}})
			tc.do(&core.AddMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"bob"}, Role: record.MemberRole})
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc := newTest(t)
			tc.users("alice", "bob")
			tc.group("team", "alice", "bob")
			d := tc.device("bob", "phone").connect()
			d.drain()
			for range 100 { // more than one frame tells of live
				tc.post("alice", "team", "hello")
			}
			d.next()
			if first := slices.Max(slices.Collect(maps.Keys(d.log("team").events))); first < 50 || first > 99 {
				t.Fatalf("the first frame goes up to %d: nothing is left for a second", first)
			}
			clear(tc)
			m, err := tc.set.Of("team").Member(1, "bob")
			tc.must(err)
			for data, ok := d.s.Next(nil); ok; data, ok = d.s.Next(nil) {
				f, err := wire.DecodeServerFrame(tc.format, data)
				tc.must(err)
				for _, c := range f.GetDelta().GetConversations() {
					for _, e := range c.Events {
						if tidemark.Seq(e.Seq) < m.VisibleFrom {
							t.Fatalf("event %d is given to a member who sees what is from %d on", e.Seq, m.VisibleFrom)
						}
					}
					if len(c.Events) > 0 && c.PrevSeq != c.Events[0].Seq-1 {
						t.Errorf("prevSeq %d before event %d", c.PrevSeq, c.Events[0].Seq)
					}
				}
			}
		})
	}
}
