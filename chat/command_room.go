// SPDX-License-Identifier: Apache-2.0

// Rooms: one at a time, and only while it is shown.

package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

func (m *Model) commandEnter(rest string) tea.Cmd {
	id := tidemark.ConversationID(rest)
	if !id.Valid() {
		m.complain(fmt.Errorf("say /enter ROOM: its id, %s", tidemark.IDAlphabet))
		return nil
	}
	device := m.device
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		_, err := device.EnterRoom(ctx, id)
		return func(m *Model) tea.Cmd { return m.show(id) }, err
	})
}

// leaveRoom leaves the open conversation if it is a room, and the screen is about to show another.
func (m *Model) leaveRoom(next tidemark.ConversationID) {
	if _, in := m.device.Room(m.open); in && next != m.open {
		if err := m.device.LeaveRoom(m.ctx, m.open); err != nil {
			m.complain(err)
		}
	}
}

// refreshRoom reads a room again. All that is known of it is on the page.
func (m *Model) refreshRoom(room *client.Room) tea.Cmd {
	p := &m.page
	p.messages, p.room = room.Messages, room
	p.from, p.to, p.atEnd, p.atStart = 0, room.Head, true, true
	if len(p.messages) > 0 {
		p.from = p.messages[0].Seq
	}
	p.messages = append(p.messages, m.waiting()...)
	m.layOut()
	return nil
}

// roomChanged takes how the user stands to a room.
func (m *Model) roomChanged(event client.RoomChanged) {
	m.touch(event.Room)
	if event.State == client.RoomLeft && event.Reason != nil && event.Room == m.open {
		m.complain(fmt.Errorf("you are out of the room: %s", event.Reason.Message))
	}
}

// roomHead is what stands above a room.
func (m *Model) roomHead(room *client.Room) string {
	text := " " + m.title(room.ID) + " · room"
	if !room.In {
		text += " (entering again…)"
	}
	if n := len(room.Info.GetAttributes()); n > 0 {
		text += " · /attributes " + fmt.Sprint(n)
	}
	return text
}

// missing is the line for what the server left out.
func (p *painter) missing(n tidemark.Seq) string {
	if n == 1 {
		return p.rule("1 message was left out", loud)
	}
	return p.rule(fmt.Sprintf("%d messages were left out", n), loud)
}

// attributesText says which attributes of a room were set and removed.
func attributesText(set []*wire.Attribute) string {
	var parts []string
	for _, a := range set {
		if a.GetValue() == "" {
			parts = append(parts, "removed "+CleanLine(a.GetKey()))
		} else {
			parts = append(parts, "set "+CleanLine(a.GetKey())+" to "+CleanLine(a.GetValue()))
		}
	}
	return strings.Join(parts, ", ")
}

func (m *Model) commandAttributes(rest string) tea.Cmd {
	room, in := m.device.Room(m.open)
	if !in {
		m.complain(errors.New("no room is open: /enter ROOM enters one"))
		return nil
	}
	if rest == "" {
		var rows [][2]string
		for _, a := range room.Info.GetAttributes() {
			text := CleanLine(a.Value)
			if a.Owner != "" {
				text += ", by " + m.names.of(tidemark.UserID(a.Owner))
			}
			rows = append(rows, [2]string{CleanLine(a.Key), text})
		}
		m.showRows("Attributes of "+m.title(m.open), rows)
		return nil
	}
	key, value, _ := strings.Cut(rest, " ")
	device := m.device
	return m.askIn("", func(ctx context.Context, open tidemark.ConversationID) error {
		_, err := device.SetAttributes(ctx, open, map[string]string{key: strings.TrimSpace(value)}, false)
		return err
	})
}
