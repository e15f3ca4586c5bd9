// SPDX-License-Identifier: Apache-2.0

// A server for tests: small, slow and obviously right. Everything it tells is computed from its logs by brute force.

package replica_test

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

const partitions = 2

// server is the model. A restore is a clone with another epoch.
type server struct {
	epoch     uint64
	salt      uint64 // grows, also over restores: salts differ
	position  [partitions]uint64
	logs      map[tidemark.ConversationID]*history
	corrupt   func(*wire.ServerFrame) // a fault of the network's contents; nil: none
	refuse    func(clientID string) *tidemark.Error
	submitted int
}

// history is one conversation.
type history struct {
	partition uint32
	members   []string
	events    []event // seq n at n-1
	kept      uint64  // what is below is not given
	marks     map[string]mark
	bodies    map[tidemark.Seq]*wire.Body
	deleted   map[string][]uint64 // what users have deleted for themselves, ascending
	room      bool                // those are in it who have entered; members is empty
}

type mark struct {
	from     tidemark.Seq // the first seq visible; 0: 1
	private  uint64       // of the last change of what is in deleted
	read     tidemark.Seq
	position uint64 // of its last change
	loud     uint64 // of its last change but for own messages: the device that sends one knows
}

type event struct {
	*wire.Event
	kind     uint8
	counts   bool
	position uint64
	digest   tidemark.Digest
}

func newServer() *server { return &server{epoch: 7, logs: map[tidemark.ConversationID]*history{}} }

// clone is what a backup holds.
func (s *server) clone(epoch uint64) *server {
	c := &server{epoch: epoch, salt: s.salt + 1_000_000, position: s.position, logs: map[tidemark.ConversationID]*history{}}
	for id, h := range s.logs {
		d := &history{room: h.room, partition: h.partition, members: slices.Clone(h.members), events: slices.Clone(h.events), marks: map[string]mark{}, bodies: map[tidemark.Seq]*wire.Body{}}
		for u, m := range h.marks {
			d.marks[u] = m
		}
		for seq, b := range h.bodies {
			d.bodies[seq] = b
		}
		d.deleted = map[string][]uint64{}
		for u, list := range h.deleted {
			d.deleted[u] = slices.Clone(list)
		}
		c.logs[id] = d
	}
	return c
}

func (s *server) create(id tidemark.ConversationID, members ...string) {
	h := &history{partition: tidemark.PartitionOfConversation(id, partitions), members: members, marks: map[string]mark{}, bodies: map[tidemark.Seq]*wire.Body{}}
	s.logs[id] = h
	s.position[h.partition]++
	s.append(id, "system", "", &wire.Body{Body: &wire.Body_Members{Members: &wire.Members{Added: members}}})
	for _, m := range members {
		h.marks[m] = mark{position: s.position[h.partition], loud: s.position[h.partition]}
	}
}

// takesBack appends the events of a conversation that s lost and that another server still had.
func (s *server) takesBack(id tidemark.ConversationID, from *server) {
	h, had := s.logs[id], from.logs[id]
	s.position[h.partition] = from.position[h.partition] + 1
	for _, e := range had.events[len(h.events):] {
		e.position = s.position[h.partition]
		h.events, h.bodies[tidemark.Seq(e.Seq)] = append(h.events, e), had.bodies[tidemark.Seq(e.Seq)]
	}
}

// append adds an event at the partition's present position.
func (s *server) append(id tidemark.ConversationID, sender, clientID string, body *wire.Body) event {
	h := s.logs[id]
	s.salt++
	ev := &wire.Event{
		Seq: uint64(len(h.events) + 1), Id: s.salt<<8 | s.position[h.partition], TimeMs: 1_000_000 + s.salt, Sender: sender,
		ClientId: clientID, Body: wire.MarshalBody(body), Salt: binary.BigEndian.AppendUint64(nil, s.salt),
	}
	counts := body.GetMessage() != nil && body.GetMessage().Class == wire.MessageClass_NORMAL
	prev := chain.Start(id)
	if n := len(h.events); n > 0 {
		prev, ev.Counted = h.events[n-1].digest, h.events[n-1].Counted
	}
	if counts {
		ev.Counted++
	}
	e := event{Event: ev, kind: wire.BodyKind(body), counts: counts, position: s.position[h.partition]}
	e.digest = chain.Next(prev, chain.Link{Seq: tidemark.Seq(ev.Seq), ID: tidemark.EventID(ev.Id), TimeMs: ev.TimeMs,
		Sender: tidemark.UserID(sender), ClientID: tidemark.ClientID(clientID), Kind: e.kind, BodyHash: hashOf(ev)})
	h.events = append(h.events, e)
	h.bodies[tidemark.Seq(ev.Seq)] = body
	return e
}

func hashOf(ev *wire.Event) tidemark.Digest { return chain.BodyHash([8]byte(ev.Salt), ev.Body) }

// submit appends what a user sends, once for each client id. Two events in one commit, now and then, as a server that
// gathers does.
func (s *server) submit(user string, f *wire.Submit, gather func()) *wire.ServerFrame {
	if s.refuse != nil {
		if e := s.refuse(f.ClientId); e != nil {
			return wire.ErrorFrame(f.Request, e)
		}
	}
	id := tidemark.ConversationID(f.Conversation)
	h := s.logs[id]
	if a, b, ok := id.Peers(); h == nil && ok {
		s.create(id, string(a), string(b))
		h = s.logs[id]
	}
	if h == nil || !h.room && !slices.Contains(h.members, user) {
		return wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.NotMember, "not a member"))
	}
	for _, e := range h.events {
		if e.Sender == user && e.ClientId == f.ClientId {
			return answerOf(f.Request, id, h, e, true)
		}
	}
	body, target := bodyOf(f)
	if target > 0 {
		if target > tidemark.Seq(len(h.events)) || h.events[target-1].kind != 1 || h.form(target).recalled > 0 {
			return wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.UnknownEvent, "no such message"))
		}
	}
	if root := f.GetMessage().GetThread(); root > 0 && (root > uint64(len(h.events)) || h.events[root-1].kind != 1) {
		return wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.UnknownEvent, "no such root"))
	}
	s.position[h.partition]++
	gather()
	e := s.append(id, user, f.ClientId, body)
	if e.counts { // a message moves its writer's read mark; a reaction or an edit does not
		m := h.marks[user]
		m.read, m.position = tidemark.Seq(e.Seq), s.position[h.partition]
		h.marks[user] = m
	}
	s.submitted++
	return answerOf(f.Request, id, h, e, false)
}

func answerOf(request uint64, id tidemark.ConversationID, h *history, e event, duplicate bool) *wire.ServerFrame {
	return &wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: &wire.Submitted{
		Request: request, Conversation: string(id), Seq: e.Seq, Id: e.Id, TimeMs: e.TimeMs, Digest: e.digest[:],
		Partition: h.partition, Position: e.position, Duplicate: duplicate, Salt: e.Salt, Counted: e.Counted,
	}}}
}

func bodyOf(f *wire.Submit) (*wire.Body, tidemark.Seq) {
	switch a := f.Action.(type) {
	case *wire.Submit_Edit:
		return &wire.Body{Body: &wire.Body_Edit{Edit: a.Edit}}, tidemark.Seq(a.Edit.Seq)
	case *wire.Submit_Recall:
		return &wire.Body{Body: &wire.Body_Recall{Recall: a.Recall}}, tidemark.Seq(a.Recall.Seq)
	case *wire.Submit_Reaction:
		return &wire.Body{Body: &wire.Body_Reaction{Reaction: a.Reaction}}, tidemark.Seq(a.Reaction.Seq)
	case *wire.Submit_Pin:
		return &wire.Body{Body: &wire.Body_Pin{Pin: a.Pin}}, tidemark.Seq(a.Pin.Seq)
	}
	return &wire.Body{Body: &wire.Body_Message{Message: f.GetMessage()}}, 0
}

// read moves a read mark.
func (s *server) read(user string, f *wire.Read) {
	h := s.logs[tidemark.ConversationID(f.Conversation)]
	if h == nil || f.Seq > uint64(len(h.events)) || tidemark.Seq(f.Seq) <= h.marks[user].read {
		return
	}
	s.touch(h, user, func(m *mark) { m.read = tidemark.Seq(f.Seq) })
}

// touch changes a user's own record in a commit of its own.
func (s *server) touch(h *history, user string, change func(*mark)) {
	s.position[h.partition]++
	m := h.marks[user]
	m.position, m.loud = s.position[h.partition], s.position[h.partition]
	change(&m)
	h.marks[user] = m
}

// delete deletes a message for one user.
func (s *server) delete(user string, id tidemark.ConversationID, seq uint64) {
	h := s.logs[id]
	if h.deleted == nil {
		h.deleted = map[string][]uint64{}
	}
	h.deleted[user] = append(h.deleted[user], seq)
	slices.Sort(h.deleted[user])
	s.touch(h, user, func(m *mark) { m.private = m.position })
}

// clear deletes the history up to a seq for one user.
func (s *server) clear(user string, id tidemark.ConversationID, seq tidemark.Seq) {
	s.touch(s.logs[id], user, func(m *mark) { m.from, m.read = seq+1, max(m.read, seq) })
}

// form is the current form of a message, read off the log.
type form struct {
	edit, recalled, pin tidemark.Seq
	content             *wire.Message
	reactions           map[string]map[string]bool
	answers             uint32
	lastAnswer          uint64
}

func (h *history) form(seq tidemark.Seq) form {
	f := form{reactions: map[string]map[string]bool{}}
	for _, e := range h.events[seq:] {
		switch b := h.bodies[tidemark.Seq(e.Seq)].GetBody().(type) {
		case *wire.Body_Message:
			if b.Message.GetThread() == uint64(seq) {
				f.lastAnswer = e.Seq
				if h.form(tidemark.Seq(e.Seq)).recalled == 0 {
					f.answers++
				}
			}
		case *wire.Body_Edit:
			if b.Edit.Seq == uint64(seq) {
				f.edit, f.content = tidemark.Seq(e.Seq), b.Edit.Message
			}
		case *wire.Body_Recall:
			if b.Recall.Seq == uint64(seq) && f.recalled == 0 {
				f.recalled = tidemark.Seq(e.Seq)
			}
		case *wire.Body_Pin:
			switch {
			case b.Pin.Seq != uint64(seq):
			case b.Pin.Removed:
				f.pin = 0
			case f.pin == 0:
				f.pin = tidemark.Seq(e.Seq)
			}
		case *wire.Body_Reaction:
			if b.Reaction.Seq == uint64(seq) {
				if f.reactions[b.Reaction.Key] == nil {
					f.reactions[b.Reaction.Key] = map[string]bool{}
				}
				f.reactions[b.Reaction.Key][e.Sender] = !b.Reaction.Removed
			}
		}
	}
	return f
}

// logForm is an event as deltas carry it: as written, except for what was taken back.
func (h *history) logForm(e event) *wire.Event {
	ev := copied(e.Event)
	recalled := tidemark.Seq(0)
	if e.kind == 1 {
		recalled = h.form(tidemark.Seq(e.Seq)).recalled
	}
	if edit := h.bodies[tidemark.Seq(e.Seq)].GetEdit(); edit != nil {
		recalled = h.form(tidemark.Seq(edit.Seq)).recalled
	}
	if recalled > 0 {
		withhold(ev, e.kind)
		ev.Recalled = uint64(recalled)
	}
	return ev
}

// hide withholds a message that the user has deleted for itself, and the edit of one that it does not see.
func (h *history) hide(ev *wire.Event, e event, user string) *wire.Event {
	edit := h.bodies[tidemark.Seq(e.Seq)].GetEdit()
	if slices.Contains(h.deleted[user], e.Seq) || edit != nil && tidemark.Seq(edit.Seq) < h.marks[user].from {
		if len(ev.Body) > 0 {
			withhold(ev, e.kind)
		}
		ev.Hidden, ev.Thread = true, h.bodies[tidemark.Seq(e.Seq)].GetMessage().GetThread()
	}
	return ev
}

func withhold(ev *wire.Event, kind uint8) {
	hash := hashOf(ev)
	ev.BodyHash, ev.Kind, ev.Body, ev.Salt = hash[:], uint32(kind), nil, nil
}

// pageForm is an event as pages carry it: in its current form.
func (h *history) pageForm(e event, user string) *wire.Event {
	ev := h.logForm(e)
	if e.kind != 1 {
		return h.hide(ev, e, user)
	}
	f := h.form(tidemark.Seq(e.Seq))
	ev.ThreadCount, ev.ThreadSeq = f.answers, f.lastAnswer
	if ev.Recalled > 0 || slices.Contains(h.deleted[user], e.Seq) {
		return h.hide(ev, e, user)
	}
	if f.edit > 0 {
		withhold(ev, e.kind)
		content := proto.CloneOf(f.content)
		content.Thread = h.bodies[tidemark.Seq(e.Seq)].GetMessage().GetThread() // an edit does not move it
		ev.Edited, ev.Body = uint64(f.edit), wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: content}})
	}
	ev.Pinned = uint64(f.pin)
	for key, users := range f.reactions {
		r := &wire.ReactionCount{Key: key, Mine: users[user]}
		for name, reacts := range users {
			if reacts {
				r.Count++
				r.Users = append(r.Users, name)
			}
		}
		sort.Strings(r.Users)
		r.Users = r.Users[:min(len(r.Users), 2)]
		if r.Count > 0 {
			ev.Reactions = append(ev.Reactions, r)
		}
	}
	sort.Slice(ev.Reactions, func(i, j int) bool { return ev.Reactions[i].Key < ev.Reactions[j].Key })
	return ev
}

func (h *history) digest(id tidemark.ConversationID, seq uint64) tidemark.Digest {
	if seq == 0 {
		return chain.Start(id)
	}
	return h.events[seq-1].digest
}

// summary is a conversation without events.
func (s *server) summary(id tidemark.ConversationID, user string) *wire.ConversationDelta {
	h := s.logs[id]
	head := uint64(len(h.events))
	digest := h.digest(id, head)
	d := &wire.ConversationDelta{
		Id: string(id), Partition: h.partition, HeadSeq: head, HeadDigest: digest[:], LastTimeMs: h.events[head-1].TimeMs,
		Info: &wire.ConversationInfo{Kind: wire.Kind_GROUP, Title: string(id), MemberCount: uint32(len(h.members)), Custom: map[string]string{"a": "1", "b": "2"}},
		Self: &wire.Self{Role: wire.Role_MEMBER, JoinedSeq: 1, ReadSeq: uint64(h.marks[user].read), VisibleFrom: max(1, uint64(h.marks[user].from))},
	}
	if deleted := h.deleted[user]; len(deleted) > 0 {
		d.Self.Private = &wire.Private{Deleted: slices.Clone(deleted)}
	}
	var unread, mentions uint64
	for _, e := range h.events {
		if e.counts && tidemark.Seq(e.Seq) > h.marks[user].read && h.form(tidemark.Seq(e.Seq)).recalled == 0 {
			unread++
		}
	}
	d.Unread, d.Mentions, d.FloorSeq = &unread, &mentions, h.kept
	return d
}

// changed is when a conversation, or the user's record in it, changed last.
func (h *history) changed(user string) uint64 {
	return max(h.events[len(h.events)-1].position, h.marks[user].position)
}

// fetch answers a request for a page.
func (s *server) fetch(user string, f *wire.Fetch) *wire.ServerFrame {
	id := tidemark.ConversationID(f.Conversation)
	h := s.logs[id]
	if h == nil || !h.room && !slices.Contains(h.members, user) {
		return wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.NotMember, "not a member"))
	}
	head, limit := uint64(len(h.events)), uint64(f.Limit)
	if limit == 0 {
		limit = 50
	}
	from, to := uint64(1), head
	switch p := f.From.(type) {
	case *wire.Fetch_After:
		from = p.After + 1
		to = min(head, p.After+limit)
	case *wire.Fetch_Before:
		to = min(head, p.Before-1)
		from = to - min(to, limit) + 1
	default:
		from = head - min(head, limit) + 1
	}
	kept := max(h.kept, uint64(h.marks[user].from))
	from = max(from, kept)
	digest := h.digest(id, head)
	page := &wire.Fetched{Request: f.Request, Conversation: f.Conversation, HeadSeq: head, HeadDigest: digest[:], HasMore: from > max(kept, 1), FloorSeq: kept}
	if from <= to {
		prev := h.digest(id, from-1)
		page.PrevDigest = prev[:]
		for _, e := range h.events[from-1 : to] {
			page.Events = append(page.Events, h.pageForm(e, user))
		}
	}
	return &wire.ServerFrame{Frame: &wire.ServerFrame_Fetched{Fetched: page}}
}

// session is one connection, seen from the server.
type session struct {
	server  *server
	user    string
	cursor  [partitions]uint64
	own     map[string]bool // client ids answered here
	opened  bool
	out     []*wire.ServerFrame
	fetches int
	seats   map[tidemark.ConversationID]*seat
}

func (c *session) send(f *wire.ServerFrame) { c.out = append(c.out, f) }

// receive takes in a frame of the client.
func (c *session) receive(f *wire.ClientFrame) {
	switch f := f.Frame.(type) {
	case *wire.ClientFrame_Hello:
		c.hello(f.Hello)
	case *wire.ClientFrame_Submit:
		c.round() // what was committed before is told before
		if c.notIn(f.Submit) {
			return
		}
		answer := c.server.submit(c.user, f.Submit, func() {})
		if done := answer.GetSubmitted(); done != nil {
			c.own[f.Submit.ClientId] = true
			c.answered(done)
		}
		c.send(answer)
	case *wire.ClientFrame_Fetch:
		c.fetches++
		c.send(c.server.fetch(c.user, f.Fetch))
	case *wire.ClientFrame_Enter:
		c.round()
		c.enter(f.Enter)
	case *wire.ClientFrame_Leave:
		c.leave(f.Leave)
	case *wire.ClientFrame_Read:
		c.server.read(c.user, f.Read)
	case *wire.ClientFrame_Ping:
		c.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Pong{Pong: &wire.Pong{Request: f.Ping.Request}}})
	}
}

func (c *session) hello(h *wire.Hello) {
	s := c.server
	welcome := &wire.Welcome{SessionId: "s", User: c.user, DeviceId: h.DeviceId, Epoch: s.epoch, Partitions: partitions, HeartbeatMs: 30_000,
		Limits: &wire.Limits{InFlightMax: 8, PageEventsMax: 10, FrameBytesMax: 1 << 20}}
	for p, position := range h.GetCursor().GetPositions() {
		if h.Cursor.Epoch != s.epoch {
			welcome.Reset_ = &wire.Reset{Reason: wire.ResetReason_EPOCH}
		} else if position > s.position[p] {
			welcome.Reset_ = &wire.Reset{Reason: wire.ResetReason_FUTURE}
		}
		c.cursor[p] = position
	}
	if welcome.Reset_ != nil {
		c.cursor = [partitions]uint64{}
	}
	c.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Welcome{Welcome: welcome}})
	tail, full := int(cmp.Or(h.Tail, 20)), int(cmp.Or(h.Full, 100))
	published := s.position
	for _, id := range c.mine() {
		d := c.delta(id, tail, published)
		if d == nil {
			continue
		}
		if full--; full < 0 {
			d.Events, d.PrevSeq, d.PrevDigest = nil, 0, nil
		}
		c.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Conversations: []*wire.ConversationDelta{d}}}})
	}
	positions := map[uint32]uint64{}
	for p := range published {
		c.cursor[p], positions[uint32(p)] = published[p], published[p]
	}
	c.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Synced{Synced: &wire.Synced{Cursor: &wire.Cursor{Epoch: s.epoch, Positions: positions}}}})
	c.opened = true
}

// mine are the user's conversations, the last active first.
func (c *session) mine() (ids []tidemark.ConversationID) {
	for id, h := range c.server.logs {
		if slices.Contains(h.members, c.user) {
			ids = append(ids, id)
		}
	}
	sort.Slice(ids, func(i, j int) bool {
		a, b := c.server.logs[ids[i]], c.server.logs[ids[j]]
		if x, y := a.events[len(a.events)-1].TimeMs, b.events[len(b.events)-1].TimeMs; x != y {
			return x > y
		}
		return ids[i] < ids[j]
	})
	return ids
}

// delta is what changed in a conversation past the cursor, with its last events up to the published positions.
func (c *session) delta(id tidemark.ConversationID, tail int, published [partitions]uint64) *wire.ConversationDelta {
	h := c.server.logs[id]
	if h.changed(c.user) <= c.cursor[h.partition] {
		return nil
	}
	d := c.server.summary(id, c.user)
	var events []event
	for _, e := range h.events {
		if e.Seq >= h.kept && tidemark.Seq(e.Seq) >= h.marks[c.user].from && e.position > c.cursor[h.partition] && e.position <= published[h.partition] && !(e.Sender == c.user && c.own[e.ClientId]) {
			events = append(events, e)
		}
	}
	cursor, m := c.cursor[h.partition], h.marks[c.user]
	recalled := slices.ContainsFunc(h.events, func(e event) bool {
		return e.kind == 3 && e.position > cursor && e.position <= published[h.partition]
	})
	if c.opened && len(events) == 0 && m.loud <= cursor && !recalled {
		return nil // own events only, which were answered
	}
	if m.private <= cursor && c.opened {
		d.Self.Private = nil
	}
	if !(m.loud > cursor || (len(events) > 0 || !c.opened) && m.position > cursor) {
		d.Self = nil
	}
	if len(events) > tail {
		events = events[len(events)-tail:]
	}
	if len(events) > 0 {
		d.PrevSeq = events[0].Seq - 1
		prev := h.digest(id, d.PrevSeq)
		d.PrevDigest = prev[:]
	}
	for _, e := range events {
		d.Events = append(d.Events, h.hide(h.logForm(e), e, c.user))
	}
	return d
}

// round tells what was committed since the last one.
func (c *session) round() {
	c.rooms()
	if !c.opened || c.cursor == c.server.position {
		return
	}
	delta := &wire.Delta{Live: true, Checkpoints: map[uint32]uint64{}}
	for _, id := range c.mine() {
		if d := c.delta(id, 1000, c.server.position); d != nil {
			if d.HeadSeq%3 != 0 {
				d.HeadDigest = nil // live, it may be left out
			}
			delta.Conversations = append(delta.Conversations, d)
		}
	}
	for p, position := range c.server.position {
		c.cursor[p], delta.Checkpoints[uint32(p)] = position, position
	}
	c.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: delta}})
}

// copied is an event of its own.
func copied(ev *wire.Event) *wire.Event { return proto.CloneOf(ev) }
