// SPDX-License-Identifier: Apache-2.0

// The receivers of tidemark bench room, what each of them checks, and what is checked of all of them together.

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tidemark-im/tidemark/wire"
)

// roomReceiver is one connection in the room, which only reads.
type roomReceiver struct {
	*conn
	room  *room
	shard *shard
	slow  bool

	last      uint64        // everything up to it came or was left out
	delivered uint64        // messages
	counted   uint64        // of them while measuring
	waited    time.Duration // of those, together; not of slow receivers
	left      uint64        // left out
	ended     bool          // the last message is there

	pingedAt time.Time
	late     []time.Duration // of one frame; reused
}

// kernelBuffer sets how much the kernel holds for a receiver, about.
func (l *roomReceiver) kernelBuffer(bytes int) {
	if socket, ok := l.net.(*net.TCPConn); ok {
		_ = socket.SetReadBuffer(bytes)
	}
}

// enter enters the room and reads up to its public data, after which only deliveries follow.
func (l *roomReceiver) enter() error {
	_ = l.net.SetDeadline(time.Now().Add(drainMax))
	l.queue(&wire.ClientFrame{Frame: &wire.ClientFrame_Enter{Enter: &wire.Enter{Request: 1, Conversation: l.room.id}}})
	if err := l.flush(); err != nil {
		return err
	}
	for fetched := false; ; {
		payload, err := l.read()
		if err != nil {
			return fmt.Errorf("bench: enter %s: %w", l.room.id, err)
		}
		frame := &wire.ServerFrame{}
		if err := frame.UnmarshalVT(payload); err != nil {
			return err
		}
		switch f := frame.Frame.(type) {
		case *wire.ServerFrame_Fetched:
			page := f.Fetched
			if n := len(page.Events); page.Request != 1 || page.HeadSeq != l.room.first || n == 0 || page.Events[n-1].Seq != page.HeadSeq {
				return fmt.Errorf("bench: WRONG ANSWER: enter is answered by %v, the room ends at %d", page, l.room.first)
			}
			fetched = true
		case *wire.ServerFrame_Delta:
			if cs := f.Delta.Conversations; fetched && len(cs) == 1 && cs[0].Info != nil {
				l.pingedAt = time.Now()
				l.rest()
				return nil
			}
		case *wire.ServerFrame_Signal:
		default:
			kind, _, _ := skimFrame(payload)
			return unexpected(kind, payload)
		}
	}
}

// run reads until the last message is there. A slow receiver rests after each frame while there is load.
func (l *roomReceiver) run() error {
	for resting := l.slow; !l.ended; {
		payload, err := l.read()
		if err != nil {
			return fmt.Errorf("bench: a receiver stopped at seq %d: %w", l.last, err)
		}
		kind, content, err := skimFrame(payload)
		if err != nil {
			return err
		}
		switch kind {
		case frameDelta:
			if err := l.delta(content, time.Now()); err != nil {
				return err
			}
		case frameSignal, framePong:
		default:
			return unexpected(kind, payload)
		}
		if err := l.stayAlive(); err != nil {
			return err
		}
		if resting {
			time.Sleep(roomSlowRest)
			if resting = l.room.course.now() != stopping; !resting {
				l.kernelBuffer(roomFastBuffer)
			}
		}
	}
	return nil
}

// stayAlive says now and then that the connection is alive.
func (l *roomReceiver) stayAlive() error {
	if time.Since(l.pingedAt) < heartbeat/2 {
		return nil
	}
	l.pingedAt = time.Now()
	l.queuePing(1)
	return l.flush()
}

// delta takes what one frame says of the room.
func (l *roomReceiver) delta(content []byte, heard time.Time) (err error) {
	l.late = l.late[:0]
	before := l.delivered
	failed := fields(content, func(number protowire.Number, _ uint64, data []byte) {
		switch number {
		case 1:
			err = errors.Join(err, l.conversation(data, heard))
		case 3:
			err = errors.Join(err, errors.New("bench: WRONG ANSWER: a delta of a room has a checkpoint"))
		}
	})
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	l.room.course.done.Add(l.delivered - before)
	if len(l.late) > 0 && !l.slow {
		l.shard.mu.Lock()
		for _, d := range l.late {
			l.shard.record(d)
			l.waited += d
		}
		l.shard.mu.Unlock()
	}
	return nil
}

// conversation takes a ConversationDelta. Encoders write fields in order: prevSeq and prevDigest come before the events.
func (l *roomReceiver) conversation(content []byte, heard time.Time) (err error) {
	var head, prev uint64
	var explained, begun bool
	failed := fields(content, func(number protowire.Number, value uint64, data []byte) {
		switch number {
		case 5:
			head = value
		case 10:
			prev = value
		case 11:
			explained = len(data) > 0
		case 12:
			if !begun {
				begun = true
				err = errors.Join(err, l.gap(prev, explained))
			}
			err = errors.Join(err, l.event(data, heard))
		case 13:
			err = errors.Join(err, errors.New("bench: WRONG ANSWER: a receiver was taken out of the room"))
		}
	})
	if err = errors.Join(failed, err); err == nil && begun && head != l.last {
		err = fmt.Errorf("bench: WRONG ANSWER: the head of a delta is %d and its last event %d", head, l.last)
	}
	return err
}

// gap takes what was left out before the first event of a delta.
func (l *roomReceiver) gap(prev uint64, explained bool) error {
	if prev < l.last || (prev > l.last) != explained {
		return fmt.Errorf("bench: WRONG ANSWER: prevSeq %d after event %d, with prevDigest: %v", prev, l.last, explained)
	}
	if prev > l.last {
		l.room.missing.add(l.last+1, prev)
		l.left += prev - l.last
		l.last = prev
	}
	return nil
}

// event takes one event.
func (l *roomReceiver) event(content []byte, heard time.Time) error {
	seq, clientID, err := skimEvent(content)
	if err != nil {
		return err
	}
	if seq != l.last+1 {
		return fmt.Errorf("bench: WRONG ANSWER: a receiver heard seq %d after %d", seq, l.last)
	}
	l.last = seq
	l.delivered++
	_, sent, isMessage := bytes.Cut(clientID, []byte("."))
	switch {
	case string(clientID) == roomEnd:
		l.ended = true
	case !isMessage:
		return fmt.Errorf("bench: WRONG ANSWER: event %d is of nobody who writes: client id %q", seq, clientID)
	case l.room.course.now() == measuring:
		nanoseconds, err := strconv.ParseInt(string(sent), 36, 64)
		if err != nil {
			return fmt.Errorf("bench: WRONG ANSWER: event %d has the client id %q", seq, clientID)
		}
		l.late = append(l.late, heard.Sub(l.room.begin)-time.Duration(nanoseconds))
		l.counted++
	}
	return nil
}

// missing counts, for each event, how many receivers it was left out for.
type missing struct {
	mu      sync.Mutex
	changes map[uint64]int64 // guarded by mu; at a seq, by how much it differs from the one before
}

// add notes that one receiver was not given the events from one to another.
func (m *missing) add(from, to uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes[from]++
	m.changes[to+1]--
}

// shed is how many messages were left out, by their priority.
type shed struct{ low, normal uint64 }

func (s shed) minus(before shed) shed { return shed{s.low - before.low, s.normal - before.normal} }

// check holds the whole against what was acknowledged: each event is one message or the end, and each receiver was given it
// or has heard that it was left out, which the end never is. It answers what was left out.
func (r *room) check() (left shed, err error) {
	if r.last < r.first {
		return left, fmt.Errorf("bench: WRONG ANSWER: the room ends at %d and began at %d", r.last, r.first)
	}
	low := make(map[uint64]bool) // by seq of each message acknowledged
	for _, s := range r.senders {
		for i, seq := range s.seqs {
			if _, twice := low[seq]; twice {
				return left, fmt.Errorf("bench: WRONG ANSWER: two messages were acknowledged as event %d", seq)
			}
			low[seq] = r.config.isLow(uint64(i) + 1)
		}
	}
	var without int64
	for seq := r.first + 1; seq <= r.last; seq++ {
		without += r.missing.changes[seq]
		isLow, known := low[seq]
		switch {
		case seq == r.last && (known || without != 0):
			return left, fmt.Errorf("bench: WRONG ANSWER: the last message, which has a high priority, is left out for %d receivers", without)
		case seq < r.last && !known:
			return left, fmt.Errorf("bench: WRONG ANSWER: event %d was never acknowledged", seq)
		case isLow:
			left.low += uint64(without)
		default:
			left.normal += uint64(without)
		}
	}
	if n := uint64(len(low)); n != r.last-r.first-1 {
		return left, fmt.Errorf("bench: WRONG ANSWER: %d messages were acknowledged, the room has %d", n, r.last-r.first-1)
	}
	for i, l := range r.receivers {
		if l.last != r.last || l.delivered+l.left != r.last-r.first {
			return left, fmt.Errorf("bench: WRONG ANSWER: receiver %d is at %d of %d, was given %d and is missing %d",
				i+1, l.last, r.last, l.delivered, l.left)
		}
	}
	return left, nil
}

// shedOf reads how much the server has left out of rooms so far.
func shedOf(ctx context.Context, target *Target) (shed, error) {
	found, err := readMetrics(ctx, target)
	if err != nil {
		return shed{}, err
	}
	low, hasLow := found[`tidemark_room_shed_total{priority="low"}`]
	normal, hasNormal := found[`tidemark_room_shed_total{priority="normal"}`]
	if !hasLow || !hasNormal {
		return shed{}, errors.New("bench: the server's metrics have no tidemark_room_shed_total of both priorities")
	}
	return shed{uint64(low), uint64(normal)}, nil
}
