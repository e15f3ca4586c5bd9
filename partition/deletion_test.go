// SPDX-License-Identifier: Apache-2.0

// The end of an account in all partitions: broken off between any two of them, at any write, and with commands under way.

package partition

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store/faultfs"
	"github.com/tidemark-im/tidemark/wire"
)

// stepWhile carries out what is queued in some partitions until do is done.
func (w *world) stepWhile(partitions []*Partition, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	for {
		select {
		case err := <-done:
			return err
		default:
		}
		for _, p := range partitions {
			p.Step(w.now)
		}
		runtime.Gosched()
	}
}

func (w *world) delete(user tidemark.UserID) (done Deleted, err error) {
	err = w.stepWhile(w.set.partitions, func() error {
		done, err = w.set.Delete(w.Context(), user, nil)
		return err
	})
	return done, err
}

// zoes is how many memberships liveAsZoe makes.
const zoes = 20

// liveAsZoe makes zoe something everywhere: a member of groups and a room, with contacts, requests to join, messages that
// wait, a draft and cursors.
func (w *world) liveAsZoe() {
	w.Helper()
	w.users("zoe", "alice")
	for i := range 10 {
		group, asked := tidemark.ConversationID(fmt.Sprint("g", i)), tidemark.ConversationID(fmt.Sprint("club", i))
		w.do(&core.Create{Actor: core.Actor{User: "zoe"}, Conversation: group, Members: []tidemark.UserID{"alice"}})
		w.do(&core.Settings{User: "zoe", Conversation: group, Draft: &wire.Draft{Text: "soon"}})
		w.do(w.schedule("zoe", group, "later", w.now+1000_000))
		w.do(&core.Create{Actor: core.Actor{User: "alice"}, Conversation: asked, Settings: &wire.Settings{Join: wire.JoinPolicy_REQUEST}})
		w.do(&core.Join{Actor: core.Actor{User: "zoe"}, Conversation: asked})
	}
	for i := range 5 {
		peer := tidemark.UserID(fmt.Sprint("peer", i))
		w.users(peer)
		w.contact("zoe", peer, core.AskContact)
		w.do(&core.Create{
			Actor: core.Actor{User: "alice"}, Conversation: tidemark.ConversationID(fmt.Sprint("room", i)), Kind: record.Room, Members: []tidemark.UserID{"zoe"},
		})
	}
	w.users("stranger")
	w.do(w.schedule("zoe", "stranger~zoe", "one day", w.now+1000_000))
	for n, p := range w.set.partitions {
		if _, met, err := p.User("zoe"); err == nil && met {
			p.queue.offer(request{cmd: &core.SaveCursor{User: "zoe", Device: tidemark.DeviceID(fmt.Sprint("d", n)), Position: 1}})
		}
	}
	w.step()
}

// gone fails unless a user is nothing anywhere, and everything the user was in tells so once.
func (w *world) gone(user tidemark.UserID, told int) {
	w.Helper()
	removals := 0
	for _, p := range w.set.partitions {
		u, met, err := p.User(user)
		if w.must(err); !met {
			continue
		}
		w.must(p.db.AllConversations(func(info *record.Info) bool {
			m, err := p.member(info.Ordinal, u)
			w.must(err)
			request, err := p.JoinRequest(info.Ordinal, u)
			w.must(err)
			private, err := p.Private(info.Ordinal, u)
			if w.must(err); m.Active() || request != nil || m != nil && m.Contact != record.NoContact || private != nil && private.Draft != "" {
				w.Errorf("%s in %s: %+v, %+v, %+v", user, info.ID, m, request, private)
			}
			waiting, err := p.ScheduledBy(info.Ordinal, u)
			if w.must(err); len(waiting) > 0 {
				w.Errorf("%s has scheduled %v in %s", user, waiting, info.ID)
			}
			if peer, direct := info.ID.Peer(user); direct {
				if theirs, err := p.Member(info.Ordinal, peer); err != nil || !theirs.Active() || theirs.Contact != record.NoContact {
					w.Errorf("%s, the peer of %s: %+v, %v", peer, user, theirs, err)
				}
			}
			w.must(p.db.Events(info.Ordinal, 1, 1000, false, func(e *record.Event) bool {
				var body wire.Body
				w.must(body.UnmarshalVT(e.Body))
				if slices.Contains(body.GetMembers().GetRemoved(), string(user)) {
					removals++
				}
				return true
			}))
			return true
		}))
		waiting, err := p.ScheduledBy(0, u)
		w.must(err)
		cursors, err := p.Cursors(user)
		w.must(err)
		named := 0
		w.must(p.Index(record.Index{Kind: record.NamedIndex, User: u}, false, func(record.Index) bool { named++; return true }))
		if len(waiting)+len(cursors)+named > 0 {
			w.Errorf("partition %d: of %s are left %v, %v, %d entries", p.number, user, waiting, cursors, named)
		}
	}
	if removals != told {
		w.Errorf("%d events say that %s has left, want %d", removals, user, told)
	}
}

func TestDeleteEndsEverything(t *testing.T) {
	w := newWorld(t, nil)
	w.liveAsZoe()
	kicked := 0
	err := w.stepWhile(w.set.partitions, func() error {
		done, err := w.set.Delete(w.Context(), "zoe", func() int {
			if from, _, err := w.set.TokensFrom("zoe", ""); err != nil || from <= w.now {
				t.Errorf("sessions are ended while tokens count: from %d, %v", from, err)
			}
			kicked++
			return 3
		})
		if done != (Deleted{Sessions: 3, Conversations: zoes}) {
			t.Errorf("%+v", done)
		}
		return err
	})
	if w.must(err); kicked != 1 {
		t.Errorf("kicked %d times", kicked)
	}
	w.gone("zoe", zoes)
	if done, err := w.delete("zoe"); err != nil || done != (Deleted{}) {
		t.Errorf("again: %+v, %v", done, err)
	}
	if _, err := w.delete("nobody"); err == nil || err.(*tidemark.Error).Reason != tidemark.UnknownUser {
		t.Errorf("nobody: %v", err)
	}
}

// Broken off in any partition, it goes on: by deleting again, or when the id is to begin anew.
func TestDeletionGoesOn(t *testing.T) {
	for at := range 4 {
		for _, anew := range []bool{false, true} {
			w := newWorld(t, nil)
			w.liveAsZoe()
			w.do(&core.DeleteUser{User: "zoe"})
			e := w.set.BeginDelete("zoe", nil)
			e.Step()
			w.set.OfUser("zoe").Step(w.now)
			for !e.Step() && w.set.partitions[at].queue.len() == 0 {
				for _, p := range w.set.partitions[:at] {
					p.Step(w.now)
				}
			}
			e.Close()
			first := e.deleted.Conversations
			if e.err != nil || first == zoes {
				t.Fatalf("%d were left, and %v", first, e.err)
			}
			if _, err := w.set.Delete(stopped(t), "zoe", nil); err != context.Canceled {
				t.Fatalf("who does not wait is told %v", err)
			}
			w.close() // what is queued is lost
			w.open(nil)
			if !anew {
				if done, err := w.delete("zoe"); err != nil || done.Conversations != zoes-first {
					t.Errorf("stopped at partition %d, %d were left, then %+v, %v", at, first, done, err)
				}
				w.gone("zoe", zoes)
				w.close()
				continue
			}
			w.must(w.stepWhile(w.set.partitions, func() error {
				_, err := w.set.Do(t.Context(), &core.UpsertUser{User: "zoe", Nickname: "Another"})
				return err
			}))
			w.gone("zoe", zoes)
			w.do(w.text("zoe", "alice~zoe", "hello"))
			w.do(w.text("alice", "alice~zoe", "hello"))
			w.close()
		}
	}
}

// stopped is a context that has ended.
func stopped(t *testing.T) context.Context {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	return ctx
}

// Of two that end, the second waits for the first; between its steps others write.
func TestEndingsInSteps(t *testing.T) {
	w := newWorld(t, nil)
	w.liveAsZoe()
	first, second := w.set.BeginDelete("zoe", nil), w.set.BeginDelete("alice", nil)
	over := false
	for n := 0; !over; n++ {
		if over = first.Step(); !over && second.Step() {
			t.Fatal("two end at once")
		}
		w.do(w.text("alice", "g0", fmt.Sprint("meanwhile ", n)))
	}
	if done, _, err := first.Result(); err != nil || done.Conversations != zoes {
		t.Errorf("%+v, %v", done, err)
	}
	w.gone("zoe", zoes)
	for !second.Step() {
		w.step()
	}
	if _, _, err := second.Result(); err != nil {
		t.Error(err)
	}
	anew, err := w.set.BeginAnew(&core.UpsertUser{User: "zoe", Nickname: "Another"})
	w.must(err)
	for !anew.Step() {
		w.step()
	}
	if _, reply, err := anew.Result(); err != nil || reply.Err != nil || w.set.CheckUsers("zoe") != nil {
		t.Errorf("%+v, %v", reply, err)
	}
}

// Whoever asks for the user again while the account is ending gets a new one once all of the old one has ended.
func TestAnIdDoesNotBeginAnewInTheMiddleOfItsEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.liveAsZoe()
	e := w.set.BeginDelete("zoe", nil)
	e.Step() // nobody knows yet that the account ends
	if early := w.try(&core.UpsertUser{User: "zoe", Nickname: "Another"}); early.Err == nil || early.Err.Reason != tidemark.Unavailable {
		t.Errorf("in the middle: %+v", early)
	}
	for !e.Step() {
		w.step()
	}
	w.gone("zoe", zoes)
	first, over := w.set.BeginDelete("alice", nil), false
	first.Step()
	done := make(chan error, 1)
	go func() {
		_, err := w.set.Do(t.Context(), &core.UpsertUser{User: "alice", Nickname: "Another"})
		done <- err
	}()
	for w.set.OfUser("alice").queue.len() < 2 {
		runtime.Gosched()
	}
	for {
		select {
		case err := <-done:
			w.must(err)
			if !over {
				t.Error("the id has begun anew before the end")
			}
			if m := w.try(w.text("alice", "g0", "it is me")); m.Err == nil || m.Err.Reason != tidemark.NotMember {
				t.Errorf("the new user writes where the old one was: %+v", m)
			}
			w.do(&core.Create{Actor: core.Actor{User: "alice"}, Conversation: "own"})
			return
		default:
		}
		over = over || first.Step()
		w.step()
	}
}

// A crash at any operation of the disk leaves what deleting again finishes, each departure once.
func TestDeletionGoesOnAfterACrash(t *testing.T) {
	crashes, fs := faultfs.NewCrashes[struct{}](3, nil)
	w := &world{TB: t, fs: fs, now: 1_700_000_000_000}
	w.open(nil)
	w.liveAsZoe()
	crashes.Watch(true)
	_, err := w.delete("zoe")
	w.must(err)
	crashes.Watch(false)
	w.close()
	lefts := map[int]bool{}
	for _, crash := range crashes.Taken() {
		after := &world{TB: t, fs: crash.FS, now: w.now}
		after.open(nil)
		done, err := after.delete("zoe")
		after.must(err)
		after.gone("zoe", zoes)
		lefts[done.Conversations] = true
		after.close()
	}
	if n := len(crashes.Taken()); n < 8 || len(lefts) < 4 {
		t.Errorf("%d crashes left %v to do", n, lefts)
	}
}

// Commands that were queued while the user still was one are held back, and no retry is refused.
func TestCommandsUnderWayAreHeldBack(t *testing.T) {
	w := newWorld(t, nil)
	w.users("zoe", "alice", "bob")
	w.group("team", "alice")
	w.do(&core.Create{Actor: core.Actor{App: true}, Conversation: "open", Settings: &wire.Settings{Join: wire.JoinPolicy_OPEN}})
	said := w.text("alice", "alice~zoe", "hello")
	seq := w.do(said).Seq
	retry := &core.Submit{Actor: said.Actor, Conversation: said.Conversation, ClientID: said.ClientID, Message: said.Message}
	under := []core.Command{
		&core.AddMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"bob", "zoe"}},
		&core.Create{Actor: core.Actor{User: "zoe"}, Conversation: "own"},
		&core.Create{Actor: core.Actor{User: "alice"}, Conversation: "hers", Members: []tidemark.UserID{"zoe"}},
		&core.Join{Actor: core.Actor{User: "zoe"}, Conversation: "open"},
		&core.Import{Conversation: "team", Entries: []*wire.ImportEntry{{TimeMs: 1, ClientId: "i", User: "zoe", Entry: &wire.ImportEntry_Join{Join: true}}}},
		&core.Contact{User: "alice", Peer: "zoe", Action: core.AskContact},
		w.text("zoe", "alice~zoe", "late"),
		w.text("bob", "bob~zoe", "late"),
		w.schedule("zoe", "alice~zoe", "later", w.now+1000),
	}
	refused := 0
	for _, cmd := range under {
		w.must(w.set.Submit(t.Context(), cmd, func(r core.Reply) {
			if r.Err == nil || r.Err.Reason != tidemark.UnknownUser {
				t.Errorf("%T: %v", cmd, r.Err)
			}
			refused++
		}))
	}
	w.must(w.set.Submit(t.Context(), retry, func(r core.Reply) {
		if r.Err != nil || !r.Duplicate || r.Seq != seq {
			t.Errorf("a retry: %+v", r)
		}
	}))
	w.set.departed.add("zoe")
	w.step()
	if refused != len(under) {
		t.Errorf("%d of %d were answered", refused, len(under))
	}
	_, err := w.delete("zoe")
	w.must(err)
	w.gone("zoe", 1)

	// Once deleted, the verdict is there before the command is queued.
	w.set.departed.drop("zoe")
	if r := w.try(w.text("alice", "alice~zoe", "are you there?")); r.Err == nil || r.Err.Reason != tidemark.UnknownUser {
		t.Errorf("to a deleted user: %v", r.Err)
	}
	if r := w.try(w.text("bob", "bob~zoe", "hello")); r.Err == nil || r.Err.Reason != tidemark.UnknownUser {
		t.Errorf("to a deleted user, for the first time: %v", r.Err)
	}
	again := &core.Submit{Actor: said.Actor, Conversation: said.Conversation, ClientID: said.ClientID, Message: said.Message}
	if r := w.try(again); r.Err != nil || !r.Duplicate || r.Seq != seq {
		t.Errorf("a retry: %+v", r)
	}
	if r := w.try(&core.Submit{Actor: said.Actor, Conversation: said.Conversation, ClientID: "r", Recall: &wire.Recall{Seq: uint64(seq)}}); r.Err != nil {
		t.Errorf("taking it back: %v", r.Err)
	}
	if _, err := w.set.Contact(t.Context(), &core.Contact{User: "alice", Peer: "zoe", Action: core.AskContact}); err == nil || err.(*tidemark.Error).Reason != tidemark.UnknownUser {
		t.Errorf("asking a deleted user: %v", err)
	}
}

// Whoever adds the user meanwhile, having found out that there is one, does not bring the user back.
func TestDeleteAmongThoseWhoAdd(t *testing.T) {
	w := newWorld(t, nil)
	w.users("zoe", "alice")
	ctx, stop := context.WithCancel(t.Context())
	var loops, adders sync.WaitGroup
	loops.Go(func() { _ = w.set.Run(ctx) })
	made := make(chan int, 4)
	for a := range 4 {
		adders.Go(func() {
			for i := 0; ; i++ {
				if w.set.CheckUsers("zoe") != nil {
					made <- i
					return
				}
				id := tidemark.ConversationID(fmt.Sprint("g", a, ".", i))
				_, _ = w.set.Do(ctx, &core.Create{Actor: core.Actor{User: "alice"}, Conversation: id, Members: []tidemark.UserID{"zoe"}})
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	done, err := w.set.Delete(ctx, "zoe", nil)
	w.must(err)
	adders.Wait()
	stop()
	loops.Wait()
	total := 0
	for range 4 {
		total += <-made
	}
	if done.Conversations == 0 || done.Conversations > total {
		t.Errorf("%d of %d groups were left", done.Conversations, total)
	}
	w.gone("zoe", done.Conversations)
}

// BenchmarkDelete tells what it costs to end an account, by conversation, and how long one batch keeps a partition busy.
func BenchmarkDelete(b *testing.B) {
	const groups = 2000
	busiest := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b, nil)
		w.users("zoe", "alice")
		for i := range groups {
			w.must(w.set.Submit(b.Context(), &core.Create{
				Actor: core.Actor{User: "zoe"}, Conversation: tidemark.ConversationID(fmt.Sprint("g", i)), Members: []tidemark.UserID{"alice"},
			}, nil))
		}
		w.step()
		longest := time.Duration(0)
		done := make(chan error, 1)
		b.StartTimer()
		go func() {
			_, err := w.set.Delete(b.Context(), "zoe", nil)
			done <- err
		}()
		for running := true; running; {
			select {
			case err := <-done:
				w.must(err)
				running = false
			default:
			}
			for _, p := range w.set.partitions {
				began := time.Now()
				p.Step(w.now)
				longest = max(longest, time.Since(began))
			}
		}
		b.StopTimer()
		w.close()
		busiest = max(busiest, longest)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/groups/float64(b.N), "µs/conversation")
	b.ReportMetric(float64(busiest.Microseconds()), "µs/longest-batch")
}
