// SPDX-License-Identifier: Apache-2.0

// Badge: one user's counts over all conversations, the number on an app's icon.

package partition

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// Badge is what waits for a user.
type Badge struct {
	Unread        uint64 // messages in conversations that are neither muted nor hidden
	Mentions      uint64 // unread messages that mention the user, in all conversations
	Conversations uint32 // with an unread message, or marked unread
}

// Badge adds up a user's counts. It compares marks in memory, O(conversations of the user); of a conversation whose
// records are not in memory it reads at most four rows, and of one that may hold an unread mention the entries of the
// mention index past the read mark.
func (s *Set) Badge(user tidemark.UserID) (Badge, error) {
	var b Badge
	for _, p := range s.partitions {
		u, met, err := p.User(user)
		if err != nil {
			return Badge{}, err
		}
		if !met {
			continue
		}
		joined, err := p.memberOf(u)
		if err != nil {
			return Badge{}, err
		}
		for _, c := range joined {
			standing, err := p.Standing(c, u)
			if err != nil {
				return Badge{}, err
			}
			b.add(&standing)
		}
	}
	return b, nil
}

func (b *Badge) add(s *Standing) {
	if s.Head == nil || !s.Member.Active() {
		return
	}
	if !s.Member.Muted && !s.Member.HiddenAt(s.Head.Seq) {
		b.Unread += s.Unread
	}
	b.Mentions += s.Mentions
	if s.Unread > 0 || s.Member.MarkedUnread {
		b.Conversations++
	}
}

// memberOf are the conversations in a user's list, without those that are known to have been left.
func (p *Partition) memberOf(u record.User) ([]record.Conversation, error) {
	l, err := p.list(u)
	if err != nil {
		return nil, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	joined := make([]record.Conversation, 0, len(l.rows))
	for _, e := range l.rows {
		if !e.left {
			joined = append(joined, e.c)
		}
	}
	return joined, nil
}
