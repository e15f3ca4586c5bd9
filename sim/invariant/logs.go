// SPDX-License-Identifier: Apache-2.0

// The logs as the server has them in the end, against everything that was told on the way: S1 to S5, S8, Y2, Y3.

package invariant

import (
	"cmp"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// Log is all that a server keeps of one conversation.
type Log struct {
	Conversation tidemark.ConversationID
	Kind         wire.Kind
	Floor        tidemark.Seq    // nothing at or below is kept
	FloorDigest  tidemark.Digest // the chain there
	Events       []*wire.Event   // from Floor+1 to the head, as they were written or in their current form; not changed once given
	Floors       []tidemark.Seq  // for each event: nothing at or below was kept when it was written; nil: Floor
	Restored     bool            // an older copy has taken the place of newer data at some time

	chain map[tidemark.Seq]tidemark.Digest // what digests has computed
}

// Head is the last seq.
func (l *Log) Head() tidemark.Seq { return l.Floor + tidemark.Seq(len(l.Events)) }

// floorAt is the floor when an event was written.
func (l *Log) floorAt(seq tidemark.Seq) tidemark.Seq {
	if i := int(seq - l.Floor - 1); i < len(l.Floors) {
		return l.Floors[i]
	}
	return l.Floor
}

// at is an event; nil where none is kept.
func (l *Log) at(seq tidemark.Seq) *wire.Event {
	if seq <= l.Floor || seq > l.Head() {
		return nil
	}
	return l.Events[seq-l.Floor-1]
}

// Check compares the logs of all conversations, as the server has them now, with what was told under its epoch. It may be
// called at any moment at which nobody writes; logs of conversations that are not given are empty.
func (c *Checker) Check(logs []*Log) {
	c.begin()
	defer c.mu.Unlock()
	given := make(map[tidemark.ConversationID]bool)
	var users []tidemark.UserID
	for key := range c.marks {
		users = append(users, key.user)
	}
	slices.Sort(users)
	users = slices.Compact(users)
	for _, l := range logs {
		given[l.Conversation] = true
		h := c.history(c.epoch, l.Conversation)
		c.whole(l, h)
		c.kept(l, h)
		c.once(l, h)
		c.seenBy(l, h)
		c.marked(l, users)
	}
	for _, at := range slices.SortedFunc(maps.Keys(c.logs), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.conversation, b.conversation))
	}) {
		if at.epoch == c.epoch && !given[at.conversation] {
			c.kept(&Log{Conversation: at.conversation}, c.logs[at])
		}
		c.report(linear(at.conversation, c.logs[at].ops))
	}
}

// whole checks a log in itself: S1, seqs are dense, ids rise, time does not fall, and the chain leads where it was said to (Y3).
func (c *Checker) whole(l *Log, h *history) {
	digest := l.FloorDigest
	if l.Floor == 0 {
		digest = chain.Start(l.Conversation)
	}
	var id, timeMs uint64
	for i, e := range l.Events {
		seq := l.Floor + tidemark.Seq(i) + 1
		if tidemark.Seq(e.Seq) != seq {
			c.report(about("S1", Who{}, l.Conversation, seq, "the log has seq %d here", e.Seq))
			return
		}
		if e.Id <= id || e.TimeMs < timeMs {
			c.report(about("S1", Who{}, l.Conversation, seq, "id %d at %d ms comes after id %d at %d ms", e.Id, e.TimeMs, id, timeMs))
		}
		id, timeMs = e.Id, e.TimeMs
		link, ok := LinkOf(e)
		if !ok {
			c.report(about("S1", Who{}, l.Conversation, seq, "the event says too little for the chain"))
			return
		}
		digest = chain.Next(digest, link)
		if told, known := h.digests[seq]; known && told != digest {
			c.report(about("Y3", Who{}, l.Conversation, seq, "the chain of the log is %x… here; devices were told %x…", digest[:4], told[:4]))
			return
		}
	}
}

// kept checks that what was told is there: Y2 what was acknowledged, S2 what anybody was shown; as it was then (S1).
func (c *Checker) kept(l *Log, h *history) {
	for _, seq := range slices.Sorted(maps.Keys(h.events)) {
		s := h.events[seq]
		if seq <= l.Floor {
			continue
		}
		e := l.at(seq)
		if e == nil {
			if s.acked {
				c.report(about("Y2", s.by, l.Conversation, seq, "an acknowledged message is lost: %s", show(s.link)))
			} else {
				c.report(about("S2", s.by, l.Conversation, seq, "an event was told and is not in the log: %s", show(s.link)))
			}
			continue
		}
		if link, ok := LinkOf(e); ok && link != s.link {
			name := "S2"
			if s.acked {
				name = "S1"
			}
			c.report(about(name, s.by, l.Conversation, seq, "the log has %s here, and was told to have %s", show(link), show(s.link)))
		}
	}
}

// once checks that a client id names one event of those that are kept, and that answers named it: S4.
func (c *Checker) once(l *Log, h *history) {
	type name struct{ sender, clientID string }
	first := make(map[name]uint64)
	for _, e := range l.Events {
		if e.ClientId == "" {
			continue
		}
		if seq := first[name{e.Sender, e.ClientId}]; seq > uint64(l.floorAt(tidemark.Seq(e.Seq))) {
			c.report(about("S4", Who{User: tidemark.UserID(e.Sender)}, l.Conversation, tidemark.Seq(e.Seq),
				"client id %q is at %d and at %d", e.ClientId, seq, e.Seq))
		}
		first[name{e.Sender, e.ClientId}] = e.Seq
	}
	for _, r := range h.redone {
		if r.first > l.floorAt(max(r.v.Seq, l.Floor+1)) {
			c.report(r.v)
		}
	}
	h.redone = nil
	for _, key := range sendsOf(c.sends, l.Conversation) {
		a := c.sends[key].answers[c.epoch]
		e := l.at(tidemark.Seq(a.GetSeq()))
		if e != nil && (e.ClientId != string(key.clientID) || e.Sender != string(cmp.Or(key.user, tidemark.SystemUser))) {
			c.report(about("S4", Who{User: key.user}, l.Conversation, tidemark.Seq(a.Seq),
				"client id %q was answered with the event of %s with client id %q", key.clientID, e.Sender, e.ClientId))
		}
	}
}

// sendsOf are the messages sent to a conversation, in a fixed order.
func sendsOf(all map[send]*sending, in tidemark.ConversationID) []send {
	var list []send
	for key := range all {
		if key.conversation == in {
			list = append(list, key)
		}
	}
	slices.SortFunc(list, func(a, b send) int {
		return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.clientID, b.clientID))
	})
	return list
}

// marked checks S10: no read mark that was told is past the head. What is told of a log may be older than the mark beside it.
func (c *Checker) marked(l *Log, users []tidemark.UserID) {
	for _, user := range users {
		m := c.marks[marked{place{c.epoch, l.Conversation}, user}]
		if m == nil {
			continue
		}
		if last := m.steps[len(m.steps)-1].seq; last > l.Head() {
			c.report(about("S10", Who{User: user}, l.Conversation, last, "read up to %d, and the head is %d", last, l.Head()))
		}
	}
}

// seenBy checks who was told what: S5 nobody an event that membership did not let them see, S8 everybody what they were said to
// have been told.
func (c *Checker) seenBy(l *Log, h *history) {
	m, known := c.model(l, h)
	if known {
		for _, user := range slices.Sorted(maps.Keys(h.told)) {
			for _, seq := range slices.Sorted(maps.Keys(h.told[user])) {
				c.report(told(m, user, seq, h.told[user][seq]))
			}
		}
		for _, v := range h.untold {
			if stay, member := m.Member(v.User); member && stay.Joined <= v.Seq {
				c.report(v)
			}
		}
	}
	h.untold = nil
}

// told judges that a user was told an event, and (says) what an edit says.
func told(m *Model, user tidemark.UserID, seq tidemark.Seq, says bool) *Violation {
	if user == "" {
		return nil // the app sees all
	}
	if !m.Saw(user, seq) {
		return about("S5", Who{User: user}, m.ID, seq, "the user was told an event that membership never let it see: %v", m.Stays[user])
	}
	body := &wire.Body{}
	if says && body.UnmarshalVT(m.at(seq).Event.GetBody()) == nil && body.GetEdit() != nil && !m.Saw(user, tidemark.Seq(body.GetEdit().Seq)) {
		return about("S5", Who{User: user}, m.ID, seq, "the user was told what the message %d says, by an edit, and may not see it: %v",
			body.GetEdit().Seq, m.Stays[user])
	}
	return nil
}

// model is what the log tells, with what was seen of it before it was trimmed; known is false when somebody may have come or
// gone by an event that nobody has seen, and of rooms, where members are who is connected.
func (c *Checker) model(l *Log, h *history) (m *Model, known bool) {
	m, known = NewModel(l.Conversation), l.Kind != wire.Kind_ROOM
	for seq := tidemark.Seq(1); seq <= l.Head(); seq++ {
		e := l.at(seq)
		if e == nil && h.events[seq] != nil {
			e = h.events[seq].event
		}
		if e == nil {
			e, known = &wire.Event{Seq: uint64(seq)}, false
		}
		m.Append(e)
	}
	return m, known
}
