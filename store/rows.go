// SPDX-License-Identifier: Apache-2.0

// Rows: all rows of one kind of a partition in the order of their keys, for those who read everything (the verifier,
// exports).

package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// Rows walks over rows. It is used by one goroutine, as
//
//	rows, err := p.Rows(store.EventRow)
//	defer rows.Close()
//	for rows.Next() { e, err := rows.Event() ... }
//	err = rows.Err()
type Rows struct {
	partition *Partition
	kind      Kind
	it        *pebble.Iterator
	started   bool
	key       Key
	err       error
}

// Rows starts before the first row of a kind. It sees the partition as it is now. Close it.
func (p *Partition) Rows(kind Kind) (*Rows, error) {
	prefix := []byte{p.number, byte(kind)}
	it, err := p.pebble.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return nil, fmt.Errorf("store: scan partition %d: %w", p.number, err)
	}
	return &Rows{partition: p, kind: kind, it: it}, nil
}

// Next goes to the next row and reports whether there is one. A key that cannot be decoded ends the walk with Err.
func (r *Rows) Next() bool {
	if r.err != nil {
		return false
	}
	ok := false
	if r.started {
		ok = r.it.Next()
	} else {
		ok, r.started = r.it.First(), true
	}
	if !ok {
		if err := r.it.Error(); err != nil {
			r.err = fmt.Errorf("store: read a %s of partition %d, after key %x: %w",
				r.kind, r.partition.number, AppendKey(nil, r.key), readable(err))
		}
		return false
	}
	key, err := ParseKey(r.it.Key())
	if err != nil {
		r.err = fmt.Errorf("%w: %w", ErrDamaged, err)
		return false
	}
	r.key = key
	return true
}

// Key is the row's key.
func (r *Rows) Key() Key { return r.key }

// Err is what ended the walk before its end.
func (r *Rows) Err() error { return r.err }

// Close frees what the walk holds.
func (r *Rows) Close() error { return r.it.Close() }

// decoded hands the row's value to decode.
func decoded[T any](r *Rows, decode func(value []byte) (T, error)) (v T, err error) {
	value, err := r.it.ValueAndErr()
	if err != nil {
		return v, fmt.Errorf("store: read a %s of partition %d: %w", r.kind, r.partition.number, err)
	}
	if v, err = decode(value); err != nil {
		return v, damaged(r.key, err)
	}
	return v, nil
}

// UserID decodes a row of kind [UserIDRow].
func (r *Rows) UserID() (tidemark.UserID, error) {
	return decoded(r, func(v []byte) (tidemark.UserID, error) { return tidemark.UserID(v), nil })
}

// Ordinal decodes a row of kind [UserOrdinalRow] or [ConversationRow].
func (r *Rows) Ordinal() (uint32, error) {
	n, err := decoded(r, func(v []byte) (uint64, error) { return decodeUvarint(v, 1<<32-1) })
	return uint32(n), err
}

// Position decodes a row of kind [ListRow] or [CursorRow].
func (r *Rows) Position() (tidemark.Position, error) {
	n, err := decoded(r, func(v []byte) (uint64, error) { return decodeUvarint(v, uint64(PositionMax)) })
	return tidemark.Position(n), err
}

// Counted decodes a row of kind [RecallRow].
func (r *Rows) Counted() (uint64, error) {
	return decoded(r, func(v []byte) (uint64, error) { return decodeUvarint(v, 1<<64-1) })
}

// Info decodes a row of kind [InfoRow].
func (r *Rows) Info() (*record.Info, error) {
	return decoded(r, func(v []byte) (*record.Info, error) { return decodeInfo(v, r.key.Conversation) })
}

// Head decodes a row of kind [HeadRow].
func (r *Rows) Head() (*record.Head, error) { return decoded(r, decodeHead) }

// Event decodes a row of kind [EventRow]; SenderID is left empty.
func (r *Rows) Event() (*record.Event, error) {
	return decoded(r, func(v []byte) (*record.Event, error) { return decodeEvent(v, r.partition.number, r.key.Seq) })
}

// Member decodes a row of kind [MemberRow].
func (r *Rows) Member() (*record.Member, error) { return decoded(r, decodeMember) }

// Seqs decodes a row of kind [ClientIDRow].
func (r *Rows) Seqs() ([]tidemark.Seq, error) { return decoded(r, decodeSeqs) }

// Hour decodes a row of kind [HourRow].
func (r *Rows) Hour() (record.Hour, error) {
	return decoded(r, func(v []byte) (record.Hour, error) { return decodeHour(v, r.key.Hour) })
}

// Current decodes a row of kind [CurrentRow].
func (r *Rows) Current() (*record.Current, error) { return decoded(r, decodeCurrent) }

// Commit decodes a row of kind [CommitRow].
func (r *Rows) Commit() ([]record.ConversationSeq, error) { return decoded(r, decodeCommit) }

// Profile decodes a row of kind [ProfileRow].
func (r *Rows) Profile() (*record.Profile, error) {
	return decoded(r, func(v []byte) (*record.Profile, error) { return decodeProfile(v, tidemark.UserID(r.key.ID)) })
}

// Device decodes a row of kind [DeviceRow].
func (r *Rows) Device() (*record.Device, error) {
	return decoded(r, func(v []byte) (*record.Device, error) { return decodeDevice(v, r.key.Device) })
}

// Account decodes a row of kind [AccountRow].
func (r *Rows) Account() (*record.Account, error) {
	return decoded(r, func(v []byte) (*record.Account, error) { return decodeAccount(v, tidemark.UserID(r.key.ID)) })
}

// Private decodes a row of kind [PrivateRow].
func (r *Rows) Private() (*record.Private, error) { return decoded(r, decodePrivate) }

// Scheduled decodes a row of kind [ScheduledRow].
func (r *Rows) Scheduled() (*record.Scheduled, error) { return decoded(r, decodeScheduled) }

// JoinRequest decodes a row of kind [RequestRow].
func (r *Rows) JoinRequest() (*record.JoinRequest, error) { return decoded(r, decodeJoinRequest) }

// ClientIDKey is the key of the row that remembers a sender's client id in a conversation.
func (p *Partition) ClientIDKey(c record.Conversation, u record.User, id tidemark.ClientID) Key {
	return Key{Partition: p.number, Kind: ClientIDRow, Conversation: c, Hash: clientIDHash(u, id)}
}

// Stray is the first key that belongs to no partition or to no kind of row; nil if all keys do.
func (db *DB) Stray() (key []byte, err error) {
	last := byte(NamedRow)
	for n := range db.meta.Partitions {
		p := byte(n)
		for _, gap := range [][2][]byte{{{p}, {p, byte(StateRow)}}, {{p, last + 1}, prefixEnd([]byte{p})}} {
			if key, err = db.firstKey(gap[0], gap[1]); key != nil || err != nil {
				return key, err
			}
		}
	}
	if db.meta.Partitions == tidemark.PartitionsMax {
		return nil, nil
	}
	return db.firstKey([]byte{byte(db.meta.Partitions)}, nil)
}

func (db *DB) firstKey(lower, upper []byte) (key []byte, err error) {
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("store: scan: %w", err)
	}
	if it.First() {
		key = append([]byte{}, it.Key()...)
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("store: scan: %w", err)
	}
	return key, nil
}
