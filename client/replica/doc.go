// SPDX-License-Identifier: Apache-2.0

// Package replica is what a device knows and decides: the client's half of the synchronisation, as a pure state machine.
//
// It has no clock, no I/O, no goroutine, no lock and no random source. What happens is given to it one step at a time: a
// frame of the server, something the user does, a connection that opened or broke, the time. Each step answers with an
// [Output]: frames to send, writes to store, notes for the app. The caller stores the writes, data and cursor in one
// transaction, before it sends the frames:
//
//	out, err := r.Receive(view, nowMs, frame)
//	// 1. apply out.Writes to the store, in the transaction that view belongs to, and commit
//	// 2. send out.Frames, tell out.Notes to the app
//
// A device may be killed between any two of these: what was not stored comes again, what was not sent is sent again.
//
// The rules it keeps (PROTOCOL.md):
//
//   - Stored events form segments without holes, and every event was chained to the one before it by its digest. A
//     segment's end is compared with the digests that the server gives; a contradiction opens a [Doubt], which is settled
//     by finding the first difference with a binary search. History that the server rewrote is reported, never merged.
//   - Gaps are looked for at checkpoints only, and filled by fetching pages, the newest first, a few at a time.
//   - The current form of a message is a base (what the server said, valid as of some seq) and the later events on top, so
//     that frames may come again, and in any order.
//   - Rooms are known in memory only: see [Replica.EnterRoom].
//   - An own message stays in the outbox until the server's answer, or the event itself, settles it.
//
// The package does not know sockets, files or the HTTP API. A [Replica] is owned by one caller at a time.
package replica
