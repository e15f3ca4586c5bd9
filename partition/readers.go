// SPDX-License-Identifier: Apache-2.0

// How far the members of one conversation have come, in order: what counts of readers are answered from.

package partition

import (
	"cmp"
	"slices"
	"sort"

	"github.com/tidwall/btree"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// mark is a place in a log and who has come to it, packed so that marks have the order of position, seq, user.
type mark struct{ high, low uint64 }

// everything of a commit: a device that has acknowledged a position has all events of it.
const everything = store.SeqMax

func newMark(position tidemark.Position, seq tidemark.Seq, u record.User) mark {
	return mark{uint64(position)<<16 | uint64(seq)>>24, uint64(seq)<<40>>8 | uint64(u)}
}

func (m mark) user() record.User { return record.User(m.low) }

func (m mark) compare(n mark) int {
	return cmp.Or(cmp.Compare(m.high, n.high), cmp.Compare(m.low, n.low))
}

func (m mark) less(n mark) bool { return m.high < n.high || m.high == n.high && m.low < n.low }

// readers are the active members of a conversation by what they have read and received. It takes about 160 bytes a
// member (BenchmarkReceipts measures it), is changed in O(log members), and answers counts in O(log² members).
//
// A member's delivered mark is the later of two places: the last commit that a device of the member has acknowledged,
// and the event up to which the member has read. Both are kept as position and seq, so that no acknowledgement needs a
// look into the log.
type readers struct {
	members   map[record.User]reader
	joins     tally               // by joined
	reads     *btree.BTreeG[mark] // (0, read, user)
	delivered *btree.BTreeG[mark] // (position, seq, user)
}

// reader is one member. joined <= read: who joins has read what was before.
type reader struct {
	joined, read tidemark.Seq
	delivered    mark
}

func newReaders() *readers {
	less := func(a, b mark) bool { return a.less(b) }
	options := btree.Options{NoLocks: true}
	return &readers{
		members: make(map[record.User]reader),
		reads:   btree.NewBTreeGOptions(less, options), delivered: btree.NewBTreeGOptions(less, options),
	}
}

// load fills empty readers.
func (r *readers) load(members map[record.User]reader) {
	r.members = members
	joins := make([]tidemark.Seq, 0, len(members))
	marks := make([]mark, 0, len(members))
	for u, m := range members {
		joins = append(joins, m.joined)
		marks = append(marks, newMark(0, m.read, u))
	}
	slices.Sort(joins)
	for _, seq := range joins {
		r.joins.add(seq)
	}
	slices.SortFunc(marks, mark.compare)
	for _, m := range marks {
		r.reads.Load(m)
	}
	marks = marks[:0]
	for _, m := range members {
		marks = append(marks, m.delivered)
	}
	slices.SortFunc(marks, mark.compare)
	for _, m := range marks {
		r.delivered.Load(m)
	}
}

// set is called when a member has joined or its read mark has moved; position is that of the event read.
func (r *readers) set(u record.User, joined, read tidemark.Seq, position tidemark.Position) {
	old, there := r.members[u]
	now := reader{joined: joined, read: max(read, joined), delivered: newMark(position, max(read, joined), u)}
	if there {
		if now.delivered.less(old.delivered) {
			now.delivered = old.delivered
		}
		if now == old {
			return
		}
	}
	if !there || old.joined != now.joined {
		if there {
			r.joins.remove(old.joined)
		}
		r.joins.add(now.joined)
	}
	if !there || old.read != now.read {
		if there {
			r.reads.Delete(newMark(0, old.read, u))
		}
		r.reads.Set(newMark(0, now.read, u))
	}
	if there {
		r.delivered.Delete(old.delivered)
	}
	r.delivered.Set(now.delivered)
	r.members[u] = now
}

// remove is called when somebody has left.
func (r *readers) remove(u record.User) {
	old, there := r.members[u]
	if !there {
		return
	}
	r.joins.remove(old.joined)
	r.reads.Delete(newMark(0, old.read, u))
	r.delivered.Delete(old.delivered)
	delete(r.members, u)
}

// deliver is called when a device of a user has acknowledged a position.
func (r *readers) deliver(u record.User, position tidemark.Position) {
	old, there := r.members[u]
	now := newMark(position, everything, u)
	if !there || !old.delivered.less(now) {
		return
	}
	r.delivered.Delete(old.delivered)
	r.delivered.Set(now)
	old.delivered = now
	r.members[u] = old
}

// message is what counting needs of an event.
type message struct {
	seq      tidemark.Seq
	position tidemark.Position
	sender   record.User
}

// ReceiptCounts are how many have a message.
type ReceiptCounts struct {
	Members   uint32 // who are members now and were when it was written, without its sender
	Delivered uint32 // of them: a device has it, or the member has read it
	Read      uint32 // of them
}

// counts of a message. Who has not read it, or not received it, was a member when it was written: joining moves both
// marks.
func (r *readers) counts(of message) ReceiptCounts {
	members := r.joins.upTo(of.seq)
	unread, missing := rank(r.reads, newMark(0, of.seq, 0)), rank(r.delivered, newMark(of.position, of.seq, 0))
	if s, there := r.members[of.sender]; there && s.joined <= of.seq {
		members--
		if s.read < of.seq {
			unread--
		}
		if s.delivered.less(newMark(of.position, of.seq, 0)) {
			missing--
		}
	}
	return ReceiptCounts{Members: uint32(members), Delivered: uint32(members - missing), Read: uint32(members - unread)}
}

// namesLooked bounds how many marks a page looks at, for each that it may name: those who joined later are passed over.
const namesLooked = 16

// names is a page of those who have read a message (or received it), or of those who have not, in the order of their
// marks: past after, at most limit. next is the last mark looked at; more is false at the end.
func (r *readers) names(of message, received, missing bool, after mark, limit int) (users []record.User, next mark, more bool) {
	tree, place := r.reads, newMark(0, of.seq, 0)
	if received {
		tree, place = r.delivered, newMark(of.position, of.seq, 0)
	}
	from := mark{after.high, after.low + 1}
	if !missing && from.less(place) {
		from = place
	}
	looked := 0
	tree.Ascend(from, func(m mark) bool {
		if missing && !m.less(place) {
			return false
		}
		if len(users) == limit || looked == namesLooked*limit {
			more = true
			return false
		}
		looked++
		next = m
		if u := m.user(); u != of.sender && r.members[u].joined <= of.seq {
			users = append(users, u)
		}
		return true
	})
	return users, next, more
}

// rank is how many marks are less than one.
func rank(tree *btree.BTreeG[mark], than mark) int {
	return sort.Search(tree.Len(), func(i int) bool {
		m, _ := tree.GetAt(i)
		return !m.less(than)
	})
}

// tally counts seqs, and how many are not above one: a Fenwick tree over the seqs that were ever counted, to which seqs
// are mostly appended. The zero value is empty.
type tally struct {
	seqs  []tidemark.Seq // ascending
	sums  []uint32       // sums[i] is the count of seqs[i-low+1..i], low the lowest set bit of i+1
	total int
}

// upTo is how many are not above seq.
func (t *tally) upTo(seq tidemark.Seq) int {
	i, found := slices.BinarySearch(t.seqs, seq)
	if found {
		i++
	}
	return t.sum(i)
}

// sum is the count of the first n seqs.
func (t *tally) sum(n int) (sum int) {
	for ; n > 0; n &= n - 1 {
		sum += int(t.sums[n-1])
	}
	return sum
}

func (t *tally) add(seq tidemark.Seq) {
	t.total++
	i, found := slices.BinarySearch(t.seqs, seq)
	switch {
	case found:
		t.change(i, 1)
	case i == len(t.seqs):
		n := i + 1
		t.seqs = append(t.seqs, seq)
		t.sums = append(t.sums, uint32(t.sum(i)-t.sum(n&(n-1))+1))
	default:
		t.rebuild(seq)
	}
}

// remove takes out one of those that were added.
func (t *tally) remove(seq tidemark.Seq) {
	t.total--
	i, _ := slices.BinarySearch(t.seqs, seq)
	t.change(i, -1)
	if len(t.seqs) > 2*t.total+64 {
		t.rebuild(0)
	}
}

func (t *tally) change(i, by int) {
	for n := i + 1; n <= len(t.sums); n += n & -n {
		t.sums[n-1] = uint32(int(t.sums[n-1]) + by)
	}
}

// rebuild leaves out the seqs that count nothing, and puts in one that is new, unless it is 0.
func (t *tally) rebuild(with tidemark.Seq) {
	old := *t
	t.seqs, t.sums = nil, nil
	var counts []uint32
	put := func(seq tidemark.Seq, count int) {
		t.seqs, counts = append(t.seqs, seq), append(counts, uint32(count))
	}
	for i, seq := range old.seqs {
		if with != 0 && with < seq {
			put(with, 1)
			with = 0
		}
		if count := old.sum(i+1) - old.sum(i); count > 0 {
			put(seq, count)
		}
	}
	if with != 0 {
		put(with, 1)
	}
	t.sums = counts
	for n := 1; n <= len(t.sums); n++ {
		if up := n + n&-n; up <= len(t.sums) {
			t.sums[up-1] += t.sums[n-1]
		}
	}
}
