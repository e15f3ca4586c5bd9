// SPDX-License-Identifier: Apache-2.0

// Retention: how long a conversation's events are kept, and the command that removes those that are not.
//
// Nothing is removed by the message that makes an event too many: it only sets the conversation's timer, and that only
// when there is a good deal to remove. The timer's command removes a bounded number of events and sets the timer again.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	// RoomEventsKept is how many events a room keeps whose settings say nothing.
	RoomEventsKept = 200
	// TrimEventsMax is how many events one [Trim] removes, and how many edits it looks at, at most, the last event's not
	// counted.
	TrimEventsMax = 1000
	// AcknowledgedMembersMax is in how large a conversation events are removed once they are acknowledged.
	AcknowledgedMembersMax = 1000

	trimSlackMin   = 64        // so many events more than wanted, or a tenth, are kept before any is removed
	trimSlackMaxMs = hourMs    // events stay a tenth of their age longer than wanted, and at most so long
	ageMinMs       = hourMs    // the shortest age that can be asked for
	ageMaxMs       = 1 << 42   // 139 years: what is longer is for ever
	askAgainMinMs  = 60 * 1000 // between two looks at what is acknowledged: an eighth of the oldest event's age, but at
	askAgainMaxMs  = hourMs    // least and at most so long
)

// Trim removes events that a conversation no longer keeps, when its timer is due: as its settings say, at most
// [TrimEventsMax]. It is never refused; where there is nothing to do it only takes the timer away.
//
// It costs a row for each event, the end of its client id, and one for each commit, and six ranges: 15 to 25 kB for
// 1,000 events. Edits above the floor that lose their content are written anew.
type Trim struct {
	Conversation tidemark.ConversationID
	Timer        record.Index // the entry that is due
	Acknowledged tidemark.Seq // every known device of every member has acknowledged the events up to it
}

func (*Trim) command() {}

// RetentionOf is what holds for a conversation: as its settings say, otherwise for ever, and in a room the last
// [RoomEventsKept] events.
func RetentionOf(info *record.Info) record.Retention {
	r := info.Settings.Retention
	if r.Mode == uint8(wire.RetentionMode_RETENTION_DEFAULT) {
		if info.Kind == record.Room {
			return record.Retention{Mode: uint8(wire.RetentionMode_BY_COUNT), MaxCount: RoomEventsKept}
		}
		return record.Retention{Mode: uint8(wire.RetentionMode_FOR_EVER)}
	}
	return r
}

// checkRetention refuses a retention that says nothing, or what another mode says. members is how many the conversation
// has.
func checkRetention(r *wire.Retention, members int) *tidemark.Error {
	if _, known := wire.RetentionMode_name[int32(r.GetMode())]; !known {
		return tidemark.Refuse(tidemark.BadArgument, "settings.retention.mode %d is not a retention mode", r.GetMode())
	}
	switch mode, age, count := r.GetMode(), r.GetMaxAgeMs(), r.GetMaxCount(); {
	case mode != wire.RetentionMode_BY_AGE && age != 0:
		return tidemark.Refuse(tidemark.BadArgument, "settings.retention.maxAgeMs is for BY_AGE, not for %s", mode)
	case mode != wire.RetentionMode_BY_COUNT && count != 0:
		return tidemark.Refuse(tidemark.BadArgument, "settings.retention.maxCount is for BY_COUNT, not for %s", mode)
	case mode == wire.RetentionMode_BY_AGE && (age < ageMinMs || age > ageMaxMs):
		return tidemark.Refuse(tidemark.BadArgument, "settings.retention.maxAgeMs %d: give %d (an hour) to %d ms",
			age, ageMinMs, uint64(ageMaxMs))
	case mode == wire.RetentionMode_BY_COUNT && count == 0:
		return tidemark.Refuse(tidemark.BadArgument, "settings.retention.maxCount: give at least 1")
	case mode == wire.RetentionMode_ACKNOWLEDGED && members > AcknowledgedMembersMax:
		return tidemark.Refuse(tidemark.TooMany, "the conversation has %d members; events go once they are acknowledged "+
			"in conversations of at most %d", members, AcknowledgedMembersMax)
	}
	return nil
}

// countSlack is how many events more than wanted are kept until some are removed.
func countSlack(count uint64) uint64 { return max(trimSlackMin, count/10) }

// ageSlackMs is how much longer than wanted events are kept until some are removed.
func ageSlackMs(ageMs uint64) uint64 { return min(ageMs/10, trimSlackMaxMs) }

// armTrim sets the conversation's timer where the events just appended, or other settings, ask for it. It is called once
// for each command that has changed the head.
func (t *turn) armTrim() {
	h, r := t.head, RetentionOf(t.info)
	if r.Mode == uint8(wire.RetentionMode_FOR_EVER) || h.Seq <= h.Floor {
		return
	}
	oldestMs, changed := h.TimeMs, false
	if t.infoOwned {
		old, there := t.view.Conversation(t.info.ID)
		changed = there && RetentionOf(old) != r
	}
	if changed {
		if e, kept := t.view.Event(t.info.Ordinal, h.Floor+1); kept {
			oldestMs = e.TimeMs
		}
	}
	if changed || h.TrimMs == 0 || r.Mode == uint8(wire.RetentionMode_BY_COUNT) {
		t.setTrim(t.trimDue(r, oldestMs))
	}
}

// trimDue is when events should be looked at next, the oldest of which is of a time; 0: when there is one more.
func (t *turn) trimDue(r record.Retention, oldestMs uint64) uint64 {
	switch wire.RetentionMode(r.Mode) {
	case wire.RetentionMode_BY_COUNT:
		if uint64(t.head.Seq-t.head.Floor) > r.MaxCount+countSlack(r.MaxCount) {
			return max(t.env.NowMs, 1)
		}
	case wire.RetentionMode_BY_AGE:
		return oldestMs + r.MaxAgeMs + ageSlackMs(r.MaxAgeMs)
	case wire.RetentionMode_ACKNOWLEDGED:
		age := t.env.NowMs - min(oldestMs, t.env.NowMs)
		return t.env.NowMs + min(max(age/8, askAgainMinMs), askAgainMaxMs)
	}
	return 0
}

// setTrim sets the timer to a time, if that is earlier than the one it is set to. 0 leaves it as it is.
func (t *turn) setTrim(dueMs uint64) {
	if dueMs == 0 || t.head.TrimMs > 0 && t.head.TrimMs <= dueMs {
		return
	}
	head := t.ownHead()
	if head.TrimMs > 0 {
		t.index(trimTimer(t.info.Ordinal, head.TrimMs), true)
	}
	head.TrimMs = dueMs
	t.index(trimTimer(t.info.Ordinal, dueMs), false)
}

func trimTimer(c record.Conversation, dueMs uint64) record.Index {
	return record.Index{Kind: record.TimerIndex, Timer: record.TrimTimer, DueMs: dueMs, Conversation: c}
}

// index adds an entry to an index, or takes it out.
func (t *turn) index(i record.Index, removed bool) {
	t.out.Indexes = append(t.out.Indexes, record.IndexChange{Index: i, Removed: removed})
}

// handleTrim removes what is no longer kept and sets the timer for what will not be.
func (t *turn) handleTrim(cmd *Trim) Reply {
	t.index(cmd.Timer, true)
	info, found := t.view.Conversation(cmd.Conversation)
	if !found || info.Ordinal != cmd.Timer.Conversation {
		return Reply{}
	}
	t.info, t.head = info, t.view.Head(info.Ordinal)
	if t.head.TrimMs != cmd.Timer.DueMs {
		return t.unchanged() // set anew meanwhile
	}
	t.ownHead().TrimMs = 0
	r := RetentionOf(info)
	next, more := t.trim(t.unwanted(r, cmd.Acknowledged))
	switch {
	case r.Mode == uint8(wire.RetentionMode_FOR_EVER):
	case more:
		t.setTrim(max(t.env.NowMs, 1))
	case next != nil:
		t.setTrim(t.trimDue(r, next.TimeMs))
	}
	return t.unchanged()
}

// unwanted tells of an event whether it may go.
func (t *turn) unwanted(r record.Retention, acknowledged tidemark.Seq) func(*record.Event) bool {
	switch wire.RetentionMode(r.Mode) {
	case wire.RetentionMode_BY_COUNT:
		last := t.head.Seq - min(t.head.Seq, tidemark.Seq(r.MaxCount))
		return func(e *record.Event) bool { return e.Seq <= last }
	case wire.RetentionMode_BY_AGE:
		nowMs := t.env.NowMs
		return func(e *record.Event) bool { return e.TimeMs+r.MaxAgeMs <= nowMs }
	case wire.RetentionMode_ACKNOWLEDGED:
		if t.head.Members > AcknowledgedMembersMax {
			acknowledged = 0
		}
		return func(e *record.Event) bool { return e.Seq <= acknowledged }
	}
	return func(*record.Event) bool { return false }
}

// trim removes events from the floor on as long as they are unwanted, and answers the first that is kept; nil if none is.
// more says that it has stopped before it was done. Events of the commit that is being built wait for the next.
func (t *turn) trim(unwanted func(*record.Event) bool) (next *record.Event, more bool) {
	floor, head := t.head.Floor, t.ownHead()
	var commits trimmedCommits
	var edits []tidemark.Seq
	for n := 0; head.Floor < head.Seq; n++ {
		e, kept := t.view.Event(t.info.Ordinal, head.Floor+1)
		if !kept {
			break // the store has failed; the batch will not be committed
		}
		if next = e; !unwanted(e) {
			break
		}
		if more = n+len(edits) >= TrimEventsMax || e.Position >= t.env.Position; more {
			break
		}
		edits = append(edits, t.forget(e)...)
		commits.add(t, e)
		head.Floor, head.FloorDigest, head.FloorCounted = e.Seq, e.Digest, e.Counted
		next = nil
	}
	if head.Floor > floor {
		commits.flush(t)
		t.unpinTrimmed()
		t.blankEdits(edits)
		t.out.Trims = append(t.out.Trims, record.TrimChange{Conversation: t.info.Ordinal, From: floor + 1, To: head.Floor})
	}
	return next, more
}

// blankEdits takes the content out of those edits of trimmed messages that are kept: it is a later state of what is not.
// Nobody can recall or erase it any more.
func (t *turn) blankEdits(edits []tidemark.Seq) {
	for _, seq := range edits {
		if seq <= t.head.Floor {
			continue
		}
		if e, kept := t.view.Event(t.info.Ordinal, seq); kept && !e.Erased {
			t.blank(e)
		}
	}
}

// forget removes what is kept about an event elsewhere than by its seq, and answers the event's edits.
func (t *turn) forget(e *record.Event) (edits []tidemark.Seq) {
	if e.ClientID != "" {
		t.out.ClientIDs = append(t.out.ClientIDs, record.ClientIDChange{
			Conversation: t.info.Ordinal, User: e.Sender, ClientID: e.ClientID, Seq: e.Seq, Removed: true,
		})
	}
	hour := uint32(e.TimeMs / hourMs)
	if row, there := t.view.Hour(t.info.Ordinal, hour); there && row.First+tidemark.Seq(row.Count)-1 == e.Seq {
		t.out.Hours = append(t.out.Hours, record.HourChange{Conversation: t.info.Ordinal, Hour: row, Removed: true})
	}
	current := t.view.Current(t.info.Ordinal, e.Seq)
	if current == nil {
		current = new(record.Current)
	}
	switch {
	case !e.IsCounted:
	case current.IsWithheld():
		t.ownHead().Recalled--
	default:
		if shown, err := t.content(e, current); err == nil {
			t.unmention(shown, e.Seq)
		}
	}
	return current.Edits
}

// unpinTrimmed takes the pins of events that are no longer kept away. Devices know by the floor.
func (t *turn) unpinTrimmed() {
	for i, seq := range t.info.Pins {
		if seq > t.head.Floor {
			continue
		}
		kept := append([]tidemark.Seq(nil), t.info.Pins[:i]...)
		for _, seq := range t.info.Pins[i:] {
			if seq > t.head.Floor {
				kept = append(kept, seq)
			}
		}
		if len(kept) == 0 {
			kept = nil
		}
		t.ownInfo().Pins = kept
		return
	}
}

// trimmedCommits takes trimmed events, ascending, out of the rows of their commits. The zero value has none.
type trimmedCommits struct {
	position tidemark.Position
	from, to tidemark.Seq
}

func (c *trimmedCommits) add(t *turn, e *record.Event) {
	if e.Position != c.position {
		c.flush(t)
		c.position, c.from = e.Position, e.Seq
	}
	c.to = e.Seq
}

func (c *trimmedCommits) flush(t *turn) {
	if c.position == 0 {
		return
	}
	var kept []record.ConversationSeq
	for _, at := range t.view.Commit(c.position) {
		if at.Conversation != t.info.Ordinal || at.Seq < c.from || at.Seq > c.to {
			kept = append(kept, at)
		}
	}
	t.out.Commits = append(t.out.Commits, record.CommitChange{Position: c.position, Events: kept})
	c.position = 0
}
