// SPDX-License-Identifier: Apache-2.0

// Open: hello. What a device lacks is found by comparing heads, after it has registered for what comes.

package session

import (
	"cmp"
	"context"
	"encoding/base32"
	"io"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// Defaults of hello.
const (
	tailDefault = 20
	fullDefault = 100
)

// idBytes is the length of a session's id.
const idBytes = 16

// idAlphabet is that of base 32 in lower case.
var idAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// newID makes an id; entropy that ends before it has given 10 bytes is a fault of whoever configured it.
func newID(entropy io.Reader) (id [idBytes]byte) {
	var b [10]byte
	if _, err := io.ReadFull(entropy, b[:]); err != nil {
		panic("session: no entropy: " + err.Error())
	}
	idAlphabet.Encode(id[:], b[:])
	return id
}

// Open is hello: it registers the session and finds what the device lacks. welcome is the first frame that Next gives,
// synced the end of what was lacking. The error is a *tidemark.Error for the client, or of a failing store; then the
// session must be closed.
func (s *Session) Open(ctx context.Context, h *wire.Hello) error {
	return s.open(ctx, h, true, 0)
}

// open is Open, of a session that may ask not to be woken, and to get no events once eventBytesMax of them were given
// (0: no bound). With a bound, synced does not wait for the record of an unknown device.
func (s *Session) open(ctx context.Context, h *wire.Hello, subscribe bool, eventBytesMax int) error {
	set := s.cfg.Set
	if !s.cfg.Device.Valid() {
		return tidemark.Refuse(tidemark.BadArgument, "device id %q: an id is %s", s.cfg.Device, tidemark.IDAlphabet)
	}
	if err := set.CheckUsers(s.cfg.User); err != nil {
		return err
	}
	known, err := s.meetDevice(ctx, eventBytesMax == 0)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.stage, s.ready = syncing, true
	for n := range s.parts {
		s.parts[n].unclean = true // until synced
	}
	s.mu.Unlock()
	// Register, then read what is published, then compare: whatever is committed in between is in the one or the other.
	if subscribe {
		if err := s.register(); err != nil {
			return err
		}
	}
	s.round = &round{
		initial: true, newDevice: true, eventsLeft: eventBytesMax, bounded: eventBytesMax > 0,
		from: make([]tidemark.Position, set.Partitions()), upTo: make([]tidemark.Position, set.Partitions()),
		tail: cmp.Or(h.GetTail(), tailDefault), full: int(cmp.Or(h.GetFull(), fullDefault)),
	}
	s.round.tail = min(s.round.tail, set.Limits().PageEventsMax)
	s.readPublished()
	reset := s.takeCursor(h.GetCursor(), known)
	if err := s.compare(); err != nil {
		return err
	}
	s.welcome = s.makeWelcome(reset)
	return nil
}

// readPublished sets where the first round ends. What has become dirty by now is forgotten: the wakes came after their
// commits were applied, so that the comparison finds it all. Otherwise it would stay dirty after synced although the device
// has it, until the next commit.
func (s *Session) readPublished() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = dirtySet{}
	for n := range s.cfg.Set.Partitions() {
		s.round.upTo[n] = s.cfg.Set.At(n).Published()
	}
}

// register makes the session one that is known, can be kicked, and is woken. Whoever takes away its right to be does so
// first and then kicks: so it is asked for again once the session is registered.
func (s *Session) register() error {
	if s.cfg.Registry != nil && s.waiting {
		s.cfg.Registry.wait(s)
	} else if s.cfg.Registry != nil {
		s.cfg.Registry.add(s)
	}
	if admit := s.cfg.Admit; admit != nil {
		s.cfg.Admit = nil
		if err := admit(); err != nil {
			return err
		}
	}
	return s.cfg.Set.Subscribe(s.cfg.User, s)
}

// meetDevice reports whether the device is known, and has its record made or refreshed. With wait, an unknown device is
// given synced only once its record is made: with the cursor in it, it may come back at once, and must be known then.
func (s *Session) meetDevice(ctx context.Context, wait bool) (known bool, err error) {
	d, err := s.cfg.Set.OfUser(s.cfg.User).Device(s.cfg.User, s.cfg.Device)
	if err != nil {
		return false, err
	}
	if d != nil && d.Platform == s.cfg.Platform && d.Client == s.cfg.Client && d.LastSeenMs+seenEveryMs > s.connectedMs {
		return true, nil
	}
	s.mu.Lock()
	s.meeting = wait && d == nil
	s.mu.Unlock()
	return d != nil, s.cfg.Set.Submit(ctx, s.seen(), s.met)
}

// met takes the reply about the device's record. Where nothing can be written, the device may sync all the same.
func (s *Session) met(r core.Reply) {
	for _, device := range r.Replaced {
		if s.cfg.Registry != nil {
			s.cfg.Registry.Replace(s.cfg.User, device)
		}
		s.cfg.Set.ForgetSoon(s.cfg.User, device)
	}
	if r.Err != nil && r.Err.Reason == tidemark.TooMany {
		s.put(reply{frame: wire.ErrorFrame(0, r.Err), unasked: true})
		s.Bye(wire.ByeReason_PROTOCOL, 0, r.Err.Message)
	}
	s.mu.Lock()
	s.meeting = false
	s.poke()
}

// takeCursor sets where the device stands, or answers why its cursor cannot be used and it is treated as new.
func (s *Session) takeCursor(c *wire.Cursor, known bool) wire.ResetReason {
	if c == nil {
		return wire.ResetReason_RESET_UNSPECIFIED
	}
	if tidemark.Epoch(c.GetEpoch()) != s.cfg.Set.Epoch() {
		return wire.ResetReason_EPOCH
	}
	for n, position := range c.GetPositions() {
		if n >= s.cfg.Set.Partitions() || tidemark.Position(position) > s.round.upTo[n] {
			return wire.ResetReason_FUTURE
		}
	}
	if !known {
		return wire.ResetReason_UNKNOWN_DEVICE
	}
	s.round.newDevice = false
	for n := range s.cfg.Set.Partitions() { // not in the order of a map: what follows is told to others
		position, told := c.GetPositions()[n]
		if !told {
			continue
		}
		s.round.from[n] = tidemark.Position(position)
		if !s.round.bounded { // it also acknowledges: an ack before may have been lost with its connection, or not saved
			s.cfg.Set.Ack(s.cfg.User, s.cfg.Device, n, tidemark.Position(position))
		}
	}
	return wire.ResetReason_RESET_UNSPECIFIED
}

// compare finds the conversations that have something past the cursor, most recent first.
func (s *Session) compare() error {
	type found struct {
		k      key
		timeMs uint64
	}
	var all []found
	for n := range s.cfg.Set.Partitions() {
		rows, err := s.cfg.Set.At(n).Changed(s.cfg.User, s.round.from[n])
		if err != nil {
			return err
		}
		for _, r := range rows {
			all = append(all, found{keyOf(n, r.Conversation), r.TimeMs})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.timeMs, a.timeMs), cmp.Compare(a.k, b.k))
	})
	s.round.items = make([]key, len(all))
	for i, f := range all {
		s.round.items[i] = f.k
	}
	return nil
}

func (s *Session) makeWelcome(reset wire.ResetReason) *wire.Welcome {
	l := s.cfg.Set.Limits()
	w := &wire.Welcome{
		SessionId: s.ID(), User: string(s.cfg.User), DeviceId: string(s.cfg.Device), Epoch: uint64(s.cfg.Set.Epoch()),
		Partitions: s.cfg.Set.Partitions(), ServerTimeMs: s.cfg.NowMs(), HeartbeatMs: s.cfg.HeartbeatMs,
		TakeBack: s.cfg.Set.TakeBackMs() > 0,
		Limits: &wire.Limits{
			BodyBytesMax: l.BodyBytesMax, FrameBytesMax: l.FrameBytesMax, PageEventsMax: l.PageEventsMax,
			PageBytesMax: l.PageBytesMax, MembersMax: l.MembersMax, ConversationsMax: l.ConversationsMax,
			DevicesMax: l.DevicesMax, InFlightMax: l.InFlightMax,
		},
	}
	if reset != wire.ResetReason_RESET_UNSPECIFIED {
		w.Reset_ = &wire.Reset{Reason: reset}
	}
	return w
}
