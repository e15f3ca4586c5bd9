// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, "Rooms".

package conformance

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

var checksOfRooms = []check{
	{"2.60", "enter is answered by the last events, then info and self, then live deltas; entering again begins anew", checkEnter},
	{"2.60", "leaving and disconnecting end it, and neither writes anything; a room is in no list and no sync", checkLeaveRoom},
	{"2.61", "where a room is not open only those enter who were added; Leave gives that back, and Join does not exist", checkWhoEnters},
	{"2.61", "with one connection one is in so many rooms at most", checkRoomsMax},
	{"2.62", "who is in a room with one session writes there on any way, and other sessions hear nothing", checkInRoom},
	{"2.62", "admins and the owner read and write without being in it; others get NOT_MEMBER", checkOutsideRoom},
	{"2.63", "deltas of rooms have no checkpoints, events are consecutive, and submitted comes in its place", checkRoomOrder},
	{"2.64", "for who is far behind, messages of low priority are left out, and none of high priority", checkShedding},
	{"2.65", "info comes once, changes come as events; memberCount and ListMembers are of those in it", checkRoomInfo},
	{"2.66", "RemoveMembers takes users out, who may come back; Mute keeps them from posting", checkTakenOut},
	{"2.67", "a room has no marks, counts, receipts, mentions or settings of one's own", checkRoomHasNot},
	{"2.67", "a room keeps the last 200 events", checkRoomKeeps},
	{"2.68", "in a room one sets keys that nobody has set and one's own; admins and the app all; changes are events", checkAttributes},
	{"2.68", "with autoDelete a key goes when its owner's last session has left", checkAutoDelete},
	{"2.68", "a room has at most 64 keys and 16 KiB of them", checkAttributeLimits},
}

// room makes an open room of an owner.
func (p *play) room(owner *user) string {
	return p.create(&wire.CreateRequest{Kind: wire.Kind_ROOM, Owner: owner.id})
}

// tryEnter enters a room and answers either.
func (d *device) tryEnter(room string) (*wire.Fetched, *wire.Error) {
	request := d.nextRequest()
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Enter{Enter: &wire.Enter{Request: request, Conversation: room}}})
	answer := d.answer(request)
	return answer.GetFetched(), answer.GetError()
}

// enter enters a room and reads until its info has come.
func (d *device) enter(room string) *wire.Fetched {
	page, refused := d.tryEnter(room)
	if page == nil {
		d.p.fail(d.name+" enters "+room, "%s", show(refused))
	}
	before := len(d.conversation(room).deltas)
	d.reads("a delta with info and self, after entering", func() bool {
		deltas := d.conversation(room).deltas
		return len(deltas) > before && deltas[before].GetInfo() != nil && deltas[before].GetSelf() != nil
	})
	return page
}

// leaves leaves a room.
func (d *device) leaves(room string) *wire.Fetched {
	request := d.nextRequest()
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Leave{Leave: &wire.LeaveRoom{Request: request, Conversation: room}}})
	return d.answer(request).GetFetched()
}

// inRoom waits until so many users are in a room.
func (p *play) inRoom(room string, users uint32) {
	p.eventually(fmt.Sprintf("%d users in the room", users), func() (bool, string) {
		info := call[*wire.GetResponse](p.app(), "ConversationService/Get", &wire.GetRequest{Conversation: room}).GetConversation().GetInfo()
		return info.GetMemberCount() == users, show(info)
	})
}

func checkEnter(p *play) {
	olga, ann := p.user("olga"), p.user("ann")
	room := p.room(olga)
	last := p.sayMany(olga, room, 3).GetSeq()
	phone := p.connect(ann, "phone")
	for range 2 {
		page := phone.enter(room)
		p.must(len(page.GetEvents()) > 0 && page.GetEvents()[len(page.GetEvents())-1].GetSeq() == last, "fetched with the last events", "%s", show(page))
		deltas := phone.conversation(room).deltas
		c := deltas[len(deltas)-1]
		p.must(c.GetInfo().GetKind() == wire.Kind_ROOM && c.GetSelf().GetRole() == wire.Role_MEMBER && len(c.GetEvents()) == 0, "info and self, without events", "%s", show(c))
		last = p.say(olga, room, "live").GetSeq()
		equal(p, "the live event", textOf(phone.hasSeq(room, last)), "live")
	}
	page := phone.enter(room)
	for _, e := range page.GetEvents() {
		phone.hasSeq(room, e.GetSeq())
	}
}

func checkLeaveRoom(p *play) {
	olga, ann, bob := p.user("olga"), p.user("ann"), p.user("bob")
	room := p.room(olga)
	before := p.headOf(room)
	phone, other := p.connect(ann, "phone"), p.connect(bob, "phone")
	phone.enter(room)
	other.enter(room)
	p.inRoom(room, 2)
	list := call[*wire.ListResponse](ann, "ConversationService/List", &wire.ListRequest{})
	equal(p, "the conversations in ann's list", len(list.GetConversations()), 0)
	pulled := call[*wire.PullResponse](olga, "SyncService/Pull", &wire.PullRequest{DeviceId: "bot"})
	equal(p, "the conversations in the owner's sync", len(pulled.GetConversations()), 0)
	p.must(p.connect(ann, "tablet").held[room] == nil, "the room is not in the sync of another device", "it is")

	left := phone.leaves(room)
	p.must(left != nil && len(left.GetEvents()) == 0, "fetched without events", "%s", show(left))
	p.inRoom(room, 1)
	other.close()
	p.inRoom(room, 0)
	equal(p, "the head after entering and leaving", p.headOf(room), before)
	deltas := len(phone.conversation(room).deltas)
	p.say(olga, room, "nobody hears it")
	phone.silence("a delta of the room that it has left", func(*wire.ServerFrame) bool { return len(phone.conversation(room).deltas) > deltas })
}

func checkWhoEnters(p *play) {
	olga, ann := p.user("olga"), p.user("ann")
	phone := p.connect(ann, "phone")
	for _, policy := range []wire.JoinPolicy{wire.JoinPolicy_INVITE, wire.JoinPolicy_REQUEST} {
		room := p.create(&wire.CreateRequest{Kind: wire.Kind_ROOM, Owner: olga.id, Settings: &wire.Settings{Join: policy}})
		_, refused := phone.tryEnter(room)
		equal(p, fmt.Sprintf("the reason where the room is %v", policy), refused.GetReason(), wire.Reason_NOT_ALLOWED)
		p.added(room, ann)
		phone.enter(room)
		call[*wire.MembersResponse](ann, "ConversationService/Leave", &wire.LeaveRequest{Conversation: room})
		phone.leaves(room)
		_, refused = phone.tryEnter(room)
		equal(p, "the reason after Leave", refused.GetReason(), wire.Reason_NOT_ALLOWED)
	}
	_, r := tryAny(ann, "ConversationService/Join", &wire.JoinRequest{Conversation: p.room(olga)})
	p.must(r != nil, "a refusal of Join in a room", "%v", r)
	_, refused := phone.tryEnter(p.group(ann))
	p.must(refused != nil, "a refusal to enter a group", "it was entered")
}

func checkRoomsMax(p *play) {
	olga, ann := p.user("olga"), p.user("ann")
	phone := p.connect(ann, "phone")
	for range 100 {
		room := p.room(olga)
		if _, refused := phone.tryEnter(room); refused != nil {
			equal(p, "the reason for one room too many", refused.GetReason(), wire.Reason_TOO_MANY)
			p.connect(ann, "tablet").enter(room) // another connection may
			return
		}
	}
	p.skip("a connection may be in more than 100 rooms")
}

func checkInRoom(p *play) {
	olga, ann := p.user("olga"), p.user("ann")
	room := p.room(olga)
	phone, tablet := p.connect(ann, "phone"), p.connect(ann, "tablet")
	phone.enter(room)
	said := p.say(ann, room, "over HTTP").GetSeq()
	phone.hasSeq(room, said)
	said = tablet.say(room, "by another session").GetSeq()
	equal(p, "what the session in the room gets of it", textOf(phone.hasSeq(room, said)), "by another session")
	p.must(len(pageOf(ann, &wire.FetchRequest{Conversation: room, From: &wire.FetchRequest_Latest{Latest: true}}).GetEvents()) > 0, "ann may read", "no events")
	tablet.silence("anything of a room that it has not entered", func(f *wire.ServerFrame) bool {
		return slices.ContainsFunc(f.GetDelta().GetConversations(), func(c *wire.ConversationDelta) bool { return c.GetId() == room })
	})
}

func checkOutsideRoom(p *play) {
	olga, ann, admin := p.user("olga"), p.user("ann"), p.user("admin")
	room := p.room(olga)
	p.added(room, admin, ann)
	p.appointed(room, wire.Role_ADMIN, admin)
	for _, u := range []*user{olga, admin} {
		p.say(u, room, "from outside")
		p.must(len(pageOf(u, &wire.FetchRequest{Conversation: room, From: &wire.FetchRequest_Latest{Latest: true}}).GetEvents()) > 0, u.nickname+" reads from outside", "no events")
	}
	for _, u := range []*user{ann, p.user("eve")} { // ann was added, but is not in it
		p.cannot(u, p.attempt(room), wire.Reason_NOT_MEMBER)
		refuse(u, "MessageService/Fetch", &wire.FetchRequest{Conversation: room, From: &wire.FetchRequest_Latest{Latest: true}}, wire.Reason_NOT_MEMBER)
	}
}

func checkRoomOrder(p *play) {
	olga, ann, bob := p.user("olga"), p.user("ann"), p.user("bob")
	room := p.room(olga)
	phone, other := p.connect(ann, "phone"), p.connect(bob, "phone")
	last := phone.enter(room).GetHeadSeq()
	other.enter(room)
	var requests []uint64
	head := last
	for i := range 15 {
		requests = append(requests, phone.post(&wire.Submit{Conversation: room, Action: message(fmt.Sprint("ann ", i))}))
		head = max(head, other.say(room, fmt.Sprint("bob ", i)).GetSeq())
	}
	for _, request := range requests {
		head = max(head, phone.answer(request).GetSubmitted().GetSeq())
	}
	phone.reads("everything that was said", func() bool { return phone.conversation(room).digests[head] != tidemark.Digest{} })
	next := last
	for _, f := range phone.frames {
		if s := f.GetSubmitted(); s != nil {
			p.must(s.GetSeq() == next+1, fmt.Sprintf("event %d or its answer next", next+1), "submitted %d", s.GetSeq())
			next++
		}
		for _, c := range f.GetDelta().GetConversations() {
			if c.GetId() != room {
				continue
			}
			p.must(len(f.GetDelta().GetCheckpoints()) == 0, "deltas of rooms without checkpoints", "%s", show(f))
			for i, e := range c.GetEvents() {
				p.must(i > 0 || c.GetPrevSeq() == e.GetSeq()-1, "prevSeq just before the first event", "%s", show(c))
				p.must(e.GetSeq() == next+1, fmt.Sprintf("event %d or its answer next", next+1), "event %d", e.GetSeq())
				next++
			}
		}
	}
	equal(p, "the last event given or answered", next, head)
}

func checkShedding(p *play) {
	olga, ann, bob := p.user("olga"), p.user("ann"), p.user("bob")
	room := p.room(olga)
	slow, fast, writer := p.connect(ann, "slow"), p.connect(bob, "fast"), p.connect(olga, "phone")
	first := slow.enter(room).GetHeadSeq() + 1
	fast.enter(room)
	text := strings.Repeat("x", int(min(p.kit.welcome.GetLimits().GetBodyBytesMax()/2, 32<<10)))
	const low, high, atOnce = 400, 20, 20 // at once are few enough for who keeps up
	var last uint64
	post := func(text string, priority wire.Priority) {
		var requests []uint64
		for range atOnce { // not one after the other: who does not read for long is cut off
			m := &wire.Message{Type: "text", Text: text, Priority: priority}
			requests = append(requests, writer.post(&wire.Submit{Conversation: room, Action: &wire.Submit_Message{Message: m}}))
		}
		for _, request := range requests {
			answer := writer.answer(request)
			p.must(answer.GetSubmitted() != nil, "submitted", "%s", show(answer))
			last = max(last, answer.GetSubmitted().GetSeq())
		}
		for seq := last - atOnce + 1; seq <= last; seq++ {
			fast.hasSeq(room, seq) // who keeps up gets everything
		}
	}
	for range low / atOnce {
		post(text, wire.Priority_PRIORITY_LOW)
	}
	for range high / atOnce {
		post("urgent", wire.Priority_PRIORITY_HIGH)
	}
	slow.hasSeq(room, last)
	given := slow.conversation(room)
	for seq := last - high + 1; seq <= last; seq++ {
		p.must(given.events[seq] != nil, "every message of high priority", "message %d was left out", seq)
	}
	missing := 0
	for seq := first; seq <= last; seq++ {
		if given.events[seq] == nil {
			missing++
		}
	}
	if missing == 0 {
		p.skip("the network in between holds more than %d messages of %d bytes for who does not read", low, len(text))
	}
	next := first
	for _, c := range given.deltas {
		for i, e := range c.GetEvents() {
			if e.GetSeq() > next {
				p.must(i == 0 && c.GetPrevSeq() == e.GetSeq()-1 && len(c.GetPrevDigest()) == 32, "a gap at the beginning of a delta, with prevSeq and prevDigest", "event %d after %d: %s", e.GetSeq(), next-1, show(c))
			}
			next = e.GetSeq() + 1
		}
	}
	page := slow.fetch(&wire.Fetch{Conversation: room, From: &wire.Fetch_Before{Before: last - high + 1}, Limit: 5})
	equal(p, "what was left out and is kept can be fetched", seqs(page.GetEvents()), count(last-high-4, last-high))
}

func checkRoomInfo(p *play) {
	olga, ann, bob := p.user("olga"), p.user("ann"), p.user("bob")
	room := p.room(olga)
	phone, tablet, other := p.connect(ann, "phone"), p.connect(ann, "tablet"), p.connect(bob, "phone")
	phone.enter(room)
	tablet.enter(room)
	other.enter(room)
	p.inRoom(room, 2) // users, not sessions
	members := call[*wire.ListMembersResponse](p.app(), "ConversationService/ListMembers", &wire.ListMembersRequest{Conversation: room}).GetMembers()
	p.must(len(members) == 2 && members[0].GetUser() == min(ann.id, bob.id) && members[1].GetUser() == max(ann.id, bob.id), "the two users in the room by id", "%v", members)
	before := len(phone.conversation(room).deltas)
	done := call[*wire.UpdateResponse](olga, "ConversationService/Update", &wire.UpdateRequest{Conversation: room, Title: proto.String("Hall")})
	equal(p, "the title in the event", bodyOf(phone.hasSeq(room, done.GetHeadSeq())).GetInfo().GetTitle(), "Hall")
	phone.hasSeq(room, p.say(olga, room, "later").GetSeq())
	for _, c := range phone.conversation(room).deltas[before:] {
		p.must(c.GetInfo() == nil, "no info after the first", "%s", show(c))
	}
}

func checkTakenOut(p *play) {
	olga, ann, bob := p.user("olga"), p.user("ann"), p.user("bob")
	room := p.room(olga)
	p.added(room, bob)
	for _, u := range []*user{ann, bob} { // she was not added, he was
		phone := p.connect(u, "phone")
		phone.enter(room)
		call[*wire.MembersResponse](olga, "ConversationService/RemoveMembers", &wire.RemoveMembersRequest{Conversation: room, Members: []string{u.id}})
		phone.reads("removed", func() bool { return phone.conversation(room).removed })
		p.cannot(u, p.attempt(room), wire.Reason_NOT_MEMBER)
		phone.enter(room)
		phone.say(room, "back again")
		call[*wire.MuteResponse](olga, "ConversationService/Mute", &wire.MuteRequest{Conversation: room, Members: []string{u.id}, ForMs: 3_600_000})
		phone.refuse(&wire.Submit{Conversation: room, Action: message("x")}, wire.Reason_MUTED)
	}
}

func checkRoomHasNot(p *play) {
	olga, ann, bob := p.user("olga"), p.user("ann"), p.user("bob")
	room := p.room(olga)
	phone, other := p.connect(ann, "phone"), p.connect(bob, "phone")
	phone.enter(room)
	other.enter(room)
	said := p.does(bob, writing(room, mentioning("ann!", ann))).GetSeq()
	equal(p, "the mentions that the message shows", bodyOf(phone.hasSeq(room, said)).GetMessage().GetMentions(), []string{ann.id})
	for _, c := range phone.conversation(room).deltas {
		p.must(c.Unread == nil && c.Mentions == nil && c.GetSelf().GetReadSeq() == 0, "no counts and no read mark", "%s", show(c))
	}
	for method, request := range map[string]proto.Message{
		"MessageService/Read":          &wire.ReadRequest{Conversation: room, Seq: said},
		"MessageService/Receipts":      &wire.ReceiptsRequest{Conversation: room, Seq: said},
		"ConversationService/Settings": &wire.SettingsRequest{Conversation: room, Pinned: proto.Bool(true)},
	} {
		_, r := tryAny(bob, method, request)
		p.must(r != nil, "a refusal of "+method+" in a room", "success")
	}
	list := call[*wire.MentionsResponse](ann, "MessageService/Mentions", &wire.MentionsRequest{})
	equal(p, "what mentions ann", len(list.GetMentions()), 0)
	badge := call[*wire.BadgeResponse](ann, "ConversationService/Badge", &wire.BadgeRequest{})
	equal(p, "ann's badge", badge, &wire.BadgeResponse{})
}

func checkRoomKeeps(p *play) {
	olga, ann := p.user("olga"), p.user("ann")
	room := p.room(olga)
	said := p.sayMany(olga, room, 250).GetSeq()
	phone := p.connect(ann, "phone")
	phone.enter(room)
	page := phone.fetch(&wire.Fetch{Conversation: room, From: &wire.Fetch_After{}, Limit: 5})
	p.must(len(page.GetEvents()) > 0 && page.GetEvents()[0].GetSeq() == said-199 && page.GetFloorSeq() == said-199, fmt.Sprintf("the last 200 of %d events, from %d on", said, said-199), "%s", show(page))

	few := p.create(&wire.CreateRequest{Kind: wire.Kind_ROOM, Owner: olga.id, Settings: &wire.Settings{Retention: &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: 5}}})
	said = p.sayMany(olga, few, 20).GetSeq()
	page = phone.enter(few)
	equal(p, "what is shown where the settings say 5", seqs(page.GetEvents()), count(said-4, said))
}

// attributes sets keys of a room.
func attributes(w who, room string, autoDelete bool, set map[string]string) []*wire.Attribute {
	request := &wire.SetAttributesRequest{Conversation: room, Set: set, AutoDelete: autoDelete}
	return call[*wire.SetAttributesResponse](w, "ConversationService/SetAttributes", request).GetAttributes()
}

func checkAttributes(p *play) {
	olga, ann, bob := p.user("olga"), p.user("ann"), p.user("bob")
	room := p.room(olga)
	phone := p.connect(ann, "phone")
	phone.enter(room)
	p.connect(bob, "phone").enter(room)
	setting := func(key, value string) *wire.SetAttributesRequest {
		return &wire.SetAttributesRequest{Conversation: room, Set: map[string]string{key: value}}
	}
	shows := func(got []*wire.Attribute, key, value string, owner string) {
		p.must(slices.ContainsFunc(got, func(a *wire.Attribute) bool {
			return a.GetKey() == key && a.GetValue() == value && a.GetOwner() == owner
		}), fmt.Sprintf("%s=%s of %s", key, value, owner), "%v", got)
	}
	shows(attributes(ann, room, false, map[string]string{"seat": "1"}), "seat", "1", ann.id)
	refuse(bob, "ConversationService/SetAttributes", setting("seat", "2"), wire.Reason_NOT_ALLOWED)
	shows(attributes(ann, room, false, map[string]string{"seat": "3"}), "seat", "3", ann.id)
	shows(attributes(olga, room, false, map[string]string{"seat": "4"}), "seat", "4", olga.id)
	refuse(ann, "ConversationService/SetAttributes", setting("seat", "5"), wire.Reason_NOT_ALLOWED)
	shows(attributes(p.app(), room, false, map[string]string{"light": "on"}), "light", "on", "system")
	refuse(p.user("eve"), "ConversationService/SetAttributes", setting("other", "1"), wire.Reason_NOT_MEMBER)
	head := p.headOf(room)
	equal(p, "the key in the event", bodyOf(phone.hasSeq(room, head)).GetInfo().GetAttributes()[0].GetKey(), "light")
	left := attributes(olga, room, false, map[string]string{"light": ""})
	p.must(len(left) == 1 && left[0].GetKey() == "seat", "an empty value removes the key", "%v", left)
	equal(p, "info.attributes", infoOf(olga, room).GetAttributes(), left)
}

func checkAutoDelete(p *play) {
	olga, ann, bob := p.user("olga"), p.user("ann"), p.user("bob")
	room := p.room(olga)
	phone, tablet, other := p.connect(ann, "phone"), p.connect(ann, "tablet"), p.connect(bob, "phone")
	for _, d := range []*device{phone, tablet, other} {
		d.enter(room)
	}
	attributes(ann, room, true, map[string]string{"seat": "1"})
	attributes(ann, room, false, map[string]string{"name": "a"})
	head := p.headOf(room)
	phone.leaves(room)
	other.hasSeq(room, p.say(olga, room, "one session is left").GetSeq())
	equal(p, "how many keys there are while a session is left", len(infoOf(olga, room).GetAttributes()), 2)
	tablet.close()
	event := other.hasSeq(room, head+2)
	p.must(event.GetSender() == "system" && bodyOf(event).GetInfo().GetAttributes()[0].GetKey() == "seat", "an event of system that removes the key", "%s", show(event))
	rest := infoOf(olga, room).GetAttributes()
	p.must(len(rest) == 1 && rest[0].GetKey() == "name", "the other key", "%v", rest)
}

func checkAttributeLimits(p *play) {
	olga := p.user("olga")
	room := p.room(olga)
	set := map[string]string{}
	for i := range 64 {
		set[fmt.Sprint("key", i)] = "x"
	}
	equal(p, "how many keys there are", len(attributes(olga, room, false, set)), 64)
	_, r := tryAny(olga, "ConversationService/SetAttributes", &wire.SetAttributesRequest{Conversation: room, Set: map[string]string{"one more": "x"}})
	p.must(r != nil, "a refusal of a 65th key", "success")
	for i := range 64 {
		set[fmt.Sprint("key", i)] = strings.Repeat("x", 256)
	}
	_, r = tryAny(olga, "ConversationService/SetAttributes", &wire.SetAttributesRequest{Conversation: room, Set: set})
	p.must(r != nil, "a refusal of more than 16 KiB", "success")
}
