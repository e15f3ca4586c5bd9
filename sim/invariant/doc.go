// SPDX-License-Identifier: Apache-2.0

// Package invariant says when Tidemark has broken a promise: the invariants S1 to S13, C1 to C6 and Y1 to Y5 of
// docs/invariants.md, checked against what was seen from outside.
//
// Whoever runs a world tells an [Observer] what it sees: the frames that devices send and receive, the calls of an app and
// their answers, and what broke. A [Checker] is the observer that compares all of it with what may happen:
//
//	c := invariant.New()
//	c.Sent(who, connection, frame)     // as a device sends
//	c.Received(who, connection, frame) // as a device receives
//	if v := c.Violation(); v != nil { … }
//
// It knows the vocabulary, the wire, the chain and the client's replica, and nothing of a server: so the simulator and the
// test of real processes use the same one.
//
// The package opens no connection, reads no clock and draws no random number.
package invariant
