// SPDX-License-Identifier: Apache-2.0

// The calm: nothing breaks any more, and within a bound of time every device must have what the server has.

package sim

import (
	"fmt"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
)

// Times of the calm, ms.
const (
	calmMaxMs  = 15 * 60_000 // within which everything must converge
	calmLookMs = 3_000       // between two looks at whether it has
)

// settle mends everything, waits until all have the same, and looks at the end.
func (w *world) settle() {
	if w.failure != nil {
		return
	}
	w.beginCalm()
	end := w.nowMs + calmMaxMs
	var missing *invariant.Violation
	for w.failure == nil && w.nowMs < end {
		for _, d := range w.devices {
			d.refreshSoon() // nobody is told that a profile has changed: apps ask
		}
		w.goOn()
		w.finishAccounts()
		w.run(w.nowMs + calmLookMs)
		if missing = w.unsettled(); missing == nil {
			w.run(w.nowMs + calmLookMs) // a scheduled message may just have come
			if missing = w.unsettled(); missing == nil {
				break
			}
		}
	}
	switch {
	case w.failure != nil:
		return
	case missing != nil:
		w.fail(missing)
		return
	}
	w.trace.add("settled", w.nowMs, 0)
	w.say(about{}, "all is settled")
	if v := w.lost(); v != nil {
		w.fail(v)
	}
	w.checkEnd()
}

// beginCalm mends everything.
func (w *world) beginCalm() {
	w.calm = true
	w.trace.add("calm", w.nowMs, 0)
	w.say(about{}, "from now on nothing breaks")
	w.observer.Happened(invariant.Incident{Kind: invariant.Calm})
	clear(w.partedMs)
	if s := w.server; s != nil {
		s.disk.trap(noTrouble, 0)
		enough(s.disk.mem)
		if open := s.set.TakeBackMs() > 0; open || s.set.Health() != nil {
			w.stop()
			if open {
				w.takeBackFor(openInCalmMs)
			}
		}
	}
	w.restart()
	for _, d := range w.devices {
		d.crash, d.stuckMs = noCrash, 0
		d.on()
	}
}

// unsettled is what is still to come, or nil.
func (w *world) unsettled() *invariant.Violation {
	if w.server == nil {
		return &invariant.Violation{Invariant: "Y1", Text: "no server runs"}
	}
	if w.server.set.TakeBackMs() > 0 {
		return missing("", "the server takes lost events back and nothing else")
	}
	if err := w.server.set.Health(); err != nil {
		return &invariant.Violation{Invariant: "Y1", Text: "the server does not write: " + err.Error()}
	}
	if v := w.unfinished(); v != nil {
		return v
	}
	for _, d := range w.devices {
		if w.gone(d.user) {
			continue
		}
		if v := w.behind(d); v != nil {
			v.User, v.Device = d.user, d.id
			return v
		}
	}
	for _, u := range w.users {
		if w.gone(u.id) {
			continue
		}
		if v := w.differ(u); v != nil {
			return v
		}
	}
	return nil
}

// behind is what a device lacks.
func (w *world) behind(d *device) *invariant.Violation {
	if d.replica == nil || d.conn == nil || !d.synced || len(d.inbox) > 0 || d.conn.broken() {
		return missing("", "the device is not synced")
	}
	for _, o := range d.replica.Outbox() {
		if o.State != replica.Failed {
			return missing(o.Conversation, "%s is still in the outbox, %s", o.ClientID, o.State)
		}
	}
	known := map[tidemark.ConversationID]*replica.Conversation{}
	for _, c := range d.replica.Conversations() {
		if !c.Removed {
			known[c.ID] = c
		}
		if _, ahead := c.Ahead(); c.PendingRead > 0 && !c.Removed && !ahead {
			return missing(c.ID, "the read mark %d is not confirmed", c.PendingRead)
		}
	}
	if v := w.compare(d, known); v != nil {
		return v
	}
	for _, c := range d.replica.Conversations() { // in no order, but any will do
		if known[c.ID] != nil {
			return missing(c.ID, "the device has a conversation that its user is not in")
		}
	}
	return nil
}

// missing is what is still to come of a conversation.
func missing(in tidemark.ConversationID, format string, args ...any) *invariant.Violation {
	return &invariant.Violation{Invariant: "Y1", Text: fmt.Sprintf(format, args...), Conversation: in}
}

// compare compares the conversations of a user at the server with those that a device knows, and takes them out of these.
func (w *world) compare(d *device, known map[tidemark.ConversationID]*replica.Conversation) *invariant.Violation {
	for n := range w.server.set.Partitions() {
		p := w.server.set.At(n)
		rows, err := p.Conversations(d.user)
		if err != nil {
			return missing("", "the server cannot list: %v", err)
		}
		for _, row := range rows {
			info, err := p.InfoOf(row.Conversation)
			if err != nil {
				return missing("", "the server cannot read: %v", err)
			}
			if m, err := p.Member(row.Conversation, d.user); err != nil || !m.Active() {
				continue
			}
			head, err := p.Head(row.Conversation)
			if err != nil {
				return missing(info.ID, "the server cannot read: %v", err)
			}
			c := known[info.ID]
			delete(known, info.ID)
			if v := d.compareOne(c, info.ID, &head); v != nil {
				return v
			}
		}
	}
	return nil
}

// compareOne compares a conversation on a device with its head at the server.
func (d *device) compareOne(c *replica.Conversation, id tidemark.ConversationID, head *record.Head) *invariant.Violation {
	switch {
	case c == nil:
		return missing(id, "the device does not know it")
	case c.HeadSeq != head.Seq:
		return missing(id, "the device has head %d, the server %d", c.HeadSeq, head.Seq)
	case c.Doubt.Open:
		return missing(id, "the device doubts its history")
	case d.config.Backfill == replica.FillAll && len(c.Gaps()) > 0, invariant.Unhealed(c) != replica.Gap{}:
		return missing(id, "the device has gaps: %v", c.Gaps())
	case c.Unsure():
		return missing(id, "the device has not asked yet how many reactions and answers there are")
	}
	seq, digest := c.Digest()
	if seq == head.Seq && digest != head.Digest {
		return missing(id, "at %d the device's chain is %.8s…, the server's %.8s…", seq, digest, head.Digest)
	}
	if seq < head.Seq && len(c.Segments) > 0 && head.Seq > head.Floor && head.Seq > c.Floor {
		return missing(id, "the device has events up to %d, the server up to %d", seq, head.Seq)
	}
	return nil
}

// differ is how the devices of a user differ from each other.
func (w *world) differ(u *person) *invariant.Violation {
	var lists []tidemark.Digest
	for _, d := range u.devices {
		err := d.store.View(func(v replica.View) error {
			list, err := d.replica.Fingerprint(v, -1)
			if err != nil {
				return err
			}
			lists = append(lists, list)
			return nil
		})
		if err != nil {
			return &invariant.Violation{Invariant: "C2", Text: err.Error(), User: u.id, Device: d.id}
		}
	}
	for i := range lists {
		if lists[i] != lists[0] && difference(u.devices[0], u.devices[i]) != "" {
			return &invariant.Violation{
				Invariant: "Y1", User: u.id,
				Text: fmt.Sprintf("%s and %s have other lists: %s", u.devices[0].id, u.devices[i].id, difference(u.devices[0], u.devices[i])),
			}
		}
	}
	var whole []*device
	for _, d := range u.devices {
		if d.config.Backfill == replica.FillAll {
			whole = append(whole, d)
		}
	}
	for _, d := range whole[1:] { // the first of each user's devices stores all
		if v := w.differInMessages(whole[0], d); v != nil {
			return v
		}
	}
	return nil
}

// differInMessages is how two devices of a user that store all differ in what that user may see now. What one of them has
// from before, when the user could see more, is its own.
func (w *world) differInMessages(a, b *device) *invariant.Violation {
	for n := range w.server.set.Partitions() {
		rows, _ := w.server.set.At(n).Conversations(a.user)
		for _, row := range rows {
			info, err := w.server.set.At(n).InfoOf(row.Conversation)
			if err != nil {
				continue
			}
			sight, err := w.server.set.See(a.user, info.ID)
			if err != nil {
				continue
			}
			if ahead(a.replica.Conversation(info.ID)) || ahead(b.replica.Conversation(info.ID)) {
				continue // each keeps what it has of what the server has lost
			}
			one, other := a.texts(info.ID, sight.Floor+1, sight.Head.Seq), b.texts(info.ID, sight.Floor+1, sight.Head.Seq)
			for i := range max(len(one), len(other)) {
				switch {
				case i >= len(one) || i >= len(other):
					return missing(info.ID, "%s and %s store %d and %d events from %d on", a.who(), b.who(), len(one), len(other), sight.Floor+1)
				case one[i] != other[i] && !(sight.Floor > 0 && strings.Contains(one[i], ", kind 2,")): // as for C3
					return missing(info.ID, "%s has\n    %s\nand %s\n    %s", a.who(), one[i], b.who(), other[i])
				}
			}
		}
	}
	return nil
}

// texts are the stored events of a conversation as an app shows them.
func (d *device) texts(in tidemark.ConversationID, from, to tidemark.Seq) (texts []string) {
	_ = d.store.View(func(v replica.View) error {
		list, err := replica.Messages(v, d.user, in, from, to, 0, false)
		for i := range list {
			m := &list[i]
			if m.Kind == replica.KindEdit {
				texts = append(texts, fmt.Sprintf("%d, kind 2, %s", m.Seq, invariant.Form(m)))
				continue
			}
			text := fmt.Sprintf("%d: id %d of %s at %d, kind %d, hidden %v, edited %d, recalled %d, erased %d, pinned %d, thread %d; %v; ",
				m.Seq, m.ID, m.Sender, m.TimeMs, m.Kind, m.Hidden, m.EditSeq, m.RecallSeq, m.EraseSeq, m.PinSeq, m.ThreadCount, m.Content)
			for _, r := range m.Reactions {
				text += fmt.Sprintf("%s %d %v, ", r.Key, r.Count, r.Mine)
			}
			texts = append(texts, text)
		}
		return err
	})
	return texts
}

// ahead reports whether a device keeps what the server has lost of a conversation.
func ahead(c *replica.Conversation) bool {
	if c == nil {
		return false
	}
	_, ahead := c.Ahead()
	return ahead
}

// difference says where the lists of two devices differ; empty: nowhere but in what the server has lost.
func difference(a, b *device) string {
	lost := false
	for _, c := range a.replica.Conversations() {
		o := b.replica.Conversation(c.ID)
		if ahead(c) || ahead(o) {
			lost = true
			continue
		}
		if c.Removed && (o == nil || o.Removed) {
			continue
		}
		if o == nil || o.Removed || c.Removed {
			return fmt.Sprintf("%s is in one of them", c.ID)
		}
		if v := invariant.SameSummary(a.who(), b.who(), c, o); v != nil {
			return v.Text
		}
		lost = lost || c.Floor > 0 || o.Floor > 0 // and what is kept no longer is not told at once
	}
	if lost {
		return ""
	}
	return "profiles"
}

// lost is an acknowledged message that the server does not have: Y2.
func (w *world) lost() *invariant.Violation {
	for _, a := range w.acked {
		v := &invariant.Violation{Invariant: "Y2", Conversation: a.conversation, User: a.user, Seq: a.seq}
		p := w.server.set.Of(a.conversation)
		info, err := p.Info(a.conversation)
		if err != nil || info == nil {
			v.Text = fmt.Sprintf("%s was acknowledged, and the conversation is not there (%v)", a.clientID, err)
			return v
		}
		head, err := p.Head(info.Ordinal)
		if err == nil && a.seq <= head.Floor {
			continue
		}
		e, err := w.server.db.Partition(p.Number()).Event(info.Ordinal, a.seq)
		switch {
		case err != nil:
			v.Text = err.Error()
		case e == nil:
			v.Text = fmt.Sprintf("%s was acknowledged, and there is no such event", a.clientID)
		case e.ClientID != a.clientID:
			v.Text = fmt.Sprintf("%s was acknowledged, and there is %s in its place", a.clientID, e.ClientID)
		default:
			continue
		}
		return v
	}
	return nil
}
