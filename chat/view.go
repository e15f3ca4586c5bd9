// SPDX-License-Identifier: Apache-2.0

// The picture: the list at the left where there is room, the open conversation, the status line, the input.

package chat

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/tidemark-im/tidemark/client"
)

const (
	wideFrom  = 64 // columns from which the list stands beside the conversation
	listWidth = 22
	inputMax  = 5 // lines of the input at most
)

func (m *Model) isWide() bool { return m.width >= wideFrom }

// paneWidth is the width of the conversation.
func (m *Model) paneWidth() int {
	if m.isWide() {
		return m.width - listWidth - 1
	}
	return max(m.width, 1)
}

func (m *Model) inputHeight() int { return max(min(m.input.Height(), inputMax, m.height-3), 1) }

// messagesHeight is how many lines of messages are on the screen: all but the title, the status and the input.
func (m *Model) messagesHeight() int {
	return max(m.height-1-len(m.statusLines(m.paneWidth()))-m.inputHeight(), 1)
}

// View implements [tea.Model].
func (m *Model) View() tea.View {
	m.layOut()
	view := tea.View{AltScreen: true, ReportFocus: true, WindowTitle: m.windowTitle()}
	var pane []string
	switch {
	case m.panel != nil:
		pane = m.panelLines(m.paneWidth(), m.height)
	case m.list.active && !m.isWide():
		pane = append([]string{m.bar("Conversations", m.stateText(), m.width)}, m.listLines(m.width, max(m.height-1, 0))...)
	default:
		pane = m.paneLines()
		view.Cursor = m.cursor()
	}
	if len(pane) > m.height { // hardly a screen: the input stays
		pane = pane[len(pane)-max(m.height, 0):]
	}
	if m.isWide() {
		side := append([]string{m.bar(m.sideTitle(), "", listWidth)}, m.listLines(listWidth, max(m.height-1, 0))...)
		for i := range pane {
			pane[i] = side[i] + dim.Render("│") + pane[i]
		}
	}
	view.Content = strings.Join(pane, "\n")
	return view
}

func (m *Model) sideTitle() string { return " " + CleanLine(string(m.me)) }

func (m *Model) windowTitle() string {
	if unread, _ := m.list.unread(""); unread > 0 {
		return fmt.Sprintf("(%d) tidemark", unread)
	}
	return "tidemark"
}

// paneLines are the lines of the open conversation, as many as the screen has.
func (m *Model) paneLines() []string {
	width := m.paneWidth()
	lines := make([]string, 0, m.height)
	lines = append(lines, m.bar(m.headText(), m.stateText(), width))
	lines = append(lines, m.messageLines(width, m.messagesHeight())...)
	lines = append(lines, m.statusLines(width)...)
	input := strings.Split(m.input.View(), "\n")
	for i := range m.inputHeight() {
		if i < len(input) {
			lines = append(lines, input[i])
		} else {
			lines = append(lines, "")
		}
	}
	return lines
}

// messageLines are the lines of messages on the screen, in exactly height lines.
func (m *Model) messageLines(width, height int) []string {
	p := &m.page
	lines := make([]string, 0, height)
	if len(p.blocks) == 0 {
		return m.emptyLines(width, height)
	}
	first := p.lines - p.up - height // of all lines, the one at the top
	at := 0
	for i := range p.blocks {
		for _, line := range p.blocks[i].lines {
			if at >= first && len(lines) < height {
				lines = append(lines, line)
			}
			at++
		}
	}
	for len(lines) < height {
		lines = append([]string{""}, lines...) // few messages stand at the bottom
	}
	return lines
}

func (m *Model) emptyLines(width, height int) []string {
	lines := make([]string, height)
	hints := []string{"No conversation is open.", "/to @somebody opens one, /help lists what there is."}
	if m.open != "" {
		hints = []string{"Nothing here yet. Type and press Enter."}
		if m.page.loading {
			hints = []string{"loading…"}
		}
	}
	at := 0
	for _, hint := range hints {
		for _, line := range wrap(m.measure, hint, width-2, 0) {
			if at < height {
				lines[at] = " " + dim.Render(line)
			}
			at++
		}
	}
	return lines
}

// headText is the open conversation's title, and how many are in it.
func (m *Model) headText() string {
	if m.open == "" {
		return " tidemark"
	}
	if m.page.room != nil {
		return m.roomHead(m.page.room)
	}
	text := " " + m.title(m.open)
	c, known := m.device.Conversation(m.open)
	_, direct := m.open.Peer(m.me)
	switch {
	case known && c.Removed:
		text += " (you are not a member any more)"
	case known && !direct && c.Info.GetMemberCount() > 0:
		text += " · " + plural(int(c.Info.GetMemberCount()), "member")
	}
	return text
}

// stateText is the state of the connection, in few words.
func (m *Model) stateText() string {
	switch m.state {
	case client.Synced:
		return "● online "
	case client.Connecting:
		return "◌ connecting… "
	case client.CatchingUp:
		return "◌ catching up… "
	case client.Stopped:
		return "✗ stopped "
	}
	return "✗ offline "
}

// bar is a line in reverse: text at the left, and at the right what does not give way.
func (m *Model) bar(left, right string, width int) string {
	if rest := width - m.measure.StringWidth(right); rest >= 8 {
		return chosen.Render(fit(m.measure, left, rest) + right)
	}
	return chosen.Render(fit(m.measure, left, width))
}

// statusMax is how many lines the status may take: a refusal is read to its end.
const statusMax = 3

// statusLines say the most important thing that there is to say.
func (m *Model) statusLines(width int) []string {
	style, text := m.status()
	lines := wrap(m.measure, text, width-1, 0)
	if m.flash.text == "" || m.height < 12 {
		lines = []string{text}
	}
	lines = lines[:min(len(lines), statusMax)]
	for i, line := range lines {
		lines[i] = style.Render(m.measure.Truncate(" "+line, width, "…"))
	}
	return lines
}

func (m *Model) status() (style lipgloss.Style, text string) {
	style = dim
	messages, conversations := m.list.unread(m.open)
	switch {
	case m.flash.text != "":
		text = m.flash.text
		if m.flash.isBad {
			style = bad
		}
	case m.mode.edit > 0:
		style, text = loud, "editing: Enter saves, Esc leaves it as it was"
	case m.mode.reply > 0:
		style, text = loud, "answering: Enter sends, Esc does not answer"
	case m.page.selected > 0:
		style, text = loud, "selected: Enter answers · /react 👍 /edit /recall /pin · Esc"
	case m.state == client.Stopped || m.state != client.Synced && m.problem != "":
		style, text = bad, m.problem
	case m.typingText() != "":
		text = m.typingText()
	case m.page.loading:
		text = "loading…"
	case m.page.up > 0 || !m.page.atEnd:
		text = "↓ more below: Ctrl+End goes to the end"
	case messages > 0 && !m.isWide():
		text = fmt.Sprintf("%d unread in %s: Ctrl+L", messages, plural(conversations, "conversation"))
	case !m.isWide():
		text = "F1 help · Ctrl+L list · Ctrl+C quit"
	default:
		text = "F1 help · Ctrl+L conversations · Ctrl+C quit"
	}
	return style, text
}

// cursor is where the input's cursor is on the screen.
func (m *Model) cursor() *tea.Cursor {
	if m.list.active {
		return nil
	}
	cursor := m.input.Cursor()
	if cursor == nil {
		return nil
	}
	cursor.Y += m.height - m.inputHeight()
	if m.isWide() {
		cursor.X += listWidth + 1
	}
	return cursor
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// say shows a sentence in the status line for a while.
func (m *Model) say(format string, args ...any) {
	m.flash = flash{text: fmt.Sprintf(format, args...), until: m.now().Add(flashFor)}
}

// complain shows what went wrong and what to do.
func (m *Model) complain(err error) {
	m.flash = flash{text: CleanLine(explain(err)), isBad: true, until: m.now().Add(2 * flashFor)}
}
