// SPDX-License-Identifier: Apache-2.0

// An answer: the sets of one question, one after the other, in the room that there is.

package contract

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Limits of a question and of an answer.
const (
	rowsDefault   = 500    // rows of a set in one answer, where the question does not say
	rowsMax       = 1_000  // the most that a question may ask for; more is lowered to it
	setsMax       = 100    // member lists in one question
	usersMax      = 1_000  // users in one question
	lookedMax     = 10_000 // what one page of a set looks at before it ends, whether or not it had changed
	chunk         = 256    // entries read at once
	rowBytes      = 16     // what a row costs in an answer beside its texts, bytes; roughly
	lastStage     = membersByOne
	versionsBytes = 100 // what the versions of a profile's fields cost, bytes; roughly
)

// Changes answers what changed in the sets that req names, as the user may see it. An answer has at most about
// Limits.PageBytesMax bytes and as many rows of each set as req.Limit says (0: 500; at most 1,000); what has no room
// comes with the set's page token. It refuses with BAD_ARGUMENT a page token that it has not handed out for the same
// question, and with TOO_MANY more than 100 member lists or 1,000 users. A member list that the user may not see has the
// refusal in its place. The user must exist. Safe for concurrent use.
func Changes(set *partition.Set, user tidemark.UserID, req *wire.ChangesRequest) (*wire.ChangesResponse, error) {
	if n := len(req.GetGroupMembers()); n > setsMax {
		return nil, tidemark.Refuse(tidemark.TooMany, "groupMembers has %d member lists, at most %d are answered at once", n, setsMax)
	}
	if n := len(req.GetProfiles().GetUsers()); n > usersMax {
		return nil, tidemark.Refuse(tidemark.TooMany, "profiles has %d users, at most %d are answered at once", n, usersMax)
	}
	a := &answer{
		set: set, user: user, limit: rowsDefault, bytesMax: int(set.Limits().PageBytesMax), now: make(vector, set.Partitions()),
		profiles: make(map[tidemark.UserID]*profile), response: &wire.ChangesResponse{},
	}
	if req.GetLimit() > 0 {
		a.limit = int(min(req.GetLimit(), rowsMax))
	}
	for n := range set.Partitions() { // before anything else is read: everything up to here will be found
		a.now[n] = set.At(n).Published()
	}
	var err error
	if req.Groups != nil {
		if a.response.Groups, err = a.groups(req.Groups); err != nil {
			return nil, err
		}
	}
	for _, c := range req.GetGroupMembers() {
		changes, err := a.groupMembers(c)
		if err != nil {
			return nil, err
		}
		a.response.GroupMembers = append(a.response.GroupMembers, changes)
	}
	if req.Contacts != nil {
		if a.response.Contacts, err = a.contacts(req.Contacts); err != nil {
			return nil, err
		}
	}
	if req.Profiles != nil {
		if a.response.Profiles, err = a.listed(req.Profiles); err != nil {
			return nil, err
		}
	}
	return a.response, nil
}

// answer is an answer being made.
type answer struct {
	set      *partition.Set
	user     tidemark.UserID
	limit    int // rows of a set
	bytesMax int
	bytes    int    // of the answer so far, roughly; <= bytesMax but for a single row that is larger
	now      vector // published when the answer began
	profiles map[tidemark.UserID]*profile
	response *wire.ChangesResponse
}

// profile is a profile that was read for this answer.
type profile struct {
	record *record.Profile // nil: there is no such user
	wire   *wire.Profile   // nil until its size was asked
	bytes  int
	sent   bool
}

// profile reads a profile, once.
func (a *answer) profile(id tidemark.UserID) (*profile, error) {
	if f := a.profiles[id]; f != nil {
		return f, nil
	}
	r, err := a.set.OfUser(id).Profile(id)
	if err != nil {
		return nil, err
	}
	f := &profile{record: r}
	a.profiles[id] = f
	return f, nil
}

// changedSince reports whether a profile that is there changed past the positions.
func (a *answer) changedSince(f *profile, id tidemark.UserID, since vector) bool {
	return f.record != nil && f.record.Position() > since[a.set.OfUser(id).Number()]
}

// cost is how many bytes a profile adds to the answer: none if it is in it already, or is not there.
func (a *answer) cost(f *profile) int {
	if f.record == nil || f.sent {
		return 0
	}
	if f.wire == nil {
		f.wire = partition.WireProfile(f.record)
		f.bytes = f.wire.SizeVT() + versionsBytes
	}
	return f.bytes
}

// send puts a profile into the answer unless it is in it already; sent is false if there is no such user.
func (a *answer) send(f *profile) (sent bool) {
	if f.record == nil || f.sent {
		return f.sent
	}
	a.cost(f)
	f.sent = true
	home := a.set.OfUser(f.record.ID).Number()
	f.wire.Versions = map[string]string{
		"nickname": a.fieldVersion(home, f.record.NicknamePosition),
		"avatar":   a.fieldVersion(home, f.record.AvatarPosition),
		"custom":   a.fieldVersion(home, f.record.CustomPosition),
	}
	a.response.ChangedProfiles = append(a.response.ChangedProfiles, f.wire)
	return true
}

// page is one set's part of an answer.
type page struct {
	*answer
	place
	rows   int // <= limit
	looked int // <= lookedMax
}

// begin is the page of a set: where its token says, or at the beginning of an answer that is full or not.
func (a *answer) begin(t tag, pageToken string, full bool) (*page, error) {
	if pageToken == "" {
		return &page{answer: a, place: place{upTo: a.now, full: full}}, nil
	}
	p, err := a.readToken(t, pageToken)
	if err != nil {
		return nil, err
	}
	return &page{answer: a, place: *p}, nil
}

// look counts one more thing that is looked at, and reports whether the page may.
func (g *page) look() bool {
	g.looked++
	return g.looked <= lookedMax && g.rows < g.limit
}

// take counts one more row of so many bytes, and reports whether it has room. The first of an answer always has.
func (g *page) take(bytes int) bool {
	bytes += rowBytes
	if g.rows >= g.limit || g.bytes > 0 && g.bytes+bytes > g.bytesMax {
		return false
	}
	g.rows++
	g.bytes += bytes
	return true
}

// to goes on to another stage.
func (g *page) to(s stage) {
	g.stage, g.partition, g.done, g.part, g.id = s, 0, 0, 0, ""
}

// next goes on to the next partition.
func (g *page) next() {
	g.partition, g.done, g.part, g.id = g.partition+1, 0, 0, ""
}
