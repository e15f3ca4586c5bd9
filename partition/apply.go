// SPDX-License-Identifier: Apache-2.0

// Apply: a durable batch becomes the committed state in memory.

package partition

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// apply moves the committed state in memory to the batch that has just become durable. Readers wait for microseconds.
func (p *Partition) apply() {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, s := p.overlay, &p.mem
	s.state = o.state
	s.land()
	each(&o.users, func(id tidemark.UserID, u record.User) {
		s.users.put(id, u)
		s.strangers.drop(id)
	})
	for i := range o.infos.rows {
		if r := &o.infos.rows[i]; r.changed {
			s.applyInfo(r.key, r.now, r.base == nil)
		}
	}
	each(&o.heads, func(c record.Conversation, h *record.Head) {
		s.inUse(c).head = h
		s.heads.set(c, h)
	})
	each(&o.members, func(k memberKey, m member) { s.applyMember(k, m) })
	each(&o.recalls, func(k seqKey, _ uint64) {
		if h, ok := s.hot.get(k.c); ok && h.recallsKnown {
			h.addRecall(k.seq)
			s.weigh(k.c, h)
		}
	})
	for i := range o.currents.rows {
		r := &o.currents.rows[i]
		if r.changed && r.now.IsWithheld() {
			s.withhold(r.key.c, r.key.seq, r.now)
		}
	}
	each(&o.privates, func(k memberKey, f *record.Private) { s.privates.put(k, f, privateCost(f)) })
	for _, t := range o.trims {
		s.applyTrim(t)
	}
	o.blanked(func(k seqKey) { s.withhold(k.c, k.seq, nil) })
	each(&o.profiles, func(id tidemark.UserID, f *record.Profile) { s.profiles.put(id, f, 1) })
	each(&o.devices, func(k deviceKey, d *record.Device) { s.devices.put(k, d) })
	each(&o.accounts, func(id tidemark.UserID, a *record.Account) {
		s.accounts.put(id, a, 1)
		s.plain.drop(id)
	})
}

// applyTrim forgets what is known of events that are no longer kept.
func (s *committed) applyTrim(t record.TrimChange) {
	if h, ok := s.hot.get(t.Conversation); ok && h.recallsKnown {
		i, _ := slices.BinarySearch(h.recalls, t.To+1)
		h.recalls = slices.Clone(h.recalls[i:]) // readers may hold the old
		s.weigh(t.Conversation, h)
	}
	if tail, ok := s.tails.get(t.Conversation); ok && len(tail) > 0 && tail[0].Seq <= t.To {
		tail = slices.Clone(tail[min(len(tail), int(t.To-tail[0].Seq)+1):])
		s.tails.put(t.Conversation, tail, tailCost(tail))
	}
}

// blanked calls fn for the edits from which the batch takes the content.
func (o *overlay) blanked(fn func(seqKey)) {
	if len(o.trims) == 0 {
		return // what is erased has a current form that says so
	}
	each(&o.events, func(k seqKey, e event) {
		if e.Erased && e.Kind == record.EditBody {
			fn(k)
		}
	})
}

func (s *committed) applyInfo(c record.Conversation, info *record.Info, created bool) {
	h := s.inUse(c)
	h.info = info
	if created {
		h.members, h.recallsKnown = roaring.New(), true
	}
	s.ids.put(info.ID, c, 1)
}

func (s *committed) applyMember(k memberKey, m member) {
	s.members.put(k, m.Member, 1)
	if h, ok := s.hot.get(k.c); ok && h.members != nil {
		if m.Active() {
			h.members.Add(uint32(k.u))
		} else {
			h.members.Remove(uint32(k.u))
		}
		s.weigh(k.c, h)
	}
	if !m.loud {
		return
	}
	if l, ok := s.lists.get(k.u); ok {
		l.set(k.c, !m.Active(), m.Position)
		s.lists.put(k.u, l, 8+len(l.rows))
	}
}
