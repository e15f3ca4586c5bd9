// SPDX-License-Identifier: Apache-2.0

// Devices that were away while their conversation was trimmed, and the server killed in the middle of it.

package client_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/server"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// TestServeUntilKilled is not a test: it is a server in a process of its own.
func TestServeUntilKilled(t *testing.T) {
	dir := os.Getenv("SERVE_UNTIL_KILLED")
	if dir == "" {
		t.Skip("it is run by another test")
	}
	s, err := server.New(server.Config{DataDir: dir, Listen: "127.0.0.1:0", Out: os.Stdout, CacheBytes: 8 << 20, CallsPerSecond: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(s.Run(context.Background()))
}

// victim serves the data in dir from a process of its own, until it is killed.
func victim(t *testing.T, dir string) (n *node, kill func()) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestServeUntilKilled$", "-test.timeout=2m")
	command.Env = append(os.Environ(), "SERVE_UNTIL_KILLED="+dir)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
	t.Cleanup(kill)
	n = &node{t: t}
	for lines := bufio.NewScanner(out); n.url == "" && lines.Scan(); {
		_, n.url, _ = strings.Cut(lines.Text(), "listening on ")
	}
	key, err := os.ReadFile(filepath.Join(dir, "admin.key"))
	if err != nil || n.url == "" {
		t.Fatalf("it does not serve: %q, %v", n.url, err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	n.http = &http.Client{Transport: withKey{transport, strings.TrimSpace(string(key))}}
	n.users = wireconnect.NewUserServiceClient(n.http, n.url)
	n.conversations = wireconnect.NewConversationServiceClient(n.http, n.url)
	return n, kill
}

// A device that has the beginning of a log comes back when it and much more is no longer kept; another has nothing yet.
func TestDevicesComeBackBelowTheFloor(t *testing.T) {
	const kept = 20
	dir := filepath.Join(t.TempDir(), "data")
	n, kill := victim(t, dir)
	n.people("alice", "bob")
	stores := map[string]client.Store{"alice": client.NewMemory(), "bob": client.NewMemory()}
	device := func(name string) *gadget {
		return n.device(name, client.Config{Store: stores[name], DeviceID: tidemark.DeviceID(name + "-phone")}).synced()
	}
	alice, bob := device("alice"), device("bob")
	var texts []string
	say := func(count int) (last tidemark.Seq) {
		for range count {
			texts = append(texts, fmt.Sprint("m", len(texts)))
			last = alice.say(texts[len(texts)-1])
		}
		return last
	}
	had := say(10)
	bob.untilHead(had)
	bob.stop()
	say(300)
	_, err := n.conversations.Update(context.Background(), &wire.UpdateRequest{Conversation: string(team), Settings: &wire.Settings{
		Retention: &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: kept},
	}})
	if err != nil {
		t.Fatal(err)
	}
	kill() // before, in or after the trim
	alice.stop()

	n, _ = victim(t, dir)
	alice = device("alice")
	verified := new(wire.VerifyResponse)
	alice.until("the trim goes on after the restart", func() bool {
		if verified, err = alice.Verify(alice.ctx, team, 0); err != nil {
			t.Fatal(err)
		}
		return verified.FloorSeq >= uint64(had)+100
	})
	bob = device("bob")
	head := say(1)
	alice.untilHead(head)
	bob.untilHead(head)
	fresh := n.device("bob", client.Config{DeviceID: "bob-tablet", Tail: 100}).synced()
	fresh.untilHead(head)
	if verified, err = bob.Verify(bob.ctx, team, head); err != nil {
		t.Fatal(err)
	}
	same(t, alice, bob, fresh)
	once(t, alice.texts(), texts) // a device that has missed nothing may keep what it has
	for name, d := range map[string]*gadget{"the one that was away": bob, "a new one": fresh} {
		c, _ := d.Conversation(team)
		if c.Floor != tidemark.Seq(verified.FloorSeq-1) || len(c.Gaps()) != 0 || c.Doubt.Open || c.Tail() != head {
			t.Errorf("%s knows of the floor %d, the gaps %v, doubt %v; the server keeps events from %d on", name, c.Floor, c.Gaps(), c.Doubt, verified.FloorSeq)
		}
		if seq, digest, _ := d.Digest(team); seq != head || string(digest[:]) != string(verified.Digest) {
			t.Errorf("%s has %d %v", name, seq, digest)
		}
	}
	page, err := fresh.History(fresh.ctx, team, client.Page{Latest: true, Limit: 100})
	if err != nil || len(page.Messages) == 0 || page.Messages[0].Seq != tidemark.Seq(verified.FloorSeq) {
		t.Errorf("a page begins with %v, %v", page.Messages[:min(1, len(page.Messages))], err)
	}
	tail := texts[len(texts)-int(uint64(head)-verified.FloorSeq):] // all events above the floor but that of the settings
	once(t, fresh.texts(), tail)
	once(t, bob.texts(), tail) // what became of the first ten in between nobody can tell any more: they are gone
}
