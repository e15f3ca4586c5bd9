// SPDX-License-Identifier: Apache-2.0

// Contacts, who is online, the user's own devices and choices.

package chat

import (
	"cmp"
	"context"
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

func (m *Model) commandContacts(string) tea.Cmd {
	var rows [][2]string
	for _, c := range m.device.Contacts() {
		state := map[wire.ContactState]string{
			wire.ContactState_REQUESTED: "asked by you", wire.ContactState_ASKED: "asks you", wire.ContactState_CONTACT: "contact",
		}[c.State]
		if c.Blocked {
			state = strings.TrimPrefix(state+", blocked", ", ")
		}
		name := cmp.Or(CleanLine(c.Remark), m.names.of(tidemark.UserID(c.User)))
		if text := CleanLine(c.RequestText); text != "" {
			state += ": " + text
		}
		rows = append(rows, [2]string{"@" + CleanLine(c.User), strings.TrimSuffix(name+", "+state, ", ")})
	}
	m.showRows("Contacts", rows)
	return nil
}

func (m *Model) commandContact(rest string) tea.Cmd {
	word, rest, _ := strings.Cut(rest, " ")
	name, text, _ := strings.Cut(strings.TrimSpace(rest), " ")
	user, text := tidemark.UserID(strings.TrimPrefix(name, "@")), strings.TrimSpace(text)
	device := m.device
	calls := map[string]func(ctx context.Context) error{
		"ask":     func(ctx context.Context) error { _, err := device.RequestContact(ctx, user, text); return err },
		"accept":  func(ctx context.Context) error { _, err := device.AnswerContact(ctx, user, true); return err },
		"refuse":  func(ctx context.Context) error { _, err := device.AnswerContact(ctx, user, false); return err },
		"remove":  func(ctx context.Context) error { return device.RemoveContact(ctx, user) },
		"block":   func(ctx context.Context) error { return device.Block(ctx, user, true) },
		"unblock": func(ctx context.Context) error { return device.Block(ctx, user, false) },
		"remark":  func(ctx context.Context) error { return device.Remark(ctx, user, text) },
	}
	call, known := calls[word]
	if !known || !user.Valid() {
		m.complain(errors.New("say /contact ask @user [TEXT], or accept, refuse, remove, block, unblock, remark"))
		return nil
	}
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		return func(m *Model) tea.Cmd { m.say("Done. /contacts shows them."); return nil }, call(ctx)
	})
}

func (m *Model) commandSeen(rest string) tea.Cmd {
	users, device := usersOf(rest), m.device
	if peer, direct := m.open.Peer(m.me); direct && len(users) == 0 {
		users = []tidemark.UserID{peer}
	}
	if len(users) == 0 {
		m.complain(errors.New("say /seen @user…"))
		return nil
	}
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		list, err := device.Presence(ctx, users...)
		return func(m *Model) tea.Cmd {
			var rows [][2]string
			for _, p := range list {
				text := "last seen " + m.moment(p.LastSeenMs)
				switch {
				case p.Online:
					text = "online " + CleanLine(strings.Join(p.Platforms, ", "))
				case p.LastSeenMs == 0:
					text = "never seen, or does not show it"
				}
				rows = append(rows, [2]string{"@" + CleanLine(p.User), text})
			}
			m.showRows("Presence", rows)
			return nil
		}, err
	})
}

func (m *Model) commandDevices(rest string) tea.Cmd {
	word, which, _ := strings.Cut(rest, " ")
	device := m.device
	switch which = strings.TrimSpace(which); {
	case word == "signout" && which != "":
		id := tidemark.DeviceID(which)
		if which == "all" {
			id = ""
		}
		return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
			return func(m *Model) tea.Cmd { m.say("Signed out."); return nil }, device.Kick(ctx, id, true)
		})
	case rest != "":
		m.complain(errors.New("say /devices, /devices signout ID or /devices signout all"))
		return nil
	}
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		list, err := device.Devices(ctx)
		return func(m *Model) tea.Cmd {
			var rows [][2]string
			for _, d := range list {
				state := "last seen " + m.moment(d.LastSeenMs)
				if d.Online {
					state = "online"
				}
				rows = append(rows, [2]string{CleanLine(d.DeviceId), strings.TrimSpace(CleanLine(d.Platform+" "+d.Client)) + ", " + state})
			}
			m.showRows("Your devices", rows)
			return nil
		}, err
	})
}

func (m *Model) commandOptions(rest string) tea.Cmd {
	request := &wire.OptionsRequest{}
	if rest != "" {
		word, value, _ := strings.Cut(rest, " ")
		off := strings.TrimSpace(value) == "off"
		field, known := map[string]**bool{
			"presence": &request.HidePresence, "typing": &request.HideTyping, "strangers": &request.ContactsOnly,
		}[word]
		if !known || !off && strings.TrimSpace(value) != "on" {
			m.complain(errors.New("say /options, or /options presence off, /options typing on, /options strangers off"))
			return nil
		}
		*field = &off
	}
	device := m.device
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		o, err := device.Options(ctx, request)
		return func(m *Model) tea.Cmd {
			m.showRows("Options", [][2]string{
				{"presence", pick(o.GetHidePresence(), "off: nobody sees when you are online", "on: others see when you are online")},
				{"typing", pick(o.GetHideTyping(), "off: nobody sees that you type", "on: others see that you type")},
				{"strangers", pick(o.GetContactsOnly(), "off: only contacts may write to you", "on: everybody may write to you")},
			})
			return nil
		}, err
	})
}
