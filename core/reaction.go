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
	if t.reacts(e.Seq, reaction) && !reaction.Removed {
		if err := t.checkReactions(e.Seq, withReaction(current.Reactions, reaction.Key, t.user)); err != nil {
			return Reply{Err: err}
		}
	}
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Reaction{Reaction: reaction}})
	written := t.write(id, record.ReactionBody, body, false)
	t.reactionTakesEffect(about{e, current, nil}, reaction)
	return answer(written)
}

// reacts reports whether a reaction of the asking user to the event at seq changes anything.
func (t *turn) reacts(seq tidemark.Seq, reaction *wire.Reaction) bool {
	return t.view.Reacted(t.info.Ordinal, seq, reaction.Key, t.user) == reaction.Removed
}

func (t *turn) checkReactions(seq tidemark.Seq, reactions []record.Reaction) *tidemark.Error {
	total := uint64(0)
	for _, r := range reactions {
		total += uint64(r.Count)
	}
	switch {
	case len(reactions) > int(t.limits.ReactionKeysMax):
		return tidemark.Refuse(tidemark.TooMany, "message %d has %d different reactions, more are not allowed",
			seq, t.limits.ReactionKeysMax)
	case total > uint64(t.limits.ReactionsMax):
		return tidemark.Refuse(tidemark.TooMany, "message %d has %d reactions, more are not allowed",
			seq, t.limits.ReactionsMax)
	}
	return nil
}

// keyed is where among the reactions those with a key are, or would be.
func keyed(reactions []record.Reaction, key string) (i int, found bool) {
	return slices.BinarySearchFunc(reactions, key, func(r record.Reaction, key string) int {
		return strings.Compare(r.Key, key)
	})
}

// withReaction is a message's reactions after a user, who had not, has reacted with a key. What is given is not changed.
func withReaction(reactions []record.Reaction, key string, user record.User) []record.Reaction {
	after := slices.Clone(reactions)
	i, found := keyed(after, key)
	if !found {
		return slices.Insert(after, i, record.Reaction{Key: key, Count: 1, Users: []record.User{user}})
	}
	r := &after[i]
	r.Count++
	j, _ := slices.BinarySearch(r.Users, user)
	r.Users = slices.Insert(slices.Clone(r.Users), j, user)
	r.Users = r.Users[:min(len(r.Users), record.ReactionUsersMax)]
	return after
}

// withoutReaction is a message's reactions once the asking user, who had, no longer reacts with a key. Where the user was
// among those named, the next one is looked up.
func (t *turn) withoutReaction(seq tidemark.Seq, reactions []record.Reaction, key string) []record.Reaction {
	after := slices.Clone(reactions)
	i, _ := keyed(after, key)
	r := &after[i]
	if r.Count--; r.Count == 0 {
		return slices.Delete(after, i, i+1)
	}
	if j, named := slices.BinarySearch(r.Users, t.user); named {
		users := slices.Clone(r.Users)
		if int(r.Count) >= record.ReactionUsersMax {
			users = slices.Clone(t.view.Reactors(t.info.Ordinal, seq, key, record.ReactionUsersMax+1))
			j, _ = slices.BinarySearch(users, t.user)
		}
		r.Users = slices.Delete(users, j, j+1)
	}
	return after
}

// pinsMax bounds the pinned messages of a conversation: their seqs are part of its public data.
const pinsMax = 100

// unpin takes a message out of the list of those pinned, if it is in it.
func (t *turn) unpin(seq tidemark.Seq) {
	if i := slices.Index(t.info.Pins, seq); i >= 0 {
		info := t.ownInfo()
		info.Pins = slices.Delete(slices.Clone(info.Pins), i, i+1)
		info.InfoPosition = t.env.Position
	}
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
	if !pin.Removed && current.PinSeq == 0 && len(t.info.Pins) >= pinsMax {
		return refuse(tidemark.TooMany, "%s has %d pinned messages, more are not allowed: unpin one first",
			t.info.ID, len(t.info.Pins))
	}
	written := t.write(id, record.PinBody, wire.MarshalBody(&wire.Body{Body: &wire.Body_Pin{Pin: pin}}), false)
	t.pinTakesEffect(written, about{e, current, nil}, pin)
	return answer(written)
}
