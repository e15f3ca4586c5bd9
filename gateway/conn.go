// SPDX-License-Identifier: Apache-2.0

// One connection: its state, what it is given to end with, and how it ends.

package gateway

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// conn is one connection. Two goroutines at most work for it: the reader, always, and the writer, while there is
// something to write. Whoever of the two is last releases it.
//
// The life of a connection: open, then ending (a farewell is set; what comes in is thrown away), then parting (our close
// frame is written; the client's is awaited for Config.Linger), then closed.
type conn struct {
	owner   *WebSocket
	socket  net.Conn
	source  source
	format  wire.Format
	address netip.Addr
	index   int // in owner.conns; guarded by owner.mu

	// Of the reader.
	framing  *framing        // nil between messages
	identity *Identity       // from the header Authorization, until hello
	user     tidemark.UserID // counted by the doorkeeper; "" before hello
	frames   *pace           // shared by the user's connections; nil before hello
	pause    time.Duration   // of not reading, before the next read
	refused  int32           // frames over the rate, less those allowed since
	pauses   int32           // of the flood so far

	session atomic.Pointer[stream] // set by hello
	writer  atomic.Uint32          // see the writer's states in drain.go

	// For the watch; milliseconds of owner.monoMs, 0: not.
	acceptedMs uint64
	heardMs    atomic.Uint64 // the last frame
	handling   atomic.Bool   // the reader is not reading: it waits for the session
	writingMs  atomic.Uint64 // the write under way began
	partingMs  atomic.Uint64 // our close frame was written
	expiresMs  atomic.Uint64 // the token's end, Unix ms; 0: never
	gone       atomic.Bool   // cut off
	syncing    atomic.Bool   // there was a hello, and its answer has not all been gathered
	small      atomic.Bool   // the reader's stack is that of a goroutine which has handled nothing

	mu       sync.Mutex
	direct   []byte    // encoded WebSocket frames that do not come from the session: errors, pongs
	farewell *farewell // set once: the connection ends
}

// farewell is how a connection ends.
type farewell struct {
	code ws.StatusCode // of our close frame
	text string        // of our close frame
	now  bool          // do not wait for the session's bye: there is none
}

// directBytesMax is how much a client that does not read its errors and pongs can pile up before it is cut off.
const directBytesMax = 256 << 10

func newConn(w *WebSocket, socket net.Conn, format wire.Format, address netip.Addr, identity *Identity) *conn {
	if b, ok := socket.(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	}); ok {
		_ = b.SetReadBuffer(receiveBufferBytes)
		_ = b.SetWriteBuffer(sendBufferBytes)
	}
	c := &conn{owner: w, socket: socket, format: format, address: address, identity: identity, acceptedMs: w.monoMs()}
	c.heardMs.Store(c.acceptedMs)
	c.source = newSource(socket)
	return c
}

// messageOp is the opcode of our messages.
func (c *conn) messageOp() ws.OpCode {
	if c.format == wire.JSON {
		return ws.OpText
	}
	return ws.OpBinary
}

// stream is the session; nil before hello.
func (c *conn) stream() stream {
	if s := c.session.Load(); s != nil {
		return *s
	}
	return nil
}

// send queues a frame that does not come from the session.
func (c *conn) send(f *wire.ServerFrame) { c.sendRaw(c.messageOp(), c.encode(f)) }

// sendError queues the refusal of a frame.
func (c *conn) sendError(request uint64, e *tidemark.Error) {
	valid := *e
	valid.Message = strings.ToValidUTF8(e.Message, "\ufffd") // it may quote a stranger
	c.send(wire.ErrorFrame(request, &valid))
}

// encode encodes one of our own frames: errors and byes, whose text is valid.
func (c *conn) encode(f *wire.ServerFrame) []byte {
	payload, err := wire.AppendServerFrame(nil, c.format, f)
	if err != nil {
		panic("gateway: a frame cannot be encoded: " + err.Error())
	}
	return payload
}

// sendRaw queues a WebSocket frame that does not come from the session.
func (c *conn) sendRaw(op ws.OpCode, payload []byte) {
	c.mu.Lock()
	c.direct = appendFrame(c.direct, op, payload)
	tooMuch := len(c.direct) > directBytesMax
	c.mu.Unlock()
	if tooMuch {
		c.cutFor(&c.owner.counts.slow)
		return
	}
	c.wake()
}

// end ends the connection in an orderly way: bye, then a close frame. Only the first call counts. Any goroutine.
func (c *conn) end(reason wire.ByeReason, retryAfterMs uint32, code ws.StatusCode, text string) {
	text = strings.ToValidUTF8(text, "\ufffd")
	if s := c.stream(); s != nil {
		if c.setFarewell(&farewell{code: code, text: text}, nil) {
			s.Bye(reason, retryAfterMs, text)
			c.wake()
		}
		return
	}
	bye := &wire.Bye{Reason: reason, RetryAfterMs: retryAfterMs, Message: text}
	if c.setFarewell(&farewell{code: code, text: text, now: true}, c.encode(&wire.ServerFrame{Frame: &wire.ServerFrame_Bye{Bye: bye}})) {
		c.wake()
	}
}

// endWith ends the connection for a violation.
func (c *conn) endWith(v *violation) {
	c.owner.counts.protocolErrors[v.kind].Add(1)
	c.end(wire.ByeReason_PROTOCOL, 0, v.code, v.text)
}

// setFarewell sets the farewell and queues a last message before it, if there is one; false when the connection is
// ending already.
func (c *conn) setFarewell(f *farewell, message []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.farewell != nil {
		return false
	}
	c.farewell = f
	if message != nil {
		c.direct = appendFrame(c.direct, c.messageOp(), message)
	}
	return true
}

// ending reports whether what comes in is to be thrown away.
func (c *conn) ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.farewell != nil || c.gone.Load()
}

// cut ends the connection at once: what the kernel has not sent is thrown away. Any goroutine.
func (c *conn) cut() {
	if t, ok := c.socket.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = c.socket.Close() // reader and writer fail
	if s := c.stream(); s != nil {
		s.Bye(wire.ByeReason_SLOW, 0, "the connection was cut off") // nobody hears it, but a reader who waits for the session goes on
	}
}

// cutFor cuts for a reason that is counted; only the first counts.
func (c *conn) cutFor(reason *atomic.Uint64) {
	if !c.gone.Swap(true) {
		reason.Add(1)
		c.cut()
	}
}

// turnAway ends a connection that was never listed and has no goroutines.
func (c *conn) turnAway() {
	const text = "the server shuts down"
	bye := &wire.Bye{Reason: wire.ByeReason_SHUTDOWN, RetryAfterMs: rand.Uint32N(c.owner.cfg.SpreadMs + 1), Message: text}
	data := appendFrame(nil, c.messageOp(), c.encode(&wire.ServerFrame{Frame: &wire.ServerFrame_Bye{Bye: bye}}))
	_ = c.socket.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.socket.Write(appendClose(data, &farewell{code: ws.StatusGoingAway, text: text}))
	_ = c.socket.Close()
}

// look is the watch's look at the connection.
func (c *conn) look(monoMs, wallMs uint64) {
	cfg := &c.owner.cfg
	since := func(ms uint64) time.Duration { return time.Duration(int64(monoMs)-int64(ms)) * time.Millisecond }
	if began := c.writingMs.Load(); began != 0 && since(began) > cfg.WriteTimeout {
		c.cutFor(&c.owner.counts.slow) // a bye could not get through either
		return
	}
	if parted := c.partingMs.Load(); parted != 0 {
		if since(parted) > cfg.Linger {
			_ = c.socket.Close()
		}
		return
	}
	silence := time.Duration(cfg.HeartbeatMs) * time.Millisecond * 5 / 2
	switch expires := c.expiresMs.Load(); {
	case (c.stream() != nil || c.ending()) && !c.handling.Load() && since(c.heardMs.Load()) > silence: // before welcome nobody knows the heartbeat
		c.cutFor(&c.owner.counts.halfOpen)
	case c.stream() == nil && !c.handling.Load() && since(c.acceptedMs) > cfg.HelloTimeout && !c.ending():
		c.endWith(&violation{OutOfOrder, ws.StatusPolicyViolation, "no hello came in time"})
	case expires != 0 && wallMs >= expires && !c.ending():
		c.owner.counts.expired.Add(1)
		c.end(wire.ByeReason_TOKEN_EXPIRED, 0, ws.StatusPolicyViolation, "the token has expired: connect with a new one")
	case since(c.heardMs.Load()) > cfg.StackIdle && !c.small.Load() && !c.handling.Load():
		_ = c.socket.SetReadDeadline(time.Unix(1, 0)) // see conn.read
	}
}

// release is the end: called once, when neither reader nor writer is left.
func (c *conn) release() {
	_ = c.socket.Close()
	if s := c.stream(); s != nil {
		s.Close()
	}
	if c.user != "" {
		c.owner.doors.leaveUser(c.user)
	}
	c.owner.doors.leave(c.address)
	c.owner.remove(c)
}
