// SPDX-License-Identifier: Apache-2.0

// Keys: what each does, and the input line.

package chat

import (
	"slices"
	"strings"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
)

// newInput makes the input line: it grows with what is typed, and leaves the keys alone that scroll and choose.
func newInput() textarea.Model {
	input := textarea.New()
	input.Prompt = "> "
	input.ShowLineNumbers = false
	input.CharLimit = 20_000
	input.DynamicHeight, input.MinHeight, input.MaxHeight = true, 1, inputMax
	input.MaxContentHeight = 2000
	input.SetVirtualCursor(false)
	input.SetStyles(textarea.Styles{Focused: textarea.StyleState{Prompt: good, Placeholder: dim}, Blurred: textarea.StyleState{Prompt: dim, Placeholder: dim}})
	keys := &input.KeyMap
	keys.InsertNewline = key.NewBinding(key.WithKeys("alt+enter", "ctrl+j", "shift+enter"))
	keys.LineNext = key.NewBinding(key.WithKeys("down"))
	keys.LinePrevious = key.NewBinding(key.WithKeys("up"))
	for _, unused := range []*key.Binding{&keys.PageUp, &keys.PageDown, &keys.InputBegin, &keys.InputEnd, &keys.Paste,
		&keys.SelectAll, &keys.CapitalizeWordForward, &keys.LowercaseWordForward, &keys.UppercaseWordForward, &keys.TransposeCharacterBackward} {
		unused.SetEnabled(false)
	}
	return input
}

// key takes a key.
func (m *Model) key(press tea.KeyPressMsg) tea.Cmd {
	m.flash = flash{}
	switch name := press.String(); {
	case name == "ctrl+c":
		m.typingEnds()
		return tea.Quit
	case name == "f1":
		m.togglePanel((*Model).helpPanel)
		return nil
	case m.panel != nil:
		return m.panelKey(name)
	case m.list.active:
		return m.listKey(name)
	default:
		return m.paneKey(name, press)
	}
}

func (m *Model) panelKey(name string) tea.Cmd {
	switch name {
	case "up":
		m.panelTop--
	case "down":
		m.panelTop++
	case "pgup":
		m.panelTop -= m.height / 2
	case "pgdown", "space":
		m.panelTop += m.height / 2
	default:
		m.panel = nil
	}
	return nil
}

func (m *Model) listKey(name string) tea.Cmd {
	page := max(m.height-2, 1)
	switch name {
	case "up", "ctrl+p", "k":
		m.list.step(-1)
	case "down", "ctrl+n", "j":
		m.list.step(1)
	case "pgup":
		m.list.step(-page)
	case "pgdown":
		m.list.step(page)
	case "home":
		m.list.step(-len(m.list.rows))
	case "end":
		m.list.step(len(m.list.rows))
	case "enter":
		m.list.active = false
		return m.show(m.list.at)
	case "esc", "ctrl+l", "q", "tab":
		m.list.active = false
		m.list.choose(m.open)
	}
	return nil
}

func (m *Model) paneKey(name string, press tea.KeyPressMsg) tea.Cmd {
	empty := m.input.Value() == ""
	switch name {
	case "enter":
		return m.enter()
	case "esc":
		return m.escape()
	case "pgup":
		return m.scroll(max(m.messagesHeight()-2, 1))
	case "pgdown":
		return m.scroll(-max(m.messagesHeight()-2, 1))
	case "ctrl+up":
		return m.scroll(1)
	case "ctrl+down":
		return m.scroll(-1)
	case "ctrl+home":
		return m.load(client.Page{Start: true, Limit: pageEvents})
	case "ctrl+end":
		m.page.dirty = true
		return m.toEnd()
	case "alt+up":
		return m.move(-1)
	case "alt+down":
		return m.move(1)
	case "ctrl+l":
		m.list.active = true
		m.list.choose(m.open)
		return nil
	case "ctrl+n":
		return m.neighbour(1)
	case "ctrl+p":
		return m.neighbour(-1)
	case "tab":
		if empty {
			m.list.active = true
			return nil
		}
		m.completeWord()
		return nil
	case "up":
		if empty {
			return m.startEdit()
		}
	}
	return m.edit(press)
}

// edit gives a message to the input.
func (m *Model) edit(msg tea.Msg) tea.Cmd {
	before, height := m.input.Value(), m.inputHeight()
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(msg)
	if value := m.input.Value(); value != before && value != "" {
		m.tellTyping()
	}
	if m.inputHeight() != height {
		m.page.dirty = true
	}
	return cmd
}

// setInput replaces what stands in the input.
func (m *Model) setInput(text string) {
	m.input.SetValue(text)
	m.page.dirty = true
}

// neighbour opens the next conversation of the list, or the one before; after the last comes the first.
func (m *Model) neighbour(by int) tea.Cmd {
	n := len(m.list.rows)
	if n == 0 {
		return nil
	}
	if next := m.list.rows[((m.list.index(m.open)+by)%n+n)%n].ID; next != m.open {
		return m.show(next)
	}
	return nil
}

// escape leaves the innermost of what is going on.
func (m *Model) escape() tea.Cmd {
	switch {
	case m.mode != (mode{}):
		if m.mode.edit > 0 {
			m.setInput("")
		}
		m.mode = mode{}
	case m.page.selected > 0:
		m.page.selected = 0
		m.page.dirty = true
	case m.input.Value() != "":
		m.setInput("")
		m.typingEnds()
	default:
		m.page.dirty = true
		return m.toEnd()
	}
	return nil
}

// enter sends what was typed, or does what it says.
func (m *Model) enter() tea.Cmd {
	text := strings.TrimRight(m.input.Value(), " \n\t")
	if m.page.selected > 0 && text == "" {
		m.mode = mode{reply: m.page.selected}
		m.page.selected, m.page.dirty = 0, true
		return nil
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") && m.mode.edit == 0 {
		return m.command(text)
	}
	text = strings.TrimPrefix(text, "/")
	if m.mode.edit > 0 {
		text = m.input.Value()
	}
	return m.send("text", text)
}

// startEdit puts the last own message into the input, to be changed.
func (m *Model) startEdit() tea.Cmd {
	msg, found := m.target(func(msg *client.Message) bool { return msg.Sender == m.me })
	if !found {
		return nil
	}
	if msg.Sender != m.me {
		m.say("Only your own messages can be edited.")
		return nil
	}
	m.mode = mode{edit: msg.Seq}
	m.setInput(msg.Content.GetText())
	return nil
}

// completeWord completes the word at the end of the input: a command, or the name of somebody here.
func (m *Model) completeWord() {
	value := m.input.Value()
	at := strings.LastIndexAny(value, " \n") + 1
	word := value[at:]
	var matches []string
	switch {
	case at == 0 && strings.HasPrefix(word, "/"):
		for _, c := range commands {
			if strings.HasPrefix("/"+c.name, word) {
				matches = append(matches, "/"+c.name)
			}
		}
	default:
		prefix := strings.TrimPrefix(word, "@")
		for _, user := range m.peopleHere() {
			if strings.HasPrefix(strings.ToLower(string(user)), strings.ToLower(prefix)) {
				matches = append(matches, "@"+string(user))
			}
		}
	}
	switch len(matches) {
	case 0:
	case 1:
		m.setInput(value[:at] + matches[0] + " ")
	default:
		m.setInput(value[:at] + commonPrefix(matches))
		m.say("%s", CleanLine(strings.Join(matches[:min(len(matches), 12)], " ")))
	}
}

// peopleHere are the users of the open conversation, as far as known.
func (m *Model) peopleHere() []tidemark.UserID {
	here := map[tidemark.UserID]bool{}
	for user := range m.names.members[m.open] {
		here[user] = true
	}
	for i := range m.page.messages {
		here[m.page.messages[i].Sender] = true
	}
	if peer, direct := m.open.Peer(m.me); direct {
		here[peer] = true
	}
	delete(here, m.me)
	delete(here, tidemark.SystemUser)
	users := make([]tidemark.UserID, 0, len(here))
	for user := range here {
		users = append(users, user)
	}
	slices.Sort(users)
	return users
}

func commonPrefix(words []string) string {
	prefix := words[0]
	for _, word := range words[1:] {
		for !strings.HasPrefix(word, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return strings.ToValidUTF8(prefix, "")
}
