// SPDX-License-Identifier: Apache-2.0

// Messages for later and events that are no longer kept, across a restart.

package server_test

import (
	"fmt"
	"testing"
	"time"
)

func TestScheduledMessageAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice", "bob", "carol")
	n.group("team", "alice", "bob")
	at := func(d time.Duration) string { return fmt.Sprint(time.Now().Add(d).UnixMilli()) }
	n.ok(n.as("alice", "MessageService/Schedule", `{"conversation":"team","clientId":"s1","atMs":"`+at(1500*time.Millisecond)+`","message":{"text":"later"}}`))
	n.ok(n.as("alice", "MessageService/Schedule", `{"toUser":"carol","clientId":"s2","atMs":"`+at(1500*time.Millisecond)+`","message":{"text":"hello carol"}}`))
	n.ok(n.as("bob", "MessageService/Schedule", `{"conversation":"team","clientId":"s3","atMs":"`+at(1500*time.Millisecond)+`","message":{"text":"too late"}}`))
	n.ok(n.as("alice", "MessageService/Schedule", `{"conversation":"team","clientId":"s4","atMs":"`+at(time.Hour)+`","message":{"text":"taken back"}}`))
	n.ok(n.as("alice", "MessageService/Unschedule", `{"conversation":"team","clientId":"s4"}`))
	n.refuses(n.as("alice", "MessageService/Schedule", `{"conversation":"team","clientId":"s5","atMs":"1","message":{"text":"x"}}`), 400, "BAD_ARGUMENT")
	n.ok(n.app("ConversationService/RemoveMembers", `{"conversation":"team","members":["bob"]}`))
	if got := n.ok(n.as("alice", "MessageService/Scheduled", `{"pageSize":1}`)).text; len(got) < 50 {
		t.Errorf("what waits is %s", got)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, dir, nil)
	deadline := time.Now().Add(20 * time.Second)
	for n.ok(n.as("alice", "MessageService/Scheduled", `{}`)).text != "{}" && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	for conversation, text := range map[string]string{"team": "later", "alice~carol": "hello carol"} {
		event := n.ok(n.as("alice", "MessageService/Fetch", `{"conversation":"`+conversation+`","latest":true}`))
		if got := event.at("events", "1", "body", "message", "text"); conversation != "team" && got != text {
			t.Errorf("in %s there is %s", conversation, event.text)
		}
	}
	again := n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"s1","message":{"text":"later"}}`))
	if again.at("duplicate") != true {
		t.Errorf("the same message submitted by hand is answered %s", again.text)
	}
	failed := n.ok(n.as("bob", "MessageService/Scheduled", `{}`))
	if failed.at("scheduled", "0", "failed", "reason") != "NOT_MEMBER" {
		t.Errorf("bob, who was removed, is told %s", failed.text)
	}
	n.ok(n.as("bob", "MessageService/Unschedule", `{"conversation":"team","clientId":"s3"}`))
}

func TestA2RetentionAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice", "bob")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"team","members":["bob"],"settings":{"retention":{"mode":"BY_COUNT","maxCount":"5"}}}`))
	n.refuses(n.as("alice", "ConversationService/Create", `{"id":"none","settings":{"retention":{"mode":"BY_AGE"}}}`), 400, "BAD_ARGUMENT")
	for i := range 80 {
		n.say("alice", "team", fmt.Sprint("c", i), fmt.Sprint("message ", i))
	}
	floor := func() string {
		t.Helper()
		return fmt.Sprint(n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"0"}`)).at("floorSeq"))
	}
	before := ""
	for deadline := time.Now().Add(20 * time.Second); before != "66" && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		before = floor()
	}
	if before != "66" { // with the 70th event the first 65 went
		t.Fatalf("the log begins at %s", before)
	}
	n.refuses(n.as("alice", "MessageService/Erase", `{"conversation":"team","seq":"10"}`), 404, "UNKNOWN_EVENT")
	n.refuses(n.as("bob", "SyncService/Verify", `{"conversation":"team","seq":"10"}`), 404, "UNKNOWN_EVENT")
	if got := n.ok(n.as("bob", "SyncService/Verify", `{"conversation":"team","seq":"65"}`)); got.at("floorSeq") != "66" {
		t.Errorf("the chain just before what is kept: %s", got.text)
	}
	if got := n.ok(n.as("bob", "ConversationService/Get", `{"conversation":"team"}`)); got.at("conversation", "unread") != "16" || got.at("conversation", "floorSeq") != "66" {
		t.Errorf("the conversation is %s", got.text)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, dir, nil)
	if after := floor(); after != before {
		t.Errorf("after the restart the log begins at %s", after)
	}
	n.say("alice", "team", "c0", "message 0 again")
}
