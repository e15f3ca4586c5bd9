// SPDX-License-Identifier: Apache-2.0

// What can be done with a message besides answering it: threads, who has read it, sending it on or later, deleting it.

package chat

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// rowsMax is how many rows a panel asks the server for.
const rowsMax = 100

// eventRow is an event as a row of a panel.
func (m *Model) eventRow(e *wire.Event) [2]string {
	var body wire.Body
	text := "…"
	if err := body.UnmarshalVT(e.GetBody()); err == nil && body.GetMessage() != nil {
		text = CleanLine(body.GetMessage().GetText())
	}
	return [2]string{m.moment(e.GetTimeMs()), m.names.of(tidemark.UserID(e.GetSender())) + ": " + text}
}

// showEvents asks for events and shows them.
func (m *Model) showEvents(title string, call func(ctx context.Context) ([]*wire.Event, error)) tea.Cmd {
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		events, err := call(ctx)
		return func(m *Model) tea.Cmd {
			var rows [][2]string
			for _, e := range events {
				rows = append(rows, m.eventRow(e))
			}
			m.showRows(title, rows)
			return m.learnNames()
		}, err
	})
}

func (m *Model) commandThread(rest string) tea.Cmd {
	msg, found := m.target(func(msg *client.Message) bool { return msg.ThreadCount > 0 || msg.Content.GetThread() > 0 })
	if m.page.selected > 0 {
		msg, found = m.target(func(*client.Message) bool { return true })
	}
	if !found {
		m.complain(errors.New("select the message whose thread is meant: Alt+↑"))
		return nil
	}
	root := msg.Seq
	if msg.Content.GetThread() > 0 {
		root = tidemark.Seq(msg.Content.Thread)
	}
	if rest != "" {
		m.page.selected = 0
		return m.sendMessage(&wire.Message{Type: "text", Text: rest, Thread: uint64(root)})
	}
	device, open := m.device, m.open
	return m.showEvents("Thread", func(ctx context.Context) ([]*wire.Event, error) {
		events, _, err := device.Thread(ctx, open, root, 0, rowsMax)
		return events, err
	})
}

// sendMessage puts a message for the open conversation into the outbox.
func (m *Model) sendMessage(msg *wire.Message) tea.Cmd {
	msg.Mentions, msg.MentionAll = m.mentions(msg.Text)
	if _, err := m.device.SendMessage(m.ctx, m.open, msg); err != nil {
		m.complain(err)
		return nil
	}
	m.page.stale = true
	return tea.Batch(m.toEnd(), m.refresh())
}

func (m *Model) commandForward(rest string) tea.Cmd {
	to := tidemark.ConversationID(rest)
	if peer, isUser := strings.CutPrefix(rest, "@"); isUser {
		to = tidemark.Direct(m.me, tidemark.UserID(peer))
	}
	if _, known := m.device.Conversation(to); !known {
		m.complain(errors.New("say /forward CONVERSATION, or /forward @user: one in your list"))
		return nil
	}
	msg, found := m.target(func(msg *client.Message) bool { return msg.Content != nil })
	return m.about(found, "there is no message to send on; Alt+↑ selects one", func() error {
		_, err := m.device.Forward(m.ctx, m.open, msg.Seq, to)
		return err
	})
}

func (m *Model) commandDelete(string) tea.Cmd {
	if m.page.selected == 0 {
		m.complain(errors.New("select the message to delete for you: Alt+↑; /recall takes yours back from everybody"))
		return nil
	}
	device, seq := m.device, m.page.selected
	m.page.selected = 0
	return m.askIn("Deleted on your devices; others keep it.", func(ctx context.Context, open tidemark.ConversationID) error {
		return device.Delete(ctx, open, seq)
	})
}

func (m *Model) commandClear(rest string) tea.Cmd {
	if rest != "all" {
		m.complain(errors.New("all messages here would be gone from your devices; others keep theirs. To be sure say /clear all"))
		return nil
	}
	device := m.device
	return m.askIn("Cleared on your devices.", func(ctx context.Context, open tidemark.ConversationID) error { return device.Clear(ctx, open, 0) })
}

func (m *Model) commandReaders(string) tea.Cmd {
	msg, found := m.target(func(msg *client.Message) bool { return msg.Sender == m.me })
	if !found {
		m.complain(errors.New("there is no message of yours; Alt+↑ selects another's"))
		return nil
	}
	device, open := m.device, m.open
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		read, err := device.Receipts(ctx, &wire.ReceiptsRequest{Conversation: string(open), Seq: uint64(msg.Seq), Mark: wire.Mark_READ, PageSize: rowsMax})
		if err != nil {
			return nil, err
		}
		missing, err := device.Receipts(ctx, &wire.ReceiptsRequest{
			Conversation: string(open), Seq: uint64(msg.Seq), Mark: wire.Mark_READ, Missing: true, PageSize: rowsMax,
		})
		return func(m *Model) tea.Cmd {
			name := func(id string) string { return m.names.of(tidemark.UserID(id)) }
			m.showRows("Who has read it", [][2]string{
				{fmt.Sprintf("read: %d of %d", read.Read, read.Members), some(read.Users, name)},
				{fmt.Sprintf("received: %d", read.Delivered), ""},
				{fmt.Sprintf("not yet: %d", read.Members-min(read.Members, read.Read)), some(missing.Users, name)},
			})
			return m.learnNames()
		}, err
	})
}

func (m *Model) commandReacted(string) tea.Cmd {
	msg, found := m.target(func(msg *client.Message) bool { return len(msg.Reactions) > 0 })
	if !found {
		m.complain(errors.New("there is no message with reactions; Alt+↑ selects one"))
		return nil
	}
	device, open := m.device, m.open
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		answer, err := device.Reactions(ctx, &wire.ReactionsRequest{Conversation: string(open), Seq: uint64(msg.Seq), PageSize: rowsMax})
		return func(m *Model) tea.Cmd {
			var rows [][2]string
			for _, r := range answer.GetUsers() {
				rows = append(rows, [2]string{CleanLine(r.Key), m.names.of(tidemark.UserID(r.User))})
			}
			m.showRows("Reactions", rows)
			return m.learnNames()
		}, err
	})
}

func (m *Model) commandPins(string) tea.Cmd {
	device, open := m.device, m.open
	return m.showEvents("Pinned", func(ctx context.Context) ([]*wire.Event, error) { return device.Pins(ctx, open) })
}

func (m *Model) commandMentions(string) tea.Cmd {
	device := m.device
	return m.showEvents("Mentions of you", func(ctx context.Context) ([]*wire.Event, error) {
		answer, err := device.Mentions(ctx, &wire.MentionsRequest{PageSize: rowsMax})
		var events []*wire.Event
		for _, mention := range answer.GetMentions() {
			events = append(events, mention.GetEvent())
		}
		return events, err
	})
}

func (m *Model) commandLater(rest string) tea.Cmd {
	when, text, _ := strings.Cut(rest, " ")
	now := m.now().In(m.zone)
	at, err := parseMoment(when, now)
	if text = strings.TrimSpace(text); err != nil || text == "" {
		m.complain(errors.New("say /later 18:30 TEXT, or /later 2026-12-24T18:30 TEXT"))
		return nil
	}
	if !at.After(now) && !strings.Contains(when, "-") {
		at = at.AddDate(0, 0, 1) // that time tomorrow
	}
	device, msg := m.device, &wire.Message{Type: "text", Text: text}
	msg.Mentions, msg.MentionAll = m.mentions(text)
	return m.askIn("It will be sent at "+at.Format("2 Jan 15:04")+". /scheduled shows what waits.",
		func(ctx context.Context, open tidemark.ConversationID) error {
			_, err := device.Schedule(ctx, open, msg, at, tidemark.ClientID(rand.Text()))
			return err
		})
}

func (m *Model) commandScheduled(rest string) tea.Cmd {
	word, number, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if rest != "" && (word != "cancel" || err != nil || n < 1) {
		m.complain(errors.New("say /scheduled, or /scheduled cancel 1"))
		return nil
	}
	device := m.device
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		list, err := device.Scheduled(ctx, "")
		if err == nil && n > len(list) {
			return nil, fmt.Errorf("only %d messages wait", len(list))
		}
		if err == nil && n > 0 {
			taken := list[n-1]
			return func(m *Model) tea.Cmd { m.say("Taken back."); return nil },
				device.Unschedule(ctx, tidemark.ConversationID(taken.Conversation), tidemark.ClientID(taken.ClientId))
		}
		return func(m *Model) tea.Cmd {
			var rows [][2]string
			for i, s := range list {
				text := m.title(tidemark.ConversationID(s.Conversation)) + ": " + CleanLine(s.GetMessage().GetText())
				if failed := s.GetFailed(); failed != nil {
					text += " (not sent: " + CleanLine(failed.Message) + ")"
				}
				rows = append(rows, [2]string{fmt.Sprintf("%d  %s", i+1, m.moment(s.AtMs)), text})
			}
			m.showRows("Waiting to be sent", rows)
			return nil
		}, err
	})
}
