// SPDX-License-Identifier: Apache-2.0

// The end of an account: first in the user's home partition, which from then on refuses tokens; then, partition by
// partition and conversation by conversation, of what the user is elsewhere. Each step is a command of its own, and what
// has ended already is left as it is: whatever breaks off in between, doing it again goes on.

package partition

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
)

const (
	departAtOnce = 256  // conversations of a user that are left by commands queued together
	departedKept = 4096 // users deleted of late, whose commands under way are held back
)

// Deleted is what [Set.Delete] has done.
type Deleted struct {
	Sessions      int // ended
	Conversations int // left: a membership has ended
}

// Delete ends an account and everything that the user is in all partitions, and waits for it. kick, which may be nil, ends
// the user's sessions and answers how many; it runs once no token of the user counts any more. For a user who was deleted
// already it goes on with what is left to do. What it answers is what this call has done. One account is ended at a time. The error is a
// *tidemark.Error, or the context's, or of a failing store; after it, Delete again.
func (s *Set) Delete(ctx context.Context, user tidemark.UserID, kick func() int) (done Deleted, err error) {
	if err := s.ending.take(ctx); err != nil {
		return done, err
	}
	defer s.ending.give()
	if _, err := s.Do(ctx, &core.DeleteUser{User: user}); err != nil {
		return done, err
	}
	s.departed.add(user)
	if kick != nil {
		done.Sessions = kick()
	}
	done.Conversations, err = s.depart(ctx, user)
	return done, err
}

// beginAnew finishes the deletion of a user whose id is to begin anew, then creates the user.
func (s *Set) beginAnew(ctx context.Context, cmd *core.UpsertUser) (core.Reply, error) {
	if err := s.ending.take(ctx); err != nil {
		return core.Reply{}, err
	}
	defer s.ending.give()
	s.departed.add(cmd.User)
	if _, err := s.depart(ctx, cmd.User); err != nil {
		return core.Reply{}, err
	}
	return s.OfUser(cmd.User).do(ctx, cmd)
}

// depart ends what a user is in all partitions, and answers how many memberships have ended.
func (s *Set) depart(ctx context.Context, user tidemark.UserID) (left int, err error) {
	for _, p := range s.partitions {
		n, err := p.depart(ctx, user)
		left += n
		if err != nil {
			return left, err
		}
	}
	return left, nil
}

// depart ends what a user is in this partition.
func (p *Partition) depart(ctx context.Context, user tidemark.UserID) (left int, err error) {
	// Once this is answered, everything queued before is carried out; what is queued later is held back.
	if _, err := p.do(ctx, &core.Depart{User: user}); err != nil {
		return 0, err
	}
	p.rooms.endAll(p, user)
	u, met, err := p.User(user)
	if err != nil || !met {
		return 0, err
	}
	waiting, err := p.scheduledIDs(0, u)
	if err != nil {
		return 0, err
	}
	if len(waiting) > 0 {
		if _, err := p.do(ctx, &core.Depart{User: user, Scheduled: waiting}); err != nil {
			return 0, err
		}
	}
	places, err := p.places(u)
	if err != nil {
		return 0, err
	}
	for some := range slices.Chunk(places, departAtOnce) {
		n, err := p.departFrom(ctx, user, u, some)
		left += n
		if err != nil {
			return left, err
		}
	}
	return left, p.forgetCursors(ctx, user)
}

// places are the conversations in a user's list, and those that name the user without being in it; each once.
func (p *Partition) places(u record.User) (places []record.Conversation, err error) {
	l, err := p.list(u)
	if err != nil {
		return nil, err
	}
	p.mu.RLock()
	for _, e := range l.rows {
		places = append(places, e.c)
	}
	p.mu.RUnlock()
	err = p.Index(record.Index{Kind: record.NamedIndex, User: u}, false, func(i record.Index) bool {
		places = append(places, i.Conversation)
		return true
	})
	slices.Sort(places)
	return slices.Compact(places), err
}

// departFrom queues a command for each of some conversations, and waits for all of them.
func (p *Partition) departFrom(
	ctx context.Context, user tidemark.UserID, u record.User, places []record.Conversation,
) (left int, err error) {
	replies := make(chan core.Reply, len(places))
	queued := 0
	for _, c := range places {
		cmd := &core.Depart{User: user}
		if cmd.Scheduled, err = p.scheduledIDs(c, u); err != nil {
			break
		}
		info, infoErr := p.InfoOf(c)
		if err = infoErr; err != nil {
			break
		}
		if info == nil {
			continue
		}
		cmd.Conversation = info.ID
		if err = p.queue.put(ctx, request{cmd: cmd, done: func(r core.Reply) { replies <- r }}); err != nil {
			break
		}
		queued++
	}
	for range queued {
		select {
		case r := <-replies:
			if r.Err != nil && err == nil {
				err = r.Err
			}
			if r.Seq > 0 {
				left++
			}
		case <-ctx.Done():
			return left, ctx.Err()
		}
	}
	return left, err
}

// scheduledIDs names the messages that a user has scheduled in a conversation, as they are kept.
func (p *Partition) scheduledIDs(c record.Conversation, u record.User) (ids []tidemark.ClientID, err error) {
	rows, err := p.ScheduledBy(c, u)
	for _, r := range rows {
		ids = append(ids, r.ClientID)
	}
	return ids, err
}

// forgetCursors forgets how far a user's devices have come in this partition.
func (p *Partition) forgetCursors(ctx context.Context, user tidemark.UserID) error {
	cursors, err := p.Cursors(user)
	if err != nil {
		return err
	}
	for _, c := range cursors {
		p.acks.forget(user, c.Device)
		if _, err := p.do(ctx, &core.SaveCursor{User: user, Device: c.Device, Forget: true}); err != nil {
			return err
		}
	}
	return nil
}

// turnstile lets one through at a time.
type turnstile chan struct{}

func (t turnstile) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turnstile) give() { <-t }

// departed are the users who were deleted of late on this node. That a user exists is read before a command is queued; a
// command that was under way meanwhile would make the user a member again. After a crash there is none under way.
type departed struct {
	some  atomic.Bool // whether there ever was one: most nodes never look further
	mu    sync.RWMutex
	users generations[tidemark.UserID, struct{}] // guarded by mu
}

func (d *departed) add(user tidemark.UserID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users.put(user, struct{}{})
	d.some.Store(true)
}

func (d *departed) drop(user tidemark.UserID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users.drop(user)
}

// check refuses the first of some users who is among them.
func (d *departed) check(users ...tidemark.UserID) *tidemark.Error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, user := range users {
		if _, gone := d.users.get(user); gone {
			return tidemark.Refuse(tidemark.UnknownUser, "there is no user %q any more", user)
		}
	}
	return nil
}

// holdBack refuses a command that is about to be evaluated, where it would make a user something who was deleted since
// the command was queued; a submission to such a user gets the verdict instead, so that a retry gets its first answer.
func (d *departed) holdBack(cmd core.Command) *tidemark.Error {
	if !d.some.Load() {
		return nil
	}
	switch cmd := cmd.(type) {
	case *core.Submit:
		return d.holdSubmit(cmd)
	case *core.Schedule:
		return d.holdSubmit(cmd.Submit)
	case *core.SubmitScheduled:
		cmd.Gone = cmd.Gone || d.holdSubmit(cmd.Submit) != nil
	case *core.Create:
		return d.check(append([]tidemark.UserID{cmd.Actor.User, cmd.Owner}, cmd.Members...)...)
	case *core.AddMembers:
		return d.check(cmd.Members...)
	case *core.AnswerJoin:
		if cmd.Accept {
			return d.check(cmd.Users...)
		}
	case *core.Join:
		return d.check(cmd.Actor.User)
	case *core.Settings:
		return d.check(cmd.User)
	case *core.Import:
		for _, e := range cmd.Entries {
			if err := d.check(tidemark.UserID(e.GetUser())); err != nil {
				return err
			}
		}
	case *core.Contact:
		if endsContact(cmd) {
			return d.check(cmd.User)
		}
		return d.check(cmd.User, cmd.Peer)
	case *core.SaveCursor:
		if !cmd.Forget {
			return d.check(cmd.User)
		}
	case *core.UpsertUser:
		d.drop(cmd.User)
	}
	return nil
}

// holdSubmit is holdBack for a submission.
func (d *departed) holdSubmit(cmd *core.Submit) *tidemark.Error {
	if err := d.check(cmd.Actor.User); err != nil {
		return err
	}
	if a, b, direct := cmd.Conversation.Peers(); direct {
		if err := d.check(a, b); err != nil {
			cmd.Peer = &core.Verdict{Refused: err}
		}
	}
	return nil
}

// judgePeer says whether the users of a direct conversation exist to whom a submission goes; nil if they do.
func (s *Set) judgePeer(cmd *core.Submit) *core.Verdict {
	a, b, direct := cmd.Conversation.Peers()
	if !direct {
		return nil
	}
	for _, user := range [...]tidemark.UserID{a, b} {
		if user == cmd.Actor.User {
			continue
		}
		refused, err := refusal(s.CheckUsers(user))
		if err != nil {
			s.OfUser(user).log.Error("profile cannot be read", "user", user, "err", err)
			refused = tidemark.Refuse(tidemark.Unavailable, "it cannot be found out now whether %s exists", user)
		}
		if refused != nil {
			return &core.Verdict{Refused: refused}
		}
	}
	return nil
}
