// SPDX-License-Identifier: Apache-2.0

// The app's back end of a benchmark: makes users, tokens and conversations over the HTTP API, many calls at a time.

package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// setupParallel is how many calls prepare a benchmark at a time: enough that they share their fsyncs.
const setupParallel = 64

// App is the app's back end: it calls the services with the admin key. Its methods may be called from any goroutine.
type App struct {
	address       string // host:port
	run           string // makes the ids of this run unlike those of others on the same server
	users         wireconnect.UserServiceClient
	conversations wireconnect.ConversationServiceClient
	messages      wireconnect.MessageServiceClient
	admin         wireconnect.AdminServiceClient
	transport     *http.Transport
}

// NewApp makes the back end of a server. It makes no call.
func NewApp(target *Target) (*App, error) {
	parsed, err := url.Parse(target.URL)
	if err != nil || parsed.Scheme != "http" || parsed.Host == "" {
		return nil, fmt.Errorf("bench: %q is not a URL like http://127.0.0.1:8080", target.URL)
	}
	transport := &http.Transport{MaxIdleConns: setupParallel, MaxIdleConnsPerHost: setupParallel}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	authorize := connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			request.Header().Set("Authorization", "Bearer "+target.AdminKey)
			if user, ok := ctx.Value(actingUser{}).(string); ok {
				request.Header().Set("Tidemark-User", user)
			}
			return next(ctx, request)
		}
	}))
	return &App{
		address: parsed.Host, run: fmt.Sprintf("b%x", time.Now().UnixMilli()),
		users:         wireconnect.NewUserServiceClient(client, target.URL, authorize),
		conversations: wireconnect.NewConversationServiceClient(client, target.URL, authorize),
		messages:      wireconnect.NewMessageServiceClient(client, target.URL, authorize),
		admin:         wireconnect.NewAdminServiceClient(client, target.URL, authorize),
		transport:     transport,
	}, nil
}

// actingUser is the context key of the user for whom a call is made.
type actingUser struct{}

func as(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, actingUser{}, user)
}

// Close gives up the idle connections.
func (a *App) Close() { a.transport.CloseIdleConnections() }

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
		if _, err := a.users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: user}}); err != nil {
			return fmt.Errorf("bench: create user %s: %w", user, err)
		}
		issued, err := a.users.IssueToken(ctx, &wire.IssueTokenRequest{UserId: user})
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
	_, err := a.conversations.Create(ctx, &wire.CreateRequest{Id: id, Kind: wire.Kind_GROUP, Title: id, Members: users})
	if err != nil {
		return fmt.Errorf("bench: create group %s: %w", id, err)
	}
	return nil
}

// say submits one message for a user.
func (a *App) say(ctx context.Context, user, conversation, clientID, text string) error {
	_, err := a.messages.Submit(as(ctx, user), &wire.SubmitRequest{
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
