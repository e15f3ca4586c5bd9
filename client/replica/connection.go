// SPDX-License-Identifier: Apache-2.0

// One connection: hello, welcome, synced, acknowledgements, the heartbeat, the end.

package replica

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Times, in ms, and counts of a connection.
const (
	ackAfterMs     = 1_000  // an acknowledgement waits at most this long for others
	ackAfterFrames = 64     // and for at most this many frames
	answerMaxMs    = 60_000 // a connection on which an answer takes longer is given up
	readAgainMs    = 5_000  // read marks that were refused for now are sent again after so long
	silenceMinMs   = 10_000 // added to two heartbeats: a connection silent for longer is given up
	heartbeatMinMs = 1_000  // no server makes us ping more often
)

// phase of a connection.
type phase uint8

const (
	closed  phase = iota
	greeted       // hello is sent
	syncing       // welcome came
	live          // synced came
)

// connection is what lives as long as a connection does.
type connection struct {
	phase       phase
	full        bool                                        // everything is told as to a new device
	seen        map[tidemark.ConversationID]bool            // told of on this connection, while full
	touched     map[uint32]map[tidemark.ConversationID]bool // by partition: told of since its last checkpoint
	requests    map[uint64]*request
	lastRequest uint64
	limits      *wire.Limits
	heartbeatMs uint64
	sentMs      uint64 // last frame out
	heardMs     uint64 // last frame in
	unacked     map[uint32]tidemark.Position
	ackFrames   int
	ackDueMs    uint64 // 0: nothing to acknowledge
	readsDueMs  uint64 // when read marks that are not confirmed are sent again; 0: they are not
	watched     []string
	offers      offers
}

// request is a frame that waits for its answer.
type request struct {
	sentMs   uint64
	outgoing *Outgoing               // a submission, or:
	in       tidemark.ConversationID // a page
	purpose  purpose
	gap      Gap
	probe    tidemark.Seq
	token    uint64 // of the caller's own
	room     *room  // to be entered
	from     Page
}

// purpose of a page.
type purpose uint8

const (
	forCaller purpose = iota
	forGap
	forLatest // the end of a conversation of which nothing is stored
	forForm   // one message whose form is not sure
	forProbe  // only the digest at a seq is wanted
	forPing
	forEnter // the answer is the last events of a room
	forLeave
)

// Connect begins a connection: the frame it sends is hello with the token. An earlier connection is over.
func (r *Replica) Connect(view View, nowMs uint64, token string) (Output, error) {
	s := r.begin(view, nowMs)
	s.drop()
	watched := r.conn.watched
	r.conn = connection{
		phase: greeted, requests: map[uint64]*request{}, touched: map[uint32]map[tidemark.ConversationID]bool{},
		heartbeatMs: 30_000, heardMs: nowMs, watched: watched,
	}
	hello := &wire.Hello{
		Token: token, DeviceId: string(r.cfg.Device), Platform: r.cfg.Platform, Client: r.cfg.Client, Tail: r.cfg.Tail, Full: r.cfg.Full,
	}
	if len(r.meta.cursor.Positions) > 0 {
		hello.Cursor = wire.CursorOf(r.meta.cursor)
	} else {
		s.beginFull()
	}
	s.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: hello}})
	return s.end()
}

// Disconnect ends the connection: what was not answered is sent again on the next.
func (r *Replica) Disconnect(view View, nowMs uint64) (Output, error) {
	s := r.begin(view, nowMs)
	s.drop()
	return s.end()
}

// drop forgets the connection.
func (s *step) drop() {
	conn := &s.r.conn
	for _, id := range sortedKeys(conn.requests) {
		s.unanswered(conn.requests[id])
	}
	conn.phase, conn.requests = closed, nil
	s.r.outbox.rewind()
	s.r.tasks.rewind()
	s.dropRooms()
}

// unanswered tells of a request whose connection broke.
func (s *step) unanswered(q *request) {
	switch {
	case q.outgoing != nil:
		if q.outgoing.State == Sent {
			s.progress(q.outgoing, Queued, 0)
		}
	case q.purpose == forCaller:
		s.out.Done = append(s.out.Done, Done{Token: q.token, Err: ErrDisconnected})
	}
}

// request sends a frame that is answered; build gets the number to put into it.
func (s *step) request(q *request, build func(number uint64) *wire.ClientFrame) {
	conn := &s.r.conn
	conn.lastRequest++
	q.sentMs = s.nowMs
	conn.requests[conn.lastRequest] = q
	s.send(build(conn.lastRequest))
}

// answer takes the request of a number off the list; nil if there is none, because the frame is a stray.
func (s *step) answer(number uint64) *request {
	q := s.r.conn.requests[number]
	delete(s.r.conn.requests, number)
	return q
}

// Receive takes in a frame of the server. Frames that make no sense are passed over, or end the connection.
func (r *Replica) Receive(view View, nowMs uint64, frame *wire.ServerFrame) (Output, error) {
	s := r.begin(view, nowMs)
	if r.conn.phase == closed {
		return s.end()
	}
	r.conn.heardMs = nowMs
	switch f := frame.GetFrame().(type) {
	case *wire.ServerFrame_Welcome:
		s.welcome(f.Welcome)
	case *wire.ServerFrame_Bye:
		s.out.Bye = f.Bye
	case *wire.ServerFrame_Error:
		s.refused(f.Error)
	case *wire.ServerFrame_Pong:
		s.answer(f.Pong.GetRequest())
	default:
		if r.conn.phase < syncing {
			s.out.Hangup = "the server did not begin with welcome"
			break
		}
		s.synchronised(frame)
	}
	return s.end()
}

// synchronised takes in the frames that come after welcome only.
func (s *step) synchronised(frame *wire.ServerFrame) {
	switch f := frame.GetFrame().(type) {
	case *wire.ServerFrame_Delta:
		s.delta(f.Delta)
	case *wire.ServerFrame_Synced:
		s.synced(f.Synced)
	case *wire.ServerFrame_Submitted:
		s.submitted(f.Submitted)
	case *wire.ServerFrame_Fetched:
		s.fetched(f.Fetched)
	case *wire.ServerFrame_Signal:
		s.signal(f.Signal)
	}
}

func (s *step) welcome(w *wire.Welcome) {
	r, conn := s.r, &s.r.conn
	user := tidemark.UserID(w.GetUser())
	if conn.phase != greeted || user == "" || w.GetEpoch() == 0 {
		s.out.Hangup = "the server sent a welcome that makes no sense"
		return
	}
	if r.meta.user != "" && r.meta.user != user {
		s.out.Fatal = fmt.Errorf("%w: it has %s, the token is of %s", ErrOtherUser, r.meta.user, user)
		return
	}
	if r.meta.user == "" {
		r.meta.user, s.meta = user, true
		r.outbox.address(user, s)
	}
	if epoch := tidemark.Epoch(w.Epoch); w.Reset_ != nil || r.meta.cursor.Epoch != epoch {
		r.meta.restored = r.meta.restored || r.meta.cursor.Epoch != 0 && r.meta.cursor.Epoch != epoch
		r.meta.cursor = tidemark.Cursor{Epoch: epoch, Positions: map[uint32]tidemark.Position{}}
		s.meta = true
		s.requeueAnswered()
		s.beginFull()
	}
	conn.phase, conn.limits, conn.offers.open = syncing, w.Limits, w.TakeBack
	conn.heartbeatMs = max(heartbeatMinMs, uint64(w.HeartbeatMs))
	if w.HeartbeatMs == 0 {
		conn.heartbeatMs = 30_000
	}
	if len(conn.watched) > 0 {
		s.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Watch{Watch: &wire.Watch{Users: conn.watched}}})
	}
}

// beginFull prepares for being told everything.
func (s *step) beginFull() { s.r.conn.full, s.r.conn.seen = true, map[tidemark.ConversationID]bool{} }

func (s *step) synced(f *wire.Synced) {
	conn := &s.r.conn
	cursor := wire.ToCursor(f.GetCursor())
	if cursor.Epoch != s.r.meta.cursor.Epoch {
		s.out.Hangup = "the server sent a cursor of another epoch"
		return
	}
	if conn.full {
		for _, id := range sortedKeys(s.r.conversations) {
			switch c := s.r.conversations[id]; {
			case conn.seen[id] || c.Removed:
			case s.r.meta.restored:
				s.missing(id)
			default:
				s.removed(id)
			}
		}
	}
	conn.full, conn.seen = false, nil
	if s.r.meta.restored {
		s.r.meta.restored, s.meta = false, true
	}
	for _, p := range sortedKeys(cursor.Positions) {
		s.checkpoint(p, cursor.Positions[p])
	}
	clear(conn.touched)
	conn.phase, s.out.Synced = live, true
	s.ack()
	for _, id := range s.recentFirst() {
		c := s.r.conversations[id]
		s.plan(c)
		if c.PendingRead > 0 && c.moves(c.PendingRead) {
			s.sendRead(c)
		}
	}
}

// sendReads sends the read marks again that are not confirmed.
func (s *step) sendReads() {
	s.r.conn.readsDueMs = 0
	for _, id := range sortedKeys(s.r.conversations) {
		if c := s.r.conversations[id]; c.PendingRead > 0 && c.moves(c.PendingRead) {
			s.sendRead(c)
		}
	}
}

// recentFirst are all conversations, the last active first.
func (s *step) recentFirst() []tidemark.ConversationID {
	return slices.SortedFunc(maps.Keys(s.r.conversations), func(a, b tidemark.ConversationID) int {
		return cmp.Or(cmp.Compare(s.r.conversations[b].LastTimeMs, s.r.conversations[a].LastTimeMs), cmp.Compare(a, b))
	})
}

// checkpoint notes that everything of a partition up to a position is stored with this step.
func (s *step) checkpoint(partition uint32, position tidemark.Position) {
	if partition >= tidemark.PartitionsMax || position <= s.r.meta.cursor.Positions[partition] {
		return
	}
	conn := &s.r.conn
	cursor := &s.r.meta.cursor
	cursor.Positions[partition], s.meta = position, true
	put(&conn.unacked, partition, position)
	if conn.ackDueMs == 0 {
		conn.ackDueMs = s.nowMs + ackAfterMs
	}
}

// ack sends what was not acknowledged yet.
func (s *step) ack() {
	conn := &s.r.conn
	conn.ackFrames, conn.ackDueMs = 0, 0
	if len(conn.unacked) == 0 {
		return
	}
	s.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Ack{Ack: &wire.Ack{
		Cursor: wire.CursorOf(tidemark.Cursor{Epoch: s.r.meta.cursor.Epoch, Positions: conn.unacked}),
	}}})
	conn.unacked = nil
}

// refused takes in an error: the answer to a request, or to hello. One that answers neither may be of a read mark.
func (s *step) refused(e *wire.Error) {
	refusal := wire.ToError(e)
	if e.GetRequest() == 0 {
		switch conn := &s.r.conn; {
		case conn.phase == greeted:
			s.out.Refuse = refusal
		case conn.phase == live && refusal.Reason.Info().Retryable:
			conn.readsDueMs = s.nowMs + max(uint64(refusal.RetryAfterMs), readAgainMs)
		}
		return
	}
	q := s.answer(e.Request)
	switch {
	case q == nil || q.purpose == forPing || q.purpose == forLeave:
	case q.outgoing != nil:
		s.submissionRefused(q.outgoing, refusal)
	case q.purpose == forEnter:
		s.enterRefused(q.room, refusal)
	case q.purpose == forCaller:
		s.out.Done = append(s.out.Done, Done{Token: q.token, Err: refusal})
	default:
		s.r.tasks.release(q.in)
		s.r.tasks.later(q.in, s.nowMs, uint64(refusal.RetryAfterMs))
	}
}

// Tick does what is due at a time. Call it at [Replica.DeadlineMs] or later.
func (r *Replica) Tick(view View, nowMs uint64) (Output, error) {
	s := r.begin(view, nowMs)
	conn := &r.conn
	if conn.phase == closed {
		return s.end()
	}
	if conn.ackDueMs > 0 && nowMs >= conn.ackDueMs {
		s.ack()
	}
	if conn.readsDueMs > 0 && nowMs >= conn.readsDueMs {
		s.sendReads()
	}
	switch {
	case nowMs >= conn.heardMs+2*conn.heartbeatMs+silenceMinMs:
		s.out.Hangup = "the server is silent"
	case nowMs >= conn.oldestRequestMs()+answerMaxMs:
		s.out.Hangup = "the server does not answer"
	case conn.phase >= syncing && nowMs >= conn.sentMs+conn.heartbeatMs:
		s.request(&request{purpose: forPing}, func(number uint64) *wire.ClientFrame {
			return &wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: number}}}
		})
	}
	return s.end()
}

// oldestRequestMs is when the oldest unanswered request was sent.
func (c *connection) oldestRequestMs() uint64 {
	oldest := uint64(1<<63 - 1)
	for _, q := range c.requests {
		oldest = min(oldest, q.sentMs)
	}
	return oldest
}

// DeadlineMs is when Tick should be called, if nothing else happens before; 0: no need to.
func (r *Replica) DeadlineMs() uint64 {
	conn := &r.conn
	if conn.phase == closed {
		return 0
	}
	due := []uint64{conn.heardMs + 2*conn.heartbeatMs + silenceMinMs, conn.oldestRequestMs() + answerMaxMs}
	if conn.phase >= syncing {
		due = append(due, conn.sentMs+conn.heartbeatMs)
	}
	pages, rooms := r.tasks.dueMs(), r.rooms.dueMs()
	if conn.phase < live {
		pages, rooms = 0, 0 // they wait for synced
	}
	offers := conn.offers.dueMs()
	if conn.phase < live {
		offers = 0
	}
	for _, at := range []uint64{conn.ackDueMs, conn.readsDueMs, pages, rooms, offers, r.outbox.dueMs()} {
		if at > 0 {
			due = append(due, at)
		}
	}
	return slices.Min(due)
}
