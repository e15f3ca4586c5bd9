// SPDX-License-Identifier: Apache-2.0

// Committed reads of many records: pages of events, members, hours; a user's conversations, devices, cursors.

package partition

import (
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
)

// Events reads the events from..to of a conversation, upwards or downwards, at most limit of them and, after the first,
// at most bytesMax of bodies (0: no bound). Nothing past the committed head is read. The records are the caller's.
func (p *Partition) Events(
	c record.Conversation, from, to tidemark.Seq, limit, bytesMax int, descending bool,
) ([]*record.Event, error) {
	h, err := p.head(c)
	if err != nil || h == nil {
		return nil, err
	}
	to, from = min(to, h.Seq), max(from, h.Floor+1)
	if from > to || limit <= 0 {
		return nil, nil
	}
	var events []*record.Event
	bytes := 0
	p.stats.misses.Add(1)
	err = p.db.Events(c, from, to, descending, func(e *record.Event) bool {
		bytes += len(e.Body)
		if bytesMax > 0 && bytes > bytesMax && len(events) > 0 {
			return false
		}
		events = append(events, e)
		return len(events) < limit
	})
	if err != nil {
		return nil, fmt.Errorf("partition: events %d..%d of %d: %w", from, to, c, err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for i, e := range events {
		events[i] = p.mem.asCommitted(c, e.Seq, e)
	}
	if p.mem.flight != nil {
		events = p.mem.flight.withTrimmed(c, events, from, to, limit, bytesMax, descending)
	}
	return events, nil
}

// Currents are the current forms of those events from..to that others changed.
func (p *Partition) Currents(c record.Conversation, from, to tidemark.Seq) (map[tidemark.Seq]*record.Current, error) {
	var forms map[tidemark.Seq]*record.Current
	err := p.db.Currents(c, from, to, func(seq tidemark.Seq, f *record.Current) bool {
		if forms == nil {
			forms = make(map[tidemark.Seq]*record.Current)
		}
		forms[seq] = f
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("partition: current forms %d..%d of %d: %w", from, to, c, err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if flight := p.mem.flight; flight != nil {
		for seq := range forms {
			r := flight.currents.find(seqKey{c, seq})
			switch {
			case r == nil:
			case r.base == nil:
				delete(forms, seq)
			default:
				forms[seq] = r.base
			}
		}
		forms = flight.withTrimmedForms(c, forms, from, to)
	}
	return forms, nil
}

// MemberRow is a member in a page of members.
type MemberRow struct {
	Ordinal record.User
	User    tidemark.UserID
	Member  *record.Member
}

// Members is a page of the active members of a conversation by ordinal: those past after, at most limit.
func (p *Partition) Members(c record.Conversation, after record.User, limit int) ([]MemberRow, error) {
	var rows []MemberRow
	err := p.scanMembers(c, after+1, func(u record.User, m *record.Member) bool {
		rows = append(rows, MemberRow{Ordinal: u, Member: m})
		return len(rows) < limit
	})
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].User, err = p.UserID(rows[i].Ordinal); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// scanMembers calls fn for the active members.
func (p *Partition) scanMembers(c record.Conversation, from record.User, fn func(record.User, *record.Member) bool) error {
	p.stats.misses.Add(1)
	err := p.db.Members(c, from, func(u record.User, m *record.Member) bool {
		m = p.memberAsCommitted(c, u, m)
		return !m.Active() || fn(u, m)
	})
	if err != nil {
		return fmt.Errorf("partition: members of %d: %w", c, err)
	}
	return nil
}

// memberAsCommitted takes back what is in flight.
func (p *Partition) memberAsCommitted(c record.Conversation, u record.User, m *record.Member) *record.Member {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m.Position <= p.mem.state.Position {
		return m
	}
	if flight := p.mem.flight; flight != nil {
		m = flight.members.before(memberKey{c, u}, member{Member: m}).Member
	}
	return m
}

// loadMembers brings the set of active members into memory. The answer is nil for a conversation that does not exist.
func (p *Partition) loadMembers(c record.Conversation) (*roaring.Bitmap, error) {
	p.mu.RLock()
	h, ok := p.mem.hot.get(c)
	since := p.mem.state.Position
	p.mu.RUnlock()
	if ok && h.members != nil {
		return h.members, nil
	}
	set := roaring.New()
	err := p.scanMembers(c, 0, func(u record.User, _ *record.Member) bool {
		set.Add(uint32(u))
		return true
	})
	if err != nil {
		return nil, err
	}
	set.RunOptimize()
	p.mu.Lock()
	if p.unchanged(since) {
		h := p.mem.inUse(c)
		h.members = set
		p.mem.weigh(c, h)
	}
	p.mu.Unlock()
	return set, nil
}

// Hours are the rows of the hour index from an hour (since the Unix epoch) on, at most limit.
func (p *Partition) Hours(c record.Conversation, fromHour uint32, limit int) ([]record.Hour, error) {
	var rows []record.Hour
	err := p.db.Hours(c, fromHour, func(h record.Hour) bool {
		if h, there := p.hourAsCommitted(c, h); there {
			rows = append(rows, h)
		}
		return len(rows) < limit
	})
	if err != nil {
		return nil, fmt.Errorf("partition: hours of %d: %w", c, err)
	}
	for _, h := range slices.Backward(p.hoursGoing(c)) { // they are before all that stay
		if h.Hour >= fromHour {
			rows = slices.Insert(rows, 0, h)
		}
	}
	return rows[:min(len(rows), limit)], nil
}

// LastHour is the last row of the hour index that is not later than an hour.
func (p *Partition) LastHour(c record.Conversation, atOrBefore uint32) (record.Hour, bool, error) {
	for {
		h, found, err := p.db.LastHour(c, atOrBefore)
		if err != nil {
			return record.Hour{}, false, fmt.Errorf("partition: last hour of %d: %w", c, err)
		}
		if !found {
			return p.lastHourGoing(c, atOrBefore)
		}
		if row, there := p.hourAsCommitted(c, h); there {
			return row, true, nil
		}
		if h.Hour == 0 {
			return p.lastHourGoing(c, 0)
		}
		atOrBefore = h.Hour - 1
	}
}

// hourAsCommitted takes back what is in flight; there is false if all of the row is.
func (p *Partition) hourAsCommitted(c record.Conversation, h record.Hour) (row record.Hour, there bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if flight := p.mem.flight; flight != nil {
		was := flight.hours.before(hourKey{c, h.Hour}, hour{h, true})
		return was.Hour, was.there
	}
	return h, true
}

// ListRow is one conversation of a user's list in one partition. Conversations that were left stay in it.
type ListRow struct {
	Conversation record.Conversation
	Position     tidemark.Position // last change that concerns the user: of the log, or of the user's own record
	TimeMs       uint64            // of the conversation's last event
}

// Conversations is the list of a user's conversations in this partition, by ordinal.
func (p *Partition) Conversations(user tidemark.UserID) ([]ListRow, error) { return p.Changed(user, 0) }

// Changed are those of a user's conversations in which something happened past a position: the comparison of heads. It
// reads nothing from disk when list and heads are in memory.
func (p *Partition) Changed(user tidemark.UserID, since tidemark.Position) ([]ListRow, error) {
	u, ok, err := p.User(user)
	if err != nil || !ok {
		return nil, err
	}
	l, err := p.list(u)
	if err != nil {
		return nil, err
	}
	var rows []ListRow
	var cold []listEntry
	p.mu.RLock()
	for _, e := range l.rows {
		m := p.mem.heads.get(e.c)
		switch {
		case m.position == 0:
			cold = append(cold, e)
		case changed(e, m, since):
			rows = append(rows, ListRow{e.c, max(e.position, m.position), m.timeMs})
		}
	}
	p.mu.RUnlock()
	for _, e := range cold {
		m, err := p.mark(e.c)
		if err != nil {
			return nil, err
		}
		if m.position > 0 && changed(e, m, since) {
			rows = append(rows, ListRow{e.c, max(e.position, m.position), m.timeMs})
		}
	}
	return rows, nil
}

func changed(e listEntry, m headMark, since tidemark.Position) bool {
	return e.position > since || m.position > since && !e.left
}

// list is a user's list, brought into memory if it is not there. Its rows are guarded by mu as long as it is cached; the
// loop replaces them in place, so that they may only be read under the lock.
func (p *Partition) list(u record.User) (*list, error) {
	p.mu.RLock()
	l, ok := p.mem.lists.get(u)
	since := p.mem.state.Position
	p.mu.RUnlock()
	if ok {
		return l, nil
	}
	p.stats.misses.Add(1)
	l = &list{}
	err := p.db.ConversationsOf(u, func(c record.Conversation, position tidemark.Position) bool {
		l.rows = append(l.rows, listEntry{c: c, position: position})
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("partition: conversations of %d: %w", u, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mem.listAsCommitted(u, l)
	if p.unchanged(since) {
		p.mem.lists.put(u, l, 8+len(l.rows))
	}
	return l, nil
}

// listAsCommitted takes back what is in flight. Which position a row had before is not known; that of the member record
// was not lower. It needs the lock.
func (s *committed) listAsCommitted(u record.User, l *list) {
	if s.flight == nil {
		return
	}
	kept := l.rows[:0]
	for _, e := range l.rows {
		if e.position > s.state.Position {
			r := s.flight.members.find(memberKey{e.c, u})
			if r == nil || r.base.Member == nil {
				continue
			}
			e.position = r.base.Member.Position
		}
		kept = append(kept, e)
	}
	l.rows = kept
}

// conversationsOf is how many conversations are in a user's list.
func (p *Partition) conversationsOf(u record.User) (int, error) {
	l, err := p.list(u)
	if err != nil {
		return 0, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(l.rows), nil
}

// Devices of a user whose home is this partition.
func (p *Partition) Devices(id tidemark.UserID) ([]*record.Device, error) {
	var devices []*record.Device
	p.stats.misses.Add(1)
	err := p.db.Devices(id, func(d *record.Device) bool {
		devices = append(devices, d)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("partition: devices of %s: %w", id, err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	flight := p.mem.flight
	if flight == nil {
		return devices, nil
	}
	kept := devices[:0]
	for _, d := range devices {
		if r := flight.devices.find(deviceKey{id, d.ID}); r == nil {
			kept = append(kept, d)
		}
	}
	for i := range flight.devices.rows {
		if r := &flight.devices.rows[i]; r.key.user == id && r.base != nil {
			kept = append(kept, r.base)
		}
	}
	return kept, nil
}

// DeviceCursor is how far a device has come in one partition.
type DeviceCursor struct {
	Device   tidemark.DeviceID
	Position tidemark.Position
}

// Cursors are the positions that a user's devices have acknowledged in this partition, those not yet saved included.
func (p *Partition) Cursors(user tidemark.UserID) ([]DeviceCursor, error) {
	u, ok, err := p.User(user)
	if err != nil || !ok {
		return nil, err
	}
	unsaved := p.acks.unsaved(user) // before the store is read: what is saved meanwhile is in the one or the other
	var cursors []DeviceCursor
	err = p.db.Cursors(u, func(device tidemark.DeviceID, position tidemark.Position) bool {
		cursors = append(cursors, DeviceCursor{device, position})
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("partition: cursors of %s: %w", user, err)
	}
	return over(cursors, unsaved), nil
}

// start is the chain value before the first event.
func (p *Partition) start(c record.Conversation) (tidemark.Digest, error) {
	info, err := p.InfoOf(c)
	if err != nil {
		return tidemark.Digest{}, err
	}
	if info == nil {
		return tidemark.Digest{}, fmt.Errorf("partition: conversation %d has no info", c)
	}
	return chain.Start(info.ID), nil
}
