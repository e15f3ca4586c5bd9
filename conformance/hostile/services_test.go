// SPDX-License-Identifier: Apache-2.0

// The HTTP services show the same world as the connection, and what is wrong over HTTP is seen too.

package hostile_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/tidemark-im/tidemark/conformance/hostile"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// bearer adds a token to calls.
type bearer struct{ token string }

func (b bearer) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultClient.Do(r)
}

func TestServicesShowTheWorld(t *testing.T) {
	for _, options := range [][]connect.ClientOption{nil, {connect.WithProtoJSON()}} {
		s := serve(t)
		ctx := context.Background()
		var run hostile.BeginResponse
		post(t, s.URL()+"/hostile/runs", hostile.BeginRequest{Scenario: "honest"}, &run)
		b := bearer{run.Devices[0].Token}
		sync, messages := wireconnect.NewSyncServiceClient(b, run.URL, options...), wireconnect.NewMessageServiceClient(b, run.URL, options...)
		conversations, users := wireconnect.NewConversationServiceClient(b, run.URL, options...), wireconnect.NewUserServiceClient(b, run.URL, options...)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}

		pulled, err := sync.Pull(ctx, &wire.PullRequest{DeviceId: "phone"})
		must(err)
		sent, err := messages.Submit(ctx, &wire.SubmitRequest{ClientId: "c1", Conversation: "team", Action: &wire.SubmitRequest_Message{Message: &wire.Message{Type: "text", Text: "by hand"}}})
		must(err)
		again, err := messages.Submit(ctx, &wire.SubmitRequest{ClientId: "c1", Conversation: "team", Action: &wire.SubmitRequest_Message{Message: &wire.Message{Type: "text", Text: "by hand"}}})
		must(err)
		next, err := sync.Pull(ctx, &wire.PullRequest{DeviceId: "phone", Cursor: pulled.Cursor, WaitMs: 1000})
		must(err)
		page, err := messages.Fetch(ctx, &wire.FetchRequest{Conversation: "team", From: &wire.FetchRequest_Before{Before: 4}, Limit: 2})
		must(err)
		proof, err := sync.Verify(ctx, &wire.VerifyRequest{Conversation: "team"})
		must(err)
		members, err := conversations.ListMembers(ctx, &wire.ListMembersRequest{Conversation: "team"})
		must(err)
		list, err := conversations.List(ctx, &wire.ListRequest{})
		must(err)
		one, err := conversations.Get(ctx, &wire.GetRequest{Conversation: "team"})
		must(err)
		badge, err := conversations.Badge(ctx, &wire.BadgeRequest{})
		must(err)
		receipts, err := messages.Receipts(ctx, &wire.ReceiptsRequest{Conversation: "team", Seq: sent.Seq})
		must(err)
		changes, err := sync.Changes(ctx, &wire.ChangesRequest{Groups: &wire.GroupsContract{}, Profiles: &wire.ProfilesContract{Users: []string{"bob"}}})
		must(err)
		profile, err := users.Get(ctx, &wire.GetUserRequest{})
		must(err)
		_, err = messages.Read(ctx, &wire.ReadRequest{Conversation: "news", Seq: 6})
		must(err)

		told := slices.IndexFunc(next.Conversations, func(d *wire.ConversationDelta) bool { return d.Id == "team" })
		for what, ok := range map[string]bool{
			"the first pull has both":    len(pulled.Conversations) == 2 && len(pulled.Conversations[0].Events) == 6,
			"a repeated submission":      !sent.Duplicate && again.Duplicate && sent.Seq == again.Seq && sent.Seq == 7,
			"the next pull has the rest": told >= 0 && len(next.Conversations) == 1 && len(next.Conversations[told].Events) == 1,
			"a page":                     len(page.Events) == 2 && page.Events[1].Seq == 3 && page.HasMore,
			"verify agrees":              string(proof.Digest) == string(sent.Digest) && string(proof.Digest) == string(one.Conversation.HeadDigest),
			"members":                    len(members.Members) == 3 && receipts.Members == 2,
			"the list":                   len(list.Conversations) == 2,
			"the badge":                  badge.Conversations == 1 && badge.Unread == 5, // own messages have moved the mark in team
			"changes":                    len(changes.Groups.Joined) == 2 && len(changes.ChangedProfiles) == 1,
			"the profile":                profile.User.Id == "alice",
		} {
			if !ok {
				t.Errorf("%s: wrong", what)
			}
		}

	}
}

// What is acknowledged over HTTP is judged like what is acknowledged on a connection; after the verdict the tokens are void.
func TestServicesAreJudged(t *testing.T) {
	s := serve(t)
	var run hostile.BeginResponse
	post(t, s.URL()+"/hostile/runs", hostile.BeginRequest{Scenario: "honest"}, &run)
	sync := wireconnect.NewSyncServiceClient(bearer{run.Devices[0].Token}, run.URL)
	pulled, err := sync.Pull(context.Background(), &wire.PullRequest{DeviceId: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	ahead := &wire.Cursor{Epoch: pulled.Epoch, Positions: map[uint32]uint64{0: 900}}
	if _, err := sync.Ack(context.Background(), &wire.AckRequest{DeviceId: "phone", Cursor: ahead}); err != nil {
		t.Fatal(err)
	}
	var v hostile.Verdict
	post(t, s.URL()+"/hostile/runs/"+run.Run+"/report", hostile.Report{}, &v)
	if v.Verdict != hostile.Failed || !strings.Contains(strings.Join(v.Reasons, "\n"), "acknowledged position 900") {
		t.Errorf("an acknowledgement of what was never given: %+v", v)
	}
	if _, err := sync.Pull(context.Background(), &wire.PullRequest{DeviceId: "phone"}); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("after the end of the run: %v", err)
	}
}
