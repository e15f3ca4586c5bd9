// SPDX-License-Identifier: Apache-2.0

// Reactions and pins: small events about a message.
//
// Both are idempotent in what they show: reacting again with the same key, taking back what is not there, pinning what
// is pinned are all written to the log, as an event of their own with the client id of their own (so that the answer is
// one that the sender can verify), and show nothing new. Two devices of one user may both say the same while offline;
// neither is told that it failed.

package core

import (
	"slices"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// submitReaction adds or removes a user's reaction to a message. Any member may.
func (t *turn) submitReaction(id tidemark.ClientID, reaction *wire.Reaction) Reply {
	if reaction.Key == "" {
		return refuse(tidemark.BadArgument, "the reaction has no key: give 1 to %d bytes", keyBytesMax)
	}
	if err := checkText("key", reaction.Key, keyBytesMax); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToReact); err != nil {
		return Reply{Err: err}
	}
	e, current, err := t.shownTarget(tidemark.Seq(reaction.Seq))
	if err != nil {
		return Reply{Err: err}
	}
	if t.user == 0 {
		t.user = t.ordinal(t.writer)
	}
	reactions, changed := reacted(current.Reactions, reaction.Key, t.user, !reaction.Removed)
	if changed && !reaction.Removed {
		if err := t.checkReactions(e.Seq, reactions); err != nil {
			return Reply{Err: err}
		}
	}
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Reaction{Reaction: reaction}})
	written := t.write(id, record.ReactionBody, body, false)
	if changed {
		current.Reactions = reactions
		t.setCurrent(e.Seq, current)
	}
	return answer(written)
}

func (t *turn) checkReactions(seq tidemark.Seq, reactions []record.Reaction) *tidemark.Error {
	total := 0
	for _, r := range reactions {
		total += len(r.Users)
	}
	switch {
	case len(reactions) > int(t.limits.ReactionKeysMax):
		return tidemark.Refuse(tidemark.TooMany, "message %d has %d different reactions, more are not allowed",
			seq, t.limits.ReactionKeysMax)
	case total > int(t.limits.ReactionsMax):
		return tidemark.Refuse(tidemark.TooMany, "message %d has %d reactions, more are not allowed",
			seq, t.limits.ReactionsMax)
	}
	return nil
}

// reacted is a message's reactions after a user has reacted with a key, or no longer does. What is given is not changed.
func reacted(reactions []record.Reaction, key string, user record.User, present bool) (after []record.Reaction, changed bool) {
	i, found := slices.BinarySearchFunc(reactions, key, func(r record.Reaction, key string) int {
		return strings.Compare(r.Key, key)
	})
	var users []record.User
	if found {
		users = reactions[i].Users
	}
	j, was := slices.BinarySearch(users, user)
	switch {
	case was == present:
		return reactions, false
	case present && !found:
		return slices.Insert(slices.Clone(reactions), i, record.Reaction{Key: key, Users: []record.User{user}}), true
	case !present && len(users) == 1:
		return slices.Delete(slices.Clone(reactions), i, i+1), true
	case present:
		users = slices.Insert(slices.Clone(users), j, user)
	default:
		users = slices.Delete(slices.Clone(users), j, j+1)
	}
	after = slices.Clone(reactions)
	after[i].Users = users
	return after, true
}

// submitPin pins a message for all members, or takes the pin away: an admin, an owner or the app, and in a direct
// conversation both.
func (t *turn) submitPin(id tidemark.ClientID, pin *wire.Pin) Reply {
	if err := t.may(ToPin); err != nil {
		return Reply{Err: err}
	}
	e, current, err := t.shownTarget(tidemark.Seq(pin.Seq))
	if err != nil {
		return Reply{Err: err}
	}
	written := t.write(id, record.PinBody, wire.MarshalBody(&wire.Body{Body: &wire.Body_Pin{Pin: pin}}), false)
	pinned := current.PinSeq > 0
	if pinned == pin.Removed {
		current.PinSeq = 0
		if !pin.Removed {
			current.PinSeq = written.Seq
		}
		t.setCurrent(e.Seq, current)
	}
	return answer(written)
}
