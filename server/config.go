// SPDX-License-Identifier: Apache-2.0

// What a server can be told, and the one place where it is checked.

package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/api"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
)

// Config of a server. The zero value of a field means its default, which [New] fills in.
type Config struct {
	DataDir     string // where everything is kept; made if it does not exist. Must be given
	Backups     string // folder of the backups that AdminService/Checkpoint makes; it must not be inside DataDir/db. Default DataDir/backups
	Listen      string // host:port of all protocols; port 0 picks a free one. Default 127.0.0.1:8080
	DebugListen string // host:port of Go's profiler (/debug/pprof/), which shows what is in memory; "": none
	Partitions  uint32 // of a new data directory, 1 to 256; 0: what the directory has, or 8. Another number than it has is refused
	CacheBytes  int64  // blocks of the store kept in memory, bytes; 0: 128 MiB

	Keys    Keys
	Limits  tidemark.Limits
	Devices Devices

	ContactsOnly bool // in direct conversations only contacts may write to each other

	// Rates: 0 is the default of each, negative is no limit.
	CallsPerSecond    float64 // of one user over HTTP, twice as many at once; default 200. The app is not limited
	FailuresPerSecond float64 // calls of one address without a valid token, ten times as many at once; default 5
	FramesPerSecond   float64 // of one user over WebSocket, on all connections together; default 20,000

	Proxies []netip.Prefix // in front of the server, whose X-Forwarded-For is believed; empty: nobody's

	// Connections by WebSocket: 0 is the default of each, negative is no limit.
	ConnectionsMax           int      // of the server; default 1,000,000
	ConnectionsPerUserMax    int      // default 64
	ConnectionsPerAddressMax int      // default 10,000, and no limit for this machine itself
	Origins                  []string // pages that may connect and call beside the server's own, as in the header Origin; "*": all

	Heartbeat time.Duration // told to clients; one that is silent 2.5 times as long is cut off. 1 s to 1 h, default 30 s
	Drain     time.Duration // a shutdown waits this long for what is in flight; up to 10 min, default 10 s
	Spread    time.Duration // clients are told to come back spread over this time; up to 10 min, default 5 s

	// TakeBack is for how long after the start events that a restored server lost are taken back from devices; nothing else is
	// written meanwhile. Up to 24 h; 0: not at all.
	TakeBack time.Duration

	Version string           // shown to clients and operators
	Out     io.Writer        // gets the line "listening on http://HOST:PORT"; nil: nowhere
	Err     io.Writer        // gets what an operator should know at the first start; nil: nowhere
	Log     *slog.Logger     // nil: none
	Now     func() time.Time // nil: the system's clock
	Entropy io.Reader        // salts and epochs; nil: the system's

	wrapJournal func(journal.Journal) journal.Journal // nil: not; tests let it fail
}

// Keys say whom the server believes. Its own key (DIR/auth.key) always counts unless HS256Secret replaces it.
type Keys struct {
	Admin       string // in place of DIR/admin.key; at least 16 bytes
	HS256Secret string // in place of DIR/auth.key; at least 32 bytes
	PublicKeys  []byte // PEM: Ed25519 or RSA keys that sign users' tokens
	JWKSURL     string // a JSON Web Key Set; https, or http on this machine
	Issuer      string // what tokens must have as iss; "": anything
	Audience    string // what tokens must have as aud; "": anything
}

// Devices says what becomes of a user's new device when there is no place for it.
type Devices struct {
	// Platforms are places by platform, as clients name it in hello, whatever its case: at most Limits.DevicesMax each. A
	// platform that is not named has no limit but that of all devices.
	Platforms map[string]uint32
	// Full is "replace" (the default): the device of the platform, or of all, that was seen longest ago is forgotten and
	// its session ends with bye REPLACED, those that are connected last; or "refuse": TOO_MANY until one is kicked.
	Full string
}

// policy checks the configuration and puts it into the form that partitions know.
func (d *Devices) policy(devicesMax uint32) (partition.Devices, error) {
	policy := partition.Devices{Platforms: make(map[string]uint32, len(d.Platforms)), Refuse: d.Full == "refuse"}
	if d.Full != "" && d.Full != "replace" && d.Full != "refuse" {
		return policy, wrong("Devices.Full", "is %q: allowed are replace and refuse", d.Full)
	}
	for platform, most := range d.Platforms {
		if platform == "" || len(platform) > platformBytesMax {
			return policy, wrong("Devices.Platforms", "has the platform %q: a name of 1 to %d bytes is needed", platform, platformBytesMax)
		}
		if most < 1 || most > devicesMax {
			return policy, wrong("Devices.Platforms", "has %s=%d: allowed are 1 to the limit of all devices, %d", platform, most, devicesMax)
		}
		policy.Platforms[strings.ToLower(platform)] = most
	}
	return policy, nil
}

// platformBytesMax bounds the name of a platform in the configuration.
const platformBytesMax = 64

// check looks at the keys before anything is opened or made.
func (k *Keys) check() error {
	for field, config := range map[string]gateway.AuthConfig{
		"Keys.Admin": {AdminKey: k.Admin}, "Keys.HS256Secret": {HS256Secret: k.HS256Secret},
		"Keys.PublicKeys": {PublicKeys: k.PublicKeys}, "Keys.JWKSURL": {JWKSURL: k.JWKSURL},
	} {
		if err := config.Check(); err != nil {
			return wrong(field, "is refused: %s", strings.TrimPrefix(err.Error(), "gateway: "))
		}
	}
	return nil
}

// ConfigError says what is wrong with a [Config].
type ConfigError struct {
	Field   string // such as "Listen" or "Limits.BodyBytesMax"
	Problem string // its value and what is allowed, to be read after the field's name: "is 5: allowed are 1 to 3"
}

// Error implements the error interface.
func (e *ConfigError) Error() string { return "server: " + e.Field + " " + e.Problem }

func wrong(field, format string, args ...any) error {
	return &ConfigError{field, fmt.Sprintf(format, args...)}
}

// complete fills in defaults and checks the rest. Its errors are [*ConfigError].
func (c *Config) complete() error {
	if c.DataDir == "" {
		return wrong("DataDir", "is empty: give the directory where data is kept")
	}
	if c.Backups == "" {
		c.Backups = filepath.Join(c.DataDir, "backups")
	}
	if c.backsUpIntoDatabase() {
		return wrong("Backups", "is %q: it must not be inside the database", c.Backups)
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	for name, address := range map[string]string{"Listen": c.Listen, "DebugListen": c.DebugListen} {
		if err := checkAddress(address); err != nil {
			return wrong(name, "is %q: %v", address, err)
		}
	}
	for _, origin := range c.Origins {
		if !isOrigin(origin) {
			return wrong("Origins", "has %q: an origin is like https://app.example, without a path; * is all", origin)
		}
	}
	if c.Partitions > tidemark.PartitionsMax {
		return wrong("Partitions", "is %d: allowed are 1 to %d", c.Partitions, tidemark.PartitionsMax)
	}
	if c.CacheBytes < 0 {
		return wrong("CacheBytes", "is %d: it cannot be negative", c.CacheBytes)
	}
	if err := c.Keys.check(); err != nil {
		return err
	}
	c.Limits = withDefaults(c.Limits)
	if err := checkLimits(c.Limits); err != nil {
		return err
	}
	if _, err := c.Devices.policy(c.Limits.DevicesMax); err != nil {
		return err
	}
	for _, d := range []struct {
		name          string
		value         *time.Duration
		normal        time.Duration
		least, utmost time.Duration
	}{
		{"Heartbeat", &c.Heartbeat, 30 * time.Second, time.Second, time.Hour},
		{"Drain", &c.Drain, 10 * time.Second, 0, 10 * time.Minute},
		{"Spread", &c.Spread, 5 * time.Second, 0, 10 * time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.normal
		}
		if *d.value < d.least || *d.value > d.utmost {
			return wrong(d.name, "is %v: allowed are %v to %v", *d.value, d.least, d.utmost)
		}
	}
	if c.TakeBack < 0 || c.TakeBack > takeBackMax {
		return wrong("TakeBack", "is %v: allowed are 0 (not at all) to %v", c.TakeBack, takeBackMax)
	}
	c.completeWorld()
	return nil
}

// backsUpIntoDatabase reports whether backups would be made inside the database, whichever of the paths is relative.
func (c *Config) backsUpIntoDatabase() bool {
	folder, err := filepath.Abs(c.Backups)
	if err != nil {
		return false
	}
	dir, err := filepath.Abs(filepath.Join(c.DataDir, "db"))
	if err != nil {
		return false
	}
	between, err := filepath.Rel(dir, folder)
	return err == nil && between != ".." && !strings.HasPrefix(between, ".."+string(filepath.Separator))
}

// takeBackMax is the longest that a server writes nothing but what it lost.
const takeBackMax = 24 * time.Hour

// completeWorld fills in what was not given of the outside world.
func (c *Config) completeWorld() {
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Err == nil {
		c.Err = io.Discard
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Entropy == nil {
		c.Entropy = rand.Reader
	}
}

// nowMs is the clock in the unit of everything that is stored.
func (c *Config) nowMs() uint64 { return uint64(c.Now().UnixMilli()) }

// checkAddress accepts "" and host:port.
func checkAddress(address string) error {
	if address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("it must be HOST:PORT, for example 127.0.0.1:8080 or :8080")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the port must be a number from 0 (any free one) to 65535, not %q", port)
	}
	return nil
}

// isOrigin accepts what browsers send as Origin, and "*".
func isOrigin(text string) bool {
	if text == "*" || text == "null" {
		return true
	}
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && u.Host != "" && strings.EqualFold(text, u.Scheme+"://"+u.Host)
}

// rate is a rate with its default, and a burst that many times as large.
func rate(perSecond, normal float64, times float64) api.Rate {
	switch {
	case perSecond < 0:
		return api.Rate{}
	case perSecond == 0:
		perSecond = normal
	}
	return api.Rate{PerSecond: perSecond, Burst: max(1, int(perSecond*times))}
}
