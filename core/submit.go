// SPDX-License-Identifier: Apache-2.0

// Submit: what every submission goes through before its own rules, whatever it carries.

package core

import (
	"bytes"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// handleSubmit answers a repeated client id with the first answer, before every other rule: a retry must not depend on
// what has changed since. The first message between two users creates their conversation.
func (t *turn) handleSubmit(cmd *Submit) Reply {
	if err := checkSubmit(cmd); err != nil {
		return Reply{Err: err}
	}
	if err := t.identify(cmd.Actor); err != nil {
		return Reply{Err: err}
	}
	found, err := t.find(cmd.Conversation)
	if err != nil {
		return Reply{Err: err}
	}
	if found {
		if e, ok := t.earlier(cmd.ClientID); ok {
			reply := answer(e)
			reply.Duplicate = true
			return reply
		}
	}
	if !found || t.alone(cmd) {
		if err := t.begins(cmd); err != nil {
			return Reply{Err: err}
		}
	}
	if err := t.mayWrite(cmd); err != nil {
		return Reply{Err: err}
	}
	var reply Reply
	switch {
	case cmd.Message != nil:
		reply = t.submitMessage(cmd.ClientID, cmd.Message, cmd.Forward)
	case cmd.Edit != nil:
		reply = t.submitEdit(cmd.ClientID, cmd.Edit)
	case cmd.Recall != nil:
		reply = t.submitRecall(cmd.ClientID, cmd.Recall)
	case cmd.Reaction != nil:
		reply = t.submitReaction(cmd.ClientID, cmd.Reaction)
	case cmd.Pin != nil:
		reply = t.submitPin(cmd.ClientID, cmd.Pin)
	}
	reply.Created = !found
	return reply
}

// checkSubmit checks what can be checked without looking at anything.
func checkSubmit(cmd *Submit) *tidemark.Error {
	actions := 0
	for _, given := range [...]bool{
		cmd.Message != nil, cmd.Edit != nil, cmd.Recall != nil, cmd.Reaction != nil, cmd.Pin != nil,
	} {
		if given {
			actions++
		}
	}
	if actions != 1 {
		return tidemark.Refuse(tidemark.BadArgument,
			"a submission carries exactly one of message, edit, recall, reaction, pin; this one carries %d", actions)
	}
	if !cmd.ClientID.Valid() {
		return tidemark.Refuse(tidemark.BadArgument, "client id %q: give 1 to %d bytes of UTF-8, unique per message",
			cmd.ClientID, tidemark.IDBytesMax)
	}
	return nil
}

// earlier is the event that the asking user has made in this conversation with this client id, if there is one: for as
// long as the event lives.
func (t *turn) earlier(id tidemark.ClientID) (*record.Event, bool) {
	if t.user == 0 {
		return nil, false
	}
	seq, ok := t.view.ByClientID(t.info.Ordinal, t.user, id)
	if !ok {
		return nil, false
	}
	return t.view.Event(t.info.Ordinal, seq)
}

// begins makes sure that both users of a direct conversation are members when the first message of either comes. Only a
// message that is stored begins one.
func (t *turn) begins(cmd *Submit) *tidemark.Error {
	a, b, direct := cmd.Conversation.Peers()
	switch {
	case !direct || cmd.Message == nil || cmd.Message.Class == wire.MessageClass_TRANSIENT,
		t.writer != a && t.writer != b && !t.full: // nor is it known to others that there is one
		return unknown(cmd.Conversation)
	}
	return t.meet(cmd.Conversation, []tidemark.UserID{a, b})
}

// alone reports whether a stored message is to go to a direct conversation that one of its users is not a member of yet:
// the other has begun it by a block or a remark.
func (t *turn) alone(cmd *Submit) bool {
	return t.info.Kind == record.Direct && t.head.Members < 2 && cmd.Message != nil &&
		cmd.Message.Class != wire.MessageClass_TRANSIENT
}

// mayWrite holds the rules that are the same for everything a user submits.
func (t *turn) mayWrite(cmd *Submit) *tidemark.Error {
	if err := t.needMember(); err != nil {
		return err
	}
	if t.info.Kind == record.Direct {
		if cmd.Peer != nil && cmd.Peer.Refused != nil && !takesBack(cmd) {
			return cmd.Peer.Refused
		}
		if t.full {
			return t.checkSeen(cmd.Seen)
		}
		if err := t.mayReach(cmd); err != nil {
			return err
		}
	}
	return t.checkSeen(cmd.Seen)
}

// checkSeen refuses a writer who has seen another history than this conversation's.
func (t *turn) checkSeen(seen *wire.Seen) *tidemark.Error {
	if seen == nil {
		return nil
	}
	var digest tidemark.Digest
	switch seq := tidemark.Seq(seen.Seq); {
	case seq == t.head.Seq:
		digest = t.head.Digest
	case seq == t.head.Floor && seq > 0:
		digest = t.head.FloorDigest
	case seq == 0:
		digest = chain.Start(t.info.ID)
	case seq < t.head.Floor:
		return nil // no longer kept: nothing to compare with
	default:
		e, ok := t.view.Event(t.info.Ordinal, seq)
		if !ok {
			return tidemark.Refuse(tidemark.UnknownEvent, "the writer has seen event %d but %s ends at %d: "+
				"verify the conversation and repair it, then send again", seq, t.info.ID, t.head.Seq)
		}
		digest = e.Digest
	}
	if !bytes.Equal(digest[:], seen.Digest) {
		return tidemark.Refuse(tidemark.UnknownEvent, "the writer has seen another event %d than this server's: "+
			"verify the conversation and repair it, then send again", seen.Seq)
	}
	return nil
}
