// SPDX-License-Identifier: Apache-2.0

// The app's back end: it makes users and groups, changes who is in them, and writes for users, over HTTP, and it never knows
// whether a call that broke was carried out.

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/bench"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// app is the app's back end.
type app struct{ *bench.Backend }

func newApp(url, key string) *app { return &app{bench.NewBackend(url, key, callMax, 4)} }

// callMax is how long the app waits for an answer.
const callMax = 5 * time.Second

// triesMax is how often a call is made to a server that runs and to which nothing happens.
const triesMax = 300

// persist makes a call until it is answered, ctx ends, or the server is as good as gone: every call of the app may be made twice.
func persist(ctx context.Context, call func(ctx context.Context) error) error {
	for try := 1; ; try++ {
		err := call(ctx)
		if err == nil || final(err) || try == triesMax {
			return err
		}
		if waited := pause(ctx, 200*time.Millisecond); waited != nil {
			return errors.Join(err, waited)
		}
	}
}

// final reports whether a call was answered by a refusal that stays.
func final(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeInvalidArgument, connect.CodeNotFound, connect.CodeAlreadyExists, connect.CodePermissionDenied, connect.CodeFailedPrecondition,
		connect.CodeUnauthenticated, connect.CodeUnimplemented:
		var answered *connect.Error
		return errors.As(err, &answered) && len(answered.Details()) > 0
	}
	return false
}

// make makes a user and its token.
func (a *app) make(ctx context.Context, user string) (token string, err error) {
	return token, persist(ctx, func(ctx context.Context) error {
		if _, err := a.Users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: user, Nickname: user}}); err != nil {
			return err
		}
		issued, err := a.Users.IssueToken(ctx, &wire.IssueTokenRequest{UserId: user})
		token = issued.GetToken()
		return err
	})
}

// group makes a group.
func (a *app) group(ctx context.Context, id string, users []string) error {
	return persist(ctx, func(ctx context.Context) error {
		_, err := a.Conversations.Create(ctx, &wire.CreateRequest{Id: id, Kind: wire.Kind_GROUP, Title: id, Members: users})
		return err
	})
}

// readLog reads a whole conversation, verifies its chain and returns its events with its last value.
func (a *app) readLog(ctx context.Context, conversation string) (events []*wire.Event, digest tidemark.Digest, err error) {
	digest = chain.Start(tidemark.ConversationID(conversation))
	for {
		var page *wire.Fetched
		err := persist(ctx, func(ctx context.Context) (err error) {
			page, err = a.Messages.Fetch(ctx, &wire.FetchRequest{
				Conversation: conversation, From: &wire.FetchRequest_After{After: uint64(len(events))}, Limit: readPage,
			})
			return err
		})
		if err != nil {
			return nil, digest, fmt.Errorf("soak: read %s: %w", conversation, err)
		}
		for _, e := range page.Events {
			if e.Seq != uint64(len(events))+1 {
				return nil, digest, fmt.Errorf("soak: %s: seq %d follows %d", conversation, e.Seq, len(events))
			}
			if digest, err = client.NextDigest(digest, e); err != nil {
				return nil, digest, fmt.Errorf("soak: %s, seq %d: %w", conversation, e.Seq, err)
			}
			events = append(events, e)
		}
		switch {
		case uint64(len(events)) >= page.HeadSeq && string(digest[:]) != string(page.HeadDigest):
			return nil, digest, fmt.Errorf("soak: S1: %s: the chain of its %d events ends at %s, the server says %x", conversation, len(events), digest, page.HeadDigest)
		case uint64(len(events)) >= page.HeadSeq:
			return events, digest, nil
		case len(page.Events) == 0:
			return nil, digest, fmt.Errorf("soak: S9: %s: an empty page after seq %d, the head is %d", conversation, len(events), page.HeadSeq)
		}
	}
}

// readPage is how many events are asked for at a time.
const readPage = 200

// work is what the back end does until calm is closed.
func (r *run) work(ctx context.Context, calm <-chan struct{}) {
	random := rand.New(rand.NewPCG(r.Seed, 4))
	for n := 1; ; n++ {
		select {
		case <-calm:
			return
		case <-ctx.Done():
			return
		case <-time.After(r.pace()/4 + time.Duration(random.Int64N(int64(r.pace())))):
		}
		group, user := r.groups[random.IntN(len(r.groups))], r.users[random.IntN(len(r.users))]
		switch what := random.IntN(10); {
		case what < 2:
			_, _ = r.app.Conversations.RemoveMembers(ctx, &wire.RemoveMembersRequest{Conversation: group, Members: []string{user}})
		case what < 5:
			_, _ = r.app.Conversations.AddMembers(ctx, &wire.AddMembersRequest{Conversation: group, Members: []string{user}})
		case what < 6:
			_, _ = r.app.Users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: user, Nickname: fmt.Sprintf("%s the %dth", user, n)}})
		case what < 7:
			_, _ = r.app.Conversations.Update(ctx, &wire.UpdateRequest{Conversation: group, Title: new(fmt.Sprintf("%s %d", group, n))})
		default:
			r.submit(ctx, user, group, n, random)
		}
	}
}

// submit writes for a user, and where no answer comes, once more under the same client id.
func (r *run) submit(ctx context.Context, user, group string, n int, random *rand.Rand) {
	told := Told{
		Kind: Tries, Conversation: tidemark.ConversationID(group), ClientID: tidemark.ClientID(fmt.Sprintf("app-%d", n)),
		Text: fmt.Sprintf("%s%s by the app %d", spoilMark, user, n),
	}
	r.ledger.hear(user, "app", told)
	for range 1 + random.IntN(3) {
		answer, err := r.app.Messages.Submit(bench.As(ctx, user), &wire.SubmitRequest{
			Conversation: group, ClientId: string(told.ClientID), Action: &wire.SubmitRequest_Message{Message: &wire.Message{Type: "text", Text: told.Text}},
		})
		if err == nil {
			told.Kind, told.Seq = Stores, tidemark.Seq(answer.Seq)
			r.ledger.hear(user, "app", told)
		} else if final(err) {
			return
		}
	}
}
