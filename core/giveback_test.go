// SPDX-License-Identifier: Apache-2.0

// Giving back, case by case: what is refused, what is written meanwhile, what comes without its content.

package core_test

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"google.golang.org/protobuf/proto"
)

// losing is a server that was restored to a copy, and the one that it was.
type losing struct {
	t             *testing.T
	was, restored *coretest.Memory
	nowMs         uint64
}

func (l *losing) do(m *coretest.Memory, cmd core.Command, takeBackMs uint64) core.Reply {
	l.nowMs += 1000
	reply, _ := m.Do(cmd, core.Env{NowMs: l.nowMs, Salt: [8]byte{byte(l.nowMs / 1000)}, TakeBackMs: takeBackMs})
	return reply
}

func (l *losing) must(m *coretest.Memory, cmd core.Command) core.Reply {
	l.t.Helper()
	reply := l.do(m, cmd, 0)
	if reply.Err != nil {
		l.t.Fatalf("%T: %v", cmd, reply.Err)
	}
	return reply
}

func says(user tidemark.UserID, in tidemark.ConversationID, id, text string) *core.Submit {
	return &core.Submit{
		Actor: core.Actor{User: user}, Conversation: in, ClientID: tidemark.ClientID(id), Message: &wire.Message{Text: text},
	}
}

// losingAfter is a group of alice and bob with one message, copied, and what happened afterwards.
func losingAfter(t *testing.T, after func(l *losing)) *losing {
	l := &losing{t: t, was: coretest.New(), nowMs: 1_772_000_000_000}
	l.must(l.was, &core.Create{Actor: core.Actor{User: "alice"}, Conversation: "team", Members: []tidemark.UserID{"bob"}})
	l.must(l.was, says("alice", "team", "a1", "one"))
	l.restored = l.was.Clone()
	after(l)
	return l
}

// offer reads an offer of events of a conversation.
func (l *losing) offer(id tidemark.ConversationID, events []*wire.Event) (*core.Offer, error) {
	head := &record.Head{}
	if info, known := l.restored.Conversation(id); known {
		head = l.restored.Head(info.Ordinal)
	}
	return core.ReadOffer(id, head, l.restored.DigestAt(id), events)
}

// giveAll gives back all that an offer has, and answers the last reply.
func (l *losing) giveAll(id tidemark.ConversationID, events []*wire.Event) core.Reply {
	l.t.Helper()
	offer, err := l.offer(id, events)
	if err != nil {
		l.t.Fatal(err)
	}
	var last core.Reply
	for _, give := range offer.Give {
		if last = l.do(l.restored, give, 1); last.Err != nil {
			l.t.Fatal(last.Err)
		}
	}
	if err := l.restored.Check(); err != nil {
		l.t.Fatal(err)
	}
	return last
}

func TestARetryOfWhatWasGivenBackGetsItsFirstAnswer(t *testing.T) {
	var first core.Reply
	l := losingAfter(t, func(l *losing) { first = l.must(l.was, says("bob", "team", "b1", "two")) })
	l.giveAll("team", l.was.LogForm("team"))
	again := l.must(l.restored, says("bob", "team", "b1", "two"))
	if !again.Duplicate || again.Seq != first.Seq || again.ID != first.ID || again.Digest != first.Digest {
		t.Fatalf("the retry got %+v, the first answer was %+v", again, first)
	}
	next := l.must(l.restored, says("bob", "team", "b2", "three"))
	if next.ID <= first.ID || next.Seq != first.Seq+1 {
		t.Fatalf("the next message got %+v after %+v", next, first)
	}
}

func TestWhileLostEventsAreTakenBackNothingElseIsAppended(t *testing.T) {
	l := losingAfter(t, func(*losing) {})
	for name, cmd := range map[string]core.Command{
		"a message":  says("bob", "team", "b1", "two"),
		"a member":   &core.AddMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"carol"}},
		"a group":    &core.Create{Actor: core.Actor{User: "bob"}, Conversation: "other"},
		"a title":    &core.Update{Actor: core.Actor{User: "alice"}, Conversation: "team", Title: new(string)},
		"an erasure": &core.Erase{Actor: core.Actor{User: "alice"}, Conversation: "team", Seq: 2},
		"a request":  &core.Contact{User: "alice", Peer: "bob", Action: core.AskContact},
	} {
		if name == "a title" {
			*cmd.(*core.Update).Title = "Team"
		}
		before := l.restored.Clone()
		reply := l.do(l.restored, cmd, 60_000)
		if reply.Err == nil || reply.Err.Reason != tidemark.Unavailable || reply.Err.RetryAfterMs == 0 {
			t.Errorf("%s: %+v, wanted UNAVAILABLE with retryAfterMs", name, reply)
		}
		if l.restored.Partition() != before.Partition() {
			t.Errorf("%s: something was written", name)
		}
	}
	if reply := l.do(l.restored, says("alice", "team", "a1", "one"), 60_000); !reply.Duplicate {
		t.Errorf("a retry got %+v, wanted the first answer", reply)
	}
	if reply := l.do(l.restored, &core.Read{User: "bob", Conversation: "team", Seq: 2}, 60_000); reply.Err != nil {
		t.Errorf("a read mark: %v", reply.Err)
	}
}

func TestAScheduledMessageWaitsUntilNothingIsTakenBack(t *testing.T) {
	l := losingAfter(t, func(*losing) {})
	submit := says("bob", "team", "later", "later")
	l.must(l.restored, &core.Schedule{Submit: submit, AtMs: l.nowMs + 5000})
	due := func(takeBackMs uint64) {
		timers := l.restored.Indexes(record.TimerIndex)
		if len(timers) != 1 {
			t.Fatalf("%d timers", len(timers))
		}
		l.nowMs = timers[0].DueMs
		if reply := l.do(l.restored, l.restored.WhenDue(timers[0]), takeBackMs); reply.Err != nil {
			t.Fatal(reply.Err)
		}
	}
	due(60_000)
	info, _ := l.restored.Conversation("team")
	if seq := l.restored.Head(info.Ordinal).Seq; seq != 2 {
		t.Fatalf("the head is at %d while lost events are taken back", seq)
	}
	due(0)
	if seq := l.restored.Head(info.Ordinal).Seq; seq != 3 {
		t.Fatalf("the head is at %d afterwards", seq)
	}
}

func TestWhatIsNotProvenIsNotTaken(t *testing.T) {
	l := losingAfter(t, func(l *losing) {
		l.must(l.was, says("bob", "team", "b1", "two"))
		l.must(l.was, says("bob", "team", "b2", "three"))
	})
	log := l.was.LogForm("team")
	good, err := l.offer("team", log)
	if err != nil || len(good.Give) != 2 {
		t.Fatalf("%+v, %v", good, err)
	}
	forge := func(change func(e *wire.Event)) []*wire.Event {
		list := append([]*wire.Event(nil), log...)
		list[2] = proto.CloneOf(list[2])
		change(list[2])
		return list
	}
	for name, events := range map[string][]*wire.Event{
		"body":   forge(func(e *wire.Event) { e.Body = log[3].Body }),
		"salt":   forge(func(e *wire.Event) { e.Salt = make([]byte, 8) }),
		"sender": forge(func(e *wire.Event) { e.Sender = "alice" }),
		"time":   forge(func(e *wire.Event) { e.TimeMs++ }),
		"id":     forge(func(e *wire.Event) { e.Id++ }),
		"client": forge(func(e *wire.Event) { e.ClientId = "" }),
	} {
		if forged, err := l.offer("team", events); err == nil && forged.Digest == good.Digest {
			t.Errorf("another %s leads to the same digest", name)
		}
	}
	for name, c := range map[string]struct {
		events []*wire.Event
		want   tidemark.Reason
	}{
		"nothing":           {nil, tidemark.BadArgument},
		"a gap":             {log[3:], tidemark.UnknownEvent},
		"a gap inside":      {[]*wire.Event{log[1], log[3]}, tidemark.BadArgument},
		"backwards":         {[]*wire.Event{log[3], log[2]}, tidemark.UnknownEvent},
		"no salt":           {forge(func(e *wire.Event) { e.Salt = nil }), tidemark.BadArgument},
		"no body, no hash":  {forge(func(e *wire.Event) { e.Body = nil }), tidemark.BadArgument},
		"no body at all":    {forge(func(e *wire.Event) { e.Body = []byte{0xff} }), tidemark.BadArgument},
		"no sender":         {forge(func(e *wire.Event) { e.Sender = "" }), tidemark.BadArgument},
		"other events here": {append([]*wire.Event{l.otherwise(log[1])}, log[2:]...), tidemark.AlreadyExists},
	} {
		_, err := l.offer("team", c.events)
		refused, ok := err.(*tidemark.Error)
		if !ok || refused.Reason != c.want {
			t.Errorf("%s: %v, wanted %s", name, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		give       core.GiveBack
		takeBackMs uint64
		want       tidemark.Reason
	}{
		"closed":       {*good.Give[0], 0, tidemark.NotAllowed},
		"the second":   {*good.Give[1], 1, tidemark.UnknownEvent},
		"wrong digest": {core.GiveBack{Conversation: "team", Event: log[2], Digest: good.Digest}, 1, tidemark.AlreadyExists},
		"elsewhere":    {core.GiveBack{Conversation: "other", Event: log[2], Digest: good.Give[0].Digest}, 1, tidemark.UnknownEvent},
		"another one":  {core.GiveBack{Conversation: "team", Event: log[1], Digest: good.Digest}, 1, tidemark.AlreadyExists},
	} {
		if reply := l.do(l.restored, &c.give, c.takeBackMs); reply.Err == nil || reply.Err.Reason != c.want {
			t.Errorf("%s: %+v, wanted %s", name, reply.Err, c.want)
		}
	}
}

// otherwise is an event with another time.
func (l *losing) otherwise(e *wire.Event) *wire.Event {
	e = proto.CloneOf(e)
	e.TimeMs++
	return e
}

func TestWithheldContentIsTakenOnlyIfItWasTakenBack(t *testing.T) {
	l := losingAfter(t, func(l *losing) {
		l.must(l.was, says("bob", "team", "b1", "two"))
		l.must(l.was, says("bob", "team", "b2", "three"))
		l.must(l.was, &core.Submit{Actor: core.Actor{User: "bob"}, Conversation: "team", ClientID: "r",
			Recall: &wire.Recall{Seq: 4}})
	})
	log := l.was.LogForm("team")
	withheld := proto.CloneOf(log[2])
	withheld.BodyHash, withheld.Kind = l.hash(3), uint32(record.MessageBody)
	withheld.Body, withheld.Salt = nil, nil
	for name, recalled := range map[string]uint64{"without a reason": 0, "by a recall of another": 5, "by a message": 4} {
		withheld.Recalled = recalled
		offer, err := l.offer("team", []*wire.Event{log[0], log[1], withheld, log[3], log[4]})
		if err != nil || len(offer.Give) != 0 || offer.Last != 5 {
			t.Errorf("%s: %+v, %v", name, offer, err)
		}
	}
	l.giveAll("team", log)
	info, _ := l.restored.Conversation("team")
	if e, _ := l.restored.Event(info.Ordinal, 4); !e.Erased || !e.IsCounted {
		t.Errorf("the recalled message is %+v", e)
	}
	if head := l.restored.Head(info.Ordinal); head.Counted != 3 || head.Recalled != 1 {
		t.Errorf("the head is %+v", head)
	}
}

// TestWhatTookContentAwayMayNeverComeBack: a message comes without its content, and the recall does not.
func TestWhatTookContentAwayMayNeverComeBack(t *testing.T) {
	l := losingAfter(t, func(l *losing) {
		l.must(l.was, says("bob", "team", "b1", "two"))
		l.must(l.was, says("bob", "team", "b2", "three"))
		l.must(l.was, &core.Submit{Actor: core.Actor{User: "bob"}, Conversation: "team", ClientID: "e",
			Edit: &wire.Edit{Seq: 4, Message: &wire.Message{Text: "@alice", Mentions: []string{"alice"}}}})
		l.must(l.was, &core.Submit{Actor: core.Actor{User: "alice"}, Conversation: "team", ClientID: "p", Pin: &wire.Pin{Seq: 4}})
		for i, seq := range []uint64{3, 4} {
			l.must(l.was, &core.Submit{Actor: core.Actor{User: "bob"}, Conversation: "team",
				ClientID: tidemark.ClientID(rune('r' + i)), Recall: &wire.Recall{Seq: seq}})
		}
	})
	log := l.was.LogForm("team")
	log[3].Body, log[3].Salt = l.body(4) // whoever has this did not hear of the recall, and of the edit only then
	offer, err := l.offer("team", log)
	if err != nil || len(offer.Give) != 6 {
		t.Fatalf("%+v, %v", offer, err)
	}
	info, _ := l.restored.Conversation("team")
	for i, want := range []struct {
		unread, recalled uint64
		lost             []tidemark.Seq
	}{{0, 1, []tidemark.Seq{3}}, {1, 1, []tidemark.Seq{3}}, {0, 2, []tidemark.Seq{3, 4, 5}}, {0, 2, []tidemark.Seq{3, 4, 5}}} {
		give := offer.Give[i]
		if reply := l.do(l.restored, give, 1); reply.Err != nil {
			t.Fatal(reply.Err)
		}
		if err := l.restored.Check(); err != nil {
			t.Fatalf("after event %d: %v", give.Event.Seq, err)
		}
		alice, _ := l.restored.User("alice")
		head := l.restored.Head(info.Ordinal)
		if unread := l.restored.Unread(info.Ordinal, alice); unread != want.unread || head.Recalled != want.recalled {
			t.Errorf("after event %d: %d unread, %d withheld; wanted %+v", give.Event.Seq, unread, head.Recalled, want)
		}
		for _, seq := range want.lost {
			if now := l.restored.Current(info.Ordinal, seq); !now.IsWithheld() || !now.IsLost || now.PinSeq > 0 {
				t.Errorf("after event %d: event %d is %+v", give.Event.Seq, seq, now)
			}
		}
	}
	for name, cmd := range map[string]core.Command{
		"an edit": &core.Submit{Actor: core.Actor{User: "bob"}, Conversation: "team", ClientID: "x",
			Edit: &wire.Edit{Seq: 4, Message: &wire.Message{Text: "x"}}},
		"a pin": &core.Submit{Actor: core.Actor{User: "alice"}, Conversation: "team", ClientID: "y", Pin: &wire.Pin{Seq: 4}},
		"a reaction": &core.Submit{Actor: core.Actor{User: "alice"}, Conversation: "team", ClientID: "z",
			Reaction: &wire.Reaction{Seq: 3, Key: "+"}},
	} {
		if reply := l.do(l.restored.Clone(), cmd, 0); reply.Err == nil || reply.Err.Reason != tidemark.UnknownEvent {
			t.Errorf("%s of what shows nothing: %+v", name, reply)
		}
	}
	l.giveAll("team", log)
	if now := l.restored.Current(info.Ordinal, 4); now.RecallSeq != 8 {
		t.Errorf("in the end the message is %+v", now)
	}
}

// body is the content of an event of the group, and its salt.
func (l *losing) body(seq tidemark.Seq) (body, salt []byte) {
	info, _ := l.was.Conversation("team")
	e, _ := l.was.Event(info.Ordinal, seq)
	return e.Body, e.Salt[:]
}

// hash is the body hash of an event of the group.
func (l *losing) hash(seq tidemark.Seq) []byte {
	info, _ := l.was.Conversation("team")
	e, _ := l.was.Event(info.Ordinal, seq)
	return e.BodyHash[:]
}

func TestADirectConversationBegunByARequestStaysHidden(t *testing.T) {
	l := losingAfter(t, func(l *losing) {
		l.must(l.was, &core.Contact{User: "alice", Peer: "bob", Action: core.AskContact})
		l.must(l.was, says("carol", "alice~carol", "c1", "hello"))
	})
	for _, c := range []struct {
		id     tidemark.ConversationID
		hidden bool
	}{{"alice~bob", true}, {"alice~carol", false}} {
		l.giveAll(c.id, l.was.LogForm(c.id))
		info, found := l.restored.Conversation(c.id)
		if !found {
			t.Fatalf("%s has not begun", c.id)
		}
		alice, _ := l.restored.User("alice")
		if m := l.restored.Member(info.Ordinal, alice); m.HiddenAt(l.restored.Head(info.Ordinal).Seq) != c.hidden {
			t.Errorf("%s: %+v, wanted hidden %t", c.id, m, c.hidden)
		}
	}
}

// A client id that was free again, because its event was kept no longer, made another one: with that, the first goes again, and
// no two events have it.
func TestAClientIDThatWasFreeAgain(t *testing.T) {
	l := losingAfter(t, func(l *losing) {
		l.must(l.was, &core.Update{Actor: core.Actor{User: "alice"}, Conversation: "team", Settings: &wire.Settings{
			Retention: &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: 2},
		}})
	})
	l.must(l.was, says("bob", "team", "again", "first"))
	whole := l.was.LogForm("team")
	for i := range 80 {
		l.must(l.was, says("alice", "team", "on"+string(rune('0'+i)), "on"))
	}
	whole = append(whole, l.was.LogForm("team")[len(whole):]...)
	for _, timer := range l.was.Indexes(record.TimerIndex) {
		l.must(l.was, &core.Trim{Conversation: "team", Timer: timer})
	}
	second := l.must(l.was, says("bob", "team", "again", "second"))
	if second.Duplicate {
		t.Fatal("the client id is not free again")
	}
	log := l.was.LogForm("team")
	whole = append(whole, log[len(log)-1])
	l.giveAll("team", whole)
	info, _ := l.restored.Conversation("team")
	if head := l.restored.Head(info.Ordinal); head.Seq != second.Seq || head.Floor != 4 {
		t.Errorf("%+v, wanted the log up to %d, without the first event of the client id and what is before it", head, second.Seq)
	}
	if again := l.must(l.restored, says("bob", "team", "again", "second")); !again.Duplicate || again.Seq != second.Seq {
		t.Errorf("a retry got %+v, the first answer was %+v", again, second)
	}
}
