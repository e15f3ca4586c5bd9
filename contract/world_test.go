// SPDX-License-Identifier: Apache-2.0

// A world for the tests of this package: partitions over a disk in memory, stepped by hand, that can crash; and clients
// that keep what they are answered.

package contract_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/contract"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context
}

// world is a server's partitions, without sockets.
type world struct {
	tester
	fs     *vfs.MemFS // the disk, where it can crash
	disk   vfs.FS     // another one
	db     *store.DB
	set    *partition.Set
	now    uint64
	sent   int
	config func(*partition.Config)
}

func newWorld(t tester, config func(*partition.Config)) *world {
	t.Helper()
	w := &world{tester: t, fs: vfs.NewCrashableMem(), now: 1_700_000_000_000, config: config}
	w.open()
	return w
}

// open opens what is on the disk.
func (w *world) open() {
	w.Helper()
	disk := w.disk
	if disk == nil {
		disk = w.fs
	}
	db, err := store.Open(store.Config{Dir: "data", FS: disk, Partitions: 4, NowMs: w.clock})
	w.must(err)
	cfg := partition.Config{DB: db, Journal: journal.NewLocal(db), NowMs: w.clock, Entropy: rand.NewChaCha8([32]byte{})}
	if w.config != nil {
		w.config(&cfg)
	}
	set, err := partition.Open(cfg)
	w.must(err)
	w.db, w.set = db, set
}

func (w *world) close() {
	w.Helper()
	w.must(w.db.Close())
}

// restart ends in order and begins again.
func (w *world) restart() {
	w.Helper()
	w.close()
	w.open()
}

// crash loses what was not synced, and begins again.
func (w *world) crash(seed uint64) {
	w.Helper()
	after := w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed % 101), RNG: rand.New(rand.NewPCG(seed, 1))})
	w.close()
	w.fs = after
	w.open()
}

func (w *world) clock() uint64 { return w.now }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%v", err)
	}
}

// step carries out everything that is queued.
func (w *world) step() {
	for did := true; did; {
		did = false
		for n := range w.set.Partitions() {
			did = w.set.At(n).Step(w.now) || did
		}
	}
}

// queue submits a command that is carried out by the next step.
func (w *world) queue(cmd core.Command, done func(core.Reply)) {
	w.Helper()
	w.must(w.set.Submit(w.Context(), cmd, done))
}

// do carries out one command.
func (w *world) do(cmd core.Command) (reply core.Reply) {
	w.Helper()
	w.queue(cmd, func(r core.Reply) { reply = r })
	w.step()
	if reply.Err != nil {
		w.Fatalf("%T %+v: %v", cmd, cmd, reply.Err)
	}
	return reply
}

func (w *world) users(ids ...tidemark.UserID) {
	w.Helper()
	for _, id := range ids {
		w.do(&core.UpsertUser{User: id, Nickname: "nick of " + string(id)})
	}
}

func (w *world) group(id tidemark.ConversationID, members ...tidemark.UserID) {
	w.Helper()
	w.do(&core.Create{Actor: app, Conversation: id, Kind: record.Group, Title: string(id), Members: members})
}

var app = core.Actor{App: true}

func (w *world) rename(id tidemark.UserID, nickname string) {
	w.Helper()
	w.do(&core.UpdateUser{User: id, Nickname: &nickname})
}

func (w *world) text(from tidemark.UserID, to tidemark.ConversationID) *core.Submit {
	w.sent++
	return &core.Submit{
		Actor: core.Actor{User: from}, Conversation: to, ClientID: tidemark.ClientID(fmt.Sprint("c", w.sent)),
		Message: &wire.Message{Type: "text", Text: "hello"},
	}
}

// ask asks, and checks what holds of every answer: a profile is in it once, and no profile is named that is not in it.
func (w *world) ask(user tidemark.UserID, req *wire.ChangesRequest) *wire.ChangesResponse {
	w.Helper()
	answer, err := contract.Changes(w.set, user, req)
	w.must(err)
	limit := 500
	if req.Limit > 0 {
		limit = int(req.Limit)
	}
	sent := map[string]bool{}
	for _, p := range answer.ChangedProfiles {
		if sent[p.Id] {
			w.Fatalf("the profile of %s is in the answer twice", p.Id)
		}
		if sent[p.Id] = true; len(p.Versions) != 3 {
			w.Fatalf("the profile of %s has versions of %v", p.Id, p.Versions)
		}
	}
	for _, set := range [][]string{answer.GetContacts().GetChanged(), answer.GetProfiles().GetChanged()} {
		w.wantSent(set, sent, limit)
	}
	for _, g := range answer.GroupMembers {
		w.wantSent(g.Changed, sent, limit)
		names := len(g.Members)
		for _, e := range g.Events {
			names += max(len(e.Added)+len(e.Removed), len(e.Roles))
		}
		if names > limit {
			w.Fatalf("%d names, where %d rows were asked for", names, limit)
		}
	}
	if g := answer.GetGroups(); len(g.GetJoined())+len(g.GetLeft())+len(g.GetChanged()) > limit {
		w.Fatalf("more than %d groups: %v", limit, g)
	}
	if size, most := answer.SizeVT(), int(w.set.Limits().PageBytesMax); size > most+4096 && len(answer.ChangedProfiles) > 1 {
		w.Fatalf("the answer has %d bytes, of a page are allowed %d", size, most)
	}
	return answer
}

func (w *world) wantSent(changed []string, sent map[string]bool, limit int) {
	w.Helper()
	for _, id := range changed {
		if !sent[id] {
			w.Fatalf("the profile of %s is said to be in the answer and is not", id)
		}
	}
	if len(changed) > limit {
		w.Fatalf("%d profiles of one set, where %d rows were asked for", len(changed), limit)
	}
}

// held is what a client has of one set, with the versions, as they were answered.
type held struct {
	list, info string
	rows       map[string]string // by conversation or user: what is known, as text
	profiles   map[string]string
	token      string // the pages go on
	full       bool   // of the pages so far
	began      bool   // there were pages
	fulls      int    // how often the set came whole
}

func newHeld() *held { return &held{rows: map[string]string{}, profiles: map[string]string{}} }

func (h *held) clone() *held {
	c := *h
	c.rows, c.profiles = maps.Clone(h.rows), maps.Clone(h.profiles)
	return &c
}

// page begins to take in a page: where the set is given whole for the first time, what was there is dropped.
func (h *held) page(full bool, list, info, token string) {
	if full && (!h.began || !h.full) {
		clear(h.rows)
		clear(h.profiles)
		h.fulls++
	}
	h.began, h.full, h.token = token != "", full, token
	if token == "" {
		h.list, h.info = list, info
	}
}

func (h *held) learn(answer *wire.ChangesResponse, changed []string) {
	for _, p := range answer.ChangedProfiles {
		if slices.Contains(changed, p.Id) {
			h.profiles[p.Id] = profileText(p)
		}
	}
}

func profileText(p *wire.Profile) string {
	return fmt.Sprintf("%s %s %v", p.Nickname, p.Avatar, p.Custom)
}

func infoText(i *wire.ConversationInfo) string {
	return fmt.Sprintf("%s %q %d members", i.Kind, i.Title, i.MemberCount)
}

func (h *held) groups(w *world, g *wire.GroupsChanges) {
	w.Helper()
	h.page(g.Full, g.ListVersion, g.InfoVersion, g.NextPageToken)
	for _, c := range g.Joined {
		if c.Info == nil || c.Self == nil {
			w.Fatalf("joined %s without info or self", c.Id)
		}
		h.rows[c.Id] = infoText(c.Info)
	}
	for _, id := range g.Left {
		delete(h.rows, id)
	}
	for _, c := range g.Changed {
		if h.rows[c.Id] == "" {
			w.Fatalf("%s has changed, which is not in the list", c.Id)
		}
		h.rows[c.Id] = infoText(c.Info)
	}
}

func (h *held) members(answer *wire.ChangesResponse, g *wire.GroupMembersChanges) {
	h.page(g.Full, g.ListVersion, g.InfoVersion, g.NextPageToken)
	for _, m := range g.Members {
		h.rows[m.User] = m.Role.String()
	}
	for _, e := range g.Events {
		for _, id := range e.Added {
			h.rows[id] = wire.Role_MEMBER.String()
		}
		for id, role := range e.Roles {
			h.rows[id] = role.String()
		}
		for _, id := range e.Removed {
			delete(h.rows, id)
		}
	}
	h.learn(answer, g.Changed)
}

func (h *held) contacts(answer *wire.ChangesResponse, c *wire.ContactsChanges) {
	h.page(c.Full, c.ListVersion, c.InfoVersion, c.NextPageToken)
	for _, contact := range c.Contacts {
		h.rows[contact.User] = fmt.Sprintf("%s %v %q", contact.State, contact.Blocked, contact.Remark)
	}
	for _, id := range c.Removed {
		delete(h.rows, id)
	}
	h.learn(answer, c.Changed)
}

func (h *held) listed(answer *wire.ChangesResponse, p *wire.ProfilesChanges) {
	h.page(p.Full, "", p.InfoVersion, p.NextPageToken)
	h.learn(answer, p.Changed)
}

// dump is rows as text, in order, for comparing.
func dump(rows map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&b, "%s: %s\n", k, rows[k])
	}
	return b.String()
}

// only are the rows of these keys.
func only(rows map[string]string, keys map[string]string) map[string]string {
	part := map[string]string{}
	for k := range keys {
		if v, ok := rows[k]; ok {
			part[k] = v
		}
	}
	return part
}

var _ tester = (*testing.T)(nil)
