// SPDX-License-Identifier: Apache-2.0

// A world for the tests of this package: partitions over a store in memory, stepped by hand, and devices that check
// everything they are told as a client would.

package session

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testWorld is what the tests call tc: the server and its clock.
type testWorld struct {
	testing.TB
	fs       vfs.FS
	db       *store.DB
	set      *partition.Set
	registry *Registry
	now      uint64
	sent     int // client ids given so far
	format   wire.Format
	limits   tidemark.Limits
	roomIDs  map[string]bool // made by room
	config   func(*partition.Config)
}

func newTest(tb testing.TB) *testWorld {
	tb.Helper()
	tc := &testWorld{TB: tb, fs: vfs.NewMem(), now: 1_700_000_000_000, format: wire.Proto}
	tc.start()
	tb.Cleanup(func() {
		if tc.db != nil {
			tc.must(tc.db.Close())
		}
	})
	return tc
}

func (tc *testWorld) start() {
	tc.Helper()
	db, err := store.Open(store.Config{Dir: "data", FS: tc.fs, Partitions: 4, NowMs: tc.clock})
	tc.must(err)
	cfg := partition.Config{
		DB: db, Journal: journal.NewLocal(db), NowMs: tc.clock, Entropy: rand.NewChaCha8([32]byte{}), Limits: tc.limits,
		SealKey: bytes.Repeat([]byte("seal"), 8),
	}
	if tc.config != nil {
		tc.config(&cfg)
	}
	set, err := partition.Open(cfg)
	tc.must(err)
	tc.db, tc.set, tc.registry = db, set, NewRegistry()
}

func (tc *testWorld) clock() uint64 { return tc.now }

func (tc *testWorld) must(err error) {
	tc.Helper()
	if err != nil {
		tc.Fatal(err)
	}
}

// step carries out everything that is queued, in all partitions.
func (tc *testWorld) step() {
	for did := true; did; {
		did = false
		for n := range tc.set.Partitions() {
			did = tc.set.At(n).Step(tc.now) || did
		}
		did = tc.set.StepWatches(tc.now) || did
	}
}

func (tc *testWorld) do(cmd core.Command) core.Reply {
	tc.Helper()
	var got *core.Reply
	tc.must(tc.set.Submit(tc.Context(), cmd, func(r core.Reply) { got = &r }))
	tc.step()
	switch {
	case got == nil:
		tc.Fatalf("%T was not answered", cmd)
	case got.Err != nil:
		tc.Fatalf("%T: %v", cmd, got.Err)
	}
	return *got
}

func (tc *testWorld) users(ids ...tidemark.UserID) {
	tc.Helper()
	for _, id := range ids {
		tc.do(&core.UpsertUser{User: id, Nickname: "nick of " + string(id)})
	}
}

func (tc *testWorld) group(id tidemark.ConversationID, members ...tidemark.UserID) {
	tc.Helper()
	tc.do(&core.Create{Actor: core.Actor{App: true}, Conversation: id, Kind: record.Group, Title: string(id), Members: members})
}

// post sends past all sessions, as the HTTP API does.
func (tc *testWorld) post(from tidemark.UserID, to tidemark.ConversationID, text string) core.Reply {
	tc.Helper()
	tc.sent++
	return tc.do(&core.Submit{
		Actor: core.Actor{User: from}, Conversation: to, ClientID: tidemark.ClientID(fmt.Sprintf("post-%d", tc.sent)),
		Message: &wire.Message{Type: "text", Text: text},
	})
}

// device is a client: what it has stored, and the session it is connected by.
type device struct {
	tc       *testWorld
	user     tidemark.UserID
	name     tidemark.DeviceID
	platform string // "": test
	s        *Session
	cursor   *wire.Cursor // as of the last checkpoint
	tail     uint32
	full     uint32
	logs     map[string]*log
	profiles map[string]string
	pending  map[uint64]*wire.Submit // submissions not answered
	request  uint64
	synced   bool
	ready    atomic.Int64 // times OnReady was called
	welcome  *wire.Welcome
	bye      *wire.Bye
	frames   []*wire.ServerFrame // since the last look
	seen     map[string]bool     // events given in this connection: none may come twice
	rooms    map[string]*inRoom  // that the device has entered in this connection
	gapless  bool                // hello asks for so long a tail that nothing may be left out
	admit    func() error        // asked while the session is being opened; nil: it may
}

// log is what a device has of one conversation.
type log struct {
	id      string
	texts   map[uint64]string // by seq
	events  map[uint64]*wire.Event
	head    uint64
	digest  []byte
	unread  uint64
	mention uint64
	self    *wire.Self
	info    *wire.ConversationInfo
	floor   uint64 // known to have nothing at or below: before joining, or a gap left by hello
	chain   map[uint64]tidemark.Digest
	own     map[uint64]uint64 // positions of own events, by seq, that no checkpoint has covered yet
}

func (tc *testWorld) device(user tidemark.UserID, name tidemark.DeviceID) *device {
	return &device{
		tc: tc, user: user, name: name, logs: map[string]*log{}, profiles: map[string]string{},
		pending: map[uint64]*wire.Submit{},
	}
}

// connect says hello with the device's cursor. It does not read yet.
func (d *device) connect() *device {
	d.tc.Helper()
	d.hello()
	d.tc.step()
	return d
}

func (d *device) hello() {
	d.tc.Helper()
	if d.s != nil {
		d.disconnect()
	}
	d.s = New(Config{
		User: d.user, Device: d.name, Platform: cmp.Or(d.platform, "test"), Client: "test/1", Format: d.tc.format, Set: d.tc.set,
		Registry: d.tc.registry, NowMs: d.tc.clock, OnReady: func() { d.ready.Add(1) }, Admit: d.admit,
	})
	if d.cursor == nil {
		d.forget() // it was never synced: what it has is not stored
	}
	d.rooms = map[string]*inRoom{}
	d.synced, d.bye, d.welcome, d.seen, d.pending = false, nil, nil, map[string]bool{}, map[uint64]*wire.Submit{}
	d.tc.must(d.s.Open(d.tc.Context(), &wire.Hello{Cursor: d.cursor, Tail: d.tail, Full: d.full}))
}

func (d *device) disconnect() {
	if d.s != nil {
		d.s.Close()
		d.s = nil
	}
}

// forget loses everything that was stored.
func (d *device) forget() {
	d.cursor, d.logs = nil, map[string]*log{}
}

// handle gives the session a frame of the client.
func (d *device) handle(f *wire.ClientFrame) {
	d.tc.Helper()
	d.tc.must(d.s.Handle(d.tc.Context(), f))
}

// submit sends a text without waiting; the answer comes by reading.
func (d *device) submit(to tidemark.ConversationID, text string) uint64 {
	d.tc.Helper()
	d.tc.sent++
	return d.submitAs(to, fmt.Sprintf("%s-%d", d.name, d.tc.sent), text)
}

func (d *device) submitAs(to tidemark.ConversationID, clientID, text string) uint64 {
	d.tc.Helper()
	d.request++
	m := &wire.Submit{
		Request: d.request, ClientId: clientID, Conversation: string(to),
		Action: &wire.Submit_Message{Message: &wire.Message{Type: "text", Text: text}},
	}
	d.pending[d.request] = m
	d.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: m}})
	return d.request
}

// send submits, lets the partition work, and reads everything.
func (d *device) send(to tidemark.ConversationID, text string) {
	d.tc.Helper()
	d.submit(to, text)
	d.tc.step()
	d.drain()
}

func (d *device) read(id tidemark.ConversationID, seq uint64) {
	d.tc.Helper()
	d.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Read{Read: &wire.Read{Conversation: string(id), Seq: seq}}})
	d.tc.step()
}

func (d *device) ack() {
	d.tc.Helper()
	d.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Ack{Ack: &wire.Ack{Cursor: d.cursor}}})
}

// drain reads all frames there are.
func (d *device) drain() []*wire.ServerFrame {
	d.tc.Helper()
	d.frames = nil
	for d.next() {
		continue
	}
	return d.frames
}

// next reads one frame and stores what it says.
func (d *device) next() bool {
	d.tc.Helper()
	data, ok := d.s.Next(nil)
	if !ok {
		return false
	}
	frame, err := wire.DecodeServerFrame(d.tc.format, data)
	d.tc.must(err)
	d.frames = append(d.frames, frame)
	d.store(frame)
	return true
}

func (d *device) store(frame *wire.ServerFrame) {
	d.tc.Helper()
	switch f := frame.Frame.(type) {
	case *wire.ServerFrame_Welcome:
		d.welcome = f.Welcome
		if f.Welcome.Reset_ != nil {
			d.forget()
		}
	case *wire.ServerFrame_Delta:
		d.storeDelta(f.Delta)
	case *wire.ServerFrame_Synced:
		d.synced, d.cursor = true, f.Synced.Cursor
		d.checkGaps("synced")
	case *wire.ServerFrame_Submitted:
		d.storeSubmitted(f.Submitted)
	case *wire.ServerFrame_Fetched:
		d.storeFetched(f.Fetched)
	case *wire.ServerFrame_Error:
		d.notEntered(f.Error.Request)
		delete(d.pending, f.Error.Request)
	case *wire.ServerFrame_Bye:
		d.bye = f.Bye
	}
}

func (d *device) log(id string) *log {
	l := d.logs[id]
	if l == nil {
		l = &log{id: id, texts: map[uint64]string{}, events: map[uint64]*wire.Event{}, chain: map[uint64]tidemark.Digest{}, own: map[uint64]uint64{}}
		l.chain[0] = chain.Start(tidemark.ConversationID(id))
		d.logs[id] = l
	}
	return l
}

func (d *device) storeDelta(delta *wire.Delta) {
	d.tc.Helper()
	if delta.Live != d.synced {
		d.tc.Fatalf("%s: live is %v, synced %v", d.name, delta.Live, d.synced)
	}
	for _, p := range delta.Profiles {
		if d.seen["profile "+p.Id] {
			d.tc.Fatalf("%s: the profile of %s came twice", d.name, p.Id)
		}
		d.seen["profile "+p.Id] = true
		d.profiles[p.Id] = p.Nickname
	}
	once := map[string]bool{}
	for _, c := range delta.Conversations {
		if once[c.Id] {
			d.tc.Fatalf("%s: %s is in a delta twice", d.name, c.Id)
		}
		once[c.Id] = true
		if delta.Live && len(c.Events) > 64 {
			d.tc.Fatalf("%s: %d live events of %s with one digest", d.name, len(c.Events), c.Id)
		}
		d.storeConversation(c)
		if d.rooms[c.Id] == nil {
			d.checkSeal("delta", c.Id, c.HeadSeq, c.HeadDigest, c.HeadSeal)
		}
	}
	if len(delta.Checkpoints) == 0 {
		return
	}
	for n, position := range delta.Checkpoints {
		if position < d.cursor.Positions[n] {
			d.tc.Fatalf("%s: checkpoint %d of partition %d falls from %d", d.name, position, n, d.cursor.Positions[n])
		}
		d.cursor.Positions[n] = position
	}
	for id, l := range d.logs {
		n := tidemark.PartitionOfConversation(tidemark.ConversationID(id), d.tc.set.Partitions())
		if _, covered := delta.Checkpoints[n]; covered {
			d.checkGap(l, "checkpoint")
		}
	}
}

func (d *device) storeConversation(c *wire.ConversationDelta) {
	d.tc.Helper()
	if r := d.rooms[c.Id]; r != nil {
		r.delta(c)
		return
	}
	if d.tc.roomIDs[c.Id] {
		d.tc.Fatalf("%s: a delta of the room %s, which it is not in", d.name, c.Id)
	}
	if c.Removed {
		delete(d.logs, c.Id)
		return
	}
	l := d.log(c.Id)
	if c.Info != nil {
		l.info = c.Info
	}
	if c.Self != nil {
		l.self = c.Self
	}
	l.unread, l.mention = c.GetUnread(), c.GetMentions()
	if c.HeadSeq >= l.head {
		l.head, l.digest = c.HeadSeq, c.HeadDigest
	}
	if len(c.PrevDigest) > 0 {
		l.chain[c.PrevSeq] = tidemark.Digest(c.PrevDigest)
		if c.PrevSeq > l.floor && l.events[c.PrevSeq] == nil {
			if d.gapless && len(l.events) > 0 && c.GetSelf().GetJoinedSeq() != c.PrevSeq+1 {
				d.tc.Fatalf("%s: a gap before %d of %s", d.name, c.PrevSeq, c.Id)
			}
			l.floor = max(l.floor, c.PrevSeq) // what lies between is fetched by those who want it
		}
	}
	if len(c.Events) == 0 {
		if !d.synced {
			l.floor = max(l.floor, c.HeadSeq)
			l.chain[c.HeadSeq] = tidemark.Digest(c.HeadDigest)
		}
		return
	}
	if c.PrevSeq != c.Events[0].Seq-1 {
		d.tc.Fatalf("%s: prevSeq %d before event %d", d.name, c.PrevSeq, c.Events[0].Seq)
	}
	for _, e := range c.Events {
		d.storeEvent(l, e)
	}
}

func doubleOf(l *log, e *wire.Event) string { return fmt.Sprintf("%s/%d/%d", l.id, e.Seq, e.Id) }

func (d *device) storeEvent(l *log, e *wire.Event) {
	d.tc.Helper()
	if old := l.events[e.Seq]; old != nil {
		if old.Id != e.Id {
			d.tc.Fatalf("%s: seq %d of %s names event %d and event %d", d.name, e.Seq, l.id, old.Id, e.Id)
		}
		if d.seen[doubleOf(l, e)] {
			d.tc.Fatalf("%s: event %d of %s came twice", d.name, e.Seq, l.id)
		}
		d.seen[doubleOf(l, e)] = true
		if len(e.BodyHash) > 0 && d.tc.format == wire.Proto {
			l.events[e.Seq], l.texts[e.Seq] = e, "" // recalled since
		}
		return
	}
	d.seen[doubleOf(l, e)] = true
	l.events[e.Seq] = e
	if d.tc.format == wire.Proto && len(e.Body) > 0 {
		body := &wire.Body{}
		d.tc.must(body.UnmarshalVT(e.Body))
		l.texts[e.Seq] = body.GetMessage().GetText()
	} else {
		l.texts[e.Seq] = e.GetBodyJson().GetMessage().GetText()
	}
}

// checkSeal holds that a digest of a head comes with the server's own seal of it.
func (d *device) checkSeal(in, id string, seq uint64, digest, seal []byte) {
	d.tc.Helper()
	if len(digest) == 0 && len(seal) == 0 {
		return
	}
	if len(digest) != 32 || !d.tc.set.Sealed(tidemark.ConversationID(id), tidemark.Seq(seq), tidemark.Digest(digest), seal) {
		d.tc.Fatalf("%s: %s of %s tells the digest %x of %d with the seal %x", d.name, in, id, digest, seq, seal)
	}
}

func (d *device) storeSubmitted(f *wire.Submitted) {
	d.tc.Helper()
	m := d.pending[f.Request]
	if m == nil {
		d.tc.Fatalf("%s: submitted for request %d, which waits for nothing", d.name, f.Request)
	}
	delete(d.pending, f.Request)
	d.checkSeal("submitted", f.Conversation, f.Seq, f.Digest, f.Seal)
	if f.Duplicate || f.Seq == 0 {
		return // the event itself comes, or came, by delta
	}
	if r := d.rooms[f.Conversation]; r != nil {
		r.submitted(f, m)
		return
	}
	if d.tc.roomIDs[f.Conversation] {
		return // that it has left
	}
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: m.GetMessage()}})
	d.log(f.Conversation).own[f.Seq] = f.Position // others' events of the same commit may still be on their way
	d.storeEvent(d.log(f.Conversation), &wire.Event{
		Seq: f.Seq, Id: f.Id, TimeMs: f.TimeMs, Sender: string(d.user), ClientId: m.ClientId, Counted: f.Counted,
		Salt: f.Salt, Body: body, BodyJson: &wire.Body{Body: &wire.Body_Message{Message: m.GetMessage()}},
	})
}

func (d *device) checkGaps(when string) {
	d.tc.Helper()
	for _, l := range d.logs {
		d.checkGap(l, when)
	}
}

// checkGap fails unless the device has every event from its floor to the head, and their chain leads to the digest.
func (d *device) checkGap(l *log, when string) {
	d.tc.Helper()
	p := d.tc.set.Of(tidemark.ConversationID(l.id))
	for seq, position := range l.own {
		if position <= d.cursor.GetPositions()[p.Number()] {
			delete(l.own, seq)
			if seq > l.head {
				l.head, l.digest = seq, nil
			}
		}
	}
	if info, err := p.Info(tidemark.ConversationID(l.id)); err == nil {
		if m, err := p.Member(info.Ordinal, d.user); err != nil || !m.Active() || uint64(m.JoinedSeq) > l.head {
			return // who was removed sees nothing more, also of what came before; the news is on its way
		}
	}
	for seq := l.floor + 1; seq <= l.head; seq++ {
		e := l.events[seq]
		if e == nil {
			d.tc.Fatalf("%s at %s: event %d of %s is missing; floor %d, head %d, has %v", d.name, when, seq, l.id, l.floor, l.head, slices.Sorted(maps.Keys(l.events)))
		}
		prev, known := l.chain[seq-1]
		if !known || d.tc.format != wire.Proto {
			continue
		}
		l.chain[seq] = next(prev, e)
	}
	if got, known := l.chain[l.head]; known && len(l.digest) > 0 && got != tidemark.Digest(l.digest) {
		d.tc.Fatalf("%s at %s: the chain of %s at %d is not the head's digest", d.name, when, l.id, l.head)
	}
}

// next is the chain value after an event as it went over the wire.
func next(prev tidemark.Digest, e *wire.Event) tidemark.Digest {
	link := chain.Link{
		Seq: tidemark.Seq(e.Seq), ID: tidemark.EventID(e.Id), TimeMs: e.TimeMs, Sender: tidemark.UserID(e.Sender),
		ClientID: tidemark.ClientID(e.ClientId), Kind: uint8(e.Kind),
	}
	if len(e.BodyHash) > 0 {
		link.BodyHash = tidemark.Digest(e.BodyHash)
	} else {
		body := &wire.Body{}
		_ = body.UnmarshalVT(e.Body)
		link.Kind, link.BodyHash = wire.BodyKind(body), chain.BodyHash([8]byte(e.Salt), e.Body)
	}
	return chain.Next(prev, link)
}

// want fails unless the device has exactly these texts in a conversation, in order, empty ones (of other kinds) aside.
func (d *device) want(why string, id string, texts ...string) {
	d.tc.Helper()
	var have []string
	if l := d.logs[id]; l != nil {
		for _, seq := range slices.Sorted(maps.Keys(l.texts)) {
			if l.texts[seq] != "" {
				have = append(have, l.texts[seq])
			}
		}
	}
	if !slices.Equal(have, texts) {
		d.tc.Fatalf("%s: %s has %q of %s, want %q", why, d.name, have, id, texts)
	}
}

// wantIdle fails if there is anything to read.
func (d *device) wantIdle(why string) {
	d.tc.Helper()
	if data, ok := d.s.Next(nil); ok {
		frame, _ := wire.DecodeServerFrame(d.tc.format, data)
		d.tc.Fatalf("%s: but %s is told %v", why, d.name, frame)
	}
}

// kinds are the kinds of the frames last read, in order.
func (d *device) kinds() (kinds []string) {
	for _, f := range d.frames {
		kinds = append(kinds, fmt.Sprintf("%T", f.Frame)[len("*wire.ServerFrame_"):])
	}
	return kinds
}
