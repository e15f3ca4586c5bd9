// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 5, "Later, and no longer": scheduled messages, and what is kept how long.

package conformance

import (
	"fmt"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfLater = []check{
	{"5.30", "a scheduled message is submitted at its time like any other, and its clientId is remembered", checkScheduled},
	{"5.30", "the rules are asked at once; a waiting clientId is replaced, one that has made an event is refused", checkScheduling},
	{"5.30", "100 messages of one user wait in a conversation, at most", checkScheduledMax},
	{"5.31", "what is refused at its time stays with failed, until it is taken back or scheduled again", checkScheduledRefused},
	{"5.31", "what was submitted by hand before its time is not submitted again", checkScheduledByHand},
	{"5.34", "a scheduled message moves the read mark where that is at the last event, and else nothing that is unread", checkScheduledMark},
	{"5.35", "nothing is pushed when a message is scheduled or taken back, and pages keep their order", checkScheduledPages},
	{"5.32", "retention is checked; by count the last so many are kept, and not many more", checkByCount},
	{"5.32", "by age what is older goes", checkByAge},
	{"5.32", "with ACKNOWLEDGED events go once every device of every member has them", checkAcknowledged},
	{"5.33", "below the floor nothing is served, counted, edited, recalled or erased, and client ids are forgotten", checkBelowFloor},
	{"5.33", "a device whose cursor lies below the floor gets prevSeq and prevDigest of what is kept", checkCursorBelowFloor},
	{"5.38", "a message takes the content of its later edits with it", checkEditsGoToo},
}

// soon is how far ahead checks schedule: far enough to do something before it, also with a server for which more time is
// allowed. 1.5 s, unless Config.Timeout says otherwise.
func (p *play) soon() time.Duration { return p.kit.config.Timeout * 3 / 20 }

// inFuture is a time by the server's clock.
func (p *play) inFuture(d time.Duration) uint64 {
	if p.clock == nil {
		p.clock = p.connect(p.user("clock"), "clock")
	}
	return p.clock.ping().GetServerTimeMs() + uint64(d.Milliseconds())
}

// schedules schedules a message for a time.
func (p *play) schedules(u *user, conversation, clientID, text string, atMs uint64) *wire.ScheduledMessage {
	request := &wire.ScheduleRequest{ClientId: clientID, Conversation: conversation, Message: textMessage(text), AtMs: atMs}
	return call[*wire.ScheduleResponse](u, "MessageService/Schedule", request).GetScheduled()
}

// waiting are the user's scheduled messages in a conversation, of all pages.
func waiting(u *user, conversation string) (list []*wire.ScheduledMessage) {
	request := &wire.ScheduledRequest{Conversation: conversation}
	for {
		page := call[*wire.ScheduledResponse](u, "MessageService/Scheduled", request)
		list = append(list, page.GetScheduled()...)
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return list
		}
	}
}

// hears reads until the device has a message with this text, and answers its event.
func (d *device) hears(conversation, text string) (event *wire.Event) {
	d.reads(fmt.Sprintf("the message %q", text), func() bool {
		for _, e := range d.conversation(conversation).events {
			if textOf(e) == text {
				event = e
				return true
			}
		}
		return false
	})
	return event
}

func checkScheduled(p *play) {
	p.waits(p.soon())
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone, other := p.connect(alice, "phone"), p.connect(bob, "phone")
	at := p.inFuture(p.soon())
	got := p.schedules(alice, team, "later", "it is time", at)
	p.must(got.GetConversation() == team && got.GetClientId() == "later" && got.GetAtMs() == at && got.GetMessage().GetText() == "it is time", "the scheduled message", "%s", show(got))
	call[*wire.ScheduleResponse](alice, "MessageService/Schedule", &wire.ScheduleRequest{ClientId: "direct", ToUser: bob.id, Message: textMessage("hello"), AtMs: at})
	event := phone.hears(team, "it is time")
	p.must(event.GetSender() == alice.id && event.GetClientId() == "later" && event.GetTimeMs() >= at, "an event of its sender, not before its time", "%s", show(event))
	other.hears(team, "it is time")
	other.hears(directID(alice, bob), "hello")
	again := p.does(alice, &wire.SubmitRequest{Conversation: team, ClientId: "later", Action: textAction("it is time")})
	p.must(again.GetDuplicate() && again.GetSeq() == event.GetSeq(), "the clientId is remembered", "%s", show(again))
	p.eventually("nothing waits any more", func() (bool, string) { list := waiting(alice, ""); return len(list) == 0, fmt.Sprint(list) })
}

func checkScheduling(p *play) {
	alice, bob, eve := p.user("alice"), p.user("bob"), p.user("eve")
	team := p.group(alice, bob)
	request := func(clientID string, atMs uint64) *wire.ScheduleRequest {
		return &wire.ScheduleRequest{ClientId: clientID, Conversation: team, Message: textMessage("later"), AtMs: atMs}
	}
	refuse(eve, "MessageService/Schedule", request("e", p.inFuture(time.Hour)), wire.Reason_NOT_MEMBER)
	refuse(alice, "MessageService/Schedule", request("past", somePast), wire.Reason_BAD_ARGUMENT)
	refuse(alice, "MessageService/Schedule", request("far", p.inFuture(367*24*time.Hour)), wire.Reason_BAD_ARGUMENT)
	p.schedules(alice, team, "one", "first", p.inFuture(time.Hour))
	p.schedules(alice, team, "one", "second", p.inFuture(2*time.Hour))
	list := waiting(alice, team)
	p.must(len(list) == 1 && list[0].GetMessage().GetText() == "second", "the second in the first one's place", "%v", list)
	p.does(alice, &wire.SubmitRequest{Conversation: team, ClientId: "made", Action: textAction("x")})
	refuse(alice, "MessageService/Schedule", request("made", p.inFuture(time.Hour)), wire.Reason_ALREADY_EXISTS)
	equal(p, "what waits of bob", len(waiting(bob, team)), 0)
}

func checkScheduledMax(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	at := p.inFuture(time.Hour)
	for i := range 100 {
		p.schedules(alice, team, fmt.Sprint(i), "later", at)
	}
	refuse(alice, "MessageService/Schedule", &wire.ScheduleRequest{ClientId: "more", Conversation: team, Message: textMessage("later"), AtMs: at}, wire.Reason_TOO_MANY)
	p.schedules(alice, team, "99", "in its own place", at)
	p.schedules(bob, team, "1", "of another user", at)
	p.schedules(alice, p.group(alice), "1", "in another conversation", at)
}

func checkScheduledRefused(p *play) {
	p.waits(2 * p.soon())
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	p.schedules(bob, team, "late", "too late", p.inFuture(p.soon()))
	call[*wire.MembersResponse](alice, "ConversationService/RemoveMembers", &wire.RemoveMembersRequest{Conversation: team, Members: []string{bob.id}})
	failed := func() {
		p.eventually("a scheduled message that has failed with NOT_MEMBER", func() (bool, string) {
			list := waiting(bob, "")
			return len(list) == 1 && list[0].GetFailed().GetReason() == wire.Reason_NOT_MEMBER, fmt.Sprint(list)
		})
	}
	failed()
	p.added(team, bob)
	phone := p.connect(bob, "phone")
	p.schedules(bob, team, "late", "again", p.inFuture(p.soon()))
	phone.hears(team, "again")
	for _, e := range phone.conversation(team).events {
		p.must(textOf(e) != "too late", "what has failed is not tried again by itself", "%s", show(e))
	}
	p.schedules(bob, team, "back", "never", p.inFuture(time.Hour))
	call[*wire.UnscheduleResponse](bob, "MessageService/Unschedule", &wire.UnscheduleRequest{Conversation: team, ClientId: "back"})
	refuse(bob, "MessageService/Unschedule", &wire.UnscheduleRequest{Conversation: team, ClientId: "back"}, wire.Reason_UNKNOWN_EVENT)
}

func checkScheduledByHand(p *play) {
	p.waits(p.soon())
	alice := p.user("alice")
	team := p.group(alice)
	p.schedules(alice, team, "hand", "by the clock", p.inFuture(p.soon()))
	sent := p.does(alice, &wire.SubmitRequest{Conversation: team, ClientId: "hand", Action: textAction("by hand")})
	p.must(!sent.GetDuplicate(), "a first answer", "%s", show(sent))
	equal(p, "how many are listed until its time", len(waiting(alice, team)), 1)
	p.eventually("none listed after its time", func() (bool, string) { list := waiting(alice, team); return len(list) == 0, fmt.Sprint(list) })
	equal(p, "the head, when its time has passed", p.headOf(team), sent.GetSeq())
}

func checkScheduledMark(p *play) {
	p.waits(p.soon())
	alice, bob := p.user("alice"), p.user("bob")
	team, club := p.group(alice, bob), p.group(alice, bob)
	at := p.inFuture(p.soon())
	p.schedules(alice, team, "s", "with all read", at)
	request := &wire.ScheduleRequest{ClientId: "s", Conversation: club, Message: &wire.Message{Type: "text", Text: "with one unread", MentionAll: true}, AtMs: at}
	call[*wire.ScheduleResponse](alice, "MessageService/Schedule", request)
	read := p.say(bob, team, "read").GetSeq()
	reads(alice, team, read)
	unread := p.does(bob, writing(club, mentioning("unread", alice))).GetSeq()
	phone := p.connect(alice, "phone")
	own := phone.hears(team, "with all read").GetSeq()
	phone.reads("self with the read mark over the message", func() bool { return phone.conversation(team).self.GetReadSeq() == own })
	equal(p, "unread where all was read", stand(alice, team).GetUnread(), 0)
	phone.hears(club, "with one unread")
	now := stand(alice, club)
	p.must(now.GetSelf().GetReadSeq() < unread && now.GetUnread() == 1 && now.GetMentions() == 1, "the mark, unread and mentions as they were", "%s", show(now))
}

func checkScheduledPages(p *play) {
	alice := p.user("alice")
	team, club := p.group(alice), p.group(alice)
	phone := p.connect(alice, "phone")
	at := p.inFuture(time.Hour)
	for i := range 4 {
		p.schedules(alice, team, fmt.Sprint(i), "later", at)
	}
	read := len(phone.frames)
	request := &wire.ScheduledRequest{PageSize: 2}
	seen := map[string]int{}
	for i := range 10 {
		page := call[*wire.ScheduledResponse](alice, "MessageService/Scheduled", request)
		for _, s := range page.GetScheduled() {
			seen[s.GetConversation()+" "+s.GetClientId()]++
		}
		if i == 0 { // between two pages
			p.schedules(alice, club, "added", "later", at)
			taken := page.GetScheduled()[0]
			call[*wire.UnscheduleResponse](alice, "MessageService/Unschedule", &wire.UnscheduleRequest{Conversation: taken.GetConversation(), ClientId: taken.GetClientId()})
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	for i := range 4 {
		equal(p, fmt.Sprintf("how often message %d is on the pages", i), seen[fmt.Sprint(team, " ", i)], 1)
	}
	phone.silence("a frame because something was scheduled or taken back", func(f *wire.ServerFrame) bool { return phone.index(f) >= read && f.GetPong() == nil })
}

// keeps sets the retention of a conversation, as the app.
func (p *play) keeps(conversation string, r *wire.Retention) {
	sets(p.app(), conversation, &wire.Settings{Retention: r})
}

// floorSeqOf is the first event kept, as a user sees it.
func floorSeqOf(u *user, conversation string) uint64 {
	return pageOf(u, &wire.FetchRequest{Conversation: conversation, From: &wire.FetchRequest_Latest{Latest: true}, Limit: 1}).GetFloorSeq()
}

// floorReaches waits until events below a seq are gone.
func (p *play) floorReaches(u *user, conversation string, seq uint64) {
	p.floorReachesWithin(p.kit.config.Timeout, u, conversation, seq)
}

// floorReachesWithin is floorReaches with a time of its own.
func (p *play) floorReachesWithin(wait time.Duration, u *user, conversation string, seq uint64) {
	p.within(wait, fmt.Sprintf("floorSeq of %d at least", seq), func() (bool, string) {
		floor := floorSeqOf(u, conversation)
		return floor >= seq, fmt.Sprint("floorSeq ", floor)
	})
}

func checkByCount(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	for what, r := range map[string]*wire.Retention{
		"BY_COUNT of nothing": {Mode: wire.RetentionMode_BY_COUNT}, "BY_AGE of less than an hour": {Mode: wire.RetentionMode_BY_AGE, MaxAgeMs: 3_599_999},
		"a mode that does not exist": {Mode: 77},
	} {
		_, refused := tryAny(alice, "ConversationService/Update", &wire.UpdateRequest{Conversation: team, Settings: &wire.Settings{Retention: r}})
		p.must(refused.isReason(wire.Reason_BAD_ARGUMENT), "BAD_ARGUMENT for "+what, "%v", refused)
	}
	p.keeps(team, &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: 10})
	head := p.sayMany(alice, team, 30).GetSeq()
	p.must(floorSeqOf(alice, team) <= head-9, "the last 10 events at least", "floorSeq %d, head %d", floorSeqOf(alice, team), head)
	head = p.sayMany(alice, team, 60).GetSeq()
	p.floorReaches(alice, team, head-10-64+1)
	floor := floorSeqOf(alice, team)
	p.must(floor <= head-9, "the last 10 events at least", "floorSeq %d, head %d", floor, head)
	page := pageOf(alice, &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_After{}, Limit: 1})
	equal(p, "the first event served", seqs(page.GetEvents()), []uint64{floor})
	kept := p.group(alice)
	p.keeps(kept, &wire.Retention{Mode: wire.RetentionMode_FOR_EVER})
	p.sayMany(alice, kept, 30)
	p.must(floorSeqOf(alice, kept) <= 1, "everything kept with FOR_EVER", "floorSeq %d", floorSeqOf(alice, kept))
}

func checkByAge(p *play) {
	alice := p.user("alice")
	old := p.past(alice, 20, func(i int) uint64 { return somePast + uint64(i)*60_000 })
	p.keeps(old, &wire.Retention{Mode: wire.RetentionMode_BY_AGE, MaxAgeMs: 3_600_000})
	p.floorReaches(alice, old, 22)
	said := p.say(alice, old, "new").GetSeq()
	equal(p, "the text of what is new", textOf(one(p, alice, old, said)), "new")
}

// askedAgain is within which a server looks at what was acknowledged of events that are not old.
const askedAgain = time.Minute

func checkAcknowledged(p *play) {
	p.waits(askedAgain + 2*p.kit.config.Timeout)
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone, tablet, other := p.connect(alice, "phone"), p.connect(alice, "tablet"), p.connect(bob, "phone")
	p.keeps(team, &wire.Retention{Mode: wire.RetentionMode_ACKNOWLEDGED})
	last := p.sayMany(alice, team, 150)
	phone.acknowledges(last)
	other.acknowledges(last)
	p.pause(2 * aMoment)
	p.must(floorSeqOf(alice, team) <= 2, "everything is kept while a device has not acknowledged it", "floorSeq %d", floorSeqOf(alice, team))
	tablet.acknowledges(last)
	p.floorReachesWithin(askedAgain+p.kit.config.Timeout, bob, team, last.GetSeq()-64)
}

// trimmed makes a group that alice owns of which bob is a member, writes 80 messages, and lets the first be removed. It
// answers the first event kept.
func trimmed(p *play) (alice, bob *user, team string, floor uint64) {
	alice, bob = p.user("alice"), p.user("bob")
	team = p.group(alice, bob)
	for i := range 80 {
		p.does(alice, &wire.SubmitRequest{Conversation: team, ClientId: fmt.Sprint("c", i), Action: textAction(fmt.Sprint(i))})
	}
	p.keeps(team, &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: 5})
	p.floorReaches(alice, team, 10)
	return alice, bob, team, floorSeqOf(alice, team)
}

func checkBelowFloor(p *play) {
	alice, bob, team, floor := trimmed(p)
	below := floor - 1
	page := pageOf(bob, &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_Before{Before: floor}})
	p.must(len(page.GetEvents()) == 0 && page.GetFloorSeq() == floor, fmt.Sprintf("nothing below floorSeq %d", floor), "%s", show(page))
	got := call[*wire.VerifyResponse](bob, "SyncService/Verify", &wire.VerifyRequest{Conversation: team, Seq: below})
	p.must(len(got.GetDigest()) == 32 && got.GetFloorSeq() == floor, "the chain value just before the floor, and floorSeq", "%s", show(got))
	phone := p.connect(bob, "phone")
	phone.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{After: below}, Limit: 100}) // verified against headDigest
	equal(p, "the chain value before the floor, on the page and by Verify", [32]byte(phone.conversation(team).digests[below]), [32]byte(got.GetDigest()))
	now := stand(bob, team)
	p.must(now.GetUnread() < 80 && now.GetFloorSeq() == floor, "counts and floorSeq without what is gone", "%s", show(now))
	p.cannot(alice, editing(team, below, textMessage("x")), wire.Reason_UNKNOWN_EVENT)
	p.cannot(alice, recalling(team, below), wire.Reason_UNKNOWN_EVENT)
	refuse(p.app(), "MessageService/Erase", &wire.EraseRequest{Conversation: team, Seq: below}, wire.Reason_UNKNOWN_EVENT)
	again := p.does(alice, &wire.SubmitRequest{Conversation: team, ClientId: "c0", Action: textAction("its client id is forgotten")})
	p.must(!again.GetDuplicate(), "a clientId of what is gone is forgotten", "%s", show(again))
}

func checkCursorBelowFloor(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	p.sayMany(alice, team, 3)
	phone := p.connect(bob, "phone")
	cursor := copyOf(phone.cursor)
	phone.close()
	p.sayMany(alice, team, 80)
	p.keeps(team, &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: 5})
	p.floorReaches(alice, team, 10)
	floor := floorSeqOf(alice, team)
	phone = p.connect(bob, "phone", withCursor(cursor), func(h *wire.Hello) { h.Tail = 50 })
	c := phone.conversation(team).deltas[0]
	p.must(len(c.GetEvents()) > 0 && c.GetEvents()[0].GetSeq() >= floor && c.GetPrevSeq() == c.GetEvents()[0].GetSeq()-1 && len(c.GetPrevDigest()) == 32 && c.GetFloorSeq() == floor,
		"events that are kept, prevSeq and prevDigest before them, and floorSeq", "%s", show(c))
}

func checkEditsGoToo(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	said := p.say(alice, team, "first").GetSeq()
	p.sayMany(alice, team, 90)
	edited := edit(p, alice, team, said, "what the edit says").GetSeq()
	p.keeps(team, &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: 10})
	p.floorReaches(alice, team, said+1)
	e := one(p, alice, team, edited)
	p.must(e.GetHidden() && len(e.GetBody()) == 0 && e.GetBodyJson() == nil && len(e.GetBodyHash()) == 32 && e.GetKind() == 2, "the edit is hidden, with bodyHash and kind and without its body", "%s", show(e))
	app := p.eventAt(team, edited)
	p.must(len(app.GetBody()) == 0 && app.GetBodyJson() == nil, "its body is nowhere, for the app neither", "%s", show(app))
}
