// SPDX-License-Identifier: Apache-2.0

// Session: one live connection of a device, and who owns which part of its state.

package session

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"unique"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Config of a session.
type Config struct {
	User                      tidemark.UserID
	Device                    tidemark.DeviceID
	Platform, Client, Address string // for operators
	Set                       *partition.Set
	Registry                  *Registry // nil: the session is in none
	NowMs                     func() uint64
	Entropy                   io.Reader // of the session's id; nil: crypto/rand
	Format                    wire.Format
	HeartbeatMs               uint32       // told in welcome
	Log                       *slog.Logger // nil: none
	// Admit is asked once the session is one that can be kicked: whether the user may still come, by then. nil: it may.
	Admit func() error
	// OnReady is called when Next may have something: from any goroutine, also from within Handle. It must not block and
	// must not call the session. nil: nobody wants to know.
	OnReady func()
}

// Session is one live connection of a device.
//
// Open, Handle and Close are for one goroutine at a time, the connection's reader; Next for another, its writer, the
// drain. The other methods are safe for concurrent use. What a session holds is bounded, however slow its reader: dirty
// conversations by the user's conversations, answers by InFlightMax, signals by signalsMax.
//
// Its lock is taken by partitions' loops (see [partition.Subscriber]): it is held for moments, and no partition is
// subscribed to, read or written under it, but for its published position.
type Session struct {
	cfg         Config
	id          [idBytes]byte
	connectedMs uint64
	bytesOut    atomic.Uint64
	parts       []part // by partition

	mu       sync.Mutex
	stage    stage          // guarded by mu; only rises
	ready    bool           // guarded by mu; OnReady was called, and Next has not yet found nothing
	waiting  bool           // immutable; it is a Pull that waits, not a connection
	meeting  bool           // guarded by mu; the record of an unknown device is being made, which synced waits for
	inFlight uint32         // guarded by mu; frames of the client not yet answered; inFlight <= InFlightMax
	dirty    dirtySet       // guarded by mu; conversations with something past the checkpoint, but for those in the round
	outbox   []reply        // guarded by mu; answers in the order of their commits; len(outbox) <= inFlight
	freed    chan struct{}  // guarded by mu; closed when inFlight falls; nil while nobody waits
	signals  []*wire.Signal // guarded by mu; len(signals) <= signalsMax
	rooms    *inRooms       // guarded by mu; nil: in none
	bye      *wire.Bye      // guarded by mu; the last frame; nil: none yet

	// Owned by the drain.
	welcome *wire.Welcome            // until it was given
	round   *round                   // nil: there is none, and there was no live one
	own     []ownEvent               // events that a submitted frame stood for, past the checkpoint
	given   listSet[tidemark.UserID] // whose profiles were given; at most givenMax
	owed    int32                    // answers since the last checkpoint told
	inARow  int32                    // answers and signals since the last round
}

// inRooms is what a session has that is in rooms.
type inRooms struct {
	seats []*seat // not empty; len(seats) <= RoomsMax
	turn  bool    // rooms are before other conversations
}

// part is where a session stands in one partition.
type part struct {
	// checkpoint <= round.upTo <= published: everything up to the checkpoint was given by Next, or concerns the session
	// not at all. Guarded by mu; moved by the drain, and by Wake where nothing is dirty.
	checkpoint tidemark.Position
	told       tidemark.Position // owned by the drain; told <= checkpoint: what the device has been told
	ordinal    record.User       // owned by the drain; the user's; 0: not met there yet
	owing      bool              // owned by the drain; an answer came from here since the last checkpoint told
	woken      bool              // guarded by mu; Ready will follow
	unclean    bool              // guarded by mu; something is dirty or in the round
}

// stage is how far the life of a session has come.
type stage uint8

const (
	fresh   stage = iota // before Open
	syncing              // until synced was given
	live
	ended // the bye was given, or the session was closed
)

// reply is one answer on its way out.
type reply struct {
	partition uint32
	position  tidemark.Position // of the commit that it must not overtake; 0: of none. Rises in the outbox
	request   uint64
	submitted *submitted  // or:
	fetch     *wire.Fetch // read when it is its turn
	enter     *seat       // answered when it is its turn
	seat      *seat       // of submitted: the room whose order it keeps to; nil: no room that the session is in
	frame     *wire.ServerFrame
	pong      bool
	unasked   bool // it answers no frame of the client, took no place, and precedes a bye
}

// submitted is what a Submit was answered.
type submitted struct {
	conversation tidemark.ConversationID
	reply        core.Reply
	recall       bool
	message      *wire.Message // nil: it was no message
}

// ownEvent is an event that the session heard of by submitted and so not by delta.
type ownEvent struct {
	partition    uint32
	conversation tidemark.ConversationID
	seq          tidemark.Seq
	position     tidemark.Position
	recall       bool // it changes counts, which no answer tells
}

// Bounds of what a session holds.
const (
	signalsMax    = 256
	givenMax      = 4096     // profiles remembered as given; when there are more, they may be given again
	frameBytes    = 64 << 10 // a delta ends when it has so many bytes
	eventsADigest = 64       // live, a conversation has at most so many events in a delta: each delta tells the head's digest
	sendersMax    = 64       // or when so many users' profiles go with it, which are not in that
	repliesInARow = 64       // so many answers leave before others get their turn
	repliesOwed   = 64       // after so many answers a checkpoint is told
	watchMax      = 500      // users whose presence is watched
	seenEveryMs   = 60_000   // how exactly a device's last-seen time is kept
)

// New makes a session that does nothing until Open.
func New(cfg Config) *Session {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Entropy == nil {
		cfg.Entropy = rand.Reader
	}
	// Many sessions have the same few: they share them.
	cfg.Platform, cfg.Client = unique.Make(cfg.Platform).Value(), unique.Make(cfg.Client).Value()
	return &Session{cfg: cfg, id: newID(cfg.Entropy), connectedMs: cfg.NowMs(), parts: make([]part, cfg.Set.Partitions())}
}

// ID is the session's id, as in welcome.
func (s *Session) ID() string { return string(s.id[:]) }

// Info is the session as operators see it.
func (s *Session) Info() *wire.SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &wire.SessionInfo{
		SessionId: s.ID(), User: string(s.cfg.User), DeviceId: string(s.cfg.Device), Platform: s.cfg.Platform,
		Client: s.cfg.Client, Address: s.cfg.Address, ConnectedMs: s.connectedMs, Behind: uint64(s.dirty.len()),
		BytesOut: s.bytesOut.Load(),
	}
}

// Done reports whether Next has given the last frame, a bye: close the connection once it is written.
func (s *Session) Done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage == ended
}

// kicked reports whether the session ends because the device was kicked, or replaced.
func (s *Session) kicked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	reason := s.bye.GetReason()
	return reason == wire.ByeReason_KICKED || reason == wire.ByeReason_REPLACED
}

// Bye makes a bye the next frame and the last. Only the first call counts.
func (s *Session) Bye(reason wire.ByeReason, retryAfterMs uint32, message string) {
	s.mu.Lock()
	if s.bye == nil {
		s.bye = &wire.Bye{Reason: reason, RetryAfterMs: retryAfterMs, Message: message}
	}
	s.free()
	s.poke()
}

// Close unregisters the session and ends it. It may be called more than once, and by anybody.
func (s *Session) Close() {
	s.mu.Lock()
	was := s.stage
	s.stage = ended
	opened := was != fresh
	s.dirty, s.outbox, s.signals, s.cfg.OnReady = dirtySet{}, nil, nil, nil
	s.free()
	s.mu.Unlock()
	if !opened {
		return
	}
	s.leaveRooms()
	s.cfg.Set.Unsubscribe(s.cfg.User, s)
	if s.cfg.Registry != nil && s.waiting {
		s.cfg.Registry.unwait(s)
	} else if s.cfg.Registry != nil && s.cfg.Registry.remove(s) && s.cfg.NowMs() >= s.connectedMs+seenEveryMs {
		last := s.seen()
		last.Gone = true
		s.cfg.Set.Offer(last, nil)
	}
}

// seen is the command that keeps the device's record.
func (s *Session) seen() *core.SeeDevice {
	cmd := core.SeeDevice{User: s.cfg.User, Device: s.cfg.Device, Platform: s.cfg.Platform, Client: s.cfg.Client}
	if s.cfg.Registry != nil {
		cmd.Online = s.cfg.Registry.devices(s.cfg.User)
	}
	return s.cfg.Set.SeeDevice(cmd)
}

// poke tells that Next may have something. It needs the lock, and releases it.
func (s *Session) poke() {
	call := s.cfg.OnReady
	if s.ready || s.stage == fresh {
		call = nil
	}
	s.ready = s.ready || s.stage != fresh
	s.mu.Unlock()
	if call != nil {
		call()
	}
}

// acquire takes a place for an answer, and waits while there is none; false: the session or the context has ended.
func (s *Session) acquire(ctx context.Context) bool {
	most := s.cfg.Set.Limits().InFlightMax
	for {
		s.mu.Lock()
		if s.stage == ended || s.bye != nil {
			s.mu.Unlock()
			return false
		}
		if s.inFlight < most {
			s.inFlight++
			s.mu.Unlock()
			return true
		}
		if s.freed == nil {
			s.freed = make(chan struct{})
		}
		freed := s.freed
		s.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		}
	}
}

// release gives a place back that needs no answer.
func (s *Session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	s.free()
}

// free lets those go on who wait for a place. It needs the lock.
func (s *Session) free() {
	if s.freed != nil {
		close(s.freed)
		s.freed = nil
	}
}

// put adds an answer, for which a place was acquired.
func (s *Session) put(r reply) {
	s.mu.Lock()
	if s.stage == ended {
		s.mu.Unlock()
		return
	}
	s.outbox = append(s.outbox, r)
	s.poke()
}
