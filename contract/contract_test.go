// SPDX-License-Identifier: Apache-2.0

// One story each: versions that cannot be used, logs that are no longer kept, history that may not be seen, pages with
// little room, commits that fail.

package contract_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/contract"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

func newTest(t *testing.T, config func(*partition.Config)) *world {
	w := newWorld(t, config)
	t.Cleanup(func() { w.close() })
	return w
}

// everything asks for all sets of alice, with these versions.
func everything(w *world, user tidemark.UserID, group, list, info string) *wire.ChangesResponse {
	return w.ask(user, &wire.ChangesRequest{
		Groups:       &wire.GroupsContract{ListVersion: list, InfoVersion: info},
		GroupMembers: []*wire.GroupMembersContract{{Conversation: group, ListVersion: list, InfoVersion: info}},
		Contacts:     &wire.ContactsContract{ListVersion: list, InfoVersion: info},
		Profiles:     &wire.ProfilesContract{Users: []string{"bob"}, InfoVersion: info},
	})
}

// wantFull fails unless every set came whole and with something in it.
func wantFull(t *testing.T, why string, a *wire.ChangesResponse) {
	t.Helper()
	g, m, k, p := a.Groups, a.GroupMembers[0], a.Contacts, a.Profiles
	if !g.Full || len(g.Joined) == 0 || !m.Full || len(m.Members) == 0 || !k.Full || len(k.Contacts) == 0 || !p.Full || len(p.Changed) == 0 {
		t.Errorf("%s: is answered by\n%v", why, a)
	}
}

// A version is never answered by nothing because it is not understood.
func TestVersionsThatCannotBeUsed(t *testing.T) {
	w := newTest(t, nil)
	w.users("alice", "bob", "carol")
	w.group("team", "alice", "bob")
	w.group("other", "alice", "carol")
	for _, user := range []tidemark.UserID{"alice", "carol"} {
		w.do(&core.Contact{User: user, Peer: "bob", Action: core.AskContact})
	}
	old := w.fs.CrashClone(vfs.CrashCloneCfg{})
	w.rename("bob", "Bob")
	now := everything(w, "alice", "team", "", "")
	wantFull(t, "no version", now)
	wantFull(t, "no version", everything(w, "carol", "other", "", ""))

	versions := map[string]string{
		"members": now.GroupMembers[0].ListVersion, "member profiles": now.GroupMembers[0].InfoVersion,
	}
	good := now.Groups.ListVersion
	for i := range good { // no prefix of a version is one, and no version with another letter in its header
		versions[fmt.Sprintf("the first %d letters", i)] = good[:i]
	}
	for i := range 18 {
		versions[fmt.Sprintf("another letter at %d", i)] = good[:i] + string("AB"[btoi(good[i] == 'A')]) + good[i+1:]
	}
	versions["more at the end"] = good + "AAAA"
	versions["nonsense"] = "not a version"
	versions["very long nonsense"] = strings.Repeat("A", 100_000)
	for why, v := range versions {
		wantFull(t, why, everything(w, "alice", "other", v, v))
	}
	mixed := w.ask("alice", &wire.ChangesRequest{Groups: &wire.GroupsContract{ListVersion: good, InfoVersion: good}})
	if !mixed.Groups.Full {
		t.Error("a list version is taken for an info version")
	}
	theirs := w.ask("carol", &wire.ChangesRequest{Groups: &wire.GroupsContract{ListVersion: good, InfoVersion: now.Groups.InfoVersion}})
	if !theirs.Groups.Full {
		t.Error("alice's version is taken for carol's")
	}
	for _, users := range [][]string{{"bob", "carol"}, {"carol"}} {
		p := w.ask("alice", &wire.ChangesRequest{Profiles: &wire.ProfilesContract{Users: users, InfoVersion: now.Profiles.InfoVersion}})
		if !p.Profiles.Full || len(p.Profiles.Changed) != len(users) {
			t.Errorf("a version for bob's profile is used for %v: %v", users, p)
		}
	}

	elsewhere := newTest(t, nil)
	elsewhere.users("alice", "bob", "carol")
	elsewhere.group("team", "alice", "bob")
	elsewhere.do(&core.Contact{User: "alice", Peer: "bob", Action: core.AskContact})
	for range 20 {
		elsewhere.rename("bob", fmt.Sprint(elsewhere.now))
		elsewhere.now++
	}
	wantFull(t, "another epoch", answerTo(elsewhere, now))

	w.close() // and is restored from a copy that is older than the versions
	w.fs = old
	w.open()
	wantFull(t, "the future", answerTo(w, now))
}

// answerTo asks with the versions of an earlier answer.
func answerTo(w *world, before *wire.ChangesResponse) *wire.ChangesResponse {
	m := before.GroupMembers[0]
	return w.ask("alice", &wire.ChangesRequest{
		Groups:       &wire.GroupsContract{ListVersion: before.Groups.ListVersion, InfoVersion: before.Groups.InfoVersion},
		GroupMembers: []*wire.GroupMembersContract{{Conversation: m.Conversation, ListVersion: m.ListVersion, InfoVersion: m.InfoVersion}},
		Contacts:     &wire.ContactsContract{ListVersion: before.Contacts.ListVersion, InfoVersion: before.Contacts.InfoVersion},
		Profiles:     &wire.ProfilesContract{Users: []string{"bob"}, InfoVersion: before.Profiles.InfoVersion},
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A version of now is answered by nothing, and says so.
func TestNothingChanged(t *testing.T) {
	w := newTest(t, nil)
	w.users("alice", "bob")
	w.group("team", "alice", "bob")
	w.do(&core.Contact{User: "alice", Peer: "bob", Action: core.AskContact})
	again := answerTo(w, everything(w, "alice", "team", "", ""))
	g, m, k, p := again.Groups, again.GroupMembers[0], again.Contacts, again.Profiles
	if g.Full || m.Full || k.Full || p.Full || len(g.Joined)+len(g.Changed)+len(m.Events)+len(m.Changed)+len(k.Contacts)+len(k.Changed)+
		len(p.Changed)+len(again.ChangedProfiles) > 0 {
		t.Errorf("nothing has changed, and the answer is\n%v", again)
	}
	w.rename("bob", "Bob") // one profile, in three sets
	again = answerTo(w, again)
	if len(again.ChangedProfiles) != 1 || len(again.GroupMembers[0].Changed) != 1 || len(again.Contacts.Changed) != 1 || len(again.Profiles.Changed) != 1 {
		t.Errorf("bob's profile has changed, and the answer is\n%v", again)
	}
	versions := again.ChangedProfiles[0].Versions
	if versions["nickname"] == versions["avatar"] || versions["avatar"] != versions["custom"] {
		t.Errorf("the nickname alone has changed since the beginning, and the versions are %v", versions)
	}
}

func members(w *world, user tidemark.UserID, group string, held *wire.GroupMembersChanges, limit uint32) *wire.GroupMembersChanges {
	w.Helper()
	return w.ask(user, &wire.ChangesRequest{Limit: limit, GroupMembers: []*wire.GroupMembersContract{{
		Conversation: group, ListVersion: held.GetListVersion(), InfoVersion: held.GetInfoVersion(), PageToken: held.GetNextPageToken(),
	}}}).GroupMembers[0]
}

// next is the question for the page after an answer: the versions are still those of before.
func next(before, answer *wire.GroupMembersChanges) *wire.GroupMembersChanges {
	return &wire.GroupMembersChanges{
		ListVersion: before.GetListVersion(), InfoVersion: before.GetInfoVersion(), NextPageToken: answer.NextPageToken,
	}
}

// S5: who comes back, or came late, is not told who came and went meanwhile. It gets the list whole.
func TestWhatMayNotBeSeenIsNotTold(t *testing.T) {
	w := newTest(t, nil)
	w.users("alice", "bob", "carol", "dave")
	w.group("team", "alice", "bob")
	before := members(w, "alice", "team", nil, 0)
	remove := func(user tidemark.UserID) {
		w.do(&core.RemoveMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{user}})
	}
	add := func(user tidemark.UserID) {
		w.do(&core.AddMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{user}})
	}
	remove("alice")
	if m := members(w, "alice", "team", before, 0); m.Error.GetReason() != wire.Reason_NOT_MEMBER || m.ListVersion != "" {
		t.Errorf("who is not a member is answered %v", m)
	}
	add("carol")
	remove("carol")
	add("alice")
	if m := members(w, "alice", "team", before, 0); !m.Full || len(m.Events) > 0 || len(m.Members) != 2 {
		t.Errorf("who has come back is answered %v", m)
	}

	// It goes on the same between two pages.
	before = members(w, "alice", "team", nil, 0)
	add("carol")
	add("dave")
	first := members(w, "alice", "team", before, 1)
	if first.Full || len(first.Events) != 1 || first.NextPageToken == "" {
		t.Fatalf("the first page is %v", first)
	}
	remove("alice")
	remove("dave")
	add("alice")
	if m := members(w, "alice", "team", next(before, first), 10); !m.Full || len(m.Events) > 0 || len(m.Members) != 3 {
		t.Errorf("who has come back between two pages is answered %v", m)
	}
}

// Where the log has been shortened, the events between are not told in part: the list comes whole. A list that has not
// changed is still known to be the same.
func TestLogIsNoLongerKept(t *testing.T) {
	w := newTest(t, nil)
	w.users("alice", "bob", "carol", "dave")
	w.group("team", "alice", "bob")
	w.group("quiet", "alice", "bob")
	before, quiet := members(w, "alice", "team", nil, 0), members(w, "alice", "quiet", nil, 0)
	for _, user := range []tidemark.UserID{"carol", "dave"} {
		w.do(&core.AddMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{user}})
	}
	first := members(w, "alice", "team", before, 1)
	for _, id := range []tidemark.ConversationID{"team", "quiet"} {
		for range 5 {
			w.do(w.text("alice", id))
		}
		w.trim(id, 4)
	}
	if m := members(w, "alice", "team", before, 0); !m.Full || len(m.Events) > 0 || len(m.Members) != 4 {
		t.Errorf("a version from before what is kept is answered %v", m)
	}
	if m := members(w, "alice", "team", next(before, first), 0); !m.Full || len(m.Events) > 0 || len(m.Members) != 4 {
		t.Errorf("a page from before what is kept is answered %v", m)
	}
	if m := members(w, "alice", "quiet", quiet, 0); m.Full || len(m.Events) > 0 {
		t.Errorf("a list that has not changed is answered %v", m)
	}
}

// trim removes events up to a seq, below the rules.
func (w *world) trim(id tidemark.ConversationID, to tidemark.Seq) {
	w.Helper()
	p := w.set.Of(id)
	info, err := p.Info(id)
	w.must(err)
	head, err := p.Head(info.Ordinal)
	w.must(err)
	head.FloorDigest, err = p.Digest(info.Ordinal, to)
	w.must(err)
	head.Floor = to
	state, err := w.db.Partition(p.Number()).State()
	w.must(err)
	b := w.db.NewBatch(p.Number())
	defer b.Close()
	b.Put(&record.Changes{
		Partition: state, Heads: []record.HeadChange{{Conversation: info.Ordinal, Head: &head}},
		Trims: []record.TrimChange{{Conversation: info.Ordinal, From: 1, To: to}},
	})
	w.must(w.db.Commit(b))
	w.restart()
}

// Where more has happened than there are members, the list itself is the shorter answer.
func TestMoreEventsThanMembers(t *testing.T) {
	w := newTest(t, nil)
	w.users("alice", "bob", "carol")
	w.group("team", "alice", "bob")
	before := members(w, "alice", "team", nil, 0)
	toggle := func(times int) {
		for i := range times {
			if i%2 == 0 {
				w.do(&core.AddMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{"carol"}})
			} else {
				w.do(&core.RemoveMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{"carol"}})
			}
		}
	}
	toggle(2)
	if m := members(w, "alice", "team", before, 0); m.Full || len(m.Events) != 2 {
		t.Errorf("two events are answered %v", m)
	}
	toggle(6)
	if m := members(w, "alice", "team", before, 0); !m.Full || len(m.Members) != 2 {
		t.Errorf("eight events of a list of two are answered %v", m)
	}
}

// inHome are user ids with the same home, each the beginning of the next.
func inHome(w *world, n int) (ids []tidemark.UserID) {
	for id := tidemark.UserID("u"); len(ids) < n; id += "a" {
		if w.set.OfUser(id).Number() == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// Profiles changed by one commit have one position: a page may end between any two of them.
func TestPagesWithinOneCommit(t *testing.T) {
	w := newTest(t, nil)
	ids := inHome(w, 6)
	w.users(append(ids, "alice")...)
	w.group("team", append(ids, "alice")...)
	for _, id := range ids {
		w.do(&core.Contact{User: "alice", Peer: id, Action: core.BlockPeer})
	}
	h, k := newHeld(), newHeld()
	read := func(limit uint32) {
		for more := true; more; more = h.token != "" || k.token != "" {
			a := w.ask("alice", &wire.ChangesRequest{
				Limit:        limit,
				GroupMembers: []*wire.GroupMembersContract{{Conversation: "team", ListVersion: h.list, InfoVersion: h.info, PageToken: h.token}},
				Contacts:     &wire.ContactsContract{ListVersion: k.list, InfoVersion: k.info, PageToken: k.token},
			})
			h.members(a, a.GroupMembers[0])
			k.contacts(a, a.Contacts)
		}
	}
	read(1)
	for _, id := range ids {
		w.queue(&core.UpsertUser{User: id, Nickname: "new"}, nil)
	}
	w.step()
	read(1)
	for name, profiles := range map[string]map[string]string{"members": h.profiles, "contacts": k.profiles} {
		for _, id := range ids {
			if profiles[string(id)] != "new  map[]" {
				t.Errorf("%s: the profile of %s is %q", name, id, profiles[string(id)])
			}
		}
	}
	if h.fulls != 1 || k.fulls != 1 {
		t.Errorf("the sets came whole %d and %d times, want once", h.fulls, k.fulls)
	}
}

// An answer has a size, whatever the profiles have.
func TestAnswersHaveASize(t *testing.T) {
	w := newTest(t, func(cfg *partition.Config) { cfg.Limits.PageBytesMax = 64 << 10 })
	large := map[string]string{"k": strings.Repeat("x", 8000)}
	var ids []tidemark.UserID
	for i := range 60 {
		ids = append(ids, tidemark.UserID(fmt.Sprintf("user-%02d", i)))
		w.do(&core.UpsertUser{User: ids[i], Nickname: "n", Custom: large})
	}
	w.group("a", ids...)
	w.group("b", ids...)
	a, b := newHeld(), newHeld()
	answers := 0
	for more := true; more; more = a.token != "" || b.token != "" {
		answers++
		answer := w.ask("user-00", &wire.ChangesRequest{GroupMembers: []*wire.GroupMembersContract{
			{Conversation: "a", ListVersion: a.list, InfoVersion: a.info, PageToken: a.token},
			{Conversation: "b", ListVersion: b.list, InfoVersion: b.info, PageToken: b.token},
		}})
		a.members(answer, answer.GroupMembers[0])
		b.members(answer, answer.GroupMembers[1])
	}
	if len(a.rows) != 60 || len(b.rows) != 60 || len(a.profiles) != 60 || len(b.profiles) != 60 {
		t.Errorf("%d and %d members, %d and %d profiles", len(a.rows), len(b.rows), len(a.profiles), len(b.profiles))
	}
	if answers < 8 || answers > 40 {
		t.Errorf("480 KB of profiles came in %d answers of 64 KB", answers)
	}
}

// What cannot be asked is refused, and says why.
func TestQuestionsThatAreRefused(t *testing.T) {
	w := newTest(t, nil)
	w.users("alice", "bob", "carol")
	w.group("team", "alice", "bob", "carol")
	first := w.ask("alice", &wire.ChangesRequest{Limit: 1, GroupMembers: []*wire.GroupMembersContract{{Conversation: "team"}}}).GroupMembers[0]
	for why, req := range map[string]*wire.ChangesRequest{
		"a token of another set":      {Groups: &wire.GroupsContract{PageToken: first.NextPageToken}},
		"a token of another versions": {GroupMembers: []*wire.GroupMembersContract{{Conversation: "team", ListVersion: first.ListVersion, PageToken: first.NextPageToken}}},
		"a version for a token":       {GroupMembers: []*wire.GroupMembersContract{{Conversation: "team", PageToken: first.ListVersion}}},
		"nonsense":                    {Contacts: &wire.ContactsContract{PageToken: "nonsense"}},
		"nonsense for profiles":       {Profiles: &wire.ProfilesContract{PageToken: "nonsense"}},
		"too many users":              {Profiles: &wire.ProfilesContract{Users: slices.Repeat([]string{"bob"}, 1001)}},
		"too many lists":              {GroupMembers: slices.Repeat([]*wire.GroupMembersContract{{Conversation: "team"}}, 101)},
	} {
		_, err := contract.Changes(w.set, "alice", req)
		var refusal *tidemark.Error
		if !errors.As(err, &refusal) || refusal.Reason != tidemark.BadArgument && refusal.Reason != tidemark.TooMany {
			t.Errorf("%s: %v", why, err)
		}
	}
	if m := members(w, "alice", "nowhere", nil, 0); m.Error.GetReason() != wire.Reason_UNKNOWN_CONVERSATION {
		t.Errorf("a conversation that is not there is answered %v", m)
	}
	if a := w.ask("alice", &wire.ChangesRequest{}); a.SizeVT() != 0 {
		t.Errorf("no question is answered %v", a)
	}
	unknown := w.ask("alice", &wire.ChangesRequest{Profiles: &wire.ProfilesContract{Users: []string{"bob", "bob", "nobody", "no body"}}})
	if p := unknown.Profiles; !slices.Equal(p.Changed, []string{"bob"}) || !slices.Equal(p.Unknown, []string{"no body", "nobody"}) {
		t.Errorf("users of whom one is there are answered %v", p)
	}
}

// halfway is a journal whose commit reaches the store and fails all the same, when it is told to.
type halfway struct {
	journal.Journal
	fail bool
}

func (h *halfway) Commit(b *store.Batch) error {
	err := h.Journal.Commit(b)
	if h.fail {
		return errors.New("the disk has gone")
	}
	return err
}

// S2, S9: a commit that fails half-way has moved entries of the indexes in the store. What was committed before it is
// answered all the same, and nothing of it is.
func TestFailedCommit(t *testing.T) {
	for name, cache := range map[string]partition.CacheLimits{"from memory": {}, "from the store": nothingCached} {
		t.Run(name, func(t *testing.T) {
			broken := &halfway{}
			w := newTest(t, func(cfg *partition.Config) {
				broken.Journal, cfg.Journal, cfg.Cache = cfg.Journal, broken, cache
			})
			w.users("alice", "bob", "carol")
			w.group("team", "alice", "bob")
			w.do(&core.Contact{User: "alice", Peer: "bob", Action: core.AskContact})
			before := everything(w, "alice", "team", "", "")
			w.rename("bob", "Bob")
			w.do(&core.Contact{User: "alice", Peer: "bob", Action: core.BlockPeer})
			broken.fail = true
			lost := "lost"
			for _, cmd := range []core.Command{
				&core.UpdateUser{User: "bob", Nickname: &lost}, &core.Contact{User: "alice", Peer: "bob", Action: core.UnblockPeer},
				&core.AddMembers{Actor: app, Conversation: "team", Members: []tidemark.UserID{"carol"}},
				&core.Update{Actor: app, Conversation: "team", Title: &lost},
			} {
				w.queue(cmd, nil)
				w.step()
			}
			for _, a := range []*wire.ChangesResponse{answerTo(w, before), everything(w, "alice", "team", "", "")} {
				if len(a.ChangedProfiles) < 1 || !slices.ContainsFunc(a.ChangedProfiles, func(p *wire.Profile) bool { return p.Nickname == "Bob" }) {
					t.Errorf("bob's new name is not told: %v", a)
				}
				if len(a.Contacts.Contacts) != 1 || !a.Contacts.Contacts[0].Blocked || !slices.Contains(a.Contacts.Changed, "bob") {
					t.Errorf("alice's block is not told: %v", a.Contacts)
				}
				if m := a.GroupMembers[0]; !slices.Contains(m.Changed, "bob") || len(m.Events) > 0 || m.Full && len(m.Members) != 2 {
					t.Errorf("the members are %v", m)
				}
				if s := a.String(); strings.Contains(s, lost) || strings.Contains(s, "carol") {
					t.Errorf("something of a commit that failed is told: %s", s)
				}
			}
		})
	}
}
