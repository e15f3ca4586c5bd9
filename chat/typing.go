// SPDX-License-Identifier: Apache-2.0

// Who is typing: others, as far as heard and not too long ago, and the user, as far as told.

package chat

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
)

const (
	typingLasts = 8 * time.Second // others: without hearing again
	typingTell  = 4 * time.Second // the user: told again after so long
	typingRests = 6 * time.Second // the user: without a key
)

type typing struct {
	others map[tidemark.ConversationID]map[tidemark.UserID]time.Time // until when

	told    time.Time // last time that the user's typing was told; zero: stopped
	toldTo  tidemark.ConversationID
	lastKey time.Time
}

func (t *typing) heard(event client.TypingChanged, now time.Time) {
	if !event.Typing {
		t.stopped(event.Conversation, event.User)
		return
	}
	if t.others[event.Conversation] == nil {
		t.others[event.Conversation] = map[tidemark.UserID]time.Time{}
	}
	t.others[event.Conversation][event.User] = now.Add(typingLasts)
}

func (t *typing) stopped(in tidemark.ConversationID, user tidemark.UserID) {
	delete(t.others[in], user)
}

func (t *typing) expire(now time.Time) {
	for _, users := range t.others {
		for user, until := range users {
			if now.After(until) {
				delete(users, user)
			}
		}
	}
}

// tellTyping tells the others, now and then, that the user types.
func (m *Model) tellTyping() {
	now := m.now()
	m.typed.lastKey = now
	if _, known := m.device.Conversation(m.open); !known || m.state != client.Synced || strings.HasPrefix(m.input.Value(), "/") && !strings.HasPrefix(m.input.Value(), "/me ") {
		return
	}
	if m.typed.toldTo == m.open && now.Sub(m.typed.told) < typingTell {
		return
	}
	m.typed.told, m.typed.toldTo = now, m.open
	_ = m.device.Typing(m.open, true) // nobody misses it
}

// stopTyping tells the others that the user has stopped, after a rest.
func (m *Model) stopTyping(now time.Time) tea.Cmd {
	if m.typed.toldTo != "" && now.Sub(m.typed.lastKey) > typingRests {
		m.typingEnds()
	}
	return nil
}

func (m *Model) typingEnds() {
	if m.typed.toldTo == "" {
		return
	}
	_ = m.device.Typing(m.typed.toldTo, false) // nobody misses it
	m.typed.toldTo, m.typed.told = "", time.Time{}
}

// typingText says who is typing in the open conversation.
func (m *Model) typingText() string {
	var who []string
	for user := range m.typed.others[m.open] {
		who = append(who, m.names.of(user))
	}
	slices.Sort(who)
	switch len(who) {
	case 0:
		return ""
	case 1:
		return who[0] + " is typing…"
	case 2, 3:
		return strings.Join(who, ", ") + " are typing…"
	}
	return "several people are typing…"
}
