// SPDX-License-Identifier: Apache-2.0

// What an event id is made of: a time, a partition and a counter, so that ids are unique without asking anybody.

package tidemark

// An event id is, from its highest bit: 42 bits of milliseconds since 2020-01-01 UTC (enough until 2159), 8 bits of
// partition, 14 bits of counter.
const (
	idEpochMs       = 1_577_836_800_000
	idCounterBits   = 14
	idPartitionBits = 8
	idTimeShift     = idCounterBits + idPartitionBits
	idCounterMask   = 1<<idCounterBits - 1
)

// Next is the id after this one in a partition, where this is the greatest id it has given so far (0: none). It carries
// the time nowMs (Unix, ms) unless the clock has stood still or stepped back: then it carries this id's time with the
// next counter, and when the counter is used up the next millisecond. So ids rise whatever the clock does.
func (id EventID) Next(nowMs uint64, partition uint32) EventID {
	now, then := uint64(0), uint64(id)>>idTimeShift
	if nowMs > idEpochMs {
		now = nowMs - idEpochMs
	}
	counter := uint64(0)
	if now <= then {
		now, counter = then, uint64(id)&idCounterMask+1
		if counter > idCounterMask {
			now, counter = now+1, 0
		}
	}
	return EventID(now<<idTimeShift | uint64(partition&(PartitionsMax-1))<<idCounterBits | counter)
}

// TimeMs is the time in the id (Unix, ms): when the event was stored, unless the clock had stepped back.
func (id EventID) TimeMs() uint64 { return uint64(id)>>idTimeShift + idEpochMs }

// Partition is the partition that gave the id.
func (id EventID) Partition() uint32 { return uint32(id>>idCounterBits) & (PartitionsMax - 1) }
