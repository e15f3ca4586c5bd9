// SPDX-License-Identifier: Apache-2.0

// Evaluate, the one entry to the rules: dispatch to the handler of each command, and what a handler has at hand.

package core

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// Evaluate decides one command against a view.
//
// It writes into out, which the caller has emptied with Reset. On refusal the reply carries only the error and out is
// left as it was given. A command that finds nothing to do (a repeated submission, an old read mark) leaves out empty
// ([record.Changes.Empty]) and needs no commit of its own. Nothing of the view or the command is changed; out shares
// memory with both, so the caller must not change a command's messages afterwards.
func Evaluate(view View, cmd Command, env Env, out *record.Changes) Reply {
	if env.Limits == nil {
		env.Limits = &defaultLimits
	}
	given := *out
	t := turn{view: view, env: env, limits: env.Limits, out: out, partition: view.Partition()}
	reply := t.dispatch(cmd)
	if reply.Err == nil && env.TakeBackMs > 0 && t.appends(cmd) {
		reply.Err = env.takingBack()
	}
	if reply.Err != nil {
		*out = given
		return Reply{Err: reply.Err}
	}
	t.finish()
	return reply
}

// appends reports whether the command has appended an event of its own: one that was not lost.
func (t *turn) appends(cmd Command) bool {
	_, lost := cmd.(*GiveBack)
	return !lost && slices.ContainsFunc(t.out.Events, func(e record.EventChange) bool { return !e.Rewrite })
}

// takingBack refuses what would give the seq of a lost event to another.
func (env *Env) takingBack() *tidemark.Error {
	err := tidemark.Refuse(tidemark.Unavailable, "the server takes back what it lost when it was restored, and writes nothing else for %d s yet",
		(env.TakeBackMs+999)/1000)
	err.RetryAfterMs = uint32(min(env.TakeBackMs, takeBackRetryMaxMs))
	return err
}

// takeBackRetryMaxMs is the longest that a client is told to wait while lost events are taken back: it may end early.
const takeBackRetryMaxMs = 15_000

var defaultLimits = tidemark.DefaultLimits()

func (t *turn) dispatch(cmd Command) Reply {
	switch cmd := cmd.(type) {
	case *Submit:
		return t.handleSubmit(cmd)
	case *Erase:
		return t.handleErase(cmd)
	case *Read:
		return t.handleRead(cmd)
	case *Create:
		return t.handleCreate(cmd)
	case *Update:
		return t.handleUpdate(cmd)
	case *AddMembers:
		return t.handleAddMembers(cmd)
	case *RemoveMembers:
		return t.handleRemoveMembers(cmd)
	case *Join:
		return t.handleJoin(cmd)
	case *Leave:
		return t.handleLeave(cmd)
	case *AnswerJoin:
		return t.handleAnswerJoin(cmd)
	case *SetRole:
		return t.handleSetRole(cmd)
	case *Transfer:
		return t.handleTransfer(cmd)
	case *Mute:
		return t.handleMute(cmd)
	case *Dissolve:
		return t.handleDissolve(cmd)
	case *Settings:
		return t.handleSettings(cmd)
	case *Contact:
		return t.handleContact(cmd)
	case *Delete:
		return t.handleDelete(cmd)
	case *Clear:
		return t.handleClear(cmd)
	case *SetAttributes, *DropAttributes:
		return t.dispatchToRoom(cmd)
	case *Import, *GiveBack:
		return t.dispatchToPast(cmd)
	case *Schedule:
		return t.handleSchedule(cmd)
	case *Unschedule:
		return t.handleUnschedule(cmd)
	case *SubmitScheduled:
		return t.handleSubmitScheduled(cmd)
	case *Trim:
		return t.handleTrim(cmd)
	case *UpsertUser:
		return t.handleUpsertUser(cmd)
	case *UpdateUser:
		return t.handleUpdateUser(cmd)
	case *SeeDevice:
		return t.handleSeeDevice(cmd)
	case *ForgetDevice:
		return t.handleForgetDevice(cmd)
	case *SetOptions:
		return t.handleSetOptions(cmd)
	case *RevokeTokens:
		return t.handleRevokeTokens(cmd)
	case *DeleteUser, *Depart:
		return t.dispatchToEnd(cmd)
	case *SaveCursor:
		return t.handleSaveCursor(cmd)
	}
	return refuse(tidemark.Internal, "core: command %T has no handler", cmd)
}

// turn is the evaluation of one command: what it was given, and the state as it will be after what it has written so
// far. It lives on the stack and is used by one handler.
type turn struct {
	view      View
	env       Env
	limits    *tidemark.Limits
	out       *record.Changes
	partition record.Partition

	// The conversation, once enter or begin has found or made it. A command touches at most one.
	info *record.Info
	head *record.Head // shared with the view until headOwned
	hour record.Hour  // the row of the hour index that the last append went to

	headOwned bool
	infoOwned bool // info is in out
	many      bool // more than one event: their salts are derived, see salt
	salts     uint32

	requestsChanged bool // how many ask to join has changed: admins and owners hear of it

	// Who asks.
	writer tidemark.UserID // the user, or the system
	user   record.User     // its ordinal; 0 if this partition has not met it
	member *record.Member  // its record; nil if it never was a member, or has been no member when the turn began
	full   bool            // the app's back end in its own name: every right
	absent bool            // the user has asked earlier, and may have read nothing since

	known   map[tidemark.UserID]record.User // ordinals given by this command; nil while there are none
	members map[record.User]int             // index into out.Members; nil while few
}

// finish writes what is written once for all events of a command.
func (t *turn) finish() {
	if t.requestsChanged {
		t.tellStaff()
	}
	if t.hour.Count > 0 { // something was appended
		t.armTrim()
		t.out.Hours = append(t.out.Hours, record.HourChange{Conversation: t.info.Ordinal, Hour: t.hour})
	}
	if t.headOwned {
		t.out.Heads = append(t.out.Heads, record.HeadChange{Conversation: t.info.Ordinal, Head: t.head})
	}
	if !t.out.Empty() {
		t.partition.Position = t.env.Position
		t.out.Partition = t.partition
	}
}

// refuse is the reply that refuses.
func refuse(reason tidemark.Reason, format string, args ...any) Reply {
	return Reply{Err: tidemark.Refuse(reason, format, args...)}
}
