// SPDX-License-Identifier: Apache-2.0

// The reference follows the server: after each commit it is given the events of that commit, and everything else is compared
// with it. It also sees what a crash or a restore has left: S1, S2, S6.

package sim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// How often what is costly is looked at: once in so many times.
const (
	lookEvery  = 16 // commits
	shownEvery = 32 // times that a device has stored something
	storeEvery = 4  // starts of servers
	wakesEvery = 4  // steps of partitions
)

// checks is what the checkers inside the world keep.
type checks struct {
	chance    *rand.Rand // when to look; nothing that happens depends on it
	logs      map[tidemark.ConversationID]*logged
	ids       []tidemark.ConversationID // of logs, ascending
	published []tidemark.Position       // by partition: the furthest that was seen
	epoch     tidemark.Epoch
	reads     map[seat]tidemark.Seq // read marks, which never fall
	puller    *puller               // nil until there are users
	keepers   map[tidemark.UserID]*keeper
	gone      map[tidemark.UserID]bool // deleted, when it was last looked at
	ever      map[tidemark.Digest]bool // chain values at all events that there ever were, in all epochs
	edits     map[uint64]tidemark.Seq  // what the edits that there ever were are of, by id
	withdrawn map[uint64]bool          // events that a recall, an erasure or somebody for itself has taken away, by id
}

// logged is one conversation as the reference has it.
type logged struct {
	*invariant.Model
	kind      record.Kind
	positions []tidemark.Position     // positions[seq-1]
	digests   []tidemark.Digest       // digests[seq]
	floors    []tidemark.Seq          // floors[seq-1]: as far as is known, the floor when the event was written
	edits     map[uint64]tidemark.Seq // those of checks
}

// seat names a user in a conversation.
type seat struct {
	conversation tidemark.ConversationID
	user         tidemark.UserID
}

func newChecks(seed uint64) *checks {
	return &checks{
		chance: rand.New(rand.NewPCG(seed, 6)), logs: make(map[tidemark.ConversationID]*logged), reads: make(map[seat]tidemark.Seq),
		ever: make(map[tidemark.Digest]bool), withdrawn: make(map[uint64]bool), keepers: make(map[tidemark.UserID]*keeper),
		gone: make(map[tidemark.UserID]bool), edits: make(map[uint64]tidemark.Seq),
	}
}

// broken reports a promise that is broken.
func (w *world) broken(number string, who invariant.Who, in tidemark.ConversationID, seq tidemark.Seq, text string) {
	w.fail(&invariant.Violation{Invariant: number, Text: text, Conversation: in, User: who.User, Device: who.Device, Seq: seq})
}

// begin is a conversation without events.
func (c *checks) begin(info *record.Info) *logged {
	l := &logged{Model: invariant.NewModel(info.ID), kind: info.Kind, digests: []tidemark.Digest{chain.Start(info.ID)}, edits: c.edits}
	c.logs[info.ID] = l
	c.ids = slices.Sorted(maps.Keys(c.logs))
	return l
}

// append takes in the next event, and the floor at about that time.
func (l *logged) append(e *record.Event, floor tidemark.Seq) {
	shown := partition.WireEvent(e, nil)
	link, _ := invariant.LinkOf(shown)
	l.take(shown)
	l.positions, l.floors = append(l.positions, e.Position), append(l.floors, floor)
	l.digests = append(l.digests, chain.Next(l.digests[len(l.digests)-1], link))
}

// take lets the model take in the next event. An edit that comes back without its content takes that of its message away,
// too: nobody says any more what it shows.
func (l *logged) take(shown *wire.Event) {
	l.Append(shown)
	var body wire.Body
	if len(shown.Body) == 0 {
		l.Withdraw(l.edits[shown.Id])
	} else if body.UnmarshalVT(shown.Body) == nil && body.GetEdit() != nil {
		l.edits[shown.Id] = tidemark.Seq(body.GetEdit().Seq)
	}
}

// append takes in the next event of a log.
func (c *checks) append(l *logged, e *record.Event, floor tidemark.Seq) {
	l.append(e, floor)
	c.ever[l.digests[e.Seq]] = true
	var body wire.Body
	if e.Kind != record.RecallBody && e.Kind != record.ErasedBody || body.UnmarshalVT(e.Body) != nil {
		return
	}
	if about := body.GetRecall().GetSeq() + body.GetErased().GetSeq(); about > 0 && about < uint64(len(l.Log)) {
		c.withdraw(l.ID, tidemark.Seq(about), tidemark.Seq(about))
	}
}

// withdraw notes that somebody takes events away: of these nobody need be told that they are lost.
func (c *checks) withdraw(id tidemark.ConversationID, from, to tidemark.Seq) {
	l := c.logs[id]
	for seq := from; l != nil && seq <= to && int(seq) <= len(l.Log); seq++ {
		c.withdrawn[l.Log[seq-1].Event.Id] = true
	}
}

// cut forgets what a restore has lost.
func (l *logged) cut(head tidemark.Seq) {
	old := l.Model
	l.Model = invariant.NewModel(old.ID)
	for i := range old.Log[:head] {
		l.take(old.Log[i].Event)
	}
	l.positions, l.digests, l.floors = l.positions[:head], l.digests[:head+1], l.floors[:head]
}

// checkCommits takes in what a partition has applied since it was last looked at: each commit, and readable (S6). Now and
// then it looks at what is counted.
func (w *world) checkCommits(n uint32) {
	db, upTo := w.server.db.Partition(n), max(w.server.set.At(n).Published(), w.server.durable[n])
	for position := w.checks.published[n] + 1; position <= upTo; position++ {
		events, err := db.Commit(position)
		if err != nil {
			w.broken("S6", invariant.Who{}, "", 0, fmt.Sprintf("position %d of partition %d is published and cannot be read: %v", position, n, err))
			return
		}
		for _, at := range events {
			e, err := db.Event(at.Conversation, at.Seq)
			info, infoErr := db.Info(at.Conversation)
			if e == nil || info == nil {
				w.broken("S6", invariant.Who{}, "", at.Seq, fmt.Sprintf("an event of position %d of partition %d is published and not there: %v", position, n, errors.Join(err, infoErr)))
				return
			}
			w.checkEvent(info, e)
		}
	}
	w.checks.published[n] = max(w.checks.published[n], upTo)
	settled := upTo == w.server.set.At(n).Published() // otherwise sessions have not heard of it yet
	if settled && w.checks.chance.IntN(lookEvery) == 0 && len(w.users) > 0 {
		w.look(w.users[w.checks.chance.IntN(len(w.users))].id)
	}
}

// checkEvent takes in an event that was published: the next one of its log, and part of its chain (S1).
func (w *world) checkEvent(info *record.Info, e *record.Event) {
	l := w.checks.logs[info.ID]
	if l == nil {
		l = w.checks.begin(info)
	}
	if e.Seq != tidemark.Seq(len(l.Log)+1) {
		w.broken("S1", invariant.Who{}, info.ID, e.Seq, fmt.Sprintf("the event after %d has seq %d", len(l.Log), e.Seq))
		return
	}
	floor := tidemark.Seq(0)
	if head, err := w.server.db.Partition(w.server.set.Of(info.ID).Number()).Head(info.Ordinal); err == nil && head != nil {
		floor = head.Floor
	}
	w.checkTakenBack(info.ID, e)
	w.checks.append(l, e, floor)
	if digest := l.digests[e.Seq]; digest != e.Digest {
		w.broken("S1", invariant.Who{}, info.ID, e.Seq, fmt.Sprintf("the event's digest is %.8s…, the chain gives %.8s…", e.Digest, digest))
	}
}

// checkStart compares what a server has that begins with what was published before: all of it (S2, S6), unless it was
// restored, and the same (S1). What was durable and not yet published is new.
func (w *world) checkStart() {
	s, c := w.server, w.checks
	restored := c.epoch != 0 && c.epoch != s.set.Epoch()
	c.epoch = s.set.Epoch()
	if c.published == nil || restored {
		c.published, c.reads = make([]tidemark.Position, s.set.Partitions()), make(map[seat]tidemark.Seq)
	}
	there := make(map[tidemark.ConversationID]bool)
	for n := range s.set.Partitions() {
		if at := s.set.At(n).Published(); at < c.published[n] {
			w.broken("S2", invariant.Who{}, "", 0, fmt.Sprintf("partition %d had published %d and begins at %d: something was seen that was not durable", n, c.published[n], at))
			return
		}
		c.published[n] = s.set.At(n).Published()
		err := s.db.Partition(n).AllConversations(func(info *record.Info) bool {
			there[info.ID] = true
			w.checkKept(s, n, info, restored)
			return true
		})
		if err != nil {
			w.broken("S2", invariant.Who{}, "", 0, "what a crash has left cannot be read: "+err.Error())
		}
	}
	for _, id := range slices.Clone(c.ids) {
		if !there[id] && !restored {
			w.broken("S2", invariant.Who{}, id, 0, "the conversation was there before the server went down")
		}
		if !there[id] {
			delete(c.logs, id)
			c.ids = slices.Sorted(maps.Keys(c.logs))
		}
	}
	if c.chance.IntN(storeEvery) == 0 {
		w.checkStore()
	}
}

// checkKept compares one log with what it was.
func (w *world) checkKept(s *server, n uint32, info *record.Info, restored bool) {
	head, err := s.db.Partition(n).Head(info.Ordinal)
	if err != nil || head == nil {
		w.broken("S2", invariant.Who{}, info.ID, 0, "the head of a conversation cannot be read")
		return
	}
	l := w.checks.logs[info.ID]
	if l == nil {
		l = w.checks.begin(info)
	}
	if head.Seq < tidemark.Seq(len(l.Log)) {
		if !restored {
			w.broken("S2", invariant.Who{}, info.ID, head.Seq+1, fmt.Sprintf("there were %d events before the server went down, and %d are left", len(l.Log), head.Seq))
			return
		}
		l.cut(head.Seq)
	}
	for seq := tidemark.Seq(len(l.Log) + 1); seq <= head.Seq; seq++ {
		e, err := s.db.Partition(n).Event(info.Ordinal, seq)
		if e == nil {
			w.broken("S2", invariant.Who{}, info.ID, seq, fmt.Sprintf("the event is not there: %v", err))
			return
		}
		w.checks.append(l, e, head.Floor)
	}
	if head.Digest != l.digests[head.Seq] {
		w.broken("S1", invariant.Who{}, info.ID, head.Seq, fmt.Sprintf("the head's digest is %.8s…, what was published before gives %.8s…", head.Digest, l.digests[head.Seq]))
	}
}

// room reports whether it is a room, which the reference does not know.
func (l *logged) room() bool { return l.kind == record.Room }
