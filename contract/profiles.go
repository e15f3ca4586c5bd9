// SPDX-License-Identifier: Apache-2.0

// Profiles: the contract profiles, and how the profiles that changed among many users are found.
//
// A changed profile stands once in the index of its user's home partition, wherever the user is known. So there are two
// ways to those of a set: along the index, asking of each entry whether it is in the set, or along the set, asking of
// each user whether it changed. The shorter is taken.

package contract

import (
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// listed answers the contract profiles: those of the users named whose profile changed. A version stands for the users
// it was handed out for, in whatever order; for others it cannot be used.
func (a *answer) listed(c *wire.ProfilesContract) (*wire.ProfilesChanges, error) {
	users := slices.Clone(c.GetUsers())
	slices.Sort(users)
	users = slices.Compact(users)
	named := tagOf(append([]string{string(a.user)}, users...)...)
	since, known := a.readVector(profilesInfo, named, c.GetInfoVersion())
	question := tagOf(append([]string{"profiles", string(a.user), c.GetInfoVersion()}, users...)...)
	g, err := a.begin(question, c.GetPageToken(), !known)
	if err != nil {
		return nil, err
	}
	if g.full {
		since = make(vector, len(a.now))
	}
	out := &wire.ProfilesChanges{Full: g.full, InfoVersion: a.vectorVersion(profilesInfo, named, g.upTo)}
	for ; g.done < uint64(len(users)); g.done++ {
		id := tidemark.UserID(users[g.done])
		f, err := a.profile(id)
		if err != nil {
			return nil, err
		}
		switch {
		case f.record != nil && !a.changedSince(f, id, since):
		case !g.take(len(id) + a.cost(f)):
			out.NextPageToken = a.pageToken(question, &g.place)
			return out, nil
		case a.send(f):
			out.Changed = append(out.Changed, string(id))
		default:
			out.Unknown = append(out.Unknown, string(id))
		}
	}
	return out, nil
}

// indexed walks along the index of changed profiles, from where the page is to its end, past the positions since: for
// each user that is in the set, it answers the profile. more says that the page is full.
func (g *page) indexed(since vector, in func(tidemark.UserID) (bool, error), changed *[]string) (more bool, err error) {
	for ; int(g.partition) < len(g.now); g.next() {
		if g.done == 0 {
			g.done = uint64(since[g.partition]) + 1
		}
		for {
			entries, err := g.entries()
			if err != nil {
				return false, err
			}
			for _, e := range entries {
				if !g.look() {
					return true, nil
				}
				id := tidemark.UserID(e.ID)
				if is, err := in(id); err != nil {
					return false, err
				} else if is {
					if room, err := g.changed(id, since, changed); err != nil || !room {
						return true, err
					}
				}
				g.done, g.id = uint64(e.Position), e.ID+"\x00"
			}
			if len(entries) < chunk {
				break
			}
		}
	}
	return false, nil
}

// entries reads the index of changed profiles on, from where the page is.
func (g *page) entries() ([]record.Index, error) {
	from := record.Index{Position: tidemark.Position(g.done), ID: g.id}
	return g.set.At(g.partition).ProfilesChanged(from, g.upTo[g.partition], chunk)
}

// changed answers one user's profile if it changed past since; room is false if it does not fit.
func (g *page) changed(id tidemark.UserID, since vector, changed *[]string) (room bool, err error) {
	f, err := g.profile(id)
	if err != nil || !g.changedSince(f, id, since) {
		return true, err
	}
	if !g.take(len(id) + g.cost(f)) {
		return false, nil
	}
	if g.send(f) {
		*changed = append(*changed, string(id))
	}
	return true, nil
}

// changedUpTo counts the entries of the index past since, in all partitions, and stops at most.
func (g *page) changedUpTo(since vector, most int) (n int, err error) {
	for number := range g.set.Partitions() {
		from := record.Index{Position: since[number] + 1}
		entries, err := g.set.At(number).ProfilesChanged(from, g.upTo[number], most-n)
		if err != nil {
			return 0, err
		}
		if n += len(entries); n >= most {
			break
		}
	}
	return n, nil
}
