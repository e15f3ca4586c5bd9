// SPDX-License-Identifier: Apache-2.0

// What the gateway has counted.

package gateway

import "sync/atomic"

// Violation is a kind of breach that ended a connection, for metrics.
type Violation uint8

// The kinds.
const (
	BadFraming Violation = iota // RFC 6455: masks, opcodes, fragments, lengths
	WrongType                   // text where binary is spoken, or the reverse
	NotUTF8                     // text that is not UTF-8
	TooBig                      // a message above the limit
	Malformed                   // a message that cannot be decoded
	OutOfOrder                  // something before hello, a second hello, or no hello in time
	Misuse                      // refused by the session
	violations
)

// String is the kind's name in metrics.
func (v Violation) String() string {
	return [...]string{"framing", "type", "utf8", "size", "malformed", "order", "misuse"}[v]
}

// Stats are counts since the start, except where they say now.
type Stats struct {
	Connections    uint64             // now
	Accepted       uint64             // upgraded
	Refused        uint64             // not upgraded: limits, rates, origin, subprotocol, token
	FramesIn       uint64             // messages and control frames
	FramesOut      uint64             // messages
	BytesIn        uint64             // as read from sockets
	BytesOut       uint64             // as written to sockets
	Writes         uint64             // writes of gathered frames: FramesOut / Writes is the gathering
	RateLimited    uint64             // frames answered with RATE_LIMITED
	UnknownKinds   uint64             // frames of kinds not known
	RefusedHellos  uint64             // bad tokens, unknown users and the like
	Slow           uint64             // cut because they did not read
	HalfOpen       uint64             // cut because nothing came from them
	Expired        uint64             // ended with their token
	ProtocolErrors [violations]uint64 // by Violation
}

// counters are the Stats as they are counted.
type counters struct {
	accepted, refused, framesIn, framesOut, bytesIn, bytesOut, writes atomic.Uint64
	rateLimited, unknownKinds, refusedHellos, slow, halfOpen, expired atomic.Uint64
	protocolErrors                                                    [violations]atomic.Uint64
}

// Violations is how many kinds of [Violation] there are.
const Violations = int(violations)

func (c *counters) snapshot(connections int) Stats {
	s := Stats{
		Connections: uint64(connections), Accepted: c.accepted.Load(), Refused: c.refused.Load(),
		FramesIn: c.framesIn.Load(), FramesOut: c.framesOut.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Writes: c.writes.Load(), RateLimited: c.rateLimited.Load(), UnknownKinds: c.unknownKinds.Load(),
		RefusedHellos: c.refusedHellos.Load(), Slow: c.slow.Load(), HalfOpen: c.halfOpen.Load(), Expired: c.expired.Load(),
	}
	for i := range s.ProtocolErrors {
		s.ProtocolErrors[i] = c.protocolErrors[i].Load()
	}
	return s
}
