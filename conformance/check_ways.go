// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 1: ways in.

package conformance

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfWays = []check{
	{"1.1", "a connection that offers no subprotocol of ours is refused with 400 and a text that names both", checkNoSubprotocol},
	{"1.1", "each subprotocol is spoken in messages of its kind: binary and text", checkSubprotocols},
	{"1.2", "a token says in sub whose it is and in dev of which device, and counts for that user and device only", checkTokenClaims},
	{"1.2", "a token that was changed, or is none, is refused with BAD_TOKEN", checkWrongToken},
	{"1.2", "exp is honoured over HTTP and in hello", checkTokenExpiry},
	{"1.3", "the admin key does everything; for a user it has that user's rights, no more", checkAdminKey},
	{"1.3", "methods that are the app's alone, and the owner of Create, take the key with or without a user", checkAppsMethods},
	{"1.4", "the token may come in hello.token or in the header Authorization", checkTokenPlaces},
	{"1.5", "ids have 1 to 64 bytes of the alphabet; system is reserved", checkIDs},
	{"1.5", "the direct conversation of a and b is a~b in byte order, whoever writes first", checkDirectID},
	{"1.6", "a clientId has 1 to 64 bytes of UTF-8, and is a message's own for one user in one conversation", checkClientIDs},
	{"1.7", "over HTTP an unknown JSON field is BAD_ARGUMENT and named", checkUnknownFieldHTTP},
	{"1.7", "in frames unknown fields are passed over, in JSON and in protobuf", checkUnknownFieldFrames},
	{"1.8", "revoking all of a user's tokens: BAD_TOKEN on every way in, sessions hear bye KICKED, a new token counts at once", checkRevokeAll},
	{"1.8", "revoking one device's tokens holds for that device, with a token that is not bound to it as well", checkRevokeDevice},
}

func checkNoSubprotocol(p *play) {
	for _, offered := range [][]string{nil, {"chat"}} {
		_, err := p.tryDial(offered, http.Header{})
		refused, is := errors.AsType[*refusedUpgrade](err)
		p.must(is && refused.status == http.StatusBadRequest, "HTTP 400", "%v", err)
		for _, name := range []string{wire.SubprotocolProto, wire.SubprotocolJSON} {
			p.must(strings.Contains(refused.text, name), "a text that names "+name, "%s", refused.text)
		}
	}
}

func checkSubprotocols(p *play) {
	alice := p.user("alice")
	for _, format := range []wire.Format{wire.Proto, wire.JSON} {
		d := p.connectIn(format, alice, format.Subprotocol()[len("tidemark.v1+"):])
		equal(p, "the subprotocol that was agreed on", d.format, format)
		d.ping() // that messages are of the right kind is seen on reading
	}
	both, err := p.tryDial([]string{"chat", wire.SubprotocolJSON}, nil)
	p.must(err == nil && both.format == wire.JSON, "the subprotocol of ours is chosen among others", "%v", err)
}

// claimsOf reads a token without checking it.
func claimsOf(p *play, token string) (sub, dev string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		p.fail("a JSON Web Token of three parts", "%q", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Sub, Dev string }
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	p.must(err == nil, "claims in JSON", "%v: %s", err, payload)
	return claims.Sub, claims.Dev
}

func checkTokenClaims(p *play) {
	alice := p.user("alice")
	bound := p.token(alice, "phone", 0)
	sub, dev := claimsOf(p, bound)
	equal(p, "the claim sub", sub, alice.id)
	equal(p, "the claim dev", dev, "phone")
	equal(p, "the user who asks with the token", call[*wire.GetUserResponse](alice, "UserService/Get", &wire.GetUserRequest{}).GetUser().GetId(), alice.id)
	equal(p, "welcome.user", p.connect(alice, "any").welcome.GetUser(), alice.id)

	with := func(h *wire.Hello) { h.Token = bound }
	p.connect(alice, "phone", with).ping()
	refusedHello(p, alice, "tablet", wire.Reason_BAD_TOKEN, with)
	refuse(p.bearer(bound), "SyncService/Pull", &wire.PullRequest{DeviceId: "tablet"}, wire.Reason_BAD_TOKEN)
}

// refusedHello fails the check unless hello is answered by an error with this reason and the connection then ends.
func refusedHello(p *play, u *user, name string, reason wire.Reason, change ...func(*wire.Hello)) *device {
	d := p.dial(wire.Proto)
	d.name = u.nickname + "'s " + name
	d.hello(u, name, change...)
	f := d.until("an error that answers hello", func(f *wire.ServerFrame) bool { return f.GetError() != nil || f.GetWelcome() != nil })
	equal(p, "the reason of the refusal of hello", f.GetError().GetReason(), reason)
	return d
}

func checkWrongToken(p *play) {
	alice := p.user("alice")
	good := strings.TrimPrefix(alice.authorization, "Bearer ")
	parts := strings.Split(good, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"` + alice.id + `x"}`))
	refuse(p.bearer(strings.Join(parts, ".")), "UserService/Get", &wire.GetUserRequest{}, wire.Reason_BAD_TOKEN)
	refuse(caller{play: p}, "UserService/Get", &wire.GetUserRequest{UserId: alice.id}, wire.Reason_BAD_TOKEN)
	refusedHello(p, alice, "phone", wire.Reason_BAD_TOKEN, func(h *wire.Hello) { h.Token = "x" + good })
	refusedHello(p, alice, "phone", wire.Reason_BAD_TOKEN, func(h *wire.Hello) { h.Token = "" })
}

// shortLife is the life of a token that is to expire: tokens may end at whole seconds.
const shortLife = 3 * time.Second

func checkTokenExpiry(p *play) {
	p.waits(shortLife)
	alice := p.user("alice")
	token := p.token(alice, "", shortLife)
	brief := p.bearer(token)
	call[*wire.GetUserResponse](brief, "UserService/Get", &wire.GetUserRequest{})
	p.pause(shortLife)
	refuse(brief, "UserService/Get", &wire.GetUserRequest{}, wire.Reason_BAD_TOKEN)
	refusedHello(p, alice, "phone", wire.Reason_BAD_TOKEN, func(h *wire.Hello) { h.Token = token })
}

func checkAdminKey(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob)
	message := &wire.SubmitRequest{Conversation: team, ClientId: p.id("m"), Action: textAction("for bob")}
	seq := call[*wire.Submitted](p.appFor(bob), "MessageService/Submit", message).GetSeq()
	fetched := call[*wire.Fetched](p.app(), "MessageService/Fetch", &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_Latest{Latest: true}})
	last := fetched.GetEvents()[len(fetched.GetEvents())-1]
	p.must(last.GetSeq() == seq && last.GetSender() == bob.id, "the message of the app for bob is bob's", "%s", show(last))

	title := "by the app"
	update := &wire.UpdateRequest{Conversation: team, Title: &title}
	refuse(p.appFor(bob), "ConversationService/Update", update, wire.Reason_NOT_ALLOWED)
	refuse(p.appFor(carol), "MessageService/Fetch", &wire.FetchRequest{Conversation: team}, wire.Reason_NOT_MEMBER)
	equal(p, "the title", call[*wire.UpdateResponse](p.app(), "ConversationService/Update", update).GetInfo().GetTitle(), title)
	refuse(p.bearer(p.kit.config.AdminKey+"x"), "UserService/Get", &wire.GetUserRequest{UserId: bob.id}, wire.Reason_BAD_TOKEN)
}

func checkAppsMethods(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	issue := &wire.IssueTokenRequest{UserId: bob.id}
	refuse(alice, "UserService/IssueToken", issue, wire.Reason_NOT_ALLOWED)
	refuse(alice, "UserService/Upsert", &wire.UpsertUserRequest{User: &wire.Profile{Id: bob.id}}, wire.Reason_NOT_ALLOWED)
	refuse(alice, "AdminService/Stats", &wire.StatsRequest{}, wire.Reason_NOT_ALLOWED)
	refuse(alice, "ConversationService/Create", &wire.CreateRequest{Id: p.id("group"), Owner: bob.id}, wire.Reason_NOT_ALLOWED)
	call[*wire.IssueTokenResponse](p.app(), "UserService/IssueToken", issue)
	call[*wire.IssueTokenResponse](p.appFor(alice), "UserService/IssueToken", issue)
	call[*wire.StatsResponse](p.appFor(alice), "AdminService/Stats", &wire.StatsRequest{})

	create := &wire.CreateRequest{Id: p.id("group"), Owner: bob.id}
	call[*wire.CreateResponse](p.appFor(alice), "ConversationService/Create", create)
	p.groups = append(p.groups, create.Id)
	members := call[*wire.ListMembersResponse](p.app(), "ConversationService/ListMembers", &wire.ListMembersRequest{Conversation: create.Id}).GetMembers()
	for _, m := range members {
		if m.GetUser() == bob.id && m.GetRole() == wire.Role_OWNER {
			return
		}
	}
	p.fail("bob is the owner", "%v", members)
}

func checkTokenPlaces(p *play) {
	alice := p.user("alice")
	p.connect(alice, "phone").ping()
	header := http.Header{"Authorization": {alice.authorization}}
	d, err := p.tryDial([]string{wire.SubprotocolProto}, header)
	p.must(err == nil, "a handshake with the header Authorization", "%v", err)
	d.hello(alice, "tablet", func(h *wire.Hello) { h.Token = "" })
	d.sync()
	equal(p, "welcome.user", d.welcome.GetUser(), alice.id)
}

func checkIDs(p *play) {
	upsert := func(id string) (string, *refusal) {
		return tryAny(p.app(), "UserService/Upsert", &wire.UpsertUserRequest{User: &wire.Profile{Id: id}})
	}
	alphabet := p.id("Az09._@:+#-")
	longest := alphabet + strings.Repeat("x", max(0, 64-len(alphabet)))
	for _, id := range []string{alphabet, longest} {
		_, refused := upsert(id)
		p.must(refused == nil, "the id "+id+" is taken", "%v", refused)
		p.users = append(p.users, &user{id: id})
	}
	for _, id := range []string{"", longest + "x", p.id("a b"), p.id("a~b"), p.id("é"), p.id("a/b"), "system"} {
		_, refused := upsert(id)
		p.must(refused.isReason(wire.Reason_BAD_ARGUMENT), fmt.Sprintf("the user id %q is refused with BAD_ARGUMENT", id), "%v", refused)
	}
	for _, id := range []string{longest + "x", p.id("a b"), p.id("a~b")} {
		refuse(p.app(), "ConversationService/Create", &wire.CreateRequest{Id: id}, wire.Reason_BAD_ARGUMENT)
	}
	alice := p.user("alice")
	for _, id := range []string{"", "a b", strings.Repeat("x", 65)} {
		refusedHello(p, alice, "phone", wire.Reason_BAD_ARGUMENT, func(h *wire.Hello) { h.DeviceId = id })
	}
}

func checkDirectID(p *play) {
	a, b := p.user("a"), p.user("b") // in byte order: the number before the name grows
	first := p.connect(b, "phone").submit(&wire.Submit{ToUser: a.id, Action: &wire.Submit_Message{Message: textMessage("x")}})
	equal(p, "the conversation of b's message to a", first.GetConversation(), directID(a, b))
	second := call[*wire.Submitted](a, "MessageService/Submit", &wire.SubmitRequest{ToUser: b.id, ClientId: p.id("m"), Action: textAction("y")})
	equal(p, "the conversation of a's message to b", second.GetConversation(), directID(a, b))
	p.must(second.GetSeq() > first.GetSeq(), "both are in one log", "seqs %d, %d", first.GetSeq(), second.GetSeq())
}

func checkClientIDs(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, club := p.group(alice, bob), p.group(alice, bob)
	phone := p.connect(alice, "phone")
	submit := func(u *user, conversation, id string) (*wire.Submitted, *refusal) {
		return try[*wire.Submitted](u, "MessageService/Submit", &wire.SubmitRequest{Conversation: conversation, ClientId: id, Action: textAction("x")})
	}
	for _, id := range []string{"c", strings.Repeat("x", 64), strings.Repeat("€", 21) + "!"} {
		_, refused := submit(alice, team, id)
		p.must(refused == nil, fmt.Sprintf("the clientId %q is taken", id), "%v", refused)
	}
	for _, id := range []string{"", strings.Repeat("x", 65)} {
		_, refused := submit(alice, team, id)
		p.must(refused.isReason(wire.Reason_BAD_ARGUMENT), fmt.Sprintf("the clientId %q is refused with BAD_ARGUMENT", id), "%v", refused)
	}
	if d, _ := phone.trySubmit(&wire.Submit{Conversation: club, ClientId: "c", Action: &wire.Submit_Message{Message: textMessage("x")}}); d == nil || d.GetDuplicate() {
		p.fail("the same clientId in another conversation is another message", "%s", show(d))
	}
	if d, _ := submit(bob, team, "c"); d.GetDuplicate() || d.GetSeq() == 0 {
		p.fail("the same clientId of another user is another message", "%s", show(d))
	}
}

func checkUnknownFieldHTTP(p *play) {
	alice := p.user("alice")
	for _, body := range []string{`{"userId":"` + alice.id + `","flavour":"sweet"}`, `{"flavour":{}}`} {
		status, text := p.post(alice.caller, "UserService/Get", body)
		refused := refusalOf(status, []byte(text))
		p.must(status == http.StatusBadRequest && refused.isReason(wire.Reason_BAD_ARGUMENT) && strings.Contains(refused.message, "flavour"),
			"HTTP 400 with BAD_ARGUMENT and a message that names the field flavour", "%v", refused)
	}
}

func checkUnknownFieldFrames(p *play) {
	alice := p.user("alice")
	phone := p.connectIn(wire.JSON, alice, "phone")
	phone.sendMessage(ws.OpText, []byte(`{"ping":{"request":"71","flavour":"sweet"}}`))
	p.must(phone.answer(71).GetPong() != nil, "pong", "%s", phone.last())

	tablet := p.connect(alice, "tablet")
	ping, _ := wire.AppendClientFrame(nil, wire.Proto, &wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: 72}}})
	inner := protowire.AppendTag(ping[2:], 999, protowire.BytesType) // within ping: its tag and length are one byte each
	inner = protowire.AppendString(inner, "sweet")
	frame := protowire.AppendTag(nil, 10, protowire.BytesType)
	frame = protowire.AppendBytes(frame, inner)
	tablet.sendMessage(ws.OpBinary, frame)
	p.must(tablet.answer(72).GetPong() != nil, "pong", "%s", tablet.last())
}

func checkRevokeAll(p *play) {
	alice := p.user("alice")
	bound := p.bearer(p.token(alice, "tablet", 0))
	sessions := []*device{p.connect(alice, "phone"), p.connect(alice, "tablet", func(h *wire.Hello) { h.Token = strings.TrimPrefix(bound.authorization, "Bearer ") })}
	call[*wire.KickResponse](p.app(), "UserService/Kick", &wire.KickRequest{UserId: alice.id, Revoke: true})
	for _, d := range sessions {
		d.endsWith(wire.ByeReason_KICKED, ws.StatusPolicyViolation)
	}
	fresh := p.token(alice, "", 0)
	refuse(alice, "UserService/Get", &wire.GetUserRequest{}, wire.Reason_BAD_TOKEN)
	refuse(bound, "SyncService/Pull", &wire.PullRequest{DeviceId: "tablet"}, wire.Reason_BAD_TOKEN)
	refusedHello(p, alice, "phone", wire.Reason_BAD_TOKEN)
	p.connect(alice, "phone", func(h *wire.Hello) { h.Token = fresh }).ping()
	call[*wire.GetUserResponse](p.bearer(fresh), "UserService/Get", &wire.GetUserRequest{})
}

func checkRevokeDevice(p *play) {
	alice := p.user("alice")
	phone, tablet := p.connect(alice, "phone"), p.connect(alice, "tablet")
	call[*wire.KickResponse](p.app(), "UserService/Kick", &wire.KickRequest{UserId: alice.id, DeviceId: "phone", Revoke: true})
	phone.endsWith(wire.ByeReason_KICKED, ws.StatusPolicyViolation)
	tablet.ping()
	refusedHello(p, alice, "phone", wire.Reason_BAD_TOKEN)
	refuse(alice, "SyncService/Pull", &wire.PullRequest{DeviceId: "phone"}, wire.Reason_BAD_TOKEN)
	call[*wire.GetUserResponse](alice, "UserService/Get", &wire.GetUserRequest{})
	fresh := p.token(alice, "phone", 0)
	p.connect(alice, "phone", func(h *wire.Hello) { h.Token = fresh }).ping()
}
