// SPDX-License-Identifier: Apache-2.0

// The replica and the model server in dialogue: one story each.

package replica_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

const team = tidemark.ConversationID("team")

// world is a server with one conversation of alice and bob, and devices of them.
func world(t *testing.T) (*server, *device, *device) {
	s := newServer()
	s.create(team, "alice", "bob")
	return s, newDevice(t, "alice", "phone", replica.Config{Tail: 20, Full: 100}), newDevice(t, "bob", "laptop", replica.Config{Tail: 20, Full: 100})
}

func TestMessageGoesFromOneToTheOther(t *testing.T) {
	s, alice, bob := world(t)
	alice.connect(s)
	bob.connect(s)
	alice.settle()
	bob.settle()
	id := alice.say(team, "hello")
	alice.settle()
	bob.settle()
	equalList(t, "alice sees", alice.texts(team), "hello")
	equalList(t, "bob sees", bob.texts(team), "hello")
	arrived, n := noteOf[replica.Arrived](bob)
	equal(t, "messages that arrived", n, 1)
	equal(t, "arrived", arrived.Message.Text(), "hello")
	equal(t, "live", arrived.Live, true)
	equal(t, "bob's unread", bob.replica.Conversation(team).Unread, 1)
	equal(t, "alice's unread", alice.replica.Conversation(team).Unread, 0)
	sent, _ := noteOf[replica.OutgoingChanged](alice)
	equal(t, "alice's message", sent.State, replica.Stored)
	equal(t, "its client id", sent.ClientID, id)
	equal(t, "its seq", sent.Seq, 2)
	equal(t, "alice's outbox", len(alice.replica.Outbox()), 0)
	alice.checkC1(s)
	bob.checkC1(s)
}

func TestOutboxSurvivesAndIsSentOnce(t *testing.T) {
	s, alice, bob := world(t)
	alice.cfg.Window = 2
	alice.connect(s)
	alice.settle()
	alice.disconnect()
	alice.say(team, "one")
	alice.say(team, "two")
	alice.crash()
	equal(t, "in the outbox after the crash", len(alice.replica.Outbox()), 2)
	alice.connect(s)
	for alice.upload() { // welcome is on its way
	}
	for alice.download() {
	}
	for alice.upload() { // both are stored, the answers are lost
	}
	equal(t, "stored", s.submitted, 2)
	alice.crash()
	alice.connect(s)
	alice.settle()
	bob.connect(s)
	bob.settle()
	equal(t, "stored after sending again", s.submitted, 2)
	equal(t, "outbox", len(alice.replica.Outbox()), 0)
	equalList(t, "bob sees", bob.texts(team), "one", "two")
	equalList(t, "alice sees", alice.texts(team), "one", "two")
}

// A submission that was answered in an earlier run, and cannot be shown because an event before it is not here, is stored:
// who waits for it is told so at once, as nothing more will be told of it.
func TestAnswerOfAnEarlierRunIsKnown(t *testing.T) {
	s, alice, bob := world(t)
	alice.connect(s)
	bob.connect(s)
	alice.settle()
	bob.settle()
	bob.say(team, "before")
	for bob.upload() {
	}
	id := alice.say(team, "after")
	alice.upload()
	alice.session.out = alice.session.out[len(alice.session.out)-1:] // the answer comes, what it stands behind does not
	alice.download()
	alice.crash()
	equal(t, "state after the crash", alice.replica.OutgoingState(id), replica.Stored)
	in, seq, ok := alice.replica.Answered(id)
	equal(t, "answered", ok, true)
	equal(t, "in", in, team)
	equal(t, "at", seq, 3)

	err := alice.store.Update(func(tx client.Tx) error { return tx.Put(replica.FormatKey, []byte(replica.Format)) })
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{URL: "http://127.0.0.1:1", Token: client.StaticToken("token"), DeviceID: "phone", Store: alice.store})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	sent, err := c.WaitSent(ctx, id)
	if err != nil {
		t.Fatalf("WaitSent: %v", err)
	}
	equal(t, "WaitSent", sent.Seq, 3)
}

func TestOrderIsKeptWhenTheServerIsBusy(t *testing.T) {
	s, alice, _ := world(t)
	alice.cfg.Window = 1
	alice.load()
	refused := 0
	s.refuse = func(string) *tidemark.Error {
		if refused++; refused%3 == 1 {
			return &tidemark.Error{Reason: tidemark.RateLimited, Message: "slow down", RetryAfterMs: 500}
		}
		return nil
	}
	alice.connect(s)
	var want []string
	for i := range 6 {
		want = append(want, fmt.Sprint("m", i))
		alice.say(team, want[i])
	}
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), want...)
	if refused < 8 {
		t.Fatalf("the server was asked %d times only", refused)
	}
}

func TestRefusedMessageFailsAndCanBeRetried(t *testing.T) {
	s, alice, _ := world(t)
	s.refuse = func(string) *tidemark.Error { return tidemark.Refuse(tidemark.Muted, "muted") }
	alice.connect(s)
	id := alice.say(team, "hello")
	alice.settle()
	equal(t, "state", alice.replica.OutgoingState(id), replica.Failed)
	alice.crash()
	equal(t, "state after a restart", alice.replica.OutgoingState(id), replica.Failed)
	failed := alice.replica.Pending(team)
	equal(t, "shown as", failed[0].Failure.Reason, tidemark.Muted)
	s.refuse = nil
	alice.connect(s)
	alice.settle()
	equal(t, "it is not sent by itself", s.submitted, 0)
	alice.step(func(r *replica.Replica, v replica.View) (replica.Output, error) { return r.Retry(v, alice.nowMs, id) })
	alice.settle()
	equalList(t, "alice sees", alice.texts(team), "hello")
}

func TestGapIsKnownAndHeals(t *testing.T) {
	s, alice, bob := world(t)
	alice.cfg.Tail = 5
	alice.load()
	alice.connect(s)
	alice.settle()
	alice.disconnect()
	bob.connect(s)
	for i := range 100 {
		bob.say(team, fmt.Sprint("m", i))
	}
	bob.settle()
	alice.connect(s)
	for alice.upload() {
	}
	for alice.download() {
		alice.checkC1(s)
	}
	gaps := alice.replica.Conversation(team).Gaps()
	equal(t, "gaps after the tail came", fmt.Sprint(gaps), "[{2 96}]")
	alice.settle()
	equal(t, "gaps later", len(alice.replica.Conversation(team).Gaps()), 0)
	equal(t, "messages", len(alice.texts(team)), 100)
	alice.checkC1(s)
}

func TestSummaryIsFetchedWhenRead(t *testing.T) {
	s, alice, bob := world(t)
	bob.connect(s)
	for i := range 30 {
		bob.say(team, fmt.Sprint("m", i))
	}
	bob.settle()
	s.create("other", "alice", "bob")
	alice.cfg.Full = 1
	alice.load()
	alice.connect(s)
	alice.settle()
	equal(t, "stored of the summary", len(alice.texts(team)), 0)
	equal(t, "its head", alice.replica.Conversation(team).HeadSeq, 31)
	alice.fetch(team, replica.Page{Latest: true, Limit: 10})
	alice.settle()
	equal(t, "answers", len(alice.done), 1)
	equal(t, "first of the page", alice.done[0].First, 22)
	equal(t, "stored", len(alice.texts(team)), 10)
	equal(t, "no gap is filled below", alice.session.fetches, 1)
}

// What the server keeps no longer is no gap: floorSeq is the first that it has.
func TestBelowTheFloorIsNoGap(t *testing.T) {
	s, alice, bob := world(t)
	bob.connect(s)
	for i := range 30 {
		bob.say(team, fmt.Sprint("m", i))
	}
	bob.settle()
	s.logs[team].kept = 5
	alice.connect(s)
	alice.settle()
	alice.fetch(team, replica.Page{Before: 12, Limit: 10})
	alice.settle()
	c := alice.replica.Conversation(team)
	equal(t, "first stored", c.Segments[0].From, 5)
	equal(t, "floor", c.Floor, 4)
	equal(t, "gaps", len(c.Gaps()), 0)
}

// A device that was away while more was trimmed than it has comes back: nothing between is asked for or told as a gap, what
// is kept chains to what the server says of it, and what the device has from before, of which something was taken back in
// between, is shown no longer.
func TestBackBelowTheFloor(t *testing.T) {
	s, alice, bob := world(t)
	for _, d := range []*device{alice, bob} {
		d.connect(s)
	}
	for i := range 10 {
		bob.say(team, fmt.Sprint("m", i))
	}
	bob.settle()
	alice.settle()
	alice.disconnect()
	bob.submit(team, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 3}}})
	for i := range 39 {
		bob.say(team, fmt.Sprint("n", i))
	}
	bob.settle()
	s.logs[team].kept = 35
	alice.connect(s)
	alice.settle()
	c := alice.replica.Conversation(team)
	equal(t, "floor", c.Floor, 34)
	equal(t, "gaps", len(c.Gaps()), 0)
	equal(t, "stored pieces", len(c.Segments), 1)
	equal(t, "first stored", c.Segments[0].From, 35)
	equal(t, "stored", len(alice.messages(team)), 17)
	equal(t, "tail", c.Tail(), 51)
	equal(t, "doubt", c.Doubt.Open, false)
	equal(t, "chain value", c.Segments[0].Last, c.HeadDigest)
	before := s.logs[team].digest(team, 34)
	equal(t, "chain value before the floor", c.Segments[0].Prev, before)
}

func TestFormsOfMessages(t *testing.T) {
	s, alice, bob := world(t)
	for _, d := range []*device{alice, bob} {
		d.connect(s)
		d.settle()
	}
	for _, text := range []string{"first", "second", "third"} { // seqs 2, 3, 4
		alice.say(team, text)
	}
	alice.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: &wire.Message{Text: "First"}}}})
	alice.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 3, Message: &wire.Message{Text: "secret"}}}})
	alice.submit(team, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 3}}})
	alice.settle()
	bob.settle()
	react := func(d *device, key string, removed bool) {
		d.submit(team, &wire.Body{Body: &wire.Body_Reaction{Reaction: &wire.Reaction{Seq: 4, Key: key, Removed: removed}}})
		alice.settle()
		bob.settle()
	}
	react(bob, "+1", false)
	react(alice, "+1", false)
	react(alice, "+1", false) // again: changes nothing
	react(bob, "eye", false)
	react(bob, "eye", true)
	bob.submit(team, &wire.Body{Body: &wire.Body_Pin{Pin: &wire.Pin{Seq: 4}}})
	bob.settle()
	alice.settle()
	fresh := newDevice(t, "alice", "tablet", replica.Config{Tail: 3, Backfill: replica.FillAll})
	fresh.connect(s)
	fresh.settle()
	equalList(t, "alice sees", alice.texts(team), "First", "-", "third")
	third := alice.messages(team)[3]
	equal(t, "reactions", fmt.Sprint(third.Reactions), "[{+1 2 true [bob]}]")
	equal(t, "pinned by", third.PinSeq, 13)
	if edit := alice.messages(team)[5]; edit.Body != nil {
		t.Fatalf("the edit of the recalled message is still there: %v", edit)
	}
	equal(t, "a fresh device", fresh.fingerprint(), alice.fingerprint())
}

func TestMarksConvergeAndWorkOffline(t *testing.T) {
	s, alice, bob := world(t)
	tablet := newDevice(t, "alice", "tablet", replica.Config{})
	bob.connect(s)
	bob.say(team, "hello")
	bob.settle()
	alice.connect(s)
	alice.settle()
	tablet.connect(s)
	tablet.settle()
	equal(t, "unread", tablet.replica.Conversation(team).Unread, 1)
	alice.disconnect()
	alice.markRead(team, 1000)
	equal(t, "unread at once", alice.replica.Conversation(team).Unread, 0)
	alice.crash()
	equal(t, "unread after a restart", alice.replica.Conversation(team).Unread, 0)
	alice.connect(s)
	alice.settle()
	tablet.settle()
	equal(t, "unread elsewhere", tablet.replica.Conversation(team).Unread, 0)
	equal(t, "confirmed", alice.replica.Conversation(team).PendingRead, 0)
	equal(t, "both devices", alice.fingerprint(), tablet.fingerprint())
}

// A server that was restored from a backup has lost the end: what agrees is kept, the rest is reported and replaced.
func TestForeignEpochKeepsWhatAgrees(t *testing.T) {
	s, alice, bob := world(t)
	alice.connect(s)
	alice.settle()
	bob.connect(s)
	for i := range 50 {
		bob.say(team, fmt.Sprint("m", i))
		bob.settle()
	}
	alice.settle()
	backup := s.clone(8)
	bob.say(team, "lost 1")
	bob.say(team, "lost 2")
	bob.settle()
	alice.settle()
	alice.disconnect()
	carol := newDevice(t, "bob", "new", replica.Config{})
	carol.connect(backup)
	carol.say(team, "after the restore")
	carol.settle()
	alice.connect(backup)
	alice.settle()
	report, n := noteOf[replica.HistoryChanged](alice)
	equal(t, "reports", n, 1)
	equal(t, "from", report.From, 52)
	equal(t, "to", report.To, 53)
	equal(t, "dropped", report.Dropped[0].Text(), "lost 1")
	if list := alice.texts(team); len(list) != 51 || list[50] != "after the restore" {
		t.Fatalf("alice sees %v", list)
	}
	if probes := alice.session.fetches; probes > 9 {
		t.Fatalf("%d pages and probes for one difference among 53 events", probes)
	}
	alice.checkC1(backup)
}

func TestFirstDifferenceAmongManyIsFoundInTwentyProbes(t *testing.T) {
	s, alice, _ := world(t)
	for i := range 5000 {
		s.position[s.logs[team].partition]++
		s.append(team, "bob", fmt.Sprint("c", i), text2body(fmt.Sprint("m", i)))
	}
	alice.cfg.PageMax, alice.cfg.Backfill = 200, replica.FillAll
	alice.load()
	alice.connect(s)
	alice.settle()
	equal(t, "stored", len(alice.texts(team)), 5000)
	fork := s.clone(9)
	h := fork.logs[team]
	h.events = h.events[:1234]
	for i := range 6000 {
		fork.position[h.partition]++
		fork.append(team, "bob", fmt.Sprint("d", i), text2body(fmt.Sprint("x", i)))
	}
	alice.disconnect()
	probes := 0
	alice.connect(fork)
	for range 200 {
		if alice.upload() {
			probes = alice.session.fetches
		} else if !alice.download() {
			alice.tick(2000)
		}
		if _, n := noteOf[replica.HistoryChanged](alice); n > 0 {
			break
		}
	}
	report, _ := noteOf[replica.HistoryChanged](alice)
	equal(t, "the first difference", report.From, 1235)
	if probes > 20 {
		t.Fatalf("%d probes for 5001 events", probes)
	}
	alice.settle()
	equal(t, "alice has the new history", alice.replica.Conversation(team).Tail(), 7234)
	alice.checkC1(fork)
}

// A server that contradicts itself is not asked at its own pace.
func TestContradictionsDoNotLoop(t *testing.T) {
	s, alice, bob := world(t)
	alice.connect(s)
	bob.connect(s)
	alice.settle()
	s.corrupt = func(f *wire.ServerFrame) {
		for _, d := range f.GetDelta().GetConversations() {
			d.HeadDigest = make([]byte, 32)
		}
	}
	for range 200 {
		bob.session.server = s
		bob.say(team, "x")
		for bob.upload() {
		}
		alice.session.round()
		for alice.download() {
		}
		for alice.upload() {
		}
		alice.tick(10)
	}
	if n := alice.session.fetches; n > 40 {
		t.Fatalf("%d requests in 2 seconds", n)
	}
	s.corrupt = nil
	for range 20 {
		alice.tick(60_000)
		alice.settle()
	}
	if alice.session == nil {
		alice.connect(s)
	}
	alice.settle()
	equal(t, "gaps when the fault is over", len(alice.replica.Conversation(team).Gaps()), 0)
	alice.checkC1(s)
}

// Frames that come again, in any order, change nothing in what messages look like.
func TestFramesReplayed(t *testing.T) {
	s, alice, bob := world(t)
	alice.cfg.Backfill, alice.cfg.Tail = replica.FillAll, 3
	alice.load()
	bob.connect(s)
	for i := range 20 {
		bob.say(team, fmt.Sprint("m", i))
	}
	for seq := range uint64(10) {
		bob.submit(team, &wire.Body{Body: &wire.Body_Reaction{Reaction: &wire.Reaction{Seq: seq + 2, Key: "+1"}}})
		bob.submit(team, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: seq + 2, Message: &wire.Message{Text: "edited"}}}})
	}
	bob.submit(team, &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 5}}})
	bob.settle()
	alice.connect(s)
	alice.settle()
	before := fmt.Sprint(alice.texts(team), alice.messages(team)[3].Reactions)
	for i := range alice.heard {
		for _, j := range []int{i, len(alice.heard) - 1 - i} {
			if f := alice.heard[j]; f.GetWelcome() == nil {
				alice.receive(f)
			}
		}
	}
	equal(t, "after the replay", fmt.Sprint(alice.texts(team), alice.messages(team)[3].Reactions), before)
	alice.checkC1(s)
}

func TestOnlySoMuchIsKept(t *testing.T) {
	s, alice, bob := world(t)
	alice.cfg.Keep = 20
	alice.load()
	alice.connect(s)
	bob.connect(s)
	for i := range 100 {
		bob.say(team, fmt.Sprint("m", i))
		bob.settle()
		alice.settle()
	}
	if n := len(alice.messages(team)); n < 20 || n > 25 {
		t.Fatalf("%d events are kept, want 20 to 25", n)
	}
	equal(t, "nothing is fetched back", alice.session.fetches, 0)
	alice.checkC1(s)
}

func TestStoreOfAnotherUser(t *testing.T) {
	s, alice, _ := world(t)
	alice.connect(s)
	alice.settle()
	alice.session = nil
	out := alice.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.Connect(v, 1, "bob's token")
	})
	equal(t, "frames", len(out.Frames), 1)
	out, err := alice.replica.Receive(nil, 1, &wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: &wire.Welcome{User: "bob", Epoch: 7}}})
	if err != nil || out.Fatal == nil {
		t.Fatalf("the store of alice is given to bob: %v", err)
	}
}

// A page may tell of events that no delta has told of yet. What a delta from before says of the conversation and of the
// user's own settings counts all the same: it is not said again.
func TestDeltaBehindAPage(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 1)
	h := s.logs[team]
	s.position[h.partition]++
	delta := &wire.Delta{Live: true, Checkpoints: map[uint32]uint64{h.partition: s.position[h.partition]}}
	muted := s.summary(team, "alice")
	muted.Info.Title, muted.Self.Muted = "renamed", true
	delta.Conversations = append(delta.Conversations, muted)
	s.position[h.partition]++
	s.append(team, "bob", "b", text2body("new"))
	alice.fetch(team, replica.Page{Limit: 10})
	alice.upload()
	alice.download()
	equalList(t, "the page", alice.texts(team), "m0", "new")
	alice.receive(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: delta}})
	c := alice.replica.Conversation(team)
	equal(t, "muted", c.Self.Muted, true)
	equal(t, "title", c.Info.Title, "renamed")
	equal(t, "head", c.HeadSeq, 3)
	alice.settle()
	alice.checkC1(s)
}

// Who reacts has not read: the mark stays, here as at the server, and can be moved over the reaction later.
func TestReactionReadsNothing(t *testing.T) {
	s, alice, bob := world(t)
	talk(s, alice, bob, 2)
	alice.submit(team, react(2, "+1"))
	alice.settle()
	c := alice.replica.Conversation(team)
	equal(t, "read after a reaction", c.Self.ReadSeq, 0)
	equal(t, "unread after a reaction", c.Unread, 2)
	alice.markRead(team, 3)
	alice.settle()
	equal(t, "read at the server", s.logs[team].marks["alice"].read, 3)
	equal(t, "unread at last", alice.replica.Conversation(team).Unread, 0)
	alice.say(team, "mine")
	alice.settle()
	equal(t, "read after a message", alice.replica.Conversation(team).Self.ReadSeq, 5)
}
