// SPDX-License-Identifier: Apache-2.0

// Rights: who may do what. One table, one function that reads it, and no check of a role anywhere else.

package core

import (
	"math"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Action is one thing that is done in a conversation and takes a right: a row of the table of rights.
type Action uint8

// The actions.
const (
	ToPost Action = iota
	ToMentionAll
	ToEditOwn
	ToEditOthers
	ToRecallOwn
	ToRecallOthers
	ToEraseOwn
	ToEraseOthers
	ToReact
	ToPin
	ToRead
	ToChangeData
	ToChangeRules
	ToChangeRights
	ToInvite
	ToAnswerJoin
	ToRemove
	ToMute
	ToSetRole
	ToMakeOwner
	ToTransfer
	ToDissolve
	ToJoin
	ToLeave
	ToSetAttributes
	ToSetOthersAttributes
	ToImport
)

// Values of [Right.Least] that are no roles of members.
const (
	Anybody record.Role = 0 // also who is no member
	AppOnly record.Role = 4 // the app's back end in its own name
	Nobody  record.Role = 5 // it makes no sense in this kind of conversation
)

const (
	member = record.MemberRole
	admin  = record.AdminRole
	owner  = record.OwnerRole
)

// Right is a row of the table of rights.
type Right struct {
	What    string         // what is done: "post", "add members"
	Least   [4]record.Role // the lowest role that may, in a direct conversation, group, channel, room
	Setting RoleSetting    // names another role, where it is set
	Only    bool           // Setting can only raise the role
	Policy  bool           // whether the settings' join policy lets anybody join counts too
	Keeps   Keeps          // what keeps members from it
	Lower   bool           // it is done to members, and only to those of a lower role than one's own
	Ended   bool           // it can be done when the conversation is dissolved
}

// RoleSetting is one of the settings that say which role may do something; it takes the place of the table's.
type RoleSetting uint8

// The settings of roles.
const (
	NoSetting RoleSetting = iota
	PostSetting
	InviteSetting
	EditSetting
	PinSetting
	MentionAllSetting
)

// String is the setting's name on the wire; of NoSetting, nothing.
func (s RoleSetting) String() string {
	return [...]string{"", "post", "invite", "edit", "pin", "mention_all"}[s]
}

// of is the role that a setting names; 0 if it is not set.
func (s RoleSetting) of(settings *record.Settings) record.Role {
	switch s {
	case PostSetting:
		return settings.Post
	case InviteSetting:
		return settings.Invite
	case EditSetting:
		return settings.Edit
	case PinSetting:
		return settings.Pin
	case MentionAllSetting:
		return settings.MentionAll
	}
	return 0
}

// Keeps is a set of what keeps members from doing something.
type Keeps uint8

// What may keep a member from something.
const (
	Silence  Keeps = 1 << iota // the member, of whatever role, was silenced for a time
	MuteAll                    // all of role MEMBER were
	SlowMode                   // the last message of a member of role MEMBER was too short a time ago
)

// rights is the table. Whoever adds an action adds its row here, to the expectations of the test, and to docs/rights.md.
var rights = [...]Right{
	//                      direct   group    channel  room
	ToPost:         {What: "post", Least: [4]record.Role{member, member, admin, member}, Setting: PostSetting, Keeps: Silence | MuteAll | SlowMode},
	ToMentionAll:   {What: "mention everybody", Least: [4]record.Role{member, member, member, member}, Setting: MentionAllSetting},
	ToEditOwn:      {What: "edit messages", Least: [4]record.Role{member, member, admin, member}, Setting: PostSetting, Keeps: Silence | MuteAll},
	ToEditOthers:   {What: "edit the messages of others", Least: [4]record.Role{AppOnly, AppOnly, AppOnly, AppOnly}},
	ToRecallOwn:    {What: "recall messages", Least: [4]record.Role{member, member, member, member}},
	ToRecallOthers: {What: "recall the messages of others", Least: [4]record.Role{AppOnly, admin, admin, admin}},
	ToEraseOwn:     {What: "erase messages", Least: [4]record.Role{member, member, member, member}, Ended: true},
	ToEraseOthers:  {What: "erase the messages of others", Least: [4]record.Role{AppOnly, AppOnly, AppOnly, AppOnly}, Ended: true},
	ToReact:        {What: "react", Least: [4]record.Role{member, member, member, member}, Keeps: Silence},
	ToPin:          {What: "pin", Least: [4]record.Role{member, admin, admin, admin}, Setting: PinSetting, Keeps: Silence},
	ToRead:         {What: "move a read mark or change settings of one's own", Least: [4]record.Role{member, member, member, Nobody}, Ended: true},

	ToChangeData:   {What: "change the data", Least: [4]record.Role{Nobody, admin, admin, admin}, Setting: EditSetting, Keeps: Silence},
	ToChangeRules:  {What: "change the rules", Least: [4]record.Role{Nobody, admin, admin, admin}},
	ToChangeRights: {What: "change who may do what", Least: [4]record.Role{Nobody, owner, owner, owner}},
	ToInvite:       {What: "add members", Least: [4]record.Role{Nobody, admin, admin, admin}, Setting: InviteSetting},
	ToAnswerJoin:   {What: "answer requests to join", Least: [4]record.Role{Nobody, admin, admin, Nobody}, Setting: InviteSetting, Only: true},
	ToRemove:       {What: "remove members", Least: [4]record.Role{Nobody, admin, admin, admin}, Lower: true, Ended: true},
	ToMute:         {What: "mute members", Least: [4]record.Role{Nobody, admin, admin, admin}, Lower: true},
	ToSetRole:      {What: "change roles", Least: [4]record.Role{Nobody, owner, owner, owner}, Lower: true},
	ToMakeOwner:    {What: "make owners", Least: [4]record.Role{Nobody, AppOnly, AppOnly, AppOnly}},
	ToTransfer:     {What: "transfer the ownership", Least: [4]record.Role{Nobody, owner, owner, owner}},
	ToDissolve:     {What: "dissolve the conversation", Least: [4]record.Role{Nobody, owner, owner, owner}, Ended: true},
	ToJoin:         {What: "join", Least: [4]record.Role{Nobody, Anybody, Anybody, Nobody}, Policy: true},
	ToLeave:        {What: "leave", Least: [4]record.Role{Nobody, member, member, member}, Ended: true},

	ToSetAttributes:       {What: "set attributes", Least: [4]record.Role{Nobody, Nobody, Nobody, member}, Keeps: Silence},
	ToSetOthersAttributes: {What: "change the attributes of others", Least: [4]record.Role{Nobody, Nobody, Nobody, admin}},
	ToImport:              {What: "import", Least: [4]record.Role{Nobody, AppOnly, AppOnly, Nobody}},
}

// Rights is a copy of the table of rights, a row for each [Action].
func Rights() []Right {
	return append([]Right{}, rights[:]...)
}

// Asker is who asks, as the table of rights sees it.
type Asker struct {
	User            tidemark.UserID
	App             bool        // the app's back end in its own name: it needs no role
	Role            record.Role // 0: no member
	SilencedUntilMs uint64
	LastPostMs      uint64
}

// AskerOf is a user with its record in a conversation; nil, or one that has left, is no member. The empty user is the app.
func AskerOf(user tidemark.UserID, m *record.Member) Asker {
	who := Asker{User: user, App: user == ""}
	if m.Active() {
		who.Role, who.SilencedUntilMs, who.LastPostMs = m.Role, m.SilencedUntilMs, m.LastPostMs
	}
	return who
}

// May refuses who may not do something in a conversation: with NOT_ALLOWED where the role is too low or the kind of
// conversation does not have it, NOT_MEMBER, READ_ONLY once it is dissolved, MUTED, and RATE_LIMITED with the time to
// wait. It is the only reader of the table.
func May(info *record.Info, who Asker, action Action, nowMs uint64) *tidemark.Error {
	r := &rights[action]
	least := r.least(info)
	switch {
	case least == Nobody:
		return tidemark.Refuse(tidemark.NotAllowed, "%s is a %s: nobody can %s", info.ID, kindName(info.Kind), r.What)
	case !who.App && who.Role == 0 && least != Anybody:
		return tidemark.Refuse(tidemark.NotMember, "%s is not a member of %s", who.User, info.ID)
	case info.DissolvedSeq > 0 && !r.Ended:
		return tidemark.Refuse(tidemark.ReadOnly, "%s was dissolved by event %d: its history can be read, and nobody writes any more",
			info.ID, info.DissolvedSeq)
	case who.App:
		return nil
	case least == AppOnly:
		return tidemark.Refuse(tidemark.NotAllowed, "only the app's back end may %s in %s", r.What, info.ID)
	case who.Role < least:
		return tidemark.Refuse(tidemark.NotAllowed, "%s may not %s in %s: that takes role %s", who.User, r.What, info.ID, least)
	case r.Policy && joinPolicy(info) == wire.JoinPolicy_INVITE:
		return tidemark.Refuse(tidemark.NotAllowed, "%s is not open: a member of role %s can add %s",
			info.ID, rights[ToInvite].least(info), who.User)
	}
	return r.kept(info, who, nowMs)
}

// least is the lowest role that may, in this conversation.
func (r *Right) least(info *record.Info) record.Role {
	least := r.Least[info.Kind-record.Direct]
	set := r.Setting.of(&info.Settings)
	switch {
	case set == 0 || least == Nobody || info.Kind == record.Direct:
		return least
	case r.Only:
		return max(least, set)
	}
	return set
}

// kept refuses who is silenced, and members of role MEMBER when everybody is muted or they are too fast. A clock that
// stepped back makes nobody wait.
func (r *Right) kept(info *record.Info, who Asker, nowMs uint64) *tidemark.Error {
	slow := uint64(info.Settings.SlowModeMs)
	switch {
	case r.Keeps&Silence != 0 && who.SilencedUntilMs > nowMs:
		wait := who.SilencedUntilMs - nowMs
		err := tidemark.Refuse(tidemark.Muted, "%s is muted in %s for another %d ms, until %d (ms since 1970)",
			who.User, info.ID, wait, who.SilencedUntilMs)
		err.RetryAfterMs = uint32(min(wait, math.MaxUint32))
		return err
	case who.Role > member:
		return nil
	case r.Keeps&MuteAll != 0 && info.Settings.MuteAll:
		return tidemark.Refuse(tidemark.Muted, "everybody is muted in %s: only its admins and its owner post", info.ID)
	case r.Keeps&SlowMode != 0 && slow > 0 && nowMs >= who.LastPostMs && nowMs-who.LastPostMs < slow:
		wait := slow - (nowMs - who.LastPostMs)
		err := tidemark.Refuse(tidemark.RateLimited, "%s has slow mode, one message in %d ms: wait another %d ms", info.ID, slow, wait)
		err.RetryAfterMs = uint32(wait)
		return err
	}
	return nil
}

// may refuses the asker of this turn what the table of rights does not give.
func (t *turn) may(action Action) *tidemark.Error {
	who := Asker{User: t.writer, App: t.full}
	if !t.full {
		who = AskerOf(t.writer, t.member)
	}
	return May(t.info, who, action, t.env.NowMs)
}

// mayTo is may for what is done to a member: m is its record.
func (t *turn) mayTo(action Action, verb string, id tidemark.UserID, m *record.Member) *tidemark.Error {
	if err := t.may(action); err != nil {
		return err
	}
	if !t.full && rights[action].Lower && m.Role >= t.member.Role {
		return tidemark.Refuse(tidemark.NotAllowed, "%s has role %s and cannot %s %s, who has role %s",
			t.writer, t.member.Role, verb, id, m.Role)
	}
	return nil
}

// mayOf is may for what is done to a message: own by its sender, others by anybody else.
func (t *turn) mayOf(e *record.Event, own, others Action) *tidemark.Error {
	if e.Sender == t.user {
		return t.may(own)
	}
	return t.may(others)
}

// joinPolicy is how anybody may join on their own: as the settings say, else as the kind of conversation has it.
func joinPolicy(info *record.Info) wire.JoinPolicy {
	switch policy := wire.JoinPolicy(info.Settings.Join); {
	case policy != wire.JoinPolicy_JOIN_DEFAULT:
		return policy
	case info.Kind == record.Channel || info.Kind == record.Room:
		return wire.JoinPolicy_OPEN
	}
	return wire.JoinPolicy_INVITE
}

// kindName is a kind of conversation, for messages to people.
func kindName(kind record.Kind) string {
	return [...]string{record.Direct: "direct conversation", record.Group: "group", record.Channel: "channel", record.Room: "room"}[kind]
}
