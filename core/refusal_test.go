// SPDX-License-Identifier: Apache-2.0

// Refusals of what the words of scenarios cannot say: commands that no well-meaning caller makes.

package core_test

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

func TestRefusedArguments(t *testing.T) {
	app, u0 := core.Actor{App: true}, core.Actor{User: "u0"}
	say := &wire.Message{Type: "text", Text: "hello"}
	limits := tidemark.DefaultLimits()
	for name, c := range map[string]struct {
		cmd  core.Command
		want tidemark.Reason
	}{
		"submit nothing":      {&core.Submit{Actor: u0, Conversation: "team", ClientID: "c"}, tidemark.BadArgument},
		"submit two things":   {&core.Submit{Actor: u0, Conversation: "team", ClientID: "c", Message: say, Pin: &wire.Pin{Seq: 1}}, tidemark.BadArgument},
		"edit to nothing":     {&core.Submit{Actor: u0, Conversation: "team", ClientID: "c", Edit: &wire.Edit{Seq: 1}}, tidemark.BadArgument},
		"unknown class":       {&core.Submit{Actor: u0, Conversation: "team", ClientID: "c", Message: &wire.Message{Text: "x", Class: 9}}, tidemark.BadArgument},
		"nobody":              {&core.Submit{Conversation: "team", ClientID: "c", Message: say}, tidemark.NotAllowed},
		"seen without digest": {&core.Submit{Actor: u0, Conversation: "team", ClientID: "c", Message: say, Seen: &wire.Seen{}}, tidemark.UnknownEvent},
		"unknown role":        {&core.AddMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{"x"}, Role: 9}, tidemark.BadArgument},
		"unknown kind":        {&core.Create{Actor: app, Conversation: "new", Kind: 9}, tidemark.BadArgument},
		"unknown join policy": {&core.Update{Actor: app, Conversation: "team", Settings: &wire.Settings{Join: 9}}, tidemark.BadArgument},
		"empty entry":         {&core.Import{Conversation: "team", Entries: []*wire.ImportEntry{{}}}, tidemark.BadArgument},
		"no entry":            {&core.Import{Conversation: "team", Entries: []*wire.ImportEntry{nil}}, tidemark.BadArgument},
		"entry of nothing":    {&core.Import{Conversation: "team", Entries: []*wire.ImportEntry{{TimeMs: 1, ClientId: "c", User: "u0", Entry: &wire.ImportEntry_Message{}}}}, tidemark.BadArgument},
		"cursor of nobody":    {&core.SaveCursor{Device: "phone", Position: 1}, tidemark.BadArgument},
		"no command":          {nil, tidemark.Internal},
	} {
		for _, env := range []core.Env{{NowMs: 1_772_000_000_000, Position: 2}, {NowMs: 1_772_000_000_000, Position: 2, Limits: &limits}} {
			given := record.Changes{Partition: record.Partition{Position: 9}, Heads: make([]record.HeadChange, 0, 4)}
			reply := core.Evaluate(team(t, 3), c.cmd, env, &given)
			if reply.Err == nil || reply.Err.Reason != c.want || reply.Err.Message == "" {
				t.Errorf("%s: %v, want %s", name, reply.Err, c.want)
			}
			if !given.Empty() || given.Partition.Position != 9 {
				t.Errorf("%s: refused, but out is not as it was given: %+v", name, given)
			}
		}
	}
}

// TestSeenNothing lets a writer say that they have nothing of the conversation yet: the digest is that of its start.
func TestSeenNothing(t *testing.T) {
	m, start := team(t, 3), chain.Start("team")
	cmd := submission("hello")
	cmd.Seen = &wire.Seen{Digest: start[:]}
	if reply, _ := m.Do(cmd, benchEnv()); reply.Err != nil {
		t.Errorf("a writer who has nothing, and says so, is refused: %v", reply.Err)
	}
}
