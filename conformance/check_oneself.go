// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, "For oneself".

package conformance

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfOneself = []check{
	{"2.47", "what is deleted for oneself is hidden on every path, its edits too, verifies, and stays for others", checkDeletedForOneself},
	{"2.47", "deleting changes no counts, and 1,000 messages go in one request", checkDeleteLimits},
	{"2.48", "Clear moves visibleFrom, which never falls, and the read mark, for the asking user alone", checkClear},
	{"2.48", "leaving and coming back brings nothing back", checkClearAndReturn},
	{"2.49", "self.private comes whole to all devices when it changed; Get has it, List does not", checkPrivate},
	{"2.50", "the last draft holds, an empty one is none, and a sent message leaves it", checkDraft},
	{"2.51", "hidden ends with the next event; pin, mute, alias and markedUnread hold until they are changed", checkOwnSettings},
}

// deletes deletes messages for a user alone.
func deletes(u *user, conversation string, seqs ...uint64) *wire.Self {
	return call[*wire.DeleteResponse](u, "MessageService/Delete", &wire.DeleteRequest{Conversation: conversation, Seqs: seqs}).GetSelf()
}

// clears deletes the history for a user alone.
func clears(u *user, conversation string, seq uint64) *wire.Self {
	return call[*wire.ClearResponse](u, "MessageService/Clear", &wire.ClearRequest{Conversation: conversation, Seq: seq}).GetSelf()
}

// withheld tells whether an event is hidden and can still be verified.
func withheld(e *wire.Event) bool {
	return e.GetHidden() && len(e.GetBody()) == 0 && e.GetBodyJson() == nil && len(e.GetSalt()) == 0 && len(e.GetReactions()) == 0 &&
		len(e.GetBodyHash()) == 32 && e.GetKind() > 0
}

func checkDeletedForOneself(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	said := p.does(bob, writing(team, mentioning("secret", alice))).GetSeq()
	react(p, bob, team, said, "+")
	edited := edit(p, bob, team, said, "secret, edited").GetSeq()
	deletes(alice, team, said)
	paths := func(u *user) map[string][]*wire.Event {
		device := p.connect(u, p.id("new"), func(h *wire.Hello) { h.Tail = 20 })
		live := []*wire.Event{device.hasSeq(team, said), device.hasSeq(team, edited)}
		pulled := call[*wire.PullResponse](u, "SyncService/Pull", &wire.PullRequest{DeviceId: p.id("bot")})
		var events []*wire.Event
		for _, c := range pulled.GetConversations() {
			events = append(events, c.GetEvents()...)
		}
		events = slices.DeleteFunc(events, func(e *wire.Event) bool { return e.GetSeq() != said && e.GetSeq() != edited })
		return map[string][]*wire.Event{
			"in a delta": live, "in a Pull": events,
			"over HTTP":     {one(p, u, team, said), one(p, u, team, edited)},
			"in a fetch":    device.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{After: said - 1}, Limit: 1}).GetEvents(),
			"in the latest": slices.DeleteFunc(pageOf(u, &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_Latest{Latest: true}}).GetEvents(), func(e *wire.Event) bool { return e.GetSeq() != said }),
		}
	}
	for path, events := range paths(alice) {
		p.must(len(events) > 0, "the events "+path, "there are none")
		for _, e := range events {
			p.must(withheld(e), fmt.Sprintf("event %d %s: hidden, without body, salt and reactions, with bodyHash and kind", e.GetSeq(), path), "%s", show(e))
		}
	}
	for path, events := range paths(bob) {
		for _, e := range events {
			p.must(!e.GetHidden(), "bob sees it as before, "+path, "%s", show(e))
		}
	}
	tablet := p.connect(alice, "tablet")
	later := edit(p, bob, team, said, "secret, edited again").GetSeq()
	p.must(withheld(tablet.hasSeq(team, later)), "a later edit is hidden, too", "%s", show(tablet.hasSeq(team, later)))
	list := call[*wire.MentionsResponse](alice, "MessageService/Mentions", &wire.MentionsRequest{Conversation: team})
	equal(p, "what mentions alice", len(list.GetMentions()), 0)
}

func checkDeleteLimits(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	last := p.sayMany(bob, team, 3).GetSeq()
	self := deletes(alice, team, last, last-2)
	equal(p, "self.private.deleted", self.GetPrivate().GetDeleted(), []uint64{last - 2, last})
	equal(p, "unread after deleting", stand(alice, team).GetUnread(), 3)
	reads(alice, team, last)
	equal(p, "unread after reading", stand(alice, team).GetUnread(), 0)
	refuse(alice, "MessageService/Delete", &wire.DeleteRequest{Conversation: team, Seqs: count(2, 1002)}, wire.Reason_TOO_MANY)
}

func checkClear(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	last := p.sayMany(bob, team, 6).GetSeq()
	phone := p.connect(alice, "phone")
	deletes(alice, team, last-4, last)
	self := clears(alice, team, last-2)
	p.must(self.GetVisibleFrom() == last-1 && self.GetReadSeq() == last-2, fmt.Sprintf("visibleFrom %d and the read mark %d", last-1, last-2), "%s", show(self))
	equal(p, "what is kept apart as deleted", self.GetPrivate().GetDeleted(), []uint64{last})
	phone.reads("self with visibleFrom", func() bool { return phone.conversation(team).self.GetVisibleFrom() == last-1 })
	equal(p, "unread", stand(alice, team).GetUnread(), 2)
	equal(p, "visibleFrom after clearing less", clears(alice, team, 3).GetVisibleFrom(), last-1)
	page := pageOf(alice, &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_After{}})
	p.must(slices.Equal(seqs(page.GetEvents()), []uint64{last - 1, last}) && page.GetFloorSeq() == last-1, "events from visibleFrom on, and floorSeq", "%s", show(page))
	equal(p, "visibleFrom after clearing all", clears(alice, team, 0).GetVisibleFrom(), last+1)
	equal(p, "how many events bob sees", len(pageOf(bob, &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_After{}}).GetEvents()), int(last))
	page = pageOf(alice, &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_Latest{Latest: true}})
	p.must(len(page.GetEvents()) == 0, "no events after clearing all", "%s", show(page))
	next := p.say(bob, team, "new").GetSeq()
	equal(p, "what comes later", textOf(one(p, alice, team, next)), "new")
}

func checkClearAndReturn(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(bob, alice)
	sets(bob, team, &wire.Settings{HistoryFromStart: true})
	last := p.sayMany(bob, team, 3).GetSeq()
	clears(alice, team, 0)
	call[*wire.MembersResponse](alice, "ConversationService/Leave", &wire.LeaveRequest{Conversation: team})
	p.added(team, alice)
	page := pageOf(alice, &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_After{}})
	p.must(len(page.GetEvents()) > 0 && page.GetEvents()[0].GetSeq() > last, "nothing of what was cleared, though history is shown from the start", "%s", show(page))
}

func checkPrivate(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	said := p.say(bob, team, "x").GetSeq()
	phone, tablet := p.connect(alice, "phone"), p.connect(alice, "tablet")
	settles(alice, &wire.SettingsRequest{Conversation: team, Draft: &wire.Draft{Text: "begun", ReplyTo: said}})
	deletes(alice, team, said)
	for _, d := range []*device{phone, tablet} {
		d.reads("self.private with the draft and the deleted seq, whole", func() bool {
			private := d.conversation(team).private
			return private.GetDraft().GetText() == "begun" && slices.Equal(private.GetDeleted(), []uint64{said})
		})
	}
	before := len(phone.conversation(team).deltas)
	settles(alice, &wire.SettingsRequest{Conversation: team, Alias: proto.String("we")})
	phone.reads("self with the alias", func() bool { return phone.conversation(team).self.GetAlias() == "we" })
	for _, c := range phone.conversation(team).deltas[before:] {
		p.must(c.GetSelf().GetPrivate() == nil, "self without private, where that is as it was", "%s", show(c))
	}
	known := phone.synced
	late := p.connect(alice, "phone", withCursor(known))
	p.must(late.conversation(team).private.GetDraft().GetText() == "begun", "private, to a cursor for which it is new", "%s", show(late.conversation(team).private))
	p.must(mine(alice, team).GetPrivate().GetDraft().GetText() == "begun", "Get has private", "%s", show(mine(alice, team)))
	list := call[*wire.ListResponse](alice, "ConversationService/List", &wire.ListRequest{})
	p.must(len(list.GetConversations()) == 1 && list.GetConversations()[0].GetSelf().GetPrivate() == nil, "List does not have private", "%s", show(list))
	p.must(mine(bob, team).GetPrivate().GetDraft() == nil, "nobody else has it", "%s", show(mine(bob, team)))
}

func checkDraft(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	said := p.say(bob, team, "x").GetSeq()
	draft := func(text string) *wire.Draft {
		return settles(alice, &wire.SettingsRequest{Conversation: team, Draft: &wire.Draft{Text: text, ReplyTo: said}}).GetPrivate().GetDraft()
	}
	draft("one")
	got := draft("two")
	p.must(got.GetText() == "two" && got.GetReplyTo() == said && got.GetTimeMs() > 0, "the last draft, what it replies to, and when it was saved", "%s", show(got))
	p.say(alice, team, "sent")
	equal(p, "the draft after a message was sent", mine(alice, team).GetPrivate().GetDraft().GetText(), "two")
	draft("")
	p.must(mine(alice, team).GetPrivate().GetDraft() == nil, "no draft after an empty one", "%s", show(mine(alice, team)))
	draft(strings.Repeat("x", 8<<10))
	_, r := tryAny(alice, "ConversationService/Settings", &wire.SettingsRequest{Conversation: team, Draft: &wire.Draft{Text: strings.Repeat("x", 8<<10+1)}})
	p.must(r != nil && r.code == "invalid_argument", "a refusal of a draft above 8 KiB", "%v", r)
}

func checkOwnSettings(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone := p.connect(alice, "phone")
	settles(alice, &wire.SettingsRequest{Conversation: team, Hidden: proto.Bool(true), Pinned: proto.Bool(true), Muted: proto.Bool(true), Alias: proto.String("we"), MarkedUnread: proto.Bool(true)})
	phone.reads("self with the settings", func() bool {
		s := phone.conversation(team).self
		return s.GetHidden() && s.GetPinned() && s.GetMuted() && s.GetAlias() == "we" && s.GetMarkedUnread()
	})
	said := p.say(bob, team, "knock").GetSeq()
	phone.hasSeq(team, said)
	s := mine(alice, team)
	p.must(!s.GetHidden(), "hidden ends with the next event", "%s", show(s))
	p.must(s.GetPinned() && s.GetMuted() && s.GetAlias() == "we" && s.GetMarkedUnread(), "pin, mute, alias and markedUnread hold", "%s", show(s))
	reads(alice, team, said)
	s = mine(alice, team)
	p.must(!s.GetMarkedUnread() && s.GetPinned() && s.GetMuted(), "markedUnread ends when the user reads; pin and mute hold", "%s", show(s))
	s = settles(alice, &wire.SettingsRequest{Conversation: team, Pinned: proto.Bool(false), Muted: proto.Bool(false), Alias: proto.String("")})
	p.must(!s.GetPinned() && !s.GetMuted() && s.GetAlias() == "", "the settings as they were changed", "%s", show(s))
}
