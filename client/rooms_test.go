// SPDX-License-Identifier: Apache-2.0

// Rooms, with a real server.

package client_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/boltstore"
	"github.com/tidemark-im/tidemark/wire"
)

const hall = tidemark.ConversationID("hall")

// ear hears what happens in rooms.
type ear struct {
	mu     sync.Mutex
	events []client.RoomEvent
}

func listen(g *gadget) *ear {
	e := &ear{}
	events := g.Events(g.ctx)
	go func() {
		for event := range events {
			if event, ok := event.(client.RoomEvent); ok {
				e.mu.Lock()
				e.events = append(e.events, event)
				e.mu.Unlock()
			}
		}
	}()
	return e
}

// texts are the texts heard, with "+n" for what was left out.
func (e *ear) texts() (list []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.events {
		if event.Gap > 0 {
			list = append(list, fmt.Sprint("+", event.Gap))
		}
		if event.Message.Kind == client.KindMessage {
			list = append(list, event.Message.Text())
		}
	}
	return list
}

func (g *gadget) enter() *client.Room {
	g.t.Helper()
	room, err := g.EnterRoom(g.ctx, hall)
	if err != nil {
		g.t.Fatal(err)
	}
	return room
}

func (g *gadget) shout(text string) {
	g.t.Helper()
	id, err := g.Send(g.ctx, hall, text)
	if err == nil {
		_, err = g.WaitSent(g.ctx, id)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *gadget) hears(e *ear, want ...string) {
	g.t.Helper()
	g.until(fmt.Sprint("hears ", want), func() bool { return strings.Join(e.texts(), "|") == strings.Join(want, "|") })
}

// withHall is a server with a room of olga's.
func withHall(t *testing.T, dir string) *node {
	n := serve(t, dir)
	n.people("olga", "alice", "bob")
	olga := n.device("olga", client.Config{}).synced()
	defer olga.stop()
	if _, err := olga.CreateConversation(olga.ctx, &wire.CreateRequest{Id: string(hall), Kind: wire.Kind_ROOM, Title: "The Hall"}); err != nil {
		t.Fatal(err)
	}
	return n
}

// Two devices of a user and one of another in a room: they hear each other, nothing is stored or listed, and they are in it
// again after the server has died and come back.
func TestRoomOverARestart(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "phone")
	n := withHall(t, dir)
	store, err := boltstore.Open(path, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	phone := n.device("alice", client.Config{DeviceID: "phone", Store: store}).synced()
	defer phone.stop()
	laptop := n.device("alice", client.Config{DeviceID: "laptop"}).synced()
	bob := n.device("bob", client.Config{}).synced()
	if _, err := phone.EnterRoom(phone.ctx, team); err == nil {
		t.Error("a group was entered")
	}
	if err := phone.Refresh(phone.ctx); err != nil {
		t.Fatal(err)
	}
	before, err := phone.Fingerprint(0)
	if err != nil {
		t.Fatal(err)
	}
	devices := []*gadget{phone, laptop, bob}
	var ears []*ear
	for _, d := range devices {
		ears = append(ears, listen(d))
		if room := d.enter(); room.Info.GetTitle() != "The Hall" || !room.In || len(room.Messages) == 0 {
			t.Errorf("entered: %+v", room)
		}
	}
	if _, err := bob.SetAttributes(bob.ctx, hall, map[string]string{"song": "tide"}, false); err != nil {
		t.Fatal(err)
	}
	phone.shout("unheard of words")
	bob.shout("hi")
	for i, d := range devices {
		d.hears(ears[i], "unheard of words", "hi")
		room, _ := d.Room(hall)
		if a := room.Info.GetAttributes(); len(a) != 1 || a[0].Value != "tide" || a[0].Owner != "bob" {
			t.Errorf("attributes: %v", a)
		}
	}

	n.stop()
	n = serve(t, dir)
	for _, d := range devices {
		d.cable.redirect(strings.TrimPrefix(n.url, "http://"))
	}
	for _, d := range devices { // by themselves
		d.until("in the room again", func() bool { room, in := d.Room(hall); return in && room.In })
	}
	laptop.shout("again")
	for i, d := range devices {
		d.hears(ears[i], "unheard of words", "hi", "again")
	}
	after, err := phone.Fingerprint(0)
	if _, listed := phone.Conversation(hall); listed || err != nil || after != before {
		t.Errorf("listed: %t, fingerprint %x then %x, %v", listed, before, after, err)
	}
	if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), "unheard of") || strings.Contains(string(data), "hall") {
		t.Errorf("the room is in the store's file, or %v", err)
	}
}

// What the server keeps can be paged through, members are listed, and after leaving there is nothing.
func TestRoomHistoryAndLeaving(t *testing.T) {
	n := withHall(t, t.TempDir())
	phone := n.device("alice", client.Config{DeviceID: "phone"}).synced()
	bob := n.device("bob", client.Config{}).synced()
	phone.enter()
	bob.enter()
	bob.shout("one")
	phone.shout("again")
	page, err := bob.History(bob.ctx, hall, client.Page{Latest: true, Limit: 2})
	if err != nil || len(page.Messages) != 2 || page.Messages[1].Text() != "again" || !page.More {
		t.Errorf("history: %+v, %v", page, err)
	}

	members, err := bob.Members(bob.ctx, hall)
	if err != nil || len(members) != 2 {
		t.Errorf("members: %v, %v", members, err)
	}
	if err := bob.LeaveRoom(bob.ctx, hall); err != nil {
		t.Fatal(err)
	}
	var refused *tidemark.Error
	if _, err := bob.Send(bob.ctx, hall, "after leaving"); !errors.As(err, &refused) || refused.Reason != tidemark.NotMember {
		t.Errorf("after leaving: %v", err)
	}
	if len(bob.Rooms()) != 0 || len(phone.Rooms()) != 1 {
		t.Errorf("rooms: %v, %v", bob.Rooms(), phone.Rooms())
	}
}

// Who is too slow is not told of everything: the gap says of how much, and what follows it is proven.
func TestRoomShedsForASlowDevice(t *testing.T) {
	n := withHall(t, t.TempDir())
	alice := n.device("alice", client.Config{}).synced()
	bob := n.device("bob", client.Config{Window: 32}).synced()
	heard := listen(alice)
	alice.enter()
	bob.enter()
	alice.cable.stall(true)
	const messages = 3000
	text := strings.Repeat("x", 6<<10)
	var last tidemark.ClientID
	for range messages {
		id, err := bob.Send(bob.ctx, hall, text)
		if err != nil {
			t.Fatal(err)
		}
		last = id
	}
	if _, err := bob.WaitSent(bob.ctx, last); err != nil {
		t.Fatal(err)
	}
	alice.cable.stall(false)
	bob.shout("the end")
	alice.until("the end", func() bool { l := heard.texts(); return len(l) > 0 && l[len(l)-1] == "the end" })
	total, gaps, next := tidemark.Seq(0), tidemark.Seq(0), heard.events[0].Message.Seq-heard.events[0].Gap
	for _, e := range heard.events {
		if e.Message.Seq != next+e.Gap {
			t.Fatalf("%d came where %d was due, with a gap of %d", e.Message.Seq, next, e.Gap)
		}
		next, gaps, total = e.Message.Seq+1, gaps+e.Gap, total+1+e.Gap
	}
	if total != messages+1 || gaps == 0 {
		t.Errorf("%d events, %d of them left out; want %d and some", total, gaps, messages+1)
	}
	room, _ := alice.Room(hall)
	bobs, _ := bob.Room(hall)
	if room.Head != bobs.Head || len(room.Messages) > 200 {
		t.Errorf("alice is at %d with %d messages, bob at %d", room.Head, len(room.Messages), bobs.Head)
	}
}
