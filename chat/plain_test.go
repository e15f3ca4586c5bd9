// SPDX-License-Identifier: Apache-2.0

// The line mode: what is printed for what happens, and that nothing goes on when it has ended.

package chat

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
	"go.uber.org/goleak"
)

// TestMain checks that nothing of the package goes on when its tests have ended. The commands of Bubble Tea that wait for
// a timer are left to it by the screen of the tests, and end within seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// liveDevice adds events from a channel to a fake.
type liveDevice struct {
	*fakeDevice
	events chan client.Event
	synced chan struct{}
	sent   chan string
	refuse error
	takes  time.Duration // how long the server takes to store what is sent
}

func (d *liveDevice) Events(ctx context.Context) iter.Seq[client.Event] {
	return func(yield func(client.Event) bool) {
		for {
			select {
			case e := <-d.events:
				if !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (d *liveDevice) WaitSynced(ctx context.Context) error {
	select {
	case <-d.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *liveDevice) SendMessage(ctx context.Context, to tidemark.ConversationID, m *wire.Message) (tidemark.ClientID, error) {
	d.sent <- string(to) + " " + m.Type + " " + m.Text
	return "c", nil
}

func (d *liveDevice) SendMessageTo(ctx context.Context, user tidemark.UserID, m *wire.Message) (tidemark.ClientID, error) {
	d.sent <- "to " + string(user) + " " + m.Type + " " + m.Text
	return "c", nil
}

func (d *liveDevice) WaitSent(ctx context.Context, _ tidemark.ClientID) (client.Message, error) {
	begun := time.Now()
	select {
	case <-time.After(d.takes):
		return client.Message{}, d.refuse
	case <-ctx.Done():
		d.takes -= time.Since(begun)
		return client.Message{}, ctx.Err()
	}
}

// lines is a writer that hands over whole lines.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (l *lines) wait(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		text := l.text.String()
		l.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("no %q in %q", want, text)
		}
	}
}

func TestPlainPrintsAndSends(t *testing.T) {
	d := &liveDevice{fakeDevice: harbour(), events: make(chan client.Event), synced: make(chan struct{}), sent: make(chan string, 10)}
	in, typed := io.Pipe()
	out := &lines{more: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- RunPlain(t.Context(), PlainConfig{Device: d, Peer: "bob", Tail: 5, Zone: time.UTC, In: in, Out: out, Err: out,
			Connect: func(ctx context.Context) error { <-ctx.Done(); return nil }})
	}()
	old := d.logs["alice~bob"][0]
	d.events <- client.Arrived{Message: old}             // catching up: the tail has it
	d.events <- client.Arrived{Message: old, Live: true} // as good as new, but the tail has it
	close(d.synced)
	out.wait(t, "[2026-03-04 11:59] #alice~bob <bob> hello alice\n")
	for i, text := range []string{"again", "two\nlines", "\x1b[2Jboom"} {
		msg := *d.write("alice~bob", "bob", text, noon)
		if i == 2 {
			msg.Content.Type = "action"
		}
		d.events <- client.Arrived{Message: msg, Live: i == 0}
		d.events <- client.Arrived{Message: msg, Live: true} // told twice
	}
	other := *d.write("harbour", "eve", "elsewhere", noon)
	d.events <- client.Arrived{Message: other, Live: true}
	d.events <- client.StateChanged{State: client.Offline, Err: errors.New("gone")}
	out.wait(t, "chat: offline: gone")
	want := "[2026-03-04 11:59] #alice~bob <bob> hello alice\n[2026-03-04 12:00] #alice~bob <bob> again\n" +
		"[2026-03-04 12:00] #alice~bob <bob> two\n    lines\n[2026-03-04 12:00] #alice~bob * bob �[2Jboom\nchat: offline: gone\n"
	if got := out.text.String(); got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	for typedLine, want := range map[string]string{"ahoy": "to bob text ahoy", "/me waves": "to bob action waves", "//x": "to bob text /x"} {
		if _, err := io.WriteString(typed, typedLine+"\n\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-d.sent; got != want {
			t.Errorf("%q was sent as %q, want %q", typedLine, got, want)
		}
	}
	if err := typed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestPlainSaysWhatWasRefused(t *testing.T) {
	d := &liveDevice{fakeDevice: harbour(), events: make(chan client.Event), synced: make(chan struct{}), sent: make(chan string, 10),
		refuse: tidemark.Refuse(tidemark.NotMember, "you are not a member: /join it")}
	close(d.synced)
	d.outbox = append(d.outbox, client.Outgoing{ClientID: "c"}) // it is still there when the input has ended
	cfg := PlainConfig{Device: d, Conversation: "harbour", In: strings.NewReader("hi\n"), Out: io.Discard, Err: io.Discard}
	if err := RunPlain(t.Context(), cfg); err == nil || strings.Count(err.Error(), "not sent: you are not a member") != 1 {
		t.Errorf("err %v", err)
	}
	cfg.Conversation, cfg.In = "pier", strings.NewReader("")
	if err := RunPlain(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), `no conversation "pier"`) {
		t.Errorf("with a conversation that is not there, and no input: err %v", err)
	}
	cfg.Conversation, cfg.In = "", strings.NewReader("hi\n")
	if err := RunPlain(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "--to") {
		t.Errorf("without a place to send to: err %v", err)
	}
}

// Who waits for a server that takes nothing for a while is told so, once, and everything is sent in the end.
func TestPlainSaysThatItWaits(t *testing.T) {
	for takes, told := range map[time.Duration]int{saysAfter / 2: 0, 4 * saysAfter: 1} {
		synctest.Test(t, func(t *testing.T) {
			d := &liveDevice{fakeDevice: harbour(), events: make(chan client.Event), synced: make(chan struct{}), sent: make(chan string, 10), takes: takes}
			close(d.synced)
			d.outbox = append(d.outbox, client.Outgoing{ClientID: "a"}, client.Outgoing{ClientID: "b"})
			begun, said := time.Now(), &strings.Builder{}
			err := RunPlain(t.Context(), PlainConfig{Device: d, Conversation: "harbour", In: strings.NewReader("hi\n"), Out: io.Discard, Err: said})
			if n := strings.Count(said.String(), "it is sent when it does"); err != nil || n != told || time.Since(begun) < takes {
				t.Errorf("after %v of %v: %v, said %q", time.Since(begun), takes, err, said)
			}
		})
	}
}

func TestPlainEndsWithTheConnection(t *testing.T) {
	d := &liveDevice{fakeDevice: harbour(), events: make(chan client.Event), synced: make(chan struct{}), sent: make(chan string, 10)}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	gone := errors.New("the token has expired")
	err := RunPlain(ctx, PlainConfig{Device: d, In: strings.NewReader(""), Out: io.Discard, Err: io.Discard,
		Connect: func(context.Context) error { return gone }})
	if !errors.Is(err, gone) {
		t.Errorf("err %v", err)
	}
}

// A burst of events reaches the screen in few bundles, and all of it.
func TestPumpBundles(t *testing.T) {
	d := &liveDevice{fakeDevice: newFake(), events: make(chan client.Event)}
	ctx, cancel := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	bundles := make(chan []client.Event, 1000)
	pump(ctx, &beside, d, func(events []client.Event) { bundles <- events })
	go func() {
		for range 500 {
			d.events <- client.ConversationChanged{Conversation: "c"}
		}
	}()
	n, got := 0, 0
	for got < 500 {
		got += len(<-bundles)
		n++
	}
	cancel()
	beside.Wait()
	if n > 250 {
		t.Errorf("%d events came in %d bundles", got, n)
	}
}
