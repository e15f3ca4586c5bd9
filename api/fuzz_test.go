// SPDX-License-Identifier: Apache-2.0

// Hostile bytes over HTTP: requests in JSON and protobuf, and page tokens.

package api

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// requests are some of every shape: bodies, maps, lists, enumerations, nothing.
func requests() []proto.Message {
	return []proto.Message{
		&wire.SubmitRequest{}, &wire.PullRequest{}, &wire.ChangesRequest{}, &wire.ImportRequest{}, &wire.CreateRequest{},
		&wire.UpdateRequest{}, &wire.UpsertUserRequest{}, &wire.FetchRequest{}, &wire.ListRequest{},
	}
}

// fuzzCodec: a request is refused with a sentence that is text, or it is the same after it was written and read again.
func fuzzCodec(f *testing.F, c codec) {
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		all := requests()
		m := all[int(which)%len(all)]
		if err := c.Unmarshal(data, m); err != nil {
			t.Fatalf("it must never fail: %v", err)
		}
		if refusal := complaint(m); refusal != nil {
			if refusal.Message == "" || len(refusal.Message) > 2000+2*len(data) {
				t.Fatalf("refused with %q", refusal.Message)
			}
			return
		}
		written, err := c.MarshalAppend([]byte("before"), m)
		if err != nil {
			t.Fatalf("%v was read, and cannot be written: %v", m, err)
		}
		again := m.ProtoReflect().New().Interface()
		if err := c.Unmarshal(written[len("before"):], again); err != nil || !proto.Equal(m, again) {
			t.Fatalf("%v came back as %v from %q, %v", m, again, written, err)
		}
	})
}

func FuzzCodecJSON(f *testing.F) {
	for i, text := range []string{
		`{"conversation":"team","clientId":"c","message":{"text":"hi","custom":{}}}`, `{"cursor":{"epoch":"1","positions":{"0":"7"}},"tail":3}`,
		`{"groups":{"version":"x"},"users":["a"]}`, `{"conversation":"c","entries":[{"clientId":"1","timeMs":"5","sender":"a"}]}`,
		`{"kind":"GROUP","members":["a","b"],"settings":{"join":"REQUEST"}}`, `{"title":null}`, `{"nick":"\ud800"}`, `{"fromSeq":-1}`, `[]`,
	} {
		f.Add(uint8(i), []byte(text))
	}
	fuzzCodec(f, codec{"json"})
}

func FuzzCodecProto(f *testing.F) {
	for i, text := range []string{`{"conversation":"team","message":{"text":"hi"}}`, `{"cursor":{"epoch":"1","positions":{"0":"7"}}}`} {
		m := requests()[i]
		if err := wire.DecodeJSON([]byte(text), m); err != nil {
			f.Fatal(err)
		}
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), data)
	}
	f.Add(uint8(3), []byte{0xfa, 0xff, 0xff, 0xff, 0x0f, 1, 'x'}) // the complaint itself
	fuzzCodec(f, codec{"proto"})
}

// FuzzTextToken: a token that is understood says the same after it was made again, and no other method understands it.
func FuzzTextToken(f *testing.F) {
	f.Add(textToken(sessionsToken, "alice phone"))
	f.Add(reactionsPageToken(7, partition.ReactionRow{Key: "+1", Ordinal: 3}))
	f.Fuzz(func(t *testing.T, token string) {
		if text, err := readTextToken(sessionsToken, token); err == nil && token != "" {
			again, err := readTextToken(sessionsToken, textToken(sessionsToken, text))
			if err != nil || again != text {
				t.Fatalf("%q became %q, %v", text, again, err)
			}
			if _, err := readTextToken(scheduledToken, token); err == nil {
				t.Fatalf("%q is understood by two methods", token)
			}
		}
		for _, key := range []string{"", "+1"} {
			row, err := readReactionsToken(token, 7, key)
			if err != nil {
				continue
			}
			if key != "" && row.Key != key || row.Ordinal >= record.User(1<<32-1) {
				t.Fatalf("%q is %+v", token, row)
			}
			if again, err := readReactionsToken(reactionsPageToken(7, row), 7, key); err != nil || again != row {
				t.Fatalf("%+v became %+v, %v", row, again, err)
			}
			if _, err := readReactionsToken(token, 8, key); err == nil {
				t.Fatalf("%q is understood for another event", token)
			}
		}
	})
}
