// SPDX-License-Identifier: Apache-2.0

// The words of scenarios: each does one thing to a partition in memory and says what came of it.

package core_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// story is the world of one scenario.
type story struct {
	memory  *coretest.Memory
	limits  tidemark.Limits
	now     time.Time
	salts   uint64
	changes *record.Changes // what the last command wrote
}

func newStory() *story {
	return &story{
		memory:  coretest.New(),
		limits:  tidemark.DefaultLimits(),
		now:     time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
		changes: new(record.Changes),
	}
}

// env is the next evaluation's: salts are a function of how many there were before.
func (s *story) env() core.Env {
	s.salts++
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, s.salts))
	return core.Env{
		NowMs: uint64(s.now.UnixMilli()), Salt: [8]byte(sum[:8]), Partition: 3, Limits: &s.limits,
	}
}

// words are the arguments of a command: those with "=" by name, the others in order.
type words struct {
	plain []string
	named map[string]string
	input []string // further lines
}

func parse(lines []string) words {
	w := words{named: make(map[string]string), input: lines[1:]}
	rest := lines[0]
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		end := strings.IndexByte(rest, ' ')
		name, value, isNamed := strings.Cut(rest, "=")
		isNamed = isNamed && (end < 0 || len(name) < end)
		if isNamed && strings.HasPrefix(value, `"`) {
			quoted, err := strconv.QuotedPrefix(value)
			if err != nil {
				panic(fmt.Sprintf("scenario: %s: %v", lines[0], err))
			}
			w.named[name], _ = strconv.Unquote(quoted)
			rest = value[len(quoted):]
			continue
		}
		word := rest
		if end >= 0 {
			word = rest[:end]
		}
		rest = rest[len(word):]
		if isNamed {
			w.named[name] = word[len(name)+1:]
		} else {
			w.plain = append(w.plain, word)
		}
	}
	return w
}

func (w words) user() tidemark.UserID { return tidemark.UserID(w.plain[1]) }

func (w words) in() tidemark.ConversationID { return tidemark.ConversationID(w.named["in"]) }

func (w words) has(word string) bool {
	for _, p := range w.plain {
		if p == word {
			return true
		}
	}
	return false
}

func (w words) number(name string) uint64 {
	n, err := strconv.ParseUint(w.named[name], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (w words) list(name string) []string {
	if w.named[name] == "" {
		return nil
	}
	return strings.Split(w.named[name], ",")
}

func (w words) users(name string) []tidemark.UserID {
	var users []tidemark.UserID
	for _, user := range w.list(name) {
		users = append(users, tidemark.UserID(user))
	}
	return users
}

func (w words) text(name string) *string {
	if value, given := w.named[name]; given {
		return &value
	}
	return nil
}

func (w words) flag(name string) *bool {
	if value, given := w.named[name]; given {
		b := value == "yes"
		return &b
	}
	return nil
}

// pairs is a custom map written "key:value,key:value".
func (w words) pairs(name string) map[string]string {
	var m map[string]string
	for _, pair := range w.list(name) {
		if m == nil {
			m = make(map[string]string)
		}
		key, value, _ := strings.Cut(pair, ":")
		m[key] = value
	}
	return m
}

// actor is the user named, or "app" for the back end in its own name, or "app+alice" for the back end as alice.
func (w words) actor() core.Actor {
	if name, forUser := strings.CutPrefix(string(w.user()), "app"); forUser && (name == "" || name[0] == '+') {
		return core.Actor{App: true, User: tidemark.UserID(strings.TrimPrefix(name, "+"))}
	}
	return core.Actor{User: w.user()}
}

func (w words) message() *wire.Message {
	kind, given := w.named["type"]
	if !given {
		kind = "text"
	}
	m := &wire.Message{
		Type: kind, Text: w.named["text"], Mentions: w.list("mentions"), MentionAll: w.has("all"),
		ReplyTo: w.number("reply"), Thread: w.number("thread"),
	}
	switch {
	case w.has("silent"):
		m.Class = wire.MessageClass_SILENT
	case w.has("transient"):
		m.Class = wire.MessageClass_TRANSIENT
	}
	if n := w.number("long"); n > 0 {
		m.Text = strings.Repeat("x", int(n))
	}
	return m
}

func (s *story) submit(w words) *core.Submit {
	cmd := &core.Submit{
		Actor: w.actor(), Conversation: w.in(), ClientID: tidemark.ClientID(w.named["id"]), ContactsOnly: w.has("contacts-only"),
	}
	if w.has("gone") {
		cmd.Peer = &core.Verdict{Refused: tidemark.Refuse(tidemark.UnknownUser, "there is no such user")}
	}
	if to, given := w.named["to"]; given {
		cmd.Conversation = tidemark.Direct(w.user(), tidemark.UserID(to))
	}
	switch w.plain[0] {
	case "say":
		cmd.Message = w.message()
		if _, forwards := w.named["forward"]; forwards {
			cmd.Message.Forwarded, cmd.Forward = s.forwarded(w, cmd.Message)
		}
	case "edit":
		cmd.Edit = &wire.Edit{Seq: w.number("seq"), Message: w.message()}
	case "recall":
		cmd.Recall = &wire.Recall{Seq: w.number("seq"), Reason: w.named["reason"]}
	case "react":
		cmd.Reaction = &wire.Reaction{Seq: w.number("seq"), Key: w.named["key"], Removed: w.has("no-more")}
	case "pin":
		cmd.Pin = &wire.Pin{Seq: w.number("seq"), Removed: w.has("no-more")}
	}
	return cmd
}

// command is the command that a line means; nil if the line is a question or about the world.
func (s *story) command(w words) core.Command {
	switch w.plain[0] {
	case "say", "edit", "recall", "react", "pin":
		cmd := s.submit(w)
		cmd.Seen = s.seen(w)
		return cmd
	case "ask", "accept", "reject", "part", "block", "unblock", "remark":
		return contactCommand(w)
	case "erase":
		return &core.Erase{Actor: w.actor(), Conversation: w.in(), Seq: tidemark.Seq(w.number("seq"))}
	case "read":
		return &core.Read{User: w.user(), Conversation: w.in(), Seq: tidemark.Seq(w.number("seq"))}
	case "create":
		return &core.Create{
			Actor: w.actor(), Conversation: w.in(), Kind: record.Kind(wire.Kind_value[strings.ToUpper(w.named["kind"])]),
			Title: w.named["title"], Avatar: w.named["avatar"], Custom: w.pairs("custom"), Settings: w.settings(),
			Owner: tidemark.UserID(w.named["owner"]), Members: w.users("members"), CreatedMs: w.since(),
		}
	case "update":
		return &core.Update{
			Actor: w.actor(), Conversation: w.in(), Title: w.text("title"), Avatar: w.text("avatar"),
			Custom: w.pairs("custom"), Settings: w.settings(), Announcement: w.text("announcement"),
		}
	case "add":
		return &core.AddMembers{
			Actor: w.actor(), Conversation: w.in(), Members: w.users("members"),
			Role: w.role("role"),
		}
	case "remove":
		return &core.RemoveMembers{Actor: w.actor(), Conversation: w.in(), Members: w.users("members")}
	case "settings":
		cmd := &core.Settings{
			User: w.user(), Conversation: w.in(), Pinned: w.flag("pinned"), Muted: w.flag("muted"),
			Hidden: w.flag("hidden"), MarkedUnread: w.flag("unread"), Alias: w.text("alias"),
		}
		if text := w.text("draft"); text != nil {
			cmd.Draft = &wire.Draft{Text: *text, ReplyTo: w.number("reply")}
		}
		return cmd
	case "delete":
		cmd := &core.Delete{User: w.user(), Conversation: w.in()}
		for _, seq := range w.list("seqs") {
			n, _ := strconv.ParseUint(seq, 10, 64)
			cmd.Seqs = append(cmd.Seqs, tidemark.Seq(n))
		}
		return cmd
	case "clear":
		return &core.Clear{User: w.user(), Conversation: w.in(), Seq: tidemark.Seq(w.number("seq"))}
	case "set", "drop":
		return roomCommand(w)
	case "import":
		return &core.Import{Conversation: w.in(), Entries: entries(w)}
	}
	if cmd := groupCommand(w); cmd != nil {
		return cmd
	}
	return homeCommand(w)
}

// homeCommand is a command to a user's home partition.
func homeCommand(w words) core.Command {
	switch w.plain[0] {
	case "upsert":
		return &core.UpsertUser{
			User: w.user(), Nickname: w.named["nickname"], Avatar: w.named["avatar"], Custom: w.pairs("custom"), Anew: w.has("anew"),
		}
	case "update-user":
		return &core.UpdateUser{
			User: w.user(), Nickname: w.text("nickname"), Avatar: w.text("avatar"), Custom: w.pairs("custom"),
		}
	case "see-device":
		return seeDevice(w)
	case "forget-device":
		return &core.ForgetDevice{User: w.user(), Device: tidemark.DeviceID(w.named["device"])}
	case "save-cursor":
		return &core.SaveCursor{
			User: w.user(), Device: tidemark.DeviceID(w.named["device"]),
			Position: tidemark.Position(w.number("position")), Forget: w.has("forget"),
		}
	}
	return accountCommand(w)
}

// since is the day of "since=2004-12-05", ms; 0 without.
func (w words) since() uint64 {
	if w.named["since"] == "" {
		return 0
	}
	day, err := time.Parse(time.DateOnly, w.named["since"])
	if err != nil {
		panic(err)
	}
	return uint64(day.UnixMilli())
}

// entries are the input lines of an import: "10:00:05 c1 alice joins", "... leaves", "... says hello".
func entries(w words) []*wire.ImportEntry {
	var list []*wire.ImportEntry
	for _, line := range w.input {
		fields := strings.SplitN(line, " ", 5)
		at, err := time.Parse("2006-01-02T15:04:05", fields[0])
		if err != nil {
			panic(fmt.Sprintf("scenario: %s: %v", line, err))
		}
		entry := &wire.ImportEntry{TimeMs: uint64(at.UnixMilli()), ClientId: fields[1], User: fields[2]}
		switch fields[3] {
		case "joins":
			entry.Entry = &wire.ImportEntry_Join{Join: true}
		case "leaves":
			entry.Entry = &wire.ImportEntry_Leave{Leave: true}
		case "says":
			entry.Entry = &wire.ImportEntry_Message{Message: &wire.Message{Type: "text", Text: fields[4]}}
		}
		list = append(list, entry)
	}
	return list
}

// seen is what a writer says to have seen: "seen=4", with the digest of "seen-digest" if it is another's.
func (s *story) seen(w words) *wire.Seen {
	if _, given := w.named["seen"]; !given {
		return nil
	}
	seq := tidemark.Seq(w.number("seen"))
	seen := &wire.Seen{Seq: uint64(seq), Digest: make([]byte, 32)}
	if info, ok := s.memory.Conversation(w.in()); ok && !w.has("forged") {
		if e, ok := s.memory.Event(info.Ordinal, seq); ok {
			seen.Digest = e.Digest[:]
		}
	}
	return seen
}
