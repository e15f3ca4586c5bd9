// SPDX-License-Identifier: Apache-2.0

// Wake: telling the online members of changed conversations, and publishing the position.

package partition

import (
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// scanOnlineFactor: the members of a conversation that has so many times more members than there are users online are
// not brought into memory; the online users are looked up one by one.
const scanOnlineFactor = 16

// wake puts what the batch concerns into the dirty sets, then publishes its position, then tells the woken. In this
// order: a session that sees the position before the wakes would move its checkpoint past an event nobody told it of.
func (p *Partition) wake() {
	p.meet()
	position := p.overlay.state.Position
	if p.online.count() > 0 {
		p.bringMembers()
	}
	p.online.mu.RLock()
	if len(p.online.audiences) > 0 {
		each(&p.overlay.heads, func(c record.Conversation, h *record.Head) {
			if h.Position != position || p.isRoom(c) {
				return // nothing was written that anybody must hear: trimmed; or see rooms
			}
			for _, a := range p.present(c, true) {
				p.wakeAudience(a, c, position)
			}
		})
		each(&p.overlay.members, func(k memberKey, _ member) {
			if a := p.online.audiences[k.u]; a != nil && !p.isRoom(k.c) {
				p.wakeAudience(a, k.c, position)
			}
		})
	}
	p.noteRooms()
	p.encodeFresh()
	p.published.Store(uint64(position))
	p.online.mu.RUnlock()
	for _, sub := range p.woken {
		sub.Ready(p.number)
	}
	clear(p.woken)
	p.woken = p.woken[:0]
	p.rooms.wake(p)
}

// noteRooms notes the rooms of the batch in which there is somebody: their events will be read at once.
func (p *Partition) noteRooms() {
	each(&p.overlay.heads, func(c record.Conversation, _ *record.Head) {
		if p.rooms.inUse(c) {
			p.fresh[c] = nil
			p.roomsWoken = append(p.roomsWoken, c)
		}
	})
}

func (p *Partition) wakeAudience(a *audience, c record.Conversation, position tidemark.Position) {
	subscribers := a.all()
	p.stats.wakes.Add(uint64(len(subscribers)))
	for _, sub := range subscribers {
		if sub.Wake(p.number, c, position) {
			p.woken = append(p.woken, sub)
		}
	}
	if _, ok := p.fresh[c]; !ok {
		p.fresh[c] = nil // in use: its events will be read at once
	}
}

// encodeFresh encodes the events of the batch for those who will read them: in conversations with somebody online, or
// with a tail in memory.
func (p *Partition) encodeFresh() {
	p.mu.RLock()
	each(&p.overlay.heads, func(c record.Conversation, _ *record.Head) {
		if _, ok := p.mem.tails.get(c); ok {
			p.fresh[c] = nil
		}
	})
	p.mu.RUnlock()
	if len(p.fresh) == 0 {
		return
	}
	for i := range p.overlay.events.rows {
		r := &p.overlay.events.rows[i]
		entries, wanted := p.fresh[r.key.c]
		if !wanted || !r.changed || r.now.rewrite {
			continue
		}
		var cur *record.Current
		if f := p.overlay.currents.find(r.key); f != nil {
			cur = f.now
		}
		p.fresh[r.key.c] = append(entries, newLogEntry(r.now.Event, cur))
	}
	p.freshOrder = slices.AppendSeq(p.freshOrder[:0], maps.Keys(p.fresh))
	slices.Sort(p.freshOrder) // what is evicted for them must not depend on the order of a map
	for _, c := range p.freshOrder {
		entries := p.fresh[c]
		slices.SortFunc(entries, func(a, b *LogEntry) int { return int(a.Seq) - int(b.Seq) })
		p.extendTail(c, entries)
		p.rooms.extend(c, entries, func(seq tidemark.Seq) *record.Event { return p.overlay.events.find(seqKey{c, seq}).now.Event })
	}
	clear(p.fresh)
}

// bringMembers loads the members of changed conversations where that is better than looking up who is online. A failure
// of the store is only logged: then they are looked up, and if that fails too, everybody online is woken.
func (p *Partition) bringMembers() {
	online := p.online.count()
	each(&p.overlay.heads, func(c record.Conversation, h *record.Head) {
		if h.Position != p.overlay.state.Position || p.isRoom(c) {
			return
		}
		if int(h.Members) > 4096 && int(h.Members) > scanOnlineFactor*online {
			return
		}
		if _, err := p.loadMembers(c); err != nil {
			p.log.Error("members cannot be read", "conversation", c, "err", err)
		}
	})
}

// present are the members of a conversation that are online; with unsure also those online whose record cannot be read:
// who is woken for nothing finds nothing, but who is not woken for something passes over it. It needs online.mu for
// reading.
func (p *Partition) present(c record.Conversation, unsure bool) []*audience {
	var found []*audience
	p.mu.RLock()
	if h, ok := p.mem.hot.get(c); ok && h.members != nil {
		if h.members.GetCardinality() <= 8 {
			for it := h.members.Iterator(); it.HasNext(); {
				if a := p.online.audiences[record.User(it.Next())]; a != nil {
					found = append(found, a)
				}
			}
		} else {
			both := roaring.And(h.members, p.online.ordinals)
			found = make([]*audience, 0, both.GetCardinality())
			for it := both.Iterator(); it.HasNext(); {
				found = append(found, p.online.audiences[record.User(it.Next())])
			}
		}
		p.mu.RUnlock()
		return found
	}
	p.mu.RUnlock()
	for it := p.online.ordinals.Iterator(); it.HasNext(); {
		u := record.User(it.Next())
		a := p.online.audiences[u]
		m, err := p.member(c, u)
		if err != nil {
			p.log.Error("member cannot be read", "conversation", c, "err", err)
		}
		if m.Active() || err != nil && unsure {
			found = append(found, a)
		}
	}
	return found
}
