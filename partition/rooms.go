// SPDX-License-Identifier: Apache-2.0

// Rooms: who is in one, which is known in memory only.

package partition

import (
	"slices"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Receiver is a session's seat in a room. Its methods are called by the partition's loop and by others; they must not
// block.
type Receiver interface {
	// Wake says that the room's log has come to seq. Everything up to there is committed and answered.
	Wake(seq tidemark.Seq)
	// End says that the user was taken out of the room.
	End()
	// Signal hands over what is not stored. The signal is shared and must not be changed.
	Signal(s *wire.Signal)
}

// rooms are the rooms of one partition that somebody is in.
type rooms struct {
	mu sync.RWMutex
	in map[record.Conversation]*room // guarded by mu; each has at least one seat

	// dropping are attributes that a command in the queue drops. Guarded by mu.
	dropping map[record.Conversation][]record.Attribute
}

// room is one room in use. Everything in it is guarded by rooms.mu; the entries are never changed.
type room struct {
	head   tidemark.Seq    // the last event in the lanes, or the head when the room came into use
	digest tidemark.Digest // chain value at head
	counts laneCounts      // events since then
	lanes  [lanes][]laneEntry
	bytes  int          // of the entries of keptLane
	lost   tidemark.Seq // the last event that keptLane had to drop
	seats  []*Seat
	users  map[tidemark.UserID]int // seats by user
}

// Seat is a receiver's seat in a room, from entering until it is left or taken away.
type Seat struct {
	p        *Partition
	c        record.Conversation
	user     tidemark.UserID
	receiver Receiver
	index    int // in room.seats; -1: it has ended. Guarded by rooms.mu

	// Owned by the receiver's reader.
	mark   tidemark.Seq // everything up to it was given, or left out for good
	counts laneCounts   // events given or left out so far, since the room is in use
}

// Enter puts a receiver into a room, as its user, for as long as it stays. It refuses with UNKNOWN_CONVERSATION,
// BAD_ARGUMENT for what is not a room, NOT_ALLOWED where only those are let in who were added, TOO_MANY.
func (s *Set) Enter(user tidemark.UserID, id tidemark.ConversationID, receiver Receiver) (*Seat, error) {
	p := s.Of(id)
	info, err := p.Info(id)
	if err != nil {
		return nil, err
	}
	if err := p.mayEnter(info, user); err != nil {
		return nil, err
	}
	p.dropAttributes(info.Ordinal) // before the user is in: what was to go with an earlier stay does not come back
	seat := &Seat{p: p, c: info.Ordinal, user: user, receiver: receiver}
	if err := p.rooms.add(seat, int(s.limits.RoomReceiversMax)); err != nil {
		return nil, err
	}
	if err := p.mayEnter(info, user); err != nil { // taken out meanwhile, before the seat was there to be taken away
		seat.Leave()
		return nil, err
	}
	return seat, nil
}

func (p *Partition) mayEnter(info *record.Info, user tidemark.UserID) error {
	info, err := p.InfoOf(info.Ordinal)
	if err != nil {
		return err
	}
	m, err := p.Member(info.Ordinal, user)
	if err != nil {
		return err
	}
	if info.Kind == record.Direct && !m.Active() {
		return unknown(info.ID)
	}
	if refused := core.MayEnter(info, user, m); refused != nil {
		return refused
	}
	return nil
}

// add begins a seat at the head of the log. What is applied afterwards comes by the lanes.
func (r *rooms) add(seat *Seat, most int) error {
	if _, err := seat.p.Head(seat.c); err != nil { // brings it into memory, for the moment under the lock
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.in[seat.c]
	if in == nil {
		head, err := seat.p.Head(seat.c)
		if err != nil {
			return err
		}
		in = &room{head: head.Seq, digest: head.Digest, users: make(map[tidemark.UserID]int)}
		if r.in == nil {
			r.in = make(map[record.Conversation]*room)
		}
		r.in[seat.c] = in
	}
	if len(in.seats) >= most {
		return tidemark.Refuse(tidemark.TooMany, "there are %d connections in the room, more are not let in: try again later", most)
	}
	seat.index = len(in.seats)
	seat.mark, seat.counts = in.head, in.counts
	in.seats = append(in.seats, seat)
	in.users[seat.user]++
	return nil
}

// remove takes a seat out; last says that it was its user's last. It needs the lock.
func (r *rooms) remove(seat *Seat) (last bool) {
	in := r.in[seat.c]
	if in == nil || seat.index < 0 {
		return false
	}
	end := in.seats[len(in.seats)-1]
	in.seats[seat.index], end.index = end, seat.index
	in.seats[len(in.seats)-1] = nil
	in.seats = in.seats[:len(in.seats)-1]
	seat.index = -1
	if in.users[seat.user]--; in.users[seat.user] == 0 {
		delete(in.users, seat.user)
		last = true
	}
	if len(in.seats) == 0 {
		delete(r.in, seat.c)
	}
	return last
}

// Leave ends the seat; further calls do nothing. If it was its user's last in the room, attributes that were to go with
// the user are dropped.
func (pl *Seat) Leave() {
	pl.p.rooms.mu.Lock()
	last := pl.p.rooms.remove(pl)
	pl.p.rooms.mu.Unlock()
	if last {
		pl.p.dropAttributes(pl.c)
	}
}

// dropAttributes asks for the attributes to go whose owner is not in the room. Where there is no seat in the queue, the
// next who enters, or sets one, sees to it; until then they are not shown.
func (p *Partition) dropAttributes(c record.Conversation) {
	info, err := p.InfoOf(c)
	if err != nil || info == nil {
		return
	}
	var gone []record.Attribute
	for _, a := range info.Attributes {
		if p.gone(c, a) {
			gone = append(gone, a)
		}
	}
	if len(gone) == 0 {
		return
	}
	p.rooms.setDropping(c, gone)
	settled := func(core.Reply) { p.rooms.setDropping(c, nil) }
	if !p.queue.offer(request{cmd: &core.DropAttributes{Conversation: info.ID, Gone: gone}, done: settled}) {
		settled(core.Reply{})
	}
}

// setDropping remembers which attributes of a room are about to be dropped, also should their owner come back meanwhile.
func (r *rooms) setDropping(c record.Conversation, gone []record.Attribute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gone == nil {
		delete(r.dropping, c)
		return
	}
	if r.dropping == nil {
		r.dropping = make(map[record.Conversation][]record.Attribute)
	}
	r.dropping[c] = gone
}

// gone reports whether an attribute was to go with its owner, and the owner is not in the room, or was not and it is about
// to be dropped.
func (p *Partition) gone(c record.Conversation, a record.Attribute) bool {
	if !a.AutoDelete {
		return false
	}
	owner, err := p.UserID(a.Owner)
	if err != nil {
		return false
	}
	p.rooms.mu.RLock()
	defer p.rooms.mu.RUnlock()
	in := p.rooms.in[c]
	return in == nil || in.users[owner] == 0 || slices.Contains(p.rooms.dropping[c], a)
}

// entered reports whether a session of the user is in a room.
func (p *Partition) entered(c record.Conversation, user tidemark.UserID) bool {
	p.rooms.mu.RLock()
	defer p.rooms.mu.RUnlock()
	in := p.rooms.in[c]
	return in != nil && in.users[user] > 0
}

// InRoom is how many users are in a room.
func (p *Partition) InRoom(c record.Conversation) int {
	p.rooms.mu.RLock()
	defer p.rooms.mu.RUnlock()
	if in := p.rooms.in[c]; in != nil {
		return len(in.users)
	}
	return 0
}

// UsersInRoom is a page of the users who are in a room, by id: those past after, at most limit.
func (p *Partition) UsersInRoom(c record.Conversation, after tidemark.UserID, limit int) []tidemark.UserID {
	var users []tidemark.UserID
	p.rooms.mu.RLock()
	if in := p.rooms.in[c]; in != nil {
		for user := range in.users {
			if user > after {
				users = append(users, user)
			}
		}
	}
	p.rooms.mu.RUnlock()
	slices.Sort(users)
	return users[:min(len(users), limit)]
}

// RoomMember is the record with which a user is in a room: one made up where the user has none; nil if the user may see
// nothing of it, being neither in it nor an admin or owner.
func (p *Partition) RoomMember(c record.Conversation, user tidemark.UserID) (*record.Member, error) {
	m, err := p.Member(c, user)
	switch {
	case err != nil:
		return nil, err
	case m.Active() && m.Role >= record.AdminRole:
		return m, nil
	case !p.entered(c, user):
		return nil, nil
	case m.Active():
		return m, nil
	}
	return core.Guest(m), nil
}

// RoomFloor is the seq at and below which nothing of a room is shown any more: it keeps a number of events.
func RoomFloor(info *record.Info, head *record.Head) tidemark.Seq {
	kept := tidemark.Seq(0)
	if r := core.RetentionOf(info); wire.RetentionMode(r.Mode) == wire.RetentionMode_BY_COUNT {
		kept = tidemark.Seq(r.MaxCount)
	}
	if kept == 0 || head.Seq <= kept {
		return head.Floor
	}
	return max(head.Floor, head.Seq-kept)
}

// isRoom reports whether a conversation that the batch has touched is a room.
func (p *Partition) isRoom(c record.Conversation) bool {
	if r := p.overlay.infos.find(c); r != nil && r.now != nil {
		return r.now.Kind == record.Room
	}
	info, err := p.InfoOf(c)
	return err == nil && info != nil && info.Kind == record.Room
}

// inUse reports whether somebody is in a room.
func (r *rooms) inUse(c record.Conversation) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.in[c] != nil
}

// wake tells everybody in the rooms of a batch how far their logs have come. It comes after the position is published:
// the marks of rooms have nothing to do with checkpoints.
func (r *rooms) wake(p *Partition) {
	if len(p.roomsWoken) == 0 {
		return
	}
	r.mu.RLock()
	for _, c := range p.roomsWoken {
		in := r.in[c]
		if in == nil {
			continue
		}
		p.stats.wakes.Add(uint64(len(in.seats)))
		for _, seat := range in.seats {
			seat.receiver.Wake(in.head)
		}
	}
	r.mu.RUnlock()
	p.roomsWoken = p.roomsWoken[:0]
}

// signal hands a signal to everybody in a room but one user.
func (r *rooms) signal(p *Partition, c record.Conversation, but tidemark.UserID, sig *wire.Signal) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	in := r.in[c]
	if in == nil {
		return
	}
	for _, seat := range in.seats {
		if seat.user != but {
			p.stats.signals.Add(1)
			seat.receiver.Signal(sig)
		}
	}
}

// takeOut ends the seats of users whom commands of the batch have removed. It comes after they were answered.
func (p *Partition) takeOut(n int) {
	for i := range p.work[:n] {
		if p.replies[i].Err != nil {
			continue
		}
		var id tidemark.ConversationID
		var users []tidemark.UserID
		switch cmd := p.work[i].cmd.(type) {
		case *core.RemoveMembers:
			id, users = cmd.Conversation, cmd.Members
		case *core.Leave:
			id, users = cmd.Conversation, []tidemark.UserID{cmd.Actor.User}
		default:
			continue
		}
		if info, err := p.infoByID(id); err == nil && info != nil && info.Kind == record.Room {
			p.rooms.end(p, info.Ordinal, users)
		}
	}
}

// endAll ends the seats of a user in all rooms.
func (r *rooms) endAll(p *Partition, user tidemark.UserID) {
	var in []record.Conversation
	r.mu.Lock()
	for c := range r.in {
		in = append(in, c)
	}
	r.mu.Unlock()
	for _, c := range in {
		r.end(p, c, []tidemark.UserID{user})
	}
}

// end ends the seats of users in a room.
func (r *rooms) end(p *Partition, c record.Conversation, users []tidemark.UserID) {
	var ended []*Seat
	r.mu.Lock()
	if in := r.in[c]; in != nil {
		for _, seat := range in.seats {
			if slices.Contains(users, seat.user) {
				ended = append(ended, seat)
			}
		}
		for _, seat := range ended {
			r.remove(seat)
		}
	}
	r.mu.Unlock()
	for _, seat := range ended {
		seat.receiver.End()
	}
	if len(ended) > 0 {
		p.dropAttributes(c)
	}
}

// Conversation is the ordinal of the room, in the partition At.
func (pl *Seat) Conversation() record.Conversation { return pl.c }

// At is the partition of the room.
func (pl *Seat) At() *Partition { return pl.p }
