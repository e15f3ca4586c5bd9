// SPDX-License-Identifier: Apache-2.0

// What users wrote and were told, held against the logs at the end.

package soak

import (
	"fmt"
	"sync"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// ledger is what users wrote and were told. Its methods may be called from any goroutine.
type ledger struct {
	mu      sync.Mutex
	tried   map[string]*written // by text: no two are alike
	sent    map[sending]*written
	stored  map[sending]tidemark.Seq // what devices were told, edits and the rest too
	failed  map[sending]string
	unknown map[string]*shown // by text: what devices have shown, and nobody is known to have tried to write
	wrong   []*invariant.Violation
	Tried   int
	Sent    int
	Acked   int
	Refused int
	Arrived int
	Mended  int // histories that such devices have corrected
}

// written is a text that somebody tried to write.
type written struct {
	conversation tidemark.ConversationID
	user, device string
}

// shown is a text that a device has shown.
type shown struct {
	at      time.Time // first
	about   sending
	seq     tidemark.Seq
	spoiled bool // its network may have made it what it is
}

// hearsayMax is how long after a text was shown it may become known who wrote it: what the processes of devices tell takes a
// way of its own, and a message may be faster. In the end everything has been told.
const hearsayMax = 2 * time.Minute

// sending names a submission.
type sending struct {
	conversation tidemark.ConversationID
	user         string
	id           tidemark.ClientID
}

func newLedger() *ledger {
	return &ledger{tried: map[string]*written{}, sent: map[sending]*written{}, stored: map[sending]tidemark.Seq{}, failed: map[sending]string{}, unknown: map[string]*shown{}}
}

// hear takes in what a device of a user tells.
func (l *ledger) hear(user, device string, t Told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := sending{t.Conversation, user, t.ClientID}
	switch t.Kind {
	case Tries:
		l.Tried++
		l.tried[t.Text] = &written{t.Conversation, user, device}
		delete(l.unknown, t.Text)
	case Sends:
		l.Sent++
		l.sent[key] = l.tried[t.Text]
	case Stores:
		l.Acked++
		if before, twice := l.stored[key]; twice && before != t.Seq {
			l.report("S4", key, t.Seq, "%s was told that %s stands at %d, and later at %d", user, t.ClientID, before, t.Seq)
		}
		l.stored[key] = t.Seq
	case Fails:
		l.Refused++
		l.failed[key] = t.Text
	}
}

// report notes a broken promise. The caller holds mu.
func (l *ledger) report(number string, about sending, seq tidemark.Seq, format string, args ...any) {
	l.wrong = append(l.wrong, &invariant.Violation{
		Invariant: number, Text: fmt.Sprintf(format, args...), Conversation: about.conversation, User: tidemark.UserID(about.user), Seq: seq,
	})
}

// arrived takes in what a device shows. A text of which nobody says within [hearsayMax] that it tried to write it was
// invented, unless the device's network spoils texts: then it must be mended later.
func (l *ledger) arrived(user string, t Told, spoiled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Arrived++
	if t.Text == "" || l.tried[t.Text] != nil {
		return
	}
	if before := l.unknown[t.Text]; before != nil {
		before.spoiled = before.spoiled && spoiled
		return
	}
	l.unknown[t.Text] = &shown{time.Now(), sending{conversation: t.Conversation, user: user}, t.Seq, spoiled}
}

// invented reports texts that were shown before a time and that nobody wrote; spoiled says how many others were, by
// devices whose network spoils texts. The caller holds mu.
func (l *ledger) invented(before time.Time) (spoiled int) {
	for text, s := range l.unknown {
		switch {
		case s.spoiled:
			spoiled++
		case s.at.Before(before):
			l.report("C1", s.about, s.seq, "a device shows %.80q, which nobody wrote", text)
			delete(l.unknown, text)
		}
	}
	return spoiled
}

// closed takes in that nobody tells anything more, and says how many spoiled texts were shown.
func (l *ledger) closed() (spoiled int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.invented(time.Now())
}

// rewritten takes in that a device found another history than it had.
func (l *ledger) rewritten(user, device string, t Told, spoiled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if spoiled {
		l.Mended++
		return
	}
	l.report("Y3", sending{conversation: t.Conversation, user: user}, t.Seq, "device %s says that events %d to %d of the server's history are others than before", device, t.Seq, t.To)
}

// check holds a log against all that was told, and counts its messages.
func (l *ledger) check(conversation tidemark.ConversationID, events []*wire.Event) (messages int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	places := map[sending]tidemark.Seq{}
	texts := map[string]tidemark.Seq{}
	for _, e := range events {
		if e.Sender == string(tidemark.SystemUser) || e.ClientId == "" {
			continue
		}
		key, seq := sending{conversation, e.Sender, tidemark.ClientID(e.ClientId)}, tidemark.Seq(e.Seq)
		if before, twice := places[key]; twice {
			l.report("S4", key, seq, "%s stands in the log twice, at %d too", e.ClientId, before)
		}
		places[key] = seq
		text := textOf(e)
		if text == "" {
			continue // recalled, or no message
		}
		messages++
		switch by := l.tried[text]; {
		case by == nil:
			l.report("Y2", key, seq, "the log holds %.80q, which nobody wrote", text)
		case by.user != e.Sender || by.conversation != conversation:
			l.report("Y2", key, seq, "the log holds %.80q of %s in %s under the name of %s", text, by.user, by.conversation, e.Sender)
		}
		if e.Edited == 0 {
			if before, twice := texts[text]; twice {
				l.report("C5", key, seq, "%.80q stands in the log twice, at %d too", text, before)
			}
			texts[text] = seq
		}
	}
	for key, seq := range l.stored {
		if at, found := places[key]; key.conversation == conversation && seq > 0 && (!found || at != seq) {
			l.report("Y2", key, seq, "%s was told that %s stands at %d, but it stands at %d", key.user, key.id, seq, at)
		}
	}
	for key := range l.sent {
		if _, found := places[key]; key.conversation == conversation && !found && l.failed[key] == "" {
			l.report("C5", key, 0, "%s was given to the outbox and is not in the log", key.id)
		}
	}
	return messages
}

// textOf is what an event says as it is shown: empty for what is no message or edit.
func textOf(e *wire.Event) string {
	var body wire.Body
	if len(e.Body) == 0 || body.UnmarshalVT(e.Body) != nil {
		return ""
	}
	if edit := body.GetEdit(); edit != nil {
		return edit.GetMessage().GetText()
	}
	return body.GetMessage().GetText()
}

// counts says whether an event counts as unread for a user, of whom it is not.
func counts(e *wire.Event, user string) bool {
	var body wire.Body
	return e.Sender != user && len(e.Body) > 0 && body.UnmarshalVT(e.Body) == nil && body.GetMessage() != nil &&
		body.GetMessage().GetClass() == wire.MessageClass_NORMAL
}

// violations are the promises that were seen broken.
func (l *ledger) violations() []*invariant.Violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.invented(time.Now().Add(-hearsayMax))
	return append([]*invariant.Violation(nil), l.wrong...)
}
