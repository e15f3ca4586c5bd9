// SPDX-License-Identifier: Apache-2.0

// Acks: how far devices have come, gathered in memory and saved with the next batch, or after a second.

package partition

import (
	"maps"
	"slices"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
)

// ackDelayMs is how long an acknowledgement waits for a batch to join. Losing it only repeats deliveries.
const ackDelayMs = 1000

// acksKnown is of how many devices the last acknowledged position is kept in memory.
const acksKnown = 16384

// acks are the acknowledgements that are not saved yet, and the last of each device.
type acks struct {
	mu      sync.Mutex
	pending []deviceKey                               // guarded by mu; in the order of their first acknowledgement
	known   generations[deviceKey, tidemark.Position] // guarded by mu; only rises
	waiting map[deviceKey]tidemark.Position           // guarded by mu; the same devices as pending; 0: forget it
	saving  map[deviceKey]tidemark.Position           // guarded by mu; taken by the loop, and not known to be saved yet
	sinceMs uint64                                    // guarded by mu; when pending was last empty
}

func newAcks() acks {
	return acks{
		known:   newGenerations[deviceKey, tidemark.Position](acksKnown),
		waiting: make(map[deviceKey]tidemark.Position), saving: make(map[deviceKey]tidemark.Position),
	}
}

// Ack remembers that a device has everything of a partition up to a position, for saving it lazily. A position that is
// lower than an earlier one, or not published yet, counts as the nearest that is neither. The authors in direct
// conversations and small groups are told what was delivered.
func (s *Set) Ack(user tidemark.UserID, device tidemark.DeviceID, partition uint32, position tidemark.Position) {
	if partition >= s.Partitions() {
		return
	}
	p := s.At(partition)
	position = min(position, p.Published())
	u, met, err := p.User(user)
	if err != nil || !met || position == 0 {
		return // no conversation here, so there is nothing to remember
	}
	k := deviceKey{user, device}
	old, known := p.acks.last(k)
	if !known {
		if old, err = p.db.Cursor(u, device); err != nil {
			return
		}
	}
	if position > old && p.acks.add(k, position, s.nowMs()) {
		p.queue.poke()
		if err := p.deliver(u, position); err != nil {
			p.log.Error("conversations of a user cannot be read", "user", user, "err", err)
		}
		p.tellDelivered(user, old, position, s.nowMs())
	}
}

func (a *acks) last(k deviceKey) (tidemark.Position, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known.get(k)
}

// add answers false if the position is not past the last.
func (a *acks) add(k deviceKey, position tidemark.Position, nowMs uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.known.get(k); ok && position <= last {
		return false
	}
	a.known.put(k, position)
	if len(a.pending) == 0 {
		a.sinceMs = nowMs
	}
	if _, ok := a.waiting[k]; !ok {
		a.pending = append(a.pending, k)
	}
	a.waiting[k] = position
	return true
}

// take adds commands that save what is pending, if there is other work to join, or it has waited long enough.
func (a *acks) take(work []request, nowMs uint64, max int) []request {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) == 0 || len(work) == 0 && nowMs < a.sinceMs+ackDelayMs {
		return work
	}
	n := min(len(a.pending), max)
	for _, k := range a.pending[:n] {
		if position, ok := a.waiting[k]; ok {
			work = append(work, request{cmd: &core.SaveCursor{
				User: k.user, Device: k.device, Position: position, Forget: position == 0,
			}})
			if position > 0 {
				a.saving[k] = position
			}
			delete(a.waiting, k)
		}
	}
	rest := copy(a.pending, a.pending[n:])
	clear(a.pending[rest:])
	a.pending = a.pending[:rest]
	return work
}

// settle forgets the commands of take that have been carried out, whatever became of them: the store says it now.
func (a *acks) settle(work []request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.saving) == 0 {
		return
	}
	for _, r := range work {
		if cmd, ok := r.cmd.(*core.SaveCursor); ok && !cmd.Forget {
			if k := (deviceKey{cmd.User, cmd.Device}); a.saving[k] == cmd.Position {
				delete(a.saving, k)
			}
		}
	}
}

// again lets commands of take wait once more, whose batch was not written: a second later, or with other work. What came
// for a device meanwhile holds.
func (a *acks) again(work []request, nowMs uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range work {
		cmd, ok := r.cmd.(*core.SaveCursor)
		if !ok {
			continue
		}
		k := deviceKey{cmd.User, cmd.Device}
		if _, newer := a.waiting[k]; newer || r.done != nil || !cmd.Forget && a.saving[k] != cmd.Position {
			continue // of a caller, who hears of it; or it was forgotten since
		}
		a.pending = append(a.pending, k)
		a.waiting[k], a.sinceMs = cmd.Position, nowMs
	}
}

// forget drops what is known of a device.
func (a *acks) forget(user tidemark.UserID, device tidemark.DeviceID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, deviceKey{user, device}) // its place in pending goes with the next take
	delete(a.saving, deviceKey{user, device})
	a.known.drop(deviceKey{user, device})
}

// forgetSoon is forget, with the saved position too.
func (a *acks) forgetSoon(k deviceKey, nowMs uint64) {
	a.forget(k.user, k.device)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) == 0 {
		a.sinceMs = nowMs
	}
	if !slices.Contains(a.pending, k) {
		a.pending = append(a.pending, k)
	}
	a.waiting[k] = 0
}

// due is when the pending ones must be saved.
func (a *acks) due() (ms uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sinceMs + ackDelayMs, len(a.pending) > 0
}

// unsaved are the positions of a user's devices that wait, or are being saved.
func (a *acks) unsaved(user tidemark.UserID) (cursors []DeviceCursor) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, positions := range [...]map[deviceKey]tidemark.Position{a.saving, a.waiting} {
		for k, position := range positions {
			if k.user == user && position > 0 {
				cursors = append(cursors, DeviceCursor{k.device, position})
			}
		}
	}
	return cursors
}

// allUnsaved are the positions of all devices that wait, or are being saved.
func (a *acks) allUnsaved() map[deviceKey]tidemark.Position {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := maps.Clone(a.saving)
	for k, position := range a.waiting {
		all[k] = max(all[k], position)
	}
	return all
}

// over puts one set of positions over another.
func over(saved, unsaved []DeviceCursor) []DeviceCursor {
	for _, c := range unsaved {
		i := slices.IndexFunc(saved, func(s DeviceCursor) bool { return s.Device == c.Device })
		if i < 0 {
			saved = append(saved, c)
			continue
		}
		saved[i].Position = max(saved[i].Position, c.Position)
	}
	return saved
}
