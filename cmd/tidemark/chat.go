// SPDX-License-Identifier: Apache-2.0

// tidemark chat: a user in a terminal. With the admin key at hand, users and tokens are made as they are needed, so that
// two terminals can talk a minute after the first serve.

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chat"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/boltstore"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

type chatCommand struct {
	User         string `short:"u" placeholder:"USER" help:"Who you are. Made at first use, where the admin key is at hand."`
	To           string `placeholder:"USER" xor:"where" help:"Open the conversation with this user."`
	Conversation string `short:"c" placeholder:"ID" xor:"where" help:"Open this conversation."`
	Token        string `placeholder:"TOKEN" help:"Your token, where the admin key is not at hand."`
	Device       string `placeholder:"ID" help:"Name of this device. Default: by the terminal, so that each terminal is one."`
	Store        string `placeholder:"FILE" help:"Keep what this device has in a file, for reading and writing offline. Default: in memory."`

	Plain bool          `help:"Lines instead of a screen: print messages, send what is read from the standard input."`
	Tail  int           `placeholder:"N" help:"With --plain: print the last N messages first."`
	Wait  time.Duration `placeholder:"DURATION" help:"With --plain: after the end of the input go on printing for so long."`

	serverFlags `embed:""`

	in io.Reader // what the line mode reads; nil: the standard input
}

// Help adds examples to the command's help.
func (chatCommand) Help() string {
	return `With the admin key at hand (in --data, or by --admin-key) no token is needed. In the program, F1 or /help lists keys and commands.

Examples, each in a terminal of its own:

  tidemark serve
  tidemark chat --user alice --to bob
  tidemark chat --user bob --to alice

  echo "the build is green" | tidemark chat --user ci --conversation team --plain
  tidemark chat --url https://chat.example --token "$TOKEN" --store ~/.tidemark-chat`
}

// Run shows the screen, or runs the line mode.
func (c *chatCommand) Run(ctx context.Context, output *Output) (err error) {
	if !c.Plain && !(isTerminal(os.Stdin) && isTerminal(output.Out)) {
		return wrongUsage("this is not a terminal: give --plain for lines instead of a screen")
	}
	token, err := c.identify(ctx)
	if err != nil {
		return err
	}
	store, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	device, err := client.New(client.Config{
		URL: strings.TrimRight(c.URL, "/"), Token: token, DeviceID: c.deviceID(), Store: store,
		Platform: "terminal", Name: "tidemark chat", Full: 200,
	})
	if err != nil {
		return err
	}
	if !c.Plain {
		return chat.Run(ctx, chat.Config{
			Device: device, Connect: device.Run, User: tidemark.UserID(c.User),
			Peer: tidemark.UserID(c.To), Conversation: tidemark.ConversationID(c.Conversation),
		}, chat.Terminal{})
	}
	if c.in == nil {
		c.in = os.Stdin
	}
	return chat.RunPlain(ctx, chat.PlainConfig{
		Device: device, Connect: device.Run, User: tidemark.UserID(c.User),
		Peer: tidemark.UserID(c.To), Conversation: tidemark.ConversationID(c.Conversation),
		Tail: c.Tail, Linger: c.Wait, In: c.in, Out: output.Out, Err: output.Err,
	})
}

// identify finds out who the user is, and where tokens come from.
func (c *chatCommand) identify(ctx context.Context) (client.TokenSource, error) {
	c.To = strings.TrimPrefix(c.To, "@")
	if c.Token != "" {
		subject, err := subjectOf(c.Token)
		switch {
		case err != nil:
			return nil, wrongUsage("--token is not a token: %v", err)
		case c.User != "" && c.User != subject:
			return nil, wrongUsage("--user is %q and the token is for %q: leave --user out", c.User, subject)
		}
		c.User = subject
		if err := c.checkNames(); err != nil {
			return nil, err
		}
		return client.StaticToken(c.Token), c.tryToken(ctx)
	}
	if c.User == "" {
		return nil, wrongUsage("who are you? Give --user USER, or --token TOKEN")
	}
	if err := c.checkNames(); err != nil {
		return nil, err
	}
	base, options, err := c.options()
	if err != nil {
		return nil, fmt.Errorf("%w; or give --token (tidemark token --user %s prints one on the server's machine)", err, c.User)
	}
	users := wireconnect.NewUserServiceClient(http.DefaultClient, base, options)
	for _, user := range []string{c.User, c.To} {
		if err := ensureUser(ctx, users, user); errors.As(err, new(*connect.Error)) {
			return nil, err // from a server
		} else if err != nil {
			return nil, fmt.Errorf("%w\nIs a server running? 'tidemark serve' starts one, --url names another", err)
		}
	}
	return func(ctx context.Context) (string, error) {
		answer, err := users.IssueToken(ctx, &wire.IssueTokenRequest{UserId: c.User})
		return answer.GetToken(), err
	}, nil
}

// tryToken asks the server whether it takes the token, so that a wrong one is told at once. A server that does not answer
// is no reason not to begin: what is stored can be read, and written to, offline.
func (c *chatCommand) tryToken(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	flags := serverFlags{URL: c.URL, AdminKey: c.Token}
	base, options, err := flags.options()
	if err != nil {
		return err
	}
	users := wireconnect.NewUserServiceClient(http.DefaultClient, base, options)
	_, err = users.Get(ctx, &wire.GetUserRequest{UserId: c.User})
	switch connect.CodeOf(err) {
	case connect.CodeUnauthenticated:
		return fmt.Errorf("the server does not take the token: %w", err)
	case connect.CodeNotFound:
		return fmt.Errorf("the token is good, but there is no user %s: the app's back end makes users", c.User)
	}
	return nil
}

func (c *chatCommand) checkNames() error {
	for flag, user := range map[string]string{"--user": c.User, "--to": c.To} {
		if user != "" && !tidemark.UserID(user).Valid() {
			return wrongUsage("%s is %q: a user id takes %s", flag, user, tidemark.IDAlphabet)
		}
	}
	if c.To != "" && c.To == c.User {
		return wrongUsage("--to is yourself: name somebody else")
	}
	return nil
}

// ensureUser makes a user if there is none.
func ensureUser(ctx context.Context, users wireconnect.UserServiceClient, user string) error {
	if user == "" {
		return nil
	}
	_, err := users.Get(ctx, &wire.GetUserRequest{UserId: user})
	if connect.CodeOf(err) == connect.CodeNotFound {
		_, err = users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: user, Nickname: user}})
	}
	return err
}

// subjectOf reads whom a token is for. The server checks whether it is true.
func subjectOf(token string) (string, error) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return "", errors.New("it must be a JSON Web Token: three parts with dots between them")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", err
	}
	if claims.Subject == "" {
		return "", errors.New("it names no user")
	}
	return claims.Subject, nil
}

// open opens the device's store.
func (c *chatCommand) open() (client.Store, error) {
	if c.Store == "" {
		return client.NewMemory(), nil
	}
	store, err := boltstore.Open(c.Store, boltstore.Options{})
	if errors.Is(err, boltstore.ErrLocked) {
		return nil, fmt.Errorf("%s is open in another chat: close that one, or give another --store", c.Store)
	}
	return store, err
}

// deviceID names this device: with a store by the store's file, otherwise by the terminal.
func (c *chatCommand) deviceID() tidemark.DeviceID {
	if c.Device != "" {
		return tidemark.DeviceID(c.Device)
	}
	name := "pipe"
	if c.Store != "" {
		path, err := filepath.Abs(c.Store)
		if err != nil {
			path = c.Store
		}
		name = path
	} else if tty, err := os.Readlink("/proc/self/fd/0"); err == nil && isTerminal(os.Stdin) {
		name = strings.TrimPrefix(tty, "/dev/")
	}
	host, err := os.Hostname()
	if err != nil {
		host = "here"
	}
	return tidemark.DeviceID(idOf("chat:" + host + ":" + name))
}

// idOf makes an id of any text: other characters become '-', and of what is too long the end counts.
func idOf(text string) string {
	id := []byte(text)
	for i := range id {
		if !tidemark.UserID(id[i : i+1]).Valid() {
			id[i] = '-'
		}
	}
	return string(id[max(len(id)-tidemark.IDBytesMax, 0):])
}
