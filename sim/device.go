// SPDX-License-Identifier: Apache-2.0

// One device: the replica, its store, and the shell between them and a connection, as package client has it.

package sim

import (
	"errors"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// device is one device of a user.
type device struct {
	w                  *world
	user               tidemark.UserID
	id                 tidemark.DeviceID
	config             replica.Config
	skewMs, skewNextMs int64 // of its clock, and from its next start on

	store     *client.Memory
	replica   *replica.Replica    // nil while the device is off
	heard     []*wire.ServerFrame // what may be told again: see checkReplayed
	conn      *conn               // nil: there is none
	life      uint64              // counts its starts: what was planned before is void
	inbox     [][]byte            // frames that have come and are not taken in
	busy      bool                // a look at the inbox is planned
	stuckMs   uint64              // it does nothing before that time
	tickMs    uint64              // the tick that is planned; 0: none
	failed    uint                // connections in a row that came to nothing
	crash     deviceCrash         // with its next step
	synced    bool
	tokenMs   uint64                  // when its token was issued
	signedOut bool                    // its user is gone
	sent      int                     // client ids given so far
	pages     uint64                  // asked for so far
	own       map[ownMessage]storedAs // acknowledged here
	told      map[ownMessage]bool     // the app was told that they are lost
}

// deviceCrash says where in a step a device dies.
type deviceCrash uint8

const (
	noCrash      deviceCrash = iota
	beforeStored             // what the step wrote is not stored
	afterStored              // it is stored, and nothing is sent
)

// errDies undoes a transaction.
var errDies = errors.New("sim: the device dies")

func (d *device) who() invariant.Who { return invariant.Who{User: d.user, Device: d.id} }

func (d *device) about() about { return about{user: d.user, device: d.id} }

// nowMs is the time as the device has it.
func (d *device) nowMs() uint64 { return uint64(int64(d.w.nowMs) + d.skewMs) }

// stepFunc is one step of the replica.
type stepFunc func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error)

// start loads what is stored, and connects.
func (d *device) start() {
	d.life++
	d.skewMs = d.skewNextMs
	d.replica, d.conn, d.inbox, d.tickMs, d.crash, d.synced = nil, nil, nil, 0, noCrash, false
	err := d.store.Update(func(tx client.Tx) error {
		fresh, err := replica.CheckFormat(tx)
		if err == nil && fresh {
			err = tx.Put(replica.FormatKey, []byte(replica.Format))
		}
		if err == nil {
			d.replica, err = replica.Load(d.config, tx)
		}
		return err
	})
	if err != nil {
		d.w.fail(&invariant.Violation{Invariant: "C2", Text: "what was stored cannot be loaded: " + err.Error(), User: d.user, Device: d.id})
		return
	}
	d.connectIn(d.w.delay(200))
}

// planned is for what is to happen in this life of the device only.
func (d *device) planned(ms uint64, do func()) {
	life := d.life
	d.w.after(ms, func() {
		if d.life == life && d.replica != nil {
			do()
		}
	})
}

// connectIn connects after a pause.
func (d *device) connectIn(ms uint64) { d.planned(ms, d.connect) }

// backOff connects again after a pause that grows with each failure.
func (d *device) backOff(atLeastMs uint64) {
	bound := min(uint64(500)<<min(d.failed, 10), 20_000)
	d.failed++
	d.connectIn(atLeastMs + d.w.chance.network.Uint64N(bound+1))
}

func (d *device) connect() {
	w := d.w
	if d.conn != nil {
		return
	}
	if w.server == nil || w.nowMs < w.partedMs[d] {
		d.backOff(0)
		return
	}
	w.connections++
	w.counts.Connections++
	c := &conn{number: w.connections, d: d, tokenMs: d.tokenMs, s: w.server, heardMs: w.nowMs}
	w.server.conns = append(w.server.conns, c)
	d.conn, d.inbox = c, nil
	w.trace.add("connect", c.number, uint64(len(d.user)))
	w.say(d.about(), "connects (%d)", c.number)
	d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
		return r.Connect(v, nowMs, "token")
	})
}

// arrived takes a frame that has come.
func (d *device) arrived(c *conn, data []byte) {
	if d.conn == c && d.replica != nil {
		d.inbox = append(d.inbox, data)
		d.work()
	}
}

// work plans to take in what has come, at the device's pace.
func (d *device) work() {
	if d.busy {
		return
	}
	d.busy = true
	d.w.at(max(d.stuckMs, d.w.nowMs+d.w.delay(d.w.profile.DeviceMs)), func() {
		d.busy = false
		d.takeIn()
	})
}

// takeIn takes some of the frames that have come into one transaction.
func (d *device) takeIn() {
	w, c := d.w, d.conn
	if d.replica == nil || c == nil || len(d.inbox) == 0 {
		return
	}
	n := 1
	if w.chance.network.IntN(3) == 0 {
		n += w.chance.network.IntN(len(d.inbox))
	}
	var steps []stepFunc
	for _, data := range d.inbox[:n] {
		f, err := wire.DecodeServerFrame(wire.Proto, data)
		if err != nil {
			w.fail(&invariant.Violation{Invariant: "S13", Text: "a frame of the server cannot be decoded: " + err.Error(), User: d.user, Device: d.id})
			return
		}
		w.observer.Received(d.who(), c.number, f)
		d.remember(f)
		w.tellFrame(d, f)
		if a := f.GetSubmitted(); a != nil && a.Seq > 0 && c.submits[a.Request] != nil {
			if w.isNow(c.s.set.Epoch()) {
				w.noteAck(ack{
					d.user, tidemark.ConversationID(a.Conversation), tidemark.ClientID(c.submits[a.Request].ClientId), tidemark.Seq(a.Seq),
					a.Partition, tidemark.Position(a.Position),
				})
			}
			d.noteOwn(c.submits[a.Request], a)
		}
		steps = append(steps, func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
			defer d.noteLeft(r, f)()
			return r.Receive(v, nowMs, f)
		})
	}
	d.inbox = d.inbox[n:]
	c.unread -= n
	c.drainSoon()
	d.do(steps...)
	if len(d.inbox) > 0 {
		d.work()
	}
}

// do runs steps in one transaction: their writes, then their frames, then the rest. The device may die in between.
func (d *device) do(steps ...stepFunc) (err error) {
	if d.replica == nil {
		return errDies
	}
	dies := d.crash
	d.crash = noCrash
	outs := make([]replica.Output, 0, len(steps))
	failed := d.store.Update(func(tx client.Tx) error {
		for _, step := range steps {
			out, stepErr := step(d.replica, tx, d.nowMs())
			var refused *tidemark.Error
			if err = stepErr; errors.As(stepErr, &refused) || errors.Is(stepErr, replica.ErrNotInOutbox) {
				continue
			}
			if stepErr != nil {
				return stepErr
			}
			for _, write := range out.Writes {
				if write.Value == nil {
					_ = tx.Delete(write.Key)
				} else {
					_ = tx.Put(write.Key, write.Value)
				}
			}
			outs = append(outs, out)
		}
		if dies == beforeStored {
			return errDies
		}
		return nil
	})
	if failed != nil && !errors.Is(failed, errDies) {
		d.w.fail(&invariant.Violation{Invariant: "C2", Text: "a step of the replica fails: " + failed.Error(), User: d.user, Device: d.id})
		return failed
	}
	if dies != beforeStored {
		d.w.observer.Stored(d.who(), d.replica.Cursor())
		d.w.checkStored(d)
		d.noteFloors()
		d.w.trace.add("stored", uint64(len(outs)), d.tickMs)
	}
	if dies != noCrash {
		d.unheard(outs)
		d.die(dies)
		return errDies
	}
	for i := range outs {
		d.release(&outs[i])
	}
	d.planTick()
	return err
}

// release lets out what a committed step asks for.
func (d *device) release(out *replica.Output) {
	for _, f := range out.Frames {
		if d.conn != nil {
			d.conn.toServer(f)
		}
	}
	if out.GiveBack != nil && d.conn != nil {
		d.offer(out.GiveBack)
	}
	if out.Synced {
		d.synced, d.failed = true, 0
		d.w.trace.add("synced", d.conn.number, 0)
		d.refreshSoon()
	}
	for _, n := range out.Notes {
		d.noted(n)
	}
	switch {
	case out.Fatal != nil:
		d.w.fail(&invariant.Violation{Invariant: "Y2", Text: "the connection makes no sense: " + out.Fatal.Error(), User: d.user, Device: d.id})
	case out.Bye != nil:
		d.w.say(d.about(), "hears bye %v", out.Bye.Reason)
		d.leave(uint64(out.Bye.RetryAfterMs))
	case out.Refuse != nil && out.Refuse.Reason == tidemark.BadToken:
		d.leave(0)
		d.refusedToken()
	case out.Refuse != nil:
		d.w.say(d.about(), "is refused: %v", out.Refuse)
		d.leave(uint64(out.Refuse.RetryAfterMs))
	case out.Hangup != "":
		d.w.say(d.about(), "hangs up: %s", out.Hangup)
		d.leave(0)
	}
}

// leave ends the connection from the device's side and comes back later.
func (d *device) leave(afterMs uint64) {
	if c := d.conn; c != nil {
		c.hangUp()
		d.ended(c)
	}
	_ = afterMs
}

// ended is the end of the connection, as the device learns of it.
func (d *device) ended(c *conn) {
	if d.conn != c || d.replica == nil {
		return
	}
	for len(d.inbox) > 0 && d.conn == c { // what was received before counts
		d.takeIn()
		if d.replica == nil {
			return
		}
	}
	if d.conn != c {
		return
	}
	d.conn, d.inbox, d.synced = nil, nil, false
	d.w.trace.add("ended", c.number, 0)
	d.w.say(d.about(), "has lost its connection (%d)", c.number)
	if d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
		return r.Disconnect(v, nowMs)
	}) == nil {
		d.backOff(0)
	}
}

// planTick plans to call Tick when the replica wants it.
func (d *device) planTick() {
	if d.replica == nil {
		return
	}
	due := d.replica.DeadlineMs()
	if due == 0 {
		d.tickMs = 0
		return
	}
	at := d.w.nowMs + max(1, due-min(due, d.nowMs()))
	if d.tickMs != 0 && d.tickMs <= at && d.tickMs > d.w.nowMs {
		return
	}
	d.tickMs = at
	d.planned(at-d.w.nowMs, func() {
		if d.tickMs == at {
			d.tickMs = 0
			d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
				return r.Tick(v, nowMs)
			})
		}
	})
}

// die loses what is not stored.
func (d *device) die(how deviceCrash) {
	w := d.w
	w.counts.DeviceCrashes++
	w.trace.add("dies", uint64(how), uint64(len(d.id)))
	w.say(d.about(), "dies %s", [...]string{"", "before it has stored what came", "after it has stored and before it sends"}[how])
	w.observer.Happened(invariant.Incident{Kind: invariant.DeviceCrashed, Who: d.who()})
	d.off()
	w.after(w.chance.faults.Uint64N(5_000)+1, d.on)
}

// off ends the device's process; the network notices sooner or later.
func (d *device) off() {
	if c := d.conn; c != nil {
		c.up.lost, c.down.lost = true, true
		d.w.after(d.w.chance.network.Uint64N(2_000), func() { c.serverGone() })
	}
	d.life++
	d.replica, d.conn, d.inbox, d.synced, d.tickMs = nil, nil, nil, false, 0
	d.store = d.store.Clone()
}

// on starts a device that is off.
func (d *device) on() {
	if d.replica == nil && !d.signedOut {
		d.w.say(d.about(), "starts")
		d.start()
	}
}
