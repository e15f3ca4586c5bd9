// SPDX-License-Identifier: Apache-2.0

// The codec of frames: one WebSocket message to one frame and back, in both formats of the connection.

package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Format is how the frames of one connection are encoded: its WebSocket subprotocol.
type Format uint8

// The formats. The zero value is not a format.
const (
	Proto Format = iota + 1 // binary messages, protobuf
	JSON                    // text messages, protobuf's JSON mapping
)

// The names of the formats in the WebSocket handshake.
const (
	SubprotocolProto = "tidemark.v1+proto"
	SubprotocolJSON  = "tidemark.v1+json"
)

// Subprotocol is the format's name in the WebSocket handshake; empty for a value that is no format.
func (f Format) Subprotocol() string {
	switch f {
	case Proto:
		return SubprotocolProto
	case JSON:
		return SubprotocolJSON
	}
	return ""
}

// FormatOf finds the format of a subprotocol name; ok is false for a name that is not ours.
func FormatOf(subprotocol string) (f Format, ok bool) {
	switch subprotocol {
	case SubprotocolProto:
		return Proto, true
	case SubprotocolJSON:
		return JSON, true
	}
	return 0, false
}

// ErrUnknownKind is matched (errors.Is) by the error of a frame that is well-formed but of a kind this version does not
// know: it is answered with an error frame and the connection goes on. Every other error of decoding means that the
// frame is malformed. The error is an [*UnknownKindError].
var ErrUnknownKind = errors.New("unknown kind of frame")

// UnknownKindError says which kind was not known.
type UnknownKindError struct {
	Kind    string // JSON: the name; protobuf: "field 77"
	Request uint64 // the frame's request, for the answer; 0 when it has none
}

// Error implements the error interface.
func (e *UnknownKindError) Error() string { return "wire: unknown kind of frame: " + e.Kind }

// Is makes errors.Is(err, ErrUnknownKind) true.
func (e *UnknownKindError) Is(target error) bool { return target == ErrUnknownKind }

// errEmpty is a message without a frame in it.
var errEmpty = errors.New("wire: the message holds no frame")

// DecodeClientFrame reads one message of a client. The frame does not refer to data, which may be used again. Fields this
// version does not know are passed over, so that a newer client works with an older server; every string is valid UTF-8.
func DecodeClientFrame(f Format, data []byte) (*ClientFrame, error) {
	m := &ClientFrame{}
	if err := decodeFrame(f, data, m, func() bool { return m.Frame != nil }); err != nil {
		return nil, err
	}
	if f == Proto && !m.validText() {
		return nil, errors.New("wire: a string is not valid UTF-8")
	}
	return m, nil
}

// DecodeServerFrame reads one message of a server, for clients. As [DecodeClientFrame], except that a server is trusted
// to write UTF-8.
func DecodeServerFrame(f Format, data []byte) (*ServerFrame, error) {
	m := &ServerFrame{}
	if err := decodeFrame(f, data, m, func() bool { return m.Frame != nil }); err != nil {
		return nil, err
	}
	return m, nil
}

// AppendClientFrame appends the encoded frame to dst. Two encodings of one frame may differ in the order of map entries.
func AppendClientFrame(dst []byte, f Format, m *ClientFrame) ([]byte, error) {
	if f == JSON {
		return AppendJSON(dst, m)
	}
	return appendVT(dst, m)
}

// AppendServerFrame appends the encoded frame to dst. In JSON, events get their readable form (see [Readable]); the
// frame itself is not changed, so that its events may be shared between connections.
func AppendServerFrame(dst []byte, f Format, m *ServerFrame) ([]byte, error) {
	if f == JSON {
		return AppendJSON(dst, readableFrame(m))
	}
	return appendVT(dst, m)
}

// vtMessage is what generated messages and frames offer.
type vtMessage interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
}

func appendVT(dst []byte, m vtMessage) ([]byte, error) {
	size, used := m.SizeVT(), len(dst)
	dst = grow(dst, size)
	if _, err := m.MarshalToSizedBufferVT(dst[used:]); err != nil {
		return dst[:used], fmt.Errorf("wire: encode: %w", err)
	}
	return dst, nil
}

// grow lengthens dst by n bytes, whose content is undefined.
func grow(dst []byte, n int) []byte {
	if need := len(dst) + n; need <= cap(dst) {
		return dst[:need]
	}
	return append(dst, make([]byte, n)...)
}

// frame is a ClientFrame or a ServerFrame.
type frame interface {
	proto.Message
	UnmarshalVT([]byte) error
}

// decodeFrame reads data into m; isSet tells whether m then holds a frame of a kind we know.
func decodeFrame(f Format, data []byte, m frame, isSet func() bool) error {
	switch f {
	case Proto:
		if err := m.UnmarshalVT(data); err != nil {
			return fmt.Errorf("wire: decode: %w", err)
		}
		if !isSet() {
			return unknownProto(data)
		}
	case JSON:
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
			return fmt.Errorf("wire: decode: %w", err)
		}
		if !isSet() {
			return unknownJSON(data)
		}
	default:
		panic(fmt.Sprintf("wire: format %d is none", f))
	}
	return nil
}
