// SPDX-License-Identifier: Apache-2.0

// Names of users and titles of conversations, as they are shown.

package chat

import (
	"iter"
	"maps"

	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// names remembers nicknames. A nickname that is not known yet is the user's id, and is asked for.
type names struct {
	known   map[tidemark.UserID]string
	asked   map[tidemark.UserID]bool
	wanted  []tidemark.UserID
	members map[tidemark.ConversationID]map[tidemark.UserID]bool
}

// of is the user's nickname, cleaned.
func (n *names) of(user tidemark.UserID) string {
	if name, known := n.known[user]; known && name != "" {
		return name
	}
	n.want(user)
	return CleanLine(string(user))
}

func (n *names) want(user tidemark.UserID) {
	if _, known := n.known[user]; known || n.asked[user] || user == "" || user == tidemark.SystemUser {
		return
	}
	n.asked[user] = true
	n.wanted = append(n.wanted, user)
}

// forget asks again for a name that has changed; the old one is shown until the answer comes.
func (n *names) forget(user tidemark.UserID) {
	n.asked[user] = true
	n.wanted = append(n.wanted, user)
}

// meet remembers that a user is in a conversation.
func (n *names) meet(user tidemark.UserID, in tidemark.ConversationID) {
	if n.members == nil {
		n.members = map[tidemark.ConversationID]map[tidemark.UserID]bool{}
	}
	if n.members[in] == nil {
		n.members[in] = map[tidemark.UserID]bool{}
	}
	n.members[in][user] = true
	n.want(user)
}

// learnNames asks for the names that were wanted since the last time.
func (m *Model) learnNames() tea.Cmd {
	if m.page.dirty {
		m.layOut() // shows which names are wanted
	}
	wanted := m.names.wanted
	m.names.wanted = nil
	if len(wanted) == 0 {
		return nil
	}
	ctx, device := m.ctx, m.device
	return func() tea.Msg {
		learned := map[tidemark.UserID]string{}
		for _, user := range wanted {
			if profile, err := device.Profile(ctx, user); err == nil {
				learned[user] = CleanLine(profile.GetNickname())
			}
		}
		return answered(func(m *Model) tea.Cmd {
			for _, user := range wanted {
				if name, ok := learned[user]; ok {
					m.names.known[user] = name
				} else {
					delete(m.names.asked, user) // offline: asked again when it is shown again
				}
			}
			m.page.dirty = true
			m.list.reload(m.device)
			return nil
		})
	}
}

// title is what a conversation is called: the peer's name, the title, or the id.
func (m *Model) title(id tidemark.ConversationID) string {
	c, known := m.device.Conversation(id)
	if !known {
		if peer, direct := id.Peer(m.me); direct {
			return m.names.of(peer)
		}
		if room := m.page.room; room != nil && room.ID == id && room.Info.GetTitle() != "" {
			return CleanLine(room.Info.Title)
		}
		return CleanLine(string(id))
	}
	return m.titleOf(c)
}

func (m *Model) titleOf(c *client.Conversation) string {
	if alias := CleanLine(c.Self.GetAlias()); alias != "" {
		return alias
	}
	if peer, direct := c.ID.Peer(m.me); direct {
		return m.names.of(peer)
	}
	if title := CleanLine(c.Info.GetTitle()); title != "" {
		return title
	}
	return CleanLine(string(c.ID))
}

func keysOf(roles map[string]wire.Role) iter.Seq[string] { return maps.Keys(roles) }
