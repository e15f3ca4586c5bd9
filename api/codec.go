// SPDX-License-Identifier: Apache-2.0

// The JSON of the API: unknown fields are errors that name them, and events are readable.

package api

import (
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// codec is a [connect.Codec] under one of the names "json", "json; charset=utf-8" and "proto".
//
// Connect reports a message that cannot be read before any code of ours sees it, without a reason. So Unmarshal never
// fails: it empties the message and leaves the complaint in it, as the unknown field complaintField, and the interceptor
// refuses the call. A caller who sends such a field in protobuf is refused too, as it asked for.
type codec struct{ name string }

// complaintField is the greatest field number there is; no message of ours uses it.
const complaintField protowire.Number = 536870911

// Name implements [connect.Codec].
func (c codec) Name() string { return c.name }

// Marshal implements [connect.Codec].
func (c codec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend encodes message behind dst; Connect uses it where it has a buffer.
func (c codec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("api: %T is no protobuf message", message)
	}
	if c.name == "proto" {
		return proto.MarshalOptions{}.MarshalAppend(dst, m)
	}
	wire.Readable(m)
	return wire.AppendJSON(dst, m)
}

// Unmarshal implements [connect.Codec].
func (c codec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("api: %T is no protobuf message", message)
	}
	var err error
	switch {
	case c.name == "proto":
		err = proto.Unmarshal(data, m)
	case len(data) == 0:
		err = errors.New("the request is empty; send at least {}")
	default:
		err = wire.DecodeJSON(data, m)
	}
	if err != nil {
		text := err.Error()
		var refusal *tidemark.Error
		if errors.As(err, &refusal) {
			text = refusal.Message
		}
		proto.Reset(m)
		mark := protowire.AppendTag(nil, complaintField, protowire.BytesType)
		m.ProtoReflect().SetUnknown(protowire.AppendString(mark, text))
	}
	return nil
}

// complaint is why the message could not be read; nil if it could.
func complaint(message any) *tidemark.Error {
	unknown := message.(proto.Message).ProtoReflect().GetUnknown()
	for len(unknown) > 0 {
		number, kind, n := protowire.ConsumeTag(unknown)
		if n < 0 {
			return nil
		}
		if number == complaintField && kind == protowire.BytesType {
			text, _ := protowire.ConsumeString(unknown[n:])
			return &tidemark.Error{Reason: tidemark.BadArgument, Message: text}
		}
		m := protowire.ConsumeFieldValue(number, kind, unknown[n:])
		if m < 0 {
			return nil
		}
		unknown = unknown[n+m:]
	}
	return nil
}

// codecs are the options that put our codecs in place of Connect's.
func codecs() connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithCodec(codec{"json"}),
		connect.WithCodec(codec{"json; charset=utf-8"}),
		connect.WithCodec(codec{"proto"}),
	)
}
