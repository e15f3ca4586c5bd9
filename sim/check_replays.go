// SPDX-License-Identifier: Apache-2.0

// What a device shows must follow from what it has stored (C2), and must not depend on how often and in which order it was
// told (C4).

package sim

import (
	"fmt"
	"slices"

	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// heardMax is how many frames with events a device remembers for being told them again.
const heardMax = 16

// heard remembers a frame that a device was told on this connection.
func (d *device) remember(f *wire.ServerFrame) {
	switch m := f.Frame.(type) {
	case *wire.ServerFrame_Welcome:
		d.heard = nil
	case *wire.ServerFrame_Delta:
		if !hasEvents(m.Delta) || !closed(m.Delta) {
			return // what it says beside events would be news
		}
		if d.heard = append(d.heard, f); len(d.heard) > heardMax {
			d.heard = d.heard[1:]
		}
	}
}

// closed reports whether a frame has the checkpoints of all that it tells.
func closed(d *wire.Delta) bool {
	return !slices.ContainsFunc(d.Conversations, func(c *wire.ConversationDelta) bool { return d.Checkpoints[c.Partition] == 0 })
}

func hasEvents(d *wire.Delta) bool {
	for _, c := range d.Conversations {
		if len(c.Events) > 0 {
			return true
		}
	}
	return false
}

// checkReloaded checks C2: a device that died now would show after its start what it shows.
func (w *world) checkReloaded(d *device) {
	if d.replica == nil {
		return
	}
	shown, err := d.state()
	if err != nil {
		w.broken("C2", d.who(), "", 0, err.Error())
		return
	}
	var again *invariant.State
	err = d.store.Clone().View(func(v replica.View) error {
		r, err := replica.Load(d.config, v)
		if err == nil {
			again, err = invariant.StateOf(d.who(), r, v)
		}
		return err
	})
	switch {
	case err != nil:
		w.broken("C2", d.who(), "", 0, err.Error())
	case fmt.Sprint(again.Cursor) != fmt.Sprint(shown.Cursor):
		w.broken("C2", d.who(), "", 0, fmt.Sprintf("the device is at %v and would be at %v after a start", shown.Cursor, again.Cursor))
	case len(again.Outbox) != len(shown.Outbox):
		w.broken("C2", d.who(), "", 0, fmt.Sprintf("the device has %d submissions in its outbox and would have %d after a start", len(shown.Outbox), len(again.Outbox)))
	default:
		if v := invariant.SameView(shown, again); v != nil {
			v.Invariant, v.Text = "C2", "after a start it would be otherwise: "+v.Text
			w.fail(v)
		}
	}
}

// checkReplayed checks C4 at the end: frames that the device was told on this connection come again, in any order, and it
// shows what it has shown. What it asks for is not sent.
func (w *world) checkReplayed(d *device) {
	before, err := d.state()
	if err != nil || len(d.heard) == 0 || !d.synced {
		return
	}
	for range 2 * len(d.heard) {
		f := d.heard[w.checks.chance.IntN(len(d.heard))]
		err := d.store.Update(func(tx client.Tx) error {
			out, err := d.replica.Receive(tx, d.nowMs(), f)
			put(tx, out.Writes)
			return err
		})
		if err != nil {
			w.broken("C4", d.who(), "", 0, "a frame that comes again cannot be taken in: "+err.Error())
			return
		}
	}
	after, err := d.state()
	if err != nil {
		w.broken("C4", d.who(), "", 0, err.Error())
		return
	}
	if v := invariant.SameView(before, after); v != nil {
		v.Invariant, v.Text = "C4", "frames have come again, and now "+v.Text
		w.fail(v)
	}
}
