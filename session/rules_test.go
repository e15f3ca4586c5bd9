// SPDX-License-Identifier: Apache-2.0

// The three rules that make waking and draining safe. Each test fails where its rule is broken.

package session

import (
	"sync"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// spy is a subscriber that does something at the moments when partitions call.
type spy struct {
	wake   func(partition uint32, position tidemark.Position)
	ready  func()
	signal func()
	heard  func(*wire.Signal)
}

func (s *spy) Wake(partition uint32, _ record.Conversation, position tidemark.Position) bool {
	if s.wake != nil {
		s.wake(partition, position)
	}
	return true
}

func (s *spy) Ready(uint32) {
	if s.ready != nil {
		s.ready()
	}
}

func (s *spy) Signal(sig *wire.Signal) {
	if s.heard != nil {
		s.heard(sig)
	}
	if s.signal != nil {
		s.signal()
	}
}

// Rule 1: a position is published only after the wakes of its commit are in the dirty sets.
func TestPositionIsPublishedAfterTheWakes(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	p := tc.set.Of("team")
	woken, told := tidemark.Position(0), tidemark.Position(0)
	tc.must(tc.set.Subscribe("bob", &spy{
		wake: func(_ uint32, position tidemark.Position) {
			woken = position
			if p.Published() >= position {
				t.Errorf("woken for %d when %d was published already", position, p.Published())
			}
		},
		ready: func() { told = p.Published() },
	}))
	tc.post("alice", "team", "hello")
	if woken == 0 || told != woken {
		t.Errorf("woken for %d, and told at %d", woken, told)
	}
}

// Rule 2: a conversation leaves the dirty set only when the checkpoint covers its head. Here a session drains between the
// moment when a commit is applied and woken, and the moment when it is published.
func TestConversationStaysDirtyUntilItsHeadIsCovered(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob", "carol")
	tc.group("team", "alice", "bob", "carol")
	phone := tc.device("bob", "phone").connect()
	phone.drain()
	drains := 0
	tc.must(tc.set.Subscribe("carol", &spy{wake: func(uint32, tidemark.Position) { // carol is woken after bob
		if drains++; drains == 2 {
			phone.drain()
		}
	}}))
	tc.post("alice", "team", "one")
	tc.post("alice", "team", "two") // bob reads "one" while this is woken and not published
	if drains != 2 {
		t.Fatalf("carol was woken %d times", drains)
	}
	phone.want("what was published when it read", "team", "one")
	phone.drain()
	phone.want("the other was not forgotten", "team", "one", "two")
}

// Rule 3: a session registers for wakes first, then reads the published position, then compares heads. Here somebody
// sends just before it is registered, and just after.
func TestConnectingWhileSomebodySends(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	other := tidemark.ConversationID("other")
	for tc.set.Of(other) == tc.set.Of("team") {
		other += "-" // in a partition of its own: one must not be found because of the other
	}
	tc.group("team", "alice", "bob")
	tc.group(other, "alice", "bob")
	sent := map[tidemark.ConversationID]bool{}
	send := func(to tidemark.ConversationID, text string) {
		if !sent[to] {
			sent[to] = true
			tc.post("alice", to, text)
		}
	}
	// The new session replaces one that is told so by OnReady, before the new one is registered for wakes.
	old := tc.device("bob", "phone").connect()
	old.drain()
	old.s.mu.Lock()
	old.s.cfg.OnReady = func() { send("team", "just before") }
	old.s.mu.Unlock()
	tc.set.Unsubscribe("bob", old.s) // so that bob comes online anew, of which the watcher is told at once
	watcher := &spy{}
	tc.must(tc.set.Watch("alice", watcher, []tidemark.UserID{"bob"}))
	watcher.signal = func() { send(other, "just after") }
	defer tc.set.Unsubscribe("bob", watcher)

	phone := tc.device("bob", "phone")
	phone.cursor, phone.logs = old.cursor, old.logs // up to date: only what is sent now is to be found
	phone.connect().drain()
	phone.want("what was sent before it was registered", "team", "just before")
	phone.want("what was sent after it was registered", string(other), "just after")
	phone.wantIdle("nothing comes twice")
	old.disconnect()
}

// Two partitions that wake a session at the same time both tell it when they have published: neither relies on the other.
func TestEveryPartitionTellsWhatItHasPublished(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob", "carol")
	other := tidemark.ConversationID("other")
	for tc.set.Of(other) == tc.set.Of("team") {
		other += "-"
	}
	tc.group("team", "alice", "bob", "carol")
	tc.group(other, "alice", "bob", "carol")
	phone := tc.device("bob", "phone").connect()
	phone.drain()
	woken, goOn := make(chan uint32), map[uint32]chan bool{}
	for _, id := range []tidemark.ConversationID{"team", other} {
		goOn[tc.set.Of(id).Number()] = make(chan bool)
	}
	tc.must(tc.set.Subscribe("carol", &spy{wake: func(partition uint32, _ tidemark.Position) { // carol is woken after bob
		woken <- partition
		<-goOn[partition]
	}}))
	var steps sync.WaitGroup
	for _, id := range []tidemark.ConversationID{"team", other} {
		tc.must(tc.set.Submit(t.Context(), &core.Submit{
			Actor: core.Actor{User: "alice"}, Conversation: id, ClientID: "c1", Message: &wire.Message{Text: "hello"},
		}, nil))
		steps.Go(func() { tc.set.Of(id).Step(tc.now) })
	}
	<-woken
	<-woken // bob is woken by both, and neither has published
	for _, id := range []tidemark.ConversationID{"team", other} {
		told := phone.ready.Load()
		goOn[tc.set.Of(id).Number()] <- true
		for start := time.Now(); phone.ready.Load() == told; time.Sleep(time.Millisecond) {
			if time.Since(start) > 10*time.Second {
				t.Fatalf("nobody told that %s is published", id)
			}
		}
		phone.drain()
		phone.want("what was published", string(id), "hello")
	}
	steps.Wait()
}

// The order on one connection: answers of a commit leave after all deltas of earlier commits and before those of later
// ones, and no checkpoint overtakes an answer.
func TestAnswersAndDeltasKeepTheOrderOfCommits(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	same := tidemark.ConversationID("same")
	for tc.set.Of(same) != tc.set.Of("team") {
		same += "-" // another conversation of the same partition
	}
	tc.group(same, "alice", "bob")
	n := tc.set.Of("team").Number()
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	for range 3 {
		tc.post("bob", "team", "from bob")
		phone.submit("team", "from alice")
		tc.step()
		tc.post("bob", same, "from bob")
		phone.submit(same, "from alice")
		phone.submit("team", "from alice too")
		tc.step()
	}
	phone.drain()
	var last, checkpoint uint64
	for _, f := range phone.frames {
		if s := f.GetSubmitted(); s != nil {
			if s.Position < last || s.Position <= checkpoint {
				t.Errorf("submitted at %d after position %d and checkpoint %d", s.Position, last, checkpoint)
			}
			last = s.Position
		}
		if c, ok := f.GetDelta().GetCheckpoints()[n]; ok {
			if c+1 < last {
				t.Errorf("checkpoint %d after position %d", c, last)
			}
			checkpoint = c
		}
	}
	phone.want("all, in order", "team", "from bob", "from alice", "from alice too",
		"from bob", "from alice", "from alice too", "from bob", "from alice", "from alice too")
	phone.wantIdle("all is read")
}

// A sender that hears only answers still gets checkpoints: after so many answers, and at a ping.
func TestSenderGetsBareCheckpoints(t *testing.T) {
	tc := newTest(t)
	tc.users("alice")
	tc.group("team", "alice")
	n := tc.set.Of("team").Number()
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	for range repliesOwed {
		phone.send("team", "hello")
	}
	if at, published := phone.cursor.Positions[n], tc.set.At(n).Published(); at+1 < uint64(published) {
		t.Errorf("after %d answers the checkpoint is %d, published %d", repliesOwed, at, published)
	}
	phone.send("team", "one more")
	phone.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: 7}}})
	phone.drain()
	if at, published := phone.cursor.Positions[n], tc.set.At(n).Published(); at != uint64(published) {
		t.Errorf("after a ping the checkpoint is %d, published %d", at, published)
	}
	phone.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: 8}}})
	phone.drain()
	if len(phone.frames) != 1 || phone.frames[0].GetPong().GetRequest() != 8 {
		t.Errorf("a ping with nothing to tell is answered by %v", phone.frames)
	}
}

func TestDirectConversationComesIntoBeing(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	phone, desk := tc.device("alice", "phone").connect(), tc.device("bob", "desk").connect()
	phone.drain()
	desk.drain()
	phone.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
		Request: 1, ClientId: "c1", ToUser: "bob", Action: &wire.Submit_Message{Message: &wire.Message{Type: "text", Text: "hi"}},
	}}})
	phone.pending[1] = &wire.Submit{ClientId: "c1", Action: &wire.Submit_Message{Message: &wire.Message{Type: "text", Text: "hi"}}}
	tc.step()
	phone.drain()
	desk.drain()
	for _, d := range []*device{phone, desk} {
		d.want("the first message", "alice~bob", "hi")
		if l := d.logs["alice~bob"]; l.info.GetKind() != wire.Kind_DIRECT || l.self == nil || l.events[1] == nil {
			t.Errorf("%s: info %v, self %v, first event %v", d.name, l.info, l.self, l.events[1])
		}
	}
	if desk.profiles["alice"] == "" || phone.profiles["bob"] == "" {
		t.Errorf("the peers' profiles are %v and %v", desk.profiles, phone.profiles)
	}
	phone.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
		Request: 2, ClientId: "c2", ToUser: "nobody", Action: &wire.Submit_Message{Message: &wire.Message{Text: "hi"}},
	}}})
	tc.step()
	phone.drain()
	if e := phone.frames[0].GetError(); e.GetReason() != wire.Reason_UNKNOWN_USER || e.GetRequest() != 2 {
		t.Errorf("writing to nobody is answered by %v", phone.frames[0])
	}
}

// A session hears of its own events by answers, which tell no counts. A recall of what others wrote changes them: they come
// by a delta without events.
func TestOwnRecallTellsCounts(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.do(&core.Create{Actor: core.Actor{App: true}, Conversation: "team", Kind: record.Group, Owner: "alice", Members: []tidemark.UserID{"alice", "bob"}})
	alice := tc.device("alice", "phone").connect()
	alice.drain()
	seq := uint64(tc.post("bob", "team", "wrong").Seq)
	alice.drain()
	alice.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
		Request: 77, ClientId: "take-back", Conversation: "team", Action: &wire.Submit_Recall{Recall: &wire.Recall{Seq: seq}},
	}}})
	tc.step()
	var answered, told bool
	for data, ok := alice.s.Next(nil); ok; data, ok = alice.s.Next(nil) {
		f, err := wire.DecodeServerFrame(tc.format, data)
		tc.must(err)
		answered = answered || f.GetSubmitted() != nil
		for _, c := range f.GetDelta().GetConversations() {
			told = told || c.Unread != nil && *c.Unread == 0 && len(c.Events) == 0 && c.HeadSeq == seq+1
		}
	}
	if !answered || !told {
		t.Errorf("answered: %t, told that nothing is unread: %t", answered, told)
	}
}
