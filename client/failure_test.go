// SPDX-License-Identifier: Apache-2.0

// Stores that fail: the client stops, says so to everybody who waits, and loses nothing that was committed.

package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

var errFull = errors.New("no space left on device")

// weak is a store whose commits can be made to fail.
type weak struct {
	*client.Memory
	full atomic.Bool
}

func (w *weak) Update(fn func(client.Tx) error) error {
	return w.Memory.Update(func(tx client.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if w.full.Load() {
			return errFull
		}
		return nil
	})
}

func TestStoreFailsWhileConnected(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	store := &weak{Memory: client.NewMemory()}
	alice := n.bare("alice", client.Config{Store: store})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- alice.Run(ctx) }()
	alice.synced()
	alice.say("one")
	alice.cable.deafen()
	id, err := alice.Send(ctx, team, "two")
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := alice.WaitSent(ctx, id)
		waited <- err
	}()
	store.full.Store(true)
	if _, err := alice.Send(ctx, team, "three"); !errors.Is(err, client.ErrStopped) || !errors.Is(err, errFull) {
		t.Errorf("Send: %v", err)
	}
	if err := <-ended; !errors.Is(err, client.ErrStopped) {
		t.Errorf("Run: %v", err)
	}
	if err := <-waited; !errors.Is(err, client.ErrStopped) {
		t.Errorf("WaitSent: %v", err)
	}
	if err := alice.WaitSynced(ctx); err == nil {
		t.Error("WaitSynced says nothing")
	}
	store.full.Store(false)
	again := n.device("alice", client.Config{Store: store})
	again.synced()
	again.say("four")
	once(t, again.texts(), []string{"one", "two", "four"})
}

// Also when there is no connection, and none can be made, Run ends when the store has failed.
func TestStoreFailsOffline(t *testing.T) {
	store := &weak{Memory: client.NewMemory()}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, err := client.New(client.Config{
		URL: "http://127.0.0.1:1", Token: client.StaticToken("t"), DeviceID: "d", Store: store, HTTPClient: &http.Client{Transport: transport},
		BackoffMin: time.Hour, BackoffMax: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	id, err := c.Send(ctx, team, "queued")
	if err != nil {
		t.Fatal(err)
	}
	events := c.Events(ctx)
	ended, waited, unsynced := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	go func() { _, err := c.WaitSent(ctx, id); waited <- err }()
	go func() { unsynced <- c.WaitSynced(ctx) }()
	for e := range events { // it waits for the next try
		if s, ok := e.(client.StateChanged); ok && s.State == client.Offline {
			break
		}
	}
	store.full.Store(true)
	if _, err := c.Send(ctx, team, "lost"); !errors.Is(err, client.ErrStopped) {
		t.Errorf("Send: %v", err)
	}
	for what, got := range map[string]chan error{"Run": ended, "WaitSent": waited, "WaitSynced": unsynced} {
		if err := <-got; !errors.Is(err, client.ErrStopped) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// An app may have replaced the default transport by one of its own type.
func TestForeignDefaultTransport(t *testing.T) {
	old := http.DefaultTransport
	defer func() { http.DefaultTransport = old }()
	http.DefaultTransport = withKey{old, "k"}
	_, err := client.New(client.Config{URL: "http://127.0.0.1:1", Token: client.StaticToken("t"), DeviceID: "d", Store: client.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
}

// Everything at once, and then the end in the middle of it.
func TestEndInTheMiddle(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	bob := n.device("bob", client.Config{})
	for round := range 5 {
		alice := n.device("alice", client.Config{})
		ctx, cancel := context.WithCancel(alice.ctx)
		var work sync.WaitGroup
		for i := range 4 {
			work.Go(func() {
				for j := 0; ctx.Err() == nil; j++ {
					id, err := alice.Send(ctx, team, fmt.Sprint(round, i, j))
					if err == nil && j%3 == 0 {
						_, _ = alice.WaitSent(ctx, id)
					}
					_, _ = alice.History(ctx, team, client.Page{Latest: true, Limit: 5 + j%20})
					_ = alice.MarkRead(ctx, team, 1<<40)
					_, _ = alice.Latest(team, 10)
					alice.Conversations()
					alice.Outbox()
				}
			})
			work.Go(func() {
				for e := range alice.Events(ctx) {
					if _, ok := e.(client.Arrived); ok && i%2 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		bob.say(fmt.Sprint("bob", round))
		time.Sleep(30 * time.Millisecond)
		if round%2 == 0 {
			alice.cable.cut()
		}
		alice.stop()
		cancel()
		work.Wait()
	}
}

// What is stored of a conversation can be read after the user was removed from it.
func TestHistoryOfAConversationThatWasLeft(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	bob := n.device("bob", client.Config{})
	alice := n.device("alice", client.Config{}).synced()
	alice.untilHead(bob.say("hello"))
	_, err := n.conversations.RemoveMembers(alice.ctx, &wire.RemoveMembersRequest{Conversation: string(team), Members: []string{"alice"}})
	if err != nil {
		t.Fatal(err)
	}
	alice.until("removed", func() bool { c, ok := alice.Conversation(team); return ok && c.Removed })
	for _, page := range []client.Page{{Latest: true}, {Before: 3}, {Start: true}, {After: 1}} {
		got, err := alice.History(alice.ctx, team, page)
		if err != nil || len(got.Messages) == 0 || got.Messages[len(got.Messages)-1].Text() != "hello" {
			t.Errorf("%+v: %+v, %v", page, got, err)
		}
	}
}

// Content that is missing is refused, by the client or by the server, and does no harm.
func TestNoContent(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	alice := n.device("alice", client.Config{}).synced()
	seq := alice.say("hello")
	send := func(id tidemark.ClientID, err error) {
		ctx, cancel := context.WithTimeout(alice.ctx, 10*time.Second)
		defer cancel()
		if err == nil {
			_, err = alice.WaitSent(ctx, id)
		}
		var refused *tidemark.Error
		if !errors.As(err, &refused) {
			t.Errorf("not refused: %v", err)
		}
	}
	send(alice.SendMessage(alice.ctx, team, nil))
	send(alice.EditMessage(alice.ctx, team, seq, nil))
	send(alice.Send(alice.ctx, team, "\xff not UTF-8"))
	send(alice.Send(alice.ctx, team, strings.Repeat("x", 3<<20)))
	alice.say("after")
	once(t, alice.texts(), []string{"hello", "after"})
}
