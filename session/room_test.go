// SPDX-License-Identifier: Apache-2.0

// Rooms: what those who are in one are given, in which order, and what is left out for whom.

package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	normalPriority = wire.Priority_PRIORITY_NORMAL
	lowPriority    = wire.Priority_PRIORITY_LOW
	highPriority   = wire.Priority_PRIORITY_HIGH
)

func TestLifeInARoom(t *testing.T) {
	for _, format := range []wire.Format{wire.Proto, wire.JSON} {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			tc := newTest(t)
			tc.format = format
			tc.users("olga", "ann", "bob")
			tc.room("lobby", nil)
			tc.say("lobby", "before", normalPriority)
			ann, bob := tc.device("ann", "a").connect(), tc.device("bob", "b").connect()
			bobs := tc.device("bob", "b2").connect()
			for _, d := range []*device{ann, bob, bobs} {
				d.drain()
			}
			before := tc.set.Of("lobby").Published()
			room := ann.enter("lobby")
			if kinds := ann.kinds(); !slices.Equal(kinds, []string{"Fetched", "Delta"}) {
				t.Fatalf("enter is answered by %v", kinds)
			}
			room.want("the last events come first", "before")
			if room.info.GetMemberCount() != 1 || room.info.GetTitle() != "lobby" || room.self.GetRole() != wire.Role_MEMBER {
				t.Fatalf("info %v, self %v", room.info, room.self)
			}
			bob.enter("lobby")
			if tc.set.Of("lobby").Published() != before {
				t.Fatal("entering writes something")
			}
			ann.wantIdle("who enters is no news")
			ann.submitRoom("lobby", "hello", normalPriority)
			tc.step()
			ann.drain()
			if kinds := ann.kinds(); !slices.Equal(kinds, []string{"Submitted"}) {
				t.Fatalf("the sender hears %v", kinds)
			}
			bob.drain()
			bobs.drain()
			bob.rooms["lobby"].want("who is in it hears", "before", "hello")
			bobs.wantIdle("another session of the same user is not in it")
			bobs.enter("lobby")
			bob.submitRoom("lobby", "hi", normalPriority)
			tc.step()
			for _, d := range []*device{ann, bob, bobs} {
				d.drain()
				d.rooms["lobby"].want("all hear", "before", "hello", "hi")
			}
			bobs.leave("lobby")
			if f := bobs.frames[0].GetFetched(); f.GetRequest() != bobs.request || len(f.GetEvents()) != 0 {
				t.Fatalf("leave is answered by %v", bobs.frames)
			}
			ann.submitRoom("lobby", "still here", normalPriority)
			tc.step()
			bobs.wantIdle("who has left hears nothing")
			bob.drain()
			bob.rooms["lobby"].want("but the other session does", "before", "hello", "hi", "still here")
			bob.disconnect()
			ann.disconnect()
			bobs.disconnect()
			if n := tc.receivers(); n != 0 {
				t.Fatalf("%d places are left", n)
			}
		})
	}
}

func TestRoomIsInNoList(t *testing.T) {
	tc := newTest(t)
	tc.users("olga", "ann")
	tc.room("lobby", nil, "ann")
	olga := tc.device("olga", "o").connect()
	olga.drain()
	if len(olga.logs) != 0 {
		t.Fatalf("the owner is given %v", olga.logs)
	}
	tc.say("lobby", "hello", normalPriority)
	olga.wantIdle("an owner who is not in the room is told nothing")
	olga.disconnect()
	olga.connect()
	olga.drain()
	if len(olga.logs) != 0 {
		t.Fatalf("the owner who comes back is given %v", olga.logs)
	}
	if d, err := Summary(tc.set, "olga", "lobby"); err != nil || d.GetSelf().GetRole() != wire.Role_OWNER || d.Unread != nil {
		t.Fatalf("the owner asks for it: %v, %v", d, err)
	}
	if _, err := Summary(tc.set, "ann", "lobby"); err == nil {
		t.Fatal("who is a member by record but not in it sees it")
	}
}

func (d *device) wantRefused(why string, reason wire.Reason) {
	d.tc.Helper()
	d.drain()
	if len(d.frames) != 1 || d.frames[0].GetError().GetReason() != reason || d.frames[0].GetError().GetRequest() != d.request {
		d.tc.Fatalf("%s: got %v, want %s", why, d.frames, reason)
	}
}

func TestWhoMayEnter(t *testing.T) {
	tc := newTest(t)
	tc.limits.RoomsMax, tc.limits.RoomReceiversMax = 2, 2
	tc.must(tc.db.Close())
	tc.start()
	tc.users("olga", "ann", "bob", "carl")
	tc.group("team", "ann")
	tc.room("closed", &wire.Settings{Join: wire.JoinPolicy_INVITE}, "ann")
	tc.room("one", nil)
	tc.room("two", nil)
	ann, bob, carl := tc.device("ann", "a").connect(), tc.device("bob", "b").connect(), tc.device("carl", "c").connect()
	for _, d := range []*device{ann, bob, carl} {
		d.drain()
	}
	bob.sendEnter("closed")
	bob.wantRefused("a stranger enters a room by invitation", wire.Reason_NOT_ALLOWED)
	bob.sendEnter("nowhere")
	bob.wantRefused("a room that is not there", wire.Reason_UNKNOWN_CONVERSATION)
	bob.sendEnter("team")
	bob.wantRefused("a group", wire.Reason_BAD_ARGUMENT)
	bob.submitRoom("one", "outside", normalPriority)
	tc.step()
	bob.wantRefused("writing from outside", wire.Reason_NOT_MEMBER)
	ann.enter("closed")
	ann.enter("one")
	ann.sendEnter("two")
	ann.wantRefused("a third room of one connection", wire.Reason_TOO_MANY)
	delete(ann.rooms, "two")
	if ann.enter("one"); len(ann.frames) != 2 {
		t.Fatalf("entering again is answered by %v", ann.frames)
	}
	bob.enter("one")
	carl.sendEnter("one")
	carl.wantRefused("a third connection in one room", wire.Reason_TOO_MANY)
	bob.leave("one")
	carl.enter("one")
	ann.request++
	ann.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Leave{Leave: &wire.LeaveRoom{Request: ann.request, Conversation: "two"}}})
	ann.wantRefused("leaving where one is not", wire.Reason_NOT_MEMBER)
	ann.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Read{Read: &wire.Read{Conversation: "one", Seq: 1}}})
	tc.step()
	if ann.drain(); len(ann.frames) != 1 || ann.frames[0].GetError().GetReason() != wire.Reason_NOT_ALLOWED {
		t.Fatalf("a read mark in a room: %v", ann.frames)
	}
}

// An invitation is given back without being in the room, and who has given it back is not let in again.
func TestInvitationGivenBack(t *testing.T) {
	tc := newTest(t)
	tc.users("olga", "ann")
	tc.room("closed", &wire.Settings{Join: wire.JoinPolicy_INVITE}, "ann")
	ann := tc.device("ann", "a").connect()
	ann.drain()
	tc.do(&core.Leave{Actor: core.Actor{User: "ann"}, Conversation: "closed"})
	ann.sendEnter("closed")
	ann.wantRefused("entering without the invitation", wire.Reason_NOT_ALLOWED)
	if n := tc.receivers(); n != 0 {
		t.Errorf("%d are in the room", n)
	}
}

func TestTakenOutOfARoom(t *testing.T) {
	tc := newTest(t)
	tc.users("olga", "ann", "bob")
	tc.room("lobby", nil)
	ann, bob := tc.device("ann", "a").connect(), tc.device("bob", "b").connect()
	ann.drain()
	bob.drain()
	ann.enter("lobby")
	bob.enter("lobby")
	tc.do(&core.RemoveMembers{Actor: core.Actor{User: "olga"}, Conversation: "lobby", Members: []tidemark.UserID{"ann"}})
	ann.drain()
	bob.drain()
	if !ann.rooms["lobby"].ended || bob.rooms["lobby"].ended || bob.rooms["lobby"].have != 2 {
		t.Fatalf("ann is taken out: %v, bob: %v at %d", ann.rooms["lobby"].ended, bob.rooms["lobby"].ended, bob.rooms["lobby"].have)
	}
	ann.submitRoom("lobby", "I am still here", normalPriority)
	tc.step()
	ann.wantRefused("writing after being taken out", wire.Reason_NOT_MEMBER)
	tc.say("lobby", "peace", normalPriority)
	ann.wantIdle("nothing follows")
	ann.enter("lobby").want("an open room may be entered again", "peace")
}

// What is left out for a slow receiver: low before normal, the oldest first, never anything else; what is left out is
// counted; the order of the rest stands.
func TestLeavingOut(t *testing.T) {
	tc := newTest(t)
	tc.users("olga", "ann", "bob")
	tc.room("lobby", nil)
	slow, fast := tc.device("ann", "a").connect(), tc.device("bob", "b").connect()
	slow.drain()
	fast.drain()
	room := slow.enter("lobby")
	quick := fast.enter("lobby")
	var low, normal, high []uint64
	say := func(n int, p wire.Priority, to *[]uint64) {
		for range n {
			*to = append(*to, uint64(tc.say("lobby", fmt.Sprint(p), p).Seq))
			fast.drain()
		}
	}
	say(40, lowPriority, &low)
	say(24, normalPriority, &normal)
	slow.drain()
	if len(room.leftOut) != 0 {
		t.Fatalf("64 behind, and %v are left out", room.leftOut)
	}
	low, normal = nil, nil
	say(20, lowPriority, &low)
	say(30, normalPriority, &normal)
	say(3, highPriority, &high)
	say(20, lowPriority, &low)
	tc.do(&core.SetAttributes{Actor: core.Actor{User: "olga"}, Conversation: "lobby", Set: map[string]string{"k": "v"}})
	slow.drain()
	if want := low[:10]; !slices.Equal(room.leftOut, want) { // 74 behind
		t.Fatalf("left out are %v, want the oldest of low priority %v", room.leftOut, want)
	}
	room.leftOut, low, normal = nil, nil, nil
	say(10, lowPriority, &low)
	say(100, normalPriority, &normal)
	say(70, highPriority, &high)
	slow.drain()
	if want := append(slices.Clone(low), normal...); !slices.Equal(room.leftOut, want) {
		t.Fatalf("left out are %v, want everything but high priority %v", room.leftOut, want)
	}
	if l, n := tc.shed(); l != 20 || n != 100 {
		t.Fatalf("counted are %d low and %d normal, want 20 and 100", l, n)
	}
	if len(quick.leftOut) != 0 || quick.have != room.have {
		t.Fatalf("for the fast one %v are left out", quick.leftOut)
	}
	slow.drain()
	slow.wantIdle("it has caught up")
}

// A receiver so far behind that events would be missing which are never left out is sent away, to come back.
func TestTooFarBehind(t *testing.T) {
	tc := newTest(t)
	tc.users("olga", "ann")
	tc.room("lobby", nil)
	slow := tc.device("ann", "a").connect()
	slow.drain()
	slow.enter("lobby")
	long := strings.Repeat("x", 40<<10)
	for range 120 {
		tc.say("lobby", long, highPriority)
	}
	slow.drain()
	if slow.bye.GetReason() != wire.ByeReason_SLOW {
		t.Fatalf("got %v", slow.kinds())
	}
	slow.connect()
	slow.drain()
	if r := slow.enter("lobby"); r.have != 121 {
		t.Fatalf("who comes back begins at %d", r.have)
	}
}

// In a conversation that is no room nothing is left out, whatever its messages say.
func TestPriorityMeansNothingElsewhere(t *testing.T) {
	tc := newTest(t)
	tc.users("ann")
	tc.group("team", "ann")
	slow := tc.device("ann", "a").connect()
	slow.drain()
	for range 300 {
		tc.say("team", "low", lowPriority)
	}
	slow.drain()
	if n := len(slow.logs["team"].events); n != 301 {
		t.Fatalf("%d events came, want 301", n)
	}
	if low, normal := tc.shed(); low+normal != 0 {
		t.Fatalf("%d are counted as left out", low+normal)
	}
}

func (tc *testWorld) attributes(id tidemark.ConversationID) string {
	tc.Helper()
	d, err := Summary(tc.set, "", id)
	tc.must(err)
	var list []string
	for _, a := range d.Info.Attributes {
		list = append(list, a.Key+"="+a.Value+" of "+a.Owner)
	}
	return strings.Join(list, ", ")
}

// Keys that go with their owner go when the owner's last session has left, by an event that the others see; after the
// server's death they are not shown, and go when the room is next used.
func TestAttributesGoWithTheirOwner(t *testing.T) {
	tc := newTest(t)
	tc.users("olga", "ann", "bob")
	tc.room("lobby", nil)
	ann, ann2, bob := tc.device("ann", "a").connect(), tc.device("ann", "a2").connect(), tc.device("bob", "b").connect()
	for _, d := range []*device{ann, ann2, bob} {
		d.drain()
		d.enter("lobby")
	}
	set := func(user tidemark.UserID, key string, auto bool) {
		tc.do(&core.SetAttributes{Actor: core.Actor{User: user}, Conversation: "lobby", Set: map[string]string{key: "1"}, AutoDelete: auto})
	}
	set("ann", "seat", true)
	set("ann", "mood", false)
	set("bob", "chair", true)
	ann.disconnect()
	tc.step()
	if got := tc.attributes("lobby"); got != "chair=1 of bob, mood=1 of ann, seat=1 of ann" {
		t.Fatalf("one of two sessions has gone: %s", got)
	}
	ann2.leave("lobby")
	if got := tc.attributes("lobby"); got != "chair=1 of bob, mood=1 of ann" {
		t.Fatalf("before the key is dropped: %s", got)
	}
	tc.step()
	bob.drain()
	if r := bob.rooms["lobby"]; r.have != 5 {
		t.Fatalf("bob is at %d, want the event that drops the key, 5", r.have)
	}
	tc.must(tc.db.Close()) // the server dies
	tc.start()
	if got := tc.attributes("lobby"); got != "mood=1 of ann" {
		t.Fatalf("after the death of the server: %s", got)
	}
	ann = tc.device("ann", "a").connect()
	ann.drain()
	if r := ann.enter("lobby"); len(r.info.Attributes) != 1 {
		t.Fatalf("shown to who enters: %v", r.info.Attributes)
	}
	tc.step()
	ann.drain()
	if r := ann.rooms["lobby"]; r.have != 6 {
		t.Fatalf("the key is not dropped: head %d", r.have)
	}
	if info, err := tc.set.Of("lobby").Info("lobby"); err != nil || len(info.Attributes) != 1 {
		t.Fatalf("stored are %v, %v", info.Attributes, err)
	}
}

// Transient messages and typing reach those who are in the room, also those whom the partition has never met.
func TestSignalsInARoom(t *testing.T) {
	tc := newTest(t)
	tc.users("olga", "ann", "bob")
	tc.room("lobby", nil)
	ann, bob := tc.device("ann", "a").connect(), tc.device("bob", "b").connect()
	for _, d := range []*device{ann, bob} {
		d.drain()
		d.enter("lobby")
	}
	ann.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Typing{Typing: &wire.Typing{Conversation: "lobby", Typing: true}}})
	ann.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
		Request: 77, ClientId: "t", Conversation: "lobby",
		Action: &wire.Submit_Message{Message: &wire.Message{Text: "wave", Class: wire.MessageClass_TRANSIENT}},
	}}})
	tc.step()
	bob.drain()
	if len(bob.frames) != 2 || bob.frames[0].GetSignal().GetTyping() == nil || bob.frames[1].GetSignal().GetTransient() == nil {
		t.Fatalf("bob hears %v", bob.frames)
	}
}
