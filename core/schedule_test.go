// SPDX-License-Identifier: Apache-2.0

// Scheduled messages in scenarios and in random histories.

package core_test

import (
	"fmt"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"pgregory.net/rapid"
)

// schedule is "schedule alice in=team id=s1 after=1h text=hello", or many of them with times=100.
func (s *story) schedule(w words) string {
	say := w
	say.plain = append([]string{"say"}, w.plain[1:]...)
	cmd := &core.Schedule{Submit: s.submit(say), AtMs: uint64(s.now.UnixMilli()) + w.duration("after")}
	cmd.Submit.Seen = s.seen(w)
	if w.has("no-message") {
		cmd.Submit.Message, cmd.Submit.Recall = nil, &wire.Recall{Seq: 2}
	}
	line := ""
	for i := range max(1, w.number("times")) {
		one := *cmd
		if w.number("times") > 0 {
			submit := *cmd.Submit
			submit.ClientID = tidemark.ClientID(fmt.Sprint(cmd.Submit.ClientID, i))
			one.Submit = &submit
		}
		var reply core.Reply
		if reply, s.changes = s.memory.Do(&one, s.env()); reply.Err != nil {
			return "refused, " + reply.Err.Error()
		}
		line = fmt.Sprintf("for %s%s", showDue(reply.Scheduled.DueMs), s.nothing())
	}
	return line
}

func (s *story) unschedule(w words) string {
	cmd := &core.Unschedule{Actor: w.actor(), Conversation: w.in(), ClientID: tidemark.ClientID(w.named["id"])}
	if to, given := w.named["to"]; given {
		cmd.Conversation = tidemark.Direct(w.user(), tidemark.UserID(to))
	}
	var reply core.Reply
	if reply, s.changes = s.memory.Do(cmd, s.env()); reply.Err != nil {
		return "refused, " + reply.Err.Error()
	}
	return "taken back"
}

// scheduled lists what waits, or could not be submitted, of all users.
func (s *story) scheduled() string {
	var b strings.Builder
	for _, r := range s.memory.ScheduledRows() {
		in, id := s.nameOf(r.Conversation), r.ClientID
		if r.Conversation == 0 {
			var peer tidemark.UserID
			peer, id = core.PendingPeer(id)
			in = "none yet, to " + tidemark.ConversationID(peer)
		}
		var body wire.Body
		if err := body.UnmarshalVT(r.Scheduled.Body); err != nil {
			return err.Error()
		}
		fmt.Fprintf(&b, "%s of %s in %s for %s: %s", id, s.memory.UserID(r.User), in, showDue(r.Scheduled.DueMs), showMessage(body.GetMessage()))
		if r.Scheduled.Reason != "" {
			fmt.Fprintf(&b, "; %s: %s", r.Scheduled.Reason, r.Scheduled.Message)
		}
		fmt.Fprintln(&b)
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

func showDue(ms uint64) string {
	return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02 15:04:05.000")
}

// due carries out a scheduled message's timer, with what a partition would find out elsewhere.
func (s *story) due(i record.Index, w words) string {
	cmd := s.memory.WhenDue(i)
	user := cmd.Submit.Actor.User
	if m := cmd.Submit.Message; m.GetForwarded() != nil {
		f := m.Forwarded
		source := s.seenBy(user, tidemark.ConversationID(f.Conversation), tidemark.Seq(f.Seq))
		cmd.Submit.Forward = &core.Verdict{Refused: core.JudgeForward(m, source)}
	}
	cmd.Submit.ContactsOnly = w.has("contacts-only")
	if profile, there := s.memory.Profile(user); there {
		cmd.Gone = profile.DeletedPosition > 0
	}
	var reply core.Reply
	reply, s.changes = s.memory.Do(cmd, s.env())
	switch {
	case reply.Err != nil:
		return "refused, " + reply.Err.Error()
	case reply.Duplicate:
		return fmt.Sprintf("event %d has it already", reply.Seq)
	case reply.Seq > 0:
		return fmt.Sprintf("event %d of %s", reply.Seq, cmd.Submit.Conversation)
	}
	if len(s.changes.Scheduled) == 0 {
		return "nothing is done"
	}
	switch c := s.changes.Scheduled[0]; {
	case c.Removed:
		return "nobody is there to send it"
	case c.Scheduled.Reason != "":
		return "failed, " + c.Scheduled.Reason
	default:
		return "later, for " + showDue(c.Scheduled.DueMs)
	}
}

// schedule draws a message for later.
func (h *history) schedule(c tidemark.ConversationID) *core.Schedule {
	submit := h.submit("Message", c).(*core.Submit)
	if submit.Actor.User == "" || !h.bool("of class any") {
		submit.Actor = core.Actor{User: h.user()}
		submit.Message.Class = wire.MessageClass_NORMAL
	}
	return &core.Schedule{Submit: submit, AtMs: h.nowMs + uint64(rapid.IntRange(-1, 40*3600_000).Draw(h.t, "ahead"))}
}

// unschedule mostly names one that is there.
func (h *history) unschedule(c tidemark.ConversationID) *core.Unschedule {
	cmd := &core.Unschedule{Actor: h.actor(), Conversation: c, ClientID: h.clientID()}
	rows := h.memory.ScheduledRows()
	if len(rows) == 0 || rapid.IntRange(0, 9).Draw(h.t, "any") == 0 {
		return cmd
	}
	row := rapid.SampledFrom(rows).Draw(h.t, "scheduled")
	cmd.Actor, cmd.ClientID = core.Actor{User: h.memory.UserID(row.User)}, row.ClientID
	if row.Conversation == 0 {
		var peer tidemark.UserID
		peer, cmd.ClientID = core.PendingPeer(row.ClientID)
		cmd.Conversation = tidemark.Direct(cmd.Actor.User, peer)
		return cmd
	}
	for _, info := range h.memory.Conversations() {
		if info.Ordinal == row.Conversation {
			cmd.Conversation = info.ID
		}
	}
	return cmd
}

// whenDue is what the timer of a scheduled message does, due or not; sometimes one that was set anew meanwhile.
func (h *history) whenDue() *core.SubmitScheduled {
	var timers []record.Index
	for _, r := range h.memory.ScheduledRows() {
		timers = append(timers, record.Index{
			Kind: record.TimerIndex, Timer: record.SubmitTimer, DueMs: r.Scheduled.DueMs, Conversation: r.Conversation, User: r.User, ID: string(r.ClientID),
		})
	}
	if len(timers) == 0 {
		return &core.SubmitScheduled{Timer: record.Index{Kind: record.TimerIndex, Timer: record.SubmitTimer, DueMs: 1}, Submit: &core.Submit{}}
	}
	timer := rapid.SampledFrom(timers).Draw(h.t, "timer")
	if rapid.IntRange(0, 9).Draw(h.t, "set anew") == 0 {
		timer.DueMs++
	}
	cmd := h.memory.WhenDue(timer)
	if cmd.Submit.Message.GetForwarded() != nil {
		cmd.Submit.Forward = &core.Verdict{}
	}
	switch rapid.IntRange(0, 9).Draw(h.t, "elsewhere") {
	case 0:
		cmd.Gone = true
	case 1:
		cmd.Refused = tidemark.Refuse(tidemark.UnknownUser, "there is no such user")
	case 2:
		cmd.Submit.ContactsOnly = true
	case 3:
		cmd.Submit.Message = h.content()
	}
	return cmd
}

// readsNothing wants the unread messages of the sender of a scheduled message to be as many as before.
func (h *history) readsNothing(before *coretest.Memory, cmd core.Command) {
	due, ok := cmd.(*core.SubmitScheduled)
	if !ok || due.Timer.Conversation == 0 {
		return
	}
	c, u := due.Timer.Conversation, due.Timer.User
	if info, found := before.Conversation("lobby"); found && info.Ordinal == c {
		return // a room has no read marks
	}
	if was := before.Member(c, u); !was.Active() || was.ReadSeq < before.Head(c).Floor {
		return
	}
	if was, is := before.Unread(c, u), h.memory.Unread(c, u); is != was {
		h.t.Fatalf("%s had %d unread; with its message of earlier %d", h.memory.UserID(u), was, is)
	}
	if was, is := before.UnreadMentions(c, u), h.memory.UnreadMentions(c, u); is != was {
		h.t.Fatalf("%s had %d unread mentions; with its message of earlier %d", h.memory.UserID(u), was, is)
	}
}
