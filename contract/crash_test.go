// SPDX-License-Identifier: Apache-2.0

// Crashes at every operation on the disk: what a client holds is still good, and what comes after has other versions.

package contract_test

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/store/faultfs"
	"github.com/tidemark-im/tidemark/wire"
)

// kept is what a client has of groups, of the members of "team", and of contacts.
type kept [3]*held

func (k kept) clone() kept { return kept{k[0].clone(), k[1].clone(), k[2].clone()} }

func newKept() kept { return kept{newHeld(), newHeld(), newHeld()} }

// read brings it up to date.
func (k kept) read(w *world) {
	w.Helper()
	for more := true; more; more = k[0].token+k[1].token+k[2].token != "" {
		a := w.ask("alice", &wire.ChangesRequest{
			Groups:       &wire.GroupsContract{ListVersion: k[0].list, InfoVersion: k[0].info, PageToken: k[0].token},
			GroupMembers: []*wire.GroupMembersContract{{Conversation: "team", ListVersion: k[1].list, InfoVersion: k[1].info, PageToken: k[1].token}},
			Contacts:     &wire.ContactsContract{ListVersion: k[2].list, InfoVersion: k[2].info, PageToken: k[2].token},
		})
		k[0].groups(w, a.Groups)
		k[1].members(a, a.GroupMembers[0])
		k[2].contacts(a, a.Contacts)
	}
}

// text is all of it.
func (k kept) text() (text string) {
	for _, h := range k {
		text += dump(h.rows) + dump(only(h.profiles, h.rows))
	}
	return text
}

// A4: the numbers behind versions survive crashes and never repeat. A version that was handed out before a crash is good
// after it: it names nothing that can be lost, and what the server writes afterwards is past it.
func TestA4VersionsSurviveCrashes(t *testing.T) {
	client := newKept()
	crashes, fs := faultfs.NewCrashes(1, func() kept { return client.clone() })
	w := &world{tester: t, disk: fs, now: 1_700_000_000_000}
	w.open()
	users := []tidemark.UserID{"bob", "carol", "dave"}
	w.users(append(users, "alice")...)
	w.group("team", "alice")
	crashes.Watch(true)
	for round := range 12 {
		change(w, round, users)
		next := client.clone()
		next.read(w)
		crashes.Do(func() { client = next })
	}
	crashes.Watch(false)
	w.close()
	taken := crashes.Taken()
	if len(taken) < 20 {
		t.Fatalf("there were only %d moments to crash at", len(taken))
	}
	for _, c := range taken {
		after := &world{tester: t, disk: c.FS, now: 1_700_000_000_000}
		after.open()
		began := c.Note[0].list != ""
		for round := range 3 {
			fulls := c.Note[0].fulls + c.Note[2].fulls
			c.Note.read(after)
			fresh := newKept()
			fresh.read(after)
			if c.Note.text() != fresh.text() {
				t.Fatalf("after a crash at %v, round %d, the client has\n%swant\n%s", c.Op, round, c.Note.text(), fresh.text())
			}
			if began && c.Note[0].fulls+c.Note[2].fulls != fulls {
				t.Fatalf("after a crash at %v a version that was handed out cannot be used", c.Op)
			}
			change(after, 100+round, users)
		}
		after.close()
	}
	t.Logf("%d crashes", len(taken))
}

// change changes something of every set.
func change(w *world, round int, users []tidemark.UserID) {
	user := users[round%len(users)]
	w.rename(user, fmt.Sprint("name ", round))
	w.do(&core.Contact{User: "alice", Peer: user, Action: core.RemarkPeer, Text: fmt.Sprint("remark ", round)})
	w.do(&core.AddMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{user}})
	w.do(&core.RemoveMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{users[(round+1)%len(users)]}})
	w.group(tidemark.ConversationID(fmt.Sprint("group-", round)), "alice")
}
