// SPDX-License-Identifier: Apache-2.0

// One connection: two pipes of encoded frames, the session at the server's end, the device at the other. Each end learns
// of its end in its own time, or never.

package sim

import (
	"errors"
	"hash/crc32"

	"google.golang.org/protobuf/encoding/protowire"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/wire"
)

// heartbeatMs is told to devices; the server cuts off who is silent for two and a half times as long.
const heartbeatMs = 10_000

// Numbers of fields of ServerFrame.
const (
	welcomeFrame = 1
	deltaFrame   = 2
	errorFrame   = 7
)

// conn is one connection.
type conn struct {
	number uint64
	d      *device
	s      *server
	up     pipe // to the server
	down   pipe // to the device

	session  *session.Session // nil before hello, and once the server has ended it
	frames   []*wire.ClientFrame
	planned  bool // a look at frames is planned
	draining bool // a look at Next is planned
	ready    bool // Next may have something
	unread   int  // frames given to down that the device has not taken in
	heardMs  uint64
	over     bool // at the server's end
	busy     bool // its session is in the middle of something

	tokenMs  uint64                  // with which the device came
	admitted bool                    // its session has asked whether the token counts, and it did
	kicked   bool                    // its session was ended: see checkKicked
	submits  map[uint64]*wire.Submit // by request; not answered
}

// broken reports whether the connection ends as soon as both ends have heard of it.
func (c *conn) broken() bool { return c.over || !c.s.up || c.up.lost || c.down.lost || c.down.ended }

// pipe is one direction. Frames arrive in order, or not at all from some moment on.
type pipe struct {
	lastMs uint64 // when the last frame arrives
	lost   bool   // nothing arrives any more
	ended  bool   // its end was sent
}

// send gives bytes to a pipe; arrive is told when they have come. nil bytes are the end.
func (w *world) send(p *pipe, latencyMs uint64, arrive func()) {
	if p.ended {
		return
	}
	at := max(p.lastMs, w.nowMs+latencyMs)
	p.lastMs = at
	w.at(at, func() {
		if !p.lost {
			arrive()
		}
	})
}

// toServer sends a frame of the device.
func (c *conn) toServer(f *wire.ClientFrame) {
	w := c.d.w
	w.observer.Sent(c.d.who(), c.number, f)
	if m := f.GetSubmit(); m != nil {
		if c.submits == nil {
			c.submits = map[uint64]*wire.Submit{}
		}
		c.submits[m.Request] = m
	}
	data, err := wire.AppendClientFrame(nil, wire.Proto, f)
	if err != nil {
		panic("sim: a frame of the replica cannot be encoded: " + err.Error())
	}
	w.counts.FramesUp++
	w.trace.add("up", c.number, uint64(len(data)))
	w.send(&c.up, w.latency(), func() { c.arrived(data) })
}

// arrived takes a frame at the server's end.
func (c *conn) arrived(data []byte) {
	w := c.d.w
	if c.over || !c.s.up {
		return
	}
	c.heardMs = w.nowMs
	f, err := wire.DecodeClientFrame(wire.Proto, data)
	if err != nil {
		panic("sim: a frame does not come out as it went in: " + err.Error())
	}
	c.frames = append(c.frames, f)
	c.handleSoon(0)
}

func (c *conn) handleSoon(ms uint64) {
	if !c.planned {
		c.planned = true
		c.d.w.after(ms, func() { c.planned = false; c.handle() })
	}
}

// handle gives the first frame to the session, if it would not wait with it.
func (c *conn) handle() {
	w := c.d.w
	if c.over || !c.s.up || c.busy || len(c.frames) == 0 {
		return
	}
	c.busy = true
	defer func() { c.busy = false }()
	f := c.frames[0]
	switch hello := f.GetHello(); {
	case hello != nil:
		c.open(hello)
	case c.session == nil:
		panic("sim: a device sends before hello")
	case c.session.Waits(f):
		w.counts.Waits++
		c.handleSoon(1 + w.delay(20))
		return
	default:
		if err := c.session.Handle(w.ctx, f); err != nil {
			panic("sim: a frame of the replica is a violation: " + err.Error())
		}
	}
	if c.over {
		return
	}
	c.frames = c.frames[1:]
	c.s.poke()
	if len(c.frames) > 0 {
		c.handleSoon(w.delay(2))
	}
}

// open answers hello.
func (c *conn) open(hello *wire.Hello) {
	w, s := c.d.w, c.s
	if s.set.OfUser(c.d.user).Full() {
		c.endServer()
		return
	}
	if err := c.admits(); err != nil {
		c.refuse(err)
		return
	}
	c.session = session.New(session.Config{
		User: c.d.user, Device: tidemark.DeviceID(hello.DeviceId), Platform: hello.Platform, Client: hello.Client, Address: "sim",
		Set: s.set, Registry: s.registry, NowMs: w.serverMs, Entropy: s.entropy, Format: wire.Proto, HeartbeatMs: heartbeatMs,
		Admit: func() error {
			err := errors.Join(s.admit(), c.admits())
			c.admitted = err == nil
			return err
		},
		OnReady: func() { c.ready = true }, // see wake: in whatever order sessions are told, nothing follows from it
	})
	if err := c.session.Open(w.ctx, hello); err != nil {
		c.session.Close()
		c.session = nil
		c.refuse(err)
		return
	}
	c.ready = true
	c.watch()
}

// refuse ends a connection instead of a welcome.
func (c *conn) refuse(err error) {
	refusal := tidemark.Refuse(tidemark.Internal, "hello failed at the server; retry later")
	errors.As(err, &refusal)
	c.give(wire.ErrorFrame(0, refusal))
	c.give(&wire.ServerFrame{Frame: &wire.ServerFrame_Bye{Bye: &wire.Bye{Reason: wire.ByeReason_PROTOCOL, Message: refusal.Message}}})
	c.endServer()
}

// give sends a frame that does not come from the session.
func (c *conn) give(f *wire.ServerFrame) {
	data, err := wire.AppendServerFrame(nil, wire.Proto, f)
	if err != nil {
		panic("sim: a frame cannot be encoded: " + err.Error())
	}
	c.toDevice(data)
}

// watch cuts off a client that is silent for too long.
func (c *conn) watch() {
	w := c.d.w
	w.at(c.heardMs+heartbeatMs*5/2, func() {
		if c.over || !c.s.up {
			return
		}
		if w.nowMs >= c.heardMs+heartbeatMs*5/2 && len(c.frames) == 0 {
			w.say(about{user: c.d.user, device: c.d.id}, "the server cuts connection %d off: it is silent", c.number)
			c.endServer()
			return
		}
		c.watch()
	})
}

func (c *conn) drainSoon() {
	if c.ready && !c.draining && !c.over && c.unread < c.d.w.profile.Window {
		c.draining = true
		c.d.w.after(c.d.w.delay(c.d.w.profile.DrainMs), func() { c.draining = false; c.drain() })
	}
}

// drain sends one frame of the session, if the device has room for it.
func (c *conn) drain() {
	w := c.d.w
	if c.over || !c.s.up || c.busy || c.session == nil || !c.ready || c.unread >= w.profile.Window {
		return
	}
	c.busy = true
	defer func() { c.busy = false }()
	data, ok := c.session.Next(nil)
	if !ok {
		c.ready = false
		return
	}
	w.checkFrame(c.d.who(), data)
	if w.profile.Accounts {
		frame, _, _ := protowire.ConsumeTag(data)
		c.checkAdmitted(frame == welcomeFrame, frame == deltaFrame)
	}
	c.toDevice(data)
	if c.session.Done() {
		c.endServer()
		return
	}
	c.s.poke() // an answer may have made room
}

// flush sends all there is, as a server that is about to stop does.
func (c *conn) flush() {
	for c.session != nil && !c.over {
		data, ok := c.session.Next(nil)
		if !ok {
			return
		}
		c.toDevice(data)
		if c.session.Done() {
			c.endServer()
		}
	}
}

// toDevice sends an encoded frame.
func (c *conn) toDevice(data []byte) {
	w := c.d.w
	c.unread++
	w.counts.FramesDown++
	w.trace.add("down", c.number, sumOf(data))
	w.send(&c.down, w.latency(), func() { c.d.arrived(c, data) })
}

// sumOf is a sum over a frame of the server. The text of an error may name a file of the database, whose numbers are drawn
// by its own goroutines: it does not count.
func sumOf(data []byte) uint64 {
	if frame, _, n := protowire.ConsumeTag(data); n > 0 && frame == errorFrame {
		return errorFrame
	}
	return uint64(crc32.ChecksumIEEE(data))
}

// endServer ends the connection at the server's end; the device hears of it after what is under way.
func (c *conn) endServer() {
	if c.over {
		return
	}
	w := c.d.w
	w.send(&c.down, w.latency(), func() { c.d.ended(c) })
	c.down.ended = true
	c.serverGone()
}

// serverGone forgets the server's end; the device hears nothing by that.
func (c *conn) serverGone() {
	if c.over {
		return
	}
	c.over, c.up.lost, c.frames = true, true, nil
	if s := c.session; s != nil {
		s.Close()
		c.s.poke()
	}
}

// hangUp ends the connection at the device's end; the server hears of it after what is under way.
func (c *conn) hangUp() {
	w := c.d.w
	c.down.lost = true
	w.send(&c.up, w.latency(), func() { c.serverGone() })
	c.up.ended = true
}

// cut ends the connection for both, each at its own time: what is under way is lost.
func (c *conn) cut(serverMs, deviceMs uint64) {
	w := c.d.w
	c.up.lost, c.down.lost = true, true
	w.after(serverMs, func() { c.serverGone() })
	w.after(deviceMs, func() { c.d.ended(c) })
}
