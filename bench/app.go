// SPDX-License-Identifier: Apache-2.0

// The app's back end of a benchmark: makes users, tokens and conversations over the HTTP API, many calls at a time.

package bench

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/wire"
)

// setupParallel is how many calls prepare a benchmark at a time: enough that they share their fsyncs.
const setupParallel = 64

// App is the app's back end: it calls the services with the admin key. Its methods may be called from any goroutine.
type App struct {
	*Backend
	address string // host:port
	run     string // makes the ids of this run unlike those of others on the same server
}

// NewApp makes the back end of a server. It makes no call.
func NewApp(target *Target) (*App, error) {
	parsed, err := url.Parse(target.URL)
	if err != nil || parsed.Scheme != "http" || parsed.Host == "" {
		return nil, fmt.Errorf("bench: %q is not a URL like http://127.0.0.1:8080", target.URL)
	}
	return &App{NewBackend(target.URL, target.AdminKey, time.Minute, setupParallel), parsed.Host, fmt.Sprintf("b%x", time.Now().UnixMilli())}, nil
}

// id names a thing of this run.
func (a *App) id(kind string, n int) string { return fmt.Sprintf("%s-%s%d", a.run, kind, n) }

// Member is a user with a token.
type Member struct {
	User  string
	Token string
}

func (a *App) makeUsers(ctx context.Context, kind string, n int) ([]Member, error) {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = a.id(kind, i)
	}
	return a.MakeUsers(ctx, ids)
}

// MakeUsers creates users and their tokens.
func (a *App) MakeUsers(ctx context.Context, ids []string) ([]Member, error) {
	members := make([]Member, len(ids))
	err := forEach(ctx, len(ids), func(ctx context.Context, i int) error {
		user := ids[i]
		if _, err := a.Users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: user}}); err != nil {
			return fmt.Errorf("bench: create user %s: %w", user, err)
		}
		issued, err := a.Users.IssueToken(ctx, &wire.IssueTokenRequest{UserId: user})
		if err != nil {
			return fmt.Errorf("bench: token of %s: %w", user, err)
		}
		members[i] = Member{user, issued.Token}
		return nil
	})
	return members, err
}

// MakeGroup creates a group.
func (a *App) MakeGroup(ctx context.Context, id string, users ...string) error {
	_, err := a.Conversations.Create(ctx, &wire.CreateRequest{Id: id, Kind: wire.Kind_GROUP, Title: id, Members: users})
	if err != nil {
		return fmt.Errorf("bench: create group %s: %w", id, err)
	}
	return nil
}

// addBatch is how many users are added to a group by one call.
const addBatch = 500

// makeLargeGroup creates a group and adds its members in batches.
func (a *App) makeLargeGroup(ctx context.Context, id string, users []string) error {
	first := min(addBatch, len(users))
	if err := a.MakeGroup(ctx, id, users[:first]...); err != nil {
		return err
	}
	for rest := users[first:]; len(rest) > 0; {
		n := min(addBatch, len(rest))
		_, err := a.Conversations.AddMembers(ctx, &wire.AddMembersRequest{Conversation: id, Members: rest[:n]})
		if err != nil {
			return fmt.Errorf("bench: add members to %s: %w", id, err)
		}
		rest = rest[n:]
	}
	return nil
}

// say submits one message for a user.
func (a *App) say(ctx context.Context, user, conversation, clientID, text string) error {
	_, err := a.Messages.Submit(As(ctx, user), &wire.SubmitRequest{
		ClientId: clientID, Conversation: conversation,
		Action: &wire.SubmitRequest_Message{Message: &wire.Message{Type: "text", Text: text}},
	})
	if err != nil {
		return fmt.Errorf("bench: send to %s: %w", conversation, err)
	}
	return nil
}

// forEach calls do for 0 to n-1, many at a time, and stops at the first error.
func forEach(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(setupParallel)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}
