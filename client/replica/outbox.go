// SPDX-License-Identifier: Apache-2.0

// Own submissions: stored before they are sent, sent in order, sent again until answered, settled once.

package replica

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// inFlightMax is how many submissions are in flight when the server names no limit.
const inFlightMax = 64

// unavailableMs is how long to wait after UNAVAILABLE or RATE_LIMITED without a hint.
const unavailableMs = 1_000

// outbox holds the submissions that are not settled. One lane for each conversation keeps their order.
type outbox struct {
	byClient map[tidemark.ClientID]*Outgoing
	lanes    map[tidemark.ConversationID]*lane
	ready    []tidemark.ConversationID // lanes that may send, each once
	flying   int
	blocked  int // lanes that wait for a time
}

// lane is the outbox of one conversation.
type lane struct {
	items       []*Outgoing // queued, sent and failed, by number
	answers     map[tidemark.Seq]*Outgoing
	flying      int
	ready       bool
	single      bool   // one at a time, since the server refused one for a while: until the lane is empty
	notBeforeMs uint64 // 0: not blocked
}

func newOutbox() outbox {
	return outbox{byClient: map[tidemark.ClientID]*Outgoing{}, lanes: map[tidemark.ConversationID]*lane{}}
}

// insert adds a submission at the end of its lane.
func (b *outbox) insert(o *Outgoing) {
	b.byClient[o.ClientID] = o
	l := b.lanes[o.Conversation]
	if l == nil {
		l = &lane{}
		b.lanes[o.Conversation] = l
	}
	if o.State == Stored {
		put(&l.answers, o.answer.seq, o)
		return
	}
	l.items = append(l.items, o)
	b.wake(o.Conversation, l)
}

// remove takes a submission out.
func (b *outbox) remove(o *Outgoing) {
	delete(b.byClient, o.ClientID)
	l := b.lanes[o.Conversation]
	if l == nil {
		return
	}
	if o.State == Stored {
		delete(l.answers, o.answer.seq)
	} else {
		b.take(l, o)
	}
	if len(l.items) == 0 {
		b.unblock(l)
		l.single = false
		if len(l.answers) == 0 {
			delete(b.lanes, o.Conversation)
		}
	}
}

// take takes a submission out of the items of its lane.
func (b *outbox) take(l *lane, o *Outgoing) {
	if i := slices.Index(l.items, o); i >= 0 {
		l.items = slices.Delete(l.items, i, i+1)
	}
	if o.State == Sent {
		l.flying--
		b.flying--
	}
	b.wake(o.Conversation, l)
}

// wake notes that a lane may send.
func (b *outbox) wake(id tidemark.ConversationID, l *lane) {
	if !l.ready && len(l.items) > 0 {
		l.ready = true
		b.ready = append(b.ready, id)
	}
}

// unblock ends a lane's waiting.
func (b *outbox) unblock(l *lane) {
	if l.notBeforeMs > 0 {
		l.notBeforeMs = 0
		b.blocked--
	}
}

// rewind says that nothing is in flight any more: the connection broke.
func (b *outbox) rewind() {
	b.flying = 0
	for _, id := range sortedKeys(b.lanes) {
		l := b.lanes[id]
		l.flying = 0
		for _, o := range l.items {
			if o.State == Sent {
				o.State = Queued
			}
		}
		b.unblock(l)
		b.wake(id, l)
	}
}

// address gives the submissions to users their conversations, once it is known whose device this is.
func (b *outbox) address(me tidemark.UserID, s *step) {
	l := b.lanes[""]
	if l == nil {
		return
	}
	delete(b.lanes, "")
	for _, o := range l.items {
		o.Conversation = tidemark.Direct(me, o.ToUser)
		b.insert(o)
		s.saveOutgoing(o)
	}
}

// requeueAnswered queues again what another history's server had stored and the log has not come to: this one may have
// lost it, and if it has not, it answers as before.
func (s *step) requeueAnswered() {
	b := &s.r.outbox
	for _, id := range sortedKeys(b.lanes) {
		l := b.lanes[id]
		for _, seq := range sortedKeys(l.answers) {
			o := l.answers[seq]
			delete(l.answers, seq)
			o.answer = answer{}
			s.progress(o, Queued, 0)
			l.items = append(l.items, o)
			s.saveOutgoing(o)
		}
		slices.SortFunc(l.items, func(a, b *Outgoing) int { return cmp.Compare(a.number, b.number) })
		b.wake(id, l)
	}
}

// answered is the stored submission of a seq, or nil.
func (b *outbox) answered(in tidemark.ConversationID, seq tidemark.Seq) *Outgoing {
	if l := b.lanes[in]; l != nil {
		return l.answers[seq]
	}
	return nil
}

func (b *outbox) hasAnswered(in tidemark.ConversationID) bool {
	l := b.lanes[in]
	return l != nil && len(l.answers) > 0
}

func (b *outbox) answeredSeqs(in tidemark.ConversationID) []tidemark.Seq {
	if l := b.lanes[in]; l != nil && len(l.answers) > 0 {
		return sortedKeys(l.answers)
	}
	return nil
}

// dueMs is when the next lane may send again; 0: none waits.
func (b *outbox) dueMs() (at uint64) {
	if b.blocked == 0 {
		return 0
	}
	for _, l := range b.lanes {
		if l.notBeforeMs > 0 && (at == 0 || l.notBeforeMs < at) {
			at = l.notBeforeMs
		}
	}
	return at
}

// Submit puts a submission into the outbox. Give it either a conversation or, in toUser, the peer of a direct
// conversation. The body is one of message, edit, recall, reaction and pin; the client id is new and random.
//
// A submission to a room that the device is in is kept in memory only: it is sent again after a reconnection, once the room
// is entered again, and fails when the room is left. One to a room that was left is refused with NOT_MEMBER.
func (r *Replica) Submit(view View, nowMs uint64, in tidemark.ConversationID, toUser tidemark.UserID, id tidemark.ClientID, body *wire.Body) (Output, error) {
	s := r.begin(view, nowMs)
	if err := r.checkSubmission(in, toUser, id, body); err != nil {
		return Output{}, err
	}
	if toUser != "" && r.meta.user != "" {
		in = tidemark.Direct(r.meta.user, toUser)
	}
	r.meta.number++
	o := &Outgoing{
		ClientID: id, Conversation: in, ToUser: toUser, Body: wire.MarshalBody(body), CreatedMs: nowMs, State: Queued,
		number: r.meta.number, room: r.rooms.byID[in] != nil,
	}
	s.meta = s.meta || !o.room // the number of what is not stored may be used again after a restart
	r.outbox.insert(o)
	s.saveOutgoing(o)
	s.note(OutgoingChanged{Conversation: in, ClientID: id, State: Queued})
	return s.end()
}

func (r *Replica) checkSubmission(in tidemark.ConversationID, toUser tidemark.UserID, id tidemark.ClientID, body *wire.Body) error {
	_, _, direct := in.Peers()
	switch kind := Kind(wire.BodyKind(body)); {
	case !id.Valid():
		return tidemark.Refuse(tidemark.BadArgument, "client id %q: give 1 to %d bytes of UTF-8", id, tidemark.IDBytesMax)
	case r.outbox.byClient[id] != nil:
		return tidemark.Refuse(tidemark.AlreadyExists, "client id %q is in the outbox already", id)
	case toUser != "" && (!toUser.Valid() || toUser == r.meta.user):
		return tidemark.Refuse(tidemark.BadArgument, "user %q: give the id of another user, %s", toUser, tidemark.IDAlphabet)
	case toUser == "" && !direct && !in.Valid():
		return tidemark.Refuse(tidemark.BadArgument, "conversation %q: give %s", in, tidemark.IDAlphabet)
	case r.rooms.left(in):
		return notIn(in)
	case kind < KindMessage || kind > KindPin:
		return tidemark.Refuse(tidemark.BadArgument, "give one of message, edit, recall, reaction and pin")
	}
	if _, err := proto.Marshal(body); err != nil { // a server takes such a frame for damaged and ends the connection, each time
		return tidemark.Refuse(tidemark.BadArgument, "the content is not valid UTF-8")
	}
	return nil
}

// Outbox is what is not settled, in order of sending.
func (r *Replica) Outbox() []Outgoing {
	var list []Outgoing
	for _, o := range r.outbox.byClient {
		list = append(list, *o)
	}
	slices.SortFunc(list, func(a, b Outgoing) int { return cmp.Compare(a.number, b.number) })
	return list
}

// OutgoingState is the state of a submission in the outbox; 0: it is not there.
func (r *Replica) OutgoingState(id tidemark.ClientID) State {
	if o := r.outbox.byClient[id]; o != nil {
		return o.State
	}
	return 0
}

// Answered is where the server stored a submission that is still in the outbox because events before it are not here.
func (r *Replica) Answered(id tidemark.ClientID) (in tidemark.ConversationID, seq tidemark.Seq, ok bool) {
	if o := r.outbox.byClient[id]; o != nil && o.State == Stored {
		return o.Conversation, o.answer.seq, true
	}
	return "", 0, false
}

// Pending is what is not settled in one conversation, as an app shows it below the stored messages.
func (r *Replica) Pending(in tidemark.ConversationID) []Message {
	l := r.outbox.lanes[in]
	if l == nil {
		return nil
	}
	items := slices.Clone(l.items)
	for _, seq := range sortedKeys(l.answers) {
		items = append(items, l.answers[seq])
	}
	slices.SortFunc(items, func(a, b *Outgoing) int { return cmp.Compare(a.number, b.number) })
	var list []Message
	for _, o := range items {
		body := parseBody(o.Body)
		list = append(list, Message{Conversation: in, TimeMs: o.CreatedMs, Sender: r.meta.user, ClientID: o.ClientID,
			Kind: Kind(wire.BodyKind(body)), Content: body.GetMessage(), Body: body, State: o.State, Failure: o.Failure})
	}
	return list
}

// Retry queues a failed submission again, Discard removes it. Both do nothing to one that has not failed and err when
// there is none.
func (r *Replica) Retry(view View, nowMs uint64, id tidemark.ClientID) (Output, error) {
	return r.failed(view, nowMs, id, func(s *step, o *Outgoing) {
		s.progress(o, Queued, 0)
		s.saveOutgoing(o)
		r.outbox.wake(o.Conversation, r.outbox.lanes[o.Conversation])
	})
}

// Discard removes a failed submission; see [Replica.Retry].
func (r *Replica) Discard(view View, nowMs uint64, id tidemark.ClientID) (Output, error) {
	return r.failed(view, nowMs, id, func(s *step, o *Outgoing) { s.forget(o) })
}

func (r *Replica) failed(view View, nowMs uint64, id tidemark.ClientID, do func(*step, *Outgoing)) (Output, error) {
	s := r.begin(view, nowMs)
	o := r.outbox.byClient[id]
	if o == nil {
		return Output{}, fmt.Errorf("%w: %s", ErrNotInOutbox, id)
	}
	if o.State == Failed {
		do(s, o)
	}
	return s.end()
}

// ErrNotInOutbox: no submission of this client id waits; it may have been stored.
var ErrNotInOutbox = errors.New("not in the outbox")

// progress changes the state of a submission and tells the app.
func (s *step) progress(o *Outgoing, state State, seq tidemark.Seq) {
	if o.State = state; state != Failed {
		o.Failure = nil
	}
	s.note(OutgoingChanged{Conversation: o.Conversation, ClientID: o.ClientID, State: state, Seq: seq, Failure: o.Failure})
}

// forget takes a submission out of the outbox and the store.
func (s *step) forget(o *Outgoing) {
	s.r.outbox.remove(o)
	if !o.room {
		s.dropOutgoing(o.number)
	}
}

// pumpOutbox sends what may be sent: the lanes in turn, each in order.
func (s *step) pumpOutbox() {
	b := &s.r.outbox
	if at := b.dueMs(); at > 0 && at <= s.nowMs {
		for _, id := range sortedKeys(b.lanes) {
			if l := b.lanes[id]; l.notBeforeMs > 0 && l.notBeforeMs <= s.nowMs {
				b.unblock(l)
				b.wake(id, l)
			}
		}
	}
	most := inFlightMax
	if limit := int(s.r.conn.limits.GetInFlightMax()); limit > 0 {
		most = min(most, limit)
	}
	for b.flying < most && len(b.ready) > 0 {
		id := b.ready[0]
		b.ready = b.ready[1:]
		l := b.lanes[id]
		if l == nil {
			continue
		}
		l.ready = false
		if m := s.r.rooms.byID[id]; m != nil && m.state != inside {
			continue // woken when it is entered
		}
		switch o := l.next(s.r.cfg.Window); {
		case o == nil:
		case s.tooLarge(o):
			b.wake(id, l)
		default:
			l.flying++
			b.flying++
			s.submit(o)
			b.wake(id, l)
		}
	}
}

// next is the submission that the lane may send now, or nil.
func (l *lane) next(window int) *Outgoing {
	if l.notBeforeMs > 0 || l.flying >= window || l.single && l.flying > 0 {
		return nil
	}
	for _, o := range l.items {
		if o.State == Queued {
			return o
		}
	}
	return nil
}

// frameSpare is what a frame with a submission holds besides the body, at most: ids, numbers, lengths.
const frameSpare = 512

// tooLarge fails a submission for which no frame has room: over such a frame the server would end the connection, each time.
func (s *step) tooLarge(o *Outgoing) bool {
	most := int(s.r.conn.limits.GetFrameBytesMax())
	if most == 0 || len(o.Body)+frameSpare <= most {
		return false
	}
	o.Failure = tidemark.Refuse(tidemark.TooLarge, "the content has %d bytes, a frame holds %d: send less, or send a link to it", len(o.Body), most)
	s.progress(o, Failed, 0)
	s.saveOutgoing(o)
	return true
}

// submit sends one submission.
func (s *step) submit(o *Outgoing) {
	s.progress(o, Sent, 0)
	s.request(&request{outgoing: o}, func(number uint64) *wire.ClientFrame {
		f := &wire.Submit{Request: number, ClientId: string(o.ClientID), Conversation: string(o.Conversation)}
		switch b := parseBody(o.Body).GetBody().(type) {
		case *wire.Body_Message:
			f.Action = &wire.Submit_Message{Message: b.Message}
		case *wire.Body_Edit:
			f.Action = &wire.Submit_Edit{Edit: b.Edit}
		case *wire.Body_Recall:
			f.Action = &wire.Submit_Recall{Recall: b.Recall}
		case *wire.Body_Reaction:
			f.Action = &wire.Submit_Reaction{Reaction: b.Reaction}
		case *wire.Body_Pin:
			f.Action = &wire.Submit_Pin{Pin: b.Pin}
		}
		return &wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: f}}
	})
}

// submissionRefused takes in the refusal of a submission.
func (s *step) submissionRefused(o *Outgoing, e *tidemark.Error) {
	b := &s.r.outbox
	l := b.lanes[o.Conversation]
	if l == nil || o.State != Sent {
		return // settled meanwhile: its event came
	}
	l.flying--
	b.flying--
	if !e.Reason.Info().Retryable {
		o.Failure = e
		s.progress(o, Failed, 0)
		s.saveOutgoing(o)
		b.wake(o.Conversation, l)
		return
	}
	s.postpone(o, l, uint64(e.RetryAfterMs))
}

// postpone queues a submission again, not to be sent before a time has passed.
func (s *step) postpone(o *Outgoing, l *lane, waitMs uint64) {
	s.progress(o, Queued, 0)
	l.single = true
	if l.notBeforeMs == 0 {
		s.r.outbox.blocked++
	}
	l.notBeforeMs = max(l.notBeforeMs, s.nowMs+max(waitMs, unavailableMs))
}

// belied reports whether another event is stored where the server says that a submission is: the answer was not its own, or
// the history was rewritten. The two are compared then, and the submission is sent again.
func (s *step) belied(c *Conversation, o *Outgoing) bool {
	if !c.holds(o.answer.seq) || c.left() {
		return false
	}
	n := s.entry(c.ID, o.answer.seq)
	if n == nil || n.sender == s.r.meta.user && n.clientID == o.ClientID {
		return false
	}
	if o.answer.seq > c.HeadSeq {
		s.ownEvent(c, o, o.answer.timeMs) // a server that was restored may have gone on here
	}
	s.disbelieve(o)
	s.doubt(c, 0)
	return true
}

// disbelieve queues a submission again whose answer the chain contradicts. If it is stored all the same, its event comes, or
// the server gives the first answer again.
func (s *step) disbelieve(o *Outgoing) {
	l := s.r.outbox.lanes[o.Conversation]
	if l.answers[o.answer.seq] == o {
		delete(l.answers, o.answer.seq)
	}
	o.answer = answer{}
	s.postpone(o, l, 0)
	l.items = append(l.items, o)
	slices.SortFunc(l.items, func(a, b *Outgoing) int { return cmp.Compare(a.number, b.number) })
	s.saveOutgoing(o)
}

// submitted takes in the answer to a submission.
func (s *step) submitted(f *wire.Submitted) {
	if q := s.r.conn.requests[f.GetRequest()]; q == nil || q.outgoing == nil || string(q.outgoing.Conversation) != f.GetConversation() {
		return // a stray: of another connection, or of nothing that was asked
	}
	o := s.answer(f.Request).outgoing
	if o.State != Sent {
		return // settled meanwhile: its event came
	}
	if o.room {
		s.roomSubmitted(o, f)
		return
	}
	id := tidemark.ConversationID(f.Conversation)
	if f.Seq == 0 || f.Seq > seqMax { // transient, or a number that makes no sense
		s.forget(o)
		s.progress(o, Stored, 0)
		return
	}
	digest, hasDigest := toDigest(f.Digest)
	l := s.r.outbox.lanes[o.Conversation]
	s.r.outbox.take(l, o)
	o.answer = answer{seq: tidemark.Seq(f.Seq), id: tidemark.EventID(f.Id), timeMs: f.TimeMs, counted: f.Counted, digest: digest}
	if s.r.conversations[id] == nil && tidemark.Position(f.Position) <= s.r.meta.cursor.Positions[f.Partition] {
		s.forget(o) // stored earlier; of a conversation that its user was in still, all up to there would be told
		s.progress(o, Stored, tidemark.Seq(f.Seq))
		return
	}
	c := s.edit(id)
	c.Partition = f.Partition
	if s.belied(c, o) {
		return
	}
	s.progress(o, Stored, o.answer.seq)
	s.ownEvent(c, o, f.TimeMs)
	c.keepSeal(o.answer.seq, f.Digest, f.Seal)
	if own, known := s.digestAt(c, o.answer.seq); hasDigest && c.holds(o.answer.seq) && known && own != digest {
		s.doubt(c, o.answer.seq) // the server, which was restored, has gone on with this one
	}
	if !hasDigest || copy(o.answer.salt[:], f.Salt) != len(o.answer.salt) || c.holds(o.answer.seq) || c.Removed {
		s.forget(o)       // it is here, or will be fetched, or what stands before it will not come any more
		if !f.Duplicate { // of what was stored before, maybe at a time for which it was scheduled, deltas tell what it has moved
			s.ownRead(c, o, o.answer.seq)
		}
	} else {
		put(&l.answers, o.answer.seq, o)
		s.saveOutgoing(o)
		s.absorbAnswered(c)
	}
	if f.Duplicate && s.r.conn.phase == live { // its commit was told of before: no checkpoint need come
		s.plan(c)
	}
	if touched := s.r.conn.touched[f.Partition]; touched != nil {
		touched[id] = true
	} else {
		s.r.conn.touched[f.Partition] = map[tidemark.ConversationID]bool{id: true}
	}
}

// ownEvent notes that an own event is the last. A message that counts has moved the read mark.
func (s *step) ownEvent(c *Conversation, o *Outgoing, timeMs uint64) {
	s.ownCounts(c, o, o.answer.seq)
	if o.answer.seq < c.HeadSeq {
		return
	}
	s.headAt(c, o.answer.seq)
	c.lastAt(timeMs)
	s.list(c)
}

// settle ends a submission whose event is stored here now, and answers it; nil if there was none.
func (s *step) settle(in tidemark.ConversationID, n *entry) *Outgoing {
	o := s.r.outbox.byClient[n.clientID]
	if o == nil || n.sender != s.r.meta.user || o.Conversation != in {
		return nil
	}
	told := o.State == Stored
	s.forget(o)
	if !told {
		s.progress(o, Stored, n.seq)
	}
	return o
}

// counts reports whether it is a message that counts as unread for others.
func (o *Outgoing) counts() bool {
	m := parseBody(o.Body).GetMessage()
	return m != nil && m.Class == wire.MessageClass_NORMAL
}

// entry is the event that an answered submission became.
func (o *Outgoing) entry(me tidemark.UserID) *entry {
	n := &entry{
		seq: o.answer.seq, id: o.answer.id, timeMs: o.answer.timeMs, sender: me, clientID: o.ClientID, counted: o.answer.counted,
		kind: Kind(wire.BodyKind(parseBody(o.Body))), salt: o.answer.salt, body: slices.Clone(o.Body), asOf: o.answer.seq,
	}
	n.bodyHash = chain.BodyHash(n.salt, n.body)
	return n
}
