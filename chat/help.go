// SPDX-License-Identifier: Apache-2.0

// The help: keys, commands, signs.

package chat

import "strings"

var keyHelp = [][2]string{
	{"Enter", "send"}, {"Alt+Enter, Ctrl+J", "new line"}, {"↑", "edit your last message (when nothing is typed)"},
	{"PgUp, PgDn", "scroll; older messages are loaded as you go"}, {"Ctrl+↑, Ctrl+↓", "scroll one line"},
	{"Ctrl+Home, Ctrl+End", "first message, last message"}, {"Alt+↑, Alt+↓", "select a message; Enter answers it"},
	{"Ctrl+L, Tab", "conversation list: ↑ ↓ Enter Esc"}, {"Ctrl+N, Ctrl+P", "next conversation, the one before"},
	{"Tab", "complete a command or a name"}, {"Esc", "leave what you are in; at last, go to the end"},
	{"F1", "this help"}, {"Ctrl+C", "quit"},
}

var signHelp = [][2]string{
	{"◌", "in the outbox of this device"}, {"✓", "sent; green: the server has it"}, {"✓✓", "received by another; bright: read"},
	{"✗", "refused"}, {"@", "mentions you"}, {"⚑", "pinned"},
}

// panel is what may stand in the place of the conversation: a title, and its lines at a width.
type panel func(m *Model, width int) (title string, lines []string)

// showPanel opens a panel at its beginning.
func (m *Model) showPanel(p panel) { m.panel, m.panelTop = p, 0 }

// togglePanel opens a panel, or closes the one that is open.
func (m *Model) togglePanel(p panel) {
	if m.panel != nil {
		p = nil
	}
	m.showPanel(p)
}

// showRows opens a panel of rows with a head and a text.
func (m *Model) showRows(title string, rows [][2]string) {
	m.showPanel(func(m *Model, width int) (string, []string) {
		if len(rows) == 0 {
			return title, []string{"", dim.Render("  nothing")}
		}
		return title, m.rowLines(rows, width)
	})
}

// panelLines is the panel in height lines, from where it was scrolled to.
func (m *Model) panelLines(width, height int) []string {
	title, all := m.panel(m, width)
	room := max(height-1, 1)
	m.panelTop = max(min(m.panelTop, len(all)-room), 0)
	lines := append([]string{m.bar(" "+title+": ↑ ↓ PgUp PgDn, any other key closes", "", width)}, all[m.panelTop:min(m.panelTop+room, len(all))]...)
	for len(lines) < height {
		lines = append(lines, "")
	}
	return lines
}

// rowLines are rows of a head and a text, wrapped.
func (m *Model) rowLines(rows [][2]string, width int) (all []string) {
	left := 22
	if width < 50 {
		left = 12
	}
	for _, row := range rows {
		head := fit(m.measure, row[0], max(left-2, m.measure.StringWidth(row[0])))
		for i, line := range wrap(m.measure, row[1], width-left-2, max(m.measure.StringWidth(head)-left+2, 0)) {
			if i > 0 {
				head = strings.Repeat(" ", left-2)
			}
			all = append(all, "  "+m.measure.Truncate(good.Render(head)+"  "+line, width-2, "…"))
		}
	}
	return all
}

// helpPanel is the help.
func (m *Model) helpPanel(width int) (string, []string) {
	var all []string
	add := func(title string, rows [][2]string) {
		all = append(append(all, "", " "+strong.Render(title)), m.rowLines(rows, width)...)
	}
	add("Keys", keyHelp)
	rows := make([][2]string, 0, len(commands))
	for _, c := range commands {
		rows = append(rows, [2]string{strings.TrimSpace("/" + c.name + " " + c.args), c.help})
	}
	add("Commands", rows)
	add("Signs", signHelp)
	return "Help", all
}
