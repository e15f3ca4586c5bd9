// SPDX-License-Identifier: Apache-2.0

// Threads, reactions, pins, and what members keep for themselves.

package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// reaction is a user's reaction to a message.
type reaction struct {
	seq  tidemark.Seq
	key  string
	user record.User
}

func noValue() (struct{}, error) { return struct{}{}, nil }

// loadThreads reads the index of threads, to meet the events: what an erased message answered only the index tells.
func (v *conversation) loadThreads() error {
	v.inThread = make(map[tidemark.Seq]tidemark.Seq)
	return each(v.threads, v.info.Ordinal, noValue, func(k store.Key, _ struct{}) {
		v.counts.Answers++
		if other, twice := v.inThread[k.Seq]; twice {
			v.damaged(k.Seq, "thread of the message", k.Root, fmt.Sprintf("%d alone", other))
			return
		}
		v.inThread[k.Seq] = k.Root
	})
}

// checkThreads notes the entries that no event has accounted for, and counts the answers of each root.
func (v *conversation) checkThreads() error {
	for _, seq := range slices.Sorted(maps.Keys(v.inThread)) {
		root := v.inThread[seq]
		switch {
		case v.replay != nil:
			v.damaged(seq, "thread of the message", root, "none")
		case root >= seq || root <= v.head.Floor || seq <= v.head.Floor || seq > v.last.Seq:
			v.damaged(seq, "thread of the message", root, "an event that is kept, before it")
		}
	}
	if v.replay == nil {
		return nil
	}
	for seq, root := range v.replay.answers {
		shown := v.replay.currents[seq]
		current := v.replay.current(root)
		current.ThreadSeq = max(current.ThreadSeq, seq)
		if !shown.IsWithheld() {
			current.ThreadCount++
		}
	}
	return nil
}

// answer takes a message into the thread of a root; root 0 is none.
func (r *replay) answer(e *record.Event, body *wire.Body) {
	stored := r.v.inThread[e.Seq]
	delete(r.v.inThread, e.Seq)
	root := tidemark.Seq(body.GetMessage().GetThread())
	if body == nil {
		root = stored
	}
	if stored != root {
		r.v.damaged(e.Seq, "thread of the message", orNone(stored, nil), orNone(root, nil))
	}
	if root == 0 {
		return
	}
	if root >= e.Seq {
		r.v.damaged(e.Seq, "thread of the message", root, "a message before it")
		return
	}
	r.answers[e.Seq] = root
}

// react adds or removes a user's reaction.
func (r *replay) react(e *record.Event, about *wire.Reaction) {
	seq := tidemark.Seq(about.Seq)
	users := r.reacted[seq][about.Key]
	i, there := slices.BinarySearch(users, e.Sender)
	switch {
	case there == !about.Removed || r.current(seq).IsLost:
		return
	case about.Removed:
		users = slices.Delete(users, i, i+1)
	default:
		users = slices.Insert(users, i, e.Sender)
	}
	if r.reacted[seq] == nil {
		r.reacted[seq] = make(map[string][]record.User)
	}
	r.reacted[seq][about.Key] = users
	if len(users) == 0 {
		delete(r.reacted[seq], about.Key)
	}
	current := r.current(seq)
	current.Reactions = nil
	for _, key := range slices.Sorted(maps.Keys(r.reacted[seq])) {
		users := r.reacted[seq][key]
		current.Reactions = append(current.Reactions, record.Reaction{
			Key: key, Count: uint32(len(users)), Users: slices.Clone(users[:min(len(users), record.ReactionUsersMax)]),
		})
	}
}

// setPin pins a message, or no longer; what changes nothing is passed over.
func (r *replay) setPin(by *record.Event, seq tidemark.Seq, pinned bool) {
	current := r.current(seq)
	switch {
	case pinned == (current.PinSeq > 0) || current.IsLost:
		return
	case pinned:
		current.PinSeq = by.Seq
		r.info.Pins = append(r.info.Pins, seq)
	default:
		current.PinSeq = 0
		r.info.Pins = slices.DeleteFunc(r.info.Pins, func(pin tidemark.Seq) bool { return pin == seq })
	}
	r.info.InfoPosition = by.Position
}

// checkReactions compares the index of reactions with the log; where the log is not whole, with the counts of the current
// forms.
func (v *conversation) checkReactions() error {
	expected := make(map[reaction]bool)
	if v.replay != nil {
		for seq, keys := range v.replay.reacted {
			for key, users := range keys {
				for _, u := range users {
					expected[reaction{seq, key, u}] = true
				}
			}
		}
	}
	err := each(v.reactions, v.info.Ordinal, noValue, func(k store.Key, _ struct{}) {
		v.counts.Reactions++
		v.aboveFloor(k.Seq, "reaction "+k.ID)
		entry := reaction{k.Seq, k.ID, k.User}
		switch {
		case v.replay == nil:
			v.reactionCounts[reaction{k.Seq, k.ID, 0}]--
		case !expected[entry]:
			v.damaged(k.Seq, fmt.Sprintf("reaction %q of %s", k.ID, v.name(k.User)), "in the index", "none")
		default:
			delete(expected, entry)
		}
	})
	if err != nil {
		return err
	}
	for _, entry := range slices.SortedFunc(maps.Keys(expected), compareReactions) {
		v.damaged(entry.seq, fmt.Sprintf("reaction %q of %s", entry.key, v.name(entry.user)), "none", "in the index")
	}
	if v.replay != nil {
		return nil
	}
	for _, key := range slices.SortedFunc(maps.Keys(v.reactionCounts), compareReactions) {
		if n := v.reactionCounts[key]; n != 0 {
			v.damaged(key.seq, fmt.Sprintf("reactions %q", key.key), fmt.Sprintf("%+d counted", n), "as many as are in the index")
		}
	}
	return nil
}

func compareReactions(a, b reaction) int {
	return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.key, b.key), cmp.Compare(a.user, b.user))
}

// checkPrivate checks what members keep for themselves, which no log tells of, against what it may be.
func (v *conversation) checkPrivate() error {
	kept := make(map[record.User]bool)
	err := each(v.privates, v.info.Ordinal, v.privates.Private, func(k store.Key, f *record.Private) {
		v.counts.Privates++
		kept[k.User] = true
		what := " of member " + v.name(k.User)
		m := v.stored[k.User]
		if m == nil || m.PrivatePosition == 0 {
			v.damaged(0, "private record"+what, "one", "none: the member record knows of none")
			return
		}
		if (f.Draft == "") != (f.DraftMs == 0) {
			v.damaged(0, "draft"+what, fmt.Sprintf("%d bytes, saved at %d", len(f.Draft), f.DraftMs), "a text with its time, or neither")
		}
		v.atMost(0, "event that the draft replies to"+what, uint64(f.DraftReplyTo), uint64(v.last.Seq))
		last := tidemark.Seq(0)
		for _, seq := range f.Deleted {
			if seq <= last || seq > v.last.Seq {
				v.damaged(seq, "message deleted for itself by"+what, fmt.Sprintf("%d after %d", seq, last), fmt.Sprintf("ascending up to the last event, %d", v.last.Seq))
			}
			last = seq
		}
	})
	if err != nil {
		return err
	}
	for _, u := range slices.Sorted(maps.Keys(v.stored)) {
		m, what := v.stored[u], " of member "+v.name(u)
		if m.PrivatePosition > 0 && !kept[u] {
			v.damaged(0, "private record"+what, "none", fmt.Sprintf("one, of position %d", m.PrivatePosition))
		}
		v.atMost(0, "position of the private record"+what, uint64(m.PrivatePosition), uint64(m.Position))
		v.atMost(0, "last event that was cleared"+what, uint64(m.ClearedSeq), uint64(m.ReadSeq))
	}
	return nil
}
