// SPDX-License-Identifier: Apache-2.0

// Timers: what is to be done at a time. Each is an entry of an index, and becomes a command like any other when it is
// due; the commit that does the work takes the entry out, so that it is done once, whatever crashes.

package partition

import (
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	timersAtOnce   = 256  // that become commands of one batch
	timersRetryMs  = 1000 // until they are tried again after a batch that could not be written
	askedAtOnceMax = 2000 // members whose devices are asked about for one batch, the last conversation's not counted
)

// timers is when the loop has something to do by itself. Owned by the loop.
type timers struct {
	dueMs    uint64 // of the earliest committed entry; 0: there is none
	waiting  int    // commands of entries in work; while there are any, no more are taken
	notUntil uint64 // ms; after a failure
}

// loadTimer finds the earliest entry.
func (p *Partition) loadTimer() error {
	p.timers.dueMs = 0
	return p.db.Index(record.Index{Kind: record.TimerIndex}, false, func(i record.Index) bool {
		p.timers.dueMs = max(i.DueMs, 1)
		return false
	})
}

// noteTimers moves the earliest entry as the batch just applied says.
func (p *Partition) noteTimers() {
	gone := false
	each(&p.overlay.indexes, func(i record.Index, there bool) {
		switch {
		case i.Kind != record.TimerIndex:
		case !there:
			gone = true
		case p.timers.dueMs == 0 || i.DueMs < p.timers.dueMs:
			p.timers.dueMs = max(i.DueMs, 1)
		}
	})
	if gone {
		if err := p.loadTimer(); err != nil {
			p.stop(fmt.Errorf("partition: timers: %w", err))
		}
	}
}

// due is when the earliest timer is to be done.
func (t *timers) due() (ms uint64, ok bool) { return max(t.dueMs, t.notUntil), t.dueMs > 0 }

// failed puts timers off after a batch that was refused.
func (t *timers) failed(nowMs uint64) { t.notUntil = nowMs + timersRetryMs }

// takeTimers adds the commands of what is due.
func (p *Partition) takeTimers(work []request, nowMs uint64) []request {
	t := &p.timers
	if t.notUntil > nowMs+timersRetryMs {
		t.notUntil = 0 // the clock has stepped back
	}
	if at, ok := t.due(); !ok || at > nowMs || t.waiting > 0 || p.stopped() != nil {
		return work
	}
	t.notUntil = 0
	var due []record.Index
	err := p.db.Index(record.Index{Kind: record.TimerIndex}, false, func(i record.Index) bool {
		if i.DueMs <= nowMs {
			due = append(due, i)
		}
		return i.DueMs <= nowMs && len(due) < min(timersAtOnce, p.batchMax)
	})
	asked := 0
	for _, i := range due {
		var cmd core.Command
		if err == nil && asked < askedAtOnceMax {
			cmd, err = p.timerCommand(i, &asked)
		}
		if cmd != nil {
			work = append(work, request{cmd: cmd, timer: true})
			t.waiting++
		}
	}
	if err != nil {
		p.stop(fmt.Errorf("partition: timers: %w", err))
	}
	return work
}

// timerCommand is what an entry asks for. asked counts the members whose devices it has asked about.
func (p *Partition) timerCommand(i record.Index, asked *int) (core.Command, error) {
	if i.Timer == record.SubmitTimer {
		return p.scheduledCommand(i)
	}
	cmd := &core.Trim{Timer: i}
	info, err := p.InfoOf(i.Conversation)
	if err != nil || info == nil || i.Timer != record.TrimTimer {
		return cmd, err // it only takes the entry out
	}
	cmd.Conversation = info.ID
	if core.RetentionOf(info).Mode == uint8(wire.RetentionMode_ACKNOWLEDGED) {
		cmd.Acknowledged, err = p.acknowledged(i.Conversation, asked)
	}
	return cmd, err
}

// acknowledged is the last event that every known device of every member has acknowledged. A member without a device
// has acknowledged nothing; the reserved user is asked nothing.
func (p *Partition) acknowledged(c record.Conversation, asked *int) (tidemark.Seq, error) {
	head, err := p.head(c)
	if err != nil || head == nil || head.Members > core.AcknowledgedMembersMax {
		return 0, err
	}
	lowest := p.Published()
	scanErr := p.scanMembers(c, 0, func(u record.User, _ *record.Member) bool {
		*asked++
		var position tidemark.Position
		if position, err = p.acknowledgedBy(u); err == nil {
			lowest = min(lowest, position)
		}
		return err == nil && lowest > 0
	})
	if err == nil {
		err = scanErr
	}
	if err != nil || lowest == 0 {
		return 0, err
	}
	return p.SeqAt(c, lowest)
}

// acknowledgedBy is the position that all devices of a user have acknowledged in this partition; 0 if one has none.
func (p *Partition) acknowledgedBy(u record.User) (tidemark.Position, error) {
	id, err := p.UserID(u)
	if err != nil || id == tidemark.SystemUser {
		return p.Published(), err
	}
	devices, err := p.set.OfUser(id).Devices(id)
	if err != nil || len(devices) == 0 {
		return 0, err
	}
	cursors, err := p.Cursors(id)
	if err != nil {
		return 0, err
	}
	at := make(map[tidemark.DeviceID]tidemark.Position, len(cursors))
	for _, c := range cursors {
		at[c.Device] = c.Position
	}
	lowest := p.Published()
	for _, d := range devices {
		lowest = min(lowest, at[d.ID])
	}
	return lowest, nil
}

// scheduledCommand submits a scheduled message for its user.
func (p *Partition) scheduledCommand(i record.Index) (core.Command, error) {
	cmd := &core.SubmitScheduled{Timer: i, Submit: &core.Submit{ClientID: tidemark.ClientID(i.ID)}}
	user, err := p.UserID(i.User)
	if err != nil {
		return nil, err
	}
	cmd.Submit.Actor.User = user
	if i.Conversation == 0 {
		var peer tidemark.UserID
		peer, cmd.Submit.ClientID = core.PendingPeer(tidemark.ClientID(i.ID))
		cmd.Submit.Conversation = tidemark.Direct(user, peer)
		cmd.Refused, err = refusal(p.set.CheckUsers(peer))
	} else if info, infoErr := p.InfoOf(i.Conversation); infoErr != nil || info == nil {
		return cmd, infoErr
	} else {
		cmd.Submit.Conversation = info.ID
	}
	if err != nil {
		return nil, err
	}
	row, err := p.Scheduled(i.Conversation, i.User, tidemark.ClientID(i.ID))
	if err != nil {
		return nil, err
	}
	var body wire.Body
	if row != nil && body.UnmarshalVT(row.Body) == nil {
		cmd.Submit.Message = body.GetMessage()
		if err := p.set.judgeSubmit(cmd.Submit); err != nil {
			return nil, err
		}
	}
	gone, err := refusal(p.set.CheckUsers(user))
	cmd.Gone = gone != nil
	return cmd, err
}

// refusal takes a refusal out of an error; other errors stay.
func refusal(err error) (*tidemark.Error, error) {
	if refused, ok := err.(*tidemark.Error); ok {
		return refused, nil
	}
	return nil, err
}
