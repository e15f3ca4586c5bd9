// SPDX-License-Identifier: Apache-2.0

// Conversations: creating a group, channel or room, and changing its public data.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// begin makes the conversation of the turn: a new ordinal, an empty log.
func (t *turn) begin(info *record.Info) {
	t.partition.Conversations++
	info.Ordinal = t.partition.Conversations
	info.InfoPosition, info.MembersPosition = t.env.Position, t.env.Position
	t.info, t.infoOwned = info, true
	t.out.Infos = append(t.out.Infos, info)
	t.head, t.headOwned = &record.Head{Digest: chain.Start(info.ID)}, true
}

// ownInfo is the conversation's public data as this command changes it.
func (t *turn) ownInfo() *record.Info {
	if !t.infoOwned {
		info := *t.info
		t.info, t.infoOwned = &info, true
		t.out.Infos = append(t.out.Infos, t.info)
	}
	return t.info
}

// handleCreate makes a conversation with one event, which says as what it was created and who its members are.
func (t *turn) handleCreate(cmd *Create) Reply {
	if err := t.identify(cmd.Actor); err != nil {
		return Reply{Err: err}
	}
	members, owner, err := t.founders(cmd)
	if err != nil {
		return Reply{Err: err}
	}
	info, err := t.checkCreate(cmd)
	if err != nil {
		return Reply{Err: err}
	}
	if _, taken := t.view.Conversation(cmd.Conversation); taken {
		return refuse(tidemark.AlreadyExists, "there is a conversation %q already", cmd.Conversation)
	}
	if err := cmd.Unwilling.check(members); err != nil {
		return Reply{Err: err}
	}
	t.begin(info)
	if err := t.canAdmit(members); err != nil {
		return Reply{Err: err}
	}
	body := wire.Members{Added: texts(members), Created: created(cmd, info)}
	if owner != "" {
		body.Roles = map[string]wire.Role{string(owner): wire.Role_OWNER}
	}
	e, err := t.writeMembers(&body, "", t.writer, t.ordinal(t.writer), info.CreatedMs)
	if err != nil {
		return Reply{Err: err}
	}
	reply := answer(e)
	reply.Created, reply.Members, reply.Info = true, t.head.Members, info
	return reply
}

// founders are the first members, the owner before all others.
func (t *turn) founders(cmd *Create) (members []tidemark.UserID, owner tidemark.UserID, err *tidemark.Error) {
	owner = cmd.Owner
	switch {
	case owner == "" && !t.full:
		owner = t.writer
	case owner != "" && owner != t.writer && !cmd.Actor.App:
		return nil, "", tidemark.Refuse(tidemark.NotAllowed, "who creates a conversation owns it; "+
			"only the app's back end gives it to somebody else")
	}
	members = cmd.Members
	if owner != "" {
		members = append([]tidemark.UserID{owner}, members...)
	}
	members, err = distinct(members)
	return members, owner, err
}

// checkCreate checks the public data of a new conversation and returns them as they will be stored.
func (t *turn) checkCreate(cmd *Create) (*record.Info, *tidemark.Error) {
	if !cmd.Conversation.Valid() {
		return nil, tidemark.Refuse(tidemark.BadArgument, "conversation %q is not an id: it takes %s",
			cmd.Conversation, tidemark.IDAlphabet)
	}
	if err := t.checkSettings(cmd.Settings); err != nil {
		return nil, err
	}
	info := &record.Info{
		ID: cmd.Conversation, Kind: cmd.Kind, Title: cmd.Title, Avatar: cmd.Avatar, Custom: withoutEmpty(cmd.Custom),
		CreatedMs: t.env.NowMs,
	}
	if cmd.CreatedMs > 0 {
		if !t.full || cmd.CreatedMs > t.env.NowMs {
			return nil, tidemark.Refuse(tidemark.BadArgument,
				"createdMs %d: only the app's back end gives it, and in the past", cmd.CreatedMs)
		}
		info.CreatedMs = cmd.CreatedMs
	}
	switch info.Kind {
	case 0:
		info.Kind = record.Group
	case record.Group, record.Channel, record.Room:
	default:
		return nil, tidemark.Refuse(tidemark.BadArgument, "kind %d cannot be created: a group, a channel or a room can; "+
			"a direct conversation begins with its first message", cmd.Kind)
	}
	if cmd.Settings != nil {
		info.Settings = SettingsOf(cmd.Settings)
	}
	return info, t.checkInfo(&cmd.Title, &cmd.Avatar, cmd.Custom)
}

// checkInfo holds the limits of public data; what is nil is not given.
func (t *turn) checkInfo(title, avatar *string, custom map[string]string) *tidemark.Error {
	if title != nil {
		if err := checkText("title", *title, t.limits.TitleBytesMax); err != nil {
			return err
		}
	}
	if avatar != nil {
		if err := checkText("avatar", *avatar, avatarBytesMax); err != nil {
			return err
		}
	}
	return t.checkCustom(custom)
}

// membersNow is how many members the conversation of the turn has; 0 while there is none.
func (t *turn) membersNow() int {
	if t.head == nil {
		return 0
	}
	return int(t.head.Members)
}

// created is what the first event says about the conversation.
func created(cmd *Create, info *record.Info) *wire.Info {
	b := &wire.Info{Kind: wire.Kind(info.Kind), Custom: info.Custom}
	if info.Title != "" {
		b.Title = &info.Title
	}
	if info.Avatar != "" {
		b.Avatar = &info.Avatar
	}
	if cmd.Settings != nil {
		b.Settings = WireSettings(info.Settings)
	}
	return b
}

// handleUpdate appends one event that tells what changed; if nothing did, none. A change of settings holds for those
// who join from now on.
func (t *turn) handleUpdate(cmd *Update) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	return t.update(cmd)
}

// update is handleUpdate for an asker who has entered.
func (t *turn) update(cmd *Update) Reply {
	if err := t.mayUpdate(cmd); err != nil {
		return Reply{Err: err}
	}
	if err := t.checkInfo(cmd.Title, cmd.Avatar, cmd.Custom); err != nil {
		return Reply{Err: err}
	}
	if err := t.checkSettings(cmd.Settings); err != nil {
		return Reply{Err: err}
	}
	if cmd.Announcement != nil {
		if err := checkText("announcement", *cmd.Announcement, announcementBytesMax); err != nil {
			return Reply{Err: err}
		}
	}
	body := updated(t.info, cmd)
	if body == nil {
		return t.unchanged()
	}
	if err := t.checkCustom(merged(t.info.Custom, body.Custom)); err != nil {
		return Reply{Err: err}
	}
	return t.changeInfo(body)
}

// mayUpdate asks for the right to each sort of data that is given. Settings are given whole, so that what counts is
// which of them differ.
func (t *turn) mayUpdate(cmd *Update) *tidemark.Error {
	if cmd.Settings == nil || cmd.Title != nil || cmd.Avatar != nil || len(cmd.Custom) > 0 || cmd.Announcement != nil {
		if err := t.may(ToChangeData); err != nil || cmd.Settings == nil {
			return err
		}
	}
	rules, rights := settingsDiffer(t.info.Settings, SettingsOf(cmd.Settings))
	if rights {
		if err := t.may(ToChangeRights); err != nil || !rules {
			return err
		}
	}
	return t.may(ToChangeRules)
}

// changeInfo appends an event that changes public data.
func (t *turn) changeInfo(body *wire.Info) Reply {
	e := t.write("", record.InfoBody, wire.MarshalBody(&wire.Body{Body: &wire.Body_Info{Info: body}}), false)
	t.infoTakesEffect(e, body)
	reply := answer(e)
	reply.Members, reply.Info = t.head.Members, t.info
	return reply
}

// handleDissolve ends a conversation with one event and no write for each member. Its members stay, can read and can
// leave. Doing it again changes nothing.
func (t *turn) handleDissolve(cmd *Dissolve) Reply {
	if err := t.enter(cmd.Actor, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToDissolve); err != nil {
		return Reply{Err: err}
	}
	if t.info.DissolvedSeq > 0 {
		return t.unchanged()
	}
	return t.changeInfo(&wire.Info{Dissolved: true})
}

// updated is the body that tells of an update: only what really changes. nil says that nothing does.
func updated(info *record.Info, cmd *Update) *wire.Info {
	body, changed := new(wire.Info), false
	if cmd.Title != nil && *cmd.Title != info.Title {
		body.Title, changed = cmd.Title, true
	}
	if cmd.Avatar != nil && *cmd.Avatar != info.Avatar {
		body.Avatar, changed = cmd.Avatar, true
	}
	if set := difference(info.Custom, merged(info.Custom, cmd.Custom)); set != nil {
		body.Custom, changed = set, true
	}
	if s := cmd.Settings; s != nil && SettingsOf(s) != info.Settings {
		body.Settings, changed = WireSettings(SettingsOf(s)), true
	}
	if a := cmd.Announcement; a != nil && *a != info.Announcement {
		body.Announcement, changed = a, true
	}
	if !changed {
		return nil
	}
	return body
}
