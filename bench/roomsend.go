// SPDX-License-Identifier: Apache-2.0

// The senders of tidemark bench room.

package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/wire"
)

// roomSender is an admin of the room who writes and is not in it. In an open loop one goroutine writes and another reads.
type roomSender struct {
	*conn
	room     *room
	name     string
	text     string
	schedule *openSchedule // open loop only
	asked    uint64        // owned by who writes
	answered uint64        // owned by who reads, as all below
	seqs     []uint64      // of message n at n-1
}

func newRoomSender(c *conn, r *room, i int) *roomSender {
	return &roomSender{conn: c, room: r, name: strconv.Itoa(i), text: strings.Repeat("x", r.config.Payload)}
}

// start runs the sender until the course stops and everything is answered.
func (s *roomSender) start(ctx context.Context, group *errgroup.Group, i int) {
	if s.room.config.Rate == 0 {
		group.Go(s.runClosed)
		return
	}
	s.schedule = newOpenSchedule(SendConfig{Connections: s.room.config.Senders, Rate: s.room.config.Rate, Window: s.room.config.Window}, i)
	group.Go(func() error { return s.sendOnTime(ctx) })
	group.Go(s.hearAll)
}

// isLow reports whether message n of a sender has a low priority. Those of one sender are spread evenly.
func (c RoomConfig) isLow(n uint64) bool {
	percent := uint64(c.LowPercent)
	return n*percent/100 != (n+1)*percent/100
}

// submit queues the next message, whose client id tells when it was meant to be sent.
func (s *roomSender) submit(intended time.Time) {
	s.asked++
	message := &wire.Message{Type: "text", Text: s.text}
	if s.room.config.isLow(s.asked) {
		message.Priority = wire.Priority_PRIORITY_LOW
	}
	id := s.name + "-" + strconv.FormatUint(s.asked, 36) + "." + strconv.FormatInt(int64(intended.Sub(s.room.begin)), 36)
	s.queue(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
		Request: s.asked, ClientId: id, Conversation: s.room.id, Action: &wire.Submit_Message{Message: message},
	}}})
}

// runClosed keeps the window full until the course stops, then waits for what is in flight.
func (s *roomSender) runClosed() error {
	for range s.room.config.Window {
		s.submit(time.Now())
	}
	for s.answered < s.asked {
		if err := s.flush(); err != nil {
			return s.failed(err)
		}
		for again := true; again; again = s.more() {
			answers, err := s.hear()
			if err != nil {
				return s.failed(err)
			}
			if answers && s.room.course.now() != stopping {
				s.submit(time.Now())
			}
		}
	}
	return nil
}

// sendOnTime sends each message at its time, or as soon after it as the window allows.
func (s *roomSender) sendOnTime(ctx context.Context) error {
	o := s.schedule
	defer func() { // a last ping: its answer ends hearAll, which may have nothing else to wait for
		o.finished.Store(true)
		s.queuePing(1)
		_ = s.flush()
	}()
	for n := 0; s.room.course.now() != stopping; n++ {
		due := o.begin.Add(o.interval * time.Duration(n))
		if wait := time.Until(due); wait > 0 || len(o.free) == 0 {
			if err := s.flush(); err != nil {
				return s.failed(err)
			}
			if err := pause(ctx, wait); err != nil {
				return nil // the one who ended it has said why
			}
		}
		select {
		case <-o.free:
		case <-ctx.Done():
			return nil
		}
		s.submit(due)
		o.sent.Store(s.asked)
	}
	return s.flush()
}

// hearAll takes the answers of an open loop until all of them are there and nothing more will be sent.
func (s *roomSender) hearAll() error {
	o := s.schedule
	for !o.finished.Load() || s.answered < o.sent.Load() {
		answers, err := s.hear()
		if err != nil {
			return s.failed(err)
		}
		if answers {
			o.free <- struct{}{}
		}
	}
	return nil
}

// hear reads one frame; answers tells whether it acknowledged a message.
func (s *roomSender) hear() (answers bool, err error) {
	payload, err := s.read()
	if err != nil {
		return false, err
	}
	kind, content, err := skimFrame(payload)
	if err != nil {
		return false, err
	}
	switch kind {
	case frameSubmitted:
		answer, err := skimSubmitted(content)
		if err != nil {
			return false, err
		}
		return true, s.acknowledged(answer)
	case framePong, frameSignal:
		return false, nil
	}
	return false, unexpected(kind, payload) // also a delta: it has not entered
}

// acknowledged checks that answers come in the order of the messages.
func (s *roomSender) acknowledged(answer submitted) error {
	if answer.request != s.answered+1 || answer.duplicate || len(s.seqs) > 0 && answer.seq <= s.seqs[len(s.seqs)-1] {
		return fmt.Errorf("bench: WRONG ANSWER: %+v after %d answers", answer, s.answered)
	}
	s.answered = answer.request
	s.seqs = append(s.seqs, answer.seq)
	return nil
}

func (s *roomSender) failed(err error) error {
	return fmt.Errorf("bench: sender %s, after %d messages were acknowledged: %w", s.name, s.answered, err)
}
