// SPDX-License-Identifier: Apache-2.0

// Messages for later against the real binary, which is killed while they fall due.

package replay

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/tidemark-im/tidemark/bench"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// What falls due, and when the server is there: milliseconds from the first message's time on.
const (
	laterSpanMs = 2400 // messages are due in these
	laterKills  = 3    // in them
	laterDownMs = 150  // a server is started again so long after it was killed
)

// later is a message that was scheduled, or what came of it.
type later struct {
	user, conversation, text, failed string
	atMs                             uint64
}

// laterRun is the course of TestScheduledUnderFire.
type laterRun struct {
	testing.TB
	ctx           context.Context
	program       string
	server        *bench.Server
	listen        string
	users         wireconnect.UserServiceClient
	conversations wireconnect.ConversationServiceClient
	messages      wireconnect.MessageServiceClient
	contacts      wireconnect.ContactServiceClient
	want          map[string]later // by client id
}

// Each scheduled message is submitted exactly once and not before its time, whatever is killed when, also one that begins a
// direct conversation; what is refused stays with the reason; and the data is whole.
func TestScheduledUnderFire(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	r := &laterRun{TB: t, ctx: ctx, program: build(t), listen: "127.0.0.1:0", want: map[string]later{}}
	dir := filepath.Join(t.TempDir(), "data")
	r.start(dir, "")
	defer func() { r.server.Kill() }()
	r.connect(transport)
	begin := r.prepare()
	var down [][2]uint64
	for kill := range laterKills {
		time.Sleep(time.Until(begin.Add(time.Duration((kill*2+1)*laterSpanMs/(2*laterKills)) * time.Millisecond)))
		died := uint64(time.Now().UnixMilli())
		r.server.Kill()
		time.Sleep(laterDownMs * time.Millisecond)
		r.start(dir, r.server.AdminKey)
		down = append(down, [2]uint64{died, uint64(time.Now().UnixMilli())})
		transport.CloseIdleConnections()
	}
	r.byHand()
	r.settle()
	r.compare(down)
	r.must(r.server.Stop(20 * time.Second))
	if _, err := bench.Verify(ctx, r.program, dir); err != nil {
		t.Error(err)
	}
}

func (r *laterRun) must(err error) {
	r.Helper()
	if err != nil {
		log := ""
		if r.server != nil {
			log = r.server.Log()
		}
		r.Fatalf("%v\n%s", err, log)
	}
}

func (r *laterRun) start(dir, key string) {
	r.Helper()
	server, err := bench.StartServer(r.ctx, bench.ServerConfig{
		Program: r.program, DataDir: dir, Listen: r.listen, AdminKey: key, Args: []string{"--log-level", "warn"},
	})
	r.must(err)
	r.server, r.listen = server, server.URL[len("http://"):]
}

// acting is the context key of the user for whom a call is made.
type acting struct{}

func (r *laterRun) as(user string) context.Context { return context.WithValue(r.ctx, acting{}, user) }

func (r *laterRun) connect(transport *http.Transport) {
	client := &http.Client{Transport: transport}
	authorize := connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			request.Header().Set("Authorization", "Bearer "+r.server.AdminKey)
			if user, ok := ctx.Value(acting{}).(string); ok {
				request.Header().Set("Tidemark-User", user)
			}
			return next(ctx, request)
		}
	}))
	r.users = wireconnect.NewUserServiceClient(client, r.server.URL, authorize)
	r.conversations = wireconnect.NewConversationServiceClient(client, r.server.URL, authorize)
	r.contacts = wireconnect.NewContactServiceClient(client, r.server.URL, authorize)
	r.messages = wireconnect.NewMessageServiceClient(client, r.server.URL, authorize)
}

// prepare schedules everything, and answers when the first message is due.
func (r *laterRun) prepare() time.Time {
	const each = 60
	people := []string{"alice", "bob", "carol", "grump"}
	for i := range each {
		people = append(people, fmt.Sprint("peer", i))
	}
	for _, user := range people {
		_, err := r.users.Upsert(r.ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: user}})
		r.must(err)
	}
	_, err := r.conversations.Create(r.ctx, &wire.CreateRequest{Id: "team", Kind: wire.Kind_GROUP, Members: []string{"alice", "bob", "carol"}})
	r.must(err)
	begin := time.Now().Add(time.Second)
	for i := range each {
		atMs := uint64(begin.UnixMilli()) + uint64(i*laterSpanMs/each)
		r.schedule(later{user: "alice", conversation: "team", atMs: atMs}, "")
		r.schedule(later{user: "bob", conversation: "team", atMs: atMs}, "")
		peer := fmt.Sprint("peer", i)
		r.schedule(later{user: "alice", conversation: "alice~" + peer, atMs: atMs}, peer)
		if i%6 == 0 {
			r.schedule(later{user: "carol", conversation: "team", atMs: atMs, failed: "NOT_MEMBER"}, "")
		}
	}
	r.schedule(later{user: "bob", conversation: "bob~grump", atMs: uint64(begin.UnixMilli()) + laterSpanMs/2, failed: "BLOCKED"}, "grump")
	r.schedule(later{user: "bob", conversation: "team", atMs: uint64(begin.UnixMilli()) + laterSpanMs*2}, "")
	_, err = r.contacts.Block(r.as("grump"), &wire.BlockRequest{User: "bob"})
	r.must(err)
	_, err = r.conversations.RemoveMembers(r.ctx, &wire.RemoveMembersRequest{Conversation: "team", Members: []string{"carol"}})
	r.must(err)
	if late := time.Since(begin); late > 0 {
		r.Skipf("everything was scheduled %s after the first was due: the machine is too slow for this test", late)
	}
	return begin
}

func (r *laterRun) schedule(l later, toUser string) {
	r.Helper()
	id := fmt.Sprint("later", len(r.want))
	l.text = "text of " + id
	request := &wire.ScheduleRequest{ClientId: id, ToUser: toUser, Message: &wire.Message{Type: "text", Text: l.text}, AtMs: l.atMs}
	if toUser == "" {
		request.Conversation = l.conversation
	}
	_, err := r.messages.Schedule(r.as(l.user), request)
	r.must(err)
	r.want[id] = l
}

// byHand submits some messages once more, with their client ids: those that were submitted, those that are due now, and the
// one that is not yet.
func (r *laterRun) byHand() {
	for i, id := range slices.Sorted(maps.Keys(r.want)) {
		l := r.want[id]
		if l.failed != "" || i%10 != 0 && l.atMs < uint64(time.Now().UnixMilli()) {
			continue
		}
		if l.atMs > uint64(time.Now().UnixMilli()) {
			l.atMs = 0 // by hand, before its time
			r.want[id] = l
		}
		_, err := r.messages.Submit(r.as(l.user), &wire.SubmitRequest{
			ClientId: id, Conversation: l.conversation, Action: &wire.SubmitRequest_Message{Message: &wire.Message{Type: "text", Text: l.text}},
		})
		r.must(err)
	}
}

// settle waits until nothing waits any more, and compares what is left with what was to fail.
func (r *laterRun) settle() {
	for _, user := range []string{"alice", "bob", "carol"} {
		for {
			listed, waiting := r.scheduled(user)
			if waiting == 0 {
				for id, l := range r.want {
					if l.user == user && listed[id] != l.failed {
						r.Errorf("%s of %s: it failed with %q, want %q", id, user, listed[id], l.failed)
					}
				}
				break
			}
			r.must(r.ctx.Err())
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// scheduled are the reasons of a user's messages that failed, by client id, and how many wait. Pages are small.
func (r *laterRun) scheduled(user string) (failed map[string]string, waiting int) {
	r.Helper()
	failed = map[string]string{}
	for token := ""; ; {
		page, err := r.messages.Scheduled(r.as(user), &wire.ScheduledRequest{PageSize: 7, PageToken: token})
		r.must(err)
		for _, m := range page.Scheduled {
			if m.Failed == nil {
				waiting++
				continue
			}
			failed[m.ClientId] = m.Failed.Reason.String()
		}
		if token = page.NextPageToken; token == "" {
			return failed, waiting
		}
	}
}

// compare reads every conversation.
func (r *laterRun) compare(down [][2]uint64) {
	conversations := map[string]bool{}
	for _, l := range r.want {
		if l.failed == "" {
			conversations[l.conversation] = true
		}
	}
	times, whileDown, between := map[string]int{}, 0, 0
	for conversation := range conversations {
		page, err := r.messages.Fetch(r.ctx, &wire.FetchRequest{Conversation: conversation, From: &wire.FetchRequest_After{}, Limit: 500})
		r.must(err)
		for _, e := range page.Events {
			l, known := r.want[e.ClientId]
			if !known {
				continue
			}
			times[e.ClientId]++
			var body wire.Body
			r.must(body.UnmarshalVT(e.Body))
			if e.TimeMs < l.atMs || e.Sender != l.user || conversation != l.conversation || body.GetMessage().GetText() != l.text {
				r.Errorf("%s is there as %v, was %+v", e.ClientId, e, l)
			}
			if e.TimeMs < down[0][0] || e.TimeMs > down[0][1] && e.TimeMs < down[len(down)-1][0] {
				between++
			}
			for _, d := range down {
				if l.atMs > d[0] && l.atMs < d[1] {
					whileDown++
				}
			}
		}
	}
	for id, l := range r.want {
		if want := map[bool]int{true: 1}[l.failed == ""]; times[id] != want {
			r.Errorf("%s of %s in %s is there %d times, want %d", id, l.user, l.conversation, times[id], want)
		}
	}
	if whileDown == 0 || between == 0 {
		r.Errorf("%d were due while the server was down, %d submitted before it was killed the last time: the test shows nothing", whileDown, between)
	}
	r.Logf("%d messages, %d due while the server was down, %d submitted before the last kill", len(r.want), whileDown, between)
}
