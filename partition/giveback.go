// SPDX-License-Identifier: Apache-2.0

// Giving back: how events that this server lost when it was restored come back from those who have them. What is offered
// is held to the log, its end to the server's own seal; only then are the commands queued that append it.

package partition

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	// OfferEventsMax is how many events one offer may have.
	OfferEventsMax = 50_000

	takenMax    = 500  // events that one call takes; the next call takes the next
	refusalsMax = 1000 // refused offers that are logged: each conversation's once for each cause
	namesMax    = 20   // unknown users whom a refusal names
)

// takingBack is until when lost events are taken back, and what has come.
type takingBack struct {
	untilMs uint64        // of nowMs; 0: not at all. Immutable
	nowMs   func() uint64 // immutable; other than the time of events, this clock should not jump

	mu            sync.Mutex
	events        uint64                           // guarded by mu
	conversations map[tidemark.ConversationID]bool // guarded by mu; at most as many as there are
	refused       map[string]bool                  // guarded by mu; what was logged of refused offers, at most refusalsMax
}

// TakeBackMs is for how long yet lost events are taken back, ms; 0: not.
func (s *Set) TakeBackMs() uint64 {
	if s.taking.untilMs == 0 {
		return 0
	}
	return s.taking.untilMs - min(s.taking.nowMs(), s.taking.untilMs)
}

// TakenBack is how many events have come back since the start, and to how many conversations they belong.
func (s *Set) TakenBack() (events, conversations uint64) {
	s.taking.mu.Lock()
	defer s.taking.mu.Unlock()
	return s.taking.events, uint64(len(s.taking.conversations))
}

func (t *takingBack) note(id tidemark.ConversationID, taken uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conversations == nil {
		t.conversations = make(map[tidemark.ConversationID]bool)
	}
	t.events += taken
	t.conversations[id] = true
}

// GiveBack takes what a user, or the app (""), gives back of a conversation: at most some hundred events; the answer's
// head says where to go on. What is there already is passed over. Who may see nothing of the conversation is told
// nothing of it, unless the events prove that the user was made a member by them.
//
// Refused with NOT_ALLOWED while nothing is taken back; BAD_ARGUMENT where the events make no sense, lack content, or do
// not lead to the seal; UNKNOWN_EVENT where they begin past the head; ALREADY_EXISTS where the log has gone on
// otherwise; UNKNOWN_USER for a member or sender who does not exist here.
func (s *Set) GiveBack(ctx context.Context, user tidemark.UserID, request *wire.GiveBackRequest) (*wire.GiveBackResponse, error) {
	give, standing, err := s.CheckOffer(user, request)
	if err == nil && len(give) > 0 {
		standing, err = s.takeBack(ctx, user, give, standing)
	}
	if err != nil {
		s.logRefusal(ctx, user, request, err)
		return nil, err
	}
	return standing, nil
}

// logRefusal tells the operator why an offer was refused, which devices make again and again: once of each cause.
func (s *Set) logRefusal(ctx context.Context, user tidemark.UserID, request *wire.GiveBackRequest, err error) {
	refused, is := err.(*tidemark.Error)
	if !is || refused.Reason == tidemark.NotAllowed {
		return
	}
	id := tidemark.ConversationID(request.GetConversation())
	if s.taking.firstTime(string(id) + " " + refused.Error()) {
		s.Of(id).log.LogAttrs(ctx, slog.LevelWarn, "lost events are offered and cannot be taken", slog.String("conversation", string(id)),
			slog.Int("events", len(request.GetEvents())), slog.String("user", string(user)), slog.Any("err", err))
	}
}

// firstTime reports whether a refusal is to be logged: it is the first of its kind.
func (t *takingBack) firstTime(what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused[what] || len(t.refused) >= refusalsMax {
		return false
	}
	if t.refused == nil {
		t.refused = make(map[string]bool)
	}
	t.refused[what] = true
	return true
}

// CheckOffer is [Set.GiveBack] up to where something is written: the commands to be queued, in their order, and where the
// conversation stands before them.
func (s *Set) CheckOffer(user tidemark.UserID, request *wire.GiveBackRequest) ([]*core.GiveBack, *wire.GiveBackResponse, error) {
	if s.TakeBackMs() == 0 {
		return nil, nil, tidemark.Refuse(tidemark.NotAllowed, "the server takes nothing back: its operator may start it with --take-back")
	}
	if n := len(request.GetEvents()); n > OfferEventsMax {
		return nil, nil, tidemark.Refuse(tidemark.TooMany, "%d events are offered at once, at most %d are allowed", n, OfferEventsMax)
	}
	o, err := s.readOffer(user, request)
	if err != nil {
		return nil, nil, err
	}
	if len(o.Give) == 0 && o.Last > o.head.Seq {
		return nil, nil, tidemark.Refuse(tidemark.BadArgument, "event %d is offered without its content", o.head.Seq+1)
	}
	known, err := s.beforeUnknown(beforeUsedAgain(o.Give))
	if err != nil {
		return nil, nil, err
	}
	return o.Give[:min(known, takenMax)], &wire.GiveBackResponse{HeadSeq: uint64(o.head.Seq), HeadDigest: o.head.Digest[:]}, nil
}

// beforeUsedAgain are the events before the first whose client id one of them has already: that one was trimmed when the
// other was written, and can be only once it is durable.
func beforeUsedAgain(give []*core.GiveBack) []*core.GiveBack {
	type used struct {
		sender tidemark.UserID
		id     tidemark.ClientID
	}
	seen := make(map[used]bool, len(give))
	for i, g := range give {
		by := used{tidemark.UserID(g.Event.Sender), tidemark.ClientID(g.Event.ClientId)}
		if by.id != "" && seen[by] {
			return give[:i]
		}
		seen[by] = true
	}
	return give
}

// beforeUnknown is how many events can be taken before the first that names a user who is not known here. Where that is
// none it is refused, with the names of all such users.
func (s *Set) beforeUnknown(give []*core.GiveBack) (int, error) {
	known, unknown := len(give), []string(nil)
	seen := make(map[tidemark.UserID]bool)
	for i, g := range give {
		for _, id := range g.Names() {
			if seen[id] || len(unknown) == namesMax {
				continue
			}
			seen[id] = true
			refused, err := refusal(s.CheckUsers(id))
			if err != nil {
				return 0, err
			}
			if refused == nil {
				continue
			}
			if refused.Reason != tidemark.UnknownUser {
				return 0, refused
			}
			unknown, known = append(unknown, string(id)), min(known, i)
		}
	}
	if known == 0 && len(unknown) > 0 {
		return 0, tidemark.Refuse(tidemark.UnknownUser, "what is offered names users who are not known here: %s: the app's back end creates users",
			strings.Join(unknown, ", "))
	}
	return known, nil
}

// offered is an offer that is proven, by somebody who may make it.
type offered struct {
	*core.Offer
	head record.Head // where the log stood when it was read
}

// readOffer holds an offer to the log and to the seal. Only a member, the app, and who proves to have become a member
// hear what is wrong with it.
func (s *Set) readOffer(user tidemark.UserID, request *wire.GiveBackRequest) (*offered, error) {
	id := tidemark.ConversationID(request.GetConversation())
	p := s.Of(id)
	info, err := p.infoByID(id)
	if err != nil {
		return nil, err
	}
	o := &offered{head: record.Head{Digest: chain.Start(id)}}
	stranger, member := unknown(id), user == ""
	if info != nil {
		if o.head, err = p.Head(info.Ordinal); err != nil {
			return nil, err
		}
		m, err := p.Member(info.Ordinal, user)
		if err != nil {
			return nil, err
		}
		member = member || m.Active()
		if info.Kind != record.Direct {
			stranger = tidemark.Refuse(tidemark.NotMember, "%s is not a member of %s", user, id)
		}
	}
	o.Offer, err = core.ReadOffer(id, &o.head, func(seq tidemark.Seq) (tidemark.Digest, error) {
		if info == nil || seq == o.head.Seq {
			return o.head.Digest, nil
		}
		return p.Digest(info.Ordinal, seq)
	}, request.GetEvents())
	if err == nil && !s.Sealed(id, o.Last, o.Digest, request.GetSeal()) {
		err = tidemark.Refuse(tidemark.BadArgument, "the seal is not of event %d of %s and the chain that leads there: "+
			"it is another's, or the events are not those that this server had", o.Last, id)
	}
	if !member && (err != nil || !o.makesMember(user)) {
		return nil, stranger
	}
	return o, err
}

// makesMember reports whether an event that is offered with its content makes the user a member.
func (o *offered) makesMember(user tidemark.UserID) bool {
	return slices.ContainsFunc(o.Give, func(g *core.GiveBack) bool { return slices.Contains(g.Added(), string(user)) })
}

// takeBack queues the commands, and waits for them.
func (s *Set) takeBack(ctx context.Context, user tidemark.UserID, give []*core.GiveBack, standing *wire.GiveBackResponse) (*wire.GiveBackResponse, error) {
	replies := make(chan core.Reply, len(give))
	for _, cmd := range give {
		if err := s.Submit(ctx, cmd, func(r core.Reply) { replies <- r }); err != nil {
			return nil, err
		}
	}
	for range give {
		select {
		case r := <-replies:
			if r.Err != nil {
				return nil, r.Err
			}
			if !r.Duplicate {
				standing.Taken++
			}
			if uint64(r.Seq) > standing.HeadSeq {
				standing.HeadSeq, standing.HeadDigest = uint64(r.Seq), r.Digest[:]
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if standing.Taken > 0 {
		id := give[0].Conversation
		s.taking.note(id, standing.Taken)
		s.Of(id).log.LogAttrs(ctx, slog.LevelInfo, "lost events came back", slog.String("conversation", string(id)),
			slog.Uint64("taken", standing.Taken), slog.Uint64("seq", standing.HeadSeq), slog.String("user", string(user)))
	}
	return standing, nil
}
