// SPDX-License-Identifier: Apache-2.0

// Rooms: what a device knows of those it is in. All of it is in memory: nothing of a room is written to the store, stands
// in the conversation list, or outlives the process.

package replica

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// RoomKeep is how many of the last events of a room are kept.
const RoomKeep = 200

// roomsKnownMax bounds the rooms that are remembered as such after they were left.
const roomsKnownMax = 1024

// Room is a room that the user is in, as of the call that gave it. It is the caller's.
type Room struct {
	ID   tidemark.ConversationID
	In   bool                   // false: the connection broke; it is entered again by itself
	Info *wire.ConversationInfo // title, attributes (by key) and so on; MemberCount as it was on entering. Must not be written to
	Self *wire.Self             // the user's role. Must not be written to
	Head tidemark.Seq           // the last event

	// Messages are the last events since shortly before the room was entered, ascending, in their current form, at most
	// RoomKeep. Where a seq is missing between two of them, the server left that out. LeftOut is how many it left out just
	// before the first, since the room was entered.
	Messages []Message
	LeftOut  tidemark.Seq
}

// rooms are those that the device is in, or enters.
type rooms struct {
	byID  map[tidemark.ConversationID]*room
	known map[tidemark.ConversationID]bool // were entered once: what still comes of them is no conversation
}

func newRooms() rooms {
	return rooms{byID: map[tidemark.ConversationID]*room{}, known: map[tidemark.ConversationID]bool{}}
}

// room is one of them.
type room struct {
	id          tidemark.ConversationID
	state       roomState
	was         bool     // the app has been told that it is in
	waiting     []uint64 // tokens of those who wait to be told
	notBeforeMs uint64   // enter is not sent before; 0: at once
	failures    uint     // in a row
	info        *wire.ConversationInfo
	self        *wire.Self
	told        bool // info came since enter was answered

	head    tidemark.Seq
	digest  tidemark.Digest // chain value at head
	sure    bool            // head and digest are known
	entries []*entry        // the last events, ascending; replaced, never changed
	leftOut tidemark.Seq    // events left out just before entries[0]
}

type roomState uint8

const (
	wanted roomState = iota // enter is to be sent
	asked                   // enter was sent
	inside                  // and was answered
)

// notIn refuses what needs to be in a room.
func notIn(id tidemark.ConversationID) *tidemark.Error {
	return tidemark.Refuse(tidemark.NotMember, "not in the room %s: enter it first", id)
}

// EnterRoom enters a room. Its answer is a [Done] with the token, once the room's last events and public data are here:
// see [Replica.Room]. Without a connection, or when it breaks before the answer, that is ErrDisconnected. Who is in the
// room already is answered at once. From then on the device enters it again after each reconnection, until it leaves or is
// taken out.
func (r *Replica) EnterRoom(view View, nowMs, token uint64, id tidemark.ConversationID) (Output, error) {
	s := r.begin(view, nowMs)
	m := r.rooms.byID[id]
	switch {
	case !id.Valid():
		return Output{}, tidemark.Refuse(tidemark.BadArgument, "room %q: give %s", id, tidemark.IDAlphabet)
	case m != nil && m.was:
		s.out.Done = append(s.out.Done, Done{Token: token})
	case r.conn.phase < syncing:
		s.out.Done = append(s.out.Done, Done{Token: token, Err: ErrDisconnected})
	case m != nil:
		m.waiting = append(m.waiting, token)
	default:
		r.rooms.byID[id] = &room{id: id, waiting: []uint64{token}}
	}
	return s.end()
}

// LeaveRoom leaves a room. Submissions to it that were not answered fail with NOT_MEMBER, though one that is on its way may
// still be stored. Leaving a room that the device is not in does nothing.
func (r *Replica) LeaveRoom(view View, nowMs uint64, id tidemark.ConversationID) (Output, error) {
	s := r.begin(view, nowMs)
	if m := r.rooms.byID[id]; m != nil {
		if m.state != wanted && r.conn.phase == live {
			s.request(&request{in: id, purpose: forLeave}, func(number uint64) *wire.ClientFrame {
				return &wire.ClientFrame{Frame: &wire.ClientFrame_Leave{Leave: &wire.LeaveRoom{Request: number, Conversation: string(id)}}}
			})
		}
		s.dropRoom(m, nil)
	}
	return s.end()
}

// Room is a room that the device is in, or nil.
func (r *Replica) Room(id tidemark.ConversationID) *Room {
	m := r.rooms.byID[id]
	if m == nil || !m.was {
		return nil
	}
	out := &Room{ID: id, In: m.state == inside, Info: m.info, Self: m.self, Head: m.head, LeftOut: m.leftOut}
	for _, n := range m.entries {
		out.Messages = append(out.Messages, inRoom(n.message(id, r.meta.user), r.meta.user))
	}
	return out
}

// inRoom gives an own message its state: in a room nobody tells more than that it is stored.
func inRoom(m Message, me tidemark.UserID) Message {
	if m.Sender == me {
		m.State = Stored
	}
	return m
}

// Rooms are the ids of the rooms that the device is in, ascending.
func (r *Replica) Rooms() (ids []tidemark.ConversationID) {
	for _, id := range sortedKeys(r.rooms.byID) {
		if r.rooms.byID[id].was {
			ids = append(ids, id)
		}
	}
	return ids
}

// dueMs is when a room that waits may be entered; 0: none waits.
func (m *rooms) dueMs() (at uint64) {
	for _, r := range m.byID {
		if r.state == wanted && r.notBeforeMs > 0 && (at == 0 || r.notBeforeMs < at) {
			at = r.notBeforeMs
		}
	}
	return at
}

// learn remembers a room as one.
func (m *rooms) learn(id tidemark.ConversationID) {
	if len(m.known) >= roomsKnownMax {
		clear(m.known)
	}
	m.known[id] = true
}

// left reports whether a conversation is known to be a room that the device is not in.
func (m *rooms) left(id tidemark.ConversationID) bool { return m.byID[id] == nil && m.known[id] }

// has reports whether a conversation is known to be a room, or is about to turn out as one.
func (m *rooms) has(id tidemark.ConversationID) bool { return m.byID[id] != nil || m.known[id] }

// pumpRooms enters the rooms that are to be entered.
func (s *step) pumpRooms() {
	for _, id := range sortedKeys(s.r.rooms.byID) {
		m := s.r.rooms.byID[id]
		if m.state != wanted || m.notBeforeMs > s.nowMs {
			continue
		}
		m.state, m.notBeforeMs, m.told = asked, 0, false
		s.request(&request{in: id, purpose: forEnter, room: m}, func(number uint64) *wire.ClientFrame {
			return &wire.ClientFrame{Frame: &wire.ClientFrame_Enter{Enter: &wire.Enter{Request: number, Conversation: string(id)}}}
		})
	}
}

// dropRoom ends being in a room, or entering it; why is nil if the user wanted it.
func (s *step) dropRoom(m *room, why *tidemark.Error) {
	delete(s.r.rooms.byID, m.id)
	failure := why
	if failure == nil {
		failure = tidemark.Refuse(tidemark.NotMember, "the room %s was left", m.id)
	}
	s.answerEntering(m, failure)
	if l := s.r.outbox.lanes[m.id]; l != nil {
		for _, o := range slices.Clone(l.items) {
			if o.room {
				s.forget(o)
				o.Failure = failure
				s.progress(o, Failed, 0)
			}
		}
	}
	if m.was {
		s.note(RoomChanged{Room: m.id, State: RoomLeft, Reason: why})
	}
}

// answerEntering answers those who wait to be in.
func (s *step) answerEntering(m *room, err error) {
	for _, token := range m.waiting {
		s.out.Done = append(s.out.Done, Done{Token: token, Err: err})
	}
	m.waiting = nil
}

// dropRooms says that the connection broke: rooms that the device was in are entered again on the next.
func (s *step) dropRooms() {
	for _, id := range sortedKeys(s.r.rooms.byID) {
		m := s.r.rooms.byID[id]
		if !m.was {
			s.answerEntering(m, ErrDisconnected)
			delete(s.r.rooms.byID, id)
			continue
		}
		if m.state == inside {
			s.note(RoomChanged{Room: id, State: RoomAway})
		}
		m.state, m.notBeforeMs = wanted, 0
	}
}

// again enters a room anew: what the server says of it does not fit. If that goes on, not at the server's pace.
func (s *step) again(m *room) {
	m.state = wanted
	if m.failures++; m.failures > 1 {
		m.notBeforeMs = s.nowMs + backoffMs(m.failures-2)
	}
	if m.was {
		s.note(RoomChanged{Room: m.id, State: RoomAway})
	}
}

// enterRefused takes in the refusal of enter.
func (s *step) enterRefused(m *room, e *tidemark.Error) {
	switch {
	case s.r.rooms.byID[m.id] != m:
	case m.was && e.Reason.Info().Retryable:
		m.state, m.notBeforeMs = wanted, s.nowMs+max(uint64(e.RetryAfterMs), backoffMs(m.failures))
		m.failures++
	default:
		s.dropRoom(m, e)
	}
}

// entered takes in the answer to enter: the room's last events.
func (s *step) entered(m *room, f *wire.Fetched) {
	if s.r.rooms.byID[m.id] != m {
		return // left meanwhile
	}
	page, sure := s.roomPage(f)
	if page == nil && len(f.Events) > 0 || tidemark.ConversationID(f.Conversation) != m.id {
		s.again(m)
		return
	}
	s.r.rooms.learn(m.id)
	m.state = inside
	if m.was {
		s.note(RoomChanged{Room: m.id, State: RoomIn})
	}
	gap := s.joinRoom(m, page, sure)
	for _, n := range page {
		s.settle(m.id, n)
		if n.seq <= m.head && m.sure {
			continue
		}
		s.takeRoomEvent(m, n, gap)
		gap, m.sure = 0, true
	}
	m.sure = sure
	if l := s.r.outbox.lanes[m.id]; l != nil {
		s.r.outbox.wake(m.id, l)
	}
}

// roomPage are the events of a page of a room, chained; nil: there are none, or they make no sense. sure is false when
// the page does not say what the chain is.
func (s *step) roomPage(f *wire.Fetched) (page []*entry, sure bool) {
	digest, sure := toDigest(f.PrevDigest)
	for i, ev := range f.Events {
		n, err := entryOf(ev, tidemark.Seq(f.HeadSeq), s.r.meta.user)
		if err != nil || i > 0 && n.seq != page[i-1].seq+1 {
			return nil, false
		}
		if n.seq == 1 {
			digest, sure = chain.Start(tidemark.ConversationID(f.Conversation)), true
		}
		digest = chain.Next(digest, n.link())
		n.digest = digest
		page = append(page, n)
	}
	return page, sure && len(page) > 0
}

// joinRoom compares the last events of a room that is entered again with what is known of it, and puts them in the place
// of older forms. gap is how many events came between and are not among them.
func (s *step) joinRoom(m *room, page []*entry, sure bool) (gap tidemark.Seq) {
	if !m.sure || len(page) == 0 {
		m.entries, m.head, m.sure = nil, 0, false
		return 0
	}
	first, last := page[0].seq, page[len(page)-1].seq
	if first > m.head+1 { // a recall may be among what is missing: nothing older can be shown
		m.entries, m.leftOut = nil, first-m.head-1
		return m.leftOut
	}
	same := last >= m.head
	if same && first <= m.head {
		same = !sure || page[m.head-first].digest == m.digest
	}
	if !same {
		report := HistoryChanged{Conversation: m.id, From: m.head, To: m.head}
		for _, n := range m.entries {
			report.From = min(report.From, n.seq)
			report.Dropped = append(report.Dropped, n.message(m.id, s.r.meta.user))
		}
		s.note(report)
		m.entries, m.head, m.sure, m.leftOut = nil, 0, false, 0
		return 0
	}
	for i, n := range m.entries {
		if n.seq >= first {
			m.entries[i] = page[n.seq-first]
		}
	}
	return 0
}

// takeRoomEvent takes in the next event of a room, after so many that were left out.
func (s *step) takeRoomEvent(m *room, n *entry, gap tidemark.Seq) {
	m.head, m.digest = n.seq, n.digest
	if len(m.entries) == 0 {
		m.leftOut = gap
	}
	m.entries = append(m.entries, n)
	if target, o, ok := n.target(); ok {
		s.applyInRoom(m, target, o)
	}
	if extra := len(m.entries) - RoomKeep; extra > 0 {
		m.leftOut = m.entries[extra].seq - m.entries[extra-1].seq - 1
		m.entries = slices.Clone(m.entries[extra:])
	}
	if m.was {
		s.note(RoomEvent{Room: m.id, Message: inRoom(n.message(m.id, s.r.meta.user), s.r.meta.user), Gap: gap})
	}
}

// entryAt is the place of an event among the entries; -1: it is not there.
func (m *room) entryAt(seq tidemark.Seq) int {
	return slices.IndexFunc(m.entries, func(n *entry) bool { return n.seq == seq })
}

// applyInRoom puts an op on its target, if that is there.
func (s *step) applyInRoom(m *room, target tidemark.Seq, o op) {
	at := m.entryAt(target)
	if at < 0 {
		return
	}
	n := m.entries[at].clone()
	withheld, root := n.withheld(), n.answers()
	if !n.add(o) {
		return
	}
	n.fold(o.seq, s.r.meta.user)
	m.entries[at] = n
	if withheld || !n.withheld() {
		return
	}
	if at := m.entryAt(root); at >= 0 && m.entries[at].asOf < o.seq && m.entries[at].threads.count > 0 {
		m.entries[at] = m.entries[at].clone()
		m.entries[at].threads.count--
	}
	for i, e := range m.entries { // what its edits said is taken back as well
		if edited, _, ok := e.target(); ok && edited == target && e.kind == KindEdit {
			e = e.clone()
			e.dropContent()
			e.recallSeq, e.eraseSeq = n.recallSeq, n.eraseSeq
			m.entries[i] = e
		}
	}
}
