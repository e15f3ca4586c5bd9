// SPDX-License-Identifier: Apache-2.0

// Figures of a partition, for metrics and operators.

package partition

import (
	"sync/atomic"

	tidemark "github.com/tidemark-im/tidemark"
)

// counters count since the partition was opened.
type counters struct {
	commands, refused, commits, events, batchBytes atomic.Uint64
	wakes, signals, misses                         atomic.Uint64
	leftOut                                        [lanes]atomic.Uint64 // of rooms, by receiver
}

// Stats of one partition since it was opened, and as it stands.
type Stats struct {
	Partition     uint32
	Position      tidemark.Position // published
	Users         uint64            // met by this partition
	Conversations uint64
	Queued        uint64 // commands waiting
	Commands      uint64 // evaluated
	Refused       uint64 // of them
	Commits       uint64
	Events        uint64 // appended
	BatchBytes    uint64 // written to the journal, bytes
	Wakes         uint64 // of subscribers
	Signals       uint64 // handed to subscribers
	CacheMisses   uint64 // reads that memory could not answer
	Online        uint64 // users with a session, of those met by this partition
	Tails         uint64 // conversations whose tail is in memory
	TailBytes     uint64 // of these tails
	Readers       uint64 // members whose marks are in memory in order, for receipts
	Rooms         uint64 // that somebody is in
	RoomReceivers uint64 // sessions in them
	ShedNormal    uint64 // messages of rooms that were left out for a receiver, of normal priority
	ShedLow       uint64 // and of low priority
}

// Stats takes the figures.
func (p *Partition) Stats() Stats {
	s := Stats{
		Partition: p.number, Position: p.Published(), Queued: uint64(p.queue.len()),
		Commands: p.stats.commands.Load(), Refused: p.stats.refused.Load(), Commits: p.stats.commits.Load(),
		Events: p.stats.events.Load(), BatchBytes: p.stats.batchBytes.Load(), Wakes: p.stats.wakes.Load(),
		Signals: p.stats.signals.Load(), CacheMisses: p.stats.misses.Load(), Online: uint64(p.online.count()),
	}
	s.Readers = uint64(p.orderedMembers())
	s.ShedNormal, s.ShedLow = p.stats.leftOut[normalLane].Load(), p.stats.leftOut[lowLane].Load()
	p.rooms.mu.RLock()
	s.Rooms = uint64(len(p.rooms.in))
	for _, in := range p.rooms.in {
		s.RoomReceivers += uint64(len(in.seats))
	}
	p.rooms.mu.RUnlock()
	p.mu.RLock()
	defer p.mu.RUnlock()
	s.Users, s.Conversations = uint64(p.mem.state.Users), uint64(p.mem.state.Conversations)
	s.Tails, s.TailBytes = uint64(len(p.mem.tails.entries)), uint64(p.mem.tails.cost)
	return s
}
