// SPDX-License-Identifier: Apache-2.0

// Committed reads of single records: from memory, else from the store.
//
// The store shows a batch a moment before its commit is known to be durable, and goes on showing one whose commit has
// failed half-way. So whoever has read the store looks, under the lock, whether the row belongs to the batch in flight,
// and then serves the version from before. What was read meets the cache only if no commit was applied meanwhile.

package partition

import (
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// Number of the partition.
func (p *Partition) Number() uint32 { return p.number }

// Published is the position up to which everything is committed, readable, and told to the subscribers.
func (p *Partition) Published() tidemark.Position { return tidemark.Position(p.published.Load()) }

// users is how many user ordinals are committed.
func (p *Partition) users() record.User {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mem.state.Users
}

// isNew reports whether the conversation is not committed yet.
func (p *Partition) isNew(c record.Conversation) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return c > p.mem.state.Conversations
}

// applied is the position that a read starts at; see unchanged.
func (p *Partition) applied() tidemark.Position {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mem.state.Position
}

// unchanged reports whether nothing was applied since the position. It needs the lock.
func (p *Partition) unchanged(since tidemark.Position) bool { return p.mem.state.Position == since }

// User is the ordinal of a user in this partition; ok is false for a user it has not met.
func (p *Partition) User(id tidemark.UserID) (u record.User, ok bool, err error) {
	p.mu.RLock()
	u, met := p.mem.users.get(id)
	_, stranger := p.mem.strangers.get(id)
	since := p.mem.state.Position
	p.mu.RUnlock()
	if met || stranger {
		return u, met, nil
	}
	p.stats.misses.Add(1)
	if u, _, err = p.db.User(id); err != nil {
		return 0, false, fmt.Errorf("partition: user %s: %w", id, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if u > p.mem.state.Users {
		u = 0 // of a commit in flight
	}
	switch {
	case !p.unchanged(since):
	case u != 0:
		p.mem.users.put(id, u)
	default:
		p.mem.strangers.put(id, struct{}{})
	}
	return u, u != 0, nil
}

// UserID is the id of an ordinal. An ordinal that was never given is an error.
func (p *Partition) UserID(u record.User) (tidemark.UserID, error) {
	id, err := p.db.UserID(u) // cached by the store: it never changes
	if err != nil {
		return "", fmt.Errorf("partition: user %d: %w", u, err)
	}
	return id, nil
}

// Info of a conversation; it refuses with UNKNOWN_CONVERSATION. The record is shared and must not be changed.
func (p *Partition) Info(id tidemark.ConversationID) (*record.Info, error) {
	info, err := p.infoByID(id)
	if err == nil && info == nil {
		return nil, unknown(id)
	}
	return info, err
}

func unknown(id tidemark.ConversationID) *tidemark.Error {
	return tidemark.Refuse(tidemark.UnknownConversation, "there is no conversation %q", id)
}

// infoByID answers nil for a conversation that does not exist.
func (p *Partition) infoByID(id tidemark.ConversationID) (*record.Info, error) {
	p.mu.RLock()
	c, known := p.mem.ids.get(id)
	p.mu.RUnlock()
	if known {
		return p.InfoOf(c)
	}
	since := p.applied()
	p.stats.misses.Add(1)
	info, err := p.db.Conversation(id)
	if err != nil {
		return nil, fmt.Errorf("partition: conversation %s: %w", id, err)
	}
	if info == nil {
		return nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keepInfo(info.Ordinal, info, since), nil
}

// InfoOf is the info of a conversation by ordinal; nil if there is none.
func (p *Partition) InfoOf(c record.Conversation) (*record.Info, error) {
	p.mu.RLock()
	h, ok := p.mem.hot.get(c)
	if ok && h.info != nil {
		defer p.mu.RUnlock()
		return h.info, nil
	}
	since := p.mem.state.Position
	p.mu.RUnlock()
	p.stats.misses.Add(1)
	info, err := p.db.Info(c)
	if err != nil {
		return nil, fmt.Errorf("partition: info of %d: %w", c, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keepInfo(c, info, since), nil
}

// keepInfo needs the write lock.
func (p *Partition) keepInfo(c record.Conversation, info *record.Info, since tidemark.Position) *record.Info {
	if f := p.mem.flight; f != nil {
		info = f.infos.before(c, info)
	}
	if info != nil && p.unchanged(since) {
		p.mem.inUse(c).info = info
		p.mem.ids.put(info.ID, c, 1)
	}
	return info
}

// Head of a conversation, which must exist.
func (p *Partition) Head(c record.Conversation) (record.Head, error) {
	h, err := p.head(c)
	if err != nil {
		return record.Head{}, err
	}
	if h == nil {
		return record.Head{}, fmt.Errorf("partition: conversation %d has no head", c)
	}
	return *h, nil
}

// head answers nil for a conversation that does not exist.
func (p *Partition) head(c record.Conversation) (*record.Head, error) {
	p.mu.RLock()
	h, ok := p.mem.hot.get(c)
	if ok && h.head != nil {
		defer p.mu.RUnlock()
		return h.head, nil
	}
	since := p.mem.state.Position
	p.mu.RUnlock()
	p.stats.misses.Add(1)
	head, err := p.db.Head(c)
	if err != nil {
		return nil, fmt.Errorf("partition: head of %d: %w", c, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.mem.flight; f != nil {
		head = f.heads.before(c, head)
	}
	if head != nil && p.unchanged(since) {
		p.mem.inUse(c).head = head
		p.mem.heads.set(c, head)
	}
	return head, nil
}

// mark is what comparing needs of a head: without bringing all of the conversation into use.
func (p *Partition) mark(c record.Conversation) (headMark, error) {
	p.mu.RLock()
	m := p.mem.heads.get(c)
	since := p.mem.state.Position
	p.mu.RUnlock()
	if m.position != 0 {
		return m, nil
	}
	p.stats.misses.Add(1)
	head, err := p.db.Head(c)
	if err != nil {
		return headMark{}, fmt.Errorf("partition: head of %d: %w", c, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.mem.flight; f != nil {
		head = f.heads.before(c, head)
	}
	if head == nil {
		return headMark{}, nil
	}
	if p.unchanged(since) {
		p.mem.heads.set(c, head)
	}
	return headMark{position: head.Position, timeMs: head.TimeMs}, nil
}

// Member is a user's record in a conversation, also after leaving; nil if it never was a member. The record is shared.
func (p *Partition) Member(c record.Conversation, user tidemark.UserID) (*record.Member, error) {
	u, ok, err := p.User(user)
	if err != nil || !ok {
		return nil, err
	}
	return p.member(c, u)
}

func (p *Partition) member(c record.Conversation, u record.User) (*record.Member, error) {
	k := memberKey{c, u}
	p.mu.RLock()
	m, cached := p.mem.members.get(k)
	since := p.mem.state.Position
	p.mu.RUnlock()
	if cached {
		return m, nil
	}
	p.stats.misses.Add(1)
	m, err := p.db.Member(c, u)
	if err != nil {
		return nil, fmt.Errorf("partition: member %d of %d: %w", u, c, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.mem.flight; f != nil {
		m = f.members.before(k, member{Member: m}).Member
	}
	if p.unchanged(since) {
		p.mem.members.put(k, m, 1)
		if m != nil && !m.Active() {
			p.mem.noteLeft(c, u)
		}
	}
	return m, nil
}

// noteLeft spares the user's next comparisons the record of a conversation that was left. It needs the write lock.
func (s *committed) noteLeft(c record.Conversation, u record.User) {
	if l, ok := s.lists.get(u); ok {
		if i, found := l.find(c); found {
			l.rows[i].left = true
		}
	}
}

// event is one committed event; nil if there is none. The head bounds what is committed.
func (p *Partition) event(c record.Conversation, seq tidemark.Seq) (*record.Event, error) {
	h, err := p.head(c)
	if err != nil || h == nil || seq <= h.Floor || seq > h.Seq {
		return nil, err
	}
	p.stats.misses.Add(1)
	e, err := p.db.Event(c, seq)
	if err != nil {
		return nil, fmt.Errorf("partition: event %d of %d: %w", seq, c, err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mem.asCommitted(c, seq, e), nil
}

// asCommitted undoes an erasure or a trim that is in flight; e may be nil. It needs the lock.
func (s *committed) asCommitted(c record.Conversation, seq tidemark.Seq, e *record.Event) *record.Event {
	if s.flight != nil {
		if r := s.flight.events.find(seqKey{c, seq}); r != nil && r.base.Event != nil {
			return r.base.Event
		}
	}
	return e
}

// Current is the current form of an event that others changed; nil if it is as it was written. The record is shared.
func (p *Partition) Current(c record.Conversation, seq tidemark.Seq) (*record.Current, error) {
	p.stats.misses.Add(1)
	f, err := p.db.Current(c, seq)
	if err != nil {
		return nil, fmt.Errorf("partition: current form of %d in %d: %w", seq, c, err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if flight := p.mem.flight; flight != nil {
		f = flight.currents.before(seqKey{c, seq}, f)
	}
	return f, nil
}

// Digest is the chain value of a conversation at a seq between its floor and its head; 0 is the start of the chain.
func (p *Partition) Digest(c record.Conversation, seq tidemark.Seq) (tidemark.Digest, error) {
	h, err := p.Head(c)
	switch {
	case err != nil:
		return tidemark.Digest{}, err
	case seq == h.Seq:
		return h.Digest, nil
	case seq == h.Floor && seq > 0:
		return h.FloorDigest, nil
	case seq == 0:
		return p.start(c)
	}
	if e := p.inTail(c, seq); e != nil {
		return e.Digest, nil
	}
	e, err := p.event(c, seq)
	if err == nil && e == nil {
		err = tidemark.Refuse(tidemark.UnknownEvent, "event %d is not kept: the log goes from %d to %d", seq, h.Floor+1, h.Seq)
	}
	if err != nil {
		return tidemark.Digest{}, err
	}
	return e.Digest, nil
}

// ByClientID is the seq of the event that a user's client id made in a conversation; 0 if none.
func (p *Partition) ByClientID(c record.Conversation, user tidemark.UserID, id tidemark.ClientID) (tidemark.Seq, error) {
	u, ok, err := p.User(user)
	if err != nil || !ok {
		return 0, err
	}
	return p.byClientID(c, u, id)
}

func (p *Partition) byClientID(c record.Conversation, u record.User, id tidemark.ClientID) (tidemark.Seq, error) {
	h, err := p.head(c)
	if err != nil || h == nil {
		return 0, err
	}
	seq, err := p.db.ByClientID(c, u, id)
	if err != nil {
		return 0, fmt.Errorf("partition: client id in %d: %w", c, err)
	}
	if seq > h.Seq {
		seq = 0 // of a commit in flight
	}
	k := clientKey{c, u, id}
	return asBefore(p, func(o *overlay) *table[clientKey, tidemark.Seq] { return &o.clientIDs }, k, seq), nil
}

// Profile of a user whose home is this partition; nil if the user does not exist. The record is shared.
func (p *Partition) Profile(id tidemark.UserID) (*record.Profile, error) {
	p.mu.RLock()
	f, cached := p.mem.profiles.get(id)
	since := p.mem.state.Position
	p.mu.RUnlock()
	if cached {
		return f, nil
	}
	p.stats.misses.Add(1)
	f, err := p.db.Profile(id)
	if err != nil {
		return nil, fmt.Errorf("partition: profile of %s: %w", id, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if flight := p.mem.flight; flight != nil {
		f = flight.profiles.before(id, f)
	}
	if p.unchanged(since) {
		p.mem.profiles.put(id, f, 1)
	}
	return f, nil
}

// Device of a user whose home is this partition; nil if it is not known. The record is shared.
func (p *Partition) Device(id tidemark.UserID, device tidemark.DeviceID) (*record.Device, error) {
	k := deviceKey{id, device}
	p.mu.RLock()
	d, cached := p.mem.devices.get(k)
	since := p.mem.state.Position
	p.mu.RUnlock()
	if cached {
		return d, nil
	}
	p.stats.misses.Add(1)
	d, err := p.db.Device(id, device)
	if err != nil {
		return nil, fmt.Errorf("partition: device %s of %s: %w", device, id, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if flight := p.mem.flight; flight != nil {
		d = flight.devices.before(k, d)
	}
	if p.unchanged(since) {
		p.mem.devices.put(k, d)
	}
	return d, nil
}
