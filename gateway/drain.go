// SPDX-License-Identifier: Apache-2.0

// The writer of a connection: a goroutine that exists while there is something to write. It gathers as many frames as it
// can into one buffer and writes them at once.

package gateway

import (
	"sync"

	"github.com/gobwas/ws"
)

const (
	gatherBytes = 64 << 10  // a write is begun when this much is gathered, or all there is
	pooledBytes = 160 << 10 // a larger buffer is not kept
)

var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// The writer's states, as bits of conn.writer.
const (
	writing    = 1 << iota // the goroutine exists
	again                  // something came after it last looked
	readerGone             // it must not begin again; when it ends, it releases the connection
)

// wake sees to it that a writer looks for something to write. It does not block; any goroutine.
func (c *conn) wake() {
	for {
		s := c.writer.Load()
		switch {
		case s&readerGone != 0 || s&again != 0:
			return
		case s&writing != 0:
			if c.writer.CompareAndSwap(s, s|again) {
				return
			}
		case c.writer.CompareAndSwap(s, s|writing):
			go c.drain()
			return
		}
	}
}

// readerDone is the reader's last act.
func (c *conn) readerDone() {
	for {
		s := c.writer.Load()
		if c.writer.CompareAndSwap(s, s|readerGone) {
			if s&writing == 0 {
				c.release()
			}
			return
		}
	}
}

// writerDone is the writer's last act; false: it must look again.
func (c *conn) writerDone() bool {
	for {
		s := c.writer.Load()
		if s&again != 0 {
			if c.writer.CompareAndSwap(s, s&^again) {
				return false
			}
			continue
		}
		if c.writer.CompareAndSwap(s, s&readerGone) {
			if s&readerGone != 0 {
				c.release()
			}
			return true
		}
	}
}

// drain is the writer's goroutine.
func (c *conn) drain() {
	for {
		data, last, buffer := c.gatherInTurn()
		if len(data) > 0 && c.partingMs.Load() == 0 && c.write(data) && last {
			c.part()
		}
		more := len(data) > 0 && !last && c.writer.Load()&readerGone == 0
		if cap(data) <= pooledBytes {
			*buffer = data[:0]
		}
		writeBuffers.Put(buffer)
		if !more && c.writerDone() {
			return
		}
	}
}

// gatherInTurn is gather into a buffer from the pool; in turn, while it answers hello.
func (c *conn) gatherInTurn() (data []byte, last bool, buffer *[]byte) {
	gather := func() {
		buffer = writeBuffers.Get().(*[]byte)
		data, last = c.gather((*buffer)[:0])
	}
	if !c.syncing.Load() {
		gather()
		return data, last, buffer
	}
	c.owner.inTurn(gather)
	if len(data) == 0 {
		c.syncing.Store(false)
	}
	return data, last, buffer
}

// gather appends frames to buf until it holds enough or there are no more; last: the close frame is among them.
func (c *conn) gather(buf []byte) (out []byte, last bool) {
	c.mu.Lock()
	buf = append(buf, c.direct...)
	c.direct = nil
	farewell := c.farewell
	c.mu.Unlock()
	if farewell != nil && farewell.now {
		return appendClose(buf, farewell), true
	}
	s := c.stream()
	if s == nil {
		return buf, false
	}
	op, frames := c.messageOp(), uint64(0)
	for len(buf) < gatherBytes {
		reserved, start := beginFrame(buf)
		next, ok := s.Next(reserved)
		if !ok {
			last = s.Done()
			break
		}
		buf = endFrame(next, start, op)
		frames++
	}
	c.owner.counts.framesOut.Add(frames)
	if last {
		buf = appendClose(buf, c.farewellOr(ws.StatusPolicyViolation))
	}
	return buf, last
}

// farewellOr is the farewell; one with this code if the session ended by itself.
func (c *conn) farewellOr(code ws.StatusCode) *farewell {
	c.setFarewell(&farewell{code: code}, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.farewell
}

func appendClose(buf []byte, f *farewell) []byte {
	text := f.text
	if room := ws.MaxControlFramePayloadSize - 2; len(text) > room {
		text = clipBytes(text, room)
	}
	return appendFrame(buf, ws.OpClose, ws.NewCloseFrameBody(f.code, text))
}

// write writes all of data, in pieces each of which has Config.WriteTimeout. On failure the socket is closed, which ends
// the reader; the writer goes on taking from the session, in vain, so that the reader is not kept waiting by it.
func (c *conn) write(data []byte) (ok bool) {
	for len(data) > 0 {
		piece := data[:min(len(data), gatherBytes)]
		c.writingMs.Store(c.owner.monoMs())
		n, err := c.socket.Write(piece)
		c.writingMs.Store(0)
		c.owner.counts.bytesOut.Add(uint64(n))
		c.owner.counts.writes.Add(1)
		if err != nil {
			_ = c.socket.Close()
			return false
		}
		data = data[n:]
	}
	return true
}

// part follows our close frame: no more is written, and the client's close is awaited.
func (c *conn) part() {
	c.partingMs.Store(c.owner.monoMs())
	if c.writer.Load()&readerGone != 0 {
		_ = c.socket.Close()
		return
	}
	if h, ok := c.socket.(interface{ CloseWrite() error }); ok && h.CloseWrite() == nil {
		return
	}
	_ = c.socket.Close()
}
