// SPDX-License-Identifier: Apache-2.0

// The words of scenarios about threads, pins, forwarding, reactions and what members keep for themselves.

package core_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// forwarded is what "forward=team/2" says, and the verdict on it. Sender and time are the source's, but for "by=" and
// "at=".
func (s *story) forwarded(w words, m *wire.Message) (*wire.Forwarded, *core.Verdict) {
	id, number, _ := strings.Cut(w.named["forward"], "/")
	seq, _ := strconv.ParseUint(number, 10, 64)
	m.Forwarded = &wire.Forwarded{Conversation: id, Seq: seq}
	source := s.seenBy(w.user(), tidemark.ConversationID(id), tidemark.Seq(seq))
	if source != nil {
		m.Forwarded.Sender, m.Forwarded.TimeMs = source.Sender, source.TimeMs
	}
	if by := w.text("by"); by != nil {
		m.Forwarded.Sender = *by
	}
	return m.Forwarded, &core.Verdict{Refused: core.JudgeForward(m, source)}
}

// seenBy is an event as a user sees it; nil if it does not.
func (s *story) seenBy(user tidemark.UserID, id tidemark.ConversationID, seq tidemark.Seq) *wire.Event {
	info, ok := s.memory.Conversation(id)
	if !ok {
		return nil
	}
	u, _ := s.memory.User(user)
	m := s.memory.Member(info.Ordinal, u)
	e, there := s.memory.Event(info.Ordinal, seq)
	if !there || !m.Active() || seq < m.VisibleFrom {
		return nil
	}
	w := &wire.Event{Seq: uint64(seq), Sender: string(e.SenderID), TimeMs: e.TimeMs, Body: e.Body}
	if c := s.memory.Current(info.Ordinal, seq); c != nil && (c.RecallSeq > 0 || c.EraseSeq > 0) {
		w.Body = nil
	} else if c != nil && c.Edited != nil {
		w.Body = c.Edited
	}
	w.Hidden = s.memory.Private(info.Ordinal, u).Deletes(seq)
	return w
}

func (s *story) showIndex(i record.Index) string {
	switch i.Kind {
	case record.ThreadIndex:
		return fmt.Sprintf("the thread of %d: event %d", i.Root, i.Seq)
	case record.ReactionIndex:
		if i.ID == "" {
			return fmt.Sprintf("the reactions to %d: all", i.Seq)
		}
		return fmt.Sprintf("the reactions to %d: %s of %s", i.Seq, i.ID, s.memory.UserID(i.User))
	}
	return fmt.Sprintf("index %d", i.Kind)
}

// thread prints the answers in the thread of "root=".
func (s *story) thread(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	var seqs []tidemark.Seq
	for _, i := range s.memory.Indexes(record.ThreadIndex) {
		if i.Conversation == info.Ordinal && uint64(i.Root) == w.number("root") {
			seqs = append(seqs, i.Seq)
		}
	}
	slices.Sort(seqs)
	return fmt.Sprint("answers ", seqs)
}

// pins prints the pinned messages in the order of pinning.
func (s *story) pins(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	return fmt.Sprint("pinned ", info.Pins)
}

// reactions prints who reacted to an event.
func (s *story) reactions(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	var lines []string
	for _, i := range s.memory.Indexes(record.ReactionIndex) {
		if i.Conversation == info.Ordinal && uint64(i.Seq) == w.number("seq") {
			lines = append(lines, fmt.Sprintf("%s of %s", i.ID, s.memory.UserID(i.User)))
		}
	}
	if len(lines) == 0 {
		return "none"
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// kept prints what a member keeps for itself.
func (s *story) kept(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	u, _ := s.memory.User(w.user())
	p := s.memory.Private(info.Ordinal, u)
	if p == nil {
		return "nothing"
	}
	text := fmt.Sprint("deleted ", p.Deleted)
	if p.DraftMs > 0 {
		text += fmt.Sprintf(", draft %q of %s", p.Draft, clock(p.DraftMs))
	}
	if p.DraftReplyTo > 0 {
		text += fmt.Sprintf(" in reply to %d", p.DraftReplyTo)
	}
	return text + fmt.Sprintf(" (position %d)", s.memory.Member(info.Ordinal, u).PrivatePosition)
}
