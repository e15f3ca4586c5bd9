// SPDX-License-Identifier: Apache-2.0

// One connection of a device under test: what a right server would answer, step by step, so that a scenario can leave out,
// repeat or falsify each step.

package hostile

import (
	"context"
	"maps"
	"net"
	"time"

	"github.com/coder/websocket"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// The limits that welcome tells.
const (
	pageEventsMax = 20
	frameBytesMax = 1 << 20
	heartbeatMs   = 30_000
	tailEvents    = 20
)

// queueBytesMax bounds what waits to be written to a client that does not read; above it the connection is cut.
const queueBytesMax = 64 << 20

// parcel is something to be written: a message, bytes as they are, or the end of the connection.
type parcel struct {
	kind websocket.MessageType
	data []byte
	raw  bool                 // data are bytes below the WebSocket
	cut  bool                 // break the connection
	code websocket.StatusCode // not 0: close properly
}

// session is one connection that has said hello. The run's lock guards it.
type session struct {
	run     *run
	device  *device
	number  int // of the device's connections, from 1
	format  wire.Format
	conn    *websocket.Conn
	socket  net.Conn
	hello   *wire.Hello
	cursor  [partitions]uint64
	opened  bool            // synced was sent
	answers map[string]bool // client ids answered here
	silent  bool            // nothing is answered any more
	closed  bool

	out    []parcel
	queued int
	wake   chan struct{} // of size 1
	sent   []*wire.ServerFrame
	pinged []time.Time
}

// sentMax bounds the frames that are remembered for being sent again.
const sentMax = 500

// send passes frames through the scenario's changes, and queues them.
func (ss *session) send(frames ...*wire.ServerFrame) {
	for _, f := range frames {
		changed := []*wire.ServerFrame{f}
		if out := ss.run.hooks.out; out != nil {
			changed = out(ss, f)
		}
		ss.plain(changed...)
	}
}

// plain queues frames as they are.
func (ss *session) plain(frames ...*wire.ServerFrame) {
	for _, f := range frames {
		data, err := wire.AppendServerFrame(nil, ss.format, f)
		if err != nil {
			continue // text that cannot be said in JSON
		}
		if edit := ss.run.hooks.encoded; edit != nil {
			data = edit(ss, data)
		}
		ss.device.told(f)
		if len(ss.sent) < sentMax {
			ss.sent = append(ss.sent, f)
		}
		kind := websocket.MessageBinary
		if ss.format == wire.JSON {
			kind = websocket.MessageText
		}
		ss.queue(parcel{kind: kind, data: data})
	}
}

func (ss *session) queue(p parcel) {
	if ss.closed {
		return
	}
	if ss.queued += len(p.data); ss.queued > queueBytesMax {
		p = parcel{cut: true}
	}
	if p.cut || p.code != 0 {
		ss.closed = true
		ss.device.left(ss)
	}
	ss.out = append(ss.out, p)
	select {
	case ss.wake <- struct{}{}:
	default:
	}
}

// bytes queues bytes below the WebSocket: whole or broken frames.
func (ss *session) bytes(data []byte) { ss.queue(parcel{raw: true, data: data}) }

// cut breaks the connection after what is queued.
func (ss *session) cut() { ss.queue(parcel{cut: true}) }

// write writes what is queued until the connection ends.
func (ss *session) write(ctx context.Context) {
	for {
		ss.run.mu.Lock()
		out := ss.out
		ss.out, ss.queued = nil, 0
		ss.run.mu.Unlock()
		for _, p := range out {
			switch {
			case p.cut:
				_ = ss.conn.CloseNow()
				return
			case p.code != 0:
				_ = ss.conn.Close(p.code, "")
				return
			case p.raw:
				_ = ss.socket.SetWriteDeadline(time.Now().Add(10 * time.Second))
				if _, err := ss.socket.Write(p.data); err != nil {
					return
				}
			default:
				if ss.conn.Write(ctx, p.kind, p.data) != nil {
					return
				}
			}
		}
		select {
		case <-ss.wake:
		case <-ctx.Done():
			_ = ss.conn.CloseNow()
			return
		}
	}
}

// receive answers a frame as a right server does, unless the scenario does something else.
func (ss *session) receive(f *wire.ClientFrame) {
	d, hooks := ss.device, &ss.run.hooks
	if ss.silent || ss.closed {
		return
	}
	switch f := f.Frame.(type) {
	case *wire.ClientFrame_Hello:
		if hooks.hello == nil || !hooks.hello(ss) {
			ss.greet()
		}
	case *wire.ClientFrame_Submit:
		d.submits(ss, f.Submit)
		if hooks.submit == nil || !hooks.submit(ss, f.Submit) {
			ss.submit(f.Submit)
		}
	case *wire.ClientFrame_Fetch:
		d.fetches++
		if hooks.fetch == nil || !hooks.fetch(ss, f.Fetch) {
			ss.send(ss.page(f.Fetch))
		}
	case *wire.ClientFrame_Ack:
		d.acks(f.Ack.GetCursor())
	case *wire.ClientFrame_Read:
		d.reads(f.Read.GetConversation(), f.Read.GetSeq())
	case *wire.ClientFrame_Ping:
		d.pings(ss)
		if hooks.ping == nil || !hooks.ping(ss, f.Ping) {
			ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Pong{Pong: &wire.Pong{Request: f.Ping.Request, ServerTimeMs: firstMs}}})
		}
	case *wire.ClientFrame_Enter:
		ss.send(wire.ErrorFrame(f.Enter.Request, tidemark.Refuse(tidemark.UnknownConversation, "there are no rooms here")))
	case *wire.ClientFrame_Leave:
		ss.send(wire.ErrorFrame(f.Leave.Request, tidemark.Refuse(tidemark.UnknownConversation, "there are no rooms here")))
	}
}

// greet is the whole answer to hello.
func (ss *session) greet() {
	ss.welcome(nil)
	ss.changes()
	ss.synced()
}

// reset is why the cursor of hello cannot be used; 0: it can.
func (ss *session) reset() wire.ResetReason {
	w := ss.device.world
	for p, position := range ss.hello.GetCursor().GetPositions() {
		switch {
		case ss.hello.Cursor.Epoch != w.epoch:
			return wire.ResetReason_EPOCH
		case p >= partitions || position > w.position[p]:
			return wire.ResetReason_FUTURE
		}
	}
	return 0
}

// welcome sends welcome; edit, if any, changes it before.
func (ss *session) welcome(edit func(*wire.Welcome)) {
	w := ss.device.world
	welcome := &wire.Welcome{SessionId: ss.run.id, User: ss.device.user, DeviceId: ss.device.id, Epoch: w.epoch, Partitions: partitions,
		ServerTimeMs: firstMs, HeartbeatMs: heartbeatMs, Limits: &wire.Limits{BodyBytesMax: 256 << 10, FrameBytesMax: frameBytesMax,
			PageEventsMax: pageEventsMax, PageBytesMax: 1 << 20, MembersMax: 1000, ConversationsMax: 1000, DevicesMax: 10, InFlightMax: 8}}
	if reason := ss.reset(); reason != 0 {
		welcome.Reset_ = &wire.Reset{Reason: reason}
	}
	if edit != nil {
		edit(welcome)
	}
	for p, position := range ss.hello.GetCursor().GetPositions() {
		if p < partitions && welcome.Reset_ == nil {
			ss.cursor[p] = position
		}
	}
	ss.device.welcomed(welcome)
	ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: welcome}})
}

// changes sends the deltas before synced, one frame for each conversation.
func (ss *session) changes() {
	for _, d := range ss.deltas(tailEvents) {
		ss.send(deltaFrame(false, nil, d))
	}
}

func deltaFrame(live bool, checkpoints map[uint32]uint64, deltas ...*wire.ConversationDelta) *wire.ServerFrame {
	return &wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Conversations: deltas, Checkpoints: checkpoints, Live: live}}}
}

// deltas is what changed past the session's cursor.
func (ss *session) deltas(tail int) (list []*wire.ConversationDelta) {
	w := ss.device.world
	own := func(e *event) bool { return e.Sender == ss.device.user && ss.answers[e.ClientId] }
	for _, h := range w.of(ss.device.user) {
		if d := w.delta(h, ss.device.user, ss.cursor[h.partition], w.position[h.partition], tail, own); d != nil && (!ss.opened || len(d.Events) > 0) {
			list = append(list, d)
		}
	}
	return list
}

// synced ends the synchronisation.
func (ss *session) synced() {
	w := ss.device.world
	ss.cursor = w.position
	ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Synced{Synced: &wire.Synced{Cursor: &wire.Cursor{Epoch: w.epoch, Positions: positions(w.position)}}}})
	ss.opened = true
	ss.device.syncs++
}

func positions(p [partitions]uint64) map[uint32]uint64 {
	m := map[uint32]uint64{}
	for i, v := range p {
		m[uint32(i)] = v
	}
	return m
}

// round tells live what was committed since the last round.
func (ss *session) round() {
	if !ss.opened || ss.closed || ss.silent {
		return
	}
	deltas := ss.deltas(1000)
	ss.cursor = ss.device.world.position
	ss.send(deltaFrame(true, positions(ss.cursor), deltas...))
}

// take stores a submission, or finds what a first one had stored.
func (ss *session) take(f *wire.Submit) (h *history, e *event, duplicate bool) {
	id := f.Conversation
	if f.ToUser != "" {
		id = string(tidemark.Direct(tidemark.UserID(ss.device.user), tidemark.UserID(f.ToUser)))
	}
	w := ss.device.world
	if h = w.logs[id]; h == nil {
		return nil, nil, false
	}
	if e = h.find(ss.device.user, f.ClientId); e != nil {
		return h, e, true
	}
	body := &wire.Body{Body: &wire.Body_Message{Message: f.GetMessage()}}
	switch a := f.Action.(type) {
	case *wire.Submit_Edit:
		body = &wire.Body{Body: &wire.Body_Edit{Edit: a.Edit}}
	case *wire.Submit_Recall:
		body = &wire.Body{Body: &wire.Body_Recall{Recall: a.Recall}}
	case *wire.Submit_Reaction:
		body = &wire.Body{Body: &wire.Body_Reaction{Reaction: a.Reaction}}
	case *wire.Submit_Pin:
		body = &wire.Body{Body: &wire.Body_Pin{Pin: a.Pin}}
	}
	return h, w.append(h, ss.device.user, f.ClientId, body), false
}

// submit stores a submission, answers it, and tells the other sessions.
func (ss *session) submit(f *wire.Submit) {
	for _, other := range ss.run.sessions() {
		other.round() // what was committed before is told before
	}
	h, e, duplicate := ss.take(f)
	if h == nil {
		ss.send(wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.UnknownConversation, "no such conversation")))
		return
	}
	ss.answer(f, h, e, duplicate)
	for _, other := range ss.run.sessions() {
		other.round()
	}
}

// answer sends submitted.
func (ss *session) answer(f *wire.Submit, h *history, e *event, duplicate bool) {
	ss.answers[f.ClientId] = true
	ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: submitted(f.Request, h, e, duplicate)}})
}

// page is the answer to a request for history.
func (ss *session) page(f *wire.Fetch) *wire.ServerFrame {
	h := ss.device.world.logs[f.Conversation]
	if h == nil || h.gone[ss.device.user] {
		return wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.NotMember, "not a member"))
	}
	page := ss.device.world.page(h, f.From, uint64(f.Limit))
	page.Request = f.Request
	return &wire.ServerFrame{Frame: &wire.ServerFrame_Fetched{Fetched: page}}
}

// bye ends the connection as the protocol says. A client must not come back before retryAfter, or ever, if never.
func (ss *session) bye(reason wire.ByeReason, retryAfter time.Duration) {
	d := ss.device
	switch reason {
	case wire.ByeReason_KICKED, wire.ByeReason_REPLACED:
		d.never = true
	case wire.ByeReason_TOKEN_EXPIRED:
		d.revoke(ss.hello.Token)
	default:
		d.notBefore = time.Now().Add(retryAfter)
	}
	ss.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Bye{Bye: &wire.Bye{Reason: reason, RetryAfterMs: uint32(retryAfter.Milliseconds()), Message: "the scenario wants it"}}})
	code := websocket.StatusPolicyViolation
	if reason == wire.ByeReason_SHUTDOWN {
		code = websocket.StatusGoingAway
	}
	ss.queue(parcel{code: code})
}

// copyPositions is a copy of a map of positions.
func copyPositions(m map[uint32]uint64) map[uint32]uint64 {
	if m == nil {
		return map[uint32]uint64{}
	}
	return maps.Clone(m)
}
