// SPDX-License-Identifier: Apache-2.0

// Rooms in the model of a server: what a session that is in one is given of it.

package replica_test

import (
	"cmp"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// behindMax is how many events may wait for a session before messages are left out for it.
const behindMax = 3

// seat is a session's place in a room.
type seat struct {
	mark uint64 // everything up to it was given or left out
	told bool   // the public data were given
}

// openRoom makes a room.
func (s *server) openRoom(id tidemark.ConversationID) {
	s.create(id)
	s.logs[id].room = true
}

// setAttribute sets an attribute of a room, as its app.
func (s *server) setAttribute(id tidemark.ConversationID, key, value string) {
	s.position[s.logs[id].partition]++
	s.append(id, "system", "", &wire.Body{Body: &wire.Body_Info{Info: &wire.Info{
		Attributes: []*wire.Attribute{{Key: key, Value: value, Owner: "system"}},
	}}})
}

// attributes are those of a room, read off its log.
func (h *history) attributes() (list []*wire.Attribute) {
	set := map[string]*wire.Attribute{}
	for _, b := range h.inOrder() {
		for _, a := range b.GetInfo().GetAttributes() {
			if set[a.Key] = a; a.Value == "" {
				delete(set, a.Key)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		list = append(list, set[key])
	}
	return list
}

// inOrder are the bodies in the order of the log.
func (h *history) inOrder() (list []*wire.Body) {
	for i := range h.events {
		list = append(list, h.bodies[tidemark.Seq(i+1)])
	}
	return list
}

func (c *session) enter(f *wire.Enter) {
	id := tidemark.ConversationID(f.Conversation)
	h := c.server.logs[id]
	if h == nil || !h.room {
		c.send(wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.UnknownConversation, "no such room")))
		return
	}
	page := c.server.fetch(c.user, &wire.Fetch{Request: f.Request, Conversation: f.Conversation, Limit: 5, From: &wire.Fetch_Latest{Latest: true}})
	c.send(page)
	if c.seats == nil {
		c.seats = map[tidemark.ConversationID]*seat{}
	}
	c.seats[id] = &seat{mark: page.GetFetched().HeadSeq}
}

func (c *session) leave(f *wire.LeaveRoom) {
	id := tidemark.ConversationID(f.Conversation)
	if c.seats[id] == nil {
		c.send(wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.NotMember, "not in it")))
		return
	}
	delete(c.seats, id)
	c.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Fetched{Fetched: &wire.Fetched{Request: f.Request, Conversation: f.Conversation}}})
}

// evict takes the user out of a room.
func (c *session) evict(id tidemark.ConversationID) {
	delete(c.seats, id)
	c.sendRoom(&wire.ConversationDelta{Id: string(id), Partition: c.server.logs[id].partition, Removed: true})
}

// notIn refuses a submission to a room that the session is not in.
func (c *session) notIn(f *wire.Submit) bool {
	id := tidemark.ConversationID(f.Conversation)
	if h := c.server.logs[id]; h == nil || !h.room || c.seats[id] != nil {
		return false
	}
	c.send(wire.ErrorFrame(f.Request, tidemark.Refuse(tidemark.NotMember, "not in the room")))
	return true
}

// answered notes that submitted stands for an event.
func (c *session) answered(f *wire.Submitted) {
	if st := c.seats[tidemark.ConversationID(f.Conversation)]; st != nil {
		st.mark = max(st.mark, f.Seq)
	}
}

func (c *session) sendRoom(d *wire.ConversationDelta) {
	c.send(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Conversations: []*wire.ConversationDelta{d}, Live: true}}})
}

// rooms tells what happened in the rooms that the session is in. Who is far behind is not told of the oldest messages.
func (c *session) rooms() {
	for _, id := range slices.SortedFunc(maps.Keys(c.seats), cmp.Compare[tidemark.ConversationID]) {
		st, h := c.seats[id], c.server.logs[id]
		if !st.told {
			st.told = true
			c.sendRoom(&wire.ConversationDelta{Id: string(id), Partition: h.partition, HeadSeq: st.mark,
				Info: &wire.ConversationInfo{Kind: wire.Kind_ROOM, Title: string(id), Attributes: h.attributes()}, Self: &wire.Self{Role: wire.Role_MEMBER}})
		}
		var d *wire.ConversationDelta
		for _, e := range h.events[st.mark:] {
			if e.kind == 1 && e.Seq+behindMax <= uint64(len(h.events)) {
				continue // left out
			}
			if d == nil || d.HeadSeq+1 != e.Seq {
				if d != nil {
					c.sendRoom(d)
				}
				d = &wire.ConversationDelta{Id: string(id), Partition: h.partition, PrevSeq: e.Seq - 1}
				if d.PrevSeq != st.mark {
					prev := h.digest(id, d.PrevSeq)
					d.PrevDigest = prev[:]
				}
			}
			d.Events = append(d.Events, h.logForm(e))
			d.HeadSeq, d.HeadDigest, d.LastTimeMs, st.mark = e.Seq, e.digest[:], e.TimeMs, e.Seq
		}
		if d != nil {
			c.sendRoom(d)
		}
	}
}
