// SPDX-License-Identifier: Apache-2.0

// tidemark bench send: messages sent, made durable and acknowledged. Every connection is a user of its own that writes
// to a direct conversation whose other side is offline, so that nothing but sending is measured.
//
// Closed loop: each connection keeps `window` messages in flight and sends the next when one is acknowledged. Open loop
// (a rate is given): messages are sent at fixed times whether or not earlier ones were acknowledged, and latency counts
// from the time a message was meant to be sent.

package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/wire"
)

// SendConfig describes the load of [Send]. Zero values mean the defaults.
type SendConfig struct {
	Connections int           // 64
	Window      int           // messages in flight on a connection, closed loop: 32; open loop: at most this many, 256
	Rate        float64       // messages a second over all connections; 0: closed loop
	Payload     int           // bytes of text: 100
	Duration    time.Duration // measured: 10 s
	WarmUp      time.Duration // before: 2 s
}

func (c SendConfig) withDefaults() SendConfig {
	c.Connections = orDefault(c.Connections, 64)
	c.Window = orDefault(c.Window, 32)
	if c.Rate > 0 {
		c.Window = 256
	}
	c.Payload = orDefault(c.Payload, 100)
	c.Duration = orDefault(c.Duration, 10*time.Second)
	c.WarmUp = orDefault(c.WarmUp, 2*time.Second)
	return c
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func (c SendConfig) what() string {
	if c.Rate > 0 {
		return fmt.Sprintf("%d connections, open loop at %s/s", c.Connections, grouped(c.Rate))
	}
	return fmt.Sprintf("%d connections × %d in flight", c.Connections, c.Window)
}

// drainMax bounds how long a benchmark waits for what is in flight when it stops, and how long it checks.
const drainMax = 60 * time.Second

// stopPatience is how long a server may take to end.
const stopPatience = 30 * time.Second

// Send measures messages sent, durable and acknowledged.
func Send(ctx context.Context, target *Target, config SendConfig, output Output) ([]Result, error) {
	config = config.withDefaults()
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	senders, err := connectSenders(ctx, a, config, output)
	if err != nil {
		return nil, err
	}
	defer closeSenders(senders)

	diskBefore := target.disk()
	course := &course{}
	measured, err := runSenders(ctx, target, config, output, senders, course)
	if err != nil {
		return nil, err
	}
	disk := target.disk()

	var counted, sent uint64
	for _, s := range senders {
		counted += s.counted
		sent += s.answered
	}
	result := Result{
		Name: "send", What: config.what(), Operations: counted, DurationMs: milliseconds(measured.duration()),
		PerSecond: float64(counted) / measured.duration().Seconds(), PayloadBytes: config.Payload,
		Connections: config.Connections, Window: config.Window, RateSet: config.Rate, Machine: machine, DiskBytes: disk,
	}
	result.latency(latenciesOf(senders))
	result.usage(target, measured.before, measured.after, counted)
	if disk > diskBefore {
		result.DiskBytesPerOp = float64(disk-diskBefore) / float64(sent)
	}
	output.say("send: checking %s messages", grouped(float64(sent)))
	if err := checkSenders(ctx, a, senders); err != nil {
		return []Result{result}, err
	}
	result.Checked = true
	return []Result{result}, nil
}

// sender is one connection of the load.
type sender struct {
	*conn
	member       Member
	conversation string
	text         string
	texts        []string            // where it is not empty, message n says texts[n % len(texts)] instead
	named        func(uint64) string // client id of message n; nil: clientIDOf
	before       uint64              // events of the conversation up to here are not the sender's
	limit        uint64              // messages to send; 0: until the course stops
	course       *course
	window       int

	frame     wire.Submit // reused for every message
	asked     uint64      // messages sent; the request of the last one
	answered  uint64      // messages acknowledged, in order
	lastSeq   uint64
	digest    [32]byte      // of the last acknowledged
	sentAt    []time.Time   // of message n at n % window: at most window are in flight
	schedule  *openSchedule // open loop only
	counted   uint64        // acknowledged while measuring
	latencies               // of those
}

func connectSenders(ctx context.Context, a *App, config SendConfig, output Output) ([]*sender, error) {
	output.say("send: making %d users and connecting", 2*config.Connections)
	users, err := a.makeUsers(ctx, "s", config.Connections)
	if err != nil {
		return nil, err
	}
	peers, err := a.makeUsers(ctx, "p", config.Connections)
	if err != nil {
		return nil, err
	}
	text := strings.Repeat("x", config.Payload)
	senders := make([]*sender, config.Connections)
	err = forEach(ctx, config.Connections, func(ctx context.Context, i int) error {
		c, err := connectSynced(ctx, dialConfig{address: a.address, token: users[i].Token, device: "bench"})
		if err != nil {
			return err
		}
		senders[i] = &sender{
			conn: c, member: users[i], conversation: directOf(users[i].User, peers[i].User), text: text,
			window: config.Window, sentAt: make([]time.Time, config.Window), latencies: newLatencies(),
		}
		return nil
	})
	if err != nil {
		closeSenders(senders)
	}
	return senders, err
}

func closeSenders(senders []*sender) {
	for _, s := range senders {
		if s != nil {
			s.close()
		}
	}
}

func runSenders(ctx context.Context, target *Target, config SendConfig, output Output, senders []*sender, course *course) (span, error) {
	group, ctx := errgroup.WithContext(ctx)
	end := time.Now().Add(config.WarmUp + config.Duration + drainMax)
	for i, s := range senders {
		s.course = course
		stop := s.until(ctx, end)
		defer stop()
		if config.Rate > 0 {
			s.schedule = newOpenSchedule(config, i)
			group.Go(func() error { return s.sendOnTime(ctx) })
			group.Go(s.hear)
		} else {
			group.Go(s.runClosed)
		}
	}
	var measured span
	group.Go(func() (err error) {
		measured, err = course.watch(ctx, target, output, "send", config.WarmUp, config.Duration)
		return err
	})
	return measured, group.Wait()
}

// runClosed keeps the window full until the course stops, then waits for what is in flight.
func (s *sender) runClosed() error {
	for range s.window {
		if s.goesOn() {
			s.submitNow()
		}
	}
	for s.answered < s.asked {
		if err := s.flush(); err != nil {
			return s.failed(err)
		}
		for again := true; again; again = s.more() {
			answers, err := s.readAnswer()
			if err != nil {
				return s.failed(err)
			}
			if answers && s.goesOn() {
				s.submitNow()
			}
		}
	}
	return nil
}

// goesOn reports whether there is another message to send.
func (s *sender) goesOn() bool {
	return s.course.now() != stopping && (s.limit == 0 || s.asked < s.limit)
}

func (s *sender) failed(err error) error {
	return fmt.Errorf("bench: %s, after %d messages were acknowledged: %w", s.member.User, s.answered, err)
}

// submitNow queues the next message of a closed loop.
func (s *sender) submitNow() {
	s.submit()
	s.sentAt[s.asked%uint64(s.window)] = time.Now()
}

// submit queues the next message.
func (s *sender) submit() {
	s.asked++
	s.frame.Request = s.asked
	s.frame.ClientId = s.nameOf(s.asked)
	s.frame.Conversation = s.conversation
	if s.frame.Action == nil {
		s.frame.Action = &wire.Submit_Message{Message: &wire.Message{Type: "text"}}
	}
	s.frame.GetMessage().Text = s.textOf(s.asked)
	s.queue(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &s.frame}})
}

// nameOf is the client id of message n.
func (s *sender) nameOf(n uint64) string {
	if s.named != nil {
		return s.named(n)
	}
	return clientIDOf(n)
}

// textOf is what message n says.
func (s *sender) textOf(n uint64) string {
	if len(s.texts) > 0 {
		return s.texts[n%uint64(len(s.texts))]
	}
	return s.text
}

func clientIDOf(n uint64) string { return "m" + strconv.FormatUint(n, 10) }

// readAnswer reads one frame; answers tells whether it acknowledged a message.
func (s *sender) readAnswer() (answers bool, err error) {
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
		return true, s.acknowledged(answer, s.sentAt[answer.request%uint64(s.window)])
	case frameDelta, frameSignal: // bare checkpoints, receipts
		return false, nil
	}
	return false, unexpected(kind, payload)
}

// acknowledged takes an answer to a message meant to be sent at since. It checks that answers come in the order of the
// messages, with dense seqs, none doubled.
func (s *sender) acknowledged(answer submitted, since time.Time) error {
	switch {
	case answer.request != s.answered+1:
		return fmt.Errorf("bench: request %d was answered after %d: answers of one conversation must keep their order", answer.request, s.answered)
	case answer.duplicate:
		return fmt.Errorf("bench: message %d is called a duplicate and was sent once", answer.request)
	case s.lastSeq != 0 && answer.seq != s.lastSeq+1:
		return fmt.Errorf("bench: seq %d follows %d in a conversation with one writer", answer.seq, s.lastSeq)
	case len(answer.digest) != len(s.digest):
		return errors.New("bench: an answer without a digest")
	}
	s.answered, s.lastSeq = answer.request, answer.seq
	copy(s.digest[:], answer.digest)
	if s.course.now() == measuring {
		s.counted++
		s.record(time.Since(since))
	}
	s.course.done.Add(1)
	return nil
}
