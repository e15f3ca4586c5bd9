// SPDX-License-Identifier: Apache-2.0

// Reading only what a load generator needs from a server's frame, without decoding the rest and without allocating: at
// 150,000 deliveries a second the full decoder would cost more than the server. The field numbers are those of
// proto/tidemark/v1; a test holds them against the full decoder.

package bench

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tidemark-im/tidemark/wire"
)

// field numbers of ServerFrame.
const (
	frameWelcome   = 1
	frameDelta     = 2
	frameSynced    = 3
	frameSubmitted = 4
	frameSignal    = 6
	frameError     = 7
	frameBye       = 8
	framePong      = 9
)

var errSkim = errors.New("bench: a frame that cannot be read")

// fields calls visit with every field of a message: its number, its value if it is a varint, its bytes if it has any.
func fields(b []byte, visit func(number protowire.Number, value uint64, data []byte)) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errSkim
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return errSkim
			}
			visit(number, value, nil)
			b = b[n:]
		case protowire.BytesType:
			data, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return errSkim
			}
			visit(number, 0, data)
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(number, kind, b)
			if n < 0 {
				return errSkim
			}
			b = b[n:]
		}
	}
	return nil
}

// skimFrame returns which frame it is (its field number in ServerFrame) and its content.
func skimFrame(payload []byte) (kind protowire.Number, content []byte, err error) {
	err = fields(payload, func(number protowire.Number, _ uint64, data []byte) { kind, content = number, data })
	return kind, content, err
}

// submitted is what the generator needs of a Submitted.
type submitted struct {
	request, seq uint64
	duplicate    bool
	digest       []byte // valid until the next read
}

func skimSubmitted(content []byte) (s submitted, err error) {
	err = fields(content, func(number protowire.Number, value uint64, data []byte) {
		switch number {
		case 1:
			s.request = value
		case 3:
			s.seq = value
		case 6:
			s.digest = data
		case 9:
			s.duplicate = value != 0
		}
	})
	return s, err
}

// deliveries is who wants the events of a delta.
type deliveries interface {
	// event is called for each event in order; clientID is valid during the call.
	event(conversation []byte, seq uint64, clientID []byte)
	// checkpoint is called for each checkpoint.
	checkpoint(partition uint32, position uint64)
}

func skimDelta(content []byte, to deliveries) error {
	var inner error
	err := fields(content, func(number protowire.Number, _ uint64, data []byte) {
		switch number {
		case 1:
			inner = errors.Join(inner, skimConversation(data, to))
		case 3:
			partition, position, err := skimEntry(data)
			inner = errors.Join(inner, err)
			to.checkpoint(uint32(partition), position)
		}
	})
	return errors.Join(err, inner)
}

// skimConversation reads a ConversationDelta. Its id comes before its events: encoders write fields in order.
func skimConversation(content []byte, to deliveries) error {
	var id []byte
	var inner error
	err := fields(content, func(number protowire.Number, _ uint64, data []byte) {
		switch number {
		case 1:
			id = data
		case 12:
			seq, clientID, err := skimEvent(data)
			inner = errors.Join(inner, err)
			to.event(id, seq, clientID)
		}
	})
	return errors.Join(err, inner)
}

func skimEvent(content []byte) (seq uint64, clientID []byte, err error) {
	err = fields(content, func(number protowire.Number, value uint64, data []byte) {
		switch number {
		case 1:
			seq = value
		case 5:
			clientID = data
		}
	})
	return seq, clientID, err
}

// skimEntry reads an entry of a map of numbers to numbers.
func skimEntry(content []byte) (key, value uint64, err error) {
	err = fields(content, func(number protowire.Number, v uint64, _ []byte) {
		switch number {
		case 1:
			key = v
		case 2:
			value = v
		}
	})
	return key, value, err
}

// unexpected turns a frame that no benchmark asks for into an error: what the server refused, or why it hung up.
func unexpected(kind protowire.Number, payload []byte) error {
	var frame wire.ServerFrame
	if err := frame.UnmarshalVT(payload); err != nil {
		return fmt.Errorf("bench: a frame that cannot be read: %w", err)
	}
	switch kind {
	case frameError:
		e := frame.GetError()
		return fmt.Errorf("bench: the server refused: %s: %s", e.GetReason(), e.GetMessage())
	case frameBye:
		return fmt.Errorf("bench: the server said bye: %s: %s", frame.GetBye().GetReason(), frame.GetBye().GetMessage())
	}
	return fmt.Errorf("bench: unexpected frame: %v", &frame)
}
