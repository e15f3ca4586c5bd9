// SPDX-License-Identifier: Apache-2.0

// The calm: what is said of devices that never agree, and what two devices of one user must have in common.

package soak

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/bench"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

var errOver = errors.New("the time is over")

// scripted is a device that answers each question with the next of its standings. Asked once more, it hangs, and the run is
// ended.
func scripted(ctx context.Context, group *errgroup.Group, end context.CancelCauseFunc, device string, standings []*Standing) *keeper {
	k := &keeper{config: DeviceConfig{User: "ann", Device: device}, asked: make(chan string), gone: make(chan struct{}), stands: make(chan *Standing)}
	group.Go(func() error {
		for {
			select {
			case <-k.asked:
			case <-ctx.Done():
				return nil
			}
			if len(standings) == 0 {
				end(errOver)
				return nil
			}
			k.stands <- standings[0]
			standings = standings[1:]
		}
	})
	return k
}

// However the calm ends, it says what was missing the last time that all devices were asked.
func TestTheCalmSaysWhatIsMissing(t *testing.T) {
	offline := &Standing{State: "offline"}
	full := &Standing{State: "synced", Outbox: 3, Waiting: " stored to harbour"}
	fuller := &Standing{State: "synced", Outbox: 4}
	for _, c := range []struct {
		name          string
		phone, laptop []*Standing
		says          []string
	}{
		{"nothing moves", []*Standing{offline, offline, offline, offline}, []*Standing{full, full, full, full},
			[]string{"Y1: ", "nothing has moved for 3", "offline", "(ann/phone)", "3 in its outbox: stored to harbour (ann/laptop)"}},
		{"it moves first", []*Standing{offline, offline, offline, offline, offline}, []*Standing{fuller, full, full, full, full},
			[]string{"after 5 rounds", "nothing has moved for 3", "3 in its outbox"}},
		{"the first device hangs", []*Standing{offline}, []*Standing{full}, []string{errOver.Error(), "offline", "3 in its outbox"}},
		{"the second device hangs", []*Standing{offline, offline}, []*Standing{full}, []string{errOver.Error(), "offline", "3 in its outbox"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, end := context.WithCancelCause(t.Context())
			var group errgroup.Group
			journal, err := openJournal(filepath.Join(t.TempDir(), "journal"), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			r := &run{Config: Config{Patience: 3}, journal: journal, keepers: []*keeper{
				scripted(ctx, &group, end, "phone", c.phone), scripted(ctx, &group, end, "laptop", c.laptop),
			}}
			_, err = r.agree(ctx)
			for _, want := range c.says {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("want %q: %v", want, err)
				}
			}
			var v *invariant.Violation
			if ctx.Err() == nil && (!errors.As(err, &v) || v.User != "ann") {
				t.Errorf("of whom: %v", err)
			}
			end(nil)
			if err := errors.Join(group.Wait(), journal.close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A group that all have left is shown by no device, and is held to its promises all the same.
func TestTheLogOfAGroupThatAllHaveLeftIsRead(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the server")
	}
	config := newConfig(t, 1)
	server, err := bench.StartServer(t.Context(), bench.ServerConfig{Program: config.Program, DataDir: filepath.Join(config.Dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	r := &run{Config: config, groups: []string{"pier"}, app: newApp(server.URL, server.AdminKey)}
	defer r.app.Close()
	if _, err := r.app.make(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if err := r.app.group(t.Context(), "pier", []string{"ann"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.app.Conversations.RemoveMembers(t.Context(), &wire.RemoveMembersRequest{Conversation: "pier", Members: []string{"ann"}}); err != nil {
		t.Fatal(err)
	}
	logs, err := r.readLogs(t.Context(), []*Standing{{State: "synced"}})
	if err != nil || logs["pier"] == nil || len(logs["pier"].events) < 2 {
		t.Fatalf("%+v, %v", logs, err)
	}
}

// still is a device of bob that does nothing by itself, and its server.
type still struct {
	t     *testing.T
	url   string
	token string
}

// open starts the device; it ends with ctx.
func (s still) open(ctx context.Context, group *errgroup.Group, device string) *keeper {
	s.t.Helper()
	k := &keeper{group: group, hear: func(*keeper, Told) {}, observer: invariant.New(), config: DeviceConfig{
		URL: s.url, Token: s.token, User: "bob", Device: device, Pace: 24 * time.Hour,
	}}
	if err := k.start(ctx); err != nil {
		s.t.Fatal(err)
	}
	k.ask(askCalm)
	return k
}

// shows asks a device until it has everything and shows one conversation with so much in it. It is ended by go test, if it must be.
func (s still) shows(k *keeper, want string) *Standing {
	s.t.Helper()
	for {
		now, err := k.stand(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if now.State == "synced" && now.Stale == "" && len(now.Conversations) == 1 && strings.Contains(now.Conversations[0].Rest, want) {
			return now
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// What a stranger is called now, a device hears with the next that the stranger says after it has connected anew; what a contact
// is called, whenever it asks. So devices that stand still are held to the names of contacts only.
func TestDevicesAgreeOnTheNamesOfContacts(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the server")
	}
	config := newConfig(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var group errgroup.Group
	defer func() { cancel(); _ = group.Wait() }() // devices do not fail
	server, err := bench.StartServer(ctx, bench.ServerConfig{Program: config.Program, DataDir: filepath.Join(config.Dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	app := newApp(server.URL, server.AdminKey)
	defer app.Close()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rename := func(name string) {
		t.Helper()
		must(app.Users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: "ann", Nickname: name}}))
	}
	rename("Ann")
	token, err := app.make(ctx, "bob")
	must(token, err)
	must(app.Messages.Submit(bench.As(ctx, "ann"), &wire.SubmitRequest{
		ToUser: "bob", ClientId: "1", Action: &wire.SubmitRequest_Message{Message: &wire.Message{Type: "text", Text: "good morning"}},
	}))
	bob := still{t, server.URL, token}
	phone := bob.open(ctx, &group, "phone")
	bob.shows(phone, "DIRECT")
	rename("Ann the second")
	laptop := bob.open(ctx, &group, "laptop")
	a, b := bob.shows(phone, "DIRECT"), bob.shows(laptop, "DIRECT")
	if _, what := difference(a, b); what != "" {
		t.Errorf("a stranger's name: %s", what)
	}
	must(app.Contacts.Request(bench.As(ctx, "ann"), &wire.ContactRequest{User: "bob"}))
	must(app.Contacts.Request(bench.As(ctx, "bob"), &wire.ContactRequest{User: "ann"}))
	bob.shows(phone, "Ann the second")
	rename("Ann the third")
	a, b = bob.shows(phone, "Ann the third"), bob.shows(laptop, "Ann the third")
	if _, what := difference(a, b); what != "" {
		t.Errorf("a contact's name: %s", what)
	}
}
