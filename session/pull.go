// SPDX-License-Identifier: Apache-2.0

// Pull: a session that lives for one answer. Its frames are gathered; there is no other sync code.

package session

import (
	"context"
	"fmt"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// pullEventBytesMax is how many bytes of events one answer carries; the conversations after that come as summaries.
const pullEventBytesMax = 4 << 20

// Pull is SyncService/Pull: what changed past the request's cursor, or past the one that the device acknowledged last.
// With waitMs, and where nothing changed, it waits for a change. cfg is as for New; its Format and OnReady are
// not used. but for the Registry, by which who waits can be kicked: then the error is BAD_TOKEN. Errors are as for Open, or
// the context's.
func Pull(ctx context.Context, cfg Config, req *wire.PullRequest) (*wire.PullResponse, error) {
	ready := make(chan struct{}, 1)
	cfg.Format = wire.Proto
	cfg.OnReady = func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	}
	s := New(cfg)
	s.waiting = true
	defer s.Close()
	cursor := req.GetCursor()
	if cursor == nil {
		var err error
		if cursor, err = s.acknowledged(); err != nil {
			return nil, err
		}
	}
	hello := &wire.Hello{Cursor: cursor, Tail: req.GetTail(), Full: req.GetFull()}
	if err := s.open(ctx, hello, req.GetWaitMs() > 0, pullEventBytesMax); err != nil {
		return nil, err
	}
	answer := &wire.PullResponse{}
	if err := s.gather(answer); err != nil {
		return nil, err
	}
	if len(answer.Conversations) > 0 || answer.Reset_ != nil || req.GetWaitMs() == 0 {
		return answer, nil
	}
	timer := time.NewTimer(time.Duration(req.GetWaitMs()) * time.Millisecond)
	defer timer.Stop()
	for len(answer.Conversations) == 0 {
		select {
		case <-ready:
		case <-timer.C:
			return answer, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := s.gather(answer); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// acknowledged is the cursor that the device has acknowledged; nil if none.
func (s *Session) acknowledged() (*wire.Cursor, error) {
	cursor := &wire.Cursor{Epoch: uint64(s.cfg.Set.Epoch()), Positions: make(map[uint32]uint64)}
	for n := range s.cfg.Set.Partitions() {
		cursors, err := s.cfg.Set.At(n).Cursors(s.cfg.User)
		if err != nil {
			return nil, err
		}
		for _, c := range cursors {
			if c.Device == s.cfg.Device {
				cursor.Positions[n] = uint64(c.Position)
			}
		}
	}
	if len(cursor.Positions) == 0 {
		return nil, nil
	}
	return cursor, nil
}

// gather puts the frames that are there into the answer, until its events are many.
func (s *Session) gather(answer *wire.PullResponse) error {
	var buffer []byte
	for bytes := 0; bytes < pullEventBytesMax || s.syncing(); bytes += len(buffer) {
		var ok bool
		if buffer, ok = s.Next(buffer[:0]); !ok {
			return nil
		}
		frame := &wire.ServerFrame{}
		if err := frame.UnmarshalVT(buffer); err != nil {
			return fmt.Errorf("session: pull: %w", err)
		}
		switch f := frame.Frame.(type) {
		case *wire.ServerFrame_Welcome:
			answer.Epoch, answer.Partitions, answer.Reset_ = f.Welcome.Epoch, f.Welcome.Partitions, f.Welcome.Reset_
		case *wire.ServerFrame_Delta:
			answer.Conversations = append(answer.Conversations, f.Delta.Conversations...)
			answer.Profiles = append(answer.Profiles, f.Delta.Profiles...)
			for n, position := range f.Delta.Checkpoints {
				answer.Cursor.Positions[n] = position
			}
		case *wire.ServerFrame_Synced:
			answer.Cursor = f.Synced.Cursor
			if answer.Cursor.Positions == nil { // nothing was ever written: what comes next is the first
				answer.Cursor.Positions = make(map[uint32]uint64)
			}
		case *wire.ServerFrame_Error:
			return wire.ToError(f.Error)
		case *wire.ServerFrame_Bye:
			if f.Bye.Reason == wire.ByeReason_KICKED || f.Bye.Reason == wire.ByeReason_REPLACED {
				return tidemark.Refuse(tidemark.BadToken, "%s: sign in again", f.Bye.Message)
			}
			return tidemark.Refuse(tidemark.Unavailable, "%s", f.Bye.Message)
		}
	}
	answer.HasMore = true
	return nil
}

// syncing reports whether synced is still to come.
func (s *Session) syncing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage == syncing
}
