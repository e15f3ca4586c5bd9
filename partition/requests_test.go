// SPDX-License-Identifier: Apache-2.0

// Requests to join: who waits, as readers see it while answers are being committed.

package partition

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// S2: a commit in flight neither adds to those who wait nor takes away from them; then it does both.
func TestRequestsAreAsCommitted(t *testing.T) {
	j := &moment{}
	w := newWorld(t, func(c *Config) { j.Journal, c.Journal = c.Journal, j })
	w.users("alice", "bob", "carol", "dave", "eve")
	info := w.group("team", "bob")
	app := core.Actor{App: true}
	w.do(&core.Update{Actor: app, Conversation: "team", Settings: &wire.Settings{Join: wire.JoinPolicy_REQUEST}})
	join := func(user tidemark.UserID, text string) core.Command {
		return &core.Join{Actor: core.Actor{User: user}, Conversation: "team", Text: text}
	}
	for _, user := range []tidemark.UserID{"alice", "carol", "dave"} {
		w.do(join(user, "please"))
	}
	p := w.set.Of("team")
	state := func() (s string) {
		for after := (RequestRow{}); ; {
			page, err := p.JoinRequests(info.Ordinal, after.Ordinal, 2)
			w.must(err)
			for _, after = range page {
				s += fmt.Sprintf("%s %q, ", after.User, after.Request.Text)
			}
			if len(page) < 2 {
				now, err := p.InfoOf(info.Ordinal)
				w.must(err)
				return s + fmt.Sprint(now.Requests)
			}
		}
	}
	looks := 0
	j.look = func() error {
		looks++
		if now := state(); now != `alice "please", carol "please", dave "please", 3` {
			t.Errorf("in flight: %s", now)
		}
		return nil
	}
	for _, cmd := range []core.Command{
		join("eve", "me too"), join("carol", "pretty please"),
		&core.Leave{Actor: core.Actor{User: "alice"}, Conversation: "team"},
		&core.AnswerJoin{Actor: app, Conversation: "team", Users: []tidemark.UserID{"dave"}, Accept: true},
	} {
		w.must(w.set.Submit(t.Context(), cmd, func(r core.Reply) {
			if r.Err != nil {
				t.Errorf("%T: %v", cmd, r.Err)
			}
		}))
	}
	w.step()
	if now := state(); looks == 0 || now != `carol "pretty please", eve "me too", 2` {
		t.Errorf("after %d looks: %s", looks, now)
	}
}
