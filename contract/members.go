// SPDX-License-Identifier: Apache-2.0

// The contract groupMembers: who is in a conversation, and their profiles.

package contract

import (
	"errors"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// The stages of an answer about members. One that is full has the last only.
const (
	membersEvents  stage = 0 // the events between the versions, with the profiles of those added
	membersIndexed stage = 1 // changed profiles along the index
	membersByOne   stage = 2 // changed profiles along the members; if full, the members
)

// members is an answer about the members of one conversation.
type members struct {
	*page
	sight   *partition.Sight
	out     *wire.GroupMembersChanges
	seq     tidemark.Seq // the list version held: the list as of this event,
	at      tidemark.Position
	info    vector // the info version held
	subject tag
}

// groupMembers answers who came and went past the list version, and whose profile changed past the info version.
//
// The list is versioned by the log itself: the list at seq n is what the events up to n make of it. Events that the user
// may not see, because it joined later, are not told: such a version gets the whole list.
func (a *answer) groupMembers(c *wire.GroupMembersContract) (*wire.GroupMembersChanges, error) {
	out := &wire.GroupMembersChanges{Conversation: c.GetConversation()}
	sight, err := a.set.See(a.user, tidemark.ConversationID(c.GetConversation()))
	var refusal *tidemark.Error
	if errors.As(err, &refusal) {
		out.Error = wire.ErrorOf(0, refusal)
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	m := &members{sight: sight, out: out, subject: tagOf(string(a.user), c.GetConversation())}
	held := m.hold(a, c)
	question := tagOf("members", string(a.user), c.GetConversation(), c.GetListVersion(), c.GetInfoVersion())
	if m.page, err = a.begin(question, c.GetPageToken(), !held); err != nil {
		return nil, err
	}
	if c.GetPageToken() == "" {
		err = m.first()
	} else if !m.full && m.stage == membersEvents && m.since() < sight.Floor {
		err = m.whole() // what is still to be told is no longer kept, or not visible any more
	}
	if err != nil {
		return nil, err
	}
	more, err := m.fill()
	if err != nil {
		return nil, err
	}
	if more {
		out.NextPageToken = a.pageToken(question, &m.place)
	}
	out.Full = m.full
	out.ListVersion = seal(membersList, m.subject, a.set.Epoch(), "", uint64(m.upToSeq), uint64(m.upTo[sight.Partition.Number()]))
	out.InfoVersion = a.vectorVersion(membersInfo, m.subject, m.upTo)
	return out, nil
}

// hold reads the versions held; ok is false if the list must be given whole.
func (m *members) hold(a *answer, c *wire.GroupMembersContract) (ok bool) {
	numbers, rest, ok := open(membersList, m.subject, a.set.Epoch(), c.GetListVersion(), 2)
	if !ok || rest != "" {
		return false
	}
	m.seq, m.at = tidemark.Seq(numbers[0]), tidemark.Position(numbers[1])
	if m.seq > m.sight.Head.Seq || m.at > a.now[m.sight.Partition.Number()] {
		return false
	}
	m.info, ok = a.readVector(membersInfo, m.subject, c.GetInfoVersion())
	return ok
}

// since is the seq up to which the client has, or was told, the events.
func (m *members) since() tidemark.Seq {
	return max(m.seq, tidemark.Seq(m.done))
}

// first decides, with the first page, what the new versions stand for and whether the list is given whole.
func (m *members) first() (err error) {
	p, c := m.sight.Partition, m.sight.Info.Ordinal
	if m.full {
		return m.whole()
	}
	if m.upToSeq, err = p.SeqAt(c, m.upTo[p.Number()]); err != nil {
		return err
	}
	if m.sight.Info.MembersPosition <= m.at {
		return m.profilesNext() // the same list, whatever is still kept of the log
	}
	if m.seq < m.sight.Floor {
		return m.whole()
	}
	if m.upToSeq > m.seq+tidemark.Seq(m.sight.Head.Members) {
		most := int(m.sight.Head.Members) + 1
		if n, err := p.MembershipsMax(c, m.seq, m.upToSeq, most); err != nil || n == most {
			if err == nil {
				err = m.whole() // there are more events than members
			}
			return err
		}
	}
	return nil
}

// whole begins to give the list whole, as of now.
func (m *members) whole() (err error) {
	p := m.sight.Partition
	m.full, m.upTo = true, m.now
	m.to(membersByOne)
	m.upToSeq, err = p.SeqAt(m.sight.Info.Ordinal, m.upTo[p.Number()])
	return err
}

// fill goes from stage to stage; more says that the page is full.
func (m *members) fill() (more bool, err error) {
	if m.stage == membersEvents {
		if more, err = m.events(); err != nil || more {
			return more, err
		}
	}
	if m.stage == membersIndexed {
		return m.indexed(m.info, m.isMember, &m.out.Changed)
	}
	return m.byOne()
}

// profilesNext goes on to the changed profiles, along the shorter way.
func (m *members) profilesNext() error {
	most := int(m.sight.Head.Members)
	n, err := m.changedUpTo(m.info, most)
	if err != nil {
		return err
	}
	if m.to(membersIndexed); n >= most {
		m.to(membersByOne)
	}
	return nil
}

func (m *members) isMember(id tidemark.UserID) (bool, error) {
	r, err := m.sight.Partition.Member(m.sight.Info.Ordinal, id)
	return r.Active(), err
}

// events answers the events between the versions, a name being a row: an event with many names may come in pieces.
func (m *members) events() (more bool, err error) {
	p, c := m.sight.Partition, m.sight.Info.Ordinal
	for after := m.since(); ; {
		list, kept, err := p.MembershipEvents(c, after, m.upToSeq, chunk, m.bytesMax)
		if err != nil {
			return false, err
		}
		if !kept {
			m.out.Events, m.out.Changed = nil, nil
			return false, m.whole()
		}
		for _, e := range list {
			if !m.look() {
				return true, nil
			}
			if room, err := m.event(e); err != nil || !room {
				return true, err
			}
			after = e.Seq
			m.done, m.part = uint64(e.Seq), 0
		}
		if len(list) == 0 {
			return false, m.profilesNext()
		}
	}
}

// event answers one event from the name on that the page has come to; room is false if it does not fit to its end.
func (m *members) event(e *record.Event) (room bool, err error) {
	var body wire.Body
	if err := body.UnmarshalVT(e.Body); err != nil {
		return false, err
	}
	change := body.GetMembers()
	names := slices.Concat(change.GetAdded(), change.GetRemoved())
	added, gone := len(change.GetAdded()), len(names)
	for _, name := range slices.Sorted(maps.Keys(change.GetRoles())) {
		if !slices.Contains(change.GetAdded(), name) {
			names = append(names, name)
		}
	}
	piece := &wire.MembershipEvent{Seq: uint64(e.Seq), TimeMs: e.TimeMs, Sender: string(e.SenderID)}
	told := false
	for room = true; m.part < uint64(len(names)); m.part++ {
		i := int(m.part)
		if room, err = m.name(piece, names[i], i < added, i >= added && i < gone, change.GetRoles()); err != nil || !room {
			break
		}
		told = true
	}
	if told {
		m.out.Events = append(m.out.Events, piece)
	}
	return room, err
}

// name puts one name into a piece of an event, with the profile of who was added.
func (m *members) name(piece *wire.MembershipEvent, name string, added, removed bool, roles map[string]wire.Role) (room bool, err error) {
	f := &profile{}
	if added {
		if f, err = m.profile(tidemark.UserID(name)); err != nil {
			return false, err
		}
	}
	if !m.take(len(name) + m.cost(f)) {
		return false, nil
	}
	switch {
	case added:
		piece.Added = append(piece.Added, name)
		if m.send(f) {
			m.out.Changed = append(m.out.Changed, name)
		}
	case removed:
		piece.Removed = append(piece.Removed, name)
	}
	if role, given := roles[name]; given {
		if piece.Roles == nil {
			piece.Roles = make(map[string]wire.Role)
		}
		piece.Roles[name] = role
	}
	return true, nil
}

// byOne goes along the members: all of them if the list is given whole, otherwise those whose profile changed.
func (m *members) byOne() (more bool, err error) {
	for {
		rows, err := m.sight.Partition.Members(m.sight.Info.Ordinal, record.User(m.done), chunk)
		if err != nil {
			return false, err
		}
		for _, row := range rows {
			if !m.look() {
				return true, nil
			}
			room := false
			if m.full {
				room, err = m.member(row)
			} else {
				room, err = m.changed(row.User, m.info, &m.out.Changed)
			}
			if err != nil || !room {
				return true, err
			}
			m.done = uint64(row.Ordinal)
		}
		if len(rows) < chunk {
			return false, nil
		}
	}
}

// member answers one member with its profile.
func (m *members) member(row partition.MemberRow) (room bool, err error) {
	f, err := m.profile(row.User)
	if err != nil {
		return false, err
	}
	if !m.take(2*len(row.User) + m.cost(f)) {
		return false, nil
	}
	m.out.Members = append(m.out.Members, &wire.Member{
		User: string(row.User), Role: wire.Role(row.Member.Role), JoinedSeq: uint64(row.Member.JoinedSeq),
	})
	if m.send(f) {
		m.out.Changed = append(m.out.Changed, string(row.User))
	}
	return true, nil
}
