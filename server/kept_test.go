// SPDX-License-Identifier: Apache-2.0

// Threads, reactions, pins, forwards, and what a user deletes, clears, drafts and sets for itself: over HTTP and
// WebSocket, on several devices.

package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-im/tidemark/verify"
)

// seqs are the seqs of a list of events.
func seqs(events any) string {
	var list []string
	all, _ := events.([]any)
	for _, e := range all {
		list = append(list, fmt.Sprint(e.(map[string]any)["seq"]))
	}
	return strings.Join(list, " ")
}

// submit submits as a user and answers the seq.
func (n *node) submit(user, clientID, action string) string {
	n.t.Helper()
	return n.ok(n.as(user, "MessageService/Submit", `{"conversation":"team","clientId":"`+clientID+`",`+action+`}`)).at("seq").(string)
}

// verified ends the server and checks everything it has stored.
func (n *node) verified() {
	n.t.Helper()
	if err := n.stop(); err != nil {
		n.t.Fatal(err)
	}
	report, err := verify.Run(n.t.Context(), verify.Config{Dir: n.dir})
	if err != nil || !report.OK() {
		n.t.Errorf("%v\n%s", err, report)
	}
}

func equals(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestThreads(t *testing.T) {
	n := world(t, nil) // event 2 is alice's
	for i := range 5 { // 3 5 7 9 11, and others between
		n.submit("bob", fmt.Sprint("a", i), fmt.Sprintf(`"message":{"text":"answer %d","thread":"2"}`, i))
		n.say("alice", "team", fmt.Sprint("b", i), "something else")
	}
	n.submit("bob", "r", `"recall":{"seq":"5"}`)
	page := func(from string) answer {
		return n.ok(n.as("alice", "MessageService/Fetch", `{"conversation":"team","thread":"2",`+from+`}`))
	}
	for _, c := range []struct{ from, seqs, more string }{
		{`"after":"0","limit":2`, "3 5", "true"},
		{`"after":"5","limit":3`, "7 9 11", "<nil>"},
		{`"after":"11"`, "", "<nil>"},
		{`"before":"9","limit":2`, "5 7", "true"},
		{`"before":"5","limit":2`, "3", "<nil>"},
		{`"latest":true,"limit":2`, "9 11", "true"},
		{`"latest":true`, "3 5 7 9 11", "<nil>"},
	} {
		a := page(c.from)
		equals(t, c.from, seqs(a.at("events")), c.seqs)
		equals(t, c.from+": more", a.at("hasMore"), c.more)
		equals(t, c.from+": prevDigest", a.at("prevDigest"), "<nil>")
	}
	equals(t, "a recalled answer", page(`"after":"3","limit":1`).at("events", "0", "recalled"), "13")
	root := n.ok(n.as("alice", "MessageService/Fetch", `{"conversation":"team","after":"1","limit":1}`))
	equals(t, "answers", root.at("events", "0", "threadCount"), 4)
	equals(t, "the last answer", root.at("events", "0", "threadSeq"), "11")
	n.refuses(n.as("alice", "MessageService/Fetch", `{"conversation":"team","thread":"2","at":"5"}`), 400, "BAD_ARGUMENT")
	n.refuses(n.as("alice", "MessageService/Fetch", `{"conversation":"team","thread":"99"}`), 404, "UNKNOWN_EVENT")
	n.refuses(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"x","message":{"text":"x","thread":"3"}}`), 400, "BAD_ARGUMENT")

	s := n.connect(n.token("bob"), `{"hello":{"deviceId":"phone"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	s.send(`{"fetch":{"request":"7","conversation":"team","latest":true,"limit":1,"thread":"2"}}`)
	fetched := answer{body: s.until("fetched")}
	equals(t, "over WebSocket", seqs(fetched.at("events")), "11")
	n.verified()
}

func TestReactionsTellWho(t *testing.T) {
	n := world(t, nil)
	n.ok(n.app("ConversationService/Update", `{"conversation":"team","settings":{"historyFromStart":true}}`))
	for i := range 25 {
		user := fmt.Sprintf("u%02d", i)
		n.users(user)
		n.ok(n.app("ConversationService/AddMembers", `{"conversation":"team","members":["`+user+`"]}`))
		n.submit(user, "r", `"reaction":{"seq":"2","key":"+1"}`)
	}
	n.submit("bob", "heart", `"reaction":{"seq":"2","key":"heart"}`)
	event := func(user string) answer {
		return n.ok(n.as(user, "MessageService/Fetch", `{"conversation":"team","after":"1","limit":1}`))
	}
	n.users("late")
	n.ok(n.app("ConversationService/AddMembers", `{"conversation":"team","members":["late"]}`))
	for user, mine := range map[string]any{"bob": nil, "late": nil} {
		a := event(user)
		equals(t, "count", a.at("events", "0", "reactions", "0", "count"), 25)
		equals(t, "named", len(a.at("events", "0", "reactions", "0", "users").([]any)), 20)
		equals(t, user+" is among them", a.at("events", "0", "reactions", "0", "mine"), fmt.Sprint(mine))
	}
	equals(t, "bob's heart", event("bob").at("events", "0", "reactions", "1", "mine"), true)

	var all []string
	token := ""
	for pages := 0; ; pages++ {
		a := n.ok(n.as("bob", "MessageService/Reactions", `{"conversation":"team","seq":"2","pageSize":10,"pageToken":"`+token+`"}`))
		for _, row := range a.at("users").([]any) {
			all = append(all, fmt.Sprint(row.(map[string]any)["key"], " of ", row.(map[string]any)["user"]))
		}
		next, _ := a.at("nextPageToken").(string)
		if token = next; token == "" {
			equals(t, "pages", pages+1, 3)
			break
		}
	}
	equals(t, "who", len(all), 26)
	equals(t, "first", all[0], "+1 of u00")
	equals(t, "last", all[25], "heart of bob")
	one := n.ok(n.as("bob", "MessageService/Reactions", `{"conversation":"team","seq":"2","key":"heart"}`))
	equals(t, "of one key", len(one.at("users").([]any)), 1)
	n.refuses(n.as("bob", "MessageService/Reactions", `{"conversation":"team","seq":"3","pageToken":"`+token+`x"}`), 400, "BAD_ARGUMENT")

	n.submit("u00", "no", `"reaction":{"seq":"2","key":"+1","removed":true}`)
	named := event("bob").at("events", "0", "reactions", "0", "users").([]any)
	equals(t, "the next one is named", fmt.Sprintf("%d %s %s", len(named), named[0], named[19]), "20 u01 u20")
	n.submit("alice", "recall", `"recall":{"seq":"2"}`)
	equals(t, "reactions to a recalled message", event("bob").at("events", "0", "reactions"), "<nil>")
	equals(t, "who", n.ok(n.as("bob", "MessageService/Reactions", `{"conversation":"team","seq":"2"}`)).at("users"), "<nil>")
	n.verified()
}

// Who is beyond the first 20 still learns that its reaction is its own.
func TestMineIsExactBeyondThoseNamed(t *testing.T) {
	n := world(t, nil)
	n.ok(n.app("ConversationService/Update", `{"conversation":"team","settings":{"historyFromStart":true}}`))
	for i := range 22 {
		user := fmt.Sprintf("u%02d", i)
		n.users(user)
		n.ok(n.app("ConversationService/AddMembers", `{"conversation":"team","members":["`+user+`"]}`))
		n.submit(user, "r", `"reaction":{"seq":"2","key":"+1"}`)
	}
	for user, want := range map[string]any{"u00": true, "u21": true, "alice": nil} {
		a := n.ok(n.as(user, "MessageService/Fetch", `{"conversation":"team","after":"1","limit":1}`))
		equals(t, user, a.at("events", "0", "reactions", "0", "mine"), fmt.Sprint(want))
	}
}

func TestPins(t *testing.T) {
	n := world(t, nil)
	for i := range 3 { // 3 4 5
		n.say("bob", "team", fmt.Sprint("m", i), fmt.Sprint("message ", i))
	}
	for _, seq := range []string{"4", "2", "5"} {
		n.submit("alice", "pin"+seq, `"pin":{"seq":"`+seq+`"}`)
	}
	pins := func(user string) string {
		return seqs(n.ok(n.as(user, "MessageService/Pins", `{"conversation":"team"}`)).at("events"))
	}
	listed := func() string {
		return fmt.Sprint(n.ok(n.as("bob", "ConversationService/Get", `{"conversation":"team"}`)).at("conversation", "info", "pinned"))
	}
	equals(t, "the last pinned first", pins("bob"), "5 2 4")
	equals(t, "in the order of pinning", listed(), "[4 2 5]")
	n.submit("bob", "edit", `"edit":{"seq":"4","message":{"text":"edited"}}`)
	a := n.ok(n.as("bob", "MessageService/Pins", `{"conversation":"team"}`))
	equals(t, "current form", a.at("events", "2", "body", "message", "text"), "edited")
	n.submit("alice", "unpin", `"pin":{"seq":"2","removed":true}`)
	n.submit("bob", "recall", `"recall":{"seq":"4"}`)
	equals(t, "after unpin and recall", pins("bob"), "5")
	n.ok(n.app("MessageService/Erase", `{"conversation":"team","seq":"5"}`))
	equals(t, "after an erasure", pins("bob"), "")
	equals(t, "after an erasure", listed(), "<nil>")
	n.verified()
}

func TestForwarding(t *testing.T) {
	n := world(t, nil)
	n.group("other", "bob", "mallory")
	source := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"1","limit":1}`))
	time := source.at("events", "0", "timeMs").(string)
	forward := func(user, clientID, text, sender, time string) answer {
		return n.as(user, "MessageService/Submit", `{"conversation":"other","clientId":"`+clientID+`","message":{"type":"text","text":"`+text+
			`","forwarded":{"conversation":"team","seq":"2","sender":"`+sender+`","timeMs":"`+time+`"}}}`)
	}
	first := n.ok(forward("bob", "f1", "hello", "alice", time))
	n.refuses(forward("bob", "f2", "hallo", "alice", time), 400, "BAD_ARGUMENT")
	n.refuses(forward("bob", "f2", "hello", "bob", time), 400, "BAD_ARGUMENT")
	n.refuses(forward("bob", "f2", "hello", "alice", "5"), 400, "BAD_ARGUMENT")
	n.refuses(forward("mallory", "f2", "hello", "alice", time), 404, "UNKNOWN_EVENT")
	n.submit("alice", "edit", `"edit":{"seq":"2","message":{"type":"text","text":"good morning"}}`)
	n.refuses(forward("bob", "f2", "hello", "alice", time), 400, "BAD_ARGUMENT")
	n.ok(forward("bob", "f2", "good morning", "alice", time))
	n.submit("alice", "recall", `"recall":{"seq":"2"}`)
	n.refuses(forward("bob", "f3", "good morning", "alice", time), 404, "UNKNOWN_EVENT")
	again := n.ok(forward("bob", "f1", "hello", "alice", time))
	equals(t, "a retry gets the first answer", fmt.Sprint(again.at("seq"), again.at("duplicate")), fmt.Sprint(first.at("seq"), true))
	page := n.ok(n.as("mallory", "MessageService/Fetch", `{"conversation":"other","after":"1"}`))
	equals(t, "what was forwarded stays", page.at("events", "0", "body", "message", "text"), "hello")
	equals(t, "and says where it comes from", page.at("events", "0", "body", "message", "forwarded", "sender"), "alice")
	n.verified()
}

// device is one of bob's, kept up to date by pulling.
type device struct {
	n      *node
	id     string
	cursor string // JSON; "": none yet
}

// pull answers what is new of the team, and stores the cursor. A command that changes nothing goes first: what was answered
// before it is published by the time it is answered itself.
func (d *device) pull() answer {
	d.n.t.Helper()
	d.n.ok(d.n.app("ConversationService/AddMembers", `{"conversation":"team","members":["alice"]}`))
	request := `{"deviceId":"` + d.id + `"}`
	if d.cursor != "" {
		request = `{"deviceId":"` + d.id + `","cursor":` + d.cursor + `}`
	}
	a := d.n.ok(d.n.as("bob", "SyncService/Pull", request))
	if data, err := json.Marshal(a.at("cursor")); err == nil {
		d.cursor = string(data)
	}
	all, _ := a.at("conversations").([]any)
	for _, c := range all {
		if team := c.(map[string]any); team["id"] == "team" {
			return answer{body: team}
		}
	}
	return answer{}
}

func TestDeletedForOneself(t *testing.T) {
	n := world(t, nil)
	n.say("alice", "team", "s", "a secret")                   // 3
	n.submit("alice", "pin", `"pin":{"seq":"3"}`)             // 4
	n.submit("bob", "r", `"reaction":{"seq":"3","key":"+1"}`) // 5
	phone, tablet := &device{n: n, id: "phone"}, &device{n: n, id: "tablet"}
	phone.pull()
	before := tablet.pull()
	equals(t, "before", before.at("events", "2", "body", "message", "text"), "a secret")

	a := n.ok(n.as("bob", "MessageService/Delete", `{"conversation":"team","seqs":["3","3"]}`))
	equals(t, "the answer", a.at("self", "private", "deleted"), "[3]")
	for _, d := range []*device{phone, tablet} {
		changed := d.pull()
		equals(t, d.id+" is told", changed.at("self", "private", "deleted"), "[3]")
		equals(t, d.id+" gets no event", changed.at("events"), "<nil>")
		equals(t, d.id+" is told once", d.pull().body, "map[]")
	}
	n.submit("alice", "edit", `"edit":{"seq":"3","message":{"text":"another secret"}}`) // 6
	check := func(what string, event any) {
		t.Helper()
		e, _ := event.(map[string]any)
		if e["hidden"] != true || e["body"] != nil || e["bodyHash"] == nil || e["kind"] == nil || e["reactions"] != nil {
			t.Errorf("%s: %v", what, event)
		}
	}
	edit := phone.pull()
	check("an edit of it", edit.at("events", "0"))
	equals(t, "what is kept is not told again", edit.at("self", "private"), "<nil>")
	fresh := (&device{n: n, id: "new"}).pull()
	check("to a new device", fresh.at("events", "2"))
	check("to a new device, the edit", fresh.at("events", "5"))
	equals(t, "a new device is told", fresh.at("self", "private", "deleted"), "[3]")
	page := func(user string) answer {
		return n.ok(n.as(user, "MessageService/Fetch", `{"conversation":"team","after":"2"}`))
	}
	check("history", page("bob").at("events", "0"))
	check("history, the edit", page("bob").at("events", "3"))
	check("pins", n.ok(n.as("bob", "MessageService/Pins", `{"conversation":"team"}`)).at("events", "0"))
	n.refuses(n.as("bob", "MessageService/Reactions", `{"conversation":"team","seq":"3"}`), 404, "UNKNOWN_EVENT")
	equals(t, "others keep it", page("alice").at("events", "0", "body", "message", "text"), "another secret")
	equals(t, "others keep it", page("alice").at("events", "0", "hidden"), "<nil>")

	s := n.connect(n.token("bob"), `{"hello":{"deviceId":"live"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	n.submit("alice", "edit2", `"edit":{"seq":"3","message":{"text":"a third secret"}}`)
	check("live", answer{body: s.until("delta")}.at("conversations", "0", "events", "0"))
	n.refuses(n.as("bob", "MessageService/Delete", `{"conversation":"team","seqs":["4"]}`), 404, "UNKNOWN_EVENT")
	n.refuses(n.as("bob", "MessageService/Delete", `{"conversation":"team"}`), 400, "BAD_ARGUMENT")
	many := `"3"` + strings.Repeat(`,"3"`, 1000)
	n.refuses(n.as("bob", "MessageService/Delete", `{"conversation":"team","seqs":[`+many+`]}`), 429, "TOO_MANY")
	n.verified()
}

func TestClearedForOneself(t *testing.T) {
	n := world(t, nil)
	for i := range 4 { // 3 4 5 6
		n.say("alice", "team", fmt.Sprint("m", i), fmt.Sprint("message ", i))
	}
	n.ok(n.as("bob", "MessageService/Delete", `{"conversation":"team","seqs":["3","6"]}`))
	phone, tablet := &device{n: n, id: "phone"}, &device{n: n, id: "tablet"}
	phone.pull()
	equals(t, "unread before", tablet.pull().at("unread"), "5")
	a := n.ok(n.as("bob", "MessageService/Clear", `{"conversation":"team","seq":"4"}`))
	equals(t, "seen from", a.at("self", "visibleFrom"), "5")
	equals(t, "what was deleted before is forgotten", a.at("self", "private", "deleted"), "[6]")
	for _, d := range []*device{phone, tablet} {
		changed := d.pull()
		equals(t, d.id+" sees from", changed.at("self", "visibleFrom"), "5")
		equals(t, d.id+" has read", changed.at("self", "readSeq"), "4")
		equals(t, d.id+" unread", changed.at("unread"), "2")
	}
	lower := n.ok(n.as("bob", "MessageService/Clear", `{"conversation":"team","seq":"2"}`))
	equals(t, "it never falls", lower.at("self", "visibleFrom"), "5")
	page := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"0"}`))
	equals(t, "history", seqs(page.at("events")), "5 6")
	equals(t, "floor", page.at("floorSeq"), "5")
	equals(t, "others", seqs(n.ok(n.as("alice", "MessageService/Fetch", `{"conversation":"team","after":"0"}`)).at("events")), "1 2 3 4 5 6")
	n.ok(n.as("bob", "MessageService/Clear", `{"conversation":"team"}`))
	equals(t, "cleared whole", seqs(n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"0"}`)).at("events")), "")
	equals(t, "unread", phone.pull().at("unread"), "0")
	fresh := (&device{n: n, id: "new"}).pull()
	equals(t, "a new device", seqs(fresh.at("events")), "")
	equals(t, "a new device", fresh.at("self", "visibleFrom"), "7")
	n.say("alice", "team", "next", "go on") // 7
	equals(t, "what comes after", seqs(phone.pull().at("events")), "7")
	n.refuses(n.as("bob", "MessageService/Clear", `{"conversation":"team","seq":"99"}`), 400, "BAD_ARGUMENT")

	// Who comes back sees the history from the start, where that is so, but not what it has cleared.
	n.ok(n.app("ConversationService/Update", `{"conversation":"team","settings":{"historyFromStart":true}}`)) // 8
	n.ok(n.as("bob", "ConversationService/Leave", `{"conversation":"team"}`))                                 // 9
	n.ok(n.app("ConversationService/AddMembers", `{"conversation":"team","members":["bob"]}`))                // 10
	equals(t, "back again", seqs(n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"0"}`)).at("events")), "7 8 9 10")
	n.verified()
}

func TestSettingsConvergeOnThreeDevices(t *testing.T) {
	n := world(t, nil)
	devices := []*device{{n: n, id: "phone"}, {n: n, id: "tablet"}, {n: n, id: "laptop"}}
	for _, d := range devices {
		d.pull()
	}
	set := func(settings string) {
		n.ok(n.as("bob", "ConversationService/Settings", `{"conversation":"team",`+settings+`}`))
	}
	told := func(what string, want string, path ...string) {
		t.Helper()
		for _, d := range devices {
			equals(t, d.id+": "+what, d.pull().at(append([]string{"self"}, path...)...), want)
		}
	}
	set(`"pinned":true`)
	told("pinned", "true", "pinned")
	set(`"pinned":false`)
	told("no longer pinned", "<nil>", "pinned")
	set(`"muted":true,"alias":"us"`)
	told("muted", "true", "muted")
	set(`"alias":"them"`)
	told("alias", "them", "alias")
	set(`"markedUnread":true`)
	told("marked unread", "true", "markedUnread")
	n.ok(n.as("bob", "MessageService/Read", `{"conversation":"team","seq":"2"}`))
	told("read", "<nil>", "markedUnread")
	set(`"hidden":true`)
	told("hidden", "true", "hidden")
	n.say("alice", "team", "c", "come back")
	told("back with a message", "<nil>", "hidden")
	set(`"draft":{"text":"well","replyTo":"2"}`)
	set(`"draft":{"text":"well, no"}`) // the last one holds
	told("draft", "well, no", "private", "draft", "text")
	n.say("bob", "team", "own", "well, no")
	equals(t, "a message does not take the draft away", devices[0].pull().at("self", "private"), "<nil>")
	equals(t, "Get has it", n.ok(n.as("bob", "ConversationService/Get", `{"conversation":"team"}`)).at("conversation", "self", "private", "draft", "text"), "well, no")
	equals(t, "List leaves it out", n.ok(n.as("bob", "ConversationService/List", `{}`)).at("conversations", "0", "self", "private"), "<nil>")
	equals(t, "a new device has it", (&device{n: n, id: "new"}).pull().at("self", "private", "draft", "text"), "well, no")
	devices[1].pull()
	devices[2].pull()
	set(`"draft":{"text":""}`)
	told("no draft", "map[]", "private")
	set(`"draft":{"text":""}`)
	equals(t, "nothing new", devices[0].pull().body, "map[]")
	n.refuses(n.as("bob", "ConversationService/Settings", `{"conversation":"team","draft":{"text":"`+strings.Repeat("x", 8<<10+1)+`"}}`), 400, "TOO_LARGE")
	n.refuses(n.as("bob", "ConversationService/Settings", `{"conversation":"team","draft":{"text":"x","replyTo":"99"}}`), 404, "UNKNOWN_EVENT")
	equals(t, "others have none of it", n.ok(n.as("alice", "SyncService/Pull", `{"deviceId":"a"}`)).at("conversations", "0", "self", "private"), "<nil>")
	n.verified()
}
