// SPDX-License-Identifier: Apache-2.0

// Properties: random histories of commands, at random times, and what must hold after each of them.

package core_test

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"pgregory.net/rapid"
)

// history is one random run.
type history struct {
	t        *rapid.T
	memory   *coretest.Memory
	limits   tidemark.Limits
	nowMs    uint64
	salts    uint64
	numbers  int // of client ids and texts, so that each is unique
	accepted map[string]int
	answers  []answered
	tokens   map[place][]string // what a message has ever shown, by its place
	erased   []place
}

// answered is a submission that was stored, with its first answer.
type answered struct {
	cmd   *core.Submit
	reply core.Reply
}

type place struct {
	conversation tidemark.ConversationID
	seq          tidemark.Seq
}

func TestHistories(t *testing.T) {
	accepted := make(map[string]int)
	rapid.Check(t, func(t *rapid.T) {
		h := &history{
			t: t, memory: coretest.New(), limits: tidemark.DefaultLimits(), nowMs: 1_772_000_000_000,
			accepted: accepted, tokens: make(map[place][]string),
		}
		h.limits.MembersMax, h.limits.ReactionsMax, h.limits.EditsMax = 5, 4, 3
		h.begin()
		for range rapid.SampledFrom([]int{10, 40, 100, 200}).Draw(t, "steps") {
			h.step()
		}
		h.retryAll()
		h.nothingRemains()
	})
	if testing.Short() {
		return // a fifth of the histories: they need not have everything
	}
	kinds := slices.Concat([]string{"a request to join", "an answer to one", "a message at its time"}, guestKinds, commandKinds)
	for _, kind := range kinds {
		if accepted[kind] == 0 {
			t.Errorf("no %s was ever accepted: the histories do not test it", kind)
		}
	}
	for _, command := range everyCommand(t) {
		if accepted["*core."+command] == 0 && command != "GiveBack" { // see TestWhatIsGivenBackIsAsItWas
			t.Errorf("no *core.%s was ever accepted: the histories do not test it", command)
		}
	}
}

// begin makes the conversations that most commands are about.
func (h *history) begin() {
	h.run("Create", &core.Create{
		Actor: core.Actor{App: true}, Conversation: "team", Owner: "alice", Members: []tidemark.UserID{"bob", "carol"},
	})
	h.run("Create", &core.Create{
		Actor: core.Actor{User: "bob"}, Conversation: "news", Kind: record.Channel, Members: []tidemark.UserID{"alice"},
	})
	h.run("Create", &core.Create{
		Actor: core.Actor{User: "alice"}, Conversation: "club", Members: []tidemark.UserID{"bob"},
		Settings: &wire.Settings{Join: wire.JoinPolicy_REQUEST},
	})
	h.run("Create", &core.Create{Actor: core.Actor{User: "alice"}, Conversation: "lobby", Kind: record.Room})
}

// step moves the clock, mostly forwards, and runs one command.
func (h *history) step() {
	switch rapid.IntRange(0, 9).Draw(h.t, "clock") {
	case 0:
		h.nowMs -= uint64(rapid.IntRange(1, 3*3600_000).Draw(h.t, "back"))
	case 1, 2:
		h.nowMs += uint64(rapid.IntRange(0, 30*3600_000).Draw(h.t, "far"))
	case 3, 4, 5:
		h.nowMs += uint64(rapid.IntRange(0, 20).Draw(h.t, "near"))
	}
	if rapid.IntRange(0, 2).Draw(h.t, "door") == 0 {
		h.comeOrGo()
	}
	kind := rapid.SampledFrom(commandKinds).Draw(h.t, "kind")
	h.run(kind, h.command(kind))
}

// env is the next evaluation's: often a commit of its own, sometimes that of the command before.
func (h *history) env() core.Env {
	h.salts++
	env := core.Env{NowMs: h.nowMs, Partition: 200, Limits: &h.limits, Position: h.memory.Partition().Position + 1}
	binary.BigEndian.PutUint64(env.Salt[:], h.salts*0x9e3779b97f4a7c15)
	if env.Position > 1 && rapid.IntRange(0, 3).Draw(h.t, "same batch") == 0 {
		env.Position--
	}
	return env
}

// run evaluates a command, twice, and holds what must hold of any command.
func (h *history) run(kind string, cmd core.Command) {
	env, before := h.env(), h.memory.Clone()
	var changes, again record.Changes
	reply := core.Evaluate(h.memory, cmd, env, &changes)
	if second := core.Evaluate(h.memory, cmd, env, &again); !reflect.DeepEqual(reply, second) {
		h.t.Fatalf("%s: evaluated twice: %+v and %+v", kind, reply, second)
	}
	if !reflect.DeepEqual(changes, again) {
		h.t.Fatalf("%s: evaluated twice: %+v and %+v", kind, changes, again)
	}
	if !reflect.DeepEqual(before, h.memory) {
		h.t.Fatalf("%s: the view was changed", kind)
	}
	if reply.Err != nil {
		if !changes.Empty() || changes.Partition != (record.Partition{}) || !reflect.DeepEqual(reply, core.Reply{Err: reply.Err}) {
			h.t.Fatalf("%s: refused with %v, and still %+v, %+v", kind, reply.Err, reply, changes)
		}
		if reply.Err.Reason == tidemark.Internal {
			h.t.Fatalf("%s: %v", kind, reply.Err)
		}
		return
	}
	h.accepted[kind]++
	h.accepted[fmt.Sprintf("%T", cmd)]++
	if reply.Requested {
		h.accepted["a request to join"]++
	}
	if _, answers := cmd.(*core.AnswerJoin); answers && !changes.Empty() {
		h.accepted["an answer to one"]++
	}
	if !changes.Empty() {
		h.memory.Apply(&changes)
	}
	h.remember(cmd, reply)
	h.noteGuests(cmd)
	if err := h.memory.Check(); err != nil {
		h.t.Fatalf("%s: %v", kind, err)
	}
	h.marksHaveNotFallen(before)
	h.tokensStayRefused(before, cmd)
	h.readsNothing(before, cmd)
	if cmd, ok := cmd.(*core.Depart); ok {
		h.hasDeparted(cmd)
	}
	if cmd, ok := cmd.(*core.Submit); ok && !reply.Transient {
		h.retry(answered{cmd, reply})
	}
}

// hasDeparted holds what must hold of a user where its account has just ended, and that ending it again does nothing.
func (h *history) hasDeparted(cmd *core.Depart) {
	info, found := h.memory.Conversation(cmd.Conversation)
	u, met := h.memory.User(cmd.User)
	if !found || !met {
		return
	}
	m := h.memory.Member(info.Ordinal, u)
	floor := h.memory.Head(info.Ordinal).Floor
	switch {
	case m.Active() || h.memory.JoinRequest(info.Ordinal, u) != nil:
		h.t.Fatalf("%s has departed from %s: %+v", cmd.User, info.ID, m)
	case m != nil && info.Kind != record.Room && (m.HasContact() || m.Alias != "" || m.Hidden || m.VisibleFrom <= m.LeftSeq && m.LeftSeq > floor):
		h.t.Fatalf("of %s is left in %s: %+v", cmd.User, info.ID, m)
	}
	if p := h.memory.Private(info.Ordinal, u); p != nil && (p.Draft != "" || len(p.Deleted) > 0) {
		h.t.Fatalf("of %s is left in %s: %+v", cmd.User, info.ID, p)
	}
	var again record.Changes
	if reply := core.Evaluate(h.memory, cmd, h.env(), &again); reply.Err != nil || !again.Empty() {
		h.t.Fatalf("%s departs from %s again: %+v, %+v", cmd.User, info.ID, reply, again)
	}
}

// marksHaveNotFallen compares the read marks of everybody with those before.
func (h *history) marksHaveNotFallen(before *coretest.Memory) {
	for _, info := range before.Conversations() {
		for _, u := range before.Members(info.Ordinal) {
			was, is := before.Member(info.Ordinal, u), h.memory.Member(info.Ordinal, u)
			if info.Kind == record.Room && is.JoinedSeq == 0 { // a guest has no marks
				continue
			}
			if is.ClearedSeq < was.ClearedSeq || is.VisibleFrom <= is.ClearedSeq || is.ReadSeq < was.ReadSeq || is.ReadCounted < was.ReadCounted || is.Position < was.Position {
				h.t.Fatalf("a mark has fallen: %+v, was %+v", is, was)
			}
		}
	}
}

// retry submits again what was answered, and wants the first answer.
func (h *history) retry(a answered) {
	var changes record.Changes
	reply := core.Evaluate(h.memory, a.cmd, h.env(), &changes)
	want := a.reply
	want.Duplicate, want.Created = true, false
	if info, _ := h.memory.Conversation(a.cmd.Conversation); info != nil {
		if want.Seq <= h.memory.Head(info.Ordinal).Floor {
			return // forgotten with the event: it would be stored anew
		}
		if e, _ := h.memory.Event(info.Ordinal, want.Seq); e != nil && e.Erased {
			want.Salt = [8]byte{}
		}
	}
	if !reflect.DeepEqual(reply, want) || !changes.Empty() {
		h.t.Fatalf("retry of %+v:\n got %+v (%+v)\nwant %+v", a.cmd, reply, reply.Err, want)
	}
}

// retryAll retries everything that was ever stored, whatever has happened since.
func (h *history) retryAll() {
	for _, a := range h.answers {
		h.retry(a)
	}
}

// remember keeps what later checks need of an accepted command.
func (h *history) remember(cmd core.Command, reply core.Reply) {
	if due, ok := cmd.(*core.SubmitScheduled); ok && reply.Seq > 0 && !reply.Duplicate {
		h.accepted["a message at its time"]++
		cmd = due.Submit
	}
	switch cmd := cmd.(type) {
	case *core.Submit:
		if reply.Transient || reply.Duplicate {
			return
		}
		h.answers = append(h.answers, answered{cmd, reply})
		switch {
		case cmd.Message != nil:
			at := place{cmd.Conversation, reply.Seq}
			h.tokens[at] = append(h.tokens[at], cmd.Message.Text)
		case cmd.Edit != nil:
			at := place{cmd.Conversation, tidemark.Seq(cmd.Edit.Seq)}
			h.tokens[at] = append(h.tokens[at], cmd.Edit.Message.Text)
		}
	case *core.Erase:
		h.erased = append(h.erased, place{cmd.Conversation, cmd.Seq})
	}
}

// nothingRemains looks for what erased messages have ever said in everything that is stored.
func (h *history) nothingRemains() {
	var stored strings.Builder
	for _, info := range h.memory.Conversations() {
		for _, e := range h.memory.Events(info.Ordinal) {
			stored.Write(e.Body)
			if current := h.memory.Current(info.Ordinal, e.Seq); current != nil {
				stored.Write(current.Edited)
			}
		}
	}
	for _, at := range h.erased {
		for _, token := range h.tokens[at] {
			if strings.Contains(stored.String(), token) {
				h.t.Fatalf("event %d of %s is erased, and %q remains", at.seq, at.conversation, token)
			}
		}
	}
}
