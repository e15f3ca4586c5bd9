// SPDX-License-Identifier: Apache-2.0

// The bytes that are hashed are those that a client serialises for the same body.

package core_test

import (
	"bytes"
	"testing"

	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

func TestBodiesAreThoseOfTheCodec(t *testing.T) {
	m := team(t, 3)
	full := &wire.Message{
		Type: "text", Text: "see @u1", Data: []byte{0, 255}, Mentions: []string{"u1", "u2"}, MentionAll: true, ReplyTo: 2,
		Thread: 2, Class: wire.MessageClass_SILENT,
	}
	// A field that this server does not know yet, as a newer client may send it, stays in the body.
	future := &wire.Message{Type: "text"}
	if err := future.UnmarshalVT([]byte("\x0a\x04text\xfa\x01\x02hi")); err != nil {
		t.Fatal(err)
	}
	edit := &wire.Message{Type: "text", Text: full.Text, Mentions: full.Mentions, ReplyTo: 2}
	for name, c := range map[string]struct {
		cmd  core.Submit
		body *wire.Body
	}{
		"message":  {core.Submit{Message: full}, &wire.Body{Body: &wire.Body_Message{Message: full}}},
		"future":   {core.Submit{Message: future}, &wire.Body{Body: &wire.Body_Message{Message: future}}},
		"reaction": {core.Submit{Reaction: &wire.Reaction{Seq: 2, Key: "+1"}}, &wire.Body{Body: &wire.Body_Reaction{Reaction: &wire.Reaction{Seq: 2, Key: "+1"}}}},
		"edit":     {core.Submit{Edit: &wire.Edit{Seq: 2, Message: edit}}, &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: edit}}}},
	} {
		first := submission("the target")
		first.ClientID = "first"
		m.Do(first, benchEnv())
		cmd := c.cmd
		cmd.Actor, cmd.Conversation, cmd.ClientID = core.Actor{User: "u0"}, "team", "second"
		var changes record.Changes
		if reply := core.Evaluate(m, &cmd, benchEnv(), &changes); reply.Err != nil {
			t.Fatalf("%s: %v", name, reply.Err)
		}
		if got, want := changes.Events[0].Event.Body, wire.MarshalBody(c.body); !bytes.Equal(got, want) {
			t.Errorf("%s: hashed %x, a client has %x", name, got, want)
		}
	}
}
