// SPDX-License-Identifier: Apache-2.0

// The contract contacts: how the user stands to others, and their profiles.

package contract

import (
	"errors"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// The stages of an answer about contacts. One that is full has the first only.
const (
	contactsMoved   stage = 0 // contacts changed, with their profiles
	contactsIndexed stage = 1 // changed profiles along the index
	contactsByOne   stage = 2 // changed profiles along the contacts
)

// contacts answers the contacts that changed past the list version, and whose profile changed past the info version. A
// contact is whom the user has asked, or was asked by, is in contact with, has blocked, or has a remark for.
func (a *answer) contacts(c *wire.ContactsContract) (*wire.ContactsChanges, error) {
	owner := tagOf(string(a.user))
	list, listed := a.readVector(contactsList, owner, c.GetListVersion())
	info, informed := a.readVector(contactsInfo, owner, c.GetInfoVersion())
	question := tagOf("contacts", string(a.user), c.GetListVersion(), c.GetInfoVersion())
	g, err := a.begin(question, c.GetPageToken(), !listed || !informed)
	if err != nil {
		return nil, err
	}
	if g.full {
		list = make(vector, len(a.now))
	}
	k := &contacts{page: g, list: list, info: info, out: &wire.ContactsChanges{
		Full:        g.full,
		ListVersion: a.vectorVersion(contactsList, owner, g.upTo), InfoVersion: a.vectorVersion(contactsInfo, owner, g.upTo),
	}}
	more, err := k.fill()
	if err != nil {
		return nil, err
	}
	if more {
		k.out.NextPageToken = a.pageToken(question, &g.place)
	}
	return k.out, nil
}

// contacts is an answer about contacts.
type contacts struct {
	*page
	list, info vector // the versions held
	out        *wire.ContactsChanges
}

// fill goes from stage to stage; more says that the page is full.
func (k *contacts) fill() (more bool, err error) {
	if k.stage == contactsMoved {
		if more, err = k.walk(k.list, k.contact); err != nil || more || k.full {
			return more, err
		}
		if err = k.choose(); err != nil {
			return false, err
		}
	}
	if k.stage == contactsIndexed {
		return k.indexed(k.info, k.isContact, &k.out.Changed)
	}
	return k.walk(make(vector, len(k.now)), func(peer tidemark.UserID, m *record.Member) (bool, error) {
		if !m.HasContact() {
			return true, nil
		}
		return k.changed(peer, k.info, &k.out.Changed)
	})
}

// walk goes along the user's entries in the index of contacts, past the positions since, from where the page is.
func (k *contacts) walk(since vector, fn func(tidemark.UserID, *record.Member) (room bool, err error)) (more bool, err error) {
	for ; int(k.partition) < len(k.now); k.next() {
		p := k.set.At(k.partition)
		u, met, err := p.User(k.user)
		if err != nil {
			return false, err
		}
		for first := uint64(since[k.partition]) + 1; met; {
			if k.done == 0 {
				k.done = first
			}
			from := record.Index{User: u, Position: tidemark.Position(k.done), Conversation: record.Conversation(k.part)}
			entries, err := p.ContactsChanged(from, k.upTo[k.partition], chunk)
			if err != nil {
				return false, err
			}
			for _, e := range entries {
				if !k.look() {
					return true, nil
				}
				if room, err := k.entry(p, e, fn); err != nil || !room {
					return true, err
				}
				k.done, k.part = uint64(e.Position), uint64(e.Conversation)+1
			}
			if len(entries) < chunk {
				break
			}
		}
	}
	return false, nil
}

// entry reads what an entry stands for.
func (k *contacts) entry(
	p *partition.Partition, e record.Index, fn func(tidemark.UserID, *record.Member) (bool, error),
) (room bool, err error) {
	i, err := p.InfoOf(e.Conversation)
	if err != nil || i == nil {
		return true, err
	}
	peer, direct := i.ID.Peer(k.user)
	if !direct {
		return true, nil
	}
	m, err := p.Member(e.Conversation, k.user)
	if err != nil || m == nil {
		return true, err
	}
	return fn(peer, m)
}

// contact answers one contact with its profile, or that it is none any more.
func (k *contacts) contact(peer tidemark.UserID, m *record.Member) (room bool, err error) {
	if !m.HasContact() {
		if k.full {
			return true, nil
		}
		if room = k.take(len(peer)); room {
			k.out.Removed = append(k.out.Removed, string(peer))
		}
		return room, nil
	}
	f, err := k.profile(peer)
	if err != nil {
		return false, err
	}
	c := &wire.Contact{
		User: string(peer), State: wire.ContactState(m.Contact), Remark: m.Remark, Blocked: m.Blocked, RequestText: m.RequestText,
		Conversation: string(tidemark.Direct(k.user, peer)),
	}
	if !k.take(c.SizeVT() + len(peer) + k.cost(f)) {
		return false, nil
	}
	k.out.Contacts = append(k.out.Contacts, c)
	if k.send(f) {
		k.out.Changed = append(k.out.Changed, string(peer))
	}
	return true, nil
}

func (k *contacts) isContact(id tidemark.UserID) (bool, error) {
	direct := tidemark.Direct(k.user, id)
	p := k.set.Of(direct)
	i, err := p.Info(direct)
	var unknown *tidemark.Error
	if errors.As(err, &unknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m, err := p.Member(i.Ordinal, k.user)
	return m != nil && m.HasContact(), err
}

// choose takes the shorter way to the changed profiles. Neither length is known: both are counted to ever higher bounds,
// so that finding out costs no more than going the shorter way.
func (k *contacts) choose() error {
	for most := chunk; ; most *= 4 {
		changed, err := k.changedUpTo(k.info, most)
		if err != nil {
			return err
		}
		if changed < most {
			k.to(contactsIndexed)
			return nil
		}
		contacts, err := k.count(most)
		if err != nil {
			return err
		}
		if contacts < most {
			k.to(contactsByOne)
			return nil
		}
	}
}

// count counts the user's entries in the index of contacts, and stops at most.
func (k *contacts) count(most int) (n int, err error) {
	for number := range k.set.Partitions() {
		p := k.set.At(number)
		u, met, err := p.User(k.user)
		if err != nil {
			return 0, err
		}
		if !met {
			continue
		}
		entries, err := p.ContactsChanged(record.Index{User: u}, k.upTo[number], most-n)
		if err != nil {
			return 0, err
		}
		if n += len(entries); n >= most {
			break
		}
	}
	return n, nil
}
