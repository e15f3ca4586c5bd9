// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, "History".

package conformance

import (
	"fmt"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfHistory = []check{
	{"2.21", "fetch after, before, at, hour and latest answer the right events, ascending", checkFetch},
	{"2.22", "prevDigest, floorSeq and hasMore of a page", checkPage},
	{"2.22", "floorSeq says below what a later member sees nothing", checkFloor},
	{"2.23", "the current form shows the last edit, counts reactions and tells the pin", checkCurrentForm},
	{"2.23", "what is recalled or erased has no body, on every path", checkNoBody},
	{"2.24", "where the body shown is not the one hashed, bodyHash and kind are there, and the chain verifies", checkBodyHash},
	{"2.24", "in JSON the body is readable and bodyHash always there", checkReadableBody},
}

// seqs are the events' numbers.
func seqs(events []*wire.Event) []uint64 {
	list := []uint64{}
	for _, e := range events {
		list = append(list, e.GetSeq())
	}
	return list
}

// count is from, from+1, ... to.
func count(from, to uint64) []uint64 {
	list := []uint64{}
	for ; from <= to; from++ {
		list = append(list, from)
	}
	return list
}

func checkFetch(p *play) {
	const hour = 3_600_000
	alice := p.user("alice")
	// Messages 2..11: five in one hour, none in the next, five in the third.
	at := func(i int) uint64 { return somePast + uint64(i/5)*2*hour + uint64(i%5)*1000 }
	old := p.past(alice, 10, at)
	phone := p.connect(alice, "phone")
	for _, row := range []struct {
		what     string
		fetch    *wire.Fetch
		expected []uint64
	}{
		{"after 3", &wire.Fetch{From: &wire.Fetch_After{After: 3}, Limit: 4}, count(4, 7)},
		{"after 0", &wire.Fetch{From: &wire.Fetch_After{}, Limit: 2}, count(1, 2)},
		{"before 6", &wire.Fetch{From: &wire.Fetch_Before{Before: 6}, Limit: 3}, count(3, 5)},
		{"latest", &wire.Fetch{From: &wire.Fetch_Latest{Latest: true}, Limit: 4}, count(8, 11)},
		{"at the time of the third message", &wire.Fetch{From: &wire.Fetch_At{At: at(2)}, Limit: 3}, count(4, 6)},
		{"at a time between two messages", &wire.Fetch{From: &wire.Fetch_At{At: at(2) + 1}, Limit: 3}, count(5, 7)},
		{"the first hour", &wire.Fetch{From: &wire.Fetch_Hour{Hour: somePast}, Limit: 3}, count(4, 6)},
		{"the empty hour, so the one before", &wire.Fetch{From: &wire.Fetch_Hour{Hour: somePast + hour + 5}, Limit: 3}, count(4, 6)},
		{"the third hour", &wire.Fetch{From: &wire.Fetch_Hour{Hour: somePast + 2*hour}, Limit: 3}, count(9, 11)},
	} {
		row.fetch.Conversation = old
		equal(p, "the seqs of fetch "+row.what, seqs(phone.fetch(row.fetch).GetEvents()), row.expected)
	}
	page := call[*wire.Fetched](alice, "MessageService/Fetch", &wire.FetchRequest{Conversation: old, From: &wire.FetchRequest_Hour{Hour: somePast + hour}, Limit: 2})
	equal(p, "the seqs of the empty hour over HTTP", seqs(page.GetEvents()), count(5, 6))
}

func checkPage(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	head := p.sayMany(alice, team, 9).GetSeq()
	phone := p.connect(alice, "phone")
	verify := func(seq uint64) []byte {
		return call[*wire.VerifyResponse](alice, "SyncService/Verify", &wire.VerifyRequest{Conversation: team, Seq: seq}).GetDigest()
	}
	for _, row := range []struct {
		what  string
		fetch *wire.Fetch
		more  bool
	}{
		{"after 3, to be continued", &wire.Fetch{From: &wire.Fetch_After{After: 3}, Limit: 4}, true},
		{"after 6, to the head", &wire.Fetch{From: &wire.Fetch_After{After: 6}, Limit: 50}, false},
		{"before 9, to be continued", &wire.Fetch{From: &wire.Fetch_Before{Before: 9}, Limit: 4}, true},
		{"before 5, to the beginning", &wire.Fetch{From: &wire.Fetch_Before{Before: 5}, Limit: 4}, false},
		{"latest, to be continued", &wire.Fetch{From: &wire.Fetch_Latest{Latest: true}, Limit: 4}, true},
		{"latest, all", &wire.Fetch{From: &wire.Fetch_Latest{Latest: true}, Limit: 50}, false},
	} {
		row.fetch.Conversation = team
		page := phone.fetch(row.fetch)
		equal(p, "hasMore of fetch "+row.what, page.GetHasMore(), row.more)
		equal(p, "headSeq of fetch "+row.what, page.GetHeadSeq(), head)
		if first := page.GetEvents()[0].GetSeq(); first > 1 {
			equal(p, "prevDigest of fetch "+row.what, page.GetPrevDigest(), verify(first-1))
		}
	}
	most := p.kit.welcome.GetLimits().GetPageEventsMax()
	page := phone.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{}, Limit: most + 1}) // is refused or cut, but never longer
	p.must(len(page.GetEvents()) <= int(most), fmt.Sprintf("at most %d events", most), "%d", len(page.GetEvents()))
}

func checkFloor(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice)
	head := p.sayMany(alice, team, 5).GetSeq()
	call[*wire.MembersResponse](alice, "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: team, Members: []string{bob.id}})
	p.sayMany(alice, team, 2)
	phone := p.connect(bob, "phone")
	page := phone.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_Latest{Latest: true}, Limit: 50})
	equal(p, "floorSeq for a member who came at seq 7", page.GetFloorSeq(), head+1)
	equal(p, "the seqs that the member sees", seqs(page.GetEvents()), count(head+1, head+3))
	p.must(!page.GetHasMore(), "nothing more below the floor", "hasMore")
	equal(p, "self.visibleFrom", phone.conversation(team).self.GetVisibleFrom(), head+1)
	below := phone.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{}, Limit: 50})
	p.must(len(below.GetEvents()) == 0 || below.GetEvents()[0].GetSeq() > head, "no events below the floor", "%v", seqs(below.GetEvents()))
}

func react(p *play, u *user, conversation string, seq uint64, key string) {
	call[*wire.Submitted](u, "MessageService/Submit", &wire.SubmitRequest{Conversation: conversation, ClientId: p.id("r"),
		Action: &wire.SubmitRequest_Reaction{Reaction: &wire.Reaction{Seq: seq, Key: key}}})
}

func edit(p *play, u *user, conversation string, seq uint64, text string) *wire.Submitted {
	return call[*wire.Submitted](u, "MessageService/Submit", &wire.SubmitRequest{Conversation: conversation, ClientId: p.id("e"),
		Action: &wire.SubmitRequest_Edit{Edit: &wire.Edit{Seq: seq, Message: textMessage(text)}}})
}

func recall(p *play, u *user, conversation string, seq uint64) *wire.Submitted {
	return call[*wire.Submitted](u, "MessageService/Submit", &wire.SubmitRequest{Conversation: conversation, ClientId: p.id("x"),
		Action: &wire.SubmitRequest_Recall{Recall: &wire.Recall{Seq: seq}}})
}

func checkCurrentForm(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	s := p.say(alice, team, "first")
	edit(p, alice, team, s.GetSeq(), "second")
	last := edit(p, alice, team, s.GetSeq(), "third")
	react(p, alice, team, s.GetSeq(), "+1")
	react(p, bob, team, s.GetSeq(), "+1")
	pin := call[*wire.Submitted](alice, "MessageService/Submit", &wire.SubmitRequest{Conversation: team, ClientId: p.id("p"),
		Action: &wire.SubmitRequest_Pin{Pin: &wire.Pin{Seq: s.GetSeq()}}})
	phone := p.connect(bob, "phone")
	phone.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_Latest{Latest: true}})
	for where, e := range map[string]*wire.Event{"over HTTP": one(p, bob, team, s.GetSeq()), "in the fetched page": phone.conversation(team).events[s.GetSeq()]} {
		equal(p, "the text "+where, textOf(e), "third")
		equal(p, "edited, the seq of the last edit, "+where, e.GetEdited(), last.GetSeq())
		equal(p, "pinned, the seq of the pin, "+where, e.GetPinned(), pin.GetSeq())
		p.must(len(e.GetReactions()) == 1 && e.GetReactions()[0].GetKey() == "+1" && e.GetReactions()[0].GetCount() == 2, "two reactions +1 "+where, "%v", e.GetReactions())
	}
}

func checkNoBody(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	recalled, erased := p.say(alice, team, "secret-recalled").GetSeq(), p.say(alice, team, "secret-erased").GetSeq()
	edit(p, alice, team, recalled, "secret-recalled, edited")
	edit(p, alice, team, erased, "secret-erased, edited")
	p.say(bob, team, "end")
	recall(p, alice, team, recalled)
	call[*wire.Submitted](alice, "MessageService/Erase", &wire.EraseRequest{Conversation: team, Seq: erased})

	phone := p.connect(bob, "phone")
	paths := map[string][]*wire.Event{"the sync": phone.beforeSynced()[0].GetEvents()}
	paths["fetch"] = phone.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{}}).GetEvents()
	paths["Fetch over HTTP"] = call[*wire.Fetched](bob, "MessageService/Fetch", &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_Latest{Latest: true}}).GetEvents()
	paths["Pull"] = call[*wire.PullResponse](bob, "SyncService/Pull", &wire.PullRequest{DeviceId: "puller"}).GetConversations()[0].GetEvents()
	page := p.connectIn(wire.JSON, bob, "page")
	paths["the sync in JSON"] = page.beforeSynced()[0].GetEvents()
	for path, events := range paths {
		found := 0
		for _, e := range events {
			gone := e.GetSeq() == recalled || e.GetSeq() == erased
			if !gone && e.GetSeq() != recalled+2 && e.GetSeq() != erased+2 { // and its edit
				continue
			}
			found++
			p.must(len(e.GetBody()) == 0 && e.GetBodyJson() == nil && len(e.GetSalt()) == 0, "neither body nor salt in "+path, "%s", show(e))
			p.must(len(e.GetBodyHash()) == 32 && e.GetKind() > 0, "bodyHash and kind in "+path, "%s", show(e))
			p.must(e.GetSeq() != recalled || e.GetRecalled() > 0, "recalled in "+path, "%s", show(e))
			p.must(e.GetSeq() != erased || e.GetErased() > 0, "erased in "+path, "%s", show(e))
		}
		equal(p, "how many events of the four are in "+path, found, 4)
	}
}

func checkBodyHash(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	s := p.say(alice, team, "first")
	edit(p, alice, team, s.GetSeq(), "second")
	phone := p.connect(alice, "phone")
	e := phone.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{}}).GetEvents()[s.GetSeq()-1]
	p.must(textOf(e) == "second" && len(e.GetBodyHash()) == 32 && e.GetKind() == 1, "the edited text with bodyHash and kind 1 of what was hashed", "%s", show(e))
	before := phone.conversation(team).digests[s.GetSeq()-1]
	digest := linked(before, e)
	equal(p, "the chain value by bodyHash and kind", s.GetDigest(), digest[:])
}

func checkReadableBody(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	s := p.say(alice, team, "readable")
	page := p.connectIn(wire.JSON, alice, "page")
	page.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{}})
	for where, events := range map[string][]*wire.Event{
		"the sync":        page.beforeSynced()[0].GetEvents(),
		"Fetch over HTTP": call[*wire.Fetched](alice, "MessageService/Fetch", &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_Latest{Latest: true}}).GetEvents(),
	} {
		for _, e := range events {
			p.must(e.GetBodyJson() != nil && len(e.GetBody()) == 0, "a readable body and no bytes in "+where, "%s", show(e))
			p.must(len(e.GetBodyHash()) == 32 && e.GetKind() == uint32(wire.BodyKind(e.GetBodyJson())), "bodyHash and kind in "+where, "%s", show(e))
		}
		equal(p, "the text in "+where, events[s.GetSeq()-1].GetBodyJson().GetMessage().GetText(), "readable")
	}
	status, text := p.post(alice.caller, "MessageService/Fetch", `{"conversation":"`+team+`","latest":true,"limit":1}`)
	p.must(status == 200 && containsAll(text, `"body":{"message":{`, `"text":"readable"`, `"bodyHash":"`, `"seq":"2"`),
		"lowerCamelCase names, 64-bit integers as strings, bytes as base64, the body under its kind", "%s", text)
}
