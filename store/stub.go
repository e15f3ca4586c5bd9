// SPDX-License-Identifier: Apache-2.0

// The signatures of the store; replaced as the bodies are written.

package store

import (
	"io"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// DefaultPartitions of a new data directory.
const DefaultPartitions = 8

// Config of a store.
type Config struct {
	Dir        string
	FS         vfs.FS // nil: the disk
	Partitions uint32 // 0: what the directory has, or DefaultPartitions when it is new
	CacheBytes int64
	ReadOnly   bool
	MustExist  bool
	Log        *slog.Logger
	NowMs      func() uint64
	Entropy    io.Reader
}

// Meta of a data directory.
type Meta struct {
	FormatVersion uint32
	Partitions    uint32
	Epoch         tidemark.Epoch
	CreatedMs     uint64
}

// Metrics of a store.
type Metrics struct {
	DiskBytes         uint64
	WALBytes          uint64
	MemTableBytes     uint64
	CacheBytes        int64
	CacheHits         int64
	CacheMisses       int64
	Tables            int64
	OpenTables        int64
	ReadAmplification int
	Compactions       int64
	FreeBytes         uint64
}

// DB is an open data directory.
type DB struct{}

func Open(cfg Config) (*DB, error)           { panic("store: being written") }
func (db *DB) Meta() Meta                    { panic("store: being written") }
func (db *DB) Partition(n uint32) *Partition { panic("store: being written") }
func (db *DB) NewBatch(n uint32) *Batch      { panic("store: being written") }
func (db *DB) Commit(b *Batch) error         { panic("store: being written") }
func (db *DB) Metrics() Metrics              { panic("store: being written") }
func (db *DB) Failed() error                 { panic("store: being written") }
func (db *DB) Close() error                  { panic("store: being written") }

// Batch gathers the changes of one commit of one partition.
type Batch struct{}

func (b *Batch) Put(c *record.Changes) { panic("store: being written") }
func (b *Batch) Len() int              { panic("store: being written") }
func (b *Batch) Reset()                { panic("store: being written") }
func (b *Batch) Close()                { panic("store: being written") }

// Partition reads the state of one partition.
type Partition struct{}

func (p *Partition) State() (record.Partition, error) { panic("store: being written") }
func (p *Partition) User(id tidemark.UserID) (record.User, bool, error) {
	panic("store: being written")
}
func (p *Partition) UserID(u record.User) (tidemark.UserID, error) { panic("store: being written") }
func (p *Partition) Conversation(id tidemark.ConversationID) (*record.Info, error) {
	panic("store: being written")
}
func (p *Partition) Info(c record.Conversation) (*record.Info, error) { panic("store: being written") }
func (p *Partition) Head(c record.Conversation) (*record.Head, error) { panic("store: being written") }
func (p *Partition) Member(c record.Conversation, u record.User) (*record.Member, error) {
	panic("store: being written")
}
func (p *Partition) Event(c record.Conversation, seq tidemark.Seq) (*record.Event, error) {
	panic("store: being written")
}
func (p *Partition) Events(c record.Conversation, from, to tidemark.Seq, descending bool, fn func(*record.Event) bool) error {
	panic("store: being written")
}
func (p *Partition) Current(c record.Conversation, seq tidemark.Seq) (*record.Current, error) {
	panic("store: being written")
}
func (p *Partition) Currents(c record.Conversation, from, to tidemark.Seq, fn func(tidemark.Seq, *record.Current) bool) error {
	panic("store: being written")
}
func (p *Partition) ByClientID(c record.Conversation, u record.User, id tidemark.ClientID) (tidemark.Seq, error) {
	panic("store: being written")
}
func (p *Partition) Hour(c record.Conversation, hour uint32) (record.Hour, bool, error) {
	panic("store: being written")
}
func (p *Partition) Hours(c record.Conversation, from uint32, fn func(record.Hour) bool) error {
	panic("store: being written")
}
func (p *Partition) LastHour(c record.Conversation, atOrBefore uint32) (record.Hour, bool, error) {
	panic("store: being written")
}
func (p *Partition) Members(c record.Conversation, from record.User, fn func(record.User, *record.Member) bool) error {
	panic("store: being written")
}
func (p *Partition) ConversationsOf(u record.User, fn func(record.Conversation, tidemark.Position) bool) error {
	panic("store: being written")
}
func (p *Partition) Mentions(c record.Conversation, u record.User, after, to tidemark.Seq, fn func(tidemark.Seq) bool) error {
	panic("store: being written")
}
func (p *Partition) Recalls(c record.Conversation, after tidemark.Seq, fn func(seq tidemark.Seq, counted uint64) bool) error {
	panic("store: being written")
}
func (p *Partition) Profile(id tidemark.UserID) (*record.Profile, error) {
	panic("store: being written")
}
func (p *Partition) Device(id tidemark.UserID, device tidemark.DeviceID) (*record.Device, error) {
	panic("store: being written")
}
func (p *Partition) Devices(id tidemark.UserID, fn func(*record.Device) bool) error {
	panic("store: being written")
}
func (p *Partition) Cursor(u record.User, device tidemark.DeviceID) (tidemark.Position, error) {
	panic("store: being written")
}
func (p *Partition) Cursors(u record.User, fn func(tidemark.DeviceID, tidemark.Position) bool) error {
	panic("store: being written")
}
func (p *Partition) Commits(from tidemark.Position, fn func(tidemark.Position, []record.ConversationSeq) bool) error {
	panic("store: being written")
}
func (p *Partition) AllConversations(fn func(*record.Info) bool) error { panic("store: being written") }
func (p *Partition) AllUsers(fn func(record.User, tidemark.UserID) bool) error {
	panic("store: being written")
}
func (p *Partition) AllProfiles(fn func(*record.Profile) bool) error { panic("store: being written") }
