// SPDX-License-Identifier: Apache-2.0

// Random commands: mostly such as make sense, some that do not.

package core_test

import (
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"pgregory.net/rapid"
)

var commandKinds = []string{
	"Message", "Message", "Message", "Edit", "Edit", "Recall", "Reaction", "Reaction", "Pin", "Erase", "Read", "Read",
	"Create", "Update", "AddMembers", "RemoveMembers", "Join", "Join", "Leave", "SetRole", "Transfer", "Mute", "AnswerJoin", "AnswerJoin",
	"Dissolve", "Settings", "Import", "UpsertUser", "UpdateUser", "DeleteUser", "Depart",
	"SeeDevice", "ForgetDevice", "SaveCursor", "SetOptions", "SetOptions", "RevokeTokens", "RevokeTokens", "Contact", "Delete", "Clear", "Trim", "Trim",
	"Schedule", "Schedule", "Schedule", "Schedule", "Unschedule", "Unschedule", "SubmitScheduled", "SubmitScheduled",
	"SetAttributes", "SetAttributes", "SetAttributes", "DropAttributes",
}

func (h *history) command(kind string) core.Command {
	c := h.conversation()
	switch kind {
	case "Message", "Edit", "Recall", "Reaction", "Pin":
		return h.submit(kind, c)
	case "Erase":
		seq := h.message(c)
		return &core.Erase{Actor: h.actorOn(c, seq), Conversation: c, Seq: seq}
	case "Delete":
		return &core.Delete{User: h.user(), Conversation: c, Seqs: []tidemark.Seq{h.message(c), h.message(c)}}
	case "Clear":
		return &core.Clear{User: h.user(), Conversation: c, Seq: h.seq(c)}
	case "Read":
		return &core.Read{User: h.user(), Conversation: c, Seq: h.seq(c)}
	case "Create":
		h.numbers++
		return &core.Create{
			Actor: h.actor(), Conversation: tidemark.ConversationID(fmt.Sprint("c", h.numbers)),
			Kind:  record.Kind(rapid.IntRange(0, 4).Draw(h.t, "kind of conversation")),
			Title: h.text(), Custom: h.custom(), Settings: h.settings(), Members: h.users(),
		}
	case "Update":
		title := rapid.SampledFrom([]string{"", "one", "two"}).Draw(h.t, "title")
		return &core.Update{
			Actor: h.actor(), Conversation: c, Title: &title, Custom: h.custom(), Settings: h.settings(), Announcement: &title,
		}
	case "AddMembers":
		return &core.AddMembers{
			Actor: h.actor(), Conversation: c, Members: h.users(),
			Role: record.Role(rapid.IntRange(0, 4).Draw(h.t, "role")),
		}
	case "RemoveMembers":
		if h.bool("from the lobby") { // where one may be without being a member
			return &core.RemoveMembers{Actor: core.Actor{App: true}, Conversation: "lobby", Members: []tidemark.UserID{h.user()}}
		}
		return &core.RemoveMembers{Actor: h.actor(), Conversation: c, Members: h.users()}
	case "Join", "Leave", "SetRole", "Transfer", "Mute", "AnswerJoin", "Dissolve":
		return h.groupCommand(kind, c)
	case "Settings":
		pinned, hidden, alias := h.bool("pinned"), h.bool("hidden"), h.text()
		cmd := &core.Settings{User: h.user(), Conversation: c, Pinned: &pinned, Hidden: &hidden, Alias: &alias}
		if h.bool("draft") {
			cmd.Draft = &wire.Draft{Text: h.text(), ReplyTo: uint64(h.seq(c))}
		}
		return cmd
	case "Import":
		return &core.Import{Conversation: c, Entries: h.entries()}
	case "SetOptions", "RevokeTokens":
		return h.accountCommand(kind)
	case "Contact":
		return &core.Contact{
			User: h.user(), Peer: h.user(), Action: core.ContactAction(rapid.IntRange(0, 8).Draw(h.t, "action")), Text: h.text(),
			Pending: rapid.IntRange(0, 1000).Draw(h.t, "pending"),
		}
	case "Trim":
		return h.trim(c)
	case "Schedule":
		return h.schedule(c)
	case "Unschedule":
		return h.unschedule(c)
	case "SubmitScheduled":
		return h.whenDue()
	case "SetAttributes", "DropAttributes":
		return h.attributes(kind, c)
	case "Depart":
		return &core.Depart{User: h.user(), Conversation: c}
	}
	return h.homeCommand(kind)
}

// groupCommand is one of the life of a group. A conversation that most others are about is not dissolved.
func (h *history) groupCommand(kind string, c tidemark.ConversationID) core.Command {
	if (kind == "Join" || kind == "AnswerJoin" || kind == "Leave") && h.bool("in the club") {
		c = "club" // where one asks to join
	}
	if kind == "Mute" && h.bool("in the lobby") { // where one may be silenced without being a member
		return &core.Mute{Actor: core.Actor{App: true}, Conversation: "lobby", Members: []tidemark.UserID{h.user()}, ForMs: uint64(rapid.IntRange(0, 60_000).Draw(h.t, "for"))}
	}
	switch kind {
	case "Join":
		return &core.Join{Actor: h.actor(), Conversation: c, Text: h.text()}
	case "Leave":
		return &core.Leave{Actor: h.actor(), Conversation: c}
	case "SetRole":
		actor := h.actor()
		if h.bool("by the owner of the team") {
			actor, c = core.Actor{User: "alice"}, "team"
		}
		return &core.SetRole{
			Actor: actor, Conversation: c, Members: h.users(), Role: record.Role(rapid.IntRange(0, 4).Draw(h.t, "role")),
		}
	case "Transfer":
		return &core.Transfer{Actor: h.actor(), Conversation: c, Member: h.user()}
	case "AnswerJoin":
		actor := h.actor()
		if h.bool("by the owner") {
			actor = core.Actor{User: "alice"}
		}
		return &core.AnswerJoin{
			Actor: actor, Conversation: c, Users: append(h.users(), h.waiting(c)...), Accept: h.bool("accept"),
		}
	case "Dissolve":
		if c == "team" || c == "club" {
			c = "news"
		}
		return &core.Dissolve{Actor: h.actor(), Conversation: c}
	}
	if h.bool("mute all") {
		all := h.bool("all")
		return &core.Mute{Actor: h.actor(), Conversation: c, All: &all}
	}
	return &core.Mute{
		Actor: h.actor(), Conversation: c, Members: h.users(), ForMs: uint64(rapid.IntRange(0, 60_000).Draw(h.t, "for")),
	}
}

// waiting is the first of those who ask to join a conversation.
func (h *history) waiting(c tidemark.ConversationID) []tidemark.UserID {
	info, ok := h.memory.Conversation(c)
	if !ok {
		return nil
	}
	for u := record.User(1); u <= h.memory.Partition().Users; u++ {
		if h.memory.JoinRequest(info.Ordinal, u) != nil {
			return []tidemark.UserID{h.memory.UserID(u)}
		}
	}
	return nil
}

func (h *history) homeCommand(kind string) core.Command {
	device := rapid.SampledFrom([]tidemark.DeviceID{"phone", "tablet"}).Draw(h.t, "device")
	switch kind {
	case "UpsertUser":
		return &core.UpsertUser{User: h.user(), Nickname: h.text(), Custom: h.custom(), Anew: h.bool("anew")}
	case "UpdateUser":
		avatar := h.text()
		return &core.UpdateUser{User: h.user(), Avatar: &avatar, Custom: h.custom()}
	case "SeeDevice":
		return &core.SeeDevice{User: h.user(), Device: device, Platform: "web"}
	case "DeleteUser":
		return &core.DeleteUser{User: h.user()}
	case "ForgetDevice":
		return &core.ForgetDevice{User: h.user(), Device: device}
	}
	return &core.SaveCursor{
		User: h.user(), Device: device, Forget: h.bool("forget"),
		Position: tidemark.Position(rapid.IntRange(0, 50).Draw(h.t, "position")),
	}
}

func (h *history) submit(kind string, c tidemark.ConversationID) core.Command {
	seq := h.message(c)
	cmd := &core.Submit{Actor: h.actorOn(c, seq), Conversation: c, ClientID: h.clientID()}
	switch target := uint64(seq); kind {
	case "Message":
		cmd.Actor, cmd.Message = h.actor(), h.content()
		switch rapid.IntRange(0, 5).Draw(h.t, "reference") {
		case 0:
			cmd.Message.ReplyTo = target
		case 1, 2:
			cmd.Message.Thread = target
		case 3:
			cmd.Message.Forwarded = &wire.Forwarded{Conversation: "team", Seq: target}
			cmd.Forward = &core.Verdict{}
		}
	case "Edit":
		cmd.Edit = &wire.Edit{Seq: target, Message: h.content()}
	case "Recall":
		cmd.Recall = &wire.Recall{Seq: target}
	case "Reaction":
		key := rapid.SampledFrom([]string{"+1", "heart", "a"}).Draw(h.t, "key")
		cmd.Reaction = &wire.Reaction{Seq: target, Key: key, Removed: h.bool("removed")}
	case "Pin":
		cmd.Pin = &wire.Pin{Seq: target, Removed: h.bool("removed")}
	}
	return cmd
}

// message is the seq of a message in the conversation, if there is one, and sometimes of something else.
func (h *history) message(c tidemark.ConversationID) tidemark.Seq {
	var seqs []tidemark.Seq
	if info, ok := h.memory.Conversation(c); ok {
		for _, e := range h.memory.Events(info.Ordinal) {
			if e.Kind == record.MessageBody {
				seqs = append(seqs, e.Seq)
			}
		}
	}
	if len(seqs) == 0 || rapid.IntRange(0, 9).Draw(h.t, "any event") == 0 {
		return h.seq(c)
	}
	last := seqs[max(0, len(seqs)-5):]
	return rapid.SampledFrom(last).Draw(h.t, "target")
}

// actorOn is often the sender of an event, because others may do little to it.
func (h *history) actorOn(c tidemark.ConversationID, seq tidemark.Seq) core.Actor {
	if info, ok := h.memory.Conversation(c); ok && h.bool("own") {
		if e, ok := h.memory.Event(info.Ordinal, seq); ok && e.SenderID != tidemark.SystemUser {
			return core.Actor{User: e.SenderID}
		}
	}
	return h.actor()
}

func (h *history) content() *wire.Message {
	h.numbers++
	m := &wire.Message{
		Type: "text", Text: fmt.Sprintf("<text %d>", h.numbers), MentionAll: rapid.IntRange(0, 5).Draw(h.t, "all") == 0,
		Class: wire.MessageClass(max(0, rapid.IntRange(-5, 3).Draw(h.t, "class"))),
	}
	for _, user := range h.users() {
		m.Mentions = append(m.Mentions, string(user))
	}
	return m
}

func (h *history) entries() []*wire.ImportEntry {
	var entries []*wire.ImportEntry
	for range rapid.IntRange(0, 4).Draw(h.t, "entries") {
		entry := &wire.ImportEntry{
			TimeMs:   h.nowMs - uint64(rapid.IntRange(0, 10*3600_000).Draw(h.t, "ago")),
			ClientId: string(h.clientID()), User: string(h.user()),
		}
		switch rapid.IntRange(0, 3).Draw(h.t, "entry") {
		case 0:
			entry.Entry = &wire.ImportEntry_Join{Join: true}
		case 1:
			entry.Entry = &wire.ImportEntry_Leave{Leave: true}
		default:
			m := h.content()
			m.Class = 0
			entry.Entry = &wire.ImportEntry_Message{Message: m}
		}
		entries = append(entries, entry)
	}
	return entries
}

// clientID is mostly new, sometimes one that is in use.
func (h *history) clientID() tidemark.ClientID {
	h.numbers++
	n := h.numbers
	if rapid.IntRange(0, 9).Draw(h.t, "old client id") == 0 {
		n = rapid.IntRange(1, n).Draw(h.t, "client id")
	}
	return tidemark.ClientID(fmt.Sprint("id", n))
}

func (h *history) conversation() tidemark.ConversationID {
	return rapid.SampledFrom([]tidemark.ConversationID{
		"team", "team", "team", "team", "news", "news", "club", "lobby", "lobby", "alice~bob", "bob~carol", "alice~system", "nowhere",
	}).Draw(h.t, "conversation")
}

// seq is one of the conversation's last events, or one that is not there.
func (h *history) seq(c tidemark.ConversationID) tidemark.Seq {
	head := tidemark.Seq(0)
	if info, ok := h.memory.Conversation(c); ok {
		head = h.memory.Head(info.Ordinal).Seq
	}
	back := tidemark.Seq(rapid.IntRange(0, 12).Draw(h.t, "back from the head"))
	if back > head {
		return head + back
	}
	return head - back
}

func (h *history) user() tidemark.UserID {
	return rapid.SampledFrom([]tidemark.UserID{"alice", "bob", "carol", "dora", "eve", "frank"}).Draw(h.t, "user")
}

func (h *history) users() []tidemark.UserID {
	users := make([]tidemark.UserID, rapid.IntRange(0, 3).Draw(h.t, "users"))
	for i := range users {
		users[i] = h.user()
	}
	return users
}

func (h *history) actor() core.Actor {
	switch rapid.IntRange(0, 6).Draw(h.t, "actor") {
	case 0:
		return core.Actor{App: true}
	case 1:
		return core.Actor{App: true, User: h.user()}
	}
	return core.Actor{User: h.user()}
}

func (h *history) settings() *wire.Settings {
	if h.bool("no settings") {
		return nil
	}
	role := func(name string) wire.Role { return wire.Role(max(0, rapid.IntRange(-3, 3).Draw(h.t, name))) }
	return &wire.Settings{
		Join: wire.JoinPolicy(rapid.IntRange(0, 3).Draw(h.t, "join")), HistoryFromStart: h.bool("history"),
		Post: role("post"), Invite: role("invite"), Edit: role("edit"), Pin: role("pin"), MentionAll: role("mention all"),
		MuteAll:    rapid.IntRange(0, 7).Draw(h.t, "mute all") == 0,
		SlowModeMs: uint32(max(0, rapid.IntRange(-5000, 5000).Draw(h.t, "slow mode"))),
		MembersMax: uint32(rapid.IntRange(0, 5).Draw(h.t, "members max")), Retention: h.retention(),
	}
}

func (h *history) custom() map[string]string {
	custom := make(map[string]string)
	for range rapid.IntRange(0, 3).Draw(h.t, "custom") {
		key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(h.t, "custom key")
		custom[key] = rapid.SampledFrom([]string{"", "x", "y"}).Draw(h.t, "custom value")
	}
	return custom
}

func (h *history) text() string {
	return rapid.SampledFrom([]string{"", "one", "two", "größer", "三"}).Draw(h.t, "text")
}

func (h *history) bool(what string) bool { return rapid.Bool().Draw(h.t, what) }
