// SPDX-License-Identifier: Apache-2.0

// Receipts: who has read or received a message, however old, of however many. Nothing is written for it: the marks of the
// members of conversations that somebody asks about are kept in order in memory. They are brought there by one scan, on
// the asker's goroutine, and then follow every commit and acknowledgement.

package partition

import (
	"fmt"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// buildAloneMembers: conversations of more members are brought into memory one at a time on a node, so that several
// scans do not add up.
const buildAloneMembers = 4096

// fewOrdered: an acknowledgement looks at so many ordered conversations rather than at the user's list.
const fewOrdered = 64

// ordered are the conversations whose members' marks are in memory, in order.
type ordered struct {
	mu       sync.RWMutex
	ready    clock[record.Conversation, *readers]       // guarded by mu; bounded by Readers, sum of members
	building map[record.Conversation]*readersBeingBuilt // guarded by mu
}

// readersBeingBuilt gathers what happens while the members are scanned. The scan may have seen it or not; once it has
// ended, all of it is applied.
type readersBeingBuilt struct {
	done    chan struct{}
	changed map[record.User]change            // guarded by ordered.mu; at most one for each member
	acked   map[record.User]tidemark.Position // guarded by ordered.mu; likewise
}

// change is the last of what has become of a member.
type change struct {
	member   *record.Member
	position tidemark.Position // of the event at member.ReadSeq
}

func newOrdered(members int) ordered {
	return ordered{
		ready:    newClock[record.Conversation, *readers](members),
		building: make(map[record.Conversation]*readersBeingBuilt),
	}
}

// none reports whether no conversation is ordered, or being ordered. It needs the lock.
func (o *ordered) none() bool { return len(o.ready.entries) == 0 && len(o.building) == 0 }

// orderMarks takes over the members that the batch has changed. The loop calls it after apply, before the position is
// published: an acknowledgement of the batch comes later.
func (p *Partition) orderMarks() {
	o := &p.ordered
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.none() {
		return
	}
	each(&p.overlay.members, func(k memberKey, m member) {
		r, ready := o.ready.peek(k.c)
		b := o.building[k.c]
		if !ready && b == nil {
			return
		}
		to := change{member: m.Member}
		if m.Active() {
			to.position = p.readPosition(k.c, m.ReadSeq)
		}
		if b != nil {
			b.changed[k.u] = to
		}
		if ready {
			r.follow(k.u, to)
			o.ready.put(k.c, r, 1+len(r.members))
		}
	})
}

func (r *readers) follow(u record.User, to change) {
	if !to.member.Active() {
		r.remove(u)
		return
	}
	r.set(u, to.member.JoinedSeq, to.member.ReadSeq, to.position)
}

// readPosition is the position of an event up to which a member has just read. The batch has it nearly always: it was
// looked at to count what was read.
func (p *Partition) readPosition(c record.Conversation, seq tidemark.Seq) tidemark.Position {
	if r := p.overlay.events.find(seqKey{c, seq}); r != nil && r.now.Event != nil {
		return r.now.Position
	}
	if r := p.overlay.heads.find(c); r != nil {
		for _, h := range [...]*record.Head{r.now, r.base} {
			if h != nil && h.Seq == seq {
				return h.Position
			}
		}
	}
	position, err := p.positionOf(c, seq)
	if err != nil {
		p.log.Error("event cannot be read", "conversation", c, "seq", seq, "err", err)
	}
	return position
}

// positionOf is the position of an event; 0 if it is not kept any more. Nobody asks about what was not kept, and later
// events have later positions.
func (p *Partition) positionOf(c record.Conversation, seq tidemark.Seq) (tidemark.Position, error) {
	h, err := p.head(c)
	switch {
	case err != nil || h == nil || seq <= h.Floor:
		return 0, err
	case seq == h.Seq:
		return h.Position, nil
	}
	if e := p.inTail(c, seq); e != nil {
		return e.Position, nil
	}
	e, err := p.event(c, seq)
	if err != nil || e == nil {
		return 0, err
	}
	return e.Position, nil
}

// deliver takes over the acknowledgement of a device.
func (p *Partition) deliver(u record.User, position tidemark.Position) error {
	o := &p.ordered
	o.mu.RLock()
	none, few := o.none(), len(o.ready.entries)+len(o.building) <= fewOrdered
	o.mu.RUnlock()
	if none {
		return nil
	}
	var joined []record.Conversation
	if !few {
		var err error
		if joined, err = p.memberOf(u); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.building {
		b.acked[u] = max(b.acked[u], position)
	}
	if few {
		for _, s := range o.ready.ring {
			s.value.deliver(u, position)
		}
		return nil
	}
	for _, c := range joined {
		if r, ok := o.ready.peek(c); ok {
			r.deliver(u, position)
		}
	}
	return nil
}

// withReaders calls fn with the readers of a conversation, under a lock: fn must not keep them, change them, or read the
// partition. It brings them into memory if they are not there, which for a million members takes seconds.
func (p *Partition) withReaders(c record.Conversation, fn func(*readers)) error {
	for {
		o := &p.ordered
		o.mu.RLock()
		r, ok := o.ready.get(c)
		if ok {
			fn(r)
		}
		o.mu.RUnlock()
		if ok {
			return nil
		}
		o.mu.Lock()
		if other := o.building[c]; other != nil {
			o.mu.Unlock()
			<-other.done
			continue
		}
		b := &readersBeingBuilt{
			done: make(chan struct{}), changed: make(map[record.User]change), acked: make(map[record.User]tidemark.Position),
		}
		o.building[c] = b
		o.mu.Unlock()
		return p.buildReaders(c, b, fn)
	}
}

// buildReaders brings the readers of a conversation into memory and calls fn with them.
func (p *Partition) buildReaders(c record.Conversation, b *readersBeingBuilt, fn func(*readers)) error {
	r := newReaders()
	members, err := p.scanReaders(c)
	if err == nil {
		r.load(members)
	}
	o := &p.ordered
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.building, c)
	close(b.done)
	if err != nil {
		return err
	}
	for u, to := range b.changed {
		r.follow(u, to)
	}
	for u, position := range b.acked {
		r.deliver(u, position)
	}
	o.ready.put(c, r, 1+len(r.members))
	fn(r)
	return nil
}

// scanReaders reads how far the members have come: one scan of their records, one of the devices' cursors, and the
// positions of the events up to which those have read whose devices have not acknowledged as much.
func (p *Partition) scanReaders(c record.Conversation) (map[record.User]reader, error) {
	head, err := p.Head(c)
	if err != nil {
		return nil, err
	}
	if head.Members > buildAloneMembers {
		p.set.ordering.Lock()
		defer p.set.ordering.Unlock()
	}
	members := make(map[record.User]reader, head.Members)
	err = p.scanMembers(c, 0, func(u record.User, m *record.Member) bool {
		members[u] = reader{joined: m.JoinedSeq, read: max(m.ReadSeq, m.JoinedSeq)}
		return true
	})
	if err != nil {
		return nil, err
	}
	acked := make(map[record.User]tidemark.Position)
	if err := p.scanCursors(members, acked); err != nil {
		return nil, err
	}
	positions := make(map[tidemark.Seq]tidemark.Position)
	for u, m := range members {
		m.delivered = newMark(acked[u], everything, u)
		if acked[u] < head.Position || m.read > head.Seq {
			at, known := positions[m.read]
			if !known {
				if at, err = p.positionOf(c, m.read); err != nil {
					return nil, err
				}
				positions[m.read] = at
			}
			if read := newMark(at, m.read, u); m.delivered.less(read) {
				m.delivered = read
			}
		}
		members[u] = m
	}
	return members, nil
}

// scanCursors reads the greatest position that a device of each member has acknowledged.
func (p *Partition) scanCursors(members map[record.User]reader, acked map[record.User]tidemark.Position) error {
	note := func(u record.User, position tidemark.Position) {
		if _, member := members[u]; member {
			acked[u] = max(acked[u], position)
		}
	}
	for k, position := range p.acks.allUnsaved() { // before the store is read: what is saved meanwhile is in the one or the other
		u, _, err := p.User(k.user)
		if err != nil {
			return err
		}
		note(u, position)
	}
	var err error
	if len(members) > int(p.users()/8) {
		err = p.db.AllCursors(func(u record.User, _ tidemark.DeviceID, position tidemark.Position) bool {
			note(u, position)
			return true
		})
	} else {
		for u := range members {
			err = p.db.Cursors(u, func(_ tidemark.DeviceID, position tidemark.Position) bool {
				note(u, position)
				return true
			})
			if err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("partition: cursors of %d members: %w", len(members), err)
	}
	return nil
}

// ReceiptsAsk says which names are asked for.
type ReceiptsAsk struct {
	Received bool          // those who have received the message; otherwise those who have read it
	Missing  bool          // those who have not
	After    *ReceiptPlace // Next of the page before
	Limit    int           // names; 0: none
}

// ReceiptPlace is where a page of names goes on. Marks move: who moves between two pages may be named in both, and nobody
// is left out who stays on the side that was asked for.
type ReceiptPlace struct{ High, Low uint64 }

// Receipts say who has a message.
type Receipts struct {
	ReceiptCounts
	Users []tidemark.UserID // in the order of their marks, the least first
	Next  *ReceiptPlace     // nil: there are no more
}

// Receipts of a message, for a member who can see it or, with the empty user, for the app. In a channel only the message's
// sender, admins and owners get names; other members get counts. In a direct conversation whoever has blocked the asker is
// left out. It refuses with UNKNOWN_CONVERSATION, NOT_MEMBER, NOT_ALLOWED in a room, and UNKNOWN_EVENT for what is not a
// message that is kept.
//
// The first question about a conversation reads all its members; then a question costs O(log² members) in memory, and
// the names.
func (s *Set) Receipts(
	user tidemark.UserID, id tidemark.ConversationID, seq tidemark.Seq, ask ReceiptsAsk,
) (Receipts, error) {
	sight, err := s.See(user, id)
	if err != nil {
		return Receipts{}, err
	}
	if sight.Info.Kind == record.Room {
		return Receipts{}, tidemark.Refuse(tidemark.NotAllowed, "%s is a room: nobody's marks are kept there", id)
	}
	e, err := sight.message(seq)
	if err != nil {
		return Receipts{}, err
	}
	p, c := sight.Partition, sight.Info.Ordinal
	if hidden, err := sight.Blocked(); err != nil || hidden {
		return Receipts{}, err
	}
	if e.Sender != sight.Asking && !sight.readersNamed() {
		ask.Limit = 0
	}
	var after mark
	if ask.After != nil {
		after = mark{ask.After.High, ask.After.Low}
	}
	of := message{seq: e.Seq, position: e.Position, sender: e.Sender}
	var answer Receipts
	var users []record.User
	err = p.withReaders(c, func(r *readers) {
		answer.ReceiptCounts = r.counts(of)
		if ask.Limit > 0 {
			names, next, more := r.names(of, ask.Received, ask.Missing, after, ask.Limit)
			users = names
			if more {
				answer.Next = &ReceiptPlace{next.high, next.low}
			}
		}
	})
	if err != nil {
		return Receipts{}, err
	}
	answer.Users = make([]tidemark.UserID, len(users))
	for i, u := range users {
		if answer.Users[i], err = p.UserID(u); err != nil {
			return Receipts{}, err
		}
	}
	return answer, nil
}

// message is the event at seq, if it is a message and the asker can see it; otherwise UNKNOWN_EVENT.
func (t *Sight) message(seq tidemark.Seq) (*record.Event, error) {
	if seq <= t.Floor || seq > t.Head.Seq {
		return nil, tidemark.Refuse(tidemark.UnknownEvent, "no such event between %d and the head %d", t.Floor+1, t.Head.Seq)
	}
	e, err := t.Partition.event(t.Info.Ordinal, seq)
	if err != nil {
		return nil, err
	}
	if e == nil || e.Kind != record.MessageBody {
		return nil, tidemark.Refuse(tidemark.UnknownEvent, "event %d of %s is not a message", seq, t.Info.ID)
	}
	return e, nil
}

// readersNamed reports whether the asker hears who has read what others wrote: not in a channel, but for its admins and
// owners, and the app.
func (t *Sight) readersNamed() bool {
	return t.Info.Kind != record.Channel || t.Member == nil || t.Member.Role >= record.AdminRole
}

// ShowsMarks reports whether the asker sees how far another member has come: it hears who reads, and is not blocked by the
// other in their direct conversation. The asker's own marks are always shown.
func (t *Sight) ShowsMarks(of record.User) (bool, error) {
	if of == t.Asking {
		return true, nil
	}
	blocked, err := t.Blocked()
	return t.readersNamed() && !blocked, err
}

// Blocked reports whether the peer of a direct conversation has blocked the asker.
func (t *Sight) Blocked() (bool, error) {
	if t.Info.Kind != record.Direct || t.Member == nil {
		return false, nil
	}
	me, err := t.Partition.UserID(t.Asking)
	if err != nil {
		return false, err
	}
	peer, ok := t.Info.ID.Peer(me)
	if !ok {
		return false, nil
	}
	return t.Partition.hasBlocked(t.Info.Ordinal, peer)
}

// orderedMembers are how many members' marks are in memory.
func (p *Partition) orderedMembers() int {
	p.ordered.mu.RLock()
	defer p.ordered.mu.RUnlock()
	return p.ordered.ready.cost
}
