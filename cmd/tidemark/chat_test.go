// SPDX-License-Identifier: Apache-2.0

// tidemark chat in line mode, against a server in this process.

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/server"
)

// serveHere runs a server in this process until the test ends.
func serveHere(t *testing.T) (url, data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	s, err := server.New(server.Config{DataDir: data, Listen: "127.0.0.1:0", Drain: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s.URL(), data
}

// terminal is a chat in line mode: what is typed into it, and what it prints.
type terminal struct {
	t     *testing.T
	typed *io.PipeWriter
	lines chan string
	ended chan error
	errs  bytes.Buffer // read after ended
}

func openTerminal(t *testing.T, c chatCommand) *terminal {
	t.Helper()
	in, typed := io.Pipe()
	printed, out := io.Pipe()
	term := &terminal{t: t, typed: typed, lines: make(chan string, 100), ended: make(chan error, 1)}
	c.Plain, c.in = true, in
	go func() {
		err := c.Run(t.Context(), &Output{Out: out, Err: &term.errs})
		out.Close()
		term.ended <- err
	}()
	go func() {
		for scanner := bufio.NewScanner(printed); scanner.Scan(); {
			term.lines <- scanner.Text()
		}
		close(term.lines)
	}()
	return term
}

func (term *terminal) say(line string) {
	term.t.Helper()
	if _, err := io.WriteString(term.typed, line+"\n"); err != nil {
		term.t.Fatal(err)
	}
}

// want reads the next line, without its time.
func (term *terminal) want(want string) {
	term.t.Helper()
	select {
	case line := <-term.lines:
		if _, text, _ := strings.Cut(line, "] "); text != want {
			term.t.Errorf("printed %q, want %q", line, want)
		}
	case <-time.After(20 * time.Second):
		term.t.Fatalf("nothing was printed, want %q", want)
	}
}

func (term *terminal) close() {
	term.t.Helper()
	if err := term.typed.Close(); err != nil {
		term.t.Error(err)
	}
	if err := <-term.ended; err != nil {
		term.t.Errorf("%v; %s", err, term.errs.String())
	}
}

// Two terminals and no preparation: users and tokens are made from the key in the data directory.
func TestTwoTerminalsTalk(t *testing.T) {
	url, data := serveHere(t)
	flags := serverFlags{URL: url, Data: data}
	alice := openTerminal(t, chatCommand{User: "alice", To: "bob", Device: "a", serverFlags: flags})
	alice.say("hello bob")
	bob := openTerminal(t, chatCommand{User: "bob", To: "@alice", Device: "b", Tail: 10, Store: filepath.Join(t.TempDir(), "bob"), serverFlags: flags})
	bob.want("#alice~bob <alice> hello bob")
	bob.say("/me waves")
	alice.want("#alice~bob * bob waves")
	alice.say("你好 👋")
	bob.want("#alice~bob <alice> 你好 👋")
	alice.close()
	bob.close()
}

func TestChatSaysWhatToDo(t *testing.T) {
	url, data := serveHere(t)
	const wrongKey = "0123456789abcdefghij"
	if status, _, errOut := command(t, "chat", "--plain", "--user", "alice", "--admin-key", wrongKey, "--url", url); status != exitFailed ||
		!strings.Contains(errOut, "admin key") || strings.Contains(errOut, "Is a server running?") {
		t.Errorf("with a wrong admin key: status %d: %s", status, errOut)
	}
	for want, args := range map[string][]string{
		"give --plain":                   {"--user", "alice"},
		"who are you?":                   {"--plain"},
		"a user id takes":                {"--plain", "--user", "a b"},
		"name somebody else":             {"--plain", "--user", "alice", "--to", "@alice"},
		"no admin key":                   {"--plain", "--user", "alice", "--data", t.TempDir()},
		"tidemark token --user alice":    {"--plain", "--user", "alice", "--data", t.TempDir()},
		"'tidemark serve' starts one":    {"--plain", "--user", "alice", "--data", data, "--url", "http://127.0.0.1:1"},
		"must be like http":              {"--plain", "--user", "alice", "--data", data, "--url", "localhost"},
		"three parts":                    {"--plain", "--token", "abc"},
		"and the token is for \"alice\"": {"--plain", "--token", "x.eyJzdWIiOiJhbGljZSJ9.x", "--user", "bob"},
		"does not take the token":        {"--plain", "--token", "x.eyJzdWIiOiJhbGljZSJ9.x", "--url", url},
		"can't be used together":         {"--to", "bob", "--conversation", "c"},
	} {
		if status, out, errOut := command(t, append([]string{"chat"}, args...)...); status == exitDone || !strings.Contains(errOut, want) {
			t.Errorf("%v: status %d, %q, want %q\n%s", args, status, errOut, want, out)
		}
	}
}

func TestDeviceIDsAreIDs(t *testing.T) {
	for _, text := range []string{"chat:host:pts/3", "chat:" + strings.Repeat("very", 30) + "/ü/file", ""} {
		if id := tidemark.DeviceID(idOf(text)); text != "" && !id.Valid() {
			t.Errorf("%q gives %q", text, id)
		}
	}
	if a, b := (&chatCommand{Store: "a"}).deviceID(), (&chatCommand{Store: "b"}).deviceID(); a == b || !a.Valid() {
		t.Errorf("two stores are the devices %q and %q", a, b)
	}
}
