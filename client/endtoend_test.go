// SPDX-License-Identifier: Apache-2.0

// Devices and a real server.

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/boltstore"
	"github.com/tidemark-im/tidemark/wire"
)

// The answer to a send is lost, again and again: the message is stored once all the same.
func TestA3AcknowledgedBothWaysResendAfterALostAnswer(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	bob := n.device("bob", client.Config{}).synced()
	alice := n.device("alice", client.Config{}).synced()
	var want []string
	for i := range 5 {
		text := fmt.Sprint("message ", i)
		want = append(want, text)
		alice.cable.deafen()
		id, err := alice.Send(alice.ctx, team, text)
		if err != nil {
			t.Fatal(err)
		}
		bob.untilHead(tidemark.Seq(i + 2)) // it is stored; its sender does not know
		alice.cable.cut()
		m, err := alice.WaitSent(alice.ctx, id)
		if err != nil || m.Seq != tidemark.Seq(i+2) {
			t.Fatalf("message %d: seq %d, %v", i, m.Seq, err)
		}
	}
	alice.untilHead(6)
	once(t, alice.texts(), want)
	once(t, bob.texts(), want)
	same(t, alice, bob)
	if left := alice.Outbox(); len(left) != 0 {
		t.Errorf("the outbox still holds %v", left)
	}
}

// Three devices of one user, one of them on disk and restarted: the same messages, marks and settings.
func TestA3PositionPerDeviceOnThreeDevices(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	path := filepath.Join(t.TempDir(), "laptop")
	store, err := boltstore.Open(path, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	phone := n.device("alice", client.Config{DeviceID: "phone"}).synced()
	tablet := n.device("alice", client.Config{DeviceID: "tablet"}).synced()
	laptop := n.device("alice", client.Config{DeviceID: "laptop", Store: store}).synced()
	bob := n.device("bob", client.Config{}).synced()
	phone.say("from the phone")
	laptop.untilHead(2)
	laptop.stop()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	last := bob.say("from bob")
	tablet.say("from the tablet")
	if _, err := tablet.React(tablet.ctx, team, last, "+1", false); err != nil {
		t.Fatal(err)
	}
	if err := tablet.Settings(tablet.ctx, &wire.SettingsRequest{Conversation: string(team), Pinned: new(true)}); err != nil {
		t.Fatal(err)
	}
	if store, err = boltstore.Open(path, boltstore.Options{}); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	laptop = n.device("alice", client.Config{DeviceID: "laptop", Store: store}).synced()
	defer laptop.stop()
	if _, err := laptop.Edit(laptop.ctx, team, 2, "from the phone, edited on the laptop"); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*gadget{phone, tablet, laptop} {
		d.untilHead(6)
		if err := d.MarkRead(d.ctx, team, 6); err != nil {
			t.Fatal(err)
		}
		d.until("pinned and read", func() bool {
			c, _ := d.Conversation(team)
			return c.Self.GetPinned() && c.Unread == 0 && c.Self.GetReadSeq() >= 5
		})
	}
	same(t, phone, tablet, laptop, bob)
	for _, d := range []*gadget{tablet, laptop} {
		d.until("the same state", func() bool {
			a, _ := phone.Fingerprint(0)
			b, _ := d.Fingerprint(0)
			return a == b
		})
	}
}

// A device reconnects with what it has while others keep sending: no gap and no double.
func TestA1ReconnectWithKeyWhileOthersSend(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob", "carol")
	alice := n.device("alice", client.Config{Tail: 5}).synced()
	senders := []*gadget{n.device("bob", client.Config{}).synced(), n.device("carol", client.Config{}).synced()}
	const each = 150
	var sending sync.WaitGroup
	for _, s := range senders {
		sending.Go(func() {
			for i := range each {
				if _, err := s.Send(s.ctx, team, fmt.Sprint(s.User(), " ", i)); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	for range 10 {
		time.Sleep(15 * time.Millisecond)
		alice.cable.cut()
	}
	sending.Wait()
	for _, g := range append(senders, alice) {
		g.untilHead(2*each + 1)
	}
	same(t, alice, senders[0], senders[1])
	next := map[string]int{}
	for _, text := range alice.texts() {
		var user string
		var i int
		if _, err := fmt.Sscan(text, &user, &i); err != nil || next[user] != i {
			t.Fatalf("after %d of %s came %q", next[user]-1, user, text)
		}
		next[user]++
	}
	if next["bob"] != each || next["carol"] != each {
		t.Fatalf("arrived: %v", next)
	}
}

// Restoring a backup as another epoch: what agrees is kept, what the server lost is reported, and life goes on.
func TestA1SameSequenceOrResetForeignEpoch(t *testing.T) { restored(t, true) }

// A server that lost its end without knowing it: the device is ahead of it.
func TestA1SameSequenceOrResetKeyFromTheFuture(t *testing.T) { restored(t, false) }

func restored(t *testing.T, newEpoch bool) {
	dir, backup := t.TempDir(), t.TempDir()
	n := serve(t, dir)
	n.people("alice", "bob")
	store := client.NewMemory()
	alice := n.device("alice", client.Config{Store: store}).synced()
	for i := range 30 {
		alice.say(fmt.Sprint("kept ", i))
	}
	alice.stop()
	n.stop()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if newEpoch {
		changeEpoch(t, backup)
	}
	n = serve(t, dir)
	alice = n.device("alice", client.Config{Store: store}).synced()
	for i := range 3 {
		alice.say(fmt.Sprint("lost ", i))
	}
	alice.untilHead(34)
	alice.stop()
	n.stop()

	n = serve(t, backup)
	bob := n.device("bob", client.Config{}).synced()
	bob.say("after the restore")
	reports := make(chan client.HistoryChanged, 10)
	alice = n.listening("alice", store, reports)
	alice.until("the new history", func() bool {
		seq, digest, _ := alice.Digest(team)
		other, want, _ := bob.Digest(team)
		return seq == other && digest == want
	})
	select {
	case report := <-reports:
		if report.From != 32 || report.To != 34 || len(report.Dropped) != 3 || report.Dropped[0].Text() != "lost 0" {
			t.Errorf("reported: %+v", report)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing was reported")
	}
	if texts := alice.texts(); len(texts) != 31 || texts[0] != "kept 0" || texts[30] != "after the restore" {
		t.Errorf("alice has %q", texts)
	}
	if seq := alice.say("and on"); seq != 33 {
		t.Errorf("the next message has seq %d", seq)
	}
}

// changeEpoch makes a data directory another incarnation, as a restore does.
func changeEpoch(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "TIDEMARK")
	data, err := os.ReadFile(path)
	var meta map[string]any
	if err == nil {
		err = json.Unmarshal(data, &meta)
	}
	if err == nil {
		meta["epoch"] = "424242"
		data, err = json.Marshal(meta)
	}
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A device without a key begins with the last hour in which anything was said, pages back to the first event, and
// forwards again.
func TestA1ConnectWithoutKeyLatestHourThenBackToOne(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	hour := uint64(3_600_000)
	begin := uint64(time.Now().UnixMilli())/hour*hour - 100*hour
	var entries []*wire.ImportEntry
	for i := range 300 {
		at := begin + uint64(i/10)*hour + uint64(i%10)*1000 // ten messages in each of thirty hours, long ago
		entries = append(entries, &wire.ImportEntry{TimeMs: at, ClientId: fmt.Sprint("i", i), User: "bob",
			Entry: &wire.ImportEntry_Message{Message: &wire.Message{Type: "text", Text: fmt.Sprint("old ", i)}}})
	}
	past := tidemark.ConversationID("past")
	_, err := n.conversations.Create(context.Background(), &wire.CreateRequest{
		Id: string(past), CreatedMs: begin, Members: []string{"bob"}, Settings: &wire.Settings{HistoryFromStart: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.admin.Import(context.Background(), &wire.ImportRequest{Conversation: string(past), Entries: entries}); err != nil {
		t.Fatal(err)
	}
	bob := n.device("bob", client.Config{Backfill: client.FillNone, Tail: 1}).synced()
	page, err := bob.History(bob.ctx, past, client.Page{HourMs: begin + 50*hour, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	texts := contents(page.Messages)
	if len(texts) != 10 || texts[0] != "old 290" || texts[9] != "old 299" {
		t.Fatalf("the latest hour holds %q", texts)
	}
	all := page.Messages
	for all[0].Seq > 1 {
		page, err = bob.History(bob.ctx, past, client.Page{Before: all[0].Seq, Limit: 37})
		if err != nil || len(page.Messages) == 0 {
			t.Fatalf("below %d: %d messages, %v", all[0].Seq, len(page.Messages), err)
		}
		all = append(page.Messages, all...)
	}
	if page.More || len(contents(all)) != 300 {
		t.Fatalf("going back: %d texts, more %t", len(contents(all)), page.More)
	}
	again := []client.Message{}
	for after := tidemark.Seq(0); ; {
		page, err := bob.History(bob.ctx, past, client.Page{After: after, Start: true, Limit: 41})
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, page.Messages...)
		if !page.More {
			break
		}
		after = page.Messages[len(page.Messages)-1].Seq
	}
	once(t, contents(again), contents(all))
	at, err := bob.History(bob.ctx, past, client.Page{AtMs: begin + 5*hour + 3000, Limit: 5})
	if err != nil || at.Messages[0].Text() != "old 53" {
		t.Fatalf("jumping to a time: %q, %v", contents(at.Messages), err)
	}
}

func contents(list []client.Message) (texts []string) {
	for _, m := range list {
		if m.Content != nil {
			texts = append(texts, m.Text())
		}
	}
	return texts
}

// A kicked device stops, with the reason; so does one whose place another client takes.
func TestKickedAndReplaced(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice")
	for name, c := range map[string]struct {
		end  func()
		want error
	}{
		"kicked": {func() {
			if _, err := n.users.Kick(context.Background(), &wire.KickRequest{UserId: "alice", DeviceId: "d"}); err != nil {
				t.Error(err)
			}
		}, client.ErrKicked},
		"replaced": {func() { n.device("alice", client.Config{DeviceID: "d"}).synced() }, client.ErrReplaced},
	} {
		t.Run(name, func(t *testing.T) {
			g := n.bare("alice", client.Config{DeviceID: "d"})
			done := make(chan error, 1)
			go func() { done <- g.Run(g.ctx) }()
			g.synced()
			c.end()
			select {
			case err := <-done:
				if !errors.Is(err, c.want) || g.State() != client.Stopped {
					t.Errorf("Run: %v in state %s, want %v", err, g.State(), c.want)
				}
			case <-time.After(10 * time.Second):
				t.Error("it goes on")
			}
		})
	}
}

// A direct conversation begins with its first message, and its peer hears of it.
func TestSendToUser(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	alice, bob := n.device("alice", client.Config{}), n.device("bob", client.Config{}).synced()
	id, err := alice.SendTo(alice.ctx, "bob", "psst") // before it ever connected, perhaps
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.WaitSent(alice.ctx, id); err != nil {
		t.Fatal(err)
	}
	direct := tidemark.Direct("alice", "bob")
	bob.until("the message", func() bool {
		list, _ := bob.Latest(direct, 10)
		return len(contents(list)) == 1 && contents(list)[0] == "psst"
	})
	if err := bob.MarkRead(bob.ctx, direct, 2); err != nil {
		t.Fatal(err)
	}
	alice.until("the receipt", func() bool {
		list, _ := alice.Messages(direct, 2, 2)
		return len(list) == 1 && list[0].State == client.Read
	})
	if p, err := alice.Profile(alice.ctx, "bob"); err != nil || p.Nickname != "bob" {
		t.Errorf("bob's profile: %v, %v", p, err)
	}
	if id, err = alice.SendTo(alice.ctx, "nobody", "hello?"); err != nil {
		t.Fatal(err)
	}
	var refused *tidemark.Error
	if _, err := alice.WaitSent(alice.ctx, id); !errors.As(err, &refused) || refused.Reason != tidemark.UnknownUser {
		t.Errorf("a message to nobody: %v", err)
	}
}
