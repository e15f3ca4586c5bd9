// SPDX-License-Identifier: Apache-2.0

// The invariants C1 to C6 under random work, connections that break anywhere, devices that die between any two writes,
// servers that lose their end, and frames that come again.

package replica_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// run is one random run.
type run struct {
	*rapid.T
	server   *server
	backups  []*server
	devices  []*device
	sent     map[tidemark.ClientID]tidemark.ConversationID
	restores int
}

func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &run{T: t, server: newServer(), sent: map[tidemark.ClientID]tidemark.ConversationID{}}
		r.server.openRoom(hall)
		r.server.create("team", "alice", "bob")
		r.server.create("four", "alice", "bob", "carol")
		for i, user := range []string{"alice", "alice", "bob"} {
			cfg := replica.Config{Tail: 3, Full: 2, PageMax: 4, Backfill: replica.FillAll, Window: rapid.IntRange(1, 4).Draw(t, "window")}
			r.devices = append(r.devices, newDevice(t, user, fmt.Sprint(user, i), cfg))
		}
		t.Repeat(map[string]func(*rapid.T){
			"connect":    func(t *rapid.T) { r.any(t).connect(r.server) },
			"disconnect": func(t *rapid.T) { r.any(t).disconnect() },
			"crash":      func(t *rapid.T) { r.any(t).crash() },
			"up":         func(t *rapid.T) { r.many(t, (*device).upload) },
			"down":       func(t *rapid.T) { r.many(t, (*device).download) },
			"round":      func(t *rapid.T) { r.round(r.any(t)) },
			"time":       func(t *rapid.T) { r.any(t).tick(rapid.Uint64Range(1, 20_000).Draw(t, "ms")) },
			"submit":     r.submit,
			"others":     r.others,
			"read":       r.read,
			"delete":     r.delete,
			"clear":      r.clear,
			"page":       r.page,
			"room":       r.room,
			"shout":      r.shout,
			"backup":     r.backup,
			"restore":    r.restore,
			"replay":     r.replay,
			"die half":   r.dieBetween,
			"":           func(t *rapid.T) { r.always() },
		})
		r.finally()
	})
}

func (r *run) any(t *rapid.T) *device { return rapid.SampledFrom(r.devices).Draw(t, "device") }

func (r *run) many(t *rapid.T, do func(*device) bool) {
	d := r.any(t)
	for range rapid.IntRange(1, 8).Draw(t, "frames") {
		if !do(d) {
			return
		}
	}
}

func (r *run) round(d *device) {
	if d.session != nil {
		d.session.round()
	}
}

// body is something to send.
func (r *run) body(t *rapid.T, in tidemark.ConversationID) *wire.Body {
	seq := rapid.Uint64Range(1, 12).Draw(t, "target")
	if h := r.server.logs[in]; h != nil && len(h.events) > 12 {
		seq += uint64(len(h.events)) - 12
	}
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		return &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: seq, Message: &wire.Message{Text: fmt.Sprint("edit ", seq)}}}}
	case 1:
		return &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: seq}}}
	case 2, 3:
		key := rapid.SampledFrom([]string{"+1", "eye"}).Draw(t, "key")
		return &wire.Body{Body: &wire.Body_Reaction{Reaction: &wire.Reaction{Seq: seq, Key: key, Removed: rapid.Bool().Draw(t, "removed")}}}
	case 4:
		return &wire.Body{Body: &wire.Body_Pin{Pin: &wire.Pin{Seq: seq, Removed: rapid.Bool().Draw(t, "removed")}}}
	}
	if rapid.IntRange(0, 2).Draw(t, "thread") == 0 {
		return &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Text: "answer", Thread: seq}}}
	}
	return text2body(fmt.Sprint("text ", seq))
}

// delete deletes a message for a user, or its history.
func (r *run) delete(t *rapid.T) {
	d, in := r.any(t), r.conversation(t)
	h := r.server.logs[in]
	if h == nil || !slices.Contains(h.members, d.user) {
		t.Skip("no such conversation")
	}
	seq := rapid.IntRange(1, len(h.events)).Draw(t, "seq")
	if h.events[seq-1].kind != 1 || slices.Contains(h.deleted[d.user], uint64(seq)) {
		t.Skip("not a message")
	}
	r.server.delete(d.user, in, uint64(seq))
}

func (r *run) clear(t *rapid.T) {
	d, in := r.any(t), r.conversation(t)
	h := r.server.logs[in]
	if h == nil || !slices.Contains(h.members, d.user) {
		t.Skip("no such conversation")
	}
	seq := tidemark.Seq(rapid.IntRange(1, len(h.events)).Draw(t, "seq"))
	if seq < h.marks[d.user].from {
		t.Skip("cleared already")
	}
	r.server.clear(d.user, in, seq)
}

func (r *run) conversation(t *rapid.T) tidemark.ConversationID {
	return rapid.SampledFrom([]tidemark.ConversationID{"team", "four", "alice~bob"}).Draw(t, "conversation")
}

func (r *run) submit(t *rapid.T) {
	d, in := r.any(t), r.conversation(t)
	r.sent[d.submit(in, r.body(t, in))] = in
}

// others makes carol write, who has no device here, so that much happens at once.
func (r *run) others(t *rapid.T) {
	for range rapid.IntRange(1, 10).Draw(t, "events") {
		r.server.submitted++
		f := &wire.Submit{ClientId: fmt.Sprint("carol", r.server.salt, "-", r.server.submitted), Conversation: "four"}
		switch b := r.body(t, "four").GetBody().(type) {
		case *wire.Body_Message:
			f.Action = &wire.Submit_Message{Message: b.Message}
		case *wire.Body_Edit:
			f.Action = &wire.Submit_Edit{Edit: b.Edit}
		case *wire.Body_Recall:
			f.Action = &wire.Submit_Recall{Recall: b.Recall}
		case *wire.Body_Reaction:
			f.Action = &wire.Submit_Reaction{Reaction: b.Reaction}
		case *wire.Body_Pin:
			f.Action = &wire.Submit_Pin{Pin: b.Pin}
		}
		r.server.submit("carol", f, func() {})
	}
}

func (r *run) read(t *rapid.T) {
	r.any(t).markRead(r.conversation(t), tidemark.Seq(rapid.IntRange(1, 30).Draw(t, "seq")))
}

func (r *run) page(t *rapid.T) {
	page := replica.Page{Before: tidemark.Seq(rapid.IntRange(1, 40).Draw(t, "before")), Limit: rapid.IntRange(1, 6).Draw(t, "limit")}
	if rapid.Bool().Draw(t, "latest") {
		page = replica.Page{Latest: true, Limit: page.Limit}
	}
	r.any(t).fetch(r.conversation(t), page)
}

func (r *run) backup(*rapid.T) { r.backups = append(r.backups, r.server.clone(0)) }

// restore puts a backup in the server's place: another epoch, and the end of the history is lost.
func (r *run) restore(t *rapid.T) {
	if len(r.backups) == 0 || r.restores >= 2 {
		t.Skip("no backup")
	}
	r.restores++
	salt := r.server.salt
	r.server = rapid.SampledFrom(r.backups).Draw(t, "backup").clone(uint64(100 + r.restores))
	r.server.salt += salt
	for _, d := range r.devices {
		if d.session != nil {
			d.disconnect()
		}
	}
}

// replay gives a device an old frame of this epoch again: one that carries events.
func (r *run) replay(t *rapid.T) {
	d := r.any(t)
	if d.session == nil || len(d.heard) == 0 || d.session.server.epoch != 7 {
		t.Skip("nothing to replay")
	}
	if !slices.ContainsFunc(d.heard, func(f *wire.ServerFrame) bool { return f.GetSynced() != nil }) {
		t.Skip("in a first synchronisation a delta tells of the whole")
	}
	f := rapid.SampledFrom(d.heard).Draw(t, "frame")
	for _, c := range f.GetDelta().GetConversations() {
		c.HeadSeq = 0 // what it says of the whole is stale on purpose; events are not
	}
	if f.GetDelta() != nil || f.GetFetched() != nil || f.GetSubmitted() != nil {
		d.receive(f)
	}
}

// dieBetween kills a device after a step was stored and before its frames went, or before it was stored.
func (r *run) dieBetween(t *rapid.T) {
	d := r.any(t)
	before := d.store.Clone()
	d.download()
	if rapid.Bool().Draw(t, "before the write") {
		d.store = before
	}
	d.crash()
}

// always holds after every step.
func (r *run) always() {
	for _, d := range r.devices {
		d.t = r.T
		if d.session != nil && d.session.server == r.server && d.session.opened {
			d.checkC1(nil)
			continue
		}
		d.checkC1(nil)
	}
}

// finally: the faults stop, and everything must come to rest and be equal.
func (r *run) finally() {
	for range 3 {
		for _, d := range r.devices {
			if d.session == nil || d.session.server != r.server {
				d.connect(r.server)
			}
			d.settle()
		}
	}
	r.goOn()
	for range 4 {
		for _, d := range r.devices {
			d.tick(400_000)
			if d.session == nil {
				d.connect(r.server)
			}
			d.settle()
		}
	}
	for _, d := range r.devices {
		r.checkDevice(d)
		r.checkRoom(d)
	}
	r.checkOnce()
}

// goOn lets the server go on wherever a device keeps what a restore has lost, past all of it: then that is lost for good. A
// device that has only the end of what was lost cannot know it before.
func (r *run) goOn() {
	for _, d := range r.devices {
		for _, c := range d.replica.Conversations() {
			h := r.server.logs[c.ID]
			kept, ahead := c.Ahead()
			for h != nil && ahead && len(h.events) <= int(kept.To) {
				r.server.position[h.partition]++
				r.server.append(c.ID, "system", "", text2body("on"))
			}
		}
	}
}

func (r *run) checkDevice(d *device) {
	d.checkC1(r.server)
	for _, c := range d.replica.Conversations() {
		h := r.server.logs[c.ID]
		if h == nil || c.Removed {
			continue
		}
		head := tidemark.Seq(len(h.events))
		if gaps := c.Gaps(); len(gaps) > 0 || c.Doubt.Open || c.Tail() != head && h.marks[d.user].from <= head {
			r.Fatalf("%s: %s does not come to rest: head %d of %d, gaps %v, doubt %v", d.name, c.ID, c.Tail(), len(h.events), gaps, c.Doubt)
		}
	}
	fresh := newDevice(r.T, d.user, "fresh", replica.Config{Tail: 1, Backfill: replica.FillAll})
	fresh.connect(r.server)
	fresh.settle()
	if d.fingerprint() != fresh.fingerprint() {
		r.difference(d, fresh)
	}
	for _, o := range d.replica.Outbox() {
		if o.State != replica.Failed {
			r.Fatalf("%s: %s is still %s", d.name, o.ClientID, o.State)
		}
	}
}

// difference says where a device and a fresh one disagree.
func (r *run) difference(d, fresh *device) {
	for _, c := range fresh.replica.Conversations() {
		e := d.replica.Conversation(c.ID)
		a, b := d.messages(c.ID), fresh.messages(c.ID)
		for i := range min(len(a), len(b)) {
			if x, y := fmt.Sprintf("%+v", a[i]), fmt.Sprintf("%+v", b[i]); x != y {
				r.Logf("%s:\n  has   %s\n  fresh %s", d.name, x, y)
			}
		}
		if e == nil || fmt.Sprintf("%+v", e) != fmt.Sprintf("%+v", c) {
			r.Logf("%s:\n  has   %+v\n  fresh %+v", d.name, e, c)
		}
	}
	r.Fatalf("%s differs from a fresh device", d.name)
}

// checkOnce: what was sent is stored at most once, and exactly once unless it was refused or a restore lost it.
func (r *run) checkOnce() {
	for id, in := range r.sent {
		n := 0
		if h := r.server.logs[in]; h != nil {
			for _, e := range h.events {
				if e.ClientId == string(id) {
					n++
				}
			}
		}
		failed := slices.ContainsFunc(r.devices, func(d *device) bool { return d.replica.OutgoingState(id) == replica.Failed })
		if n > 1 || n == 0 && !failed && r.restores == 0 {
			r.Fatalf("%s is %d times in %s", id, n, in)
		}
	}
}
