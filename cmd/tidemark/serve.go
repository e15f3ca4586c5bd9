// SPDX-License-Identifier: Apache-2.0

// tidemark serve: from flags, environment and file to a running server.

package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/server"
)

// serveCommand is the flags of serve, which are also the keys of the configuration file.
type serveCommand struct {
	Data       string `default:"./tidemark-data" placeholder:"DIR" help:"Data directory; made if it does not exist (${default})."`
	Backups    string `placeholder:"DIR" help:"Folder of the backups that are made while it runs ('tidemark backup'). Default: DIR/backups in the data directory."`
	Listen     string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen, for all protocols; port 0 picks a free one (${default})."`
	Partitions uint32 `placeholder:"N" help:"Partitions of a new data directory, 1 to 256; fixed from then on. Default: 8."`

	AdminKey        string   `placeholder:"KEY" help:"Key of the app's back end, at least 16 bytes. Default: the one in DIR/admin.key, made at the first start."`
	TokenSecret     string   `placeholder:"SECRET" help:"Secret of tokens signed with HS256, at least 32 bytes. Default: the one in DIR/auth.key."`
	TokenPublicKeys string   `placeholder:"FILE" help:"PEM file of Ed25519 (EdDSA) or RSA (RS256) keys that sign users' tokens."`
	TokenJwksURL    string   `name:"token-jwks-url" placeholder:"URL" help:"JSON Web Key Set whose keys sign users' tokens."`
	TokenIssuer     string   `placeholder:"ISS" help:"What tokens must have as iss."`
	TokenAudience   string   `placeholder:"AUD" help:"What tokens must have as aud."`
	Origin          []string `placeholder:"ORIGIN" help:"Web origins whose pages may connect and call beside the server's own (https://app.example); * is all."`
	Proxy           []string `placeholder:"ADDRESS" help:"Proxies in front of the server (10.0.0.0/8, ::1) whose X-Forwarded-For is believed."`

	CacheBytes               int64         `default:"134217728" placeholder:"BYTES" help:"Blocks of the store kept in memory (${default})."`
	Heartbeat                time.Duration `default:"30s" help:"A client that is silent 2.5 times as long is cut off (${default})."`
	Drain                    time.Duration `default:"10s" help:"How long a shutdown waits for what is in flight (${default})."`
	Spread                   time.Duration `default:"5s" help:"At a shutdown, clients are told to come back spread over this time (${default})."`
	ConnectionsMax           int           `default:"1000000" placeholder:"N" help:"WebSocket connections of the server; negative: no limit (${default})."`
	ConnectionsPerUserMax    int           `default:"64" placeholder:"N" help:"WebSocket connections of one user; negative: no limit (${default})."`
	ConnectionsPerAddressMax int           `placeholder:"N" help:"WebSocket connections of one address; negative: no limit. Default: 10000, and no limit for this machine itself."`
	FramesPerSecond          float64       `default:"20000" placeholder:"RATE" help:"WebSocket frames of one user; negative: no limit (${default})."`
	CallsPerSecond           float64       `default:"200" placeholder:"RATE" help:"HTTP calls of one user; negative: no limit (${default}). The app is not limited."`
	FailuresPerSecond        float64       `default:"5" placeholder:"RATE" help:"HTTP calls of one address without a valid token; negative: no limit (${default})."`

	DevicesPlatforms map[string]uint32 `name:"devices-platforms" mapsep:"," placeholder:"PLATFORM=N" help:"Devices of one user by platform, as clients name it: ios=1,web=3. Default: no limit but --limit-devices."`
	DevicesFull      string            `name:"devices-full" default:"replace" enum:"replace,refuse" help:"When there is no place for a new device: replace the one seen longest ago, or refuse the new one (${default})."`

	TakeBack time.Duration `default:"0s" help:"After a restore from an older copy: for how long lost messages are taken back from the devices that have them. Nothing else is written meanwhile. Default: not at all."`

	ContactsOnly bool `help:"In direct conversations only contacts may write to each other."`

	Limits limitFlags `embed:"" prefix:"limit-"`
	Log    logFlags   `embed:"" prefix:"log-"`

	DebugListen string `placeholder:"HOST:PORT" help:"Where to serve Go's profiler. It shows what is in memory: keep it private. Default: nowhere."`
}

// limitFlags are the limits that clients are told in welcome, and a few more.
type limitFlags struct {
	BodyBytes       uint32        `default:"65536" placeholder:"BYTES" help:"Body of one message (${default})."`
	FrameBytes      uint32        `default:"1048576" placeholder:"BYTES" help:"One WebSocket message or HTTP request (${default})."`
	PageEvents      uint32        `default:"500" placeholder:"N" help:"Events of one page (${default})."`
	PageBytes       uint32        `default:"1048576" placeholder:"BYTES" help:"Bytes of one page (${default})."`
	Members         uint32        `default:"1000000" placeholder:"N" help:"Members of one conversation (${default})."`
	Conversations   uint32        `default:"20000" placeholder:"N" help:"Conversations of one user (${default})."`
	Devices         uint32        `default:"32" placeholder:"N" help:"Devices of one user (${default})."`
	Rooms           uint32        `default:"16" placeholder:"N" help:"Rooms that one connection is in (${default})."`
	RoomReceivers   uint32        `default:"100000" placeholder:"N" help:"Connections in one room (${default})."`
	InFlight        uint32        `default:"256" placeholder:"N" help:"Submissions of one session not yet answered (${default})."`
	Mentions        uint32        `default:"100" placeholder:"N" help:"Users mentioned by one message (${default})."`
	CustomBytes     uint32        `default:"8192" placeholder:"BYTES" help:"Keys and values of a custom map (${default})."`
	TitleBytes      uint32        `default:"512" placeholder:"BYTES" help:"Title, nickname, alias, remark or text of a request (${default})."`
	ContactRequests uint32        `default:"1000" placeholder:"N" help:"Contact requests of one user that wait for an answer (${default})."`
	EditWindow      time.Duration `default:"24h" help:"How long a sender may edit a message (${default})."`
	RecallWindow    time.Duration `default:"24h" help:"How long a sender may recall a message (${default})."`
}

// Help adds examples to the command's help.
func (serveCommand) Help() string {
	return `Prints "listening on http://HOST:PORT" when it is ready. The first start makes the admin key and tells how to use it. SIGTERM or SIGINT drains and ends it; a second one ends it at once.

Examples:

  tidemark serve
  tidemark serve --data /var/lib/tidemark --listen :8080 --log-format json
  TIDEMARK_LISTEN=:8080 tidemark serve --config tidemark.yaml

where tidemark.yaml holds lines like:

  data: /var/lib/tidemark
  limit-body-bytes: 32768`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, output *Output) error {
	config, err := c.config(output)
	if err != nil {
		return err
	}
	s, err := server.New(config)
	if refused, is := errors.AsType[*server.ConfigError](err); is {
		return wrongUsage("%s %s", flagOf(refused.Field), refused.Problem)
	}
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// config is the server's configuration.
func (c *serveCommand) config(output *Output) (server.Config, error) {
	log, err := c.Log.logger(output.Err)
	if err != nil {
		return server.Config{}, err
	}
	var publicKeys []byte
	if c.TokenPublicKeys != "" {
		if publicKeys, err = os.ReadFile(c.TokenPublicKeys); err != nil {
			return server.Config{}, wrongUsage("token-public-keys: %v", err)
		}
	}
	proxies, err := prefixes(c.Proxy)
	if err != nil {
		return server.Config{}, err
	}
	if err := c.checkZeros(); err != nil {
		return server.Config{}, err
	}
	for name, window := range map[string]time.Duration{"limit-edit-window": c.Limits.EditWindow, "limit-recall-window": c.Limits.RecallWindow} {
		if window < time.Millisecond {
			return server.Config{}, wrongUsage("--%s is %v: at least 1ms is needed", name, window)
		}
	}
	return server.Config{
		DataDir: c.Data, Backups: c.Backups, Listen: c.Listen, DebugListen: c.DebugListen, Partitions: c.Partitions, CacheBytes: c.CacheBytes,
		Keys: server.Keys{
			Admin: strings.TrimSpace(c.AdminKey), HS256Secret: c.TokenSecret, PublicKeys: publicKeys, JWKSURL: c.TokenJwksURL,
			Issuer: c.TokenIssuer, Audience: c.TokenAudience,
		},
		Limits: c.Limits.limits(), ContactsOnly: c.ContactsOnly, TakeBack: c.TakeBack,
		Devices:        server.Devices{Platforms: c.DevicesPlatforms, Full: c.DevicesFull},
		CallsPerSecond: c.CallsPerSecond, FailuresPerSecond: c.FailuresPerSecond, FramesPerSecond: c.FramesPerSecond,
		ConnectionsMax: c.ConnectionsMax, ConnectionsPerUserMax: c.ConnectionsPerUserMax, ConnectionsPerAddressMax: c.ConnectionsPerAddressMax,
		Proxies: proxies, Origins: c.Origin, Heartbeat: c.Heartbeat, Drain: c.Drain, Spread: c.Spread,
		Version: buildVersion(), Out: output.Out, Err: output.Err, Log: log,
	}, nil
}

// checkZeros refuses 0 where the server would take it for its default.
func (c *serveCommand) checkZeros() error {
	l := &c.Limits
	for flag, isZero := range map[string]bool{
		"cache-bytes": c.CacheBytes == 0, "heartbeat": c.Heartbeat == 0, "drain": c.Drain == 0, "spread": c.Spread == 0,
		"connections-max": c.ConnectionsMax == 0, "connections-per-user-max": c.ConnectionsPerUserMax == 0,
		"frames-per-second": c.FramesPerSecond == 0, "calls-per-second": c.CallsPerSecond == 0, "failures-per-second": c.FailuresPerSecond == 0,
		"limit-body-bytes": l.BodyBytes == 0, "limit-frame-bytes": l.FrameBytes == 0, "limit-page-events": l.PageEvents == 0,
		"limit-page-bytes": l.PageBytes == 0, "limit-members": l.Members == 0, "limit-conversations": l.Conversations == 0,
		"limit-devices": l.Devices == 0, "limit-rooms": l.Rooms == 0, "limit-room-receivers": l.RoomReceivers == 0, "limit-in-flight": l.InFlight == 0, "limit-mentions": l.Mentions == 0,
		"limit-custom-bytes": l.CustomBytes == 0, "limit-title-bytes": l.TitleBytes == 0,
		"limit-contact-requests": l.ContactRequests == 0,
	} {
		if isZero {
			return wrongUsage("--%s is 0, which is not allowed: leave it out for the default ('tidemark serve --help' has it)", flag)
		}
	}
	return nil
}

// flagOf is the flag that sets a field of [server.Config].
func flagOf(field string) string {
	flag, found := map[string]string{
		"DataDir": "data", "Backups": "backups", "Listen": "listen", "DebugListen": "debug-listen", "Partitions": "partitions", "CacheBytes": "cache-bytes",
		"Origins": "origin", "Heartbeat": "heartbeat", "Drain": "drain", "Spread": "spread", "TakeBack": "take-back",
		"Keys.Admin": "admin-key", "Keys.HS256Secret": "token-secret", "Keys.PublicKeys": "token-public-keys", "Keys.JWKSURL": "token-jwks-url",
		"Limits.BodyBytesMax": "limit-body-bytes", "Limits.FrameBytesMax": "limit-frame-bytes", "Limits.PageEventsMax": "limit-page-events",
		"Limits.PageBytesMax": "limit-page-bytes", "Limits.MembersMax": "limit-members", "Limits.ConversationsMax": "limit-conversations",
		"Limits.DevicesMax": "limit-devices", "Limits.RoomsMax": "limit-rooms", "Limits.RoomReceiversMax": "limit-room-receivers",
		"Limits.InFlightMax": "limit-in-flight", "Limits.MentionsMax": "limit-mentions",
		"Devices.Platforms": "devices-platforms", "Devices.Full": "devices-full",
		"Limits.CustomBytesMax": "limit-custom-bytes", "Limits.TitleBytesMax": "limit-title-bytes",
		"Limits.ContactRequestsMax": "limit-contact-requests",
	}[field]
	if !found {
		return field
	}
	return "--" + flag
}

// prefixes reads addresses and networks.
func prefixes(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			list = append(list, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, wrongUsage("--proxy has %q: it must be an address or a network like 10.0.0.0/8", text)
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}

// limits are the flags as the server knows them.
func (f *limitFlags) limits() tidemark.Limits {
	return tidemark.Limits{
		BodyBytesMax: f.BodyBytes, FrameBytesMax: f.FrameBytes, PageEventsMax: f.PageEvents, PageBytesMax: f.PageBytes,
		MembersMax: f.Members, ConversationsMax: f.Conversations, DevicesMax: f.Devices, RoomsMax: f.Rooms, RoomReceiversMax: f.RoomReceivers, InFlightMax: f.InFlight,
		MentionsMax: f.Mentions, CustomBytesMax: f.CustomBytes, TitleBytesMax: f.TitleBytes, ContactRequestsMax: f.ContactRequests,
		EditWindowMs: uint64(f.EditWindow.Milliseconds()), RecallWindowMs: uint64(f.RecallWindow.Milliseconds()),
	}
}
