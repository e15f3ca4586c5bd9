// SPDX-License-Identifier: Apache-2.0

// The services of a server, as an app's back end calls them: over HTTP with the admin key, for users where it says so.

package bench

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// Backend calls a server's services with the admin key. It may be used from any goroutine.
type Backend struct {
	Users         wireconnect.UserServiceClient
	Conversations wireconnect.ConversationServiceClient
	Messages      wireconnect.MessageServiceClient
	Contacts      wireconnect.ContactServiceClient
	Admin         wireconnect.AdminServiceClient
	transport     *http.Transport
}

// NewBackend makes the back end of the server at url (http://host:port), which waits so long for an answer. It makes no
// call. parallel is how many connections it keeps open.
func NewBackend(url, adminKey string, patience time.Duration, parallel int) *Backend {
	transport := &http.Transport{MaxIdleConns: parallel, MaxIdleConnsPerHost: parallel, IdleConnTimeout: time.Minute}
	client := &http.Client{Transport: transport, Timeout: patience}
	authorize := connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			request.Header().Set("Authorization", "Bearer "+adminKey)
			if user, ok := ctx.Value(actingUser{}).(string); ok {
				request.Header().Set("Tidemark-User", user)
			}
			return next(ctx, request)
		}
	}))
	return &Backend{
		Users:         wireconnect.NewUserServiceClient(client, url, authorize),
		Conversations: wireconnect.NewConversationServiceClient(client, url, authorize),
		Messages:      wireconnect.NewMessageServiceClient(client, url, authorize),
		Contacts:      wireconnect.NewContactServiceClient(client, url, authorize),
		Admin:         wireconnect.NewAdminServiceClient(client, url, authorize),
		transport:     transport,
	}
}

// Close gives up the idle connections.
func (b *Backend) Close() { b.transport.CloseIdleConnections() }

// actingUser is the context key of the user for whom a call is made.
type actingUser struct{}

// As makes calls with the context calls for a user.
func As(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, actingUser{}, user)
}
