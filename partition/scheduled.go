// SPDX-License-Identifier: Apache-2.0

// The scheduled messages of a user, over all partitions or in one conversation.

package partition

import (
	"cmp"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
)

// ScheduledPlace is a message in the order of [Set.ScheduledOf]: by partition, conversation and client id.
type ScheduledPlace struct {
	Partition    uint32
	Conversation record.Conversation // 0: of direct conversations that do not exist yet
	ClientID     tidemark.ClientID   // as it is kept
}

// ScheduledMessage is a scheduled message with the conversation it is for.
type ScheduledMessage struct {
	ScheduledPlace
	In        tidemark.ConversationID
	ID        tidemark.ClientID // of the message
	Scheduled *record.Scheduled
}

// ScheduledOf is a page of a user's messages that wait for their time or could not be submitted: those past a place
// (nil: from the first), at most limit; of one conversation, or of all if that is empty. It looks into each of the user's
// conversations that lie in the page.
func (s *Set) ScheduledOf(
	user tidemark.UserID, in tidemark.ConversationID, after *ScheduledPlace, limit int,
) (page []ScheduledMessage, more bool, err error) {
	for _, p := range s.partitions {
		if in != "" && p != s.Of(in) || after != nil && p.number < after.Partition {
			continue
		}
		u, met, err := p.User(user)
		if err != nil {
			return nil, false, err
		}
		if !met {
			continue
		}
		conversations, err := p.mayHoldScheduled(u, in)
		if err != nil {
			return nil, false, err
		}
		for _, c := range conversations {
			if after != nil && p.number == after.Partition && c < after.Conversation {
				continue
			}
			rows, err := p.scheduledIn(c, u, user, in)
			if err != nil {
				return nil, false, err
			}
			for _, m := range rows {
				if after != nil && p.number == after.Partition && c == after.Conversation && m.ClientID <= after.ClientID {
					continue
				}
				if len(page) == limit {
					return page, true, nil
				}
				page = append(page, m)
			}
		}
	}
	return page, false, nil
}

// mayHoldScheduled are the conversations in which a user's scheduled messages may be, ascending.
func (p *Partition) mayHoldScheduled(u record.User, in tidemark.ConversationID) ([]record.Conversation, error) {
	conversations := []record.Conversation{0}
	if in != "" {
		info, err := p.infoByID(in)
		if err == nil && info != nil {
			conversations = append(conversations, info.Ordinal)
		}
		return conversations, err
	}
	l, err := p.list(u)
	if err != nil {
		return nil, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, e := range l.rows {
		conversations = append(conversations, e.c)
	}
	return conversations, nil
}

// scheduledIn are a user's messages in a conversation, by client id; of conversation 0 those for in, or all.
func (p *Partition) scheduledIn(
	c record.Conversation, u record.User, user tidemark.UserID, in tidemark.ConversationID,
) (list []ScheduledMessage, err error) {
	rows, err := p.ScheduledBy(c, u)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b ScheduledRow) int { return cmp.Compare(a.ClientID, b.ClientID) })
	if c > 0 {
		info, err := p.InfoOf(c)
		if err != nil || info == nil {
			return nil, err
		}
		in = info.ID
	}
	for _, r := range rows {
		m := ScheduledMessage{ScheduledPlace{p.number, c, r.ClientID}, in, r.ClientID, r.Scheduled}
		if c == 0 {
			peer, id := core.PendingPeer(r.ClientID)
			m.In, m.ID = tidemark.Direct(user, peer), id
			if in != "" && in != m.In {
				continue
			}
		}
		list = append(list, m)
	}
	return list, nil
}
