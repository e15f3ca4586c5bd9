// SPDX-License-Identifier: Apache-2.0

// Erasure: the one thing that takes content out of the log. Salt and body go, their hash stays, and the chain verifies.

package core

import (
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// handleErase drops the content of a message for ever: its own body, and those of all its edits, which hold content
// too. By the message's sender, or the app. Erasing it again answers with the first erasure.
func (t *turn) handleErase(cmd *Erase) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if e, kept := t.view.Event(t.info.Ordinal, cmd.Seq); kept && e.Erased && e.Kind == record.MessageBody {
		return t.erasedBefore(e)
	}
	e, current, err := t.target(cmd.Seq)
	if err != nil {
		return Reply{Err: err}
	}
	if err := t.mayOf(e, ToEraseOwn, ToEraseOthers); err != nil {
		return Reply{Err: err}
	}
	shown, err := t.content(e, current)
	if err != nil && current.RecallSeq == 0 {
		return Reply{Err: err}
	}
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Erased{Erased: &wire.Erased{Seq: uint64(e.Seq)}}})
	written := t.write("", record.ErasedBody, body, false)
	t.erasureTakesEffect(written, about{e, current, shown})
	return answer(written)
}

// erasedBefore answers with the event of the first erasure, to those who may have asked for it.
func (t *turn) erasedBefore(e *record.Event) Reply {
	if err := t.mayOf(e, ToEraseOwn, ToEraseOthers); err != nil {
		return Reply{Err: err}
	}
	reply := t.unchanged()
	if now := t.view.Current(t.info.Ordinal, e.Seq); now != nil {
		if first, kept := t.view.Event(t.info.Ordinal, now.EraseSeq); kept {
			reply = answer(first)
		}
	}
	reply.Duplicate = true
	return reply
}

// blank rewrites an event without its content. Everything that the chain covers stays as it was.
func (t *turn) blank(e *record.Event) {
	blanked := *e
	blanked.Salt, blanked.Body, blanked.Erased = [8]byte{}, nil, true
	t.out.Events = append(t.out.Events, record.EventChange{
		Conversation: t.info.Ordinal, Event: &blanked, Rewrite: true,
	})
}
