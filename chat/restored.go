// SPDX-License-Identifier: Apache-2.0

// What is said when a server was restored from an older copy, and how own messages that it lost are sent again.

package chat

import (
	"context"
	"errors"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"github.com/tidemark-im/tidemark/client"
)

// lostMax is how many lost messages are kept to be sent again: the last.
const lostMax = 1000

// lost are own messages that a server has lost, as far as this program has heard: to be sent again, or thrown away.
type lost []client.Message

func (l *lost) add(event client.HistoryChanged) {
	*l = append(*l, event.Own...)
	*l = (*l)[len(*l)-min(len(*l), lostMax):]
}

// again sends all of them again; those that could not be stay.
func (l *lost) again(ctx context.Context, device writer) (n int, err error) {
	for ; len(*l) > 0 && err == nil; n++ {
		if err = device.Resend(ctx, (*l)[0]); err != nil {
			return n, err
		}
		*l = (*l)[1:]
	}
	return n, nil
}

// sayBehind tells that the server lacks messages that are here, or has them again.
func (m *Model) sayBehind(event client.ServerBehind) {
	if event.To == 0 {
		m.say("The server has all of %s again.", m.title(event.Conversation))
		return
	}
	m.say("The server was restored and lacks the last messages of %s; they are kept here and given back if it takes them.", m.title(event.Conversation))
}

// sayHistory tells that the history was rewritten, and how many own messages were lost by it.
func (m *Model) sayHistory(event client.HistoryChanged) {
	m.lost.add(event)
	if n := len(event.Own) + int(event.OwnEarlier); n > 0 {
		m.say("The server's history of %s changed here; of your messages it has lost %d: /lost shows, /lost again sends what was lost.", m.title(event.Conversation), n)
		return
	}
	m.say("The server's history of %s changed here; it is being read again.", m.title(event.Conversation))
}

// commandLost shows one's own messages that the server has lost, sends them again, or forgets them.
func (m *Model) commandLost(rest string) tea.Cmd {
	switch rest {
	case "":
		var rows [][2]string
		for _, msg := range m.lost {
			rows = append(rows, [2]string{m.moment(msg.TimeMs), m.title(msg.Conversation) + ": " + CleanLine(msg.Text())})
		}
		m.showRows("Lost by the server", rows)
		return nil
	case "again":
		n, err := m.lost.again(m.ctx, m.device)
		if err != nil {
			m.complain(err)
			return nil
		}
		m.say("%s sent again.", plural(n, "message"))
		m.page.stale = true
		return m.refresh()
	case "forget":
		m.say("%s forgotten.", plural(len(m.lost), "message"))
		m.lost = nil
		return nil
	}
	m.complain(errors.New("say /lost, /lost again or /lost forget"))
	return nil
}

// changed tells of own messages that the server has lost, line by line; /lost again, as a line, sends them.
func (p *printer) changed(event client.HistoryChanged) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(event.Own) == 0 {
		return
	}
	p.lost.add(event)
	for _, msg := range event.Own {
		p.complain(fmt.Errorf("the server has lost your message to %s: %s", msg.Conversation, msg.Text()))
	}
	if event.OwnEarlier > 0 {
		p.complain(fmt.Errorf("and %d before these", event.OwnEarlier))
	}
	p.complain(errors.New("the line /lost again sends what is lost again"))
}
