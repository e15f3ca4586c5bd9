// SPDX-License-Identifier: Apache-2.0

// The handler of all services: what it is made of, and how a call reaches its method.

package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

const (
	callTimeout    = 30 * time.Second // of a call, not counting what Pull waits
	waitMax        = 60 * time.Second // what Pull may wait
	backupTimeout  = 12 * time.Hour   // of Checkpoint, which may copy all data to another disk
	importBytesMax = 32 << 20         // request of Import, bytes
	offerBytesMax  = 8 << 20          // request of GiveBack, bytes
	compressMin    = 1 << 10          // smaller answers are not compressed, bytes
)

// Config is what the API needs. Set, Registry, Auth and Log must be given.
type Config struct {
	Set      *partition.Set
	Registry *session.Registry
	Auth     *gateway.Auth
	Log      *slog.Logger

	Proxies  []netip.Prefix // whose X-Forwarded-For is believed; empty: nobody's
	Calls    Rate           // calls of one user; the app is not limited
	Failures Rate           // calls of one address that could not be identified; others of that address are not held up

	Ending <-chan struct{} // closed when the server shuts down: calls that wait then answer; nil: never
	NowMs  func() uint64   // clock, Unix ms; nil: the system's

	// Observe is told of every call that was identified: its method ("MessageService/Submit") and its code ("ok" or
	// Connect's). nil: nobody is.
	Observe func(method, code string, took time.Duration)

	Version   string                     // of the server, for Stats
	StartedMs uint64                     // for Stats
	State     func() string              // for Stats: "serving", "draining", "stopped writing: ..."; nil: "serving"
	Disk      func() (used, free uint64) // for Stats, bytes; nil: zeros

	// Checkpoint makes a backup by its name; "": that of the time. nil: there is nowhere to make one.
	Checkpoint func(name string) (*wire.CheckpointResponse, error)
}

// API is the handler of all services. Safe for concurrent use.
type API struct {
	config   Config
	limits   *tidemark.Limits
	calls    *limiter
	failures *limiter
	waiting  waiters
	offers   chan struct{} // as many as calls of GiveBack are being carried out
	mux      *http.ServeMux
}

// Services are the full names of the services, which are the first element of their paths.
func Services() []string {
	return []string{
		wireconnect.SyncServiceName, wireconnect.MessageServiceName, wireconnect.ConversationServiceName,
		wireconnect.UserServiceName, wireconnect.AdminServiceName, wireconnect.ContactServiceName,
	}
}

// New makes the handler; it serves the paths of [Services].
func New(config Config) *API {
	if config.NowMs == nil {
		config.NowMs = func() uint64 { return uint64(time.Now().UnixMilli()) }
	}
	a := &API{
		config: config, limits: config.Set.Limits(), mux: http.NewServeMux(),
		calls: newLimiter(config.Calls), failures: newLimiter(config.Failures), offers: make(chan struct{}, offersMax),
	}
	if config.Observe == nil {
		a.config.Observe = func(string, string, time.Duration) {}
	}
	options := connect.WithHandlerOptions(
		codecs(),
		connect.WithRequestGate(a.gate),
		connect.WithInterceptors(a.interceptor()),
		recovered(config.Log),
		connect.WithCompressMinBytes(compressMin),
		connect.WithConditionalHandlerOptions(func(spec connect.Spec) []connect.HandlerOption {
			return []connect.HandlerOption{connect.WithReadMaxBytes(bodyBytesMax(spec.Procedure, a.limits.FrameBytesMax))}
		}),
	)
	a.mux.Handle(wireconnect.NewSyncServiceHandler(&syncService{API: a}, options))
	a.mux.Handle(wireconnect.NewMessageServiceHandler(&messageService{API: a}, options))
	a.mux.Handle(wireconnect.NewConversationServiceHandler(&conversationService{API: a}, options))
	a.mux.Handle(wireconnect.NewUserServiceHandler(&userService{API: a}, options))
	a.mux.Handle(wireconnect.NewContactServiceHandler(&contactService{API: a}, options))
	a.mux.Handle(wireconnect.NewAdminServiceHandler(&adminService{API: a}, options))
	return a
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Connect reads a request that is too large to its end; this is where the end is.
	r.Body = http.MaxBytesReader(w, r.Body, 2*importBytesMax)
	if r.URL.Path == wireconnect.AdminServiceCheckpointProcedure {
		a.giveTime(w, r)
	}
	a.mux.ServeHTTP(w, r)
}

// giveTime lets the app's call take as long as a backup may. Others, who will be refused, get no longer than usual for
// sending their request.
func (a *API) giveTime(w http.ResponseWriter, r *http.Request) {
	if who, err := a.config.Auth.FromRequest(r); err != nil || !who.App {
		return
	}
	deadline, connection := time.Now().Add(backupTimeout), http.NewResponseController(w)
	_, _ = connection.SetReadDeadline(deadline), connection.SetWriteDeadline(deadline) // where it cannot, the answer may be lost
}

// do runs a command and returns its reply, a refusal being an error.
func (a *API) do(ctx context.Context, command core.Command) (core.Reply, error) {
	return a.config.Set.Do(ctx, command)
}
