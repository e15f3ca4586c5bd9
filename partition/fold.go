// SPDX-License-Identifier: Apache-2.0

// From the changes of each command to the changes of a batch: one final version for each key.

package partition

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// fold takes over what one command wrote.
func (o *overlay) fold(c *record.Changes) {
	o.wrote, o.state = true, c.Partition
	for _, u := range c.Users {
		o.users.put(u.ID, u.Ordinal, func(tidemark.UserID) record.User { return 0 })
		o.userIDs.put(u.Ordinal, u.ID, func(record.User) tidemark.UserID { return "" })
	}
	for _, i := range c.Infos {
		o.ids.put(i.ID, i.Ordinal, o.baseID)
		o.infos.put(i.Ordinal, i, o.baseInfo)
	}
	for _, h := range c.Heads {
		o.heads.put(h.Conversation, h.Head, o.baseHead)
	}
	for _, m := range c.Members {
		o.foldMember(m)
	}
	for _, e := range c.Events {
		o.foldEvent(e)
	}
	for _, f := range c.Currents {
		o.currents.put(seqKey{f.Conversation, f.Seq}, f.Current, o.baseCurrent)
	}
	for _, i := range c.ClientIDs {
		k := clientKey{i.Conversation, i.User, i.ClientID}
		if i.Removed { // its event was read: it is the one that the client id has made
			o.clientIDs.put(k, 0, func(clientKey) tidemark.Seq { return i.Seq })
		} else {
			o.clientIDs.put(k, i.Seq, o.baseClientID)
		}
	}
	for _, h := range c.Hours {
		o.hours.put(hourKey{h.Conversation, h.Hour.Hour}, hour{h.Hour, !h.Removed}, o.baseHour)
	}
	for _, m := range c.Mentions {
		base := func(mentionKey) bool { return false }
		if m.Removed {
			base = o.baseMention
		}
		o.mentions.put(mentionKey{m.Conversation, m.User, m.Seq}, !m.Removed, base)
	}
	for _, r := range c.Recalls {
		o.recalls.put(seqKey{r.Conversation, r.Seq}, r.Counted, func(seqKey) uint64 { return 0 })
	}
	for _, i := range c.Indexes {
		o.foldIndex(i)
	}
	for _, r := range c.Commits {
		o.commits.put(r.Position, r.Events, o.baseCommit)
	}
	o.trims = append(o.trims, c.Trims...)
	o.foldPeople(c)
}

func (o *overlay) foldPeople(c *record.Changes) {
	for _, a := range c.Accounts {
		o.accounts.put(a.User, a, o.baseAccount)
	}
	for _, p := range c.Privates {
		o.privates.put(memberKey{p.Conversation, p.User}, p.Private, o.basePrivate)
		o.bytes += len(p.Private.Draft) + 4*len(p.Private.Deleted)
	}
	for _, s := range c.Scheduled {
		o.scheduled.put(clientKey{s.Conversation, s.User, s.ClientID}, s.Scheduled, o.baseScheduled)
		if s.Scheduled != nil {
			o.bytes += len(s.Scheduled.Body)
		}
	}
	for _, r := range c.Requests {
		o.requests.put(memberKey{r.Conversation, r.User}, r.Request, o.baseRequest)
	}
	for _, f := range c.Profiles {
		o.profiles.put(f.ID, f, o.baseProfile)
	}
	for _, d := range c.Devices {
		now := d.Device
		if d.Removed {
			now = nil
		}
		o.devices.put(deviceKey{d.User, d.Device.ID}, now, o.baseDevice)
	}
	for _, u := range c.Cursors {
		o.cursors.put(cursorKey{u.User, u.Device}, u.Position, o.baseCursor)
	}
}

func (o *overlay) foldIndex(i record.IndexChange) {
	if i.Removed && i.Index.Kind == record.ReactionIndex && i.Index.ID == "" { // all of a message: those of this batch, too
		for n := range o.indexes.rows {
			r := &o.indexes.rows[n]
			if k := r.key; k.Kind == i.Index.Kind && k.Conversation == i.Index.Conversation && k.Seq == i.Index.Seq {
				r.now, r.changed = false, true
			}
		}
	}
	o.indexes.put(i.Index, !i.Removed, func(record.Index) bool { return i.Removed })
}

func (o *overlay) foldMember(m record.MemberChange) {
	k := memberKey{m.Conversation, m.User}
	r := o.members.find(k)
	if r == nil {
		r = o.members.add(k, o.baseMember(k))
	}
	if r.now.Member == nil && !m.Quiet {
		if o.joined == nil {
			o.joined = make(map[record.User]int)
		}
		o.joined[m.User]++
	}
	r.now, r.changed = member{m.Member, r.now.loud || !m.Quiet}, true
	o.bytes += 64
}

func (o *overlay) foldEvent(e record.EventChange) {
	k := seqKey{e.Conversation, e.Event.Seq}
	r := o.events.find(k)
	if r == nil {
		if e.Rewrite {
			r = o.events.add(k, o.baseEvent(k))
		} else {
			r = o.events.add(k, event{})
		}
	}
	rewrite := e.Rewrite
	if r.changed {
		rewrite = r.now.rewrite
	} else if !e.Rewrite {
		r.base = event{} // core looked for it before it was there
	}
	r.now, r.changed = event{e.Event, rewrite}, true
	o.bytes += 128 + len(e.Event.Body)
}

// flatten writes the final versions into out, in the order of first touch.
func (o *overlay) flatten(out *record.Changes) {
	out.Reset()
	out.Partition = o.state
	each(&o.users, func(id tidemark.UserID, u record.User) {
		out.Users = append(out.Users, record.UserChange{Ordinal: u, ID: id})
	})
	each(&o.infos, func(_ record.Conversation, i *record.Info) { out.Infos = append(out.Infos, i) })
	each(&o.heads, func(c record.Conversation, h *record.Head) {
		out.Heads = append(out.Heads, record.HeadChange{Conversation: c, Head: h})
	})
	each(&o.members, func(k memberKey, m member) {
		out.Members = append(out.Members, record.MemberChange{Conversation: k.c, User: k.u, Member: m.Member, Quiet: !m.loud})
	})
	each(&o.events, func(k seqKey, e event) {
		out.Events = append(out.Events, record.EventChange{Conversation: k.c, Event: e.Event, Rewrite: e.rewrite})
	})
	each(&o.currents, func(k seqKey, f *record.Current) {
		out.Currents = append(out.Currents, record.CurrentChange{Conversation: k.c, Seq: k.seq, Current: f})
	})
	for i := range o.clientIDs.rows {
		r := &o.clientIDs.rows[i]
		change := record.ClientIDChange{Conversation: r.key.c, User: r.key.u, ClientID: r.key.id, Seq: r.now}
		if r.changed && r.base != 0 { // forgotten; and perhaps used again since
			change.Seq, change.Removed = r.base, true
			out.ClientIDs = append(out.ClientIDs, change)
			change.Seq, change.Removed = r.now, false
		}
		if r.changed && r.now != 0 {
			out.ClientIDs = append(out.ClientIDs, change)
		}
	}
	each(&o.hours, func(k hourKey, h hour) {
		out.Hours = append(out.Hours, record.HourChange{Conversation: k.c, Hour: h.Hour, Removed: !h.there})
	})
	each(&o.mentions, func(k mentionKey, there bool) {
		out.Mentions = append(out.Mentions, record.MentionChange{Conversation: k.c, User: k.u, Seq: k.seq, Removed: !there})
	})
	each(&o.recalls, func(k seqKey, counted uint64) {
		out.Recalls = append(out.Recalls, record.RecallChange{Conversation: k.c, Seq: k.seq, Counted: counted})
	})
	each(&o.profiles, func(_ tidemark.UserID, f *record.Profile) { out.Profiles = append(out.Profiles, f) })
	each(&o.devices, func(k deviceKey, d *record.Device) {
		change := record.DeviceChange{User: k.user, Device: d}
		if d == nil {
			change.Device, change.Removed = &record.Device{ID: k.device}, true
		}
		out.Devices = append(out.Devices, change)
	})
	each(&o.cursors, func(k cursorKey, pos tidemark.Position) {
		out.Cursors = append(out.Cursors, record.CursorChange{User: k.u, Device: k.device, Position: pos})
	})
	o.flattenPeople(out)
	each(&o.indexes, func(i record.Index, there bool) {
		out.Indexes = append(out.Indexes, record.IndexChange{Index: i, Removed: !there})
	})
	each(&o.commits, func(at tidemark.Position, events []record.ConversationSeq) {
		out.Commits = append(out.Commits, record.CommitChange{Position: at, Events: events})
	})
	out.Trims = append(out.Trims, o.trims...)
}

func (o *overlay) flattenPeople(out *record.Changes) {
	each(&o.accounts, func(_ tidemark.UserID, a *record.Account) { out.Accounts = append(out.Accounts, a) })
	each(&o.privates, func(k memberKey, p *record.Private) {
		out.Privates = append(out.Privates, record.PrivateChange{Conversation: k.c, User: k.u, Private: p})
	})
	each(&o.scheduled, func(k clientKey, s *record.Scheduled) {
		out.Scheduled = append(out.Scheduled, record.ScheduledChange{
			Conversation: k.c, User: k.u, ClientID: k.id, Scheduled: s, Removed: s == nil,
		})
	})
	each(&o.requests, func(k memberKey, r *record.JoinRequest) {
		out.Requests = append(out.Requests, record.RequestChange{
			Conversation: k.c, User: k.u, Request: r, Removed: r == nil,
		})
	})
}

// each calls fn for the rows that were changed.
func each[K comparable, V any](t *table[K, V], fn func(K, V)) {
	for i := range t.rows {
		if r := &t.rows[i]; r.changed {
			fn(r.key, r.now)
		}
	}
}
