// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 5, "Users".

package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfUsers = []check{
	{"5.10", "Kick ends a device's sessions, forgets it and its cursor, and lets it come back as a new one", checkKick},
	{"5.10", "a Pull that waits ends with BAD_TOKEN; with revoke the tokens issued before are refused", checkKickAll},
	{"5.11", "64 devices can be revoked one by one, and signing out everywhere covers them all", checkRevokeMany},
	{"5.12", "Options changes the fields given and answers all; a user changes its own, the app anybody's", checkOptions},
	{"5.13", "where there is no place for a new device, the one seen longest ago is forgotten, the connected last", checkPlaces},
	{"5.13", "a connected device for which there is no place any more hears bye REPLACED", checkPlacesConnected},
	{"5.14", "Delete ends sessions, tokens, memberships, requests, contacts; what the user wrote stays", checkDelete},
	{"5.15", "a direct conversation with a deleted user can be read, and nothing new is written there", checkDeletedPeer},
	{"5.16", "Upsert of a deleted id begins a new account, which sees nothing of the old one", checkUserAnew},
}

// kick signs out, as somebody.
func kick(w who, u *user, device string, revoke bool) *wire.KickResponse {
	return call[*wire.KickResponse](w, "UserService/Kick", &wire.KickRequest{UserId: u.id, DeviceId: device, Revoke: revoke})
}

// devicesOf are the devices of a user that the server knows.
func devicesOf(u *user) (names []string) {
	for _, d := range call[*wire.DevicesResponse](u.play.app(), "UserService/Devices", &wire.DevicesRequest{UserId: u.id}).GetDevices() {
		names = append(names, d.GetDeviceId())
	}
	slices.Sort(names)
	return names
}

func checkKick(p *play) {
	alice := p.user("alice")
	p.say(alice, p.group(alice), "x")
	phone, tablet := p.connect(alice, "phone"), p.connect(alice, "tablet")
	phone.ack(phone.cursor)
	cursor := copyOf(phone.cursor)
	equal(p, "how many sessions were ended", kick(alice, alice, "phone", false).GetSessions(), 1)
	equal(p, "the reason of bye", phone.bye().GetReason(), wire.ByeReason_KICKED)
	equal(p, "the devices left", devicesOf(alice), []string{"tablet"})
	tablet.ping()
	again := p.connect(alice, "phone", withCursor(cursor))
	equal(p, "why the cursor of the forgotten device is not taken", again.welcome.GetReset_().GetReason(), wire.ResetReason_UNKNOWN_DEVICE)
	refuse(p.user("eve"), "UserService/Kick", &wire.KickRequest{UserId: alice.id}, wire.Reason_NOT_ALLOWED)
}

func checkKickAll(p *play) {
	alice := p.user("alice")
	phone := p.connect(alice, "phone")
	cursor := pull(alice, "bot", nil).GetCursor()
	old := alice.caller
	ending := func(revoke bool) {
		var status int
		var text []byte
		var waits sync.WaitGroup
		body, _ := wire.AppendJSON(nil, &wire.PullRequest{DeviceId: "bot", Cursor: cursor, WaitMs: 60_000})
		waits.Go(func() {
			status, text, _ = p.send(http.MethodPost, "/tidemark.v1.SyncService/Pull", old.headers(), body)
		})
		p.pause(aMoment) // by now it waits
		kick(p.app(), alice, "", revoke)
		waits.Wait()
		p.must(refusalOf(status, text).isReason(wire.Reason_BAD_TOKEN), "BAD_TOKEN for a Pull that waits", "HTTP %d %s", status, clip(string(text)))
	}
	ending(false)
	equal(p, "the reason of bye", phone.bye().GetReason(), wire.ByeReason_KICKED)
	equal(p, "the devices left", len(devicesOf(alice)), 0)
	cursor = pull(alice, "bot", nil).GetCursor() // without revoke nothing keeps it from coming back
	ending(true)
	refuse(old, "UserService/Get", &wire.GetUserRequest{}, wire.Reason_BAD_TOKEN)
	alice.caller = p.bearer(p.token(alice, "", 0))
	p.connect(alice, "phone")
}

func checkRevokeMany(p *play) {
	alice := p.user("alice")
	for i := range 64 {
		kick(p.app(), alice, fmt.Sprint("device-", i), true)
	}
	refuse(p.app(), "UserService/Kick", &wire.KickRequest{UserId: alice.id, DeviceId: "device-64", Revoke: true}, wire.Reason_TOO_MANY)
	kick(p.app(), alice, "", true)
	refuse(alice, "UserService/Get", &wire.GetUserRequest{}, wire.Reason_BAD_TOKEN)
	kick(p.app(), alice, "device-64", true)
}

func checkOptions(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	options := func(w who, request *wire.OptionsRequest) *wire.UserOptions {
		return call[*wire.OptionsResponse](w, "UserService/Options", request).GetOptions()
	}
	equal(p, "the options at first", options(alice, &wire.OptionsRequest{}), &wire.UserOptions{})
	options(alice, &wire.OptionsRequest{HidePresence: proto.Bool(true), ContactsOnly: proto.Bool(true)})
	got := options(p.app(), &wire.OptionsRequest{UserId: alice.id, ContactsOnly: proto.Bool(false), HideTyping: proto.Bool(true)})
	equal(p, "the options after the app has changed two of three", got, &wire.UserOptions{HidePresence: true, HideTyping: true})
	equal(p, "the options as alice is told", options(alice, &wire.OptionsRequest{}), got)
	refuse(bob, "UserService/Options", &wire.OptionsRequest{UserId: alice.id, HideTyping: proto.Bool(false)}, wire.Reason_NOT_ALLOWED)
}

// places are how many devices a user may have; more than a hundred are too many for a check.
func (p *play) places() int {
	places := int(p.kit.welcome.GetLimits().GetDevicesMax())
	if places > 100 {
		p.skip("a user may have %d devices", places)
	}
	return places
}

func checkPlaces(p *play) {
	places := p.places()
	alice := p.user("alice")
	p.connect(alice, "connected") // seen longest ago, but it is there
	for i := range places - 1 {
		p.pause(aMillisecond)
		pull(alice, fmt.Sprint("bot-", i), nil)
	}
	_, r := try[*wire.PullResponse](alice, "SyncService/Pull", &wire.PullRequest{DeviceId: "new"})
	if r.isReason(wire.Reason_TOO_MANY) {
		p.skip("this server refuses new devices for which there is no place")
	}
	got := devicesOf(alice)
	p.must(len(got) == places && slices.Contains(got, "connected") && slices.Contains(got, "new") && !slices.Contains(got, "bot-0"),
		fmt.Sprintf("%d devices: the connected one and the new one, without bot-0", places), "%d: %v", len(got), got)
}

func checkPlacesConnected(p *play) {
	places := p.places()
	alice := p.user("alice")
	var all []*device
	for i := range places {
		all = append(all, p.connect(alice, fmt.Sprint("phone-", i)))
	}
	late := p.dial(wire.Proto)
	late.hello(alice, "new")
	answer := late.until("welcome, or an error", func(f *wire.ServerFrame) bool { return f.GetWelcome() != nil || f.GetError() != nil })
	if answer.GetError().GetReason() == wire.Reason_TOO_MANY {
		p.skip("this server refuses new devices for which there is no place")
	}
	late.sync()
	left := devicesOf(alice)
	equal(p, "how many devices there are", len(left), places)
	ended := 0
	for i, d := range all {
		if !slices.Contains(left, fmt.Sprint("phone-", i)) {
			equal(p, "the reason of bye", d.bye().GetReason(), wire.ByeReason_REPLACED)
			ended++
		}
	}
	equal(p, "how many have lost their place", ended, 1)
}

func checkDelete(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, club := p.group(alice, bob), p.group(alice)
	bobs := p.group(bob, alice)
	sets(p.app(), club, &wire.Settings{Join: wire.JoinPolicy_REQUEST})
	call[*wire.MembersResponse](bob, "ConversationService/Join", &wire.JoinRequest{Conversation: club})
	befriends(p, alice, bob)
	said := p.say(bob, team, "what bob wrote").GetSeq()
	p.schedules(bob, team, "later", "never", p.inFuture(time.Hour))
	phone, other := p.connect(bob, "phone"), p.connect(alice, "phone")
	done := call[*wire.DeleteUserResponse](p.app(), "UserService/Delete", &wire.DeleteUserRequest{UserId: bob.id})
	equal(p, "sessions ended and conversations left", []uint32{done.GetSessions(), done.GetConversations()}, []uint32{1, 3})
	equal(p, "the reason of bye", phone.bye().GetReason(), wire.ByeReason_KICKED)
	refuse(bob, "UserService/Get", &wire.GetUserRequest{}, wire.Reason_BAD_TOKEN)
	profile := call[*wire.GetUserResponse](alice, "UserService/Get", &wire.GetUserRequest{UserId: bob.id}).GetUser()
	p.must(profile.GetDeleted() && profile.GetNickname() == "", "an empty profile with deleted", "%s", show(profile))
	left := other.hasSeq(team, said+1)
	p.must(left.GetSender() == "system" && slices.Equal(bodyOf(left).GetMembers().GetRemoved(), []string{bob.id}), "an event of system that removes bob", "%s", show(left))
	equal(p, "how many members bob's own group has", infoOf(alice, bobs).GetMemberCount(), 1)
	asked := call[*wire.JoinRequestsResponse](p.app(), "ConversationService/JoinRequests", &wire.JoinRequestsRequest{Conversation: club})
	equal(p, "requests to join", len(asked.GetRequests()), 0)
	p.must(contactOf(alice, bob).GetState() != wire.ContactState_CONTACT, "no contact any more", "%s", show(contactOf(alice, bob)))
	e := one(p, alice, team, said)
	p.must(e.GetSender() == bob.id && textOf(e) == "what bob wrote", "what bob wrote, with his id", "%s", show(e))
	again := call[*wire.DeleteUserResponse](p.app(), "UserService/Delete", &wire.DeleteUserRequest{UserId: bob.id})
	equal(p, "what is left to do when it is called again", again, &wire.DeleteUserResponse{})
	refuse(alice, "UserService/Delete", &wire.DeleteUserRequest{UserId: alice.id}, wire.Reason_NOT_ALLOWED)
}

func checkDeletedPeer(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	direct := directID(alice, bob)
	request := to(bob, textMessage("hello bob"))
	first := p.does(alice, request)
	p.does(bob, to(alice, textMessage("hello alice")))
	call[*wire.ContactResponse](alice, "ContactService/Remark", &wire.RemarkRequest{User: bob.id, Remark: "the one from the ferry"})
	call[*wire.DeleteUserResponse](p.app(), "UserService/Delete", &wire.DeleteUserRequest{UserId: bob.id})
	page := pageOf(alice, &wire.FetchRequest{Conversation: direct, From: &wire.FetchRequest_Latest{Latest: true}})
	p.must(slices.ContainsFunc(page.GetEvents(), func(e *wire.Event) bool { return textOf(e) == "hello alice" }), "the peer reads what was written", "%s", show(page))
	p.cannot(alice, to(bob, textMessage("are you there?")), wire.Reason_UNKNOWN_USER)
	p.cannot(alice, reacting(direct, first.GetSeq(), "+"), wire.Reason_UNKNOWN_USER)
	p.cannot(p.app(), to(bob, textMessage("from the app")), wire.Reason_UNKNOWN_USER)
	refuse(alice, "ContactService/Request", &wire.ContactRequest{User: bob.id}, wire.Reason_UNKNOWN_USER)
	again := p.does(alice, request)
	p.must(again.GetDuplicate() && again.GetSeq() == first.GetSeq(), "a repeated clientId gets its first answer", "%s", show(again))
	recall(p, alice, direct, first.GetSeq())
	equal(p, "the remark, which is the peer's", contactOf(alice, bob).GetRemark(), "the one from the ferry")
}

func checkUserAnew(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	direct := directID(alice, bob)
	p.does(alice, to(bob, textMessage("to the old one")))
	old := p.say(bob, team, "of the old one").GetSeq()
	token := bob.caller
	sets(alice, team, &wire.Settings{HistoryFromStart: true})
	call[*wire.DeleteUserResponse](p.app(), "UserService/Delete", &wire.DeleteUserRequest{UserId: bob.id})
	made := call[*wire.UpsertUserResponse](p.app(), "UserService/Upsert", &wire.UpsertUserRequest{User: &wire.Profile{Id: bob.id, Nickname: "another"}})
	p.must(made.GetCreated() && !made.GetUser().GetDeleted(), "a new user", "%s", show(made))
	refuse(token, "UserService/Get", &wire.GetUserRequest{}, wire.Reason_BAD_TOKEN)
	bob.caller = p.bearer(p.token(bob, "", 0))
	equal(p, "the conversations of the new user", len(call[*wire.ListResponse](bob, "ConversationService/List", &wire.ListRequest{}).GetConversations()), 0)
	refuse(bob, "MessageService/Fetch", &wire.FetchRequest{Conversation: direct, From: &wire.FetchRequest_Latest{Latest: true}}, wire.Reason_UNKNOWN_CONVERSATION)
	p.added(team, bob)
	page := pageOf(bob, &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_After{}})
	p.must(len(page.GetEvents()) > 0 && page.GetEvents()[0].GetSeq() > old, "nothing of what came before", "%s", show(page))
	p.does(alice, to(bob, textMessage("to the new one")))
	var texts []string
	for _, e := range pageOf(bob, &wire.FetchRequest{Conversation: direct, From: &wire.FetchRequest_After{}}).GetEvents() {
		texts = append(texts, textOf(e))
	}
	equal(p, "what the new user sees of the direct conversation", strings.Join(texts, ""), "to the new one")
}
