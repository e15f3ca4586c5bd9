// SPDX-License-Identifier: Apache-2.0

// The contract groups: the conversations of the user, and their public data.

package contract

import (
	"cmp"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// groups answers the conversations joined and left past the list version, and those whose public data changed past the
// info version. Both are found by comparing the user's list and the heads in memory, as a device that syncs is served;
// records are read only of conversations in which something happened.
func (a *answer) groups(c *wire.GroupsContract) (*wire.GroupsChanges, error) {
	owner := tagOf(string(a.user))
	list, listed := a.readVector(groupsList, owner, c.GetListVersion())
	info, informed := a.readVector(groupsInfo, owner, c.GetInfoVersion())
	question := tagOf("groups", string(a.user), c.GetListVersion(), c.GetInfoVersion())
	g, err := a.begin(question, c.GetPageToken(), !listed || !informed)
	if err != nil {
		return nil, err
	}
	if g.full {
		list, info = make(vector, len(a.now)), make(vector, len(a.now))
	}
	out := &wire.GroupsChanges{
		Full:        g.full,
		ListVersion: a.vectorVersion(groupsList, owner, g.upTo), InfoVersion: a.vectorVersion(groupsInfo, owner, g.upTo),
	}
	for int(g.partition) < len(a.now) {
		more, err := g.conversations(out, list[g.partition], info[g.partition])
		if err != nil {
			return nil, err
		}
		if more {
			out.NextPageToken = a.pageToken(question, &g.place)
			break
		}
		g.next()
	}
	return out, nil
}

// conversations answers those of one partition; more says that the page is full.
func (g *page) conversations(out *wire.GroupsChanges, list, info tidemark.Position) (more bool, err error) {
	p := g.set.At(g.partition)
	rows, err := p.Changed(g.user, min(list, info))
	if err != nil {
		return false, err
	}
	slices.SortFunc(rows, func(a, b partition.ListRow) int { return cmp.Compare(a.Conversation, b.Conversation) })
	for _, row := range rows {
		if uint64(row.Conversation) <= g.done {
			continue
		}
		if !g.look() {
			return true, nil
		}
		if room, err := g.conversation(out, p, row.Conversation, list, info); err != nil || !room {
			return true, err
		}
		g.done = uint64(row.Conversation)
	}
	return false, nil
}

// conversation answers one; room is false if it does not fit.
func (g *page) conversation(
	out *wire.GroupsChanges, p *partition.Partition, c record.Conversation, list, info tidemark.Position,
) (room bool, err error) {
	i, err := p.InfoOf(c)
	if err != nil || i == nil {
		return true, err
	}
	m, err := p.Member(c, g.user)
	if err != nil || m == nil {
		return true, err
	}
	moved := m.ListPosition > list
	if !m.Active() {
		if !moved || g.full {
			return true, nil
		}
		if room = g.take(len(i.ID)); room {
			out.Left = append(out.Left, string(i.ID))
		}
		return room, nil
	}
	if !moved && !g.full && max(i.InfoPosition, i.MembersPosition) <= info {
		return true, nil
	}
	head, err := p.Head(c)
	if err != nil {
		return false, err
	}
	d := &wire.ConversationDelta{Id: string(i.ID), Partition: p.Number(), Info: p.WireInfo(i, head.Members)}
	if moved || g.full {
		d.Self = partition.WireSelf(i, m, head.Seq)
	}
	switch room = g.take(d.SizeVT()); {
	case room && d.Self != nil:
		out.Joined = append(out.Joined, d)
	case room:
		out.Changed = append(out.Changed, d)
	}
	return room, nil
}
