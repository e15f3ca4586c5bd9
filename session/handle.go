// SPDX-License-Identifier: Apache-2.0

// Handle: what a client's frames do.

package session

import (
	"context"
	"errors"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// errOrder is a frame that may not come where it came.
var errOrder = errors.New("session: hello may come only once, as the first frame")

// Handle takes every frame but hello. It waits while InFlightMax frames are unanswered, and while a partition's queue is
// full: whoever reads from the connection then stops reading. What is refused is answered by an error frame; the error
// of Handle is a violation of the protocol: close the connection.
func (s *Session) Handle(ctx context.Context, f *wire.ClientFrame) error {
	switch f := f.GetFrame().(type) {
	case *wire.ClientFrame_Submit:
		s.handleSubmit(ctx, f.Submit)
	case *wire.ClientFrame_Ack:
		s.handleAck(ctx, f.Ack)
	case *wire.ClientFrame_Read:
		s.handleRead(ctx, f.Read)
	case *wire.ClientFrame_Fetch:
		s.reply(ctx, reply{request: f.Fetch.GetRequest(), fetch: f.Fetch})
	case *wire.ClientFrame_Typing:
		s.handleTyping(ctx, f.Typing)
	case *wire.ClientFrame_Enter:
		s.handleEnter(ctx, f.Enter)
	case *wire.ClientFrame_Leave:
		s.handleLeave(ctx, f.Leave)
	case *wire.ClientFrame_Watch:
		s.handleWatch(ctx, f.Watch)
	case *wire.ClientFrame_Ping:
		s.reply(ctx, reply{request: f.Ping.GetRequest(), pong: true})
	default:
		return errOrder
	}
	return nil
}

// Waits reports whether Handle would wait if it were given a frame now: too many frames are unanswered, or the queue of
// a partition is full. Who steps sessions and partitions from one goroutine leaves such a frame where it is.
func (s *Session) Waits(f *wire.ClientFrame) bool {
	var id tidemark.ConversationID
	switch f := f.GetFrame().(type) {
	case *wire.ClientFrame_Submit:
		id, _ = s.addressee(f.Submit.GetConversation(), f.Submit.GetToUser())
	case *wire.ClientFrame_Read:
		id = tidemark.ConversationID(f.Read.GetConversation())
	}
	if id != "" && s.cfg.Set.Of(id).Full() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight >= s.cfg.Set.Limits().InFlightMax && s.stage != ended && s.bye == nil
}

// reply queues an answer that is ready, or will be when it is its turn.
func (s *Session) reply(ctx context.Context, r reply) {
	if s.acquire(ctx) {
		s.put(r)
	}
}

func (s *Session) refuse(ctx context.Context, request uint64, err *tidemark.Error) {
	s.reply(ctx, reply{frame: wire.ErrorFrame(request, err)})
}

func (s *Session) handleSubmit(ctx context.Context, f *wire.Submit) {
	id, err := s.addressee(f.GetConversation(), f.GetToUser())
	if err != nil {
		s.refuse(ctx, f.GetRequest(), s.refusal("submit", err))
		return
	}
	if !s.acquire(ctx) {
		return
	}
	cmd := &core.Submit{
		Actor: core.Actor{User: s.cfg.User}, Conversation: id, ClientID: tidemark.ClientID(f.GetClientId()),
		Message: f.GetMessage(), Edit: f.GetEdit(), Recall: f.GetRecall(), Reaction: f.GetReaction(), Pin: f.GetPin(),
		Seen: f.GetSeen(),
	}
	n, request := s.cfg.Set.Of(id).Number(), f.GetRequest()
	of := submitted{conversation: id, recall: f.GetRecall() != nil, message: f.GetMessage()}
	s.submit(ctx, request, cmd, func(r core.Reply) { s.answer(n, request, of, r) })
}

// submit queues a command for which a place was acquired.
func (s *Session) submit(ctx context.Context, request uint64, cmd core.Command, done func(core.Reply)) {
	if err := s.cfg.Set.Submit(ctx, cmd, done); err != nil {
		refused, ok := err.(*tidemark.Error)
		if !ok {
			s.release() // the context has ended: nobody listens
			return
		}
		s.put(reply{frame: wire.ErrorFrame(request, refused)})
	}
}

// addressee is the conversation that a submission goes to. A direct one comes into being by its first message.
func (s *Session) addressee(conversation, toUser string) (tidemark.ConversationID, error) {
	id := tidemark.ConversationID(conversation)
	switch {
	case (conversation == "") == (toUser == ""):
		return "", tidemark.Refuse(tidemark.BadArgument, "name either a conversation or a user")
	case toUser == string(s.cfg.User):
		return "", tidemark.Refuse(tidemark.BadArgument, "nobody has a direct conversation with themselves")
	case toUser != "" && !tidemark.UserID(toUser).Valid():
		return "", tidemark.Refuse(tidemark.BadArgument, "user id %q: an id is %s", toUser, tidemark.IDAlphabet)
	case toUser != "":
		id = tidemark.Direct(s.cfg.User, tidemark.UserID(toUser))
	}
	return id, nil
}

// handleRead moves the read mark. It has no answer; a refusal comes as an error frame without a request.
func (s *Session) handleRead(ctx context.Context, f *wire.Read) {
	if !s.acquire(ctx) {
		return
	}
	cmd := &core.Read{
		User: s.cfg.User, Conversation: tidemark.ConversationID(f.GetConversation()), Seq: tidemark.Seq(f.GetSeq()),
	}
	s.submit(ctx, 0, cmd, func(r core.Reply) {
		if r.Err != nil {
			s.put(reply{frame: wire.ErrorFrame(0, r.Err)})
			return
		}
		s.release()
	})
}

// handleAck remembers how far the device has come; what it cannot have is passed over. A device that was kicked is
// being forgotten: nothing of it may be remembered again.
func (s *Session) handleAck(ctx context.Context, f *wire.Ack) {
	if s.kicked() {
		return
	}
	c := f.GetCursor()
	if tidemark.Epoch(c.GetEpoch()) != s.cfg.Set.Epoch() {
		s.refuse(ctx, 0, tidemark.Refuse(tidemark.BadArgument, "ack of epoch %d: welcome named %d", c.GetEpoch(), s.cfg.Set.Epoch()))
		return
	}
	for n := range s.cfg.Set.Partitions() {
		if position := c.GetPositions()[n]; position > 0 {
			s.cfg.Set.Ack(s.cfg.User, s.cfg.Device, n, tidemark.Position(position))
		}
	}
}

func (s *Session) handleTyping(ctx context.Context, f *wire.Typing) {
	if err := s.cfg.Set.Typing(s.cfg.User, tidemark.ConversationID(f.GetConversation()), f.GetTyping()); err != nil {
		s.refuse(ctx, 0, s.refusal("typing", err))
	}
}

func (s *Session) handleWatch(ctx context.Context, f *wire.Watch) {
	if len(f.GetUsers()) > watchMax {
		s.refuse(ctx, 0, tidemark.Refuse(tidemark.TooMany, "watch of %d users: at most %d", len(f.GetUsers()), watchMax))
		return
	}
	users := make([]tidemark.UserID, len(f.GetUsers()))
	for i, id := range f.GetUsers() {
		users[i] = tidemark.UserID(id)
	}
	if err := s.cfg.Set.Watch(s.cfg.User, s, users); err != nil {
		s.refuse(ctx, 0, s.refusal("watch", err))
	}
}
