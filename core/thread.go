// SPDX-License-Identifier: Apache-2.0

// What a message refers to: the message it replies to, and the root of the thread it answers in. A thread is flat: its
// root is in no other thread.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// sees reports whether the asker may see the event at seq, if it is kept. What the asker has cleared for itself counts as
// seen: a device that has not heard of it yet may still reply, edit or recall.
func (t *turn) sees(seq tidemark.Seq) bool {
	return seq > 0 && seq <= t.head.Seq && (t.full || seq >= t.member.Granted())
}

// checkReply refuses a reply to what the writer cannot see or is no message. One that is recalled, erased or no longer
// kept may be replied to: the writer may not have known, and the reference says nothing of it.
func (t *turn) checkReply(seq tidemark.Seq) *tidemark.Error {
	if seq == 0 {
		return nil
	}
	if !t.sees(seq) {
		return tidemark.Refuse(tidemark.UnknownEvent, "the message replies to event %d, but there is no such event in %s",
			seq, t.info.ID)
	}
	if e, kept := t.event(seq); kept && e.Kind != record.MessageBody {
		return tidemark.Refuse(tidemark.UnknownEvent, "the message replies to event %d of %s, which is not a message",
			seq, t.info.ID)
	}
	return nil
}

// checkRoot refuses an answer in the thread of what cannot be its root. A thread that there is goes on whatever becomes
// of its root; but none begins at a message that was recalled or erased.
func (t *turn) checkRoot(seq tidemark.Seq) *tidemark.Error {
	if seq == 0 {
		return nil
	}
	if !t.sees(seq) {
		return tidemark.Refuse(tidemark.UnknownEvent, "the message answers in the thread of event %d, "+
			"but there is no such event in %s", seq, t.info.ID)
	}
	root, kept := t.event(seq)
	switch {
	case !kept:
		return tidemark.Refuse(tidemark.UnknownEvent, "event %d of %s is no longer kept: nobody can answer in its thread",
			seq, t.info.ID)
	case root.Kind != record.MessageBody:
		return tidemark.Refuse(tidemark.UnknownEvent, "event %d of %s is not a message: it has no thread", seq, t.info.ID)
	}
	current := t.current(seq)
	switch {
	case current != nil && current.ThreadSeq > 0:
		return nil
	case root.Erased || current.IsWithheld():
		return tidemark.Refuse(tidemark.UnknownEvent, "message %d of %s was recalled or erased: no thread begins at it",
			seq, t.info.ID)
	}
	written, err := t.content(root, new(record.Current))
	if err != nil {
		return err
	}
	if written.Thread > 0 {
		return tidemark.Refuse(tidemark.BadArgument, "message %d of %s is itself an answer in the thread of %d: answer there",
			seq, t.info.ID, written.Thread)
	}
	return nil
}

// answered adds the message just appended to its thread.
func (t *turn) answered(m *wire.Message, seq tidemark.Seq) {
	root := tidemark.Seq(m.Thread)
	if root <= t.head.Floor { // none; or of an event that was taken back, and whose root is no longer kept
		return
	}
	t.out.Indexes = append(t.out.Indexes, record.IndexChange{Index: record.Index{
		Kind: record.ThreadIndex, Conversation: t.info.Ordinal, Root: root, Seq: seq,
	}})
	current := t.ownCurrent(root)
	current.ThreadCount++
	current.ThreadSeq = seq
}

// unanswered takes a message that is no longer shown out of the count of its thread. It stays in the thread's index.
func (t *turn) unanswered(m *wire.Message) {
	if root := tidemark.Seq(m.Thread); root > t.head.Floor {
		t.ownCurrent(root).ThreadCount--
	}
}

// event is an event as this command has left it: one that it has appended, or one of the view.
func (t *turn) event(seq tidemark.Seq) (*record.Event, bool) {
	if len(t.out.Events) > 0 && !t.out.Events[0].Rewrite {
		if first := t.out.Events[0].Event.Seq; seq >= first && int(seq-first) < len(t.out.Events) {
			return t.out.Events[seq-first].Event, true
		}
	}
	return t.view.Event(t.info.Ordinal, seq)
}

// current is the current form of an event as this command has left it; nil: as it was written.
func (t *turn) current(seq tidemark.Seq) *record.Current {
	for i := range t.out.Currents {
		if c := &t.out.Currents[i]; c.Seq == seq {
			return c.Current
		}
	}
	return t.view.Current(t.info.Ordinal, seq)
}

// ownCurrent is the current form of an event, to be changed by this command.
func (t *turn) ownCurrent(seq tidemark.Seq) *record.Current {
	for i := range t.out.Currents {
		if c := &t.out.Currents[i]; c.Seq == seq {
			return c.Current
		}
	}
	current := new(record.Current)
	if now := t.view.Current(t.info.Ordinal, seq); now != nil {
		*current = *now
	}
	t.setCurrent(seq, current)
	return current
}

// edited is the body of what a message shows after an edit: what the edit says, in the thread the message was written in.
func edited(edit, shown *wire.Message) []byte {
	body := marshalMessage(edit)
	if edit.Thread == shown.Thread {
		return body
	}
	var whole wire.Body
	if err := whole.UnmarshalVT(body); err != nil {
		panic("core: a message of our own does not decode: " + err.Error())
	}
	whole.GetMessage().Thread = shown.Thread
	return wire.MarshalBody(&whole)
}

// checkEdited refuses an edit that says what only a new message can.
func checkEdited(edit, shown *wire.Message) *tidemark.Error {
	switch {
	case edit.Forwarded != nil:
		return tidemark.Refuse(tidemark.BadArgument, "an edit forwards nothing: what is edited is the writer's own")
	case edit.Thread != 0 && edit.Thread != shown.Thread:
		return tidemark.Refuse(tidemark.BadArgument, "an edit does not move a message into the thread of %d", edit.Thread)
	}
	return nil
}
