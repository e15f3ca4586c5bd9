// SPDX-License-Identifier: Apache-2.0

// Contacts while commits are in flight, whom their blocks silence, and whose messages a user accepts.

package partition

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

func (w *world) contact(user, peer tidemark.UserID, action core.ContactAction) {
	w.Helper()
	w.do(&core.Contact{User: user, Peer: peer, Action: action})
}

// contacts are a user's contacts in all partitions, read in steps of one: "peer state".
func (w *world) contacts(user tidemark.UserID) ([]string, error) {
	var lines []string
	for _, p := range w.set.partitions {
		var last ContactRow
		for more := true; more; {
			more = false
			err := p.Contacts(user, last.Position, last.Conversation, func(row ContactRow) bool {
				lines = append(lines, fmt.Sprint(row.Peer, " ", row.Member.Contact, " ", row.Member.Blocked))
				last, more = row, true
				return false
			})
			if err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(lines)
	return lines, nil
}

// TestContactsAreThoseCommitted looks between the moment when the store shows a commit and the moment when it is known
// to be durable: a contact that it moves is there once, as it was; one that it makes is not there.
func TestContactsAreThoseCommitted(t *testing.T) {
	j := &moment{}
	w := newWorld(t, func(c *Config) { j.Journal, c.Journal = c.Journal, j })
	w.users("alice", "bob", "carol", "frank")
	w.contact("alice", "bob", core.AskContact)
	w.contact("carol", "alice", core.AskContact)
	w.do(w.text("alice", "alice~frank", "hi"))
	want := []string{"bob 1 false", "carol 2 false"}
	looked := 0
	j.look = func() error {
		looked++
		if got, err := w.contacts("alice"); err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("in flight: %q, %w, want %q", got, err, want)
		}
		return nil
	}
	w.contact("bob", "alice", core.AcceptContact)
	want[0] = "bob 3 false"
	w.contact("alice", "bob", core.BlockPeer)
	want[0] = "bob 3 true"
	w.contact("alice", "dora", core.BlockPeer)
	want = append(want, "dora 0 true")
	w.contact("dora", "eve", core.AskContact)
	w.contact("frank", "alice", core.AskContact)
	want = append(want, "frank 2 false")
	if got, err := w.contacts("alice"); err != nil || !slices.Equal(got, want) || looked != 5 {
		t.Errorf("after %d commits: %q, %v", looked, got, err)
	}
}

// TestABlockSilences: typing, receipts and presence are not told across a block, whoever of the two has made it.
func TestABlockSilences(t *testing.T) {
	for _, blocker := range []tidemark.UserID{"alice", "bob"} {
		w := newWorld(t, nil)
		w.users("alice", "bob", "carol")
		w.do(w.text("alice", "alice~bob", "hi"))
		w.do(w.text("bob", "alice~bob", "hi"))
		alice, bob, carol := &listener{}, &listener{}, &listener{}
		w.must(w.set.Subscribe("bob", bob))
		w.must(w.set.Subscribe("carol", carol))
		w.must(w.set.Watch("bob", bob, []tidemark.UserID{"alice", "carol"}))
		w.must(w.set.Watch("carol", carol, []tidemark.UserID{"alice"}))
		w.must(w.set.Subscribe("alice", alice))
		w.must(w.set.Watch("alice", alice, []tidemark.UserID{"bob"}))
		w.must(w.set.Typing("alice", "alice~bob", true))
		if got := heard(bob); !slices.Equal(got, []string{"alice offline", "carol online", "alice online", "alice types"}) {
			t.Errorf("bob heard %q", got)
		}
		if apart, err := w.set.Apart("bob", "alice"); apart || err != nil {
			t.Errorf("apart: %v, %v", apart, err)
		}

		peer, _ := tidemark.ConversationID("alice~bob").Peer(blocker)
		alice.heard, bob.heard, carol.heard = nil, nil, nil
		w.contact(blocker, peer, core.BlockPeer)
		w.set.StepWatches(w.set.nowMs())
		w.must(w.set.Typing("alice", "alice~bob", true))
		w.must(w.set.Typing("bob", "alice~bob", true))
		w.do(&core.Read{User: "alice", Conversation: "alice~bob", Seq: 3})
		w.set.Unsubscribe("alice", alice)
		w.must(w.set.Subscribe("alice", alice))
		w.must(w.set.Watch("bob", bob, []tidemark.UserID{"alice"}))
		if got := heard(bob); !slices.Equal(got, []string{"alice offline", "alice offline"}) {
			t.Errorf("%s has blocked: bob heard %q", blocker, got)
		}
		if got := heard(alice); !slices.Equal(got, []string{"bob offline"}) {
			t.Errorf("%s has blocked: alice heard %q", blocker, got)
		}
		if got := heard(carol); len(got) > 0 {
			t.Errorf("alice was not away, carol heard %q", got)
		}
		if apart, err := w.set.Apart("bob", "alice"); !apart || err != nil {
			t.Errorf("apart: %v, %v", apart, err)
		}

		w.contact(blocker, peer, core.UnblockPeer)
		w.must(w.set.Typing("alice", "alice~bob", false))
		bob.heard = nil
		w.must(w.set.Watch("bob", bob, []tidemark.UserID{"alice"}))
		w.must(w.set.Typing("alice", "alice~bob", true))
		if got := heard(bob); !slices.Equal(got, []string{"alice online", "alice types"}) {
			t.Errorf("unblocked: bob heard %q", got)
		}
		for user, sub := range map[tidemark.UserID]Subscriber{"alice": alice, "bob": bob, "carol": carol} {
			w.set.Unsubscribe(user, sub)
		}
		if !w.set.watches.idle() || len(w.set.watches.by)+len(w.set.watches.due) > 0 {
			t.Errorf("watches are left over: %v, %v", w.set.watches.by, w.set.watches.due)
		}
		w.close()
	}
}

// heard are the signals in words.
func heard(l *listener) []string {
	var lines []string
	for _, s := range l.heard {
		switch s := s.Signal.(type) {
		case *wire.Signal_Presence:
			lines = append(lines, s.Presence.User+map[bool]string{true: " online", false: " offline"}[s.Presence.Online])
		case *wire.Signal_Typing:
			lines = append(lines, s.Typing.User+" types")
		default:
			lines = append(lines, fmt.Sprintf("%T", s))
		}
	}
	return lines
}

// TestWhoseMessagesAreAccepted: the other user's choice, which is in another partition, and the server's.
func TestWhoseMessagesAreAccepted(t *testing.T) {
	for _, everybody := range []bool{false, true} {
		w := newWorld(t, func(c *Config) { c.ContactsOnly = everybody })
		w.users("alice", "bob")
		home := w.set.OfUser("bob").Number()
		b := w.db.NewBatch(home)
		state, err := w.db.Partition(home).State()
		w.must(err)
		b.Put(&record.Changes{Partition: state, Accounts: []*record.Account{{User: "bob", ContactsOnly: true}}})
		w.must(w.db.Commit(b))
		b.Close()
		for _, try := range []struct {
			cmd  *core.Submit
			want tidemark.Reason
		}{
			{w.text("alice", "alice~bob", "hi"), tidemark.NotContact},
			{w.text("bob", "alice~bob", "hi"), map[bool]tidemark.Reason{true: tidemark.NotContact}[everybody]},
			{w.text(tidemark.SystemUser, "alice~bob", "hi"), tidemark.NotAllowed},
			{&core.Submit{Actor: core.Actor{App: true}, Conversation: "alice~bob", ClientID: "n", Message: &wire.Message{Text: "x"}}, 0},
			{&core.Submit{Actor: core.Actor{App: true}, Conversation: "bob~system", ClientID: "n", Message: &wire.Message{Text: "x"}}, 0},
		} {
			if r := w.try(try.cmd); r.Err == nil && try.want != 0 || r.Err != nil && r.Err.Reason != try.want {
				t.Errorf("everybody: %v, %s to %s: %v, want %d", everybody, try.cmd.Actor.User, try.cmd.Conversation, r.Err, try.want)
			}
		}
		w.close()
	}
}

// TestContactNeedsItsPeer: who does not exist cannot be asked or blocked.
func TestContactNeedsItsPeer(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice")
	for action := core.AskContact; action <= core.RemarkPeer; action++ {
		_, err := w.set.Contact(t.Context(), &core.Contact{User: "alice", Peer: "ghost", Action: action})
		var refused *tidemark.Error
		if !errors.As(err, &refused) || refused.Reason != tidemark.UnknownUser {
			t.Errorf("action %d: %v", action, err)
		}
	}
}

// TestConsentAtItsTime: a scheduled message is submitted only if the other user accepts it then.
func TestConsentAtItsTime(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ContactsOnly = true })
	w.users("alice", "bob")
	later := &core.Schedule{Submit: w.text("alice", "alice~bob", "later"), AtMs: w.now + 5000}
	if r := w.try(later); r.Err == nil || r.Err.Reason != tidemark.NotContact {
		t.Errorf("scheduled for no contact: %v", r.Err)
	}
	w.contact("alice", "bob", core.AskContact)
	w.contact("bob", "alice", core.AcceptContact)
	w.do(later)
	w.contact("bob", "alice", core.RemoveContact)
	w.now += 10_000
	w.step()
	info, err := w.set.Of("alice~bob").Info("alice~bob")
	w.must(err)
	if head, err := w.set.Of("alice~bob").Head(info.Ordinal); err != nil || head.Seq != 1 {
		t.Errorf("head %d, %v: a message to no contact was submitted", head.Seq, err)
	}
}
