// SPDX-License-Identifier: Apache-2.0

// Replay: what a log says about everything that is kept beside it.

package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// replay is what the events so far amount to.
type replay struct {
	v        *conversation
	info     record.Info
	members  map[record.User]*member
	ordinals map[tidemark.UserID]record.User // of those who are or were members
	active   uint32
	currents map[tidemark.Seq]*record.Current
	mentions map[tidemark.Seq][]record.User            // 0: everybody
	recalls  map[tidemark.Seq]uint64                   // counted ordinals
	blank    map[tidemark.Seq]bool                     // events without content; false: an erasure or a recall has accounted for it
	answers  map[tidemark.Seq]tidemark.Seq             // messages in threads, to their roots
	reacted  map[tidemark.Seq]map[string][]record.User // to messages, by key, ascending
	lost     *losses                                   // nil: not read yet; see readLosses
}

// member is what the log tells of a member.
type member struct {
	role                  record.Role
	joined, visible, left tidemark.Seq
	wrote                 tidemark.Seq      // the last counted event by this user that its read mark must cover
	own                   int               // counted events by this user that its record names as past the mark
	listed                tidemark.Position // of the last joining or leaving
}

func newReplay(v *conversation) *replay {
	return &replay{
		v: v, info: record.Info{Ordinal: v.info.Ordinal, ID: v.info.ID},
		members: make(map[record.User]*member), ordinals: make(map[tidemark.UserID]record.User),
		currents: make(map[tidemark.Seq]*record.Current), mentions: make(map[tidemark.Seq][]record.User),
		recalls: make(map[tidemark.Seq]uint64), blank: make(map[tidemark.Seq]bool),
		answers: make(map[tidemark.Seq]tidemark.Seq), reacted: make(map[tidemark.Seq]map[string][]record.User),
	}
}

// event takes the next event; body is nil if it has none that can be read.
func (r *replay) event(e *record.Event, body *wire.Body) {
	if m := r.members[e.Sender]; m != nil && e.IsCounted {
		switch stored := r.v.stored[e.Sender]; {
		case stored != nil && stored.Own.Has(e.Seq):
			m.own++
		case stored == nil || !stored.Own.Covers(e.Seq):
			m.wrote = e.Seq
		}
	}
	if e.Erased {
		r.blank[e.Seq] = true
		r.loss(e)
	}
	if e.Kind == record.MessageBody {
		r.answer(e, body)
	}
	switch body := body.GetBody().(type) {
	case *wire.Body_Message:
		r.mention(e, body.Message)
	case *wire.Body_Edit:
		r.edit(e, body.Edit)
	case *wire.Body_Recall:
		r.recall(e, tidemark.Seq(body.Recall.Seq))
	case *wire.Body_Erased:
		r.erase(e, tidemark.Seq(body.Erased.Seq))
	case *wire.Body_Reaction:
		r.react(e, body.Reaction)
	case *wire.Body_Pin:
		r.setPin(e, tidemark.Seq(body.Pin.Seq), !body.Pin.Removed)
	case *wire.Body_Members:
		r.memberList(e, body.Members)
	case *wire.Body_Info:
		r.data(body.Info)
		r.attributes(e, body.Info.Attributes)
		r.info.InfoPosition = e.Position
		if body.Info.GetDissolved() {
			r.info.DissolvedSeq = e.Seq
		}
	}
}

// target is the message an event is about; nil, and noted, if there is no such message before it.
func (r *replay) target(e *record.Event, seq tidemark.Seq) *record.Event {
	if seq < e.Seq {
		target, err := r.v.p.Event(r.info.Ordinal, seq)
		if err == nil && target != nil && target.Kind == record.MessageBody {
			return target
		}
	}
	r.v.damaged(e.Seq, "what the event is about", fmt.Sprintf("event %d", seq), "a message before it")
	return nil
}

func (r *replay) current(seq tidemark.Seq) *record.Current {
	if r.currents[seq] == nil {
		r.currents[seq] = new(record.Current)
	}
	return r.currents[seq]
}

// mention keeps whom a message mentions: members who can see it, not its sender.
func (r *replay) mention(e *record.Event, m *wire.Message) {
	if !e.IsCounted || r.info.Kind == record.Room {
		return
	}
	var users []record.User
	if m.GetMentionAll() {
		users = append(users, 0)
	}
	for _, name := range m.GetMentions() {
		u, known := r.ordinals[tidemark.UserID(name)]
		if m := r.members[u]; known && m.left == 0 && u != e.Sender && m.visible <= e.Seq && !slices.Contains(users, u) {
			users = append(users, u)
		}
	}
	delete(r.mentions, e.Seq)
	if len(users) > 0 {
		r.mentions[e.Seq] = users
	}
}

func (r *replay) edit(e *record.Event, edit *wire.Edit) {
	target := r.target(e, tidemark.Seq(edit.Seq))
	if target == nil {
		return
	}
	current := r.current(target.Seq)
	current.EditSeq, current.Edits = e.Seq, append(current.Edits, e.Seq)
	shown := wire.Body{Body: &wire.Body_Message{Message: edit.Message}}
	if edit.Message != nil {
		edit.Message.Thread = uint64(r.answers[target.Seq])
	}
	edited, err := shown.MarshalVT()
	if err != nil {
		r.v.damaged(e.Seq, "body", err, "a message that can be encoded")
	}
	current.Edited = edited
	r.mention(target, edit.Message)
}

// recall withdraws a message. Only the first recall of a message says anything.
func (r *replay) recall(e *record.Event, seq tidemark.Seq) {
	target := r.target(e, seq)
	if target == nil || r.current(seq).RecallSeq > 0 {
		return
	}
	current := r.current(seq)
	current.RecallSeq = e.Seq
	r.withdraw(e, target, current)
	r.blank[seq] = false
	for _, edit := range current.Edits {
		*r.current(edit) = record.Current{RecallSeq: e.Seq}
	}
}

// losses are the messages that were given back without their content, or with an edit's missing, and the edits that came
// without. Both show nothing until what took the content away comes, too. That it was so, the stored current forms tell.
type losses struct {
	messages map[tidemark.Seq]bool         // with their content or without
	edits    map[tidemark.Seq]tidemark.Seq // of such messages, to them
}

// readLosses reads them, once there is an event without content.
func (r *replay) readLosses() *losses {
	if r.lost != nil {
		return r.lost
	}
	r.lost = &losses{messages: make(map[tidemark.Seq]bool), edits: make(map[tidemark.Seq]tidemark.Seq)}
	err := r.v.p.Currents(r.info.Ordinal, 0, store.SeqMax, func(seq tidemark.Seq, stored *record.Current) bool {
		if stored.IsLost {
			r.lost.messages[seq] = true
			for _, edit := range stored.Edits {
				r.lost.edits[edit] = seq
			}
		}
		return true
	})
	if err != nil {
		r.v.damaged(0, "current forms", err, "rows that can be read")
	}
	return r.lost
}

// loss accounts for an event that came back without its content.
func (r *replay) loss(e *record.Event) {
	of, isEdit := r.readLosses().edits[e.Seq]
	switch {
	case e.Kind == record.MessageBody && r.lost.messages[e.Seq]:
		r.current(e.Seq).IsLost = true
		r.uncount(e)
	case e.Kind == record.EditBody && isEdit:
		target := r.target(e, of)
		if target == nil {
			return
		}
		current := r.current(of)
		if !current.IsLost {
			r.withdraw(e, target, current)
		}
		current.IsLost, current.EditSeq, current.Edits = true, e.Seq, append(current.Edits, e.Seq)
		for _, edit := range current.Edits {
			*r.current(edit) = record.Current{IsLost: true}
		}
	default:
		return
	}
	r.blank[e.Seq] = false
}

// erase withdraws a message for good: it and its edits have no content any more. The edits' own bodies, which named
// the message, are gone, so the stored current form tells which they are; each must agree.
func (r *replay) erase(e *record.Event, seq tidemark.Seq) {
	target := r.target(e, seq)
	if target == nil {
		return
	}
	if !target.Erased {
		r.v.damaged(seq, "content", "there", fmt.Sprintf("gone: event %d erased it", e.Seq))
	}
	current := r.current(seq)
	r.withdraw(e, target, current)
	current.EraseSeq = e.Seq
	r.blank[seq] = false
	stored, err := r.v.p.Current(r.info.Ordinal, seq)
	if err != nil || stored == nil {
		return // noted when current forms are compared
	}
	for _, edit := range stored.Edits {
		if blank, there := r.blank[edit]; there && !blank && slices.Contains(current.Edits, edit) { // lost before
			*r.current(edit) = record.Current{RecallSeq: current.RecallSeq, EraseSeq: e.Seq}
			continue
		}
		if blank, there := r.blank[edit]; !there || !blank {
			r.v.damaged(edit, "content", "there, or erased twice", fmt.Sprintf("an edit of event %d, gone: event %d erased it", seq, e.Seq))
			continue
		}
		r.blank[edit] = false
		current.EditSeq, current.Edits = edit, append(current.Edits, edit)
		*r.current(edit) = record.Current{RecallSeq: current.RecallSeq, EraseSeq: e.Seq}
	}
}

func (r *replay) withdraw(by, target *record.Event, current *record.Current) {
	r.setPin(by, target.Seq, false)
	delete(r.reacted, target.Seq)
	current.Edited, current.Reactions = nil, nil
	delete(r.mentions, target.Seq)
	r.uncount(target)
}

func (r *replay) uncount(e *record.Event) {
	if e.IsCounted {
		r.recalls[e.Seq] = e.Counted
	}
}

func (r *replay) memberList(e *record.Event, list *wire.Members) {
	if list.Created != nil {
		r.info.Kind = record.Kind(list.Created.Kind)
		r.info.CreatedMs, r.info.InfoPosition = e.TimeMs, e.Position
		r.data(list.Created)
	}
	r.info.MembersPosition = e.Position
	for _, name := range list.Added {
		m := &member{role: record.MemberRole, joined: e.Seq, visible: e.Seq, listed: e.Position}
		if r.info.Settings.HistoryFromStart || r.info.Kind == record.Room {
			m.visible = 1
		}
		if u, ok := r.ordinal(e, name); ok {
			r.members[u] = m
			r.active++
		}
	}
	for _, name := range list.Removed {
		if r.info.Kind == record.Room && !r.isMember(tidemark.UserID(name)) {
			continue // was only in it
		}
		if u, ok := r.ordinal(e, name); ok && r.members[u] != nil && r.members[u].left == 0 {
			r.members[u].left, r.members[u].listed = e.Seq, e.Position
			r.active--
		} else if ok {
			r.v.damaged(e.Seq, "who is removed", name, "a member")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(list.Roles)) {
		if u, ok := r.ordinal(e, name); ok && r.members[u] != nil {
			r.members[u].role = record.Role(list.Roles[name])
		}
	}
}

// isMember reports whether the log says that a user is a member now.
func (r *replay) isMember(id tidemark.UserID) bool {
	m := r.members[r.ordinals[id]]
	return m != nil && m.left == 0
}

// ordinal is that of a user whom the log names as a member.
func (r *replay) ordinal(e *record.Event, name string) (record.User, bool) {
	id := tidemark.UserID(name)
	if u, known := r.ordinals[id]; known {
		return u, true
	}
	u, found, err := r.v.p.User(id)
	if err != nil || !found {
		r.v.damaged(e.Seq, "ordinal of user "+name, "none", "one, as for every member")
		return 0, false
	}
	r.ordinals[id] = u
	return u, true
}

func (r *replay) data(info *wire.Info) {
	if info.Title != nil {
		r.info.Title = *info.Title
	}
	if info.Avatar != nil {
		r.info.Avatar = *info.Avatar
	}
	custom := make(map[string]string)
	maps.Copy(custom, r.info.Custom)
	maps.Copy(custom, info.Custom)
	maps.DeleteFunc(custom, func(_, value string) bool { return value == "" })
	r.info.Custom = custom
	if info.Announcement != nil {
		r.info.Announcement = *info.Announcement
	}
	if info.Settings != nil {
		r.info.Settings = core.SettingsOf(info.Settings)
	}
}

// attributes applies a change of a room's attributes.
func (r *replay) attributes(e *record.Event, set []*wire.Attribute) {
	for _, a := range set {
		i, found := slices.BinarySearchFunc(r.info.Attributes, a.Key, func(b record.Attribute, key string) int {
			return strings.Compare(b.Key, key)
		})
		if found {
			r.info.Attributes = slices.Delete(r.info.Attributes, i, i+1)
		}
		if a.Value == "" {
			continue
		}
		owner, found, err := r.v.p.User(tidemark.UserID(a.Owner))
		if err != nil || !found {
			r.v.damaged(e.Seq, "ordinal of user "+a.Owner, "none", "one, as for every owner of an attribute")
		}
		r.info.Attributes = slices.Insert(r.info.Attributes, i, record.Attribute{
			Key: a.Key, Value: a.Value, Owner: owner, AutoDelete: a.AutoDelete,
		})
	}
}
