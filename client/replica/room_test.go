// SPDX-License-Identifier: Apache-2.0

// Rooms on a device: what it is told of them, and that nothing of them is stored.

package replica_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

const hall = tidemark.ConversationID("hall")

func (d *device) enter(id tidemark.ConversationID) {
	d.t.Helper()
	d.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.EnterRoom(v, d.nowMs, 77, id)
	})
}

func (d *device) leave(id tidemark.ConversationID) {
	d.t.Helper()
	d.step(func(r *replica.Replica, v replica.View) (replica.Output, error) { return r.LeaveRoom(v, d.nowMs, id) })
}

// roomTexts are the texts of the messages of a room, with "+n" where n events are missing.
func (d *device) roomTexts() (list []string) {
	room := d.replica.Room(hall)
	if room == nil {
		return []string{"out"}
	}
	for i, m := range room.Messages {
		gap := room.LeftOut
		if i > 0 {
			gap = m.Seq - room.Messages[i-1].Seq - 1
		}
		if gap > 0 {
			list = append(list, fmt.Sprint("+", gap))
		}
		switch {
		case m.RecallSeq > 0 && m.Kind == replica.KindMessage:
			list = append(list, "-")
		case m.Content != nil:
			list = append(list, m.Text())
		}
	}
	return list
}

// heardRoom are the texts of the room events told so far, with "+n" for gaps; they are forgotten.
func (d *device) heardRoom() (list []string) {
	for _, n := range d.notes {
		if e, ok := n.(replica.RoomEvent); ok {
			if e.Gap > 0 {
				list = append(list, fmt.Sprint("+", e.Gap))
			}
			if e.Message.Kind == replica.KindMessage {
				list = append(list, e.Message.Text())
			}
		}
	}
	d.notes = nil
	return list
}

// others makes somebody without a device write in the hall.
func (s *server) shout(texts ...string) {
	for _, text := range texts {
		s.position[s.logs[hall].partition]++
		s.append(hall, "zoe", "z"+text, text2body(text))
	}
}

func roomOf(t *testing.T) (*server, *device, *device) {
	s := newServer()
	s.openRoom(hall)
	s.create("team", "alice", "bob")
	s.shout("before")
	s.setAttribute(hall, "seat", "3")
	a, b := newDevice(t, "alice", "a", replica.Config{}), newDevice(t, "bob", "b", replica.Config{})
	for _, d := range []*device{a, b} {
		d.enter(hall)
		equal(t, "without a connection", d.done[0].Err, error(replica.ErrDisconnected))
		d.connect(s)
		d.settle()
		d.done = nil
		d.enter(hall)
		d.settle()
		if len(d.done) != 1 || d.done[0].Err != nil || d.done[0].Token != 77 {
			t.Fatalf("entering: %+v", d.done)
		}
		d.notes = nil
	}
	return s, a, b
}

func TestRoom(t *testing.T) {
	s, a, b := roomOf(t)
	room := a.replica.Room(hall)
	if !room.In || room.Info.GetTitle() != "hall" || room.Info.Attributes[0].Value != "3" || room.Self.GetRole() != wire.Role_MEMBER {
		t.Errorf("%+v", room)
	}
	a.say(hall, "hello")
	a.settle()
	b.settle()
	b.say(hall, "hi")
	b.settle()
	a.settle()
	equalList(t, "alice hears", a.heardRoom(), "hello", "hi")
	equalList(t, "bob hears", b.heardRoom(), "hello", "hi")
	equalList(t, "alice has", a.roomTexts(), "before", "hello", "hi")

	a.submit(hall, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 4, Message: &wire.Message{Text: "secret"}}}})
	a.settle()
	a.submit(hall, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 4}}})
	s.setAttribute(hall, "song", "tide")
	s.setAttribute(hall, "seat", "")
	for _, d := range []*device{a, b} {
		d.settle()
		equalList(t, "after the recall", d.roomTexts(), "before", "-", "hi")
		room := d.replica.Room(hall)
		if at := room.Info.Attributes; len(at) != 1 || at[0].Key != "song" || at[0].Value != "tide" {
			t.Errorf("attributes: %v", at)
		}
		if strings.Contains(fmt.Sprint(room.Messages), "secret") {
			t.Errorf("what was taken back is still there: %v", room.Messages)
		}
	}
	a.session.evict(hall)
	a.settle()
	if n, _ := noteOf[replica.RoomChanged](a); n.State != replica.RoomLeft || n.Reason == nil || a.replica.Room(hall) != nil {
		t.Errorf("taken out: %+v", n)
	}
	b.leave(hall)
	s.shout("unheard") // b's session is still in it until leave arrives
	b.settle()
	equalList(t, "bob has", b.roomTexts(), "out")
	for _, d := range []*device{a, b} {
		d.nothingStored()
	}
}

// nothingStored checks that no key and no value of the store is of the hall, and that it is in no list.
func (d *device) nothingStored() {
	d.t.Helper()
	err := d.store.View(func(v replica.View) error {
		return v.Ascend(nil, bytes.Repeat([]byte{255}, 20), func(key, value []byte) bool {
			if bytes.Contains(key, []byte("hall")) || bytes.Contains(value, []byte("hall")) {
				d.t.Fatalf("%s stores %q %q", d.name, key, value)
			}
			return true
		})
	})
	if err != nil {
		d.t.Fatalf("%v", err)
	}
	if c := d.replica.Conversation(hall); c != nil {
		d.t.Fatalf("%s lists the room: %+v", d.name, c)
	}
}

// What is left out shows as a gap, in the events and in what the room holds, also around own messages.
func TestRoomGaps(t *testing.T) {
	s, a, _ := roomOf(t)
	s.shout("1", "2", "3", "4", "5", "6", "7")
	a.settle()
	equalList(t, "live", a.heardRoom(), "+4", "5", "6", "7")
	equalList(t, "the room", a.roomTexts(), "before", "+4", "5", "6", "7")
	s.shout("a", "b", "c", "d", "e")
	a.say(hall, "own")
	a.settle()
	equalList(t, "with an own one", a.heardRoom(), "+2", "c", "d", "e", "own")
	a.fetch(hall, replica.Page{Before: 9, Limit: 4})
	a.settle()
	if page := a.done[len(a.done)-1]; page.Err != nil || len(page.Messages) != 4 || page.Messages[0].Text() != "2" {
		t.Errorf("the page of the gap: %+v", page)
	}

	id := a.say(hall, "into the void")
	a.disconnect() // nothing of it went
	if n, _ := noteOf[replica.RoomChanged](a); n.State != replica.RoomAway || a.replica.Room(hall).In {
		t.Errorf("away: %+v", n)
	}
	s.shout("x1", "x2")
	a.notes = nil
	a.connect(s)
	a.settle()
	equalList(t, "came back soon", a.heardRoom(), "x1", "x2", "into the void")
	equal(t, "sent", a.replica.OutgoingState(id), 0)
	a.disconnect()
	s.shout("y1", "y2", "y3", "y4", "y5", "y6", "y7")
	a.notes = nil
	a.connect(s)
	a.settle()
	equalList(t, "came back late", a.heardRoom(), "+2", "y3", "y4", "y5", "y6", "y7")
	equalList(t, "nothing older is shown", a.roomTexts(), "+2", "y3", "y4", "y5", "y6", "y7")
	for i := range replica.RoomKeep + 50 {
		s.shout(fmt.Sprint("n", i))
		a.settle()
	}
	if room := a.replica.Room(hall); len(room.Messages) != replica.RoomKeep || room.LeftOut != 0 {
		t.Errorf("%d messages are kept, %d left out", len(room.Messages), room.LeftOut)
	}
	a.nothingStored()
}

// The chain is checked: what contradicts it is not shown, and the room is entered anew.
func TestRoomContradiction(t *testing.T) {
	s, a, _ := roomOf(t)
	s.corrupt = func(f *wire.ServerFrame) {
		for _, c := range f.GetDelta().GetConversations() {
			for _, ev := range c.Events {
				ev.TimeMs++
			}
		}
	}
	s.shout("forged")
	a.session.round()
	a.download()
	equalList(t, "nothing is told", a.heardRoom())
	s.corrupt = nil
	a.settle()
	equalList(t, "entered anew", a.heardRoom(), "forged")

	backup := s.clone(8)
	s.shout("lost 1", "lost 2")
	a.settle()
	a.notes = nil
	a.disconnect()
	backup.shout("found")
	a.connect(backup)
	a.settle()
	n, _ := noteOf[replica.HistoryChanged](a)
	if n.Conversation != hall || len(n.Dropped) == 0 || n.Dropped[len(n.Dropped)-1].Text() != "lost 2" {
		t.Errorf("%+v", n)
	}
	if texts := a.roomTexts(); slices.Contains(texts, "lost 1") || texts[len(texts)-1] != "found" {
		t.Errorf("%q", texts)
	}
}

// Who may not enter is told; who may not enter again is out; what was to be sent fails.
func TestRoomRefused(t *testing.T) {
	s, a, b := roomOf(t)
	a.done = nil
	a.enter("cellar")
	a.settle()
	var refused *tidemark.Error
	if len(a.done) != 1 || !errors.As(a.done[0].Err, &refused) || refused.Reason != tidemark.UnknownConversation {
		t.Errorf("%+v", a.done)
	}
	a.enter("attic")
	a.disconnect()
	equal(t, "the connection broke first", a.done[1].Err, error(replica.ErrDisconnected))
	id := a.say(hall, "too late")
	gone := s.logs[hall]
	delete(s.logs, hall)
	a.connect(s)
	a.settle()
	if n, _ := noteOf[replica.RoomChanged](a); n.State != replica.RoomLeft || n.Reason.Reason != tidemark.UnknownConversation {
		t.Errorf("%+v", n)
	}
	if n, _ := noteOf[replica.OutgoingChanged](a); n.ClientID != id || n.State != replica.Failed || len(a.replica.Outbox()) != 0 {
		t.Errorf("%+v", n)
	}
	s.logs[hall] = gone
	b.say(hall, "on its way")
	b.upload()
	b.leave(hall)
	b.settle()
	if n, _ := noteOf[replica.OutgoingChanged](b); n.State != replica.Failed || n.Failure.Reason != tidemark.NotMember {
		t.Errorf("%+v", n)
	}
	err := b.store.View(func(v replica.View) error {
		_, err := b.replica.Submit(v, b.nowMs, hall, "", "late", text2body("late"))
		return err
	})
	if !errors.As(err, &refused) || refused.Reason != tidemark.NotMember {
		t.Errorf("%v", err)
	}
	b.enter(hall)
	b.settle()
	equalList(t, "what was on its way arrived", b.roomTexts(), "before", "on its way")
	b.nothingStored()
}
