// SPDX-License-Identifier: Apache-2.0

// Contacts: what a command about them needs of other partitions, the pages of a user's contacts, and what is not told
// across a block.

package partition

import (
	"context"
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
)

// ContactRow is one of a user's contacts: somebody whom the user has, or had, something to do with.
type ContactRow struct {
	Conversation record.Conversation
	ID           tidemark.ConversationID
	Peer         tidemark.UserID
	Member       *record.Member    // the user's side; shared
	Position     tidemark.Position // its place in the order of last changes; not below Member.ContactPosition
}

// Contacts calls fn for a user's contacts in this partition in the order of their last change, those past a position,
// and of that position those past an ordinal. One that changes meanwhile comes once more, further on; none is missed.
func (p *Partition) Contacts(
	user tidemark.UserID, position tidemark.Position, past record.Conversation, fn func(ContactRow) (more bool),
) error {
	u, met, err := p.User(user)
	if err != nil || !met {
		return err
	}
	p.stats.misses.Add(1)
	from := record.Index{Kind: record.ContactIndex, User: u, Position: position, Conversation: past + 1}
	var failed error
	err = p.db.Index(from, false, func(i record.Index) (more bool) {
		row := ContactRow{Conversation: i.Conversation, Position: i.Position}
		// The entry may have been moved by a commit in flight. There is one in any case; the record says what is committed.
		if row.Member, failed = p.member(i.Conversation, u); failed != nil {
			return false
		}
		if row.Member == nil || row.Member.ContactPosition == 0 {
			return true
		}
		info, err := p.InfoOf(i.Conversation)
		if failed = err; failed != nil || info == nil {
			return failed == nil
		}
		row.ID = info.ID
		row.Peer, _ = info.ID.Peer(user)
		return fn(row)
	})
	if err != nil {
		return fmt.Errorf("partition: contacts of %s: %w", user, err)
	}
	return failed
}

// Contact carries out a command about a contact. It looks up what other partitions know: whether the peer exists, and
// how many requests of the user wait already, for which it reads the user's contacts. The error is as for Do.
func (s *Set) Contact(ctx context.Context, cmd *core.Contact) (core.Reply, error) {
	if err := s.checkPeer(cmd); err != nil {
		return core.Reply{}, err
	}
	if cmd.Action == core.AskContact {
		one := &s.asking[tidemark.PartitionOfUser(cmd.User, uint32(len(s.asking)))] // so that what is counted here still holds at the commit
		one.Lock()
		defer one.Unlock()
		var err error
		if cmd.Pending, err = s.pending(cmd.User, cmd.Peer); err != nil {
			return core.Reply{}, err
		}
	}
	return s.Do(ctx, cmd)
}

// checkPeer refuses users that do not exist. What was begun with a user that was deleted since can still be ended.
func (s *Set) checkPeer(cmd *core.Contact) error {
	err := s.CheckUsers(cmd.Peer)
	if err == nil || !endsContact(cmd) || !cmd.Peer.Valid() {
		return err
	}
	if f, failed := s.OfUser(cmd.Peer).Profile(cmd.Peer); failed == nil && f != nil {
		return nil
	}
	return err
}

// endsContact reports whether a command only ends what was begun.
func endsContact(cmd *core.Contact) bool {
	return cmd.Action == core.RejectContact || cmd.Action == core.RemoveContact || cmd.Action == core.UnblockPeer ||
		cmd.Action == core.RemarkPeer && cmd.Text == ""
}

// pending is how many requests of a user to others than one wait for an answer, counted up to what is allowed.
func (s *Set) pending(user, but tidemark.UserID) (n int, err error) {
	for _, p := range s.partitions {
		err := p.Contacts(user, 0, 0, func(row ContactRow) bool {
			if row.Member.Contact == record.Requested && row.Peer != but {
				n++
			}
			return n < int(s.limits.ContactRequestsMax)
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// askConsent notes in a submission whether the other user of a direct conversation accepts only contacts: because all
// users do, or by its own choice. The app may always write.
func (s *Set) askConsent(cmd *core.Submit) error {
	peer, direct := cmd.Conversation.Peer(cmd.Actor.User)
	if !direct || cmd.Actor.User == tidemark.SystemUser || peer == tidemark.SystemUser {
		return nil
	}
	home := s.OfUser(peer)
	account, err := home.Account(peer)
	if err != nil {
		home.log.Error("account cannot be read", "user", peer, "err", err)
		return tidemark.Refuse(tidemark.Unavailable, "it cannot be found out now whose messages %s accepts", peer)
	}
	cmd.ContactsOnly = s.contactsOnly || account != nil && account.ContactsOnly
	return nil
}

// unwilling are those of some users who have blocked the one who is about to make them members; the app makes anybody one.
func (s *Set) unwilling(by tidemark.UserID, users []tidemark.UserID) core.Unwilling {
	if by == "" || by == tidemark.SystemUser {
		return nil
	}
	var list core.Unwilling
	refuse := func(user tidemark.UserID, err *tidemark.Error) {
		if list == nil {
			list = make(core.Unwilling)
		}
		list[user] = err
	}
	for _, user := range users {
		if user == by || !user.Valid() || !by.Valid() {
			continue
		}
		id := tidemark.Direct(by, user)
		p := s.Of(id)
		blocked := false
		info, err := p.infoByID(id)
		if err == nil && info != nil {
			blocked, err = p.hasBlocked(info.Ordinal, user)
		}
		switch {
		case err != nil:
			p.log.Error("a contact cannot be read", "user", user, "err", err)
			refuse(user, tidemark.Refuse(tidemark.Unavailable, "it cannot be found out now whether %s may be added: try again", user))
		case blocked:
			refuse(user, tidemark.Refuse(tidemark.Blocked, "%s has blocked %s", user, by))
		}
	}
	return list
}

// Apart reports whether one of two users has blocked the other. Then neither hears of the other what is not stored:
// typing, receipts, presence.
func (s *Set) Apart(a, b tidemark.UserID) (bool, error) {
	if a == b || a == tidemark.SystemUser || b == tidemark.SystemUser {
		return false, nil
	}
	id := tidemark.Direct(a, b)
	p := s.Of(id)
	info, err := p.infoByID(id)
	if err != nil || info == nil {
		return false, err
	}
	return p.apart(info)
}

// apart reports whether one member of a direct conversation has blocked the other.
func (p *Partition) apart(info *record.Info) (bool, error) {
	a, b, direct := info.ID.Peers()
	if !direct {
		return false, nil
	}
	for _, user := range [...]tidemark.UserID{a, b} {
		if blocked, err := p.hasBlocked(info.Ordinal, user); err != nil || blocked {
			return true, err
		}
	}
	return false, nil
}

// hasBlocked reports whether a user of a direct conversation has blocked the other.
func (p *Partition) hasBlocked(c record.Conversation, user tidemark.UserID) (bool, error) {
	m, err := p.Member(c, user)
	return m != nil && m.Blocked, err
}
