// SPDX-License-Identifier: Apache-2.0

// A WebSocket as bytes: what is sent may be anything, and what comes is told frame by frame, the close code included.

package conformance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/tidemark-im/tidemark/wire"
)

// socket is a connection after the handshake. It belongs to one goroutine.
type socket struct {
	net.Conn
	reader  *bufio.Reader
	message []byte    // the fragments so far
	op      ws.OpCode // of the message that is coming in fragments
}

// refusedUpgrade is the answer to a handshake that failed.
type refusedUpgrade struct {
	status int
	text   string
}

// Error implements the error interface.
func (r *refusedUpgrade) Error() string {
	return fmt.Sprintf("the handshake is answered with HTTP %d: %s", r.status, r.text)
}

// handshake opens a WebSocket. protocols are those offered; header goes with the request. The error is a
// *refusedUpgrade where the server has answered.
func handshake(ctx context.Context, base string, protocols []string, header http.Header, timeout time.Duration) (*socket, string, error) {
	var refused *refusedUpgrade
	dialer := ws.Dialer{
		Protocols: protocols,
		Header:    ws.HandshakeHeaderHTTP(header),
		Timeout:   timeout,
		OnStatusError: func(status int, _ []byte, answer io.Reader) {
			text := "(no answer)"
			if response, err := http.ReadResponse(bufio.NewReader(answer), nil); err == nil {
				body, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
				text = string(body)
				_ = response.Body.Close()
			}
			refused = &refusedUpgrade{status, strings.TrimSpace(text)}
		},
	}
	conn, early, shaken, err := dialer.Dial(ctx, "ws"+strings.TrimPrefix(base, "http")+"/v1/connect")
	if refused != nil {
		return nil, "", refused
	}
	if err != nil {
		return nil, "", err
	}
	if early == nil {
		early = bufio.NewReader(conn)
	}
	return &socket{Conn: conn, reader: early}, shaken.Protocol, nil
}

// ending is how a connection ended.
type ending struct {
	code  ws.StatusCode // of the server's close frame; 0: there was none
	text  string        // of the server's close frame
	cause error         // without a close frame: what happened to the socket
}

// String is the ending for people.
func (e *ending) String() string {
	switch {
	case e == nil:
		return "the connection goes on"
	case e.code == 0:
		return fmt.Sprintf("the connection was cut off without a close frame (%v)", e.cause)
	}
	return fmt.Sprintf("the connection was closed with %d %q", e.code, e.text)
}

// receive reads one message. Pings are answered. Both nil: nothing came before the deadline.
func (s *socket) receive(deadline time.Time) (payload []byte, op ws.OpCode, end *ending) {
	for {
		if err := s.SetReadDeadline(deadline); err != nil {
			return nil, 0, &ending{cause: err}
		}
		if _, err := s.reader.Peek(1); isTimeout(err) {
			return nil, 0, nil
		}
		_ = s.SetReadDeadline(time.Now().Add(frameTimeout)) // what has begun is read to its end
		header, err := ws.ReadHeader(s.reader)
		if err != nil {
			return nil, 0, &ending{cause: err}
		}
		if header.Length > messageBytesMax-int64(len(s.message)) {
			return nil, 0, &ending{cause: fmt.Errorf("the server announces %d bytes of a message: the kit reads %d at most", header.Length, messageBytesMax)}
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(s.reader, payload); err != nil {
			return nil, 0, &ending{cause: err}
		}
		switch {
		case header.OpCode == ws.OpPing:
			_ = s.sendFrame(ws.OpPong, payload)
		case header.OpCode == ws.OpPong:
			return payload, header.OpCode, nil
		case header.OpCode == ws.OpClose:
			code, text := ws.ParseCloseFrameData(payload)
			return nil, 0, &ending{code: code, text: text}
		default:
			if header.OpCode != ws.OpContinuation {
				s.message, s.op = nil, header.OpCode
			}
			s.message = append(s.message, payload...)
			if header.Fin {
				payload, s.message = s.message, nil
				return payload, s.op, nil
			}
		}
	}
}

// messageBytesMax bounds one message of a server, whatever it announces: many times what one sends that keeps its limits.
const messageBytesMax = 16 << 20

// frameTimeout is for the rest of a frame that has begun.
const frameTimeout = 20 * time.Second

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// sendFrame sends one whole masked frame.
func (s *socket) sendFrame(op ws.OpCode, payload []byte) error {
	return s.sendBytes(ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, true, payload))))
}

// sendBytes sends bytes as they are.
func (s *socket) sendBytes(data []byte) error {
	if err := s.SetWriteDeadline(time.Now().Add(frameTimeout)); err != nil {
		return err
	}
	_, err := s.Write(data)
	return err
}

// opOf is the kind of message that a format has.
func opOf(format wire.Format) ws.OpCode {
	if format == wire.JSON {
		return ws.OpText
	}
	return ws.OpBinary
}
