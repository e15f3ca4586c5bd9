// SPDX-License-Identifier: Apache-2.0

// How large a frame may be.

package session

import (
	"fmt"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// S13: with the events of very many senders come their profiles; a frame stays within its limit all the same, and every
// profile comes, once, no later than the checkpoint that covers its sender's events.
func TestFramesOfManySenders(t *testing.T) {
	tc := newTest(t)
	const senders = 250
	var members []tidemark.UserID
	for i := range senders {
		id := tidemark.UserID(fmt.Sprint("u", i))
		members = append(members, id)
		tc.do(&core.UpsertUser{User: id, Nickname: "nick of " + string(id), Custom: map[string]string{"about": strings.Repeat("x", 8000)}})
	}
	tc.users("bob")
	tc.do(&core.Create{Actor: core.Actor{App: true}, Conversation: "team", Kind: record.Group, Members: append(members, "bob")})
	live := tc.device("bob", "phone")
	live.tail = 500
	live.connect().drain()
	for _, id := range members {
		tc.sent++
		tc.must(tc.set.Submit(t.Context(), &core.Submit{
			Actor: core.Actor{User: id}, Conversation: "team", ClientID: tidemark.ClientID(fmt.Sprint("c", tc.sent)),
			Message: &wire.Message{Type: "text", Text: "from " + string(id)},
		}, nil))
	}
	tc.step()
	late := tc.device("bob", "tablet")
	late.tail, late.gapless = 500, true
	late.connect()
	for _, d := range []*device{live, late} {
		for _, f := range d.drain() {
			if n := f.SizeVT(); n > int(tc.set.Limits().FrameBytesMax) {
				t.Errorf("%s: a frame has %d bytes", d.name, n)
			}
		}
		for _, id := range members {
			if d.profiles[string(id)] == "" {
				t.Fatalf("%s: the profile of %s did not come", d.name, id)
			}
		}
		if n := len(d.log("team").texts); n != senders+1 { // and the one that made the group
			t.Errorf("%s has %d events, want %d", d.name, n, senders+1)
		}
	}
}
