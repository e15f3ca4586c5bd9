// SPDX-License-Identifier: Apache-2.0

// A device for tests: a replica, its store, and a connection that can be cut anywhere.

package replica_test

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// device is one device of a user.
type device struct {
	t       fataler
	name    string
	user    string
	cfg     replica.Config
	store   *client.Memory
	replica *replica.Replica
	nowMs   uint64
	session *session // nil: not connected
	toward  []*wire.ClientFrame
	notes   []replica.Note
	done    []replica.Done
	out     replica.Output // of the last step
	heard   []*wire.ServerFrame
	count   int
	hostile bool // the server may say anything
}

func newDevice(t fataler, user, name string, cfg replica.Config) *device {
	cfg.Device = tidemark.DeviceID(name)
	d := &device{t: t, name: name, user: user, cfg: cfg, store: client.NewMemory(), nowMs: 1_000_000}
	d.load()
	return d
}

// load starts the device on what its store holds.
func (d *device) load() {
	d.t.Helper()
	err := d.store.View(func(v replica.View) (err error) {
		d.replica, err = replica.Load(d.cfg, v)
		return err
	})
	if err != nil {
		d.t.Fatalf("load: %v", err)
	}
}

// crash kills the device and starts it again.
func (d *device) crash() {
	d.session, d.toward = nil, nil
	d.notes = append(d.notes, replica.RoomChanged{Room: hall, State: replica.RoomLeft})
	d.store = d.store.Clone()
	d.load()
}

// step runs one step, stores what it writes, and lets its frames go.
func (d *device) step(fn func(r *replica.Replica, v replica.View) (replica.Output, error)) replica.Output {
	d.t.Helper()
	err := d.store.Update(func(tx client.Tx) error {
		out, err := fn(d.replica, tx)
		if err != nil {
			return err
		}
		d.out = out
		for _, w := range out.Writes {
			if w.Value == nil {
				err = tx.Delete(w.Key)
			} else {
				err = tx.Put(w.Key, w.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		d.t.Fatalf("%s: step: %v", d.name, err)
	}
	d.notes, d.done = append(d.notes, d.out.Notes...), append(d.done, d.out.Done...)
	if d.session != nil {
		d.toward = append(d.toward, d.out.Frames...)
	}
	if d.out.Fatal != nil && !d.hostile {
		d.t.Fatalf("%s: fatal: %v", d.name, d.out.Fatal)
	}
	if d.out.Hangup != "" {
		d.disconnect()
	}
	return d.out
}

func (d *device) connect(s *server) {
	d.t.Helper()
	d.session, d.toward = &session{server: s, user: d.user, own: map[string]bool{}}, nil
	d.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.Connect(v, d.nowMs, "token")
	})
}

func (d *device) disconnect() {
	d.t.Helper()
	d.session, d.toward = nil, nil
	d.step(func(r *replica.Replica, v replica.View) (replica.Output, error) { return r.Disconnect(v, d.nowMs) })
}

// upload gives the server the next frame of the device; false: there is none.
func (d *device) upload() bool {
	if d.session == nil || len(d.toward) == 0 {
		return false
	}
	f := d.toward[0]
	d.toward = d.toward[1:]
	data, err := wire.AppendClientFrame(nil, wire.Proto, f)
	if err == nil {
		f, err = wire.DecodeClientFrame(wire.Proto, data)
	}
	if err != nil {
		d.t.Fatalf("encode: %v", err)
	}
	d.session.receive(f)
	return true
}

// download gives the device the next frame of the server; false: there is none.
func (d *device) download() bool {
	d.t.Helper()
	if d.session == nil || len(d.session.out) == 0 {
		return false
	}
	f := d.session.out[0]
	d.session.out = d.session.out[1:]
	data, err := wire.AppendServerFrame(nil, wire.Proto, f)
	if err == nil {
		f, err = wire.DecodeServerFrame(wire.Proto, data)
	}
	if err != nil {
		d.t.Fatalf("encode: %v", err)
	}
	if s := d.session.server; s.corrupt != nil {
		s.corrupt(f)
	}
	d.heard = append(d.heard, f)
	d.receive(f)
	return true
}

func (d *device) receive(f *wire.ServerFrame) {
	d.t.Helper()
	d.step(func(r *replica.Replica, v replica.View) (replica.Output, error) { return r.Receive(v, d.nowMs, f) })
}

// tick lets time pass.
func (d *device) tick(ms uint64) {
	d.t.Helper()
	d.nowMs += ms
	d.step(func(r *replica.Replica, v replica.View) (replica.Output, error) { return r.Tick(v, d.nowMs) })
	if at := d.replica.DeadlineMs(); d.session != nil && at <= d.nowMs {
		d.t.Fatalf("%s: a tick at %d leaves what is due at %d: the caller turns in circles", d.name, d.nowMs, at)
	}
}

// submit puts a submission into the outbox.
func (d *device) submit(in tidemark.ConversationID, body *wire.Body) tidemark.ClientID {
	d.t.Helper()
	d.count++
	id := tidemark.ClientID(fmt.Sprintf("%s-%d", d.name, d.count))
	d.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.Submit(v, d.nowMs, in, "", id, body)
	})
	return id
}

func (d *device) say(in tidemark.ConversationID, text string) tidemark.ClientID {
	d.t.Helper()
	return d.submit(in, text2body(text))
}

func text2body(text string) *wire.Body {
	return &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Type: "text", Text: text}}}
}

func (d *device) markRead(in tidemark.ConversationID, seq tidemark.Seq) {
	d.t.Helper()
	d.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.MarkRead(v, d.nowMs, in, seq)
	})
}

func (d *device) fetch(in tidemark.ConversationID, page replica.Page) {
	d.t.Helper()
	d.step(func(r *replica.Replica, v replica.View) (replica.Output, error) {
		return r.Fetch(v, d.nowMs, 1, in, page)
	})
}

// settle exchanges frames until neither side has any, letting time pass.
func (d *device) settle() {
	d.t.Helper()
	for quiet := 0; quiet < 12; {
		quiet++
		for d.session != nil {
			d.session.round()
			if up, down := d.upload(), d.download(); !up && !down {
				break
			}
			quiet = 0
		}
		if d.session == nil {
			return
		}
		d.tick(2_000)
	}
}

// texts are the stored messages of a conversation as shown: the text, or "-" when there is none.
func (d *device) texts(in tidemark.ConversationID) (list []string) {
	d.t.Helper()
	for _, m := range d.messages(in) {
		if m.Kind == replica.KindMessage {
			text := m.Text()
			if m.RecallSeq > 0 {
				text = "-"
			}
			list = append(list, text)
		}
	}
	return list
}

func (d *device) messages(in tidemark.ConversationID) (list []replica.Message) {
	d.t.Helper()
	err := d.store.View(func(v replica.View) (err error) {
		list, err = replica.Messages(v, tidemark.UserID(d.user), in, 1, 1<<62, 0, false)
		return err
	})
	if err != nil {
		d.t.Fatalf("messages: %v", err)
	}
	return list
}

func (d *device) fingerprint() (digest tidemark.Digest) {
	d.t.Helper()
	err := d.store.View(func(v replica.View) (err error) {
		digest, err = d.replica.Fingerprint(v, 0)
		return err
	})
	if err != nil {
		d.t.Fatalf("fingerprint: %v", err)
	}
	return digest
}

// checkC1 checks that what is stored is what the segments say, and is a chain: equal to the server's unless that is
// another.
func (d *device) checkC1(s *server) {
	d.t.Helper()
	for _, c := range d.replica.Conversations() {
		stored := d.messages(c.ID)
		i := 0
		for _, seg := range c.Segments {
			for seq := seg.From; seq <= seg.To; seq++ {
				if i >= len(stored) || stored[i].Seq != seq {
					d.t.Fatalf("%s: %s: segments %v, but event %d is not stored", d.name, c.ID, c.Segments, seq)
				}
				i++
			}
			if s != nil && uint64(seg.To) <= uint64(len(s.logs[c.ID].events)) {
				if want := s.logs[c.ID].digest(c.ID, uint64(seg.To)); seg.Last != want {
					d.t.Fatalf("%s: %s: at %d the chain is %v, the server's %v", d.name, c.ID, seg.To, seg.Last, want)
				}
			}
			if seg.From == 1 && seg.Prev != chain.Start(c.ID) {
				d.t.Fatalf("%s: %s: the chain begins with %v", d.name, c.ID, seg.Prev)
			}
		}
		if i != len(stored) {
			d.t.Fatalf("%s: %s: %d events are stored outside the segments %v", d.name, c.ID, len(stored)-i, c.Segments)
		}
	}
}

// noteOf is the last note of a type.
func noteOf[N replica.Note](d *device) (last N, count int) {
	for _, n := range d.notes {
		if n, ok := n.(N); ok {
			last = n
			count++
		}
	}
	return last, count
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func equalList[T comparable](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: got %v, want %v", what, got, want)
		}
	}
}
