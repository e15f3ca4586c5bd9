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

// helpLines is the help in height lines, from where it was scrolled to.
func (m *Model) helpLines(width, height int) []string {
	var all []string
	add := func(title string, rows [][2]string) {
		all = append(all, "", " "+strong.Render(title))
		for _, row := range rows {
			left := 22
			if width < 50 {
				left = 12
			}
			head := fit(m.measure, row[0], max(left-2, m.measure.StringWidth(row[0])))
			for i, line := range wrap(m.measure, row[1], width-left-2, max(m.measure.StringWidth(head)-left+2, 0)) {
				if i > 0 {
					head = strings.Repeat(" ", left-2)
				}
				all = append(all, "  "+m.measure.Truncate(good.Render(head)+"  "+line, width-2, "…"))
			}
		}
	}
	add("Keys", keyHelp)
	rows := make([][2]string, 0, len(commands))
	for _, c := range commands {
		rows = append(rows, [2]string{strings.TrimSpace("/" + c.name + " " + c.args), c.help})
	}
	add("Commands", rows)
	add("Signs", signHelp)
	room := max(height-1, 1)
	m.helpTop = max(min(m.helpTop, len(all)-room), 0)
	lines := append([]string{m.bar(" Help: ↑ ↓ PgUp PgDn, any other key closes", "", width)}, all[m.helpTop:min(m.helpTop+room, len(all))]...)
	for len(lines) < height {
		lines = append(lines, "")
	}
	return lines
}
