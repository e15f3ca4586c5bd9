// SPDX-License-Identifier: Apache-2.0

// A user with very much, on three devices that change everything and lose their connections: in the end all see the same.

package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

const (
	convergeGroups   = 4_000
	convergeContacts = 1_000
)

func peerName(i int) tidemark.UserID { return tidemark.UserID(fmt.Sprintf("peer%04d", i)) }
func groupName(i int) tidemark.ConversationID {
	return tidemark.ConversationID(fmt.Sprintf("group%04d", i))
}

func TestA3PositionPerDeviceEverythingConverges(t *testing.T) {
	n := serve(t, t.TempDir())
	n.people("alice", "bob")
	n.crowd()
	devices := []*gadget{}
	for _, name := range []string{"phone", "tablet", "laptop"} {
		devices = append(devices, n.device("alice", client.Config{DeviceID: tidemark.DeviceID(name), Tail: 2, Full: 20}).synced())
	}
	if got := len(devices[0].Contacts()); got != convergeContacts {
		t.Fatalf("the phone knows %d contacts, want %d", got, convergeContacts)
	}
	var busy sync.WaitGroup
	for i, d := range devices {
		busy.Go(func() { d.change(rand.New(rand.NewPCG(uint64(i), 7))) })
	}
	busy.Go(func() { n.world(rand.New(rand.NewPCG(9, 9))) })
	busy.Wait()

	watch := n.device("alice", client.Config{DeviceID: "watch", Tail: 2, Full: 20}).synced()
	all := append(devices, watch)
	for _, d := range all {
		d.until("nothing of its own is left", func() bool {
			for _, c := range d.Conversations() {
				if c.PendingRead > 0 {
					return false
				}
			}
			return true
		})
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		var prints []tidemark.Digest
		for _, d := range all {
			if err := d.synced().Refresh(d.ctx); err != nil {
				t.Fatal(err)
			}
			print, err := d.Fingerprint(-1)
			if err != nil {
				t.Fatal(err)
			}
			prints = append(prints, print)
		}
		if prints[0] == prints[1] && prints[1] == prints[2] && prints[2] == prints[3] {
			break
		}
		if time.Now().After(deadline) {
			difference(t, all)
			t.Fatalf("the devices differ: %x", prints)
		}
		time.Sleep(20 * time.Millisecond)
	}
	badge, err := watch.Badge(watch.ctx)
	if err != nil {
		t.Fatal(err)
	}
	unread := uint64(0)
	for _, c := range watch.Conversations() {
		if !c.Self.GetMuted() {
			unread += c.Unread
		}
	}
	if badge.Unread != unread {
		t.Errorf("the server counts %d unread, the devices %d", badge.Unread, unread)
	}
}

// difference says where devices differ.
func difference(t *testing.T, all []*gadget) {
	last := all[len(all)-1]
	for _, d := range all[:len(all)-1] {
		shown := 0
		for _, c := range last.Conversations() {
			other, _ := d.Conversation(c.ID)
			a, b := fmt.Sprint(c.HeadSeq, c.Unread, c.Mentions, c.LastTimeMs, c.Self, c.Info), "none"
			if other != nil {
				b = fmt.Sprint(other.HeadSeq, other.Unread, other.Mentions, other.LastTimeMs, other.Self, other.Info)
			}
			if a != b && shown < 5 {
				shown++
				t.Logf("%s:\n%s\n%s", c.ID, b, a)
			}
		}
	}
}

// crowd makes the conversations and contacts of alice.
func (n *node) crowd() {
	n.t.Helper()
	work, ctx := errgroup.WithContext(context.Background())
	work.SetLimit(32)
	contacts := func(user tidemark.UserID) wireconnect.ContactServiceClient {
		return wireconnect.NewContactServiceClient(actingFor{n.http, string(user)}, n.url)
	}
	alice := contacts("alice")
	for i := range convergeContacts {
		work.Go(func() error {
			peer := peerName(i)
			_, err := n.users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: string(peer), Nickname: string(peer)}})
			if err != nil {
				return err
			}
			if _, err := alice.Request(ctx, &wire.ContactRequest{User: string(peer), Text: "hello"}); err != nil {
				return err
			}
			_, err = contacts(peer).Answer(ctx, &wire.AnswerContactRequest{User: "alice", Accept: true})
			return err
		})
	}
	for i := range convergeGroups {
		work.Go(func() error {
			_, err := n.conversations.Create(ctx, &wire.CreateRequest{Id: string(groupName(i)), Members: []string{"alice", "bob"}})
			return err
		})
	}
	if err := work.Wait(); err != nil {
		n.t.Fatal(err)
	}
}

// change changes what a user may, and loses its connection now and then.
func (g *gadget) change(r *rand.Rand) {
	for range 150 {
		group, peer := groupName(r.IntN(convergeGroups)), peerName(r.IntN(convergeContacts))
		if r.IntN(3) == 0 {
			group = groupName(r.IntN(20)) // where the devices meet
		}
		in, yes := string(group), r.IntN(2) == 0
		var err error
		switch r.IntN(9) {
		case 0:
			c, _ := g.Conversation(group)
			err = g.MarkRead(g.ctx, group, c.HeadSeq)
		case 1:
			err = g.Settings(g.ctx, &wire.SettingsRequest{Conversation: in, Pinned: &yes})
		case 2:
			err = g.Settings(g.ctx, &wire.SettingsRequest{Conversation: in, Muted: &yes})
		case 3:
			err = g.Draft(g.ctx, group, fmt.Sprint("draft ", r.IntN(100)), 0)
		case 4:
			err = g.Remark(g.ctx, peer, fmt.Sprint("remark ", r.IntN(100)))
		case 5:
			nickname := fmt.Sprint("Alice ", r.IntN(100))
			err = g.UpdateProfile(g.ctx, &wire.UpdateUserRequest{Nickname: &nickname})
		case 6:
			err = g.Settings(g.ctx, &wire.SettingsRequest{Conversation: in, MarkedUnread: &yes})
		case 7:
			_, err = g.Send(g.ctx, group, "hello")
		case 8:
			g.cable.cut()
		}
		var refusal *tidemark.Error
		if errors.As(err, &refusal) { // a cut cable is no refusal
			g.t.Errorf("refused: %v", err)
		}
	}
}

// world is what others do meanwhile.
func (n *node) world(r *rand.Rand) {
	messages := wireconnect.NewMessageServiceClient(actingFor{n.http, "bob"}, n.url)
	for i := range 300 {
		var err error
		if peer := string(peerName(r.IntN(convergeContacts))); r.IntN(3) == 0 {
			nickname := fmt.Sprint("peer ", r.IntN(100))
			_, err = n.users.Update(context.Background(), &wire.UpdateUserRequest{UserId: peer, Nickname: &nickname})
		} else {
			_, err = messages.Submit(context.Background(), &wire.SubmitRequest{
				Conversation: string(groupName(r.IntN(convergeGroups))), ClientId: fmt.Sprint("w", i),
				Action: &wire.SubmitRequest_Message{Message: &wire.Message{Text: "hello", MentionAll: r.IntN(4) == 0}},
			})
		}
		if err != nil {
			n.t.Errorf("the world: %v", err)
		}
	}
}

// actingFor calls with the admin key for a user.
type actingFor struct {
	http *http.Client
	user string
}

// Do implements [connect.HTTPClient].
func (a actingFor) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("Tidemark-User", a.user)
	return a.http.Do(r)
}
