// SPDX-License-Identifier: Apache-2.0

// What an event does once it is in the log: to the message that it is about, to the members, to the public data. Each sort
// of event takes effect here and nowhere else, whether it was decided on just now or was lost and is taken back.

package core

import (
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// about is the message that another event is about, as it was before that event.
type about struct {
	event   *record.Event
	current *record.Current // a copy: the event changes it
	shown   *wire.Message   // what the message shows; nil: not needed
}

// messageTakesEffect indexes whom a message mentions, if it counts, and adds it to its thread.
func (t *turn) messageTakesEffect(e *record.Event, m *wire.Message) {
	if e.IsCounted {
		t.mention(m, e.Seq, e.SenderID)
	}
	t.answered(m, e.Seq)
}

// editTakesEffect lets a message show what an edit says.
func (t *turn) editTakesEffect(written *record.Event, of about, m *wire.Message) {
	e, current := of.event, of.current
	if e.IsCounted {
		t.unmention(of.shown, e.Seq)
		t.mention(m, e.Seq, e.SenderID)
	}
	current.EditSeq = written.Seq
	current.Edits = append(slices.Clip(current.Edits), written.Seq)
	current.Edited = edited(m, of.shown)
	t.setCurrent(e.Seq, current)
}

// recallTakesEffect takes a message back. Only the first recall of a message does anything.
func (t *turn) recallTakesEffect(written *record.Event, of about) {
	e, current := of.event, of.current
	if current.RecallSeq > 0 {
		return
	}
	t.withdraw(of)
	current.RecallSeq = written.Seq
	t.setCurrent(e.Seq, current)
	for _, seq := range current.Edits {
		t.setCurrent(seq, &record.Current{RecallSeq: written.Seq})
	}
}

// erasureTakesEffect drops the content of a message and of its edits.
func (t *turn) erasureTakesEffect(written *record.Event, of about) {
	e, current := of.event, of.current
	t.withdraw(of)
	current.EraseSeq = written.Seq
	t.setCurrent(e.Seq, current)
	if !e.Erased {
		t.blank(e)
	}
	for _, seq := range current.Edits {
		t.setCurrent(seq, &record.Current{RecallSeq: current.RecallSeq, EraseSeq: written.Seq})
		if edit, kept := t.view.Event(t.info.Ordinal, seq); kept && !edit.Erased {
			t.blank(edit)
		}
	}
}

// withdraw takes away everything that depends on a message's being shown: it no longer counts as unread, mentions
// nobody, and its current form keeps no content, pin or reaction. Where it is withheld already, there is no more to it.
func (t *turn) withdraw(of about) {
	e, current := of.event, of.current
	if current.IsWithheld() {
		return
	}
	if e.IsCounted {
		t.unmention(of.shown, e.Seq)
	}
	t.uncount(e)
	t.unanswered(of.shown)
	t.unpin(e.Seq)
	if len(current.Reactions) > 0 {
		t.out.Indexes = append(t.out.Indexes, record.IndexChange{Removed: true, Index: record.Index{
			Kind: record.ReactionIndex, Conversation: t.info.Ordinal, Seq: e.Seq,
		}})
	}
	current.Edited, current.PinSeq, current.Reactions = nil, 0, nil
}

// uncount takes a message out of what is unread.
func (t *turn) uncount(e *record.Event) {
	if e.IsCounted {
		t.out.Recalls = append(t.out.Recalls, record.RecallChange{
			Conversation: t.info.Ordinal, Seq: e.Seq, Counted: e.Counted,
		})
		t.ownHead().Recalled++
	}
}

// reactionTakesEffect counts a reaction of the asking user, or its removal, if it changes anything.
func (t *turn) reactionTakesEffect(to about, reaction *wire.Reaction) {
	e, current := to.event, to.current
	if !t.reacts(e.Seq, reaction) {
		return
	}
	if reaction.Removed {
		current.Reactions = t.withoutReaction(e.Seq, current.Reactions, reaction.Key)
	} else {
		current.Reactions = withReaction(current.Reactions, reaction.Key, t.user)
	}
	t.index(record.Index{
		Kind: record.ReactionIndex, Conversation: t.info.Ordinal, Seq: e.Seq, ID: reaction.Key, User: t.user,
	}, reaction.Removed)
	t.setCurrent(e.Seq, current)
}

// pinTakesEffect pins a message, or takes the pin away, if that changes anything.
func (t *turn) pinTakesEffect(written *record.Event, of about, pin *wire.Pin) {
	e, current := of.event, of.current
	if current.PinSeq > 0 != pin.Removed {
		return
	}
	t.unpin(e.Seq)
	current.PinSeq = 0
	if !pin.Removed {
		current.PinSeq = written.Seq
		t.ownInfo().Pins = append(slices.Clip(t.info.Pins), e.Seq)
	}
	t.ownInfo().InfoPosition = t.env.Position
	t.setCurrent(e.Seq, current)
}

// membersTakeEffect changes the member list by the event just appended: who comes, with the role that is named, who goes,
// and who among the others gets another role.
func (t *turn) membersTakeEffect(body *wire.Members) {
	t.ownInfo().MembersPosition = t.env.Position
	for _, id := range body.Added {
		t.admit(t.ordinal(tidemark.UserID(id)), max(record.Role(body.Roles[id]), record.MemberRole))
	}
	for _, id := range body.Removed {
		if u, met := t.lookup(tidemark.UserID(id)); met {
			t.dismiss(u)
		}
	}
	if len(body.Added) > 0 {
		return // the roles are theirs
	}
	for _, id := range slices.Sorted(maps.Keys(body.Roles)) {
		t.setRole(t.ordinal(tidemark.UserID(id)), record.Role(body.Roles[id]))
	}
}

// infoTakesEffect changes the conversation's public data.
func (t *turn) infoTakesEffect(e *record.Event, body *wire.Info) {
	info := t.ownInfo()
	t.describe(info, body)
	info.InfoPosition = t.env.Position
	if body.Dissolved {
		info.DissolvedSeq = e.Seq
	}
}

// describe puts what an event says of a conversation into its public data.
func (t *turn) describe(info *record.Info, body *wire.Info) {
	if body.Title != nil {
		info.Title = *body.Title
	}
	if body.Avatar != nil {
		info.Avatar = *body.Avatar
	}
	if len(body.Custom) > 0 {
		info.Custom = merged(info.Custom, body.Custom)
	}
	if body.Announcement != nil {
		info.Announcement = *body.Announcement
	}
	if body.Settings != nil {
		info.Settings = SettingsOf(body.Settings)
	}
	if len(body.Attributes) > 0 {
		info.Attributes = t.attributes(info.Attributes, body.Attributes)
	}
}

// attributes are a room's attributes after a change; those given are not changed.
func (t *turn) attributes(before []record.Attribute, set []*wire.Attribute) []record.Attribute {
	after := slices.Clone(before)
	for _, a := range set {
		i, found := findAttribute(after, a.Key)
		if found {
			after = slices.Delete(after, i, i+1)
		}
		if a.Value != "" {
			after = slices.Insert(after, i, record.Attribute{
				Key: a.Key, Value: a.Value, Owner: t.ordinal(tidemark.UserID(a.Owner)), AutoDelete: a.AutoDelete,
			})
		}
	}
	return after
}
