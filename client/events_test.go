// SPDX-License-Identifier: Apache-2.0

// Who listens to events: slow consumers, ends, and the configuration.

package client

import (
	"context"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
)

func arrived(seq tidemark.Seq) Event {
	return Arrived{Message: Message{Conversation: "team", Seq: seq}}
}

// A consumer that does not listen holds nobody up, and what waits for it is bounded and complete.
func TestSlowConsumer(t *testing.T) {
	var h hub
	s := h.subscribe()
	const events = 100_000
	for seq := tidemark.Seq(1); seq <= events; seq++ {
		h.publish([]Event{arrived(seq), Changed{Conversation: "team", From: seq, To: seq}, ConversationChanged{Conversation: "team"}})
	}
	if len(s.queue) > arrivedMax+3 {
		t.Fatalf("%d events wait", len(s.queue))
	}
	next, changed := tidemark.Seq(1), Changed{}
	for e, ok := s.next(); ok; e, ok = s.next() {
		switch e := e.(type) {
		case Arrived:
			if e.Message.Seq != next {
				t.Fatalf("%d came after %d", e.Message.Seq, next-1)
			}
			next++
		case Missed:
			if e.From != next {
				t.Fatalf("missed from %d after %d", e.From, next-1)
			}
			next = e.To + 1
		case Changed:
			changed = e
		}
	}
	if next != events+1 || changed.From != 1 || changed.To != events {
		t.Errorf("heard of everything below %d, and that %v", next, changed)
	}
	h.publish([]Event{arrived(1), Changed{Conversation: "team", From: 7, To: 7}})
	if e, _ := s.next(); e.(Arrived).Message.Seq != 1 {
		t.Errorf("afterwards: %v", e)
	}
	if e, _ := s.next(); e.(Changed).From != 7 {
		t.Errorf("what was taken is joined no more: %v", e)
	}
}

func TestEventsEnd(t *testing.T) {
	c := &Client{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := c.Events(ctx)
	c.hub.publish([]Event{arrived(1), arrived(2)})
	for e := range events {
		if e.(Arrived).Message.Seq == 2 {
			cancel()
			break
		}
	}
	if len(c.hub.subs) != 0 {
		t.Error("a loop that was left is still told")
	}
	c.Events(ctx)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		c.hub.mu.Lock()
		n := len(c.hub.subs)
		c.hub.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a subscriber outlives its context")
		}
	}
}

func TestPause(t *testing.T) {
	c := &Client{cfg: Config{BackoffMin: 100 * time.Millisecond, BackoffMax: time.Second}}
	for failures, most := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		longest := time.Duration(0)
		for range 1000 {
			longest = max(longest, c.pause(ending{}, failures))
		}
		if most *= time.Millisecond; longest > most || longest < most/2 {
			t.Errorf("after %d failures it waits up to %v, want %v", failures, longest, most)
		}
	}
	if d := c.pause(ending{retryAfter: time.Minute}, 0); d < time.Minute {
		t.Errorf("asked for a minute it waits %v", d)
	}
	if d := c.pause(ending{token: true}, 0); d != 0 {
		t.Errorf("with a new token it waits %v", d)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{URL: "http://127.0.0.1:1", Token: StaticToken("t"), DeviceID: "d", Store: NewMemory()}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"URL":      func(c *Config) { c.URL = "127.0.0.1:80" },
		"scheme":   func(c *Config) { c.URL = "ftp://host" },
		"Token":    func(c *Config) { c.Token = nil },
		"DeviceID": func(c *Config) { c.DeviceID = "a b" },
		"Store":    func(c *Config) { c.Store = nil },
		"Keep":     func(c *Config) { c.Keep, c.Backfill = 10, FillAll },
		"Window":   func(c *Config) { c.Window = -1 },
		"Name":     func(c *Config) { c.Name = "\xff" },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("a wrong %s is accepted", name)
		}
	}
}

// What arrives while messages were missed already is missed too: none is told twice, or out of order.
func TestMissedStaysInOrder(t *testing.T) {
	var h hub
	s := h.subscribe()
	next := tidemark.Seq(1)
	take := func() {
		e, ok := s.next()
		if !ok {
			t.Fatal("nothing waits")
		}
		switch e := e.(type) {
		case Arrived:
			if e.Message.Seq != next {
				t.Fatalf("%d came, wanted %d", e.Message.Seq, next)
			}
			next++
		case Missed:
			if e.From != next {
				t.Fatalf("missed from %d, wanted %d", e.From, next)
			}
			next = e.To + 1
		}
	}
	seq := tidemark.Seq(0)
	for range 3 * arrivedMax {
		seq++
		h.publish([]Event{arrived(seq)})
		if seq%3 == 0 {
			take()
		}
	}
	for len(s.queue) > 0 {
		take()
	}
	if next != seq+1 {
		t.Errorf("heard of everything below %d, want %d", next, seq+1)
	}
}
