// SPDX-License-Identifier: Apache-2.0

// The open loop of tidemark bench send: messages leave at fixed times.

package bench

import (
	"context"
	"sync/atomic"
	"time"
)

// openSchedule says when one connection sends. Its writer and its reader run at the same time and share only the
// atomics: sent rises when a message was queued, after its intended time was stored.
type openSchedule struct {
	begin    time.Time
	interval time.Duration
	intended []atomic.Int64 // of message n at n % window: nanoseconds since begin
	free     chan struct{}  // holds one entry for each message that may still be sent
	sent     atomic.Uint64
	finished atomic.Bool // nothing more will be sent
}

// newOpenSchedule spreads the connections evenly over one interval.
func newOpenSchedule(config SendConfig, connection int) *openSchedule {
	interval := time.Duration(float64(time.Second) * float64(config.Connections) / config.Rate)
	o := &openSchedule{
		begin:    time.Now().Add(interval * time.Duration(connection) / time.Duration(config.Connections)),
		interval: interval,
		intended: make([]atomic.Int64, config.Window),
		free:     make(chan struct{}, config.Window),
	}
	for range config.Window {
		o.free <- struct{}{}
	}
	return o
}

// sendOnTime sends each message at its time, or as soon after it as the window allows.
func (s *sender) sendOnTime(ctx context.Context) error {
	o := s.schedule
	defer s.wakeReader()
	for n := 0; s.course.now() != stopping; n++ {
		due := o.interval * time.Duration(n)
		if wait := time.Until(o.begin.Add(due)); wait > 0 {
			if err := s.flush(); err != nil {
				return s.failed(err)
			}
			if err := pause(ctx, wait); err != nil {
				return nil // the one who ended it has said why
			}
		}
		if len(o.free) == 0 {
			if err := s.flush(); err != nil {
				return s.failed(err)
			}
		}
		select {
		case <-o.free:
		case <-ctx.Done():
			return nil
		}
		next := s.asked + 1
		o.intended[next%uint64(s.window)].Store(int64(due))
		s.submit()
		o.sent.Store(next)
	}
	return nil
}

// wakeReader sends a last ping when everything is sent: its answer ends hear, which may have nothing else to wait for.
func (s *sender) wakeReader() {
	s.schedule.finished.Store(true)
	s.queuePing(1)
	_ = s.flush() // where the connection is broken, hear finds it too
}

// hear takes the answers until all of them are there and nothing more will be sent.
func (s *sender) hear() error {
	o := s.schedule
	for !o.finished.Load() || s.answered < o.sent.Load() {
		payload, err := s.read()
		if err != nil {
			return s.failed(err)
		}
		kind, content, err := skimFrame(payload)
		if err != nil {
			return s.failed(err)
		}
		switch kind {
		case frameSubmitted:
			answer, err := skimSubmitted(content)
			if err != nil {
				return s.failed(err)
			}
			intended := o.begin.Add(time.Duration(o.intended[answer.request%uint64(s.window)].Load()))
			if err := s.acknowledged(answer, intended); err != nil {
				return s.failed(err)
			}
			o.free <- struct{}{}
		case frameDelta, frameSignal, framePong:
		default:
			return unexpected(kind, payload)
		}
	}
	return nil
}
