// SPDX-License-Identifier: Apache-2.0

// Cutting a client's bytes into WebSocket messages (RFC 6455, section 5): incremental, so that nothing is held between
// messages, and strict. It knows no sockets and no frames of ours.

package gateway

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// violation is a breach of the rules of WebSocket or of the connection: it ends the connection.
type violation struct {
	kind Violation
	code ws.StatusCode // of the close frame
	text string        // for people
}

// Error implements the error interface.
func (v *violation) Error() string { return v.text }

// messageStart is what a message's buffer is made with; it grows with what arrives, not with what was announced.
const messageStart = 4 << 10

// framing is the state between two reads: what is left of an incomplete frame or message. Owned by the reader.
type framing struct {
	limit   uint32                 // bytes of one message
	text    bool                   // messages must be text, else binary
	inFrame bool                   // the header is complete
	partial bool                   // fragments of a message have come; more follow
	headLen uint8                  // bytes in head
	head    [ws.MaxHeaderSize]byte // the header as far as it has come
	header  ws.Header              // of the current frame
	taken   int64                  // payload bytes of the current frame so far
	message []byte                 // payload of the message so far, unmasked; nil between messages
	control []byte                 // payload of the control frame so far; nil between them
}

// receiver is given each message (OpText, OpBinary) and each control frame. The payload is valid during the call only.
type receiver interface {
	deliver(op ws.OpCode, payload []byte) error
}

// amid reports whether a message or a frame has begun that has not ended.
func (f *framing) amid() bool { return f.inFrame || f.partial || f.headLen > 0 || f.message != nil }

// feed takes the next bytes, which it may change. The error is the receiver's or a *violation; after one, the framing
// must not be fed again.
func (f *framing) feed(data []byte, to receiver) error {
	for {
		if !f.inFrame {
			rest, done, err := f.takeHeader(data)
			if err != nil || !done {
				return err
			}
			data = rest
		}
		n := min(int64(len(data)), f.header.Length-f.taken)
		payload := data[:n]
		data = data[n:]
		ws.Cipher(payload, f.header.Mask, int(f.taken&3))
		f.taken += n
		if f.taken < f.header.Length {
			f.keep(payload)
			return nil
		}
		f.inFrame = false
		if err := f.endFrame(payload, to); err != nil {
			return err
		}
		if len(data) == 0 {
			return nil
		}
	}
}

// keep copies a part of a frame's payload.
func (f *framing) keep(part []byte) {
	if f.header.OpCode.IsControl() {
		f.control = append(f.control, part...)
		return
	}
	if f.message == nil {
		f.message = make([]byte, 0, min(max(int(f.header.Length), 1), messageStart))
	}
	f.message = append(f.message, part...)
}

// endFrame is called with the last part of a frame's payload.
func (f *framing) endFrame(payload []byte, to receiver) error {
	op := f.header.OpCode
	if op.IsControl() {
		if f.control != nil {
			payload = append(f.control, payload...)
			f.control = nil
		}
		return to.deliver(op, payload)
	}
	if !f.header.Fin || f.message != nil {
		f.keep(payload)
	}
	if f.partial = !f.header.Fin; f.partial {
		return nil
	}
	if f.message != nil {
		payload, f.message = f.message, nil
	}
	op = ws.OpBinary
	if f.text {
		if op = ws.OpText; !utf8.Valid(payload) {
			return &violation{NotUTF8, ws.StatusInvalidFramePayloadData, "a text message is not valid UTF-8"}
		}
	}
	return to.deliver(op, payload)
}

// takeHeader takes the bytes of a frame's header; done is false when more are needed.
func (f *framing) takeHeader(data []byte) (rest []byte, done bool, err error) {
	for {
		need := 2
		if f.headLen >= 2 {
			need = headerLength(f.head[1])
		}
		if int(f.headLen) == need {
			break
		}
		if len(data) == 0 {
			return nil, false, nil
		}
		n := copy(f.head[f.headLen:need], data)
		f.headLen += uint8(n)
		data = data[n:]
	}
	f.headLen = 0
	if f.header, err = parseHeader(&f.head); err != nil {
		return nil, false, err
	}
	if err := f.check(); err != nil {
		return nil, false, err
	}
	f.inFrame, f.taken = true, 0
	return data, true, nil
}

// headerLength is the length of a header whose second byte is b.
func headerLength(b byte) int {
	n := 2
	switch b & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b&0x80 != 0 {
		n += 4
	}
	return n
}

func parseHeader(head *[ws.MaxHeaderSize]byte) (ws.Header, error) {
	h := ws.Header{
		Fin: head[0]&0x80 != 0, Rsv: head[0] >> 4 & 7, OpCode: ws.OpCode(head[0] & 0x0f), Masked: head[1]&0x80 != 0,
	}
	mask := 2
	length := uint64(head[1] & 0x7f)
	shortest := true
	switch length {
	case 126:
		length, mask = uint64(binary.BigEndian.Uint16(head[2:])), 4
		shortest = length > 125
	case 127:
		length, mask = binary.BigEndian.Uint64(head[2:]), 10
		shortest = length > 0xffff
	}
	if length>>63 != 0 {
		return h, framingError("a frame's length has its highest bit set")
	}
	if !shortest {
		return h, framingError("a frame's length is not in its shortest form")
	}
	h.Length = int64(length)
	if h.Masked {
		copy(h.Mask[:], head[mask:])
	}
	return h, nil
}

// check refuses a frame by its header alone, before any of its payload is read.
func (f *framing) check() error {
	state := ws.StateServerSide
	if f.partial {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(f.header, state); err != nil {
		return framingError(err.Error())
	}
	if f.header.OpCode.IsControl() {
		return nil
	}
	switch {
	case f.header.OpCode == ws.OpText && !f.text:
		return &violation{WrongType, ws.StatusUnsupportedData, "a text message on a connection that speaks protobuf: send binary messages"}
	case f.header.OpCode == ws.OpBinary && f.text:
		return &violation{WrongType, ws.StatusUnsupportedData, "a binary message on a connection that speaks JSON: send text messages"}
	case int64(len(f.message))+f.header.Length > int64(f.limit):
		return &violation{TooBig, ws.StatusMessageTooBig, "a message is larger than limits.frameBytesMax"}
	}
	return nil
}

func framingError(text string) *violation {
	return &violation{BadFraming, ws.StatusProtocolError, text}
}

// checkClose reads a client's close frame and says with which code to answer it.
func checkClose(payload []byte) (ws.StatusCode, error) {
	if len(payload) == 0 {
		return ws.StatusNormalClosure, nil
	}
	if len(payload) == 1 {
		return 0, framingError("a close frame of one byte")
	}
	code, reason := ws.ParseCloseFrameDataUnsafe(payload)
	if err := ws.CheckCloseFrameData(code, reason); err != nil {
		if err == ws.ErrProtocolInvalidUTF8 {
			return 0, &violation{NotUTF8, ws.StatusInvalidFramePayloadData, err.Error()}
		}
		return 0, framingError(err.Error())
	}
	return code, nil
}

// appendFrame appends a whole unmasked frame.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst, start := beginFrame(dst)
	return endFrame(append(dst, payload...), start, op)
}

// shortHeader is the room left for a header: most frames have 126 to 65,535 bytes.
const shortHeader = 4

// beginFrame leaves room for a header at the end of dst; the payload is then appended, and endFrame called.
func beginFrame(dst []byte) (out []byte, start int) {
	return append(dst, make([]byte, shortHeader)...), len(dst)
}

// endFrame writes the header of the frame that begins at start and ends with dst.
func endFrame(dst []byte, start int, op ws.OpCode) []byte {
	n := len(dst) - start - shortHeader
	switch {
	case n <= 125:
		copy(dst[start+2:], dst[start+shortHeader:])
		dst = dst[:len(dst)-2]
		dst[start+1] = byte(n)
	case n <= 0xffff:
		dst[start+1] = 126
		binary.BigEndian.PutUint16(dst[start+2:], uint16(n))
	default:
		dst = append(dst, make([]byte, 6)...)
		copy(dst[start+10:], dst[start+shortHeader:len(dst)-6])
		dst[start+1] = 127
		binary.BigEndian.PutUint64(dst[start+2:], uint64(n))
	}
	dst[start] = 0x80 | byte(op)
	return dst
}
