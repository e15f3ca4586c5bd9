// SPDX-License-Identifier: Apache-2.0

// Scheduled messages: kept until their time, then submitted like any other, once.

package core

import (
	"bytes"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	// ScheduleAheadMaxMs is how far in the future a message may be scheduled.
	ScheduleAheadMaxMs = 366 * 24 * hourMs
	// ScheduledMax is how many messages of one user may wait in a conversation, those included that could not be
	// submitted; and as many, in each partition, in direct conversations that do not exist yet.
	ScheduledMax = 100

	retryScheduledMs = 1000 // at least so long a message waits that comes too early for slow mode, or cannot be judged now
)

// Schedule keeps a message and submits it at a time. What the rules say of it now is answered at once; they are asked
// again when its time comes. With a client id that waits already it takes that one's place.
type Schedule struct {
	Submit *Submit // carries a message, not of class TRANSIENT
	AtMs   uint64  // in the future, at most [ScheduleAheadMaxMs]
}

// Unschedule takes a scheduled message back, or one that could not be submitted.
type Unschedule struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	ClientID     tidemark.ClientID
}

// SubmitScheduled submits a scheduled message when its timer is due. It is never refused: what the rules refuse is kept
// with their reason until the user takes it back.
type SubmitScheduled struct {
	Timer   record.Index    // the entry that is due
	Submit  *Submit         // the message that is kept, for whom and where
	Refused *tidemark.Error // what was found out in other partitions; nil: nothing against it
	Gone    bool            // the user's account is deleted: there is nobody to tell
}

func (*Schedule) command()        {}
func (*Unschedule) command()      {}
func (*SubmitScheduled) command() {}

// PendingID is under which id a scheduled message to a peer is kept, in conversation 0, while there is no direct
// conversation with the peer.
func PendingID(peer tidemark.UserID, id tidemark.ClientID) tidemark.ClientID {
	return tidemark.ClientID(peer) + "\x00" + id
}

// PendingPeer is the inverse of [PendingID].
func PendingPeer(pending tidemark.ClientID) (peer tidemark.UserID, id tidemark.ClientID) {
	before, after, _ := strings.Cut(string(pending), "\x00")
	return tidemark.UserID(before), tidemark.ClientID(after)
}

// scheduledKey names a scheduled message.
type scheduledKey struct {
	conversation record.Conversation
	user         record.User
	id           tidemark.ClientID
}

func (k scheduledKey) timer(dueMs uint64) record.Index {
	return record.Index{
		Kind: record.TimerIndex, Timer: record.SubmitTimer, DueMs: dueMs, Conversation: k.conversation, User: k.user, ID: string(k.id),
	}
}

// handleSchedule asks the rules as if the message were submitted now, and keeps it. That the conversation is in slow mode
// now says nothing about then.
func (t *turn) handleSchedule(cmd *Schedule) Reply {
	submit := cmd.Submit
	if err := t.checkSchedule(cmd); err != nil {
		return Reply{Err: err}
	}
	if err := t.identify(submit.Actor); err != nil {
		return Reply{Err: err}
	}
	if t.full {
		return refuse(tidemark.BadArgument, "the system schedules nothing: name the user who does")
	}
	probe := turn{view: t.view, env: t.env, limits: t.limits, out: new(record.Changes), partition: t.partition}
	reply := probe.handleSubmit(submit)
	switch {
	case reply.Err != nil && reply.Err.Reason == tidemark.RateLimited:
		if err := probe.checkMessage(submit.Message); err != nil {
			return Reply{Err: err}
		}
	case reply.Err != nil:
		return Reply{Err: reply.Err}
	case reply.Duplicate:
		return refuse(tidemark.AlreadyExists, "the client id %q of %s has made event %d already", submit.ClientID, t.writer, reply.Seq)
	}
	return t.schedule(submit, cmd.AtMs)
}

func (t *turn) checkSchedule(cmd *Schedule) *tidemark.Error {
	switch m := cmd.Submit.Message; {
	case m == nil || cmd.Submit.Seen != nil:
		return tidemark.Refuse(tidemark.BadArgument, "only a message can be scheduled, without seen")
	case m.Class == wire.MessageClass_TRANSIENT:
		return tidemark.Refuse(tidemark.BadArgument, "a message of class TRANSIENT cannot be scheduled")
	case cmd.AtMs <= t.env.NowMs:
		return tidemark.Refuse(tidemark.BadArgument, "atMs %d is not in the future: it is %d now", cmd.AtMs, t.env.NowMs)
	case cmd.AtMs-t.env.NowMs > ScheduleAheadMaxMs:
		return tidemark.Refuse(tidemark.BadArgument, "atMs %d is more than a year ahead", cmd.AtMs)
	}
	return nil
}

// schedule keeps a message that may be submitted.
func (t *turn) schedule(submit *Submit, atMs uint64) Reply {
	u := t.ordinal(t.writer)
	keys := t.scheduledKeys(u, submit.Conversation, submit.ClientID)
	row := &record.Scheduled{DueMs: atMs, CreatedMs: t.env.NowMs, Body: marshalMessage(submit.Message)}
	replaces := false
	for _, k := range keys {
		old := t.view.Scheduled(k.conversation, k.user, k.id)
		if old == nil {
			continue
		}
		if k == keys[0] && old.Reason == "" && old.DueMs == atMs && bytes.Equal(old.Body, row.Body) {
			return Reply{Scheduled: old}
		}
		replaces = replaces || k == keys[0]
		t.unschedule(k, old)
	}
	if n := t.view.ScheduledBy(keys[0].conversation, u); n >= ScheduledMax && !replaces {
		return refuse(tidemark.TooMany, "%s has %d scheduled messages here, more are not allowed: take one back first", t.writer, n)
	}
	t.keepScheduled(keys[0], row)
	t.index(keys[0].timer(atMs), false)
	return Reply{Scheduled: row}
}

// scheduledKeys is where a user's scheduled message may be kept: where a new one goes, then where an old one may be.
func (t *turn) scheduledKeys(u record.User, in tidemark.ConversationID, id tidemark.ClientID) (keys []scheduledKey) {
	if info, found := t.view.Conversation(in); found {
		keys = append(keys, scheduledKey{info.Ordinal, u, id})
	}
	if peer, direct := in.Peer(t.writer); direct {
		keys = append(keys, scheduledKey{0, u, PendingID(peer, id)})
	}
	return keys
}

func (t *turn) keepScheduled(k scheduledKey, row *record.Scheduled) {
	t.out.Scheduled = append(t.out.Scheduled, record.ScheduledChange{
		Conversation: k.conversation, User: k.user, ClientID: k.id, Scheduled: row, Removed: row == nil,
	})
}

// unschedule takes out what is kept.
func (t *turn) unschedule(k scheduledKey, old *record.Scheduled) {
	t.keepScheduled(k, nil)
	if old.Reason == "" {
		t.index(k.timer(old.DueMs), true)
	}
}

// handleUnschedule needs no membership: who was removed may still take back what was refused.
func (t *turn) handleUnschedule(cmd *Unschedule) Reply {
	if err := t.identify(cmd.Actor); err != nil {
		return Reply{Err: err}
	}
	if u, met := t.view.User(t.writer); met {
		for _, k := range t.scheduledKeys(u, cmd.Conversation, cmd.ClientID) {
			if old := t.view.Scheduled(k.conversation, k.user, k.id); old != nil {
				t.unschedule(k, old)
				return Reply{Scheduled: old, Position: t.env.Position}
			}
		}
	}
	return refuse(tidemark.UnknownEvent, "%s has scheduled no message %q in %s: it was submitted, or taken back",
		t.writer, cmd.ClientID, cmd.Conversation)
}

// handleSubmitScheduled submits what waits, if it still waits for this time.
func (t *turn) handleSubmitScheduled(cmd *SubmitScheduled) Reply {
	t.index(cmd.Timer, true)
	k := scheduledKey{cmd.Timer.Conversation, cmd.Timer.User, tidemark.ClientID(cmd.Timer.ID)}
	row := t.view.Scheduled(k.conversation, k.user, k.id)
	if row == nil || row.Reason != "" || row.DueMs != cmd.Timer.DueMs {
		return Reply{} // taken back, or set anew meanwhile
	}
	if cmd.Gone {
		t.keepScheduled(k, nil)
		return Reply{}
	}
	if m := cmd.Submit.Message; m != nil && !bytes.Equal(marshalMessage(m), row.Body) {
		t.index(cmd.Timer, false) // another message has taken its place meanwhile: once more
		return Reply{}
	}
	reply := Reply{Err: cmd.Refused}
	if t.env.TakeBackMs > 0 {
		reply.Err = t.env.takingBack()
	}
	if reply.Err == nil {
		reply = t.submitKept(cmd.Submit)
	}
	switch err := reply.Err; {
	case err == nil:
		t.keepScheduled(k, nil)
		return reply
	case err.Reason == tidemark.RateLimited, err.Reason == tidemark.Unavailable:
		later := *row
		later.DueMs = t.env.NowMs + max(uint64(err.RetryAfterMs), retryScheduledMs)
		t.keepScheduled(k, &later)
		t.index(k.timer(later.DueMs), false)
	default:
		failed := *row
		failed.Reason, failed.Message = err.Reason.String(), err.Message
		t.keepScheduled(k, &failed)
	}
	return Reply{}
}

// submitKept submits a message that was kept. On refusal nothing is written.
func (t *turn) submitKept(submit *Submit) Reply {
	given := *t.out
	own := turn{view: t.view, env: t.env, limits: t.limits, out: t.out, partition: t.partition, absent: true}
	reply := own.handleSubmit(submit)
	if reply.Err != nil {
		*t.out = given
		return reply
	}
	own.finish()
	t.partition = own.partition
	return reply
}
