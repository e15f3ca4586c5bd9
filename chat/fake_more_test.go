// SPDX-License-Identifier: Apache-2.0

// The made-up device's part of groups, people and messages.

package chat

import (
	"context"
	"slices"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

func (d *fakeDevice) UpdateConversation(_ context.Context, r *wire.UpdateRequest) error {
	d.note("update %s %s", r.Conversation, r.GetAnnouncement())
	return nil
}

func (d *fakeDevice) SetRole(_ context.Context, in tidemark.ConversationID, role wire.Role, users ...tidemark.UserID) error {
	d.note("role %s %v %v", in, role, users)
	return nil
}

func (d *fakeDevice) Mute(_ context.Context, in tidemark.ConversationID, t time.Duration, users ...tidemark.UserID) error {
	d.note("mute %s %v %v", in, t, users)
	return nil
}

func (d *fakeDevice) MuteAll(_ context.Context, in tidemark.ConversationID, muted bool) error {
	d.note("mute all %s %v", in, muted)
	return nil
}

func (d *fakeDevice) Transfer(_ context.Context, in tidemark.ConversationID, to tidemark.UserID) error {
	d.note("transfer %s %s", in, to)
	return nil
}

func (d *fakeDevice) Dissolve(_ context.Context, in tidemark.ConversationID) error {
	d.note("dissolve %s", in)
	return nil
}

func (d *fakeDevice) JoinRequests(context.Context, tidemark.ConversationID) ([]*wire.JoinAsked, error) {
	return []*wire.JoinAsked{{User: "erin", Text: "let me\x1b[2J in", TimeMs: noon}}, nil
}

func (d *fakeDevice) AnswerJoin(_ context.Context, in tidemark.ConversationID, accept bool, users ...tidemark.UserID) error {
	d.note("answer %s %v %v", in, accept, users)
	return nil
}

func (d *fakeDevice) Settings(_ context.Context, r *wire.SettingsRequest) error {
	d.note("settings %s pin %v mute %v hide %v unread %v alias %q", r.Conversation, r.GetPinned(), r.GetMuted(), r.GetHidden(), r.GetMarkedUnread(), r.GetAlias())
	return nil
}

func (d *fakeDevice) Contacts() []*wire.Contact {
	return []*wire.Contact{
		{User: "bob", State: wire.ContactState_CONTACT, Remark: "Bobby"},
		{User: "eve", State: wire.ContactState_ASKED, RequestText: "it is me"},
		{User: "mallory", Blocked: true},
	}
}

func (d *fakeDevice) RequestContact(_ context.Context, user tidemark.UserID, text string) (*wire.Contact, error) {
	d.note("ask contact %s %q", user, text)
	return nil, nil
}

func (d *fakeDevice) AnswerContact(_ context.Context, user tidemark.UserID, accept bool) (*wire.Contact, error) {
	d.note("answer contact %s %v", user, accept)
	return nil, nil
}

func (d *fakeDevice) Block(_ context.Context, user tidemark.UserID, blocked bool) error {
	d.note("block %s %v", user, blocked)
	return nil
}

func (d *fakeDevice) Presence(_ context.Context, users ...tidemark.UserID) (list []*wire.Presence, err error) {
	for i, user := range users {
		list = append(list, &wire.Presence{User: string(user), Online: i == 0, LastSeenMs: noon, Platforms: []string{"ios"}})
	}
	return list, nil
}

func (d *fakeDevice) Options(_ context.Context, r *wire.OptionsRequest) (*wire.UserOptions, error) {
	d.note("options %v", r)
	return &wire.UserOptions{HidePresence: r.GetHidePresence(), ContactsOnly: true}, nil
}

func (d *fakeDevice) Devices(context.Context) ([]*wire.Device, error) {
	return []*wire.Device{{DeviceId: "phone", Platform: "ios", Online: true}, {DeviceId: "old", Client: "tidemark/1", LastSeenMs: noon}}, nil
}

func (d *fakeDevice) Kick(_ context.Context, device tidemark.DeviceID, revoke bool) error {
	d.note("kick %q %v", device, revoke)
	return nil
}

func (d *fakeDevice) Forward(_ context.Context, from tidemark.ConversationID, seq tidemark.Seq, to tidemark.ConversationID) (tidemark.ClientID, error) {
	d.note("forward %s %d to %s", from, seq, to)
	return "f", nil
}

func (d *fakeDevice) Thread(_ context.Context, in tidemark.ConversationID, root, _ tidemark.Seq, _ int) (events []*wire.Event, more bool, err error) {
	d.note("thread %s %d", in, root)
	return d.events(in, func(m *wire.Message) bool { return m.Thread == uint64(root) }), false, nil
}

// events are the messages of a log as the server would give them.
func (d *fakeDevice) events(in tidemark.ConversationID, pick func(*wire.Message) bool) (events []*wire.Event) {
	for _, msg := range d.logs[in] {
		if msg.Content != nil && pick(msg.Content) {
			events = append(events, &wire.Event{Seq: uint64(msg.Seq), TimeMs: msg.TimeMs, Sender: string(msg.Sender),
				Body: wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: msg.Content}})})
		}
	}
	return events
}

func (d *fakeDevice) Receipts(_ context.Context, r *wire.ReceiptsRequest) (*wire.ReceiptsResponse, error) {
	answer := &wire.ReceiptsResponse{Seq: r.Seq, Members: 3, Delivered: 2, Read: 1, Users: []string{"bob"}}
	if r.Missing {
		answer.Users = []string{"eve", "carol"}
	}
	return answer, nil
}

func (d *fakeDevice) Reactions(context.Context, *wire.ReactionsRequest) (*wire.ReactionsResponse, error) {
	return &wire.ReactionsResponse{Users: []*wire.ReactionUser{{Key: "+1", User: "bob"}, {Key: "+1", User: "eve"}}}, nil
}

func (d *fakeDevice) Mentions(context.Context, *wire.MentionsRequest) (*wire.MentionsResponse, error) {
	answer := &wire.MentionsResponse{}
	for _, e := range d.events("harbour", func(m *wire.Message) bool { return slices.Contains(m.Mentions, "alice") }) {
		answer.Mentions = append(answer.Mentions, &wire.Mention{Conversation: "harbour", Event: e})
	}
	return answer, nil
}

func (d *fakeDevice) Pins(_ context.Context, in tidemark.ConversationID) ([]*wire.Event, error) {
	return d.events(in, func(m *wire.Message) bool { return m.Text == "is the tide in?" }), nil
}

func (d *fakeDevice) Delete(_ context.Context, in tidemark.ConversationID, seqs ...tidemark.Seq) error {
	d.note("delete %s %v", in, seqs)
	return nil
}

func (d *fakeDevice) Clear(_ context.Context, in tidemark.ConversationID, seq tidemark.Seq) error {
	d.note("clear %s %d", in, seq)
	return nil
}

func (d *fakeDevice) Draft(_ context.Context, in tidemark.ConversationID, text string, replyTo tidemark.Seq) error {
	d.note("draft %s %q %d", in, text, replyTo)
	c := *d.conversations[in]
	c.Self = &wire.Self{VisibleFrom: 1, Private: &wire.Private{Draft: &wire.Draft{Text: text, ReplyTo: uint64(replyTo)}}}
	d.conversations[in] = &c
	return nil
}

func (d *fakeDevice) Schedule(_ context.Context, in tidemark.ConversationID, m *wire.Message, at time.Time, _ tidemark.ClientID) (*wire.ScheduledMessage, error) {
	d.note("schedule %s %q %s", in, m.Text, at.UTC().Format(time.DateTime))
	return nil, nil
}

func (d *fakeDevice) Scheduled(context.Context, tidemark.ConversationID) ([]*wire.ScheduledMessage, error) {
	return []*wire.ScheduledMessage{
		{Conversation: "harbour", ClientId: "s1", AtMs: noon + 3_600_000, Message: &wire.Message{Text: "high tide"}},
		{Conversation: "harbour", ClientId: "s2", AtMs: noon, Message: &wire.Message{Text: "too late"}, Failed: &wire.Error{Message: "you are muted"}},
	}, nil
}

func (d *fakeDevice) Unschedule(_ context.Context, in tidemark.ConversationID, id tidemark.ClientID) error {
	d.note("unschedule %s %s", in, id)
	return nil
}

func (d *fakeDevice) EnterRoom(_ context.Context, id tidemark.ConversationID) (*client.Room, error) {
	d.note("enter %s", id)
	if id == "vault" {
		return nil, tidemark.Refuse(tidemark.NotAllowed, "only those who were added enter this room")
	}
	room := &client.Room{ID: id, In: true, Info: &wire.ConversationInfo{Kind: wire.Kind_ROOM, Title: "The Hall",
		Attributes: []*wire.Attribute{{Key: "song", Value: "tide\x1b[2J", Owner: "bob"}}}}
	d.rooms = map[tidemark.ConversationID]*client.Room{id: room}
	d.shout(id, "bob", "welcome", 7)
	return room, nil
}

// shout adds a message to a room.
func (d *fakeDevice) shout(id tidemark.ConversationID, sender tidemark.UserID, text string, seq tidemark.Seq) {
	room := *d.rooms[id]
	room.Head = seq
	room.Messages = append(slices.Clone(room.Messages), client.Message{Conversation: id, Seq: seq, TimeMs: noon, Sender: sender,
		Kind: client.KindMessage, Content: &wire.Message{Type: "text", Text: text}})
	d.rooms[id] = &room
}

func (d *fakeDevice) LeaveRoom(_ context.Context, id tidemark.ConversationID) error {
	d.note("leave room %s", id)
	delete(d.rooms, id)
	return nil
}

func (d *fakeDevice) Room(id tidemark.ConversationID) (*client.Room, bool) {
	room, in := d.rooms[id]
	return room, in
}

func (d *fakeDevice) SetAttributes(_ context.Context, room tidemark.ConversationID, set map[string]string, _ bool) ([]*wire.Attribute, error) {
	d.note("set %s %v", room, set)
	return nil, nil
}
