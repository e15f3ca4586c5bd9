// SPDX-License-Identifier: Apache-2.0

// How a client is configured, and the validation of it.

package client

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
)

// Config says whose device this is and where its server is.
type Config struct {
	URL      string            // of the server, e.g. "https://im.example.com"; required
	Token    TokenSource       // required; asked again when the server says that a token has expired
	DeviceID tidemark.DeviceID // of this installation: the same at every start; required
	Store    Store             // where the device keeps what it has; required: see [NewMemory] and package boltstore

	Platform string // for operators: "linux", "ios"; may be empty
	Name     string // name and version of the app, for operators; empty: "tidemark-go"

	Tail     int              // events wanted of a changed conversation when connecting; 0: 20
	Full     int              // how many of the most recent conversations bring their tail; 0: 100; the rest come as summaries
	Backfill replica.Backfill // which gaps are filled without being asked; zero: [FillHoles]
	Keep     int              // stored events of a conversation, the oldest dropped first; 0: all. Not with [FillAll]
	Window   int              // submissions to one conversation in flight; 0: 1, which keeps their order whatever the server refuses; see [Client.Send]

	Logger     *slog.Logger  // nil: nothing is logged
	HTTPClient *http.Client  // for the API and the WebSocket handshake; nil: one of its own
	BackoffMin time.Duration // longest first pause before connecting again; 0: 500 ms; doubles up to BackoffMax
	BackoffMax time.Duration // 0: 30 s
}

// TokenSource gives the token to connect with. It may be called at any time and from any goroutine.
type TokenSource func(ctx context.Context) (string, error)

// StaticToken is a source that always gives the same token.
func StaticToken(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// filled is the configuration with its defaults, or what is wrong with it.
func (cfg Config) filled() (Config, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return cfg, fmt.Errorf("client: URL %q: %w", cfg.URL, err)
	case u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return cfg, fmt.Errorf("client: URL %q: give http://HOST:PORT or https://HOST", cfg.URL)
	case cfg.Token == nil:
		return cfg, fmt.Errorf("client: Token is missing: give StaticToken(...) or a function")
	case !cfg.DeviceID.Valid():
		return cfg, fmt.Errorf("client: DeviceID %q: give %s", cfg.DeviceID, tidemark.IDAlphabet)
	case !utf8.ValidString(cfg.Platform + cfg.Name):
		return cfg, fmt.Errorf("client: Platform %q, Name %q: give valid UTF-8", cfg.Platform, cfg.Name)
	case cfg.Store == nil:
		return cfg, fmt.Errorf("client: Store is missing: give NewMemory() or boltstore.Open(...)")
	case cfg.Keep < 0 || cfg.Keep > 0 && cfg.Backfill == replica.FillAll:
		return cfg, fmt.Errorf("client: Keep %d: give 0 or more, and 0 with FillAll", cfg.Keep)
	case cfg.Tail < 0 || cfg.Full < 0 || cfg.Window < 0:
		return cfg, fmt.Errorf("client: Tail %d, Full %d, Window %d: give 0 or more", cfg.Tail, cfg.Full, cfg.Window)
	}
	if cfg.Name == "" {
		cfg.Name = "tidemark-go"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.BackoffMin <= 0 {
		cfg.BackoffMin = 500 * time.Millisecond
	}
	if cfg.BackoffMax < cfg.BackoffMin {
		cfg.BackoffMax = max(30*time.Second, cfg.BackoffMin)
	}
	return cfg, nil
}
