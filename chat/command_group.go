// SPDX-License-Identifier: Apache-2.0

// What the owner and admins of a group do, and how a conversation stands in the user's own list.

package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// askIn runs a call about the open conversation and says what was done.
func (m *Model) askIn(done string, call func(ctx context.Context, open tidemark.ConversationID) error) tea.Cmd {
	open := m.open
	if open == "" {
		m.complain(errors.New("no conversation is open"))
		return nil
	}
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		return func(m *Model) tea.Cmd {
			if done != "" {
				m.say("%s", done)
			}
			return nil
		}, call(ctx, open)
	})
}

func (m *Model) commandAnnounce(rest string) tea.Cmd {
	device := m.device
	return m.askIn("", func(ctx context.Context, open tidemark.ConversationID) error {
		return device.UpdateConversation(ctx, &wire.UpdateRequest{Conversation: string(open), Announcement: &rest})
	})
}

func (m *Model) commandRole(rest string) tea.Cmd {
	name, word, _ := strings.Cut(rest, " ")
	role, known := map[string]wire.Role{"admin": wire.Role_ADMIN, "member": wire.Role_MEMBER}[strings.TrimSpace(word)]
	user := tidemark.UserID(strings.TrimPrefix(name, "@"))
	if !known || !user.Valid() {
		m.complain(errors.New("say /role @user admin, or /role @user member"))
		return nil
	}
	device := m.device
	return m.askIn("", func(ctx context.Context, open tidemark.ConversationID) error {
		return device.SetRole(ctx, open, role, user)
	})
}

func (m *Model) commandMute(rest string) tea.Cmd {
	words := strings.Fields(rest)
	duration := time.Hour
	if n := len(words); n > 1 {
		if minutes, err := strconv.Atoi(words[n-1]); err == nil && minutes >= 0 && minutes <= 525_600 {
			duration, words = time.Duration(minutes)*time.Minute, words[:n-1]
		}
	}
	if len(words) == 0 {
		m.complain(errors.New("say /mute @user… and for how many minutes; /mute all, /mute all 0"))
		return nil
	}
	device := m.device
	if len(words) == 1 && words[0] == "all" {
		return m.askIn("", func(ctx context.Context, open tidemark.ConversationID) error {
			return device.MuteAll(ctx, open, duration > 0)
		})
	}
	users := usersOf(strings.Join(words, " "))
	done := fmt.Sprintf("%s cannot write here for %s.", some(texts(users), CleanLine), duration)
	if duration == 0 {
		done = some(texts(users), CleanLine) + " can write here again."
	}
	return m.askIn(done, func(ctx context.Context, open tidemark.ConversationID) error {
		return device.Mute(ctx, open, duration, users...)
	})
}

func texts(users []tidemark.UserID) []string {
	list := make([]string, len(users))
	for i, user := range users {
		list[i] = string(user)
	}
	return list
}

func (m *Model) commandTransfer(rest string) tea.Cmd {
	users, device := usersOf(rest), m.device
	if len(users) != 1 {
		m.complain(errors.New("say /transfer @user: who shall own this group"))
		return nil
	}
	return m.askIn("", func(ctx context.Context, open tidemark.ConversationID) error {
		return device.Transfer(ctx, open, users[0])
	})
}

func (m *Model) commandDissolve(rest string) tea.Cmd {
	if rest != string(m.open) {
		m.complain(fmt.Errorf("nobody can write here afterwards. To be sure say /dissolve %s", CleanLine(string(m.open))))
		return nil
	}
	device := m.device
	return m.askIn("", func(ctx context.Context, open tidemark.ConversationID) error { return device.Dissolve(ctx, open) })
}

func (m *Model) commandRequests(rest string) tea.Cmd {
	word, names, _ := strings.Cut(rest, " ")
	users, device, open := usersOf(names), m.device, m.open
	switch {
	case word == "accept" && len(users) > 0, word == "refuse" && len(users) > 0:
		return m.askIn("", func(ctx context.Context, open tidemark.ConversationID) error {
			return device.AnswerJoin(ctx, open, word == "accept", users...)
		})
	case word != "":
		m.complain(errors.New("say /requests, /requests accept @user… or /requests refuse @user…"))
		return nil
	}
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		asked, err := device.JoinRequests(ctx, open)
		return func(m *Model) tea.Cmd {
			var rows [][2]string
			for _, r := range asked {
				rows = append(rows, [2]string{"@" + CleanLine(r.User), m.moment(r.TimeMs) + "  " + CleanLine(r.Text)})
			}
			m.showRows("Requests to join "+m.title(open), rows)
			return nil
		}, err
	})
}

// moment is a time as panels show it.
func (m *Model) moment(ms uint64) string {
	if ms == 0 {
		return "never"
	}
	return time.UnixMilli(int64(ms)).In(m.zone).Format("2 Jan 2006 15:04")
}

// commandMy changes the user's own settings of the open conversation.
func (m *Model) commandMy(rest string) tea.Cmd {
	word, name, _ := strings.Cut(rest, " ")
	c, known := m.device.Conversation(m.open)
	if !known {
		m.complain(errors.New("no conversation is open"))
		return nil
	}
	request := &wire.SettingsRequest{Conversation: string(m.open)}
	not := func(set bool) *bool { set = !set; return &set }
	said := ""
	switch word {
	case "pin":
		request.Pinned = not(c.Self.GetPinned())
		said = pick(*request.Pinned, "It stands first in your list.", "It stands by its last message in your list.")
	case "mute":
		request.Muted = not(c.Self.GetMuted())
		said = pick(*request.Muted, "It does not count as unread any more.", "It counts as unread again.")
	case "hide":
		request.Hidden = not(c.Self.GetHidden())
		said = pick(*request.Hidden, "It is hidden until the next message.", "It is in your list again.")
	case "unread":
		request.MarkedUnread = not(c.Self.GetMarkedUnread())
		said = pick(*request.MarkedUnread, "It is marked as unread.", "It is no longer marked as unread.")
	case "alias":
		name = strings.TrimSpace(name)
		request.Alias = &name
		said = "That is its name in your list."
	default:
		m.complain(errors.New("say /my pin, /my mute, /my hide, /my unread or /my alias NAME"))
		return nil
	}
	device := m.device
	return m.askIn(said, func(ctx context.Context, _ tidemark.ConversationID) error { return device.Settings(ctx, request) })
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// saveDraft keeps what was typed in the conversation that is left, for all devices of the user.
func (m *Model) saveDraft() tea.Cmd {
	text, open := strings.TrimRight(m.input.Value(), "\n "), m.open
	c, known := m.device.Conversation(open)
	if !known || m.mode.edit > 0 || strings.HasPrefix(text, "/") || text == c.Self.GetPrivate().GetDraft().GetText() {
		return nil
	}
	device, replyTo := m.device, m.mode.reply
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		return nil, device.Draft(ctx, open, text, replyTo)
	})
}

// loadDraft puts back what was typed in a conversation, on this device or another.
func (m *Model) loadDraft(c *client.Conversation) {
	var draft *wire.Draft
	if c != nil {
		draft = c.Self.GetPrivate().GetDraft()
	}
	m.mode = mode{reply: tidemark.Seq(draft.GetReplyTo())}
	m.setInput(Clean(draft.GetText()))
}

// roleSign is what stands behind an owner's and an admin's name.
func roleSign(role wire.Role) string {
	switch role {
	case wire.Role_OWNER:
		return " (owner)"
	case wire.Role_ADMIN:
		return " (admin)"
	}
	return ""
}

// byRole puts owners first, then admins.
func byRole(members []*wire.Member) {
	slices.SortStableFunc(members, func(a, b *wire.Member) int { return int(b.Role) - int(a.Role) })
}
