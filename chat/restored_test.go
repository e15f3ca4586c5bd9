// SPDX-License-Identifier: Apache-2.0

// Own messages that a restored server has lost: on the screen and line by line.

package chat

import (
	"context"
	"io"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// lostOf is what the device tells when a server has lost own messages.
func lostOf(texts ...string) client.HistoryChanged {
	event := client.HistoryChanged{Conversation: "harbour", From: 2, To: 9, OwnEarlier: 3}
	for _, text := range texts {
		event.Own = append(event.Own, client.Message{Conversation: "harbour", Sender: "alice", ClientID: tidemark.ClientID("c-" + text), Content: &wire.Message{Text: text}})
	}
	return event
}

func TestLostMessagesAreShownAndSentAgain(t *testing.T) {
	s := newScreen(t, harbour(), Config{Conversation: "harbour"})
	s.send(notes{lostOf("tide", "rope")})
	s.want("your messages it has lost 5: /lost shows, /lost again")
	s.keys("/lost", "enter")
	s.want("Lost by the server", "tide", "rope")
	s.keys("esc", "/lost again", "enter")
	s.wantSaid(`resend c-rope "rope" to harbour`)
	s.want("2 messages sent again.")
	s.keys("/lost again", "enter")
	s.want("0 messages sent again.")
	s.send(notes{lostOf("moor")})
	s.keys("/lost forget", "enter")
	s.want("1 message forgotten.")
	s.keys("/lost now", "enter")
	s.want("say /lost")
}

func TestPlainSendsLostMessagesAgain(t *testing.T) {
	d := &liveDevice{fakeDevice: harbour(), events: make(chan client.Event), synced: make(chan struct{}), sent: make(chan string, 10)}
	in, typed := io.Pipe()
	out := &lines{more: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- RunPlain(t.Context(), PlainConfig{Device: d, Conversation: "harbour", Zone: time.UTC, In: in, Out: out, Err: out,
			Connect: func(ctx context.Context) error { <-ctx.Done(); return nil }})
	}()
	close(d.synced)
	d.events <- lostOf("tide")
	out.wait(t, "the server has lost your message to harbour: tide")
	out.wait(t, "and 3 before these")
	for _, line := range []string{"/lost again\n", "and this\n"} {
		if _, err := typed.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if sent := <-d.sent; sent != "harbour text and this" {
		t.Errorf("sent %q", sent)
	}
	typed.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if want := `resend c-tide "tide" to harbour`; len(d.said) != 1 || d.said[0] != want {
		t.Errorf("the device was told %q, wanted %q alone", d.said, want)
	}
}
