// SPDX-License-Identifier: Apache-2.0

// Messages as lines of the screen.

package chat

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// block is what one message looks like: lines as wide as the pane at most.
type block struct {
	seq   tidemark.Seq      // 0: not stored yet
	id    tidemark.ClientID // tells blocks without seq apart
	lines []string
}

// layOut makes the blocks again if anything they show has changed, and keeps the eye on the same message.
func (m *Model) layOut() {
	p := &m.page
	if !p.dirty {
		return
	}
	p.dirty = false
	seq, id, within := p.eye()
	painter := m.newPainter()
	p.blocks, p.lines = p.blocks[:0], 0
	for i := range p.messages {
		if b := painter.block(&p.messages[i]); len(b.lines) > 0 {
			p.blocks = append(p.blocks, b)
			p.lines += len(b.lines)
		}
	}
	if p.up > 0 {
		p.lookAt(seq, id, within)
	}
	p.up = max(min(p.up, p.lines-m.messagesHeight()), 0)
}

// eye is the block at the bottom of the screen, and how many of its lines are below.
func (p *page) eye() (seq tidemark.Seq, id tidemark.ClientID, within int) {
	below := 0
	for i := len(p.blocks) - 1; i >= 0; i-- {
		b := &p.blocks[i]
		if below+len(b.lines) > p.up {
			return b.seq, b.id, p.up - below
		}
		below += len(b.lines)
	}
	return 0, "", 0
}

// lookAt puts the same block at the bottom again.
func (p *page) lookAt(seq tidemark.Seq, id tidemark.ClientID, within int) {
	below := 0
	for i := len(p.blocks) - 1; i >= 0; i-- {
		b := &p.blocks[i]
		if seq > 0 && b.seq > 0 && b.seq <= seq || seq == 0 && b.id == id {
			p.up = below + min(within, len(b.lines)-1)
			return
		}
		below += len(b.lines)
	}
}

// painter draws the messages of a page, one after the other.
type painter struct {
	m     *Model
	width int // of the pane
	hang  int // indent of all lines of a message but the first
	day   string
	isNew bool // the line above the first unread message was drawn

	isDirect bool
	last     tidemark.Seq // of a room: the one drawn last
	gap      tidemark.Seq // of a room: left out since the last line
	seen     map[tidemark.Seq][]tidemark.UserID
}

func (m *Model) newPainter() *painter {
	p := &painter{m: m, width: m.paneWidth(), hang: 7, seen: m.seenUpTo()}
	_, p.isDirect = m.open.Peer(m.me)
	if p.width < 50 {
		p.hang = 2
	}
	return p
}

// seenUpTo tells for each message of the page who of the others has read up to it and no further. Between two people
// the signs of one's own messages say it already.
func (m *Model) seenUpTo() map[tidemark.Seq][]tidemark.UserID {
	seen := map[tidemark.Seq][]tidemark.UserID{}
	if _, direct := m.open.Peer(m.me); direct {
		return seen
	}
	wrote := map[tidemark.UserID]tidemark.Seq{} // who has written has read
	for i := range m.page.messages {
		wrote[m.page.messages[i].Sender] = m.page.messages[i].Seq
	}
	for user, seq := range m.marks[m.open] {
		seq = max(seq, wrote[user])
		for i := len(m.page.messages) - 1; i >= 0; i-- {
			msg := &m.page.messages[i]
			if msg.Seq > 0 && msg.Seq <= seq && isShown(msg) {
				if msg.Sender != user {
					seen[msg.Seq] = append(seen[msg.Seq], user)
				}
				break
			}
		}
	}
	for _, users := range seen {
		slices.Sort(users)
	}
	return seen
}

// isShown reports whether a message has lines of its own: edits, reactions and the like show at their target.
func isShown(msg *client.Message) bool {
	if msg.Hidden {
		return false
	}
	switch msg.Kind {
	case replica.KindMessage, replica.KindMembers, replica.KindInfo:
		return true
	}
	return false
}

func (p *painter) block(msg *client.Message) block {
	b := block{seq: msg.Seq, id: msg.ClientID}
	if p.m.page.room != nil && msg.Seq > 0 {
		if p.gap += msg.Seq - p.last - 1; p.last == 0 {
			p.gap = p.m.page.room.LeftOut
		}
		p.last = msg.Seq
	}
	if !isShown(msg) || msg.Kind == replica.KindMembers && p.isDirect {
		return b // that a conversation of two has two members is no news
	}
	if p.gap > 0 {
		b.lines = append(b.lines, p.missing(p.gap))
		p.gap = 0
	}
	at := time.UnixMilli(int64(msg.TimeMs)).In(p.m.zone)
	if day := at.Format("Mon 2 Jan 2006"); day != p.day {
		p.day = day
		b.lines = append(b.lines, p.rule(day, dim))
	}
	if from := p.m.page.newFrom; from > 0 && p.m.page.from <= from && !p.isNew && msg.Seq >= from && msg.Sender != p.m.me {
		p.isNew = true
		b.lines = append(b.lines, p.rule("new", loud))
	}
	lines := p.message(msg, at.Format("15:04"))
	for i, line := range lines {
		lines[i] = p.margin(msg, i) + line
	}
	b.lines = append(b.lines, lines...)
	return b
}

// margin is the first column: what is selected, and what mentions the user.
func (p *painter) margin(msg *client.Message, line int) string {
	switch {
	case msg.Seq > 0 && msg.Seq == p.m.page.selected:
		return loud.Render("▌")
	case line == 0 && p.m.mentionsMe(msg):
		return loud.Render("@")
	}
	return " "
}

func (m *Model) mentionsMe(msg *client.Message) bool {
	return msg.Sender != m.me && (msg.Content.GetMentionAll() || slices.Contains(msg.Content.GetMentions(), string(m.me)))
}

// rule is a line across the pane with a word in it.
func (p *painter) rule(word string, style lipgloss.Style) string {
	word = " " + word + " "
	side := max(p.width-p.m.measure.StringWidth(word), 0) / 2
	return style.Render(p.m.measure.Truncate(strings.Repeat("─", side)+word+strings.Repeat("─", side), p.width, ""))
}

// message is the lines of one message, without the margin.
func (p *painter) message(msg *client.Message, clock string) []string {
	name := p.name(msg.Sender)
	style := nameStyle(msg.Sender)
	switch {
	case msg.Kind == replica.KindMembers:
		return p.text(clock, "", dim, p.m.membersText(msg.Body.GetMembers(), msg.Sender), dim)
	case msg.Kind == replica.KindInfo:
		return p.text(clock, "", dim, p.m.infoText(msg.Body.GetInfo(), name), dim)
	case msg.EraseSeq > 0:
		return p.text(clock, name, style, "message erased", dim)
	case msg.RecallSeq > 0:
		return p.text(clock, name, style, "message recalled", dim)
	case msg.Content == nil:
		return p.text(clock, name, style, "message not shown", dim)
	}
	var lines []string
	if to := tidemark.Seq(max(msg.Content.ReplyTo, msg.Content.Thread)); to > 0 {
		lines = append(lines, p.quote(to))
	}
	if from := msg.Content.Forwarded; from != nil {
		said := "↪ from " + p.name(tidemark.UserID(from.Sender)) + ", " + p.m.moment(from.TimeMs)
		lines = append(lines, dim.Render(p.m.measure.Truncate(strings.Repeat(" ", p.hang-1)+said, p.width-1, "…")))
	}
	textStyle := plain
	if p.m.mentionsMe(msg) {
		textStyle = loud
	}
	text := Clean(msg.Content.Text)
	switch kind := CleanLine(msg.Content.Type); kind {
	case "text", "":
		lines = append(lines, p.text(clock, name, style, text, textStyle)...)
	case "action":
		lines = append(lines, p.text(clock, "* "+name, style, text, textStyle)...)
	case "notice":
		lines = append(lines, p.text(clock, "-"+name+"-", style, text, dim)...)
	case "nick":
		was := CleanLine(string(msg.Sender)) // the name is the new one already
		lines = append(lines, p.text(clock, "", dim, was+" is now known as "+CleanLine(text), dim)...)
	case "mode", "topic", "kick":
		lines = append(lines, p.text(clock, name, style, kind+": "+text, dim)...)
	default:
		if n := len(msg.Content.Data); n > 0 {
			text = strings.TrimSpace(fmt.Sprintf("%s (%d bytes)", text, n))
		}
		lines = append(lines, p.text(clock, name, style, "["+kind+"] "+text, textStyle)...)
	}
	return append(p.signs(lines, msg), p.below(msg)...)
}

// text is "12:01 name text", wrapped.
func (p *painter) text(clock, name string, nameStyle lipgloss.Style, text string, textStyle lipgloss.Style) []string {
	indent := len(clock) + 1
	head := dim.Render(clock) + " "
	if name != "" {
		indent += p.m.measure.StringWidth(name) + 1
		head += nameStyle.Render(name) + " "
	}
	hang := p.hang - 1 // the margin takes a column
	room := max(p.width-2-hang, 2)
	lines := wrap(p.m.measure, text, room, indent-hang)
	for i, line := range lines {
		if line != "" {
			line = textStyle.Render(line)
		}
		if i == 0 {
			lines[i] = head + line
		} else {
			lines[i] = strings.Repeat(" ", hang) + line
		}
	}
	return lines
}

// signs appends what is said in one word: edited, pinned, and how far an own message has come.
func (p *painter) signs(lines []string, msg *client.Message) []string {
	sign := ""
	if msg.EditSeq > 0 {
		sign += " " + dim.Render("(edited)")
	}
	if msg.PinSeq > 0 {
		sign += " " + loud.Render("⚑")
	}
	if msg.Sender == p.m.me {
		sign += stateSign(msg.State)
	}
	last := len(lines) - 1
	if p.m.measure.StringWidth(lines[last])+p.m.measure.StringWidth(sign)+1 <= p.width {
		lines[last] += sign
		return lines
	}
	return append(lines, strings.Repeat(" ", p.hang-2)+sign)
}

func stateSign(state client.MessageState) string {
	switch state {
	case client.Queued:
		return " " + dim.Render("◌")
	case client.Sent:
		return " " + dim.Render("✓")
	case client.Stored:
		return " " + good.Render("✓")
	case client.Delivered:
		return " " + good.Render("✓✓")
	case client.Read:
		return " " + readTick.Render("✓✓")
	case client.Failed:
		return " " + bad.Render("✗")
	}
	return ""
}

// quote is the line above an answer.
func (p *painter) quote(to tidemark.Seq) string {
	said := fmt.Sprintf("message %d", to)
	if target, found := p.m.find(to); found {
		text := "…"
		if target.Content != nil {
			text = CleanLine(target.Content.Text)
		}
		said = p.name(target.Sender) + ": " + text
	}
	indent := strings.Repeat(" ", p.hang-1)
	return dim.Render(p.m.measure.Truncate(indent+"╭ "+said, p.width-1, "…"))
}

// find is a message of the open conversation, on the page or stored.
func (m *Model) find(seq tidemark.Seq) (client.Message, bool) {
	for i := range m.page.messages {
		if m.page.messages[i].Seq == seq {
			return m.page.messages[i], true
		}
	}
	found, err := m.device.Messages(m.open, seq, seq)
	if err != nil || len(found) == 0 {
		return client.Message{}, false
	}
	return found[0], true
}

// below is what stands under a message: its failure, its reactions, who has read up to it.
func (p *painter) below(msg *client.Message) []string {
	indent := strings.Repeat(" ", p.hang-1)
	var lines []string
	if msg.Failure != nil {
		for _, line := range wrap(p.m.measure, "not sent: "+CleanLine(msg.Failure.Message)+" (/retry, /discard)", p.width-1-len(indent), 0) {
			lines = append(lines, indent+bad.Render(line))
		}
	}
	if len(msg.Reactions) > 0 {
		var all []string
		for _, r := range msg.Reactions {
			style := dim
			if r.Mine {
				style = readTick
			}
			all = append(all, style.Render(fmt.Sprintf("%s %d", p.m.measure.Truncate(CleanLine(r.Key), 16, "…"), r.Count)))
		}
		lines = append(lines, p.m.measure.Truncate(indent+strings.Join(all, "  "), p.width-1, "…"))
	}
	if msg.ThreadCount > 0 {
		lines = append(lines, dim.Render(p.m.measure.Truncate(indent+"↳ "+plural(int(msg.ThreadCount), "answer")+" in its thread", p.width-1, "…")))
	}
	if readers := p.seen[msg.Seq]; len(readers) > 0 && msg.Seq > 0 {
		who := make([]string, 0, 4)
		for i, user := range readers {
			if i == 3 && len(readers) > 4 {
				who = append(who, fmt.Sprintf("%d others", len(readers)-i))
				break
			}
			who = append(who, p.name(user))
		}
		lines = append(lines, dim.Render(p.m.measure.Truncate(indent+"read by "+strings.Join(who, ", "), p.width-1, "…")))
	}
	return lines
}

// name is a user's nickname, short enough for the pane.
func (p *painter) name(user tidemark.UserID) string {
	return p.m.measure.Truncate(p.m.names.of(user), max(min(24, p.width/3), 4), "…")
}

// membersText says who came and went.
func (m *Model) membersText(change *wire.Members, by tidemark.UserID) string {
	var parts []string
	name := func(id string) string { return m.names.of(tidemark.UserID(id)) }
	added := change.GetAdded()
	if change.GetCreated() != nil {
		parts = append(parts, name(string(by))+" made this conversation")
		added = slices.DeleteFunc(slices.Clone(added), func(user string) bool { return user == string(by) })
	}
	if len(added) > 0 {
		parts = append(parts, "→ "+some(added, name)+" joined")
	}
	if len(change.GetRemoved()) > 0 {
		parts = append(parts, "← "+some(change.Removed, name)+" left")
	}
	if change.GetCreated() == nil {
		for _, user := range slices.Sorted(keysOf(change.GetRoles())) {
			if !slices.Contains(added, user) {
				parts = append(parts, name(user)+" is "+strings.ToLower(change.Roles[user].String())+" now")
			}
		}
	}
	if len(parts) == 0 {
		return "→ " + name(string(by)) + " joined again"
	}
	return strings.Join(parts, ", ")
}

// some names the first few of many users.
func some(users []string, name func(string) string) string {
	const few = 6
	var names []string
	for i, user := range users {
		if i == few && len(users) > few+1 {
			names = append(names, fmt.Sprintf("%d others", len(users)-few))
			break
		}
		names = append(names, name(user))
	}
	return strings.Join(names, ", ")
}

// infoText says what changed in a conversation's public data.
func (m *Model) infoText(info *wire.Info, by string) string {
	switch {
	case info.GetTitle() != "":
		return by + " changed the title to " + CleanLine(info.GetTitle())
	case info.GetDissolved():
		return by + " has ended this conversation: nobody writes here any more"
	case info.Announcement != nil && info.GetAnnouncement() == "":
		return by + " took the announcement away"
	case info.Announcement != nil:
		return by + " announces: " + CleanLine(info.GetAnnouncement())
	case len(info.GetAttributes()) > 0:
		return by + " " + attributesText(info.GetAttributes())
	case info.GetSettings() != nil:
		return by + " changed the settings"
	}
	return by + " changed the conversation"
}
