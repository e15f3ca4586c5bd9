// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 5: the statements about single methods.

package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfServices = []check{
	{"5.1", "Pull without a cursor starts from what the device last acknowledged, or as a new device", checkPull},
	{"5.1", "with hasMore, pulling on brings all, each cursor covering its answer", checkPullOn},
	{"5.2", "Create makes one event, seq 1, with what was created inside; the first message has seq 2", checkCreate},
	{"5.3", "Import appends in order, skips what is there already, and goes forward only", checkImport},
	{"5.4", "a message is erased by its sender and the app, and what its edits said with it", checkErase},
	{"5.5", "Checkpoint makes a backup of all that was acknowledged; its name is no path and not there yet", checkCheckpoint},
	{"5.51", "a server that takes nothing back refuses GiveBack", checkGiveBackClosed},
}

// pull pulls for a device; cursor nil: without one.
func pull(u *user, device string, cursor *wire.Cursor) *wire.PullResponse {
	return call[*wire.PullResponse](u, "SyncService/Pull", &wire.PullRequest{DeviceId: device, Cursor: cursor})
}

// pulledTexts are the texts of the messages in answers to Pull, in order.
func pulledTexts(answers ...*wire.PullResponse) (texts []string) {
	for _, a := range answers {
		for _, c := range a.GetConversations() {
			for _, e := range c.GetEvents() {
				if text := textOf(e); text != "" {
					texts = append(texts, text)
				}
			}
		}
	}
	slices.Sort(texts)
	return texts
}

func checkPull(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	p.say(alice, team, "one")
	first := pull(bob, "bot", nil)
	equal(p, "what a new device gets", pulledTexts(first), []string{"one"})
	equal(p, "what it gets again, having acknowledged nothing", pulledTexts(pull(bob, "bot", nil)), []string{"one"})
	call[*wire.AckResponse](bob, "SyncService/Ack", &wire.AckRequest{DeviceId: "bot", Cursor: first.GetCursor()})
	equal(p, "how many conversations have changed since", len(pull(bob, "bot", nil).GetConversations()), 0)
	p.say(alice, team, "two")
	second := pull(bob, "bot", nil)
	equal(p, "what is new since it acknowledged", pulledTexts(second), []string{"two"})
	equal(p, "what is new since a cursor that it gives", pulledTexts(pull(bob, "bot", first.GetCursor())), []string{"two"})
	equal(p, "what has changed since the last cursor", len(pull(bob, "bot", second.GetCursor()).GetConversations()), 0)
	equal(p, "what another device gets", pulledTexts(pull(bob, "other", nil)), []string{"one", "two"})
}

func checkPullOn(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	limits := p.kit.welcome.GetLimits()
	body := strings.Repeat("x", int(min(limits.GetPageBytesMax()/30, limits.GetBodyBytesMax()/2)))
	var expected []string
	for i := range 4 {
		team := p.group(alice, bob)
		for j := range 20 {
			expected = append(expected, fmt.Sprint(i, " ", j, " ", body))
			p.say(alice, team, expected[len(expected)-1])
		}
	}
	slices.Sort(expected)
	var answers []*wire.PullResponse
	for cursor := (*wire.Cursor)(nil); ; {
		p.must(len(answers) < 1000, "a last answer without hasMore", "none among 1000")
		answer := pull(bob, "bot", cursor)
		answers = append(answers, answer)
		if cursor = answer.GetCursor(); !answer.GetHasMore() {
			break
		}
	}
	got := pulledTexts(answers...)
	p.must(slices.Equal(slices.Compact(got), expected), fmt.Sprintf("%d messages in all answers", len(expected)), "%d of them, in %d answers", len(got), len(answers))
}

func checkCreate(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	id := p.id("team")
	made := call[*wire.CreateResponse](alice, "ConversationService/Create", &wire.CreateRequest{Id: id, Title: "Team", Members: []string{bob.id}})
	p.groups = append(p.groups, made.GetId())
	p.must(made.GetId() == id && made.GetHeadSeq() == 1 && made.GetInfo().GetTitle() == "Team" && made.GetInfo().GetMemberCount() == 2, "the group, with one event", "%s", show(made))
	e := p.eventAt(id, 1)
	m := bodyOf(e).GetMembers()
	added := slices.Sorted(slices.Values(m.GetAdded()))
	equal(p, "who was added by event 1", added, slices.Sorted(slices.Values([]string{alice.id, bob.id})))
	p.must(e.GetSender() == alice.id && m.GetRoles()[alice.id] == wire.Role_OWNER, "event 1 by alice, who is the owner", "%s", show(e))
	p.must(m.GetCreated().GetTitle() == "Team" && m.GetCreated().GetKind() == wire.Kind_GROUP, "what was created, inside", "%s", show(m))
	equal(p, "the seq of the first message", p.say(bob, id, "first").GetSeq(), 2)
}

func checkImport(p *play) {
	alice := p.user("alice")
	at := func(i int) uint64 { return somePast + uint64(i)*1000 }
	old := p.past(alice, 3, at)
	page := pageOf(alice, &wire.FetchRequest{Conversation: old, From: &wire.FetchRequest_After{After: 1}})
	for i, e := range page.GetEvents() {
		p.must(e.GetTimeMs() == at(i) && e.GetSender() == alice.id && textOf(e) == fmt.Sprint(i+1), "the imported message with its time", "%s", show(e))
	}
	entry := func(clientID string, i int) *wire.ImportRequest {
		return &wire.ImportRequest{Conversation: old, Entries: []*wire.ImportEntry{{TimeMs: at(i), ClientId: clientID, User: alice.id, Entry: &wire.ImportEntry_Message{Message: textMessage("x")}}}}
	}
	again := call[*wire.ImportResponse](p.app(), "AdminService/Import", entry("past-1", 1))
	equal(p, "what importing again answers", again, &wire.ImportResponse{Skipped: 1, HeadSeq: 4})
	more := call[*wire.ImportResponse](p.app(), "AdminService/Import", entry("past-9", 9))
	equal(p, "what importing one more answers", more, &wire.ImportResponse{Appended: 1, HeadSeq: 5})
	_, r := tryAny(p.app(), "AdminService/Import", entry("past-5", 5))
	if r == nil { // then not with a time before that of the last event
		e := p.eventAt(old, 6)
		p.must(e.GetTimeMs() >= at(9), "times that do not fall along the log", "%s", show(e))
	}
	_, r = tryAny(alice, "ConversationService/Create", &wire.CreateRequest{Id: p.id("past"), CreatedMs: somePast})
	p.must(r != nil, "a refusal of createdMs by a user", "success")
}

func checkErase(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	said := p.say(bob, team, "secret").GetSeq()
	edited := edit(p, bob, team, said, "another secret").GetSeq()
	refuse(alice, "MessageService/Erase", &wire.EraseRequest{Conversation: team, Seq: said}, wire.Reason_NOT_ALLOWED) // the owner
	done := erase(bob, team, said).GetSeq()
	for _, e := range []*wire.Event{one(p, bob, team, said), one(p, bob, team, edited), p.eventAt(team, said), p.eventAt(team, edited)} {
		p.must(len(e.GetBody()) == 0 && e.GetBodyJson() == nil && len(e.GetSalt()) == 0 && len(e.GetBodyHash()) == 32, "nothing of the message or its edit but bodyHash", "%s", show(e))
	}
	equal(p, "erased of the message", one(p, alice, team, said).GetErased(), done)
	equal(p, "what the event of the erasure names", bodyOf(one(p, alice, team, done)).GetErased().GetSeq(), said)
	erase(p.app(), team, p.say(alice, team, "taken away by the app").GetSeq())
	refuse(bob, "MessageService/Erase", &wire.EraseRequest{Conversation: team, Seq: 99}, wire.Reason_UNKNOWN_EVENT)
}

func checkCheckpoint(p *play) {
	alice := p.user("alice")
	said := p.say(alice, p.group(alice), "to be kept")
	name := p.id("backup")
	made := call[*wire.CheckpointResponse](p.app(), "AdminService/Checkpoint", &wire.CheckpointRequest{Name: name})
	p.must(strings.Contains(made.GetPath(), name) && made.GetBytes() > 0 && made.GetEpoch() == p.kit.welcome.GetEpoch(), "path, bytes and the epoch", "%s", show(made))
	p.must(len(made.GetPositions()) == int(p.kit.welcome.GetPartitions()) && made.GetPositions()[said.GetPartition()] >= said.GetPosition(),
		fmt.Sprintf("position %d of partition %d at least", said.GetPosition(), said.GetPartition()), "%s", show(made))
	refuse(p.app(), "AdminService/Checkpoint", &wire.CheckpointRequest{Name: name}, wire.Reason_ALREADY_EXISTS)
	for _, path := range []string{"../x", "/x", "a/b", ".."} {
		refuse(p.app(), "AdminService/Checkpoint", &wire.CheckpointRequest{Name: path}, wire.Reason_BAD_ARGUMENT)
	}
	refuse(alice, "AdminService/Checkpoint", &wire.CheckpointRequest{Name: p.id("mine")}, wire.Reason_NOT_ALLOWED)
}

func checkGiveBackClosed(p *play) {
	if p.kit.welcome.GetTakeBack() {
		p.skip("the server takes lost events back now")
	}
	alice := p.user("alice")
	team := p.group(alice)
	said := p.say(alice, team, "not lost")
	e := p.connect(alice, "phone").hasSeq(team, said.GetSeq())
	refuse(alice, "SyncService/GiveBack", &wire.GiveBackRequest{Conversation: team, Events: []*wire.Event{e}, Seal: said.GetSeal()}, wire.Reason_NOT_ALLOWED)
}
