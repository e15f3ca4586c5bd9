// SPDX-License-Identifier: Apache-2.0

// What cannot be read is refused with the place; what can be is read, and written as people like to read it.

package api

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

func TestUnreadableRequestsLeaveAComplaint(t *testing.T) {
	for _, try := range []struct{ codec, data, says string }{
		{"json", ``, "empty"},
		{"json", `{`, "JSON"},
		{"json", `[]`, "JSON"},
		{"json", `{"conversaton":"team"}`, "conversaton"},
		{"json", `{"message":{"txt":"hello"}}`, "txt"},
		{"json", `{"clientId":5}`, "5"},
		{"json; charset=utf-8", `{"x":1}`, `"x"`},
		{"proto", "\x0a\xff", "proto"},
		{"proto", "\x0a\x02\xff\xfe", "UTF-8"},
	} {
		request := &wire.SubmitRequest{ClientId: "left over"}
		if err := (codec{try.codec}).Unmarshal([]byte(try.data), request); err != nil {
			t.Fatalf("%q: Connect would answer without a reason: %v", try.data, err)
		}
		refusal := complaint(request)
		if refusal == nil || refusal.Reason != tidemark.BadArgument || !strings.Contains(refusal.Message, try.says) {
			t.Errorf("%q: %v", try.data, refusal)
		}
		if request.GetClientId() != "" {
			t.Errorf("%q: something of an unreadable request is left", try.data)
		}
	}
}

func TestReadableRequestsLeaveNone(t *testing.T) {
	request := &wire.SubmitRequest{}
	if err := (codec{"json"}).Unmarshal([]byte(`{"clientId":"c1","message":{"text":"hello"}}`), request); err != nil {
		t.Fatal(err)
	}
	if complaint(request) != nil || request.GetMessage().GetText() != "hello" {
		t.Errorf("%v", request)
	}
	newer := protowire.AppendVarint(protowire.AppendTag(nil, 77, protowire.VarintType), 1) // a field of a newer client
	if err := (codec{"proto"}).Unmarshal(newer, request); err != nil || complaint(request) != nil {
		t.Errorf("%v %v", err, complaint(request))
	}
}

func TestAnswersAreReadable(t *testing.T) {
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Type: "text", Text: "hello"}}})
	answer := &wire.Fetched{Events: []*wire.Event{{Seq: 1, Salt: []byte("12345678"), Body: body}}}
	text, err := (codec{"json"}).Marshal(answer)
	if err != nil || !bytes.Contains(text, []byte(`"body":{"message":{"type":"text","text":"hello"}}`)) || bytes.Contains(text, []byte("salt")) {
		t.Errorf("%s %v", text, err)
	}
	binary, err := (codec{"proto"}).MarshalAppend([]byte("x"), &wire.AckRequest{DeviceId: "d"})
	if err != nil || string(binary) != "x\x0a\x01d" {
		t.Errorf("%q %v", binary, err)
	}
}

func TestPageTokens(t *testing.T) {
	token := pageToken(conversationsToken, 1<<63, 0, 7)
	numbers, err := readToken(conversationsToken, token, 3)
	if err != nil || numbers[0] != 1<<63 || numbers[1] != 0 || numbers[2] != 7 {
		t.Errorf("%v %v", numbers, err)
	}
	for _, bad := range []string{"!", "AA", token + "AA", token[:4], textToken(sessionsToken, "a b"), pageToken(membersToken, 1<<63, 0, 7)} {
		var refusal *tidemark.Error
		if _, err := readToken(conversationsToken, bad, 3); !errors.As(err, &refusal) || refusal.Reason != tidemark.BadArgument {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if text, err := readTextToken(sessionsToken, textToken(sessionsToken, "alice phone")); err != nil || text != "alice phone" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := readTextToken(sessionsToken, token); err == nil {
		t.Error("a token of another method is accepted")
	}
}

func FuzzPageToken(f *testing.F) {
	f.Add(pageToken(conversationsToken, 1, 2, 3))
	f.Fuzz(func(t *testing.T, token string) {
		numbers, err := readToken(conversationsToken, token, 3)
		if err != nil || token == "" {
			return
		}
		again, err := readToken(conversationsToken, pageToken(conversationsToken, numbers...), 3)
		if err != nil || again[0] != numbers[0] || again[1] != numbers[1] || again[2] != numbers[2] {
			t.Errorf("%v became %v, %v", numbers, again, err)
		}
	})
}
