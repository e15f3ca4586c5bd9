// SPDX-License-Identifier: Apache-2.0

// Ranges of rows: every scan is bounded to its prefix, and its callback says whether to go on. The iterator is closed
// before the method returns; callbacks must not keep the store busy for long, as it holds back the freeing of files.

package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// scan calls fn for every row in [lower, upper), upwards or downwards, until it answers false or fails.
func (p *Partition) scan(lower, upper []byte, descending bool, fn func(k Key, value []byte) (more bool, err error)) error {
	rows := uint64(0)
	it, err := p.pebble.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("store: scan partition %d: %w", p.number, readable(err))
	}
	err = walk(it, descending, func(k Key, value []byte) (bool, error) {
		rows++
		return fn(k, value)
	})
	p.rowsRead.Add(rows)
	if closeErr := it.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("store: scan partition %d: %w", p.number, readable(closeErr))
	}
	return err
}

func walk(it *pebble.Iterator, descending bool, fn func(k Key, value []byte) (more bool, err error)) error {
	first, next := it.First, it.Next
	if descending {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		k, err := ParseKey(it.Key())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("store: read %s of partition %d: %w", k.Kind, k.Partition, readable(err))
		}
		more, err := fn(k, value)
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
	return nil
}

// scanPrefix scans from lower to the end of the rows that share its first prefixLen bytes.
func (p *Partition) scanPrefix(lower []byte, prefixLen int, fn func(k Key, value []byte) (bool, error)) error {
	return p.scan(lower, prefixEnd(lower[:prefixLen]), false, fn)
}

func (p *Partition) key(k Key) []byte {
	k.Partition = p.number
	return AppendKey(nil, k)
}

// Events calls fn for the events of a conversation with from <= seq <= to, upwards or downwards, until it answers
// false.
func (p *Partition) Events(
	c record.Conversation, from, to tidemark.Seq, descending bool, fn func(*record.Event) (more bool),
) error {
	if from > SeqMax || from > to {
		return nil
	}
	lower := p.key(Key{Kind: EventRow, Conversation: c, Seq: from})
	var last record.User
	var lastID tidemark.UserID
	return p.scan(lower, p.seqEnd(EventRow, c, to), descending, func(k Key, v []byte) (bool, error) {
		e, err := decodeEvent(v, p.number, k.Seq)
		if err != nil {
			return false, damaged(k, err)
		}
		if e.Sender != last || lastID == "" {
			if lastID, err = p.UserID(e.Sender); err != nil {
				return false, err
			}
			last = e.Sender
		}
		e.SenderID = lastID
		return fn(e), nil
	})
}

// Currents calls fn for the current forms of the events with from <= seq <= to that have one.
func (p *Partition) Currents(
	c record.Conversation, from, to tidemark.Seq, fn func(tidemark.Seq, *record.Current) (more bool),
) error {
	if from > SeqMax || from > to {
		return nil
	}
	lower := p.key(Key{Kind: CurrentRow, Conversation: c, Seq: from})
	return p.scan(lower, p.seqEnd(CurrentRow, c, to), false, func(k Key, v []byte) (bool, error) {
		f, err := decodeCurrent(v)
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(k.Seq, f), nil
	})
}

// seqEnd is the exclusive upper bound of the rows of a conversation with a seq up to and including to.
func (p *Partition) seqEnd(kind Kind, c record.Conversation, to tidemark.Seq) []byte {
	if to >= SeqMax {
		return prefixEnd(p.key(Key{Kind: kind, Conversation: c})[:6])
	}
	return p.key(Key{Kind: kind, Conversation: c, Seq: to + 1})
}

// Hours calls fn for the rows of the hour index from an hour on.
func (p *Partition) Hours(c record.Conversation, from uint32, fn func(record.Hour) (more bool)) error {
	return p.scanPrefix(p.key(Key{Kind: HourRow, Conversation: c, Hour: from}), 6, func(k Key, v []byte) (bool, error) {
		h, err := decodeHour(v, k.Hour)
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(h), nil
	})
}

// LastHour is the last row of the hour index that is not later than an hour, and whether there is one.
func (p *Partition) LastHour(c record.Conversation, atOrBefore uint32) (hour record.Hour, found bool, err error) {
	lower := p.key(Key{Kind: HourRow, Conversation: c})
	upper := prefixEnd(p.key(Key{Kind: HourRow, Conversation: c, Hour: atOrBefore}))
	err = p.scan(lower, upper, true, func(k Key, v []byte) (bool, error) {
		h, err := decodeHour(v, k.Hour)
		if err != nil {
			return false, damaged(k, err)
		}
		hour, found = h, true
		return false, nil
	})
	return hour, found, err
}

// Members calls fn for the members of a conversation, also those who left, by ordinal from a user on.
func (p *Partition) Members(
	c record.Conversation, from record.User, fn func(record.User, *record.Member) (more bool),
) error {
	return p.scanPrefix(p.key(Key{Kind: MemberRow, Conversation: c, User: from}), 6, func(k Key, v []byte) (bool, error) {
		m, err := decodeMember(v)
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(k.User, m), nil
	})
}

// ConversationsOf calls fn for the conversations a user is or was a member of, with the position of the last change of
// its member record that was not quiet.
func (p *Partition) ConversationsOf(u record.User, fn func(record.Conversation, tidemark.Position) (more bool)) error {
	return p.scanPrefix(p.key(Key{Kind: ListRow, User: u}), 6, func(k Key, v []byte) (bool, error) {
		n, err := decodeUvarint(v, uint64(PositionMax))
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(k.Conversation, tidemark.Position(n)), nil
	})
}

// Mentions calls fn for the events with after < seq <= to that mention a user; user 0 is everybody.
func (p *Partition) Mentions(
	c record.Conversation, u record.User, after, to tidemark.Seq, fn func(tidemark.Seq) (more bool),
) error {
	return p.mentions(c, u, after, to, false, fn)
}

// LastMentions is Mentions from the last to the first.
func (p *Partition) LastMentions(
	c record.Conversation, u record.User, after, to tidemark.Seq, fn func(tidemark.Seq) (more bool),
) error {
	return p.mentions(c, u, after, to, true, fn)
}

func (p *Partition) mentions(
	c record.Conversation, u record.User, after, to tidemark.Seq, descending bool, fn func(tidemark.Seq) (more bool),
) error {
	if after >= SeqMax || after >= to {
		return nil
	}
	lower := p.key(Key{Kind: MentionRow, Conversation: c, User: u, Seq: after + 1})
	upper := prefixEnd(lower[:10])
	if to < SeqMax {
		upper = p.key(Key{Kind: MentionRow, Conversation: c, User: u, Seq: to + 1})
	}
	return p.scan(lower, upper, descending, func(k Key, _ []byte) (bool, error) { return fn(k.Seq), nil })
}

// Index calls fn for the entries of an index from one on that share its leading fields: a thread's answers from Seq on
// (Conversation and Root fixed), a user's contacts from Position on and its entries of [record.NamedIndex] from
// Conversation on (User fixed), profiles from Position on, timers from
// DueMs on. Descending walks the same entries from the last.
func (p *Partition) Index(from record.Index, descending bool, fn func(record.Index) (more bool)) error {
	lower := p.key(indexKey(from))
	fixed := 2
	switch from.Kind {
	case record.ThreadIndex:
		fixed = 2 + 4 + 5
	case record.ContactIndex, record.NamedIndex:
		fixed = 2 + 4
	}
	return p.scan(lower, prefixEnd(lower[:fixed]), descending, func(k Key, _ []byte) (bool, error) {
		return fn(k.Index()), nil
	})
}

// Thread calls fn for the answers with from <= seq <= to in the thread of a root, upwards or downwards.
func (p *Partition) Thread(
	c record.Conversation, root, from, to tidemark.Seq, descending bool, fn func(tidemark.Seq) (more bool),
) error {
	if from > SeqMax || from > to {
		return nil
	}
	lower := p.key(Key{Kind: ThreadRow, Conversation: c, Root: root, Seq: from})
	upper := prefixEnd(lower[:2+4+5])
	if to < SeqMax {
		upper = p.key(Key{Kind: ThreadRow, Conversation: c, Root: root, Seq: to + 1})
	}
	return p.scan(lower, upper, descending, func(k Key, _ []byte) (bool, error) { return fn(k.Seq), nil })
}

// Reactions calls fn for the reactions to an event from an entry of [record.ReactionIndex] on: by key, shorter keys first,
// and for each key by user. alone: only those with the entry's own key.
func (p *Partition) Reactions(from record.Index, alone bool, fn func(key string, u record.User) (more bool)) error {
	lower := p.key(indexKey(from))
	fixed := 2 + 4 + 5
	if alone {
		fixed += 1 + len(from.ID)
	}
	return p.scan(lower, prefixEnd(lower[:fixed]), false, func(k Key, _ []byte) (bool, error) {
		return fn(k.ID, k.User), nil
	})
}

// Indexed reports whether an entry is in its index.
func (p *Partition) Indexed(i record.Index) (bool, error) {
	return p.get(indexKey(i), func([]byte) error { return nil })
}

// ScheduledBy calls fn for the messages that a user has scheduled in a conversation.
func (p *Partition) ScheduledBy(
	c record.Conversation, u record.User, fn func(tidemark.ClientID, *record.Scheduled) (more bool),
) error {
	lower := p.key(Key{Kind: ScheduledRow, Conversation: c, User: u})
	return p.scanPrefix(lower, len(lower), func(k Key, v []byte) (bool, error) {
		s, err := decodeScheduled(v)
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(tidemark.ClientID(k.ID), s), nil
	})
}

// JoinRequests calls fn for those who wish to join a conversation, by ordinal from a user on.
func (p *Partition) JoinRequests(
	c record.Conversation, from record.User, fn func(record.User, *record.JoinRequest) (more bool),
) error {
	return p.scanPrefix(p.key(Key{Kind: RequestRow, Conversation: c, User: from}), 6, func(k Key, v []byte) (bool, error) {
		r, err := decodeJoinRequest(v)
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(k.User, r), nil
	})
}

// Memberships calls fn for the seqs past after of the events that are about members.
func (p *Partition) Memberships(c record.Conversation, after tidemark.Seq, fn func(tidemark.Seq) (more bool)) error {
	if after >= SeqMax {
		return nil
	}
	lower := p.key(Key{Kind: MembershipRow, Conversation: c, Seq: after + 1})
	return p.scanPrefix(lower, 6, func(k Key, _ []byte) (bool, error) { return fn(k.Seq), nil })
}

// Recalls calls fn for the counted events past a seq that no longer count, with their counted ordinals.
func (p *Partition) Recalls(
	c record.Conversation, after tidemark.Seq, fn func(seq tidemark.Seq, counted uint64) (more bool),
) error {
	if after >= SeqMax {
		return nil
	}
	lower := p.key(Key{Kind: RecallRow, Conversation: c, Seq: after + 1})
	return p.scanPrefix(lower, 6, func(k Key, v []byte) (bool, error) {
		counted, err := decodeUvarint(v, 1<<64-1)
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(k.Seq, counted), nil
	})
}

// Devices calls fn for the devices of a user.
func (p *Partition) Devices(id tidemark.UserID, fn func(*record.Device) (more bool)) error {
	lower := p.key(Key{Kind: DeviceRow, ID: string(id)})
	return p.scanPrefix(lower, len(lower), func(k Key, v []byte) (bool, error) {
		d, err := decodeDevice(v, k.Device)
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(d), nil
	})
}

// Cursors calls fn for the devices of a user that have acknowledged a position of this partition.
func (p *Partition) Cursors(u record.User, fn func(tidemark.DeviceID, tidemark.Position) (more bool)) error {
	return p.scanPrefix(p.key(Key{Kind: CursorRow, User: u}), 6, func(k Key, v []byte) (bool, error) {
		n, err := decodeUvarint(v, uint64(PositionMax))
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(k.Device, tidemark.Position(n)), nil
	})
}

// AllCursors calls fn for the devices of all users that have acknowledged a position of this partition, by the users'
// ordinals.
func (p *Partition) AllCursors(fn func(record.User, tidemark.DeviceID, tidemark.Position) (more bool)) error {
	return p.scanPrefix(p.key(Key{Kind: CursorRow}), 2, func(k Key, v []byte) (bool, error) {
		n, err := decodeUvarint(v, uint64(PositionMax))
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(k.User, k.Device, tidemark.Position(n)), nil
	})
}

// Commits calls fn for the commits from a position on that appended events, with the events in their order.
func (p *Partition) Commits(
	from tidemark.Position, fn func(tidemark.Position, []record.ConversationSeq) (more bool),
) error {
	if from > PositionMax {
		return nil
	}
	return p.scanPrefix(p.key(Key{Kind: CommitRow, Position: from}), 2, func(k Key, v []byte) (bool, error) {
		events, err := decodeCommit(v)
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(k.Position, events), nil
	})
}

// AllConversations calls fn for every conversation of the partition by ordinal.
func (p *Partition) AllConversations(fn func(*record.Info) (more bool)) error {
	return p.scanPrefix(p.key(Key{Kind: InfoRow}), 2, func(k Key, v []byte) (bool, error) {
		i, err := decodeInfo(v, k.Conversation)
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(i), nil
	})
}

// AllUsers calls fn for every user that the partition has met, by ordinal.
func (p *Partition) AllUsers(fn func(record.User, tidemark.UserID) (more bool)) error {
	return p.scanPrefix(p.key(Key{Kind: UserIDRow}), 2, func(k Key, v []byte) (bool, error) {
		return fn(k.User, tidemark.UserID(v)), nil
	})
}

// AllProfiles calls fn for every profile of the partition by user id.
func (p *Partition) AllProfiles(fn func(*record.Profile) (more bool)) error {
	return p.scanPrefix(p.key(Key{Kind: ProfileRow}), 2, func(k Key, v []byte) (bool, error) {
		f, err := decodeProfile(v, tidemark.UserID(k.ID))
		if err != nil {
			return false, damaged(k, err)
		}
		return fn(f), nil
	})
}
