// SPDX-License-Identifier: Apache-2.0

// What a partition keeps in memory: derived from the store, bounded, and filled on demand.

package partition

import (
	"slices"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// CacheLimits bound what one partition keeps in memory; 0 means the default of each.
type CacheLimits struct {
	Conversations int // conversations in use (head, info, members, recalls), in units of about 512 bytes; 0: 8,192
	Members       int // member records, about 250 bytes each; 0: 32,768
	ListRows      int // rows of users' conversation lists, all users together, 16 bytes each; 0: 524,288
	Users         int // user ids with their ordinals, about 30 bytes each; 0: 65,536
	Strangers     int // ids of users not met here, about 30 bytes each: for as long as it takes to connect; 0: 1,024
	Profiles      int // of the users at home here; 0: 16,384
	Devices       int // of the users at home here; 0: 16,384
	PrivateBytes  int // what members keep for themselves (drafts, deleted messages), bytes; 0: 1 MiB
	Accounts      int // of the users at home here: those that have one, about 100 bytes each, and as many that have none, 30 bytes each; 0: 16,384
	HeadPages     int // pages of 256 heads, 4 KiB each; 0: 1,024
	TailBytes     int // encoded events of conversations in use, bytes; 0: 8 MiB
	TailEvents    int // of one conversation; 0: 64
	Readers       int // members of the conversations whose receipts are asked for, about 160 bytes each; 0: 131,072
}

func (l *CacheLimits) fill() {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&l.Conversations, 8192)
	set(&l.Members, 32768)
	set(&l.ListRows, 512<<10)
	set(&l.Users, 65536)
	set(&l.Strangers, 1024)
	set(&l.Profiles, 16384)
	set(&l.Devices, 16384)
	set(&l.PrivateBytes, 1<<20)
	set(&l.Accounts, 16384)
	set(&l.HeadPages, 1024)
	set(&l.TailBytes, 8<<20)
	set(&l.TailEvents, 64)
	set(&l.Readers, 128<<10)
}

// committed is the committed state in memory. It is written by apply and by readers who bring in what was missing, both
// under the partition's write lock, and read under its read lock. Records in it are shared and never changed.
type committed struct {
	state record.Partition // as of the last applied commit; state.Position >= published

	// flight is the batch whose fate the journal is deciding, or has left open by failing; nil otherwise. While it is
	// set, its tables do not change, and a reader who may have met one of its rows in the store serves the base instead.
	flight *overlay

	heads     headPages                                           // bounded by HeadPages
	hot       clock[record.Conversation, *conversation]           // bounded by Conversations
	ids       clock[tidemark.ConversationID, record.Conversation] // bounded by Conversations
	users     generations[tidemark.UserID, record.User]           // bounded by Users; all have an ordinal here
	strangers generations[tidemark.UserID, struct{}]              // bounded by Strangers; none has an ordinal here
	members   clock[memberKey, *record.Member]                    // bounded by Members; nil: never was a member
	privates  clock[memberKey, *record.Private]                   // bounded by PrivateBytes; nil: keeps nothing
	lists     clock[record.User, *list]                           // bounded by ListRows
	tails     clock[record.Conversation, []*LogEntry]             // bounded by TailBytes; see log.go
	profiles  clock[tidemark.UserID, *record.Profile]             // bounded by Profiles; nil: does not exist
	devices   generations[deviceKey, *record.Device]              // bounded by Devices; nil: not known
	accounts  clock[tidemark.UserID, *record.Account]             // bounded by Accounts; not nil
	plain     generations[tidemark.UserID, struct{}]              // bounded by Accounts; none has an account
}

type memberKey struct {
	c record.Conversation
	u record.User
}

type deviceKey struct {
	user   tidemark.UserID
	device tidemark.DeviceID
}

func newCommitted(l CacheLimits, state record.Partition) committed {
	return committed{
		state:     state,
		heads:     headPages{max: l.HeadPages},
		hot:       newClock[record.Conversation, *conversation](l.Conversations),
		ids:       newClock[tidemark.ConversationID, record.Conversation](l.Conversations),
		users:     newGenerations[tidemark.UserID, record.User](l.Users),
		strangers: newGenerations[tidemark.UserID, struct{}](l.Strangers),
		members:   newClock[memberKey, *record.Member](l.Members),
		privates:  newClock[memberKey, *record.Private](l.PrivateBytes),
		lists:     newClock[record.User, *list](l.ListRows),
		tails:     newClock[record.Conversation, []*LogEntry](l.TailBytes),
		profiles:  newClock[tidemark.UserID, *record.Profile](l.Profiles),
		devices:   newGenerations[deviceKey, *record.Device](l.Devices),
		accounts:  newClock[tidemark.UserID, *record.Account](l.Accounts),
		plain:     newGenerations[tidemark.UserID, struct{}](l.Accounts),
	}
}

// conversation is one conversation in use: the parts that have been asked for.
type conversation struct {
	head         *record.Head    // nil: not loaded
	info         *record.Info    // nil: not loaded
	members      *roaring.Bitmap // ordinals of the active members; nil: not loaded
	recalls      []tidemark.Seq  // counted events that no longer count, ascending; valid if recallsKnown
	recallsKnown bool
}

// inUse is the entry of a conversation, made if it is not there. It needs the write lock.
func (s *committed) inUse(c record.Conversation) *conversation {
	if h, ok := s.hot.get(c); ok {
		return h
	}
	h := &conversation{}
	s.hot.put(c, h, 1)
	return h
}

// weigh tells the cache how large a conversation has become. It needs the write lock.
func (s *committed) weigh(c record.Conversation, h *conversation) {
	cost := 1 + len(h.recalls)/64
	if h.members != nil {
		cost += int(h.members.GetSizeInBytes() / 512)
	}
	s.hot.put(c, h, cost)
}

func (h *conversation) addRecall(seq tidemark.Seq) {
	if i, found := slices.BinarySearch(h.recalls, seq); !found {
		h.recalls = slices.Insert(slices.Clip(h.recalls), i, seq)
	}
}

// recalledAfter is how many counted events past seq no longer count.
func recalledAfter(recalls []tidemark.Seq, seq tidemark.Seq) uint64 {
	i, _ := slices.BinarySearch(recalls, seq+1)
	return uint64(len(recalls) - i)
}

// headMark is what comparing heads needs of a head.
type headMark struct {
	position tidemark.Position // 0: not loaded; no conversation is without a commit
	timeMs   uint64
}

const headsInPage = 256

type headPage struct {
	marks [headsInPage]headMark
	used  atomic.Bool
}

// headPages are the marks of heads by conversation ordinal, flat, in pages that come and go.
type headPages struct {
	pages []*headPage // nil: not there
	there int         // pages that are there; there <= max
	max   int
	hand  int
}

// get needs the read lock.
func (p *headPages) get(c record.Conversation) headMark {
	n := int(c) / headsInPage
	if n >= len(p.pages) || p.pages[n] == nil {
		return headMark{}
	}
	page := p.pages[n]
	if !page.used.Load() {
		page.used.Store(true)
	}
	return page.marks[int(c)%headsInPage]
}

// set needs the write lock.
func (p *headPages) set(c record.Conversation, h *record.Head) {
	n := int(c) / headsInPage
	if n >= len(p.pages) {
		p.pages = append(p.pages, make([]*headPage, n+1-len(p.pages))...)
	}
	if p.pages[n] == nil {
		for p.there >= p.max {
			p.evict()
		}
		p.pages[n] = &headPage{}
		p.there++
	}
	p.pages[n].marks[int(c)%headsInPage] = headMark{position: h.Position, timeMs: h.TimeMs}
}

func (p *headPages) evict() {
	for {
		p.hand = (p.hand + 1) % len(p.pages)
		page := p.pages[p.hand]
		if page != nil && !page.used.Swap(false) {
			p.pages[p.hand] = nil
			p.there--
			return
		}
	}
}

// list is a user's conversations in this partition, by ordinal.
type list struct {
	rows []listEntry
}

type listEntry struct {
	c        record.Conversation
	left     bool              // known to have been left; then only position counts, not the head's
	position tidemark.Position // of the last change of the member record that was not quiet
}

func (l *list) find(c record.Conversation) (int, bool) {
	return slices.BinarySearchFunc(l.rows, c, func(e listEntry, c record.Conversation) int { return int(e.c) - int(c) })
}

// set records a change that was not quiet.
func (l *list) set(c record.Conversation, left bool, position tidemark.Position) {
	i, found := l.find(c)
	if !found {
		l.rows = slices.Insert(l.rows, i, listEntry{c: c})
	}
	l.rows[i].left, l.rows[i].position = left, position
}
