// SPDX-License-Identifier: Apache-2.0

// What is asked of the server directly, by its HTTP API. These need a connection to the server, not Run.

package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// calls are the clients of the services.
type calls struct {
	http          *http.Client
	conversations wireconnect.ConversationServiceClient
	contacts      wireconnect.ContactServiceClient
	users         wireconnect.UserServiceClient
	messages      wireconnect.MessageServiceClient
	sync          wireconnect.SyncServiceClient
}

func newCalls(cfg Config) calls {
	h := cfg.HTTPClient
	if h == nil {
		h = &http.Client{} // an app may have put a transport of another type in the place of the default one
		if t, ok := http.DefaultTransport.(*http.Transport); ok {
			h.Transport = t.Clone()
		}
	}
	d := &authorised{http: h, token: cfg.Token}
	return calls{
		http:          h,
		conversations: wireconnect.NewConversationServiceClient(d, cfg.URL),
		contacts:      wireconnect.NewContactServiceClient(d, cfg.URL),
		users:         wireconnect.NewUserServiceClient(d, cfg.URL),
		messages:      wireconnect.NewMessageServiceClient(d, cfg.URL),
		sync:          wireconnect.NewSyncServiceClient(d, cfg.URL),
	}
}

// authorised adds the token to requests.
type authorised struct {
	http  *http.Client
	token TokenSource
}

// Do implements [connect.HTTPClient].
func (a *authorised) Do(req *http.Request) (*http.Response, error) {
	token, err := a.token(req.Context())
	if err != nil {
		return nil, fmt.Errorf("client: get a token: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return a.http.Do(req)
}

// refused turns an error of a call into the server's *tidemark.Error, if it is one.
func refused(err error) error {
	var failed *connect.Error
	if !errors.As(err, &failed) {
		return err
	}
	for _, detail := range failed.Details() {
		if value, err := detail.Value(); err == nil {
			if e, ok := value.(*wire.Error); ok {
				return wire.ToError(e)
			}
		}
	}
	return err
}

// Profile is a user's profile: the stored one, or the server's when none is stored.
func (c *Client) Profile(ctx context.Context, id tidemark.UserID) (*wire.Profile, error) {
	if p, err := c.StoredProfile(id); err != nil || p != nil {
		return p, err
	}
	return c.RefreshProfile(ctx, id)
}

// RefreshProfile asks the server for a user's profile, and stores it.
func (c *Client) RefreshProfile(ctx context.Context, id tidemark.UserID) (*wire.Profile, error) {
	r, err := c.calls.users.Get(ctx, &wire.GetUserRequest{UserId: string(id)})
	if err != nil {
		return nil, refused(err)
	}
	return r.User, c.keepProfile(r.User)
}

// UpdateProfile changes the fields of the own profile that are present.
func (c *Client) UpdateProfile(ctx context.Context, r *wire.UpdateUserRequest) error {
	answer, err := c.calls.users.Update(ctx, r)
	if err != nil {
		return refused(err)
	}
	return c.keepProfile(answer.User)
}

func (c *Client) keepProfile(p *wire.Profile) error {
	return c.do(func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) { return r.Profiles(v, nowMs, p) })
}

// Members are all members of a conversation with their marks, in the server's order: one request for each page of 500. The
// marks also tell which own messages were delivered and read.
func (c *Client) Members(ctx context.Context, in tidemark.ConversationID) ([]*wire.Member, error) {
	var list []*wire.Member
	for token := ""; ; {
		page, err := c.calls.conversations.ListMembers(ctx, &wire.ListMembersRequest{Conversation: string(in), PageSize: 500, PageToken: token})
		if err != nil {
			return nil, refused(err)
		}
		list = append(list, page.Members...)
		err = c.do(func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
			return r.Receipts(v, nowMs, in, page.Members)
		})
		if token = page.NextPageToken; err != nil || token == "" {
			return list, err
		}
	}
}

// CreateConversation makes a group, channel or room; the user is its owner. Its first events come by synchronisation.
func (c *Client) CreateConversation(ctx context.Context, r *wire.CreateRequest) (tidemark.ConversationID, error) {
	answer, err := c.calls.conversations.Create(ctx, r)
	return tidemark.ConversationID(answer.GetId()), refused(err)
}

// UpdateConversation changes the fields of a conversation that are present.
func (c *Client) UpdateConversation(ctx context.Context, r *wire.UpdateRequest) error {
	_, err := c.calls.conversations.Update(ctx, r)
	return refused(err)
}

// AddMembers adds users to a conversation.
func (c *Client) AddMembers(ctx context.Context, in tidemark.ConversationID, users ...tidemark.UserID) error {
	_, err := c.calls.conversations.AddMembers(ctx, &wire.AddMembersRequest{Conversation: string(in), Members: names(users)})
	return refused(err)
}

// RemoveMembers removes users from a conversation.
func (c *Client) RemoveMembers(ctx context.Context, in tidemark.ConversationID, users ...tidemark.UserID) error {
	_, err := c.calls.conversations.RemoveMembers(ctx, &wire.RemoveMembersRequest{Conversation: string(in), Members: names(users)})
	return refused(err)
}

func names(users []tidemark.UserID) []string {
	list := make([]string, len(users))
	for i, u := range users {
		list[i] = string(u)
	}
	return list
}

// Join makes the user a member of an open conversation.
func (c *Client) Join(ctx context.Context, in tidemark.ConversationID) error {
	_, err := c.calls.conversations.Join(ctx, &wire.JoinRequest{Conversation: string(in)})
	return refused(err)
}

// Leave ends the user's membership.
func (c *Client) Leave(ctx context.Context, in tidemark.ConversationID) error {
	_, err := c.calls.conversations.Leave(ctx, &wire.LeaveRequest{Conversation: string(in)})
	return refused(err)
}

// Settings changes the user's own settings in a conversation: pinned, muted, hidden, alias, marked unread, draft. They reach all
// devices of the user, this one too, by synchronisation.
func (c *Client) Settings(ctx context.Context, r *wire.SettingsRequest) error {
	_, err := c.calls.conversations.Settings(ctx, r)
	return refused(err)
}

// Erase drops a message's content for ever, at the server and on every device that hears of it.
func (c *Client) Erase(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq) error {
	_, err := c.calls.messages.Erase(ctx, &wire.EraseRequest{Conversation: string(in), Seq: uint64(seq)})
	return refused(err)
}

// Trace answers "where is my message?": for each member and device, whether it has the message, and if not, why.
func (c *Client) Trace(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq) (*wire.TraceResponse, error) {
	answer, err := c.calls.messages.Trace(ctx, &wire.TraceRequest{Conversation: string(in), Seq: uint64(seq)})
	return answer, refused(err)
}

// Verify asks the server for the chain value at a seq (0: the head).
func (c *Client) Verify(ctx context.Context, in tidemark.ConversationID, seq tidemark.Seq) (*wire.VerifyResponse, error) {
	answer, err := c.calls.sync.Verify(ctx, &wire.VerifyRequest{Conversation: string(in), Seq: uint64(seq)})
	return answer, refused(err)
}
