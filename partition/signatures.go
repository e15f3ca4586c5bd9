// SPDX-License-Identifier: Apache-2.0

// The signatures of the partition; replaced as the bodies are written.

package partition

import (
	"context"
	"io"
	"log/slog"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// Config of the partitions of a node.
type Config struct {
	DB       *store.DB
	Journal  journal.Journal
	Limits   tidemark.Limits // the zero value of a field means its default
	NowMs    func() uint64   // the clock: milliseconds since the Unix epoch
	Entropy  io.Reader       // salts; crypto/rand.Reader
	QueueMax int             // commands waiting in one partition; 0: 4096
	BatchMax int             // commands of one commit; 0: 1024
	Cache    CacheLimits
	Log      *slog.Logger // nil: none
}

// CacheLimits bound what one partition keeps in memory; 0 means the default of each.
type CacheLimits struct {
	Conversations int // conversations in use: head, info, members, recalls
	Members       int // member records
	Lists         int // rows of users' conversation lists, all users together
	Users         int // user ids and ordinals
	Profiles      int
	Devices       int
	HeadPages     int // pages of 256 heads
	TailBytes     int // encoded events of conversations in use
	TailEvents    int // of one conversation
}

// Set is all partitions of this node. All methods are safe for concurrent use.
type Set struct{}

// Partition is one partition. Reads are safe for concurrent use.
type Partition struct{}

// Subscriber is told that a conversation of its user has something new. Its methods must not block and must not call
// the partition.
type Subscriber interface {
	// Wake adds the conversation to the dirty set: the commit at position concerns it. It comes before the position is
	// published. It answers true if Ready must follow.
	Wake(partition uint32, c record.Conversation, position tidemark.Position) (ready bool)
	// Ready comes after the position is published, once a commit.
	Ready()
	// Signal hands over something that is not stored. The signal is shared and must not be changed.
	Signal(s *wire.Signal)
}

// MemberRow is a member in a page of members.
type MemberRow struct {
	Ordinal record.User
	User    tidemark.UserID
	Member  *record.Member
}

// ListRow is one conversation of a user's list in one partition; it is listed after leaving, too.
type ListRow struct {
	Conversation record.Conversation
	Position     tidemark.Position // last change that concerns the user: the later of the head's and the list row's
	TimeMs       uint64            // of the conversation's last event
}

// DeviceCursor is how far a device has come in one partition.
type DeviceCursor struct {
	Device   tidemark.DeviceID
	Position tidemark.Position
}

// Stats of one partition since it was opened, and as it stands.
type Stats struct {
	Partition     uint32
	Position      tidemark.Position
	Users         uint64
	Conversations uint64
	Queued        uint64 // commands waiting
	Commands      uint64
	Refused       uint64
	Commits       uint64
	Events        uint64 // appended
	BatchBytes    uint64 // written to the journal
	Wakes         uint64
	Signals       uint64
	Online        uint64 // users of this partition with a session
	TailBytes     uint64
	TailEvents    uint64
	CacheMisses   uint64 // reads that went to the store
}

func Open(cfg Config) (*Set, error)                     { panic("partition: being written") }
func (s *Set) Run(ctx context.Context) error            { panic("partition: being written") }
func (s *Set) Epoch() tidemark.Epoch                    { panic("partition: being written") }
func (s *Set) Partitions() uint32                       { panic("partition: being written") }
func (s *Set) Limits() *tidemark.Limits                 { panic("partition: being written") }
func (s *Set) Of(id tidemark.ConversationID) *Partition { panic("partition: being written") }
func (s *Set) OfUser(id tidemark.UserID) *Partition     { panic("partition: being written") }
func (s *Set) At(n uint32) *Partition                   { panic("partition: being written") }
func (s *Set) Health() error                            { panic("partition: being written") }

// Submit queues a command; done runs on the partition's loop after the commit, in commit order, and must not block.
func (s *Set) Submit(ctx context.Context, cmd core.Command, done func(core.Reply)) error {
	panic("partition: being written")
}

// Do submits and waits. The error is a *tidemark.Error from the reply, or the context's.
func (s *Set) Do(ctx context.Context, cmd core.Command) (core.Reply, error) {
	panic("partition: being written")
}

// Ack remembers how far a device has come; saved lazily.
func (s *Set) Ack(user tidemark.UserID, device tidemark.DeviceID, partition uint32, position tidemark.Position) {
	panic("partition: being written")
}

// CheckUsers refuses with UNKNOWN_USER the first of these users that does not exist.
func (s *Set) CheckUsers(ids ...tidemark.UserID) error { panic("partition: being written") }

// Online reports whether the user has a session on this node.
func (s *Set) Online(user tidemark.UserID) bool { panic("partition: being written") }

// Subscribe registers for the wakes of a user in all partitions.
func (s *Set) Subscribe(user tidemark.UserID, sub Subscriber) error {
	panic("partition: being written")
}
func (s *Set) Unsubscribe(user tidemark.UserID, sub Subscriber) { panic("partition: being written") }

func (p *Partition) Number() uint32               { panic("partition: being written") }
func (p *Partition) Published() tidemark.Position { panic("partition: being written") }
func (p *Partition) Stats() Stats                 { panic("partition: being written") }
func (p *Partition) Step(nowMs uint64) (did bool) { panic("partition: being written") }
func (p *Partition) Info(id tidemark.ConversationID) (*record.Info, error) {
	panic("partition: being written")
}
func (p *Partition) InfoOf(c record.Conversation) (*record.Info, error) {
	panic("partition: being written")
}
func (p *Partition) Head(c record.Conversation) (record.Head, error) {
	panic("partition: being written")
}
func (p *Partition) Member(c record.Conversation, user tidemark.UserID) (*record.Member, error) {
	panic("partition: being written")
}
func (p *Partition) Members(c record.Conversation, after record.User, limit int) ([]MemberRow, error) {
	panic("partition: being written")
}
func (p *Partition) Events(c record.Conversation, from, to tidemark.Seq, limit, bytesMax int, descending bool) ([]*record.Event, error) {
	panic("partition: being written")
}
func (p *Partition) Current(c record.Conversation, seq tidemark.Seq) (*record.Current, error) {
	panic("partition: being written")
}
func (p *Partition) Currents(c record.Conversation, from, to tidemark.Seq) (map[tidemark.Seq]*record.Current, error) {
	panic("partition: being written")
}
func (p *Partition) Digest(c record.Conversation, seq tidemark.Seq) (tidemark.Digest, error) {
	panic("partition: being written")
}
func (p *Partition) Hours(c record.Conversation, fromHour uint32, limit int) ([]record.Hour, error) {
	panic("partition: being written")
}
func (p *Partition) LastHour(c record.Conversation, hour uint32) (record.Hour, bool, error) {
	panic("partition: being written")
}
func (p *Partition) ByClientID(c record.Conversation, user tidemark.UserID, id tidemark.ClientID) (tidemark.Seq, error) {
	panic("partition: being written")
}
func (p *Partition) Conversations(user tidemark.UserID) ([]ListRow, error) {
	panic("partition: being written")
}
func (p *Partition) Counts(c record.Conversation, user tidemark.UserID) (unread, mentions uint64, err error) {
	panic("partition: being written")
}
func (p *Partition) User(id tidemark.UserID) (record.User, bool, error) {
	panic("partition: being written")
}
func (p *Partition) UserID(u record.User) (tidemark.UserID, error) { panic("partition: being written") }

// Profile answers nil for a user that does not exist.
func (p *Partition) Profile(id tidemark.UserID) (*record.Profile, error) {
	panic("partition: being written")
}

// Device answers nil for a device that is not known.
func (p *Partition) Device(id tidemark.UserID, device tidemark.DeviceID) (*record.Device, error) {
	panic("partition: being written")
}
func (p *Partition) Devices(id tidemark.UserID) ([]*record.Device, error) {
	panic("partition: being written")
}

// Cursors are the positions acknowledged by the user's devices in this partition, those not yet saved included.
func (p *Partition) Cursors(user tidemark.UserID) ([]DeviceCursor, error) {
	panic("partition: being written")
}

// WireEvent is the log form of an event: the body is withheld once recalled or erased.
func WireEvent(e *record.Event, cur *record.Current) *wire.Event { panic("partition: being written") }

// WireCurrent is the form that history pages show to the asking user (0: the app).
func WireCurrent(e *record.Event, cur *record.Current, asking record.User) *wire.Event {
	panic("partition: being written")
}

// WireInfo is a conversation's public data as members see it.
func WireInfo(info *record.Info, members uint32) *wire.ConversationInfo {
	panic("partition: being written")
}

// WireSelf is a member's own record as the member sees it.
func WireSelf(m *record.Member) *wire.Self { panic("partition: being written") }

// WireProfile is a profile without its versions.
func WireProfile(p *record.Profile) *wire.Profile { panic("partition: being written") }
