// SPDX-License-Identifier: Apache-2.0

// Lines to entries: who is who, who is in, and which client id makes an entry the same whenever it is imported.

package irc

import (
	"strconv"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// User is somebody who appears in logs.
type User struct {
	ID       tidemark.UserID
	Nickname string // the last nick in the last log
}

// Counts are numbers of lines by [Kind].
type Counts [kinds]int

// Total is the number of lines counted.
func (c Counts) Total() int {
	total := 0
	for _, n := range c {
		total += n
	}
	return total
}

// Plan turns lines into entries. The same logs in the same order always give the same entries.
// A Plan belongs to one goroutine.
type Plan struct {
	naming Naming

	users   []User
	numbers map[tidemark.UserID]int      // index in users
	inside  map[tidemark.UserID]struct{} // seen to join, or joined by the plan, and not seen to leave

	log    string // the log's name: the beginning of its client ids
	nowMs  uint64 // time of the last line; never falls
	since  uint64 // time of the first line
	seen   map[tidemark.UserID]struct{}
	nicks  map[string]tidemark.UserID // nicks of this log that are not their user's own: left by nick changes
	counts Counts
	joined int
}

// NewPlan makes a plan that knows nobody.
func NewPlan(naming Naming) *Plan {
	return &Plan{naming: naming, numbers: map[tidemark.UserID]int{}, inside: map[tidemark.UserID]struct{}{}}
}

// Begin starts the next log. Logs must come in the order of their dates.
func (p *Plan) Begin(log Log) {
	p.log = log.Name()
	p.nicks = map[string]tidemark.UserID{}
	p.seen = map[tidemark.UserID]struct{}{}
}

// Users are those who have appeared so far, in the order of their appearance.
func (p *Plan) Users() []User { return p.users }

// Counts are the lines so far.
func (p *Plan) Counts() Counts { return p.counts }

// SinceMs is the time of the first line; 0 before it.
func (p *Plan) SinceMs() uint64 { return p.since }

// Joined is how many users were joined because they did something, or left, without having been seen to join.
func (p *Plan) Joined() int { return p.joined }

// Add appends the entries of one line of the log begun last to dst: none for an odd line; for others one, and those for
// the joining of users who are not in.
func (p *Plan) Add(line Dated, dst []*wire.ImportEntry) []*wire.ImportEntry {
	p.counts[line.Kind]++
	p.nowMs = max(p.nowMs, line.TimeMs)
	if p.since == 0 {
		p.since = p.nowMs
	}
	if line.Kind == Odd {
		return dst
	}
	user := p.userOf(line.Nick)
	id := p.clientID(line.Number)
	switch line.Kind {
	case Join:
		p.inside[user] = struct{}{}
		return append(dst, p.join(id, user))
	case Leave:
		dst = p.letIn(user, id+"-join", dst)
		delete(p.inside, user)
		return append(dst, p.leave(id, user))
	}
	dst = p.letIn(user, id+"-join", dst)
	dst = append(dst, p.message(id, user, messageOf(line.Line)))
	switch line.Kind {
	case Kick:
		kicked := p.userOf(line.Other)
		dst = p.letIn(kicked, id+"-was-in", dst)
		delete(p.inside, kicked)
		dst = append(dst, p.leave(id+"-leave", kicked))
	case NickChange:
		p.rename(user, line.Nick, line.Other)
	}
	return dst
}

func (p *Plan) join(id string, user tidemark.UserID) *wire.ImportEntry {
	return &wire.ImportEntry{TimeMs: p.nowMs, ClientId: id, User: string(user), Entry: &wire.ImportEntry_Join{Join: true}}
}

func (p *Plan) leave(id string, user tidemark.UserID) *wire.ImportEntry {
	return &wire.ImportEntry{TimeMs: p.nowMs, ClientId: id, User: string(user), Entry: &wire.ImportEntry_Leave{Leave: true}}
}

func (p *Plan) message(id string, user tidemark.UserID, m *wire.Message) *wire.ImportEntry {
	return &wire.ImportEntry{TimeMs: p.nowMs, ClientId: id, User: string(user), Entry: &wire.ImportEntry_Message{Message: m}}
}

// clientID is made of the date and the line, so that the same line always makes the same entry.
func (p *Plan) clientID(number int) string { return "irc-" + p.log + "-" + strconv.Itoa(number) }

// letIn joins a user who does something, or leaves, without having been seen to join.
func (p *Plan) letIn(user tidemark.UserID, id string, dst []*wire.ImportEntry) []*wire.ImportEntry {
	if _, in := p.inside[user]; in {
		return dst
	}
	p.inside[user] = struct{}{}
	p.joined++
	return append(dst, p.join(id, user))
}

// userOf is who bears the nick at this place of the log.
func (p *Plan) userOf(nick string) tidemark.UserID {
	user, renamed := p.nicks[nick]
	if !renamed {
		user = p.naming.UserOf(nick)
	}
	if _, again := p.seen[user]; !again {
		p.seen[user] = struct{}{}
		p.setNickname(user, nick)
	}
	return user
}

func (p *Plan) rename(user tidemark.UserID, before, after string) {
	delete(p.nicks, before)
	p.nicks[after] = user
	p.setNickname(user, after)
}

func (p *Plan) setNickname(user tidemark.UserID, nick string) {
	at, known := p.numbers[user]
	if !known {
		at = len(p.users)
		p.numbers[user] = at
		p.users = append(p.users, User{ID: user})
	}
	p.users[at].Nickname = nick
}

// messageOf is what a line leaves in the conversation's log.
func messageOf(line Line) *wire.Message {
	silent := wire.MessageClass_SILENT
	switch line.Kind {
	case Message:
		return &wire.Message{Type: "text", Text: line.Text}
	case Action:
		return &wire.Message{Type: "action", Text: line.Text}
	case Notice:
		return &wire.Message{Type: "notice", Text: line.Text, Class: silent}
	case Mode:
		return &wire.Message{Type: "mode", Text: line.Text, Class: silent}
	case Topic:
		return &wire.Message{Type: "topic", Text: line.Text, Class: silent}
	case Kick:
		return &wire.Message{Type: "kick", Text: line.Other + " (" + line.Text + ")", Class: silent}
	case NickChange:
		return &wire.Message{Type: "nick", Text: line.Other, Class: silent}
	}
	panic("irc: no message is made of " + line.Kind.String())
}
