// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 5, "Presence, typing".

package conformance

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfPresence = []check{
	{"5.20", "watch tells at once how it stands, then what changes, in place of those before", checkWatch},
	{"5.20", "who comes back within a second of going was not away", checkShortlyAway},
	{"5.21", "Presence answers in the order asked: online with platforms, else when last seen", checkPresence},
	{"5.22", "who hides presence, has blocked, or was deleted is never online and was never seen", checkHiddenPresence},
	{"5.23", "typing reaches the other online members, unless it is hidden, blocked or not allowed", checkTyping},
}

// watch names the users of whose presence the device wants to hear.
func (d *device) watch(users ...string) {
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Watch{Watch: &wire.Watch{Users: users}}})
}

// present waits for a signal of a user's presence.
func (d *device) present(u *user, online bool) *wire.PresenceSignal {
	return d.until(fmt.Sprintf("signal presence of %s, online %t", u.nickname, online), func(f *wire.ServerFrame) bool {
		s := f.GetSignal().GetPresence()
		return s.GetUser() == u.id && s.GetOnline() == online
	}).GetSignal().GetPresence()
}

func isPresenceOf(u *user) func(*wire.ServerFrame) bool {
	return func(f *wire.ServerFrame) bool { return f.GetSignal().GetPresence().GetUser() == u.id }
}

func checkWatch(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	there := p.connect(bob, "phone")
	phone := p.connect(alice, "phone")
	phone.watch(bob.id, carol.id)
	phone.present(bob, true)
	phone.present(carol, false)
	there.close()
	seen := phone.present(bob, false)
	p.must(seen.GetLastSeenMs() > 0, "when bob was last seen", "%s", show(seen))
	p.connect(carol, "phone")
	phone.present(carol, true)
	rename(carol, "Caroline")
	phone.until("signal profile of carol", func(f *wire.ServerFrame) bool { return f.GetSignal().GetProfile().GetUser() == carol.id })
	phone.watch(carol.id)
	phone.present(carol, true)
	p.connect(bob, "phone")
	phone.silence("presence of bob, who is watched no more", isPresenceOf(bob))
	many := make([]string, 501)
	for i := range many {
		many[i] = fmt.Sprint(p.kit.prefix, "-", i)
	}
	phone.watch(many...)
	phone.until("an error, for 501 users", func(f *wire.ServerFrame) bool { return f.GetError() != nil })
}

func checkShortlyAway(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	there := p.connect(bob, "phone")
	phone := p.connect(alice, "phone")
	phone.watch(bob.id)
	phone.present(bob, true)
	gone := time.Now()
	there.close()
	p.connect(bob, "phone")
	if away := time.Since(gone); away > 700*time.Millisecond {
		p.skip("connecting again took %v", away)
	}
	p.pause(time.Second)
	phone.silence("bob away", func(f *wire.ServerFrame) bool {
		return isPresenceOf(bob)(f) && !f.GetSignal().GetPresence().GetOnline()
	})
}

// presence asks for the presence of users.
func presence(w who, users ...*user) []*wire.Presence {
	return call[*wire.PresenceResponse](w, "UserService/Presence", &wire.PresenceRequest{Users: idsOfUsers(users)}).GetUsers()
}

func checkPresence(p *play) {
	alice, bob, carol, dave := p.user("alice"), p.user("bob"), p.user("carol"), p.user("dave")
	p.connect(bob, "phone", func(h *wire.Hello) { h.Platform = "ios" })
	before := p.inFuture(0)
	away := p.connect(carol, "phone")
	away.close()
	p.eventually("carol last seen about now, bob online by ios, dave never seen", func() (bool, string) {
		got := presence(alice, carol, bob, dave, bob)
		seen := got[0].GetLastSeenMs()
		return len(got) == 4 && got[0].GetUser() == carol.id && !got[0].GetOnline() && seen+61_000 > before && seen < before+120_000 &&
			got[1].GetOnline() && len(got[1].GetPlatforms()) == 1 && got[1].GetPlatforms()[0] == "ios" &&
			got[2].GetUser() == dave.id && !got[2].GetOnline() && got[2].GetLastSeenMs() == 0 && got[3].GetOnline(), fmt.Sprint(got)
	})
	many := &wire.PresenceRequest{Users: make([]string, 1001)}
	for i := range many.Users {
		many.Users[i] = bob.id
	}
	refuse(alice, "UserService/Presence", many, wire.Reason_TOO_MANY)
}

func checkHiddenPresence(p *play) {
	alice, hiding, blocking, blocked := p.user("alice"), p.user("hiding"), p.user("blocking"), p.user("blocked")
	call[*wire.OptionsResponse](hiding, "UserService/Options", &wire.OptionsRequest{HidePresence: proto.Bool(true)})
	call[*wire.ContactResponse](blocking, "ContactService/Block", &wire.BlockRequest{User: alice.id})
	call[*wire.ContactResponse](alice, "ContactService/Block", &wire.BlockRequest{User: blocked.id})
	team := p.group(alice, hiding)
	phone := p.connect(alice, "phone")
	for _, u := range []*user{hiding, blocking, blocked} {
		p.connect(u, "phone")
	}
	never := func(u *user) {
		got := presence(alice, u)[0]
		equal(p, "what alice is told of "+u.nickname, got, &wire.Presence{User: u.id})
		phone.watch(u.id)
		signal := phone.present(u, false)
		equal(p, "the time when alice is told "+u.nickname+" was seen", signal.GetLastSeenMs(), 0)
	}
	for _, u := range []*user{hiding, blocking, blocked} {
		never(u)
		for _, w := range []who{u, p.app()} {
			p.must(presence(w, u)[0].GetOnline(), "the user itself and the app see "+u.nickname+" online", "%s", show(presence(w, u)[0]))
		}
	}
	said := p.say(alice, team, "x").GetSeq()
	for _, m := range call[*wire.TraceResponse](alice, "MessageService/Trace", &wire.TraceRequest{Conversation: team, Seq: said}).GetMembers() {
		p.must(m.GetUser() != hiding.id || len(m.GetDevices()) == 0, "no devices of who hides presence in a trace", "%s", show(m))
	}
	call[*wire.DeleteUserResponse](p.app(), "UserService/Delete", &wire.DeleteUserRequest{UserId: hiding.id})
	never(hiding)
}

// types says that the user types, or has stopped.
func (d *device) types(conversation string, typing bool) {
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Typing{Typing: &wire.Typing{Conversation: conversation, Typing: typing}}})
}

func isTyping(conversation string, u *user) func(*wire.ServerFrame) bool {
	return func(f *wire.ServerFrame) bool {
		s := f.GetSignal().GetTyping()
		return s.GetConversation() == conversation && s.GetUser() == u.id
	}
}

func checkTyping(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob, carol)
	phone, other, third := p.connect(alice, "phone"), p.connect(bob, "phone"), p.connect(carol, "phone")
	phone.types(team, true)
	got := other.until("signal typing of alice", isTyping(team, alice)).GetSignal().GetTyping()
	p.must(got.GetTyping(), "typing", "%s", show(got))
	third.until("signal typing of alice", isTyping(team, alice))
	phone.types(team, true) // within 2 seconds: once
	other.silence("the same again at once", isTyping(team, alice))
	phone.silence("its own typing", isTyping(team, alice))
	phone.types(team, false)
	stopped := other.until("signal that alice has stopped", isTyping(team, alice)).GetSignal().GetTyping()
	p.must(!stopped.GetTyping(), "that alice has stopped", "%s", show(stopped))

	call[*wire.OptionsResponse](bob, "UserService/Options", &wire.OptionsRequest{HideTyping: proto.Bool(true)})
	other.types(team, true)
	phone.silence("typing of who hides it", isTyping(team, bob))
	call[*wire.MuteResponse](alice, "ConversationService/Mute", &wire.MuteRequest{Conversation: team, Members: []string{carol.id}, ForMs: 60_000})
	third.types(team, true)
	phone.silence("typing of who may not post", isTyping(team, carol))
	p.does(carol, to(alice, textMessage("hello")))
	call[*wire.ContactResponse](alice, "ContactService/Block", &wire.BlockRequest{User: carol.id})
	third.types(directID(alice, carol), true)
	phone.silence("typing of who is blocked", isTyping(directID(alice, carol), carol))
}
