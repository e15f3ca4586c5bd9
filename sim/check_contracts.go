// SPDX-License-Identifier: Apache-2.0

// Contracts, against brute force: for each user something keeps what it is answered, with the versions, as a client or an
// app's back end does, and asks with them. Whenever it has read to the end it must have what is there, whatever came between:
// commits, crashes, restores, pages that were left in the middle, an older copy of what it had.

package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/contract"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// keeper keeps the sets of one user.
type keeper struct {
	who      invariant.Who
	epoch    tidemark.Epoch // of the versions of sets
	sets     map[string]*kept
	oldEpoch tidemark.Epoch
	old      map[string]*kept // as they were some time ago
}

// The names of sets; a list of members has that of its conversation, with a colon before it.
const (
	keptGroups   = "groups"
	keptContacts = "contacts"
	keptProfiles = "profiles"
)

// kept is what is held of one set.
type kept struct {
	list, info, token string
	full, begun       bool // of the pages so far
	rows              rows
	profiles          rows
}

// rows are messages by conversation or user. A message that is there is not changed.
type rows map[string]proto.Message

func (k *keeper) set(name string) *kept {
	if k.sets[name] == nil {
		k.sets[name] = &kept{rows: rows{}, profiles: rows{}}
	}
	return k.sets[name]
}

// copied are copies of all that is held.
func copied(sets map[string]*kept) map[string]*kept {
	all := make(map[string]*kept, len(sets))
	for name, set := range sets {
		s := *set
		s.rows, s.profiles = maps.Clone(set.rows), maps.Clone(set.profiles)
		all[name] = &s
	}
	return all
}

// page begins to take in a page: where the set comes whole, what was held is dropped once.
func (k *kept) page(full bool, list, info, token string) {
	if full && (!k.begun || !k.full) {
		clear(k.rows)
		clear(k.profiles)
	}
	k.begun, k.full, k.token = token != "", full, token
	if token == "" {
		k.list, k.info = list, info
	}
}

func (k *kept) learn(answer *wire.ChangesResponse, changed []string) {
	for _, p := range answer.ChangedProfiles {
		if slices.Contains(changed, p.Id) {
			k.profiles[p.Id] = unversioned(p)
		}
	}
}

// unversioned is a profile, made for us, without the versions of its fields.
func unversioned(p *wire.Profile) *wire.Profile {
	p.Versions = nil
	return p
}

// unpinned is public data, made for us, without pins: those that are kept no longer go without a word.
func unpinned(i *wire.ConversationInfo) *wire.ConversationInfo {
	i.Pinned = nil
	return i
}

// lookAtContracts lets the keeper of a user ask, once or until there is no more, and compares what it then has. groups are
// the user's conversations.
func (w *world) lookAtContracts(who invariant.Who, groups map[tidemark.ConversationID]bool) {
	c, chance := w.checks, w.checks.chance
	if c.puller == nil {
		return // there are more users to come, and versions hold for a set of users
	}
	k := c.keepers[who.User]
	if k == nil {
		k = &keeper{who: who, sets: make(map[string]*kept)}
		c.keepers[who.User] = k
	}
	if chance.IntN(8) == 0 && k.old != nil {
		k.sets, k.epoch = copied(k.old), k.oldEpoch
	}
	var about tidemark.ConversationID // whose members are asked for
	if ids := slices.Sorted(maps.Keys(groups)); len(ids) > 0 {
		about = ids[chance.IntN(len(ids))]
	}
	if epoch := w.server.set.Epoch(); k.epoch != epoch { // page tokens are void; versions say so themselves
		for _, set := range k.sets {
			set.token, set.begun = "", false
		}
	}
	if chance.IntN(4) == 0 {
		w.ask(k, about, 1+chance.Uint32N(3))
		return
	}
	for range 2 { // what was begun, and what has changed since
		goesOn := k.begun(about)
		for limit := 1 + chance.Uint32N(20); w.ask(k, about, limit); {
			continue
		}
		if w.failure != nil {
			return
		}
		if !goesOn {
			break
		}
	}
	w.compareKept(k, about, groups)
	if chance.IntN(4) == 0 {
		k.old, k.oldEpoch = copied(k.sets), k.epoch
	}
}

// begun reports whether the pages of one of the sets that are asked for are in the middle.
func (k *keeper) begun(about tidemark.ConversationID) bool {
	return k.set(keptGroups).begun || k.set(keptContacts).begun || k.set(keptProfiles).begun || about != "" && k.set(":"+string(about)).begun
}

// ask asks one question with the versions held; more says that a set goes on.
func (w *world) ask(k *keeper, about tidemark.ConversationID, limit uint32) (more bool) {
	answer, err := contract.Changes(w.server.set, k.who.User, w.question(k, about, limit))
	if err != nil {
		w.broken("S9", k.who, "", 0, "the contracts are refused: "+err.Error())
		return false
	}
	return w.keep(k, answer)
}

// question asks for all sets with the versions held, and for the members of one conversation.
func (w *world) question(k *keeper, about tidemark.ConversationID, limit uint32) *wire.ChangesRequest {
	groups, contacts, profiles := k.set(keptGroups), k.set(keptContacts), k.set(keptProfiles)
	ask := &wire.ChangesRequest{
		Limit:    limit,
		Groups:   &wire.GroupsContract{ListVersion: groups.list, InfoVersion: groups.info, PageToken: groups.token},
		Contacts: &wire.ContactsContract{ListVersion: contacts.list, InfoVersion: contacts.info, PageToken: contacts.token},
		Profiles: &wire.ProfilesContract{InfoVersion: profiles.info, PageToken: profiles.token},
	}
	for _, u := range w.users {
		ask.Profiles.Users = append(ask.Profiles.Users, string(u.id))
	}
	if about != "" {
		members := k.set(":" + string(about))
		ask.GroupMembers = []*wire.GroupMembersContract{{
			Conversation: string(about), ListVersion: members.list, InfoVersion: members.info, PageToken: members.token,
		}}
	}
	return ask
}

// keep takes an answer in; more says that a set goes on.
func (w *world) keep(k *keeper, answer *wire.ChangesResponse) (more bool) {
	groups, contacts, profiles := k.set(keptGroups), k.set(keptContacts), k.set(keptProfiles)
	same := k.epoch == w.server.set.Epoch()
	w.checkFull(k, keptGroups, groups, same, answer.Groups.Full)
	w.checkFull(k, keptContacts, contacts, same, answer.Contacts.Full)
	w.checkFull(k, keptProfiles, profiles, same, answer.Profiles.Full)
	groups.groups(answer.Groups)
	contacts.contacts(answer, answer.Contacts)
	profiles.page(answer.Profiles.Full, "", answer.Profiles.InfoVersion, answer.Profiles.NextPageToken)
	profiles.learn(answer, answer.Profiles.Changed)
	more = groups.begun || contacts.begun || profiles.begun
	for _, set := range answer.GroupMembers {
		members := k.set(":" + set.Conversation)
		if set.Error != nil {
			w.broken("S9", k.who, tidemark.ConversationID(set.Conversation), 0, "a member is refused the list of members: "+set.Error.Message)
			return false
		}
		w.checkMembership(k, set)
		members.members(answer, set)
		more = more || members.begun
	}
	k.epoch = w.server.set.Epoch()
	return more && w.failure == nil
}

// checkFull checks that a version that was handed out in this epoch can be used (S7), and one of another cannot (S9). Lists
// of members are not looked at: they come whole for more reasons.
func (w *world) checkFull(k *keeper, name string, set *kept, same, full bool) {
	switch {
	case set.info == "" || set.begun:
	case same && full:
		w.broken("S7", k.who, "", 0, "a version of "+name+" that was handed out in this epoch is not taken")
	case !same && !full:
		w.broken("S9", k.who, "", 0, "a version of "+name+" of another epoch is answered by a difference")
	}
}

// checkMembership checks that nobody is told of events about members from before those that the user may see (S5).
func (w *world) checkMembership(k *keeper, set *wire.GroupMembersChanges) {
	id := tidemark.ConversationID(set.Conversation)
	stay, _ := w.checks.logs[id].Member(k.who.User)
	for _, e := range set.Events {
		if tidemark.Seq(e.Seq) < stay.From {
			w.broken("S5", k.who, id, tidemark.Seq(e.Seq), fmt.Sprintf("a contract tells an event of who sees what is from %d on", stay.From))
		}
	}
}

func (k *kept) groups(a *wire.GroupsChanges) {
	k.page(a.Full, a.ListVersion, a.InfoVersion, a.NextPageToken)
	for _, c := range a.Joined {
		k.rows[c.Id] = unpinned(c.Info)
	}
	for _, id := range a.Left {
		delete(k.rows, id)
	}
	for _, c := range a.Changed {
		k.rows[c.Id] = unpinned(c.Info)
	}
}

func (k *kept) contacts(answer *wire.ChangesResponse, a *wire.ContactsChanges) {
	k.page(a.Full, a.ListVersion, a.InfoVersion, a.NextPageToken)
	for _, c := range a.Contacts {
		k.rows[c.User] = c
	}
	for _, id := range a.Removed {
		delete(k.rows, id)
	}
	k.learn(answer, a.Changed)
}

func (k *kept) members(answer *wire.ChangesResponse, a *wire.GroupMembersChanges) {
	k.page(a.Full, a.ListVersion, a.InfoVersion, a.NextPageToken)
	for _, m := range a.Members {
		k.rows[m.User] = &wire.Member{User: m.User, Role: m.Role}
	}
	for _, e := range a.Events {
		for _, id := range e.Added {
			k.rows[id] = &wire.Member{User: id, Role: wire.Role_MEMBER}
		}
		for id, role := range e.Roles {
			k.rows[id] = &wire.Member{User: id, Role: role}
		}
		for _, id := range e.Removed {
			delete(k.rows, id)
		}
	}
	k.learn(answer, a.Changed)
}

// compareKept compares what a keeper has, who has read to the end, with what is there (S8).
func (w *world) compareKept(k *keeper, about tidemark.ConversationID, groups map[tidemark.ConversationID]bool) {
	for _, name := range []string{keptGroups, keptContacts, keptProfiles, ":" + string(about)} {
		want, users, err := w.wanted(k.who.User, name, groups)
		if err != nil {
			w.broken("S12", k.who, about, 0, "what a contract is about cannot be read: "+err.Error())
			return
		}
		profiles := rows{}
		for _, user := range users {
			f, err := w.server.set.OfUser(user).Profile(user)
			if err != nil || f == nil {
				w.broken("S12", k.who, "", 0, fmt.Sprintf("the profile of %s cannot be read: %v", user, err))
				return
			}
			profiles[string(user)] = unversioned(partition.WireProfile(f))
		}
		has := k.set(name)
		if text := unlike(has.rows, want, true) + unlike(has.profiles, profiles, false); text != "" {
			w.broken("S8", k.who, about, 0, fmt.Sprintf("who asks the contract %s with its versions, and reads to the end, has something else than there is: %s", name, text))
			return
		}
	}
}

// wanted is what there is of a set, and the users whose profiles come with it.
func (w *world) wanted(user tidemark.UserID, name string, groups map[tidemark.ConversationID]bool) (want rows, users []tidemark.UserID, err error) {
	want = rows{}
	switch name {
	case ":": // the user is in no conversation
	case keptGroups:
		for _, id := range slices.Sorted(maps.Keys(groups)) { // in one order: what is looked at comes into memory
			p := w.server.set.Of(id)
			info, infoErr := p.Info(id)
			if infoErr != nil {
				return nil, nil, infoErr
			}
			head, headErr := p.Head(info.Ordinal)
			err = errors.Join(err, headErr)
			want[string(id)] = unpinned(p.WireInfo(info, head.Members))
		}
	case keptContacts:
		for _, peer := range w.users {
			c, contactErr := w.contact(user, peer.id)
			if err = errors.Join(err, contactErr); c != nil {
				want[c.User] = c
				users = append(users, peer.id)
			}
		}
	case keptProfiles:
		for _, u := range w.users {
			users = append(users, u.id)
		}
	default:
		l := w.checks.logs[tidemark.ConversationID(name[1:])]
		p := w.server.set.Of(l.ID)
		info, infoErr := p.Info(l.ID)
		if infoErr != nil {
			return nil, nil, infoErr
		}
		for _, other := range slices.Sorted(maps.Keys(l.Stays)) {
			if _, member := l.Member(other); member {
				m, memberErr := p.Member(info.Ordinal, other)
				if memberErr != nil || m == nil {
					return nil, nil, errors.Join(memberErr, fmt.Errorf("the record of %s", other))
				}
				want[string(other)] = &wire.Member{User: string(other), Role: wire.Role(m.Role)}
				users = append(users, other)
			}
		}
	}
	return want, users, err
}

// contact is how a user stands to another; nil: neither has to do with the other.
func (w *world) contact(user, peer tidemark.UserID) (*wire.Contact, error) {
	id := tidemark.Direct(user, peer)
	if user == peer {
		return nil, nil
	}
	p := w.server.set.Of(id)
	info, err := p.Info(id)
	var none *tidemark.Error
	switch {
	case errors.As(err, &none): // a conversation that there is may have no event
		return nil, nil
	case err != nil:
		return nil, err
	}
	m, err := p.Member(info.Ordinal, user)
	if err != nil || m == nil || !m.HasContact() {
		return nil, err
	}
	return &wire.Contact{
		User: string(peer), State: wire.ContactState(m.Contact), Remark: m.Remark, Blocked: m.Blocked, RequestText: m.RequestText,
		Conversation: string(id),
	}, nil
}

// unlike says where rows differ from those wanted; whole: there may be no others.
func unlike(has, want rows, whole bool) string {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if has[key] == nil || !proto.Equal(has[key], want[key]) {
			return fmt.Sprintf("%s is %v, it should be %v", key, has[key], want[key])
		}
	}
	if whole && len(has) > len(want) {
		for _, key := range slices.Sorted(maps.Keys(has)) {
			if want[key] == nil {
				return key + " should not be there"
			}
		}
	}
	return ""
}
