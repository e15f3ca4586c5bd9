// SPDX-License-Identifier: Apache-2.0

// Who may call what: every method against nobody, a wrong key, a user, another user, unknown names, and limits.

package server_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-im/tidemark/server"
	"github.com/tidemark-im/tidemark/wire"
)

// attempt is what a method answers to different callers. The world has alice (owner) and bob in "team", whose event 2 is
// alice's, and mallory, who is in nothing.
type attempt struct {
	body     string // a good request, by alice
	stranger string // reason for mallory; "" is success
	unknown  string // a request about something that is not there
	why      string // reason for it
	admin    bool   // the app only
	user     bool   // not by the app for itself
	closed   string // reason for everybody who may call it; "": the good request is answered
}

var attempts = map[string]attempt{
	"SyncService/Pull": {body: `{"deviceId":"d"}`, unknown: `{"deviceId":"d d"}`, why: "BAD_ARGUMENT", user: true},
	"SyncService/Ack":  {body: `{"deviceId":"d"}`, unknown: `{"deviceId":"other"}`, why: "BAD_ARGUMENT", user: true},
	"SyncService/Changes": {body: `{"groups":{},"groupMembers":[{"conversation":"team"}],"contacts":{},"profiles":{"users":["bob"]}}`,
		unknown: `{"groups":{"pageToken":"nonsense"}}`, why: "BAD_ARGUMENT", user: true}, // a stranger's refusal is in the member list's place
	"SyncService/Verify": {body: `{"conversation":"team"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION"},

	"SyncService/GiveBack": {body: `{"conversation":"team"}`, stranger: "NOT_ALLOWED", closed: "NOT_ALLOWED"}, // only when the server is told to

	"MessageService/Submit": {body: `{"conversation":"team","clientId":"x","message":{"text":"x"}}`, stranger: "NOT_MEMBER",
		unknown: `{"toUser":"nobody","clientId":"y","message":{"text":"x"}}`, why: "UNKNOWN_USER"},
	"MessageService/Fetch":    {body: `{"conversation":"team"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION"},
	"MessageService/Hours":    {body: `{"conversation":"team"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION"},
	"MessageService/Read":     {body: `{"conversation":"team","seq":"1"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none","seq":"1"}`, why: "UNKNOWN_CONVERSATION", user: true},
	"MessageService/Mentions": {body: `{"conversation":"team"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION", user: true},
	"MessageService/Receipts": {body: `{"conversation":"team","seq":"2"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"team","seq":"99"}`, why: "UNKNOWN_EVENT"},
	"MessageService/Trace":    {body: `{"conversation":"team","seq":"2"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"team","seq":"99"}`, why: "UNKNOWN_EVENT"},
	"MessageService/Erase":    {body: `{"conversation":"team","seq":"2"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"team","seq":"99"}`, why: "UNKNOWN_EVENT"},
	"MessageService/Reactions": {body: `{"conversation":"team","seq":"2"}`, stranger: "NOT_MEMBER",
		unknown: `{"conversation":"team","seq":"99"}`, why: "UNKNOWN_EVENT"},
	"MessageService/Pins": {body: `{"conversation":"team"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION"},
	"MessageService/Delete": {body: `{"conversation":"team","seqs":["2"]}`, stranger: "NOT_MEMBER",
		unknown: `{"conversation":"team","seqs":["99"]}`, why: "UNKNOWN_EVENT", user: true},
	"MessageService/Clear": {body: `{"conversation":"team","seq":"1"}`, stranger: "NOT_MEMBER",
		unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION", user: true},

	"MessageService/Schedule": {body: `{"conversation":"team","clientId":"l1","atMs":"` + tomorrow + `","message":{"text":"x"}}`, stranger: "NOT_MEMBER",
		unknown: `{"conversation":"none","clientId":"l2","atMs":"` + tomorrow + `","message":{"text":"x"}}`, why: "UNKNOWN_CONVERSATION", user: true},
	"MessageService/Scheduled":  {body: `{"conversation":"team"}`, unknown: `{"pageToken":"nonsense"}`, why: "BAD_ARGUMENT", user: true},
	"MessageService/Unschedule": {body: `{"conversation":"team","clientId":"l1"}`, stranger: "UNKNOWN_EVENT", unknown: `{"conversation":"team","clientId":"l9"}`, why: "UNKNOWN_EVENT", user: true},

	"ConversationService/Create":        {body: `{"id":"made","members":["bob"]}`, stranger: "ALREADY_EXISTS", unknown: `{"id":"m2","members":["nobody"]}`, why: "UNKNOWN_USER"},
	"ConversationService/Get":           {body: `{"conversation":"team"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION"},
	"ConversationService/List":          {body: `{}`, unknown: `{"pageToken":"nonsense"}`, why: "BAD_ARGUMENT", user: true},
	"ConversationService/Badge":         {body: `{}`, user: true},
	"ConversationService/Update":        {body: `{"conversation":"team","title":"U"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none","title":"U"}`, why: "UNKNOWN_CONVERSATION"},
	"ConversationService/AddMembers":    {body: `{"conversation":"team","members":["bob"]}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"team","members":["nobody"]}`, why: "UNKNOWN_USER"},
	"ConversationService/RemoveMembers": {body: `{"conversation":"team","members":["nobody"]}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none","members":["bob"]}`, why: "UNKNOWN_CONVERSATION"},
	"ConversationService/Join":          {body: `{"conversation":"open"}`, unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION", user: true},
	"ConversationService/Leave":         {body: `{"conversation":"left"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION", user: true},
	"ConversationService/ListMembers":   {body: `{"conversation":"team"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION"},
	"ConversationService/Settings":      {body: `{"conversation":"team","pinned":true}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none","pinned":true}`, why: "UNKNOWN_CONVERSATION", user: true},
	"ConversationService/SetAttributes": {body: `{"conversation":"hall","set":{"k":"v"}}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none","set":{"k":"v"}}`, why: "UNKNOWN_CONVERSATION"},

	"ConversationService/Dissolve":     {body: `{"conversation":"made"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION"},
	"ConversationService/SetRole":      {body: `{"conversation":"team","members":["bob"],"role":"ADMIN"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none","members":["bob"],"role":"ADMIN"}`, why: "UNKNOWN_CONVERSATION"},
	"ConversationService/Mute":         {body: `{"conversation":"team","all":true}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none","all":true}`, why: "UNKNOWN_CONVERSATION"},
	"ConversationService/Transfer":     {body: `{"conversation":"team","member":"bob"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none","member":"bob"}`, why: "UNKNOWN_CONVERSATION"},
	"ConversationService/JoinRequests": {body: `{"conversation":"team"}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none"}`, why: "UNKNOWN_CONVERSATION"},
	"ConversationService/AnswerJoin":   {body: `{"conversation":"team","users":["mallory"]}`, stranger: "NOT_MEMBER", unknown: `{"conversation":"none","users":["bob"]}`, why: "UNKNOWN_CONVERSATION"},

	"ContactService/Request": {body: `{"user":"bob","text":"hi"}`, unknown: `{"user":"ghost"}`, why: "UNKNOWN_USER", user: true},
	"ContactService/Answer":  {body: `{"user":"mallory"}`, stranger: "BAD_ARGUMENT", unknown: `{"user":"ghost","accept":true}`, why: "UNKNOWN_USER", user: true},
	"ContactService/Remove":  {body: `{"user":"bob"}`, unknown: `{"user":"ghost"}`, why: "UNKNOWN_USER", user: true},
	"ContactService/Block":   {body: `{"user":"bob"}`, unknown: `{"user":"system"}`, why: "BAD_ARGUMENT", user: true},
	"ContactService/Unblock": {body: `{"user":"bob"}`, unknown: `{"user":"ghost"}`, why: "UNKNOWN_USER", user: true},
	"ContactService/Remark":  {body: `{"user":"bob","remark":"Bobby"}`, unknown: `{"user":"ghost","remark":"x"}`, why: "UNKNOWN_USER", user: true},
	"ContactService/List":    {body: `{}`, unknown: `{"pageToken":"nonsense"}`, why: "BAD_ARGUMENT", user: true},

	"UserService/Upsert":     {body: `{"user":{"id":"alice"}}`, stranger: "NOT_ALLOWED", unknown: `{"user":{"id":"no spaces"}}`, why: "BAD_ARGUMENT", admin: true},
	"UserService/Get":        {body: `{"userId":"bob"}`, unknown: `{"userId":"nobody"}`, why: "UNKNOWN_USER"},
	"UserService/Update":     {body: `{"userId":"alice","nickname":"A"}`, stranger: "NOT_ALLOWED", unknown: `{"userId":"nobody","nickname":"A"}`, why: "UNKNOWN_USER"},
	"UserService/IssueToken": {body: `{"userId":"alice"}`, stranger: "NOT_ALLOWED", unknown: `{"userId":"nobody"}`, why: "UNKNOWN_USER", admin: true},
	"UserService/Devices":    {body: `{"userId":"alice"}`, stranger: "NOT_ALLOWED", unknown: `{"userId":"nobody"}`, why: "UNKNOWN_USER"},
	"UserService/Kick":       {body: `{"userId":"alice","deviceId":"gone"}`, stranger: "NOT_ALLOWED", unknown: `{"userId":"nobody"}`, why: "UNKNOWN_USER"},

	"AdminService/Stats":  {body: `{}`, stranger: "NOT_ALLOWED", admin: true},
	"UserService/Options": {body: `{"userId":"alice","hideTyping":true}`, stranger: "NOT_ALLOWED", unknown: `{"userId":"nobody"}`, why: "UNKNOWN_USER"},

	"UserService/Presence": {body: `{"users":["bob"]}`, unknown: `{"users":["nobody"]}`, why: "UNKNOWN_USER"},
	"UserService/Delete":   {body: `{"userId":"leaver"}`, stranger: "NOT_ALLOWED", unknown: `{"userId":"nobody"}`, why: "UNKNOWN_USER", admin: true},

	"AdminService/Partitions": {body: `{}`, stranger: "NOT_ALLOWED", admin: true},
	"AdminService/Checkpoint": {body: `{}`, stranger: "NOT_ALLOWED", unknown: `{"name":"../b"}`, why: "BAD_ARGUMENT", admin: true},
	"AdminService/Sessions":   {body: `{}`, stranger: "NOT_ALLOWED", unknown: `{"pageToken":"nonsense"}`, why: "BAD_ARGUMENT", admin: true},
	"AdminService/Import": {body: `{"conversation":"team","entries":[]}`, stranger: "NOT_ALLOWED",
		unknown: `{"conversation":"team","entries":[{"timeMs":"1","clientId":"i","user":"nobody","message":{"text":"x"}}]}`, why: "UNKNOWN_USER", admin: true},
}

// tomorrow is a time to schedule for, ms.
var tomorrow = strconv.FormatInt(time.Now().Add(24*time.Hour).UnixMilli(), 10)

// statusOf is the HTTP status of a reason.
var statusOf = map[string]int{
	"": 200, "BAD_ARGUMENT": 400, "BAD_TOKEN": 401, "NOT_MEMBER": 403, "NOT_ALLOWED": 403, "UNKNOWN_USER": 404,
	"UNKNOWN_CONVERSATION": 404, "UNKNOWN_EVENT": 404, "ALREADY_EXISTS": 409, "TOO_LARGE": 400, "RATE_LIMITED": 429,
}

func world(t *testing.T, change func(*server.Config)) *node {
	n := start(t, t.TempDir(), change)
	n.users("alice", "bob", "mallory")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"team","members":["bob"]}`))
	n.ok(n.app("ConversationService/Create", `{"id":"open","settings":{"join":"OPEN"},"members":["bob"]}`))
	n.say("alice", "team", "c1", "hello")
	return n
}

func TestEveryMethodHasItsCallers(t *testing.T) {
	n := world(t, func(c *server.Config) { c.FailuresPerSecond = -1 })
	n.ok(n.app("ConversationService/Create", `{"id":"left","members":["alice","bob"]}`))
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"hall","kind":"ROOM"}`))
	n.ok(n.as("alice", "SyncService/Pull", `{"deviceId":"d"}`))
	n.users("leaver")
	epoch := n.ok(n.app("AdminService/Stats", `{}`)).at("epoch").(string)
	tokens := map[string]string{"alice": n.token("alice"), "mallory": n.token("mallory")}
	services := wire.File_tidemark_v1_services_proto.Services()
	for i := range services.Len() {
		for j := range services.Get(i).Methods().Len() {
			method := string(services.Get(i).Name()) + "/" + string(services.Get(i).Methods().Get(j).Name())
			try, written := attempts[method]
			if !written {
				t.Errorf("%s has no attempt in this test: add it", method)
				continue
			}
			if method == "SyncService/Ack" {
				try.body = `{"deviceId":"d","cursor":{"epoch":"` + epoch + `"}}`
			}
			t.Run(method, func(t *testing.T) { tryMethod(t, n, method, try, tokens) })
		}
	}
}

// answers wants success, or a refusal with a reason.
func (n *node) answers(a answer, reason string) {
	n.t.Helper()
	if reason == "" {
		n.ok(a)
		return
	}
	n.refuses(a, statusOf[reason], reason)
}

// tryMethod calls one method as everybody.
func tryMethod(t *testing.T, n *node, method string, try attempt, tokens map[string]string) {
	n.t = t
	n.refuses(n.post(method, try.body), 401, "BAD_TOKEN")
	n.refuses(n.post(method, try.body, "Authorization: Bearer wrong"), 401, "BAD_TOKEN")
	n.refuses(n.post(method, try.body, "Authorization: Basic "+n.key), 401, "BAD_TOKEN")
	n.refuses(n.post(method, try.body, "Authorization: Bearer "+n.key, "Tidemark-User: nobody"), 404, "UNKNOWN_USER")
	n.refuses(n.post(method, try.body, "Authorization: Bearer "+n.key, "Tidemark-User: no body"), 400, "BAD_ARGUMENT")
	n.refuses(n.post(method, try.body, "Authorization: Bearer "+tokens["mallory"], "Tidemark-User: alice"), 403, "NOT_ALLOWED")

	if try.admin {
		n.refuses(n.post(method, try.body, "Authorization: Bearer "+tokens["alice"]), 403, "NOT_ALLOWED")
		n.ok(n.app(method, try.body))
	} else {
		n.answers(n.post(method, try.body, "Authorization: Bearer "+tokens["alice"]), try.closed)
	}
	switch {
	case try.user:
		n.refuses(n.app(method, try.body), 400, "BAD_ARGUMENT")
	case method == "ConversationService/Create":
		n.refuses(n.app(method, try.body), 409, "ALREADY_EXISTS")
	default:
		n.answers(n.app(method, try.body), try.closed) // the app may do everything
	}
	n.refuses(n.post(method, try.body, "Authorization: Bearer "+tokens["mallory"]), statusOf[try.stranger], try.stranger)

	good := tokens["alice"]
	if try.admin || strings.Contains(try.unknown, `"nobody"`) {
		good = n.key
	}
	if try.unknown != "" {
		n.refuses(n.post(method, try.unknown, "Authorization: Bearer "+good), statusOf[try.why], try.why)
	}
	malformed := n.post(method, `{"noSuchField":1}`, "Authorization: Bearer "+good, "Tidemark-User: "+map[bool]string{true: "alice"}[good == n.key])
	n.refuses(malformed, 400, "BAD_ARGUMENT")
	if !strings.Contains(malformed.text, "noSuchField") {
		t.Errorf("the unknown field is not named: %s", malformed.text)
	}
	n.refuses(n.post(method, `{`, "Authorization: Bearer "+good), 400, "BAD_ARGUMENT")
	n.refuses(n.post(method, ``, "Authorization: Bearer "+good), 400, "BAD_ARGUMENT")
	request, _ := http.NewRequest(http.MethodGet, n.url+"/tidemark.v1."+method, nil)
	if a := n.send(request); a.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", a.status)
	}
}

func TestRequestsHaveASize(t *testing.T) {
	n := world(t, func(c *server.Config) { c.Limits.FrameBytesMax, c.Limits.BodyBytesMax = 8<<10, 4<<10 })
	large := `{"conversation":"team","clientId":"c2","message":{"text":"` + strings.Repeat("x", 9<<10) + `"}}`
	n.refuses(n.as("alice", "MessageService/Submit", large), 400, "TOO_LARGE")
	body := `{"conversation":"team","clientId":"c2","message":{"text":"` + strings.Repeat("x", 5<<10) + `"}}`
	n.refuses(n.as("alice", "MessageService/Submit", body), 400, "TOO_LARGE")

	request, _ := http.NewRequest(http.MethodPost, n.url+"/tidemark.v1.MessageService/Submit", struct{ *strings.Reader }{strings.NewReader(large)})
	request.ContentLength = -1 // chunked: the size is not told
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+n.key)
	request.Header.Set("Tidemark-User", "alice")
	if a := n.send(request); a.status < 400 || a.status >= 500 {
		t.Errorf("chunked: %d %s", a.status, a.text)
	}
	if seq := n.say("alice", "team", "c3", "fits"); seq != "3" {
		t.Errorf("something of the large requests was stored: next seq %s", seq)
	}
}

func TestCallsHaveARate(t *testing.T) {
	n := world(t, func(c *server.Config) { c.CallsPerSecond, c.FailuresPerSecond = 0.001, 0.001 })
	bob := "Authorization: Bearer " + n.token("bob")
	n.ok(n.post("ConversationService/List", `{}`, bob))
	limited := n.post("ConversationService/List", `{}`, bob)
	n.refuses(limited, 429, "RATE_LIMITED")
	if limited.header.Get("Retry-After") == "" || limited.at("details", "0", "debug", "retryAfterMs") == nil {
		t.Errorf("it does not say when to come back: %s %s", limited.header, limited.text)
	}
	n.ok(n.post("ConversationService/List", `{}`, "Authorization: Bearer "+n.token("alice"))) // others go on

	n.refuses(n.post("ConversationService/List", `{}`, "Authorization: Bearer wrong"), 401, "BAD_TOKEN")
	n.refuses(n.post("ConversationService/List", `{}`, "Authorization: Bearer wrong"), 429, "RATE_LIMITED")
	n.ok(n.app("AdminService/Stats", `{}`)) // who has a key is not held up by who has none
}

// Behind a proxy that is believed, the failures of one client do not hold up another.
func TestProxiesAreBelieved(t *testing.T) {
	wrong := func(n *node, client string) answer {
		return n.post("ConversationService/List", `{}`, "Authorization: Bearer wrong", "X-Forwarded-For: "+client)
	}
	n := world(t, func(c *server.Config) {
		c.FailuresPerSecond, c.Proxies = 0.001, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	n.refuses(wrong(n, "192.0.2.1"), 401, "BAD_TOKEN")
	n.refuses(wrong(n, "192.0.2.1"), 429, "RATE_LIMITED")
	n.refuses(wrong(n, "192.0.2.2"), 401, "BAD_TOKEN")

	n = world(t, func(c *server.Config) { c.FailuresPerSecond = 0.001 })
	n.refuses(wrong(n, "192.0.2.1"), 401, "BAD_TOKEN")
	n.refuses(wrong(n, "192.0.2.2"), 429, "RATE_LIMITED") // what a stranger says of itself is not believed
}

func TestPagesOfOtherOrigins(t *testing.T) {
	n := world(t, func(c *server.Config) { c.Origins = []string{"https://app.example"} })
	ask := func(method, origin string) answer {
		request, _ := http.NewRequest(method, n.url+"/tidemark.v1.UserService/Get", strings.NewReader(`{"userId":"bob"}`))
		request.Header.Set("Origin", origin)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+n.key)
		return n.send(request)
	}
	asked := ask(http.MethodOptions, "https://app.example")
	if asked.status != 204 || !strings.Contains(asked.header.Get("Access-Control-Allow-Headers"), "Tidemark-User") {
		t.Errorf("asked first: %d %s", asked.status, asked.header)
	}
	called := n.ok(ask(http.MethodPost, "https://app.example"))
	if called.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("called: %s", called.header)
	}
	for _, method := range []string{http.MethodOptions, http.MethodPost} {
		if other := ask(method, "https://evil.example"); other.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("another origin: %s", other.header)
		}
	}
}
