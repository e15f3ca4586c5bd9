// SPDX-License-Identifier: Apache-2.0

// Frames of kinds that this version does not know: telling them from malformed ones, and finding their request.

package wire

import (
	"encoding/json"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// unknownProto looks at a well-formed message whose oneof is unset. Its first field is a kind we do not know. By
// convention a frame that wants an answer has its request as varint field 1.
func unknownProto(data []byte) error {
	if len(data) == 0 {
		return errEmpty
	}
	number, kind, n := protowire.ConsumeTag(data)
	if n < 0 {
		return fmt.Errorf("wire: decode: %w", protowire.ParseError(n))
	}
	e := &UnknownKindError{Kind: fmt.Sprintf("field %d", number)}
	if kind == protowire.BytesType {
		inner, _ := protowire.ConsumeBytes(data[n:])
		e.Request = requestField(inner)
	}
	return e
}

// requestField is the varint field 1 of an encoded message, or 0.
func requestField(data []byte) uint64 {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return 0
		}
		data = data[n:]
		if number == 1 && kind == protowire.VarintType {
			request, _ := protowire.ConsumeVarint(data)
			return request
		}
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return 0
		}
		data = data[n:]
	}
	return 0
}

// unknownJSON looks at a JSON object, already found well-formed, that sets none of the kinds we know.
func unknownJSON(data []byte) error {
	var kinds map[string]json.RawMessage
	if err := json.Unmarshal(data, &kinds); err != nil {
		return fmt.Errorf("wire: decode: %w", err)
	}
	e := &UnknownKindError{}
	for name, value := range kinds {
		if string(value) == "null" {
			continue // protobuf's JSON: null is absent
		}
		if e.Kind == "" || name < e.Kind {
			e.Kind, e.Request = name, requestMember(value)
		}
	}
	if e.Kind == "" {
		return errEmpty
	}
	return e
}

// requestMember is the member "request" of a JSON object, as a number or as digits in a string, or 0.
func requestMember(value json.RawMessage) uint64 {
	var frame struct {
		Request json.RawMessage `json:"request"`
	}
	if json.Unmarshal(value, &frame) != nil {
		return 0
	}
	digits := frame.Request
	if len(digits) >= 2 && digits[0] == '"' {
		digits = digits[1 : len(digits)-1]
	}
	request, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 0
	}
	return request
}
