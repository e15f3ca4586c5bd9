// SPDX-License-Identifier: Apache-2.0

// Contracts over HTTP: a client that keeps its sets by versions alone.

package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// changes asks with these versions of everything that bob keeps, given as what was answered before; "" for nothing.
func (n *node) changes(before answer) answer {
	n.t.Helper()
	version := func(path ...string) string { v, _ := before.at(path...).(string); return v }
	return n.ok(n.as("bob", "SyncService/Changes", fmt.Sprintf(`{
		"groups":{"listVersion":%q,"infoVersion":%q},
		"groupMembers":[{"conversation":"team","listVersion":%q,"infoVersion":%q},{"conversation":"secret"}],
		"contacts":{"listVersion":%q,"infoVersion":%q},
		"profiles":{"users":["alice","nobody"],"infoVersion":%q}}`,
		version("groups", "listVersion"), version("groups", "infoVersion"),
		version("groupMembers", "0", "listVersion"), version("groupMembers", "0", "infoVersion"),
		version("contacts", "listVersion"), version("contacts", "infoVersion"), version("profiles", "infoVersion"))))
}

// want fails the test unless a part of the answer is this JSON.
func (a answer) want(t *testing.T, want string, path ...string) {
	t.Helper()
	got, err := json.Marshal(a.at(path...))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is\n%s, want\n%s", strings.Join(path, "."), got, want)
	}
}

func TestA4SeveralContractsInOneRequest(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice", "bob", "carol")
	n.group("team", "alice", "bob")
	n.group("secret", "alice")
	first := n.changes(answer{})
	first.want(t, `true`, "groups", "full")
	first.want(t, `"team"`, "groups", "joined", "0", "id")
	first.want(t, `[{"joinedSeq":"1","role":"MEMBER","user":"alice"},{"joinedSeq":"1","role":"MEMBER","user":"bob"}]`, "groupMembers", "0", "members")
	first.want(t, `"NOT_MEMBER"`, "groupMembers", "1", "error", "reason")
	first.want(t, `["nobody"]`, "profiles", "unknown")

	n.ok(n.app("ConversationService/AddMembers", `{"conversation":"team","members":["carol"]}`))
	n.ok(n.app("ConversationService/Create", `{"id":"news","kind":"CHANNEL","title":"News","members":["bob"]}`))
	n.ok(n.as("alice", "UserService/Update", `{"userId":"alice","nickname":"Alice B"}`))
	n.say("alice", "team", "c1", "hello")
	if err := n.stop(); err != nil { // versions outlive the process
		t.Fatal(err)
	}
	n = start(t, dir, nil)
	second := n.changes(first)
	second.want(t, `null`, "groups", "full")
	second.want(t, `"news"`, "groups", "joined", "0", "id")
	second.want(t, `null`, "groups", "joined", "1")
	second.want(t, `"team"`, "groups", "changed", "0", "id")
	second.want(t, `3`, "groups", "changed", "0", "info", "memberCount")
	second.want(t, `"2"`, "groupMembers", "0", "events", "0", "seq")
	second.want(t, `["carol"]`, "groupMembers", "0", "events", "0", "added")
	second.want(t, `["carol","alice"]`, "groupMembers", "0", "changed")
	second.want(t, `["alice"]`, "profiles", "changed")
	second.want(t, `"Carol"`, "changedProfiles", "0", "nickname")
	second.want(t, `"Alice B"`, "changedProfiles", "1", "nickname")
	second.want(t, `null`, "changedProfiles", "2")

	third := n.changes(second)
	third.want(t, `null`, "changedProfiles")
	third.want(t, `null`, "groupMembers", "0", "events")
	third.want(t, `null`, "groups", "joined")
}
