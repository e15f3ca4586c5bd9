// SPDX-License-Identifier: Apache-2.0

// tidemark token: a token for a user, from the key in the data directory or from a running server.

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// defaultURL is where a server listens that was not told otherwise.
const defaultURL = "http://127.0.0.1:8080"

type tokenCommand struct {
	User   string        `required:"" placeholder:"USER" help:"The user the token is for."`
	Device string        `placeholder:"DEVICE" help:"Bind the token to one device."`
	TTL    time.Duration `name:"ttl" default:"720h" help:"How long the token is valid (${default})."`
	Create bool          `help:"Create the user if there is none (asks the running server)."`

	URL           string `name:"url" placeholder:"URL" help:"Ask this server, with the admin key, instead of signing here."`
	Data          string `default:"./tidemark-data" placeholder:"DIR" help:"Data directory with the keys (${default})."`
	AdminKey      string `placeholder:"KEY" help:"The admin key, for --url. Default: the one in DIR/admin.key."`
	TokenSecret   string `placeholder:"SECRET" help:"Secret to sign with. Default: the one in DIR/auth.key."`
	TokenIssuer   string `placeholder:"ISS" help:"What the token has as iss."`
	TokenAudience string `placeholder:"AUD" help:"What the token has as aud."`
}

// Help adds examples to the command's help.
func (tokenCommand) Help() string {
	return `Prints the token. Without --url it is signed with the key in the data directory; that works whether a server runs or not, and does not check that the user exists.

Examples:

  tidemark token --user alice
  tidemark token --user bot-7 --create --ttl 8760h
  tidemark token --user alice --url https://chat.example --admin-key "$KEY"`
}

// Run prints a token.
func (c *tokenCommand) Run(ctx context.Context, output *Output) error {
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(output.Out, token)
	return err
}

func (c *tokenCommand) token(ctx context.Context) (string, error) {
	if c.TTL <= 0 {
		return "", wrongUsage("--ttl is %v: it must be positive", c.TTL)
	}
	if c.URL == "" && !c.Create {
		return c.sign()
	}
	if c.URL == "" {
		c.URL = defaultURL
	}
	return c.ask(ctx)
}

// sign makes the token here.
func (c *tokenCommand) sign() (string, error) {
	if c.TokenSecret == "" {
		path := filepath.Join(c.Data, "auth.key")
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) { // which NewAuth would make
			return "", wrongUsage("no key in %s: give --data with a server's data directory, or --url of a running server", path)
		}
	}
	if err := (gateway.AuthConfig{HS256Secret: c.TokenSecret}).Check(); err != nil {
		return "", wrongUsage("--token-secret is refused: %s", strings.TrimPrefix(err.Error(), "gateway: "))
	}
	auth, err := gateway.NewAuth(gateway.AuthConfig{
		Dir: c.Data, HS256Secret: c.TokenSecret, Issuer: c.TokenIssuer, Audience: c.TokenAudience,
		AdminKey: "not used, but then no file for it is made",
	})
	if err != nil {
		return "", err
	}
	token, _, err := auth.Issue(tidemark.UserID(c.User), tidemark.DeviceID(c.Device), c.TTL)
	return token, err
}

// ask lets a running server make the token.
func (c *tokenCommand) ask(ctx context.Context) (string, error) {
	flags := serverFlags{URL: c.URL, Data: c.Data, AdminKey: c.AdminKey}
	base, options, err := flags.options()
	if err != nil {
		return "", err
	}
	users := wireconnect.NewUserServiceClient(http.DefaultClient, base, options)
	if c.Create {
		_, err := users.Get(ctx, &wire.GetUserRequest{UserId: c.User})
		if connect.CodeOf(err) == connect.CodeNotFound {
			_, err = users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: c.User, Nickname: c.User}})
		}
		if err != nil {
			return "", err
		}
	}
	answer, err := users.IssueToken(ctx, &wire.IssueTokenRequest{UserId: c.User, DeviceId: c.Device, TtlMs: uint64(c.TTL.Milliseconds())})
	return answer.GetToken(), err
}
