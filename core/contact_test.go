// SPDX-License-Identifier: Apache-2.0

// Contacts: random commands of three users against a model of a few lines, and the words of scenarios about them.

package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"pgregory.net/rapid"
)

type pair struct{ from, to tidemark.UserID }

// acquaintances is the model: who has asked whom with which text, who is whose contact, who blocks and names whom.
type acquaintances struct {
	asked   map[pair]string
	contact map[pair]bool
	blocks  map[pair]bool
	remark  map[pair]string
}

func (a *acquaintances) part(p, q pair) {
	delete(a.asked, p)
	delete(a.asked, q)
	a.contact[p], a.contact[q] = false, false
}

// do answers whether the command is accepted.
func (a *acquaintances) do(cmd *core.Contact) (reason tidemark.Reason) {
	p, q := pair{cmd.User, cmd.Peer}, pair{cmd.Peer, cmd.User}
	_, asking := a.asked[p]
	_, wasAsked := a.asked[q]
	unites := (cmd.Action == core.AskContact || cmd.Action == core.AcceptContact) && !a.contact[p]
	switch {
	case cmd.Action == core.AcceptContact && !wasAsked && !a.contact[p],
		cmd.Action == core.RejectContact && (asking || a.contact[p]),
		cmd.Action == core.RemoveContact && wasAsked:
		return tidemark.NotAllowed
	case unites && a.blocks[p]:
		return tidemark.NotAllowed
	case unites && a.blocks[q]:
		return tidemark.Blocked
	case unites && wasAsked:
		a.part(p, q)
		a.contact[p], a.contact[q] = true, true
	case unites:
		a.asked[p] = cmd.Text
	case cmd.Action == core.RejectContact || cmd.Action == core.RemoveContact:
		a.part(p, q)
	case cmd.Action == core.BlockPeer || cmd.Action == core.UnblockPeer:
		a.blocks[p] = cmd.Action == core.BlockPeer
	case cmd.Action == core.RemarkPeer:
		a.remark[p] = cmd.Text
	}
	return 0
}

// side is what the member record of a user must say.
func (a *acquaintances) side(p pair) record.Member {
	q := pair{p.to, p.from}
	m := record.Member{Blocked: a.blocks[p], Remark: a.remark[p]}
	if text, asking := a.asked[p]; asking {
		m.Contact, m.RequestText = record.Requested, text
	} else if text, wasAsked := a.asked[q]; wasAsked {
		m.Contact, m.RequestText = record.Asked, text
	} else if a.contact[p] {
		m.Contact = record.InContact
	}
	return m
}

// maySend is why a message is refused; 0 if it is not.
func (a *acquaintances) maySend(p pair, contactsOnly bool) tidemark.Reason {
	switch {
	case a.blocks[p]:
		return tidemark.NotAllowed
	case a.blocks[pair{p.to, p.from}]:
		return tidemark.Blocked
	case contactsOnly && !a.contact[p]:
		return tidemark.NotContact
	}
	return 0
}

func TestContactsAgreeWithTheModel(t *testing.T) {
	accepted := make(map[core.ContactAction]int)
	refused := make(map[tidemark.Reason]int)
	rapid.Check(t, func(t *rapid.T) {
		memory := coretest.New()
		model := acquaintances{make(map[pair]string), make(map[pair]bool), make(map[pair]bool), make(map[pair]string)}
		users := rapid.SampledFrom([]tidemark.UserID{"alice", "bob", "carol"}[:rapid.IntRange(2, 3).Draw(t, "users")])
		for step := range 30 {
			p := pair{users.Draw(t, "user"), users.Draw(t, "peer")}
			if p.from == p.to {
				continue
			}
			env := core.Env{NowMs: 1_772_000_000_000 + uint64(step), Salt: [8]byte{byte(step)}}
			if position := memory.Partition().Position; position > 0 && rapid.Bool().Draw(t, "same commit") {
				env.Position = position
			}
			var want tidemark.Reason
			var reply core.Reply
			var changes *record.Changes
			before := memory.Clone()
			if rapid.IntRange(0, 3).Draw(t, "send") == 0 {
				only := rapid.Bool().Draw(t, "contacts only")
				want = model.maySend(p, only)
				reply, _ = memory.Do(&core.Submit{
					Actor: core.Actor{User: p.from}, Conversation: tidemark.Direct(p.from, p.to), ContactsOnly: only,
					ClientID: tidemark.ClientID(fmt.Sprint(step)), Message: &wire.Message{Text: "x"},
				}, env)
			} else {
				cmd := &core.Contact{
					User: p.from, Peer: p.to, Action: core.ContactAction(rapid.IntRange(1, 7).Draw(t, "action")),
					Text: rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, "text"),
				}
				stood := model.side(p)
				want = model.do(cmd)
				reply, changes = memory.Do(cmd, env)
				if want == 0 {
					accepted[cmd.Action]++
					if same := stood == model.side(p); same != changes.Empty() {
						t.Fatalf("%+v: changes %v, and the model %+v to %+v", cmd, changes, stood, model.side(p))
					}
				}
				holdsHidden(t, before, memory, p)
			}
			if reply.Err != nil && reply.Err.Reason != want || reply.Err == nil && want != 0 {
				t.Fatalf("%v: %v, the model says %v", p, reply.Err, want)
			}
			if want != 0 {
				refused[want]++
			}
			if err := memory.Check(); err != nil {
				t.Fatal(err)
			}
			compareContacts(t, memory, &model)
		}
	})
	for action := core.AskContact; action <= core.RemarkPeer; action++ {
		if accepted[action] == 0 {
			t.Errorf("action %d was never accepted", action)
		}
	}
	for _, reason := range []tidemark.Reason{tidemark.Blocked, tidemark.NotAllowed, tidemark.NotContact} {
		if refused[reason] == 0 {
			t.Errorf("nothing was ever refused with %s", reason)
		}
	}
}

// compareContacts compares all pairs of users with the model.
func compareContacts(t *rapid.T, memory *coretest.Memory, model *acquaintances) {
	for _, from := range []tidemark.UserID{"alice", "bob", "carol"} {
		for _, to := range []tidemark.UserID{"alice", "bob", "carol"} {
			if from == to {
				continue
			}
			var got record.Member
			if info, ok := memory.Conversation(tidemark.Direct(from, to)); ok {
				u, _ := memory.User(from)
				if m := memory.Member(info.Ordinal, u); m != nil {
					got = record.Member{Contact: m.Contact, Blocked: m.Blocked, Remark: m.Remark, RequestText: m.RequestText}
				}
			}
			if want := model.side(pair{from, to}); got != want {
				t.Fatalf("%s to %s: %+v, the model says %+v", from, to, got, want)
			}
		}
	}
}

// holdsHidden checks that no change of a contact shows a conversation that was hidden, or hides one that was shown.
func holdsHidden(t *rapid.T, before, after *coretest.Memory, p pair) {
	info, ok := after.Conversation(tidemark.Direct(p.from, p.to))
	if !ok {
		return
	}
	for _, u := range after.Members(info.Ordinal) {
		was, hidden := before.Member(info.Ordinal, u), true
		if was.Active() {
			hidden = was.HiddenAt(before.Head(info.Ordinal).Seq)
		}
		m := after.Member(info.Ordinal, u)
		if m.HiddenAt(after.Head(info.Ordinal).Seq) != hidden {
			t.Fatalf("%s: hidden was %v, and is not: %+v", after.UserID(u), hidden, m)
		}
		if unread := after.Unread(info.Ordinal, u); was == nil && unread != 0 {
			t.Fatalf("%s has %d unread of a contact", after.UserID(u), unread)
		}
	}
}

// contactWords are the words of scenarios that change contacts.
var contactWords = map[string]core.ContactAction{
	"ask": core.AskContact, "accept": core.AcceptContact, "reject": core.RejectContact, "part": core.RemoveContact,
	"block": core.BlockPeer, "unblock": core.UnblockPeer, "remark": core.RemarkPeer,
}

func contactCommand(w words) core.Command {
	return &core.Contact{
		User: w.user(), Peer: tidemark.UserID(w.named["to"]), Action: contactWords[w.plain[0]], Text: w.named["text"],
		Pending: int(w.number("pending")),
	}
}

// contacts prints a user's contacts, the last changed last.
func (s *story) contacts(w words) string {
	u, _ := s.memory.User(w.user())
	var lines []string
	for _, id := range s.memory.Contacts(w.user()) {
		info, _ := s.memory.Conversation(id)
		peer, _ := id.Peer(w.user())
		lines = append(lines, fmt.Sprintf("%s: %s", peer, showContact(s.memory.Member(info.Ordinal, u), s.memory.Head(info.Ordinal).Seq)))
	}
	if len(lines) == 0 {
		return "none"
	}
	return strings.Join(lines, "\n")
}

// showContact is one side of a contact in words.
func showContact(m *record.Member, head tidemark.Seq) string {
	if m == nil {
		return "nothing between them"
	}
	parts := []string{[]string{"no contact", "requested", "asked", "contact"}[m.Contact]}
	if m.RequestText != "" {
		parts[0] += fmt.Sprintf(" %q", m.RequestText)
	}
	if m.Remark != "" {
		parts = append(parts, fmt.Sprintf("named %q", m.Remark))
	}
	if m.Blocked {
		parts = append(parts, "blocked")
	}
	if m.HiddenAt(head) {
		parts = append(parts, "hidden")
	}
	return fmt.Sprintf("%s (position %d)", strings.Join(parts, ", "), m.ContactPosition)
}

// TestContactArguments are refused before anything is looked at.
func TestContactArguments(t *testing.T) {
	for _, cmd := range []core.Contact{
		{User: "alice", Peer: "no spaces", Action: core.BlockPeer},
		{User: "alice", Peer: "alice", Action: core.BlockPeer},
		{User: "alice", Peer: "system", Action: core.BlockPeer},
		{User: "system", Peer: "alice", Action: core.AskContact},
		{User: "", Peer: "alice", Action: core.AskContact},
		{User: "alice", Peer: "bob"},
		{User: "alice", Peer: "bob", Action: 8},
		{User: "alice", Peer: "bob", Action: core.AskContact, Text: strings.Repeat("x", 513)},
		{User: "alice", Peer: "bob", Action: core.RemarkPeer, Text: "\xff"},
	} {
		reply, changes := coretest.New().Do(&cmd, core.Env{})
		if reply.Err == nil || !changes.Empty() || !slices.Contains(
			[]tidemark.Reason{tidemark.BadArgument, tidemark.TooLarge, tidemark.NotAllowed}, reply.Err.Reason) {
			t.Errorf("%+v: %v", cmd, reply.Err)
		}
	}
}
