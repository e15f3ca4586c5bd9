// SPDX-License-Identifier: Apache-2.0

// The calls that docs/api.md shows, in the order in which they are made.

package server_test

import (
	"strconv"
	"time"
)

const apiIntroduction = `# The HTTP API

Every method is ` + "`POST /tidemark.v1.<Service>/<Method>`" + ` with a JSON body; Connect and gRPC are spoken on the same port. The app's
back end calls with ` + "`Authorization: Bearer <admin key>`" + `, and for a user with ` + "`Tidemark-User: <user id>`" + ` besides; a user calls with
its own token. 64-bit numbers are strings, bytes are base64, members that have their zero value are left out.

A refusal has an HTTP status, a Connect code, and one of the stable reasons of [PROTOCOL.md](../PROTOCOL.md) at the beginning of
its message and in its details. Besides the refusals listed with a method, every method refuses ` + "`BAD_TOKEN`" + ` (no valid token or key),
` + "`BAD_ARGUMENT`" + ` (what is asked for makes no sense; the message says which field), ` + "`UNKNOWN_USER`" + ` (the user in the header does not
exist), ` + "`RATE_LIMITED`" + ` and ` + "`UNAVAILABLE`" + ` (with ` + "`retryAfterMs`" + `).

What follows was made by calling a server: the answers are real (digests, times and ids are replaced), and so is the cost, counted
while the call was made: commits of the journal (each one write and one sync, shared by all calls of the same moment), bytes given
to it, and look-ups in the store that memory could not answer.
`

// inAWeek is a time to schedule something for, Unix ms.
var inAWeek = strconv.FormatInt(time.Now().Add(7*24*time.Hour).UnixMilli(), 10)

var examples = []example{
	{method: "UserService/Upsert", as: "app", body: `{"user":{"id":"alice","nickname":"Alice","custom":{"team":"red"}}}`,
		cost: "the same for a user with any number of groups and contacts", refused: []refuse{
			{"alice", `{"user":{"id":"alice"}}`, "a user's own token"}, {"app", `{"user":{"id":"no spaces"}}`, "an id that is none"}}},
	{method: "UserService/Upsert", as: "app", body: `{"user":{"id":"bob","nickname":"Bob"}}`, hidden: true},
	{method: "UserService/Upsert", as: "app", body: `{"user":{"id":"carol","nickname":"Carol"}}`, hidden: true},
	{method: "UserService/Upsert", as: "app", body: `{"user":{"id":"dave","nickname":"Dave"}}`, hidden: true},
	{method: "UserService/Upsert", as: "app", body: `{"user":{"id":"erin","nickname":"Erin"}}`, hidden: true},
	{method: "UserService/Upsert", as: "app", body: `{"user":{"id":"mallory","nickname":"Mallory"}}`, hidden: true},
	{method: "UserService/Get", as: "alice", body: `{"userId":"bob"}`, refused: []refuse{{"alice", `{"userId":"nobody"}`, "a user who does not exist"}}},
	{method: "UserService/Update", as: "alice", body: `{"nickname":"Alice A."}`, cost: "one row and its place in the order of changes; nothing is copied into groups or contact lists",
		refused: []refuse{{"mallory", `{"userId":"alice","nickname":"x"}`, "another user's profile"}, {"app", `{"userId":"nobody","nickname":"x"}`, "a user who does not exist"}}},
	{method: "UserService/IssueToken", as: "app", body: `{"userId":"alice","deviceId":"phone","ttlMs":"3600000"}`,
		refused: []refuse{{"alice", `{"userId":"alice"}`, "a user's own token"}, {"app", `{"userId":"nobody"}`, "a user who does not exist"}}},
	{method: "UserService/Options", as: "alice", body: `{"hideTyping":true}`, refused: []refuse{{"mallory", `{"userId":"alice","hideTyping":true}`, "another user's options"}}},

	{method: "ConversationService/Create", as: "alice", body: `{"id":"team","kind":"GROUP","title":"Team","members":["bob","carol"],"settings":{"historyFromStart":true}}`,
		cost: "one row for each member", refused: []refuse{{"alice", `{"id":"team"}`, "an id that is taken"}, {"alice", `{"id":"x","members":["nobody"]}`, "a member who does not exist"},
			{"alice", `{"id":"x","kind":"DIRECT"}`, "a kind that is not made"}}},
	{method: "MessageService/Submit", as: "alice", body: `{"conversation":"team","clientId":"c1","message":{"type":"text","text":"hello @bob","mentions":["bob"]}}`,
		cost: "the same for any number of members", refused: []refuse{stranger(`{"conversation":"team","clientId":"m1","message":{"text":"x"}}`),
			{"alice", `{"toUser":"nobody","clientId":"m1","message":{"text":"x"}}`, "to a user who does not exist"},
			{"alice", `{"conversation":"team","clientId":"m2","message":{}}`, "an empty message"},
			{"bob", `{"conversation":"team","clientId":"m3","edit":{"seq":"2","message":{"text":"x"}}}`, "editing another's message"},
			{"bob", `{"conversation":"team","clientId":"m4","recall":{"seq":"99"}}`, "about a message that is not there"}}},
	{method: "MessageService/Submit", as: "bob", body: `{"conversation":"team","clientId":"c2","message":{"type":"text","text":"hi","thread":"2"}}`, hidden: true},
	{method: "MessageService/Submit", as: "bob", body: `{"conversation":"team","clientId":"c3","reaction":{"seq":"2","key":"👍"}}`, hidden: true},
	{method: "MessageService/Submit", as: "alice", body: `{"conversation":"team","clientId":"c4","pin":{"seq":"2"}}`, hidden: true},
	{method: "MessageService/Fetch", as: "bob", body: `{"conversation":"team","after":"1","limit":2}`, cost: "grows with the page",
		refused: []refuse{stranger(`{"conversation":"team"}`), {"bob", `{"conversation":"none"}`, "a conversation that does not exist"}}},
	{method: "MessageService/Hours", as: "bob", body: `{"conversation":"team"}`, cost: "grows with the page", refused: []refuse{stranger(`{"conversation":"team"}`)}},
	{method: "MessageService/Read", as: "carol", body: `{"conversation":"team","seq":"3"}`, cost: "one row, however much was unread",
		refused: []refuse{stranger(`{"conversation":"team","seq":"1"}`), {"carol", `{"conversation":"team","seq":"99"}`, "past the head"}}},
	{method: "MessageService/Receipts", as: "alice", body: `{"conversation":"team","seq":"2","mark":"READ"}`, cost: "nothing is written; the marks of a conversation are gathered in memory at its first question",
		refused: []refuse{stranger(`{"conversation":"team","seq":"2"}`), {"alice", `{"conversation":"team","seq":"99"}`, "a message that is not there"}}},
	{method: "MessageService/Mentions", as: "bob", body: `{"conversation":"team"}`, cost: "grows with the page", refused: []refuse{stranger(`{"conversation":"team"}`)}},
	{method: "MessageService/Reactions", as: "alice", body: `{"conversation":"team","seq":"2"}`, cost: "grows with the page",
		refused: []refuse{stranger(`{"conversation":"team","seq":"2"}`), {"alice", `{"conversation":"team","seq":"99"}`, "a message that is not there"}}},
	{method: "MessageService/Pins", as: "bob", body: `{"conversation":"team"}`, cost: "grows with the number of pins, at most 100", refused: []refuse{stranger(`{"conversation":"team"}`)}},
	{method: "MessageService/Trace", as: "alice", body: `{"conversation":"team","seq":"2"}`, cost: "grows with the page of members",
		refused: []refuse{stranger(`{"conversation":"team","seq":"2"}`), {"alice", `{"conversation":"team","seq":"99"}`, "a message that is not there"}}},
	{method: "MessageService/Delete", as: "bob", body: `{"conversation":"team","seqs":["3"]}`, cost: "grows with what the user has deleted in this conversation, at most 10,000 numbers",
		refused: []refuse{stranger(`{"conversation":"team","seqs":["2"]}`), {"bob", `{"conversation":"team","seqs":["99"]}`, "a message that is not there"}}},
	{method: "MessageService/Clear", as: "carol", body: `{"conversation":"team","seq":"2"}`, cost: "one row, however much is cleared", refused: []refuse{stranger(`{"conversation":"team"}`)}},
	{method: "MessageService/Schedule", as: "alice", body: `{"conversation":"team","clientId":"later","message":{"type":"text","text":"good morning"},"atMs":"` + inAWeek + `"}`,
		refused: []refuse{stranger(`{"conversation":"team","clientId":"later","message":{"text":"x"},"atMs":"` + inAWeek + `"}`),
			{"alice", `{"conversation":"team","clientId":"late","message":{"text":"x"},"atMs":"1"}`, "a time that is past"}}},
	{method: "MessageService/Scheduled", as: "alice", body: `{}`, cost: "grows with the page and the user's conversations"},
	{method: "MessageService/Unschedule", as: "alice", body: `{"conversation":"team","clientId":"later"}`, refused: []refuse{stranger(`{"conversation":"team","clientId":"later"}`)}},
	{method: "MessageService/Erase", as: "alice", body: `{"conversation":"team","seq":"2"}`,
		refused: []refuse{{"bob", `{"conversation":"team","seq":"2"}`, "another's message"}, stranger(`{"conversation":"team","seq":"2"}`), {"alice", `{"conversation":"team","seq":"99"}`, "a message that is not there"}}},

	{method: "ConversationService/Get", as: "bob", body: `{"conversation":"team"}`, refused: []refuse{stranger(`{"conversation":"team"}`), {"bob", `{"conversation":"none"}`, "a conversation that does not exist"}}},
	{method: "ConversationService/List", as: "bob", body: `{"pageSize":10}`, cost: "the list is compared in memory; grows with the page", refused: []refuse{{"bob", `{"pageToken":"nonsense"}`, "a token that is not of a page before"}}},
	{method: "ConversationService/Badge", as: "carol", body: `{}`, cost: "grows with the number of the user's conversations, from memory"},
	{method: "ConversationService/Update", as: "alice", body: `{"conversation":"team","title":"The team","announcement":"We meet at ten."}`, cost: "the same for any number of members",
		refused: []refuse{{"bob", `{"conversation":"team","title":"x"}`, "a member without the right"}, stranger(`{"conversation":"team","title":"x"}`)}},
	{method: "ConversationService/AddMembers", as: "alice", body: `{"conversation":"team","members":["dave"]}`, cost: "grows with the number added, not with the number there",
		refused: []refuse{{"bob", `{"conversation":"team","members":["erin"]}`, "a member without the right"}, {"alice", `{"conversation":"team","members":["nobody"]}`, "a user who does not exist"}}},
	{method: "ConversationService/ListMembers", as: "bob", body: `{"conversation":"team","pageSize":2}`, cost: "grows with the page", refused: []refuse{stranger(`{"conversation":"team"}`)}},
	{method: "ConversationService/SetRole", as: "alice", body: `{"conversation":"team","members":["bob"],"role":"ADMIN"}`,
		refused: []refuse{{"carol", `{"conversation":"team","members":["dave"],"role":"ADMIN"}`, "a member without the right"}, stranger(`{"conversation":"team","members":["dave"],"role":"ADMIN"}`)}},
	{method: "ConversationService/Mute", as: "bob", body: `{"conversation":"team","members":["dave"],"forMs":"600000"}`,
		refused: []refuse{{"carol", `{"conversation":"team","members":["dave"],"forMs":"1"}`, "a member without the right"}, {"bob", `{"conversation":"team","members":["alice"],"forMs":"1"}`, "somebody of a higher role"}}},
	{method: "ConversationService/Settings", as: "bob", body: `{"conversation":"team","pinned":true,"draft":{"text":"I think","replyTo":"3"}}`, refused: []refuse{stranger(`{"conversation":"team","pinned":true}`)}},
	{method: "ConversationService/RemoveMembers", as: "bob", body: `{"conversation":"team","members":["dave"]}`, cost: "grows with the number removed",
		refused: []refuse{{"carol", `{"conversation":"team","members":["bob"]}`, "a member without the right"}, {"bob", `{"conversation":"team","members":["alice"]}`, "somebody of a higher role"}}},
	{method: "ConversationService/Create", as: "alice", body: `{"id":"club","kind":"GROUP","title":"Club","settings":{"join":"REQUEST"}}`, hidden: true},
	{method: "ConversationService/Join", as: "erin", body: `{"conversation":"club","text":"Bob told me of you."}`, cost: "the same for any number of members",
		refused: []refuse{{"erin", `{"conversation":"team"}`, "a conversation that is not open"}, {"erin", `{"conversation":"none"}`, "a conversation that does not exist"}}},
	{method: "ConversationService/JoinRequests", as: "alice", body: `{"conversation":"club"}`, refused: []refuse{stranger(`{"conversation":"club"}`)}},
	{method: "ConversationService/AnswerJoin", as: "alice", body: `{"conversation":"club","users":["erin"],"accept":true}`, refused: []refuse{stranger(`{"conversation":"club","users":["erin"],"accept":true}`)}},
	{method: "ConversationService/Transfer", as: "alice", body: `{"conversation":"club","member":"erin"}`,
		refused: []refuse{{"alice", `{"conversation":"club","member":"alice"}`, "who does not own it any more"}, stranger(`{"conversation":"club","member":"erin"}`)}},
	{method: "ConversationService/Leave", as: "alice", body: `{"conversation":"club"}`, refused: []refuse{stranger(`{"conversation":"club"}`)}},
	{method: "ConversationService/Dissolve", as: "erin", body: `{"conversation":"club"}`, cost: "the same for any number of members", refused: []refuse{stranger(`{"conversation":"club"}`)}},
	{method: "ConversationService/Create", as: "alice", body: `{"id":"stage","kind":"ROOM","title":"Stage"}`, hidden: true},
	{method: "ConversationService/SetAttributes", as: "alice", body: `{"conversation":"stage","set":{"topic":"tides"}}`, refused: []refuse{{"mallory", `{"conversation":"stage","set":{"topic":"x"}}`, "who is not in the room"}}},

	{method: "ContactService/Request", as: "alice", body: `{"user":"dave","text":"It is me, Alice."}`, refused: []refuse{{"alice", `{"user":"nobody"}`, "a user who does not exist"}, {"alice", `{"user":"alice"}`, "oneself"}}},
	{method: "ContactService/Answer", as: "dave", body: `{"user":"alice","accept":true}`, refused: []refuse{{"dave", `{"user":"bob","accept":true}`, "somebody who has not asked"}}},
	{method: "ContactService/Remark", as: "dave", body: `{"user":"alice","remark":"Alice from work"}`, refused: []refuse{{"dave", `{"user":"nobody","remark":"x"}`, "a user who does not exist"}}},
	{method: "ContactService/List", as: "dave", body: `{}`, cost: "grows with the page", refused: []refuse{{"dave", `{"pageToken":"nonsense"}`, "a token that is not of a page before"}}},
	{method: "ContactService/Block", as: "dave", body: `{"user":"mallory"}`, refused: []refuse{{"dave", `{"user":"nobody"}`, "a user who does not exist"}}},
	{method: "ContactService/Unblock", as: "dave", body: `{"user":"mallory"}`, refused: []refuse{{"dave", `{"user":"nobody"}`, "a user who does not exist"}}},
	{method: "ContactService/Remove", as: "alice", body: `{"user":"dave"}`, refused: []refuse{{"alice", `{"user":"nobody"}`, "a user who does not exist"}}},

	{method: "SyncService/Pull", settle: true, as: "bob", body: `{"deviceId":"bot","tail":1,"full":1}`, cost: "the first time all conversations, later what changed", refused: []refuse{{"bob", `{"deviceId":"no spaces"}`, "a device id that is none"}}},
	{method: "SyncService/Ack", settle: true, as: "bob", body: `{"deviceId":"bot","cursor":{"epoch":"EPOCH","positions":{"4":"1"}}}`, cost: "saved a second later with others, at the latest", refused: []refuse{{"bob", `{"deviceId":"other"}`, "a device that is not known"}}},
	{method: "SyncService/Verify", as: "bob", body: `{"conversation":"team"}`, refused: []refuse{stranger(`{"conversation":"team"}`)}},
	{method: "SyncService/Changes", as: "bob", body: `{"groups":{},"groupMembers":[{"conversation":"team"}],"contacts":{},"profiles":{"users":["alice"]}}`,
		cost: "the first time the sets, later what changed in them"},

	{method: "SyncService/GiveBack", as: "bob", body: `{"conversation":"team","events":[{"seq":"99","id":"99","timeMs":"1795341600000","sender":"alice","kind":1,"bodyHash":"AAAA"}],"seal":"AAAA"}`, status: 403,
		cost: "grows with the events that are taken", refused: []refuse{{"bob", `{"conversation":"team"}`, "while the server takes nothing back, which it does only when it is told to"}}},

	{method: "UserService/Devices", as: "bob", body: `{}`, refused: []refuse{{"mallory", `{"userId":"bob"}`, "another user's devices"}}},
	{method: "UserService/Presence", as: "bob", body: `{"users":["alice","carol"]}`, cost: "grows with the number asked", refused: []refuse{{"bob", `{"users":["nobody"]}`, "a user who does not exist"}}},
	{method: "UserService/Kick", settle: true, as: "bob", body: `{"deviceId":"bot","revoke":true}`, refused: []refuse{{"mallory", `{"userId":"bob"}`, "another user's devices"}}},
	{method: "UserService/Delete", as: "app", body: `{"userId":"erin"}`, cost: "grows with the number of groups left", refused: []refuse{{"alice", `{"userId":"alice"}`, "a user's own token"}, {"app", `{"userId":"nobody"}`, "a user who does not exist"}}},

	{method: "AdminService/Stats", as: "app", body: `{}`, refused: []refuse{{"alice", `{}`, "a user's own token"}}},
	{method: "AdminService/Partitions", as: "app", body: `{}`, refused: []refuse{{"alice", `{}`, "a user's own token"}}},
	{method: "AdminService/Checkpoint", as: "app", body: `{"name":"before-the-move"}`, cost: "tables are shared, logs copied; all is copied to another disk",
		refused: []refuse{{"app", `{"name":"before-the-move"}`, "a backup that there is"}, {"app", `{"name":"../../etc"}`, "a path"}, {"alice", `{}`, "a user's own token"}}},
	{method: "AdminService/Sessions", as: "app", body: `{}`, cost: "grows with the page", refused: []refuse{{"alice", `{}`, "a user's own token"}}},
	{method: "ConversationService/Create", as: "app", body: `{"id":"archive","createdMs":"1100000000000"}`, hidden: true},
	{method: "AdminService/Import", as: "app", body: `{"conversation":"archive","entries":[{"timeMs":"1100000000000","clientId":"i1","user":"carol","join":true},{"timeMs":"1100000001000","clientId":"i2","user":"carol","message":{"text":"hello from the past"}}]}`,
		cost: "grows with the entries; one commit for all", refused: []refuse{{"alice", `{}`, "a user's own token"}, {"app", `{"conversation":"none"}`, "a conversation that does not exist"}}},
}
