// SPDX-License-Identifier: Apache-2.0

// Signals: what is told to those who are online and not stored: typing, transient messages, receipts, presence.

package partition

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Bounds of what one signal may cost.
const (
	typingMembersMax   = 256 // in a larger conversation nobody hears of typing
	receiptMembersMax  = 32  // in a larger conversation authors hear counts, not names
	deliveredAtOnceMax = 64  // conversations of one acknowledgement whose authors are told
)

// Typing tells the other online members that a user types, or has stopped. It refuses who is not a member; in
// conversations of more than 256 members, and across a block, it does nothing.
func (s *Set) Typing(user tidemark.UserID, id tidemark.ConversationID, typing bool) error {
	sight, err := s.See(user, id)
	if err != nil {
		return err
	}
	if sight.Head.Members > typingMembersMax {
		return nil
	}
	if apart, err := sight.Partition.apart(sight.Info); err != nil || apart {
		return err
	}
	sight.Partition.signal(sight.Info.Ordinal, user, &wire.Signal{Signal: &wire.Signal_Typing{
		Typing: &wire.TypingSignal{Conversation: string(id), User: string(user), Typing: typing},
	}})
	return nil
}

// signal tells all online members of a conversation but one user.
func (p *Partition) signal(c record.Conversation, but tidemark.UserID, sig *wire.Signal) {
	if _, err := p.loadMembers(c); err != nil {
		p.log.Error("members cannot be read", "conversation", c, "err", err)
		return
	}
	p.online.mu.RLock()
	present := p.present(c, false)
	p.online.mu.RUnlock()
	for _, a := range present {
		if a.user != but {
			p.signalTo(a, sig)
		}
	}
}

func (p *Partition) signalTo(a *audience, sig *wire.Signal) {
	for _, sub := range a.all() {
		p.stats.signals.Add(1)
		sub.Signal(sig)
	}
}

// tellTransients delivers the transient messages of the batch: to all online members, the sender's other sessions too.
func (p *Partition) tellTransients(n int, nowMs uint64) {
	for i := range p.work[:n] {
		if !p.replies[i].Transient {
			continue
		}
		cmd, ok := p.work[i].cmd.(*core.Submit)
		if !ok {
			continue
		}
		info, err := p.infoByID(cmd.Conversation)
		if err != nil || info == nil {
			continue // a direct conversation that does not exist has nobody to tell
		}
		p.signal(info.Ordinal, "", &wire.Signal{Signal: &wire.Signal_Transient{Transient: &wire.TransientSignal{
			Conversation: string(cmd.Conversation), Sender: string(cmd.Actor.User), ClientId: string(cmd.ClientID),
			Message: cmd.Message, TimeMs: nowMs,
		}}})
	}
}

// Watch asks, for a subscriber of a watcher, for the presence of users, in place of those that it watched before, and
// signals at once how it stands. Who is apart from the watcher by a block is seen as gone. Unsubscribe ends it.
func (s *Set) Watch(watcher tidemark.UserID, sub Subscriber, users []tidemark.UserID) error {
	if err := s.CheckUsers(users...); err != nil {
		return err
	}
	s.unwatch(sub)
	s.mu.Lock()
	if s.watchers == nil {
		s.watchers = make(map[tidemark.UserID][]Subscriber)
		s.watched = make(map[Subscriber][]tidemark.UserID)
	}
	if len(users) > 0 {
		s.watched[sub] = slices.Clone(users)
	}
	for _, user := range users {
		s.watchers[user] = append(slices.Clip(s.watchers[user]), sub)
	}
	s.mu.Unlock()
	for _, user := range users {
		apart, err := s.Apart(watcher, user) // after it is watched: a block that comes later ends the watch
		if err != nil {
			return err
		}
		if apart {
			s.mu.Lock()
			s.dropWatch(sub, user)
			s.mu.Unlock()
			sub.Signal(gone(user))
			continue
		}
		sub.Signal(s.presence(user, s.Online(user)))
	}
	return nil
}

func (s *Set) unwatch(sub Subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range s.watched[sub] {
		rest := slices.DeleteFunc(slices.Clone(s.watchers[user]), func(other Subscriber) bool { return other == sub })
		if s.watchers[user] = rest; len(rest) == 0 {
			delete(s.watchers, user)
		}
	}
	delete(s.watched, sub)
}

// tellPresence tells those who watch a user.
func (s *Set) tellPresence(user tidemark.UserID, online bool) {
	s.mu.Lock()
	watchers := s.watchers[user]
	s.mu.Unlock()
	if len(watchers) == 0 {
		return
	}
	sig := s.presence(user, online)
	for _, sub := range watchers {
		sub.Signal(sig)
	}
}

func (s *Set) presence(user tidemark.UserID, online bool) *wire.Signal {
	presence := &wire.PresenceSignal{User: string(user), Online: online}
	if devices, err := s.OfUser(user).Devices(user); err == nil && !online {
		for _, d := range devices {
			presence.LastSeenMs = max(presence.LastSeenMs, d.LastSeenMs)
		}
	}
	return &wire.Signal{Signal: &wire.Signal_Presence{Presence: presence}}
}
