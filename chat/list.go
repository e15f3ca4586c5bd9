// SPDX-License-Identifier: Apache-2.0

// The conversation list: pinned first, then by activity, with what is unread.

package chat

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
)

// list is the conversation list as shown.
type list struct {
	rows   []*client.Conversation
	at     tidemark.ConversationID // the row that the cursor is on
	top    int                     // first row shown
	active bool                    // keys go to the list
}

// reload reads the list from the device.
func (l *list) reload(device Device) {
	l.rows = slices.DeleteFunc(slices.Clone(device.Conversations()), func(c *client.Conversation) bool {
		return c.Removed || c.Self.GetHidden() && c.Unread == 0
	})
	slices.SortStableFunc(l.rows, func(a, b *client.Conversation) int {
		if pinned := a.Self.GetPinned(); pinned != b.Self.GetPinned() {
			if pinned {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.LastTimeMs, a.LastTimeMs), cmp.Compare(a.ID, b.ID))
	})
}

func (l *list) first() tidemark.ConversationID {
	if len(l.rows) == 0 {
		return ""
	}
	return l.rows[0].ID
}

func (l *list) index(id tidemark.ConversationID) int {
	return slices.IndexFunc(l.rows, func(c *client.Conversation) bool { return c.ID == id })
}

func (l *list) choose(id tidemark.ConversationID) { l.at = id }

// step moves the cursor by so many rows.
func (l *list) step(by int) tidemark.ConversationID {
	if len(l.rows) == 0 {
		return ""
	}
	l.at = l.rows[max(min(l.index(l.at)+by, len(l.rows)-1), 0)].ID
	return l.at
}

// unread is how many messages wait in other conversations than this one, and in how many; muted ones do not count.
func (l *list) unread(but tidemark.ConversationID) (messages uint64, conversations int) {
	for _, c := range l.rows {
		if c.ID != but && c.Unread > 0 && !c.Self.GetMuted() {
			messages += c.Unread
			conversations++
		}
	}
	return messages, conversations
}

// listLines is the list in height lines of exactly width cells.
func (m *Model) listLines(width, height int) []string {
	l := &m.list
	at := max(l.index(l.at), 0)
	l.top = max(min(l.top, at), at-height+1, 0)
	lines := make([]string, 0, height)
	for i := l.top; i < len(l.rows) && len(lines) < height; i++ {
		lines = append(lines, m.listRow(l.rows[i], width))
	}
	if len(l.rows) == 0 && height > 1 {
		lines = append(lines, dim.Render(fit(m.measure, " nothing yet", width)), dim.Render(fit(m.measure, " /to @somebody", width)))
	}
	for len(lines) < height {
		lines = append(lines, strings.Repeat(" ", width))
	}
	return lines
}

func (m *Model) listRow(c *client.Conversation, width int) string {
	count := ""
	switch {
	case c.Mentions > 0:
		count = fmt.Sprintf(" @%s", short(c.Unread))
	case c.Unread > 0:
		count = " " + short(c.Unread)
	case c.Self.GetMarkedUnread():
		count = " •"
	}
	mark := "#"
	switch _, direct := c.ID.Peer(m.me); {
	case c.Self.GetPinned():
		mark = "⚑"
	case direct:
		mark = "@"
	}
	countWidth := m.measure.StringWidth(count)
	left := fit(m.measure, " "+mark+m.titleOf(c), width-countWidth-1)
	switch {
	case m.list.active && c.ID == m.list.at:
		return chosen.Render(left + count + " ")
	case c.ID == m.open:
		return strong.Reverse(!m.list.active).Render(left + count + " ")
	case c.Self.GetMuted():
		return dim.Render(left + count + " ")
	case c.Mentions > 0:
		return strong.Render(left) + loud.Render(count) + " "
	case count != "":
		return strong.Render(left) + good.Render(count) + " "
	}
	return left + count + " "
}

// short is a count in at most four cells.
func short(n uint64) string {
	switch {
	case n < 1000:
		return fmt.Sprint(n)
	case n < 100_000:
		return fmt.Sprintf("%dk", n/1000)
	}
	return "99k+"
}
