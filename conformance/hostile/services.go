// SPDX-License-Identifier: Apache-2.0

// The HTTP services that an SDK calls beside its connection, answered from the same world and with the same faults.

package hostile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// services adds the services to a mux.
func (s *Server) services(m *http.ServeMux) {
	options := connect.WithHandlerOptions(connect.WithCodec(jsonCodec{"json"}), connect.WithCodec(jsonCodec{"json; charset=utf-8"}), connect.WithReadMaxBytes(frameBytesMax))
	add := func(path string, h http.Handler) { m.Handle(path, h) }
	add(wireconnect.NewSyncServiceHandler(&syncService{server: s}, options))
	add(wireconnect.NewMessageServiceHandler(&messageService{server: s}, options))
	add(wireconnect.NewConversationServiceHandler(&conversationService{server: s}, options))
	add(wireconnect.NewUserServiceHandler(&userService{server: s}, options))
}

// jsonCodec writes events in their readable form.
type jsonCodec struct{ name string }

// Name implements [connect.Codec].
func (c jsonCodec) Name() string { return c.name }

// Marshal implements [connect.Codec].
func (c jsonCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("hostile: %T is no message", message)
	}
	m = proto.Clone(m) // events are shared
	wire.Readable(m)
	return wire.AppendJSON(nil, m)
}

// Unmarshal implements [connect.Codec].
func (c jsonCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("hostile: %T is no message", message)
	}
	return wire.DecodeJSON(data, m)
}

// failed is a refusal as the API tells it.
func failed(reason tidemark.Reason, format string, args ...any) error {
	e := tidemark.Refuse(reason, format, args...)
	var code connect.Code
	if err := code.UnmarshalText([]byte(reason.Info().Code)); err != nil {
		code = connect.CodeInternal
	}
	failure := connect.NewError(code, errors.New(reason.String()+": "+e.Message))
	if detail, err := connect.NewErrorDetail(wire.ErrorOf(0, e)); err == nil {
		failure.AddDetail(detail)
	}
	return failure
}

// caller finds the device of a call and locks its run, which the caller must unlock.
func (s *Server) caller(ctx context.Context) (*device, error) {
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return nil, failed(tidemark.Internal, "no call")
	}
	token := strings.TrimPrefix(info.RequestHeader().Get("Authorization"), "Bearer ")
	s.mu.Lock()
	d := s.tokens[token]
	s.mu.Unlock()
	if d == nil {
		return nil, failed(tidemark.BadToken, "this token is of no run")
	}
	d.run.mu.Lock()
	if d.revoked[token] || d.run.verdict != "" {
		d.run.mu.Unlock()
		return nil, failed(tidemark.BadToken, "the token has expired, or the run is over")
	}
	return d, nil
}

// callerIn is caller, with a conversation of which the caller is a member.
func (s *Server) callerIn(ctx context.Context, id string) (*device, *history, error) {
	d, err := s.caller(ctx)
	if err != nil {
		return nil, nil, err
	}
	h, err := d.log(id)
	if err != nil {
		d.run.mu.Unlock()
		return nil, nil, err
	}
	return d, h, nil
}

// log is a conversation of the caller.
func (d *device) log(id string) (*history, error) {
	h := d.world.logs[id]
	if h == nil || h.gone[d.user] {
		return nil, failed(tidemark.NotMember, "not a member of %s", id)
	}
	return h, nil
}

type syncService struct {
	wireconnect.UnimplementedSyncServiceHandler
	server *Server
}

// pullMax is how long a Pull waits at most; pullEvery, how often it looks.
const (
	pullMax   = time.Minute
	pullEvery = 50 * time.Millisecond
)

// Pull answers what changed since the cursor.
func (s *syncService) Pull(ctx context.Context, q *wire.PullRequest) (*wire.PullResponse, error) {
	until := time.Now().Add(min(pullMax, time.Duration(q.WaitMs)*time.Millisecond))
	for {
		a, err := s.pull(ctx, q)
		if err != nil || len(a.Conversations) > 0 || a.Reset_ != nil || time.Now().After(until) {
			return a, err
		}
		select {
		case <-time.After(pullEvery):
		case <-ctx.Done():
			return a, nil
		}
	}
}

func (s *syncService) pull(ctx context.Context, q *wire.PullRequest) (*wire.PullResponse, error) {
	d, err := s.server.caller(ctx)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	cursor := q.Cursor
	if cursor == nil && len(d.acked) > 0 {
		cursor = &wire.Cursor{Epoch: d.epoch, Positions: copyPositions(d.acked)}
	}
	d.checkPull(q.Cursor)
	w := d.world
	ss := &session{run: d.run, device: d, hello: &wire.Hello{Cursor: cursor}}
	a := &wire.PullResponse{Epoch: w.epoch, Partitions: partitions}
	if reason := ss.reset(); reason != 0 {
		a.Reset_ = &wire.Reset{Reason: reason}
	} else {
		for p, position := range cursor.GetPositions() {
			ss.cursor[p] = position
		}
	}
	d.welcomed(&wire.Welcome{Epoch: w.epoch, Reset_: a.Reset_})
	a.Conversations = ss.deltas(tailEvents)
	a.Cursor = &wire.Cursor{Epoch: w.epoch, Positions: positions(w.position)}
	d.give(a.Cursor.Positions)
	return a, nil
}

// checkPull checks the cursor of a Pull: it need not be what was acknowledged, but it was given.
func (d *device) checkPull(c *wire.Cursor) {
	for p, position := range c.GetPositions() {
		if c.Epoch == d.epoch && position > d.given[p] {
			d.violation("pulled from position %d of partition %d, where no more than %d was given to it", position, p, d.given[p])
		}
	}
}

// Ack notes how far the device has come.
func (s *syncService) Ack(ctx context.Context, q *wire.AckRequest) (*wire.AckResponse, error) {
	d, err := s.server.caller(ctx)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	d.acks(q.Cursor)
	d.run.poke()
	return &wire.AckResponse{}, nil
}

// Verify answers the chain value at a seq.
func (s *syncService) Verify(ctx context.Context, q *wire.VerifyRequest) (*wire.VerifyResponse, error) {
	d, h, err := s.server.callerIn(ctx, q.Conversation)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	seq := q.Seq
	if seq == 0 {
		seq = h.head()
	}
	if seq > h.head() {
		return nil, failed(tidemark.UnknownEvent, "the last event is %d", h.head())
	}
	at, head := h.digest(seq), h.digest(h.head())
	return &wire.VerifyResponse{Seq: seq, Digest: at[:], HeadSeq: h.head(), HeadDigest: head[:], FloorSeq: 1}, nil
}

// Changes answers sets that never change: no contacts, the profiles asked for.
func (s *syncService) Changes(ctx context.Context, q *wire.ChangesRequest) (*wire.ChangesResponse, error) {
	d, err := s.server.caller(ctx)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	a := &wire.ChangesResponse{}
	if q.Groups != nil {
		a.Groups = &wire.GroupsChanges{ListVersion: "1", InfoVersion: "1", Full: q.Groups.ListVersion == ""}
		for _, h := range d.world.of(d.user) {
			if a.Groups.Full {
				a.Groups.Joined = append(a.Groups.Joined, d.world.summary(h, d.user))
			}
		}
	}
	if q.Contacts != nil {
		a.Contacts = &wire.ContactsChanges{ListVersion: "1", InfoVersion: "1", Full: q.Contacts.ListVersion == ""}
	}
	if q.Profiles != nil {
		a.Profiles = &wire.ProfilesChanges{InfoVersion: "1", Full: q.Profiles.InfoVersion == ""}
		for _, id := range q.Profiles.Users {
			if a.Profiles.Full {
				a.Profiles.Changed = append(a.Profiles.Changed, id)
				a.ChangedProfiles = append(a.ChangedProfiles, &wire.Profile{Id: id, Nickname: id})
			}
		}
	}
	return a, nil
}

// GiveBack takes back what the server has lost, where its seal proves it.
func (s *syncService) GiveBack(ctx context.Context, q *wire.GiveBackRequest) (*wire.GiveBackResponse, error) {
	d, err := s.server.caller(ctx)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	defer d.run.poke()
	d.gives++
	h, err := d.log(q.Conversation)
	if err != nil {
		return nil, err
	}
	if give := d.run.hooks.give; give == nil {
		return nil, failed(tidemark.NotAllowed, "nothing is taken back here")
	} else if err := give(d); err != nil {
		return nil, err
	}
	was := h.head()
	if !d.world.takeBack(h, q.Events, q.Seal) {
		d.violation("gave back events of %s that its seal does not prove", h.id)
		return nil, failed(tidemark.BadArgument, "the seal does not prove these events")
	}
	for _, open := range d.run.sessions() {
		open.round()
	}
	digest := h.digest(h.head())
	return &wire.GiveBackResponse{HeadSeq: h.head(), HeadDigest: digest[:], Taken: h.head() - was}, nil
}

type messageService struct {
	wireconnect.UnimplementedMessageServiceHandler
	server *Server
}

// Submit stores a message and tells the open sessions.
func (s *messageService) Submit(ctx context.Context, q *wire.SubmitRequest) (*wire.Submitted, error) {
	d, err := s.server.caller(ctx)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	ss := &session{run: d.run, device: d}
	f := &wire.Submit{ClientId: q.ClientId, Conversation: q.Conversation, ToUser: q.ToUser, Action: &wire.Submit_Message{Message: q.GetMessage()}}
	d.submits(ss, f)
	h, e, duplicate := ss.take(f)
	if h == nil || q.GetMessage() == nil {
		return nil, failed(tidemark.UnknownConversation, "no such conversation, or no message")
	}
	for _, open := range d.run.sessions() {
		open.round()
	}
	d.run.poke()
	return submitted(0, h, e, duplicate), nil
}

// Fetch answers a page of history.
func (s *messageService) Fetch(ctx context.Context, q *wire.FetchRequest) (*wire.Fetched, error) {
	d, h, err := s.server.callerIn(ctx, q.Conversation)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	d.fetches++
	switch from := q.From.(type) {
	case *wire.FetchRequest_After:
		return d.world.page(h, &wire.Fetch_After{After: from.After}, uint64(q.Limit)), nil
	case *wire.FetchRequest_Before:
		return d.world.page(h, &wire.Fetch_Before{Before: from.Before}, uint64(q.Limit)), nil
	}
	return d.world.page(h, nil, uint64(q.Limit)), nil
}

// Read moves the read mark.
func (s *messageService) Read(ctx context.Context, q *wire.ReadRequest) (*wire.ReadResponse, error) {
	d, err := s.server.caller(ctx)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	d.reads(q.Conversation, q.Seq)
	return &wire.ReadResponse{}, nil
}

// Receipts answers that nobody has read anything.
func (s *messageService) Receipts(ctx context.Context, q *wire.ReceiptsRequest) (*wire.ReceiptsResponse, error) {
	d, h, err := s.server.callerIn(ctx, q.Conversation)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	return &wire.ReceiptsResponse{Seq: q.Seq, Members: uint32(len(h.members) - 1)}, nil
}

type conversationService struct {
	wireconnect.UnimplementedConversationServiceHandler
	server *Server
}

// Get answers one conversation.
func (s *conversationService) Get(ctx context.Context, q *wire.GetRequest) (*wire.GetResponse, error) {
	d, h, err := s.server.callerIn(ctx, q.Conversation)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	return &wire.GetResponse{Conversation: d.world.summary(h, d.user)}, nil
}

// List answers all conversations in one page.
func (s *conversationService) List(ctx context.Context, _ *wire.ListRequest) (*wire.ListResponse, error) {
	d, err := s.server.caller(ctx)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	a := &wire.ListResponse{}
	for _, h := range d.world.of(d.user) {
		a.Conversations = append(a.Conversations, d.world.summary(h, d.user))
	}
	return a, nil
}

// ListMembers answers the members.
func (s *conversationService) ListMembers(ctx context.Context, q *wire.ListMembersRequest) (*wire.ListMembersResponse, error) {
	d, h, err := s.server.callerIn(ctx, q.Conversation)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	a := &wire.ListMembersResponse{}
	for _, user := range h.members {
		a.Members = append(a.Members, &wire.Member{User: user, Role: wire.Role_MEMBER, JoinedSeq: 1, ReadSeq: h.read[user], DeliveredSeq: h.read[user]})
	}
	return a, nil
}

// Badge adds up what is unread.
func (s *conversationService) Badge(ctx context.Context, _ *wire.BadgeRequest) (*wire.BadgeResponse, error) {
	d, err := s.server.caller(ctx)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	a := &wire.BadgeResponse{}
	for _, h := range d.world.of(d.user) {
		if n := d.world.summary(h, d.user).GetUnread(); n > 0 {
			a.Unread += n
			a.Conversations++
		}
	}
	return a, nil
}

type userService struct {
	wireconnect.UnimplementedUserServiceHandler
	server *Server
}

// Get answers a profile: everybody exists.
func (s *userService) Get(ctx context.Context, q *wire.GetUserRequest) (*wire.GetUserResponse, error) {
	d, err := s.server.caller(ctx)
	if err != nil {
		return nil, err
	}
	defer d.run.mu.Unlock()
	id := q.UserId
	if id == "" {
		id = d.user
	}
	return &wire.GetUserResponse{User: &wire.Profile{Id: id, Nickname: id}}, nil
}
