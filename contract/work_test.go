// SPDX-License-Identifier: Apache-2.0

// Work counted, not timed: rows read and bytes written, for contracts and for groups of any size.
//
//	go test ./contract -run TestA2OneCopyInGroupsOfAnySize -rewrite     writes docs/groups.md anew; read the difference

package contract_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/internal/document"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

var rewrite = flag.Bool("rewrite", false, "write the table of docs/groups.md anew")

// work is what something cost.
type work struct {
	commits, rows, bytes int // written
	reads                int // rows read, or looked for
}

// counting is a journal that counts what is committed.
type counting struct {
	journal.Journal
	done work
}

func (c *counting) Commit(b *store.Batch) error {
	err := c.Journal.Commit(b)
	c.done.commits++
	c.done.rows += b.Rows()
	c.done.bytes += b.Len()
	return err
}

// counted is a world whose work is counted.
func counted(t *testing.T) (*world, func(fn func()) work) {
	journal := &counting{}
	w := newTest(t, func(cfg *partition.Config) { journal.Journal, cfg.Journal = cfg.Journal, journal })
	return w, func(fn func()) work {
		before, reads := journal.done, w.db.Metrics().RowsRead
		fn()
		return work{
			journal.done.commits - before.commits, journal.done.rows - before.rows, journal.done.bytes - before.bytes,
			int(w.db.Metrics().RowsRead - reads),
		}
	}
}

// most is how many commands are queued at once.
const most = 2000

// fill carries out many commands in a few commits.
func (w *world) fill(n int, cmd func(i int) core.Command) {
	w.Helper()
	for i := range n {
		c := cmd(i)
		w.queue(c, func(r core.Reply) {
			if r.Err != nil {
				w.Fatalf("%T: %v", c, r.Err)
			}
		})
		if i%most == most-1 {
			w.step()
		}
	}
	w.step()
}

func numbered(prefix string, i int) tidemark.UserID {
	return tidemark.UserID(fmt.Sprintf("%s-%06d", prefix, i))
}

// A profile change is one write: the same bytes for somebody known to nobody and for somebody in 5,000 groups and with
// 5,000 contacts. (A4, C4)
func TestA4ProfileChangeIsOneWrite(t *testing.T) {
	w, measure := counted(t)
	w.users("a-000001", "b-000001") // ids and names of the same length
	w.fill(5000, func(i int) core.Command {
		id := tidemark.ConversationID(fmt.Sprintf("group-%d", i))
		return &core.Create{Actor: app, Conversation: id, Kind: record.Group, Members: []tidemark.UserID{"b-000001", "a-000002"}}
	})
	w.fill(5000, func(i int) core.Command {
		return &core.Contact{User: numbered("peer", i), Peer: "b-000001", Action: core.AskContact}
	})
	w.group("one", "a-000001")
	w.rename("a-000001", "before")
	w.rename("b-000001", "before")
	alone := measure(func() { w.rename("a-000001", "after!") })
	known := measure(func() { w.rename("b-000001", "after!") })
	alone.reads, known.reads = 0, 0
	if d := known.bytes - alone.bytes; alone.commits != 1 || known.commits != 1 || known.rows != alone.rows || d < -4 || d > 4 { // varints of positions
		t.Errorf("somebody with one group costs %+v, somebody with 5,000 groups and contacts %+v", alone, known)
	}
	t.Logf("one group: %+v; 5,000 groups and contacts: %+v", alone, known)
}

// An answer reads what changed: of 5,000 groups, and of the members of a group of 5,000.
func TestA4OnlyWhatIsAskedForCostsWhatChanged(t *testing.T) {
	w, measure := counted(t)
	const n = 5000
	w.users("alice")
	var ids []tidemark.UserID
	for i := range n {
		ids = append(ids, numbered("user", i))
	}
	w.fill(n, func(i int) core.Command { return &core.UpsertUser{User: ids[i], Nickname: "n"} })
	w.fill(n, func(i int) core.Command {
		id := tidemark.ConversationID(fmt.Sprintf("group-%d", i))
		return &core.Create{Actor: app, Conversation: id, Kind: record.Group, Members: []tidemark.UserID{"alice"}}
	})
	w.group("large", append(ids, "alice")...)
	w.fill(n, func(i int) core.Command { return &core.Contact{User: "alice", Peer: ids[i], Action: core.BlockPeer} })

	g, m, k := newHeld(), newHeld(), newHeld()
	read := func() {
		for more := true; more; more = g.token != "" || m.token != "" || k.token != "" {
			a := w.ask("alice", &wire.ChangesRequest{
				Groups:       &wire.GroupsContract{ListVersion: g.list, InfoVersion: g.info, PageToken: g.token},
				GroupMembers: []*wire.GroupMembersContract{{Conversation: "large", ListVersion: m.list, InfoVersion: m.info, PageToken: m.token}},
				Contacts:     &wire.ContactsContract{ListVersion: k.list, InfoVersion: k.info, PageToken: k.token},
				Limit:        1000,
			})
			g.groups(w, a.Groups)
			m.members(a, a.GroupMembers[0])
			k.contacts(a, a.Contacts)
		}
	}
	read()
	read() // what a first question brings into memory is there now
	nothing := measure(read)
	costs := map[int]work{}
	for _, changed := range []int{10, 100} {
		w.fill(changed, func(i int) core.Command {
			title := fmt.Sprintf("title %d of %d", i, changed)
			return &core.Update{Actor: app, Conversation: tidemark.ConversationID(fmt.Sprintf("group-%d", 7*i)), Title: &title}
		})
		w.fill(changed, func(i int) core.Command {
			return &core.UpsertUser{User: ids[11*i], Nickname: fmt.Sprintf("name %d of %d", i, changed)}
		})
		w.fill(changed, func(i int) core.Command {
			return &core.Contact{User: "alice", Peer: ids[13*i+1], Action: core.RemarkPeer, Text: fmt.Sprintf("remark %d of %d", i, changed)}
		})
		costs[changed] = measure(read)
		for i := range changed {
			if g.rows[fmt.Sprintf("group-%d", 7*i)] != fmt.Sprintf(`GROUP "title %d of %d" 1 members`, i, changed) ||
				m.profiles[string(ids[11*i])] != k.profiles[string(ids[11*i])] {
				t.Fatalf("what changed was not answered: %v", i)
			}
		}
	}
	t.Logf("rows read: %d where nothing changed, %d for 10, %d for 100 of each", nothing.reads, costs[10].reads, costs[100].reads)
	if g.fulls != 1 || m.fulls != 1 || k.fulls != 1 {
		t.Errorf("the sets came whole %d, %d, %d times; once was wanted", g.fulls, m.fulls, k.fulls)
	}
	// In three sets so many things changed; each may take a few rows: entry, ordinal, record, profile.
	if nothing.reads > 10 || costs[10].reads > 3*10*6+20 || costs[100].reads > 3*100*6+20 {
		t.Errorf("more was read than what changed: %d rows for nothing, %d for 10, %d for 100 of each", nothing.reads, costs[10].reads, costs[100].reads)
	}
}

// operation is a line of the table.
type operation struct {
	name  string
	grows bool // with the number of members
	do    func()
	then  func() // not counted; may be nil
}

// groupWork is what each operation costs in a group of n members.
func groupWork(t *testing.T, n int) (names []string, costs map[string]work, grows map[string]bool) {
	w, measure := counted(t)
	w.users("alice", "newcomer")
	ids := make([]tidemark.UserID, n-1)
	for i := range ids {
		ids[i] = numbered("user", i)
	}
	w.fill(len(ids), func(i int) core.Command { return &core.UpsertUser{User: ids[i], Nickname: "n"} })
	h := newHeld()
	ask := func() {
		a := w.ask("alice", &wire.ChangesRequest{GroupMembers: []*wire.GroupMembersContract{{
			Conversation: "large", ListVersion: h.list, InfoVersion: h.info, PageToken: h.token,
		}}})
		h.members(a, a.GroupMembers[0])
	}
	var said core.Reply
	receipts := func() {
		r, err := w.set.Receipts("alice", "large", said.Seq, partition.ReceiptsAsk{Limit: 10})
		w.must(err)
		if int(r.Members) != n-1 {
			t.Fatalf("the message went to %d of %d", r.Members, n-1)
		}
	}
	operations := []operation{
		{"creating the group", true, func() {
			w.group("large", "alice")
			for rest := ids; len(rest) > 0; rest = rest[min(10_000, len(rest)):] { // an event has a size
				w.do(&core.AddMembers{Actor: app, Conversation: "large", Members: rest[:min(10_000, len(rest))]})
			}
		}, nil},
		{"all members with their profiles, by contract", true, func() {
			for ask(); h.token != ""; {
				ask()
			}
		}, w.restart}, // what comes next finds nothing in memory
		{"one message", false, func() { said = w.do(w.text("alice", "large")) }, nil},
		{"who has read it: the first question", true, receipts, nil},
		{"who has read it: further questions", false, receipts, nil},
		{"one member's profile change", false, func() { w.rename(ids[0], "new") }, nil},
		{"that change, by contract", false, ask, nil},
		{"one more joins", false, func() {
			w.do(&core.AddMembers{Actor: app, Conversation: "large", Members: []tidemark.UserID{"newcomer"}})
		}, nil},
		{"that member and profile, by contract", false, ask, nil},
		{"nothing new, by contract", false, ask, nil},
	}
	costs, grows = map[string]work{}, map[string]bool{}
	for _, o := range operations {
		names = append(names, o.name)
		costs[o.name], grows[o.name] = measure(o.do), o.grows
		if o.then != nil {
			o.then()
		}
	}
	if len(h.rows) != n+1 || h.profiles["newcomer"] == "" || h.profiles[string(ids[0])] != "new  map[]" || h.fulls != 1 {
		t.Errorf("the client has %d members, and the profile of %s is %q", len(h.rows), ids[0], h.profiles[string(ids[0])])
	}
	return names, costs, grows
}

// A group of 100,000 is like one of 10 in everything but being made and being read whole; docs/groups.md says so.
func TestA2OneCopyInGroupsOfAnySize(t *testing.T) {
	sizes := []int{10, 1000, 100_000}
	var names []string
	var grows map[string]bool
	var costs []map[string]work
	for _, n := range sizes {
		var c map[string]work
		names, c, grows = groupWork(t, n)
		costs = append(costs, c)
	}
	for _, name := range names {
		small, large := costs[0][name], costs[len(sizes)-1][name]
		switch {
		case grows[name] && large.reads+large.rows < 10*(small.reads+small.rows):
			t.Errorf("%s is said to grow with the members and costs %+v and %+v", name, small, large)
		case !grows[name] && (large.bytes > small.bytes+32 || large.rows > small.rows || large.reads > small.reads+8):
			t.Errorf("%s grows with the members: %+v for %d, %+v for %d", name, small, sizes[0], large, sizes[len(sizes)-1])
		}
	}
	checkTable(t, table(sizes, names, costs))
}

func table(sizes []int, names []string, costs []map[string]work) string {
	var b strings.Builder
	b.WriteString("| | members | commits | rows written | bytes written | rows read |\n|---|---|---|---|---|---|\n")
	for _, name := range names {
		for i, n := range sizes {
			c := costs[i][name]
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", name, thousands(n), thousands(c.commits), thousands(c.rows), thousands(c.bytes), thousands(c.reads))
		}
	}
	return b.String()
}

// thousands is a number with its thousands apart.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// checkTable compares the table with that of the document, or writes it there.
func checkTable(t *testing.T, table string) {
	t.Helper()
	const path, begin, end = "../docs/groups.md", "<!-- table: begin -->", "<!-- table: end -->"
	old, err := document.Between(path, begin, end)
	switch {
	case err != nil:
		t.Fatal(err)
	case old == table:
	case *rewrite:
		if err := document.Replace(path, begin, end, table); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table of %s is not what is measured now: go test ./contract -run TestA2OneCopyInGroupsOfAnySize -rewrite\nit is\n%s", path, table)
	}
}
