// SPDX-License-Identifier: Apache-2.0

// Package coretest is a partition's state in maps, for tests: the simplest thing that core can be evaluated against.
//
//	m := coretest.New()
//	reply, changes := m.Do(&core.Create{Actor: core.Actor{App: true}, Conversation: "team"}, env)
//
// [Memory] implements [core.View] and applies changes; it knows no rules. [Memory.Check] compares everything derived
// with what brute force finds in the log. The package is slow, keeps everything for ever, and is not for servers.
package coretest

import (
	"cmp"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
)

// Memory is the state of one partition. It is not safe for concurrent use.
type Memory struct {
	partition     record.Partition
	users         map[tidemark.UserID]record.User
	names         map[record.User]tidemark.UserID
	conversations map[tidemark.ConversationID]*record.Info
	heads         map[record.Conversation]*record.Head
	members       map[memberKey]*record.Member
	lists         map[memberKey]tidemark.Position // the rows of users' conversation lists
	events        map[eventKey]*record.Event
	written       map[eventKey]*record.Event // events as first written, before any erasure
	currents      map[eventKey]*record.Current
	clientIDs     map[clientKey]tidemark.Seq
	hours         map[hourKey]record.Hour
	mentions      map[mentionKey]bool
	recalls       map[eventKey]uint64
	profiles      map[tidemark.UserID]*record.Profile
	devices       map[deviceKey]*record.Device
	cursors       map[cursorKey]tidemark.Position
	accounts      map[tidemark.UserID]*record.Account
	privates      map[memberKey]*record.Private
	scheduled     map[clientKey]*record.Scheduled
	requests      map[memberKey]*record.JoinRequest
	indexes       map[record.Index]bool
	commits       map[tidemark.Position][]record.ConversationSeq
	entered       map[enteredKey]bool
}

type (
	memberKey struct {
		c record.Conversation
		u record.User
	}
	enteredKey struct {
		c    record.Conversation
		user tidemark.UserID
	}
	eventKey struct {
		c   record.Conversation
		seq tidemark.Seq
	}
	clientKey struct {
		c  record.Conversation
		u  record.User
		id tidemark.ClientID
	}
	hourKey struct {
		c    record.Conversation
		hour uint32
	}
	mentionKey struct {
		c   record.Conversation
		u   record.User
		seq tidemark.Seq
	}
	deviceKey struct {
		user   tidemark.UserID
		device tidemark.DeviceID
	}
	cursorKey struct {
		u      record.User
		device tidemark.DeviceID
	}
)

var _ core.View = (*Memory)(nil)

// New is an empty partition.
func New() *Memory {
	return &Memory{
		users:         make(map[tidemark.UserID]record.User),
		names:         make(map[record.User]tidemark.UserID),
		conversations: make(map[tidemark.ConversationID]*record.Info),
		heads:         make(map[record.Conversation]*record.Head),
		members:       make(map[memberKey]*record.Member),
		lists:         make(map[memberKey]tidemark.Position),
		events:        make(map[eventKey]*record.Event),
		written:       make(map[eventKey]*record.Event),
		currents:      make(map[eventKey]*record.Current),
		clientIDs:     make(map[clientKey]tidemark.Seq),
		hours:         make(map[hourKey]record.Hour),
		mentions:      make(map[mentionKey]bool),
		recalls:       make(map[eventKey]uint64),
		profiles:      make(map[tidemark.UserID]*record.Profile),
		devices:       make(map[deviceKey]*record.Device),
		cursors:       make(map[cursorKey]tidemark.Position),
		accounts:      make(map[tidemark.UserID]*record.Account),
		privates:      make(map[memberKey]*record.Private),
		scheduled:     make(map[clientKey]*record.Scheduled),
		requests:      make(map[memberKey]*record.JoinRequest),
		indexes:       make(map[record.Index]bool),
		commits:       make(map[tidemark.Position][]record.ConversationSeq),
		entered:       make(map[enteredKey]bool),
	}
}

// Do evaluates a command, applies what it writes, and returns it too. If env gives no position, it is that of the next
// commit.
func (m *Memory) Do(cmd core.Command, env core.Env) (core.Reply, *record.Changes) {
	if env.Position == 0 {
		env.Position = m.partition.Position + 1
	}
	changes := new(record.Changes)
	reply := core.Evaluate(m, cmd, env, changes)
	if !changes.Empty() {
		m.Apply(changes)
	}
	return reply, changes
}

// Apply makes changes part of the state. It takes over the records in them.
func (m *Memory) Apply(changes *record.Changes) {
	m.partition = changes.Partition
	for _, c := range changes.Users {
		m.users[c.ID], m.names[c.Ordinal] = c.Ordinal, c.ID
	}
	for _, info := range changes.Infos {
		m.conversations[info.ID] = info
	}
	for _, c := range changes.Heads {
		m.heads[c.Conversation] = c.Head
	}
	for _, c := range changes.Members {
		key := memberKey{c.Conversation, c.User}
		m.members[key] = c.Member
		if !c.Quiet {
			m.lists[key] = c.Member.Position
		}
	}
	m.applyEvents(changes)
	for _, p := range changes.Profiles {
		m.profiles[p.ID] = p
	}
	for _, c := range changes.Devices {
		m.devices[deviceKey{c.User, c.Device.ID}] = c.Device
		if c.Removed {
			delete(m.devices, deviceKey{c.User, c.Device.ID})
		}
	}
	for _, c := range changes.Cursors {
		m.cursors[cursorKey{c.User, c.Device}] = c.Position
		if c.Position == 0 {
			delete(m.cursors, cursorKey{c.User, c.Device})
		}
	}
	m.applyPeople(changes)
	for _, c := range changes.Indexes {
		m.applyIndex(c)
	}
	for _, c := range changes.Commits {
		m.commits[c.Position] = slices.Clone(c.Events)
		if len(c.Events) == 0 {
			delete(m.commits, c.Position)
		}
	}
	for _, c := range changes.Trims {
		m.trim(c)
	}
}

func (m *Memory) applyIndex(c record.IndexChange) {
	m.indexes[c.Index] = true
	if !c.Removed {
		return
	}
	delete(m.indexes, c.Index)
	if c.Index.Kind == record.ReactionIndex && c.Index.ID == "" {
		maps.DeleteFunc(m.indexes, func(i record.Index, _ bool) bool {
			return i.Kind == c.Index.Kind && i.Conversation == c.Index.Conversation && i.Seq == c.Index.Seq
		})
	}
}

func (m *Memory) applyPeople(changes *record.Changes) {
	for _, a := range changes.Accounts {
		m.accounts[a.User] = a
	}
	for _, c := range changes.Privates {
		m.privates[memberKey{c.Conversation, c.User}] = c.Private
	}
	for _, c := range changes.Scheduled {
		m.scheduled[clientKey{c.Conversation, c.User, c.ClientID}] = c.Scheduled
		if c.Removed {
			delete(m.scheduled, clientKey{c.Conversation, c.User, c.ClientID})
		}
	}
	for _, c := range changes.Requests {
		m.requests[memberKey{c.Conversation, c.User}] = c.Request
		if c.Removed {
			delete(m.requests, memberKey{c.Conversation, c.User})
		}
	}
}

func (m *Memory) trim(c record.TrimChange) {
	for seq := c.From; seq <= c.To; seq++ {
		key := eventKey{c.Conversation, seq}
		delete(m.events, key)
		delete(m.currents, key)
		delete(m.recalls, key)
	}
	maps.DeleteFunc(m.indexes, func(i record.Index, _ bool) bool {
		if i.Conversation != c.Conversation {
			return false
		}
		return i.Kind == record.ThreadIndex && i.Root >= c.From && i.Root <= c.To ||
			i.Kind == record.ReactionIndex && i.Seq >= c.From && i.Seq <= c.To
	})
}

func (m *Memory) applyEvents(changes *record.Changes) {
	for _, c := range changes.Events {
		key := eventKey{c.Conversation, c.Event.Seq}
		m.events[key] = c.Event
		if !c.Rewrite {
			m.written[key] = c.Event
			at := c.Event.Position
			m.commits[at] = append(m.commits[at], record.ConversationSeq{Conversation: c.Conversation, Seq: c.Event.Seq})
		}
	}
	for _, c := range changes.Currents {
		m.currents[eventKey{c.Conversation, c.Seq}] = withRoom(c.Current)
	}
	for _, c := range changes.ClientIDs {
		m.clientIDs[clientKey{c.Conversation, c.User, c.ClientID}] = c.Seq
		if c.Removed {
			delete(m.clientIDs, clientKey{c.Conversation, c.User, c.ClientID})
		}
	}
	for _, c := range changes.Hours {
		m.hours[hourKey{c.Conversation, c.Hour.Hour}] = c.Hour
		if c.Removed {
			delete(m.hours, hourKey{c.Conversation, c.Hour.Hour})
		}
	}
	for _, c := range changes.Mentions {
		m.mentions[mentionKey{c.Conversation, c.User, c.Seq}] = true
		if c.Removed {
			delete(m.mentions, mentionKey{c.Conversation, c.User, c.Seq})
		}
	}
	for _, c := range changes.Recalls {
		m.recalls[eventKey{c.Conversation, c.Seq}] = c.Counted
	}
}

// withRoom gives the slices of a record room to grow, so that a rule that inserts in place, where it should copy, is
// seen to change the view.
func withRoom(current *record.Current) *record.Current {
	current = cloneCurrent(current)
	current.Reactions = slices.Grow(current.Reactions, 2)
	for i := range current.Reactions {
		current.Reactions[i].Users = slices.Grow(current.Reactions[i].Users, 2)
	}
	return current
}

// Partition implements [core.View], as do the methods below it.
func (m *Memory) Partition() record.Partition { return m.partition }

// User implements [core.View].
func (m *Memory) User(id tidemark.UserID) (record.User, bool) {
	u, ok := m.users[id]
	return u, ok
}

// UserID implements [core.View].
func (m *Memory) UserID(u record.User) tidemark.UserID { return m.names[u] }

// Conversation implements [core.View].
func (m *Memory) Conversation(id tidemark.ConversationID) (*record.Info, bool) {
	info, ok := m.conversations[id]
	return info, ok
}

// Head implements [core.View].
func (m *Memory) Head(c record.Conversation) *record.Head { return m.heads[c] }

// Member implements [core.View].
func (m *Memory) Member(c record.Conversation, u record.User) *record.Member {
	return m.members[memberKey{c, u}]
}

// Event implements [core.View].
func (m *Memory) Event(c record.Conversation, seq tidemark.Seq) (*record.Event, bool) {
	e, ok := m.events[eventKey{c, seq}]
	return e, ok
}

// Current implements [core.View].
func (m *Memory) Current(c record.Conversation, seq tidemark.Seq) *record.Current {
	return m.currents[eventKey{c, seq}]
}

// Reacted implements [core.View].
func (m *Memory) Reacted(c record.Conversation, seq tidemark.Seq, key string, u record.User) bool {
	return m.indexes[record.Index{Kind: record.ReactionIndex, Conversation: c, Seq: seq, ID: key, User: u}]
}

// Reactors implements [core.View].
func (m *Memory) Reactors(c record.Conversation, seq tidemark.Seq, key string, most int) []record.User {
	var users []record.User
	for i := range m.indexes {
		if i.Kind == record.ReactionIndex && i.Conversation == c && i.Seq == seq && i.ID == key {
			users = append(users, i.User)
		}
	}
	slices.Sort(users)
	return users[:min(len(users), most)]
}

// ByClientID implements [core.View].
func (m *Memory) ByClientID(c record.Conversation, u record.User, id tidemark.ClientID) (tidemark.Seq, bool) {
	seq, ok := m.clientIDs[clientKey{c, u, id}]
	return seq, ok
}

// Commit implements [core.View].
func (m *Memory) Commit(position tidemark.Position) []record.ConversationSeq {
	return m.commits[position]
}

// Hour implements [core.View].
func (m *Memory) Hour(c record.Conversation, hour uint32) (record.Hour, bool) {
	row, ok := m.hours[hourKey{c, hour}]
	return row, ok
}

// ConversationsOf implements [core.View].
func (m *Memory) ConversationsOf(u record.User) int {
	n := 0
	for key := range m.lists {
		if key.u == u {
			n++
		}
	}
	return n
}

// Profile implements [core.View].
func (m *Memory) Profile(id tidemark.UserID) (*record.Profile, bool) {
	p, ok := m.profiles[id]
	return p, ok
}

// Device implements [core.View].
func (m *Memory) Device(id tidemark.UserID, device tidemark.DeviceID) (*record.Device, bool) {
	d, ok := m.devices[deviceKey{id, device}]
	return d, ok
}

// Devices implements [core.View]. It lists them in the order of their ids.
func (m *Memory) Devices(id tidemark.UserID) []*record.Device {
	var devices []*record.Device
	for key, d := range m.devices {
		if key.user == id {
			devices = append(devices, d)
		}
	}
	slices.SortFunc(devices, func(a, b *record.Device) int { return cmp.Compare(a.ID, b.ID) })
	return devices
}

// Cursor implements [core.View].
func (m *Memory) Cursor(u record.User, device tidemark.DeviceID) tidemark.Position {
	return m.cursors[cursorKey{u, device}]
}

// Account implements [core.View].
func (m *Memory) Account(id tidemark.UserID) *record.Account { return m.accounts[id] }

// Private implements [core.View].
func (m *Memory) Private(c record.Conversation, u record.User) *record.Private {
	return m.privates[memberKey{c, u}]
}

// Scheduled implements [core.View].
func (m *Memory) Scheduled(c record.Conversation, u record.User, id tidemark.ClientID) *record.Scheduled {
	return m.scheduled[clientKey{c, u, id}]
}

// ScheduledBy implements [core.View].
func (m *Memory) ScheduledBy(c record.Conversation, u record.User) int {
	n := 0
	for key := range m.scheduled {
		if key.c == c && key.u == u {
			n++
		}
	}
	return n
}

// JoinRequest implements [core.View].
func (m *Memory) JoinRequest(c record.Conversation, u record.User) *record.JoinRequest {
	return m.requests[memberKey{c, u}]
}

// Entered implements [core.View].
func (m *Memory) Entered(c record.Conversation, user tidemark.UserID) bool {
	return m.entered[enteredKey{c, user}]
}

// SetEntered says whether a session of the user is in a room now.
func (m *Memory) SetEntered(c record.Conversation, user tidemark.UserID, in bool) {
	m.entered[enteredKey{c, user}] = in
}

// Indexes lists the entries of one index, in no order.
func (m *Memory) Indexes(kind record.IndexKind) []record.Index {
	var entries []record.Index
	for i := range m.indexes {
		if i.Kind == kind {
			entries = append(entries, i)
		}
	}
	return entries
}

// Conversations lists the conversations in the order of their creation.
func (m *Memory) Conversations() []*record.Info {
	return slices.SortedFunc(maps.Values(m.conversations), func(a, b *record.Info) int {
		return int(a.Ordinal) - int(b.Ordinal)
	})
}

// Events is the log of a conversation as it is stored now.
func (m *Memory) Events(c record.Conversation) []*record.Event {
	var log []*record.Event
	for seq := m.heads[c].Floor + 1; ; seq++ {
		e, ok := m.events[eventKey{c, seq}]
		if !ok {
			return log
		}
		log = append(log, e)
	}
}

// Members lists everybody who has a member record in a conversation, in the order of their ordinals.
func (m *Memory) Members(c record.Conversation) []record.User {
	var users []record.User
	for key := range m.members {
		if key.c == c {
			users = append(users, key.u)
		}
	}
	slices.Sort(users)
	return users
}

// Hours is the hour index of a conversation, ascending.
func (m *Memory) Hours(c record.Conversation) []record.Hour {
	var rows []record.Hour
	for key, row := range m.hours {
		if key.c == c {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b record.Hour) int { return int(a.Hour) - int(b.Hour) })
	return rows
}

// Mentions lists the seqs in the mention index for a user, or for everybody (0), ascending.
func (m *Memory) Mentions(c record.Conversation, u record.User) []tidemark.Seq {
	var seqs []tidemark.Seq
	for key := range m.mentions {
		if key.c == c && key.u == u {
			seqs = append(seqs, key.seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

// Unread is how many counted events a member has not read, from marks alone: what a server computes.
func (m *Memory) Unread(c record.Conversation, u record.User) uint64 {
	member, head := m.members[memberKey{c, u}], m.heads[c]
	unread := head.Counted - max(member.ReadCounted, head.FloorCounted)
	for key := range m.recalls {
		if key.c == c && key.seq > max(member.ReadSeq, head.Floor) {
			unread--
		}
	}
	for i := range member.Own.Len() {
		seq := member.Own.At(i)
		if _, recalled := m.recalls[eventKey{c, seq}]; seq > head.Floor && !recalled {
			unread--
		}
	}
	return unread
}

// UnreadMentions is how many events past a member's read mark mention the member, by name or with everybody.
func (m *Memory) UnreadMentions(c record.Conversation, u record.User) int {
	member := m.members[memberKey{c, u}]
	read := max(member.ReadSeq, m.heads[c].Floor, max(member.VisibleFrom, 1)-1)
	seqs := make(map[tidemark.Seq]bool)
	for _, seq := range append(m.Mentions(c, u), m.Mentions(c, 0)...) {
		if seq > read && !member.Own.Has(seq) {
			seqs[seq] = true
		}
	}
	return len(seqs)
}
