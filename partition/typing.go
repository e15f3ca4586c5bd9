// SPDX-License-Identifier: Apache-2.0

// Typing: told to those who are there, not too often, and never stored.

package partition

import (
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	typingMembersMax = 256  // in a larger conversation nobody hears of typing
	typingEveryMs    = 2000 // that a user goes on typing is told again after so long
	typingsKnown     = 8192 // users who type, of whom is known when it was told last
)

// typings remembers who was said to type, and when. What it has forgotten is told once too often.
type typings struct {
	mu   sync.Mutex
	told generations[typingKey, uint64] // guarded by mu; Unix ms
}

type typingKey struct {
	conversation tidemark.ConversationID
	user         tidemark.UserID
}

// news reports whether it is to be told that a user types, or has stopped.
func (t *typings) news(k typingKey, typing bool, nowMs uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, told := t.told.get(k)
	if !typing {
		t.told.drop(k)
		return told
	}
	if told && nowMs >= last && nowMs-last < typingEveryMs {
		return false
	}
	t.told.put(k, nowMs)
	return true
}

// Typing tells the other online members that a user types, or has stopped. It refuses who is not a member; in
// conversations of more than 256 members, for a user who hides it or may not post, and across a block, it does nothing. That somebody types is told again only after
// 2 s, that they have stopped only if they were said to type.
func (s *Set) Typing(user tidemark.UserID, id tidemark.ConversationID, typing bool) error {
	sight, err := s.See(user, id)
	if err != nil {
		return err
	}
	account, err := s.Account(user)
	if err != nil {
		return err
	}
	members := int(sight.Head.Members)
	if sight.Info.Kind == record.Room {
		members = sight.Partition.InRoom(sight.Info.Ordinal)
	}
	if members > typingMembersMax || account != nil && account.HideTyping {
		return nil
	}
	refused := core.May(sight.Info, core.AskerOf(user, sight.Member), core.ToPost, s.nowMs())
	if refused != nil && refused.Reason != tidemark.RateLimited { // in slow mode one types before one may post
		return nil
	}
	if apart, err := sight.Partition.apart(sight.Info); err != nil || apart {
		return err
	}
	if !s.typings.news(typingKey{id, user}, typing, s.nowMs()) {
		return nil
	}
	sight.Partition.signal(sight.Info.Ordinal, user, &wire.Signal{Signal: &wire.Signal_Typing{
		Typing: &wire.TypingSignal{Conversation: string(id), User: string(user), Typing: typing},
	}})
	return nil
}
