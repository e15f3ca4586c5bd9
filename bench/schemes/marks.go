// SPDX-License-Identifier: Apache-2.0

// The fourth design, Tidemark's own: the message is stored once, and a device has a mark. It is the server's code, from
// the partition to the frames of a session; only sockets are missing.

package schemes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

const groupID tidemark.ConversationID = "the-group"

const (
	addAtOnce  = 200  // members, so that no event is large
	oldCommits = 200  // of the group's partition before the first message: its positions take two bytes, however few members
	ackSavedMs = 1000 // an acknowledgement waits so long for others
)

type marks struct {
	w        *world
	db       *store.DB
	set      *partition.Set
	sessions []*session.Session // by member; nil: the server knows of no connection
	storing  bool               // the next commit is that of a message
}

func writerID(n int) tidemark.UserID { return tidemark.UserID(fmt.Sprintf("writer-%d", n)) }

func readerID(n int) tidemark.UserID { return tidemark.UserID(fmt.Sprintf("reader-%05d", n)) }

func openStore(w *world) (*store.DB, error) {
	return store.Open(store.Config{
		Dir: dataDir, FS: w.fs(), ReserveBytes: -1, NowMs: w.clock, Entropy: rand.NewChaCha8([32]byte{1}),
	})
}

func openMarks(w *world, fresh bool) (*marks, error) {
	db, err := openStore(w)
	if err != nil {
		return nil, err
	}
	s := &marks{w: w, db: db, sessions: make([]*session.Session, len(w.devices))}
	s.set, err = partition.Open(partition.Config{
		DB: db, Journal: &meteredJournal{journal.NewLocal(db), s}, NowMs: w.clock, Entropy: rand.NewChaCha8([32]byte{2}),
	})
	if err == nil && fresh {
		err = s.make()
	}
	return s, err
}

// meteredJournal counts what is committed, and crashes with it.
type meteredJournal struct {
	journal.Journal
	s *marks
}

// Commit implements journal.Journal.
func (j *meteredJournal) Commit(b *store.Batch) error {
	if j.s.storing {
		j.s.w.tearNextSync()
	}
	if err := j.Journal.Commit(b); err != nil {
		return err
	}
	j.s.w.meter.add(b.Rows(), b.Len())
	if !j.s.storing {
		return nil
	}
	if j.s.w.crashed() {
		return errCrash
	}
	return j.s.w.at(Stored)
}

// make makes the users and the group, an age for its partition, and a first message, so that a device's first sync is small.
func (s *marks) make() error {
	users := []tidemark.UserID{writerID(0), writerID(1)}
	for member := range s.w.devices {
		users = append(users, readerID(member))
	}
	for some := range slices.Chunk(users, addAtOnce) {
		for _, user := range some[1:] {
			if err := s.set.Submit(s.w.ctx, &core.UpsertUser{User: user}, nil); err != nil {
				return err
			}
		}
		if err := s.do(&core.UpsertUser{User: some[0]}); err != nil {
			return err
		}
	}
	app := core.Actor{App: true}
	if err := s.do(&core.Create{Actor: app, Conversation: groupID, Kind: record.Group, Members: users[:2]}); err != nil {
		return err
	}
	for some := range slices.Chunk(users[2:], addAtOnce) {
		if err := s.do(&core.AddMembers{Actor: app, Conversation: groupID, Members: some}); err != nil {
			return err
		}
	}
	for i := range oldCommits {
		muted := i%2 == 0
		if err := s.do(&core.Settings{User: writerID(0), Conversation: groupID, Muted: &muted}); err != nil {
			return err
		}
	}
	return s.do(&core.Submit{
		Actor: core.Actor{User: writerID(1)}, Conversation: groupID, ClientID: "first", Message: &wire.Message{Text: "welcome"},
	})
}

// do carries out one command.
func (s *marks) do(cmd core.Command) error {
	var reply core.Reply
	if err := s.set.Submit(s.w.ctx, cmd, func(r core.Reply) { reply = r }); err != nil {
		return err
	}
	s.step()
	if reply.Err != nil {
		return reply.Err
	}
	return nil
}

// step carries out everything that is queued.
func (s *marks) step() {
	for did := true; did; {
		did = false
		for n := range s.set.Partitions() {
			did = s.set.At(n).Step(s.w.nowMs) || did
		}
	}
}

func (s *marks) send(m message) error {
	if err := s.w.at(Arrived); err != nil {
		return err
	}
	s.storing = true
	err := s.do(&core.Submit{
		Actor: core.Actor{User: writerID(m.writer)}, Conversation: groupID,
		ClientID: tidemark.ClientID(fmt.Sprintf("m%08d", m.number)), Message: &wire.Message{Text: m.text},
	})
	s.storing = false
	if s.w.crashed() {
		return errCrash // the writer hears nothing
	}
	if err != nil {
		return err
	}
	s.w.answered(m)
	if err := s.w.at(Answered); err != nil {
		return err
	}
	if err := s.w.at(Looked); err != nil {
		return err
	}
	return s.push()
}

// push drains the sessions that were woken.
func (s *marks) push() error {
	var open []int
	for member, connection := range s.sessions {
		if connection != nil {
			open = append(open, member)
		}
	}
	for i, member := range open {
		if i == (len(open)+1)/2 {
			if err := s.w.at(Pushing); err != nil {
				return err
			}
		}
		if err := s.drain(member); err != nil {
			return err
		}
	}
	return s.w.at(Pushed)
}

// connect opens a session with the device's cursor.
func (s *marks) connect(member int) error {
	s.disconnect(member)
	c := session.New(session.Config{
		User: readerID(member), Device: "phone", Platform: "none", Client: "schemes/1", Format: wire.Proto, Set: s.set, NowMs: s.w.clock,
	})
	s.sessions[member] = c
	if err := c.Open(s.w.ctx, &wire.Hello{Cursor: s.w.devices[member].cursor, Tail: s.set.Limits().PageEventsMax}); err != nil {
		return err
	}
	if s.w.devices[member].cursor == nil {
		s.step() // a new device waits for its record; for others, it joins what is written next
	}
	if err := s.w.at(Pulling); err != nil {
		return err
	}
	if err := s.drain(member); err != nil {
		return err
	}
	return s.w.at(Pulled)
}

func (s *marks) disconnect(member int) {
	if c := s.sessions[member]; c != nil {
		c.Close()
		s.sessions[member] = nil
	}
}

// ack passes the cursors on (hello has done so for a device that came), and waits until they are saved.
func (s *marks) ack(members []int) error {
	for _, member := range members {
		if len(s.w.takeUnacked(member)) == 0 || s.sessions[member] == nil {
			continue
		}
		ack := &wire.ClientFrame{Frame: &wire.ClientFrame_Ack{Ack: &wire.Ack{Cursor: s.w.devices[member].cursor}}}
		if err := s.sessions[member].Handle(s.w.ctx, ack); err != nil {
			return err
		}
	}
	if err := s.w.at(Acked); err != nil {
		return err
	}
	s.w.nowMs += ackSavedMs
	s.step()
	return nil
}

// drain hands a session's frames to the device; what goes into a dead connection is gone.
func (s *marks) drain(member int) error {
	for {
		data, ok := s.sessions[member].Next(nil)
		if !ok {
			return nil
		}
		if !s.w.devices[member].connected {
			continue
		}
		frame, err := wire.DecodeServerFrame(wire.Proto, data)
		if err != nil {
			return err
		}
		if err := s.keep(member, frame); err != nil {
			return err
		}
	}
}

// keep is what a device does with a frame.
func (s *marks) keep(member int, frame *wire.ServerFrame) error {
	d := &s.w.devices[member]
	switch f := frame.Frame.(type) {
	case *wire.ServerFrame_Synced:
		d.cursor = f.Synced.Cursor
	case *wire.ServerFrame_Error:
		return errors.New("schemes: the server says: " + f.Error.Message)
	case *wire.ServerFrame_Delta:
		for _, c := range f.Delta.Conversations {
			for _, e := range c.Events {
				var body wire.Body
				if err := body.UnmarshalVT(e.Body); err != nil {
					return fmt.Errorf("schemes: event %d cannot be read: %w", e.Seq, err)
				}
				if m := body.GetMessage(); m != nil {
					s.w.handOver(member, e.Id, m.Text)
				}
			}
		}
		for n, position := range f.Delta.Checkpoints {
			d.cursor.Positions[n] = position
		}
	}
	return nil
}

func (s *marks) rowsRead() uint64 { return s.db.Metrics().RowsRead }

func (s *marks) close() error { return s.db.Close() }
