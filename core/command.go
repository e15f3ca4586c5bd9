// SPDX-License-Identifier: Apache-2.0

// The commands: everything that can be asked of a partition. One command touches one partition only.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Command is one of the command types below; the set is closed.
type Command interface{ command() }

// Env is what the world gives to an evaluation: time and entropy come in as values.
type Env struct {
	NowMs     uint64
	Salt      [8]byte           // fresh random bytes: the salt of the event, or where there are several what theirs are made from
	Position  tidemark.Position // of the commit that is being built
	Partition uint32            // this partition's number, part of every id
	Limits    *tidemark.Limits  // complete (Limits.WithDefaults); nil: the defaults

	// TakeBackMs is for how long yet lost events are taken back; 0: not. Meanwhile nothing but [GiveBack] appends an event.
	TakeBackMs uint64
}

// Actor is who asks. App is the app's back end with the admin key. Without a User it may do everything, and the events
// it causes are written by [tidemark.SystemUser]; with a User it acts for that user, with that user's rights.
type Actor struct {
	User tidemark.UserID
	App  bool
}

// Submit appends what a user writes. To a direct conversation that does not exist yet, it creates it.
type Submit struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	ClientID     tidemark.ClientID
	Message      *wire.Message // exactly one of these five
	Edit         *wire.Edit
	Recall       *wire.Recall
	Reaction     *wire.Reaction
	Pin          *wire.Pin
	Seen         *wire.Seen

	// ContactsOnly: in a direct conversation only a contact may write to the other user. Whoever queues the command has
	// looked up what the server and the other user have chosen.
	ContactsOnly bool
	Forward      *Verdict // on what the message forwards; nil where it forwards nothing
	Peer         *Verdict // on whether the users of a direct conversation exist; nil: they do
}

// Erase drops salt and body of a message. By its sender, or the app.
type Erase struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Seq          tidemark.Seq
}

// Read moves a read mark; a mark that would fall stays.
type Read struct {
	User         tidemark.UserID
	Conversation tidemark.ConversationID
	Seq          tidemark.Seq
}

// Create makes a group, channel or room. The caller has checked that the members exist.
type Create struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Kind         record.Kind
	Title        string
	Avatar       string
	Custom       map[string]string
	Settings     *wire.Settings
	Owner        tidemark.UserID // "" none
	Members      []tidemark.UserID
	CreatedMs    uint64 // the app only: since when it exists, so that what is older than now can be imported; 0: now
	Unwilling    Unwilling
}

// Unwilling are users whom the actor cannot make members, with the refusals: they have blocked the actor. The caller has
// looked, since other partitions know.
type Unwilling map[tidemark.UserID]*tidemark.Error

// check refuses the first of the users who is unwilling.
func (w Unwilling) check(users []tidemark.UserID) *tidemark.Error {
	for _, id := range users {
		if err := w[id]; err != nil {
			return err
		}
	}
	return nil
}

// Update changes public data: the fields that are not nil.
type Update struct {
	Actor         Actor
	Conversation  tidemark.ConversationID
	Title, Avatar *string
	Custom        map[string]string // an empty value removes the key
	Settings      *wire.Settings
	Announcement  *string
}

// Dissolve ends a conversation: nobody writes there any more.
type Dissolve struct {
	Actor        Actor
	Conversation tidemark.ConversationID
}

// AddMembers adds users, or changes nothing for those who are members. The caller has checked that they exist.
type AddMembers struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Members      []tidemark.UserID
	Role         record.Role // 0: member
	Unwilling    Unwilling
}

// RemoveMembers removes users; those who are not members are passed over.
type RemoveMembers struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Members      []tidemark.UserID
}

// Join adds the actor where the conversation is open, or asks to be let in where that is how one joins.
type Join struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Text         string // for those who answer
}

// Leave removes the actor, or takes back the actor's request to join.
type Leave struct {
	Actor        Actor
	Conversation tidemark.ConversationID
}

// AnswerJoin lets users in who have asked to join, or refuses them; those who have not are passed over.
type AnswerJoin struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Users        []tidemark.UserID
	Accept       bool
}

// SetRole gives members a role; those who have it are passed over.
type SetRole struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Members      []tidemark.UserID
	Role         record.Role // MemberRole or AdminRole; the app in its own name also OwnerRole
}

// Transfer makes a member the owner, and the owner an admin.
type Transfer struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Member       tidemark.UserID
}

// Mute keeps members from posting for a time, or all members of role MEMBER until further notice.
type Mute struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Members      []tidemark.UserID
	ForMs        uint64 // from now; 0: let them post again
	All          *bool  // everybody, or no longer; without Members and ForMs
}

// Settings changes a member's own settings: the fields that are not nil.
type Settings struct {
	User                                tidemark.UserID
	Conversation                        tidemark.ConversationID
	Pinned, Muted, Hidden, MarkedUnread *bool
	Alias                               *string
	Draft                               *wire.Draft // an empty text: none any more
}

// SetAttributes sets attributes of a room; an empty value removes the key.
type SetAttributes struct {
	Actor        Actor
	Conversation tidemark.ConversationID
	Set          map[string]string
	AutoDelete   bool // those set go when the actor has left the room
}

// DropAttributes removes the attributes of a room that were to go with their owner, where the owner is not in it or has
// been seen to leave: those of Gone that nobody has set anew.
type DropAttributes struct {
	Conversation tidemark.ConversationID
	Gone         []record.Attribute
}

// Import appends entries with times of the past to a group, in order, adding users to the partition as needed; an entry
// whose client id is there already is skipped. The app only. The caller has checked that the users exist.
type Import struct {
	Conversation tidemark.ConversationID
	Entries      []*wire.ImportEntry
}

// UpsertUser creates a user or replaces its profile, in the user's home partition. The id of a user who was deleted is
// refused with UNAVAILABLE unless Anew says that everything that was left of that user has ended.
type UpsertUser struct {
	Anew     bool
	User     tidemark.UserID
	Nickname string
	Avatar   string
	Custom   map[string]string
}

// UpdateUser changes the fields that are not nil.
type UpdateUser struct {
	User             tidemark.UserID
	Nickname, Avatar *string
	Custom           map[string]string // an empty value removes the key
}

// SeeDevice creates or refreshes a device record, in the user's home partition.
//
// Where there is no place for a new device, Reply.Replaced are those that make room: the ones seen longest ago, of its
// platform where that is full; those that are connected, last.
type SeeDevice struct {
	User        tidemark.UserID
	Device      tidemark.DeviceID
	Platform    string
	Client      string
	Gone        bool                // it has left: refresh its record if there is one, and make none
	PlatformMax uint32              // devices of this platform; 0: no limit but that of all devices
	Refuse      bool                // where there is no place, refuse the new device instead
	Online      []tidemark.DeviceID // those of the user's devices that are connected, as far as known
}

// ForgetDevice removes a device record, in the user's home partition.
type ForgetDevice struct {
	User   tidemark.UserID
	Device tidemark.DeviceID
}

// SetOptions changes what a user has chosen for itself, in the user's home partition: the fields that are not nil.
type SetOptions struct {
	User                                   tidemark.UserID
	HidePresence, HideTyping, ContactsOnly *bool
}

// RevokeTokens refuses the tokens that were issued so far, in the user's home partition.
type RevokeTokens struct {
	User   tidemark.UserID
	Device tidemark.DeviceID // of this device; "": all of the user's
}

// DeleteUser ends an account, in the user's home partition.
type DeleteUser struct {
	User tidemark.UserID
}

// SaveCursor stores how far a device has come in this partition; it only rises, and never past the committed position.
type SaveCursor struct {
	User     tidemark.UserID
	Device   tidemark.DeviceID
	Position tidemark.Position
	Forget   bool
}

func (*Submit) command()         {}
func (*Erase) command()          {}
func (*Read) command()           {}
func (*Create) command()         {}
func (*Update) command()         {}
func (*AddMembers) command()     {}
func (*RemoveMembers) command()  {}
func (*Join) command()           {}
func (*Leave) command()          {}
func (*AnswerJoin) command()     {}
func (*SetRole) command()        {}
func (*Transfer) command()       {}
func (*Mute) command()           {}
func (*Dissolve) command()       {}
func (*Settings) command()       {}
func (*SetAttributes) command()  {}
func (*DropAttributes) command() {}
func (*Import) command()         {}
func (*UpsertUser) command()     {}
func (*UpdateUser) command()     {}
func (*SeeDevice) command()      {}
func (*ForgetDevice) command()   {}
func (*SetOptions) command()     {}
func (*RevokeTokens) command()   {}
func (*DeleteUser) command()     {}
func (*SaveCursor) command()     {}

// Reply is what a command answers once its commit is durable. Which fields are set depends on the command.
type Reply struct {
	Err       *tidemark.Error // refused: nothing was written
	Seq       tidemark.Seq    // the event appended (or the first answer again), or the head
	ID        tidemark.EventID
	TimeMs    uint64
	Digest    tidemark.Digest
	Salt      [8]byte
	Counted   uint64
	Position  tidemark.Position
	Duplicate bool // stored by an earlier command with this client id
	Members   uint32
	ReadSeq   tidemark.Seq
	Created   bool
	Appended  int // Import
	Skipped   int // Import
	Info      *record.Info
	Profile   *record.Profile
	Account   *record.Account     // nil: the user has none
	Replaced  []tidemark.DeviceID // SeeDevice: forgotten to make room; end their sessions and forget their cursors
	Member    *record.Member
	Requested bool              // Join: asked, and not yet let in
	UntilMs   uint64            // Mute: until when
	Transient bool              // a message of class TRANSIENT passed the rules: deliver, store nothing
	Private   *record.Private   // with Member, where the command may have changed it
	Scheduled *record.Scheduled // Schedule, Unschedule
}
