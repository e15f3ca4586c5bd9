// SPDX-License-Identifier: Apache-2.0

// Partition: what can be read of one partition's state, record by record. Ranges are in scan.go.

package store

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	lru "github.com/hashicorp/golang-lru/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// userIDsMax is how many user ids a partition remembers by ordinal, to name senders without a read.
const userIDsMax = 1 << 14

// Partition reads the state of one partition. Its methods are safe for concurrent use, return fresh records that the
// caller owns, and fail only for I/O or damage ([ErrDamaged]): what is not there is nil or zero. They see a batch from
// shortly before its Commit returns. They must not be called once the store is being closed.
type Partition struct {
	number   uint8
	pebble   pebble.Reader
	userIDs  *lru.Cache[record.User, tidemark.UserID]
	rowsRead atomic.Uint64 // see Metrics
}

func newPartition(number uint8, db *pebble.DB) *Partition {
	cache, err := lru.New[record.User, tidemark.UserID](userIDsMax)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Partition{number: number, pebble: db, userIDs: cache}
}

// Snapshot reads a partition as it was when it was made, until it is closed. It holds back the freeing of disk.
type Snapshot struct {
	*Partition
	pebble *pebble.Snapshot
}

// Snapshot is the partition as it is now. Close it before the store is closed.
func (db *DB) Snapshot(n uint32) *Snapshot {
	db.checkPartition(n)
	p, now := db.partitions[n], db.pebble.NewSnapshot()
	return &Snapshot{Partition: &Partition{number: p.number, pebble: now, userIDs: p.userIDs}, pebble: now}
}

// Close frees the snapshot, which must not be used after.
func (s *Snapshot) Close() { _ = s.pebble.Close() } // fails only when it was closed before

// get reads one row and hands its value to decode. found is false if there is none.
func (p *Partition) get(k Key, decode func(value []byte) error) (found bool, err error) {
	if k.Seq > SeqMax || k.Position > PositionMax || len(k.ID) > idInKeyBytesMax {
		return false, nil
	}
	k.Partition = p.number
	p.rowsRead.Add(1)
	var buf [64]byte
	value, closer, err := p.pebble.Get(AppendKey(buf[:0], k))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store: read %s of partition %d: %w", k.Kind, p.number, readable(err))
	}
	defer closer.Close()
	if err := decode(value); err != nil {
		return false, damaged(k, err)
	}
	return true, nil
}

// damaged says which row cannot be decoded and why.
func damaged(k Key, err error) error {
	return fmt.Errorf("store: %w: %s of partition %d, key %x: %w", ErrDamaged, k.Kind, k.Partition, AppendKey(nil, k), err)
}

// State is the state of the partition itself; zero before its first commit.
func (p *Partition) State() (s record.Partition, err error) {
	_, err = p.get(Key{Kind: StateRow}, func(v []byte) (err error) {
		s, err = decodeState(v)
		return err
	})
	return s, err
}

// User is the ordinal of a user, and whether it has one here.
func (p *Partition) User(id tidemark.UserID) (record.User, bool, error) {
	v, found, err := p.number32(Key{Kind: UserOrdinalRow, ID: string(id)})
	return record.User(v), found, err
}

// UserID is the id of an ordinal. An ordinal that was never given is an error.
func (p *Partition) UserID(u record.User) (tidemark.UserID, error) {
	if id, ok := p.userIDs.Get(u); ok {
		return id, nil
	}
	var id tidemark.UserID
	k := Key{Kind: UserIDRow, User: u}
	found, err := p.get(k, func(v []byte) error {
		id = tidemark.UserID(v)
		return nil
	})
	if err == nil && !found {
		k.Partition = p.number
		err = damaged(k, errors.New("no user has this ordinal"))
	}
	if err != nil {
		return "", err
	}
	p.userIDs.Add(u, id)
	return id, nil
}

// Conversation is the info of a conversation by its id; nil if there is none.
func (p *Partition) Conversation(id tidemark.ConversationID) (*record.Info, error) {
	c, found, err := p.number32(Key{Kind: ConversationRow, ID: string(id)})
	if err != nil || !found {
		return nil, err
	}
	return p.Info(record.Conversation(c))
}

// Info is the info of a conversation; nil if there is none.
func (p *Partition) Info(c record.Conversation) (i *record.Info, err error) {
	_, err = p.get(Key{Kind: InfoRow, Conversation: c}, func(v []byte) (err error) {
		i, err = decodeInfo(v, c)
		return err
	})
	return i, err
}

// Head is the head of a conversation; nil if there is none.
func (p *Partition) Head(c record.Conversation) (h *record.Head, err error) {
	_, err = p.get(Key{Kind: HeadRow, Conversation: c}, func(v []byte) (err error) {
		h, err = decodeHead(v)
		return err
	})
	return h, err
}

// Member is a user's record in a conversation; nil if it never was a member.
func (p *Partition) Member(c record.Conversation, u record.User) (m *record.Member, err error) {
	_, err = p.get(Key{Kind: MemberRow, Conversation: c, User: u}, func(v []byte) (err error) {
		m, err = decodeMember(v)
		return err
	})
	return m, err
}

// Event is one event of a conversation; nil if there is none of this seq.
func (p *Partition) Event(c record.Conversation, seq tidemark.Seq) (e *record.Event, err error) {
	found, err := p.get(Key{Kind: EventRow, Conversation: c, Seq: seq}, func(v []byte) (err error) {
		e, err = decodeEvent(v, p.number, seq)
		return err
	})
	if err != nil || !found {
		return nil, err
	}
	e.SenderID, err = p.UserID(e.Sender)
	return e, err
}

// Current is the current form of an event; nil if it is as it was written.
func (p *Partition) Current(c record.Conversation, seq tidemark.Seq) (f *record.Current, err error) {
	_, err = p.get(Key{Kind: CurrentRow, Conversation: c, Seq: seq}, func(v []byte) (err error) {
		f, err = decodeCurrent(v)
		return err
	})
	return f, err
}

// ByClientID is the seq of the event that a sender's client id made in a conversation; 0 if none. It is exact: where
// hashes of client ids are equal, the events themselves decide.
func (p *Partition) ByClientID(c record.Conversation, u record.User, id tidemark.ClientID) (tidemark.Seq, error) {
	seqs, err := p.clientIDSeqs(Key{Kind: ClientIDRow, Conversation: c, Hash: clientIDHash(u, id)})
	if err != nil {
		return 0, err
	}
	for _, seq := range seqs {
		e, err := p.Event(c, seq)
		if err != nil {
			return 0, err
		}
		if e != nil && e.Sender == u && e.ClientID == id {
			return seq, nil
		}
	}
	return 0, nil
}

// clientIDLookup makes the filters of all tables count: Get leaves out those of the lowest level, where most rows are.
var clientIDLookup = pebble.IterOptions{UseL6Filters: true}

// clientIDSeqs is the row of client ids of equal hash. Every message asks for its own, and nearly always there is none: the
// filters say so, and no block is read.
func (p *Partition) clientIDSeqs(k Key) (seqs []tidemark.Seq, err error) {
	k.Partition = p.number
	p.rowsRead.Add(1)
	iter, err := p.pebble.NewIter(&clientIDLookup)
	if err == nil {
		var key [64]byte
		if iter.SeekPrefixGE(AppendKey(key[:0], k)) {
			var value []byte
			if value, err = iter.ValueAndErr(); err == nil {
				if seqs, err = decodeSeqs(value); err != nil {
					err = damaged(k, err)
				}
			}
		}
		err = errors.Join(err, iter.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("store: read %s of partition %d: %w", k.Kind, p.number, readable(err))
	}
	return seqs, nil
}

// Commit is the events of one commit that are kept, in their order; none if it appended none.
func (p *Partition) Commit(position tidemark.Position) (events []record.ConversationSeq, err error) {
	_, err = p.get(Key{Kind: CommitRow, Position: position}, func(v []byte) (err error) {
		events, err = decodeCommit(v)
		return err
	})
	return events, err
}

// Hour is a row of the hour index, and whether it is there. hour counts from the Unix epoch.
func (p *Partition) Hour(c record.Conversation, hour uint32) (h record.Hour, found bool, err error) {
	found, err = p.get(Key{Kind: HourRow, Conversation: c, Hour: hour}, func(v []byte) (err error) {
		h, err = decodeHour(v, hour)
		return err
	})
	return h, found, err
}

// Profile is a user's profile; nil if the user does not exist or lives in another partition.
func (p *Partition) Profile(id tidemark.UserID) (f *record.Profile, err error) {
	_, err = p.get(Key{Kind: ProfileRow, ID: string(id)}, func(v []byte) (err error) {
		f, err = decodeProfile(v, id)
		return err
	})
	return f, err
}

// Device is a user's device; nil if it is not known.
func (p *Partition) Device(id tidemark.UserID, device tidemark.DeviceID) (d *record.Device, err error) {
	_, err = p.get(Key{Kind: DeviceRow, ID: string(id), Device: device}, func(v []byte) (err error) {
		d, err = decodeDevice(v, device)
		return err
	})
	return d, err
}

// Account is a user's account; nil if it has none.
func (p *Partition) Account(id tidemark.UserID) (a *record.Account, err error) {
	_, err = p.get(Key{Kind: AccountRow, ID: string(id)}, func(v []byte) (err error) {
		a, err = decodeAccount(v, id)
		return err
	})
	return a, err
}

// Private is what a user keeps in a conversation for its own devices; nil if nothing.
func (p *Partition) Private(c record.Conversation, u record.User) (f *record.Private, err error) {
	_, err = p.get(Key{Kind: PrivateRow, Conversation: c, User: u}, func(v []byte) (err error) {
		f, err = decodePrivate(v)
		return err
	})
	return f, err
}

// Scheduled is a user's scheduled message; nil if there is none.
func (p *Partition) Scheduled(c record.Conversation, u record.User, id tidemark.ClientID) (s *record.Scheduled, err error) {
	_, err = p.get(Key{Kind: ScheduledRow, Conversation: c, User: u, ID: string(id)}, func(v []byte) (err error) {
		s, err = decodeScheduled(v)
		return err
	})
	return s, err
}

// JoinRequest is a user's wish to join a conversation; nil if there is none.
func (p *Partition) JoinRequest(c record.Conversation, u record.User) (r *record.JoinRequest, err error) {
	_, err = p.get(Key{Kind: RequestRow, Conversation: c, User: u}, func(v []byte) (err error) {
		r, err = decodeJoinRequest(v)
		return err
	})
	return r, err
}

// Cursor is the position that a device has acknowledged in this partition; 0 if none.
func (p *Partition) Cursor(u record.User, device tidemark.DeviceID) (pos tidemark.Position, err error) {
	_, err = p.get(Key{Kind: CursorRow, User: u, Device: device}, func(v []byte) error {
		n, err := decodeUvarint(v, uint64(PositionMax))
		pos = tidemark.Position(n)
		return err
	})
	return pos, err
}

// number32 reads a row whose value is an ordinal.
func (p *Partition) number32(k Key) (n uint64, found bool, err error) {
	found, err = p.get(k, func(v []byte) (err error) {
		n, err = decodeUvarint(v, 1<<32-1)
		return err
	})
	return n, found, err
}
