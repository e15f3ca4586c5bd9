// SPDX-License-Identifier: Apache-2.0

// The questions of scenarios: what the state says now.

package core_test

import (
	"fmt"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

func (s *story) memberList(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	var b strings.Builder
	head := s.memory.Head(info.Ordinal)
	for _, u := range s.memory.Members(info.Ordinal) {
		m := s.memory.Member(info.Ordinal, u)
		fmt.Fprintf(&b, "%s: %s since %d, sees from %d, read up to %d", s.memory.UserID(u), m.Role, m.JoinedSeq,
			m.VisibleFrom, m.ReadSeq)
		for name, on := range []bool{m.Pinned, m.Muted, m.HiddenAt(head.Seq), m.MarkedUnread} {
			if on {
				fmt.Fprintf(&b, ", %s", [...]string{"pinned", "muted", "hidden", "marked unread"}[name])
			}
		}
		if m.SilencedUntilMs > 0 {
			fmt.Fprintf(&b, ", silenced until %s", clock(m.SilencedUntilMs))
		}
		if m.Alias != "" {
			fmt.Fprintf(&b, ", calls it %q", m.Alias)
		}
		if m.LeftSeq > 0 {
			fmt.Fprintf(&b, ", gone since %d", m.LeftSeq)
		}
		fmt.Fprintf(&b, " (position %d)\n", m.Position)
	}
	fmt.Fprintf(&b, "%d members", head.Members)
	return b.String()
}

func (s *story) info(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	return fmt.Sprintf("%s %q, avatar %q, custom %v, %s; data of position %d, members of %d%s",
		strings.ToLower(wire.Kind(info.Kind).String()), info.Title, info.Avatar, info.Custom,
		showSettings(core.WireSettings(info.Settings)), info.InfoPosition, info.MembersPosition, s.standing(info))
}

// current prints the current form of one event.
func (s *story) current(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	c := s.memory.Current(info.Ordinal, tidemark.Seq(w.number("seq")))
	if c == nil {
		return "as written"
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if c.EditSeq > 0 {
		add("edited by %d", c.Edits)
	}
	if c.Edited != nil {
		add("shows %s", showBody(&record.Event{Body: c.Edited}))
	}
	if c.RecallSeq > 0 {
		add("recalled by %d", c.RecallSeq)
	}
	if c.EraseSeq > 0 {
		add("erased by %d", c.EraseSeq)
	}
	if c.PinSeq > 0 {
		add("pinned by %d", c.PinSeq)
	}
	if c.ThreadSeq > 0 {
		add("%d answers, the last written is %d", c.ThreadCount, c.ThreadSeq)
	}
	for _, r := range c.Reactions {
		var users []string
		for _, u := range r.Users {
			users = append(users, string(s.memory.UserID(u)))
		}
		line := fmt.Sprintf("%s of %s", r.Key, strings.Join(users, " "))
		if more := int(r.Count) - len(users); more > 0 {
			line += fmt.Sprintf(" and %d more", more)
		}
		add("%s", line)
	}
	if len(parts) == 0 {
		return "as written"
	}
	return strings.Join(parts, "; ")
}

func (s *story) hours(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	var b strings.Builder
	for _, h := range s.memory.Hours(info.Ordinal) {
		fmt.Fprintf(&b, "%s: %d events from %d, digest %.6s…\n", showHour(h.Hour), h.Count, h.First, h.Digest)
	}
	return b.String()
}

// unread prints what each member has not read, and how much of it mentions them.
func (s *story) unread(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	var parts []string
	for _, u := range s.memory.Members(info.Ordinal) {
		if !s.memory.Member(info.Ordinal, u).Active() {
			continue
		}
		text := fmt.Sprintf("%s %d", s.memory.UserID(u), s.memory.Unread(info.Ordinal, u))
		if n := s.memory.UnreadMentions(info.Ordinal, u); n > 0 {
			text += fmt.Sprintf(" (%d to them)", n)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func (s *story) profile(w words) string {
	p, ok := s.memory.Profile(w.user())
	if !ok {
		return "no such user"
	}
	return s.showProfile(p)
}

func (s *story) showProfile(p *record.Profile) string {
	text := fmt.Sprintf("%s: nickname %q (position %d), avatar %q (%d), custom %v (%d)",
		p.ID, p.Nickname, p.NicknamePosition, p.Avatar, p.AvatarPosition, p.Custom, p.CustomPosition)
	if p.DeletedPosition > 0 {
		text += fmt.Sprintf(", deleted (%d)", p.DeletedPosition)
	}
	return text
}
