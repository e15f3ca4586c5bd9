// SPDX-License-Identifier: Apache-2.0

// Show: an event in its current form, as one user may see it. Every path on which current forms leave goes through here:
// pages of history and of threads, pins, mentions.

package partition

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Show is the current form of an event as the asking user sees it: the last edit in place of the body; no body once it is
// recalled or erased, or hidden: deleted by the user for itself, or the edit of a message that the user does not see;
// reactions with the first who reacted and whether the user is among all of them; pin and thread. cur may be nil. That the user may see the event at all, the caller knows.
//
// A key of a reaction with more than [record.ReactionUsersMax] users costs one row read, to know whether the user is one.
func (t *Sight) Show(e *record.Event, cur *record.Current) (*wire.Event, error) {
	w := wireCurrent(e, cur)
	if t.Private.Deletes(e.Seq) || hiddenEdit(t.Member, t.Private, editOf(e)) {
		hide(w)
		return w, nil
	}
	if cur == nil || w.Recalled > 0 || w.Erased > 0 {
		return w, nil
	}
	for _, r := range cur.Reactions {
		count := &wire.ReactionCount{Key: r.Key, Count: r.Count}
		for _, u := range r.Users {
			id, err := t.Partition.UserID(u)
			if err != nil {
				return nil, err
			}
			count.Users = append(count.Users, string(id))
		}
		if _, count.Mine = slices.BinarySearch(r.Users, t.Asking); !count.Mine && int(r.Count) > len(r.Users) && t.Asking > 0 {
			var err error
			count.Mine, err = t.Partition.Indexed(record.Index{
				Kind: record.ReactionIndex, Conversation: t.Info.Ordinal, Seq: e.Seq, ID: r.Key, User: t.Asking,
			})
			if err != nil {
				return nil, err
			}
		}
		w.Reactions = append(w.Reactions, count)
	}
	return w, nil
}

// Event reads one event and shows it; nil if it is not kept or the user may not see it.
func (t *Sight) Event(seq tidemark.Seq) (*wire.Event, error) {
	if seq <= t.Floor || seq > t.Head.Seq {
		return nil, nil
	}
	e, err := t.Partition.event(t.Info.Ordinal, seq)
	if err != nil || e == nil {
		return nil, err
	}
	cur, err := t.Partition.Current(t.Info.Ordinal, seq)
	if err != nil {
		return nil, err
	}
	return t.Show(e, cur)
}

// hide takes the body out of an event that is hidden from the user, and what others said about it.
func hide(w *wire.Event) {
	var body wire.Body
	if err := body.UnmarshalVT(w.Body); err == nil {
		w.Thread = body.GetMessage().GetThread()
	}
	withholdBody(w, nil)
	w.Hidden, w.Edited, w.Reactions = true, 0, nil
}

// editOf is the message that an event edits; 0 if it is no edit, or what it edits is not told any more.
func editOf(e *record.Event) tidemark.Seq {
	if e.Kind != record.EditBody || e.Erased {
		return 0
	}
	var body wire.Body
	if err := body.UnmarshalVT(e.Body); err != nil {
		return 0
	}
	return tidemark.Seq(body.GetEdit().GetSeq())
}

// Pins are the pinned messages of a conversation that a user sees, in their current form, the last pinned first; the
// empty user is the app. There are at most 100. Refusals are those of [Set.See].
func (s *Set) Pins(user tidemark.UserID, id tidemark.ConversationID) ([]*wire.Event, error) {
	sight, err := s.See(user, id)
	if err != nil {
		return nil, err
	}
	var events []*wire.Event
	for _, seq := range slices.Backward(sight.Info.Pins) {
		e, err := sight.Event(seq)
		if err != nil {
			return nil, err
		}
		if e != nil {
			events = append(events, e)
		}
	}
	return events, nil
}

// ReactionRow is one user's reaction to an event.
type ReactionRow struct {
	Key     string
	Ordinal record.User
	User    tidemark.UserID
}

// Reactions is a page of the reactions to an event: those past a row (the zero row: from the first), at most limit, by key
// (shorter keys first) and ordinal; alone: only those with the row's key.
func (p *Partition) Reactions(
	c record.Conversation, seq tidemark.Seq, after ReactionRow, alone bool, limit int,
) ([]ReactionRow, error) {
	from := record.Index{Kind: record.ReactionIndex, Conversation: c, Seq: seq, ID: after.Key, User: after.Ordinal + 1}
	rows, err := p.reactions(from, alone, limit)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].User, err = p.UserID(rows[i].Ordinal); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
