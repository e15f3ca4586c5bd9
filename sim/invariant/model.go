// SPDX-License-Identifier: Apache-2.0

// The reference: a conversation as its log alone tells it, in the simplest way that can be right. Every question is
// answered by going through all there is.

package invariant

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Model is one conversation that is no room.
type Model struct {
	ID    tidemark.ConversationID
	Log   []Entry                    // Log[seq-1]
	Stays map[tidemark.UserID][]Stay // memberships, in order
	open  bool                       // who joins sees what was before
}

// Entry is one event.
type Entry struct {
	Event   *wire.Event
	Counted bool                     // a message that counts as unread
	Gone    bool                     // recalled or erased
	All     bool                     // mentions everybody
	Named   map[tidemark.UserID]bool // whom it mentions
}

// Stay is a time as a member: from the event that added the user to the one that removed it.
type Stay struct {
	Joined, Left tidemark.Seq // Left 0: still there
	From         tidemark.Seq // the first that membership lets the user see
}

// NewModel is a conversation without events.
func NewModel(id tidemark.ConversationID) *Model {
	return &Model{ID: id, Stays: make(map[tidemark.UserID][]Stay)}
}

// Append takes in the next event. One that was recalled or erased before it was read has no body, and needs none.
func (m *Model) Append(e *wire.Event) {
	m.Log = append(m.Log, Entry{Event: e})
	body := e.BodyJson
	if body == nil {
		body = &wire.Body{}
		if err := body.UnmarshalVT(e.Body); err != nil {
			return
		}
	}
	switch b := body.Body.(type) {
	case *wire.Body_Message:
		m.at(tidemark.Seq(e.Seq)).Counted = b.Message.Class == wire.MessageClass_NORMAL
		m.mention(tidemark.Seq(e.Seq), b.Message)
	case *wire.Body_Edit:
		m.mention(tidemark.Seq(b.Edit.Seq), b.Edit.Message)
	case *wire.Body_Recall:
		m.Withdraw(tidemark.Seq(b.Recall.Seq))
	case *wire.Body_Erased:
		m.Withdraw(tidemark.Seq(b.Erased.Seq))
	case *wire.Body_Members:
		m.members(tidemark.Seq(e.Seq), b.Members)
	case *wire.Body_Info:
		m.settings(b.Info)
	}
}

// Withdraw takes the content of a message away: it shows nothing any more, and does not count. Nothing happens where there
// is none at the seq.
func (m *Model) Withdraw(seq tidemark.Seq) { m.at(seq).Gone = true }

// at is the entry of a seq; one that nobody keeps where there is none.
func (m *Model) at(seq tidemark.Seq) *Entry {
	if seq == 0 || int(seq) > len(m.Log) {
		return &Entry{}
	}
	return &m.Log[seq-1]
}

func (m *Model) settings(info *wire.Info) {
	if s := info.GetSettings(); s != nil {
		m.open = s.HistoryFromStart
	}
}

func (m *Model) members(seq tidemark.Seq, b *wire.Members) {
	m.settings(b.Created)
	for _, name := range b.Added {
		stay := Stay{Joined: seq, From: seq}
		if m.open {
			stay.From = 1
		}
		m.Stays[tidemark.UserID(name)] = append(m.Stays[tidemark.UserID(name)], stay)
	}
	for _, name := range b.Removed {
		if stays := m.Stays[tidemark.UserID(name)]; len(stays) > 0 {
			stays[len(stays)-1].Left = seq
		}
	}
}

// mention notes whom the message at a seq mentions from now on: members who may see it, but not its sender.
func (m *Model) mention(at tidemark.Seq, message *wire.Message) {
	e := m.at(at)
	if !e.Counted {
		return
	}
	e.All, e.Named = message.GetMentionAll(), make(map[tidemark.UserID]bool)
	for _, name := range message.GetMentions() {
		stay, member := m.Member(tidemark.UserID(name))
		if member && name != e.Event.Sender && stay.From <= at {
			e.Named[tidemark.UserID(name)] = true
		}
	}
}

// Member is the stay of a user who is a member now.
func (m *Model) Member(user tidemark.UserID) (Stay, bool) {
	stays := m.Stays[user]
	if len(stays) == 0 || stays[len(stays)-1].Left > 0 {
		return Stay{}, false
	}
	return stays[len(stays)-1], true
}

// Sees reports whether membership lets a user see an event now. What the user has cleared is not looked at.
func (m *Model) Sees(user tidemark.UserID, seq tidemark.Seq) bool {
	stay, member := m.Member(user)
	return member && seq >= stay.From
}

// Saw reports whether membership has let a user see an event at any time up to now.
func (m *Model) Saw(user tidemark.UserID, seq tidemark.Seq) bool {
	return slices.ContainsFunc(m.Stays[user], func(s Stay) bool { return seq >= s.From && (s.Left == 0 || seq <= s.Left) })
}

// Counts are the messages past a read mark and the floor that neither were taken back nor are among the user's own, and how
// many of them mention the user.
func (m *Model) Counts(user tidemark.UserID, read, floor tidemark.Seq, own []tidemark.Seq) (unread, mentions uint64) {
	for i, e := range m.Log {
		seq := tidemark.Seq(i + 1)
		if seq <= read || seq <= floor || !e.Counted || e.Gone || slices.Contains(own, seq) {
			continue
		}
		unread++
		if e.All || e.Named[user] {
			mentions++
		}
	}
	return unread, mentions
}

// Readers are the members who may have received an event, without its sender: those who were there when it was written.
func (m *Model) Readers(seq tidemark.Seq) []tidemark.UserID {
	var users []tidemark.UserID
	for user := range m.Stays {
		if stay, member := m.Member(user); member && stay.Joined <= seq && string(user) != m.at(seq).Event.GetSender() {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}
