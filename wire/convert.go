// SPDX-License-Identifier: Apache-2.0

// From the vocabulary's types to messages and back: cursors, errors, bodies.

package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
)

// MarshalBody serialises a body, the same body always to the same bytes: what the chain hashes. A nil body is empty.
func MarshalBody(b *Body) []byte {
	switch b.GetBody().(type) {
	case *Body_Members, *Body_Info: // have maps, whose order must be fixed
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(b)
		if err != nil {
			panic(fmt.Sprintf("wire: a body cannot be encoded: %v", err)) // only for invalid UTF-8, refused on the way in
		}
		return data
	}
	data, err := b.MarshalVT()
	if err != nil {
		panic(fmt.Sprintf("wire: a body cannot be encoded: %v", err))
	}
	return data
}

// BodyKind is the field number of the body's oneof, the kind of the chain; 0 when unset.
func BodyKind(b *Body) uint8 {
	switch b.GetBody().(type) {
	case *Body_Message:
		return 1
	case *Body_Edit:
		return 2
	case *Body_Recall:
		return 3
	case *Body_Reaction:
		return 4
	case *Body_Pin:
		return 5
	case *Body_Members:
		return 6
	case *Body_Info:
		return 7
	case *Body_Erased:
		return 8
	}
	return 0
}

// CursorOf is the message of a cursor. The message has a map of its own.
func CursorOf(c tidemark.Cursor) *Cursor {
	out := &Cursor{Epoch: uint64(c.Epoch), Positions: make(map[uint32]uint64, len(c.Positions))}
	for partition, position := range c.Positions {
		out.Positions[partition] = uint64(position)
	}
	return out
}

// ToCursor is the cursor of a message; nil is the zero cursor. Whether its partitions exist is not checked.
func ToCursor(c *Cursor) tidemark.Cursor {
	out := tidemark.Cursor{Epoch: tidemark.Epoch(c.GetEpoch()), Positions: make(map[uint32]tidemark.Position, len(c.GetPositions()))}
	for partition, position := range c.GetPositions() {
		out.Positions[partition] = tidemark.Position(position)
	}
	return out
}

// ErrorOf is the message of a refusal, answering the given request (0: none).
func ErrorOf(request uint64, e *tidemark.Error) *Error {
	return &Error{
		Request: request, Code: e.Reason.Info().Code, Reason: Reason(e.Reason), Message: e.Message, RetryAfterMs: e.RetryAfterMs,
	}
}

// ErrorFrame is the frame of a refusal, answering the given request (0: none).
func ErrorFrame(request uint64, e *tidemark.Error) *ServerFrame {
	return &ServerFrame{Frame: &ServerFrame_Error{Error: ErrorOf(request, e)}}
}

// ToError is the refusal of a message. A reason from a newer server, unknown here, becomes INTERNAL.
func ToError(e *Error) *tidemark.Error {
	reason := tidemark.Internal
	if r := e.GetReason(); r > 0 && r <= Reason(tidemark.Internal) {
		reason = tidemark.Reason(r)
	}
	return &tidemark.Error{Reason: reason, Message: e.GetMessage(), RetryAfterMs: e.GetRetryAfterMs()}
}
