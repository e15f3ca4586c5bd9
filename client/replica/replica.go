// SPDX-License-Identifier: Apache-2.0

// The replica, what it is loaded from, and what a step is: read through a view, collect writes, frames and notes.

package replica

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Config says who the device is and how much it wants. The zero value of a number means its default.
type Config struct {
	Device   tidemark.DeviceID
	Platform string
	Client   string
	Tail     uint32 // events wanted of a changed conversation; 0: the server's default
	Full     uint32 // conversations wanted with their tail; 0: the server's default
	Backfill Backfill
	Keep     uint64 // stored events of a conversation; 0: all
	Window   int    // submissions to one conversation in flight; 0: 1, which keeps their order
	Fetches  int    // pages and probes in flight; 0: 4
	PageMax  uint32 // events asked for at once when filling gaps; 0: 200
}

// Output is what a step asks for, to be done in this order: store Writes in the view's transaction and commit; send
// Frames; then the rest.
type Output struct {
	Writes []Write
	Frames []*wire.ClientFrame
	Notes  []Note
	Done   []Done    // answers to [Replica.Fetch] and [Replica.EnterRoom]
	Bye    *wire.Bye // the server closes the connection, and says why
	Hangup string    // not empty: close the connection, for this reason, and connect again
	Fatal  error     // the connection makes no sense: stop
	Synced bool      // everything up to now is stored
	// GiveBack is to be offered to the server by SyncService/GiveBack, which has lost it; the answer goes to
	// [Replica.GaveBack].
	GiveBack *wire.GiveBackRequest
	Refuse   *tidemark.Error // the server refused hello
}

// Done answers a [Replica.Fetch], or with no more than Err a [Replica.EnterRoom].
type Done struct {
	Token      uint64
	First, End tidemark.Seq // the page's events are First..End-1; equal when it was empty
	More       bool
	Messages   []Message // of a room: the page itself, which is stored nowhere
	Err        error     // ErrDisconnected, or the server's *tidemark.Error
}

// Replica is the state machine. It is owned by one caller at a time. After a step that returned an error, or whose writes
// were not stored, it must be loaded again.
type Replica struct {
	cfg           Config
	meta          meta
	conversations map[tidemark.ConversationID]*Conversation // the values are never changed, only replaced
	outbox        outbox
	tasks         tasks
	rooms         rooms
	conn          connection
}

// Load reads the state of a device. An empty store is a new device.
func Load(cfg Config, view View) (*Replica, error) {
	cfg.Window = cmp.Or(cfg.Window, 1)
	cfg.Fetches = cmp.Or(cfg.Fetches, 4)
	cfg.PageMax = cmp.Or(cfg.PageMax, 200)
	r := &Replica{
		cfg: cfg, meta: meta{cursor: tidemark.Cursor{Positions: map[uint32]tidemark.Position{}}},
		conversations: map[tidemark.ConversationID]*Conversation{}, outbox: newOutbox(), tasks: newTasks(), rooms: newRooms(),
	}
	data, err := view.Get(metaKey)
	if err == nil && data != nil {
		r.meta, err = decodeMeta(data)
	}
	if err != nil {
		return nil, fmt.Errorf("replica: load: %w", err)
	}
	if err := r.loadConversations(view); err != nil {
		return nil, fmt.Errorf("replica: load: %w", err)
	}
	if err := r.loadOutbox(view); err != nil {
		return nil, fmt.Errorf("replica: load: %w", err)
	}
	return r, nil
}

func (r *Replica) loadConversations(view View) error {
	var failed error
	err := view.Ascend([]byte("c/"), prefixEnd("c/"), func(key, value []byte) bool {
		c, err := decodeConversation(tidemark.ConversationID(key[2:]), value)
		failed = err
		if err == nil {
			r.conversations[c.ID] = c
		}
		return err == nil
	})
	return cmp.Or(err, failed)
}

func (r *Replica) loadOutbox(view View) error {
	var failed error
	err := view.Ascend([]byte("o/"), prefixEnd("o/"), func(key, value []byte) bool {
		if len(key) != 10 {
			failed = fmt.Errorf("the store holds a damaged key %x", key)
			return false
		}
		o, err := decodeOutgoing(binary.BigEndian.Uint64(key[2:]), value)
		failed = err
		if err == nil {
			r.outbox.insert(o)
		}
		return err == nil
	})
	return cmp.Or(err, failed)
}

// User is whose device this is; empty until the first connection.
func (r *Replica) User() tidemark.UserID { return r.meta.user }

// Cursor is how far the device has come. It changes with the next step.
func (r *Replica) Cursor() tidemark.Cursor { return r.meta.cursor }

// Conversation is an entry of the conversation list, or nil.
func (r *Replica) Conversation(id tidemark.ConversationID) *Conversation { return r.conversations[id] }

// Conversations are all, in no order; those of which the user is not a member any more too.
func (r *Replica) Conversations() []*Conversation {
	return slices.Collect(maps.Values(r.conversations))
}

// step is one step under way: what it has changed so far. Its reads see its own changes.
type step struct {
	r       *Replica
	view    View
	nowMs   uint64
	out     Output
	err     error            // of the view: the step is void
	entries map[place]*entry // changed; nil: deleted
	changed map[tidemark.ConversationID]*Conversation
	outbox  map[uint64]*Outgoing // changed; nil: deleted
	meta    bool
	ranges  map[tidemark.ConversationID][]Gap // of changed entries, for the notes
	listed  map[tidemark.ConversationID]bool
}

// place names an event.
type place struct {
	in  tidemark.ConversationID
	seq tidemark.Seq
}

func (r *Replica) begin(view View, nowMs uint64) *step {
	return &step{r: r, view: view, nowMs: nowMs}
}

// end finishes a step: pending work is started, and the changes become writes in a fixed order.
func (s *step) end() (Output, error) {
	s.pump()
	for _, id := range sortedKeys(s.ranges) {
		for _, g := range s.ranges[id] {
			s.note(Changed{Conversation: id, From: g.From, To: g.To})
		}
	}
	for _, id := range sortedKeys(s.listed) {
		s.note(ConversationChanged{Conversation: id, Removed: s.r.conversations[id].Removed})
	}
	places := slices.SortedFunc(maps.Keys(s.entries), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.in, b.in), cmp.Compare(a.seq, b.seq))
	})
	for _, p := range places {
		w := Write{Key: entryKey(p.in, p.seq)}
		if n := s.entries[p]; n != nil {
			w.Value = n.encode()
		}
		s.out.Writes = append(s.out.Writes, w)
	}
	for _, id := range sortedKeys(s.changed) {
		s.out.Writes = append(s.out.Writes, Write{conversationKey(id), s.changed[id].encode()})
	}
	for _, number := range sortedKeys(s.outbox) {
		w := Write{Key: outgoingKey(number)}
		if o := s.outbox[number]; o != nil {
			w.Value = o.encode()
		}
		s.out.Writes = append(s.out.Writes, w)
	}
	if s.meta {
		s.out.Writes = append(s.out.Writes, Write{metaKey, s.r.meta.encode()})
	}
	if s.err != nil {
		return Output{}, fmt.Errorf("replica: %w", s.err)
	}
	return s.out, nil
}

func (s *step) note(n Note) { s.out.Notes = append(s.out.Notes, n) }
func (s *step) send(f *wire.ClientFrame) {
	s.out.Frames = append(s.out.Frames, f)
	s.r.conn.sentMs = s.nowMs
}
func (s *step) write(key, value []byte)    { s.out.Writes = append(s.out.Writes, Write{key, value}) }
func (s *step) list(c *Conversation)       { put(&s.listed, c.ID, true) }
func (s *step) dropOutgoing(number uint64) { put(&s.outbox, number, nil) }

// saveOutgoing stores a submission, unless it is to a room.
func (s *step) saveOutgoing(o *Outgoing) {
	if !o.room {
		put(&s.outbox, o.number, o)
	}
}

// edit is a conversation that this step may change; it is made when there is none.
func (s *step) edit(id tidemark.ConversationID) *Conversation {
	if c := s.changed[id]; c != nil {
		return c
	}
	c := s.r.conversations[id]
	if c == nil {
		c = &Conversation{ID: id}
	} else {
		c = c.clone()
	}
	put(&s.changed, id, c)
	s.r.conversations[id] = c
	return c
}

// entry is a stored event, or nil. It must not be changed.
func (s *step) entry(in tidemark.ConversationID, seq tidemark.Seq) *entry {
	if n, ok := s.entries[place{in, seq}]; ok {
		return n
	}
	data, err := s.view.Get(entryKey(in, seq))
	if err != nil || data == nil {
		s.fail(err)
		return nil
	}
	n, err := decodeEntry(seq, data)
	if err != nil {
		s.fail(err)
		return nil
	}
	return n
}

// fail remembers the first error of the view.
func (s *step) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// save stores an entry, and tells the app that it changed.
func (s *step) save(in tidemark.ConversationID, n *entry) {
	put(&s.entries, place{in, n.seq}, n)
	ranges := s.ranges[in]
	for i, g := range ranges {
		if g.From <= n.seq+1 && n.seq <= g.To+1 {
			ranges[i] = Gap{min(g.From, n.seq), max(g.To, n.seq)}
			return
		}
	}
	put(&s.ranges, in, append(ranges, Gap{n.seq, n.seq}))
}

// put sets a key of a map that is made when first needed.
func put[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = value
}

// sortedKeys are the keys of a map, ascending: no map order may reach an output.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
