// SPDX-License-Identifier: Apache-2.0

// A lean WebSocket connection for load: frames out are gathered into one write, frames in are handed out from one
// buffer without copying. It speaks only the binary subprotocol and only what a Tidemark server sends.

package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

// conn is one connection. One goroutine may write and flush while another reads.
type conn struct {
	net net.Conn
	out []byte // frames not yet written

	in         []byte // read and not yet handed out: in[from:to]
	from, to   int
	bytesIn    uint64 // read from the socket after the handshake
	bytesOut   uint64 // written to it
	lastOpcode byte
}

// opcodes of WebSocket frames (RFC 6455, section 5.2).
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xA
)

const finalBit, maskBit = 0x80, 0x80

const (
	handshakeTimeout = 30 * time.Second
	readBufferBytes  = 4 << 10 // to begin with; grows with the frames that come
	frameBytesMax    = 16 << 20
)

// dialConfig says where and how to connect.
type dialConfig struct {
	address string // host:port of the server
	source  string // local IP address; "": any
	token   string
	device  string
	cursor  *wire.Cursor
	tail    uint32
	full    uint32
}

// dial connects, upgrades, and sends hello. The answer (welcome, deltas, synced) is left to be read.
func dial(ctx context.Context, config dialConfig) (*conn, error) {
	dialer := net.Dialer{Timeout: handshakeTimeout}
	if config.source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(config.source)}
	}
	socket, err := dialer.DialContext(ctx, "tcp", config.address)
	if err != nil {
		return nil, err
	}
	c := &conn{net: socket}
	if err := c.open(config); err != nil {
		socket.Close()
		return nil, err
	}
	return c, nil
}

// open upgrades the connection and sends hello behind it.
func (c *conn) open(config dialConfig) error {
	_ = c.net.SetDeadline(time.Now().Add(handshakeTimeout))
	request := "GET /v1/connect HTTP/1.1\r\nHost: " + config.address +
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" +
		"\r\nSec-WebSocket-Protocol: tidemark.v1+proto\r\n\r\n"
	if _, err := io.WriteString(c.net, request); err != nil {
		return err
	}
	if err := c.readUpgrade(); err != nil {
		return err
	}
	_ = c.net.SetDeadline(time.Time{})
	c.bytesIn = 0
	hello := &wire.Hello{
		Token: config.token, DeviceId: config.device, Platform: "bench", Client: "tidemark-bench",
		Cursor: config.cursor, Tail: config.tail, Full: config.full,
	}
	c.queue(&wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: hello}})
	return c.flush()
}

// until lets the connection fail at a time, and when the context ends, unless stop is called before.
func (c *conn) until(ctx context.Context, end time.Time) (stop func() bool) {
	_ = c.net.SetDeadline(end)
	return context.AfterFunc(ctx, func() { _ = c.net.SetDeadline(time.Unix(1, 0)) })
}

func (c *conn) readUpgrade() error {
	for {
		if end := bytes.Index(c.in[c.from:c.to], []byte("\r\n\r\n")); end >= 0 {
			head := string(c.in[c.from : c.from+end])
			c.from += end + 4
			if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
				return fmt.Errorf("bench: the server refused the connection: %s", head)
			}
			return nil
		}
		if c.to-c.from > 64<<10 {
			return errors.New("bench: the answer to the upgrade has no end")
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// queue appends a frame to what the next flush writes.
func (c *conn) queue(frame *wire.ClientFrame) {
	size := frame.SizeVT()
	c.out = appendFrameHeader(c.out, opBinary, size)
	begin := len(c.out)
	c.out = append(c.out, make([]byte, size)...)
	if _, err := frame.MarshalToSizedBufferVT(c.out[begin:]); err != nil {
		panic(fmt.Sprintf("bench: encode %v: %v", frame, err)) // the generated encoder fails only on invalid UTF-8
	}
}

// appendFrameHeader appends the header of a client's frame. The mask is zero: a client must mask, and with a zero mask
// the payload stays as it is.
func appendFrameHeader(out []byte, opcode byte, size int) []byte {
	out = append(out, finalBit|opcode)
	switch {
	case size < 126:
		out = append(out, maskBit|byte(size))
	case size <= 0xFFFF:
		out = append(out, maskBit|126)
		out = binary.BigEndian.AppendUint16(out, uint16(size))
	default:
		out = append(out, maskBit|127)
		out = binary.BigEndian.AppendUint64(out, uint64(size))
	}
	return append(out, 0, 0, 0, 0)
}

// flush writes everything queued, in one write.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	n, err := c.net.Write(c.out)
	c.bytesOut += uint64(n)
	c.out = c.out[:0]
	return err
}

// read returns the payload of the next data message, waiting for it. It is valid until the next read.
func (c *conn) read() ([]byte, error) {
	for {
		payload, complete, err := c.take()
		if err != nil {
			return nil, err
		}
		if !complete {
			if err := c.fill(); err != nil {
				return nil, err
			}
			continue
		}
		switch c.lastOpcode {
		case opBinary:
			return payload, nil
		case opPing:
			if _, err := c.net.Write(append(appendFrameHeader(nil, opPong, len(payload)), payload...)); err != nil {
				return nil, err
			}
		case opPong:
		case opClose:
			return nil, fmt.Errorf("bench: the server closed the connection: %q", payload)
		default:
			return nil, fmt.Errorf("bench: unexpected frame of opcode %d", c.lastOpcode)
		}
	}
}

// more reports whether read has another message without waiting.
func (c *conn) more() bool {
	header, size, ok := c.peek()
	return ok && c.to-c.from >= header+size
}

// take hands out the next frame of the buffer if it is complete.
func (c *conn) take() (payload []byte, complete bool, err error) {
	header, size, ok := c.peek()
	if !ok {
		return nil, false, nil
	}
	if size > frameBytesMax || c.in[c.from+1]&maskBit != 0 || c.in[c.from]&finalBit == 0 {
		return nil, false, fmt.Errorf("bench: a frame that a Tidemark server does not send: % x", c.in[c.from:c.from+header])
	}
	if c.to-c.from < header+size {
		return nil, false, nil
	}
	c.lastOpcode = c.in[c.from] & 0x0F
	payload = c.in[c.from+header : c.from+header+size]
	c.from += header + size
	return payload, true, nil
}

// peek reads the header of the next frame: its length and that of its payload.
func (c *conn) peek() (header, size int, ok bool) {
	have := c.in[c.from:c.to]
	if len(have) < 2 {
		return 0, 0, false
	}
	switch length := have[1] & 0x7F; length {
	case 126:
		if len(have) < 4 {
			return 0, 0, false
		}
		return 4, int(binary.BigEndian.Uint16(have[2:])), true
	case 127:
		if len(have) < 10 {
			return 0, 0, false
		}
		return 10, int(min(binary.BigEndian.Uint64(have[2:]), 1<<40)), true
	default:
		return 2, int(length), true
	}
}

// fill reads once from the socket, behind what is there.
func (c *conn) fill() error {
	if c.from > 0 {
		c.to = copy(c.in, c.in[c.from:c.to])
		c.from = 0
	}
	if c.to == len(c.in) {
		grown := make([]byte, max(readBufferBytes, 2*len(c.in)))
		copy(grown, c.in[:c.to])
		c.in = grown
	}
	n, err := c.net.Read(c.in[c.to:])
	c.to += n
	c.bytesIn += uint64(n)
	if n > 0 {
		return nil
	}
	return err
}

// rest gives the read buffer back while nothing is expected.
func (c *conn) rest() {
	if c.from == c.to {
		c.in, c.from, c.to = nil, 0, 0
	}
	c.out = nil
}

// close ends the connection in good order: a close frame, then the socket.
func (c *conn) close() {
	_ = c.net.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.net.Write(append(appendFrameHeader(nil, opClose, 2), 0x03, 0xE8)) // 1000: done
	c.net.Close()
}
