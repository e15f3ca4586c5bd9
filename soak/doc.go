// SPDX-License-Identifier: Apache-2.0

// Package soak holds a real server to its promises while everything around it breaks.
//
//	report, err := soak.Run(ctx, soak.Config{Program: "tidemark", Device: deviceCommand, Dir: dir, Seed: 1, For: 30 * time.Minute})
//
// A run is `tidemark serve` as a process, a few users with several devices of the Go SDK each (some in this process, with
// their store in memory; some processes of their own, with their store in a file), and an app's back end over HTTP. Every
// connection goes through a [Proxy] that cuts, delays, throttles, holds back and corrupts what passes. The server is ended with
// SIGKILL, stopped with SIGSTOP, restarted, its clock is set back and forth, and its disk is full for a while; devices
// are killed and come back with what they had stored.
//
// What the server and the devices say to each other is told to the checkers of package sim/invariant, which the simulator uses
// too. At the end nothing breaks any more, and then
//
//   - every message of which a device was told that it is stored stands in the log exactly once, as it was written;
//   - nothing is in a log that nobody wrote;
//   - every device of every member has the server's digest of every conversation, and the counts that follow from the log;
//   - the devices of one user show the same;
//   - `tidemark verify` finds nothing wrong with the data, at the end and after crashes on the way.
//
// The seed decides what is said and what breaks when, but not how processes are scheduled: a failure may need several
// runs to show again. The simulator is for what must be repeated exactly. docs/soak.md tells what each fault does.
package soak
