// SPDX-License-Identifier: Apache-2.0

// What can be said with a slash.

package chat

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// command is one word after a slash.
type command struct {
	name string
	args string // for the help
	help string
	run  func(m *Model, rest string) tea.Cmd
}

// commands in the order of the help.
var commands []command

func init() { // the help is a command that lists the commands
	commands = []command{
		{"to", "@USER [TEXT]", "open the conversation with a user, and say TEXT", (*Model).commandTo},
		{"join", "CONVERSATION", "join an open conversation, ask to join another, or open one of yours", (*Model).commandJoin},
		{"enter", "ROOM", "enter a room; showing something else, or /leave, leaves it", (*Model).commandEnter},
		{"attributes", "[KEY VALUE]", "show the attributes of this room, or set one; without VALUE remove it", (*Model).commandAttributes},
		{"create", "ID [TITLE]", "make a group", (*Model).commandCreate},
		{"invite", "@USER…", "add users to this group", (*Model).commandInvite},
		{"kick", "@USER…", "take users out of this group", (*Model).commandKick},
		{"leave", "", "leave this group", (*Model).commandLeave},
		{"members", "", "say who is here", (*Model).commandMembers},
		{"title", "TITLE", "change the title of this group", (*Model).commandTitle},
		{"announce", "TEXT", "set the announcement of this group", (*Model).commandAnnounce},
		{"role", "@USER admin|member", "change what a member may do", (*Model).commandRole},
		{"mute", "@USER… [MINUTES]", "keep members from writing for a time (60 minutes); 0 ends it; all mutes everybody", (*Model).commandMute},
		{"transfer", "@USER", "give this group to a member", (*Model).commandTransfer},
		{"dissolve", "", "end this group for everybody", (*Model).commandDissolve},
		{"requests", "[accept|refuse @USER…]", "show who asks to join, or answer", (*Model).commandRequests},
		{"my", "pin|mute|hide|unread|alias", "change how this conversation stands in your list; again takes it back; alias NAME names it", (*Model).commandMy},
		{"contacts", "", "show your contacts and requests", (*Model).commandContacts},
		{"contact", "ask|accept|refuse|remove|block|unblock|remark @USER [TEXT]", "change how you stand to a user", (*Model).commandContact},
		{"seen", "@USER…", "say who is online, or was last seen when", (*Model).commandSeen},
		{"devices", "[signout ID|all]", "show your devices, or sign one out", (*Model).commandDevices},
		{"options", "[presence|typing|strangers on|off]", "say whether others see that you are online, that you type, and whether strangers may write to you", (*Model).commandOptions},
		{"nick", "NAME", "change your nickname", (*Model).commandNick},
		{"me", "TEXT", "say what you do", (*Model).commandMe},
		{"reply", "[TEXT]", "answer the selected message, or the last of another", (*Model).commandReply},
		{"edit", "[TEXT]", "change the selected message, or your last", (*Model).commandEdit},
		{"recall", "", "take back the selected message, or your last", (*Model).commandRecall},
		{"react", "EMOJI", "react to the selected message, or the last of another; again takes it back", (*Model).commandReact},
		{"pin", "", "pin the selected message, or unpin it", (*Model).commandPin},
		{"thread", "[TEXT]", "answer in the thread of the selected message; without TEXT show the thread", (*Model).commandThread},
		{"forward", "CONVERSATION", "send the selected message on, with where it comes from", (*Model).commandForward},
		{"delete", "", "delete the selected message for you alone", (*Model).commandDelete},
		{"clear", "", "delete this conversation's history for you alone", (*Model).commandClear},
		{"readers", "", "say who has read the selected message, or your last", (*Model).commandReaders},
		{"reacted", "", "say who has reacted to the selected message", (*Model).commandReacted},
		{"pins", "", "show the pinned messages", (*Model).commandPins},
		{"mentions", "", "show the messages that mention you", (*Model).commandMentions},
		{"later", "TIME TEXT", "send TEXT at a time: 18:30, or 2026-12-24T18:30", (*Model).commandLater},
		{"scheduled", "[cancel N]", "show what waits to be sent, or take the Nth back", (*Model).commandScheduled},
		{"goto", "DATE [TIME]", "go to a day: 2004-12-05, 2004-12-05 18:30, yesterday, start, end", (*Model).commandGoto},
		{"retry", "", "send again what was refused", (*Model).commandRetry},
		{"discard", "", "throw away what was refused", (*Model).commandDiscard},
		{"lost", "[again|forget]", "show your messages that a restored server has lost; again sends them", (*Model).commandLost},
		{"help", "", "show this", func(m *Model, _ string) tea.Cmd { m.showPanel((*Model).helpPanel); return nil }},
		{"quit", "", "leave the program", func(m *Model, _ string) tea.Cmd { m.typingEnds(); return tea.Quit }},
	}
}

// command runs what was typed. What fails stays in the input.
func (m *Model) command(text string) tea.Cmd {
	name, rest, _ := strings.Cut(strings.TrimPrefix(text, "/"), " ")
	rest = strings.TrimSpace(rest)
	for i := range commands {
		if commands[i].name == name {
			m.setInput("")
			m.typingEnds()
			return commands[i].run(m, rest)
		}
	}
	m.complain(fmt.Errorf("there is no /%s; /help lists what there is, and //text says /text", CleanLine(name)))
	return nil
}

// send puts a message into the outbox: a new one, or what the mode says.
func (m *Model) send(kind, text string) tea.Cmd {
	if m.open == "" {
		m.complain(errors.New("no conversation is open: /to @user or /join opens one"))
		return nil
	}
	msg := &wire.Message{Type: kind, Text: text, ReplyTo: uint64(m.mode.reply)}
	msg.Mentions, msg.MentionAll = m.mentions(text)
	var err error
	_, known := m.device.Conversation(m.open)
	switch peer, direct := m.open.Peer(m.me); {
	case m.mode.edit > 0:
		if old, found := m.find(m.mode.edit); found && old.Content != nil {
			msg.Type, msg.ReplyTo, msg.Thread, msg.Class, msg.Data = old.Content.Type, old.Content.ReplyTo, old.Content.Thread, old.Content.Class, old.Content.Data
		}
		_, err = m.device.EditMessage(m.ctx, m.open, m.mode.edit, msg)
	case direct && !known:
		_, err = m.device.SendMessageTo(m.ctx, peer, msg)
	default:
		_, err = m.device.SendMessage(m.ctx, m.open, msg)
	}
	if err != nil {
		m.complain(err)
		return nil
	}
	m.mode = mode{}
	m.page.selected, m.page.newFrom = 0, 0
	m.setInput("")
	m.typingEnds()
	m.page.stale = true
	return tea.Batch(m.toEnd(), m.refresh())
}

var mention = regexp.MustCompile(`(?:^|\s)@([A-Za-z0-9._:+#-]+)`)

// mentions are the users here whom a text names with an @.
func (m *Model) mentions(text string) (users []string, all bool) {
	here := m.peopleHere()
	for _, match := range mention.FindAllStringSubmatch(text, -1) {
		name := strings.TrimRight(match[1], ".:")
		switch {
		case name == "all":
			all = true
		case slices.Contains(here, tidemark.UserID(name)) && !slices.Contains(users, name):
			users = append(users, name)
		}
	}
	return users, all
}

func (m *Model) commandTo(rest string) tea.Cmd {
	name, text, _ := strings.Cut(rest, " ")
	peer := tidemark.UserID(strings.TrimPrefix(name, "@"))
	if !peer.Valid() || peer == m.me {
		m.complain(errors.New("say /to @user: somebody else's user id"))
		return nil
	}
	cmd := m.show(tidemark.Direct(m.me, peer))
	if text = strings.TrimSpace(text); text != "" {
		m.mode = mode{}
		return tea.Batch(cmd, m.send("text", text))
	}
	return cmd
}

func (m *Model) commandJoin(rest string) tea.Cmd {
	id := tidemark.ConversationID(rest)
	if c, known := m.device.Conversation(id); known && !c.Removed {
		return m.show(id)
	}
	if !id.Valid() {
		m.complain(fmt.Errorf("say /join CONVERSATION: its id, %s", tidemark.IDAlphabet))
		return nil
	}
	device := m.device
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		asked, err := device.AskToJoin(ctx, id, "")
		return func(m *Model) tea.Cmd {
			if asked {
				m.say("Asked. An admin of %s will answer.", CleanLine(string(id)))
				return nil
			}
			return m.show(id)
		}, err
	})
}

func (m *Model) commandCreate(rest string) tea.Cmd {
	id, title, _ := strings.Cut(rest, " ")
	if !tidemark.ConversationID(id).Valid() {
		m.complain(fmt.Errorf("say /create ID [TITLE]: the id is %s", tidemark.IDAlphabet))
		return nil
	}
	request := &wire.CreateRequest{Id: id, Kind: wire.Kind_GROUP, Title: strings.TrimSpace(title)}
	device := m.device
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		made, err := device.CreateConversation(ctx, request)
		return func(m *Model) tea.Cmd {
			cmd := m.show(made)
			m.say("Made %s. /invite @user adds people.", CleanLine(string(made)))
			return cmd
		}, err
	})
}

func (m *Model) commandInvite(rest string) tea.Cmd {
	users, device, open := usersOf(rest), m.device, m.open
	return m.askAbout(users, "/invite @user…", func(ctx context.Context) error { return device.AddMembers(ctx, open, users...) })
}

func (m *Model) commandKick(rest string) tea.Cmd {
	users, device, open := usersOf(rest), m.device, m.open
	return m.askAbout(users, "/kick @user…", func(ctx context.Context) error { return device.RemoveMembers(ctx, open, users...) })
}

// askAbout runs a call that concerns users of the open conversation, and reads its members again.
func (m *Model) askAbout(users []tidemark.UserID, usage string, call func(ctx context.Context) error) tea.Cmd {
	if len(users) == 0 || m.open == "" {
		m.complain(fmt.Errorf("say %s, in an open group", usage))
		return nil
	}
	open := m.open
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		return func(m *Model) tea.Cmd { return m.learnMembers(open) }, call(ctx)
	})
}

func usersOf(rest string) []tidemark.UserID {
	var users []tidemark.UserID
	for _, name := range strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == ',' }) {
		users = append(users, tidemark.UserID(strings.TrimPrefix(name, "@")))
	}
	return users
}

func (m *Model) commandLeave(string) tea.Cmd {
	if _, room := m.device.Room(m.open); room {
		left := m.title(m.open)
		cmd := m.show(m.list.first())
		m.say("You have left %s.", left)
		return cmd
	}
	if _, known := m.device.Conversation(m.open); !known {
		m.complain(errors.New("no conversation is open to be left"))
		return nil
	}
	device, open := m.device, m.open
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		return func(m *Model) tea.Cmd {
			m.say("You have left %s.", m.title(open))
			m.list.reload(m.device)
			return nil
		}, device.Leave(ctx, open)
	})
}

func (m *Model) commandMembers(string) tea.Cmd {
	device, open := m.device, m.open
	if open == "" {
		return nil
	}
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		members, err := device.Members(ctx, open)
		return func(m *Model) tea.Cmd {
			byRole(members)
			ids, roles := make([]string, 0, len(members)), map[string]string{}
			for _, member := range members {
				ids = append(ids, member.User)
				roles[member.User] = roleSign(member.Role)
			}
			m.say("%d: %s", len(ids), some(ids, func(id string) string { return m.names.of(tidemark.UserID(id)) + roles[id] }))
			m.flash.until = m.flash.until.Add(time.Minute)
			return nil
		}, err
	})
}

func (m *Model) commandTitle(rest string) tea.Cmd {
	if rest == "" || m.open == "" {
		m.complain(errors.New("say /title TITLE, in an open group"))
		return nil
	}
	device, request := m.device, &wire.UpdateRequest{Conversation: string(m.open), Title: &rest}
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		return nil, device.UpdateConversation(ctx, request)
	})
}

func (m *Model) commandNick(rest string) tea.Cmd {
	if rest == "" {
		m.complain(errors.New("say /nick NAME"))
		return nil
	}
	device, me := m.device, m.me
	return m.ask(func(ctx context.Context) (func(*Model) tea.Cmd, error) {
		return func(m *Model) tea.Cmd {
			m.names.known[me] = CleanLine(rest)
			m.page.dirty = true
			return nil
		}, device.UpdateProfile(ctx, &wire.UpdateUserRequest{Nickname: &rest})
	})
}

func (m *Model) commandMe(rest string) tea.Cmd {
	if rest == "" {
		m.complain(errors.New("say /me and what you do"))
		return nil
	}
	return m.send("action", rest)
}

func (m *Model) commandReply(rest string) tea.Cmd {
	msg, found := m.target(func(msg *client.Message) bool { return msg.Sender != m.me })
	if !found {
		m.complain(errors.New("there is no message to answer; Alt+↑ selects one"))
		return nil
	}
	m.mode = mode{reply: msg.Seq}
	m.page.selected, m.page.dirty = 0, true
	if rest == "" {
		return nil
	}
	return m.send("text", rest)
}

func (m *Model) commandEdit(rest string) tea.Cmd {
	if cmd := m.startEdit(); m.mode.edit == 0 {
		if m.flash.text == "" {
			m.complain(errors.New("there is no message of yours to edit"))
		}
		return cmd
	}
	if rest == "" {
		return nil
	}
	return m.send("text", rest)
}

func (m *Model) commandRecall(string) tea.Cmd {
	msg, found := m.target(func(msg *client.Message) bool { return msg.Sender == m.me })
	return m.about(found, "there is no message of yours to take back", func() error {
		_, err := m.device.Recall(m.ctx, m.open, msg.Seq, "")
		return err
	})
}

func (m *Model) commandReact(rest string) tea.Cmd {
	if rest == "" || len(rest) > 64 {
		m.complain(errors.New("say /react and an emoji"))
		return nil
	}
	msg, found := m.target(func(msg *client.Message) bool { return msg.Sender != m.me })
	mine := slices.ContainsFunc(msg.Reactions, func(r client.Reaction) bool { return r.Key == rest && r.Mine })
	return m.about(found, "there is no message to react to; Alt+↑ selects one", func() error {
		_, err := m.device.React(m.ctx, m.open, msg.Seq, rest, mine)
		return err
	})
}

func (m *Model) commandPin(string) tea.Cmd {
	msg, found := m.target(func(*client.Message) bool { return true })
	return m.about(found, "there is no message to pin", func() error {
		_, err := m.device.Pin(m.ctx, m.open, msg.Seq, msg.PinSeq > 0)
		return err
	})
}

// about puts something about a message into the outbox.
func (m *Model) about(found bool, otherwise string, put func() error) tea.Cmd {
	if !found {
		m.complain(errors.New(otherwise))
		return nil
	}
	if err := put(); err != nil {
		m.complain(err)
		return nil
	}
	m.page.selected, m.page.stale = 0, true
	return m.refresh()
}

func (m *Model) commandGoto(rest string) tea.Cmd {
	switch rest {
	case "start":
		return m.load(client.Page{Start: true, Limit: pageEvents})
	case "end", "now":
		m.page.dirty = true
		return m.toEnd()
	}
	at, err := parseMoment(rest, m.now().In(m.zone))
	if err != nil {
		m.complain(err)
		return nil
	}
	return m.load(client.Page{AtMs: uint64(max(at.UnixMilli(), 1)), Limit: pageEvents})
}

// parseMoment reads a day, or a day and a time, in the zone of now.
func parseMoment(s string, now time.Time) (time.Time, error) {
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch s {
	case "today":
		return today, nil
	case "yesterday":
		return today.AddDate(0, 0, -1), nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01"} {
		if at, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return at, nil
		}
	}
	if at, err := time.Parse("15:04", s); err == nil {
		return today.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute), nil
	}
	return time.Time{}, errors.New("say /goto 2004-12-05, /goto 2004-12-05 18:30, /goto yesterday, /goto start or /goto end")
}

func (m *Model) commandRetry(string) tea.Cmd {
	return m.refused("sent again", func(id tidemark.ClientID) error { return m.device.Retry(m.ctx, id) })
}

func (m *Model) commandDiscard(string) tea.Cmd {
	return m.refused("thrown away", func(id tidemark.ClientID) error { return m.device.Discard(m.ctx, id) })
}

// refused does something with everything in the outbox that the server refused.
func (m *Model) refused(done string, do func(id tidemark.ClientID) error) tea.Cmd {
	n := 0
	for _, out := range m.device.Outbox() {
		if out.State != client.Failed {
			continue
		}
		if err := do(out.ClientID); err != nil {
			m.complain(err)
			return nil
		}
		n++
	}
	m.say("%s %s.", plural(n, "message"), done)
	m.page.stale = true
	return m.refresh()
}

// explain is an error as a sentence for people.
func explain(err error) string {
	if refusal, ok := errors.AsType[*tidemark.Error](err); ok {
		return refusal.Message
	}
	return err.Error()
}
