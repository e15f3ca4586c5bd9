// SPDX-License-Identifier: Apache-2.0

// Package replay lets people of real or made-up chat logs talk through a real server that is killed again and again, and
// then looks at whether anything was lost, doubled or disordered.
//
//	report, err := replay.Run(ctx, replay.Config{Program: "tidemark", Dir: dir, Seed: 1, Script: replay.MadeUp(1, 3000), Kills: 10})
//
// Thirty devices of twenty users, all of the Go SDK, hold every conversation. Each user's first device submits that user's lines
// as fast as they are acknowledged. Two devices read slowly, five come and go (with their state on disk) and
// write a line each time. Meanwhile the server is ended with SIGKILL at moments chosen by the seed, and started again on the
// same port and data. When all lines are acknowledged:
//
//   - every device has the server's digest of every conversation, and the unread counts that follow from the log;
//   - every line is in the log exactly once, as written, and each device's lines in the order in which it sent them;
//   - every acknowledgement named the seq at which the line stands;
//   - `tidemark verify` finds nothing wrong with the data.
//
// The seed decides the text, the kills and the comings and goings, but not how the threads run: a failure that depends on
// them may need several runs to show again.
package replay
