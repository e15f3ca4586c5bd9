// SPDX-License-Identifier: Apache-2.0

// What a device has stored, compared with the store of the server: whatever its cursor covers is there (S8), with the right
// counts (S11), and what it shows is the log's (C1).

package sim

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// checkStored looks at a device that has stored something; now and then at all that it shows.
func (w *world) checkStored(d *device) {
	w.checkDevice(d)
	if w.checks.chance.IntN(shownEvery) == 0 {
		w.checkShown(d)
		w.checkReloaded(d)
	}
}

// checkDevice looks at a device after it has stored something. Between two epochs nothing can be said: the device does not
// know yet what was lost.
func (w *world) checkDevice(d *device) {
	if w.server == nil || d.replica == nil || d.replica.Cursor().Epoch != w.server.set.Epoch() {
		return
	}
	cursor := d.replica.Cursor()
	for _, id := range w.checks.ids { // in one order: what is looked at comes into memory
		l := w.checks.logs[id]
		if w.failure != nil {
			return
		}
		if l.room() {
			continue
		}
		w.checkCovered(d, l, cursor.Positions[w.server.set.Of(id).Number()])
	}
}

// checkCovered compares what a device has of one conversation with what the server has, if all of that is covered by the
// device's cursor: S8. What is past the cursor may be there or not.
func (w *world) checkCovered(d *device, l *logged, position tidemark.Position) {
	p := w.server.set.Of(l.ID)
	info, err := p.Info(l.ID)
	if err != nil || info == nil {
		return // reported when the server's side is looked at
	}
	m, err := p.Member(info.Ordinal, d.user)
	if err != nil || m == nil || m.JoinedSeq == 0 || m.Position > position {
		return
	}
	has := d.replica.Conversation(l.ID)
	there := has != nil && !has.Removed
	head, err := p.Head(info.Ordinal)
	switch {
	case err != nil:
	case !m.Active() && there:
		w.broken("S8", d.who(), l.ID, m.LeftSeq, fmt.Sprintf("the user left by commit %d, the device has all up to %d, and it has the conversation still", m.Position, position))
	case !m.Active():
	case l.positions[m.JoinedSeq-1] > position:
	case !there:
		w.broken("S8", d.who(), l.ID, m.JoinedSeq, fmt.Sprintf("the user joined by commit %d, the device has all up to %d, and it does not have the conversation", l.positions[m.JoinedSeq-1], position))
	default:
		w.checkHeads(d, l, has, info, m, head, position)
	}
}

func (w *world) checkHeads(
	d *device, l *logged, has *replica.Conversation, info *record.Info, m *record.Member, head record.Head, position tidemark.Position,
) {
	covered := tidemark.Seq(len(l.Log)) // the last event that the cursor covers
	for covered > 0 && l.positions[covered-1] > position {
		covered--
	}
	if has.HeadSeq < covered {
		w.broken("S8", d.who(), l.ID, covered, fmt.Sprintf("the device has all up to position %d and knows events up to %d; the one at %d is %d",
			position, has.HeadSeq, l.positions[covered-1], covered))
		return
	}
	if head.Position > position || info.InfoPosition > position || info.MembersPosition > position {
		return
	}
	if want := w.server.set.Of(l.ID).WireInfo(info, head.Members); !sameInfo(has.Info, want) {
		w.broken("S8", d.who(), l.ID, 0, fmt.Sprintf("the device has all up to position %d and shows %v; it is %v", position, has.Info, want))
		return
	}
	if want := partition.WireSelf(info, m, head.Seq); has.Self != nil && !sameSelf(has, want) {
		w.broken("S8", d.who(), l.ID, 0, fmt.Sprintf("the device has all up to position %d and has its own record as %v; it is %v", position, has.Self, want))
	}
}

// sameInfo compares public data, but for pins: those that are kept no longer go without a word.
func sameInfo(has, want *wire.ConversationInfo) bool {
	a, b := proto.CloneOf(has), proto.CloneOf(want)
	if a == nil {
		return false
	}
	a.Pinned, b.Pinned = nil, nil
	return proto.Equal(a, b)
}

// sameSelf compares a user's own record, but for what answers move and deltas tell later: the read mark, and what is private.
func sameSelf(has *replica.Conversation, want *wire.Self) bool {
	a, b := proto.CloneOf(has.Self), proto.CloneOf(want)
	a.Private, b.Private, a.ReadSeq, b.ReadSeq = nil, nil, 0, 0
	a.MarkedUnread, b.MarkedUnread, a.Hidden, b.Hidden = false, false, false, false
	return proto.Equal(a, b)
}

// checkShown checks C1 of everything that a device shows.
func (w *world) checkShown(d *device) {
	if d.replica == nil || !d.synced || d.replica.Cursor().Epoch != w.checks.epoch {
		return // after a reset it has still to compare what it has
	}
	state, err := d.state()
	if err != nil {
		w.broken("C2", d.who(), "", 0, err.Error())
		return
	}
	for _, c := range state.Conversations {
		if l := w.checks.logs[c.ID]; l != nil && !l.room() && !c.Removed && !c.Doubt.Open {
			if v := invariant.Segments(state, c, w.whole(l)); v != nil {
				w.fail(v)
			}
		}
	}
}

// state is what a device has stored.
func (d *device) state() (state *invariant.State, err error) {
	if d.replica == nil {
		return nil, errors.New("the device is off")
	}
	err = d.store.View(func(v replica.View) error {
		state, err = invariant.StateOf(d.who(), d.replica, v)
		return err
	})
	return state, err
}

// whole is the log with all that was ever in it.
func (w *world) whole(l *logged) *invariant.Log {
	log := &invariant.Log{Conversation: l.ID, Kind: wire.Kind(l.kind), Floors: l.floors, Restored: w.counts.Restores > 0}
	for i := range l.Log {
		log.Events = append(log.Events, l.Log[i].Event)
	}
	return log
}
