// SPDX-License-Identifier: Apache-2.0

// Batch: the mutations of one commit of one partition, encoded.

package store

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// Batch gathers the changes of one commit of one partition. It is not safe for concurrent use.
type Batch struct {
	partition uint8
	stored    *Partition // what is committed
	pb        *pebble.Batch
	key, val  []byte // scratch
	state     record.Partition
	stateSet  bool
	commits   []commitEvents // rows position -> events, in the order of their positions' first event
	err       error          // of the first change that cannot be encoded

	trims                     []record.TrimChange
	trimmedFirst, trimmedLast tidemark.Position // of the rows of commits that were rewritten; 0: none
}

type commitEvents struct {
	position tidemark.Position
	events   []record.ConversationSeq
}

// NewBatch makes an empty batch of partition n, which must be less than Meta().Partitions. Close it when done.
func (db *DB) NewBatch(n uint32) *Batch {
	db.checkPartition(n)
	return &Batch{partition: uint8(n), stored: db.partitions[n], pb: db.pebble.NewBatch()}
}

// Put adds changes to the batch, in order: a later entry for the same key replaces an earlier one. It derives the rows
// that follow from them: user and conversation ids to ordinals, the users' lists of conversations, the events of the
// commit. The changes are encoded at once; the caller may reuse them. What cannot be encoded (a seq past [SeqMax])
// makes Commit fail.
func (b *Batch) Put(c *record.Changes) {
	b.state, b.stateSet = c.Partition, true
	for _, u := range c.Users {
		b.set(Key{Kind: UserOrdinalRow, ID: string(u.ID)}, binary.AppendUvarint(b.val[:0], uint64(u.Ordinal)))
		b.set(Key{Kind: UserIDRow, User: u.Ordinal}, append(b.val[:0], u.ID...))
	}
	for _, i := range c.Infos {
		b.set(Key{Kind: ConversationRow, ID: string(i.ID)}, binary.AppendUvarint(b.val[:0], uint64(i.Ordinal)))
		b.set(Key{Kind: InfoRow, Conversation: i.Ordinal}, appendInfo(b.val[:0], i))
	}
	for _, h := range c.Heads {
		b.set(Key{Kind: HeadRow, Conversation: h.Conversation}, appendHead(b.val[:0], h.Head))
	}
	for _, m := range c.Members {
		b.putMember(m)
	}
	for _, e := range c.Events {
		b.set(Key{Kind: EventRow, Conversation: e.Conversation, Seq: e.Event.Seq}, appendEvent(b.val[:0], b.partition, e.Event))
		if !e.Rewrite {
			if e.Event.Kind == record.MembersBody {
				b.set(Key{Kind: MembershipRow, Conversation: e.Conversation, Seq: e.Event.Seq}, b.val[:0])
			}
			b.addToCommit(e.Event.Position, record.ConversationSeq{Conversation: e.Conversation, Seq: e.Event.Seq})
		}
	}
	for _, f := range c.Currents {
		b.set(Key{Kind: CurrentRow, Conversation: f.Conversation, Seq: f.Seq}, appendCurrent(b.val[:0], f.Current))
	}
	for _, h := range c.Hours {
		k := Key{Kind: HourRow, Conversation: h.Conversation, Hour: h.Hour.Hour}
		if h.Removed {
			b.delete(k)
		} else {
			b.set(k, appendHour(b.val[:0], h.Hour))
		}
	}
	b.putIndexes(c)
	b.putPeople(c)
	for _, r := range c.Commits {
		k := Key{Kind: CommitRow, Position: r.Position}
		if b.trimmedFirst == 0 || r.Position < b.trimmedFirst {
			b.trimmedFirst = r.Position
		}
		b.trimmedLast = max(b.trimmedLast, r.Position)
		if len(r.Events) == 0 {
			b.delete(k)
		} else {
			b.set(k, appendCommit(b.val[:0], r.Events))
		}
	}
	for _, t := range c.Trims { // after everything else: what a trim removes is gone whatever came before it
		b.trim(t)
	}
}

// trim removes the rows of events that are no longer kept.
func (b *Batch) trim(t record.TrimChange) {
	b.checkSeq(t.To + 1)
	b.trims = append(b.trims, t)
	for _, kind := range [...]Kind{EventRow, CurrentRow, RecallRow, MembershipRow, ReactionRow} {
		b.deleteRange(Key{Kind: kind, Conversation: t.Conversation, Seq: t.From},
			Key{Kind: kind, Conversation: t.Conversation, Seq: t.To + 1})
	}
	b.deleteRange(Key{Kind: ThreadRow, Conversation: t.Conversation, Root: t.From},
		Key{Kind: ThreadRow, Conversation: t.Conversation, Root: t.To + 1})
}

func (b *Batch) deleteRange(from, to Key) {
	from.Partition, to.Partition = b.partition, b.partition
	b.keep(b.pb.DeleteRange(AppendKey(nil, from), AppendKey(nil, to), nil))
}

func (b *Batch) putMember(m record.MemberChange) {
	b.set(Key{Kind: MemberRow, Conversation: m.Conversation, User: m.User}, appendMember(b.val[:0], m.Member))
	if !m.Quiet {
		b.set(Key{Kind: ListRow, User: m.User, Conversation: m.Conversation},
			binary.AppendUvarint(b.val[:0], uint64(m.Member.Position)))
	}
}

func (b *Batch) putIndexes(c *record.Changes) {
	b.forgetClientIDs(c.ClientIDs)
	for _, i := range c.ClientIDs {
		if i.Removed {
			continue
		}
		// Merged, not set: rows of equal hash keep every seq, without reading before writing.
		b.checkSeq(i.Seq)
		b.encodeKey(clientIDKey(i))
		b.val = binary.AppendUvarint(b.val[:0], uint64(i.Seq))
		b.keep(b.pb.Merge(b.key, b.val, nil))
	}
	for _, m := range c.Mentions {
		k := Key{Kind: MentionRow, Conversation: m.Conversation, User: m.User, Seq: m.Seq}
		if m.Removed {
			b.delete(k)
		} else {
			b.set(k, b.val[:0])
		}
	}
	for _, i := range c.Indexes {
		k := indexKey(i.Index)
		if i.Removed && k.Kind == ReactionRow && k.ID == "" {
			b.checkSeq(k.Seq + 1)
			b.deleteRange(k, Key{Kind: k.Kind, Conversation: k.Conversation, Seq: k.Seq + 1})
		} else if i.Removed {
			b.delete(k)
		} else {
			b.set(k, b.val[:0])
		}
	}
	for _, r := range c.Recalls {
		b.set(Key{Kind: RecallRow, Conversation: r.Conversation, Seq: r.Seq}, binary.AppendUvarint(b.val[:0], r.Counted))
	}
}

func clientIDKey(i record.ClientIDChange) Key {
	return Key{Kind: ClientIDRow, Conversation: i.Conversation, Hash: clientIDHash(i.User, i.ClientID)}
}

// forgetClientIDs takes the seqs of those that are removed out of their rows; what other client ids of the same hash
// have there stays. It reads the rows as they are committed, and comes before what the same changes add to them.
func (b *Batch) forgetClientIDs(changes []record.ClientIDChange) {
	var removed map[Key][]tidemark.Seq
	for _, i := range changes {
		if i.Removed {
			if removed == nil {
				removed = make(map[Key][]tidemark.Seq)
			}
			k := clientIDKey(i)
			removed[k] = append(removed[k], i.Seq)
		}
	}
	for _, i := range changes {
		k := clientIDKey(i)
		seqs, there := removed[k]
		if !i.Removed || !there {
			continue
		}
		delete(removed, k)
		rest, err := b.stored.clientIDSeqs(k)
		b.keep(err)
		rest = slices.DeleteFunc(rest, func(s tidemark.Seq) bool { return slices.Contains(seqs, s) })
		if len(rest) == 0 {
			b.delete(k)
			continue
		}
		value := b.val[:0]
		for _, s := range rest {
			value = binary.AppendUvarint(value, uint64(s))
		}
		b.set(k, value)
	}
}

func (b *Batch) putPeople(c *record.Changes) {
	for _, a := range c.Accounts {
		b.set(Key{Kind: AccountRow, ID: string(a.User)}, appendAccount(b.val[:0], a))
	}
	for _, p := range c.Privates {
		b.set(Key{Kind: PrivateRow, Conversation: p.Conversation, User: p.User}, appendPrivate(b.val[:0], p.Private))
	}
	for _, s := range c.Scheduled {
		k := Key{Kind: ScheduledRow, Conversation: s.Conversation, User: s.User, ID: string(s.ClientID)}
		if s.Removed {
			b.delete(k)
		} else {
			b.set(k, appendScheduled(b.val[:0], s.Scheduled))
		}
	}
	for _, r := range c.Requests {
		k := Key{Kind: RequestRow, Conversation: r.Conversation, User: r.User}
		if r.Removed {
			b.delete(k)
		} else {
			b.set(k, appendJoinRequest(b.val[:0], r.Request))
		}
	}
	for _, p := range c.Profiles {
		b.set(Key{Kind: ProfileRow, ID: string(p.ID)}, appendProfile(b.val[:0], p))
	}
	for _, d := range c.Devices {
		k := Key{Kind: DeviceRow, ID: string(d.User), Device: d.Device.ID}
		if d.Removed {
			b.delete(k)
		} else {
			b.set(k, appendDevice(b.val[:0], d.Device))
		}
	}
	for _, u := range c.Cursors {
		k := Key{Kind: CursorRow, User: u.User, Device: u.Device}
		if u.Position == 0 {
			b.delete(k)
		} else {
			b.set(k, binary.AppendUvarint(b.val[:0], uint64(u.Position)))
		}
	}
}

// addToCommit remembers an event for the row of its commit, written when the batch is sealed.
func (b *Batch) addToCommit(p tidemark.Position, e record.ConversationSeq) {
	if n := len(b.commits); n > 0 && b.commits[n-1].position == p {
		b.commits[n-1].events = append(b.commits[n-1].events, e)
		return
	}
	if p > PositionMax {
		b.keep(fmt.Errorf("position %d does not fit in a key", p))
	}
	b.commits = append(b.commits, commitEvents{position: p, events: []record.ConversationSeq{e}})
}

// seal adds the rows that sum the batch up.
func (b *Batch) seal() error {
	for _, c := range b.commits {
		b.set(Key{Kind: CommitRow, Position: c.position}, appendCommit(b.val[:0], c.events))
	}
	b.commits = b.commits[:0]
	if b.stateSet {
		b.set(Key{Kind: StateRow}, appendState(b.val[:0], b.state))
		b.stateSet = false
	}
	return b.err
}

func (b *Batch) encodeKey(k Key) {
	b.checkSeq(k.Seq)
	k.Partition = b.partition
	b.key = AppendKey(b.key[:0], k)
}

// set takes a value that was appended to b.val[:0], whose memory it keeps for the next.
func (b *Batch) set(k Key, value []byte) {
	b.encodeKey(k)
	b.val = value
	b.keep(b.pb.Set(b.key, value, nil))
}

func (b *Batch) delete(k Key) {
	b.encodeKey(k)
	b.keep(b.pb.Delete(b.key, nil))
}

func (b *Batch) checkSeq(s tidemark.Seq) {
	if s > SeqMax {
		b.keep(fmt.Errorf("seq %d does not fit in a key", s))
	}
}

func (b *Batch) keep(err error) {
	if b.err == nil && err != nil {
		b.err = fmt.Errorf("store: batch of partition %d: %w", b.partition, err)
	}
}

// Partition is the number of the partition the batch belongs to.
func (b *Batch) Partition() uint32 { return uint32(b.partition) }

// Empty reports whether nothing was put.
func (b *Batch) Empty() bool { return !b.stateSet && b.pb.Empty() }

// Len is the size of what was put, in bytes.
func (b *Batch) Len() int { return b.pb.Len() }

// Rows is how many rows were put or deleted. After a commit it counts those that sum the batch up, too.
func (b *Batch) Rows() int { return int(b.pb.Count()) }

// Reset empties the batch for reuse.
func (b *Batch) Reset() {
	b.pb.Reset()
	b.commits, b.stateSet, b.err = b.commits[:0], false, nil
	b.trims, b.trimmedFirst, b.trimmedLast = b.trims[:0], 0, 0
}

// Close frees the batch's memory. The batch must not be used after.
func (b *Batch) Close() {
	if b.pb != nil {
		_ = b.pb.Close() // only fails for an open iterator, of which there is none
		b.pb = nil
	}
}
