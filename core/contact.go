// SPDX-License-Identifier: Apache-2.0

// Contacts: how two users stand to each other, as state of their direct conversation.
//
// Each of the two member records has its own side: whether the users are contacts or one has asked, the user's own block
// and the user's own remark. The state of the contact is the same fact seen from two sides and is always written on both;
// a block and a remark are on one side only, and nothing is written on the other: nobody is told of being blocked but by
// the refusal of what they write or ask.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// ContactAction is what a [Contact] command does.
type ContactAction uint8

// The actions.
const (
	AskContact    ContactAction = 1 // ask the peer; who has been asked accepts by it
	AcceptContact ContactAction = 2 // accept the peer's request
	RejectContact ContactAction = 3 // reject it
	RemoveContact ContactAction = 4 // end the contact for both, or take one's own request back
	BlockPeer     ContactAction = 5 // the peer can neither write nor ask any more
	UnblockPeer   ContactAction = 6
	RemarkPeer    ContactAction = 7 // the user's own name for the peer; an empty text removes it
)

// Contact changes how a user stands to a peer. What is so already is left as it is. The caller has checked that the peer
// exists; where there is no direct conversation yet, actions that say something begin it, hidden from the lists of both.
type Contact struct {
	User, Peer tidemark.UserID
	Action     ContactAction
	Text       string // of AskContact and RemarkPeer; at most Limits.TitleBytesMax bytes
	Pending    int    // of AskContact: how many other requests of the user wait for an answer, in all partitions
}

func (*Contact) command() {}

// side is one user's side of a contact.
type side struct {
	state   record.ContactState
	blocked bool
	remark  string
	text    string
}

func sideOf(m *record.Member) side {
	if m == nil {
		return side{}
	}
	return side{m.Contact, m.Blocked, m.Remark, m.RequestText}
}

// handleContact decides both sides, then writes those that change. The reply has the user's own record; nil if there is
// no conversation and nothing to say.
func (t *turn) handleContact(cmd *Contact) Reply {
	if err := t.checkContact(cmd); err != nil {
		return Reply{Err: err}
	}
	if err := t.identify(Actor{User: cmd.User}); err != nil {
		return Reply{Err: err}
	}
	id := tidemark.Direct(cmd.User, cmd.Peer)
	found, err := t.find(id)
	if err != nil {
		return Reply{Err: err}
	}
	peer, _ := t.lookup(cmd.Peer)
	var mine, theirs side
	if found {
		mine, theirs = sideOf(t.memberOf(t.user)), sideOf(t.memberOf(peer))
	}
	own, other := mine, theirs
	if err := t.decideContact(cmd, &own, &other); err != nil {
		return Reply{Err: err}
	}
	if own != mine || other != theirs {
		users := []tidemark.UserID{cmd.User}
		if other != theirs {
			users = append(users, cmd.Peer)
		}
		if err := t.meetHidden(id, users); err != nil {
			return Reply{Err: err}
		}
		t.stand(cmd.User, mine, own)
		t.stand(cmd.Peer, theirs, other)
	}
	if t.info == nil {
		return Reply{}
	}
	reply := Reply{Seq: t.head.Seq, Position: t.head.Position, Info: t.info, Created: !found}
	if reply.Member = t.memberOf(t.user); reply.Member != nil {
		reply.Position = reply.Member.Position
	}
	return reply
}

// checkContact checks what can be checked without looking at anything.
func (t *turn) checkContact(cmd *Contact) *tidemark.Error {
	switch {
	case !cmd.Peer.Valid():
		return tidemark.Refuse(tidemark.BadArgument, "user %q is not an id: it takes %s", cmd.Peer, tidemark.IDAlphabet)
	case cmd.Peer == tidemark.SystemUser || cmd.User == tidemark.SystemUser:
		return tidemark.Refuse(tidemark.BadArgument, "the user %q is reserved: it is nobody's contact", tidemark.SystemUser)
	case cmd.Peer == cmd.User:
		return tidemark.Refuse(tidemark.BadArgument, "nobody is a contact of their own: name another user than %s", cmd.User)
	case cmd.Action == AskContact:
		return checkText("text", cmd.Text, t.limits.TitleBytesMax)
	case cmd.Action == RemarkPeer:
		return checkText("remark", cmd.Text, t.limits.TitleBytesMax)
	}
	return nil
}

// decideContact changes the two sides as the action says.
func (t *turn) decideContact(cmd *Contact, own, other *side) *tidemark.Error {
	switch cmd.Action {
	case AskContact:
		return t.ask(cmd, own, other)
	case AcceptContact:
		return accept(cmd, own, other)
	case RejectContact:
		switch own.state {
		case record.Asked:
			settle(own, other, record.NoContact)
		case record.Requested, record.InContact:
			return noRequest(cmd)
		}
	case RemoveContact:
		switch own.state {
		case record.Requested, record.InContact:
			settle(own, other, record.NoContact)
		case record.Asked:
			return tidemark.Refuse(tidemark.NotAllowed, "%s has asked %s and is no contact yet: answer the request",
				cmd.Peer, cmd.User)
		}
	case BlockPeer:
		own.blocked = true
	case UnblockPeer:
		own.blocked = false
	case RemarkPeer:
		own.remark = cmd.Text
	default:
		return tidemark.Refuse(tidemark.BadArgument, "contact action %d does not exist", cmd.Action)
	}
	return nil
}

// ask makes a request, or a contact where the peer has asked already. Asking again replaces the text.
func (t *turn) ask(cmd *Contact, own, other *side) *tidemark.Error {
	if own.state == record.InContact {
		return nil
	}
	if own.state == record.Asked {
		return accept(cmd, own, other)
	}
	if err := apart(cmd.User, cmd.Peer, own.blocked, other.blocked); err != nil {
		return err
	}
	if own.state == record.NoContact && cmd.Pending >= int(t.limits.ContactRequestsMax) {
		return tidemark.Refuse(tidemark.TooMany, "%d contact requests of %s wait for an answer, more are not allowed: "+
			"take some back", cmd.Pending, cmd.User)
	}
	own.state, other.state = record.Requested, record.Asked
	own.text, other.text = cmd.Text, cmd.Text
	return nil
}

func accept(cmd *Contact, own, other *side) *tidemark.Error {
	switch own.state {
	case record.InContact:
		return nil
	case record.NoContact, record.Requested:
		return noRequest(cmd)
	}
	if err := apart(cmd.User, cmd.Peer, own.blocked, other.blocked); err != nil {
		return err
	}
	settle(own, other, record.InContact)
	return nil
}

// settle ends a request or a contact on both sides.
func settle(own, other *side, state record.ContactState) {
	own.state, other.state = state, state
	own.text, other.text = "", ""
}

func noRequest(cmd *Contact) *tidemark.Error {
	return tidemark.Refuse(tidemark.NotAllowed, "no request of %s to %s waits for an answer: it was answered or taken back",
		cmd.Peer, cmd.User)
}

// apart refuses what would cross a block, whoever of the two has made it.
func apart(user, peer tidemark.UserID, blocks, blocked bool) *tidemark.Error {
	switch {
	case blocks:
		return tidemark.Refuse(tidemark.NotAllowed, "%s has blocked %s: unblock first", user, peer)
	case blocked:
		return tidemark.Refuse(tidemark.Blocked, "%s has blocked %s", peer, user)
	}
	return nil
}

// stand writes a user's side if it has changed, and moves its entry in the index of contacts.
func (t *turn) stand(id tidemark.UserID, before, now side) {
	if now == before {
		return
	}
	u, _ := t.lookup(id)
	m := t.ownMember(u, false)
	old := m.ContactPosition
	m.Contact, m.Blocked, m.Remark, m.RequestText = now.state, now.blocked, now.remark, now.text
	m.Position, m.ContactPosition = t.env.Position, t.env.Position
	if old == m.ContactPosition {
		return // changed by an earlier command of the same commit
	}
	entry := record.Index{Kind: record.ContactIndex, User: u, Conversation: t.info.Ordinal, Position: m.ContactPosition}
	t.out.Indexes = append(t.out.Indexes, record.IndexChange{Index: entry})
	if old > 0 {
		entry.Position = old
		t.out.Indexes = append(t.out.Indexes, record.IndexChange{Index: entry, Removed: true})
	}
}

// meet makes users members of their direct conversation, which begins with it if there is none: by an event of the
// system. Who says something for itself alone (a block, a remark) is the only member until the other has part in it.
func (t *turn) meet(id tidemark.ConversationID, users []tidemark.UserID) *tidemark.Error {
	body := wire.Members{}
	if t.info == nil {
		t.begin(&record.Info{ID: id, Kind: record.Direct, CreatedMs: t.env.NowMs})
		body.Created = &wire.Info{Kind: wire.Kind_DIRECT}
	}
	var missing []tidemark.UserID
	for _, user := range users {
		if u, met := t.lookup(user); !met || !t.memberOf(u).Active() {
			missing = append(missing, user)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	t.many = true
	if err := t.canAdmit(missing); err != nil {
		return err
	}
	t.user = t.ordinal(t.writer)
	body.Added = texts(missing)
	if _, err := t.writeMembers(&body, "", tidemark.SystemUser, t.ordinal(tidemark.SystemUser), t.env.NowMs); err != nil {
		return err
	}
	if m := t.memberOf(t.user); m.Active() {
		t.member = m
	}
	return nil
}

// meetHidden is meet without showing the conversation: it stays hidden where it was, and is for whom it is new, until
// the first message.
func (t *turn) meetHidden(id tidemark.ConversationID, users []tidemark.UserID) *tidemark.Error {
	a, b, _ := id.Peers()
	var hidden []tidemark.UserID
	for _, user := range [...]tidemark.UserID{a, b} {
		if t.info == nil {
			hidden = append(hidden, user)
			continue
		}
		u, met := t.lookup(user)
		if m := t.memberOf(u); !met || !m.Active() || m.HiddenAt(t.head.Seq) {
			hidden = append(hidden, user)
		}
	}
	before := t.head
	if err := t.meet(id, users); err != nil {
		return err
	}
	if before != nil && before.Seq == t.head.Seq {
		return nil
	}
	for _, user := range hidden {
		if u, met := t.lookup(user); met && t.memberOf(u).Active() {
			m := t.ownMember(u, false)
			m.Hidden, m.HiddenSeq, m.Position = true, t.head.Seq, t.env.Position
		}
	}
	return nil
}

// mayReach holds what keeps two users from writing to each other in their direct conversation. Taking one's own words
// back is always allowed, where nothing is said with it.
func (t *turn) mayReach(cmd *Submit) *tidemark.Error {
	peer, _ := t.info.ID.Peer(t.writer)
	switch {
	case peer == tidemark.SystemUser:
		return tidemark.Refuse(tidemark.NotAllowed, "nobody reads what is written to the system")
	case takesBack(cmd):
		return nil
	}
	var theirs *record.Member
	if u, met := t.lookup(peer); met {
		theirs = t.memberOf(u)
	}
	if err := apart(t.writer, peer, t.member.Blocked, sideOf(theirs).blocked); err != nil {
		return err
	}
	if cmd.ContactsOnly && t.member.Contact != record.InContact {
		return tidemark.Refuse(tidemark.NotContact, "%s accepts messages of contacts only: ask with ContactService/Request",
			peer)
	}
	return nil
}

// takesBack reports whether a submission only takes the writer's own words back, and says nothing with it.
func takesBack(cmd *Submit) bool { return cmd.Recall != nil && cmd.Recall.Reason == "" }
