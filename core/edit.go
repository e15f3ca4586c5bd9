// SPDX-License-Identifier: Apache-2.0

// Edits and recalls: events that change what an earlier message shows. The earlier event itself stays as it was
// written; its current form is a record of its own.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// target is the message that another event is about, with its current form, which the caller may change: it must be
// there, be visible to the asker, and not be erased.
func (t *turn) target(seq tidemark.Seq) (*record.Event, *record.Current, *tidemark.Error) {
	if !t.sees(seq) {
		return nil, nil, tidemark.Refuse(tidemark.UnknownEvent, "%s has no event %d", t.info.ID, seq)
	}
	e, kept := t.view.Event(t.info.Ordinal, seq)
	if !kept {
		return nil, nil, tidemark.Refuse(tidemark.UnknownEvent, "event %d of %s is no longer kept", seq, t.info.ID)
	}
	if e.Kind != record.MessageBody {
		return nil, nil, tidemark.Refuse(tidemark.UnknownEvent, "event %d of %s is not a message", seq, t.info.ID)
	}
	if e.Erased {
		return nil, nil, tidemark.Refuse(tidemark.UnknownEvent, "message %d of %s was erased", seq, t.info.ID)
	}
	current := new(record.Current)
	if now := t.view.Current(t.info.Ordinal, seq); now != nil {
		*current = *now
	}
	return e, current, nil
}

// shownTarget is target for what makes sense only while the message is shown.
func (t *turn) shownTarget(seq tidemark.Seq) (*record.Event, *record.Current, *tidemark.Error) {
	e, current, err := t.target(seq)
	if err == nil && current.IsWithheld() {
		err = tidemark.Refuse(tidemark.UnknownEvent, "message %d of %s was recalled", seq, t.info.ID)
	}
	return e, current, err
}

// setCurrent replaces the current form of an event.
func (t *turn) setCurrent(seq tidemark.Seq, current *record.Current) {
	t.out.Currents = append(t.out.Currents, record.CurrentChange{
		Conversation: t.info.Ordinal, Seq: seq, Current: current,
	})
}

// late reports whether a window that began with an event is over. A clock that stepped back makes nobody late.
func (t *turn) late(e *record.Event, windowMs uint64) bool {
	return t.env.NowMs > e.TimeMs && t.env.NowMs-e.TimeMs > windowMs
}

// submitEdit replaces what a message shows. By its sender, while the window lasts. Whether the message counts stays as
// it was; whom it mentions is what the edit says.
func (t *turn) submitEdit(id tidemark.ClientID, edit *wire.Edit) Reply {
	if edit.Message == nil {
		return refuse(tidemark.BadArgument, "the edit carries no message")
	}
	e, current, err := t.shownTarget(tidemark.Seq(edit.Seq))
	if err == nil {
		err = t.mayOf(e, ToEditOwn, ToEditOthers)
	}
	if err != nil {
		return Reply{Err: err}
	}
	switch {
	case !t.full && t.late(e, t.limits.EditWindowMs):
		return refuse(tidemark.EditWindowOver, "message %d can no longer be edited: its sender has %d ms",
			e.Seq, t.limits.EditWindowMs)
	case len(current.Edits) >= int(t.limits.EditsMax):
		return refuse(tidemark.TooMany, "message %d was edited %d times, more are not allowed", e.Seq, len(current.Edits))
	case edit.Message.Class == wire.MessageClass_TRANSIENT:
		return refuse(tidemark.BadArgument, "an edit cannot be of class TRANSIENT")
	}
	if err := t.checkMessage(edit.Message); err != nil {
		return Reply{Err: err}
	}
	shown, err := t.content(e, current)
	if err == nil && edit.Message.MentionAll && !shown.MentionAll {
		err = t.may(ToMentionAll)
	}
	if err != nil {
		return Reply{Err: err}
	}
	if err := checkEdited(edit.Message, shown); err != nil {
		return Reply{Err: err}
	}
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Edit{Edit: edit}})
	written := t.write(id, record.EditBody, body, false)
	t.editTakesEffect(written, about{e, current, shown}, edit.Message)
	return answer(written)
}

// content is what a message shows now.
func (t *turn) content(e *record.Event, current *record.Current) (*wire.Message, *tidemark.Error) {
	data := e.Body
	if current.Edited != nil {
		data = current.Edited
	}
	var body wire.Body
	if err := body.UnmarshalVT(data); err != nil || body.GetMessage() == nil {
		return nil, tidemark.Refuse(tidemark.Internal, "the stored message %d of %s cannot be read", e.Seq, t.info.ID)
	}
	return body.GetMessage(), nil
}

// submitRecall takes a message back for everybody: by its sender while the window lasts, by an admin, an owner or the
// app at any time. Recalling it again is written down and changes nothing more.
func (t *turn) submitRecall(id tidemark.ClientID, recall *wire.Recall) Reply {
	if err := checkText("reason", recall.Reason, t.limits.TitleBytesMax); err != nil {
		return Reply{Err: err}
	}
	e, current, err := t.target(tidemark.Seq(recall.Seq))
	if err != nil {
		return Reply{Err: err}
	}
	if others := t.may(ToRecallOthers); others != nil {
		if err := t.mayOf(e, ToRecallOwn, ToRecallOthers); err != nil {
			return Reply{Err: err}
		}
		if t.late(e, t.limits.RecallWindowMs) {
			return refuse(tidemark.EditWindowOver, "message %d can no longer be recalled: its sender has %d ms",
				e.Seq, t.limits.RecallWindowMs)
		}
	}
	shown, err := t.content(e, current)
	if err != nil && current.RecallSeq == 0 {
		return Reply{Err: err}
	}
	written := t.write(id, record.RecallBody, wire.MarshalBody(&wire.Body{Body: &wire.Body_Recall{Recall: recall}}), false)
	t.recallTakesEffect(written, about{e, current, shown})
	return answer(written)
}
