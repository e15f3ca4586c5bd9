// SPDX-License-Identifier: Apache-2.0

// The end of an account: first in the user's home partition, which from then on refuses tokens; then, partition by
// partition and conversation by conversation, of what the user is elsewhere. Each step is a command of its own, and what
// has ended already is left as it is: whatever breaks off in between, doing it again goes on.

package partition

import (
	"context"
	"iter"
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
func (s *Set) Delete(ctx context.Context, user tidemark.UserID, kick func() int) (Deleted, error) {
	e := s.BeginDelete(user, kick)
	err := e.run(ctx)
	return e.deleted, err
}

// beginsAnew reports whether a command creates a user whose id was another's.
func (s *Set) beginsAnew(cmd core.Command) (anew *core.UpsertUser, err error) {
	anew, ok := cmd.(*core.UpsertUser)
	if !ok {
		return nil, nil
	}
	f, err := s.OfUser(anew.User).Profile(anew.User)
	if err != nil || f == nil || f.DeletedPosition == 0 {
		return nil, err
	}
	return anew, nil
}

// beginAnew finishes the deletion of a user whose id is to begin anew, then creates the user.
func (s *Set) beginAnew(ctx context.Context, cmd *core.UpsertUser) (core.Reply, error) {
	e := newlyBegun(s, cmd)
	err := e.run(ctx)
	return e.reply, err
}

func newlyBegun(s *Set, cmd *core.UpsertUser) *Ending {
	anew := *cmd
	anew.Anew = true
	return &Ending{set: s, user: cmd.User, anew: &anew}
}

// Ending is the end of one account: commands, of which some are queued together, and the next once these are answered. It
// is either run, which waits, or stepped, which does not: what is done, and in which order, is the same. Not safe for
// concurrent use.
type Ending struct {
	set     *Set
	user    tidemark.UserID
	kick    func() int       // nil: none
	anew    *core.UpsertUser // with what the id then begins anew; nil: the account ends
	deleted Deleted
	reply   core.Reply // to the last command
	err     error      // the first that went wrong

	next     func() ([]errand, bool) // of an ending that is stepped; nil before it has its turn
	stop     func()
	unqueued []errand
	waiting  int // for replies
}

// errand is a command of an ending, for a partition.
type errand struct {
	p   *Partition
	cmd core.Command
}

// BeginDelete is [Set.Delete], to be stepped.
func (s *Set) BeginDelete(user tidemark.UserID, kick func() int) *Ending {
	return &Ending{set: s, user: user, kick: kick}
}

// BeginAnew creates a user whose id was another's, after everything that was left of the other has ended; to be stepped.
// nil: the id was nobody's, or is somebody's, and any way to queue the command will do.
func (s *Set) BeginAnew(cmd *core.UpsertUser) (*Ending, error) {
	anew, err := s.beginsAnew(cmd)
	if anew == nil || err != nil {
		return nil, err
	}
	return newlyBegun(s, cmd), nil
}

// run carries the ending out and waits for it.
func (e *Ending) run(ctx context.Context) error {
	if err := e.set.ending.take(ctx); err != nil {
		return err
	}
	defer e.set.ending.give()
	for batch := range e.batches() {
		replies := make(chan func(), len(batch))
		queued := 0
		for _, r := range batch {
			done := func(reply core.Reply) { replies <- func() { e.answered(r, reply) } }
			if err := r.p.queue.put(ctx, request{cmd: r.cmd, done: done}); err != nil {
				e.fail(err)
				break
			}
			queued++
		}
		for range queued {
			select {
			case take := <-replies:
				take()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return e.err
}

// Step does what can be done without waiting, and answers whether the ending is over. It is for a simulator that steps the
// partitions: between two steps anything else may happen. An ending that is given up must be closed.
func (e *Ending) Step() (over bool) {
	if e.next == nil {
		if !e.set.ending.try() {
			return false
		}
		e.next, e.stop = iter.Pull(e.batches())
	}
	for e.waiting == 0 || len(e.unqueued) > 0 {
		for len(e.unqueued) > 0 {
			r := e.unqueued[0]
			if !r.p.queue.offer(request{cmd: r.cmd, done: func(reply core.Reply) { e.waiting--; e.answered(r, reply) }}) {
				return false
			}
			e.waiting, e.unqueued = e.waiting+1, e.unqueued[1:]
		}
		if e.waiting > 0 {
			break
		}
		batch, more := e.next()
		if !more {
			e.Close()
			return true
		}
		e.unqueued = batch
	}
	return false
}

// Close gives up an ending that is stepped, as a server does that stops. What is queued may still be carried out.
func (e *Ending) Close() {
	if e.stop != nil {
		e.stop()
		e.stop = nil
		e.set.ending.give()
	}
}

// Result is what an ending that is over has done, and the reply to its last command.
func (e *Ending) Result() (Deleted, core.Reply, error) { return e.deleted, e.reply, e.err }

func (e *Ending) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// answered takes the reply to an errand.
func (e *Ending) answered(r errand, reply core.Reply) {
	e.reply = reply
	if reply.Err != nil {
		e.fail(reply.Err)
	}
	if d, ok := r.cmd.(*core.Depart); ok && d.Conversation != "" && reply.Seq > 0 {
		e.deleted.Conversations++
	}
}

// batches are the commands of an ending: those of a batch are queued together, and the next batch is made once all of it
// is answered.
func (e *Ending) batches() iter.Seq[[]errand] {
	return func(yield func([]errand) bool) {
		do := func(batch ...errand) bool { return len(batch) == 0 || yield(batch) && e.err == nil }
		home := e.set.OfUser(e.user)
		if e.anew == nil && !do(errand{home, &core.DeleteUser{User: e.user}}) {
			return
		}
		e.set.departed.add(e.user)
		if e.kick != nil {
			e.deleted.Sessions = e.kick()
		}
		for _, p := range e.set.partitions {
			if !e.depart(p, do) {
				return
			}
		}
		if e.anew != nil {
			do(errand{home, e.anew})
		}
	}
}

// depart ends what the user is in one partition; false: it breaks off.
func (e *Ending) depart(p *Partition, do func(...errand) bool) bool {
	// Once this is answered, everything queued before is carried out; what is queued later is held back.
	if !do(errand{p, &core.Depart{User: e.user}}) {
		return false
	}
	p.rooms.endAll(p, e.user)
	u, met, err := p.User(e.user)
	if err != nil || !met {
		e.fail(err)
		return err == nil
	}
	waiting, err := p.scheduledIDs(0, u)
	if err != nil {
		e.fail(err)
		return false
	}
	if len(waiting) > 0 && !do(errand{p, &core.Depart{User: e.user, Scheduled: waiting}}) {
		return false
	}
	places, err := p.places(u)
	if err != nil {
		e.fail(err)
		return false
	}
	for some := range slices.Chunk(places, departAtOnce) {
		batch, err := e.departures(p, u, some)
		if err != nil {
			e.fail(err)
			return false
		}
		if !do(batch...) {
			return false
		}
	}
	cursors, err := p.Cursors(e.user)
	if err != nil {
		e.fail(err)
		return false
	}
	for _, c := range cursors {
		p.acks.forget(e.user, c.Device)
		if !do(errand{p, &core.SaveCursor{User: e.user, Device: c.Device, Forget: true}}) {
			return false
		}
	}
	return true
}

// departures are a command for each of some conversations.
func (e *Ending) departures(p *Partition, u record.User, places []record.Conversation) (batch []errand, err error) {
	for _, c := range places {
		cmd := &core.Depart{User: e.user}
		if cmd.Scheduled, err = p.scheduledIDs(c, u); err != nil {
			return nil, err
		}
		info, err := p.InfoOf(c)
		if err != nil {
			return nil, err
		}
		if info != nil {
			cmd.Conversation = info.ID
			batch = append(batch, errand{p, cmd})
		}
	}
	return batch, nil
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

// scheduledIDs names the messages that a user has scheduled in a conversation, as they are kept.
func (p *Partition) scheduledIDs(c record.Conversation, u record.User) (ids []tidemark.ClientID, err error) {
	rows, err := p.ScheduledBy(c, u)
	for _, r := range rows {
		ids = append(ids, r.ClientID)
	}
	return ids, err
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

// try is take that does not wait; false: another is in it.
func (t turnstile) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
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
		if cmd.Anew {
			d.drop(cmd.User)
		}
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
