// SPDX-License-Identifier: Apache-2.0

// Ways of spoiling for the checks of the later parts of section 2, and of section 5.

package conformance

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/tidemark-im/tidemark/wire"
)

// fetchedEvents spoils events that are fetched over HTTP.
func fetchedEvents(change func(e *wire.Event)) fault {
	return answers("MessageService/Fetch", func(a *wire.Fetched) {
		for _, e := range a.GetEvents() {
			change(e)
		}
	})
}

// fetchedMessages spoils messages that are fetched over HTTP.
func fetchedMessages(change func(m *wire.Message)) fault {
	return fetchedEvents(func(e *wire.Event) {
		if m := e.GetBodyJson().GetMessage(); m != nil {
			change(m)
		}
	})
}

// got spoils what ConversationService/Get answers.
func got(change func(c *wire.ConversationDelta)) fault {
	return answers("ConversationService/Get", func(a *wire.GetResponse) { change(a.GetConversation()) })
}

// rooms spoils the deltas of the kit's rooms.
func rooms(change func(d *wire.Delta, c *wire.ConversationDelta)) fault {
	return changing(func(f *wire.ServerFrame) {
		for _, c := range f.GetDelta().GetConversations() {
			if strings.HasSuffix(c.GetId(), "-room") {
				change(f.GetDelta(), c)
			}
		}
	})
}

// threadAsked is the thread in a request for history, with the comma before it.
var threadAsked = regexp.MustCompile(`,"thread":"\d+"`)

// reversed spoils the order of rows.
func reversed[T any](rows []T) { slices.Reverse(rows) }

var spoilsOfForms = []spoil{
	{"unread is one too many", "2.28,5.34", got(func(c *wire.ConversationDelta) {
		if c.GetUnread() > 0 {
			*c.Unread++
		}
	})},
	{"mentions are not counted", "2.29", got(func(c *wire.ConversationDelta) { c.Mentions = nil })},
	{"what has been received is not told", "2.30", answers("/ListMembers", func(a *wire.ListMembersResponse) {
		for _, m := range a.GetMembers() {
			m.DeliveredSeq = 0
		}
	})},
	{"receipts name nobody", "2.31", answers("/Receipts", func(a *wire.ReceiptsResponse) { a.Users = nil })},
	{"receipts count the sender", "2.31", answers("/Receipts", func(a *wire.ReceiptsResponse) { a.Members++ })},
	{"receipts name another", "2.32", changing(func(f *wire.ServerFrame) {
		if r := f.GetSignal().GetReceipt(); r != nil {
			r.User = "somebody"
		}
	})},
	{"mentions come oldest first", "2.33", answers("/Mentions", func(a *wire.MentionsResponse) { reversed(a.GetMentions()) })},
	{"the badge counts what is muted", "2.34", answers("/Badge", func(a *wire.BadgeResponse) { a.Unread = max(a.Unread, 4) })},
	{"what a message replies to is lost", "2.40", fetchedMessages(func(m *wire.Message) { m.ReplyTo = 0 })},
	{"a message that is not seen can be answered", "2.40,2.41,2.46,5.33", granting("MessageService/Submit", wire.Reason_UNKNOWN_EVENT)},
	{"an answer can be a root", "2.41", granting("MessageService/Submit", wire.Reason_BAD_ARGUMENT)},
	{"a thread counts one answer too many", "2.42", fetchedEvents(func(e *wire.Event) {
		if e.GetThreadCount() > 0 {
			e.ThreadCount++
		}
	})},
	{"fetch knows no threads", "2.41,2.43", fault{call: func(path string, _ http.Header, body []byte) []byte {
		if strings.HasSuffix(path, "MessageService/Fetch") {
			body = threadAsked.ReplaceAll(body, nil)
		}
		return body
	}}},
	{"every reaction is mine", "2.44", fetchedEvents(func(e *wire.Event) {
		for _, r := range e.GetReactions() {
			r.Mine = true
		}
	})},
	{"a message has any number of reactions and pins", "2.44,2.45", granting("MessageService/Submit", wire.Reason_TOO_MANY)},
	{"pins come the first first", "2.45", answers("/Pins", func(a *wire.PinsResponse) { reversed(a.GetEvents()) })},
	{"what was forwarded is not told", "2.46", fetchedMessages(func(m *wire.Message) { m.Forwarded = nil })},
	{"what is deleted for oneself is not hidden", "2.47,5.38", fetchedEvents(func(e *wire.Event) { e.Hidden = false })},
	{"visibleFrom falls", "2.48", answers("/Clear", func(a *wire.ClearResponse) { a.GetSelf().VisibleFrom = 2 })},
	{"cleared history shows again", "2.48", fetchedEvents(func(e *wire.Event) { e.Seq = min(e.Seq, 2) })},
	{"Get has no private record", "2.49,2.50", got(func(c *wire.ConversationDelta) { c.GetSelf().Private = nil })},
	{"drafts come with every self", "2.49", deltas(func(c *wire.ConversationDelta) {
		if c.GetSelf() != nil {
			c.Self.Private = &wire.Private{Draft: &wire.Draft{Text: "begun"}}
		}
	})},
	{"what was hidden stays so", "2.51", got(func(c *wire.ConversationDelta) { c.GetSelf().Hidden = true })},
	{"mute ends by itself", "2.51", got(func(c *wire.ConversationDelta) { c.GetSelf().Muted = false })},

	{"rooms tell no info", "2.60,2.61", rooms(func(_ *wire.Delta, c *wire.ConversationDelta) { c.Info = nil })},
	{"who may not enter gets another reason", "2.61", errorsBy(func(e *wire.Error) { e.Reason = wire.Reason_BAD_ARGUMENT })},
	{"strangers read rooms", "2.62", granting("MessageService/Fetch", wire.Reason_NOT_MEMBER)},
	{"rooms have checkpoints", "2.63", rooms(func(d *wire.Delta, _ *wire.ConversationDelta) { d.Checkpoints = map[uint32]uint64{0: 1} })},
	{"a room leaves out an event in seven", "2.63,2.65", fault{frame: func(l *link, f *wire.ServerFrame) frames {
		for _, c := range f.GetDelta().GetConversations() {
			c.Events = slices.DeleteFunc(c.Events, func(*wire.Event) bool { l.count++; return l.count%7 == 1 })
		}
		return frames{f}
	}}},
	{"what is urgent is left out", "2.64", rooms(func(_ *wire.Delta, c *wire.ConversationDelta) {
		c.Events = slices.DeleteFunc(c.Events, func(e *wire.Event) bool {
			return bodyOf(e).GetMessage().GetPriority() == wire.Priority_PRIORITY_HIGH
		})
	})},
	{"info comes with every event of a room", "2.65", rooms(func(_ *wire.Delta, c *wire.ConversationDelta) {
		if c.Info == nil {
			c.Info = &wire.ConversationInfo{Kind: wire.Kind_ROOM}
		}
	})},
	{"who is taken out of a room is not told", "2.66", rooms(func(_ *wire.Delta, c *wire.ConversationDelta) { c.Removed = false })},
	{"rooms have receipts", "2.67", granting("MessageService/Receipts", wire.Reason_NOT_ALLOWED)},
	{"keys of others can be set", "2.68", granting("/SetAttributes", wire.Reason_NOT_ALLOWED)},
	{"keys belong to somebody else", "2.68", answers("/SetAttributes", func(a *wire.SetAttributesResponse) {
		for _, one := range a.GetAttributes() {
			one.Owner = "somebody"
		}
	})},
}

var spoilsOfServices = []spoil{
	{"Pull loses a message", "5.1", answers("/Pull", func(a *wire.PullResponse) {
		for _, c := range a.GetConversations() {
			c.Events = c.Events[:max(len(c.Events)-1, 0)]
		}
	})},
	{"Pull forgets its cursor", "5.1", answers("/Pull", func(a *wire.PullResponse) { a.Cursor = &wire.Cursor{Epoch: a.GetEpoch()} })},
	{"a group begins with two events", "5.2", answers("ConversationService/Create", func(a *wire.CreateResponse) { a.HeadSeq = 2 })},
	{"what is imported again is not skipped", "5.3", answers("/Import", func(a *wire.ImportResponse) { a.Skipped = 0 })},
	{"the owner erases what others wrote", "5.4", granting("/Erase", wire.Reason_NOT_ALLOWED)},
	{"what was erased keeps its salt over HTTP", "5.4", fetchedEvents(func(e *wire.Event) { e.Salt = make([]byte, 8) })},
	{"a backup is of nothing", "5.5", answers("/Checkpoint", func(a *wire.CheckpointResponse) { a.Positions = make([]uint64, len(a.Positions)) })},
	{"a backup is written over another", "5.5", granting("/Checkpoint", wire.Reason_ALREADY_EXISTS)},
	{"a server takes anything back at any time", "5.51", granting("/GiveBack", wire.Reason_NOT_ALLOWED)},
	{"who is signed out hears another reason", "5.10,5.13,5.14", changing(func(f *wire.ServerFrame) {
		if b := f.GetBye(); b != nil {
			b.Reason = wire.ByeReason_SHUTDOWN
		}
	})},
	{"signing out ends nothing", "5.10", answers("/Kick", func(a *wire.KickResponse) { a.Sessions = 0 })},
	{"any number of devices is revoked one by one", "5.11", granting("/Kick", wire.Reason_TOO_MANY)},
	{"Options answers only some", "5.12", answers("/Options", func(a *wire.OptionsResponse) { a.GetOptions().HidePresence = false })},
	{"a device too many is listed", "5.13", answers("/Devices", func(a *wire.DevicesResponse) { a.Devices = append(a.Devices, &wire.Device{DeviceId: "bot-0"}) })},
	{"a deleted user keeps its name", "5.14", answers("UserService/Get", func(a *wire.GetUserResponse) { a.GetUser().Nickname = "bob" })},
	{"the deleted are written to", "5.15", granting("MessageService/Submit", wire.Reason_UNKNOWN_USER)},
	{"who was deleted comes back as before", "5.16", answers("/Upsert", func(a *wire.UpsertUserResponse) { a.Created = false })},
	{"presence is not signalled", "5.20,5.22,5.45", dropping(func(f *wire.ServerFrame) bool { return f.GetSignal().GetPresence() != nil })},
	{"who is shortly away is told as gone", "5.20", fault{frame: func(_ *link, f *wire.ServerFrame) frames {
		if s := f.GetSignal().GetPresence(); s.GetOnline() {
			return frames{f, {Frame: &wire.ServerFrame_Signal{Signal: &wire.Signal{Signal: &wire.Signal_Presence{Presence: &wire.PresenceSignal{User: s.GetUser()}}}}}}
		}
		return frames{f}
	}}},
	{"presence comes in another order", "5.21", answers("/Presence", func(a *wire.PresenceResponse) { reversed(a.GetUsers()) })},
	{"who hides is seen", "5.22", answers("/Presence", func(a *wire.PresenceResponse) {
		for _, u := range a.GetUsers() {
			u.LastSeenMs = 1
		}
	})},
	{"typing is told again and again", "5.23", fault{frame: func(_ *link, f *wire.ServerFrame) frames {
		if f.GetSignal().GetTyping() != nil {
			return frames{f, f}
		}
		return frames{f}
	}}},
	{"any number of messages waits", "5.30", granting("/Schedule", wire.Reason_TOO_MANY)},
	{"what was submitted is scheduled again", "5.30", granting("/Schedule", wire.Reason_ALREADY_EXISTS)},
	{"what has failed does not say so", "5.31", answers("/Scheduled", func(a *wire.ScheduledResponse) {
		for _, s := range a.GetScheduled() {
			s.Failed = nil
		}
	})},
	{"a scheduled message is on a page twice", "5.35", answers("/Scheduled", func(a *wire.ScheduledResponse) { a.Scheduled = append(a.Scheduled, a.GetScheduled()...) })},
	{"there is no floor", "5.32,5.33", answers("MessageService/Fetch", func(a *wire.Fetched) { a.FloorSeq = 0 })},
	{"a request is accepted at once", "5.40", answers("ContactService/Request", func(a *wire.ContactResponse) { a.GetContact().State = wire.ContactState_CONTACT })},
	{"who has asked answers", "5.41", granting("ContactService/Answer", wire.Reason_NOT_ALLOWED)},
	{"what is asked shows a conversation", "5.42", got(func(c *wire.ConversationDelta) { c.GetSelf().Hidden = false })},
	{"a remark makes the other a member", "5.43", answers("/ListMembers", func(a *wire.ListMembersResponse) { a.Members = append(a.Members, &wire.Member{User: "bob"}) })},
	{"who is blocked writes", "5.44,5.45", granting("MessageService/Submit", wire.Reason_BLOCKED)},
	{"who is blocked learns of it", "5.44", got(func(c *wire.ConversationDelta) { c.GetSelf().Blocked = true })},
	{"who has blocked is made a member", "5.45", granting("/AddMembers", wire.Reason_BLOCKED)},
	{"anybody writes to who wants contacts only", "5.46", granting("MessageService/Submit", wire.Reason_NOT_CONTACT)},
	{"a page of contacts misses its last", "5.47", answers("ContactService/List", func(a *wire.ListContactsResponse) {
		if n := len(a.GetContacts()); n > 0 {
			a.Contacts = a.Contacts[:n-1]
		}
	})},
	{"one is a contact of one's own", "5.48", granting("ContactService/Request", wire.Reason_BAD_ARGUMENT)},
}
