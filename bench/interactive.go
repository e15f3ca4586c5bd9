// SPDX-License-Identifier: Apache-2.0

// Small work done now and then beside a load, as a person with an app in the hand does it. How long it takes is what
// people notice.

package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	interactiveEvery         = 100 * time.Millisecond
	interactiveConversations = 20
	interactiveChanged       = 3
	interactiveLog           = 20_000 // messages that a read mark can pass: more than are passed
)

// interactive is a user with a device. Each kind of work is done by one goroutine.
type interactive struct {
	app     *App
	device  *returning // comes back with a few conversations changed
	user    Member
	reading string // a conversation with much to read
	mark    uint64 // the user's read mark in it
	writing string // a conversation to write to
	written int
	works   []*work
}

// work is one kind of small work.
type work struct {
	what string
	do   func(ctx context.Context) error

	mu   sync.Mutex
	took []workTime // guarded by mu; in order
}

// workTime is when something was begun and how long it took.
type workTime struct {
	at   time.Time
	took time.Duration
}

func newInteractive(ctx context.Context, a *App, payload int, output Output) (*interactive, error) {
	device, err := newReturning(ctx, a, SyncConfig{Changed: interactiveChanged, Payload: payload}, 0, interactiveConversations, output)
	if err != nil {
		return nil, err
	}
	if err := device.change(ctx, interactiveChanged); err != nil {
		return nil, err
	}
	users, err := a.makeUsers(ctx, "person", 2)
	if err != nil {
		return nil, err
	}
	i := &interactive{app: a, device: device, user: users[0], reading: a.id("reading", 0), mark: 1, writing: a.id("writing", 0)}
	if err := a.MakeGroup(ctx, i.reading, users[0].User, users[1].User); err != nil {
		return nil, err
	}
	if err := a.MakeGroup(ctx, i.writing, users[0].User); err != nil {
		return nil, err
	}
	i.works = []*work{{what: "a read mark", do: i.read}, {what: "a small sync", do: i.sync}, {what: "a message", do: i.write}}
	return i, a.importMessages(ctx, i.reading, users[1].User, interactiveLog, payload)
}

// read moves the read mark by one message.
func (i *interactive) read(ctx context.Context) error {
	answer, err := i.app.Messages.Read(As(ctx, i.user.User), &wire.ReadRequest{Conversation: i.reading, Seq: i.mark + 1})
	if err != nil {
		return fmt.Errorf("bench: read mark: %w", err)
	}
	i.mark++
	if left := interactiveLog + 1 - i.mark; answer.ReadSeq != i.mark || answer.Unread != left {
		return fmt.Errorf("bench: WRONG ANSWER: the read mark is at %d with %d unread, want %d and %d", answer.ReadSeq, answer.Unread, i.mark, left)
	}
	return nil
}

// sync connects a device that has missed a few messages, up to synced.
func (i *interactive) sync(ctx context.Context) error {
	c, err := i.device.reconnect(ctx)
	if err != nil {
		return err
	}
	c.close()
	return nil
}

// write sends a message.
func (i *interactive) write(ctx context.Context) error {
	i.written++
	return i.app.say(ctx, i.user.User, i.writing, clientIDOf(uint64(i.written)), "hello")
}

// run does all kinds of work, each every now and then, until done is closed.
func (i *interactive) run(ctx context.Context, done <-chan struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range i.works {
		group.Go(func() error { return w.run(ctx, done) })
	}
	return group.Wait()
}

func (w *work) run(ctx context.Context, done <-chan struct{}) error {
	next := time.NewTicker(interactiveEvery)
	defer next.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-next.C:
		}
		begin := time.Now()
		if err := w.do(ctx); err != nil {
			return err
		}
		w.mu.Lock()
		w.took = append(w.took, workTime{begin, time.Since(begin)})
		w.mu.Unlock()
	}
}

// between are the times of what was begun from one moment to another.
func (w *work) between(from, to time.Time) latencies {
	w.mu.Lock()
	defer w.mu.Unlock()
	times := newLatencies()
	for _, t := range w.took {
		if !t.at.Before(from) && t.at.Before(to) {
			times.record(t.took)
		}
	}
	return times
}

// check reads back what was written.
func (i *interactive) check(ctx context.Context) error {
	read := 0
	_, err := i.app.ReadLog(ctx, i.user, i.writing, func(event *wire.Event) error {
		if event.Sender == string(tidemark.SystemUser) {
			return nil
		}
		if read++; event.ClientId != clientIDOf(uint64(read)) {
			return fmt.Errorf("seq %d is %s, want message %d", event.Seq, event.ClientId, read)
		}
		return nil
	})
	if err == nil && read != i.written {
		err = fmt.Errorf("%d messages are there, %d were acknowledged", read, i.written)
	}
	if err != nil {
		return fmt.Errorf("bench: WRONG ANSWER: conversation %s: %w", i.writing, err)
	}
	return nil
}
