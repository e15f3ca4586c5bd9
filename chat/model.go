// SPDX-License-Identifier: Apache-2.0

// The screen's state, and how each message of Bubble Tea changes it. Everything here is owned by the program's loop.

package chat

import (
	"cmp"
	"context"
	"time"

	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
)

// Config of a screen.
type Config struct {
	Device       Device
	User         tidemark.UserID             // who the device is, which it may not know before it has connected; empty: it knows
	Connect      func(context.Context) error // keeps the device connected until the context ends, as [client.Client.Run] does; nil: the caller does
	Peer         tidemark.UserID             // whose direct conversation to open; empty: none
	Conversation tidemark.ConversationID     // which conversation to open; empty: the one of Peer, or the most recent
	Zone         *time.Location              // of the times shown; nil: the machine's
	Now          func() time.Time            // nil: time.Now
}

// Model is the screen. Use [NewModel].
type Model struct {
	ctx    context.Context // ends what was asked of the server, with the program
	device Device
	me     tidemark.UserID
	zone   *time.Location
	now    func() time.Time

	width, height int
	measure       measure
	focused       bool // the terminal is in front, as far as it tells

	list  list
	open  tidemark.ConversationID // shown now; empty: none
	page  page                    // of it
	input textarea.Model
	mode  mode
	names names
	marks map[tidemark.ConversationID]map[tidemark.UserID]tidemark.Seq // read marks of others, as far as heard
	typed typing
	lost  lost

	state    client.ConnectionState
	problem  string // why the connection ended
	flash    flash
	panel    panel // what stands in the place of the conversation; nil: nothing
	panelTop int   // its first line shown
}

// mode is what Enter will do with the input: send it, or change or answer the message at seq.
type mode struct {
	edit, reply tidemark.Seq
}

// flash is a sentence in the status line, until the next key or the time given.
type flash struct {
	text  string
	isBad bool
	until time.Time
}

const flashFor = 8 * time.Second

// Messages of the program to itself.
type (
	notes    []client.Event          // what the device told, in order
	tick     struct{}                // once a second while something runs out
	answered func(m *Model) tea.Cmd  // a command that ran beside the model has ended: apply it
	opened   tidemark.ConversationID // open this conversation
)

// NewModel makes a screen. ctx ends the calls to the server that it has running.
func NewModel(ctx context.Context, cfg Config) *Model {
	m := &Model{
		ctx: ctx, device: cfg.Device, me: cmp.Or(cfg.User, cfg.Device.User()), zone: cfg.Zone, now: cfg.Now,
		width: 80, height: 24, focused: true, state: cfg.Device.State(),
		marks: map[tidemark.ConversationID]map[tidemark.UserID]tidemark.Seq{},
		typed: typing{others: map[tidemark.ConversationID]map[tidemark.UserID]time.Time{}},
		names: names{known: map[tidemark.UserID]string{}, asked: map[tidemark.UserID]bool{}},
		input: newInput(),
	}
	if m.zone == nil {
		m.zone = time.Local
	}
	if m.now == nil {
		m.now = time.Now
	}
	m.open = cfg.Conversation
	if m.open == "" && cfg.Peer != "" {
		m.open = tidemark.Direct(m.me, cfg.Peer)
	}
	return m
}

// Init implements [tea.Model].
func (m *Model) Init() tea.Cmd {
	m.list.reload(m.device)
	if m.open == "" {
		m.open = m.list.first()
	}
	return tea.Batch(m.input.Focus(), m.show(m.open), everySecond())
}

func everySecond() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tick{} })
}

// Update implements [tea.Model].
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	return m, m.update(msg)
}

func (m *Model) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		return m.resize(msg.Width, msg.Height)
	case tea.ModeReportMsg:
		return m.learnWidths(msg)
	case tea.FocusMsg:
		m.focused = true
		return m.markRead()
	case tea.BlurMsg:
		m.focused = false
		return nil
	case tea.KeyPressMsg:
		return m.key(msg)
	case notes:
		return m.heard(msg)
	case tick:
		return m.second()
	case answered:
		return msg(m)
	case opened:
		return m.show(tidemark.ConversationID(msg))
	}
	return m.edit(msg) // pasted text, and what the input tells itself
}

// resize takes the terminal's new size. What stood at the bottom stays there.
func (m *Model) resize(width, height int) tea.Cmd {
	m.width, m.height = width, height
	m.input.SetWidth(max(m.paneWidth(), 4))
	m.page.dirty = true
	return m.fill()
}

// learnWidths follows the renderer: where the terminal knows graphemes, both count cells by them.
func (m *Model) learnWidths(msg tea.ModeReportMsg) tea.Cmd {
	if msg.Mode == ansi.ModeUnicodeCore && (msg.Value == ansi.ModeReset || msg.Value == ansi.ModeSet || msg.Value == ansi.ModePermanentlySet) {
		m.measure = ansi.GraphemeWidth
		m.page.dirty = true
	}
	return nil
}

// heard takes what the device told.
func (m *Model) heard(events notes) tea.Cmd {
	listChanged := false
	for _, event := range events {
		switch event := event.(type) {
		case client.Arrived:
			listChanged = true
			m.typed.stopped(event.Message.Conversation, event.Message.Sender)
			m.touch(event.Message.Conversation)
		case client.Changed:
			m.touch(event.Conversation)
		case client.Missed:
			listChanged = true
			m.touch(event.Conversation)
		case client.HistoryChanged:
			m.touch(event.Conversation)
			m.sayHistory(event)
		case client.ServerBehind:
			m.touch(event.Conversation)
			m.sayBehind(event)
		case client.ConversationChanged:
			listChanged = true
			m.touch(event.Conversation)
		case client.OutgoingChanged:
			m.touch(event.Conversation)
		case client.RoomEvent:
			m.typed.stopped(event.Room, event.Message.Sender)
			m.touch(event.Room)
		case client.RoomMissed:
			m.touch(event.Room)
		case client.RoomChanged:
			m.roomChanged(event)
		case client.ReceiptChanged:
			m.read(event.Conversation, event.User, event.Read)
			m.touch(event.Conversation)
		case client.ProfileChanged:
			m.names.forget(event.User)
			m.page.dirty = true
		case client.TypingChanged:
			m.typed.heard(event, m.now())
		case client.TransientMessage:
			m.transient(event)
		case client.StateChanged:
			listChanged = true
			m.connection(event)
		}
	}
	if listChanged {
		m.list.reload(m.device)
		if m.open == "" {
			if first := m.list.first(); first != "" {
				return m.show(first)
			}
		}
	}
	return tea.Batch(m.refresh(), m.markRead(), m.learnNames())
}

// connection takes how far the connection is. Why the last one ended is kept until there is another.
func (m *Model) connection(event client.StateChanged) {
	m.state = event.State
	switch {
	case event.Err != nil:
		m.problem = CleanLine(explain(event.Err))
	case event.State == client.Synced || event.State == client.CatchingUp:
		m.problem = ""
	}
	if event.State == client.Synced {
		m.page.stale, m.page.failed = true, false
	}
}

// transient shows a message that is stored nowhere, for a moment.
func (m *Model) transient(event client.TransientMessage) {
	if event.Conversation == m.open && event.Content.GetText() != "" {
		m.say("%s: %s", m.names.of(event.Sender), CleanLine(event.Content.Text))
	}
}

// touch remembers that a conversation's page must be read again.
func (m *Model) touch(id tidemark.ConversationID) {
	if id == m.open {
		m.page.stale = true
	}
}

// second lets go of what has run out.
func (m *Model) second() tea.Cmd {
	now := m.now()
	m.typed.expire(now)
	if !m.flash.until.IsZero() && now.After(m.flash.until) {
		m.flash = flash{}
	}
	return tea.Batch(everySecond(), m.stopTyping(now))
}

// read moves another member's read mark.
func (m *Model) read(id tidemark.ConversationID, user tidemark.UserID, seq tidemark.Seq) {
	if user == m.me {
		return
	}
	if m.marks[id] == nil {
		m.marks[id] = map[tidemark.UserID]tidemark.Seq{}
	}
	m.marks[id][user] = max(m.marks[id][user], seq)
	if id == m.open {
		m.page.dirty = true
	}
}

// ask runs a call to the server beside the model and applies its answer when it comes.
func (m *Model) ask(call func(ctx context.Context) (apply func(m *Model) tea.Cmd, err error)) tea.Cmd {
	ctx := m.ctx
	return func() tea.Msg {
		apply, err := call(ctx)
		return answered(func(m *Model) tea.Cmd {
			if err != nil {
				m.complain(err)
				return nil
			}
			if apply == nil {
				return nil
			}
			return apply(m)
		})
	}
}
