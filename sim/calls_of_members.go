// SPDX-License-Identifier: Apache-2.0

// What users and the app do by HTTP with conversations and their members.

package sim

import (
	"fmt"
	"math/rand/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// memberCalls are the actions of this file.
var memberCalls = map[string]func(w *world, chance *rand.Rand) string{
	"create": func(w *world, chance *rand.Rand) string {
		if len(w.groups) >= 12 {
			return "there are enough"
		}
		made := w.newGroup(chance, core.Actor{User: w.anyone(chance)})
		w.callAs(chance, made.Actor.User, func() core.Command { c := *made; return &c })
		return fmt.Sprintf("%s makes %s with %v", made.Actor.User, made.Conversation, made.Members)
	},
	"add": func(w *world, chance *rand.Rand) string {
		return w.withMember(chance, "adds", func(by core.Actor, id tidemark.ConversationID, other tidemark.UserID) core.Command {
			return &core.AddMembers{Actor: by, Conversation: id, Members: []tidemark.UserID{other}}
		})
	},
	"remove": func(w *world, chance *rand.Rand) string {
		return w.withMember(chance, "removes", func(by core.Actor, id tidemark.ConversationID, other tidemark.UserID) core.Command {
			return &core.RemoveMembers{Actor: by, Conversation: id, Members: []tidemark.UserID{other}}
		})
	},
	"join": func(w *world, chance *rand.Rand) string {
		return w.withMember(chance, "joins", func(_ core.Actor, id tidemark.ConversationID, other tidemark.UserID) core.Command {
			return &core.Join{Actor: core.Actor{User: other}, Conversation: id}
		})
	},
	"leave": func(w *world, chance *rand.Rand) string {
		return w.withMember(chance, "leaves", func(_ core.Actor, id tidemark.ConversationID, other tidemark.UserID) core.Command {
			return &core.Leave{Actor: core.Actor{User: other}, Conversation: id}
		})
	},
	"answer join": func(w *world, chance *rand.Rand) string {
		accept := chance.IntN(3) > 0
		return w.withMember(chance, "answers", func(by core.Actor, id tidemark.ConversationID, other tidemark.UserID) core.Command {
			return &core.AnswerJoin{Actor: by, Conversation: id, Users: []tidemark.UserID{other}, Accept: accept}
		})
	},
	"role": func(w *world, chance *rand.Rand) string {
		role := []record.Role{record.MemberRole, record.AdminRole}[chance.IntN(2)]
		return w.withMember(chance, "gives a role to", func(by core.Actor, id tidemark.ConversationID, other tidemark.UserID) core.Command {
			return &core.SetRole{Actor: by, Conversation: id, Members: []tidemark.UserID{other}, Role: role}
		})
	},
	"transfer": func(w *world, chance *rand.Rand) string {
		return w.withMember(chance, "gives it to", func(by core.Actor, id tidemark.ConversationID, other tidemark.UserID) core.Command {
			return &core.Transfer{Actor: by, Conversation: id, Member: other}
		})
	},
	"mute": func(w *world, chance *rand.Rand) string {
		ms := chance.Uint64N(20_000)
		return w.withMember(chance, "silences", func(by core.Actor, id tidemark.ConversationID, other tidemark.UserID) core.Command {
			return &core.Mute{Actor: by, Conversation: id, Members: []tidemark.UserID{other}, ForMs: ms}
		})
	},
	"update": func(w *world, chance *rand.Rand) string {
		title := fmt.Sprintf("title %d", chance.IntN(1000))
		return w.withMember(chance, "renames", func(by core.Actor, id tidemark.ConversationID, _ tidemark.UserID) core.Command {
			return &core.Update{Actor: by, Conversation: id, Title: &title}
		})
	},
	"rules": func(w *world, chance *rand.Rand) string {
		s := &wire.Settings{
			HistoryFromStart: chance.IntN(2) == 0, Join: wire.JoinPolicy(1 + chance.IntN(3)), MuteAll: chance.IntN(8) == 0,
		}
		if chance.IntN(6) == 0 {
			s.SlowModeMs = uint32(1 + chance.IntN(3_000))
		}
		if chance.IntN(100) < w.profile.TrimPercent {
			s.Retention = &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: uint64(1 + chance.IntN(30))}
		}
		return w.withMember(chance, "changes the rules", func(by core.Actor, id tidemark.ConversationID, _ tidemark.UserID) core.Command {
			return &core.Update{Actor: by, Conversation: id, Settings: s}
		})
	},
}

// withMember makes a call of the app, or of a user, that concerns a group and a user.
func (w *world) withMember(
	chance *rand.Rand, what string, command func(core.Actor, tidemark.ConversationID, tidemark.UserID) core.Command,
) string {
	by, id, other := core.Actor{App: true}, w.groups[chance.IntN(len(w.groups))], w.anyone(chance)
	if chance.IntN(2) == 0 {
		by = core.Actor{User: w.anyone(chance)}
	}
	who := invariant.Who{User: by.User}
	w.call(chance, &call{
		who: who, command: func() core.Command { return command(by, id, other) }, tries: chance.IntN(4),
		then: func(r core.Reply) {
			if r.Err == nil {
				w.say(about{conversation: id}, "%s %s %s in %s: head %d", who, what, other, id, r.Seq)
			}
		},
	})
	return fmt.Sprintf("%s %s %s in %s", who, what, other, id)
}
