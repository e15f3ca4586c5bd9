// SPDX-License-Identifier: Apache-2.0

// Set: the partitions of a node, and the way from a command to the one partition it touches.

package partition

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/store"
)

// Config of the partitions of a node.
type Config struct {
	DB       *store.DB
	Journal  journal.Journal
	Limits   tidemark.Limits // the zero value of a field means its default
	NowMs    func() uint64   // the clock of Run: milliseconds since the Unix epoch
	Entropy  io.Reader       // salts: crypto/rand.Reader; read by several loops at once
	QueueMax int             // commands waiting in one partition, beside one of each that waits for room; 0: 512
	BatchMax int             // commands of one commit; 0: 1,024
	Cache    CacheLimits     // of each partition
	Devices  Devices         // places of a user's devices
	Log      *slog.Logger    // nil: none

	ContactsOnly bool // in direct conversations only contacts may write to each other

	// TakeBackUntilMs is until when events that the data lost are taken back, and no others written: a time of
	// TakeBackNowMs, ms; 0: not.
	TakeBackUntilMs uint64
	TakeBackNowMs   func() uint64 // a clock that nobody sets, where there is one; nil: NowMs

	SealKey []byte // of the data directory, 32 bytes or more, for the seals of heads; empty: there are none
}

// Set is all partitions of this node. Its methods are safe for concurrent use.
type Set struct {
	epoch        tidemark.Epoch
	limits       tidemark.Limits
	contactsOnly bool
	nowMs        func() uint64
	db           *store.DB
	devices      Devices
	partitions   []*Partition // immutable
	seals        *seals       // nil: there are none

	asking [64]sync.Mutex // by user: held while one asks for a contact; before every other

	wishes   chan wish  // see telling.go
	ordering sync.Mutex // held while the marks of a large conversation are read; before every other

	mu        sync.Mutex                    // before online.mu
	audiences map[tidemark.UserID]*audience // guarded by mu; users with a session on this node

	watches watches
	typings typings

	ending   turnstile // through which accounts end, one after the other
	departed departed

	taking takingBack
}

// queueMax is enough that commits are large, and so few that what comes last does not wait long: under more load than can be done,
// a queue is always full, and its length is what everything else waits for.
const queueMax = 512

// Open makes the partitions ready to read; nothing is written until Run or Step.
func Open(cfg Config) (*Set, error) {
	if cfg.DB == nil || cfg.Journal == nil || cfg.NowMs == nil || cfg.Entropy == nil {
		return nil, errors.New("partition: DB, Journal, NowMs and Entropy are needed")
	}
	if cfg.QueueMax <= 0 {
		cfg.QueueMax = queueMax
	}
	if cfg.BatchMax <= 0 {
		cfg.BatchMax = 1024
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.TakeBackNowMs == nil {
		cfg.TakeBackNowMs = cfg.NowMs
	}
	cfg.Cache.fill()
	s := &Set{
		epoch: cfg.DB.Meta().Epoch, limits: cfg.Limits.WithDefaults(), contactsOnly: cfg.ContactsOnly, nowMs: cfg.NowMs,
		db: cfg.DB, devices: cfg.Devices, seals: newSeals(cfg.SealKey),
		audiences: make(map[tidemark.UserID]*audience), wishes: make(chan wish, wishesMax),
		ending: make(turnstile, 1), departed: departed{users: newGenerations[tidemark.UserID, struct{}](departedKept)},
		taking:  takingBack{untilMs: cfg.TakeBackUntilMs, nowMs: cfg.TakeBackNowMs},
		watches: newWatches(), typings: typings{told: newGenerations[typingKey, uint64](typingsKnown)},
	}
	for n := range cfg.DB.Meta().Partitions {
		p, err := open(s, n, &cfg)
		if err != nil {
			return nil, err
		}
		s.partitions = append(s.partitions, p)
	}
	return s, nil
}

// Run runs the loops of all partitions until the context ends; what is queued then is still carried out, and what comes
// later is refused with UNAVAILABLE. It may be called once.
func (s *Set) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	for _, p := range s.partitions {
		loops.Go(func() { p.run(ctx) })
	}
	loops.Go(func() { s.fulfilAll(ctx) })
	loops.Go(func() { s.runWatches(ctx) })
	loops.Wait()
	return nil
}

// Epoch of the data directory.
func (s *Set) Epoch() tidemark.Epoch { return s.epoch }

// Partitions is how many there are.
func (s *Set) Partitions() uint32 { return uint32(len(s.partitions)) }

// Limits in force. They must not be changed.
func (s *Set) Limits() *tidemark.Limits { return &s.limits }

// At is a partition by its number, which must be less than Partitions.
func (s *Set) At(n uint32) *Partition { return s.partitions[n] }

// Of is the partition of a conversation.
func (s *Set) Of(id tidemark.ConversationID) *Partition {
	return s.partitions[tidemark.PartitionOfConversation(id, s.Partitions())]
}

// OfUser is the home partition of a user.
func (s *Set) OfUser(id tidemark.UserID) *Partition {
	return s.partitions[tidemark.PartitionOfUser(id, s.Partitions())]
}

// Submit queues a command in the partition that its conversation or user belongs to, and waits while the queue is full.
// done runs on the partition's loop after the commit, in the order of the commits; it must not block. The error is a
// *tidemark.Error once the set has ended, or the context's; then done never runs. [core.SaveCursor] names no partition:
// see Ack and Forget.
func (s *Set) Submit(ctx context.Context, cmd core.Command, done func(core.Reply)) error {
	p, err := s.prepare(cmd)
	if err != nil {
		return err
	}
	return p.queue.put(ctx, request{cmd: cmd, done: done})
}

// Offer is Submit that does not wait; false: there was no room, or the command belongs nowhere.
func (s *Set) Offer(cmd core.Command, done func(core.Reply)) bool {
	p, err := s.prepare(cmd)
	return err == nil && p.queue.offer(request{cmd: cmd, done: done})
}

// prepare is the partition that a command goes to, after the command was told what it needs to know of others.
func (s *Set) prepare(cmd core.Command) (*Partition, error) {
	p, err := s.route(cmd)
	if err == nil {
		err = s.judge(cmd)
	}
	return p, err
}

func (s *Set) route(cmd core.Command) (*Partition, error) {
	switch cmd := cmd.(type) {
	case *core.Submit:
		return s.Of(cmd.Conversation), nil
	case *core.Erase:
		return s.Of(cmd.Conversation), nil
	case *core.Read:
		return s.Of(cmd.Conversation), nil
	case *core.Create:
		return s.Of(cmd.Conversation), nil
	case *core.Update:
		return s.Of(cmd.Conversation), nil
	case *core.AddMembers:
		return s.Of(cmd.Conversation), nil
	case *core.RemoveMembers:
		return s.Of(cmd.Conversation), nil
	case *core.Join:
		return s.Of(cmd.Conversation), nil
	case *core.Leave:
		return s.Of(cmd.Conversation), nil
	case *core.AnswerJoin:
		return s.Of(cmd.Conversation), nil
	case *core.SetRole:
		return s.Of(cmd.Conversation), nil
	case *core.Transfer:
		return s.Of(cmd.Conversation), nil
	case *core.Mute:
		return s.Of(cmd.Conversation), nil
	case *core.Dissolve:
		return s.Of(cmd.Conversation), nil
	case *core.Settings:
		return s.Of(cmd.Conversation), nil
	case *core.Delete:
		return s.Of(cmd.Conversation), nil
	case *core.SetAttributes:
		return s.Of(cmd.Conversation), nil
	case *core.DropAttributes:
		return s.Of(cmd.Conversation), nil
	case *core.Clear:
		return s.Of(cmd.Conversation), nil
	case *core.Import:
		return s.Of(cmd.Conversation), nil
	case *core.GiveBack:
		return s.Of(cmd.Conversation), nil
	case *core.Contact:
		return s.Of(tidemark.Direct(cmd.User, cmd.Peer)), nil
	case *core.Schedule:
		return s.Of(cmd.Submit.Conversation), nil
	case *core.Unschedule:
		return s.Of(cmd.Conversation), nil
	case *core.UpsertUser:
		return s.OfUser(cmd.User), nil
	case *core.UpdateUser:
		return s.OfUser(cmd.User), nil
	case *core.SeeDevice:
		return s.OfUser(cmd.User), nil
	case *core.ForgetDevice:
		return s.OfUser(cmd.User), nil
	case *core.SetOptions:
		return s.OfUser(cmd.User), nil
	case *core.RevokeTokens:
		return s.OfUser(cmd.User), nil
	case *core.DeleteUser:
		return s.OfUser(cmd.User), nil
	}
	return nil, fmt.Errorf("partition: command %T belongs to no partition", cmd)
}

// Do submits a command and waits for its reply. The error is a *tidemark.Error, or the context's; then the command may
// have been carried out all the same. An id that begins anew is first taken out of all that its last user was in.
func (s *Set) Do(ctx context.Context, cmd core.Command) (core.Reply, error) {
	p, err := s.prepare(cmd)
	if err != nil {
		return core.Reply{}, err
	}
	if anew, err := s.beginsAnew(cmd); err != nil {
		return core.Reply{}, err
	} else if anew != nil {
		return s.beginAnew(ctx, anew)
	}
	reply, err := p.do(ctx, cmd)
	if err != nil {
		if anew, readErr := s.beginsAnew(cmd); readErr == nil && anew != nil { // the account has ended meanwhile
			return s.beginAnew(ctx, anew)
		}
	}
	return reply, err
}

func (p *Partition) do(ctx context.Context, cmd core.Command) (core.Reply, error) {
	replies := make(chan core.Reply, 1)
	if err := p.queue.put(ctx, request{cmd: cmd, done: func(r core.Reply) { replies <- r }}); err != nil {
		return core.Reply{}, err
	}
	select {
	case r := <-replies:
		if r.Err != nil {
			return r, r.Err
		}
		return r, nil
	case <-ctx.Done():
		return core.Reply{}, ctx.Err()
	}
}

// Forget forgets a device and its cursors, so that it syncs as a new one. The caller has closed its sessions.
func (s *Set) Forget(ctx context.Context, user tidemark.UserID, device tidemark.DeviceID) error {
	if _, err := s.Do(ctx, &core.ForgetDevice{User: user, Device: device}); err != nil {
		return err
	}
	for _, p := range s.partitions {
		p.acks.forget(user, device)
		if _, met, err := p.User(user); err != nil || !met {
			continue
		}
		if _, err := p.do(ctx, &core.SaveCursor{User: user, Device: device, Forget: true}); err != nil {
			return err
		}
	}
	return nil
}

// CheckUsers refuses with UNKNOWN_USER the first of these users that does not exist, or not any more. The reserved system
// user does.
func (s *Set) CheckUsers(ids ...tidemark.UserID) error {
	for _, id := range ids {
		if id == tidemark.SystemUser {
			continue
		}
		if !id.Valid() {
			return tidemark.Refuse(tidemark.BadArgument, "user id %q: an id is %s", id, tidemark.IDAlphabet)
		}
		f, err := s.OfUser(id).Profile(id)
		if err != nil {
			return err
		}
		if f == nil || f.DeletedPosition > 0 {
			return tidemark.Refuse(tidemark.UnknownUser, "there is no user %q: the app's back end creates users", id)
		}
	}
	return nil
}

// Health is nil, or why nothing is written.
func (s *Set) Health() error {
	for _, p := range s.partitions {
		if err := p.stopped(); err != nil {
			return err
		}
	}
	if err := s.db.Failed(); err != nil {
		return err
	}
	return s.db.LowSpace()
}
