// SPDX-License-Identifier: Apache-2.0

// Each check of what users were told, and of what devices show, against a view that is wrong in one way.

package soak

import (
	"fmt"
	"os"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// said is an event with a text.
func said(seq uint64, sender, clientID, text string) *wire.Event {
	body, _ := (&wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Type: "text", Text: text}}}).MarshalVT() // it never fails
	return &wire.Event{Seq: seq, Id: seq, Sender: sender, ClientId: clientID, Body: body}
}

// wrongLedgers are what users were told and what the log holds, wrong in one way each. By then ann has written "one" and bob
// "two", both were told where they stand, and the log is right.
var wrongLedgers = []struct {
	name  string
	wrong func(l *ledger, log []*wire.Event) []*wire.Event
	finds string // the number; "": nothing
}{
	{"nothing", func(_ *ledger, log []*wire.Event) []*wire.Event { return log }, ""},
	{"lost", func(_ *ledger, log []*wire.Event) []*wire.Event { return log[:1] }, "Y2"},
	{"moved", func(_ *ledger, log []*wire.Event) []*wire.Event { log[1].Seq++; return log }, "Y2"},
	{"another's name", func(_ *ledger, log []*wire.Event) []*wire.Event {
		return append(log, said(3, "bob", "x", "one"))
	}, "Y2"},
	{"invented", func(_ *ledger, log []*wire.Event) []*wire.Event { return append(log, said(3, "bob", "x", "three")) }, "Y2"},
	{"a client id twice", func(l *ledger, log []*wire.Event) []*wire.Event {
		l.hear("ann", "phone", Told{Kind: Tries, Conversation: "c", Text: "more"})
		return append(log, said(3, "ann", "a1", "more"))
	}, "S4"},
	{"a text twice", func(_ *ledger, log []*wire.Event) []*wire.Event { return append(log, said(3, "ann", "a3", "one")) }, "C5"},
	{"two answers", func(l *ledger, log []*wire.Event) []*wire.Event {
		l.hear("ann", "phone", Told{Kind: Stores, Conversation: "c", ClientID: "a1", Seq: 2})
		return log
	}, "S4"},
	{"never sent", func(l *ledger, log []*wire.Event) []*wire.Event {
		l.hear("ann", "phone", Told{Kind: Sends, Conversation: "c", ClientID: "a9", Text: "nine"})
		return log
	}, "C5"},
	{"refused, which may be", func(l *ledger, log []*wire.Event) []*wire.Event {
		l.hear("ann", "phone", Told{Kind: Sends, Conversation: "c", ClientID: "a9", Text: "nine"})
		l.hear("ann", "phone", Told{Kind: Fails, Conversation: "c", ClientID: "a9", Text: "not a member"})
		return log
	}, ""},
	{"shown, and nobody wrote it", func(l *ledger, log []*wire.Event) []*wire.Event {
		l.arrived("bob", Told{Kind: Arrives, Conversation: "c", Seq: 1, Text: "One"}, false)
		return log
	}, "C1"},
	{"shown before it is known who wrote it", func(l *ledger, log []*wire.Event) []*wire.Event {
		l.arrived("bob", Told{Kind: Arrives, Conversation: "c", Seq: 3, Text: "three"}, false)
		l.hear("ann", "phone", Told{Kind: Tries, Conversation: "c", Text: "three"})
		return log
	}, ""},
	{"shown spoiled by a network that spoils", func(l *ledger, log []*wire.Event) []*wire.Event {
		l.arrived("bob", Told{Kind: Arrives, Conversation: "c", Seq: 1, Text: "One"}, true)
		l.rewritten("bob", "phone", Told{Kind: Rewritten, Conversation: "c", Seq: 1, To: 1}, true)
		return log
	}, ""},
	{"rewritten", func(l *ledger, log []*wire.Event) []*wire.Event {
		l.rewritten("bob", "phone", Told{Kind: Rewritten, Conversation: "c", Seq: 1, To: 1}, false)
		return log
	}, "Y3"},
}

func TestTheLedgerFindsWhatIsWrong(t *testing.T) {
	for _, c := range wrongLedgers {
		t.Run(c.name, func(t *testing.T) {
			l := newLedger()
			log := []*wire.Event{said(1, "ann", "a1", "one"), said(2, "bob", "b1", "two")}
			for _, told := range []Told{
				{Kind: Tries, Text: "one"}, {Kind: Sends, Text: "one", ClientID: "a1"}, {Kind: Stores, ClientID: "a1", Seq: 1},
			} {
				told.Conversation = "c"
				l.hear("ann", "phone", told)
			}
			for _, told := range []Told{{Kind: Tries, Text: "two", ClientID: "b1"}, {Kind: Stores, ClientID: "b1", Seq: 2}} {
				told.Conversation = "c"
				l.hear("bob", "app", told)
			}
			l.check("c", c.wrong(l, log))
			l.closed()
			found := l.violations()
			if c.finds == "" && len(found) > 0 {
				t.Fatalf("nothing is wrong, found: %v", found[0])
			}
			if c.finds != "" && (len(found) == 0 || found[0].Invariant != c.finds) {
				t.Fatalf("want %s, found: %v", c.finds, found)
			}
		})
	}
}

func TestTheCalmFindsWhatIsWrong(t *testing.T) {
	logs := map[tidemark.ConversationID]*truth{"c": {digest: tidemark.Digest{7}}}
	for i := range 4 {
		logs["c"].events = append(logs["c"].events, said(uint64(i+1), []string{"ann", "bob"}[i%2], fmt.Sprint(i), "text"))
	}
	direct := tidemark.Direct("ann", "bob")
	logs[direct] = &truth{}
	for _, c := range []struct {
		name  string
		wrong func(s *Standing)
		finds string // part of what is said; "": nothing
	}{
		{"nothing", func(*Standing) {}, ""},
		{"not everything sent", func(s *Standing) { s.Outbox = 1 }, "1 in its outbox"},
		{"not connected", func(s *Standing) { s.State = "offline" }, "offline"},
		{"old profiles", func(s *Standing) { s.Stale = "no answer" }, "no answer"},
		{"less", func(s *Standing) { s.Conversations[0].Seq = 3 }, "the server 4"},
		{"others", func(s *Standing) { s.Conversations[0].Digest = tidemark.Digest{8}.String() }, "with digest"},
		{"doubt", func(s *Standing) { s.Conversations[0].Doubt = true }, "doubts"},
		{"a hole", func(s *Standing) { s.Conversations[0].Stored = 3 }, "3 of the events 1 to 4"},
		{"a wrong count", func(s *Standing) { s.Conversations[0].Unread = 2 }, "S11"},
		{"what nobody has", func(s *Standing) { s.Conversations[0].ID = "d" }, "nobody can read"},
		{"not shown", func(s *Standing) { s.Conversations = s.Conversations[:1] }, "does not show"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Standing{State: "synced", Conversations: []ShownConversation{
				{ID: "c", Seq: 4, Digest: logs["c"].digest.String(), From: 1, Read: 2, Unread: 1, Stored: 4},
				{ID: direct, Digest: logs[direct].digest.String(), From: 1},
			}}
			c.wrong(s)
			r := &run{keepers: []*keeper{{config: DeviceConfig{User: "ann", Device: "phone"}}}}
			got := told(append(r.busy([]*Standing{s}), r.differ([]*Standing{s}, logs)...))
			if (got == "") != (c.finds == "") || !strings.Contains(got, c.finds) {
				t.Fatalf("want %q, found %q", c.finds, got)
			}
		})
	}
}

func TestTwoDevicesOfOneUserAreCompared(t *testing.T) {
	good := func() *Standing {
		return &Standing{Rest: "ann", Conversations: []ShownConversation{{ID: "c", Seq: 4, Stored: 4}, {ID: "d"}}}
	}
	for name, c := range map[string]struct {
		wrong func(s *Standing)
		alike bool
	}{
		"nothing":         {func(*Standing) {}, true},
		"stored less":     {func(s *Standing) { s.Conversations[0].Stored = 1 }, true},
		"another profile": {func(s *Standing) { s.Rest = "Ann" }, false},
		"another count":   {func(s *Standing) { s.Conversations[0].Unread = 1 }, false},
		"one more":        {func(s *Standing) { s.Conversations = append(s.Conversations, ShownConversation{ID: "e"}) }, false},
		"one less":        {func(s *Standing) { s.Conversations = s.Conversations[:1] }, false},
	} {
		other := good()
		c.wrong(other)
		if _, got := difference(good(), other); (got == "") != c.alike {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What killed runs have left is removed; what is kept or runs stays.
func TestLeftoversAreRemoved(t *testing.T) {
	parent := t.TempDir()
	place := func() *Place {
		p, err := NewPlace(parent)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	kept, killed, runs := place(), place(), place()
	if err := kept.Keep(); err != nil {
		t.Fatal(err)
	}
	if err := killed.lock.Close(); err != nil { // as the kernel does when a process ends
		t.Fatal(err)
	}
	last := place()
	for _, c := range []struct {
		place *Place
		there bool
	}{{kept, true}, {killed, false}, {runs, true}, {last, true}} {
		if found := exists(c.place.Dir); found != c.there {
			t.Errorf("%s: there %t, want %t", c.place.Dir, found, c.there)
		}
	}
	for _, p := range []*Place{runs, last} {
		if err := p.Remove(); err != nil || exists(p.Dir) {
			t.Errorf("%s is still there: %v", p.Dir, err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
