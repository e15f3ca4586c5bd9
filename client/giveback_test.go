// SPDX-License-Identifier: Apache-2.0

// A server that was restored from an older copy, and devices that have what it lost.

package client_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/verify"
	"github.com/tidemark-im/tidemark/wire"
)

const late = tidemark.ConversationID("late") // a group that the copy does not know

// copied is a copy of a data directory that nobody has open, under a new epoch.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.NewEpoch(store.Config{Dir: to}); err != nil {
		t.Fatal(err)
	}
	return to
}

// lost is a world whose server was restored: what devices held before.
type lost struct {
	dir    string // the copy
	stores map[string]client.Store
	was    map[tidemark.ConversationID]tidemark.Digest
	texts  []string // of the team, as bob saw it
}

// losing lives for a while, is copied, and lives on: with messages, an edit, a recall, reactions, a new member and a new group.
func losing(t *testing.T) lost {
	dir := t.TempDir()
	n := serve(t, dir)
	n.people("alice", "bob")
	if _, err := n.users.Upsert(t.Context(), &wire.UpsertUserRequest{User: &wire.Profile{Id: "carol"}}); err != nil {
		t.Fatal(err)
	}
	l := lost{
		stores: map[string]client.Store{"alice": client.NewMemory(), "bob": client.NewMemory(), "carol": client.NewMemory()},
		was:    map[tidemark.ConversationID]tidemark.Digest{},
	}
	alice := n.device("alice", client.Config{Store: l.stores["alice"]}).synced()
	alice.say("kept")
	alice.stop()
	n.stop()
	l.dir = copied(t, dir)

	n = serve(t, dir)
	alice = n.device("alice", client.Config{Store: l.stores["alice"]}).synced()
	bob := n.device("bob", client.Config{Store: l.stores["bob"]}).synced()
	for i := range 5 {
		alice.say(fmt.Sprint("alice ", i))
		bob.say(fmt.Sprint("bob ", i))
	}
	sent := func(id tidemark.ClientID, err error) {
		t.Helper()
		if err == nil {
			_, err = alice.WaitSent(alice.ctx, id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sent(alice.Edit(alice.ctx, team, 3, "edited"))
	sent(alice.Recall(alice.ctx, team, 5, ""))
	sent(alice.React(alice.ctx, team, 4, "+1", false))
	if _, err := n.conversations.AddMembers(t.Context(), &wire.AddMembersRequest{Conversation: string(team), Members: []string{"carol"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.conversations.Create(t.Context(), &wire.CreateRequest{Id: string(late), Members: []string{"alice", "bob"}}); err != nil {
		t.Fatal(err)
	}
	sent(alice.Send(alice.ctx, late, "founded"))
	carol := n.device("carol", client.Config{Store: l.stores["carol"]}).synced()
	head := carol.say("carol")
	for _, g := range []*gadget{alice, bob, carol} {
		g.untilHead(head)
	}
	bob.until("the new group", func() bool { seq, _, _ := bob.Digest(late); return seq == 2 })
	same(t, alice, bob, carol)
	_, l.was[team], _ = alice.Digest(team)
	_, l.was[late], _ = alice.Digest(late)
	l.texts = bob.texts()
	for _, g := range []*gadget{alice, bob, carol} {
		g.stop()
	}
	n.stop()
	return l
}

// has waits until a device and its server agree on what was before, and nothing is ahead any more.
func (l *lost) has(t *testing.T, g *gadget, ids ...tidemark.ConversationID) {
	t.Helper()
	for _, id := range ids {
		g.until(fmt.Sprint(id, " is at the server again"), func() bool {
			c, known := g.Conversation(id)
			if !known || c.Removed || c.Missing {
				return false
			}
			_, ahead := c.Ahead()
			seq, digest, _ := g.Digest(id)
			return !ahead && seq == c.HeadSeq && digest == l.was[id] && c.HeadDigest == digest
		})
	}
}

func TestDevicesGiveBackWhatTheServerLost(t *testing.T) {
	l := losing(t)
	n := serveFor(t, l.dir, time.Hour)
	alice := n.device("alice", client.Config{Store: l.stores["alice"]}).synced()
	bob := n.device("bob", client.Config{Store: l.stores["bob"]}).synced()
	l.has(t, alice, team, late)
	l.has(t, bob, team, late)
	carol := n.device("carol", client.Config{Store: l.stores["carol"]}).synced()
	l.has(t, carol, team)
	fresh := n.device("bob", client.Config{DeviceID: "fresh", Backfill: client.FillAll}).synced()
	l.has(t, fresh, team, late)
	if got := fmt.Sprint(fresh.texts()); got != fmt.Sprint(l.texts) || got != fmt.Sprint(bob.texts()) {
		t.Errorf("a fresh device reads %s, bob %v, before %v", got, bob.texts(), l.texts)
	}
	if stats, err := n.admin.Stats(t.Context(), &wire.StatsRequest{}); err != nil || stats.TakenBackConversations != 2 {
		t.Errorf("%v %v", stats, err)
	}
	id, err := carol.Send(carol.ctx, team, "when it is over")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*gadget{alice, bob, carol, fresh} {
		g.stop()
	}
	n.stop()
	if report, err := verify.Run(context.Background(), verify.Config{Dir: l.dir}); err != nil || len(report.Damages) > 0 {
		t.Fatalf("%v %v", err, report.Damages)
	}

	n = serve(t, l.dir)
	carol = n.device("carol", client.Config{Store: l.stores["carol"]}).synced()
	if _, err := carol.WaitSent(carol.ctx, id); err != nil {
		t.Fatal(err)
	}
	alice = n.device("alice", client.Config{Store: l.stores["alice"]}).synced()
	alice.until("the new message", func() bool { return len(alice.texts()) == len(l.texts)+1 })
	same(t, alice, carol)
}

// The promise as an operator and users live it: a backup of the running server, life that goes on, a restore, and devices
// that come back. What they had is on the server again, whatever was in it, and a device that never saw it has it too.
func TestC6RestoredServerGetsBackWhatDevicesHave(t *testing.T) {
	dir, names := t.TempDir(), []string{"alice", "bob"}
	n := serve(t, dir)
	n.people(names...)
	stores := map[string]client.Store{"alice": client.NewMemory(), "bob": client.NewMemory()}
	gadgets := map[string]*gadget{}
	for _, name := range names {
		gadgets[name] = n.device(name, client.Config{Store: stores[name]}).synced()
	}
	alice, bob := gadgets["alice"], gadgets["bob"]
	alice.say("before the backup")
	backup, err := n.admin.Checkpoint(t.Context(), &wire.CheckpointRequest{Name: "nightly"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		alice.say(fmt.Sprint("alice after it ", i))
		bob.say(fmt.Sprint("bob after it ", i))
	}
	for _, do := range []func() (tidemark.ClientID, error){
		func() (tidemark.ClientID, error) { return alice.Edit(alice.ctx, team, 2, "edited after the backup") },
		func() (tidemark.ClientID, error) { return alice.Recall(alice.ctx, team, 3, "") },
		func() (tidemark.ClientID, error) { return alice.React(alice.ctx, team, 4, "+1", false) },
		func() (tidemark.ClientID, error) { return alice.SendTo(alice.ctx, "bob", "between us") },
	} {
		id, err := do()
		if err == nil {
			_, err = alice.WaitSent(alice.ctx, id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	head := bob.say("the last before the crash")
	direct := tidemark.Direct("alice", "bob")
	was := lost{was: map[tidemark.ConversationID]tidemark.Digest{}}
	for _, g := range gadgets {
		g.untilHead(head)
		g.until("the direct conversation", func() bool { seq, _, _ := g.Digest(direct); return seq == 2 })
	}
	same(t, alice, bob)
	_, was.was[team], _ = bob.Digest(team)
	_, was.was[direct], _ = bob.Digest(direct)
	texts := bob.texts()
	for _, g := range gadgets {
		g.stop()
	}
	n.stop()

	to := filepath.Join(t.TempDir(), "restored")
	if _, err := store.Restore(t.Context(), store.RestoreConfig{From: backup.Path, To: to}); err != nil {
		t.Fatal(err)
	}
	n = serveFor(t, to, time.Hour)
	for _, name := range names {
		gadgets[name] = n.device(name, client.Config{Store: stores[name]}).synced()
		was.has(t, gadgets[name], team, direct)
	}
	fresh := n.device("bob", client.Config{DeviceID: "fresh", Backfill: client.FillAll}).synced()
	was.has(t, fresh, team, direct)
	fresh.until("the whole history", func() bool { return fmt.Sprint(fresh.texts()) == fmt.Sprint(texts) })
	same(t, gadgets["alice"], gadgets["bob"])
	for _, g := range []*gadget{gadgets["alice"], gadgets["bob"], fresh} {
		g.stop()
	}
	n.stop()
	if report, err := verify.Run(t.Context(), verify.Config{Dir: to}); err != nil || !report.OK() {
		t.Fatalf("%v %v", err, report)
	}
}

// The server is killed while it takes back; what it had taken is there, the rest comes afterwards.
func TestGivingBackGoesOnAfterAStop(t *testing.T) {
	l := losing(t)
	n := serveFor(t, l.dir, time.Hour)
	alice := n.device("alice", client.Config{Store: l.stores["alice"]})
	alice.until("something came back", func() bool {
		stats, err := n.admin.Stats(t.Context(), &wire.StatsRequest{})
		return err == nil && stats.TakenBackEvents > 0
	})
	alice.stop()
	n.stop()
	n = serveFor(t, l.dir, time.Hour)
	bob := n.device("bob", client.Config{Store: l.stores["bob"]}).synced()
	l.has(t, bob, team, late)
}

// The server takes nothing back and goes on: what was lost is kept until then, then reported, and can be sent again.
func TestWhatIsLostForGoodCanBeSentAgain(t *testing.T) {
	l := losing(t)
	n := serve(t, l.dir)
	reports := make(chan client.HistoryChanged, 10)
	bob := n.listening("bob", l.stores["bob"], reports).synced()
	bob.until("ahead", func() bool {
		c, known := bob.Conversation(team)
		if !known {
			return false
		}
		kept, ahead := c.Ahead()
		return ahead && kept.From == 3 && c.HeadSeq == 2
	})
	if got := bob.texts(); fmt.Sprint(got) != fmt.Sprint(l.texts) {
		t.Errorf("bob sees %v, had %v", got, l.texts)
	}
	if c, _ := bob.Conversation(late); !c.Missing || !c.Removed {
		t.Errorf("the group that the server does not know: %+v", c)
	}
	page, err := bob.Latest(team, 3)
	if err != nil || len(page) != 3 || page[2].Text() != "carol" {
		t.Errorf("the latest: %v %v", page, err)
	}
	alice := n.device("alice", client.Config{}).synced() // a new device, which knows nothing of it
	alice.say("on we go")
	report := <-reports
	if report.From != 3 || len(report.Own) != 5 || report.Own[0].Text() != "bob 0" {
		t.Fatalf("%+v", report)
	}
	for _, m := range report.Own {
		if err := bob.Resend(bob.ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"kept", "on we go", "bob 0", "bob 1", "bob 2", "bob 3", "bob 4"}
	alice.until("what bob sent again", func() bool { return len(alice.texts()) == len(want) })
	once(t, alice.texts(), want)
	bob.until("the same", func() bool { return fmt.Sprint(bob.texts()) == fmt.Sprint(want) })
	same(t, alice, bob)
}
