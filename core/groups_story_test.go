// SPDX-License-Identifier: Apache-2.0

// The words of scenarios about groups: roles, requests to join, silence, settings, and the end of a conversation.

package core_test

import (
	"fmt"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// groupCommand is a command about the life of a group; nil if the line is another.
func groupCommand(w words) core.Command {
	switch w.plain[0] {
	case "join":
		return &core.Join{Actor: w.actor(), Conversation: w.in(), Text: w.named["text"]}
	case "leave":
		return &core.Leave{Actor: w.actor(), Conversation: w.in()}
	case "answer":
		return &core.AnswerJoin{Actor: w.actor(), Conversation: w.in(), Users: w.users("users"), Accept: w.has("yes")}
	case "set-role":
		return &core.SetRole{Actor: w.actor(), Conversation: w.in(), Members: w.users("members"), Role: w.role("role")}
	case "transfer":
		return &core.Transfer{Actor: w.actor(), Conversation: w.in(), Member: tidemark.UserID(w.named["to"])}
	case "mute":
		return &core.Mute{
			Actor: w.actor(), Conversation: w.in(), Members: w.users("members"), ForMs: w.duration("for"), All: w.flag("all"),
		}
	case "dissolve":
		return &core.Dissolve{Actor: w.actor(), Conversation: w.in()}
	}
	return nil
}

func (w words) role(name string) record.Role {
	return record.Role(wire.Role_value[strings.ToUpper(w.named[name])])
}

// duration is that of "for=5m", ms; 0 without.
func (w words) duration(name string) uint64 {
	if w.named[name] == "" {
		return 0
	}
	d, err := time.ParseDuration(w.named[name])
	if err != nil {
		panic(err)
	}
	return uint64(d.Milliseconds())
}

// settings are those that are named, as a whole; nil if none is.
func (w words) settings() *wire.Settings {
	var s wire.Settings
	given := false
	for name, set := range map[string]func(value string){
		"join":             func(v string) { s.Join = wire.JoinPolicy(wire.JoinPolicy_value[strings.ToUpper(v)]) },
		"history":          func(v string) { s.HistoryFromStart = v == "start" },
		"who-posts":        func(string) { s.Post = wire.Role(w.role("who-posts")) },
		"who-invites":      func(string) { s.Invite = wire.Role(w.role("who-invites")) },
		"who-edits":        func(string) { s.Edit = wire.Role(w.role("who-edits")) },
		"who-pins":         func(string) { s.Pin = wire.Role(w.role("who-pins")) },
		"who-mentions-all": func(string) { s.MentionAll = wire.Role(w.role("who-mentions-all")) },
		"mute-all":         func(v string) { s.MuteAll = v == "yes" },
		"slow":             func(string) { s.SlowModeMs = uint32(w.duration("slow")) },
		"members-max":      func(string) { s.MembersMax = uint32(w.number("members-max")) },
	} {
		if value, named := w.named[name]; named {
			set(value)
			given = true
		}
	}
	if s.Retention = w.retention(); s.Retention == nil && !given {
		return nil
	}
	return &s
}

func showSettings(s *wire.Settings) string {
	text := "join by " + strings.TrimPrefix(strings.ToLower(s.GetJoin().String()), "join_")
	if s.HistoryFromStart {
		text += ", history from the start"
	}
	for _, right := range []struct {
		role wire.Role
		what string
	}{{s.Post, "post"}, {s.Invite, "invite"}, {s.Edit, "edit"}, {s.Pin, "pin"}, {s.MentionAll, "mention all"}} {
		if right.role != 0 {
			text += fmt.Sprintf(", %s %ss", strings.ToLower(right.role.String()), right.what)
		}
	}
	if s.MuteAll {
		text += ", all muted"
	}
	if s.SlowModeMs > 0 {
		text += fmt.Sprintf(", slow mode %d ms", s.SlowModeMs)
	}
	if s.MembersMax > 0 {
		text += fmt.Sprintf(", at most %d members", s.MembersMax)
	}
	return text
}

// standing is what the record of a conversation says besides its data: announcement, staff, requests, end.
func (s *story) standing(info *record.Info) string {
	text := ""
	if info.Announcement != "" {
		text += fmt.Sprintf("; announcement %q", info.Announcement)
	}
	if len(info.Staff) > 0 {
		var names []string
		for _, u := range info.Staff {
			names = append(names, string(s.memory.UserID(u)))
		}
		text += "; staff " + strings.Join(names, " ")
	}
	if info.Requests > 0 {
		text += fmt.Sprintf("; %d ask to join", info.Requests)
	}
	if info.DissolvedSeq > 0 {
		text += fmt.Sprintf("; dissolved by %d", info.DissolvedSeq)
	}
	return text
}

// requests prints who asks to join.
func (s *story) requests(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	var b strings.Builder
	for u := record.User(1); u <= s.memory.Partition().Users; u++ {
		if r := s.memory.JoinRequest(info.Ordinal, u); r != nil {
			fmt.Fprintf(&b, "%s since %s: %q\n", s.memory.UserID(u), clock(r.TimeMs), r.Text)
		}
	}
	return b.String() + fmt.Sprintf("%d ask to join", info.Requests)
}
