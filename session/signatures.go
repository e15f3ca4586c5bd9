// SPDX-License-Identifier: Apache-2.0

// The signatures of the session; replaced as the bodies are written.

package session

import (
	"context"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/wire"
)

// Config of a session.
type Config struct {
	User                      tidemark.UserID
	Device                    tidemark.DeviceID
	Platform, Client, Address string // for operators
	Format                    wire.Format
	Set                       *partition.Set
	Registry                  *Registry // nil: the session is in no registry
	NowMs                     func() uint64
	HeartbeatMs               uint32 // told in welcome
	// OnReady is called when Next may have something; from any goroutine, also from within Handle. It must not block
	// and must not call the session.
	OnReady func()
}

// Session is one live connection of a device. Open, Handle and Close are called by its reader, Next by its writer; the
// other methods by anybody.
type Session struct{}

// New makes a session that does nothing until Open.
func New(cfg Config) *Session { panic("session: being written") }

// Open is hello: it registers, and finds what the device lacks; welcome is the first frame Next gives. An error is a
// *tidemark.Error for the client: send it as an error frame, then bye, and close.
func (s *Session) Open(ctx context.Context, h *wire.Hello) error { panic("session: being written") }

// Handle takes every frame but hello. It may block while a partition's queue is full or too many submissions are in
// flight. An error means the connection must be closed with bye PROTOCOL.
func (s *Session) Handle(ctx context.Context, f *wire.ClientFrame) error {
	panic("session: being written")
}

// Next appends the next encoded ServerFrame, one WebSocket message, to dst; false: nothing to send now.
func (s *Session) Next(dst []byte) ([]byte, bool) { panic("session: being written") }

// Done reports whether the last frame, a bye, was given by Next: close the connection once it is written.
func (s *Session) Done() bool { panic("session: being written") }

// Bye makes a bye the last frame.
func (s *Session) Bye(reason wire.ByeReason, retryAfterMs uint32, message string) {
	panic("session: being written")
}

// Close unregisters. It may be called more than once.
func (s *Session) Close() { panic("session: being written") }

// Info is the session as operators see it.
func (s *Session) Info() *wire.SessionInfo { panic("session: being written") }

// ID is the session's id, as in welcome.
func (s *Session) ID() string { panic("session: being written") }

// Registry is the sessions of this node. Session.Open and Close keep it.
type Registry struct{}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry { panic("session: being written") }

// Kick ends the sessions of a device ("" all devices) with bye KICKED and answers how many.
func (r *Registry) Kick(user tidemark.UserID, device tidemark.DeviceID) int {
	panic("session: being written")
}

// Online reports whether the device has a session.
func (r *Registry) Online(user tidemark.UserID, device tidemark.DeviceID) bool {
	panic("session: being written")
}

// Count is how many sessions there are.
func (r *Registry) Count() int { panic("session: being written") }

// List is a page of the sessions of a user ("" all), by user and device; after is the last of the page before, as
// user and device with a space between them.
func (r *Registry) List(user tidemark.UserID, after string, limit int) []*wire.SessionInfo {
	panic("session: being written")
}

// Drain ends all sessions with bye SHUTDOWN, their retryAfterMs spread evenly over spreadMs.
func (r *Registry) Drain(spreadMs uint32, message string) { panic("session: being written") }

// Pull is SyncService/Pull: a session that lives for one answer. With waitMs it waits for a change if there is none.
func Pull(ctx context.Context, cfg Config, req *wire.PullRequest) (*wire.PullResponse, error) {
	panic("session: being written")
}

// Summary is a conversation as the user sees it, without events: what Get and List answer. The empty user is the app.
func Summary(set *partition.Set, user tidemark.UserID, id tidemark.ConversationID) (*wire.ConversationDelta, error) {
	panic("session: being written")
}
