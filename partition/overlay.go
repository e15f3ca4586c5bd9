// SPDX-License-Identifier: Apache-2.0

// The view of a batch: what is committed, and over it what the commands so far have written.

package partition

import (
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// overlay implements core.View for the commands of one batch. It is owned by the loop; while the batch is in flight
// nobody changes it, and readers look up the committed versions in it.
type overlay struct {
	p     *Partition
	err   error            // the first read that failed: the batch must not be committed
	state record.Partition // after the commands so far
	wrote bool             // whether any command wrote
	bytes int              // rough size of what was written

	users     table[tidemark.UserID, record.User] // 0: no ordinal
	userIDs   table[record.User, tidemark.UserID]
	ids       table[tidemark.ConversationID, record.Conversation] // 0: none
	infos     table[record.Conversation, *record.Info]
	heads     table[record.Conversation, *record.Head]
	members   table[memberKey, member]
	events    table[seqKey, event]
	currents  table[seqKey, *record.Current]
	clientIDs table[clientKey, tidemark.Seq]
	hours     table[hourKey, hour]
	mentions  table[mentionKey, bool] // whether it is in the index
	recalls   table[seqKey, uint64]   // counted ordinal; 0: not recalled
	profiles  table[tidemark.UserID, *record.Profile]
	devices   table[deviceKey, *record.Device]
	cursors   table[cursorKey, tidemark.Position]
	accounts  table[tidemark.UserID, *record.Account]
	privates  table[memberKey, *record.Private]
	scheduled table[clientKey, *record.Scheduled] // nil: there is none
	requests  table[memberKey, *record.JoinRequest]
	indexes   table[record.Index, bool] // whether it is in the index
	commits   table[tidemark.Position, []record.ConversationSeq]
	trims     []record.TrimChange
	before    *untrimmed // while the batch is in flight, if it trims; guarded by the partition's mu

	joined map[record.User]int // conversations that were added to users' lists by this batch
}

type seqKey struct {
	c   record.Conversation
	seq tidemark.Seq
}

type clientKey struct {
	c  record.Conversation
	u  record.User
	id tidemark.ClientID
}

type hourKey struct {
	c    record.Conversation
	hour uint32
}

type mentionKey struct {
	c   record.Conversation
	u   record.User
	seq tidemark.Seq
}

type cursorKey struct {
	u      record.User
	device tidemark.DeviceID
}

type member struct {
	*record.Member
	loud bool // changed by something that the head's change does not tell of
}

type event struct {
	*record.Event
	rewrite bool // it was there before this batch
}

type hour struct {
	record.Hour
	there bool
}

// begin empties the overlay for the next batch.
func (o *overlay) begin(state record.Partition) {
	o.err, o.state, o.wrote, o.bytes = nil, state, false, 0
	o.users.reset()
	o.userIDs.reset()
	o.ids.reset()
	o.infos.reset()
	o.heads.reset()
	o.members.reset()
	o.events.reset()
	o.currents.reset()
	o.clientIDs.reset()
	o.hours.reset()
	o.mentions.reset()
	o.recalls.reset()
	o.profiles.reset()
	o.devices.reset()
	o.cursors.reset()
	o.accounts.reset()
	o.privates.reset()
	o.scheduled.reset()
	o.requests.reset()
	o.indexes.reset()
	o.commits.reset()
	o.trims = o.trims[:0]
	if len(o.joined) > 0 {
		o.joined = nil
	}
}

// got passes a read through, remembering the first failure.
func got[V any](o *overlay, what string, v V, err error) V {
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("partition: read %s: %w", what, err)
	}
	return v
}

// see is the version of a key after the commands so far; base reads the committed one at the first touch.
func see[K comparable, V any](t *table[K, V], k K, base func(K) V) V {
	if r := t.find(k); r != nil {
		return r.now
	}
	return t.add(k, base(k)).now
}

// The reads of core.View.

func (o *overlay) Partition() record.Partition { return o.state }

func (o *overlay) User(id tidemark.UserID) (record.User, bool) {
	u := see(&o.users, id, o.baseUser)
	return u, u != 0
}

func (o *overlay) UserID(u record.User) tidemark.UserID {
	if r := o.userIDs.find(u); r != nil {
		return r.now
	}
	id, err := o.p.UserID(u)
	return got(o, "user", id, err)
}

func (o *overlay) Conversation(id tidemark.ConversationID) (*record.Info, bool) {
	c := see(&o.ids, id, o.baseID)
	if c == 0 {
		return nil, false
	}
	info := see(&o.infos, c, o.baseInfo)
	return info, info != nil
}

func (o *overlay) Head(c record.Conversation) *record.Head { return see(&o.heads, c, o.baseHead) }

func (o *overlay) Member(c record.Conversation, u record.User) *record.Member {
	return see(&o.members, memberKey{c, u}, o.baseMember).Member
}

func (o *overlay) Event(c record.Conversation, seq tidemark.Seq) (*record.Event, bool) {
	if h := o.Head(c); h != nil && seq <= h.Floor {
		return nil, false
	}
	e := see(&o.events, seqKey{c, seq}, o.baseEvent).Event
	return e, e != nil
}

func (o *overlay) Commit(position tidemark.Position) []record.ConversationSeq {
	return see(&o.commits, position, o.baseCommit)
}

func (o *overlay) Current(c record.Conversation, seq tidemark.Seq) *record.Current {
	return see(&o.currents, seqKey{c, seq}, o.baseCurrent)
}

func (o *overlay) Reacted(c record.Conversation, seq tidemark.Seq, key string, u record.User) bool {
	i := record.Index{Kind: record.ReactionIndex, Conversation: c, Seq: seq, ID: key, User: u}
	return see(&o.indexes, i, func(i record.Index) bool {
		there, err := o.p.db.Indexed(i)
		return got(o, "reaction", there, err)
	})
}

func (o *overlay) Reactors(c record.Conversation, seq tidemark.Seq, key string, most int) []record.User {
	from := record.Index{Kind: record.ReactionIndex, Conversation: c, Seq: seq, ID: key}
	var users []record.User
	err := o.p.db.Reactions(from, true, func(_ string, u record.User) bool {
		i := from
		i.User = u
		if r := o.indexes.find(i); r == nil || r.now {
			users = append(users, u)
		}
		return len(users) < most
	})
	got(o, "reactions", users, err)
	for i := range o.indexes.rows {
		r := &o.indexes.rows[i]
		entry := r.key
		entry.User = 0
		if j, there := slices.BinarySearch(users, r.key.User); r.now && !there && entry == from {
			users = slices.Insert(users, j, r.key.User)
		}
	}
	return users[:min(len(users), most)]
}

func (o *overlay) ByClientID(c record.Conversation, u record.User, id tidemark.ClientID) (tidemark.Seq, bool) {
	seq := see(&o.clientIDs, clientKey{c, u, id}, o.baseClientID)
	return seq, seq != 0
}

func (o *overlay) Hour(c record.Conversation, n uint32) (record.Hour, bool) {
	h := see(&o.hours, hourKey{c, n}, o.baseHour)
	return h.Hour, h.there
}

func (o *overlay) ConversationsOf(u record.User) int {
	if u > o.p.users() {
		return o.joined[u]
	}
	n, err := o.p.conversationsOf(u)
	return got(o, "conversations", n, err) + o.joined[u]
}

func (o *overlay) Profile(id tidemark.UserID) (*record.Profile, bool) {
	f := see(&o.profiles, id, o.baseProfile)
	return f, f != nil
}

func (o *overlay) Device(id tidemark.UserID, device tidemark.DeviceID) (*record.Device, bool) {
	d := see(&o.devices, deviceKey{id, device}, o.baseDevice)
	return d, d != nil
}

func (o *overlay) Devices(id tidemark.UserID) []*record.Device {
	read, err := o.p.Devices(id)
	var devices []*record.Device
	for _, d := range got(o, "devices", read, err) {
		if r := o.devices.find(deviceKey{id, d.ID}); r == nil || !r.changed {
			devices = append(devices, d)
		}
	}
	each(&o.devices, func(k deviceKey, d *record.Device) {
		if k.user == id && d != nil {
			devices = append(devices, d)
		}
	})
	return devices
}

func (o *overlay) Cursor(u record.User, device tidemark.DeviceID) tidemark.Position {
	return see(&o.cursors, cursorKey{u, device}, o.baseCursor)
}

func (o *overlay) Account(id tidemark.UserID) *record.Account {
	return see(&o.accounts, id, o.baseAccount)
}

func (o *overlay) Private(c record.Conversation, u record.User) *record.Private {
	return see(&o.privates, memberKey{c, u}, o.basePrivate)
}

func (o *overlay) Scheduled(c record.Conversation, u record.User, id tidemark.ClientID) *record.Scheduled {
	return see(&o.scheduled, clientKey{c, u, id}, o.baseScheduled)
}

func (o *overlay) ScheduledBy(c record.Conversation, u record.User) int {
	list, err := o.p.ScheduledBy(c, u)
	n := len(got(o, "scheduled messages", list, err))
	for i := range o.scheduled.rows {
		r := &o.scheduled.rows[i]
		if r.key.c == c && r.key.u == u && (r.base == nil) != (r.now == nil) {
			if r.now != nil {
				n++
			} else {
				n--
			}
		}
	}
	return n
}

func (o *overlay) JoinRequest(c record.Conversation, u record.User) *record.JoinRequest {
	return see(&o.requests, memberKey{c, u}, o.baseRequest)
}

func (o *overlay) Entered(c record.Conversation, user tidemark.UserID) bool {
	return o.p.entered(c, user)
}

// The committed versions. What has an ordinal or a seq past the committed ones is new, without looking.

func (o *overlay) baseUser(id tidemark.UserID) record.User {
	u, _, err := o.p.User(id)
	return got(o, "user", u, err)
}

func (o *overlay) baseID(id tidemark.ConversationID) record.Conversation {
	info, err := o.p.infoByID(id)
	if got(o, "conversation", info, err) == nil {
		return 0
	}
	if o.infos.find(info.Ordinal) == nil {
		o.infos.add(info.Ordinal, info)
	}
	return info.Ordinal
}

func (o *overlay) baseInfo(c record.Conversation) *record.Info {
	if o.p.isNew(c) {
		return nil
	}
	info, err := o.p.InfoOf(c)
	return got(o, "info", info, err)
}

func (o *overlay) baseHead(c record.Conversation) *record.Head {
	if o.p.isNew(c) {
		return nil
	}
	h, err := o.p.head(c)
	return got(o, "head", h, err)
}

func (o *overlay) baseMember(k memberKey) member {
	if o.p.isNew(k.c) || k.u > o.p.users() {
		return member{}
	}
	m, err := o.p.member(k.c, k.u)
	return member{Member: got(o, "member", m, err)}
}

func (o *overlay) baseEvent(k seqKey) event {
	if o.p.isNew(k.c) {
		return event{}
	}
	if h := see(&o.heads, k.c, o.baseHead); h == nil || k.seq == 0 || k.seq > h.Seq {
		return event{}
	}
	e, err := o.p.event(k.c, k.seq)
	return event{Event: got(o, "event", e, err), rewrite: true}
}

func (o *overlay) baseCurrent(k seqKey) *record.Current {
	if o.p.isNew(k.c) {
		return nil
	}
	f, err := o.p.Current(k.c, k.seq)
	return got(o, "current form", f, err)
}

func (o *overlay) baseClientID(k clientKey) tidemark.Seq {
	if o.p.isNew(k.c) || k.u > o.p.users() {
		return 0
	}
	seq, err := o.p.byClientID(k.c, k.u, k.id)
	return got(o, "client id", seq, err)
}

func (o *overlay) baseHour(k hourKey) hour {
	if o.p.isNew(k.c) {
		return hour{}
	}
	h, there, err := o.p.db.Hour(k.c, k.hour)
	return got(o, "hour", hour{h, there}, err)
}

func (o *overlay) baseCommit(position tidemark.Position) []record.ConversationSeq {
	events, err := o.p.db.Commit(position)
	return got(o, "commit", events, err)
}

// baseMention is whether an entry is in the index.
func (o *overlay) baseMention(k mentionKey) (there bool) {
	if o.p.isNew(k.c) || k.u > o.p.users() || k.seq == 0 {
		return false
	}
	err := o.p.db.Mentions(k.c, k.u, k.seq-1, k.seq, func(tidemark.Seq) bool {
		there = true
		return false
	})
	return got(o, "mention", there, err)
}

func (o *overlay) baseProfile(id tidemark.UserID) *record.Profile {
	f, err := o.p.Profile(id)
	return got(o, "profile", f, err)
}

func (o *overlay) baseDevice(k deviceKey) *record.Device {
	d, err := o.p.Device(k.user, k.device)
	return got(o, "device", d, err)
}

func (o *overlay) baseCursor(k cursorKey) tidemark.Position {
	pos, err := o.p.db.Cursor(k.u, k.device)
	return got(o, "cursor", pos, err)
}

func (o *overlay) baseAccount(id tidemark.UserID) *record.Account {
	a, err := o.p.Account(id)
	return got(o, "account", a, err)
}

func (o *overlay) basePrivate(k memberKey) *record.Private {
	if o.p.isNew(k.c) || k.u > o.p.users() {
		return nil
	}
	f, err := o.p.Private(k.c, k.u)
	return got(o, "private record", f, err)
}

func (o *overlay) baseScheduled(k clientKey) *record.Scheduled {
	if o.p.isNew(k.c) || k.u > o.p.users() {
		return nil
	}
	s, err := o.p.Scheduled(k.c, k.u, k.id)
	return got(o, "scheduled message", s, err)
}

func (o *overlay) baseRequest(k memberKey) *record.JoinRequest {
	if o.p.isNew(k.c) || k.u > o.p.users() {
		return nil
	}
	r, err := o.p.JoinRequest(k.c, k.u)
	return got(o, "request to join", r, err)
}
