// SPDX-License-Identifier: Apache-2.0

// What the server sees of a device under test, and which of it is wrong whatever the scenario.

package hostile

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

// Bounds of what is right in every scenario.
const (
	connectsASecond = 15              // more is a busy loop
	connectsMax     = 1_000           // of a run: then connections are refused
	pingsASecond    = 10              // more is a busy loop
	resendAfter     = 5 * time.Second // a submission may be sent again on the same connection only after this long
	early           = 50 * time.Millisecond
	violationsMax   = 20
	clientIDsMax    = 10_000
)

// device is one device under test. The run's lock guards it.
type device struct {
	run   *run
	id    string
	user  string
	world *world // what it is told

	tokens    []string
	revoked   map[string]bool
	session   *session // the last; nil: none is open
	connects  []time.Time
	syncs     int // synced was sent
	notBefore time.Time
	never     bool // it must not come back

	epoch   uint64
	given   map[uint32]uint64 // greatest position that was given to it, in the epoch
	acked   map[uint32]uint64 // greatest acknowledged, in the epoch
	settled map[uint32]uint64 // acked when the last report was answered
	sentIDs map[string]*submission
	byText  map[string]string
	fetches int
	gives   int       // calls of GiveBack
	heard   time.Time // the last frame of it
}

// submission is what was seen of one client id.
type submission struct {
	conversation, text string
	session            *session // of the last time
	at                 time.Time
	notBefore          time.Time
	refused            bool // for a while: it may come again on this connection
	times              int
}

// violation notes something that no scenario allows.
func (d *device) violation(format string, args ...any) {
	text := d.id + ": " + fmt.Sprintf(format, args...)
	if r := d.run; len(r.violations) < violationsMax && !slices.Contains(r.violations, text) {
		r.violations = append(r.violations, text)
	}
}

// connected notes a connection; false: it is refused.
func (d *device) connected(hello *wire.Hello) bool {
	now := time.Now()
	if len(d.connects) >= connectsMax {
		d.violation("connected more than %d times", connectsMax)
		return false
	}
	if d.never {
		d.violation("connected again after a bye that says not to")
	}
	if now.Before(d.notBefore.Add(-early)) {
		d.violation("connected %d ms before the server's retryAfterMs had passed", d.notBefore.Sub(now).Milliseconds())
	}
	d.connects = append(d.connects, now)
	if n := len(d.connects); n > connectsASecond && now.Sub(d.connects[n-1-connectsASecond]) < time.Second {
		d.violation("connected more than %d times within a second: there is no back-off", connectsASecond)
	}
	d.checkCursor(hello.GetCursor())
	return true
}

// checkCursor compares what a device says it has with what it was given and has acknowledged.
func (d *device) checkCursor(c *wire.Cursor) {
	if len(c.GetPositions()) > 0 && c.Epoch != d.epoch {
		return // it will be reset
	}
	for p, position := range c.GetPositions() {
		if position > d.given[p] {
			d.violation("came with position %d of partition %d, where no more than %d was given to it", position, p, d.given[p])
		}
	}
	for p, position := range d.acked {
		if c.GetPositions()[p] < position {
			d.violation("had acknowledged position %d of partition %d, and came back with %d: it acknowledged what it had not stored", position, p, c.GetPositions()[p])
		}
	}
}

// welcomed notes that everything begins anew where the cursor was not accepted.
func (d *device) welcomed(w *wire.Welcome) {
	if w.Reset_ != nil || w.Epoch != d.epoch {
		d.epoch, d.given, d.acked, d.settled = w.Epoch, map[uint32]uint64{}, map[uint32]uint64{}, map[uint32]uint64{}
	}
}

// told notes the positions that a frame gives.
func (d *device) told(f *wire.ServerFrame) {
	if s := f.GetSynced(); s != nil {
		if s.GetCursor().GetEpoch() == d.epoch {
			d.give(s.GetCursor().GetPositions())
		}
		return
	}
	d.give(f.GetDelta().GetCheckpoints())
}

func (d *device) give(positions map[uint32]uint64) {
	for p, position := range positions {
		d.given[p] = max(d.given[p], position)
	}
}

// acks checks an acknowledgement.
func (d *device) acks(c *wire.Cursor) {
	if c.GetEpoch() != d.epoch {
		d.violation("acknowledged in epoch %d, where it is in %d", c.GetEpoch(), d.epoch)
		return
	}
	for p, position := range c.GetPositions() {
		switch {
		case position > d.given[p]:
			d.violation("acknowledged position %d of partition %d, where no more than %d was given to it", position, p, d.given[p])
		case position < d.acked[p]:
			d.violation("acknowledged backwards: position %d of partition %d after %d", position, p, d.acked[p])
		default:
			d.acked[p] = position
		}
	}
}

// reads checks a read mark.
func (d *device) reads(id string, seq uint64) {
	h := d.world.logs[id]
	if h == nil {
		return
	}
	if seq > h.head() {
		d.violation("read %s up to seq %d, where the last is %d", id, seq, h.head())
		return
	}
	h.read[d.user] = max(h.read[d.user], seq)
}

// submits checks a submission: one client id for each text, and not again without need.
func (d *device) submits(ss *session, f *wire.Submit) {
	now, text := time.Now(), f.GetMessage().GetText()
	o := d.sentIDs[f.ClientId]
	if o == nil {
		if len(d.sentIDs) >= clientIDsMax {
			d.violation("sent more than %d client ids", clientIDsMax)
			return
		}
		o = &submission{conversation: f.Conversation, text: text}
		d.sentIDs[f.ClientId] = o
		if first, known := d.byText[text]; known && text != "" {
			d.violation("sent %q with client id %q after %q: a message must be repeated with its own", text, f.ClientId, first)
		} else {
			d.byText[text] = f.ClientId
		}
	}
	switch {
	case o.text != text:
		d.violation("used client id %q for %q and for %q", f.ClientId, o.text, text)
	case o.session == ss && !o.refused && now.Sub(o.at) < resendAfter:
		d.violation("sent %q again on the same connection without having been refused", text)
	case now.Before(o.notBefore.Add(-early)):
		d.violation("sent %q again %d ms before the server's retryAfterMs had passed", text, o.notBefore.Sub(now).Milliseconds())
	}
	o.session, o.at, o.refused = ss, now, false
	o.times++
}

// refuse answers a submission by an error after which it may be sent again.
func (ss *session) refuse(f *wire.Submit, frame *wire.ServerFrame) {
	if o := ss.device.sentIDs[f.ClientId]; o != nil {
		o.refused = true
		o.notBefore = time.Now().Add(time.Duration(frame.GetError().GetRetryAfterMs()) * time.Millisecond)
	}
	ss.send(frame)
}

// pings checks that a client does not ping in a loop.
func (d *device) pings(ss *session) {
	now := time.Now()
	ss.pinged = append(ss.pinged, now)
	if n := len(ss.pinged); n > pingsASecond {
		if now.Sub(ss.pinged[n-1-pingsASecond]) < time.Second {
			d.violation("sent more than %d pings within a second", pingsASecond)
		}
		ss.pinged = ss.pinged[n-pingsASecond:]
	}
}

// left notes that a session is over.
func (d *device) left(ss *session) {
	if d.session == ss {
		d.session = nil
	}
	d.run.poke()
}

// revoke makes a token count no more.
func (d *device) revoke(token string) { d.revoked[token] = true }
