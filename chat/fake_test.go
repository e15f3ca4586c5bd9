// SPDX-License-Identifier: Apache-2.0

// A device without a server: its log is a slice, its outbox is stored when the test says so.

package chat

import (
	"context"
	"fmt"
	"iter"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// fakeDevice is alice's. It belongs to the test's goroutine.
type fakeDevice struct {
	asker          // calls that no test expects panic
	conversations  map[tidemark.ConversationID]*client.Conversation
	logs           map[tidemark.ConversationID][]client.Message
	storedFrom     tidemark.Seq // what Messages and Latest have; older comes with History
	outbox         []client.Outgoing
	said           []string // calls that change something
	nicknames      map[tidemark.UserID]string
	histories      []client.Page
	historyErr     error
	nextID         int
	profilesWanted []tidemark.UserID
	rooms          map[tidemark.ConversationID]*client.Room // that alice is in
}

func newFake() *fakeDevice {
	return &fakeDevice{conversations: map[tidemark.ConversationID]*client.Conversation{}, logs: map[tidemark.ConversationID][]client.Message{},
		nicknames: map[tidemark.UserID]string{}}
}

func (d *fakeDevice) add(id tidemark.ConversationID, kind wire.Kind, title string) *client.Conversation {
	c := &client.Conversation{ID: id, Info: &wire.ConversationInfo{Kind: kind, Title: title, MemberCount: 2}, Self: &wire.Self{VisibleFrom: 1}}
	d.conversations[id] = c
	return c
}

// write appends a message to a log, as the server would.
func (d *fakeDevice) write(id tidemark.ConversationID, sender tidemark.UserID, text string, timeMs uint64) *client.Message {
	c := *d.conversations[id]
	c.HeadSeq++
	c.LastTimeMs = timeMs
	if sender != "alice" {
		c.Unread++
	}
	d.conversations[id] = &c
	msg := client.Message{Conversation: id, Seq: c.HeadSeq, TimeMs: timeMs, Sender: sender, Kind: replica.KindMessage,
		Content: &wire.Message{Type: "text", Text: text}}
	if sender == "alice" {
		msg.State = client.Stored
	}
	d.logs[id] = append(d.logs[id], msg)
	return &d.logs[id][len(d.logs[id])-1]
}

func (d *fakeDevice) User() tidemark.UserID         { return "alice" }
func (d *fakeDevice) State() client.ConnectionState { return client.Synced }
func (d *fakeDevice) Events(context.Context) iter.Seq[client.Event] {
	return func(func(client.Event) bool) {}
}
func (d *fakeDevice) WaitSynced(context.Context) error { return nil }
func (d *fakeDevice) Typing(in tidemark.ConversationID, typing bool) error {
	d.note("typing %s %v", in, typing)
	return nil
}

func (d *fakeDevice) note(format string, args ...any) {
	d.said = append(d.said, fmt.Sprintf(format, args...))
}

func (d *fakeDevice) Conversations() []*client.Conversation {
	var all []*client.Conversation
	for _, c := range d.conversations {
		all = append(all, c)
	}
	return all
}

func (d *fakeDevice) Conversation(id tidemark.ConversationID) (*client.Conversation, bool) {
	c, ok := d.conversations[id]
	return c, ok
}

func (d *fakeDevice) Messages(in tidemark.ConversationID, from, to tidemark.Seq) ([]client.Message, error) {
	var found []client.Message
	for _, msg := range d.logs[in] {
		if msg.Seq >= max(from, d.storedFrom) && msg.Seq <= to {
			found = append(found, msg)
		}
	}
	return found, nil
}

func (d *fakeDevice) Latest(in tidemark.ConversationID, n int) ([]client.Message, error) {
	found, err := d.Messages(in, 1, 1<<62)
	return found[max(len(found)-n, 0):], err
}

func (d *fakeDevice) History(_ context.Context, in tidemark.ConversationID, page client.Page) (client.HistoryPage, error) {
	d.histories = append(d.histories, page)
	if d.historyErr != nil {
		return client.HistoryPage{}, d.historyErr
	}
	log := d.logs[in]
	from, to := 0, len(log)
	switch {
	case page.Before > 0:
		to = int(page.Before) - 1
		from = max(to-page.Limit, 0)
	case page.After > 0:
		from = int(page.After)
		to = min(from+page.Limit, len(log))
	case page.AtMs > 0:
		from, _ = slices.BinarySearchFunc(log, page.AtMs, func(m client.Message, at uint64) int { return int(int64(m.TimeMs) - int64(at)) })
		to = min(from+page.Limit, len(log))
	case page.Start:
		to = min(page.Limit, len(log))
	default:
		from = max(to-page.Limit, 0)
	}
	if from < to {
		d.storedFrom = min(d.storedFrom, log[from].Seq)
	}
	more := from > 0
	if page.After > 0 {
		more = to < len(log)
	}
	return client.HistoryPage{Messages: slices.Clone(log[from:to]), More: more}, nil
}

func (d *fakeDevice) Outbox() []client.Outgoing { return d.outbox }

func (d *fakeDevice) SendMessage(_ context.Context, to tidemark.ConversationID, m *wire.Message) (tidemark.ClientID, error) {
	d.note("send %s %s %q reply %d mentions %v", to, m.Type, m.Text, m.ReplyTo, m.Mentions)
	return d.queue(to, m), nil
}

func (d *fakeDevice) SendMessageTo(_ context.Context, user tidemark.UserID, m *wire.Message) (tidemark.ClientID, error) {
	d.note("send to %s %s %q", user, m.Type, m.Text)
	return d.queue(tidemark.Direct("alice", user), m), nil
}

func (d *fakeDevice) queue(to tidemark.ConversationID, m *wire.Message) tidemark.ClientID {
	d.nextID++
	id := tidemark.ClientID(fmt.Sprintf("c%d", d.nextID))
	body, err := (&wire.Body{Body: &wire.Body_Message{Message: m}}).MarshalVT()
	if err != nil {
		panic(err)
	}
	d.outbox = append(d.outbox, client.Outgoing{ClientID: id, Conversation: to, Body: body, CreatedMs: 1_700_000_000_000, State: client.Queued})
	return id
}

func (d *fakeDevice) EditMessage(_ context.Context, in tidemark.ConversationID, seq tidemark.Seq, m *wire.Message) (tidemark.ClientID, error) {
	d.note("edit %s %d %s %q", in, seq, m.Type, m.Text)
	return "e", nil
}

func (d *fakeDevice) Recall(_ context.Context, in tidemark.ConversationID, seq tidemark.Seq, _ string) (tidemark.ClientID, error) {
	d.note("recall %s %d", in, seq)
	return "r", nil
}

func (d *fakeDevice) React(_ context.Context, in tidemark.ConversationID, seq tidemark.Seq, key string, remove bool) (tidemark.ClientID, error) {
	d.note("react %s %d %s %v", in, seq, key, remove)
	return "r", nil
}

func (d *fakeDevice) Pin(_ context.Context, in tidemark.ConversationID, seq tidemark.Seq, remove bool) (tidemark.ClientID, error) {
	d.note("pin %s %d %v", in, seq, remove)
	return "p", nil
}

func (d *fakeDevice) Resend(_ context.Context, lost client.Message) error {
	d.note("resend %s %q to %s", lost.ClientID, lost.Text(), lost.Conversation)
	return nil
}

func (d *fakeDevice) Retry(_ context.Context, id tidemark.ClientID) error {
	d.note("retry %s", id)
	return nil
}
func (d *fakeDevice) Discard(_ context.Context, id tidemark.ClientID) error {
	d.note("discard %s", id)
	return nil
}

func (d *fakeDevice) MarkRead(_ context.Context, in tidemark.ConversationID, seq tidemark.Seq) error {
	d.note("read %s %d", in, seq)
	c := *d.conversations[in]
	c.PendingRead, c.Unread, c.Mentions = seq, 0, 0
	d.conversations[in] = &c
	return nil
}

func (d *fakeDevice) Profile(_ context.Context, id tidemark.UserID) (*wire.Profile, error) {
	d.profilesWanted = append(d.profilesWanted, id)
	return &wire.Profile{Id: string(id), Nickname: d.nicknames[id]}, nil
}

func (d *fakeDevice) Members(context.Context, tidemark.ConversationID) ([]*wire.Member, error) {
	return []*wire.Member{{User: "alice"}, {User: "bob", ReadSeq: 2}}, nil
}

func (d *fakeDevice) AskToJoin(_ context.Context, in tidemark.ConversationID, _ string) (bool, error) {
	d.note("join %s", in)
	if in == "club" {
		return true, nil
	}
	return false, tidemark.Refuse(tidemark.NotAllowed, "this group is not open: ask \x1b]0;owned\x07 somebody to invite you")
}

func (d *fakeDevice) AddMembers(_ context.Context, in tidemark.ConversationID, users ...tidemark.UserID) error {
	d.note("add %s %v", in, users)
	return nil
}

func (d *fakeDevice) CreateConversation(_ context.Context, r *wire.CreateRequest) (tidemark.ConversationID, error) {
	d.note("create %s %q", r.Id, r.Title)
	d.add(tidemark.ConversationID(r.Id), r.Kind, r.Title)
	return tidemark.ConversationID(r.Id), nil
}
