// SPDX-License-Identifier: Apache-2.0

// Forwarding: a message that repeats the content of another says so. The other may be in another partition, which core
// does not see: whoever queues the command has looked, and passes its verdict.

package core

import (
	"bytes"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Verdict is the answer to a question about another partition, read before the command was queued. It counts only once
// the command is known not to be a repetition: what was accepted stays accepted.
type Verdict struct {
	Refused *tidemark.Error // nil: accepted
}

// JudgeForward says whether a message may say that it forwards source: the event in its current form as the sender sees
// it, nil if the sender sees none. Type, text and data must be the source's, and so must sender and time be.
func JudgeForward(m *wire.Message, source *wire.Event) *tidemark.Error {
	f := m.GetForwarded()
	unknown := tidemark.Refuse(tidemark.UnknownEvent, "the sender sees no message %d in %s to forward",
		f.GetSeq(), f.GetConversation())
	if source == nil || source.GetBody() == nil || source.GetHidden() {
		return unknown
	}
	var body wire.Body
	if err := body.UnmarshalVT(source.GetBody()); err != nil || body.GetMessage() == nil {
		return unknown
	}
	shown := body.GetMessage()
	switch {
	case m.GetType() != shown.GetType() || m.GetText() != shown.GetText() || !bytes.Equal(m.GetData(), shown.GetData()):
		return tidemark.Refuse(tidemark.BadArgument, "type, text and data are not those of message %d of %s as it is now: "+
			"fetch it again", f.GetSeq(), f.GetConversation())
	case f.GetSender() != source.GetSender() || f.GetTimeMs() != source.GetTimeMs():
		return tidemark.Refuse(tidemark.BadArgument, "message %d of %s was written by %s at %d, not by %q at %d",
			f.GetSeq(), f.GetConversation(), source.GetSender(), source.GetTimeMs(), f.GetSender(), f.GetTimeMs())
	}
	return nil
}

// checkForward holds a new message to the verdict on what it forwards.
func checkForward(m *wire.Message, verdict *Verdict) *tidemark.Error {
	switch {
	case m.Forwarded == nil:
		return nil
	case verdict == nil:
		return tidemark.Refuse(tidemark.BadArgument, "a message that forwards another is only submitted, not imported")
	}
	return verdict.Refused
}
