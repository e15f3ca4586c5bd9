// SPDX-License-Identifier: Apache-2.0

// Who has read what, what waits for whom: receipts, badges and mentions over HTTP.

package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// names are the users of an answer, sorted.
func names(a answer) string {
	var list []string
	users, _ := a.at("users").([]any)
	for _, user := range users {
		list = append(list, user.(string))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestA2ReceiptsAtAnySizeOfAMessage(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.users("alice", "bob", "carol", "dave", "erin")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"team","members":["bob","carol","dave"]}`))
	n.say("alice", "team", "c1", "old") // 2
	n.ok(n.as("alice", "ConversationService/AddMembers", `{"conversation":"team","members":["erin"]}`))
	n.say("alice", "team", "c2", "new") // 4

	ask := func(user string, seq int, more string) answer {
		return n.ok(n.as(user, "MessageService/Receipts", fmt.Sprintf(`{"conversation":"team","seq":"%d"%s}`, seq, more)))
	}
	want := func(a answer, members, delivered, read float64, users string) {
		t.Helper()
		count := func(name string) float64 { v, _ := a.at(name).(float64); return v }
		if count("members") != members || count("delivered") != delivered || count("read") != read || names(a) != users {
			t.Errorf("want %v %v %v %q: %s", members, delivered, read, users, a.text)
		}
	}
	want(ask("alice", 2, `,"missing":true`), 3, 0, 0, "bob carol dave")
	want(ask("alice", 4, ``), 4, 0, 0, "")

	n.ok(n.as("bob", "MessageService/Read", `{"conversation":"team","seq":"4"}`))
	n.ok(n.as("carol", "MessageService/Read", `{"conversation":"team","seq":"2"}`))
	pulled := n.ok(n.as("dave", "SyncService/Pull", `{"deviceId":"phone"}`))
	cursor, _ := json.Marshal(pulled.at("cursor"))
	n.ok(n.as("dave", "SyncService/Ack", fmt.Sprintf(`{"deviceId":"phone","cursor":%s}`, cursor)))
	want(ask("bob", 2, ``), 3, 3, 2, "bob carol")
	want(ask("carol", 2, `,"missing":true`), 3, 3, 2, "dave")
	want(ask("alice", 4, `,"mark":"DELIVERED"`), 4, 2, 1, "bob dave")
	want(ask("alice", 4, `,"mark":"DELIVERED","missing":true`), 4, 2, 1, "carol erin")

	first := ask("alice", 4, `,"missing":true,"pageSize":2`)
	token, _ := first.at("nextPageToken").(string)
	second := ask("alice", 4, `,"missing":true,"pageSize":2,"pageToken":"`+token+`"`)
	if names(first)+" "+names(second) != "carol dave erin" || second.at("nextPageToken") != nil {
		t.Errorf("two pages: %s %s", first.text, second.text)
	}
	n.refuses(n.as("alice", "MessageService/Receipts", `{"conversation":"team","seq":"4","pageToken":"`+token+`"}`), 400, "BAD_ARGUMENT")
	n.refuses(n.as("alice", "MessageService/Receipts", `{"conversation":"team","seq":"3"}`), 404, "UNKNOWN_EVENT") // a join
	n.refuses(n.as("erin", "MessageService/Receipts", `{"conversation":"team","seq":"2"}`), 404, "UNKNOWN_EVENT")  // before erin's time

	n.ok(n.as("bob", "ConversationService/Leave", `{"conversation":"team"}`))
	want(n.ok(n.app("MessageService/Receipts", `{"conversation":"team","seq":"2"}`)), 2, 2, 1, "carol")
}

// In a channel everybody sees how many have read, and only who keeps it who.
func TestReceiptsInAChannel(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.users("alice", "bob", "carol")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"news","kind":"CHANNEL","members":["bob","carol"]}`))
	n.say("alice", "news", "c1", "hear")
	n.ok(n.as("bob", "MessageService/Read", `{"conversation":"news","seq":"2"}`))
	for user, users := range map[string]string{"alice": "bob", "bob": "", "carol": ""} {
		a := n.ok(n.as(user, "MessageService/Receipts", `{"conversation":"news","seq":"2"}`))
		if a.at("members") != 2.0 || a.at("read") != 1.0 || names(a) != users {
			t.Errorf("%s gets %s", user, a.text)
		}
	}
}

func TestBadgeAndMentions(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.users("alice", "bob")
	for _, id := range []string{"one", "two", "three"} {
		n.ok(n.as("alice", "ConversationService/Create", `{"id":"`+id+`","members":["bob"]}`))
	}
	tell := func(id, client, message string) {
		time.Sleep(2 * time.Millisecond) // what lies in different partitions is ordered by its time
		n.ok(n.as("alice", "MessageService/Submit", fmt.Sprintf(`{"conversation":%q,"clientId":%q,"message":%s}`, id, client, message)))
	}
	tell("one", "a", `{"text":"plain"}`)
	tell("one", "b", `{"text":"you","mentions":["bob"]}`)
	tell("two", "c", `{"text":"all","mentionAll":true}`)
	tell("two", "d", `{"text":"more"}`)
	tell("three", "e", `{"text":"muted","mentions":["bob"]}`)
	n.ok(n.as("bob", "ConversationService/Settings", `{"conversation":"three","muted":true}`))
	n.ok(n.as("bob", "MessageService/Read", `{"conversation":"two","seq":"2"}`))

	badge := n.ok(n.as("bob", "ConversationService/Badge", `{}`))
	if badge.at("unread") != "3" || badge.at("mentions") != "2" || badge.at("conversations") != 3.0 {
		t.Errorf("bob's badge: %s", badge.text)
	}
	listed := func(body string) (texts string, token string) {
		a := n.ok(n.as("bob", "MessageService/Mentions", body))
		list, _ := a.at("mentions").([]any)
		for i := range list {
			texts += fmt.Sprint(a.at("mentions", fmt.Sprint(i), "event", "body", "message", "text"), " ")
		}
		token, _ = a.at("nextPageToken").(string)
		return texts, token
	}
	if texts, _ := listed(`{}`); texts != "muted all you " {
		t.Errorf("mentions: %s", texts)
	}
	if texts, _ := listed(`{"unread":true}`); texts != "muted you " {
		t.Errorf("unread mentions: %s", texts)
	}
	if texts, _ := listed(`{"conversation":"one"}`); texts != "you " {
		t.Errorf("mentions in one: %s", texts)
	}
	texts, token := listed(`{"pageSize":2}`)
	rest, _ := listed(`{"pageSize":2,"pageToken":"` + token + `"}`)
	if texts+rest != "muted all you " {
		t.Errorf("two pages: %s, %s", texts, rest)
	}
	n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"one","clientId":"r","recall":{"seq":"3"}}`))
	if texts, _ := listed(`{}`); texts != "muted all " {
		t.Errorf("a recalled message is listed: %s", texts)
	}
	n.ok(n.as("bob", "ConversationService/Leave", `{"conversation":"two"}`))
	if texts, _ := listed(`{}`); texts != "muted " {
		t.Errorf("a conversation that was left is listed: %s", texts)
	}
}

// In a group of more than 32 members the author hears counts over the WebSocket, after at most a second or so.
func TestA2ReceiptsAtAnySizeAuthorsHearCounts(t *testing.T) {
	const readers = 40
	n := start(t, t.TempDir(), nil)
	users := []string{"alice"}
	var members []string
	for i := range readers {
		users = append(users, fmt.Sprint("u", i))
		members = append(members, fmt.Sprintf(`"u%d"`, i))
	}
	n.users(users...)
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"crowd","members":[`+strings.Join(members, ",")+`]}`))
	s := n.connect(n.token("alice"), `{"hello":{"deviceId":"phone"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	n.say("alice", "crowd", "c1", "who reads?")
	for _, user := range users[1:] {
		n.ok(n.as(user, "MessageService/Read", `{"conversation":"crowd","seq":"2"}`))
	}
	for heard := 1; ; heard++ {
		signal := answer{body: s.until("signal")}
		if signal.at("receipt", "conversation") != "crowd" || signal.at("receipt", "seq") != "2" || signal.at("receipt", "user") != nil {
			t.Fatalf("%v", signal.body)
		}
		if signal.at("receipt", "readCount") == float64(readers) && signal.at("receipt", "deliveredCount") == float64(readers) {
			break
		}
		if heard == 10 {
			t.Fatalf("%d signals and not all have read: %v", heard, signal.body)
		}
	}
}
