// SPDX-License-Identifier: Apache-2.0

// tidemark bench fanout: a group whose members are all online, one or more of whom write. A delivery is one message that
// arrived at one other member. Every member checks that it gets every message once, in order; the figure to watch
// beside the rate is how much later the slowest member hears than the median one.

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/wire"
)

// FanoutConfig describes the load of [Fanout]. Zero values mean the defaults.
type FanoutConfig struct {
	Members  int           // online and silent: 1,000
	Senders  int           // members who write: 1
	Window   int           // messages in flight of each: 1
	Payload  int           // bytes of text: 100
	Duration time.Duration // measured: 10 s
	WarmUp   time.Duration // before: 2 s
}

func (c FanoutConfig) withDefaults() FanoutConfig {
	c.Members = orDefault(c.Members, 1000)
	c.Senders = orDefault(c.Senders, 1)
	c.Window = orDefault(c.Window, 1)
	c.Payload = orDefault(c.Payload, 100)
	c.Duration = orDefault(c.Duration, 10*time.Second)
	c.WarmUp = orDefault(c.WarmUp, 2*time.Second)
	return c
}

// Fanout measures deliveries in one large group.
func Fanout(ctx context.Context, target *Target, config FanoutConfig, output Output) ([]Result, error) {
	config = config.withDefaults()
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	f, err := newFanout(ctx, a, config, output)
	if err != nil {
		return nil, err
	}
	defer f.close()
	measured, err := f.run(ctx, target, output)
	if err != nil {
		return nil, err
	}
	result := f.result(measured)
	result.Machine = machine
	result.usage(target, measured.before, measured.after, result.Operations)
	result.DiskBytes = target.disk()
	return []Result{result}, nil
}

// fanout is one run.
type fanout struct {
	config    FanoutConfig
	group     string
	course    course
	begin     time.Time
	shards    *shards
	listeners []*listener
	writers   []*writer
	head      atomic.Uint64 // last seq, set when nothing more will be sent
}

func newFanout(ctx context.Context, a *App, config FanoutConfig, output Output) (*fanout, error) {
	output.say("fanout: making %d users and connecting", config.Members+config.Senders)
	members, err := a.makeUsers(ctx, "f", config.Members+config.Senders)
	if err != nil {
		return nil, err
	}
	f := &fanout{config: config, group: a.id("group", 0), shards: newShards(), listeners: make([]*listener, config.Members), writers: make([]*writer, config.Senders)}
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.User
	}
	if err := a.makeLargeGroup(ctx, f.group, ids); err != nil {
		return nil, err
	}
	text := strings.Repeat("x", config.Payload)
	err = forEach(ctx, len(members), func(ctx context.Context, i int) error {
		c, err := dial(ctx, dialConfig{address: a.address, token: members[i].Token, device: "bench"})
		if err != nil {
			return fmt.Errorf("bench: connect: %w", err)
		}
		if i < config.Senders {
			f.writers[i] = &writer{conn: c, fanout: f, text: text, name: strconv.Itoa(i)}
			_, err = c.awaitSynced(ignore{})
			return err
		}
		l := &listener{conn: c, fanout: f, shard: f.shards.of(i), pending: map[uint32]uint64{}}
		f.listeners[i-config.Senders] = l
		cursor, err := c.awaitSynced(l)
		l.epoch = cursor.GetEpoch()
		return err
	})
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fanout) close() {
	for _, l := range f.listeners {
		if l != nil {
			l.conn.close()
		}
	}
	for _, w := range f.writers {
		if w != nil {
			w.conn.close()
		}
	}
}

// run sends until the time is over, then waits until every member has everything.
func (f *fanout) run(ctx context.Context, target *Target, output Output) (span, error) {
	listening, ctx := errgroup.WithContext(ctx)
	sending, sendingCtx := errgroup.WithContext(ctx)
	end := time.Now().Add(f.config.WarmUp + f.config.Duration + drainMax)
	f.begin = time.Now()
	for _, l := range f.listeners {
		l.conn.until(ctx, end)
		listening.Go(l.run)
	}
	for _, w := range f.writers {
		w.conn.until(ctx, end)
		sending.Go(w.run)
	}
	var measured span
	sending.Go(func() (err error) {
		measured, err = f.course.watch(sendingCtx, target, output, "fanout", f.config.WarmUp, f.config.Duration)
		return err
	})
	listening.Go(func() error {
		if err := sending.Wait(); err != nil {
			return err
		}
		return f.finish(output)
	})
	return measured, listening.Wait()
}

// finish tells the listeners which seq is the last, with a ping for those who have it already and wait for more.
func (f *fanout) finish(output Output) error {
	var head uint64
	for _, w := range f.writers {
		head = max(head, w.lastSeq)
	}
	f.head.Store(head)
	output.say("fanout: waiting until every member has seq %d", head)
	for _, l := range f.listeners {
		if err := l.ping(); err != nil {
			return err
		}
	}
	return nil
}

func (f *fanout) result(measured span) Result {
	all := f.shards.all()
	var deliveries, messages uint64
	var means []float64
	for _, l := range f.listeners {
		deliveries += l.counted
		if l.counted > 0 {
			means = append(means, float64(l.waited)/float64(l.counted))
		}
	}
	for _, w := range f.writers {
		messages += w.answered
	}
	r := Result{
		Name: "fanout", Operations: deliveries, Messages: messages, Members: f.config.Members, Senders: f.config.Senders, Window: f.config.Window,
		What:      fmt.Sprintf("%s members online, %d writing × %d in flight", grouped(float64(f.config.Members)), f.config.Senders, f.config.Window),
		PerSecond: float64(deliveries) / measured.duration().Seconds(), DurationMs: milliseconds(measured.duration()),
		PayloadBytes: f.config.Payload, Connections: f.config.Members + f.config.Senders,
		Checked: true, // every listener has checked every message, or run would have failed
	}
	r.latency(all)
	if len(means) > 0 {
		slices.Sort(means)
		r.SlowestOverMedian = means[len(means)-1] / means[len(means)/2]
	}
	return r
}

// listener is a member who only reads.
type listener struct {
	*conn
	fanout  *fanout
	shard   *shard
	counted uint64        // deliveries while measuring
	waited  time.Duration // of those, together
	lastSeq uint64
	err     error // the first wrong delivery
	epoch   uint64
	pending map[uint32]uint64 // checkpoints not yet acknowledged
	ackedAt time.Time
	heardAt time.Time // of the frame being read
}

// run reads until the last message is there.
func (l *listener) run() error {
	for head := uint64(0); head == 0 || l.lastSeq < head; head = l.fanout.head.Load() {
		payload, err := l.read()
		if err != nil {
			return fmt.Errorf("bench: a member stopped at seq %d: %w", l.lastSeq, err)
		}
		kind, content, err := skimFrame(payload)
		if err != nil {
			return err
		}
		switch kind {
		case frameDelta:
			l.heardAt = time.Now()
			if err := errors.Join(skimDelta(content, l), l.err); err != nil {
				return err
			}
		case frameSignal, framePong:
		default:
			return unexpected(kind, payload)
		}
		if err := l.acknowledge(); err != nil {
			return err
		}
	}
	return nil
}

// event implements deliveries.
func (l *listener) event(conversation []byte, seq uint64, clientID []byte) {
	if l.lastSeq != 0 && seq != l.lastSeq+1 && l.err == nil {
		l.err = fmt.Errorf("bench: WRONG ANSWER: a member heard seq %d after %d of %s", seq, l.lastSeq, conversation)
	}
	l.lastSeq = seq
	_, sent, isMessage := bytes.Cut(clientID, []byte("."))
	if !isMessage {
		return
	}
	l.fanout.course.done.Add(1)
	if l.fanout.course.now() == measuring {
		nanoseconds, _ := strconv.ParseInt(string(sent), 36, 64)
		late := l.heardAt.Sub(l.fanout.begin) - time.Duration(nanoseconds)
		l.shard.mu.Lock()
		l.shard.record(late)
		l.shard.mu.Unlock()
		l.waited += late
		l.counted++
	}
}

// checkpoint implements deliveries.
func (l *listener) checkpoint(partition uint32, position uint64) { l.pending[partition] = position }

// acknowledge sends the cursor once a second, as clients do.
func (l *listener) acknowledge() error {
	if len(l.pending) == 0 || l.heardAt.Sub(l.ackedAt) < time.Second {
		return nil
	}
	l.ackedAt = l.heardAt
	l.queue(&wire.ClientFrame{Frame: &wire.ClientFrame_Ack{Ack: &wire.Ack{Cursor: &wire.Cursor{Epoch: l.epoch, Positions: l.pending}}}})
	clear(l.pending)
	return l.flush()
}

// ping wakes the listener's reader. It writes a frame of its own, so that it may be called while the reader acknowledges.
func (l *listener) ping() error {
	side := conn{net: l.net}
	side.queuePing(1)
	return side.flush()
}

// writer is a member who writes.
type writer struct {
	*conn
	fanout   *fanout
	name     string
	text     string
	asked    uint64
	answered uint64
	lastSeq  uint64
}

// run keeps the window full until the course stops, then waits for what is in flight.
func (w *writer) run() error {
	for range w.fanout.config.Window {
		w.submit()
	}
	for w.answered < w.asked {
		if err := w.flush(); err != nil {
			return err
		}
		for again := true; again; again = w.more() {
			answers, err := w.hear()
			if err != nil {
				return fmt.Errorf("bench: writer, after %d messages were acknowledged: %w", w.answered, err)
			}
			if answers && w.fanout.course.now() != stopping {
				w.submit()
			}
		}
	}
	return nil
}

// submit queues a message whose client id tells when it was sent, so that whoever hears it can tell how late it is.
func (w *writer) submit() {
	w.asked++
	id := w.name + "-" + strconv.FormatUint(w.asked, 36) + "." + strconv.FormatInt(int64(time.Since(w.fanout.begin)), 36)
	w.queue(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
		Request: w.asked, ClientId: id, Conversation: w.fanout.group,
		Action: &wire.Submit_Message{Message: &wire.Message{Type: "text", Text: w.text}},
	}}})
}

func (w *writer) hear() (answers bool, err error) {
	payload, err := w.read()
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
		if answer.request != w.answered+1 || answer.seq <= w.lastSeq {
			return false, fmt.Errorf("bench: WRONG ANSWER: request %d, seq %d after request %d, seq %d", answer.request, answer.seq, w.answered, w.lastSeq)
		}
		w.answered, w.lastSeq = answer.request, answer.seq
		return true, nil
	case frameDelta, frameSignal, framePong:
		return false, nil
	}
	return false, unexpected(kind, payload)
}
