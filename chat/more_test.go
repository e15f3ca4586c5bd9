// SPDX-License-Identifier: Apache-2.0

// Stories of groups, people, threads and drafts.

package chat

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

func TestGovernsAGroup(t *testing.T) {
	s := newScreen(t, harbour(), Config{Conversation: "harbour"})
	for _, c := range [][2]string{
		{"/announce low tide at six", "update harbour low tide at six"},
		{"/role @bob admin", "role harbour ADMIN [bob]"},
		{"/mute @eve 10", "mute harbour 10m0s [eve]"},
		{"/mute @eve @bob", "mute harbour 1h0m0s [eve bob]"},
		{"/mute @eve 0", "mute harbour 0s [eve]"},
		{"/mute all", "mute all harbour true"},
		{"/mute all 0", "mute all harbour false"},
		{"/transfer @bob", "transfer harbour bob"},
		{"/dissolve harbour", "dissolve harbour"},
		{"/requests accept @erin", "answer harbour true [erin]"},
		{"/my pin", `settings harbour pin true mute false hide false unread false alias ""`},
		{"/my alias Quay", `settings harbour pin false mute false hide false unread false alias "Quay"`},
	} {
		s.keys(c[0], "enter")
		s.wantSaid(c[1])
	}
	s.keys("/dissolve", "enter")
	s.want("To be sure say", "/dissolve harbour")
	s.keys("/role @bob king", "enter")
	s.want("say /role @user admin")
	s.keys("/requests", "enter")
	s.want("Requests to join The Harbour", "@erin", "let me")
	s.keys("esc")
	s.want("is the tide in?")
	s.keys("/join club", "enter")
	s.want("Asked. An admin of club will answer.")
	s.device.logs["harbour"] = append(s.device.logs["harbour"], client.Message{Conversation: "harbour", Seq: 3, TimeMs: noon, Sender: "eve",
		Kind: replica.KindInfo, Body: &wire.Body{Body: &wire.Body_Info{Info: &wire.Info{Dissolved: true}}}})
	s.device.conversations["harbour"].HeadSeq = 3
	s.send(notes{client.Changed{Conversation: "harbour", From: 3, To: 3}})
	s.want("Eve has ended this conversation")
}

func TestPeopleAndDevices(t *testing.T) {
	s := newScreen(t, harbour(), Config{Conversation: "harbour"})
	s.keys("/contacts", "enter")
	s.want("Contacts", "@bob", "Bobby, contact", "Eve, asks you: it is me", "mallory, blocked")
	s.keys("esc", "/contact accept @eve", "enter")
	s.wantSaid("answer contact eve true")
	s.keys("/contact ask @carol hello there", "enter")
	s.wantSaid(`ask contact carol "hello there"`)
	s.keys("/contact block @mallory", "enter")
	s.wantSaid("block mallory true")
	s.keys("/contact marry @eve", "enter")
	s.want("say /contact ask @user")
	s.keys("esc", "/seen @bob @eve", "enter")
	s.want("online ios", "last seen 4 Mar 2026 12:00")
	s.keys("esc", "/devices", "enter")
	s.want("phone", "ios, online", "old", "tidemark/1, last seen")
	s.keys("esc", "/devices signout old", "enter")
	s.wantSaid(`kick "old" true`)
	s.keys("/options strangers off", "enter")
	s.want("off: only contacts may")
}

func TestThreadsReadersAndPins(t *testing.T) {
	d := harbour()
	d.write("harbour", "eve", "soon", noon).Content.Thread = 1
	d.logs["harbour"][0].ThreadCount = 1
	d.logs["harbour"][0].Content.Mentions = []string{"alice"}
	d.logs["harbour"][0].Reactions = []client.Reaction{{Key: "+1", Count: 2}}
	d.write("harbour", "bob", "from afar", noon).Content.Forwarded = &wire.Forwarded{Conversation: "far", Seq: 9, Sender: "eve", TimeMs: noon}
	hidden := d.write("harbour", "bob", "never shown", noon)
	hidden.Hidden, hidden.Content = true, nil
	s := newScreen(t, d, Config{Conversation: "harbour"})
	s.want("↳ 1 answer in its thread", "╭ Eve: is the tide in?", "↪ from Eve, 4 Mar 2026 12:00")
	s.wantNot("never shown")
	s.keys("/thread", "enter")
	s.wantSaid("thread harbour 1")
	s.want("Thread", "Eve: soon")
	s.keys("esc", "/readers", "enter")
	s.want("read: 1 of 3", "Bob", "not yet: 2", "Eve")
	s.keys("esc", "/reacted", "enter")
	s.want("Reactions", "+1", "Bob")
	s.keys("esc", "/pins", "enter")
	s.want("Pinned", "Eve: is the tide in?")
	s.keys("esc", "/mentions", "enter")
	s.want("Mentions of you", "Eve: is the tide in?")
	s.keys("esc", "/delete", "enter")
	s.want("select the message to delete")
	s.keys("esc", "alt+up", "/delete", "enter")
	s.wantSaid("delete harbour [4]")
	s.keys("/clear", "enter")
	s.want("/clear all")
	s.keys("/clear all", "enter")
	s.wantSaid("clear harbour 0")
	s.keys("/forward @bob", "enter")
	s.wantSaid("forward harbour 4 to alice~bob")
}

func TestSendingLater(t *testing.T) {
	s := newScreen(t, harbour(), Config{Conversation: "harbour"})
	s.keys("/later 18:30 the tide is in", "enter")
	s.wantSaid(`schedule harbour "the tide is in" 2026-03-04 18:30:00`)
	s.keys("/later 09:00 good morning", "enter")
	s.wantSaid(`schedule harbour "good morning" 2026-03-05 09:00:00`)
	s.keys("/later tomorrow x", "enter")
	s.want("say /later 18:30 TEXT")
	s.keys("/scheduled", "enter")
	s.want("Waiting to be sent", "1  4 Mar 2026 13:00", "The Harbour: high tide", "too late (not sent:", "you are muted)")
	s.keys("esc", "/scheduled cancel 2", "enter")
	s.wantSaid("unschedule harbour s2")
	s.keys("/scheduled cancel 3", "enter")
	s.want("only 2 messages wait")
}

// What was begun in a conversation waits there, on every device.
func TestDrafts(t *testing.T) {
	s := newScreen(t, harbour(), Config{Conversation: "harbour"})
	s.keys("I think", "ctrl+n")
	s.wantSaid(`draft harbour "I think" 0`)
	s.wantNot("I think")
	s.keys("ctrl+n")
	s.want("I think")
	s.keys(" so", "enter")
	s.wantSaid(`send harbour text "I think so" reply 0 mentions []`)
	s.keys("ctrl+n")
	s.wantSaid(`draft harbour "" 0`)
}

// A room is shown while the user is in it; what was left out is said, and going elsewhere leaves it.
func TestRoom(t *testing.T) {
	s := newScreen(t, harbour(), Config{Conversation: "harbour"})
	s.keys("/enter vault", "enter")
	s.want("only those who were added enter this room", "is the tide in?")
	s.keys("/enter hall", "enter")
	s.want("The Hall · room", "/attributes 1", "welcome")
	s.wantNot("is the tide in?")
	s.device.shout("hall", "eve", "far ahead", 20)
	s.device.shout("hall", "eve", "and one more", 22)
	s.send(notes{client.RoomEvent{Room: "hall", Gap: 12}, client.RoomEvent{Room: "hall", Gap: 1}})
	s.want("12 messages were left out", "far ahead", "1 message was left out", "and one more")
	s.keys("hello", "enter")
	s.wantSaid(`send hall text "hello" reply 0 mentions []`)
	s.want("hello")
	s.keys("/attributes", "enter")
	s.want("Attributes of The Hall", "song", "tide", "by Bob")
	s.keys("esc", "/attributes song ebb", "enter")
	s.wantSaid("set hall map[song:ebb]")
	s.keys("/members", "enter")
	s.want("2: ", "Bob")

	s.device.rooms["hall"].In = false
	s.send(notes{client.RoomChanged{Room: "hall", State: client.RoomAway}})
	s.want("entering again…")
	s.keys("ctrl+n")
	s.wantSaid("leave room hall")
	s.keys("/enter hall", "enter", "/leave", "enter")
	s.want("You have left The Hall.")
	s.keys("/enter hall", "enter")
	delete(s.device.rooms, "hall")
	s.send(notes{client.RoomChanged{Room: "hall", State: client.RoomLeft, Reason: tidemark.Refuse(tidemark.NotMember, "taken out of it")}})
	s.want("you are out of the room: taken out of it")
	s.keys("/attributes", "enter")
	s.want("no room is open")
}
