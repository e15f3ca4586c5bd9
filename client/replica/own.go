// SPDX-License-Identifier: Apache-2.0

// What the user does besides sending: read marks, typing, watching others.

package replica

import (
	"slices"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// MarkRead moves the user's read mark of a conversation up to a seq, at most to the head. It is kept until the server
// confirms it. A mark that would fall, and a conversation that is not known, change nothing.
func (r *Replica) MarkRead(view View, nowMs uint64, in tidemark.ConversationID, seq tidemark.Seq) (Output, error) {
	s := r.begin(view, nowMs)
	if c := r.conversations[in]; c != nil && !c.Removed {
		seq = min(seq, c.Last())
		if seq > c.PendingRead && c.moves(seq) {
			c = s.edit(in)
			c.PendingRead = seq
			s.tellRead(c)
			s.list(c)
			if r.conn.phase == live {
				s.sendRead(c)
			}
		}
	}
	return s.end()
}

// moves reports whether a read mark at a seq changes something, as far as the server told: one that stands there already
// still ends the conversation's being marked as unread.
func (c *Conversation) moves(seq tidemark.Seq) bool {
	read := tidemark.Seq(c.Self.GetReadSeq())
	return seq > read || seq == read && seq > 0 && c.Self.GetMarkedUnread()
}

func (s *step) sendRead(c *Conversation) {
	seq := min(c.PendingRead, c.HeadSeq)
	s.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Read{Read: &wire.Read{Conversation: string(c.ID), Seq: uint64(seq)}}})
}

// Typing tells the other members that the user types, or stopped. Nothing is sent without a connection.
func (r *Replica) Typing(view View, nowMs uint64, in tidemark.ConversationID, typing bool) (Output, error) {
	s := r.begin(view, nowMs)
	if r.conn.phase >= syncing {
		s.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Typing{Typing: &wire.Typing{Conversation: string(in), Typing: typing}}})
	}
	return s.end()
}

// Watch asks for the presence of these users in place of those watched before, on this and later connections.
func (r *Replica) Watch(view View, nowMs uint64, users []tidemark.UserID) (Output, error) {
	s := r.begin(view, nowMs)
	r.conn.watched = make([]string, 0, len(users))
	for _, u := range users {
		r.conn.watched = append(r.conn.watched, string(u))
	}
	if r.conn.phase >= syncing {
		s.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Watch{Watch: &wire.Watch{Users: r.conn.watched}}})
	}
	return s.end()
}

// ownRead notes that an own message sent by this device moved the user's read mark: the server does so without telling.
// With one that comes from elsewhere it says where the mark is; a scheduled one may have left it where it was.
// What was sent tells whether it counts: the event may have been recalled before it came back.
func (s *step) ownRead(c *Conversation, o *Outgoing, seq tidemark.Seq) {
	s.ownCounts(c, o, seq)
	if c.Self == nil || seq <= tidemark.Seq(c.Self.ReadSeq) || !o.counts() {
		return
	}
	c.Self = proto.CloneOf(c.Self)
	c.Self.ReadSeq, c.Self.MarkedUnread = uint64(seq), false
	s.tellRead(c)
}

// ownCounts notes that nothing is unread up to an own message that this device has sent, unless the server has told since.
func (s *step) ownCounts(c *Conversation, o *Outgoing, seq tidemark.Seq) {
	if o.counts() && seq > c.told.head { // a page may have told of a later head, but nothing of counts
		c.Unread, c.Mentions, c.told.unread, c.told.mentions, c.told.head = 0, 0, 0, 0, seq
		s.list(c)
	}
}

// hides reports whether the user has deleted a message for itself.
func (c *Conversation) hides(seq tidemark.Seq) bool {
	_, found := slices.BinarySearch(c.Self.GetPrivate().GetDeleted(), uint64(seq))
	return found
}
