// SPDX-License-Identifier: Apache-2.0

// The reader of a connection: waits without a buffer, cuts what comes into frames, and hands them on.

package gateway

import (
	"errors"
	"os"
	"time"

	"github.com/gobwas/ws"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/wire"
)

// readBytes is the buffer of one read. It is in use only while there is something to read.
const readBytes = 16 << 10

// source is where a connection's bytes come from. next waits until there are some and gives them (no more than bytesMax)
// to c.take, in a buffer that is valid during the call only; it returns take's error or the socket's.
type source interface {
	next(c *conn, bytesMax int) error
}

// errParted ends the reader: the client has closed, too.
var errParted = errors.New("gateway: the client has closed")

// begin is the reader's goroutine at first. early is what came with the handshake.
func (c *conn) begin(early []byte) {
	if err := c.take(early); err != nil {
		c.stopReading(err)
		return
	}
	c.read()
}

// read is the reader's goroutine. When it has waited for a while with a stack that handling frames has made large, the
// watch interrupts it, and a new goroutine with a small stack waits in its place.
func (c *conn) read() {
	for {
		bytesMax := readBytes
		if c.pause > 0 && !c.ending() {
			c.waitOutFlood()
			bytesMax = pausedBytes
		}
		err := c.source.next(c, bytesMax)
		if err == nil {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.small.Store(true)
			_ = c.socket.SetReadDeadline(time.Time{})
			go c.read()
			return
		}
		c.stopReading(err)
		return
	}
}

// stopReading is the end of the reader.
func (c *conn) stopReading(err error) {
	if !errors.Is(err, errParted) {
		_ = c.socket.Close() // a writer that waits for the socket fails
	}
	c.readerDone()
}

// waitOutFlood is a pause of not reading.
func (c *conn) waitOutFlood() {
	if c.pauses++; c.pauses > pausesMax {
		c.endWith(&violation{Misuse, ws.StatusPolicyViolation, "far too many frames, for too long"})
	}
	time.Sleep(c.pause)
	c.pause = 0
}

// take is given the bytes of one read.
func (c *conn) take(data []byte) error {
	c.small.Store(false)
	c.owner.counts.bytesIn.Add(uint64(len(data)))
	if c.ending() {
		return nil // thrown away until the client closes
	}
	f := framing{limit: c.owner.cfg.Limits.FrameBytesMax, text: c.format == wire.JSON}
	if c.framing != nil {
		f = *c.framing
	}
	err := f.feed(data, c)
	var v *violation
	if errors.As(err, &v) {
		c.framing = nil
		c.endWith(v)
		return nil
	}
	c.keep(&f)
	return err
}

// keep keeps what is there of a message that has not ended. An idle connection has nothing of the kind.
func (c *conn) keep(f *framing) {
	switch {
	case !f.amid():
		c.framing = nil
	case c.framing == nil:
		c.framing = &framing{}
		fallthrough
	default:
		*c.framing = *f
	}
}

// deliver is given one message or control frame.
func (c *conn) deliver(op ws.OpCode, payload []byte) error {
	c.owner.counts.framesIn.Add(1)
	c.heardMs.Store(c.owner.monoMs())
	if c.ending() && op != ws.OpClose {
		return nil
	}
	switch op {
	case ws.OpPing:
		if c.overRate(0) {
			return nil
		}
		c.sendRaw(ws.OpPong, payload)
	case ws.OpPong:
		c.overRate(0)
	case ws.OpClose:
		return c.handleClose(payload)
	default:
		return c.handleMessage(payload)
	}
	return nil
}

// handleClose answers a client's close with the same code.
func (c *conn) handleClose(payload []byte) error {
	code, err := checkClose(payload)
	if err != nil {
		return err
	}
	if c.setFarewell(&farewell{code: code, now: true}, nil) {
		c.wake()
	}
	return errParted
}

func (c *conn) handleMessage(payload []byte) error {
	frame, err := wire.DecodeClientFrame(c.format, payload)
	var unknown *wire.UnknownKindError
	switch {
	case errors.As(err, &unknown):
		c.owner.counts.unknownKinds.Add(1)
		if !c.overRate(unknown.Request) {
			c.sendError(unknown.Request, tidemark.Refuse(tidemark.BadArgument, "this server does not know frames of kind %q", clip(unknown.Kind)))
		}
		return nil
	case err != nil:
		return &violation{Malformed, ws.StatusInvalidFramePayloadData, "a message could not be decoded: " + clip(err.Error())}
	}
	c.handling.Store(true)
	defer func() {
		c.heardMs.Store(c.owner.monoMs())
		c.handling.Store(false)
	}()
	s := c.stream()
	hello := frame.GetHello()
	switch {
	case s == nil && hello == nil:
		return &violation{OutOfOrder, ws.StatusPolicyViolation, "the first frame must be hello"}
	case s == nil:
		return c.handleHello(hello)
	case hello != nil:
		return &violation{OutOfOrder, ws.StatusPolicyViolation, "there was a hello already"}
	case c.overRate(requestOf(frame)):
		return nil
	}
	if err := s.Handle(c.owner.context, frame); err != nil {
		return &violation{Misuse, ws.StatusPolicyViolation, asText(err)}
	}
	return nil
}

// handleHello makes the session. A refusal is an error frame, then bye, then close.
func (c *conn) handleHello(hello *wire.Hello) error {
	identity, err := c.identify(hello)
	if err != nil {
		c.refuseHello(err, identity.ExpiresMs != 0)
		return nil
	}
	frames := c.owner.doors.enterUser(identity.User)
	if frames == nil {
		c.refuseHello(tidemark.Refuse(tidemark.TooMany, "the user has too many connections"), false)
		return nil
	}
	c.user, c.frames, c.identity = identity.User, frames, nil
	cfg, device := &c.owner.cfg, tidemark.DeviceID(hello.GetDeviceId())
	s := c.owner.open(session.Config{
		User: identity.User, Device: device, Admit: func() error { return cfg.Auth.Admit(identity, device) },
		Platform: hello.GetPlatform(), Client: hello.GetClient(), Address: c.address.String(),
		Format: c.format, Set: cfg.Set, Registry: cfg.Registry, NowMs: cfg.NowMs, HeartbeatMs: cfg.HeartbeatMs, Log: cfg.Log, OnReady: c.wake,
	})
	c.owner.inTurn(func() { err = s.Open(c.owner.context, hello) })
	if err != nil {
		s.Close()
		c.refuseHello(err, false)
		return nil
	}
	c.syncing.Store(true)
	c.session.Store(&s)
	c.expiresMs.Store(identity.ExpiresMs)
	c.wake()
	return nil
}

// identify says whose hello it is, by the token in it or the one in the header.
func (c *conn) identify(hello *wire.Hello) (Identity, error) {
	var identity Identity
	switch token := hello.GetToken(); {
	case token != "":
		var err error
		if identity, err = c.owner.cfg.Auth.Verify(token); err != nil {
			return identity, err
		}
	case c.identity != nil:
		identity = *c.identity
	default:
		return Identity{}, tidemark.Refuse(tidemark.BadToken, "there is no token: send it in hello.token or in the header Authorization")
	}
	device := tidemark.DeviceID(hello.GetDeviceId())
	if !device.Valid() {
		return Identity{}, tidemark.Refuse(tidemark.BadArgument, "hello.deviceId is %q: use %s", clip(string(device)), tidemark.IDAlphabet)
	}
	if err := c.owner.cfg.Auth.Admit(identity, device); err != nil {
		return Identity{}, err
	}
	return identity, nil
}

// refuseHello ends the connection; expired tells that the token was good once.
func (c *conn) refuseHello(err error, expired bool) {
	c.owner.counts.refusedHellos.Add(1)
	refusal := asRefusal(err)
	if refusal.Reason == tidemark.Internal {
		c.owner.cfg.Log.Error("hello failed", "err", err)
	}
	c.sendError(0, refusal)
	reason := wire.ByeReason_PROTOCOL
	if expired {
		reason = wire.ByeReason_TOKEN_EXPIRED
	}
	c.end(reason, refusal.RetryAfterMs, ws.StatusPolicyViolation, refusal.Error())
}

const (
	refusedMax  = 100                    // frames in a row told RATE_LIMITED; after that the server reads no faster than it allows
	pauseMin    = 50 * time.Millisecond  // of not reading
	pauseMax    = 500 * time.Millisecond // so that an end of the connection is noticed
	pausedBytes = 256                    // read between two pauses
	pausesMax   = 40                     // of one flood; then the connection ends
)

// overRate counts a frame and reports whether it came too fast: it is then answered RATE_LIMITED (if it has a request
// or is the first) and must not be handled. A client that floods on is read slowly, and in the end cut off.
func (c *conn) overRate(request uint64) bool {
	if c.frames == nil {
		return false
	}
	now := time.Since(c.owner.begun)
	pause := c.frames.step(now, c.owner.doors.frames)
	if pause == 0 {
		c.refused = max(c.refused-1, 0)
		if c.frames.rested(now, c.owner.doors.frames) { // not before: each pause lets as many frames pass as were refused
			c.pauses = 0
		}
		return false
	}
	c.owner.counts.rateLimited.Add(1)
	if c.refused++; request != 0 || c.refused == 1 {
		e := tidemark.Refuse(tidemark.RateLimited, "the user sends more than %.0f frames a second", c.owner.cfg.FramesPerSecond)
		e.RetryAfterMs = uint32(max(pause.Milliseconds(), 1))
		c.sendError(request, e)
	}
	if c.refused > refusedMax {
		c.pause = min(max(pause, pauseMin), pauseMax)
	}
	return true
}

// requestOf is the frame's request; 0 for frames without.
func requestOf(f *wire.ClientFrame) uint64 {
	switch f := f.GetFrame().(type) {
	case *wire.ClientFrame_Submit:
		return f.Submit.GetRequest()
	case *wire.ClientFrame_Fetch:
		return f.Fetch.GetRequest()
	case *wire.ClientFrame_Enter:
		return f.Enter.GetRequest()
	case *wire.ClientFrame_Leave:
		return f.Leave.GetRequest()
	case *wire.ClientFrame_Ping:
		return f.Ping.GetRequest()
	}
	return 0
}

// asText is an error for a bye: a refusal as it is, anything else without its details.
func asText(err error) string { return clip(asRefusal(err).Error()) }
