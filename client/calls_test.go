// SPDX-License-Identifier: Apache-2.0

// The calls to the server, end to end: what each does is seen on another device.

package client_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/boltstore"
	"github.com/tidemark-im/tidemark/wire"
)

// sent waits until a submission is stored.
func (g *gadget) sent(id tidemark.ClientID, err error) client.Message {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
	m, err := g.WaitSent(g.ctx, id)
	if err != nil {
		g.t.Fatal(err)
	}
	return m
}

// must fails the test unless a call went well.
func (g *gadget) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// refuses checks the reason of a refusal.
func refuses(t *testing.T, err error, want tidemark.Reason) {
	t.Helper()
	var refused *tidemark.Error
	if !errors.As(err, &refused) || refused.Reason != want {
		t.Errorf("refused with %v, want %s", err, want)
	}
}

func TestThreadsForwardsAndPins(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	alice, bob := n.device("alice", client.Config{}).synced(), n.device("bob", client.Config{}).synced()
	root := alice.say("root")
	bob.untilHead(root)
	for _, text := range []string{"one", "two", "three"} {
		bob.sent(bob.Answer(bob.ctx, team, root, text))
	}
	page, more, err := alice.Thread(alice.ctx, team, root, 0, 2)
	if err != nil || len(page) != 2 || !more {
		t.Fatalf("the thread: %v, more %t, %v", page, more, err)
	}
	rest, more, err := alice.Thread(alice.ctx, team, root, tidemark.Seq(page[1].Seq), 2)
	if err != nil || len(rest) != 1 || more {
		t.Errorf("its rest: %v, more %t, %v", rest, more, err)
	}
	alice.until("three answers are counted", func() bool {
		list, _ := alice.Messages(team, root, root)
		return len(list) == 1 && list[0].ThreadCount == 3
	})
	reply := bob.sent(bob.Reply(bob.ctx, team, root, "to that"))
	alice.untilHead(reply.Seq)
	if list, _ := alice.Messages(team, reply.Seq, reply.Seq); tidemark.Seq(list[0].Content.GetReplyTo()) != root {
		t.Errorf("the reply: %+v", list)
	}

	direct := tidemark.Direct("alice", "bob")
	alice.sent(alice.SendTo(alice.ctx, "bob", "first"))
	copied := bob.sent(bob.Forward(bob.ctx, team, root, direct))
	if f := copied.Content.GetForwarded(); f.GetSender() != "alice" || tidemark.Seq(f.GetSeq()) != root || copied.Text() != "root" {
		t.Errorf("forwarded: %+v", copied)
	}
	_, err = bob.Forward(bob.ctx, team, 1, direct)
	refuses(t, err, tidemark.UnknownEvent)

	n.own("alice")
	alice.sent(alice.Pin(alice.ctx, team, root, false))
	alice.sent(alice.Pin(alice.ctx, team, reply.Seq, false))
	pins, err := bob.Pins(bob.ctx, team)
	if err != nil || len(pins) != 2 || tidemark.Seq(pins[0].Seq) != reply.Seq {
		t.Errorf("pins: %v, %v", pins, err)
	}
	bob.sent(bob.React(bob.ctx, team, root, "+1", false))
	reactions, err := alice.Reactions(alice.ctx, &wire.ReactionsRequest{Conversation: string(team), Seq: uint64(root)})
	if err != nil || len(reactions.Users) != 1 || reactions.Users[0].User != "bob" {
		t.Errorf("reactions: %v, %v", reactions, err)
	}
}

// own gives the team to a user.
func (n *node) own(user string) {
	n.t.Helper()
	_, err := n.conversations.SetRole(context.Background(), &wire.SetRoleRequest{Conversation: string(team), Members: []string{user}, Role: wire.Role_OWNER})
	if err != nil {
		n.t.Fatal(err)
	}
}

func TestReceiptsMentionsAndBadge(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob", "carol")
	alice, bob := n.device("alice", client.Config{}).synced(), n.device("bob", client.Config{}).synced()
	m := alice.sent(alice.SendMessage(alice.ctx, team, &wire.Message{Type: "text", Text: "bob?", Mentions: []string{"bob"}}))
	bob.untilHead(m.Seq)
	badge, err := bob.Badge(bob.ctx)
	if err != nil || badge.Unread != 1 || badge.Mentions != 1 || badge.Conversations != 1 {
		t.Errorf("badge: %v, %v", badge, err)
	}
	mentions, err := bob.Mentions(bob.ctx, &wire.MentionsRequest{Unread: true})
	if err != nil || len(mentions.Mentions) != 1 || mentions.Mentions[0].Event.GetSeq() != uint64(m.Seq) {
		t.Errorf("mentions: %v, %v", mentions, err)
	}
	bob.must(bob.MarkRead(bob.ctx, team, m.Seq))
	alice.until("bob has read it", func() bool {
		r, err := alice.Receipts(alice.ctx, &wire.ReceiptsRequest{Conversation: string(team), Seq: uint64(m.Seq)})
		return err == nil && r.Members == 2 && r.Read == 1 && slices.Equal(r.Users, []string{"bob"})
	})
	missing, err := alice.Receipts(alice.ctx, &wire.ReceiptsRequest{Conversation: string(team), Seq: uint64(m.Seq), Missing: true})
	if err != nil || !slices.Equal(missing.Users, []string{"carol"}) {
		t.Errorf("who has not: %v, %v", missing, err)
	}
	if badge, err = bob.Badge(bob.ctx); err != nil || badge.Unread != 0 || badge.Mentions != 0 {
		t.Errorf("badge afterwards: %v, %v", badge, err)
	}
}

// What is deleted, cleared or erased is gone from what every device of the user stores; others keep what was only deleted.
func TestDeleteAndClear(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	path := filepath.Join(t.TempDir(), "phone")
	store, err := boltstore.Open(path, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	phone := n.device("alice", client.Config{DeviceID: "phone", Store: store}).synced()
	laptop, bob := n.device("alice", client.Config{DeviceID: "laptop"}).synced(), n.device("bob", client.Config{}).synced()
	first := bob.say("old words")
	secret := bob.say("secret words")
	bob.sent(bob.Edit(bob.ctx, team, secret, "secret words, edited"))
	last := bob.say("last words")
	phone.untilHead(last)
	laptop.must(laptop.Delete(laptop.ctx, team, secret))
	phone.until("the deleted message is hidden", func() bool { return !slices.Contains(phone.texts(), "secret words, edited") })
	once(t, phone.texts(), []string{"old words", "last words"})
	once(t, bob.texts(), []string{"old words", "secret words, edited", "last words"})
	if holds(t, store, "secret") {
		t.Error("the store holds what was deleted")
	}
	laptop.must(laptop.Clear(laptop.ctx, team, first))
	phone.until("the history is cleared", func() bool { return len(phone.texts()) == 1 })
	if holds(t, store, "old words") {
		t.Error("the store holds what was cleared")
	}
	refuses(t, laptop.Delete(laptop.ctx, team, 99), tidemark.UnknownEvent)

	phone.stop()
	phone.must(store.Close())
	phone.must(boltstore.Compact(path))
	data, err := os.ReadFile(path)
	if err != nil || bytes.Contains(data, []byte("secret")) || bytes.Contains(data, []byte("old words")) || !bytes.Contains(data, []byte("last words")) {
		t.Errorf("the compacted file of %d bytes: %v", len(data), err)
	}
	store, err = boltstore.Open(path, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	again := n.device("alice", client.Config{DeviceID: "phone", Store: store}).synced()
	defer again.stop()
	once(t, again.texts(), []string{"last words"})
}

func TestScheduleAndDrafts(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	phone, laptop := n.device("alice", client.Config{DeviceID: "phone"}).synced(), n.device("alice", client.Config{DeviceID: "laptop"}).synced()
	bob := n.device("bob", client.Config{}).synced()
	text := func(s string) *wire.Message { return &wire.Message{Type: "text", Text: s} }
	later := time.Now().Add(time.Hour)
	for _, s := range []string{"first version", "second version"} {
		if _, err := phone.Schedule(phone.ctx, team, text(s), later, "later"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := phone.Schedule(phone.ctx, team, text("soon"), time.Now().Add(50*time.Millisecond), "soon"); err != nil {
		t.Fatal(err)
	}
	bob.until("it came at its time", func() bool { return slices.Contains(bob.texts(), "soon") })
	list, err := laptop.Scheduled(laptop.ctx, "")
	if err != nil || len(list) != 1 || list[0].Message.GetText() != "second version" {
		t.Errorf("scheduled: %v, %v", list, err)
	}
	laptop.must(laptop.Unschedule(laptop.ctx, team, "later"))
	if list, err = phone.Scheduled(phone.ctx, team); err != nil || len(list) != 0 {
		t.Errorf("taken back: %v, %v", list, err)
	}
	laptop.must(laptop.Draft(laptop.ctx, team, "I thi", 2))
	draft := func() *wire.Draft { c, _ := phone.Conversation(team); return c.Self.GetPrivate().GetDraft() }
	phone.until("the draft is there", func() bool { return draft().GetText() == "I thi" && draft().GetReplyTo() == 2 })
	phone.must(phone.Draft(phone.ctx, team, "", 0))
	phone.until("the draft is gone", func() bool { return draft().GetText() == "" })
}

func TestGoverningAGroup(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob", "carol")
	alice, bob := n.device("alice", client.Config{}).synced(), n.device("bob", client.Config{}).synced()
	const club = tidemark.ConversationID("club")
	_, err := alice.CreateConversation(alice.ctx, &wire.CreateRequest{Id: string(club), Settings: &wire.Settings{Join: wire.JoinPolicy_REQUEST}})
	alice.must(err)
	asked, err := bob.AskToJoin(bob.ctx, club, "let me in")
	if err != nil || !asked {
		t.Fatalf("asked %t, %v", asked, err)
	}
	requests, err := alice.JoinRequests(alice.ctx, club)
	if err != nil || len(requests) != 1 || requests[0].User != "bob" || requests[0].Text != "let me in" {
		t.Errorf("requests: %v, %v", requests, err)
	}
	alice.must(alice.AnswerJoin(alice.ctx, club, true, "bob"))
	bob.until("bob is in", func() bool { c, in := bob.Conversation(club); return in && !c.Removed })
	alice.must(alice.Mute(alice.ctx, club, time.Hour, "bob"))
	id, err := bob.Send(bob.ctx, club, "muffled")
	bob.must(err)
	_, err = bob.WaitSent(bob.ctx, id)
	refuses(t, err, tidemark.Muted)
	bob.must(bob.Discard(bob.ctx, id))
	alice.must(alice.Mute(alice.ctx, club, 0, "bob"))
	alice.must(alice.MuteAll(alice.ctx, club, true))
	id, err = bob.Send(bob.ctx, club, "all muffled")
	bob.must(err)
	_, err = bob.WaitSent(bob.ctx, id)
	refuses(t, err, tidemark.Muted)
	alice.must(alice.SetRole(alice.ctx, club, wire.Role_ADMIN, "bob"))
	bob.sent(bob.Send(bob.ctx, club, "an admin speaks"))
	bob.until("bob is an admin", func() bool { c, _ := bob.Conversation(club); return c.Self.GetRole() == wire.Role_ADMIN })
	refuses(t, bob.Dissolve(bob.ctx, club), tidemark.NotAllowed)
	alice.must(alice.Transfer(alice.ctx, club, "bob"))
	bob.must(bob.Dissolve(bob.ctx, club))
	id, err = alice.Send(alice.ctx, club, "too late")
	alice.must(err)
	_, err = alice.WaitSent(alice.ctx, id)
	refuses(t, err, tidemark.ReadOnly)
}

func TestContactsOptionsAndDevices(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob", "carol")
	phone, bob := n.device("alice", client.Config{DeviceID: "phone", Platform: "ios"}).synced(), n.device("bob", client.Config{}).synced()
	_, err := bob.RequestContact(bob.ctx, "alice", "it is me")
	bob.must(err)
	state := func(g *gadget, user string) (c wire.Contact) {
		for _, contact := range g.Contacts() {
			if contact.User == user {
				return wire.Contact{State: contact.State, Remark: contact.Remark, Blocked: contact.Blocked, RequestText: contact.RequestText}
			}
		}
		return wire.Contact{}
	}
	phone.until("bob asks", func() bool {
		c := state(phone, "bob")
		return c.State == wire.ContactState_ASKED && c.RequestText == "it is me"
	})
	_, err = phone.AnswerContact(phone.ctx, "bob", true)
	phone.must(err)
	bob.until("contacts", func() bool { c := state(bob, "alice"); return c.State == wire.ContactState_CONTACT })
	phone.must(phone.Remark(phone.ctx, "bob", "Bobby"))
	phone.until("the remark", func() bool { c := state(phone, "bob"); return c.Remark == "Bobby" })
	phone.must(phone.RemoveContact(phone.ctx, "bob"))
	bob.until("removed", func() bool { c := state(bob, "alice"); return c.State == wire.ContactState_NO_CONTACT })
	phone.must(phone.Block(phone.ctx, "bob", true))
	id, err := bob.SendTo(bob.ctx, "alice", "hello?")
	bob.must(err)
	_, err = bob.WaitSent(bob.ctx, id)
	refuses(t, err, tidemark.Blocked)
	phone.must(phone.Block(phone.ctx, "bob", false))
	options, err := phone.Options(phone.ctx, &wire.OptionsRequest{ContactsOnly: new(true)})
	if err != nil || !options.ContactsOnly || options.HidePresence {
		t.Errorf("options: %v, %v", options, err)
	}
	id, err = bob.SendTo(bob.ctx, "alice", "hello again?")
	bob.must(err)
	_, err = bob.WaitSent(bob.ctx, id)
	refuses(t, err, tidemark.NotContact)
}

func TestDevicesAndKicks(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	phone, laptop := n.bare("alice", client.Config{DeviceID: "phone"}), n.bare("alice", client.Config{DeviceID: "laptop"})
	ended, kicked := make(chan error, 1), make(chan error, 1)
	go func() { kicked <- phone.Run(phone.ctx) }()
	phone.synced()
	go func() { ended <- laptop.Run(laptop.ctx) }()
	laptop.synced()
	devices, err := phone.Devices(phone.ctx)
	if err != nil || len(devices) != 2 || !devices[0].Online {
		t.Errorf("devices: %v, %v", devices, err)
	}
	phone.must(phone.Kick(phone.ctx, "laptop", true))
	if err := <-ended; !errors.Is(err, client.ErrKicked) {
		t.Errorf("the laptop ends with %v", err)
	}
	refuses(t, laptop.Run(laptop.ctx), tidemark.BadToken) // it cannot come back with its token
	if _, err = phone.Badge(phone.ctx); err != nil {
		t.Errorf("the phone's token: %v", err)
	}
	phone.must(phone.Kick(phone.ctx, "", true))
	if err := <-kicked; !errors.Is(err, client.ErrKicked) {
		t.Errorf("the phone ends with %v", err)
	}
	_, err = phone.Badge(phone.ctx)
	refuses(t, err, tidemark.BadToken)
}

// holds reports whether a key or a value of a store has a text in it.
func holds(t *testing.T, store client.Store, text string) (found bool) {
	t.Helper()
	err := store.View(func(v client.View) error {
		return v.Ascend(nil, bytes.Repeat([]byte{255}, 20), func(key, value []byte) bool {
			found = found || bytes.Contains(value, []byte(text)) || bytes.Contains(key, []byte(text))
			return !found
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
