// SPDX-License-Identifier: Apache-2.0

// A connection that sends at fixed times whatever the server answers: it waits for nothing but a socket that takes no more.

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// pushEvery is how long it rests between writes: a write for every message would cost the machine more than the message.
const pushEvery = 2 * time.Millisecond

// pushBufferBytes of the kernel hold what was sent and not yet taken: what waits there is not told from what is held back.
const pushBufferBytes = 64 << 10

// pushBatch is how many messages that are due go into one write at most, so that a full socket holds few of them.
const pushBatch = 32

// what became of a message.
const (
	unanswered = iota
	acknowledged
	refused // RATE_LIMITED: not stored
)

// pusher is one connection. One goroutine writes (push), another reads (hear).
type pusher struct {
	*sender
	interval time.Duration
	begin    time.Time
	written  atomic.Uint64 // messages handed to the socket
	finished atomic.Bool   // push has ended

	settled atomic.Uint64 // messages answered

	became  []byte   // of message n at n; owned by hear, as all below
	acked   []uint64 // messages acknowledged, in order
	limited uint64   // messages refused
}

// newPusher makes one of a connected sender, which is not used otherwise. rate is messages a second.
func newPusher(s *sender, rate float64, course *course) *pusher {
	s.course = course
	s.counted, s.latencies = 0, newLatencies()
	return &pusher{sender: s, interval: time.Duration(float64(time.Second) / rate), begin: time.Now()}
}

// due is when message n is meant to be sent.
func (p *pusher) due(n uint64) time.Time { return p.begin.Add(time.Duration(n) * p.interval) }

// push sends each message at its time, or when the socket takes it, until the course stops.
func (p *pusher) push(ctx context.Context) error {
	if socket, ok := p.net.(*net.TCPConn); ok {
		_ = socket.SetWriteBuffer(pushBufferBytes)
	}
	defer func() { // a last ping: its answer ends hear, which may have nothing else to wait for
		p.finished.Store(true)
		p.queuePing(p.asked + 1)
		_ = p.flush() // where the connection is broken, hear finds it too
	}()
	for p.course.now() != stopping {
		if wait := time.Until(p.due(p.asked + 1)); wait > 0 {
			if err := pause(ctx, max(wait, pushEvery)); err != nil {
				return nil // the one who ended it has said why
			}
		}
		for range pushBatch {
			if p.submit(); time.Now().Before(p.due(p.asked + 1)) {
				break
			}
		}
		p.written.Store(p.asked)
		if err := p.flush(); err != nil {
			return p.failed(err)
		}
	}
	return nil
}

// heldBack is how many messages were due when the load ended and had not been written: what TCP pushed back.
func (p *pusher) heldBack(end time.Time) uint64 {
	meant := uint64(end.Sub(p.begin) / p.interval)
	return meant - min(meant, p.written.Load())
}

// hear takes the answers until all of them are there and nothing more will be sent.
func (p *pusher) hear() error {
	for !p.done() {
		payload, err := p.read()
		if err != nil {
			return p.failed(err)
		}
		kind, content, err := skimFrame(payload)
		if err != nil {
			return p.failed(err)
		}
		switch kind {
		case frameSubmitted:
			answer, err := skimSubmitted(content)
			if err == nil {
				err = p.taken(answer, time.Now())
			}
			if err != nil {
				return p.failed(err)
			}
		case frameError:
			if err := p.turnedAway(payload); err != nil {
				return p.failed(err)
			}
		case frameDelta, frameSignal, framePong:
		default:
			return unexpected(kind, payload)
		}
	}
	return nil
}

// done reports whether nothing more will be sent and all that was sent is answered. Any goroutine may ask.
func (p *pusher) done() bool { return p.finished.Load() && p.settled.Load() == p.written.Load() }

// settle notes what became of a message: each has one answer.
func (p *pusher) settle(n uint64, became byte) error {
	if n == 0 || n > p.written.Load() {
		return fmt.Errorf("bench: WRONG ANSWER: message %d is answered and was not sent", n)
	}
	for uint64(len(p.became)) <= n {
		p.became = append(p.became, unanswered)
	}
	if p.became[n] != unanswered {
		return fmt.Errorf("bench: WRONG ANSWER: message %d is answered twice", n)
	}
	p.became[n] = became
	p.settled.Add(1)
	return nil
}

// taken takes an acknowledgement: messages are stored in the order in which they were sent, without gaps.
func (p *pusher) taken(answer submitted, now time.Time) error {
	switch {
	case len(p.acked) > 0 && answer.request <= p.acked[len(p.acked)-1]:
		return fmt.Errorf("bench: WRONG ANSWER: message %d was acknowledged after %d", answer.request, p.acked[len(p.acked)-1])
	case answer.duplicate:
		return fmt.Errorf("bench: WRONG ANSWER: message %d is called a duplicate and was sent once", answer.request)
	case p.lastSeq != 0 && answer.seq != p.lastSeq+1:
		return fmt.Errorf("bench: WRONG ANSWER: seq %d follows %d in a conversation with one writer", answer.seq, p.lastSeq)
	case len(answer.digest) != len(p.digest):
		return errors.New("bench: WRONG ANSWER: an answer without a digest")
	}
	if err := p.settle(answer.request, acknowledged); err != nil {
		return err
	}
	p.acked = append(p.acked, answer.request)
	p.lastSeq = answer.seq
	copy(p.digest[:], answer.digest)
	if p.course.now() == measuring {
		p.counted++
		p.record(now.Sub(p.due(answer.request)))
	}
	p.course.done.Add(1)
	return nil
}

// turnedAway takes a refusal, which may only be RATE_LIMITED.
func (p *pusher) turnedAway(payload []byte) error {
	var frame wire.ServerFrame
	if err := frame.UnmarshalVT(payload); err != nil {
		return err
	}
	refusal := frame.GetError()
	if refusal.GetReason() != wire.Reason_RATE_LIMITED || refusal.GetRetryAfterMs() == 0 {
		return unexpected(frameError, payload)
	}
	if err := p.settle(refusal.GetRequest(), refused); err != nil {
		return err
	}
	p.limited++
	return nil
}

// check reads the conversation back: it must hold what was acknowledged, in order, and nothing that was refused.
func (p *pusher) check(ctx context.Context, a *App) error {
	read := 0
	digest, err := a.ReadLog(ctx, p.member, p.conversation, func(event *wire.Event) error {
		if event.Sender == string(tidemark.SystemUser) {
			return nil
		}
		if read == len(p.acked) {
			return fmt.Errorf("seq %d (%s) was never acknowledged", event.Seq, event.ClientId)
		}
		read++
		return p.isMessage(p.acked[read-1], event)
	})
	switch {
	case err != nil:
		return fmt.Errorf("bench: WRONG ANSWER: conversation %s: %w", p.conversation, err)
	case read != len(p.acked):
		return fmt.Errorf("bench: WRONG ANSWER: conversation %s holds %d messages, %d were acknowledged", p.conversation, read, len(p.acked))
	case read > 0 && digest != p.digest:
		return fmt.Errorf("bench: WRONG ANSWER: conversation %s: its chain ends at %s, %x was acknowledged", p.conversation, digest, p.digest)
	}
	return nil
}
