// SPDX-License-Identifier: Apache-2.0

// Rooms in random histories: users come and go, which nothing is written of, and do in the room what they may.

package core_test

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"pgregory.net/rapid"
)

// guestKinds are what is done in rooms by, or to, users who are in them without being members.
var guestKinds = []string{"entering", "leaving", "a message of a guest", "an attribute of a guest", "silence for a guest", "the removal of a guest", "an attribute that goes"}

// comeOrGo lets a user into the room, where the rules do so, or out of it.
func (h *history) comeOrGo() {
	info, ok := h.memory.Conversation("lobby")
	if !ok {
		return
	}
	user, in := h.user(), h.bool("enter")
	if u, met := h.memory.User(user); in && core.MayEnter(info, user, h.recordOf(info, u, met)) != nil {
		return
	}
	if in {
		h.accepted["entering"]++
	} else if h.memory.Entered(info.Ordinal, user) {
		h.accepted["leaving"]++
	}
	h.memory.SetEntered(info.Ordinal, user, in)
	if err := h.memory.Check(); err != nil {
		h.t.Fatalf("%s comes or goes: %v", user, err)
	}
}

func (h *history) recordOf(info *record.Info, u record.User, met bool) *record.Member {
	if !met {
		return nil
	}
	return h.memory.Member(info.Ordinal, u)
}

// isGuest reports whether a user is in the room without being a member.
func (h *history) isGuest(id tidemark.UserID) bool {
	info, ok := h.memory.Conversation("lobby")
	if !ok || !h.memory.Entered(info.Ordinal, id) {
		return false
	}
	u, met := h.memory.User(id)
	return !h.recordOf(info, u, met).Active()
}

// noteGuests counts what accepted commands of guests, or about them, the histories have.
func (h *history) noteGuests(cmd core.Command) {
	count := func(what string, c tidemark.ConversationID, users ...tidemark.UserID) {
		for _, u := range users {
			if c == "lobby" && h.isGuest(u) {
				h.accepted[what]++
			}
		}
	}
	switch cmd := cmd.(type) {
	case *core.Submit:
		if cmd.Message != nil {
			count("a message of a guest", cmd.Conversation, cmd.Actor.User)
		}
	case *core.SetAttributes:
		count("an attribute of a guest", cmd.Conversation, cmd.Actor.User)
	case *core.Mute:
		if cmd.ForMs > 0 {
			count("silence for a guest", cmd.Conversation, cmd.Members...)
		}
	case *core.RemoveMembers:
		for _, u := range cmd.Members {
			if cmd.Conversation == "lobby" && h.isGuest(u) {
				h.accepted["the removal of a guest"]++
				info, _ := h.memory.Conversation("lobby")
				h.memory.SetEntered(info.Ordinal, u, false) // as whoever holds the connections does
			}
		}
	}
}

// attributes sets or drops attributes, mostly of the room.
func (h *history) attributes(kind string, c tidemark.ConversationID) core.Command {
	if rapid.IntRange(0, 4).Draw(h.t, "elsewhere") > 0 {
		c = "lobby"
	}
	info, ok := h.memory.Conversation(c)
	if kind == "DropAttributes" {
		cmd := &core.DropAttributes{Conversation: c}
		for i := 0; ok && i < len(info.Attributes); i++ {
			a := info.Attributes[i]
			if a.AutoDelete && rapid.IntRange(0, 1).Draw(h.t, "goes now") == 0 {
				h.memory.SetEntered(info.Ordinal, h.memory.UserID(a.Owner), false)
			}
			if a.AutoDelete && !h.memory.Entered(info.Ordinal, h.memory.UserID(a.Owner)) {
				h.accepted["an attribute that goes"]++
			}
			if h.bool("seen to go") {
				cmd.Gone = append(cmd.Gone, a)
			}
		}
		return cmd
	}
	set := make(map[string]string)
	for range rapid.IntRange(0, 3).Draw(h.t, "keys") {
		set[rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(h.t, "key")] = rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(h.t, "value")
	}
	actor := h.actor()
	if h.bool("of one who is in it") && ok {
		for _, user := range []tidemark.UserID{"frank", "eve", "dora", "carol"} {
			if h.memory.Entered(info.Ordinal, user) {
				actor = core.Actor{User: user}
			}
		}
	}
	return &core.SetAttributes{Actor: actor, Conversation: c, Set: set, AutoDelete: h.bool("goes with its owner")}
}
