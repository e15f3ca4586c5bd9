// SPDX-License-Identifier: Apache-2.0

// A device of a user on a WebSocket. It reads when it is asked to and keeps what it has read.

package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/tidemark-im/tidemark/wire"
)

// device is one connection. It belongs to the goroutine of its play.
type device struct {
	p       *play
	socket  *socket
	format  wire.Format
	name    string // for people
	request uint64 // the last one given

	welcome *wire.Welcome
	synced  *wire.Cursor        // of the frame synced
	frames  []*wire.ServerFrame // all that came, in order
	taken   []bool              // frames that until has answered already
	held    map[string]*held    // by conversation
	cursor  *wire.Cursor        // as the checkpoints so far make it
	end     *ending             // nil while the connection lasts
	broken  string              // the first thing by which the chain does not verify
	texts   []string            // of JSON: the messages as they came
	quiet   bool                // it sends no ping by itself
	sent    time.Time           // when it sent the last message
}

// connect makes a device of a user, in protobuf, and reads until synced. change may alter the hello.
func (p *play) connect(u *user, name string, change ...func(*wire.Hello)) *device {
	return p.connectIn(wire.Proto, u, name, change...)
}

// connectIn is connect in this format.
func (p *play) connectIn(format wire.Format, u *user, name string, change ...func(*wire.Hello)) *device {
	d := p.dial(format)
	d.name = u.nickname + "'s " + name
	d.hello(u, name, change...)
	d.sync()
	return d
}

// dial opens a connection without a hello.
func (p *play) dial(format wire.Format) *device {
	d, err := p.tryDial([]string{format.Subprotocol()}, nil)
	if err != nil {
		p.fail("a WebSocket connection at /v1/connect", "%v", err)
	}
	return d
}

// tryDial opens a connection, offering these subprotocols, with these headers.
func (p *play) tryDial(protocols []string, header http.Header) (*device, error) {
	socket, protocol, err := handshake(p.ctx, p.kit.config.URL, protocols, header, p.kit.config.Timeout)
	if err != nil {
		return nil, err
	}
	format, _ := wire.FormatOf(protocol)
	d := &device{p: p, socket: socket, format: format, name: "the device", held: map[string]*held{}, cursor: &wire.Cursor{Positions: map[uint32]uint64{}}}
	p.devices = append(p.devices, d)
	return d, nil
}

// hello sends hello with the user's token.
func (d *device) hello(u *user, name string, change ...func(*wire.Hello)) {
	h := &wire.Hello{Token: strings.TrimPrefix(u.authorization, "Bearer "), DeviceId: name, Platform: "conformance", Client: "tidemark conformance"}
	for _, c := range change {
		c(h)
	}
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: h}})
}

// sync reads until synced.
func (d *device) sync() {
	d.until("synced", func(f *wire.ServerFrame) bool { return f.GetSynced() != nil })
	if d.welcome == nil {
		d.p.fail("welcome before synced", "%s", d.last())
	}
}

// close closes the connection as a client does.
func (d *device) close() {
	_ = d.socket.sendFrame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	_ = d.socket.Close()
	d.end = &ending{cause: errors.New("closed by the kit")}
}

// send sends a frame.
func (d *device) send(f *wire.ClientFrame) {
	data, err := wire.AppendClientFrame(nil, d.format, f)
	if err != nil {
		panic(fmt.Sprintf("conformance: a frame cannot be encoded: %v", err))
	}
	d.sendMessage(opOf(d.format), data)
}

// sendMessage sends a message that may be anything. That the connection has ended is seen by who reads.
func (d *device) sendMessage(op ws.OpCode, payload []byte) {
	d.sent = time.Now()
	_ = d.socket.sendFrame(op, payload)
}

// beat lets those of the play's devices ping that have been silent for a heartbeat. The pongs have no request.
func (p *play) beat() {
	for _, d := range p.devices {
		heartbeat := time.Duration(d.welcome.GetHeartbeatMs()) * time.Millisecond
		if d.welcome != nil && d.end == nil && !d.quiet && time.Since(d.sent) > heartbeat {
			d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{}}})
		}
	}
}

// next reads one frame, waiting for it until the deadline. nil: none came, or the connection has ended (d.end).
func (d *device) next(deadline time.Time) *wire.ServerFrame {
	for d.end == nil {
		d.p.beat()
		until := deadline
		if beat := time.Now().Add(time.Duration(max(d.welcome.GetHeartbeatMs(), 1000)) * time.Millisecond / 2); beat.Before(deadline) {
			until = beat
		}
		payload, op, end := d.socket.receive(until)
		switch {
		case end != nil:
			d.end = end
			return nil
		case op == 0 && !time.Now().Before(deadline):
			return nil
		case op == 0:
			continue
		case op == ws.OpPong:
			continue
		case op != opOf(d.format):
			d.p.fail("messages of the kind of the subprotocol "+d.format.Subprotocol(), "a message with opcode %d", op)
		}
		if d.format == wire.JSON {
			d.texts = append(d.texts, string(payload))
		}
		frame, err := wire.DecodeServerFrame(d.format, payload)
		if errors.Is(err, wire.ErrUnknownKind) {
			continue // of a newer server
		}
		if err != nil {
			d.p.fail("frames that can be decoded", "%v: %q", err, clip(string(payload)))
		}
		d.frames, d.taken = append(d.frames, frame), append(d.taken, false)
		d.take(frame)
		return frame
	}
	return nil
}

// until answers the first frame that matches and that no earlier until has answered; it reads on when there is none.
func (d *device) until(what string, match func(*wire.ServerFrame) bool) *wire.ServerFrame {
	return d.untilWithin(d.p.kit.config.Timeout, what, match)
}

// untilWithin is until with a time of its own.
func (d *device) untilWithin(wait time.Duration, what string, match func(*wire.ServerFrame) bool) *wire.ServerFrame {
	for i, f := range d.frames {
		if !d.taken[i] && match(f) {
			d.taken[i] = true
			return f
		}
	}
	f := d.readOn(wait, what, match)
	d.taken[len(d.taken)-1] = true
	return f
}

// readOn reads until a frame that matches, and fails the check when none comes.
func (d *device) readOn(wait time.Duration, what string, match func(*wire.ServerFrame) bool) *wire.ServerFrame {
	for deadline := time.Now().Add(wait); ; {
		f := d.next(deadline)
		switch {
		case f != nil && match(f):
			return f
		case f != nil:
		case d.end != nil:
			d.p.fail(d.name+" gets "+what, "%v; %s", d.end, d.last())
		case d.p.ctx.Err() != nil:
			d.p.fail(d.name+" gets "+what, "the run was interrupted or took too long")
		default:
			d.p.fail(d.name+" gets "+what, "nothing of the kind within %v; %s", wait, d.last())
		}
	}
}

// last says what came last, for failures.
func (d *device) last() string {
	if len(d.frames) == 0 {
		return "no frame came at all"
	}
	var texts []string
	for _, f := range d.frames[max(0, len(d.frames)-3):] {
		texts = append(texts, show(f))
	}
	return "the last frames were " + strings.Join(texts, " ")
}

// silence fails the check when a frame comes, within a moment, that matches and that no until has answered.
func (d *device) silence(what string, match func(*wire.ServerFrame) bool) {
	deadline := time.Now().Add(aMoment)
	for d.next(deadline) != nil {
	}
	for i, f := range d.frames {
		if !d.taken[i] && match(f) {
			d.p.fail(d.name+" does not get "+what, "%s", show(f))
		}
	}
}

// aMoment is how long what must not come is waited for where nothing else would show it.
const aMoment = 400 * time.Millisecond

// index is the place of a frame among all that came.
func (d *device) index(f *wire.ServerFrame) int { return slices.Index(d.frames, f) }

// answer waits for the answer to a request.
func (d *device) answer(request uint64) *wire.ServerFrame {
	return d.until(fmt.Sprintf("the answer to request %d", request), func(f *wire.ServerFrame) bool {
		switch f := f.GetFrame().(type) {
		case *wire.ServerFrame_Submitted:
			return f.Submitted.GetRequest() == request
		case *wire.ServerFrame_Fetched:
			return f.Fetched.GetRequest() == request
		case *wire.ServerFrame_Error:
			return f.Error.GetRequest() == request
		case *wire.ServerFrame_Pong:
			return f.Pong.GetRequest() == request
		}
		return false
	})
}

// nextRequest numbers a request.
func (d *device) nextRequest() uint64 {
	d.request++
	return d.request
}

// trySubmit submits and answers either. Without a client id it gets one.
func (d *device) trySubmit(s *wire.Submit) (*wire.Submitted, *wire.Error) {
	answer := d.answer(d.post(s))
	return answer.GetSubmitted(), answer.GetError()
}

// post submits and does not wait.
func (d *device) post(s *wire.Submit) (request uint64) {
	s.Request = d.nextRequest()
	if s.ClientId == "" {
		s.ClientId = d.p.id("m")
	}
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: s}})
	return s.Request
}

// submit submits and fails the check unless it is accepted.
func (d *device) submit(s *wire.Submit) *wire.Submitted {
	submitted, refused := d.trySubmit(s)
	if submitted == nil {
		d.p.fail("submitted, for "+show(s), "%s", show(refused))
	}
	return submitted
}

// refuse submits and fails the check unless it is refused with this reason.
func (d *device) refuse(s *wire.Submit, reason wire.Reason) *wire.Error {
	submitted, refused := d.trySubmit(s)
	if refused.GetReason() != reason {
		seen := show(refused)
		if submitted != nil {
			seen = show(submitted)
		}
		d.p.fail(fmt.Sprintf("%s is refused with %v", show(s), reason), "%s", seen)
	}
	return refused
}

// say submits a text message.
func (d *device) say(conversation, text string) *wire.Submitted {
	return d.submit(&wire.Submit{Conversation: conversation, Action: &wire.Submit_Message{Message: textMessage(text)}})
}

// fetch fetches a page and fails the check when it is refused.
func (d *device) fetch(f *wire.Fetch) *wire.Fetched {
	f.Request = d.nextRequest()
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Fetch{Fetch: f}})
	answer := d.answer(f.Request)
	if answer.GetFetched() == nil {
		d.p.fail("fetched, for "+show(f), "%s", show(answer))
	}
	return answer.GetFetched()
}

// read moves the read mark. There is no answer.
func (d *device) read(conversation string, seq uint64) {
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Read{Read: &wire.Read{Conversation: conversation, Seq: seq}}})
}

// ack acknowledges. There is no answer.
func (d *device) ack(cursor *wire.Cursor) {
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Ack{Ack: &wire.Ack{Cursor: cursor}}})
}

// ping sends ping and waits for pong.
func (d *device) ping() *wire.Pong {
	request := d.nextRequest()
	d.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: request}}})
	answer := d.answer(request)
	if answer.GetPong() == nil {
		d.p.fail("pong", "%s", show(answer))
	}
	return answer.GetPong()
}

// bye reads until bye.
func (d *device) bye() *wire.Bye { return d.byeWithin(d.p.kit.config.Timeout) }

// byeWithin is bye with a time of its own.
func (d *device) byeWithin(wait time.Duration) *wire.Bye {
	return d.untilWithin(wait, "bye", func(f *wire.ServerFrame) bool { return f.GetBye() != nil }).GetBye()
}

// closed reads until the end of the connection and answers how it ended.
func (d *device) closed() *ending { return d.closedWithin(d.p.kit.config.Timeout) }

// closedWithin is closed with a time of its own.
func (d *device) closedWithin(wait time.Duration) *ending {
	deadline := time.Now().Add(wait)
	for d.end == nil {
		if d.next(deadline) == nil && d.end == nil {
			d.p.fail(d.name+"'s connection ends", "it lasts after %v; %s", wait, d.last())
		}
	}
	return d.end
}

// endsWith fails the check unless the connection ends with this bye and then this close code.
func (d *device) endsWith(reason wire.ByeReason, code ws.StatusCode) *wire.Bye {
	bye := d.bye()
	equal(d.p, "the reason of bye to "+d.name, bye.GetReason(), reason)
	end := d.closed()
	d.p.must(end.code == code, fmt.Sprintf("%s's connection is closed with %d after bye %v", d.name, code, reason), "%v", end)
	d.p.must(d.frames[len(d.frames)-1].GetBye() != nil, "bye is the last frame", "%s", d.last())
	return bye
}
