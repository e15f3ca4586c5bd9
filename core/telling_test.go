// SPDX-License-Identifier: Apache-2.0

// What a scenario prints: replies, what was written, and answers to questions about the state.

package core_test

import (
	"fmt"
	"sort"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// tell runs a block of a scenario and says what came of it.
func (s *story) tell(lines []string) string {
	w := parse(lines)
	if cmd := s.command(w); cmd != nil {
		var reply core.Reply
		reply, s.changes = s.memory.Do(cmd, s.env())
		return s.reply(w, reply)
	}
	switch w.plain[0] {
	case "enters", "exits":
		return s.enters(w, w.plain[0] == "enters")
	case "attributes":
		return s.attributes(w)
	case "later":
		return s.later(w)
	case "limits":
		return s.setLimits(w)
	case "written":
		return s.written()
	case "log":
		return s.log(w)
	case "members":
		return s.memberList(w)
	case "info":
		return s.info(w)
	case "current":
		return s.current(w)
	case "hours":
		return s.hours(w)
	case "unread":
		return s.unread(w)
	case "profile":
		return s.profile(w)
	case "contacts":
		return s.contacts(w)
	case "requests":
		return s.requests(w)
	case "thread":
		return s.thread(w)
	case "pins":
		return s.pins(w)
	case "reactions":
		return s.reactions(w)
	case "chatter":
		return s.chatter(w)
	case "timers":
		return s.timers()
	case "tick":
		return s.tick(w)
	case "schedule":
		return s.schedule(w)
	case "unschedule":
		return s.unschedule(w)
	case "scheduled":
		return s.scheduled()
	case "floor":
		return s.floor(w)
	case "kept":
		return s.kept(w)
	case "account":
		return s.account(w)
	case "devices":
		return s.devices(w)
	}
	return "unknown command " + w.plain[0]
}

// later moves the clock: "later 5s", and backwards "later -1h".
func (s *story) later(w words) string {
	d, err := time.ParseDuration(w.plain[1])
	if err != nil {
		return err.Error()
	}
	s.now = s.now.Add(d)
	return "it is " + s.now.Format("2006-01-02 15:04:05.000")
}

func (s *story) setLimits(w words) string {
	for name, field := range map[string]*uint32{
		"members": &s.limits.MembersMax, "body": &s.limits.BodyBytesMax, "mentions": &s.limits.MentionsMax,
		"title": &s.limits.TitleBytesMax, "custom": &s.limits.CustomBytesMax, "devices": &s.limits.DevicesMax,
		"conversations": &s.limits.ConversationsMax, "edits": &s.limits.EditsMax, "frame": &s.limits.FrameBytesMax,
		"reaction-keys": &s.limits.ReactionKeysMax, "reactions": &s.limits.ReactionsMax,
		"contact-requests": &s.limits.ContactRequestsMax,
	} {
		if n := w.number(name); n > 0 {
			*field = uint32(n)
		}
	}
	return "ok"
}

func clock(ms uint64) string { return time.UnixMilli(int64(ms)).UTC().Format("15:04:05.000") }

func (s *story) reply(w words, r core.Reply) string {
	switch {
	case r.Err != nil:
		return "refused, " + r.Err.Error()
	case r.Transient:
		return "transient: deliver it, store nothing"
	case w.plain[0] == "import":
		return fmt.Sprintf("%d appended, %d skipped, head %d", r.Appended, r.Skipped, r.Seq)
	case contactWords[w.plain[0]] != 0:
		return showContact(r.Member, r.Seq) + s.nothing()
	case r.Member != nil:
		return fmt.Sprintf("read up to %d%s", r.ReadSeq, s.nothing())
	case r.Profile != nil:
		return s.showProfile(r.Profile) + s.nothing()
	case r.Requested:
		return "asked" + s.nothing()
	case r.UntilMs > 0:
		return "muted until " + clock(r.UntilMs) + s.nothing()
	case len(r.Replaced) > 0:
		return fmt.Sprintf("done, in place of %s", r.Replaced)
	case w.plain[0] == "depart" && r.Seq > 0:
		return fmt.Sprintf("left by event %d", r.Seq)
	case r.Seq == 0:
		return "done" + s.nothing()
	}
	if r.Duplicate && r.Position == 0 {
		return fmt.Sprintf("event %d, long ago%s", r.Seq, s.nothing())
	}
	line := fmt.Sprintf("event %d at %s, position %d, counted %d, digest %.6s…",
		r.Seq, clock(r.TimeMs), r.Position, r.Counted, r.Digest)
	switch {
	case r.Duplicate:
		line += ", stored by an earlier command"
	case r.Created:
		line += ", conversation created"
	}
	return line + s.nothing()
}

func (s *story) nothing() string {
	if s.changes.Empty() {
		return " (nothing written)"
	}
	return ""
}

// written lists what the last command wrote.
func (s *story) written() string {
	var b strings.Builder
	c := s.changes
	for _, u := range c.Users {
		fmt.Fprintf(&b, "user %s has ordinal %d\n", u.ID, u.Ordinal)
	}
	for _, info := range c.Infos {
		fmt.Fprintf(&b, "info of %s\n", info.ID)
	}
	for _, e := range c.Events {
		verb := "event"
		if e.Rewrite {
			verb = "rewritten: event"
		}
		fmt.Fprintf(&b, "%s %d, id %s\n", verb, e.Event.Seq, showID(e.Event.ID))
	}
	for _, id := range c.ClientIDs {
		fmt.Fprintf(&b, "client id %s of %s made event %d\n", id.ClientID, s.memory.UserID(id.User), id.Seq)
	}
	for _, m := range c.Members {
		quiet := ""
		if m.Quiet {
			quiet = ", quietly"
		}
		fmt.Fprintf(&b, "member %s: read up to %d%s\n", s.memory.UserID(m.User), m.Member.ReadSeq, quiet)
	}
	for _, m := range c.Mentions {
		verb := "mentions"
		if m.Removed {
			verb = "no longer mentions"
		}
		fmt.Fprintf(&b, "event %d %s %s\n", m.Seq, verb, s.mentioned(m.User))
	}
	for _, i := range c.Indexes {
		if i.Index.Kind != record.ThreadIndex && i.Index.Kind != record.ReactionIndex {
			continue
		}
		verb := "in"
		if i.Removed {
			verb = "out of"
		}
		fmt.Fprintf(&b, "%s %s\n", verb, s.showIndex(i.Index))
	}
	for _, p := range c.Privates {
		fmt.Fprintf(&b, "what %s keeps for itself\n", s.memory.UserID(p.User))
	}
	for _, r := range c.Currents {
		fmt.Fprintf(&b, "current form of event %d\n", r.Seq)
	}
	for _, r := range c.Recalls {
		fmt.Fprintf(&b, "event %d, the %d. that counted, counts no more\n", r.Seq, r.Counted)
	}
	for _, h := range c.Heads {
		fmt.Fprintf(&b, "head %d, %d counted, %d of them recalled, %d members, digest %.6s…\n",
			h.Head.Seq, h.Head.Counted, h.Head.Recalled, h.Head.Members, h.Head.Digest)
	}
	for _, h := range c.Hours {
		fmt.Fprintf(&b, "hour %s: %d events from %d\n", showHour(h.Hour.Hour), h.Hour.Count, h.Hour.First)
	}
	if b.Len() == 0 {
		return "nothing"
	}
	fmt.Fprintf(&b, "partition at position %d", c.Partition.Position)
	return b.String()
}

func (s *story) mentioned(u record.User) string {
	if u == 0 {
		return "everybody"
	}
	return string(s.memory.UserID(u))
}

func showID(id tidemark.EventID) string {
	return fmt.Sprintf("%s/%d/%d", clock(id.TimeMs()), id.Partition(), id&(1<<14-1))
}

func showHour(hour uint32) string {
	return time.Unix(int64(hour)*3600, 0).UTC().Format("2006-01-02 15h")
}

// log prints a conversation's log as it is stored.
func (s *story) log(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	var b strings.Builder
	for _, e := range s.memory.Events(info.Ordinal) {
		if uint64(e.Seq) < w.number("from") {
			continue
		}
		fmt.Fprintf(&b, "%d %s %s", e.Seq, clock(e.TimeMs), e.SenderID)
		if w.has("ids") {
			fmt.Fprintf(&b, " %s", showID(e.ID))
		}
		if e.IsCounted {
			fmt.Fprintf(&b, " (%d)", e.Counted)
		}
		fmt.Fprintf(&b, " %s\n", showBody(e))
	}
	return b.String()
}

func showBody(e *record.Event) string {
	if e.Erased {
		return fmt.Sprintf("[erased, hash %.6s…]", e.BodyHash)
	}
	var body wire.Body
	if err := body.UnmarshalVT(e.Body); err != nil {
		return err.Error()
	}
	switch b := body.Body.(type) {
	case *wire.Body_Message:
		return showMessage(b.Message)
	case *wire.Body_Edit:
		return fmt.Sprintf("edits %d: %s", b.Edit.Seq, showMessage(b.Edit.Message))
	case *wire.Body_Recall:
		return strings.TrimSpace(fmt.Sprintf("recalls %d %s", b.Recall.Seq, b.Recall.Reason))
	case *wire.Body_Reaction:
		return fmt.Sprintf("reacts to %d with %s%s", b.Reaction.Seq, b.Reaction.Key, noMore(b.Reaction.Removed))
	case *wire.Body_Pin:
		return fmt.Sprintf("pins %d%s", b.Pin.Seq, noMore(b.Pin.Removed))
	case *wire.Body_Erased:
		return fmt.Sprintf("erases %d", b.Erased.Seq)
	case *wire.Body_Members:
		return showMembers(b.Members)
	case *wire.Body_Info:
		return "changes " + showInfo(b.Info) + showAttributes(b.Info.Attributes)
	}
	return "no body"
}

func noMore(removed bool) string {
	if removed {
		return " no more"
	}
	return ""
}

func showMessage(m *wire.Message) string {
	text := fmt.Sprintf("%q", m.Text)
	if len(m.Mentions) > 0 {
		text += " to @" + strings.Join(m.Mentions, " @")
	}
	if m.MentionAll {
		text += " to @everybody"
	}
	if m.ReplyTo > 0 {
		text += fmt.Sprintf(" in reply to %d", m.ReplyTo)
	}
	if m.Thread > 0 {
		text += fmt.Sprintf(" in the thread of %d", m.Thread)
	}
	if f := m.Forwarded; f != nil {
		text += fmt.Sprintf(" as %s wrote it in %s at %d", f.Sender, f.Conversation, f.Seq)
	}
	if m.Class == wire.MessageClass_SILENT {
		text += " silently"
	}
	return text
}

func showMembers(m *wire.Members) string {
	var parts []string
	if m.Created != nil {
		parts = append(parts, "creates "+showInfo(m.Created))
	}
	if len(m.Added) > 0 {
		parts = append(parts, "adds "+strings.Join(m.Added, " "))
	}
	if len(m.Removed) > 0 {
		parts = append(parts, "removes "+strings.Join(m.Removed, " "))
	}
	var roles []string
	for user, role := range m.Roles {
		roles = append(roles, user+" is "+strings.ToLower(role.String()))
	}
	sort.Strings(roles)
	if parts = append(parts, roles...); len(parts) == 0 {
		return "changes no member"
	}
	return strings.Join(parts, ", ")
}

func showInfo(info *wire.Info) string {
	var parts []string
	if info.Kind != 0 {
		parts = append(parts, "a "+strings.ToLower(info.Kind.String()))
	}
	if info.Title != nil {
		parts = append(parts, fmt.Sprintf("title %q", *info.Title))
	}
	if info.Avatar != nil {
		parts = append(parts, fmt.Sprintf("avatar %q", *info.Avatar))
	}
	if len(info.Custom) > 0 {
		parts = append(parts, fmt.Sprintf("custom %v", info.Custom))
	}
	if info.Announcement != nil {
		parts = append(parts, fmt.Sprintf("announcement %q", *info.Announcement))
	}
	if info.Dissolved {
		parts = append(parts, "dissolved")
	}
	if info.Settings != nil {
		parts = append(parts, showSettings(info.Settings))
	}
	return strings.Join(parts, ", ")
}
