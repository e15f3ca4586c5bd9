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

// What a stranger is called now, a device hears with the next that the stranger says after it has connected anew; what a contact
// is called, whenever it asks. So devices that stand still are held to the names of contacts only.
func TestDevicesAgreeOnTheNamesOfContacts(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the server")
	}
	config := newConfig(t, 1)
	ctx := t.Context()
	server, err := bench.StartServer(ctx, bench.ServerConfig{Program: config.Program, DataDir: filepath.Join(config.Dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	app := newApp(server.URL, server.AdminKey)
	defer app.Close()
	rename := func(name string) {
		t.Helper()
		if _, err := app.Users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: "ann", Nickname: name}}); err != nil {
			t.Fatal(err)
		}
	}
	rename("Ann")
	token, err := app.make(ctx, "bob")
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.Messages.Submit(bench.As(ctx, "ann"), &wire.SubmitRequest{
		ToUser: "bob", ClientId: "1", Action: &wire.SubmitRequest_Message{Message: &wire.Message{Type: "text", Text: "good morning"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	defer func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	}()
	open := func(device string) *keeper {
		k := &keeper{group: &group, hear: func(*keeper, Told) {}, observer: invariant.New(), config: DeviceConfig{
			URL: server.URL, Token: token, User: "bob", Device: device, Pace: 24 * time.Hour, // it does nothing
		}}
		if err := k.start(ctx); err != nil {
			t.Fatal(err)
		}
		return k
	}
	// shows asks a device until it shows ann as wanted. It is ended by go test, if it must be.
	shows := func(k *keeper, want func(ann ShownConversation) bool) *Standing {
		for {
			s, err := k.stand(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if s.State == "synced" && s.Stale == "" && len(s.Conversations) == 1 && want(s.Conversations[0]) {
				return s
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	named := func(name string) func(ShownConversation) bool {
		return func(ann ShownConversation) bool { return strings.Contains(ann.Rest, name) }
	}
	phone := open("phone")
	shows(phone, func(ann ShownConversation) bool { return ann.Stored > 0 })
	rename("Ann the second")
	laptop := open("laptop")
	a, b := shows(phone, named("DIRECT")), shows(laptop, named("DIRECT"))
	if what := difference(a, b); what != "" || named("Ann")(a.Conversations[0]) {
		t.Errorf("a stranger's name: %s %+v", what, a)
	}
	if _, err := app.Contacts.Request(bench.As(ctx, "ann"), &wire.ContactRequest{User: "bob"}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Contacts.Request(bench.As(ctx, "bob"), &wire.ContactRequest{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	shows(phone, named("Ann the second"))
	rename("Ann the third")
	a, b = shows(phone, named("Ann the third")), shows(laptop, named("Ann the third"))
	if what := difference(a, b); what != "" {
		t.Errorf("a contact's name: %s", what)
	}
}
