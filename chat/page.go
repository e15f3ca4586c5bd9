// SPDX-License-Identifier: Apache-2.0

// The messages of the open conversation: which run of its log is shown, how more is loaded, and where the eye is.

package chat

import (
	"cmp"
	"slices"

	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	pageEvents = 60  // asked for at a time
	pageMax    = 600 // events kept on the page; beyond, the far end is let go
	followMax  = 200 // the same while the page follows the end, where every new message lays it out again
)

// page is a run of a conversation's log.
type page struct {
	from, to tidemark.Seq // shown: from..to; from 0: nothing yet
	atEnd    bool         // to follows the head; otherwise the page is somewhere in the past
	atStart  bool         // nothing older can be seen
	loading  bool         // a call for more is under way
	failed   bool         // the last one failed: not asked again until the user moves
	messages []client.Message
	room     *client.Room // what is shown, if it is a room: there is nothing to load, and missing seqs were left out
	newFrom  tidemark.Seq // first unread message when the conversation was opened; 0 none
	selected tidemark.Seq // message that commands are about; 0: none

	blocks []block // messages as lines, see message.go
	lines  int     // of all blocks
	up     int     // lines between the bottom of the blocks and the bottom of the screen: 0 shows the last line
	stale  bool    // messages must be read again
	dirty  bool    // blocks must be made again
}

// show opens a conversation at its end.
func (m *Model) show(id tidemark.ConversationID) tea.Cmd {
	var draft tea.Cmd
	if id != m.open {
		m.leaveRoom(id)
		draft = m.saveDraft()
		c, _ := m.device.Conversation(id)
		m.loadDraft(c)
	}
	reply := m.mode.reply
	m.open, m.mode, m.panel = id, mode{}, nil
	m.mode.reply = reply
	m.page = page{atEnd: true, stale: true, dirty: true}
	m.list.choose(id)
	if id == "" {
		return draft
	}
	if c, ok := m.device.Conversation(id); ok && c.Unread > 0 {
		m.page.newFrom = tidemark.Seq(c.Self.GetReadSeq()) + 1
	}
	cmd := m.refresh()
	return tea.Batch(draft, cmd, m.load(client.Page{Latest: true, Limit: pageEvents}), m.learnMembers(id), m.markRead(), m.learnNames())
}

// refresh reads the page again from the device, if it is stale.
func (m *Model) refresh() tea.Cmd {
	p := &m.page
	if !p.stale || m.open == "" {
		return nil
	}
	p.stale, p.dirty = false, true
	if room, in := m.device.Room(m.open); in {
		return m.refreshRoom(room)
	}
	p.room = nil
	conversation, known := m.device.Conversation(m.open)
	if known && p.atEnd {
		p.to = conversation.Last()
		if p.up == 0 && p.selected == 0 && p.to > p.from+2*followMax {
			p.from, p.atStart = p.to-followMax, false
		}
	}
	var err error
	switch {
	case !known:
		p.messages = nil
	case p.from == 0:
		p.messages, err = m.device.Latest(m.open, pageEvents)
		p.messages = stored(p.messages)
		if len(p.messages) > 0 {
			p.from = p.messages[0].Seq
		}
	default:
		p.messages, err = m.device.Messages(m.open, p.from, p.to)
		p.messages = stored(p.messages)
	}
	if err != nil {
		m.complain(err)
	}
	if known && p.from > 0 && p.from <= max(conversation.Floor+1, tidemark.Seq(conversation.Self.GetVisibleFrom()), 1) {
		p.atStart = true
	}
	if p.atEnd {
		p.messages = append(p.messages, m.waiting()...)
	}
	m.layOut()
	return m.fill()
}

// stored leaves out what is only in the outbox: the page adds that itself, at the end.
func stored(messages []client.Message) []client.Message {
	return slices.DeleteFunc(messages, func(m client.Message) bool { return m.Seq == 0 })
}

// waiting are the user's own messages that the log does not have yet.
func (m *Model) waiting() []client.Message {
	var waiting []client.Message
	for _, out := range m.device.Outbox() {
		if out.Conversation != m.open && (out.ToUser == "" || tidemark.Direct(m.me, out.ToUser) != m.open) {
			continue
		}
		var body wire.Body
		if body.UnmarshalVT(out.Body) != nil || body.GetMessage() == nil {
			continue
		}
		waiting = append(waiting, client.Message{Conversation: m.open, TimeMs: out.CreatedMs, Sender: m.me, ClientID: out.ClientID,
			Kind: replica.KindMessage, Content: body.GetMessage(), State: out.State, Failure: out.Failure})
	}
	return waiting
}

// load asks for a page of history, from the device where it is stored, from the server where not.
func (m *Model) load(which client.Page) tea.Cmd {
	if m.page.loading || m.open == "" {
		return nil
	}
	if _, known := m.device.Conversation(m.open); !known {
		return nil
	}
	id := m.open
	m.page.loading = true
	ctx, device := m.ctx, m.device
	return func() tea.Msg {
		got, err := device.History(ctx, id, which)
		return answered(func(m *Model) tea.Cmd { return m.loaded(id, which, got, err) })
	}
}

// loaded takes a page of history.
func (m *Model) loaded(id tidemark.ConversationID, which client.Page, got client.HistoryPage, err error) tea.Cmd {
	if id != m.open {
		return nil // the user has gone elsewhere
	}
	p := &m.page
	p.loading, p.failed = false, err != nil
	if err != nil {
		if m.state == client.Synced {
			m.complain(err)
		}
		p.dirty = true
		return nil
	}
	first, last := bounds(got.Messages)
	switch {
	case which.AtMs > 0 || which.Start:
		if last == 0 {
			m.say("There is nothing that late; these are the last messages.")
			return m.toEnd()
		}
		c, _ := m.device.Conversation(id)
		p.from, p.to, p.atEnd, p.atStart = first, last, last >= c.Last(), which.Start
		p.stale = true
		cmd := m.refresh()
		p.up = max(p.lines-m.messagesHeight(), 0) // the first of them at the top
		return tea.Batch(cmd, m.fill(), m.learnNames())
	case which.Before > 0:
		p.atStart = !got.More || first == 0
		if first > 0 {
			p.from = min(p.from, first)
			m.trimEnd()
		}
	case which.After > 0:
		if last > p.to {
			p.to = last
		}
		c, _ := m.device.Conversation(id)
		p.atEnd = !got.More || p.to >= c.Last()
		m.trimStart()
	default: // the latest
		if first > 0 && (p.from == 0 || first < p.from) {
			p.from = first
		}
		p.atStart = !got.More && first > 0
	}
	p.stale = true
	return tea.Batch(m.refresh(), m.markRead(), m.learnNames())
}

func bounds(messages []client.Message) (first, last tidemark.Seq) {
	messages = stored(messages)
	if len(messages) == 0 {
		return 0, 0
	}
	return messages[0].Seq, messages[len(messages)-1].Seq
}

// trimEnd lets the newest go when the page has grown too long upwards.
func (m *Model) trimEnd() {
	if p := &m.page; p.to > p.from+pageMax {
		p.to, p.atEnd = p.from+pageMax, false
	}
}

// trimStart lets the oldest go when the page has grown too long downwards.
func (m *Model) trimStart() {
	if p := &m.page; p.to > p.from+pageMax {
		p.from, p.atStart = p.to-pageMax, false
	}
}

// fill asks for more when the eye is near an end that is not the end.
func (m *Model) fill() tea.Cmd {
	p := &m.page
	if m.open == "" || p.loading || p.failed || p.from == 0 {
		return nil
	}
	m.layOut()
	switch room := m.messagesHeight(); {
	case !p.atStart && p.lines-p.up < 2*room:
		return m.load(client.Page{Before: p.from, Limit: pageEvents})
	case !p.atEnd && p.up < room:
		return m.load(client.Page{After: p.to, Limit: pageEvents})
	}
	return nil
}

// scroll moves the eye: up by so many lines, down where negative.
func (m *Model) scroll(lines int) tea.Cmd {
	m.layOut()
	p := &m.page
	p.failed = false
	p.up = max(min(p.up+lines, p.lines-m.messagesHeight()), 0)
	return tea.Batch(m.fill(), m.markRead())
}

// toEnd shows the last messages again.
func (m *Model) toEnd() tea.Cmd {
	if m.page.atEnd {
		m.page.up, m.page.selected = 0, 0
		return m.markRead()
	}
	newFrom := m.page.newFrom
	cmd := m.show(m.open)
	m.page.newFrom = newFrom
	return cmd
}

// markRead tells the server how far the user has read: what is on the screen of a terminal in front.
func (m *Model) markRead() tea.Cmd {
	p := &m.page
	c, known := m.device.Conversation(m.open)
	if !m.focused || !known || !p.atEnd || p.up > 0 || p.to == 0 || c.Removed {
		return nil
	}
	if have := max(tidemark.Seq(c.Self.GetReadSeq()), c.PendingRead); p.to > have {
		if err := m.device.MarkRead(m.ctx, m.open, p.to); err != nil {
			m.complain(err)
		}
		m.list.reload(m.device)
	}
	return nil
}

// target is the message that a command is about: the selected one, else the last that want accepts.
func (m *Model) target(want func(*client.Message) bool) (client.Message, bool) {
	messages := m.page.messages
	if m.page.selected > 0 {
		at, found := slices.BinarySearchFunc(messages, m.page.selected, func(have client.Message, seq tidemark.Seq) int {
			if have.Seq == 0 {
				return 1
			}
			return cmp.Compare(have.Seq, seq)
		})
		if found {
			return messages[at], true
		}
	}
	for i := len(messages) - 1; i >= 0; i-- {
		if msg := &messages[i]; msg.Seq > 0 && msg.Content != nil && want(msg) {
			return *msg, true
		}
	}
	return client.Message{}, false
}

// move selects the next message up (-1) or down (1); past the last one nothing is selected.
func (m *Model) move(by int) tea.Cmd {
	p := &m.page
	var seqs []tidemark.Seq
	for _, msg := range p.messages {
		if msg.Seq > 0 && msg.Content != nil {
			seqs = append(seqs, msg.Seq)
		}
	}
	at, found := slices.BinarySearch(seqs, p.selected)
	switch {
	case len(seqs) == 0:
		return nil
	case p.selected == 0 && by < 0:
		at = len(seqs) - 1
	case p.selected == 0:
		return nil
	case !found && by > 0: // what was selected is gone; at is the next one
	default:
		at += by
	}
	p.dirty = true
	if at >= len(seqs) {
		p.selected = 0
		return m.toEnd()
	}
	p.selected = seqs[max(at, 0)]
	m.reveal(p.selected)
	return m.fill()
}

// reveal scrolls so that the message is on the screen.
func (m *Model) reveal(seq tidemark.Seq) {
	m.layOut()
	p, room, below := &m.page, m.messagesHeight(), 0
	for i := len(p.blocks) - 1; i >= 0; i-- {
		b := &p.blocks[i]
		if b.seq == seq {
			p.up = min(p.up, below)
			p.up = max(p.up, below+len(b.lines)-room, 0)
			return
		}
		below += len(b.lines)
	}
}

// learnMembers asks who is in a conversation and how far each has read, where there are few enough to show.
func (m *Model) learnMembers(id tidemark.ConversationID) tea.Cmd {
	c, known := m.device.Conversation(id)
	if !known || c.Removed || c.Info.GetMemberCount() > 200 {
		return nil
	}
	device, ctx := m.device, m.ctx
	return func() tea.Msg {
		members, err := device.Members(ctx, id)
		return answered(func(m *Model) tea.Cmd {
			if err != nil {
				return nil // offline: it is asked again when the conversation is opened again
			}
			for _, member := range members {
				m.names.meet(tidemark.UserID(member.User), id)
				m.read(id, tidemark.UserID(member.User), tidemark.Seq(member.ReadSeq))
			}
			return m.learnNames()
		})
	}
}
