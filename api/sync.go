// SPDX-License-Identifier: Apache-2.0

// SyncService: keeping a device up to date by request and response.

package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/contract"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/wire"
)

// waitersMax is how many calls of Pull one user may have waiting.
const waitersMax = 16

// offersMax is how many calls of GiveBack are carried out at once.
const offersMax = 4

// syncService implements [wireconnect.SyncServiceHandler].
type syncService struct{ *API }

// Pull answers what changed since the cursor, and may wait for something to change.
func (s *syncService) Pull(ctx context.Context, request *wire.PullRequest) (*wire.PullResponse, error) {
	who := caller(ctx)
	device, err := s.ownDevice(who, request.GetDeviceId())
	if err != nil {
		return nil, err
	}
	if time.Duration(request.GetWaitMs())*time.Millisecond > waitMax {
		return nil, tidemark.Refuse(tidemark.BadArgument, "waitMs is %d; at most %d is allowed", request.GetWaitMs(), waitMax.Milliseconds())
	}
	if request.GetWaitMs() > 0 {
		if err := s.waiting.enter(who.User); err != nil {
			return nil, err
		}
		defer s.waiting.leave(who.User)
	}
	known, err := s.config.Set.OfUser(who.User).Device(who.User, device)
	if err != nil {
		return nil, err
	}
	ctx, stop := s.untilEnd(ctx)
	defer stop()
	answer, err := session.Pull(ctx, session.Config{
		User: who.User, Device: device, Platform: request.GetPlatform(), Client: request.GetClient(), Address: s.addressOf(ctx),
		Format: wire.Proto, Set: s.config.Set, Registry: s.config.Registry, NowMs: s.config.NowMs,
		Admit: func() error { return s.config.Auth.Admit(who, device) },
	}, request)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errEnding):
		return nil, errEnding
	case err == nil && known == nil:
		err = s.meet(ctx, who.User, device, request)
	}
	return answer, err
}

// meet waits until a new device is remembered, which Pull has begun: its next call may bring a cursor or an Ack. If that
// was refused, so is this.
func (s *syncService) meet(ctx context.Context, user tidemark.UserID, device tidemark.DeviceID, request *wire.PullRequest) error {
	_, err := s.do(ctx, s.config.Set.SeeDevice(core.SeeDevice{
		User: user, Device: device, Platform: request.GetPlatform(), Client: request.GetClient(),
	}))
	var refusal *tidemark.Error
	if errors.As(err, &refusal) && refusal.Reason == tidemark.Unavailable {
		return nil // where nothing can be written, the device may sync all the same
	}
	return err
}

// errEnding is what a waiting call answers when the server shuts down.
var errEnding = &tidemark.Error{Reason: tidemark.Unavailable, Message: "the server is shutting down; call again", RetryAfterMs: 1000}

// untilEnd is a context that also ends, with errEnding, when the server does. stop must be called.
func (a *API) untilEnd(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-a.config.Ending:
			cancel(errEnding)
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(nil); watch.Wait() }
}

// Ack stores how far the device has come.
func (s *syncService) Ack(ctx context.Context, request *wire.AckRequest) (*wire.AckResponse, error) {
	who := caller(ctx)
	device, err := s.ownDevice(who, request.GetDeviceId())
	if err != nil {
		return nil, err
	}
	set := s.config.Set
	known, err := set.OfUser(who.User).Device(who.User, device)
	if err != nil {
		return nil, err
	}
	if known == nil {
		return nil, tidemark.Refuse(tidemark.BadArgument, "device %q of %s is not known: Pull first", device, who.User)
	}
	cursor := wire.ToCursor(request.GetCursor())
	if cursor.Epoch != set.Epoch() {
		return nil, tidemark.Refuse(tidemark.BadArgument, "the cursor's epoch is %d, the server's %d: Pull with it, and the answer says how to go on", cursor.Epoch, set.Epoch())
	}
	for number, position := range cursor.Positions {
		switch {
		case number >= set.Partitions():
			return nil, tidemark.Refuse(tidemark.BadArgument, "the cursor names partition %d; there are %d", number, set.Partitions())
		case position > set.At(number).Published():
			return nil, tidemark.Refuse(tidemark.BadArgument, "the cursor is at %d in partition %d, which is at %d", position, number, set.At(number).Published())
		}
	}
	for number, position := range cursor.Positions {
		set.Ack(who.User, device, number, position)
	}
	return &wire.AckResponse{}, nil
}

// Changes answers what changed in sets of the caller since the versions that it holds.
func (s *syncService) Changes(ctx context.Context, request *wire.ChangesRequest) (*wire.ChangesResponse, error) {
	return contract.Changes(s.config.Set, caller(ctx).User, request)
}

// Verify answers the chain value at a seq that the caller may see, or just before the first.
func (s *syncService) Verify(ctx context.Context, request *wire.VerifyRequest) (*wire.VerifyResponse, error) {
	sight, err := s.config.Set.See(caller(ctx).User, tidemark.ConversationID(request.GetConversation()))
	if err != nil {
		return nil, err
	}
	seq := tidemark.Seq(request.GetSeq())
	if seq == 0 {
		seq = sight.Head.Seq
	}
	if seq < sight.Floor || seq > sight.Head.Seq {
		return nil, tidemark.Refuse(tidemark.UnknownEvent, "seq %d is not between %d and the head %d", seq, sight.Floor, sight.Head.Seq)
	}
	digest := sight.Head.Digest
	if seq < sight.Head.Seq {
		if digest, err = sight.Partition.Digest(sight.Info.Ordinal, seq); err != nil {
			return nil, err
		}
	}
	return &wire.VerifyResponse{
		Seq: uint64(seq), Digest: digest[:], HeadSeq: uint64(sight.Head.Seq), HeadDigest: sight.Head.Digest[:], FloorSeq: uint64(sight.Floor + 1),
		HeadSeal: s.config.Set.SealBytes(sight.Info.ID, sight.Head.Seq, sight.Head.Digest),
	}, nil
}

// GiveBack takes events that the server had and lost. Few are taken at once: each offer may be large.
func (s *syncService) GiveBack(ctx context.Context, request *wire.GiveBackRequest) (*wire.GiveBackResponse, error) {
	select {
	case s.offers <- struct{}{}:
		defer func() { <-s.offers }()
	default:
		refusal := tidemark.Refuse(tidemark.RateLimited, "%d offers are being read already; offer it again", offersMax)
		refusal.RetryAfterMs = 1000
		return nil, refusal
	}
	return s.config.Set.GiveBack(ctx, caller(ctx).User, request)
}

// ownDevice checks a device id, and that the caller's token counts for it.
func (a *API) ownDevice(who gateway.Identity, id string) (tidemark.DeviceID, error) {
	device := tidemark.DeviceID(id)
	if !device.Valid() {
		return "", tidemark.Refuse(tidemark.BadArgument, "deviceId %.80q cannot be a device id: use %s", id, tidemark.IDAlphabet)
	}
	return device, a.config.Auth.Admit(who, device)
}

// addressOf is the address of the caller, for operators.
func (a *API) addressOf(ctx context.Context) string {
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return ""
	}
	return gateway.ClientAddress(info.Peer().Addr, info.RequestHeader(), a.config.Proxies).String()
}

// waiters counts the waiting calls of each user. Safe for concurrent use.
type waiters struct {
	mu    sync.Mutex
	count map[tidemark.UserID]int // > 0
}

// enter counts one more, or refuses.
func (w *waiters) enter(user tidemark.UserID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count[user] >= waitersMax {
		return tidemark.Refuse(tidemark.TooMany, "%d calls of Pull are waiting for %s already", waitersMax, user)
	}
	if w.count == nil {
		w.count = map[tidemark.UserID]int{}
	}
	w.count[user]++
	return nil
}

// leave counts one less.
func (w *waiters) leave(user tidemark.UserID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count[user]--; w.count[user] == 0 {
		delete(w.count, user)
	}
}
