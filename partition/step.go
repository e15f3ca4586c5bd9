// SPDX-License-Identifier: Apache-2.0

// The life of a batch: evaluate, commit, apply, reply, wake, publish. In this order, and nothing leaves before the
// journal has said that the batch is durable.

package partition

import (
	"errors"
	"io"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/store"
)

// batchBytesMax ends a batch early: what its commands wrote, bytes.
const batchBytesMax = 4 << 20

// Step carries out what is queued, as one batch of at most BatchMax commands and as many acknowledgements, and answers whether there was anything.
// nowMs is the time of the batch. It is the whole of a partition's work: Run only repeats it.
func (p *Partition) Step(nowMs uint64) (did bool) {
	if room := p.batchMax - len(p.work); room > 0 { // there may be more left over than a batch takes: acks came on top
		p.work = p.queue.take(p.work, room)
		p.work = p.acks.take(p.work, nowMs, p.batchMax)
		p.work = p.takeTimers(p.work, nowMs)
	}
	told := p.tellCounts(nowMs)
	if len(p.work) == 0 {
		return told
	}
	if err := p.stopped(); err != nil {
		p.refuse(len(p.work), err)
		return true
	}
	n := p.evaluate(nowMs)
	if err := p.overlay.err; err != nil {
		p.stop(err)
		p.refuse(n, p.stopped())
		return true
	}
	if p.overlay.wrote {
		if err := p.commit(); err != nil {
			p.timers.failed(nowMs)
			p.acks.again(p.work[:n], nowMs)
			p.refuse(n, err)
			return true
		}
		p.apply()
		p.orderMarks()
		p.noteTimers()
		p.withholdInRooms()
	}
	p.reply(n)
	if p.overlay.wrote {
		p.wake()
		p.tellReceipts(nowMs)
		p.tellChanges()
	}
	p.takeOut(n)
	p.tellTransients(n, nowMs)
	p.drop(n)
	return true
}

// evaluate decides commands until the work is done or the batch is large, and answers how many. Their replies are in
// p.replies, what they write in p.overlay.
func (p *Partition) evaluate(nowMs uint64) (n int) {
	o := p.overlay
	o.begin(p.mem.state) // only the loop writes the state
	env := core.Env{NowMs: nowMs, Position: o.state.Position + 1, Partition: p.number, Limits: &p.set.limits, TakeBackMs: p.set.TakeBackMs()}
	p.replies = p.replies[:0]
	for _, r := range p.work {
		if _, err := io.ReadFull(p.entropy, env.Salt[:]); err != nil {
			o.err = errors.Join(errors.New("partition: no entropy"), err)
		}
		p.command.Reset()
		reply := core.Reply{Err: p.set.departed.holdBack(r.cmd)}
		if reply.Err == nil {
			reply = core.Evaluate(o, r.cmd, env, &p.command)
		}
		if !p.command.Empty() {
			o.fold(&p.command)
		}
		p.replies = append(p.replies, reply)
		n++
		if o.err != nil || o.bytes > batchBytesMax {
			break
		}
	}
	p.stats.commands.Add(uint64(n))
	return n
}

// commit makes the batch durable. From its beginning until apply, or for ever if it fails, the batch is in flight.
func (p *Partition) commit() *tidemark.Error {
	p.overlay.flatten(&p.changes)
	p.batch.Reset()
	p.batch.Put(&p.changes)
	p.keepUntrimmed()
	p.mu.Lock()
	p.mem.flight = p.overlay
	p.mu.Unlock()
	err := p.journal.Commit(p.batch)
	switch {
	case err == nil:
		p.stats.commits.Add(1)
		p.stats.events.Add(uint64(len(p.changes.Events)))
		p.stats.batchBytes.Add(uint64(p.batch.Len()))
		return nil
	case errors.Is(err, store.ErrLowSpace): // nothing was written, and it may go on later
		p.land()
		return tidemark.Refuse(tidemark.Unavailable, "nothing can be written now: %v", err)
	}
	p.overlay = nil // stays in flight: nobody knows what of it the store shows
	p.stop(err)
	return p.stopped()
}

// stop ends writing until the server is started again.
func (p *Partition) stop(err error) {
	p.log.Error("writing has stopped", "position", p.Published(), "err", err)
	p.failure.Store(&failure{err})
}

// refuse answers the first n commands of the work with a refusal.
func (p *Partition) refuse(n int, err *tidemark.Error) {
	p.stats.refused.Add(uint64(n))
	for _, r := range p.work[:n] {
		if r.done != nil {
			r.done(core.Reply{Err: err})
		}
	}
	p.drop(n)
}

// reply answers the first n commands of the work, in their order.
func (p *Partition) reply(n int) {
	for i, r := range p.work[:n] {
		if p.replies[i].Err != nil {
			p.stats.refused.Add(1)
		}
		if r.done != nil {
			r.done(p.replies[i])
		}
	}
}

// drop forgets the first n commands of the work.
func (p *Partition) drop(n int) {
	p.acks.settle(p.work[:n])
	for _, r := range p.work[:n] {
		if r.timer {
			p.timers.waiting--
		}
	}
	rest := copy(p.work, p.work[n:])
	clear(p.work[rest:])
	p.work = p.work[:rest]
	clear(p.replies) // they hold records
}
