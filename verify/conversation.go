// SPDX-License-Identifier: Apache-2.0

// One conversation: its log, event by event.

package verify

import (
	"cmp"
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

const hourMs = 3600 * 1000

// conversation is the check of one conversation.
type conversation struct {
	*checker
	info      *record.Info
	infoKnown bool
	head      *record.Head
	stored    map[record.User]*record.Member
	byRead    []record.User  // members in the order of their read marks
	last      record.Event   // the event before: seq, id, time, position, counted ordinal, digest
	replay    *replay        // nil: older events are no longer kept, so that nothing can be rebuilt
	above     above          // what kept events say without it
	hour      record.Hour    // the row of the hour index that is being counted; Count 0: none
	indexed   sum            // events with their client ids
	about     []tidemark.Seq // events that are about members, ascending

	inThread       map[tidemark.Seq]tidemark.Seq // messages in the index of threads, to their roots, that no event has met
	reactionCounts map[reaction]int64            // by the current forms, for each key (user 0), without those in the index
}

func (v *conversation) check() error {
	v.last = record.Event{Seq: v.head.Floor, Digest: v.head.FloorDigest, Counted: v.head.FloorCounted}
	if v.head.Floor == 0 {
		v.last.Digest = chain.Start(v.info.ID)
		v.replay = newReplay(v)
	}
	if err := v.loadMembers(); err != nil {
		return err
	}
	if err := v.loadThreads(); err != nil {
		return err
	}
	for {
		in, err := v.events.in(v.info.Ordinal)
		if err != nil {
			return err
		}
		if !in {
			break
		}
		e, ok, err := take(v.events, v.events.Event)
		if ok {
			err = cmp.Or(v.event(e), err)
		}
		if err != nil {
			return err
		}
	}
	v.checkHead()
	for _, check := range []func() error{
		v.checkHoursLeft, v.checkClientIDs, v.checkMembers, v.checkInfo, v.checkAbove, v.checkThreads, v.checkCurrents, v.checkReactions,
		v.checkMentions, v.checkRecalls, v.checkPrivate,
		v.checkMemberships, v.checkContacts,
		v.checkStaff, v.checkRequests, v.noteNamed,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// loadMembers reads the member records, and orders them by read mark to meet the events.
func (v *conversation) loadMembers() error {
	v.stored = make(map[record.User]*record.Member)
	err := each(v.members, v.info.Ordinal, v.members.Member, func(k store.Key, m *record.Member) {
		v.stored[k.User] = m
		v.byRead = append(v.byRead, k.User)
		v.counts.Members++
		if v.info.Kind == record.Room {
			v.unlisted++
		}
	})
	slices.SortFunc(v.byRead, func(a, b record.User) int {
		return cmp.Or(cmp.Compare(v.stored[a].ReadSeq, v.stored[b].ReadSeq), cmp.Compare(a, b))
	})
	return err
}

// event checks one event against the one before it.
func (v *conversation) event(e *record.Event) error {
	v.counts.Events++
	if err := v.tellProgress(); err != nil {
		return err
	}
	last := &v.last
	if e.Seq != last.Seq+1 {
		v.damaged(last.Seq+1, "event", fmt.Sprintf("none up to event %d", e.Seq), "an event for every seq")
		last.Counted, last.Digest = e.Counted, tidemark.Digest{} // nothing to compare with
		if e.IsCounted {
			last.Counted--
		}
	}
	counted := last.Counted
	if e.IsCounted {
		counted++
	}
	if e.Seq <= v.head.Floor {
		v.damaged(e.Seq, "event", "kept", fmt.Sprintf("none: everything up to %d was removed", v.head.Floor))
	}
	equal(v.checker, e.Seq, "counted ordinal", e.Counted, counted)
	v.atLeast(e.Seq, "time", e.TimeMs, last.TimeMs)
	v.atLeast(e.Seq, "id", uint64(e.ID), uint64(last.ID)+1)
	v.atMost(e.Seq, "id", uint64(e.ID), uint64(v.state.LastID))
	equal(v.checker, e.Seq, "partition in the id", e.ID.Partition(), v.number)
	v.atLeast(e.Seq, "position", uint64(e.Position), uint64(max(last.Position, 1)))
	v.atMost(e.Seq, "position", uint64(e.Position), uint64(v.state.Position))
	sender, err := v.p.UserID(e.Sender)
	if err != nil {
		v.damaged(e.Seq, "sender", fmt.Sprintf("ordinal %d", e.Sender), "the ordinal of a user")
	}
	e.SenderID = sender
	if e.Seq == last.Seq+1 {
		equal(v.checker, e.Seq, "chain value", e.Digest, chain.Next(last.Digest, chain.Link{
			Seq: e.Seq, ID: e.ID, TimeMs: e.TimeMs, Sender: sender, ClientID: e.ClientID, Kind: uint8(e.Kind), BodyHash: e.BodyHash,
		}))
	}
	body := v.body(e)
	v.meetMarks(e)
	add(&v.appended, placed{e.Position, record.ConversationSeq{Conversation: v.info.Ordinal, Seq: e.Seq}})
	if e.ClientID != "" {
		add(&v.indexed, indexed{v.p.ClientIDKey(v.info.Ordinal, e.Sender, e.ClientID).Hash, e.Seq})
	}
	*last = record.Event{
		Seq: e.Seq, ID: max(e.ID, last.ID), TimeMs: max(e.TimeMs, last.TimeMs), Position: max(e.Position, last.Position),
		Counted: e.Counted, Digest: e.Digest,
	}
	if err := v.countHour(e); err != nil {
		return err
	}
	if e.Kind == record.MembersBody {
		v.about = append(v.about, e.Seq)
	}
	if v.replay != nil {
		v.replay.event(e, body)
	} else {
		v.above.event(e, body)
	}
	return nil
}

func (c *checker) atLeast(seq tidemark.Seq, what string, found, least uint64) {
	if found < least {
		c.damaged(seq, what, found, fmt.Sprintf("at least %d", least))
	}
}

func (c *checker) atMost(seq tidemark.Seq, what string, found, most uint64) {
	if found > most {
		c.damaged(seq, what, found, fmt.Sprintf("at most %d", most))
	}
}

// body decodes an event's body; nil if it was erased or cannot be decoded.
func (v *conversation) body(e *record.Event) *wire.Body {
	if e.Erased {
		return nil
	}
	body := new(wire.Body)
	if err := body.UnmarshalVT(e.Body); err != nil {
		v.damaged(e.Seq, "body", err, "a body that can be decoded")
		return nil
	}
	if !equal(v.checker, e.Seq, "kind", e.Kind, record.BodyKind(wire.BodyKind(body))) {
		return nil
	}
	if m := body.GetMessage(); m != nil || e.IsCounted {
		equal(v.checker, e.Seq, "whether it counts", e.IsCounted, m.GetClass() == wire.MessageClass_NORMAL && m != nil)
	}
	return body
}

// meetMarks checks the read marks that stand at an event.
func (v *conversation) meetMarks(e *record.Event) {
	for len(v.byRead) > 0 && v.stored[v.byRead[0]].ReadSeq <= e.Seq {
		u := v.byRead[0]
		if m := v.stored[u]; m.ReadSeq == e.Seq {
			equal(v.checker, e.Seq, "counted events up to the read mark of member "+v.name(u), m.ReadCounted, e.Counted)
		}
		v.byRead = v.byRead[1:]
	}
}

// name is a user for people, also one that has no id.
func (v *conversation) name(u record.User) string {
	if id, err := v.p.UserID(u); err == nil {
		return string(id)
	}
	return fmt.Sprintf("of ordinal %d", u)
}

// countHour counts an event in the hour index that is being rebuilt.
func (v *conversation) countHour(e *record.Event) error {
	hour := uint32(e.TimeMs / hourMs)
	if v.hour.Count > 0 && v.hour.Hour != hour {
		if err := v.closeHour(); err != nil {
			return err
		}
	}
	if v.hour.Count == 0 {
		v.hour = record.Hour{Hour: hour, First: e.Seq}
	}
	v.hour.Count++
	v.hour.Digest = e.Digest
	return nil
}

// closeHour compares the hour that was counted with its row.
func (v *conversation) closeHour() error {
	expected := v.hour
	v.hour = record.Hour{}
	if expected.Count == 0 {
		return nil
	}
	for {
		in, err := v.hours.in(v.info.Ordinal)
		if err != nil {
			return err
		}
		if !in || v.hours.Key().Hour > expected.Hour {
			v.damaged(expected.First, fmt.Sprintf("row of hour %d", expected.Hour), "none", describeHour(expected))
			return nil
		}
		row, ok, err := take(v.hours, v.hours.Hour)
		v.counts.Hours++
		row = v.aboveHour(row)
		switch {
		case !ok:
		case row.Hour < expected.Hour:
			v.damaged(row.First, fmt.Sprintf("row of hour %d", row.Hour), describeHour(row), "none: the hour has no events")
		case row != expected:
			v.damaged(expected.First, fmt.Sprintf("row of hour %d", row.Hour), describeHour(row), describeHour(expected))
		}
		if err != nil || !ok || row.Hour == expected.Hour {
			return err
		}
	}
}

// checkHoursLeft closes the last hour and notes rows of hours past it.
func (v *conversation) checkHoursLeft() error {
	if err := v.closeHour(); err != nil {
		return err
	}
	return each(v.hours, v.info.Ordinal, v.hours.Hour, func(_ store.Key, row record.Hour) {
		v.counts.Hours++
		v.damaged(row.First, fmt.Sprintf("row of hour %d", row.Hour), describeHour(row), "none: the hour has no events")
	})
}

// aboveHour is a row without the events of its hour that are no longer kept: it goes with the last of them, and stays as it
// was until then.
func (v *conversation) aboveHour(row record.Hour) record.Hour {
	if floor := v.head.Floor; row.First <= floor && row.First+tidemark.Seq(row.Count) > floor+1 {
		row.First, row.Count = floor+1, row.Count-uint32(floor+1-row.First)
	}
	return row
}

func describeHour(h record.Hour) string {
	return fmt.Sprintf("first seq %d, %d events, chain value %s", h.First, h.Count, h.Digest)
}

// checkHead compares the head with the log.
func (v *conversation) checkHead() {
	h, last := v.head, &v.last
	equal(v.checker, 0, "seq of the head", h.Seq, last.Seq)
	equal(v.checker, 0, "chain value of the head", h.Digest, last.Digest)
	equal(v.checker, 0, "counted events of the head", h.Counted, last.Counted)
	if h.Floor == 0 || h.Seq > h.Floor { // otherwise no event is kept that would tell
		equal(v.checker, 0, "time of the head", h.TimeMs, last.TimeMs)
		equal(v.checker, 0, "position of the head", h.Position, last.Position)
	}
	v.atMost(0, "last mention of everybody of the head", uint64(h.MentionAll), uint64(last.Seq))
	if last.Seq == 0 {
		v.damaged(0, "log", "no event", "the event that created it")
	}
}
