// SPDX-License-Identifier: Apache-2.0

// Slow and hostile readers cost only themselves.

package session

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// S13: what is kept for a reader that does not read is bounded by its conversations, whatever is sent; and it gets all.
func TestA1MailboxIsBoundedByConversations(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	for i := range 5 {
		tc.group(tidemark.ConversationID(fmt.Sprint("g", i)), "alice", "bob")
	}
	slow := tc.device("bob", "slow").connect()
	slow.drain()
	const each = 400
	for i := range each {
		for g := range 5 {
			tc.post("alice", tidemark.ConversationID(fmt.Sprint("g", g)), fmt.Sprint(i, strings.Repeat("x", 300)))
		}
	}
	if n := slow.s.Info().Behind; n != 5 {
		t.Errorf("%d conversations are dirty, want 5", n)
	}
	slow.drain()
	for g := range 5 {
		if n := len(slow.logs[fmt.Sprint("g", g)].texts); n != each+1 {
			t.Errorf("of g%d %d events have come, want %d", g, n, each+1)
		}
	}
	for _, f := range slow.frames {
		if data, _ := wire.AppendServerFrame(nil, wire.Proto, f); len(data) > frameBytes+1024 {
			t.Errorf("a frame has %d bytes", len(data))
		}
	}
}

// A long backlog comes in pages; what arrives meanwhile comes after it; the checkpoint comes with the last page.
func TestLongBacklogComesInPages(t *testing.T) {
	tc := newTest(t)
	tc.limits.PageEventsMax = 50
	tc.must(tc.db.Close())
	tc.start()
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("bob", "phone").connect()
	phone.drain()
	n := tc.set.Of("team").Number()
	before := phone.cursor.Positions[n]
	for i := 1; i <= 500; i++ {
		tc.post("alice", "team", fmt.Sprint("m", i))
	}
	for i := 501; i <= 510; i++ {
		phone.next()
		if len(phone.frames) < 10 && phone.cursor.Positions[n] != before && len(phone.logs["team"].events) < 501 {
			t.Fatalf("a checkpoint came with %d of 501 events", len(phone.logs["team"].events))
		}
		tc.post("alice", "team", fmt.Sprint("m", i))
	}
	phone.drain()
	phone.want("all", "team", texts(1, 510)...)
}

// A client that sends without reading is made to wait, and what it sent is answered once it reads.
func TestHandleWaitsWhileTooManyAreInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tc := newTest(t)
		tc.limits.InFlightMax = 4
		tc.must(tc.db.Close())
		tc.start()
		tc.users("alice")
		tc.group("team", "alice")
		phone := tc.device("alice", "phone").connect()
		phone.drain()
		for i := range 4 {
			phone.submit("team", fmt.Sprint("m", i+1))
		}
		handled := make(chan struct{})
		go func() {
			phone.submit("team", "m5")
			close(handled)
		}()
		synctest.Wait()
		tc.step()
		select {
		case <-handled:
			t.Fatal("a fifth submission was taken while four were unanswered")
		default:
		}
		for range 4 {
			phone.s.Next(nil) // each gives one answer, or its round
		}
		<-handled
		tc.step()

		go func() { // a client that goes away lets go of who waits for it
			for i := range 9 {
				phone.s.Handle(t.Context(), &wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: uint64(i)}}})
			}
		}()
		synctest.Wait()
		phone.s.Close()
		synctest.Wait()
	})
}

// Signals are merged and bounded: the latest of each kind counts.
func TestSignalsAreBounded(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("bob", "phone").connect()
	desk := tc.device("alice", "desk").connect()
	phone.drain()
	desk.drain()
	for i := range 1000 {
		typing := &wire.Typing{Conversation: "team", Typing: i%2 == 0}
		desk.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Typing{Typing: typing}})
	}
	phone.drain()
	if len(phone.frames) != 1 || phone.frames[0].GetSignal().GetTyping().GetTyping() {
		t.Errorf("typing is told as %v, want only that alice has stopped", phone.frames)
	}
	desk.wantIdle("who types knows")
	for i := range 2 * signalsMax {
		desk.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
			Request: uint64(i + 1), ClientId: fmt.Sprint("t", i), Conversation: "team",
			Action: &wire.Submit_Message{Message: &wire.Message{Text: fmt.Sprint(i), Class: wire.MessageClass_TRANSIENT}},
		}}})
		desk.pending[uint64(i+1)] = &wire.Submit{}
		tc.step()
		desk.drain()
	}
	phone.drain()
	if n := len(phone.frames); n != signalsMax {
		t.Fatalf("%d signals are kept, want %d", n, signalsMax)
	}
	if last := phone.frames[signalsMax-1].GetSignal().GetTransient(); last.GetMessage().GetText() != fmt.Sprint(2*signalsMax-1) {
		t.Errorf("the last is %v", last)
	}
	if head, _ := tc.set.Of("team").Head(1); head.Seq != 1 {
		t.Errorf("transient messages were stored: the head is %d", head.Seq)
	}
}

// Answers to one client do not starve what others have to say, nor the reverse.
func TestAnswersDoNotStarveDeltas(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	other := tidemark.ConversationID("other")
	for tc.set.Of(other) == tc.set.Of("team") {
		other += "-"
	}
	tc.group("team", "alice")
	tc.group(other, "alice", "bob")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	tc.post("bob", other, "hello")
	for i := range 200 { // a client that always has something in flight
		phone.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: uint64(i)}}})
		phone.next()
		phone.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: uint64(i)}}})
	}
	phone.want("among 200 answers", string(other), "hello")
}

// A context that ends lets Handle go.
func TestHandleEndsWithItsContext(t *testing.T) {
	tc := newTest(t)
	tc.limits.InFlightMax = 1
	tc.must(tc.db.Close())
	tc.start()
	tc.users("alice")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	ping := &wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: 1}}}
	phone.handle(ping)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tc.must(phone.s.Handle(ctx, ping))
	phone.drain()
	if len(phone.frames) != 1 {
		t.Errorf("answers: %v", phone.frames)
	}
}
