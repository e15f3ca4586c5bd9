// SPDX-License-Identifier: Apache-2.0

// The classes of messages, and the windows in which a message may be changed.

package server_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-im/tidemark/server"
)

// unread is what bob has not read in the team.
func unread(n *node) any {
	n.t.Helper()
	return n.ok(n.as("bob", "ConversationService/Get", `{"conversation":"team"}`)).at("conversation", "unread")
}

func TestA3MessageClassesNormalIsStoredAndCounted(t *testing.T) {
	n := world(t, nil)
	before := unread(n)
	equals(t, "seq", n.submit("alice", "n", `"message":{"text":"normal"}`), "3")
	equals(t, "unread", before.(string)+unread(n).(string), "12")
	equals(t, "a new device", (&device{n: n, id: "d"}).pull().at("events", "2", "counted"), "2")
}

func TestA3MessageClassesSilentIsStoredAndNotCounted(t *testing.T) {
	n := world(t, nil)
	equals(t, "seq", n.submit("alice", "s", `"message":{"text":"silent","class":"SILENT","mentions":["bob"]}`), "3")
	equals(t, "unread", unread(n), "1")
	later := (&device{n: n, id: "d"}).pull()
	equals(t, "who was offline gets it", later.at("events", "2", "body", "message", "text"), "silent")
	equals(t, "counted", later.at("events", "2", "counted"), "1")
	equals(t, "mentions", later.at("mentions"), "0")
}

func TestA3MessageClassesTransientReachesWhoIsOnline(t *testing.T) {
	n := world(t, nil)
	s := n.connect(n.token("bob"), `{"hello":{"deviceId":"phone"}}`)
	defer s.c.CloseNow()
	s.until("synced")
	a := n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"t","message":{"text":"transient","class":"TRANSIENT"}}`))
	equals(t, "seq", a.at("seq"), "<nil>")
	signal := answer{body: s.until("signal")}
	equals(t, "the signal", signal.at("transient", "message", "text"), "transient")
	equals(t, "unread", unread(n), "1")
	equals(t, "history", seqs(n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team"}`)).at("events")), "1 2")
	equals(t, "the same client id is free", n.submit("alice", "t", `"message":{"text":"stored"}`), "3")
}

func TestEditAndRecallWindows(t *testing.T) {
	var later atomic.Int64 // ns
	n := world(t, func(c *server.Config) {
		c.Limits.EditWindowMs, c.Limits.RecallWindowMs = 60_000, 120_000
		c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	n.say("bob", "team", "b1", "mine") // 3
	change := func(user, clientID, action string) answer {
		return n.as(user, "MessageService/Submit", `{"conversation":"team","clientId":"`+clientID+`",`+action+`}`)
	}
	n.ok(change("bob", "e1", `"edit":{"seq":"3","message":{"text":"still mine"}}`))
	n.refuses(change("alice", "e2", `"edit":{"seq":"3","message":{"text":"not hers"}}`), 403, "NOT_ALLOWED")
	later.Store(int64(90 * time.Second))
	n.refuses(change("bob", "e3", `"edit":{"seq":"3","message":{"text":"too late"}}`), 400, "EDIT_WINDOW_OVER")
	again := n.ok(change("bob", "e1", `"edit":{"seq":"3","message":{"text":"still mine"}}`))
	equals(t, "a retry after the window gets the first answer", again.at("duplicate"), true)
	for _, from := range []string{`"after":"2"`, `"before":"4"`, `"latest":true`, `"at":"0"`, `"hour":"99999999999999"`} {
		page := n.ok(n.as("alice", "MessageService/Fetch", `{"conversation":"team",`+from+`}`))
		shown := ""
		for _, e := range page.at("events").([]any) {
			if event := (answer{body: e.(map[string]any)}); event.at("seq") == "3" {
				shown, _ = event.at("body", "message", "text").(string)
			}
		}
		equals(t, "current form "+from, shown, "still mine")
	}
	later.Store(int64(150 * time.Second))
	n.refuses(change("bob", "r1", `"recall":{"seq":"3"}`), 400, "EDIT_WINDOW_OVER")
	n.ok(change("alice", "r2", `"recall":{"seq":"3"}`)) // who owns the group has no window
	n.refuses(change("bob", "e4", `"edit":{"seq":"3","message":{"text":"gone"}}`), 404, "UNKNOWN_EVENT")
	n.verified()
}
