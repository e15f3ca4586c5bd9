// SPDX-License-Identifier: Apache-2.0

// Giving back, over the wire: a server that was restored from an older copy takes what its seals prove, from those who
// may give it, while it is told to, and nothing else.

package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/server"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/verify"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// restoredCopy is a copy of a data directory that nobody has open, under a new epoch, as a restore makes it.
func restoredCopy(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.NewEpoch(store.Config{Dir: to}); err != nil {
		t.Fatal(err)
	}
	return to
}

// asUser calls as a user, in binary, through the header of the app.
type asUser struct {
	n    *node
	user string
}

func (a asUser) Do(request *http.Request) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+a.n.key)
	if a.user != "" {
		request.Header.Set("Tidemark-User", a.user)
	}
	return a.n.client.Do(request)
}

func (n *node) sync(user string) wireconnect.SyncServiceClient {
	return wireconnect.NewSyncServiceClient(asUser{n, user}, n.url)
}

// held is what a device of a user holds that has heard everything: of each conversation its log and the last seal.
func (n *node) held(user string) map[string]*wire.GiveBackRequest {
	n.t.Helper()
	held := map[string]*wire.GiveBackRequest{}
	cursor := (*wire.Cursor)(nil)
	for more := true; more; {
		a, err := n.sync(user).Pull(n.t.Context(), &wire.PullRequest{DeviceId: "phone", Cursor: cursor, Tail: 500, Full: 500})
		if err != nil {
			n.t.Fatal(err)
		}
		for _, d := range a.Conversations {
			if held[d.Id] == nil {
				held[d.Id] = &wire.GiveBackRequest{Conversation: d.Id}
			}
			held[d.Id].Events, held[d.Id].Seal = append(held[d.Id].Events, d.Events...), d.HeadSeal
		}
		cursor, more = a.Cursor, a.HasMore
	}
	return held
}

// giveBack offers and answers the reason of the refusal, or "" and the answer.
func (n *node) giveBack(user string, request *wire.GiveBackRequest) (*wire.GiveBackResponse, string) {
	n.t.Helper()
	a, err := n.sync(user).GiveBack(n.t.Context(), request)
	if err == nil {
		return a, ""
	}
	failed, ok := err.(*connect.Error)
	if !ok || len(failed.Details()) == 0 {
		n.t.Fatal(err)
	}
	detail, err := failed.Details()[0].Value()
	if err != nil {
		n.t.Fatal(err)
	}
	return nil, detail.(*wire.Error).Reason.String()
}

// losing is a server whose copy has "team" of alice and bob with one message; what came afterwards is held by bob, who
// has written some of it, been renamed nowhere, seen an edit, a recall and a new member, and founded "late".
func losing(t *testing.T) (copied string, held map[string]*wire.GiveBackRequest, carols map[string]*wire.GiveBackRequest) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice", "bob", "carol", "mallory")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"team","members":["bob"]}`))
	n.say("alice", "team", "a1", "one")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	copied = restoredCopy(t, dir)
	n = start(t, dir, nil)
	n.say("bob", "team", "b1", "two")
	n.ok(n.as("bob", "MessageService/Submit", `{"conversation":"team","clientId":"b2","edit":{"seq":"3","message":{"text":"2"}}}`))
	n.say("alice", "team", "a2", "taken back")
	n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"a3","recall":{"seq":"5"}}`))
	n.ok(n.as("alice", "ConversationService/AddMembers", `{"conversation":"team","members":["carol"]}`))
	n.say("carol", "team", "c1", "hello")
	n.ok(n.as("bob", "ConversationService/Create", `{"id":"late","members":["alice"]}`))
	n.say("alice", "late", "a4", "already")
	n.say("bob", "alice~bob", "b5", "between us")
	held, carols = n.held("bob"), n.held("carol")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	return copied, held, carols
}

func openFor(d time.Duration) func(*server.Config) {
	return func(c *server.Config) { c.TakeBack = d }
}

func TestWhatWasLostComesBack(t *testing.T) {
	copied, held, _ := losing(t)
	n := start(t, copied, openFor(time.Hour))
	n.refuses(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"new","message":{"text":"x"}}`), 503, "UNAVAILABLE")
	if seq := n.say("alice", "team", "a1", "one"); seq != "2" {
		t.Errorf("a retry of what is there got %s", seq)
	}
	for _, id := range []string{"team", "late", "alice~bob"} {
		a, reason := n.giveBack("bob", held[id])
		last := held[id].Events[len(held[id].Events)-1]
		if reason != "" || a.HeadSeq != last.Seq || a.Taken == 0 {
			t.Fatalf("%s: %v %s", id, a, reason)
		}
		if again, reason := n.giveBack("bob", held[id]); reason != "" || again.Taken != 0 || again.HeadSeq != a.HeadSeq {
			t.Errorf("%s once more: %v %s", id, again, reason)
		}
	}
	stats := n.ok(n.app("AdminService/Stats", `{}`))
	if stats.at("takenBackConversations") != "3" || stats.at("takeBackMs") == nil {
		t.Errorf("stats: %s", stats.text)
	}
	for id, want := range n.held("bob") {
		if !proto.Equal(want, held[id]) {
			t.Errorf("%s came back as %v, was %v", id, want, held[id])
		}
	}
	if seq := n.say("carol", "team", "c1", "hello"); seq != "8" {
		t.Errorf("carol's retry got %s, wanted the first answer", seq)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	report, err := verify.Run(context.Background(), verify.Config{Dir: copied})
	if err != nil || len(report.Damages) > 0 {
		t.Fatalf("%v %+v", err, report.Damages)
	}
	n = start(t, copied, nil)
	if seq := n.say("alice", "team", "a9", "on we go"); seq != "9" {
		t.Errorf("the next message got %s", seq)
	}
}

func TestWhatIsNotProvenIsRefused(t *testing.T) {
	copied, held, carols := losing(t)
	n := start(t, copied, openFor(time.Hour))
	team := held["team"]
	change := func(f func(r *wire.GiveBackRequest)) *wire.GiveBackRequest {
		r := proto.CloneOf(team)
		f(r)
		return r
	}
	for name, c := range map[string]struct {
		user   string
		offer  *wire.GiveBackRequest
		reason string
	}{
		"a forged body":      {"bob", change(func(r *wire.GiveBackRequest) { r.Events[2].Body = r.Events[7].Body }), "BAD_ARGUMENT"},
		"a forged sender":    {"bob", change(func(r *wire.GiveBackRequest) { r.Events[2].Sender = "alice" }), "BAD_ARGUMENT"},
		"another seal":       {"bob", change(func(r *wire.GiveBackRequest) { r.Seal = held["late"].Seal }), "BAD_ARGUMENT"},
		"no seal":            {"bob", change(func(r *wire.GiveBackRequest) { r.Seal = nil }), "BAD_ARGUMENT"},
		"less than sealed":   {"bob", change(func(r *wire.GiveBackRequest) { r.Events = r.Events[:7] }), "BAD_ARGUMENT"},
		"a gap":              {"bob", change(func(r *wire.GiveBackRequest) { r.Events = append(r.Events[:2:2], r.Events[3:]...) }), "BAD_ARGUMENT"},
		"from past the head": {"bob", change(func(r *wire.GiveBackRequest) { r.Events = r.Events[4:] }), "UNKNOWN_EVENT"},
		"other events":       {"bob", change(func(r *wire.GiveBackRequest) { r.Events[1].TimeMs++ }), "ALREADY_EXISTS"},
		"elsewhere":          {"bob", change(func(r *wire.GiveBackRequest) { r.Conversation = "late" }), "UNKNOWN_CONVERSATION"},
		"nothing":            {"bob", &wire.GiveBackRequest{Conversation: "team"}, "BAD_ARGUMENT"},
		"no content":         {"bob", change(func(r *wire.GiveBackRequest) { r.Events[2] = withoutBody(r.Events[2]) }), "BAD_ARGUMENT"},

		"by a stranger":                        {"mallory", team, "NOT_MEMBER"},
		"by a stranger, forged":                {"mallory", change(func(r *wire.GiveBackRequest) { r.Seal = nil }), "NOT_MEMBER"},
		"by a stranger, of nothing":            {"mallory", &wire.GiveBackRequest{Conversation: "team"}, "NOT_MEMBER"},
		"by a stranger, of what is lost":       {"mallory", held["late"], "UNKNOWN_CONVERSATION"},
		"by a stranger, of what is nowhere":    {"mallory", &wire.GiveBackRequest{Conversation: "nowhere"}, "UNKNOWN_CONVERSATION"},
		"by a stranger, of a direct":           {"mallory", held["alice~bob"], "UNKNOWN_CONVERSATION"},
		"by a new member, from where she came": {"carol", carols["team"], "NOT_MEMBER"},
	} {
		if a, reason := n.giveBack(c.user, c.offer); reason != c.reason {
			t.Errorf("%s: %v %s, wanted %s", name, a, reason, c.reason)
		}
	}
	if a, reason := n.giveBack("carol", team); reason != "" || a.HeadSeq != 8 {
		t.Errorf("a user who proves to have become a member got %v %s", a, reason)
	}
}

// withoutBody is an event by its hash alone.
func withoutBody(e *wire.Event) *wire.Event {
	e = proto.CloneOf(e)
	e.BodyHash = make([]byte, 32)
	e.Body, e.Salt, e.Kind = nil, nil, 1
	return e
}

// Events before one that names an unknown user are taken. The refusal of the rest names all such users, and the operator
// finds it in the log once.
func TestAUserTheServerDoesNotKnowIsNamed(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"team"}`))
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	copied := restoredCopy(t, dir)
	n = start(t, dir, nil)
	n.users("dora", "emil")
	n.say("alice", "team", "a1", "before they come")
	n.ok(n.as("alice", "ConversationService/AddMembers", `{"conversation":"team","members":["dora"]}`))
	n.ok(n.as("alice", "ConversationService/AddMembers", `{"conversation":"team","members":["emil"]}`))
	held := n.held("alice")["team"]
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	var log buffer
	n = start(t, copied, func(c *server.Config) {
		c.TakeBack = time.Hour
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	if a, reason := n.giveBack("alice", held); reason != "" || a.Taken != 1 || a.HeadSeq != 2 {
		t.Fatalf("what comes before: %v %s", a, reason)
	}
	for range 2 {
		_, err := n.sync("alice").GiveBack(t.Context(), held)
		if err == nil || !strings.Contains(err.Error(), "dora, emil") {
			t.Fatalf("refused with %v", err)
		}
	}
	if told := strings.Count(log.String(), "lost events are offered and cannot be taken"); told != 1 {
		t.Errorf("the operator is told %d times:\n%s", told, &log)
	}
	n.users("dora", "emil") // the app's back end creates them again
	if a, reason := n.giveBack("alice", held); reason != "" || a.Taken != 2 {
		t.Fatalf("%v %s", a, reason)
	}
}

func TestTakingBackEnds(t *testing.T) {
	copied, held, _ := losing(t)
	now := time.Now()
	n := start(t, copied, func(c *server.Config) {
		c.TakeBack, c.Now = time.Minute, func() time.Time { return now }
	})
	n.refuses(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"new","message":{"text":"x"}}`), 503, "UNAVAILABLE")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, copied, nil)
	if _, reason := n.giveBack("bob", held["team"]); reason != "NOT_ALLOWED" {
		t.Fatalf("a closed server answers %s", reason)
	}
	if seq := n.say("alice", "team", "new", "x"); seq != "3" {
		t.Fatalf("a closed server writes at %s", seq)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, copied, openFor(time.Hour))
	if _, reason := n.giveBack("bob", held["team"]); reason != "ALREADY_EXISTS" {
		t.Fatalf("a server that has gone on answers %s", reason)
	}
}

// TestWhatTookContentAwayMayStayLost: who gives back has a recalled message without its content, the recall, and between
// the two one whose content nobody gives. What came back shows nothing and counts nowhere, and the directory verifies.
func TestWhatTookContentAwayMayStayLost(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice", "bob")
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"team","members":["bob"]}`))
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	copied := restoredCopy(t, dir)
	n = start(t, dir, nil)
	n.say("alice", "team", "a1", "taken back")
	n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"a2","edit":{"seq":"2","message":{"text":"soon"}}}`))
	n.say("alice", "team", "a3", "deleted by all")
	n.ok(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"a4","recall":{"seq":"2"}}`))
	held := n.held("bob")["team"]
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	deleted := held.Events[3]
	deleted.BodyHash, deleted.Kind = bodyHash(deleted), 1
	deleted.Body, deleted.Salt = nil, nil
	n = start(t, copied, openFor(time.Hour))
	if a, reason := n.giveBack("bob", held); reason != "" || a.HeadSeq != 3 {
		t.Fatalf("%v %s", a, reason)
	}
	if _, reason := n.giveBack("bob", held); reason != "BAD_ARGUMENT" {
		t.Fatalf("content that nobody gives: %s", reason)
	}
	for _, takeBack := range []time.Duration{time.Hour, 0} { // what is in memory, and what was stored
		page := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"team","after":"1"}`)).text
		if strings.Contains(page, "taken back") || strings.Contains(page, "soon") || strings.Count(page, `"hidden":true`) != 2 {
			t.Errorf("bob reads %s", page)
		}
		if badge := n.ok(n.as("bob", "ConversationService/Badge", `{}`)); badge.at("unread") != nil {
			t.Errorf("bob's badge: %s", badge.text)
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		report, err := verify.Run(context.Background(), verify.Config{Dir: copied})
		if err != nil || len(report.Damages) > 0 {
			t.Fatalf("%v %+v", err, report.Damages)
		}
		n = start(t, copied, openFor(takeBack))
	}
	n.refuses(n.as("alice", "MessageService/Submit", `{"conversation":"team","clientId":"x","edit":{"seq":"2","message":{"text":"x"}}}`), 404, "UNKNOWN_EVENT")
	if seq := n.say("alice", "team", "a9", "on we go"); seq != "4" {
		t.Errorf("the next message got %s", seq)
	}
}

func TestALongLogComesBackInParts(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, nil)
	n.users("alice", "bob")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	copied := restoredCopy(t, dir)
	n = start(t, dir, nil)
	n.ok(n.as("alice", "ConversationService/Create", `{"id":"log","members":["bob"]}`))
	for part := range 3 {
		n.importMany("log", "bob", part*400, 400)
	}
	held := n.held("bob")["log"]
	for after := uint64(0); len(held.Events) < 1201; {
		f, err := wireconnect.NewMessageServiceClient(asUser{n, "bob"}, n.url).Fetch(t.Context(), &wire.FetchRequest{
			Conversation: "log", From: &wire.FetchRequest_After{After: after}, Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		if after == 0 {
			held.Events = nil
		}
		held.Events, held.Seal = append(held.Events, f.Events...), f.HeadSeal
		after = held.Events[len(held.Events)-1].Seq
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, copied, openFor(time.Hour))
	links := proto.CloneOf(held) // content is needed of those that are taken now; the others only lead to the seal
	for i, e := range links.Events {
		if i >= 300 {
			body := new(wire.Body)
			if err := body.UnmarshalVT(e.Body); err != nil {
				t.Fatal(err)
			}
			e.BodyHash, e.Kind = bodyHash(e), uint32(wire.BodyKind(body))
			e.Body, e.Salt = nil, nil
		}
	}
	a, reason := n.giveBack("bob", links)
	if reason != "" || a.HeadSeq != 300 {
		t.Fatalf("%v %s", a, reason)
	}
	calls := 0
	for ; a.HeadSeq < 1201; calls++ {
		if a, reason = n.giveBack("bob", held); reason != "" || a.Taken == 0 {
			t.Fatalf("%v %s", a, reason)
		}
	}
	if calls < 2 {
		t.Errorf("%d calls took 901 events", calls)
	}
}

// importMany imports messages of a user.
func (n *node) importMany(id, user string, from, count int) {
	n.t.Helper()
	request := &wire.ImportRequest{Conversation: id}
	for i := range count {
		request.Entries = append(request.Entries, &wire.ImportEntry{
			TimeMs: uint64(1_100_000_000_000 + from + i), ClientId: fmt.Sprint("i", from+i), User: user,
			Entry: &wire.ImportEntry_Message{Message: &wire.Message{Text: fmt.Sprint("message ", from+i)}},
		})
	}
	if _, err := wireconnect.NewAdminServiceClient(asUser{n, ""}, n.url).Import(n.t.Context(), request); err != nil {
		n.t.Fatal(err)
	}
}

// bodyHash is what the chain has of an event with a body.
func bodyHash(e *wire.Event) []byte {
	hash := chain.BodyHash([8]byte(e.Salt), e.Body)
	return hash[:]
}
