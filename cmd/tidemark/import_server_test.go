// SPDX-License-Identifier: Apache-2.0

// tidemark import irc into a running server.

package main

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-im/tidemark/irc"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/server"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

func TestImportIntoARunningServer(t *testing.T) {
	data, logs := filepath.Join(t.TempDir(), "data"), importLogs(t)
	s, err := server.New(server.Config{DataDir: data, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	flags := &serverFlags{URL: s.URL(), Data: data}
	base, options, err := flags.options()
	if err != nil {
		t.Fatal(err)
	}
	users := wireconnect.NewUserServiceClient(http.DefaultClient, base, options)
	had := []*wire.Profile{
		{Id: string(irc.UserOf("ann")), Nickname: "ann", Avatar: "https://example.org/ann.png"},
		{Id: string(irc.UserOf("bob")), Nickname: "Robert", Avatar: "https://example.org/bob.png"},
	}
	for _, profile := range had { // who is there already
		if _, err := users.Upsert(ctx, &wire.UpsertUserRequest{User: profile}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"appended 12, already there 0", "appended 0, already there 12"} {
		status, out, errOut := command(t, "import", "irc", "--url", s.URL(), "--data", data, "-c", "#harbour", "--title", "The harbour", logs)
		if status != exitDone || !strings.Contains(out, want) {
			t.Errorf("status %d, want %q:\n%s%s", status, want, out, errOut)
		}
	}
	for i, nickname := range []string{"ann", "bob"} {
		got, err := users.Get(ctx, &wire.GetUserRequest{UserId: had[i].Id})
		if err != nil || got.GetUser().GetNickname() != nickname || got.GetUser().GetAvatar() != had[i].Avatar {
			t.Errorf("who was there already: %v, %v", got, err)
		}
	}
	status, _, errOut := command(t, "import", "irc", "--data", data, "-c", "#harbour", logs)
	if status != exitFailed || !strings.Contains(errOut, "--url") {
		t.Errorf("into the directory of a running server: status %d: %s", status, errOut)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	look(t, data, "#harbour", func(d *directoryTarget, c record.Conversation) {
		checkHours(t, d, c, logs)
		if info, err := d.set.Of("#harbour").InfoOf(c); err != nil || info.Title != "The harbour" {
			t.Errorf("info %+v, err %v", info, err)
		}
	})
}
