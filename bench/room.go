// SPDX-License-Identifier: Apache-2.0

// tidemark bench room: a room with very many in it, and a few admins outside it who write. A delivery is one message that
// arrived at one receiver. What a receiver is too far behind for is left out; every receiver checks that nothing else is
// missing, that prevSeq tells of every gap, and that nothing comes twice, and what all of them miss together must be what
// the server's metric says that it left out.
//
// Closed loop: each sender keeps a window full. Answers do not wait for deliveries, so that with more in flight than a
// receiver may be behind, most is left out: it shows what being behind costs. Open loop (a rate is given): as fast as is
// meant, which shows what is delivered in time.

package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/wire"
)

// RoomConfig describes the load of [Room]. Zero values mean the defaults.
type RoomConfig struct {
	Receivers   int           // connections in the room, each of a user of its own: 10,000
	SlowPercent int           // of them read little at a time and rest in between: none
	Senders     int           // admins who write and are not in the room: 8
	Window      int           // messages in flight of each, closed loop: 32; open loop: at most 256
	Rate        float64       // messages a second of all senders; 0: closed loop
	LowPercent  int           // of the messages have a low priority, the others a normal one: 0
	Payload     int           // bytes of text: 100
	Duration    time.Duration // measured: 10 s
	WarmUp      time.Duration // before: 2 s
	Settle      time.Duration // before memory is read, when everything has arrived: 2 s
}

func (c RoomConfig) withDefaults() RoomConfig {
	c.Receivers = orDefault(c.Receivers, 10_000)
	c.Senders = orDefault(c.Senders, 8)
	c.Window = orDefault(c.Window, 32)
	if c.Rate > 0 {
		c.Window = 256
	}
	c.Payload = orDefault(c.Payload, 100)
	c.Duration = orDefault(c.Duration, 10*time.Second)
	c.WarmUp = orDefault(c.WarmUp, 2*time.Second)
	c.Settle = orDefault(c.Settle, 2*time.Second)
	return c
}

func (c RoomConfig) what() string {
	what := grouped(float64(c.Receivers)) + " in the room"
	if c.SlowPercent > 0 {
		what += fmt.Sprintf(", %d %% of them slow", c.SlowPercent)
	}
	if c.Rate > 0 {
		return what + fmt.Sprintf(", open loop at %s/s", grouped(c.Rate))
	}
	return what + fmt.Sprintf(", %d writing × %d in flight", c.Senders, c.Window)
}

const (
	roomSlowRest   = 100 * time.Millisecond // of a slow receiver, after each frame
	roomSlowBuffer = 4 << 10                // what the kernel holds for a slow receiver, about
	roomFastBuffer = 256 << 10              // the same, when it catches up
	roomSampling   = 100 * time.Millisecond // of the server's memory
)

// Room measures deliveries in one room. Nobody may be in a room of the same server meanwhile: its metric counts what is left
// out of all rooms.
func Room(ctx context.Context, target *Target, config RoomConfig, output Output) ([]Result, error) {
	config = config.withDefaults()
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	r := &room{app: a, config: config, missing: missing{changes: make(map[uint64]int64)}}
	defer r.close()
	if err := r.fill(ctx, output); err != nil {
		return nil, err
	}
	shedBefore, err := shedOf(ctx, target)
	if err != nil {
		return nil, err
	}
	before, _ := target.Usage()
	measured, err := r.run(ctx, target, output)
	if err != nil {
		return nil, err
	}
	shedAfter, err := shedOf(ctx, target)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, config.Settle); err != nil {
		return nil, err
	}
	after, _ := target.Usage()
	result := r.result(measured)
	result.Machine, result.DiskBytes = machine, target.disk()
	result.usage(target, measured.before, measured.after, result.Operations)
	result.RSSBefore, result.RSSBehind, result.RSSAfter = before.RSSBytes, r.mostResident, after.RSSBytes
	left, err := r.check()
	result.Shed = left.low + left.normal
	if err != nil {
		return []Result{result}, err
	}
	if counted := shedAfter.minus(shedBefore); counted != left {
		return []Result{result}, fmt.Errorf("bench: WRONG ANSWER: the receivers miss %+v, the server counts %+v as left out", left, counted)
	}
	result.Checked = true
	return []Result{result}, nil
}

// room is one run.
type room struct {
	app       *App
	config    RoomConfig
	id        string
	course    course
	begin     time.Time
	receivers []*roomReceiver
	senders   []*roomSender
	first     uint64 // the last event before the load
	last      uint64 // the event that ends it, which is never left out
	missing   missing
	shards    *shards

	mostResident uint64 // memory of the server, sampled while there is load or somebody behind
}

// fill makes the room and lets everybody in.
func (r *room) fill(ctx context.Context, output Output) error {
	output.say("room: making %s users and connecting", grouped(float64(r.config.Receivers+r.config.Senders)))
	r.shards = newShards()
	admins, err := r.app.makeUsers(ctx, "a", r.config.Senders)
	if err != nil {
		return err
	}
	users, err := r.app.makeUsers(ctx, "r", r.config.Receivers)
	if err != nil {
		return err
	}
	if err := r.make(ctx, admins); err != nil {
		return err
	}
	r.senders = make([]*roomSender, len(admins))
	err = forEach(ctx, len(admins), func(ctx context.Context, i int) error {
		c, err := connectSynced(ctx, dialConfig{address: r.app.address, token: admins[i].Token, device: "bench"})
		if err == nil {
			r.senders[i] = newRoomSender(c, r, i)
		}
		return err
	})
	if err != nil {
		return err
	}
	r.receivers = make([]*roomReceiver, len(users))
	return forEach(ctx, len(users), func(ctx context.Context, i int) error {
		c, err := connectSynced(ctx, dialConfig{address: r.app.address, source: sourceOf(i), token: users[i].Token, device: "bench"})
		if err != nil {
			return fmt.Errorf("bench: receiver %d: %w", i+1, err)
		}
		l := &roomReceiver{conn: c, room: r, shard: r.shards.of(i), last: r.first}
		r.receivers[i] = l
		if l.slow = i*r.config.SlowPercent/100 != (i+1)*r.config.SlowPercent/100; l.slow {
			l.kernelBuffer(roomSlowBuffer)
		}
		return l.enter()
	})
}

// make creates the room and makes admins of those who write.
func (r *room) make(ctx context.Context, admins []Member) error {
	r.id = r.app.id("room", 0)
	created, err := r.app.Conversations.Create(ctx, &wire.CreateRequest{Id: r.id, Kind: wire.Kind_ROOM, Title: r.id, Owner: admins[0].User})
	if err != nil {
		return fmt.Errorf("bench: create room %s: %w", r.id, err)
	}
	r.first = created.HeadSeq
	if len(admins) == 1 {
		return nil
	}
	add := &wire.AddMembersRequest{Conversation: r.id, Role: wire.Role_ADMIN}
	for _, m := range admins[1:] {
		add.Members = append(add.Members, m.User)
	}
	added, err := r.app.Conversations.AddMembers(ctx, add)
	if err != nil {
		return fmt.Errorf("bench: add admins to %s: %w", r.id, err)
	}
	r.first = added.HeadSeq
	return nil
}

func (r *room) close() {
	for _, l := range r.receivers {
		if l != nil {
			l.conn.close()
		}
	}
	for _, s := range r.senders {
		if s != nil {
			s.conn.close()
		}
	}
}

// run sends until the time is over, ends with an event that is never left out, and waits until everybody has it.
func (r *room) run(ctx context.Context, target *Target, output Output) (span, error) {
	listening, ctx := errgroup.WithContext(ctx)
	sending, sendingCtx := errgroup.WithContext(ctx)
	end := time.Now().Add(r.config.WarmUp + r.config.Duration + drainMax)
	sampling, stop := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() { r.sample(sampling, target) })
	defer func() { stop(); sampler.Wait() }()
	r.begin = time.Now()
	for _, l := range r.receivers {
		l.conn.until(ctx, end)
		listening.Go(l.run)
	}
	for i, s := range r.senders {
		s.conn.until(ctx, end)
		s.start(sendingCtx, sending, i)
	}
	var measured span
	sending.Go(func() (err error) {
		measured, err = r.course.watch(sendingCtx, target, output, "room", r.config.WarmUp, r.config.Duration)
		return err
	})
	listening.Go(func() (err error) {
		if err := sending.Wait(); err != nil {
			return err
		}
		output.say("room: waiting until everybody is at the end")
		r.last, err = r.finish(ctx)
		return err
	})
	return measured, listening.Wait()
}

// sample reads the server's memory until ctx ends.
func (r *room) sample(ctx context.Context, target *Target) {
	for pause(ctx, roomSampling) == nil {
		if usage, known := target.Usage(); known {
			r.mostResident = max(r.mostResident, usage.RSSBytes)
		}
	}
}

// roomEnd is the client id of the last message.
const roomEnd = "end"

func (r *room) finish(ctx context.Context) (seq uint64, err error) {
	sent, err := r.app.Messages.Submit(ctx, &wire.SubmitRequest{
		ClientId: roomEnd, Conversation: r.id,
		Action: &wire.SubmitRequest_Message{Message: &wire.Message{Type: "text", Text: "end", Priority: wire.Priority_PRIORITY_HIGH}},
	})
	if err != nil {
		return 0, fmt.Errorf("bench: end %s: %w", r.id, err)
	}
	return sent.Seq, nil
}

func (r *room) result(measured span) Result {
	all := r.shards.all()
	var deliveries, messages uint64
	var means []float64
	for _, l := range r.receivers {
		deliveries += l.counted
		if l.counted > 0 && !l.slow {
			means = append(means, float64(l.waited)/float64(l.counted))
		}
	}
	for _, s := range r.senders {
		messages += s.answered
	}
	result := Result{
		Name: "room", What: r.config.what(), Operations: deliveries, Messages: messages, Members: r.config.Receivers,
		Window: r.config.Window, RateSet: r.config.Rate, PayloadBytes: r.config.Payload,
		PerSecond: float64(deliveries) / measured.duration().Seconds(), DurationMs: milliseconds(measured.duration()),
		Connections: r.config.Receivers + r.config.Senders,
	}
	result.latency(all)
	if len(means) > 0 {
		slices.Sort(means)
		result.SlowestOverMedian = means[len(means)-1] / means[len(means)/2]
	}
	return result
}
