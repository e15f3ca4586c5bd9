// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, "Threads, reactions, pins, forwards".

package conformance

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfForms = []check{
	{"2.40", "replyTo names a message that the writer may see, and stays whatever becomes of that message", checkReplyTo},
	{"2.41", "thread names a root: not an answer, not what the writer does not see, not what is no message", checkThreadRoot},
	{"2.41", "a thread goes on when its root is recalled; none begins there; an edit neither moves in nor out", checkThreadGoesOn},
	{"2.42", "threadCount counts answers without those recalled or erased, threadSeq is the last written", checkThreadCount},
	{"2.43", "fetch.thread gives the answers of one root, recalled ones too, and no prevDigest", checkThreadPages},
	{"2.44", "reactions tell how many, whether mine and who; reacting twice shows nothing new", checkReactions},
	{"2.44", "a key has 1 to 64 bytes, a message at most 100 keys, and Reactions pages through all", checkReactionLimits},
	{"2.45", "info.pinned has the pins in their order for every member, and Pins what the user sees of them", checkPins},
	{"2.45", "at most 100 messages are pinned", checkPinLimit},
	{"2.46", "a forward must repeat the current form of a message that the sender sees", checkForwarded},
	{"2.46", "what was forwarded stays when its source goes, and a retry gets the first answer", checkForwardStays},
}

// answering is a message in a thread.
func answering(root uint64, text string) *wire.Message {
	return &wire.Message{Type: "text", Text: text, Thread: root}
}

// added makes users members, as the app.
func (p *play) added(conversation string, users ...*user) *wire.MembersResponse {
	return call[*wire.MembersResponse](p.app(), "ConversationService/AddMembers", &wire.AddMembersRequest{Conversation: conversation, Members: idsOfUsers(users)})
}

func checkReplyTo(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob)
	target := p.say(alice, team, "question").GetSeq()
	p.added(team, carol)
	replying := func(seq uint64) *wire.SubmitRequest {
		return writing(team, &wire.Message{Type: "text", Text: "reply", ReplyTo: seq})
	}
	reply := p.does(bob, replying(target)).GetSeq()
	p.cannot(carol, replying(target), wire.Reason_UNKNOWN_EVENT) // she does not see it
	p.cannot(bob, replying(1), wire.Reason_UNKNOWN_EVENT)        // no message
	p.cannot(bob, replying(reply+7), wire.Reason_UNKNOWN_EVENT)  // not there yet
	recall(p, alice, team, target)
	equal(p, "replyTo, once that message is recalled", bodyOf(one(p, bob, team, reply)).GetMessage().GetReplyTo(), target)
}

func checkThreadRoot(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob)
	root := p.say(alice, team, "root").GetSeq()
	p.added(team, carol)
	answer := p.does(alice, writing(team, &wire.Message{Type: "text", Text: "answer", Thread: root, Mentions: []string{bob.id}})).GetSeq()
	equal(p, "the thread of the answer", bodyOf(one(p, bob, team, answer)).GetMessage().GetThread(), root)
	now := stand(bob, team)
	equal(p, "unread and mentions of root and answer", []uint64{now.GetUnread(), now.GetMentions()}, []uint64{2, 1})
	refused := refuse(bob, "MessageService/Submit", &wire.SubmitRequest{Conversation: team, ClientId: p.id("m"), Action: &wire.SubmitRequest_Message{Message: answering(answer, "x")}}, wire.Reason_BAD_ARGUMENT)
	p.must(strings.Contains(refused.message, fmt.Sprint(root)), fmt.Sprintf("a message that names the root, %d", root), "%s", refused.message)
	p.cannot(carol, writing(team, answering(root, "x")), wire.Reason_UNKNOWN_EVENT) // she does not see it
	p.cannot(bob, writing(team, answering(1, "x")), wire.Reason_UNKNOWN_EVENT)      // no message
	p.cannot(bob, writing(team, answering(999, "x")), wire.Reason_UNKNOWN_EVENT)    // not there
}

func checkThreadGoesOn(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	root, lone := p.say(alice, team, "root").GetSeq(), p.say(alice, team, "without a thread").GetSeq()
	first := p.does(bob, writing(team, answering(root, "first"))).GetSeq()
	recall(p, alice, team, root)
	recall(p, alice, team, lone)
	second := p.does(bob, writing(team, answering(root, "second"))).GetSeq()
	p.cannot(bob, writing(team, answering(lone, "none begins here")), wire.Reason_UNKNOWN_EVENT)
	edit(p, bob, team, first, "edited")
	p.must(bodyOf(one(p, alice, team, first)).GetMessage().GetThread() == root, "an answer that was edited stays in its thread", "%s", show(one(p, alice, team, first)))
	other := p.say(bob, team, "elsewhere").GetSeq()
	_, _ = tryAny(bob, "MessageService/Submit", editing(team, other, answering(root, "moved"))) // refused or passed over
	page := pageOf(bob, &wire.FetchRequest{Conversation: team, Thread: root, From: &wire.FetchRequest_Latest{Latest: true}})
	equal(p, "the answers of the thread", seqs(page.GetEvents()), []uint64{first, second})
}

// pageOf fetches over HTTP.
func pageOf(w who, request *wire.FetchRequest) *wire.Fetched {
	return call[*wire.Fetched](w, "MessageService/Fetch", request)
}

func checkThreadCount(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone := p.connect(alice, "phone")
	root := p.say(alice, team, "root").GetSeq()
	var answers []uint64
	for i := range 5 {
		answers = append(answers, p.does(bob, writing(team, answering(root, fmt.Sprint(i)))).GetSeq())
	}
	last := answers[4]
	shows := func(what string, count uint32) {
		e := one(p, alice, team, root)
		p.must(e.GetThreadCount() == count && e.GetThreadSeq() == last, fmt.Sprintf("threadCount %d and threadSeq %d after %s", count, last, what), "%s", show(e))
	}
	shows("five answers", 5)
	equal(p, "the thread that an answer tells", bodyOf(phone.hasSeq(team, last)).GetMessage().GetThread(), root)
	recall(p, bob, team, answers[0])
	shows("a recall", 4)
	erase(bob, team, answers[1])
	shows("an erasure", 3)
	call[*wire.DeleteResponse](alice, "MessageService/Delete", &wire.DeleteRequest{Conversation: team, Seqs: []uint64{answers[2]}})
	shows("a deletion for oneself", 3)
	e := one(p, alice, team, answers[2])
	p.must(e.GetHidden() && e.GetThread() == root, "an answer deleted for oneself is hidden and names its root", "%s", show(e))
}

func checkThreadPages(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	root, other := p.say(alice, team, "root").GetSeq(), p.say(alice, team, "other").GetSeq()
	var answers []uint64
	for i := range 5 {
		p.say(alice, team, "between")
		answers = append(answers, p.does(bob, writing(team, answering(root, fmt.Sprint(i)))).GetSeq())
		p.does(bob, writing(team, answering(other, "elsewhere")))
	}
	recall(p, bob, team, answers[1])
	for _, row := range []struct {
		what    string
		request *wire.FetchRequest
		seqs    []uint64
		more    bool
	}{
		{"after 0", &wire.FetchRequest{From: &wire.FetchRequest_After{}, Limit: 2}, answers[:2], true},
		{"after the second", &wire.FetchRequest{From: &wire.FetchRequest_After{After: answers[1]}, Limit: 9}, answers[2:], false},
		{"before the fourth", &wire.FetchRequest{From: &wire.FetchRequest_Before{Before: answers[3]}, Limit: 2}, answers[1:3], true},
		{"the latest", &wire.FetchRequest{From: &wire.FetchRequest_Latest{Latest: true}, Limit: 2}, answers[3:], true},
	} {
		row.request.Conversation, row.request.Thread = team, root
		page := pageOf(alice, row.request)
		equal(p, "the answers "+row.what, seqs(page.GetEvents()), row.seqs)
		p.must(page.GetHasMore() == row.more && len(page.GetPrevDigest()) == 0, fmt.Sprintf("hasMore %t and no prevDigest, %s", row.more, row.what), "%s", show(page))
	}
	p.must(one(p, alice, team, answers[1]).GetRecalled() > 0, "the recalled answer is one of those shown", "it is not recalled")
	refuse(alice, "MessageService/Fetch", &wire.FetchRequest{Conversation: team, Thread: root, From: &wire.FetchRequest_At{At: somePast}}, wire.Reason_BAD_ARGUMENT)
	refuse(alice, "MessageService/Fetch", &wire.FetchRequest{Conversation: team, Thread: root, From: &wire.FetchRequest_Hour{Hour: somePast}}, wire.Reason_BAD_ARGUMENT)
	provenByVerify(p, alice, team, answers[2])
}

// provenByVerify holds that an event without its page is proven by the chain values at seq-1 and seq.
func provenByVerify(p *play, u *user, conversation string, seq uint64) {
	at := func(seq uint64) [32]byte {
		return [32]byte(call[*wire.VerifyResponse](u, "SyncService/Verify", &wire.VerifyRequest{Conversation: conversation, Seq: seq}).GetDigest())
	}
	next := linked(at(seq-1), one(p, u, conversation, seq))
	p.must([32]byte(next) == at(seq), fmt.Sprintf("the digest at %d and event %d give the digest at %d", seq-1, seq, seq), "%x", next)
}

func checkReactions(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob, carol)
	said := p.say(alice, team, "like it?").GetSeq()
	react(p, bob, team, said, "+")
	twice := p.does(bob, reacting(team, said, "+"))
	p.must(twice.GetSeq() > said+1, "reacting twice is an event", "%s", show(twice))
	react(p, carol, team, said, "+")
	react(p, carol, team, said, "-")
	shows := func(u *user, expected ...*wire.ReactionCount) {
		got := one(p, u, team, said).GetReactions()
		for _, r := range got {
			slices.Sort(r.Users)
		}
		p.must(slices.EqualFunc(got, expected, func(a, b *wire.ReactionCount) bool { return proto.Equal(a, b) }), fmt.Sprintf("%s sees %v", u.nickname, expected), "%v", got)
	}
	both := []string{bob.id, carol.id}
	slices.Sort(both)
	shows(bob, &wire.ReactionCount{Key: "+", Count: 2, Mine: true, Users: both}, &wire.ReactionCount{Key: "-", Count: 1, Users: []string{carol.id}})
	shows(carol, &wire.ReactionCount{Key: "+", Count: 2, Mine: true, Users: both}, &wire.ReactionCount{Key: "-", Count: 1, Mine: true, Users: []string{carol.id}})
	away := func(u *user, key string) {
		p.does(u, &wire.SubmitRequest{Conversation: team, Action: &wire.SubmitRequest_Reaction{Reaction: &wire.Reaction{Seq: said, Key: key, Removed: true}}})
	}
	away(bob, "+")
	away(bob, "-") // is not there
	shows(alice, &wire.ReactionCount{Key: "+", Count: 1, Users: []string{carol.id}}, &wire.ReactionCount{Key: "-", Count: 1, Users: []string{carol.id}})
	recall(p, alice, team, said)
	shows(alice)
}

func checkReactionLimits(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	said := p.say(alice, team, "like it?").GetSeq()
	for _, key := range []string{"", strings.Repeat("x", 65)} {
		request := reacting(team, said, key)
		request.ClientId = p.id("m")
		_, r := tryAny(bob, "MessageService/Submit", request)
		p.must(r != nil && r.code == "invalid_argument", fmt.Sprintf("a refusal of a key of %d bytes", len(key)), "%v", r)
	}
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprintf("%064d", i))
		react(p, bob, team, said, keys[i])
	}
	p.cannot(alice, reacting(team, said, "one more"), wire.Reason_TOO_MANY)
	react(p, alice, team, said, keys[7])
	var got []string
	request := &wire.ReactionsRequest{Conversation: team, Seq: said, PageSize: 30}
	for range 100 {
		page := call[*wire.ReactionsResponse](bob, "MessageService/Reactions", request)
		for _, u := range page.GetUsers() {
			got = append(got, u.GetKey()+" "+u.GetUser())
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	expected := []string{keys[7] + " " + alice.id}
	for _, key := range keys {
		expected = append(expected, key+" "+bob.id)
	}
	slices.Sort(got)
	slices.Sort(expected)
	p.must(slices.Equal(got, expected), "all 101 reactions on the pages, each once", "%d: %v", len(got), got)
	ofKey := call[*wire.ReactionsResponse](bob, "MessageService/Reactions", &wire.ReactionsRequest{Conversation: team, Seq: said, Key: keys[7]})
	equal(p, "how many have reacted with one key", len(ofKey.GetUsers()), 2)
}

func checkPins(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	team := p.group(alice, bob)
	var said []uint64
	for i := range 6 {
		said = append(said, p.say(bob, team, fmt.Sprint(i)).GetSeq())
	}
	phone := p.connect(bob, "phone")
	for _, i := range []int{2, 0, 1, 4} {
		p.does(alice, pinning(team, said[i]))
	}
	pinned := func(what string, expected ...uint64) {
		equal(p, "info.pinned for alice "+what, infoOf(alice, team).GetPinned(), expected)
		phone.reads(fmt.Sprintf("info.pinned %v %s", expected, what), func() bool { return slices.Equal(phone.conversation(team).info.GetPinned(), expected) })
	}
	pinned("in the order of pinning", said[2], said[0], said[1], said[4])
	p.must(one(p, bob, team, said[2]).GetPinned() == said[5]+1, "pinned is the seq of the pin", "%s", show(one(p, bob, team, said[2])))
	p.does(alice, &wire.SubmitRequest{Conversation: team, Action: &wire.SubmitRequest_Pin{Pin: &wire.Pin{Seq: said[0], Removed: true}}})
	pinned("after unpinning", said[2], said[1], said[4])
	recall(p, bob, team, said[2])
	pinned("after a recall", said[1], said[4])
	erase(bob, team, said[1])
	pinned("after an erasure", said[4])
	p.added(team, carol)
	edit(p, bob, team, said[4], "edited")
	last := p.say(bob, team, "seen by carol").GetSeq()
	p.does(alice, pinning(team, last))
	equal(p, "info.pinned, which is the same for who came later", infoOf(carol, team).GetPinned(), []uint64{said[4], last})
	pins := func(u *user) (texts []string) {
		for _, e := range call[*wire.PinsResponse](u, "MessageService/Pins", &wire.PinsRequest{Conversation: team}).GetEvents() {
			texts = append(texts, textOf(e))
		}
		return texts
	}
	equal(p, "the pins that bob sees, the last first", pins(bob), []string{"seen by carol", "edited"})
	equal(p, "the pins that carol sees", pins(carol), []string{"seen by carol"})
}

func checkPinLimit(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	last := p.sayMany(alice, team, 101).GetSeq()
	for seq := uint64(2); seq < last; seq++ {
		p.does(alice, pinning(team, seq))
	}
	p.cannot(alice, pinning(team, last), wire.Reason_TOO_MANY)
	p.does(alice, &wire.SubmitRequest{Conversation: team, Action: &wire.SubmitRequest_Pin{Pin: &wire.Pin{Seq: 2, Removed: true}}})
	p.does(alice, pinning(team, last))
	equal(p, "how many are pinned", len(infoOf(alice, team).GetPinned()), 100)
}

// forwarding is the message that forwards an event.
func forwarding(conversation string, e *wire.Event) *wire.Message {
	m := bodyOf(e).GetMessage()
	return &wire.Message{Type: m.GetType(), Text: m.GetText(), Data: m.GetData(),
		Forwarded: &wire.Forwarded{Conversation: conversation, Seq: e.GetSeq(), Sender: e.GetSender(), TimeMs: e.GetTimeMs()}}
}

func checkForwarded(p *play) {
	alice, bob, eve := p.user("alice"), p.user("bob"), p.user("eve")
	team, club := p.group(alice, bob), p.group(alice, bob, eve)
	said := p.does(alice, writing(team, &wire.Message{Type: "card", Text: "content", Data: []byte{1, 2, 3}})).GetSeq()
	good := forwarding(team, one(p, bob, team, said))
	sent := p.does(bob, writing(club, good)).GetSeq()
	equal(p, "what the receivers of a forward get", bodyOf(one(p, eve, club, sent)).GetMessage().GetForwarded(), good.GetForwarded())
	for what, spoil := range map[string]func(m *wire.Message){
		"another text": func(m *wire.Message) { m.Text = "else" }, "another type": func(m *wire.Message) { m.Type = "text" },
		"other data": func(m *wire.Message) { m.Data = nil }, "another sender": func(m *wire.Message) { m.Forwarded.Sender = bob.id },
		"another time": func(m *wire.Message) { m.Forwarded.TimeMs++ },
	} {
		bad := proto.CloneOf(good)
		spoil(bad)
		_, r := tryAny(bob, "MessageService/Submit", &wire.SubmitRequest{Conversation: club, ClientId: p.id("m"), Action: &wire.SubmitRequest_Message{Message: bad}})
		p.must(r.isReason(wire.Reason_BAD_ARGUMENT), "BAD_ARGUMENT for a forward with "+what, "%v", r)
	}
	p.cannot(eve, writing(club, good), wire.Reason_UNKNOWN_EVENT) // no member there
	absent := proto.CloneOf(good)
	absent.Forwarded.Seq = 99
	p.cannot(bob, writing(club, absent), wire.Reason_UNKNOWN_EVENT)
	p.does(alice, editing(team, said, &wire.Message{Type: "card", Text: "edited"}))
	p.cannot(bob, writing(club, good), wire.Reason_BAD_ARGUMENT) // no longer its current form
	again := forwarding(team, one(p, bob, team, said))
	call[*wire.DeleteResponse](bob, "MessageService/Delete", &wire.DeleteRequest{Conversation: team, Seqs: []uint64{said}})
	p.cannot(bob, writing(club, again), wire.Reason_UNKNOWN_EVENT) // deleted for himself
	p.does(alice, writing(club, again))
	recall(p, alice, team, said)
	p.cannot(alice, writing(club, again), wire.Reason_UNKNOWN_EVENT)
}

func checkForwardStays(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, club := p.group(alice, bob), p.group(alice, bob)
	said := p.say(alice, team, "content").GetSeq()
	request := writing(club, forwarding(team, one(p, bob, team, said)))
	sent := p.does(bob, request)
	erase(alice, team, said)
	again := p.does(bob, request)
	p.must(again.GetDuplicate() && again.GetSeq() == sent.GetSeq(), "the first answer again", "%s", show(again))
	m := bodyOf(one(p, alice, club, sent.GetSeq())).GetMessage()
	p.must(m.GetText() == "content" && m.GetForwarded().GetSeq() == said, "the forward as it was", "%s", show(m))
	edit(p, bob, club, sent.GetSeq(), "my own words")
	m = bodyOf(one(p, alice, club, sent.GetSeq())).GetMessage()
	p.must(m.GetText() == "my own words" && m.GetForwarded() == nil, "after an edit, the writer's own", "%s", show(m))
}
