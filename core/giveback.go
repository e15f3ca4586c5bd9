// SPDX-License-Identifier: Apache-2.0

// Giving back: events that the server had written and lost, because it was restored from an older copy, appended again
// as they were. Nothing is decided here: the rules were asked when the event was written, and the server's own seal,
// which the caller has checked, says that it was. What follows from the event follows as it did then.

package core

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// GiveBack appends one event exactly as it was: the same seq, id, time, sender, client id, salt and body. Its place is the
// end of the conversation's log; what is there already is passed over if it is the same (Reply.Duplicate). A conversation
// that is not known begins with its first event.
//
// What is in no event does not come back: contacts, blocks, drafts, settings of one's own, requests to join, scheduled
// messages. The writer's read mark moves as with any message. It is refused while the server takes nothing back
// ([Env.TakeBackMs]). The caller has checked that the users named exist.
type GiveBack struct {
	Conversation tidemark.ConversationID
	Event        *wire.Event     // in log form; see [Content] for when it may come without its body
	Digest       tidemark.Digest // the chain's value at the event, which is sealed or leads to what is
	EditOf       tidemark.Seq    // of an edit that comes without its body: the message, whose content was taken back too
}

func (*GiveBack) command() {}

func (t *turn) dispatchToPast(cmd Command) Reply {
	if cmd, lost := cmd.(*GiveBack); lost {
		return t.handleGiveBack(cmd)
	}
	return t.handleImport(cmd.(*Import))
}

// handleGiveBack asks for no right: what it appends is proven.
func (t *turn) handleGiveBack(cmd *GiveBack) Reply {
	if t.env.TakeBackMs == 0 {
		return refuse(tidemark.NotAllowed, "the server takes nothing back now")
	}
	link, body, err := Content(cmd.Event)
	if err != nil {
		return Reply{Err: err}
	}
	t.writer, t.full = tidemark.SystemUser, true
	found, err := t.find(cmd.Conversation)
	if err == nil && !found {
		err = t.beginAgain(cmd, body)
	}
	if err != nil {
		return Reply{Err: err}
	}
	switch {
	case link.Seq <= t.head.Seq:
		return t.givenBefore(cmd)
	case link.Seq != t.head.Seq+1:
		return refuse(tidemark.UnknownEvent, "%s ends at %d here: give back event %d first", t.info.ID, t.head.Seq, t.head.Seq+1)
	case chain.Next(t.head.Digest, link) != cmd.Digest:
		return refuse(tidemark.AlreadyExists, "event %d does not follow what %s has up to %d here", link.Seq, t.info.ID, t.head.Seq)
	case !t.freeClientID(link):
		return refuse(tidemark.Unavailable, "the client id of event %d has an event that goes first: give it back again", link.Seq)
	}
	return answer(t.takeBack(cmd, link, body))
}

// beginAgain begins the conversation that an event says it creates.
func (t *turn) beginAgain(cmd *GiveBack, body *wire.Body) *tidemark.Error {
	created := body.GetMembers().GetCreated()
	if cmd.Event.Seq != 1 || created == nil {
		return tidemark.Refuse(tidemark.UnknownEvent, "there is no conversation %q here: give back event 1 first", cmd.Conversation)
	}
	info := &record.Info{ID: cmd.Conversation, Kind: record.Kind(created.Kind), CreatedMs: cmd.Event.TimeMs}
	t.begin(info)
	t.describe(info, created)
	return nil
}

// givenBefore answers for an event that is there already, if it is the same.
func (t *turn) givenBefore(cmd *GiveBack) Reply {
	digest, kept := t.head.Digest, true
	if seq := tidemark.Seq(cmd.Event.Seq); seq < t.head.Seq {
		var e *record.Event
		if e, kept = t.view.Event(t.info.Ordinal, seq); kept {
			digest = e.Digest
		}
	}
	if kept && digest != cmd.Digest {
		return refuse(tidemark.AlreadyExists, "%s has another event %d here", t.info.ID, cmd.Event.Seq)
	}
	reply := t.unchanged()
	reply.Duplicate = true
	return reply
}

// freeClientID removes what was trimmed when an event that comes back was written, if that shows: the client id had made
// another event before, and was free again, as that event and all before it were kept no longer. False: one of them came back
// with this very commit, which cannot remove it.
func (t *turn) freeClientID(link chain.Link) bool {
	u, met := t.lookup(link.Sender)
	if link.ClientID == "" || !met {
		return true
	}
	used, there := t.view.ByClientID(t.info.Ordinal, u, link.ClientID)
	for before := t.head.Floor; there && t.head.Floor < used; before = t.head.Floor {
		if t.trim(func(e *record.Event) bool { return e.Seq <= used }); t.head.Floor == before {
			return false
		}
	}
	return true
}

// takeBack appends the event, which then takes effect as it did when it was new.
func (t *turn) takeBack(cmd *GiveBack, link chain.Link, body *wire.Body) *record.Event {
	sender := t.ordinal(link.Sender)
	t.writer, t.user, t.member = link.Sender, sender, nil
	if m := t.memberOf(sender); m.Active() && t.info.Kind != record.Room {
		t.member = m
	}
	e := &record.Event{
		Seq: link.Seq, ID: link.ID, TimeMs: link.TimeMs, Sender: sender, SenderID: link.Sender, ClientID: link.ClientID,
		Kind: record.BodyKind(link.Kind), BodyHash: link.BodyHash, Erased: body == nil,
	}
	if body != nil {
		copy(e.Salt[:], cmd.Event.Salt)
		e.Body = cmd.Event.Body
		e.IsCounted = body.GetMessage() != nil && body.GetMessage().Class == wire.MessageClass_NORMAL
	} else { // nobody knows any more but those who have counted
		e.IsCounted = e.Kind == record.MessageBody && cmd.Event.Counted > t.head.Counted
	}
	t.partition.LastID = max(t.partition.LastID, e.ID)
	before := t.head.Seq
	t.add(e)
	t.readOwn(e.IsCounted, before)
	t.effect(e, body, cmd.EditOf)
	return e
}

// effect lets an event that was taken back do what it did when it was new.
func (t *turn) effect(e *record.Event, body *wire.Body, editOf tidemark.Seq) {
	switch b := body.GetBody().(type) {
	case nil:
		if e.Kind == record.MessageBody {
			t.lossTakesEffect(e)
		} else if of, kept := t.about(editOf); kept {
			t.editLossTakesEffect(e, of)
		}
	case *wire.Body_Message:
		t.notePost(e.TimeMs)
		t.messageTakesEffect(e, b.Message)
	case *wire.Body_Edit:
		of, kept := t.about(tidemark.Seq(b.Edit.GetSeq()))
		if kept && !of.current.IsWithheld() {
			t.editTakesEffect(e, of, b.Edit.GetMessage())
			return
		}
		e.Salt, e.Body, e.Erased = [8]byte{}, nil, true // a later state of what is no longer kept, or not shown
		if kept {
			t.editLossTakesEffect(e, of)
		}
	case *wire.Body_Recall:
		if of, kept := t.about(tidemark.Seq(b.Recall.GetSeq())); kept {
			t.recallTakesEffect(e, of)
		}
	case *wire.Body_Erased:
		if of, kept := t.about(tidemark.Seq(b.Erased.GetSeq())); kept {
			t.erasureTakesEffect(e, of)
		}
	case *wire.Body_Reaction:
		if to, kept := t.about(tidemark.Seq(b.Reaction.GetSeq())); kept && !to.current.IsWithheld() {
			t.reactionTakesEffect(to, b.Reaction)
		}
	case *wire.Body_Pin:
		if of, kept := t.about(tidemark.Seq(b.Pin.GetSeq())); kept && !of.current.IsWithheld() {
			t.pinTakesEffect(e, of, b.Pin)
		}
	case *wire.Body_Members:
		t.membersTakeBack(b.Members)
	case *wire.Body_Info:
		t.infoTakesEffect(e, b.Info)
	}
}

// lossTakesEffect withholds a message that came without its content. What took that away is proven to follow, and may never
// come: whoever gives it may be gone by then, or the server stops in between.
func (t *turn) lossTakesEffect(e *record.Event) {
	t.uncount(e)
	t.setCurrent(e.Seq, &record.Current{IsLost: true})
}

// editLossTakesEffect withholds a message of which an edit came without its content, with all its edits.
func (t *turn) editLossTakesEffect(written *record.Event, of about) {
	e, current := of.event, of.current
	t.withdraw(of)
	current.IsLost = true
	current.EditSeq = written.Seq
	current.Edits = append(slices.Clip(current.Edits), written.Seq)
	t.setCurrent(e.Seq, current)
	for _, seq := range current.Edits {
		t.setCurrent(seq, &record.Current{IsLost: true})
	}
}

// about is the message at seq, if it is still kept.
func (t *turn) about(seq tidemark.Seq) (of about, kept bool) {
	if seq <= t.head.Floor || seq >= t.head.Seq {
		return about{}, false
	}
	e, kept := t.view.Event(t.info.Ordinal, seq)
	if !kept || e.Kind != record.MessageBody {
		return about{}, false
	}
	of = about{event: e, current: new(record.Current)}
	if now := t.view.Current(t.info.Ordinal, seq); now != nil {
		*of.current = *now
	}
	shown, err := t.content(e, of.current)
	if err != nil {
		shown = new(wire.Message)
	}
	of.shown = shown
	return of, true
}

// membersTakeBack changes the member list. What a direct conversation begins with, or goes on with after a while, is
// no message: who had it hidden, and whom it is new to, goes on not to see it in the list until there is one.
func (t *turn) membersTakeBack(body *wire.Members) {
	t.expect(len(body.Added) + len(body.Removed) + len(body.Roles))
	hiding := slices.Clone(body.Added)
	if a, b, direct := t.info.ID.Peers(); direct {
		for _, id := range [...]tidemark.UserID{a, b} {
			if u, met := t.lookup(id); met {
				if m := t.memberOf(u); m.Active() && m.HiddenAt(t.head.Seq-1) {
					hiding = append(hiding, string(id))
				}
			}
		}
	}
	t.membersTakeEffect(body)
	if t.info.Kind != record.Direct {
		return
	}
	for _, id := range hiding {
		if u, met := t.lookup(tidemark.UserID(id)); met && t.memberOf(u).Active() {
			m := t.ownMember(u, false)
			m.Hidden, m.HiddenSeq, m.Position = true, t.head.Seq, t.env.Position
		}
	}
}

// Content is what an event in log form adds to the chain, and its body; nil if it came without. What makes no sense is
// refused. Only a message or an edit may come without its body: one that was recalled or erased, or that edited such a
// message. Whether it was is for the caller to find out.
func Content(ev *wire.Event) (chain.Link, *wire.Body, *tidemark.Error) {
	link := chain.Link{
		Seq: tidemark.Seq(ev.GetSeq()), ID: tidemark.EventID(ev.GetId()), TimeMs: ev.GetTimeMs(), Sender: tidemark.UserID(ev.GetSender()),
		ClientID: tidemark.ClientID(ev.GetClientId()), Kind: uint8(ev.GetKind()),
	}
	switch {
	case link.Seq == 0 || link.Sender != tidemark.SystemUser && !link.Sender.Valid() || link.ClientID != "" && !link.ClientID.Valid():
		return link, nil, tidemark.Refuse(tidemark.BadArgument, "event %d is no event: its seq, sender or client id cannot be", ev.GetSeq())
	case len(ev.GetBody()) == 0:
		if copy(link.BodyHash[:], ev.GetBodyHash()) != len(link.BodyHash) || ev.GetKind() == 0 || ev.GetKind() > uint32(record.ErasedBody) {
			return link, nil, tidemark.Refuse(tidemark.BadArgument, "event %d has no body, and no hash and kind of one", link.Seq)
		}
		return link, nil, nil
	case len(ev.GetSalt()) != 8:
		return link, nil, tidemark.Refuse(tidemark.BadArgument, "event %d has a body and a salt of %d bytes: 8 are needed", link.Seq, len(ev.GetSalt()))
	}
	body := new(wire.Body)
	if err := body.UnmarshalVT(ev.Body); err != nil || body.Body == nil {
		return link, nil, tidemark.Refuse(tidemark.BadArgument, "the body of event %d cannot be read", link.Seq)
	}
	link.Kind = uint8(wire.BodyKind(body))
	link.BodyHash = chain.BodyHash([8]byte(ev.Salt), ev.Body)
	return link, body, nil
}
