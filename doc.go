// SPDX-License-Identifier: Apache-2.0

// Package tidemark is the vocabulary of Tidemark, a synchronisation server for instant messaging: the names that every
// other package uses, each with one meaning and a type of its own, so that mixing them does not compile.
//
//   - a [UserID] owns devices, each named by a [DeviceID];
//   - a [ConversationID] names an ordered log of events, numbered densely by [Seq] from 1;
//   - a partition numbers its commits by [Position]; a [Cursor] holds an [Epoch] and a position for each partition;
//   - a [Reason] says why something was refused.
//
// The package imports only the standard library and does nothing: no I/O, no goroutine, no clock.
package tidemark
